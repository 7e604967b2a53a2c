/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which MACs belong into the unicast list of one PF, so that its embedded switch hands the frames for them to the
 * software switch. A pure function: what is behind the switch's ports, what is listed, and how many fit, give what to
 * add, what to remove and what is left out.
 *
 *  - A MAC that a VF of the PF has is never listed: i40e would deliver its frames to both, ixgbe to the PF alone.
 *  - What is listed and not ours stays, and takes its place.
 *  - The filters of guests' NICs are the failover core's: neither added nor removed here, and their places are kept.
 *  - When not all fit, the less important classes are left out first; in a class the MACs that are the first of their
 *    port come before the second ones of any port, so a port with many MACs (a guest that makes them up) keeps no
 *    other's first one out; then the one that sent last. One that is listed already counts as having sent
 *    UPLINK_PLAN_LEAD later than it did: two that both send do not take turns.
 *  - A port has no more than so many learned and quiet ones together, also when there is room: whoever is behind it can
 *    make addresses up, and each costs a write, a place in the card and time in every further plan. The others are its
 *    crowd. The same order decides who is in it.
 */

#include "mac.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLINK_PLAN_LEAD     (60 * 1000000ull)
#define UPLINK_PLAN_NO_LIMIT UINT_MAX

/* Most important first. */
enum uplink_plan_class {
        UPLINK_PLAN_HOST, /* the bridge's address, and what else the host answers to */
        UPLINK_PLAN_STATIC,
        UPLINK_PLAN_LEARNED,
        UPLINK_PLAN_QUIET, /* forgotten by the bridge, but nothing says that it is gone */
        UPLINK_PLAN_CLASS_MAX,
};

/* "local", "static", "learned", "quiet". */
const char *uplink_plan_class_to_string(enum uplink_plan_class class);

struct uplink_plan_candidate {
        struct vswitch_mac mac; /* the same MAC twice: the more important class counts */
        enum uplink_plan_class class;
        int port;
        uint64_t active; /* when it last sent, microseconds; 0 where that is not known or means nothing */
};

struct uplink_plan_nic {
        struct vswitch_mac mac;
        bool needs_filter; /* now; one that is listed keeps its place anyhow */
};

struct uplink_plan_input {
        const struct uplink_plan_candidate *candidates;
        size_t candidates_count;
        const struct uplink_plan_nic *nics; /* NICs whose filter in this list is the core's */
        size_t nics_count;
        const struct vswitch_mac *vfs; /* MACs of the PF's VFs */
        size_t vfs_count;
        const struct vswitch_mac *listed; /* the list as it is */
        size_t listed_count;
        const struct vswitch_mac *ours; /* what we have added to it, as far as we know */
        size_t ours_count;
        unsigned capacity; /* entries that the list can have; UPLINK_PLAN_NO_LIMIT where that is not known */
        unsigned per_port; /* learned and quiet ones of one port; 0: any number */
};

struct uplink_plan {
        struct vswitch_mac *adds; /* most important first */
        size_t adds_count;
        struct vswitch_mac *removes; /* to be done before the adds */
        size_t removes_count;
        struct uplink_plan_candidate *left_out; /* most important first */
        size_t left_out_count;
        struct uplink_plan_candidate *crowd; /* not listed because their port has too many; none of them is left out */
        size_t crowd_count;
        size_t wanted;  /* MACs that should be listed and are not others' doing: ours, left out, and NICs' */
        size_t foreign; /* listed by others */
};

/* 0 or -ENOMEM. *ret is filled completely; uplink_plan_release() it. */
int uplink_plan_make(const struct uplink_plan_input *input, struct uplink_plan *ret);
void uplink_plan_release(struct uplink_plan *plan);
