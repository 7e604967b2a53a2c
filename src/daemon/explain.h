/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a NIC is and what comes next, in words for `vswitch nic why`. Sentences without a full stop; never NULL. */

#include "src/daemon/manager.h"

struct explanation {
        char detail[512];  /* what the reason means for this NIC; or "" */
        const char *now;   /* what the daemon does */
        const char *then;  /* what happens at the decision's deadline; "" without one */
        char trouble[512]; /* what it cannot do now and will try again; or "" */
};

void explain_nic(const struct manager_nic *nic, struct explanation *ret);

/* What the daemon does by that rule of failover/; "" for one that is not known here. */
const char *explain_rule(const char *rule);
