/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon and what is behind the bridge besides its guests: a real bridge, and the modelled card's list. */

#include "src/daemon/neighbours.h"
#include "tests/netns/manager_stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
        return netns_output("cat %s/neighbours/%d.json 2>/dev/null", directory, pf->pf.ifindex);
}

/* A note of an earlier daemon about this netdev, as it wrote it. */
static void write_note(int file, int ifindex, const char *macs)
{
        netns_run("mkdir -p %s/neighbours; echo '{\"version\": 1, \"pf\": \"up0\", \"ifindex\": %d, \"macs\": %s}' "
                  ">%s/neighbours/%d.json",
                  directory, ifindex, macs, directory, file);
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
        write_note(netns_ifindex("up0"), netns_ifindex("up0"), "{\"" STATIC "\": 1, \"" OTHER "\": 1}");
        netns_run("touch %s/neighbours/%d.new", directory, netns_ifindex("up0"));
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

/* _i = 0: it is in the file that would be this one's. */
START_TEST(the_note_of_another_netdev_is_void)
{
        begin();
        stop_daemon();
        list_by_hand(OTHER);
        write_note(_i ? 9999 : netns_ifindex("up0"), 9999, "{\"" OTHER "\": 1}");
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
        netns_run("mkdir -p %s/neighbours; echo nonsense >%s/neighbours/%d.json", directory, directory,
                  netns_ifindex("up0"));
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

/* What the daemon says from now on. */
static void listen_to_log(void)
{
        char path[64];

        snprintf(path, sizeof(path), "%s/log", directory);
        ck_assert_ptr_nonnull(freopen(path, "we", stderr));
        setvbuf(stderr, NULL, _IONBF, 0);
}

static unsigned count_in_log(const char *text)
{
        return (unsigned) atoi(netns_output("grep -c '%s' %s/log || true", text, directory));
}

/* From ever new addresses. */
static void flood(const char *device, unsigned first, unsigned count)
{
        for (unsigned i = first; i < first + count; i++) {
                char text[VSWITCH_MAC_TEXT_SIZE];

                snprintf(text, sizeof(text), "02:00:00:01:%02x:%02x", i >> 8 & 0xff, i & 0xff);
                speak(device, text);
        }
}

static unsigned flood_size;

/* One that takes as many as one likes. */
static void use_a_large_card(void)
{
        stop_daemon();
        snprintf(pf->pf.kernel_driver, sizeof(pf->pf.kernel_driver), "large");
        start_daemon();
}

static bool crowd_is_told(void)
{
        return count("crowded", NULL) == flood_size - NEIGHBOURS_PER_PORT;
}

static bool crowd_is_gone(void)
{
        return count("crowded", NULL) == 0;
}

/* There is room for all of them, but they are one port's. */
START_TEST(a_flood_of_macs_gets_no_more_than_its_ports_share)
{
        begin();
        use_a_large_card();
        listen_to_log();
        netns_add_veth("d0", "d1", "br0");
        netns_run("bridge fdb add " STATIC " dev d0 master static");
        speak("d1", OTHER); /* before it begins */
        expect_listed(OTHER);
        flood_size = 301;
        flood("d1", 0, 300);
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        expect_listed(STATIC);
        RUN_UNTIL(crowd_is_told);
        ck_assert(none_is_left_out());
        ck_assert(is_listed(OTHER));
        ck_assert_uint_le(pf->filter_count, NEIGHBOURS_PER_PORT + 3); /* those, and the bridge's own */
        ck_assert_uint_eq(count_in_log("warning: d0: more than 64 addresses"), 1);

        flood_size = 401;
        flood("d1", 300, 100);
        RUN_UNTIL(crowd_is_told);
        ck_assert_uint_eq(count_in_log("more than 64 addresses"), 1);
        ck_assert(is_listed(OTHER));

        /* With its port they are gone. */
        netns_run("ip link del d0");
        expect_not_listed(STATIC);
        RUN_UNTIL(crowd_is_gone);
        ck_assert(is_listed(CONTAINER));
        stage_end();
}
END_TEST

/* Of all that is to be written, a turn of the loop does not write more than a part, and no pause follows. */
START_TEST(much_is_written_in_parts)
{
        unsigned most = 0, turns = 0;
        uint64_t begun;

        begin();
        use_a_large_card();
        stop_daemon();
        netns_run(
                "for i in $(seq 300); do printf 'fdb add 02:00:00:02:%%02x:%%02x dev c0 master static\\n' $((i / 256)) "
                "$((i %% 256)); done | bridge -batch -");
        start_daemon();
        begun = manager_now(manager);
        while (pf->filter_count < 300) {
                size_t before = pf->filter_count;

                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                ck_assert_uint_lt(manager_now(manager), begun + 10 * USEC_PER_SEC);
                if (pf->filter_count - before > most)
                        most = (unsigned) (pf->filter_count - before);
                turns += pf->filter_count > before;
        }
        ck_assert_uint_le(most, 64);
        ck_assert_uint_ge(turns, 5);
        catch_up();
        netns_run("ip link set c0 nomaster");
        most = 0;
        while (pf->filter_count > 1) {
                size_t before = pf->filter_count;

                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                ck_assert_uint_lt(manager_now(manager), begun + 30 * USEC_PER_SEC);
                if (before - pf->filter_count > most)
                        most = (unsigned) (before - pf->filter_count);
        }
        ck_assert_uint_le(most, 64);
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

/* Until a pass is over. */
static void catch_up_without_a_bridge(void)
{
        for (int i = 0; i < 20; i++)
                sd_event_run(loop, 10 * USEC_PER_MSEC);
}

static bool bridge_is_gone(void)
{
        return !manager->switches[0].neighbours;
}

/* The time has come for which that is planned. */
static void clean_up_now(void)
{
        ck_assert_uint_ne(manager->neighbourhood->leftovers_at, FAILOVER_NEVER);
        manager->neighbourhood->leftovers_at = manager->neighbourhood->look_at = manager_now(manager);
        manager_schedule(manager);
}

START_TEST(what_was_listed_for_a_bridge_that_goes_is_removed)
{
        begin();
        list_by_hand(FOREIGN);
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link del br0");
        RUN_UNTIL(bridge_is_gone);
        ck_assert_uint_eq(count("listed", NULL), 0);
        catch_up_without_a_bridge();
        ck_assert(is_listed(CONTAINER));
        /* It might return within a minute. */
        ck_assert_uint_gt(manager->neighbourhood->leftovers_at, manager_now(manager) + 30 * USEC_PER_SEC);
        clean_up_now();
        expect_not_listed(CONTAINER);
        ck_assert_str_eq(note(), "");
        ck_assert(is_listed(FOREIGN));

        /* It returns, and everything with it. */
        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set up0 master br0; ip link set c0 master "
                  "br0");
        software_switch->ifindex = netns_ifindex("br0");
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        stage_end();
}
END_TEST

START_TEST(a_bridge_that_went_while_no_daemon_ran_leaves_nothing)
{
        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        stop_daemon();
        netns_run("ip link del br0");
        start_daemon();
        expect_not_listed(CONTAINER);
        ck_assert_str_eq(note(), "");
        stage_end();
}
END_TEST

START_TEST(a_leftover_that_the_card_keeps_is_tried_again)
{
        begin();
        listen_to_log();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link set up0 nomaster");
        settle();
        stop_daemon();
        pf->unlist_error = -EIO;
        start_daemon();
        catch_up_without_a_bridge();
        ck_assert(is_listed(CONTAINER));
        ck_assert_ptr_nonnull(strstr(note(), CONTAINER));
        ck_assert_uint_eq(count_in_log("this card keeps what it has"), 1);
        /* The same again is not told again. */
        clean_up_now();
        catch_up_without_a_bridge();
        ck_assert_uint_eq(count_in_log("this card keeps what it has"), 1);
        pf->unlist_error = 0;
        clean_up_now();
        expect_not_listed(CONTAINER);
        ck_assert_str_eq(note(), "");
        stage_end();
}
END_TEST

/* Two that fail do not make each other news. */
START_TEST(each_leftover_that_the_card_keeps_is_told_once)
{
        struct modelled_pf *other;

        begin();
        listen_to_log();
        netns_add_veth("up5", "wire5", NULL);
        other = modelled_pf_add("up5", netns_ifindex("up5"), 0);
        other->filters[other->filter_count++] = netns_mac(OTHER);
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        netns_run("ip link set up0 nomaster");
        settle();
        stop_daemon();
        pf->unlist_error = other->unlist_error = -EIO;
        write_note(other->pf.ifindex, other->pf.ifindex, "{\"" OTHER "\": 1}");
        start_daemon();
        catch_up_without_a_bridge();
        ck_assert_uint_eq(count_in_log("this card keeps what it has"), 2);
        for (int i = 0; i < 3; i++) {
                clean_up_now();
                catch_up_without_a_bridge();
        }
        ck_assert_uint_eq(count_in_log("this card keeps what it has"), 2);
        stage_end();
}
END_TEST

static char *renamed[] = { (char[]){ "up0" }, (char[]){ "up9" } };

static void rename_up0(void)
{
        snprintf(pf->pf.name, sizeof(pf->pf.name), "up9");
        netns_run("ip link set up0 name up9");
}

static bool note_says_up9(void)
{
        return strstr(note(), "up9");
}

/* _i = 0: under the daemon's eyes; 1: while none runs; 2: that, and it is beneath no bridge any more. */
START_TEST(a_pf_that_is_renamed_keeps_what_is_ours)
{
        unsigned writes;

        config_switch.uplinks = renamed;
        config_switch.uplinks_count = 2;
        begin();
        list_by_hand(FOREIGN);
        netns_run("bridge fdb add " STATIC " dev c0 master static");
        expect_listed(STATIC);
        catch_up();
        writes = pf->writes;
        if (_i > 0)
                stop_daemon();
        if (_i == 2)
                netns_run("ip link set up0 nomaster");
        rename_up0();
        if (_i > 0)
                start_daemon();
        if (_i < 2) {
                RUN_UNTIL(note_says_up9);
                ck_assert_uint_eq(pf->writes, writes);
                stop_daemon();
                start_daemon();
                catch_up();
                ck_assert(is_listed(STATIC));
                netns_run("bridge fdb del " STATIC " dev c0 master");
        }
        expect_not_listed(STATIC);
        ck_assert(is_listed(FOREIGN));
        if (_i == 2)
                ck_assert_str_eq(note(), "");
        stage_end();
}
END_TEST

/* ---- notifications that are lost ---- */

/* Every turn of the loop finds that some were dropped. */
START_TEST(a_storm_is_answered_with_pauses)
{
        uint64_t begun, before;
        int small = 4096;

        begin();
        speak("c1", CONTAINER);
        expect_listed(CONTAINER);
        ck_assert_int_eq(setsockopt(vswitch_netlink_monitor_fd(manager->monitor), SOL_SOCKET, SO_RCVBUF, &small,
                                    sizeof(small)),
                         0);
        before = manager->resyncs;
        begun = manager_now(manager);
        for (int i = 0; i < 60; i++) {
                netns_run("for i in $(seq 20); do echo link set c0 alias a%d.$i; done | ip -batch -", i);
                for (int j = 0; j < 3; j++)
                        sd_event_run(loop, 0);
        }
        ck_assert_uint_gt(manager->resyncs, before);
        /* 100, 200, 400, 800 ms, and a second from then on. */
        ck_assert_uint_le(manager->resyncs - before, 5 + (manager_now(manager) - begun) / USEC_PER_SEC);
        /* What was lost is known soon. */
        netns_run("bridge fdb add " STATIC " dev c0 master static; for i in $(seq 200); do echo link set c0 alias b$i; "
                  "done | ip -batch -");
        expect_listed(STATIC);
        stage_end();
}
END_TEST

/* What the NICs read again counts, too: it is most of it where there are many. */
START_TEST(the_pause_after_a_loss_grows_with_all_that_is_read)
{
        uint64_t begun;

        begin();
        settle();
        manager->overrun.lost = true;
        overrun_reconcile(manager);
        ck_assert(!manager->overrun.lost);
        for (begun = manager_now(manager); manager_now(manager) < begun + 50 * USEC_PER_MSEC;)
                ;
        overrun_reconciled(manager);
        ck_assert_uint_ge(manager->overrun.pause, 500 * USEC_PER_MSEC);
        ck_assert_uint_gt(manager->overrun.read_at, begun);
        /* Nothing was lost since, so nothing was read. */
        begun = manager->overrun.read_at;
        overrun_reconcile(manager);
        overrun_reconciled(manager);
        ck_assert_uint_eq(manager->overrun.read_at, begun);
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
        netns_test_add_loop(suite, "the_note_of_another_netdev_is_void", the_note_of_another_netdev_is_void, 0, 2);
        ADD(a_note_that_cannot_be_read_makes_its_entries_foreign);
        ADD(without_a_note_nothing_is_added);
        ADD(what_is_removed_by_hand_comes_back);
        ADD(a_mac_of_a_vf_is_not_listed);
        ADD(a_nic_is_the_cores_once_it_is_known);
        ADD(the_less_important_is_left_out_and_a_guest_gets_in);
        ADD(a_port_with_many_macs_leaves_room_for_others);
        ADD(a_flood_of_macs_gets_no_more_than_its_ports_share);
        ADD(much_is_written_in_parts);
        ADD(a_card_that_takes_nothing_is_not_asked_for_ever);
        ADD(a_guest_with_several_macs_stays_synthetic);
        ADD(several_macs_are_noticed_while_the_guest_waits);
        ADD(on_a_vf_nothing_that_is_seen_at_the_tap_turns_it_back);
        ADD(what_is_listed_on_a_pf_that_left_is_removed_at_the_next_start);
        ADD(what_was_listed_for_a_bridge_that_goes_is_removed);
        ADD(a_bridge_that_went_while_no_daemon_ran_leaves_nothing);
        ADD(a_leftover_that_the_card_keeps_is_tried_again);
        ADD(each_leftover_that_the_card_keeps_is_told_once);
        netns_test_add_loop(suite, "a_pf_that_is_renamed_keeps_what_is_ours", a_pf_that_is_renamed_keeps_what_is_ours,
                            0, 3);
        ADD(a_storm_is_answered_with_pauses);
        ADD(the_pause_after_a_loss_grows_with_all_that_is_read);
        ADD(a_card_without_vfs_needs_no_list);
        return netns_test_run(suite);
}
