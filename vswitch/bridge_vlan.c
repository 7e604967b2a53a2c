/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VLANs of a bridge and of its ports, in messages of our own: libnl 3.7 reads them only in part and writes none.
 *
 * An access port gets its new VLAN before it loses the old ones. Between the two requests, a few microseconds, the
 * broadcasts of both reach the guest; its own frames are in the new one at once. The other way round they would be
 * dropped meanwhile, and a refused new VLAN would leave the guest with none.
 */

#include "bridge_vlan.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#define VLAN_N_VID 4096

/* Ranges in one request: two attributes of eight bytes each, in a message of a page. */
#define DELETE_RANGES_MAX 128

static int take_settings(const struct nlmsghdr *header, void *userdata)
{
        struct bridge_vlan_settings *settings = userdata;
        struct nlattr *info[IFLA_INFO_MAX + 1] = { 0 };
        struct nlattr *bridge[IFLA_BR_MAX + 1] = { 0 };
        struct nlattr *linkinfo;

        linkinfo = nlmsg_find_attr((struct nlmsghdr *) header, sizeof(struct ifinfomsg), IFLA_LINKINFO);
        if (!linkinfo || nla_parse_nested(info, IFLA_INFO_MAX, linkinfo, NULL) < 0)
                return -EINVAL;
        if (!info[IFLA_INFO_KIND] || nla_strcmp(info[IFLA_INFO_KIND], "bridge") != 0 || !info[IFLA_INFO_DATA] ||
            nla_parse_nested(bridge, IFLA_BR_MAX, info[IFLA_INFO_DATA], NULL) < 0)
                return -EINVAL;

        /* A kernel without CONFIG_BRIDGE_VLAN_FILTERING sends none of these. */
        if (bridge[IFLA_BR_VLAN_FILTERING])
                settings->filtering = nla_get_u8(bridge[IFLA_BR_VLAN_FILTERING]) != 0;
        if (bridge[IFLA_BR_VLAN_DEFAULT_PVID])
                settings->default_pvid = nla_get_u16(bridge[IFLA_BR_VLAN_DEFAULT_PVID]);
        if (bridge[IFLA_BR_VLAN_PROTOCOL])
                settings->protocol = ntohs(nla_get_u16(bridge[IFLA_BR_VLAN_PROTOCOL]));
        return 0;
}

int bridge_vlan_read_settings(struct vswitch_netlink *netlink, int bridge_ifindex, struct bridge_vlan_settings *ret,
                              struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = bridge_ifindex };
        struct bridge_vlan_settings settings = { .protocol = ETH_P_8021Q };
        int r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETLINK, 0, &info, sizeof(info)), 0,
                                     take_settings, NULL, &settings, error);

        if (r < 0)
                return r;
        *ret = settings;
        return 0;
}

/*
 * Ports
 *
 * RTM_GETVLAN (Linux 5.6) rather than an AF_BRIDGE dump of links: that one cannot be asked about one port when the
 * kernel checks requests strictly, so each question would cost the ports of all bridges.
 */

struct port_query {
        int ifindex;
        struct softswitch_port_vlans answer;
};

static void add_range(struct softswitch_port_vlans *vlans, const struct bridge_vlan_info *first, uint16_t last)
{
        if (first->flags & BRIDGE_VLAN_INFO_PVID)
                vlans->pvid = first->vid;
        for (unsigned vlan = first->vid; vlan <= last && vlan < VLAN_N_VID; vlan++) {
                if (!softswitch_vlan_test(vlans->member, (uint16_t) vlan))
                        vlans->count++;
                vlans->member[vlan / 64] |= UINT64_C(1) << vlan % 64;
                if (first->flags & BRIDGE_VLAN_INFO_UNTAGGED)
                        vlans->untagged[vlan / 64] |= UINT64_C(1) << vlan % 64;
        }
}

static int take_port_vlans(const struct nlmsghdr *header, void *userdata)
{
        const struct br_vlan_msg *port = nlmsg_data(header);
        struct port_query *query = userdata;
        struct nlattr *entry;
        int remaining;

        if (header->nlmsg_type != RTM_NEWVLAN || !nlmsg_valid_hdr(header, sizeof(*port)) ||
            (int) port->ifindex != query->ifindex)
                return 0;

        nlmsg_for_each_attr(entry, header, sizeof(*port), remaining)
        {
                struct nlattr *attributes[BRIDGE_VLANDB_ENTRY_MAX + 1] = { 0 };
                struct bridge_vlan_info first;
                uint16_t last;

                if (nla_type(entry) != BRIDGE_VLANDB_ENTRY ||
                    nla_parse_nested(attributes, BRIDGE_VLANDB_ENTRY_MAX, entry, NULL) < 0 ||
                    !attributes[BRIDGE_VLANDB_ENTRY_INFO])
                        continue;

                /* Neighbouring VLANs with equal flags come as one entry with the number of the last one. */
                nla_memcpy(&first, attributes[BRIDGE_VLANDB_ENTRY_INFO], sizeof(first));
                last = first.vid;
                if (attributes[BRIDGE_VLANDB_ENTRY_RANGE])
                        last = nla_get_u16(attributes[BRIDGE_VLANDB_ENTRY_RANGE]);
                add_range(&query->answer, &first, last);
        }
        return 0;
}

static void forget_port_vlans(void *userdata)
{
        struct port_query *query = userdata;

        query->answer = (struct softswitch_port_vlans){ .filters = true };
}

int bridge_vlan_read_port(struct vswitch_netlink *netlink, int port_ifindex, struct softswitch_port_vlans *ret,
                          struct vswitch_error *error)
{
        struct br_vlan_msg port = { .family = AF_BRIDGE, .ifindex = (uint32_t) port_ifindex };
        struct port_query query = { .ifindex = port_ifindex, .answer.filters = true };
        int r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETVLAN, 0, &port, sizeof(port)), NLM_F_DUMP,
                                     take_port_vlans, forget_port_vlans, &query, error);

        if (r < 0)
                return r;
        *ret = query.answer;
        return 0;
}

/*
 * Changing them
 */

static bool is_access_port(const struct softswitch_port_vlans *vlans, uint16_t vlan)
{
        return vlans->pvid == vlan && softswitch_vlan_test(vlans->member, vlan) &&
               softswitch_vlan_test(vlans->untagged, vlan);
}

static struct nl_msg *begin_change(int type, int port_ifindex, struct nlattr **ret_list)
{
        struct ifinfomsg info = { .ifi_family = AF_BRIDGE, .ifi_index = port_ifindex };
        struct nl_msg *message = vswitch_netlink_message(type, 0, &info, sizeof(info));

        if (message)
                *ret_list = nla_nest_start(message, IFLA_AF_SPEC);
        return message;
}

static void put_vlan(struct nl_msg *message, unsigned vlan, uint16_t flags)
{
        struct bridge_vlan_info entry = { .vid = (uint16_t) vlan, .flags = flags };

        nla_put(message, IFLA_BRIDGE_VLAN_INFO, sizeof(entry), &entry);
}

static int add_access_vlan(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                           struct vswitch_error *error)
{
        struct nlattr *list;
        struct nl_msg *message = begin_change(RTM_SETLINK, port_ifindex, &list);

        if (!message)
                return -ENOMEM;
        put_vlan(message, vlan, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED);
        nla_nest_end(message, list);
        return vswitch_netlink_transact(netlink, message, error);
}

/* One request; what it has no room for is still a member afterwards. */
static int delete_other_vlans(struct vswitch_netlink *netlink, int port_ifindex,
                              const struct softswitch_port_vlans *vlans, uint16_t keep, struct vswitch_error *error)
{
        struct nlattr *list;
        struct nl_msg *message = begin_change(RTM_DELLINK, port_ifindex, &list);
        unsigned ranges = 0;

        if (!message)
                return -ENOMEM;
        for (unsigned vlan = 1; vlan < VLAN_N_VID && ranges < DELETE_RANGES_MAX; vlan++) {
                unsigned last = vlan;

                if (vlan == keep || !softswitch_vlan_test(vlans->member, (uint16_t) vlan))
                        continue;
                while (last + 1 < VLAN_N_VID && last + 1 != keep &&
                       softswitch_vlan_test(vlans->member, (uint16_t) (last + 1)))
                        last++;
                if (last == vlan) {
                        put_vlan(message, vlan, 0);
                } else {
                        put_vlan(message, vlan, BRIDGE_VLAN_INFO_RANGE_BEGIN);
                        put_vlan(message, last, BRIDGE_VLAN_INFO_RANGE_END);
                }
                ranges++;
                vlan = last;
        }
        nla_nest_end(message, list);
        return vswitch_netlink_transact(netlink, message, error);
}

int bridge_vlan_set_access(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                           struct vswitch_error *error)
{
        struct softswitch_port_vlans vlans;
        unsigned count_before;
        int r;

        r = bridge_vlan_read_port(netlink, port_ifindex, &vlans, error);
        if (r < 0)
                return r;
        if (!is_access_port(&vlans, vlan)) {
                r = add_access_vlan(netlink, port_ifindex, vlan, error);
                if (r == 0)
                        r = bridge_vlan_read_port(netlink, port_ifindex, &vlans, error);
                if (r < 0)
                        return r;
        }

        /* The kernel does not say when it could not remove one. */
        while (vlans.count > 1) {
                count_before = vlans.count;
                r = delete_other_vlans(netlink, port_ifindex, &vlans, vlan, error);
                if (r == 0)
                        r = bridge_vlan_read_port(netlink, port_ifindex, &vlans, error);
                if (r < 0)
                        return r;
                if (vlans.count >= count_before)
                        break;
        }
        if (!is_access_port(&vlans, vlan) || vlans.count != 1)
                return vswitch_error_set(error, -EIO, "the kernel left it in %u VLANs, with PVID %u", vlans.count,
                                         vlans.pvid);
        return 0;
}

int bridge_vlan_flush_left(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                           struct vswitch_error *error)
{
        struct ndmsg entries = {
                .ndm_family = AF_BRIDGE,
                .ndm_ifindex = port_ifindex,
                .ndm_state = NUD_NOARP,
                .ndm_flags = NTF_MASTER | NTF_STICKY,
        };
        struct nl_msg *message = vswitch_netlink_message(RTM_DELNEIGH, NLM_F_BULK, &entries, sizeof(entries));

        if (!message)
                return -ENOMEM;
        nla_put_u16(message, NDA_VLAN, vlan);
        nla_put_u16(message, NDA_NDM_STATE_MASK, NUD_NOARP | NUD_PERMANENT);
        nla_put_u8(message, NDA_NDM_FLAGS_MASK, NTF_STICKY);
        return vswitch_netlink_transact(netlink, message, error);
}
