/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The experiments, the most important first, in an order in which the VFs are restarted few times. Each of them leaves
 * the PF's list and the PF's modes as it found them.
 *
 * Frames that stand for the host or for a bridged guest are sent on the PF, with the source MAC of a neighbour that is
 * an uplink filter: as those of a bridged guest are. Some cards prune at the receiver what has its own address as its
 * source, so it makes a difference.
 *
 * What is not tried, here or ever, is to take the PF out of its bridge or its promiscuous mode: it is measured as it is
 * used.
 */

#include "src/probe/experiments.h"

#include "src/probe/device.h"
#include "src/probe/flight.h"
#include "src/probe/restore.h"
#include "vswitch/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USEC_PER_MSEC 1000ull

/* Quiet, as a multiple of the slowest frame seen at first, and within bounds. An emulated card's host has hiccups. */
#define QUIET_FACTOR       20
#define QUIET_MIN          (50 * USEC_PER_MSEC)
#define QUIET_MIN_EMULATED (400 * USEC_PER_MSEC)
#define QUIET_MAX          (1000 * USEC_PER_MSEC)

#define FILTERS_MAX   240
#define FILTERS_TRIES 3

#define ASK(bench, flight, error, ...)                                                                                 \
        probe_ask(bench, flight, (const struct probe_question[]){ __VA_ARGS__ },                                       \
                  sizeof((const struct probe_question[]){ __VA_ARGS__ }) / sizeof(struct probe_question), error)

static struct vswitch_mac mac(const struct probe_bench *bench, enum probe_mac_number number)
{
        return probe_mac(bench->run, number);
}

static struct probe_flight flight_to(const struct probe_bench *bench, enum probe_place from, enum probe_mac_number to)
{
        static const enum probe_mac_number sources[] = {
                [PROBE_AT_VF] = PROBE_MAC_SUBJECT,
                [PROBE_AT_SENDER] = PROBE_MAC_SENDER,
                [PROBE_AT_PF] = PROBE_MAC_NEIGHBOUR,
                [PROBE_AT_WIRE] = PROBE_MAC_WIRE,
        };

        return (struct probe_flight){ .from = from, .destination = mac(bench, to), .source = sources[from] };
}

static int list(struct probe_bench *bench, enum probe_mac_number number, struct vswitch_error *error)
{
        struct vswitch_mac address = mac(bench, number);

        return bench->pf->driver->uplink_filter_add(bench->pf, &address, error);
}

static int unlist(struct probe_bench *bench, enum probe_mac_number number, struct vswitch_error *error)
{
        struct vswitch_mac address = mac(bench, number);

        return bench->pf->driver->uplink_filter_remove(bench->pf, &address, error);
}

/* For a group of questions that something stands in the way of; what ends the whole probe goes on as an error. */
static int skip(struct probe_bench *bench, int result, const struct vswitch_error *why,
                const enum probe_finding *findings, size_t count, struct vswitch_error *error)
{
        for (size_t i = 0; i < count; i++)
                probe_not_tried(bench, findings[i], vswitch_error_text(why, result));
        if (!probe_bench_is_over(result))
                return 0;
        return vswitch_error_set(error, result, "%s", vswitch_error_text(why, result));
}

#define SKIP(bench, result, why, error, ...)                                                                           \
        skip(bench, result, why, (const enum probe_finding[]){ __VA_ARGS__ },                                          \
             sizeof((const enum probe_finding[]){ __VA_ARGS__ }) / sizeof(enum probe_finding), error)

/* ---- delivery ---- */

static void set_quiet(struct probe_bench *bench)
{
        uint64_t least = bench->pf->is_emulated ? QUIET_MIN_EMULATED : QUIET_MIN;
        uint64_t quiet = bench->latency_usec * QUIET_FACTOR;

        bench->quiet_usec = quiet < least ? least : quiet > QUIET_MAX ? QUIET_MAX : quiet;
}

static int ask_promiscuous(struct probe_bench *bench, const struct probe_flight *flight, struct vswitch_error *error)
{
        struct probe_port *pf = &bench->ports[PROBE_AT_PF];
        int r = probe_port_set_mode(pf, PROBE_PORT_PROMISCUOUS, NULL, true);

        if (r < 0)
                return SKIP(bench, r, NULL, error, PROBE_VF_TO_PF_PROMISCUOUS);
        r = ASK(bench, flight, error, { PROBE_VF_TO_PF_PROMISCUOUS, PROBE_AT_PF, PROBE_ANY_TAG });
        (void) probe_port_set_mode(pf, PROBE_PORT_PROMISCUOUS, NULL, false);
        return r;
}

static int try_single_filters(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight to_vf = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_SUBJECT);
        struct probe_flight pf_to_vf = flight_to(bench, PROBE_AT_PF, PROBE_MAC_SUBJECT);
        struct probe_flight to_pf = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_LISTED);
        struct probe_flight pf_to_pf = flight_to(bench, PROBE_AT_PF, PROBE_MAC_LISTED);
        int r = list(bench, PROBE_MAC_NEIGHBOUR, error);

        if (r == 0)
                r = ASK(bench, &to_vf, error, { PROBE_VF_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG });
        if (r == 0)
                r = ASK(bench, &pf_to_vf, error, { PROBE_PF_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG });
        set_quiet(bench);
        if (r == 0)
                r = ASK(bench, &to_pf, error, { PROBE_VF_TO_PF_UNLISTED, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0)
                r = ask_promiscuous(bench, &to_pf, error);
        if (r == 0)
                r = list(bench, PROBE_MAC_LISTED, error);
        if (r == 0)
                r = ASK(bench, &to_pf, error, { PROBE_VF_TO_PF_LISTED, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0)
                r = ASK(bench, &pf_to_pf, error, { PROBE_PF_TO_PF_LISTED, PROBE_AT_PF, PROBE_ANY_TAG });
        return r;
}

static const struct probe_vf_setup subject_setup = { .mac = PROBE_MAC_SUBJECT };
static const struct probe_vf_setup sender_setup = { .mac = PROBE_MAC_SENDER };

/* What becomes of the VF filter when nobody drives the VF. */
static int try_without_driver(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight flight = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_SUBJECT);
        struct probe_bench_vf *vf = &bench->vfs[PROBE_AT_VF];
        int r = vswitch_link_set_up(vf->netlink, vf->ifindex, false, error);

        if (r == 0)
                r = ASK(bench, &flight, error, { PROBE_BOTH_VF_DOWN, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0)
                r = probe_bench_stop_vf(bench, PROBE_AT_VF, error);
        if (r == 0)
                r = ASK(bench, &flight, error, { PROBE_BOTH_VF_UNBOUND, PROBE_AT_PF, PROBE_ANY_TAG });
        return r == 0 ? probe_bench_start_vf(bench, PROBE_AT_VF, &subject_setup, error) : r;
}

static int try_both_filters(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight from_vf = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_SUBJECT);
        struct probe_flight from_pf = flight_to(bench, PROBE_AT_PF, PROBE_MAC_SUBJECT);
        struct probe_flight from_wire = flight_to(bench, PROBE_AT_WIRE, PROBE_MAC_SUBJECT);
        struct vswitch_error no_wire = { "needs another netdev on the same wire (--wire)" };
        int r = list(bench, PROBE_MAC_SUBJECT, error);

        if (r == 0)
                r = ASK(bench, &from_vf, error, { PROBE_BOTH_VF_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG },
                        { PROBE_BOTH_VF_TO_PF, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0)
                r = ASK(bench, &from_pf, error, { PROBE_BOTH_PF_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG },
                        { PROBE_BOTH_PF_TO_PF, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0 && bench->ports[PROBE_AT_WIRE].fd < 0)
                r = SKIP(bench, -EOPNOTSUPP, &no_wire, error, PROBE_BOTH_WIRE_TO_VF, PROBE_BOTH_WIRE_TO_PF);
        else if (r == 0)
                r = ASK(bench, &from_wire, error, { PROBE_BOTH_WIRE_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG },
                        { PROBE_BOTH_WIRE_TO_PF, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0)
                r = try_without_driver(bench, error);
        return r == 0 ? unlist(bench, PROBE_MAC_SUBJECT, error) : r;
}

/* When the filter that the PF sets on a VF whose driver runs delivers. */
static int try_new_filter(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight flight = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_SECOND);
        const struct probe_vf_setup setup = { .mac = PROBE_MAC_SECOND };
        struct vswitch_error why = { 0 };
        int r = probe_bench_set_vf(bench, PROBE_AT_VF, &setup, &why);

        if (r == 0)
                r = ASK(bench, &flight, error, { PROBE_FILTER_AT_ONCE, PROBE_AT_VF, PROBE_ANY_TAG });
        else
                r = SKIP(bench, r, &why, error, PROBE_FILTER_AT_ONCE);
        if (r < 0)
                return r;
        if (bench->answers[PROBE_FILTER_AT_ONCE].verdict == PROBE_YES)
                probe_not_tried(bench, PROBE_FILTER_AFTER_RESTART, "it delivers before");
        else
                r = probe_bench_start_vf(bench, PROBE_AT_VF, &setup, error);
        if (r == 0 && bench->answers[PROBE_FILTER_AT_ONCE].verdict != PROBE_YES)
                r = ASK(bench, &flight, error, { PROBE_FILTER_AFTER_RESTART, PROBE_AT_VF, PROBE_ANY_TAG });
        return r;
}

/* ---- broadcast and multicast ---- */

static int try_broadcast(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight from_vf = flight_to(bench, PROBE_AT_SENDER, 0);
        struct probe_flight from_pf = flight_to(bench, PROBE_AT_PF, 0);
        int r;

        memset(&from_vf.destination, 0xff, sizeof(from_vf.destination));
        from_pf.destination = from_vf.destination;
        r = ASK(bench, &from_vf, error, { PROBE_BROADCAST_VF_TO_PF, PROBE_AT_PF, PROBE_ANY_TAG },
                { PROBE_BROADCAST_VF_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG },
                { PROBE_BROADCAST_VF_TO_ITSELF, PROBE_AT_SENDER, PROBE_ANY_TAG });
        if (r == 0)
                r = ASK(bench, &from_pf, error, { PROBE_BROADCAST_PF_TO_VF, PROBE_AT_VF, PROBE_ANY_TAG },
                        { PROBE_BROADCAST_PF_TO_PF, PROBE_AT_PF, PROBE_ANY_TAG });
        return r;
}

struct multicast_questions {
        enum probe_finding vf_to_vf, pf_to_vf, vf_to_pf, vf_to_pf_allmulti, vf_to_pf_joined;
};

/* A group that the subject is in. */
static int try_group_of_vf(struct probe_bench *bench, const struct multicast_questions *questions,
                           const struct vswitch_mac *group, bool is_neighbour_solicitation, struct vswitch_error *error)
{
        struct probe_flight from_vf = flight_to(bench, PROBE_AT_SENDER, 0);
        struct probe_flight from_pf = flight_to(bench, PROBE_AT_PF, 0);
        struct probe_port *vf = &bench->ports[PROBE_AT_VF];
        int r = probe_port_set_mode(vf, PROBE_PORT_GROUP, group, true);

        if (r < 0)
                return SKIP(bench, r, NULL, error, questions->vf_to_vf, questions->pf_to_vf);
        from_vf.destination = from_pf.destination = *group;
        from_vf.is_neighbour_solicitation = from_pf.is_neighbour_solicitation = is_neighbour_solicitation;
        r = ASK(bench, &from_vf, error, { questions->vf_to_vf, PROBE_AT_VF, PROBE_ANY_TAG });
        if (r == 0)
                r = ASK(bench, &from_pf, error, { questions->pf_to_vf, PROBE_AT_VF, PROBE_ANY_TAG });
        (void) probe_port_set_mode(vf, PROBE_PORT_GROUP, group, false);
        return r;
}

/* A group that nobody on the card is in: cards share one table of groups, so a VF's membership would let the frames in
 * for the PF, too. The PF listens as it does anyway, then to all multicasts, then, as a host in the group would, to this
 * one. */
static int try_group_of_pf(struct probe_bench *bench, const struct multicast_questions *questions,
                           const struct vswitch_mac *group, bool is_neighbour_solicitation, struct vswitch_error *error)
{
        const struct {
                enum probe_finding finding;
                enum probe_port_mode mode;
                const struct vswitch_mac *group;
        } modes[] = {
                { questions->vf_to_pf_allmulti, PROBE_PORT_ALL_MULTICAST, NULL },
                { questions->vf_to_pf_joined, PROBE_PORT_GROUP, group },
        };
        struct probe_flight flight = flight_to(bench, PROBE_AT_SENDER, 0);
        struct probe_port *pf = &bench->ports[PROBE_AT_PF];
        int r;

        flight.destination = *group;
        flight.is_neighbour_solicitation = is_neighbour_solicitation;
        r = ASK(bench, &flight, error, { questions->vf_to_pf, PROBE_AT_PF, PROBE_ANY_TAG });
        for (size_t i = 0; r == 0 && i < sizeof(modes) / sizeof(modes[0]); i++) {
                r = probe_port_set_mode(pf, modes[i].mode, modes[i].group, true);
                if (r < 0) {
                        r = SKIP(bench, r, NULL, error, modes[i].finding);
                        continue;
                }
                r = ASK(bench, &flight, error, { modes[i].finding, PROBE_AT_PF, PROBE_ANY_TAG });
                (void) probe_port_set_mode(pf, modes[i].mode, modes[i].group, false);
        }
        return r;
}

static int try_multicast(struct probe_bench *bench, struct vswitch_error *error)
{
        static const struct multicast_questions multicast = {
                .vf_to_vf = PROBE_MULTICAST_VF_TO_VF,
                .pf_to_vf = PROBE_MULTICAST_PF_TO_VF,
                .vf_to_pf = PROBE_MULTICAST_VF_TO_PF,
                .vf_to_pf_allmulti = PROBE_MULTICAST_VF_TO_PF_ALLMULTI,
                .vf_to_pf_joined = PROBE_MULTICAST_VF_TO_PF_JOINED,
        };
        static const struct multicast_questions neighbour = {
                .vf_to_vf = PROBE_NEIGHBOUR_VF_TO_VF,
                .pf_to_vf = PROBE_NEIGHBOUR_PF_TO_VF,
                .vf_to_pf = PROBE_NEIGHBOUR_VF_TO_PF,
                .vf_to_pf_allmulti = PROBE_NEIGHBOUR_VF_TO_PF_ALLMULTI,
                .vf_to_pf_joined = PROBE_NEIGHBOUR_VF_TO_PF_JOINED,
        };
        struct vswitch_mac group_of_vf = probe_multicast_mac(bench->run, PROBE_MAC_SUBJECT);
        struct vswitch_mac group_of_pf = probe_multicast_mac(bench->run, PROBE_MAC_NEIGHBOUR);
        struct vswitch_mac vf = probe_neighbour_mac(bench->run, PROBE_MAC_SUBJECT);
        struct vswitch_mac pf = probe_neighbour_mac(bench->run, PROBE_MAC_NEIGHBOUR);
        int r = try_group_of_vf(bench, &multicast, &group_of_vf, false, error);

        if (r == 0)
                r = try_group_of_pf(bench, &multicast, &group_of_pf, false, error);
        if (r == 0)
                r = try_group_of_vf(bench, &neighbour, &vf, true, error);
        if (r == 0)
                r = try_group_of_pf(bench, &neighbour, &pf, true, error);
        return r;
}

/* ---- spoof check ---- */

static int try_spoof_check(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight own = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_LISTED);
        struct probe_flight forged = own;
        struct probe_vf_setup setup = { .mac = PROBE_MAC_SENDER, .set_spoof_check = true, .spoof_check = true };
        struct vswitch_error why = { "the driver does not know a spoof check" };
        int r = -EOPNOTSUPP;

        forged.source = PROBE_MAC_FORGED;
        if (bench->notes.vfs[PROBE_AT_SENDER].attributes.valid & PF_VF_SPOOF_CHECK)
                r = probe_bench_set_vf(bench, PROBE_AT_SENDER, &setup, &why);
        if (r < 0)
                return SKIP(bench, r, &why, error, PROBE_SPOOF_OWN, PROBE_SPOOF_CHECKED, PROBE_SPOOF_UNCHECKED);
        r = ASK(bench, &own, error, { PROBE_SPOOF_OWN, PROBE_AT_PF, PROBE_ANY_TAG });
        if (r == 0)
                r = ASK(bench, &forged, error, { PROBE_SPOOF_CHECKED, PROBE_AT_PF, PROBE_ANY_TAG });
        setup.spoof_check = false;
        if (r == 0)
                r = probe_bench_set_vf(bench, PROBE_AT_SENDER, &setup, &why);
        if (r < 0)
                return SKIP(bench, r, &why, error, PROBE_SPOOF_UNCHECKED);
        r = ASK(bench, &forged, error, { PROBE_SPOOF_UNCHECKED, PROBE_AT_PF, PROBE_ANY_TAG });
        return r == 0 ? probe_bench_set_vf(bench, PROBE_AT_SENDER, &sender_setup, error) : r;
}

/* ---- how many uplink filters deliver ---- */

/* Brings our filters to `wanted`; *count is how many there are. -ENOSPC (or what the driver says) when it takes no more. */
static int set_filters(struct probe_bench *bench, unsigned wanted, unsigned *count, struct vswitch_error *error)
{
        int r = 0;

        while (r == 0 && *count < wanted) {
                r = list(bench, (enum probe_mac_number)(PROBE_MAC_FILTERS + *count), error);
                *count += r == 0;
        }
        while (r == 0 && *count > wanted) {
                r = unlist(bench, (enum probe_mac_number)(PROBE_MAC_FILTERS + *count - 1), error);
                *count -= r == 0;
        }
        return r;
}

/* Does each of the first `count` filters deliver? A frame may be lost by chance, the same one three times is not. */
static int test_filters(struct probe_bench *bench, unsigned count, enum probe_verdict *ret, struct vswitch_error *error)
{
        const struct probe_flight flight = { .from = PROBE_AT_SENDER, .source = PROBE_MAC_SENDER, .to_filters = true };
        bool heard_of[PROBE_FLIGHT_MAX] = { false };
        bool all = false;

        for (int attempt = 0; attempt < FILTERS_TRIES && !all; attempt++) {
                struct probe_heard heard;
                int r = probe_fly(bench, &flight, count, heard_of, &heard, error);

                if (r < 0)
                        return r;
                all = true;
                for (unsigned i = 0; i < count; i++) {
                        heard_of[i] = heard_of[i] || heard.times[PROBE_AT_PF][0][i] || heard.times[PROBE_AT_PF][1][i];
                        all = all && heard_of[i];
                }
        }
        *ret = all ? PROBE_YES : PROBE_NO;
        return 0;
}

static int test_stranger(struct probe_bench *bench, enum probe_verdict *ret, struct vswitch_error *error)
{
        struct probe_flight flight = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_STRANGER);
        struct probe_count count = { 0 };
        struct probe_heard heard;
        int r = probe_fly(bench, &flight, 3, NULL, &heard, error);

        for (unsigned i = 0; i < 3; i++)
                count.received += heard.times[PROBE_AT_PF][0][i] || heard.times[PROBE_AT_PF][1][i];
        count.sent = 3;
        *ret = probe_verdict_of(&count);
        return r;
}

static int measure_capacity(struct probe_bench *bench, unsigned *listed, struct vswitch_error *error)
{
        struct probe_capacity *capacity = &bench->capacity;

        probe_capacity_begin(capacity, FILTERS_MAX);
        while (!capacity->done) {
                enum probe_verdict all = PROBE_NOT_TRIED, stranger = PROBE_NOT_TRIED;
                unsigned wanted = capacity->count;
                struct vswitch_error refusal = { 0 };
                int r = set_filters(bench, wanted, listed, &refusal);
                bool refused = r < 0 && !probe_bench_is_over(r) && *listed < wanted;

                if (r < 0 && !refused)
                        return vswitch_error_set(error, r, "%s", vswitch_error_text(&refusal, r));
                capacity->count = *listed;
                r = test_filters(bench, *listed, &all, error);
                if (r == 0)
                        r = test_stranger(bench, &stranger, error);
                if (r < 0)
                        return r;
                probe_capacity_next(capacity, refused, all, stranger);
        }
        return 0;
}

static int try_capacity(struct probe_bench *bench, struct vswitch_error *error)
{
        struct vswitch_mac *filters = NULL;
        size_t count = 0;
        unsigned listed = 0;
        int r, removed;

        /* Where the PF hears of the VFs whatever is listed, there is nothing to count. */
        if (bench->answers[PROBE_VF_TO_PF_LISTED].verdict != PROBE_YES ||
            bench->answers[PROBE_VF_TO_PF_UNLISTED].verdict != PROBE_NO)
                return 0;
        r = bench->pf->driver->uplink_filter_list(bench->pf, &filters, &count, error);
        free(filters);
        if (r < 0)
                return r;
        bench->filters_before = (unsigned) count;
        r = measure_capacity(bench, &listed, error);
        bench->capacity_measured = r == 0;
        removed = set_filters(bench, 0, &listed, r < 0 ? NULL : error);
        return r < 0 ? r : removed;
}

/* ---- VLANs ---- */

/* While the PF is not promiscuous its card lets in no tag that nobody has asked for. */
static int let_vlan_in(struct probe_bench *bench, struct vswitch_error *error)
{
        char name[IF_NAMESIZE];
        int ifindex;

        if (bench->pf_is_promiscuous)
                return 0;
        probe_vlan_device_name(bench->pf, name);
        return probe_device_add_vlan(bench->netlink, bench->pf->ifindex, name, bench->vlan, &ifindex, error);
}

/* The guests tag. */
static int try_tags(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_flight to_pf = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_LISTED);
        struct probe_flight to_vf = flight_to(bench, PROBE_AT_PF, PROBE_MAC_SUBJECT);
        struct vswitch_error why = { 0 };
        int devices[PROBE_VFS_MAX] = { 0 };
        int r = 0;

        to_pf.vlan = to_vf.vlan = bench->vlan;
        for (int i = 0; r == 0 && i < PROBE_VFS_MAX; i++)
                r = probe_device_add_vlan(bench->vfs[i].netlink, bench->vfs[i].ifindex, "vsprobe", bench->vlan,
                                          &devices[i], &why);
        if (r < 0)
                r = SKIP(bench, r, &why, error, PROBE_TAGGED_VF_TO_PF, PROBE_TAGGED_PF_TO_VF);
        else
                r = ASK(bench, &to_pf, error, { PROBE_TAGGED_VF_TO_PF, PROBE_AT_PF, PROBE_WITH_TAG });
        if (r == 0 && devices[PROBE_AT_SENDER] != 0)
                r = ASK(bench, &to_vf, error, { PROBE_TAGGED_PF_TO_VF, PROBE_AT_VF, PROBE_WITH_TAG });
        for (int i = 0; i < PROBE_VFS_MAX; i++)
                if (devices[i] != 0)
                        (void) probe_device_delete(bench->vfs[i].netlink, devices[i], NULL);
        return r;
}

/* The card tags: VF VLANs. */
static int try_vf_vlans(struct probe_bench *bench, struct vswitch_error *error)
{
        const struct probe_vf_setup subject = { .mac = PROBE_MAC_SUBJECT, .vlan = bench->vlan };
        const struct probe_vf_setup sender = { .mac = PROBE_MAC_SENDER, .vlan = bench->vlan };
        struct probe_flight pf_to_vf = flight_to(bench, PROBE_AT_PF, PROBE_MAC_SUBJECT);
        struct probe_flight to_pf = flight_to(bench, PROBE_AT_VF, PROBE_MAC_LISTED);
        struct probe_flight to_vf = flight_to(bench, PROBE_AT_SENDER, PROBE_MAC_SUBJECT);
        struct vswitch_error why = { "the driver knows no VF VLANs" };
        int r = -EOPNOTSUPP;

        pf_to_vf.vlan = bench->vlan;
        if (bench->notes.vfs[PROBE_AT_VF].attributes.valid & PF_VF_VLAN)
                r = probe_bench_start_vf(bench, PROBE_AT_VF, &subject, &why);
        if (r < 0)
                return SKIP(bench, r, &why, error, PROBE_VF_VLAN_TO_PF, PROBE_PF_TO_VF_VLAN, PROBE_VF_VLAN_TO_SAME,
                            PROBE_VF_VLAN_TO_OTHER);
        r = ASK(bench, &to_pf, error, { PROBE_VF_VLAN_TO_PF, PROBE_AT_PF, PROBE_WITH_TAG });
        if (r == 0)
                r = ASK(bench, &pf_to_vf, error, { PROBE_PF_TO_VF_VLAN, PROBE_AT_VF, PROBE_WITHOUT_TAG });
        if (r == 0)
                r = ASK(bench, &to_vf, error, { PROBE_VF_VLAN_TO_OTHER, PROBE_AT_VF, PROBE_ANY_TAG });
        if (r == 0)
                r = probe_bench_start_vf(bench, PROBE_AT_SENDER, &sender, error);
        return r == 0 ? ASK(bench, &to_vf, error, { PROBE_VF_VLAN_TO_SAME, PROBE_AT_VF, PROBE_WITHOUT_TAG }) : r;
}

static int try_vlans(struct probe_bench *bench, struct vswitch_error *error)
{
        struct vswitch_error why = { 0 };
        int r = let_vlan_in(bench, &why);

        if (r < 0)
                return SKIP(bench, r, &why, error, PROBE_TAGGED_VF_TO_PF, PROBE_TAGGED_PF_TO_VF, PROBE_VF_VLAN_TO_PF,
                            PROBE_PF_TO_VF_VLAN, PROBE_VF_VLAN_TO_SAME, PROBE_VF_VLAN_TO_OTHER);
        r = probe_bench_start_vf(bench, PROBE_AT_VF, &subject_setup, error);
        if (r == 0)
                r = try_tags(bench, error);
        return r == 0 ? try_vf_vlans(bench, error) : r;
}

int probe_run_experiments(struct probe_bench *bench, struct vswitch_error *error)
{
        static int (*const experiments[])(struct probe_bench * bench, struct vswitch_error * error) = {
                try_single_filters, try_both_filters, try_broadcast, try_multicast,
                try_new_filter,     try_spoof_check,  try_capacity,  try_vlans,
        };
        int r = probe_bench_start_vf(bench, PROBE_AT_VF, &subject_setup, error);

        if (r == 0)
                r = probe_bench_start_vf(bench, PROBE_AT_SENDER, &sender_setup, error);
        for (size_t i = 0; r == 0 && i < sizeof(experiments) / sizeof(experiments[0]); i++)
                r = experiments[i](bench, error);
        return r;
}
