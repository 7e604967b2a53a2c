/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The probe and the daemon together, on a PF with real drivers: the VFs come out of the daemon's pool and go back, and
 * the daemon steers by the result at once and after a restart.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/fake_guests.h"
#include "vswitch/pf_card.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of an emulated card on an emulated CPU; the probe's own bound is shorter. */
#define DEADLINE (300 * USEC_PER_SEC)

static char directory[] = "/tmp/vswitch-test-XXXXXX";
static char socket_path[64], results[64], output[64];
static const char *pf_name;
static char *uplinks[1];
static struct config_switch config_switch = {
        .name = (char[]){ "br0" },
        .bridge = (char[]){ "br0" },
        .uplinks = uplinks,
        .uplinks_count = 1,
        .iov = true,
        .policy = { .weight = 50, .vlan_protocol = 0x8100 },
};
static struct config config = { .switches = &config_switch, .switches_count = 1 };
static sd_event *loop;
static struct manager *manager;
static pid_t probe;
static int probe_status;

static void start_daemon(void)
{
        const struct manager_options options = {
                .config = &config,
                .softswitch_driver = &softswitch_bridge_driver,
                .pf_driver = &pf_kernel_driver,
                .runtime_directory = directory,
                .state_directory = directory,
                .control_socket = socket_path,
        };
        struct vswitch_error error = { 0 };
        int r = manager_new(loop, &options, &manager, &error);

        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
}

static void run_until(bool (*condition)(void), const char *what)
{
        uint64_t deadline = manager_now(manager) + DEADLINE;

        while (!condition()) {
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                ck_assert_msg(manager_now(manager) < deadline, "never: %s", what);
        }
}
#define RUN_UNTIL(condition) run_until(condition, #condition)

static bool has_pf_with_carrier(void)
{
        const struct manager_switch *nic_switch = &manager->switches[0];

        return nic_switch->pfs_count == 1 && nic_switch->pfs[0].link.carrier;
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        pf_name = getenv("VM_PF");
        ck_assert_msg(pf_name != NULL, "VM_PF must name the PF");
        log_open(getenv("VSWITCH_TEST_DEBUG") != NULL);
        uplinks[0] = (char *) pf_name;
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(socket_path, sizeof(socket_path), "%s/control", directory);
        snprintf(results, sizeof(results), "%s/probe", directory);
        snprintf(output, sizeof(output), "%s/output", directory);
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set %s master br0 up", pf_name);
        fake_guests_reset();
        ck_assert_int_ge(sd_event_new(&loop), 0);
        start_daemon();
        RUN_UNTIL(has_pf_with_carrier);
}

static void tear_down(void)
{
        manager_free(manager);
        sd_event_unref(loop);
        vswitch_netlink_close(netns_netlink);
        netns_run("ip link del br0; rm -r %s", directory);
}

static void start_probe(void)
{
        probe = fork();
        ck_assert_int_ge(probe, 0);
        if (probe == 0) {
                int file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);

                (void) dup2(file, STDOUT_FILENO);
                execl("/test/vswitch-probe", "vswitch-probe", "pf", "probe", pf_name, "--json", "--socket", socket_path,
                      "--directory", results, NULL);
                _exit(127);
        }
}

static bool probe_ended(void)
{
        return waitpid(probe, &probe_status, WNOHANG) == probe;
}

static unsigned count_reserved(void)
{
        struct pf *pf = manager->switches[0].pf;
        struct pf_vf *vfs = NULL;
        size_t count = 0;
        unsigned reserved = 0;

        ck_assert_int_eq(pf->driver->list_vfs(pf, &vfs, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                reserved += pool_is_reserved(manager, vfs[i].address);
        free(vfs);
        return reserved;
}

static bool two_are_reserved(void)
{
        return count_reserved() == 2;
}

static bool none_is_reserved(void)
{
        return count_reserved() == 0;
}

START_TEST(test_the_daemon_steers_by_the_result)
{
        struct manager_pf *uplink = &manager->switches[0].pfs[0];

        ck_assert_ptr_nonnull(strstr(uplink->steering_source, "default for igb in QEMU"));
        start_probe();
        RUN_UNTIL(two_are_reserved);
        RUN_UNTIL(probe_ended);
        ck_assert_msg(WIFEXITED(probe_status) && WEXITSTATUS(probe_status) == 0, "status %d: %s", probe_status,
                      netns_output("cat %s", output));
        ck_assert_ptr_nonnull(strstr(netns_output("cat %s", output), "\"used\": true"));
        RUN_UNTIL(none_is_reserved);

        uplink = &manager->switches[0].pfs[0];
        ck_assert_msg(strncmp(uplink->steering_source, "probed 20", 9) == 0, "%s", uplink->steering_source);
        ck_assert_int_eq(uplink->steering, FAILOVER_STEERING_BOTH);
        ck_assert(uplink->reflects);
        ck_assert_int_eq(manager->switches[0].steering, FAILOVER_STEERING_BOTH);
        /* What was counted is what the table has from the driver's source, with what the daemon itself has listed. */
        ck_assert_uint_eq(uplink->filter_capacity, pf_card_filter_capacity(uplink->pf, 4));

        manager_free(manager);
        start_daemon();
        RUN_UNTIL(has_pf_with_carrier);
        uplink = &manager->switches[0].pfs[0];
        ck_assert_msg(strncmp(uplink->steering_source, "probed 20", 9) == 0, "%s", uplink->steering_source);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("probe and daemon");
        TCase *test_case = tcase_create("probe and daemon");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 300);
        tcase_add_test(test_case, test_the_daemon_steers_by_the_result);
        suite_add_tcase(suite, test_case);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
