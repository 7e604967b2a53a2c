/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A PF with real drivers: igb and igbvf on emulated hardware, in the virtual machine that tests/vm/run boots. It has
 * two igb PFs on one wire: VM_PF with four VFs is the PF under test, VM_WIRE is everything else on the wire.
 *
 * Each test leaves the PF as it found it; the fixture compares what the kernel shows before and after.
 */

#include "tests/netns/netns_test.h"
#include "tests/vm/vfio_user.h"

#include "vswitch/link.h"
#include "vswitch/pf.h"
#include "vswitch/pf_card.h"
#include "vswitch/softswitch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST     "52:54:00:12:34:56"
#define NEIGHBOUR "52:54:00:00:00:01"
#define SENDER    "52:54:00:00:00:02"
#define VF_SENDER "52:54:00:00:00:03"

/* The VF that tests change, and one that only sends. */
#define VF       1
#define OTHER_VF 2
#define VF_COUNT 4

static const char *pf_name;
static const char *wire_name;
static struct pf *pf;
static char *golden;

static bool has_carrier(const char *name)
{
        struct vswitch_link link;

        return vswitch_link_get_by_name(netns_netlink, name, &link, NULL) == 0 && link.carrier;
}

/* Sets a link up and waits for its carrier. */
static void bring_up(const char *name)
{
        netns_run("ip link set %s up", name);
        for (int i = 0; i < 200 && !has_carrier(name); i++)
                usleep(100 * 1000);
        ck_assert_msg(has_carrier(name), "%s has no carrier", name);
}

static char *dump(void)
{
        return strdup(netns_output(
                "ip -d link show dev %s | sed 's/^[0-9]*: //'; bridge fdb show dev %s | sort; tc qdisc show dev %s; "
                "tc filter show dev %s ingress 2>/dev/null; cat /sys/class/net/%s/device/virtfn*/"
                "driver_override; ls -d /sys/class/net/%s/device/virtfn*/driver 2>/dev/null",
                pf_name, pf_name, pf_name, pf_name, pf_name, pf_name));
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        pf_name = getenv("VM_PF");
        wire_name = getenv("VM_WIRE");
        ck_assert_msg(pf_name && wire_name, "VM_PF and VM_WIRE must name the PFs");
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        ck_assert_msg(pf_kernel_driver.open(netns_netlink, pf_name, &pf, &error) == 0, "%s", error.text);
        /* It stays once it is there, as in the daemon; so it belongs to what was before. */
        netns_run("tc qdisc replace dev %s clsact", pf_name);
        bring_up(pf_name);
        golden = dump();
}

static void tear_down(void)
{
        char *now;

        pf->driver->close(pf);
        vswitch_netlink_close(netns_netlink);
        now = dump();
        ck_assert_str_eq(now, golden);
        free(now);
        free(golden);
}

/*
 * Helpers
 */

static struct pf_vf read_vf(unsigned index)
{
        struct vswitch_error error = { 0 };
        struct pf_vf vf = { 0 };

        ck_assert_msg(pf->driver->read_vf(pf, index, &vf, &error) == 0, "%s", error.text);
        return vf;
}

static struct pf_vf_attributes read_attributes(unsigned index)
{
        struct vswitch_error error = { 0 };
        struct pf_vf_attributes attributes = { 0 };

        ck_assert_msg(pf->driver->read_attributes(pf, index, &attributes, &error) == 0, "%s", error.text);
        return attributes;
}

static bool has_zero_mac(unsigned index)
{
        struct pf_vf_attributes attributes = read_attributes(index);

        return vswitch_mac_is_zero(&attributes.mac);
}

static void set_attributes(unsigned index, const struct pf_vf_attributes *wanted)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(pf->driver->set_attributes(pf, index, wanted, &error) == 0, "%s", error.text);
}

static void set_mac(unsigned index, const char *mac)
{
        struct pf_vf_attributes wanted = { .valid = PF_VF_MAC, .mac = netns_mac(mac) };

        set_attributes(index, &wanted);
}

static void bind_vf(unsigned index, const char *driver)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(pf->driver->bind(pf, read_vf(index).address, driver, &error) == 0, "%s", error.text);
        ck_assert_str_eq(read_vf(index).driver, driver);
}

/* A VF with a MAC and its network driver: what a guest would drive. Returns its netdev. */
static const char *drive_vf(unsigned index, const char *mac)
{
        static char netdev[VF_COUNT][IF_NAMESIZE];

        bind_vf(index, "");
        set_mac(index, mac);
        bind_vf(index, "igbvf");
        snprintf(netdev[index], IF_NAMESIZE, "%s", read_vf(index).netdev);
        bring_up(netdev[index]);
        return netdev[index];
}

/* As it was: without a driver, and with the MAC that its driver chose for it gone. */
static void give_back_vf(unsigned index)
{
        bind_vf(index, "");
        set_mac(index, "00:00:00:00:00:00");
}

/*
 * Attributes
 */

START_TEST(test_identity)
{
        struct pf_vf *vfs = NULL;
        size_t count = 0;

        ck_assert_str_eq(pf->kernel_driver, "igb");
        ck_assert_uint_eq(pf->total_vfs, 7);
        ck_assert_uint_eq(pf->vendor, 0x8086);
        ck_assert_uint_eq(pf->device, 0x10c9);
        ck_assert_uint_eq(pf->subsystem_vendor, 0x1af4);
        ck_assert(pf->is_emulated);
        ck_assert_str_eq(pf_card_find(pf)->name, "igb in QEMU");
        ck_assert_uint_eq(pf_card_filter_capacity(pf, VF_COUNT), 19);
        /* A driver of the kernel has the kernel's version. */
        ck_assert_msg(strncmp(pf->driver_version, netns_output("uname -r"), strlen(pf->driver_version)) == 0 &&
                              pf->driver_version[0] != '\0',
                      "\"%s\"", pf->driver_version);
        ck_assert_int_eq(pf->driver->list_vfs(pf, &vfs, &count, NULL), 0);
        ck_assert_uint_eq(count, VF_COUNT);
        for (unsigned i = 0; i < count; i++) {
                ck_assert_uint_eq(vfs[i].index, i);
                ck_assert_str_eq(vfs[i].driver, "");
                ck_assert_str_eq(vfs[i].netdev, "");
                ck_assert_str_ne(vfs[i].iommu_group, "");
        }
        free(vfs);
}
END_TEST

START_TEST(test_attributes_are_set_and_read_back)
{
        struct pf_vf_attributes before = read_attributes(VF);
        struct pf_vf_attributes wanted = {
                .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST | PF_VF_LINK_STATE,
                .mac = netns_mac(GUEST),
                .vlan = 5,
                .qos = 3,
                .vlan_protocol = 0x8100,
                .spoof_check = false,
                .trust = true,
                /* As it is: igb refuses to set it, so this passes only if it is not written. */
                .link_state = before.link_state,
        };
        struct pf_vf_attributes after;
        const char *shown;

        ck_assert_uint_eq(before.valid & wanted.valid, wanted.valid);
        set_attributes(VF, &wanted);
        after = read_attributes(VF);
        ck_assert(vswitch_mac_equal(&after.mac, &wanted.mac));
        ck_assert_uint_eq(after.vlan, 5);
        ck_assert_uint_eq(after.qos, 3);
        ck_assert_uint_eq(after.vlan_protocol, 0x8100);
        ck_assert(!after.spoof_check);
        ck_assert(after.trust);
        shown = netns_output("ip link show dev %s | grep 'vf %d '", pf_name, VF);
        ck_assert_ptr_nonnull(strstr(shown, GUEST));
        ck_assert_ptr_nonnull(strstr(shown, "vlan 5, qos 3"));
        ck_assert_ptr_nonnull(strstr(shown, "spoof checking off"));
        ck_assert_ptr_nonnull(strstr(shown, "trust on"));
        ck_assert(has_zero_mac(OTHER_VF));

        set_attributes(VF, &wanted);
        before.valid &= ~(uint32_t) PF_VF_RATE;
        set_attributes(VF, &before);
}
END_TEST

START_TEST(test_refusals_have_the_drivers_words)
{
        struct pf_vf_attributes link_state = { .valid = PF_VF_LINK_STATE, .link_state = IFLA_VF_LINK_STATE_ENABLE };
        struct pf_vf_attributes provider = { .valid = PF_VF_VLAN, .vlan = 5, .vlan_protocol = 0x88a8 };
        struct pf_vf_attributes group = { .valid = PF_VF_MAC, .mac = netns_mac("01:00:5e:00:00:01") };
        struct pf_vf_attributes rate = { .valid = PF_VF_RATE, .max_rate = 3000000 };
        struct vswitch_error error = { 0 };
        char expected[64];

        ck_assert_int_eq(pf->driver->set_attributes(pf, VF, &link_state, &error), -EOPNOTSUPP);
        snprintf(expected, sizeof(expected), "cannot set the link state of VF %d of %s: ", VF, pf_name);
        ck_assert_ptr_eq(strstr(error.text, expected), error.text);

        ck_assert_int_eq(pf->driver->set_attributes(pf, VF, &provider, &error), -EPROTONOSUPPORT);
        ck_assert_ptr_nonnull(strstr(error.text, "VLAN of VF"));
        ck_assert_int_eq(pf->driver->set_attributes(pf, VF, &group, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "MAC of VF"));
        ck_assert_int_eq(pf->driver->set_attributes(pf, VF, &rate, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "rate of VF"));

        ck_assert_int_eq(pf->driver->set_attributes(pf, 6, &group, &error), -ENODATA);
        ck_assert_ptr_nonnull(strstr(error.text, "does not report a VF 6"));
}
END_TEST

/* Each attribute alone: what is set is what the card reports and what ip(8) shows, and it goes back. */
START_TEST(test_each_attribute)
{
        static const struct {
                struct pf_vf_attributes wanted;
                const char *shown;
        } settings[] = {
                { { .valid = PF_VF_VLAN, .vlan = 7, .vlan_protocol = 0x8100 }, "vlan 7" },
                { { .valid = PF_VF_VLAN, .vlan = 7, .qos = 5, .vlan_protocol = 0x8100 }, "vlan 7, qos 5" },
                { { .valid = PF_VF_SPOOF_CHECK, .spoof_check = false }, "spoof checking off" },
                { { .valid = PF_VF_TRUST, .trust = true }, "trust on" },
                { { .valid = PF_VF_RATE, .max_rate = 100 }, "100Mbps" },
                { { .valid = PF_VF_MAC, .mac = { { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 } } }, GUEST },
        };
        struct pf_vf_attributes before = read_attributes(VF);

        bring_up(pf_name); /* a rate is a part of the link's speed */
        for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
                struct pf_vf_attributes back = before, after;
                const char *shown;

                set_attributes(VF, &settings[i].wanted);
                shown = netns_output("ip link show dev %s | grep 'vf %d '", pf_name, VF);
                ck_assert_msg(strstr(shown, settings[i].shown) != NULL, "%s: %s", settings[i].shown, shown);
                ck_assert_uint_ne(pf->can_set & settings[i].wanted.valid, 0);

                back.valid = settings[i].wanted.valid;
                set_attributes(VF, &back);
                after = read_attributes(VF);
                ck_assert_mem_eq(&after, &before, sizeof(after));
        }
}
END_TEST

START_TEST(test_the_driver_is_asked)
{
        struct vswitch_error error = { 0 };
        struct pf_vf_attributes link_state = { .valid = PF_VF_LINK_STATE, .link_state = IFLA_VF_LINK_STATE_ENABLE };

        bring_up(pf_name);
        ck_assert_uint_eq(pf->can_set | pf->cannot_set, 0);
        ck_assert_msg(pf->driver->ask_attributes(pf, VF, &error) == 0, "%s", error.text);
        ck_assert(pf->asked);
        ck_assert_uint_eq(pf->can_set, PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST | PF_VF_RATE);
        ck_assert_uint_eq(pf->cannot_set, PF_VF_LINK_STATE | PF_VF_QUERY_RSS);
        ck_assert_str_eq(pf->refusals[4], "Operation not supported");
        ck_assert_str_eq(pf->refusals[6], "the driver does not report it");
        ck_assert_uint_eq(pf->cannot_set & ~pf_card_find(pf)->cannot_set, 0);

        /* A value that is refused leaves the rest of the attribute what it was. */
        ck_assert_int_eq(pf->driver->set_attributes(pf, VF, &link_state, &error), -EOPNOTSUPP);
        ck_assert_uint_eq(pf->can_set & PF_VF_LINK_STATE, 0);
}
END_TEST

START_TEST(test_all_vfs_in_one_request)
{
        struct pf_vf_attributes *all = NULL;
        struct vswitch_error error = { 0 };
        size_t count = 0;

        set_mac(VF, GUEST);
        ck_assert_msg(pf->driver->list_attributes(pf, &all, &count, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(count, VF_COUNT);
        for (unsigned i = 0; i < count; i++) {
                struct pf_vf_attributes one = read_attributes(i);

                ck_assert_mem_eq(&all[i], &one, sizeof(one));
        }
        free(all);
        set_mac(VF, "00:00:00:00:00:00");
}
END_TEST

START_TEST(test_igb_does_not_count)
{
        struct pf_vf_statistics one, *all = NULL;
        struct vswitch_error error = { 0 };
        size_t count = 0;

        ck_assert_int_eq(pf->driver->read_statistics(pf, VF, &one, &error), -EOPNOTSUPP);
        ck_assert_ptr_nonnull(strstr(error.text, "driver igb of"));
        ck_assert_int_eq(pf->driver->list_statistics(pf, &all, &count, NULL), -EOPNOTSUPP);
}
END_TEST

START_TEST(test_mac_is_not_set_after_a_refusal)
{
        struct pf_vf_attributes wanted = {
                .valid = PF_VF_MAC | PF_VF_LINK_STATE,
                .mac = netns_mac(GUEST),
                .link_state = IFLA_VF_LINK_STATE_DISABLE,
        };

        ck_assert_int_eq(pf->driver->set_attributes(pf, VF, &wanted, NULL), -EOPNOTSUPP);
        ck_assert(has_zero_mac(VF));
}
END_TEST

START_TEST(test_attributes_while_the_pf_is_down)
{
        struct pf_vf_attributes rate = { .valid = PF_VF_RATE, .max_rate = 3000000 };
        struct vswitch_error error = { 0 };

        netns_run("ip link set %s down", pf_name);
        ck_assert_int_lt(pf->driver->set_attributes(pf, VF, &rate, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "(the PF is down)"));
        set_mac(VF, GUEST);
        set_mac(VF, "00:00:00:00:00:00");
        bring_up(pf_name);
}
END_TEST

START_TEST(test_uplink_filters)
{
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_mac *macs = NULL;
        size_t count = 0;

        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_list(pf, &macs, &count, NULL), 0);
        ck_assert_uint_eq(count, 1);
        ck_assert(vswitch_mac_equal(&macs[0], &guest));
        free(macs);
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &guest, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &guest, NULL), 0);
}
END_TEST

/*
 * Drivers
 */

START_TEST(test_bind_to_vfio_and_back)
{
        struct pf_vf vf = read_vf(VF);
        unsigned vectors = 9;
        char path[128];

        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", vf.address);
        /* The host's own vectors, under the VF's network driver, are not the guest's. */
        bind_vf(VF, "igbvf");
        netns_run("ip link set %s up", read_vf(VF).netdev);
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), -ENODATA);

        bind_vf(VF, "vfio-pci");
        bind_vf(VF, "vfio-pci");
        ck_assert_str_eq(read_vf(VF).netdev, "");
        ck_assert_str_eq(netns_output("cat %s", path), "vfio-pci\n");
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), 0);
        ck_assert_uint_eq(vectors, 0);

        bind_vf(VF, "");
        ck_assert_str_eq(netns_output("cat %s", path), "(null)\n");
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), 0);
        ck_assert_uint_eq(vectors, 0);
        bind_vf(VF, "igbvf");
        ck_assert_str_ne(read_vf(VF).netdev, "");
        ck_assert_str_eq(netns_output("cat %s", path), "(null)\n");
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), -ENODATA);
        give_back_vf(VF);
}
END_TEST

START_TEST(test_bind_with_autoprobe)
{
        netns_run("echo 1 >/sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name);
        bind_vf(VF, "igbvf");
        bind_vf(VF, "vfio-pci");
        bind_vf(VF, "igbvf");
        netns_run("echo 0 >/sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name);
        give_back_vf(VF);
}
END_TEST

START_TEST(test_bind_that_cannot_be)
{
        struct pf_vf vf = read_vf(VF);
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(pf->driver->bind(pf, vf.address, "nosuch-driver", &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "modprobe nosuch-driver"));
        ck_assert_str_eq(read_vf(VF).driver, "");

        /* A driver that is there and does not want it. */
        ck_assert_int_eq(pf->driver->bind(pf, vf.address, "pcieport", &error), -EIO);
        ck_assert_ptr_nonnull(strstr(error.text, "driver pcieport did not take"));
}
END_TEST

START_TEST(test_reset)
{
        struct pf_vf vf = read_vf(VF);
        struct vswitch_error error = { 0 };
        int r;

        bind_vf(VF, "vfio-pci");
        r = pf->driver->reset(pf, vf.address, &error);
        ck_assert_msg(r == 0, "%s", error.text);
        bind_vf(VF, "");
}
END_TEST

static bool is_open(const char *address)
{
        struct vswitch_error error = { 0 };
        bool open = false;

        ck_assert_msg(pf_vf_is_open(address, &open, &error) == 0, "%s", error.text);
        return open;
}

START_TEST(test_vf_in_use)
{
        struct vfio_user user = VFIO_USER_NONE;
        struct vswitch_error error = { 0 };
        struct pf_vf vf;
        unsigned vectors = 9;

        ck_assert(!is_open(read_vf(VF).address));
        bind_vf(VF, "vfio-pci");
        vf = read_vf(VF);
        ck_assert(!is_open(vf.address));

        /* The group alone is enough to be in somebody's hands. */
        vfio_user_open_group(&user, vf.iommu_group);
        ck_assert(is_open(vf.address));
        ck_assert_int_eq(pf->driver->bind(pf, vf.address, "vfio-pci", &error), -EBUSY);
        vfio_user_open_device(&user, vf.address);
        ck_assert(is_open(vf.address));
        ck_assert(!is_open(read_vf(OTHER_VF).address));
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), 0);
        ck_assert_uint_eq(vectors, 0);

        /* The guest's driver comes up, and goes. */
        vfio_user_set_vectors(&user, 3);
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), 0);
        ck_assert_uint_eq(vectors, 3);
        vfio_user_set_vectors(&user, 0);
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), 0);
        ck_assert_uint_eq(vectors, 0);

        /* The kernel would wait for ever for us to close it. */
        ck_assert_int_eq(pf->driver->bind(pf, vf.address, "igbvf", &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "is in use"));
        ck_assert_str_eq(read_vf(VF).driver, "vfio-pci");
        ck_assert_str_eq(netns_output("cat /sys/bus/pci/devices/%s/driver_override", vf.address), "vfio-pci\n");

        vfio_user_close(&user);
        ck_assert(!is_open(vf.address));
        bind_vf(VF, "");
}
END_TEST

START_TEST(test_vf_in_use_by_another_process)
{
        struct pf_vf vf;
        int ready[2];
        int done[2];
        pid_t child;
        char byte = 0;

        bind_vf(VF, "vfio-pci");
        vf = read_vf(VF);
        ck_assert_int_eq(pipe(ready), 0);
        ck_assert_int_eq(pipe(done), 0);
        child = fork();
        if (child == 0) {
                struct vfio_user user = VFIO_USER_NONE;

                close(done[1]);
                vfio_user_open_group(&user, vf.iommu_group);
                (void) !write(ready[1], "x", 1);
                (void) !read(done[0], &byte, 1);
                _exit(0);
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        ck_assert(is_open(vf.address));
        close(done[1]);
        waitpid(child, NULL, 0);
        ck_assert(!is_open(vf.address));
        bind_vf(VF, "");
}
END_TEST

/*
 * The number of VFs
 */

static void assert_vfs(unsigned count)
{
        struct pf_vf *vfs = NULL;
        size_t present = 0;

        ck_assert_int_eq(pf->driver->list_vfs(pf, &vfs, &present, NULL), 0);
        ck_assert_uint_eq(present, count);
        for (unsigned i = 0; i < present; i++) {
                ck_assert_uint_eq(vfs[i].index, i);
                ck_assert_str_eq(vfs[i].driver, "");
                ck_assert_str_eq(vfs[i].netdev, "");
        }
        free(vfs);
}

static unsigned autoprobe(void)
{
        return (unsigned) atoi(netns_output("cat /sys/class/net/%s/device/sriov_drivers_autoprobe", pf_name));
}

static void set_vf_count(unsigned count)
{
        struct vswitch_error error = { 0 };
        int r = pf->driver->set_vf_count(pf, count, &error);

        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
        assert_vfs(count);
}

/* VFs that are there again are as new; so is the golden dump. The driver restarts the PF for each change. */
static void give_back_vfs(void)
{
        set_vf_count(VF_COUNT);
        bring_up(pf_name);
}

START_TEST(test_number_of_vfs)
{
        struct vswitch_error error = { 0 };

        set_vf_count(7);
        ck_assert_uint_eq(autoprobe(), 0);
        ck_assert_int_eq(pf->driver->set_vf_count(pf, 8, &error), -ERANGE);
        ck_assert_ptr_nonnull(strstr(error.text, "can have 7 VFs at most"));
        assert_vfs(7);
        set_vf_count(1);
        set_vf_count(0);
        ck_assert_uint_eq(autoprobe(), 0); /* it is for the daemon to know what it was before */
        ck_assert_int_eq(pf->driver->set_autoprobe(pf, true, &error), 0);
        ck_assert_uint_eq(autoprobe(), 1);
        give_back_vfs();
        ck_assert_uint_eq(autoprobe(), 0);
}
END_TEST

START_TEST(test_number_while_a_vf_is_open)
{
        struct vfio_user user = VFIO_USER_NONE;
        struct vswitch_error error = { 0 };
        struct pf_vf vf;

        bind_vf(VF, "vfio-pci");
        vf = read_vf(VF);
        vfio_user_open_group(&user, vf.iommu_group);
        vfio_user_open_device(&user, vf.address);
        ck_assert_int_eq(pf->driver->set_vf_count(pf, 2, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, vf.address));
        ck_assert_str_eq(read_vf(VF).driver, "vfio-pci");
        vfio_user_close(&user);
        bind_vf(VF, "");
}
END_TEST

START_TEST(test_vfs_vanish_behind_our_back)
{
        struct pf_vf_attributes attributes, *all = NULL;
        struct pf_vf vf;
        size_t count = 9;
        unsigned vectors;

        bind_vf(VF, "vfio-pci");
        vf = read_vf(VF);
        netns_run("echo 0 >/sys/class/net/%s/device/sriov_numvfs", pf_name);
        ck_assert_int_eq(pf->driver->read_vf(pf, VF, &vf, NULL), -ENODEV);
        ck_assert_int_eq(pf->driver->vectors(pf, vf.address, &vectors), -ENODEV);
        ck_assert_int_lt(pf->driver->bind(pf, vf.address, "", NULL), 0);
        ck_assert_int_eq(pf->driver->read_attributes(pf, VF, &attributes, NULL), -ENODATA);
        ck_assert_int_eq(pf->driver->list_attributes(pf, &all, &count, NULL), 0);
        ck_assert_uint_eq(count, 0);
        free(all);
        assert_vfs(0);
        give_back_vfs();
}
END_TEST

static bool netdev_exists(void)
{
        struct vswitch_link link;

        return vswitch_link_get_by_name(netns_netlink, pf_name, &link, NULL) == 0;
}

/* The PF loses its driver while a VF is claimed, and gets it back: other netdev, no VFs. */
START_TEST(test_rebind_of_the_pf)
{
        struct pf_vf_attributes attributes;
        struct vswitch_error error = { 0 };
        struct pf_vf vf;
        int ifindex = pf->ifindex;

        bind_vf(VF, "vfio-pci");
        set_mac(VF, GUEST);
        vf = read_vf(VF);
        netns_run("echo %s >/sys/bus/pci/drivers/igb/unbind", pf->address);
        ck_assert(!netdev_exists());
        ck_assert_int_eq(pf->driver->read_vf(pf, VF, &vf, NULL), -ENODEV);
        assert_vfs(0);
        ck_assert_int_eq(pf->driver->read_attributes(pf, VF, &attributes, &error), -ENODEV);
        ck_assert_int_lt(pf->driver->set_attributes(pf, VF, &attributes, NULL), 0);
        /* Without its driver nobody makes VFs; what was written for them is taken back. */
        ck_assert_int_lt(pf->driver->set_vf_count(pf, 2, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot make 2 VFs of"));
        ck_assert_str_eq(netns_output("cat /sys/bus/pci/devices/%s/sriov_drivers_autoprobe", pf->address), "0\n");

        netns_run("echo %s >/sys/bus/pci/drivers/igb/bind", pf->address);
        for (int i = 0; i < 200 && !netdev_exists(); i++)
                usleep(100 * 1000);
        pf->driver->close(pf);
        ck_assert_msg(pf_kernel_driver.open(netns_netlink, pf_name, &pf, &error) == 0, "%s", error.text);
        ck_assert_int_ne(pf->ifindex, ifindex);
        ck_assert_uint_eq(pf->total_vfs, 7);
        netns_run("tc qdisc replace dev %s clsact", pf_name);
        bring_up(pf_name);
        /* As the machine has its PFs: without IPv6's multicast groups, which a netdev that is up leaves then. */
        netns_run("echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6", pf_name);
        give_back_vfs();
        ck_assert(has_zero_mac(VF));
}
END_TEST

/*
 * One switch: frames of all three kinds of senders while a NIC moves
 */

struct bench {
        struct softswitch *software_switch;
        struct vswitch_mac guest;
        int tap;
        const char *vf;
        const char *sender_vf;
        int tap_capture;
        int vf_capture;
};

enum {
        TAP_ONLY = 1,
        VF_ONLY = 2,
        BOTH = 3,
};

enum {
        FROM_WIRE,
        FROM_BRIDGE,
        FROM_OTHER_VF,
        SENDER_COUNT,
};

static void send_from_all(const struct bench *bench, uint32_t number)
{
        netns_send(wire_name, GUEST, SENDER, 0, number + FROM_WIRE);
        netns_send("n1", GUEST, NEIGHBOUR, 0, number + FROM_BRIDGE);
        netns_send(bench->sender_vf, GUEST, VF_SENDER, 0, number + FROM_OTHER_VF);
}

/* Each sender's frame comes once on each of `paths` and not on the other. The emulated igb gives the PF back a frame
 * that the PF itself sends, when the PF also wants it: that is how a neighbour's frame comes to the tap while both
 * paths deliver, without a mirror. */
static void assert_paths(const struct bench *bench, uint32_t number, unsigned paths, const char *when)
{
        static const char *const senders[SENDER_COUNT] = { "wire", "bridge", "other VF" };
        char seen[128];
        int length = 0;
        bool as_expected = true;

        send_from_all(bench, number);
        for (uint32_t i = 0; i < SENDER_COUNT; i++) {
                unsigned on_tap = netns_count(bench->tap_capture, number + i, NULL);
                unsigned on_vf = netns_count(bench->vf_capture, number + i, NULL);

                as_expected = as_expected && on_tap == !!(paths & TAP_ONLY) && on_vf == !!(paths & VF_ONLY);
                length += snprintf(seen + length, sizeof(seen) - (size_t) length, "; from %s: tap %u, VF %u",
                                   senders[i], on_tap, on_vf);
        }
        ck_assert_msg(as_expected, "%s%s", when, seen);
}

START_TEST(test_a_move_offers_every_frame)
{
        struct bench bench = { .guest = netns_mac(GUEST) };
        const struct softswitch_driver *s = &softswitch_bridge_driver;
        struct vswitch_error error = { 0 };

        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set %s master br0", pf_name);
        netns_add_veth("v0", "v1", "br0");
        netns_add_veth("n0", "n1", "br0");
        ck_assert_int_eq(s->open(netns_netlink, "br0", &bench.software_switch, &error), 0);
        bench.tap = netns_ifindex("v0");
        bench.sender_vf = drive_vf(OTHER_VF, VF_SENDER);
        bench.vf = drive_vf(VF, "52:54:00:00:00:04"); /* its driver has to be up to capture */
        bench.tap_capture = netns_capture("v1");

        /* Without the uplink filter the embedded switch keeps the bridge's MACs from the VFs. */
        ck_assert_int_eq(s->pin(bench.software_switch, &bench.guest, 0, bench.tap, &error), 0);
        netns_send(bench.sender_vf, GUEST, VF_SENDER, 0, 1);
        ck_assert_uint_eq(netns_count(bench.tap_capture, 1, NULL), 0);

        /* Synthetic. */
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &bench.guest, &error), 0);
        bench.vf_capture = netns_capture(bench.vf);
        assert_paths(&bench, 100, TAP_ONLY, "synthetic");
        close(bench.vf_capture);

        /* Both paths deliver. */
        bench.vf = drive_vf(VF, GUEST);
        bench.vf_capture = netns_capture(bench.vf);
        ck_assert_msg(s->copy_add(bench.software_switch, &bench.guest, 0, pf->ifindex, bench.tap, false, &error) == 0,
                      "%s", error.text);
        ck_assert_int_eq(s->pin(bench.software_switch, &bench.guest, 0, pf->ifindex, &error), 0);
        assert_paths(&bench, 200, BOTH, "both");

        /* On the VF. */
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &bench.guest, &error), 0);
        ck_assert_int_eq(s->copy_remove(bench.software_switch, &bench.guest, 0, pf->ifindex, &error), 0);
        assert_paths(&bench, 300, VF_ONLY, "on the VF");

        /* And back. */
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &bench.guest, &error), 0);
        ck_assert_int_eq(s->copy_add(bench.software_switch, &bench.guest, 0, pf->ifindex, bench.tap, false, &error), 0);
        assert_paths(&bench, 400, BOTH, "both again");
        ck_assert_int_eq(s->pin(bench.software_switch, &bench.guest, 0, bench.tap, &error), 0);
        ck_assert_int_eq(s->copy_remove(bench.software_switch, &bench.guest, 0, pf->ifindex, &error), 0);
        close(bench.vf_capture);
        bench.vf = drive_vf(VF, "52:54:00:00:00:04");
        bench.vf_capture = netns_capture(bench.vf);
        assert_paths(&bench, 500, TAP_ONLY, "synthetic again");

        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &bench.guest, &error), 0);
        s->close(bench.software_switch);
        give_back_vf(VF);
        give_back_vf(OTHER_VF);
        netns_run("ip link del br0; ip link del v0; ip link del n0");
}
END_TEST

START_TEST(test_announcement_leaves_on_the_wire)
{
        struct softswitch *software_switch = NULL;
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_error error = { 0 };
        struct netns_frame frame;
        int capture = netns_capture(wire_name);
        unsigned count = 0;

        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set %s master br0", pf_name);
        ck_assert_int_eq(softswitch_bridge_driver.open(netns_netlink, "br0", &software_switch, &error), 0);
        ck_assert_int_eq(software_switch->driver->announce(software_switch, &guest, 0, pf->ifindex, &error), 0);
        while (netns_receive(capture, &frame) >= 0)
                count += frame.data[12] == 0x80 && frame.data[13] == 0x35;
        ck_assert_uint_eq(count, 3);
        software_switch->driver->close(software_switch);
        netns_run("ip link del br0");
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
        Suite *suite = suite_create("PF");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_test(suite, "identity", test_identity);
        add_test(suite, "attributes", test_attributes_are_set_and_read_back);
        add_test(suite, "refusals", test_refusals_have_the_drivers_words);
        add_test(suite, "each attribute", test_each_attribute);
        add_test(suite, "asked", test_the_driver_is_asked);
        add_test(suite, "all VFs", test_all_vfs_in_one_request);
        add_test(suite, "statistics", test_igb_does_not_count);
        add_test(suite, "MAC last", test_mac_is_not_set_after_a_refusal);
        add_test(suite, "PF down", test_attributes_while_the_pf_is_down);
        add_test(suite, "uplink filters", test_uplink_filters);
        add_test(suite, "bind", test_bind_to_vfio_and_back);
        add_test(suite, "autoprobe", test_bind_with_autoprobe);
        add_test(suite, "impossible binds", test_bind_that_cannot_be);
        add_test(suite, "reset", test_reset);
        add_test(suite, "in use", test_vf_in_use);
        add_test(suite, "in use elsewhere", test_vf_in_use_by_another_process);
        add_test(suite, "number of VFs", test_number_of_vfs);
        add_test(suite, "number in use", test_number_while_a_vf_is_open);
        add_test(suite, "VFs vanish", test_vfs_vanish_behind_our_back);
        add_test(suite, "rebind", test_rebind_of_the_pf);
        add_test(suite, "move", test_a_move_offers_every_frame);
        add_test(suite, "announce", test_announcement_leaves_on_the_wire);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
