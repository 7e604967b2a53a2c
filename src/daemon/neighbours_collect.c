/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/neighbours.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void add_candidate(struct collection *collection, const struct vswitch_mac *mac, enum uplink_plan_class class,
                          int port, uint64_t active)
{
        if (collection->candidates_count == collection->candidates_room) {
                size_t room = collection->candidates_room ? 2 * collection->candidates_room : 64;
                struct uplink_plan_candidate *candidates =
                        reallocarray(collection->candidates, room, sizeof(*candidates));

                if (!candidates) {
                        collection->result = -ENOMEM;
                        return;
                }
                collection->candidates = candidates;
                collection->candidates_room = room;
        }
        collection->candidates[collection->candidates_count++] =
                (struct uplink_plan_candidate){ .mac = *mac, .class = class, .port = port, .active = active };
}

static bool is_on_any_uplink(const struct collection *collection, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < collection->manager->switches_count; i++) {
                struct manager_switch *nic_switch = &collection->manager->switches[i];

                if (nic_switch->neighbours && neighbours_find_uplink(nic_switch, collection->pf->ifindex) &&
                    fdb_table_is_on_uplink(nic_switch->neighbours->table, mac))
                        return true;
        }
        return false;
}

static bool is_pfs_own(const struct manager_switch *nic_switch, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (vswitch_mac_equal(&nic_switch->pfs[i].link.mac, mac))
                        return true;
        return false;
}

/* May the MAC be in a PF's list, as one of ours? */
static bool is_listable(const struct collection *collection, const struct vswitch_mac *mac)
{
        return !vswitch_mac_is_multicast(mac) && !vswitch_mac_is_zero(mac) && !is_pfs_own(collection->nic_switch, mac);
}

static int collect_entry(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata)
{
        static const enum uplink_plan_class classes[] = {
                [FDB_LOCAL] = UPLINK_PLAN_HOST,
                [FDB_STATIC] = UPLINK_PLAN_STATIC,
                [FDB_LEARNED] = UPLINK_PLAN_LEARNED,
                [FDB_QUIET] = UPLINK_PLAN_QUIET,
        };
        struct collection *collection = userdata;

        if (port->is_uplink || !is_listable(collection, &entry->mac) || is_on_any_uplink(collection, &entry->mac) ||
            (entry->kind == FDB_LOCAL && !fdb_table_is_host(collection->nic_switch->neighbours->table, entry)))
                return 0;
        add_candidate(collection, &entry->mac, classes[entry->kind], entry->ifindex, entry->active);
        return collection->result;
}

/* What is listed stays for the moment; nothing is listed for an echo. */
static void collect_echoes(struct collection *collection, const struct neighbours *neighbours)
{
        for (size_t i = 0; i < neighbours->echoes_count; i++) {
                const struct uplink_list_noted *noted =
                        uplink_list_find_noted(collection->pf->list, &neighbours->echoes[i].mac);

                if (noted)
                        add_candidate(collection, &noted->mac, UPLINK_PLAN_LEARNED, noted->port,
                                      neighbours->echoes[i].until);
        }
}

static void collect_switch(struct collection *collection, const struct manager_switch *nic_switch)
{
        const struct fdb_table *table = nic_switch->neighbours->table;
        const struct vswitch_mac *host;
        size_t count = 0;

        collection->nic_switch = nic_switch;
        (void) fdb_table_for_each(table, collect_entry, collection);
        collect_echoes(collection, nic_switch->neighbours);
        /* Whatever the bridge has learned of them: these are here. */
        host = fdb_table_host_macs(table, &count);
        for (size_t i = 0; i < count; i++)
                if (is_listable(collection, &host[i]))
                        add_candidate(collection, &host[i], UPLINK_PLAN_HOST, fdb_table_bridge(table), 0);
}

/* Does the core want this NIC's filter in the list of the PF? */
bool neighbours_needs_filter(const struct manager_nic *nic, int pf_ifindex)
{
        const struct manager_pf *uplink = neighbours_find_uplink(nic->nic_switch, pf_ifindex);

        return uplink && nic->decision.tables.uplink_filter && facts_filter_belongs(nic, uplink->pf);
}

static int compare_nics(const void *a, const void *b)
{
        const struct uplink_plan_nic *left = a, *right = b;

        return memcmp(&left->mac, &right->mac, sizeof(left->mac));
}

/* Every NIC that the manager knows, each MAC once: none of them is ours to list, wherever else it is seen. */
static void collect_nics(struct collection *collection)
{
        const struct manager_nic *nic;
        size_t room = 0, count = 0;

        TAILQ_FOREACH (nic, &collection->manager->nics, entry)
                room++;
        collection->nics = calloc(room + 1, sizeof(*collection->nics));
        if (!collection->nics) {
                collection->result = -ENOMEM;
                return;
        }
        TAILQ_FOREACH (nic, &collection->manager->nics, entry) {
                collection->nics[count].mac = nic->mac;
                collection->nics[count++].needs_filter = neighbours_needs_filter(nic, collection->pf->ifindex);
        }
        qsort(collection->nics, count, sizeof(*collection->nics), compare_nics);
        for (size_t i = 0; i < count; i++) {
                struct uplink_plan_nic *last =
                        collection->nics_count > 0 ? &collection->nics[collection->nics_count - 1] : NULL;

                if (last && vswitch_mac_equal(&last->mac, &collection->nics[i].mac))
                        last->needs_filter |= collection->nics[i].needs_filter;
                else
                        collection->nics[collection->nics_count++] = collection->nics[i];
        }
}

void neighbours_collection_release(struct collection *collection)
{
        free(collection->candidates);
        free(collection->nics);
}

int neighbours_collect(struct manager *manager, const struct neighbour_pf *pf, struct collection *ret)
{
        *ret = (struct collection){ .manager = manager, .pf = pf };
        collect_nics(ret);
        for (size_t i = 0; ret->result == 0 && i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];
                const struct manager_pf *uplink = neighbours_find_uplink(nic_switch, pf->ifindex);

                /* A card without VFs has nobody to be kept from the bridge. */
                if (nic_switch->neighbours && uplink && uplink->pf->total_vfs > 0)
                        collect_switch(ret, nic_switch);
        }
        return ret->result;
}

struct uplink_plan_input neighbours_plan_input(const struct collection *collection, const struct manager_pf *uplink)
{
        return (struct uplink_plan_input){
                .candidates = collection->candidates,
                .candidates_count = collection->candidates_count,
                .nics = collection->nics,
                .nics_count = collection->nics_count,
                .vfs = collection->pf->vfs.macs,
                .vfs_count = collection->pf->vfs.count,
                .capacity = uplink->filter_capacity ? uplink->filter_capacity : UPLINK_PLAN_NO_LIMIT,
                .per_port = NEIGHBOURS_PER_PORT,
        };
}
