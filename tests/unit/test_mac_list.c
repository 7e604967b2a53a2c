/* SPDX-License-Identifier: Apache-2.0 */
#include "vswitch/mac_list.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS 300

static struct mac_list list;

static struct vswitch_mac mac(unsigned number)
{
        return (struct vswitch_mac){ { 0x02, 0, 0, 0, (uint8_t) (number >> 8), (uint8_t) number } };
}

static void expect_ascending(void)
{
        for (size_t i = 1; i < list.count; i++)
                ck_assert_int_lt(memcmp(&list.macs[i - 1], &list.macs[i], sizeof(list.macs[i])), 0);
}

START_TEST(it_has_what_was_added_and_not_removed)
{
        struct mac_list copy = { 0 };
        bool there[NUMBERS] = { false };
        size_t count = 0;

        srand(1);
        for (int i = 0; i < 2000; i++) {
                unsigned number = (unsigned) rand() % NUMBERS;
                struct vswitch_mac address = mac(number);

                ck_assert_int_eq(mac_list_has(&list, &address), there[number]);
                if (rand() % 2) {
                        ck_assert_int_eq(mac_list_add(&list, &address), 0);
                        count += !there[number];
                        there[number] = true;
                } else {
                        ck_assert_int_eq(mac_list_remove(&list, &address), there[number]);
                        count -= there[number];
                        there[number] = false;
                }
                ck_assert_uint_eq(list.count, count);
                expect_ascending();
        }

        ck_assert_int_eq(mac_list_copy(&copy, &list), 0);
        ck_assert_uint_eq(copy.count, count);
        for (unsigned number = 0; number < NUMBERS; number++) {
                struct vswitch_mac address = mac(number);

                ck_assert_int_eq(mac_list_has(&copy, &address), there[number]);
        }
        mac_list_freep(&list);
        ck_assert_int_eq(mac_list_copy(&copy, &list), 0);
        ck_assert_uint_eq(copy.count, 0);
        mac_list_freep(&copy);
}
END_TEST

START_TEST(an_empty_one_has_nothing)
{
        struct vswitch_mac address = mac(1), *macs;
        size_t count;

        ck_assert(!mac_list_has(&list, &address));
        ck_assert(!mac_list_remove(&list, &address));
        ck_assert_int_eq(mac_list_add(&list, &address), 0);
        mac_list_take(&list, &macs, &count);
        ck_assert_uint_eq(count, 1);
        ck_assert_uint_eq(list.count, 0);
        ck_assert(!mac_list_has(&list, &address));
        free(macs);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("list of MACs");
        TCase *test_case = tcase_create("set");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(test_case, it_has_what_was_added_and_not_removed);
        tcase_add_test(test_case, an_empty_one_has_nothing);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
