/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Notifications that are lost, and receiving that fails: after one resync the table is what bridge(8) and ip(8) show.
 *
 * recvmsg() is defined here, so that it can be made to fail where the kernel would not do so on demand.
 */

#include "netns_test.h"

#include "vswitch/fdb_table.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORTS   32
#define CHANGES 4096

/* The buffer of the monitor's socket: less than a page of notifications. */
#define SMALL_BUFFER 4096

/* ---- faults ---- */

enum fault {
        FAULT_NONE,
        FAULT_INTERRUPTED, /* EINTR, before every other message */
        FAULT_OVERRUN,     /* ENOBUFS, once */
        FAULT_TRUNCATED,   /* a message that does not fit, once */
};

static struct {
        enum fault fault;
        bool on_monitor; /* else on the request socket */
        unsigned after;  /* so many messages are left alone */
        unsigned count;  /* faults made */
        unsigned calls;
} injection;

static int monitor_fd = -1;

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
        ssize_t length;

        if (injection.fault == FAULT_NONE || (fd == monitor_fd) != injection.on_monitor ||
            injection.calls++ < injection.after)
                return syscall(SYS_recvmsg, fd, message, flags);
        switch (injection.fault) {
        case FAULT_INTERRUPTED:
                if (injection.calls % 2) {
                        injection.count++;
                        errno = EINTR;
                        return -1;
                }
                break;
        case FAULT_OVERRUN:
                if (injection.count == 0) {
                        injection.count++;
                        errno = ENOBUFS;
                        return -1;
                }
                break;
        case FAULT_TRUNCATED:
                length = syscall(SYS_recvmsg, fd, message, flags);
                if (length > 0 && injection.count == 0) {
                        injection.count++;
                        message->msg_flags |= MSG_TRUNC;
                        return length / 2;
                }
                return length;
        default:
                break;
        }
        return syscall(SYS_recvmsg, fd, message, flags);
}

/* ---- the table, as the daemon keeps it ---- */

static struct vswitch_netlink_monitor *monitor;
static struct fdb_table *table;
static unsigned resyncs, failed_resyncs;

static uint64_t now(void)
{
        static uint64_t time = 1000000;

        return time += 1000;
}

static int on_notification(const struct nlmsghdr *header, void *userdata)
{
        struct vswitch_mac mac;

        ck_assert_int_ge(fdb_table_notify(table, header, now(), &mac), 0);
        return 0;
}

static void resync(void)
{
        struct vswitch_error error = { 0 };
        int r;

        resyncs++;
        /* What the daemon does a while later. */
        while ((r = fdb_table_resync(table, netns_netlink, now(), &error)) < 0) {
                ck_assert_str_ne(error.text, "");
                ck_assert_uint_lt(++failed_resyncs, 3);
        }
}

/* Until there is nothing left to read. */
static void follow(void)
{
        for (;;) {
                int r = vswitch_netlink_monitor_read(monitor, on_notification, NULL);

                if (r == 0)
                        return;
                ck_assert_int_eq(r, -ENOBUFS);
                resync();
        }
}

static void open_table(int buffer)
{
        /* Nobody is to be learned but by what the tests send. */
        netns_run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        netns_run("ip link add br0 type bridge; ip link set br0 up");
        netns_run("for i in $(seq %d); do echo link add p$i type veth peer name q$i; echo link set p$i master br0 up; "
                  "echo link set q$i up; done | ip -batch -",
                  PORTS);
        ck_assert_int_eq(vswitch_netlink_monitor_open(&monitor, NULL), 0);
        monitor_fd = vswitch_netlink_monitor_fd(monitor);
        if (buffer)
                ck_assert_int_eq(setsockopt(monitor_fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)), 0);
        table = fdb_table_new(netns_ifindex("br0"));
        ck_assert_ptr_nonnull(table);
        ck_assert_int_eq(fdb_table_resync(table, netns_netlink, now(), NULL), 0);
        follow();
        resyncs = failed_resyncs = 0;
}

static void close_table(void)
{
        fdb_table_free(table);
        vswitch_netlink_monitor_close(monitor);
}

/* Ports that leave, return, go down and up; entries that somebody writes and deletes. */
static const char changes[] =
        "i=0; while [ $i -lt %d ]; do p=$((i %% %d + 1)); case $((i / %d %% 8)) in "
        "0) echo link set p$p mtu 1400;; 1) echo link set p$p down;; 2) echo link set p$p alias x$i;; "
        "3) echo link set p$p up;; 4) [ $((p %% 8)) = 1 ] && echo link set p$p nomaster || echo link set p$p mtu "
        "1401;; "
        "5) echo link set p$p mtu 1500;; 6) [ $((p %% 3)) = 0 ] || echo link set p$p master br0;; "
        "7) echo link set p$p alias y$i;; esac; i=$((i + 1)); done | ip -batch - ; "
        "for i in $(seq 10 60); do echo fdb replace 02:00:00:00:00:$i dev p$((i %% 7 * 3 + 2)) master static; done | "
        "bridge -batch -; for i in $(seq 10 2 60); do echo fdb del 02:00:00:00:00:$i dev p$((i %% 7 * 3 + 2)) master; "
        "done | bridge -batch -";

static void make_changes(int count)
{
        netns_run(changes, count, PORTS, PORTS);
}

/* ---- what the kernel has, as others read it ---- */

#define LINE_SIZE 96

struct lines {
        char (*lines)[LINE_SIZE];
        size_t count;
        size_t room;
};

static char *add_line(struct lines *lines)
{
        if (lines->count == lines->room) {
                lines->room = lines->room ? 2 * lines->room : 256;
                lines->lines = reallocarray(lines->lines, lines->room, LINE_SIZE);
                ck_assert_ptr_nonnull(lines->lines);
        }
        return lines->lines[lines->count++];
}

static int compare_lines(const void *a, const void *b)
{
        return strcmp(a, b);
}

/* "MAC dev NAME [vlan N] [flags] master br0 [static|permanent]" */
static void read_kernels_entries(struct lines *lines)
{
        char *text = strdup(netns_output("bridge fdb show br br0 | grep ' master br0'")), *rest = text, *line;

        while ((line = strsep(&rest, "\n")) && *line) {
                char mac[32], name[IF_NAMESIZE];
                unsigned vlan = 0;
                const char *at = strstr(line, " vlan ");

                ck_assert_int_eq(sscanf(line, "%31s dev %15s", mac, name), 2);
                if (at)
                        ck_assert_int_eq(sscanf(at, " vlan %u", &vlan), 1);
                snprintf(add_line(lines), LINE_SIZE, "%s %s %u %s", mac, name, vlan,
                         strstr(line, " permanent") ? "local"
                         : strstr(line, " static")  ? "static"
                                                    : "learned");
        }
        free(text);
}

static void read_kernels_ports(struct lines *lines)
{
        char *text = strdup(netns_output("ip -o link show master br0")), *rest = text, *line;

        while ((line = strsep(&rest, "\n")) && *line) {
                char name[IF_NAMESIZE + 1], flags[128];
                int ifindex;

                ck_assert_int_eq(sscanf(line, "%d: %16[^@:]%*[^<]<%127[^>]>", &ifindex, name, flags), 3);
                snprintf(add_line(lines), LINE_SIZE, "%d %s %s", ifindex, name,
                         strstr(flags, ",UP") || strncmp(flags, "UP", 2) == 0 ? "up" : "down");
        }
        free(text);
}

static int take_entry(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata)
{
        static const char *const kinds[] = { "local", "static", "learned" };
        char mac[VSWITCH_MAC_TEXT_SIZE];

        if (entry->kind != FDB_QUIET)
                snprintf(add_line(userdata), LINE_SIZE, "%s %s %u %s", vswitch_mac_format(&entry->mac, mac),
                         port->name[0] ? port->name : "br0", entry->vlan, kinds[entry->kind]);
        return 0;
}

static int take_port(const struct fdb_table_port *port, void *userdata)
{
        snprintf(add_line(userdata), LINE_SIZE, "%d %s %s", port->ifindex, port->name, port->up ? "up" : "down");
        return 0;
}

static void expect_same(struct lines *model, struct lines *kernel)
{
        qsort(model->lines, model->count, LINE_SIZE, compare_lines);
        qsort(kernel->lines, kernel->count, LINE_SIZE, compare_lines);
        for (size_t i = 0; i < model->count && i < kernel->count; i++)
                ck_assert_str_eq(model->lines[i], kernel->lines[i]);
        ck_assert_uint_eq(model->count, kernel->count);
        free(model->lines);
        free(kernel->lines);
}

static void expect_the_kernels_state(void)
{
        struct lines model = { 0 }, kernel = { 0 };

        fdb_table_for_each_port(table, take_port, &model);
        read_kernels_ports(&kernel);
        ck_assert_uint_gt(kernel.count, 0);
        expect_same(&model, &kernel);

        model = kernel = (struct lines){ 0 };
        fdb_table_for_each(table, take_entry, &model);
        read_kernels_entries(&kernel);
        ck_assert_uint_ge(kernel.count, PORTS - PORTS / 8);
        expect_same(&model, &kernel);
}

/* ---- tests ---- */

START_TEST(notifications_alone_keep_it_equal)
{
        open_table(0);
        /* As many as the default buffer holds, if it is all that we get. */
        for (int i = 0; i < 8; i++) {
                make_changes(PORTS);
                follow();
        }
        ck_assert_uint_eq(resyncs, 0);
        expect_the_kernels_state();
        close_table();
}
END_TEST

START_TEST(one_resync_after_an_overrun)
{
        open_table(SMALL_BUFFER);
        make_changes(CHANGES);
        follow();
        ck_assert_uint_eq(resyncs, 1);
        expect_the_kernels_state();

        /* And it goes on from there. */
        netns_send("q2", "02:00:00:00:01:00", "02:00:00:00:01:01", 0, 1);
        netns_run("ip link set p3 nomaster");
        follow();
        expect_the_kernels_state();
        close_table();
}
END_TEST

START_TEST(changes_go_on_during_the_resync)
{
        char command[sizeof(changes) + 64];
        struct pollfd ended = { .events = POLLIN };
        FILE *writer;

        open_table(SMALL_BUFFER);
        snprintf(command, sizeof(command), changes, CHANGES, PORTS, PORTS);
        strcat(command, "; echo");
        writer = popen(command, "r");
        ck_assert_ptr_nonnull(writer);
        ended.fd = fileno(writer);
        do
                follow();
        while (poll(&ended, 1, 1) == 0);
        ck_assert_int_eq(pclose(writer), 0);
        follow();
        ck_assert_uint_gt(resyncs, 0);
        expect_the_kernels_state();
        close_table();
}
END_TEST

/* _i: kind of fault, and where. */
START_TEST(receiving_that_fails)
{
        static const struct {
                enum fault fault;
                bool on_monitor;
                unsigned resyncs;
                bool resync_fails;
        } cases[] = {
                { FAULT_INTERRUPTED, true, 0, false }, { FAULT_OVERRUN, true, 1, false },
                { FAULT_TRUNCATED, true, 1, false },   { FAULT_INTERRUPTED, false, 1, false },
                { FAULT_OVERRUN, false, 1, true },     { FAULT_TRUNCATED, false, 1, true },
        };

        open_table(0);
        make_changes(PORTS);
        injection.on_monitor = cases[_i].on_monitor;
        injection.after = cases[_i].on_monitor ? 5 : 1;
        injection.fault = cases[_i].fault;
        if (!cases[_i].on_monitor)
                resync();
        follow();
        ck_assert_uint_gt(injection.count, 0);
        injection.fault = FAULT_NONE;
        follow();
        ck_assert_uint_eq(resyncs, cases[_i].resyncs);
        /* A dump that was given up half-way may cost the next one, too: the kernel finishes it first. */
        ck_assert_int_eq(failed_resyncs > 0, cases[_i].resync_fails);
        expect_the_kernels_state();
        close_table();
}
END_TEST

START_TEST(a_flush_makes_guests_quiet_not_gone)
{
        struct vswitch_mac mac = netns_mac("02:00:00:00:01:01");

        open_table(0);
        netns_send("q2", "02:00:00:00:01:00", "02:00:00:00:01:01", 0, 1);
        follow();
        ck_assert_ptr_nonnull(fdb_table_find(table, &mac, 0));
        ck_assert_int_eq(fdb_table_find(table, &mac, 0)->kind, FDB_LEARNED);
        netns_run("ip link set br0 type bridge fdb_flush");
        follow();
        ck_assert_ptr_nonnull(fdb_table_find(table, &mac, 0));
        ck_assert_int_eq(fdb_table_find(table, &mac, 0)->kind, FDB_QUIET);
        expect_the_kernels_state();
        /* Also when the flush itself was missed. */
        resync();
        ck_assert_int_eq(fdb_table_find(table, &mac, 0)->kind, FDB_QUIET);
        netns_run("ip link set p2 nomaster");
        follow();
        ck_assert_ptr_null(fdb_table_find(table, &mac, 0));
        close_table();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("overrun");

        netns_test_add(suite, "notifications", notifications_alone_keep_it_equal);
        netns_test_add(suite, "overrun", one_resync_after_an_overrun);
        netns_test_add(suite, "changes go on", changes_go_on_during_the_resync);
        netns_test_add_loop(suite, "faults", receiving_that_fails, 0, 6);
        netns_test_add(suite, "flush", a_flush_makes_guests_quiet_not_gone);
        return netns_test_run(suite);
}
