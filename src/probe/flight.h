/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Frames sent from one place, and who heard them. */

#include "src/probe/bench.h"

#define PROBE_FLIGHT_MAX 256

struct probe_flight {
        enum probe_place from;
        struct vswitch_mac destination;
        enum probe_mac_number source;
        uint16_t vlan; /* the tag that they are sent with */
        bool is_neighbour_solicitation;
        bool to_filters; /* frame n goes to MAC PROBE_MAC_FILTERS + n, instead of `destination` */
};

/* How often each frame was heard, by place; [1]: with the tag bench.vlan. */
struct probe_heard {
        uint8_t times[PROBE_PLACE_COUNT][2][PROBE_FLIGHT_MAX];
};

/* Sends `count` frames, those apart that `leave_out` (may be NULL) says, and listens until it is quiet. */
int probe_fly(struct probe_bench *bench, const struct probe_flight *flight, unsigned count, const bool *leave_out,
              struct probe_heard *ret, struct vswitch_error *error);

enum probe_tag {
        PROBE_WITHOUT_TAG,
        PROBE_WITH_TAG,
        PROBE_ANY_TAG,
};

/* A question that a flight answers. */
struct probe_question {
        enum probe_finding finding;
        enum probe_place at;
        enum probe_tag tag;
};

/* Flies a few frames, twice, and again while an answer is unclear; writes bench->answers. A flight that cannot start
 * leaves its questions "not tried" with the cause as their note; only what ends the whole probe is an error. */
int probe_ask(struct probe_bench *bench, const struct probe_flight *flight, const struct probe_question *questions,
              size_t count, struct vswitch_error *error);

/* Says why a question was not asked. */
void probe_not_tried(struct probe_bench *bench, enum probe_finding finding, const char *why);
