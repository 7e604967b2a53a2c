/* SPDX-License-Identifier: Apache-2.0 */
#include "src/probe/namespace.h"

#include "src/control/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static int open_current(struct vswitch_error *error)
{
        int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
                int r = -errno;

                return vswitch_error_set(error, r, "cannot open the network namespace: %s",
                                         vswitch_error_text(NULL, r));
        }
        return fd;
}

static void switch_off_ipv6(void)
{
        static const char *const files[] = { "/proc/sys/net/ipv6/conf/all/disable_ipv6",
                                             "/proc/sys/net/ipv6/conf/default/disable_ipv6" };

        /* A kernel without IPv6 has none of these, and needs none. */
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                _cleanup_close_ int file = open(files[i], O_WRONLY | O_CLOEXEC);

                if (file >= 0)
                        (void) !write(file, "1", 1);
        }
}

int probe_namespace_new(struct probe_namespace *ret, struct vswitch_error *error)
{
        struct probe_namespace host = { .fd = open_current(error) };
        int r = 0;

        if (host.fd < 0)
                return host.fd;
        if (unshare(CLONE_NEWNET) < 0) {
                r = -errno;
                probe_namespace_free(&host);
                return vswitch_error_set(error, r, "cannot make a network namespace: %s", vswitch_error_text(NULL, r));
        }
        switch_off_ipv6();
        r = open_current(error);
        if (r >= 0)
                ret->fd = r;
        probe_namespace_leave(&host);
        return r < 0 ? r : 0;
}

void probe_namespace_free(struct probe_namespace *namespace)
{
        if (namespace->fd >= 0)
                close(namespace->fd);
        namespace->fd = -1;
}

int probe_namespace_enter(const struct probe_namespace *namespace, struct probe_namespace *ret_previous,
                          struct vswitch_error *error)
{
        struct probe_namespace previous = { .fd = open_current(error) };

        if (previous.fd < 0)
                return previous.fd;
        if (setns(namespace->fd, CLONE_NEWNET) < 0) {
                int r = -errno;

                probe_namespace_free(&previous);
                return vswitch_error_set(error, r, "cannot enter a network namespace: %s", vswitch_error_text(NULL, r));
        }
        *ret_previous = previous;
        return 0;
}

void probe_namespace_leave(struct probe_namespace *previous)
{
        /* Whoever was there may go back there. Elsewhere everything that follows would hit the wrong devices. */
        if (setns(previous->fd, CLONE_NEWNET) < 0)
                abort();
        probe_namespace_free(previous);
}
