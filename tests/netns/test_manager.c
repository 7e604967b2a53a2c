/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole daemon in one process, against a modelled NIC, a modelled libvirt and the kernel's real links: what the
 * core decides arrives in the tables in the right order, events and hook calls become facts, and a daemon that ends at
 * any point and starts again brings everything to the same end.
 */

#include "src/daemon/explain.h"
#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the ordinary life ---- */

START_TEST(a_guest_gets_a_vf_and_gives_it_back)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert_uint_eq(software_switch->rule_count, 0);
        ck_assert_str_eq(pf->vfs[0].identity.driver, "vfio-pci");
        ask(false);
        RUN_UNTIL(is_withdrawing);
        expect_reachable();
        let_go();
        RUN_UNTIL(is_synthetic);
        expect_reachable();
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_HELD);
        ck_assert(vswitch_mac_is_zero(&pf->vfs[0].attributes.mac));
        ask(true);
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(on_a_card_that_nobody_measured_the_copy_rule_mirrors)
{
        emulated = false;
        stage_begin();
        start_guest();
        RUN_UNTIL(is_offering);
        expect_reachable();
        ck_assert_int_eq(software_switch->rules[0].egress_tap, tap);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        ask(false);
        RUN_UNTIL(is_withdrawing);
        settle();
        /* Where the PF might win, its filter would cut off the VF that the guest still uses. */
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_guest_waits_until_it_accepts_standby)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_GUEST_NOT_READY);
        expect_reachable();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(a_reset_serves_both_paths_until_the_guest_is_back)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_emit(UUID, GUEST_EVENT_RESET, NULL, NULL);
        drive_guest(false);
        RUN_UNTIL(is_offering);
        expect_reachable();
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_guest_without_a_driver_loses_the_vf_again)
{
        config.guest_driver_timeout_usec = 50 * USEC_PER_MSEC;
        stage_begin();
        start_guest();
        RUN_UNTIL(is_offering);
        RUN_UNTIL(is_withdrawn);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_GUEST_DRIVER_MISSING);
        expect_reachable();
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
        RUN_UNTIL(is_synthetic);
        expect_reachable();
        stage_end();
}
END_TEST

static bool was_refused(void)
{
        return is_on_vf() && nic()->decision.reason == FAILOVER_REASON_UNPLUG_REFUSED;
}

START_TEST(a_guest_that_keeps_its_vf_stays_reachable)
{
        config.unplug_timeout_usec = 50 * USEC_PER_MSEC;
        stage_begin();
        start_guest_on_vf();
        ask(false);
        RUN_UNTIL(was_refused);
        ck_assert_uint_eq(fake_guests_count(FAKE_DETACH), 2);
        expect_reachable();
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        stage_end();
}
END_TEST

static bool is_isolated(void)
{
        return situation() == FAILOVER_SITUATION_ISOLATED;
}

static bool is_asked_again(void)
{
        return fake_guests_count(FAKE_DETACH) > 2;
}

static bool is_on_vf_in_peace(void)
{
        return is_on_vf() && nic()->decision.reason == FAILOVER_REASON_NONE;
}

START_TEST(a_guest_that_keeps_a_vf_without_a_link_is_isolated_until_the_link_returns)
{
        struct explanation explanation;

        config.unplug_timeout_usec = 50 * USEC_PER_MSEC;
        config.back_off_usec = 50 * USEC_PER_MSEC;
        stage_begin();
        start_guest_on_vf();
        netns_run("ip link set wire down");
        RUN_UNTIL(is_withdrawing);
        ck_assert(!nic()->alarmed);
        RUN_UNTIL(is_isolated);
        ck_assert_uint_eq(fake_guests_count(FAKE_DETACH), 2);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_ISOLATED);
        ck_assert_str_eq(provider_path(nic()), "none");
        explain_nic(nic(), &explanation);
        ck_assert_ptr_nonnull(strstr(explanation.detail, "up0 (no carrier)"));
        ck_assert_str_ne(explanation.now, "");
        ck_assert(nic()->alarmed);
        RUN_UNTIL(is_asked_again);
        ck_assert(is_isolated());
        netns_run("ip link set wire up");
        RUN_UNTIL(is_on_vf_in_peace);
        ck_assert(!nic()->alarmed);
        expect_reachable();
        stage_end();
}
END_TEST

static bool attach_failed(void)
{
        return is_synthetic() && nic()->facts.failure == FAILOVER_REASON_ATTACH_FAILED;
}

/* It has left the switch, and is still there. */
START_TEST(an_isolated_guests_card_is_told_of_also_when_it_left_the_bridge)
{
        struct explanation explanation;

        config.unplug_timeout_usec = 50 * USEC_PER_MSEC;
        stage_begin();
        start_guest_on_vf();
        netns_run("ip link set up0 nomaster; ip link set up0 down");
        RUN_UNTIL(is_isolated);
        explain_nic(nic(), &explanation);
        ck_assert_ptr_nonnull(strstr(explanation.detail, "up0 (not beneath the switch, down)"));
        netns_run("ip link set up0 up; ip link set wire down");
        RUN_UNTIL(is_isolated);
        explain_nic(nic(), &explanation);
        ck_assert_ptr_nonnull(strstr(explanation.detail, "up0 (not beneath the switch, no carrier)"));
        netns_run("ip link del up0");
        explain_nic(nic(), &explanation);
        ck_assert_ptr_nonnull(strstr(explanation.detail, "up0 (which is not there)"));
        stage_end();
}
END_TEST

static bool restore_was_refused_twice(void)
{
        return nic()->restores_refused == 2;
}

/* A QEMU may take long to unpin a guest's memory. */
START_TEST(a_vf_that_is_still_in_use_is_no_failure)
{
        struct explanation explanation;

        stage_begin();
        start_guest_on_vf();
        pf->bind_error = -EBUSY;
        ask(false);
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(restore_was_refused_twice);
        explain_nic(nic(), &explanation);
        ck_assert_str_ne(explanation.trouble, "");
        ck_assert_int_eq(nic()->facts.failure, FAILOVER_REASON_NONE);
        ck_assert_uint_eq(nic()->failures, 0);
        ck_assert_uint_eq(manager->moves_failed, 0);
        ck_assert_ptr_nonnull(nic()->claim);
        expect_reachable();
        pf->bind_error = 0;
        RUN_UNTIL(is_synthetic);
        ck_assert_uint_eq(nic()->restores_refused, 0);
        ck_assert_uint_eq(manager->moves_failed, 0);
        stage_end();
}
END_TEST

START_TEST(libvirt_that_refuses_leaves_the_guest_as_it_was)
{
        stage_begin();
        fake_guests_fail(FAKE_ATTACH, -EIO, "internal error: no");
        start_guest();
        RUN_UNTIL(attach_failed);
        expect_reachable();
        ck_assert_str_eq(pf->vfs[0].identity.driver, "");
        ck_assert_uint_eq(software_switch->rule_count, 0);
        stage_end();
}
END_TEST

START_TEST(a_kernel_that_refuses_the_copy_rule_keeps_the_guest_synthetic)
{
        stage_begin();
        software_switch->copy_error = -EOPNOTSUPP;
        start_guest();
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(libvirt_going_away_changes_nothing)
{
        unsigned writes;

        stage_begin();
        start_guest_on_vf();
        writes = pf->writes + software_switch->writes;
        fake_guests_down("libvirtd was stopped");
        settle();
        expect_reachable();
        fake_guests_up();
        settle();
        RUN_UNTIL(is_on_vf);
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        stage_end();
}
END_TEST

/* ---- migration ---- */

START_TEST(a_guest_that_leaves_is_out_of_all_tables_when_it_stops)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        RUN_UNTIL(is_withdrawing);
        expect_reachable();
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        expect_reachable();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "active");
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_HANDED_OVER);
        ck_assert_uint_eq(software_switch->pin_count, 0);
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert(vswitch_mac_is_zero(&pf->vfs[0].attributes.mac));
        fake_guests_end(UUID, "stopped/migrated");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_cancelled_migration_ends_on_the_vf)
{
        stage_begin();
        start_guest_on_vf();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        settle();
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "cancelled");
        RUN_UNTIL(is_offering);
        expect_reachable();
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_handover_that_fails_is_undone_and_announced)
{
        unsigned announcements;

        stage_begin();
        start_guest_on_vf();
        announcements = software_switch->announcements;
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        settle();
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "device");
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_HANDED_OVER);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        RUN_UNTIL(is_offering);
        expect_reachable();
        ck_assert_uint_eq(software_switch->announcements, announcements + 1);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        stage_end();
}
END_TEST

struct hook_answer {
        bool given;
        char xml[4096];
        char refused[1024];
};

static void on_hook_answer(void *token, const char *xml, const char *refuse)
{
        struct hook_answer *answer = token;

        ck_assert(!answer->given);
        answer->given = true;
        snprintf(answer->xml, sizeof(answer->xml), "%s", xml ? xml : "");
        snprintf(answer->refused, sizeof(answer->refused), "%s", refuse ? refuse : "");
}

static void announce_guest(struct hook_answer *answer)
{
        *answer = (struct hook_answer){ 0 };
        provider_table.hook(manager, "g1", "migrate", "begin", "-", DOMAIN_XML(VF_OF_ANOTHER_HOST), on_hook_answer,
                            answer);
        settle();
        ck_assert(answer->given);
}

START_TEST(a_guest_that_arrives_finds_a_vf)
{
        struct hook_answer answer;

        stage_begin();
        announce_guest(&answer);
        ck_assert_str_eq(answer.refused, "");
        ck_assert_ptr_nonnull(strstr(answer.xml, "bus=\"0x01\" slot=\"0x10\" function=\"0x0\"/></source>"));
        ck_assert_ptr_null(strstr(answer.xml, "0x07"));
        ck_assert_str_eq(pf->vfs[0].identity.driver, "vfio-pci");
        ck_assert(vswitch_mac_is_zero(&pf->vfs[0].attributes.mac));

        fake_guests_start(answer.xml, GUEST_INCOMING);
        settle();
        ck_assert_uint_eq(software_switch->pin_count, 0);
        ck_assert(!modelled_pf_has_filter(pf, &mac));

        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_ARRIVING);
        ck_assert_uint_eq(software_switch->announcements, 1);
        expect_reachable();
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        RUN_UNTIL(is_offering);
        expect_reachable();
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        ck_assert(!nic()->claim->leased);
        stage_end();
}
END_TEST

START_TEST(a_guest_that_arrives_without_a_vf_is_announced_too)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_INCOMING);
        settle();
        ck_assert_uint_eq(software_switch->announcements, 0);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "completed");
        settle();
        ck_assert_uint_eq(software_switch->announcements, 1);
        ck_assert_uint_eq(software_switch->pin_count, 1);
        stage_end();
}
END_TEST

START_TEST(a_guest_that_comes_back_at_once_is_not_taken_for_one_that_left)
{
        struct hook_answer answer;

        stage_begin();
        start_guest_on_vf();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        settle();
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "device");
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_HANDED_OVER);
        /* The hook speaks before libvirt's event that the guest has left. */
        announce_guest(&answer);
        ck_assert_str_eq(answer.refused, "");
        fake_guests_end(UUID, "stopped/migrated");
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_EXPECTED);
        ck_assert(nic()->claim && nic()->claim->leased);
        fake_guests_start(answer.xml, GUEST_INCOMING);
        settle();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_host_without_a_free_vf_refuses_with_the_way_out)
{
        struct hook_answer answer;

        stage_begin();
        config_switch.reserve_vfs = 2;
        announce_guest(&answer);
        ck_assert_str_eq(answer.xml, "");
        ck_assert_ptr_nonnull(strstr(answer.refused, "vswitch migrate g1"));
        ck_assert_ptr_nonnull(strstr(answer.refused, "vswitch nic release g1 --hold"));
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

/* A file where the directory was: no claim can be written or removed. */
static void take_claims_away(void)
{
        netns_run("mv %s/claims %s/away && touch %s/claims", directory, directory, directory);
}

static void give_claims_back(void)
{
        netns_run("rm %s/claims && mv %s/away %s/claims", directory, directory, directory);
}

START_TEST(a_lease_that_cannot_be_written_is_refused_with_the_way_out)
{
        struct hook_answer answer;

        stage_begin();
        take_claims_away();
        announce_guest(&answer);
        ck_assert_str_eq(answer.xml, "");
        ck_assert_ptr_nonnull(strstr(answer.refused, "cannot write"));
        ck_assert_ptr_nonnull(strstr(answer.refused, "check free space"));
        ck_assert_ptr_nonnull(strstr(answer.refused, "vswitch migrate g1"));
        give_claims_back();
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        announce_guest(&answer);
        ck_assert_str_eq(answer.refused, "");
        stage_end();
}
END_TEST

START_TEST(a_lease_that_cannot_be_written_leaves_the_claim_of_before)
{
        struct hook_answer answer;
        struct claim before;

        stage_begin();
        start_guest_on_vf();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        settle();
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "device");
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_HANDED_OVER);
        before = *nic()->claim;
        take_claims_away();
        announce_guest(&answer);
        ck_assert_ptr_nonnull(strstr(answer.refused, "cannot write"));
        ck_assert_mem_eq(nic()->claim, &before, offsetof(struct claim, touched));
        give_claims_back();
        fake_guests_end(UUID, "stopped/migrated");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_lease_ends_when_the_guest_does_not_come)
{
        struct hook_answer answer;

        config.lease_timeout_usec = 100 * USEC_PER_MSEC;
        stage_begin();
        announce_guest(&answer);
        ck_assert_str_eq(answer.refused, "");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_lease_ends_when_the_incoming_guest_dies)
{
        struct hook_answer answer;

        stage_begin();
        announce_guest(&answer);
        fake_guests_start(answer.xml, GUEST_INCOMING);
        settle();
        fake_guests_end(UUID, "stopped/failed");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_guest_that_is_migrated_to_its_own_host_stays_as_it_is)
{
        struct hook_answer answer;
        unsigned writes;

        stage_begin();
        start_guest_on_vf();
        writes = pf->writes + software_switch->writes;
        announce_guest(&answer);
        ck_assert_str_eq(answer.xml, "");
        ck_assert_str_eq(answer.refused, "");
        ck_assert(is_on_vf());
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_migration_cancelled_late_still_ends_on_the_vf)
{
        uint64_t late;

        config.guest_driver_timeout_usec = 300 * USEC_PER_MSEC;
        stage_begin();
        start_guest_on_vf();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        settle();
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        for (late = manager_now(manager) + 400 * USEC_PER_MSEC; manager_now(manager) < late;)
                sd_event_run(loop, 20 * USEC_PER_MSEC);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "cancelled");
        RUN_UNTIL(is_offering);
        ck_assert_int_eq(nic()->facts.failure, FAILOVER_REASON_NONE);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        stage_end();
}
END_TEST

/* ---- what happens around the guest ---- */

static bool has_no_uplink(void)
{
        return !nic()->facts.uplink_present;
}

static bool is_synthetic_with_filter(void)
{
        return is_synthetic() && modelled_pf_has_filter(pf, &mac);
}

START_TEST(an_uplink_that_leaves_and_returns_is_taken_up_again)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic_with_filter);
        netns_run("ip link set up0 nomaster");
        RUN_UNTIL(has_no_uplink);
        pf->filter_count = 0; /* as after a reload of the driver */
        netns_run("ip link set up0 master br0");
        RUN_UNTIL(is_synthetic_with_filter);
        expect_reachable();
        stage_end();
}
END_TEST

static bool is_pinned(void)
{
        return software_switch->pin_count == 1 && software_switch->pins[0].port == tap;
}

START_TEST(a_full_uplink_filter_list_does_not_keep_the_guest_from_its_tap)
{
        stage_begin();
        pf->filter_capacity = 0;
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_pinned);
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        pf->filter_capacity = MODELLED_FILTERS_MAX;
        RUN_UNTIL(is_synthetic_with_filter);
        stage_end();
}
END_TEST

#define OTHER_UUID "11111111-2222-3333-4444-666666666666"

static const struct manager_nic *other_nic(void)
{
        return nics_find(manager, OTHER_UUID, "ua-net0");
}

static bool both_know_of_the_duplicate(void)
{
        return other_nic() && other_nic()->decision.reason == FAILOVER_REASON_DUPLICATE_MAC &&
               nic()->decision.reason == FAILOVER_REASON_DUPLICATE_MAC;
}

static bool one_is_gone(void)
{
        return !nic() || !other_nic();
}

/* _i: which of them ends. */
START_TEST(two_guests_with_one_mac_are_pinned_to_neither)
{
        unsigned writes;

        stage_begin();
        netns_add_veth("tap1", "guest1", "br0");
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        fake_guests_start("<domain type='kvm' id='2'><name>g2</name><uuid>" OTHER_UUID "</uuid>"
                          "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                          "<interface type='bridge'><mac address='" MAC "'/><source bridge='br0'/>"
                          "<target dev='tap1'/><model type='virtio'/><alias name='ua-net0'/></interface>"
                          "</devices></domain>",
                          GUEST_RUNNING);
        RUN_UNTIL(both_know_of_the_duplicate);
        settle();
        /* Learning decides; the uplink filter brings the frames to the bridge for both. */
        ck_assert_uint_eq(software_switch->pin_count, 0);
        ck_assert(modelled_pf_has_filter(pf, &mac));
        writes = pf->writes + software_switch->writes;
        manager_all_dirty(manager, true);
        settle();
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        fake_guests_end(_i ? UUID : OTHER_UUID, "stopped/destroyed");
        RUN_UNTIL(one_is_gone);
        settle();
        ck_assert_uint_eq(software_switch->pin_count, 1);
        ck_assert_int_eq(software_switch->pins[0].port, _i ? netns_ifindex("tap1") : tap);
        ck_assert(modelled_pf_has_filter(pf, &mac));
        stage_end();
}
END_TEST

/* ---- holds ---- */

START_TEST(a_hold_ends_with_its_connection)
{
        const struct control_caller caller = { .connection = 7, .description = "the test" };

        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(provider_table.nic_release(manager, UUID, "ua-net0", CONTROL_HOLD_CONNECTION, &caller, NULL),
                         0);
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(is_synthetic);
        provider_table.caller_gone(manager, 8);
        settle();
        ck_assert(is_synthetic());
        provider_table.caller_gone(manager, 7);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(a_hold_until_acquire_survives_a_restart)
{
        stage_begin();
        start_guest_on_vf();
        ask(false);
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(is_synthetic);
        stop_daemon();
        start_daemon();
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_HELD);
        stage_end();
}
END_TEST

/* ---- ends and starts of the daemon ---- */

/* Brings whatever state there is to its end: the guest drives the VF that it has, or lets it go. */
static void play_until(bool (*condition)(void), bool guest_drives)
{
        uint64_t deadline = manager_now(manager) + 10 * USEC_PER_SEC;
        unsigned asked = fake_guests_count(FAKE_DETACH);

        while (!condition()) {
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                if (guest_drives)
                        drive_guest(true);
                else if (fake_guests_count(FAKE_DETACH) > asked || is_withdrawn()) {
                        drive_guest(false);
                        if (is_withdrawn())
                                fake_guests_unplug(UUID, "ua-vf-net0");
                }
                ck_assert_msg(manager_now(manager) < deadline, "does not converge (rule %s)",
                              nic() ? nic()->decision.rule : "no NIC");
        }
}

static void expect_quiet_restart(void)
{
        unsigned writes = pf->writes + software_switch->writes;

        stop_daemon();
        start_daemon();
        settle();
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
}

/* _i: after how many turns of the event loop the daemon ends. */
START_TEST(a_daemon_that_ends_during_an_acquire_finishes_it_after_the_start)
{
        stage_begin();
        start_guest();
        for (int turn = 0; turn < _i; turn++)
                sd_event_run(loop, USEC_PER_MSEC);
        stop_daemon();
        start_daemon();
        play_until(is_on_vf, true);
        settle();
        expect_reachable();
        expect_quiet_restart();
        ck_assert(is_on_vf());
        stage_end();
}
END_TEST

START_TEST(a_daemon_that_ends_during_a_release_finishes_it_after_the_start)
{
        stage_begin();
        start_guest_on_vf();
        ask(false);
        for (int turn = 0; turn < _i; turn++) {
                sd_event_run(loop, USEC_PER_MSEC);
                if (turn == _i / 2)
                        drive_guest(!is_withdrawing());
        }
        stop_daemon();
        start_daemon();
        play_until(is_synthetic, false);
        settle();
        expect_reachable();
        expect_quiet_restart();
        ck_assert(is_synthetic());
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_guest_that_ended_while_no_daemon_ran_leaves_nothing)
{
        stage_begin();
        start_guest_on_vf();
        stop_daemon();
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        start_daemon();
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_lost_record_is_made_good)
{
        stage_begin();
        start_guest_on_vf();
        stop_daemon();
        netns_run("rm %s/claims/*.json %s/nics/*.json", directory, directory);
        start_daemon();
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_full_disk_stops_new_moves_only)
{
        stage_begin();
        /* A file where the directory was: no claim can be written. */
        netns_run("rmdir %s/claims && touch %s/claims", directory, directory);
        start_guest();
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert_int_eq(nic()->facts.failure, FAILOVER_REASON_CLAIM_FAILED);
        expect_reachable();
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        stage_end();
}
END_TEST

#define ADD(test) netns_test_add(suite, #test, test)

int main(void)
{
        Suite *suite = suite_create("manager");

        ADD(a_guest_gets_a_vf_and_gives_it_back);
        ADD(on_a_card_that_nobody_measured_the_copy_rule_mirrors);
        ADD(a_guest_waits_until_it_accepts_standby);
        ADD(a_reset_serves_both_paths_until_the_guest_is_back);
        ADD(a_guest_without_a_driver_loses_the_vf_again);
        ADD(a_guest_that_keeps_its_vf_stays_reachable);
        ADD(a_guest_that_keeps_a_vf_without_a_link_is_isolated_until_the_link_returns);
        ADD(an_isolated_guests_card_is_told_of_also_when_it_left_the_bridge);
        ADD(a_vf_that_is_still_in_use_is_no_failure);
        ADD(libvirt_that_refuses_leaves_the_guest_as_it_was);
        ADD(a_kernel_that_refuses_the_copy_rule_keeps_the_guest_synthetic);
        ADD(libvirt_going_away_changes_nothing);
        ADD(a_guest_that_leaves_is_out_of_all_tables_when_it_stops);
        ADD(a_cancelled_migration_ends_on_the_vf);
        ADD(a_handover_that_fails_is_undone_and_announced);
        ADD(a_guest_that_arrives_finds_a_vf);
        ADD(a_guest_that_arrives_without_a_vf_is_announced_too);
        ADD(a_guest_that_comes_back_at_once_is_not_taken_for_one_that_left);
        ADD(a_host_without_a_free_vf_refuses_with_the_way_out);
        ADD(a_lease_that_cannot_be_written_is_refused_with_the_way_out);
        ADD(a_lease_that_cannot_be_written_leaves_the_claim_of_before);
        ADD(a_lease_ends_when_the_guest_does_not_come);
        ADD(a_lease_ends_when_the_incoming_guest_dies);
        ADD(a_guest_that_is_migrated_to_its_own_host_stays_as_it_is);
        ADD(a_migration_cancelled_late_still_ends_on_the_vf);
        ADD(an_uplink_that_leaves_and_returns_is_taken_up_again);
        ADD(a_full_uplink_filter_list_does_not_keep_the_guest_from_its_tap);
        ADD(a_hold_ends_with_its_connection);
        ADD(a_hold_until_acquire_survives_a_restart);
        ADD(a_guest_that_ended_while_no_daemon_ran_leaves_nothing);
        ADD(a_lost_record_is_made_good);
        ADD(a_full_disk_stops_new_moves_only);
        netns_test_add_loop(suite, "acquire, ended anywhere",
                            a_daemon_that_ends_during_an_acquire_finishes_it_after_the_start, 0, 40);
        netns_test_add_loop(suite, "release, ended anywhere",
                            a_daemon_that_ends_during_a_release_finishes_it_after_the_start, 0, 40);
        netns_test_add_loop(suite, "one MAC twice", two_guests_with_one_mac_are_pinned_to_neither, 0, 2);
        return netns_test_run(suite);
}
