/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A domain's XML read into struct guest.
 *
 * The same document comes in several shapes, and all are read by the same code:
 *  - live (`virsh dumpxml`): with aliases, taps, PCI addresses; a NIC of type='network' on a bridge shows the bridge
 *    as an attribute of its <source>;
 *  - inactive, migratable, and what the hook gets before the start: aliases only where the owner gave some, no taps;
 *  - libvirt's status file in /run: the live definition inside <domstatus>, where a NIC of type='network' keeps its
 *    owner's words and tells the truth in <actual>.
 * What this reader does not know it leaves alone: libvirt has checked the document, and a device of a kind that
 * appears in a later release must not hide the NICs.
 */

#include "guest_xml.h"
#include "guest_xml_policy.h"
#include "guests.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>

/* One bit for each PCI bus number of a guest. */
struct bus_set {
        uint64_t words[4];
};

static void bus_set_add(struct bus_set *set, unsigned bus)
{
        if (bus < 256)
                set->words[bus / 64] |= UINT64_C(1) << (bus % 64);
}

static bool bus_set_has(const struct bus_set *set, unsigned bus)
{
        return bus < 256 && (set->words[bus / 64] >> (bus % 64)) & 1;
}

static bool read_number(const xmlNode *node, const char *name, unsigned *ret)
{
        _cleanup_(guest_xml_stringp) xmlChar *text = guest_xml_attribute(node, name);
        unsigned long value;
        char *end;

        if (!text || text[0] < '0' || text[0] > '9')
                return false;
        errno = 0;
        value = strtoul((const char *) text, &end, 0);
        if (errno != 0 || *end != '\0' || value > UINT32_MAX)
                return false;
        *ret = (unsigned) value;
        return true;
}

static void read_name(const xmlNode *node, const char *attribute, char *buffer, size_t size)
{
        _cleanup_(guest_xml_stringp) xmlChar *text = guest_xml_attribute(node, attribute);

        copy_name(buffer, size, (const char *) text);
}

static char *read_text(const xmlNode *parent, const char *name)
{
        xmlNode *node = guest_xml_child(parent, name);
        _cleanup_(guest_xml_stringp) xmlChar *text = node ? xmlNodeGetContent(node) : NULL;

        return text ? strdup((const char *) text) : NULL;
}

/* The owner of a software stack that manages its guests' NICs by itself, by the name space of what it left in
 * <metadata>. */
static void read_managed_by(const xmlNode *domain, struct guest *guest)
{
        static const struct {
                const char *part_of_namespace;
                const char *name;
        } managers[] = {
                { "ovirt.org/vm", "ovirt" },
                { "openstack.org/xmlns/libvirt/nova", "nova" },
                { "kubevirt.io", "kubevirt" },
        };
        xmlNode *metadata = guest_xml_child(domain, "metadata");

        for (xmlNode *node = metadata ? guest_xml_element(metadata->children) : NULL; node;
             node = guest_xml_element(node->next)) {
                if (!node->ns || !node->ns->href)
                        continue;
                for (size_t i = 0; i < ARRAY_SIZE(managers); i++)
                        if (strstr((const char *) node->ns->href, managers[i].part_of_namespace)) {
                                copy_name(guest->managed_by, sizeof(guest->managed_by), managers[i].name);
                                return;
                        }
        }
}

/* libvirt gives it in KiB whatever its owner wrote; other units are of a definition that does not run yet. */
static uint64_t read_memory(const xmlNode *domain)
{
        _cleanup_(guest_xml_stringp) xmlChar *unit = guest_xml_attribute(guest_xml_child(domain, "memory"), "unit");
        _cleanup_(freep) char *text = read_text(domain, "memory");

        return text && (!unit || strcmp((const char *) unit, "KiB") == 0) ? strtoull(text, NULL, 10) : 0;
}

static bool is_q35(const xmlNode *domain)
{
        xmlNode *type = guest_xml_child(guest_xml_child(domain, "os"), "type");
        _cleanup_(guest_xml_stringp) xmlChar *machine = guest_xml_attribute(type, "machine");

        /* "q35" as the owner writes it, "pc-q35-7.2" as libvirt expands it, and distributions' own "pc-q35-rhel9.2.0". */
        return machine && strstr((const char *) machine, "q35");
}

/* The bridge of a NIC: in <actual> when libvirt resolved a network (and told there), else in its own <source>. */
static void read_backend(const xmlNode *interface, struct guest_nic *nic)
{
        xmlNode *actual = guest_xml_child(interface, "actual");
        xmlNode *source = guest_xml_child(actual, "source");
        xmlNode *port = guest_xml_child(actual, "virtualport");

        if (!source || !xmlHasProp(source, (const xmlChar *) "bridge"))
                source = guest_xml_child(interface, "source");
        read_name(source, "bridge", nic->bridge, sizeof(nic->bridge));
        if (!port)
                port = guest_xml_child(interface, "virtualport");
        nic->is_openvswitch = guest_xml_attribute_is(port, "type", "openvswitch");
}

static int read_nic(const xmlNode *interface, struct guest_nic *nic, struct vswitch_error *error)
{
        _cleanup_(guest_xml_stringp) xmlChar *mac = guest_xml_attribute(guest_xml_child(interface, "mac"), "address");
        _cleanup_(guest_xml_stringp) xmlChar *model = guest_xml_attribute(guest_xml_child(interface, "model"), "type");
        unsigned mtu;

        if (mac && vswitch_mac_parse((const char *) mac, &nic->mac) < 0)
                return vswitch_error_set(error, -EINVAL, "line %ld of the domain XML: '%s' is not a MAC address",
                                         xmlGetLineNo((xmlNode *) interface), (const char *) mac);
        read_name(guest_xml_child(interface, "alias"), "name", nic->alias, sizeof(nic->alias));
        read_name(guest_xml_child(interface, "target"), "dev", nic->tap, sizeof(nic->tap));
        read_backend(interface, nic);
        /* "virtio", "virtio-transitional" and "virtio-non-transitional" are the same device to us. */
        nic->is_virtio = model && strncmp((const char *) model, "virtio", strlen("virtio")) == 0;
        nic->teaming_persistent = guest_xml_attribute_is(guest_xml_child(interface, "teaming"), "type", "persistent");
        if (read_number(guest_xml_child(interface, "mtu"), "size", &mtu))
                nic->mtu = mtu;
        guest_xml_read_interface_policy(interface, nic);
        return 0;
}

/* -ENOENT for a device that has no address yet (a VF that libvirt takes from a pool when the guest starts). */
static int read_vf(xmlNode *device, const xmlNode *source, struct guest_vf *vf, struct vswitch_error *error)
{
        xmlNode *teaming = guest_xml_child(device, "teaming");
        int r;

        r = guest_xml_source_address(source, vf->address, error);
        if (r < 0)
                return r;
        read_name(guest_xml_child(device, "alias"), "name", vf->alias, sizeof(vf->alias));
        if (guest_xml_attribute_is(teaming, "type", "transient"))
                read_name(teaming, "persistent", vf->persistent, sizeof(vf->persistent));
        vf->managed = guest_xml_attribute_is(device, "managed", "yes") ||
                      guest_xml_attribute_is(guest_xml_child(device, "actual"), "managed", "yes");
        vf->is_interface = guest_xml_is(device, "interface");
        return 0;
}

static unsigned count_free_root_ports(const xmlNode *devices)
{
        struct bus_set used = { 0 };
        unsigned bus, free_ports = 0;

        /* Only the address of the device itself is one in the guest; that of its <source> is on the host. */
        for (xmlNode *node = guest_xml_element(devices->children); node; node = guest_xml_element(node->next)) {
                xmlNode *address = guest_xml_child(node, "address");

                if (guest_xml_attribute_is(address, "type", "pci") && read_number(address, "bus", &bus))
                        bus_set_add(&used, bus);
        }
        for (xmlNode *node = guest_xml_element(devices->children); node; node = guest_xml_element(node->next)) {
                if (!guest_xml_is(node, "controller") || !guest_xml_attribute_is(node, "type", "pci") ||
                    !guest_xml_attribute_is(node, "model", "pcie-root-port"))
                        continue;
                if (guest_xml_attribute_is(guest_xml_child(node, "target"), "hotplug", "off"))
                        continue;
                if (read_number(node, "index", &bus) && !bus_set_has(&used, bus))
                        free_ports++;
        }
        return free_ports;
}

static int read_devices(xmlNode *devices, struct guest *guest, struct vswitch_error *error)
{
        size_t count = xmlChildElementCount(devices);
        int r;

        if (count == 0)
                return 0;
        guest->nics = calloc(count, sizeof(*guest->nics));
        guest->vfs = calloc(count, sizeof(*guest->vfs));
        if (!guest->nics || !guest->vfs)
                return -ENOMEM;
        for (xmlNode *node = guest_xml_element(devices->children); node; node = guest_xml_element(node->next)) {
                xmlNode *source;

                if (guest_xml_is_host_device(node, &source)) {
                        r = read_vf(node, source, &guest->vfs[guest->vfs_count], error);
                        if (r == -ENOENT)
                                continue;
                        if (r < 0)
                                return r;
                        guest->vfs_count++;
                } else if (guest_xml_is(node, "interface")) {
                        r = read_nic(node, &guest->nics[guest->nics_count], error);
                        if (r < 0)
                                return r;
                        guest->nics_count++;
                }
        }
        guest->free_root_ports = count_free_root_ports(devices);
        return 0;
}

int guest_parse_xml(const char *xml, struct guest **ret, struct vswitch_error *error)
{
        _cleanup_(guest_xml_document_freep) xmlDoc *document = NULL;
        _cleanup_(guest_freep) struct guest *guest = NULL;
        _cleanup_(freep) char *uuid = NULL;
        xmlNode *domain, *devices;
        int r;

        r = guest_xml_document(xml, &document, error);
        if (r < 0)
                return r;
        domain = guest_xml_domain(document);
        if (!domain)
                return vswitch_error_set(error, -EINVAL, "this XML describes no domain: its root is not <domain>");
        guest = calloc(1, sizeof(*guest));
        if (!guest)
                return -ENOMEM;
        guest->name = read_text(domain, "name");
        if (!guest->name)
                return vswitch_error_set(error, -EINVAL, "line %ld of the domain XML: the domain has no <name>",
                                         xmlGetLineNo(domain));
        /* A definition that libvirt has not seen yet may come without: libvirt makes one up. */
        uuid = read_text(domain, "uuid");
        copy_name(guest->uuid, sizeof(guest->uuid), uuid);
        guest->is_q35 = is_q35(domain);
        guest->memory_kib = read_memory(domain);
        read_managed_by(domain, guest);
        devices = guest_xml_child(domain, "devices");
        if (devices) {
                r = read_devices(devices, guest, error);
                if (r < 0)
                        return r;
        }
        guest_xml_read_policy(domain, guest);
        *ret = TAKE_POINTER(guest);
        return 0;
}
