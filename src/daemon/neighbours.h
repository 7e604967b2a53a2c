/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of neighbours.c among themselves; what others call is in manager.h. */

#include "src/daemon/manager.h"
#include "src/daemon/uplink_list.h"
#include "vswitch/fdb_table.h"
#include "vswitch/mac_list.h"
#include "vswitch/uplink_plan.h"

/* Where something could not be read or written. */
#define NEIGHBOURS_RETRY (5 * USEC_PER_SEC)

/* So many learned and forgotten MACs of one port are listed. A port of a container or of a guest with a few of them has
 * a handful; one that makes addresses up gets no more of the card and of the daemon's time than this. */
#define NEIGHBOURS_PER_PORT 64

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

/* A port with more MACs than are listed, and until when it counts as told of. */
struct crowded_port {
        int ifindex;
        uint64_t until;
};

/* All switches together. */
struct neighbourhood {
        char *directory; /* of the notes */
        struct neighbour_pfs pfs;
        struct mac_list moved; /* to the wire, not acted upon yet */
        bool dirty;
        uint64_t next_pass; /* not before */
        uint64_t look_at;   /* even if nothing happens */
        uint64_t leftovers_at;
        unsigned leftovers_failures; /* in a row */
        char *leftovers_told;        /* what failed at the last clean-up, "\nNAME: SENTENCE\n" each; NULL: nothing */
        uint64_t nics_seen;          /* a digest of the NICs as of the last pass */
        struct crowded_port *crowded;
        size_t crowded_count;
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

static inline uint64_t neighbours_earlier(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* neighbours.c */
void neighbours_mark(struct manager *manager); /* there is something for the next pass */
/* This PF as the switch has it, NULL when it is not beneath it. */
struct manager_pf *neighbours_find_uplink(struct manager_switch *nic_switch, int ifindex);
/* As any switch has it. */
struct manager_pf *neighbours_find_any_uplink(struct manager *manager, int ifindex);
struct neighbour_pf *neighbours_find_pf(const struct manager *manager, int ifindex);
bool neighbours_is_nic(const struct manager *manager, const struct vswitch_mac *mac);
bool neighbours_read_table(struct manager_switch *nic_switch);
/* Drops the echoes that are over. Returns when the next one will be. */
uint64_t neighbours_expire_echoes(struct neighbours *neighbours, uint64_t now);

/* neighbours_collect.c: what should be listed */
/* Does the core want this NIC's filter in the list of the PF? */
bool neighbours_needs_filter(const struct manager_nic *nic, int pf_ifindex);
int neighbours_collect(struct manager *manager, const struct neighbour_pf *pf, struct collection *ret);
void neighbours_collection_release(struct collection *collection);
/* Valid as long as the collection. */
struct uplink_plan_input neighbours_plan_input(const struct collection *collection, const struct manager_pf *uplink);

/* neighbours_behind.c: MACs behind NICs' taps */
/* Has those NICs decided again for which it matters. Returns when to look again. */
uint64_t neighbours_tell_nics(struct manager *manager);

/* neighbours_crowd.c: ports with more MACs than are listed */
/* Tells of those that were not told of yet. */
void neighbours_tell_crowds(struct manager *manager, uint64_t now);

/* neighbours_leftovers.c: removes what is listed on PFs that no switch has any more */
void neighbours_clean_up(struct manager *manager);
