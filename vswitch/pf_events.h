/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * PCI devices that come and go, and change their driver: the kernel's own uevents, which need no udevd. A VF without a
 * host driver has no netdev, so no link notification tells of it.
 */

#include "error.h"
#include "pf.h"

#include <stddef.h>

enum pf_event_kind {
        PF_EVENT_ADDED,
        PF_EVENT_REMOVED,
        PF_EVENT_BOUND, /* Linux 4.14 */
        PF_EVENT_UNBOUND,
};

struct pf_event {
        enum pf_event_kind kind;
        char address[PF_ADDRESS_SIZE];
};

/* A non-blocking socket of the kernel's uevents; the caller closes it. In a network namespace whose user namespace is
 * not the initial one it stays silent. */
int pf_events_open(int *ret_fd, struct vswitch_error *error);

/* Reads one datagram. 1 with *ret filled; 0 when it was about something else; -EAGAIN when there is none; -ENOBUFS when
 * the kernel dropped some: anything may have changed. */
int pf_events_read(int fd, struct pf_event *ret);

/* One message as the kernel sends it: lines that end with NUL. As pf_events_read: 1 or 0. */
int pf_events_parse(const char *message, size_t size, struct pf_event *ret);
