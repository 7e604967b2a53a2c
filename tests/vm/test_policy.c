/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One policy, both paths, with real drivers: the whole daemon with a modelled libvirt, a bridge that filters VLANs, and
 * igb. The guest's "QEMU" opens nothing, so a NIC stays where both paths are offered. Each test leaves the VFs as it
 * found them.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/fake_guests.h"
#include "vswitch/fdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UUID "11111111-2222-3333-4444-555555555555"
#define MAC  "52:54:00:12:34:56"

#define DEADLINE (20 * USEC_PER_SEC)

static char directory[] = "/tmp/vswitch-test-XXXXXX";
static char socket_path[64], log_path[64];
static const char *pf_name;
static char *golden;
static char *uplinks[1];
static struct config_switch config_switch = {
        .name = (char[]){ "br0" },
        .bridge = (char[]){ "br0" },
        .uplinks = uplinks,
        .uplinks_count = 1,
        .iov = true,
        .policy = { .weight = 50, .vlan_protocol = 0x8100 },
};
static struct config config = {
        .switches = &config_switch,
        .switches_count = 1,
        .guest_driver_timeout_usec = 300 * USEC_PER_SEC,
        .unplug_timeout_usec = 60 * USEC_PER_SEC,
        .lease_timeout_usec = 60 * USEC_PER_SEC,
        .back_off_usec = 60 * USEC_PER_SEC,
};
static sd_event *loop;
static struct manager *manager;

/* ---- the stage ---- */

static const char *xml_of(const char *policy, const char *inside)
{
        static char xml[4096];

        snprintf(xml, sizeof(xml),
                 "<domain type='kvm' id='1'><name>g1</name><uuid>" UUID "</uuid><metadata>"
                 "<vswitch:policy xmlns:vswitch='urn:vswitch:policy:1'><vswitch:nic alias='ua-net0' %s/>"
                 "</vswitch:policy></metadata><os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                 "<controller type='pci' index='1' model='pcie-root-port'/>"
                 "<interface type='bridge'><mac address='" MAC "'/><source bridge='br0'/><target dev='tap0'/>"
                 "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/>%s</interface>"
                 "</devices></domain>",
                 policy, inside);
        return xml;
}

/* What of the VFs, and of the PF's filters, must be the same afterwards. */
static char *dump(void)
{
        return strdup(netns_output("ip link show dev %s | grep 'vf '; cat /sys/class/net/%s/device/virtfn*/"
                                   "driver_override; ls -d /sys/class/net/%s/device/virtfn*/driver 2>/dev/null; bridge "
                                   "fdb show dev %s | grep " MAC,
                                   pf_name, pf_name, pf_name, pf_name));
}

static void start_daemon(void)
{
        const struct manager_options options = {
                .config = &config,
                .softswitch_driver = &softswitch_bridge_driver,
                .pf_driver = &pf_kernel_driver,
                .runtime_directory = directory,
                .state_directory = directory,
                .control_socket = socket_path,
        };
        struct vswitch_error error = { 0 };
        int r = manager_new(loop, &options, &manager, &error);

        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
}

static struct manager_nic *nic(void)
{
        return nics_find(manager, UUID, "ua-net0");
}

static void run_until(bool (*condition)(void), const char *what)
{
        uint64_t deadline = manager_now(manager) + DEADLINE;

        while (!condition()) {
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                ck_assert_msg(manager_now(manager) < deadline, "never: %s (rule %s, reason %s)\n%s", what,
                              nic() ? nic()->decision.rule : "no NIC",
                              nic() ? failover_reason_code(nic()->decision.reason) : "",
                              netns_output("tail -20 %s", log_path));
        }
}
#define RUN_UNTIL(condition) run_until(condition, #condition)

static void set_up(void)
{
        struct vswitch_error error = { 0 };
        int file;

        pf_name = getenv("VM_PF");
        ck_assert_msg(pf_name != NULL, "VM_PF must name the PF");
        uplinks[0] = (char *) pf_name;
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(socket_path, sizeof(socket_path), "%s/control", directory);
        snprintf(log_path, sizeof(log_path), "%s/log", directory);
        file = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ck_assert_int_ge(dup2(file, STDERR_FILENO), 0);
        close(file);
        log_open(getenv("VSWITCH_TEST_DEBUG") != NULL);
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        golden = dump();
        /* The guest's end of the tap speaks only when the test makes it: IPv6 would, from an address of its own. */
        netns_run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; for i in br0 tap0; do ip link del $i "
                  "2>/dev/null; done; true");
        netns_run("ip link add br0 type bridge vlan_filtering 1; ip link set br0 up; ip link set %s master br0 up; "
                  "bridge "
                  "vlan add dev %s vid 5; bridge vlan add dev %s vid 6",
                  pf_name, pf_name, pf_name);
        netns_add_veth("tap0", "guest", "br0");
        fake_guests_reset();
        ck_assert_int_ge(sd_event_new(&loop), 0);
        start_daemon();
}

static bool is_gone(void)
{
        return nic() == NULL;
}

/* The PF's own list has no MAC of a guest. */
static bool is_unlisted(void)
{
        struct vswitch_mac mac = netns_mac(MAC), *listed = NULL;
        size_t count = 0;
        bool found = false;

        ck_assert_int_eq(fdb_list_own(netns_netlink, netns_ifindex(pf_name), &listed, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                found |= vswitch_mac_equal(&listed[i], &mac);
        free(listed);
        return !found;
}

static void tear_down(void)
{
        char *now;

        if (fake_guests_find(UUID))
                fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        /* Until it is heard that the bridge has forgotten the MAC, it is one of somebody behind the bridge. So everything
         * that the kernel has said comes first. */
        while (sd_event_run(loop, 0) > 0)
                ;
        RUN_UNTIL(is_unlisted);
        manager_free(manager);
        sd_event_unref(loop);
        vswitch_netlink_close(netns_netlink);
        netns_run("ip link del br0; ip link del tap0; rm -r %s", directory);
        now = dump();
        ck_assert_str_eq(now, golden);
        free(now);
        free(golden);
}

static void start_guest(const char *policy, const char *inside)
{
        fake_guests_start(xml_of(policy, inside), GUEST_RUNNING);
        fake_guests_settle(loop);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
}

/* ---- what the kernel shows ---- */

static bool is_offered(void)
{
        return nic() && nic()->decision.situation == FAILOVER_SITUATION_OFFERING &&
               nic()->facts.attached == FAILOVER_YES;
}

static enum failover_reason wanted_reason;

static bool is_kept_away(void)
{
        return nic() && nic()->decision.situation == FAILOVER_SITUATION_SYNTHETIC && !nic()->claim &&
               nic()->decision.reason == wanted_reason;
}

static void expect_text(const char *text, const char *part)
{
        ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

static void expect_no_text(const char *text, const char *part)
{
        ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in:\n%s", part, text);
}

static const char *vf_line(void)
{
        return netns_output("ip link show dev %s | grep -i 'vf .*" MAC "'", pf_name);
}

/* The only VLAN of the tap's port, and the only one in which the MAC is pinned. */
static void expect_network(unsigned vlan)
{
        char expected[64];

        snprintf(expected, sizeof(expected), "%u PVID Egress Untagged", vlan);
        expect_text(netns_output("bridge vlan show dev tap0"), expected);
        ck_assert_str_eq(netns_output("bridge -c vlan show dev tap0 | grep -c Untagged"), "1\n");
        snprintf(expected, sizeof(expected), "vlan %u ", vlan);
        expect_text(netns_output("bridge fdb show br br0 | grep " MAC " | grep sticky"), expected);
        ck_assert_str_eq(netns_output("bridge fdb show br br0 | grep " MAC " | grep -c sticky"), "1\n");
}

/* Is there the copy rule for frames with this tag, to the tap? */
static bool is_copied(uint16_t vlan)
{
        struct softswitch *softswitch = manager->switches[0].softswitch;
        struct vswitch_error error = { 0 };
        int port = -1;
        int r = softswitch->driver->copy_read(softswitch, &nic()->mac, vlan, manager->switches[0].uplink.ifindex,
                                              !manager->switches[0].reflects, &port, &error);

        ck_assert_msg(r == 0, "%s", error.text);
        return port == nic()->tap_ifindex;
}

/* ---- tests ---- */

START_TEST(a_policy_is_the_same_on_the_tap_and_on_the_vf)
{
        start_guest("vlan='5' vlan-qos='2' spoof-check='yes' trust='yes'", "");
        RUN_UNTIL(is_offered);
        expect_network(5);
        expect_text(vf_line(), "vlan 5, qos 2");
        expect_text(vf_line(), "spoof checking on");
        expect_text(vf_line(), "trust on");
        expect_text(netns_output("tc filter show dev tap0 ingress"), "nbyte");
        ck_assert(is_copied(5));
        ck_assert(!is_copied(0));
}
END_TEST

START_TEST(a_guest_that_may_spoof_may_on_both_paths)
{
        start_guest("vlan='5' spoof-check='no'", "");
        RUN_UNTIL(is_offered);
        expect_text(vf_line(), "spoof checking off");
        expect_text(vf_line(), "trust off");
        ck_assert_str_eq(netns_output("tc filter show dev tap0 ingress"), "");
}
END_TEST

START_TEST(what_igb_refuses_keeps_the_nic_synthetic)
{
        wanted_reason = FAILOVER_REASON_POLICY_NOT_ON_VF;
        if (_i)
                start_guest("vlan='5' vlan-protocol='802.1ad'", ""); /* and the bridge's VLANs are of 802.1Q */
        else
                start_guest("vlan='5' min-rate='100' max-rate='200'", "");
        RUN_UNTIL(is_kept_away);
        fake_guests_settle(loop);
        ck_assert(is_kept_away());
        if (_i)
                return;
        expect_text(netns_output("cat %s", log_path), "cannot set the rate of VF");
        expect_text(netns_output("tc filter show dev tap0 ingress"), "police");
        /* It does without the rate when the guest would rather have a VF. */
        fake_guests_edit(xml_of("vlan='5' min-rate='100' max-rate='200' prefer-vf='yes'", ""));
        RUN_UNTIL(is_offered);
        expect_text(vf_line(), "vlan 5");
        expect_no_text(vf_line(), "max_tx_rate");
        expect_text(netns_output("tc filter show dev tap0 ingress"), "police");
}
END_TEST

static bool is_in_6(void)
{
        return nic()->bridge_vlan == 6 && strstr(vf_line(), "vlan 6");
}

static bool has_no_tag(void)
{
        return nic()->wire_vlan == 0 && !strstr(vf_line(), "vlan");
}

START_TEST(both_paths_change_networks_together)
{
        start_guest("vlan='5'", "");
        RUN_UNTIL(is_offered);
        fake_guests_edit(xml_of("vlan='6'", ""));
        RUN_UNTIL(is_in_6);
        fake_guests_settle(loop);
        expect_network(6);
        ck_assert(is_copied(6));
        ck_assert(!is_copied(5));
        /* The uplink carries it without a tag from now on: so must the VF. */
        netns_run("bridge vlan add dev %s vid 6 pvid untagged", pf_name);
        RUN_UNTIL(has_no_tag);
        expect_network(6);
        ck_assert(is_offered());
}
END_TEST

static bool follows_to_6(void)
{
        return is_offered() && is_in_6();
}

START_TEST(a_tap_that_the_administrator_moves_takes_the_vf_along)
{
        netns_run("bridge vlan del dev tap0 vid 1; bridge vlan add dev tap0 vid 5 pvid untagged");
        start_guest("", "");
        RUN_UNTIL(is_offered);
        expect_network(5);
        expect_text(vf_line(), "vlan 5");
        netns_run("bridge vlan del dev tap0 vid 5; bridge vlan add dev tap0 vid 6 pvid untagged");
        RUN_UNTIL(follows_to_6);
        fake_guests_settle(loop);
        expect_network(6);
}
END_TEST

START_TEST(a_bridge_that_stops_filtering_keeps_the_nic_from_its_vf)
{
        fake_guests_set_unplug(FAKE_UNPLUG_AT_ONCE);
        start_guest("vlan='5'", "");
        RUN_UNTIL(is_offered);
        wanted_reason = FAILOVER_REASON_VLAN_NOT_FILTERED;
        netns_run("ip link set br0 type bridge vlan_filtering 0");
        RUN_UNTIL(is_kept_away);
        netns_run("ip link set br0 type bridge vlan_filtering 1");
        RUN_UNTIL(is_offered);
        expect_text(netns_output("bridge vlan show dev tap0"), "5 PVID Egress Untagged");
        expect_text(netns_output("bridge fdb show br br0 | grep " MAC " | grep 'vlan 5 '"), "sticky");
        expect_text(vf_line(), "vlan 5");
}
END_TEST

/* Every sticky entry of the guest in the bridge's table, as "VLAN port" lines; VLAN 0: none. */
static const char *entries(void)
{
        return netns_output("bridge fdb show br br0 | grep " MAC " | grep sticky | sed -n 's/.* dev \\([^ ]*\\).* vlan "
                            "\\([0-9]*\\) .*/\\2 \\1/p; /vlan/d; s/.* dev \\([^ ]*\\).*/0 \\1/p' | sort -n");
}

/* Conditions are looked at between any two events: what starts programs would keep the loop from most of them. */
static bool is_offered_in_5(void)
{
        return is_offered() && nic()->bridge_vlan == 5 && nic()->wire_vlan == 5 &&
               nic()->facts.prepared == FAILOVER_YES;
}

static bool is_offered_in_none(void)
{
        return is_offered() && nic()->bridge_vlan == 0 && nic()->wire_vlan == 0 &&
               nic()->facts.prepared == FAILOVER_YES;
}

static void expect_filed_under_5(void)
{
        char expected[64];

        snprintf(expected, sizeof(expected), "5 %s\n", pf_name);
        ck_assert_str_eq(entries(), expected);
        expect_text(vf_line(), "vlan 5");
        ck_assert(is_copied(5));
}

/* Under no VLAN; the kernel adds those of the uplink, which has three. */
static void expect_filed_under_none(void)
{
        char expected[128];

        snprintf(expected, sizeof(expected), "0 %s\n1 %s\n5 %s\n6 %s\n", pf_name, pf_name, pf_name, pf_name);
        ck_assert_str_eq(entries(), expected);
        expect_no_text(vf_line(), "vlan");
        ck_assert(is_copied(0));
}

START_TEST(pins_follow_a_bridge_that_begins_and_ceases_to_filter)
{
        netns_run("bridge vlan del dev tap0 vid 1; bridge vlan add dev tap0 vid 5 pvid untagged");
        start_guest("", "");
        RUN_UNTIL(is_offered_in_5);
        expect_filed_under_5();
        netns_run("ip link set br0 type bridge vlan_filtering 0");
        RUN_UNTIL(is_offered_in_none);
        expect_filed_under_none();
        netns_run("ip link set br0 type bridge vlan_filtering 1");
        RUN_UNTIL(is_offered_in_5);
        expect_filed_under_5();
}
END_TEST

START_TEST(a_change_of_filtering_before_the_end_leaves_no_pin)
{
        netns_run("ip link set br0 type bridge vlan_filtering %d; bridge vlan del dev tap0 vid 1; "
                  "bridge vlan add dev tap0 vid 5 pvid untagged",
                  !_i);
        start_guest("", "");
        RUN_UNTIL(is_offered);
        ck_assert_str_ne(entries(), "");
        manager_free(manager);
        fake_guests_end(UUID, "stopped/destroyed");
        netns_run("ip link set br0 type bridge vlan_filtering %d; ip link del tap0", _i);
        start_daemon();
        RUN_UNTIL(is_gone);
        ck_assert_str_eq(entries(), "");
}
END_TEST

/* What the kernel holds of the policy. Counters and ages are none of it. */
static char *dump_policy(void)
{
        return strdup(netns_output("ip link show dev %s | grep 'vf '; bridge vlan show; bridge fdb show br br0 | grep "
                                   "sticky | sort; tc filter show dev tap0 ingress; tc filter show dev %s ingress",
                                   pf_name, pf_name));
}

START_TEST(a_restart_changes_nothing)
{
        char *before, *after;

        start_guest("vlan='5' spoof-check='yes' trust='yes'", "");
        RUN_UNTIL(is_offered);
        fake_guests_settle(loop);
        before = dump_policy();
        manager_free(manager);
        start_daemon();
        RUN_UNTIL(is_offered);
        fake_guests_settle(loop);
        after = dump_policy();
        ck_assert_str_eq(before, after);
        free(before);
        free(after);
}
END_TEST

static void add_test(Suite *suite, const char *name, const TTest *test, int count)
{
        TCase *tests = tcase_create(name);

        tcase_set_timeout(tests, 60);
        tcase_add_checked_fixture(tests, set_up, tear_down);
        tcase_add_loop_test(tests, test, 0, count);
        suite_add_tcase(suite, tests);
}

int main(void)
{
        Suite *suite = suite_create("policy");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_test(suite, "both paths", a_policy_is_the_same_on_the_tap_and_on_the_vf, 1);
        add_test(suite, "may spoof", a_guest_that_may_spoof_may_on_both_paths, 1);
        add_test(suite, "refusals", what_igb_refuses_keeps_the_nic_synthetic, 2);
        add_test(suite, "change", both_paths_change_networks_together, 1);
        add_test(suite, "moved tap", a_tap_that_the_administrator_moves_takes_the_vf_along, 1);
        add_test(suite, "filtering", a_bridge_that_stops_filtering_keeps_the_nic_from_its_vf, 1);
        add_test(suite, "filtering and pins", pins_follow_a_bridge_that_begins_and_ceases_to_filter, 1);
        add_test(suite, "filtering and the end", a_change_of_filtering_before_the_end_leaves_no_pin, 2);
        add_test(suite, "restart", a_restart_changes_nothing, 1);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
