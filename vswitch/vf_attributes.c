/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VF attributes.
 *
 * Reading: the kernel has no question about one VF; RTM_GETLINK with RTEXT_FILTER_VF lists all of the PF's,
 * without their counters (RTEXT_FILTER_SKIP_STATS), which alone would be a third of it. Counters are asked for
 * apart, of this PF only. vf_message.c takes the answers apart.
 *
 * Writing: several attributes in one request are applied one after the other and not undone when one is refused,
 * and the answer does not say which it was. So each goes alone, in the order of names[]. Only what differs is
 * written, because some drivers reset the VF for a write (pf_card.h says which for what). What resets goes first:
 * what comes after it cannot be lost in the reset. The MAC, which resets too, goes last all the same: with it the
 * embedded switch begins to deliver, and by then VLAN and the rest must be right, and have been read back to prove
 * it. That a guest sees none of these resets is the caller's doing: it writes them before the guest has the VF, and
 * after it has let go.
 *
 * A driver whose VF is in reset answers -EAGAIN or -EBUSY; that is waited for, for a tenth of a second.
 *
 * What the driver can do shows in what it answers. A setting that it does not report cannot be held to anything and
 * counts as one that it cannot set, until a write proves the contrary.
 */

#include "vf_attributes.h"

#include "cleanup.h"
#include "pf_card.h"
#include "vf_message.h"

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

/* The kernel's ENOTSUPP, which should never leave it and does (bnxt_set_vf_spoofchk). */
#define ERROR_NOT_SUPPORTED 524

static const struct {
        enum pf_vf_attribute attribute;
        const char *name;
} names[] = {
        { PF_VF_TRUST, "trust" },
        { PF_VF_VLAN, "VLAN" },
        { PF_VF_LINK_STATE, "link state" },
        { PF_VF_SPOOF_CHECK, "spoof check" },
        { PF_VF_RATE, "rate" },
        { PF_VF_QUERY_RSS, "RSS query" },
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

struct vf_query {
        unsigned index;
        struct pf_vf_attributes answer;
        bool pf_is_up;
};

static int take_vf(const struct nlmsghdr *header, void *userdata)
{
        struct vf_query *query = userdata;

        query->pf_is_up = ((const struct ifinfomsg *) nlmsg_data(header))->ifi_flags & IFF_UP;
        return vf_message_parse(header, query->index, &query->answer);
}

/* Asks for the PF with its VFs; `filters` are RTEXT_FILTER_* bits. */
static int get_pf(struct vswitch_netlink *netlink, const struct pf *pf, uint32_t filters,
                  vswitch_netlink_handler handler, void *userdata, struct vswitch_error *refusal)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = pf->ifindex };
        struct nl_msg *message = vswitch_netlink_message(RTM_GETLINK, 0, &info, sizeof(info));

        if (!message)
                return -ENOMEM;
        nla_put_u32(message, IFLA_EXT_MASK, filters);
        return vswitch_netlink_dump(netlink, message, 0, handler, NULL, userdata, refusal);
}

static int query_vf(struct vswitch_netlink *netlink, struct pf *pf, struct vf_query *query, struct vswitch_error *error)
{
        struct vswitch_error refusal = { 0 };
        int r = get_pf(netlink, pf, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS, take_vf, query, &refusal);

        if (r == -ENODATA)
                return vswitch_error_set(error, r, "%s does not report a VF %u", pf->name, query->index);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read VF %u of %s: %s", query->index, pf->name,
                                         vswitch_error_text(&refusal, r));
        vf_attributes_learn_from_read(pf, &query->answer);
        return 0;
}

int vf_attributes_read(struct vswitch_netlink *netlink, struct pf *pf, unsigned index, struct pf_vf_attributes *ret,
                       struct vswitch_error *error)
{
        struct vf_query query = { .index = index };
        int r = query_vf(netlink, pf, &query, error);

        if (r < 0)
                return r;
        *ret = query.answer;
        return 0;
}

/* Of all VFs; the array of one kind is asked for. */
struct list_query {
        size_t limit;
        struct pf_vf_attributes *attributes;
        struct pf_vf_statistics *statistics;
        size_t count;
};

static int take_attributes(const struct nlmsghdr *header, void *userdata)
{
        struct list_query *query = userdata;

        free(query->attributes);
        query->attributes = NULL;
        return vf_message_parse_all(header, query->limit, &query->attributes, &query->count);
}

static int take_statistics(const struct nlmsghdr *header, void *userdata)
{
        struct list_query *query = userdata;

        free(query->statistics);
        query->statistics = NULL;
        return vf_message_parse_all_statistics(header, query->limit, &query->statistics, &query->count);
}

static int list_failed(const struct pf *pf, int r, const struct vswitch_error *refusal, struct vswitch_error *error)
{
        return vswitch_error_set(error, r, "cannot read the VFs of %s: %s", pf->name, vswitch_error_text(refusal, r));
}

int vf_attributes_list(struct vswitch_netlink *netlink, struct pf *pf, struct pf_vf_attributes **ret, size_t *ret_count,
                       struct vswitch_error *error)
{
        struct list_query query = { .limit = pf->total_vfs };
        struct vswitch_error refusal = { 0 };
        int r = get_pf(netlink, pf, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS, take_attributes, &query, &refusal);

        if (r < 0) {
                free(query.attributes);
                return list_failed(pf, r, &refusal, error);
        }
        for (size_t i = 0; i < query.count; i++)
                if (query.attributes[i].valid != 0)
                        vf_attributes_learn_from_read(pf, &query.attributes[i]);
        *ret = query.attributes;
        *ret_count = query.count;
        return 0;
}

static bool has_counted(const struct list_query *query)
{
        static const struct pf_vf_statistics zero;

        for (size_t i = 0; i < query->count; i++)
                if (memcmp(&query->statistics[i], &zero, sizeof(zero)) != 0)
                        return true;
        return false;
}

int vf_attributes_list_statistics(struct vswitch_netlink *netlink, struct pf *pf, struct pf_vf_statistics **ret,
                                  size_t *ret_count, struct vswitch_error *error)
{
        struct list_query query = { .limit = pf->total_vfs };
        struct vswitch_error refusal = { 0 };
        int r = get_pf(netlink, pf, RTEXT_FILTER_VF, take_statistics, &query, &refusal);

        if (r == 0 && !pf_card_find(pf)->statistics && !has_counted(&query)) {
                free(query.statistics);
                return vswitch_error_set(error, -EOPNOTSUPP, "driver %s of %s does not count the frames of VFs",
                                         pf->kernel_driver, pf->name);
        }
        if (r < 0) {
                free(query.statistics);
                return list_failed(pf, r, &refusal, error);
        }
        *ret = query.statistics;
        *ret_count = query.count;
        return 0;
}

int vf_attributes_read_statistics(struct vswitch_netlink *netlink, struct pf *pf, unsigned index,
                                  struct pf_vf_statistics *ret, struct vswitch_error *error)
{
        _cleanup_(vswitch_freep) struct pf_vf_statistics *statistics = NULL;
        size_t count = 0;
        int r = vf_attributes_list_statistics(netlink, pf, &statistics, &count, error);

        if (r < 0)
                return r;
        if (index >= count)
                return vswitch_error_set(error, -ENODATA, "%s does not report a VF %u", pf->name, index);
        *ret = statistics[index];
        return 0;
}

/*
 * Learning
 */

static unsigned bit_number(enum pf_vf_attribute attribute)
{
        return (unsigned) __builtin_ctz(attribute);
}

static void cannot(struct pf *pf, enum pf_vf_attribute attribute, const char *words)
{
        char *refusal = pf->refusals[bit_number(attribute)];

        pf->can_set &= ~(uint32_t) attribute;
        pf->cannot_set |= attribute;
        snprintf(refusal, sizeof(pf->refusals[0]), "%s", words);
}

void vf_attributes_learn_from_read(struct pf *pf, const struct pf_vf_attributes *present)
{
        /* For the others the kernel reports zeros when the driver says nothing. */
        static const enum pf_vf_attribute reported[] = { PF_VF_SPOOF_CHECK, PF_VF_TRUST, PF_VF_QUERY_RSS };

        for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++)
                if (!((present->valid | pf->can_set | pf->cannot_set) & reported[i]))
                        cannot(pf, reported[i], "the driver does not report it");
}

void vf_attributes_learn_from_write(struct pf *pf, enum pf_vf_attribute attribute, int result, const char *words)
{
        if (result == -EOPNOTSUPP || result == -ENOSYS) {
                cannot(pf, attribute, words);
        } else if (result == 0) {
                pf->can_set |= attribute;
                pf->cannot_set &= ~(uint32_t) attribute;
                pf->refusals[bit_number(attribute)][0] = '\0';
        }
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

static int write_attribute(struct vswitch_netlink *netlink, struct pf *pf, const struct vf_query *present,
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
        if (r == -ERROR_NOT_SUPPORTED) {
                r = -EOPNOTSUPP;
                refusal.text[0] = '\0';
        }
        vf_attributes_learn_from_write(pf, attribute, r, vswitch_error_text(&refusal, r));
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
static int verify(struct vswitch_netlink *netlink, struct pf *pf, const struct pf_vf_attributes *wanted,
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
static int write_attributes(struct vswitch_netlink *netlink, struct pf *pf, const struct pf_vf_attributes *wanted,
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

int vf_attributes_set(struct vswitch_netlink *netlink, struct pf *pf, unsigned index,
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

int vf_attributes_ask(struct vswitch_netlink *netlink, struct pf *pf, unsigned index, struct vswitch_error *error)
{
        struct vf_query present = { .index = index };
        struct pf_vf_attributes wanted;
        uint32_t written = 0;
        int r = query_vf(netlink, pf, &present, error);

        if (r < 0)
                return r;
        pf->asked = true;
        wanted = present.answer;
        for (size_t i = 0; i < NAME_COUNT; i++) {
                enum pf_vf_attribute attribute = names[i].attribute;

                if (attribute == PF_VF_MAC || !(wanted.valid & attribute) || (pf->can_set | pf->cannot_set) & attribute)
                        continue;
                /* A refusal is an answer. */
                if (write_attribute(netlink, pf, &present, &wanted, attribute, NULL) == 0)
                        written |= attribute;
        }
        return written != 0 ? verify(netlink, pf, &wanted, written, &present, error) : 0;
}
