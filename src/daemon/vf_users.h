/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which VFs a process has open through VFIO: QEMUs that libvirt does not know, DPDK. */

#include "failover/failover.h"

#include <stdbool.h>
#include <stdint.h>

struct manager;

int vf_users_new(struct manager *manager);
/* After guests_free: a look that is under way is answered before. */
void vf_users_free(struct manager *manager);

/* Begins a first look when there are VFs that it can tell something of. After guests_new. */
void vf_users_begin(struct manager *manager);

/* What the answer is for, and so how old it may be. */
enum vf_users_purpose {
        VF_USERS_SHOW, /* the last one, however old; after a second a look is begun for who asks next */
        VF_USERS_COUNT, /* the last one of this minute: it stays the same for as long as nothing else was found out. After
                           10 s a look is begun, and all NICs are dirty when it has ended */
        VF_USERS_GIVE, /* one of this second; without one a look is begun, and all NICs are dirty when it has ended */
};

/* YES, NO, or UNKNOWN when there is no such answer. Looks are made on a worker thread, one at a time. In doubt YES. */
enum failover_known vf_users_has(struct manager *manager, const char *vf_address, enum vf_users_purpose purpose);

/* Who wanted to give a VF away was told UNKNOWN, and the look has not ended. */
bool vf_users_awaited(const struct manager *manager);

/* The second of VF_USERS_GIVE and VF_USERS_SHOW; a test makes it shorter. */
extern uint64_t vf_users_fresh_usec;
