/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a probe of a PF has to put back, noted on disk before it touches anything, under the daemon's runtime directory:
 * a run that was killed is cleaned up by the next one. The file is locked as long as the probe runs, so there is one
 * at a time for each PF.
 */

#include "vswitch/error.h"
#include "vswitch/pf.h"

#include <stddef.h>

#define PROBE_VFS_MAX 2

/* A VF as it was before the probe. */
struct probe_noted_vf {
        unsigned index;
        char address[PF_ADDRESS_SIZE];
        char driver[PF_DRIVER_NAME_SIZE]; /* "": none */
        struct pf_vf_attributes attributes;
        char netdev[IF_NAMESIZE]; /* of its host driver, or "" */
        struct vswitch_mac netdev_mac;
};

struct probe_notes {
        int fd; /* locked */
        char path[128];
        struct probe_noted_vf vfs[PROBE_VFS_MAX];
        size_t vfs_count;
};

#define PROBE_NOTES_CLOSED                                                                                             \
        {                                                                                                              \
                .fd = -1                                                                                               \
        }

/* Locks, and reads what an earlier run has left (vfs_count is 0 when it has left nothing). -EBUSY while another probe of
 * this PF runs. */
int probe_notes_open(const char *directory, const char *pf, struct probe_notes *notes, struct vswitch_error *error);
int probe_notes_write(struct probe_notes *notes, struct vswitch_error *error);
/* Closes; with `done` (everything is as it was) the file goes. */
void probe_notes_close(struct probe_notes *notes, bool done);
