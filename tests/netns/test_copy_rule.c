/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The copy rule with real traffic. br0 has the ports w0 (the uplink), v0 (the tap of the guest that moves) and n0
 * (a neighbour on the same switch); w1 is the wire, v1 the guest's standby NIC, n1 the neighbour.
 *
 * The kernel needs cls_flower, act_mirred and act_vlan. Where it has none the program skips itself; tests/vm runs
 * it in a kernel that has them.
 */

#include "netns_test.h"

#include "vswitch/softswitch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUEST     "52:54:00:12:34:56"
#define SECOND    "52:54:00:12:34:57"
#define NEIGHBOUR "52:54:00:00:00:01"
#define SENDER    "52:54:00:00:00:02"

struct bench {
        struct softswitch *software_switch;
        int uplink;
        int tap;
        uint16_t vlan; /* the tag of the guest's frames on the uplink */
        int wire_capture;
        int guest_capture;
};

static struct bench set_up_bench(const char *bridge_options)
{
        struct vswitch_error error = { 0 };
        struct vswitch_mac guest = netns_mac(GUEST);
        struct bench bench = { 0 };

        netns_run("ip link add br0 type bridge %s; ip link set br0 up", bridge_options);
        netns_add_veth("w0", "w1", "br0");
        netns_add_veth("v0", "v1", "br0");
        netns_add_veth("n0", "n1", "br0");
        ck_assert_msg(softswitch_bridge_driver.open(netns_netlink, "br0", &bench.software_switch, &error) == 0, "%s",
                      error.text);
        bench.uplink = netns_ifindex("w0");
        bench.tap = netns_ifindex("v0");
        bench.wire_capture = netns_capture("w1");
        bench.guest_capture = netns_capture("v1");

        /* As while a NIC moves. */
        ck_assert_int_eq(bench.software_switch->driver->pin(bench.software_switch, &guest, 0, bench.uplink, &error), 0);
        return bench;
}

static int add(const struct bench *bench, const char *mac, int tap, struct vswitch_error *error)
{
        struct vswitch_mac parsed = netns_mac(mac);

        return bench->software_switch->driver->copy_add(bench->software_switch, &parsed, bench->vlan, bench->uplink,
                                                        tap, true, error);
}

static void add_ok(const struct bench *bench, const char *mac)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(add(bench, mac, bench->tap, &error) == 0, "%s", error.text);
}

static void remove_ok(const struct bench *bench, const char *mac)
{
        struct vswitch_mac parsed = netns_mac(mac);
        struct vswitch_error error = { 0 };

        ck_assert_msg(bench->software_switch->driver->copy_remove(bench->software_switch, &parsed, bench->vlan,
                                                                  bench->uplink, &error) == 0,
                      "%s", error.text);
}

static int read_tap(const struct bench *bench, const char *mac)
{
        struct vswitch_mac parsed = netns_mac(mac);
        struct vswitch_error error = { 0 };
        int tap = -2;

        ck_assert_msg(bench->software_switch->driver->copy_read(bench->software_switch, &parsed, bench->vlan,
                                                                bench->uplink, true, &tap, &error) == 0,
                      "%s", error.text);
        return tap;
}

static size_t count_rules(const struct bench *bench)
{
        struct vswitch_mac *macs = NULL;
        size_t count = 0;

        ck_assert_int_eq(bench->software_switch->driver->copy_list(bench->software_switch, bench->uplink, &macs, &count,
                                                                   NULL),
                         0);
        free(macs);
        return count;
}

static int count_lines(const char *command)
{
        return atoi(netns_output("(%s) 2>/dev/null | grep -c .", command));
}

static bool has_clsact(void)
{
        return strstr(netns_output("tc qdisc show dev w0"), "clsact") != NULL;
}

START_TEST(test_both_kinds_of_senders_reach_both_paths)
{
        struct bench bench = set_up_bench("");

        /* Without the rule, the pin on the uplink is deaf to the wire and hides the tap from the neighbour. */
        netns_send("w1", GUEST, SENDER, 0, 1);
        netns_send("n1", GUEST, NEIGHBOUR, 0, 2);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, NULL), 0);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 2, NULL), 0);
        ck_assert_uint_eq(netns_count(bench.wire_capture, 2, NULL), 1);

        add_ok(&bench, GUEST);
        netns_send("w1", GUEST, SENDER, 0, 3);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 3, NULL), 1);
        netns_send("n1", GUEST, NEIGHBOUR, 0, 4);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 4, NULL), 1);
        ck_assert_uint_eq(netns_count(bench.wire_capture, 4, NULL), 1);

        /* Only what is for the guest. */
        netns_send("w1", NEIGHBOUR, SENDER, 0, 7);
        netns_run("bridge fdb replace " SECOND " dev w0 master static sticky");
        netns_send("n1", SECOND, NEIGHBOUR, 0, 8);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 7, NULL), 0);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 8, NULL), 0);
        ck_assert_uint_eq(netns_count(bench.wire_capture, 8, NULL), 1);

        remove_ok(&bench, GUEST);
        netns_send("w1", GUEST, SENDER, 0, 5);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 5, NULL), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_read_list_and_add_again)
{
        struct bench bench = set_up_bench("");

        ck_assert_int_eq(read_tap(&bench, GUEST), 0);
        ck_assert_uint_eq(count_rules(&bench), 0);

        add_ok(&bench, GUEST);
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        ck_assert_int_eq(read_tap(&bench, SECOND), 0);
        ck_assert_uint_eq(count_rules(&bench), 1);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep dst_mac"), 1);
        ck_assert_int_eq(count_lines("tc filter show dev w0 egress | grep dst_mac"), 1);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep skip_hw"), 1);

        remove_ok(&bench, GUEST);
        remove_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), 0);
        ck_assert_uint_eq(count_rules(&bench), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_macs_come_and_go_one_by_one)
{
        struct bench bench = set_up_bench("");

        for (unsigned i = 0; i < 20; i++) {
                char mac[VSWITCH_MAC_TEXT_SIZE];

                snprintf(mac, sizeof(mac), "52:54:00:01:00:%02x", i);
                add_ok(&bench, mac);
        }
        add_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 21);

        for (unsigned i = 0; i < 20; i++) {
                char mac[VSWITCH_MAC_TEXT_SIZE];

                snprintf(mac, sizeof(mac), "52:54:00:01:00:%02x", i);
                remove_ok(&bench, mac);
                ck_assert_int_eq(read_tap(&bench, mac), 0);
                ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        }
        netns_send("w1", GUEST, SENDER, 0, 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, NULL), 1);
        remove_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_another_tap)
{
        struct bench bench = set_up_bench("");
        int other_capture;

        netns_add_veth("t0", "t1", "br0");
        other_capture = netns_capture("t1");
        add_ok(&bench, GUEST);
        ck_assert_int_eq(add(&bench, GUEST, netns_ifindex("t0"), NULL), 0);
        ck_assert_int_eq(read_tap(&bench, GUEST), netns_ifindex("t0"));
        netns_send("w1", GUEST, SENDER, 0, 1);
        ck_assert_uint_eq(netns_count(other_capture, 1, NULL), 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, NULL), 0);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep dst_mac"), 1);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_parts_are_seen_and_completed)
{
        struct bench bench = set_up_bench("");

        add_ok(&bench, GUEST);
        netns_run("tc filter del dev w0 egress");
        ck_assert_int_eq(read_tap(&bench, GUEST), -1);
        ck_assert_uint_eq(count_rules(&bench), 1);
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);

        /* The tap goes away with its guest; what is left points nowhere, and can be removed. */
        netns_run("ip link del v0");
        ck_assert_int_eq(read_tap(&bench, GUEST), -1);
        ck_assert_uint_eq(count_rules(&bench), 1);
        remove_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_the_place_for_filters_is_made_once_and_stays)
{
        struct bench bench = set_up_bench("");
        struct softswitch *s = bench.software_switch;
        char *first;

        ck_assert(!has_clsact());
        ck_assert_int_eq(s->driver->prepare_uplink(s, bench.uplink, NULL), 0);
        ck_assert(has_clsact());
        first = strdup(netns_output("tc qdisc show dev w0"));
        add_ok(&bench, GUEST);
        remove_ok(&bench, GUEST);
        ck_assert_int_eq(s->driver->prepare_uplink(s, bench.uplink, NULL), 0);
        ck_assert_str_eq(netns_output("tc qdisc show dev w0"), first);
        free(first);

        /* Somebody took it away in between. */
        netns_run("tc qdisc del dev w0 clsact");
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        s->driver->close(s);
}
END_TEST

START_TEST(test_filters_of_somebody_else_stay)
{
        struct bench bench = set_up_bench("");

        add_ok(&bench, GUEST);
        netns_run("tc filter add dev w0 egress pref 30000 matchall action ok");
        remove_ok(&bench, GUEST);
        ck_assert_int_eq(count_lines("tc filter show dev w0 egress | grep matchall"), 2);

        /* Even one at our own priority and for the same MAC is told from ours, in the way as it is. */
        netns_run("tc filter add dev w0 ingress pref %d protocol all flower dst_mac " SECOND " action ok",
                  SOFTSWITCH_COPY_PRIORITY);
        ck_assert_uint_eq(count_rules(&bench), 0);
        ck_assert_int_eq(read_tap(&bench, SECOND), 0);
        remove_ok(&bench, SECOND);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep dst_mac"), 1);
        add_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 1);
        remove_ok(&bench, GUEST);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep dst_mac"), 1);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_a_refused_rule_leaves_nothing)
{
        struct bench bench = set_up_bench("");
        struct vswitch_error error = { 0 };

        ck_assert_int_lt(add(&bench, GUEST, 9999, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, GUEST));
        ck_assert_int_eq(read_tap(&bench, GUEST), 0);
        ck_assert_uint_eq(count_rules(&bench), 0);

        /* Beside somebody's filter with the very key of ours. */
        netns_run("tc filter add dev w0 egress pref %d protocol all flower dst_mac " GUEST " action ok",
                  SOFTSWITCH_COPY_PRIORITY);
        ck_assert_int_eq(add(&bench, GUEST, bench.tap, &error), -EEXIST);
        ck_assert_ptr_nonnull(strstr(error.text, "somebody else's"));
        ck_assert_int_eq(read_tap(&bench, GUEST), 0);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep dst_mac"), 0);
        ck_assert_int_eq(count_lines("tc filter show dev w0 egress | grep dst_mac"), 1);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_later_filters_still_see_what_is_mirrored)
{
        struct bench bench = set_up_bench("");

        add_ok(&bench, GUEST);
        netns_run("tc filter add dev w0 egress pref 30000 protocol all flower dst_mac " GUEST " action drop");
        netns_send("n1", GUEST, NEIGHBOUR, 0, 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, NULL), 1);
        ck_assert_uint_eq(netns_count(bench.wire_capture, 1, NULL), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_access_vlan_that_is_tagged_on_the_uplink)
{
        struct bench bench = set_up_bench("vlan_filtering 1");
        struct vswitch_mac guest = netns_mac(GUEST);
        uint16_t vlan = 99;

        bench.vlan = 5;
        netns_run("bridge vlan add dev w0 vid 5; bridge vlan add dev w0 vid 6");
        netns_run("bridge vlan add dev v0 vid 5 pvid untagged; bridge vlan add dev n0 vid 5 pvid untagged");
        ck_assert_int_eq(bench.software_switch->driver->pin(bench.software_switch, &guest, 5, bench.uplink, NULL), 0);
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);

        /* The guest gets its VLAN's frames as from its access port: without the tag. */
        netns_send("w1", GUEST, SENDER, 5, 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, &vlan), 1);
        ck_assert_uint_eq(vlan, 0);

        /* The copy takes nothing from the frame on the wire: its tag is there. */
        netns_send("n1", GUEST, NEIGHBOUR, 0, 2);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 2, &vlan), 1);
        ck_assert_uint_eq(vlan, 0);
        ck_assert_uint_eq(netns_count(bench.wire_capture, 2, &vlan), 1);
        ck_assert_uint_eq(vlan, 5);

        /* And nothing from other VLANs, or without one. */
        netns_send("w1", GUEST, SENDER, 6, 3);
        netns_send("w1", GUEST, SENDER, 0, 4);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 3, NULL), 0);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 4, NULL), 0);

        remove_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_untagged_vlan_on_a_filtering_bridge)
{
        struct bench bench = set_up_bench("vlan_filtering 1");

        netns_run("bridge vlan add dev w0 vid 6");
        add_ok(&bench, GUEST);
        add_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 1);

        netns_send("w1", GUEST, SENDER, 0, 1);
        netns_send("n1", GUEST, NEIGHBOUR, 0, 2);
        netns_send("w1", GUEST, SENDER, 6, 3);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, NULL), 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 2, NULL), 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 3, NULL), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_vlan_changes_during_a_move)
{
        struct bench bench = set_up_bench("vlan_filtering 1");

        add_ok(&bench, GUEST);
        netns_run("bridge vlan add dev w0 vid 5; bridge vlan add dev v0 vid 5 pvid untagged");

        /* What is there now is not the rule that it should be, whoever asks. */
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        bench.vlan = 5;
        ck_assert_int_eq(read_tap(&bench, GUEST), -1);
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        bench.vlan = 6;
        ck_assert_int_eq(read_tap(&bench, GUEST), -1);
        bench.vlan = 0;
        ck_assert_int_eq(read_tap(&bench, GUEST), -1);
        ck_assert_uint_eq(count_rules(&bench), 1);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress | grep dst_mac"), 1);
        netns_send("w1", GUEST, SENDER, 5, 1);
        ck_assert_uint_eq(netns_count(bench.guest_capture, 1, NULL), 1);

        /* All of it goes, whatever VLAN it is for. */
        remove_ok(&bench, GUEST);
        ck_assert_uint_eq(count_rules(&bench), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

/* n0 is a trunk, where the neighbour tags by itself. */
START_TEST(test_priority_of_a_tag_is_kept)
{
        struct bench bench = set_up_bench("vlan_filtering 1");
        struct vswitch_mac guest = netns_mac(GUEST);

        bench.vlan = 5;
        netns_run("bridge vlan add dev w0 vid 5; bridge vlan add dev n0 vid 5");
        netns_run("bridge vlan add dev v0 vid 5 pvid untagged");
        ck_assert_int_eq(bench.software_switch->driver->pin(bench.software_switch, &guest, 5, bench.uplink, NULL), 0);
        add_ok(&bench, GUEST);

        for (uint32_t qos = 0; qos < 8; qos++) {
                struct netns_frame frame;

                netns_send("n1", GUEST, NEIGHBOUR, (uint16_t) (5 | qos << 13), qos);
                ck_assert(netns_receive_number(bench.guest_capture, qos, &frame));
                ck_assert_uint_eq(frame.vlan_protocol, 0);
                ck_assert(netns_receive_number(bench.wire_capture, qos, &frame));
                ck_assert_uint_eq(frame.vlan_protocol, 0x8100);
                ck_assert_uint_eq(frame.vlan, 5);
                ck_assert_uint_eq(frame.qos, qos);

                netns_send("w1", GUEST, SENDER, (uint16_t) (5 | qos << 13), 100 + qos);
                ck_assert(netns_receive_number(bench.guest_capture, 100 + qos, &frame));
                ck_assert_uint_eq(frame.vlan_protocol, 0);
        }

        /* One of the filters is lost: the rule is not complete, and becomes so again. */
        netns_run("handle=$(tc filter show dev w0 egress | grep -o 'handle 0x[0-9a-f]*' | tail -1 | cut -d' ' -f2); "
                  "tc filter del dev w0 egress pref %d handle $handle flower",
                  SOFTSWITCH_COPY_PRIORITY);
        ck_assert_int_eq(read_tap(&bench, GUEST), -1);
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        ck_assert_int_eq(count_lines("tc filter show dev w0 egress | grep dst_mac"), 8);
        remove_ok(&bench, GUEST);
        ck_assert_int_eq(count_lines("tc filter show dev w0 egress | grep dst_mac"), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

/* As the bridge does: a tag of VLAN 0 is a priority and no VLAN, and an access port gets the frame without it. */
START_TEST(test_tag_that_is_only_a_priority)
{
        struct bench bench = set_up_bench("vlan_filtering 1");
        struct netns_frame frame;

        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);
        netns_send("w1", GUEST, SENDER, 3 << 13, 1);
        ck_assert(netns_receive_number(bench.guest_capture, 1, &frame));
        ck_assert_uint_eq(frame.vlan_protocol, 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_provider_bridge)
{
        struct bench bench = set_up_bench("vlan_filtering 1 vlan_protocol 802.1ad");
        struct vswitch_mac guest = netns_mac(GUEST);
        struct netns_frame frame;

        bench.vlan = 5;
        netns_run("bridge vlan add dev w0 vid 5; bridge vlan add dev n0 vid 5 pvid untagged");
        netns_run("bridge vlan add dev v0 vid 5 pvid untagged");
        ck_assert_int_eq(bench.software_switch->driver->pin(bench.software_switch, &guest, 5, bench.uplink, NULL), 0);
        add_ok(&bench, GUEST);
        ck_assert_int_eq(read_tap(&bench, GUEST), bench.tap);

        netns_send_tagged("w1", GUEST, SENDER, 5, 0x88a8, 1);
        ck_assert(netns_receive_number(bench.guest_capture, 1, &frame));
        ck_assert_uint_eq(frame.vlan_protocol, 0);
        netns_send("n1", GUEST, NEIGHBOUR, 0, 2);
        ck_assert(netns_receive_number(bench.guest_capture, 2, &frame));
        ck_assert_uint_eq(frame.vlan_protocol, 0);
        ck_assert(netns_receive_number(bench.wire_capture, 2, &frame));
        ck_assert_uint_eq(frame.vlan_protocol, 0x88a8);
        ck_assert_uint_eq(frame.vlan, 5);

        /* To this bridge an 802.1Q tag is somebody else's. */
        netns_send("w1", GUEST, SENDER, 5, 3);
        ck_assert(!netns_receive_number(bench.guest_capture, 3, &frame));
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_uplink_with_an_ingress_qdisc)
{
        struct bench bench = set_up_bench("");
        struct softswitch *s = bench.software_switch;
        struct vswitch_error error = { 0 };

        netns_run("tc qdisc add dev w0 ingress");
        ck_assert_int_eq(s->driver->prepare_uplink(s, bench.uplink, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "w0 has an ingress qdisc"));
        ck_assert_int_eq(add(&bench, GUEST, bench.tap, &error), -EBUSY);
        ck_assert_int_eq(count_lines("tc filter show dev w0 ingress"), 0);
        s->driver->close(s);
}
END_TEST

START_TEST(test_vlans_that_cannot_be_copied)
{
        struct bench bench = set_up_bench("vlan_filtering 1");
        struct vswitch_error error = { 0 };

        bench.vlan = 5;
        ck_assert_int_eq(add(&bench, GUEST, bench.tap, &error), -EINVAL);
        ck_assert_str_eq(error.text, "frames of v0 are in VLAN 1 and leave uplink w0 untagged, not as was said with "
                                     "another tag");
        bench.vlan = 0;
        netns_run("bridge vlan add dev v0 vid 7 pvid untagged");
        ck_assert_int_eq(add(&bench, GUEST, bench.tap, &error), -EINVAL);
        ck_assert_str_eq(error.text, "uplink w0 of bridge br0 is not a member of VLAN 7");
        netns_run("bridge vlan del dev v0 vid 7; bridge vlan del dev v0 vid 1; bridge vlan add dev v0 vid 8");
        ck_assert_int_eq(add(&bench, GUEST, bench.tap, &error), -EOPNOTSUPP);
        ck_assert_str_eq(error.text, "v0 has no access VLAN on bridge br0, which filters VLANs");
        ck_assert_uint_eq(count_rules(&bench), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

int main(void)
{
        static const char veth[] = "ip link add p0 type veth peer name p1 && tc qdisc add dev p0 clsact && ";
        static const char filtering[] = "ip link add br0 type bridge vlan_filtering 1 && ";
        static const char redirect[] =
                "tc filter add dev p0 ingress flower dst_mac 52:54:00:00:00:01 action mirred egress redirect dev p1";
        static const char pop[] = " && tc filter add dev p0 ingress protocol 802.1q flower vlan_id 5 action vlan pop";
        Suite *suite = suite_create("copy rule");
        char command[512];

        snprintf(command, sizeof(command), "%s%s", veth, redirect);
        if (!netns_test_kernel_has("the copy rule (clsact, flower, mirred)", command))
                return netns_test_run(suite);

        netns_test_add(suite, "senders", test_both_kinds_of_senders_reach_both_paths);
        netns_test_add(suite, "read and list", test_read_list_and_add_again);
        netns_test_add(suite, "several MACs", test_macs_come_and_go_one_by_one);
        netns_test_add(suite, "another tap", test_another_tap);
        netns_test_add(suite, "parts", test_parts_are_seen_and_completed);
        netns_test_add(suite, "qdisc", test_the_place_for_filters_is_made_once_and_stays);
        netns_test_add(suite, "ingress qdisc", test_uplink_with_an_ingress_qdisc);
        netns_test_add(suite, "foreign filters", test_filters_of_somebody_else_stay);
        netns_test_add(suite, "refused", test_a_refused_rule_leaves_nothing);
        netns_test_add(suite, "later filters", test_later_filters_still_see_what_is_mirrored);

        snprintf(command, sizeof(command), "%s%s%s%s", filtering, veth, redirect, pop);
        if (!netns_test_kernel_has("the copy rule on VLANs (bridge VLAN filtering, act_vlan)", command))
                return netns_test_run(suite);
        netns_test_add(suite, "tagged VLAN", test_access_vlan_that_is_tagged_on_the_uplink);
        netns_test_add(suite, "untagged VLAN", test_untagged_vlan_on_a_filtering_bridge);
        netns_test_add(suite, "VLAN changes", test_vlan_changes_during_a_move);
        netns_test_add(suite, "priority in a tag", test_priority_of_a_tag_is_kept);
        netns_test_add(suite, "priority tag", test_tag_that_is_only_a_priority);
        netns_test_add(suite, "802.1ad", test_provider_bridge);
        netns_test_add(suite, "impossible VLANs", test_vlans_that_cannot_be_copied);
        return netns_test_run(suite);
}
