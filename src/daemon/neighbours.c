/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * A PF's embedded switch knows the MACs of its VFs and those in the PF's own unicast list; a frame from a VF for any
 * other goes to the wire. So everything that is behind the software switch (containers, guests that are not ours, the
 * bridge itself) must be in the list of every PF beneath it, or no VF reaches it. Guests' NICs are the failover core's.
 *
 * Each switch has a table of its bridge (vswitch/fdb_table.h), fed by notifications. When something behind it changes, a
 * pass compares what should be listed with what is, PF by PF (vswitch/uplink_plan.h), and writes the difference
 * (uplink_list.h). A PF that carries several switches (VLAN devices) gets the MACs of all of them.
 *
 * Rate: the first change after a quiet time makes a pass at once, together with everything that was read with it. The
 * next pass comes PASS_PAUSE later at the earliest, and after PASS_SHARE times what the last one took: no more than
 * 1/PASS_SHARE of the daemon's time goes there. A guest that sends from ever new MACs makes no pass long: of each port
 * the table keeps so many (vswitch/fdb_table.h) and NEIGHBOURS_PER_PORT are listed, and one pass writes so many
 * (uplink_list.c); the next one, with the rest, comes as soon as the loop has served all others. What
 * does not wait is a MAC that has moved to the wire: its entries are removed in the batch in which it is seen there,
 * since until then VFs cannot reach it.
 *
 * Except on a card that gives the PF its own broadcasts back (QEMU's igb): there the bridge learns everybody who sends one
 * on the uplink, until he sends something else. A MAC that seems to have moved is taken at its word only when it has not
 * come back for ECHO_HOLDS.
 *
 * Between passes the daemon is idle, but for a look at the bridge's own address list every HOST_LOOK: a macvlan on the
 * bridge puts its address there, without a notification when that happens in a container's namespace.
 */

#include "src/daemon/log.h"
#include "src/daemon/neighbours.h"
#include "src/daemon/state_file.h"
#include "vswitch/fdb.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECHO_HOLDS (2 * USEC_PER_SEC)
#define ECHOES_MAX 1024

/* A PF that left the bridge, or whose bridge is gone, may be back in a moment (the host's network is being restarted). */
#define LEFTOVERS_GRACE (60 * USEC_PER_SEC)

void neighbours_mark(struct manager *manager)
{
        if (!manager->neighbourhood->dirty)
                manager_schedule(manager);
        manager->neighbourhood->dirty = true;
}

/* ---- PFs ---- */

/* This PF as the switch has it, NULL when it is not beneath it. */
struct manager_pf *neighbours_find_uplink(struct manager_switch *nic_switch, int ifindex)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (nic_switch->pfs[i].pf->ifindex == ifindex)
                        return &nic_switch->pfs[i];
        return NULL;
}

/* As any switch has it. */
struct manager_pf *neighbours_find_any_uplink(struct manager *manager, int ifindex)
{
        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_pf *uplink = neighbours_find_uplink(&manager->switches[i], ifindex);

                if (uplink)
                        return uplink;
        }
        return NULL;
}

struct neighbour_pf *neighbours_find_pf(const struct manager *manager, int ifindex)
{
        struct neighbour_pf *pf;

        if (!manager->neighbourhood)
                return NULL;
        SLIST_FOREACH (pf, &manager->neighbourhood->pfs, entry)
                if (pf->ifindex == ifindex)
                        return pf;
        return NULL;
}

static void free_pf(struct neighbour_pf *pf)
{
        uplink_list_free(pf->list);
        mac_list_freep(&pf->vfs);
        free(pf);
}

static void add_pf(struct manager *manager, const struct manager_pf *uplink)
{
        struct neighbour_pf *pf = calloc(1, sizeof(*pf));
        struct vswitch_error error = { 0 };
        int r;

        if (!pf)
                return;
        pf->ifindex = uplink->pf->ifindex;
        pf->vfs_stale = true;
        snprintf(pf->name, sizeof(pf->name), "%s", uplink->pf->name);
        r = uplink_list_open(manager->neighbourhood->directory, pf->name, pf->ifindex, &pf->list, &error);
        if (r == 0)
                r = uplink_list_rename(pf->list, pf->name, &error); /* while no daemon ran */
        if (r < 0)
                log_warning(pf->name, "%s", vswitch_error_text(&error, r));
        if (!pf->list) {
                free_pf(pf);
                return;
        }
        SLIST_INSERT_HEAD(&manager->neighbourhood->pfs, pf, entry);
}

static void rename_pf(struct neighbour_pf *pf, const char *name)
{
        struct vswitch_error error = { 0 };
        int r;

        if (strcmp(pf->name, name) == 0)
                return;
        snprintf(pf->name, sizeof(pf->name), "%s", name);
        r = uplink_list_rename(pf->list, name, &error);
        if (r < 0)
                log_warning(pf->name, "%s", vswitch_error_text(&error, r));
}

/* Makes the PFs those that are beneath the switches now. */
static void refresh_pfs(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;

        for (struct neighbour_pf *pf = SLIST_FIRST(&neighbourhood->pfs), *next; pf; pf = next) {
                const struct manager_pf *uplink = neighbours_find_any_uplink(manager, pf->ifindex);

                next = SLIST_NEXT(pf, entry);
                if (uplink) {
                        rename_pf(pf, uplink->pf->name);
                        continue;
                }
                SLIST_REMOVE(&neighbourhood->pfs, pf, neighbour_pf, entry);
                free_pf(pf);
                neighbourhood->leftovers_at = manager_now(manager) + LEFTOVERS_GRACE;
                neighbourhood->look_at = neighbours_earlier(neighbourhood->look_at, neighbourhood->leftovers_at);
        }
        for (size_t i = 0; i < manager->switches_count; i++)
                for (size_t j = 0; j < manager->switches[i].pfs_count; j++)
                        if (!neighbours_find_pf(manager, manager->switches[i].pfs[j].pf->ifindex))
                                add_pf(manager, &manager->switches[i].pfs[j]);
}

/* The MACs that an earlier daemon listed and that the bridge has forgotten since. */
static void restore_quiet(struct manager_switch *nic_switch)
{
        uint64_t now = manager_now(nic_switch->manager);

        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                const struct neighbour_pf *pf = neighbours_find_pf(nic_switch->manager, nic_switch->pfs[i].pf->ifindex);

                for (size_t j = 0; pf && j < pf->list->noted_count; j++)
                        (void) fdb_table_restore_quiet(nic_switch->neighbours->table, &pf->list->noted[j].mac,
                                                       pf->list->noted[j].port, now);
        }
}

/* ---- the tables ---- */

bool neighbours_read_table(struct manager_switch *nic_switch)
{
        struct neighbours *neighbours = nic_switch->neighbours;
        uint64_t now = manager_now(nic_switch->manager);
        struct vswitch_error error = { 0 };
        int r = fdb_table_resync(neighbours->table, nic_switch->manager->netlink, now, &error);

        neighbours->stale = r < 0;
        neighbours->read_at = neighbours->host_read_at = now;
        if (r < 0)
                log_info(nic_switch->config->name, "its neighbours are not known: %s; tried again in %llu s",
                         vswitch_error_text(&error, r), NEIGHBOURS_RETRY / USEC_PER_SEC);
        return r == 0;
}

static void set_uplinks(struct manager_switch *nic_switch)
{
        int ports[2 * MANAGER_PFS_MAX + 1];
        size_t count = 0;

        ports[count++] = nic_switch->uplink.ifindex;
        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                ports[count++] = nic_switch->pfs[i].port;
                ports[count++] = nic_switch->pfs[i].pf->ifindex;
        }
        if (fdb_table_set_uplinks(nic_switch->neighbours->table, ports, count) < 0)
                log_warning(nic_switch->config->name, "it has more uplinks than vswitch can tell from other ports");
}

static struct neighbourhood *neighbourhood_new(struct manager *manager)
{
        struct neighbourhood *neighbourhood = calloc(1, sizeof(*neighbourhood));
        struct vswitch_error error = { 0 };
        int r;

        if (!neighbourhood)
                return NULL;
        neighbourhood->look_at = FAILOVER_NEVER;
        r = state_file_make_subdirectory(manager->options.runtime_directory, "neighbours", &neighbourhood->directory,
                                         &error);
        if (r < 0) {
                log_warning(NULL, "VFs cannot reach what is behind the bridges: %s", vswitch_error_text(&error, r));
                free(neighbourhood);
                return NULL;
        }
        return neighbourhood;
}

static void neighbourhood_free(struct neighbourhood *neighbourhood)
{
        struct neighbour_pf *pf;

        while ((pf = SLIST_FIRST(&neighbourhood->pfs))) {
                SLIST_REMOVE_HEAD(&neighbourhood->pfs, entry);
                free_pf(pf);
        }
        mac_list_freep(&neighbourhood->moved);
        free(neighbourhood->crowded);
        free(neighbourhood->leftovers_told);
        free(neighbourhood->directory);
        free(neighbourhood);
}

static void close_table(struct manager_switch *nic_switch)
{
        if (!nic_switch->neighbours)
                return;
        fdb_table_free(nic_switch->neighbours->table);
        free(nic_switch->neighbours->echoes);
        free(nic_switch->neighbours);
        nic_switch->neighbours = NULL;
}

static int open_table(struct manager_switch *nic_switch, int bridge)
{
        nic_switch->neighbours = calloc(1, sizeof(*nic_switch->neighbours));
        if (nic_switch->neighbours)
                nic_switch->neighbours->table = fdb_table_new(bridge);
        if (nic_switch->neighbours && nic_switch->neighbours->table)
                return 0;
        close_table(nic_switch);
        return -ENOMEM;
}

void neighbours_refresh(struct manager_switch *nic_switch)
{
        struct softswitch *softswitch = nic_switch->softswitch;
        struct manager *manager = nic_switch->manager;
        int bridge = softswitch ? softswitch->driver->ifindex(softswitch) : 0;

        if (nic_switch->neighbours && fdb_table_bridge(nic_switch->neighbours->table) != bridge)
                close_table(nic_switch);
        if (!manager->neighbourhood)
                manager->neighbourhood = neighbourhood_new(manager);
        if (!manager->neighbourhood)
                return;
        /* Also without a bridge: what was listed for it is to be removed. */
        refresh_pfs(manager);
        neighbours_mark(manager);
        if (!softswitch || (!nic_switch->neighbours && open_table(nic_switch, bridge) < 0))
                return;
        set_uplinks(nic_switch);
        if (neighbours_read_table(nic_switch))
                restore_quiet(nic_switch);
}

void neighbours_free(struct manager_switch *nic_switch)
{
        struct manager *manager = nic_switch->manager;
        bool others = false;

        close_table(nic_switch);
        for (size_t i = 0; i < manager->switches_count; i++)
                others |= manager->switches[i].neighbours != NULL;
        if (others || !manager->neighbourhood)
                return;
        neighbourhood_free(manager->neighbourhood);
        manager->neighbourhood = NULL;
}

/* ---- notifications ---- */

bool neighbours_is_nic(const struct manager *manager, const struct vswitch_mac *mac)
{
        const struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (vswitch_mac_equal(&nic->mac, mac))
                        return true;
        return false;
}

/* Somebody changed a PF's own list; our own changes come back here, too, and agree with what we know by then. */
static void on_own_list(struct manager *manager, const struct nlmsghdr *header)
{
        const struct neighbour_pf *pf;
        struct fdb_entry entry;

        if (fdb_parse(header, &entry) < 0 || entry.master != 0 || !(entry.flags & NTF_SELF))
                return;
        pf = neighbours_find_pf(manager, entry.ifindex);
        if (pf && !vswitch_mac_is_multicast(&entry.mac) && !neighbours_is_nic(manager, &entry.mac) &&
            mac_list_has(&pf->list->ours, &entry.mac) == (header->nlmsg_type == RTM_DELNEIGH))
                neighbours_mark(manager);
}

/* A change of a VF's attributes is told as a change of its PF; what stands on a bridge may have given it an address. */
static void on_link(struct manager *manager, const struct nlmsghdr *header)
{
        const struct ifinfomsg *info = nlmsg_data(header);
        struct neighbour_pf *pf;
        struct nlattr *lower;

        if (!nlmsg_valid_hdr(header, sizeof(*info)) || info->ifi_family != AF_UNSPEC)
                return;
        pf = neighbours_find_pf(manager, info->ifi_index);
        if (pf) {
                pf->vfs_stale = true;
                neighbours_mark(manager);
        }
        lower = nlmsg_find_attr((struct nlmsghdr *) header, sizeof(*info), IFLA_LINK);
        for (size_t i = 0; lower && i < manager->switches_count; i++) {
                struct neighbours *neighbours = manager->switches[i].neighbours;

                if (neighbours && (int) nla_get_u32(lower) == fdb_table_bridge(neighbours->table)) {
                        neighbours->host_read_at = 0;
                        neighbours_mark(manager);
                }
        }
}

static bool reflects(const struct manager_switch *nic_switch)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (nic_switch->pfs[i].reflects)
                        return true;
        return false;
}

/* Remembers the MAC as one that may be back in a moment. False when it has moved, as far as anybody can tell. */
static bool hold_echo(struct manager_switch *nic_switch, const struct vswitch_mac *mac)
{
        struct neighbours *neighbours = nic_switch->neighbours;
        struct echo *echoes;
        size_t i = 0;

        if (!reflects(nic_switch) || neighbours->echoes_count >= ECHOES_MAX)
                return false;
        while (i < neighbours->echoes_count && !vswitch_mac_equal(&neighbours->echoes[i].mac, mac))
                i++;
        if (i == neighbours->echoes_count) {
                echoes = reallocarray(neighbours->echoes, neighbours->echoes_count + 1, sizeof(*echoes));
                if (!echoes)
                        return false;
                neighbours->echoes = echoes;
                neighbours->echoes_count++;
        }
        neighbours->echoes[i] = (struct echo){ *mac, manager_now(nic_switch->manager) + ECHO_HOLDS };
        return true;
}

/* Drops those that are over. Returns when the next one will be. */
uint64_t neighbours_expire_echoes(struct neighbours *neighbours, uint64_t now)
{
        uint64_t next = FAILOVER_NEVER;

        for (size_t i = 0; i < neighbours->echoes_count; i++) {
                struct echo *echo = &neighbours->echoes[i];

                if (echo->until > now && fdb_table_is_on_uplink(neighbours->table, &echo->mac)) {
                        next = neighbours_earlier(next, echo->until);
                        continue;
                }
                *echo = neighbours->echoes[--neighbours->echoes_count];
                i--;
        }
        return next;
}

static void on_table(struct manager_switch *nic_switch, const struct nlmsghdr *header)
{
        struct manager *manager = nic_switch->manager;
        struct vswitch_mac mac;
        int change = fdb_table_notify(nic_switch->neighbours->table, header, manager_now(manager), &mac);

        bool moved = change == FDB_TABLE_MOVED_TO_UPLINK && !hold_echo(nic_switch, &mac);

        if (change < 0 || (moved && mac_list_add(&manager->neighbourhood->moved, &mac) < 0))
                nic_switch->neighbours->stale = true;
        if (change != FDB_TABLE_SAME)
                neighbours_mark(manager);
        if (moved)
                manager_schedule(manager);
}

void neighbours_on_notification(struct manager *manager, const struct nlmsghdr *header)
{
        if (!manager->neighbourhood)
                return;
        for (size_t i = 0; i < manager->switches_count; i++)
                if (manager->switches[i].neighbours)
                        on_table(&manager->switches[i], header);
        switch (header->nlmsg_type) {
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
                on_own_list(manager, header);
                break;
        case RTM_NEWLINK:
        case RTM_DELLINK:
                on_link(manager, header);
                break;
        }
}
