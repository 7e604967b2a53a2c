/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading libvirt's XML with libxml2: what parsing and editing share. */

#include "vswitch/error.h"
#include "vswitch/pf.h"

#include <libxml/tree.h>
#include <stdbool.h>

/* Makes the parser's global tables. Before there are other threads: libvirt uses the same parser, and making them is
 * not safe from two threads at once. The functions below do it by themselves otherwise. */
void guest_xml_prepare(void);

void guest_xml_document_freep(xmlDoc **document);
void guest_xml_stringp(xmlChar **string);

/* Parses the text; nothing is fetched and no entity of an outside file is read. -EINVAL with the line. */
int guest_xml_document(const char *xml, xmlDoc **ret, struct vswitch_error *error);

/* The <domain> of the document: its root, or the child of the <domstatus> that libvirt keeps in /run. NULL when it
 * has none. */
xmlNode *guest_xml_domain(xmlDoc *document);

/* First child element of that name, or NULL. `parent` may be NULL. */
xmlNode *guest_xml_child(const xmlNode *parent, const char *name);
/* The next sibling element (any name) beginning with `node` itself; NULL at the end. */
xmlNode *guest_xml_element(xmlNode *node);
bool guest_xml_is(const xmlNode *node, const char *name);

/* Attribute value, malloc'ed by libxml2, or NULL. `node` may be NULL. */
xmlChar *guest_xml_attribute(const xmlNode *node, const char *name);
/* Does the attribute have this value? */
bool guest_xml_attribute_is(const xmlNode *node, const char *name, const char *value);

/* Is this device a PCI device of the host given to the guest? It can be either of <hostdev mode='subsystem'
 * type='pci'> and <interface type='hostdev'>, or an <interface type='network'> whose <actual> is of that type. When
 * it is, *ret_source is its <source> (NULL when it has none, as with a pool of VFs in an inactive definition). */
bool guest_xml_is_host_device(xmlNode *device, xmlNode **ret_source);

/* Reads the <address> of a <source> into "0000:01:10.2". -ENOENT when there is none of type PCI. */
int guest_xml_source_address(const xmlNode *source, char buffer[static PF_ADDRESS_SIZE], struct vswitch_error *error);
