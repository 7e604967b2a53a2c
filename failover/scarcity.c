/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * The NICs are put in order of merit, those that wait before those that have. From the best waiting one on, each takes
 * a free VF of its PF, and when there is none left, the VF of the least deserving holder that it outweighs. Holders
 * that were chosen are marked to yield; the waiting one gets its grant when the VF has really become free.
 *
 * Every grant and every yield that is not under way yet begins a move, and moves are bounded; so they are given out in
 * the same order of merit, and the bound cannot let a lesser one pass a better one.
 */

#include "failover/scarcity.h"

#include <stdlib.h>

struct budget {
        unsigned left;
        uint64_t again; /* when there is more; FAILOVER_NEVER: when a move has ended */
};

/* Best first. */
static int compare(const void *a, const void *b)
{
        const struct scarcity_nic *left = a, *right = b;

        if (left->standing != right->standing)
                return left->standing == SCARCITY_WAITS ? -1 : right->standing == SCARCITY_WAITS ? 1 : 0;
        if (left->weight != right->weight)
                return left->weight > right->weight ? -1 : 1;
        if (left->since != right->since)
                return left->since < right->since ? -1 : 1;
        return (left->order > right->order) - (left->order < right->order);
}

static struct budget find_budget(const struct scarcity_nic *nics, size_t count, const struct scarcity_policy *policy,
                                 const struct scarcity_host *host)
{
        struct budget budget = { .left = UINT32_MAX, .again = FAILOVER_NEVER };
        unsigned moving = 0;

        for (size_t i = 0; i < count; i++)
                moving += nics[i].moving;
        if (policy->at_once)
                budget.left = moving < policy->at_once ? policy->at_once - moving : 0;
        if (policy->per_minute) {
                unsigned left =
                        host->moves_in_minute < policy->per_minute ? policy->per_minute - host->moves_in_minute : 0;

                if (left < budget.left) {
                        budget.left = left;
                        budget.again = host->minute_ends;
                }
        }
        return budget;
}

/* The least deserving holder that `nic` may push out and that nobody has pushed out yet. *ret_later: when one that has
 * not had its VF long enough may be. */
static struct scarcity_nic *find_victim(struct scarcity_nic *nics, size_t count, const struct scarcity_nic *nic,
                                        const struct scarcity_policy *policy, uint64_t now, uint64_t *ret_later)
{
        unsigned margin = policy->margin ? policy->margin : 1;

        for (size_t i = count; i > 0; i--) {
                struct scarcity_nic *other = &nics[i - 1];

                if (other->standing != SCARCITY_HAS || other->pool != nic->pool || other->leaving || other->keeps ||
                    other->verdict == SCARCITY_YIELD || nic->weight < other->weight + margin)
                        continue;
                if (now >= other->since + policy->stay)
                        return other;
                if (other->since + policy->stay < *ret_later)
                        *ret_later = other->since + policy->stay;
        }
        return NULL;
}

/* VFs of this pool that become free without anybody's being pushed out. */
static unsigned count_leaving(const struct scarcity_nic *nics, size_t count, unsigned pool)
{
        unsigned leaving = 0;

        for (size_t i = 0; i < count; i++)
                leaving += nics[i].standing == SCARCITY_HAS && nics[i].leaving && nics[i].pool == pool;
        return leaving;
}

/* Takes one move out of the budget, unless this one is under way already or was asked for. */
static bool may_move(struct budget *budget, bool free_of_charge)
{
        if (free_of_charge)
                return true;
        if (budget->left == 0)
                return false;
        budget->left--;
        return true;
}

uint64_t scarcity_decide(struct scarcity_nic *nics, size_t count, const unsigned *free_vfs, size_t pools_count,
                         const struct scarcity_policy *policy, const struct scarcity_host *host, uint64_t now)
{
        struct budget budget = find_budget(nics, count, policy, host);
        bool frozen = now < host->frozen_until;
        uint64_t again = frozen ? host->frozen_until : FAILOVER_NEVER;

        if (count > 0)
                qsort(nics, count, sizeof(*nics), compare);
        for (size_t i = 0; i < count; i++)
                nics[i].verdict = SCARCITY_STAY;
        for (size_t i = 0; i < count && nics[i].standing == SCARCITY_WAITS; i++) {
                struct scarcity_nic *nic = &nics[i], *victim;
                unsigned ahead = 0, available;

                if (frozen && !nic->asked) {
                        nic->verdict = SCARCITY_FROZEN;
                        continue;
                }
                nic->verdict = SCARCITY_WAIT;
                /* Free ones go to those before it, whether or not it is their turn yet. */
                for (size_t j = 0; j < i; j++)
                        ahead += nics[j].pool == nic->pool && nics[j].verdict != SCARCITY_FROZEN;
                available = nic->pool < pools_count ? free_vfs[nic->pool] : 0;
                if (ahead < available) {
                        nic->verdict = may_move(&budget, nic->moving || nic->asked) ? SCARCITY_GRANT : SCARCITY_TURN;
                        if (nic->verdict == SCARCITY_TURN && budget.again < again)
                                again = budget.again;
                        continue;
                }
                if (ahead < available + count_leaving(nics, count, nic->pool))
                        continue;
                victim = policy->preempt ? find_victim(nics, count, nic, policy, now, &again) : NULL;
                if (!victim)
                        continue;
                if (may_move(&budget, victim->moving || nic->asked))
                        victim->verdict = SCARCITY_YIELD;
                else if (budget.again < again)
                        again = budget.again;
        }
        return again;
}

const char *scarcity_verdict_to_string(enum scarcity_verdict verdict)
{
        static const char *const names[] = {
                [SCARCITY_STAY] = "stay", [SCARCITY_GRANT] = "grant",   [SCARCITY_WAIT] = "wait",
                [SCARCITY_TURN] = "turn", [SCARCITY_FROZEN] = "frozen", [SCARCITY_YIELD] = "yield",
        };

        return (unsigned) verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "invalid";
}
