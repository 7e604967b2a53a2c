/* SPDX-License-Identifier: Apache-2.0 */

/* The whole daemon when a look at its bridge fails, and when the bridge is made again. */

#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NEIGHBOUR "52:54:00:00:00:77"

/* What each of them returns, 0: what the kernel says; and how often it failed so. */
static int list_error, get_error, make_error;
static unsigned failures;

static unsigned warnings; /* about the switch, to those who watch the daemon */

int __real_vswitch_link_list(struct vswitch_netlink *netlink, struct vswitch_link **ret, size_t *ret_count,
                             struct vswitch_error *error);
int __wrap_vswitch_link_list(struct vswitch_netlink *netlink, struct vswitch_link **ret, size_t *ret_count,
                             struct vswitch_error *error);
int __real_vswitch_link_get_by_name(struct vswitch_netlink *netlink, const char *name, struct vswitch_link *ret,
                                    struct vswitch_error *error);
int __wrap_vswitch_link_get_by_name(struct vswitch_netlink *netlink, const char *name, struct vswitch_link *ret,
                                    struct vswitch_error *error);
int __real_vswitch_link_add_bridge(struct vswitch_netlink *netlink, const char *name, struct vswitch_error *error);
int __wrap_vswitch_link_add_bridge(struct vswitch_netlink *netlink, const char *name, struct vswitch_error *error);
void __real_control_event(struct control *control, const char *kind, const char *subject, const char *sentence);
void __wrap_control_event(struct control *control, const char *kind, const char *subject, const char *sentence);

static int refuse(int result, struct vswitch_error *error)
{
        failures++;
        return vswitch_error_set(error, result, "the test: %s", strerror(-result));
}

int __wrap_vswitch_link_list(struct vswitch_netlink *netlink, struct vswitch_link **ret, size_t *ret_count,
                             struct vswitch_error *error)
{
        return list_error ? refuse(list_error, error) : __real_vswitch_link_list(netlink, ret, ret_count, error);
}

int __wrap_vswitch_link_get_by_name(struct vswitch_netlink *netlink, const char *name, struct vswitch_link *ret,
                                    struct vswitch_error *error)
{
        return get_error && strcmp(name, "br0") == 0 ? refuse(get_error, error)
                                                     : __real_vswitch_link_get_by_name(netlink, name, ret, error);
}

int __wrap_vswitch_link_add_bridge(struct vswitch_netlink *netlink, const char *name, struct vswitch_error *error)
{
        return make_error ? refuse(make_error, error) : __real_vswitch_link_add_bridge(netlink, name, error);
}

void __wrap_control_event(struct control *control, const char *kind, const char *subject, const char *sentence)
{
        warnings += strcmp(kind, "warning") == 0 && strcmp(subject, "br0") == 0;
        __real_control_event(control, kind, subject, sentence);
}

static struct manager_switch *br0(void)
{
        return &manager->switches[0];
}

static bool has_failed(void)
{
        return failures > 0;
}

static bool has_failed_again(void)
{
        return failures > 1;
}

static bool is_usable(void)
{
        return br0()->softswitch && br0()->pfs_count == 1 && br0()->sentence[0] == '\0';
}

static bool has_new_mtu(void)
{
        return br0()->uplink.mtu == 1600;
}

/* A guest on a VF while each look fails with `result`; `knob` is the one to turn. */
static void fail_under_a_guest(int *knob, int result)
{
        unsigned disturbed;

        stage_begin();
        start_guest_on_vf();
        disturbed = pf->writes + software_switch->writes;
        *knob = result;
        netns_run("ip link set up0 mtu 1600");
        RUN_UNTIL(has_failed);
        ck_assert(is_usable() && is_on_vf());

        /* By the clock: no link changes any more. */
        RUN_UNTIL(has_failed_again);
        ck_assert(is_usable() && is_on_vf() && !has_new_mtu());
        ck_assert_uint_eq(pf->writes + software_switch->writes, disturbed);
        ck_assert_uint_eq(warnings, 1);
        *knob = 0;
        RUN_UNTIL(has_new_mtu);
        ck_assert(is_usable() && is_on_vf());
        expect_reachable();
        ck_assert_uint_eq(switches_deadline(manager), FAILOVER_NEVER);
        stage_end();
}

START_TEST(links_that_cannot_be_listed_change_nothing)
{
        const int results[] = { -EAGAIN, -ENOBUFS, -EINTR };

        fail_under_a_guest(&list_error, results[_i]);
}
END_TEST

START_TEST(a_bridge_that_cannot_be_read_is_not_gone)
{
        fail_under_a_guest(&get_error, -ENOBUFS);
}
END_TEST

START_TEST(a_switch_that_could_not_be_read_at_the_start_is_read_later)
{
        stage_begin();
        stop_daemon();
        list_error = -ENOBUFS;
        start_daemon();
        ck_assert(!is_usable());
        ck_assert_ptr_nonnull(strstr(br0()->sentence, "tried again"));
        RUN_UNTIL(has_failed_again);
        ck_assert_uint_eq(warnings, 1);
        list_error = 0;
        RUN_UNTIL(is_usable);
        stage_end();
}
END_TEST

static bool has_no_bridge(void)
{
        return !br0()->softswitch && br0()->pfs_count == 0;
}

START_TEST(a_bridge_that_is_gone_is_dropped_and_not_looked_for)
{
        stage_begin();
        netns_run("ip link del br0");
        RUN_UNTIL(has_no_bridge);
        ck_assert_ptr_nonnull(strstr(br0()->sentence, "does not exist"));
        ck_assert_uint_eq(switches_deadline(manager), FAILOVER_NEVER);
        stage_end();
}
END_TEST

static bool has_bridge(void)
{
        return __real_vswitch_link_get_by_name(manager->netlink, "br0", &(struct vswitch_link){ 0 }, NULL) == 0;
}

START_TEST(a_bridge_that_cannot_be_made_is_made_later)
{
        stage_begin();
        config_switch.create = true;
        make_error = -ENOMEM;
        netns_run("ip link del br0");
        RUN_UNTIL(has_failed_again);
        ck_assert(!has_bridge());
        ck_assert_ptr_nonnull(strstr(br0()->sentence, "cannot set up the bridge br0"));
        ck_assert_uint_eq(warnings, 1);
        make_error = 0;
        RUN_UNTIL(has_bridge);
        stage_end();
}
END_TEST

/* ---- made again ---- */

static int find_neighbour(const struct control_switch *view, void *userdata)
{
        for (size_t i = 0; i < view->neighbours_count; i++)
                if (strcmp(view->neighbours[i].mac, NEIGHBOUR) == 0)
                        return 1;
        return 0;
}

static bool has_neighbour(void)
{
        return provider_table.switches(manager, find_neighbour, NULL) == 1;
}

static unsigned generation_before;

static bool is_another(void)
{
        return br0()->bridge_generation != generation_before && is_usable();
}

/* All of it before the daemon looks. */
static void make_bridge_again(const char *options)
{
        netns_run("ip link del br0; ip link add br0 %s type bridge && ip link set br0 up && "
                  "ip link set up0 master br0 && ip link set tap0 master br0",
                  options);
        software_switch->next_ifindex = netns_ifindex("br0");
}

/* The driver's handle of the new bridge is where that of the old one was. */
START_TEST(a_bridge_that_is_made_again_is_another_one)
{
        int before;

        stage_begin();
        before = software_switch->ifindex;
        generation_before = br0()->bridge_generation;
        make_bridge_again("");
        ck_assert_int_ne(software_switch->next_ifindex, before);
        RUN_UNTIL(is_another);
        netns_run("bridge fdb add " NEIGHBOUR " dev tap0 master static");
        RUN_UNTIL(has_neighbour);
        start_guest_on_vf();
        stage_end();
}
END_TEST

START_TEST(a_bridge_that_is_made_again_with_its_ifindex_is_another_one)
{
        char index[32];
        int before;

        stage_begin();
        before = software_switch->ifindex;
        generation_before = br0()->bridge_generation;
        snprintf(index, sizeof(index), "index %d", before);
        make_bridge_again(index);
        ck_assert_int_eq(software_switch->next_ifindex, before);
        RUN_UNTIL(is_another);
        start_guest_on_vf();
        stage_end();
}
END_TEST

START_TEST(a_bridge_that_is_called_otherwise_is_not_ours_any_more)
{
        stage_begin();
        netns_run("ip link set br0 down && ip link set br0 name br9");
        RUN_UNTIL(has_no_bridge);
        netns_run("ip link set br9 name br0 && ip link set br0 up");
        RUN_UNTIL(is_usable);
        stage_end();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("manager: switches");

        netns_test_add_loop(suite, "unreadable links", links_that_cannot_be_listed_change_nothing, 0, 3);
        netns_test_add(suite, "unreadable bridge", a_bridge_that_cannot_be_read_is_not_gone);
        netns_test_add(suite, "unreadable at the start", a_switch_that_could_not_be_read_at_the_start_is_read_later);
        netns_test_add(suite, "no bridge", a_bridge_that_is_gone_is_dropped_and_not_looked_for);
        netns_test_add(suite, "bridge not made", a_bridge_that_cannot_be_made_is_made_later);
        netns_test_add(suite, "made again", a_bridge_that_is_made_again_is_another_one);
        netns_test_add(suite, "made again, same ifindex", a_bridge_that_is_made_again_with_its_ifindex_is_another_one);
        netns_test_add(suite, "renamed", a_bridge_that_is_called_otherwise_is_not_ours_any_more);
        return netns_test_run(suite);
}
