/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the probe's programs share: the frame on the wire, and the records that are written to files.
 *
 * A probe frame is a UDP datagram to PROBE_PORT of the guest. The guest's agent sends it back with its own clock
 * filled in. Each frame is known by (sender, sequence); the sender alternates between IPv4 and IPv6, so the
 * sequence numbers of one IP version are every second one.
 */

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define PROBE_PORT         9700
#define PROBE_CONTROL_PORT 9701
#define PROBE_MAGIC        0x76737031u /* "vsp1" */
#define PROBE_MAX_SENDERS  16

/* The datagram, in network byte order. */
struct probe_frame {
        uint32_t magic;
        uint32_t run; /* frames of another run are ignored */
        uint8_t sender;
        uint8_t version; /* 4 or 6 */
        uint8_t reserved[2];
        uint32_t sequence;
        uint64_t sent_ns;  /* the sender's CLOCK_MONOTONIC */
        uint64_t guest_ns; /* the guest's CLOCK_MONOTONIC; 0 in a request */
};
_Static_assert(sizeof(struct probe_frame) == 32, "no padding");

enum record_kind {
        RECORD_SENT = 1,  /* stamp: when it was sent */
        RECORD_REPLY = 2, /* stamp: when the answer came; extra: the guest's clock */
        RECORD_SEEN = 3,  /* a capture: stamp of its kernel; extra: RECORD_OUTGOING, RECORD_ANSWER */
        RECORD_PLACE = 4, /* gives `place` a name: the 16 bytes of stamp and extra are an interface name */
};

#define RECORD_OUTGOING 1u /* leaves by this interface (towards whatever is behind it) */
#define RECORD_ANSWER   2u /* an answer of the guest, not a request */

/* One line of every file that the prober and the captures write, in this machine's byte order, after FILE_HEADER.
 * Each file has one clock: CLOCK_MONOTONIC for the prober, CLOCK_REALTIME for a capture on a host. */
struct record {
        uint8_t kind;
        uint8_t sender;
        uint8_t version;
        uint8_t place;
        uint32_t sequence;
        uint64_t stamp_ns;
        uint64_t extra;
};
_Static_assert(sizeof(struct record) == 24, "no padding");

#define FILE_HEADER "vswitch-probe-1\n"

static inline uint64_t clock_ns(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static inline bool frame_valid(const struct probe_frame *frame, uint32_t run)
{
        return be32toh(frame->magic) == PROBE_MAGIC && be32toh(frame->run) == run && frame->sender < PROBE_MAX_SENDERS;
}

/* Finds the probe frame in an Ethernet frame that passed filter_probe_port(). NULL when it is none. The frame may
 * be unaligned: copy it. `ret_answer` says whether it comes from the guest. */
static inline const uint8_t *frame_in_packet(const uint8_t *packet, size_t size, bool *ret_answer)
{
        size_t udp;
        uint16_t type, source_port;

        if (size < ETH_HLEN + 20)
                return NULL;
        memcpy(&type, packet + 12, sizeof type);
        udp = ntohs(type) == ETH_P_IP ? ETH_HLEN + (size_t) (packet[ETH_HLEN] & 15) * 4 : ETH_HLEN + 40;
        if (size < udp + 8 + sizeof(struct probe_frame))
                return NULL;
        memcpy(&source_port, packet + udp, sizeof source_port);
        *ret_answer = ntohs(source_port) == PROBE_PORT;
        return packet + udp + 8;
}
