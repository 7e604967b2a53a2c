/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/manager.h"

#include <errno.h>

int pool_set_vfs(struct manager *manager, const char *pf, unsigned count, bool keep,
                 const struct control_caller *caller, control_done done, void *token, struct vswitch_error *error)
{
        return -ENOSYS;
}

int pool_reserve(struct manager *manager, const char *pf, unsigned count, const struct control_caller *caller,
                 char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error)
{
        return -ENOSYS;
}

void pool_caller_gone(struct manager *manager, uint64_t connection)
{
}

bool pool_is_reserved(const struct manager *manager, const char *vf_address)
{
        return false;
}

void pool_on_pf(struct manager_switch *nic_switch, struct manager_pf *uplink)
{
}

void pool_free(struct manager *manager)
{
}
