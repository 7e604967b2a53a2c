/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Carries out what the core decided, as src/daemon/actions.c does: tables at once, steps as calls whose effect and whose
 * answer come later, claims on disk before what they announce. A daemon that is to die at an action dies here, before
 * its effect or right after it.
 */

#include "tests/sim/world.h"

#include <errno.h>

/* How long libvirt may take to give back a VF that it has programmed, and how often that is looked at. */
#define LIBVIRT_BOUND    (10 * SECOND)
#define LIBVIRT_INTERVAL (100 * MILLISECOND)

static bool kernel_refuses(const struct world *world, const struct host *host, enum failover_action action)
{
        return world->now < host->kernel_refuses_until && host->refused_action == action;
}

/* ---- claims ---- */

static int write_claim(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        const struct disk_claim *claim = &host->agents[nic].claim;

        if (world->now < host->disk_full_until)
                return -ENOSPC;
        host->writes++;
        host->disk_claims[claim->card * VFS_MAX + claim->vf] = *claim;
        return 0;
}

void daemon_write_claim(struct world *world, unsigned host, unsigned nic)
{
        write_claim(world, host, nic);
}

int daemon_claim(struct world *world, unsigned host_number, unsigned nic, bool leased)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        const struct vf *vf;
        unsigned index;
        int r;

        if (daemon_find_free(world, host_number, &index) != FAILOVER_REASON_NONE)
                return -ENODEV;
        vf = &host->cards[host->active].vfs[index];
        agent->claim = (struct disk_claim){
                .present = true,
                .nic = (int8_t) nic,
                .card = (uint8_t) host->active,
                .vf = (uint8_t) index,
                .leased = leased,
                .lease_until = leased ? world->now + SIM_LEASE : 0,
                .mac_before = vf->mac,
                .settings_before = vf->settings,
                .driver_before = vf->driver,
                .incarnation = vf->incarnation,
        };
        r = write_claim(world, host_number, nic);
        if (r < 0)
                return r;
        agent->claimed = true;
        agent->facts.attached = FAILOVER_NO;
        agent->tables_stale = true;
        return 0;
}

static int drop_claim(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];

        host->writes++;
        host->disk_claims[agent->claim.card * VFS_MAX + agent->claim.vf].present = false;
        agent->claimed = false;
        agent->tables_stale = true;
        /* The VF that its owner gave to the guest meanwhile can be taken over now. */
        if (agent->obstacle == FAILOVER_REASON_VF_NOT_OURS)
                libvirt_refresh(world, host_number, world->nics[nic].guest);
        daemon_dirty(world, host_number, false);
        return 0;
}

/* ---- calls ---- */

static void start_call(struct world *world, unsigned host_number, unsigned nic, enum failover_call kind,
                       uint64_t latency)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        struct event *event = events_add(world, world->now + latency, EVENT_CALL_DONE);

        agent->facts.call = kind;
        agent->call = (struct call){ .kind = kind, .card = agent->claim.card, .vf = agent->claim.vf };
        host->writes++;
        event->host = (uint8_t) host_number;
        event->nic = (uint8_t) nic;
        event->value = (int32_t) kind;
        event->generation = host->life;
        event->message.vf[0] = (uint8_t) (agent->claim.card * VFS_MAX + agent->claim.vf);
        event->message.vf[1] = agent->claim.driver_before;
        event->message.owners = agent->claim.adopted;
}

static uint64_t bind_latency(struct world *world)
{
        return random_chance(&world->random, 90) ? random_between(&world->random, 10, 500) * MILLISECOND
                                                 : random_between(&world->random, 500, 8000) * MILLISECOND;
}

static uint64_t libvirt_latency(struct world *world, const struct host *host)
{
        return world->now < host->slow_until ? random_between(&world->random, 5, 40) * SECOND
                                             : random_between(&world->random, 20, 1500) * MILLISECOND;
}

/* Also when it is not the active one any more. */
static bool has_card(const struct host *host, const struct agent *agent)
{
        return host->cards[agent->claim.card].bound;
}

static int prepare(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        bool touched = agent->claim.touched;
        int r;

        if (!has_card(host, agent))
                return -ENODEV;
        agent->claim.touched = true;
        r = write_claim(world, host_number, nic);
        if (r < 0) {
                agent->claim.touched = touched;
                return r;
        }
        if (agent->facts.attached == FAILOVER_YES) {
                host->cards[agent->claim.card].vfs[agent->claim.vf].settings = (uint8_t) (nic + 1);
                agent->tables_stale = true;
                return 0;
        }
        start_call(world, host_number, nic, FAILOVER_CALL_PREPARE, bind_latency(world));
        return 0;
}

static int restore(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        struct vf *vf = &host->cards[agent->claim.card].vfs[agent->claim.vf];

        if (!has_card(host, agent))
                return -ENODEV;
        if (agent->claim.adopted) {
                start_call(world, host_number, nic, FAILOVER_CALL_RESTORE, 20 * MILLISECOND);
                return 0;
        }
        if (vf->holder != NOBODY) {
                TRACE(world, "host %u: VF %u is open, NIC %d holds it", host_number, agent->claim.vf, vf->holder);
                libvirt_refresh(world, host_number, world->nics[nic].guest);
                return -EBUSY;
        }
        if (!vf->exists || kernel_refuses(world, host, FAILOVER_RESTORE_VF)) {
                daemon_give_up(world, host_number, nic, FAILOVER_REASON_RESTORE_FAILED);
                return -EIO;
        }
        vf->mac = agent->claim.mac_before;
        vf->settings = agent->claim.settings_before;
        start_call(world, host_number, nic, FAILOVER_CALL_RESTORE, bind_latency(world));
        return 0;
}

/* ---- tables ---- */

static int set_vf_mac(struct world *world, unsigned host_number, unsigned nic, int8_t mac)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];

        if (!has_card(host, agent))
                return -ENODEV;
        if (!host->cards[agent->claim.card].vfs[agent->claim.vf].exists)
                return -ENODEV;
        host->cards[agent->claim.card].vfs[agent->claim.vf].mac = mac;
        return 0;
}

static bool needs_uplink(enum failover_action action)
{
        return action == FAILOVER_ADD_COPY_RULE || action == FAILOVER_ADD_UPLINK_FILTER ||
               action == FAILOVER_PIN_TO_UPLINK || action == FAILOVER_ADD_VF_FILTER;
}

static int execute_table(struct world *world, unsigned host_number, unsigned nic, enum failover_action action)
{
        struct host *host = &world->hosts[host_number];
        struct failover_facts *facts = &host->agents[nic].facts;
        int8_t mac = world->nics[nic].mac;
        int r = 0;

        if (!cards_uplink(host) && needs_uplink(action))
                return -ENODEV;
        if (action != FAILOVER_ANNOUNCE && kernel_refuses(world, host, action))
                return -EIO;
        host->writes++;
        switch (action) {
        case FAILOVER_ADD_VF_FILTER:
        case FAILOVER_REMOVE_VF_FILTER:
                r = set_vf_mac(world, host_number, nic, action == FAILOVER_ADD_VF_FILTER ? mac : MAC_ZERO);
                if (r == 0)
                        facts->vf_filter = action == FAILOVER_ADD_VF_FILTER ? FAILOVER_YES : FAILOVER_NO;
                return r;
        case FAILOVER_ADD_UPLINK_FILTER:
        case FAILOVER_REMOVE_UPLINK_FILTER:
                host->agents[nic].uplink_filter_partly = false;
                for (unsigned i = 0; i < host->cards_count; i++)
                        host->cards[i].uplink_filter[mac] = action == FAILOVER_ADD_UPLINK_FILTER &&
                                                            daemon_filter_belongs(host, &host->agents[nic], i);
                facts->uplink_filter = action == FAILOVER_ADD_UPLINK_FILTER ? FAILOVER_YES : FAILOVER_NO;
                return 0;
        case FAILOVER_ADD_COPY_RULE:
        case FAILOVER_REMOVE_COPY_RULE:
                if (action == FAILOVER_ADD_COPY_RULE && !facts->tap_present)
                        return -ENODEV;
                host->copy_rule[mac] = action == FAILOVER_ADD_COPY_RULE;
                facts->copy_rule = host->copy_rule[mac] ? FAILOVER_YES : FAILOVER_NO;
                return 0;
        case FAILOVER_ADD_MULTICAST_ROUTER:
        case FAILOVER_REMOVE_MULTICAST_ROUTER:
                if (!facts->tap_present)
                        return -ENODEV;
                host->multicast_router[nic] = action == FAILOVER_ADD_MULTICAST_ROUTER;
                facts->multicast_router = host->multicast_router[nic] ? FAILOVER_YES : FAILOVER_NO;
                return 0;
        case FAILOVER_PIN_TO_TAP:
                if (!facts->tap_present)
                        return -ENODEV;
                host->pin[mac] = facts->pin = FAILOVER_PIN_TAP;
                return 0;
        case FAILOVER_PIN_TO_UPLINK:
                host->pin[mac] = facts->pin = FAILOVER_PIN_UPLINK;
                return 0;
        case FAILOVER_UNPIN:
                host->pin[mac] = facts->pin = FAILOVER_PIN_NONE;
                return 0;
        case FAILOVER_ANNOUNCE:
                facts->announce_wanted = false;
                world->announced[nic] = world->now;
                return 0;
        default:
                return -EINVAL;
        }
}

static bool adds_to_a_shared_table(enum failover_action action)
{
        return action == FAILOVER_ADD_UPLINK_FILTER || action == FAILOVER_ADD_COPY_RULE ||
               action == FAILOVER_PIN_TO_TAP || action == FAILOVER_PIN_TO_UPLINK;
}

static int execute(struct world *world, unsigned host_number, unsigned nic, enum failover_action action)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];

        switch (action) {
        case FAILOVER_CLAIM_VF: {
                int r = daemon_claim(world, host_number, nic, false);

                if (r < 0 && r != -ENODEV)
                        daemon_give_up(world, host_number, nic, FAILOVER_REASON_CLAIM_FAILED);
                return r;
        }
        case FAILOVER_PREPARE_VF:
                return prepare(world, host_number, nic);
        case FAILOVER_ATTACH_VF:
                if (!host->connected)
                        return -ENOTCONN;
                start_call(world, host_number, nic, FAILOVER_CALL_ATTACH, libvirt_latency(world, host));
                return 0;
        case FAILOVER_DETACH_VF:
                failover_unplug_asked(&agent->facts, world->now);
                if (!host->connected)
                        return -ENOTCONN;
                start_call(world, host_number, nic, FAILOVER_CALL_DETACH, libvirt_latency(world, host));
                return 0;
        case FAILOVER_RESTORE_VF:
                return restore(world, host_number, nic);
        case FAILOVER_DROP_CLAIM:
                return drop_claim(world, host_number, nic);
        default:
                break;
        }
        if (adds_to_a_shared_table(action) && !agent->recorded && world->now >= host->disk_full_until) {
                host->writes++;
                host->disk_records[nic].present = true;
                host->disk_records[nic].held = agent->held;
                agent->recorded = true;
        }
        return execute_table(world, host_number, nic, action);
}

int daemon_execute(struct world *world, unsigned host_number, unsigned nic, enum failover_action action)
{
        struct host *host = &world->hosts[host_number];
        unsigned life = host->life;
        int r;

        if (!host->daemon_up || world->failed)
                return -ESHUTDOWN;
        TRACE(world, "host %u: NIC %u: %s", host_number, nic, failover_action_to_string(action));
        world->statistics->actions++;
        if (host->crash_in > 0 && --host->crash_in == 0 && !host->crash_after) {
                daemon_crash(world, host_number);
                return -ESHUTDOWN;
        }
        checks_before_write(world, host_number, nic, action);
        r = execute(world, host_number, nic, action);
        world->touched = true;
        world->by_daemon = true;
        checks_after_write(world, host_number, nic, action);
        reach_update(world);
        if (host->crash_in == 0 && host->crash_after && host->life == life) {
                host->crash_after = false;
                daemon_crash(world, host_number);
                return -ESHUTDOWN;
        }
        return r;
}

/* ---- effects and answers of calls ---- */

static int bind_vf(struct world *world, struct host *host, struct vf *vf, enum vf_driver driver)
{
        if (!vf->exists)
                return -ENODEV;
        if (world->now < host->bind_fails_until)
                return -EIO;
        vf->driver = (uint8_t) driver;
        return 0;
}

/* A VF that libvirt has programmed is only waited for. True: looked at again later. */
static bool awaits_libvirt(struct world *world, const struct event *event, const struct vf *vf)
{
        struct event *again;

        if (!vf->exists || (vf->holder == NOBODY && vf->driver != VF_DRIVER_VFIO) ||
            event->message.vf[2] >= LIBVIRT_BOUND / LIBVIRT_INTERVAL)
                return false;
        again = events_add(world, world->now + LIBVIRT_INTERVAL, EVENT_CALL_DONE);
        again->host = event->host;
        again->nic = event->nic;
        again->value = event->value;
        again->generation = event->generation;
        again->message = event->message;
        again->message.vf[2]++;
        return true;
}

static int attach(struct world *world, unsigned host_number, unsigned nic, unsigned slot)
{
        struct host *host = &world->hosts[host_number];
        const struct vf *vf = &host->cards[slot / VFS_MAX].vfs[slot % VFS_MAX];
        const struct instance *instance = &world->guests[world->nics[nic].guest].instances[host_number];

        if (!host->libvirt_up)
                return -ENOTCONN;
        if (instance->state != INSTANCE_RUNNING && instance->state != INSTANCE_PAUSED)
                return -ENOENT;
        if (instance->outgoing || world->now < host->refuses_until || !vf->exists || vf->driver != VF_DRIVER_VFIO ||
            vf->holder != NOBODY || world->nics[nic].devices[host_number].stage != DEVICE_NONE ||
            world->nics[nic].unplugged)
                return -EIO;
        guests_plug(world, host_number, nic, slot / VFS_MAX, slot % VFS_MAX);
        libvirt_refresh(world, host_number, world->nics[nic].guest); /* DEVICE_ADDED */
        return 0;
}

static int detach(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        const struct instance *instance = &world->guests[world->nics[nic].guest].instances[host_number];

        if (!host->libvirt_up)
                return -ENOTCONN;
        if (instance->state == INSTANCE_OFF || world->nics[nic].devices[host_number].stage == DEVICE_NONE)
                return -ENOENT;
        if (instance->outgoing || world->now < host->refuses_until) {
                world->nics[nic].devices[host_number].asked++; /* QEMU asks, or nobody can */
                return -EIO;
        }
        world->nics[nic].devices[host_number].asked_at = world->now;
        world->nics[nic].devices[host_number].asked_life = host->life;
        guests_ask_to_unplug(world, host_number, nic, false);
        return 0;
}

/* The deed is done, or not; its answer follows unless the daemon has died or libvirt's answers are lost. A worker's
 * deed may be done although its daemon has died meanwhile, a libvirt call's too. */
void daemon_call_done(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];
        unsigned slot = event->message.vf[0];
        struct vf *vf = &host->cards[slot / VFS_MAX].vfs[slot % VFS_MAX];
        bool lies = world->now < host->lies_until, orphan = event->generation != host->life || !host->daemon_up;
        struct event *answer;
        int r = 0;

        /* What libvirt still does for a daemon that has died is over before the next one has listed the guests. */
        if (orphan && (host->connected || random_chance(&world->random, 50)))
                return;
        if (event->value == FAILOVER_CALL_RESTORE && event->message.owners &&
            (orphan || awaits_libvirt(world, event, vf)))
                return;
        switch ((enum failover_call) event->value) {
        case FAILOVER_CALL_PREPARE:
                r = bind_vf(world, host, vf, VF_DRIVER_VFIO);
                break;
        case FAILOVER_CALL_RESTORE:
                if (event->message.owners)
                        r = vf->holder != NOBODY ? -EBUSY : 0;
                else
                        r = bind_vf(world, host, vf, (enum vf_driver) event->message.vf[1]);
                break;
        case FAILOVER_CALL_ATTACH:
                r = lies && random_chance(&world->random, 50) ? -ETIMEDOUT
                                                              : attach(world, event->host, event->nic, slot);
                if (lies)
                        r = -ETIMEDOUT;
                break;
        case FAILOVER_CALL_DETACH:
                r = lies && random_chance(&world->random, 50) ? -ETIMEDOUT : detach(world, event->host, event->nic);
                if (lies)
                        r = -ETIMEDOUT;
                break;
        case FAILOVER_CALL_NONE:
                break;
        }
        if (orphan)
                return;
        answer = events_add(world, world->now + random_between(&world->random, 100, 5000), EVENT_CALL_ANSWERED);
        answer->host = event->host;
        answer->nic = event->nic;
        answer->generation = event->generation;
        answer->value = event->value;
        answer->message.vf[0] = event->message.vf[0];
        answer->message.outgoing = r < 0;
        answer->message.shown = (uint8_t) -r;
}

static void prepared(struct world *world, unsigned host_number, unsigned nic, int result)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];

        if (!cards_uplink(host))
                return;
        if (result == 0) {
                if (kernel_refuses(world, host, FAILOVER_PREPARE_VF) || !has_card(host, agent) ||
                    !host->cards[agent->claim.card].vfs[agent->claim.vf].exists)
                        result = -EIO;
                else
                        host->cards[agent->claim.card].vfs[agent->claim.vf].settings = (uint8_t) (nic + 1);
        }
        if (result < 0)
                daemon_give_up(world, host_number, nic, FAILOVER_REASON_PREPARE_FAILED);
}

/* What libvirt has left behind, and what was changed beside it. */
static int clear_adopted(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        struct vf *vf = &host->cards[agent->claim.card].vfs[agent->claim.vf];

        if (!has_card(host, agent) || !vf->exists || kernel_refuses(world, host, FAILOVER_RESTORE_VF))
                return -EIO;
        vf->settings = agent->claim.settings_before;
        if (vf->mac == world->nics[nic].mac) {
                checks_mac_write(world, host_number, nic);
                vf->mac = MAC_ZERO;
        }
        return 0;
}

static void restored(struct world *world, unsigned host_number, unsigned nic, int result)
{
        struct agent *agent = &world->hosts[host_number].agents[nic];

        if (result == 0 && agent->claim.adopted)
                result = clear_adopted(world, host_number, nic);
        if (result < 0) {
                daemon_give_up(world, host_number, nic, FAILOVER_REASON_RESTORE_FAILED);
                return;
        }
        agent->claim.touched = false;
        write_claim(world, host_number, nic);
}

static void attached(struct world *world, unsigned host_number, unsigned nic, int result)
{
        struct failover_facts *facts = &world->hosts[host_number].agents[nic].facts;

        if (result == -ENOTCONN || result == -ETIMEDOUT) {
                facts->attached = FAILOVER_UNKNOWN;
        } else if (result < 0) {
                facts->attached = FAILOVER_UNKNOWN; /* it may have it from a call of an earlier daemon */
                daemon_give_up(world, host_number, nic, FAILOVER_REASON_ATTACH_FAILED);
        } else {
                facts->attached = FAILOVER_YES;
                facts->attached_since = world->now;
        }
        libvirt_refresh(world, host_number, world->nics[nic].guest);
}

void daemon_call_answered(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];
        struct agent *agent = &host->agents[event->nic];
        int result = -(int) event->message.shown;
        bool same;

        if (!host->daemon_up || event->generation != host->life || !agent->known)
                return;
        agent->facts.call = FAILOVER_CALL_NONE;
        agent->tables_stale = true;
        same = agent->claimed && agent->claim.card * VFS_MAX + agent->claim.vf == event->message.vf[0];
        TRACE(world, "host %u: NIC %u: call %d answered: %d", event->host, event->nic, event->value, result);
        switch ((enum failover_call) event->value) {
        case FAILOVER_CALL_PREPARE:
                if (same)
                        prepared(world, event->host, event->nic, result);
                break;
        case FAILOVER_CALL_RESTORE:
                if (same)
                        restored(world, event->host, event->nic, result);
                break;
        case FAILOVER_CALL_ATTACH:
                attached(world, event->host, event->nic, result);
                break;
        case FAILOVER_CALL_DETACH:
                if (result < 0)
                        libvirt_refresh(world, event->host, world->nics[event->nic].guest);
                break;
        case FAILOVER_CALL_NONE:
                break;
        }
        agent->dirty = true;
        daemon_schedule(world, event->host);
}

void daemon_give_up(struct world *world, unsigned host_number, unsigned nic, enum failover_reason reason)
{
        struct agent *agent = &world->hosts[host_number].agents[nic];

        TRACE(world, "host %u: NIC %u: gives up: %s", host_number, nic, failover_reason_code(reason));
        failover_give_up(&agent->facts, reason, world->now, SIM_BACK_OFF);
        agent->dirty = true;
}
