/* SPDX-License-Identifier: Apache-2.0 */

/*
 * IPv6 neighbour discovery after a move, on a bridge that snoops multicast. br0 is the querier; v0 is the guest's tap,
 * n0 a neighbour. The guest's kernel sends its MLD reports by the VF while it is on one (here: they are dropped), so
 * that the bridge does not know the tap as a member of the guest's groups, and would prune it.
 *
 * The guest and the neighbour are namespaces, with real IPv6.
 */

#include "netns_test.h"

#include "vswitch/softswitch.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUEST     "52:54:00:12:34:56"
#define NEIGHBOUR "52:54:00:00:00:01"

/* The group in which the guest is asked for, made of the last three bytes of fd00::12:3456, as an Ethernet address. */
#define SOLICITED      "33:33:ff:12:34:56"
#define NO_NEXT_HEADER 59

#define DEADLINE_TRIES   300
#define TRY_MICROSECONDS 100000

static struct softswitch *open_switch(const char *options)
{
        struct softswitch *software_switch = NULL;
        struct vswitch_error error = { 0 };

        /* All intervals are a second. The querier counts from its first query that had a source address, so after the
         * duplicate address detection of br0's. */
        netns_run("ip link add br0 type bridge %s mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 100 "
                  "mcast_startup_query_interval 100 mcast_query_interval 100 && ip link set br0 up",
                  options);
        netns_add_veth("v0", "v1", "br0");
        netns_add_veth("n0", "n1", "br0");
        ck_assert_msg(softswitch_bridge_driver.open(netns_netlink, "br0", &software_switch, &error) == 0, "%s",
                      error.text);
        return software_switch;
}

struct packet {
        struct ethhdr ethernet;
        struct ip6_hdr ip;
        uint32_t number;
} __attribute__((packed));

/* An IPv6 packet to that group: a bridge snoops nothing else. */
static void send_to_group(uint32_t number)
{
        struct vswitch_mac to = netns_mac(SOLICITED);
        struct vswitch_mac from = netns_mac(NEIGHBOUR);
        struct sockaddr_ll device = { .sll_family = AF_PACKET, .sll_ifindex = netns_ifindex("n1") };
        struct packet packet = {
                .ethernet.h_proto = htons(ETH_P_IPV6),
                .ip.ip6_plen = htons(sizeof(number)),
                .ip.ip6_nxt = NO_NEXT_HEADER,
                .ip.ip6_hlim = 255,
                .number = htonl(number),
        };
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        packet.ip.ip6_vfc = 6 << 4;
        memcpy(packet.ethernet.h_dest, to.bytes, ETH_ALEN);
        memcpy(packet.ethernet.h_source, from.bytes, ETH_ALEN);
        ck_assert_int_eq(inet_pton(AF_INET6, "fd00::1", &packet.ip.ip6_src), 1);
        ck_assert_int_eq(inet_pton(AF_INET6, "ff02::1:ff12:3456", &packet.ip.ip6_dst), 1);
        ck_assert_int_eq(sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *) &device, sizeof(device)),
                         sizeof(packet));
        close(fd);
}

static bool reaches_guest(int guest, uint32_t number)
{
        struct netns_frame frame;
        struct packet packet;
        long size;

        send_to_group(number);
        while ((size = netns_receive(guest, &frame)) >= 0) {
                if (size < (long) sizeof(packet))
                        continue;
                memcpy(&packet, frame.data, sizeof(packet));
                if (packet.ethernet.h_proto == htons(ETH_P_IPV6) && packet.ip.ip6_nxt == NO_NEXT_HEADER &&
                    packet.number == htonl(number))
                        return true;
        }
        return false;
}

/* Until the querier counts the bridge floods what it does not know. */
static void wait_until_pruned(int guest)
{
        for (uint32_t number = 1000; reaches_guest(guest, number); number++) {
                ck_assert_msg(number < 1000 + DEADLINE_TRIES, "the bridge does not begin to snoop: %s",
                              netns_output("ip -d link show br0; bridge -d -s mdb show"));
                usleep(TRY_MICROSECONDS);
        }
}

static void set_router(struct softswitch *s, bool permanent)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(s->driver->set_multicast_router(s, netns_ifindex("v0"), permanent, &error) == 0, "%s",
                      error.text);
}

static const char *const bridges[] = { "", "vlan_filtering 1" };

START_TEST(test_multicast_reaches_the_tap)
{
        struct softswitch *s = open_switch(bridges[_i]);
        int guest = netns_capture("v1");

        wait_until_pruned(guest);
        set_router(s, true);
        ck_assert(reaches_guest(guest, 1));
        set_router(s, false);
        ck_assert(!reaches_guest(guest, 2));
        s->driver->close(s);
}
END_TEST

START_TEST(test_neighbour_discovery_works_at_once)
{
        struct softswitch *s = open_switch(bridges[_i]);
        int guest = netns_capture("v1");
        char there[32];
        char here[32];

        wait_until_pruned(guest);
        close(guest);

        snprintf(there, sizeof(there), "vswitch-guest-%d", (int) getpid());
        snprintf(here, sizeof(here), "vswitch-neighbour-%d", (int) getpid());
        netns_run("ip netns add %s && ip netns add %s && ip link set v1 netns %s && ip link set n1 netns %s", there,
                  here, there, here);
        /* Its reports leave by the VF: those of MLDv2 and, to the group itself, of MLDv1. */
        netns_run("ip netns exec %s tc qdisc add dev v1 clsact && "
                  "ip netns exec %s tc filter add dev v1 egress flower dst_mac 33:33:00:00:00:16 action drop && "
                  "ip netns exec %s tc filter add dev v1 egress flower dst_mac " SOLICITED " action drop",
                  there, there, there);
        netns_run("ip -n %s link set v1 address " GUEST " up && ip -n %s address add fd00::12:3456/64 dev v1 nodad && "
                  "ip -n %s link set n1 up && ip -n %s address add fd00::1/64 dev n1 nodad",
                  there, there, here, here);
        netns_run("for port in v0 n0; do n=0; until bridge link show dev $port | grep -q forwarding; "
                  "do n=$((n + 1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done; done");

        /* The tap is pruned, and the neighbour finds nobody. */
        netns_run("! ip netns exec %s ping -6 -c 1 -W 2 fd00::12:3456 >/dev/null 2>&1", here);
        netns_run("ip -n %s neigh flush dev n1", here);

        set_router(s, true);
        netns_run("ip netns exec %s ping -6 -c 1 -W 2 fd00::12:3456 >/dev/null", here);
        netns_run("ip netns del %s; ip netns del %s", there, here);
        s->driver->close(s);
}
END_TEST

int main(void)
{
        static const char snooping[] = "ip link add br0 type bridge mcast_snooping 1 mcast_querier 1";
        static const char namespaces[] =
                "ip netns add vswitch-$$ && ip netns del vswitch-$$ && command -v ping && ip link add p0 type veth "
                "peer name p1 && tc qdisc "
                "add dev p0 clsact && tc filter add dev p0 egress flower dst_mac 33:33:00:00:00:16 action drop";
        Suite *suite = suite_create("multicast");
        int bridge_count = 1;

        if (!netns_test_kernel_has("multicast snooping", snooping))
                return netns_test_run(suite);
        if (netns_test_kernel_has("VLAN filtering", "ip link add br0 type bridge vlan_filtering 1"))
                bridge_count = 2;
        netns_test_add_loop(suite, "multicast", test_multicast_reaches_the_tap, 0, bridge_count);
        if (netns_test_kernel_has("neighbour discovery (named namespaces, cls_flower, ping)", namespaces))
                netns_test_add_loop(suite, "neighbour discovery", test_neighbour_discovery_works_at_once, 0,
                                    bridge_count);
        return netns_test_run(suite);
}
