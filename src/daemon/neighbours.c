/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/manager.h"

void neighbours_refresh(struct manager_switch *nic_switch)
{
}

void neighbours_free(struct manager_switch *nic_switch)
{
}

void neighbours_on_notification(struct manager *manager, const struct nlmsghdr *header)
{
}

void neighbours_reconcile(struct manager *manager)
{
}

uint64_t neighbours_deadline(const struct manager *manager)
{
        return FAILOVER_NEVER;
}

void neighbours_make_room(struct manager_switch *nic_switch, struct pf *pf)
{
}

unsigned neighbours_count_behind(const struct manager_nic *nic)
{
        return 0;
}

int neighbours_for_each(const struct manager_switch *nic_switch, neighbours_each each, void *userdata)
{
        return 0;
}
