/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How long to listen: a frame that does not come cannot be told from one that is late, except by waiting. The slowest
 * of the first frames tells how slow this host is; a multiple of it is waited for, in every flight, and longer where a
 * first answer was unclear. Frames that come late nevertheless are told by the flight's number and count for nothing.
 */

#include "src/probe/flight.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define USEC_PER_MSEC 1000ull

#define FRAMES     5
#define ROUNDS     2
#define ROUNDS_MAX 4

/* More at once would fill a short receive ring. */
#define BURST 16

#define QUEUE_RETRIES 20

#define LISTEN_INTERVAL (10 * USEC_PER_MSEC)

/* Takes what is there from all places. */
static void hear(struct probe_bench *bench, uint64_t sent, struct probe_heard *heard)
{
        for (int place = 0; place < PROBE_PLACE_COUNT; place++) {
                struct probe_frame frame;

                while (bench->ports[place].fd >= 0 && probe_port_receive(&bench->ports[place], &frame) > 0) {
                        uint64_t latency = probe_bench_now() - sent;
                        uint8_t *times;

                        if (frame.run != bench->run || frame.flight != bench->flights ||
                            frame.sequence >= PROBE_FLIGHT_MAX || (frame.vlan != 0 && frame.vlan != bench->vlan))
                                continue;
                        times = &heard->times[place][frame.vlan != 0][frame.sequence];
                        *times += *times < UINT8_MAX;
                        if (latency > bench->latency_usec)
                                bench->latency_usec = latency;
                }
        }
}

static int listen_for(struct probe_bench *bench, uint64_t usec, uint64_t sent, struct probe_heard *heard,
                      struct vswitch_error *error)
{
        uint64_t end = probe_bench_now() + usec;

        for (uint64_t now; (now = probe_bench_now()) < end;) {
                struct pollfd fds[PROBE_PLACE_COUNT];
                uint64_t left = end - now;
                int r = probe_bench_pause(bench, 0, error);

                if (r < 0)
                        return r;
                for (int place = 0; place < PROBE_PLACE_COUNT; place++)
                        fds[place] = (struct pollfd){ .fd = bench->ports[place].fd, .events = POLLIN };
                (void) poll(fds, PROBE_PLACE_COUNT,
                            (int) ((left < LISTEN_INTERVAL ? left : LISTEN_INTERVAL) / USEC_PER_MSEC) + 1);
                hear(bench, sent, heard);
        }
        return 0;
}

static int send_one(struct probe_bench *bench, const struct probe_flight *flight, uint32_t sequence,
                    struct vswitch_error *error)
{
        struct probe_frame frame = {
                .destination =
                        flight->to_filters ? probe_mac(bench->run, PROBE_MAC_FILTERS + sequence) : flight->destination,
                .source = probe_mac(bench->run, flight->source),
                .vlan = flight->vlan,
                .is_neighbour_solicitation = flight->is_neighbour_solicitation,
                .run = bench->run,
                .flight = bench->flights,
                .sequence = sequence,
        };

        for (int attempt = 0;; attempt++) {
                int r = probe_port_send(&bench->ports[flight->from], &frame);

                if (r == 0)
                        return 0;
                if (r != -ENOBUFS || attempt == QUEUE_RETRIES)
                        return vswitch_error_set(error, r, "cannot send: %s", vswitch_error_text(NULL, r));
                r = probe_bench_pause(bench, USEC_PER_MSEC, error);
                if (r < 0)
                        return r;
        }
}

int probe_fly(struct probe_bench *bench, const struct probe_flight *flight, unsigned count, const bool *leave_out,
              struct probe_heard *ret, struct vswitch_error *error)
{
        uint64_t sent = probe_bench_now();
        unsigned in_burst = 0;

        memset(ret, 0, sizeof(*ret));
        if (bench->ports[flight->from].fd < 0)
                return vswitch_error_set(error, -ENODEV, "there is nothing to send from");
        bench->flights++;
        for (uint32_t i = 0; i < count; i++) {
                int r = leave_out && leave_out[i] ? 0 : send_one(bench, flight, i, error);

                if (r == 0 && ++in_burst % BURST == 0) {
                        r = listen_for(bench, USEC_PER_MSEC, sent, ret, error);
                        sent = probe_bench_now();
                }
                if (r < 0)
                        return r;
        }
        return listen_for(bench, bench->quiet_usec, sent, ret, error);
}

/* ---- questions ---- */

static void add_up(const struct probe_heard *heard, const struct probe_question *question, struct probe_count *count)
{
        count->sent += FRAMES;
        for (unsigned i = 0; i < FRAMES; i++) {
                unsigned times = 0;

                if (question->tag != PROBE_WITH_TAG)
                        times += heard->times[question->at][0][i];
                if (question->tag != PROBE_WITHOUT_TAG)
                        times += heard->times[question->at][1][i];
                count->received += times > 0;
                count->copies += times > 1 ? times - 1 : 0;
        }
}

void probe_not_tried(struct probe_bench *bench, enum probe_finding finding, const char *why)
{
        struct probe_answer *answer = &bench->answers[finding];

        *answer = (struct probe_answer){ .verdict = PROBE_NOT_TRIED };
        snprintf(answer->note, sizeof(answer->note), "%s", why);
}

static void answer(struct probe_bench *bench, enum probe_finding finding, const struct probe_count *count)
{
        struct probe_answer *ret = &bench->answers[finding];

        *ret = (struct probe_answer){ .verdict = probe_verdict_of(count), .count = *count };
        if (count->copies > 0)
                snprintf(ret->note, sizeof(ret->note), "came more than once (%u copies)", count->copies);
}

int probe_ask(struct probe_bench *bench, const struct probe_flight *flight, const struct probe_question *questions,
              size_t count, struct vswitch_error *error)
{
        struct probe_count counts[PROBE_PLACE_COUNT * 2] = { 0 };
        uint64_t quiet_usec = bench->quiet_usec;
        struct vswitch_error cause = { 0 };
        bool unclear = true;
        int r = 0;

        for (int round = 0; r == 0 && round < ROUNDS_MAX && (round < ROUNDS || unclear); round++) {
                struct probe_heard heard;

                if (round == ROUNDS)
                        bench->quiet_usec *= 2;
                r = probe_fly(bench, flight, FRAMES, NULL, &heard, &cause);
                unclear = false;
                for (size_t i = 0; r == 0 && i < count; i++) {
                        add_up(&heard, &questions[i], &counts[i]);
                        unclear = unclear || probe_verdict_of(&counts[i]) == PROBE_UNCLEAR;
                }
        }
        bench->quiet_usec = quiet_usec;
        for (size_t i = 0; i < count; i++) {
                if (r == 0)
                        answer(bench, questions[i].finding, &counts[i]);
                else
                        probe_not_tried(bench, questions[i].finding, vswitch_error_text(&cause, r));
        }
        if (!probe_bench_is_over(r))
                return 0;
        return vswitch_error_set(error, r, "%s", vswitch_error_text(&cause, r));
}
