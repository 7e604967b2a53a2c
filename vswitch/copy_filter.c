/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A filter of the copy rule in netlink: kind flower at SOFTSWITCH_COPY_PRIORITY, whose mirred action has our cookie.
 * The flower key (MAC and tag) tells one MAC's filter from another's; the kernel refuses a second one with the same
 * key and chooses the handles.
 *
 * skip_hw keeps the filters out of the card: it would count them against its own tables, or refuse them.
 *
 * Of the filters at one priority the kernel runs the first that matches and no other, so while a rule is changed a
 * frame is never copied twice by the old filter and the new one.
 */

#include "copy_filter.h"

#include "link.h"
#include "softswitch.h"
#include "tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/tc_act/tc_vlan.h>
#include <stdlib.h>
#include <string.h>

static const struct {
        const char *name;
        uint32_t place;
} directions[COPY_DIRECTION_MAX] = {
        [COPY_INGRESS] = { "ingress", TC_PLACE_INGRESS },
        [COPY_EGRESS] = { "egress", TC_PLACE_EGRESS },
};

bool copy_filter_has_key(const struct copy_filter *filter, const struct copy_filter *other)
{
        return filter->direction == other->direction && vswitch_mac_equal(&filter->mac, &other->mac) &&
               filter->vlan_mode == other->vlan_mode &&
               (filter->vlan_mode != COPY_RULE_TAGGED || (filter->vlan == other->vlan && filter->qos == other->qos));
}

static struct tc_filter where(int uplink_ifindex, const struct copy_filter *filter)
{
        return (struct tc_filter){
                .ifindex = uplink_ifindex,
                .place = directions[filter->direction].place,
                .priority = SOFTSWITCH_COPY_PRIORITY,
                .handle = filter->handle,
                .kind = "flower",
        };
}

/*
 * Writing
 */

static void put_key(struct nl_msg *message, const struct copy_filter *filter)
{
        static const uint8_t all_bits[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

        nla_put(message, TCA_FLOWER_KEY_ETH_DST, ETH_ALEN, filter->mac.bytes);
        nla_put(message, TCA_FLOWER_KEY_ETH_DST_MASK, ETH_ALEN, all_bits);
        if (filter->vlan_mode == COPY_RULE_TAGGED) {
                nla_put_u16(message, TCA_FLOWER_KEY_ETH_TYPE, htons(filter->vlan_protocol));
                nla_put_u16(message, TCA_FLOWER_KEY_VLAN_ID, filter->vlan);
                if (filter->qos != COPY_FILTER_ANY_QOS)
                        nla_put_u8(message, TCA_FLOWER_KEY_VLAN_PRIO, filter->qos);
        } else if (filter->vlan_mode == COPY_RULE_UNTAGGED) {
                nla_put_u8(message, TCA_FLOWER_KEY_NUM_OF_VLANS, 0);
        }
}

static void put_mirred(struct nl_msg *message, int order, const struct copy_filter *filter)
{
        struct tc_action action = tc_action_begin(message, order, "mirred");
        struct tc_mirred mirred = { .ifindex = (uint32_t) filter->tap_ifindex };

        /* A redirected frame is gone. A mirrored one goes on: to the next action where there is one, else to the
         * filters of others, which must see it as if ours were not there. */
        if (filter->direction == COPY_INGRESS) {
                mirred.eaction = TCA_EGRESS_REDIR;
                mirred.action = TC_ACT_STOLEN;
        } else {
                mirred.eaction = TCA_EGRESS_MIRROR;
                mirred.action = filter->vlan_mode == COPY_RULE_TAGGED ? TC_ACT_PIPE : TC_ACT_UNSPEC;
        }
        nla_put(message, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
        tc_action_end(message, &action);
}

static void put_pop(struct nl_msg *message, int order)
{
        struct tc_action action = tc_action_begin(message, order, "vlan");
        struct tc_vlan pop = { .action = TC_ACT_PIPE, .v_action = TCA_VLAN_ACT_POP };

        nla_put(message, TCA_VLAN_PARMS, sizeof(pop), &pop);
        tc_action_end(message, &action);
}

static void put_push(struct nl_msg *message, int order, const struct copy_filter *filter)
{
        struct tc_action action = tc_action_begin(message, order, "vlan");
        struct tc_vlan push = { .action = TC_ACT_UNSPEC, .v_action = TCA_VLAN_ACT_PUSH };

        nla_put(message, TCA_VLAN_PARMS, sizeof(push), &push);
        nla_put_u16(message, TCA_VLAN_PUSH_VLAN_ID, filter->vlan);
        nla_put_u16(message, TCA_VLAN_PUSH_VLAN_PROTOCOL, htons(filter->vlan_protocol));
        nla_put_u8(message, TCA_VLAN_PUSH_VLAN_PRIORITY, filter->qos);
        tc_action_end(message, &action);
}

int copy_filter_write(struct vswitch_netlink *netlink, int uplink_ifindex, const struct copy_filter *filter,
                      struct vswitch_error *error)
{
        struct tc_filter place = where(uplink_ifindex, filter);
        struct nl_msg *message =
                tc_filter_message(RTM_NEWTFILTER, NLM_F_CREATE | (filter->handle == 0 ? NLM_F_EXCL : 0), &place);
        bool is_tagged = filter->vlan_mode == COPY_RULE_TAGGED;
        struct vswitch_error refusal = { 0 };
        char mac[VSWITCH_MAC_TEXT_SIZE];
        struct nlattr *actions;
        struct nlattr *options;
        int order = 1;
        int r;

        if (!message)
                return -ENOMEM;
        options = nla_nest_start(message, TCA_OPTIONS);
        nla_put_u32(message, TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
        put_key(message, filter);
        actions = nla_nest_start(message, TCA_FLOWER_ACT);
        if (is_tagged)
                put_pop(message, order++);
        put_mirred(message, order++, filter);
        if (is_tagged && filter->direction == COPY_EGRESS)
                put_push(message, order, filter);
        nla_nest_end(message, actions);
        nla_nest_end(message, options);

        r = vswitch_netlink_transact(netlink, message, &refusal);
        if (r == 0)
                return 0;
        vswitch_mac_format(&filter->mac, mac);
        if (r == -ENOENT)
                return vswitch_error_set(error, r,
                                         "this kernel cannot copy frames for %s: %s (modules cls_flower, act_mirred%s)",
                                         mac, refusal.text, is_tagged ? " and act_vlan are needed" : " are needed");
        if (r == -EEXIST)
                return vswitch_error_set(error, r, "somebody else's tc filter for %s is at our priority %d (%s)", mac,
                                         SOFTSWITCH_COPY_PRIORITY, directions[filter->direction].name);
        return vswitch_error_set(error, r, "cannot add the %s copy filter for %s: %s",
                                 directions[filter->direction].name, mac, refusal.text);
}

int copy_filter_delete(struct vswitch_netlink *netlink, int uplink_ifindex, const struct copy_filter *filter,
                       struct vswitch_error *error)
{
        struct tc_filter place = where(uplink_ifindex, filter);
        char mac[VSWITCH_MAC_TEXT_SIZE];
        int r = tc_filter_delete(netlink, &place, error);

        return r < 0 ? vswitch_error_prefix(error, r, "cannot remove the %s copy filter for %s",
                                            directions[filter->direction].name, vswitch_mac_format(&filter->mac, mac))
                     : 0;
}

/*
 * Reading
 */

static bool read_options(const struct nlattr *options, struct copy_filter *filter)
{
        struct nlattr *flower[TCA_FLOWER_MAX + 1] = { 0 };
        struct nlattr *mirred[TCA_MIRRED_MAX + 1] = { 0 };
        struct tc_mirred parameters = { 0 };
        struct nlattr *action;

        if (nla_parse_nested(flower, TCA_FLOWER_MAX, (struct nlattr *) options, NULL) < 0)
                return false;
        if (!flower[TCA_FLOWER_KEY_ETH_DST] || nla_len(flower[TCA_FLOWER_KEY_ETH_DST]) != ETH_ALEN ||
            !flower[TCA_FLOWER_ACT])
                return false;
        action = tc_action_find_ours(flower[TCA_FLOWER_ACT], "mirred");
        if (!action || nla_parse_nested(mirred, TCA_MIRRED_MAX, action, NULL) < 0 || !mirred[TCA_MIRRED_PARMS])
                return false;

        memcpy(filter->mac.bytes, nla_data(flower[TCA_FLOWER_KEY_ETH_DST]), ETH_ALEN);
        nla_memcpy(&parameters, mirred[TCA_MIRRED_PARMS], sizeof(parameters));
        filter->tap_ifindex = (int) parameters.ifindex;

        /* The kernel shows VLAN 0 like any other. It does not show the protocol of the tag. */
        if (flower[TCA_FLOWER_KEY_VLAN_ID]) {
                filter->vlan_mode = COPY_RULE_TAGGED;
                filter->vlan = nla_get_u16(flower[TCA_FLOWER_KEY_VLAN_ID]);
                filter->qos = COPY_FILTER_ANY_QOS;
                if (flower[TCA_FLOWER_KEY_VLAN_PRIO])
                        filter->qos = nla_get_u8(flower[TCA_FLOWER_KEY_VLAN_PRIO]);
        } else if (flower[TCA_FLOWER_KEY_NUM_OF_VLANS]) {
                filter->vlan_mode = COPY_RULE_UNTAGGED;
        }
        return true;
}

static int take_filter(const struct nlmsghdr *header, void *userdata)
{
        struct copy_filter_list *list = userdata;
        struct copy_filter filter = { .direction = list->reading };
        struct tc_filter place;
        struct nlattr *options;

        if (tc_filter_parse(header, &place, &options) < 0 || place.priority != SOFTSWITCH_COPY_PRIORITY ||
            strcmp(place.kind, "flower") != 0 || place.handle == 0 || !options || !read_options(options, &filter))
                return 0;
        filter.handle = place.handle;

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
        struct copy_filter_list *list = userdata;

        list->count = list->count_before;
}

int copy_filter_list_read(struct vswitch_netlink *netlink, int uplink_ifindex, struct copy_filter_list *list,
                          struct vswitch_error *error)
{
        char uplink[VSWITCH_LINK_TEXT_SIZE];

        list->count = 0;
        for (int direction = COPY_INGRESS; direction < COPY_DIRECTION_MAX; direction++) {
                int r;

                list->reading = (enum copy_direction) direction;
                list->count_before = list->count;
                r = tc_filter_dump(netlink, uplink_ifindex, directions[direction].place, take_filter, forget_filters,
                                   list, error);
                if (r < 0)
                        return vswitch_error_prefix(error, r, "cannot read the %s filters of %s",
                                                    directions[direction].name,
                                                    vswitch_link_describe(uplink_ifindex, uplink));
        }
        return 0;
}

void copy_filter_list_freep(struct copy_filter_list *list)
{
        free(list->filters);
}
