/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * Where a guest is, told by two sources. Events tell the instant (QEMU's own come within milliseconds), snapshots
 * tell the truth when an event was missed. An event moves the state at once; a snapshot moves it too, except where it
 * knows less than the events did: it cannot tell a loaded incoming guest from a waiting one, and it may have been
 * read just before a guest was handed over.
 *
 *   source:       RUNNING -- STOP while a migration goes out --> HANDED_OVER -- RESUME (it failed) --> RUNNING
 *   destination:  [EXPECTED] -> INCOMING -- FAILOVER_NEGOTIATED or MIGRATION completed --> LOADED -- RESUME --> RUNNING
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <stdio.h>
#include <string.h>

static void domain_dirty(struct manager *manager, struct manager_domain *domain)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain)
                        manager_nic_dirty(nic);
}

static void for_each_nic(struct manager *manager, struct manager_domain *domain, void (*each)(struct manager_nic *nic))
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain)
                        each(nic);
}

static void want_announcement(struct manager_nic *nic)
{
        nic->facts.announce_wanted = true;
}

static void doubt_standby(struct manager_nic *nic)
{
        if (nic->facts.standby == FAILOVER_NO)
                nic->facts.standby = FAILOVER_UNKNOWN;
}

static void forget_standby(struct manager_nic *nic)
{
        nic->facts.standby = FAILOVER_NO;
}

static void end_migration(struct manager_domain *domain)
{
        domain->outgoing = false;
        domain->unplug_asked_by_qemu = false;
        domain->migration_status[0] = '\0';
}

static void set_state(struct manager *manager, struct manager_domain *domain, enum failover_guest state)
{
        enum failover_guest old = domain->state;

        if (old == state)
                return;
        domain->state = state;
        log_debug(domain->name, "guest %s -> %s", failover_guest_to_string(old), failover_guest_to_string(state));
        if (manager->control)
                control_event(manager->control, "guest", domain->name, failover_guest_to_string(state));
        /* The wire learns where the MAC is now, as early as it can: as soon as the guest stands still there. */
        if ((old == FAILOVER_GUEST_INCOMING && (state == FAILOVER_GUEST_LOADED || state == FAILOVER_GUEST_RUNNING)) ||
            (old == FAILOVER_GUEST_HANDED_OVER && state == FAILOVER_GUEST_RUNNING))
                for_each_nic(manager, domain, want_announcement);
        if (state == FAILOVER_GUEST_ABSENT) {
                end_migration(domain);
                domain->started_under_our_eyes = false;
        }
        domain_dirty(manager, domain);
}

/* ---- events ---- */

/* QEMU stops the CPUs in the last phase of a migration, before it says "device"; with pause-before-switchover, which
 * libvirt uses, the status is still "active" then. */
static bool stop_belongs_to_migration(const struct manager_domain *domain)
{
        static const char *const phases[] = { "active", "pre-switchover", "device", "completed", "postcopy-active" };

        for (size_t i = 0; domain->outgoing && i < sizeof(phases) / sizeof(phases[0]); i++)
                if (strcmp(domain->migration_status, phases[i]) == 0)
                        return true;
        return false;
}

static void on_migration_status(struct manager *manager, struct manager_domain *domain, const char *status)
{
        snprintf(domain->migration_status, sizeof(domain->migration_status), "%s", status);
        if (manager->control)
                control_event(manager->control, "migration", domain->name, status);
        if (domain->state == FAILOVER_GUEST_INCOMING) {
                /* Also tells for guests that never accepted STANDBY. */
                if (strcmp(status, "completed") == 0)
                        set_state(manager, domain, FAILOVER_GUEST_LOADED);
                return;
        }
        if (domain->state == FAILOVER_GUEST_LOADED || domain->state == FAILOVER_GUEST_EXPECTED)
                return;
        if (strcmp(status, "setup") == 0) {
                domain->outgoing = true;
                domain->unplug_asked_by_qemu = false;
        } else if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0) {
                end_migration(domain);
        }
        domain_dirty(manager, domain);
}

static void on_lifecycle(struct manager *manager, struct manager_domain *domain, const char *detail)
{
        static const struct {
                const char *detail;
                enum failover_guest state;
        } states[] = {
                { "started/migrated", FAILOVER_GUEST_INCOMING },
                { "suspended/migrated", FAILOVER_GUEST_HANDED_OVER },
                { "resumed/", FAILOVER_GUEST_RUNNING },
                { "stopped/", FAILOVER_GUEST_ABSENT },
        };

        /* The end of the guest's earlier stay here may be told after the hook has announced its return. */
        if (domain->state == FAILOVER_GUEST_EXPECTED && strncmp(detail, "started/", 8) != 0)
                return;
        if (strncmp(detail, "started/", 8) == 0)
                domain->started_under_our_eyes = true;
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
                if (strncmp(detail, states[i].detail, strlen(states[i].detail)) == 0) {
                        set_state(manager, domain, states[i].state);
                        return;
                }
}

static void on_device_removed(struct manager *manager, struct manager_domain *domain, const char *alias, bool removed)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                char vf_alias[GUEST_ALIAS_SIZE];

                nics_vf_alias(nic->alias, vf_alias);
                if (nic->domain != domain || strcmp(alias, vf_alias) != 0)
                        continue;
                if (removed) {
                        nic->facts.attached = FAILOVER_NO;
                        log_info(nic->label, "the guest let go of its VF");
                } else {
                        log_warning(nic->label, "the guest refused to unplug its VF");
                }
                manager_nic_dirty(nic);
        }
}

static void on_standby(struct manager *manager, struct manager_domain *domain, const char *alias)
{
        struct manager_nic *nic = nics_find(manager, domain->uuid, alias);

        if (nic) {
                nic->facts.standby = FAILOVER_YES;
                manager_nic_dirty(nic);
        } else {
                domain->started_under_our_eyes = false; /* the NIC comes to be known only now: it may have accepted */
        }
        if (domain->state == FAILOVER_GUEST_INCOMING)
                set_state(manager, domain, FAILOVER_GUEST_LOADED);
}

static void on_event(const struct guest_event *event, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_domain *domain = nics_find_domain(manager, event->uuid);

        if (!domain) {
                /* The first sign of a guest; its snapshot follows. */
                if (event->kind != GUEST_EVENT_LIFECYCLE)
                        return;
                domain = nics_add_domain(manager, event->uuid, event->uuid);
                if (!domain)
                        return;
        }
        log_debug(domain->name, "event %d %s %s", event->kind, event->alias, event->detail);
        switch (event->kind) {
        case GUEST_EVENT_STANDBY_NEGOTIATED:
                on_standby(manager, domain, event->alias);
                break;
        case GUEST_EVENT_UNPLUG_ASKED:
                domain->outgoing = true;
                domain->unplug_asked_by_qemu = true;
                domain_dirty(manager, domain);
                break;
        case GUEST_EVENT_MIGRATION:
                on_migration_status(manager, domain, event->detail);
                break;
        case GUEST_EVENT_STOPPED:
                if (stop_belongs_to_migration(domain))
                        set_state(manager, domain, FAILOVER_GUEST_HANDED_OVER);
                break;
        case GUEST_EVENT_RESUMED:
                if (domain->state == FAILOVER_GUEST_HANDED_OVER)
                        end_migration(domain);
                if (domain->state != FAILOVER_GUEST_EXPECTED)
                        set_state(manager, domain, FAILOVER_GUEST_RUNNING);
                break;
        case GUEST_EVENT_RESET:
                for_each_nic(manager, domain, forget_standby);
                domain_dirty(manager, domain);
                break;
        case GUEST_EVENT_DEVICE_REMOVED:
                on_device_removed(manager, domain, event->alias, true);
                break;
        case GUEST_EVENT_DEVICE_REMOVAL_FAILED:
                on_device_removed(manager, domain, event->alias, false);
                break;
        case GUEST_EVENT_LIFECYCLE:
                on_lifecycle(manager, domain, event->detail);
                break;
        }
        manager_schedule(manager);
}

/* ---- snapshots ---- */

static enum failover_guest merge_state(const struct manager_domain *domain, const struct guest *guest)
{
        switch (guest->state) {
        case GUEST_OFF:
                /* An announced guest has no QEMU yet; its lease ends it. */
                return domain->state == FAILOVER_GUEST_EXPECTED ? FAILOVER_GUEST_EXPECTED : FAILOVER_GUEST_ABSENT;
        case GUEST_RUNNING:
                if (domain->state == FAILOVER_GUEST_HANDED_OVER && guest->outgoing)
                        return FAILOVER_GUEST_HANDED_OVER;
                return FAILOVER_GUEST_RUNNING;
        case GUEST_PAUSED:
                /* Stopped at the end of a migration, and the snapshot does not know why. */
                if (domain->state == FAILOVER_GUEST_HANDED_OVER && guest->outgoing)
                        return FAILOVER_GUEST_HANDED_OVER;
                return FAILOVER_GUEST_PAUSED;
        case GUEST_INCOMING:
                return domain->state == FAILOVER_GUEST_LOADED ? FAILOVER_GUEST_LOADED : FAILOVER_GUEST_INCOMING;
        case GUEST_HANDED_OVER:
                return FAILOVER_GUEST_HANDED_OVER;
        }
        return FAILOVER_GUEST_UNKNOWN;
}

static void apply(struct manager *manager, struct guest **guest_pointer)
{
        struct guest *guest = *guest_pointer;
        struct manager_domain *domain = nics_find_domain(manager, guest->uuid);
        enum failover_guest state;

        if (!domain) {
                if (guest->state == GUEST_OFF)
                        return;
                domain = nics_add_domain(manager, guest->uuid, guest->name);
                if (!domain)
                        return;
        }
        state = merge_state(domain, guest);
        if (state == FAILOVER_GUEST_EXPECTED)
                return;
        if (guest->state == GUEST_OFF) {
                set_state(manager, domain, state);
                nics_forget_domain_if_empty(manager, domain);
                return;
        }
        /* A migration that was under way before we looked; the events tell what follows. */
        if (guest->outgoing && !domain->outgoing) {
                domain->outgoing = true;
                domain->unplug_asked_by_qemu = true;
                if (!domain->migration_status[0])
                        snprintf(domain->migration_status, sizeof(domain->migration_status), "active");
        } else if (!guest->outgoing && domain->outgoing && state == FAILOVER_GUEST_RUNNING) {
                end_migration(domain);
        }
        if (guest->incomplete) {
                /* Its devices are not known now: what was known of them stays. */
                set_state(manager, domain, state);
                return;
        }
        /* The state first: it says whether the VF in the XML is a VF of this host. */
        set_state(manager, domain, state);
        *guest_pointer = NULL;
        nics_apply_guest(manager, domain, guest);
}

static void on_changed(struct guest **guest, void *userdata)
{
        apply(userdata, guest);
        manager_schedule(userdata);
}

static bool list_has(struct guest **guests, size_t count, const char *uuid)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(guests[i]->uuid, uuid) == 0)
                        return true;
        return false;
}

static bool has_live_lease(struct manager *manager, const struct manager_domain *domain)
{
        const struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain && nic->claim && nic->claim->leased &&
                    nic->claim->lease_until > manager_now(manager))
                        return true;
        return false;
}

static void on_listed(struct guest **guests, size_t count, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_domain *domain;

        manager->libvirt_listed = true;
        TAILQ_FOREACH (domain, &manager->domains, entry)
                if (!list_has(guests, count, domain->uuid))
                        set_state(manager, domain,
                                  has_live_lease(manager, domain) ? FAILOVER_GUEST_EXPECTED : FAILOVER_GUEST_ABSENT);
        for (size_t i = 0; i < count; i++)
                apply(manager, &guests[i]);
        manager_schedule(manager);
}

static void on_connection(bool connected, const char *sentence, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_domain *domain;

        if (connected)
                log_notice("libvirt", "connected");
        else if (manager->libvirt_connected || !manager->libvirt_sentence[0])
                log_warning("libvirt", "not connected: %s; traffic stays where it is, connecting again", sentence);
        manager->libvirt_connected = connected;
        manager->libvirt_listed = false;
        snprintf(manager->libvirt_sentence, sizeof(manager->libvirt_sentence), "%s", connected ? "" : sentence);
        if (manager->control)
                control_event(manager->control, "libvirt", "libvirt", connected ? "connected" : sentence);
        /* Events are lost while there is no connection: what the guests are is not known until they are listed. */
        TAILQ_FOREACH (domain, &manager->domains, entry)
                if (domain->state != FAILOVER_GUEST_EXPECTED && !connected) {
                        domain->state = FAILOVER_GUEST_UNKNOWN;
                        domain->started_under_our_eyes = false;
                        for_each_nic(manager, domain, doubt_standby);
                        domain_dirty(manager, domain);
                }
        manager_schedule(manager);
}

const struct guests_callbacks domains_callbacks = {
        .connection = on_connection,
        .listed = on_listed,
        .changed = on_changed,
        .event = on_event,
};
