/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * NICs compete for VFs host-wide. Before the NICs take their steps, all of them are put before scarcity_decide()
 * together, and each keeps its verdict: facts_collect() turns a grant into "a VF is available" and a yield into an
 * obstacle, so the core needs to know nothing of the others. What a NIC's standing is follows from its own facts, which
 * may change in its step; then everybody is judged again.
 *
 * Moves are counted when they begin. Failed ones are counted too: so many within a while that something must be wrong
 * with the host freeze it: nothing new is begun for a time, what is under way is finished, and it is said loudly.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "vswitch/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE                  (60 * USEC_PER_SEC)
#define LOOK_AT_MEMORY_INTERVAL (10 * USEC_PER_SEC)
#define ADOPTED_WEIGHT          100 /* the highest */

static bool is_moving(const struct manager_nic *nic)
{
        switch (nic->decision.situation) {
        case FAILOVER_SITUATION_PREPARING:
        case FAILOVER_SITUATION_OFFERING:
        case FAILOVER_SITUATION_WITHDRAWING:
        case FAILOVER_SITUATION_WITHDRAWN:
        case FAILOVER_SITUATION_RETURNING:
                return true;
        default:
                return false;
        }
}

static enum scarcity_standing find_standing(const struct manager_nic *nic)
{
        /* A lease is a promise to another host: not to be competed for. */
        if (nic->claim)
                return nic->claim->leased ? SCARCITY_OUT : SCARCITY_HAS;
        return facts_needs_vf(nic) ? SCARCITY_WAITS : SCARCITY_OUT;
}

/* The NICs of all switches whose VFs come from one PF compete with one another; each switch has an instance of its own
 * for it. */
static unsigned find_pool(struct pf **pools, unsigned *count, struct pf *pf)
{
        for (unsigned i = 0; i < *count; i++)
                if (pools[i] == pf || (pools[i] && pf && strcmp(pools[i]->address, pf->address) == 0))
                        return i;
        pools[*count] = pf;
        return (*count)++;
}

static void fill(struct manager_nic *nic, struct scarcity_nic *ret, uint64_t now)
{
        enum scarcity_standing standing = find_standing(nic);

        if (nic->standing != standing) {
                nic->standing = standing;
                nic->standing_since = now;
        }
        *ret = (struct scarcity_nic){
                /* What its owner gave to the guest is not taken for somebody else's. */
                .weight = nic->claim && nic->claim->adopted ? ADOPTED_WEIGHT : nic->port_policy.weight,
                .standing = standing,
                .moving = is_moving(nic),
                .asked = strcmp(nic->request, "acquire") == 0,
                .leaving = standing == SCARCITY_HAS && !nic->decision.wants_vf && nic->verdict != SCARCITY_YIELD,
                .keeps = now < nic->facts.unplug_refused_until,
                .since = nic->standing_since,
                .order = nic->number,
        };
}

static struct manager_nic *find_by_number(struct manager *manager, uint64_t number)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->number == number)
                        return nic;
        return NULL;
}

static bool apply(struct manager *manager, const struct scarcity_nic *judged)
{
        struct manager_nic *nic = find_by_number(manager, judged->order);

        if (!nic || nic->verdict == judged->verdict)
                return false;
        log_debug(nic->label, "verdict %s -> %s", scarcity_verdict_to_string(nic->verdict),
                  scarcity_verdict_to_string(judged->verdict));
        nic->verdict = judged->verdict;
        nic->dirty = true;
        return true;
}

static size_t count_nics(const struct manager *manager)
{
        const struct manager_nic *nic;
        size_t count = 0;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                count++;
        return count;
}

static struct scarcity_host find_host(const struct arbiter *arbiter, uint64_t now)
{
        struct scarcity_host host = { .frozen_until = arbiter->frozen_until };

        for (size_t i = 0; i < CONFIG_MOVES_MAX; i++) {
                uint64_t begun = arbiter->moves[i];

                if (begun == 0 || now >= begun + MINUTE)
                        continue;
                host.moves_in_minute++;
                if (host.minute_ends == 0 || begun + MINUTE < host.minute_ends)
                        host.minute_ends = begun + MINUTE;
        }
        return host;
}

/* Looking for free VFs costs a look at every one: only where somebody waits for them. */
static void count_free(struct manager *manager, const struct scarcity_nic *nics, unsigned *free_vfs, bool *counted)
{
        const struct scarcity_nic *judged = nics;
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                if (judged->standing == SCARCITY_WAITS && !counted[judged->pool]) {
                        counted[judged->pool] = true;
                        free_vfs[judged->pool] = vfs_count_free(nic->nic_switch);
                }
                judged++;
        }
}

bool arbiter_decide(struct manager *manager)
{
        struct arbiter *arbiter = &manager->arbiter;
        uint64_t now = manager_now(manager);
        size_t count = count_nics(manager);
        _cleanup_(vswitch_freep) struct scarcity_nic *nics = calloc(count + 1, sizeof(*nics));
        _cleanup_(vswitch_freep) struct pf **pools = calloc(count + 1, sizeof(struct pf *));
        _cleanup_(vswitch_freep) unsigned *free_vfs = calloc(count + 1, sizeof(*free_vfs));
        _cleanup_(vswitch_freep) bool *counted = calloc(count + 1, sizeof(*counted));
        struct scarcity_host host = find_host(arbiter, now);
        struct scarcity_nic *judged = nics;
        unsigned pools_count = 0;
        struct manager_nic *nic;
        bool changed = false;

        arbiter->deadline = FAILOVER_NEVER;
        if (!nics || !pools || !free_vfs || !counted)
                return false;
        TAILQ_FOREACH (nic, &manager->nics, entry) {
                fill(nic, judged, now);
                judged->pool = find_pool(pools, &pools_count, nic->nic_switch->pf);
                judged++;
        }
        count_free(manager, nics, free_vfs, counted);
        arbiter->deadline = scarcity_decide(nics, count, free_vfs, pools_count, &arbiter->policy, &host, now);
        for (size_t i = 0; i < count; i++)
                changed |= apply(manager, &nics[i]);
        return changed;
}

enum failover_reason arbiter_reason(struct manager_nic *nic)
{
        struct pf_vf_attributes before;
        enum failover_reason reason;
        struct pf_vf vf;

        switch (nic->verdict) {
        case SCARCITY_STAY: /* it has not been judged since it began to wait, but will be in a moment */
        case SCARCITY_TURN:
                return FAILOVER_REASON_TURN;
        case SCARCITY_FROZEN:
                return FAILOVER_REASON_FROZEN;
        case SCARCITY_GRANT:
                /* A guest that is too big lets others pass: as long as it is, it does not compete. */
                if (memory_suffices(nic)) {
                        nic->memory_short_until = 0;
                } else {
                        nic->memory_short_until = manager_now(nic->manager) + LOOK_AT_MEMORY_INTERVAL;
                        manager_nic_dirty(nic);
                        return FAILOVER_REASON_MEMORY_OVERCOMMITTED;
                }
                return vfs_find_free(nic->nic_switch, nic->domain->uuid, &vf, &before);
        default:
                reason = vfs_why_none(nic->nic_switch, nic->domain->uuid);
                return reason == FAILOVER_REASON_NONE ? FAILOVER_REASON_NO_FREE_VF : reason;
        }
}

void arbiter_new(struct manager *manager)
{
        const struct config_scarcity *config = &manager->options.config->scarcity;

        manager->arbiter.deadline = FAILOVER_NEVER;
        manager->arbiter.policy = (struct scarcity_policy){
                .preempt = config->preempt,
                .margin = config->margin,
                .stay = config->stay_usec,
                .at_once = config->moves_at_once,
                .per_minute = config->moves_per_minute,
        };
}

void arbiter_move_began(struct manager *manager)
{
        struct arbiter *arbiter = &manager->arbiter;

        arbiter->moves[arbiter->moves_next] = manager_now(manager);
        arbiter->moves_next = (arbiter->moves_next + 1) % CONFIG_MOVES_MAX;
}

/* A guest that does not do its part says nothing about the host. */
static bool is_hosts_fault(enum failover_reason reason)
{
        switch (reason) {
        case FAILOVER_REASON_CLAIM_FAILED:
        case FAILOVER_REASON_PREPARE_FAILED:
        case FAILOVER_REASON_TABLES_FAILED:
        case FAILOVER_REASON_ATTACH_FAILED:
        case FAILOVER_REASON_RESTORE_FAILED:
                return true;
        default:
                return false;
        }
}

void arbiter_move_failed(struct manager *manager, enum failover_reason reason)
{
        const struct config_scarcity *config = &manager->options.config->scarcity;
        struct arbiter *arbiter = &manager->arbiter;
        uint64_t now = manager_now(manager);
        unsigned recent = 0;

        if (config->failures == 0 || now < arbiter->frozen_until || !is_hosts_fault(reason))
                return;
        arbiter->failures[arbiter->failures_next] = now;
        arbiter->failures_next = (arbiter->failures_next + 1) % config->failures;
        for (unsigned i = 0; i < config->failures; i++)
                recent += arbiter->failures[i] != 0 && now < arbiter->failures[i] + config->failures_usec;
        if (recent < config->failures)
                return;
        arbiter->frozen_until = now + config->freeze_usec;
        log_error(
                NULL,
                "%u moves have failed within %llu s, so no new one is begun for %llu s. Why they failed is told above; "
                "'vswitch nic acquire' tries one all the same",
                recent, (unsigned long long) (config->failures_usec / USEC_PER_SEC),
                (unsigned long long) (config->freeze_usec / USEC_PER_SEC));
        if (manager->control)
                control_event(manager->control, "warning", "host", "too many moves have failed: moves are frozen");
        memset(arbiter->failures, 0, sizeof(arbiter->failures));
}
