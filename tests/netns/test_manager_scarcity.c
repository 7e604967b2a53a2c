/* SPDX-License-Identifier: Apache-2.0 */

/*
 * More NICs than VFs, in the whole daemon: the weights in the guests' XML decide, a change of mind is a change of
 * path, and a host whose moves fail stops trying for a while.
 */

#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UUID_2 "22222222-2222-3333-4444-555555555555"
#define MAC_2  "52:54:00:12:34:57"

static const char *guest_xml(unsigned number, unsigned weight, const char *memory)
{
        static char xml[2048];

        snprintf(xml, sizeof(xml),
                 "<domain type='kvm' id='%u'><name>g%u</name><uuid>%s</uuid>%s<metadata>"
                 "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1'><vswitch:nic alias='ua-net0' weight='%u'/>"
                 "</vswitch:policy></metadata><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                 "<controller type='pci' index='1' model='pcie-root-port'/>"
                 "<interface type='bridge'><mac address='%s'/><source bridge='br0'/><target dev='tap%u'/>"
                 "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/></interface>"
                 "</devices></domain>",
                 number, number, number == 1 ? UUID : UUID_2, memory, weight, number == 1 ? MAC : MAC_2, number - 1);
        return xml;
}

static struct manager_nic *second(void)
{
        return nics_find(manager, UUID_2, "ua-net0");
}

static void start(unsigned number, unsigned weight)
{
        fake_guests_start(guest_xml(number, weight, ""), GUEST_RUNNING);
        settle();
        fake_guests_emit(number == 1 ? UUID : UUID_2, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
}

/* One VF to give: the other is kept in reserve. */
static void begin(void)
{
        config_switch.reserve_vfs = 1;
        config.scarcity = (struct config_scarcity){ .preempt = true, .margin = 1 };
        stage_begin();
        netns_add_veth("tap1", "guest1", "br0");
}

/* The guests of the model do what they are asked to: open a VF that they have, and let go of it. */
static void play(const char *uuid, const struct manager_nic *of)
{
        const struct guest_vf *vf = fake_guests_find_vf(uuid, "ua-vf-net0");
        struct modelled_vf *modelled = vf ? modelled_vf_find(vf->address) : NULL;

        if (!of || !modelled)
                return;
        /* One that was asked, and has closed it, is about to let go of it, whatever is wanted now. */
        if (of->decision.situation == FAILOVER_SITUATION_OFFERING && of->facts.unplug_asked == 0)
                modelled->vectors = 3;
        else if (of->decision.situation == FAILOVER_SITUATION_OFFERING)
                fake_guests_unplug(uuid, "ua-vf-net0");
        if (of->decision.situation == FAILOVER_SITUATION_WITHDRAWING)
                modelled->vectors = 0;
        if (of->decision.situation == FAILOVER_SITUATION_WITHDRAWN)
                fake_guests_unplug(uuid, "ua-vf-net0");
}

static void play_until(bool (*condition)(void), const char *what)
{
        uint64_t deadline = manager_now(manager) + 10 * USEC_PER_SEC;

        while (!condition()) {
                play(UUID, nic());
                play(UUID_2, second());
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                ck_assert_msg(manager_now(manager) < deadline, "never: %s (%s, %s)", what, nic()->decision.rule,
                              second() ? second()->decision.rule : "no second NIC");
        }
}
#define PLAY_UNTIL(condition) play_until(condition, #condition)

static bool has_vf(const struct manager_nic *of)
{
        return of && of->decision.situation == FAILOVER_SITUATION_ON_VF;
}

static bool first_has_it(void)
{
        return has_vf(nic()) &&
               (!second() || (second()->decision.situation == FAILOVER_SITUATION_SYNTHETIC && !second()->claim));
}

static bool second_has_it(void)
{
        return has_vf(second()) && nic()->decision.situation == FAILOVER_SITUATION_SYNTHETIC && !nic()->claim;
}

static bool second_waits(void)
{
        return second() && second()->decision.situation == FAILOVER_SITUATION_SYNTHETIC &&
               second()->decision.reason == FAILOVER_REASON_NO_FREE_VF;
}

static void set_weight(unsigned number, unsigned weight)
{
        fake_guests_edit(guest_xml(number, weight, ""));
        settle();
}

START_TEST(the_higher_weight_takes_the_vf)
{
        begin();
        start(1, 50);
        PLAY_UNTIL(first_has_it);
        start(2, 50);
        PLAY_UNTIL(second_waits);
        ck_assert(first_has_it());
        fake_guests_end(UUID_2, "stopped/destroyed");
        settle();
        start(2, 80);
        PLAY_UNTIL(second_has_it);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_NO_FREE_VF);
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 2);
        stage_end();
}
END_TEST

static bool first_yields(void)
{
        return nic()->decision.situation == FAILOVER_SITUATION_WITHDRAWING &&
               nic()->decision.reason == FAILOVER_REASON_PREEMPTED;
}

START_TEST(a_change_of_mind_leaves_the_vf_to_its_holder)
{
        begin();
        start(1, 50);
        PLAY_UNTIL(first_has_it);
        start(2, 80);
        RUN_UNTIL(first_yields);
        /* The guest has not let go yet, and the other one does not want it any more. */
        fake_guests_end(UUID_2, "stopped/destroyed");
        settle();
        ck_assert(nic()->decision.wants_vf);
        expect_reachable();
        /* It obeys all the same, and gets its VF anew. */
        PLAY_UNTIL(first_has_it);
        stage_end();
}
END_TEST

START_TEST(nobody_is_pushed_out_before_his_time)
{
        begin();
        config.scarcity.stay_usec = 3600 * USEC_PER_SEC;
        stop_daemon();
        start_daemon();
        start(1, 50);
        PLAY_UNTIL(first_has_it);
        start(2, 80);
        PLAY_UNTIL(second_waits);
        settle();
        ck_assert(first_has_it());
        ck_assert_uint_lt(manager->arbiter.deadline, FAILOVER_NEVER);
        stage_end();
}
END_TEST

START_TEST(weight_zero_gives_the_vf_to_the_other)
{
        begin();
        start(1, 50);
        PLAY_UNTIL(first_has_it);
        start(2, 40);
        PLAY_UNTIL(second_waits);
        set_weight(1, 0);
        PLAY_UNTIL(second_has_it);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_WEIGHT_ZERO);
        stage_end();
}
END_TEST

static bool attach_has_failed(void)
{
        return nic() && nic()->facts.failure == FAILOVER_REASON_ATTACH_FAILED && !nic()->claim;
}

static bool is_frozen(void)
{
        return second() && second()->decision.reason == FAILOVER_REASON_FROZEN;
}

START_TEST(too_many_failures_freeze_the_host_but_not_a_request)
{
        const struct control_caller caller = { .connection = 7, .description = "the test" };

        begin();
        config.scarcity.failures = 1;
        config.scarcity.failures_usec = config.scarcity.freeze_usec = 3600 * USEC_PER_SEC;
        fake_guests_fail(FAKE_ATTACH, -EIO, "no");
        start(1, 50);
        RUN_UNTIL(attach_has_failed);
        fake_guests_fail(FAKE_ATTACH, 0, NULL);
        start(2, 80);
        RUN_UNTIL(is_frozen);
        settle();
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 1);
        ck_assert_int_eq(provider_table.nic_acquire(manager, UUID_2, "ua-net0", &caller, NULL), 0);
        PLAY_UNTIL(second_has_it);
        stage_end();
}
END_TEST

START_TEST(the_pause_after_a_failure_grows)
{
        uint64_t first;

        begin();
        fake_guests_fail(FAKE_ATTACH, -EIO, "no");
        start(1, 50);
        RUN_UNTIL(attach_has_failed);
        first = nic()->facts.back_off_until - manager_now(manager);
        ask(true);
        RUN_UNTIL(attach_has_failed);
        ck_assert_uint_gt(nic()->facts.back_off_until - manager_now(manager), first + first / 2);
        stage_end();
}
END_TEST

static bool is_short_of_memory(void)
{
        return is_synthetic() && nic()->decision.reason == FAILOVER_REASON_MEMORY_OVERCOMMITTED;
}

START_TEST(a_guest_that_cannot_be_pinned_stays_synthetic)
{
        begin();
        /* Its QEMU is this test: much smaller than what the guest may have. */
        netns_run("echo %d > %s/g1.pid", (int) getpid(), directory);
        memory_pid_directory = directory;
        fake_guests_start(guest_xml(1, 50, "<memory unit='KiB'>1099511627776</memory>"), GUEST_RUNNING);
        settle();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        RUN_UNTIL(is_short_of_memory);
        settle();
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        expect_reachable();
        /* Another one passes it. */
        start(2, 10);
        PLAY_UNTIL(second_has_it);
        stage_end();
}
END_TEST

#define ADD(test) netns_test_add(suite, #test, test)

int main(void)
{
        Suite *suite = suite_create("manager scarcity");

        ADD(the_higher_weight_takes_the_vf);
        ADD(a_change_of_mind_leaves_the_vf_to_its_holder);
        ADD(nobody_is_pushed_out_before_his_time);
        ADD(weight_zero_gives_the_vf_to_the_other);
        ADD(too_many_failures_freeze_the_host_but_not_a_request);
        ADD(the_pause_after_a_failure_grows);
        ADD(a_guest_that_cannot_be_pinned_stays_synthetic);
        return netns_test_run(suite);
}
