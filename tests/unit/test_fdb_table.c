/* SPDX-License-Identifier: Apache-2.0 */

/* The table fed with notifications; tests/netns/test_overrun.c compares it with the kernel's. */

#include "vswitch/fdb_table.h"

#include <check.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000ull
#define BRIDGE 2
#define UPLINK 3
#define TAP    4
#define OTHER  5

static struct fdb_table *table;
static struct vswitch_mac moved;

static struct vswitch_mac mac(unsigned number)
{
        return (struct vswitch_mac){ { 0x02, 0, 0, (uint8_t) (number >> 16), (uint8_t) (number >> 8),
                                       (uint8_t) number } };
}

static int give(struct nl_msg *message, uint64_t now)
{
        int r = fdb_table_notify(table, nlmsg_hdr(message), now, &moved);

        nlmsg_free(message);
        return r;
}

static int neighbour(int type, unsigned number, int port, uint16_t vlan, uint16_t state, unsigned idle_seconds,
                     uint64_t now)
{
        struct ndmsg header = { .ndm_family = AF_BRIDGE, .ndm_ifindex = port, .ndm_state = state };
        struct nl_msg *message = vswitch_netlink_message(type, 0, &header, sizeof(header));
        struct nda_cacheinfo times = { .ndm_updated = idle_seconds * 100 };
        struct vswitch_mac address = mac(number);

        nla_put(message, NDA_LLADDR, sizeof(address.bytes), address.bytes);
        nla_put_u32(message, NDA_MASTER, BRIDGE);
        nla_put(message, NDA_CACHEINFO, sizeof(times), &times);
        if (vlan)
                nla_put_u16(message, NDA_VLAN, vlan);
        return give(message, now);
}

static int learn(unsigned number, int port, uint64_t now)
{
        return neighbour(RTM_NEWNEIGH, number, port, 0, NUD_REACHABLE, 0, now);
}

static int lose(unsigned number, int port, unsigned idle_seconds, uint64_t now)
{
        return neighbour(RTM_DELNEIGH, number, port, 0, NUD_STALE, idle_seconds, now);
}

/* `master` 0: no bridge. A port message is what the bridge itself sends. */
static int link_message(int type, bool is_port_message, int ifindex, int master, bool up, unsigned mac_number)
{
        struct ifinfomsg header = {
                .ifi_family = is_port_message ? AF_BRIDGE : AF_UNSPEC,
                .ifi_index = ifindex,
                .ifi_flags = up ? IFF_UP : 0,
        };
        struct nl_msg *message = vswitch_netlink_message(type, 0, &header, sizeof(header));
        struct vswitch_mac address = mac(mac_number);
        char name[] = "p0";

        name[1] = (char) ('0' + ifindex);
        nla_put_string(message, IFLA_IFNAME, name);
        nla_put(message, IFLA_ADDRESS, sizeof(address.bytes), address.bytes);
        if (master)
                nla_put_u32(message, IFLA_MASTER, (uint32_t) master);
        return give(message, 0);
}

static const struct fdb_table_entry *find(unsigned number, uint16_t vlan)
{
        struct vswitch_mac address = mac(number);

        return fdb_table_find(table, &address, vlan);
}

static bool is_quiet(unsigned number)
{
        return find(number, 0) && find(number, 0)->kind == FDB_QUIET;
}

static void set_up(void)
{
        static const int uplinks[] = { UPLINK };

        table = fdb_table_new(BRIDGE);
        ck_assert_ptr_nonnull(table);
        ck_assert_int_eq(fdb_table_set_uplinks(table, uplinks, 1), 0);
        ck_assert_int_eq(link_message(RTM_NEWLINK, false, BRIDGE, 0, true, 1000), FDB_TABLE_CHANGED);
        link_message(RTM_NEWLINK, true, UPLINK, BRIDGE, true, 1001);
        link_message(RTM_NEWLINK, true, TAP, BRIDGE, true, 1002);
        link_message(RTM_NEWLINK, true, OTHER, BRIDGE, true, 1003);
}

static void tear_down(void)
{
        fdb_table_free(table);
}

START_TEST(entries_come_change_and_go)
{
        ck_assert_int_eq(learn(1, TAP, SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(learn(1, TAP, 2 * SECOND), FDB_TABLE_SAME);
        ck_assert_uint_eq(find(1, 0)->active, 2 * SECOND);
        ck_assert_int_eq(neighbour(RTM_NEWNEIGH, 1, TAP, 0, NUD_NOARP, 0, SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(find(1, 0)->kind, FDB_STATIC);
        ck_assert_int_eq(neighbour(RTM_NEWNEIGH, 1, TAP, 7, NUD_PERMANENT, 0, SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(find(1, 7)->kind, FDB_LOCAL);
        ck_assert_uint_eq(fdb_table_count(table), 2);
        ck_assert_int_eq(neighbour(RTM_DELNEIGH, 1, TAP, 0, NUD_NOARP, 0, SECOND), FDB_TABLE_CHANGED);
        ck_assert_ptr_null(find(1, 0));
        ck_assert_int_eq(neighbour(RTM_DELNEIGH, 1, TAP, 7, NUD_PERMANENT, 0, SECOND), FDB_TABLE_CHANGED);
        ck_assert_uint_eq(fdb_table_count(table), 0);
        ck_assert_int_eq(lose(1, TAP, 0, SECOND), FDB_TABLE_SAME);
}
END_TEST

START_TEST(what_is_on_the_wire_only_is_no_news)
{
        struct vswitch_mac one = mac(1);

        ck_assert_int_eq(learn(1, UPLINK, SECOND), FDB_TABLE_SAME);
        ck_assert(fdb_table_is_on_uplink(table, &one));
        ck_assert_int_eq(lose(1, UPLINK, 300, 301 * SECOND), FDB_TABLE_SAME);
        ck_assert_ptr_null(find(1, 0));
}
END_TEST

START_TEST(an_aged_entry_is_quiet)
{
        learn(1, TAP, SECOND);
        ck_assert_int_eq(lose(1, TAP, 300, 400 * SECOND), FDB_TABLE_CHANGED);
        ck_assert(is_quiet(1));
        ck_assert_uint_eq(find(1, 0)->active, 100 * SECOND);
        ck_assert_int_eq(learn(1, TAP, 500 * SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(find(1, 0)->kind, FDB_LEARNED);
}
END_TEST

START_TEST(a_quiet_mac_on_the_wire_has_moved)
{
        learn(1, TAP, SECOND);
        lose(1, TAP, 300, 301 * SECOND);
        ck_assert_int_eq(learn(1, UPLINK, 302 * SECOND), FDB_TABLE_MOVED_TO_UPLINK);
        ck_assert(vswitch_mac_equal(&moved, &(struct vswitch_mac){ { 2, 0, 0, 0, 0, 1 } }));
        ck_assert(!is_quiet(1));

        /* Also in another VLAN. */
        learn(2, TAP, SECOND);
        lose(2, TAP, 300, 301 * SECOND);
        ck_assert_int_eq(neighbour(RTM_NEWNEIGH, 2, UPLINK, 9, NUD_REACHABLE, 0, SECOND), FDB_TABLE_MOVED_TO_UPLINK);
        ck_assert_ptr_null(find(2, 0));
}
END_TEST

START_TEST(a_mac_that_moves_to_the_wire_while_it_talks_is_told_at_once)
{
        struct vswitch_mac one = mac(1);

        learn(1, TAP, SECOND);
        ck_assert_int_eq(learn(1, OTHER, SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(learn(1, UPLINK, SECOND), FDB_TABLE_MOVED_TO_UPLINK);
        ck_assert(fdb_table_is_on_uplink(table, &one));
        ck_assert_int_eq(learn(1, TAP, SECOND), FDB_TABLE_CHANGED);
        ck_assert(!fdb_table_is_on_uplink(table, &one));
}
END_TEST

START_TEST(only_learned_entries_become_quiet)
{
        neighbour(RTM_NEWNEIGH, 1, TAP, 0, NUD_NOARP, 0, SECOND);
        neighbour(RTM_DELNEIGH, 1, TAP, 0, NUD_NOARP, 0, SECOND);
        neighbour(RTM_NEWNEIGH, 2, BRIDGE, 0, NUD_PERMANENT, 0, SECOND);
        neighbour(RTM_DELNEIGH, 2, BRIDGE, 0, NUD_PERMANENT, 0, SECOND);
        learn(3, UPLINK, SECOND);
        lose(3, UPLINK, 300, SECOND);
        ck_assert_uint_eq(fdb_table_count(table), 0);
}
END_TEST

/* The kernel says that the port is down and flushes its entries, in one order or the other. */
START_TEST(a_port_that_is_set_down_has_no_quiet_ones)
{
        learn(1, TAP, SECOND);
        lose(1, TAP, 0, SECOND);
        ck_assert_int_eq(link_message(RTM_NEWLINK, false, TAP, BRIDGE, false, 1002), FDB_TABLE_CHANGED);
        ck_assert_ptr_null(find(1, 0));
        link_message(RTM_NEWLINK, true, TAP, BRIDGE, true, 1002);
        learn(1, TAP, SECOND);
        link_message(RTM_NEWLINK, false, TAP, BRIDGE, false, 1002);
        lose(1, TAP, 0, SECOND);
        ck_assert_ptr_null(find(1, 0));
}
END_TEST

/* _i: the ways in which a port leaves. */
START_TEST(a_port_takes_its_entries_along)
{
        learn(1, TAP, SECOND);
        learn(2, TAP, SECOND);
        lose(2, TAP, 0, SECOND);
        learn(3, OTHER, SECOND);
        switch (_i) {
        case 0:
                ck_assert_int_eq(link_message(RTM_DELLINK, true, TAP, BRIDGE, true, 1002), FDB_TABLE_CHANGED);
                break;
        case 1:
                ck_assert_int_eq(link_message(RTM_DELLINK, false, TAP, 0, true, 1002), FDB_TABLE_CHANGED);
                break;
        default:
                ck_assert_int_eq(link_message(RTM_NEWLINK, false, TAP, 77, true, 1002), FDB_TABLE_CHANGED);
                break;
        }
        ck_assert_ptr_null(fdb_table_find_port(table, TAP));
        ck_assert_uint_eq(fdb_table_count(table), 1);
        ck_assert_int_eq(lose(1, TAP, 0, SECOND), FDB_TABLE_SAME);
}
END_TEST

START_TEST(messages_of_others_change_nothing)
{
        struct ndmsg header = { .ndm_family = AF_BRIDGE, .ndm_ifindex = TAP };
        struct vswitch_mac one = mac(1);
        struct nl_msg *own = vswitch_netlink_message(RTM_NEWNEIGH, 0, &header, sizeof(header));

        nla_put(own, NDA_LLADDR, sizeof(one.bytes), one.bytes); /* of the port's own list: no master */
        ck_assert_int_eq(give(own, SECOND), FDB_TABLE_SAME);
        ck_assert_int_eq(link_message(RTM_NEWLINK, false, 40, 41, true, 1004), FDB_TABLE_SAME);
        ck_assert_int_eq(link_message(RTM_DELLINK, false, 40, 41, true, 1004), FDB_TABLE_SAME);
        /* A PF's driver sends port messages without a bridge when its embedded switch changes its mode. */
        ck_assert_int_eq(link_message(RTM_NEWLINK, true, UPLINK, 0, true, 1001), FDB_TABLE_SAME);
        ck_assert_ptr_nonnull(fdb_table_find_port(table, UPLINK));
        ck_assert_uint_eq(fdb_table_count(table), 0);
}
END_TEST

START_TEST(quiet_ones_expire)
{
        learn(1, TAP, SECOND);
        learn(2, TAP, SECOND);
        lose(1, TAP, 0, 10 * SECOND);
        lose(2, TAP, 0, 20 * SECOND);
        ck_assert_uint_eq(fdb_table_expire(table, 30 * SECOND), 10 * SECOND + FDB_TABLE_QUIET_MAX);
        ck_assert_uint_eq(fdb_table_expire(table, 10 * SECOND + FDB_TABLE_QUIET_MAX),
                          20 * SECOND + FDB_TABLE_QUIET_MAX);
        ck_assert_ptr_null(find(1, 0));
        ck_assert(is_quiet(2));
        ck_assert_uint_eq(fdb_table_expire(table, 20 * SECOND + FDB_TABLE_QUIET_MAX), UINT64_MAX);
        ck_assert_uint_eq(fdb_table_count(table), 0);
}
END_TEST

START_TEST(a_quiet_mac_can_be_forgotten)
{
        struct vswitch_mac one = mac(1);

        learn(1, TAP, SECOND);
        fdb_table_forget_quiet(table, &one);
        ck_assert_ptr_nonnull(find(1, 0));
        lose(1, TAP, 0, SECOND);
        fdb_table_forget_quiet(table, &one);
        ck_assert_ptr_null(find(1, 0));
}
END_TEST

START_TEST(a_quiet_mac_outlives_a_restart)
{
        struct vswitch_mac one = mac(1), two = mac(2);

        ck_assert(fdb_table_restore_quiet(table, &one, TAP, SECOND));
        ck_assert(is_quiet(1));
        ck_assert_uint_eq(find(1, 0)->active, SECOND);
        ck_assert(!fdb_table_restore_quiet(table, &two, UPLINK, SECOND));
        ck_assert(!fdb_table_restore_quiet(table, &two, BRIDGE, SECOND));
        ck_assert(!fdb_table_restore_quiet(table, &two, 99, SECOND));
        neighbour(RTM_NEWNEIGH, 2, OTHER, 7, NUD_REACHABLE, 0, SECOND);
        ck_assert(!fdb_table_restore_quiet(table, &two, TAP, SECOND));
        ck_assert_ptr_null(find(2, 0));
        ck_assert_int_eq(learn(1, UPLINK, SECOND), FDB_TABLE_MOVED_TO_UPLINK);
}
END_TEST

START_TEST(a_guest_that_makes_macs_up_is_bounded)
{
        unsigned quiet = 0;

        for (unsigned i = 0; i < 5000; i++)
                learn(10000 + i, TAP, SECOND);
        ck_assert_uint_eq(fdb_table_count(table), FDB_TABLE_LEARNED_PER_PORT);
        for (unsigned i = 0; i < 5000; i++)
                lose(10000 + i, TAP, 300, 301 * SECOND);
        ck_assert_uint_eq(fdb_table_count(table), FDB_TABLE_QUIET_PER_PORT);
        for (unsigned i = 0; i < 5000; i++)
                quiet += is_quiet(10000 + i);
        ck_assert_uint_eq(quiet, FDB_TABLE_QUIET_PER_PORT);
        /* Not at the cost of another port. */
        learn(1, OTHER, SECOND);
        lose(1, OTHER, 300, 301 * SECOND);
        ck_assert(is_quiet(1));
}
END_TEST

START_TEST(who_was_there_before_a_flood_stays)
{
        learn(1, TAP, SECOND);
        learn(2, TAP, SECOND);
        lose(2, TAP, 300, 301 * SECOND);
        learn(3, UPLINK, 301 * SECOND);
        for (unsigned i = 0; i < FDB_TABLE_LEARNED_PER_PORT - 1; i++)
                ck_assert_int_eq(learn(10000 + i, TAP, 302 * SECOND), FDB_TABLE_CHANGED);
        ck_assert(!fdb_table_is_cut(table));
        /* News of a port that is full is none, so that a flood makes no work. */
        ck_assert_int_eq(learn(20000, TAP, 302 * SECOND), FDB_TABLE_SAME);
        ck_assert(fdb_table_is_cut(table));
        ck_assert_ptr_null(find(20000, 0));
        ck_assert_ptr_nonnull(find(1, 0));

        /* A quiet one that speaks again, static ones, and other ports. */
        ck_assert_int_eq(learn(2, TAP, 303 * SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(find(2, 0)->kind, FDB_LEARNED);
        ck_assert_int_eq(neighbour(RTM_NEWNEIGH, 4, TAP, 0, NUD_NOARP, 0, SECOND), FDB_TABLE_CHANGED);
        ck_assert_int_eq(learn(5, OTHER, SECOND), FDB_TABLE_CHANGED);
        for (unsigned i = 0; i < 2 * FDB_TABLE_LEARNED_PER_PORT; i++)
                learn(30000 + i, UPLINK, SECOND);
        ck_assert_ptr_nonnull(find(30000 + 2 * FDB_TABLE_LEARNED_PER_PORT - 1, 0));

        /* What moves to the full port is not where it was. */
        ck_assert_int_eq(learn(5, TAP, 304 * SECOND), FDB_TABLE_CHANGED);
        ck_assert_ptr_null(find(5, 0));
        ck_assert_int_eq(learn(3, TAP, 304 * SECOND), FDB_TABLE_SAME);
        ck_assert(!fdb_table_is_on_uplink(table, &(struct vswitch_mac){ { 2, 0, 0, 0, 0, 3 } }));

        /* Room again. */
        lose(10000, TAP, 0, 304 * SECOND);
        lose(10001, TAP, 0, 304 * SECOND);
        ck_assert_int_eq(learn(20001, TAP, 305 * SECOND), FDB_TABLE_CHANGED);
}
END_TEST

START_TEST(the_host_answers_to_the_bridges_address_not_to_its_ports)
{
        neighbour(RTM_NEWNEIGH, 1002, TAP, 0, NUD_PERMANENT, 0, SECOND);
        neighbour(RTM_NEWNEIGH, 1000, OTHER, 0, NUD_PERMANENT, 0, SECOND);
        neighbour(RTM_NEWNEIGH, 1, BRIDGE, 0, NUD_PERMANENT, 0, SECOND);
        learn(2, TAP, SECOND);
        ck_assert(!fdb_table_is_host(table, find(1002, 0)));
        ck_assert(fdb_table_is_host(table, find(1000, 0)));
        ck_assert(fdb_table_is_host(table, find(1, 0)));
        ck_assert(!fdb_table_is_host(table, find(2, 0)));
}
END_TEST

static int count_entry(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata)
{
        ck_assert_int_eq(entry->ifindex, port->ifindex);
        return ++*(int *) userdata == 3 ? 7 : 0;
}

static int count_port(const struct fdb_table_port *port, void *userdata)
{
        (*(int *) userdata)++;
        return 0;
}

START_TEST(iteration)
{
        int count = 0, ports = 0;

        learn(1, TAP, SECOND);
        learn(2, OTHER, SECOND);
        ck_assert_int_eq(fdb_table_for_each(table, count_entry, &count), 0);
        ck_assert_int_eq(count, 2);
        ck_assert_int_eq(fdb_table_for_each_on_port(table, TAP, count_entry, &count), 7);
        ck_assert_int_eq(fdb_table_for_each_port(table, count_port, &ports), 0);
        ck_assert_int_eq(ports, 3);
        ck_assert(fdb_table_find_port(table, UPLINK)->is_uplink);
        ck_assert_str_eq(fdb_table_find_port(table, TAP)->name, "p4");
}
END_TEST

START_TEST(a_port_that_becomes_an_uplink)
{
        static const int uplinks[] = { UPLINK, TAP };
        struct vswitch_mac two = mac(2);

        learn(1, TAP, SECOND);
        lose(1, TAP, 0, SECOND);
        learn(2, TAP, SECOND);
        ck_assert_int_eq(fdb_table_set_uplinks(table, uplinks, 2), 0);
        ck_assert_ptr_null(find(1, 0));
        ck_assert(fdb_table_is_on_uplink(table, &two));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("FDB table");
        TCase *test_case = tcase_create("notifications");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_add_test(test_case, entries_come_change_and_go);
        tcase_add_test(test_case, what_is_on_the_wire_only_is_no_news);
        tcase_add_test(test_case, an_aged_entry_is_quiet);
        tcase_add_test(test_case, a_quiet_mac_on_the_wire_has_moved);
        tcase_add_test(test_case, a_mac_that_moves_to_the_wire_while_it_talks_is_told_at_once);
        tcase_add_test(test_case, only_learned_entries_become_quiet);
        tcase_add_test(test_case, a_port_that_is_set_down_has_no_quiet_ones);
        tcase_add_loop_test(test_case, a_port_takes_its_entries_along, 0, 3);
        tcase_add_test(test_case, messages_of_others_change_nothing);
        tcase_add_test(test_case, quiet_ones_expire);
        tcase_add_test(test_case, a_quiet_mac_can_be_forgotten);
        tcase_add_test(test_case, a_quiet_mac_outlives_a_restart);
        tcase_add_test(test_case, a_guest_that_makes_macs_up_is_bounded);
        tcase_add_test(test_case, who_was_there_before_a_flood_stays);
        tcase_add_test(test_case, the_host_answers_to_the_bridges_address_not_to_its_ports);
        tcase_add_test(test_case, iteration);
        tcase_add_test(test_case, a_port_that_becomes_an_uplink);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
