/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What libvirt and QEMU tell of a guest goes into its presence (failover/presence.c), and what follows from that to its
 * NICs.
 */

#include "src/daemon/definitions.h"
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

static void vf_is_unknown(struct manager_nic *nic)
{
        if (nic->claim)
                nic->facts.attached = FAILOVER_UNKNOWN;
}

/* Carries out what follows from what the domain's presence was told. */
static void follow(struct manager *manager, struct manager_domain *domain, enum failover_guest old, unsigned follows)
{
        enum failover_guest state = domain->presence.state;

        if (follows & FAILOVER_PRESENCE_MOVED) {
                log_debug(domain->name, "guest %s -> %s", failover_guest_to_string(old),
                          failover_guest_to_string(state));
                if (manager->control)
                        control_event(manager->control, "guest", domain->name, failover_guest_to_string(state));
        }
        if (follows & FAILOVER_PRESENCE_ARRIVED)
                for_each_nic(manager, domain, vf_is_unknown);
        /* What is known of the NIC is of the QEMU before, which ended a moment ago. */
        if (follows & FAILOVER_PRESENCE_ARRIVED && domain->presence.started_under_our_eyes)
                for_each_nic(manager, domain, forget_standby);
        if (follows & FAILOVER_PRESENCE_ANNOUNCE)
                for_each_nic(manager, domain, want_announcement);
        if (follows)
                domain_dirty(manager, domain);
}

/* ---- events ---- */

static void on_device_removed(struct manager *manager, struct manager_domain *domain, const char *alias, bool removed)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                if (nic->domain != domain || strcmp(alias, nic->vf_alias) != 0)
                        continue;
                nic->tables_stale = true;
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

        if (nic)
                nic->facts.standby = FAILOVER_YES;
        /* The NIC, or its guest, comes (back) to be known only now: it has accepted already. */
        if (!nic || !nic->in_guest || domain->presence.state == FAILOVER_GUEST_ABSENT ||
            domain->presence.state == FAILOVER_GUEST_EXPECTED)
                domain->presence.started_under_our_eyes = false;
}

/* Neither libvirt's hook nor an event tells of it before the guest stands still, so all that is left is to say it. */
static void warn_if_stuck(struct manager *manager, const struct manager_domain *domain)
{
        char sentence[512];

        if (!failover_presence_is_stuck(&domain->presence))
                return;
        snprintf(
                sentence, sizeof(sentence),
                "it was stopped before it could let go of its VF, and QEMU waits for that for ever. End the job (virsh "
                "domjobabort %s), release the VF (vswitch nic release %s --hold) and save it again",
                domain->name, domain->name);
        log_warning(domain->name, "%s", sentence);
        if (manager->control)
                control_event(manager->control, "warning", domain->name, sentence);
}

static void on_event(const struct guest_event *event, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_domain *domain = nics_find_domain(manager, event->uuid);
        enum failover_guest old;
        unsigned follows = 0;

        if (!domain) {
                /* The first sign of a guest; its snapshot follows. */
                if (event->kind != GUEST_EVENT_LIFECYCLE)
                        return;
                domain = nics_add_domain(manager, event->uuid, event->uuid);
                if (!domain)
                        return;
        }
        log_debug(domain->name, "event %d %s %s", event->kind, event->alias, event->detail);
        old = domain->presence.state;
        switch (event->kind) {
        case GUEST_EVENT_STANDBY_NEGOTIATED:
                on_standby(manager, domain, event->alias);
                follows = failover_presence_on_standby(&domain->presence) | FAILOVER_PRESENCE_LOOK;
                break;
        case GUEST_EVENT_UNPLUG_ASKED:
                follows = failover_presence_on_unplug_asked(&domain->presence);
                break;
        case GUEST_EVENT_MIGRATION:
                if (manager->control)
                        control_event(manager->control, "migration", domain->name, event->detail);
                follows = failover_presence_on_migration(&domain->presence, event->detail);
                warn_if_stuck(manager, domain);
                break;
        case GUEST_EVENT_STOPPED:
                follows = failover_presence_on_stop(&domain->presence);
                warn_if_stuck(manager, domain);
                break;
        case GUEST_EVENT_RESUMED:
                follows = failover_presence_on_resume(&domain->presence);
                break;
        case GUEST_EVENT_RESET:
                for_each_nic(manager, domain, forget_standby);
                follows = FAILOVER_PRESENCE_LOOK;
                break;
        case GUEST_EVENT_DEVICE_REMOVED:
                on_device_removed(manager, domain, event->alias, true);
                break;
        case GUEST_EVENT_DEVICE_REMOVAL_FAILED:
                on_device_removed(manager, domain, event->alias, false);
                break;
        case GUEST_EVENT_LIFECYCLE:
                follows = failover_presence_on_lifecycle(&domain->presence, event->detail);
                break;
        }
        follow(manager, domain, old, follows);
        manager_schedule(manager);
}

/* ---- snapshots ---- */

static enum failover_shown shown(const struct guest *guest)
{
        switch (guest->state) {
        case GUEST_OFF:
                return FAILOVER_SHOWN_OFF;
        case GUEST_RUNNING:
                return FAILOVER_SHOWN_RUNNING;
        case GUEST_PAUSED:
                return FAILOVER_SHOWN_PAUSED;
        case GUEST_INCOMING:
                return FAILOVER_SHOWN_INCOMING;
        case GUEST_HANDED_OVER:
                return FAILOVER_SHOWN_HANDED_OVER;
        }
        return FAILOVER_SHOWN_OFF;
}

static void apply(struct manager *manager, struct guest **guest_pointer)
{
        struct guest *guest = *guest_pointer;
        struct manager_domain *domain = nics_find_domain(manager, guest->uuid);
        enum failover_guest old;

        if (!domain) {
                if (guest->state == GUEST_OFF)
                        return;
                domain = nics_add_domain(manager, guest->uuid, guest->name);
                if (!domain)
                        return;
        }
        /* The state first: it says whether the VF in the XML is a VF of this host. */
        old = domain->presence.state;
        follow(manager, domain, old, failover_presence_on_snapshot(&domain->presence, shown(guest), guest->outgoing));
        if (guest->state == GUEST_OFF) {
                if (domain->presence.state != FAILOVER_GUEST_EXPECTED)
                        nics_forget_domain_if_empty(manager, domain);
                return;
        }
        if (guest->incomplete)
                return; /* its devices are not known now: what was known of them stays */
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
                        follow(manager, domain, domain->presence.state,
                               failover_presence_on_not_listed(&domain->presence, has_live_lease(manager, domain)));
        for (size_t i = 0; i < count; i++)
                apply(manager, &guests[i]);
        manager_schedule(manager);
}

static void on_defined(struct guest *const *definitions, size_t count, bool all, void *userdata)
{
        definitions_apply(userdata, definitions, count, all);
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
                if (!connected && failover_presence_on_disconnect(&domain->presence)) {
                        for_each_nic(manager, domain, doubt_standby);
                        domain_dirty(manager, domain);
                }
        manager_schedule(manager);
}

const struct guests_callbacks domains_callbacks = {
        .connection = on_connection,
        .listed = on_listed,
        .defined = on_defined,
        .changed = on_changed,
        .event = on_event,
};
