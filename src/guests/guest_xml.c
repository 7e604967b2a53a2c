/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_xml.h"
#include "internal.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <pthread.h>
#include <stdio.h>

static pthread_once_t parser_once = PTHREAD_ONCE_INIT;

void guest_xml_prepare(void)
{
        pthread_once(&parser_once, xmlInitParser);
}

void guest_xml_document_freep(xmlDoc **document)
{
        if (*document)
                xmlFreeDoc(*document);
}

void guest_xml_stringp(xmlChar **string)
{
        if (*string)
                xmlFree(*string);
}

static void parser_context_freep(xmlParserCtxt **context)
{
        if (*context)
                xmlFreeParserCtxt(*context);
}

int guest_xml_document(const char *xml, xmlDoc **ret, struct vswitch_error *error)
{
        _cleanup_(parser_context_freep) xmlParserCtxt *context = NULL;
        const xmlError *mistake;
        xmlDoc *document;
        int length;

        if (!xml || strlen(xml) > (size_t) INT32_MAX)
                return vswitch_error_set(error, -EINVAL, "no domain XML was given, or too much of it");
        guest_xml_prepare();
        context = xmlNewParserCtxt();
        if (!context)
                return -ENOMEM;
        document = xmlCtxtReadMemory(context, xml, (int) strlen(xml), "domain.xml", NULL,
                                     XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
        if (document) {
                *ret = document;
                return 0;
        }
        mistake = xmlCtxtGetLastError(context);
        if (!mistake || !mistake->message)
                return vswitch_error_set(error, -EINVAL, "the domain XML is not well-formed");
        length = (int) strcspn(mistake->message, "\n");
        return vswitch_error_set(error, -EINVAL, "the domain XML is not well-formed, line %d: %.*s", mistake->line,
                                 length, mistake->message);
}

bool guest_xml_is(const xmlNode *node, const char *name)
{
        return node && node->type == XML_ELEMENT_NODE && strcmp((const char *) node->name, name) == 0;
}

xmlNode *guest_xml_element(xmlNode *node)
{
        while (node && node->type != XML_ELEMENT_NODE)
                node = node->next;
        return node;
}

xmlNode *guest_xml_child(const xmlNode *parent, const char *name)
{
        if (!parent)
                return NULL;
        for (xmlNode *node = parent->children; node; node = node->next)
                if (guest_xml_is(node, name))
                        return node;
        return NULL;
}

xmlNode *guest_xml_domain(xmlDoc *document)
{
        xmlNode *root = xmlDocGetRootElement(document);

        if (guest_xml_is(root, "domain"))
                return root;
        if (guest_xml_is(root, "domstatus"))
                return guest_xml_child(root, "domain");
        return NULL;
}

xmlChar *guest_xml_attribute(const xmlNode *node, const char *name)
{
        return node ? xmlGetNoNsProp((xmlNode *) node, (const xmlChar *) name) : NULL;
}

bool guest_xml_attribute_is(const xmlNode *node, const char *name, const char *value)
{
        _cleanup_(guest_xml_stringp) xmlChar *attribute = guest_xml_attribute(node, name);

        return attribute && strcmp((const char *) attribute, value) == 0;
}

bool guest_xml_is_host_device(xmlNode *device, xmlNode **ret_source)
{
        xmlNode *holder = device;

        if (guest_xml_is(device, "hostdev")) {
                if (!guest_xml_attribute_is(device, "type", "pci") ||
                    guest_xml_attribute_is(device, "mode", "capabilities"))
                        return false;
        } else if (guest_xml_is(device, "interface")) {
                if (!guest_xml_attribute_is(device, "type", "hostdev")) {
                        holder = guest_xml_child(device, "actual");
                        if (!guest_xml_attribute_is(holder, "type", "hostdev"))
                                return false;
                }
        } else
                return false;
        *ret_source = guest_xml_child(holder, "source");
        return true;
}

/* One of the four numbers of a PCI address. libvirt writes them as "0x01" and reads every base. */
static int address_part(const xmlNode *address, const char *name, unsigned long maximum, unsigned *ret)
{
        _cleanup_(guest_xml_stringp) xmlChar *text = guest_xml_attribute(address, name);
        unsigned long value;
        char *end;

        if (!text) {
                *ret = 0; /* libvirt's own default */
                return 0;
        }
        if (text[0] < '0' || text[0] > '9')
                return -EINVAL;
        errno = 0;
        value = strtoul((const char *) text, &end, 0);
        if (errno != 0 || *end != '\0' || value > maximum)
                return -EINVAL;
        *ret = (unsigned) value;
        return 0;
}

int guest_xml_source_address(const xmlNode *source, char buffer[static PF_ADDRESS_SIZE], struct vswitch_error *error)
{
        xmlNode *address = guest_xml_child(source, "address");
        unsigned domain, bus, slot, function;
        _cleanup_(guest_xml_stringp) xmlChar *type = NULL;

        if (!address)
                return -ENOENT;
        type = guest_xml_attribute(address, "type");
        if (type && strcmp((const char *) type, "pci") != 0)
                return -ENOENT;
        /* Eight hexadecimal digits of domain would not fit the address's text; no machine has more than 20 bits. */
        if (address_part(address, "domain", 0xfffff, &domain) < 0 || address_part(address, "bus", 0xff, &bus) < 0 ||
            address_part(address, "slot", 0x1f, &slot) < 0 || address_part(address, "function", 7, &function) < 0)
                return vswitch_error_set(error, -EINVAL, "line %ld of the domain XML: malformed PCI address",
                                         xmlGetLineNo(address));
        snprintf(buffer, PF_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain & 0xfffff, bus & 0xff, slot & 0x1f, function & 7);
        return 0;
}
