/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VFs in RTM_NEWLINK messages.
 *
 * The list of VFs is one netlink attribute whose length field has 16 bits. From about 220 VFs with counters, 330 without,
 * it overflows and says anything. The VFs are all there nevertheless, one after the other, and each begins with its
 * number; so they are walked by their own shape, and the length of the list is not believed.
 */

#include "vf_message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

/* What drivers report for a setting that they do not know. */
#define SETTING_UNKNOWN UINT32_MAX

/*
 * One VF
 */

/* A copy of attribute `type`, zero-filled at its end. false when it is not there. */
static bool copy_attribute(struct nlattr *const attributes[], int type, void *ret, size_t size)
{
        memset(ret, 0, size);
        if (!attributes[type])
                return false;
        nla_memcpy(ret, attributes[type], (int) size);
        return true;
}

static void parse_vlan(struct nlattr *const attributes[], struct pf_vf_attributes *vf)
{
        struct ifla_vf_vlan vlan;
        struct ifla_vf_vlan_info info = { 0 };
        const struct nlattr *first;

        if (attributes[IFLA_VF_VLAN_LIST]) {
                /* Kernels show one entry, whatever the name says. */
                first = nla_find(nla_data(attributes[IFLA_VF_VLAN_LIST]), nla_len(attributes[IFLA_VF_VLAN_LIST]),
                                 IFLA_VF_VLAN_INFO);
                if (first) {
                        nla_memcpy(&info, first, sizeof(info));
                        vf->vlan = (uint16_t) info.vlan;
                        vf->qos = (uint8_t) info.qos;
                        vf->vlan_protocol = ntohs(info.vlan_proto);
                        vf->valid |= PF_VF_VLAN;
                        return;
                }
        }
        if (copy_attribute(attributes, IFLA_VF_VLAN, &vlan, sizeof(vlan))) {
                vf->vlan = (uint16_t) vlan.vlan;
                vf->qos = (uint8_t) vlan.qos;
                vf->vlan_protocol = ETH_P_8021Q;
                vf->valid |= PF_VF_VLAN;
        }
}

static int parse_vf(struct nlattr *info, struct pf_vf_attributes *ret)
{
        struct nlattr *attributes[IFLA_VF_MAX + 1] = { 0 };
        struct pf_vf_attributes vf = { 0 };
        struct ifla_vf_mac mac;
        struct ifla_vf_spoofchk spoof_check;
        struct ifla_vf_trust trust;
        struct ifla_vf_link_state link_state;
        struct ifla_vf_rate rate;
        struct ifla_vf_rss_query_en query_rss;

        if (nla_parse_nested(attributes, IFLA_VF_MAX, info, NULL) < 0)
                return -EBADMSG;

        if (copy_attribute(attributes, IFLA_VF_MAC, &mac, sizeof(mac))) {
                memcpy(vf.mac.bytes, mac.mac, sizeof(vf.mac.bytes));
                vf.valid |= PF_VF_MAC;
        }
        parse_vlan(attributes, &vf);
        if (copy_attribute(attributes, IFLA_VF_SPOOFCHK, &spoof_check, sizeof(spoof_check)) &&
            spoof_check.setting != SETTING_UNKNOWN) {
                vf.spoof_check = spoof_check.setting != 0;
                vf.valid |= PF_VF_SPOOF_CHECK;
        }
        if (copy_attribute(attributes, IFLA_VF_TRUST, &trust, sizeof(trust)) && trust.setting != SETTING_UNKNOWN) {
                vf.trust = trust.setting != 0;
                vf.valid |= PF_VF_TRUST;
        }
        if (copy_attribute(attributes, IFLA_VF_LINK_STATE, &link_state, sizeof(link_state))) {
                vf.link_state = link_state.link_state;
                vf.valid |= PF_VF_LINK_STATE;
        }
        if (copy_attribute(attributes, IFLA_VF_RATE, &rate, sizeof(rate))) {
                vf.min_rate = rate.min_tx_rate;
                vf.max_rate = rate.max_tx_rate;
                vf.valid |= PF_VF_RATE;
        }
        if (copy_attribute(attributes, IFLA_VF_RSS_QUERY_EN, &query_rss, sizeof(query_rss)) &&
            query_rss.setting != SETTING_UNKNOWN) {
                vf.query_rss = query_rss.setting != 0;
                vf.valid |= PF_VF_QUERY_RSS;
        }

        *ret = vf;
        return 0;
}

static int parse_statistics(struct nlattr *info, struct pf_vf_statistics *ret)
{
        struct nlattr *attributes[IFLA_VF_MAX + 1] = { 0 };
        struct nlattr *counters[IFLA_VF_STATS_MAX + 1] = { 0 };
        struct pf_vf_statistics statistics = { 0 };
        const struct {
                int type;
                uint64_t *value;
        } fields[] = {
                { IFLA_VF_STATS_RX_PACKETS, &statistics.received_packets },
                { IFLA_VF_STATS_RX_BYTES, &statistics.received_bytes },
                { IFLA_VF_STATS_RX_DROPPED, &statistics.received_dropped },
                { IFLA_VF_STATS_TX_PACKETS, &statistics.sent_packets },
                { IFLA_VF_STATS_TX_BYTES, &statistics.sent_bytes },
                { IFLA_VF_STATS_TX_DROPPED, &statistics.sent_dropped },
                { IFLA_VF_STATS_MULTICAST, &statistics.multicast },
                { IFLA_VF_STATS_BROADCAST, &statistics.broadcast },
        };

        if (nla_parse_nested(attributes, IFLA_VF_MAX, info, NULL) < 0)
                return -EBADMSG;
        if (!attributes[IFLA_VF_STATS])
                return -ENODATA;
        if (nla_parse_nested(counters, IFLA_VF_STATS_MAX, attributes[IFLA_VF_STATS], NULL) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
                (void) copy_attribute(counters, fields[i].type, fields[i].value, sizeof(*fields[i].value));
        *ret = statistics;
        return 0;
}

/*
 * The list
 */

/* Is there room for an attribute, and for all that it says it holds? */
static bool attribute_fits(const uint8_t *position, const uint8_t *end)
{
        const struct nlattr *attribute = (const struct nlattr *) position;

        return end - position >= NLA_HDRLEN && attribute->nla_len >= NLA_HDRLEN && attribute->nla_len <= end - position;
}

/* The first VF of the message, NULL without a list. */
static const uint8_t *find_list(const struct nlmsghdr *header, const uint8_t *end)
{
        const uint8_t *position = (const uint8_t *) nlmsg_attrdata(header, sizeof(struct ifinfomsg));

        /* What comes before the list has honest lengths. */
        while (end - position >= NLA_HDRLEN && nla_type((const struct nlattr *) position) != IFLA_VFINFO_LIST) {
                if (!attribute_fits(position, end))
                        return NULL;
                position += NLA_ALIGN(((const struct nlattr *) position)->nla_len);
        }
        return end - position >= NLA_HDRLEN ? position + NLA_HDRLEN : NULL;
}

/* Calls `each` for every VF until it returns non-zero; returns that, 0 at the end, -EBADMSG for another message. */
static int for_each_vf(const struct nlmsghdr *header, int (*each)(unsigned index, struct nlattr *info, void *userdata),
                       void *userdata)
{
        const uint8_t *end = (const uint8_t *) header + header->nlmsg_len;
        const uint8_t *position;

        if (header->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr(header, sizeof(struct ifinfomsg)))
                return -EBADMSG;
        position = find_list(header, end);

        while (position && position < end && attribute_fits(position, end)) {
                const struct nlattr *info = (const struct nlattr *) position;
                const struct nlattr *first = nla_data(info);
                const struct ifla_vf_mac *mac;
                int r;

                if (nla_type(info) != IFLA_VF_INFO || nla_len(info) < (int) (NLA_HDRLEN + sizeof(*mac)) ||
                    nla_type(first) != IFLA_VF_MAC || nla_len(first) < (int) sizeof(*mac))
                        break;
                mac = nla_data(first);
                r = each(mac->vf, (struct nlattr *) info, userdata);
                if (r != 0)
                        return r;
                position += NLA_ALIGN(info->nla_len);
        }
        return 0;
}

/* One VF is looked for. */
struct search {
        unsigned index;
        struct pf_vf_attributes *attributes; /* one of both */
        struct pf_vf_statistics *statistics;
        int result;
};

static int take_if_wanted(unsigned index, struct nlattr *info, void *userdata)
{
        struct search *search = userdata;

        if (index != search->index)
                return 0;
        search->result =
                search->attributes ? parse_vf(info, search->attributes) : parse_statistics(info, search->statistics);
        return 1;
}

static int find_vf(const struct nlmsghdr *header, struct search *search)
{
        int r = for_each_vf(header, take_if_wanted, search);

        return r < 0 ? r : r == 0 ? -ENODATA : search->result;
}

int vf_message_parse(const struct nlmsghdr *header, unsigned index, struct pf_vf_attributes *ret)
{
        struct search search = { .index = index, .attributes = ret };

        return find_vf(header, &search);
}

int vf_message_parse_statistics(const struct nlmsghdr *header, unsigned index, struct pf_vf_statistics *ret)
{
        struct search search = { .index = index, .statistics = ret };

        return find_vf(header, &search);
}

/* All are taken. */
struct collection {
        struct pf_vf_attributes *attributes; /* `limit` of them, or NULL: then statistics */
        struct pf_vf_statistics *statistics;
        size_t limit;
        size_t count;
};

static int take(unsigned index, struct nlattr *info, void *userdata)
{
        struct collection *collection = userdata;
        int r;

        if (index >= collection->limit)
                return 0;
        r = collection->attributes ? parse_vf(info, &collection->attributes[index])
                                   : parse_statistics(info, &collection->statistics[index]);
        if (r == 0 && index >= collection->count)
                collection->count = index + 1;
        return r == -ENODATA ? 0 : r;
}

int vf_message_parse_all(const struct nlmsghdr *header, size_t limit, struct pf_vf_attributes **ret, size_t *ret_count)
{
        struct collection collection = { .limit = limit };
        int r;

        collection.attributes = calloc(limit ? limit : 1, sizeof(*collection.attributes));
        if (!collection.attributes)
                return -ENOMEM;
        r = for_each_vf(header, take, &collection);
        if (r < 0) {
                free(collection.attributes);
                return r;
        }
        *ret = collection.attributes;
        *ret_count = collection.count;
        return 0;
}

int vf_message_parse_all_statistics(const struct nlmsghdr *header, size_t limit, struct pf_vf_statistics **ret,
                                    size_t *ret_count)
{
        struct collection collection = { .limit = limit };
        int r;

        collection.statistics = calloc(limit ? limit : 1, sizeof(*collection.statistics));
        if (!collection.statistics)
                return -ENOMEM;
        r = for_each_vf(header, take, &collection);
        if (r < 0) {
                free(collection.statistics);
                return r;
        }
        *ret = collection.statistics;
        *ret_count = collection.count;
        return 0;
}
