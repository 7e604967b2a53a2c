/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Notifications.
 *
 * Theory of operation: the kernel drops notifications when the socket's queue is full (a default one holds about
 * ninety, fewer than one burst of VFs makes) and says so once, with ENOBUFS, at the next read. What is still in
 * the queue at that moment is older than the loss. Handing it out would let the receiver overwrite what it
 * reads afterwards with older facts; so it is thrown away, and the caller, who must read everything again
 * anyhow, does so knowing that each notification that follows is newer.
 *
 * Whoever makes notifications (a guest that sends from ever new addresses) may make them faster than they are handled, or
 * even thrown away. So both are bounded; what is left then makes the descriptor readable still.
 */

#include "netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define DATAGRAM_SIZE      ((size_t) 256 * 1024)
#define SOCKET_BUFFER_SIZE (8 * 1024 * 1024)

/* One read handles no more than this, some milliseconds' worth. */
#define DATAGRAMS_MAX 1024

/* What may be older than a loss: more than any buffer holds (the kernel doubles SOCKET_BUFFER_SIZE, and the smallest
 * notification takes 768 bytes of it). */
#define STALE_DATAGRAMS_MAX (64 * 1024)

struct vswitch_netlink_monitor {
        struct nl_sock *socket;
        uint8_t *buffer;
};

static int set_up(struct vswitch_netlink_monitor *monitor, struct vswitch_error *error)
{
        int size = SOCKET_BUFFER_SIZE;
        int fd;

        monitor->buffer = malloc(DATAGRAM_SIZE);
        monitor->socket = nl_socket_alloc();
        if (!monitor->buffer || !monitor->socket)
                return -ENOMEM;

        errno = 0;
        if (nl_connect(monitor->socket, NETLINK_ROUTE) < 0 ||
            nl_socket_add_memberships(monitor->socket, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_TC, 0) < 0 ||
            nl_socket_set_nonblocking(monitor->socket) < 0) {
                int r = errno > 0 ? -errno : -EIO;

                return vswitch_error_set(error, r, "cannot subscribe to the kernel's network notifications: %s",
                                         vswitch_error_text(NULL, r));
        }

        /* Beyond net.core.rmem_max needs CAP_NET_ADMIN; what can be had without is better than the default. */
        fd = nl_socket_get_fd(monitor->socket);
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        return 0;
}

int vswitch_netlink_monitor_open(struct vswitch_netlink_monitor **ret, struct vswitch_error *error)
{
        struct vswitch_netlink_monitor *monitor = calloc(1, sizeof(*monitor));
        int r;

        if (!monitor)
                return -ENOMEM;
        r = set_up(monitor, error);
        if (r < 0) {
                vswitch_netlink_monitor_close(monitor);
                return r;
        }
        *ret = monitor;
        return 0;
}

void vswitch_netlink_monitor_close(struct vswitch_netlink_monitor *monitor)
{
        if (!monitor)
                return;
        nl_socket_free(monitor->socket);
        free(monitor->buffer);
        free(monitor);
}

int vswitch_netlink_monitor_fd(const struct vswitch_netlink_monitor *monitor)
{
        return nl_socket_get_fd(monitor->socket);
}

int vswitch_netlink_monitor_read(struct vswitch_netlink_monitor *monitor, vswitch_netlink_handler handler,
                                 void *userdata)
{
        bool lost = false;

        for (size_t count = 0; count < (lost ? STALE_DATAGRAMS_MAX : DATAGRAMS_MAX); count++) {
                const struct nlmsghdr *header = (const struct nlmsghdr *) monitor->buffer;
                struct sockaddr_nl sender = { 0 };
                struct iovec iov = { .iov_base = monitor->buffer, .iov_len = DATAGRAM_SIZE };
                struct msghdr msg = {
                        .msg_name = &sender,
                        .msg_namelen = sizeof(sender),
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                };
                ssize_t length = recvmsg(nl_socket_get_fd(monitor->socket), &msg, MSG_DONTWAIT);
                int remaining = (int) length;

                if (length < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno == EAGAIN)
                                return lost ? -ENOBUFS : 0;
                        if (errno != ENOBUFS)
                                return -errno;
                        lost = true;
                        continue;
                }
                if (msg.msg_flags & MSG_TRUNC)
                        lost = true; /* a notification that cannot be read is a lost one */
                if (lost || sender.nl_pid != 0)
                        continue;

                for (; nlmsg_ok(header, remaining); header = nlmsg_next((struct nlmsghdr *) header, &remaining)) {
                        int r = handler(header, userdata);

                        if (r != 0)
                                return r;
                }
        }
        return lost ? -ENOBUFS : 0;
}
