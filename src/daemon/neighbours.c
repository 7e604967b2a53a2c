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
 * next pass comes PASS_PAUSE later at the earliest, and after PASS_SHARE times what the last one took: a guest that sends
 * from ever new MACs makes passes of ever more entries, but takes no more than 1/PASS_SHARE of the daemon's time. What
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
#include "src/daemon/manager.h"
#include "src/daemon/state_file.h"
#include "src/daemon/uplink_list.h"
#include "vswitch/fdb.h"
#include "vswitch/fdb_table.h"
#include "vswitch/mac_list.h"
#include "vswitch/uplink_plan.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
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

#define ECHO_HOLDS (2 * USEC_PER_SEC)
#define ECHOES_MAX 1024

#define RETRY (5 * USEC_PER_SEC)

/* A PF that left the bridge may be back in a moment (the host's network is being restarted). */
#define LEFTOVERS_GRACE (60 * USEC_PER_SEC)

/* A MAC that was seen behind a NIC's tap counts for so long after it sent last. */
#define BEHIND_COUNTS (3600 * USEC_PER_SEC)

/* A MAC that was behind the switch, and has been seen on an uplink that reflects. */
struct echo {
        struct vswitch_mac mac;
        uint64_t until;
};

/* One switch. */
struct neighbours {
        struct fdb_table *table;
        bool stale; /* read everything again */
        uint64_t read_at, host_read_at;
        struct echo *echoes;
        size_t echoes_count;
};

/* One PF beneath one or more switches. */
struct neighbour_pf {
        SLIST_ENTRY(neighbour_pf) entry;
        int ifindex;
        char name[IF_NAMESIZE];
        struct uplink_list *list;
        struct mac_list vfs; /* MACs of its VFs */
        bool vfs_stale;
        uint64_t vfs_read_at;
        char failure[256]; /* the last that was told, or "" */
};

SLIST_HEAD(neighbour_pfs, neighbour_pf);

/* All switches together; there while at least one has its bridge. */
struct neighbourhood {
        char *directory; /* of the notes */
        struct neighbour_pfs pfs;
        struct mac_list moved; /* to the wire, not acted upon yet */
        bool dirty;
        uint64_t next_pass; /* not before */
        uint64_t look_at;   /* even if nothing happens */
        uint64_t leftovers_at;
        uint64_t nics_seen; /* a digest of the NICs as of the last pass */
};

/* What a pass collects for one PF. */
struct collection {
        struct manager *manager;
        const struct neighbour_pf *pf;
        const struct manager_switch *nic_switch; /* whose table is being read */
        struct uplink_plan_candidate *candidates;
        size_t candidates_count, candidates_room;
        struct uplink_plan_nic *nics;
        size_t nics_count;
        int result;
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static void mark(struct manager *manager)
{
        if (!manager->neighbourhood->dirty)
                manager_schedule(manager);
        manager->neighbourhood->dirty = true;
}

/* ---- PFs ---- */

/* This PF as the switch has it, NULL when it is not beneath it. */
static struct manager_pf *find_uplink(struct manager_switch *nic_switch, int ifindex)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (nic_switch->pfs[i].pf->ifindex == ifindex)
                        return &nic_switch->pfs[i];
        return NULL;
}

/* As any switch has it. */
static struct manager_pf *find_any_uplink(struct manager *manager, int ifindex)
{
        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_pf *uplink = find_uplink(&manager->switches[i], ifindex);

                if (uplink)
                        return uplink;
        }
        return NULL;
}

static struct neighbour_pf *find_pf(const struct manager *manager, int ifindex)
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
        if (r < 0)
                log_warning(pf->name, "%s", vswitch_error_text(&error, r));
        if (!pf->list) {
                free_pf(pf);
                return;
        }
        SLIST_INSERT_HEAD(&manager->neighbourhood->pfs, pf, entry);
}

/* Makes the PFs those that are beneath the switches now. */
static void refresh_pfs(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;

        for (struct neighbour_pf *pf = SLIST_FIRST(&neighbourhood->pfs), *next; pf; pf = next) {
                next = SLIST_NEXT(pf, entry);
                if (find_any_uplink(manager, pf->ifindex))
                        continue;
                SLIST_REMOVE(&neighbourhood->pfs, pf, neighbour_pf, entry);
                free_pf(pf);
                neighbourhood->leftovers_at = manager_now(manager) + LEFTOVERS_GRACE;
                neighbourhood->look_at = earlier(neighbourhood->look_at, neighbourhood->leftovers_at);
        }
        for (size_t i = 0; i < manager->switches_count; i++)
                for (size_t j = 0; j < manager->switches[i].pfs_count; j++)
                        if (!find_pf(manager, manager->switches[i].pfs[j].pf->ifindex))
                                add_pf(manager, &manager->switches[i].pfs[j]);
}

/* The MACs that an earlier daemon listed and that the bridge has forgotten since. */
static void restore_quiet(struct manager_switch *nic_switch)
{
        uint64_t now = manager_now(nic_switch->manager);

        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                const struct neighbour_pf *pf = find_pf(nic_switch->manager, nic_switch->pfs[i].pf->ifindex);

                for (size_t j = 0; pf && j < pf->list->noted_count; j++)
                        (void) fdb_table_restore_quiet(nic_switch->neighbours->table, &pf->list->noted[j].mac,
                                                       pf->list->noted[j].port, now);
        }
}

/* ---- the tables ---- */

static bool read_table(struct manager_switch *nic_switch)
{
        struct neighbours *neighbours = nic_switch->neighbours;
        uint64_t now = manager_now(nic_switch->manager);
        struct vswitch_error error = { 0 };
        int r = fdb_table_resync(neighbours->table, nic_switch->manager->netlink, now, &error);

        neighbours->stale = r < 0;
        neighbours->read_at = neighbours->host_read_at = now;
        if (r < 0)
                log_info(nic_switch->config->name, "its neighbours are not known: %s; tried again in %llu s",
                         vswitch_error_text(&error, r), RETRY / USEC_PER_SEC);
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
        free(neighbourhood->directory);
        free(neighbourhood);
}

static int open_table(struct manager_switch *nic_switch, int bridge)
{
        struct manager *manager = nic_switch->manager;

        if (!manager->neighbourhood)
                manager->neighbourhood = neighbourhood_new(manager);
        if (!manager->neighbourhood)
                return -ENOMEM;
        nic_switch->neighbours = calloc(1, sizeof(*nic_switch->neighbours));
        if (nic_switch->neighbours)
                nic_switch->neighbours->table = fdb_table_new(bridge);
        if (nic_switch->neighbours && nic_switch->neighbours->table)
                return 0;
        neighbours_free(nic_switch);
        return -ENOMEM;
}

void neighbours_refresh(struct manager_switch *nic_switch)
{
        struct softswitch *softswitch = nic_switch->softswitch;
        int bridge = softswitch ? softswitch->driver->ifindex(softswitch) : 0;

        if (nic_switch->neighbours && fdb_table_bridge(nic_switch->neighbours->table) != bridge)
                neighbours_free(nic_switch);
        if (!softswitch || (!nic_switch->neighbours && open_table(nic_switch, bridge) < 0))
                return;
        set_uplinks(nic_switch);
        refresh_pfs(nic_switch->manager);
        if (read_table(nic_switch))
                restore_quiet(nic_switch);
        mark(nic_switch->manager);
}

void neighbours_free(struct manager_switch *nic_switch)
{
        struct manager *manager = nic_switch->manager;
        bool others = false;

        if (!nic_switch->neighbours)
                return;
        fdb_table_free(nic_switch->neighbours->table);
        free(nic_switch->neighbours->echoes);
        free(nic_switch->neighbours);
        nic_switch->neighbours = NULL;
        for (size_t i = 0; i < manager->switches_count; i++)
                others |= manager->switches[i].neighbours != NULL;
        if (others)
                return;
        neighbourhood_free(manager->neighbourhood);
        manager->neighbourhood = NULL;
}

/* ---- notifications ---- */

static bool is_nic(const struct manager *manager, const struct vswitch_mac *mac)
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
        pf = find_pf(manager, entry.ifindex);
        if (pf && !vswitch_mac_is_multicast(&entry.mac) && !is_nic(manager, &entry.mac) &&
            mac_list_has(&pf->list->ours, &entry.mac) == (header->nlmsg_type == RTM_DELNEIGH))
                mark(manager);
}

/* A change of a VF's attributes is told as a change of its PF; what stands on a bridge may have given it an address. */
static void on_link(struct manager *manager, const struct nlmsghdr *header)
{
        const struct ifinfomsg *info = nlmsg_data(header);
        struct neighbour_pf *pf;
        struct nlattr *lower;

        if (!nlmsg_valid_hdr(header, sizeof(*info)) || info->ifi_family != AF_UNSPEC)
                return;
        pf = find_pf(manager, info->ifi_index);
        if (pf) {
                pf->vfs_stale = true;
                mark(manager);
        }
        lower = nlmsg_find_attr((struct nlmsghdr *) header, sizeof(*info), IFLA_LINK);
        for (size_t i = 0; lower && i < manager->switches_count; i++) {
                struct neighbours *neighbours = manager->switches[i].neighbours;

                if (neighbours && (int) nla_get_u32(lower) == fdb_table_bridge(neighbours->table)) {
                        neighbours->host_read_at = 0;
                        mark(manager);
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
static uint64_t expire_echoes(struct neighbours *neighbours, uint64_t now)
{
        uint64_t next = FAILOVER_NEVER;

        for (size_t i = 0; i < neighbours->echoes_count; i++) {
                struct echo *echo = &neighbours->echoes[i];

                if (echo->until > now && fdb_table_is_on_uplink(neighbours->table, &echo->mac)) {
                        next = earlier(next, echo->until);
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
                mark(manager);
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

/* ---- MACs behind a NIC's tap ---- */

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
                behind->until = earlier(behind->until, entry->active + BEHIND_COUNTS);
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
static uint64_t tell_nics(struct manager *manager)
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
                look_at = earlier(look_at, behind.until);
        }
        return look_at;
}

/* ---- what should be listed ---- */

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

                if (nic_switch->neighbours && find_uplink(nic_switch, collection->pf->ifindex) &&
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
        const struct uplink_list *list = collection->pf->list;

        for (size_t i = 0; i < neighbours->echoes_count; i++)
                for (size_t j = 0; j < list->noted_count; j++)
                        if (vswitch_mac_equal(&list->noted[j].mac, &neighbours->echoes[i].mac))
                                add_candidate(collection, &list->noted[j].mac, UPLINK_PLAN_LEARNED, list->noted[j].port,
                                              neighbours->echoes[i].until);
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
static bool needs_filter(const struct manager_nic *nic, int pf_ifindex)
{
        const struct manager_pf *uplink = find_uplink(nic->nic_switch, pf_ifindex);

        return uplink && nic->decision.tables.uplink_filter && facts_filter_belongs(nic, uplink->pf);
}

/* Every NIC that the manager knows, each MAC once: none of them is ours to list, wherever else it is seen. */
static void collect_nics(struct collection *collection)
{
        const struct manager_nic *nic;
        size_t room = 0;

        TAILQ_FOREACH (nic, &collection->manager->nics, entry)
                room++;
        collection->nics = calloc(room + 1, sizeof(*collection->nics));
        if (!collection->nics) {
                collection->result = -ENOMEM;
                return;
        }
        TAILQ_FOREACH (nic, &collection->manager->nics, entry) {
                bool needed = needs_filter(nic, collection->pf->ifindex);
                size_t i = 0;

                while (i < collection->nics_count && !vswitch_mac_equal(&collection->nics[i].mac, &nic->mac))
                        i++;
                if (i == collection->nics_count)
                        collection->nics[collection->nics_count++].mac = nic->mac;
                collection->nics[i].needs_filter |= needed;
        }
}

static void collection_release(struct collection *collection)
{
        free(collection->candidates);
        free(collection->nics);
}

static int collect(struct manager *manager, const struct neighbour_pf *pf, struct collection *ret)
{
        *ret = (struct collection){ .manager = manager, .pf = pf };
        collect_nics(ret);
        for (size_t i = 0; ret->result == 0 && i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];
                const struct manager_pf *uplink = find_uplink(nic_switch, pf->ifindex);

                /* A card without VFs has nobody to be kept from the bridge. */
                if (nic_switch->neighbours && uplink && uplink->pf->total_vfs > 0)
                        collect_switch(ret, nic_switch);
        }
        return ret->result;
}

static struct uplink_plan_input input_of(const struct collection *collection, const struct manager_pf *uplink)
{
        return (struct uplink_plan_input){
                .candidates = collection->candidates,
                .candidates_count = collection->candidates_count,
                .nics = collection->nics,
                .nics_count = collection->nics_count,
                .vfs = collection->pf->vfs.macs,
                .vfs_count = collection->pf->vfs.count,
                .capacity = uplink->filter_capacity ? uplink->filter_capacity : UPLINK_PLAN_NO_LIMIT,
        };
}

/* ---- one PF ---- */

static void free_vfs(struct pf_vf **vfs)
{
        free(*vfs);
}

/* What a VF holds is not to be listed, so a PF whose VFs cannot be read is left as it is. */
static int read_vfs(struct neighbour_pf *pf, struct pf *device, uint64_t now, struct vswitch_error *error)
{
        struct pf_vf *vfs __attribute__((cleanup(free_vfs))) = NULL;
        size_t count = 0;
        int r;

        if (!pf->vfs_stale && now < pf->vfs_read_at + VFS_LOOK)
                return 0;
        r = device->driver->list_vfs(device, &vfs, &count, error);
        pf->vfs.count = 0;
        for (size_t i = 0; r == 0 && i < count; i++) {
                struct pf_vf_attributes attributes = { 0 };

                r = device->driver->read_attributes(device, vfs[i].index, &attributes, error);
                if (r == 0 && (attributes.valid & PF_VF_MAC) && !vswitch_mac_is_zero(&attributes.mac))
                        r = mac_list_add(&pf->vfs, &attributes.mac);
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
                        if (find_uplink(&manager->switches[i], pf->ifindex))
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
                            text, RETRY / USEC_PER_SEC);
}

static void tell_news(struct manager *manager, struct neighbour_pf *pf, uint64_t now)
{
        const char *bridge = "the bridge";
        char text[1024];
        bool is_bad;

        for (size_t i = 0; i < manager->switches_count; i++)
                if (find_uplink(&manager->switches[i], pf->ifindex))
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

/* Returns when to look at it again, even if nothing happens. */
static uint64_t bring_in_line(struct manager *manager, struct neighbour_pf *pf, const struct manager_pf *uplink)
{
        struct collection collection __attribute__((cleanup(collection_release))) = { 0 };
        uint64_t now = manager_now(manager);
        struct vswitch_error error = { 0 };
        struct uplink_plan_input input;
        int r = read_vfs(pf, uplink->pf, now, &error);

        if (r == 0) {
                forget_quiet_of_vfs(manager, pf);
                r = collect(manager, pf, &collection);
        }
        if (r == 0) {
                /* Learned by the bridge before its guest was known: the core's from now on. */
                for (size_t i = 0; i < collection.nics_count; i++)
                        uplink_list_disown(pf->list, &collection.nics[i].mac);
                input = input_of(&collection, uplink);
                r = uplink_list_apply(pf->list, uplink->pf, &input, now, &error);
        }
        tell_failure(pf, r, &error);
        tell_news(manager, pf, now);
        if (r < 0)
                return now + RETRY;
        if (pf->list->left_out_count > 0)
                return earlier(now + SHORTAGE_LOOK, uplink_list_news_at(pf->list));
        return uplink->pf->total_vfs > 0 ? now + HOST_LOOK : FAILOVER_NEVER;
}

/* ---- notes of PFs that no switch has ---- */

static void clean_up_after(struct manager *manager, const char *name)
{
        const struct uplink_plan_input nothing = { .capacity = UPLINK_PLAN_NO_LIMIT };
        const char *directory = manager->neighbourhood->directory;
        struct uplink_list *list = NULL;
        struct vswitch_error error = { 0 };
        struct pf *pf = NULL;
        int r = manager->options.pf_driver->open(manager->netlink, name, &pf, &error);

        if (r == -ENODEV) {
                r = state_file_remove(directory, name, &error);
        } else if (r == 0) {
                r = uplink_list_open(directory, name, pf->ifindex, &list, &error);
                if (r == 0 && list->ours.count > 0)
                        log_notice(name, "it is beneath no switch any more: removing %zu addresses from its list",
                                   list->ours.count);
                if (r == 0)
                        r = uplink_list_apply(list, pf, &nothing, manager_now(manager), &error);
                uplink_list_free(list);
                pf->driver->close(pf);
        }
        if (r < 0)
                log_warning(name, "cannot remove what was listed for a switch that it is not beneath any more: %s",
                            vswitch_error_text(&error, r));
}

static bool is_beneath_any(const struct manager *manager, const char *name)
{
        const struct neighbour_pf *pf;

        SLIST_FOREACH (pf, &manager->neighbourhood->pfs, entry)
                if (strcmp(pf->name, name) == 0)
                        return true;
        return false;
}

static void clean_up(struct manager *manager)
{
        DIR *directory = opendir(manager->neighbourhood->directory);

        manager->neighbourhood->leftovers_at = FAILOVER_NEVER;
        for (struct dirent *entry; directory && (entry = readdir(directory));) {
                char name[IF_NAMESIZE] = "";
                size_t length = strlen(entry->d_name);

                if (length <= 5 || length - 5 >= sizeof(name) || strcmp(entry->d_name + length - 5, ".json") != 0)
                        continue;
                memcpy(name, entry->d_name, length - 5);
                if (!is_beneath_any(manager, name))
                        clean_up_after(manager, name);
        }
        if (directory)
                closedir(directory);
}

/* ---- the pass ---- */

static bool is_short(const struct manager_switch *nic_switch)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                const struct neighbour_pf *pf = find_pf(nic_switch->manager, nic_switch->pfs[i].pf->ifindex);

                if (pf && pf->list->left_out_count > 0)
                        return true;
        }
        return false;
}

/* Reads what no notification tells of. Returns when to look again. */
static uint64_t bring_table_up_to_date(struct manager_switch *nic_switch)
{
        struct neighbours *neighbours = nic_switch->neighbours;
        struct vswitch_netlink *netlink = nic_switch->manager->netlink;
        uint64_t now = manager_now(nic_switch->manager);
        bool changed = false;

        if (neighbours->stale || (is_short(nic_switch) && now >= neighbours->read_at + ACTIVITY_LOOK)) {
                if (!read_table(nic_switch))
                        return now + RETRY;
        } else if (now >= neighbours->host_read_at + HOST_LOOK || neighbours->host_read_at == 0) {
                neighbours->host_read_at = now;
                if (fdb_table_read_host(neighbours->table, netlink, &changed, NULL) < 0)
                        neighbours->stale = true;
        }
        return earlier(fdb_table_expire(neighbours->table, now), expire_echoes(neighbours, now));
}

static void pass(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        uint64_t begin = manager_now(manager), look_at = FAILOVER_NEVER, end, pause;
        struct neighbour_pf *pf;

        neighbourhood->dirty = false;
        for (size_t i = 0; i < manager->switches_count; i++)
                if (manager->switches[i].neighbours)
                        look_at = earlier(look_at, bring_table_up_to_date(&manager->switches[i]));
        look_at = earlier(look_at, tell_nics(manager));
        SLIST_FOREACH (pf, &neighbourhood->pfs, entry) {
                struct manager_pf *uplink = find_any_uplink(manager, pf->ifindex);

                if (uplink)
                        look_at = earlier(look_at, bring_in_line(manager, pf, uplink));
        }
        if (begin >= neighbourhood->leftovers_at)
                clean_up(manager);
        neighbourhood->look_at = earlier(look_at, neighbourhood->leftovers_at);
        end = manager_now(manager);
        pause = PASS_SHARE * (end - begin);
        neighbourhood->next_pass = end + (pause > PASS_PAUSE ? pause : PASS_PAUSE);
}

static void remove_moved(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        struct neighbour_pf *pf;

        if (neighbourhood->moved.count == 0)
                return;
        SLIST_FOREACH (pf, &neighbourhood->pfs, entry) {
                struct manager_pf *uplink = find_any_uplink(manager, pf->ifindex);
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
                        digest = (digest ^ needs_filter(nic, pf->ifindex)) * 0x100000001b3;
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
        struct neighbour_pf *neighbour_pf = find_pf(manager, pf->ifindex);
        const struct manager_pf *uplink = find_uplink(nic_switch, pf->ifindex);
        struct collection collection __attribute__((cleanup(collection_release))) = { 0 };
        struct uplink_plan_input input;

        if (!neighbour_pf || !uplink || neighbour_pf->list->ours.count == 0 ||
            collect(manager, neighbour_pf, &collection) < 0)
                return false;
        input = input_of(&collection, uplink);
        mark(manager);
        return uplink_list_make_room(neighbour_pf->list, pf, &input, is_full, manager_now(manager));
}

/* ---- the view ---- */

struct view {
        const struct manager_switch *nic_switch;
        const struct neighbour_pf *pf;
        struct vswitch_mac *listed;
        size_t listed_count;
        neighbours_each each;
        void *userdata;
};

static const char *state_of(const struct view *view, const struct vswitch_mac *mac, bool nic)
{
        const struct uplink_list *list = view->pf ? view->pf->list : NULL;

        for (size_t i = 0; list && i < view->listed_count; i++)
                if (vswitch_mac_equal(&view->listed[i], mac))
                        return nic || mac_list_has(&list->ours, mac) ? "listed" : "foreign";
        for (size_t i = 0; list && i < list->left_out_count; i++)
                if (vswitch_mac_equal(&list->left_out[i].mac, mac))
                        return "left-out";
        return "none";
}

static int show(const struct view *view, const struct vswitch_mac *mac, const char *port, unsigned vlan,
                const char *kind)
{
        char text[VSWITCH_MAC_TEXT_SIZE];
        bool nic = is_nic(view->nic_switch->manager, mac);
        const struct control_neighbour neighbour = {
                .mac = vswitch_mac_format(mac, text),
                .port = port,
                .vlan = vlan,
                .kind = nic ? "guest" : kind,
                .state = state_of(view, mac, nic),
        };

        return view->each(&neighbour, view->userdata);
}

static int show_entry(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata)
{
        static const char *const kinds[] = {
                [FDB_LOCAL] = "local",
                [FDB_STATIC] = "static",
                [FDB_LEARNED] = "learned",
                [FDB_QUIET] = "quiet",
        };
        const struct view *view = userdata;
        const struct fdb_table *table = view->nic_switch->neighbours->table;

        if (port->is_uplink || (entry->kind == FDB_LOCAL && !fdb_table_is_host(table, entry)))
                return 0;
        return show(view, &entry->mac,
                    entry->ifindex == fdb_table_bridge(table) ? view->nic_switch->config->bridge : port->name,
                    entry->vlan, kinds[entry->kind]);
}

int neighbours_for_each(const struct manager_switch *nic_switch, neighbours_each each, void *userdata)
{
        struct pf *device = nic_switch->pf ? nic_switch->pf : nic_switch->pfs_count > 0 ? nic_switch->pfs[0].pf : NULL;
        struct view view = { .nic_switch = nic_switch, .each = each, .userdata = userdata };
        const struct vswitch_mac *host;
        size_t count = 0;
        int r;

        if (!nic_switch->neighbours)
                return 0;
        if (device) {
                view.pf = find_pf(nic_switch->manager, device->ifindex);
                (void) device->driver->uplink_filter_list(device, &view.listed, &view.listed_count, NULL);
        }
        r = fdb_table_for_each(nic_switch->neighbours->table, show_entry, &view);
        host = fdb_table_host_macs(nic_switch->neighbours->table, &count);
        for (size_t i = 0; r == 0 && i < count; i++)
                r = show(&view, &host[i], nic_switch->config->bridge, 0, "local");
        free(view.listed);
        return r;
}
