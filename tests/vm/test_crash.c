/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon killed after each of its writes (tests/crash), with real drivers: bridge, igb, vfio-pci. QEMU's end of the
 * VF is this program, which opens it through VFIO and enables interrupts as the guest's driver would.
 */

#include "tests/crash/matrix.h"
#include "tests/netns/netns_test.h"
#include "tests/vm/vfio_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- QEMU's end of a VF ---- */

static struct vfio_user user;

static void open_vf(const char *address)
{
        char path[128], target[256];
        ssize_t length;

        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
        length = readlink(path, target, sizeof(target) - 1);
        ck_assert_int_gt(length, 0);
        target[length] = '\0';
        user = VFIO_USER_NONE;
        vfio_user_open_group(&user, strrchr(target, '/') + 1);
        vfio_user_open_device(&user, address);
}

static void set_vectors(unsigned count)
{
        vfio_user_set_vectors(&user, count);
}

static void close_vf(void)
{
        vfio_user_close(&user);
}

static struct crash_card card = {
        .pf_driver = &pf_kernel_driver,
        .softswitch_driver = &softswitch_bridge_driver,
        .lease_usec = USEC_PER_SEC,
        .open_vf = open_vf,
        .set_vectors = set_vectors,
        .close_vf = close_vf,
};

/* ---- the stage ---- */

static char *golden;

/* By other programs than ours. */
static char *dump(void)
{
        return strdup(netns_output("ip link show dev %s | grep 'vf '; bridge fdb show dev %s self | sort; "
                                   "tc filter show dev %s ingress; tc filter show dev %s egress; "
                                   "cat /sys/class/net/%s/device/virtfn*/driver_override; "
                                   "ls -d /sys/class/net/%s/device/virtfn*/driver 2>/dev/null",
                                   card.pf_name, card.pf_name, card.pf_name, card.pf_name, card.pf_name, card.pf_name));
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        card.pf_name = getenv("VM_PF");
        ck_assert_msg(card.pf_name != NULL, "VM_PF must name the PF");
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        netns_run("ip link del " CRASH_BRIDGE " 2>/dev/null; ip link del " CRASH_TAP " 2>/dev/null; "
                  "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; tc qdisc replace dev %s clsact",
                  card.pf_name);
        /* The bridge's address is the PF's own, so it is none to list there. */
        netns_run("ip link add " CRASH_BRIDGE " address $(cat /sys/class/net/%s/address) type bridge; "
                  "ip link set " CRASH_BRIDGE " up; ip link set %s master " CRASH_BRIDGE " up",
                  card.pf_name, card.pf_name);
        netns_add_veth(CRASH_TAP, "guest", CRASH_BRIDGE);
        golden = dump();
        matrix_begin(&card);
}

static void tear_down(void)
{
        char *now;

        matrix_end();
        now = dump();
        ck_assert_str_eq(now, golden);
        free(now);
        free(golden);
        netns_run("ip link del " CRASH_BRIDGE "; ip link del " CRASH_TAP);
        vswitch_netlink_close(netns_netlink);
}

/* ---- the tests ---- */

START_TEST(acquire_and_end)
{
        matrix_acquire_and_end(MATRIX_AT_ONCE);
}
END_TEST

START_TEST(release_and_cancelled_migration)
{
        matrix_release_and_cancelled_migration(MATRIX_AT_ONCE);
}
END_TEST

START_TEST(migrations)
{
        matrix_migrations(MATRIX_AT_ONCE);
}
END_TEST

START_TEST(full_disk_stops_an_acquire)
{
        matrix_full_disk_stops_an_acquire();
}
END_TEST

START_TEST(full_disk_release)
{
        matrix_full_disk_release(MATRIX_AT_ONCE);
}
END_TEST

START_TEST(full_disk_new_guest)
{
        matrix_full_disk_new_guest();
}
END_TEST

START_TEST(full_disk_lost_files)
{
        matrix_full_disk_lost_files();
}
END_TEST

static void add_test(Suite *suite, const char *name, const TTest *test)
{
        TCase *tests = tcase_create(name);

        tcase_set_timeout(tests, 240);
        tcase_add_checked_fixture(tests, set_up, tear_down);
        tcase_add_test(tests, test);
        suite_add_tcase(suite, tests);
}

int main(void)
{
        Suite *suite = suite_create("crash");
        SRunner *runner;
        int failed;

        check_set_max_msg_size(32768); /* states and logs are long */
        runner = srunner_create(suite);
        add_test(suite, "acquire", acquire_and_end);
        add_test(suite, "release", release_and_cancelled_migration);
        add_test(suite, "migrations", migrations);
        add_test(suite, "full disk, acquire", full_disk_stops_an_acquire);
        add_test(suite, "full disk, release", full_disk_release);
        add_test(suite, "full disk, new guest", full_disk_new_guest);
        add_test(suite, "full disk, lost files", full_disk_lost_files);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
