/* SPDX-License-Identifier: Apache-2.0 */

/* Who gets a VF when there are too few: by example, and by playing random hosts until they are at rest. */

#include "failover/scarcity.h"

#include <check.h>
#include <stdlib.h>

#define SECOND 1000000ull
#define NICS   8

static const struct scarcity_policy open_policy = { .preempt = true, .margin = 1 };
static const struct scarcity_host calm = { 0 };

static struct scarcity_nic waiting(uint64_t order, unsigned weight, uint64_t since)
{
        return (struct scarcity_nic){ .order = order, .weight = weight, .standing = SCARCITY_WAITS, .since = since };
}

static struct scarcity_nic holding(uint64_t order, unsigned weight, uint64_t since)
{
        return (struct scarcity_nic){ .order = order, .weight = weight, .standing = SCARCITY_HAS, .since = since };
}

static enum scarcity_verdict verdict_of(const struct scarcity_nic *nics, size_t count, uint64_t order)
{
        for (size_t i = 0; i < count; i++)
                if (nics[i].order == order)
                        return nics[i].verdict;
        ck_abort_msg("no NIC %llu", (unsigned long long) order);
        return SCARCITY_STAY;
}

#define EXPECT(order, expected) ck_assert_int_eq(verdict_of(nics, sizeof(nics) / sizeof(nics[0]), order), expected)

static uint64_t decide(struct scarcity_nic *nics, size_t count, unsigned free_vfs, const struct scarcity_policy *policy,
                       const struct scarcity_host *host, uint64_t now)
{
        return scarcity_decide(nics, count, &free_vfs, 1, policy, host, now);
}

START_TEST(the_heaviest_gets_the_free_vf_then_who_waits_longer)
{
        struct scarcity_nic nics[] = { waiting(1, 50, 9), waiting(2, 80, 9), waiting(3, 50, 5), waiting(4, 50, 9) };

        ck_assert_uint_eq(decide(nics, 4, 3, &open_policy, &calm, 10), FAILOVER_NEVER);
        EXPECT(2, SCARCITY_GRANT);
        EXPECT(3, SCARCITY_GRANT);
        EXPECT(1, SCARCITY_GRANT);
        EXPECT(4, SCARCITY_WAIT);
}
END_TEST

START_TEST(the_least_deserving_yields_and_only_to_a_higher_weight)
{
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 50, 0), holding(3, 20, 0), holding(4, 30, 0) };

        decide(nics, 4, 0, &open_policy, &calm, 10);
        EXPECT(1, SCARCITY_WAIT);
        EXPECT(2, SCARCITY_STAY);
        EXPECT(3, SCARCITY_YIELD);
        EXPECT(4, SCARCITY_STAY);
}
END_TEST

START_TEST(nobody_yields_where_preemption_is_off_or_the_margin_is_not_reached)
{
        const struct scarcity_policy off = { .preempt = false, .margin = 1 };
        const struct scarcity_policy wide = { .preempt = true, .margin = 31 };
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 20, 0) };

        decide(nics, 2, 0, &off, &calm, 10);
        EXPECT(2, SCARCITY_STAY);
        decide(nics, 2, 0, &wide, &calm, 10);
        EXPECT(2, SCARCITY_STAY);
        EXPECT(1, SCARCITY_WAIT);
}
END_TEST

START_TEST(a_holder_keeps_its_vf_for_a_while)
{
        const struct scarcity_policy policy = { .preempt = true, .margin = 1, .stay = 60 * SECOND };
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 20, 5 * SECOND) };

        ck_assert_uint_eq(decide(nics, 2, 0, &policy, &calm, 6 * SECOND), 65 * SECOND);
        EXPECT(2, SCARCITY_STAY);
        decide(nics, 2, 0, &policy, &calm, 65 * SECOND);
        EXPECT(2, SCARCITY_YIELD);
}
END_TEST

START_TEST(nobody_is_pushed_out_when_a_vf_comes_free_by_itself)
{
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 20, 0), holding(3, 90, 0) };

        nics[2].leaving = true;
        nics[2].moving = true;
        decide(nics, 3, 0, &open_policy, &calm, 10);
        EXPECT(1, SCARCITY_WAIT);
        EXPECT(2, SCARCITY_STAY);
}
END_TEST

START_TEST(who_did_not_let_go_is_passed_over)
{
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 10, 0), holding(3, 20, 0) };

        nics[1].keeps = true;
        decide(nics, 3, 0, &open_policy, &calm, 10);
        EXPECT(2, SCARCITY_STAY);
        EXPECT(3, SCARCITY_YIELD);
}
END_TEST

START_TEST(frozen_ones_are_not_in_the_way_of_one_that_was_asked_for)
{
        const struct scarcity_host frozen = { .frozen_until = 100 * SECOND };
        struct scarcity_nic nics[] = { waiting(1, 50, 0), waiting(2, 40, 0), holding(3, 5, 0) };

        nics[1].asked = true;
        decide(nics, 3, 1, &open_policy, &frozen, 10 * SECOND);
        EXPECT(1, SCARCITY_FROZEN);
        EXPECT(2, SCARCITY_GRANT);
        EXPECT(3, SCARCITY_STAY);
}
END_TEST

START_TEST(a_change_of_mind_lets_the_holder_stay)
{
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 20, 0) };

        decide(nics, 2, 0, &open_policy, &calm, 10);
        EXPECT(2, SCARCITY_YIELD);
        for (size_t i = 0; i < 2; i++) {
                if (nics[i].order == 1)
                        nics[i].standing = SCARCITY_OUT;
                nics[i].moving = nics[i].order == 2;
        }
        decide(nics, 2, 0, &open_policy, &calm, 11);
        EXPECT(2, SCARCITY_STAY);
}
END_TEST

START_TEST(moves_are_bounded_and_the_better_ones_go_first)
{
        const struct scarcity_policy two = { .preempt = true, .margin = 1, .at_once = 2 };
        const struct scarcity_policy slow = { .preempt = true, .margin = 1, .per_minute = 5 };
        const struct scarcity_host busy = { .moves_in_minute = 4, .minute_ends = 70 * SECOND };
        struct scarcity_nic nics[] = { waiting(1, 10, 0), waiting(2, 20, 0), waiting(3, 30, 0) };

        ck_assert_uint_eq(decide(nics, 3, 3, &two, &calm, 10), FAILOVER_NEVER);
        EXPECT(3, SCARCITY_GRANT);
        EXPECT(2, SCARCITY_GRANT);
        EXPECT(1, SCARCITY_TURN);
        ck_assert_uint_eq(decide(nics, 3, 3, &slow, &busy, 20 * SECOND), 70 * SECOND);
        EXPECT(3, SCARCITY_GRANT);
        EXPECT(2, SCARCITY_TURN);
        EXPECT(1, SCARCITY_TURN);
}
END_TEST

START_TEST(a_frozen_host_begins_nothing)
{
        const struct scarcity_host frozen = { .frozen_until = 100 * SECOND };
        struct scarcity_nic nics[] = { waiting(1, 50, 0), holding(2, 20, 0) };

        ck_assert_uint_eq(decide(nics, 2, 1, &open_policy, &frozen, 10 * SECOND), 100 * SECOND);
        EXPECT(1, SCARCITY_FROZEN);
        EXPECT(2, SCARCITY_STAY);
        decide(nics, 2, 1, &open_policy, &frozen, 100 * SECOND);
        EXPECT(1, SCARCITY_GRANT);
        nics[0].asked = true; /* the waiting one stands first */
        decide(nics, 2, 1, &open_policy, &frozen, 10 * SECOND);
        EXPECT(1, SCARCITY_GRANT);
}
END_TEST

START_TEST(pools_do_not_mix)
{
        const unsigned free_vfs[] = { 0, 1 };
        struct scarcity_nic nics[] = { waiting(1, 50, 0), waiting(2, 40, 0), holding(3, 10, 0) };

        nics[1].pool = nics[2].pool = 1;
        scarcity_decide(nics, 3, free_vfs, 2, &open_policy, &calm, 10);
        EXPECT(1, SCARCITY_WAIT);
        EXPECT(2, SCARCITY_GRANT);
        EXPECT(3, SCARCITY_STAY);
}
END_TEST

/* A host with random NICs: grants and yields are carried out one at a time; in the end the heaviest have the VFs, and
 * nobody moved back and forth on the way. */
START_TEST(it_comes_to_rest_with_the_heaviest_on_the_vfs)
{
        unsigned short seed[3] = { (unsigned short) _i, 7, 11 };
        struct scarcity_policy policy = { .preempt = true, .margin = 1 };
        struct scarcity_nic nics[NICS];
        unsigned vfs = (unsigned) (nrand48(seed) % (NICS + 2)), used = 0, moves = 0;
        uint64_t now = 1;

        policy.at_once = (unsigned) (nrand48(seed) % 3);
        for (unsigned i = 0; i < NICS; i++) {
                bool has = used < vfs && nrand48(seed) % 2;

                nics[i] = has ? holding(i, (unsigned) (nrand48(seed) % 5), 0)
                              : waiting(i, (unsigned) (nrand48(seed) % 5), 0);
                used += has;
        }
        for (bool changed = true; changed; now++) {
                changed = false;
                decide(nics, NICS, vfs - used, &policy, &calm, now);
                for (size_t i = 0; i < NICS && !changed; i++) {
                        if (nics[i].verdict != SCARCITY_GRANT && nics[i].verdict != SCARCITY_YIELD)
                                continue;
                        changed = true;
                        used += nics[i].verdict == SCARCITY_GRANT ? 1u : -1u;
                        ck_assert_uint_le(used, vfs);
                        nics[i].standing = nics[i].verdict == SCARCITY_GRANT ? SCARCITY_HAS : SCARCITY_WAITS;
                        nics[i].since = now;
                        ck_assert_uint_le(++moves, 3 * NICS);
                }
        }
        for (size_t i = 0; i < NICS; i++)
                for (size_t j = 0; j < NICS; j++)
                        ck_assert(nics[i].standing != SCARCITY_WAITS || nics[j].standing != SCARCITY_HAS ||
                                  nics[i].weight <= nics[j].weight);
        ck_assert_uint_eq(used, vfs < NICS ? vfs : NICS);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("scarcity");
        TCase *tcase = tcase_create("scarcity");
        SRunner *runner;
        int failed;

        tcase_add_test(tcase, the_heaviest_gets_the_free_vf_then_who_waits_longer);
        tcase_add_test(tcase, the_least_deserving_yields_and_only_to_a_higher_weight);
        tcase_add_test(tcase, nobody_yields_where_preemption_is_off_or_the_margin_is_not_reached);
        tcase_add_test(tcase, a_holder_keeps_its_vf_for_a_while);
        tcase_add_test(tcase, nobody_is_pushed_out_when_a_vf_comes_free_by_itself);
        tcase_add_test(tcase, who_did_not_let_go_is_passed_over);
        tcase_add_test(tcase, frozen_ones_are_not_in_the_way_of_one_that_was_asked_for);
        tcase_add_test(tcase, a_change_of_mind_lets_the_holder_stay);
        tcase_add_test(tcase, moves_are_bounded_and_the_better_ones_go_first);
        tcase_add_test(tcase, a_frozen_host_begins_nothing);
        tcase_add_test(tcase, pools_do_not_mix);
        tcase_add_loop_test(tcase, it_comes_to_rest_with_the_heaviest_on_the_vfs, 0, 300);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
