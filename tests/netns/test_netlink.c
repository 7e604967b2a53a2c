/* SPDX-License-Identifier: Apache-2.0 */
#include "netns_test.h"

#include "vswitch/link.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct nl_msg *link_dump_message(void)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC };

        return vswitch_netlink_message(RTM_GETLINK, 0, &info, sizeof(info));
}

START_TEST(test_refusal_has_the_kernels_words)
{
        struct ndmsg neighbour = { .ndm_family = AF_BRIDGE, .ndm_ifindex = 9999, .ndm_state = NUD_PERMANENT };
        struct nl_msg *message = vswitch_netlink_message(RTM_NEWNEIGH, NLM_F_CREATE, &neighbour, sizeof(neighbour));
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(vswitch_netlink_transact(netns_netlink, message, &error), -ENODEV);
        ck_assert_str_eq(error.text, "unknown ifindex");
}
END_TEST

START_TEST(test_refusal_without_words_has_the_errno)
{
        struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = 9999 };
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(vswitch_netlink_transact(netns_netlink,
                                                  vswitch_netlink_message(RTM_NEWLINK, 0, &info, sizeof(info)), &error),
                         -ENODEV);
        ck_assert_str_ne(error.text, "");
}
END_TEST

static int stop_at_first(const struct nlmsghdr *header, void *userdata)
{
        (*(int *) userdata)++;
        return -ECANCELED;
}

START_TEST(test_dump_that_is_ended_leaves_the_socket_usable)
{
        struct vswitch_link link;
        int calls = 0;

        netns_run("for i in $(seq 60); do echo link add a$i type veth peer name b$i; done | ip -batch -");
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(vswitch_netlink_dump(netns_netlink, link_dump_message(), NLM_F_DUMP, stop_at_first,
                                                      NULL, &calls, NULL),
                                 -ECANCELED);
        ck_assert_int_eq(calls, 3);
        ck_assert_int_eq(vswitch_link_get_by_name(netns_netlink, "a1", &link, NULL), 0);
}
END_TEST

struct disturbance {
        struct vswitch_netlink *other;
        unsigned restarts;
        unsigned links;
        bool disturbed;
};

/* Changes the table that is being read, once, from another socket. */
static int disturb(const struct nlmsghdr *header, void *userdata)
{
        struct disturbance *disturbance = userdata;

        disturbance->links++;
        if (!disturbance->disturbed) {
                disturbance->disturbed = true;
                ck_assert_int_eq(vswitch_link_add_bridge(disturbance->other, "late0", NULL), 0);
        }
        return 0;
}

static void count_restart(void *userdata)
{
        struct disturbance *disturbance = userdata;

        disturbance->restarts++;
        disturbance->links = 0;
}

START_TEST(test_interrupted_dump_starts_over)
{
        struct disturbance disturbance = { 0 };

        /* Enough for several datagrams: within one the kernel cannot be interrupted. */
        netns_run("for i in $(seq 100); do echo link add a$i type veth peer name b$i; done | ip -batch -");
        ck_assert_int_eq(vswitch_netlink_open(&disturbance.other, NULL), 0);
        ck_assert_int_eq(vswitch_netlink_dump(netns_netlink, link_dump_message(), NLM_F_DUMP, disturb, count_restart,
                                              &disturbance, NULL),
                         0);
        ck_assert_uint_ge(disturbance.restarts, 1);
        ck_assert_uint_eq(disturbance.links, 1 + 200 + 1);
        vswitch_netlink_close(disturbance.other);
}
END_TEST

struct events {
        unsigned links;
        unsigned neighbours;
        unsigned tc;
};

static int count_event(const struct nlmsghdr *header, void *userdata)
{
        struct events *events = userdata;

        switch (header->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
                events->links++;
                break;
        case RTM_NEWNEIGH:
        case RTM_DELNEIGH:
                events->neighbours++;
                break;
        default:
                events->tc++;
                break;
        }
        return 0;
}

START_TEST(test_monitor_sees_links_neighbours_and_tc)
{
        struct vswitch_netlink_monitor *monitor = NULL;
        struct events events = { 0 };
        struct pollfd poll_fd = { .events = POLLIN };

        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), 0);
        ck_assert_uint_eq(events.links, 0);

        netns_run("ip link add br0 type bridge; ip link set br0 up");
        netns_add_veth("v0", "v1", "br0");
        netns_run("bridge fdb add 52:54:00:00:00:01 dev v0 master static");
        netns_run("tc qdisc add dev v0 clsact");

        poll_fd.fd = vswitch_netlink_monitor_fd(monitor);
        ck_assert_int_eq(poll(&poll_fd, 1, 1000), 1);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), 0);
        ck_assert_uint_gt(events.links, 0);
        ck_assert_uint_gt(events.neighbours, 0);
        ck_assert_uint_gt(events.tc, 0);
        vswitch_netlink_monitor_close(monitor);
}
END_TEST

START_TEST(test_monitor_reports_overrun_and_recovers)
{
        struct vswitch_netlink_monitor *monitor = NULL;
        struct events events = { 0 };
        int small = 8192;

        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        ck_assert_int_eq(setsockopt(vswitch_netlink_monitor_fd(monitor), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
                         0);
        netns_run("for i in $(seq 50); do echo link add a$i type veth peer name b$i; done | ip -batch -");

        /* Nothing that is older than the loss may be handed out: the caller reads everything again. */
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), -ENOBUFS);
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), 0);

        events = (struct events){ 0 };
        netns_run("ip link set a1 mtu 1400");
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), 0);
        ck_assert_uint_gt(events.links, 0);
        vswitch_netlink_monitor_close(monitor);
}
END_TEST

START_TEST(test_monitor_holds_a_burst)
{
        struct vswitch_netlink_monitor *monitor = NULL;
        struct events events = { 0 };

        /* What enabling VFs on one PF makes, several times over. */
        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        netns_run("for i in $(seq 100); do echo link add a$i type veth peer name b$i; done | ip -batch -");
        ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), 0);
        ck_assert_uint_ge(events.links, 200);
        vswitch_netlink_monitor_close(monitor);
}
END_TEST

/* Whoever makes notifications does not get all of the caller's time. */
START_TEST(test_monitor_reads_in_parts)
{
        struct vswitch_netlink_monitor *monitor = NULL;
        struct pollfd poll_fd = { .events = POLLIN };
        unsigned reads = 0, last = 0;
        struct events events = { 0 };

        netns_run("ip link add br0 type bridge; ip link set br0 up");
        netns_add_veth("v0", "v1", "br0");
        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        poll_fd.fd = vswitch_netlink_monitor_fd(monitor);
        netns_run("for i in $(seq 0 3999); do printf 'fdb add 02:00:00:02:%%02x:%%02x dev v0 master static\\n' "
                  "$((i / 256)) $((i %% 256)); done | bridge -batch -");
        while (poll(&poll_fd, 1, 0) == 1) {
                ck_assert_int_eq(vswitch_netlink_monitor_read(monitor, count_event, &events), 0);
                ck_assert_uint_le(events.neighbours - last, 2000);
                last = events.neighbours;
                reads++;
        }
        ck_assert_uint_ge(events.neighbours, 4000);
        ck_assert_uint_gt(reads, 1);
        vswitch_netlink_monitor_close(monitor);
}
END_TEST

/* Needs the larger buffer that only root in the first user namespace gets. */
static bool can_force_buffers(void)
{
        int size = 8 * 1024 * 1024;
        int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        bool can = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0;

        if (fd >= 0)
                close(fd);
        return can;
}

int main(void)
{
        Suite *suite = suite_create("netlink");

        netns_test_add(suite, "kernel's words", test_refusal_has_the_kernels_words);
        netns_test_add(suite, "errno", test_refusal_without_words_has_the_errno);
        netns_test_add(suite, "ended dump", test_dump_that_is_ended_leaves_the_socket_usable);
        netns_test_add(suite, "interrupted dump", test_interrupted_dump_starts_over);
        netns_test_add(suite, "monitor", test_monitor_sees_links_neighbours_and_tc);
        netns_test_add(suite, "overrun", test_monitor_reports_overrun_and_recovers);
        if (can_force_buffers()) {
                netns_test_add(suite, "burst", test_monitor_holds_a_burst);
                netns_test_add(suite, "parts", test_monitor_reads_in_parts);
        }
        return netns_test_run(suite);
}
