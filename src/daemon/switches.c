/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * Each configured switch is a bridge and uplinks that may be there or not, now or later. Nothing here fails for good:
 * what is missing is said in the switch's sentence, and every link that appears is a reason to look again. The kernel's
 * notifications only mark things: a link of a switch makes the whole switch stale, and it is read again once, however
 * many notifications came, when the reconcile step begins; table changes make the NICs with that MAC read their tables
 * again. What is beneath the bridge is in uplinks.c.
 *
 * What is missing comes with a notification. What could not be read does not: the kernel was short of memory, or the list
 * of links changed each time that it was read. Then what was known before holds, which keeps the guests' paths, and the
 * clock makes another attempt, after ever longer pauses up to a bound.
 *
 * A bridge is the same for as long as its ifindex is and nobody was told of its end. One that was made again under its
 * name is another one, with tables of its own.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After a look that failed; doubled with each further one, up to the bound. */
#define RETRY_PAUSE     (1 * USEC_PER_SEC)
#define RETRY_PAUSE_MAX (32 * USEC_PER_SEC)

/* Something is not there; that it comes will be told. */
static bool is_missing(int result)
{
        return result == -ENODEV || result == -ENOENT || result == -ENOTCONN;
}

static void set_sentence(struct manager_switch *nic_switch, const char *sentence)
{
        if (strcmp(nic_switch->sentence, sentence) == 0)
                return;
        snprintf(nic_switch->sentence, sizeof(nic_switch->sentence), "%s", sentence);
        if (sentence[0])
                log_warning(nic_switch->config->name, "%s", sentence);
        else
                log_info(nic_switch->config->name, "switch %s with uplink %s is usable", nic_switch->config->bridge,
                         nic_switch->uplink.name);
        if (nic_switch->manager->control)
                control_event(nic_switch->manager->control, sentence[0] ? "warning" : "pf", nic_switch->config->name,
                              sentence[0] ? sentence : "the switch is usable");
}

/* Makes the bridge and enslaves the first uplink, where the configuration says so: a second one might close a loop. */
static int create_bridge(struct manager_switch *nic_switch, struct vswitch_error *error)
{
        struct vswitch_netlink *netlink = nic_switch->manager->netlink;
        const struct config_switch *config = nic_switch->config;
        struct vswitch_link bridge, uplink;
        int r = vswitch_link_get_by_name(netlink, config->bridge, &bridge, error);

        if (r == -ENODEV) {
                r = vswitch_link_add_bridge(netlink, config->bridge, error);
                if (r == 0)
                        log_notice(config->name, "made the bridge %s", config->bridge);
        }
        if (r == 0)
                r = vswitch_link_get_by_name(netlink, config->bridge, &bridge, error);
        if (r == 0 && !bridge.up)
                r = vswitch_link_set_up(netlink, bridge.ifindex, true, error);
        if (r == 0 && config->uplinks_count > 0 &&
            vswitch_link_get_by_name(netlink, config->uplinks[0], &uplink, NULL) == 0 && uplink.master == 0) {
                r = vswitch_link_set_master(netlink, uplink.ifindex, bridge.ifindex, error);
                if (r == 0)
                        log_notice(config->name, "made %s the uplink port of %s", uplink.name, config->bridge);
        }
        return r < 0 ? vswitch_error_prefix(error, r, "cannot set up the bridge %s", config->bridge) : 0;
}

static void drop_bridge(struct manager_switch *nic_switch)
{
        uplinks_drop(nic_switch);
        nic_switch->bridge_removed = false;
        nic_switch->looked = false;
        if (!nic_switch->softswitch)
                return;
        nic_switch->softswitch->driver->close(nic_switch->softswitch);
        nic_switch->softswitch = NULL;
        nic_switch->bridge_generation++;
}

static bool is_another_bridge(const struct manager_switch *nic_switch, const struct vswitch_link *bridge)
{
        const struct softswitch *softswitch = nic_switch->softswitch;

        return softswitch && (nic_switch->bridge_removed || softswitch->driver->ifindex(softswitch) != bridge->ifindex);
}

static int open_bridge(struct manager_switch *nic_switch, struct vswitch_error *error)
{
        struct manager *manager = nic_switch->manager;
        struct vswitch_link bridge;
        int r = vswitch_link_get_by_name(manager->netlink, nic_switch->config->bridge, &bridge, error);

        if (is_missing(r) || (r == 0 && is_another_bridge(nic_switch, &bridge)))
                drop_bridge(nic_switch);
        if (is_missing(r))
                return vswitch_error_set(error, r,
                                         "the bridge %s does not exist; make it ('ip link add %s type bridge'), or "
                                         "set create = yes for switch \"%s\" in the configuration",
                                         nic_switch->config->bridge, nic_switch->config->bridge,
                                         nic_switch->config->name);
        if (r < 0 || nic_switch->softswitch)
                return r;
        nic_switch->bridge_removed = false;
        return manager->options.softswitch_driver->open(manager->netlink, nic_switch->config->bridge,
                                                        &nic_switch->softswitch, error);
}

/* A kernel that cannot filter VLANs has no such file. */
static int read_filters_vlans(struct manager_switch *nic_switch, struct vswitch_error *error)
{
        char path[128], text[4] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/sys/class/net/%s/bridge/vlan_filtering", nic_switch->config->bridge);
        file = fopen(path, "re");
        if (!file && errno != ENOENT)
                return vswitch_error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
        if (file && !fgets(text, sizeof(text), file))
                text[0] = '\0';
        if (file)
                fclose(file);
        nic_switch->filters_vlans = text[0] == '1';
        return 0;
}

/* The MACs of neighbours are kept in the lists of all PFs: another PF needs them too. */
static bool same_pfs(const struct manager_switch *nic_switch, const struct manager_pf *before, size_t before_count)
{
        if (nic_switch->pfs_count != before_count)
                return false;
        /* Not by their struct pf: a new one may be where an old one was. */
        for (size_t i = 0; i < before_count; i++)
                if (nic_switch->pfs[i].link.ifindex != before[i].link.ifindex ||
                    strcmp(nic_switch->pfs[i].link.name, before[i].link.name) != 0 ||
                    nic_switch->pfs[i].port != before[i].port)
                        return false;
        return true;
}

/* What was seen. A failure that a notification will end is in `result`, any other in `result` or `creation`. */
struct look {
        int result;
        struct vswitch_error error;
        int creation;
        struct vswitch_error creation_error;
};

static void look(struct manager_switch *nic_switch, struct look *ret)
{
        struct vswitch_error error = { 0 };
        int r;

        *ret = (struct look){ 0 };
        if (nic_switch->config->create)
                ret->creation = create_bridge(nic_switch, &ret->creation_error);
        ret->result = open_bridge(nic_switch, &ret->error);
        if (ret->result < 0)
                return;
        ret->result = read_filters_vlans(nic_switch, &ret->error);
        r = uplinks_refresh(nic_switch, &error);
        if (r < 0) {
                ret->result = r;
                ret->error = error;
        }
}

static void look_again_later(struct manager_switch *nic_switch)
{
        uint64_t now = manager_now(nic_switch->manager);

        if (nic_switch->retry_at > now)
                return;
        nic_switch->retry_pause = nic_switch->retry_pause == 0                ? RETRY_PAUSE
                                  : nic_switch->retry_pause < RETRY_PAUSE_MAX ? 2 * nic_switch->retry_pause
                                                                              : RETRY_PAUSE_MAX;
        nic_switch->retry_at = now + nic_switch->retry_pause;
}

/* The look failed, for a reason that no notification will end. */
static void cannot_look(struct manager_switch *nic_switch, const char *cause)
{
        const char *name = nic_switch->config->name;
        char text[sizeof(nic_switch->sentence)];

        if (!nic_switch->looked || nic_switch->pfs_count == 0) {
                snprintf(text, sizeof(text), "%s; tried again until it succeeds", cause);
                set_sentence(nic_switch, text);
        } else if (!nic_switch->unread) {
                snprintf(text, sizeof(text), "cannot be looked at, so what was known of it holds: %s; tried again",
                         cause);
                log_warning(name, "%s", text);
                if (nic_switch->manager->control)
                        control_event(nic_switch->manager->control, "warning", name, text);
        }
        nic_switch->unread = true;
}

static void take_result(struct manager_switch *nic_switch, const struct look *seen)
{
        bool failed = seen->result < 0 && !is_missing(seen->result);

        if (failed || seen->creation < 0 || nic_switch->incomplete) {
                look_again_later(nic_switch);
        } else {
                nic_switch->retry_at = 0;
                nic_switch->retry_pause = 0;
        }
        if (failed) {
                cannot_look(nic_switch, vswitch_error_text(&seen->error, seen->result));
                return;
        }
        if (nic_switch->unread && nic_switch->looked)
                log_info(nic_switch->config->name, "could be looked at again");
        nic_switch->unread = false;
        nic_switch->looked = nic_switch->softswitch != NULL;
        set_sentence(nic_switch, seen->creation < 0 ? vswitch_error_text(&seen->creation_error, seen->creation)
                                 : seen->result < 0 ? vswitch_error_text(&seen->error, seen->result)
                                                    : "");
}

/* The links by what the NICs' tables depend on; counters always differ. */
static bool same_link(const struct vswitch_link *a, const struct vswitch_link *b)
{
        return a->ifindex == b->ifindex && strcmp(a->name, b->name) == 0 && vswitch_mac_equal(&a->mac, &b->mac) &&
               a->master == b->master && a->mtu == b->mtu && a->up == b->up && a->carrier == b->carrier &&
               a->lower == b->lower && a->vlan == b->vlan && a->vlan_protocol == b->vlan_protocol &&
               a->bond_mode == b->bond_mode && a->bond_active == b->bond_active && a->port_state == b->port_state;
}

static bool same_bridge(const struct manager_switch *a, const struct manager_switch *b)
{
        return a->bridge_generation == b->bridge_generation && !a->softswitch == !b->softswitch;
}

/* Has all that a look sees of the switch stayed the same? */
static bool same_picture(const struct manager_switch *a, const struct manager_switch *b)
{
        if (!same_bridge(a, b) || !same_pfs(b, a->pfs, a->pfs_count) || !same_link(&a->uplink, &b->uplink) ||
            !a->pf != !b->pf || a->entered_by != b->entered_by || a->obstacle != b->obstacle ||
            a->filters_vlans != b->filters_vlans || a->incomplete != b->incomplete || a->unread != b->unread ||
            strcmp(a->sentence, b->sentence) != 0)
                return false;
        for (size_t i = 0; i < a->pfs_count; i++)
                if (!same_link(&a->pfs[i].link, &b->pfs[i].link) || a->pfs[i].wire_vlan != b->pfs[i].wire_vlan)
                        return false;
        return true;
}

static void refresh(struct manager_switch *nic_switch, bool all)
{
        const struct manager_switch before = *nic_switch;
        struct manager_nic *nic;
        struct look seen;

        nic_switch->stale = false;
        look(nic_switch, &seen);
        take_result(nic_switch, &seen);
        if (all || !same_bridge(&before, nic_switch) || !same_pfs(nic_switch, before.pfs, before.pfs_count))
                neighbours_refresh(nic_switch);
        /* Also when all NICs are looked at: it is what the next message is compared with. */
        uplinks_look_at_vfs(nic_switch);
        /* Hundreds of NICs are not looked at for a message that says nothing new. What it may hide is of VFs. */
        if (!all && same_picture(&before, nic_switch))
                return;
        TAILQ_FOREACH (nic, &nic_switch->manager->nics, entry)
                if (nic->nic_switch == nic_switch) {
                        nic->tables_stale = true;
                        manager_nic_dirty(nic);
                }
}

void switches_refresh(struct manager *manager)
{
        for (size_t i = 0; i < manager->switches_count; i++)
                refresh(&manager->switches[i], true);
        manager_all_dirty(manager, true);
}

void switches_reconcile(struct manager *manager)
{
        uint64_t now = manager_now(manager);

        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];

                if (nic_switch->stale || (nic_switch->retry_at && nic_switch->retry_at <= now))
                        refresh(nic_switch, false);
        }
}

uint64_t switches_deadline(const struct manager *manager)
{
        uint64_t deadline = FAILOVER_NEVER;

        for (size_t i = 0; i < manager->switches_count; i++)
                if (manager->switches[i].retry_at && manager->switches[i].retry_at < deadline)
                        deadline = manager->switches[i].retry_at;
        return deadline;
}

int switches_new(struct manager *manager, struct vswitch_error *error)
{
        const struct config *config = manager->options.config;

        manager->switches = calloc(config->switches_count ? config->switches_count : 1, sizeof(*manager->switches));
        if (!manager->switches)
                return -ENOMEM;
        manager->switches_count = config->switches_count;
        for (size_t i = 0; i < config->switches_count; i++) {
                manager->switches[i].manager = manager;
                manager->switches[i].config = &config->switches[i];
                refresh(&manager->switches[i], true);
        }
        return 0;
}

void switches_free(struct manager *manager)
{
        for (size_t i = 0; i < manager->switches_count; i++) {
                neighbours_free(&manager->switches[i]);
                drop_bridge(&manager->switches[i]);
        }
        opened_pfs_free(manager);
        free(manager->switches);
        manager->switches = NULL;
        manager->switches_count = 0;
}

struct manager_switch *switches_find_by_bridge(struct manager *manager, const char *bridge)
{
        for (size_t i = 0; bridge[0] && i < manager->switches_count; i++)
                if (strcmp(manager->switches[i].config->bridge, bridge) == 0)
                        return &manager->switches[i];
        return NULL;
}

struct manager_switch *switches_find_by_name(struct manager *manager, const char *name)
{
        for (size_t i = 0; i < manager->switches_count; i++)
                if (strcmp(manager->switches[i].config->name, name) == 0)
                        return &manager->switches[i];
        return NULL;
}

struct manager_pf *switches_find_pf(struct manager_switch *nic_switch, const char *name)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (strcmp(nic_switch->pfs[i].pf->name, name) == 0)
                        return &nic_switch->pfs[i];
        return NULL;
}

/* ---- notifications ---- */

/* One look for all that came at once, in the reconcile step. */
static void mark_stale(struct manager *manager, const struct vswitch_link *link, bool removed)
{
        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];
                const struct softswitch *softswitch = nic_switch->softswitch;

                bool is_bridge = softswitch && softswitch->driver->ifindex(softswitch) == link->ifindex;

                /* Before the look there may be another one, and with any ifindex. */
                nic_switch->bridge_removed |= removed && is_bridge;
                if (!is_bridge && strcmp(nic_switch->config->bridge, link->name) != 0 &&
                    !uplinks_concern(nic_switch, link))
                        continue;
                nic_switch->stale = true;
                manager_schedule(manager);
        }
}

static void on_link(struct manager *manager, const struct nlmsghdr *header)
{
        bool removed = header->nlmsg_type == RTM_DELLINK;
        struct vswitch_link link;
        struct manager_nic *nic;

        if (vswitch_link_parse(header, &link) < 0)
                return;
        removed &= !link.is_port_message; /* that is a port which left its bridge */
        mark_stale(manager, &link, removed);
        TAILQ_FOREACH (nic, &manager->nics, entry) {
                if (strcmp(nic->tap, link.name) != 0)
                        continue;
                if (removed)
                        nic->tap_ifindex = 0;
                nic->tables_stale = true;
                manager_nic_dirty(nic);
        }
}

static void on_neighbour(struct manager *manager, struct nlmsghdr *header)
{
        const struct ndmsg *neighbour = nlmsg_data(header);
        struct nlattr *address;
        struct manager_nic *nic;

        if (nlmsg_datalen(header) < (int) sizeof(*neighbour) || neighbour->ndm_family != AF_BRIDGE)
                return;
        address = nlmsg_find_attr(header, sizeof(*neighbour), NDA_LLADDR);
        if (!address || nla_len(address) != ETH_ALEN)
                return;
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (memcmp(nla_data(address), nic->mac.bytes, ETH_ALEN) == 0) {
                        nic->tables_stale = true;
                        manager_nic_dirty(nic);
                }
}

static void on_filter(struct manager *manager, struct nlmsghdr *header)
{
        const struct tcmsg *filter = nlmsg_data(header);
        struct manager_nic *nic;

        if (nlmsg_datalen(header) < (int) sizeof(*filter))
                return;
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->nic_switch->uplink.ifindex == filter->tcm_ifindex) {
                        nic->tables_stale = true;
                        manager_nic_dirty(nic);
                }
}

int switches_on_notification(const struct nlmsghdr *header, void *userdata)
{
        struct manager *manager = userdata;

        neighbours_on_notification(manager, header);
        policies_on_notification(manager, header);
        switch (header->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
                on_link(manager, header);
                carrier_on_notification(manager);
                break;
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
                on_neighbour(manager, (struct nlmsghdr *) header);
                break;
        case RTM_NEWTFILTER:
        case RTM_DELTFILTER:
        case RTM_DELQDISC:
                on_filter(manager, (struct nlmsghdr *) header);
                break;
        }
        return 0;
}
