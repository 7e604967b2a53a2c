/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "error.h"
#include "mac.h"

#include <stdint.h>

/* Sends three RARP requests from and about `mac` out of device `ifindex`, so that every switch on the way learns
 * where it is. With `vlan` != 0 they carry that tag (`vlan_protocol` in host order). */
int announce_send(int ifindex, const struct vswitch_mac *mac, uint16_t vlan, uint16_t vlan_protocol,
                  struct vswitch_error *error);
