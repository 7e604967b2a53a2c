/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libvirt's states and reasons around a migration (qemu driver, 9.0 to 11.3):
 *
 *   destination  PAUSED/STARTING_UP     QEMU is being launched
 *                PAUSED/MIGRATION       STARTED/MIGRATED was sent; memory arrives; job MIGRATION_IN
 *                RUNNING/MIGRATED       RESUMED/MIGRATED
 *                RUNNING/POSTCOPY       RESUMED/POSTCOPY; the job goes on until the last page is here
 *                PAUSED/USER            SUSPENDED/PAUSED: arrived, and left paused on request
 *   source       RUNNING/...            job MIGRATION_OUT
 *                PAUSED/MIGRATION       SUSPENDED/MIGRATED; the job goes on until QEMU exits (or the guest is resumed)
 *                PAUSED/POSTCOPY        SUSPENDED/POSTCOPY
 *                PAUSED/POSTCOPY_FAILED the other host has part of the guest: it can run here no more
 *                PAUSED/USER            it was paused before the migration; no event and no state tells that it has
 *                                       gone, only QEMU's MIGRATION "completed"
 *
 * A migration that is not live stops the guest first: it counts as handed over from then on, since it cannot send
 * any frame here until it is resumed here.
 */

#include "guest_state.h"
#include "internal.h"

#include <libvirt/libvirt.h>

static enum guest_state paused(int reason, enum guest_job job, const struct guest_history *history)
{
        bool incoming = job == GUEST_JOB_INCOMING;
        bool outgoing = job == GUEST_JOB_OUTGOING;

        if (!incoming && !outgoing && job == GUEST_JOB_UNKNOWN) {
                incoming = history->arriving;
                outgoing = !incoming && history->departed;
        }
        switch (reason) {
        case VIR_DOMAIN_PAUSED_MIGRATION:
        case VIR_DOMAIN_PAUSED_STARTING_UP:
                if (incoming)
                        return GUEST_INCOMING;
                return outgoing ? GUEST_HANDED_OVER : GUEST_PAUSED;
        case VIR_DOMAIN_PAUSED_POSTCOPY:
        case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
                /* Only sources are paused for post-copy; a destination that failed keeps the reason it had. */
                return incoming || history->arriving ? GUEST_PAUSED : GUEST_HANDED_OVER;
        default:
                return outgoing && history->sent ? GUEST_HANDED_OVER : GUEST_PAUSED;
        }
}

enum guest_state guest_state_derive(int state, int reason, bool has_process, enum guest_job job,
                                    const struct guest_history *history)
{
        if (!has_process)
                return GUEST_OFF;
        switch (state) {
        case VIR_DOMAIN_SHUTOFF:
                return GUEST_OFF;
        case VIR_DOMAIN_RUNNING:
        case VIR_DOMAIN_BLOCKED:
                return GUEST_RUNNING;
        case VIR_DOMAIN_PAUSED:
                return paused(reason, job, history);
        default:
                /* NOSTATE, SHUTDOWN, CRASHED and PMSUSPENDED have a QEMU whose guest does not run now. */
                return GUEST_PAUSED;
        }
}

void guest_history_lifecycle(struct guest_history *history, int event, int detail)
{
        switch (event) {
        case VIR_DOMAIN_EVENT_STARTED:
                *history = (struct guest_history){ .arriving = detail == VIR_DOMAIN_EVENT_STARTED_MIGRATED };
                break;
        case VIR_DOMAIN_EVENT_SUSPENDED:
                if (detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED || detail == VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY ||
                    detail == VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED)
                        history->departed = !history->arriving;
                else if (detail == VIR_DOMAIN_EVENT_SUSPENDED_PAUSED)
                        history->arriving = false; /* arrived, and left paused */
                break;
        case VIR_DOMAIN_EVENT_RESUMED:
        case VIR_DOMAIN_EVENT_STOPPED:
                *history = (struct guest_history){ 0 };
                break;
        }
}

void guest_history_migration(struct guest_history *history, const char *status)
{
        bool completed = strcmp(status, "completed") == 0;

        history->sent = completed && !history->arriving;
        history->ending = completed || strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0;
        /* The job is over. Not so with "completed": then the source is in the middle of the switch-over, and is asked
         * only a while later (reads.c). */
        if (history->ending && !completed)
                history->outgoing = false;
}
