/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Arrangements of devices beneath a bridge, each as a few lines of text, and what they come to. A line is one device:
 *
 *   NAME [kind=KIND] [in=MASTER] [on=LOWER] [tag=VLAN[/ad]] [mode=BOND_MODE] [active=MEMBER] [state=PORT_STATE] [down]
 *
 * The bridge is br0. A port forwards unless it says otherwise; devices are up with a carrier unless they are down.
 */

#include "vswitch/topology.h"

#include <check.h>
#include <linux/if_bridge.h>
#include <linux/if_bonding.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 32

struct world {
        struct vswitch_link links[LINKS_MAX];
        size_t count;
        struct topology topology;
};

struct arrangement {
        const char *title;
        const char *devices;
        const char *uplinks; /* configured names, blank-separated; "" for none */
        enum topology_verdict verdict;
        const char *active;  /* the PF, "" for none */
        const char *pfs;     /* "NAME/PORT" or "NAME/PORT/VLAN" of all PFs */
        const char *uplink;  /* the port towards the wire */
        const char *missing; /* "" for none */
};

static struct vswitch_link *find(struct world *world, const char *name)
{
        for (size_t i = 0; i < world->count; i++)
                if (strcmp(world->links[i].name, name) == 0)
                        return &world->links[i];
        ck_abort_msg("the arrangement has no %s", name);
}

static int index_of(struct world *world, const char *word)
{
        return find(world, strchr(word, '=') + 1)->ifindex;
}

static bool begins(const char *word, const char *with)
{
        return strncmp(word, with, strlen(with)) == 0;
}

static void describe(struct world *world, struct vswitch_link *link, const char *word)
{
        const char *value = strchr(word, '=') ? strchr(word, '=') + 1 : "";

        if (begins(word, "kind=")) {
                snprintf(link->kind, sizeof(link->kind), "%s", value);
        } else if (begins(word, "in=")) {
                link->master = index_of(world, word);
        } else if (begins(word, "on=")) {
                link->lower = index_of(world, word);
        } else if (begins(word, "tag=")) {
                link->vlan = (uint16_t) strtoul(value, NULL, 10);
                link->vlan_protocol = strstr(value, "/ad") ? 0x88a8 : 0x8100;
        } else if (begins(word, "mode=")) {
                link->bond_mode = (uint8_t) strtoul(value, NULL, 10);
        } else if (begins(word, "active=")) {
                link->bond_active = index_of(world, word);
        } else if (begins(word, "state=")) {
                link->port_state = (uint8_t) strtoul(value, NULL, 10);
        } else {
                ck_assert_str_eq(word, "down");
                link->up = link->carrier = false;
        }
}

static void each_line(struct world *world, const char *devices, void (*take)(struct world *, char *))
{
        char *text = strdup(devices), *rest = NULL;

        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                take(world, line);
        free(text);
}

static void take_name(struct world *world, char *line)
{
        struct vswitch_link *link = &world->links[world->count++];

        ck_assert_uint_le(world->count, LINKS_MAX);
        link->ifindex = (int) (10 + world->count);
        link->up = link->carrier = true;
        link->port_state = BR_STATE_FORWARDING;
        snprintf(link->name, sizeof(link->name), "%.*s", (int) strcspn(line, " "), line);
}

static void take_words(struct world *world, char *line)
{
        char *rest = NULL;
        struct vswitch_link *link = find(world, strtok_r(line, " ", &rest));

        for (char *word = strtok_r(NULL, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
                describe(world, link, word);
}

static void look(struct world *world, const char *uplinks)
{
        char *text = strdup(uplinks), *rest = NULL, *names[8];
        size_t count = 0;

        for (char *name = strtok_r(text, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
                names[count++] = name;
        topology_find(find(world, "br0")->ifindex, names, count, world->links, world->count, &world->topology);
        /* `missing` is compared at once: the names end here. */
        if (world->topology.missing) {
                static char missing[IF_NAMESIZE];

                snprintf(missing, sizeof(missing), "%s", world->topology.missing);
                world->topology.missing = missing;
        }
        free(text);
}

static void build(struct world *world, const char *devices, const char *uplinks)
{
        *world = (struct world){ 0 };
        take_name(world, (char[]){ "br0" });
        each_line(world, devices, take_name);
        find(world, "br0")->port_state = BR_STATE_DISABLED;
        snprintf(find(world, "br0")->kind, sizeof(world->links[0].kind), "bridge");
        each_line(world, devices, take_words);
        look(world, uplinks);
}

static const char *list_pfs(const struct topology *topology)
{
        static char text[512];
        size_t used = 0;

        text[0] = '\0';
        for (size_t i = 0; i < topology->pfs_count; i++) {
                const struct topology_pf *pf = &topology->pfs[i];

                used += (size_t) snprintf(text + used, sizeof(text) - used, "%s%s/%s", used ? " " : "", pf->link->name,
                                          pf->port->name);
                if (pf->wire_vlan)
                        used += (size_t) snprintf(text + used, sizeof(text) - used, "/%u", pf->wire_vlan);
        }
        return text;
}

#define BOND(mode, active)        "bond0 kind=bond in=br0 mode=" mode " active=" active "\neth0 in=bond0\neth1 in=bond0"
#define STP_STATES(first, second) "eth0 in=br0 state=" first "\neth1 in=br0 state=" second

static const struct arrangement arrangements[] = {
        /* One port, found or named. */
        { "nothing", "eth0", "", TOPOLOGY_NO_UPLINK, "", "", "", "" },
        { "one port", "eth0 in=br0", "", TOPOLOGY_ONE_PF, "eth0", "eth0/eth0", "eth0", "" },
        { "one port, named", "eth0 in=br0", "eth0", TOPOLOGY_ONE_PF, "eth0", "eth0/eth0", "eth0", "" },
        { "guests' ports are no uplinks",
          "tap0 kind=tun in=br0\nveth0 kind=veth in=br0\neth0 in=br0\nmv kind=macvlan in=br0", "", TOPOLOGY_ONE_PF,
          "eth0", "eth0/eth0", "eth0", "" },
        { "only guests' ports", "tap0 kind=tun in=br0\nveth0 kind=veth in=br0 on=eth0\neth0", "", TOPOLOGY_NO_UPLINK,
          "", "", "", "" },
        { "what is named is hardware whatever its kind", "up0 kind=veth in=br0 on=peer\npeer kind=veth", "up0",
          TOPOLOGY_ONE_PF, "up0", "up0/up0", "up0", "" },
        { "another bridge's port", "br1 kind=bridge\neth0 in=br1", "", TOPOLOGY_NO_UPLINK, "", "", "", "" },
        { "named, and another bridge's", "br1 kind=bridge\neth0 in=br1", "eth0", TOPOLOGY_NO_UPLINK, "", "", "",
          "eth0" },
        { "named, and nobody's", "eth0", "eth0", TOPOLOGY_NO_UPLINK, "", "", "", "eth0" },
        { "named, and not there", "eth1 in=br0", "eth0", TOPOLOGY_NO_UPLINK, "", "", "", "eth0" },
        { "one of two named is not there", "eth1 in=br0", "eth0 eth1", TOPOLOGY_ONE_PF, "eth1", "eth1/eth1", "eth1",
          "eth0" },
        { "a port that is not named does not count", "eth0 in=br0\neth1 in=br0", "eth0", TOPOLOGY_ONE_PF, "eth0",
          "eth0/eth0", "eth0", "" },
        { "a sole port without a carrier", "eth0 in=br0 down state=0", "", TOPOLOGY_ONE_PF, "eth0", "eth0/eth0", "eth0",
          "" },

        /* VLAN devices. */
        { "VLAN device", "eth0\nv20 kind=vlan on=eth0 tag=20 in=br0", "", TOPOLOGY_ONE_PF, "eth0", "eth0/v20/20", "v20",
          "" },
        { "VLAN device, named", "eth0\nv20 kind=vlan on=eth0 tag=20 in=br0", "v20", TOPOLOGY_ONE_PF, "eth0",
          "eth0/v20/20", "v20", "" },
        { "VLAN device; the PF is named", "eth0\nv20 kind=vlan on=eth0 tag=20 in=br0", "eth0", TOPOLOGY_NO_UPLINK, "",
          "", "", "eth0" },
        { "802.1ad", "eth0\nv20 kind=vlan on=eth0 tag=20/ad in=br0", "", TOPOLOGY_TAGS, "", "eth0/v20/20", "v20", "" },
        { "two tags", "eth0\nv20 kind=vlan on=eth0 tag=20\nv30 kind=vlan on=v20 tag=30 in=br0", "", TOPOLOGY_TAGS, "",
          "eth0/v30/20", "v30", "" },
        { "VLAN device on a veth is no uplink", "veth0 kind=veth\nv20 kind=vlan on=veth0 tag=20 in=br0", "",
          TOPOLOGY_NO_UPLINK, "", "", "", "" },
        { "VLAN device on a veth, named", "veth0 kind=veth\nv20 kind=vlan on=veth0 tag=20 in=br0", "v20",
          TOPOLOGY_ONE_PF, "veth0", "veth0/v20/20", "v20", "" },
        { "VLAN device of another namespace's device", "v20 kind=vlan tag=20 in=br0", "v20", TOPOLOGY_NO_UPLINK, "", "",
          "v20", "" },
        { "a PF and its VLAN device", "eth0 in=br0\nv20 kind=vlan on=eth0 tag=20 in=br0", "", TOPOLOGY_SEVERAL_UPLINKS,
          "", "eth0/eth0", "eth0", "" },

        /* Bonds and teams. */
        { "active-backup", BOND("1", "eth0"), "", TOPOLOGY_ONE_PF, "eth0", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "active-backup, the other", BOND("1", "eth1"), "", TOPOLOGY_ONE_PF, "eth1", "eth0/bond0 eth1/bond0", "bond0",
          "" },
        { "active-backup, named", BOND("1", "eth1"), "bond0", TOPOLOGY_ONE_PF, "eth1", "eth0/bond0 eth1/bond0", "bond0",
          "" },
        { "active-backup, none active",
          "bond0 kind=bond in=br0 mode=1 down state=0\neth0 in=bond0 down\neth1 in=bond0 down", "",
          TOPOLOGY_NO_ACTIVE_MEMBER, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "active-backup, one member", "bond0 kind=bond in=br0 mode=1 active=eth0\neth0 in=bond0", "", TOPOLOGY_ONE_PF,
          "eth0", "eth0/bond0", "bond0", "" },
        { "active-backup, the active one has just left",
          "bond0 kind=bond in=br0 mode=1 active=eth0\neth0\neth1 in=bond0", "", TOPOLOGY_NO_ACTIVE_MEMBER, "",
          "eth1/bond0", "bond0", "" },
        { "bond without members", "bond0 kind=bond in=br0 mode=1", "bond0", TOPOLOGY_NO_UPLINK, "", "", "bond0", "" },
        { "bond without members is nothing that is found", "bond0 kind=bond in=br0 mode=1", "", TOPOLOGY_NO_UPLINK, "",
          "", "", "" },
        { "bond of veths is nothing that is found",
          "bond0 kind=bond in=br0 mode=1 active=veth0\nveth0 kind=veth in=bond0", "", TOPOLOGY_NO_UPLINK, "", "", "",
          "" },
        { "VLAN device on active-backup",
          "bond0 kind=bond mode=1 active=eth1\neth0 in=bond0\neth1 in=bond0\nv20 kind=vlan on=bond0 tag=20 in=br0", "",
          TOPOLOGY_ONE_PF, "eth1", "eth0/v20/20 eth1/v20/20", "v20", "" },
        { "active-backup of VLAN devices",
          "bond0 kind=bond in=br0 mode=1 active=a\na kind=vlan on=eth0 tag=20 in=bond0\nb kind=vlan on=eth1 tag=21 "
          "in=bond0\neth0\neth1",
          "", TOPOLOGY_ONE_PF, "eth0", "eth0/bond0/20 eth1/bond0/21", "bond0", "" },
        { "a tag that only the backup has too many of",
          "bond0 kind=bond in=br0 mode=1 active=eth0\neth0 in=bond0\nb kind=vlan on=eth1 tag=21/ad in=bond0\neth1", "",
          TOPOLOGY_ONE_PF, "eth0", "eth0/bond0 eth1/bond0/21", "bond0", "" },
        { "balance-rr", BOND("0", "eth0"), "", TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "balance-xor", BOND("2", "eth0"), "", TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "broadcast", BOND("3", "eth0"), "", TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "LACP", BOND("4", "eth0"), "", TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "balance-tlb", BOND("5", "eth0"), "", TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "balance-alb", BOND("6", "eth0"), "", TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/bond0", "bond0", "" },
        { "VLAN device on LACP",
          "bond0 kind=bond mode=4\neth0 in=bond0\neth1 in=bond0\nv20 kind=vlan on=bond0 tag=20 in=br0", "",
          TOPOLOGY_IN_LAG, "", "eth0/v20/20 eth1/v20/20", "v20", "" },
        { "team", "team0 kind=team in=br0\neth0 in=team0\neth1 in=team0", "", TOPOLOGY_IN_LAG, "",
          "eth0/team0 eth1/team0", "team0", "" },

        /* Several uplinks and the spanning tree. */
        { "two that forward", STP_STATES("3", "3"), "", TOPOLOGY_SEVERAL_UPLINKS, "", "eth0/eth0 eth1/eth1", "eth0",
          "" },
        { "two that forward, named", STP_STATES("3", "3"), "eth1 eth0", TOPOLOGY_SEVERAL_UPLINKS, "",
          "eth1/eth1 eth0/eth0", "eth1", "" },
        { "the second is blocked", STP_STATES("3", "4"), "", TOPOLOGY_ONE_PF, "eth0", "eth0/eth0 eth1/eth1", "eth0",
          "" },
        { "the first is blocked", STP_STATES("4", "3"), "", TOPOLOGY_ONE_PF, "eth1", "eth0/eth0 eth1/eth1", "eth1",
          "" },
        { "the second listens", STP_STATES("3", "1"), "", TOPOLOGY_ONE_PF, "eth0", "eth0/eth0 eth1/eth1", "eth0", "" },
        { "the second has no carrier", STP_STATES("3", "0 down"), "", TOPOLOGY_ONE_PF, "eth0", "eth0/eth0 eth1/eth1",
          "eth0", "" },
        { "both learn", STP_STATES("2", "2"), "", TOPOLOGY_NOT_FORWARDING, "", "eth0/eth0 eth1/eth1", "eth0", "" },
        { "one lost its carrier, the other listens", STP_STATES("0 down", "1"), "", TOPOLOGY_NOT_FORWARDING, "",
          "eth0/eth0 eth1/eth1", "eth0", "" },
        { "both down", STP_STATES("0 down", "0 down"), "", TOPOLOGY_ALL_DOWN, "", "eth0/eth0 eth1/eth1", "eth0", "" },
        { "a sole port that listens", "eth0 in=br0 state=1", "", TOPOLOGY_NOT_FORWARDING, "", "eth0/eth0", "eth0", "" },
        { "a sole port that learns", "eth0 in=br0 state=2", "", TOPOLOGY_NOT_FORWARDING, "", "eth0/eth0", "eth0", "" },
        { "a sole port that is blocked", "eth0 in=br0 state=4", "", TOPOLOGY_NOT_FORWARDING, "", "eth0/eth0", "eth0",
          "" },
        { "a sole port that somebody disabled", "eth0 in=br0 state=0", "", TOPOLOGY_NOT_FORWARDING, "", "eth0/eth0",
          "eth0", "" },
        { "an active-backup bond that is blocked, and a port",
          "bond0 kind=bond in=br0 mode=1 active=eth0 state=4\neth0 in=bond0\neth1 in=bond0\neth2 in=br0", "",
          TOPOLOGY_ONE_PF, "eth2", "eth0/bond0 eth1/bond0 eth2/eth2", "eth2", "" },
        { "an active-backup bond, and a port that is blocked",
          "bond0 kind=bond in=br0 mode=1 active=eth0\neth0 in=bond0\neth1 in=bond0\neth2 in=br0 state=4", "",
          TOPOLOGY_ONE_PF, "eth0", "eth0/bond0 eth1/bond0 eth2/eth2", "bond0", "" },
        { "LACP that is blocked, and a port", "bond0 kind=bond in=br0 mode=4 state=4\neth0 in=bond0\neth1 in=br0", "",
          TOPOLOGY_ONE_PF, "eth1", "eth0/bond0 eth1/eth1", "eth1", "" },
        { "LACP, and a port that is blocked", "bond0 kind=bond in=br0 mode=4\neth0 in=bond0\neth1 in=br0 state=4", "",
          TOPOLOGY_IN_LAG, "", "eth0/bond0 eth1/eth1", "bond0", "" },
};

START_TEST(test_arrangement)
{
        const struct arrangement *wanted = &arrangements[_i];
        struct world world;

        build(&world, wanted->devices, wanted->uplinks);
        ck_assert_msg(world.topology.verdict == wanted->verdict, "%s: verdict %d, not %d", wanted->title,
                      world.topology.verdict, wanted->verdict);
        ck_assert_msg(strcmp(world.topology.active ? world.topology.active->link->name : "", wanted->active) == 0,
                      "%s: active", wanted->title);
        ck_assert_msg(strcmp(list_pfs(&world.topology), wanted->pfs) == 0, "%s: PFs are %s", wanted->title,
                      list_pfs(&world.topology));
        ck_assert_msg(strcmp(world.topology.uplink ? world.topology.uplink->name : "", wanted->uplink) == 0,
                      "%s: uplink", wanted->title);
        ck_assert_msg(strcmp(world.topology.missing ? world.topology.missing : "", wanted->missing) == 0, "%s: missing",
                      wanted->title);
}
END_TEST

START_TEST(test_what_is_missing_is_told_apart)
{
        struct world world;

        build(&world, "eth0", "eth0 eth1");
        ck_assert_str_eq(world.topology.missing, "eth0");
        ck_assert_ptr_eq(world.topology.missing_link, find(&world, "eth0"));
        build(&world, "eth0", "eth1");
        ck_assert_ptr_null(world.topology.missing_link);
}
END_TEST

START_TEST(test_devices_that_matter)
{
        struct world world;
        int bridge;

        build(&world,
              "bond0 kind=bond mode=1 active=eth0\neth0 in=bond0\neth1 in=bond0\neth2\nv20 kind=vlan on=bond0 tag=20 "
              "in=br0\ntap0 kind=tun in=br0\nbr1 kind=bridge\neth3 in=br1",
              "");
        bridge = find(&world, "br0")->ifindex;
        for (const char *const *name = (const char *const[]){ "bond0", "eth0", "eth1", "v20", NULL }; *name; name++)
                ck_assert_msg(topology_has_device(&world.topology.devices, find(&world, *name)->ifindex), "%s", *name);
        for (const char *const *name = (const char *const[]){ "eth2", "tap0", "eth3", "br1", NULL }; *name; name++) {
                ck_assert_msg(!topology_has_device(&world.topology.devices, find(&world, *name)->ifindex), "%s", *name);
                ck_assert_msg(!topology_may_gain(&world.topology.devices, bridge, find(&world, *name)), "%s", *name);
        }
        /* A device that joins the bond, or the bridge. */
        find(&world, "eth2")->master = find(&world, "bond0")->ifindex;
        ck_assert(topology_may_gain(&world.topology.devices, bridge, find(&world, "eth2")));
        find(&world, "eth3")->master = bridge;
        ck_assert(topology_may_gain(&world.topology.devices, bridge, find(&world, "eth3")));
        /* What says that the device became a port does not say what it is. */
        find(&world, "eth3")->is_port_message = true;
        ck_assert(!topology_may_gain(&world.topology.devices, bridge, find(&world, "eth3")));
}
END_TEST

START_TEST(test_more_pfs_than_there_is_room_for)
{
        char devices[512] = "bond0 kind=bond in=br0 mode=1";
        struct world world;

        for (int i = 0; i <= TOPOLOGY_PFS_MAX; i++)
                snprintf(devices + strlen(devices), sizeof(devices) - strlen(devices), "\neth%d in=bond0", i);
        build(&world, devices, "");
        ck_assert_uint_eq(world.topology.pfs_count, TOPOLOGY_PFS_MAX);
        ck_assert(world.topology.overflow);
}
END_TEST

START_TEST(test_devices_that_stand_on_each_other)
{
        struct world world;

        build(&world, "a kind=vlan on=b tag=1 in=br0\nb kind=vlan on=a tag=2", "a");
        ck_assert_int_eq(world.topology.verdict, TOPOLOGY_NO_UPLINK);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("topology");
        TCase *test_case = tcase_create("topology");
        SRunner *runner = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, test_case);
        tcase_add_loop_test(test_case, test_arrangement, 0, sizeof(arrangements) / sizeof(arrangements[0]));
        tcase_add_test(test_case, test_what_is_missing_is_told_apart);
        tcase_add_test(test_case, test_devices_that_matter);
        tcase_add_test(test_case, test_more_pfs_than_there_is_room_for);
        tcase_add_test(test_case, test_devices_that_stand_on_each_other);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
