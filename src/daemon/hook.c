/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * libvirt's qemu hook speaks to the daemon and waits for its word, and libvirt waits for the hook: so nothing here may
 * call libvirt, and every answer comes from memory, with one exception. A guest that arrives with a VF needs one here:
 * it is leased, its PCI address is written into the XML, and the answer waits until the VF is bound to vfio-pci,
 * because libvirt refuses an unmanaged device that is not. When none can be had the migration is refused with the way
 * out; libvirt lets nobody take the device out of the XML at this point.
 *
 * A guest that was saved with a VF is the same case but for the refusal: libvirt accepts another address there, and not a
 * device less, and a start is never made to fail. Without a VF for it, libvirt tries the address that was saved.
 *
 * A lease is on disk before it is told of: what cannot be written is refused, and an earlier claim stays as it was.
 *
 * A lease ends by itself when the guest does not come (lease_until), and at once when libvirt says that the start
 * failed.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "src/daemon/vf_users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As long as the hook itself waits. */
#define WAIT_BOUND (5 * USEC_PER_SEC)

struct hook_wait {
        TAILQ_ENTRY(hook_wait) entry;
        uint64_t deadline;
        char name[64];
        char uuid[GUEST_UUID_SIZE];
        char *xml;
        bool is_restore; /* from a file, not from another host */
        bool is_leased;  /* a VF for each that the guest brings */
        control_hook_reply reply;
        void *token;
};

static void wait_free(struct manager *manager, struct hook_wait *wait)
{
        TAILQ_REMOVE(&manager->hook_waits, wait, entry);
        free(wait->xml);
        free(wait);
}

void hook_free_all(struct manager *manager)
{
        struct hook_wait *wait, *next;

        for (wait = TAILQ_FIRST(&manager->hook_waits); wait; wait = next) {
                next = TAILQ_NEXT(wait, entry);
                wait_free(manager, wait);
        }
}

/* A teamed VF that libvirt neither binds nor programs: one that a vswitch attached, or its owner in the same way. What
 * libvirt sees to itself is its owner's business until it is here. */
static bool is_ours(const struct guest_vf *vf)
{
        return vf->persistent[0] && !vf->is_interface && !vf->managed;
}

/* The NIC on this host that a VF in the announced XML belongs to; NULL when it is none of ours. */
static struct manager_nic *find_nic_of_vf(struct manager *manager, const char *uuid, const struct guest_vf *vf)
{
        return is_ours(vf) ? nics_find(manager, uuid, vf->persistent) : NULL;
}

static void expire_leases(struct manager *manager, struct manager_domain *domain)
{
        struct manager_nic *nic;

        if (!domain)
                return;
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain && nic->claim && nic->claim->leased) {
                        nic->claim->lease_until = 0;
                        manager_nic_dirty(nic);
                }
        if (domain->presence.state == FAILOVER_GUEST_EXPECTED)
                domain->presence.state = FAILOVER_GUEST_ABSENT;
}

static void refuse_migration(struct hook_wait *wait, const char *why)
{
        const char *name = wait->name;
        char sentence[768];

        snprintf(sentence, sizeof(sentence),
                 "vswitch: this host cannot take guest %s with its VF: %s. Migrate it with 'vswitch migrate %s URI', "
                 "which works without a VF here, or first give the VF back on the other host: 'vswitch nic release %s "
                 "--hold'",
                 name, why, name, name);
        log_warning(name, "refused the migration: %s", why);
        wait->reply(wait->token, NULL, sentence);
}

static void let_restore(struct hook_wait *wait, const char *why)
{
        log_warning(
                wait->name,
                "was saved with a VF, and there is none for it here: %s. libvirt tries the one that was saved; if it "
                "cannot be had, make a VF free and restore it again",
                why);
        wait->reply(wait->token, NULL, NULL);
}

static void refuse(struct manager *manager, struct hook_wait *wait, const char *why)
{
        struct manager_domain *domain = nics_find_domain(manager, wait->uuid);

        expire_leases(manager, domain);
        if (domain)
                nics_forget_domain_if_empty(manager, domain);
        if (wait->is_restore)
                let_restore(wait, why);
        else
                refuse_migration(wait, why);
        wait_free(manager, wait);
        manager_schedule(manager);
}

/* Rewrites the address of every VF that was leased. */
static char *rewrite(struct manager *manager, const struct hook_wait *wait, const struct guest *guest,
                     struct vswitch_error *error)
{
        char *xml = strdup(wait->xml);

        for (size_t i = 0; xml && i < guest->vfs_count; i++) {
                const struct manager_nic *nic = find_nic_of_vf(manager, wait->uuid, &guest->vfs[i]);
                char *next = NULL;
                int r;

                if (!nic)
                        continue;
                r = guest_rewrite_vf_address(xml, guest->vfs[i].alias[0] ? guest->vfs[i].alias : guest->vfs[i].address,
                                             nic->claim->vf_address, &next, error);
                free(xml);
                xml = r < 0 ? NULL : next;
        }
        return xml;
}

static void answer(struct manager *manager, struct hook_wait *wait, const struct guest *guest)
{
        struct vswitch_error error = { 0 };
        char *xml = rewrite(manager, wait, guest, &error);

        if (!xml) {
                refuse(manager, wait, error.text[0] ? error.text : "out of memory");
                return;
        }
        log_info(wait->name, "expected from %s, with a VF", wait->is_restore ? "where it was saved" : "another host");
        wait->reply(wait->token, xml, NULL);
        free(xml);
        wait_free(manager, wait);
}

/* Is every VF of this wait leased, on disk, bound and left alone by worker threads? *ret_failed: why one never will be. */
static bool all_prepared(struct manager *manager, const struct hook_wait *wait, const struct guest *guest,
                         const char **ret_failed)
{
        *ret_failed = NULL;
        for (size_t i = 0; i < guest->vfs_count; i++) {
                const struct manager_nic *nic = find_nic_of_vf(manager, wait->uuid, &guest->vfs[i]);

                if (!is_ours(&guest->vfs[i]))
                        continue;
                if (!nic || !nic->claim) {
                        *ret_failed = "its lease was lost";
                        return false;
                }
                if (nic->facts.failure != FAILOVER_REASON_NONE)
                        *ret_failed = failover_reason_sentence(nic->facts.failure);
                if (nic->facts.prepared != FAILOVER_YES || nic->facts.call != FAILOVER_CALL_NONE || nic->tables_stale ||
                    nic->claim_unwritten)
                        return false;
        }
        return true;
}

/* What it has from an earlier stay here is kept for it. */
static int lease_again(struct manager_nic *nic, struct vswitch_error *error)
{
        const struct manager *manager = nic->manager;
        struct claim leased = *nic->claim;

        leased.leased = true;
        leased.lease_until = manager_now(manager) + manager->options.config->lease_timeout_usec;
        return records_change_claim(nic, &leased, error);
}

static int cannot_write(struct vswitch_error *error, int result)
{
        const struct vswitch_error cause = *error;

        return vswitch_error_set(error, result, "%s; %s", vswitch_error_text(&cause, result),
                                 failover_reason_remedy(FAILOVER_REASON_CLAIM_FAILED));
}

/* Leases a VF for each VF that the guest brings. */
static int lease_all(struct manager *manager, const struct hook_wait *wait, const struct guest *guest,
                     struct vswitch_error *error)
{
        for (size_t i = 0; i < guest->vfs_count; i++) {
                const struct guest_vf *vf = &guest->vfs[i];
                struct manager_nic *nic = find_nic_of_vf(manager, wait->uuid, vf);
                int r;

                if (!is_ours(vf))
                        continue;
                if (!nic)
                        return vswitch_error_set(error, -ENODEV,
                                                 "NIC %s is on a bridge that is not a switch of vswitch here",
                                                 vf->persistent);
                nic->facts.failure = FAILOVER_REASON_NONE;
                nic->facts.back_off_until = 0;
                nic->tables_stale = true;
                /* What libvirt has programmed libvirt gives back, and nobody else programs it. */
                if (nic->claim && nic->claim->adopted)
                        return vswitch_error_set(error, -EBUSY,
                                                 "libvirt is still giving back VF %s, which %s had here; try again "
                                                 "in a few seconds",
                                                 nic->claim->vf_address, vf->persistent);
                r = nic->claim ? lease_again(nic, error) : actions_claim_vf(nic, true, error);
                if (r < 0)
                        return r == -ENODEV ? r : cannot_write(error, r);
                manager_nic_dirty(nic);
        }
        return 0;
}

/* The announced guest becomes known, and gets its leases. */
static int expect(struct manager *manager, const struct hook_wait *wait, struct vswitch_error *error)
{
        struct manager_domain *domain;
        struct guest *guest = NULL;
        int r = guest_parse_xml(wait->xml, &guest, error);

        if (r < 0)
                return r;
        domain = nics_add_domain(manager, wait->uuid, wait->name);
        if (!domain) {
                guest_free(guest);
                return -ENOMEM;
        }
        /* Whatever is known of an earlier stay here is over, although its last event may not have come yet. */
        failover_presence_on_expected(&domain->presence);
        nics_apply_guest(manager, domain, guest);
        return lease_all(manager, wait, guest, error);
}

/* While it is being found out who has VFs open, a refusal would be too early: then it is tried again when that is known.
 * Until then nothing keeps the NICs, which own nothing here. */
static void expect_or_refuse(struct manager *manager, struct hook_wait *wait)
{
        struct vswitch_error error = { 0 };
        int r;

        if (vf_users_awaited(manager))
                return;
        r = expect(manager, wait, &error);
        wait->is_leased = r == 0;
        if (r < 0 && !vf_users_awaited(manager))
                refuse(manager, wait, vswitch_error_text(&error, r));
}

static bool is_here(const struct manager_domain *domain)
{
        return domain &&
               (domain->presence.state == FAILOVER_GUEST_RUNNING || domain->presence.state == FAILOVER_GUEST_PAUSED);
}

static void continue_wait(struct manager *manager, struct hook_wait *wait)
{
        const struct manager_domain *domain = nics_find_domain(manager, wait->uuid);
        const char *failed = NULL;

        if (!wait->is_leased && !is_here(domain) && manager_now(manager) < wait->deadline)
                expect_or_refuse(manager, wait); /* a lease makes its NIC dirty: it is looked at again after that */
        else if (!wait->is_leased)
                refuse(manager, wait, "no free VF was found in time");
        else if (!domain || !domain->guest)
                refuse(manager, wait, "its lease was lost");
        else if (all_prepared(manager, wait, domain->guest, &failed))
                answer(manager, wait, domain->guest);
        else if (failed)
                refuse(manager, wait, failed);
        else if (manager_now(manager) >= wait->deadline)
                refuse(manager, wait, "the VF was not ready in time");
}

void hook_continue(struct manager *manager)
{
        struct hook_wait *wait, *next;

        for (wait = TAILQ_FIRST(&manager->hook_waits); wait; wait = next) {
                next = TAILQ_NEXT(wait, entry);
                continue_wait(manager, wait);
        }
}

uint64_t hook_deadline(const struct manager *manager)
{
        const struct hook_wait *first = TAILQ_FIRST(&manager->hook_waits); /* they are in the order of their coming */

        return first ? first->deadline : FAILOVER_NEVER;
}

static bool brings_vf(const struct guest *guest)
{
        for (size_t i = 0; i < guest->vfs_count; i++)
                if (is_ours(&guest->vfs[i]))
                        return true;
        return false;
}

static void on_arrival(struct manager *manager, const char *name, const char *xml, bool is_restore,
                       control_hook_reply reply, void *token)
{
        struct vswitch_error error = { 0 };
        struct hook_wait *wait = NULL;
        struct guest *guest = NULL;
        int r = guest_parse_xml(xml, &guest, &error);

        if (r < 0) {
                log_warning(name, "cannot read the XML of an arriving guest: %s", vswitch_error_text(&error, r));
                reply(token, NULL, NULL);
                return;
        }
        if (!brings_vf(guest)) {
                /* A guest without a VF needs nothing here before it arrives. */
                guest_free(guest);
                reply(token, NULL, NULL);
                return;
        }
        if (is_here(nics_find_domain(manager, guest->uuid))) {
                /* Somebody migrates it to the host that it runs on. libvirt asks its hook before it notices. */
                guest_free(guest);
                reply(token, NULL, NULL);
                return;
        }
        wait = calloc(1, sizeof(*wait));
        if (!wait || !(wait->xml = strdup(xml))) {
                guest_free(guest);
                free(wait);
                reply(token, NULL, NULL);
                return;
        }
        snprintf(wait->uuid, sizeof(wait->uuid), "%s", guest->uuid);
        snprintf(wait->name, sizeof(wait->name), "%s", name);
        wait->is_restore = is_restore;
        wait->deadline = manager_now(manager) + WAIT_BOUND;
        wait->reply = reply;
        wait->token = token;
        TAILQ_INSERT_TAIL(&manager->hook_waits, wait, entry);
        guest_free(guest);
        expect_or_refuse(manager, wait);
        manager_schedule(manager);
}

void hook_call(void *model, const char *name, const char *operation, const char *sub_operation, const char *extra,
               const char *xml, control_hook_reply reply, void *token)
{
        struct manager *manager = model;
        struct manager_domain *domain;

        log_debug(name, "hook: %s %s %s", operation, sub_operation, extra);
        if (strcmp(operation, "migrate") == 0 || strcmp(operation, "restore") == 0) {
                on_arrival(manager, name, xml, operation[0] == 'r', reply, token);
                return;
        }
        reply(token, NULL, NULL);

        /* Everything else only says: look at this guest. libvirt's events tell the same; the hook may be first. */
        TAILQ_FOREACH (domain, &manager->domains, entry) {
                if (strcmp(domain->name, name) != 0)
                        continue;
                if (strcmp(operation, "release") == 0 && domain->presence.state == FAILOVER_GUEST_EXPECTED) {
                        expire_leases(manager, domain);
                        manager_schedule(manager);
                }
                guests_refresh(manager->guests, domain->uuid);
                return;
        }
}
