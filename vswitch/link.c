/* SPDX-License-Identifier: Apache-2.0 */
#include "cleanup.h"
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h> /* after net/if.h, which lacks IFF_LOWER_UP */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>

static const struct nlattr *find_in(const struct nlattr *nest, int type)
{
        return nest ? nla_find(nla_data(nest), nla_len(nest), type) : NULL;
}

static uint32_t number_in(const struct nlattr *nest, int type)
{
        const struct nlattr *attribute = find_in(nest, type);
        uint32_t number = 0;

        if (!attribute)
                return 0;
        if (nla_len(attribute) >= (int) sizeof(uint32_t))
                memcpy(&number, nla_data(attribute), sizeof(number));
        else if (nla_len(attribute) >= (int) sizeof(uint16_t))
                number = nla_get_u16(attribute);
        else if (nla_len(attribute) >= (int) sizeof(uint8_t))
                number = nla_get_u8(attribute);
        return number;
}

/* What the device is, and what it is to the device above it; each kind has its own attributes. */
static void parse_linkinfo(const struct nlattr *linkinfo, struct vswitch_link *link)
{
        const struct nlattr *kind = find_in(linkinfo, IFLA_INFO_KIND);
        const struct nlattr *port_kind = find_in(linkinfo, IFLA_INFO_SLAVE_KIND);
        const struct nlattr *data = find_in(linkinfo, IFLA_INFO_DATA);

        if (kind)
                nla_strlcpy(link->kind, kind, sizeof(link->kind));
        if (strcmp(link->kind, "vlan") == 0) {
                link->vlan = (uint16_t) number_in(data, IFLA_VLAN_ID);
                link->vlan_protocol = ntohs((uint16_t) number_in(data, IFLA_VLAN_PROTOCOL));
        } else if (strcmp(link->kind, "bond") == 0) {
                link->bond_mode = (uint8_t) number_in(data, IFLA_BOND_MODE);
                link->bond_active = (int) number_in(data, IFLA_BOND_ACTIVE_SLAVE);
        }
        if (port_kind && nla_strcmp(port_kind, "bridge") == 0)
                link->port_state = (uint8_t) number_in(find_in(linkinfo, IFLA_INFO_SLAVE_DATA), IFLA_BRPORT_STATE);
}

int vswitch_link_parse(const struct nlmsghdr *header, struct vswitch_link *ret)
{
        const struct ifinfomsg *info = nlmsg_data(header);
        struct vswitch_link link = { 0 };
        struct nlattr *attribute;
        bool elsewhere = false;
        int remaining;

        if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK)
                return -EBADMSG;
        if (!nlmsg_valid_hdr(header, sizeof(*info)))
                return -EBADMSG;

        link.ifindex = info->ifi_index;
        link.up = info->ifi_flags & IFF_UP;
        link.is_port_message = info->ifi_family == AF_BRIDGE;
        /* Port messages carry no IFLA_CARRIER. The flag changes at the same moment. */
        link.carrier = info->ifi_flags & IFF_LOWER_UP;

        nlmsg_for_each_attr(attribute, header, sizeof(*info), remaining)
        {
                struct rtnl_link_stats64 stats = { 0 };

                switch (nla_type(attribute)) {
                case IFLA_IFNAME:
                        nla_strlcpy(link.name, attribute, sizeof(link.name));
                        break;
                case IFLA_ADDRESS:
                        if (nla_len(attribute) == sizeof(link.mac.bytes))
                                memcpy(link.mac.bytes, nla_data(attribute), sizeof(link.mac.bytes));
                        break;
                case IFLA_MASTER:
                        if (nla_len(attribute) >= (int) sizeof(uint32_t))
                                link.master = (int) nla_get_u32(attribute);
                        break;
                case IFLA_MTU:
                        if (nla_len(attribute) >= (int) sizeof(uint32_t))
                                link.mtu = nla_get_u32(attribute);
                        break;
                case IFLA_CARRIER:
                        if (nla_len(attribute) >= 1)
                                link.carrier = nla_get_u8(attribute) != 0;
                        break;
                case IFLA_LINKINFO:
                        parse_linkinfo(attribute, &link);
                        break;
                case IFLA_LINK:
                        if (nla_len(attribute) >= (int) sizeof(uint32_t))
                                link.lower = (int) nla_get_u32(attribute);
                        break;
                case IFLA_LINK_NETNSID:
                        elsewhere = true;
                        break;
                case IFLA_STATS64:
                        nla_memcpy(&stats, attribute, sizeof(stats));
                        link.received_packets = stats.rx_packets;
                        break;
                default:
                        break;
                }
        }
        if (elsewhere)
                link.lower = 0;

        *ret = link;
        return 0;
}

static int take_link(const struct nlmsghdr *header, void *userdata)
{
        return vswitch_link_parse(header, userdata);
}

static int get_link(struct vswitch_netlink *netlink, int ifindex, const char *name, struct vswitch_link *ret,
                    struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
        struct nl_msg *message = vswitch_netlink_message(RTM_GETLINK, 0, &info, sizeof(info));
        struct vswitch_link link = { 0 };
        int r;

        if (!message)
                return -ENOMEM;
        if (name)
                nla_put_string(message, IFLA_IFNAME, name);
        nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

        r = vswitch_netlink_dump(netlink, message, 0, take_link, NULL, &link, error);
        if (r < 0)
                return r;
        *ret = link;
        return 0;
}

int vswitch_link_get_by_name(struct vswitch_netlink *netlink, const char *name, struct vswitch_link *ret,
                             struct vswitch_error *error)
{
        int r = -ENODEV;

        if (name[0] != '\0' && strlen(name) < IF_NAMESIZE)
                r = get_link(netlink, 0, name, ret, error);
        if (r == -ENODEV)
                return vswitch_error_set(error, r, "there is no network device %s", name);
        return r < 0 ? vswitch_error_prefix(error, r, "cannot read network device %s", name) : 0;
}

int vswitch_link_get_by_index(struct vswitch_netlink *netlink, int ifindex, struct vswitch_link *ret,
                              struct vswitch_error *error)
{
        int r = -ENODEV;

        if (ifindex > 0)
                r = get_link(netlink, ifindex, NULL, ret, error);
        if (r == -ENODEV)
                return vswitch_error_set(error, r, "there is no network device with index %d", ifindex);
        return r < 0 ? vswitch_error_prefix(error, r, "cannot read the network device with index %d", ifindex) : 0;
}

struct link_list {
        struct vswitch_link *links;
        size_t count;
        size_t allocated;
};

static int append_link(const struct nlmsghdr *header, void *userdata)
{
        struct link_list *list = userdata;
        int r;

        if (list->count == list->allocated) {
                size_t allocated = list->allocated ? list->allocated * 2 : 64;
                struct vswitch_link *links = reallocarray(list->links, allocated, sizeof(*links));

                if (!links)
                        return -ENOMEM;
                list->links = links;
                list->allocated = allocated;
        }

        r = vswitch_link_parse(header, &list->links[list->count]);
        if (r < 0)
                return r;
        list->count++;
        return 0;
}

static void forget_links(void *userdata)
{
        struct link_list *list = userdata;

        list->count = 0;
}

int vswitch_link_list(struct vswitch_netlink *netlink, struct vswitch_link **ret, size_t *ret_count,
                      struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
        struct nl_msg *message = vswitch_netlink_message(RTM_GETLINK, 0, &info, sizeof(info));
        struct link_list list = { 0 };
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

        r = vswitch_netlink_dump(netlink, message, NLM_F_DUMP, append_link, forget_links, &list, error);
        if (r < 0) {
                free(list.links);
                return vswitch_error_prefix(error, r, "cannot list the network devices");
        }
        *ret = list.links;
        *ret_count = list.count;
        return 0;
}

const char *vswitch_link_describe(int ifindex, char buffer[static VSWITCH_LINK_TEXT_SIZE])
{
        if (ifindex <= 0 || !if_indextoname((unsigned) ifindex, buffer))
                snprintf(buffer, VSWITCH_LINK_TEXT_SIZE, "network device %d", ifindex);
        return buffer;
}

int vswitch_link_set_up(struct vswitch_netlink *netlink, int ifindex, bool up, struct vswitch_error *error)
{
        struct ifinfomsg info = {
                .ifi_family = AF_UNSPEC,
                .ifi_index = ifindex,
                .ifi_flags = up ? IFF_UP : 0,
                .ifi_change = IFF_UP,
        };
        char link[VSWITCH_LINK_TEXT_SIZE];
        int r = vswitch_netlink_transact(netlink, vswitch_netlink_message(RTM_NEWLINK, 0, &info, sizeof(info)), error);

        return r < 0 ? vswitch_error_prefix(error, r, "cannot set %s %s", vswitch_link_describe(ifindex, link),
                                            up ? "up" : "down")
                     : 0;
}

int vswitch_link_set_master(struct vswitch_netlink *netlink, int ifindex, int master_ifindex,
                            struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
        struct nl_msg *message = vswitch_netlink_message(RTM_NEWLINK, 0, &info, sizeof(info));
        char link[VSWITCH_LINK_TEXT_SIZE];
        char master[VSWITCH_LINK_TEXT_SIZE];
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, IFLA_MASTER, (uint32_t) master_ifindex);

        r = vswitch_netlink_transact(netlink, message, error);
        if (r == 0)
                return 0;
        vswitch_link_describe(ifindex, link);
        if (master_ifindex == 0)
                return vswitch_error_prefix(error, r, "cannot take %s out of its bridge", link);
        return vswitch_error_prefix(error, r, "cannot make %s a port of %s", link,
                                    vswitch_link_describe(master_ifindex, master));
}

int vswitch_link_add_bridge(struct vswitch_netlink *netlink, const char *name, struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
        struct nl_msg *message = vswitch_netlink_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
        struct nlattr *linkinfo;
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_string(message, IFLA_IFNAME, name);
        linkinfo = nla_nest_start(message, IFLA_LINKINFO);
        nla_put_string(message, IFLA_INFO_KIND, "bridge");
        nla_nest_end(message, linkinfo);

        r = vswitch_netlink_transact(netlink, message, error);
        return r < 0 ? vswitch_error_prefix(error, r, "cannot create bridge %s", name) : 0;
}
