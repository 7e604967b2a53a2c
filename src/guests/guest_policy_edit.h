/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changing our <policy> in a domain's <metadata>: from the domain's XML and the wish to what is to be written. Text in,
 * text out; who reads and writes it is libvirt. */

#include "guests.h"

#define GUEST_POLICY_PREFIX "vswitch" /* of the elements in the XML, as `virsh metadata --key` calls it */

/* What is wished; see guests_set_policy(). */
struct guest_policy_wish {
        const char *alias;
        const struct guest_policy_change *changes;
        size_t changes_count;
        uint32_t flags; /* enum guest_set_flag */
};

#define GUEST_POLICY_OTHERS_MAX 4

/* What becomes of one of the two definitions. */
struct guest_policy_write {
        bool wanted;   /* this definition is concerned */
        bool changed;  /* ... and is not as wished already */
        char *element; /* our <policy> as virDomainSetMetadata() takes it: without its name space. NULL: none is left */
        char *text;    /* the same for people, and as it is in the XML afterwards; "" for none */
        char *others[GUEST_POLICY_OTHERS_MAX]; /* name spaces of policies of other versions, which have to go */
        size_t others_count;
};

struct guest_policy_plan {
        struct guest_policy_write live, config;
        char note[320]; /* why a vswitch of this version cannot use it all the same, or "" */
};

void guest_policy_plan_clear(struct guest_policy_plan *plan);

/* `live` is the running guest's XML, `config` that of the definition (VIR_DOMAIN_XML_INACTIVE); NULL: there is none.
 * -EINVAL: a key or a value, with what is allowed; or what the wish leads to. -ENOENT: no such NIC. -EBADMSG: what is
 * there cannot be read, and the wish does not mend it. */
int guest_policy_make_plan(const char *live, const char *config, const struct guest_policy_wish *wish,
                           struct guest_policy_plan *ret, struct vswitch_error *error);
