/* SPDX-License-Identifier: Apache-2.0 */

/*
 * prober: sends probe frames to one guest from several network namespaces at once and notes what comes back.
 *
 * Theory of operation: there is one clock (this machine's CLOCK_MONOTONIC) and one thread. At every tick each
 * sender sends one frame, IPv4 and IPv6 in turn; then all sockets and the capture ring are emptied. Nothing waits
 * for an answer to arrive: the kernel stamps what comes in (SO_TIMESTAMPNS), so the tick's length does not blur
 * the stamps. Those stamps are CLOCK_REALTIME; the difference to the clock of the records is read at every tick.
 *
 * Sockets belong to the namespace in which they were made, so the thread enters each namespace once, at the start.
 * Every frame sent and every answer becomes one record of the output file; so does every frame that passes one of
 * the interfaces given with --tap, which tells which host a frame went to.
 *
 * On a machine whose processors are busy emulating others, an ordinary process gets its turn tens of milliseconds
 * late. Therefore real-time priority, for work that takes microseconds. Ticks that were missed all the same are
 * left out, not made up for: a burst would be another measurement.
 */

#include "recorder.h"
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECEIVE_BATCH  32
#define RECEIVE_BUFFER (1 << 20)
#define MAX_TAPS       16
#define LINGER_NS      4000000000u

struct sender {
        bool used;
        int sockets[2]; /* IPv4, IPv6 */
        uint32_t next_sequence;
};

struct prober {
        uint32_t run;
        unsigned rate;
        double duration;
        const char *output;
        struct in_addr target4;
        struct in6_addr target6;
        struct sender senders[PROBE_MAX_SENDERS];
        struct recorder recorder;
        struct ring ring;
        bool capturing;
        uint64_t late_ticks;
};

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
        stopping = signal_number;
}

static void die(const char *what, int r)
{
        fprintf(stderr, "prober: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void usage(const char *what)
{
        fprintf(stderr,
                "prober: %s\n"
                "usage: prober --run N --output FILE --target4 IP --target6 IP [--rate FRAMES/S] [--duration SECONDS]\n"
                "              [--tap NETNS:IFNAME]... --sender ID:NETNS...\n",
                what);
        exit(2);
}

static void enter_namespace(const char *name)
{
        char path[256];
        int fd;

        snprintf(path, sizeof path, "/run/netns/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
                die(path, -errno);
        close(fd);
}

/* --- setting up ------------------------------------------------------------------------------------------- */

static int open_socket(const struct sockaddr *target, socklen_t target_size)
{
        const int on = 1, buffer = RECEIVE_BUFFER;
        int fd = socket(target->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0 ||
            connect(fd, target, target_size) < 0)
                die("sender's socket", -errno);
        return fd;
}

static void open_sender(struct prober *prober, const char *id_and_namespace)
{
        const struct sockaddr_in target4 = { .sin_family = AF_INET,
                                             .sin_port = htons(PROBE_PORT),
                                             .sin_addr = prober->target4 };
        const struct sockaddr_in6 target6 = { .sin6_family = AF_INET6,
                                              .sin6_port = htons(PROBE_PORT),
                                              .sin6_addr = prober->target6 };
        char *rest;
        unsigned long id = strtoul(id_and_namespace, &rest, 10);
        struct sender *sender;

        if (*rest != ':' || id >= PROBE_MAX_SENDERS || prober->senders[id].used)
                usage("--sender is ID:NETNS, ID below 16 and used once");
        sender = &prober->senders[id];
        enter_namespace(rest + 1);
        sender->used = true;
        sender->sockets[0] = open_socket((const struct sockaddr *) &target4, sizeof target4);
        sender->sockets[1] = open_socket((const struct sockaddr *) &target6, sizeof target6);
}

/* All taps have to be in one namespace: there is one ring. */
static void open_taps(struct prober *prober, char *const *taps, unsigned count)
{
        struct filter filter = { 0 };
        unsigned indexes[MAX_TAPS];
        int r;

        for (unsigned i = 0; i < count; i++) {
                char *name = strchr(taps[i], ':');

                if (!name)
                        usage("--tap is NETNS:IFNAME");
                *name++ = '\0';
                if (i == 0)
                        enter_namespace(taps[0]);
                else if (strcmp(taps[i], taps[0]) != 0)
                        usage("all taps must be in one namespace");
                indexes[i] = if_nametoindex(name);
                if (indexes[i] == 0)
                        die(name, -errno);
                recorder_name_place(&prober->recorder, indexes[i], name);
        }
        filter_only_interfaces(&filter, indexes, count);
        filter_probe_port(&filter);
        r = ring_open(&prober->ring, &filter);
        if (r < 0)
                die("packet socket", r);
        prober->capturing = true;
}

static void become_punctual(void)
{
        const struct sched_param priority = { .sched_priority = 10 };

        /* Without the privilege the measurement is merely less fine. */
        if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0 || mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
                fprintf(stderr, "prober: no real-time priority: %s\n", strerror(errno));
}

static void parse_number(const char *text, unsigned long minimum, unsigned long maximum, unsigned long *ret)
{
        char *end;

        errno = 0;
        *ret = strtoul(text, &end, 10);
        if (errno || *end || end == text || *ret < minimum || *ret > maximum)
                usage("not a number in its range");
}

struct arguments {
        char *taps[MAX_TAPS];
        char *senders[PROBE_MAX_SENDERS];
        unsigned taps_count;
        unsigned senders_count;
};

static void parse_arguments(struct prober *prober, struct arguments *arguments, int argc, char *argv[])
{
        static const struct option options[] = {
                { "run", required_argument, NULL, 'r' },
                { "output", required_argument, NULL, 'o' },
                { "target4", required_argument, NULL, '4' },
                { "target6", required_argument, NULL, '6' },
                { "rate", required_argument, NULL, 'f' },
                { "duration", required_argument, NULL, 'd' },
                { "tap", required_argument, NULL, 't' },
                { "sender", required_argument, NULL, 's' },
                { NULL, 0, NULL, 0 },
        };
        bool target4 = false, target6 = false;
        unsigned long number;
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (option) {
                case 'r':
                        parse_number(optarg, 1, UINT32_MAX, &number);
                        prober->run = (uint32_t) number;
                        break;
                case 'o':
                        prober->output = optarg;
                        break;
                case '4':
                        target4 = inet_pton(AF_INET, optarg, &prober->target4) == 1;
                        break;
                case '6':
                        target6 = inet_pton(AF_INET6, optarg, &prober->target6) == 1;
                        break;
                case 'f':
                        parse_number(optarg, 1, 5000, &number);
                        prober->rate = (unsigned) number;
                        break;
                case 'd':
                        prober->duration = strtod(optarg, NULL);
                        break;
                case 't':
                        if (arguments->taps_count == MAX_TAPS)
                                usage("too many taps");
                        arguments->taps[arguments->taps_count++] = optarg;
                        break;
                case 's':
                        if (arguments->senders_count == PROBE_MAX_SENDERS)
                                usage("too many senders");
                        arguments->senders[arguments->senders_count++] = optarg;
                        break;
                default:
                        usage("unknown option");
                }
        }
        if (optind != argc || !prober->run || !prober->output || !target4 || !target6 || !arguments->senders_count)
                usage("something is missing");
}

/* --- a tick ----------------------------------------------------------------------------------------------- */

static void send_one(struct prober *prober, unsigned id)
{
        struct sender *sender = &prober->senders[id];
        const uint32_t sequence = sender->next_sequence;
        const uint8_t version = sequence & 1 ? 6 : 4;
        const uint64_t now = clock_ns(CLOCK_MONOTONIC);
        const struct probe_frame frame = {
                .magic = htobe32(PROBE_MAGIC),
                .run = htobe32(prober->run),
                .sender = (uint8_t) id,
                .version = version,
                .sequence = htobe32(sequence),
                .sent_ns = htobe64(now),
        };
        const int fd = sender->sockets[sequence & 1];

        /* The first failure may be an ICMP error that waited in the socket since an earlier frame. */
        if (send(fd, &frame, sizeof frame, 0) < 0 && send(fd, &frame, sizeof frame, 0) < 0)
                return;
        sender->next_sequence++;
        recorder_write(&prober->recorder, &(struct record){ .kind = RECORD_SENT,
                                                            .sender = (uint8_t) id,
                                                            .version = version,
                                                            .sequence = sequence,
                                                            .stamp_ns = now });
}

static uint64_t message_stamp(struct msghdr *message)
{
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                struct timespec stamp;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPNS)
                        continue;
                memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
                return (uint64_t) stamp.tv_sec * 1000000000u + (uint64_t) stamp.tv_nsec;
        }
        return clock_ns(CLOCK_REALTIME);
}

static void note_reply(struct prober *prober, unsigned id, const struct probe_frame *frame, struct msghdr *message)
{
        if (!frame_valid(frame, prober->run) || frame->sender != id)
                return;
        recorder_write(&prober->recorder,
                       &(struct record){
                               .kind = RECORD_REPLY,
                               .sender = frame->sender,
                               .version = frame->version,
                               .sequence = be32toh(frame->sequence),
                               .stamp_ns = message_stamp(message) + (uint64_t) prober->recorder.clock_offset_ns,
                               .extra = be64toh(frame->guest_ns),
                       });
}

static void receive_replies(struct prober *prober, unsigned id, int fd)
{
        struct probe_frame frames[RECEIVE_BATCH];
        struct iovec buffers[RECEIVE_BATCH];
        struct mmsghdr messages[RECEIVE_BATCH];
        char controls[RECEIVE_BATCH][CMSG_SPACE(sizeof(struct timespec))];
        int n;

        do {
                for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
                        buffers[i] = (struct iovec){ &frames[i], sizeof frames[i] };
                        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &buffers[i],
                                                               .msg_iovlen = 1,
                                                               .msg_control = controls[i],
                                                               .msg_controllen = sizeof controls[i] };
                }
                n = recvmmsg(fd, messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
                for (int i = 0; i < n; i++)
                        if (messages[i].msg_len == sizeof(struct probe_frame))
                                note_reply(prober, id, &frames[i], &messages[i].msg_hdr);
        } while (n == RECEIVE_BATCH);
}

static void tick(struct prober *prober, bool sending)
{
        prober->recorder.clock_offset_ns = (int64_t) (clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_REALTIME));
        for (unsigned id = 0; id < PROBE_MAX_SENDERS; id++) {
                if (!prober->senders[id].used)
                        continue;
                if (sending)
                        send_one(prober, id);
                receive_replies(prober, id, prober->senders[id].sockets[0]);
                receive_replies(prober, id, prober->senders[id].sockets[1]);
        }
        if (prober->capturing)
                ring_drain(&prober->ring, recorder_capture, &prober->recorder);
}

/* Ticks until `end` or, while sending, until told to stop. */
static void run_until(struct prober *prober, uint64_t end, bool sending)
{
        const uint64_t interval = 1000000000u / prober->rate;
        uint64_t next = clock_ns(CLOCK_MONOTONIC);

        while (next < end && !(sending && stopping)) {
                const struct timespec at = { .tv_sec = (time_t) (next / 1000000000u),
                                             .tv_nsec = (long) (next % 1000000000u) };
                uint64_t now;

                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
                tick(prober, sending);
                next += interval;
                now = clock_ns(CLOCK_MONOTONIC);
                while (next + interval < now) {
                        next += interval;
                        prober->late_ticks++;
                }
        }
}

int main(int argc, char *argv[])
{
        static struct prober prober = { .rate = 200 };
        struct arguments arguments = { 0 };
        const struct sigaction action = { .sa_handler = stop };
        uint64_t end;
        int r;

        parse_arguments(&prober, &arguments, argc, argv);
        r = recorder_open(&prober.recorder, prober.output, prober.run);
        if (r < 0)
                die(prober.output, r);
        if (arguments.taps_count)
                open_taps(&prober, arguments.taps, arguments.taps_count);
        for (unsigned i = 0; i < arguments.senders_count; i++)
                open_sender(&prober, arguments.senders[i]);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        become_punctual();
        puts("ready");
        fflush(stdout);

        end = prober.duration > 0 ? clock_ns(CLOCK_MONOTONIC) + (uint64_t) (prober.duration * 1e9) : UINT64_MAX;
        run_until(&prober, end, true);
        /* Frames that wait for a guest to run again are answered seconds later. */
        run_until(&prober, clock_ns(CLOCK_MONOTONIC) + LINGER_NS, false);

        if (prober.late_ticks)
                fprintf(stderr, "prober: %llu ticks left out\n", (unsigned long long) prober.late_ticks);
        r = recorder_close(&prober.recorder);
        if (r < 0)
                die(prober.output, r);
        return EXIT_SUCCESS;
}
