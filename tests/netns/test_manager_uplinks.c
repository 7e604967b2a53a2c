/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is beneath the bridge, and what becomes of NICs on VFs when it changes: real bridges, bonds and VLAN devices,
 * modelled PFs. up0 is the stage's PF, up1 a second one; their VFs are 0000:01:10.x and 0000:02:10.x.
 */

#include "tests/netns/manager_stage.h"

#include <stdio.h>
#include <string.h>

#define FIRST_VF_OF_UP0 "0000:01:10.0"
#define FIRST_VF_OF_UP1 "0000:02:10.0"

static char *both[] = { (char[]){ "up0" }, (char[]){ "up1" } };
static char *bond[] = { (char[]){ "bond0" } };
static char *renamed[] = { (char[]){ "up9" }, (char[]){ "up0" } };
static char *vlan_device[] = { (char[]){ "v20" } };
static struct modelled_pf *second;

static void add_second_pf(void)
{
        netns_add_veth("up1", "wire1", NULL);
        second = modelled_pf_add("up1", netns_ifindex("up1"), 2);
        for (size_t i = 0; i < second->vf_count; i++) {
                second->vfs[i].identity.driver[0] = '\0';
                second->vfs[i].identity.netdev[0] = '\0';
        }
}

static void begin(char **uplinks, size_t count)
{
        config_switch.uplinks = uplinks;
        config_switch.uplinks_count = count;
        stage_begin();
        add_second_pf();
}

/* Two ports of the bridge that forward; nothing is beyond them. */
static void begin_with_two_ports(void)
{
        begin(both, 2);
        netns_run("ip link set up1 master br0");
}

/* Two ports of the bridge that lead to another bridge, so that the spanning tree blocks the second. */
static void begin_with_loop(void)
{
        begin(both, 2);
        netns_run(
                "ip link add br9 type bridge priority 0 stp_state 1 forward_delay 200 hello_time 100; ip link set br9 "
                "up; ip link set br0 type bridge stp_state 1 forward_delay 200; ip link set wire master br9; ip link "
                "set wire1 master br9; bridge link set dev up0 cost 10; ip link set up1 master br0; bridge link set "
                "dev up1 cost 20");
}

static bool is_second_blocked(void)
{
        return strstr(netns_output("bridge link show dev up1"), "state blocking") != NULL;
}

static void begin_with_bond(const char *options)
{
        begin(bond, 1);
        netns_run("ip link add bond0 type bond %s", options);
        netns_run("for i in up0 up1; do ip link set $i nomaster; ip link set $i down; ip link set $i master bond0; "
                  "ip link set $i up; done; ip link set bond0 up master br0");
}

/* A bond takes a member for its active one when it has seen its carrier. */
static void set_active(const char *member)
{
        netns_run(
                "for i in $(seq 100); do ip link set bond0 type bond active_slave %s 2>/dev/null && exit 0; sleep 0.1; "
                "done; ip link set bond0 type bond active_slave %s",
                member, member);
}

static void put_on_vf(void)
{
        start_guest();
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
}

static void let_go_of_vf(void)
{
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
}

static bool knows_two_pfs(void)
{
        return manager->switches[0].pfs_count == 2;
}

static bool is_offering_second(void)
{
        return is_offering() && strcmp(nic()->claim->vf_address, FIRST_VF_OF_UP1) == 0;
}

static bool has_no_obstacle(void)
{
        return manager->switches[0].pf != NULL && manager->switches[0].obstacle == FAILOVER_REASON_NONE;
}

static int active_member;

static bool has_active(void)
{
        return manager->switches[0].pf && manager->switches[0].pf->ifindex == active_member;
}

static bool has_no_active(void)
{
        return manager->switches[0].pf == NULL && manager->switches[0].obstacle == FAILOVER_REASON_UPLINK_DOWN;
}

static void run_until_active(const struct modelled_pf *model)
{
        active_member = model->pf.ifindex;
        RUN_UNTIL(has_active);
}

static enum failover_reason wanted_reason;

static bool is_synthetic_for_that_reason(void)
{
        return is_synthetic() && nic()->decision.reason == wanted_reason && nic()->facts.pin == FAILOVER_PIN_TAP;
}

static void run_until_synthetic_for(enum failover_reason reason)
{
        wanted_reason = reason;
        RUN_UNTIL(is_synthetic_for_that_reason);
}

static void expect_given_back(const struct modelled_pf *model)
{
        ck_assert(vswitch_mac_is_zero(&model->vfs[0].attributes.mac));
        ck_assert_str_eq(model->vfs[0].identity.driver, "");
}

/* ---- ports of the bridge ---- */

START_TEST(a_second_uplink_that_forwards_sends_guests_back)
{
        begin(both, 2);
        put_on_vf();
        ck_assert_str_eq(nic()->claim->pf, "up0");
        netns_run("ip link set up1 master br0");
        RUN_UNTIL(is_withdrawing);
        let_go_of_vf();
        run_until_synthetic_for(FAILOVER_REASON_SEVERAL_UPLINKS);
        ck_assert(modelled_pf_has_filter(pf, &mac));
        ck_assert(modelled_pf_has_filter(second, &mac));
        expect_given_back(pf);
        netns_run("ip link set up1 down");
        RUN_UNTIL(is_offering);
        ck_assert_str_eq(nic()->claim->vf_address, FIRST_VF_OF_UP0);
        ck_assert(knows_two_pfs());
        stage_end();
}
END_TEST

static bool is_offering_first(void)
{
        return is_offering() && strcmp(nic()->claim->vf_address, FIRST_VF_OF_UP0) == 0;
}

START_TEST(a_spanning_tree_that_turns_round_moves_guests_to_the_other_pf)
{
        unsigned announced;

        begin_with_loop();
        start_guest();
        RUN_UNTIL(is_offering_first);
        ck_assert_int_eq(software_switch->rules[0].uplink, pf->pf.ifindex);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        RUN_UNTIL(knows_two_pfs);
        RUN_UNTIL(is_second_blocked);
        settle();
        ck_assert(is_on_vf());
        netns_run("bridge link set dev up0 cost 1000");
        RUN_UNTIL(is_withdrawing);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_STP_NOT_FORWARDING);
        announced = software_switch->announcements;
        run_until_active(second);
        settle();
        /* Nobody else tells the wire that the guest is behind the other port now. */
        ck_assert_uint_gt(software_switch->announcements, announced);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_UPLINK_NOT_ACTIVE);
        /* What comes and leaves does so by the other port now, and nothing is left on the first one. */
        ck_assert_int_eq(software_switch->pins[0].port, second->pf.ifindex);
        ck_assert_uint_eq(software_switch->rule_count, 1);
        ck_assert_int_eq(software_switch->rules[0].uplink, second->pf.ifindex);
        ck_assert(modelled_pf_has_filter(second, &mac));
        ck_assert(vswitch_mac_equal(&pf->vfs[0].attributes.mac, &mac));
        let_go_of_vf();
        RUN_UNTIL(is_offering_second);
        expect_given_back(pf);
        ck_assert(modelled_pf_has_filter(pf, &mac));
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert(!modelled_pf_has_filter(second, &mac));
        stage_end();
}
END_TEST

START_TEST(a_port_that_may_not_forward_yet_gives_no_vfs)
{
        stage_begin();
        put_on_vf();
        netns_run("ip link set br0 type bridge stp_state 1 forward_delay 200; ip link set wire down; ip link set wire "
                  "up");
        RUN_UNTIL(is_withdrawing);
        let_go_of_vf();
        run_until_synthetic_for(FAILOVER_REASON_STP_NOT_FORWARDING);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(a_filter_that_one_pf_lost_is_put_back)
{
        begin_with_two_ports();
        RUN_UNTIL(knows_two_pfs);
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert(modelled_pf_has_filter(pf, &mac));
        ck_assert(modelled_pf_has_filter(second, &mac));
        second->filter_count = 0;
        manager_all_dirty(manager, true);
        settle();
        ck_assert(modelled_pf_has_filter(second, &mac));
        /* Also where a daemon finds it so when it starts. */
        stop_daemon();
        pf->filter_count = 0;
        start_daemon();
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert(modelled_pf_has_filter(pf, &mac));
        ck_assert(modelled_pf_has_filter(second, &mac));
        stage_end();
}
END_TEST

START_TEST(a_pf_that_leaves_the_bridge_keeps_nothing_of_ours)
{
        begin_with_two_ports();
        RUN_UNTIL(knows_two_pfs);
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert(modelled_pf_has_filter(second, &mac));
        netns_run("ip link set up1 nomaster");
        settle();
        ck_assert_uint_eq(manager->switches[0].pfs_count, 1);
        ck_assert(!modelled_pf_has_filter(second, &mac));
        ck_assert(modelled_pf_has_filter(pf, &mac));
        stage_end();
}
END_TEST

/* ---- PFs that go, come and are renamed ---- */

static bool has_no_pf(void)
{
        return manager->switches[0].pfs_count == 0;
}

START_TEST(a_pf_that_goes_gets_its_vf_back_and_is_taken_up_again)
{
        stage_begin();
        put_on_vf();
        netns_run("ip link del up0");
        RUN_UNTIL(has_no_pf);
        RUN_UNTIL(is_withdrawing);
        ck_assert_int_eq(software_switch->pins[0].port, tap);
        let_go_of_vf();
        run_until_synthetic_for(FAILOVER_REASON_NO_UPLINK);
        expect_given_back(pf);
        netns_add_veth("up0", "wire", NULL);
        pf->pf.ifindex = netns_ifindex("up0");
        netns_run("ip link set up0 master br0");
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(a_claim_of_a_vf_that_went_with_its_pf_is_dropped)
{
        stage_begin();
        put_on_vf();
        netns_run("ip link del up0");
        pf->vf_count = 0;
        let_go_of_vf();
        RUN_UNTIL(is_synthetic);
        ck_assert_str_eq(netns_output("ls %s/claims | grep json || true", directory), "");
        stage_end();
}
END_TEST

static bool is_claimed_from_up9(void)
{
        return nic() && nic()->claim && strcmp(nic()->claim->pf, "up9") == 0;
}

static void rename_pf(void)
{
        snprintf(pf->pf.name, sizeof(pf->pf.name), "up9");
        netns_run("ip link set up0 name up9");
}

START_TEST(a_pf_that_is_renamed_keeps_its_guests)
{
        unsigned writes;

        config_switch.uplinks = renamed;
        config_switch.uplinks_count = 2;
        stage_begin();
        put_on_vf();
        settle();
        writes = pf->writes + software_switch->writes;
        rename_pf();
        RUN_UNTIL(is_claimed_from_up9);
        settle();
        ck_assert(is_on_vf());
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        ck_assert_str_eq(netns_output("grep -c up9 %s/claims/*.json", directory), "1\n");
        stop_daemon();
        start_daemon();
        RUN_UNTIL(is_on_vf);
        ask(false);
        RUN_UNTIL(is_withdrawing);
        let_go_of_vf();
        run_until_synthetic_for(FAILOVER_REASON_HELD);
        expect_given_back(pf);
        stage_end();
}
END_TEST

START_TEST(a_pf_that_was_renamed_while_no_daemon_ran_is_known_by_its_vf)
{
        stage_begin();
        put_on_vf();
        stop_daemon();
        rename_pf();
        config_switch.uplinks = renamed;
        start_daemon();
        RUN_UNTIL(is_claimed_from_up9);
        RUN_UNTIL(is_on_vf);
        stage_end();
}
END_TEST

START_TEST(a_pf_is_not_closed_under_a_worker)
{
        stage_begin();
        fake_guests_hold(FAKE_RUN, true);
        start_guest();
        settle();
        ck_assert_int_eq(nic()->facts.call, FAILOVER_CALL_PREPARE);
        netns_run("ip link del up0");
        RUN_UNTIL(has_no_pf);
        ck_assert_ptr_eq(opened_pfs_of_claim(nic()), &pf->pf);
        fake_guests_answer(FAKE_RUN, 0, NULL);
        fake_guests_hold(FAKE_RUN, false);
        run_until_synthetic_for(FAILOVER_REASON_NO_UPLINK);
        expect_given_back(pf);
        stage_end();
}
END_TEST

/* ---- carrier ---- */

START_TEST(a_lost_carrier_sends_guests_back_until_it_returns)
{
        stage_begin();
        put_on_vf();
        netns_run("ip link set wire down");
        RUN_UNTIL(is_withdrawing);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_UPLINK_DOWN);
        let_go_of_vf();
        run_until_synthetic_for(FAILOVER_REASON_UPLINK_DOWN);
        netns_run("ip link set wire up");
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

static uint64_t fast_until;

static bool is_fast_again(void)
{
        return manager->carrier_fast_until > fast_until;
}

static bool is_quiet(void)
{
        return manager->carrier_until == 0;
}

START_TEST(bursts_end_and_a_flood_of_taps_does_not_keep_them_fast)
{
        uint64_t until;

        stage_begin();
        RUN_UNTIL(is_quiet);
        netns_run("ip tuntap add dev t0 mode tap");
        settle();
        fast_until = manager->carrier_fast_until;
        until = manager->carrier_until;
        ck_assert_uint_ge(fast_until, manager_now(manager));
        ck_assert_uint_eq(fast_until, until);
        while (manager_now(manager) < fast_until) {
                netns_run("ip link set t0 up; ip link set t0 down");
                settle();
        }
        ck_assert_uint_eq(manager->carrier_fast_until, fast_until);
        ck_assert_uint_gt(manager->carrier_until, until);
        /* A PF that changes is worth looking closely again. */
        netns_run("ip link set wire down");
        RUN_UNTIL(is_fast_again);
        stage_end();
}
END_TEST

START_TEST(a_switch_without_vfs_is_not_looked_at)
{
        config_switch.iov = false;
        stage_begin();
        RUN_UNTIL(is_quiet);
        netns_run("ip tuntap add dev t0 mode tap");
        settle();
        ck_assert(is_quiet());
        stage_end();
}
END_TEST

/* ---- settings of VFs ---- */

/* A notification about the PF that says nothing. */
static void say_nothing(void)
{
        static unsigned count;

        netns_run("ip link set up0 alias a%u", count++);
        settle();
}

/* One that the daemon does not care for shows what it has looked at. */
START_TEST(a_setting_that_is_made_with_a_change_of_the_link_is_missed_by_nobody)
{
        struct modelled_vf *vf;
        unsigned reads;

        stage_begin();
        start_guest_on_vf();
        settle();
        vf = modelled_vf_find(nic()->claim->vf_address);
        say_nothing();
        reads = software_switch->pin_reads;
        say_nothing();
        ck_assert_uint_eq(software_switch->pin_reads, reads);

        vf->attributes.max_rate = 100;
        netns_run("ip link set up0 address 02:00:00:00:00:77");
        settle();
        ck_assert_uint_gt(software_switch->pin_reads, reads);
        reads = software_switch->pin_reads;
        vf->attributes.max_rate = 0;
        say_nothing();
        ck_assert_uint_gt(software_switch->pin_reads, reads);
        stage_end();
}
END_TEST

/* ---- bonds and VLAN devices ---- */

START_TEST(a_bond_whose_active_member_changes_moves_its_guests)
{
        int port;

        begin_with_bond("mode active-backup miimon 100");
        set_active("up0");
        RUN_UNTIL(knows_two_pfs);
        run_until_active(pf);
        port = netns_ifindex("bond0");
        put_on_vf();
        ck_assert_str_eq(nic()->claim->vf_address, FIRST_VF_OF_UP0);
        ck_assert_int_eq(software_switch->pins[0].port, port);
        set_active("up1");
        RUN_UNTIL(is_withdrawing);
        settle();
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_UPLINK_NOT_ACTIVE);
        ck_assert(modelled_pf_has_filter(second, &mac));
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert_int_eq(software_switch->rules[0].uplink, port);
        let_go_of_vf();
        RUN_UNTIL(is_offering_second);
        expect_given_back(pf);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert(!modelled_pf_has_filter(second, &mac));
        stage_end();
}
END_TEST

/* Where the VF must not share its MAC with the PF while the guest drives it, another PF still may have it. */
START_TEST(cards_that_nobody_measured_offer_both_paths_too)
{
        emulated = false;
        begin_with_bond("mode active-backup miimon 100");
        set_active("up0");
        RUN_UNTIL(knows_two_pfs);
        run_until_active(pf);
        put_on_vf();
        set_active("up1");
        RUN_UNTIL(is_withdrawing);
        settle();
        ck_assert(modelled_pf_has_filter(second, &mac));
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        stage_end();
}
END_TEST

START_TEST(a_bond_follows_its_members_carrier)
{
        begin_with_bond("mode active-backup miimon 20");
        set_active("up0");
        RUN_UNTIL(knows_two_pfs);
        run_until_active(pf);
        put_on_vf();
        netns_run("ip link set wire down");
        RUN_UNTIL(is_withdrawing);
        run_until_active(second);
        let_go_of_vf();
        RUN_UNTIL(is_offering_second);
        netns_run("ip link set wire1 down");
        RUN_UNTIL(is_withdrawn);
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
        run_until_synthetic_for(FAILOVER_REASON_UPLINK_DOWN);
        RUN_UNTIL(has_no_active);
        ck_assert(modelled_pf_has_filter(pf, &mac));
        ck_assert(modelled_pf_has_filter(second, &mac));
        stage_end();
}
END_TEST

START_TEST(a_bond_that_uses_all_members_gives_no_vfs)
{
        begin_with_bond("mode balance-xor miimon 100");
        RUN_UNTIL(knows_two_pfs);
        start_guest();
        run_until_synthetic_for(FAILOVER_REASON_UPLINK_IN_LAG);
        settle();
        ck_assert(modelled_pf_has_filter(pf, &mac));
        ck_assert(modelled_pf_has_filter(second, &mac));
        stage_end();
}
END_TEST

START_TEST(a_vlan_device_on_a_bond_tells_the_tag)
{
        begin(vlan_device, 1);
        netns_run("ip link add bond0 type bond mode active-backup miimon 100; for i in up0 up1; do ip link set $i "
                  "nomaster; ip link set $i down; ip link set $i master bond0; ip link set $i up; done; ip link set "
                  "bond0 up; ip link add link bond0 name v20 type vlan id 20; ip link set v20 up master br0");
        RUN_UNTIL(knows_two_pfs);
        RUN_UNTIL(has_no_obstacle);
        for (size_t i = 0; i < 2; i++) {
                ck_assert_uint_eq(manager->switches[0].pfs[i].wire_vlan, 20);
                ck_assert_int_eq(manager->switches[0].pfs[i].port, netns_ifindex("v20"));
        }
        ck_assert_int_eq(manager->switches[0].uplink.ifindex, netns_ifindex("v20"));
        stage_end();
}
END_TEST

#define ADD(test) netns_test_add(suite, #test, test)

int main(void)
{
        Suite *suite = suite_create("manager: uplinks");

        ADD(a_second_uplink_that_forwards_sends_guests_back);
        ADD(a_spanning_tree_that_turns_round_moves_guests_to_the_other_pf);
        ADD(a_port_that_may_not_forward_yet_gives_no_vfs);
        ADD(a_filter_that_one_pf_lost_is_put_back);
        ADD(a_pf_that_leaves_the_bridge_keeps_nothing_of_ours);
        ADD(a_pf_that_goes_gets_its_vf_back_and_is_taken_up_again);
        ADD(a_claim_of_a_vf_that_went_with_its_pf_is_dropped);
        ADD(a_pf_that_is_renamed_keeps_its_guests);
        ADD(a_pf_that_was_renamed_while_no_daemon_ran_is_known_by_its_vf);
        ADD(a_pf_is_not_closed_under_a_worker);
        ADD(a_lost_carrier_sends_guests_back_until_it_returns);
        ADD(bursts_end_and_a_flood_of_taps_does_not_keep_them_fast);
        ADD(a_switch_without_vfs_is_not_looked_at);
        ADD(a_setting_that_is_made_with_a_change_of_the_link_is_missed_by_nobody);
        if (netns_test_kernel_has("bonds", "ip link add b0 type bond")) {
                ADD(a_bond_whose_active_member_changes_moves_its_guests);
                ADD(cards_that_nobody_measured_offer_both_paths_too);
                ADD(a_bond_follows_its_members_carrier);
                ADD(a_bond_that_uses_all_members_gives_no_vfs);
        }
        if (netns_test_kernel_has("VLAN devices on bonds",
                                  "ip link add b0 type bond && ip link add link b0 name v20 type vlan id 20"))
                ADD(a_vlan_device_on_a_bond_tells_the_tag);
        return netns_test_run(suite);
}
