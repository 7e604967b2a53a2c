/* SPDX-License-Identifier: Apache-2.0 */

/* The probe's VFs from a daemon: reserved as long as we are there, and told of the result. */

#include "src/probe/vf_source.h"
#include "tests/unit/test_control_model.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_USEC 5000000

static struct model_server server;
static struct pf pf = { .name = "enp1s0" };

static const struct model_options options = { .chatty_msec = 20 };

static void set_up(void)
{
        model_start(&server, &options);
}

static void tear_down(void)
{
        model_stop(&server);
}

static struct vf_source *open_source(void)
{
        struct vswitch_error error = { 0 };
        struct vf_source *source = NULL;

        ck_assert_msg(vf_source_daemon_new(server.socket, ANSWER_USEC, &source, &error) == 0, "%s", error.text);
        return source;
}

START_TEST(test_reserved_until_the_end)
{
        struct vf_source *source = open_source();
        char addresses[2][PF_ADDRESS_SIZE];
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(source->take(source, &pf, 2, addresses, &error), 0);
        ck_assert_str_eq(addresses[0], "0000:01:10.2");
        ck_assert_str_eq(addresses[1], "0000:01:10.4");
        ck_assert_uint_eq(server.seen->reserved, 2);
        /* The daemon has things to say meanwhile, and somebody has to take them in. */
        for (int i = 0; i < 20; i++) {
                ck_assert_int_eq(source->keep(source, &error), 0);
                usleep(10000);
        }
        ck_assert_uint_eq(server.seen->reserved, 2);
        ck_assert_int_eq(source->reload(source, &pf, &error), 0);
        ck_assert_uint_eq(server.seen->reloaded, 1);
        source->free(source);
        ck_assert(model_wait_until(server.seen->reserved == 0));
}
END_TEST

START_TEST(test_not_enough_vfs)
{
        struct vf_source *source = open_source();
        char addresses[3][PF_ADDRESS_SIZE];
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(source->take(source, &pf, 3, addresses, &error), -EBUSY);
        ck_assert_str_eq(error.text, "enp1s0 has only 2 free VFs");
        source->free(source);
}
END_TEST

START_TEST(test_daemon_goes_away)
{
        struct vf_source *source = open_source();
        char addresses[2][PF_ADDRESS_SIZE];
        struct vswitch_error error = { 0 };
        int r = 0;

        ck_assert_int_eq(source->take(source, &pf, 2, addresses, &error), 0);
        model_crash(&server);
        ck_assert(model_wait_until((r = source->keep(source, &error)) < 0));
        ck_assert_int_eq(r, -ECONNRESET);
        ck_assert_ptr_nonnull(strstr(error.text, "not reserved any more"));
        source->free(source);

        ck_assert_int_eq(vf_source_daemon_new(server.socket, ANSWER_USEC, &source, &error), -ECONNREFUSED);
        model_restart(&server, &options);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("probe's VFs");
        TCase *test_case = tcase_create("daemon");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 30);
        tcase_add_test(test_case, test_reserved_until_the_end);
        tcase_add_test(test_case, test_not_enough_vfs);
        tcase_add_test(test_case, test_daemon_goes_away);
        suite_add_tcase(suite, test_case);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
