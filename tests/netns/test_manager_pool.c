/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VFs as a stock, through the whole daemon: their number, who has them, and those set aside for a probe. The PF of the
 * stage is up0 with two VFs, 0000:01:10.0 and 0000:01:10.2.
 */

#include "src/daemon/definitions.h"
#include "src/daemon/explain.h"
#include "src/daemon/vf_users.h"
#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VF_0 "0000:01:10.0"
#define VF_1 "0000:01:10.2"

static const struct control_caller operator_caller = { .connection = 7, .description = "the operator" };
static const struct control_caller probe_caller = { .connection = 8, .description = "the probe" };

/* ---- changes of the number ---- */

static struct {
        unsigned calls;
        int result;
        char sentence[512];
} answer;

static void on_done(int result, const char *sentence, void *token)
{
        ck_assert_ptr_eq(token, &answer);
        answer.calls++;
        answer.result = result;
        snprintf(answer.sentence, sizeof(answer.sentence), "%s", sentence);
}

static bool is_answered(void)
{
        return answer.calls > 0;
}

static int set_vfs(unsigned count, bool keep, struct vswitch_error *error)
{
        memset(&answer, 0, sizeof(answer));
        return pool_set_vfs(manager, "up0", count, keep, &operator_caller, on_done, &answer, error);
}

static void expect_set_vfs(unsigned count, bool keep)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(set_vfs(count, keep, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(answer.calls, 0); /* later, never from inside */
        RUN_UNTIL(is_answered);
        ck_assert_msg(answer.result == 0, "%s", answer.sentence);
        ck_assert_uint_eq(answer.calls, 1);
        ck_assert_uint_eq(pf->vf_count, count);
        for (unsigned i = 0; i < count; i++)
                ck_assert_str_eq(pf->vfs[i].identity.driver, "");
}

static bool has_two_vfs(void)
{
        return pf->vf_count == 2 && !pool_is_changing(manager, &pf->pf);
}

/* The host boots: no VFs, and new ones would get the host's driver. */
static void reboot(size_t vf_count)
{
        stop_daemon();
        pf->vf_count = vf_count;
        pf->autoprobe = true;
        start_daemon();
}

START_TEST(test_number)
{
        stage_begin();
        expect_set_vfs(1, false);
        expect_set_vfs(1, false);
        expect_set_vfs(0, false);
        expect_set_vfs(2, false);
        ck_assert_str_eq(netns_output("ls %s/pf 2>/dev/null || true", directory), "");
        start_guest();
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(test_number_that_cannot_be)
{
        struct vswitch_error error = { 0 };

        stage_begin();
        ck_assert_int_eq(set_vfs(3, false, &error), -ERANGE);
        ck_assert_str_eq(error.text, "up0 can have 2 VFs at most, not 3");
        ck_assert_int_eq(pool_set_vfs(manager, "nosuch", 1, false, &operator_caller, on_done, &answer, &error),
                         -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "vswitch pf show"));

        pf->count_error = -ENOMEM;
        ck_assert_int_eq(set_vfs(1, true, &error), 0);
        RUN_UNTIL(is_answered);
        ck_assert_int_eq(answer.result, -ENOMEM);
        ck_assert_str_eq(answer.sentence, "cannot make 1 VFs of up0");
        ck_assert_str_eq(netns_output("ls %s/pf 2>/dev/null || true", directory), "");
        pf->count_error = 0;

        pf->pf.total_vfs = 0;
        ck_assert_int_eq(set_vfs(0, false, &error), -EOPNOTSUPP);
        ck_assert_str_eq(error.text, "up0 has no SR-IOV");
        pf->pf.total_vfs = 2;
        stage_end();
}
END_TEST

START_TEST(test_number_is_not_changed_under_a_user)
{
        struct vswitch_error error = { 0 };
        unsigned writes;

        stage_begin();
        start_guest_on_vf();
        netns_add_veth("vf1", "vf1-peer", NULL);
        snprintf(pf->vfs[1].identity.driver, sizeof(pf->vfs[1].identity.driver), "igbvf");
        snprintf(pf->vfs[1].identity.netdev, sizeof(pf->vfs[1].identity.netdev), "vf1");

        writes = pf->writes;
        ck_assert_int_eq(set_vfs(1, false, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "2 of them are in use"));
        ck_assert_ptr_nonnull(strstr(error.text, "VF 0 (" VF_0 "): g1/ua-net0"));
        ck_assert_ptr_nonnull(strstr(error.text, "VF 1 (" VF_1 "): its netdev vf1 is up on this host"));
        settle();
        ck_assert_uint_eq(answer.calls, 0);
        ck_assert_uint_eq(pf->writes, writes);

        /* The number that is there takes nothing from anybody. */
        ck_assert_int_eq(set_vfs(2, true, &error), 0);
        RUN_UNTIL(is_answered);
        ck_assert_int_eq(answer.result, 0);
        ck_assert_uint_eq(pf->writes, writes);
        ck_assert(is_on_vf());
        stage_end();
}
END_TEST

START_TEST(test_number_is_kept_over_a_reboot)
{
        stage_begin();
        expect_set_vfs(2, true);
        reboot(0);
        RUN_UNTIL(has_two_vfs);
        ck_assert_str_eq(pf->vfs[0].identity.driver, "");

        /* Somebody else has made VFs: they stay as they are. */
        reboot(1);
        settle();
        ck_assert_uint_eq(pf->vf_count, 1);

        /* A number that is not to be kept changes nothing of what is. */
        expect_set_vfs(1, false);
        reboot(0);
        RUN_UNTIL(has_two_vfs);

        expect_set_vfs(0, true);
        reboot(0);
        settle();
        ck_assert_uint_eq(pf->vf_count, 0);
        stage_end();
}
END_TEST

START_TEST(test_kept_number_that_cannot_be_read)
{
        static const char *const contents[] = { "", "{ \"version\": 2, \"vfs\": 1 }",
                                                "{ \"version\": 1, \"vfs\": -4 }" };

        stage_begin();
        for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
                netns_run("mkdir -p %s/pf; echo '%s' >%s/pf/%s.json", directory, contents[i], directory,
                          pf->pf.address);
                reboot(0);
                settle();
                ck_assert_uint_eq(pf->vf_count, 0);
        }
        stage_end();
}
END_TEST

static bool has_no_free_vf(void)
{
        return nic() && nic()->decision.reason == FAILOVER_REASON_NO_FREE_VF;
}

START_TEST(test_nobody_gets_a_vf_while_the_number_changes)
{
        char addresses[1][PF_ADDRESS_SIZE];
        struct vswitch_error error = { 0 };

        stage_begin();
        fake_guests_hold(FAKE_RUN, true);
        ck_assert_int_eq(set_vfs(1, false, &error), 0);
        settle();
        ck_assert(pool_is_changing(manager, &pf->pf));
        ck_assert_uint_eq(answer.calls, 0);
        ck_assert_int_eq(pool_set_vfs(manager, "up0", 2, false, &operator_caller, on_done, &answer, &error), -EBUSY);
        ck_assert_int_eq(pool_reserve(manager, "up0", 1, &probe_caller, addresses, &error), -EBUSY);
        start_guest();
        RUN_UNTIL(has_no_free_vf);

        fake_guests_answer(FAKE_RUN, 0, "");
        fake_guests_hold(FAKE_RUN, false);
        RUN_UNTIL(is_offering);
        ck_assert_uint_eq(answer.calls, 1);
        ck_assert(!pool_is_changing(manager, &pf->pf));
        stage_end();
}
END_TEST

START_TEST(test_daemon_stops_during_a_change)
{
        struct vswitch_error error = { 0 };

        stage_begin();
        fake_guests_hold(FAKE_RUN, true);
        ck_assert_int_eq(set_vfs(1, false, &error), 0);
        settle();
        stop_daemon();
        ck_assert_uint_eq(answer.calls, 1);
        ck_assert_int_eq(answer.result, -ECANCELED);
        start_daemon();
        stage_end();
}
END_TEST

/* The worker never comes back: it goes on with the PF, which must not be closed under it. */
START_TEST(test_worker_is_left_behind)
{
        stage_begin();
        ck_assert_uint_eq(pf->opened, 1);
        fake_guests_hold(FAKE_RUN, true);
        fake_guests_abandon_run();
        start_guest();
        while (!fake_guests_pending(FAKE_RUN))
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
        stop_daemon();
        ck_assert_uint_eq(pf->opened, 1);
        fake_guests_end_abandoned();
        ck_assert_str_eq(pf->vfs[0].identity.driver, "vfio-pci");

        /* What nobody uses is closed. */
        fake_guests_hold(FAKE_RUN, false);
        start_daemon();
        ck_assert_uint_eq(pf->opened, 2);
        stop_daemon();
        ck_assert_uint_eq(pf->opened, 1);
        start_daemon();
        stage_end();
}
END_TEST

static const char *autoprobe_notes(void)
{
        return netns_output("ls %s/autoprobe 2>/dev/null || true", directory);
}

/* The setting that keeps host drivers from new VFs is given back as it was found. */
START_TEST(test_autoprobe_is_given_back)
{
        struct vswitch_error error = { 0 };

        stage_begin();
        ck_assert(pf->autoprobe);
        expect_set_vfs(1, false);
        ck_assert(!pf->autoprobe);
        expect_set_vfs(2, false);
        stop_daemon();
        start_daemon();
        expect_set_vfs(0, false);
        ck_assert(pf->autoprobe);
        ck_assert_str_eq(autoprobe_notes(), "");

        /* Somebody has switched it off for good (a udev rule). */
        pf->autoprobe = false;
        expect_set_vfs(2, false);
        ck_assert_str_eq(autoprobe_notes(), "");
        expect_set_vfs(0, false);
        ck_assert(!pf->autoprobe);

        /* A change that fails, and one that is none, leave nothing to be given back. */
        pf->autoprobe = true;
        pf->count_error = -ENOMEM;
        ck_assert_int_eq(set_vfs(1, false, &error), 0);
        RUN_UNTIL(is_answered);
        ck_assert_int_eq(answer.result, -ENOMEM);
        ck_assert_str_eq(autoprobe_notes(), "");
        pf->count_error = 0;
        expect_set_vfs(2, false);
        pf->autoprobe = true;
        expect_set_vfs(2, false);
        ck_assert_str_eq(autoprobe_notes(), "");
        stage_end();
}
END_TEST

/* The kernel answers a question about one VF with all of them: a look is one question. */
START_TEST(test_all_vfs_are_looked_at_with_one_question)
{
        struct pf_vf_attributes before;
        struct pf_vf vf;
        unsigned looks;

        stage_begin();
        pf->pf.total_vfs = MODELLED_VFS_MAX;
        expect_set_vfs(MODELLED_VFS_MAX, false);
        settle();
        looks = pf->looks;
        ck_assert_uint_eq(vfs_count_free(&manager->switches[0]), MODELLED_VFS_MAX);
        ck_assert_uint_eq(pf->looks, looks + 1);

        config_switch.reserve_vfs = MODELLED_VFS_MAX - 1;
        ck_assert_int_eq(vfs_find_free(&manager->switches[0], UUID, &vf, &before), FAILOVER_REASON_NONE);
        ck_assert_uint_eq(pf->looks, looks + 2);
        config_switch.reserve_vfs = 0;

        /* None can be free: the card need not be asked. */
        for (size_t i = 0; i < pf->vf_count; i++)
                snprintf(pf->vfs[i].identity.driver, sizeof(pf->vfs[i].identity.driver), "igb_uio");
        ck_assert_uint_eq(vfs_count_free(&manager->switches[0]), 0);
        ck_assert_uint_eq(pf->looks, looks + 2);
        stage_end();
}
END_TEST

/* A message about the PF in which nothing has changed, as the kernel sends it for each setting of a VF. */
static void say_nothing_new(void)
{
        static unsigned number;

        netns_run("ip link set up0 alias number-%u", ++number);
        settle();
}

/* Hundreds of guests on one PF: its messages are many, and mean something to few. */
START_TEST(test_message_that_says_nothing_new)
{
        unsigned reads, looks;

        stage_begin();
        start_guest_on_vf();
        say_nothing_new(); /* the first look has nothing to compare with */
        reads = software_switch->pin_reads;
        looks = pf->looks;
        say_nothing_new();
        ck_assert_uint_eq(software_switch->pin_reads, reads);
        ck_assert_uint_eq(pf->looks, looks + 1);

        /* A VF that is none of its NIC's business. */
        pf->vfs[1].attributes.mac = netns_mac("52:54:00:00:00:77");
        say_nothing_new();
        ck_assert_uint_eq(software_switch->pin_reads, reads);

        ck_assert(is_on_vf());

        /* What changes is looked at. */
        netns_run("ip link set up0 mtu 1400");
        settle();
        ck_assert_uint_gt(software_switch->pin_reads, reads);
        stage_end();
}
END_TEST

/* What somebody does to its own VF is seen, though the message does not tell of it: the guest gets it anew. */
START_TEST(test_vf_is_set_behind_our_back)
{
        stage_begin();
        start_guest_on_vf();
        say_nothing_new();
        pf->vfs[0].attributes.mac = netns_mac("52:54:00:00:00:66");
        say_nothing_new();
        RUN_UNTIL(is_withdrawing);
        ck_assert_str_eq(nic()->decision.rule, "vf-without-mac");
        stage_end();
}
END_TEST

/* Somebody gives a VF back (ip link set PF vf N mac 0): who waits for it hears of it. */
START_TEST(test_vf_becomes_free_behind_our_back)
{
        stage_begin();
        for (int i = 0; i < 2; i++)
                pf->vfs[i].attributes.mac = netns_mac("52:54:00:00:00:77");
        start_guest();
        RUN_UNTIL(has_no_free_vf);
        say_nothing_new();
        pf->vfs[1].attributes.mac = (struct vswitch_mac){ { 0 } };
        say_nothing_new();
        RUN_UNTIL(is_offering);
        ck_assert_str_eq(nic()->claim->vf_address, VF_1);
        stage_end();
}
END_TEST

/* ---- VFs that are not there yet, and not any more ---- */

static bool has_no_vfs(void)
{
        return nic() && nic()->decision.reason == FAILOVER_REASON_NO_VFS;
}

START_TEST(test_vfs_absent_at_first)
{
        stage_begin();
        pf->vf_count = 0;
        start_guest();
        RUN_UNTIL(has_no_vfs);
        ck_assert_ptr_nonnull(strstr(failover_reason_remedy(FAILOVER_REASON_NO_VFS), "vswitch pf set-vfs"));
        ck_assert_uint_eq(pf->asked, 0);
        expect_set_vfs(2, false);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

static bool has_no_claim(void)
{
        return nic() && !nic()->claim;
}

/* Somebody writes 0 to sriov_numvfs: QEMU loses the device with the VF. */
START_TEST(test_vfs_vanish_under_a_guest)
{
        stage_begin();
        start_guest_on_vf();
        pf->vf_count = 0;
        fake_guests_unplug(UUID, "ua-vf-net0");
        manager_all_dirty(manager, true);
        RUN_UNTIL(has_no_claim);
        RUN_UNTIL(is_synthetic);
        expect_reachable();
        ck_assert_str_eq(netns_output("ls %s/claims | grep json || true", directory), "");
        stage_end();
}
END_TEST

/* ---- reservations ---- */

static enum vf_state state_of(unsigned index, char *owner, size_t size)
{
        return vfs_state(&manager->switches[0], &pf->vfs[index].identity, &pf->vfs[index].attributes, owner, size);
}

START_TEST(test_reservation)
{
        char addresses[2][PF_ADDRESS_SIZE], owner[192];
        struct vswitch_error error = { 0 };

        stage_begin();
        ck_assert_int_eq(pool_reserve(manager, "up0", 1, &probe_caller, addresses, &error), 0);
        ck_assert_str_eq(addresses[0], VF_1);
        ck_assert(pool_is_reserved(manager, VF_1));
        ck_assert(!pool_is_reserved(manager, VF_0));
        ck_assert_int_eq(state_of(1, owner, sizeof(owner)), VF_FOREIGN);
        ck_assert_str_eq(owner, "set aside for a probe");
        ck_assert_int_eq(set_vfs(1, false, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "VF 1 (" VF_1 "): set aside for a probe"));

        ck_assert_int_eq(pool_reserve(manager, "up0", 2, &operator_caller, addresses, &error), -EBUSY);
        ck_assert_str_eq(error.text,
                         "2 free VFs of up0 needed, and there is 1; in use: VF 1 (" VF_1 "): set aside for a probe");
        ck_assert(!pool_is_reserved(manager, VF_0));
        ck_assert_int_eq(pool_reserve(manager, "nosuch", 1, &probe_caller, addresses, &error), -ENOENT);

        /* Another's connection ends, then its own. */
        pool_caller_gone(manager, operator_caller.connection);
        ck_assert(pool_is_reserved(manager, VF_1));
        pool_caller_gone(manager, probe_caller.connection);
        ck_assert(!pool_is_reserved(manager, VF_1));
        ck_assert_int_eq(state_of(1, owner, sizeof(owner)), VF_FREE);
        stage_end();
}
END_TEST

START_TEST(test_guest_waits_for_the_probe)
{
        char addresses[2][PF_ADDRESS_SIZE];
        struct vswitch_error error = { 0 };

        stage_begin();
        ck_assert_int_eq(pool_reserve(manager, "up0", 2, &probe_caller, addresses, &error), 0);
        start_guest();
        RUN_UNTIL(has_no_free_vf);
        provider_table.caller_gone(manager, probe_caller.connection);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

/* ---- VFs in foreign hands ---- */

static void set_host_driver(unsigned index, const char *driver, const char *netdev)
{
        struct pf_vf *vf = &pf->vfs[index].identity;

        snprintf(vf->driver, sizeof(vf->driver), "%s", driver);
        snprintf(vf->netdev, sizeof(vf->netdev), "%s", netdev);
}

static void expect_foreign(const char *why)
{
        char owner[192];

        ck_assert_int_eq(state_of(0, owner, sizeof(owner)), VF_FOREIGN);
        ck_assert_msg(strstr(owner, why) != NULL, "%s: %s", why, owner);
}

static void expect_free(void)
{
        char owner[192];

        ck_assert_msg(state_of(0, owner, sizeof(owner)) == VF_FREE, "%s", owner);
}

START_TEST(test_host_driver)
{
        stage_begin();
        expect_free();
        netns_run("ip link add vf0 type veth peer name vf0-peer");
        set_host_driver(0, "igbvf", "vf0");
        expect_free();

        netns_run("ip link set vf0 up");
        expect_foreign("its netdev vf0 is up on this host");
        netns_run("ip link set vf0 down");
        expect_free();
        netns_run("ip link set vf0 master br0");
        expect_foreign("a port of a bridge");
        netns_run("ip link set vf0 nomaster");
        expect_free();
        pf->vfs[0].attributes.mac = netns_mac("52:54:00:00:00:77");
        expect_foreign("somebody set a MAC for it");
        pf->vfs[0].attributes.mac = (struct vswitch_mac){ { 0 } };

        /* In another network namespace sysfs shows a driver and no netdev. */
        set_host_driver(0, "igbvf", "");
        expect_foreign("driver igbvf has it, without a netdev in this network namespace");
        set_host_driver(0, "igbvf", "nosuch");
        expect_foreign("cannot be read");
        stage_end();
}
END_TEST

START_TEST(test_device_on_the_host_netdev)
{
        stage_begin();
        netns_run("ip link add vf0 type veth peer name vf0-peer");
        set_host_driver(0, "igbvf", "vf0");
        expect_free();
        netns_run("ip link add link vf0 name upper0 type macvlan");
        expect_foreign("its netdev vf0 carries another device");
        netns_run("ip link del upper0");
        expect_free();
        stage_end();
}
END_TEST

START_TEST(test_programs_of_their_own)
{
        stage_begin();
        set_host_driver(0, "uio_pci_generic", "");
        expect_foreign("DPDK");
        set_host_driver(0, "igb_uio", "");
        expect_foreign("DPDK");
        set_host_driver(0, "mlx5_vfio_pci", "");
        expect_foreign("VFIO");
        /* In doubt somebody has it: there is no such device in sysfs to ask. */
        set_host_driver(0, "vfio-pci", "");
        expect_foreign("a process that vswitch does not know uses it through VFIO");
        stage_end();
}
END_TEST

START_TEST(test_mac_without_a_driver)
{
        stage_begin();
        pf->vfs[0].attributes.mac = netns_mac("52:54:00:00:00:77");
        expect_foreign("if nobody uses it: ip link set up0 vf 0 mac 00:00:00:00:00:00");
        stage_end();
}
END_TEST

START_TEST(test_vf_of_a_guest_that_is_not_ours)
{
        stage_begin();
        fake_guests_start("<domain type='kvm' id='2'><name>g2</name><uuid>22222222-2222-3333-4444-555555555555</uuid>"
                          "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                          "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
                          "<address domain='0x0000' bus='0x01' slot='0x10' function='0x0'/></source>"
                          "<alias name='hostdev0'/></hostdev></devices></domain>",
                          GUEST_RUNNING);
        settle();
        expect_foreign("guest g2 has it, not by vswitch");

        /* And the guest that comes gets the other one. */
        start_guest();
        RUN_UNTIL(is_offering);
        ck_assert_str_eq(nic()->claim->vf_address, VF_1);
        stage_end();
}
END_TEST

/* ---- who has a VF open through VFIO ---- */

static char sysfs[] = "/tmp/vswitch-sysfs-XXXXXX";

/* Both VFs wait on vfio-pci; their groups are 90001 and 90002. Nobody has them open. */
static void leave_vfs_on_vfio_pci(void)
{
        static const char *const addresses[] = { VF_0, VF_1 };

        ck_assert_ptr_nonnull(mkdtemp(sysfs));
        netns_run("cd %s; mkdir -p bus/pci/drivers/vfio-pci", sysfs);
        for (int i = 0; i < 2; i++) {
                netns_run("cd %s; mkdir -p bus/pci/devices/%s groups/%d; cd bus/pci/devices/%s; echo 0 >enable; "
                          "ln -s ../../drivers/vfio-pci driver; ln -s ../../../../groups/%d iommu_group",
                          sysfs, addresses[i], 90001 + i, addresses[i], 90001 + i);
                set_host_driver((unsigned) i, "vfio-pci", "");
        }
        pf_kernel_sysfs_root = sysfs;
}

static void remove_sysfs(void)
{
        pf_kernel_sysfs_root = "/sys";
        netns_run("rm -r %s", sysfs);
}

static bool waits_for_the_look(void)
{
        return nic() && nic()->decision.reason == FAILOVER_REASON_VF_USERS_UNKNOWN && fake_guests_pending(FAKE_RUN);
}

/* What was found out is too old at once to give a VF away, as if a second went by between any two questions. Whoever asks
 * for whatever reason: nothing has changed, and nobody's verdict or reason does. */
static void expect_no_change_of_mind(unsigned looks_at_most)
{
        enum scarcity_verdict verdict = nic()->verdict;
        unsigned runs = fake_guests_count(FAKE_RUN);

        vf_users_fresh_usec = 0;
        for (int i = 0; i < 8; i++) {
                manager_all_dirty(manager, false);
                do {
                        ck_assert_int_eq(nic()->verdict, verdict);
                        ck_assert_str_eq(failover_reason_code(nic()->decision.reason), "no-free-vf");
                } while (sd_event_run(loop, 0) > 0);
        }
        vf_users_fresh_usec = USEC_PER_SEC;
        ck_assert_uint_le(fake_guests_count(FAKE_RUN), runs + looks_at_most);
}

/* It is found out on a worker thread, once for all VFs, and decided when it is known. */
START_TEST(test_users_are_looked_for_on_a_worker)
{
        struct explanation explanation;
        char owner[192];
        unsigned runs;

        stage_begin();
        leave_vfs_on_vfio_pci();
        fake_guests_hold(FAKE_RUN, true);
        runs = fake_guests_count(FAKE_RUN);
        ck_assert_int_eq(state_of(0, owner, sizeof(owner)), VF_UNSEEN);
        ck_assert_ptr_nonnull(strstr(owner, "vswitch is finding out"));
        ck_assert_int_eq(state_of(1, owner, sizeof(owner)), VF_UNSEEN);
        ck_assert_uint_eq(fake_guests_count(FAKE_RUN), runs + 1);

        start_guest();
        RUN_UNTIL(waits_for_the_look);
        ck_assert(!nic()->claim);
        ck_assert_str_eq(failover_reason_code(nic()->decision.reason), "vf-users-unknown");
        ck_assert_uint_eq(fake_guests_count(FAKE_RUN), runs + 1);
        /* Should it never be answered: it is asked again. */
        ck_assert_uint_lt(nic()->decision.deadline, FAILOVER_NEVER);
        explain_nic(nic(), &explanation);
        ck_assert_str_eq(explanation.then, "it is looked again for a free VF");
        fake_guests_hold(FAKE_RUN, false);
        RUN_UNTIL(is_offering);
        expect_reachable();
        remove_sysfs();
        stage_end();
}
END_TEST

/* A look that fails says nothing of who has it. */
START_TEST(test_users_that_cannot_be_looked_for)
{
        stage_begin();
        leave_vfs_on_vfio_pci();
        fake_guests_fail(FAKE_RUN, -EACCES, "nobody may look");
        start_guest();
        RUN_UNTIL(has_no_free_vf);
        ck_assert(!nic()->claim);
        expect_foreign("a process that vswitch does not know uses it through VFIO");
        settle();
        expect_no_change_of_mind(0);
        remove_sysfs();
        stage_end();
}
END_TEST

/* Free ones that wait on vfio-pci, and all of them are kept back. */
START_TEST(test_vfs_in_reserve_are_not_looked_at_again_and_again)
{
        config_switch.reserve_vfs = 2;
        stage_begin();
        leave_vfs_on_vfio_pci();
        start_guest();
        RUN_UNTIL(has_no_free_vf);
        settle();
        expect_no_change_of_mind(0);
        config_switch.reserve_vfs = 1;
        manager_all_dirty(manager, false);
        RUN_UNTIL(is_offering);
        config_switch.reserve_vfs = 0;
        remove_sysfs();
        stage_end();
}
END_TEST

/* A /dev of the test's own, where it can put what looks like VFIO's nodes. */
static bool has_own_dev(void)
{
        static char place[] = "/tmp/vswitch-dev-XXXXXX";

        if (!mkdtemp(place))
                return false;
        return strcmp(netns_output("(mount -t tmpfs tmpfs %s && mkdir %s/vfio && touch %s/null %s/vfio/90001 && mount "
                                   "--bind "
                                   "/dev/null %s/null && mount --rbind %s /dev) >/dev/null 2>&1 && echo yes || echo no",
                                   place, place, place, place, place, place),
                      "yes\n") == 0;
}

static bool has_vf_1(void)
{
        return is_offering() && strcmp(nic()->claim->vf_address, VF_1) == 0;
}

/* Its group is all that somebody has open: a QEMU that pins its guest's memory. */
START_TEST(test_group_in_use)
{
        int file;

        if (!has_own_dev()) {
                fprintf(stderr, "skipped: nothing can be mounted here\n");
                return;
        }
        stage_begin();
        leave_vfs_on_vfio_pci();
        file = open("/dev/vfio/90001", O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(file, 0);
        start_guest();
        RUN_UNTIL(has_vf_1);
        expect_foreign("a process that vswitch does not know uses it through VFIO");
        close(file);
        remove_sysfs();
        stage_end();
}
END_TEST

static unsigned hook_answers;
static char hook_xml[8192];

static void on_hook_answer(void *token, const char *xml, const char *refusal)
{
        hook_answers++;
        ck_assert_msg(!refusal, "%s", refusal);
        snprintf(hook_xml, sizeof(hook_xml), "%s", xml ? xml : "");
}

static bool hook_is_answered(void)
{
        return hook_answers > 0;
}

/* A guest that comes with a VF is not refused because it is not known yet who has which. */
START_TEST(test_arrival_waits_for_the_look)
{
        stage_begin();
        leave_vfs_on_vfio_pci();
        fake_guests_hold(FAKE_RUN, true);
        provider_table.hook(manager, "g1", "migrate", "begin", "-", DOMAIN_XML(VF_OF_ANOTHER_HOST), on_hook_answer,
                            NULL);
        settle();
        ck_assert(vf_users_awaited(manager));
        ck_assert_uint_eq(hook_answers, 0);
        fake_guests_hold(FAKE_RUN, false);
        RUN_UNTIL(hook_is_answered);
        ck_assert_msg(strstr(hook_xml, "<address domain=\"0x0000\" bus=\"0x01\" slot=\"0x10\" function=\"0x0\"/>") !=
                              NULL,
                      "%s", hook_xml);
        ck_assert(nic() && nic()->claim && nic()->claim->leased);
        remove_sysfs();
        stage_end();
}
END_TEST

/* ---- VFs that guests are defined with ---- */

#define UUID_2 "22222222-2222-3333-4444-555555555555"
#define GUEST_2(devices)                                                                                               \
        "<domain type='kvm'><name>g2</name><uuid>" UUID_2 "</uuid><os><type machine='pc-q35-7.2'>hvm</type></os>"      \
        "<devices>" devices "</devices></domain>"
#define HOSTDEV(function)                                                                                              \
        "<hostdev mode='subsystem' type='pci' managed='yes'><source>"                                                  \
        "<address domain='0x0000' bus='0x01' slot='0x10' function='" function "'/></source></hostdev>"
#define HOSTDEV_INTERFACE(function)                                                                                    \
        "<interface type='hostdev' managed='yes'><source>"                                                             \
        "<address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='" function "'/></source></interface>"

static void expect_named(unsigned index)
{
        char owner[192];

        ck_assert_int_eq(state_of(index, owner, sizeof(owner)), VF_NAMED);
        ck_assert_str_eq(owner, "named by domain g2, which is off");
        ck_assert_str_eq(vfs_state_to_string(VF_NAMED), "foreign");
}

START_TEST(test_vf_of_a_guest_that_is_off)
{
        stage_begin();
        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        settle();
        expect_named(0);
        start_guest();
        RUN_UNTIL(has_vf_1);

        /* Its owner changes his mind. */
        fake_guests_define(GUEST_2(""));
        settle();
        expect_free();
        fake_guests_define(GUEST_2(HOSTDEV_INTERFACE("0x0")));
        settle();
        expect_named(0);
        fake_guests_undefine(UUID_2);
        settle();
        expect_free();
        stage_end();
}
END_TEST

/* Who has them open need not be found out: whoever it is, they are not given away. */
START_TEST(test_named_vfs_on_a_vfio_driver)
{
        char owner[192];
        unsigned runs;

        stage_begin();
        leave_vfs_on_vfio_pci();
        fake_guests_define(GUEST_2(HOSTDEV("0x0") HOSTDEV("0x2")));
        settle();
        runs = fake_guests_count(FAKE_RUN);
        start_guest();
        RUN_UNTIL(has_no_free_vf);
        settle();
        expect_no_change_of_mind(0);
        ck_assert_uint_eq(vfs_count_free(&manager->switches[0]), 0);
        ck_assert_uint_eq(fake_guests_count(FAKE_RUN), runs);

        /* As when somebody has asked to see them, and has the answer. */
        ck_assert_int_eq(state_of(0, owner, sizeof(owner)), VF_UNSEEN);
        settle();
        expect_named(0);
        ck_assert_uint_eq(fake_guests_count(FAKE_RUN), runs + 1);
        expect_no_change_of_mind(0);
        remove_sysfs();
        stage_end();
}
END_TEST

/* A guest that comes back is not kept from the VF of its own definition; that of another guest is not for it. */
START_TEST(test_own_definition_keeps_no_vf_from_a_guest_that_comes_back)
{
        stage_begin();
        fake_guests_define(DOMAIN_XML("<hostdev mode='subsystem' type='pci' managed='no'><source>"
                                      "<address domain='0x0000' bus='0x01' slot='0x10' function='0x2'/></source>"
                                      "<teaming type='transient' persistent='ua-net0'/></hostdev>"));
        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        settle();
        ck_assert_str_eq(definitions_find_owner(manager, VF_1, NULL), "g1");
        ck_assert_str_eq(definitions_find_owner(manager, VF_1, UUID_2), "g1");
        ck_assert_ptr_null(definitions_find_owner(manager, VF_1, UUID));

        provider_table.hook(manager, "g1", "migrate", "begin", "-", DOMAIN_XML(VF_OF_ANOTHER_HOST), on_hook_answer,
                            NULL);
        RUN_UNTIL(hook_is_answered);
        ck_assert_msg(strstr(hook_xml, "slot=\"0x10\" function=\"0x2\"/>") != NULL, "%s", hook_xml);
        ck_assert(nic() && nic()->claim && nic()->claim->leased);
        ck_assert_str_eq(nic()->claim->vf_address, VF_1);
        stage_end();
}
END_TEST

START_TEST(test_who_waits_for_a_named_vf_is_told)
{
        struct explanation explanation;

        stage_begin();
        fake_guests_define(GUEST_2(HOSTDEV("0x0") HOSTDEV("0x2")));
        settle();
        start_guest();
        RUN_UNTIL(has_no_free_vf);
        explain_nic(nic(), &explanation);
        ck_assert_str_eq(explanation.detail,
                         "PF up0 of br0; VF " VF_0 " is named by domain g2, which is off, and 1 more like it");

        /* Who waits hears of it when it is free. */
        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        RUN_UNTIL(has_vf_1);
        stage_end();
}
END_TEST

/* From the first instant, also after a restart: before the list is there nobody gets anything. */
START_TEST(test_definitions_are_known_before_guests)
{
        stage_begin();
        stop_daemon();
        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        start_daemon();
        RUN_UNTIL(is_offering);
        ck_assert_str_eq(nic()->claim->vf_address, VF_1);
        expect_named(0);

        /* While libvirt is away what it said holds; when it is back, what it says. */
        fake_guests_down("gone");
        settle();
        expect_named(0);
        fake_guests_define(GUEST_2(""));
        fake_guests_up();
        settle();
        expect_free();
        stage_end();
}
END_TEST

static unsigned between_states;

/* At every point of the loop between start and end it is its owner's. */
static void expect_foreign_until_settled(void)
{
        char owner[192];

        do {
                enum vf_state state = state_of(0, owner, sizeof(owner));

                ck_assert_msg(state == VF_FOREIGN || state == VF_NAMED, "%s", vfs_state_to_string(state));
                between_states++;
        } while (sd_event_run(loop, 0) > 0);
}

START_TEST(test_named_vf_when_its_guest_starts_and_ends)
{
        stage_begin();
        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        settle();
        fake_guests_start(GUEST_2(HOSTDEV("0x0")), GUEST_RUNNING);
        expect_foreign_until_settled();
        expect_foreign("guest g2 has it, not by vswitch");
        fake_guests_end(UUID_2, "stopped/shutdown");
        expect_foreign_until_settled();
        expect_named(0);
        ck_assert_uint_gt(between_states, 4);

        /* One that runs without it, as libvirt shows it, has left it. */
        fake_guests_start(GUEST_2(""), GUEST_RUNNING);
        settle();
        expect_free();
        stage_end();
}
END_TEST

static unsigned warnings(const char *file)
{
        return (unsigned) atoi(
                netns_output("grep -c 'it is defined with VF " VF_0 ", which g1/ua-net0 has' %s || true", file));
}

static int stderr_before = -1;

static void log_to(char *path, size_t size)
{
        int file;

        snprintf(path, size, "%s/log", directory);
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        stderr_before = dup(STDERR_FILENO);
        ck_assert_int_ge(dup2(file, STDERR_FILENO), 0);
        close(file);
}

static void log_as_before(void)
{
        ck_assert_int_ge(dup2(stderr_before, STDERR_FILENO), 0);
        close(stderr_before);
}

/* Somebody else has it: said once, and nothing is done. */
START_TEST(test_guest_is_defined_with_a_vf_that_is_in_use)
{
        char log[128];

        stage_begin();
        start_guest_on_vf();
        log_to(log, sizeof(log));

        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        settle();
        fake_guests_define(GUEST_2(HOSTDEV("0x0") HOSTDEV("0x2")));
        settle();
        fake_guests_down("gone");
        fake_guests_up();
        settle();

        log_as_before();
        ck_assert_uint_eq(warnings(log), 1);
        ck_assert(is_on_vf());
        ck_assert_str_eq(nic()->claim->vf_address, VF_0);
        expect_named(1);

        /* When it is given back, it is for the guest that names it. */
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);
        expect_named(0);
        stage_end();
}
END_TEST

/* What was said of a conflict that is over is no reason to be silent of the next one. */
START_TEST(test_next_conflict_is_told_too)
{
        char log[128];

        stage_begin();
        start_guest_on_vf();
        log_to(log, sizeof(log));
        fake_guests_define(GUEST_2(HOSTDEV("0x0")));
        settle();
        drive_guest(false);
        fake_guests_end(UUID, "stopped/destroyed");
        RUN_UNTIL(is_gone);

        /* Its owner runs without it, and the same guest gets it again. */
        fake_guests_start(GUEST_2(""), GUEST_RUNNING);
        settle();
        start_guest_on_vf();
        ck_assert_str_eq(nic()->claim->vf_address, VF_0);
        ck_assert_uint_eq(warnings(log), 1);
        fake_guests_down("gone");
        fake_guests_up();
        settle();
        log_as_before();
        ck_assert_uint_eq(warnings(log), 2);
        stage_end();
}
END_TEST

/* The kernel makes all VFs anew, and they are where they were: a number that leaves the named one takes nothing away. */
START_TEST(test_number_under_a_named_vf)
{
        struct vswitch_error error = { 0 };

        stage_begin();
        pf->pf.total_vfs = 4;
        fake_guests_define(GUEST_2(HOSTDEV("0x2")));
        settle();
        expect_named(1);
        expect_set_vfs(4, false);
        expect_named(1);
        ck_assert_int_eq(set_vfs(1, false, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "VF 1 (" VF_1 "): named by domain g2, which is off"));
        stage_end();
}
END_TEST

/* ---- what the driver can set ---- */

START_TEST(test_driver_is_asked_once)
{
        unsigned writes;

        stage_begin();
        ck_assert_uint_eq(pf->asked, 0); /* nobody needs to know yet */
        pf->refused_attributes = PF_VF_LINK_STATE;
        start_guest_on_vf();
        ck_assert_uint_eq(pf->asked, 1);
        ck_assert_uint_eq(pf->pf.cannot_set, PF_VF_LINK_STATE);
        ck_assert_uint_ne(pf->pf.can_set & PF_VF_VLAN, 0);

        /* A daemon that is restarted with nothing to do asks nothing. */
        writes = pf->writes;
        stop_daemon();
        pf->pf.asked = false;
        start_daemon();
        RUN_UNTIL(is_on_vf);
        settle();
        ck_assert_uint_eq(pf->asked, 1);
        ck_assert_uint_eq(pf->writes, writes);
        stage_end();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("pool");

        netns_test_add(suite, "number", test_number);
        netns_test_add(suite, "impossible number", test_number_that_cannot_be);
        netns_test_add(suite, "number in use", test_number_is_not_changed_under_a_user);
        netns_test_add(suite, "kept", test_number_is_kept_over_a_reboot);
        netns_test_add(suite, "kept badly", test_kept_number_that_cannot_be_read);
        netns_test_add(suite, "meanwhile", test_nobody_gets_a_vf_while_the_number_changes);
        netns_test_add(suite, "stop", test_daemon_stops_during_a_change);
        netns_test_add(suite, "left behind", test_worker_is_left_behind);
        netns_test_add(suite, "autoprobe", test_autoprobe_is_given_back);
        netns_test_add(suite, "one question", test_all_vfs_are_looked_at_with_one_question);
        netns_test_add(suite, "nothing new", test_message_that_says_nothing_new);
        netns_test_add(suite, "set", test_vf_is_set_behind_our_back);
        netns_test_add(suite, "given back", test_vf_becomes_free_behind_our_back);
        netns_test_add(suite, "absent at first", test_vfs_absent_at_first);
        netns_test_add(suite, "vanish", test_vfs_vanish_under_a_guest);
        netns_test_add(suite, "reservation", test_reservation);
        netns_test_add(suite, "waiting", test_guest_waits_for_the_probe);
        netns_test_add(suite, "host driver", test_host_driver);
        if (netns_test_kernel_has("macvlan",
                                  "ip link add v0 type veth peer name v1 && ip link add link v0 name m0 type macvlan"))
                netns_test_add(suite, "upper device", test_device_on_the_host_netdev);
        netns_test_add(suite, "programs", test_programs_of_their_own);
        netns_test_add(suite, "MAC", test_mac_without_a_driver);
        netns_test_add(suite, "other guest", test_vf_of_a_guest_that_is_not_ours);
        netns_test_add(suite, "users", test_users_are_looked_for_on_a_worker);
        netns_test_add(suite, "users unknown", test_users_that_cannot_be_looked_for);
        netns_test_add(suite, "reserve", test_vfs_in_reserve_are_not_looked_at_again_and_again);
        netns_test_add(suite, "group", test_group_in_use);
        netns_test_add(suite, "arrival", test_arrival_waits_for_the_look);
        netns_test_add(suite, "off", test_vf_of_a_guest_that_is_off);
        netns_test_add(suite, "off and vfio-pci", test_named_vfs_on_a_vfio_driver);
        netns_test_add(suite, "own definition", test_own_definition_keeps_no_vf_from_a_guest_that_comes_back);
        netns_test_add(suite, "told", test_who_waits_for_a_named_vf_is_told);
        netns_test_add(suite, "defined before", test_definitions_are_known_before_guests);
        netns_test_add(suite, "defined and starts", test_named_vf_when_its_guest_starts_and_ends);
        netns_test_add(suite, "defined with another's", test_guest_is_defined_with_a_vf_that_is_in_use);
        netns_test_add(suite, "next conflict", test_next_conflict_is_told_too);
        netns_test_add(suite, "number and definition", test_number_under_a_named_vf);
        netns_test_add(suite, "asked", test_driver_is_asked_once);
        return netns_test_run(suite);
}
