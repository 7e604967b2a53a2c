/* SPDX-License-Identifier: Apache-2.0 */

/* The model behaves as the measured NIC does: the sequence of a move, step by step, with all three kinds of senders. */

#include "modelled_nic.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UPLINK 10
#define TAP    20
#define BRIDGE 30

static const struct vswitch_mac guest = { { 0x52, 0x54, 0, 0x12, 0x34, 0x56 } };

static struct modelled_pf *pf_model;
static struct modelled_switch *switch_model;
static struct modelled_vf *vf_model;
static struct pf *pf;
static struct softswitch *software_switch;

static void set_up(void)
{
        modelled_nic_reset();
        pf_model = modelled_pf_add("eth0", UPLINK, 4);
        switch_model = modelled_switch_add("br0", BRIDGE);
        vf_model = &pf_model->vfs[1];
        ck_assert_int_eq(modelled_pf_driver.open(NULL, "eth0", &pf, NULL), 0);
        ck_assert_int_eq(modelled_switch_driver.open(NULL, "br0", &software_switch, NULL), 0);
}

static void set_vf_mac(const struct vswitch_mac *mac)
{
        struct pf_vf_attributes wanted = { .valid = PF_VF_MAC, .mac = *mac };

        ck_assert_int_eq(pf->driver->set_attributes(pf, 1, &wanted, NULL), 0);
}

static void assert_all_reach_the_guest(void)
{
        for (int sender = 0; sender < MODELLED_SENDER_MAX; sender++)
                ck_assert_msg(modelled_guest_receives(pf_model, switch_model, TAP, vf_model, &guest,
                                                      (enum modelled_sender) sender),
                              "sender %d does not reach the guest", sender);
}

START_TEST(test_a_move_loses_nothing)
{
        struct vswitch_mac zero = { { 0 } };
        const struct softswitch_driver *s = software_switch->driver;

        /* Synthetic. */
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_int_eq(s->pin(software_switch, &guest, 0, TAP, NULL), 0);
        assert_all_reach_the_guest();

        /* Both paths deliver, before and after the guest's driver is up. */
        ck_assert_int_eq(s->copy_add(software_switch, &guest, 0, UPLINK, TAP, true, NULL), 0);
        ck_assert_int_eq(s->pin(software_switch, &guest, 0, UPLINK, NULL), 0);
        set_vf_mac(&guest);
        assert_all_reach_the_guest();
        for (int sender = 0; sender < MODELLED_SENDER_MAX; sender++)
                ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, (enum modelled_sender) sender),
                                  MODELLED_TAP | MODELLED_VF);
        vf_model->vectors = 3;
        assert_all_reach_the_guest();

        /* On the VF alone. */
        ck_assert_int_eq(s->copy_remove(software_switch, &guest, 0, UPLINK, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_remove(pf, &guest, NULL), 0);
        assert_all_reach_the_guest();
        for (int sender = 0; sender < MODELLED_SENDER_MAX; sender++)
                ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, (enum modelled_sender) sender),
                                  MODELLED_VF);

        /* And back. */
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_int_eq(s->copy_add(software_switch, &guest, 0, UPLINK, TAP, true, NULL), 0);
        assert_all_reach_the_guest();
        vf_model->vectors = 0;
        assert_all_reach_the_guest();
        ck_assert_int_eq(s->pin(software_switch, &guest, 0, TAP, NULL), 0);
        ck_assert_int_eq(s->copy_remove(software_switch, &guest, 0, UPLINK, NULL), 0);
        set_vf_mac(&zero);
        assert_all_reach_the_guest();
}
END_TEST

START_TEST(test_known_holes)
{
        /* A VF's neighbour cannot reach a bridged guest whose MAC the PF does not have. */
        ck_assert_int_eq(software_switch->driver->pin(software_switch, &guest, 0, TAP, NULL), 0);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_WIRE), MODELLED_TAP);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_VF), 0);

        /* A VF's MAC swallows the frames whether or not somebody drives the VF. */
        set_vf_mac(&guest);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_WIRE), MODELLED_VF);
        ck_assert(!modelled_guest_receives(pf_model, switch_model, TAP, vf_model, &guest, MODELLED_FROM_WIRE));

        /* With the pin on the uplink, both filters alone do not bring the wire's frames to the tap. */
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        ck_assert_int_eq(software_switch->driver->pin(software_switch, &guest, 0, UPLINK, NULL), 0);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_WIRE), MODELLED_VF);
}
END_TEST

START_TEST(test_steering_classes)
{
        ck_assert_int_eq(software_switch->driver->pin(software_switch, &guest, 0, TAP, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        set_vf_mac(&guest);

        pf_model->steering = MODELLED_PF_WINS;
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_VF), MODELLED_TAP);
        pf_model->steering = MODELLED_VF_WINS;
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_VF), MODELLED_VF);
        pf_model->steering = MODELLED_FOLLOWS_GUEST;
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_VF), MODELLED_TAP);
        vf_model->vectors = 1;
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_VF), MODELLED_VF);
}
END_TEST

START_TEST(test_faults_and_counters)
{
        struct pf_vf_attributes wanted = { .valid = PF_VF_MAC | PF_VF_TRUST, .mac = guest, .trust = true };
        struct vswitch_error error = { 0 };
        unsigned vectors;
        int tap;

        pf_model->refused_attributes = PF_VF_TRUST;
        ck_assert_int_eq(pf->driver->set_attributes(pf, 1, &wanted, &error), -EOPNOTSUPP);
        ck_assert_ptr_nonnull(strstr(error.text, "trust of VF 1 of eth0"));
        ck_assert(vswitch_mac_is_zero(&vf_model->attributes.mac));
        ck_assert_uint_eq(pf_model->writes, 0);
        pf_model->refused_attributes = 0;
        ck_assert_int_eq(pf->driver->set_attributes(pf, 1, &wanted, &error), 0);
        ck_assert_int_eq(pf->driver->set_attributes(pf, 1, &wanted, &error), 0);
        ck_assert_uint_eq(pf_model->writes, 2);

        pf_model->filter_capacity = 0;
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, &error), -ENOMEM);

        ck_assert_int_eq(pf->driver->vectors(pf, "0000:01:10.2", &vectors), -ENODATA);
        ck_assert_int_eq(pf->driver->bind(pf, "0000:01:10.2", "vfio-pci", &error), 0);
        ck_assert_int_eq(pf->driver->vectors(pf, "0000:01:10.2", &vectors), 0);
        ck_assert_uint_eq(vectors, 0);
        ck_assert_str_eq(modelled_vf_find("0000:01:10.2")->driver_override, "vfio-pci");
        vf_model->vectors = 3;
        ck_assert_int_eq(pf->driver->bind(pf, "0000:01:10.2", "igbvf", &error), -EBUSY);
        ck_assert_int_eq(pf->driver->bind(pf, "0000:0f:10.2", "igbvf", &error), -ENODEV);

        /* Half a rule, as a crash between two requests would leave it. */
        ck_assert_int_eq(software_switch->driver->copy_add(software_switch, &guest, 0, UPLINK, TAP, true, NULL), 0);
        switch_model->rules[0].egress_tap = 0;
        ck_assert_int_eq(software_switch->driver->copy_read(software_switch, &guest, 0, UPLINK, true, &tap, NULL), 0);
        ck_assert_int_eq(tap, -1);
}
END_TEST

START_TEST(test_stock_of_vfs)
{
        struct pf_vf_attributes *attributes = NULL;
        struct pf_vf_statistics statistics;
        struct vswitch_error error = { 0 };
        struct pf_vf *vfs = NULL;
        size_t count = 0;

        ck_assert_int_eq(pf->driver->list_attributes(pf, &attributes, &count, NULL), 0);
        ck_assert_uint_eq(count, 4);
        free(attributes);
        pf_model->refused_attributes = PF_VF_RATE;
        ck_assert_int_eq(pf->driver->ask_attributes(pf, 0, NULL), 0);
        ck_assert_uint_eq(pf->cannot_set, PF_VF_RATE);
        ck_assert_uint_eq(pf_model->writes, 0);

        ck_assert_int_eq(pf->driver->read_statistics(pf, 1, &statistics, &error), -EOPNOTSUPP);
        pf_model->counts = true;
        vf_model->statistics.sent_packets = 7;
        ck_assert_int_eq(pf->driver->read_statistics(pf, 1, &statistics, &error), 0);
        ck_assert_uint_eq(statistics.sent_packets, 7);

        /* VFs that a change makes are new, and no host driver has them. */
        set_vf_mac(&guest);
        ck_assert_int_eq(pf->driver->set_vf_count(pf, 5, &error), -ERANGE);
        ck_assert_int_eq(pf->driver->set_vf_count(pf, 2, &error), 0);
        ck_assert_int_eq(pf->driver->list_vfs(pf, &vfs, &count, NULL), 0);
        ck_assert_uint_eq(count, 2);
        ck_assert_str_eq(vfs[1].driver, "");
        ck_assert(vswitch_mac_is_zero(&vf_model->attributes.mac));
        free(vfs);
}
END_TEST

/* Everybody has a network: the tap's port and the VF's VLAN must say the same one. */
START_TEST(test_vlans)
{
        const struct softswitch_driver *s = software_switch->driver;
        struct pf_vf_attributes wanted = { .valid = PF_VF_VLAN | PF_VF_MAC, .vlan = 20, .mac = guest };
        struct modelled_port *uplink = modelled_port_find(switch_model, UPLINK);
        struct softswitch_port_vlans vlans;

        ck_assert_int_eq(s->set_access_vlan(software_switch, TAP, 20, NULL), -EOPNOTSUPP);
        switch_model->filters_vlans = true;
        modelled_port_add_vlan(uplink, 20, true);
        ck_assert_int_eq(s->set_access_vlan(software_switch, TAP, 20, NULL), 0);
        ck_assert_int_eq(s->read_port_vlans(software_switch, TAP, &vlans, NULL), 0);
        ck_assert(vlans.filters && vlans.pvid == 20 && vlans.count == 1 && softswitch_vlan_test(vlans.untagged, 20));

        /* A pin in a VLAN that its port is not in is refused, as by the kernel. */
        ck_assert_int_eq(s->pin(software_switch, &guest, 1, TAP, NULL), -EINVAL);
        ck_assert_int_eq(s->pin(software_switch, &guest, 20, TAP, NULL), 0);
        ck_assert_int_eq(pf->driver->uplink_filter_add(pf, &guest, NULL), 0);
        assert_all_reach_the_guest();
        ck_assert_uint_eq(modelled_paths_in_vlan(pf_model, switch_model, TAP, &guest, MODELLED_FROM_SWITCH, 1), 0);

        ck_assert_int_eq(pf->driver->set_attributes(pf, 1, &wanted, NULL), 0);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_WIRE),
                          MODELLED_TAP | MODELLED_VF);
        ck_assert_uint_eq(modelled_paths_in_vlan(pf_model, switch_model, TAP, &guest, MODELLED_FROM_WIRE, 1), 0);
        wanted.vlan = 30;
        ck_assert_int_eq(pf->driver->set_attributes(pf, 1, &wanted, NULL), 0);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_VF), MODELLED_TAP);
        vf_model->vectors = 3;
        ck_assert(!modelled_guest_receives(pf_model, switch_model, TAP, vf_model, &guest, MODELLED_FROM_VF));

        /* The copy rule is for one tag. */
        ck_assert_int_eq(s->pin(software_switch, &guest, 20, UPLINK, NULL), 0);
        ck_assert_int_eq(s->copy_add(software_switch, &guest, 0, UPLINK, TAP, true, NULL), 0);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_SWITCH), 0);
        ck_assert_int_eq(s->copy_add(software_switch, &guest, 20, UPLINK, TAP, true, NULL), 0);
        ck_assert_uint_eq(modelled_paths(pf_model, switch_model, TAP, &guest, MODELLED_FROM_SWITCH), MODELLED_TAP);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("modelled NIC");
        TCase *test_case = tcase_create("model");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_checked_fixture(test_case, set_up, NULL);
        tcase_add_test(test_case, test_a_move_loses_nothing);
        tcase_add_test(test_case, test_known_holes);
        tcase_add_test(test_case, test_steering_classes);
        tcase_add_test(test_case, test_faults_and_counters);
        tcase_add_test(test_case, test_vlans);
        tcase_add_test(test_case, test_stock_of_vfs);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
