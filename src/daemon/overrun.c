/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * When the kernel has dropped notifications everything is read again. Reading takes time, more with every entry that the
 * bridges have, and a guest that floods the host with new addresses makes the kernel drop notifications again while it
 * goes on. So the first loss after a quiet time is answered at once; those that follow wait for a pause, which doubles
 * from PAUSE_FIRST to PAUSE_MAX and is so long that reading takes no more than 1/SHARE of the time where that is
 * possible: of the bridges and cards, and of each NIC's entries, which is most of it. All losses of one pause are answered by one reading: what the daemon knows is never older than PAUSE_MAX and
 * the time to read it.
 *
 * Carriers cannot wait: while a loss is unanswered those of the PFs are looked at as after any link notification.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#define PAUSE_FIRST (100 * USEC_PER_MSEC)
#define PAUSE_MAX   USEC_PER_SEC
#define SHARE       10

/* After so long without a loss the next one is a first one. */
#define QUIET (10 * USEC_PER_SEC)

void overrun_seen(struct manager *manager)
{
        struct manager_overrun *overrun = &manager->overrun;

        overrun->lost = true;
        carrier_on_notification(manager);
        manager_schedule(manager);
}

static uint64_t choose_pause(const struct manager_overrun *overrun, uint64_t begin, uint64_t end)
{
        bool is_first = overrun->read_at == 0 || begin >= overrun->read_at + QUIET;
        uint64_t pause = is_first ? PAUSE_FIRST : 2 * overrun->pause;

        if (pause < SHARE * (end - begin))
                pause = SHARE * (end - begin);
        return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

void overrun_reconcile(struct manager *manager)
{
        struct manager_overrun *overrun = &manager->overrun;
        uint64_t begin = manager_now(manager);

        if (!overrun->lost || begin < overrun_deadline(manager))
                return;
        overrun->lost = false;
        manager->resyncs++;
        if (overrun->read_at == 0 || begin >= overrun->read_at + QUIET)
                log_notice(NULL, "the kernel dropped notifications; reading everything again");
        else
                log_debug(NULL, "the kernel goes on dropping notifications; reading everything again");
        overrun->reading_since = begin;
        switches_refresh(manager);
}

void overrun_reconciled(struct manager *manager)
{
        struct manager_overrun *overrun = &manager->overrun;
        uint64_t end = manager_now(manager);

        if (overrun->reading_since == 0)
                return;
        overrun->pause = choose_pause(overrun, overrun->reading_since, end);
        overrun->read_at = end;
        overrun->reading_since = 0;
}

uint64_t overrun_deadline(const struct manager *manager)
{
        const struct manager_overrun *overrun = &manager->overrun;

        if (!overrun->lost)
                return FAILOVER_NEVER;
        return overrun->read_at == 0 ? 0 : overrun->read_at + overrun->pause;
}
