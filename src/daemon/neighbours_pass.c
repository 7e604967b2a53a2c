/* SPDX-License-Identifier: Apache-2.0 */

/* The pass over all switches and PFs: see the theory of operation in neighbours.c. */

#include "src/daemon/log.h"
#include "src/daemon/neighbours.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASS_PAUSE (100 * USEC_PER_MSEC)
#define PASS_SHARE 20

#define HOST_LOOK (30 * USEC_PER_SEC)

/* The MACs of VFs are read again when the kernel tells of a change of the PF, and when they are older than this: a VF
 * whose driver picks another MAC tells only the card. */
#define VFS_LOOK (30 * USEC_PER_SEC)

/* While not all fit, who sent last decides, and only a dump tells that. Shorter than UPLINK_PLAN_LEAD, so that what was
 * found out last time is still good. */
#define ACTIVITY_LOOK (30 * USEC_PER_SEC)
#define SHORTAGE_LOOK (60 * USEC_PER_SEC)

/* ---- one PF ---- */

static void free_vfs(struct pf_vf **vfs)
{
        free(*vfs);
}

static void free_attributes(struct pf_vf_attributes **attributes)
{
        free(*attributes);
}

/* What a VF holds is not to be listed, so a PF whose VFs cannot be read is left as it is. */
static int read_vfs(struct neighbour_pf *pf, struct pf *device, uint64_t now, struct vswitch_error *error)
{
        struct pf_vf_attributes *attributes __attribute__((cleanup(free_attributes))) = NULL;
        struct pf_vf *vfs __attribute__((cleanup(free_vfs))) = NULL;
        size_t count = 0, attributes_count = 0;
        int r;

        if (!pf->vfs_stale && now < pf->vfs_read_at + VFS_LOOK)
                return 0;
        r = device->driver->list_vfs(device, &vfs, &count, error);
        if (r == 0 && count > 0)
                r = device->driver->list_attributes(device, &attributes, &attributes_count, error);
        pf->vfs.count = 0;
        for (size_t i = 0; r == 0 && i < count; i++) {
                const struct pf_vf_attributes *vf = vfs[i].index < attributes_count ? &attributes[vfs[i].index] : NULL;

                if (!vf || vf->valid == 0)
                        r = vswitch_error_set(error, -ENODATA, "%s does not report a VF %u", pf->name, vfs[i].index);
                else if ((vf->valid & PF_VF_MAC) && !vswitch_mac_is_zero(&vf->mac))
                        r = mac_list_add(&pf->vfs, &vf->mac);
        }
        pf->vfs_stale = r < 0;
        pf->vfs_read_at = now;
        return r;
}

/* A MAC that has a VF is not behind the switch any more, whatever the bridge remembers. */
static void forget_quiet_of_vfs(struct manager *manager, const struct neighbour_pf *pf)
{
        for (size_t i = 0; i < manager->switches_count; i++)
                for (size_t j = 0; manager->switches[i].neighbours && j < pf->vfs.count; j++)
                        if (neighbours_find_uplink(&manager->switches[i], pf->ifindex))
                                fdb_table_forget_quiet(manager->switches[i].neighbours->table, &pf->vfs.macs[j]);
}

/* Each failure is told once, until there is another or none. */
static void tell_failure(struct neighbour_pf *pf, int r, const struct vswitch_error *error)
{
        const char *text = r < 0 ? vswitch_error_text(error, r) : "";

        if (strcmp(pf->failure, text) == 0)
                return;
        snprintf(pf->failure, sizeof(pf->failure), "%s", text);
        if (r < 0)
                log_warning(pf->name,
                            "cannot let its VFs reach all that is behind the bridge: %s; tried again in "
                            "%llu s",
                            text, NEIGHBOURS_RETRY / USEC_PER_SEC);
}

static void tell_news(struct manager *manager, struct neighbour_pf *pf, uint64_t now)
{
        const char *bridge = "the bridge";
        char text[1024];
        bool is_bad;

        for (size_t i = 0; i < manager->switches_count; i++)
                if (neighbours_find_uplink(&manager->switches[i], pf->ifindex))
                        bridge = manager->switches[i].config->bridge;
        if (!uplink_list_news(pf->list, bridge, now, &is_bad, text, sizeof(text)))
                return;
        if (is_bad)
                log_warning(pf->name, "%s", text);
        else
                log_notice(pf->name, "%s", text);
        if (manager->control)
                control_event(manager->control, is_bad ? "warning" : "pf", pf->name, text);
}

/* Not everything that could be is listed, so it matters who sends. */
static bool is_short_on(const struct neighbour_pf *pf)
{
        return pf->list->left_out_count > 0 || pf->list->crowd_count > 0;
}

/* Returns when to look at it again, even if nothing happens; 0: there was more to do than one pass may. */
static uint64_t bring_in_line(struct manager *manager, struct neighbour_pf *pf, const struct manager_pf *uplink)
{
        struct collection collection __attribute__((cleanup(neighbours_collection_release))) = { 0 };
        uint64_t now = manager_now(manager);
        struct vswitch_error error = { 0 };
        struct uplink_plan_input input;
        bool applied = false;
        int r = read_vfs(pf, uplink->pf, now, &error);

        if (r == 0) {
                forget_quiet_of_vfs(manager, pf);
                r = neighbours_collect(manager, pf, &collection);
        }
        if (r == 0) {
                /* Learned by the bridge before its guest was known: the core's from now on. */
                for (size_t i = 0; i < collection.nics_count; i++)
                        uplink_list_disown(pf->list, &collection.nics[i].mac);
                input = neighbours_plan_input(&collection, uplink);
                r = uplink_list_apply(pf->list, uplink->pf, &input, now, &error);
                applied = true;
        }
        tell_failure(pf, r, &error);
        tell_news(manager, pf, now);
        if (applied && pf->list->unfinished)
                return 0;
        if (r < 0)
                return now + NEIGHBOURS_RETRY;
        if (is_short_on(pf))
                return neighbours_earlier(now + SHORTAGE_LOOK, uplink_list_news_at(pf->list));
        return uplink->pf->total_vfs > 0 ? now + HOST_LOOK : FAILOVER_NEVER;
}

/* ---- the pass ---- */

static bool is_short(const struct manager_switch *nic_switch)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                const struct neighbour_pf *pf = neighbours_find_pf(nic_switch->manager, nic_switch->pfs[i].pf->ifindex);

                if (pf && is_short_on(pf))
                        return true;
        }
        return fdb_table_is_cut(nic_switch->neighbours->table);
}

/* Reads what no notification tells of. Returns when to look again. */
static uint64_t bring_table_up_to_date(struct manager_switch *nic_switch)
{
        struct neighbours *neighbours = nic_switch->neighbours;
        struct vswitch_netlink *netlink = nic_switch->manager->netlink;
        uint64_t now = manager_now(nic_switch->manager);
        bool changed = false;

        if (neighbours->stale || (is_short(nic_switch) && now >= neighbours->read_at + ACTIVITY_LOOK)) {
                if (!neighbours_read_table(nic_switch))
                        return now + NEIGHBOURS_RETRY;
        } else if (now >= neighbours->host_read_at + HOST_LOOK || neighbours->host_read_at == 0) {
                neighbours->host_read_at = now;
                if (fdb_table_read_host(neighbours->table, netlink, &changed, NULL) < 0)
                        neighbours->stale = true;
        }
        return neighbours_earlier(neighbours_earlier(fdb_table_expire(neighbours->table, now),
                                                     neighbours_expire_echoes(neighbours, now)),
                                  fdb_table_is_cut(neighbours->table) ? neighbours->read_at + ACTIVITY_LOOK
                                                                      : FAILOVER_NEVER);
}

static void pass(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        uint64_t begin = manager_now(manager), look_at = FAILOVER_NEVER, end, pause;
        struct neighbour_pf *pf;

        neighbourhood->dirty = false;
        for (size_t i = 0; i < manager->switches_count; i++)
                if (manager->switches[i].neighbours)
                        look_at = neighbours_earlier(look_at, bring_table_up_to_date(&manager->switches[i]));
        look_at = neighbours_earlier(look_at, neighbours_tell_nics(manager));
        SLIST_FOREACH (pf, &neighbourhood->pfs, entry) {
                struct manager_pf *uplink = neighbours_find_any_uplink(manager, pf->ifindex);

                if (uplink)
                        look_at = neighbours_earlier(look_at, bring_in_line(manager, pf, uplink));
        }
        neighbours_tell_crowds(manager, begin);
        if (begin >= neighbourhood->leftovers_at)
                neighbours_clean_up(manager);
        neighbourhood->look_at = neighbours_earlier(look_at, neighbourhood->leftovers_at);
        end = manager_now(manager);
        pause = PASS_SHARE * (end - begin);
        neighbourhood->next_pass = end + (pause > PASS_PAUSE ? pause : PASS_PAUSE);
        /* The rest at once; but by the clock, so after whatever else has come meanwhile. */
        if (neighbourhood->look_at == 0) {
                neighbourhood->look_at = neighbourhood->next_pass = end;
                neighbourhood->dirty = true;
        }
}

static void remove_moved(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        struct neighbour_pf *pf;

        if (neighbourhood->moved.count == 0)
                return;
        SLIST_FOREACH (pf, &neighbourhood->pfs, entry) {
                struct manager_pf *uplink = neighbours_find_any_uplink(manager, pf->ifindex);
                struct vswitch_error error = { 0 };
                int r = uplink ? uplink_list_remove(pf->list, uplink->pf, &neighbourhood->moved, &error) : 0;

                if (r < 0)
                        log_warning(pf->name, "%s", vswitch_error_text(&error, r));
        }
        neighbourhood->moved.count = 0;
}

/* FNV-1a over what a plan takes from the NICs. */
static uint64_t digest_nics(struct manager *manager)
{
        uint64_t digest = 0xcbf29ce484222325;
        const struct manager_nic *nic;
        const struct neighbour_pf *pf;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                for (size_t i = 0; i < sizeof(nic->mac.bytes); i++)
                        digest = (digest ^ nic->mac.bytes[i]) * 0x100000001b3;
                SLIST_FOREACH (pf, &manager->neighbourhood->pfs, entry)
                        digest = (digest ^ neighbours_needs_filter(nic, pf->ifindex)) * 0x100000001b3;
        }
        return digest;
}

void neighbours_reconcile(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        uint64_t now = manager_now(manager), nics;

        if (!neighbourhood)
                return;
        remove_moved(manager);
        nics = digest_nics(manager);
        neighbourhood->dirty |= nics != neighbourhood->nics_seen || now >= neighbourhood->look_at;
        neighbourhood->nics_seen = nics;
        if (neighbourhood->dirty && now >= neighbourhood->next_pass)
                pass(manager);
}

uint64_t neighbours_deadline(const struct manager *manager)
{
        const struct neighbourhood *neighbourhood = manager->neighbourhood;

        if (!neighbourhood)
                return FAILOVER_NEVER;
        return neighbourhood->dirty ? neighbourhood->next_pass : neighbourhood->look_at;
}

bool neighbours_make_room(struct manager_switch *nic_switch, struct pf *pf, bool is_full)
{
        struct manager *manager = nic_switch->manager;
        struct neighbour_pf *neighbour_pf = neighbours_find_pf(manager, pf->ifindex);
        const struct manager_pf *uplink = neighbours_find_uplink(nic_switch, pf->ifindex);
        struct collection collection __attribute__((cleanup(neighbours_collection_release))) = { 0 };
        struct uplink_plan_input input;

        if (!neighbour_pf || !uplink || neighbour_pf->list->ours.count == 0 ||
            neighbours_collect(manager, neighbour_pf, &collection) < 0)
                return false;
        input = neighbours_plan_input(&collection, uplink);
        neighbours_mark(manager);
        return uplink_list_make_room(neighbour_pf->list, pf, &input, is_full, manager_now(manager));
}
