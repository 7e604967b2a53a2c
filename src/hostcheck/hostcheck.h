/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What stands between this host and SR-IOV: everything at once, not the first obstacle only, each with what to do.
 *
 * It only reads (and asks programs for their versions), so it needs neither the daemon nor root; what only root may
 * read (a card's configuration space beyond its first 64 bytes) makes some findings more exact.
 */

#include "vswitch/error.h"

#include <stdbool.h>
#include <stddef.h>

enum hostcheck_level {
        HOSTCHECK_OK,
        HOSTCHECK_NOTE,    /* good to know */
        HOSTCHECK_WARNING, /* it works, but not well, or not everything */
        HOSTCHECK_PROBLEM, /* no guest can get a VF */
};

struct hostcheck_finding {
        enum hostcheck_level level;
        const char *check;   /* what was looked at: "iommu" */
        const char *subject; /* "host", or the PF: "enp1s0" */
        const char *seen;
        const char *why;    /* why it matters, "" when it is ok */
        const char *remedy; /* what to do, or "" */
};

struct hostcheck_options {
        const char *root;       /* where the host's /sys, /proc, /dev and so on are; "" for this host */
        bool run_programs;      /* ask QEMU and libvirt for their versions */
        const char *const *pfs; /* network devices to look at, NULL-terminated; NULL: all with SR-IOV */
};

/* Strings are valid during the call. */
typedef void (*hostcheck_each)(const struct hostcheck_finding *finding, void *userdata);

/* All checks, those of the host first. Takes some milliseconds, and what the programs take (a few seconds at the most).
 * -ENODEV when a device of `pfs` does not exist, before anything is found. */
int hostcheck_run(const struct hostcheck_options *options, hostcheck_each each, void *userdata,
                  struct vswitch_error *error);

const char *hostcheck_level_to_string(enum hostcheck_level level);
