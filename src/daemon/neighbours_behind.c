/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/neighbours.h"

/* A MAC that was seen behind a NIC's tap counts for so long after it sent last. */
#define BEHIND_COUNTS (3600 * USEC_PER_SEC)

struct behind {
        const struct manager_nic *nic;
        uint64_t now;
        unsigned count;
        uint64_t until; /* when the next of them counts no more */
};

static int count_behind(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata)
{
        struct behind *behind = userdata;

        if (vswitch_mac_equal(&entry->mac, &behind->nic->mac))
                return 0;
        if (entry->kind == FDB_LEARNED) {
                behind->count++;
        } else if (entry->kind == FDB_QUIET && entry->active + BEHIND_COUNTS > behind->now) {
                behind->count++;
                behind->until = neighbours_earlier(behind->until, entry->active + BEHIND_COUNTS);
        }
        return 0;
}

static struct behind look_behind(const struct manager_nic *nic)
{
        const struct neighbours *neighbours = nic->nic_switch->neighbours;
        struct behind behind = { .nic = nic, .now = manager_now(nic->manager), .until = FAILOVER_NEVER };

        if (neighbours && nic->tap_ifindex)
                (void) fdb_table_for_each_on_port(neighbours->table, nic->tap_ifindex, count_behind, &behind);
        return behind;
}

unsigned neighbours_count_behind(struct manager_nic *nic)
{
        if (!nic->claim)
                nic->macs_behind = look_behind(nic).count;
        return nic->macs_behind;
}

/* NICs that are decided otherwise by what is, or is no longer, behind their taps. Returns when to look again. */
uint64_t neighbours_tell_nics(struct manager *manager)
{
        uint64_t look_at = FAILOVER_NEVER;
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                struct behind behind;

                if (nic->claim)
                        continue;
                behind = look_behind(nic);
                if ((behind.count > 0) != (nic->macs_behind > 0))
                        manager_nic_dirty(nic);
                look_at = neighbours_earlier(look_at, behind.until);
        }
        return look_at;
}
