/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a probe gets its VFs: from the daemon, which takes them out of its pool for as long as we are connected, or from
 * the operator, who names them; then no daemon is needed. */

#include "vswitch/error.h"
#include "vswitch/netlink.h"
#include "vswitch/pf.h"

#include <stdint.h>

struct vf_source {
        /* The addresses of `count` free VFs of the PF. -EBUSY when there are not so many, with a sentence that says what
         * to do. */
        int (*take)(struct vf_source *source, struct pf *pf, unsigned count, char (*ret_addresses)[PF_ADDRESS_SIZE],
                    struct vswitch_error *error);
        /* To be called every now and then. An error: the VFs are not ours any more. */
        int (*keep)(struct vf_source *source, struct vswitch_error *error);
        /* Says that a result was written. -ECONNREFUSED: there is nobody to say it to. */
        int (*reload)(struct vf_source *source, const struct pf *pf, struct vswitch_error *error);
        void (*free)(struct vf_source *source);
};

int vf_source_daemon_new(const char *socket_path, uint64_t answer_usec, struct vf_source **ret,
                         struct vswitch_error *error);
/* `addresses`: "0000:01:10.0,0000:01:10.2". */
int vf_source_named_new(struct vswitch_netlink *netlink, const char *addresses, const char *socket_path,
                        uint64_t answer_usec, struct vf_source **ret, struct vswitch_error *error);

static inline void vf_source_freep(struct vf_source **source)
{
        if (*source)
                (*source)->free(*source);
}
