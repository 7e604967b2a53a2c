/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rtnetlink as this project needs it: requests that wait for the kernel's answer and keep its own words
 * (extack), dumps that start over when the kernel says they were interrupted, and notifications whose loss
 * (ENOBUFS) is reported as what it is: everything may have changed.
 *
 * libnl-3 carries sockets, messages and attributes. Its caches are not used: they drop VF attributes, turn
 * ENOBUFS into "no memory", fail on AF_BRIDGE messages with IFLA_BRIDGE_MODE and know no extack (3.7).
 */

#include "error.h"

#include <netlink/msg.h>
#include <netlink/netlink.h>

struct vswitch_netlink; /* one request socket; not thread-safe */

int vswitch_netlink_open(struct vswitch_netlink **ret, struct vswitch_error *error);
void vswitch_netlink_close(struct vswitch_netlink *netlink);
void vswitch_netlink_closep(struct vswitch_netlink **netlink); /* for __attribute__((cleanup)) */

/* A message of `type` (RTM_...) that begins with the family's header (struct ifinfomsg, ndmsg, tcmsg). NULL
 * without memory. It has room for a page of attributes; nothing
 * that this project sends fills a quarter of it, so the result of nla_put() needs no checking. */
struct nl_msg *vswitch_netlink_message(int type, int flags, const void *family_header, size_t size);

/* Sends `message` (NLM_F_REQUEST|NLM_F_ACK are added) and waits for its acknowledgement. Takes ownership of
 * `message`. 0, or the kernel's -errno with its extack text in `error`. */
int vswitch_netlink_transact(struct vswitch_netlink *netlink, struct nl_msg *message, struct vswitch_error *error);

/* Called for each message of a dump or for the answer of a get. A non-zero return ends the dump with it. */
typedef int (*vswitch_netlink_handler)(const struct nlmsghdr *header, void *userdata);

/* Sends a dump (or, without NLM_F_DUMP in `flags`, a get) and calls `handler` for each answer. A dump that the
 * kernel marks NLM_F_DUMP_INTR is repeated, up to a bound, after `restart` (may be NULL) was called so that the
 * receiver can forget what it collected. Takes ownership of `message`. */
int vswitch_netlink_dump(struct vswitch_netlink *netlink, struct nl_msg *message, int flags,
                         vswitch_netlink_handler handler, void (*restart)(void *userdata), void *userdata,
                         struct vswitch_error *error);

/* Notifications. */
struct vswitch_netlink_monitor;

/* Joins RTNLGRP_LINK, RTNLGRP_NEIGH and RTNLGRP_TC, with a receive buffer of some MiB. Non-blocking. */
int vswitch_netlink_monitor_open(struct vswitch_netlink_monitor **ret, struct vswitch_error *error);
void vswitch_netlink_monitor_close(struct vswitch_netlink_monitor *monitor);
int vswitch_netlink_monitor_fd(const struct vswitch_netlink_monitor *monitor);

/* Reads what is there, up to a bound, and calls `handler` for each message. What is left beyond the bound keeps the
 * descriptor readable. Returns 0, or -ENOBUFS when the kernel dropped notifications: the caller must then read
 * everything again (what was still queued then is older than the loss and has been thrown away). A non-zero return of
 * `handler` ends the reading with it. */
int vswitch_netlink_monitor_read(struct vswitch_netlink_monitor *monitor, vswitch_netlink_handler handler,
                                 void *userdata);
