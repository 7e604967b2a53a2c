/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Turns captured frames into records, and gives each interface it meets a place number. */

#include "frames.h"

#include <net/if.h>
#include <stdio.h>

#define RECORDER_MAX_PLACES 64

struct recorder {
        FILE *file;
        uint32_t run;
        int64_t clock_offset_ns; /* added to the stamps of captured frames */
        unsigned place_ifindexes[RECORDER_MAX_PLACES];
        unsigned places_count;
};

/* Creates the file and writes its header. 0 or -errno. */
int recorder_open(struct recorder *recorder, const char *path, uint32_t run);

void recorder_write(struct recorder *recorder, const struct record *record);

/* A ring_handler; `userdata` is the recorder. */
void recorder_capture(uint64_t stamp_ns, unsigned ifindex, bool outgoing, const uint8_t *packet, size_t size,
                      void *userdata);

/* Names an interface beforehand, for when the frames are captured in another namespace than the caller's. */
void recorder_name_place(struct recorder *recorder, unsigned ifindex, const char *name);

/* 0 or -errno: everything reached the file. */
int recorder_close(struct recorder *recorder);
