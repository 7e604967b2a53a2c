/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * The wish is carried out on the domain's own document, and the result is read by the reader that every vswitch uses
 * (guest_xml_policy.c): what it complains of is not written. So nothing is ever written that would take the policy from
 * a NIC, and what cannot be read now is only written over when the result can be read, or when that is asked for.
 *
 * An attribute that this version does not know makes an element useless to it, but may be of a newer version, on
 * another host of the cluster: it stays, is no reason not to write, and the answer says what it means here.
 *
 * libvirt takes our element without its name space and puts that on by itself; so the copy that is edited has none, and
 * elements of others inside it keep theirs.
 */

#include "guest_policy_edit.h"
#include "guest_xml.h"
#include "guest_xml_policy.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>

#define MISTAKE_SIZE sizeof(((struct guest_nic *) NULL)->policy_error)

static void buffer_freep(xmlBuffer **buffer)
{
        if (*buffer)
                xmlBufferFree(*buffer);
}

static char *dump(xmlNode *node, bool indented)
{
        _cleanup_(buffer_freep) xmlBuffer *buffer = xmlBufferCreate();

        if (!buffer || xmlNodeDump(buffer, node->doc, node, 0, indented) < 0)
                return NULL;
        return strdup((const char *) xmlBufferContent(buffer));
}

static void remove_node(xmlNode *node)
{
        xmlUnlinkNode(node);
        xmlFreeNode(node);
}

/* ---- our <policy> in the document ---- */

static bool is_in_namespace(const xmlNode *node, const char *namespace)
{
        return node->ns && node->ns->href && strcmp((const char *) node->ns->href, namespace) == 0;
}

/* The next metadata element of any version of ours, beginning with `node` itself. */
static xmlNode *next_policy(xmlNode *node)
{
        for (node = guest_xml_element(node); node; node = guest_xml_element(node->next))
                if (node->ns && node->ns->href &&
                    strncmp((const char *) node->ns->href, GUEST_POLICY_NAMESPACE_STEM,
                            strlen(GUEST_POLICY_NAMESPACE_STEM)) == 0)
                        return node;
        return NULL;
}

static xmlNode *find_policy(const xmlNode *domain)
{
        const xmlNode *metadata = guest_xml_child(domain, "metadata");
        xmlNode *node = metadata ? next_policy(metadata->children) : NULL;

        while (node && !is_in_namespace(node, GUEST_POLICY_NAMESPACE))
                node = next_policy(node->next);
        return node;
}

/* Takes our name space, and the white space between elements, from the element and all that is in it. An attribute that
 * has it is none of ours: they have no prefix. */
static void make_plain(xmlNode *node)
{
        if (is_in_namespace(node, GUEST_POLICY_NAMESPACE))
                node->ns = NULL;
        for (xmlAttr *attribute = node->properties, *next; attribute; attribute = next) {
                next = attribute->next;
                if (attribute->ns && attribute->ns->href &&
                    strcmp((const char *) attribute->ns->href, GUEST_POLICY_NAMESPACE) == 0)
                        xmlRemoveProp(attribute);
        }
        for (xmlNode *child = node->children, *next; child; child = next) {
                next = child->next;
                if (xmlIsBlankNode(child))
                        remove_node(child);
                else if (child->type == XML_ELEMENT_NODE)
                        make_plain(child);
        }
}

static void drop_declarations(xmlNode *node)
{
        for (xmlNs **link = &node->nsDef; *link;) {
                xmlNs *declaration = *link;

                if (declaration->href && strcmp((const char *) declaration->href, GUEST_POLICY_NAMESPACE) == 0) {
                        *link = declaration->next;
                        xmlFreeNs(declaration);
                } else {
                        link = &declaration->next;
                }
        }
        for (xmlNode *child = guest_xml_element(node->children); child; child = guest_xml_element(child->next))
                drop_declarations(child);
}

/* A copy as libvirt wants it. NULL: out of memory. */
static xmlNode *plain_copy(xmlNode *policy)
{
        xmlNode *copy = xmlDocCopyNode(policy, policy->doc, 1);

        if (copy) {
                make_plain(copy);
                drop_declarations(copy);
        }
        return copy;
}

static void put_into(xmlNode *node, xmlNs *namespace)
{
        if (!node->ns)
                xmlSetNs(node, namespace);
        for (xmlNode *child = guest_xml_element(node->children); child; child = guest_xml_element(child->next))
                put_into(child, namespace);
}

/* As libvirt does it with what it is given. */
static bool add_namespace(xmlNode *policy)
{
        xmlNs *namespace =
                xmlNewNs(policy, (const xmlChar *) GUEST_POLICY_NAMESPACE, (const xmlChar *) GUEST_POLICY_PREFIX);

        if (namespace)
                put_into(policy, namespace);
        return namespace != NULL;
}

/* ---- the edit ---- */

/* The <nic> of that alias, NULL: the one for all NICs. */
static xmlNode *find_nic(const xmlNode *policy, const char *alias)
{
        for (xmlNode *node = guest_xml_element(policy->children); node; node = guest_xml_element(node->next)) {
                if (node->ns || !guest_xml_is(node, "nic"))
                        continue;
                if (alias ? guest_xml_attribute_is(node, "alias", alias) : !xmlHasProp(node, (const xmlChar *) "alias"))
                        return node;
        }
        return NULL;
}

static bool has_other_nic(const struct guest *guest, const xmlNode *nic, const char *alias)
{
        for (size_t i = 0; i < guest->nics_count; i++)
                if (strcmp(guest->nics[i].alias, alias) != 0 &&
                    guest_xml_attribute_is(nic, "alias", guest->nics[i].alias))
                        return true;
        return false;
}

/* What can be kept when the NIC's policy begins anew: the elements of other NICs of the guest, one for each, and the
 * one for all NICs, if `with_fallback`. */
static void keep_readable(xmlNode *policy, const struct guest *guest, const char *alias, bool with_fallback)
{
        xmlNode *fallback = find_nic(policy, NULL);

        for (xmlNode *node = policy->children, *next; node; node = next) {
                _cleanup_(guest_xml_stringp) xmlChar *own = guest_xml_attribute(node, "alias");
                bool keep = false;

                next = node->next;
                if (!node->ns && guest_xml_is(node, "nic"))
                        keep = own ? has_other_nic(guest, node, alias) && find_nic(policy, (const char *) own) == node
                                   : with_fallback && node == fallback;
                if (!keep)
                        remove_node(node);
        }
        while (policy->properties)
                xmlRemoveProp(policy->properties);
}

/* A NIC that nothing is said of needs no element, and no NICs no policy. */
static bool apply_changes(xmlNode *policy, const char *alias, const struct guest_policy_wish *wish)
{
        xmlNode *nic = find_nic(policy, alias);

        if (!nic) {
                nic = xmlNewChild(policy, NULL, (const xmlChar *) "nic", NULL);
                if (!nic || !xmlNewProp(nic, (const xmlChar *) "alias", (const xmlChar *) alias))
                        return false;
        }
        for (size_t i = 0; i < wish->changes_count; i++) {
                const struct guest_policy_change *change = &wish->changes[i];

                if (!change->value[0])
                        xmlUnsetProp(nic, (const xmlChar *) change->key);
                else if (!xmlSetProp(nic, (const xmlChar *) change->key, (const xmlChar *) change->value))
                        return false;
        }
        if (!nic->properties->next && !nic->children)
                remove_node(nic);
        return true;
}

/* Takes away what is only of another version. */
static void drop_unknown_attributes(xmlNode *policy)
{
        for (xmlNode *node = guest_xml_element(policy->children); node; node = guest_xml_element(node->next))
                for (xmlAttr *attribute = node->properties, *next; attribute; attribute = next) {
                        next = attribute->next;
                        if (!attribute->ns && strcmp((const char *) attribute->name, "alias") != 0 &&
                            !guest_xml_policy_knows((const char *) attribute->name))
                                xmlRemoveProp(attribute);
                }
}

/* ---- the judgement ---- */

static const struct guest_nic *find_guest_nic(const struct guest *guest, const char *alias)
{
        for (size_t i = 0; i < guest->nics_count; i++)
                if (strcmp(guest->nics[i].alias, alias) == 0)
                        return &guest->nics[i];
        return NULL;
}

/* What the reader says of this policy (plain; NULL: none) in this domain: "" when the NIC can use it. */
static int judge(const char *xml, xmlNode *policy, const char *alias, bool without_others, bool without_unknown,
                 char mistake[static MISTAKE_SIZE])
{
        _cleanup_(guest_xml_document_freep) xmlDoc *document = NULL;
        _cleanup_(guest_freep) struct guest *guest = NULL;
        _cleanup_(freep) char *text = NULL;
        xmlNode *domain, *metadata, *copy;
        int r;

        r = guest_xml_document(xml, &document, NULL);
        if (r < 0)
                return r;
        domain = guest_xml_domain(document);
        metadata = guest_xml_child(domain, "metadata");
        if (!metadata)
                metadata = xmlNewChild(domain, NULL, (const xmlChar *) "metadata", NULL);
        if (!metadata)
                return -ENOMEM;
        for (xmlNode *node = next_policy(metadata->children), *next; node; node = next) {
                next = next_policy(node->next);
                if (without_others || is_in_namespace(node, GUEST_POLICY_NAMESPACE))
                        remove_node(node);
        }
        if (policy) {
                copy = xmlDocCopyNode(policy, document, 1);
                if (!copy)
                        return -ENOMEM;
                xmlAddChild(metadata, copy);
                if (without_unknown)
                        drop_unknown_attributes(copy);
                if (!add_namespace(copy))
                        return -ENOMEM;
        }
        text = dump(domain, false);
        if (!text)
                return -ENOMEM;
        r = guest_parse_xml(text, &guest, NULL);
        if (r < 0)
                return r;
        snprintf(mistake, MISTAKE_SIZE, "%s", find_guest_nic(guest, alias)->policy_error);
        return 0;
}

/* What the change itself leads to is nowhere in the XML yet: no line. */
static const char *without_place(const char *mistake)
{
        const char *end = strstr(mistake, ">: ");

        return end ? end + 3 : mistake;
}

static int refuse(const char *alias, const char *before, const char *after, xmlNode *present,
                  struct vswitch_error *error)
{
        xmlNode *nic = present ? find_nic(present, alias) : NULL;
        _cleanup_(freep) char *text = NULL;

        if (!before[0])
                return vswitch_error_set(error, -EINVAL, "%s", without_place(after));
        if (nic)
                text = dump(nic, false);
        return vswitch_error_set(error, -EBADMSG,
                                 "nothing was written, because the policy that is there cannot be read (%s)%s%.160s: "
                                 "correct it ('KEY=' takes an attribute away), or use --replace to begin anew",
                                 before, text ? "; the NIC's is " : "", text ? text : "");
}

/* ---- one definition ---- */

static void free_node(xmlNode **node)
{
        if (*node)
                xmlFreeNode(*node);
}

/* Is there nothing left to say? */
static bool is_empty(const xmlNode *policy)
{
        return xmlChildElementCount((xmlNode *) policy) == 0;
}

static int find_others(const xmlNode *domain, struct guest_policy_write *ret)
{
        const xmlNode *metadata = guest_xml_child(domain, "metadata");
        xmlNode *node = metadata ? next_policy(metadata->children) : NULL;

        for (; node && ret->others_count < ARRAY_SIZE(ret->others); node = next_policy(node->next)) {
                if (is_in_namespace(node, GUEST_POLICY_NAMESPACE))
                        continue;
                ret->others[ret->others_count] = strdup((const char *) node->ns->href);
                if (!ret->others[ret->others_count])
                        return -ENOMEM;
                ret->others_count++;
        }
        return 0;
}

/* Both texts of what was edited; `policy` is changed by it. */
static int write_down(xmlNode *policy, struct guest_policy_write *ret)
{
        if (!policy || is_empty(policy)) {
                ret->text = strdup("");
                return ret->text ? 0 : -ENOMEM;
        }
        ret->element = dump(policy, false);
        if (!ret->element || !add_namespace(policy))
                return -ENOMEM;
        ret->text = dump(policy, true);
        return ret->text ? 0 : -ENOMEM;
}

static int make_policy(xmlNode *present, const struct guest *guest, const char *alias,
                       const struct guest_policy_wish *wish, bool with_fallback, xmlNode **ret)
{
        _cleanup_(free_node) xmlNode *policy = NULL;

        /* Whatever else has our name space is nothing that could be kept. */
        if (present && (guest_xml_is(present, "policy") || !(wish->flags & GUEST_SET_REPLACE)))
                policy = xmlCopyNode(present, 1);
        else
                policy = xmlNewNode(NULL, (const xmlChar *) "policy");
        if (!policy)
                return -ENOMEM;
        if (wish->flags & GUEST_SET_REPLACE)
                keep_readable(policy, guest, alias, with_fallback);
        if (!apply_changes(policy, alias, wish))
                return -ENOMEM;
        *ret = TAKE_POINTER(policy);
        return 0;
}

static int edit(const char *xml, const struct guest *guest, const char *alias, const struct guest_policy_wish *wish,
                struct guest_policy_write *ret, char *note, size_t note_size, struct vswitch_error *error)
{
        const char *before = find_guest_nic(guest, alias)->policy_error;
        bool replace = wish->flags & GUEST_SET_REPLACE;
        _cleanup_(guest_xml_document_freep) xmlDoc *document = NULL;
        _cleanup_(free_node) xmlNode *present = NULL, *policy = NULL;
        _cleanup_(freep) char *old = NULL;
        char mistake[MISTAKE_SIZE] = "", here[MISTAKE_SIZE] = "";
        xmlNode *domain, *found;
        int r;

        r = guest_xml_document(xml, &document, error);
        if (r < 0)
                return r;
        domain = guest_xml_domain(document);
        found = find_policy(domain);
        if (found) {
                present = plain_copy(found);
                old = present ? dump(present, false) : NULL;
                if (!old)
                        return -ENOMEM;
        }
        r = make_policy(present, guest, alias, wish, true, &policy);
        if (r >= 0)
                r = judge(xml, is_empty(policy) ? NULL : policy, alias, replace, true, mistake);
        if (r >= 0 && mistake[0] && replace) {
                /* What is said for all NICs may be what cannot be read. */
                xmlFreeNode(policy);
                policy = NULL;
                r = make_policy(present, guest, alias, wish, false, &policy);
                if (r >= 0)
                        r = judge(xml, is_empty(policy) ? NULL : policy, alias, replace, true, mistake);
        }
        if (r < 0)
                return r;
        if (mistake[0])
                return refuse(alias, replace ? "" : before, mistake, present, error);
        r = judge(xml, is_empty(policy) ? NULL : policy, alias, replace, false, here);
        if (r >= 0 && here[0])
                snprintf(note, note_size, "this vswitch cannot use the NIC's policy as long as it is like that: %s",
                         here);
        if (r >= 0 && replace)
                r = find_others(domain, ret);
        if (r >= 0)
                r = write_down(policy, ret);
        if (r < 0)
                return r;
        ret->wanted = true;
        ret->changed = ret->others_count > 0 || !old != !ret->element ||
                       (old && ret->element && strcmp(old, ret->element) != 0);
        return 0;
}

/* ---- which definitions, and which NIC ---- */

struct side {
        const char *xml;
        struct guest *guest;
};

static void side_clear(struct side *side)
{
        guest_free(side->guest);
}

static int side_read(struct side *side, const char *xml, struct vswitch_error *error)
{
        side->xml = xml;
        return xml ? guest_parse_xml(xml, &side->guest, error) : 0;
}

static int check_wish(const struct guest_policy_wish *wish, struct vswitch_error *error)
{
        for (size_t i = 0; i < wish->changes_count; i++) {
                const struct guest_policy_change *change = &wish->changes[i];
                int r = 0;

                for (size_t j = 0; j < i; j++)
                        if (strcmp(change->key, wish->changes[j].key) == 0)
                                return vswitch_error_set(error, -EINVAL, "%s is said twice", change->key);
                if (strcmp(change->key, "alias") == 0 || xmlValidateNCName((const xmlChar *) change->key, 0) != 0 ||
                    change->value[0])
                        r = guest_xml_policy_check(change->key, change->value, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "ua-net0, ua-net1" */
static void list_nics(const struct guest *guest, char *buffer, size_t size)
{
        size_t used = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < guest->nics_count && used < size; i++)
                used += (size_t) snprintf(buffer + used, size - used, "%s%s", i > 0 ? ", " : "",
                                          guest->nics[i].alias[0] ? guest->nics[i].alias : "one without an alias");
}

static int find_alias(const struct guest *guest, const struct guest_policy_wish *wish, const char **ret,
                      struct vswitch_error *error)
{
        char nics[256];

        list_nics(guest, nics, sizeof(nics));
        if (guest->nics_count == 0)
                return vswitch_error_set(error, -ENOENT, "the domain has no NIC");
        if (!wish->alias[0] && guest->nics_count > 1)
                return vswitch_error_set(error, -EINVAL, "the domain has %zu NICs; say which: %s", guest->nics_count,
                                         nics);
        *ret = wish->alias[0] ? wish->alias : guest->nics[0].alias;
        if (strncmp(*ret, "ua-", 3) != 0)
                return vswitch_error_set(
                        error, -EINVAL,
                        "a policy needs a NIC with an alias of its own, which libvirt does not change: "
                        "add <alias name='ua-net0'/> to its <interface>, and restart the guest");
        return 0;
}

static bool has_nic(const struct side *side, const char *alias)
{
        return side->guest && find_guest_nic(side->guest, alias);
}

static int choose(const struct side *live, const struct side *config, const struct guest_policy_wish *wish,
                  const char *alias, bool *ret_live, bool *ret_config, struct vswitch_error *error)
{
        uint32_t asked = wish->flags & (GUEST_SET_LIVE | GUEST_SET_CONFIG);
        char nics[256];

        if ((asked & GUEST_SET_LIVE) && !live->xml)
                return vswitch_error_set(error, -EINVAL, "the domain does not run: only its definition can be changed");
        if ((asked & GUEST_SET_CONFIG) && !config->xml)
                return vswitch_error_set(error, -EINVAL,
                                         "the domain is transient: it has no definition that could be changed");
        *ret_live = asked ? asked & GUEST_SET_LIVE : has_nic(live, alias);
        *ret_config = asked ? asked & GUEST_SET_CONFIG : has_nic(config, alias);
        if ((!*ret_live || has_nic(live, alias)) && (!*ret_config || has_nic(config, alias)) &&
            (*ret_live || *ret_config))
                return 0;
        list_nics(live->guest && !(asked & GUEST_SET_CONFIG) ? live->guest : config->guest, nics, sizeof(nics));
        return vswitch_error_set(error, -ENOENT, "the domain has no NIC %s%s; it has %s", alias,
                                 asked == GUEST_SET_CONFIG ? " in its definition" : "", nics[0] ? nics : "none");
}

static void write_clear(struct guest_policy_write *write)
{
        free(write->element);
        free(write->text);
        for (size_t i = 0; i < write->others_count; i++)
                free(write->others[i]);
}

void guest_policy_plan_clear(struct guest_policy_plan *plan)
{
        write_clear(&plan->live);
        write_clear(&plan->config);
        *plan = (struct guest_policy_plan){ 0 };
}

int guest_policy_make_plan(const char *live_xml, const char *config_xml, const struct guest_policy_wish *wish,
                           struct guest_policy_plan *ret, struct vswitch_error *error)
{
        _cleanup_(guest_policy_plan_clear) struct guest_policy_plan plan = { 0 };
        _cleanup_(side_clear) struct side live = { 0 }, config = { 0 };
        bool to_live = false, to_config = false;
        const char *alias = "";
        int r;

        r = check_wish(wish, error);
        if (r >= 0)
                r = side_read(&live, live_xml, error);
        if (r >= 0)
                r = side_read(&config, config_xml, error);
        if (r < 0)
                return r;
        if (!live.guest && !config.guest)
                return vswitch_error_set(error, -ENOENT, "the domain is gone");
        r = find_alias(live.guest ? live.guest : config.guest, wish, &alias, error);
        if (r >= 0)
                r = choose(&live, &config, wish, alias, &to_live, &to_config, error);
        if (r >= 0 && to_live)
                r = edit(live.xml, live.guest, alias, wish, &plan.live, plan.note, sizeof(plan.note), error);
        if (r >= 0 && to_config)
                r = edit(config.xml, config.guest, alias, wish, &plan.config, plan.note, sizeof(plan.note), error);
        if (r < 0)
                return r;
        *ret = plan;
        plan = (struct guest_policy_plan){ 0 }; // NOLINT(clang-analyzer-deadcode.DeadStores): its cleanup looks
        return 0;
}
