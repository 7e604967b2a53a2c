/* SPDX-License-Identifier: Apache-2.0 */

/* Domain XML in the shapes in which libvirt gives it: reading, editing, and what it must survive. */

#include "src/guests/guests.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

static void freep(char **text)
{
        free(*text);
}

/* As `virsh dumpxml` of libvirt 9.0 (Debian 12) shows a running guest: teaming pair with the VF as plain hostdev, one
 * free root port, one with hot-plug off, NICs of other kinds. */
static const char live_bookworm[] =
        "<domain type='kvm' id='7'>\n"
        "  <name>g1</name>\n"
        "  <uuid>11111111-2222-3333-4444-555555555555</uuid>\n"
        "  <metadata>\n"
        "    <libosinfo:libosinfo xmlns:libosinfo=\"http://libosinfo.org/xmlns/libvirt/domain/1.0\">\n"
        "      <libosinfo:os id=\"http://debian.org/debian/12\"/>\n"
        "    </libosinfo:libosinfo>\n"
        "  </metadata>\n"
        "  <memory unit='KiB'>262144</memory>\n"
        "  <os>\n"
        "    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n"
        "  </os>\n"
        "  <devices>\n"
        "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
        "    <controller type='usb' index='0' model='none'>\n"
        "      <alias name='usb'/>\n"
        "    </controller>\n"
        "    <controller type='pci' index='0' model='pcie-root'>\n"
        "      <alias name='pcie.0'/>\n"
        "    </controller>\n"
        "    <controller type='pci' index='1' model='pcie-root-port'>\n"
        "      <model name='pcie-root-port'/>\n"
        "      <target chassis='1' port='0x8'/>\n"
        "      <alias name='pci.1'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0' multifunction='on'/>\n"
        "    </controller>\n"
        "    <controller type='pci' index='2' model='pcie-root-port'>\n"
        "      <model name='pcie-root-port'/>\n"
        "      <target chassis='2' port='0x9'/>\n"
        "      <alias name='pci.2'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x1'/>\n"
        "    </controller>\n"
        "    <controller type='pci' index='3' model='pcie-root-port'>\n"
        "      <model name='pcie-root-port'/>\n"
        "      <target chassis='3' port='0xa'/>\n"
        "      <alias name='pci.3'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x2'/>\n"
        "    </controller>\n"
        "    <controller type='pci' index='4' model='pcie-root-port'>\n"
        "      <model name='pcie-root-port'/>\n"
        "      <target chassis='4' port='0xb' hotplug='off'/>\n"
        "      <alias name='pci.4'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x3'/>\n"
        "    </controller>\n"
        "    <interface type='bridge'>\n"
        "      <mac address='52:54:00:12:34:56'/>\n"
        "      <source bridge='br0'/>\n"
        "      <target dev='g1n0'/>\n"
        "      <model type='virtio'/>\n"
        "      <driver name='qemu'/>\n"
        "      <teaming type='persistent'/>\n"
        "      <mtu size='9000'/>\n"
        "      <alias name='ua-net0'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n"
        "    </interface>\n"
        "    <interface type='network'>\n"
        "      <mac address='52:54:00:AB:CD:EF'/>\n"
        "      <source network='default' portid='1f0c4ba5-5f34-4c8b-a0e8-0e8d1d3f7f3b' bridge='virbr0'/>\n"
        "      <target dev='vnet1'/>\n"
        "      <model type='e1000e'/>\n"
        "      <alias name='net1'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>\n"
        "    </interface>\n"
        "    <interface type='bridge'>\n"
        "      <mac address='52:54:00:00:00:03'/>\n"
        "      <source bridge='ovsbr0'/>\n"
        "      <virtualport type='openvswitch'>\n"
        "        <parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/>\n"
        "      </virtualport>\n"
        "      <target dev='vnet2'/>\n"
        "      <model type='virtio-non-transitional'/>\n"
        "      <alias name='net2'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/>\n"
        "    </interface>\n"
        "    <hostdev mode='subsystem' type='pci' managed='no'>\n"
        "      <driver name='vfio'/>\n"
        "      <source>\n"
        "        <address domain='0x0000' bus='0x03' slot='0x10' function='0x2'/>\n"
        "      </source>\n"
        "      <teaming type='transient' persistent='ua-net0'/>\n"
        "      <alias name='ua-vf0'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>\n"
        "    </hostdev>\n"
        "    <hostdev mode='subsystem' type='usb' managed='no'>\n"
        "      <source>\n"
        "        <vendor id='0x1234'/>\n"
        "        <product id='0xbeef'/>\n"
        "      </source>\n"
        "      <alias name='hostdev1'/>\n"
        "    </hostdev>\n"
        "    <memballoon model='none'/>\n"
        "  </devices>\n"
        "</domain>\n";

/* libvirt 11.3 (Debian 13): <interface type='hostdev'> that was adopted, oVirt's metadata, i440fx. */
static const char live_trixie[] =
        "<domain type='kvm' id='2' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
        "  <name>web &amp; db</name>\n"
        "  <uuid>aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee</uuid>\n"
        "  <metadata xmlns:ovirt-vm=\"http://ovirt.org/vm/1.0\">\n"
        "    <ovirt-vm:vm/>\n"
        "  </metadata>\n"
        "  <os firmware='efi'>\n"
        "    <type arch='x86_64' machine='pc-i440fx-10.0'>hvm</type>\n"
        "  </os>\n"
        "  <devices>\n"
        "    <interface type='bridge'>\n"
        "      <mac address='52:54:00:12:34:57'/>\n"
        "      <source network='lan' portid='6e4a' bridge='br1'/>\n"
        "      <target dev='vnet5'/>\n"
        "      <model type='virtio'/>\n"
        "      <teaming type='persistent'/>\n"
        "      <backend type='passt'/>\n"
        "      <alias name='ua-front'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>\n"
        "    </interface>\n"
        "    <interface type='hostdev' managed='yes'>\n"
        "      <mac address='52:54:00:12:34:57'/>\n"
        "      <driver name='vfio' model='vfio-pci'/>\n"
        "      <source>\n"
        "        <address type='pci' domain='0x0001' bus='0xaf' slot='0x1f' function='0x7'/>\n"
        "      </source>\n"
        "      <vlan><tag id='42'/></vlan>\n"
        "      <teaming type='transient' persistent='ua-front'/>\n"
        "      <alias name='hostdev0'/>\n"
        "      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>\n"
        "    </interface>\n"
        "  </devices>\n"
        "  <qemu:commandline><qemu:arg value='-version'/></qemu:commandline>\n"
        "</domain>\n";

/* Migratable XML, as the destination's hook gets it: the owner's aliases only, no taps. */
static const char migratable[] = "<domain type='kvm'>\n"
                                 "  <name>g1</name>\n"
                                 "  <uuid>11111111-2222-3333-4444-555555555555</uuid>\n"
                                 "  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
                                 "  <devices>\n"
                                 "    <!-- one of each -->\n"
                                 "    <interface type='bridge'>\n"
                                 "      <mac address='52:54:00:12:34:56'/>\n"
                                 "      <source bridge='br0'/>\n"
                                 "      <model type='virtio'/>\n"
                                 "      <teaming type='persistent'/>\n"
                                 "      <alias name='ua-net0'/>\n"
                                 "      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>\n"
                                 "    </interface>\n"
                                 "    <interface type='network'>\n"
                                 "      <mac address='52:54:00:12:34:99'/>\n"
                                 "      <source network='pool-of-vfs'/>\n"
                                 "    </interface>\n"
                                 "    <hostdev mode='subsystem' type='pci' managed='no'>\n"
                                 "      <source>\n"
                                 "        <address domain='0x0000' bus='0x03' slot='0x10' function='0x2'/>\n"
                                 "      </source>\n"
                                 "      <teaming type='transient' persistent='ua-net0'/>\n"
                                 "      <alias name='ua-vf0'/>\n"
                                 "      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>\n"
                                 "    </hostdev>\n"
                                 "    <hostdev mode='subsystem' type='pci' managed='yes'>\n"
                                 "      <source>\n"
                                 "        <address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>\n"
                                 "      </source>\n"
                                 "      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>\n"
                                 "    </hostdev>\n"
                                 "  </devices>\n"
                                 "</domain>";

static struct guest *parse(const char *xml)
{
        struct vswitch_error error = { 0 };
        struct guest *guest = NULL;
        int r = guest_parse_xml(xml, &guest, &error);

        ck_assert_msg(r == 0, "%d: %s", r, error.text);
        return guest;
}

static int refuse(const char *xml, struct vswitch_error *error)
{
        struct guest *guest = NULL;
        int r;

        *error = (struct vswitch_error){ 0 };
        r = guest_parse_xml(xml, &guest, error);
        ck_assert_int_lt(r, 0);
        ck_assert_ptr_null(guest);
        return r;
}

static bool mac_is(const struct vswitch_mac *mac, const char *text)
{
        char buffer[VSWITCH_MAC_TEXT_SIZE];

        return strcmp(vswitch_mac_format(mac, buffer), text) == 0;
}

START_TEST(live_of_debian_12)
{
        _cleanup_(guest_freep) struct guest *guest = parse(live_bookworm);
        const struct guest_nic *nic;
        const struct guest_vf *vf;

        ck_assert_str_eq(guest->name, "g1");
        ck_assert_str_eq(guest->uuid, "11111111-2222-3333-4444-555555555555");
        ck_assert(guest->is_q35);
        ck_assert_str_eq(guest->managed_by, "");
        ck_assert_uint_eq(guest->nics_count, 3);
        ck_assert_uint_eq(guest->vfs_count, 1);
        /* 1 and 2 are in use, 4 takes no hot-plug */
        ck_assert_uint_eq(guest->free_root_ports, 1);
        ck_assert_int_eq(guest->id, 0);

        nic = &guest->nics[0];
        ck_assert_str_eq(nic->alias, "ua-net0");
        ck_assert(mac_is(&nic->mac, "52:54:00:12:34:56"));
        ck_assert_str_eq(nic->bridge, "br0");
        ck_assert_str_eq(nic->tap, "g1n0");
        ck_assert(nic->is_virtio && nic->teaming_persistent && !nic->is_openvswitch);
        ck_assert_uint_eq(nic->mtu, 9000);

        nic = &guest->nics[1];
        ck_assert_str_eq(nic->alias, "net1");
        ck_assert(mac_is(&nic->mac, "52:54:00:ab:cd:ef"));
        ck_assert_str_eq(nic->bridge, "virbr0");
        ck_assert(!nic->is_virtio && !nic->teaming_persistent);
        ck_assert_uint_eq(nic->mtu, 0);

        nic = &guest->nics[2];
        ck_assert(nic->is_virtio && nic->is_openvswitch);
        ck_assert_str_eq(nic->bridge, "ovsbr0");

        vf = &guest->vfs[0];
        ck_assert_str_eq(vf->alias, "ua-vf0");
        ck_assert_str_eq(vf->address, "0000:03:10.2");
        ck_assert_str_eq(vf->persistent, "ua-net0");
        ck_assert(!vf->managed && !vf->is_interface);
}
END_TEST

START_TEST(live_of_debian_13)
{
        _cleanup_(guest_freep) struct guest *guest = parse(live_trixie);

        ck_assert_str_eq(guest->name, "web & db");
        ck_assert(!guest->is_q35);
        ck_assert_uint_eq(guest->free_root_ports, 0);
        ck_assert_str_eq(guest->managed_by, "ovirt");
        ck_assert_uint_eq(guest->nics_count, 1);
        ck_assert_str_eq(guest->nics[0].bridge, "br1");
        ck_assert_uint_eq(guest->vfs_count, 1);
        ck_assert_str_eq(guest->vfs[0].alias, "hostdev0");
        ck_assert_str_eq(guest->vfs[0].address, "0001:af:1f.7");
        ck_assert_str_eq(guest->vfs[0].persistent, "ua-front");
        ck_assert(guest->vfs[0].managed && guest->vfs[0].is_interface);
}
END_TEST

START_TEST(migratable_of_the_hook)
{
        _cleanup_(guest_freep) struct guest *guest = parse(migratable);

        ck_assert_uint_eq(guest->nics_count, 2);
        ck_assert_str_eq(guest->nics[0].tap, "");
        ck_assert_str_eq(guest->nics[1].alias, "");
        ck_assert_str_eq(guest->nics[1].bridge, "");
        ck_assert_uint_eq(guest->vfs_count, 2);
        ck_assert_str_eq(guest->vfs[1].alias, "");
        ck_assert_str_eq(guest->vfs[1].persistent, "");
        ck_assert(guest->vfs[1].managed);
}
END_TEST

START_TEST(status_file_of_libvirt)
{
        _cleanup_(guest_freep) struct guest *guest =
                parse("<domstatus state='paused' reason='migration' pid='2296'>"
                      "<job type='none' async='migration in' phase='prepare' flags='0x900'/>"
                      "<domain type='kvm' id='1'><name>g</name><uuid>994cee0d-2a70-4937-9693-0431e39d20f7</uuid>"
                      "<devices>"
                      "<interface type='network'><mac address='52:54:00:59:59:91'/><source network='default'/>"
                      "<actual type='network'><source bridge='virbr0'/></actual><target dev='vnet0'/>"
                      "<model type='virtio'/><alias name='net0'/></interface>"
                      "<interface type='network'><mac address='52:54:00:59:59:92'/><source network='ovs'/>"
                      "<actual type='bridge'><source bridge='ovsbr0'/><virtualport type='openvswitch'/></actual>"
                      "<alias name='net1'/></interface>"
                      "<interface type='network'><mac address='52:54:00:59:59:93'/><source network='vfs'/>"
                      "<actual type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' bus='0x03'"
                      " slot='0x10' function='0x4'/></source></actual><alias name='hostdev0'/></interface>"
                      "</devices></domain></domstatus>");

        ck_assert_uint_eq(guest->nics_count, 2);
        ck_assert_str_eq(guest->nics[0].bridge, "virbr0");
        ck_assert_str_eq(guest->nics[0].tap, "vnet0");
        ck_assert_str_eq(guest->nics[1].bridge, "ovsbr0");
        ck_assert(guest->nics[1].is_openvswitch);
        ck_assert_uint_eq(guest->vfs_count, 1);
        ck_assert_str_eq(guest->vfs[0].address, "0000:03:10.4");
        ck_assert(guest->vfs[0].managed && guest->vfs[0].is_interface);
}
END_TEST

START_TEST(least_possible_domain)
{
        _cleanup_(guest_freep) struct guest *guest = parse("<?xml version='1.0'?><domain><name>x</name></domain>");

        ck_assert_str_eq(guest->uuid, "");
        ck_assert_uint_eq(guest->nics_count, 0);
        ck_assert(!guest->is_q35);
}
END_TEST

START_TEST(owners_are_recognised)
{
        static const struct {
                const char *metadata;
                const char *owner;
        } cases[] = {
                { "<x:vm xmlns:x='http://ovirt.org/vm/1.0'/>", "ovirt" },
                { "<x:qos xmlns:x='http://ovirt.org/vm/tune/1.0'/>", "ovirt" },
                { "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/>", "nova" },
                { "<kubevirt xmlns='http://kubevirt.io'/>", "kubevirt" },
                { "<a xmlns='http://example.org/'/>text<b/>"
                  "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.0'/>",
                  "nova" },
                { "<policy xmlns='https://vswitch.example/policy/1'/>", "" },
                { "", "" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                _cleanup_(guest_freep) struct guest *guest = NULL;
                char xml[512];

                snprintf(xml, sizeof(xml), "<domain><name>x</name><metadata>%s</metadata></domain>", cases[i].metadata);
                guest = parse(xml);
                ck_assert_str_eq(guest->managed_by, cases[i].owner);
        }
}
END_TEST

START_TEST(addresses_in_every_base)
{
        static const struct {
                const char *address;
                const char *expected; /* NULL: refused */
        } cases[] = {
                { "domain='0x0000' bus='0x03' slot='0x10' function='0x2'", "0000:03:10.2" },
                { "domain='0' bus='3' slot='16' function='2'", "0000:03:10.2" },
                { "bus='0xff' slot='0x1f' function='0x7'", "0000:ff:1f.7" },
                { "domain='0x10000' bus='0x01' slot='0x00' function='0x0'", "10000:01:00.0" },
                { "domain='0x100000' bus='0x01' slot='0x00' function='0x0'", NULL },
                { "domain='0' bus='256' slot='0' function='0'", NULL },
                { "domain='0' bus='1' slot='0x20' function='0'", NULL },
                { "domain='0' bus='1' slot='0' function='8'", NULL },
                { "domain='0' bus='-1' slot='0' function='0'", NULL },
                { "domain='0' bus=' 1' slot='0' function='0'", NULL },
                { "domain='0' bus='' slot='0' function='0'", NULL },
                { "domain='0' bus='1x' slot='0' function='0'", NULL },
                { "domain='0' bus='99999999999999999999' slot='0' function='0'", NULL },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct vswitch_error error = { 0 };
                char xml[512];

                snprintf(xml, sizeof(xml),
                         "<domain><name>x</name><devices>\n<hostdev mode='subsystem' type='pci'>\n<source>\n"
                         "<address %s/></source></hostdev></devices></domain>",
                         cases[i].address);
                if (cases[i].expected) {
                        _cleanup_(guest_freep) struct guest *guest = parse(xml);

                        ck_assert_str_eq(guest->vfs[0].address, cases[i].expected);
                } else {
                        ck_assert_int_eq(refuse(xml, &error), -EINVAL);
                        ck_assert_ptr_nonnull(strstr(error.text, "line 4"));
                }
        }
}
END_TEST

START_TEST(hosts_devices_that_are_none)
{
        _cleanup_(guest_freep) struct guest *guest =
                parse("<domain><name>x</name><devices>"
                      "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='c2177883'/>"
                      "</source></hostdev>"
                      "<hostdev mode='subsystem' type='scsi'><source/></hostdev>"
                      "<hostdev mode='capabilities' type='misc'/>"
                      "<hostdev mode='subsystem' type='pci'/>"
                      "<interface type='hostdev'><source><address type='usb' bus='1' device='2'/></source></interface>"
                      "<interface type='hostdev'/>"
                      "</devices></domain>");

        ck_assert_uint_eq(guest->vfs_count, 0);
        ck_assert_uint_eq(guest->nics_count, 0);
}
END_TEST

START_TEST(names_that_do_not_fit_are_no_names)
{
        _cleanup_(guest_freep) struct guest *guest =
                parse("<domain><name>x</name><devices><interface type='bridge'>"
                      "<source bridge='a-name-of-sixteen'/><target dev='fifteen-letters'/>"
                      "<alias name='ua-0123456789012345678901234567890123456789012345678901234567890'/>"
                      "</interface></devices></domain>");

        ck_assert_str_eq(guest->nics[0].bridge, "");
        ck_assert_str_eq(guest->nics[0].tap, "fifteen-letters");
        ck_assert_str_eq(guest->nics[0].alias, "");
}
END_TEST

START_TEST(mistakes_are_named)
{
        struct vswitch_error error;

        ck_assert_int_eq(refuse("", &error), -EINVAL);
        ck_assert_int_eq(refuse("domain", &error), -EINVAL);
        ck_assert_int_eq(refuse("<domain>\n<name>x</name>\n<devices>", &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "line 3"));
        ck_assert_ptr_null(strchr(error.text, '\n'));
        ck_assert_int_eq(refuse("<network><name>x</name></network>", &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "<domain>"));
        ck_assert_int_eq(refuse("<domstatus/>", &error), -EINVAL);
        ck_assert_int_eq(refuse("<domain/>", &error), -EINVAL);
        ck_assert_int_eq(refuse("<domain><name>x</name><devices>\n"
                                "<interface type='user'><mac address='52:54:00'/></interface></devices></domain>",
                                &error),
                         -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "line 2"));
        ck_assert_ptr_nonnull(strstr(error.text, "'52:54:00'"));
        ck_assert_int_eq(refuse(NULL, &error), -EINVAL);
        /* nobody to tell */
        ck_assert_int_eq(guest_parse_xml("<domain/>", &(struct guest *){ NULL }, NULL), -EINVAL);
}
END_TEST

START_TEST(outside_entities_are_not_read)
{
        struct vswitch_error error;
        struct guest *guest = NULL;
        int r = guest_parse_xml("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"
                                "<domain><name>a&e;b</name></domain>",
                                &guest, &error);

        if (r == 0)
                ck_assert_str_eq(guest->name, "ab");
        guest_free(guest);
}
END_TEST

/* Whatever is cut off: an error or a guest, never more (run with sanitizers). */
START_TEST(truncated_anywhere)
{
        for (size_t length = 0; length < strlen(live_bookworm); length++) {
                _cleanup_(freep) char *part = strndup(live_bookworm, length);
                _cleanup_(guest_freep) struct guest *guest = NULL;

                if (guest_parse_xml(part, &guest, NULL) == 0)
                        ck_assert_uint_ge(length, strlen(live_bookworm) - 1);
        }
}
END_TEST

/* One byte changed, everywhere. */
START_TEST(damaged_anywhere)
{
        static const char bytes[] = { '\'', '<', '>', '0', 'x', '&', '\xff' };

        for (size_t i = 0; i < strlen(migratable); i++)
                for (size_t j = 0; j < sizeof(bytes); j++) {
                        _cleanup_(freep) char *damaged = strdup(migratable);
                        _cleanup_(guest_freep) struct guest *guest = NULL;

                        damaged[i] = bytes[j];
                        (void) guest_parse_xml(damaged, &guest, NULL);
                }
}
END_TEST

/* `text` with the first `from` replaced. */
static char *replaced(const char *text, const char *from, const char *to)
{
        const char *place = strstr(text, from);
        char *result = NULL;

        ck_assert_ptr_nonnull(place);
        ck_assert_int_ge(asprintf(&result, "%.*s%s%s", (int) (place - text), text, to, place + strlen(from)), 0);
        return result;
}

static void use_single_quotes(char *text)
{
        for (; *text; text++)
                if (*text == '"')
                        *text = '\'';
}

START_TEST(rewrite_changes_nothing_else)
{
        struct vswitch_error error = { 0 };
        _cleanup_(freep) char *rewritten = NULL;
        _cleanup_(freep) char *expected =
                replaced(migratable, "<address domain='0x0000' bus='0x03' slot='0x10' function='0x2'/>",
                         "<address domain='0x0000' bus='0xaf' slot='0x01' function='0x6'/>");
        int r = guest_rewrite_vf_address(migratable, "ua-vf0", "0000:af:01.6", &rewritten, &error);

        ck_assert_msg(r == 0, "%s", error.text);
        use_single_quotes(rewritten);
        ck_assert_str_eq(rewritten, expected);
}
END_TEST

START_TEST(rewrite_by_present_address)
{
        _cleanup_(freep) char *rewritten = NULL;
        _cleanup_(guest_freep) struct guest *guest = NULL;

        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "0000:05:00.0", "0002:06:1f.7", &rewritten, NULL), 0);
        guest = parse(rewritten);
        ck_assert_str_eq(guest->vfs[0].address, "0000:03:10.2");
        ck_assert_str_eq(guest->vfs[1].address, "0002:06:1f.7");
}
END_TEST

START_TEST(rewrite_of_an_interface)
{
        _cleanup_(freep) char *rewritten = NULL;
        _cleanup_(guest_freep) struct guest *guest = NULL;

        ck_assert_int_eq(guest_rewrite_vf_address(live_trixie, "hostdev0", "0000:01:10.2", &rewritten, NULL), 0);
        guest = parse(rewritten);
        ck_assert_str_eq(guest->vfs[0].address, "0000:01:10.2");
        ck_assert_str_eq(guest->name, "web & db");
        ck_assert_ptr_nonnull(strstr(rewritten, "xmlns:qemu="));
        ck_assert_ptr_nonnull(strstr(rewritten, "<qemu:arg "));
        ck_assert_ptr_null(strstr(rewritten, "<?xml"));
}
END_TEST

START_TEST(rewrite_refuses)
{
        struct vswitch_error error = { 0 };
        char *rewritten = NULL;

        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "ua-vf1", "0000:01:10.2", &rewritten, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "ua-vf1"));
        /* a NIC is not a VF */
        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "ua-net0", "0000:01:10.2", &rewritten, &error), -ENOENT);
        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "0000:09:00.0", "0000:01:10.2", &rewritten, &error),
                         -ENOENT);
        ck_assert_int_eq(guest_rewrite_vf_address("<domain><name>x</name></domain>", "ua-vf0", "0000:01:10.2",
                                                  &rewritten, &error),
                         -ENOENT);
        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "ua-vf0", "01:10.2", &rewritten, &error), -EINVAL);
        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "ua-vf0", "0000:01:20.0", &rewritten, &error), -EINVAL);
        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "ua-vf0", "0000:01:10.8", &rewritten, &error), -EINVAL);
        ck_assert_int_eq(guest_rewrite_vf_address(migratable, "ua-vf0", "0000:01:10.2x", &rewritten, &error), -EINVAL);
        ck_assert_int_eq(guest_rewrite_vf_address("<domain>", "ua-vf0", "0000:01:10.2", &rewritten, &error), -EINVAL);
        ck_assert_ptr_null(rewritten);
}
END_TEST

START_TEST(device_to_attach)
{
        _cleanup_(freep) char *xml = NULL;

        ck_assert_int_eq(guest_vf_device_xml("ua-vf0", "0000:03:10.2", "ua-net0", &xml), 0);
        ck_assert_str_eq(xml,
                         "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><driver name=\"vfio\"/>"
                         "<source><address domain=\"0x0000\" bus=\"0x03\" slot=\"0x10\" function=\"0x2\"/></source>"
                         "<teaming type=\"transient\" persistent=\"ua-net0\"/><alias name=\"ua-vf0\"/></hostdev>");
        ck_assert_int_eq(guest_vf_device_xml("ua-vf0", "nonsense", "ua-net0", &xml), -EINVAL);
}
END_TEST

START_TEST(device_to_attach_is_escaped)
{
        _cleanup_(freep) char *xml = NULL;
        _cleanup_(freep) char *domain = NULL;
        _cleanup_(guest_freep) struct guest *guest = NULL;

        ck_assert_int_eq(guest_vf_device_xml("ua-\"&<'", "0000:03:10.2", "a'b&amp;", &xml), 0);
        ck_assert_int_ge(asprintf(&domain, "<domain><name>x</name><devices>%s</devices></domain>", xml), 0);
        guest = parse(domain);
        ck_assert_str_eq(guest->vfs[0].alias, "ua-\"&<'");
        ck_assert_str_eq(guest->vfs[0].persistent, "a'b&amp;");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("guest XML");
        TCase *reading = tcase_create("reading"), *editing = tcase_create("editing");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(reading, 60);
        tcase_add_test(reading, live_of_debian_12);
        tcase_add_test(reading, live_of_debian_13);
        tcase_add_test(reading, migratable_of_the_hook);
        tcase_add_test(reading, status_file_of_libvirt);
        tcase_add_test(reading, least_possible_domain);
        tcase_add_test(reading, owners_are_recognised);
        tcase_add_test(reading, addresses_in_every_base);
        tcase_add_test(reading, hosts_devices_that_are_none);
        tcase_add_test(reading, names_that_do_not_fit_are_no_names);
        tcase_add_test(reading, mistakes_are_named);
        tcase_add_test(reading, outside_entities_are_not_read);
        tcase_add_test(reading, truncated_anywhere);
        tcase_add_test(reading, damaged_anywhere);
        suite_add_tcase(suite, reading);

        tcase_add_test(editing, rewrite_changes_nothing_else);
        tcase_add_test(editing, rewrite_by_present_address);
        tcase_add_test(editing, rewrite_of_an_interface);
        tcase_add_test(editing, rewrite_refuses);
        tcase_add_test(editing, device_to_attach);
        tcase_add_test(editing, device_to_attach_is_escaped);
        suite_add_tcase(suite, editing);

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
