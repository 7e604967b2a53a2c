/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The audit on real igb and a real bridge, with a modelled libvirt: what a crash or a hand may leave is made, found, and
 * repaired. Then the host must be as it was before, and what is somebody else's as he made it.
 */

#include "src/audit/repair.h"
#include "tests/netns/netns_test.h"

#include "vswitch/guard.h"
#include "vswitch/link.h"
#include "vswitch/pf.h"
#include "vswitch/softswitch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define G1 "11111111-1111-1111-1111-111111111111" /* runs, on the synthetic path */
#define G9 "99999999-9999-9999-9999-999999999999" /* is gone */

#define MAC1     "52:54:00:12:34:01"
#define MAC9     "52:54:00:12:34:09"
#define NOBODYS  "52:54:00:12:34:0e"
#define NOTED    "52:54:00:12:34:0d"
#define STRANGER "52:54:00:77:00:01"

/* The VF that somebody else has. */
#define STRANGERS_VF 3

static char directory[] = "/tmp/vswitch-audit-XXXXXX";
static char config_path[64], socket_path[64];
static struct audit_sources sources;
static const char *pf_name;
static struct pf *pf;
static int strangers_group = -1;
static int libvirt_result; /* what the modelled libvirt answers */
static bool g9_runs;

/* ---- the modelled libvirt ---- */

static struct guest *new_guest(const char *uuid, const char *name, const char *mac, const char *tap)
{
        char xml[1024];
        struct guest *guest = NULL;
        struct vswitch_error error = { 0 };

        snprintf(
                xml, sizeof(xml),
                "<domain type='kvm' id='1'><name>%s</name><uuid>%s</uuid><os><type machine='pc-q35-7.2'>hvm</type></os>"
                "<devices><interface type='bridge'><mac address='%s'/><source bridge='br0'/><target dev='%s'/>"
                "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/></interface></devices>"
                "</domain>",
                name, uuid, mac, tap);
        ck_assert_msg(guest_parse_xml(xml, &guest, &error) == 0, "%s", error.text);
        guest->state = GUEST_RUNNING;
        return guest;
}

static int list_guests(const char *uri, struct guest ***ret, size_t *ret_count, struct vswitch_error *error)
{
        if (libvirt_result < 0)
                return vswitch_error_set(error, libvirt_result, "the modelled libvirt is away");
        *ret = calloc(2, sizeof(**ret));
        (*ret)[0] = new_guest(G1, "g1", MAC1, "tap1");
        if (g9_runs)
                (*ret)[1] = new_guest(G9, "g9", MAC9, "tap9");
        *ret_count = g9_runs ? 2 : 1;
        return 0;
}

/* ---- the stage ---- */

static bool has_carrier(void)
{
        struct vswitch_link link;

        return vswitch_link_get_by_name(netns_netlink, pf_name, &link, NULL) == 0 && link.carrier;
}

static struct pf_vf read_vf(unsigned index)
{
        struct vswitch_error error = { 0 };
        struct pf_vf vf = { 0 };

        ck_assert_msg(pf->driver->read_vf(pf, index, &vf, &error) == 0, "%s", error.text);
        return vf;
}

static void bind_vf(unsigned index, const char *driver)
{
        struct vswitch_error error = { 0 };

        ck_assert_msg(pf->driver->bind(pf, read_vf(index).address, driver, &error) == 0, "%s", error.text);
}

/* A VM's, say, which vswitch knows nothing of: bound, open, programmed. */
static void make_stranger(void)
{
        char group[64];

        bind_vf(STRANGERS_VF, "vfio-pci");
        snprintf(group, sizeof(group), "/dev/vfio/%s", read_vf(STRANGERS_VF).iommu_group);
        strangers_group = open(group, O_RDWR | O_CLOEXEC);
        ck_assert_msg(strangers_group >= 0, "%s: %s", group, strerror(errno));
        netns_run("ip link set %s vf %d vlan 9 && ip link set %s vf %d mac " STRANGER, pf_name, STRANGERS_VF, pf_name,
                  STRANGERS_VF);
        netns_run("bridge fdb add 52:54:00:77:00:02 dev tap1 master static sticky");
        netns_run("bridge fdb add 52:54:00:77:00:03 dev %s self", pf_name);
}

static void write_config(void)
{
        FILE *file = fopen(config_path, "we");

        ck_assert_ptr_nonnull(file);
        fprintf(file, "switch \"br0\" { bridge = \"br0\" uplinks = { \"%s\" } }\n", pf_name);
        fclose(file);
}

static void set_up(void)
{
        struct vswitch_error error = { 0 };

        pf_name = getenv("VM_PF");
        ck_assert_msg(pf_name != NULL, "VM_PF must name the PF");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(config_path, sizeof(config_path), "%s/vswitch.conf", directory);
        snprintf(socket_path, sizeof(socket_path), "%s/control", directory);
        write_config();
        sources = (struct audit_sources){
                .config_path = config_path,
                .runtime_directory = directory,
                .state_directory = directory,
                .control_socket = socket_path,
                .list_guests = list_guests,
        };
        ck_assert_msg(vswitch_netlink_open(&netns_netlink, &error) == 0, "%s", error.text);
        ck_assert_msg(pf_kernel_driver.open(netns_netlink, pf_name, &pf, &error) == 0, "%s", error.text);
        netns_run("ip link add br0 type bridge; ip link set br0 up; ip link set %s master br0 up; "
                  "tc qdisc replace dev %s clsact",
                  pf_name, pf_name);
        for (int i = 1; i <= 9; i += 8)
                netns_run("ip link add tap%d type veth peer name guest%d; ip link set tap%d master br0 up; "
                          "ip link set guest%d up; tc qdisc add dev tap%d ingress",
                          i, i, i, i, i);
        for (int i = 0; i < 200 && !has_carrier(); i++)
                usleep(100 * 1000);
        ck_assert_msg(has_carrier(), "%s has no carrier", pf_name);
        make_stranger();
}

static void tear_down(void)
{
        netns_run("bridge fdb del 52:54:00:77:00:03 dev %s self", pf_name);
        netns_run("ip link set %s vf %d vlan 0; ip link set %s vf %d mac 00:00:00:00:00:00", pf_name, STRANGERS_VF,
                  pf_name, STRANGERS_VF);
        close(strangers_group);
        bind_vf(STRANGERS_VF, "");
        pf->driver->close(pf);
        vswitch_netlink_close(netns_netlink);
        netns_run("ip link set %s nomaster; ip link del br0; ip link del tap1; ip link del tap9; rm -r %s", pf_name,
                  directory);
}

/* All that the litter is about, as the kernel's own tools show it; what is somebody else's is in it, too. */
static char *dump(void)
{
        return strdup(netns_output(
                "ip link show dev %s | grep ' vf '; bridge fdb show dev %s self | sort; "
                "bridge fdb show br br0 | grep sticky | sort; tc filter show dev %s ingress; "
                "tc filter show dev %s egress; tc filter show dev tap1 ingress; tc filter show dev tap9 ingress; "
                "cat /sys/class/net/tap1/brport/multicast_router; "
                "for vf in /sys/class/net/%s/device/virtfn*; do cat $vf/driver_override; readlink $vf/driver; done; "
                "find %s -name '*.json' | sort",
                pf_name, pf_name, pf_name, pf_name, pf_name, directory));
}

static void expect_dump(const char *golden)
{
        char *now = dump();

        ck_assert_str_eq(now, golden);
        free(now);
}

/* ---- litter ---- */

static struct pf_vf_attributes read_attributes(unsigned index)
{
        struct vswitch_error error = { 0 };
        struct pf_vf_attributes attributes = { 0 };

        ck_assert_msg(pf->driver->read_attributes(pf, index, &attributes, &error) == 0, "%s", error.text);
        return attributes;
}

static void write_claim(unsigned index)
{
        struct vswitch_error error = { 0 };
        struct claim_store *store = NULL;
        struct claim claim = {
                .uuid = G9,
                .alias = "ua-net0",
                .domain = "g9",
                .mac = netns_mac(MAC9),
                .vf_index = index,
                .touched = true,
                .before = read_attributes(index),
        };

        snprintf(claim.pf, sizeof(claim.pf), "%s", pf_name);
        snprintf(claim.vf_address, sizeof(claim.vf_address), "%s", read_vf(index).address);
        ck_assert_msg(claim_store_open(directory, &store, &error) == 0, "%s", error.text);
        ck_assert_msg(claim_store_write(store, &claim, &error) == 0, "%s", error.text);
        claim_store_close(store);
}

static void write_record(const char *uuid, const char *domain, const char *mac, const char *tap)
{
        struct vswitch_error error = { 0 };
        struct claim_store *store = NULL;
        struct nic_record record = {
                .alias = "ua-net0", .switch_name = "br0", .mac = netns_mac(mac), .made_router = true
        };

        snprintf(record.uuid, sizeof(record.uuid), "%s", uuid);
        snprintf(record.domain, sizeof(record.domain), "%s", domain);
        snprintf(record.tap, sizeof(record.tap), "%s", tap);
        ck_assert_msg(claim_store_open(directory, &store, &error) == 0, "%s", error.text);
        ck_assert_msg(claim_store_write_nic(store, &record, &error) == 0, "%s", error.text);
        claim_store_close(store);
}

/* VF 0: an override. VF 1: settings, and vfio-pci. VF 2: a claim whose guest is gone. */
static void litter_vfs(void)
{
        netns_run("echo igbvf >/sys/bus/pci/devices/%s/driver_override", read_vf(0).address);
        netns_run(
                "ip link set %s vf 1 vlan 5 qos 2 && ip link set %s vf 1 spoofchk off && ip link set %s vf 1 trust on "
                "&& ip link set %s vf 1 max_tx_rate 500 && ip link set %s vf 1 mac " NOBODYS,
                pf_name, pf_name, pf_name, pf_name, pf_name);
        bind_vf(1, "vfio-pci");
        write_claim(2);
        netns_run("ip link set %s vf 2 vlan 6; ip link set %s vf 2 spoofchk off; ip link set %s vf 2 mac " MAC9,
                  pf_name, pf_name, pf_name);
        bind_vf(2, "vfio-pci");
}

static void add_copy_rule(void)
{
        struct vswitch_error error = { 0 };
        struct vswitch_mac mac = netns_mac(MAC9);
        struct softswitch *bridge = NULL;

        ck_assert_msg(softswitch_bridge_driver.open(netns_netlink, "br0", &bridge, &error) == 0, "%s", error.text);
        ck_assert_msg(bridge->driver->copy_add(bridge, &mac, 0, netns_ifindex(pf_name), netns_ifindex("tap9"), true,
                                               &error) == 0,
                      "%s", error.text);
        bridge->driver->close(bridge);
}

static void write_note(const char *name, int ifindex, const char *mac, int port)
{
        FILE *file;
        char path[128];

        snprintf(path, sizeof(path), "%s/neighbours", directory);
        ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
        snprintf(path, sizeof(path), "%s/neighbours/%d.json", directory, ifindex);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        fprintf(file, "{\"version\": 1, \"pf\": \"%s\", \"ifindex\": %d, \"macs\": {\"%s\": %d}}\n", name, ifindex, mac,
                port);
        fclose(file);
}

/* Of g9, of a container that is gone, and of a move of g1's. */
static void litter_tables(void)
{
        struct softswitch_guard guard = { .check_source = true, .mac = netns_mac(MAC9), .max_rate = 100 };
        struct vswitch_error error = { 0 };

        netns_run("bridge fdb add " MAC9 " dev %s master static sticky", pf_name);
        netns_run("bridge fdb add " MAC9 " dev %s self; bridge fdb add " NOTED " dev %s self", pf_name, pf_name);
        add_copy_rule();
        ck_assert_msg(guard_set(netns_netlink, netns_ifindex("tap9"), &guard, &error) == 0, "%s", error.text);
        netns_run("bridge fdb add " MAC1 " dev %s master static sticky", pf_name);
        netns_run("bridge link set dev tap1 mcast_router 2");
        write_note(pf_name, netns_ifindex(pf_name), NOTED, 99999);
        write_note("eth77", 7777, NOBODYS, 1);
        write_record(G9, "g9", MAC9, "tap9");
        write_record(G1, "g1", MAC1, "tap1");
}

/* ---- looking ---- */

static struct audit_findings look(void)
{
        struct vswitch_error error = { 0 };
        struct audit_picture picture;
        struct audit_findings findings = { 0 };
        int r = audit_collect(&sources, &picture, &error);

        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
        ck_assert_int_eq(audit_judge(&picture, &findings), 0);
        audit_picture_clear(&picture);
        return findings;
}

static size_t count(const struct audit_findings *findings, enum audit_code code)
{
        size_t found = 0;

        for (size_t i = 0; i < findings->count; i++)
                found += findings->list[i].code == code;
        return found;
}

static void list_findings(const struct audit_findings *findings, char *text, size_t size)
{
        size_t length = 0;

        text[0] = '\0';
        for (size_t i = 0; i < findings->count && length < size; i++)
                length += (size_t) snprintf(text + length, size - length, "%s: %s: %s\n",
                                            audit_codes[findings->list[i].code].name, findings->list[i].subject,
                                            findings->list[i].seen);
}

struct outcomes {
        size_t counts[AUDIT_SKIPPED + 1];
        char failure[512];
};

static void on_repaired(const struct audit_finding *finding, enum audit_outcome outcome, const char *sentence,
                        void *userdata)
{
        struct outcomes *outcomes = userdata;

        outcomes->counts[outcome]++;
        if (outcome == AUDIT_FAILED)
                snprintf(outcomes->failure, sizeof(outcomes->failure), "%s: %s", finding->subject, sentence);
}

static struct outcomes repair(const struct audit_findings *findings, bool dry_run)
{
        struct vswitch_error error = { 0 };
        struct outcomes outcomes = { 0 };

        ck_assert_msg(audit_repair_all(&sources, findings, dry_run, on_repaired, &outcomes, &error) == 0, "%s",
                      error.text);
        return outcomes;
}

/* ---- tests ---- */

/* What is there from the beginning: the pin of a stranger, which nothing says to be ours. */
static void expect_only_the_strangers_pin(const struct audit_findings *findings)
{
        char text[4096];

        list_findings(findings, text, sizeof(text));
        ck_assert_msg(audit_count(findings, AUDIT_PROBLEM) == 0 && count(findings, AUDIT_PIN_OF_NOBODY) == 1, "%s",
                      text);
}

static const enum audit_code litter_codes[] = {
        AUDIT_CLAIM_WITHOUT_GUEST,  AUDIT_VF_SETTINGS_OF_NOBODY, AUDIT_VFIO_OF_NOBODY,      AUDIT_OVERRIDE_LEFT,
        AUDIT_MAC_ON_VF_AND_UPLINK, AUDIT_PIN_DISAGREES,         AUDIT_COPY_RULE_OF_NOBODY, AUDIT_GUARD_OF_NOBODY,
        AUDIT_NOTE_WITHOUT_PF,      AUDIT_MULTICAST_ROUTER_LEFT, AUDIT_RECORD_OF_NOBODY,
};

START_TEST(litter_is_found_and_repaired)
{
        struct audit_findings findings = look();
        char *golden = dump(), *littered, text[8192];
        struct outcomes outcomes;

        expect_only_the_strangers_pin(&findings);
        audit_findings_clear(&findings);

        litter_vfs();
        litter_tables();
        littered = dump();
        findings = look();
        list_findings(&findings, text, sizeof(text));
        for (size_t i = 0; i < sizeof(litter_codes) / sizeof(litter_codes[0]); i++)
                ck_assert_msg(count(&findings, litter_codes[i]) == 1, "%s in:\n%s", audit_codes[litter_codes[i]].name,
                              text);
        ck_assert_msg(count(&findings, AUDIT_FILTER_OF_NOBODY) == 2, "%s", text);
        ck_assert_msg(count(&findings, AUDIT_PIN_OF_NOBODY) == 2, "%s", text);
        ck_assert_msg(strstr(text, "VLAN 5, trust on, spoof check off, rates 0 to 500 Mbit/s, MAC " NOBODYS) != NULL,
                      "%s", text);
        /* Nothing is said of the stranger's VF. */
        snprintf(text, sizeof(text), "%s vf %d", pf_name, STRANGERS_VF);
        for (size_t i = 0; i < findings.count; i++)
                ck_assert_str_ne(findings.list[i].subject, text);

        outcomes = repair(&findings, true);
        ck_assert_uint_ge(outcomes.counts[AUDIT_WOULD], 12);
        ck_assert_uint_eq(outcomes.counts[AUDIT_DONE], 0);
        expect_dump(littered);

        outcomes = repair(&findings, false);
        ck_assert_msg(outcomes.counts[AUDIT_FAILED] == 0, "%s", outcomes.failure);
        ck_assert_uint_ge(outcomes.counts[AUDIT_DONE], 12);
        audit_findings_clear(&findings);
        /* The record of g1, which runs, stays. */
        netns_run("rm %s/nics/" G1 ".ua-net0.json", directory);
        expect_dump(golden);
        findings = look();
        expect_only_the_strangers_pin(&findings);
        audit_findings_clear(&findings);
        free(littered);
        free(golden);
}
END_TEST

/* The same litter, and nobody to say that the guests are gone. */
START_TEST(nothing_is_repaired_without_libvirt)
{
        struct audit_findings findings;
        struct outcomes outcomes;
        char *golden = dump(), *littered;

        litter_vfs();
        litter_tables();
        netns_run("rm %s/neighbours/7777.json", directory); /* the one thing that needs no guest to be known */
        littered = dump();
        libvirt_result = -ETIMEDOUT;
        findings = look();
        ck_assert_uint_eq(count(&findings, AUDIT_LIBVIRT_SILENT), 1);
        outcomes = repair(&findings, false);
        ck_assert_uint_eq(outcomes.counts[AUDIT_DONE] + outcomes.counts[AUDIT_FAILED], 0);
        expect_dump(littered);
        audit_findings_clear(&findings);

        /* A guest that is there after all is left alone, with its tables and its record. */
        libvirt_result = 0;
        g9_runs = true;
        findings = look();
        ck_assert_uint_eq(count(&findings, AUDIT_CLAIM_WITHOUT_GUEST) + count(&findings, AUDIT_GUARD_OF_NOBODY) +
                                  count(&findings, AUDIT_COPY_RULE_OF_NOBODY) +
                                  count(&findings, AUDIT_RECORD_OF_NOBODY),
                          0);
        ck_assert_uint_eq(count(&findings, AUDIT_CLAIM_WITHOUT_DEVICE), 1);
        audit_findings_clear(&findings);

        g9_runs = false;
        findings = look();
        outcomes = repair(&findings, false);
        ck_assert_msg(outcomes.counts[AUDIT_FAILED] == 0, "%s", outcomes.failure);
        netns_run("rm %s/nics/" G1 ".ua-net0.json", directory);
        expect_dump(golden);
        audit_findings_clear(&findings);
        free(littered);
        free(golden);
}
END_TEST

/* Between the look and the repair somebody takes the VF; what says whose the rest is stays. */
START_TEST(a_vf_that_is_taken_meanwhile_is_left)
{
        struct audit_findings findings;
        struct outcomes outcomes;
        char group[64], *golden = dump();
        int taken;

        litter_vfs();
        write_record(G9, "g9", MAC9, "tap9");
        findings = look();
        snprintf(group, sizeof(group), "/dev/vfio/%s", read_vf(2).iommu_group);
        taken = open(group, O_RDWR | O_CLOEXEC);
        ck_assert_msg(taken >= 0, "%s: %s", group, strerror(errno));
        outcomes = repair(&findings, false);
        ck_assert_uint_eq(outcomes.counts[AUDIT_FAILED], 1);
        ck_assert_uint_eq(outcomes.counts[AUDIT_SKIPPED], 1);
        ck_assert_msg(strstr(outcomes.failure, "taken") != NULL, "%s", outcomes.failure);
        ck_assert_uint_eq(read_attributes(2).vlan, 6);
        audit_findings_clear(&findings);

        close(taken);
        findings = look();
        outcomes = repair(&findings, false);
        ck_assert_msg(outcomes.counts[AUDIT_FAILED] == 0, "%s", outcomes.failure);
        expect_dump(golden);
        audit_findings_clear(&findings);
        free(golden);
}
END_TEST

/* A PF that no switch of the configuration uses is looked at, and not touched. */
START_TEST(another_pf_is_not_touched)
{
        struct audit_findings findings;
        struct outcomes outcomes;
        char *golden, *littered;

        netns_run("echo >%s", config_path);
        golden = dump();
        netns_run("ip link set %s vf 1 vlan 5; ip link set %s vf 1 mac " NOBODYS, pf_name, pf_name);
        littered = dump();
        findings = look();
        ck_assert_uint_eq(count(&findings, AUDIT_VF_SETTINGS_OF_NOBODY), 1);
        outcomes = repair(&findings, false);
        ck_assert_uint_eq(outcomes.counts[AUDIT_DONE], 0);
        expect_dump(littered);
        audit_findings_clear(&findings);
        netns_run("ip link set %s vf 1 vlan 0; ip link set %s vf 1 mac 00:00:00:00:00:00", pf_name, pf_name);
        expect_dump(golden);
        free(littered);
        free(golden);
}
END_TEST

/* The program as it is, with libvirt's own library and no libvirt. */
START_TEST(the_program_without_libvirt)
{
        char *before = dump();
        const char *output = netns_output("/test/vswitch-audit audit --fix --json; echo \"exit $?\"");

        ck_assert_msg(strstr(output, "\"libvirt-silent\"") != NULL, "%s", output);
        ck_assert_msg(strstr(output, "exit 1") != NULL, "%s", output);
        expect_dump(before);
        free(before);
}
END_TEST

static void add_test(Suite *suite, const char *name, const TTest *test)
{
        TCase *test_case = tcase_create(name);

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_set_timeout(test_case, 120);
        tcase_add_test(test_case, test);
        suite_add_tcase(suite, test_case);
}

int main(void)
{
        Suite *suite = suite_create("audit");
        SRunner *runner = srunner_create(suite);
        int failed;

        add_test(suite, "repaired", litter_is_found_and_repaired);
        add_test(suite, "without-libvirt", nothing_is_repaired_without_libvirt);
        add_test(suite, "taken", a_vf_that_is_taken_meanwhile_is_left);
        add_test(suite, "another-pf", another_pf_is_not_touched);
        add_test(suite, "program", the_program_without_libvirt);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
