/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * Carries out what the core decided. A table action is one or two rtnetlink requests and its result is a fact at
 * once. A step that may block (driver binding, libvirt) becomes a call on a worker thread: the NIC remembers that it
 * is under way, and the answer is a fact when it comes. What a claim says is on disk before what it announces.
 *
 * A call's answer finds its NIC by key, not by pointer: the NIC may be gone when it comes.
 */

#include "src/daemon/definitions.h"
#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The pause after a failed move is doubled so often at most. */
#define BACK_OFF_DOUBLINGS 4

/* How long libvirt may take to give back a VF that it has programmed, and how long of that from one driver to the next.
 * One that leaves the VF on vfio-pci, which is ordinary, holds a thread for as long. */
#define LIBVIRT_BOUND        (3 * USEC_PER_SEC)
#define LIBVIRT_REBIND_BOUND USEC_PER_SEC
#define LIBVIRT_LOOK_FAST    (20 * USEC_PER_MSEC) /* for LIBVIRT_FAST_BOUND */
#define LIBVIRT_LOOK         (250 * USEC_PER_MSEC)
#define LIBVIRT_FAST_BOUND   USEC_PER_SEC

/* How often a worker looks whether a QEMU has closed the group of a VF whose device it has closed, and the first pause
 * between two looks, which doubles: less than a second in all. Each look may be a walk over /proc. */
#define CLOSE_LOOKS 5
#define CLOSE_PAUSE (50 * USEC_PER_MSEC)

/* ---- calls on worker threads ---- */

struct call {
        struct manager *manager;
        char uuid[GUEST_UUID_SIZE];
        char alias[GUEST_ALIAS_SIZE];
        char vf_address[PF_ADDRESS_SIZE];
        char driver[PF_DRIVER_NAME_SIZE];
        unsigned vf_index;
        struct pf *pf;
        bool reset;
        void (*finish)(struct manager_nic *nic, const struct call *call, int result, const char *sentence);
};

static void call_free(struct call *call)
{
        if (call->pf)
                opened_pfs_release(call->manager, call->pf);
        free(call);
}

static void call_done(int result, const char *sentence, void *userdata)
{
        struct call *call = userdata;
        struct manager_nic *nic = nics_find(call->manager, call->uuid, call->alias);

        if (nic) {
                nic->facts.call = FAILOVER_CALL_NONE;
                nic->tables_stale = true;
                call->finish(nic, call, result, sentence);
                manager_nic_dirty(nic);
        }
        call_free(call);
}

static struct call *call_new(struct manager_nic *nic, void (*finish)(struct manager_nic *nic, const struct call *call,
                                                                     int result, const char *sentence))
{
        struct call *call = calloc(1, sizeof(*call));

        if (!call)
                return NULL;
        call->manager = nic->manager;
        call->finish = finish;
        snprintf(call->uuid, sizeof(call->uuid), "%s", nic->domain->uuid);
        snprintf(call->alias, sizeof(call->alias), "%s", nic->alias);
        if (nic->claim)
                snprintf(call->vf_address, sizeof(call->vf_address), "%s", nic->claim->vf_address);
        return call;
}

/* Remembers that the call is under way; `result` is what starting it returned (no answer comes when it failed). */
static int call_started(struct manager_nic *nic, struct call *call, enum failover_call kind, int result)
{
        if (result < 0)
                call_free(call);
        else
                nic->facts.call = kind;
        return result;
}

/* A call that needs the VF's PF on its worker thread. */
static struct call *call_new_with_pf(struct manager_nic *nic, struct pf *pf,
                                     void (*finish)(struct manager_nic *nic, const struct call *call, int result,
                                                    const char *sentence))
{
        struct call *call = call_new(nic, finish);

        if (call) {
                call->pf = pf;
                opened_pfs_hold(nic->manager, pf);
        }
        return call;
}

static void sleep_usec(uint64_t usec)
{
        const struct timespec pause = { .tv_sec = (time_t) (usec / USEC_PER_SEC),
                                        .tv_nsec = (long) (usec % USEC_PER_SEC) * 1000 };

        nanosleep(&pause, NULL);
}

/* 0, or -EBUSY: somebody has the VF open, or may have it: where that cannot be found out. */
static int check_closed(const struct call *call, struct vswitch_error *error)
{
        bool is_open = false;
        int r = pf_vf_is_open(call->vf_address, &is_open, error);

        if (r == -ENODEV)
                return 0; /* what is not there nobody has open */
        if (r < 0)
                return vswitch_error_prefix(error, -EBUSY, "VF %s may still be open", call->vf_address);
        return is_open ? vswitch_error_set(error, -EBUSY, "VF %s is still open", call->vf_address) : 0;
}

/* A QEMU that has closed the device keeps the group open for as long as it takes to unpin the guest's memory. That is
 * a moment for most; for one that takes longer no thread is kept, see restored(). */
static int await_closed(const struct call *call, struct vswitch_error *error)
{
        int r = check_closed(call, error);

        for (unsigned i = 1; i < CLOSE_LOOKS && r < 0; i++) {
                sleep_usec(CLOSE_PAUSE << (i - 1));
                r = check_closed(call, error);
        }
        return r;
}

/* Runs on a worker: sysfs and /proc only. */
static int work_bind(void *userdata, struct vswitch_error *error)
{
        struct call *call = userdata;
        int r = call->reset ? await_closed(call, error) : 0;

        if (r < 0)
                return r;
        /* A function without a reset of its own is left with what the settings say. */
        if (call->reset)
                r = call->pf->driver->reset(call->pf, call->vf_address, error);
        return r < 0 && r != -EOPNOTSUPP ? r : call->pf->driver->bind(call->pf, call->vf_address, call->driver, error);
}

static void fail(struct manager_nic *nic, enum failover_reason reason, const char *sentence)
{
        log_warning(nic->label, "%s: %s", failover_reason_sentence(reason), sentence);
        actions_give_up(nic, reason);
        snprintf(nic->failure_words, sizeof(nic->failure_words), "%s", sentence);
}

/* ---- claim ---- */

static void claim_failed(struct manager_nic *nic, const struct vswitch_error *error, int result)
{
        actions_give_up(nic, FAILOVER_REASON_CLAIM_FAILED);
        snprintf(nic->failure_words, sizeof(nic->failure_words), "%s", vswitch_error_text(error, result));
}

int actions_claim_vf(struct manager_nic *nic, bool leased, struct vswitch_error *error)
{
        struct manager *manager = nic->manager;
        struct pf_vf_attributes before;
        enum failover_reason reason;
        struct claim claim = { 0 };
        struct pf_vf vf;
        int r;

        reason = vfs_find_free(nic->nic_switch, nic->domain->uuid, &vf, &before);
        if (reason != FAILOVER_REASON_NONE)
                return vswitch_error_set(error, -ENODEV, "%s; %s", failover_reason_sentence(reason),
                                         failover_reason_remedy(reason));
        snprintf(claim.uuid, sizeof(claim.uuid), "%s", nic->domain->uuid);
        snprintf(claim.alias, sizeof(claim.alias), "%s", nic->alias);
        snprintf(claim.domain, sizeof(claim.domain), "%s", nic->domain->name);
        snprintf(claim.pf, sizeof(claim.pf), "%s", nic->nic_switch->pf->name);
        snprintf(claim.vf_address, sizeof(claim.vf_address), "%s", vf.address);
        snprintf(claim.driver_before, sizeof(claim.driver_before), "%s", vf.driver);
        claim.mac = nic->mac;
        claim.vf_index = vf.index;
        claim.leased = leased;
        claim.lease_until = leased ? manager_now(manager) + manager->options.config->lease_timeout_usec : 0;
        claim.before = before;
        /* Both files, or there is no move: from here on there are entries to be found again. */
        r = nic->recorded ? 0 : nics_record(nic, error);
        if (r == 0)
                r = records_change_claim(nic, &claim, error);
        if (r < 0)
                return r;
        nic->facts.attached = FAILOVER_NO;
        nic->tables_stale = true;
        log_info(nic->label, "%s VF %s (%s vf %u)", leased ? "leased" : "claimed", claim.vf_address, claim.pf,
                 claim.vf_index);
        return 0;
}

static int drop_claim(struct manager_nic *nic, struct vswitch_error *error)
{
        int r = claim_store_remove(nic->manager->claims, nic->claim->vf_address, error);

        if (r < 0)
                return r;
        log_info(nic->label, "VF %s is free again", nic->claim->vf_address);
        definitions_vf_freed(nic->manager, nic->claim->vf_address);
        free(nic->claim);
        nic->claim = NULL;
        nic->restores_refused = 0;
        nic->tables_stale = true;
        /* The VF that its owner gave to the guest meanwhile can be taken over now. */
        if (nic->obstacle == FAILOVER_REASON_VF_NOT_OURS)
                guests_refresh(nic->manager->guests, nic->domain->uuid);
        /* Somebody else may be waiting for it. */
        manager_all_dirty(nic->manager, false);
        return 0;
}

/* ---- prepare and restore ---- */

/* The PF of the NIC's VF, in use or no longer, or NULL. */
static struct pf *pf_of_claim(const struct manager_nic *nic, struct vswitch_error *error)
{
        struct pf *pf = opened_pfs_of_claim(nic);

        if (!pf)
                vswitch_error_set(error, -ENODEV, "its VF %s is on %s, which is not beneath switch \"%s\"",
                                  nic->claim->vf_address, nic->claim->pf, nic->nic_switch->config->name);
        return pf;
}

/* Writes what the VF lacks. What the card refuses is an obstacle from then on, not a failure of the move. */
static int program(struct manager_nic *nic, struct vswitch_error *error)
{
        struct pf *pf = pf_of_claim(nic, error);
        struct pf_vf_attributes wanted;
        int r;

        if (!pf)
                return -ENODEV;
        wanted = policies_vf_attributes(nic, &nic->claim->before);
        r = pf->driver->set_attributes(pf, nic->claim->vf_index, &wanted, error);
        nic->tables_stale = true;
        return r < 0 && policies_refused(nic, pf, &wanted, r) ? 0 : r;
}

static void prepared(struct manager_nic *nic, const struct call *call, int result, const char *sentence)
{
        struct vswitch_error error = { 0 };

        if (!nic->claim || strcmp(nic->claim->vf_address, call->vf_address) != 0)
                return;
        if (result == 0) {
                result = program(nic, &error);
                sentence = vswitch_error_text(&error, result);
        }
        if (result < 0)
                fail(nic, FAILOVER_REASON_PREPARE_FAILED, sentence);
}

static int prepare(struct manager_nic *nic, struct vswitch_error *error)
{
        struct pf *pf = pf_of_claim(nic, error);
        struct call *call;
        int r;

        if (!pf)
                return -ENODEV;
        if (!nic->claim->touched) {
                struct claim touched = *nic->claim;

                touched.touched = true;
                r = records_change_claim(nic, &touched, error);
                if (r < 0) {
                        claim_failed(nic, error, r);
                        return r;
                }
        }
        if (nic->facts.attached == FAILOVER_YES)
                return program(nic, error);
        call = call_new_with_pf(nic, pf, prepared);
        if (!call)
                return -ENOMEM;
        snprintf(call->driver, sizeof(call->driver), "vfio-pci");
        return call_started(nic, call, FAILOVER_CALL_PREPARE,
                            guests_run(nic->manager->guests, work_bind, call_done, call));
}

/* The VF is still in use, as it is for long by a QEMU with much memory to unpin. That is no failure of this host: nothing is
 * given up, and it is tried again soon, then ever less often. */
static void restore_again_later(struct manager_nic *nic, const char *sentence)
{
        snprintf(nic->trouble, sizeof(nic->trouble), "cannot %s: %s", failover_action_to_string(FAILOVER_RESTORE_VF),
                 sentence);
        if (nic->restores_refused == 0)
                log_info(nic->label, "%s; tried again until it is closed", nic->trouble);
        failover_progress_refused(&nic->progress, FAILOVER_RESTORE_VF, nic->restores_refused,
                                  manager_now(nic->manager));
        nic->restores_refused++;
        guests_refresh(nic->manager->guests, nic->domain->uuid);
}

static void restored(struct manager_nic *nic, const struct call *call, int result, const char *sentence)
{
        struct vswitch_error error = { 0 };

        if (!nic->claim || strcmp(nic->claim->vf_address, call->vf_address) != 0)
                return;
        if (result == -EBUSY) {
                restore_again_later(nic, sentence);
                return;
        }
        nic->restores_refused = 0;
        if (result < 0) {
                fail(nic, FAILOVER_REASON_RESTORE_FAILED, sentence);
                return;
        }
        nic->claim->touched = false;
        result = records_write_claim(nic, &error);
        if (result < 0)
                log_warning(nic->label, "%s", vswitch_error_text(&error, result));
}

/* Is libvirt still at work on the VF? It is open, or on vfio-pci, or on no driver although `since_unbound` says that it
 * was just taken off vfio-pci: then libvirt is about to look for the host's driver, which may not have one for it. (A
 * few small reads: who has no more than its group open is looked for once, at the end.) */
static bool libvirt_is_at_work(const struct call *call, uint64_t now, uint64_t *since_unbound)
{
        enum pf_vf_use use = PF_VF_NOT_OPEN;
        struct pf_vf vf = { 0 };

        if (pf_vf_use(call->vf_address, NULL, &use, NULL) == 0 && use == PF_VF_OPEN)
                return true;
        if (call->driver[0] != '\0' || call->pf->driver->read_vf(call->pf, call->vf_index, &vf, NULL) < 0)
                return false;
        if (vf.driver[0] != '\0') {
                *since_unbound = 0;
                return strcmp(vf.driver, "vfio-pci") == 0;
        }
        if (*since_unbound == 0)
                *since_unbound = now;
        return now < *since_unbound + LIBVIRT_REBIND_BOUND;
}

/* Runs on a worker: sysfs and /proc only. Waits until libvirt has done with the VF, which it does before or shortly after
 * it tells of the end. One that never does it (the VF was on vfio-pci when the guest got it) is not waited for longer
 * than the bound. */
static int work_await_libvirt(void *userdata, struct vswitch_error *error)
{
        struct call *call = userdata;
        uint64_t begin = manager_now(call->manager), now = begin, since_unbound = 0;

        while (libvirt_is_at_work(call, now, &since_unbound) && now < begin + LIBVIRT_BOUND) {
                sleep_usec(now < begin + LIBVIRT_FAST_BOUND ? LIBVIRT_LOOK_FAST : LIBVIRT_LOOK);
                now = manager_now(call->manager);
        }
        return check_closed(call, error);
}

/* What libvirt has left behind, and what was changed beside it. */
static int clear_adopted(struct manager_nic *nic, struct vswitch_error *error)
{
        const struct pf_vf_attributes *before = &nic->claim->before;
        struct pf_vf_attributes wanted = *before, present = { 0 }, policy = policies_vf_attributes(nic, before);
        struct pf *pf = pf_of_claim(nic, error);
        int r;

        if (!pf)
                return -ENODEV;
        r = pf->driver->read_attributes(pf, nic->claim->vf_index, &present, error);
        if (r < 0)
                return r;
        wanted.valid &= ~(uint32_t) (PF_VF_MAC | PF_VF_VLAN);
        if ((present.valid & PF_VF_MAC) && vswitch_mac_equal(&present.mac, &nic->mac)) {
                wanted.valid |= PF_VF_MAC;
                wanted.mac = (struct vswitch_mac){ 0 };
        }
        /* Another one is what libvirt has given back. */
        if ((present.valid & PF_VF_VLAN) && present.vlan != 0 &&
            (present.vlan == before->vlan || ((policy.valid & PF_VF_VLAN) && present.vlan == policy.vlan))) {
                wanted.valid |= PF_VF_VLAN;
                wanted.vlan = 0;
                wanted.qos = 0;
        }
        return pf->driver->set_attributes(pf, nic->claim->vf_index, &wanted, error);
}

/* libvirt does not rebind a VF that it has once had unmanaged, and not one that was on vfio-pci before. Which of the two it
 * is cannot be told, so nothing is done about it. */
static void tell_of_driver(const struct manager_nic *nic, const struct call *call)
{
        unsigned domain, bus, slot, function;
        struct pf_vf vf = { 0 };

        if (call->driver[0] != '\0' || call->pf->driver->read_vf(call->pf, call->vf_index, &vf, NULL) < 0 ||
            strcmp(vf.driver, "vfio-pci") != 0 ||
            sscanf(vf.address, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
                return;
        log_notice(nic->label,
                   "libvirt has left VF %s on vfio-pci, ready for the next guest; to give it to the host's driver: "
                   "virsh nodedev-reattach pci_%04x_%02x_%02x_%x",
                   vf.address, domain, bus, slot, function);
}

static void libvirt_is_done(struct manager_nic *nic, const struct call *call, int result, const char *sentence)
{
        struct vswitch_error error = { 0 };

        if (nic->claim && strcmp(nic->claim->vf_address, call->vf_address) == 0 && result == 0) {
                tell_of_driver(nic, call);
                result = clear_adopted(nic, &error);
                sentence = vswitch_error_text(&error, result);
        }
        restored(nic, call, result, sentence);
}

/* libvirt gives the VF back, MAC, VLAN and driver; after it only what it has left behind is cleared. */
static int give_back_adopted(struct manager_nic *nic, struct pf *pf)
{
        struct call *call = call_new_with_pf(nic, pf, libvirt_is_done);

        if (!call)
                return -ENOMEM;
        call->vf_index = nic->claim->vf_index;
        snprintf(call->driver, sizeof(call->driver), "%s", nic->claim->driver_before);
        return call_started(nic, call, FAILOVER_CALL_RESTORE,
                            guests_run(nic->manager->guests, work_await_libvirt, call_done, call));
}

static int restore(struct manager_nic *nic, struct vswitch_error *error)
{
        struct pf *pf = pf_of_claim(nic, error);
        enum pf_vf_use use;
        struct call *call;
        int r;

        if (!pf)
                return -ENODEV;
        if (nic->claim->adopted)
                return give_back_adopted(nic, pf);
        /* Whatever the facts say: a VF that somebody drives is not reset under him. QEMU closes it a moment after it
         * has told of the removal, so this may well be gone at the next try. (Who has no more than its group open is
         * looked for by the worker.) */
        if (pf_vf_use(nic->claim->vf_address, NULL, &use, NULL) == 0 && use == PF_VF_OPEN) {
                guests_refresh(nic->manager->guests, nic->domain->uuid);
                return vswitch_error_set(error, -EBUSY, "VF %s is still open", nic->claim->vf_address);
        }
        r = pf->driver->set_attributes(pf, nic->claim->vf_index, &nic->claim->before, error);
        if (r < 0) {
                actions_give_up(nic, FAILOVER_REASON_RESTORE_FAILED);
                return r;
        }
        call = call_new_with_pf(nic, pf, restored);
        if (!call)
                return -ENOMEM;
        snprintf(call->driver, sizeof(call->driver), "%s", nic->claim->driver_before);
        call->reset = true;
        return call_started(nic, call, FAILOVER_CALL_RESTORE,
                            guests_run(nic->manager->guests, work_bind, call_done, call));
}

/* ---- attach and detach ---- */

/* libvirt takes only names with this prefix from others. */
static bool is_user_alias(const char *alias)
{
        return strncmp(alias, "ua-", 3) == 0;
}

static void attached(struct manager_nic *nic, const struct call *call, int result, const char *sentence)
{
        /* QEMU keeps the name of a virtio NIC's first primary for as long as it lives (failover_find_primary_device). */
        if (result == -ENOTCONN || result == -ETIMEDOUT || result == -ECANCELED) {
                /* It may have been done all the same. */
                nic->facts.attached = FAILOVER_UNKNOWN;
                log_warning(nic->label, "libvirt did not say whether the VF is attached: %s", sentence);
        } else if (result < 0) {
                /* It may have it from a call of an earlier daemon; the next snapshot tells. */
                nic->facts.attached = FAILOVER_UNKNOWN;
                fail(nic,
                     strstr(sentence, "more than one primary device") ? FAILOVER_REASON_ANOTHER_PRIMARY
                                                                      : FAILOVER_REASON_ATTACH_FAILED,
                     sentence);
        } else {
                nic->facts.attached = FAILOVER_YES;
                nic->facts.attached_since = manager_now(nic->manager);
                log_info(nic->label, "VF %s is attached, waiting for the guest's driver", call->vf_address);
        }
        guests_refresh(nic->manager->guests, nic->domain->uuid);
}

static int attach(struct manager_nic *nic, struct vswitch_error *error)
{
        char *xml = NULL;
        struct call *call;
        int r;

        r = guest_vf_device_xml(is_user_alias(nic->vf_alias) ? nic->vf_alias : NULL, nic->claim->vf_address, nic->alias,
                                &xml);
        if (r < 0)
                return r;
        call = call_new(nic, attached);
        if (!call) {
                free(xml);
                return -ENOMEM;
        }
        r = guests_attach(nic->manager->guests, nic->domain->uuid, xml, call_done, call);
        free(xml);
        return call_started(nic, call, FAILOVER_CALL_ATTACH, r);
}

static void detach_asked(struct manager_nic *nic, const struct call *call, int result, const char *sentence)
{
        if (result == -ENOENT)
                log_info(nic->label, "libvirt has no VF there any more");
        else if (result < 0)
                log_warning(nic->label, "cannot ask the guest to unplug its VF: %s", sentence);
        if (result < 0)
                guests_refresh(nic->manager->guests, nic->domain->uuid);
}

static int detach(struct manager_nic *nic, struct vswitch_error *error)
{
        struct call *call = call_new(nic, detach_asked);

        if (!call)
                return -ENOMEM;
        failover_unplug_asked(&nic->facts, manager_now(nic->manager));
        return call_started(nic, call, FAILOVER_CALL_DETACH,
                            guests_detach(nic->manager->guests, nic->domain->uuid, nic->vf_alias, call_done, call));
}

/* ---- tables ---- */

static int set_vf_mac(struct manager_nic *nic, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        struct pf_vf_attributes wanted = { .valid = PF_VF_MAC, .mac = *mac };
        struct pf *pf = pf_of_claim(nic, error);

        return !pf ? -ENODEV : pf->driver->set_attributes(pf, nic->claim->vf_index, &wanted, error);
}

static int unpin(struct manager_nic *nic, struct vswitch_error *error)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        int ifindex = nic->facts.pin == FAILOVER_PIN_UPLINK ? nic->nic_switch->uplink.ifindex : nic->tap_ifindex;

        return softswitch->driver->unpin(softswitch, &nic->mac, nic->bridge_vlan, ifindex, error);
}

/* On every PF that the filter belongs to, and on no other; what one of them refuses does not keep the others from it. */
static int set_uplink_filters(struct manager_nic *nic, bool wanted, struct vswitch_error *error)
{
        struct manager_switch *nic_switch = nic->nic_switch;
        int result = 0;

        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                struct pf *pf = nic_switch->pfs[i].pf;
                bool here = wanted && facts_filter_belongs(nic, pf);
                int r;

                if (here)
                        (void) neighbours_make_room(nic_switch, pf, false);
                r = here ? pf->driver->uplink_filter_add(pf, &nic->mac, error)
                         : pf->driver->uplink_filter_remove(pf, &nic->mac, error);
                if (here && (r == -ENOMEM || r == -ENOSPC) && neighbours_make_room(nic_switch, pf, true))
                        r = pf->driver->uplink_filter_add(pf, &nic->mac, error);
                result = result < 0 ? result : r;
        }
        return result;
}

/* A guest gets its frames by its tap also while there is no way out of the switch. */
static bool needs_uplink(enum failover_action action)
{
        return action == FAILOVER_ADD_COPY_RULE || action == FAILOVER_REMOVE_COPY_RULE ||
               action == FAILOVER_PIN_TO_UPLINK || action == FAILOVER_ANNOUNCE;
}

static void table_is(enum failover_known *fact, bool there, bool *partly)
{
        *fact = there ? FAILOVER_YES : FAILOVER_NO;
        *partly = false;
}

/* Whose doing it is cannot be seen, so the record says it: from before it is done until it is undone. */
static void set_made_router(struct manager_nic *nic, bool made)
{
        if (nic->made_router == made)
                return;
        nic->made_router = made;
        nic->recorded = false;
}

static int execute_table(struct manager_nic *nic, enum failover_action action, struct vswitch_error *error)
{
        static const struct vswitch_mac zero_mac;
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        struct failover_facts *facts = &nic->facts;
        int uplink = nic->nic_switch->uplink.ifindex;
        int r;

        if (!softswitch || (!uplink && needs_uplink(action)))
                return vswitch_error_set(error, -ENODEV, "switch \"%s\" is not complete: %s",
                                         nic->nic_switch->config->name, nic->nic_switch->sentence);
        switch (action) {
        case FAILOVER_ADD_VF_FILTER:
        case FAILOVER_REMOVE_VF_FILTER:
                r = set_vf_mac(nic, action == FAILOVER_ADD_VF_FILTER ? &nic->mac : &zero_mac, error);
                if (r == 0)
                        facts->vf_filter = action == FAILOVER_ADD_VF_FILTER ? FAILOVER_YES : FAILOVER_NO;
                return r;
        case FAILOVER_ADD_UPLINK_FILTER:
                r = set_uplink_filters(nic, true, error);
                if (r == 0)
                        table_is(&facts->uplink_filter, true, &nic->uplink_filter_partly);
                return r;
        case FAILOVER_REMOVE_UPLINK_FILTER:
                r = set_uplink_filters(nic, false, error);
                if (r == 0)
                        table_is(&facts->uplink_filter, false, &nic->uplink_filter_partly);
                return r;
        case FAILOVER_ADD_COPY_RULE:
                r = softswitch->driver->copy_add(softswitch, &nic->mac, nic->port_vlan, uplink, nic->tap_ifindex,
                                                 !nic->nic_switch->reflects, error);
                if (r == 0)
                        table_is(&facts->copy_rule, true, &nic->copy_rule_partly);
                return r;
        case FAILOVER_REMOVE_COPY_RULE:
                r = softswitch->driver->copy_remove(softswitch, &nic->mac, nic->port_vlan, uplink, error);
                if (r == 0)
                        table_is(&facts->copy_rule, false, &nic->copy_rule_partly);
                return r;
        case FAILOVER_ADD_MULTICAST_ROUTER:
        case FAILOVER_REMOVE_MULTICAST_ROUTER:
                r = softswitch->driver->set_multicast_router(softswitch, nic->tap_ifindex,
                                                             action == FAILOVER_ADD_MULTICAST_ROUTER, error);
                if (r == 0)
                        facts->multicast_router = action == FAILOVER_ADD_MULTICAST_ROUTER ? FAILOVER_YES : FAILOVER_NO;
                if (r == 0 && action == FAILOVER_REMOVE_MULTICAST_ROUTER)
                        set_made_router(nic, false);
                return r;
        case FAILOVER_PIN_TO_TAP:
                r = softswitch->driver->pin(softswitch, &nic->mac, nic->bridge_vlan, nic->tap_ifindex, error);
                if (r == 0)
                        facts->pin = FAILOVER_PIN_TAP;
                return r;
        case FAILOVER_PIN_TO_UPLINK:
                r = softswitch->driver->pin(softswitch, &nic->mac, nic->bridge_vlan, uplink, error);
                if (r == 0)
                        facts->pin = FAILOVER_PIN_UPLINK;
                return r;
        case FAILOVER_UNPIN:
                r = unpin(nic, error);
                if (r == 0)
                        facts->pin = FAILOVER_PIN_NONE;
                return r;
        case FAILOVER_ANNOUNCE:
                /* Once, and never in the way of anything: the guest's first own frame tells the wire too. */
                facts->announce_wanted = false;
                r = softswitch->driver->announce(softswitch, &nic->mac, nic->bridge_vlan, uplink, error);
                if (r < 0)
                        log_warning(nic->label, "cannot announce its MAC: %s", vswitch_error_text(error, r));
                return 0;
        default:
                return -EINVAL;
        }
}

static bool adds_to_a_shared_table(enum failover_action action)
{
        return action == FAILOVER_ADD_UPLINK_FILTER || action == FAILOVER_ADD_COPY_RULE ||
               action == FAILOVER_ADD_MULTICAST_ROUTER || action == FAILOVER_PIN_TO_TAP ||
               action == FAILOVER_PIN_TO_UPLINK;
}

int actions_execute(struct manager_nic *nic, enum failover_action action, struct vswitch_error *error)
{
        log_debug(nic->label, "%s", failover_action_to_string(action));
        switch (action) {
        case FAILOVER_CLAIM_VF: {
                int r = actions_claim_vf(nic, false, error);

                if (r < 0 && r != -ENODEV)
                        claim_failed(nic, error, r);
                return r;
        }
        case FAILOVER_PREPARE_VF:
                return prepare(nic, error);
        case FAILOVER_ATTACH_VF:
                return attach(nic, error);
        case FAILOVER_DETACH_VF:
                return detach(nic, error);
        case FAILOVER_RESTORE_VF:
                return restore(nic, error);
        case FAILOVER_DROP_CLAIM:
                return drop_claim(nic, error);
        default:
                break;
        }
        if (action == FAILOVER_ADD_MULTICAST_ROUTER)
                set_made_router(nic, true);
        /* A full /run stops new moves, but a guest is not left deaf for it: records_keep() says so and tries again. */
        if (adds_to_a_shared_table(action) && !nic->recorded && nic->records_retry_at == 0)
                (void) nics_record(nic, NULL);
        return execute_table(nic, action, error);
}

void actions_give_up(struct manager_nic *nic, enum failover_reason reason)
{
        uint64_t now = manager_now(nic->manager);
        uint64_t back_off = nic->manager->options.config->back_off_usec
                            << (nic->failures < BACK_OFF_DOUBLINGS ? nic->failures : BACK_OFF_DOUBLINGS);

        failover_give_up(&nic->facts, reason, now, back_off);
        nic->failures++;
        nic->failed_realtime = manager_realtime();
        nic->failure_words[0] = '\0';
        nic->manager->moves_failed++;
        arbiter_move_failed(nic->manager, reason);
        log_warning(nic->label, "%s; tried again in %llu s. %s%s", failover_reason_sentence(reason),
                    (unsigned long long) (back_off / USEC_PER_SEC),
                    failover_reason_remedy(reason)[0] ? "What helps: " : "", failover_reason_remedy(reason));
        if (nic->manager->control)
                control_event(nic->manager->control, "warning", nic->label, failover_reason_sentence(reason));
        manager_nic_dirty(nic);
}
