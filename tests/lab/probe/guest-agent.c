/* SPDX-License-Identifier: Apache-2.0 */

/*
 * guest-agent [--standby NAME] MASTER: the probe's other end, inside a guest.
 *
 * It sends probe frames back, remembers for each one where it was seen, and keeps a log of what became of the
 * guest's network interfaces, so that a frame that was lost can be laid to the host's charge or to the guest's.
 * All of it is kept in memory and asked for afterwards, because memory survives a live migration and a report
 * that is sent while frames are counted would disturb the count.
 *
 * MASTER is the net_failover interface (eth0). Of the interfaces enslaved to it, the one driven by virtio_net (or
 * named with --standby) is the standby, any other the primary: the VF.
 *
 * What is noted of a frame (one byte for each sender and sequence number):
 *   SEEN_STANDBY, SEEN_PRIMARY  it arrived on that interface. A packet socket sees it before net_failover's receive
 *                               handler, which throws away what the standby gets while there is a primary.
 *   ACCEPTED                    it reached the UDP socket.
 *   ANSWERED                    the guest's kernel took the answer. It does not when a queue is full.
 *   the upper four bits         how many times more it was accepted (15 = that many or more).
 *
 * The log has one line for each event: "NANOSECONDS KIND key=value...", the stamp on the guest's CLOCK_MONOTONIC.
 *   begin  after a reset: the "link" lines before it say how everything was at that time.
 *   link   an interface's state, whenever it changed (rtnetlink). These come late: the notice of a closed
 *          interface is sent when its driver has finished closing.
 *   gone   an interface no longer exists.
 *   trace  the kernel passed one of the functions of trace_points. Their stamps are the kernel's own and exact; they
 *          tell when a VF stops to receive (long before the notice) and when net_failover takes the standby again.
 *          Without tracefs or kprobes the log says so ("trace-missing") and the analysis falls back to links.
 *   vf     a command to give up or take the VF was carried out.
 * Each line ends with last=SENDER:SEQUENCE:SENT_NS, the frame that was answered last.
 *
 * Commands come as UDP datagrams to PROBE_CONTROL_PORT: "TOKEN VERB [ARGUMENTS]"; the answer is "TOKEN ok ...\n" or
 * "TOKEN error ...\n", and a payload. All may be repeated, so the asker asks again when no answer comes.
 *   reset RUN             forget everything; from now on only frames of this run count
 *   frames SENDER OFFSET  "ok COUNT TOTAL", then COUNT bytes of what is noted, from sequence number OFFSET
 *   times SENDER OFFSET   the same with four bytes for each frame (little-endian): when it was accepted first, in ms
 *   events OFFSET         "ok COUNT TOTAL", then COUNT bytes of the log
 *   state                 "ok", then the interfaces as log lines
 *   drop-vf, take-vf      unbind the primary from its driver, bind it again ("the guest removes its VF itself")
 *
 * It has to be light: the guest's processor is emulated by a processor that is emulated. One thread waits for
 * everything; a filter keeps other traffic away; frames are received and answered in batches.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* the lab compiles this one file by itself */
#endif
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEN_STANDBY   0x01u
#define SEEN_PRIMARY   0x02u
#define ACCEPTED       0x04u
#define ANSWERED       0x08u
#define DUPLICATE_STEP 0x10u
#define DUPLICATES_MAX 0xf0u

#define MAX_SEQUENCES  (1u << 21) /* of one sender: almost three hours at 200 frames a second */
#define LOG_BYTES      (512u * 1024)
#define CHUNK_BYTES    1200u /* of a report; fits an Ethernet frame */
#define MAX_INTERFACES 16
#define BATCH          32
#define RECEIVE_BUFFER (1 << 20)

enum role { ROLE_OTHER, ROLE_MASTER, ROLE_STANDBY, ROLE_PRIMARY };

static const char *const role_names[] = { "other", "master", "standby", "primary" };

struct link_state {
        unsigned index; /* 0: this slot is free */
        unsigned master;
        unsigned flags;
        bool carrier;
        uint8_t address[6];
        enum role role;
        char name[IFNAMSIZ];
        char driver[32];
        char device[32]; /* address on its bus, "0000:03:00.0" */
};

struct agent {
        const char *master_name;
        const char *standby_name; /* NULL: the one with the virtio_net driver */
        unsigned master_index;
        uint32_t run;

        int echo_fd, control_fd, tap_fd, link_fd, trace_fd; /* -1: not available */

        uint8_t *noted[PROBE_MAX_SENDERS];     /* [sequence] */
        uint32_t *accepted[PROBE_MAX_SENDERS]; /* [sequence] in ms of CLOCK_MONOTONIC */
        uint32_t noted_end[PROBE_MAX_SENDERS];
        struct probe_frame last_frame; /* answered last, as it came */

        struct link_state links[MAX_INTERFACES];
        char *log;
        size_t log_size;
        char dropped_device[32]; /* what drop-vf unbound, for take-vf */
        char dropped_driver[32];
};

static void fail(const char *what)
{
        fprintf(stderr, "guest-agent: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

/* --- the log ---------------------------------------------------------------------------------------------- */

/* Writes one line; when the log is full, later events are lost and the earlier ones stay. */
static void __attribute__((format(printf, 3, 4)))
log_event(struct agent *agent, uint64_t stamp_ns, const char *format, ...)
{
        const struct probe_frame *last = &agent->last_frame;
        char line[400];
        va_list arguments;
        int size;

        size = snprintf(line, sizeof line, "%llu ", (unsigned long long) stamp_ns);
        va_start(arguments, format);
        size += vsnprintf(line + size, sizeof line - (size_t) size, format, arguments);
        va_end(arguments);
        if (size < 0 || (size_t) size + 64 > sizeof line)
                return;
        size += snprintf(line + size, sizeof line - (size_t) size, " last=%u:%u:%llu\n", last->sender,
                         be32toh(last->sequence), (unsigned long long) be64toh(last->sent_ns));
        if (agent->log_size + (size_t) size > LOG_BYTES)
                return;
        memcpy(agent->log + agent->log_size, line, (size_t) size);
        agent->log_size += (size_t) size;
}

static int format_link(const struct agent *agent, const struct link_state *link, char *buffer, size_t size)
{
        const uint8_t *a = link->address;

        return snprintf(buffer, size,
                        "link name=%s index=%u role=%s enslaved=%d up=%d running=%d carrier=%d driver=%s device=%s "
                        "mac=%02x:%02x:%02x:%02x:%02x:%02x",
                        link->name, link->index, role_names[link->role],
                        link->master != 0 && link->master == agent->master_index, !!(link->flags & IFF_UP),
                        !!(link->flags & IFF_RUNNING), link->carrier, link->driver[0] ? link->driver : "-",
                        link->device[0] ? link->device : "-", a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void log_link(struct agent *agent, const struct link_state *link)
{
        char text[256];

        format_link(agent, link, text, sizeof text);
        log_event(agent, clock_ns(CLOCK_MONOTONIC), "%s", text);
}

/* --- the kernel's own stamps (tracefs) -------------------------------------------------------------------- */

#define TRACE_ROOT     "/sys/kernel/tracing"
#define TRACE_INSTANCE TRACE_ROOT "/instances/vswitch-probe"
#define TRACE_GROUP    "vsprobe"

/*
 * Registering a primary: net_failover_slave_register opens the VF and then makes it the interface that counts, so the
 * standby counts until igbvf_open returns, at least, and from then on the VF receives. Its end: from igbvf_remove on
 * the driver does not enable its receive interrupt any more, igbvf_close stops its queues; whichever comes first ends
 * the VF path, and when net_failover_slave_unregister returns the standby counts again. (The standby itself is
 * registered before the agent starts, or at least before any VF: these are about the primary.)
 */
static const char *const trace_points[] = {
        "p:" TRACE_GROUP "/registering net_failover_slave_register",
        "r:" TRACE_GROUP "/vf_opened igbvf_open result=$retval:s32",
        "r:" TRACE_GROUP "/registered net_failover_slave_register result=$retval:s32",
        "p:" TRACE_GROUP "/vf_removing igbvf_remove",
        "p:" TRACE_GROUP "/vf_closing igbvf_close",
        "r:" TRACE_GROUP "/unregistered net_failover_slave_unregister",
};

static bool write_file(const char *path, int flags, const char *text)
{
        const ssize_t size = (ssize_t) strlen(text);
        int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
        bool ok = fd >= 0 && write(fd, text, (size_t) size) == size;
        const int cause = errno;

        if (fd >= 0)
                close(fd);
        errno = cause;
        return ok;
}

/* Returns a descriptor to read the trace from, or -1. Points that an earlier agent defined are used again. */
static int open_trace(void)
{
        unsigned defined = 0;

        if (access(TRACE_ROOT "/kprobe_events", W_OK) < 0 && mount("tracefs", TRACE_ROOT, "tracefs", 0, NULL) < 0)
                return -1;
        for (size_t i = 0; i < sizeof trace_points / sizeof *trace_points; i++)
                defined += write_file(TRACE_ROOT "/kprobe_events", O_APPEND, trace_points[i]) || errno == EEXIST;
        if (defined < sizeof trace_points / sizeof *trace_points)
                return -1;
        mkdir(TRACE_INSTANCE, 0700);
        if (!write_file(TRACE_INSTANCE "/trace_clock", 0, "mono") ||
            !write_file(TRACE_INSTANCE "/events/" TRACE_GROUP "/enable", 0, "1"))
                return -1;
        return open(TRACE_INSTANCE "/trace_pipe", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* A line of the trace: "  task-pid  [cpu] flags  SECONDS.MICROSECONDS: NAME: (where) result=0x0". */
static void log_trace_line(struct agent *agent, const char *line)
{
        const char *flags = strchr(line, ']'), *result = strstr(line, "result=");
        unsigned long long seconds, microseconds;
        char name[32];

        if (!flags || sscanf(flags, "] %*s %llu.%llu: %31[a-z_]:", &seconds, &microseconds, name) != 3)
                return;
        log_event(agent, (uint64_t) (seconds * 1000000000u + microseconds * 1000u), "trace point=%s result=%d", name,
                  result ? atoi(result + strlen("result=")) : 0);
}

/* Moves what the kernel has traced to the log. The stamps are in the trace, so it does not matter when. */
static void drain_trace(struct agent *agent)
{
        char buffer[4096], *line, *rest;
        ssize_t size;

        while (agent->trace_fd >= 0 && (size = read(agent->trace_fd, buffer, sizeof buffer - 1)) > 0) {
                buffer[size] = '\0'; /* trace_pipe hands out whole lines */
                for (line = strtok_r(buffer, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                        log_trace_line(agent, line);
        }
}

/* --- interfaces ------------------------------------------------------------------------------------------- */

static struct link_state *find_link(struct agent *agent, unsigned index)
{
        for (unsigned i = 0; i < MAX_INTERFACES; i++)
                if (agent->links[i].index == index)
                        return &agent->links[i];
        return NULL;
}

/* The last part of where /sys/class/net/NAME/LINK points to; "" when there is no such link. */
static void read_device_link(const char *name, const char *link, char *buffer, size_t size)
{
        char path[128], target[256], *last;
        ssize_t length;

        snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, link);
        length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        last = strrchr(target, '/');
        snprintf(buffer, size, "%.*s", (int) size - 1, last ? last + 1 : target);
}

static enum role find_role(const struct agent *agent, const struct link_state *link)
{
        if (link->index == agent->master_index)
                return ROLE_MASTER;
        if (agent->standby_name ? strcmp(link->name, agent->standby_name) == 0
                                : strcmp(link->driver, "virtio_net") == 0)
                return ROLE_STANDBY;
        /* A VF that net_failover refused is of interest too: it is a primary that was never enslaved. */
        if (link->device[0] || (link->master && link->master == agent->master_index))
                return ROLE_PRIMARY;
        return ROLE_OTHER;
}

static void parse_link(const struct nlmsghdr *header, struct link_state *ret)
{
        const struct ifinfomsg *info = NLMSG_DATA(header);
        int size = (int) IFLA_PAYLOAD(header);

        *ret = (struct link_state){ .index = (unsigned) info->ifi_index, .flags = info->ifi_flags };
        for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, size); a = RTA_NEXT(a, size)) {
                switch (a->rta_type) {
                case IFLA_IFNAME:
                        snprintf(ret->name, sizeof ret->name, "%.*s", IFNAMSIZ - 1, (const char *) RTA_DATA(a));
                        break;
                case IFLA_MASTER:
                        memcpy(&ret->master, RTA_DATA(a), sizeof ret->master);
                        break;
                case IFLA_CARRIER:
                        ret->carrier = *(const uint8_t *) RTA_DATA(a);
                        break;
                case IFLA_ADDRESS:
                        if (RTA_PAYLOAD(a) == sizeof ret->address)
                                memcpy(ret->address, RTA_DATA(a), sizeof ret->address);
                        break;
                default:
                        break;
                }
        }
}

static void set_link_up(struct agent *agent, unsigned index)
{
        const struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } request = {
                .header = { .nlmsg_len = sizeof request, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST },
                .info = { .ifi_index = (int) index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP },
        };

        if (send(agent->link_fd, &request, sizeof request, 0) < 0)
                fprintf(stderr, "guest-agent: cannot open interface %u: %s\n", index, strerror(errno));
}

static bool same_state(const struct link_state *a, const struct link_state *b)
{
        const unsigned flags = IFF_UP | IFF_RUNNING;

        return a->master == b->master && (a->flags & flags) == (b->flags & flags) && a->carrier == b->carrier &&
               memcmp(a->address, b->address, sizeof a->address) == 0 && strcmp(a->name, b->name) == 0;
}

static void on_link(struct agent *agent, struct link_state *now)
{
        struct link_state *known = find_link(agent, now->index);
        bool enslaved_before = known && known->master == agent->master_index;

        if (known && same_state(known, now))
                return;
        if (known && known->device[0]) {
                /* sysfs loses the links of a device that is being removed. */
                memcpy(now->driver, known->driver, sizeof now->driver);
                memcpy(now->device, known->device, sizeof now->device);
        } else {
                read_device_link(now->name, "device/driver", now->driver, sizeof now->driver);
                read_device_link(now->name, "device", now->device, sizeof now->device);
        }
        now->role = known && known->role == ROLE_PRIMARY ? ROLE_PRIMARY : find_role(agent, now);
        if (!known)
                known = find_link(agent, 0);
        if (!known)
                return;
        *known = *now;
        log_link(agent, known);
        /* net_failover opens its slaves itself; this helps one that it could not open at that moment. Only once:
         * a slave that is closed later is being removed. */
        if (!enslaved_before && known->master == agent->master_index && !(known->flags & IFF_UP))
                set_link_up(agent, known->index);
}

static void on_link_gone(struct agent *agent, unsigned index)
{
        struct link_state *known = find_link(agent, index);

        if (!known || index == 0)
                return;
        log_event(agent, clock_ns(CLOCK_MONOTONIC), "gone name=%s index=%u role=%s", known->name, index,
                  role_names[known->role]);
        *known = (struct link_state){ 0 };
}

static void request_link_dump(struct agent *agent)
{
        const struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } request = {
                .header = { .nlmsg_len = sizeof request,
                            .nlmsg_type = RTM_GETLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        };

        if (send(agent->link_fd, &request, sizeof request, 0) < 0)
                fail("listing interfaces");
}

static void on_link_messages(struct agent *agent)
{
        static char buffer[32768];
        ssize_t size;

        while ((size = recv(agent->link_fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
                for (struct nlmsghdr *h = (struct nlmsghdr *) buffer; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
                        struct link_state now;

                        if (h->nlmsg_type == RTM_DELLINK) {
                                on_link_gone(agent, (unsigned) ((struct ifinfomsg *) NLMSG_DATA(h))->ifi_index);
                        } else if (h->nlmsg_type == RTM_NEWLINK) {
                                parse_link(h, &now);
                                on_link(agent, &now);
                        }
                }
        }
        if (size < 0 && errno == ENOBUFS) {
                log_event(agent, clock_ns(CLOCK_MONOTONIC), "links-missed");
                request_link_dump(agent);
        }
        drain_trace(agent);
}

static void open_links(struct agent *agent)
{
        const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
        const int buffer = RECEIVE_BUFFER;

        agent->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (agent->link_fd < 0 || bind(agent->link_fd, (const struct sockaddr *) &address, sizeof address) < 0)
                fail("rtnetlink");
        setsockopt(agent->link_fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
        request_link_dump(agent);
}

/* --- frames ----------------------------------------------------------------------------------------------- */

/* Pages that are never written cost nothing. */
static void *lazy_memory(size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED)
                fail("memory");
        return memory;
}

static void know_sender(struct agent *agent, unsigned sender)
{
        agent->noted[sender] = lazy_memory(MAX_SEQUENCES);
        agent->accepted[sender] = lazy_memory(MAX_SEQUENCES * sizeof **agent->accepted);
}

/* Where what is known of a frame is kept; NULL when it is none of this run. */
static uint8_t *noted_byte(struct agent *agent, const struct probe_frame *frame)
{
        const uint32_t sequence = be32toh(frame->sequence);

        if (!frame_valid(frame, agent->run) || sequence >= MAX_SEQUENCES)
                return NULL;
        if (!agent->noted[frame->sender])
                know_sender(agent, frame->sender);
        if (agent->noted_end[frame->sender] <= sequence)
                agent->noted_end[frame->sender] = sequence + 1;
        return agent->noted[frame->sender] + sequence;
}

/* IP_RECVERR makes send() tell of full queues, and also queues ICMP errors, which poll() would report for ever. */
static void drain_socket_errors(int fd)
{
        char buffer[256], control[512];
        struct iovec data = { buffer, sizeof buffer };
        struct msghdr message;

        do {
                message = (struct msghdr){
                        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
                };
        } while (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
}

/* Returns where to note what becomes of the answer, or NULL. */
static uint8_t *on_accepted(struct agent *agent, const struct probe_frame *frame, uint64_t now)
{
        uint8_t *noted = noted_byte(agent, frame);

        if (!noted)
                return NULL;
        if (*noted & ACCEPTED && (*noted & DUPLICATES_MAX) != DUPLICATES_MAX)
                *noted += DUPLICATE_STEP;
        if (!(*noted & ACCEPTED))
                agent->accepted[frame->sender][be32toh(frame->sequence)] = (uint32_t) (now / 1000000u);
        *noted |= ACCEPTED;
        agent->last_frame = *frame;
        return noted;
}

/* An answer that the kernel does not take is lost; the next ones are sent all the same. */
static void send_back(struct agent *agent, struct mmsghdr *messages, uint8_t *const *noted, int count)
{
        int sent = 0;

        while (sent < count) {
                int n = sendmmsg(agent->echo_fd, messages + sent, (unsigned) (count - sent), MSG_DONTWAIT);

                for (int i = 0; i < n; i++)
                        if (noted[sent + i])
                                *noted[sent + i] |= ANSWERED;
                sent += n > 0 ? n : 1;
        }
}

/* Everything that waits is received, noted and sent back in one go. */
static void on_echo(struct agent *agent)
{
        static struct probe_frame frames[BATCH];
        static struct sockaddr_in6 senders[BATCH];
        struct iovec buffers[BATCH];
        struct mmsghdr messages[BATCH];
        uint8_t *noted[BATCH];
        uint64_t now;
        int n;

        do {
                for (unsigned i = 0; i < BATCH; i++) {
                        buffers[i] = (struct iovec){ &frames[i], sizeof frames[i] };
                        messages[i].msg_hdr = (struct msghdr){ .msg_name = &senders[i],
                                                               .msg_namelen = sizeof senders[i],
                                                               .msg_iov = &buffers[i],
                                                               .msg_iovlen = 1 };
                }
                n = recvmmsg(agent->echo_fd, messages, BATCH, MSG_DONTWAIT, NULL);
                now = clock_ns(CLOCK_MONOTONIC);
                for (int i = 0; i < n; i++) {
                        noted[i] = messages[i].msg_len == sizeof frames[i] ? on_accepted(agent, &frames[i], now) : NULL;
                        frames[i].guest_ns = htobe64(now);
                        buffers[i].iov_len = messages[i].msg_len;
                }
                send_back(agent, messages, noted, n);
        } while (n == BATCH);
        drain_socket_errors(agent->echo_fd);
}

static void note_seen(struct agent *agent, unsigned ifindex, const uint8_t *packet, size_t size)
{
        const struct link_state *link = ifindex ? find_link(agent, ifindex) : NULL;
        struct probe_frame frame;
        bool answer = false;
        const uint8_t *found = frame_in_packet(packet, size, &answer);
        uint8_t *noted;

        if (!found || answer)
                return;
        memcpy(&frame, found, sizeof frame);
        noted = noted_byte(agent, &frame);
        if (!noted)
                return;
        /* What comes from an interface that was not announced yet comes from a new one: the VF. */
        *noted |= link && link->role == ROLE_STANDBY ? SEEN_STANDBY : SEEN_PRIMARY;
}

static void on_tap(struct agent *agent)
{
        static uint8_t packets[BATCH][FILTER_CAPTURED_BYTES];
        struct sockaddr_ll sources[BATCH];
        struct iovec buffers[BATCH];
        struct mmsghdr messages[BATCH];
        int n;

        do {
                for (unsigned i = 0; i < BATCH; i++) {
                        buffers[i] = (struct iovec){ packets[i], sizeof packets[i] };
                        messages[i].msg_hdr = (struct msghdr){ .msg_name = &sources[i],
                                                               .msg_namelen = sizeof sources[i],
                                                               .msg_iov = &buffers[i],
                                                               .msg_iovlen = 1 };
                }
                n = recvmmsg(agent->tap_fd, messages, BATCH, MSG_DONTWAIT, NULL);
                for (int i = 0; i < n; i++)
                        note_seen(agent, (unsigned) sources[i].sll_ifindex, packets[i], messages[i].msg_len);
        } while (n == BATCH);
}

/* One tap for all interfaces, so that the first frame of a VF is not missed while a tap for it is being made. The
 * master is left out: what it gets came through a slave. */
static int open_tap(const struct agent *agent)
{
        const struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
        const int on = 1, buffer = RECEIVE_BUFFER;
        struct filter filter = { 0 };
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        filter_except_interface(&filter, agent->master_index);
        filter_probe_port(&filter);
        if (fd < 0 || filter_attach(&filter, fd) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0 ||
            bind(fd, (const struct sockaddr *) &all, sizeof all) < 0)
                fail("packet socket");
        return fd;
}

/* --- commands --------------------------------------------------------------------------------------------- */

static void reset(struct agent *agent, uint32_t run)
{
        drain_trace(agent);
        for (unsigned i = 0; i < PROBE_MAX_SENDERS; i++) {
                if (agent->noted[i])
                        madvise(agent->noted[i], MAX_SEQUENCES, MADV_DONTNEED);
                agent->noted_end[i] = 0;
        }
        agent->run = run;
        agent->log_size = 0;
        agent->dropped_device[0] = '\0';
        if (agent->trace_fd < 0)
                log_event(agent, clock_ns(CLOCK_MONOTONIC), "trace-missing");
        for (unsigned i = 0; i < MAX_INTERFACES; i++)
                if (agent->links[i].index)
                        log_link(agent, &agent->links[i]);
        log_event(agent, clock_ns(CLOCK_MONOTONIC), "begin");
}

/* Unbinding waits until the kernel has removed the interface, so a child does it. */
static void write_in_child(struct agent *agent, const char *path, const char *text)
{
        if (fork() == 0)
                _exit(write_file(path, 0, text) ? EXIT_SUCCESS : EXIT_FAILURE);
        log_event(agent, clock_ns(CLOCK_MONOTONIC), "vf write=%s text=%s", path, text);
}

static const char *drop_vf(struct agent *agent)
{
        char path[128];

        for (unsigned i = 0; i < MAX_INTERFACES; i++) {
                const struct link_state *link = &agent->links[i];

                if (link->role != ROLE_PRIMARY || !link->device[0] || !link->driver[0])
                        continue;
                memcpy(agent->dropped_device, link->device, sizeof agent->dropped_device);
                memcpy(agent->dropped_driver, link->driver, sizeof agent->dropped_driver);
                snprintf(path, sizeof path, "/sys/bus/pci/drivers/%s/unbind", link->driver);
                write_in_child(agent, path, link->device);
                return "ok";
        }
        /* Asked again after the first answer was lost, and it is done already. */
        return agent->dropped_device[0] ? "ok" : "error there is no VF";
}

static const char *take_vf(struct agent *agent)
{
        char path[128];

        if (!agent->dropped_device[0])
                return "error no VF was dropped";
        snprintf(path, sizeof path, "/sys/bus/pci/drivers/%s/bind", agent->dropped_driver);
        write_in_child(agent, path, agent->dropped_device);
        return "ok";
}

struct answer {
        char text[CHUNK_BYTES + 128];
        size_t size;
};

static void __attribute__((format(printf, 2, 3))) answer_add(struct answer *answer, const char *format, ...)
{
        const size_t room = sizeof answer->text - answer->size;
        va_list arguments;
        int size;

        va_start(arguments, format);
        size = vsnprintf(answer->text + answer->size, room, format, arguments);
        va_end(arguments);
        if (size > 0)
                answer->size += (size_t) size < room ? (size_t) size : room - 1;
}

/* A part of something long: "ok COUNT TOTAL\n" and COUNT bytes. */
static void answer_chunk(struct answer *answer, const void *data, size_t total, size_t offset)
{
        size_t count = offset < total ? total - offset : 0;

        if (count > CHUNK_BYTES)
                count = CHUNK_BYTES;
        answer_add(answer, "ok %zu %zu\n", count, total);
        if (count)
                memcpy(answer->text + answer->size, (const char *) data + offset, count);
        answer->size += count;
}

static void answer_state(const struct agent *agent, struct answer *answer)
{
        char text[256];

        answer_add(answer, "ok\n%llu run=%u trace=%d\n", (unsigned long long) clock_ns(CLOCK_MONOTONIC), agent->run,
                   agent->trace_fd >= 0);
        for (unsigned i = 0; i < MAX_INTERFACES; i++) {
                if (!agent->links[i].index)
                        continue;
                format_link(agent, &agent->links[i], text, sizeof text);
                answer_add(answer, "%s\n", text);
        }
}

static void carry_out(struct agent *agent, const char *verb, unsigned long first, unsigned long second,
                      struct answer *answer)
{
        if (strcmp(verb, "reset") == 0) {
                reset(agent, (uint32_t) first);
                answer_add(answer, "ok\n");
        } else if (strcmp(verb, "frames") == 0 && first < PROBE_MAX_SENDERS) {
                answer_chunk(answer, agent->noted[first], agent->noted_end[first], second);
        } else if (strcmp(verb, "times") == 0 && first < PROBE_MAX_SENDERS) {
                answer_chunk(answer, agent->accepted[first], agent->noted_end[first] * sizeof **agent->accepted,
                             second * sizeof **agent->accepted);
        } else if (strcmp(verb, "events") == 0) {
                drain_trace(agent);
                answer_chunk(answer, agent->log, agent->log_size, first);
        } else if (strcmp(verb, "state") == 0) {
                answer_state(agent, answer);
        } else if (strcmp(verb, "drop-vf") == 0) {
                answer_add(answer, "%s\n", drop_vf(agent));
        } else if (strcmp(verb, "take-vf") == 0) {
                answer_add(answer, "%s\n", take_vf(agent));
        } else {
                answer_add(answer, "error unknown command\n");
        }
}

static void on_control(struct agent *agent)
{
        static struct answer answer;
        struct sockaddr_in6 asker;
        socklen_t asker_size = sizeof asker;
        char command[200], token[32], verb[32];
        unsigned long first = 0, second = 0;
        ssize_t size;

        drain_socket_errors(agent->control_fd);
        while ((size = recvfrom(agent->control_fd, command, sizeof command - 1, MSG_DONTWAIT,
                                (struct sockaddr *) &asker, &asker_size)) > 0) {
                command[size] = '\0';
                first = second = 0;
                if (sscanf(command, "%31s %31s %lu %lu", token, verb, &first, &second) < 2)
                        continue;
                answer.size = 0;
                answer_add(&answer, "%s ", token);
                carry_out(agent, verb, first, second, &answer);
                sendto(agent->control_fd, answer.text, answer.size, MSG_DONTWAIT, (struct sockaddr *) &asker,
                       asker_size);
                asker_size = sizeof asker;
        }
}

/* --- start ------------------------------------------------------------------------------------------------ */

/* An IPv6 socket that takes IPv4 too: one wake-up less. */
static int open_port(unsigned port)
{
        const struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port) };
        const int off = 0, on = 1, buffer = RECEIVE_BUFFER;
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on) < 0 ||
            setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0 ||
            bind(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                fail("UDP port");
        return fd;
}

static void serve(struct agent *agent)
{
        struct pollfd waits[] = {
                { .fd = agent->tap_fd, .events = POLLIN },
                { .fd = agent->echo_fd, .events = POLLIN },
                { .fd = agent->link_fd, .events = POLLIN },
                { .fd = agent->control_fd, .events = POLLIN },
        };

        for (;;) {
                if (poll(waits, sizeof waits / sizeof *waits, -1) < 0)
                        continue;
                /* Links first: they say what an interface that frames came from is. */
                if (waits[2].revents)
                        on_link_messages(agent);
                if (waits[1].revents)
                        on_echo(agent);
                if (waits[0].revents)
                        on_tap(agent);
                if (waits[3].revents)
                        on_control(agent);
        }
}

static void parse_arguments(struct agent *agent, int argc, char *argv[])
{
        int i = 1;

        if (argc == 4 && strcmp(argv[1], "--standby") == 0) {
                agent->standby_name = argv[2];
                i = 3;
        }
        if (argc != i + 1) {
                fprintf(stderr, "usage: guest-agent [--standby NAME] MASTER\n");
                exit(2);
        }
        agent->master_name = argv[i];
        agent->master_index = if_nametoindex(agent->master_name);
        if (agent->master_index == 0)
                fail(agent->master_name);
}

int main(int argc, char *argv[])
{
        static struct agent agent;

        parse_arguments(&agent, argc, argv);
        signal(SIGCHLD, SIG_IGN); /* children of drop-vf and take-vf leave nothing behind */
        agent.log = malloc(LOG_BYTES);
        if (!agent.log)
                fail("memory");
        /* --standby is for tests where MASTER is no net_failover interface. */
        agent.trace_fd = agent.standby_name ? -1 : open_trace();
        agent.echo_fd = open_port(PROBE_PORT);
        agent.control_fd = open_port(PROBE_CONTROL_PORT);
        agent.tap_fd = open_tap(&agent);
        open_links(&agent);
        printf("guest-agent: ready, trace %s\n", agent.trace_fd >= 0 ? "on" : "missing");
        fflush(stdout);
        serve(&agent);
}
