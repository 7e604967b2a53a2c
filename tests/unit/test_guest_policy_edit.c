/* SPDX-License-Identifier: Apache-2.0 */

/* Changing a NIC's policy in the domain's XML: what is written, what stays, and what is not written. */

#include "src/guests/guest_policy_edit.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OURS(content)  "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1'>" content "</vswitch:policy>"
#define TWO_NICS       "<interface type='bridge'><alias name='ua-net0'/></interface>" ONE_NIC
#define ONE_NIC        "<interface type='bridge'><alias name='ua-net1'/></interface>"
#define NAMELESS_NIC   "<interface type='bridge'><alias name='net0'/></interface>"
#define SOMEBODY_ELSES "<app:policy xmlns:app='http://example.org/'><app:nic weight='x'/></app:policy>"

static struct guest_policy_plan plan;
static struct vswitch_error error;

static const char *xml_of(const char *metadata, const char *nics)
{
        static char xml[4][4096];
        static unsigned turn;
        char *text = xml[turn++ % 4];

        snprintf(text, sizeof(xml[0]), "<domain><name>g1</name><metadata>\n%s</metadata><devices>%s</devices></domain>",
                 metadata, nics);
        return text;
}

/* `changes`: "weight=80 vlan=" */
static int make_plan(const char *live, const char *config, const char *alias, const char *changes, uint32_t flags)
{
        struct guest_policy_change list[16];
        struct guest_policy_wish wish = { .alias = alias, .changes = list, .flags = flags };
        char copy[512];
        int r;

        snprintf(copy, sizeof(copy), "%s", changes);
        for (char *rest = copy, *key; (key = strsep(&rest, " "));) {
                char *value = strchr(key, '=');

                if (!value)
                        continue;
                *value = '\0';
                list[wish.changes_count++] = (struct guest_policy_change){ key, value + 1 };
        }
        guest_policy_plan_clear(&plan);
        error.text[0] = '\0';
        r = guest_policy_make_plan(live, config, &wish, &plan, &error);
        ck_assert_msg(r <= 0 && (r == 0) == (error.text[0] == '\0'), "%d %s", r, error.text);
        return r;
}

static void expect_done(const char *metadata, const char *changes, uint32_t flags, const char *element)
{
        int r = make_plan(xml_of(metadata, TWO_NICS), NULL, "ua-net0", changes, flags);

        ck_assert_msg(r == 0, "%s", error.text);
        ck_assert(plan.live.wanted && !plan.config.wanted);
        if (element)
                ck_assert_str_eq(plan.live.element, element);
        else
                ck_assert_ptr_null(plan.live.element);
}

/* What the reader makes of what is written. */
static const struct guest_nic *read_back(const char *alias)
{
        static struct guest *guest;
        const struct guest_nic *found = NULL;

        guest_free(guest);
        ck_assert_int_eq(guest_parse_xml(xml_of(plan.live.text, TWO_NICS), &guest, &error), 0);
        for (size_t i = 0; i < guest->nics_count; i++)
                if (strcmp(guest->nics[i].alias, alias) == 0)
                        found = &guest->nics[i];
        ck_assert_ptr_nonnull(found);
        return found;
}

static const struct {
        const char *metadata, *changes;
        const char *element; /* NULL: none is left */
} edits[] = {
        { "", "weight=80", "<policy><nic alias=\"ua-net0\" weight=\"80\"/></policy>" },
        { SOMEBODY_ELSES, "weight=0", "<policy><nic alias=\"ua-net0\" weight=\"0\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weight='80' vlan='7'/>"),
          "weight=", "<policy><nic alias=\"ua-net0\" vlan=\"7\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weight='80'/>"), "weight=", NULL },
        { OURS("<vswitch:nic alias='ua-net0' weight='80'/>"), "weight= vlan=", NULL },
        { "", "weight=", NULL },
        { OURS("\n  <nic weight='10'/>\n  <!-- why -->\n  <vswitch:nic alias='ua-net1' weight='90'/>\n"),
          "vlan=5 vlan-qos=2 vlan-protocol=802.1ad",
          "<policy><nic weight=\"10\"/><!-- why --><nic alias=\"ua-net1\" weight=\"90\"/>"
          "<nic alias=\"ua-net0\" vlan=\"5\" vlan-qos=\"2\" vlan-protocol=\"802.1ad\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weight='80'/><vswitch:nic alias='ua-net1' weight='90'/>"),
          "weight= trust=yes spoof-check=no min-rate=10 max-rate=20 prefer-vf=yes",
          "<policy><nic alias=\"ua-net0\" trust=\"yes\" spoof-check=\"no\" min-rate=\"10\" max-rate=\"20\" "
          "prefer-vf=\"yes\"/><nic alias=\"ua-net1\" weight=\"90\"/></policy>" },
        /* A mistake that the change mends. */
        { OURS("<vswitch:nic alias='ua-net0' weight='heavy'/>"), "weight=3",
          "<policy><nic alias=\"ua-net0\" weight=\"3\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weight='heavy' vlan='3'/>"),
          "weight=", "<policy><nic alias=\"ua-net0\" vlan=\"3\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weigth='3'/>"), "weigth= weight=3",
          "<policy><nic alias=\"ua-net0\" weight=\"3\"/></policy>" },
        /* A mistake in another NIC's element is not this one's. */
        { OURS("<vswitch:nic alias='ua-net1' weight='heavy'/>"), "weight=3",
          "<policy><nic alias=\"ua-net1\" weight=\"heavy\"/><nic alias=\"ua-net0\" weight=\"3\"/></policy>" },
};

START_TEST(what_is_wished_is_written)
{
        expect_done(edits[_i].metadata, edits[_i].changes, 0, edits[_i].element);
        ck_assert(plan.live.changed == (edits[_i].element != NULL || edits[_i].metadata[0]));
        ck_assert_str_eq(plan.note, "");
        ck_assert_str_eq(read_back("ua-net0")->policy_error, "");
        /* The second time there is nothing to do. */
        if (plan.live.element) {
                char first[1024];

                snprintf(first, sizeof(first), "%s", plan.live.text);
                expect_done(first, edits[_i].changes, 0, edits[_i].element);
                ck_assert(!plan.live.changed);
                ck_assert_str_eq(plan.live.text, first);
        }
        guest_policy_plan_clear(&plan);
}
END_TEST

START_TEST(everything_arrives)
{
        const struct guest_nic *nic;

        expect_done(OURS("<vswitch:nic trust='yes'/>"),
                    "weight=7 vlan=20 vlan-qos=3 vlan-protocol=802.1Q spoof-check=yes min-rate=1 max-rate=2 "
                    "prefer-vf=no",
                    0,
                    "<policy><nic trust=\"yes\"/><nic alias=\"ua-net0\" weight=\"7\" vlan=\"20\" vlan-qos=\"3\" "
                    "vlan-protocol=\"802.1Q\" spoof-check=\"yes\" min-rate=\"1\" max-rate=\"2\" prefer-vf=\"no\"/>"
                    "</policy>");
        nic = read_back("ua-net0");
        ck_assert_uint_eq(nic->policy.weight, 7);
        ck_assert_uint_eq(nic->policy.vlan, 20);
        ck_assert_uint_eq(nic->policy.qos, 3);
        ck_assert_int_eq(nic->policy.spoof_check, PORT_POLICY_YES);
        ck_assert(nic->policy.trust && !nic->policy.prefer_vf);
        ck_assert_uint_eq(nic->policy.min_rate, 1);
        ck_assert_uint_eq(nic->policy.max_rate, 2);
        ck_assert_str_eq(plan.live.text, "<vswitch:policy xmlns:vswitch=\"urn:vswitch:policy:1\">\n"
                                         "  <vswitch:nic trust=\"yes\"/>\n"
                                         "  <vswitch:nic alias=\"ua-net0\" weight=\"7\" vlan=\"20\" vlan-qos=\"3\" "
                                         "vlan-protocol=\"802.1Q\" spoof-check=\"yes\" min-rate=\"1\" max-rate=\"2\" "
                                         "prefer-vf=\"no\"/>\n</vswitch:policy>");
        guest_policy_plan_clear(&plan);
}
END_TEST

/* Of a newer version: it stays, and the answer says what it means here. */
START_TEST(what_is_not_known_stays)
{
        expect_done(OURS("<vswitch:nic alias='ua-net0' weight='5' colour='red' x:depth='3' xmlns:x='urn:x'/>"),
                    "weight=6", 0,
                    "<policy><nic xmlns:x=\"urn:x\" alias=\"ua-net0\" weight=\"6\" colour=\"red\" x:depth=\"3\"/>"
                    "</policy>");
        ck_assert_ptr_nonnull(strstr(plan.note, "no attribute 'colour'"));
        expect_done(OURS("<vswitch:nic alias='ua-net0' weight='5' colour='red'/>"), "colour=", 0,
                    "<policy><nic alias=\"ua-net0\" weight=\"5\"/></policy>");
        ck_assert_str_eq(plan.note, "");
        guest_policy_plan_clear(&plan);
}
END_TEST

static const struct {
        const char *changes;
        const char *sentence;
} mistakes[] = {
        { "weight=101", "weight='101': write a number from 0 (no VF) to 100" },
        { "weight=-1", "weight='-1': write a number from 0 (no VF) to 100" },
        { "vlan=4095", "vlan='4095': write a number from 1 to 4094, or 0 for that of the tap's port" },
        { "vlan=3 vlan-qos=8", "vlan-qos='8': write a number from 0 to 7" },
        { "vlan=3 vlan-protocol=qinq", "vlan-protocol='qinq': write 802.1Q or 802.1ad" },
        { "spoof-check=on", "spoof-check='on': write yes, no or auto" },
        { "trust=true", "trust='true': write yes or no" },
        { "prefer-vf=1", "prefer-vf='1': write yes or no" },
        { "min-rate=fast", "min-rate='fast': write Mbit/s from 1 to 1000000, or 0 for none" },
        { "max-rate=1000001", "max-rate='1000001': write Mbit/s from 1 to 1000000, or 0 for none" },
        { "colour=red",
          "there is no 'colour'; there are: weight, vlan, vlan-qos, vlan-protocol, spoof-check, trust, min-rate, "
          "max-rate, prefer-vf" },
        { "alias=", "there is no 'alias'; there are: weight, vlan, vlan-qos, vlan-protocol, spoof-check, trust, "
                    "min-rate, max-rate, prefer-vf" },
        { "x>y=", "there is no 'x>y'; there are: weight, vlan, vlan-qos, vlan-protocol, spoof-check, trust, min-rate, "
                  "max-rate, prefer-vf" },
        { "weight=1 weight=2", "weight is said twice" },
        /* What only shows in the whole. */
        { "vlan-qos=3", "vlan-qos needs a vlan" },
        { "min-rate=3 max-rate=2", "min-rate='3' is more than max-rate='2'" },
};

START_TEST(mistakes_are_told_with_what_is_allowed)
{
        const char *live = xml_of(OURS("<vswitch:nic alias='ua-net1' weight='3'/>"), TWO_NICS);

        ck_assert_int_eq(make_plan(live, NULL, "ua-net0", mistakes[_i].changes, 0), -EINVAL);
        ck_assert_str_eq(error.text, mistakes[_i].sentence);
        ck_assert_int_eq(make_plan(live, NULL, "ua-net0", mistakes[_i].changes, GUEST_SET_REPLACE), -EINVAL);
}
END_TEST

/* `changes` do not mend it; --replace leaves `element`. */
static const struct {
        const char *metadata, *says, *element;
} unreadable[] = {
        { OURS("<vswitch:nic alias='ua-net0' weight='heavy' vlan='3'/><vswitch:nic alias='ua-net1' weight='2'/>"),
          "weight='heavy'",
          "<policy><nic alias=\"ua-net1\" weight=\"2\"/><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weight='1'/><vswitch:nic alias='ua-net0' weight='2'/>"),
          "the second one for the same NIC", "<policy><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { OURS("<vswitch:nic weight='heavy'/><vswitch:nic alias='ua-net1' weight='2'/>"), "weight='heavy'",
          "<policy><nic alias=\"ua-net1\" weight=\"2\"/><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { OURS("<vswitch:nic weight='3'/><nick/>"), "not known inside <policy>",
          "<policy><nic weight=\"3\"/><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1' weight='3'/>", "they belong to <nic>",
          "<policy><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { "<vswitch:polic xmlns:vswitch='urn:vswitch:policy:1'/>", "write <policy>",
          "<policy><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { "<v:policy xmlns:v='urn:vswitch:policy:2'><v:nic alias='ua-net0' size='3'/></v:policy>",
          "namespace urn:vswitch:policy:2", "<policy><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
        { OURS("<vswitch:nic alias='ua-net0' weight='1'>text<b/></vswitch:nic>"), "nothing may be inside it",
          "<policy><nic alias=\"ua-net0\" trust=\"yes\"/></policy>" },
};

START_TEST(what_cannot_be_read_is_not_written_over)
{
        const char *live = xml_of(unreadable[_i].metadata, TWO_NICS);

        ck_assert_int_eq(make_plan(live, NULL, "ua-net0", "trust=yes", 0), -EBADMSG);
        ck_assert_msg(strstr(error.text, unreadable[_i].says) && strstr(error.text, "--replace"), "%s", error.text);
        expect_done(unreadable[_i].metadata, "trust=yes", GUEST_SET_REPLACE, unreadable[_i].element);
        ck_assert(plan.live.changed);
        ck_assert_uint_eq(plan.live.others_count, strstr(unreadable[_i].metadata, "policy:2") != NULL);
        ck_assert_str_eq(read_back("ua-net0")->policy_error, "");
        guest_policy_plan_clear(&plan);
}
END_TEST

START_TEST(an_element_for_nobody_is_in_the_way)
{
        const char *metadata = OURS("<vswitch:nic alias='ua-net9' weight='3'/>");

        /* A NIC with an element of its own is not concerned by it. */
        expect_done(metadata, "weight=4", 0,
                    "<policy><nic alias=\"ua-net9\" weight=\"3\"/><nic alias=\"ua-net0\" weight=\"4\"/></policy>");
        expect_done(metadata, "weight=4", GUEST_SET_REPLACE, "<policy><nic alias=\"ua-net0\" weight=\"4\"/></policy>");
        guest_policy_plan_clear(&plan);
}
END_TEST

/* ---- which definitions ---- */

START_TEST(both_definitions_are_written)
{
        const char *live = xml_of("", TWO_NICS);
        const char *config = xml_of(OURS("<vswitch:nic alias='ua-net1' weight='90'/>"), TWO_NICS);

        ck_assert_int_eq(make_plan(live, config, "ua-net0", "weight=3", 0), 0);
        ck_assert(plan.live.wanted && plan.config.wanted);
        ck_assert_str_eq(plan.live.element, "<policy><nic alias=\"ua-net0\" weight=\"3\"/></policy>");
        ck_assert_str_eq(plan.config.element, "<policy><nic alias=\"ua-net1\" weight=\"90\"/>"
                                              "<nic alias=\"ua-net0\" weight=\"3\"/></policy>");
        ck_assert_int_eq(make_plan(live, config, "ua-net0", "weight=3", GUEST_SET_LIVE), 0);
        ck_assert(plan.live.wanted && !plan.config.wanted);
        ck_assert_ptr_null(plan.config.text);
        ck_assert_int_eq(make_plan(live, config, "ua-net0", "weight=3", GUEST_SET_CONFIG), 0);
        ck_assert(!plan.live.wanted && plan.config.wanted);
        ck_assert_int_eq(make_plan(live, config, "ua-net0", "weight=3", GUEST_SET_CONFIG | GUEST_SET_LIVE), 0);
        ck_assert(plan.live.wanted && plan.config.wanted);
        guest_policy_plan_clear(&plan);
}
END_TEST

START_TEST(nothing_is_written_when_one_of_them_cannot_be)
{
        const char *live = xml_of("", TWO_NICS);
        const char *config = xml_of(OURS("<vswitch:nic alias='ua-net0' vlan='x'/>"), TWO_NICS);

        ck_assert_int_eq(make_plan(live, config, "ua-net0", "weight=3", 0), -EBADMSG);
        ck_assert_ptr_null(plan.live.text);
        ck_assert_ptr_nonnull(strstr(error.text, "vlan='x'"));
}
END_TEST

START_TEST(a_nic_that_is_in_one_of_them)
{
        const char *both = xml_of("", TWO_NICS), *one = xml_of("", ONE_NIC);

        /* Plugged into the running guest only; unplugged from it. */
        ck_assert_int_eq(make_plan(both, one, "ua-net0", "weight=3", 0), 0);
        ck_assert(plan.live.wanted && !plan.config.wanted);
        ck_assert_int_eq(make_plan(one, both, "ua-net0", "weight=3", 0), 0);
        ck_assert(!plan.live.wanted && plan.config.wanted);
        ck_assert_int_eq(make_plan(both, one, "ua-net0", "weight=3", GUEST_SET_CONFIG), -ENOENT);
        ck_assert_str_eq(error.text, "the domain has no NIC ua-net0 in its definition; it has ua-net1");
        ck_assert_int_eq(make_plan(one, both, "ua-net0", "weight=3", GUEST_SET_LIVE), -ENOENT);
        ck_assert_str_eq(error.text, "the domain has no NIC ua-net0; it has ua-net1");
        guest_policy_plan_clear(&plan);
}
END_TEST

START_TEST(which_nic_and_what_for)
{
        const char *two = xml_of("", TWO_NICS), *one = xml_of("", ONE_NIC);

        ck_assert_int_eq(make_plan(one, NULL, "", "weight=3", 0), 0);
        ck_assert_str_eq(plan.live.element, "<policy><nic alias=\"ua-net1\" weight=\"3\"/></policy>");
        ck_assert_int_eq(make_plan(NULL, one, "", "weight=3", 0), 0);
        ck_assert(!plan.live.wanted && plan.config.wanted);
        ck_assert_int_eq(make_plan(two, NULL, "", "weight=3", 0), -EINVAL);
        ck_assert_str_eq(error.text, "the domain has 2 NICs; say which: ua-net0, ua-net1");
        ck_assert_int_eq(make_plan(two, two, "ua-net9", "weight=3", 0), -ENOENT);
        ck_assert_str_eq(error.text, "the domain has no NIC ua-net9; it has ua-net0, ua-net1");
        ck_assert_int_eq(make_plan(xml_of("", ""), NULL, "", "weight=3", 0), -ENOENT);
        ck_assert_int_eq(make_plan(NULL, NULL, "", "weight=3", 0), -ENOENT);
        ck_assert_int_eq(make_plan(xml_of("", NAMELESS_NIC), NULL, "", "weight=3", 0), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "<alias name='ua-net0'/>"));
        ck_assert_int_eq(make_plan(NULL, one, "", "weight=3", GUEST_SET_LIVE), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "does not run"));
        ck_assert_int_eq(make_plan(one, NULL, "", "weight=3", GUEST_SET_CONFIG), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "transient"));
        ck_assert_int_eq(make_plan("<domain", NULL, "", "weight=3", 0), -EINVAL);
        guest_policy_plan_clear(&plan);
}
END_TEST

/* A domain that never had metadata. */
START_TEST(without_metadata)
{
        ck_assert_int_eq(make_plan("<domain><name>g1</name><devices>" ONE_NIC "</devices></domain>", NULL, "",
                                   "weight=3", 0),
                         0);
        ck_assert_str_eq(plan.live.element, "<policy><nic alias=\"ua-net1\" weight=\"3\"/></policy>");
        guest_policy_plan_clear(&plan);
}
END_TEST

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

int main(void)
{
        Suite *suite = suite_create("changing a policy");
        TCase *tests = tcase_create("XML");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_loop_test(tests, what_is_wished_is_written, 0, COUNT(edits));
        tcase_add_test(tests, everything_arrives);
        tcase_add_test(tests, what_is_not_known_stays);
        tcase_add_loop_test(tests, mistakes_are_told_with_what_is_allowed, 0, COUNT(mistakes));
        tcase_add_loop_test(tests, what_cannot_be_read_is_not_written_over, 0, COUNT(unreadable));
        tcase_add_test(tests, an_element_for_nobody_is_in_the_way);
        tcase_add_test(tests, both_definitions_are_written);
        tcase_add_test(tests, nothing_is_written_when_one_of_them_cannot_be);
        tcase_add_test(tests, a_nic_that_is_in_one_of_them);
        tcase_add_test(tests, which_nic_and_what_for);
        tcase_add_test(tests, without_metadata);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
