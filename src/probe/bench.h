/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The bench on which a card is measured: a PF where it is, with all that stands on it, and two VFs, each with its host
 * driver in a network namespace of its own. One VF is the subject, whose MAC the experiments send to; the other one
 * sends. On the bench's way in the VFs are noted and on its way out they are put back, whatever came between.
 */

#include "src/probe/namespace.h"
#include "src/probe/notes.h"
#include "src/probe/port.h"
#include "src/probe/verdict.h"
#include "src/probe/vf_source.h"
#include "vswitch/netlink.h"
#include "vswitch/pf.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Where frames are sent and heard. The first two are VFs and index bench.vfs. */
enum probe_place {
        PROBE_AT_VF, /* the subject */
        PROBE_AT_SENDER,
        PROBE_AT_PF,
        PROBE_AT_WIRE, /* another netdev of this host on the same wire, where there is one */
        PROBE_PLACE_COUNT,
};

/* The run's MACs, numbers for probe_mac(). */
enum probe_mac_number {
        PROBE_MAC_SUBJECT,
        PROBE_MAC_SENDER,
        PROBE_MAC_NEIGHBOUR, /* behind the PF; sends from there */
        PROBE_MAC_LISTED,    /* behind the PF */
        PROBE_MAC_SECOND,    /* of the subject */
        PROBE_MAC_FORGED,
        PROBE_MAC_WIRE,
        PROBE_MAC_STRANGER, /* nobody's */
        PROBE_MAC_FILTERS,  /* the first of many */
};

struct probe_bench_vf {
        struct probe_namespace namespace;
        struct vswitch_netlink *netlink; /* in there */
        int ifindex;                     /* in there; 0 while it has no driver */
};

/* How a VF is to be. */
struct probe_vf_setup {
        enum probe_mac_number mac;
        uint16_t vlan; /* 0: none */
        bool set_spoof_check, spoof_check;
};

struct probe_bench {
        struct pf *pf;
        struct vswitch_netlink *netlink;
        struct vf_source *source;
        const volatile sig_atomic_t *interrupted;
        uint64_t deadline; /* CLOCK_MONOTONIC, microseconds: nothing more is tried after it */

        char vf_driver[PF_DRIVER_NAME_SIZE];
        struct probe_notes notes;
        bool pf_is_promiscuous; /* from before: a bridge wants it */
        uint16_t vlan;          /* that nobody uses here */

        struct probe_bench_vf vfs[PROBE_VFS_MAX];
        struct probe_port ports[PROBE_PLACE_COUNT];
        uint32_t run, flights;
        uint64_t quiet_usec; /* what has not come after this long will not come */
        uint64_t latency_usec;

        struct probe_answer answers[PROBE_FINDING_COUNT];
        struct probe_capacity capacity;
        unsigned filters_before; /* uplink filters that were there */
        bool capacity_measured;
};

struct probe_bench_options {
        const char *runtime_directory;
        const char *wire; /* a netdev, or NULL */
};

/* Puts back what a probe that was killed has left, takes two VFs and notes them. They have no driver yet. `bench` has
 * pf, netlink, source, interrupted and deadline, and is zero elsewhere. */
int probe_bench_open(struct probe_bench *bench, const struct probe_bench_options *options, struct vswitch_error *error);
/* Puts everything back; to be called once, also after a failure of probe_bench_open(). */
int probe_bench_close(struct probe_bench *bench, struct vswitch_error *error);

/* (slow) The VF gets these settings and its driver, comes up in its namespace, and can send. Restarts one that runs. */
int probe_bench_start_vf(struct probe_bench *bench, enum probe_place which, const struct probe_vf_setup *setup,
                         struct vswitch_error *error);
/* (slow) Takes its driver away. */
int probe_bench_stop_vf(struct probe_bench *bench, enum probe_place which, struct vswitch_error *error);
/* Changes the settings of a VF that runs. */
int probe_bench_set_vf(struct probe_bench *bench, enum probe_place which, const struct probe_vf_setup *setup,
                       struct vswitch_error *error);

/* Waits. -EINTR when the probe is to end, -ETIMEDOUT after the deadline, or why the VFs are not ours any more. */
int probe_bench_pause(struct probe_bench *bench, uint64_t usec, struct vswitch_error *error);
/* Is this an error after which nothing more can be tried? */
bool probe_bench_is_over(int result);

uint64_t probe_bench_now(void); /* CLOCK_MONOTONIC, microseconds */
