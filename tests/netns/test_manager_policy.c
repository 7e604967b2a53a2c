/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One policy, both paths: what a guest's XML and the configuration say is true of the tap and of the VF, what the card
 * cannot do keeps the NIC off it with the reason, and no change of it cuts a sender off.
 */

#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NIC_POLICY(attributes)                                                                                         \
        "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1'><vswitch:nic alias='ua-net0' " attributes                \
        "/></vswitch:policy>"

static const char *xml_of(const char *metadata, const char *inside)
{
        static char xml[4096];

        snprintf(xml, sizeof(xml),
                 "<domain type='kvm' id='1'><name>g1</name><uuid>" UUID "</uuid><metadata>%s</metadata>"
                 "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                 "<controller type='pci' index='1' model='pcie-root-port'/>"
                 "<interface type='bridge'><mac address='" MAC "'/><source bridge='br0'/><target dev='tap0'/>"
                 "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/>%s</interface>"
                 "</devices></domain>",
                 metadata, inside);
        return xml;
}

static struct modelled_port *tap_port(void)
{
        return modelled_port_find(software_switch, tap);
}

static struct modelled_port *uplink_port(void)
{
        return modelled_port_find(software_switch, pf->pf.ifindex);
}

/* A bridge that filters VLANs and carries 20 and 30 on its uplink. */
static void filter_vlans(void)
{
        software_switch->filters_vlans = true;
        modelled_port_add_vlan(uplink_port(), 20, true);
        modelled_port_add_vlan(uplink_port(), 30, true);
}

static void start_with(const char *metadata, const char *inside)
{
        fake_guests_start(xml_of(metadata, inside), GUEST_RUNNING);
        settle();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
}

static void drive_to_vf(void)
{
        RUN_UNTIL(is_offering);
        expect_reachable();
        drive_guest(true);
        expect_reachable();
        RUN_UNTIL(is_on_vf);
        settle();
        expect_reachable();
}

static void end_guest(void)
{
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
}

static const struct pf_vf_attributes *vf_attributes(void)
{
        return &pf->vfs[0].attributes;
}

/* Every turn of the loop, and at the end, all senders in the tap's network reach the guest. */
static void run_reachable_until(bool (*condition)(void), const char *what)
{
        uint64_t deadline = manager_now(manager) + 10 * USEC_PER_SEC;

        while (!condition()) {
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                expect_reachable();
                ck_assert_msg(manager_now(manager) < deadline, "never: %s (rule %s)", what, nic()->decision.rule);
        }
        settle();
        expect_reachable();
}

/* Nobody who is in another VLAN of the switch reaches the guest. */
static void expect_unreachable_in(uint16_t vlan)
{
        for (int sender = 0; sender < MODELLED_SENDER_MAX; sender++)
                ck_assert_uint_eq(modelled_paths_in_vlan(pf, software_switch, tap, &mac, (enum modelled_sender) sender,
                                                         vlan),
                                  0);
}

static bool is_offering_again(void)
{
        return fake_guests_count(FAKE_ATTACH) == 2 && is_offering();
}

static void make_tap_stale(void)
{
        static unsigned count;

        netns_run("ip link set tap0 alias change%u", ++count);
}

/* ---- both paths ---- */

START_TEST(a_policy_is_the_same_on_both_paths)
{
        stage_begin();
        filter_vlans();
        fake_guests_start(xml_of(NIC_POLICY("vlan='20' vlan-qos='3' spoof-check='yes' trust='yes' min-rate='100' "
                                            "max-rate='1000'"),
                                 ""),
                          GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        expect_reachable();
        expect_unreachable_in(1);
        expect_unreachable_in(30);
        ck_assert_uint_eq(tap_port()->pvid, 20);
        ck_assert(tap_port()->guard.check_source);
        ck_assert(vswitch_mac_equal(&tap_port()->guard.mac, &mac));
        ck_assert_uint_eq(tap_port()->guard.max_rate, 1000);
        ck_assert_uint_eq(software_switch->pins[0].vlan, 20);
        ck_assert_uint_eq(nic()->wire_vlan, 20);

        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        drive_to_vf();
        expect_unreachable_in(1);
        expect_unreachable_in(30);
        ck_assert_uint_eq(vf_attributes()->vlan, 20);
        ck_assert_uint_eq(vf_attributes()->qos, 3);
        ck_assert_uint_eq(vf_attributes()->vlan_protocol, 0x8100);
        ck_assert(vf_attributes()->spoof_check && vf_attributes()->trust);
        ck_assert_uint_eq(vf_attributes()->min_rate, 100);
        ck_assert_uint_eq(vf_attributes()->max_rate, 1000);
        ck_assert_uint_eq(pf->vfs[0].disturbances, 0);

        end_guest();
        ck_assert_uint_eq(vf_attributes()->vlan, 0);
        ck_assert_uint_eq(vf_attributes()->max_rate, 0);
        ck_assert(!vf_attributes()->trust);
        stage_end();
}
END_TEST

START_TEST(without_a_policy_the_tap_is_left_alone)
{
        stage_begin();
        pf->vfs[0].attributes.spoof_check = false;
        start_with("", "");
        drive_to_vf();
        ck_assert(vf_attributes()->spoof_check);
        ck_assert(!vf_attributes()->trust);
        ck_assert(!tap_port()->guard.check_source);
        ck_assert_uint_eq(tap_port()->guard.max_rate, 0);
        end_guest();
        ck_assert(!vf_attributes()->spoof_check);
        stage_end();
}
END_TEST

START_TEST(the_configuration_speaks_where_the_guest_does_not)
{
        config_switch.policy = (struct port_policy){
                .weight = 50, .vlan = 30, .vlan_protocol = 0x8100, .spoof_check = PORT_POLICY_YES, .max_rate = 500
        };
        stage_begin();
        filter_vlans();
        start_with(NIC_POLICY("vlan='20' spoof-check='no'"), "");
        drive_to_vf();
        ck_assert_uint_eq(tap_port()->pvid, 20);
        ck_assert_uint_eq(vf_attributes()->vlan, 20);
        ck_assert(!vf_attributes()->spoof_check);
        ck_assert(!tap_port()->guard.check_source);
        ck_assert_uint_eq(vf_attributes()->max_rate, 500);
        ck_assert_uint_eq(tap_port()->guard.max_rate, 500);
        end_guest();
        stage_end();
}
END_TEST

/* `tap` and `vf`: Mbit/s that we limit there. */
static const struct {
        const char *metadata, *inside;
        uint32_t tap, vf;
} rates[] = {
        { "", "<bandwidth><outbound average='12500'/></bandwidth>", 0, 100 },
        { NIC_POLICY("max-rate='50'"), "<bandwidth><outbound average='12500'/></bandwidth>", 50, 50 },
        { NIC_POLICY("max-rate='200'"), "<bandwidth><outbound average='12500'/></bandwidth>", 200, 100 },
        { NIC_POLICY("max-rate='0'"), "<bandwidth><outbound average='12500'/></bandwidth>", 0, 100 },
        { NIC_POLICY("max-rate='70'"), "", 70, 70 },
};

START_TEST(what_libvirt_limits_on_the_tap_is_limited_on_the_vf)
{
        stage_begin();
        start_with(rates[_i].metadata, rates[_i].inside);
        drive_to_vf();
        ck_assert_uint_eq(tap_port()->guard.max_rate, rates[_i].tap);
        ck_assert_uint_eq(vf_attributes()->max_rate, rates[_i].vf);
        stage_end();
}
END_TEST

START_TEST(an_access_port_of_somebody_else_decides_the_vlan)
{
        stage_begin();
        filter_vlans();
        modelled_port_remove_vlan(tap_port(), 1);
        modelled_port_add_vlan(tap_port(), 30, false);
        tap_port()->pvid = 30;
        start_with("", "");
        drive_to_vf();
        ck_assert_uint_eq(vf_attributes()->vlan, 30);
        expect_unreachable_in(20);
        stage_end();
}
END_TEST

START_TEST(a_vlan_that_leaves_without_a_tag_needs_none_on_the_vf)
{
        stage_begin();
        filter_vlans();
        start_with("", "");
        drive_to_vf();
        ck_assert_uint_eq(nic()->bridge_vlan, 1);
        ck_assert_uint_eq(nic()->port_vlan, 0);
        ck_assert_uint_eq(vf_attributes()->vlan, 0);
        expect_unreachable_in(20);
        stage_end();
}
END_TEST

/* ---- what keeps a NIC from a VF ---- */

static void no_vlan_filtering(void)
{
        software_switch->filters_vlans = false;
}

static void trunk_on_port(void)
{
        modelled_port_add_vlan(tap_port(), 20, true);
}

static void tagged_on_tap(void)
{
        modelled_port_add_vlan(tap_port(), 1, true);
}

static void other_untagged_vlan_on_uplink(void)
{
        uplink_port()->pvid = 7;
}

static void foreign_filters(void)
{
        tap_port()->foreign = true;
}

static void refuse_rate(void)
{
        pf->refused_attributes = PF_VF_RATE;
}

static void dislike_rate(void)
{
        pf->invalid_attributes = PF_VF_RATE;
}

static void refuse_trust(void)
{
        pf->refused_attributes = PF_VF_TRUST;
}

static void dislike_spoof_check(void)
{
        pf->vfs[0].attributes.spoof_check = false;
        pf->vfs[1].attributes.spoof_check = false;
        pf->invalid_attributes = PF_VF_SPOOF_CHECK;
}

static void without_trust(void)
{
        pf->vfs[0].attributes.valid &= ~(uint32_t) PF_VF_TRUST;
        pf->vfs[1].attributes.valid &= ~(uint32_t) PF_VF_TRUST;
}

static void dislike_vlan(void)
{
        pf->invalid_attributes = PF_VF_VLAN;
}

/* `policy`: attributes of the NIC's element. */
#define OBSTACLE(policy, inside, set_up, reason, overridable)                                                          \
        {                                                                                                              \
                NIC_POLICY(policy), NIC_POLICY(policy " prefer-vf='yes'"), inside, set_up, FAILOVER_REASON_##reason,   \
                        overridable                                                                                    \
        }

static const struct {
        const char *metadata, *preferring, *inside;
        void (*set_up)(void);
        enum failover_reason reason;
        bool overridable;
} obstacles[] = {
        OBSTACLE("vlan='nonsense'", "", NULL, BAD_POLICY, false),
        OBSTACLE("min-rate='200'", "<bandwidth><outbound average='12500'/></bandwidth>", NULL, BAD_POLICY, false),
        OBSTACLE("", "<link state='down'/>", NULL, LINK_DOWN, false),
        OBSTACLE("vlan='20'", "", no_vlan_filtering, VLAN_NOT_FILTERED, false),
        OBSTACLE("", "<vlan trunk='yes'><tag id='20'/><tag id='30'/></vlan>", NULL, VLAN_TRUNK, false),
        OBSTACLE("", "", trunk_on_port, VLAN_TRUNK, false),
        OBSTACLE("", "", tagged_on_tap, VLAN_TRUNK, false),
        OBSTACLE("vlan='40'", "", NULL, VLAN_NOT_ON_UPLINK, false),
        OBSTACLE("", "", other_untagged_vlan_on_uplink, VLAN_NOT_ON_UPLINK, false),
        OBSTACLE("vlan='20' vlan-protocol='802.1ad'", "", NULL, POLICY_NOT_ON_VF, false),
        OBSTACLE("vlan='20'", "", dislike_vlan, POLICY_NOT_ON_VF, false),
        OBSTACLE("weight='0'", "", NULL, WEIGHT_ZERO, false),
        OBSTACLE("", "<filterref filter='clean-traffic'/>", NULL, NETWORK_FILTER, true),
        OBSTACLE("", "<port isolated='yes'/>", NULL, PORT_ISOLATED, true),
        OBSTACLE("", "", foreign_filters, TAP_FILTERS, true),
        OBSTACLE("", "<bandwidth><inbound average='1000'/></bandwidth>", NULL, POLICY_NOT_ON_VF, true),
        OBSTACLE("max-rate='100'", "", refuse_rate, POLICY_NOT_ON_VF, true),
        OBSTACLE("min-rate='100'", "", dislike_rate, POLICY_NOT_ON_VF, true),
        OBSTACLE("trust='yes'", "", refuse_trust, POLICY_NOT_ON_VF, true),
        OBSTACLE("trust='yes'", "", without_trust, POLICY_NOT_ON_VF, true),
        OBSTACLE("spoof-check='yes'", "", dislike_spoof_check, POLICY_NOT_ON_VF, true),
};

static enum failover_reason expected_reason;

static bool is_kept_away(void)
{
        return is_synthetic() && nic()->decision.reason == expected_reason;
}

START_TEST(an_obstacle_keeps_the_nic_synthetic)
{
        unsigned writes;

        stage_begin();
        filter_vlans();
        if (obstacles[_i].set_up)
                obstacles[_i].set_up();
        expected_reason = obstacles[_i].reason;
        start_with(obstacles[_i].metadata, obstacles[_i].inside);
        RUN_UNTIL(is_kept_away);
        settle();
        ck_assert(is_kept_away());
        if (expected_reason != FAILOVER_REASON_VLAN_NOT_ON_UPLINK)
                expect_reachable();
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        ck_assert_uint_eq(manager->moves_failed, 0);
        ck_assert_str_eq(pf->vfs[0].identity.driver, "");
        /* And it is not tried again. */
        writes = pf->writes + software_switch->writes;
        manager_all_dirty(manager, true);
        make_tap_stale();
        settle();
        ck_assert(is_kept_away());
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        stage_end();
}
END_TEST

START_TEST(a_vf_that_is_preferred_overrides_what_isolates_nobody)
{
        stage_begin();
        filter_vlans();
        if (obstacles[_i].set_up)
                obstacles[_i].set_up();
        expected_reason = obstacles[_i].reason;
        start_with(obstacles[_i].preferring, obstacles[_i].inside);
        if (obstacles[_i].overridable) {
                drive_to_vf();
                ck_assert_uint_eq(vf_attributes()->max_rate, 0);
        } else {
                RUN_UNTIL(is_kept_away);
                settle();
                ck_assert(is_kept_away());
                ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        }
        stage_end();
}
END_TEST

START_TEST(a_policy_that_the_card_can_hold_after_all_is_tried)
{
        stage_begin();
        pf->invalid_attributes = PF_VF_RATE;
        expected_reason = FAILOVER_REASON_POLICY_NOT_ON_VF;
        start_with(NIC_POLICY("max-rate='100'"), "");
        RUN_UNTIL(is_kept_away);
        pf->invalid_attributes = 0;
        fake_guests_edit(xml_of(NIC_POLICY("max-rate='200'"), ""));
        drive_to_vf();
        ck_assert_uint_eq(vf_attributes()->max_rate, 200);
        stage_end();
}
END_TEST

START_TEST(a_network_that_a_kernel_refuses_keeps_the_nic_synthetic)
{
        stage_begin();
        filter_vlans();
        software_switch->vlan_error = -EIO;
        expected_reason = FAILOVER_REASON_TABLES_FAILED;
        start_with(NIC_POLICY("vlan='20'"), "");
        RUN_UNTIL(is_kept_away);
        settle();
        expect_reachable();
        software_switch->vlan_error = 0;
        modelled_port_add_vlan(tap_port(), 77, true);
        make_tap_stale();
        drive_to_vf();
        ck_assert_uint_eq(vf_attributes()->vlan, 20);
        stage_end();
}
END_TEST

/* A guard that cannot be had is no reason against a VF, which checks by itself. */
START_TEST(a_tap_that_cannot_be_guarded_does_not_keep_the_nic_from_its_vf)
{
        stage_begin();
        software_switch->guard_error = -EOPNOTSUPP;
        start_with(NIC_POLICY("spoof-check='yes'"), "");
        drive_to_vf();
        ck_assert(vf_attributes()->spoof_check);
        stage_end();
}
END_TEST

/* ---- what fits through ---- */

START_TEST(a_vf_carries_what_the_tap_carries_and_no_more)
{
        stage_begin();
        expected_reason = FAILOVER_REASON_MTU_MISMATCH;
        if (!_i)
                netns_run("ip link set tap0 mtu 9000");
        start_with("", _i ? "<mtu size='9000'/>" : "");
        RUN_UNTIL(is_kept_away);
        netns_run("ip link set up0 mtu 9000");
        settle();
        if (_i) {
                /* The bridge would not carry it. */
                ck_assert(is_kept_away());
                netns_run("ip link set tap0 mtu 9000; ip link set br0 mtu 9000");
        }
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

/* ---- changes ---- */

static bool is_pinned_in_30(void)
{
        return software_switch->pin_count == 1 && software_switch->pins[0].vlan == 30 && tap_port()->pvid == 30;
}

START_TEST(a_vlan_changes_under_traffic)
{
        stage_begin();
        filter_vlans();
        fake_guests_start(xml_of(NIC_POLICY("vlan='20'"), ""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        fake_guests_edit(xml_of(NIC_POLICY("vlan='30'"), ""));
        run_reachable_until(is_pinned_in_30, "pinned in VLAN 30");
        ck_assert_uint_eq(software_switch->pin_count, 1);
        expect_unreachable_in(20);
        stage_end();
}
END_TEST

static bool vf_is_in_30(void)
{
        return vf_attributes()->vlan == 30;
}

START_TEST(a_vlan_changes_while_the_guest_uses_its_vf)
{
        stage_begin();
        filter_vlans();
        start_with(NIC_POLICY("vlan='20'"), "");
        drive_to_vf();
        fake_guests_edit(xml_of(NIC_POLICY("vlan='30'"), ""));
        run_reachable_until(is_withdrawing, "withdrawing");
        /* As long as the guest has the VF open, everything stays in the old network. */
        ck_assert_uint_eq(tap_port()->pvid, 20);
        ck_assert_uint_eq(vf_attributes()->vlan, 20);
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_MOVING);
        drive_guest(false);
        expect_reachable();
        run_reachable_until(vf_is_in_30, "VF in VLAN 30");
        ck_assert_uint_eq(tap_port()->pvid, 30);
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
        RUN_UNTIL(is_offering_again);
        drive_to_vf();
        ck_assert_uint_eq(vf_attributes()->vlan, 30);
        ck_assert_uint_eq(pf->vfs[0].disturbances, 0);
        ck_assert_uint_eq(software_switch->pin_count, 1);
        ck_assert_uint_eq(software_switch->rule_count, 0);
        expect_unreachable_in(20);
        end_guest();
        stage_end();
}
END_TEST

START_TEST(a_tap_that_somebody_moves_takes_the_vf_along)
{
        stage_begin();
        filter_vlans();
        start_with("", "");
        drive_to_vf();
        modelled_port_remove_vlan(tap_port(), 1);
        modelled_port_add_vlan(tap_port(), 30, false);
        tap_port()->pvid = 30;
        make_tap_stale();
        RUN_UNTIL(is_withdrawing);
        drive_guest(false);
        RUN_UNTIL(vf_is_in_30);
        settle();
        expect_reachable();
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
        RUN_UNTIL(is_offering_again);
        drive_to_vf();
        ck_assert_uint_eq(pf->vfs[0].disturbances, 0);
        stage_end();
}
END_TEST

static bool has_no_uplink(void)
{
        return !nic()->facts.uplink_present;
}

START_TEST(an_uplink_that_returns_with_other_vlans_is_noticed)
{
        stage_begin();
        filter_vlans();
        fake_guests_start(xml_of(NIC_POLICY("vlan='20'"), ""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        netns_run("ip link set up0 nomaster");
        RUN_UNTIL(has_no_uplink);
        ck_assert_uint_eq(tap_port()->pvid, 20);
        modelled_port_remove_vlan(uplink_port(), 20);
        netns_run("ip link set up0 master br0");
        expected_reason = FAILOVER_REASON_VLAN_NOT_ON_UPLINK;
        RUN_UNTIL(is_kept_away);
        stage_end();
}
END_TEST

static bool has_new_rate(void)
{
        return vf_attributes()->max_rate == 200 && tap_port()->guard.max_rate == 200;
}

static bool has_trust(void)
{
        return vf_attributes()->trust;
}

START_TEST(a_rate_is_changed_in_use)
{
        stage_begin();
        start_with(NIC_POLICY("max-rate='100'"), "");
        drive_to_vf();
        fake_guests_edit(xml_of(NIC_POLICY("max-rate='200'"), ""));
        run_reachable_until(has_new_rate, "the new rate");
        ck_assert(is_on_vf());
        ck_assert_uint_eq(fake_guests_count(FAKE_DETACH), 0);
        /* What some drivers reset a VF for is changed when the guest has let go of it. */
        fake_guests_edit(xml_of(NIC_POLICY("max-rate='200' trust='yes'"), ""));
        run_reachable_until(is_withdrawing, "withdrawing");
        ck_assert(!vf_attributes()->trust);
        drive_guest(false);
        run_reachable_until(has_trust, "trust");
        ck_assert_uint_eq(pf->vfs[0].disturbances, 0);
        stage_end();
}
END_TEST

START_TEST(a_guest_that_keeps_its_vf_changes_its_network_all_the_same)
{
        config.unplug_timeout_usec = 50 * USEC_PER_MSEC;
        stage_begin();
        filter_vlans();
        start_with(NIC_POLICY("vlan='20'"), "");
        drive_to_vf();
        fake_guests_edit(xml_of(NIC_POLICY("vlan='30'"), ""));
        RUN_UNTIL(vf_is_in_30);
        settle();
        ck_assert(is_on_vf());
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_UNPLUG_REFUSED);
        ck_assert_uint_eq(tap_port()->pvid, 30);
        expect_reachable();
        expect_unreachable_in(20);
        stage_end();
}
END_TEST

START_TEST(weight_zero_releases_at_once)
{
        stage_begin();
        start_with("", "");
        drive_to_vf();
        fake_guests_edit(xml_of(NIC_POLICY("weight='0'"), ""));
        run_reachable_until(is_withdrawing, "withdrawing");
        let_go();
        expected_reason = FAILOVER_REASON_WEIGHT_ZERO;
        RUN_UNTIL(is_kept_away);
        expect_reachable();
        fake_guests_edit(xml_of(NIC_POLICY("weight='1'"), ""));
        drive_to_vf();
        stage_end();
}
END_TEST

static bool is_unguarded(void)
{
        return !tap_port()->guard.check_source && tap_port()->guard.max_rate == 0;
}

static bool is_guarded(void)
{
        return tap_port()->guard.check_source && tap_port()->guard.max_rate == 100;
}

START_TEST(a_slip_of_the_pen_opens_nothing)
{
        stage_begin();
        filter_vlans();
        start_with(NIC_POLICY("vlan='20' spoof-check='yes' max-rate='100'"), "");
        RUN_UNTIL(is_guarded);
        fake_guests_edit(xml_of(NIC_POLICY("vlan='20' spoof-check='yess' max-rate='100'"), ""));
        expected_reason = FAILOVER_REASON_BAD_POLICY;
        RUN_UNTIL(is_kept_away);
        settle();
        ck_assert(is_guarded());
        ck_assert_uint_eq(tap_port()->pvid, 20);
        expect_reachable();
        fake_guests_edit(xml_of("", ""));
        RUN_UNTIL(is_unguarded);
        stage_end();
}
END_TEST

START_TEST(a_guard_that_somebody_took_away_returns)
{
        uint64_t gone;

        stage_begin();
        start_with(NIC_POLICY("spoof-check='yes' max-rate='100'"), "");
        drive_to_vf();
        tap_port()->guard = (struct softswitch_guard){ 0 };
        gone = manager_now(manager);
        make_tap_stale();
        settle();
        /* libvirt replaces the qdisc in two steps, and fails if it finds another one between them. */
        ck_assert(is_unguarded());
        RUN_UNTIL(is_guarded);
        ck_assert_uint_ge(manager_now(manager), gone + USEC_PER_SEC);
        stage_end();
}
END_TEST

/* ---- restarts, and arrivals ---- */

START_TEST(a_restart_changes_nothing)
{
        unsigned writes, reads;

        stage_begin();
        filter_vlans();
        start_with(NIC_POLICY("vlan='20' spoof-check='yes' max-rate='100' trust='yes'"), "");
        if (_i)
                drive_to_vf();
        settle();
        writes = pf->writes + software_switch->writes;
        stop_daemon();
        start_daemon();
        settle();
        if (_i)
                RUN_UNTIL(is_on_vf);
        expect_reachable();
        settle();
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        /* And nothing is read when nothing has happened. */
        reads = software_switch->port_reads;
        manager_all_dirty(manager, true);
        settle();
        ck_assert_uint_eq(software_switch->port_reads, reads);
        stage_end();
}
END_TEST

static bool was_tried_twice(void)
{
        return software_switch->vlan_tries == 3;
}

static bool tap_is_in_30(void)
{
        return tap_port()->pvid == 30;
}

START_TEST(a_network_that_a_kernel_refuses_leaves_the_nic_where_it_is)
{
        unsigned writes;

        stage_begin();
        filter_vlans();
        fake_guests_start(xml_of(NIC_POLICY("vlan='20'"), ""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert_uint_eq(software_switch->vlan_tries, 1);
        ck_assert_uint_eq(software_switch->pins[0].vlan, 20);
        writes = software_switch->writes;

        software_switch->vlan_error = -EIO;
        expected_reason = FAILOVER_REASON_TABLES_FAILED;
        fake_guests_edit(xml_of(NIC_POLICY("vlan='30'"), ""));
        RUN_UNTIL(is_kept_away);
        settle();
        ck_assert_uint_eq(software_switch->vlan_tries, 2);
        /* Whatever else is told of the tap is no reason to try again; time is. */
        for (int i = 0; i < 5; i++) {
                make_tap_stale();
                settle();
        }
        ck_assert_uint_eq(software_switch->vlan_tries, 2);
        RUN_UNTIL(was_tried_twice);
        settle();
        ck_assert_uint_eq(software_switch->writes, writes);
        ck_assert_uint_eq(software_switch->pin_count, 1);
        expect_reachable();

        /* Somebody has done something about the port. */
        software_switch->vlan_error = 0;
        modelled_port_add_vlan(tap_port(), 77, true);
        make_tap_stale();
        RUN_UNTIL(tap_is_in_30);
        RUN_UNTIL(is_pinned_in_30);
        settle();
        ck_assert_uint_eq(software_switch->pin_count, 1);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_vlan_that_changed_while_no_daemon_ran_leaves_no_old_entry)
{
        stage_begin();
        filter_vlans();
        fake_guests_start(xml_of(NIC_POLICY("vlan='20'"), ""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        settle();
        stop_daemon();
        fake_guests_edit(xml_of(NIC_POLICY("vlan='30'"), ""));
        start_daemon();
        RUN_UNTIL(is_pinned_in_30);
        settle();
        ck_assert_uint_eq(software_switch->pin_count, 1);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_guest_that_ended_in_a_vlan_while_no_daemon_ran_leaves_nothing)
{
        stage_begin();
        filter_vlans();
        start_with(NIC_POLICY("vlan='20'"), "");
        drive_to_vf();
        stop_daemon();
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        start_daemon();
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

/* ---- a bridge that begins, or ceases, to filter VLANs ---- */

/* _i = 0: it ceases; 1: it begins. */
static void start_before_the_change(bool begins)
{
        stage_begin();
        if (!begins)
                filter_vlans();
        start_with("", "");
        drive_to_vf();
        ck_assert_uint_eq(software_switch->pins[0].vlan, begins ? 0 : 1);
}

static void change_filtering(bool filters)
{
        if (filters)
                filter_vlans();
        else
                software_switch->filters_vlans = false;
        netns_run("ip link set br0 alias changed");
}

static bool is_filed_as_it_counts(void)
{
        return situation() == FAILOVER_SITUATION_OFFERING && software_switch->pin_count == 1 &&
               software_switch->pins[0].vlan == (software_switch->filters_vlans ? 1 : 0);
}

START_TEST(pins_follow_a_bridge_that_files_otherwise)
{
        start_before_the_change(_i);
        change_filtering(_i);
        RUN_UNTIL(is_withdrawing);
        drive_guest(false);
        RUN_UNTIL(is_filed_as_it_counts);
        expect_reachable();
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
        RUN_UNTIL(is_offering_again);
        drive_to_vf();
        ck_assert_uint_eq(software_switch->pin_count, 1);
        end_guest();
        stage_end();
}
END_TEST

START_TEST(a_guest_that_ended_before_the_change_was_seen_leaves_nothing)
{
        start_before_the_change(_i);
        stop_daemon();
        change_filtering(_i);
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        start_daemon();
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

static char rewritten[4096];

static void on_hook_answer(void *token, const char *xml, const char *refuse)
{
        ck_assert_msg(!refuse, "%s", refuse);
        snprintf(rewritten, sizeof(rewritten), "%s", xml);
}

static const char *xml_of_another_host(const char *metadata)
{
        static char xml[4096];
        const char *plain = xml_of(metadata, "");
        const char *end = strstr(plain, "</devices>");

        snprintf(xml, sizeof(xml), "%.*s" VF_OF_ANOTHER_HOST "%s", (int) (end - plain), plain, end);
        return xml;
}

/* _i = 0: the policy tells the VLAN; 1: only the tap does, once it is there. */
START_TEST(a_vf_waits_in_the_guests_network)
{
        stage_begin();
        filter_vlans();
        provider_table.hook(manager, "g1", "migrate", "begin", "-",
                            xml_of_another_host(_i ? "" : NIC_POLICY("vlan='20'")), on_hook_answer, NULL);
        settle();
        ck_assert_str_ne(rewritten, "");
        ck_assert_uint_eq(vf_attributes()->vlan, _i ? 0 : 20);
        /* What has the tap's name here before the guest has come is somebody else's. */
        ck_assert_uint_eq(tap_port()->pvid, 1);
        if (_i) {
                modelled_port_remove_vlan(tap_port(), 1);
                modelled_port_add_vlan(tap_port(), 20, false);
                tap_port()->pvid = 20;
        }
        fake_guests_start(rewritten, GUEST_INCOMING);
        settle();
        ck_assert_uint_eq(tap_port()->pvid, 20);
        ck_assert_uint_eq(vf_attributes()->vlan, 20);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        settle();
        expect_reachable();
        expect_unreachable_in(1);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        drive_to_vf();
        stage_end();
}
END_TEST

#define ADD(test)    netns_test_add(suite, #test, test)
#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

int main(void)
{
        Suite *suite = suite_create("manager: policies");

        ADD(a_policy_is_the_same_on_both_paths);
        ADD(without_a_policy_the_tap_is_left_alone);
        ADD(the_configuration_speaks_where_the_guest_does_not);
        ADD(an_access_port_of_somebody_else_decides_the_vlan);
        ADD(a_vlan_that_leaves_without_a_tag_needs_none_on_the_vf);
        ADD(a_policy_that_the_card_can_hold_after_all_is_tried);
        ADD(a_network_that_a_kernel_refuses_keeps_the_nic_synthetic);
        ADD(a_network_that_a_kernel_refuses_leaves_the_nic_where_it_is);
        ADD(a_tap_that_cannot_be_guarded_does_not_keep_the_nic_from_its_vf);
        ADD(a_vlan_changes_under_traffic);
        ADD(a_vlan_changes_while_the_guest_uses_its_vf);
        ADD(a_tap_that_somebody_moves_takes_the_vf_along);
        ADD(an_uplink_that_returns_with_other_vlans_is_noticed);
        ADD(a_rate_is_changed_in_use);
        ADD(a_guest_that_keeps_its_vf_changes_its_network_all_the_same);
        ADD(weight_zero_releases_at_once);
        ADD(a_slip_of_the_pen_opens_nothing);
        ADD(a_guard_that_somebody_took_away_returns);
        ADD(a_vlan_that_changed_while_no_daemon_ran_leaves_no_old_entry);
        ADD(a_guest_that_ended_in_a_vlan_while_no_daemon_ran_leaves_nothing);
        netns_test_add_loop(suite, "rates", what_libvirt_limits_on_the_tap_is_limited_on_the_vf, 0, COUNT(rates));
        netns_test_add_loop(suite, "obstacles", an_obstacle_keeps_the_nic_synthetic, 0, COUNT(obstacles));
        netns_test_add_loop(suite, "obstacles and prefer-vf", a_vf_that_is_preferred_overrides_what_isolates_nobody, 0,
                            COUNT(obstacles));
        netns_test_add_loop(suite, "MTU", a_vf_carries_what_the_tap_carries_and_no_more, 0, 2);
        netns_test_add_loop(suite, "restart", a_restart_changes_nothing, 0, 2);
        netns_test_add_loop(suite, "filtering", pins_follow_a_bridge_that_files_otherwise, 0, 2);
        netns_test_add_loop(suite, "filtering and the end",
                            a_guest_that_ended_before_the_change_was_seen_leaves_nothing, 0, 2);
        netns_test_add_loop(suite, "arrival", a_vf_waits_in_the_guests_network, 0, 2);
        return netns_test_run(suite);
}
