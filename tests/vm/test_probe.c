/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vswitch pf probe` on a card that is not a model: igb and igbvf on emulated hardware, in the virtual machine that
 * tests/vm/run boots. VM_PF has four VFs, VM_WIRE is another igb on the same wire, without VFs, and VM_PLAIN a NIC
 * without SR-IOV.
 *
 * What the probe says is compared with what this test finds out by its own means: ip(8), bridge(8), sysfs, and the test
 * harness's frames.
 */

#include "tests/netns/netns_test.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESULTS    "/tmp/probe-results"
#define OUTPUT     "/tmp/probe-output"
#define MAC_PREFIX "0a:76:73:70"

/* The VFs of this test's own measurements and of the probe's. */
#define SUBJECT "1"
#define SENDER  "2"

#define SUBJECT_MAC   "52:54:00:00:01:01"
#define SENDER_MAC    "52:54:00:00:01:02"
#define NEIGHBOUR_MAC "52:54:00:00:01:03"
#define OTHER_MAC     "52:54:00:00:01:04"
#define GROUP         "33:33:00:00:01:04"

/* More than the card has room for. */
#define FILTERS 40

static const char *pf_name, *wire_name, *plain_name;
static char *golden;

static char *dump(void)
{
        /* Without the timers of a bridge's port. */
        return strdup(netns_output("ip -d link show dev %s | sed 's/[a-z_]*_timer *[0-9.]*//g'; bridge fdb show | "
                                   "sort; ip -br link | sort; "
                                   "cat /sys/class/net/%s/device/virtfn*/driver_override; "
                                   "ls -d /sys/class/net/%s/device/virtfn*/driver 2>/dev/null; ls /run/vswitch",
                                   pf_name, pf_name, pf_name));
}

/* Check's messages are too short for two dumps: the first line that differs. */
static void assert_unchanged(const char *before)
{
        char *after = dump();
        const char *a = before, *b = after;

        while (*a && *b && strcspn(a, "\n") == strcspn(b, "\n") && strncmp(a, b, strcspn(a, "\n")) == 0) {
                a += strcspn(a, "\n");
                b += strcspn(b, "\n");
                a += *a == '\n';
                b += *b == '\n';
        }
        ck_assert_msg(*a == '\0' && *b == '\0', "it was \"%.*s\" and is \"%.*s\"", (int) strcspn(a, "\n"), a,
                      (int) strcspn(b, "\n"), b);
        free(after);
}

static bool has_carrier(const char *name)
{
        return strstr(netns_output("cat /sys/class/net/%s/operstate 2>/dev/null", name), "up") != NULL;
}

static void wait_for_carrier(const char *name)
{
        for (int i = 0; i < 300 && !has_carrier(name); i++)
                usleep(100 * 1000);
        ck_assert_msg(has_carrier(name), "%s has no carrier", name);
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        pf_name = getenv("VM_PF");
        wire_name = getenv("VM_WIRE");
        plain_name = getenv("VM_PLAIN");
        ck_assert_msg(pf_name && wire_name && plain_name, "VM_PF, VM_WIRE and VM_PLAIN must name NICs");
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        netns_run("mkdir -p /run/vswitch; rm -rf " RESULTS);
        wait_for_carrier(pf_name);
        wait_for_carrier(wire_name);
        golden = dump();
}

static void tear_down(void)
{
        assert_unchanged(golden);
        free(golden);
        vswitch_netlink_close(netns_netlink);
}

/*
 * Running the probe
 */

static const char *vf_address(const char *index)
{
        static char address[2][64];
        static unsigned turn;
        char *ret = address[turn++ % 2];

        snprintf(ret, sizeof(address[0]), "%s",
                 netns_output("basename $(readlink /sys/class/net/%s/device/virtfn%s)", pf_name, index));
        ret[strcspn(ret, "\n")] = '\0';
        return ret;
}

static pid_t start_probe(const char *pf, bool with_wire)
{
        char vfs[160];
        pid_t child;

        snprintf(vfs, sizeof(vfs), "%s,%s", vf_address(SUBJECT), vf_address(SENDER));
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                int output = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);

                (void) dup2(output, STDOUT_FILENO);
                execl("/test/vswitch-probe", "vswitch-probe", "pf", "probe", pf, "--json", "--vfs", vfs, "--directory",
                      RESULTS, "--timeout", "300", with_wire ? "--wire" : NULL, wire_name, NULL);
                _exit(127);
        }
        return child;
}

static int wait_for(pid_t child)
{
        int status = 0;

        ck_assert_int_eq(waitpid(child, &status, 0), child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static json_t *run_probe(const char *pf, bool with_wire, int expected_exit)
{
        int code = wait_for(start_probe(pf, with_wire));
        json_error_t error;
        json_t *json = json_load_file(OUTPUT, 0, &error);

        ck_assert_msg(json != NULL, "exit code %d; no JSON: %s", code, error.text);
        if (code != expected_exit)
                json_dumpf(json, stderr, JSON_INDENT(1));
        ck_assert_int_eq(code, expected_exit);
        return json;
}

static const char *text(const json_t *json, const char *key)
{
        const char *value = json_string_value(json_object_get(json, key));

        ck_assert_msg(value != NULL, "no %s", key);
        return value;
}

static const char *answer(const json_t *json, const char *name)
{
        const json_t *experiment;
        size_t index;

        json_array_foreach (json_object_get(json, "experiments"), index, experiment)
                if (strcmp(text(experiment, "name"), name) == 0)
                        return text(experiment, "verdict");
        ck_abort_msg("no experiment %s", name);
}

/* Every answer, for the log: this is where one sees what an emulated card does. */
static void show(const json_t *json)
{
        const json_t *experiment;
        size_t index;

        json_array_foreach (json_object_get(json, "experiments"), index, experiment)
                fprintf(stderr, "%s: %s (%lld/%lld) %s\n", text(experiment, "name"), text(experiment, "verdict"),
                        (long long) json_integer_value(json_object_get(experiment, "received")),
                        (long long) json_integer_value(json_object_get(experiment, "sent")), text(experiment, "note"));
        fprintf(stderr, "steering %s, reflects %d, filters %lld (%s), live %s, VLANs %s, spoof check %s\n",
                text(json, "steering"), json_is_true(json_object_get(json, "reflects")),
                (long long) json_integer_value(json_object_get(json, "filter_capacity")), text(json, "overflow"),
                text(json, "filter_live"), text(json, "isolates_vlans"), text(json, "spoof_check_drops"));
}

/*
 * This test's own measurements
 */

/* The VF's netdev, up, with `mac` from the PF. */
static const char *drive_vf(const char *index, const char *mac, const char *settings)
{
        static char names[8][32];
        char *name = names[atoi(index)];
        const char *address = vf_address(index);

        netns_run("ip link set %s vf %s mac %s; %s", pf_name, index, mac, settings);
        netns_run("cd /sys/bus/pci/devices/%s; echo igbvf >driver_override; echo %s >/sys/bus/pci/drivers_probe; "
                  "echo >driver_override",
                  address, address);
        snprintf(name, sizeof(names[0]), "%s", netns_output("ls /sys/bus/pci/devices/%s/net", address));
        name[strcspn(name, "\n")] = '\0';
        netns_run("echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6; ip link set %s up", name, name);
        wait_for_carrier(name);
        return name;
}

static void give_back_vf(const char *index)
{
        netns_run("echo %s >/sys/bus/pci/devices/%s/driver/unbind; ip link set %s vf %s mac 00:00:00:00:00:00",
                  vf_address(index), vf_address(index), pf_name, index);
}

/* A busy machine may lose a frame now and then: what is asked is where frames go, not whether each one arrives. */
#define COPIES 3

/* Does a frame from `from` come to the capture? */
static bool arrives(const char *from, const char *to, const char *source, uint16_t vlan, int capture)
{
        static uint32_t number = 1000;

        number++;
        for (unsigned i = 0; i < COPIES; i++)
                netns_send(from, to, source, vlan, number);
        return netns_count(capture, number, NULL) > 0;
}

static const char *yes_no(bool value)
{
        return value ? "yes" : "no";
}

static void list_filter(const char *mac, bool listed)
{
        /* A card that is full may refuse. */
        (void) netns_output("bridge fdb %s %s dev %s self permanent 2>/dev/null", listed ? "add" : "del", mac, pf_name);
}

/* Without the harness's promiscuous mode: what the device is given anyway. */
static int capture_as_is(const char *device)
{
        struct packet_mreq request = { .mr_ifindex = netns_ifindex(device), .mr_type = PACKET_MR_PROMISC };
        int capture = netns_capture(device);

        ck_assert_int_eq(setsockopt(capture, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof(request)), 0);
        return capture;
}

/* How many of that many uplink filters deliver. */
static unsigned count_filters(const char *sender, int capture)
{
        bool heard[FILTERS] = { false };
        struct netns_frame frame;
        unsigned count = 0;
        char mac[VSWITCH_MAC_TEXT_SIZE];

        for (unsigned i = 0; i < FILTERS; i++) {
                snprintf(mac, sizeof(mac), "52:54:00:00:02:%02x", i);
                list_filter(mac, true);
        }
        for (unsigned i = 0; i < COPIES * FILTERS; i++) {
                snprintf(mac, sizeof(mac), "52:54:00:00:02:%02x", i % FILTERS);
                netns_send(sender, mac, SENDER_MAC, 0, i);
        }
        while (netns_receive(capture, &frame) >= 0)
                if (frame.data[4] == 0x02 && frame.data[5] < FILTERS)
                        heard[frame.data[5]] = true;
        for (unsigned i = 0; i < FILTERS; i++) {
                snprintf(mac, sizeof(mac), "52:54:00:00:02:%02x", i);
                list_filter(mac, false);
                count += heard[i];
        }
        return count;
}

/*
 * Tests
 */

static void compare_delivery(const json_t *report)
{
        const char *subject = drive_vf(SUBJECT, SUBJECT_MAC, "true");
        const char *sender = drive_vf(SENDER, SENDER_MAC, "true");
        int at_vf = capture_as_is(subject), at_pf = capture_as_is(pf_name);
        struct packet_mreq promiscuous = { .mr_ifindex = netns_ifindex(pf_name), .mr_type = PACKET_MR_PROMISC };

        /* Without filters, and with the PF promiscuous. */
        ck_assert_str_eq(answer(report, "vf-to-vf"), yes_no(arrives(sender, SUBJECT_MAC, SENDER_MAC, 0, at_vf)));
        ck_assert_str_eq(answer(report, "vf-to-pf-unlisted"), yes_no(arrives(sender, OTHER_MAC, SENDER_MAC, 0, at_pf)));
        ck_assert_int_eq(setsockopt(at_pf, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)), 0);
        ck_assert_str_eq(answer(report, "vf-to-pf-promiscuous"),
                         yes_no(arrives(sender, OTHER_MAC, SENDER_MAC, 0, at_pf)));
        ck_assert_int_eq(setsockopt(at_pf, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &promiscuous, sizeof(promiscuous)), 0);

        /* With them. */
        list_filter(OTHER_MAC, true);
        list_filter(NEIGHBOUR_MAC, true);
        list_filter(SUBJECT_MAC, true);
        ck_assert_str_eq(answer(report, "vf-to-pf-listed"), yes_no(arrives(sender, OTHER_MAC, SENDER_MAC, 0, at_pf)));
        ck_assert_str_eq(answer(report, "pf-to-pf-listed"),
                         yes_no(arrives(pf_name, OTHER_MAC, NEIGHBOUR_MAC, 0, at_pf)));
        ck_assert_str_eq(answer(report, "both-vf-to-vf"), yes_no(arrives(sender, SUBJECT_MAC, SENDER_MAC, 0, at_vf)));
        ck_assert_str_eq(answer(report, "both-vf-to-pf"), yes_no(arrives(sender, SUBJECT_MAC, SENDER_MAC, 0, at_pf)));
        ck_assert_str_eq(answer(report, "both-pf-to-vf"),
                         yes_no(arrives(pf_name, SUBJECT_MAC, NEIGHBOUR_MAC, 0, at_vf)));
        ck_assert_str_eq(answer(report, "both-pf-to-pf"),
                         yes_no(arrives(pf_name, SUBJECT_MAC, NEIGHBOUR_MAC, 0, at_pf)));
        ck_assert_str_eq(answer(report, "both-wire-to-vf"),
                         yes_no(arrives(wire_name, SUBJECT_MAC, "52:54:00:00:01:05", 0, at_vf)));
        ck_assert_str_eq(answer(report, "both-wire-to-pf"),
                         yes_no(arrives(wire_name, SUBJECT_MAC, "52:54:00:00:01:05", 0, at_pf)));
        ck_assert_str_eq(answer(report, "broadcast-pf-to-pf"),
                         yes_no(arrives(pf_name, "ff:ff:ff:ff:ff:ff", NEIGHBOUR_MAC, 0, at_pf)));
        ck_assert_str_eq(answer(report, "broadcast-vf-to-pf"),
                         yes_no(arrives(sender, "ff:ff:ff:ff:ff:ff", SENDER_MAC, 0, at_pf)));

        /* Multicast for a group that nobody on the card is in. */
        ck_assert_str_eq(answer(report, "multicast-vf-to-pf"), yes_no(arrives(sender, GROUP, SENDER_MAC, 0, at_pf)));
        netns_run("ip link set %s allmulticast on", pf_name);
        ck_assert_str_eq(answer(report, "multicast-vf-to-pf-allmulti"),
                         yes_no(arrives(sender, GROUP, SENDER_MAC, 0, at_pf)));
        netns_run("ip link set %s allmulticast off; ip maddr add " GROUP " dev %s", pf_name, pf_name);
        ck_assert_str_eq(answer(report, "multicast-vf-to-pf-joined"),
                         yes_no(arrives(sender, GROUP, SENDER_MAC, 0, at_pf)));
        netns_run("ip maddr del " GROUP " dev %s", pf_name);

        /* A forged source. */
        netns_run("ip link set %s vf " SENDER " spoofchk on", pf_name);
        ck_assert_str_eq(answer(report, "spoof-checked"),
                         yes_no(arrives(sender, OTHER_MAC, "52:54:00:00:01:09", 0, at_pf)));

        /* A filter that comes while the VF's driver runs. */
        netns_run("ip link set %s vf " SUBJECT " mac 52:54:00:00:01:0a", pf_name);
        ck_assert_str_eq(answer(report, "filter-at-once"),
                         yes_no(arrives(sender, "52:54:00:00:01:0a", SENDER_MAC, 0, at_vf)));

        list_filter(OTHER_MAC, false);
        list_filter(NEIGHBOUR_MAC, false);
        list_filter(SUBJECT_MAC, false);
        ck_assert_uint_eq((unsigned) json_integer_value(json_object_get(report, "filter_capacity")),
                          count_filters(sender, at_pf));
        close(at_vf);
        close(at_pf);
        give_back_vf(SUBJECT);
        give_back_vf(SENDER);
}

static void compare_vlans(const json_t *report)
{
        const char *subject, *sender;
        int at_vf, at_pf;

        netns_run("ip link set %s vf " SUBJECT " vlan 7; ip link add link %s name tagged type vlan id 7", pf_name,
                  pf_name);
        subject = drive_vf(SUBJECT, SUBJECT_MAC, "true");
        sender = drive_vf(SENDER, SENDER_MAC, "true");
        list_filter(OTHER_MAC, true);
        at_vf = capture_as_is(subject);
        at_pf = capture_as_is(pf_name);
        ck_assert_str_eq(answer(report, "vf-vlan-to-other"),
                         yes_no(arrives(sender, SUBJECT_MAC, SENDER_MAC, 0, at_vf)));
        ck_assert_str_eq(answer(report, "pf-to-vf-vlan"),
                         yes_no(arrives(pf_name, SUBJECT_MAC, NEIGHBOUR_MAC, 7, at_vf)));
        ck_assert_str_eq(answer(report, "vf-vlan-to-pf"), yes_no(arrives(subject, OTHER_MAC, SUBJECT_MAC, 0, at_pf)));
        close(at_vf);
        close(at_pf);
        give_back_vf(SENDER);
        give_back_vf(SUBJECT);

        netns_run("ip link set %s vf " SENDER " vlan 7", pf_name);
        subject = drive_vf(SUBJECT, SUBJECT_MAC, "true");
        sender = drive_vf(SENDER, SENDER_MAC, "true");
        at_vf = capture_as_is(subject);
        ck_assert_str_eq(answer(report, "vf-vlan-to-same"), yes_no(arrives(sender, SUBJECT_MAC, SENDER_MAC, 0, at_vf)));
        close(at_vf);
        give_back_vf(SENDER);
        give_back_vf(SUBJECT);
        list_filter(OTHER_MAC, false);
        netns_run("ip link set %s vf " SUBJECT " vlan 0; ip link set %s vf " SENDER " vlan 0; ip link del tagged",
                  pf_name, pf_name);
}

static json_t *load_only_result(void)
{
        char path[PATH_MAX];
        json_t *result;

        snprintf(path, sizeof(path), RESULTS "/%s", netns_output("ls " RESULTS));
        path[strcspn(path, "\n")] = '\0';
        result = json_load_file(path, 0, NULL);
        ck_assert_msg(result != NULL, "no result in %s", path);
        return result;
}

START_TEST(test_the_verdict_is_what_is_measured_otherwise)
{
        json_t *report = run_probe(pf_name, true, 0);
        json_t *result;

        show(report);
        assert_unchanged(golden);

        ck_assert_str_eq(text(report, "verdict"), "measured");
        ck_assert_str_eq(text(report, "steering"), "both");
        ck_assert(json_is_true(json_object_get(report, "reflects")));
        compare_delivery(report);
        compare_vlans(report);

        result = load_only_result();
        ck_assert_str_eq(text(result, "steering"), "both");
        ck_assert(json_equal(json_object_get(result, "filter_capacity"), json_object_get(report, "filter_capacity")));
        ck_assert(json_equal(json_object_get(result, "card"), json_object_get(report, "card")));
        json_decref(result);
        json_decref(report);
}
END_TEST

static bool is_leftover_there(void)
{
        return strstr(netns_output("ip link show dev %s; bridge fdb show", pf_name), MAC_PREFIX) != NULL;
}

/* Until it is in the middle of it: both VFs run, and a filter is set. */
static void wait_until_it_measures(void)
{
        for (int i = 0; i < 1200; i++) {
                if (strstr(netns_output("bridge fdb show dev %s", pf_name), MAC_PREFIX))
                        return;
                usleep(50 * 1000);
        }
        ck_abort_msg("the probe does not get so far");
}

static void wait_until_forwarding(void)
{
        for (int i = 0; i < 600 && !strstr(netns_output("bridge link show dev %s", pf_name), "state forwarding"); i++)
                usleep(50 * 1000);
        ck_assert_ptr_nonnull(strstr(netns_output("bridge link show dev %s", pf_name), "state forwarding"));
}

START_TEST(test_in_a_bridge_and_after_a_kill)
{
        json_t *report;
        char *in_bridge;
        pid_t child;

        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set %s master br0", pf_name);
        wait_until_forwarding();
        in_bridge = dump();
        child = start_probe(pf_name, false);
        wait_until_it_measures();
        kill(child, SIGKILL);
        ck_assert_int_eq(wait_for(child), -SIGKILL);
        ck_assert(is_leftover_there());
        ck_assert_str_eq(netns_output("ls " RESULTS " 2>/dev/null"), "");

        report = run_probe(pf_name, false, 0);
        show(report);
        ck_assert_str_eq(text(report, "steering"), "both");
        ck_assert(json_is_true(json_object_get(report, "pf_was_promiscuous")));
        ck_assert_str_eq(answer(report, "both-wire-to-vf"), "not-tried");
        json_decref(report);
        assert_unchanged(in_bridge);
        free(in_bridge);
        netns_run("ip link del br0");
}
END_TEST

START_TEST(test_an_interrupt_puts_everything_back)
{
        pid_t child = start_probe(pf_name, false);
        json_t *report;

        wait_until_it_measures();
        kill(child, SIGTERM);
        ck_assert_int_eq(wait_for(child), 1);
        report = json_load_file(OUTPUT, 0, NULL);
        ck_assert_ptr_nonnull(report);
        ck_assert_ptr_nonnull(strstr(text(json_object_get(report, "error"), "sentence"), "interrupted"));
        ck_assert_str_eq(netns_output("ls " RESULTS " 2>/dev/null"), "");
        json_decref(report);
}
END_TEST

START_TEST(test_cards_that_cannot_be_probed)
{
        json_t *report = run_probe(plain_name, false, 1);

        ck_assert_str_eq(text(report, "verdict"), "no-sriov");
        ck_assert_str_eq(text(json_object_get(report, "card"), "driver"), "e1000e");
        ck_assert_ptr_nonnull(strstr(text(report, "sentence"), "has no SR-IOV"));
        json_decref(report);

        report = run_probe(wire_name, false, 1);
        ck_assert_str_eq(text(report, "verdict"), "no-vfs");
        ck_assert_ptr_nonnull(strstr(text(report, "sentence"), "vswitch pf set-vfs"));
        json_decref(report);

        report = run_probe("nosuch0", false, 4);
        ck_assert_str_eq(text(json_object_get(report, "error"), "code"), "not-found");
        json_decref(report);
}
END_TEST

/* A VF that somebody uses is refused before anything is touched. */
START_TEST(test_vfs_in_use_are_left_alone)
{
        const char *netdev = drive_vf(SENDER, SENDER_MAC, "true");
        json_t *report = run_probe(pf_name, false, 1);

        ck_assert_ptr_nonnull(strstr(text(json_object_get(report, "error"), "sentence"), "in use"));
        ck_assert_ptr_nonnull(strstr(netns_output("ip link show dev %s", netdev), SENDER_MAC));
        json_decref(report);
        give_back_vf(SENDER);
}
END_TEST

static void add_test(Suite *suite, const char *name, const TTest *test)
{
        TCase *test_case = tcase_create(name);

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 300);
        tcase_add_test(test_case, test);
        suite_add_tcase(suite, test_case);
}

int main(void)
{
        Suite *suite = suite_create("probe");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_test(suite, "verdict", test_the_verdict_is_what_is_measured_otherwise);
        add_test(suite, "in a bridge, killed", test_in_a_bridge_and_after_a_kill);
        add_test(suite, "interrupted", test_an_interrupt_puts_everything_back);
        add_test(suite, "other cards", test_cards_that_cannot_be_probed);
        add_test(suite, "in use", test_vfs_in_use_are_left_alone);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
