/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The audit's judgement: a host on which all is in order, and the same with exactly one thing that is not. Each thing
 * is judged again with a running vswitchd, in the middle of a move, and while libvirt does not answer.
 */

#include "src/audit/audit.h"
#include "src/audit/report.h"
#include "test_cli_run.h"

#include <check.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define G1 "11111111-1111-1111-1111-111111111111"
#define G2 "22222222-2222-2222-2222-222222222222"
#define G3 "33333333-3333-3333-3333-333333333333"

#define MAC1  "52:54:00:00:00:01"
#define MAC2  "52:54:00:00:00:02"
#define OTHER "52:54:00:00:00:0f"

#define BRIDGE  10
#define UPLINK  1
#define TAP1    11
#define TAP2    12
#define VF_MAX  4
#define MINUTES (60 * 1000000ull)

static struct audit_picture host;

/* ---- the host ---- */

static struct vswitch_mac mac(const char *text)
{
        struct vswitch_mac result;

        ck_assert_int_eq(vswitch_mac_parse(text, &result), 0);
        return result;
}

#define ADD(list)                                                                                                      \
        ({                                                                                                             \
                __auto_type added_ = audit_add(&host, list);                                                           \
                ck_assert_ptr_nonnull(added_);                                                                         \
                added_;                                                                                                \
        })

static struct guest *add_guest(const char *uuid, const char *name, const char *address, const char *tap)
{
        struct guest *guest = calloc(1, sizeof(*guest));
        struct guest_nic *nic = calloc(1, sizeof(*nic));

        snprintf(guest->uuid, sizeof(guest->uuid), "%s", uuid);
        guest->name = strdup(name);
        guest->state = GUEST_RUNNING;
        guest->nics = nic;
        guest->nics_count = 1;
        nic->mac = mac(address);
        nic->is_virtio = nic->teaming_persistent = true;
        snprintf(nic->alias, sizeof(nic->alias), "ua-net0");
        snprintf(nic->bridge, sizeof(nic->bridge), "br0");
        snprintf(nic->tap, sizeof(nic->tap), "%s", tap);
        *ADD(guests) = guest;
        return guest;
}

static void add_device(struct guest *guest, unsigned vf)
{
        guest->vfs = calloc(1, sizeof(*guest->vfs));
        guest->vfs_count = 1;
        snprintf(guest->vfs[0].alias, sizeof(guest->vfs[0].alias), "ua-vf-net0");
        snprintf(guest->vfs[0].persistent, sizeof(guest->vfs[0].persistent), "ua-net0");
        snprintf(guest->vfs[0].address, sizeof(guest->vfs[0].address), "0000:01:10.%u", vf);
}

static struct audit_claim *add_claim(const char *uuid, const char *domain, const char *address, unsigned vf)
{
        struct audit_claim *claim = ADD(claims);

        snprintf(claim->claim.uuid, sizeof(claim->claim.uuid), "%s", uuid);
        snprintf(claim->claim.alias, sizeof(claim->claim.alias), "ua-net0");
        snprintf(claim->claim.domain, sizeof(claim->claim.domain), "%s", domain);
        snprintf(claim->claim.pf, sizeof(claim->claim.pf), "eth0");
        snprintf(claim->claim.vf_address, sizeof(claim->claim.vf_address), "0000:01:10.%u", vf);
        claim->claim.vf_index = vf;
        claim->claim.mac = mac(address);
        claim->claim.touched = true;
        return claim;
}

static void add_record(const char *uuid, const char *domain, const char *address, const char *tap)
{
        struct nic_record *record = ADD(records);

        snprintf(record->uuid, sizeof(record->uuid), "%s", uuid);
        snprintf(record->alias, sizeof(record->alias), "ua-net0");
        snprintf(record->domain, sizeof(record->domain), "%s", domain);
        snprintf(record->switch_name, sizeof(record->switch_name), "br0");
        snprintf(record->tap, sizeof(record->tap), "%s", tap);
        record->mac = mac(address);
}

static void add_pin(const char *address, int port)
{
        *ADD(pins) = (struct audit_pin){ .mac = mac(address), .bridge = BRIDGE, .port = port };
}

static struct audit_port *add_port(const char *name, int ifindex)
{
        struct audit_port *port = ADD(ports);

        snprintf(port->name, sizeof(port->name), "%s", name);
        snprintf(port->bridge_name, sizeof(port->bridge_name), "br0");
        port->ifindex = ifindex;
        port->bridge = BRIDGE;
        *ADD(ifindexes) = ifindex;
        return port;
}

static struct audit_vf *vf(unsigned index)
{
        return &host.pfs[0].vfs[index];
}

static void add_filter(const char *address)
{
        struct audit_pf *pf = &host.pfs[0];

        *(struct vswitch_mac *) audit_grow((void **) &pf->filters, &pf->filters_count, sizeof(*pf->filters)) =
                mac(address);
}

static void add_pf(void)
{
        struct audit_pf *pf = ADD(pfs);

        *pf = (struct audit_pf){ .name = "eth0",
                                 .address = "0000:01:00.0",
                                 .ifindex = UPLINK,
                                 .bridge = BRIDGE,
                                 .is_configured = true,
                                 .up = true,
                                 .vfs = calloc(VF_MAX, sizeof(*pf->vfs)),
                                 .vfs_count = VF_MAX };
        for (unsigned i = 0; i < VF_MAX; i++) {
                vf(i)->vf.index = i;
                snprintf(vf(i)->vf.address, sizeof(vf(i)->vf.address), "0000:01:10.%u", i);
                vf(i)->attributes = (struct pf_vf_attributes){
                        .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST | PF_VF_RATE |
                                 PF_VF_LINK_STATE,
                        .vlan_protocol = 0x8100,
                        .spoof_check = true,
                        .link_state = IFLA_VF_LINK_STATE_AUTO,
                };
        }
}

/* g1 is on VF 0, g2 on the synthetic path, and vswitchd does not run. */
static void make_host(void)
{
        struct audit_port *port;

        audit_picture_clear(&host);
        host.now = 1000 * MINUTES;
        host.guests_known = true;
        snprintf(host.runtime_directory, sizeof(host.runtime_directory), "/run/vswitch");
        add_pf();
        port = add_port("eth0", UPLINK);
        port->is_uplink = true;
        port = add_port("tap1", TAP1);
        port->multicast_router = true;
        port = add_port("tap2", TAP2);
        port->guard = (struct softswitch_guard){ .check_source = true, .mac = mac(MAC2), .max_rate = 100 };

        add_device(add_guest(G1, "g1", MAC1, "tap1"), 0);
        add_guest(G2, "g2", MAC2, "tap2");
        add_claim(G1, "g1", MAC1, 0);
        add_record(G1, "g1", MAC1, "tap1");
        add_record(G2, "g2", MAC2, "tap2");
        vf(0)->attributes.mac = mac(MAC1);
        vf(0)->is_open = vf(0)->vectors_known = true;
        vf(0)->vectors = 3;
        snprintf(vf(0)->vf.driver, sizeof(vf(0)->vf.driver), "vfio-pci");
        snprintf(vf(0)->override, sizeof(vf(0)->override), "vfio-pci");
        add_pin(MAC1, UPLINK);
        add_pin(MAC2, TAP2);
        add_filter(MAC2);
}

/* g2 has ended, and vswitchd was not there to see it; without what it left in the tables. */
static void end_g2(void)
{
        guest_free(host.guests[1]);
        host.guests_count = 1;
        host.pins_count = 1;
        host.ports_count = 2;
        host.pfs[0].filters_count = 0;
}

static void end_g2_completely(void)
{
        end_g2();
        host.records_count = 1;
}

/* ---- what is wrong ---- */

static void libvirt_is_silent(void)
{
        host.guests_known = false;
        snprintf(host.guests_sentence, sizeof(host.guests_sentence), "libvirt did not answer within 10 seconds");
}

static void daemon_is_silent(void)
{
        host.daemon = AUDIT_DAEMON_SILENT;
        snprintf(host.daemon_sentence, sizeof(host.daemon_sentence), "it hangs");
}

static void file_is_unreadable(void)
{
        struct audit_file *file = ADD(unreadable);

        snprintf(file->path, sizeof(file->path), "/run/vswitch/claims/0000:01:10.2.json");
        snprintf(file->sentence, sizeof(file->sentence), "line 1: end of file");
        vf(2)->attributes.mac = mac(OTHER); /* not of nobody */
}

static void qemu_is_lost(void)
{
        struct audit_process *process;

        end_g2();
        add_pin(MAC2, TAP1);
        host.ports[1].guard = (struct softswitch_guard){ 0 };
        add_filter(MAC2);
        process = ADD(processes);
        process->pid = 4711;
        snprintf(process->uuid, sizeof(process->uuid), G2);
        /* Its pin, filter and record are not of nobody. */
}

static void vf_is_claimed_twice(void)
{
        add_claim(G2, "g2", MAC2, 0);
}

static void nic_has_two_claims(void)
{
        add_claim(G1, "g1", MAC1, 1);
        add_device(host.guests[1], 1); /* leaves only the pair of claims, and whose the second VF is */
}

static void claimed_vf_is_not_there(void)
{
        add_claim(G3, "g3", OTHER, 7);
}

static void claim_names_another_vf(void)
{
        add_claim(G3, "g3", OTHER, 2)->claim.vf_index = 3;
}

static void claim_has_no_guest(void)
{
        add_claim(G3, "g3", OTHER, 2);
        vf(2)->attributes.mac = mac(OTHER);
        vf(2)->attributes.vlan = 5;
}

static void lease_is_over(void)
{
        struct audit_claim *claim = add_claim(G3, "g3", OTHER, 2);

        claim->claim.leased = true;
        claim->claim.lease_until = host.now - 1;
}

static void claim_without_guest_is_open(void)
{
        claim_has_no_guest();
        vf(2)->is_open = true;
}

static void guest_has_not_its_vf(void)
{
        add_claim(G2, "g2", MAC2, 1);
}

static void vf_of_another_guest(void)
{
        add_claim(G3, "g3", OTHER, 2);
        add_device(host.guests[1], 2);
        host.guests[1]->vfs[0].persistent[0] = '\0'; /* by its owner's hand */
}

static void device_has_no_claim(void)
{
        add_device(host.guests[1], 2);
}

static void vf_has_another_mac(void)
{
        vf(0)->attributes.mac = mac(OTHER);
}

static void vf_has_another_vlan(void)
{
        vf(0)->attributes.vlan = 7;
        host.guests[0]->nics[0].policy_given = GUEST_POLICY_VLAN;
        host.guests[0]->nics[0].policy.vlan = 8;
}

static void vf_is_not_driven(void)
{
        vf(0)->vectors = 0;
        host.claims[0].age_usec = 20 * MINUTES;
}

static void vf_has_a_mac(void)
{
        vf(2)->attributes.mac = mac(OTHER);
}

static void vf_has_a_vlan(void)
{
        vf(2)->attributes.vlan = 5;
        vf(2)->attributes.qos = 3;
}

static void vf_has_everything(void)
{
        vf(2)->attributes = (struct pf_vf_attributes){ .valid = vf(2)->attributes.valid,
                                                       .mac = mac(OTHER),
                                                       .vlan = 5,
                                                       .vlan_protocol = 0x8100,
                                                       .trust = true,
                                                       .max_rate = 100,
                                                       .link_state = IFLA_VF_LINK_STATE_DISABLE };
}

static void vf_of_a_pf_of_somebody(void)
{
        vf_has_a_mac();
        host.pfs[0].is_configured = false;
}

static void vf_with_a_netdev_has_a_mac(void)
{
        vf_has_a_mac();
        snprintf(vf(2)->vf.driver, sizeof(vf(2)->vf.driver), "igbvf");
        snprintf(vf(2)->vf.netdev, sizeof(vf(2)->vf.netdev), "eth7");
        vf(2)->netdev_mac = mac("52:54:00:00:00:77");
}

static void vf_has_trust_that_cannot_be_taken(void)
{
        vf(2)->attributes.trust = true;
        host.pfs[0].cannot_set = PF_VF_TRUST;
}

static void vf_is_left_on_vfio(void)
{
        snprintf(vf(2)->vf.driver, sizeof(vf(2)->vf.driver), "vfio-pci");
        snprintf(vf(2)->override, sizeof(vf(2)->override), "vfio-pci");
}

static void only_free_vf_is_on_vfio(void)
{
        host.pfs[0].vfs_count = 2;
        snprintf(vf(1)->vf.driver, sizeof(vf(1)->vf.driver), "vfio-pci");
}

static void override_is_left(void)
{
        snprintf(vf(2)->override, sizeof(vf(2)->override), "igbvf");
}

static void probe_was_killed(void)
{
        for (unsigned i = 0; i < VF_MAX; i++)
                vf(i)->is_probed = true;
}

static void pf_is_down(void)
{
        host.pfs[0].up = false;
}

static void two_vfs_have_one_mac(void)
{
        vf(2)->attributes.mac = vf(3)->attributes.mac = mac(OTHER);
        vf(2)->is_open = vf(3)->is_open = true;
}

static void mac_is_listed_too(void)
{
        add_filter(MAC1);
}

static void strangers_vf_has_the_mac(void)
{
        host.pfs[0].filters_count = 0;
        vf(2)->attributes.mac = mac(MAC2);
        vf(2)->is_open = true;
}

static void two_nics_have_one_mac(void)
{
        add_guest(G3, "g3", MAC2, "tap3");
}

static void pin_is_left(void)
{
        end_g2_completely();
        add_record(G2, "g2", MAC2, "tap2");
        add_pin(MAC2, UPLINK);
}

static void pin_is_somebodys(void)
{
        add_pin(OTHER, TAP2);
}

static void pin_goes_to_the_tap(void)
{
        host.pins[0].port = TAP1;
}

static void pin_goes_to_the_uplink(void)
{
        host.pins[1].port = UPLINK;
}

static void pin_goes_elsewhere(void)
{
        host.pins[1].port = TAP1;
}

static void add_copy(const char *address)
{
        host.ports[0].copies = calloc(1, sizeof(*host.ports[0].copies));
        host.ports[0].copies[0] = mac(address);
        host.ports[0].copies_count = 1;
}

static void copy_rule_of_nobody(void)
{
        add_copy(OTHER);
}

static void copy_rule_is_left(void)
{
        add_copy(MAC2);
}

static void guard_is_left(void)
{
        add_port("tap9", 19)->guard = (struct softswitch_guard){ .max_rate = 10 };
}

static void guard_lets_another_pass(void)
{
        host.ports[2].guard.mac = mac(OTHER);
}

static void router_is_left(void)
{
        host.ports[2].multicast_router = true;
        for (size_t i = 0; i < host.records_count; i++)
                host.records[i].made_router = true;
}

static void filter_of_a_guest_is_left(void)
{
        end_g2();
        add_filter(MAC2);
}

static struct audit_note *add_note(bool fits)
{
        struct audit_note *note = ADD(notes);

        snprintf(note->path, sizeof(note->path), "/run/vswitch/neighbours/eth0.json");
        snprintf(note->pf, sizeof(note->pf), "eth0");
        note->fits = fits;
        note->entries = calloc(2, sizeof(*note->entries));
        note->entries[0] = (struct uplink_list_noted){ mac(OTHER), 99 };
        note->entries[1] = (struct uplink_list_noted){ mac("52:54:00:00:00:0e"), TAP2 };
        note->entries_count = 2;
        return note;
}

static void filter_of_a_port_is_left(void)
{
        add_note(true);
        add_filter(OTHER);
        add_filter("52:54:00:00:00:0e"); /* still behind its port */
}

static void note_has_no_pf(void)
{
        add_note(false);
        add_filter(OTHER); /* so it is not ours */
}

static void add_kept(const char *address, unsigned count)
{
        struct audit_kept *kept = ADD(kept);

        snprintf(kept->path, sizeof(kept->path), "/var/lib/vswitch/pf/%s.json", address);
        snprintf(kept->address, sizeof(kept->address), "%s", address);
        kept->count = count;
}

static void kept_pf_is_gone(void)
{
        add_kept("0000:09:00.0", 4);
}

static void kept_number_is_another(void)
{
        add_kept("0000:01:00.0", 7);
}

/* `seen` and `remedy` must be in what is said; `more` is a finding that cannot but come with it. */
static const struct {
        void (*change)(void);
        enum audit_code code;
        const char *subject, *seen, *remedy;
        enum audit_repair_kind repair;
        enum audit_code more; /* 0: none */
        bool is_note;
} wrong[] = {
        { libvirt_is_silent, AUDIT_LIBVIRT_SILENT, "host", "within 10 seconds", .remedy = "systemctl" },
        { daemon_is_silent, AUDIT_DAEMON_NO_ANSWER, "host", "it hangs", .remedy = "systemctl restart vswitchd" },
        { file_is_unreadable, AUDIT_FILE_UNREADABLE, "/run/vswitch/claims/0000:01:10.2.json", "end of file",
          .remedy = "rm /run" },
        { qemu_is_lost, AUDIT_QEMU_WITHOUT_DOMAIN, "g2", "process 4711", .remedy = "virtqemud" },
        { vf_is_claimed_twice, AUDIT_CLAIM_TWICE, "0000:01:10.0", "g1/ua-net0 and for g2/ua-net0",
          .remedy = "virsh dumpxml g1", .more = AUDIT_CLAIM_OF_ANOTHER },
        { nic_has_two_claims, AUDIT_CLAIMS_OF_ONE_NIC, "g1/ua-net0", "0000:01:10.0 and 0000:01:10.1",
          .remedy = "vswitchd", .more = AUDIT_CLAIM_OF_ANOTHER },
        { claimed_vf_is_not_there, AUDIT_CLAIM_WITHOUT_VF, "g3/ua-net0", "0000:01:10.7",
          .remedy = "rm /run/vswitch/claims/0000:01:10.7.json", .repair = AUDIT_REPAIR_FILE },
        { claim_names_another_vf, AUDIT_CLAIM_WITHOUT_VF, "g3/ua-net0", "another VF now", .remedy = "rm",
          .repair = AUDIT_REPAIR_FILE },
        { claim_has_no_guest, AUDIT_CLAIM_WITHOUT_GUEST, "g3/ua-net0", "eth0 vf 2", .remedy = "vswitch audit --fix",
          .repair = AUDIT_REPAIR_VF_BY_CLAIM },
        { lease_is_over, AUDIT_CLAIM_WITHOUT_GUEST, "g3/ua-net0", "leased", .remedy = "--fix",
          .repair = AUDIT_REPAIR_VF_BY_CLAIM },
        { claim_without_guest_is_open, AUDIT_CLAIM_WITHOUT_GUEST, "g3/ua-net0", "0000:01:10.2", .remedy = "--fix" },
        { guest_has_not_its_vf, AUDIT_CLAIM_WITHOUT_DEVICE, "g2/ua-net0", "0000:01:10.1", .remedy = "--fix",
          .repair = AUDIT_REPAIR_VF_BY_CLAIM },
        { vf_of_another_guest, AUDIT_CLAIM_OF_ANOTHER, "g3/ua-net0", "guest g2 has VF 0000:01:10.2",
          .remedy = "virsh detach-device-alias g2" },
        { device_has_no_claim, AUDIT_DEVICE_WITHOUT_CLAIM, "g2/ua-net0", "ua-vf-net0",
          .remedy = "virsh detach-device-alias g2 ua-vf-net0 --live" },
        { vf_has_another_mac, AUDIT_VF_DISAGREES, "g1/ua-net0", "MAC " OTHER " instead of " MAC1,
          .remedy = "vswitch nic release g1/ua-net0" },
        { vf_has_another_vlan, AUDIT_VF_DISAGREES, "g1/ua-net0", "VLAN 7 instead of 8",
          .remedy = "vswitch nic release" },
        { vf_is_not_driven, AUDIT_VF_NOT_DRIVEN, "g1/ua-net0", "20 minutes", .remedy = "--hold", .is_note = true },
        { vf_has_a_mac, AUDIT_VF_SETTINGS_OF_NOBODY, "eth0 vf 2", "MAC " OTHER,
          .remedy = "ip link set eth0 vf 2 mac 00:00:00:00:00:00", .repair = AUDIT_REPAIR_VF_SETTINGS },
        { vf_has_a_vlan, AUDIT_VF_SETTINGS_OF_NOBODY, "eth0 vf 2", "VLAN 5", .remedy = "ip link set eth0 vf 2 vlan 0",
          .repair = AUDIT_REPAIR_VF_SETTINGS },
        { vf_has_everything, AUDIT_VF_SETTINGS_OF_NOBODY, "eth0 vf 2",
          "VLAN 5, trust on, spoof check off, rates 0 to 100 Mbit/s, link state disable, MAC " OTHER,
          .remedy = "ip link set eth0 vf 2 vlan 0 trust off spoofchk on max_tx_rate 0 state auto mac 00:00:00:00:00:00",
          .repair = AUDIT_REPAIR_VF_SETTINGS },
        { vf_of_a_pf_of_somebody, AUDIT_VF_SETTINGS_OF_NOBODY, "eth0 vf 2", OTHER, .remedy = "ip link" },
        { vf_with_a_netdev_has_a_mac, AUDIT_VF_SETTINGS_OF_NOBODY, "eth0 vf 2", OTHER, .remedy = "ip link" },
        { vf_has_trust_that_cannot_be_taken, AUDIT_VF_SETTINGS_OF_NOBODY, "eth0 vf 2", "trust on",
          .remedy = "trust off" },
        { vf_is_left_on_vfio, AUDIT_VFIO_OF_NOBODY, "eth0 vf 2", "0000:01:10.2",
          .remedy = "driverctl unset-override 0000:01:10.2", .repair = AUDIT_REPAIR_DRIVER },
        { only_free_vf_is_on_vfio, AUDIT_VFIO_OF_NOBODY, "eth0 vf 1", "vfio-pci", .remedy = "unbind", .is_note = true },
        { override_is_left, AUDIT_OVERRIDE_LEFT, "eth0 vf 2", "may only have driver igbvf", .remedy = "driver_override",
          .repair = AUDIT_REPAIR_OVERRIDE },
        { probe_was_killed, AUDIT_PROBE_LEFT, "eth0", "pf probe", .remedy = "vswitch pf probe eth0", .is_note = true },
        { pf_is_down, AUDIT_PF_DOWN, "eth0", "1 of its VFs", .remedy = "ip link set eth0 up" },
        { two_vfs_have_one_mac, AUDIT_MAC_ON_TWO_VFS, "eth0 vf 2", "eth0 vf 3", .remedy = "ip link set" },
        { mac_is_listed_too, AUDIT_MAC_ON_VF_AND_UPLINK, "eth0 vf 0", MAC1,
          .remedy = "bridge fdb del " MAC1 " dev eth0 self" },
        { strangers_vf_has_the_mac, AUDIT_MAC_ON_ANOTHERS_VF, "eth0 vf 2", "g2/ua-net0, and somebody else",
          .remedy = "virsh edit g2" },
        { two_nics_have_one_mac, AUDIT_MAC_OF_TWO_NICS, "g2/ua-net0", "g3/ua-net0 on bridge br0",
          .remedy = "virsh edit" },
        { pin_is_left, AUDIT_PIN_OF_NOBODY, "br0 " MAC2, "pinned to eth0",
          .remedy = "bridge fdb del " MAC2 " dev eth0 master", .repair = AUDIT_REPAIR_PIN,
          .more = AUDIT_RECORD_OF_NOBODY },
        { pin_is_somebodys, AUDIT_PIN_OF_NOBODY, "br0 " OTHER, "pinned to tap2", .remedy = "bridge fdb del",
          .is_note = true },
        { pin_goes_to_the_tap, AUDIT_PIN_DISAGREES, "br0 " MAC1, "which uses its VF", .remedy = "vswitchd" },
        { pin_goes_to_the_uplink, AUDIT_PIN_DISAGREES, "br0 " MAC2, "g2/ua-net0 has no VF", .remedy = "bridge fdb del",
          .repair = AUDIT_REPAIR_PIN },
        { pin_goes_elsewhere, AUDIT_PIN_DISAGREES, "br0 " MAC2, "neither the tap", .remedy = "bridge fdb del" },
        { copy_rule_of_nobody, AUDIT_COPY_RULE_OF_NOBODY, "eth0 " OTHER, "copy rule",
          .remedy = "tc filter del dev eth0 ingress", .repair = AUDIT_REPAIR_COPY_RULE },
        { copy_rule_is_left, AUDIT_COPY_RULE_LEFT, "eth0 " MAC2, "is not moving", .remedy = "vswitchd" },
        { guard_is_left, AUDIT_GUARD_OF_NOBODY, "tap9", "no running guest's tap", .remedy = "tc filter del dev tap9",
          .repair = AUDIT_REPAIR_GUARD },
        { guard_lets_another_pass, AUDIT_GUARD_DISAGREES, "tap2", "lets " OTHER " pass", .remedy = "vswitchd" },
        { router_is_left, AUDIT_MULTICAST_ROUTER_LEFT, "tap2", "g2/ua-net0 is not on a VF",
          .remedy = "bridge link set dev tap2 mcast_router 1", .repair = AUDIT_REPAIR_MULTICAST_ROUTER,
          .is_note = true },
        { filter_of_a_guest_is_left, AUDIT_FILTER_OF_NOBODY, "eth0 " MAC2, "a guest that is gone",
          .remedy = "bridge fdb del " MAC2 " dev eth0 self", .repair = AUDIT_REPAIR_FILTER,
          .more = AUDIT_RECORD_OF_NOBODY },
        { filter_of_a_port_is_left, AUDIT_FILTER_OF_NOBODY, "eth0 " OTHER, "a device that is gone",
          .remedy = "bridge fdb del", .repair = AUDIT_REPAIR_NOTED_FILTER },
        { note_has_no_pf, AUDIT_NOTE_WITHOUT_PF, "/run/vswitch/neighbours/eth0.json", "uplink filters of eth0",
          .remedy = "rm", .repair = AUDIT_REPAIR_FILE, .is_note = true },
        { kept_pf_is_gone, AUDIT_KEPT_NUMBER, "/var/lib/vswitch/pf/0000:09:00.0.json", "is not there", .remedy = "rm",
          .is_note = true },
        { kept_number_is_another, AUDIT_KEPT_NUMBER, "/var/lib/vswitch/pf/0000:01:00.0.json", "7 VFs",
          .remedy = "set-vfs eth0 7", .is_note = true },
        { end_g2, AUDIT_RECORD_OF_NOBODY, "g2/ua-net0", "does not run here", .remedy = "vswitchd",
          .repair = AUDIT_REPAIR_FILE, .is_note = true },
};
#define WRONG_COUNT (int) (sizeof(wrong) / sizeof(wrong[0]))

/* ---- tests ---- */

static struct audit_findings judge(void)
{
        struct audit_findings findings;

        ck_assert_int_eq(audit_judge(&host, &findings), 0);
        return findings;
}

static const struct audit_finding *find(const struct audit_findings *findings, enum audit_code code)
{
        for (size_t i = 0; i < findings->count; i++)
                if (findings->list[i].code == code)
                        return &findings->list[i];
        return NULL;
}

/* All but the reminder that vswitchd does not run. */
static void expect_nothing_else(const struct audit_findings *findings, enum audit_code code, enum audit_code more)
{
        for (size_t i = 0; i < findings->count; i++) {
                enum audit_code found = findings->list[i].code;

                ck_assert_msg(found == code || found == more || found == AUDIT_DAEMON_NOT_RUNNING, "%s: %s: %s",
                              audit_codes[found].name, findings->list[i].subject, findings->list[i].seen);
        }
}

static void no_repair_is_offered(const struct audit_findings *findings)
{
        for (size_t i = 0; i < findings->count; i++) {
                ck_assert_int_eq(findings->list[i].repair.kind, AUDIT_REPAIR_NONE);
                ck_assert_str_ne(findings->list[i].not_fixed, "");
        }
}

START_TEST(a_host_in_order)
{
        struct audit_findings findings;

        make_host();
        findings = judge();
        expect_nothing_else(&findings, AUDIT_DAEMON_NOT_RUNNING, AUDIT_DAEMON_NOT_RUNNING);
        ck_assert_uint_eq(findings.count, 1);
        ck_assert_uint_eq(audit_count(&findings, AUDIT_PROBLEM), 0);
        audit_findings_clear(&findings);

        host.daemon = AUDIT_DAEMON_UP;
        findings = judge();
        ck_assert_uint_eq(findings.count, 0);
        audit_findings_clear(&findings);

        /* An empty host is in order, too. */
        audit_picture_clear(&host);
        host.guests_known = true;
        findings = judge();
        ck_assert_uint_eq(findings.count, 0);
        audit_findings_clear(&findings);
}
END_TEST

START_TEST(each_thing_is_found)
{
        const struct audit_finding *finding;
        struct audit_findings findings;

        make_host();
        wrong[_i].change();
        findings = judge();
        finding = find(&findings, wrong[_i].code);
        ck_assert_msg(finding != NULL, "%s is not found", audit_codes[wrong[_i].code].name);
        expect_nothing_else(&findings, wrong[_i].code, wrong[_i].more ?: wrong[_i].code);
        ck_assert_str_eq(finding->subject, wrong[_i].subject);
        ck_assert_msg(strstr(finding->seen, wrong[_i].seen) != NULL, "%s", finding->seen);
        ck_assert_msg(strstr(finding->remedy, wrong[_i].remedy) != NULL, "%s", finding->remedy);
        ck_assert_int_eq(finding->repair.kind, wrong[_i].repair);
        ck_assert_int_eq(finding->not_fixed[0] == '\0', wrong[_i].repair != AUDIT_REPAIR_NONE);
        ck_assert_int_eq(finding->level, wrong[_i].is_note ? AUDIT_NOTE : AUDIT_PROBLEM);
        audit_findings_clear(&findings);
}
END_TEST

/* It may be about to change it itself. */
START_TEST(nothing_is_repaired_beside_a_daemon)
{
        struct audit_findings findings;

        for (int state = AUDIT_DAEMON_SILENT; state <= AUDIT_DAEMON_UP; state++) {
                make_host();
                wrong[_i].change();
                host.daemon = (enum audit_daemon_state) state;
                findings = judge();
                no_repair_is_offered(&findings);
                audit_findings_clear(&findings);
        }
}
END_TEST

START_TEST(nothing_is_repaired_without_libvirt)
{
        struct audit_findings findings;

        make_host();
        wrong[_i].change();
        libvirt_is_silent();
        findings = judge();
        ck_assert_ptr_nonnull(find(&findings, AUDIT_LIBVIRT_SILENT));
        for (size_t i = 0; i < findings.count; i++)
                ck_assert_msg(findings.list[i].repair.kind == AUDIT_REPAIR_NONE ||
                                      findings.list[i].code == AUDIT_NOTE_WITHOUT_PF,
                              "%s", audit_codes[findings.list[i].code].name);
        audit_findings_clear(&findings);
}
END_TEST

static struct audit_daemon_nic *add_moving(const char *uuid, const char *address)
{
        struct audit_daemon_nic *nic = ADD(daemon_nics);

        host.daemon = AUDIT_DAEMON_UP;
        snprintf(nic->uuid, sizeof(nic->uuid), "%s", uuid);
        snprintf(nic->alias, sizeof(nic->alias), "ua-net0");
        snprintf(nic->situation, sizeof(nic->situation), "offering");
        nic->mac = mac(address);
        nic->is_moving = true;
        return nic;
}

static void migrate_g1(void)
{
        host.guests[0]->outgoing = true;
}

static void g2_arrives(void)
{
        host.guests[1]->state = GUEST_INCOMING;
}

static void daemon_moves_g1(void)
{
        snprintf(add_moving(G1, MAC1)->vf, PF_ADDRESS_SIZE, "0000:01:10.0");
}

static void daemon_moves_g2(void)
{
        snprintf(add_moving(G2, MAC2)->vf, PF_ADDRESS_SIZE, "0000:01:10.1");
}

static void daemon_expects_g3(void)
{
        snprintf(add_moving(G3, OTHER)->vf, PF_ADDRESS_SIZE, "0000:01:10.2");
}

/* Each is an inconsistency, and none while its NIC moves. */
static const struct {
        void (*change)(void);
        void (*move)(void);
} moving[] = {
        { mac_is_listed_too, daemon_moves_g1 },
        { mac_is_listed_too, migrate_g1 },
        { pin_goes_to_the_tap, daemon_moves_g1 },
        { pin_goes_to_the_tap, migrate_g1 },
        { vf_has_another_mac, daemon_moves_g1 },
        { vf_is_not_driven, daemon_moves_g1 },
        { guest_has_not_its_vf, daemon_moves_g2 },
        { guest_has_not_its_vf, g2_arrives },
        { pin_goes_to_the_uplink, daemon_moves_g2 },
        { copy_rule_is_left, daemon_moves_g2 },
        { copy_rule_is_left, g2_arrives },
        { router_is_left, daemon_moves_g2 },
        { guard_lets_another_pass, daemon_moves_g2 },
        { device_has_no_claim, daemon_moves_g2 },
        { claim_has_no_guest, daemon_expects_g3 },
        { copy_rule_of_nobody, daemon_expects_g3 },
        { vf_has_a_mac, daemon_expects_g3 },
        { pin_is_somebodys, daemon_expects_g3 },
};

START_TEST(a_move_is_no_inconsistency)
{
        struct audit_findings findings;

        make_host();
        moving[_i].change();
        findings = judge();
        ck_assert_uint_gt(findings.count, 1);
        audit_findings_clear(&findings);
        moving[_i].move();
        findings = judge();
        expect_nothing_else(&findings, AUDIT_DAEMON_NOT_RUNNING, AUDIT_DAEMON_NOT_RUNNING);
        audit_findings_clear(&findings);
}
END_TEST

/* ---- what is nobody's business ---- */

static void vf_of_dpdk(void)
{
        vf_has_everything();
        snprintf(vf(2)->vf.driver, sizeof(vf(2)->vf.driver), "igb_uio");
}

static void vf_of_a_container(void)
{
        vf_has_everything();
        snprintf(vf(2)->vf.driver, sizeof(vf(2)->vf.driver), "igbvf"); /* its netdev is in another namespace */
}

static void vf_of_a_process(void)
{
        vf_has_everything();
        vf(2)->is_open = true;
}

static void vf_of_the_host(void)
{
        vf_with_a_netdev_has_a_mac();
        vf(2)->netdev_in_use = true;
}

static void vf_of_a_guest_by_its_owner(void)
{
        vf_has_everything();
        vf(2)->attributes.mac = mac(OTHER);
        add_device(host.guests[1], 2);
        host.guests[1]->vfs[0].persistent[0] = '\0';
        snprintf(host.guests[1]->vfs[0].alias, sizeof(host.guests[1]->vfs[0].alias), "hostdev0");
}

static void vf_whose_driver_chose_a_mac(void)
{
        vf_with_a_netdev_has_a_mac();
        vf(2)->netdev_mac = vf(2)->attributes.mac;
}

static void vfs_that_are_never_checked(void)
{
        for (unsigned i = 0; i < VF_MAX; i++)
                vf(i)->attributes.spoof_check = false;
}

static void vfs_that_are_all_on_vfio(void)
{
        for (unsigned i = 1; i < VF_MAX; i++) {
                snprintf(vf(i)->vf.driver, sizeof(vf(i)->vf.driver), "vfio-pci");
                snprintf(vf(i)->override, sizeof(vf(i)->override), "vfio-pci");
        }
}

static void vf_that_driverctl_keeps(void)
{
        vf_is_left_on_vfio();
        vf(2)->driver_is_kept = true;
}

static void vf_that_is_to_have_no_driver(void)
{
        snprintf(vf(2)->override, sizeof(vf(2)->override), "none");
}

static void vf_that_is_leased(void)
{
        lease_is_over();
        host.claims[1].claim.lease_until = host.now + 1;
}

static void filter_of_somebody(void)
{
        add_filter(OTHER);
}

static void guest_that_boots(void)
{
        vf(0)->vectors = 0;
        host.claims[0].age_usec = MINUTES;
}

static void qemu_of_somebody(void)
{
        struct audit_process *process = ADD(processes);

        snprintf(process->uuid, sizeof(process->uuid), G3);
}

static void nics_in_two_vlans(void)
{
        add_guest(G3, "g3", MAC2, "tap3")->nics[0].policy.vlan = 7;
}

static void (*const in_order[])(void) = {
        vf_of_dpdk,
        vf_of_a_container,
        vf_of_a_process,
        vf_of_the_host,
        vf_of_a_guest_by_its_owner,
        vf_whose_driver_chose_a_mac,
        vfs_that_are_never_checked,
        vfs_that_are_all_on_vfio,
        vf_that_driverctl_keeps,
        vf_that_is_to_have_no_driver,
        vf_that_is_leased,
        filter_of_somebody,
        guest_that_boots,
        qemu_of_somebody,
        nics_in_two_vlans,
};

START_TEST(what_is_no_inconsistency)
{
        struct audit_findings findings;

        make_host();
        in_order[_i]();
        findings = judge();
        expect_nothing_else(&findings, AUDIT_DAEMON_NOT_RUNNING, AUDIT_DAEMON_NOT_RUNNING);
        audit_findings_clear(&findings);
}
END_TEST

/* The repairs say what they are about, and files come last. */
START_TEST(repairs_name_what_they_repair)
{
        const struct audit_finding *finding;
        struct audit_findings findings;

        make_host();
        vf_has_everything();
        findings = judge();
        finding = find(&findings, AUDIT_VF_SETTINGS_OF_NOBODY);
        ck_assert_str_eq(finding->repair.pf, "eth0");
        ck_assert_uint_eq(finding->repair.vf.index, 2);
        ck_assert_uint_eq(finding->repair.attributes.valid, vf(2)->attributes.valid);
        ck_assert(vswitch_mac_is_zero(&finding->repair.attributes.mac));
        ck_assert(finding->repair.attributes.spoof_check);
        ck_assert(!finding->repair.attributes.trust);
        ck_assert_uint_eq(finding->repair.attributes.vlan + finding->repair.attributes.max_rate, 0);
        audit_findings_clear(&findings);

        make_host();
        pin_is_left();
        claim_has_no_guest();
        findings = judge();
        for (size_t i = 0; i + 1 < findings.count; i++)
                ck_assert_int_ne(findings.list[i].repair.kind, AUDIT_REPAIR_FILE);
        finding = &findings.list[findings.count - 1];
        ck_assert_str_eq(finding->repair.path, "/run/vswitch/nics/" G2 ".ua-net0.json");
        finding = find(&findings, AUDIT_PIN_OF_NOBODY);
        ck_assert_int_eq(finding->repair.port, UPLINK);
        ck_assert_int_eq(finding->repair.bridge, BRIDGE);
        finding = find(&findings, AUDIT_CLAIM_WITHOUT_GUEST);
        ck_assert_str_eq(finding->repair.claim.vf_address, "0000:01:10.2");
        audit_findings_clear(&findings);
}
END_TEST

START_TEST(what_comes_and_goes_is_not_told)
{
        struct audit_findings before, now;

        make_host();
        vf_has_a_mac();
        before = judge();
        pin_is_somebodys();
        now = judge();
        audit_keep_known(&now, &before);
        ck_assert_ptr_nonnull(find(&now, AUDIT_VF_SETTINGS_OF_NOBODY));
        ck_assert_ptr_null(find(&now, AUDIT_PIN_OF_NOBODY));
        ck_assert_uint_eq(now.count, before.count);
        audit_keep_known(&now, &(struct audit_findings){ 0 });
        ck_assert_uint_eq(now.count, 0);
        audit_findings_clear(&before);
        audit_findings_clear(&now);
}
END_TEST

/* ---- what is printed ---- */

static void capture(const json_t *report, char *text, size_t size)
{
        FILE *file = tmpfile();
        int screen = dup(STDOUT_FILENO);
        size_t length;

        fflush(stdout);
        dup2(fileno(file), STDOUT_FILENO);
        audit_report_render(report);
        fflush(stdout);
        dup2(screen, STDOUT_FILENO);
        close(screen);
        rewind(file);
        length = fread(text, 1, size - 1, file);
        text[length] = '\0';
        fclose(file);
}

START_TEST(what_is_printed)
{
        struct audit_findings findings;
        json_t *repairs = json_array(), *report;
        char text[16384], *dump;

        make_host();
        claim_has_no_guest();
        pin_is_left();
        vf_is_not_driven();
        findings = judge();
        json_array_append_new(repairs, audit_report_repair(&findings.list[1], AUDIT_FAILED,
                                                           "restore VF 0000:01:10.2: Device or resource busy"));
        json_array_append_new(repairs, audit_report_repair(&findings.list[findings.count - 1], AUDIT_SKIPPED,
                                                           "remove /run/vswitch/nics/x.json"));
        report = audit_report_new(&findings, repairs);
        capture(report, text, sizeof(text));
        compare_with_golden(VSWITCH_TEST_GOLDEN, "audit", text);
        dump = json_dumps(report, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        snprintf(text, sizeof(text), "%s\n", dump);
        compare_with_golden(VSWITCH_TEST_GOLDEN, "audit.json", text);
        free(dump);
        json_decref(report);
        audit_findings_clear(&findings);

        report = audit_report_new(&(struct audit_findings){ 0 }, json_array());
        capture(report, text, sizeof(text));
        compare_with_golden(VSWITCH_TEST_GOLDEN, "audit-clean", text);
        json_decref(report);
}
END_TEST

START_TEST(help_is_as_before)
{
        const char *const arguments[] = { "audit", "--help", NULL };
        struct run run = run_cli("/nonexistent/control", arguments);

        ck_assert_int_eq(run.exit_code, 0);
        compare_with_golden(VSWITCH_TEST_GOLDEN, "help-audit", run.output);
}
END_TEST

/* On whatever host the tests run: it comes to an end, and says what it must. */
START_TEST(this_host_can_be_audited)
{
        const char *const arguments[] = { "audit", "--json", NULL };
        struct run run = run_cli("/nonexistent/control", arguments);
        json_t *report = json_loads(run.output, 0, NULL);

        ck_assert_ptr_nonnull(report);
        if (geteuid() != 0) {
                ck_assert_int_eq(run.exit_code, 5);
                ck_assert_ptr_nonnull(strstr(run.errors, "only root"));
        } else {
                ck_assert_int_eq(run.exit_code, json_is_true(json_object_get(report, "clean")) ? 0 : 1);
                ck_assert_str_eq(run.errors, "");
        }
        json_decref(report);
}
END_TEST

/* Each code has its row, with its level and whether it is repaired. */
START_TEST(every_finding_is_documented)
{
        char document[32768], row[64];
        FILE *file = fopen(VSWITCH_TEST_DOCUMENT, "re");
        size_t length, rows = 0;

        ck_assert_ptr_nonnull(file);
        length = fread(document, 1, sizeof(document) - 1, file);
        document[length] = '\0';
        fclose(file);
        for (int i = 0; i < AUDIT_CODE_COUNT; i++) {
                ck_assert_ptr_nonnull(audit_codes[i].name);
                snprintf(row, sizeof(row), "\n| `%s` |", audit_codes[i].name);
                ck_assert_msg(strstr(document, row) != NULL, "%s is not documented", audit_codes[i].name);
        }
        for (const char *at = document; (at = strstr(at, "\n| `")); at++)
                rows++;
        ck_assert_uint_eq(rows, AUDIT_CODE_COUNT);
        /* And each has a test of its own above. */
        for (int i = 0; i < AUDIT_CODE_COUNT; i++) {
                bool tested = i == AUDIT_DAEMON_NOT_RUNNING;

                for (int j = 0; j < WRONG_COUNT; j++)
                        tested |= wrong[j].code == (enum audit_code) i;
                ck_assert_msg(tested, "%s is not tested", audit_codes[i].name);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("audit");
        TCase *tests = tcase_create("audit");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, a_host_in_order);
        tcase_add_loop_test(tests, each_thing_is_found, 0, WRONG_COUNT);
        tcase_add_loop_test(tests, nothing_is_repaired_beside_a_daemon, 0, WRONG_COUNT);
        tcase_add_loop_test(tests, nothing_is_repaired_without_libvirt, 0, WRONG_COUNT);
        tcase_add_loop_test(tests, a_move_is_no_inconsistency, 0, sizeof(moving) / sizeof(moving[0]));
        tcase_add_loop_test(tests, what_is_no_inconsistency, 0, sizeof(in_order) / sizeof(in_order[0]));
        tcase_add_test(tests, repairs_name_what_they_repair);
        tcase_add_test(tests, what_comes_and_goes_is_not_told);
        tcase_add_test(tests, what_is_printed);
        tcase_add_test(tests, help_is_as_before);
        tcase_add_test(tests, this_host_can_be_audited);
        tcase_add_test(tests, every_finding_is_documented);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
