/* SPDX-License-Identifier: Apache-2.0 */
#include "vswitch/error.h"
#include "vswitch/mac.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_parse_and_format)
{
        static const uint8_t bytes[6] = { 0x52, 0x54, 0x00, 0x12, 0xab, 0xff };
        struct vswitch_mac mac;
        char text[VSWITCH_MAC_TEXT_SIZE];

        ck_assert_int_eq(vswitch_mac_parse("52:54:00:12:ab:ff", &mac), 0);
        ck_assert_mem_eq(mac.bytes, bytes, sizeof(bytes));
        ck_assert_int_eq(vswitch_mac_parse("52:54:00:12:AB:Ff", &mac), 0);
        ck_assert_str_eq(vswitch_mac_format(&mac, text), "52:54:00:12:ab:ff");
}
END_TEST

static const char *const malformed[] = {
        "",
        "5",
        "52",
        "52:54:00:12:ab",
        "52:54:00:12:ab:",
        "52:54:00:12:ab:f",
        "52:54:00:12:ab:ff:00",
        "52:54:00:12:ab:ff ",
        " 52:54:00:12:ab:ff",
        "52-54-00-12-ab-ff",
        "52:54:0:12:ab:ff",
        "52:54:00:12:ab:fg",
        "5254:0012:abff",
        "52:54:00:12:+b:ff",
};

START_TEST(test_malformed)
{
        struct vswitch_mac mac = { { 1, 2, 3, 4, 5, 6 } };
        struct vswitch_mac before = mac;

        ck_assert_int_eq(vswitch_mac_parse(malformed[_i], &mac), -EINVAL);
        ck_assert(vswitch_mac_equal(&mac, &before));
}
END_TEST

START_TEST(test_kinds)
{
        struct vswitch_mac zero = { { 0 } };
        struct vswitch_mac group = { { 0x33, 0x33, 0, 0, 0, 1 } };
        struct vswitch_mac guest = { { 0x52, 0x54, 0, 0, 0, 1 } };

        ck_assert(vswitch_mac_is_zero(&zero));
        ck_assert(!vswitch_mac_is_zero(&guest));
        ck_assert(vswitch_mac_is_multicast(&group));
        ck_assert(!vswitch_mac_is_multicast(&guest));
        ck_assert(!vswitch_mac_equal(&group, &guest));
}
END_TEST

START_TEST(test_error_sentences)
{
        struct vswitch_error error = { 0 };

        ck_assert_str_eq(vswitch_error_text(&error, -ENOENT), "No such file or directory");
        ck_assert_str_eq(vswitch_error_text(NULL, -ENOENT), "No such file or directory");
        ck_assert_int_eq(vswitch_error_set(&error, -EBUSY, "VF %d is in reset", 3), -EBUSY);
        ck_assert_str_eq(vswitch_error_text(&error, -EBUSY), "VF 3 is in reset");
        ck_assert_int_eq(vswitch_error_prefix(&error, -EBUSY, "cannot set the MAC of %s", "eth0"), -EBUSY);
        ck_assert_str_eq(error.text, "cannot set the MAC of eth0: VF 3 is in reset");

        error = (struct vswitch_error){ 0 };
        ck_assert_int_eq(vswitch_error_prefix(&error, -ENODEV, "eth0"), -ENODEV);
        ck_assert_str_eq(error.text, "eth0: No such device");

        ck_assert_int_eq(vswitch_error_set(NULL, -EBUSY, "nobody listens"), -EBUSY);
        ck_assert_int_eq(vswitch_error_prefix(NULL, -EBUSY, "nobody listens"), -EBUSY);
}
END_TEST

START_TEST(test_error_that_is_too_long_is_cut)
{
        struct vswitch_error error = { 0 };
        char text[600];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        vswitch_error_set(&error, -EIO, "%s", text);
        ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
        vswitch_error_prefix(&error, -EIO, "prefix");
        ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
        ck_assert_mem_eq(error.text, "prefix: xxx", 11);
        vswitch_error_prefix(&error, -EIO, "%s", text);
        ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("mac and error");
        TCase *test_case = tcase_create("mac and error");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(test_case, test_parse_and_format);
        tcase_add_loop_test(test_case, test_malformed, 0, sizeof(malformed) / sizeof(malformed[0]));
        tcase_add_test(test_case, test_kinds);
        tcase_add_test(test_case, test_error_sentences);
        tcase_add_test(test_case, test_error_that_is_too_long_is_cut);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
