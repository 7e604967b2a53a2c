/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The guard of a guest's tap as tc filters; see guard.c for how it works. The contract is that of guard_read and
 * guard_set in softswitch.h. */

#include "softswitch.h"

int guard_read(struct vswitch_netlink *netlink, int ifindex, struct softswitch_guard *ret, bool *ret_foreign,
               struct vswitch_error *error);

int guard_set(struct vswitch_netlink *netlink, int ifindex, const struct softswitch_guard *wanted,
              struct vswitch_error *error);

/* What may come at once after a pause before `max_rate` (Mbit/s) limits it, in bytes. */
uint32_t guard_burst(uint32_t max_rate);
