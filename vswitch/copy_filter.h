/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One tc filter of a copy rule: which frames it takes, what it does with them, and how it looks in netlink. The
 * rule that several of them make up is copy_rule.h. Private to vswitch/. */

#include "copy_rule.h"

enum copy_direction {
        COPY_INGRESS, /* redirects to the tap */
        COPY_EGRESS,  /* mirrors to the tap */
        COPY_DIRECTION_MAX,
};

/* For frames with any 802.1p priority. */
#define COPY_FILTER_ANY_QOS UINT8_MAX

struct copy_filter {
        /* The key. The kernel has one filter with it at most, for each direction. */
        enum copy_direction direction;
        struct vswitch_mac mac;
        enum copy_rule_vlan vlan_mode;
        uint16_t vlan; /* with COPY_RULE_TAGGED; 0: the tag has a priority and no VLAN */
        uint8_t qos;   /* the same */

        uint16_t vlan_protocol; /* the same; the kernel does not show it, so it is only written */
        int tap_ifindex;        /* 0 when it has gone */
        uint32_t handle;        /* 0: not in the kernel yet */
};

bool copy_filter_has_key(const struct copy_filter *filter, const struct copy_filter *other);

/* Writes it; with a handle it takes the place of the one that has that handle, in one step. */
int copy_filter_write(struct vswitch_netlink *netlink, int uplink_ifindex, const struct copy_filter *filter,
                      struct vswitch_error *error);
int copy_filter_delete(struct vswitch_netlink *netlink, int uplink_ifindex, const struct copy_filter *filter,
                       struct vswitch_error *error);

struct copy_filter_list {
        struct copy_filter *filters;
        size_t count;
        size_t allocated;

        /* While a dump is read. */
        enum copy_direction reading;
        size_t count_before;
};

void copy_filter_list_freep(struct copy_filter_list *list);

/* Every filter of ours on the uplink, of both directions, appended to an empty list. */
int copy_filter_list_read(struct vswitch_netlink *netlink, int uplink_ifindex, struct copy_filter_list *list,
                          struct vswitch_error *error);
