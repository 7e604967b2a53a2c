/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon killed after each of its writes (tests/crash), with a modelled NIC and the kernel's real links. */

#include "tests/crash/matrix.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/modelled_nic.h"

#include <stdio.h>
#include <string.h>

/* ---- the model's drivers, counted ---- */

static unsigned model_writes(void)
{
        struct pf *pf = NULL;
        struct softswitch *software_switch = NULL;

        ck_assert_int_eq(modelled_pf_driver.open(NULL, "up0", &pf, NULL), 0);
        ck_assert_int_eq(modelled_switch_driver.open(NULL, CRASH_BRIDGE, &software_switch, NULL), 0);
        return ((struct modelled_pf *) pf)->writes + ((struct modelled_switch *) software_switch)->writes;
}

/* Only what changed something. */
#define COUNTED(call, what)                                                                                            \
        do {                                                                                                           \
                unsigned before = model_writes();                                                                      \
                int r = call;                                                                                          \
                if (model_writes() != before)                                                                          \
                        writes_count(what);                                                                            \
                return r;                                                                                              \
        } while (0)

static int set_attributes(struct pf *pf, unsigned index, const struct pf_vf_attributes *wanted,
                          struct vswitch_error *error)
{
        /* One at a time, as the kernel has them. */
        for (uint32_t bit = PF_VF_VLAN; bit <= PF_VF_QUERY_RSS; bit <<= 1) {
                struct pf_vf_attributes one = *wanted;
                unsigned before = model_writes();
                int r;

                one.valid &= bit;
                r = one.valid ? modelled_pf_driver.set_attributes(pf, index, &one, error) : 0;
                if (r < 0)
                        return r;
                if (model_writes() != before)
                        writes_count("attribute of a VF");
        }
        COUNTED(modelled_pf_driver.set_attributes(pf, index, wanted, error), "MAC of a VF");
}

static int uplink_filter_add(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        COUNTED(modelled_pf_driver.uplink_filter_add(pf, mac, error), "uplink filter, add");
}

static int uplink_filter_remove(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        COUNTED(modelled_pf_driver.uplink_filter_remove(pf, mac, error), "uplink filter, remove");
}

static int bind_vf(struct pf *pf, const char *vf_address, const char *driver, struct vswitch_error *error)
{
        int r = modelled_pf_driver.bind(pf, vf_address, driver, error);

        writes_count("bind");
        return r;
}

static int reset_vf(struct pf *pf, const char *vf_address, struct vswitch_error *error)
{
        int r = modelled_pf_driver.reset(pf, vf_address, error);

        writes_count("reset");
        return r;
}

static int pin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int port,
               struct vswitch_error *error)
{
        COUNTED(modelled_switch_driver.pin(software_switch, mac, vlan, port, error), "pin");
}

static int unpin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int port,
                 struct vswitch_error *error)
{
        COUNTED(modelled_switch_driver.unpin(software_switch, mac, vlan, port, error), "unpin");
}

static int copy_add(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int uplink,
                    int tap, bool mirror, struct vswitch_error *error)
{
        COUNTED(modelled_switch_driver.copy_add(software_switch, mac, vlan, uplink, tap, mirror, error),
                "copy rule, add");
}

static int copy_remove(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int uplink,
                       struct vswitch_error *error)
{
        COUNTED(modelled_switch_driver.copy_remove(software_switch, mac, vlan, uplink, error), "copy rule, remove");
}

static int announce(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int uplink,
                    struct vswitch_error *error)
{
        int r = modelled_switch_driver.announce(software_switch, mac, vlan, uplink, error);

        writes_count("announcement");
        return r;
}

static struct pf_driver counted_pf_driver;
static struct softswitch_driver counted_switch_driver;

/* ---- QEMU's end of a VF ---- */

static char vf_of_qemu[PF_ADDRESS_SIZE];

static void open_vf(const char *address)
{
        ck_assert_msg(modelled_vf_find(address) != NULL, "%s", address);
        ck_assert_str_eq(modelled_vf_find(address)->identity.driver, "vfio-pci");
        snprintf(vf_of_qemu, sizeof(vf_of_qemu), "%s", address);
}

static void set_vectors(unsigned count)
{
        modelled_vf_find(vf_of_qemu)->vectors = count;
}

static void close_vf(void)
{
}

static const struct crash_card card = {
        .pf_name = "up0",
        .pf_driver = &counted_pf_driver,
        .softswitch_driver = &counted_switch_driver,
        .lease_usec = 300 * USEC_PER_MSEC,
        .open_vf = open_vf,
        .set_vectors = set_vectors,
        .close_vf = close_vf,
};

static void begin(void)
{
        struct modelled_pf *pf;
        struct modelled_switch *software_switch;

        counted_pf_driver = modelled_pf_driver;
        counted_pf_driver.set_attributes = set_attributes;
        counted_pf_driver.uplink_filter_add = uplink_filter_add;
        counted_pf_driver.uplink_filter_remove = uplink_filter_remove;
        counted_pf_driver.bind = bind_vf;
        counted_pf_driver.reset = reset_vf;
        counted_switch_driver = modelled_switch_driver;
        counted_switch_driver.pin = pin;
        counted_switch_driver.unpin = unpin;
        counted_switch_driver.copy_add = copy_add;
        counted_switch_driver.copy_remove = copy_remove;
        counted_switch_driver.announce = announce;

        netns_run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        netns_run("ip link add " CRASH_BRIDGE " type bridge; ip link set " CRASH_BRIDGE " up");
        netns_add_veth("up0", "wire", CRASH_BRIDGE);
        netns_add_veth(CRASH_TAP, "guest", CRASH_BRIDGE);
        modelled_nic_share();
        pf = modelled_pf_add("up0", netns_ifindex("up0"), 2);
        pf->pf.driver = &counted_pf_driver;
        pf->pf.is_emulated = true;
        pf->reflects = true;
        for (size_t i = 0; i < pf->vf_count; i++) {
                pf->vfs[i].identity.driver[0] = '\0';
                pf->vfs[i].identity.netdev[0] = '\0';
        }
        software_switch = modelled_switch_add(CRASH_BRIDGE, netns_ifindex(CRASH_BRIDGE));
        software_switch->software_switch.driver = &counted_switch_driver;
        matrix_begin(&card);
}

/* _i: when the daemon is started again. */

START_TEST(acquire_and_end)
{
        begin();
        matrix_acquire_and_end(_i);
        matrix_end();
}
END_TEST

START_TEST(release_and_cancelled_migration)
{
        begin();
        matrix_release_and_cancelled_migration(_i);
        matrix_end();
}
END_TEST

START_TEST(migrations)
{
        begin();
        matrix_migrations(_i);
        matrix_end();
}
END_TEST

START_TEST(lease_that_ends)
{
        begin();
        matrix_lease_that_ends(_i);
        matrix_end();
}
END_TEST

START_TEST(full_disk_stops_an_acquire)
{
        begin();
        matrix_full_disk_stops_an_acquire();
        matrix_end();
}
END_TEST

START_TEST(full_disk_release)
{
        begin();
        matrix_full_disk_release(_i);
        matrix_end();
}
END_TEST

START_TEST(full_disk_new_guest)
{
        begin();
        matrix_full_disk_new_guest();
        matrix_end();
}
END_TEST

START_TEST(full_disk_lost_files)
{
        begin();
        matrix_full_disk_lost_files();
        matrix_end();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("crash");

        check_set_max_msg_size(32768); /* states and logs are long */
        netns_test_add_loop(suite, "acquire", acquire_and_end, 0, 2);
        netns_test_add_loop(suite, "release", release_and_cancelled_migration, 0, 2);
        netns_test_add_loop(suite, "migrations", migrations, 0, 2);
        netns_test_add_loop(suite, "lease", lease_that_ends, 0, 2);
        netns_test_add(suite, "full disk, acquire", full_disk_stops_an_acquire);
        netns_test_add_loop(suite, "full disk, release", full_disk_release, 0, 2);
        netns_test_add(suite, "full disk, new guest", full_disk_new_guest);
        netns_test_add(suite, "full disk, lost files", full_disk_lost_files);
        return netns_test_run(suite);
}
