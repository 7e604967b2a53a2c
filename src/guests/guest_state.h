/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a domain is doing, from libvirt's words for it. A pure function, since libvirt says PAUSED with the reason
 * MIGRATION on both sides of a migration: on the destination while the guest has not arrived, on the source after it
 * has left. What decides is the job, and where libvirt does not tell the job, what has been seen to happen.
 */

#include "guests.h"

enum guest_job {
        GUEST_JOB_UNKNOWN, /* libvirt does not say (not supported, timeout) */
        GUEST_JOB_NONE,
        GUEST_JOB_INCOMING, /* VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN */
        GUEST_JOB_OUTGOING, /* VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT */
        GUEST_JOB_OTHER,    /* save, snapshot, backup, ... */
};

/* What the events of one domain have told so far; all false for a domain that is new to us. */
struct guest_history {
        bool arriving; /* started by an incoming migration and not resumed yet */
        bool departed; /* stopped by an outgoing migration (SUSPENDED/MIGRATED or /POSTCOPY) */
        bool sent;     /* QEMU's migration status is "completed", and the guest did not come from elsewhere */
        bool ending;   /* ... is one of the last ones: the job ends soon, and no event tells when */
        bool outgoing; /* the job was seen to be an outgoing migration, and nothing has ended it since */
};

/* `state` and `reason` as virDomainGetState gives them; `has_process` when the domain has an id. */
enum guest_state guest_state_derive(int state, int reason, bool has_process, enum guest_job job,
                                    const struct guest_history *history);

/* A lifecycle event, and a status of QEMU's MIGRATION event, as they change what is known. */
void guest_history_lifecycle(struct guest_history *history, int event, int detail);
void guest_history_migration(struct guest_history *history, const char *status);
