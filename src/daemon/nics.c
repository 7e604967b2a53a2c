/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The registry of NICs and their domains. A NIC is known from the first thing that tells of it (a snapshot of its
 * domain, a record or claim on disk, an announced migration) until nothing of it is left on this host.
 *
 * A VF that a guest has and that has no claim is taken over with what it is like, whoever gave it to the guest: our own
 * whose record was lost, and one that its owner put into the XML. The tables follow it from then on as they follow a VF
 * of ours, what the NIC may do holds for it, and it is released like one. What differs is the end:
 *   - <hostdev managed='no'>: libvirt touches nothing of it, so it gets back what it had when it was found;
 *   - <interface type='hostdev'>, or managed='yes': libvirt sets MAC and VLAN, and gives them back, and the driver,
 *     when the guest has let go. Such a claim is *adopted*: see give_back_adopted() in actions.c.
 * In both cases the NIC's MAC does not stay on a VF that the guest does not have any more.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VF_ALIAS_PREFIX "ua-vf-"

void nics_vf_alias(const char *nic_alias, char ret[static GUEST_ALIAS_SIZE])
{
        const char *bare = strncmp(nic_alias, "ua-", 3) == 0 ? nic_alias + 3 : nic_alias;

        snprintf(ret, GUEST_ALIAS_SIZE, VF_ALIAS_PREFIX "%.*s", (int) (GUEST_ALIAS_SIZE - sizeof(VF_ALIAS_PREFIX)),
                 bare);
}

struct manager_domain *nics_find_domain(struct manager *manager, const char *uuid)
{
        struct manager_domain *domain;

        TAILQ_FOREACH (domain, &manager->domains, entry)
                if (strcmp(domain->uuid, uuid) == 0)
                        return domain;
        return NULL;
}

struct manager_domain *nics_add_domain(struct manager *manager, const char *uuid, const char *name)
{
        struct manager_domain *domain = nics_find_domain(manager, uuid);

        if (!domain) {
                domain = calloc(1, sizeof(*domain));
                if (!domain)
                        return NULL;
                snprintf(domain->uuid, sizeof(domain->uuid), "%s", uuid);
                TAILQ_INSERT_TAIL(&manager->domains, domain, entry);
        }
        if (name && name[0])
                snprintf(domain->name, sizeof(domain->name), "%s", name);
        return domain;
}

struct manager_nic *nics_find(struct manager *manager, const char *uuid, const char *alias)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (strcmp(nic->domain->uuid, uuid) == 0 && strcmp(nic->alias, alias) == 0)
                        return nic;
        return NULL;
}

struct manager_nic *nics_add(struct manager *manager, struct manager_domain *domain, const char *alias,
                             const struct vswitch_mac *mac, struct manager_switch *nic_switch)
{
        struct manager_nic *nic = nics_find(manager, domain->uuid, alias);

        if (!nic) {
                nic = calloc(1, sizeof(*nic));
                if (!nic)
                        return NULL;
                nic->manager = manager;
                nic->domain = domain;
                nic->nic_switch = nic_switch;
                nic->mac = *mac;
                nic->number = ++manager->arbiter.numbers;
                nic->policy = manager->policy;
                nic->tables_stale = true;
                nics_vf_alias(alias, nic->vf_alias);
                nic->path_since_realtime = manager_realtime();
                nic->last_path = "unknown";
                nic->request = "";
                nic->facts.standby = domain->presence.started_under_our_eyes ? FAILOVER_NO : FAILOVER_UNKNOWN;
                /* The moment to tell the wire came before the NIC was known. */
                nic->facts.announce_wanted = domain->presence.state == FAILOVER_GUEST_LOADED;
                snprintf(nic->alias, sizeof(nic->alias), "%s", alias);
                TAILQ_INSERT_TAIL(&manager->nics, nic, entry);
                snprintf(nic->label, sizeof(nic->label), "%s/%s", domain->name, alias);
                if (manager->control)
                        control_nic_added(manager->control, domain->uuid, alias);
        }
        snprintf(nic->label, sizeof(nic->label), "%s/%s", domain->name, alias);
        manager_nic_dirty(nic);
        return nic;
}

/* ---- snapshots ---- */

static const struct guest_vf *find_teamed_vf(const struct guest *guest, const char *nic_alias)
{
        for (size_t i = 0; i < guest->vfs_count; i++)
                if (strcmp(guest->vfs[i].persistent, nic_alias) == 0)
                        return &guest->vfs[i];
        return NULL;
}

static enum failover_reason find_obstacle(const struct guest *guest, const struct guest_nic *guest_nic)
{
        const struct guest_vf *vf = find_teamed_vf(guest, guest_nic->alias);

        if (!guest_nic->is_virtio)
                return FAILOVER_REASON_NOT_VIRTIO;
        if (!guest_nic->teaming_persistent)
                return FAILOVER_REASON_NO_TEAMING;
        if (strncmp(guest_nic->alias, "ua-", 3) != 0)
                return FAILOVER_REASON_NO_USER_ALIAS;
        if (guest->managed_by[0])
                return vf ? FAILOVER_REASON_VF_NOT_OURS : FAILOVER_REASON_MANAGED_ELSEWHERE;
        if (!guest->is_q35)
                return FAILOVER_REASON_NOT_Q35;
        if (!vf && guest->free_root_ports == 0)
                return FAILOVER_REASON_NO_FREE_ROOT_PORT;
        return FAILOVER_REASON_NONE;
}

/* By its name and kind: attached by a vswitch, whose record was lost (somebody emptied /run). */
static bool is_lost_vf(const struct manager_nic *nic, const struct guest_vf *vf)
{
        char ours[GUEST_ALIAS_SIZE];

        nics_vf_alias(nic->alias, ours);
        return !vf->is_interface && !vf->managed && strcmp(vf->alias, ours) == 0;
}

/* What the VF gets back in the end. One of ours: what a VF is like before anybody programmed it. Its owner's: what it
 * has, but for the MAC of a guest that will be gone. */
static struct pf_vf_attributes before_adoption(const struct manager_nic *nic, const struct guest_vf *vf,
                                               const struct pf_vf_attributes *present)
{
        struct pf_vf_attributes before = *present;

        if (is_lost_vf(nic, vf)) {
                before = vfs_neutral_attributes(present);
                before.valid = present->valid;
        } else if (vswitch_mac_equal(&before.mac, &nic->mac)) {
                before.mac = (struct vswitch_mac){ 0 };
        }
        return before;
}

static void adopt_vf_of(struct manager_nic *nic, struct pf *pf, const struct guest_vf *vf)
{
        struct vswitch_error error = { 0 };
        struct pf_vf *vfs = NULL;
        size_t count = 0;

        if (pf->driver->list_vfs(pf, &vfs, &count, NULL) < 0)
                return;
        for (size_t i = 0; i < count; i++) {
                struct pf_vf_attributes present = { 0 };
                struct claim *claim;

                if (strcmp(vfs[i].address, vf->address) != 0 ||
                    pf->driver->read_attributes(pf, vfs[i].index, &present, NULL) < 0)
                        continue;
                claim = calloc(1, sizeof(*claim));
                if (!claim)
                        break;
                snprintf(claim->uuid, sizeof(claim->uuid), "%s", nic->domain->uuid);
                snprintf(claim->alias, sizeof(claim->alias), "%s", nic->alias);
                snprintf(claim->domain, sizeof(claim->domain), "%s", nic->domain->name);
                snprintf(claim->pf, sizeof(claim->pf), "%s", pf->name);
                snprintf(claim->vf_address, sizeof(claim->vf_address), "%s", vf->address);
                claim->mac = nic->mac;
                claim->vf_index = vfs[i].index;
                claim->touched = true;
                claim->adopted = vf->is_interface || vf->managed;
                nic->made_router |= is_lost_vf(nic, vf);
                claim->before = before_adoption(nic, vf, &present);
                if (!is_lost_vf(nic, vf) && !vf->managed)
                        snprintf(claim->driver_before, sizeof(claim->driver_before), "%s", vfs[i].driver);
                nic->claim = claim;
                if (records_write_claim(nic, &error) < 0)
                        log_warning(nic->label, "%s", error.text);
                log_notice(nic->label, "took over VF %s, %s", vf->address,
                           is_lost_vf(nic, vf) ? "which had no claim" : "which its owner gave to the guest");
                break;
        }
        free(vfs);
}

static void adopt_vf(struct manager_nic *nic, const struct guest_vf *vf)
{
        if (vfs_claimant(nic->manager, vf->address))
                return;
        for (size_t i = 0; !nic->claim && i < nic->nic_switch->pfs_count; i++)
                adopt_vf_of(nic, nic->nic_switch->pfs[i].pf, vf);
}

/* QEMU's name for the VF, which must be known to who is to give it another one, also after a restart. */
static void learn_vf_alias(struct manager_nic *nic, const char *alias)
{
        struct vswitch_error error = { 0 };

        if (!alias[0] || strcmp(nic->vf_alias, alias) == 0)
                return;
        snprintf(nic->vf_alias, sizeof(nic->vf_alias), "%s", alias);
        if (nics_record(nic, &error) < 0)
                log_warning(nic->label, "%s", error.text);
}

static void apply_nic(struct manager *manager, struct manager_domain *domain, const struct guest *guest,
                      const struct guest_nic *guest_nic)
{
        struct manager_switch *nic_switch = switches_find_by_bridge(manager, guest_nic->bridge);
        const struct guest_vf *vf = find_teamed_vf(guest, guest_nic->alias);
        struct manager_nic *nic;

        if (!nic_switch || guest_nic->is_openvswitch)
                return;
        nic = nics_find(manager, domain->uuid, guest_nic->alias);
        /* With another switch or MAC it is another NIC: the old one goes first, with all that it has in tables. */
        if (nic && (nic->nic_switch != nic_switch || !vswitch_mac_equal(&nic->mac, &guest_nic->mac)))
                return;
        nic = nics_add(manager, domain, guest_nic->alias, &guest_nic->mac, nic_switch);
        if (!nic)
                return;
        nic->in_guest = true;
        nic->obstacle = find_obstacle(guest, guest_nic);
        nic->mtu = guest_nic->mtu;
        policies_apply_guest(nic, guest_nic);
        if (strcmp(nic->tap, guest_nic->tap) != 0) {
                nic->tables_stale = true;
                nic->recorded = false;
                nic->made_router = false;
        }
        snprintf(nic->tap, sizeof(nic->tap), "%s", guest_nic->tap);
        if (domain->presence.state == FAILOVER_GUEST_EXPECTED)
                return; /* the XML still speaks of the VF on the other host */

        bool attached = nic->claim && vf && strcmp(vf->address, nic->claim->vf_address) == 0;

        if (vf)
                learn_vf_alias(nic, vf->alias);
        if (!nic->claim && vf && nic->obstacle == FAILOVER_REASON_NONE) {
                adopt_vf(nic, vf);
                attached = nic->claim != NULL;
        }
        /* Of a card that is not beneath the switch; or beside the one that is being made ready for the NIC. */
        if (vf && !attached && nic->obstacle == FAILOVER_REASON_NONE)
                nic->obstacle = FAILOVER_REASON_VF_NOT_OURS;
        if (attached && nic->facts.attached != FAILOVER_YES)
                nic->facts.attached_since = manager_now(manager);
        nic->tables_stale |= attached != (nic->facts.attached == FAILOVER_YES);
        nic->facts.attached = attached ? FAILOVER_YES : FAILOVER_NO;
}

/* A NIC that is gone may have left its VF in the guest. */
static bool has_vf_of(const struct guest *guest, const struct manager_nic *nic)
{
        for (size_t i = 0; nic->claim && i < guest->vfs_count; i++)
                if (strcmp(guest->vfs[i].address, nic->claim->vf_address) == 0)
                        return true;
        return false;
}

void nics_apply_guest(struct manager *manager, struct manager_domain *domain, struct guest *guest)
{
        struct manager_nic *nic;

        guest_free(domain->guest);
        domain->guest = guest;
        if (guest->name)
                snprintf(domain->name, sizeof(domain->name), "%s", guest->name);
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain) {
                        nic->in_guest = false;
                        manager_nic_dirty(nic);
                }
        for (size_t i = 0; i < guest->nics_count; i++)
                apply_nic(manager, domain, guest, &guest->nics[i]);
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain && !nic->in_guest)
                        nic->facts.attached = has_vf_of(guest, nic) ? FAILOVER_YES : FAILOVER_NO;
}

/* ---- records ---- */

int nics_record(struct manager_nic *nic, struct vswitch_error *error)
{
        struct nic_record record = { .mac = nic->mac, .held = nic->held_until_acquire };
        int r;

        snprintf(record.uuid, sizeof(record.uuid), "%s", nic->domain->uuid);
        snprintf(record.alias, sizeof(record.alias), "%s", nic->alias);
        snprintf(record.domain, sizeof(record.domain), "%s", nic->domain->name);
        snprintf(record.switch_name, sizeof(record.switch_name), "%s", nic->nic_switch->config->name);
        snprintf(record.tap, sizeof(record.tap), "%s", nic->tap);
        record.made_router = nic->made_router;
        snprintf(record.vf_alias, sizeof(record.vf_alias), "%s", nic->vf_alias);
        record.bridge_vlan = nic->bridge_vlan;
        record.port_vlan = nic->port_vlan;
        r = claim_store_write_nic(nic->manager->claims, &record, error);
        nic->recorded = r == 0;
        return r;
}

/* ---- the end ---- */

static void free_nic(struct manager_nic *nic)
{
        struct manager *manager = nic->manager;

        TAILQ_REMOVE(&manager->nics, nic, entry);
        policies_free(nic);
        free(nic->claim);
        free(nic);
}

void nics_forget_domain_if_empty(struct manager *manager, struct manager_domain *domain)
{
        const struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain)
                        return;
        if (domain->presence.state != FAILOVER_GUEST_ABSENT && domain->presence.state != FAILOVER_GUEST_EXPECTED)
                return;
        TAILQ_REMOVE(&manager->domains, domain, entry);
        guest_free(domain->guest);
        free(domain);
}

static bool nothing_left(const struct manager_nic *nic)
{
        const struct failover_facts *facts = &nic->facts;

        bool absent = facts->guest == FAILOVER_GUEST_ABSENT || facts->guest == FAILOVER_GUEST_EXPECTED;

        /* Unknown is not gone, where something of ours may be: the uplink may come back with it. */
        if (absent && !nic->claim && facts->tables_of_another)
                return facts->call == FAILOVER_CALL_NONE;
        return absent && !nic->claim && (facts->uplink_filter == FAILOVER_NO || !nic->recorded) &&
               facts->call == FAILOVER_CALL_NONE && facts->uplink_filter != FAILOVER_YES &&
               facts->copy_rule != FAILOVER_YES && facts->pin != FAILOVER_PIN_TAP && facts->pin != FAILOVER_PIN_UPLINK;
}

void nics_forget_if_done(struct manager_nic *nic)
{
        struct manager *manager = nic->manager;
        struct manager_domain *domain = nic->domain;
        struct vswitch_error error = { 0 };

        if (!nothing_left(nic))
                return;
        if (claim_store_remove_nic(manager->claims, domain->uuid, nic->alias, &error) < 0)
                log_warning(nic->label, "%s", error.text);
        if (manager->control)
                control_nic_removed(manager->control, domain->uuid, nic->alias);
        log_info(nic->label, "gone from this host");
        policies_release(nic);
        /* It may be there under another MAC or on another switch. */
        if (domain->presence.state != FAILOVER_GUEST_ABSENT && domain->presence.state != FAILOVER_GUEST_EXPECTED &&
            manager->guests)
                guests_refresh(manager->guests, domain->uuid);
        free_nic(nic);
        nics_forget_domain_if_empty(manager, domain);
}

void nics_free_all(struct manager *manager)
{
        struct manager_domain *domain;

        while (!TAILQ_EMPTY(&manager->nics))
                free_nic(TAILQ_FIRST(&manager->nics));
        while ((domain = TAILQ_FIRST(&manager->domains))) {
                TAILQ_REMOVE(&manager->domains, domain, entry);
                guest_free(domain->guest);
                free(domain);
        }
}
