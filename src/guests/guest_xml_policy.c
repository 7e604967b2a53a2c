/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * A <policy> of ours holds one <nic> for each NIC that has a policy, named by alias, and at most one without an alias
 * for all NICs of the guest. A NIC's own element wins over that one, field by field.
 *
 * An element counts as a whole or not at all: of one with a mistake nothing is used, so that no NIC runs with the half
 * of a policy that happened to be readable. The NICs that it is for get the sentence that says what is wrong; which
 * NICs an element with an alias of nobody was meant for cannot be known, so all those without one of their own get it.
 */

#include "guest_xml_policy.h"
#include "guest_xml.h"
#include "internal.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdarg.h>
#include <stdio.h>

#define VLAN_MAX 4094
#define QOS_MAX  7
#define RATE_MAX 1000000 /* Mbit/s */

/* ---- libvirt's own elements ---- */

/* libvirt's tag of that name: of a NIC whose network it has resolved it is in <actual>, in the status file. */
static xmlNode *effective_child(const xmlNode *interface, const char *name)
{
        xmlNode *node = guest_xml_child(guest_xml_child(interface, "actual"), name);

        return node ? node : guest_xml_child(interface, name);
}

static bool parse_number(const char *text, unsigned long maximum, unsigned long *ret)
{
        char *end;

        if (text[0] < '0' || text[0] > '9')
                return false;
        errno = 0;
        *ret = strtoul(text, &end, 10);
        return errno == 0 && *end == '\0' && *ret <= maximum;
}

static bool read_number(const xmlNode *node, const char *name, unsigned long maximum, unsigned long *ret)
{
        _cleanup_(guest_xml_stringp) xmlChar *text = guest_xml_attribute(node, name);

        return text && parse_number((const char *) text, maximum, ret);
}

static void read_libvirt_vlan(const xmlNode *interface, struct guest_nic *nic)
{
        xmlNode *vlan = effective_child(interface, "vlan");
        unsigned long id;
        unsigned tags = 0;

        for (xmlNode *node = vlan ? guest_xml_element(vlan->children) : NULL; node;
             node = guest_xml_element(node->next)) {
                if (!guest_xml_is(node, "tag"))
                        continue;
                tags++;
                if (read_number(node, "id", 4095, &id))
                        nic->vlan = (uint16_t) id;
        }
        nic->vlan_trunk = tags > 1 || guest_xml_attribute_is(vlan, "trunk", "yes");
        if (nic->vlan_trunk)
                nic->vlan = 0;
}

/* libvirt gives these numbers to tc as "kbps", which are 1000 bytes per second. A guarantee alone (floor) is no limit. */
static void read_libvirt_bandwidth(const xmlNode *interface, struct guest_nic *nic)
{
        xmlNode *bandwidth = effective_child(interface, "bandwidth");
        unsigned long average;

        nic->limits_inbound = guest_xml_child(bandwidth, "inbound") &&
                              xmlHasProp(guest_xml_child(bandwidth, "inbound"), (const xmlChar *) "average");
        if (read_number(guest_xml_child(bandwidth, "outbound"), "average", UINT32_MAX, &average))
                nic->outbound_rate = (uint32_t) ((average * 8 + 999) / 1000);
}

void guest_xml_read_interface_policy(const xmlNode *interface, struct guest_nic *nic)
{
        nic->link_down = guest_xml_attribute_is(guest_xml_child(interface, "link"), "state", "down");
        nic->filtered = guest_xml_child(interface, "filterref") != NULL;
        nic->isolated = guest_xml_attribute_is(effective_child(interface, "port"), "isolated", "yes");
        read_libvirt_vlan(interface, nic);
        read_libvirt_bandwidth(interface, nic);
}

/* ---- our <nic> ---- */

/* What one element says. */
struct element {
        bool present;
        uint32_t given;
        struct port_policy policy;
        char mistake[sizeof(((struct guest_nic *) NULL)->policy_error)]; /* or "" */
};

/* The first mistake is the one that is told. */
__attribute__((format(printf, 3, 4))) static void complain(struct element *element, const xmlNode *node,
                                                           const char *format, ...)
{
        va_list arguments;
        int length;

        if (element->mistake[0])
                return;
        length = snprintf(element->mistake, sizeof(element->mistake),
                          "line %ld, <%.12s>: ", xmlGetLineNo((xmlNode *) node), (const char *) node->name);
        va_start(arguments, format);
        vsnprintf(element->mistake + length, sizeof(element->mistake) - (size_t) length, format, arguments);
        va_end(arguments);
}

/* Reads one attribute's text; false when it is none of `*ret_allowed`. */
typedef bool (*field_reader)(const char *text, struct port_policy *policy, const char **ret_allowed);

static bool read_weight(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        unsigned long value;

        *ret_allowed = "a number from 0 (no VF) to 100";
        if (!parse_number(text, PORT_POLICY_WEIGHT_MAX, &value))
                return false;
        policy->weight = (unsigned) value;
        return true;
}

static bool read_vlan(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        unsigned long value;

        *ret_allowed = "a number from 1 to 4094, or 0 for that of the tap's port";
        if (!parse_number(text, VLAN_MAX, &value))
                return false;
        policy->vlan = (uint16_t) value;
        return true;
}

static bool read_qos(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        unsigned long value;

        *ret_allowed = "a number from 0 to 7";
        if (!parse_number(text, QOS_MAX, &value))
                return false;
        policy->qos = (uint8_t) value;
        return true;
}

static bool read_protocol(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        *ret_allowed = "802.1Q or 802.1ad";
        if (strcasecmp(text, "802.1Q") == 0)
                policy->vlan_protocol = ETH_P_8021Q;
        else if (strcasecmp(text, "802.1ad") == 0)
                policy->vlan_protocol = ETH_P_8021AD;
        else
                return false;
        return true;
}

static bool read_spoof_check(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        *ret_allowed = "yes, no or auto";
        if (strcmp(text, "yes") == 0)
                policy->spoof_check = PORT_POLICY_YES;
        else if (strcmp(text, "no") == 0)
                policy->spoof_check = PORT_POLICY_NO;
        else if (strcmp(text, "auto") == 0)
                policy->spoof_check = PORT_POLICY_AUTO;
        else
                return false;
        return true;
}

static bool read_yes_or_no(const char *text, bool *ret, const char **ret_allowed)
{
        *ret_allowed = "yes or no";
        *ret = strcmp(text, "yes") == 0;
        return *ret || strcmp(text, "no") == 0;
}

static bool read_trust(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        return read_yes_or_no(text, &policy->trust, ret_allowed);
}

static bool read_prefer_vf(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        return read_yes_or_no(text, &policy->prefer_vf, ret_allowed);
}

static bool read_rate(const char *text, uint32_t *ret, const char **ret_allowed)
{
        unsigned long value;

        *ret_allowed = "Mbit/s from 1 to 1000000, or 0 for none";
        if (!parse_number(text, RATE_MAX, &value))
                return false;
        *ret = (uint32_t) value;
        return true;
}

static bool read_min_rate(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        return read_rate(text, &policy->min_rate, ret_allowed);
}

static bool read_max_rate(const char *text, struct port_policy *policy, const char **ret_allowed)
{
        return read_rate(text, &policy->max_rate, ret_allowed);
}

#define SETTABLE_ATTRIBUTES "weight, vlan, vlan-qos, vlan-protocol, spoof-check, trust, min-rate, max-rate, prefer-vf"
#define KNOWN_ATTRIBUTES    "alias, " SETTABLE_ATTRIBUTES

static const struct field {
        const char *name;
        uint32_t given; /* 0: part of the VLAN, which has to be there too */
        field_reader read;
} fields[] = {
        { "weight", GUEST_POLICY_WEIGHT, read_weight },
        { "vlan", GUEST_POLICY_VLAN, read_vlan },
        { "vlan-qos", 0, read_qos },
        { "vlan-protocol", 0, read_protocol },
        { "spoof-check", GUEST_POLICY_SPOOF_CHECK, read_spoof_check },
        { "trust", GUEST_POLICY_TRUST, read_trust },
        { "min-rate", GUEST_POLICY_MIN_RATE, read_min_rate },
        { "max-rate", GUEST_POLICY_MAX_RATE, read_max_rate },
        { "prefer-vf", GUEST_POLICY_PREFER_VF, read_prefer_vf },
};

static const struct field *find_field(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (strcmp(fields[i].name, name) == 0)
                        return &fields[i];
        return NULL;
}

bool guest_xml_policy_knows(const char *name)
{
        return find_field(name) != NULL;
}

int guest_xml_policy_check(const char *name, const char *value, struct vswitch_error *error)
{
        const struct field *field = find_field(name);
        struct port_policy policy = { 0 };
        const char *allowed = "";

        if (!field)
                return vswitch_error_set(error, -EINVAL, "there is no '%s'; there are: " SETTABLE_ATTRIBUTES, name);
        if (!field->read(value, &policy, &allowed))
                return vswitch_error_set(error, -EINVAL, "%s='%s': write %s", name, value, allowed);
        return 0;
}

static void read_attribute(const xmlNode *node, const char *name, struct element *element, const char **part_of_vlan)
{
        _cleanup_(guest_xml_stringp) xmlChar *text = guest_xml_attribute(node, name);
        const struct field *field = find_field(name);
        const char *allowed = "";

        if (strcmp(name, "alias") == 0)
                return;
        if (!field) {
                complain(element, node, "no attribute '%.20s'; known: " KNOWN_ATTRIBUTES, name);
                return;
        }
        if (!text || !field->read((const char *) text, &element->policy, &allowed))
                complain(element, node, "%s='%.24s': write %s", name, text ? (const char *) text : "", allowed);
        element->given |= field->given;
        if (field->given == 0)
                *part_of_vlan = field->name;
}

static void read_element(const xmlNode *node, struct element *element)
{
        const char *part_of_vlan = NULL;

        element->present = true;
        element->policy = (struct port_policy){ .vlan_protocol = ETH_P_8021Q };
        for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next)
                if (!attribute->ns)
                        read_attribute(node, (const char *) attribute->name, element, &part_of_vlan);
        if (part_of_vlan && (!(element->given & GUEST_POLICY_VLAN) || element->policy.vlan == 0))
                complain(element, node, "%s needs a vlan", part_of_vlan);
        if (element->policy.max_rate > 0 && element->policy.min_rate > element->policy.max_rate)
                complain(element, node, "min-rate='%u' is more than max-rate='%u'", element->policy.min_rate,
                         element->policy.max_rate);
        if (xmlChildElementCount((xmlNode *) node) > 0)
                complain(element, node, "nothing may be inside it");
}

/* ---- from elements to NICs ---- */

static void apply_field(struct port_policy *policy, const struct port_policy *from, uint32_t given)
{
        if (given & GUEST_POLICY_WEIGHT)
                policy->weight = from->weight;
        if (given & GUEST_POLICY_VLAN) {
                policy->vlan = from->vlan;
                policy->qos = from->qos;
                policy->vlan_protocol = from->vlan_protocol;
        }
        if (given & GUEST_POLICY_SPOOF_CHECK)
                policy->spoof_check = from->spoof_check;
        if (given & GUEST_POLICY_TRUST)
                policy->trust = from->trust;
        if (given & GUEST_POLICY_MIN_RATE)
                policy->min_rate = from->min_rate;
        if (given & GUEST_POLICY_MAX_RATE)
                policy->max_rate = from->max_rate;
        if (given & GUEST_POLICY_PREFER_VF)
                policy->prefer_vf = from->prefer_vf;
}

static void apply_element(struct guest_nic *nic, const struct element *element)
{
        if (element->mistake[0] && !nic->policy_error[0])
                memcpy(nic->policy_error, element->mistake, sizeof(nic->policy_error));
        apply_field(&nic->policy, &element->policy, element->given);
        nic->policy_given |= element->given;
}

/* What the <policy> elements say, in the order in which it is applied. */
struct policy_elements {
        struct element whole;    /* a mistake outside of every <nic>: concerns all */
        struct element fallback; /* of all NICs */
        struct element misnamed; /* names no NIC: concerns those without their own */
        struct element *own;     /* as guest->nics */
};

static struct element *find_own(struct policy_elements *elements, const struct guest *guest, const xmlChar *alias)
{
        for (size_t i = 0; i < guest->nics_count; i++)
                if (strcmp(guest->nics[i].alias, (const char *) alias) == 0)
                        return &elements->own[i];
        return NULL;
}

static void read_nic_element(const xmlNode *node, const struct guest *guest, struct policy_elements *elements)
{
        _cleanup_(guest_xml_stringp) xmlChar *alias = guest_xml_attribute(node, "alias");
        struct element *element = &elements->fallback;

        if (alias) {
                element = find_own(elements, guest, alias);
                if (strncmp((const char *) alias, "ua-", 3) != 0) {
                        complain(&elements->misnamed, node,
                                 "alias='%.24s': name an alias that begins with ua- (others change with the NICs' "
                                 "order)",
                                 (const char *) alias);
                        return;
                }
                if (!element) {
                        complain(&elements->misnamed, node, "alias='%.32s': the guest has no NIC of that alias",
                                 (const char *) alias);
                        return;
                }
        }
        if (element->present)
                complain(element, node, "the second one for the same NIC%s: leave one", alias ? "" : "s");
        else
                read_element(node, element);
}

static bool is_ours(const xmlNode *node)
{
        return !node->ns || (node->ns->href && strcmp((const char *) node->ns->href, GUEST_POLICY_NAMESPACE) == 0);
}

static void read_policy_element(const xmlNode *policy, const struct guest *guest, struct policy_elements *elements)
{
        if (strcmp((const char *) policy->ns->href, GUEST_POLICY_NAMESPACE) != 0) {
                complain(&elements->whole, policy, "namespace %.40s: this vswitch reads " GUEST_POLICY_NAMESPACE,
                         (const char *) policy->ns->href);
                return;
        }
        if (!guest_xml_is(policy, "policy")) {
                complain(&elements->whole, policy, "write <policy>");
                return;
        }
        for (const xmlAttr *attribute = policy->properties; attribute; attribute = attribute->next)
                complain(&elements->whole, policy, "no attribute '%.20s': they belong to <nic>",
                         (const char *) attribute->name);
        for (xmlNode *node = guest_xml_element(policy->children); node; node = guest_xml_element(node->next)) {
                if (is_ours(node) && guest_xml_is(node, "nic"))
                        read_nic_element(node, guest, elements);
                else
                        complain(&elements->whole, node, "not known inside <policy>: write <nic>");
        }
}

void guest_xml_read_policy(const xmlNode *domain, struct guest *guest)
{
        xmlNode *metadata = guest_xml_child(domain, "metadata");
        struct policy_elements elements = { 0 };
        bool found = false;

        if (!metadata || guest->nics_count == 0)
                return;
        elements.own = calloc(guest->nics_count, sizeof(*elements.own));
        for (xmlNode *node = guest_xml_element(metadata->children); node; node = guest_xml_element(node->next)) {
                if (!node->ns || !node->ns->href ||
                    strncmp((const char *) node->ns->href, GUEST_POLICY_NAMESPACE_STEM,
                            strlen(GUEST_POLICY_NAMESPACE_STEM)) != 0)
                        continue;
                found = true;
                if (!elements.own)
                        complain(&elements.whole, node, "out of memory");
                else
                        read_policy_element(node, guest, &elements);
        }
        for (size_t i = 0; found && i < guest->nics_count; i++) {
                struct guest_nic *nic = &guest->nics[i];

                apply_element(nic, &elements.whole);
                apply_element(nic, &elements.fallback);
                if (elements.own && elements.own[i].present)
                        apply_element(nic, &elements.own[i]);
                else
                        apply_element(nic, &elements.misnamed);
                if (nic->policy_error[0]) {
                        nic->policy_given = 0;
                        nic->policy = (struct port_policy){ 0 };
                }
        }
        free(elements.own);
}
