/* SPDX-License-Identifier: Apache-2.0 */

/* Reading VFs out of RTM_NEWLINK messages, built here as the kernel builds them. */

#include "vswitch/vf_attributes.h"

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
        uint8_t filler[80] = { 0 };
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
                put(b, IFLA_VF_STATS, filler, sizeof(filler));
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

        ck_assert_int_eq(vf_attributes_parse(header, 5, &vf), 0);
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

        ck_assert_int_eq(vf_attributes_parse(header, 0, &vf), 0);
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

        ck_assert_int_eq(vf_attributes_parse(header, 3, &vf), -ENODATA);
        free(b.bytes);
        header = build(&b, 0, true);
        ck_assert_int_eq(vf_attributes_parse(header, 0, &vf), -ENODATA);
        header->nlmsg_type = RTM_NEWNEIGH;
        ck_assert_int_eq(vf_attributes_parse(header, 0, &vf), -EBADMSG);
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

                        ck_assert_msg(vf_attributes_parse(header, index, &vf) == 0, "VF %u of %u", index, counts[i]);
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
                ck_assert_int_eq(vf_attributes_parse(header, 399, &vf), 0);
        }
        free(b.bytes);
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

                memcpy(copy, header, size);
                copy->nlmsg_len = (uint32_t) cut;
                exact = realloc(copy, cut < sizeof(*copy) ? sizeof(*copy) : cut);
                (void) vf_attributes_parse(exact, 2, &vf);
                free(exact);
        }
        for (size_t position = NLMSG_HDRLEN; position < size; position++)
                for (unsigned value = 0; value < 256; value += 17) {
                        uint8_t *copy = malloc(size);
                        struct pf_vf_attributes vf;

                        memcpy(copy, header, size);
                        copy[position] = (uint8_t) value;
                        (void) vf_attributes_parse((struct nlmsghdr *) copy, 2, &vf);
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
        ck_assert_str_eq(pf_attribute_names(UINT32_MAX, small, sizeof(small)), "VLAN, s");
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
        tcase_add_test(test_case, test_broken_messages);
        tcase_add_test(test_case, test_names);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
