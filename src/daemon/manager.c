/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation: see manager.h. The reconcile step runs when something is dirty (a deferred event source, so
 * that one burst of events makes one step) or when the earliest deadline of all NICs has come. For each dirty NIC it
 * collects facts, asks the core and carries out the actions, over and over until the core has nothing to do at once.
 * An action that fails ends this NIC's turn; it is tried again after a pause that grows.
 *
 * While a move waits for the guest, the vectors of its VF are looked at often (VECTORS_FAST); otherwise once a second
 * for each VF in use, which is all that an idle daemon does.
 */

#include "src/daemon/manager.h"
#include "src/daemon/definitions.h"
#include "src/daemon/explain.h"
#include "src/daemon/log.h"
#include "src/daemon/vf_users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VECTORS_FAST (10 * USEC_PER_MSEC)
#define VECTORS_SLOW USEC_PER_SEC

/* A turn of one NIC ends after this many decisions, so that a mistake in the rules cannot hold up the loop. */
#define DECISIONS_PER_TURN 16

static uint64_t clock_usec(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

uint64_t manager_now(const struct manager *manager)
{
        return clock_usec(CLOCK_MONOTONIC);
}

uint64_t manager_realtime(void)
{
        return clock_usec(CLOCK_REALTIME);
}

/* ---- dirt ---- */

void manager_schedule(struct manager *manager)
{
        if (manager->reconcile_source)
                sd_event_source_set_enabled(manager->reconcile_source, SD_EVENT_ONESHOT);
}

void manager_nic_dirty(struct manager_nic *nic)
{
        nic->dirty = true;
        manager_schedule(nic->manager);
}

void manager_all_dirty(struct manager *manager, bool tables_too)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                nic->tables_stale |= tables_too;
                manager_nic_dirty(nic);
        }
}

/* ---- one NIC ---- */

/* Towards a VF, or away from it. */
static bool begins_move(enum failover_situation old, enum failover_situation new)
{
        return (old == FAILOVER_SITUATION_SYNTHETIC && new == FAILOVER_SITUATION_PREPARING) ||
               (old == FAILOVER_SITUATION_ON_VF && new == FAILOVER_SITUATION_WITHDRAWING);
}

/* Louder than anything else, once. Not seeing the guest for a while does not end it. */
static void tell_isolation(struct manager_nic *nic)
{
        const struct failover_decision *decision = &nic->decision;
        struct explanation explanation;
        bool isolated = decision->situation == FAILOVER_SITUATION_ISOLATED;
        char sentence[1024];

        if (isolated == nic->alarmed || decision->situation == FAILOVER_SITUATION_UNKNOWN)
                return;
        nic->alarmed = isolated;
        if (isolated) {
                explain_nic(nic, &explanation);
                snprintf(sentence, sizeof(sentence), "ISOLATED: %s (%s)", failover_reason_sentence(decision->reason),
                         explanation.detail);
                log_line(LOG_ALERT, nic->label, "%s. What helps: %s", sentence,
                         failover_reason_remedy(decision->reason));
        } else {
                snprintf(sentence, sizeof(sentence), "not isolated any more: now %s",
                         failover_situation_to_string(decision->situation));
                log_notice(nic->label, "%s", sentence);
        }
        if (nic->manager->control)
                control_event(nic->manager->control, isolated ? "alarm" : "warning", nic->label, sentence);
}

static void tell_change(struct manager_nic *nic, enum failover_situation old)
{
        struct manager *manager = nic->manager;
        const struct failover_decision *decision = &nic->decision;
        const char *path = provider_path(nic);
        char sentence[256];

        if (strcmp(path, nic->last_path) != 0) {
                nic->last_path = path;
                nic->path_since_realtime = manager_realtime();
        }
        if (old == decision->situation)
                return;
        snprintf(sentence, sizeof(sentence), "%s -> %s, path %s%s%s%s%s", failover_situation_to_string(old),
                 failover_situation_to_string(decision->situation), path, nic->claim ? ", VF " : "",
                 nic->claim ? nic->claim->vf_address : "", decision->reason ? ": " : "",
                 failover_reason_sentence(decision->reason));
        log_info(nic->label, "%s", sentence);
        if (decision->situation == FAILOVER_SITUATION_ON_VF) {
                manager->moves_completed++;
                nic->failures = 0;
        }
        if (begins_move(old, decision->situation))
                arbiter_move_began(manager);
        if (manager->control)
                control_event(manager->control, "move", nic->label, sentence);
}

/* What an operator asked for is reached, or the daemon has given it up. */
static bool request_is_over(const struct manager_nic *nic)
{
        if (strcmp(nic->request, "acquire") == 0)
                return nic->decision.reason != FAILOVER_REASON_TURN && nic->decision.reason != FAILOVER_REASON_FROZEN &&
                       nic->decision.reason != FAILOVER_REASON_VF_USERS_UNKNOWN &&
                       failover_acquire_is_over(&nic->decision);
        return failover_release_is_over(&nic->facts, &nic->decision, manager_now(nic->manager));
}

/* What only this process remembers follows from where the NIC is now. */
static void settle(struct manager_nic *nic)
{
        uint64_t on_vf_since = nic->facts.on_vf_since;

        failover_settle(&nic->facts, &nic->decision, manager_now(nic->manager));
        if (nic->facts.on_vf_since != on_vf_since)
                nic->tap_baseline_valid = false;
        if (request_is_over(nic))
                nic->request = "";
        /* A leased VF becomes the guest's when the guest runs here with it. */
        if (nic->claim && nic->claim->leased && nic->facts.guest == FAILOVER_GUEST_RUNNING) {
                struct vswitch_error error = { 0 };

                nic->claim->leased = false;
                nic->claim->lease_until = 0;
                if (records_write_claim(nic, &error) < 0)
                        log_warning(nic->label, "%s", error.text);
        }
}

/* One decision being carried out. */
struct execution {
        struct manager_nic *nic;
        struct vswitch_error error;
};

static int execute(void *userdata, enum failover_action action)
{
        struct execution *execution = userdata;

        execution->error = (struct vswitch_error){ 0 };
        return actions_execute(execution->nic, action, &execution->error);
}

static void action_failed(void *userdata, enum failover_action action, int result)
{
        struct execution *execution = userdata;
        struct manager_nic *nic = execution->nic;

        snprintf(nic->trouble, sizeof(nic->trouble), "cannot %s: %s", failover_action_to_string(action),
                 vswitch_error_text(&execution->error, result));
        log_warning(nic->label, "%s", nic->trouble);
        nic->tables_stale = true;
        if (!failover_progress_ends_move(&nic->decision, action))
                return;
        actions_give_up(nic, FAILOVER_REASON_TABLES_FAILED);
        snprintf(nic->failure_words, sizeof(nic->failure_words), "%s", nic->trouble);
}

/* One decision and its actions. True when there may be more to do at once. */
static bool take_step(struct manager_nic *nic)
{
        struct failover_decision *decision = &nic->decision;
        enum failover_situation old = decision->situation;
        struct execution execution = { .nic = nic };

        facts_collect(nic);
        failover_decide(&nic->facts, &nic->policy, manager_now(nic->manager), decision);
        if (facts_settle_partly(nic))
                failover_decide(&nic->facts, &nic->policy, manager_now(nic->manager), decision);
        settle(nic);
        tell_change(nic, old);
        tell_isolation(nic);
        if (!failover_progress_run(&nic->progress, decision, manager_now(nic->manager), execute, action_failed,
                                   &execution))
                return false;
        if (decision->give_up != FAILOVER_REASON_NONE)
                actions_give_up(nic, decision->give_up);
        return decision->actions_count > 0 || decision->give_up != FAILOVER_REASON_NONE;
}

static bool same_view(const struct failover_decision *a, const struct failover_decision *b)
{
        return a->situation == b->situation && a->reason == b->reason && a->wants_vf == b->wants_vf &&
               a->deadline == b->deadline;
}

static void reconcile_nic(struct manager_nic *nic)
{
        struct failover_decision before = nic->decision;
        const struct claim *claim = nic->claim;
        const char *request = nic->request;
        int turns = DECISIONS_PER_TURN;

        nic->dirty = false;
        while (take_step(nic))
                if (--turns == 0) {
                        log_warning(nic->label, "does not settle (rule %s); looking again in a while",
                                    nic->decision.rule);
                        failover_progress_pause(&nic->progress, manager_now(nic->manager));
                        break;
                }
        records_keep(nic);
        if (nic->manager->control &&
            (!same_view(&before, &nic->decision) || claim != nic->claim || request != nic->request))
                control_nic_changed(nic->manager->control, nic->domain->uuid, nic->alias);
        nics_forget_if_done(nic);
}

/* ---- timers ---- */

static void arm(sd_event_source *source, uint64_t when)
{
        if (when == FAILOVER_NEVER) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return;
        }
        sd_event_source_set_time(source, when);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static void arm_timers(struct manager *manager)
{
        uint64_t deadline = FAILOVER_NEVER, look = FAILOVER_NEVER, now = manager_now(manager);
        const struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                deadline = earliest(deadline, nic->decision.deadline);
                if (nic->progress.retry_at)
                        deadline = earliest(deadline, nic->progress.retry_at);
                if (nic->tap_retry_at)
                        deadline = earliest(deadline, nic->tap_retry_at);
                if (nic->records_retry_at)
                        deadline = earliest(deadline, nic->records_retry_at);
                if (nic->memory_short_until > now)
                        deadline = earliest(deadline, nic->memory_short_until);
                if (nic->decision.watch_vectors || nic->decision.watch_tap)
                        look = earliest(look, now + VECTORS_FAST);
                else if (nic->claim && nic->facts.attached != FAILOVER_NO)
                        look = earliest(look, now + VECTORS_SLOW);
        }
        deadline = earliest(deadline, manager->arbiter.deadline);
        deadline = earliest(deadline, switches_deadline(manager));
        deadline = earliest(deadline, neighbours_deadline(manager));
        deadline = earliest(deadline, overrun_deadline(manager));
        arm(manager->deadline_source, earliest(deadline, hook_deadline(manager)));
        arm(manager->vectors_source, look);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *manager = userdata;
        uint64_t now = manager_now(manager);
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->decision.deadline <= now || (nic->progress.retry_at && nic->progress.retry_at <= now) ||
                    (nic->tap_retry_at && nic->tap_retry_at <= now) ||
                    (nic->records_retry_at && nic->records_retry_at <= now) ||
                    (nic->memory_short_until && nic->memory_short_until <= now))
                        nic->dirty = true;
        manager_schedule(manager);
        return 0;
}

static void reconcile(struct manager *manager)
{
        struct manager_nic *nic, *next;

        overrun_reconcile(manager);
        switches_reconcile(manager);
        /* What the NICs do changes what others may do; a bound, so that a mistake there cannot hold up the loop. */
        for (int turn = 0; turn < DECISIONS_PER_TURN; turn++) {
                for (nic = TAILQ_FIRST(&manager->nics); nic; nic = next) {
                        next = TAILQ_NEXT(nic, entry);
                        if (nic->dirty)
                                reconcile_nic(nic);
                }
                if (!arbiter_decide(manager))
                        break;
        }
        neighbours_reconcile(manager);
        overrun_reconciled(manager);
        hook_continue(manager);
        arm_timers(manager);
}

static int on_reconcile(sd_event_source *source, void *userdata)
{
        reconcile(userdata);
        return 0;
}

/* The vectors decide when a path is open: what follows from them is not left to the next turn of the loop. */
static int on_vectors(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_nic *nic;
        bool changed = false;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                if (!nic->claim || nic->facts.attached == FAILOVER_NO)
                        continue;
                nic->dirty |= facts_poll_vectors(nic);
                if (nic->decision.watch_tap) {
                        bool before = nic->facts.sends_on_tap;

                        facts_poll_tap(nic);
                        nic->dirty |= nic->facts.sends_on_tap != before;
                }
                changed |= nic->dirty;
        }
        if (changed)
                reconcile(manager);
        else
                arm_timers(manager);
        return 0;
}

/* ---- notifications ---- */

static int on_monitor(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct manager *manager = userdata;
        int r = vswitch_netlink_monitor_read(manager->monitor, switches_on_notification, manager);

        if (r < 0)
                overrun_seen(manager);
        return 0;
}

/* ---- what an earlier daemon left ---- */

static struct manager_nic *nic_from_disk(struct manager *manager, const char *uuid, const char *alias, const char *name,
                                         const struct vswitch_mac *mac, struct manager_switch *nic_switch)
{
        struct manager_domain *domain = nics_add_domain(manager, uuid, name);

        return domain ? nics_add(manager, domain, alias, mac, nic_switch) : NULL;
}

static void on_record(const struct nic_record *record, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_switch *nic_switch = switches_find_by_name(manager, record->switch_name);
        struct manager_nic *nic;

        if (!nic_switch) {
                log_warning(record->domain,
                            "NIC %s was on switch \"%s\", which is not in the configuration any more; "
                            "its entries stay as they are",
                            record->alias, record->switch_name);
                return;
        }
        nic = nic_from_disk(manager, record->uuid, record->alias, record->domain, &record->mac, nic_switch);
        if (!nic)
                return;
        nic->recorded = true;
        nic->held_until_acquire = record->held;
        nic->bridge_vlan = record->bridge_vlan;
        nic->port_vlan = record->port_vlan;
        nic->made_router = record->made_router;
        snprintf(nic->tap, sizeof(nic->tap), "%s", record->tap);
        if (record->vf_alias[0])
                snprintf(nic->vf_alias, sizeof(nic->vf_alias), "%s", record->vf_alias);
}

static void on_claim(const struct claim *stored, void *userdata)
{
        struct manager *manager = userdata;
        struct manager_switch *nic_switch = NULL;
        struct manager_nic *nic = nics_find(manager, stored->uuid, stored->alias);
        struct claim *claim;

        for (size_t i = 0; i < manager->switches_count; i++)
                if (uplinks_find_by_vf(&manager->switches[i], stored->vf_index, stored->vf_address) ||
                    (!nic_switch && switches_find_pf(&manager->switches[i], stored->pf)))
                        nic_switch = &manager->switches[i];
        if (!nic && nic_switch)
                nic = nic_from_disk(manager, stored->uuid, stored->alias, stored->domain, &stored->mac, nic_switch);
        if (!nic || nic->claim) {
                log_warning(stored->domain, "the claim of VF %s for %s fits no switch or NIC; it is left as it is",
                            stored->vf_address, stored->alias);
                return;
        }
        claim = malloc(sizeof(*claim));
        if (!claim)
                return;
        *claim = *stored;
        nic->claim = claim;
        nic->facts.attached = FAILOVER_UNKNOWN;
        uplinks_name_claims(nic->nic_switch);
}

static void on_unreadable(const char *file, const char *sentence, void *userdata)
{
        log_warning(NULL, "%s cannot be used: %s; its VF is left alone", file, sentence);
}

static int load_claims(struct manager *manager, struct vswitch_error *error)
{
        static const struct claim_store_visitor visitor = {
                .claim = on_claim,
                .nic = on_record,
                .unreadable = on_unreadable,
        };

        return claim_store_load(manager->claims, &visitor, manager, error);
}

/* ---- life ---- */

static int add_sources(struct manager *manager, struct vswitch_error *error)
{
        int r = sd_event_add_defer(manager->loop, &manager->reconcile_source, on_reconcile, manager);

        if (r >= 0)
                r = sd_event_add_time(manager->loop, &manager->deadline_source, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                      on_deadline, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->deadline_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(manager->loop, &manager->vectors_source, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                      on_vectors, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->vectors_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(manager->vectors_source, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_add_io(manager->loop, &manager->monitor_source,
                                    vswitch_netlink_monitor_fd(manager->monitor), EPOLLIN, on_monitor, manager);
        return r < 0 ? vswitch_error_set(error, r, "cannot set up the event loop: %s", strerror(-r)) : 0;
}

static struct failover_policy policy_from(const struct config *config)
{
        return (struct failover_policy){
                .want_vf = true,
                .guest_driver_timeout = config->guest_driver_timeout_usec,
                .guest_boot_timeout = 5 * config->guest_driver_timeout_usec,
                .unplug_timeout = config->unplug_timeout_usec,
                .unplug_attempts = 2,
                .confirm_window = 10 * USEC_PER_SEC,
        };
}

int manager_new(sd_event *loop, const struct manager_options *options, struct manager **ret,
                struct vswitch_error *error)
{
        struct manager *manager = calloc(1, sizeof(*manager));
        int r;

        if (!manager)
                return -ENOMEM;
        manager->loop = sd_event_ref(loop);
        manager->options = *options;
        manager->policy = policy_from(options->config);
        manager->started_realtime = manager_realtime();
        TAILQ_INIT(&manager->domains);
        TAILQ_INIT(&manager->nics);
        TAILQ_INIT(&manager->hook_waits);
        arbiter_new(manager);

        r = claim_store_open(options->runtime_directory, &manager->claims, error);
        /* The socket first: it tells of another daemon before anything is touched. */
        if (r == 0)
                r = control_new(loop, options->control_socket, options->config->group, &provider_table, manager,
                                &manager->control, error);
        if (r == 0)
                r = vswitch_netlink_open(&manager->netlink, error);
        /* Notifications before the first look, so that nothing falls between. */
        if (r == 0)
                r = vswitch_netlink_monitor_open(&manager->monitor, error);
        if (r == 0)
                r = add_sources(manager, error);
        if (r == 0)
                r = pool_new(manager, error);
        if (r == 0)
                r = vf_users_new(manager);
        if (r == 0)
                r = definitions_new(manager);
        if (r == 0)
                r = carrier_new(manager, error);
        if (r == 0)
                r = switches_new(manager, error);
        if (r == 0)
                r = load_claims(manager, error);
        if (r == 0)
                r = guests_new(loop, options->config->libvirt_uri, &domains_callbacks, manager, &manager->guests,
                               error);
        if (r < 0) {
                manager_free(manager);
                return r;
        }
        vf_users_begin(manager);
        manager_schedule(manager);
        *ret = manager;
        return 0;
}

void manager_free(struct manager *manager)
{
        if (!manager)
                return;
        /* The threads first: their answers find NICs. Nothing on the host is changed by leaving. */
        guests_free(manager->guests);
        pool_free(manager);
        hook_free_all(manager);
        control_free(manager->control);
        manager->control = NULL;
        sd_event_source_unref(manager->monitor_source);
        sd_event_source_unref(manager->reconcile_source);
        sd_event_source_unref(manager->deadline_source);
        sd_event_source_unref(manager->vectors_source);
        sd_event_source_unref(manager->carrier_source);
        nics_free_all(manager);
        switches_free(manager);
        vf_users_free(manager);
        definitions_free(manager);
        vswitch_netlink_monitor_close(manager->monitor);
        vswitch_netlink_close(manager->netlink);
        claim_store_close(manager->claims);
        sd_event_unref(manager->loop);
        free(manager);
}
