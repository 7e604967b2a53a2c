/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The copy rule as tc filters; see copy_rule.c for how it works and how it knows its own. */

#include "mac.h"
#include "netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of the uplink's frames are the tap's, and what is done to their tag. */
enum copy_rule_vlan {
        COPY_RULE_ANY,      /* the bridge does not look at VLANs */
        COPY_RULE_UNTAGGED, /* frames without a tag */
        COPY_RULE_TAGGED,   /* frames with the tag `vlan`, which the tap gets without it */
};

struct copy_rule {
        struct vswitch_mac mac;
        int uplink_ifindex;
        int tap_ifindex;
        bool mirror; /* with the egress half */
        enum copy_rule_vlan vlan_mode;
        uint16_t vlan;
        uint16_t vlan_protocol; /* host order */
};

/* Makes the uplink ready (clsact), where it is not. The kernel drops frames while it does so: once is enough. */
int copy_rule_prepare(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_error *error);

int copy_rule_add(struct vswitch_netlink *netlink, const struct copy_rule *rule, struct vswitch_error *error);

int copy_rule_remove(struct vswitch_netlink *netlink, const struct vswitch_mac *mac, int uplink_ifindex,
                     struct vswitch_error *error);

/* *ret_tap_ifindex: the tap, 0 without a rule, -1 when a part of it is missing or too much. */
int copy_rule_read(struct vswitch_netlink *netlink, const struct vswitch_mac *mac, int uplink_ifindex, bool mirror,
                   int *ret_tap_ifindex, struct vswitch_error *error);

int copy_rule_list(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_mac **ret, size_t *ret_count,
                   struct vswitch_error *error);
