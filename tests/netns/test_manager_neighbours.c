/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon and what is behind the bridge besides its guests: a real bridge, and the modelled card's list. */

#include "tests/netns/manager_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTAINER "02:00:00:00:00:01"
#define STATIC    "02:00:00:00:00:02"
#define BRIDGE    "02:00:00:00:00:03"
#define MACVLAN   "02:00:00:00:00:04"
#define FOREIGN   "02:00:00:00:00:05"
#define OTHER     "02:00:00:00:00:06"
#define NOBODY    "02:00:00:00:00:07"

/* The address of a condition. */
static const char *wanted;

static bool is_listed(const char *text)
{
        struct vswitch_mac address = netns_mac(text);

        return modelled_pf_has_filter(pf, &address);
}

static bool wanted_is_listed(void)
{
        return is_listed(wanted);
}

static bool wanted_is_not_listed(void)
{
        return !is_listed(wanted);
}

static void expect_listed(const char *text)
{
        wanted = text;
        run_until(wanted_is_listed, text);
}

static void expect_not_listed(const char *text)
{
        wanted = text;
        run_until(wanted_is_not_listed, text);
}

static const char *note(void)
{
        return netns_output("cat %s/neighbours/up0.json 2>/dev/null", directory);
}

static void speak(const char *device, const char *source)
{
        netns_send(device, NOBODY, source, 0, 1);
}

static void list_by_hand(const char *text)
{
        pf->filters[pf->filter_count++] = netns_mac(text);
}

/* Until everything that has happened so far is in the list: a MAC that comes after it is. */
static void catch_up(void)
{
        static unsigned count;
        char text[VSWITCH_MAC_TEXT_SIZE];

        snprintf(text, sizeof(text), "02:00:00:00:ff:%02x", count++);
        netns_run("bridge fdb add %s dev c0 master static", text);
        expect_listed(text);
        netns_run("bridge fdb del %s dev c0 master", text);
        expect_not_listed(text);
}

/* With a container behind the bridge. */
static void begin(void)
{
        stage_begin();
        netns_add_veth("c0", "c1", "br0");
}

START_TEST(whatever_is_behind_the_bridge_is_listed)
{
        begin();
        speak("c1", CONTAINER);
        netns_run("bridge fdb add " STATIC " dev c0 master static");
        netns_run("ip link set br0 address " BRIDGE);
        expect_listed(CONTAINER);
        expect_listed(STATIC);
        expect_listed(BRIDGE);
        ck_assert_ptr_nonnull(strstr(note(), CONTAINER));
        ck_assert_ptr_nonnull(strstr(note(), BRIDGE));

        netns_run("bridge fdb del " STATIC " dev c0 master");
        expect_not_listed(STATIC);
        ck_assert_ptr_null(strstr(note(), STATIC));

        /* Not: the addresses of ports, which nobody sends to, the card's own, and what is on the wire. */
        speak("wire", OTHER);
        catch_up();
        ck_assert(!is_listed(OTHER));
        for (size_t i = 0; i < pf->filter_count; i++)
                ck_assert(pf->filters[i].bytes[0] == 0x02 && pf->filters[i].bytes[1] == 0);
        stage_end();
}
END_TEST

START_TEST(an_address_that_the_bridge_was_given_is_listed)
{
        begin();
        netns_run("ip link add m0 link br0 address " MACVLAN " type macvlan mode bridge; ip link set m0 up");
        expect_listed(MACVLAN);
        netns_run("ip link del m0");
        expect_not_listed(MACVLAN);
        stage_end();
}
END_TEST

/* The modelled card is as QEMU's igb unless it is told otherwise: it reflects. */
static void begin_with_a_card_that_does_not_reflect(void)
{
        emulated = false;
        begin();
}

START_TEST(a_mac_that_moves_to_the_wire_leaves_the_list)
{
        unsigned writes;

        begin_with_a_card_that_does_not_reflect();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        catch_up();
        writes = pf->writes;
        speak("wire", CONTAINER);
        expect_not_listed(CONTAINER);
        ck_assert_uint_eq(pf->writes, writes + 1);
        ck_assert_ptr_null(strstr(note(), CONTAINER));
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(an_echo_of_a_broadcast_is_no_move)
{
        unsigned writes;

        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        catch_up();
        writes = pf->writes;
        for (int i = 0; i < 10; i++) {
                speak("wire", CONTAINER);
                sd_event_run(loop, 20 * USEC_PER_MSEC);
                speak("c1", CONTAINER);
                sd_event_run(loop, 20 * USEC_PER_MSEC);
        }
        ck_assert_uint_eq(pf->writes, writes);
        ck_assert(is_listed(CONTAINER));
        /* It does not come back. */
        speak("wire", CONTAINER);
        expect_not_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_quiet_guest_stays_reachable_until_its_port_goes)
{
        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link set br0 type bridge fdb_flush");
        catch_up();
        ck_assert(is_listed(CONTAINER));

        /* Also over a restart: the kernel has nothing of it. */
        stop_daemon();
        ck_assert_str_eq(netns_output("bridge fdb show br br0 | grep " CONTAINER), "");
        start_daemon();
        catch_up();
        ck_assert(is_listed(CONTAINER));

        netns_run("ip link set c0 down");
        expect_not_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_quiet_guest_that_speaks_on_the_wire_has_moved)
{
        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link set br0 type bridge fdb_flush");
        catch_up();
        speak("wire", CONTAINER);
        expect_not_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_restart_with_nothing_to_do_writes_nothing)
{
        unsigned writes;
        char *before;

        begin();
        speak("c1", CONTAINER);
        netns_run("bridge fdb add " STATIC " dev c0 master static");
        start_guest();
        expect_listed(CONTAINER);
        expect_listed(STATIC);
        RUN_UNTIL(is_offering);
        catch_up();
        settle();
        before = strdup(note());
        writes = pf->writes;
        stop_daemon();
        ck_assert(is_listed(CONTAINER));
        start_daemon();
        settle();
        ck_assert_uint_eq(pf->writes, writes);
        ck_assert_str_eq(note(), before);
        free(before);
        /* It knows them as its own. */
        netns_run("bridge fdb del " STATIC " dev c0 master; ip link set c0 down");
        expect_not_listed(STATIC);
        expect_not_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_crash_between_note_and_write_leaves_nothing_unknown)
{
        begin();
        list_by_hand(FOREIGN);
        catch_up();
        stop_daemon();
        /* Noted and not yet listed; noted, listed, and gone since. */
        list_by_hand(OTHER);
        netns_run("mkdir -p %s/neighbours; echo '{\"version\": 1, \"pf\": \"up0\", \"ifindex\": %d, "
                  "\"macs\": {\"" STATIC "\": 1, \"" OTHER "\": 1}}' >%s/neighbours/up0.json; "
                  "touch %s/neighbours/up0.new",
                  directory, netns_ifindex("up0"), directory, directory);
        start_daemon();
        expect_not_listed(OTHER);
        catch_up();
        ck_assert(!is_listed(STATIC));
        ck_assert(is_listed(FOREIGN));
        ck_assert_ptr_null(strstr(note(), STATIC));
        ck_assert_ptr_null(strstr(note(), OTHER));
        stage_end();
}
END_TEST

START_TEST(the_note_of_another_netdev_is_void)
{
        begin();
        stop_daemon();
        list_by_hand(OTHER);
        netns_run("mkdir -p %s/neighbours; echo '{\"version\": 1, \"pf\": \"up0\", \"ifindex\": 9999, "
                  "\"macs\": {\"" OTHER "\": 1}}' >%s/neighbours/up0.json",
                  directory, directory);
        start_daemon();
        catch_up();
        ck_assert(is_listed(OTHER));
        stage_end();
}
END_TEST

START_TEST(a_note_that_cannot_be_read_makes_its_entries_foreign)
{
        begin();
        stop_daemon();
        list_by_hand(OTHER);
        netns_run("mkdir -p %s/neighbours; echo nonsense >%s/neighbours/up0.json", directory, directory);
        start_daemon();
        catch_up();
        ck_assert(is_listed(OTHER));
        stage_end();
}
END_TEST

START_TEST(without_a_note_nothing_is_added)
{
        begin();
        netns_run("rm -rf %s/neighbours; touch %s/neighbours", directory, directory);
        speak("c1", CONTAINER);
        netns_run("ip link set br0 address " BRIDGE);
        settle();
        for (int i = 0; i < 20; i++)
                sd_event_run(loop, 10 * USEC_PER_MSEC);
        ck_assert(!is_listed(CONTAINER));
        netns_run("rm %s/neighbours; mkdir %s/neighbours", directory, directory);
        expect_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(what_is_removed_by_hand_comes_back)
{
        struct vswitch_mac address = netns_mac(CONTAINER);

        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        /* The kernel's own device tells of it; the model's list is what counts. */
        netns_run("bridge fdb add " CONTAINER " dev up0 self");
        ck_assert_int_eq(pf->pf.driver->uplink_filter_remove(&pf->pf, &address, NULL), 0);
        netns_run("bridge fdb del " CONTAINER " dev up0 self");
        expect_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_mac_of_a_vf_is_not_listed)
{
        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        pf->vfs[1].attributes.mac = netns_mac(CONTAINER);
        netns_run("ip link set up0 alias changed"); /* as the kernel tells of a VF's change */
        expect_not_listed(CONTAINER);
        speak("c1", CONTAINER);
        catch_up();
        ck_assert(!is_listed(CONTAINER));
        stage_end();
}
END_TEST

/* A guest that libvirt has not told of yet is like any other port's; when it has, the NIC's entries are the core's. */
START_TEST(a_nic_is_the_cores_once_it_is_known)
{
        begin();
        speak("guest", MAC);
        expect_listed(MAC);
        ck_assert_ptr_nonnull(strstr(note(), MAC));
        start_guest();
        RUN_UNTIL(is_offering);
        catch_up();
        ck_assert_ptr_null(strstr(note(), MAC));
        ck_assert(is_listed(MAC));
        drive_guest(true);
        RUN_UNTIL(is_on_vf);
        catch_up();
        ck_assert(!is_listed(MAC));
        ck_assert(is_on_vf());
        stage_end();
}
END_TEST

/* ---- when not all fit ---- */

static const char *state_wanted;
static unsigned states_seen;

static int count_state(const struct control_neighbour *neighbour, void *userdata)
{
        states_seen +=
                strcmp(neighbour->state, state_wanted) == 0 && (!userdata || strcmp(neighbour->mac, userdata) == 0);
        return 0;
}

/* How many have this state; of this MAC only when it is given. */
static unsigned count(const char *state, const char *text)
{
        state_wanted = state;
        states_seen = 0;
        ck_assert_int_eq(neighbours_for_each(&manager->switches[0], count_state, (void *) text), 0);
        return states_seen;
}

static bool two_are_left_out(void)
{
        return count("left-out", NULL) == 2;
}

static bool three_are_left_out(void)
{
        return count("left-out", NULL) == 3;
}

static bool none_is_left_out(void)
{
        return count("left-out", NULL) == 0;
}

START_TEST(the_less_important_is_left_out_and_a_guest_gets_in)
{
        begin();
        netns_add_veth("d0", "d1", "br0");
        netns_run("ip link set br0 address " BRIDGE);
        expect_listed(BRIDGE);
        pf->filter_capacity = 4;
        list_by_hand(FOREIGN);
        speak("c1", CONTAINER);
        speak("d1", OTHER);
        speak("d1", MACVLAN);
        netns_run("bridge fdb add " STATIC " dev c0 master static");
        RUN_UNTIL(two_are_left_out);
        expect_listed(STATIC);
        ck_assert(is_listed(BRIDGE));
        ck_assert(is_listed(FOREIGN));
        ck_assert_uint_eq(count("foreign", NULL), 0); /* it is behind no port */

        /* The guest's NIC comes first, whatever the card has. */
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        expect_listed(MAC);
        RUN_UNTIL(three_are_left_out);
        ck_assert(is_listed(STATIC));
        ck_assert(is_listed(BRIDGE));
        ck_assert_uint_eq(pf->filter_count, 4);
        ck_assert_uint_eq(count("left-out", CONTAINER) + count("left-out", OTHER) + count("left-out", MACVLAN), 3);

        /* When there is room again, everybody is reachable again. */
        fake_guests_end(UUID, "stopped/destroyed");
        expect_not_listed(MAC);
        RUN_UNTIL(two_are_left_out);
        netns_run("bridge fdb del " STATIC " dev c0 master; ip link set d0 nomaster");
        RUN_UNTIL(none_is_left_out);
        expect_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_port_with_many_macs_leaves_room_for_others)
{
        begin();
        netns_add_veth("d0", "d1", "br0");
        pf->filter_capacity = 6;
        for (int i = 0; i < 40; i++) {
                char text[VSWITCH_MAC_TEXT_SIZE];

                snprintf(text, sizeof(text), "02:00:00:00:01:%02x", i);
                speak("d1", text);
        }
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        ck_assert_uint_le(pf->filter_count, 6);
        stage_end();
}
END_TEST

static bool both_are_left_out(void)
{
        return count("left-out", CONTAINER) == 1 && count("left-out", OTHER) == 1;
}

START_TEST(a_card_that_takes_nothing_is_not_asked_for_ever)
{
        unsigned writes;

        begin();
        pf->filter_capacity = 0;
        speak("c1", CONTAINER);
        speak("c1", OTHER);
        RUN_UNTIL(both_are_left_out);
        writes = pf->writes;
        for (int i = 0; i < 20; i++)
                sd_event_run(loop, 10 * USEC_PER_MSEC);
        ck_assert_uint_eq(pf->writes, writes);
        ck_assert_str_eq(note(), "");
        stage_end();
}
END_TEST

/* ---- NICs with more behind them ---- */

static bool has_several_macs(void)
{
        return nic() && nic()->decision.reason == FAILOVER_REASON_SEVERAL_MACS;
}

START_TEST(a_guest_with_several_macs_stays_synthetic)
{
        begin();
        speak("guest", OTHER);
        start_guest();
        RUN_UNTIL(has_several_macs);
        ck_assert(is_synthetic());
        ck_assert_uint_eq(neighbours_count_behind(nic()), 1);
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 0);
        expect_listed(OTHER);

        /* It has moved out. */
        speak("c1", OTHER);
        RUN_UNTIL(is_offering);
        stage_end();
}
END_TEST

START_TEST(several_macs_are_noticed_while_the_guest_waits)
{
        begin();
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        RUN_UNTIL(is_synthetic);
        speak("guest", OTHER);
        RUN_UNTIL(has_several_macs);
        stage_end();
}
END_TEST

START_TEST(on_a_vf_nothing_that_is_seen_at_the_tap_turns_it_back)
{
        begin();
        start_guest_on_vf();
        speak("guest", OTHER);
        catch_up();
        ck_assert_uint_eq(neighbours_count_behind(nic()), 0);
        settle();
        ck_assert(is_on_vf());
        stage_end();
}
END_TEST

/* ---- PFs and bridges that go ---- */

START_TEST(what_is_listed_on_a_pf_that_left_is_removed_at_the_next_start)
{
        begin();
        list_by_hand(FOREIGN);
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link set up0 nomaster");
        settle();
        ck_assert(is_listed(CONTAINER));
        stop_daemon();
        start_daemon();
        expect_not_listed(CONTAINER);
        ck_assert(is_listed(FOREIGN));
        ck_assert_str_eq(note(), "");
        netns_run("ip link set up0 master br0");
        expect_listed(CONTAINER);
        stage_end();
}
END_TEST

static bool bridge_is_gone(void)
{
        return !manager->switches[0].neighbours;
}

START_TEST(a_bridge_that_goes_leaves_the_list_as_it_is)
{
        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link del br0");
        RUN_UNTIL(bridge_is_gone);
        ck_assert(is_listed(CONTAINER));
        ck_assert_uint_eq(count("listed", NULL), 0);
        stage_end();
}
END_TEST

START_TEST(a_card_without_vfs_needs_no_list)
{
        begin();
        stop_daemon();
        pf->pf.total_vfs = 0;
        pf->vf_count = 0;
        start_daemon();
        speak("c1", CONTAINER);
        for (int i = 0; i < 20; i++)
                sd_event_run(loop, 10 * USEC_PER_MSEC);
        ck_assert_uint_eq(count("none", CONTAINER), 1);
        ck_assert(!is_listed(CONTAINER));
        stage_end();
}
END_TEST

#define ADD(test) netns_test_add(suite, #test, test)

int main(void)
{
        Suite *suite = suite_create("manager: neighbours");

        ADD(whatever_is_behind_the_bridge_is_listed);
        ADD(an_address_that_the_bridge_was_given_is_listed);
        ADD(a_mac_that_moves_to_the_wire_leaves_the_list);
        ADD(an_echo_of_a_broadcast_is_no_move);
        ADD(a_quiet_guest_stays_reachable_until_its_port_goes);
        ADD(a_quiet_guest_that_speaks_on_the_wire_has_moved);
        ADD(a_restart_with_nothing_to_do_writes_nothing);
        ADD(a_crash_between_note_and_write_leaves_nothing_unknown);
        ADD(the_note_of_another_netdev_is_void);
        ADD(a_note_that_cannot_be_read_makes_its_entries_foreign);
        ADD(without_a_note_nothing_is_added);
        ADD(what_is_removed_by_hand_comes_back);
        ADD(a_mac_of_a_vf_is_not_listed);
        ADD(a_nic_is_the_cores_once_it_is_known);
        ADD(the_less_important_is_left_out_and_a_guest_gets_in);
        ADD(a_port_with_many_macs_leaves_room_for_others);
        ADD(a_card_that_takes_nothing_is_not_asked_for_ever);
        ADD(a_guest_with_several_macs_stays_synthetic);
        ADD(several_macs_are_noticed_while_the_guest_waits);
        ADD(on_a_vf_nothing_that_is_seen_at_the_tap_turns_it_back);
        ADD(what_is_listed_on_a_pf_that_left_is_removed_at_the_next_start);
        ADD(a_bridge_that_goes_leaves_the_list_as_it_is);
        ADD(a_card_without_vfs_needs_no_list);
        return netns_test_run(suite);
}
