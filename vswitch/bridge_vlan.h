/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a Linux bridge does with VLANs: needed to know under which VLAN it files a MAC, whether a frame carries a tag
 * on the uplink, and to put a guest's port into its VLAN. */

#include "netlink.h"
#include "softswitch.h"

#include <stdbool.h>
#include <stdint.h>

struct bridge_vlan_settings {
        bool filtering;
        uint16_t default_pvid; /* 0: ports get none */
        uint16_t protocol;     /* host order: 0x8100 or 0x88a8 */
};

/* -ENODEV when there is no such device, -EINVAL when it is no bridge. */
int bridge_vlan_read_settings(struct vswitch_netlink *netlink, int bridge_ifindex, struct bridge_vlan_settings *ret,
                              struct vswitch_error *error);

/* Of a port, or of the bridge itself as the host's port. They are there whether the bridge filters or not; `filters` is
 * set to true. */
int bridge_vlan_read_port(struct vswitch_netlink *netlink, int port_ifindex, struct softswitch_port_vlans *ret,
                          struct vswitch_error *error);

/* Makes `vlan` (1..4094) the port's PVID, untagged, and its only VLAN. Writes only what differs, and reads back. */
int bridge_vlan_set_access(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                           struct vswitch_error *error);

/* Removes the static sticky entries that a port has in a VLAN which it is no member of any more. The kernel keeps
 * them, and deletes entries one by one only in VLANs that the port has. Linux 5.19. */
int bridge_vlan_flush_left(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                           struct vswitch_error *error);
