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
        COPY_RULE_UNTAGGED, /* frames of no VLAN: without a tag, or with one that only has a priority */
        COPY_RULE_TAGGED,   /* frames with the tag `vlan`, which the tap gets without it */
};

struct copy_rule {
        struct vswitch_mac mac;
        int uplink_ifindex;
        int tap_ifindex; /* not used by copy_rule_read() */
        bool mirror;     /* with the egress half */
        enum copy_rule_vlan vlan_mode;
        uint16_t vlan;
        uint16_t vlan_protocol; /* of the bridge, host order; not with COPY_RULE_ANY */
};

/* Makes the uplink ready (clsact), where it is not. The kernel drops frames while it does so: once is enough. -EBUSY
 * when it has an ingress qdisc, which has no place for the egress half and excludes clsact. */
int copy_rule_prepare(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_error *error);

/* Makes it so: what is there of it stays, what is missing is added, what does not belong to it is removed. Reads back;
 * -EOPNOTSUPP when the kernel took the filters for something else. */
int copy_rule_add(struct vswitch_netlink *netlink, const struct copy_rule *rule, struct vswitch_error *error);

/* Removes every filter of ours for the MAC, whatever its VLAN. */
int copy_rule_remove(struct vswitch_netlink *netlink, const struct vswitch_mac *mac, int uplink_ifindex,
                     struct vswitch_error *error);

/* *ret_tap_ifindex: the tap, 0 without a rule, -1 when a part of it is missing, too much, or for another VLAN. */
int copy_rule_read(struct vswitch_netlink *netlink, const struct copy_rule *rule, int *ret_tap_ifindex,
                   struct vswitch_error *error);

int copy_rule_list(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_mac **ret, size_t *ret_count,
                   struct vswitch_error *error);
