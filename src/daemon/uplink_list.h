/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What vswitch has in the unicast list of one PF on behalf of everything behind the switch that is no guest's NIC.
 *
 * Which entries are ours is on disk before they are written (RUNTIME-DIRECTORY/neighbours/IFINDEX.json), so a crash at
 * any point leaves none that nobody knows: at worst the note names one that is not there. The note is good for one netdev,
 * whatever that is called: when the PF comes back as another one (its driver was loaded again), the entries are gone
 * with the old; when it was renamed, they are still there.
 */

#include "vswitch/mac_list.h"
#include "vswitch/pf.h"
#include "vswitch/uplink_plan.h"

/* An entry as the note has it. With its port a MAC that has been quiet since before a restart is known again. */
struct uplink_list_noted {
        struct vswitch_mac mac;
        int port; /* ifindex */
};

struct uplink_list {
        char directory[256];
        char name[IF_NAMESIZE]; /* of the PF */
        int ifindex;
        struct mac_list ours;            /* listed, and by us */
        struct uplink_list_noted *noted; /* as on disk, for this netdev; sorted by MAC */
        size_t noted_count;
        bool has_note;                /* there is a file */
        char noted_name[IF_NAMESIZE]; /* as the file has it */

        /* The card refused another entry when this many were listed; `refused_at` 0: it has not. Tried again after
         * UPLINK_LIST_REFUSAL_HOLDS, when something is left out for it: what others listed may be gone. */
        unsigned refused_count;
        uint64_t refused_at;

        /* As of the last uplink_list_apply(). */
        struct uplink_plan_candidate *left_out; /* most important first */
        size_t left_out_count;
        struct uplink_plan_candidate *crowd; /* of ports that have too many */
        size_t crowd_count;
        bool unfinished;   /* there is more to write */
        bool refused_some; /* the driver did not add some, for another reason than lack of room */
        size_t wanted;
        size_t foreign;
        unsigned capacity; /* UPLINK_PLAN_NO_LIMIT: not known */

        struct mac_list told; /* what was left out when it was last told of; see uplink_list_news() */
        uint64_t told_at;
};

#define UPLINK_LIST_REFUSAL_HOLDS (300 * 1000000ull)

/* `directory` must be there. Reads the note; one that cannot be used is reported in `error` with a result < 0, and the
 * list is usable all the same: what an earlier daemon added then counts as somebody else's. */
int uplink_list_open(const char *directory, const char *name, int ifindex, struct uplink_list **ret,
                     struct vswitch_error *error);
void uplink_list_free(struct uplink_list *list);

/* The PF is called like this now. */
int uplink_list_rename(struct uplink_list *list, const char *name, struct vswitch_error *error);

/* The entry as the note has it; NULL when it is not noted. */
const struct uplink_list_noted *uplink_list_find_noted(const struct uplink_list *list, const struct vswitch_mac *mac);

/* Brings the PF's list in line: `wanted` says with what (`listed` and `ours` are filled in here). Adds nothing when the
 * note cannot be written. The first error is returned, after everything was tried that could be; that the card is
 * full is none. A call makes a bounded number of writes: afterwards list->unfinished says whether another one is
 * needed. */
int uplink_list_apply(struct uplink_list *list, struct pf *pf, const struct uplink_plan_input *wanted, uint64_t now,
                      struct vswitch_error *error);

/* Gives up what `wanted` has no room for, and adds nothing. `is_full`: the driver has just refused an entry. Returns
 * whether there is room now that was not there before. */
bool uplink_list_make_room(struct uplink_list *list, struct pf *pf, const struct uplink_plan_input *wanted,
                           bool is_full, uint64_t now);

/* Removes these MACs, where they are ours, and nothing else. */
int uplink_list_remove(struct uplink_list *list, struct pf *pf, const struct mac_list *macs,
                       struct vswitch_error *error);

/* The entry is not ours any more, and stays. */
void uplink_list_disown(struct uplink_list *list, const struct vswitch_mac *mac);

/* Is there something to tell of what is left out? Then the sentence is in `text`: a warning when *ret_is_bad, else that
 * everything fits again. At once the first time; changes after that at most every ten seconds. */
bool uplink_list_news(struct uplink_list *list, const char *bridge, uint64_t now, bool *ret_is_bad, char *text,
                      size_t size);
/* When there will be, because it was too soon; UINT64_MAX: there is nothing to tell. */
uint64_t uplink_list_news_at(const struct uplink_list *list);
