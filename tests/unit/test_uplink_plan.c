/* SPDX-License-Identifier: Apache-2.0 */
#include "vswitch/uplink_plan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000ull

/* MACs are numbers here: 02:00:00:00:xx:xx. */
static struct vswitch_mac mac(unsigned number)
{
        return (struct vswitch_mac){ { 0x02, 0, 0, 0, (uint8_t) (number >> 8), (uint8_t) number } };
}

static unsigned number_of(const struct vswitch_mac *address)
{
        return (unsigned) (address->bytes[4] << 8 | address->bytes[5]);
}

#define SOME_MAX 64

struct some {
        struct vswitch_mac macs[SOME_MAX];
        size_t count;
};

static bool has(const struct vswitch_mac *macs, size_t count, const struct vswitch_mac *wanted)
{
        for (size_t i = 0; i < count; i++)
                if (vswitch_mac_equal(&macs[i], wanted))
                        return true;
        return false;
}

static void put(struct some *some, const struct vswitch_mac *address)
{
        if (!has(some->macs, some->count, address))
                some->macs[some->count++] = *address;
}

static void take(struct some *some, const struct vswitch_mac *address)
{
        for (size_t i = 0; i < some->count; i++)
                if (vswitch_mac_equal(&some->macs[i], address))
                        some->macs[i--] = some->macs[--some->count];
}

/* A host: what the plan sees, and what carrying it out does. */
static struct uplink_plan_candidate candidates[SOME_MAX];
static size_t candidates_count;
static struct uplink_plan_nic nics[SOME_MAX];
static size_t nics_count;
static struct some vfs, listed, ours;
static unsigned capacity, per_port;
static struct uplink_plan plan;

static void clear(void)
{
        uplink_plan_release(&plan);
        candidates_count = nics_count = 0;
        vfs = listed = ours = (struct some){ 0 };
        capacity = UPLINK_PLAN_NO_LIMIT;
        per_port = 0;
}

static void candidate(unsigned number, enum uplink_plan_class class, int port, uint64_t active)
{
        candidates[candidates_count++] =
                (struct uplink_plan_candidate){ .mac = mac(number), .class = class, .port = port, .active = active };
}

static void make(void)
{
        struct uplink_plan_input input = {
                .candidates = candidates,
                .candidates_count = candidates_count,
                .nics = nics,
                .nics_count = nics_count,
                .vfs = vfs.macs,
                .vfs_count = vfs.count,
                .listed = listed.macs,
                .listed_count = listed.count,
                .ours = ours.macs,
                .ours_count = ours.count,
                .capacity = capacity,
                .per_port = per_port,
        };

        uplink_plan_release(&plan);
        ck_assert_int_eq(uplink_plan_make(&input, &plan), 0);
}

static void carry_out(void)
{
        for (size_t i = 0; i < plan.removes_count; i++) {
                take(&listed, &plan.removes[i]);
                take(&ours, &plan.removes[i]);
        }
        for (size_t i = 0; i < plan.adds_count; i++) {
                put(&listed, &plan.adds[i]);
                put(&ours, &plan.adds[i]);
        }
}

static void list_ours(unsigned number)
{
        struct vswitch_mac address = mac(number);

        put(&listed, &address);
        put(&ours, &address);
}

/* Numbers in the order in which they come; 0 ends. */
static void expect(const struct vswitch_mac *macs, size_t count, const unsigned *numbers)
{
        size_t i = 0;

        for (; numbers[i]; i++) {
                ck_assert_uint_lt(i, count);
                ck_assert_uint_eq(number_of(&macs[i]), numbers[i]);
        }
        ck_assert_uint_eq(count, i);
}

#define EXPECT_ADDS(...)    expect(plan.adds, plan.adds_count, (const unsigned[]){ __VA_ARGS__ })
#define EXPECT_REMOVES(...) expect(plan.removes, plan.removes_count, (const unsigned[]){ __VA_ARGS__ })

START_TEST(everything_is_listed_when_the_capacity_is_not_known)
{
        clear();
        candidate(1, UPLINK_PLAN_LEARNED, 5, SECOND);
        candidate(2, UPLINK_PLAN_QUIET, 6, 0);
        candidate(3, UPLINK_PLAN_HOST, 0, 0);
        candidate(1, UPLINK_PLAN_STATIC, 5, 0);
        make();
        EXPECT_ADDS(3, 1, 2, 0);
        EXPECT_REMOVES(0);
        ck_assert_uint_eq(plan.left_out_count, 0);
        carry_out();
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(0);
        ck_assert_uint_eq(plan.wanted, 3);
}
END_TEST

START_TEST(what_is_not_behind_the_switch_any_more_is_removed)
{
        clear();
        list_ours(1);
        list_ours(2);
        candidate(2, UPLINK_PLAN_LEARNED, 5, SECOND);
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(1, 0);
}
END_TEST

START_TEST(the_mac_of_a_vf_is_never_listed)
{
        struct vswitch_mac one = mac(1), two = mac(2);

        clear();
        candidate(1, UPLINK_PLAN_STATIC, 5, 0);
        candidate(2, UPLINK_PLAN_LEARNED, 5, SECOND);
        list_ours(2);
        put(&vfs, &one);
        put(&vfs, &two);
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(2, 0);
        ck_assert_uint_eq(plan.left_out_count, 0);
}
END_TEST

START_TEST(what_others_listed_stays_and_counts)
{
        struct vswitch_mac one = mac(1), nine = mac(9);

        clear();
        put(&listed, &one);
        put(&listed, &nine);
        candidate(1, UPLINK_PLAN_LEARNED, 5, SECOND);
        candidate(2, UPLINK_PLAN_LEARNED, 6, SECOND);
        candidate(3, UPLINK_PLAN_LEARNED, 7, 2 * SECOND);
        capacity = 3;
        make();
        EXPECT_ADDS(3, 0);
        EXPECT_REMOVES(0);
        ck_assert_uint_eq(plan.left_out_count, 1);
        ck_assert_uint_eq(plan.foreign, 2);
}
END_TEST

START_TEST(nics_are_the_cores_and_keep_their_places)
{
        clear();
        nics[nics_count++] = (struct uplink_plan_nic){ .mac = mac(1), .needs_filter = true };
        nics[nics_count++] = (struct uplink_plan_nic){ .mac = mac(2) };
        candidate(1, UPLINK_PLAN_STATIC, 5, 0);
        candidate(3, UPLINK_PLAN_HOST, 0, 0);
        candidate(4, UPLINK_PLAN_LEARNED, 7, SECOND);
        list_ours(4);
        list_ours(2); /* an earlier daemon did not know that guest */
        capacity = 3;
        make();
        EXPECT_ADDS(3, 0);
        EXPECT_REMOVES(4, 0);
        ck_assert_uint_eq(plan.left_out_count, 1);
        ck_assert_uint_eq(number_of(&plan.left_out[0].mac), 4);
        ck_assert_uint_eq(plan.wanted, 4);
}
END_TEST

START_TEST(a_card_that_is_full_of_others_takes_none)
{
        struct vswitch_mac eight = mac(8), nine = mac(9);

        clear();
        put(&listed, &eight);
        put(&listed, &nine);
        candidate(1, UPLINK_PLAN_HOST, 0, 0);
        capacity = 1;
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(0);
        ck_assert_uint_eq(plan.left_out_count, 1);
}
END_TEST

START_TEST(the_less_important_is_left_out)
{
        clear();
        candidate(1, UPLINK_PLAN_QUIET, 5, 9 * SECOND);
        candidate(2, UPLINK_PLAN_LEARNED, 6, SECOND);
        candidate(3, UPLINK_PLAN_STATIC, 7, 0);
        candidate(4, UPLINK_PLAN_HOST, 0, 0);
        candidate(5, UPLINK_PLAN_HOST, 0, 0);
        candidate(6, UPLINK_PLAN_QUIET, 9, 8 * SECOND);
        for (capacity = 0; capacity <= 6; capacity++) {
                static const unsigned order[] = { 4, 5, 3, 2, 1, 6 };

                make();
                ck_assert_uint_eq(plan.adds_count, capacity);
                for (size_t i = 0; i < capacity; i++)
                        ck_assert_uint_eq(number_of(&plan.adds[i]), order[i]);
                ck_assert_uint_eq(plan.left_out_count, 6 - capacity);
        }
}
END_TEST

START_TEST(a_port_with_many_macs_keeps_no_other_ports_first_one_out)
{
        clear();
        for (unsigned i = 1; i <= 20; i++)
                candidate(i, UPLINK_PLAN_LEARNED, 5, (1000 + i) * SECOND);
        candidate(30, UPLINK_PLAN_LEARNED, 6, SECOND);
        candidate(31, UPLINK_PLAN_LEARNED, 7, 2 * SECOND);
        capacity = 4;
        make();
        EXPECT_ADDS(20, 31, 30, 19, 0);
}
END_TEST

static bool is_in_crowd(unsigned number)
{
        for (size_t i = 0; i < plan.crowd_count; i++)
                if (number_of(&plan.crowd[i].mac) == number)
                        return true;
        return false;
}

START_TEST(a_port_has_no_more_than_its_share_however_much_room_there_is)
{
        clear();
        per_port = 3;
        for (unsigned i = 1; i <= 20; i++)
                candidate(i, UPLINK_PLAN_LEARNED, 5, (1000 + i) * SECOND);
        candidate(21, UPLINK_PLAN_QUIET, 5, 2000 * SECOND);
        candidate(30, UPLINK_PLAN_STATIC, 5, 0);
        candidate(31, UPLINK_PLAN_HOST, 5, 0);
        candidate(40, UPLINK_PLAN_LEARNED, 6, SECOND);
        candidate(41, UPLINK_PLAN_LEARNED, 6, 2 * SECOND);
        candidate(42, UPLINK_PLAN_QUIET, 6, 3 * SECOND);
        candidate(43, UPLINK_PLAN_QUIET, 6, 2 * SECOND);
        nics[nics_count++] = (struct uplink_plan_nic){ .mac = mac(20), .needs_filter = true };
        make();
        /* What others wrote, the host's own and a guest's own are not counted. */
        EXPECT_ADDS(31, 30, 19, 41, 18, 40, 17, 42, 0);
        ck_assert_uint_eq(plan.left_out_count, 0);
        ck_assert_uint_eq(plan.crowd_count, 16 + 1 + 1);
        ck_assert(is_in_crowd(1) && is_in_crowd(16) && is_in_crowd(21) && is_in_crowd(43));
        ck_assert_uint_eq(plan.wanted, 9);
        carry_out();

        /* The same again; and a flood drives nobody out who sends from time to time. */
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(0);
        for (unsigned i = 50; i < 90 && candidates_count < SOME_MAX; i++)
                candidate(i, UPLINK_PLAN_LEARNED, 5, 1030 * SECOND);
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(0);

        /* What is too many and listed, by an earlier daemon, leaves. */
        list_ours(1);
        make();
        EXPECT_ADDS(0);
        EXPECT_REMOVES(1, 0);
}
END_TEST

START_TEST(equals_do_not_take_turns)
{
        clear();
        candidate(1, UPLINK_PLAN_LEARNED, 5, 1000 * SECOND);
        candidate(2, UPLINK_PLAN_LEARNED, 6, 1000 * SECOND);
        capacity = 1;
        make();
        carry_out();
        ck_assert(has(ours.macs, ours.count, &(struct vswitch_mac){ { 2, 0, 0, 0, 0, 1 } }));

        /* Both go on sending; whichever was seen last. */
        for (uint64_t now = 1001; now < 1300; now++) {
                candidates[now % 2].active = now * SECOND;
                make();
                ck_assert_uint_eq(plan.adds_count, 0);
                ck_assert_uint_eq(plan.removes_count, 0);
        }
        /* The one that is listed has nothing to say any more. */
        candidates[1].active = candidates[0].active + UPLINK_PLAN_LEAD + 1;
        make();
        EXPECT_ADDS(2, 0);
        EXPECT_REMOVES(1, 0);
}
END_TEST

/* ---- whatever the input ---- */

static bool is_wanted(const struct vswitch_mac *address)
{
        for (size_t i = 0; i < candidates_count; i++)
                if (vswitch_mac_equal(&candidates[i].mac, address))
                        return true;
        return false;
}

static bool is_nic(const struct vswitch_mac *address)
{
        for (size_t i = 0; i < nics_count; i++)
                if (vswitch_mac_equal(&nics[i].mac, address))
                        return true;
        return false;
}

static enum uplink_plan_class class_of(const struct vswitch_mac *address)
{
        enum uplink_plan_class best = UPLINK_PLAN_CLASS_MAX;

        for (size_t i = 0; i < candidates_count; i++)
                if (vswitch_mac_equal(&candidates[i].mac, address) && candidates[i].class < best)
                        best = candidates[i].class;
        return best;
}

static void random_host(void)
{
        clear();
        for (int i = rand() % 24; i > 0; i--)
                candidate((unsigned) rand() % 32, (enum uplink_plan_class)(rand() % UPLINK_PLAN_CLASS_MAX), rand() % 5,
                          (uint64_t) (rand() % 200) * SECOND);
        for (unsigned i = 0; i < 4; i++)
                if (rand() % 2)
                        nics[nics_count++] = (struct uplink_plan_nic){ mac((unsigned) rand() % 32), rand() % 2 };
        for (int i = rand() % 6; i > 0; i--) {
                struct vswitch_mac address = mac((unsigned) rand() % 32);

                put(&vfs, &address);
        }
        for (int i = rand() % 16; i > 0; i--) {
                struct vswitch_mac address = mac((unsigned) rand() % 40);

                if (rand() % 4)
                        put(&listed, &address);
                if (rand() % 2)
                        put(&ours, &address);
        }
        capacity = rand() % 8 == 0 ? UPLINK_PLAN_NO_LIMIT : (unsigned) rand() % 24;
        per_port = (unsigned) rand() % 6;
}

static void check_plan(const struct some *listed_before, const struct some *ours_before)
{
        enum uplink_plan_class worst_in = UPLINK_PLAN_HOST;
        size_t nics_waiting = 0, own = 0;

        for (size_t i = 0; i < plan.adds_count; i++) {
                ck_assert(!has(vfs.macs, vfs.count, &plan.adds[i]));
                ck_assert(!is_nic(&plan.adds[i]));
                ck_assert(!has(listed_before->macs, listed_before->count, &plan.adds[i]));
                ck_assert(is_wanted(&plan.adds[i]));
        }
        for (size_t i = 0; i < plan.removes_count; i++) {
                ck_assert(has(ours_before->macs, ours_before->count, &plan.removes[i]));
                ck_assert(has(listed_before->macs, listed_before->count, &plan.removes[i]));
                ck_assert(!is_nic(&plan.removes[i]));
        }
        for (size_t i = 0; i < listed.count; i++) {
                if (is_nic(&listed.macs[i]) || !has(ours.macs, ours.count, &listed.macs[i]))
                        continue;
                own++;
                ck_assert(!has(vfs.macs, vfs.count, &listed.macs[i]));
                ck_assert(is_wanted(&listed.macs[i]));
                if (class_of(&listed.macs[i]) > worst_in)
                        worst_in = class_of(&listed.macs[i]);
        }
        for (size_t i = 0; i < plan.left_out_count; i++) {
                ck_assert(!has(listed.macs, listed.count, &plan.left_out[i].mac));
                if (own > 0)
                        ck_assert_int_ge((int) class_of(&plan.left_out[i].mac), (int) worst_in);
        }
        for (size_t i = 0; i < plan.crowd_count; i++) {
                ck_assert_uint_gt(per_port, 0);
                ck_assert_int_ge((int) class_of(&plan.crowd[i].mac), UPLINK_PLAN_LEARNED);
                ck_assert(!has(listed.macs, listed.count, &plan.crowd[i].mac));
                for (size_t j = 0; j < plan.left_out_count; j++)
                        ck_assert(!vswitch_mac_equal(&plan.crowd[i].mac, &plan.left_out[j].mac));
        }
        for (size_t i = 0; i < nics_count; i++)
                nics_waiting += nics[i].needs_filter && !has(listed.macs, listed.count, &nics[i].mac);
        /* Ours never go beyond it, with the NICs' places kept; what others listed may. */
        if (own > 0)
                ck_assert_uint_le(listed.count + nics_waiting, capacity);
        /* And nothing is left out without need. */
        if (plan.left_out_count > 0)
                ck_assert_uint_ge(listed.count + nics_waiting, capacity);
}

START_TEST(any_host)
{
        srand(1);
        for (int round = 0; round < 20000; round++) {
                struct some listed_before, ours_before;

                random_host();
                /* NICs are different guests. */
                for (size_t i = 0; i < nics_count; i++)
                        for (size_t j = i + 1; j < nics_count; j++)
                                if (vswitch_mac_equal(&nics[i].mac, &nics[j].mac))
                                        nics[j--] = nics[--nics_count];
                listed_before = listed;
                ours_before = ours;
                make();
                carry_out();
                check_plan(&listed_before, &ours_before);
                make();
                ck_assert_uint_eq(plan.adds_count, 0);
                ck_assert_uint_eq(plan.removes_count, 0);
        }
        clear();
}
END_TEST

START_TEST(classes_have_names)
{
        for (int i = 0; i < UPLINK_PLAN_CLASS_MAX; i++)
                ck_assert_str_ne(uplink_plan_class_to_string((enum uplink_plan_class) i), "invalid");
        ck_assert_str_eq(uplink_plan_class_to_string(UPLINK_PLAN_CLASS_MAX), "invalid");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("uplink plan");
        TCase *test_case = tcase_create("plan");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(test_case, 60);
        tcase_add_test(test_case, everything_is_listed_when_the_capacity_is_not_known);
        tcase_add_test(test_case, what_is_not_behind_the_switch_any_more_is_removed);
        tcase_add_test(test_case, the_mac_of_a_vf_is_never_listed);
        tcase_add_test(test_case, what_others_listed_stays_and_counts);
        tcase_add_test(test_case, nics_are_the_cores_and_keep_their_places);
        tcase_add_test(test_case, a_card_that_is_full_of_others_takes_none);
        tcase_add_test(test_case, the_less_important_is_left_out);
        tcase_add_test(test_case, a_port_with_many_macs_keeps_no_other_ports_first_one_out);
        tcase_add_test(test_case, a_port_has_no_more_than_its_share_however_much_room_there_is);
        tcase_add_test(test_case, equals_do_not_take_turns);
        tcase_add_test(test_case, any_host);
        tcase_add_test(test_case, classes_have_names);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
