/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One switch: a guest on a VF of a real (emulated) igb, and whatever is behind the software switch on the same PF, with
 * and without vswitch. The manager is the real one, with the real bridge and PF drivers; only libvirt is a model.
 *
 * Everybody is a network namespace: "vf" has the VF's netdev, the others a veth whose other end is a port of br0, or a
 * macvlan on br0 (a container without a port of its own). Each test leaves the PF's unicast list as it found it.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/fake_guests.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define VF_MAC     "52:54:00:11:00:01"
#define BRIDGE_MAC "52:54:00:11:00:02"

#define LEARNED   "52:54:00:22:00:01"
#define STATIC    "52:54:00:22:00:02"
#define CONTAINER "52:54:00:22:00:03"
#define LATE      "52:54:00:22:00:04"
#define ISOLATED  "52:54:00:22:00:05"
#define GUEST_1   "52:54:00:33:00:01"
#define GUEST_2   "52:54:00:33:00:02"

#define VLAN       5
#define OTHER_VLAN 6

/* More than an igb has: its 24 address registers are shared with the VFs. */
#define CROWD  30
#define GUESTS 2

#define DIRECTORY "/tmp/vswitch-switch"
#define LOG       "/tmp/vswitch-switch.log"

static const char *pf_name;
static struct pf *pf;
static char *golden;
static unsigned golden_count;
static pid_t daemon_pid;

/* ---- the daemon, in a process of its own ---- */

static const char *guest_uuid(int number)
{
        static char uuid[GUEST_UUID_SIZE];

        snprintf(uuid, sizeof(uuid), "11111111-2222-3333-4444-55555555555%d", number);
        return uuid;
}

static const char *guest_xml(int number)
{
        static char xml[1024];

        snprintf(xml, sizeof(xml),
                 "<domain type='kvm' id='%d'><name>g%d</name><uuid>%s</uuid>"
                 "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                 "<interface type='bridge'><mac address='52:54:00:33:00:0%d'/><source bridge='br0'/>"
                 "<target dev='tap%d'/><model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/>"
                 "</interface></devices></domain>",
                 number, number, guest_uuid(number), number, number);
        return xml;
}

static int end_guests(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        for (int i = 1; i <= *(int *) userdata; i++)
                fake_guests_end(guest_uuid(i), "stopped/shutdown");
        return 0;
}

/* SIGUSR1 ends the guests, SIGTERM the daemon. */
static void run_daemon(int guests)
{
        static char name[] = "br0";
        static char *uplinks[1];
        static struct config_switch config_switch = {
                .name = name,
                .bridge = name,
                .uplinks = uplinks,
                .uplinks_count = 1,
                .policy = { .weight = 50, .vlan_protocol = 0x8100 },
        };
        static struct config config = {
                .switches = &config_switch,
                .switches_count = 1,
                .guest_driver_timeout_usec = 60 * USEC_PER_SEC,
                .unplug_timeout_usec = 60 * USEC_PER_SEC,
                .lease_timeout_usec = 60 * USEC_PER_SEC,
                .back_off_usec = 60 * USEC_PER_SEC,
        };
        const struct manager_options options = {
                .config = &config,
                .softswitch_driver = &softswitch_bridge_driver,
                .pf_driver = &pf_kernel_driver,
                .runtime_directory = DIRECTORY,
                .state_directory = DIRECTORY,
                .control_socket = DIRECTORY "/control",
        };
        int log = open(LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        struct vswitch_error error = { 0 };
        struct manager *manager = NULL;
        sd_event *loop = NULL;
        sigset_t signals;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(log, STDERR_FILENO);
        log_open(0);
        uplinks[0] = (char *) pf_name;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGUSR1);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        fake_guests_reset();
        if (sd_event_new(&loop) < 0 || sd_event_add_signal(loop, NULL, SIGTERM, NULL, NULL) < 0 ||
            sd_event_add_signal(loop, NULL, SIGUSR1, end_guests, &guests) < 0 ||
            manager_new(loop, &options, &manager, &error) < 0) {
                fprintf(stderr, "cannot start: %s\n", error.text);
                _exit(1);
        }
        for (int i = 1; i <= guests; i++)
                fake_guests_start(guest_xml(i), GUEST_RUNNING);
        sd_event_loop(loop);
        manager_free(manager);
        sd_event_unref(loop);
        _exit(0);
}

static void start_daemon(int guests)
{
        netns_run("rm -f " LOG "; touch " LOG);
        daemon_pid = fork();
        if (daemon_pid == 0)
                run_daemon(guests);
        ck_assert_int_gt(daemon_pid, 0);
}

static void stop_daemon(void)
{
        int status = 0;

        kill(daemon_pid, SIGTERM);
        ck_assert_int_eq(waitpid(daemon_pid, &status, 0), daemon_pid);
        daemon_pid = 0;
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the daemon ended with status %d: %s", status,
                      netns_output("tail -n 30 " LOG));
}

/* ---- the PF ---- */

static char *own_list(void)
{
        return strdup(netns_output("bridge fdb show dev %s | grep ' self' | sort", pf_name));
}

static bool is_listed(const char *mac)
{
        char *list = own_list();
        bool listed = strstr(list, mac) != NULL;

        free(list);
        return listed;
}

/* Unicast addresses but the PF's own, which a bridge that filters VLANs puts there when the PF is its only port. */
static unsigned count_listed(void)
{
        return (unsigned) atoi(netns_output("bridge fdb show dev %s | grep ' self' | "
                                            "grep -vc \"^01:\\|^33:\\|^$(cat /sys/class/net/%s/address)\"",
                                            pf_name, pf_name));
}

/* Waits until a shell command succeeds. */
static void await(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void await(const char *what, const char *format, ...)
{
        char command[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(command, sizeof(command), format, arguments);
        va_end(arguments);
        for (int i = 0; system(command) != 0; i++) {
                if (i == 300)
                        printf("%s", netns_output("(tail -n 30 " LOG "; bridge fdb show) | sed 's/^/# /'"));
                ck_assert_msg(i < 300, "never: %s", what);
                usleep(100 * 1000);
        }
}

static void await_listed(const char *mac)
{
        await(mac, "bridge fdb show dev %s | grep -q '^%s.* self'", pf_name, mac);
}

static void bring_up(const char *netns, const char *device)
{
        netns_run("ip -n %s link set %s up", netns, device);
        await("a carrier", "ip -n %s link show %s | grep -q LOWER_UP", netns, device);
}

/* ---- namespaces ---- */

/* Everybody is 10.0.0.NUMBER, and knows everybody's MAC: the emulated igb gives the PF its own broadcasts back, so a
 * neighbour that asks for an address is learned on the uplink, and the bridge itself would drop the answer to it. */
static const struct {
        const char *mac;
        int number;
} everybody[] = {
        { VF_MAC, 1 },   { LEARNED, 2 },    { STATIC, 3 },   { CONTAINER, 4 }, { LATE, 5 },
        { ISOLATED, 6 }, { BRIDGE_MAC, 9 }, { GUEST_1, 21 }, { GUEST_2, 22 },
};

/* `netns` "" is the host itself. */
static void know_everybody(const char *netns, const char *device)
{
        char batch[1024] = "";
        size_t length = 0;

        for (size_t i = 0; i < sizeof(everybody) / sizeof(everybody[0]); i++)
                length += (size_t) snprintf(batch + length, sizeof(batch) - length,
                                            "neigh replace 10.0.0.%d lladdr %s dev %s nud permanent\\n",
                                            everybody[i].number, everybody[i].mac, device);
        ck_assert_uint_lt(length, sizeof(batch));
        netns_run("printf '%s' | ip %s %s -batch -", batch, netns[0] ? "-n" : "", netns);
}

static void make_netns(const char *name)
{
        netns_run("ip netns add %s; ip netns exec %s sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'; "
                  "ip -n %s link set lo up",
                  name, name, name);
}

static void address_netns(const char *name, const char *device, int number)
{
        bring_up(name, device);
        netns_run("ip -n %s addr add 10.0.0.%d/24 dev %s", name, number, device);
        know_everybody(name, device);
}

/* Behind a port "NAME0" of the bridge. */
static void make_neighbour(const char *name, const char *mac, int number)
{
        make_netns(name);
        netns_run("ip link add %s0 type veth peer name eth netns %s address %s; ip link set %s0 master br0 up", name,
                  name, mac, name);
        address_netns(name, "eth", number);
}

static void make_vf_guest(unsigned vlan)
{
        struct vswitch_error error = { 0 };
        struct pf_vf_attributes wanted = {
                .valid = PF_VF_MAC | PF_VF_VLAN,
                .mac = netns_mac(VF_MAC),
                .vlan = (uint16_t) vlan,
                .vlan_protocol = 0x8100,
        };
        struct pf_vf vf;

        make_netns("vf");
        ck_assert_msg(pf->driver->set_attributes(pf, 0, &wanted, &error) == 0, "%s", error.text);
        ck_assert_int_eq(pf->driver->read_vf(pf, 0, &vf, &error), 0);
        ck_assert_msg(pf->driver->bind(pf, vf.address, "igbvf", &error) == 0, "%s", error.text);
        ck_assert_int_eq(pf->driver->read_vf(pf, 0, &vf, &error), 0);
        ck_assert_str_ne(vf.netdev, "");
        netns_run("ip link set %s netns vf name eth", vf.netdev);
        address_netns("vf", "eth", 1);
}

static void make_bridge(bool filters_vlans)
{
        netns_run("ip link add br0 address " BRIDGE_MAC " type bridge vlan_filtering %d; ip link set br0 up; "
                  "ip link set %s master br0",
                  filters_vlans, pf_name);
        if (filters_vlans)
                netns_run("bridge vlan add dev %s vid %d; bridge vlan add dev br0 vid %d self; "
                          "bridge vlan add dev %s vid %d; "
                          "ip link add link br0 name host0 type vlan id %d; ip link set host0 up; "
                          "ip addr add 10.0.0.9/24 dev host0",
                          pf_name, VLAN, VLAN, pf_name, OTHER_VLAN, VLAN);
        else
                netns_run("ip addr add 10.0.0.9/24 dev br0");
        know_everybody("", filters_vlans ? "host0" : "br0");
        await("a forwarding uplink", "bridge link show dev %s | grep -q 'state forwarding'", pf_name);
}

static void put_into_vlan(const char *name, unsigned vlan)
{
        netns_run("bridge vlan del dev %s0 vid 1; bridge vlan add dev %s0 vid %u pvid untagged", name, name, vlan);
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        pf_name = getenv("VM_PF");
        ck_assert_msg(pf_name, "VM_PF must name the PF");
        netns_run("mkdir -p /var; [ -e /var/run ] || ln -s /run /var/run; rm -rf " DIRECTORY "; "
                  "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        ck_assert_msg(pf_kernel_driver.open(netns_netlink, pf_name, &pf, &error) == 0, "%s", error.text);
        /* What a test that failed may have left. */
        netns_run("for n in $(ip netns list | sed 's/ .*//'); do ip netns del $n; done; "
                  "for d in host0 br0; do ip link del $d 2>/dev/null; done; ip link set %s up",
                  pf_name);
        await("a carrier", "ip link show %s | grep -q LOWER_UP", pf_name);
        golden = own_list();
        golden_count = count_listed();
}

/* Everything that was behind the bridge goes, and the daemon clears the list; then it goes, too. */
static void clean_up(void)
{
        static const struct vswitch_mac zero;
        struct pf_vf_attributes neutral = { .valid = PF_VF_MAC | PF_VF_VLAN, .mac = zero, .vlan_protocol = 0x8100 };
        struct vswitch_error error = { 0 };
        struct pf_vf vf;

        netns_run("for n in $(ip netns list | sed 's/ .*//'); do [ $n = vf ] || ip netns del $n; done");
        await("the neighbours' ports to vanish", "! ls /sys/class/net/br0/brif | grep -qv '^%s$'", pf_name);
        ck_assert_int_eq(pf->driver->read_vf(pf, 0, &vf, &error), 0);
        ck_assert_msg(pf->driver->bind(pf, vf.address, "", &error) == 0, "%s", error.text);
        ck_assert_msg(pf->driver->set_attributes(pf, 0, &neutral, &error) == 0, "%s", error.text);
        netns_run("ip netns del vf");
}

static void tear_down(void)
{
        char *now;

        pf->driver->close(pf);
        vswitch_netlink_close(netns_netlink);
        now = own_list();
        ck_assert_str_eq(now, golden);
        free(now);
        free(golden);
}

/* ---- who reaches whom ---- */

struct path {
        const char *from;
        const char *to;
        int number; /* of `to` */
        int loss;   /* percent */
};

#define PINGS 5

/* All at once. */
static void ping(struct path *paths, size_t count)
{
        char command[1024] = "";
        size_t length = 0;

        for (size_t i = 0; i < count; i++) {
                const char *from = paths[i].from;
                bool host = strcmp(from, "host") == 0;

                length += (size_t) snprintf(command + length, sizeof(command) - length,
                                            "%s%s ping -q -c %d -W 2 10.0.0.%d >/tmp/ping%zu 2>&1 & ",
                                            host ? "" : "ip netns exec ", host ? "" : from, PINGS, paths[i].number, i);
                ck_assert_uint_lt(length, sizeof(command) - 8);
        }
        strcat(command, "wait");
        netns_run("%s", command);
        for (size_t i = 0; i < count; i++) {
                const char *output = netns_output("cat /tmp/ping%zu", i), *at = strstr(output, "% packet loss");

                ck_assert_msg(at, "ping said: %s", output);
                while (at > output && at[-1] >= '0' && at[-1] <= '9')
                        at--;
                paths[i].loss = atoi(at);
        }
}

static void print_table(const char *title, const struct path *without, const struct path *with, size_t count)
{
        printf("# %s\n# %-10s -> %-10s %10s %10s\n", title, "from", "to", "without", "with");
        for (size_t i = 0; i < count; i++)
                printf("# %-10s -> %-10s %8d %% %8d %%\n", with[i].from, with[i].to, without[i].loss, with[i].loss);
        fflush(stdout);
}

static void expect_loss(const struct path *paths, size_t count, int loss)
{
        for (size_t i = 0; i < count; i++)
                ck_assert_msg(paths[i].loss == loss, "%s -> %s: %d %% lost, not %d %%", paths[i].from, paths[i].to,
                              paths[i].loss, loss);
}

#define PATHS 8

static const struct path all_paths[PATHS] = {
        { "vf", "learned", 2, 0 },   { "learned", "vf", 1, 0 },   { "vf", "static", 3, 0 }, { "static", "vf", 1, 0 },
        { "vf", "container", 4, 0 }, { "container", "vf", 1, 0 }, { "vf", "host", 9, 0 },   { "host", "vf", 1, 0 },
};

/* The neighbours of the VF guest: one that the bridge learns, one that somebody wrote, one on the bridge itself. */
static void make_neighbours(bool vlans)
{
        make_neighbour("learned", LEARNED, 2);
        make_neighbour("static", STATIC, 3);
        netns_run("bridge link set dev static0 learning off");
        make_netns("container");
        netns_run("ip link add link %s name eth netns container address " CONTAINER " type macvlan mode bridge",
                  vlans ? "host0" : "br0");
        address_netns("container", "eth", 4);
        if (vlans) {
                put_into_vlan("learned", VLAN);
                put_into_vlan("static", VLAN);
        }
        netns_run("bridge fdb add " STATIC " dev static0 master static %s", vlans ? "vlan 5" : "");
}

static void compare(const char *title, bool vlans)
{
        struct path without[PATHS], with[PATHS];

        memcpy(without, all_paths, sizeof(without));
        memcpy(with, all_paths, sizeof(with));
        make_bridge(vlans);
        make_vf_guest(vlans ? VLAN : 0);
        make_neighbours(vlans);
        ping(without, PATHS);

        start_daemon(0);
        await_listed(LEARNED);
        await_listed(STATIC);
        await_listed(CONTAINER);
        await_listed(BRIDGE_MAC);
        ping(with, PATHS);
        print_table(title, without, with, PATHS);
        expect_loss(without, PATHS, 100);
        expect_loss(with, PATHS, 0);
}

static void end(void)
{
        kill(daemon_pid, SIGUSR1);
        clean_up();
        /* The bridge takes the PF's own address: nothing is left behind it. */
        netns_run("ip link set br0 address $(cat /sys/class/net/%s/address)", pf_name);
        /* That a macvlan vanished in a container nobody is told; that another one comes makes the daemon look. */
        netns_run("ip link add link br0 name another type macvlan && ip link del another");
        for (int i = 0; count_listed() != golden_count; i++) {
                if (i == 300)
                        printf("%s", netns_output("(tail -n 30 " LOG "; bridge fdb show) | sed 's/^/# /'"));
                ck_assert_msg(i < 300, "the list has %u addresses, not %u", count_listed(), golden_count);
                usleep(100 * 1000);
        }
        stop_daemon();
        netns_run("ip link del br0");
}

START_TEST(vf_and_bridge_are_one_switch)
{
        struct path late[] = { { "vf", "late", 5, 0 }, { "late", "vf", 1, 0 } };

        compare("VF guest and neighbours on the bridge: frames lost", false);

        /* Somebody who comes while the daemon runs. */
        make_neighbour("late", LATE, 5);
        (void) system("ip netns exec late ping -q -c 1 -W 1 10.0.0.9 >/dev/null");
        await_listed(LATE);
        ping(late, 2);
        expect_loss(late, 2, 0);
        end();
}
END_TEST

START_TEST(vlans_reach_their_own)
{
        struct path isolated[] = { { "vf", "isolated", 6, 0 }, { "isolated", "vf", 1, 0 } };

        compare("the same in VLAN 5 of a bridge that filters VLANs: frames lost", true);

        make_neighbour("isolated", ISOLATED, 6);
        put_into_vlan("isolated", OTHER_VLAN);
        (void) system("ip netns exec isolated ping -q -c 1 -W 1 10.0.0.9 >/dev/null");
        await_listed(ISOLATED);
        ping(isolated, 2);
        expect_loss(isolated, 2, 100);
        netns_run("ip link del host0");
        end();
}
END_TEST

/* The number before `word` in the log's last warning about the list. */
static unsigned warned(const char *word)
{
        const char *output = netns_output("grep 'left out' " LOG " | tail -n 1"), *at = strstr(output, word);

        ck_assert_msg(at, "no \"%s\" in: %s", word, output);
        while (at > output && at[-1] >= '0' && at[-1] <= '9')
                at--;
        return (unsigned) atoi(at);
}

START_TEST(more_than_the_card_holds)
{
        struct path paths[] = {
                { "vf", "guest 1", 21, 0 }, { "vf", "guest 2", 22, 0 }, { "vf", "host", 9, 0 }, { "vf", "static", 3, 0 }
        };
        unsigned listed, missing = 0;

        make_bridge(false);
        make_vf_guest(0);
        make_neighbour("static", STATIC, 3);
        netns_run("bridge fdb add " STATIC " dev static0 master static");
        make_neighbour("crowd", "52:54:00:44:00:ff", 10);
        netns_run("ip netns exec crowd sh -c 'for i in $(seq 0 %d); do "
                  "ip link set eth address 52:54:00:44:00:$(printf %%02x $i); "
                  "ip neigh replace 10.0.0.9 lladdr " BRIDGE_MAC " dev eth nud permanent; "
                  "ping -q -c 1 -W 1 10.0.0.9 >/dev/null; done; true'",
                  CROWD - 1);
        for (int i = 1; i <= GUESTS; i++) {
                char name[16], mac[VSWITCH_MAC_TEXT_SIZE];

                snprintf(name, sizeof(name), "guest%d", i);
                snprintf(mac, sizeof(mac), "52:54:00:33:00:0%d", i);
                make_netns(name);
                netns_run("ip link add tap%d type veth peer name eth netns %s address %s; ip link set tap%d master br0 "
                          "up",
                          i, name, mac, i);
                address_netns(name, "eth", 20 + i);
        }
        start_daemon(GUESTS);
        await_listed(GUEST_1);
        await_listed(GUEST_2);
        await_listed(STATIC);
        await_listed(BRIDGE_MAC);
        /* What is left out before the guests are known is another number. */
        await("a warning about all of them", "grep 'left out' " LOG " | grep -q 'of the %d behind'",
              CROWD + GUESTS + 2);
        ping(paths, 4);
        listed = count_listed();
        for (int i = 0; i < CROWD; i++) {
                char mac[VSWITCH_MAC_TEXT_SIZE];

                snprintf(mac, sizeof(mac), "52:54:00:44:00:%02x", i);
                missing += !is_listed(mac);
        }
        printf("# %u of %u addresses fit into the list of %s\n# ", listed, warned(" behind br0"), pf_name);
        printf("%s", netns_output("grep 'left out' " LOG));
        print_table("with more neighbours than fit: frames lost", paths, paths, 4);
        expect_loss(paths, 4, 0);
        /* Nobody is left out without being counted. */
        ck_assert_uint_gt(missing, 0);
        ck_assert_uint_eq(warned(" of the "), missing);
        ck_assert_uint_eq(warned(" behind br0"), listed + missing);
        ck_assert_uint_ge(listed, 8);
        ck_assert(is_listed(GUEST_1));
        ck_assert(is_listed(GUEST_2));
        ck_assert(is_listed(STATIC));
        ck_assert(is_listed(BRIDGE_MAC));
        end();
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
        Suite *suite = suite_create("switch");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_test(suite, "one switch", vf_and_bridge_are_one_switch);
        add_test(suite, "VLANs", vlans_reach_their_own);
        add_test(suite, "too many", more_than_the_card_holds);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
