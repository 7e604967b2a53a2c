/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stock of VFs on a PF with real drivers: the whole daemon with a modelled libvirt, a real bridge and igb. The
 * guest's "QEMU" opens nothing, so a VF that it has is bound to vfio-pci and not in use.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/fake_guests.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define UUID "11111111-2222-3333-4444-555555555555"
#define MAC  "52:54:00:12:34:56"

#define DOMAIN                                                                                                         \
        "<domain type='kvm' id='1'><name>g1</name><uuid>" UUID "</uuid>"                                               \
        "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"                                                      \
        "<controller type='pci' index='1' model='pcie-root-port'/>"                                                    \
        "<interface type='bridge'><mac address='" MAC "'/><source bridge='br0'/><target dev='tap0'/>"                  \
        "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/></interface></devices></domain>"

/* As the machine starts, for whoever comes next. */
#define VF_COUNT 4

/* Emulated hardware takes its time; but this is less than the interval at which the core looks again by itself, so
 * what comes in time was told by the kernel. */
#define DEADLINE (20 * USEC_PER_SEC)

static char directory[] = "/tmp/vswitch-test-XXXXXX";
static char socket_path[64];
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
static struct config config = {
        .switches = &config_switch,
        .switches_count = 1,
        .guest_driver_timeout_usec = 300 * USEC_PER_SEC,
        .unplug_timeout_usec = 60 * USEC_PER_SEC,
        .lease_timeout_usec = 60 * USEC_PER_SEC,
        .back_off_usec = 60 * USEC_PER_SEC,
};
static sd_event *loop;
static struct manager *manager;
static const struct control_caller caller = { .connection = 7, .description = "the test" };

/* ---- the stage ---- */

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

static struct pf *pf(void)
{
        return manager->switches[0].pf;
}

static bool has_pf(void)
{
        return pf() != NULL;
}

static bool has_no_pf(void)
{
        return pf() == NULL;
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
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set %s master br0 up", pf_name);
        /* What the kernel sends from the guest's end is the guest's own. */
        netns_run("ip link add tap0 type veth peer name guest address " MAC "; ip link set tap0 master br0 up; "
                  "ip link set guest up");
        fake_guests_reset();
        ck_assert_int_ge(sd_event_new(&loop), 0);
        start_daemon();
        RUN_UNTIL(has_pf);
}

static void tear_down(void)
{
        manager_free(manager);
        sd_event_unref(loop);
        vswitch_netlink_close(netns_netlink);
        netns_run("ip link del br0; ip link del tap0; rm -r %s", directory);
}

/* ---- what is asked ---- */

static int result;
static bool answered;
static char sentence[512];

static void on_done(int r, const char *text, void *token)
{
        result = r;
        snprintf(sentence, sizeof(sentence), "%s", text);
        answered = true;
}

static bool is_answered(void)
{
        return answered;
}

static void set_vfs(unsigned count, bool keep)
{
        struct vswitch_error error = { 0 };
        int r;

        answered = false;
        r = pool_set_vfs(manager, pf_name, count, keep, &caller, on_done, NULL, &error);
        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
        RUN_UNTIL(is_answered);
        ck_assert_msg(result == 0, "%s", sentence);
}

static size_t count_vfs(void)
{
        struct pf_vf *vfs = NULL;
        size_t count = 0;

        if (pf())
                (void) pf()->driver->list_vfs(pf(), &vfs, &count, NULL);
        free(vfs);
        return count;
}

static enum vf_state state_of(unsigned index, char *owner, size_t size)
{
        struct pf_vf_attributes attributes = { 0 };
        struct vswitch_error error = { 0 };
        struct pf_vf vf;

        ck_assert_msg(pf()->driver->read_vf(pf(), index, &vf, &error) == 0, "%s", error.text);
        ck_assert_msg(pf()->driver->read_attributes(pf(), index, &attributes, &error) == 0, "%s", error.text);
        return vfs_state(&manager->switches[0], &vf, &attributes, owner, size);
}

static void expect_free(unsigned index)
{
        char owner[192];

        ck_assert_msg(state_of(index, owner, sizeof(owner)) == VF_FREE, "%s", owner);
}

/* Foreign, for this reason, and therefore the number of VFs is not changed. */
static void expect_foreign(unsigned index, const char *why)
{
        struct vswitch_error error = { 0 };
        char owner[192];

        ck_assert_int_eq(state_of(index, owner, sizeof(owner)), VF_FOREIGN);
        ck_assert_msg(strstr(owner, why) != NULL, "%s: %s", why, owner);
        ck_assert_int_eq(pool_set_vfs(manager, pf_name, 1, false, &caller, on_done, NULL, &error), -EBUSY);
        ck_assert_msg(strstr(error.text, why) != NULL, "%s: %s", why, error.text);
        ck_assert_uint_eq(count_vfs(), VF_COUNT);
}

static struct pf_vf read_vf(unsigned index)
{
        struct vswitch_error error = { 0 };
        struct pf_vf vf;

        ck_assert_msg(pf()->driver->read_vf(pf(), index, &vf, &error) == 0, "%s", error.text);
        return vf;
}

static void bind_vf(unsigned index, const char *driver)
{
        struct vswitch_error error = { 0 };
        struct pf_vf vf = read_vf(index);

        ck_assert_msg(pf()->driver->bind(pf(), vf.address, driver, &error) == 0, "%s", error.text);
}

static struct manager_nic *nic(void)
{
        return nics_find(manager, UUID, "ua-net0");
}

static bool is_offering(void)
{
        return nic() && nic()->decision.situation == FAILOVER_SITUATION_OFFERING &&
               nic()->facts.attached == FAILOVER_YES;
}

static bool has_no_vfs(void)
{
        return nic() && nic()->decision.reason == FAILOVER_REASON_NO_VFS;
}

static bool is_gone(void)
{
        return nic() == NULL;
}

static void start_guest(void)
{
        fake_guests_start(DOMAIN, GUEST_RUNNING);
        fake_guests_settle(loop);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
}

static void end_guest(void)
{
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
}

/* ---- tests ---- */

START_TEST(test_number)
{
        set_vfs(7, false);
        ck_assert_uint_eq(count_vfs(), 7);
        for (unsigned i = 0; i < 7; i++) {
                ck_assert_str_eq(read_vf(i).driver, "");
                expect_free(i);
        }
        ck_assert_str_eq(netns_output("cat /sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name), "0\n");
        set_vfs(0, false);
        ck_assert_uint_eq(count_vfs(), 0);
        set_vfs(VF_COUNT, false);
}
END_TEST

/* Host drivers get new VFs as before, once there are none of vswitch's. */
START_TEST(test_autoprobe_is_given_back)
{
        set_vfs(0, false);
        netns_run("echo 1 >/sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name);
        set_vfs(2, false);
        ck_assert_str_eq(netns_output("cat /sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name), "0\n");
        ck_assert_str_eq(read_vf(0).driver, "");
        set_vfs(0, false);
        ck_assert_str_eq(netns_output("cat /sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name), "1\n");
        netns_run("echo 0 >/sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name);
        set_vfs(VF_COUNT, false);
        ck_assert_str_eq(netns_output("ls %s/autoprobe", directory), "");
}
END_TEST

/* Who has it open is found out on a worker thread. */
static bool vf_1_is_free(void)
{
        char owner[192];

        return state_of(1, owner, sizeof(owner)) == VF_FREE;
}

static bool vf_1_is_foreign(void)
{
        char owner[192];

        return state_of(1, owner, sizeof(owner)) == VF_FOREIGN;
}

START_TEST(test_vfs_of_somebody_else)
{
        struct pf_vf vf;
        char owner[192], group[64];
        char netdev[IF_NAMESIZE];
        int fd, gate[2];
        pid_t child;
        char byte;

        expect_free(1);

        /* A host driver's netdev: down it is free, in use it is not. */
        bind_vf(1, "igbvf");
        snprintf(netdev, sizeof(netdev), "%s", read_vf(1).netdev);
        expect_free(1);
        netns_run("ip link set %s up", netdev);
        expect_foreign(1, "is up on this host");
        netns_run("ip link set %s down; ip link set %s master br0", netdev, netdev);
        expect_foreign(1, "a port of a bridge");
        netns_run("ip link set %s nomaster; ip link add link %s name upper0 type vlan id 5", netdev, netdev);
        expect_foreign(1, "carries another device");
        netns_run("ip link del upper0");
        expect_free(1);

        /* In another network namespace; it comes back when that ends. */
        ck_assert_int_eq(pipe(gate), 0);
        child = fork();
        if (child == 0) {
                close(gate[1]);
                if (unshare(CLONE_NEWNET) < 0)
                        _exit(1);
                (void) !read(gate[0], &byte, 1);
                _exit(0);
        }
        close(gate[0]);
        for (int i = 0; i < 100; i++) {
                if (strcmp(netns_output("test $(readlink /proc/%d/ns/net) = $(readlink /proc/self/ns/net) && echo same "
                                        "|| echo other",
                                        child),
                           "other\n") == 0)
                        break;
                usleep(20 * 1000);
        }
        netns_run("ip link set %s netns %d", netdev, child);
        expect_foreign(1, "without a netdev in this network namespace");
        close(gate[1]);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        for (int i = 0; i < 100 && state_of(1, owner, sizeof(owner)) != VF_FREE; i++)
                usleep(50 * 1000);
        expect_free(1);
        bind_vf(1, "");

        /* A MAC that nobody has given back, and a program that holds it. */
        netns_run("ip link set %s vf 1 mac 52:54:00:00:00:77", pf_name);
        expect_foreign(1, "somebody gave it a MAC");
        netns_run("ip link set %s vf 1 mac 00:00:00:00:00:00", pf_name);
        expect_free(1);
        bind_vf(1, "vfio-pci");
        RUN_UNTIL(vf_1_is_free);
        vf = read_vf(1);
        snprintf(group, sizeof(group), "/dev/vfio/%s", vf.iommu_group);
        fd = open(group, O_RDWR | O_CLOEXEC);
        ck_assert_msg(fd >= 0, "%s: %s", group, strerror(errno));
        RUN_UNTIL(vf_1_is_foreign);
        expect_foreign(1, "a process that vswitch does not know uses it through VFIO");
        close(fd);
        RUN_UNTIL(vf_1_is_free);
        bind_vf(1, "");
}
END_TEST

/* Nobody tells the daemon of VFs without a netdev but the kernel's device events. */
START_TEST(test_vfs_that_appear_are_noticed)
{
        set_vfs(0, false);
        start_guest();
        RUN_UNTIL(has_no_vfs);
        netns_run("echo 0 >/sys/class/net/%s/device/sriov_drivers_autoprobe; "
                  "echo 2 >/sys/class/net/%s/device/sriov_numvfs",
                  pf_name, pf_name);
        RUN_UNTIL(is_offering);
        ck_assert_uint_eq(pf()->cannot_set, PF_VF_LINK_STATE | PF_VF_QUERY_RSS);
        ck_assert_str_eq(read_vf(nic()->claim->vf_index).driver, "vfio-pci");
        end_guest();
        set_vfs(VF_COUNT, false);
}
END_TEST

static bool has_claim_again(void)
{
        return has_pf() && count_vfs() == VF_COUNT && is_offering();
}

/* The PF loses its driver while a guest has a VF, and gets it back. */
START_TEST(test_rebind_of_the_pf)
{
        char address[PF_ADDRESS_SIZE];

        set_vfs(VF_COUNT, true);
        start_guest();
        RUN_UNTIL(is_offering);
        memcpy(address, pf()->address, sizeof(address));

        netns_run("echo %s >/sys/bus/pci/drivers/igb/unbind", address);
        fake_guests_unplug(UUID, "ua-vf-net0"); /* VFIO has asked QEMU for it */
        RUN_UNTIL(has_no_pf);
        netns_run("echo %s >/sys/bus/pci/drivers/igb/bind; echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6; "
                  "ip link set %s master br0 up",
                  address, pf_name, pf_name);
        RUN_UNTIL(has_claim_again);
        end_guest();
        set_vfs(0, true);
        set_vfs(VF_COUNT, false);
}
END_TEST

static void add_test(Suite *suite, const char *name, const TTest *test)
{
        TCase *test_case = tcase_create(name);

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 240);
        tcase_add_test(test_case, test);
        suite_add_tcase(suite, test_case);
}

int main(void)
{
        Suite *suite = suite_create("pool");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_test(suite, "number", test_number);
        add_test(suite, "autoprobe", test_autoprobe_is_given_back);
        add_test(suite, "foreign", test_vfs_of_somebody_else);
        add_test(suite, "appear", test_vfs_that_appear_are_noticed);
        add_test(suite, "rebind", test_rebind_of_the_pf);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
