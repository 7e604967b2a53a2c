/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which VFs a process has open through VFIO: QEMUs that libvirt does not know, DPDK. */

#include "failover/failover.h"

#include <stdbool.h>

struct manager;

int vf_users_new(struct manager *manager);
/* After guests_free: a look that is under way is answered before. */
void vf_users_free(struct manager *manager);

/* Begins a first look when there are VFs that it can tell something of. After guests_new. */
void vf_users_begin(struct manager *manager);

/* YES, NO, or UNKNOWN: not looked yet, or with `fresh` not within the last second. Then, and whenever the answer is older
 * than that, a look is begun on a worker thread. After UNKNOWN all NICs are dirty when it has ended. In doubt YES. */
enum failover_known vf_users_has(struct manager *manager, const char *vf_address, bool fresh);

/* Somebody was told UNKNOWN, and the look has not ended. */
bool vf_users_awaited(const struct manager *manager);
