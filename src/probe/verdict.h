/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From counted frames to what a card does. Pure: the experiments count, this judges, and the tests need no card.
 *
 * Every finding is a question that is answered by yes or no. What it means for the daemon (the steering class, whether
 * the PF hears itself, how many uplink filters there are) follows from several findings together, and is "unknown" as
 * soon as one that it rests on was not tried, came out unclear, or contradicts another.
 */

#include "failover/failover.h"

#include <stdbool.h>
#include <stddef.h>

enum probe_verdict {
        PROBE_NOT_TRIED,
        PROBE_NO,
        PROBE_YES,
        PROBE_UNCLEAR, /* some frames came and others did not */
};

struct probe_count {
        unsigned sent;
        unsigned received; /* different frames; each counts once however often it came */
        unsigned copies;   /* beyond the first of each */
};

/* YES from 80 % on: a busy host may lose a frame. NO only when none came at all. */
enum probe_verdict probe_verdict_of(const struct probe_count *count);

/*
 * The questions. "Listed" means that the destination is an uplink filter; unless something else is said, the
 * destination of frames to a VF is its VF filter. In "both" it is both.
 */
enum probe_finding {
        PROBE_VF_TO_VF,
        PROBE_PF_TO_VF,
        PROBE_VF_TO_PF_UNLISTED,
        PROBE_VF_TO_PF_PROMISCUOUS,
        PROBE_VF_TO_PF_LISTED,
        PROBE_PF_TO_PF_LISTED,
        PROBE_BOTH_VF_TO_VF,
        PROBE_BOTH_VF_TO_PF,
        PROBE_BOTH_PF_TO_VF,
        PROBE_BOTH_PF_TO_PF,
        PROBE_BOTH_WIRE_TO_VF,
        PROBE_BOTH_WIRE_TO_PF,
        PROBE_BOTH_VF_DOWN,
        PROBE_BOTH_VF_UNBOUND,
        PROBE_FILTER_AT_ONCE,
        PROBE_FILTER_AFTER_RESTART,
        PROBE_BROADCAST_VF_TO_PF,
        PROBE_BROADCAST_VF_TO_VF,
        PROBE_BROADCAST_VF_TO_ITSELF,
        PROBE_BROADCAST_PF_TO_VF,
        PROBE_BROADCAST_PF_TO_PF,
        PROBE_MULTICAST_VF_TO_PF,
        PROBE_MULTICAST_VF_TO_PF_ALLMULTI,
        PROBE_MULTICAST_VF_TO_PF_JOINED,
        PROBE_MULTICAST_VF_TO_VF,
        PROBE_MULTICAST_PF_TO_VF,
        PROBE_NEIGHBOUR_VF_TO_PF,
        PROBE_NEIGHBOUR_VF_TO_PF_ALLMULTI,
        PROBE_NEIGHBOUR_VF_TO_PF_JOINED,
        PROBE_NEIGHBOUR_VF_TO_VF,
        PROBE_NEIGHBOUR_PF_TO_VF,
        PROBE_TAGGED_VF_TO_PF,
        PROBE_TAGGED_PF_TO_VF,
        PROBE_VF_VLAN_TO_PF,
        PROBE_PF_TO_VF_VLAN,
        PROBE_VF_VLAN_TO_SAME,
        PROBE_VF_VLAN_TO_OTHER,
        PROBE_SPOOF_OWN,
        PROBE_SPOOF_CHECKED,
        PROBE_SPOOF_UNCHECKED,
        PROBE_FINDING_COUNT,
};

struct probe_finding_text {
        const char *name; /* for programs: "vf-to-pf-listed" */
        const char *question;
};
const struct probe_finding_text *probe_finding_text(enum probe_finding finding);
const char *probe_verdict_to_string(enum probe_verdict verdict);

struct probe_answer {
        enum probe_verdict verdict;
        struct probe_count count;
        char note[160]; /* why it was not tried, or what else was seen; or "" */
};

/* What happens to the uplink filter that is one too many. */
enum probe_overflow {
        PROBE_OVERFLOW_NOT_REACHED,
        PROBE_OVERFLOW_REFUSED,     /* the driver says no */
        PROBE_OVERFLOW_DROPPED,     /* it takes the address and does not deliver */
        PROBE_OVERFLOW_PROMISCUOUS, /* it takes the address and everything else, too */
};
const char *probe_overflow_to_string(enum probe_overflow overflow);

/* Looks for the largest number of filters that all deliver, and nothing but them: up in steps, then down one by one.
 * Overshooting by no more than a step keeps a full card's time short. */
struct probe_capacity {
        unsigned count; /* that many are to be tried next, or, when done, really deliver */
        unsigned limit;
        unsigned good; /* the largest number that was seen to work */
        enum probe_overflow overflow;
        bool done;
};

#define PROBE_CAPACITY_STEP 8

void probe_capacity_begin(struct probe_capacity *capacity, unsigned limit);
/* `refused`: the driver took only `count` of them. `listed`: did all of them deliver? `stranger`: did frames for an
 * address that is not listed come, too? */
void probe_capacity_next(struct probe_capacity *capacity, bool refused, enum probe_verdict listed,
                         enum probe_verdict stranger);

enum probe_filter_live {
        PROBE_LIVE_UNKNOWN,
        PROBE_LIVE_AT_ONCE,      /* when the PF sets it */
        PROBE_LIVE_AFTER_RESTART /* when the VF's driver starts again */
};
const char *probe_filter_live_to_string(enum probe_filter_live live);

struct probe_conclusion {
        enum failover_steering steering;
        bool reflects; /* the PF gets its own frames back for an uplink filter that is a VF filter, too */
        enum probe_filter_live filter_live;
        enum probe_verdict isolates_vlans;    /* VFs in different VLANs do not reach each other */
        enum probe_verdict spoof_check_drops; /* a forged source address does not leave the VF */
        enum probe_verdict promiscuous_helps; /* a promiscuous PF hears VFs without uplink filters */
};

/* `answers` has PROBE_FINDING_COUNT elements. */
void probe_conclude(const struct probe_answer *answers, struct probe_conclusion *ret);
