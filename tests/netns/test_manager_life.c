/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The life of a guest, seen by the whole daemon in one process: whatever happens to the guest, every kind of sender
 * reaches it while it runs, and nothing of it is left when it has ended. And VFs that its owner gave to it.
 */

#include "tests/netns/manager_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- VFs of the guest's owner ---- */

#define VF_ADDRESS "<address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x0'/>"
#define IN_GUEST   "<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>"

/* What an owner writes: libvirt programs and rebinds it; it rebinds it only; it leaves it alone. */
static const struct owners_vf {
        const char *xml, *alias;
        bool adopted;
} owners_vfs[] = {
        { "<interface type='hostdev' managed='yes'><mac address='" MAC "'/><source>" VF_ADDRESS "</source>"
          "<teaming type='transient' persistent='ua-net0'/><alias name='hostdev0'/>" IN_GUEST "</interface>",
          "hostdev0", true },
        { "<interface type='hostdev'><mac address='" MAC "'/><source>" VF_ADDRESS "</source>"
          "<teaming type='transient' persistent='ua-net0'/><alias name='ua-primary'/>" IN_GUEST "</interface>",
          "ua-primary", true },
        { "<hostdev mode='subsystem' type='pci' managed='yes'><source>" VF_ADDRESS "</source>"
          "<teaming type='transient' persistent='ua-net0'/><alias name='ua-primary'/>" IN_GUEST "</hostdev>",
          "ua-primary", true },
        { "<hostdev mode='subsystem' type='pci' managed='no'><source>" VF_ADDRESS "</source>"
          "<teaming type='transient' persistent='ua-net0'/><alias name='hostdev0'/>" IN_GUEST "</hostdev>",
          "hostdev0", false },
};

#define OWNERS_VFS (int) (sizeof(owners_vfs) / sizeof(owners_vfs[0]))

static const struct owners_vf *owners_vf;

static char *domain_with_owners_vf(void)
{
        static char xml[4096];

        snprintf(xml, sizeof(xml), DOMAIN_XML("%s"), owners_vf->xml);
        return xml;
}

static bool owners_guest_drives(bool up)
{
        const struct guest_vf *vf = fake_guests_find_vf(UUID, owners_vf->alias);
        struct modelled_vf *modelled = vf ? modelled_vf_find(vf->address) : NULL;

        if (modelled)
                modelled->vectors = up ? 3 : 0;
        return modelled != NULL;
}

static void expect_reachable_by(const char *alias)
{
        const struct guest_vf *vf = fake_guests_find_vf(UUID, alias);
        const struct modelled_vf *modelled = vf ? modelled_vf_find(vf->address) : NULL;

        for (int sender = 0; sender < MODELLED_SENDER_MAX; sender++)
                ck_assert_msg(modelled_guest_receives(pf, software_switch, tap, modelled, &mac,
                                                      (enum modelled_sender) sender),
                              "sender %d does not reach the guest (rule %s)", sender, nic()->decision.rule);
}

/* As libvirt does, or the owner by hand. */
static void program_owners_vf(void)
{
        pf->vfs[0].attributes.mac = mac;
        snprintf(pf->vfs[0].identity.driver, sizeof(pf->vfs[0].identity.driver), "vfio-pci");
}

/* libvirt gives back what it has set. */
static void libvirt_restores(void)
{
        if (!owners_vf->adopted)
                return;
        pf->vfs[0].attributes.mac = netns_mac("02:00:00:00:00:00");
        pf->vfs[0].identity.driver[0] = '\0';
}

static void start_owners_guest(int which)
{
        owners_vf = &owners_vfs[which];
        stage_begin();
        program_owners_vf();
        fake_guests_start(domain_with_owners_vf(), GUEST_RUNNING);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        RUN_UNTIL(is_offering);
        settle();
        expect_reachable_by(owners_vf->alias);
        ck_assert(owners_guest_drives(true));
        expect_reachable_by(owners_vf->alias);
        RUN_UNTIL(is_on_vf);
        settle();
        expect_reachable_by(owners_vf->alias);
        ck_assert(nic()->claim->adopted == owners_vf->adopted);
}

START_TEST(a_vf_of_the_owner_is_served_and_left_as_it_was)
{
        unsigned binds;

        start_owners_guest(_i);
        binds = pf->binds;
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        owners_guest_drives(false);
        libvirt_restores();
        fake_guests_end(UUID, "stopped/shutdown");
        RUN_UNTIL(is_gone);
        if (owners_vf->adopted) {
                /* What libvirt has given back stays. */
                ck_assert(vswitch_mac_equal(&pf->vfs[0].attributes.mac, &(struct vswitch_mac){ { 2 } }));
                ck_assert_uint_eq(pf->binds, binds);
                ck_assert_uint_eq(pf->vfs[0].resets, 0);
                pf->vfs[0].attributes.mac = (struct vswitch_mac){ 0 };
        } else {
                ck_assert_str_eq(pf->vfs[0].identity.driver, "vfio-pci");
                pf->vfs[0].identity.driver[0] = '\0';
        }
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(what_libvirt_leaves_behind_is_cleared)
{
        owners_vf = &owners_vfs[0];
        stage_begin();
        program_owners_vf();
        pf->vfs[0].attributes.vlan = 7;
        fake_guests_start(domain_with_owners_vf(), GUEST_RUNNING);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        RUN_UNTIL(is_offering);
        /* In the tap's network, which has no tag. */
        settle();
        ck_assert_uint_eq(pf->vfs[0].attributes.vlan, 0);
        owners_guest_drives(true);
        RUN_UNTIL(is_on_vf);
        owners_guest_drives(false);
        pf->vfs[0].attributes.vlan = 7;
        pf->vfs[0].identity.driver[0] = '\0'; /* given back, but for MAC and VLAN */
        fake_guests_end(UUID, "stopped/crashed");
        RUN_UNTIL(is_gone);
        ck_assert_uint_eq(pf->vfs[0].attributes.vlan, 0);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_mac_that_the_owner_forgot_is_set)
{
        owners_vf = &owners_vfs[3];
        stage_begin();
        snprintf(pf->vfs[0].identity.driver, sizeof(pf->vfs[0].identity.driver), "vfio-pci");
        fake_guests_start(domain_with_owners_vf(), GUEST_RUNNING);
        RUN_UNTIL(is_offering);
        settle();
        ck_assert(vswitch_mac_equal(&pf->vfs[0].attributes.mac, &mac));
        stage_end();
}
END_TEST

START_TEST(a_release_gives_the_owners_vf_back_and_an_acquire_takes_its_name)
{
        const struct guest_vf *vf;

        start_owners_guest(_i);
        ask(false);
        RUN_UNTIL(is_withdrawing);
        expect_reachable_by(owners_vf->alias);
        owners_guest_drives(false);
        RUN_UNTIL(is_withdrawn);
        expect_reachable_by(owners_vf->alias);
        /* libvirt gives the MAC back, then the driver, and tells of it after that. The MAC is not written over. */
        if (owners_vf->adopted) {
                pf->vfs[0].attributes.mac = (struct vswitch_mac){ { 2 } };
                nic()->tables_stale = true;
                manager_nic_dirty(nic());
                settle();
                ck_assert(vswitch_mac_equal(&pf->vfs[0].attributes.mac, &(struct vswitch_mac){ { 2 } }));
        }
        libvirt_restores();
        ck_assert(fake_guests_unplug(UUID, owners_vf->alias));
        RUN_UNTIL(is_synthetic);
        if (owners_vf->adopted)
                ck_assert(vswitch_mac_equal(&pf->vfs[0].attributes.mac, &(struct vswitch_mac){ { 2 } }));
        settle();
        expect_reachable();
        ck_assert_str_eq(netns_output("ls %s/claims | grep json || true", directory), "");
        /* The next one has QEMU's name for it also after a restart. */
        stop_daemon();
        start_daemon();
        RUN_UNTIL(is_synthetic);
        settle();
        pf->vfs[0].attributes.mac = (struct vswitch_mac){ 0 };
        ask(true);
        RUN_UNTIL(is_offering);
        settle();
        vf = fake_guests_find_vf(UUID, owners_vf->alias);
        ck_assert_ptr_nonnull(vf);
        ck_assert(!vf->is_interface && !vf->managed);
        ck_assert(!nic()->claim->adopted);
        owners_guest_drives(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable_by(owners_vf->alias);
        owners_guest_drives(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        if (!owners_vf->adopted)
                pf->vfs[0].identity.driver[0] = '\0';
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(an_adopted_vf_survives_the_daemon)
{
        unsigned writes;

        start_owners_guest(_i);
        writes = pf->writes + software_switch->writes;
        stop_daemon();
        start_daemon();
        RUN_UNTIL(is_on_vf);
        settle();
        ck_assert(nic()->claim->adopted == owners_vf->adopted);
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        stage_end();
}
END_TEST

static bool is_unmanaged(void)
{
        return situation() == FAILOVER_SITUATION_UNMANAGED;
}

START_TEST(a_vf_of_another_card_is_left_alone)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(VF_OF_ANOTHER_HOST), GUEST_RUNNING);
        RUN_UNTIL(is_unmanaged);
        settle();
        ck_assert_int_eq(nic()->decision.reason, FAILOVER_REASON_VF_NOT_OURS);
        ck_assert_uint_eq(software_switch->pin_count, 0);
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        stage_end();
}
END_TEST

/* ---- pauses, resets, ends ---- */

static void pause_guest(bool paused)
{
        fake_guests_set_state(UUID, paused ? GUEST_PAUSED : GUEST_RUNNING, false);
        fake_guests_emit(UUID, paused ? GUEST_EVENT_STOPPED : GUEST_EVENT_RESUMED, NULL, NULL);
        fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, paused ? "suspended/paused" : "resumed/unpaused");
        settle();
        expect_reachable();
}

START_TEST(a_pause_changes_nothing)
{
        unsigned writes;

        stage_begin();
        start_guest();
        RUN_UNTIL(is_offering);
        settle();
        pause_guest(true);
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_OFFERING);
        pause_guest(false);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        settle();
        writes = pf->writes + software_switch->writes;
        pause_guest(true);
        ck_assert(is_on_vf());
        pause_guest(false);
        ck_assert(is_on_vf());
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        stage_end();
}
END_TEST

static bool waits_for_the_pause_to_end(void)
{
        return is_synthetic() && nic()->decision.reason == FAILOVER_REASON_GUEST_PAUSED;
}

START_TEST(a_paused_guest_is_moved_when_it_runs_again)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_PAUSED);
        RUN_UNTIL(waits_for_the_pause_to_end);
        settle();
        expect_reachable();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        pause_guest(false);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

/* Where it is when it happens. */
static bool (*const places[])(void) = { is_synthetic, is_offering, is_on_vf, is_withdrawing, is_withdrawn };

#define PLACES (int) (sizeof(places) / sizeof(places[0]))

static void bring_to(int place)
{
        stage_begin();
        if (place == 0) {
                fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        } else if (place == 1) {
                start_guest();
        } else {
                start_guest_on_vf();
                if (place > 2)
                        ask(false);
        }
        if (place == 4) {
                RUN_UNTIL(is_withdrawing);
                drive_guest(false);
        }
        run_until(places[place], "the place");
        settle();
        expect_reachable();
}

/* As libvirt tells of each end; QEMU is gone by then, and with it the vectors. */
static const char *const ends[] = { "stopped/shutdown", "stopped/destroyed", "stopped/crashed", "stopped/failed" };

#define ENDS (int) (sizeof(ends) / sizeof(ends[0]))

START_TEST(nothing_is_left_of_a_guest_that_has_ended)
{
        bring_to(_i % PLACES);
        drive_guest(false);
        fake_guests_end(UUID, ends[_i / PLACES]);
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

/* libvirt reads the guest's end out of QEMU's closed monitor; a word of a panic, or that it is about to power off, comes
 * before it. */
START_TEST(words_before_the_end_change_nothing)
{
        static const char *const words[] = { "shutdown/guest", "crashed/panicked", "pmsuspended/memory" };

        bring_to(2);
        fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, words[_i]);
        settle();
        ck_assert(is_on_vf());
        expect_reachable();
        stage_end();
}
END_TEST

static bool gets_a_vf_again(void)
{
        return is_on_vf() && nic()->facts.standby == FAILOVER_YES;
}

/* virsh reset, reboot from inside, a watchdog: all are RESET to QEMU. The driver is gone and comes back. */
START_TEST(a_reset_anywhere_ends_on_the_vf)
{
        bring_to(_i);
        fake_guests_emit(UUID, GUEST_EVENT_RESET, NULL, NULL);
        drive_guest(false);
        settle();
        expect_reachable();
        if (_i > 2) {
                /* It was asked before, and QEMU removes with the reset what is to go. */
                (void) fake_guests_unplug(UUID, "ua-vf-net0");
                RUN_UNTIL(is_synthetic);
                settle();
                expect_reachable();
                ask(true);
        }
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        RUN_UNTIL(is_offering);
        settle();
        expect_reachable();
        drive_guest(true);
        RUN_UNTIL(gets_a_vf_again);
        settle();
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_guest_that_is_started_again_at_once_is_a_new_one)
{
        bring_to(2);
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        /* The VF of the old one is not given back first: both paths serve while the new one boots. */
        RUN_UNTIL(is_offering);
        settle();
        expect_reachable();
        ck_assert_int_eq(nic()->facts.standby, FAILOVER_NO);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

/* ---- what operators change while it runs ---- */

#define NIC_XML(alias, mac, tap, more)                                                                                 \
        "<interface type='bridge'><mac address='" mac "'/><source bridge='br0'/><target dev='" tap "'/>"               \
        "<model type='virtio'/><teaming type='persistent'/>" more "<alias name='" alias "'/></interface>"
#define GUEST_XML(nics)                                                                                                \
        "<domain type='kvm' id='1'><name>g1</name><uuid>" UUID "</uuid>"                                               \
        "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"                                                      \
        "<controller type='pci' index='1' model='pcie-root-port'/>"                                                    \
        "<controller type='pci' index='2' model='pcie-root-port'/>" nics "</devices></domain>"

static bool is_down(void)
{
        return is_synthetic() && nic()->decision.reason == FAILOVER_REASON_LINK_DOWN;
}

/* virsh domif-setlink: with the link down no path leads to the guest's VF. */
START_TEST(a_link_that_is_set_down_takes_the_vf_away)
{
        bring_to(2);
        fake_guests_edit(GUEST_XML(NIC_XML("ua-net0", MAC, "tap0", "<link state='down'/>")));
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(is_down);
        ck_assert(vswitch_mac_is_zero(&pf->vfs[0].attributes.mac));
        fake_guests_edit(GUEST_XML(NIC_XML("ua-net0", MAC, "tap0", "<link state='up'/>")));
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

#define MAC1 "52:54:00:12:34:99"

static const struct manager_nic *second(void)
{
        return nics_find(manager, UUID, "ua-net1");
}

static bool second_is_offering(void)
{
        return second() && second()->decision.situation == FAILOVER_SITUATION_OFFERING &&
               second()->facts.attached == FAILOVER_YES;
}

static bool second_is_on_vf(void)
{
        return second() && second()->decision.situation == FAILOVER_SITUATION_ON_VF;
}

static bool second_withdraws(void)
{
        return second() && second()->decision.situation == FAILOVER_SITUATION_WITHDRAWING;
}

static bool second_is_gone(void)
{
        return !second();
}

static void drive_second(bool up)
{
        const struct guest_vf *vf = fake_guests_find_vf(UUID, "ua-vf-net1");

        ck_assert_ptr_nonnull(vf);
        modelled_vf_find(vf->address)->vectors = up ? 3 : 0;
}

START_TEST(a_nic_that_is_plugged_in_gets_a_vf_and_unplugged_leaves_none)
{
        struct vswitch_mac mac1 = netns_mac(MAC1);

        stage_begin();
        netns_add_veth("tap1", "guest1", "br0");
        fake_guests_start(GUEST_XML(NIC_XML("ua-net0", MAC, "tap0", "")), GUEST_RUNNING);
        settle();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        /* virsh attach-interface; the guest negotiates before libvirt shows the NIC. */
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net1", NULL);
        fake_guests_edit(GUEST_XML(NIC_XML("ua-net0", MAC, "tap0", "") NIC_XML("ua-net1", MAC1, "tap1", "")));
        RUN_UNTIL(second_is_offering);
        drive_second(true);
        RUN_UNTIL(second_is_on_vf);
        ck_assert(strcmp(second()->claim->vf_address, nic()->claim->vf_address) != 0);
        /* virsh detach-interface: the VF that belongs to it goes too. */
        fake_guests_edit(GUEST_XML(NIC_XML("ua-net0", MAC, "tap0", "")));
        RUN_UNTIL(second_withdraws);
        drive_second(false);
        settle();
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net1"));
        RUN_UNTIL(second_is_gone);
        ck_assert(!modelled_pf_has_filter(pf, &mac1));
        ck_assert_uint_eq(software_switch->pin_count, 1);
        ck_assert(is_on_vf());
        expect_reachable();
        stage_end();
}
END_TEST

static bool has_another_mac(void)
{
        return is_synthetic() &&
               vswitch_mac_equal(&nic()->mac, &(struct vswitch_mac){ { 0x52, 0x54, 0, 0x12, 0x34, 0x99 } }) &&
               modelled_pf_has_filter(pf, &nic()->mac);
}

/* Unplugged, and plugged in again with another MAC, faster than anybody looked. */
START_TEST(a_nic_with_another_mac_is_another_nic)
{
        bring_to(0);
        fake_guests_edit(GUEST_XML(NIC_XML("ua-net0", MAC1, "tap0", "")));
        RUN_UNTIL(has_another_mac);
        settle();
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert_uint_eq(software_switch->pin_count, 1);
        stage_end();
}
END_TEST

/* libvirt renames and undefines what it likes while a guest runs, or not: that is about the next start. */
START_TEST(a_definition_is_not_the_guest)
{
        static const char *const words[] = { "undefined/removed", "defined/added", "defined/updated",
                                             "undefined/renamed", "defined/renamed" };
        unsigned writes;

        bring_to(2);
        writes = pf->writes + software_switch->writes;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, words[i]);
                settle();
        }
        ck_assert(is_on_vf());
        ck_assert_uint_eq(pf->writes + software_switch->writes, writes);
        drive_guest(false);
        fake_guests_end(UUID, "stopped/shutdown");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        /* Words about a guest that is off make none of it. */
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, words[i]);
        settle();
        ck_assert(is_gone());
        stage_end();
}
END_TEST

static bool has_its_new_name(void)
{
        return is_offering() && strcmp(nic()->label, "renamed/ua-net0") == 0;
}

START_TEST(a_renamed_guest_is_called_so)
{
        bring_to(2);
        drive_guest(false);
        fake_guests_end(UUID, "stopped/shutdown");
        fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, "defined/renamed");
        fake_guests_start("<domain type='kvm' id='2'><name>renamed</name><uuid>" UUID "</uuid>"
                          "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                          "<controller type='pci' index='1' model='pcie-root-port'/>" NIC_XML("ua-net0", MAC, "tap0",
                                                                                              "") "</devices></domain>",
                          GUEST_RUNNING);
        RUN_UNTIL(has_its_new_name);
        settle();
        expect_reachable();
        stage_end();
}
END_TEST

/* ---- saved and restored ---- */

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

static void ask_hook(const char *operation, const char *xml, struct hook_answer *answer)
{
        *answer = (struct hook_answer){ 0 };
        provider_table.hook(manager, "g1", operation, "begin", "-", xml, on_hook_answer, answer);
        settle();
        ck_assert(answer->given);
}

/* What QEMU and libvirt say while a guest is written to a file. */
static void write_to_file(void)
{
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        fake_guests_set_state(UUID, GUEST_PAUSED, false);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "active");
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "completed");
        settle();
}

static bool is_on_tap(void)
{
        return is_synthetic() && software_switch->pin_count == 1 && software_switch->pins[0].port == tap;
}

START_TEST(a_guest_that_was_released_is_saved_and_restored_and_gets_a_vf_again)
{
        stage_begin();
        start_guest_on_vf();
        ask(false);
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(is_synthetic);
        write_to_file();
        fake_guests_end(UUID, "stopped/saved");
        RUN_UNTIL(is_gone);
        expect_nothing_left();

        fake_guests_restore(DOMAIN_XML(""), GUEST_PAUSED);
        settle();
        ck_assert_uint_eq(software_switch->pin_count, 1);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        settle();
        expect_reachable();
        /* It will not negotiate again before it is rebooted: nobody waits for that. */
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_guest_that_was_saved_with_a_vf_finds_another_one)
{
        struct hook_answer answer;

        stage_begin();
        ask_hook("restore", DOMAIN_XML(VF_OF_ANOTHER_HOST), &answer);
        ck_assert_str_eq(answer.refused, "");
        ck_assert_ptr_nonnull(strstr(answer.xml, "bus=\"0x01\" slot=\"0x10\" function=\"0x0\"/></source>"));
        ck_assert_str_eq(pf->vfs[0].identity.driver, "vfio-pci");
        fake_guests_restore(answer.xml, GUEST_PAUSED);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        RUN_UNTIL(is_offering);
        settle();
        expect_reachable();
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        ck_assert(!nic()->claim->leased);
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(nothing_is_leased_before_libvirt_has_given_the_owners_vf_back)
{
        struct hook_answer answer;

        start_owners_guest(0);
        owners_guest_drives(false);
        fake_guests_hold(FAKE_RUN, true);
        fake_guests_end(UUID, "stopped/shutdown");
        settle();
        ck_assert(nic()->claim->adopted);
        ask_hook("migrate", DOMAIN_XML(VF_OF_ANOTHER_HOST), &answer);
        ck_assert_ptr_nonnull(strstr(answer.refused, "libvirt is still giving back"));
        ck_assert(!nic()->claim->leased);
        libvirt_restores();
        fake_guests_hold(FAKE_RUN, false);
        RUN_UNTIL(is_gone);
        ask_hook("migrate", DOMAIN_XML(VF_OF_ANOTHER_HOST), &answer);
        ck_assert_str_eq(answer.refused, "");
        ck_assert(nic()->claim->leased && !nic()->claim->adopted);
        stage_end();
}
END_TEST

START_TEST(a_restore_is_never_refused)
{
        struct hook_answer answer;

        stage_begin();
        config_switch.reserve_vfs = 2;
        ask_hook("restore", DOMAIN_XML(VF_OF_ANOTHER_HOST), &answer);
        ck_assert_str_eq(answer.xml, "");
        ck_assert_str_eq(answer.refused, "");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

START_TEST(a_restore_that_fails_leaves_nothing)
{
        struct hook_answer answer;

        stage_begin();
        ask_hook("restore", DOMAIN_XML(VF_OF_ANOTHER_HOST), &answer);
        ask_hook("release", "", &answer);
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

/* libvirt has stopped the guest before QEMU asks it for its VF. */
static void save_on_vf(void)
{
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        fake_guests_set_state(UUID, GUEST_PAUSED, false);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "wait-unplug");
        settle();
}

START_TEST(a_save_that_is_aborted_ends_on_the_vf)
{
        stage_begin();
        start_guest_on_vf();
        save_on_vf();
        ck_assert(failover_presence_is_stuck(&nic()->domain->presence));
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "cancelled");
        settle();
        ck_assert(!failover_presence_is_stuck(&nic()->domain->presence));
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        /* What it was asked for while it stood still it does now. */
        drive_guest(false);
        settle();
        expect_reachable();
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        expect_reachable();
        stage_end();
}
END_TEST

START_TEST(a_dump_of_a_running_guest_is_no_farewell)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_on_tap);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "setup");
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "active");
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        settle();
        expect_reachable();
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, "completed");
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        settle();
        expect_reachable();
        ck_assert(is_on_tap());
        stage_end();
}
END_TEST

/* ---- the tap's owner has made it a multicast router port ---- */

#define ROUTER "/sys/class/net/tap0/brport/multicast_router"

static void take_vf_and_give_it_back(void)
{
        start_guest_on_vf();
        ask(false);
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(is_synthetic);
        settle();
}

/* 0: never a router port; 2: always one. */
START_TEST(what_the_owner_made_of_the_tap_survives_a_vf)
{
        stage_begin();
        netns_run("echo %d >" ROUTER, _i);
        take_vf_and_give_it_back();
        ck_assert_uint_eq(software_switch->multicast_router_count, 0);
        ck_assert_int_eq(atoi(netns_output("cat " ROUTER)), _i);
        stage_end();
}
END_TEST

START_TEST(what_we_made_of_the_tap_is_undone_also_after_a_restart)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_uint_eq(software_switch->multicast_router_count, 1);
        netns_run("echo 2 >" ROUTER); /* the modelled switch is none of the kernel's */
        stop_daemon();
        start_daemon();
        RUN_UNTIL(is_on_vf);
        settle();
        ck_assert_uint_eq(software_switch->multicast_router_count, 1);
        ask(false);
        RUN_UNTIL(is_withdrawing);
        let_go();
        RUN_UNTIL(is_synthetic);
        settle();
        ck_assert_uint_eq(software_switch->multicast_router_count, 0);
        stage_end();
}
END_TEST

/* ---- migrations of other kinds ---- */

static void qemu_says(const char *status)
{
        fake_guests_emit(UUID, GUEST_EVENT_MIGRATION, NULL, status);
        settle();
}

START_TEST(post_copy_takes_the_guest_away_when_it_stops)
{
        bring_to(2);
        fake_guests_set_state(UUID, GUEST_RUNNING, true);
        qemu_says("setup");
        fake_guests_emit(UUID, GUEST_EVENT_UNPLUG_ASKED, "ua-vf-net0", NULL);
        RUN_UNTIL(is_withdrawing);
        drive_guest(false);
        RUN_UNTIL(is_withdrawn);
        qemu_says("active");
        qemu_says("postcopy-active");
        expect_reachable();
        fake_guests_emit(UUID, GUEST_EVENT_STOPPED, NULL, NULL);
        settle();
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_HANDED_OVER);
        ck_assert_uint_eq(software_switch->pin_count, 0);
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert(vswitch_mac_is_zero(&pf->vfs[0].attributes.mac));
        /* Its memory is fetched from here for a long time yet; nothing of that brings it back. */
        fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, "suspended/postcopy");
        fake_guests_set_state(UUID, GUEST_HANDED_OVER, true);
        qemu_says("completed");
        ck_assert_uint_eq(software_switch->pin_count, 0);
        fake_guests_end(UUID, "stopped/migrated");
        RUN_UNTIL(is_gone);
        expect_nothing_left();
        stage_end();
}
END_TEST

static bool waits_for_its_memory(void)
{
        return is_synthetic() && nic()->decision.reason == FAILOVER_REASON_GUEST_ARRIVING;
}

START_TEST(post_copy_is_over_before_there_is_another_vf)
{
        stage_begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_INCOMING);
        qemu_says("active");
        qemu_says("postcopy-active");
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        RUN_UNTIL(waits_for_its_memory);
        settle();
        expect_reachable();
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        /* QEMU says so, or libvirt does. */
        if (_i == 0)
                qemu_says("completed");
        else
                fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, "resumed/migrated");
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(post_copy_brings_the_guest_when_it_stops_there)
{
        struct hook_answer answer;

        stage_begin();
        ask_hook("migrate", DOMAIN_XML(VF_OF_ANOTHER_HOST), &answer);
        fake_guests_start(answer.xml, GUEST_INCOMING);
        qemu_says("active");
        ck_assert_uint_eq(software_switch->pin_count, 0);
        qemu_says("postcopy-active");
        ck_assert_int_eq(situation(), FAILOVER_SITUATION_ARRIVING);
        ck_assert_uint_eq(software_switch->announcements, 1);
        expect_reachable();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, "resumed/postcopy");
        RUN_UNTIL(is_offering);
        expect_reachable();
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        qemu_says("completed");
        fake_guests_emit(UUID, GUEST_EVENT_LIFECYCLE, NULL, "resumed/migrated");
        settle();
        ck_assert(is_on_vf());
        expect_reachable();
        ck_assert_uint_eq(software_switch->announcements, 1);
        stage_end();
}
END_TEST

#define UUID2 "11111111-2222-3333-4444-777777777777"
#define SECOND_GUEST(vf)                                                                                               \
        "<domain type='kvm' id='7'><name>g2</name><uuid>" UUID2 "</uuid>"                                              \
        "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"                                                      \
        "<controller type='pci' index='1' model='pcie-root-port'/>" NIC_XML("ua-net0", MAC1, "tap1", "") vf            \
                "</devices></domain>"

static const struct manager_nic *guest2(void)
{
        return nics_find(manager, UUID2, "ua-net0");
}

static bool both_are_leased(void)
{
        return nic() && nic()->claim && guest2() && guest2()->claim;
}

/* The hooks of two guests wait at the same time, and one leaves while they come. */
START_TEST(several_migrations_at_once_do_not_disturb_each_other)
{
        struct hook_answer first = { 0 }, other = { 0 };

        stage_begin();
        netns_add_veth("tap1", "guest1", "br0");
        fake_guests_hold(FAKE_RUN, true);
        provider_table.hook(manager, "g1", "migrate", "begin", "-", DOMAIN_XML(VF_OF_ANOTHER_HOST), on_hook_answer,
                            &first);
        provider_table.hook(manager, "g2", "migrate", "begin", "-", SECOND_GUEST(VF_OF_ANOTHER_HOST), on_hook_answer,
                            &other);
        RUN_UNTIL(both_are_leased);
        ck_assert(!first.given && !other.given);
        ck_assert_str_ne(nic()->claim->vf_address, guest2()->claim->vf_address);
        fake_guests_hold(FAKE_RUN, false);
        settle();
        ck_assert(first.given && other.given);
        ck_assert_ptr_nonnull(strstr(first.xml, "slot=\"0x10\" function=\"0x0\"/></source>"));
        ck_assert_ptr_nonnull(strstr(other.xml, "slot=\"0x10\" function=\"0x2\"/></source>"));

        /* The second fails, the first arrives. */
        fake_guests_start(first.xml, GUEST_INCOMING);
        fake_guests_start(other.xml, GUEST_INCOMING);
        settle();
        fake_guests_end(UUID2, "stopped/failed");
        qemu_says("completed");
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        fake_guests_set_state(UUID, GUEST_RUNNING, false);
        fake_guests_emit(UUID, GUEST_EVENT_RESUMED, NULL, NULL);
        RUN_UNTIL(is_offering);
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        settle();
        expect_reachable();
        ck_assert_ptr_null(guest2());
        ck_assert(vswitch_mac_is_zero(&pf->vfs[1].attributes.mac));
        stage_end();
}
END_TEST

#define ADD(test)           netns_test_add(suite, #test, test)
#define ADD_LOOP(test, end) netns_test_add_loop(suite, #test, test, 0, end)

int main(void)
{
        Suite *suite = suite_create("manager: the life of a guest");

        ADD_LOOP(a_vf_of_the_owner_is_served_and_left_as_it_was, OWNERS_VFS);
        ADD(what_libvirt_leaves_behind_is_cleared);
        ADD(a_mac_that_the_owner_forgot_is_set);
        ADD_LOOP(a_release_gives_the_owners_vf_back_and_an_acquire_takes_its_name, OWNERS_VFS);
        ADD_LOOP(an_adopted_vf_survives_the_daemon, OWNERS_VFS);
        ADD(a_vf_of_another_card_is_left_alone);
        ADD(a_pause_changes_nothing);
        ADD(a_paused_guest_is_moved_when_it_runs_again);
        ADD_LOOP(nothing_is_left_of_a_guest_that_has_ended, ENDS * PLACES);
        ADD_LOOP(words_before_the_end_change_nothing, 3);
        ADD_LOOP(a_reset_anywhere_ends_on_the_vf, PLACES);
        ADD(a_guest_that_is_started_again_at_once_is_a_new_one);
        ADD(a_link_that_is_set_down_takes_the_vf_away);
        ADD(a_nic_that_is_plugged_in_gets_a_vf_and_unplugged_leaves_none);
        ADD(a_nic_with_another_mac_is_another_nic);
        ADD(a_definition_is_not_the_guest);
        ADD(a_renamed_guest_is_called_so);
        ADD(a_guest_that_was_released_is_saved_and_restored_and_gets_a_vf_again);
        ADD(a_guest_that_was_saved_with_a_vf_finds_another_one);
        ADD(nothing_is_leased_before_libvirt_has_given_the_owners_vf_back);
        ADD(a_restore_is_never_refused);
        ADD(a_restore_that_fails_leaves_nothing);
        ADD(a_save_that_is_aborted_ends_on_the_vf);
        ADD(a_dump_of_a_running_guest_is_no_farewell);
        netns_test_add_loop(suite, "router port of the owner", what_the_owner_made_of_the_tap_survives_a_vf, 0, 1);
        netns_test_add_loop(suite, "router port of the owner", what_the_owner_made_of_the_tap_survives_a_vf, 2, 3);
        ADD(what_we_made_of_the_tap_is_undone_also_after_a_restart);
        ADD(post_copy_takes_the_guest_away_when_it_stops);
        ADD_LOOP(post_copy_is_over_before_there_is_another_vf, 2);
        ADD(post_copy_brings_the_guest_when_it_stops_there);
        ADD(several_migrations_at_once_do_not_disturb_each_other);
        return netns_test_run(suite);
}
