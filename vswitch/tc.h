/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Traffic control as the copy rule and the guard need it: filters at the place where a device's frames come in or
 * go out, and how this project knows its own. Private to vswitch/.
 *
 * What is ours: a filter whose action carries our cookie, which the kernel keeps with the action and shows again.
 * Nothing needs to be remembered here, and anything without it is somebody else's, whatever its priority.
 */

#include "error.h"
#include "netlink.h"

#include <linux/pkt_sched.h>
#include <netlink/attr.h>
#include <stdbool.h>
#include <stdint.h>

/* Places of filters. A clsact qdisc has both, an ingress qdisc only the first. The kernel takes TC_PLACE_EGRESS of an
 * ingress qdisc for TC_PLACE_INGRESS. */
#define TC_PLACE_ROOT    0u /* the filters of the qdisc that queues what goes out */
#define TC_PLACE_INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define TC_PLACE_EGRESS  TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

/* Which filter. */
struct tc_filter {
        int ifindex;
        uint32_t place;
        uint16_t priority; /* lower ones see the frame first */
        uint32_t handle;   /* 0: the kernel chooses, or (in a dump) the priority itself, announced before its filters */
        const char *kind;  /* classifier; from tc_filter_parse() it points into the message */
};

/* A request about `filter`, with its kind, for frames of every protocol. NULL without memory. */
struct nl_msg *tc_filter_message(int type, int flags, const struct tc_filter *filter);

/* Decodes RTM_NEWTFILTER; *ret_options is NULL when there are none. -EBADMSG when it is something else. */
int tc_filter_parse(const struct nlmsghdr *header, struct tc_filter *ret, struct nlattr **ret_options);

/* The filters of one place. A device without a qdisc there has none. */
int tc_filter_dump(struct vswitch_netlink *netlink, int ifindex, uint32_t place, vswitch_netlink_handler handler,
                   void (*restart)(void *userdata), void *userdata, struct vswitch_error *error);

/* One that is not there is success. */
int tc_filter_delete(struct vswitch_netlink *netlink, const struct tc_filter *filter, struct vswitch_error *error);

/* One action of a list, with our cookie: between the two calls its options are put. `order` counts from 1. */
struct tc_action {
        struct nlattr *action;
        struct nlattr *options;
};
struct tc_action tc_action_begin(struct nl_msg *message, int order, const char *kind);
void tc_action_end(struct nl_msg *message, const struct tc_action *action);

/* The options of the first action of `kind` with our cookie in a list (TCA_FLOWER_ACT and the like), or NULL. */
struct nlattr *tc_action_find_ours(const struct nlattr *actions, const char *kind);

/* The qdisc that has the place for incoming frames: "clsact", "ingress", or "" for none. Reads the qdiscs of the whole
 * host: asking for one is a request that kernels before 6.8 tell all listeners about, us among them. */
int tc_read_ingress_qdisc(struct vswitch_netlink *netlink, int ifindex, char ret[static 16],
                          struct vswitch_error *error);

/* Makes it. -EEXIST when there is one of either kind. */
int tc_add_ingress_qdisc(struct vswitch_netlink *netlink, int ifindex, const char *kind, struct vswitch_error *error);
