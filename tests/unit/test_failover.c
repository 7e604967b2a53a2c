/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The core, in two ways: walks through the situations that matter step by step, and every combination of the facts
 * that the rules look at, checked against what must always hold.
 */

#include "failover/failover.h"
#include "failover/progress.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000ull

static const struct failover_policy policy = {
        .want_vf = true,
        .guest_driver_timeout = 60 * SECOND,
        .guest_boot_timeout = 300 * SECOND,
        .unplug_timeout = 30 * SECOND,
        .unplug_attempts = 2,
        .confirm_window = 10 * SECOND,
};

static const uint64_t now = 1000 * SECOND;

/* A running, eligible guest on its synthetic path, on an igb-like card. */
static struct failover_facts facts_synthetic(void)
{
        return (struct failover_facts){
                .guest = FAILOVER_GUEST_RUNNING,
                .vf_available = true,
                .tap_present = true,
                .uplink_present = true,
                .uplink_up = true,
                .standby = FAILOVER_YES,
                .steering = FAILOVER_STEERING_BOTH,
                .prepared = FAILOVER_NO,
                .attached = FAILOVER_NO,
                .vectors = FAILOVER_NO,
                .vf_filter = FAILOVER_NO,
                .uplink_filter = FAILOVER_YES,
                .copy_rule = FAILOVER_NO,
                .multicast_router = FAILOVER_NO,
                .pin = FAILOVER_PIN_TAP,
        };
}

static struct failover_facts facts_on_vf(void)
{
        struct failover_facts facts = facts_synthetic();

        facts.claim = FAILOVER_CLAIM_CLAIMED;
        facts.touched = true;
        facts.prepared = FAILOVER_YES;
        facts.attached = FAILOVER_YES;
        facts.attached_since = now - 100 * SECOND;
        facts.vectors = FAILOVER_YES;
        facts.vectors_since = now - 99 * SECOND;
        facts.on_vf_since = now - 99 * SECOND;
        facts.vf_filter = FAILOVER_YES;
        facts.uplink_filter = FAILOVER_NO;
        facts.multicast_router = FAILOVER_YES;
        facts.pin = FAILOVER_PIN_UPLINK;
        return facts;
}

static struct failover_decision decide(const struct failover_facts *facts)
{
        struct failover_decision decision;

        failover_decide(facts, &policy, now, &decision);
        return decision;
}

static void expect_actions(const struct failover_decision *decision, size_t count, const enum failover_action *expected)
{
        ck_assert_uint_eq(decision->actions_count, count);
        for (size_t i = 0; i < count; i++)
                ck_assert_str_eq(failover_action_to_string(decision->actions[i]),
                                 failover_action_to_string(expected[i]));
}

#define EXPECT_ACTIONS(decision, ...)                                                                                  \
        do {                                                                                                           \
                const enum failover_action expected[] = { __VA_ARGS__ };                                               \
                expect_actions(decision, sizeof(expected) / sizeof(expected[0]), expected);                            \
        } while (0)

/* What carrying out an action does to the facts, where nothing else has a say. */
static void apply(struct failover_facts *facts, enum failover_action action)
{
        switch (action) {
        case FAILOVER_ADD_VF_FILTER:
                facts->vf_filter = FAILOVER_YES;
                break;
        case FAILOVER_REMOVE_VF_FILTER:
                facts->vf_filter = FAILOVER_NO;
                break;
        case FAILOVER_ADD_UPLINK_FILTER:
                facts->uplink_filter = FAILOVER_YES;
                break;
        case FAILOVER_REMOVE_UPLINK_FILTER:
                facts->uplink_filter = FAILOVER_NO;
                break;
        case FAILOVER_ADD_COPY_RULE:
                facts->copy_rule = FAILOVER_YES;
                break;
        case FAILOVER_REMOVE_COPY_RULE:
                facts->copy_rule = FAILOVER_NO;
                break;
        case FAILOVER_ADD_MULTICAST_ROUTER:
                facts->multicast_router = FAILOVER_YES;
                break;
        case FAILOVER_REMOVE_MULTICAST_ROUTER:
                facts->multicast_router = FAILOVER_NO;
                break;
        case FAILOVER_PIN_TO_TAP:
                facts->pin = FAILOVER_PIN_TAP;
                break;
        case FAILOVER_PIN_TO_UPLINK:
                facts->pin = FAILOVER_PIN_UPLINK;
                break;
        case FAILOVER_UNPIN:
                facts->pin = FAILOVER_PIN_NONE;
                break;
        case FAILOVER_ANNOUNCE:
                facts->announce_wanted = false;
                break;
        case FAILOVER_CLAIM_VF:
                facts->claim = FAILOVER_CLAIM_CLAIMED;
                break;
        case FAILOVER_PREPARE_VF:
                facts->touched = true;
                facts->prepared = FAILOVER_YES;
                break;
        case FAILOVER_ATTACH_VF:
                facts->attached = FAILOVER_YES;
                facts->attached_since = now;
                break;
        case FAILOVER_DETACH_VF:
                facts->unplug_asked = now;
                facts->unplug_attempts++;
                break;
        case FAILOVER_RESTORE_VF:
                facts->touched = false;
                facts->prepared = FAILOVER_NO;
                break;
        case FAILOVER_DROP_CLAIM:
                facts->claim = FAILOVER_CLAIM_NONE;
                break;
        case FAILOVER_ACTION_COUNT:
                break;
        }
}

/* Decides and applies until nothing is left to do; returns the last decision. */
static struct failover_decision settle(struct failover_facts *facts)
{
        struct failover_decision decision = decide(facts);

        for (int turn = 0; decision.actions_count > 0; turn++) {
                ck_assert_msg(turn < 16, "does not settle, rule %s", decision.rule);
                failover_settle(facts, &decision, now);
                for (size_t i = 0; i < decision.actions_count; i++)
                        apply(facts, decision.actions[i]);
                decision = decide(facts);
        }
        failover_settle(facts, &decision, now);
        return decision;
}

START_TEST(acquire_walks_from_synthetic_to_vf)
{
        struct failover_facts facts = facts_synthetic();
        struct failover_decision decision = decide(&facts);

        ck_assert_str_eq(decision.rule, "claiming");
        EXPECT_ACTIONS(&decision, FAILOVER_CLAIM_VF);
        apply(&facts, FAILOVER_CLAIM_VF);
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_PREPARE_VF);
        apply(&facts, FAILOVER_PREPARE_VF);

        /* Both paths deliver, the VF has its MAC, and only then the guest gets the VF. */
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_VF_FILTER, FAILOVER_ADD_COPY_RULE, FAILOVER_ADD_MULTICAST_ROUTER,
                       FAILOVER_PIN_TO_UPLINK, FAILOVER_ATTACH_VF);
        for (size_t i = 0; i < decision.actions_count; i++)
                apply(&facts, decision.actions[i]);
        decision = decide(&facts);
        ck_assert_uint_eq(decision.actions_count, 0);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_OFFERING);
        ck_assert(decision.watch_vectors);
        ck_assert_uint_eq(decision.deadline, now + policy.guest_driver_timeout);

        facts.vectors = FAILOVER_YES;
        facts.vectors_since = now;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        EXPECT_ACTIONS(&decision, FAILOVER_REMOVE_UPLINK_FILTER, FAILOVER_REMOVE_COPY_RULE);
        ck_assert(decision.watch_tap);
}
END_TEST

START_TEST(release_keeps_both_paths_until_the_guest_lets_go)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.held = true;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_COPY_RULE, FAILOVER_ADD_UPLINK_FILTER, FAILOVER_DETACH_VF);
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_uint_eq(decision.deadline, now + policy.unplug_timeout);

        facts.vectors = FAILOVER_NO;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWN);
        EXPECT_ACTIONS(&decision, FAILOVER_PIN_TO_TAP, FAILOVER_REMOVE_COPY_RULE, FAILOVER_REMOVE_MULTICAST_ROUTER);
        settle(&facts);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_YES);

        facts.attached = FAILOVER_NO;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_REMOVE_VF_FILTER, FAILOVER_RESTORE_VF);
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_SYNTHETIC);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_NONE);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_HELD);
}
END_TEST

START_TEST(release_is_asked_again_and_then_given_up)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.held = true;
        settle(&facts);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
        facts.unplug_asked = now - policy.unplug_timeout;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_DETACH_VF);
        apply(&facts, FAILOVER_DETACH_VF);
        facts.unplug_asked = now - policy.unplug_timeout;
        decision = decide(&facts);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_UNPLUG_REFUSED);

        /* Given up: the VF is the only path that the guest listens to, so it gets it back. */
        facts.unplug_refused_until = now + 60 * SECOND;
        facts.unplug_asked = 0;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_UNPLUG_REFUSED);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_NO);
        ck_assert_uint_le(decision.deadline, facts.unplug_refused_until);
}
END_TEST

/* On a VF whose card has lost its carrier, and asked as often as it is asked. */
static struct failover_facts facts_refused_on_a_dead_card(void)
{
        struct failover_facts facts = facts_on_vf();

        facts.uplink_up = false;
        facts.pf_dead = true;
        facts.unplug_asked = now - policy.unplug_timeout;
        facts.unplug_attempts = policy.unplug_attempts;
        return facts;
}

START_TEST(who_keeps_a_vf_that_leads_nowhere_is_isolated)
{
        struct failover_facts facts = facts_refused_on_a_dead_card();
        struct failover_decision decision = decide(&facts);

        /* Not before the last time that it was asked has run out. */
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_UPLINK_DOWN);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_UNPLUG_REFUSED);
        failover_give_up(&facts, decision.give_up, now, 60 * SECOND);
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ISOLATED);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_ISOLATED);
        ck_assert_uint_eq(decision.deadline, now + 60 * SECOND);
        /* Nothing is waited for, and it may last. */
        ck_assert(!decision.watch_vectors);
        /* It may listen on either. */
        ck_assert_int_eq(facts.vf_filter, FAILOVER_YES);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_YES);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);

        /* After the pause it is asked again, and remains what it is. */
        facts.unplug_refused_until = facts.back_off_until = now;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_DETACH_VF);
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ISOLATED);
        ck_assert_uint_eq(decision.deadline, now + policy.unplug_timeout);
        ck_assert(decision.watch_vectors);
        ck_assert_uint_eq(facts.unplug_attempts, 1);

        /* It obeys in the end. */
        facts.vectors = FAILOVER_NO;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWN);
        ck_assert(!facts.unplug_refused);
}
END_TEST

START_TEST(a_link_that_returns_ends_the_isolation)
{
        struct failover_facts facts = facts_refused_on_a_dead_card();
        struct failover_decision decision;

        failover_give_up(&facts, FAILOVER_REASON_UNPLUG_REFUSED, now, 60 * SECOND);
        settle(&facts);
        facts.uplink_up = true;
        facts.pf_dead = false;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_UNPLUG_REFUSED);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_UPLINK);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_NO);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_NO);
        /* A loss within the pause is the same refusal. */
        facts.pf_dead = true;
        ck_assert_int_eq(decide(&facts).situation, FAILOVER_SITUATION_ISOLATED);
        /* A guest that may keep its VF again is asked anew before it counts as isolated. */
        facts.pf_dead = false;
        facts.back_off_until = facts.unplug_refused_until = now;
        decision = settle(&facts);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_NONE);
        facts.uplink_up = false;
        facts.pf_dead = true;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.actions[decision.actions_count - 1], FAILOVER_DETACH_VF);
}
END_TEST

START_TEST(isolation_is_told_of_whoever_listens_to_a_dead_vf_only)
{
        struct failover_facts facts = facts_refused_on_a_dead_card(), other;

        failover_give_up(&facts, FAILOVER_REASON_UNPLUG_REFUSED, now, 60 * SECOND);
        ck_assert_int_eq(decide(&facts).situation, FAILOVER_SITUATION_ISOLATED);

        /* A migration and a pause change nothing, but the guest is not asked. */
        other = facts;
        other.outgoing = true;
        other.unplug_asked_by_qemu = true;
        other.unplug_refused_until = now;
        ck_assert_int_eq(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        settle(&other);
        ck_assert_uint_eq(other.unplug_attempts, 0);
        other.outgoing = false;
        other.guest = FAILOVER_GUEST_PAUSED;
        ck_assert_int_eq(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        settle(&other);
        ck_assert_uint_eq(other.unplug_attempts, 0);

        /* The card went, and the VF with it: nothing can be read any more. */
        other = facts;
        other.uplink_present = false;
        other.vf_gone = true;
        other.vectors = FAILOVER_UNKNOWN;
        other.vf_filter = FAILOVER_UNKNOWN;
        ck_assert_int_eq(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        ck_assert_int_eq(decide(&other).tables.pin, FAILOVER_PIN_TAP);

        /* It has let go, or listens to its standby, or is not there, or nobody wants it reached. */
        other = facts;
        other.vectors = FAILOVER_NO;
        ck_assert_int_ne(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        other = facts;
        other.sends_on_tap = true;
        ck_assert_int_ne(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        other = facts;
        other.guest = FAILOVER_GUEST_ABSENT;
        ck_assert_int_ne(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        other = facts;
        other.obstacle = FAILOVER_REASON_LINK_DOWN;
        ck_assert_int_ne(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        other.obstacle = FAILOVER_REASON_NIC_GONE;
        ck_assert_int_ne(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
        /* The uplink is another one by now, and the VF's card is well: it is heard over the wire. */
        other = facts;
        other.pf_dead = false;
        ck_assert_int_ne(decide(&other).situation, FAILOVER_SITUATION_ISOLATED);
}
END_TEST

/* Where the PF wins, its filter would take away what still reaches the VF. */
START_TEST(isolation_does_not_cut_a_vf_off)
{
        struct failover_facts facts = facts_refused_on_a_dead_card();

        facts.steering = FAILOVER_STEERING_PF_WINS;
        failover_give_up(&facts, FAILOVER_REASON_UNPLUG_REFUSED, now, 60 * SECOND);
        settle(&facts);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_NO);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
        /* A VF that lost its MAC gets nothing by it. */
        facts.vf_filter = FAILOVER_NO;
        settle(&facts);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
}
END_TEST

START_TEST(guest_without_driver_gives_the_vf_back)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.vectors = FAILOVER_NO;
        facts.vectors_since = now - policy.guest_driver_timeout;
        facts.attached_since = now - policy.guest_driver_timeout;
        decision = decide(&facts);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_GUEST_DRIVER_MISSING);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_OFFERING);

        facts.failure = decision.give_up;
        facts.back_off_until = now + 60 * SECOND;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWN);
        ck_assert_int_eq(decision.actions[decision.actions_count - 1], FAILOVER_DETACH_VF);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_GUEST_DRIVER_MISSING);

        /* A guest that is booting gets longer. */
        facts.failure = FAILOVER_REASON_NONE;
        facts.back_off_until = 0;
        facts.standby = FAILOVER_NO;
        decision = decide(&facts);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_NONE);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_OFFERING);
}
END_TEST

START_TEST(guest_that_does_not_use_the_vf_loses_it)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.on_vf_since = now - SECOND;
        decision = decide(&facts);
        ck_assert(decision.watch_tap);
        ck_assert_uint_eq(decision.deadline, facts.on_vf_since + policy.confirm_window);
        facts.sends_on_tap = true;
        decision = decide(&facts);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_GUEST_DOES_NOT_USE_VF);

        /* It refuses to let go: then it keeps being offered both, on every card, however long ago it was found out. */
        facts.steering = FAILOVER_STEERING_PF_WINS;
        facts.failure = decision.give_up;
        facts.back_off_until = now + SECOND;
        facts.unplug_refused_until = now + SECOND;
        settle(&facts);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        facts.unplug_refused_until = facts.back_off_until = now - SECOND;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_GUEST_DOES_NOT_USE_VF);
}
END_TEST

START_TEST(confirmation_begins_when_the_frames_go_to_the_vf)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        /* The vectors are old; what follows from them (after a back-off, a pause, an unknown guest) is new. */
        facts.on_vf_since = 0;
        ck_assert(decide(&facts).watch_tap);
        facts.on_vf_since = now - 100 * SECOND;
        ck_assert(!decide(&facts).watch_tap);
        facts.guest_since = now - SECOND;
        ck_assert(decide(&facts).watch_tap);
        facts.guest_since = 0;
        facts.on_vf_since = now - SECOND;
        facts.held = true;
        facts.unplug_refused_until = now + SECOND;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert(decision.watch_tap);
        failover_settle(&facts, &decision, now);
        ck_assert_uint_eq(facts.on_vf_since, now - SECOND);
        decision.situation = FAILOVER_SITUATION_WITHDRAWING;
        failover_settle(&facts, &decision, now);
        ck_assert_uint_eq(facts.on_vf_since, 0);
}
END_TEST

START_TEST(vf_that_lost_its_mac_is_taken_out_and_given_again)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.vf_filter = FAILOVER_NO;
        decision = settle(&facts);
        ck_assert_str_eq(decision.rule, "vf-without-mac");
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_VF_WITHOUT_MAC);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
        /* It let go: the MAC comes back before the VF does. */
        facts.vectors = FAILOVER_NO;
        facts.attached = FAILOVER_NO;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_VF_FILTER, FAILOVER_ADD_COPY_RULE, FAILOVER_ADD_MULTICAST_ROUTER,
                       FAILOVER_PIN_TO_UPLINK, FAILOVER_ATTACH_VF);
        /* While QEMU does it for a migration, it is not asked. */
        facts = facts_on_vf();
        facts.vf_filter = FAILOVER_NO;
        facts.outgoing = true;
        settle(&facts);
        ck_assert_uint_eq(facts.unplug_attempts, 0);
}
END_TEST

START_TEST(vf_that_vanished_is_given_up_only_when_qemu_has_let_go)
{
        static const enum failover_guest guests[] = { FAILOVER_GUEST_INCOMING, FAILOVER_GUEST_LOADED,
                                                      FAILOVER_GUEST_RUNNING };
        struct failover_facts facts = facts_on_vf();

        facts.guest = guests[_i];
        facts.vf_gone = true;
        facts.vectors = FAILOVER_UNKNOWN;
        facts.vf_filter = FAILOVER_UNKNOWN;
        settle(&facts);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_CLAIMED);
        ck_assert_uint_eq(facts.unplug_attempts, facts.guest == FAILOVER_GUEST_RUNNING ? 1 : 0);
        ck_assert_int_eq(facts.pin == FAILOVER_PIN_TAP, facts.guest != FAILOVER_GUEST_INCOMING);
        facts.attached = FAILOVER_NO;
        facts.vf_available = false;
        facts.no_vf = FAILOVER_REASON_NO_VFS;
        settle(&facts);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_NONE);
        /* Whatever else: nothing is claimed while QEMU has a VF. */
        facts.vf_available = true;
        facts.attached = FAILOVER_YES;
        settle(&facts);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_NONE);
}
END_TEST

START_TEST(mac_is_not_changed_when_it_would_stay_or_was_read)
{
        struct failover_facts facts = facts_on_vf();

        facts.vectors = FAILOVER_NO;
        facts.vf_filter = FAILOVER_NO;
        facts.call = FAILOVER_CALL_RESTORE;
        settle(&facts);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_NO);
        facts.call = FAILOVER_CALL_NONE;
        facts.touched = false;
        settle(&facts);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_NO);
        facts.touched = true;
        facts.probed = true;
        settle(&facts);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_NO);
        facts.probed = false;
        settle(&facts);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_YES);

        /* A claim whose VF has the MAC is not dropped, whatever it says. */
        facts.held = true;
        facts.touched = false;
        facts.attached = FAILOVER_NO;
        ck_assert_int_eq(decide(&facts).actions[decide(&facts).actions_count - 1], FAILOVER_RESTORE_VF);
}
END_TEST

/* The kernel takes the VF's name away, asks, and waits for the guest: until then the VF works. */
START_TEST(vf_that_is_being_removed_serves_until_the_guest_lets_go)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.vf_gone = true;
        facts.vf_filter = FAILOVER_UNKNOWN;
        facts.prepared = FAILOVER_UNKNOWN;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_VF_REMOVED);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_UPLINK);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_YES);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
        facts.vectors = FAILOVER_NO;
        decision = settle(&facts);
        ck_assert_str_eq(decision.rule, "vf-gone");
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
}
END_TEST

START_TEST(nothing_is_turned_to_an_uplink_that_forwards_nothing)
{
        struct failover_facts facts = facts_on_vf();

        facts.uplink_up = false;
        settle(&facts);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_YES);
        facts = facts_on_vf();
        facts.uplink_up = false;
        facts.outgoing = true;
        facts.pin = FAILOVER_PIN_TAP;
        settle(&facts);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
        /* The card is another one than its VF's: what comes is for the tap. */
        facts = facts_on_vf();
        facts.steering = FAILOVER_STEERING_VF_WINS;
        facts.obstacle = FAILOVER_REASON_UPLINK_NOT_ACTIVE;
        facts.vf_filter = FAILOVER_UNKNOWN;
        settle(&facts);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        /* The PF is gone: what cannot be known of the VF keeps nobody from the tap. */
        facts = facts_on_vf();
        facts.uplink_present = facts.uplink_up = false;
        facts.vectors = FAILOVER_UNKNOWN;
        facts.pin = FAILOVER_PIN_NONE;
        settle(&facts);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
}
END_TEST

START_TEST(what_cannot_be_read_turns_nothing)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.vf_filter = FAILOVER_UNKNOWN;
        facts.uplink_filter = FAILOVER_YES;
        facts.pin = FAILOVER_PIN_TAP;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_TAP);
}
END_TEST

START_TEST(migration_away_follows_qemu)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.outgoing = true;
        decision = decide(&facts);
        ck_assert_uint_eq(decision.actions_count, 0);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);

        facts.unplug_asked_by_qemu = true;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_COPY_RULE, FAILOVER_ADD_UPLINK_FILTER);
        settle(&facts);

        facts.vectors = FAILOVER_NO;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_PIN_TO_TAP, FAILOVER_REMOVE_COPY_RULE, FAILOVER_REMOVE_MULTICAST_ROUTER);
        settle(&facts);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_YES); /* a cancel plugs it back without asking */

        facts.guest = FAILOVER_GUEST_HANDED_OVER;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_UNPIN, FAILOVER_REMOVE_UPLINK_FILTER, FAILOVER_REMOVE_VF_FILTER);
        settle(&facts);

        facts.guest = FAILOVER_GUEST_ABSENT;
        facts.outgoing = false;
        facts.attached = FAILOVER_NO;
        decision = settle(&facts);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_NONE);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ABSENT);
}
END_TEST

START_TEST(cancelled_migration_returns_to_the_vf)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.outgoing = true;
        facts.unplug_asked_by_qemu = true;
        facts.vectors = FAILOVER_NO;
        settle(&facts);
        facts.outgoing = false;
        facts.vectors_since = now;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_OFFERING);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_YES);
        facts.vectors = FAILOVER_YES;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
}
END_TEST

START_TEST(failed_handover_is_announced_again)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.guest = FAILOVER_GUEST_HANDED_OVER;
        facts.outgoing = true;
        facts.vectors = FAILOVER_NO;
        settle(&facts);
        facts.guest = FAILOVER_GUEST_RUNNING;
        facts.outgoing = false;
        facts.announce_wanted = true;
        facts.vectors_since = now;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_VF_FILTER, FAILOVER_ADD_COPY_RULE, FAILOVER_ADD_UPLINK_FILTER,
                       FAILOVER_ADD_MULTICAST_ROUTER, FAILOVER_PIN_TO_UPLINK, FAILOVER_ANNOUNCE);
}
END_TEST

START_TEST(arrival_programs_and_announces_when_the_state_is_loaded)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.claim = FAILOVER_CLAIM_LEASED;
        facts.lease_until = now + 60 * SECOND;
        facts.vectors = FAILOVER_NO;
        facts.vf_filter = FAILOVER_NO;
        facts.multicast_router = FAILOVER_NO;
        facts.pin = FAILOVER_PIN_NONE;
        facts.guest = FAILOVER_GUEST_INCOMING;
        decision = decide(&facts);
        ck_assert_uint_eq(decision.actions_count, 0);

        facts.guest = FAILOVER_GUEST_LOADED;
        facts.announce_wanted = true;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_VF_FILTER, FAILOVER_ADD_COPY_RULE, FAILOVER_ADD_UPLINK_FILTER,
                       FAILOVER_ADD_MULTICAST_ROUTER, FAILOVER_PIN_TO_UPLINK, FAILOVER_ANNOUNCE);

        /* The same for a guest without a VF. */
        facts.claim = FAILOVER_CLAIM_NONE;
        facts.attached = FAILOVER_NO;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_ADD_UPLINK_FILTER, FAILOVER_PIN_TO_TAP, FAILOVER_ANNOUNCE);
}
END_TEST

START_TEST(lease_without_a_guest_ends)
{
        struct failover_facts facts = facts_synthetic();
        struct failover_decision decision;

        facts.guest = FAILOVER_GUEST_EXPECTED;
        facts.claim = FAILOVER_CLAIM_LEASED;
        facts.lease_until = now + SECOND;
        facts.uplink_filter = FAILOVER_NO;
        facts.pin = FAILOVER_PIN_NONE;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_PREPARE_VF);
        decision = settle(&facts);
        ck_assert_uint_eq(decision.deadline, facts.lease_until);
        facts.lease_until = now;
        settle(&facts);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_NONE);
        ck_assert(!facts.touched);
}
END_TEST

START_TEST(steering_other_than_both_keeps_the_uplink_filter_away_from_a_driven_vf)
{
        static const enum failover_steering classes[] = { FAILOVER_STEERING_UNKNOWN, FAILOVER_STEERING_PF_WINS,
                                                          FAILOVER_STEERING_VF_WINS, FAILOVER_STEERING_FOLLOWS_GUEST };
        struct failover_facts facts = facts_on_vf();

        facts.held = true;
        facts.steering = classes[_i];
        settle(&facts);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_NO);
        ck_assert_int_eq(facts.copy_rule, FAILOVER_YES);
        facts.vectors = FAILOVER_NO;
        settle(&facts);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        ck_assert_int_eq(facts.vf_filter == FAILOVER_YES, classes[_i] == FAILOVER_STEERING_PF_WINS);
}
END_TEST

START_TEST(every_obstacle_keeps_the_nic_synthetic_and_is_the_reason)
{
        struct failover_facts facts = facts_synthetic();
        struct failover_decision decision;

        facts.obstacle = (enum failover_reason) _i;
        decision = settle(&facts);
        ck_assert_int_eq(decision.reason, facts.obstacle);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_NONE);
        ck_assert_str_ne(failover_reason_code(facts.obstacle), "");
        ck_assert_str_ne(failover_reason_sentence(facts.obstacle), "");
        ck_assert_str_ne(failover_reason_remedy(facts.obstacle), "");
}
END_TEST

START_TEST(the_mac_of_a_vf_that_its_owner_programs_is_never_written)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.programmed_by_owner = true;
        /* The guest lets go, and the MAC is given back before anybody says so. */
        facts.held = true;
        facts.vectors = FAILOVER_NO;
        facts.vf_filter = FAILOVER_NO;
        ck_assert_int_eq(settle(&facts).situation, FAILOVER_SITUATION_WITHDRAWN);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_NO);
        /* It says so first, and gives the MAC back after that. */
        facts.vf_filter = FAILOVER_YES;
        facts.attached = FAILOVER_NO;
        facts.call = FAILOVER_CALL_DETACH;
        ck_assert_int_eq(settle(&facts).situation, FAILOVER_SITUATION_RETURNING);
        ck_assert_int_eq(facts.vf_filter, FAILOVER_YES);
        facts.call = FAILOVER_CALL_NONE;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_RESTORE_VF);
}
END_TEST

START_TEST(a_changed_policy_is_programmed_after_the_guest_has_let_go)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.prepared = FAILOVER_NO;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_MOVING);
        ck_assert_int_eq(facts.prepared, FAILOVER_NO);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
        /* Its driver is gone: nobody is disturbed any more. */
        facts.vectors = FAILOVER_NO;
        facts.vectors_since = now;
        decision = settle(&facts);
        ck_assert_int_eq(facts.prepared, FAILOVER_YES);
        /* Then the device goes, as it was asked to, and comes back. */
        facts.attached = FAILOVER_NO;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_OFFERING);
        ck_assert_int_eq(facts.attached, FAILOVER_YES);
        facts.vectors = FAILOVER_YES;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_int_eq(facts.claim, FAILOVER_CLAIM_CLAIMED);
}
END_TEST

START_TEST(who_was_asked_to_let_go_may_do_it_although_minds_have_changed)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.held = true;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        facts.held = false;
        decision = settle(&facts);
        /* Both paths go on delivering, and nobody asks a second time. */
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_MOVING);
        ck_assert(decision.tables.uplink_filter && decision.tables.copy_rule);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
        ck_assert_uint_eq(decision.deadline, facts.unplug_asked + policy.unplug_timeout);
        facts.unplug_asked -= policy.unplug_timeout;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_uint_eq(facts.unplug_asked, 0);

        /* It was asked while its driver was down, and comes up with the request still in its ears. */
        facts = facts_on_vf();
        facts.vectors = FAILOVER_NO;
        facts.vectors_since = now;
        facts.held = true;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWN);
        facts.held = false;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_OFFERING);
        facts.vectors = FAILOVER_YES;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_MOVING);
        /* A new release asks as often as any other. */
        ck_assert_uint_eq(facts.unplug_attempts, 0);
}
END_TEST

START_TEST(neither_a_pause_nor_a_libvirt_that_goes_away_makes_a_request_forgotten)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.held = true;
        settle(&facts);
        facts.unplug_asked = now - 2 * policy.unplug_timeout;
        facts.guest = _i ? FAILOVER_GUEST_PAUSED : FAILOVER_GUEST_UNKNOWN;
        facts.guest_since = now - policy.unplug_timeout;
        decision = settle(&facts);
        ck_assert_uint_ne(facts.unplug_asked, 0);
        ck_assert(facts.copy_rule == FAILOVER_YES && facts.uplink_filter == FAILOVER_YES);
        ck_assert_int_eq(decision.give_up, FAILOVER_REASON_NONE);
        ck_assert(!decision.watch_vectors);
        ck_assert_uint_eq(facts.unplug_attempts, 1);
        /* Minds have changed meanwhile, and it has just come back. */
        facts.held = false;
        facts.guest = FAILOVER_GUEST_RUNNING;
        facts.guest_since = now;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_uint_eq(decision.deadline, now + policy.unplug_timeout);
        facts.guest_since = now - policy.unplug_timeout;
        decision = settle(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
}
END_TEST

START_TEST(a_rate_is_changed_in_use)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.prepared = FAILOVER_NO;
        facts.settable_in_use = true;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        EXPECT_ACTIONS(&decision, FAILOVER_PREPARE_VF);
        facts.call = FAILOVER_CALL_PREPARE;
        decision = decide(&facts);
        ck_assert_uint_eq(decision.actions_count, 0);
}
END_TEST

START_TEST(a_guest_that_keeps_its_vf_is_held_to_the_policy_all_the_same)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.prepared = FAILOVER_NO;
        facts.failure = FAILOVER_REASON_UNPLUG_REFUSED;
        facts.back_off_until = facts.unplug_refused_until = now + SECOND;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_UNPLUG_REFUSED);
        EXPECT_ACTIONS(&decision, FAILOVER_PREPARE_VF);
}
END_TEST

START_TEST(a_vf_in_use_is_not_reprogrammed_while_the_guest_cannot_answer)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.prepared = FAILOVER_NO;
        facts.guest = _i ? FAILOVER_GUEST_PAUSED : FAILOVER_GUEST_RUNNING;
        facts.outgoing = !_i;
        decision = decide(&facts);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_ON_VF);
        ck_assert_uint_eq(decision.actions_count, 0);
}
END_TEST

START_TEST(a_vf_that_arrives_is_programmed_before_the_guest_runs)
{
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        facts.claim = FAILOVER_CLAIM_LEASED;
        facts.lease_until = now + 60 * SECOND;
        facts.vectors = FAILOVER_NO;
        facts.vf_filter = FAILOVER_NO;
        facts.multicast_router = FAILOVER_NO;
        facts.pin = FAILOVER_PIN_NONE;
        facts.guest = _i ? FAILOVER_GUEST_LOADED : FAILOVER_GUEST_INCOMING;
        facts.prepared = FAILOVER_NO;
        decision = decide(&facts);
        ck_assert_uint_ge(decision.actions_count, 1);
        ck_assert_int_eq(decision.actions[decision.actions_count - 1], FAILOVER_PREPARE_VF);
}
END_TEST

START_TEST(a_mac_of_two_guests_is_pinned_to_neither)
{
        struct failover_facts facts = facts_synthetic();
        struct failover_decision decision;

        facts.obstacle = FAILOVER_REASON_DUPLICATE_MAC;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_UNPIN);
        decision = settle(&facts);
        ck_assert_int_eq(facts.pin, FAILOVER_PIN_NONE);
        ck_assert_int_eq(facts.uplink_filter, FAILOVER_YES);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_DUPLICATE_MAC);

        /* The one that does not own the filter takes its own pin away, and touches nothing else. */
        facts = facts_synthetic();
        facts.obstacle = FAILOVER_REASON_DUPLICATE_MAC;
        facts.tables_of_another = true;
        facts.uplink_filter = FAILOVER_NO;
        decision = decide(&facts);
        EXPECT_ACTIONS(&decision, FAILOVER_UNPIN);
        facts.pin = FAILOVER_PIN_UPLINK;
        decision = decide(&facts);
        ck_assert_uint_eq(decision.actions_count, 0);
}
END_TEST

START_TEST(weight_zero_takes_the_vf_away)
{
        struct failover_policy no_vf = policy;
        struct failover_facts facts = facts_on_vf();
        struct failover_decision decision;

        no_vf.want_vf = false;
        failover_decide(&facts, &no_vf, now, &decision);
        ck_assert_int_eq(decision.situation, FAILOVER_SITUATION_WITHDRAWING);
        ck_assert_int_eq(decision.reason, FAILOVER_REASON_WEIGHT_ZERO);
}
END_TEST

/* ---- every combination ---- */

/* ck_assert writes to a pipe every time, which is too slow for millions of them. */
#define REQUIRE(condition)                                                                                             \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        ck_abort_msg("%s, rule %s", #condition, decision->rule);                                       \
        } while (0)

static void check_order(const struct failover_decision *decision)
{
        int last = -1;

        for (size_t i = 0; i < decision->actions_count; i++) {
                int action = decision->actions[i];

                REQUIRE(action > last);
                last = action >= FAILOVER_CLAIM_VF ? FAILOVER_ACTION_COUNT : action;
        }
}

static bool decision_has(const struct failover_decision *decision, enum failover_action action)
{
        for (size_t i = 0; i < decision->actions_count; i++)
                if (decision->actions[i] == action)
                        return true;
        return false;
}

/* Does a sender on the wire / on the same switch reach the guest by what the tables say? */
static bool reaches_guest(const struct failover_facts *facts, const struct failover_tables *tables)
{
        bool vf_open = facts->attached == FAILOVER_YES && facts->vectors == FAILOVER_YES;
        bool both = facts->steering == FAILOVER_STEERING_BOTH;

        if (vf_open && facts->vf_filter == FAILOVER_NO) /* net_failover did not take it, or it has to let go first */
                return tables->uplink_filter && tables->pin == FAILOVER_PIN_TAP;
        if (vf_open) /* the guest hears the VF only */
                return tables->vf_filter && (!tables->uplink_filter || both);
        return tables->uplink_filter && (tables->pin == FAILOVER_PIN_TAP || tables->copy_rule);
}

static void check_invariants(const struct failover_facts *facts, const struct failover_decision *decision)
{
        bool keeps = decision->situation == FAILOVER_SITUATION_UNKNOWN ||
                     decision->situation == FAILOVER_SITUATION_UNMANAGED;

        REQUIRE(decision->actions_count <= FAILOVER_ACTIONS_MAX);
        check_order(decision);
        if (keeps)
                REQUIRE(decision->actions_count == 0);
        if (facts->guest == FAILOVER_GUEST_UNKNOWN)
                for (size_t i = 0; i < decision->actions_count; i++)
                        REQUIRE(decision->actions[i] < FAILOVER_CLAIM_VF);
        if (facts->vectors == FAILOVER_YES) {
                REQUIRE(!decision_has(decision, FAILOVER_ADD_VF_FILTER));
                REQUIRE(!decision_has(decision, FAILOVER_REMOVE_VF_FILTER));
        }
        if (facts->attached != FAILOVER_NO) {
                REQUIRE(!decision_has(decision, FAILOVER_RESTORE_VF));
                REQUIRE(!decision_has(decision, FAILOVER_DROP_CLAIM));
                REQUIRE(!decision_has(decision, FAILOVER_ATTACH_VF));
        }
        if (decision_has(decision, FAILOVER_ATTACH_VF))
                REQUIRE(facts->prepared == FAILOVER_YES && decision->tables.vf_filter &&
                        facts->guest == FAILOVER_GUEST_RUNNING && !facts->outgoing);
        if (decision_has(decision, FAILOVER_DROP_CLAIM))
                REQUIRE(!facts->touched);
        if (facts->guest == FAILOVER_GUEST_INCOMING || facts->guest == FAILOVER_GUEST_HANDED_OVER ||
            facts->guest == FAILOVER_GUEST_ABSENT)
                REQUIRE(!decision->tables.vf_filter && !decision->tables.uplink_filter &&
                        decision->tables.pin == FAILOVER_PIN_NONE);
        /* A VF is never programmed anew under a guest that drives it and would let it go. */
        if (decision_has(decision, FAILOVER_PREPARE_VF) && facts->vectors == FAILOVER_YES &&
            facts->attached == FAILOVER_YES)
                REQUIRE(facts->settable_in_use || now < facts->unplug_refused_until ||
                        facts->guest != FAILOVER_GUEST_RUNNING);
        /* A running guest is reached on the path that it listens to. */
        if (facts->guest == FAILOVER_GUEST_RUNNING && !keeps && facts->vectors != FAILOVER_UNKNOWN &&
            (facts->vectors == FAILOVER_NO || (facts->claim != FAILOVER_CLAIM_NONE && facts->attached == FAILOVER_YES)))
                REQUIRE(reaches_guest(facts, &decision->tables)); /* deaf */
        /* Outside a move a MAC is in one place. */
        if (decision->situation == FAILOVER_SITUATION_ON_VF || decision->situation == FAILOVER_SITUATION_SYNTHETIC)
                REQUIRE(decision->tables.vf_filter != decision->tables.uplink_filter &&
                        (!decision->tables.copy_rule || facts->pin == FAILOVER_PIN_TAP));
}

#define FOR_EACH(variable, from, to) for (variable = (from); (int) variable <= (int) (to); variable++)

START_TEST(every_combination_of_facts_keeps_the_invariants)
{
        struct failover_facts facts = facts_synthetic();
        struct failover_decision decision;
        unsigned long combinations = 0;

        facts.steering = (enum failover_steering) _i;
        facts.lease_until = now + SECOND;
        facts.attached_since = facts.vectors_since = now - 61 * SECOND;
        FOR_EACH (facts.guest, 0, FAILOVER_GUEST_COUNT - 1)
                FOR_EACH (facts.claim, FAILOVER_CLAIM_NONE, FAILOVER_CLAIM_CLAIMED)
                        FOR_EACH (facts.prepared, FAILOVER_NO, FAILOVER_YES)
                                FOR_EACH (facts.attached, FAILOVER_UNKNOWN, FAILOVER_YES)
                                        FOR_EACH (facts.vectors, FAILOVER_UNKNOWN, FAILOVER_YES)
                                                for (int calling = 0; calling < 2; calling++)
                                                        FOR_EACH (facts.pin, FAILOVER_PIN_UNKNOWN, FAILOVER_PIN_UPLINK)
                                                                FOR_EACH (facts.vf_filter, FAILOVER_NO, FAILOVER_YES)
                                                                        for (unsigned bits = 0; bits < 1u << 9;
                                                                             bits++) {
                                                                                facts.call =
                                                                                        calling ? FAILOVER_CALL_ATTACH
                                                                                                : FAILOVER_CALL_NONE;
                                                                                facts.outgoing = bits & 1;
                                                                                facts.unplug_asked_by_qemu = bits & 2;
                                                                                facts.held = bits & 4;
                                                                                facts.touched = bits & 8;
                                                                                facts.uplink_filter =
                                                                                        bits & 16 ? FAILOVER_YES
                                                                                                  : FAILOVER_NO;
                                                                                facts.copy_rule = bits & 32
                                                                                                          ? FAILOVER_YES
                                                                                                          : FAILOVER_NO;
                                                                                facts.announce_wanted = bits & 64;
                                                                                facts.settable_in_use = bits & 128;
                                                                                facts.unplug_refused = bits & 256;
                                                                                facts.pf_dead = bits & 256;
                                                                                failover_decide(&facts, &policy, now,
                                                                                                &decision);
                                                                                check_invariants(&facts, &decision);
                                                                                combinations++;
                                                                        }
        ck_assert_uint_gt(combinations, 1600000);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("failover");
        TCase *walks = tcase_create("walks"), *all = tcase_create("every combination");
        SRunner *runner = srunner_create(suite);

        tcase_add_test(walks, acquire_walks_from_synthetic_to_vf);
        tcase_add_test(walks, release_keeps_both_paths_until_the_guest_lets_go);
        tcase_add_test(walks, release_is_asked_again_and_then_given_up);
        tcase_add_test(walks, who_keeps_a_vf_that_leads_nowhere_is_isolated);
        tcase_add_test(walks, a_link_that_returns_ends_the_isolation);
        tcase_add_test(walks, isolation_is_told_of_whoever_listens_to_a_dead_vf_only);
        tcase_add_test(walks, isolation_does_not_cut_a_vf_off);
        tcase_add_test(walks, guest_without_driver_gives_the_vf_back);
        tcase_add_test(walks, guest_that_does_not_use_the_vf_loses_it);
        tcase_add_test(walks, confirmation_begins_when_the_frames_go_to_the_vf);
        tcase_add_test(walks, vf_that_lost_its_mac_is_taken_out_and_given_again);
        tcase_add_loop_test(walks, vf_that_vanished_is_given_up_only_when_qemu_has_let_go, 0, 3);
        tcase_add_test(walks, vf_that_is_being_removed_serves_until_the_guest_lets_go);
        tcase_add_test(walks, mac_is_not_changed_when_it_would_stay_or_was_read);
        tcase_add_test(walks, nothing_is_turned_to_an_uplink_that_forwards_nothing);
        tcase_add_test(walks, what_cannot_be_read_turns_nothing);
        tcase_add_test(walks, migration_away_follows_qemu);
        tcase_add_test(walks, cancelled_migration_returns_to_the_vf);
        tcase_add_test(walks, failed_handover_is_announced_again);
        tcase_add_test(walks, arrival_programs_and_announces_when_the_state_is_loaded);
        tcase_add_test(walks, lease_without_a_guest_ends);
        tcase_add_loop_test(walks, steering_other_than_both_keeps_the_uplink_filter_away_from_a_driven_vf, 0, 4);
        tcase_add_loop_test(walks, every_obstacle_keeps_the_nic_synthetic_and_is_the_reason, FAILOVER_REASON_NO_TEAMING,
                            FAILOVER_REASON_NO_SRIOV + 1);
        tcase_add_test(walks, the_mac_of_a_vf_that_its_owner_programs_is_never_written);
        tcase_add_test(walks, a_changed_policy_is_programmed_after_the_guest_has_let_go);
        tcase_add_test(walks, who_was_asked_to_let_go_may_do_it_although_minds_have_changed);
        tcase_add_loop_test(walks, neither_a_pause_nor_a_libvirt_that_goes_away_makes_a_request_forgotten, 0, 2);
        tcase_add_test(walks, a_rate_is_changed_in_use);
        tcase_add_test(walks, a_guest_that_keeps_its_vf_is_held_to_the_policy_all_the_same);
        tcase_add_loop_test(walks, a_vf_in_use_is_not_reprogrammed_while_the_guest_cannot_answer, 0, 2);
        tcase_add_loop_test(walks, a_vf_that_arrives_is_programmed_before_the_guest_runs, 0, 2);
        tcase_add_test(walks, a_mac_of_two_guests_is_pinned_to_neither);
        tcase_add_test(walks, weight_zero_takes_the_vf_away);
        suite_add_tcase(suite, walks);
        tcase_set_timeout(all, 120);
        tcase_add_loop_test(all, every_combination_of_facts_keeps_the_invariants, 0, FAILOVER_STEERING_COUNT);
        suite_add_tcase(suite, all);
        srunner_run_all(runner, CK_NORMAL);
        int failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
