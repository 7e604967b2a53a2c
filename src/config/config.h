/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The configuration file (libconfuse). Example:
 *
 *     libvirt-uri = "qemu:///system"
 *     group = "vswitch"
 *     switch "br0" {
 *         bridge = "br0"            # default: the section's title
 *         uplinks = { "enp1s0" }    # default: the ports of the bridge that stand on hardware
 *         create = no               # make the bridge and enslave the first uplink when missing
 *         iov = yes                 # give VFs to guests
 *         reserve-vfs = 0           # that many free VFs are left alone
 *         policy { weight = 50  spoof-check = auto }   # of NICs whose guests say nothing else
 *     }
 *     scarcity { preempt = yes  stay = 60 }
 *     timeouts { guest-driver = 60  unplug = 60  lease = 300  back-off = 60 }   # seconds
 *
 * docs/vswitch.conf.md is the reference.
 */

#include "vswitch/error.h"
#include "vswitch/port_policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_switch {
        char *name;
        char *bridge;
        char **uplinks;
        size_t uplinks_count;
        bool create;
        bool iov;
        unsigned reserve_vfs;
        struct port_policy policy; /* of its NICs, where their guests' XML says nothing else */
};

#define CONFIG_MOVES_MAX    256
#define CONFIG_FAILURES_MAX 64

/* More NICs than VFs, and moves that fail. */
struct config_scarcity {
        bool preempt;              /* a higher weight may take a lower one's VF */
        unsigned margin;           /* ... when it is higher by at least this */
        uint64_t stay_usec;        /* ... and the other has had it this long */
        unsigned moves_at_once;    /* 0: no bound */
        unsigned moves_per_minute; /* 0: no bound */
        unsigned failures;         /* so many failed moves within failures_usec freeze the host's moves; 0: never */
        uint64_t failures_usec;
        uint64_t freeze_usec;
        unsigned memory_reserve; /* per cent of the host's memory that stay free when a guest's is pinned */
};

struct config {
        char *libvirt_uri; /* NULL: default */
        char *group;       /* NULL: "vswitch" */
        struct config_switch *switches;
        size_t switches_count;
        uint64_t guest_driver_timeout_usec; /* attach -> the guest drives the VF */
        uint64_t unplug_timeout_usec;       /* asked -> gone; then asked again, then undone */
        uint64_t lease_timeout_usec;
        uint64_t back_off_usec; /* after a failed move; doubled with each further one, up to 16 times */
        struct config_scarcity scarcity;
};

/* Reads and checks a file. -ENOENT, -EACCES; -EINVAL with "FILE:LINE: what is wrong, what to write instead". */
int config_load(const char *path, struct config **ret, struct vswitch_error *error);
void config_free(struct config *config);
void config_freep(struct config **config);
