/* SPDX-License-Identifier: Apache-2.0 */

/* Reading VFs out of RTM_NEWLINK messages, built here as the kernel builds them. */

#include "vswitch/vf_attributes.h"
#include "vswitch/vf_message.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* A message under construction. libnl's would refuse attributes beyond 64 KiB, as an honest builder must. */
struct builder {
        uint8_t *bytes;
        size_t size;
};

#define BUILDER_SIZE ((size_t) 1024 * 1024)

static void put(struct builder *b, uint16_t type, const void *data, size_t size)
{
        struct nlattr attribute = { .nla_type = type, .nla_len = (uint16_t) (NLA_HDRLEN + size) };

        memcpy(b->bytes + b->size, &attribute, sizeof(attribute));
        if (size > 0)
                memcpy(b->bytes + b->size + NLA_HDRLEN, data, size);
        b->size += NLA_ALIGN(NLA_HDRLEN + size);
}

static size_t nest(struct builder *b, uint16_t type)
{
        size_t start = b->size;

        put(b, type, NULL, 0);
        return start;
}

/* As the kernel does it: what does not fit into 16 bits is lost. */
static void nest_end(struct builder *b, size_t start)
{
        ((struct nlattr *) (b->bytes + start))->nla_len = (uint16_t) (b->size - start);
}

/* VF 5 has 501 as its first counter, 502 as its second ... */
static void put_statistics(struct builder *b, unsigned index)
{
        static const uint16_t types[] = { IFLA_VF_STATS_RX_PACKETS, IFLA_VF_STATS_TX_PACKETS, IFLA_VF_STATS_RX_BYTES,
                                          IFLA_VF_STATS_TX_BYTES,   IFLA_VF_STATS_BROADCAST,  IFLA_VF_STATS_MULTICAST,
                                          IFLA_VF_STATS_RX_DROPPED, IFLA_VF_STATS_TX_DROPPED };
        size_t list = nest(b, IFLA_VF_STATS);

        for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
                uint64_t value = index * 100 + i + 1;

                if ((b->size + NLA_HDRLEN) % 8 != 0)
                        put(b, IFLA_VF_STATS_PAD, NULL, 0);
                put(b, types[i], &value, sizeof(value));
        }
        nest_end(b, list);
}

static void put_vf(struct builder *b, unsigned index, bool complete)
{
        struct ifla_vf_mac mac = { .vf = index, .mac = { 0x52, 0x54, 0, 0, (uint8_t) (index >> 8), (uint8_t) index } };
        struct ifla_vf_broadcast broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
        struct ifla_vf_vlan vlan = { .vf = index, .vlan = 7, .qos = 3 };
        struct ifla_vf_vlan_info info = { .vf = index, .vlan = 7, .qos = 3, .vlan_proto = htons(0x88a8) };
        struct ifla_vf_rate rate = { .vf = index, .min_tx_rate = 100, .max_tx_rate = 200 };
        struct ifla_vf_spoofchk spoof_check = { .vf = index, .setting = complete ? 1 : UINT32_MAX };
        struct ifla_vf_trust trust = { .vf = index, .setting = complete ? 1 : UINT32_MAX };
        struct ifla_vf_rss_query_en rss = { .vf = index, .setting = UINT32_MAX };
        struct ifla_vf_link_state state = { .vf = index, .link_state = IFLA_VF_LINK_STATE_ENABLE };
        size_t vf = nest(b, IFLA_VF_INFO);
        size_t list;

        put(b, IFLA_VF_MAC, &mac, sizeof(mac));
        put(b, IFLA_VF_BROADCAST, &broadcast, sizeof(broadcast));
        put(b, IFLA_VF_VLAN, &vlan, sizeof(vlan));
        put(b, IFLA_VF_RATE, &rate, sizeof(rate));
        put(b, IFLA_VF_SPOOFCHK, &spoof_check, sizeof(spoof_check));
        put(b, IFLA_VF_LINK_STATE, &state, sizeof(state));
        put(b, IFLA_VF_RSS_QUERY_EN, &rss, sizeof(rss));
        put(b, IFLA_VF_TRUST, &trust, sizeof(trust));
        if (complete) {
                list = nest(b, IFLA_VF_VLAN_LIST);
                put(b, IFLA_VF_VLAN_INFO, &info, sizeof(info));
                nest_end(b, list);
                put_statistics(b, index);
        }
        nest_end(b, vf);
}

static struct nlmsghdr *build(struct builder *b, unsigned count, bool complete)
{
        struct nlmsghdr header = { .nlmsg_type = RTM_NEWLINK };
        struct ifinfomsg info = { .ifi_index = 2 };
        uint32_t number = count;
        size_t list;

        b->bytes = calloc(1, BUILDER_SIZE);
        b->size = NLMSG_HDRLEN;
        memcpy(b->bytes + b->size, &info, sizeof(info));
        b->size += NLMSG_ALIGN(sizeof(info));
        put(b, IFLA_IFNAME, "eth0", 5);
        put(b, IFLA_NUM_VF, &number, sizeof(number));
        list = nest(b, IFLA_VFINFO_LIST);
        for (unsigned i = 0; i < count; i++)
                put_vf(b, i, complete);
        nest_end(b, list);
        put(b, IFLA_QDISC, "mq", 3);

        header.nlmsg_len = (uint32_t) b->size;
        memcpy(b->bytes, &header, sizeof(header));
        return (struct nlmsghdr *) b->bytes;
}

START_TEST(test_all_attributes)
{
        struct builder b;
        struct nlmsghdr *header = build(&b, 7, true);
        struct pf_vf_attributes vf;

        ck_assert_int_eq(vf_message_parse(header, 5, &vf), 0);
        ck_assert_uint_eq(vf.valid,
                          PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST | PF_VF_LINK_STATE | PF_VF_RATE);
        ck_assert_mem_eq(vf.mac.bytes, "\x52\x54\x00\x00\x00\x05", 6);
        ck_assert_uint_eq(vf.vlan, 7);
        ck_assert_uint_eq(vf.qos, 3);
        ck_assert_uint_eq(vf.vlan_protocol, 0x88a8);
        ck_assert(vf.spoof_check);
        ck_assert(vf.trust);
        ck_assert_uint_eq(vf.link_state, IFLA_VF_LINK_STATE_ENABLE);
        ck_assert_uint_eq(vf.min_rate, 100);
        ck_assert_uint_eq(vf.max_rate, 200);
        free(b.bytes);
}
END_TEST

START_TEST(test_what_the_driver_does_not_know_is_not_valid)
{
        struct builder b;
        struct nlmsghdr *header = build(&b, 1, false);
        struct pf_vf_attributes vf;

        ck_assert_int_eq(vf_message_parse(header, 0, &vf), 0);
        ck_assert_uint_eq(vf.valid, PF_VF_MAC | PF_VF_VLAN | PF_VF_LINK_STATE | PF_VF_RATE);
        ck_assert_uint_eq(vf.vlan_protocol, 0x8100);
        free(b.bytes);
}
END_TEST

START_TEST(test_missing)
{
        struct builder b;
        struct nlmsghdr *header = build(&b, 3, true);
        struct pf_vf_attributes vf;

        ck_assert_int_eq(vf_message_parse(header, 3, &vf), -ENODATA);
        free(b.bytes);
        header = build(&b, 0, true);
        ck_assert_int_eq(vf_message_parse(header, 0, &vf), -ENODATA);
        header->nlmsg_type = RTM_NEWNEIGH;
        ck_assert_int_eq(vf_message_parse(header, 0, &vf), -EBADMSG);
        free(b.bytes);
}
END_TEST

/* The list's length has 16 bits; 1000 VFs overflow it several times. */
START_TEST(test_more_vfs_than_the_length_can_say)
{
        static const unsigned counts[] = { 200, 221, 222, 256, 400, 1000 };

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                struct builder b;
                struct nlmsghdr *header = build(&b, counts[i], true);

                for (unsigned index = 0; index < counts[i]; index++) {
                        struct pf_vf_attributes vf;

                        ck_assert_msg(vf_message_parse(header, index, &vf) == 0, "VF %u of %u", index, counts[i]);
                        ck_assert_uint_eq(vf.mac.bytes[4], index >> 8);
                        ck_assert_uint_eq(vf.mac.bytes[5], index & 0xff);
                }
                free(b.bytes);
        }
}
END_TEST

/* A list whose overflown length is 0 to 3, less than an attribute's own header. */
START_TEST(test_length_that_overflows_to_nothing)
{
        struct builder b;
        struct nlmsghdr *header = build(&b, 400, true);
        struct nlattr *attribute = (struct nlattr *) (b.bytes + NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct ifinfomsg)));
        struct pf_vf_attributes vf;

        while (attribute->nla_type != IFLA_VFINFO_LIST)
                attribute = (struct nlattr *) ((uint8_t *) attribute + NLA_ALIGN(attribute->nla_len));
        for (int length = 0; length < NLA_HDRLEN; length++) {
                attribute->nla_len = (uint16_t) length;
                ck_assert_int_eq(vf_message_parse(header, 399, &vf), 0);
        }
        free(b.bytes);
}
END_TEST

static void assert_statistics(const struct pf_vf_statistics *statistics, unsigned index)
{
        ck_assert_uint_eq(statistics->received_packets, index * 100 + 1);
        ck_assert_uint_eq(statistics->sent_packets, index * 100 + 2);
        ck_assert_uint_eq(statistics->received_bytes, index * 100 + 3);
        ck_assert_uint_eq(statistics->sent_bytes, index * 100 + 4);
        ck_assert_uint_eq(statistics->broadcast, index * 100 + 5);
        ck_assert_uint_eq(statistics->multicast, index * 100 + 6);
        ck_assert_uint_eq(statistics->received_dropped, index * 100 + 7);
        ck_assert_uint_eq(statistics->sent_dropped, index * 100 + 8);
}

/* As many as PCI allows a card with 8-bit numbers: more than the list's length can say, with counters and without. */
START_TEST(test_all_of_256)
{
        for (int with_counters = 0; with_counters < 2; with_counters++) {
                struct pf_vf_attributes *vfs = NULL;
                struct pf_vf_statistics *statistics = NULL;
                struct builder b;
                struct nlmsghdr *header = build(&b, 256, with_counters);
                size_t count = 0;

                ck_assert_msg(with_counters == 0 || header->nlmsg_len > UINT16_MAX, "%u bytes", header->nlmsg_len);
                ck_assert_int_eq(vf_message_parse_all(header, 256, &vfs, &count), 0);
                ck_assert_uint_eq(count, 256);
                for (unsigned i = 0; i < 256; i++) {
                        ck_assert_uint_eq(vfs[i].mac.bytes[5], i);
                        ck_assert_uint_ne(vfs[i].valid & PF_VF_MAC, 0);
                        ck_assert_int_eq(!!(vfs[i].valid & PF_VF_TRUST), with_counters);
                }
                free(vfs);
                ck_assert_int_eq(vf_message_parse_all_statistics(header, 256, &statistics, &count), 0);
                ck_assert_uint_eq(count, with_counters ? 256 : 0);
                for (unsigned i = 0; i < count; i++) {
                        struct pf_vf_statistics one;

                        assert_statistics(&statistics[i], i);
                        ck_assert_int_eq(vf_message_parse_statistics(header, i, &one), 0);
                        assert_statistics(&one, i);
                }
                free(statistics);
                free(b.bytes);
        }
}
END_TEST

/* A driver (or a forged message) that numbers its VFs beyond what the card can have. */
START_TEST(test_numbers_beyond_the_limit)
{
        struct pf_vf_attributes *vfs = NULL;
        struct pf_vf_statistics one;
        struct builder b;
        struct nlmsghdr *header = build(&b, 10, true);
        size_t count = 9;

        ck_assert_int_eq(vf_message_parse_all(header, 7, &vfs, &count), 0);
        ck_assert_uint_eq(count, 7);
        free(vfs);
        ck_assert_int_eq(vf_message_parse_all(header, 0, &vfs, &count), 0);
        ck_assert_uint_eq(count, 0);
        free(vfs);
        ck_assert_int_eq(vf_message_parse_statistics(header, 10, &one), -ENODATA);
        header->nlmsg_type = RTM_NEWNEIGH;
        ck_assert_int_eq(vf_message_parse_all(header, 7, &vfs, &count), -EBADMSG);
        free(b.bytes);
}
END_TEST

START_TEST(test_what_the_driver_can_do_is_learned)
{
        struct pf pf = { .name = "eth0" };
        struct pf_vf_attributes silent = { .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_LINK_STATE | PF_VF_RATE };
        struct pf_vf_attributes open = { .valid = PF_VF_SPOOF_CHECK | PF_VF_TRUST };

        vf_attributes_learn_from_read(&pf, &open);
        ck_assert_uint_eq(pf.cannot_set, PF_VF_QUERY_RSS);
        ck_assert_uint_eq(pf.can_set, 0);
        ck_assert_str_eq(pf.refusals[6], "the driver does not report it");

        /* A refused value is no refusal of the attribute, and a refused attribute stays one until it is set. */
        vf_attributes_learn_from_write(&pf, PF_VF_RATE, -EINVAL, "Invalid argument");
        vf_attributes_learn_from_write(&pf, PF_VF_LINK_STATE, -EOPNOTSUPP, "not on this card");
        ck_assert_uint_eq(pf.cannot_set, PF_VF_QUERY_RSS | PF_VF_LINK_STATE);
        ck_assert_str_eq(pf.refusals[4], "not on this card");
        vf_attributes_learn_from_write(&pf, PF_VF_LINK_STATE, 0, "");
        ck_assert_uint_eq(pf.cannot_set, PF_VF_QUERY_RSS);
        ck_assert_uint_eq(pf.can_set, PF_VF_LINK_STATE);
        ck_assert_str_eq(pf.refusals[4], "");

        /* What was set once can be set, even if it is not reported. */
        vf_attributes_learn_from_write(&pf, PF_VF_TRUST, 0, "");
        vf_attributes_learn_from_read(&pf, &silent);
        ck_assert_uint_eq(pf.cannot_set, PF_VF_QUERY_RSS | PF_VF_SPOOF_CHECK);
        ck_assert_uint_eq(pf.can_set, PF_VF_LINK_STATE | PF_VF_TRUST);
}
END_TEST

/* Cut anywhere, or with any one byte wrong, a message is not read beyond its end (the sanitizers watch). */
START_TEST(test_broken_messages)
{
        struct builder b;
        struct nlmsghdr *header = build(&b, 3, true);
        size_t size = b.size;

        for (size_t cut = 0; cut <= size; cut++) {
                struct nlmsghdr *copy = malloc(size);
                struct nlmsghdr *exact;
                struct pf_vf_attributes vf;
                struct pf_vf_statistics statistics;

                memcpy(copy, header, size);
                copy->nlmsg_len = (uint32_t) cut;
                exact = realloc(copy, cut < sizeof(*copy) ? sizeof(*copy) : cut);
                (void) vf_message_parse(exact, 2, &vf);
                (void) vf_message_parse_statistics(exact, 2, &statistics);
                free(exact);
        }
        for (size_t position = NLMSG_HDRLEN; position < size; position++)
                for (unsigned value = 0; value < 256; value += 17) {
                        uint8_t *copy = malloc(size);
                        struct pf_vf_attributes vf;
                        struct pf_vf_statistics statistics;

                        memcpy(copy, header, size);
                        copy[position] = (uint8_t) value;
                        (void) vf_message_parse((struct nlmsghdr *) copy, 2, &vf);
                        (void) vf_message_parse_statistics((struct nlmsghdr *) copy, 2, &statistics);
                        free(copy);
                }
        free(b.bytes);
}
END_TEST

START_TEST(test_names)
{
        char buffer[64];
        char small[8];

        ck_assert_str_eq(pf_attribute_names(0, buffer, sizeof(buffer)), "");
        ck_assert_str_eq(pf_attribute_names(PF_VF_MAC, buffer, sizeof(buffer)), "MAC");
        ck_assert_str_eq(pf_attribute_names(PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK, buffer, sizeof(buffer)),
                         "VLAN, spoof check, MAC");
        ck_assert_str_eq(pf_attribute_names(UINT32_MAX, small, sizeof(small)), "trust, ");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("VF attributes");
        TCase *test_case = tcase_create("parse");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(test_case, 60);
        tcase_add_test(test_case, test_all_attributes);
        tcase_add_test(test_case, test_what_the_driver_does_not_know_is_not_valid);
        tcase_add_test(test_case, test_missing);
        tcase_add_test(test_case, test_more_vfs_than_the_length_can_say);
        tcase_add_test(test_case, test_length_that_overflows_to_nothing);
        tcase_add_test(test_case, test_all_of_256);
        tcase_add_test(test_case, test_numbers_beyond_the_limit);
        tcase_add_test(test_case, test_what_the_driver_can_do_is_learned);
        tcase_add_test(test_case, test_broken_messages);
        tcase_add_test(test_case, test_names);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
