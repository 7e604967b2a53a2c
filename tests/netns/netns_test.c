/* SPDX-License-Identifier: Apache-2.0 */
#include "netns_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Veth delivers in softirq context of the sender: what has not come after this will not come. Emulated hardware on
 * an emulated CPU takes longer. */
#define QUIET_MILLISECONDS 100

struct vswitch_netlink *netns_netlink;

struct test_frame {
        struct ethhdr header;
        uint32_t number;
        uint8_t padding[46];
} __attribute__((packed));

/*
 * Namespaces
 */

static bool write_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

        if (fd >= 0)
                close(fd);
        return ok;
}

static bool enter_user_namespace(void)
{
        unsigned uid = geteuid();
        unsigned gid = getegid();
        char map[64];

        if (unshare(CLONE_NEWUSER) < 0)
                return false;
        (void) write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof(map), "0 %u 1", uid);
        if (!write_file("/proc/self/uid_map", map))
                return false;
        snprintf(map, sizeof(map), "0 %u 1", gid);
        return write_file("/proc/self/gid_map", map);
}

static bool enter_namespaces(void)
{
        if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 &&
            (!enter_user_namespace() || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0))
                return false;

        /* The sysfs of the old namespace shows the old one's devices. Where mounting is not allowed, tests that
         * read it would see nothing of theirs; none of them depends on it. */
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
                (void) mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
        return true;
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(enter_namespaces(), "cannot enter namespaces: %s", strerror(errno));
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        netns_run("ip link set lo up");
}

static void tear_down(void)
{
        vswitch_netlink_close(netns_netlink);
        netns_netlink = NULL;
}

void netns_test_add(Suite *suite, const char *name, const TTest *test)
{
        TCase *test_case = tcase_create(name);

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 60);
        tcase_add_test(test_case, test);
        suite_add_tcase(suite, test_case);
}

void netns_test_add_loop(Suite *suite, const char *name, const TTest *test, int from, int to)
{
        TCase *test_case = tcase_create(name);

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 60);
        tcase_add_loop_test(test_case, test, from, to);
        suite_add_tcase(suite, test_case);
}

/* Runs `command` (NULL: nothing) in a process and in namespaces of its own. */
static bool succeeds_in_namespaces(const char *command)
{
        int status = 0;
        pid_t child = fork();

        if (child == 0) {
                bool entered = enter_namespaces();
                int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

                if (null >= 0)
                        (void) dup2(null, STDERR_FILENO);
                _exit(entered && (!command || system(command) == 0) ? 0 : 1);
        }
        return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool netns_test_kernel_has(const char *what, const char *command)
{
        bool has = succeeds_in_namespaces(command);

        if (!has)
                fprintf(stderr, "skipped: tests of %s, which this kernel does not offer (tests/vm/run has it)\n", what);
        return has;
}

int netns_test_run(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int status = NETNS_TEST_SKIPPED;

        if (!succeeds_in_namespaces(NULL)) {
                fprintf(stderr, "skipped: no network namespaces for us\n");
        } else {
                srunner_run_all(runner, CK_ENV);
                if (srunner_ntests_run(runner) > 0)
                        status = srunner_ntests_failed(runner) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        srunner_free(runner);
        return status;
}

/*
 * Commands and devices
 */

static void format_command(char *buffer, size_t size, const char *format, va_list arguments)
{
        int length = vsnprintf(buffer, size, format, arguments);

        ck_assert_msg(length >= 0 && (size_t) length < size, "command too long");
}

void netns_run(const char *format, ...)
{
        char command[1024];
        va_list arguments;
        int status;

        va_start(arguments, format);
        format_command(command, sizeof(command), format, arguments);
        va_end(arguments);

        status = system(command);
        ck_assert_msg(status == 0, "\"%s\" failed (status %d)", command, status);
}

const char *netns_output(const char *format, ...)
{
        static char output[65536];
        char command[1024];
        va_list arguments;
        size_t length;
        FILE *stream;

        va_start(arguments, format);
        format_command(command, sizeof(command), format, arguments);
        va_end(arguments);

        stream = popen(command, "r");
        ck_assert_ptr_nonnull(stream);
        length = fread(output, 1, sizeof(output) - 1, stream);
        output[length] = '\0';
        (void) pclose(stream);
        return output;
}

int netns_ifindex(const char *name)
{
        unsigned ifindex = if_nametoindex(name);

        ck_assert_msg(ifindex > 0, "no device %s", name);
        return (int) ifindex;
}

struct vswitch_mac netns_mac(const char *text)
{
        struct vswitch_mac mac = { 0 };

        ck_assert_int_eq(vswitch_mac_parse(text, &mac), 0);
        return mac;
}

void netns_add_veth(const char *end, const char *peer, const char *bridge)
{
        netns_run("ip link add %s type veth peer name %s", end, peer);
        if (bridge)
                netns_run("ip link set %s master %s", end, bridge);
        netns_run("ip link set %s up; ip link set %s up", end, peer);

        /* The bridge hears of the carrier from a work queue, and until then the port drops what comes. */
        for (int i = 0; bridge && !strstr(netns_output("bridge link show dev %s", end), "state forwarding"); i++) {
                ck_assert_msg(i < 500, "%s does not become a forwarding port of %s", end, bridge);
                usleep(10 * 1000);
        }
}

/*
 * Frames
 */

static int open_packet_socket(const char *device, int protocol)
{
        struct sockaddr_ll address = {
                .sll_family = AF_PACKET,
                .sll_protocol = htons((uint16_t) protocol),
                .sll_ifindex = netns_ifindex(device),
        };
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

int netns_capture(const char *device)
{
        int fd = open_packet_socket(device, ETH_P_ALL);
        int one = 1;
        struct packet_mreq promiscuous = { .mr_ifindex = netns_ifindex(device), .mr_type = PACKET_MR_PROMISC };

        ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)), 0);
        /* The kernel takes the tag out of the frame before a capture sees it and hands it over beside it. */
        ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)), 0);
        ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)), 0);
        return fd;
}

void netns_send(const char *device, const char *destination, const char *source, uint16_t tag, uint32_t number)
{
        netns_send_tagged(device, destination, source, tag, tag != 0 ? ETH_P_8021Q : 0, number);
}

void netns_send_tagged(const char *device, const char *destination, const char *source, uint16_t tag,
                       uint16_t tag_protocol, uint32_t number)
{
        struct vswitch_mac to = netns_mac(destination);
        struct vswitch_mac from = netns_mac(source);
        struct test_frame frame = { .header.h_proto = htons(NETNS_TEST_ETHERTYPE), .number = htonl(number) };
        uint8_t bytes[sizeof(frame) + 4];
        size_t size = sizeof(frame);
        int fd = open_packet_socket(device, 0);

        memcpy(frame.header.h_dest, to.bytes, ETH_ALEN);
        memcpy(frame.header.h_source, from.bytes, ETH_ALEN);
        memcpy(bytes, &frame, sizeof(frame));
        if (tag_protocol != 0) {
                uint16_t header[2] = { htons(tag_protocol), htons(tag) };

                memmove(bytes + 16, bytes + 12, sizeof(frame) - 12);
                memcpy(bytes + 12, header, sizeof(header));
                size += sizeof(header);
        }
        ck_assert_msg(send(fd, bytes, size, 0) == (ssize_t) size, "cannot send on %s: %s", device, strerror(errno));
        close(fd);
}

static int quiet_milliseconds(void)
{
        const char *text = getenv("VSWITCH_TEST_QUIET_MILLISECONDS");

        return text ? atoi(text) : QUIET_MILLISECONDS;
}

long netns_receive(int capture, struct netns_frame *ret)
{
        struct pollfd poll_fd = { .fd = capture, .events = POLLIN };
        uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
        struct iovec iov = { .iov_base = ret->data, .iov_len = sizeof(ret->data) };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof(control),
        };
        ssize_t length;

        if (poll(&poll_fd, 1, quiet_milliseconds()) <= 0)
                return -1;
        length = recvmsg(capture, &message, 0);
        ret->vlan = 0;
        ret->qos = 0;
        ret->vlan_protocol = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); length >= 0 && c; c = CMSG_NXTHDR(&message, c)) {
                struct tpacket_auxdata auxiliary;

                if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
                        continue;
                memcpy(&auxiliary, CMSG_DATA(c), sizeof(auxiliary));
                if (auxiliary.tp_status & TP_STATUS_VLAN_VALID) {
                        ret->vlan = auxiliary.tp_vlan_tci & 0xfff;
                        ret->qos = (uint8_t) (auxiliary.tp_vlan_tci >> 13);
                        ret->vlan_protocol = auxiliary.tp_vlan_tpid;
                }
        }
        return length;
}

static bool is_numbered(const struct netns_frame *received, long size, uint32_t *ret_number)
{
        struct test_frame frame;

        if (size < (long) sizeof(frame))
                return false;
        memcpy(&frame, received->data, sizeof(frame));
        *ret_number = ntohl(frame.number);
        return frame.header.h_proto == htons(NETNS_TEST_ETHERTYPE);
}

bool netns_receive_number(int capture, uint32_t number, struct netns_frame *ret)
{
        uint32_t found;
        long size;

        while ((size = netns_receive(capture, ret)) >= 0)
                if (is_numbered(ret, size, &found) && found == number)
                        return true;
        return false;
}

unsigned netns_count(int capture, uint32_t number, uint16_t *ret_vlan)
{
        static struct {
                int capture;
                uint32_t number;
                uint16_t vlan;
        } seen[1024];
        static size_t seen_count;
        struct netns_frame received;
        unsigned count = 0;
        long size;

        while ((size = netns_receive(capture, &received)) >= 0) {
                uint32_t found;

                if (!is_numbered(&received, size, &found))
                        continue;
                ck_assert_uint_lt(seen_count, sizeof(seen) / sizeof(seen[0]));
                seen[seen_count].capture = capture;
                seen[seen_count].number = found;
                seen[seen_count++].vlan = received.vlan;
        }

        for (size_t i = 0; i < seen_count; i++)
                if (seen[i].capture == capture && seen[i].number == number) {
                        count++;
                        if (ret_vlan)
                                *ret_vlan = seen[i].vlan;
                }
        return count;
}
