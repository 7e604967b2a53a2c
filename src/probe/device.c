/* SPDX-License-Identifier: Apache-2.0 */
#include "src/probe/device.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nl_msg *link_message(int type, int flags, int ifindex)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };

        return vswitch_netlink_message(type, flags, &info, sizeof(info));
}

static int transact(struct vswitch_netlink *netlink, struct nl_msg *message, const char *what,
                    struct vswitch_error *error)
{
        struct vswitch_error refusal = { 0 };
        int r = vswitch_netlink_transact(netlink, message, &refusal);

        return r < 0 ? vswitch_error_set(error, r, "cannot %s: %s", what, vswitch_error_text(&refusal, r)) : 0;
}

int probe_device_move(struct vswitch_netlink *netlink, int ifindex, const struct probe_namespace *namespace,
                      struct vswitch_error *error)
{
        struct nl_msg *message = link_message(RTM_SETLINK, 0, ifindex);

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, IFLA_NET_NS_FD, (uint32_t) namespace->fd);
        return transact(netlink, message, "move the VF's netdev into a network namespace", error);
}

int probe_device_set_mac(struct vswitch_netlink *netlink, int ifindex, const struct vswitch_mac *mac,
                         struct vswitch_error *error)
{
        struct nl_msg *message = link_message(RTM_SETLINK, 0, ifindex);

        if (!message)
                return -ENOMEM;
        nla_put(message, IFLA_ADDRESS, sizeof(mac->bytes), mac->bytes);
        return transact(netlink, message, "give the VF's netdev its MAC back", error);
}

int probe_device_rename(struct vswitch_netlink *netlink, int ifindex, const char *name, struct vswitch_error *error)
{
        struct nl_msg *message = link_message(RTM_SETLINK, 0, ifindex);

        if (!message)
                return -ENOMEM;
        nla_put_string(message, IFLA_IFNAME, name);
        return transact(netlink, message, "give the VF's netdev its name back", error);
}

int probe_device_add_vlan(struct vswitch_netlink *netlink, int ifindex, const char *name, uint16_t vlan, int *ret,
                          struct vswitch_error *error)
{
        struct nl_msg *message = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
        struct nlattr *info, *data;
        struct vswitch_link link;
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_string(message, IFLA_IFNAME, name);
        nla_put_u32(message, IFLA_LINK, (uint32_t) ifindex);
        info = nla_nest_start(message, IFLA_LINKINFO);
        nla_put_string(message, IFLA_INFO_KIND, "vlan");
        data = nla_nest_start(message, IFLA_INFO_DATA);
        nla_put_u16(message, IFLA_VLAN_ID, vlan);
        nla_nest_end(message, data);
        nla_nest_end(message, info);
        r = transact(netlink, message, "make a VLAN device", error);
        if (r == 0)
                r = vswitch_link_get_by_name(netlink, name, &link, error);
        if (r == 0)
                *ret = link.ifindex;
        return r;
}

int probe_device_delete(struct vswitch_netlink *netlink, int ifindex, struct vswitch_error *error)
{
        struct nl_msg *message = link_message(RTM_DELLINK, 0, ifindex);

        return message ? transact(netlink, message, "remove the probe's VLAN device", error) : -ENOMEM;
}

static int take_operational_state(const struct nlmsghdr *header, void *userdata)
{
        const struct nlattr *state =
                nlmsg_find_attr((struct nlmsghdr *) header, sizeof(struct ifinfomsg), IFLA_OPERSTATE);

        *(bool *) userdata = state && nla_get_u8(state) == IF_OPER_UP;
        return 0;
}

bool probe_device_is_operational(struct vswitch_netlink *netlink, int ifindex)
{
        struct nl_msg *message = link_message(RTM_GETLINK, 0, ifindex);
        bool operational = false;

        return message &&
               vswitch_netlink_dump(netlink, message, 0, take_operational_state, NULL, &operational, NULL) == 0 &&
               operational;
}

bool probe_device_is_promiscuous(const char *name)
{
        char path[128], text[16] = "";
        FILE *file;

        /* rtnetlink shows this flag only where an administrator has set it. */
        snprintf(path, sizeof(path), "/sys/class/net/%s/flags", name);
        file = fopen(path, "re");
        if (!file)
                return false;
        if (!fgets(text, sizeof(text), file))
                text[0] = '\0';
        fclose(file);
        return strtoul(text, NULL, 16) & IFF_PROMISC;
}
