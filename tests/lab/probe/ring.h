/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A packet socket whose frames are read from memory shared with the kernel (TPACKET_V3): the kernel stamps each
 * frame when it passes and fills whole blocks, so the reader may be late and rare without losing precision. That
 * matters on an emulated host, where every system call of a measuring program lengthens what it measures.
 */

#include "filter.h"

#include <linux/if_packet.h>

struct ring {
        int fd;
        uint8_t *memory;
        unsigned blocks;
        unsigned next_block;
};

/* A frame as the kernel saw it; `packet` is valid during the call. stamp_ns is CLOCK_REALTIME. */
typedef void (*ring_handler)(uint64_t stamp_ns, unsigned ifindex, bool outgoing, const uint8_t *packet, size_t size,
                             void *userdata);

/* Opens a ring for what passes `filter`, in the network namespace of the calling thread. 0 or -errno. */
int ring_open(struct ring *ring, struct filter *filter);

/* Hands every frame of the blocks that are complete to `handler`; a block is complete after 100 ms at the latest. */
void ring_drain(struct ring *ring, ring_handler handler, void *userdata);

/* Frames that found the ring full since the last call. */
unsigned ring_dropped(struct ring *ring);
