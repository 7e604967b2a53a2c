/* SPDX-License-Identifier: Apache-2.0 */
#include "fdb.h"

#include "cleanup.h"
#include "mac_list.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

/* The kernel's unit of time towards programs (USER_HZ) is a hundredth of a second on every architecture. */
#define CLOCK_TICK_USEC 10000

int fdb_parse(const struct nlmsghdr *header, struct fdb_entry *ret)
{
        const struct ndmsg *neighbour = nlmsg_data(header);
        struct fdb_entry entry = { 0 };
        struct nlattr *attribute;
        bool has_mac = false;
        int remaining;

        if (header->nlmsg_type != RTM_NEWNEIGH && header->nlmsg_type != RTM_DELNEIGH)
                return -EBADMSG;
        if (!nlmsg_valid_hdr(header, sizeof(*neighbour)) || neighbour->ndm_family != AF_BRIDGE)
                return -EBADMSG;

        entry.ifindex = neighbour->ndm_ifindex;
        entry.state = neighbour->ndm_state;
        entry.flags = neighbour->ndm_flags;

        nlmsg_for_each_attr(attribute, header, sizeof(*neighbour), remaining)
        {
                struct nda_cacheinfo times = { 0 };

                switch (nla_type(attribute)) {
                case NDA_LLADDR:
                        if (nla_len(attribute) != sizeof(entry.mac.bytes))
                                return -EBADMSG;
                        memcpy(entry.mac.bytes, nla_data(attribute), sizeof(entry.mac.bytes));
                        has_mac = true;
                        break;
                case NDA_VLAN:
                        if (nla_len(attribute) >= (int) sizeof(uint16_t))
                                entry.vlan = nla_get_u16(attribute);
                        break;
                case NDA_MASTER:
                        if (nla_len(attribute) >= (int) sizeof(uint32_t))
                                entry.master = (int) nla_get_u32(attribute);
                        break;
                case NDA_CACHEINFO:
                        nla_memcpy(&times, attribute, sizeof(times));
                        entry.idle = times.ndm_updated * (uint64_t) CLOCK_TICK_USEC;
                        break;
                default:
                        break;
                }
        }

        if (!has_mac)
                return -EBADMSG;
        *ret = entry;
        return 0;
}

static struct nl_msg *neighbour_message(int type, int flags, const struct fdb_entry *entry)
{
        struct ndmsg neighbour = {
                .ndm_family = AF_BRIDGE,
                .ndm_ifindex = entry->ifindex,
                .ndm_state = entry->state,
                .ndm_flags = entry->flags,
        };
        struct nl_msg *message = vswitch_netlink_message(type, flags, &neighbour, sizeof(neighbour));

        if (!message)
                return NULL;
        nla_put(message, NDA_LLADDR, sizeof(entry->mac.bytes), entry->mac.bytes);
        if (entry->vlan != 0)
                nla_put_u16(message, NDA_VLAN, entry->vlan);
        return message;
}

int fdb_replace(struct vswitch_netlink *netlink, const struct fdb_entry *entry, struct vswitch_error *error)
{
        return vswitch_netlink_transact(netlink, neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, entry),
                                        error);
}

int fdb_delete(struct vswitch_netlink *netlink, const struct fdb_entry *entry, struct vswitch_error *error)
{
        return vswitch_netlink_transact(netlink, neighbour_message(RTM_DELNEIGH, 0, entry), error);
}

static int take_entry(const struct nlmsghdr *header, void *userdata)
{
        return fdb_parse(header, userdata);
}

struct fdb_search {
        struct fdb_entry wanted;
        bool found;
        struct fdb_entry entry;
};

static int search_entry(const struct nlmsghdr *header, void *userdata)
{
        struct fdb_search *search = userdata;
        struct fdb_entry entry;

        if (fdb_parse(header, &entry) < 0)
                return 0;
        if (entry.master == search->wanted.master && entry.vlan == search->wanted.vlan &&
            vswitch_mac_equal(&entry.mac, &search->wanted.mac)) {
                search->entry = entry;
                search->found = true;
        }
        return 0;
}

static void forget_entry(void *userdata)
{
        struct fdb_search *search = userdata;

        search->found = false;
}

int fdb_dump(struct vswitch_netlink *netlink, int bridge_ifindex, vswitch_netlink_handler handler,
             void (*restart)(void *userdata), void *userdata, struct vswitch_error *error)
{
        struct ndmsg neighbour = { .ndm_family = AF_BRIDGE };
        struct nl_msg *message = vswitch_netlink_message(RTM_GETNEIGH, 0, &neighbour, sizeof(neighbour));

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, NDA_MASTER, (uint32_t) bridge_ifindex);
        return vswitch_netlink_dump(netlink, message, NLM_F_DUMP, handler, restart, userdata, error);
}

/* The same from a dump of the bridge's whole table. */
static int find_in_dump(struct vswitch_netlink *netlink, const struct fdb_entry *wanted, struct fdb_entry *ret,
                        struct vswitch_error *error)
{
        struct fdb_search search = { .wanted = *wanted };
        int r;

        r = fdb_dump(netlink, wanted->master, search_entry, forget_entry, &search, error);
        if (r < 0)
                return r;
        if (!search.found)
                return -ENOENT;
        *ret = search.entry;
        return 0;
}

int fdb_get(struct vswitch_netlink *netlink, int bridge_ifindex, const struct vswitch_mac *mac, uint16_t vlan,
            struct fdb_entry *ret, struct vswitch_error *error)
{
        struct fdb_entry wanted = { .mac = *mac, .vlan = vlan };
        struct fdb_entry found = { 0 };
        struct nl_msg *message = neighbour_message(RTM_GETNEIGH, 0, &wanted);
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, NDA_MASTER, (uint32_t) bridge_ifindex);

        r = vswitch_netlink_dump(netlink, message, 0, take_entry, NULL, &found, error);
        if (r == -EOPNOTSUPP) {
                /* Not every kernel with a bridge answers for a single entry. The table may have tens of thousands. */
                wanted.master = bridge_ifindex;
                r = find_in_dump(netlink, &wanted, &found, error);
        }
        if (r < 0)
                return r;
        *ret = found;
        return 0;
}

struct own_list {
        int ifindex;
        struct mac_list macs;
};

static int append_own(const struct nlmsghdr *header, void *userdata)
{
        struct own_list *list = userdata;
        struct fdb_entry entry;

        if (fdb_parse(header, &entry) < 0)
                return 0;
        /* The dump of a bridge port also brings the bridge's entries for it, and the port's multicast list. */
        if (entry.ifindex != list->ifindex || !(entry.flags & NTF_SELF) || entry.master != 0 ||
            vswitch_mac_is_multicast(&entry.mac))
                return 0;
        return mac_list_add(&list->macs, &entry.mac);
}

static void forget_own(void *userdata)
{
        struct own_list *list = userdata;

        list->macs.count = 0;
}

int fdb_list_own(struct vswitch_netlink *netlink, int ifindex, struct vswitch_mac **ret, size_t *ret_count,
                 struct vswitch_error *error)
{
        struct ndmsg neighbour = { .ndm_family = AF_BRIDGE, .ndm_ifindex = ifindex };
        struct own_list list = { .ifindex = ifindex };
        int r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETNEIGH, 0, &neighbour, sizeof(neighbour)),
                                     NLM_F_DUMP, append_own, forget_own, &list, error);

        if (r < 0) {
                mac_list_freep(&list.macs);
                return r;
        }
        mac_list_take(&list.macs, ret, ret_count);
        return 0;
}
