/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a NIC may do, as the domain's XML says it: libvirt's own elements, and ours in <metadata>. */

#include "guests.h"

#include <libxml/tree.h>

/* The namespace of our <policy> in <metadata>. Its number changes when an older reader would misread a newer one. */
#define GUEST_POLICY_NAMESPACE "urn:vswitch:policy:1"

/* Link state, filter, port isolation, VLAN and bandwidth of an <interface>. */
void guest_xml_read_interface_policy(const xmlNode *interface, struct guest_nic *nic);

/* Our own elements in <metadata>, for every NIC of the guest. Mistakes are in each NIC's policy_error: they are no reason
 * not to know the guest. After the NICs were read. */
void guest_xml_read_policy(const xmlNode *domain, struct guest *guest);

/* The start of the name spaces of all versions of it. */
#define GUEST_POLICY_NAMESPACE_STEM "urn:vswitch:policy:"

/* Is this an attribute of <nic> that this version knows? Not so "alias", which says whose it is. */
bool guest_xml_policy_knows(const char *name);

/* May the attribute have this value? -EINVAL with what it may have. */
int guest_xml_policy_check(const char *name, const char *value, struct vswitch_error *error);
