/* SPDX-License-Identifier: Apache-2.0 */
#include "tc.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* With its NUL. */
static const char cookie[] = "vswitch";

struct nl_msg *tc_filter_message(int type, int flags, const struct tc_filter *filter)
{
        struct tcmsg tc = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = filter->ifindex,
                .tcm_handle = filter->handle,
                .tcm_parent = filter->place,
                .tcm_info = TC_H_MAKE((uint32_t) filter->priority << 16, htons(ETH_P_ALL)),
        };
        struct nl_msg *message = vswitch_netlink_message(type, flags, &tc, sizeof(tc));

        if (message)
                nla_put_string(message, TCA_KIND, filter->kind);
        return message;
}

int tc_filter_parse(const struct nlmsghdr *header, struct tc_filter *ret, struct nlattr **ret_options)
{
        const struct tcmsg *tc = nlmsg_data(header);
        struct nlattr *attributes[TCA_MAX + 1] = { 0 };

        if (header->nlmsg_type != RTM_NEWTFILTER || !nlmsg_valid_hdr(header, sizeof(*tc)) ||
            nlmsg_parse((struct nlmsghdr *) header, sizeof(*tc), attributes, TCA_MAX, NULL) < 0 ||
            !attributes[TCA_KIND])
                return -EBADMSG;

        *ret = (struct tc_filter){
                .ifindex = tc->tcm_ifindex,
                .place = tc->tcm_parent,
                .priority = (uint16_t) (TC_H_MAJ(tc->tcm_info) >> 16),
                .handle = tc->tcm_handle,
                .kind = nla_get_string(attributes[TCA_KIND]),
        };
        *ret_options = attributes[TCA_OPTIONS];
        return 0;
}

int tc_filter_dump(struct vswitch_netlink *netlink, int ifindex, uint32_t place, vswitch_netlink_handler handler,
                   void (*restart)(void *userdata), void *userdata, struct vswitch_error *error)
{
        struct tcmsg tc = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = place };

        return vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETTFILTER, 0, &tc, sizeof(tc)), NLM_F_DUMP,
                                    handler, restart, userdata, error);
}

int tc_filter_delete(struct vswitch_netlink *netlink, const struct tc_filter *filter, struct vswitch_error *error)
{
        struct nl_msg *message = tc_filter_message(RTM_DELTFILTER, 0, filter);
        struct vswitch_error refusal = { 0 };
        int r;

        if (!message)
                return -ENOMEM;
        r = vswitch_netlink_transact(netlink, message, &refusal);
        if (r == 0 || r == -ENOENT)
                return 0;
        return vswitch_error_set(error, r, "%s", vswitch_error_text(&refusal, r));
}

struct tc_action tc_action_begin(struct nl_msg *message, int order, const char *kind)
{
        struct tc_action action = { .action = nla_nest_start(message, order) };

        nla_put_string(message, TCA_ACT_KIND, kind);
        nla_put(message, TCA_ACT_COOKIE, sizeof(cookie), cookie);
        action.options = nla_nest_start(message, TCA_ACT_OPTIONS);
        return action;
}

void tc_action_end(struct nl_msg *message, const struct tc_action *action)
{
        nla_nest_end(message, action->options);
        nla_nest_end(message, action->action);
}

struct nlattr *tc_action_find_ours(const struct nlattr *actions, const char *kind)
{
        struct nlattr *action;
        int remaining;

        nla_for_each_nested (action, actions, remaining) {
                struct nlattr *attributes[TCA_ACT_MAX + 1] = { 0 };

                if (nla_parse_nested(attributes, TCA_ACT_MAX, action, NULL) == 0 && attributes[TCA_ACT_KIND] &&
                    nla_strcmp(attributes[TCA_ACT_KIND], kind) == 0 && attributes[TCA_ACT_COOKIE] &&
                    nla_len(attributes[TCA_ACT_COOKIE]) == sizeof(cookie) &&
                    memcmp(nla_data(attributes[TCA_ACT_COOKIE]), cookie, sizeof(cookie)) == 0)
                        return attributes[TCA_ACT_OPTIONS];
        }
        return NULL;
}

/*
 * Qdiscs
 */

struct qdisc_search {
        int ifindex;
        char kind[16];
};

static int take_qdisc(const struct nlmsghdr *header, void *userdata)
{
        const struct tcmsg *tc = nlmsg_data(header);
        struct qdisc_search *search = userdata;
        struct nlattr *kind;

        /* Both kinds have the same parent, TC_H_CLSACT being another name of TC_H_INGRESS. */
        if (header->nlmsg_type != RTM_NEWQDISC || !nlmsg_valid_hdr(header, sizeof(*tc)) ||
            tc->tcm_ifindex != search->ifindex || tc->tcm_parent != TC_H_CLSACT)
                return 0;
        kind = nlmsg_find_attr((struct nlmsghdr *) header, sizeof(*tc), TCA_KIND);
        if (kind)
                nla_strlcpy(search->kind, kind, sizeof(search->kind));
        return 0;
}

static void forget_qdisc(void *userdata)
{
        struct qdisc_search *search = userdata;

        search->kind[0] = '\0';
}

int tc_read_ingress_qdisc(struct vswitch_netlink *netlink, int ifindex, char ret[static 16],
                          struct vswitch_error *error)
{
        struct tcmsg question = { .tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex };
        struct qdisc_search search = { .ifindex = ifindex };
        int r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETQDISC, 0, &question, sizeof(question)),
                                     NLM_F_DUMP, take_qdisc, forget_qdisc, &search, error);

        if (r < 0)
                return r;
        memcpy(ret, search.kind, sizeof(search.kind));
        return 0;
}

int tc_add_ingress_qdisc(struct vswitch_netlink *netlink, int ifindex, const char *kind, struct vswitch_error *error)
{
        struct tcmsg tc = {
                .tcm_family = AF_UNSPEC,
                .tcm_ifindex = ifindex,
                .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
                .tcm_parent = TC_H_CLSACT,
        };
        struct nl_msg *message = vswitch_netlink_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
        struct vswitch_error refusal = { 0 };
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_string(message, TCA_KIND, kind);
        r = vswitch_netlink_transact(netlink, message, &refusal);
        if (r == -ENOENT || r == -EOPNOTSUPP)
                return vswitch_error_set(error, r, "this kernel has no %s qdisc (module sch_ingress): %s", kind,
                                         vswitch_error_text(&refusal, r));
        return r < 0 ? vswitch_error_set(error, r, "%s", vswitch_error_text(&refusal, r)) : 0;
}
