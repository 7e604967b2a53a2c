/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Linux bridge as a software switch: where a MAC is pinned, and that it stays there. br0 has the ports v0 (a
 * guest's tap) and w0 (the uplink); v1 and w1 are what is plugged into them.
 */

#include "netns_test.h"

#include "vswitch/softswitch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUEST     "52:54:00:12:34:56"
#define NEIGHBOUR "52:54:00:00:00:01"

static struct softswitch *open_switch(void)
{
        struct softswitch *software_switch = NULL;
        struct vswitch_error error = { 0 };

        netns_run("ip link add br0 type bridge; ip link set br0 up");
        netns_add_veth("v0", "v1", "br0");
        netns_add_veth("w0", "w1", "br0");
        ck_assert_msg(softswitch_bridge_driver.open(netns_netlink, "br0", &software_switch, &error) == 0, "%s",
                      error.text);
        return software_switch;
}

static struct softswitch_pin read_pin(struct softswitch *software_switch, const char *mac, uint16_t vlan)
{
        struct vswitch_mac parsed = netns_mac(mac);
        struct softswitch_pin found = { .ifindex = -1 };
        struct vswitch_error error = { 0 };

        ck_assert_msg(software_switch->driver->read_pin(software_switch, &parsed, vlan, &found, &error) == 0, "%s",
                      error.text);
        ck_assert_uint_eq(found.vlan, vlan);
        return found;
}

static void pin(struct softswitch *software_switch, const char *mac, uint16_t vlan, const char *port)
{
        struct vswitch_mac parsed = netns_mac(mac);
        struct vswitch_error error = { 0 };

        ck_assert_msg(software_switch->driver->pin(software_switch, &parsed, vlan, netns_ifindex(port), &error) == 0,
                      "%s", error.text);
}

static void unpin(struct softswitch *software_switch, const char *mac, uint16_t vlan, const char *port)
{
        struct vswitch_mac parsed = netns_mac(mac);
        struct vswitch_error error = { 0 };

        ck_assert_msg(software_switch->driver->unpin(software_switch, &parsed, vlan, netns_ifindex(port), &error) == 0,
                      "%s", error.text);
}

/* A broadcast comes in at the uplink, and the bridge has dealt with it when it arrives at the tap's other end. */
static void learn_at_uplink(const char *source, uint32_t number)
{
        int capture = netns_capture("v1");

        netns_send("w1", "ff:ff:ff:ff:ff:ff", source, 0, number);
        ck_assert_uint_eq(netns_count(capture, number, NULL), 1);
        close(capture);
}

START_TEST(test_open)
{
        struct softswitch *software_switch = open_switch();
        struct softswitch *other = NULL;
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(software_switch->driver->ifindex(software_switch), netns_ifindex("br0"));
        software_switch->driver->close(software_switch);

        ck_assert_int_eq(softswitch_bridge_driver.open(netns_netlink, "br1", &other, &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "ip link add br1 type bridge"));
        ck_assert_int_eq(softswitch_bridge_driver.open(netns_netlink, "v0", &other, &error), -ENODEV);
        ck_assert_str_eq(error.text, "v0 is not a Linux bridge but veth");
}
END_TEST

START_TEST(test_pin_moves_and_goes)
{
        struct softswitch *s = open_switch();

        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, 0);

        pin(s, GUEST, 0, "v0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("v0"));
        ck_assert(read_pin(s, GUEST, 0).sticky);
        ck_assert(!read_pin(s, GUEST, 0).permanent);
        ck_assert_ptr_nonnull(strstr(netns_output("bridge fdb show br br0 | grep " GUEST), "dev v0"));
        ck_assert_ptr_nonnull(strstr(netns_output("bridge -d fdb show br br0 | grep " GUEST), "sticky"));
        ck_assert_ptr_nonnull(strstr(netns_output("bridge -d fdb show br br0 | grep " GUEST), "static"));

        /* Moving it is one step, and doing it again is nothing. */
        pin(s, GUEST, 0, "w0");
        pin(s, GUEST, 0, "w0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("w0"));
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -v vlan | grep -c " GUEST)), 1);

        /* Only from the port where it is. */
        unpin(s, GUEST, 0, "v0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("w0"));
        unpin(s, GUEST, 0, "w0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, 0);
        unpin(s, GUEST, 0, "w0");
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c " GUEST)), 0);
        s->driver->close(s);
}
END_TEST

START_TEST(test_learning_does_not_move_a_pin)
{
        struct softswitch *s = open_switch();

        /* The guest is on its tap, and a frame with its address comes in on the uplink: a reflected broadcast, or
         * somebody who pretends. */
        pin(s, GUEST, 0, "v0");
        learn_at_uplink(GUEST, 1);
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("v0"));
        ck_assert(read_pin(s, GUEST, 0).sticky);

        /* The kernel does move an entry that is only static. This is why pins are sticky, and how an entry of
         * somebody else is told from ours. */
        netns_run("bridge fdb add " NEIGHBOUR " dev v0 master static");
        ck_assert_int_eq(read_pin(s, NEIGHBOUR, 0).ifindex, netns_ifindex("v0"));
        ck_assert(!read_pin(s, NEIGHBOUR, 0).sticky);
        learn_at_uplink(NEIGHBOUR, 2);
        ck_assert_int_eq(read_pin(s, NEIGHBOUR, 0).ifindex, netns_ifindex("w0"));
        s->driver->close(s);
}
END_TEST

START_TEST(test_pin_replaces_a_learned_entry)
{
        struct softswitch *s = open_switch();

        learn_at_uplink(GUEST, 1);
        ck_assert_ptr_nonnull(strstr(netns_output("bridge fdb show br br0 | grep " GUEST), "dev w0"));
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, 0);

        /* A learned entry is nobody's: unpin leaves it, pin takes it over. */
        unpin(s, GUEST, 0, "w0");
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c " GUEST)), 1);
        pin(s, GUEST, 0, "v0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("v0"));
        ck_assert(read_pin(s, GUEST, 0).sticky);
        s->driver->close(s);
}
END_TEST

START_TEST(test_foreign_entries_are_left_alone)
{
        struct softswitch *s = open_switch();
        struct vswitch_error error = { 0 };
        struct vswitch_mac own = netns_mac("52:54:00:00:00:99");

        /* Static, but not of our kind. */
        netns_run("bridge fdb add " NEIGHBOUR " dev v0 master static");
        unpin(s, NEIGHBOUR, 0, "v0");
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -v vlan | grep -c " NEIGHBOUR)), 1);

        /* The address of a port itself. */
        netns_run("ip link set w0 address 52:54:00:00:00:99");
        ck_assert(read_pin(s, "52:54:00:00:00:99", 0).permanent);
        unpin(s, "52:54:00:00:00:99", 0, "w0");
        ck_assert(read_pin(s, "52:54:00:00:00:99", 0).permanent);
        ck_assert_int_eq(s->driver->pin(s, &own, 0, netns_ifindex("v0"), &error), -EEXIST);
        ck_assert_str_eq(error.text, "52:54:00:00:00:99 is the address of w0, which belongs to bridge br0 itself");
        s->driver->close(s);
}
END_TEST

START_TEST(test_pin_decides_the_way)
{
        struct softswitch *s = open_switch();
        int guest = netns_capture("v1");
        int wire = netns_capture("w1");

        netns_add_veth("n0", "n1", "br0");
        pin(s, GUEST, 0, "v0");
        netns_send("n1", GUEST, NEIGHBOUR, 0, 1);
        ck_assert_uint_eq(netns_count(guest, 1, NULL), 1);
        ck_assert_uint_eq(netns_count(wire, 1, NULL), 0);

        pin(s, GUEST, 0, "w0");
        netns_send("n1", GUEST, NEIGHBOUR, 0, 2);
        ck_assert_uint_eq(netns_count(guest, 2, NULL), 0);
        ck_assert_uint_eq(netns_count(wire, 2, NULL), 1);
        s->driver->close(s);
}
END_TEST

START_TEST(test_refusals_name_what_was_tried)
{
        struct softswitch *s = open_switch();
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_error error = { 0 };

        netns_run("ip link add x0 type veth peer name x1");
        ck_assert_int_lt(s->driver->pin(s, &guest, 0, netns_ifindex("x0"), &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot pin " GUEST " to x0 on bridge br0: "));
        ck_assert_int_eq(s->driver->pin(s, &guest, 0, 9999, &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "network device 9999"));

        netns_run("ip link del br0");
        ck_assert_int_lt(s->driver->pin(s, &guest, 0, netns_ifindex("v0"), &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "br0"));
        s->driver->close(s);
}
END_TEST

START_TEST(test_bridge_that_filters_vlans)
{
        struct softswitch *s = open_switch();
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_error error = { 0 };

        netns_run("ip link set br0 type bridge vlan_filtering 1");
        netns_run("bridge vlan add dev w0 vid 5; bridge vlan add dev v0 vid 5 pvid untagged");

        /* One entry, under that VLAN. */
        pin(s, GUEST, 5, "v0");
        ck_assert_int_eq(read_pin(s, GUEST, 5).ifindex, netns_ifindex("v0"));
        ck_assert_ptr_nonnull(strstr(netns_output("bridge fdb show br br0 | grep " GUEST), "vlan 5"));
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c " GUEST)), 1);

        /* "Untagged" is the bridge's default VLAN: one entry, where the kernel would make one for each VLAN. */
        pin(s, GUEST, 0, "w0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("w0"));
        ck_assert_int_eq(read_pin(s, GUEST, 1).ifindex, netns_ifindex("w0"));
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c " GUEST)), 2);
        ck_assert_int_eq(read_pin(s, GUEST, 5).ifindex, netns_ifindex("v0"));

        unpin(s, GUEST, 5, "v0");
        unpin(s, GUEST, 0, "w0");
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c " GUEST)), 0);

        ck_assert_int_eq(s->driver->pin(s, &guest, 7, netns_ifindex("v0"), &error), -EINVAL);
        ck_assert_str_eq(error.text, "cannot pin " GUEST " on bridge br0: v0 is not a member of VLAN 7");

        netns_run("ip link set br0 type bridge vlan_default_pvid 0");
        ck_assert_int_eq(s->driver->pin(s, &guest, 0, netns_ifindex("v0"), &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "vlan_default_pvid"));
        s->driver->close(s);
}
END_TEST

START_TEST(test_bridge_that_does_not_filter_files_all_under_none)
{
        struct softswitch *s = open_switch();
        int guest = netns_capture("v1");

        netns_add_veth("n0", "n1", "br0");
        pin(s, GUEST, 5, "v0");
        ck_assert_int_eq(read_pin(s, GUEST, 0).ifindex, netns_ifindex("v0"));
        netns_send("n1", GUEST, NEIGHBOUR, 5, 1);
        ck_assert_uint_eq(netns_count(guest, 1, NULL), 1);
        s->driver->close(s);
}
END_TEST

START_TEST(test_multicast_router)
{
        struct softswitch *s = open_switch();
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(s->driver->set_multicast_router(s, netns_ifindex("v0"), true, &error), 0);
        ck_assert_ptr_nonnull(strstr(netns_output("ip -d link show v0"), "mcast_router 2"));
        ck_assert_int_eq(s->driver->set_multicast_router(s, netns_ifindex("v0"), false, &error), 0);
        ck_assert_ptr_nonnull(strstr(netns_output("ip -d link show v0"), "mcast_router 1"));
        ck_assert_int_lt(s->driver->set_multicast_router(s, netns_ifindex("v1"), true, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "v1"));
        s->driver->close(s);
}
END_TEST

/* Counts the announcements that come in, and checks each. */
static unsigned count_announcements(int capture, const char *mac, uint16_t vlan)
{
        struct vswitch_mac guest = netns_mac(mac);
        struct netns_frame frame;
        unsigned count = 0;
        long size;

        while ((size = netns_receive(capture, &frame)) >= 0) {
                uint16_t type;

                memcpy(&type, frame.data + 12, sizeof(type));
                if (type != htons(0x8035))
                        continue;
                count++;
                ck_assert_int_eq(size, 60);
                ck_assert_uint_eq(frame.vlan, vlan);
                ck_assert_mem_eq(frame.data, "\xff\xff\xff\xff\xff\xff", 6);
                ck_assert_mem_eq(frame.data + 6, guest.bytes, 6);
                ck_assert_mem_eq(frame.data + 14, "\x00\x01\x08\x00\x06\x04\x00\x03", 8);
                ck_assert_mem_eq(frame.data + 22, guest.bytes, 6);
                ck_assert_mem_eq(frame.data + 32, guest.bytes, 6);
        }
        return count;
}

START_TEST(test_announce)
{
        struct softswitch *s = open_switch();
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_error error = { 0 };
        int uplink = netns_ifindex("w0");
        int wire = netns_capture("w1");
        int tap = netns_capture("v1");

        ck_assert_int_eq(s->driver->announce(s, &guest, 0, uplink, &error), 0);
        ck_assert_uint_eq(count_announcements(wire, GUEST, 0), 3);
        ck_assert_int_eq(s->driver->announce(s, &guest, 5, uplink, &error), 0);
        ck_assert_uint_eq(count_announcements(wire, GUEST, 5), 3);

        /* The bridge itself hears nothing and learns nothing. */
        ck_assert_uint_eq(count_announcements(tap, GUEST, 0), 0);
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c " GUEST)), 0);

        ck_assert_int_lt(s->driver->announce(s, &guest, 0, 9999, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot announce " GUEST));
        s->driver->close(s);
}
END_TEST

START_TEST(test_announce_with_the_tag_that_the_bridge_would_use)
{
        struct softswitch *s = open_switch();
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_error error = { 0 };
        int uplink = netns_ifindex("w0");
        int wire = netns_capture("w1");

        netns_run("ip link set br0 type bridge vlan_filtering 1; bridge vlan add dev w0 vid 5");
        ck_assert_int_eq(s->driver->announce(s, &guest, 5, uplink, &error), 0);
        ck_assert_uint_eq(count_announcements(wire, GUEST, 5), 3);
        ck_assert_int_eq(s->driver->announce(s, &guest, 0, uplink, &error), 0);
        ck_assert_uint_eq(count_announcements(wire, GUEST, 0), 3);
        netns_run("bridge vlan add dev w0 vid 6 untagged");
        ck_assert_int_eq(s->driver->announce(s, &guest, 6, uplink, &error), 0);
        ck_assert_uint_eq(count_announcements(wire, GUEST, 0), 3);

        /* Where the bridge would send nothing from the guest, nothing is announced. */
        ck_assert_int_eq(s->driver->announce(s, &guest, 7, uplink, &error), -EINVAL);
        ck_assert_str_eq(error.text, "uplink w0 of bridge br0 is not a member of VLAN 7");
        ck_assert_uint_eq(count_announcements(wire, GUEST, 0), 0);
        s->driver->close(s);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("bridge");

        netns_test_add(suite, "open", test_open);
        netns_test_add(suite, "pin", test_pin_moves_and_goes);
        netns_test_add(suite, "learning", test_learning_does_not_move_a_pin);
        netns_test_add(suite, "learned entry", test_pin_replaces_a_learned_entry);
        netns_test_add(suite, "foreign entries", test_foreign_entries_are_left_alone);
        netns_test_add(suite, "way", test_pin_decides_the_way);
        netns_test_add(suite, "refusals", test_refusals_name_what_was_tried);
        netns_test_add(suite, "no VLAN filtering", test_bridge_that_does_not_filter_files_all_under_none);
        netns_test_add(suite, "multicast router", test_multicast_router);
        netns_test_add(suite, "announce", test_announce);
        if (netns_test_kernel_has("VLAN filtering", "ip link add br0 type bridge vlan_filtering 1")) {
                netns_test_add(suite, "VLAN filtering", test_bridge_that_filters_vlans);
                netns_test_add(suite, "announce in a VLAN", test_announce_with_the_tag_that_the_bridge_would_use);
        }
        return netns_test_run(suite);
}
