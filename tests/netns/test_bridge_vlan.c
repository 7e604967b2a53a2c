/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The VLANs of a bridge's ports: reading them, and making one an access port. br0 filters VLANs and has the ports v0
 * (a guest's tap), n0 (a neighbour) and w0 (the uplink); v1, n1 and w1 are what is plugged into them.
 *
 * A kernel without bridge VLAN filtering has only the first test.
 */

#include "netns_test.h"

#include "vswitch/softswitch.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUEST     "52:54:00:12:34:56"
#define NEIGHBOUR "52:54:00:00:00:01"
#define BROADCAST "ff:ff:ff:ff:ff:ff"

static struct softswitch *open_switch(const char *options)
{
        struct softswitch *software_switch = NULL;
        struct vswitch_error error = { 0 };

        netns_run("ip link add br0 type bridge %s; ip link set br0 up", options);
        netns_add_veth("v0", "v1", "br0");
        netns_add_veth("n0", "n1", "br0");
        netns_add_veth("w0", "w1", "br0");
        ck_assert_msg(softswitch_bridge_driver.open(netns_netlink, "br0", &software_switch, &error) == 0, "%s",
                      error.text);
        return software_switch;
}

static struct softswitch_port_vlans read_vlans(struct softswitch *s, const char *port)
{
        struct softswitch_port_vlans vlans;
        struct vswitch_error error = { 0 };

        memset(&vlans, 0xff, sizeof(vlans));
        ck_assert_msg(s->driver->read_port_vlans(s, netns_ifindex(port), &vlans, &error) == 0, "%s", error.text);
        return vlans;
}

static void set_access(struct softswitch *s, const char *port, uint16_t vlan)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(s->driver->set_access_vlan(s, netns_ifindex(port), vlan, &error) == 0, "%s", error.text);
}

static void assert_access_port(struct softswitch *s, const char *port, uint16_t vlan)
{
        struct softswitch_port_vlans vlans = read_vlans(s, port);

        ck_assert_uint_eq(vlans.pvid, vlan);
        ck_assert_uint_eq(vlans.count, 1);
        ck_assert(softswitch_vlan_test(vlans.member, vlan));
        ck_assert(softswitch_vlan_test(vlans.untagged, vlan));
}

START_TEST(test_bridge_that_does_not_filter)
{
        struct softswitch *s = open_switch("");
        struct softswitch_port_vlans nothing = { 0 };
        struct softswitch_port_vlans vlans = read_vlans(s, "v0");
        struct vswitch_error error = { 0 };

        ck_assert(!vlans.filters);
        ck_assert_uint_eq(vlans.pvid, 0);
        ck_assert_uint_eq(vlans.count, 0);
        ck_assert_mem_eq(vlans.member, nothing.member, sizeof(vlans.member));
        ck_assert_mem_eq(vlans.untagged, nothing.untagged, sizeof(vlans.untagged));
        ck_assert_int_eq(s->driver->set_access_vlan(s, netns_ifindex("v0"), 5, &error), -EOPNOTSUPP);
        ck_assert_str_eq(error.text, "cannot put v0 into VLAN 5: bridge br0 does not filter VLANs (\"ip link set br0 "
                                     "type bridge vlan_filtering 1\")");
        s->driver->close(s);
}
END_TEST

START_TEST(test_read)
{
        struct softswitch *s = open_switch("vlan_filtering 1");
        struct softswitch_port_vlans vlans;
        struct vswitch_error error = { 0 };

        assert_access_port(s, "v0", 1);
        ck_assert(read_vlans(s, "v0").filters);

        /* Ranges with other flags between, and the largest number. */
        netns_run("bridge vlan add dev w0 vid 100-163; bridge vlan add dev w0 vid 130 untagged; "
                  "bridge vlan add dev w0 vid 4094; bridge vlan add dev w0 vid 200 pvid");
        vlans = read_vlans(s, "w0");
        ck_assert_uint_eq(vlans.pvid, 200);
        ck_assert_uint_eq(vlans.count, 1 + 64 + 1 + 1);
        for (uint16_t vlan = 0; vlan < 4096; vlan++) {
                bool is_member = vlan == 1 || (vlan >= 100 && vlan <= 163) || vlan == 200 || vlan == 4094;

                ck_assert_int_eq(softswitch_vlan_test(vlans.member, vlan), is_member);
                ck_assert_int_eq(softswitch_vlan_test(vlans.untagged, vlan), vlan == 1 || vlan == 130);
        }
        ck_assert(!softswitch_vlan_test(vlans.member, 4096));

        /* A port in no VLAN; the bridge itself as the host's port; what is no port. */
        netns_run("bridge vlan del dev n0 vid 1");
        ck_assert_uint_eq(read_vlans(s, "n0").count, 0);
        ck_assert_uint_eq(read_vlans(s, "n0").pvid, 0);
        assert_access_port(s, "br0", 1);
        ck_assert_int_lt(s->driver->read_port_vlans(s, netns_ifindex("v1"), &vlans, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot read the VLANs of v1: "));
        s->driver->close(s);
}
END_TEST

START_TEST(test_access_port)
{
        struct softswitch *s = open_switch("vlan_filtering 1");
        int guest = netns_capture("v1");
        int neighbour = netns_capture("n1");
        int wire = netns_capture("w1");
        uint16_t vlan = 99;

        netns_run("bridge vlan add dev w0 vid 5");
        set_access(s, "v0", 5);
        assert_access_port(s, "v0", 5);

        netns_send("v1", BROADCAST, GUEST, 0, 1);
        ck_assert_uint_eq(netns_count(neighbour, 1, NULL), 0);
        ck_assert_uint_eq(netns_count(wire, 1, &vlan), 1);
        ck_assert_uint_eq(vlan, 5);
        netns_send("n1", BROADCAST, NEIGHBOUR, 0, 2);
        ck_assert_uint_eq(netns_count(guest, 2, NULL), 0);
        netns_send("w1", BROADCAST, NEIGHBOUR, 5, 3);
        ck_assert_uint_eq(netns_count(guest, 3, &vlan), 1);
        ck_assert_uint_eq(vlan, 0);

        /* The guest cannot tag itself out of it. */
        netns_send("v1", BROADCAST, GUEST, 6, 4);
        ck_assert_uint_eq(netns_count(wire, 4, NULL), 0);

        set_access(s, "n0", 5);
        netns_send("v1", BROADCAST, GUEST, 0, 5);
        ck_assert_uint_eq(netns_count(neighbour, 5, NULL), 1);
        s->driver->close(s);
}
END_TEST

/* What the kernel told about a port while it was changed. */
struct told {
        int ifindex;
        unsigned messages;
        unsigned without_pvid;
};

static int take_told(const struct nlmsghdr *header, void *userdata)
{
        const struct ifinfomsg *info = nlmsg_data(header);
        struct told *told = userdata;
        struct nlattr *specification;
        struct nlattr *entry;
        bool has_pvid = false;
        int remaining;

        if (header->nlmsg_type != RTM_NEWLINK || info->ifi_family != AF_BRIDGE || info->ifi_index != told->ifindex)
                return 0;
        specification = nlmsg_find_attr((struct nlmsghdr *) header, sizeof(*info), IFLA_AF_SPEC);
        if (!specification)
                return 0;
        nla_for_each_nested (entry, specification, remaining) {
                struct bridge_vlan_info vlan;

                if (nla_type(entry) != IFLA_BRIDGE_VLAN_INFO)
                        continue;
                memcpy(&vlan, nla_data(entry), sizeof(vlan));
                has_pvid |= vlan.flags & BRIDGE_VLAN_INFO_PVID;
        }
        told->messages++;
        told->without_pvid += !has_pvid;
        return 0;
}

START_TEST(test_only_what_differs_is_written)
{
        struct softswitch *s = open_switch("vlan_filtering 1");
        struct vswitch_netlink_monitor *monitor = NULL;
        struct told told = { .ifindex = netns_ifindex("v0") };

        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        set_access(s, "v0", 5);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, take_told, &told), 0);
        ck_assert_uint_gt(told.messages, 0);
        ck_assert_uint_eq(told.without_pvid, 0);

        told.messages = 0;
        set_access(s, "v0", 5);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, take_told, &told), 0);
        ck_assert_uint_eq(told.messages, 0);

        /* Member already, but tagged and not the PVID. */
        netns_run("bridge vlan add dev v0 vid 6");
        set_access(s, "v0", 6);
        assert_access_port(s, "v0", 6);
        vswitch_netlink_monitor_close(monitor);
        s->driver->close(s);
}
END_TEST

START_TEST(test_many_vlans_go)
{
        struct softswitch *s = open_switch("vlan_filtering 1");
        struct softswitch_port_vlans vlans;

        netns_run("for i in $(seq 2 2 1200); do echo vlan add dev v0 vid $i; done | bridge -batch -");
        netns_run("bridge vlan add dev v0 vid 2000-3000");
        vlans = read_vlans(s, "v0");
        ck_assert_uint_eq(vlans.count, 1 + 600 + 1001);
        set_access(s, "v0", 2500);
        assert_access_port(s, "v0", 2500);
        s->driver->close(s);
}
END_TEST

START_TEST(test_what_is_refused)
{
        struct softswitch *s = open_switch("vlan_filtering 1");
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(s->driver->set_access_vlan(s, netns_ifindex("v0"), 0, &error), -EINVAL);
        ck_assert_int_eq(s->driver->set_access_vlan(s, netns_ifindex("v0"), 4095, &error), -EINVAL);
        ck_assert_str_eq(error.text, "4095 is not a VLAN: they are 1 to 4094");
        ck_assert_int_lt(s->driver->set_access_vlan(s, netns_ifindex("v1"), 5, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot make v1 an access port of VLAN 5 on bridge br0: "));
        assert_access_port(s, "v0", 1);
        s->driver->close(s);
}
END_TEST

/* The pin follows the VLAN that the daemon names, which is the PVID of the tap. */
START_TEST(test_pins_of_an_access_port)
{
        struct softswitch *s = open_switch("vlan_filtering 1");
        struct vswitch_mac mac = netns_mac(GUEST);
        int tap = netns_ifindex("v0");
        int guest = netns_capture("v1");
        int wire = netns_capture("w1");
        struct softswitch_pin pin;

        netns_run("bridge vlan add dev w0 vid 5");
        set_access(s, "v0", 5);
        set_access(s, "n0", 5);
        ck_assert_int_eq(s->driver->pin(s, &mac, 5, tap, NULL), 0);
        netns_send("n1", GUEST, NEIGHBOUR, 0, 1);
        ck_assert_uint_eq(netns_count(guest, 1, NULL), 1);
        ck_assert_uint_eq(netns_count(wire, 1, NULL), 0);

        /* The other way, which is there a tagged one. */
        ck_assert_int_eq(s->driver->pin(s, &mac, 5, netns_ifindex("w0"), NULL), 0);
        netns_send("n1", GUEST, NEIGHBOUR, 0, 2);
        ck_assert_uint_eq(netns_count(guest, 2, NULL), 0);
        ck_assert_uint_eq(netns_count(wire, 2, NULL), 1);

        /* The kernel keeps static entries of a VLAN that a port has left: who made the pin takes it out. */
        ck_assert_int_eq(s->driver->pin(s, &mac, 5, tap, NULL), 0);
        set_access(s, "v0", 6);
        ck_assert_int_eq(s->driver->read_pin(s, &mac, 5, &pin, NULL), 0);
        ck_assert_int_eq(pin.ifindex, tap);
        ck_assert_int_eq(s->driver->unpin(s, &mac, 5, tap, NULL), 0);
        ck_assert_int_eq(s->driver->read_pin(s, &mac, 5, &pin, NULL), 0);
        ck_assert_int_eq(pin.ifindex, 0);
        ck_assert_int_eq(s->driver->pin(s, &mac, 6, tap, NULL), 0);
        s->driver->close(s);
}
END_TEST

/* ---- a bridge that begins, or ceases, to filter ---- */

/* Every sticky entry of the guest, as "VLAN port" lines; VLAN 0: none. */
static void assert_entries(const char *expected)
{
        ck_assert_str_eq(netns_output("bridge fdb show br br0 | grep " GUEST " | grep sticky | sed -n 's/.* dev "
                                      "\\([^ ]*\\).* vlan \\([0-9]*\\) .*/\\2 \\1/p; /vlan/d; s/.* dev \\([^ ]*\\).*/0 "
                                      "\\1/p' | sort -n"),
                         expected);
}

static void set_filtering(bool filters)
{
        netns_run("ip link set br0 type bridge vlan_filtering %d", filters);
}

static void do_pin(struct softswitch *s, uint16_t vlan, const char *port)
{
        struct vswitch_mac mac = netns_mac(GUEST);
        struct vswitch_error error = { 0 };

        ck_assert_msg(s->driver->pin(s, &mac, vlan, netns_ifindex(port), &error) == 0, "%s", error.text);
}

static void do_unpin(struct softswitch *s, uint16_t vlan, const char *port)
{
        struct vswitch_mac mac = netns_mac(GUEST);
        struct vswitch_error error = { 0 };

        ck_assert_msg(s->driver->unpin(s, &mac, vlan, netns_ifindex(port), &error) == 0, "%s", error.text);
}

/* The guest is in VLAN 5, which has a tag on the uplink, and 6 is another one there. */
static struct softswitch *open_with_vlans(bool filters)
{
        struct softswitch *s = open_switch(filters ? "vlan_filtering 1" : "");

        netns_run("bridge vlan add dev w0 vid 5-6; bridge vlan del dev v0 vid 1; "
                  "bridge vlan add dev v0 vid 5 pvid untagged");
        return s;
}

/* What unpinning under the VLANs of before takes away, from the port where the pin is and from the other. */
START_TEST(test_unpin_after_a_change)
{
        const char *port = _i % 2 ? "w0" : "v0";
        bool filters = _i / 2;
        struct softswitch *s = open_with_vlans(filters);

        do_pin(s, filters ? 5 : 0, port);
        set_filtering(!filters);
        do_unpin(s, filters ? 5 : 0, "v0");
        do_unpin(s, filters ? 5 : 0, "w0");
        assert_entries("");
        s->driver->close(s);
}
END_TEST

START_TEST(test_pin_after_the_bridge_began_to_filter)
{
        struct softswitch *s = open_with_vlans(false);

        /* Without filtering the kernel makes entries in the port's VLANs, too; they go along when the pin moves. */
        do_pin(s, 0, "w0");
        assert_entries("0 w0\n1 w0\n5 w0\n6 w0\n");
        do_pin(s, 0, "v0");
        assert_entries("0 v0\n5 v0\n");
        do_pin(s, 0, "w0");

        set_filtering(true);
        do_pin(s, 5, "v0");
        assert_entries("5 v0\n");
        do_unpin(s, 5, "v0");
        assert_entries("");

        /* At the port where it was. */
        set_filtering(false);
        do_pin(s, 0, "w0");
        set_filtering(true);
        do_pin(s, 5, "w0");
        assert_entries("5 w0\n");
        s->driver->close(s);
}
END_TEST

START_TEST(test_pin_after_the_bridge_ceased_to_filter)
{
        struct softswitch *s = open_with_vlans(true);
        struct softswitch_pin pin;
        struct vswitch_mac mac = netns_mac(GUEST);

        do_pin(s, 5, "w0");
        assert_entries("5 w0\n");
        set_filtering(false);
        /* It does not count any more. */
        ck_assert_int_eq(s->driver->read_pin(s, &mac, 5, &pin, NULL), 0);
        ck_assert_int_eq(pin.ifindex, 0);
        do_pin(s, 5, "v0");
        assert_entries("0 v0\n5 v0\n");
        do_unpin(s, 5, "v0");
        assert_entries("");

        /* The port that it is pinned to has left the VLAN. */
        set_filtering(true);
        do_pin(s, 5, "w0");
        set_filtering(false);
        netns_run("bridge vlan del dev v0 vid 5; bridge vlan add dev v0 vid 6 pvid untagged");
        do_pin(s, 5, "v0");
        assert_entries("0 v0\n6 v0\n");
        s->driver->close(s);
}
END_TEST

/* A static entry of somebody else is nobody's leftover. */
START_TEST(test_a_change_leaves_foreign_entries)
{
        struct softswitch *s = open_with_vlans(true);

        netns_run("bridge fdb add " GUEST " dev w0 master static vlan 6");
        do_pin(s, 5, "v0");
        set_filtering(false);
        do_unpin(s, 5, "v0");
        do_unpin(s, 5, "w0");
        assert_entries("");
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c '" GUEST ".* vlan 6 '")), 1);
        s->driver->close(s);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("bridge VLANs");

        netns_test_add(suite, "not filtering", test_bridge_that_does_not_filter);
        if (netns_test_kernel_has("VLAN filtering", "ip link add br0 type bridge vlan_filtering 1")) {
                netns_test_add(suite, "read", test_read);
                netns_test_add(suite, "access port", test_access_port);
                netns_test_add(suite, "only differences", test_only_what_differs_is_written);
                netns_test_add(suite, "many VLANs", test_many_vlans_go);
                netns_test_add(suite, "refused", test_what_is_refused);
                netns_test_add(suite, "pins", test_pins_of_an_access_port);
                netns_test_add_loop(suite, "unpin after a change", test_unpin_after_a_change, 0, 4);
                netns_test_add(suite, "filtering begins", test_pin_after_the_bridge_began_to_filter);
                netns_test_add(suite, "filtering ends", test_pin_after_the_bridge_ceased_to_filter);
                netns_test_add(suite, "foreign entries", test_a_change_leaves_foreign_entries);
        }
        return netns_test_run(suite);
}
