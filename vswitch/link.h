/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network devices as the kernel lists them (RTM_GETLINK without VF information, which is long and slow), with what
 * tells which of them stands on which. */

#include "mac.h"
#include "netlink.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* BOND_MODE_ACTIVEBACKUP of linux/if_bonding.h; every other mode uses several members at a time. */
#define VSWITCH_LINK_BOND_ACTIVE_BACKUP 1

struct vswitch_link {
        int ifindex;
        char name[IF_NAMESIZE];
        char kind[16]; /* IFLA_INFO_KIND: "bridge", "tun", ...; "" for hardware */
        struct vswitch_mac mac;
        int master; /* ifindex of the bridge or bond, 0 if none */
        uint32_t mtu;
        bool up;                   /* IFF_UP: set by the administrator */
        bool carrier;              /* IFLA_CARRIER, which changes at once; operstate can lag by 0.9 s */
        uint64_t received_packets; /* IFLA_STATS64; on a tap these are the frames that the guest sent */

        /* IFLA_LINK: what a VLAN device stands on (a veth's is its peer). 0 when there is none, or when it is in another
         * network namespace. */
        int lower;
        uint16_t vlan;          /* of a VLAN device (kind "vlan") */
        uint16_t vlan_protocol; /* ... in host order: 0x8100 or 0x88a8 */
        uint8_t bond_mode;      /* of a bond: BOND_MODE_... of linux/if_bonding.h */
        int bond_active;        /* ... and its active member, 0 while it has none or knows no such thing */
        uint8_t port_state;     /* of a bridge's port: BR_STATE_... of linux/if_bridge.h */

        /* Set by vswitch_link_parse() for an AF_BRIDGE message: it is about the device as a bridge port. It has no
         * kind and no counters, and as RTM_DELLINK it says that the port left the bridge, not that the device
         * is gone. */
        bool is_port_message;
};

/* One link. -ENODEV when there is none. */
int vswitch_link_get_by_name(struct vswitch_netlink *netlink, const char *name, struct vswitch_link *ret,
                             struct vswitch_error *error);
int vswitch_link_get_by_index(struct vswitch_netlink *netlink, int ifindex, struct vswitch_link *ret,
                              struct vswitch_error *error);

/* All links; *ret is malloc'ed. */
int vswitch_link_list(struct vswitch_netlink *netlink, struct vswitch_link **ret, size_t *ret_count,
                      struct vswitch_error *error);

/* Decodes an RTM_NEWLINK / RTM_DELLINK message, AF_BRIDGE ones too (see is_port_message). -EBADMSG when it is
 * something else. */
int vswitch_link_parse(const struct nlmsghdr *header, struct vswitch_link *ret);

/* The name of a link for a sentence, "network device 7" when it has none any more. Returns `buffer`. */
#define VSWITCH_LINK_TEXT_SIZE 32
const char *vswitch_link_describe(int ifindex, char buffer[static VSWITCH_LINK_TEXT_SIZE]);

/* Changes. Each is one request. A master_ifindex of 0 takes the link out of its bridge. */
int vswitch_link_set_up(struct vswitch_netlink *netlink, int ifindex, bool up, struct vswitch_error *error);
int vswitch_link_set_master(struct vswitch_netlink *netlink, int ifindex, int master_ifindex,
                            struct vswitch_error *error);
int vswitch_link_add_bridge(struct vswitch_netlink *netlink, const char *name, struct vswitch_error *error);
