/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What `vswitch pf probe` measured of a card, kept in one file for each card + driver + firmware under
 * /var/lib/vswitch/probe: what was true of this firmware need not be true of the next.
 */

#include "failover/failover.h"
#include "vswitch/error.h"
#include "vswitch/pf.h"

#include <stdbool.h>
#include <stdint.h>

#define PROBE_DIRECTORY "/var/lib/vswitch/probe"

struct probe_result {
        uint64_t usec; /* CLOCK_REALTIME of the measurement */
        enum failover_steering steering;
        bool reflects;            /* the PF gets its own transmissions back for an uplink filter */
        unsigned filter_capacity; /* uplink filters that really delivered; 0: not found out */
        bool capacity_is_bound;   /* ... and it ended there because the probe went no further */
};

/* The result for this card, driver and firmware. -ENOENT: none. -EBADMSG with the place when the file cannot be used. */
int probe_result_load(const char *directory, const struct pf *pf, struct probe_result *ret,
                      struct vswitch_error *error);
