/* SPDX-License-Identifier: Apache-2.0 */

/* What the whole daemon shows of itself, taken from its control channel's provider. */

#include "tests/netns/manager_stage.h"

#include <stdio.h>
#include <string.h>

#define NEIGHBOUR "52:54:00:00:00:77"

/* Each checks one view and stops the iteration, so its result is the number of views that were checked. */

static int check_pf(const struct control_pf *view, void *userdata)
{
        const bool *counts = userdata;
        const struct control_vf *used = &view->vfs[0], *unused = &view->vfs[1];

        ck_assert_str_eq(view->name, "up0");
        ck_assert_str_eq(view->switch_name, "br0");
        ck_assert_str_eq(view->port, "up0");
        ck_assert_str_eq(view->driver, "igb");
        ck_assert_str_eq(view->firmware, "3.16");
        ck_assert_str_eq(view->steering, "both");
        ck_assert_str_ne(view->steering_source, "");
        ck_assert(view->active && view->up);
        ck_assert_uint_eq(view->can_set, PF_VF_VLAN);
        ck_assert_uint_eq(view->cannot_set, PF_VF_LINK_STATE | PF_VF_TRUST);
        ck_assert_str_eq(view->refusals[0], "trust: Operation not supported");
        ck_assert_str_eq(view->refusals[1], "link state: Operation not supported");
        ck_assert_ptr_null(view->refusals[2]);

        ck_assert_uint_eq(view->vfs_count, 2);
        ck_assert_str_eq(used->state, "claimed");
        ck_assert_str_eq(used->owner, "g1/ua-net0");
        ck_assert_str_eq(used->mac, MAC);
        ck_assert_uint_eq(used->vectors, 3);
        ck_assert_str_eq(unused->state, "free");
        ck_assert_str_eq(unused->mac, "");
        /* Each VF shows its own, not its neighbour's. */
        ck_assert_uint_eq(unused->attributes->max_rate, 700);
        ck_assert_uint_eq(used->attributes->max_rate, 0);
        if (*counts) {
                ck_assert_uint_eq(used->statistics->received_packets, 11);
                ck_assert_uint_eq(unused->statistics->received_packets, 22);
        } else
                ck_assert(!used->statistics && !unused->statistics);
        return 1;
}

static void prepare_card(bool counts)
{
        pf->counts = counts;
        pf->vfs[0].statistics.received_packets = 11;
        pf->vfs[1].statistics.received_packets = 22;
        pf->vfs[1].attributes.max_rate = 700;
        snprintf(pf->pf.firmware_version, sizeof(pf->pf.firmware_version), "3.16");
        pf->pf.can_set = PF_VF_VLAN;
        pf->pf.cannot_set = PF_VF_LINK_STATE | PF_VF_TRUST;
        /* By bit number; the list in between is empty. */
        memset(pf->pf.refusals, 0, sizeof(pf->pf.refusals));
        snprintf(pf->pf.refusals[3], sizeof(pf->pf.refusals[3]), "trust: Operation not supported");
        snprintf(pf->pf.refusals[4], sizeof(pf->pf.refusals[4]), "link state: Operation not supported");
}

static void show_card(bool counts)
{
        stage_begin();
        start_guest_on_vf();
        prepare_card(counts);
        ck_assert_int_eq(provider_table.pfs(manager, check_pf, &counts), 1);
        stage_end();
}

START_TEST(a_card_is_shown)
{
        show_card(false);
}
END_TEST

START_TEST(a_counting_card_is_shown)
{
        show_card(true);
}
END_TEST

static int check_card_without_vfs(const struct control_pf *view, void *userdata)
{
        ck_assert_uint_eq(view->vfs_count, 0);
        ck_assert_ptr_null(view->uplink_filters[0]);
        return 1;
}

START_TEST(a_card_without_vfs_is_shown)
{
        stage_begin();
        pf->vf_count = 0;
        pf->filter_count = 0;
        ck_assert_int_eq(provider_table.pfs(manager, check_card_without_vfs, NULL), 1);
        stage_end();
}
END_TEST

static int find_neighbour(const struct control_switch *view, void *userdata)
{
        ck_assert_str_eq(view->name, "br0");
        ck_assert_str_eq(view->device, "br0");
        ck_assert_str_eq(view->uplink, "up0");
        ck_assert(view->usable && view->iov && !view->filters_vlans);
        ck_assert_str_eq(view->pfs[0], "up0");
        ck_assert_ptr_null(view->pfs[1]);
        ck_assert_str_eq(view->obstacle, "");
        for (size_t i = 0; i < view->neighbours_count; i++)
                if (strcmp(view->neighbours[i].mac, NEIGHBOUR) == 0 && strcmp(view->neighbours[i].port, "tap0") == 0 &&
                    strcmp(view->neighbours[i].kind, "static") == 0 && strcmp(view->neighbours[i].state, "listed") == 0)
                        return 1;
        return 0;
}

static bool has_neighbour(void)
{
        return provider_table.switches(manager, find_neighbour, NULL) == 1;
}

START_TEST(a_switch_is_shown_with_its_neighbours)
{
        stage_begin();
        netns_run("bridge fdb add " NEIGHBOUR " dev tap0 master static");
        RUN_UNTIL(has_neighbour);
        stage_end();
}
END_TEST

static int check_unusable(const struct control_switch *view, void *userdata)
{
        return view->usable || !strstr(view->reason, "does not exist") || view->pfs[0] || view->neighbours_count > 0
                       ? 0
                       : 1;
}

static bool is_unusable(void)
{
        return provider_table.switches(manager, check_unusable, NULL) == 1;
}

START_TEST(a_switch_without_a_bridge_is_shown)
{
        stage_begin();
        netns_run("ip link del br0");
        RUN_UNTIL(is_unusable);
        stage_end();
}
END_TEST

static int check_nic(const struct control_nic *view, void *userdata)
{
        ck_assert_str_eq(view->alias, "ua-net0");
        ck_assert_str_eq(view->path, "vf");
        ck_assert_uint_eq(view->vlan, 0);
        ck_assert_uint_eq(view->policy->weight, 50);
        return 1;
}

START_TEST(a_nic_is_shown_with_its_policy)
{
        stage_begin();
        start_guest_on_vf();
        ck_assert_int_eq(provider_table.nics(manager, check_nic, NULL), 1);
        stage_end();
}
END_TEST

START_TEST(an_unknown_pf_is_refused)
{
        const struct control_caller caller = { .connection = 9, .description = "the test" };
        struct vswitch_error error = { 0 };
        char addresses[1][PF_ADDRESS_SIZE];

        stage_begin();
        ck_assert_int_lt(provider_table.pf_set_vfs(manager, "up9", 1, false, &caller, NULL, NULL, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "up9"));
        ck_assert_int_lt(provider_table.pf_reserve(manager, "up9", 1, &caller, addresses, &error), 0);
        ck_assert_int_lt(provider_table.pf_reload(manager, "up9", &caller, &error), 0);
        ck_assert_ptr_nonnull(strstr(error.text, "up9"));
        stage_end();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("manager: views");

        netns_test_add(suite, "card", a_card_is_shown);
        netns_test_add(suite, "counting card", a_counting_card_is_shown);
        netns_test_add(suite, "card without VFs", a_card_without_vfs_is_shown);
        netns_test_add(suite, "switch", a_switch_is_shown_with_its_neighbours);
        netns_test_add(suite, "switch without a bridge", a_switch_without_a_bridge_is_shown);
        netns_test_add(suite, "NIC", a_nic_is_shown_with_its_policy);
        netns_test_add(suite, "unknown PF", an_unknown_pf_is_refused);
        return netns_test_run(suite);
}
