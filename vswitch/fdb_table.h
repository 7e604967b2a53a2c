/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One bridge as the kernel has it: its ports, its forwarding entries, and the MACs that it has forgotten although they
 * are still there. Fed by a full read (fdb_table_resync) and by every notification in between; after a resync it is
 * equal to the kernel's tables, and it stays so as long as no notification is lost.
 *
 * But for the learned entries of a port that is no uplink: of those there are FDB_TABLE_LEARNED_PER_PORT at most, since
 * a guest can make the bridge learn as many addresses as it makes up. Who was there first stays. While a port is cut
 * like that (fdb_table_is_cut) only a resync finds out who of the others is there when there is room again.
 *
 * A bridge forgets a MAC that has not sent for 300 s, while routers keep its address for 20 minutes to 4 hours. So a
 * learned entry that goes away becomes FDB_QUIET and stays while nothing speaks against it. It goes when
 *   - the MAC is seen on an uplink: it has moved to the wire;
 *   - its port goes, or is set down;
 *   - fdb_table_forget_quiet() says that it has a VF now;
 *   - it has been quiet for FDB_TABLE_QUIET_MAX;
 *   - its port has FDB_TABLE_QUIET_PER_PORT others already: a guest that makes addresses up fills no memory with them.
 * That the kernel does not say whether an entry aged, was flushed or was deleted by hand does no harm: a MAC that is
 * really gone is quiet for a while, and forgotten then.
 *
 * Times are microseconds of a clock that the caller chooses; every call that needs the time gets it as an argument.
 */

#include "fdb.h"
#include "link.h"
#include "mac.h"
#include "netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest time that a router in common use keeps an address which does not answer (Cisco's default, 4 hours). */
#define FDB_TABLE_QUIET_MAX      (4ull * 3600 * 1000000)
#define FDB_TABLE_QUIET_PER_PORT 1024

#define FDB_TABLE_LEARNED_PER_PORT 1024

enum fdb_kind {
        FDB_LOCAL,   /* an address of the bridge, or of one of its ports */
        FDB_STATIC,  /* somebody wrote it */
        FDB_LEARNED, /* seen as a sender */
        FDB_QUIET,   /* was learned, and is not in the kernel's table any more */
};

struct fdb_table_port {
        int ifindex;
        char name[IF_NAMESIZE]; /* "" when only an entry has told of it so far */
        bool up;                /* IFF_UP; a carrier that is lost for a moment tells nothing about who is there */
        bool is_uplink;
};

struct fdb_table_entry {
        struct vswitch_mac mac;
        uint16_t vlan;
        int ifindex; /* the port, or the bridge for an address that it has for itself */
        enum fdb_kind kind;
        uint8_t flags;   /* NTF_STICKY, ... */
        uint64_t active; /* when it was last known to have sent; learned and quiet ones only */
};

struct fdb_table;

/* An empty one, until fdb_table_resync(). NULL without memory. */
struct fdb_table *fdb_table_new(int bridge_ifindex);
void fdb_table_free(struct fdb_table *table);
int fdb_table_bridge(const struct fdb_table *table);

/* Reads ports, entries and the bridge's own address list from the kernel: brings the table in line, whatever was missed.
 * On failure the table is as far as the reading came, and the call is to be repeated. */
int fdb_table_resync(struct fdb_table *table, struct vswitch_netlink *netlink, uint64_t now,
                     struct vswitch_error *error);

/* Reads the bridge's own address list again (macvlans on the bridge put theirs there, and nobody is told).
 * *ret_changed: it differs from what was known. */
int fdb_table_read_host(struct fdb_table *table, struct vswitch_netlink *netlink, bool *ret_changed,
                        struct vswitch_error *error);

enum fdb_table_change {
        FDB_TABLE_SAME,            /* not about this bridge, or nothing new on the ports that are no uplinks */
        FDB_TABLE_CHANGED,         /* a MAC behind them came, went or changed its kind */
        FDB_TABLE_MOVED_TO_UPLINK, /* *ret_mac was behind one of them, and is on an uplink now */
};

/* Takes any notification; those that are not about this bridge change nothing. -ENOMEM (as a negative value): the table
 * is not in line any more, resync. */
int fdb_table_notify(struct fdb_table *table, const struct nlmsghdr *header, uint64_t now, struct vswitch_mac *ret_mac);

/* Which ports lead to the wire. May name ports that are not there yet. */
int fdb_table_set_uplinks(struct fdb_table *table, const int *ifindexes, size_t count);

/* The entry, NULL when there is none. Like all entries and ports handed out, valid until the table changes. */
const struct fdb_table_entry *fdb_table_find(const struct fdb_table *table, const struct vswitch_mac *mac,
                                             uint16_t vlan);
const struct fdb_table_port *fdb_table_find_port(const struct fdb_table *table, int ifindex);

/* Is the MAC on an uplink, in any VLAN? */
bool fdb_table_is_on_uplink(const struct fdb_table *table, const struct vswitch_mac *mac);

/* Does the host itself answer to this entry's MAC? True for the bridge's own address and what else it was given; not
 * for the addresses of its other ports, which nobody sends to. */
bool fdb_table_is_host(const struct fdb_table *table, const struct fdb_table_entry *entry);

/* Addresses of the host beyond those in the entries: the bridge's own list. */
const struct vswitch_mac *fdb_table_host_macs(const struct fdb_table *table, size_t *ret_count);

/* Iteration in no particular order, until `each` returns non-zero, which is returned. The table must not be changed
 * meanwhile. */
typedef int (*fdb_table_each)(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata);
int fdb_table_for_each(const struct fdb_table *table, fdb_table_each each, void *userdata);
int fdb_table_for_each_on_port(const struct fdb_table *table, int ifindex, fdb_table_each each, void *userdata);
int fdb_table_for_each_port(const struct fdb_table *table,
                            int (*each)(const struct fdb_table_port *port, void *userdata), void *userdata);
size_t fdb_table_count(const struct fdb_table *table);

/* Has any port had more learned entries, since the last resync, than are kept? */
bool fdb_table_is_cut(const struct fdb_table *table);

/* Remembers a MAC as quiet that an earlier process knew on this port: when there is no entry for it in any VLAN, and the
 * port is there, up and no uplink. Returns whether it did. */
bool fdb_table_restore_quiet(struct fdb_table *table, const struct vswitch_mac *mac, int ifindex, uint64_t now);

/* Drops the quiet entries of this MAC. */
void fdb_table_forget_quiet(struct fdb_table *table, const struct vswitch_mac *mac);

/* Drops those that have been quiet for too long. Returns when the next one will have been, UINT64_MAX: none is quiet. */
uint64_t fdb_table_expire(struct fdb_table *table, uint64_t now);
