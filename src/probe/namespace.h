/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Network namespaces without a name: they live as long as a descriptor, a socket or a process holds them, and so vanish
 * with this process, however it ends. The kernel moves hardware that is in one back to the host's. */

#include "vswitch/error.h"

struct probe_namespace {
        int fd; /* -1: none */
};

/* Makes one; the calling thread stays where it is. IPv6 is off in it, so that nothing speaks there but the probe. */
int probe_namespace_new(struct probe_namespace *ret, struct vswitch_error *error);
void probe_namespace_free(struct probe_namespace *namespace);

/* Goes there; *ret_previous is where the thread was. */
int probe_namespace_enter(const struct probe_namespace *namespace, struct probe_namespace *ret_previous,
                          struct vswitch_error *error);
/* Goes back, and forgets `previous`. */
void probe_namespace_leave(struct probe_namespace *previous);
