/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * Entries hang in a hash over the MAC alone, so that all VLANs of a MAC are found together, and in a list of their
 * port, so that a port that goes takes them along without a look at the others. The hash is multiplicative with a
 * secret factor: guests choose MACs, and must not be able to choose collisions.
 *
 * Notifications come in the kernel's order, but a resync may be older or newer than some that are still in the queue.
 * Each message says how one entry or port is from now on, so applying an old one twice ends in the same state; an entry
 * that names an unknown port is therefore taken with a port that has no name yet.
 *
 * Ports count their learned and their quiet entries, and have no more than so many: a port that is full takes no further
 * one and notes that it is cut. Those it has stay, so that who was there before a flood is not driven out by it.
 *
 * A resync marks everything, reads, and drops what was not seen. Since a dump can skip entries (see fdb_dump), it is
 * repeated until it brings nothing new, and what any of the dumps had counts as there: if it has gone meanwhile, the
 * notification of that is still to come.
 */

#include "fdb_table.h"

#include "cleanup.h"
#include "mac_list.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#define BUCKETS_FIRST 256
#define PORT_BUCKETS  256
#define UPLINKS_MAX   64

/* Dumps of one resync. Two agree on a bridge on which little happens. */
#define DUMPS_MAX 6

struct node {
        struct fdb_table_entry entry; /* first */
        LIST_ENTRY(node) by_mac;
        LIST_ENTRY(node) by_port;
        unsigned seen; /* by which resync */
};

LIST_HEAD(nodes, node);

struct port {
        struct fdb_table_port port; /* first */
        LIST_ENTRY(port) in_bucket;
        struct nodes nodes;
        unsigned learned_count, quiet_count;
        bool cut; /* it has had more learned entries than are kept */
        unsigned seen;
};

LIST_HEAD(ports, port);

struct fdb_table {
        int bridge;
        struct vswitch_mac bridge_mac;
        uint64_t factor; /* of the hash */
        struct nodes *buckets;
        size_t buckets_count; /* a power of two */
        size_t count;
        struct ports ports[PORT_BUCKETS];
        struct mac_list host;
        int uplinks[UPLINKS_MAX];
        size_t uplinks_count;
        unsigned resync;
};

/* ---- finding ---- */

static struct nodes *bucket_of(const struct fdb_table *table, const struct vswitch_mac *mac)
{
        uint64_t key = 0;

        memcpy(&key, mac->bytes, sizeof(mac->bytes));
        return &table->buckets[(key * table->factor) >> 32 & (table->buckets_count - 1)];
}

static struct node *find_node(const struct fdb_table *table, const struct vswitch_mac *mac, uint16_t vlan)
{
        struct node *node;

        LIST_FOREACH (node, bucket_of(table, mac), by_mac)
                if (node->entry.vlan == vlan && vswitch_mac_equal(&node->entry.mac, mac))
                        return node;
        return NULL;
}

static struct port *find_port(const struct fdb_table *table, int ifindex)
{
        struct port *port;

        LIST_FOREACH (port, &table->ports[(unsigned) ifindex % PORT_BUCKETS], in_bucket)
                if (port->port.ifindex == ifindex)
                        return port;
        return NULL;
}

static bool is_uplink(const struct fdb_table *table, int ifindex)
{
        for (size_t i = 0; i < table->uplinks_count; i++)
                if (table->uplinks[i] == ifindex)
                        return true;
        return false;
}

/* The port of an entry, made when nothing has told of it yet. The bridge counts as one, without being one. */
static struct port *need_port(struct fdb_table *table, int ifindex)
{
        struct port *port = find_port(table, ifindex);

        if (port)
                return port;
        port = calloc(1, sizeof(*port));
        if (!port)
                return NULL;
        port->port.ifindex = ifindex;
        port->port.up = true;
        port->port.is_uplink = is_uplink(table, ifindex);
        port->seen = table->resync;
        LIST_INSERT_HEAD(&table->ports[(unsigned) ifindex % PORT_BUCKETS], port, in_bucket);
        return port;
}

/* ---- making and dropping ---- */

static void count_in(struct port *port, enum fdb_kind kind)
{
        port->learned_count += kind == FDB_LEARNED;
        port->quiet_count += kind == FDB_QUIET;
}

static void count_out(struct port *port, enum fdb_kind kind)
{
        port->learned_count -= kind == FDB_LEARNED;
        port->quiet_count -= kind == FDB_QUIET;
}

/* Of an entry that is this port's. */
static void set_kind(struct node *node, struct port *port, enum fdb_kind kind)
{
        count_out(port, node->entry.kind);
        count_in(port, kind);
        node->entry.kind = kind;
}

static void drop_node(struct fdb_table *table, struct node *node)
{
        struct port *port = find_port(table, node->entry.ifindex);

        if (port)
                count_out(port, node->entry.kind);
        LIST_REMOVE(node, by_mac);
        LIST_REMOVE(node, by_port);
        free(node);
        table->count--;
}

/* Returns whether it had any entry. */
static bool drop_port(struct fdb_table *table, struct port *port)
{
        bool had = !LIST_EMPTY(&port->nodes);

        while (!LIST_EMPTY(&port->nodes))
                drop_node(table, LIST_FIRST(&port->nodes));
        LIST_REMOVE(port, in_bucket);
        free(port);
        return had;
}

static bool drop_quiet_of_port(struct fdb_table *table, struct port *port)
{
        bool dropped = false;

        for (struct node *node = LIST_FIRST(&port->nodes), *next; node && port->quiet_count > 0; node = next) {
                next = LIST_NEXT(node, by_port);
                if (node->entry.kind == FDB_QUIET) {
                        drop_node(table, node);
                        dropped = true;
                }
        }
        return dropped;
}

/* Makes the hash larger. Without memory it only gets slower. */
static void grow(struct fdb_table *table)
{
        size_t old_count = table->buckets_count;
        struct nodes *old = table->buckets;
        struct nodes *buckets;

        if (table->count < old_count)
                return;
        buckets = calloc(old_count * 4, sizeof(*buckets));
        if (!buckets)
                return;
        table->buckets = buckets;
        table->buckets_count = old_count * 4;
        for (size_t i = 0; i < old_count; i++)
                while (!LIST_EMPTY(&old[i])) {
                        struct node *node = LIST_FIRST(&old[i]);

                        LIST_REMOVE(node, by_mac);
                        LIST_INSERT_HEAD(bucket_of(table, &node->entry.mac), node, by_mac);
                }
        free(old);
}

struct fdb_table *fdb_table_new(int bridge_ifindex)
{
        struct fdb_table *table = calloc(1, sizeof(*table));

        if (!table)
                return NULL;
        table->bridge = bridge_ifindex;
        table->buckets_count = BUCKETS_FIRST;
        table->buckets = calloc(BUCKETS_FIRST, sizeof(*table->buckets));
        if (getrandom(&table->factor, sizeof(table->factor), GRND_NONBLOCK) < 0)
                table->factor = 0x9e3779b97f4a7c15;
        table->factor |= 1;
        if (!table->buckets) {
                free(table);
                return NULL;
        }
        return table;
}

void fdb_table_free(struct fdb_table *table)
{
        if (!table)
                return;
        for (size_t i = 0; i < PORT_BUCKETS; i++)
                while (!LIST_EMPTY(&table->ports[i]))
                        drop_port(table, LIST_FIRST(&table->ports[i]));
        free(table->buckets);
        mac_list_freep(&table->host);
        free(table);
}

int fdb_table_bridge(const struct fdb_table *table)
{
        return table->bridge;
}

/* ---- entries that come ---- */

static enum fdb_kind kind_of(const struct fdb_entry *entry)
{
        if (entry->state & NUD_PERMANENT)
                return FDB_LOCAL;
        return entry->state & NUD_NOARP ? FDB_STATIC : FDB_LEARNED;
}

/* Is it, or was it a moment ago, behind a port that is no uplink? */
static bool is_behind(const struct fdb_table *table, const struct vswitch_mac *mac)
{
        const struct node *node;

        LIST_FOREACH (node, bucket_of(table, mac), by_mac)
                if (vswitch_mac_equal(&node->entry.mac, mac) && !is_uplink(table, node->entry.ifindex))
                        return true;
        return false;
}

static struct node *add_node(struct fdb_table *table, struct port *port, const struct vswitch_mac *mac, uint16_t vlan)
{
        struct node *node = calloc(1, sizeof(*node));

        if (!node)
                return NULL;
        node->entry.mac = *mac;
        node->entry.vlan = vlan;
        node->entry.kind = FDB_LOCAL;
        LIST_INSERT_HEAD(bucket_of(table, mac), node, by_mac);
        LIST_INSERT_HEAD(&port->nodes, node, by_port);
        table->count++;
        return node;
}

/* Has the port no room for one more learned entry? The wire has as many as it has. */
static bool is_full(const struct port *port)
{
        return !port->port.is_uplink && port->learned_count >= FDB_TABLE_LEARNED_PER_PORT;
}

/* The entry is one that its port has no room for. What was known of it holds no more. */
static enum fdb_table_change cut_off(struct fdb_table *table, struct port *port, struct node *node)
{
        struct vswitch_mac mac;
        bool on_uplink;

        port->cut = true;
        if (!node)
                return FDB_TABLE_SAME;
        mac = node->entry.mac;
        on_uplink = is_uplink(table, node->entry.ifindex);
        drop_node(table, node);
        /* What was on the uplink too counts again where else it is. */
        return !on_uplink || is_behind(table, &mac) ? FDB_TABLE_CHANGED : FDB_TABLE_SAME;
}

static int take_entry(struct fdb_table *table, const struct fdb_entry *entry, uint64_t now)
{
        bool was_behind = is_behind(table, &entry->mac);
        struct node *node = find_node(table, &entry->mac, entry->vlan);
        struct port *port = need_port(table, entry->ifindex);
        enum fdb_kind kind = kind_of(entry);
        struct fdb_table_entry before;

        if (!port)
                return -ENOMEM;
        port->seen = table->resync;
        /* One that is known here stays, also when it was quiet: so there are as many more as there may be quiet ones. */
        if (kind == FDB_LEARNED && is_full(port) && !(node && node->entry.ifindex == entry->ifindex))
                return (int) cut_off(table, port, node);
        if (!node) {
                node = add_node(table, port, &entry->mac, entry->vlan);
                if (!node)
                        return -ENOMEM;
                before = (struct fdb_table_entry){ 0 };
                count_in(port, kind);
        } else {
                struct port *old = find_port(table, node->entry.ifindex);

                before = node->entry;
                if (old)
                        count_out(old, node->entry.kind);
                count_in(port, kind);
                LIST_REMOVE(node, by_port);
                LIST_INSERT_HEAD(&port->nodes, node, by_port);
        }
        node->entry.ifindex = entry->ifindex;
        node->entry.kind = kind;
        node->entry.flags = entry->flags;
        if (kind == FDB_LEARNED)
                node->entry.active = entry->idle < now ? now - entry->idle : 0;
        node->seen = table->resync;
        grow(table);

        if (port->port.is_uplink) {
                fdb_table_forget_quiet(table, &entry->mac);
                return was_behind ? FDB_TABLE_MOVED_TO_UPLINK : FDB_TABLE_SAME;
        }
        return before.ifindex == entry->ifindex && before.kind == kind ? FDB_TABLE_SAME : FDB_TABLE_CHANGED;
}

/* ---- entries that go ---- */

/* The kernel has it no more. `active` as far as the message told. */
static enum fdb_table_change lose_node(struct fdb_table *table, struct node *node, uint64_t active)
{
        struct port *port = find_port(table, node->entry.ifindex);
        struct vswitch_mac mac = node->entry.mac;
        bool on_uplink = port && port->port.is_uplink;

        if (node->entry.kind == FDB_LEARNED && port && port->port.up && !on_uplink &&
            port->quiet_count < FDB_TABLE_QUIET_PER_PORT && !fdb_table_is_on_uplink(table, &mac)) {
                set_kind(node, port, FDB_QUIET);
                if (active > node->entry.active)
                        node->entry.active = active;
                return FDB_TABLE_CHANGED;
        }
        if (node->entry.kind == FDB_QUIET)
                return FDB_TABLE_SAME;
        drop_node(table, node);
        /* What was on the uplink too counts again where else it is. */
        return !on_uplink || is_behind(table, &mac) ? FDB_TABLE_CHANGED : FDB_TABLE_SAME;
}

static int on_neighbour(struct fdb_table *table, const struct nlmsghdr *header, uint64_t now,
                        struct vswitch_mac *ret_mac)
{
        struct fdb_entry entry;
        struct node *node;

        if (fdb_parse(header, &entry) < 0 || entry.master != table->bridge)
                return FDB_TABLE_SAME;
        *ret_mac = entry.mac;
        if (header->nlmsg_type == RTM_NEWNEIGH)
                return take_entry(table, &entry, now);
        node = find_node(table, &entry.mac, entry.vlan);
        if (!node || node->entry.ifindex != entry.ifindex)
                return FDB_TABLE_SAME;
        return (int) lose_node(table, node, entry.idle < now ? now - entry.idle : 0);
}

/* ---- ports ---- */

static int take_port(struct fdb_table *table, const struct vswitch_link *link)
{
        struct port *port = need_port(table, link->ifindex);

        if (!port)
                return -ENOMEM;
        port->seen = table->resync;
        memcpy(port->port.name, link->name, sizeof(port->port.name));
        port->port.up = link->up;
        return !link->up && drop_quiet_of_port(table, port) ? FDB_TABLE_CHANGED : FDB_TABLE_SAME;
}

static enum fdb_table_change take_bridge(struct fdb_table *table, const struct vswitch_link *link)
{
        bool same = vswitch_mac_equal(&table->bridge_mac, &link->mac);

        table->bridge_mac = link->mac;
        return same ? FDB_TABLE_SAME : FDB_TABLE_CHANGED;
}

static int on_link(struct fdb_table *table, const struct nlmsghdr *header)
{
        bool removed = header->nlmsg_type == RTM_DELLINK;
        struct vswitch_link link;
        struct port *port;

        if (vswitch_link_parse(header, &link) < 0)
                return FDB_TABLE_SAME;
        if (link.ifindex == table->bridge)
                return removed ? FDB_TABLE_SAME : (int) take_bridge(table, &link);
        if (!removed && link.master == table->bridge)
                return take_port(table, &link);

        /* As a port of another bridge it has nothing to do with this one, and has left it some messages ago. */
        port = find_port(table, link.ifindex);
        if (!port || (link.is_port_message && link.master != table->bridge))
                return FDB_TABLE_SAME;
        return drop_port(table, port) ? FDB_TABLE_CHANGED : FDB_TABLE_SAME;
}

int fdb_table_notify(struct fdb_table *table, const struct nlmsghdr *header, uint64_t now, struct vswitch_mac *ret_mac)
{
        switch (header->nlmsg_type) {
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
                return on_neighbour(table, header, now, ret_mac);
        case RTM_NEWLINK:
        case RTM_DELLINK:
                return on_link(table, header);
        default:
                return FDB_TABLE_SAME;
        }
}

int fdb_table_set_uplinks(struct fdb_table *table, const int *ifindexes, size_t count)
{
        struct port *port;

        if (count > UPLINKS_MAX)
                return -E2BIG;
        table->uplinks_count = count;
        for (size_t i = 0; i < count; i++)
                table->uplinks[i] = ifindexes[i];
        for (size_t i = 0; i < PORT_BUCKETS; i++)
                LIST_FOREACH (port, &table->ports[i], in_bucket) {
                        port->port.is_uplink = is_uplink(table, port->port.ifindex);
                        if (port->port.is_uplink)
                                drop_quiet_of_port(table, port);
                }
        return 0;
}

/* ---- reading everything ---- */

struct reading {
        struct fdb_table *table;
        uint64_t now;
        size_t fresh; /* entries that no dump of this resync had before */
        int result;
};

static int read_entry(const struct nlmsghdr *header, void *userdata)
{
        struct reading *reading = userdata;
        struct fdb_table *table = reading->table;
        const struct node *node;
        struct fdb_entry entry;
        bool was_seen;
        int r;

        if (fdb_parse(header, &entry) < 0 || entry.master != table->bridge)
                return 0;
        node = find_node(table, &entry.mac, entry.vlan);
        was_seen = node && node->seen == table->resync;
        r = take_entry(table, &entry, reading->now);
        /* One that was cut off would be fresh in every dump. */
        if (!was_seen && r >= 0 && find_node(table, &entry.mac, entry.vlan))
                reading->fresh++;
        return r < 0 ? r : 0;
}

static int read_entries(struct fdb_table *table, struct vswitch_netlink *netlink, uint64_t now,
                        struct vswitch_error *error)
{
        for (int i = 0; i < DUMPS_MAX; i++) {
                struct reading reading = { .table = table, .now = now };
                int r = fdb_dump(netlink, table->bridge, read_entry, NULL, &reading, error);

                if (r < 0)
                        return vswitch_error_prefix(error, r, "cannot read the forwarding table of the bridge");
                if (reading.fresh == 0)
                        break;
        }
        return 0;
}

static int read_ports(struct fdb_table *table, struct vswitch_netlink *netlink, struct vswitch_error *error)
{
        _cleanup_(vswitch_freep) struct vswitch_link *links = NULL;
        bool has_bridge = false;
        size_t count = 0;
        int r = vswitch_link_list(netlink, &links, &count, error);

        for (size_t i = 0; r >= 0 && i < count; i++) {
                if (links[i].ifindex == table->bridge) {
                        take_bridge(table, &links[i]);
                        has_bridge = true;
                } else if (links[i].master == table->bridge) {
                        r = take_port(table, &links[i]);
                }
        }
        if (r >= 0 && !has_bridge)
                return vswitch_error_set(error, -ENODEV, "the bridge is gone");
        return r < 0 ? r : 0;
}

static void drop_unseen(struct fdb_table *table)
{
        for (size_t i = 0; i < PORT_BUCKETS; i++)
                for (struct port *port = LIST_FIRST(&table->ports[i]), *next_port; port; port = next_port) {
                        next_port = LIST_NEXT(port, in_bucket);
                        if (port->seen != table->resync) {
                                drop_port(table, port);
                                continue;
                        }
                        for (struct node *node = LIST_FIRST(&port->nodes), *next; node; node = next) {
                                next = LIST_NEXT(node, by_port);
                                if (node->seen != table->resync)
                                        (void) lose_node(table, node, 0);
                        }
                }
}

int fdb_table_resync(struct fdb_table *table, struct vswitch_netlink *netlink, uint64_t now,
                     struct vswitch_error *error)
{
        struct port *bridge, *port;
        bool changed;
        int r;

        table->resync++;
        for (size_t i = 0; i < PORT_BUCKETS; i++)
                LIST_FOREACH (port, &table->ports[i], in_bucket) {
                        port->cut = false;
                }
        r = read_ports(table, netlink, error);
        if (r == 0)
                r = read_entries(table, netlink, now, error);
        if (r == 0)
                r = fdb_table_read_host(table, netlink, &changed, error);
        if (r < 0)
                return r;
        bridge = find_port(table, table->bridge);
        if (bridge)
                bridge->seen = table->resync;
        drop_unseen(table);
        return 0;
}

int fdb_table_read_host(struct fdb_table *table, struct vswitch_netlink *netlink, bool *ret_changed,
                        struct vswitch_error *error)
{
        struct mac_list list = { 0 };
        int r = fdb_list_own(netlink, table->bridge, &list.macs, &list.count, error);

        if (r < 0)
                return vswitch_error_prefix(error, r, "cannot read the bridge's own addresses");
        *ret_changed = list.count != table->host.count ||
                       (list.count > 0 && memcmp(list.macs, table->host.macs, list.count * sizeof(*list.macs)) != 0);
        mac_list_freep(&table->host);
        table->host = list;
        return 0;
}

/* ---- questions ---- */

const struct fdb_table_entry *fdb_table_find(const struct fdb_table *table, const struct vswitch_mac *mac,
                                             uint16_t vlan)
{
        const struct node *node = find_node(table, mac, vlan);

        return node ? &node->entry : NULL;
}

const struct fdb_table_port *fdb_table_find_port(const struct fdb_table *table, int ifindex)
{
        const struct port *port = ifindex == table->bridge ? NULL : find_port(table, ifindex);

        return port ? &port->port : NULL;
}

bool fdb_table_is_on_uplink(const struct fdb_table *table, const struct vswitch_mac *mac)
{
        const struct node *node;

        LIST_FOREACH (node, bucket_of(table, mac), by_mac)
                if (vswitch_mac_equal(&node->entry.mac, mac) && is_uplink(table, node->entry.ifindex))
                        return true;
        return false;
}

bool fdb_table_is_host(const struct fdb_table *table, const struct fdb_table_entry *entry)
{
        return entry->kind == FDB_LOCAL &&
               (entry->ifindex == table->bridge || vswitch_mac_equal(&entry->mac, &table->bridge_mac));
}

const struct vswitch_mac *fdb_table_host_macs(const struct fdb_table *table, size_t *ret_count)
{
        *ret_count = table->host.count;
        return table->host.macs;
}

static int each_on_port(const struct port *port, fdb_table_each each, void *userdata)
{
        const struct node *node;
        int r = 0;

        LIST_FOREACH (node, &port->nodes, by_port) {
                r = each(&node->entry, &port->port, userdata);
                if (r != 0)
                        break;
        }
        return r;
}

int fdb_table_for_each(const struct fdb_table *table, fdb_table_each each, void *userdata)
{
        const struct port *port;

        for (size_t i = 0; i < PORT_BUCKETS; i++)
                LIST_FOREACH (port, &table->ports[i], in_bucket) {
                        int r = each_on_port(port, each, userdata);

                        if (r != 0)
                                return r;
                }
        return 0;
}

int fdb_table_for_each_on_port(const struct fdb_table *table, int ifindex, fdb_table_each each, void *userdata)
{
        const struct port *port = find_port(table, ifindex);

        return port ? each_on_port(port, each, userdata) : 0;
}

int fdb_table_for_each_port(const struct fdb_table *table,
                            int (*each)(const struct fdb_table_port *port, void *userdata), void *userdata)
{
        const struct port *port;

        for (size_t i = 0; i < PORT_BUCKETS; i++)
                LIST_FOREACH (port, &table->ports[i], in_bucket) {
                        int r = port->port.ifindex == table->bridge ? 0 : each(&port->port, userdata);

                        if (r != 0)
                                return r;
                }
        return 0;
}

size_t fdb_table_count(const struct fdb_table *table)
{
        return table->count;
}

bool fdb_table_is_cut(const struct fdb_table *table)
{
        const struct port *port;

        for (size_t i = 0; i < PORT_BUCKETS; i++)
                LIST_FOREACH (port, &table->ports[i], in_bucket)
                        if (port->cut)
                                return true;
        return false;
}

/* ---- quiet ones ---- */

bool fdb_table_restore_quiet(struct fdb_table *table, const struct vswitch_mac *mac, int ifindex, uint64_t now)
{
        struct port *port = ifindex == table->bridge ? NULL : find_port(table, ifindex);
        struct node *node;

        if (!port || !port->port.up || port->port.is_uplink || port->quiet_count >= FDB_TABLE_QUIET_PER_PORT)
                return false;
        LIST_FOREACH (node, bucket_of(table, mac), by_mac)
                if (vswitch_mac_equal(&node->entry.mac, mac))
                        return false;
        node = add_node(table, port, mac, 0);
        if (!node)
                return false;
        node->entry.ifindex = ifindex;
        node->entry.active = now;
        node->entry.kind = FDB_QUIET;
        count_in(port, FDB_QUIET);
        grow(table);
        return true;
}

void fdb_table_forget_quiet(struct fdb_table *table, const struct vswitch_mac *mac)
{
        for (struct node *node = LIST_FIRST(bucket_of(table, mac)), *next; node; node = next) {
                next = LIST_NEXT(node, by_mac);
                if (node->entry.kind == FDB_QUIET && vswitch_mac_equal(&node->entry.mac, mac))
                        drop_node(table, node);
        }
}

uint64_t fdb_table_expire(struct fdb_table *table, uint64_t now)
{
        uint64_t next_expiry = UINT64_MAX;
        struct port *port;

        for (size_t i = 0; i < PORT_BUCKETS; i++)
                LIST_FOREACH (port, &table->ports[i], in_bucket)
                        for (struct node *node = LIST_FIRST(&port->nodes), *next; node && port->quiet_count > 0;
                             node = next) {
                                next = LIST_NEXT(node, by_port);
                                if (node->entry.kind != FDB_QUIET)
                                        continue;
                                if (node->entry.active + FDB_TABLE_QUIET_MAX <= now)
                                        drop_node(table, node);
                                else if (node->entry.active + FDB_TABLE_QUIET_MAX < next_expiry)
                                        next_expiry = node->entry.active + FDB_TABLE_QUIET_MAX;
                        }
        return next_expiry;
}
