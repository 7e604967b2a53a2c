/* SPDX-License-Identifier: Apache-2.0 */
#include "netns_test.h"

#include "vswitch/link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_get)
{
        struct vswitch_link by_name;
        struct vswitch_link by_index;
        struct vswitch_mac mac = netns_mac("52:54:00:00:00:01");

        netns_run("ip link add br0 type bridge");
        netns_run("ip link add v0 address 52:54:00:00:00:01 mtu 1400 type veth peer name v1");
        netns_run("ip link set v0 master br0");

        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "v0", &by_name, NULL), 0);
        ck_assert_int_eq(by_name.ifindex, netns_ifindex("v0"));
        ck_assert_str_eq(by_name.name, "v0");
        ck_assert_str_eq(by_name.kind, "veth");
        ck_assert(vswitch_mac_equal(&by_name.mac, &mac));
        ck_assert_int_eq(by_name.master, netns_ifindex("br0"));
        ck_assert_uint_eq(by_name.mtu, 1400);
        ck_assert(!by_name.up);
        ck_assert(!by_name.carrier);
        ck_assert(!by_name.is_port_message);

        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, by_name.ifindex, &by_index, NULL), 0);
        ck_assert_mem_eq(&by_index, &by_name, sizeof(by_name));

        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "br0", &by_name, NULL), 0);
        ck_assert_str_eq(by_name.kind, "bridge");
        ck_assert_int_eq(by_name.master, 0);
}
END_TEST

START_TEST(test_get_of_nothing)
{
        struct vswitch_link link;
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "nothing", &link, &error), -ENODEV);
        ck_assert_str_eq(error.text, "there is no network device nothing");
        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "", &link, NULL), -ENODEV);
        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "longer-than-any-name", &link, NULL), -ENODEV);
        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, 0, &link, NULL), -ENODEV);
        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, -1, &link, NULL), -ENODEV);
        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, 9999, &link, NULL), -ENODEV);
}
END_TEST

START_TEST(test_list)
{
        struct vswitch_link *links = NULL;
        size_t count = 0;
        unsigned found = 0;

        netns_run("for i in $(seq 100); do echo link add a$i type veth peer name b$i; done | ip -batch -");
        ck_assert_int_eq(vswitch_link_list(netns_netlink, &links, &count, NULL), 0);
        ck_assert_uint_ge(count, 201); /* lo too, and what the kernel puts into every namespace */
        for (size_t i = 0; i < count; i++)
                found += strcmp(links[i].name, "a100") == 0 || strcmp(links[i].name, "b1") == 0;
        ck_assert_uint_eq(found, 2);
        free(links);
}
END_TEST

START_TEST(test_changes)
{
        struct vswitch_error error = { 0 };
        struct vswitch_link link;
        int bridge;
        int port;

        netns_run("ip link add v0 type veth peer name v1; ip link set v1 up");
        ck_assert_int_eq(vswitch_link_add_bridge(netns_netlink, "br0", &error), 0);
        ck_assert_int_eq(vswitch_link_add_bridge(netns_netlink, "br0", &error), -EEXIST);
        bridge = netns_ifindex("br0");
        port = netns_ifindex("v0");

        ck_assert_int_eq(vswitch_link_set_master(netns_netlink, port, bridge, &error), 0);
        ck_assert_int_eq(vswitch_link_set_up(netns_netlink, port, true, &error), 0);
        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, port, &link, NULL), 0);
        ck_assert(link.up);
        ck_assert(link.carrier);
        ck_assert_int_eq(link.master, bridge);

        ck_assert_int_eq(vswitch_link_set_up(netns_netlink, netns_ifindex("v1"), false, &error), 0);
        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, port, &link, NULL), 0);
        ck_assert(link.up);
        ck_assert(!link.carrier);

        ck_assert_int_eq(vswitch_link_set_master(netns_netlink, port, 0, &error), 0);
        ck_assert_int_eq(vswitch_link_get_by_index(netns_netlink, port, &link, NULL), 0);
        ck_assert_int_eq(link.master, 0);

        ck_assert_int_lt(vswitch_link_set_master(netns_netlink, port, netns_ifindex("lo"), &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot make v0 a port of lo"));
        ck_assert_int_eq(vswitch_link_set_up(netns_netlink, 9999, true, &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "network device 9999"));
}
END_TEST

START_TEST(test_received_packets_are_what_came_in)
{
        struct vswitch_link before;
        struct vswitch_link after;

        netns_add_veth("v0", "v1", NULL);
        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "v0", &before, NULL), 0);
        for (uint32_t i = 0; i < 10; i++)
                netns_send("v1", "52:54:00:00:00:01", "52:54:00:00:00:02", 0, i);
        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "v0", &after, NULL), 0);
        ck_assert_uint_ge(after.received_packets, before.received_packets + 10);
}
END_TEST

struct port_events {
        unsigned joined;
        unsigned left;
        unsigned gone;
        int port;
        int bridge;
};

static int take_port_event(const struct nlmsghdr *header, void *userdata)
{
        struct port_events *events = userdata;
        struct vswitch_link link;

        if (vswitch_link_parse(header, &link) < 0 || link.ifindex != events->port)
                return 0;
        ck_assert_str_eq(link.name, "v0");
        if (link.is_port_message && header->nlmsg_type == RTM_NEWLINK && link.master == events->bridge)
                events->joined++;
        if (link.is_port_message && header->nlmsg_type == RTM_DELLINK)
                events->left++;
        if (!link.is_port_message && header->nlmsg_type == RTM_DELLINK)
                events->gone++;
        return 0;
}

START_TEST(test_port_messages_are_told_from_device_messages)
{
        struct vswitch_netlink_monitor *monitor = NULL;
        struct port_events events = { 0 };

        netns_run("ip link add br0 type bridge; ip link add v0 type veth peer name v1");
        events.port = netns_ifindex("v0");
        events.bridge = netns_ifindex("br0");
        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);

        netns_run("ip link set v0 master br0; ip link set v0 up; ip link set v0 nomaster");
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, take_port_event, &events), 0);
        ck_assert_uint_gt(events.joined, 0);
        ck_assert_uint_gt(events.left, 0);
        ck_assert_uint_eq(events.gone, 0);

        netns_run("ip link del v0");
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, take_port_event, &events), 0);
        ck_assert_uint_eq(events.gone, 1);
        vswitch_netlink_monitor_close(monitor);
}
END_TEST

static struct vswitch_link get(const char *name)
{
        struct vswitch_error error = { 0 };
        struct vswitch_link link = { 0 };

        ck_assert_msg(vswitch_link_get_by_name(netns_netlink, name, &link, &error) == 0, "%s", error.text);
        return link;
}

START_TEST(test_state_of_a_bridges_port)
{
        netns_run("ip link add br0 type bridge stp_state 1; ip link set br0 up");
        netns_add_veth("v0", "v1", NULL);
        ck_assert_int_eq(get("v0").lower, netns_ifindex("v1"));
        netns_run("ip link set v0 master br0");
        ck_assert_uint_eq(get("v0").port_state, BR_STATE_LISTENING);
        netns_run("ip link set v1 down");
        ck_assert_uint_eq(get("v0").port_state, BR_STATE_DISABLED);
        netns_run("ip link set br0 type bridge stp_state 0; ip link set v1 up");
        ck_assert_uint_eq(get("v0").port_state, BR_STATE_FORWARDING);
}
END_TEST

/* Its number means another device here. */
START_TEST(test_lower_device_in_another_namespace)
{
        int child;

        netns_run("ip link add v0 type veth peer name v1");
        ck_assert_int_eq(get("v0").lower, netns_ifindex("v1"));
        child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
                unshare(CLONE_NEWNET);
                pause();
                _exit(0);
        }
        netns_run("for i in $(seq 100); do [ $(readlink /proc/%d/ns/net) != $(readlink /proc/self/ns/net) ] && break; "
                  "sleep "
                  "0.05; done; ip link set v1 netns %d",
                  child, child);
        ck_assert_int_eq(get("v0").lower, 0);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
}
END_TEST

START_TEST(test_vlan_device)
{
        netns_run("ip link add v0 type veth peer name v1; ip link add link v0 name a type vlan id 20; ip link add link "
                  "v0 "
                  "name b type vlan id 4094 protocol 802.1ad");
        ck_assert_str_eq(get("a").kind, "vlan");
        ck_assert_int_eq(get("a").lower, netns_ifindex("v0"));
        ck_assert_uint_eq(get("a").vlan, 20);
        ck_assert_uint_eq(get("a").vlan_protocol, 0x8100);
        ck_assert_uint_eq(get("b").vlan, 4094);
        ck_assert_uint_eq(get("b").vlan_protocol, 0x88a8);
}
END_TEST

/* A bond takes a member for its active one when it has seen its carrier. */
static void set_active(const char *member)
{
        netns_run(
                "for i in $(seq 100); do ip link set lag0 type bond active_slave %s 2>/dev/null && exit 0; sleep 0.1; "
                "done; ip link set lag0 type bond active_slave %s",
                member, member);
}

START_TEST(test_bond)
{
        netns_run(
                "ip link add lag0 type bond mode active-backup miimon 100; ip link add lag1 type bond mode 802.3ad; "
                "for i "
                "in m0 m1; do ip link add $i type veth peer name p$i; ip link set p$i up; ip link set $i master lag0; "
                "done; "
                "ip link set lag0 up");
        set_active("m1");
        ck_assert_uint_eq(get("lag0").bond_mode, VSWITCH_LINK_BOND_ACTIVE_BACKUP);
        ck_assert_int_eq(get("lag0").bond_active, netns_ifindex("m1"));
        ck_assert_int_eq(get("m0").master, netns_ifindex("lag0"));
        set_active("m0");
        ck_assert_int_eq(get("lag0").bond_active, netns_ifindex("m0"));
        ck_assert_uint_eq(get("lag1").bond_mode, 4);
        ck_assert_int_eq(get("lag1").bond_active, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("link");

        netns_test_add(suite, "get", test_get);
        netns_test_add(suite, "nothing", test_get_of_nothing);
        netns_test_add(suite, "list", test_list);
        netns_test_add(suite, "changes", test_changes);
        netns_test_add(suite, "received packets", test_received_packets_are_what_came_in);
        netns_test_add(suite, "port messages", test_port_messages_are_told_from_device_messages);
        netns_test_add(suite, "port state", test_state_of_a_bridges_port);
        netns_test_add(suite, "lower elsewhere", test_lower_device_in_another_namespace);
        if (netns_test_kernel_has("VLAN devices",
                                  "ip link add v0 type veth && ip link add link v0 name a type vlan id 20"))
                netns_test_add(suite, "VLAN device", test_vlan_device);
        if (netns_test_kernel_has("bonds", "ip link add lag0 type bond"))
                netns_test_add(suite, "bond", test_bond);
        return netns_test_run(suite);
}
