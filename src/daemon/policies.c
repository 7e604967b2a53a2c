/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/manager.h"

void policies_apply_guest(struct manager_nic *nic, const struct guest_nic *guest_nic)
{
}

void policies_collect(struct manager_nic *nic)
{
}

struct pf_vf_attributes policies_vf_attributes(const struct manager_nic *nic, const struct pf_vf_attributes *before)
{
        return vfs_neutral_attributes(before);
}
