/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A place where the probe sends and hears its frames: a packet socket on one netdev. */

#include "src/probe/frame.h"
#include "vswitch/error.h"

#include <stdbool.h>
#include <stdint.h>

struct probe_port {
        int fd; /* -1: closed */
        int ifindex;
};

#define PROBE_PORT_CLOSED                                                                                              \
        {                                                                                                              \
                .fd = -1                                                                                               \
        }

/* On `ifindex` of the calling thread's network namespace; it stays there afterwards, wherever the thread goes. It hears
 * only frames of probes, those that the netdev is given without anybody having asked for more. */
int probe_port_open(struct probe_port *port, int ifindex, struct vswitch_error *error);
void probe_port_close(struct probe_port *port);

/* -ENOBUFS when the netdev's queue is full: try again. */
int probe_port_send(struct probe_port *port, const struct probe_frame *frame);
/* 1 with the frame and, in its `vlan`, the tag that it had, or 0 when there is none. */
int probe_port_receive(struct probe_port *port, struct probe_frame *ret);

enum probe_port_mode {
        PROBE_PORT_PROMISCUOUS,
        PROBE_PORT_ALL_MULTICAST,
        PROBE_PORT_GROUP, /* of `group` */
};
/* Makes the netdev take more, until it is switched off or the port is closed. */
int probe_port_set_mode(struct probe_port *port, enum probe_port_mode mode, const struct vswitch_mac *group, bool on);
