/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * From each uplink the devices are followed downwards: a VLAN device to the one that it stands on (IFLA_LINK), a bond
 * or team to its members (those whose master it is). What is neither is a PF. On the way it is noted which tags are
 * put on, whether several members carry frames at a time, and for each PF whether every bond above it has chosen its
 * branch.
 *
 * Then the uplinks are weighed. One that the spanning tree blocks passes no frame, so it does not count; the bridge
 * also puts a port out of use (BR_STATE_DISABLED) that is down or has no carrier, spanning tree or not. A sole uplink
 * that is down still is the one by which frames will enter, and what stands in the way is its carrier; so only the
 * states in between, and an uplink that is out of use with a carrier, are called "not forwarding".
 *
 * Of a team nothing is known here: which member it uses is decided by a program and told over generic netlink only.
 */

#include "topology.h"

#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <string.h>

/* Devices on one another; the kernel allows eight. */
#define DEPTH_MAX 8

struct search {
        const struct vswitch_link *links;
        size_t count;
        struct topology *topology;
};

/* What was met between an uplink and the device at hand. */
struct way {
        const struct vswitch_link *port;
        unsigned depth;
        unsigned tags;
        bool odd_tag; /* one that is not 802.1Q */
        uint16_t vlan;
        bool chosen; /* every bond on the way has this branch as its active member */
};

/* What lies beneath one uplink. */
struct uplink {
        const struct vswitch_link *port;
        bool in_lag;
        bool on_hardware;
        size_t pfs_count;
        const struct topology_pf *active;
        bool tags; /* of the active one: more than a VF can put on */
};

static const struct vswitch_link *find_by_index(const struct search *search, int ifindex)
{
        for (size_t i = 0; ifindex > 0 && i < search->count; i++)
                if (search->links[i].ifindex == ifindex)
                        return &search->links[i];
        return NULL;
}

static const struct vswitch_link *find_by_name(const struct search *search, const char *name)
{
        for (size_t i = 0; i < search->count; i++)
                if (strcmp(search->links[i].name, name) == 0)
                        return &search->links[i];
        return NULL;
}

static bool is_kind(const struct vswitch_link *link, const char *kind)
{
        return strcmp(link->kind, kind) == 0;
}

bool topology_has_device(const struct topology_devices *devices, int ifindex)
{
        for (size_t i = 0; i < devices->count; i++)
                if (devices->ifindex[i] == ifindex)
                        return true;
        return false;
}

static void note_device(struct topology_devices *devices, int ifindex)
{
        if (devices->count < TOPOLOGY_DEVICES_MAX && !topology_has_device(devices, ifindex))
                devices->ifindex[devices->count++] = ifindex;
}

static void found_pf(struct search *search, const struct vswitch_link *link, const struct way *way,
                     struct uplink *uplink)
{
        struct topology *topology = search->topology;
        struct topology_pf *pf = NULL;

        uplink->pfs_count++;
        uplink->on_hardware |= link->kind[0] == '\0';
        /* A PF may be beneath two ports, by itself and with a tag; it is listed with the first. */
        for (size_t i = 0; i < topology->pfs_count && !pf; i++)
                if (topology->pfs[i].link == link)
                        pf = &topology->pfs[i];
        if (!pf) {
                if (topology->pfs_count == TOPOLOGY_PFS_MAX) {
                        topology->overflow = true;
                        return;
                }
                pf = &topology->pfs[topology->pfs_count++];
                *pf = (struct topology_pf){ .link = link, .port = way->port, .wire_vlan = way->vlan };
        }
        if (way->chosen) {
                uplink->active = pf;
                uplink->tags = way->tags > 1 || way->odd_tag;
        }
}

static void descend(struct search *search, const struct vswitch_link *link, struct way way, struct uplink *uplink)
{
        note_device(&search->topology->devices, link->ifindex);
        if (++way.depth > DEPTH_MAX)
                return;
        if (is_kind(link, "vlan")) {
                const struct vswitch_link *lower = find_by_index(search, link->lower);

                way.tags++;
                way.odd_tag |= link->vlan_protocol != ETH_P_8021Q;
                way.vlan = link->vlan;
                if (lower)
                        descend(search, lower, way, uplink);
                return;
        }
        if (!is_kind(link, "bond") && !is_kind(link, "team")) {
                found_pf(search, link, &way, uplink);
                return;
        }
        uplink->in_lag |= is_kind(link, "team") || link->bond_mode != VSWITCH_LINK_BOND_ACTIVE_BACKUP;
        for (size_t i = 0; i < search->count; i++) {
                struct way branch = way;

                if (search->links[i].master != link->ifindex)
                        continue;
                branch.chosen &= search->links[i].ifindex == link->bond_active;
                descend(search, &search->links[i], branch, uplink);
        }
}

static bool stands_on_hardware(const struct search *search, const struct vswitch_link *port)
{
        struct topology aside = { .verdict = TOPOLOGY_NO_UPLINK };
        struct search look = { .links = search->links, .count = search->count, .topology = &aside };
        struct uplink uplink = { .port = port };

        descend(&look, port, (struct way){ .port = port }, &uplink);
        return uplink.on_hardware;
}

/* ---- the verdict ---- */

/* The bridge keeps a port without a carrier out of use; it does not learn of a lost one at once. */
static bool is_down(const struct vswitch_link *port)
{
        return !port->up || !port->carrier;
}

static enum topology_verdict weigh(const struct uplink *uplink, struct topology *topology)
{
        if (uplink->pfs_count == 0)
                return TOPOLOGY_NO_UPLINK;
        if (uplink->in_lag)
                return TOPOLOGY_IN_LAG;
        if (!uplink->active)
                return TOPOLOGY_NO_ACTIVE_MEMBER;
        if (uplink->tags)
                return TOPOLOGY_TAGS;
        topology->active = uplink->active;
        return TOPOLOGY_ONE_PF;
}

/* What the uplinks seen so far come to. */
struct balance {
        struct uplink forwards; /* the first that does */
        struct uplink first;
        size_t forwarding, held_back;
};

static void weigh_in(struct balance *balance, const struct uplink *uplink, struct topology *topology)
{
        if (topology->uplinks_count++ == 0)
                balance->first = *uplink;
        if (uplink->port->port_state == BR_STATE_FORWARDING) {
                if (balance->forwarding++ == 0)
                        balance->forwards = *uplink;
        } else if (uplink->port->port_state != BR_STATE_DISABLED || !is_down(uplink->port)) {
                balance->held_back++;
        }
}

static enum topology_verdict decide(const struct balance *balance, struct topology *topology)
{
        if (topology->uplinks_count == 0)
                return TOPOLOGY_NO_UPLINK;
        if (balance->forwarding > 1)
                return TOPOLOGY_SEVERAL_UPLINKS;
        if (balance->forwarding == 1)
                return weigh(&balance->forwards, topology);
        if (balance->held_back > 0)
                return TOPOLOGY_NOT_FORWARDING;
        return topology->uplinks_count == 1 ? weigh(&balance->first, topology) : TOPOLOGY_ALL_DOWN;
}

static void take_uplink(struct search *search, const struct vswitch_link *port, struct balance *balance)
{
        struct uplink uplink = { .port = port };

        descend(search, port, (struct way){ .port = port, .chosen = true }, &uplink);
        weigh_in(balance, &uplink, search->topology);
}

static void take_named(struct search *search, int bridge_ifindex, const char *name, struct balance *balance)
{
        const struct vswitch_link *port = find_by_name(search, name);

        if (port && port->master == bridge_ifindex) {
                take_uplink(search, port, balance);
        } else if (!search->topology->missing) {
                search->topology->missing = name;
                search->topology->missing_link = port;
        }
}

void topology_find(int bridge_ifindex, char *const *names, size_t names_count, const struct vswitch_link *links,
                   size_t links_count, struct topology *ret)
{
        struct search search = { .links = links, .count = links_count, .topology = ret };
        struct balance balance = { .forwarding = 0 };

        *ret = (struct topology){ .verdict = TOPOLOGY_NO_UPLINK };
        for (size_t i = 0; i < names_count; i++)
                take_named(&search, bridge_ifindex, names[i], &balance);
        for (size_t i = 0; names_count == 0 && i < links_count; i++)
                if (links[i].master == bridge_ifindex && stands_on_hardware(&search, &links[i]))
                        take_uplink(&search, &links[i], &balance);
        ret->uplink = balance.forwarding > 0 ? balance.forwards.port : balance.first.port;
        ret->verdict = decide(&balance, ret);
}

bool topology_may_gain(const struct topology_devices *devices, int bridge_ifindex, const struct vswitch_link *link)
{
        /* A message about a port does not tell the kind; the one about the device follows or went before. */
        if (link->is_port_message || link->master == 0)
                return false;
        if (link->master != bridge_ifindex)
                return topology_has_device(devices, link->master);
        return link->kind[0] == '\0' || is_kind(link, "vlan") || is_kind(link, "bond") || is_kind(link, "team");
}
