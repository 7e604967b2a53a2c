/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard of a guest's port, with real traffic and beside filters of others. br0 has the ports v0 (the guest's tap)
 * and w0 (the uplink); v1 is the guest's NIC, w1 the wire.
 *
 * The kernel needs cls_basic, em_nbyte and act_police. Where it has none the program skips itself; tests/vm runs it in
 * a kernel that has them.
 */

#include "netns_test.h"

#include "vswitch/guard.h"
#include "vswitch/link.h"
#include "vswitch/softswitch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GUEST  "52:54:00:12:34:56"
#define SECOND "52:54:00:12:34:57"
#define SENDER "52:54:00:00:00:02"

/* What libvirt 9 and 11 run for <bandwidth><inbound average='1000'/><outbound average='1000'/></bandwidth>, in this
 * order, at a start and for "virsh domiftune". */
#define LIBVIRT_CLEARS "tc qdisc del dev v0 root 2>/dev/null; tc qdisc del dev v0 ingress 2>/dev/null; "
#define LIBVIRT_SETS                                                                                                   \
        "tc qdisc add dev v0 root handle 1: htb default 1 && "                                                         \
        "tc class add dev v0 parent 1: classid 1:1 htb rate 1000kbps quantum 85 && "                                   \
        "tc qdisc add dev v0 parent 1:1 handle 2: sfq perturb 10 && "                                                  \
        "tc filter add dev v0 parent 1:0 protocol all prio 1 handle 1 fw flowid 1 && "                                 \
        "tc qdisc add dev v0 ingress && "                                                                              \
        "tc filter add dev v0 parent ffff: protocol all u32 match u32 0 0 police rate 1000kbps burst 1000kb mtu 64kb " \
        "drop flowid :1"

struct bench {
        struct softswitch *software_switch;
        int tap;
        int wire;
};

static struct bench set_up_bench(void)
{
        struct vswitch_error error = { 0 };
        struct bench bench = { 0 };

        /* So that nobody sends but the tests: a bridge that snoops reports its own membership of 224.0.0.106. */
        netns_run("[ ! -d /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        netns_run("ip link add br0 type bridge mcast_snooping 0; ip link set br0 up");
        netns_add_veth("v0", "v1", "br0");
        netns_add_veth("w0", "w1", "br0");
        ck_assert_msg(softswitch_bridge_driver.open(netns_netlink, "br0", &bench.software_switch, &error) == 0, "%s",
                      error.text);
        bench.tap = netns_ifindex("v0");
        bench.wire = netns_capture("w1");
        return bench;
}

static int set(const struct bench *bench, const char *mac, uint32_t max_rate, struct vswitch_error *error)
{
        struct softswitch_guard guard = { .check_source = mac != NULL, .max_rate = max_rate };

        if (mac)
                guard.mac = netns_mac(mac);
        return bench->software_switch->driver->guard_set(bench->software_switch, bench->tap, &guard, error);
}

static void set_ok(const struct bench *bench, const char *mac, uint32_t max_rate)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(set(bench, mac, max_rate, &error) == 0, "%s", error.text);
}

/* Asserts what is there; `mac` NULL: no source check. */
static void assert_guard(const struct bench *bench, const char *mac, uint32_t max_rate, bool foreign)
{
        struct softswitch_guard guard;
        struct vswitch_error error = { 0 };
        bool found_foreign = !foreign;

        memset(&guard, 0xff, sizeof(guard));
        ck_assert_msg(bench->software_switch->driver->guard_read(bench->software_switch, bench->tap, &guard,
                                                                 &found_foreign, &error) == 0,
                      "%s", error.text);
        ck_assert_int_eq(guard.check_source, mac != NULL);
        if (mac) {
                struct vswitch_mac parsed = netns_mac(mac);

                ck_assert_msg(vswitch_mac_equal(&guard.mac, &parsed), "another MAC");
        }
        ck_assert_uint_eq(guard.max_rate, max_rate);
        ck_assert_msg(found_foreign == foreign, "foreign filters: %d", found_foreign);
}

static void assert_arrives(const struct bench *bench, const char *source, uint16_t tag, bool arrives)
{
        static uint32_t number = 1;

        netns_send("v1", SENDER, source, tag, number);
        ck_assert_uint_eq(netns_count(bench->wire, number++, NULL), arrives);
}

static int count_lines(const char *command)
{
        return atoi(netns_output("(%s) 2>/dev/null | grep -c .", command));
}

START_TEST(test_source_check)
{
        struct bench bench = set_up_bench();
        int guest = netns_capture("v1");

        assert_guard(&bench, NULL, 0, false);
        assert_arrives(&bench, SECOND, 0, true);

        set_ok(&bench, GUEST, 0);
        assert_guard(&bench, GUEST, 0, false);
        assert_arrives(&bench, GUEST, 0, true);
        assert_arrives(&bench, SECOND, 0, false);
        assert_arrives(&bench, GUEST, 5, true);
        assert_arrives(&bench, SECOND, 5, false);
        /* Each of its ends counts. */
        assert_arrives(&bench, "53:54:00:12:34:56", 0, false);
        assert_arrives(&bench, "52:54:00:12:34:76", 0, false);

        /* What goes to the guest is nobody's concern here. */
        netns_send("w1", GUEST, SENDER, 0, 1000);
        ck_assert_uint_eq(netns_count(guest, 1000, NULL), 1);

        /* Another address takes the place of the first. */
        set_ok(&bench, SECOND, 0);
        assert_guard(&bench, SECOND, 0, false);
        assert_arrives(&bench, SECOND, 0, true);
        assert_arrives(&bench, GUEST, 0, false);
        ck_assert_int_eq(count_lines("tc filter show dev v0 ingress | grep nbyte"), 1);

        set_ok(&bench, NULL, 0);
        assert_guard(&bench, NULL, 0, false);
        assert_arrives(&bench, GUEST, 0, true);
        assert_arrives(&bench, SECOND, 0, true);
        ck_assert_int_eq(count_lines("tc filter show dev v0 ingress"), 0);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

static int count_message(const struct nlmsghdr *header, void *userdata)
{
        unsigned *count = userdata;

        if (header->nlmsg_type >= RTM_NEWQDISC && header->nlmsg_type <= RTM_GETTFILTER)
                (*count)++;
        return 0;
}

START_TEST(test_only_what_differs_is_written)
{
        struct bench bench = set_up_bench();
        struct vswitch_netlink_monitor *monitor = NULL;
        unsigned count = 0;

        set_ok(&bench, GUEST, 100);
        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        set_ok(&bench, GUEST, 100);
        assert_guard(&bench, GUEST, 100, false);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_message, &count), 0);
        ck_assert_uint_eq(count, 0);

        /* The rate alone. */
        set_ok(&bench, GUEST, 200);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_message, &count), 0);
        ck_assert_uint_eq(count, 1);
        assert_guard(&bench, GUEST, 200, false);

        set_ok(&bench, NULL, 200);
        assert_guard(&bench, NULL, 200, false);
        set_ok(&bench, NULL, 0);
        assert_guard(&bench, NULL, 0, false);
        count = 0;
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_message, &count), 0);
        set_ok(&bench, NULL, 0);
        count = 0;
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_message, &count), 0);
        ck_assert_uint_eq(count, 0);
        vswitch_netlink_monitor_close(monitor);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

static double now(void)
{
        struct timespec time;

        ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &time), 0);
        return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static uint64_t received_on_wire(void)
{
        struct vswitch_link link;

        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "w1", &link, NULL), 0);
        return link.received_packets;
}

static int open_sender(const char *device)
{
        struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = netns_ifindex(device) };
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void fill_header(uint8_t *frame, const char *source, uint16_t type)
{
        struct vswitch_mac to = netns_mac(SENDER);
        struct vswitch_mac from = netns_mac(source);
        uint16_t network_type = htons(type);

        memcpy(frame, to.bytes, ETH_ALEN);
        memcpy(frame + ETH_ALEN, from.bytes, ETH_ALEN);
        memcpy(frame + 12, &network_type, sizeof(network_type));
}

/* Sends full-sized frames as fast as it can; how many arrived. */
static unsigned flood(const char *source, unsigned count, double *ret_seconds)
{
        uint8_t frame[1514] = { 0 };
        int fd = open_sender("v1");
        uint64_t before = received_on_wire();
        double start = now();

        fill_header(frame, source, NETNS_TEST_ETHERTYPE);
        for (unsigned i = 0; i < count; i++)
                ck_assert_int_eq(send(fd, frame, sizeof(frame), 0), sizeof(frame));
        *ret_seconds = now() - start;
        close(fd);
        return (unsigned) (received_on_wire() - before);
}

START_TEST(test_rate)
{
        struct bench bench = set_up_bench();
        const unsigned frame_size = 1514 + 4;
        double seconds;
        unsigned arrived;
        double most;

        ck_assert_uint_eq(flood(GUEST, 1000, &seconds), 1000);

        /* The bucket is full: all of it comes, and what the rate adds meanwhile. A frame more or less. */
        set_ok(&bench, NULL, 1);
        assert_guard(&bench, NULL, 1, false);
        arrived = flood(GUEST, 1000, &seconds);
        most = (guard_burst(1) + seconds * 125000) / frame_size + 1;
        ck_assert_msg(arrived >= guard_burst(1) / frame_size && arrived <= most, "%u arrived in %g s, not %u to %g",
                      arrived, seconds, guard_burst(1) / frame_size, most);

        /* Frames of others do not use it up, and are dropped all the same. */
        set_ok(&bench, GUEST, 0);
        set_ok(&bench, GUEST, 1);
        ck_assert_uint_eq(flood(SECOND, 1000, &seconds), 0);
        ck_assert_uint_ge(flood(GUEST, 1000, &seconds), guard_burst(1) / frame_size);

        set_ok(&bench, GUEST, 0);
        ck_assert_uint_eq(flood(GUEST, 1000, &seconds), 1000);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

/* The 64 KiB that a guest hands over for segmentation come as one packet, which even the lowest rate must let pass. */
START_TEST(test_large_segments_pass)
{
        enum { SEGMENT = 1448, PAYLOAD = 44 * SEGMENT, HEADERS = 14 + 20 + 20 };
        static uint8_t packet[sizeof(struct virtio_net_hdr) + HEADERS + PAYLOAD];
        struct bench bench = set_up_bench();
        struct virtio_net_hdr offload = {
                .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                .hdr_len = HEADERS,
                .gso_size = SEGMENT,
                .csum_start = 14 + 20,
                .csum_offset = 16,
        };
        struct iphdr ip = {
                .version = 4,
                .ihl = 5,
                .tot_len = htons(HEADERS - 14 + PAYLOAD),
                .ttl = 64,
                .protocol = IPPROTO_TCP,
                .saddr = htonl(0x0a000001),
                .daddr = htonl(0x0a000002),
        };
        struct tcphdr tcp = { .doff = 5, .ack = 1 };
        uint8_t *frame = packet + sizeof(offload);
        int one = 1;
        int fd = open_sender("v1");
        uint64_t before;

        ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
        memcpy(packet, &offload, sizeof(offload));
        fill_header(frame, GUEST, ETHERTYPE_IP);
        memcpy(frame + 14, &ip, sizeof(ip));
        memcpy(frame + 14 + sizeof(ip), &tcp, sizeof(tcp));

        set_ok(&bench, GUEST, 1);
        before = received_on_wire();
        for (unsigned i = 0; i < 4; i++)
                ck_assert_int_eq(send(fd, packet, sizeof(packet), 0), sizeof(packet));
        ck_assert_uint_ge(received_on_wire() - before, 4);
        close(fd);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_rates_are_what_tc_shows)
{
        struct bench bench = set_up_bench();

        set_ok(&bench, NULL, 1000);
        assert_guard(&bench, NULL, 1000, false);
        ck_assert_ptr_nonnull(strstr(netns_output("tc filter show dev v0 ingress"), "rate 1Gbit burst 6250000b"));
        /* More than fits into 32 bits of bytes per second. */
        set_ok(&bench, NULL, 100000);
        assert_guard(&bench, NULL, 100000, false);
        ck_assert_ptr_nonnull(strstr(netns_output("tc filter show dev v0 ingress"), "rate 100Gbit"));
        set_ok(&bench, NULL, UINT32_MAX);
        assert_guard(&bench, NULL, UINT32_MAX, false);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

static bool libvirts_police_counts(void)
{
        char before[64];

        snprintf(before, sizeof(before), "%s",
                 netns_output(
                         "tc -s filter show dev v0 parent ffff: | grep -A9 u32 | grep -o 'Sent [0-9]*' | tail -1"));
        netns_send("v1", SENDER, GUEST, 0, 5000);
        return strcmp(before, netns_output("tc -s filter show dev v0 parent ffff: | grep -A9 u32 | "
                                           "grep -o 'Sent [0-9]*' | tail -1")) != 0;
}

START_TEST(test_beside_libvirts_bandwidth)
{
        struct bench bench = set_up_bench();

        /* A guest that starts with <bandwidth>. */
        netns_run(LIBVIRT_CLEARS LIBVIRT_SETS);
        assert_guard(&bench, NULL, 0, false);
        set_ok(&bench, GUEST, 100);
        assert_guard(&bench, GUEST, 100, false);
        assert_arrives(&bench, GUEST, 0, true);
        assert_arrives(&bench, SECOND, 0, false);
        ck_assert(libvirts_police_counts());

        /* domiftune: ours are gone, which shows, and can be made again. libvirt's comes after ours either way. */
        netns_run(LIBVIRT_CLEARS LIBVIRT_SETS);
        assert_guard(&bench, NULL, 0, false);
        assert_arrives(&bench, SECOND, 0, true);
        set_ok(&bench, GUEST, 100);
        assert_arrives(&bench, SECOND, 0, false);
        ck_assert(libvirts_police_counts());

        set_ok(&bench, NULL, 0);
        assert_guard(&bench, NULL, 0, false);
        ck_assert(libvirts_police_counts());
        ck_assert_int_eq(count_lines("tc filter show dev v0 parent ffff: | grep police"), 1);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

/* <bandwidth> is set for the first time while our filters are there: libvirt's requests must find nothing in their way. */
START_TEST(test_libvirts_bandwidth_comes_later)
{
        struct bench bench = set_up_bench();

        set_ok(&bench, GUEST, 100);
        netns_run("tc filter add dev v0 parent ffff: protocol all u32 match u32 0 0 police rate 1000kbps burst 1000kb "
                  "mtu "
                  "64kb drop flowid :1");
        assert_arrives(&bench, SECOND, 0, false);
        assert_guard(&bench, GUEST, 100, false);
        netns_run(LIBVIRT_CLEARS LIBVIRT_SETS);
        assert_guard(&bench, NULL, 0, false);

        /* Also when what is there is empty. */
        set_ok(&bench, GUEST, 100);
        set_ok(&bench, NULL, 0);
        netns_run(LIBVIRT_CLEARS LIBVIRT_SETS);

        /* The reason why the guard makes no clsact. */
        netns_run(LIBVIRT_CLEARS "tc qdisc add dev v0 clsact");
        netns_run("! { " LIBVIRT_CLEARS LIBVIRT_SETS "; } 2>/dev/null");
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

static const struct {
        const char *command;
        bool foreign;
} others[] = {
        { "tc qdisc add dev v0 ingress; tc filter add dev v0 ingress pref 10 matchall action mirred egress mirror dev "
          "m0",
          true },
        { "tc qdisc add dev v0 clsact; tc filter add dev v0 egress matchall action mirred egress mirror dev m0", true },
        { "tc qdisc add dev v0 clsact; tc filter add dev v0 ingress flower src_mac " SECOND " action drop", true },
        /* Not libvirt's: it takes only some frames, or does more. */
        { "tc qdisc add dev v0 ingress; tc filter add dev v0 parent ffff: protocol all u32 match u32 0x1 0x1 police "
          "rate "
          "1000kbps burst 1000kb mtu 64kb drop flowid :1",
          true },
        { "tc qdisc add dev v0 ingress; tc filter add dev v0 parent ffff: protocol all u32 match u32 0 0 action mirred "
          "egress mirror dev m0",
          true },
        { "tc qdisc add dev v0 root handle 1: prio; tc filter add dev v0 parent 1: protocol all u32 match u32 0 0 "
          "action "
          "mirred egress mirror dev m0",
          true },
        { "tc qdisc add dev v0 root handle 1: prio; tc filter add dev v0 parent 1: protocol all u32 match u32 0 0 "
          "flowid "
          "1:1",
          false },
        { "tc qdisc add dev v0 clsact", false },
        { "tc qdisc add dev v0 root handle 1: htb default 1; tc filter add dev v0 parent 1: handle 1 fw flowid 1",
          false },
};

START_TEST(test_filters_of_others)
{
        struct bench bench = set_up_bench();

        netns_add_veth("m0", "m1", NULL);
        netns_run("%s", others[_i].command);
        assert_guard(&bench, NULL, 0, others[_i].foreign);
        set_ok(&bench, GUEST, 100);
        assert_guard(&bench, GUEST, 100, others[_i].foreign);
        assert_arrives(&bench, GUEST, 0, true);
        set_ok(&bench, NULL, 0);
        assert_guard(&bench, NULL, 0, others[_i].foreign);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_a_mirror_before_ours_sees_everything)
{
        struct bench bench = set_up_bench();
        int mirrored;

        netns_add_veth("m0", "m1", NULL);
        mirrored = netns_capture("m1");
        set_ok(&bench, GUEST, 100);
        netns_run("tc filter add dev v0 ingress pref 10 matchall action mirred egress mirror dev m0 continue");
        netns_send("v1", SENDER, SECOND, 0, 1);
        netns_send("v1", SENDER, GUEST, 0, 2);
        ck_assert_uint_eq(netns_count(mirrored, 1, NULL), 1);
        ck_assert_uint_eq(netns_count(mirrored, 2, NULL), 1);
        ck_assert_uint_eq(netns_count(bench.wire, 1, NULL), 0);
        ck_assert_uint_eq(netns_count(bench.wire, 2, NULL), 1);
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_somebody_has_our_place)
{
        struct bench bench = set_up_bench();
        struct vswitch_error error = { 0 };

        netns_run("tc qdisc add dev v0 ingress; tc filter add dev v0 ingress pref %d handle 1 basic action ok",
                  SOFTSWITCH_GUARD_SOURCE_PRIORITY);
        assert_guard(&bench, NULL, 0, true);
        ck_assert_int_eq(set(&bench, GUEST, 0, &error), -EEXIST);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot check the source addresses of v0: somebody else's"));
        set_ok(&bench, NULL, 0);
        ck_assert_int_eq(count_lines("tc filter show dev v0 ingress | grep basic"), 2);

        /* Another kind. */
        netns_run("tc filter del dev v0 ingress; tc filter add dev v0 ingress pref %d matchall action ok",
                  SOFTSWITCH_GUARD_RATE_PRIORITY);
        ck_assert_int_lt(set(&bench, NULL, 100, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot limit the rate of v0: "));
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

START_TEST(test_a_tap_that_has_gone)
{
        struct bench bench = set_up_bench();
        struct vswitch_error error = { 0 };

        set_ok(&bench, GUEST, 100);
        netns_run("ip link del v0");
        assert_guard(&bench, NULL, 0, false);
        ck_assert_int_eq(set(&bench, GUEST, 100, &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot check the source addresses of network device"));
        bench.software_switch->driver->close(bench.software_switch);
}
END_TEST

int main(void)
{
        static const char needed[] =
                "ip link add p0 type veth peer name p1 && tc qdisc add dev p0 ingress && "
                "tc filter add dev p0 ingress protocol all basic match 'not nbyte(\"abcdef\" at 6 layer 0)' action "
                "drop && "
                "tc filter add dev p0 ingress protocol all matchall action police rate 1mbit burst 64k && "
                "tc qdisc add dev p0 root handle 1: htb default 1";
        Suite *suite = suite_create("guard");

        if (!netns_test_kernel_has("the guard (cls_basic, em_nbyte, act_police, sch_htb)", needed))
                return netns_test_run(suite);

        netns_test_add(suite, "source check", test_source_check);
        netns_test_add(suite, "only differences", test_only_what_differs_is_written);
        netns_test_add(suite, "rate", test_rate);
        netns_test_add(suite, "large segments", test_large_segments_pass);
        netns_test_add(suite, "rates", test_rates_are_what_tc_shows);
        netns_test_add(suite, "libvirt's bandwidth", test_beside_libvirts_bandwidth);
        netns_test_add(suite, "libvirt's bandwidth later", test_libvirts_bandwidth_comes_later);
        netns_test_add_loop(suite, "others", test_filters_of_others, 0, (int) (sizeof(others) / sizeof(others[0])));
        netns_test_add(suite, "mirror", test_a_mirror_before_ours_sees_everything);
        netns_test_add(suite, "our place", test_somebody_has_our_place);
        netns_test_add(suite, "no tap", test_a_tap_that_has_gone);
        return netns_test_run(suite);
}
