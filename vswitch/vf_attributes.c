/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VF attributes.
 *
 * Reading: the kernel has no question about one VF; RTM_GETLINK with RTEXT_FILTER_VF lists all of the PF's,
 * without their counters (RTEXT_FILTER_SKIP_STATS), which alone would be a third of it. The list is one netlink
 * attribute whose length field has 16 bits. From about 330 VFs on it overflows and says anything. The VFs are
 * all there nevertheless, one after the other, and each begins with its number; so they are walked by their own
 * shape, and the length of the list is not believed.
 *
 * Writing: several attributes in one request are applied one after the other and not undone when one is refused,
 * and the answer does not say which it was. So each goes alone. Only what differs is written, because some
 * drivers reset the VF for every write, even of what it has. The MAC goes last: with it the embedded switch
 * begins to deliver, and by then VLAN and the rest must be right, and have been read back to prove it.
 *
 * A driver whose VF is in reset answers -EAGAIN or -EBUSY; that is waited for, for a tenth of a second.
 */

#include "vf_attributes.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RETRY_MAX          5
#define RETRY_MILLISECONDS 20
#define READ_BACK_MAX      3

/* What drivers report for a setting that they do not know. */
#define SETTING_UNKNOWN UINT32_MAX

static const struct {
        enum pf_vf_attribute attribute;
        const char *name;
} names[] = {
        { PF_VF_VLAN, "VLAN" },   { PF_VF_SPOOF_CHECK, "spoof check" },
        { PF_VF_TRUST, "trust" }, { PF_VF_LINK_STATE, "link state" },
        { PF_VF_RATE, "rate" },   { PF_VF_QUERY_RSS, "RSS query" },
        { PF_VF_MAC, "MAC" },
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

const char *pf_attribute_names(uint32_t attributes, char *buffer, size_t size)
{
        size_t length = 0;

        if (size > 0)
                buffer[0] = '\0';
        for (size_t i = 0; i < NAME_COUNT; i++) {
                int n;

                if (!(attributes & names[i].attribute) || length >= size)
                        continue;
                n = snprintf(buffer + length, size - length, "%s%s", length > 0 ? ", " : "", names[i].name);
                length += (size_t) n;
        }
        return buffer;
}

/*
 * Reading
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

/* Is there room for an attribute, and for all that it says it holds? */
static bool attribute_fits(const uint8_t *position, const uint8_t *end)
{
        const struct nlattr *attribute = (const struct nlattr *) position;

        return end - position >= NLA_HDRLEN && attribute->nla_len >= NLA_HDRLEN && attribute->nla_len <= end - position;
}

int vf_attributes_parse(const struct nlmsghdr *header, unsigned index, struct pf_vf_attributes *ret)
{
        const uint8_t *end = (const uint8_t *) header + header->nlmsg_len;
        const uint8_t *position;

        if (header->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr(header, sizeof(struct ifinfomsg)))
                return -EBADMSG;

        /* What comes before the list has honest lengths. */
        position = (const uint8_t *) nlmsg_attrdata(header, sizeof(struct ifinfomsg));
        while (end - position >= NLA_HDRLEN && nla_type((const struct nlattr *) position) != IFLA_VFINFO_LIST) {
                if (!attribute_fits(position, end))
                        return -ENODATA;
                position += NLA_ALIGN(((const struct nlattr *) position)->nla_len);
        }
        position += NLA_HDRLEN;

        while (position < end && attribute_fits(position, end)) {
                const struct nlattr *info = (const struct nlattr *) position;
                const struct nlattr *first = nla_data(info);
                const struct ifla_vf_mac *mac;

                if (nla_type(info) != IFLA_VF_INFO || nla_len(info) < (int) (NLA_HDRLEN + sizeof(*mac)) ||
                    nla_type(first) != IFLA_VF_MAC || nla_len(first) < (int) sizeof(*mac))
                        break;
                mac = nla_data(first);
                if (mac->vf == index)
                        return parse_vf((struct nlattr *) info, ret);
                position += NLA_ALIGN(info->nla_len);
        }
        return -ENODATA;
}

struct vf_query {
        unsigned index;
        struct pf_vf_attributes answer;
        bool pf_is_up;
};

static int take_vf(const struct nlmsghdr *header, void *userdata)
{
        struct vf_query *query = userdata;

        query->pf_is_up = ((const struct ifinfomsg *) nlmsg_data(header))->ifi_flags & IFF_UP;
        return vf_attributes_parse(header, query->index, &query->answer);
}

static int query_vf(struct vswitch_netlink *netlink, const struct pf *pf, struct vf_query *query,
                    struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = pf->ifindex };
        struct nl_msg *message = vswitch_netlink_message(RTM_GETLINK, 0, &info, sizeof(info));
        struct vswitch_error refusal = { 0 };
        int r;

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS);

        r = vswitch_netlink_dump(netlink, message, 0, take_vf, NULL, query, &refusal);
        if (r == -ENODATA)
                return vswitch_error_set(error, r, "%s does not report a VF %u", pf->name, query->index);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read VF %u of %s: %s", query->index, pf->name,
                                         vswitch_error_text(&refusal, r));
        return 0;
}

int vf_attributes_read(struct vswitch_netlink *netlink, const struct pf *pf, unsigned index,
                       struct pf_vf_attributes *ret, struct vswitch_error *error)
{
        struct vf_query query = { .index = index };
        int r = query_vf(netlink, pf, &query, error);

        if (r < 0)
                return r;
        *ret = query.answer;
        return 0;
}

/*
 * Writing
 */

static bool is_same(const struct pf_vf_attributes *a, const struct pf_vf_attributes *b, enum pf_vf_attribute attribute)
{
        switch (attribute) {
        case PF_VF_MAC:
                return vswitch_mac_equal(&a->mac, &b->mac);
        case PF_VF_VLAN:
                /* Without a VLAN there is no tag to have a protocol or a priority. */
                return a->vlan == b->vlan && a->qos == b->qos && (a->vlan == 0 || a->vlan_protocol == b->vlan_protocol);
        case PF_VF_SPOOF_CHECK:
                return a->spoof_check == b->spoof_check;
        case PF_VF_TRUST:
                return a->trust == b->trust;
        case PF_VF_LINK_STATE:
                return a->link_state == b->link_state;
        case PF_VF_RATE:
                return a->min_rate == b->min_rate && a->max_rate == b->max_rate;
        case PF_VF_QUERY_RSS:
                return a->query_rss == b->query_rss;
        }
        return true;
}

static void put_attribute(struct nl_msg *message, unsigned index, const struct pf_vf_attributes *wanted,
                          enum pf_vf_attribute attribute)
{
        struct ifla_vf_mac mac = { .vf = index };
        struct ifla_vf_vlan_info vlan = { .vf = index, .vlan = wanted->vlan, .qos = wanted->qos };
        struct ifla_vf_spoofchk spoof_check = { .vf = index, .setting = wanted->spoof_check };
        struct ifla_vf_trust trust = { .vf = index, .setting = wanted->trust };
        struct ifla_vf_link_state link_state = { .vf = index, .link_state = wanted->link_state };
        struct ifla_vf_rate rate = { .vf = index, .min_tx_rate = wanted->min_rate, .max_tx_rate = wanted->max_rate };
        struct ifla_vf_rss_query_en query_rss = { .vf = index, .setting = wanted->query_rss };
        struct nlattr *list;

        switch (attribute) {
        case PF_VF_MAC:
                memcpy(mac.mac, wanted->mac.bytes, sizeof(wanted->mac.bytes));
                nla_put(message, IFLA_VF_MAC, sizeof(mac), &mac);
                break;
        case PF_VF_VLAN:
                /* The list form, because only it carries the protocol. */
                vlan.vlan_proto = htons(wanted->vlan_protocol != 0 ? wanted->vlan_protocol : ETH_P_8021Q);
                list = nla_nest_start(message, IFLA_VF_VLAN_LIST);
                nla_put(message, IFLA_VF_VLAN_INFO, sizeof(vlan), &vlan);
                nla_nest_end(message, list);
                break;
        case PF_VF_SPOOF_CHECK:
                nla_put(message, IFLA_VF_SPOOFCHK, sizeof(spoof_check), &spoof_check);
                break;
        case PF_VF_TRUST:
                nla_put(message, IFLA_VF_TRUST, sizeof(trust), &trust);
                break;
        case PF_VF_LINK_STATE:
                nla_put(message, IFLA_VF_LINK_STATE, sizeof(link_state), &link_state);
                break;
        case PF_VF_RATE:
                nla_put(message, IFLA_VF_RATE, sizeof(rate), &rate);
                break;
        case PF_VF_QUERY_RSS:
                nla_put(message, IFLA_VF_RSS_QUERY_EN, sizeof(query_rss), &query_rss);
                break;
        }
}

static int send_attribute(struct vswitch_netlink *netlink, const struct pf *pf, unsigned index,
                          const struct pf_vf_attributes *wanted, enum pf_vf_attribute attribute,
                          struct vswitch_error *error)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = pf->ifindex };
        struct nl_msg *message = vswitch_netlink_message(RTM_SETLINK, 0, &info, sizeof(info));
        struct nlattr *list;
        struct nlattr *vf;

        if (!message)
                return -ENOMEM;
        list = nla_nest_start(message, IFLA_VFINFO_LIST);
        vf = nla_nest_start(message, IFLA_VF_INFO);
        put_attribute(message, index, wanted, attribute);
        nla_nest_end(message, vf);
        nla_nest_end(message, list);
        return vswitch_netlink_transact(netlink, message, error);
}

static void pause_briefly(void)
{
        struct timespec pause = { .tv_nsec = RETRY_MILLISECONDS * 1000L * 1000L };

        (void) nanosleep(&pause, NULL);
}

static int write_attribute(struct vswitch_netlink *netlink, const struct pf *pf, const struct vf_query *present,
                           const struct pf_vf_attributes *wanted, enum pf_vf_attribute attribute,
                           struct vswitch_error *error)
{
        struct vswitch_error refusal = { 0 };
        char name[32];
        int r;

        for (int attempt = 0;; attempt++) {
                r = send_attribute(netlink, pf, present->index, wanted, attribute, &refusal);
                if ((r != -EAGAIN && r != -EBUSY) || attempt == RETRY_MAX)
                        break;
                pause_briefly();
        }
        if (r == 0)
                return 0;

        if (r == -EINVAL && attribute == PF_VF_MAC && vswitch_mac_is_zero(&wanted->mac))
                return vswitch_error_set(error, r,
                                         "driver %s of %s does not let the MAC of VF %u be cleared (old driver?): %s",
                                         pf->kernel_driver, pf->name, present->index, vswitch_error_text(&refusal, r));
        return vswitch_error_set(error, r, "cannot set the %s of VF %u of %s: %s%s",
                                 pf_attribute_names(attribute, name, sizeof(name)), present->index, pf->name,
                                 vswitch_error_text(&refusal, r), present->pf_is_up ? "" : " (the PF is down)");
}

/* The attributes among `attributes` that the driver reports, and reports to be something else. */
static uint32_t find_differences(const struct pf_vf_attributes *present, const struct pf_vf_attributes *wanted,
                                 uint32_t attributes)
{
        uint32_t different = 0;

        for (size_t i = 0; i < NAME_COUNT; i++)
                if (attributes & present->valid & names[i].attribute && !is_same(wanted, present, names[i].attribute))
                        different |= names[i].attribute;
        return different;
}

/* Reads back what was written. A driver that hands the write to firmware may be a moment behind. */
static int verify(struct vswitch_netlink *netlink, const struct pf *pf, const struct pf_vf_attributes *wanted,
                  uint32_t written, struct vf_query *present, struct vswitch_error *error)
{
        uint32_t different = 0;
        char text[128];

        for (int attempt = 0; attempt < READ_BACK_MAX; attempt++) {
                int r;

                if (attempt > 0)
                        pause_briefly();
                r = query_vf(netlink, pf, present, error);
                if (r < 0)
                        return r;
                different = find_differences(&present->answer, wanted, written);
                if (different == 0)
                        return 0;
        }
        return vswitch_error_set(error, -EIO, "driver %s of %s took the %s of VF %u and reports something else",
                                 pf->kernel_driver, pf->name, pf_attribute_names(different, text, sizeof(text)),
                                 present->index);
}

/* Writes those of `attributes` that need it, in the order of names[], and verifies them. */
static int write_attributes(struct vswitch_netlink *netlink, const struct pf *pf, const struct pf_vf_attributes *wanted,
                            uint32_t attributes, struct vf_query *present, struct vswitch_error *error)
{
        uint32_t written = 0;
        /* What is not reported cannot be compared; it is written. */
        uint32_t to_write =
                find_differences(&present->answer, wanted, attributes) | (attributes & ~present->answer.valid);

        for (size_t i = 0; i < NAME_COUNT; i++) {
                int r;

                if (!(to_write & names[i].attribute))
                        continue;
                r = write_attribute(netlink, pf, present, wanted, names[i].attribute, error);
                if (r < 0)
                        return r;
                written |= names[i].attribute;
        }
        return written != 0 ? verify(netlink, pf, wanted, written, present, error) : 0;
}

int vf_attributes_set(struct vswitch_netlink *netlink, const struct pf *pf, unsigned index,
                      const struct pf_vf_attributes *wanted, struct vswitch_error *error)
{
        struct vf_query present = { .index = index };
        int r;

        r = query_vf(netlink, pf, &present, error);
        if (r == 0)
                r = write_attributes(netlink, pf, wanted, wanted->valid & ~PF_VF_MAC, &present, error);
        if (r == 0)
                r = write_attributes(netlink, pf, wanted, wanted->valid & PF_VF_MAC, &present, error);
        return r;
}
