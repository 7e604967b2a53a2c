/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * The rules below are tried from top to bottom; the first whose condition holds says what the situation is, which
 * tables belong to it and which step may be taken. The order matters and is the design:
 *
 *   1. What is not known keeps what is there, except that a guest whose VF driver is seen to be gone gets its
 *      synthetic path back at once: that needs nobody's word.
 *   2. A guest that does not run here is in no table of this host. It is put in when its state is loaded (it has
 *      stopped on the other host, so nobody is deaf in between) and taken out when it stops here.
 *   3. While a migration is going out, QEMU plugs and unplugs; only the tables follow.
 *   4. Otherwise the NIC is walked towards the wanted path, one observable step at a time:
 *
 *        synthetic -> preparing -> offering -> on-vf           (acquire)
 *        on-vf -> withdrawing -> withdrawn -> returning -> synthetic  (release)
 *
 * The guest decides when it changes over: net_failover drops what arrives on the standby while a primary is
 * registered and accepts it the moment there is none. Between "the guest may open the VF now" and "it has" both
 * paths deliver, so the guest always gets exactly one copy it accepts.
 */

#include "failover/failover.h"

/* Facts, policy and time with what several rules ask of them. */
struct view {
        const struct failover_facts *facts;
        const struct failover_policy *policy;
        uint64_t now;
        bool wants_vf;
        enum failover_reason reason; /* why it does not want, or cannot have, a VF */
};

static bool view_has_claim(const struct view *view)
{
        return view->facts->claim != FAILOVER_CLAIM_NONE;
}

static bool view_vectors_seen(const struct view *view)
{
        return view->facts->vectors == FAILOVER_YES;
}

/* Does this guest run on this host, so that its frames must reach it here? */
static bool view_runs_here(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_RUNNING || view->facts->guest == FAILOVER_GUEST_PAUSED;
}

/* How often to look for a VF while there is none. */
#define LOOK_FOR_VF_INTERVAL (30 * 1000000ull)

/* ---- tables ---- */

static const struct failover_tables tables_none = { .pin = FAILOVER_PIN_NONE };

/* A MAC that two guests have is pinned to neither of them: learning follows whoever speaks, as without us. */
static struct failover_tables tables_synthetic(const struct view *view)
{
        bool pinned = view->facts->tap_present && view->facts->obstacle != FAILOVER_REASON_DUPLICATE_MAC;

        return (struct failover_tables){
                .uplink_filter = view->facts->uplink_present,
                .pin = pinned ? FAILOVER_PIN_TAP : FAILOVER_PIN_NONE,
        };
}

static struct failover_tables tables_on_vf(const struct view *view)
{
        /* The VF of a card by which nothing comes any more: what comes is for the tap. */
        if (view->facts->obstacle == FAILOVER_REASON_UPLINK_NOT_ACTIVE)
                return tables_synthetic(view);
        return (struct failover_tables){ .vf_filter = true, .multicast_router = true, .pin = FAILOVER_PIN_UPLINK };
}

/* Both paths, before the guest has opened the VF. Every steering class gets both filters: the VF needs its MAC
 * before the guest's driver asks for it, and the PF's filter is what still delivers where the PF wins. */
static struct failover_tables tables_offering(const struct view *view)
{
        return (struct failover_tables){
                .vf_filter = true,
                .uplink_filter = true,
                .copy_rule = view->facts->tap_present,
                .multicast_router = true,
                /* A port without carrier forwards nothing, so no copy would be made there. */
                .pin = view->facts->uplink_up || !view->facts->tap_present ? FAILOVER_PIN_UPLINK : FAILOVER_PIN_TAP,
        };
}

/* Both paths, while the guest still has the VF open. Where the PF would win, its filter would cut the VF off: there
 * (and where it is not known) the filter has to wait for the instant the vectors vanish; the copy rule serves the
 * senders on the same switch in every class. */
static struct failover_tables tables_withdrawing(const struct view *view)
{
        struct failover_tables tables = tables_offering(view);

        /* The filter is on other cards than the VF then. A card that is only not the active one of a bond still has its
         * cable: what leaves by the active one can reach the VF over the wire. */
        if (view->facts->obstacle == FAILOVER_REASON_UPLINK_NOT_ACTIVE)
                return tables;
        /* A guest that sends by its standby listens there too. */
        tables.uplink_filter = view->facts->steering == FAILOVER_STEERING_BOTH || view->facts->sends_on_tap;
        return tables;
}

/* The guest has let go, QEMU has not: the VF keeps its MAC where that harms nobody, because a migration that is
 * cancelled makes QEMU plug it back at once, and a VF without its MAC would come up alone and never pair. */
static struct failover_tables tables_withdrawn(const struct view *view)
{
        struct failover_tables tables = tables_synthetic(view);

        tables.vf_filter =
                view->facts->steering == FAILOVER_STEERING_BOTH || view->facts->steering == FAILOVER_STEERING_PF_WINS;
        return tables;
}

/* A guest that listens to a VF that leads nowhere: what still comes is offered on both paths, should it listen to its
 * standby after all. The VF keeps its MAC for the moment when its card is back. */
static struct failover_tables tables_isolated(const struct view *view)
{
        struct failover_tables tables;

        if (!view->facts->uplink_present || view->facts->vf_gone || view->facts->vf_filter == FAILOVER_NO)
                return tables_synthetic(view);
        tables = tables_withdrawing(view);
        tables.pin = tables_synthetic(view).pin; /* neither the bridge's port nor the wire leads to the VF */
        return tables;
}

/* ---- small steps ---- */

static void decision_add(struct failover_decision *decision, enum failover_action action)
{
        decision->actions[decision->actions_count++] = action;
}

static void decision_wait_until(struct failover_decision *decision, uint64_t when)
{
        if (when < decision->deadline)
                decision->deadline = when;
}

/* One step at a time: while a call is under way its answer comes first. */
static void decision_step(const struct view *view, struct failover_decision *decision, enum failover_action action)
{
        if (view->facts->call == FAILOVER_CALL_NONE)
                decision_add(decision, action);
}

/* The VF is in the guest and not programmed as it should be: what the guest may do has changed. */
static void step_program(const struct view *view, struct failover_decision *decision)
{
        if (view_has_claim(view) && view->facts->attached == FAILOVER_YES && view->facts->prepared == FAILOVER_NO)
                decision_step(view, decision, FAILOVER_PREPARE_VF);
}

/* The VF is not in the guest any more (or never was): settings from before, then the claim goes. */
static void step_give_back(const struct view *view, struct failover_decision *decision)
{
        if (!view_has_claim(view) || view->facts->attached != FAILOVER_NO)
                return;
        if (!view->facts->touched && view->facts->vf_filter != FAILOVER_YES)
                decision_step(view, decision, FAILOVER_DROP_CLAIM);
        else if (view->facts->failure == FAILOVER_REASON_RESTORE_FAILED && view->now < view->facts->back_off_until)
                decision_wait_until(decision, view->facts->back_off_until);
        else
                decision_step(view, decision, FAILOVER_RESTORE_VF);
}

/* Ask the guest to let go; ask again; then give up for a while. */
static void step_ask_to_unplug(const struct view *view, struct failover_decision *decision)
{
        const struct failover_facts *facts = view->facts;

        if (view->facts->call != FAILOVER_CALL_NONE)
                return;
        if (facts->unplug_asked == 0) {
                decision_add(decision, FAILOVER_DETACH_VF);
                return;
        }
        if (view->now < facts->unplug_asked + view->policy->unplug_timeout) {
                decision_wait_until(decision, facts->unplug_asked + view->policy->unplug_timeout);
                return;
        }
        if (facts->unplug_attempts < view->policy->unplug_attempts)
                decision_add(decision, FAILOVER_DETACH_VF);
        else
                decision->give_up = FAILOVER_REASON_UNPLUG_REFUSED;
}

/* ---- rules ---- */

static bool when_unknown_and_vf_gone(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_UNKNOWN && view->facts->claim == FAILOVER_CLAIM_CLAIMED &&
               view->facts->vectors == FAILOVER_NO && view->facts->pin == FAILOVER_PIN_UPLINK &&
               view->facts->tap_present && view->facts->uplink_present;
}

static void then_unknown_and_vf_gone(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_offering(view);
        decision->reason = FAILOVER_REASON_GUEST_UNKNOWN;
        decision->watch_vectors = true;
}

static bool when_unknown(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_UNKNOWN;
}

static void then_unknown(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_GUEST_UNKNOWN;
}

static bool when_lease_waits(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_EXPECTED && view->facts->claim == FAILOVER_CLAIM_LEASED &&
               view->now < view->facts->lease_until;
}

static void then_lease_waits(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_GUEST_ARRIVING;
        decision_wait_until(decision, view->facts->lease_until);
        if (view->facts->prepared == FAILOVER_NO && view->now >= view->facts->back_off_until)
                decision_step(view, decision, FAILOVER_PREPARE_VF);
}

static bool has_vf(const struct view *view)
{
        return view_has_claim(view) && view->facts->attached == FAILOVER_YES;
}

/* Nobody can take a VF away from a guest: it is asked, and when it does not obey it keeps the VF. Then its standby is
 * deaf, and it lives by the VF's card. Vectors cannot be read when the VF went with its card. */
static bool when_isolated(const struct view *view)
{
        const struct failover_facts *facts = view->facts;
        bool may_drive = view_vectors_seen(view) ||
                         (facts->vectors == FAILOVER_UNKNOWN && (facts->vf_gone || !facts->uplink_present));
        /* What nobody wants to be reached, or listens to its standby, is not cut off. */
        bool misses_frames = facts->obstacle != FAILOVER_REASON_NIC_GONE &&
                             facts->obstacle != FAILOVER_REASON_LINK_DOWN && !facts->sends_on_tap;

        return view_runs_here(view) && has_vf(view) && may_drive && misses_frames && facts->unplug_refused &&
               facts->pf_dead;
}

/* Asked again and again: a guest that was repaired obeys. A link that returns ends it, too. It may last for hours, so its
 * vectors are looked at often only while it has been asked. */
static void then_isolated(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_isolated(view);
        decision->reason = FAILOVER_REASON_ISOLATED;
        if (view->facts->outgoing || view->facts->guest != FAILOVER_GUEST_RUNNING)
                return;
        if (view->now < view->facts->unplug_refused_until) {
                decision_wait_until(decision, view->facts->unplug_refused_until);
                return;
        }
        decision->watch_vectors = true;
        step_ask_to_unplug(view, decision);
}

/* Its name goes first; the VF itself goes when QEMU has let go of it. As long as a guest that runs here drives it, it is
 * a VF like any other that is not wanted. */
static bool when_vf_gone(const struct view *view)
{
        bool in_use = view_runs_here(view) && has_vf(view) && view_vectors_seen(view);

        return view->facts->vf_gone && view_has_claim(view) && !in_use;
}

/* A new VF at the same address is another VF: nothing is claimed before QEMU has let go of the old one. */
static void then_vf_gone(const struct view *view, struct failover_decision *decision)
{
        if (view_runs_here(view) || view->facts->guest == FAILOVER_GUEST_LOADED)
                decision->tables = tables_synthetic(view);
        if (view->facts->attached == FAILOVER_NO)
                decision_step(view, decision, FAILOVER_DROP_CLAIM);
        else if (!view_runs_here(view))
                return;
        else if (view->now < view->facts->unplug_refused_until)
                decision_wait_until(decision, view->facts->unplug_refused_until);
        else if (view->facts->attached == FAILOVER_YES && !view->facts->outgoing)
                step_ask_to_unplug(view, decision);
}

static bool when_absent(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_ABSENT || view->facts->guest == FAILOVER_GUEST_EXPECTED;
}

static void then_absent(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_GUEST_OFF;
        step_give_back(view, decision);
}

static bool when_incoming(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_INCOMING;
}

static void then_incoming(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_GUEST_ARRIVING;
        step_program(view, decision);
}

static bool when_loaded(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_LOADED;
}

static void then_loaded(const struct view *view, struct failover_decision *decision)
{
        /* Not heard yet: it was announced with one. */
        bool brings_vf = view_has_claim(view) && view->facts->attached != FAILOVER_NO;

        decision->tables = brings_vf ? tables_offering(view) : tables_synthetic(view);
        decision->reason = FAILOVER_REASON_GUEST_ARRIVING;
        decision->watch_vectors = brings_vf;
        step_program(view, decision);
}

static bool when_handed_over(const struct view *view)
{
        return view->facts->guest == FAILOVER_GUEST_HANDED_OVER;
}

static void then_handed_over(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_GUEST_LEAVING;
}

static bool when_not_ours(const struct view *view)
{
        return view->facts->obstacle == FAILOVER_REASON_VF_NOT_OURS && !view_has_claim(view);
}

static void then_not_ours(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_VF_NOT_OURS;
}

static bool when_attachment_unknown(const struct view *view)
{
        return view_has_claim(view) && view->facts->uplink_present &&
               (view->facts->attached == FAILOVER_UNKNOWN ||
                (view->facts->attached == FAILOVER_YES && view->facts->vectors == FAILOVER_UNKNOWN));
}

static void then_attachment_unknown(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_GUEST_UNKNOWN;
}

/* From here on the guest runs here, and it is known whether it has the VF and drives it. */

/* The guest drives the VF, and the VF does not have its MAC: somebody took it away, or the guest was faster than we.
 * Either net_failover did not take the VF, then the guest listens to its standby; or it did, then it hears nothing until
 * it lets go. The MAC cannot be set now, so the guest has to let go and gets the VF again. */
static bool when_without_mac(const struct view *view)
{
        bool found_none = view->facts->probed && view->facts->guest == FAILOVER_GUEST_RUNNING;

        /* A driver that has found no MAC has made one up: such a VF never becomes the NIC's primary. */
        return has_vf(view) && (view_vectors_seen(view) || found_none) && view->facts->vf_filter == FAILOVER_NO;
}

static void then_without_mac(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_synthetic(view);
        decision->reason = FAILOVER_REASON_VF_WITHOUT_MAC;
        decision->watch_vectors = true;
        if (view->facts->outgoing || view->facts->guest != FAILOVER_GUEST_RUNNING)
                return;
        if (view->now < view->facts->unplug_refused_until)
                decision_wait_until(decision, view->facts->unplug_refused_until);
        else
                step_ask_to_unplug(view, decision);
}

static bool when_leaving_asked(const struct view *view)
{
        return view->facts->outgoing && has_vf(view) && view_vectors_seen(view) && view->facts->unplug_asked_by_qemu;
}

static void then_leaving_asked(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_withdrawing(view);
        decision->reason = FAILOVER_REASON_GUEST_LEAVING;
        decision->watch_vectors = true;
}

static bool when_leaving_gone(const struct view *view)
{
        return view->facts->outgoing && has_vf(view) && !view_vectors_seen(view);
}

static void then_leaving_gone(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_withdrawn(view);
        decision->reason = FAILOVER_REASON_GUEST_LEAVING;
        decision->watch_vectors = true; /* a cancelled migration brings the VF back without asking us */
}

/* Some drivers reset a VF whose VLAN, trust or spoof check is changed. So the guest lets go of it first and gets it back
 * as it should be. What a guest that refuses may do is not for the guest to decide: then it is changed under it. */
static bool must_let_go(const struct view *view)
{
        return view->facts->prepared == FAILOVER_NO && !view->facts->settable_in_use && !view->facts->outgoing &&
               view->facts->guest == FAILOVER_GUEST_RUNNING && view->now >= view->facts->unplug_refused_until;
}

static uint64_t latest(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* Time in which a guest stood still does not count. */
static uint64_t obeys_until(const struct view *view)
{
        return latest(view->facts->unplug_asked, view->facts->guest_since) + view->policy->unplug_timeout;
}

/* It was asked to let go, and now may keep the VF, or stands still: but it may obey at any moment that it runs, and
 * cannot be told. */
static bool may_yet_let_go(const struct view *view)
{
        bool stands_still = view->facts->guest == FAILOVER_GUEST_PAUSED;

        return view->facts->unplug_asked != 0 && (stands_still || (view->wants_vf && view->now < obeys_until(view)));
}

static bool when_on_vf(const struct view *view)
{
        return has_vf(view) && view_vectors_seen(view) && !must_let_go(view) && !may_yet_let_go(view) &&
               (view->wants_vf || view->facts->outgoing || view->facts->guest == FAILOVER_GUEST_PAUSED ||
                (view->now < view->facts->unplug_refused_until && !view->facts->sends_on_tap));
}

static void then_on_vf(const struct view *view, struct failover_decision *decision)
{
        uint64_t since =
                view->facts->on_vf_since ? latest(view->facts->on_vf_since, view->facts->guest_since) : view->now;
        uint64_t confirmed = since + view->policy->confirm_window;

        decision->tables = tables_on_vf(view);
        /* Without an offer before it (a VF that came back in the middle of a migration), the pin turns under a copy. */
        if (decision->tables.pin == FAILOVER_PIN_UPLINK && view->facts->pin == FAILOVER_PIN_TAP)
                decision->tables.copy_rule = view->facts->tap_present;
        /* A port without carrier forwards nothing: nothing is turned to it. */
        if (!view->facts->uplink_up && view->facts->pin == FAILOVER_PIN_TAP)
                decision->tables.pin = FAILOVER_PIN_TAP;
        decision->reason = FAILOVER_REASON_NONE;
        if (!view->wants_vf && view->now < view->facts->unplug_refused_until) {
                decision->reason = FAILOVER_REASON_UNPLUG_REFUSED;
                decision_wait_until(decision, view->facts->unplug_refused_until);
        }
        if (view->facts->settable_in_use || view->now < view->facts->unplug_refused_until)
                step_program(view, decision);
        /* A guest whose VF has no carrier sends by its standby. */
        if (view->facts->outgoing || !view->facts->uplink_up || view->now >= confirmed)
                return;
        decision->watch_tap = true;
        decision_wait_until(decision, confirmed);
}

static bool when_withdrawing(const struct view *view)
{
        return has_vf(view) && view_vectors_seen(view);
}

static void then_withdrawing(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_withdrawing(view);
        if (view->wants_vf)
                decision->reason = FAILOVER_REASON_MOVING;
        if (view->facts->guest == FAILOVER_GUEST_PAUSED)
                return;
        decision->watch_vectors = true;
        if (view->facts->sends_on_tap && view->now >= view->facts->back_off_until)
                decision->give_up = FAILOVER_REASON_GUEST_DOES_NOT_USE_VF;
        else if (view->now < view->facts->unplug_refused_until)
                decision_wait_until(decision, view->facts->unplug_refused_until);
        else if (may_yet_let_go(view))
                decision_wait_until(decision, obeys_until(view));
        else
                step_ask_to_unplug(view, decision);
}

static bool when_offering(const struct view *view)
{
        return has_vf(view) && (view->wants_vf || view->facts->guest == FAILOVER_GUEST_PAUSED);
}

static void then_offering(const struct view *view, struct failover_decision *decision)
{
        const struct failover_facts *facts = view->facts;
        uint64_t since = latest(latest(facts->attached_since, facts->vectors_since), facts->guest_since);
        uint64_t until = since + (facts->standby == FAILOVER_YES ? view->policy->guest_driver_timeout
                                                                 : view->policy->guest_boot_timeout);

        decision->tables = tables_offering(view);
        decision->reason = FAILOVER_REASON_MOVING;
        decision->watch_vectors = true;
        step_program(view, decision);
        if (facts->guest == FAILOVER_GUEST_PAUSED || facts->call != FAILOVER_CALL_NONE)
                return;
        if (view->now < until)
                decision_wait_until(decision, until);
        else
                decision->give_up = FAILOVER_REASON_GUEST_DRIVER_MISSING;
}

static bool when_withdrawn(const struct view *view)
{
        return has_vf(view);
}

static void then_withdrawn(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_withdrawn(view);
        decision->watch_vectors = true;
        if (view->now < view->facts->unplug_refused_until)
                decision_wait_until(decision, view->facts->unplug_refused_until);
        else
                step_ask_to_unplug(view, decision);
}

static bool when_attaching(const struct view *view)
{
        return view_has_claim(view) && view->facts->call == FAILOVER_CALL_ATTACH;
}

static void then_attaching(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_offering(view);
        decision->reason = FAILOVER_REASON_MOVING;
        decision->watch_vectors = true;
}

static bool when_returning(const struct view *view)
{
        return view_has_claim(view) && (!view->wants_vf || view->facts->outgoing);
}

static void then_returning(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_synthetic(view);
        step_give_back(view, decision);
}

static bool when_preparing(const struct view *view)
{
        return view_has_claim(view) && view->facts->prepared != FAILOVER_YES;
}

static void then_preparing(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_synthetic(view);
        decision->reason = FAILOVER_REASON_MOVING;
        if (view->facts->prepared == FAILOVER_NO)
                decision_step(view, decision, FAILOVER_PREPARE_VF);
}

static bool when_ready_to_attach(const struct view *view)
{
        return view_has_claim(view) && view->facts->guest == FAILOVER_GUEST_RUNNING;
}

static void then_ready_to_attach(const struct view *view, struct failover_decision *decision)
{
        decision->reason = FAILOVER_REASON_MOVING;
        if (view->facts->call != FAILOVER_CALL_NONE) {
                decision->tables = tables_synthetic(view);
                return;
        }
        decision->tables = tables_offering(view);
        decision->watch_vectors = true;
        decision_add(decision, FAILOVER_ATTACH_VF);
}

static bool when_claiming(const struct view *view)
{
        return view->wants_vf && view->facts->guest == FAILOVER_GUEST_RUNNING && !view->facts->outgoing &&
               !view_has_claim(view) && view->facts->attached == FAILOVER_NO;
}

static void then_claiming(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_synthetic(view);
        decision->reason = FAILOVER_REASON_MOVING;
        decision_step(view, decision, FAILOVER_CLAIM_VF);
}

static bool when_always(const struct view *view)
{
        return true;
}

static void then_synthetic(const struct view *view, struct failover_decision *decision)
{
        decision->tables = tables_synthetic(view);
        if (view->reason == view->facts->failure && view->now < view->facts->back_off_until)
                decision_wait_until(decision, view->facts->back_off_until);
        /* Nobody tells when somebody else gives a VF back, or makes more. */
        if (view->reason == FAILOVER_REASON_NO_FREE_VF || view->reason == FAILOVER_REASON_NO_VFS ||
            view->reason == FAILOVER_REASON_VF_USERS_UNKNOWN)
                decision_wait_until(decision, view->now + LOOK_FOR_VF_INTERVAL);
}

static const struct rule {
        const char *name;
        const char *applies; /* for documents: when */
        bool (*when)(const struct view *view);
        enum failover_situation situation;
        bool keeps_tables; /* whatever is there stays */
        void (*then)(const struct view *view, struct failover_decision *decision);
} rules[] = {
        { "unknown-guest-lost-its-vf",
          "libvirt is not heard, and the VF of a guest that was on it has no vectors any more",
          when_unknown_and_vf_gone, FAILOVER_SITUATION_OFFERING, false, then_unknown_and_vf_gone },
        { "unknown-guest", "libvirt is not heard", when_unknown, FAILOVER_SITUATION_UNKNOWN, true, then_unknown },
        { "isolated",
          "the guest did not let go of its VF however often it was asked, and the VF's card is gone, down or without "
          "carrier",
          when_isolated, FAILOVER_SITUATION_ISOLATED, false, then_isolated },
        { "vf-gone", "the claimed VF does not exist any more, and the guest does not drive what is left of it",
          when_vf_gone, FAILOVER_SITUATION_WITHDRAWN, false, then_vf_gone },
        { "lease-waits", "a VF is kept for a guest that was announced and has not come yet", when_lease_waits,
          FAILOVER_SITUATION_EXPECTED, false, then_lease_waits },
        { "absent", "the guest has no QEMU here", when_absent, FAILOVER_SITUATION_ABSENT, false, then_absent },
        { "incoming", "QEMU waits for the guest, which still runs on another host", when_incoming,
          FAILOVER_SITUATION_EXPECTED, false, then_incoming },
        { "loaded", "the guest's state is loaded: it has stopped there and is about to run here", when_loaded,
          FAILOVER_SITUATION_ARRIVING, false, then_loaded },
        { "handed-over", "the guest has stopped here at the end of a migration", when_handed_over,
          FAILOVER_SITUATION_HANDED_OVER, false, then_handed_over },
        { "somebody-elses-vf", "the guest has a VF that vswitch did not give it", when_not_ours,
          FAILOVER_SITUATION_UNMANAGED, true, then_not_ours },
        { "attachment-unknown", "it is not known whether the guest has the VF, or whether it drives it",
          when_attachment_unknown, FAILOVER_SITUATION_UNKNOWN, true, then_attachment_unknown },
        { "vf-without-mac", "the guest's driver has the VF, and the VF does not have the NIC's MAC", when_without_mac,
          FAILOVER_SITUATION_WITHDRAWING, false, then_without_mac },
        { "leaving-asked", "a migration goes out and QEMU has asked the guest to let go of the VF", when_leaving_asked,
          FAILOVER_SITUATION_WITHDRAWING, false, then_leaving_asked },
        { "leaving-gone", "a migration goes out and the guest has let go of the VF", when_leaving_gone,
          FAILOVER_SITUATION_WITHDRAWN, false, then_leaving_gone },
        { "on-vf",
          "the guest drives the VF and may keep it (and was not just asked to let go), or does not let go of it",
          when_on_vf, FAILOVER_SITUATION_ON_VF, false, then_on_vf },
        { "withdrawing", "the guest drives the VF and should not, or was asked a moment ago to let go",
          when_withdrawing, FAILOVER_SITUATION_WITHDRAWING, false, then_withdrawing },
        { "offering", "the guest has the VF, may use it, and does not drive it yet", when_offering,
          FAILOVER_SITUATION_OFFERING, false, then_offering },
        { "withdrawn", "the guest has let go of the VF (or never drove it) and should not have it", when_withdrawn,
          FAILOVER_SITUATION_WITHDRAWN, false, then_withdrawn },
        { "attaching", "the VF is being attached", when_attaching, FAILOVER_SITUATION_OFFERING, false, then_attaching },
        { "returning", "the VF is not in the guest any more and not wanted", when_returning,
          FAILOVER_SITUATION_RETURNING, false, then_returning },
        { "preparing", "a VF is claimed and not ready yet", when_preparing, FAILOVER_SITUATION_PREPARING, false,
          then_preparing },
        { "ready-to-attach", "a VF is ready and the guest runs", when_ready_to_attach, FAILOVER_SITUATION_PREPARING,
          false, then_ready_to_attach },
        { "claiming", "the guest runs, wants a VF and has none", when_claiming, FAILOVER_SITUATION_PREPARING, false,
          then_claiming },
        { "synthetic", "always", when_always, FAILOVER_SITUATION_SYNTHETIC, false, then_synthetic },
};

#define RULES_COUNT (sizeof(rules) / sizeof(rules[0]))

const char *failover_rule_name(size_t index)
{
        return index < RULES_COUNT ? rules[index].name : NULL;
}

const char *failover_rule_applies(size_t index)
{
        return index < RULES_COUNT ? rules[index].applies : NULL;
}

enum failover_situation failover_rule_situation(size_t index)
{
        return index < RULES_COUNT ? rules[index].situation : FAILOVER_SITUATION_UNKNOWN;
}

bool failover_rule_keeps_tables(size_t index)
{
        return index < RULES_COUNT && rules[index].keeps_tables;
}

/* ---- the wanted path ---- */

/* What stands between this NIC and a VF; NONE when nothing does. The order is what an operator should mend first. */
static enum failover_reason find_reason(const struct failover_facts *facts, const struct failover_policy *policy,
                                        uint64_t now)
{
        if (facts->obstacle != FAILOVER_REASON_NONE)
                return facts->obstacle;
        if (!policy->want_vf)
                return FAILOVER_REASON_WEIGHT_ZERO;
        if (facts->held)
                return FAILOVER_REASON_HELD;
        if (!facts->uplink_present)
                return FAILOVER_REASON_NO_UPLINK;
        if (!facts->uplink_up)
                return FAILOVER_REASON_UPLINK_DOWN;
        if (facts->vf_gone)
                return FAILOVER_REASON_VF_REMOVED;
        if (now < facts->back_off_until && facts->failure != FAILOVER_REASON_NONE)
                return facts->failure;
        /* Where a VF filter may swallow the frames of a guest without a driver, a guest that was reset loses its VF. */
        if (facts->claim != FAILOVER_CLAIM_NONE && facts->standby == FAILOVER_NO && facts->vectors == FAILOVER_NO &&
            facts->steering != FAILOVER_STEERING_BOTH && facts->steering != FAILOVER_STEERING_PF_WINS)
                return FAILOVER_REASON_GUEST_NOT_READY;
        /* As long as it has it, however long ago the move was given up: it may refuse to let go. */
        if (facts->claim != FAILOVER_CLAIM_NONE && facts->vectors == FAILOVER_YES && facts->sends_on_tap)
                return FAILOVER_REASON_GUEST_DOES_NOT_USE_VF;
        if (facts->claim != FAILOVER_CLAIM_NONE)
                return FAILOVER_REASON_NONE; /* it has one already: the rest is about getting one */
        if (facts->guest == FAILOVER_GUEST_PAUSED)
                return FAILOVER_REASON_GUEST_PAUSED;
        if (facts->outgoing)
                return FAILOVER_REASON_GUEST_LEAVING;
        if (facts->standby == FAILOVER_NO)
                return FAILOVER_REASON_GUEST_NOT_READY;
        if (!facts->tap_present)
                return FAILOVER_REASON_SWITCH_UNUSABLE;
        if (!facts->vf_available)
                return facts->no_vf;
        return FAILOVER_REASON_NONE;
}

/* ---- from the wanted tables to actions ---- */

static void add_if(struct failover_decision *decision, bool wanted, enum failover_known present,
                   enum failover_action action)
{
        if (wanted && present == FAILOVER_NO)
                decision_add(decision, action);
}

static void remove_if(struct failover_decision *decision, bool wanted, enum failover_known present,
                      enum failover_action action)
{
        if (!wanted && present == FAILOVER_YES)
                decision_add(decision, action);
}

/* Never touch a VF's MAC while its vectors exist, whatever a rule says: some drivers reset the VF on it. Nor while it is
 * being restored or when nothing says that it has to be: the MAC would stay on it when the claim is gone. Nor when
 * somebody else gives it back, who may do so at any moment once the guest has let go. */
static bool may_change_vf_filter(const struct failover_facts *facts)
{
        return facts->claim != FAILOVER_CLAIM_NONE && facts->touched && !facts->programmed_by_owner &&
               facts->call != FAILOVER_CALL_RESTORE && facts->vectors != FAILOVER_YES && !facts->probed &&
               !(facts->attached == FAILOVER_YES && facts->vectors == FAILOVER_UNKNOWN);
}

/* The copy rule is there before the uplink filter and goes after it: a card that hands its PF's own transmissions back
 * would otherwise show the bridge a neighbour's frame coming in at the uplink, and the bridge would look for the
 * neighbour there until it speaks again. */
static void emit_tables(const struct failover_facts *facts, struct failover_decision *decision)
{
        const struct failover_tables *tables = &decision->tables;
        bool vf_filter_free = may_change_vf_filter(facts);
        /* What is wanted and cannot be read may be missing: nothing else goes for it. */
        bool sure = !(tables->vf_filter && facts->vf_filter == FAILOVER_UNKNOWN) &&
                    !(tables->copy_rule && facts->copy_rule == FAILOVER_UNKNOWN) &&
                    !(tables->uplink_filter && facts->uplink_filter == FAILOVER_UNKNOWN);

        if (vf_filter_free)
                add_if(decision, tables->vf_filter, facts->vf_filter, FAILOVER_ADD_VF_FILTER);
        add_if(decision, tables->copy_rule, facts->copy_rule, FAILOVER_ADD_COPY_RULE);
        add_if(decision, tables->uplink_filter, facts->uplink_filter, FAILOVER_ADD_UPLINK_FILTER);
        add_if(decision, tables->multicast_router, facts->multicast_router, FAILOVER_ADD_MULTICAST_ROUTER);

        if (!sure && tables->pin == FAILOVER_PIN_UPLINK && facts->pin == FAILOVER_PIN_NONE && facts->tap_present)
                decision_add(decision, FAILOVER_PIN_TO_TAP);
        else if (facts->pin != FAILOVER_PIN_UNKNOWN && facts->pin != tables->pin &&
                 (sure || tables->pin != FAILOVER_PIN_UPLINK))
                decision_add(decision, tables->pin == FAILOVER_PIN_TAP      ? FAILOVER_PIN_TO_TAP
                                       : tables->pin == FAILOVER_PIN_UPLINK ? FAILOVER_PIN_TO_UPLINK
                                                                            : FAILOVER_UNPIN);

        if (sure)
                remove_if(decision, tables->uplink_filter, facts->uplink_filter, FAILOVER_REMOVE_UPLINK_FILTER);
        if (sure || tables->pin != FAILOVER_PIN_UPLINK)
                remove_if(decision, tables->copy_rule, facts->copy_rule, FAILOVER_REMOVE_COPY_RULE);
        if (vf_filter_free)
                remove_if(decision, tables->vf_filter, facts->vf_filter, FAILOVER_REMOVE_VF_FILTER);
        remove_if(decision, tables->multicast_router, facts->multicast_router, FAILOVER_REMOVE_MULTICAST_ROUTER);
}

void failover_decide(const struct failover_facts *facts, const struct failover_policy *policy, uint64_t now,
                     struct failover_decision *ret)
{
        struct view view = { .facts = facts, .policy = policy, .now = now };
        struct failover_decision step = { .deadline = FAILOVER_NEVER };
        const struct rule *rule = rules;

        view.reason = find_reason(facts, policy, now);
        view.wants_vf = view.reason == FAILOVER_REASON_NONE;
        while (!rule->when(&view))
                rule++;

        step.tables = tables_none;
        step.reason = view.reason;
        rule->then(&view, &step);
        if (!facts->uplink_present && step.tables.pin == FAILOVER_PIN_UPLINK)
                step.tables = tables_synthetic(&view);

        *ret = step;
        ret->rule = rule->name;
        ret->situation = rule->situation;
        ret->wants_vf = view.wants_vf;
        ret->actions_count = 0;
        if (!rule->keeps_tables && !facts->tables_of_another)
                emit_tables(facts, ret);
        else if (!rule->keeps_tables && view_runs_here(&view) && facts->obstacle == FAILOVER_REASON_DUPLICATE_MAC &&
                 facts->pin == FAILOVER_PIN_TAP)
                decision_add(ret, FAILOVER_UNPIN); /* its own from before: nobody else would find it */
        if (facts->announce_wanted &&
            (ret->situation == FAILOVER_SITUATION_ARRIVING || (view_runs_here(&view) && !rule->keeps_tables)))
                decision_add(ret, FAILOVER_ANNOUNCE);
        /* A move that is given up takes no further step; the next decision goes the other way. */
        if (ret->give_up == FAILOVER_REASON_NONE)
                for (size_t i = 0; i < step.actions_count; i++)
                        decision_add(ret, step.actions[i]);
}
