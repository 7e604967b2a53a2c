/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * A guest whose owner put a VF into its XML takes that VF when it starts, and libvirt refuses the start when somebody else
 * has it. So while the guest is off, its VF is free for it alone. What is remembered is what libvirt's definitions say;
 * they are told whole after each connection and one by one when they change. A guest that runs is judged by what it has,
 * not by its definition.
 *
 * What libvirt picks at the start (<interface type='network'> of a network with <forward mode='hostdev'>) is in no
 * definition.
 */

#include "src/daemon/definitions.h"

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct named_vf {
        char address[PF_ADDRESS_SIZE];
        bool warned; /* that somebody else has it, until that one gives it back */
};

/* Only guests that name devices of the host have one. */
struct definition {
        TAILQ_ENTRY(definition) entry;
        char uuid[GUEST_UUID_SIZE];
        char name[64];
        bool listed; /* in the list that is being applied */
        struct named_vf *vfs;
        size_t vfs_count;
};

TAILQ_HEAD(definitions, definition);

static struct definition *find(struct manager *manager, const char *uuid)
{
        struct definition *definition;

        TAILQ_FOREACH (definition, manager->definitions, entry)
                if (strcmp(definition->uuid, uuid) == 0)
                        return definition;
        return NULL;
}

static void drop(struct manager *manager, struct definition *definition)
{
        TAILQ_REMOVE(manager->definitions, definition, entry);
        free(definition->vfs);
        free(definition);
}

static const struct named_vf *find_vf(const struct definition *definition, const char *vf_address)
{
        for (size_t i = 0; i < definition->vfs_count; i++)
                if (strcmp(definition->vfs[i].address, vf_address) == 0)
                        return &definition->vfs[i];
        return NULL;
}

static void warn(struct manager *manager, const struct definition *definition, const char *vf_address,
                 const struct manager_nic *nic)
{
        char sentence[512];

        snprintf(
                sentence, sizeof(sentence),
                "it is defined with VF %s, which %s has, so it cannot start meanwhile. Give it another one (virsh edit "
                "%s), or free this one (vswitch nic release %s --hold)",
                vf_address, nic->label, definition->name, nic->label);
        log_warning(definition->name, "%s", sentence);
        if (manager->control)
                control_event(manager->control, "warning", definition->name, sentence);
}

static void warn_of_conflicts(struct manager *manager, const struct definition *definition)
{
        for (size_t i = 0; i < definition->vfs_count; i++) {
                struct named_vf *vf = &definition->vfs[i];
                const struct manager_nic *nic = vfs_claimant(manager, vf->address);

                if (!nic || strcmp(nic->domain->uuid, definition->uuid) == 0 || vf->warned)
                        continue;
                vf->warned = true;
                warn(manager, definition, vf->address, nic);
        }
}

/* The VFs of the new definition, with what is known of them from the old one. */
static struct named_vf *take_vfs(const struct definition *old, const struct guest *guest)
{
        struct named_vf *vfs = calloc(guest->vfs_count, sizeof(*vfs));

        for (size_t i = 0; vfs && i < guest->vfs_count; i++) {
                const struct named_vf *known = old ? find_vf(old, guest->vfs[i].address) : NULL;

                memcpy(vfs[i].address, guest->vfs[i].address, sizeof(vfs[i].address));
                vfs[i].warned = known && known->warned;
        }
        return vfs;
}

/* Whether that may have changed which VFs are named. */
static bool apply(struct manager *manager, const struct guest *guest)
{
        struct definition *definition = find(manager, guest->uuid);
        struct named_vf *vfs;

        if (guest->vfs_count == 0) {
                if (definition)
                        drop(manager, definition);
                return definition != NULL;
        }
        vfs = take_vfs(definition, guest);
        if (vfs && !definition) {
                definition = calloc(1, sizeof(*definition));
                if (definition)
                        TAILQ_INSERT_TAIL(manager->definitions, definition, entry);
        }
        if (!vfs || !definition) {
                free(vfs);
                return false;
        }
        snprintf(definition->uuid, sizeof(definition->uuid), "%s", guest->uuid);
        snprintf(definition->name, sizeof(definition->name), "%s", guest->name ? guest->name : guest->uuid);
        definition->listed = true;
        free(definition->vfs);
        definition->vfs = vfs;
        definition->vfs_count = guest->vfs_count;
        warn_of_conflicts(manager, definition);
        return true;
}

void definitions_apply(struct manager *manager, struct guest *const *definitions, size_t count, bool all)
{
        struct definition *definition, *next;
        bool changed = false;

        TAILQ_FOREACH (definition, manager->definitions, entry) {
                definition->listed = !all;
        }
        for (size_t i = 0; i < count; i++)
                changed |= apply(manager, definitions[i]);
        for (definition = TAILQ_FIRST(manager->definitions); definition; definition = next) {
                next = TAILQ_NEXT(definition, entry);
                if (definition->listed)
                        continue;
                drop(manager, definition);
                changed = true;
        }
        /* A VF may be free now for who waits, or be free no more. */
        if (changed)
                manager_all_dirty(manager, false);
}

/* In doubt it is: then its VF is not given away. */
static bool is_off(struct manager *manager, const struct definition *definition)
{
        const struct manager_domain *domain = nics_find_domain(manager, definition->uuid);

        return !domain || !domain->guest || domain->presence.state == FAILOVER_GUEST_UNKNOWN ||
               domain->presence.state == FAILOVER_GUEST_ABSENT || domain->presence.state == FAILOVER_GUEST_EXPECTED;
}

const char *definitions_find_owner(struct manager *manager, const char *vf_address, const char *asking)
{
        const struct definition *definition;

        TAILQ_FOREACH (definition, manager->definitions, entry)
                if (find_vf(definition, vf_address) && (!asking || strcmp(definition->uuid, asking) != 0) &&
                    is_off(manager, definition))
                        return definition->name;
        return NULL;
}

void definitions_vf_freed(struct manager *manager, const char *vf_address)
{
        struct definition *definition;

        TAILQ_FOREACH (definition, manager->definitions, entry) {
                for (size_t i = 0; i < definition->vfs_count; i++)
                        if (strcmp(definition->vfs[i].address, vf_address) == 0)
                                definition->vfs[i].warned = false;
        }
}

int definitions_new(struct manager *manager)
{
        manager->definitions = malloc(sizeof(*manager->definitions));
        if (!manager->definitions)
                return -ENOMEM;
        TAILQ_INIT(manager->definitions);
        return 0;
}

void definitions_free(struct manager *manager)
{
        if (!manager->definitions)
                return;
        while (!TAILQ_EMPTY(manager->definitions))
                drop(manager, TAILQ_FIRST(manager->definitions));
        free(manager->definitions);
        manager->definitions = NULL;
}
