/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The copy rule.
 *
 * Theory of operation: a bridge's forwarding entry has one port. While a NIC moves, its MAC is pinned to the
 * uplink, so that neighbours on the same bridge reach the VF through the embedded switch; two tc filters on the
 * uplink then bring every such frame to the tap too:
 *
 *   ingress: a frame for the MAC comes in (the embedded switch gives the uplink a copy) -> redirect to the tap.
 *            The bridge would drop it, because it would have to leave where it came in.
 *   egress:  a neighbour's frame for the MAC leaves -> mirror to the tap, and let it go on.
 *
 * Both go past the bridge, so what the bridge does about VLANs is done here: where it filters VLANs, only the
 * frames of the tap's own VLAN match, and the tag that they carry on the uplink is taken off for the tap. (On
 * egress that means off, mirror, on again; a priority in the tag is lost for the duration of the move.)
 *
 * skip_hw keeps the filters out of the card: it would count them against its own tables, or refuse them.
 *
 * What is ours: filters of kind flower at SOFTSWITCH_COPY_PRIORITY whose mirred action carries our cookie. The
 * cookie is kept by the kernel with the action, so nothing needs to be remembered here. The flower key (MAC and
 * VLAN) tells one MAC's filter from another's; the kernel refuses a second filter with the same key and chooses
 * the handles. Anything else, at whatever priority, is not ours and is neither changed nor counted.
 *
 * The clsact qdisc stays where it was made: adding or removing it makes the kernel take the device's queues down for
 * a moment, and frames of everybody are lost (measured: about two of a thousand a second for each time, on the emulated
 * igb). So it is made once, when the uplink is taken into use, and moves only add and remove filters. An empty clsact
 * costs next to nothing; "tc qdisc del dev UPLINK clsact" removes it for good.
 */

#include "copy_rule.h"

#include "cleanup.h"
#include "link.h"
#include "mac_list.h"
#include "softswitch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/tc_act/tc_vlan.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>

/* The cookie of our mirred actions, with its NUL. */
static const char cookie[] = "vswitch";

enum direction {
        INGRESS,
        EGRESS,
        DIRECTION_MAX,
};

static const struct {
        const char *name;
        uint32_t parent;
        int mirred_direction;
} directions[DIRECTION_MAX] = {
        [INGRESS] = { "ingress", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TCA_EGRESS_REDIR },
        [EGRESS] = { "egress", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), TCA_EGRESS_MIRROR },
};

/* One of our filters as the kernel shows it. */
struct copy_filter {
        enum direction direction;
        uint32_t handle;
        struct vswitch_mac mac;
        enum copy_rule_vlan vlan_mode;
        uint16_t vlan;
        int target_ifindex; /* 0 when the target has gone */
};

struct filter_list {
        enum direction reading;
        struct copy_filter *filters;
        size_t count;
        size_t allocated;
        size_t count_before; /* what was there when the dump of this direction began */
};

static void filter_list_freep(struct filter_list *list)
{
        free(list->filters);
}

/*
 * Reading
 */

/* The mirred action of a filter, if it has our cookie. */
static bool read_action(const struct nlattr *actions, struct copy_filter *filter)
{
        struct nlattr *action;
        int remaining;

        nla_for_each_nested (action, actions, remaining) {
                struct nlattr *attributes[TCA_ACT_MAX + 1] = { 0 };
                struct nlattr *options[TCA_MIRRED_MAX + 1] = { 0 };
                struct tc_mirred mirred = { 0 };

                if (nla_parse_nested(attributes, TCA_ACT_MAX, action, NULL) < 0 || !attributes[TCA_ACT_KIND] ||
                    nla_strcmp(attributes[TCA_ACT_KIND], "mirred") != 0 || !attributes[TCA_ACT_COOKIE] ||
                    nla_len(attributes[TCA_ACT_COOKIE]) != sizeof(cookie) ||
                    memcmp(nla_data(attributes[TCA_ACT_COOKIE]), cookie, sizeof(cookie)) != 0 ||
                    !attributes[TCA_ACT_OPTIONS])
                        continue;
                if (nla_parse_nested(options, TCA_MIRRED_MAX, attributes[TCA_ACT_OPTIONS], NULL) < 0 ||
                    !options[TCA_MIRRED_PARMS])
                        continue;

                nla_memcpy(&mirred, options[TCA_MIRRED_PARMS], sizeof(mirred));
                filter->target_ifindex = (int) mirred.ifindex;
                return true;
        }
        return false;
}

static bool read_options(const struct nlattr *options, struct copy_filter *filter)
{
        struct nlattr *flower[TCA_FLOWER_MAX + 1] = { 0 };

        if (nla_parse_nested(flower, TCA_FLOWER_MAX, (struct nlattr *) options, NULL) < 0)
                return false;
        if (!flower[TCA_FLOWER_KEY_ETH_DST] || nla_len(flower[TCA_FLOWER_KEY_ETH_DST]) != ETH_ALEN ||
            !flower[TCA_FLOWER_ACT])
                return false;

        memcpy(filter->mac.bytes, nla_data(flower[TCA_FLOWER_KEY_ETH_DST]), ETH_ALEN);
        if (flower[TCA_FLOWER_KEY_VLAN_ID]) {
                filter->vlan_mode = COPY_RULE_TAGGED;
                filter->vlan = nla_get_u16(flower[TCA_FLOWER_KEY_VLAN_ID]);
        } else if (flower[TCA_FLOWER_KEY_NUM_OF_VLANS]) {
                filter->vlan_mode = COPY_RULE_UNTAGGED;
        }
        return read_action(flower[TCA_FLOWER_ACT], filter);
}

static int take_filter(const struct nlmsghdr *header, void *userdata)
{
        const struct tcmsg *tc = nlmsg_data(header);
        struct filter_list *list = userdata;
        struct nlattr *attributes[TCA_MAX + 1] = { 0 };
        struct copy_filter filter = { .direction = list->reading };
        bool is_flower_at_our_priority;

        if (header->nlmsg_type != RTM_NEWTFILTER || !nlmsg_valid_hdr(header, sizeof(*tc)) ||
            nlmsg_parse((struct nlmsghdr *) header, sizeof(*tc), attributes, TCA_MAX, NULL) < 0)
                return 0;

        is_flower_at_our_priority = TC_H_MAJ(tc->tcm_info) >> 16 == SOFTSWITCH_COPY_PRIORITY && attributes[TCA_KIND] &&
                                    nla_strcmp(attributes[TCA_KIND], "flower") == 0;
        /* Each priority is announced by a message without a handle before its filters. */
        if (is_flower_at_our_priority && tc->tcm_handle == 0)
                return 0;

        filter.handle = tc->tcm_handle;
        if (!is_flower_at_our_priority || !attributes[TCA_OPTIONS] || !read_options(attributes[TCA_OPTIONS], &filter))
                return 0;

        if (list->count == list->allocated) {
                size_t allocated = list->allocated ? list->allocated * 2 : 16;
                struct copy_filter *filters = reallocarray(list->filters, allocated, sizeof(*filters));

                if (!filters)
                        return -ENOMEM;
                list->filters = filters;
                list->allocated = allocated;
        }
        list->filters[list->count++] = filter;
        return 0;
}

static void forget_filters(void *userdata)
{
        struct filter_list *list = userdata;

        list->count = list->count_before;
}

/* Every filter of both directions. A device without clsact has none. */
static int read_filters(struct vswitch_netlink *netlink, int uplink_ifindex, struct filter_list *list,
                        struct vswitch_error *error)
{
        char uplink[VSWITCH_LINK_TEXT_SIZE];

        for (int direction = INGRESS; direction < DIRECTION_MAX; direction++) {
                struct tcmsg tc = {
                        .tcm_family = AF_UNSPEC,
                        .tcm_ifindex = uplink_ifindex,
                        .tcm_parent = directions[direction].parent,
                };
                int r;

                list->reading = (enum direction) direction;
                list->count_before = list->count;
                r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETTFILTER, 0, &tc, sizeof(tc)),
                                         NLM_F_DUMP, take_filter, forget_filters, list, error);
                if (r < 0)
                        return vswitch_error_prefix(error, r, "cannot read the %s filters of %s",
                                                    directions[direction].name,
                                                    vswitch_link_describe(uplink_ifindex, uplink));
        }
        return 0;
}

/*
 * Writing
 */

struct qdisc_search {
        int ifindex;
        bool found;
};

static int take_qdisc(const struct nlmsghdr *header, void *userdata)
{
        const struct tcmsg *tc = nlmsg_data(header);
        struct qdisc_search *search = userdata;

        if (header->nlmsg_type == RTM_NEWQDISC && nlmsg_valid_hdr(header, sizeof(*tc)) &&
            tc->tcm_ifindex == search->ifindex && tc->tcm_parent == TC_H_CLSACT)
                search->found = true;
        return 0;
}

/* Looks before it writes: a request that changes nothing is a write all the same to who watches. */
int copy_rule_prepare(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_error *error)
{
        struct tcmsg tc = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = uplink_ifindex,
                .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
                .tcm_parent = TC_H_CLSACT,
        };
        struct tcmsg question = { .tcm_family = AF_UNSPEC, .tcm_ifindex = uplink_ifindex };
        struct qdisc_search search = { .ifindex = uplink_ifindex };
        struct vswitch_error refusal = { 0 };
        char uplink[VSWITCH_LINK_TEXT_SIZE];
        struct nl_msg *message;
        int r;

        r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETQDISC, 0, &question, sizeof(question)),
                                 NLM_F_DUMP, take_qdisc, NULL, &search, error);
        if (r < 0 || search.found)
                return r;

        message = vswitch_netlink_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
        if (!message)
                return -ENOMEM;
        nla_put_string(message, TCA_KIND, "clsact");
        r = vswitch_netlink_transact(netlink, message, &refusal);
        if (r == 0 || r == -EEXIST)
                return 0;
        if (r == -ENOENT || r == -EOPNOTSUPP)
                return vswitch_error_set(error, r, "this kernel has no clsact qdisc (module sch_ingress): %s",
                                         refusal.text);
        return vswitch_error_set(error, r, "cannot add a clsact qdisc to %s: %s",
                                 vswitch_link_describe(uplink_ifindex, uplink), refusal.text);
}

static void put_mirred(struct nl_msg *message, int order, enum direction direction, const struct copy_rule *rule)
{
        struct nlattr *action = nla_nest_start(message, order);
        struct nlattr *options;
        struct tc_mirred mirred = {
                .eaction = directions[direction].mirred_direction,
                .ifindex = (uint32_t) rule->tap_ifindex,
        };

        /* A redirected frame is gone. A mirrored one goes on: to the next action where there is one, else to the
         * filters of others, which must see it as if ours were not there. */
        if (direction == INGRESS)
                mirred.action = TC_ACT_STOLEN;
        else
                mirred.action = rule->vlan_mode == COPY_RULE_TAGGED ? TC_ACT_PIPE : TC_ACT_UNSPEC;

        nla_put_string(message, TCA_ACT_KIND, "mirred");
        options = nla_nest_start(message, TCA_ACT_OPTIONS);
        nla_put(message, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
        nla_nest_end(message, options);
        nla_put(message, TCA_ACT_COOKIE, sizeof(cookie), cookie);
        nla_nest_end(message, action);
}

static void put_vlan(struct nl_msg *message, int order, int operation, int control, const struct copy_rule *rule)
{
        struct nlattr *action = nla_nest_start(message, order);
        struct nlattr *options;
        struct tc_vlan vlan = { .action = control, .v_action = operation };

        nla_put_string(message, TCA_ACT_KIND, "vlan");
        options = nla_nest_start(message, TCA_ACT_OPTIONS);
        nla_put(message, TCA_VLAN_PARMS, sizeof(vlan), &vlan);
        if (operation == TCA_VLAN_ACT_PUSH) {
                nla_put_u16(message, TCA_VLAN_PUSH_VLAN_ID, rule->vlan);
                nla_put_u16(message, TCA_VLAN_PUSH_VLAN_PROTOCOL, htons(rule->vlan_protocol));
        }
        nla_nest_end(message, options);
        nla_nest_end(message, action);
}

static int add_filter(struct vswitch_netlink *netlink, enum direction direction, const struct copy_rule *rule,
                      uint32_t handle, struct vswitch_error *error)
{
        struct tcmsg tc = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = rule->uplink_ifindex,
                .tcm_handle = handle,
                .tcm_parent = directions[direction].parent,
                .tcm_info = TC_H_MAKE((uint32_t) SOFTSWITCH_COPY_PRIORITY << 16, htons(ETH_P_ALL)),
        };
        /* With a handle the filter that has it is replaced in one step. */
        struct nl_msg *message =
                vswitch_netlink_message(RTM_NEWTFILTER, NLM_F_CREATE | (handle == 0 ? NLM_F_EXCL : 0), &tc, sizeof(tc));
        static const uint8_t all_bits[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
        struct vswitch_error refusal = { 0 };
        char mac[VSWITCH_MAC_TEXT_SIZE];
        struct nlattr *actions;
        struct nlattr *options;
        int order = 1;
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_string(message, TCA_KIND, "flower");
        options = nla_nest_start(message, TCA_OPTIONS);
        nla_put_u32(message, TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
        nla_put(message, TCA_FLOWER_KEY_ETH_DST, ETH_ALEN, rule->mac.bytes);
        nla_put(message, TCA_FLOWER_KEY_ETH_DST_MASK, ETH_ALEN, all_bits);
        if (rule->vlan_mode == COPY_RULE_TAGGED) {
                nla_put_u16(message, TCA_FLOWER_KEY_ETH_TYPE, htons(rule->vlan_protocol));
                nla_put_u16(message, TCA_FLOWER_KEY_VLAN_ID, rule->vlan);
        } else if (rule->vlan_mode == COPY_RULE_UNTAGGED) {
                nla_put_u8(message, TCA_FLOWER_KEY_NUM_OF_VLANS, 0);
        }

        actions = nla_nest_start(message, TCA_FLOWER_ACT);
        if (rule->vlan_mode == COPY_RULE_TAGGED)
                put_vlan(message, order++, TCA_VLAN_ACT_POP, TC_ACT_PIPE, rule);
        put_mirred(message, order++, direction, rule);
        if (rule->vlan_mode == COPY_RULE_TAGGED && direction == EGRESS)
                put_vlan(message, order++, TCA_VLAN_ACT_PUSH, TC_ACT_UNSPEC, rule);
        nla_nest_end(message, actions);
        nla_nest_end(message, options);

        r = vswitch_netlink_transact(netlink, message, &refusal);
        if (r == 0)
                return 0;
        vswitch_mac_format(&rule->mac, mac);
        if (r == -ENOENT)
                return vswitch_error_set(error, r,
                                         "this kernel cannot copy frames for %s: %s (modules cls_flower, act_mirred%s)",
                                         mac, refusal.text,
                                         rule->vlan_mode == COPY_RULE_TAGGED ? " and act_vlan are needed"
                                                                             : " are needed");
        if (r == -EEXIST)
                return vswitch_error_set(error, r, "somebody else's tc filter for %s is at our priority %d (%s)", mac,
                                         SOFTSWITCH_COPY_PRIORITY, directions[direction].name);
        return vswitch_error_set(error, r, "cannot add the %s copy filter for %s: %s", directions[direction].name, mac,
                                 refusal.text);
}

static int remove_filter(struct vswitch_netlink *netlink, int uplink_ifindex, const struct copy_filter *filter,
                         struct vswitch_error *error)
{
        struct tcmsg tc = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = uplink_ifindex,
                .tcm_handle = filter->handle,
                .tcm_parent = directions[filter->direction].parent,
                .tcm_info = TC_H_MAKE((uint32_t) SOFTSWITCH_COPY_PRIORITY << 16, htons(ETH_P_ALL)),
        };
        struct nl_msg *message = vswitch_netlink_message(RTM_DELTFILTER, 0, &tc, sizeof(tc));
        struct vswitch_error refusal = { 0 };
        char mac[VSWITCH_MAC_TEXT_SIZE];
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_string(message, TCA_KIND, "flower");

        r = vswitch_netlink_transact(netlink, message, &refusal);
        if (r == 0 || r == -ENOENT)
                return 0;
        return vswitch_error_set(error, r, "cannot remove the %s copy filter for %s: %s",
                                 directions[filter->direction].name, vswitch_mac_format(&filter->mac, mac),
                                 refusal.text);
}

static bool filter_has_key(const struct copy_filter *filter, const struct copy_rule *rule)
{
        return vswitch_mac_equal(&filter->mac, &rule->mac) && filter->vlan_mode == rule->vlan_mode &&
               (rule->vlan_mode != COPY_RULE_TAGGED || filter->vlan == rule->vlan);
}

int copy_rule_add(struct vswitch_netlink *netlink, const struct copy_rule *rule, struct vswitch_error *error)
{
        _cleanup_(filter_list_freep) struct filter_list list = { 0 };
        int r;

        r = read_filters(netlink, rule->uplink_ifindex, &list, error);
        if (r == 0 && list.count == 0)
                r = copy_rule_prepare(netlink, rule->uplink_ifindex, error);
        if (r < 0)
                return r;

        for (int direction = INGRESS; direction < DIRECTION_MAX; direction++) {
                uint32_t handle = 0;
                bool is_there = false;

                for (size_t i = 0; i < list.count; i++) {
                        const struct copy_filter *filter = &list.filters[i];

                        if (filter->direction != (enum direction) direction ||
                            !vswitch_mac_equal(&filter->mac, &rule->mac))
                                continue;
                        if (!filter_has_key(filter, rule) || (direction == EGRESS && !rule->mirror)) {
                                /* The VLAN of the port was changed since, or the mirror is not wanted any more:
                                 * one filter per MAC and direction at most. */
                                r = remove_filter(netlink, rule->uplink_ifindex, filter, error);
                                if (r < 0)
                                        return r;
                                continue;
                        }
                        handle = filter->handle;
                        is_there = filter->target_ifindex == rule->tap_ifindex;
                }
                if (is_there || (direction == EGRESS && !rule->mirror))
                        continue;

                r = add_filter(netlink, (enum direction) direction, rule, handle, error);
                if (r < 0) {
                        /* Half a rule is worse than none. */
                        (void) copy_rule_remove(netlink, &rule->mac, rule->uplink_ifindex, NULL);
                        return r;
                }
        }
        return 0;
}

int copy_rule_remove(struct vswitch_netlink *netlink, const struct vswitch_mac *mac, int uplink_ifindex,
                     struct vswitch_error *error)
{
        _cleanup_(filter_list_freep) struct filter_list list = { 0 };
        int r;

        r = read_filters(netlink, uplink_ifindex, &list, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < list.count; i++) {
                if (!vswitch_mac_equal(&list.filters[i].mac, mac))
                        continue;
                r = remove_filter(netlink, uplink_ifindex, &list.filters[i], error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int copy_rule_read(struct vswitch_netlink *netlink, const struct vswitch_mac *mac, int uplink_ifindex, bool mirror,
                   int *ret_tap_ifindex, struct vswitch_error *error)
{
        _cleanup_(filter_list_freep) struct filter_list list = { 0 };
        int target[DIRECTION_MAX] = { 0 };
        bool any = false;
        int r;

        r = read_filters(netlink, uplink_ifindex, &list, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < list.count; i++) {
                if (!vswitch_mac_equal(&list.filters[i].mac, mac))
                        continue;
                target[list.filters[i].direction] = list.filters[i].target_ifindex;
                any = true;
        }

        if (!any)
                *ret_tap_ifindex = 0;
        else
                *ret_tap_ifindex =
                        target[INGRESS] > 0 && target[EGRESS] == (mirror ? target[INGRESS] : 0) ? target[INGRESS] : -1;
        return 0;
}

int copy_rule_list(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_mac **ret, size_t *ret_count,
                   struct vswitch_error *error)
{
        _cleanup_(filter_list_freep) struct filter_list list = { 0 };
        _cleanup_(mac_list_freep) struct mac_list macs = { 0 };
        int r;

        r = read_filters(netlink, uplink_ifindex, &list, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < list.count; i++) {
                r = mac_list_add(&macs, &list.filters[i].mac);
                if (r < 0)
                        return r;
        }
        mac_list_take(&macs, ret, ret_count);
        return 0;
}
