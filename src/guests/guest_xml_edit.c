/* SPDX-License-Identifier: Apache-2.0 */

/*
 * XML that goes to libvirt: the domain's XML with another VF in it, and the device that is attached.
 *
 * libvirt compares the two definitions of a migration device by device. It takes another address of the host's device
 * but not another number of devices, so the edit touches the four attributes of one <address> and nothing else.
 */

#include "guest_xml.h"
#include "guests.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>

struct pci_address {
        unsigned domain, bus, slot, function;
};

static int pci_address_parse(const char *text, struct pci_address *ret)
{
        struct pci_address address;
        int end = 0;

        if (!text ||
            sscanf(text, "%5x:%2x:%2x.%1x%n", &address.domain, &address.bus, &address.slot, &address.function, &end) !=
                    4 ||
            text[end] != '\0' || address.slot > 0x1f || address.function > 7)
                return -EINVAL;
        *ret = address;
        return 0;
}

static int pci_address_write(xmlNode *node, const struct pci_address *address)
{
        const struct {
                const char *name;
                int digits;
                unsigned value;
        } parts[] = {
                { "domain", 4, address->domain },
                { "bus", 2, address->bus },
                { "slot", 2, address->slot },
                { "function", 1, address->function },
        };

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                char text[16];

                snprintf(text, sizeof(text), "0x%0*x", parts[i].digits, parts[i].value);
                if (!xmlSetProp(node, (const xmlChar *) parts[i].name, (const xmlChar *) text))
                        return -ENOMEM;
        }
        return 0;
}

static void buffer_freep(xmlBuffer **buffer)
{
        if (*buffer)
                xmlBufferFree(*buffer);
}

/* The element as text, without an XML declaration. */
static int dump(xmlDoc *document, xmlNode *node, char **ret)
{
        _cleanup_(buffer_freep) xmlBuffer *buffer = xmlBufferCreate();

        if (!buffer || xmlNodeDump(buffer, document, node, 0, 0) < 0)
                return -ENOMEM;
        *ret = strdup((const char *) xmlBufferContent(buffer));
        return *ret ? 0 : -ENOMEM;
}

/* Is this the device with that alias, or with that address now? libvirt allows no colon in an alias. */
static bool is_meant(xmlNode *device, const xmlNode *source, const char *alias)
{
        char address[PF_ADDRESS_SIZE];

        if (strchr(alias, ':'))
                return guest_xml_source_address(source, address, NULL) >= 0 && strcmp(address, alias) == 0;
        return guest_xml_attribute_is(guest_xml_child(device, "alias"), "name", alias);
}

int guest_rewrite_vf_address(const char *xml, const char *alias, const char *address, char **ret,
                             struct vswitch_error *error)
{
        _cleanup_(guest_xml_document_freep) xmlDoc *document = NULL;
        struct pci_address wanted;
        xmlNode *domain, *devices, *source, *place = NULL;
        int r;

        r = pci_address_parse(address, &wanted);
        if (r < 0)
                return vswitch_error_set(error, r, "'%s' is not a PCI address such as 0000:01:10.2",
                                         address ? address : "");
        r = guest_xml_document(xml, &document, error);
        if (r < 0)
                return r;
        domain = guest_xml_domain(document);
        if (!domain)
                return vswitch_error_set(error, -EINVAL, "this XML describes no domain: its root is not <domain>");
        devices = guest_xml_child(domain, "devices");
        for (xmlNode *node = devices ? guest_xml_element(devices->children) : NULL; node && !place;
             node = guest_xml_element(node->next))
                if (guest_xml_is_host_device(node, &source) && is_meant(node, source, alias))
                        place = guest_xml_child(source, "address");
        if (!place)
                return vswitch_error_set(error, -ENOENT, "the domain has no PCI device of the host with the alias '%s'",
                                         alias);
        r = pci_address_write(place, &wanted);
        if (r < 0)
                return r;
        return dump(document, domain, ret);
}

static xmlNode *add_child(xmlNode *parent, const char *name)
{
        return parent ? xmlNewChild(parent, NULL, (const xmlChar *) name, NULL) : NULL;
}

static bool add_attribute(xmlNode *node, const char *name, const char *value)
{
        return node && xmlNewProp(node, (const xmlChar *) name, (const xmlChar *) value);
}

int guest_vf_device_xml(const char *alias, const char *address, const char *persistent_alias, char **ret)
{
        _cleanup_(guest_xml_document_freep) xmlDoc *document = xmlNewDoc((const xmlChar *) "1.0");
        struct pci_address pci;
        xmlNode *device, *place, *teaming;
        int r;

        r = pci_address_parse(address, &pci);
        if (r < 0)
                return r;
        device = document ? xmlNewDocNode(document, NULL, (const xmlChar *) "hostdev", NULL) : NULL;
        if (!device)
                return -ENOMEM;
        xmlDocSetRootElement(document, device);
        if (!add_attribute(device, "mode", "subsystem") || !add_attribute(device, "type", "pci") ||
            !add_attribute(device, "managed", "no") || !add_attribute(add_child(device, "driver"), "name", "vfio"))
                return -ENOMEM;
        place = add_child(add_child(device, "source"), "address");
        if (!place)
                return -ENOMEM;
        r = pci_address_write(place, &pci);
        if (r < 0)
                return r;
        teaming = add_child(device, "teaming");
        if (!add_attribute(teaming, "type", "transient") || !add_attribute(teaming, "persistent", persistent_alias) ||
            (alias && !add_attribute(add_child(device, "alias"), "name", alias)))
                return -ENOMEM;
        return dump(document, device, ret);
}
