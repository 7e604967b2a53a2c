/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What `vswitch pf probe` measured of a card, kept in one file for each card + driver + firmware under
 * /var/lib/vswitch/probe: what was true of this firmware need not be true of the next. The driver's version is noted
 * but is no part of the key: for a driver of the kernel it is the kernel's release, and what was measured would be
 * forgotten with every update of the kernel.
 */

#include "failover/failover.h"
#include "vswitch/error.h"
#include "vswitch/pf.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define PROBE_DIRECTORY VSWITCH_STATE_DIR "/probe"

struct probe_result {
        uint64_t usec; /* CLOCK_REALTIME of the measurement */
        enum failover_steering steering;
        bool reflects;            /* the PF gets its own transmissions back for an uplink filter */
        unsigned filter_capacity; /* uplink filters that really delivered; 0: not found out */
        bool capacity_is_bound;   /* ... and it ended there because the probe went no further */
        unsigned vf_count;        /* at that time; on many cards each VF takes a filter's place */
        char driver_version[32];  /* at that time */
};

/* The result for this card, driver and firmware. -ENOENT: none. -EBADMSG with the place when the file cannot be used. */
int probe_result_load(const char *directory, const struct pf *pf, struct probe_result *ret,
                      struct vswitch_error *error);

/* Writes it, with `report` (what the probe printed) for people to read, in place of an older one. Makes the directory,
 * and the one that it is in. */
int probe_result_store(const char *directory, const struct pf *pf, const struct probe_result *result, json_t *report,
                       struct vswitch_error *error);

/* The file's path. */
void probe_result_path(const char *directory, const struct pf *pf, char ret[static PATH_MAX]);

/* The card as it stands in the file: { "vendor": "8086", ..., "driver": "igb", "firmware": "..." }. */
json_t *probe_result_card(const struct pf *pf);
