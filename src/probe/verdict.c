/* SPDX-License-Identifier: Apache-2.0 */

#include "src/probe/verdict.h"

#define YES_PERCENT 80

static const struct probe_finding_text texts[PROBE_FINDING_COUNT] = {
        [PROBE_VF_TO_VF] = { "vf-to-vf", "does a VF reach another VF?" },
        [PROBE_PF_TO_VF] = { "pf-to-vf", "does the host reach a VF through the PF?" },
        [PROBE_VF_TO_PF_UNLISTED] = { "vf-to-pf-unlisted", "does a VF reach a MAC behind the PF that is not listed?" },
        [PROBE_VF_TO_PF_PROMISCUOUS] = { "vf-to-pf-promiscuous", "... while the PF is promiscuous?" },
        [PROBE_VF_TO_PF_LISTED] = { "vf-to-pf-listed", "... with an uplink filter for it?" },
        [PROBE_PF_TO_PF_LISTED] = { "pf-to-pf-listed", "does the PF get its own frames back for an uplink filter?" },
        [PROBE_BOTH_VF_TO_VF] = { "both-vf-to-vf", "VF filter and uplink filter: does the VF get a VF's frames?" },
        [PROBE_BOTH_VF_TO_PF] = { "both-vf-to-pf", "... and does the PF get them?" },
        [PROBE_BOTH_PF_TO_VF] = { "both-pf-to-vf", "VF filter and uplink filter: does the VF get the PF's frames?" },
        [PROBE_BOTH_PF_TO_PF] = { "both-pf-to-pf", "... and does the PF get them back?" },
        [PROBE_BOTH_WIRE_TO_VF] = { "both-wire-to-vf",
                                    "VF filter and uplink filter: does the VF get frames from the wire?" },
        [PROBE_BOTH_WIRE_TO_PF] = { "both-wire-to-pf", "... and does the PF get them?" },
        [PROBE_BOTH_VF_DOWN] = { "both-vf-down", "... and does the PF get a VF's frames while the VF is set down?" },
        [PROBE_BOTH_VF_UNBOUND] = { "both-vf-unbound", "... and while the VF has no driver?" },
        [PROBE_FILTER_AT_ONCE] = { "filter-at-once", "does a VF filter deliver as soon as the PF sets it?" },
        [PROBE_FILTER_AFTER_RESTART] = { "filter-after-restart", "... after the VF's driver has started again?" },
        [PROBE_BROADCAST_VF_TO_PF] = { "broadcast-vf-to-pf", "do a VF's broadcasts reach the PF?" },
        [PROBE_BROADCAST_VF_TO_VF] = { "broadcast-vf-to-vf", "... another VF?" },
        [PROBE_BROADCAST_VF_TO_ITSELF] = { "broadcast-vf-to-itself", "... the VF itself?" },
        [PROBE_BROADCAST_PF_TO_VF] = { "broadcast-pf-to-vf", "do the PF's broadcasts reach a VF?" },
        [PROBE_BROADCAST_PF_TO_PF] = { "broadcast-pf-to-pf", "... the PF itself?" },
        [PROBE_MULTICAST_VF_TO_PF] = { "multicast-vf-to-pf", "do a VF's multicasts reach the PF as it is now?" },
        [PROBE_MULTICAST_VF_TO_PF_ALLMULTI] = { "multicast-vf-to-pf-allmulti", "... while it takes all multicasts?" },
        [PROBE_MULTICAST_VF_TO_PF_JOINED] = { "multicast-vf-to-pf-joined", "... while it is in the group?" },
        [PROBE_MULTICAST_VF_TO_VF] = { "multicast-vf-to-vf", "do they reach another VF in the group?" },
        [PROBE_MULTICAST_PF_TO_VF] = { "multicast-pf-to-vf", "do the PF's multicasts reach a VF in the group?" },
        [PROBE_NEIGHBOUR_VF_TO_PF] = { "neighbour-vf-to-pf",
                                       "does a VF's IPv6 neighbour solicitation reach the PF as it is now?" },
        [PROBE_NEIGHBOUR_VF_TO_PF_ALLMULTI] = { "neighbour-vf-to-pf-allmulti", "... while it takes all multicasts?" },
        [PROBE_NEIGHBOUR_VF_TO_PF_JOINED] = { "neighbour-vf-to-pf-joined",
                                              "... while it is the one that is asked for?" },
        [PROBE_NEIGHBOUR_VF_TO_VF] = { "neighbour-vf-to-vf", "does it reach the VF that is asked for?" },
        [PROBE_NEIGHBOUR_PF_TO_VF] = { "neighbour-pf-to-vf", "does the PF's reach the VF that is asked for?" },
        [PROBE_TAGGED_VF_TO_PF] = { "tagged-vf-to-pf", "do a VF's tagged frames reach the PF with their tag?" },
        [PROBE_TAGGED_PF_TO_VF] = { "tagged-pf-to-vf", "do the PF's tagged frames reach a VF with their tag?" },
        [PROBE_VF_VLAN_TO_PF] = { "vf-vlan-to-pf", "do frames of a VF in a VLAN reach the PF with the VLAN's tag?" },
        [PROBE_PF_TO_VF_VLAN] = { "pf-to-vf-vlan", "do frames with the tag reach a VF in that VLAN, without the tag?" },
        [PROBE_VF_VLAN_TO_SAME] = { "vf-vlan-to-same", "does a VF reach another VF in its VLAN?" },
        [PROBE_VF_VLAN_TO_OTHER] = { "vf-vlan-to-other", "does a VF reach a VF in another VLAN?" },
        [PROBE_SPOOF_OWN] = { "spoof-own", "spoof check on: do frames with the VF's own source MAC pass?" },
        [PROBE_SPOOF_CHECKED] = { "spoof-checked", "... frames with a forged source MAC?" },
        [PROBE_SPOOF_UNCHECKED] = { "spoof-unchecked", "spoof check off: do frames with a forged source MAC pass?" },
};

enum probe_verdict probe_verdict_of(const struct probe_count *count)
{
        if (count->sent == 0)
                return PROBE_NOT_TRIED;
        if (count->received == 0)
                return PROBE_NO;
        return count->received * 100 >= count->sent * YES_PERCENT ? PROBE_YES : PROBE_UNCLEAR;
}

const struct probe_finding_text *probe_finding_text(enum probe_finding finding)
{
        return &texts[finding];
}

const char *probe_verdict_to_string(enum probe_verdict verdict)
{
        static const char *const names[] = {
                [PROBE_NOT_TRIED] = "not-tried",
                [PROBE_NO] = "no",
                [PROBE_YES] = "yes",
                [PROBE_UNCLEAR] = "unclear",
        };

        return names[verdict];
}

const char *probe_overflow_to_string(enum probe_overflow overflow)
{
        static const char *const names[] = {
                [PROBE_OVERFLOW_NOT_REACHED] = "not-reached",
                [PROBE_OVERFLOW_REFUSED] = "refused",
                [PROBE_OVERFLOW_DROPPED] = "dropped",
                [PROBE_OVERFLOW_PROMISCUOUS] = "promiscuous",
        };

        return names[overflow];
}

const char *probe_filter_live_to_string(enum probe_filter_live live)
{
        static const char *const names[] = {
                [PROBE_LIVE_UNKNOWN] = "unknown",
                [PROBE_LIVE_AT_ONCE] = "at-once",
                [PROBE_LIVE_AFTER_RESTART] = "after-restart",
        };

        return names[live];
}

/* ---- capacity ---- */

static unsigned smaller(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

void probe_capacity_begin(struct probe_capacity *capacity, unsigned limit)
{
        *capacity = (struct probe_capacity){
                .limit = limit,
                .count = smaller(PROBE_CAPACITY_STEP, limit),
                .done = limit == 0,
        };
}

static void capacity_end(struct probe_capacity *capacity, unsigned count)
{
        capacity->count = count;
        capacity->done = true;
}

void probe_capacity_next(struct probe_capacity *capacity, bool refused, enum probe_verdict listed,
                         enum probe_verdict stranger)
{
        bool works = listed == PROBE_YES && stranger == PROBE_NO;

        if (refused)
                capacity->overflow = PROBE_OVERFLOW_REFUSED;
        else if (!works && capacity->overflow == PROBE_OVERFLOW_NOT_REACHED)
                capacity->overflow = stranger == PROBE_NO ? PROBE_OVERFLOW_DROPPED : PROBE_OVERFLOW_PROMISCUOUS;

        if (works) {
                capacity->good = capacity->count;
                if (capacity->overflow != PROBE_OVERFLOW_NOT_REACHED || capacity->count == capacity->limit)
                        capacity_end(capacity, capacity->good);
                else
                        capacity->count = smaller(capacity->count + PROBE_CAPACITY_STEP, capacity->limit);
        } else if (capacity->count <= capacity->good + 1) {
                capacity_end(capacity, capacity->good);
        } else {
                capacity->count--;
        }
}

/* ---- conclusions ---- */

static bool is(const struct probe_answer *answers, enum probe_finding finding, enum probe_verdict verdict)
{
        return answers[finding].verdict == verdict;
}

/* A verdict that is known, and known to be this one, or was not tried. */
static bool agrees(const struct probe_answer *answers, enum probe_finding finding, bool expected)
{
        return is(answers, finding, PROBE_NOT_TRIED) || is(answers, finding, expected ? PROBE_YES : PROBE_NO);
}

/* By the frames of another VF: they are looked up in the embedded switch and nowhere else. */
static enum failover_steering steering_seen_by_vf(const struct probe_answer *answers)
{
        bool to_vf = is(answers, PROBE_BOTH_VF_TO_VF, PROBE_YES);
        bool to_pf = is(answers, PROBE_BOTH_VF_TO_PF, PROBE_YES);

        if (to_vf && to_pf)
                return FAILOVER_STEERING_BOTH;
        if (to_pf && is(answers, PROBE_BOTH_VF_TO_VF, PROBE_NO))
                return FAILOVER_STEERING_PF_WINS;
        if (!to_vf || !is(answers, PROBE_BOTH_VF_TO_PF, PROBE_NO))
                return FAILOVER_STEERING_UNKNOWN;
        if (is(answers, PROBE_BOTH_VF_DOWN, PROBE_YES))
                return FAILOVER_STEERING_FOLLOWS_GUEST;
        if (is(answers, PROBE_BOTH_VF_DOWN, PROBE_NO))
                return FAILOVER_STEERING_VF_WINS;
        return FAILOVER_STEERING_UNKNOWN;
}

static enum failover_steering conclude_steering(const struct probe_answer *answers)
{
        enum failover_steering steering = steering_seen_by_vf(answers);
        bool to_vf = steering != FAILOVER_STEERING_PF_WINS;
        bool to_pf = steering == FAILOVER_STEERING_BOTH || steering == FAILOVER_STEERING_PF_WINS;

        /* Without these two the filters do nothing, and what was seen had another cause. */
        if (!is(answers, PROBE_VF_TO_VF, PROBE_YES) || !is(answers, PROBE_VF_TO_PF_LISTED, PROBE_YES))
                return FAILOVER_STEERING_UNKNOWN;
        /* Where the PF is to have a copy, it must have it also of a VF that nobody drives. */
        if (to_pf && (!agrees(answers, PROBE_BOTH_VF_DOWN, true) || !agrees(answers, PROBE_BOTH_VF_UNBOUND, true)))
                return FAILOVER_STEERING_UNKNOWN;
        /* A guest on its VF must hear the host. */
        if (to_vf && !is(answers, PROBE_BOTH_PF_TO_VF, PROBE_YES))
                return FAILOVER_STEERING_UNKNOWN;
        if (!agrees(answers, PROBE_BOTH_WIRE_TO_VF, to_vf) || !agrees(answers, PROBE_BOTH_WIRE_TO_PF, to_pf))
                return FAILOVER_STEERING_UNKNOWN;
        return steering;
}

static enum probe_verdict opposite(enum probe_verdict verdict)
{
        return verdict == PROBE_YES ? PROBE_NO : verdict == PROBE_NO ? PROBE_YES : verdict;
}

/* `effect`, which is worth something only where its control was seen to work. */
static enum probe_verdict with_control(const struct probe_answer *answers, enum probe_finding control,
                                       enum probe_verdict effect)
{
        if (is(answers, control, PROBE_YES) || effect == PROBE_NOT_TRIED)
                return effect;
        return is(answers, control, PROBE_NOT_TRIED) ? PROBE_NOT_TRIED : PROBE_UNCLEAR;
}

void probe_conclude(const struct probe_answer *answers, struct probe_conclusion *ret)
{
        *ret = (struct probe_conclusion){
                .steering = conclude_steering(answers),
                .reflects = is(answers, PROBE_BOTH_PF_TO_PF, PROBE_YES),
                .filter_live = is(answers, PROBE_FILTER_AT_ONCE, PROBE_YES)         ? PROBE_LIVE_AT_ONCE
                               : is(answers, PROBE_FILTER_AFTER_RESTART, PROBE_YES) ? PROBE_LIVE_AFTER_RESTART
                                                                                    : PROBE_LIVE_UNKNOWN,
                .isolates_vlans =
                        with_control(answers, PROBE_VF_VLAN_TO_SAME, opposite(answers[PROBE_VF_VLAN_TO_OTHER].verdict)),
                .spoof_check_drops = with_control(answers, PROBE_SPOOF_OWN,
                                                  with_control(answers, PROBE_SPOOF_UNCHECKED,
                                                               opposite(answers[PROBE_SPOOF_CHECKED].verdict))),
                .promiscuous_helps = answers[PROBE_VF_TO_PF_PROMISCUOUS].verdict,
        };
}
