/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A policy that is changed while the guest runs: by `vswitch nic set`, by somebody else, wrongly, and with a daemon that
 * ends meanwhile. It is written to the domain's XML and nowhere else, and holds at once.
 */

#include "src/daemon/explain.h"
#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NIC_POLICY(attributes)                                                                                         \
        "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1'><vswitch:nic alias='ua-net0' " attributes                \
        "/></vswitch:policy>"

static const struct control_caller caller = { .connection = 7, .description = "the test" };

/* The answer to the last SetPolicy. */
static struct {
        unsigned times;
        int result;
        char sentence[512], live[1024], config[1024]; /* "-": NULL */
} answer;

static void on_answer(int result, const char *sentence, const char *live, const char *defined, void *token)
{
        ck_assert_ptr_eq(token, &answer);
        answer.times++;
        answer.result = result;
        snprintf(answer.sentence, sizeof(answer.sentence), "%s", sentence ? sentence : "");
        snprintf(answer.live, sizeof(answer.live), "%s", live ? live : "-");
        snprintf(answer.config, sizeof(answer.config), "%s", defined ? defined : "-");
}

static void ask_policy(const char *domain, const char *key, const char *value, uint32_t flags)
{
        const struct control_policy_change change = { key, value };
        struct vswitch_error error = { 0 };
        int r;

        memset(&answer, 0, sizeof(answer));
        r = provider_table.nic_set_policy(manager, domain, "ua-net0", &change, 1, flags, &caller, on_answer, &answer,
                                          &error);
        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
        ck_assert_uint_eq(answer.times, 0);
}

static bool is_answered(void)
{
        return answer.times > 0;
}

static int set_policy(const char *key, const char *value, uint32_t flags)
{
        ask_policy("g1", key, value, flags);
        RUN_UNTIL(is_answered);
        ck_assert_uint_eq(answer.times, 1);
        return answer.result;
}

static const char *xml_of(const char *metadata)
{
        static char xml[4096];
        const char *plain = DOMAIN_XML("");
        const char *place = strstr(plain, "<os>");

        snprintf(xml, sizeof(xml), "%.*s<metadata>%s</metadata>%s", (int) (place - plain), plain, metadata, place);
        return xml;
}

static bool has_reason(enum failover_reason reason)
{
        return is_synthetic() && nic()->decision.reason == reason;
}

static bool is_weightless(void)
{
        return has_reason(FAILOVER_REASON_WEIGHT_ZERO);
}

static bool is_bad(void)
{
        return has_reason(FAILOVER_REASON_BAD_POLICY);
}

/* Every sender reaches the guest in every turn of the loop until then. */
static void run_reachable_until(bool (*condition)(void), const char *what)
{
        uint64_t deadline = manager_now(manager) + 10 * USEC_PER_SEC;

        while (!condition()) {
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                expect_reachable();
                ck_assert_msg(manager_now(manager) < deadline, "never: %s (rule %s)", what, nic()->decision.rule);
        }
}

static void give_vf_back(void)
{
        run_reachable_until(is_withdrawing, "withdrawing");
        let_go();
}

static void drive_to_vf(void)
{
        run_reachable_until(is_offering, "offering");
        drive_guest(true);
        run_reachable_until(is_on_vf, "on the VF");
        settle();
        expect_reachable();
}

/* ---- setting ---- */

START_TEST(weight_zero_releases_and_another_one_acquires)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_define(DOMAIN_XML(""));
        ck_assert_int_eq(set_policy("weight", "0", 0), 0);
        ck_assert_str_eq(answer.live, answer.config);
        give_vf_back();
        run_reachable_until(is_weightless, "weight zero");
        ck_assert_ptr_nonnull(strstr(fake_guests_xml(UUID, false), "weight=\"0\""));
        ck_assert_ptr_nonnull(strstr(fake_guests_xml(UUID, true), "weight=\"0\""));
        /* It stays so: nothing is tried. */
        manager_all_dirty(manager, true);
        settle();
        ck_assert(is_weightless());
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 1);

        ck_assert_int_eq(set_policy("weight", "70", 0), 0);
        drive_to_vf();
        ck_assert_uint_eq(nic()->port_policy.weight, 70);
        ck_assert_int_eq(set_policy("weight", "", 0), 0);
        settle();
        ck_assert_uint_eq(nic()->port_policy.weight, 50);
        ck_assert(is_on_vf());
        ck_assert_ptr_null(strstr(fake_guests_xml(UUID, false), "vswitch:policy"));
        stage_end();
}
END_TEST

static bool is_offering_again(void)
{
        return fake_guests_count(FAKE_ATTACH) == 2 && is_offering();
}

/* The operator changes his mind before the guest has let go. */
START_TEST(a_mind_that_changes_in_the_middle)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(set_policy("weight", "0", 0), 0);
        run_reachable_until(is_withdrawing, "withdrawing");
        ck_assert_int_eq(set_policy("weight", "10", 0), 0);
        settle();
        /* What the guest was asked cannot be taken back: both paths go on, and it gets the VF anew. */
        ck_assert(is_withdrawing());
        expect_reachable();
        drive_guest(false);
        expect_reachable();
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
        RUN_UNTIL(is_offering_again);
        drive_to_vf();
        stage_end();
}
END_TEST

START_TEST(a_rate_holds_on_both_paths_at_once)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(set_policy("max-rate", "300", 0), 0);
        settle();
        ck_assert(is_on_vf());
        ck_assert_uint_eq(pf->vfs[0].attributes.max_rate, 300);
        ck_assert_uint_eq(modelled_port_find(software_switch, tap)->guard.max_rate, 300);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(set_policy("weight", "0", CONTROL_POLICY_DRY_RUN), 0);
        ck_assert_ptr_nonnull(strstr(answer.live, "weight=\"0\""));
        settle();
        ck_assert(is_on_vf());
        ck_assert_ptr_null(strstr(fake_guests_xml(UUID, false), "vswitch:policy"));
        stage_end();
}
END_TEST

START_TEST(only_the_definition)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(set_policy("weight", "0", CONTROL_POLICY_CONFIG), -EINVAL);
        fake_guests_define(DOMAIN_XML(""));
        ck_assert_int_eq(set_policy("weight", "0", CONTROL_POLICY_CONFIG), 0);
        ck_assert_str_eq(answer.live, "-");
        settle();
        ck_assert(is_on_vf());
        /* A guest that does not run: the daemon knows nothing of it, libvirt does. */
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        ck_assert_int_eq(set_policy("weight", "20", 0), 0);
        ck_assert_ptr_nonnull(strstr(fake_guests_xml(UUID, true), "weight=\"20\""));
        stage_end();
}
END_TEST

START_TEST(what_is_refused_changes_nothing)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(set_policy("weight", "1000", 0), -EINVAL);
        ck_assert_str_eq(answer.sentence, "weight='1000': write a number from 0 (no VF) to 100");
        ask_policy("nobody", "weight", "1", 0);
        RUN_UNTIL(is_answered);
        ck_assert_int_eq(answer.result, -ENOENT);
        fake_guests_fail(FAKE_POLICY, -EIO, "libvirt did not take the policy: disk full");
        ck_assert_int_eq(set_policy("weight", "0", 0), -EIO);
        ck_assert_str_eq(answer.sentence, "libvirt did not take the policy: disk full");
        settle();
        ck_assert(is_on_vf());
        stage_end();
}
END_TEST

/* ---- others ---- */

START_TEST(somebody_else_writes_it)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_edit(xml_of(NIC_POLICY("weight='0'")));
        give_vf_back();
        run_reachable_until(is_weightless, "weight zero");
        fake_guests_edit(xml_of(""));
        drive_to_vf();
        stage_end();
}
END_TEST

START_TEST(what_somebody_has_broken_is_told_and_mended)
{
        struct explanation explanation;

        stage_begin();
        start_guest_on_vf();
        fake_guests_edit(xml_of(NIC_POLICY("weight='heavy' spoof-check='yes'")));
        give_vf_back();
        run_reachable_until(is_bad, "bad policy");
        explain_nic(nic(), &explanation);
        ck_assert_msg(strstr(explanation.detail, "weight='heavy'"), "%s", explanation.detail);
        ck_assert_int_eq(set_policy("trust", "yes", 0), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(answer.sentence, "weight='heavy'"));
        ck_assert_ptr_nonnull(strstr(fake_guests_xml(UUID, false), "weight='heavy'"));
        /* The value that is wrong may be written over. */
        ck_assert_int_eq(set_policy("weight", "30", 0), 0);
        ck_assert_ptr_nonnull(strstr(answer.live, "weight=\"30\" spoof-check=\"yes\""));
        drive_to_vf();
        ck_assert(pf->vfs[0].attributes.spoof_check);

        fake_guests_edit(xml_of(NIC_POLICY("weight='heavy'")));
        give_vf_back();
        run_reachable_until(is_bad, "bad policy");
        ck_assert_int_eq(set_policy("trust", "yes", CONTROL_POLICY_REPLACE), 0);
        drive_to_vf();
        ck_assert(pf->vfs[0].attributes.trust);
        stage_end();
}
END_TEST

/* ---- without the daemon, without libvirt ---- */

START_TEST(a_restart_finds_the_policy_that_was_set)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(set_policy("weight", "0", 0), 0);
        run_reachable_until(is_withdrawing, "withdrawing");
        stop_daemon();
        start_daemon();
        RUN_UNTIL(is_withdrawing);
        expect_reachable();
        let_go();
        run_reachable_until(is_weightless, "weight zero");
        stop_daemon();
        fake_guests_edit(xml_of(NIC_POLICY("weight='40'")));
        start_daemon();
        settle();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        drive_to_vf();
        ck_assert_uint_eq(nic()->port_policy.weight, 40);
        stage_end();
}
END_TEST

START_TEST(the_daemon_ends_while_libvirt_thinks)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_hold(FAKE_POLICY, true);
        ask_policy(UUID, "weight", "0", 0);
        settle();
        ck_assert_uint_eq(answer.times, 0);
        stop_daemon();
        ck_assert_uint_eq(answer.times, 1);
        ck_assert_int_eq(answer.result, -ECANCELED);
        start_daemon();
        RUN_UNTIL(is_on_vf);
        stage_end();
}
END_TEST

START_TEST(without_libvirt_it_is_said)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_down("libvirtd is gone");
        settle();
        ck_assert_int_eq(set_policy("weight", "0", 0), -ENOTCONN);
        expect_reachable();
        fake_guests_up();
        RUN_UNTIL(is_on_vf);
        stage_end();
}
END_TEST

/* ---- why ---- */

static struct control_nic seen;
static char seen_detail[512], seen_failure_detail[256], seen_held_by[64], seen_trouble[512];

static int remember(const struct control_nic *view, void *userdata)
{
        seen = *view;
        snprintf(seen_detail, sizeof(seen_detail), "%s", view->detail);
        snprintf(seen_failure_detail, sizeof(seen_failure_detail), "%s", view->failure_detail);
        snprintf(seen_held_by, sizeof(seen_held_by), "%s", view->held_by);
        snprintf(seen_trouble, sizeof(seen_trouble), "%s", view->trouble);
        return 1;
}

static void look(void)
{
        ck_assert_int_eq(provider_table.nics(manager, remember, NULL), 1);
}

/* `usec` of CLOCK_REALTIME is that long from now, give or take what the test takes. */
static void expect_in(uint64_t usec, uint64_t from_now)
{
        uint64_t then = manager_realtime() + from_now;

        ck_assert_uint_le(usec, then);
        ck_assert_uint_ge(usec + 30 * USEC_PER_SEC, then);
}

START_TEST(every_rule_is_explained)
{
        const char *rule;

        for (size_t i = 0; (rule = failover_rule_name(i)); i++)
                ck_assert_msg(explain_rule(rule)[0] != '\0', "rule %s has no sentence", rule);
        ck_assert_str_eq(explain_rule("no such rule"), "");
}
END_TEST

START_TEST(a_move_is_explained_from_end_to_end)
{
        stage_begin();
        start_guest();
        RUN_UNTIL(is_offering);
        settle();
        look();
        ck_assert_str_eq(seen.rule, "offering");
        ck_assert_str_eq(seen.then, "the move is given up if the driver is not there");
        expect_in(seen.deadline_usec, config.guest_driver_timeout_usec);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        look();
        ck_assert_str_eq(seen.rule, "on-vf");
        ck_assert_str_eq(seen.then, "it is certain that the guest sends by it, too");

        ask(false);
        RUN_UNTIL(is_withdrawing);
        settle();
        look();
        ck_assert_uint_eq(seen.unplug_attempts, 1);
        ck_assert_str_eq(seen.then, "the guest is asked again");
        expect_in(seen.deadline_usec, config.unplug_timeout_usec);
        let_go();
        RUN_UNTIL(is_synthetic);
        look();
        ck_assert_str_eq(seen.reason, "held");
        ck_assert_str_eq(seen_held_by, "the test");
        ck_assert_str_eq(seen_detail, "the test");
        ck_assert_uint_eq(seen.unplug_attempts, 0);
        stage_end();
}
END_TEST

static bool has_failed(void)
{
        return is_synthetic() && nic()->facts.failure == FAILOVER_REASON_ATTACH_FAILED;
}

START_TEST(a_failure_is_told_with_libvirts_words)
{
        uint64_t begun;

        stage_begin();
        begun = manager_realtime();
        fake_guests_fail(FAKE_ATTACH, -EIO, "No more available PCI slots");
        start_guest();
        RUN_UNTIL(has_failed);
        settle();
        look();
        ck_assert_str_eq(seen.reason, "attach-failed");
        ck_assert_str_eq(seen_detail, "No more available PCI slots");
        ck_assert_str_eq(seen.failure, "attach-failed");
        ck_assert_str_eq(seen_failure_detail, "No more available PCI slots");
        ck_assert_uint_ge(seen.failure_usec, begun);
        ck_assert_str_eq(seen.then, "a VF is tried again");
        expect_in(seen.back_off_usec, config.back_off_usec);
        ck_assert_uint_eq(seen.deadline_usec / USEC_PER_SEC, seen.back_off_usec / USEC_PER_SEC);
        stage_end();
}
END_TEST

static bool is_uplink_down(void)
{
        return has_reason(FAILOVER_REASON_UPLINK_DOWN);
}

START_TEST(what_is_in_the_way_is_named)
{
        stage_begin();
        netns_run("ip link set wire down");
        start_guest();
        RUN_UNTIL(is_uplink_down);
        look();
        ck_assert_str_eq(seen_detail, "uplink up0 of br0, on up0 (no carrier)");
        stage_end();
}
END_TEST

#define ADD(test) netns_test_add(suite, #test, test)

int main(void)
{
        Suite *suite = suite_create("manager: metadata");

        ADD(weight_zero_releases_and_another_one_acquires);
        ADD(a_mind_that_changes_in_the_middle);
        ADD(a_rate_holds_on_both_paths_at_once);
        ADD(a_dry_run_changes_nothing);
        ADD(only_the_definition);
        ADD(what_is_refused_changes_nothing);
        ADD(somebody_else_writes_it);
        ADD(what_somebody_has_broken_is_told_and_mended);
        ADD(a_restart_finds_the_policy_that_was_set);
        ADD(the_daemon_ends_while_libvirt_thinks);
        ADD(without_libvirt_it_is_said);
        ADD(every_rule_is_explained);
        ADD(a_move_is_explained_from_end_to_end);
        ADD(a_failure_is_told_with_libvirts_words);
        ADD(what_is_in_the_way_is_named);
        return netns_test_run(suite);
}
