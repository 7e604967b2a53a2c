/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon around the core: what it is told becomes facts, and one step reconciles. It mirrors src/daemon (manager.c,
 * domains.c, nics.c, hook.c) as far as the core can tell the difference; what can be shared is the same code
 * (failover/progress.c, failover/presence.c).
 *
 * Looking at vectors costs the real daemon a read every 10 ms or every second. Here the next look is placed where
 * something has changed, on the same grid.
 */

#include "tests/sim/world.h"

#include <errno.h>
#include <string.h>

#define VECTORS_FAST       (10 * MILLISECOND)
#define VECTORS_SLOW       SECOND
#define DECISIONS_PER_TURN 16

const struct failover_policy sim_policy = {
        .want_vf = true,
        .guest_driver_timeout = 60 * SECOND,
        .guest_boot_timeout = 300 * SECOND,
        .unplug_timeout = 30 * SECOND,
        .unplug_attempts = 2,
        .confirm_window = 10 * SECOND,
};

/* ---- dirt ---- */

void daemon_schedule(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];
        struct event *event;

        if (host->reconcile_scheduled || !host->daemon_up)
                return;
        host->reconcile_scheduled = true;
        event = events_add(world, world->now, EVENT_RECONCILE);
        event->host = (uint8_t) host_number;
        event->generation = host->life;
}

void daemon_dirty(struct world *world, unsigned host_number, bool tables_too)
{
        struct host *host = &world->hosts[host_number];

        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                host->agents[nic].dirty = true;
                host->agents[nic].tables_stale |= tables_too;
        }
        daemon_schedule(world, host_number);
}

static void follow(struct world *world, unsigned host_number, unsigned guest, unsigned follows)
{
        struct host *host = &world->hosts[host_number];

        if (follows & FAILOVER_PRESENCE_MOVED)
                TRACE(world, "host %u: guest %u is taken for %s", host_number, guest,
                      failover_guest_to_string(host->domains[guest].presence.state));
        for (unsigned nic = 0; nic < world->nics_count && follows; nic++) {
                if (world->nics[nic].guest != guest)
                        continue;
                host->agents[nic].dirty = true;
                if ((follows & FAILOVER_PRESENCE_ARRIVED) && host->agents[nic].claimed)
                        host->agents[nic].facts.attached = FAILOVER_UNKNOWN;
                if ((follows & FAILOVER_PRESENCE_ARRIVED) && host->domains[guest].presence.started_under_our_eyes)
                        host->agents[nic].facts.standby = FAILOVER_NO;
                if (follows & FAILOVER_PRESENCE_ANNOUNCE)
                        host->agents[nic].facts.announce_wanted = true;
        }
        daemon_schedule(world, host_number);
}

static struct agent *agent_add(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];

        host->domains[world->nics[nic].guest].known = true;
        if (!agent->known) {
                *agent = (struct agent){ .known = true, .tables_stale = true };
                agent->facts.standby = host->domains[world->nics[nic].guest].presence.started_under_our_eyes
                                               ? FAILOVER_NO
                                               : FAILOVER_UNKNOWN;
                /* The moment to tell the wire came before the NIC was known. */
                agent->facts.announce_wanted =
                        host->domains[world->nics[nic].guest].presence.state == FAILOVER_GUEST_LOADED;
        }
        agent->dirty = true;
        return agent;
}

/* ---- one NIC ---- */

static void agent_settle(struct world *world, unsigned host_number, unsigned nic)
{
        struct agent *agent = &world->hosts[host_number].agents[nic];

        uint64_t on_vf_since = agent->facts.on_vf_since;

        failover_settle(&agent->facts, &agent->decision, world->now);
        if (agent->facts.on_vf_since != on_vf_since)
                agent->tap_baseline = false;
        if (agent->decision.situation == FAILOVER_SITUATION_ON_VF && agent->decision.wants_vf)
                world->nics[nic].devices[host_number].asked = 0;
        /* A record that could not be written when it should have been. */
        if (agent->claimed &&
            !world->hosts[host_number].disk_claims[agent->claim.card * VFS_MAX + agent->claim.vf].present)
                daemon_write_claim(world, host_number, nic);
        if (agent->claimed && agent->claim.leased && agent->facts.guest == FAILOVER_GUEST_RUNNING) {
                agent->claim.leased = false;
                agent->claim.lease_until = 0;
                daemon_write_claim(world, host_number, nic);
        }
}

struct execution {
        struct world *world;
        unsigned host, nic;
};

static int execute(void *userdata, enum failover_action action)
{
        struct execution *execution = userdata;

        return daemon_execute(execution->world, execution->host, execution->nic, action);
}

static void failed(void *userdata, enum failover_action action, int result)
{
        struct execution *execution = userdata;
        struct host *host = &execution->world->hosts[execution->host];
        struct agent *agent = &host->agents[execution->nic];

        if (!host->daemon_up)
                return;
        TRACE(execution->world, "host %u: NIC %u: cannot %s: %d", execution->host, execution->nic,
              failover_action_to_string(action), result);
        agent->tables_stale = true;
        if (failover_progress_ends_move(&agent->decision, action))
                daemon_give_up(execution->world, execution->host, execution->nic, FAILOVER_REASON_TABLES_FAILED);
}

static void trace_decision(struct world *world, unsigned host, unsigned nic, const struct failover_decision *before)
{
        const struct agent *agent = &world->hosts[host].agents[nic];
        const struct failover_facts *facts = &agent->facts;

        if (before->rule == agent->decision.rule && before->reason == agent->decision.reason &&
            agent->decision.actions_count == 0)
                return;
        TRACE(world,
              "host %u: NIC %u: rule %s (%s, %s%s): guest %s%s%s, claim %d%s%s%s, prepared %s, attached %s, vectors "
              "%s, "
              "standby %s, VF filter %s, uplink filter %s, copy %s, pin %s",
              host, nic, agent->decision.rule, failover_situation_to_string(agent->decision.situation),
              failover_reason_code(agent->decision.reason), agent->decision.wants_vf ? ", wants a VF" : "",
              failover_guest_to_string(facts->guest), facts->outgoing ? ", outgoing" : "",
              facts->unplug_asked_by_qemu ? ", unplug asked" : "", facts->claim, facts->touched ? ", touched" : "",
              facts->programmed_by_owner ? ", libvirt's" : "", facts->vf_gone ? ", VF gone" : "",
              failover_known_to_string(facts->prepared), failover_known_to_string(facts->attached),
              failover_known_to_string(facts->vectors), failover_known_to_string(facts->standby),
              failover_known_to_string(facts->vf_filter), failover_known_to_string(facts->uplink_filter),
              failover_known_to_string(facts->copy_rule), failover_pin_to_string(facts->pin));
}

/* One decision and its actions. True when there may be more to do at once. */
static bool take_step(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        struct execution execution = { world, host_number, nic };
        struct failover_decision before = agent->decision, *decision = &agent->decision;

        daemon_collect(world, host_number, nic);
        failover_decide(&agent->facts, &sim_policy, world->now, decision);
        /* What is partly there is not what is wanted. */
        if (agent->uplink_filter_partly &&
            (agent->facts.uplink_filter == FAILOVER_YES) == decision->tables.uplink_filter) {
                agent->facts.uplink_filter = decision->tables.uplink_filter ? FAILOVER_NO : FAILOVER_YES;
                failover_decide(&agent->facts, &sim_policy, world->now, decision);
        }
        world->statistics->decisions++;
        if (world->options->coverage)
                coverage_decision(world->options->coverage, &agent->facts, world->now, &sim_policy, decision);
        if (world->options->trace)
                trace_decision(world, host_number, nic, &before);
        if (before.situation != decision->situation)
                agent->situation_since = world->now;
        agent_settle(world, host_number, nic);
        checks_after_decision(world, host_number, nic);
        if (before.situation != decision->situation && decision->situation == FAILOVER_SITUATION_ON_VF)
                world->statistics->moves++;
        if (!failover_progress_run(&agent->progress, decision, world->now, execute, failed, &execution) ||
            !host->daemon_up)
                return false;
        if (decision->give_up != FAILOVER_REASON_NONE)
                daemon_give_up(world, host_number, nic, decision->give_up);
        return decision->actions_count > 0 || decision->give_up != FAILOVER_REASON_NONE;
}

static void forget_if_done(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        const struct failover_facts *facts = &agent->facts;
        bool absent = facts->guest == FAILOVER_GUEST_ABSENT || facts->guest == FAILOVER_GUEST_EXPECTED;
        enum failover_guest state = host->domains[world->nics[nic].guest].presence.state;

        if (!absent || agent->claimed || facts->call != FAILOVER_CALL_NONE)
                return;
        if (!facts->tables_of_another &&
            ((facts->uplink_filter != FAILOVER_NO && agent->recorded) || facts->uplink_filter == FAILOVER_YES ||
             facts->copy_rule == FAILOVER_YES || facts->pin == FAILOVER_PIN_TAP || facts->pin == FAILOVER_PIN_UPLINK))
                return;
        if (host->disk_records[nic].present)
                host->writes++;
        host->disk_records[nic].present = false;
        agent->known = false;
        if (state != FAILOVER_GUEST_ABSENT && state != FAILOVER_GUEST_EXPECTED)
                libvirt_refresh(world, host_number, world->nics[nic].guest);
}

static void reconcile_nic(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        int turns = DECISIONS_PER_TURN;

        agent->dirty = false;
        while (take_step(world, host_number, nic))
                if (--turns == 0) {
                        world_violation(world, "does-not-settle", "host %u: NIC %u goes on and on with rule %s",
                                        host_number, nic, agent->decision.rule);
                        return;
                }
        if (host->daemon_up)
                forget_if_done(world, host_number, nic);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static uint64_t next_look(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct agent *agent = &world->hosts[host_number].agents[nic];
        uint64_t grid, half, look = FAILOVER_NEVER;
        enum failover_known vectors;
        bool probed;

        if (!agent->claimed || agent->facts.attached == FAILOVER_NO)
                return FAILOVER_NEVER;
        grid = agent->decision.watch_vectors || agent->decision.watch_tap ? VECTORS_FAST : VECTORS_SLOW;
        vectors = !world->hosts[host_number].cards[agent->claim.card].vfs[agent->claim.vf].exists
                          ? FAILOVER_UNKNOWN
                          : failover_vectors_from_count(cards_vectors(world, host_number, agent->claim.card,
                                                                      agent->claim.vf),
                                                        agent->facts.vectors);
        probed = cards_vectors(world, host_number, agent->claim.card, agent->claim.vf) == 1;
        if (vectors != agent->facts.vectors || probed != agent->facts.probed)
                look = (world->now / grid + 1) * grid;
        if (agent->decision.watch_tap && !agent->facts.sends_on_tap) {
                half = agent->facts.on_vf_since + sim_policy.confirm_window / 2;
                look = earliest(look, !agent->tap_baseline ? (half > world->now ? half : world->now + grid)
                                                           : world->now + sim_policy.confirm_window / 4);
        }
        return look;
}

/* The vectors may have changed, or what is to be looked at. */
void daemon_arm_look(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];
        uint64_t look = FAILOVER_NEVER;
        struct event *event;

        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (host->agents[nic].known)
                        look = earliest(look, next_look(world, host_number, nic));
        if (look >= host->look_armed)
                return;
        host->look_armed = look;
        event = events_add(world, look, EVENT_LOOK);
        event->host = (uint8_t) host_number;
        event->generation = host->life;
}

static void arm_deadline(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];
        uint64_t deadline = FAILOVER_NEVER;
        struct event *event;

        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                const struct agent *agent = &host->agents[nic];

                if (!agent->known)
                        continue;
                deadline = earliest(deadline, agent->decision.deadline);
                if (agent->progress.retry_at)
                        deadline = earliest(deadline, agent->progress.retry_at);
        }
        if (deadline == FAILOVER_NEVER || deadline >= host->deadline_armed)
                return;
        host->deadline_armed = deadline;
        event = events_add(world, deadline > world->now ? deadline : world->now + 1, EVENT_DEADLINE);
        event->host = (uint8_t) host_number;
        event->generation = host->life;
}

void daemon_reconcile(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];

        host->reconcile_scheduled = false;
        for (unsigned nic = 0; nic < world->nics_count && host->daemon_up && !world->failed; nic++)
                if (host->agents[nic].known && host->agents[nic].dirty)
                        reconcile_nic(world, host_number, nic);
        if (!host->daemon_up)
                return;
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (host->agents[nic].known && host->agents[nic].dirty)
                        daemon_schedule(world, host_number);
        arm_deadline(world, host_number);
        daemon_arm_look(world, host_number);
}

void daemon_deadline(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];

        if (!host->daemon_up || event->generation != host->life)
                return;
        host->deadline_armed = FAILOVER_NEVER;
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                struct agent *agent = &host->agents[nic];

                if (agent->known && (agent->decision.deadline <= world->now ||
                                     (agent->progress.retry_at && agent->progress.retry_at <= world->now)))
                        agent->dirty = true;
        }
        daemon_reconcile(world, event->host);
}

void daemon_look(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];

        if (!host->daemon_up || event->generation != host->life)
                return;
        host->look_armed = FAILOVER_NEVER;
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                struct agent *agent = &host->agents[nic];

                if (!agent->known || !agent->claimed || agent->facts.attached == FAILOVER_NO)
                        continue;
                agent->dirty |= daemon_poll_vectors(world, event->host, nic);
                if (agent->decision.watch_tap) {
                        bool before = agent->facts.sends_on_tap;

                        daemon_poll_tap(world, event->host, nic);
                        agent->dirty |= agent->facts.sends_on_tap != before;
                }
        }
        daemon_reconcile(world, event->host);
}

/* ---- what it is told ---- */

/* A VF in the guest and no claim: the daemon died between the two, or the record was lost. Taken over with what a VF is
 * like before anybody programmed it. Or the guest's owner gave it to the guest, and libvirt has programmed it. */
static void adopt(struct world *world, unsigned host_number, unsigned nic, unsigned slot, bool owners)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        const struct vf *vf = &host->cards[slot / VFS_MAX].vfs[slot % VFS_MAX];

        if ((slot / VFS_MAX != host->active && !owners) || !host->cards[slot / VFS_MAX].bound || !vf->exists ||
            vf->taken || host->disk_claims[slot].present)
                return;
        agent->claim = (struct disk_claim){
                .present = true,
                .nic = (int8_t) nic,
                .card = (uint8_t) (slot / VFS_MAX),
                .vf = (uint8_t) (slot % VFS_MAX),
                .touched = true,
                .adopted = owners,
                .mac_before = vf->mac_before,
                .settings_before = vf->settings_before,
                .driver_before = vf->driver_before,
                .incarnation = vf->incarnation,
        };
        agent->claimed = true;
        agent->tables_stale = true;
        daemon_write_claim(world, host_number, nic);
        TRACE(world, "host %u: NIC %u: takes VF %u over", host_number, nic, slot);
}

static void apply_snapshot(struct world *world, unsigned host_number, const struct message *message)
{
        struct host *host = &world->hosts[host_number];
        struct domain *domain = &host->domains[message->guest];
        unsigned follows;

        if (!domain->known && message->shown == FAILOVER_SHOWN_OFF)
                return;
        domain->known = true;
        follows = failover_presence_on_snapshot(&domain->presence, (enum failover_shown) message->shown,
                                                message->outgoing);
        if (message->shown == FAILOVER_SHOWN_OFF) {
                follow(world, host_number, message->guest, follows);
                return;
        }
        follow(world, host_number, message->guest, follows);
        domain->devices_known = true;
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                struct agent *agent = &host->agents[nic];
                bool has_vf = message->attached & (1u << nic), ours;

                if (world->nics[nic].guest != message->guest)
                        continue;
                if (message->nics & (1u << nic)) {
                        agent_add(world, host_number, nic);
                        agent->in_guest = true;
                } else {
                        agent->in_guest = false;
                }
                if (!agent->known)
                        continue;
                if (has_vf && !agent->claimed && agent->in_guest && domain->presence.state != FAILOVER_GUEST_EXPECTED)
                        adopt(world, host_number, nic, message->vf[nic], message->owners & (1u << nic));
                ours = agent->claimed && has_vf && message->vf[nic] == agent->claim.card * VFS_MAX + agent->claim.vf;
                if (agent->in_guest && domain->presence.state == FAILOVER_GUEST_EXPECTED)
                        continue;
                agent->obstacle = (has_vf && !ours) || world->nics[nic].has_other_vf ? FAILOVER_REASON_VF_NOT_OURS
                                                                                     : FAILOVER_REASON_NONE;
                if (ours && agent->facts.attached != FAILOVER_YES)
                        agent->facts.attached_since = world->now;
                agent->tables_stale |= (agent->facts.attached == FAILOVER_YES) != ours;
                agent->facts.attached = ours ? FAILOVER_YES : FAILOVER_NO;
        }
        follow(world, host_number, message->guest, FAILOVER_PRESENCE_LOOK);
}

static bool has_live_lease(const struct world *world, const struct host *host, unsigned guest)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest && host->agents[nic].claimed && host->agents[nic].claim.leased &&
                    host->agents[nic].claim.lease_until > world->now)
                        return true;
        return false;
}

static void apply_list(struct world *world, unsigned host_number, const struct message *message)
{
        struct host *host = &world->hosts[host_number];

        host->listed = true;
        host->heard_since = world->now;
        for (unsigned guest = 0; guest < world->guests_count; guest++)
                if (host->domains[guest].known && !(message->nics & (1u << guest)))
                        follow(world, host_number, guest,
                               failover_presence_on_not_listed(&host->domains[guest].presence,
                                                               has_live_lease(world, host, guest)));
        daemon_schedule(world, host_number);
}

static void apply_device_event(struct world *world, unsigned host_number, const struct message *message)
{
        struct agent *agent = &world->hosts[host_number].agents[message->nic];

        if (!agent->known)
                return;
        if (message->kind == MESSAGE_DEVICE_REMOVED)
                agent->facts.attached = FAILOVER_NO;
        agent->tables_stale = true;
        agent->dirty = true;
        daemon_schedule(world, host_number);
}

static unsigned apply_standby(struct world *world, unsigned host_number, const struct message *message)
{
        struct host *host = &world->hosts[host_number];
        struct domain *domain = &host->domains[message->guest];

        if (host->agents[message->nic].known)
                host->agents[message->nic].facts.standby = FAILOVER_YES;
        if (!host->agents[message->nic].known || !host->agents[message->nic].in_guest ||
            domain->presence.state == FAILOVER_GUEST_ABSENT || domain->presence.state == FAILOVER_GUEST_EXPECTED)
                domain->presence.started_under_our_eyes = false;
        return failover_presence_on_standby(&domain->presence) | FAILOVER_PRESENCE_LOOK;
}

static unsigned apply_reset(struct world *world, unsigned host_number, unsigned guest)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest)
                        world->hosts[host_number].agents[nic].facts.standby = FAILOVER_NO;
        return FAILOVER_PRESENCE_LOOK;
}

void daemon_message(struct world *world, unsigned host_number, const struct message *message)
{
        struct host *host = &world->hosts[host_number];
        struct domain *domain = &host->domains[message->guest];
        struct failover_presence *presence = &domain->presence;
        unsigned follows = 0;

        TRACE(world, "host %u: told of guest %u: %s %s", host_number, message->guest,
              message->kind == MESSAGE_SNAPSHOT  ? "snapshot"
              : message->kind == MESSAGE_STANDBY ? "FAILOVER_NEGOTIATED"
              : message->kind == MESSAGE_STOPPED ? "STOP"
              : message->kind == MESSAGE_RESUMED ? "RESUME"
              : message->kind == MESSAGE_RESET   ? "RESET"
                                                 : "event",
              message_text(message->text));
        if (message->kind == MESSAGE_SNAPSHOT) {
                apply_snapshot(world, host_number, message);
                return;
        }
        if (message->kind == MESSAGE_LISTED) {
                apply_list(world, host_number, message);
                return;
        }
        if (!domain->known) {
                if (message->kind != MESSAGE_LIFECYCLE)
                        return;
                domain->known = true;
        }
        switch (message->kind) {
        case MESSAGE_STANDBY:
                follows = apply_standby(world, host_number, message);
                break;
        case MESSAGE_UNPLUG_ASKED:
                follows = failover_presence_on_unplug_asked(presence);
                break;
        case MESSAGE_MIGRATION:
                follows = failover_presence_on_migration(presence, message_text(message->text));
                break;
        case MESSAGE_STOPPED:
                follows = failover_presence_on_stop(presence);
                break;
        case MESSAGE_RESUMED:
                follows = failover_presence_on_resume(presence);
                break;
        case MESSAGE_RESET:
                follows = apply_reset(world, host_number, message->guest);
                break;
        case MESSAGE_LIFECYCLE:
                follows = failover_presence_on_lifecycle(presence, message_text(message->text));
                break;
        default:
                apply_device_event(world, host_number, message);
                return;
        }
        follow(world, host_number, message->guest, follows);
}

void daemon_notified(struct world *world, unsigned host)
{
        if (world->hosts[host].daemon_up)
                daemon_dirty(world, host, true);
}

void daemon_disconnected(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];

        host->listed = false;
        TRACE(world, "host %u: libvirt is not heard any more", host_number);
        for (unsigned guest = 0; guest < world->guests_count; guest++) {
                unsigned follows;

                if (!host->domains[guest].known)
                        continue;
                follows = failover_presence_on_disconnect(&host->domains[guest].presence);
                for (unsigned nic = 0; nic < world->nics_count && follows; nic++)
                        if (world->nics[nic].guest == guest && host->agents[nic].facts.standby == FAILOVER_NO)
                                host->agents[nic].facts.standby = FAILOVER_UNKNOWN;
                follow(world, host_number, guest, follows);
        }
}

void daemon_connected(struct world *world, unsigned host)
{
        TRACE(world, "host %u: libvirt is heard", host);
        world->hosts[host].listed = false;
}

/* ---- the hook and requests ---- */

static void expire_leases(struct world *world, struct host *host, unsigned guest)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest && host->agents[nic].claimed && host->agents[nic].claim.leased) {
                        host->agents[nic].claim.lease_until = 0;
                        host->agents[nic].dirty = true;
                }
        if (host->domains[guest].presence.state == FAILOVER_GUEST_EXPECTED)
                host->domains[guest].presence.state = FAILOVER_GUEST_ABSENT;
}

static int lease(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = agent_add(world, host_number, nic);
        int r = 0;

        agent->facts.failure = FAILOVER_REASON_NONE;
        agent->facts.back_off_until = 0;
        agent->tables_stale = true;
        agent->in_guest = true;
        if (agent->claimed && agent->claim.adopted)
                return -EBUSY; /* libvirt has to give it back first */
        if (agent->claimed) {
                agent->claim.leased = true;
                agent->claim.lease_until = world->now + SIM_LEASE;
                daemon_write_claim(world, host_number, nic);
                if (world->now < host->disk_full_until)
                        return -ENOSPC;
        } else {
                r = daemon_claim(world, host_number, nic, true);
                if (r == 0)
                        TRACE(world, "host %u: NIC %u: leased VF %u", host_number, nic, agent->claim.vf);
        }
        return r;
}

/* For what libvirt programs at the destination nothing is leased. */
bool daemon_leases_for(const struct world *world, unsigned nic, unsigned source)
{
        const struct device *device = &world->nics[nic].devices[source];

        return device->stage != DEVICE_NONE && !device->owners;
}

int daemon_hook(struct world *world, unsigned host_number, unsigned guest, bool first)
{
        struct host *host = &world->hosts[host_number];
        struct domain *domain = &host->domains[guest];
        const struct migration *migration = &world->migrations[guest];
        int r = 0;

        if (first &&
            (domain->presence.state == FAILOVER_GUEST_RUNNING || domain->presence.state == FAILOVER_GUEST_PAUSED))
                return -EBUSY;
        if (first) {
                domain->known = true;
                domain->devices_known = true;
                failover_presence_on_expected(&domain->presence);
        }
        for (unsigned nic = 0; nic < world->nics_count && r == 0; nic++) {
                const struct agent *agent = &host->agents[nic];

                if (world->nics[nic].guest != guest || !daemon_leases_for(world, nic, migration->source))
                        continue;
                if (first)
                        r = lease(world, host_number, nic);
                else if (!agent->claimed)
                        r = -ENOENT;
                else if (agent->facts.failure != FAILOVER_REASON_NONE)
                        r = -EIO;
                else if (agent->facts.prepared != FAILOVER_YES || agent->facts.call != FAILOVER_CALL_NONE ||
                         agent->tables_stale)
                        r = -EAGAIN;
        }
        if (first && r == 0)
                r = -EAGAIN;
        if (r < 0 && r != -EAGAIN)
                expire_leases(world, host, guest);
        daemon_schedule(world, host_number);
        return r;
}

void daemon_hook_release(struct world *world, unsigned host_number, unsigned guest)
{
        struct host *host = &world->hosts[host_number];

        if (!host->daemon_up || !host->domains[guest].known)
                return;
        if (host->domains[guest].presence.state == FAILOVER_GUEST_EXPECTED)
                expire_leases(world, host, guest);
        daemon_schedule(world, host_number);
        libvirt_refresh(world, host_number, guest);
}

void daemon_hold(struct world *world, unsigned host_number, unsigned nic, bool hold, bool by_migration)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];

        if (!host->daemon_up || !agent->known)
                return;
        if (by_migration) {
                agent->held_by_migration = hold;
        } else {
                agent->held = hold;
                host->writes++;
                host->disk_records[nic].present = true;
                host->disk_records[nic].held = hold;
                agent->recorded = true;
        }
        agent->dirty = true;
        daemon_schedule(world, host_number);
}

/* ---- life ---- */

void daemon_crash(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];
        struct event *event;

        if (!host->daemon_up)
                return;
        TRACE(world, "host %u: the daemon dies", host_number);
        host->daemon_up = false;
        host->connected = host->listed = false;
        host->connection++;
        host->life++;
        host->crash_in = 0;
        host->reconcile_scheduled = false;
        event = events_add(world, world->now + random_between(&world->random, 10, 20000) * MILLISECOND,
                           EVENT_DAEMON_STARTS);
        event->host = (uint8_t) host_number;
}

void daemon_start(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];

        if (host->daemon_up)
                return;
        TRACE(world, "host %u: the daemon starts", host_number);
        host->daemon_up = true;
        host->life++;
        host->connection++;
        host->connected = host->listed = false;
        host->look_armed = host->deadline_armed = FAILOVER_NEVER;
        memset(host->agents, 0, sizeof(host->agents));
        memset(host->domains, 0, sizeof(host->domains));
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (host->disk_records[nic].present) {
                        struct agent *agent = agent_add(world, host_number, nic);

                        agent->recorded = true;
                        agent->held = host->disk_records[nic].held;
                }
        for (unsigned slot = 0; slot < CARDS_MAX * VFS_MAX; slot++) {
                const struct disk_claim *claim = &host->disk_claims[slot];
                struct agent *agent;

                if (!claim->present)
                        continue;
                agent = agent_add(world, host_number, (unsigned) claim->nic);
                agent->claimed = true;
                agent->claim = *claim;
                agent->facts.attached = FAILOVER_UNKNOWN;
        }
        if (host->libvirt_up)
                libvirt_connect_soon(world, host_number);
        daemon_schedule(world, host_number);
}
