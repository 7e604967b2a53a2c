/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `vswitch nic set`: a policy is written where it lives, in the domain's XML, and by libvirt. Nothing of it is kept here:
 * what it changes follows when the domain is read again, as with a change by anybody else.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct policy_call {
        struct manager *manager;
        char uuid[GUEST_UUID_SIZE]; /* "": not a domain that is known */
        char label[128];
        bool dry_run;
        control_policy_done done;
        void *token;
};

static void policy_set(int result, const char *sentence, const char *live, const char *config, void *userdata)
{
        struct policy_call *call = userdata;

        if (result < 0)
                log_notice(call->label, "its policy is not changed: %s", sentence);
        else if (!call->dry_run)
                log_notice(call->label, "its policy was changed%s%s", sentence[0] ? ": " : "", sentence);
        /* libvirt tells of it, too; but a lost event must not delay what an operator has decided. */
        if (result == 0 && live && call->uuid[0] && !call->dry_run)
                guests_refresh(call->manager->guests, call->uuid);
        call->done(result, sentence, live, config, call->token);
        free(call);
}

static const struct manager_domain *find_domain(struct manager *manager, const char *name)
{
        const struct manager_domain *domain = nics_find_domain(manager, name);

        if (domain)
                return domain;
        TAILQ_FOREACH (domain, &manager->domains, entry)
                if (strcmp(domain->name, name) == 0)
                        return domain;
        return NULL;
}

static uint32_t guest_flags(uint32_t flags)
{
        return (flags & CONTROL_POLICY_LIVE ? (uint32_t) GUEST_SET_LIVE : 0) |
               (flags & CONTROL_POLICY_CONFIG ? (uint32_t) GUEST_SET_CONFIG : 0) |
               (flags & CONTROL_POLICY_REPLACE ? (uint32_t) GUEST_SET_REPLACE : 0) |
               (flags & CONTROL_POLICY_DRY_RUN ? (uint32_t) GUEST_SET_DRY_RUN : 0);
}

int set_policy_call(void *model, const char *domain, const char *alias, const struct control_policy_change *changes,
                    size_t changes_count, uint32_t flags, const struct control_caller *caller, control_policy_done done,
                    void *token, struct vswitch_error *error)
{
        struct manager *manager = model;
        const struct manager_domain *known = find_domain(manager, domain);
        struct guest_policy_change *guest_changes = calloc(changes_count + 1, sizeof(*guest_changes));
        struct policy_call *call = calloc(1, sizeof(*call));
        int r = -ENOMEM;

        if (call && guest_changes) {
                *call = (struct policy_call){ .manager = manager, .done = done, .token = token };
                call->dry_run = flags & CONTROL_POLICY_DRY_RUN;
                snprintf(call->uuid, sizeof(call->uuid), "%s", known ? known->uuid : "");
                snprintf(call->label, sizeof(call->label), "%s%s%s", known ? known->name : domain, alias[0] ? "/" : "",
                         alias);
                log_notice(call->label, "another policy asked by %s", caller->description);
                for (size_t i = 0; i < changes_count; i++)
                        guest_changes[i] = (struct guest_policy_change){ changes[i].key, changes[i].value };
                r = guests_set_policy(manager->guests, known ? known->uuid : domain, alias, guest_changes,
                                      changes_count, guest_flags(flags), policy_set, call);
        }
        free(guest_changes);
        if (r < 0)
                free(call);
        return r < 0 ? vswitch_error_set(error, r, "libvirt cannot be asked now: %s", strerror(-r)) : 0;
}
