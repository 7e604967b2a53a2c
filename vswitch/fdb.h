/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Forwarding entries as neighbour messages of AF_BRIDGE: those of a bridge (NTF_MASTER) and those of a device's
 * own unicast list (NTF_SELF). Errors are the kernel's words; callers say what they were trying to do. */

#include "mac.h"
#include "netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdb_entry {
        struct vswitch_mac mac;
        int ifindex; /* port of the bridge, or the device whose own list it is */
        int master;  /* the bridge, 0 when it is a device's own entry */
        uint16_t vlan;
        uint16_t state; /* NUD_NOARP static, NUD_PERMANENT a local address, else learned */
        uint8_t flags;  /* NTF_* */
        /* Microseconds since the MAC was last seen as a sender (NDA_CACHEINFO, in hundredths of a second); of a learned
         * entry only, the kernel does not keep it up to date for others. */
        uint64_t idle;
};

/* Decodes RTM_NEWNEIGH / RTM_DELNEIGH. -EBADMSG when it is something else (another family, no MAC). */
int fdb_parse(const struct nlmsghdr *header, struct fdb_entry *ret);

/* Asks bridge `bridge_ifindex` for one entry. -ENOENT when there is none. */
int fdb_get(struct vswitch_netlink *netlink, int bridge_ifindex, const struct vswitch_mac *mac, uint16_t vlan,
            struct fdb_entry *ret, struct vswitch_error *error);

/* Writes or deletes the entry: `mac`, `vlan`, `ifindex`, `state` and `flags` are used. */
int fdb_replace(struct vswitch_netlink *netlink, const struct fdb_entry *entry, struct vswitch_error *error);
int fdb_delete(struct vswitch_netlink *netlink, const struct fdb_entry *entry, struct vswitch_error *error);

/* Calls `handler` with every entry of bridge `bridge_ifindex`, as messages for fdb_parse(); the own lists of its ports
 * come along (fdb_entry.master is 0 there). `restart` as for vswitch_netlink_dump(). The kernel walks the table by
 * position: an entry that goes away meanwhile makes it skip another one, and nothing in the answer says so. */
int fdb_dump(struct vswitch_netlink *netlink, int bridge_ifindex, vswitch_netlink_handler handler,
             void (*restart)(void *userdata), void *userdata, struct vswitch_error *error);

/* The unicast MACs in the own list of device `ifindex`; *ret malloc'ed. */
int fdb_list_own(struct vswitch_netlink *netlink, int ifindex, struct vswitch_mac **ret, size_t *ret_count,
                 struct vswitch_error *error);
