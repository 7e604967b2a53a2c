/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard of a guest's port.
 *
 * Theory of operation: two tc filters where the guest's frames come in at its tap, before the bridge sees them:
 *
 *   source: of kind basic with the ematch "not nbyte(MAC at 6 layer 0)" -> drop. The source address is at the same
 *           place with and without tags. One filter says it all: with "the right ones pass, the rest is dropped" in
 *           two, the right ones would have to end their way there, past the filters of others.
 *   rate:   of kind basic without an ematch, which takes everything -> police; what is too much is dropped.
 *
 * What either lets pass goes on to the next filter (TC_ACT_UNSPEC), so nobody's is skipped: libvirt's police of
 * <bandwidth> still works, and the lower of the two rates wins. Ours come first, which they must: libvirt's ends the
 * way of what it lets pass. They do, because the kernel gives filters without a priority one from 0x8000 up.
 *
 * Rate and burst. A policer has no queue: it drops, and TCP must not meet that at each burst of its own. So it lets
 * through what comes within BURST_MILLISECONDS at full rate, and never less than four TSO packets: the kernel hands
 * the guest's 64 KiB over as one packet, which a smaller bucket would never let pass. At the place where tc sees it a
 * frame has no Ethernet header; it is added, with the FCS, since a card counts what it puts on the wire. For a TSO packet
 * it is added once and not for each segment, so there the wire may see up to five percent more.
 *
 * The qdisc. The place for the filters is an ingress qdisc or a clsact; what is there is used. If there is none, an
 * ingress is made and no clsact, as they exclude one another: libvirt sets <bandwidth> by "tc qdisc del ... ingress"
 * and "tc qdisc add ... ingress", and beside a clsact both would fail, so that "virsh domiftune" would no longer work.
 * It stays when it is empty: nobody can tell who made it, libvirt may be about to use it, and making or removing it takes
 * the tap's queue down for a moment. It goes with the tap.
 *
 * What is ours: filters of kind basic at our priorities, under one fixed handle, whose action has our cookie (tc.h).
 */

#include "guard.h"

#include "link.h"
#include "tc.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/tc_ematch/tc_em_nbyte.h>
#include <string.h>

#define OUR_HANDLE 1

#define BURST_MILLISECONDS 50
#define BURST_MIN          262144U

/* The kernel's unit of time in police parameters, PSCHED_SHIFT; the same since Linux 2.6.31. */
#define TICK_NANOSECONDS 64

#define BYTES_PER_SECOND_OF_MBIT 125000U
#define RATE_TABLE_SIZE          1024

/* Match number 1 of 1: at byte 6 of the Ethernet header there is not this MAC. As a request has it and as the
 * kernel shows it. */
struct source_match {
        struct tcf_ematch_hdr header;
        struct tcf_em_nbyte where;
        uint8_t mac[ETH_ALEN];
} __attribute__((packed, aligned(4)));

_Static_assert(offsetof(struct source_match, mac) == sizeof(struct tcf_ematch_hdr) + sizeof(struct tcf_em_nbyte),
               "no holes");

/* Without the padding at its end, which belongs to no message. */
#define SOURCE_MATCH_SIZE (offsetof(struct source_match, mac) + ETH_ALEN)

static struct source_match source_match(const struct vswitch_mac *mac)
{
        struct source_match match = {
                .header = { .kind = TCF_EM_NBYTE, .flags = TCF_EM_INVERT },
                .where = { .off = ETH_ALEN, .len = ETH_ALEN, .layer = TCF_LAYER_LINK },
        };

        memcpy(match.mac, mac->bytes, ETH_ALEN);
        return match;
}

uint32_t guard_burst(uint32_t max_rate)
{
        uint64_t bytes = (uint64_t) max_rate * BYTES_PER_SECOND_OF_MBIT * BURST_MILLISECONDS / 1000;

        if (bytes < BURST_MIN)
                return BURST_MIN;
        return bytes < UINT32_MAX ? (uint32_t) bytes : UINT32_MAX;
}

/*
 * Reading
 */

struct guard_state {
        bool has_source;
        bool has_rate;
        struct vswitch_mac mac; /* zero when the filter is ours and does not do what it should */
        uint32_t max_rate;      /* the same */
        bool foreign;
        uint32_t reading;
};

/* The MAC of a source check. Zero when the matches are others. */
static struct vswitch_mac read_source_match(struct nlattr *const tree[static TCA_EMATCH_TREE_MAX + 1])
{
        struct vswitch_mac mac = { 0 };
        struct source_match expected;
        struct nlattr *first;

        if (!tree[TCA_EMATCH_TREE_LIST] || nla_len(tree[TCA_EMATCH_TREE_LIST]) < NLA_HDRLEN)
                return mac;
        first = nla_data(tree[TCA_EMATCH_TREE_LIST]);
        if (!nla_ok(first, nla_len(tree[TCA_EMATCH_TREE_LIST])) || nla_len(first) < (int) SOURCE_MATCH_SIZE)
                return mac;

        memcpy(mac.bytes, (const uint8_t *) nla_data(first) + offsetof(struct source_match, mac), ETH_ALEN);
        expected = source_match(&mac);
        /* The kernel sets the number of the match itself. */
        memcpy(&expected.header.matchid, nla_data(first), sizeof(expected.header.matchid));
        return memcmp(nla_data(first), &expected, SOURCE_MATCH_SIZE) == 0 ? mac : (struct vswitch_mac){ 0 };
}

/* How many ematches there are: the kernel shows a tree for a filter without any, too. */
static unsigned read_ematches(const struct nlattr *ematches, struct nlattr *ret_tree[static TCA_EMATCH_TREE_MAX + 1])
{
        struct tcf_ematch_tree_hdr header = { 0 };

        if (ematches && nla_parse_nested(ret_tree, TCA_EMATCH_TREE_MAX, (struct nlattr *) ematches, NULL) == 0 &&
            ret_tree[TCA_EMATCH_TREE_HDR])
                nla_memcpy(&header, ret_tree[TCA_EMATCH_TREE_HDR], sizeof(header));
        return header.nmatches;
}

static uint32_t read_rate(const struct nlattr *police)
{
        struct nlattr *attributes[TCA_POLICE_MAX + 1] = { 0 };
        struct tc_police parameters = { 0 };
        uint64_t rate;

        if (nla_parse_nested(attributes, TCA_POLICE_MAX, (struct nlattr *) police, NULL) < 0 ||
            !attributes[TCA_POLICE_TBF])
                return 0;
        nla_memcpy(&parameters, attributes[TCA_POLICE_TBF], sizeof(parameters));
        rate = attributes[TCA_POLICE_RATE64] ? nla_get_u64(attributes[TCA_POLICE_RATE64]) : parameters.rate.rate;
        return parameters.action == TC_ACT_SHOT ? (uint32_t) (rate / BYTES_PER_SECOND_OF_MBIT) : 0;
}

/* Takes a filter of ours; false when it is not. */
static bool take_ours(const struct tc_filter *filter, const struct nlattr *options, struct guard_state *state)
{
        struct nlattr *basic[TCA_BASIC_MAX + 1] = { 0 };
        struct nlattr *tree[TCA_EMATCH_TREE_MAX + 1] = { 0 };
        struct nlattr *action;
        unsigned matches;

        if (strcmp(filter->kind, "basic") != 0 || filter->handle != OUR_HANDLE || !options ||
            nla_parse_nested(basic, TCA_BASIC_MAX, (struct nlattr *) options, NULL) < 0 || !basic[TCA_BASIC_ACT])
                return false;
        matches = read_ematches(basic[TCA_BASIC_EMATCHES], tree);

        if (filter->priority == SOFTSWITCH_GUARD_SOURCE_PRIORITY) {
                if (!tc_action_find_ours(basic[TCA_BASIC_ACT], "gact"))
                        return false;
                state->has_source = true;
                state->mac = matches == 1 ? read_source_match(tree) : (struct vswitch_mac){ 0 };
                return true;
        }
        if (filter->priority == SOFTSWITCH_GUARD_RATE_PRIORITY) {
                action = tc_action_find_ours(basic[TCA_BASIC_ACT], "police");
                if (!action)
                        return false;
                state->has_rate = true;
                state->max_rate = matches == 0 ? read_rate(action) : 0;
                return true;
        }
        return false;
}

/* libvirt's <outbound>: "u32 match u32 0 0 police ... drop", a selector for everything with nothing but a police, as an
 * action or in the old form. A u32 message about a hash table, which holds such filters, is no filter. */
static bool is_libvirts_police(const struct tc_filter *filter, const struct nlattr *options)
{
        struct nlattr *u32[TCA_U32_MAX + 1] = { 0 };
        struct tc_u32_sel selector = { 0 };
        struct tc_u32_key key = { 0 };

        if (strcmp(filter->kind, "u32") != 0 || !options ||
            nla_parse_nested(u32, TCA_U32_MAX, (struct nlattr *) options, NULL) < 0)
                return false;
        if (u32[TCA_U32_DIVISOR])
                return true;
        if (!u32[TCA_U32_POLICE] || u32[TCA_U32_ACT] || u32[TCA_U32_LINK] || !u32[TCA_U32_SEL] ||
            nla_len(u32[TCA_U32_SEL]) < (int) (sizeof(selector) + sizeof(key)))
                return false;
        memcpy(&selector, nla_data(u32[TCA_U32_SEL]), sizeof(selector));
        memcpy(&key, (const uint8_t *) nla_data(u32[TCA_U32_SEL]) + sizeof(selector), sizeof(key));
        return selector.nkeys == 1 && key.mask == 0 && key.val == 0;
}

/* Filters of the queueing qdisc sort packets into its classes, libvirt's <inbound> among them. That is no business of
 * ours; what an action does is, and so is a kind that can do anything. */
static bool only_classifies(const struct tc_filter *filter, const struct nlattr *options)
{
        static const struct {
                const char *kind;
                int action;
                int police;
        } classifiers[] = {
                { "basic", TCA_BASIC_ACT, TCA_BASIC_POLICE },       { "flow", TCA_FLOW_ACT, TCA_FLOW_POLICE },
                { "flower", TCA_FLOWER_ACT, TCA_FLOWER_ACT },       { "fw", TCA_FW_ACT, TCA_FW_POLICE },
                { "matchall", TCA_MATCHALL_ACT, TCA_MATCHALL_ACT }, { "u32", TCA_U32_ACT, TCA_U32_POLICE },
        };

        for (size_t i = 0; i < sizeof(classifiers) / sizeof(classifiers[0]); i++)
                if (strcmp(filter->kind, classifiers[i].kind) == 0)
                        return !options || (!nla_find(nla_data(options), nla_len(options), classifiers[i].action) &&
                                            !nla_find(nla_data(options), nla_len(options), classifiers[i].police));
        return false;
}

static int take_filter(const struct nlmsghdr *header, void *userdata)
{
        struct guard_state *state = userdata;
        struct guard_state elsewhere = { 0 };
        struct tc_filter filter;
        struct nlattr *options;

        if (tc_filter_parse(header, &filter, &options) < 0)
                return 0;
        /* A priority is announced without a handle and options before its filters. */
        if (filter.handle == 0 && !options)
                return 0;
        if (state->reading == TC_PLACE_ROOT) {
                if (!only_classifies(&filter, options))
                        state->foreign = true;
                return 0;
        }
        /* Where there is no egress place the kernel shows the ingress one again. */
        if (take_ours(&filter, options, state->reading == TC_PLACE_INGRESS ? state : &elsewhere))
                return 0;
        if (!is_libvirts_police(&filter, options))
                state->foreign = true;
        return 0;
}

struct place_reading {
        struct guard_state state;
        struct guard_state before;
};

static int take_filter_of_place(const struct nlmsghdr *header, void *userdata)
{
        struct place_reading *reading = userdata;

        return take_filter(header, &reading->state);
}

static void forget_place(void *userdata)
{
        struct place_reading *reading = userdata;

        reading->state = reading->before;
}

static int read_state(struct vswitch_netlink *netlink, int ifindex, struct guard_state *ret,
                      struct vswitch_error *error)
{
        static const uint32_t places[] = { TC_PLACE_INGRESS, TC_PLACE_EGRESS, TC_PLACE_ROOT };
        struct place_reading reading = { 0 };
        char port[VSWITCH_LINK_TEXT_SIZE];

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                int r;

                reading.state.reading = places[i];
                reading.before = reading.state;
                r = tc_filter_dump(netlink, ifindex, places[i], take_filter_of_place, forget_place, &reading, error);
                if (r < 0)
                        return vswitch_error_prefix(error, r, "cannot read the filters of %s",
                                                    vswitch_link_describe(ifindex, port));
        }
        *ret = reading.state;
        return 0;
}

int guard_read(struct vswitch_netlink *netlink, int ifindex, struct softswitch_guard *ret, bool *ret_foreign,
               struct vswitch_error *error)
{
        struct guard_state state = { 0 };
        int r = read_state(netlink, ifindex, &state, error);

        if (r < 0)
                return r;
        *ret = (struct softswitch_guard){ .check_source = state.has_source };
        if (state.has_source)
                ret->mac = state.mac;
        if (state.has_rate)
                ret->max_rate = state.max_rate;
        *ret_foreign = state.foreign;
        return 0;
}

/*
 * Writing
 */

static struct tc_filter our_filter(int ifindex, uint16_t priority)
{
        return (struct tc_filter){ .ifindex = ifindex,
                                   .place = TC_PLACE_INGRESS,
                                   .priority = priority,
                                   .handle = OUR_HANDLE,
                                   .kind = "basic" };
}

static void put_source_check(struct nl_msg *message, const struct vswitch_mac *mac)
{
        struct tcf_ematch_tree_hdr tree = { .nmatches = 1 };
        struct source_match match = source_match(mac);
        struct tc_gact drop = { .action = TC_ACT_SHOT };
        struct nlattr *ematches = nla_nest_start(message, TCA_BASIC_EMATCHES);
        struct nlattr *list;
        struct nlattr *actions;
        struct tc_action action;

        nla_put(message, TCA_EMATCH_TREE_HDR, sizeof(tree), &tree);
        list = nla_nest_start(message, TCA_EMATCH_TREE_LIST);
        nla_put(message, 1, SOURCE_MATCH_SIZE, &match);
        nla_nest_end(message, list);
        nla_nest_end(message, ematches);

        actions = nla_nest_start(message, TCA_BASIC_ACT);
        action = tc_action_begin(message, 1, "gact");
        nla_put(message, TCA_GACT_PARMS, sizeof(drop), &drop);
        tc_action_end(message, &action);
        nla_nest_end(message, actions);
}

static void put_rate(struct nl_msg *message, uint32_t max_rate)
{
        /* The kernel insists on this table and has not looked into it since Linux 3.9. */
        static const uint8_t rate_table[RATE_TABLE_SIZE];
        uint64_t rate = (uint64_t) max_rate * BYTES_PER_SECOND_OF_MBIT;
        uint64_t ticks = (uint64_t) guard_burst(max_rate) * 1000000000 / rate / TICK_NANOSECONDS;
        struct tc_police police = {
                .action = TC_ACT_SHOT,
                .burst = (uint32_t) ticks,
                .mtu = UINT32_MAX, /* of no interest: 0 would mean one that depends on the rate table */
                .rate = {
                        .cell_log = 3,
                        .linklayer = TC_LINKLAYER_ETHERNET,
                        .overhead = ETH_HLEN + ETH_FCS_LEN,
                        .rate = rate < UINT32_MAX ? (uint32_t) rate : UINT32_MAX,
                },
        };
        struct nlattr *actions = nla_nest_start(message, TCA_BASIC_ACT);
        struct tc_action action = tc_action_begin(message, 1, "police");

        nla_put(message, TCA_POLICE_TBF, sizeof(police), &police);
        nla_put(message, TCA_POLICE_RATE, sizeof(rate_table), rate_table);
        if (rate >= UINT32_MAX)
                nla_put_u64(message, TCA_POLICE_RATE64, rate);
        nla_put_u32(message, TCA_POLICE_RESULT, (uint32_t) TC_ACT_UNSPEC);
        tc_action_end(message, &action);
        nla_nest_end(message, actions);
}

/* Writes the filter of `priority`; one of ours that is there is replaced in one step. */
static int write_filter(struct vswitch_netlink *netlink, int ifindex, uint16_t priority, bool replace,
                        const struct softswitch_guard *wanted, struct vswitch_error *error)
{
        struct tc_filter filter = our_filter(ifindex, priority);
        struct nl_msg *message = tc_filter_message(RTM_NEWTFILTER, NLM_F_CREATE | (replace ? 0 : NLM_F_EXCL), &filter);
        struct nlattr *options;

        if (!message)
                return -ENOMEM;
        options = nla_nest_start(message, TCA_OPTIONS);
        if (priority == SOFTSWITCH_GUARD_SOURCE_PRIORITY)
                put_source_check(message, &wanted->mac);
        else
                put_rate(message, wanted->max_rate);
        nla_nest_end(message, options);
        return vswitch_netlink_transact(netlink, message, error);
}

static int set_filter(struct vswitch_netlink *netlink, int ifindex, uint16_t priority, bool replace,
                      const struct softswitch_guard *wanted, struct vswitch_error *error)
{
        const char *what =
                priority == SOFTSWITCH_GUARD_SOURCE_PRIORITY ? "check the source addresses" : "limit the rate";
        struct vswitch_error refusal = { 0 };
        struct vswitch_error qdisc_refusal = { 0 };
        char port[VSWITCH_LINK_TEXT_SIZE];
        int r;

        r = write_filter(netlink, ifindex, priority, replace, wanted, &refusal);
        /* "Parent Qdisc doesn't exists", or another mistake with that number: then there is one already. */
        if (r == -EINVAL) {
                int made = tc_add_ingress_qdisc(netlink, ifindex, "ingress", &qdisc_refusal);

                if (made == 0)
                        r = write_filter(netlink, ifindex, priority, replace, wanted, &refusal);
                else if (made != -EEXIST)
                        return vswitch_error_set(error, made, "cannot %s of %s: %s", what,
                                                 vswitch_link_describe(ifindex, port), qdisc_refusal.text);
        }
        if (r == 0)
                return 0;

        vswitch_link_describe(ifindex, port);
        if (r == -EEXIST)
                return vswitch_error_set(error, r, "cannot %s of %s: somebody else's tc filter is at our priority %u",
                                         what, port, priority);
        if (r == -ENOENT)
                return vswitch_error_set(error, r, "cannot %s of %s: %s (modules cls_basic and %s are needed)", what,
                                         port, refusal.text,
                                         priority == SOFTSWITCH_GUARD_SOURCE_PRIORITY ? "em_nbyte" : "act_police");
        return vswitch_error_set(error, r, "cannot %s of %s: %s", what, port, refusal.text);
}

static int delete_filter(struct vswitch_netlink *netlink, int ifindex, uint16_t priority, struct vswitch_error *error)
{
        struct tc_filter filter = our_filter(ifindex, priority);
        char port[VSWITCH_LINK_TEXT_SIZE];
        int r = tc_filter_delete(netlink, &filter, error);

        return r < 0 ? vswitch_error_prefix(error, r, "cannot remove our filter from %s",
                                            vswitch_link_describe(ifindex, port))
                     : 0;
}

int guard_set(struct vswitch_netlink *netlink, int ifindex, const struct softswitch_guard *wanted,
              struct vswitch_error *error)
{
        struct guard_state state = { 0 };
        int r = read_state(netlink, ifindex, &state, error);

        if (r == 0 && wanted->check_source && (!state.has_source || !vswitch_mac_equal(&state.mac, &wanted->mac)))
                r = set_filter(netlink, ifindex, SOFTSWITCH_GUARD_SOURCE_PRIORITY, state.has_source, wanted, error);
        if (r == 0 && wanted->max_rate > 0 && (!state.has_rate || state.max_rate != wanted->max_rate))
                r = set_filter(netlink, ifindex, SOFTSWITCH_GUARD_RATE_PRIORITY, state.has_rate, wanted, error);
        if (r == 0 && !wanted->check_source && state.has_source)
                r = delete_filter(netlink, ifindex, SOFTSWITCH_GUARD_SOURCE_PRIORITY, error);
        if (r == 0 && wanted->max_rate == 0 && state.has_rate)
                r = delete_filter(netlink, ifindex, SOFTSWITCH_GUARD_RATE_PRIORITY, error);
        return r;
}
