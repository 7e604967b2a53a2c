/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * A decision's actions are carried out in order. One that fails is not tried again before a pause that doubles each
 * time; everything else goes on being decided meanwhile. What follows the failed action in the same decision usually
 * relies on it and is left out, except what brings a guest its frames (the pin to its tap), takes it out of tables
 * (entries of a guest that runs elsewhere blackhole it there) or asks it to let go of the VF.
 */

#include "failover/progress.h"

#define RETRY_FIRST         (1000000ull / 2)
#define RETRY_MAX           (30 * 1000000ull)
#define RETRY_DOUBLINGS_MAX 6

#define VECTORS_OF_A_DRIVEN_VF 2

static bool goes_on_after_a_failure(enum failover_action action)
{
        return action == FAILOVER_PIN_TO_TAP || action == FAILOVER_UNPIN || action == FAILOVER_REMOVE_UPLINK_FILTER ||
               action == FAILOVER_REMOVE_VF_FILTER || action == FAILOVER_DETACH_VF;
}

static void remember_failure(struct failover_progress *progress, enum failover_action action, uint64_t now)
{
        unsigned doublings = progress->retries < RETRY_DOUBLINGS_MAX ? progress->retries : RETRY_DOUBLINGS_MAX;
        uint64_t pause = RETRY_FIRST << doublings;

        progress->retries++;
        progress->failed_action = action;
        progress->retry_at = now + (pause < RETRY_MAX ? pause : RETRY_MAX);
}

bool failover_progress_run(struct failover_progress *progress, const struct failover_decision *decision, uint64_t now,
                           failover_execute execute, failover_failed failed, void *userdata)
{
        bool any_failed = false;

        for (size_t i = 0; i < decision->actions_count; i++) {
                enum failover_action action = decision->actions[i];
                int r;

                if (any_failed && !goes_on_after_a_failure(action))
                        continue;
                if (progress->retry_at > now && action == progress->failed_action) {
                        any_failed = true;
                        continue;
                }
                r = execute(userdata, action);
                if (r < 0) {
                        any_failed = true;
                        remember_failure(progress, action, now);
                        failed(userdata, action, r);
                }
        }
        if (any_failed)
                return false;
        progress->retry_at = 0;
        if (decision->actions_count > 0)
                progress->retries = 0;
        return true;
}

bool failover_progress_ends_move(const struct failover_decision *decision, enum failover_action action)
{
        bool moving = decision->situation == FAILOVER_SITUATION_PREPARING ||
                      decision->situation == FAILOVER_SITUATION_OFFERING;

        return moving && action < FAILOVER_CLAIM_VF;
}

void failover_progress_refused(struct failover_progress *progress, enum failover_action action, unsigned times,
                               uint64_t now)
{
        progress->retries = times;
        remember_failure(progress, action, now);
}

void failover_progress_pause(struct failover_progress *progress, uint64_t now)
{
        progress->retry_at = now + RETRY_FIRST;
}

void failover_give_up(struct failover_facts *facts, enum failover_reason reason, uint64_t now, uint64_t back_off)
{
        facts->failure = reason;
        facts->back_off_until = now + back_off;
        if (reason == FAILOVER_REASON_UNPLUG_REFUSED) {
                facts->unplug_refused = true;
                facts->unplug_refused_until = facts->back_off_until;
                facts->unplug_asked = 0;
                facts->unplug_attempts = 0;
        }
}

void failover_unplug_asked(struct failover_facts *facts, uint64_t now)
{
        facts->unplug_asked = now;
        facts->unplug_attempts++;
}

void failover_settle(struct failover_facts *facts, const struct failover_decision *decision, uint64_t now)
{
        if (decision->situation != FAILOVER_SITUATION_ON_VF)
                facts->on_vf_since = 0;
        else if (facts->on_vf_since == 0)
                facts->on_vf_since = now;
        switch (decision->situation) {
        case FAILOVER_SITUATION_UNKNOWN:
        case FAILOVER_SITUATION_WITHDRAWING:
        case FAILOVER_SITUATION_WITHDRAWN:
        case FAILOVER_SITUATION_ISOLATED:
                break;
        case FAILOVER_SITUATION_OFFERING: /* it may yet do what it was asked before minds changed */
                facts->unplug_attempts = 0;
                break;
        default:
                facts->unplug_asked = 0;
                facts->unplug_attempts = 0;
        }
        if (facts->attached == FAILOVER_NO || facts->vectors == FAILOVER_NO ||
            (decision->situation == FAILOVER_SITUATION_ON_VF && decision->wants_vf))
                facts->unplug_refused = false;
}

bool failover_acquire_is_over(const struct failover_decision *decision)
{
        return decision->situation == FAILOVER_SITUATION_ON_VF || !decision->wants_vf;
}

bool failover_release_is_over(const struct failover_facts *facts, const struct failover_decision *decision,
                              uint64_t now)
{
        return facts->claim == FAILOVER_CLAIM_NONE || decision->wants_vf || now < facts->unplug_refused_until;
}

enum failover_known failover_vectors_from_count(unsigned count, enum failover_known before)
{
        if (count >= VECTORS_OF_A_DRIVEN_VF)
                return FAILOVER_YES;
        return count == 0 || before == FAILOVER_UNKNOWN ? FAILOVER_NO : before;
}

bool failover_vectors_seen(struct failover_facts *facts, enum failover_known vectors, bool probed, uint64_t now)
{
        bool changed = probed != facts->probed;

        facts->probed = probed;
        if (vectors == facts->vectors)
                return changed;
        facts->vectors = vectors;
        facts->vectors_since = now;
        facts->sends_on_tap = false;
        return true;
}
