/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Every operation, and the daemon killed after each write of it.
 *
 * An operation is run again and again: the daemon ends after its first write, after its second, ..., until the operation
 * is through before the next. What is there between two writes is the same whether the daemon ends right after the one
 * or right before the other, so that is every point there is; the one before the first write comes in addition. After each
 * a new daemon must bring it to the same end as one that was never killed, table by table and file by file; and the one
 * after that must find nothing to write.
 */

#include "tests/crash/daemon.h"

/* When the new daemon starts. */
enum matrix_restart {
        MATRIX_AT_ONCE,         /* and sees the rest of what happens to the guest */
        MATRIX_WHEN_IT_IS_OVER, /* libvirt, QEMU and the guest have gone on alone */
};

/* The stage must be there: bridge, uplink, tap, netns_netlink. */
void matrix_begin(const struct crash_card *card);
/* Nothing of the guest is left. */
void matrix_end(void);

void matrix_acquire_and_end(enum matrix_restart restart);
void matrix_release_and_cancelled_migration(enum matrix_restart restart);
void matrix_migrations(enum matrix_restart restart);
void matrix_lease_that_ends(enum matrix_restart restart);

/* The same with no room for the daemon's files. */
void matrix_full_disk_stops_an_acquire(void);
void matrix_full_disk_release(enum matrix_restart restart);
void matrix_full_disk_new_guest(void);
void matrix_full_disk_lost_files(void);
