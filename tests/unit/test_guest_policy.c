/* SPDX-License-Identifier: Apache-2.0 */

/* What a NIC may do, as the domain's XML says it: libvirt's own elements, our <policy> in <metadata>, and what is said
 * about every mistake in it. */

#include "src/guests/guests.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct guest *guest;

/* A guest with two NICs: ua-net0, inside which is `inside`, and ua-net1. */
static void parse(const char *metadata, const char *inside)
{
        struct vswitch_error error = { 0 };
        char xml[4096];
        int r;

        snprintf(xml, sizeof(xml),
                 "<domain><name>g1</name><metadata>\n%s</metadata><devices>"
                 "<interface type='bridge'><alias name='ua-net0'/>%s</interface>"
                 "<interface type='bridge'><alias name='ua-net1'/></interface></devices></domain>",
                 metadata, inside);
        guest = NULL;
        r = guest_parse_xml(xml, &guest, &error);
        ck_assert_msg(r == 0, "%s", error.text);
        ck_assert_uint_eq(guest->nics_count, 2);
}

#define POLICY(nics) "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1'>" nics "</vswitch:policy>"
#define ALL_FIELDS                                                                                                     \
        (GUEST_POLICY_WEIGHT | GUEST_POLICY_VLAN | GUEST_POLICY_SPOOF_CHECK | GUEST_POLICY_TRUST |                     \
         GUEST_POLICY_MIN_RATE | GUEST_POLICY_MAX_RATE | GUEST_POLICY_PREFER_VF)

/* ---- libvirt's own ---- */

START_TEST(without_any_policy_nothing_is_said)
{
        parse("", "");
        ck_assert(!guest->nics[0].link_down && !guest->nics[0].filtered && !guest->nics[0].isolated);
        ck_assert(!guest->nics[0].vlan_trunk && !guest->nics[0].limits_inbound);
        ck_assert_uint_eq(guest->nics[0].vlan, 0);
        ck_assert_uint_eq(guest->nics[0].outbound_rate, 0);
        ck_assert_uint_eq(guest->nics[0].policy_given, 0);
        ck_assert_str_eq(guest->nics[0].policy_error, "");
        guest_free(guest);
}
END_TEST

START_TEST(libvirts_elements_are_read)
{
        parse("", "<link state='down'/><filterref filter='clean-traffic'/><port isolated='yes'/>"
                  "<vlan><tag id='42'/></vlan>"
                  "<bandwidth><inbound average='1000'/><outbound average='12501' peak='2'/></bandwidth>");
        ck_assert(guest->nics[0].link_down && guest->nics[0].filtered && guest->nics[0].isolated);
        ck_assert_uint_eq(guest->nics[0].vlan, 42);
        ck_assert(!guest->nics[0].vlan_trunk);
        ck_assert(guest->nics[0].limits_inbound);
        ck_assert_uint_eq(guest->nics[0].outbound_rate, 101);
        ck_assert(!guest->nics[1].link_down && !guest->nics[1].filtered && !guest->nics[1].isolated);
        guest_free(guest);
}
END_TEST

START_TEST(a_network_s_settings_are_in_actual)
{
        parse("", "<actual type='bridge'><source bridge='br0'/><vlan><tag id='7'/></vlan><port isolated='yes'/>"
                  "<bandwidth><outbound average='125'/></bandwidth></actual>");
        ck_assert_uint_eq(guest->nics[0].vlan, 7);
        ck_assert(guest->nics[0].isolated);
        ck_assert_uint_eq(guest->nics[0].outbound_rate, 1);
        guest_free(guest);
}
END_TEST

static const char *const trunks[] = {
        "<vlan trunk='yes'><tag id='42'/></vlan>",
        "<vlan><tag id='42'/><tag id='43'/></vlan>",
        "<vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='43'/></vlan>",
};

START_TEST(trunks_are_recognised)
{
        parse("", trunks[_i]);
        ck_assert(guest->nics[0].vlan_trunk);
        ck_assert_uint_eq(guest->nics[0].vlan, 0);
        guest_free(guest);
}
END_TEST

START_TEST(what_limits_nothing_is_no_limit)
{
        parse("", "<link state='up'/><port isolated='no'/><bandwidth><inbound floor='100'/></bandwidth>");
        ck_assert(!guest->nics[0].limits_inbound && !guest->nics[0].link_down && !guest->nics[0].isolated);
        guest_free(guest);
}
END_TEST

/* ---- ours ---- */

START_TEST(everything_can_be_said)
{
        const struct port_policy *policy;

        parse(POLICY("<vswitch:nic alias='ua-net0' weight='80' vlan='20' vlan-qos='3' vlan-protocol='802.1ad' "
                     "spoof-check='no' trust='yes' min-rate='100' max-rate='1000' prefer-vf='yes'/>"),
              "");
        policy = &guest->nics[0].policy;
        ck_assert_str_eq(guest->nics[0].policy_error, "");
        ck_assert_uint_eq(guest->nics[0].policy_given, ALL_FIELDS);
        ck_assert_uint_eq(policy->weight, 80);
        ck_assert_uint_eq(policy->vlan, 20);
        ck_assert_uint_eq(policy->qos, 3);
        ck_assert_uint_eq(policy->vlan_protocol, 0x88a8);
        ck_assert_int_eq(policy->spoof_check, PORT_POLICY_NO);
        ck_assert(policy->trust && policy->prefer_vf);
        ck_assert_uint_eq(policy->min_rate, 100);
        ck_assert_uint_eq(policy->max_rate, 1000);
        ck_assert_uint_eq(guest->nics[1].policy_given, 0);
        guest_free(guest);
}
END_TEST

START_TEST(a_nic_s_own_words_win_over_those_for_all)
{
        /* As `virsh metadata --set` writes it: everything in the namespace; and as a hand writes it. */
        parse(POLICY("<nic weight='10' trust='yes'/><vswitch:nic alias='ua-net1' weight='90' vlan='5'/>"), "");
        ck_assert_uint_eq(guest->nics[0].policy_given, GUEST_POLICY_WEIGHT | GUEST_POLICY_TRUST);
        ck_assert_uint_eq(guest->nics[0].policy.weight, 10);
        ck_assert_uint_eq(guest->nics[1].policy_given, GUEST_POLICY_WEIGHT | GUEST_POLICY_TRUST | GUEST_POLICY_VLAN);
        ck_assert_uint_eq(guest->nics[1].policy.weight, 90);
        ck_assert(guest->nics[1].policy.trust);
        ck_assert_uint_eq(guest->nics[1].policy.vlan, 5);
        ck_assert_uint_eq(guest->nics[1].policy.vlan_protocol, 0x8100);
        guest_free(guest);
}
END_TEST

START_TEST(other_peoples_metadata_is_left_alone)
{
        parse("<app:policy xmlns:app='http://example.org/policy'><app:nic alias='nobody' weight='x'/></app:policy>",
              "");
        ck_assert_str_eq(guest->nics[0].policy_error, "");
        ck_assert_uint_eq(guest->nics[0].policy_given, 0);
        guest_free(guest);
}
END_TEST

#define NET0 "<nic alias='ua-net0' "

static const struct {
        const char *metadata;
        const char *net0, *net1; /* what is said about each; "" when it is not concerned */
} mistakes[] = {
        { POLICY(NET0 "weight='101'/>"), "line 2, <nic>: weight='101': write a number from 0 (no VF) to 100", "" },
        { POLICY(NET0 "weight=''/>"), "line 2, <nic>: weight='': write a number from 0 (no VF) to 100", "" },
        { POLICY(NET0 "weight='-1'/>"), "line 2, <nic>: weight='-1': write a number from 0 (no VF) to 100", "" },
        { POLICY("\n" NET0 "vlan='4095'/>"),
          "line 3, <nic>: vlan='4095': write a number from 1 to 4094, or 0 for that of the tap's port", "" },
        { POLICY(NET0 "vlan='2' vlan-qos='8'/>"), "line 2, <nic>: vlan-qos='8': write a number from 0 to 7", "" },
        { POLICY(NET0 "vlan='2' vlan-protocol='vxlan'/>"),
          "line 2, <nic>: vlan-protocol='vxlan': write 802.1Q or 802.1ad", "" },
        { POLICY(NET0 "vlan-qos='3'/>"), "line 2, <nic>: vlan-qos needs a vlan", "" },
        { POLICY(NET0 "spoof-check='on'/>"), "line 2, <nic>: spoof-check='on': write yes, no or auto", "" },
        { POLICY(NET0 "trust='true'/>"), "line 2, <nic>: trust='true': write yes or no", "" },
        { POLICY(NET0 "prefer-vf='1'/>"), "line 2, <nic>: prefer-vf='1': write yes or no", "" },
        { POLICY(NET0 "max-rate='1G'/>"), "line 2, <nic>: max-rate='1G': write Mbit/s from 1 to 1000000, or 0 for none",
          "" },
        { POLICY(NET0 "max-rate='99999999999999999999'/>"),
          "line 2, <nic>: max-rate='99999999999999999999': write Mbit/s from 1 to 1000000, or 0 for none", "" },
        { POLICY(NET0 "min-rate='200' max-rate='100'/>"), "line 2, <nic>: min-rate='200' is more than max-rate='100'",
          "" },
        { POLICY(NET0 "wait='80'/>"),
          "line 2, <nic>: no attribute 'wait'; known: alias, weight, vlan, vlan-qos, vlan-protocol, spoof-check, "
          "trust, "
          "min-rate, max-rate, prefer-vf",
          "" },
        { POLICY(NET0 "weight='1'/>" NET0 "weight='2'/>"), "line 2, <nic>: the second one for the same NIC: leave one",
          "" },
        { POLICY(NET0 "><weight>80</weight></nic>"), "line 2, <nic>: nothing may be inside it", "" },
        /* The first mistake of an element is told, and nothing of the element is used. */
        { POLICY(NET0 "vlan='20' trust='maybe'/>"), "line 2, <nic>: trust='maybe': write yes or no", "" },
        /* For all NICs. */
        { POLICY("<nic weight='heavy'/>"), "line 2, <nic>: weight='heavy': write a number from 0 (no VF) to 100",
          "line 2, <nic>: weight='heavy': write a number from 0 (no VF) to 100" },
        { POLICY("<nic weight='1'/><nic weight='2'/>"), "line 2, <nic>: the second one for the same NICs: leave one",
          "line 2, <nic>: the second one for the same NICs: leave one" },
        { POLICY("<port alias='ua-net0'/>"), "line 2, <port>: not known inside <policy>: write <nic>",
          "line 2, <port>: not known inside <policy>: write <nic>" },
        { "<policy xmlns='urn:vswitch:policy:1' weight='3'/>",
          "line 2, <policy>: no attribute 'weight': they belong to <nic>",
          "line 2, <policy>: no attribute 'weight': they belong to <nic>" },
        { "<policy xmlns='urn:vswitch:policy:2'/>",
          "line 2, <policy>: namespace urn:vswitch:policy:2: this vswitch reads urn:vswitch:policy:1",
          "line 2, <policy>: namespace urn:vswitch:policy:2: this vswitch reads urn:vswitch:policy:1" },
        { "<polizy xmlns='urn:vswitch:policy:1'/>", "line 2, <polizy>: write <policy>",
          "line 2, <polizy>: write <policy>" },
        /* Whom it was meant for cannot be known: all that have no element of their own. */
        { POLICY(NET0 "weight='1'/><nic alias='ua-net7' vlan='3'/>"), "",
          "line 2, <nic>: alias='ua-net7': the guest has no NIC of that alias" },
        { POLICY(NET0 "weight='1'/><nic alias='net1' vlan='3'/>"), "",
          "line 2, <nic>: alias='net1': name an alias that begins with ua- (others change with the NICs' order)" },
};

static void expect_mistake(const struct guest_nic *nic, const char *expected)
{
        static const struct port_policy nothing;

        ck_assert_str_eq(nic->policy_error, expected);
        if (!expected[0])
                return;
        ck_assert_uint_eq(nic->policy_given, 0);
        ck_assert_mem_eq(&nic->policy, &nothing, sizeof(nothing));
}

START_TEST(mistakes_are_told_with_their_place)
{
        parse(mistakes[_i].metadata, "");
        expect_mistake(&guest->nics[0], mistakes[_i].net0);
        expect_mistake(&guest->nics[1], mistakes[_i].net1);
        guest_free(guest);
}
END_TEST

START_TEST(a_mistake_in_one_element_leaves_the_other_nic_its_own)
{
        parse(POLICY(NET0 "vlan='bad'/><nic alias='ua-net1' vlan='9'/>"), "");
        ck_assert(guest->nics[0].policy_error[0]);
        ck_assert_str_eq(guest->nics[1].policy_error, "");
        ck_assert_uint_eq(guest->nics[1].policy.vlan, 9);
        guest_free(guest);
}
END_TEST

/* Text as long as anybody likes stays within the sentence's room. */
START_TEST(long_words_are_cut)
{
        char metadata[2048], word[900];

        memset(word, 'x', sizeof(word) - 1);
        word[sizeof(word) - 1] = '\0';
        snprintf(metadata, sizeof(metadata), POLICY("<%s %s='%s'/>"), _i ? word : "nic", _i ? "a" : "trust", word);
        parse(metadata, "");
        ck_assert(guest->nics[0].policy_error[0]);
        ck_assert_uint_lt(strlen(guest->nics[0].policy_error), sizeof(guest->nics[0].policy_error));
        guest_free(guest);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("guest policy");
        TCase *tests = tcase_create("guest policy");
        SRunner *runner;
        int failed;

        tcase_add_test(tests, without_any_policy_nothing_is_said);
        tcase_add_test(tests, libvirts_elements_are_read);
        tcase_add_test(tests, a_network_s_settings_are_in_actual);
        tcase_add_loop_test(tests, trunks_are_recognised, 0, sizeof(trunks) / sizeof(trunks[0]));
        tcase_add_test(tests, what_limits_nothing_is_no_limit);
        tcase_add_test(tests, everything_can_be_said);
        tcase_add_test(tests, a_nic_s_own_words_win_over_those_for_all);
        tcase_add_test(tests, other_peoples_metadata_is_left_alone);
        tcase_add_loop_test(tests, mistakes_are_told_with_their_place, 0, sizeof(mistakes) / sizeof(mistakes[0]));
        tcase_add_test(tests, a_mistake_in_one_element_leaves_the_other_nic_its_own);
        tcase_add_loop_test(tests, long_words_are_cut, 0, 2);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
