/* SPDX-License-Identifier: Apache-2.0 */

/* Uplink filters on a device without SR-IOV: every Ethernet device has a unicast list of its own. */

#include "netns_test.h"

#include "vswitch/pf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GUEST "52:54:00:12:34:56"
#define OTHER "52:54:00:12:34:57"

static struct pf *open_pf(void)
{
        struct vswitch_error error = { 0 };
        struct pf *pf = NULL;

        netns_add_veth("w0", "w1", NULL);
        ck_assert_msg(pf_kernel_driver.open(netns_netlink, "w0", &pf, &error) == 0, "%s", error.text);
        return pf;
}

static size_t count_filters(struct pf *pf)
{
        struct vswitch_mac *macs = NULL;
        size_t count = 0;

        ck_assert_int_eq(pf->driver->uplink_filter_list(pf, &macs, &count, NULL), 0);
        free(macs);
        return count;
}

START_TEST(test_device_without_sriov)
{
        struct pf *pf = open_pf();
        struct pf *other = NULL;
        struct pf_vf_attributes attributes;
        struct pf_vf *vfs = NULL;
        struct vswitch_error error = { 0 };
        size_t count = 9;

        ck_assert_str_eq(pf->name, "w0");
        ck_assert_int_eq(pf->ifindex, netns_ifindex("w0"));
        ck_assert_uint_eq(pf->total_vfs, 0);
        ck_assert_str_eq(pf->address, "");
        ck_assert_int_eq(pf->driver->list_vfs(pf, &vfs, &count, NULL), 0);
        ck_assert_uint_eq(count, 0);
        ck_assert_int_eq(pf->driver->read_attributes(pf, 0, &attributes, &error), -ENODATA);
        ck_assert_str_eq(error.text, "w0 does not report a VF 0");
        pf->driver->close(pf);

        ck_assert_int_eq(pf_kernel_driver.open(netns_netlink, "nothing", &other, &error), -ENODEV);
}
END_TEST

START_TEST(test_add_list_remove)
{
        struct pf *pf = open_pf();
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_mac other = netns_mac(OTHER);
        struct vswitch_mac *macs = NULL;
        size_t count = 0;

        ck_assert_uint_eq(count_filters(pf), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_ptr_nonnull(strstr(netns_output("bridge fdb show dev w0 | grep " GUEST), "self permanent"));

        ck_assert_int_eq(pf->driver->uplink_filter_list(pf, &macs, &count, NULL), 0);
        ck_assert_uint_eq(count, 1);
        ck_assert(vswitch_mac_equal(&macs[0], &guest));
        free(macs);

        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &other, NULL), 0);
        ck_assert_uint_eq(count_filters(pf), 2);
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &guest, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &guest, NULL), 0);
        ck_assert_uint_eq(count_filters(pf), 1);
        ck_assert_int_eq(atoi(netns_output("bridge fdb show dev w0 | grep -c " OTHER)), 1);
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &other, NULL), 0);
        ck_assert_uint_eq(count_filters(pf), 0);
        pf->driver->close(pf);
}
END_TEST

START_TEST(test_list_is_the_devices_own)
{
        struct pf *pf = open_pf();
        struct vswitch_mac guest = netns_mac(GUEST);

        /* As an uplink it is a port: the bridge's entries for it are not its own, nor are multicast groups. */
        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set w0 master br0");
        netns_run("bridge fdb add " OTHER " dev w0 master static");
        netns_run("bridge fdb add 01:00:5e:00:00:55 dev w0 self");
        ck_assert_uint_eq(count_filters(pf), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_uint_eq(count_filters(pf), 1);

        /* And adding does not touch the bridge's. */
        ck_assert_int_eq(atoi(netns_output("bridge fdb show br br0 | grep -c '" GUEST ".*master'")), 0);
        pf->driver->close(pf);
}
END_TEST

START_TEST(test_many)
{
        struct pf *pf = open_pf();

        for (unsigned i = 0; i < 500; i++) {
                struct vswitch_mac mac = { { 0x52, 0x54, 0, 1, (uint8_t) (i >> 8), (uint8_t) i } };

                ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &mac, NULL), 0);
        }
        ck_assert_uint_eq(count_filters(pf), 500);
        pf->driver->close(pf);
}
END_TEST

START_TEST(test_device_that_is_gone)
{
        struct pf *pf = open_pf();
        struct vswitch_mac guest = netns_mac(GUEST);
        struct vswitch_error error = { 0 };

        netns_run("ip link del w0");
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "cannot add " GUEST " to the unicast list of w0"));
        pf->driver->close(pf);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("uplink filter");

        netns_test_add(suite, "no SR-IOV", test_device_without_sriov);
        netns_test_add(suite, "add, list, remove", test_add_list_remove);
        netns_test_add(suite, "own list", test_list_is_the_devices_own);
        netns_test_add(suite, "many", test_many);
        netns_test_add(suite, "gone", test_device_that_is_gone);
        return netns_test_run(suite);
}
