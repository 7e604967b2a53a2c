/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge_vlan.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

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

struct port_query {
        int ifindex;
        uint16_t vlan;
        struct bridge_port_vlans answer;
};

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

                if (first.flags & BRIDGE_VLAN_INFO_PVID) {
                        query->answer.pvid = first.vid;
                        query->answer.pvid_untagged = first.flags & BRIDGE_VLAN_INFO_UNTAGGED;
                }
                if (query->vlan >= first.vid && query->vlan <= last) {
                        query->answer.is_member = true;
                        query->answer.is_untagged = first.flags & BRIDGE_VLAN_INFO_UNTAGGED;
                }
        }
        return 0;
}

static void forget_port_vlans(void *userdata)
{
        struct port_query *query = userdata;

        query->answer = (struct bridge_port_vlans){ 0 };
}

int bridge_vlan_read_port(struct vswitch_netlink *netlink, int port_ifindex, uint16_t vlan,
                          struct bridge_port_vlans *ret, struct vswitch_error *error)
{
        struct br_vlan_msg port = { .family = AF_BRIDGE, .ifindex = (uint32_t) port_ifindex };
        struct port_query query = { .ifindex = port_ifindex, .vlan = vlan };
        int r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETVLAN, 0, &port, sizeof(port)), NLM_F_DUMP,
                                     take_port_vlans, forget_port_vlans, &query, error);

        if (r < 0)
                return r;
        *ret = query.answer;
        return 0;
}
