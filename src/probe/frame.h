/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The frames of a probe. They have EtherType 0x88B5 (for experiments on a local network; no host takes them for
 * anything), or are IPv6 neighbour solicitations for an address that nobody has. All of them come from, and nearly all
 * go to, MACs with a prefix of ours, so that a capture needs no more than that to tell them from a host's traffic, and
 * a later run to find what a killed one left.
 */

#include "vswitch/mac.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_ETHERTYPE  0x88b5
#define PROBE_MAC_PREFIX 0x0a767370u /* the first four bytes; locally administered */
#define PROBE_FRAME_MAX  128

/* Number `number` of a run's MACs. Each run begins somewhere else (`run`), so that what a switch still remembers of the
 * last one does no harm. */
struct vswitch_mac probe_mac(uint32_t run, unsigned number);
/* A group of ours, and the one of IPv6 for neighbour solicitations for probe_mac(run, number)'s address. */
struct vswitch_mac probe_multicast_mac(uint32_t run, unsigned number);
struct vswitch_mac probe_neighbour_mac(uint32_t run, unsigned number);
bool probe_mac_is_ours(const struct vswitch_mac *mac);

struct probe_frame {
        struct vswitch_mac destination, source;
        uint16_t vlan; /* built into the frame; what was received has its tag beside it */
        bool is_neighbour_solicitation;
        uint32_t run, flight, sequence;
};

/* The size. */
size_t probe_frame_build(const struct probe_frame *frame, uint8_t buffer[static PROBE_FRAME_MAX]);
/* An untagged frame of ours. -EBADMSG when it is something else. */
int probe_frame_parse(const uint8_t *data, size_t size, struct probe_frame *ret);
