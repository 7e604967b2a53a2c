/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Migrations, phase by phase as libvirt's third protocol and QEMU's failover go through them:
 *
 *   (vswitch migrate: hold and wait for the release) - hook at the destination - incoming QEMU - setup - UNPLUG_PRIMARY -
 *   wait-unplug (without a bound) - active - STOP - loaded (FAILOVER_NEGOTIATED, completed) - RESUME - the end
 *
 * Any phase up to the stop may fail or be cancelled: QEMU then plugs the VF again by itself.
 */

#include "tests/sim/world.h"

#include <errno.h>

#define RELEASE_BOUND (150 * SECOND)
#define UNPLUG_BOUND  (90 * SECOND)
#define HOOK_BOUND    (5 * SECOND)

static void next(struct world *world, unsigned guest, enum migration_phase phase, uint64_t delay)
{
        struct migration *migration = &world->migrations[guest];
        struct event *event = events_add(world, world->now + delay, EVENT_MIGRATION);

        migration->phase = phase;
        event->guest = (uint8_t) guest;
        event->generation = migration->generation;
}

void migrations_begin(struct world *world, unsigned guest_number, const struct disturbance *disturbance)
{
        struct migration *migration = &world->migrations[guest_number];
        const struct guest *guest = &world->guests[guest_number];
        unsigned source, destination, generation = migration->generation;
        uint32_t amount = disturbance->amount;

        if (migration->phase != MIGRATION_NONE || guest->host == NOBODY || world->hosts_count < 2)
                return;
        source = (unsigned) guest->host;
        destination = (source + 1 + amount % (world->hosts_count - 1)) % world->hosts_count;
        if (!world->hosts[source].libvirt_up || !world->hosts[destination].libvirt_up ||
            guest->instances[source].state != INSTANCE_RUNNING || guest->instances[destination].state != INSTANCE_OFF)
                return;
        *migration = (struct migration){
                .source = (uint8_t) source,
                .destination = (uint8_t) destination,
                .held = disturbance->kind == DISTURB_MIGRATE_HELD,
                .postcopy = disturbance->kind == DISTURB_MIGRATE_POSTCOPY,
                .fails_in = disturbance->kind == DISTURB_MIGRATE_FAILS
                                    ? MIGRATION_SETUP + (amount >> 8) % (MIGRATION_RESUMED - MIGRATION_SETUP)
                                    : 0,
                .began = world->now,
                .cancel_at = disturbance->kind == DISTURB_MIGRATE_CANCELS
                                     ? world->now + (amount >> 8) % 10000 * MILLISECOND
                                     : 0,
                .generation = generation + 1,
        };
        TRACE(world, "guest %u: %s from host %u to host %u", guest_number, disturbance_to_string(disturbance->kind),
              source, destination);
        if (!migration->held) {
                next(world, guest_number, MIGRATION_HOOK, 50 * MILLISECOND);
                return;
        }
        if (!world->hosts[source].daemon_up) {
                migration->phase = MIGRATION_NONE; /* the command says so and ends */
                return;
        }
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest_number)
                        daemon_hold(world, source, nic, true, true);
        next(world, guest_number, MIGRATION_RELEASING, 100 * MILLISECOND);
}

static void end_hold(struct world *world, unsigned guest)
{
        struct migration *migration = &world->migrations[guest];

        for (unsigned nic = 0; nic < world->nics_count && migration->held; nic++)
                if (world->nics[nic].guest == guest)
                        daemon_hold(world, migration->source, nic, false, true);
}

static void end(struct world *world, unsigned guest_number)
{
        struct migration *migration = &world->migrations[guest_number];

        world->guests[guest_number].instances[migration->source].outgoing = false;
        end_hold(world, guest_number);
        migration->phase = MIGRATION_NONE;
        migration->generation++;
}

void migrations_abort(struct world *world, unsigned guest_number, bool cancelled)
{
        struct migration *migration = &world->migrations[guest_number];
        struct guest *guest = &world->guests[guest_number];
        unsigned source = migration->source, destination = migration->destination;
        bool told = migration->phase >= MIGRATION_UNPLUG;

        if (migration->phase == MIGRATION_NONE)
                return;
        TRACE(world, "guest %u: migration %s", guest_number, cancelled ? "cancelled" : "failed");
        if (migration->incoming)
                guests_stop(world, guest_number, destination, TEXT_STOPPED_FAILED);
        if (migration->phase >= MIGRATION_HOOK)
                daemon_hook_release(world, destination, guest_number);
        end(world, guest_number);
        if (guest->instances[source].state == INSTANCE_OFF)
                return;
        if (told)
                libvirt_tell(world, source, guest_number, MESSAGE_MIGRATION, cancelled ? TEXT_CANCELLED : TEXT_FAILED,
                             0);
        if (guest->instances[source].state == INSTANCE_MIGRATED) {
                guest->instances[source].state = INSTANCE_RUNNING;
                guest->host = (int8_t) source;
                world->touched = true;
                world->by_daemon = false;
                libvirt_tell(world, source, guest_number, MESSAGE_RESUMED, TEXT_NONE, 0);
        }
        libvirt_refresh(world, source, guest_number);
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                const struct device *device = &world->nics[nic].devices[source];
                struct event *event;

                if (world->nics[nic].guest != guest_number || device->stage != DEVICE_RELEASED ||
                    !device->partially_unplugged)
                        continue;
                event = events_add(world, world->now + random_between(&world->random, 50, 2000) * MILLISECOND,
                                   EVENT_DEVICE_STEP);
                event->host = (uint8_t) source;
                event->nic = (uint8_t) nic;
                event->value = 3; /* DEVICE_EVENT_REPLUG */
                event->generation = device->generation;
        }
}

/* ---- phases ---- */

static bool has_device(const struct world *world, unsigned guest, unsigned host)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest && world->nics[nic].devices[host].stage != DEVICE_NONE)
                        return true;
        return false;
}

static bool needs_lease(const struct world *world, unsigned guest, unsigned source)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest && daemon_leases_for(world, nic, source))
                        return true;
        return false;
}

static bool has_claim(const struct world *world, unsigned guest, unsigned host)
{
        for (unsigned i = 0; i < CARDS_MAX * VFS_MAX; i++) {
                const struct disk_claim *claim = &world->hosts[host].disk_claims[i];

                if (claim->present && world->nics[claim->nic].guest == guest)
                        return true;
        }
        return false;
}

static void releasing(struct world *world, unsigned guest)
{
        const struct migration *migration = &world->migrations[guest];

        if (!world->hosts[migration->source].daemon_up || world->now > migration->began + RELEASE_BOUND) {
                migrations_abort(world, guest, false);
                return;
        }
        if (has_device(world, guest, migration->source) || has_claim(world, guest, migration->source))
                next(world, guest, MIGRATION_RELEASING, 200 * MILLISECOND);
        else
                next(world, guest, MIGRATION_HOOK, 100 * MILLISECOND);
}

static void hook(struct world *world, unsigned guest, bool first)
{
        struct migration *migration = &world->migrations[guest];
        unsigned destination = migration->destination;
        int r = 0;

        world->guests[guest].instances[migration->source].outgoing = true;
        if (first)
                migration->hook_deadline = world->now + HOOK_BOUND;
        if (needs_lease(world, guest, migration->source) || !first)
                r = world->hosts[destination].daemon_up ? daemon_hook(world, destination, guest, first) : -ENOTCONN;
        if (r == 0) {
                next(world, guest, MIGRATION_SETUP, random_between(&world->random, 50, 1000) * MILLISECOND);
        } else if (r == -EAGAIN && world->now < migration->hook_deadline) {
                next(world, guest, MIGRATION_HOOK_WAITS, 50 * MILLISECOND);
        } else {
                TRACE(world, "host %u: refuses guest %u", destination, guest);
                migrations_abort(world, guest, false);
        }
}

static const struct disk_claim *claim_of(const struct world *world, unsigned host, unsigned nic, unsigned *ret_slot)
{
        for (unsigned i = 0; i < CARDS_MAX * VFS_MAX; i++)
                if (world->hosts[host].disk_claims[i].present &&
                    world->hosts[host].disk_claims[i].nic == (int8_t) nic) {
                        *ret_slot = i;
                        return &world->hosts[host].disk_claims[i];
                }
        return NULL;
}

static void setup(struct world *world, unsigned guest_number)
{
        struct migration *migration = &world->migrations[guest_number];
        struct guest *guest = &world->guests[guest_number];
        unsigned source = migration->source, destination = migration->destination;

        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                unsigned slot;

                /* An address that is nobody's, or not bound to vfio-pci: libvirt does not start QEMU. */
                if (world->nics[nic].guest == guest_number && daemon_leases_for(world, nic, source) &&
                    (!claim_of(world, destination, nic, &slot) ||
                     world->hosts[destination].cards[slot / VFS_MAX].vfs[slot % VFS_MAX].driver != VF_DRIVER_VFIO)) {
                        migrations_abort(world, guest_number, false);
                        return;
                }
        }
        migration->incoming = true;
        guest->instances[destination] = (struct instance){ .state = INSTANCE_INCOMING, .since = world->now };
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                unsigned slot;

                if (world->nics[nic].guest != guest_number)
                        continue;
                if (daemon_leases_for(world, nic, source) && claim_of(world, destination, nic, &slot))
                        guests_plug(world, destination, nic, slot / VFS_MAX, slot % VFS_MAX);
                else if (world->nics[nic].devices[source].owners &&
                         world->nics[nic].devices[source].stage != DEVICE_NONE)
                        libvirt_plug_owners_vf(world, destination, nic);
        }
        libvirt_tell(world, destination, guest_number, MESSAGE_LIFECYCLE, TEXT_STARTED_MIGRATED, 0);
        libvirt_tell(world, source, guest_number, MESSAGE_MIGRATION, TEXT_SETUP, 0);
        next(world, guest_number, MIGRATION_UNPLUG, 4 * MILLISECOND);
}

static void unplug(struct world *world, unsigned guest)
{
        const struct migration *migration = &world->migrations[guest];
        unsigned source = migration->source;

        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                if (world->nics[nic].guest != guest || world->nics[nic].devices[source].stage < DEVICE_VISIBLE)
                        continue;
                guests_ask_to_unplug(world, source, nic, true);
                libvirt_tell(world, source, guest, MESSAGE_UNPLUG_ASKED, TEXT_NONE, nic);
        }
        libvirt_tell(world, source, guest, MESSAGE_MIGRATION, TEXT_WAIT_UNPLUG, 0);
        next(world, guest, MIGRATION_WAIT_UNPLUG, 250 * MILLISECOND);
}

static void wait_unplug(struct world *world, unsigned guest)
{
        const struct migration *migration = &world->migrations[guest];
        unsigned source = migration->source;

        if (world->now > migration->began + UNPLUG_BOUND) {
                migrations_abort(world, guest, true);
                return;
        }
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                const struct device *device = &world->nics[nic].devices[source];

                if (world->nics[nic].guest == guest && device->stage >= DEVICE_VISIBLE &&
                    device->stage != DEVICE_RELEASED) {
                        next(world, guest, MIGRATION_WAIT_UNPLUG, 250 * MILLISECOND);
                        return;
                }
        }
        libvirt_tell(world, source, guest, MESSAGE_MIGRATION, TEXT_ACTIVE, 0);
        next(world, guest, MIGRATION_STOPPED, random_between(&world->random, 200, 8000) * MILLISECOND);
}

static void stopped(struct world *world, unsigned guest_number)
{
        const struct migration *migration = &world->migrations[guest_number];
        struct guest *guest = &world->guests[guest_number];
        unsigned source = migration->source;

        if (guest->instances[source].state != INSTANCE_RUNNING) {
                migrations_abort(world, guest_number, false); /* paused by somebody: not modelled further */
                return;
        }
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest_number &&
                    world->nics[nic].devices[source].stage >= DEVICE_VISIBLE &&
                    world->nics[nic].devices[source].stage != DEVICE_RELEASED) {
                        migrations_abort(world, guest_number, false); /* a VF that came late cannot migrate */
                        return;
                }
        guest->instances[source].state = INSTANCE_MIGRATED;
        guest->host = NOBODY;
        TRACE(world, "host %u: guest %u is stopped for the hand-over", source, guest_number);
        world->touched = true;
        world->by_daemon = false;
        libvirt_tell(world, source, guest_number, MESSAGE_STOPPED, TEXT_NONE, 0);
        libvirt_tell(world, source, guest_number, MESSAGE_MIGRATION, migration->postcopy ? TEXT_POSTCOPY : TEXT_DEVICE,
                     0);
        libvirt_tell(world, source, guest_number, MESSAGE_LIFECYCLE, TEXT_SUSPENDED_MIGRATED, 0);
        next(world, guest_number, MIGRATION_LOADED, random_between(&world->random, 50, 1000) * MILLISECOND);
}

static void loaded(struct world *world, unsigned guest_number)
{
        struct migration *migration = &world->migrations[guest_number];
        struct guest *guest = &world->guests[guest_number];
        unsigned destination = migration->destination;

        migration->loaded = world->now;
        guest->instances[destination].state = INSTANCE_LOADED;
        TRACE(world, "host %u: guest %u is loaded", destination, guest_number);
        if (guest->standby)
                guests_accept_standby(world, guest_number, destination);
        /* "completed" may come just before the guest runs: too late for its frames. */
        if (migration->postcopy)
                libvirt_tell(world, destination, guest_number, MESSAGE_MIGRATION, TEXT_POSTCOPY, 0);
        next(world, guest_number, MIGRATION_RESUMED, random_between(&world->random, 100, 1500) * MILLISECOND);
}

static void check_arrival(struct world *world, unsigned guest, bool announced)
{
        const struct migration *migration = &world->migrations[guest];

        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest)
                        checks_arrival(world, migration->destination, nic, announced);
}

static void resumed(struct world *world, unsigned guest_number)
{
        struct migration *migration = &world->migrations[guest_number];
        struct guest *guest = &world->guests[guest_number];
        unsigned destination = migration->destination;

        if (!migration->incoming) {
                /* The second time: QEMU at the source ends. */
                if (guest->host == (int8_t) destination)
                        check_arrival(world, guest_number, true);
                guests_stop(world, guest_number, migration->source, TEXT_STOPPED_MIGRATED);
                end(world, guest_number);
                return;
        }
        check_arrival(world, guest_number, false);
        guest->host = (int8_t) destination;
        guest->instances[destination].state = INSTANCE_RUNNING;
        TRACE(world, "host %u: guest %u runs", destination, guest_number);
        world->statistics->arrivals++;
        world->touched = true;
        world->by_daemon = false;
        if (!migration->postcopy)
                libvirt_tell(world, destination, guest_number, MESSAGE_MIGRATION, TEXT_COMPLETED, 0);
        libvirt_tell(world, destination, guest_number, MESSAGE_RESUMED, TEXT_NONE, 0);
        libvirt_tell(world, destination, guest_number, MESSAGE_LIFECYCLE, TEXT_RESUMED_MIGRATED, 0);
        libvirt_tell(world, migration->source, guest_number, MESSAGE_MIGRATION, TEXT_COMPLETED, 0);
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest_number)
                        guests_device_next(world, destination, nic);
        migration->incoming = false;
        next(world, guest_number, MIGRATION_RESUMED,
             migration->postcopy ? random_between(&world->random, 1000, 10000) * MILLISECOND
                                 : random_between(&world->random, 50, 500) * MILLISECOND);
}

void migrations_step(struct world *world, const struct event *event)
{
        unsigned guest = event->guest;
        struct migration *migration = &world->migrations[guest];
        bool may_fail =
                migration->phase <= MIGRATION_RESUMED && world->guests[guest].host != (int8_t) migration->destination;

        if (event->generation != migration->generation || migration->phase == MIGRATION_NONE)
                return;
        if (may_fail && migration->phase >= MIGRATION_SETUP &&
            !(migration->postcopy && migration->phase > MIGRATION_STOPPED)) {
                if (migration->fails_in == (unsigned) migration->phase) {
                        migrations_abort(world, guest, false);
                        return;
                }
                if (migration->cancel_at && world->now >= migration->cancel_at) {
                        migrations_abort(world, guest, true);
                        return;
                }
        }
        switch (migration->phase) {
        case MIGRATION_RELEASING:
                releasing(world, guest);
                break;
        case MIGRATION_HOOK:
                hook(world, guest, true);
                break;
        case MIGRATION_HOOK_WAITS:
                hook(world, guest, false);
                break;
        case MIGRATION_SETUP:
                setup(world, guest);
                break;
        case MIGRATION_UNPLUG:
                unplug(world, guest);
                break;
        case MIGRATION_WAIT_UNPLUG:
                wait_unplug(world, guest);
                break;
        case MIGRATION_STOPPED:
                stopped(world, guest);
                break;
        case MIGRATION_LOADED:
                loaded(world, guest);
                break;
        case MIGRATION_RESUMED:
                resumed(world, guest);
                break;
        default:
                break;
        }
}
