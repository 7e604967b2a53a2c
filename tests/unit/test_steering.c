/* SPDX-License-Identifier: Apache-2.0 */

/* What the daemon believes of a card: the probe's result, else the table of cards. */

#include "src/daemon/manager.h"
#include "src/probe/result.h"
#include "tests/unit/modelled_nic.h"
#include "vswitch/pf_card.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char directory[64], probe_directory[80];
static struct modelled_pf *model;
static struct manager manager;
static struct manager_switch nic_switch;
static struct manager_pf *uplink;

static void set_up(void)
{
        strcpy(directory, "/tmp/vswitch-steering-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(probe_directory, sizeof(probe_directory), "%s/probe", directory);

        modelled_nic_reset();
        model = modelled_pf_add("eth0", 7, 4);
        strcpy(model->pf.kernel_driver, "igb");
        strcpy(model->pf.driver_version, "6.12.0");
        model->pf.vendor = 0x8086;
        model->pf.device = 0x10c9;
        model->pf.is_emulated = false;

        manager =
                (struct manager){ .options.state_directory = directory, .switches = &nic_switch, .switches_count = 1 };
        TAILQ_INIT(&manager.nics);
        nic_switch = (struct manager_switch){ .manager = &manager, .pf = &model->pf, .pfs_count = 1 };
        uplink = &nic_switch.pfs[0];
        uplink->pf = &model->pf;
}

static void tear_down(void)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
        modelled_nic_reset();
}

static void store(enum failover_steering steering, unsigned capacity)
{
        struct vswitch_error error = { 0 };
        struct probe_result result = {
                .usec = 1795176000 * USEC_PER_SEC, /* 2026-11-20, at noon */
                .steering = steering,
                .reflects = true,
                .filter_capacity = capacity,
                .vf_count = 4,
        };

        ck_assert_msg(probe_result_store(probe_directory, &model->pf, &result, NULL, &error) == 0, "%s", error.text);
}

START_TEST(test_by_the_table)
{
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_UNKNOWN);
        ck_assert(!uplink->reflects);
        ck_assert_uint_eq(uplink->filter_capacity, pf_card_filter_capacity(&model->pf, 4));
        ck_assert_uint_gt(uplink->filter_capacity, 0);
        ck_assert_str_eq(uplink->steering_source, "default for igb (nobody has probed one)");

        model->pf.is_emulated = true;
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_BOTH);
        ck_assert(uplink->reflects);

        /* Where results are kept nowhere. */
        manager.options.state_directory = NULL;
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_BOTH);
}
END_TEST

START_TEST(test_by_the_probe)
{
        store(FAILOVER_STEERING_PF_WINS, 11);
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_PF_WINS);
        ck_assert(uplink->reflects);
        ck_assert_uint_eq(uplink->filter_capacity, 11);
        ck_assert_str_eq(uplink->steering_source, "probed 2026-11-20");

        /* Also that it could not be found out counts for more than the table. */
        model->pf.is_emulated = true;
        store(FAILOVER_STEERING_UNKNOWN, 0);
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_UNKNOWN);
        ck_assert_uint_eq(uplink->filter_capacity, pf_card_filter_capacity(&model->pf, 4));

        /* Another kernel. */
        strcpy(model->pf.driver_version, "6.13.0");
        steering_set(&manager, uplink);
        ck_assert_str_eq(uplink->steering_source, "probed 2026-11-20 (driver version 6.12.0 then)");

        /* Another firmware. */
        strcpy(model->pf.firmware_version, "2.0");
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_BOTH);
        ck_assert_ptr_nonnull(strstr(uplink->steering_source, "default for"));
}
END_TEST

START_TEST(test_capacity_with_other_numbers_of_vfs)
{
        store(FAILOVER_STEERING_BOTH, 11);
        model->vf_count = 6;
        steering_set(&manager, uplink);
        ck_assert_uint_eq(uplink->filter_capacity, pf_card_filter_capacity(&model->pf, 6));

        /* Of a card that the table does not know. */
        strcpy(model->pf.kernel_driver, "newcard");
        store(FAILOVER_STEERING_BOTH, 11);
        ck_assert_uint_eq(pf_card_filter_capacity(&model->pf, 6), 0);
        steering_set(&manager, uplink);
        ck_assert_uint_eq(uplink->filter_capacity, 9);
        model->vf_count = 2;
        steering_set(&manager, uplink);
        ck_assert_uint_eq(uplink->filter_capacity, 11);
}
END_TEST

START_TEST(test_a_broken_result_leaves_the_table)
{
        char command[256];

        store(FAILOVER_STEERING_PF_WINS, 11);
        snprintf(command, sizeof(command), "for f in %s/*.json; do echo broken >$f; done", probe_directory);
        ck_assert_int_eq(system(command), 0);
        steering_set(&manager, uplink);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_UNKNOWN);
        ck_assert_str_eq(uplink->steering_source, "default for igb (nobody has probed one)");
}
END_TEST

START_TEST(test_reload)
{
        struct manager_nic nic = { .manager = &manager };
        struct vswitch_error error = { 0 };

        TAILQ_INSERT_TAIL(&manager.nics, &nic, entry);
        steering_set(&manager, uplink);
        store(FAILOVER_STEERING_VF_WINS, 11);
        ck_assert_int_eq(steering_reload(&manager, "eth0", &error), 0);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_VF_WINS);
        ck_assert_int_eq(nic_switch.steering, FAILOVER_STEERING_VF_WINS);
        ck_assert(nic_switch.reflects);
        /* Every NIC is decided upon anew, by what is read anew. */
        ck_assert(nic.dirty && nic.tables_stale);

        ck_assert_int_eq(steering_reload(&manager, "eth1", &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "eth1"));
}
END_TEST

/* The guests' VFs come from another PF: its class stays the switch's. */
START_TEST(test_reload_of_a_pf_that_is_not_active)
{
        nic_switch.pf = NULL;
        nic_switch.steering = FAILOVER_STEERING_BOTH;
        store(FAILOVER_STEERING_VF_WINS, 11);
        ck_assert_int_eq(steering_reload(&manager, "eth0", NULL), 0);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_VF_WINS);
        ck_assert_int_eq(nic_switch.steering, FAILOVER_STEERING_BOTH);
        ck_assert(!nic_switch.reflects);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("steering");
        TCase *test_case = tcase_create("steering");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_add_test(test_case, test_by_the_table);
        tcase_add_test(test_case, test_by_the_probe);
        tcase_add_test(test_case, test_capacity_with_other_numbers_of_vfs);
        tcase_add_test(test_case, test_a_broken_result_leaves_the_table);
        tcase_add_test(test_case, test_reload);
        tcase_add_test(test_case, test_reload_of_a_pf_that_is_not_active);
        suite_add_tcase(suite, test_case);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
