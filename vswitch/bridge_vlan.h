/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a Linux bridge does with VLANs: needed to know under which VLAN it files a MAC, and whether a frame
 * carries a tag on the uplink. */

#include "netlink.h"

#include <stdbool.h>
#include <stdint.h>

struct bridge_vlan_settings {
        bool filtering;
        uint16_t default_pvid; /* 0: ports get none */
        uint16_t protocol;     /* host order: 0x8100 or 0x88a8 */
};

struct bridge_port_vlans {
        uint16_t pvid;      /* of frames that come in untagged; 0: they are dropped */
        bool pvid_untagged; /* and leave untagged */

        /* About the one VLAN that was asked for. */
        bool is_member;
        bool is_untagged;
};

/* -ENODEV when there is no such device, -EINVAL when it is no bridge. */
int bridge_vlan_read_settings(struct vswitch_netlink *netlink, int bridge_ifindex, struct bridge_vlan_settings *ret,
                              struct vswitch_error *error);

int bridge_vlan_read_port(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                          struct bridge_port_vlans *ret, struct vswitch_error *error);
