/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Guests: QEMU's failover (a primary is hidden until STANDBY is accepted, unplugged by QEMU at the start of a migration
 * and plugged again when that fails) and the guest's kernel (net_failover drops what arrives on the standby while a
 * primary is registered; between closing and unregistering the VF it is deaf by its own doing).
 */

#include "tests/sim/world.h"

enum device_event {
        DEVICE_EVENT_STEP,
        DEVICE_EVENT_UNPLUG,
        DEVICE_EVENT_EJECT,
        DEVICE_EVENT_REPLUG,
};

bool guests_cpus_run(const struct world *world, unsigned guest, unsigned host)
{
        return world->guests[guest].instances[host].state == INSTANCE_RUNNING;
}

static void device_event(struct world *world, unsigned host, unsigned nic, enum device_event what, uint64_t delay)
{
        const struct device *device = &world->nics[nic].devices[host];
        struct event *event = events_add(world, world->now + delay, EVENT_DEVICE_STEP);

        event->host = (uint8_t) host;
        event->nic = (uint8_t) nic;
        event->value = (int32_t) what;
        event->generation = what == DEVICE_EVENT_UNPLUG ? device->unplug_generation : device->generation;
}

static const char *stage_to_string(enum device_stage stage)
{
        static const char *const names[DEVICE_STAGES] = {
                [DEVICE_NONE] = "gone",     [DEVICE_HIDDEN] = "hidden",   [DEVICE_VISIBLE] = "visible",
                [DEVICE_PROBED] = "probed", [DEVICE_OPEN] = "open",       [DEVICE_PRIMARY] = "primary",
                [DEVICE_CLOSED] = "closed", [DEVICE_RELEASED] = "let go",
        };

        return names[stage];
}

void guests_device_set(struct world *world, unsigned host, unsigned nic, enum device_stage stage)
{
        struct device *device = &world->nics[nic].devices[host];

        TRACE(world, "host %u: VF of NIC %u is %s in the guest", host, nic, stage_to_string(stage));
        device->stage = stage;
        device->generation++;
        world->touched = true;
        world->by_daemon = false;
        /* QEMU opens a VF when it shows it to the guest. */
        if (stage == DEVICE_VISIBLE) {
                struct vf *vf = &world->hosts[host].cards[device->card].vfs[device->vf];

                if (!vf->exists || (vf->holder != NOBODY && vf->holder != (int8_t) nic) ||
                    (device->owners && !vf->libvirts))
                        device->stage = DEVICE_NONE; /* only a warning in QEMU's log */
                else
                        vf->holder = (int8_t) nic;
        }
}

/* What the guest's kernel does next by itself. */
void guests_device_next(struct world *world, unsigned host, unsigned nic)
{
        const struct device *device = &world->nics[nic].devices[host];
        const struct guest *guest = &world->guests[world->nics[nic].guest];

        if (!guest->booted || guest->host != (int8_t) host)
                return;
        switch (device->stage) {
        case DEVICE_VISIBLE:
                if (guest->has_driver)
                        device_event(world, host, nic, DEVICE_EVENT_STEP, guest->probe_time);
                break;
        case DEVICE_PROBED:
                if (device->paired || guest->opens_alone)
                        device_event(world, host, nic, DEVICE_EVENT_STEP, guest->open_time);
                break;
        case DEVICE_OPEN:
                if (device->paired)
                        device_event(world, host, nic, DEVICE_EVENT_STEP, guest->pair_time);
                break;
        case DEVICE_CLOSED:
                device_event(world, host, nic, DEVICE_EVENT_STEP, guest->close_time);
                break;
        default:
                break;
        }
        if (device->unplug_pending)
                device_event(world, host, nic, DEVICE_EVENT_UNPLUG, guest->unplug_time);
}

void guests_plug(struct world *world, unsigned host, unsigned nic, unsigned card, unsigned vf)
{
        struct device *device = &world->nics[nic].devices[host];
        const struct guest *guest = &world->guests[world->nics[nic].guest];
        unsigned generation = device->generation, unplug_generation = device->unplug_generation;
        bool running = guest->host == (int8_t) host && guest->instances[host].state != INSTANCE_INCOMING;

        *device = (struct device){
                .card = (uint8_t) card,
                .vf = (uint8_t) vf,
                .generation = generation,
                .unplug_generation = unplug_generation + 1,
                .mac = MAC_ZERO,
        };
        guests_device_set(world, host, nic, running && guest->standby ? DEVICE_VISIBLE : DEVICE_HIDDEN);
        guests_device_next(world, host, nic);
}

void guests_close_vf(struct world *world, unsigned host, unsigned nic)
{
        const struct device *device = &world->nics[nic].devices[host];
        const struct vf *vf = &world->hosts[host].cards[device->card].vfs[device->vf];
        struct event *event;

        if (vf->holder != (int8_t) nic)
                return;
        event = events_add(world, world->now + random_between(&world->random, 0, 100) * MILLISECOND, EVENT_VF_CLOSED);
        event->host = (uint8_t) host;
        event->nic = (uint8_t) nic;
        event->value = (int32_t) (device->card * VFS_MAX + device->vf);
        event->generation = vf->incarnation;
}

static void remove_device(struct world *world, unsigned host, unsigned nic)
{
        const struct device *device = &world->nics[nic].devices[host];

        guests_close_vf(world, host, nic);
        if (device->owners)
                libvirt_give_back_soon(world, host, nic, device->card, device->vf);
        guests_device_set(world, host, nic, DEVICE_NONE);
        world->nics[nic].devices[host].unplug_pending = false;
        libvirt_tell(world, host, world->nics[nic].guest, MESSAGE_DEVICE_REMOVED, TEXT_NONE, nic);
}

/* QEMU has deleted the device. What libvirt has programmed it may give back before it tells of that. */
static void eject(struct world *world, unsigned host, unsigned nic)
{
        struct device *device = &world->nics[nic].devices[host];

        if (!device->owners || device->deleted || !world->hosts[host].libvirt_up || random_chance(&world->random, 50)) {
                remove_device(world, host, nic);
                return;
        }
        device->deleted = true;
        device->generation++;
        libvirt_give_mac_back(world, host, nic, device->card, device->vf);
        device_event(world, host, nic, DEVICE_EVENT_EJECT, random_between(&world->random, 1, 500) * MILLISECOND);
}

static bool is_leaving(const struct world *world, unsigned nic, unsigned host)
{
        const struct migration *migration = &world->migrations[world->nics[nic].guest];

        return migration->phase >= MIGRATION_SETUP && migration->source == host;
}

static void released(struct world *world, unsigned host, unsigned nic)
{
        struct device *device = &world->nics[nic].devices[host];

        guests_device_set(world, host, nic, DEVICE_RELEASED);
        device->unplug_pending = false;
        if (!device->unplug_for_migration) {
                device_event(world, host, nic, DEVICE_EVENT_EJECT, random_below(&world->random, 1000) * MILLISECOND);
                return;
        }
        device->partially_unplugged = true;
        if (!is_leaving(world, nic, host)) /* cancelled meanwhile */
                device_event(world, host, nic, DEVICE_EVENT_REPLUG,
                             random_between(&world->random, 100, 2000) * MILLISECOND);
}

void guests_ask_to_unplug(struct world *world, unsigned host, unsigned nic, bool for_migration)
{
        struct device *device = &world->nics[nic].devices[host];
        const struct guest *guest = &world->guests[world->nics[nic].guest];

        device->asked++;
        switch (device->stage) {
        case DEVICE_NONE:
                return;
        case DEVICE_HIDDEN:
                remove_device(world, host, nic);
                return;
        case DEVICE_CLOSED:
                device->unplug_for_migration |= for_migration;
                return;
        case DEVICE_RELEASED:
                if (!for_migration && !is_leaving(world, nic, host)) {
                        device->unplug_for_migration = false;
                        device_event(world, host, nic, DEVICE_EVENT_EJECT, 100 * MILLISECOND);
                }
                return;
        default:
                break;
        }
        device->unplug_for_migration |= for_migration;
        if (!guest->booted && random_chance(&world->random, 50) && !for_migration)
                return; /* nobody looks at the button now */
        device->unplug_pending = true;
        device->unplug_generation++;
        if (guest->booted && guest->host == (int8_t) host)
                device_event(world, host, nic, DEVICE_EVENT_UNPLUG, guest->unplug_time);
}

static void unplug(struct world *world, unsigned host, unsigned nic)
{
        struct device *device = &world->nics[nic].devices[host];
        const struct guest *guest = &world->guests[world->nics[nic].guest];

        if (guest->refusal == REFUSES_ALWAYS || guest->refusal == REFUSES_SAYING_SO ||
            (guest->refusal == REFUSES_FIRST && device->refused == 0) ||
            (guest->refusal == REFUSES_LONG && device->refused <= sim_policy.unplug_attempts)) {
                device->refused++;
                device->unplug_pending = false;
                if (guest->refusal == REFUSES_SAYING_SO)
                        libvirt_tell(world, host, world->nics[nic].guest, MESSAGE_DEVICE_REMOVAL_FAILED, TEXT_NONE,
                                     nic);
                return;
        }
        if (device->stage == DEVICE_OPEN || device->stage == DEVICE_PRIMARY) {
                guests_device_set(world, host, nic, DEVICE_CLOSED);
                guests_device_next(world, host, nic);
        } else if (device->stage == DEVICE_VISIBLE || device->stage == DEVICE_PROBED) {
                released(world, host, nic);
        }
}

static void probe(struct world *world, unsigned host, unsigned nic)
{
        struct device *device = &world->nics[nic].devices[host];
        const struct guest *guest = &world->guests[world->nics[nic].guest];
        const struct vf *vf = cards_vf_of(&world->hosts[host], device);

        device->mac = vf->mac;
        checks_probe(world, host, nic);
        device->paired = guest->pairs && guest->has_failover && guest->standby && vf->mac == world->nics[nic].mac;
}

static void step(struct world *world, unsigned host, unsigned nic)
{
        const struct device *device = &world->nics[nic].devices[host];

        switch (device->stage) {
        case DEVICE_VISIBLE:
                probe(world, host, nic);
                guests_device_set(world, host, nic, DEVICE_PROBED);
                break;
        case DEVICE_PROBED:
                guests_device_set(world, host, nic, DEVICE_OPEN);
                break;
        case DEVICE_OPEN:
                guests_device_set(world, host, nic, DEVICE_PRIMARY);
                break;
        case DEVICE_CLOSED:
                if (device->unplug_pending) {
                        released(world, host, nic);
                        return;
                }
                guests_device_set(world, host, nic, DEVICE_VISIBLE); /* the driver was unloaded */
                return;
        default:
                return;
        }
        /* What was asked meanwhile has its own event under way. */
        bool pending = device->unplug_pending;

        world->nics[nic].devices[host].unplug_pending = false;
        guests_device_next(world, host, nic);
        world->nics[nic].devices[host].unplug_pending = pending;
}

static void replug(struct world *world, unsigned host, unsigned nic)
{
        struct device *device = &world->nics[nic].devices[host];

        if (device->stage != DEVICE_RELEASED || device->deleted || is_leaving(world, nic, host))
                return;
        device->unplug_for_migration = false;
        if (random_chance(&world->random, 10))
                return; /* "partially unplugged device on failure": only in QEMU's log */
        device->partially_unplugged = false;
        guests_device_set(world, host, nic, DEVICE_VISIBLE);
        guests_device_next(world, host, nic);
}

void guests_device_step(struct world *world, const struct event *event)
{
        unsigned host = event->host, nic = event->nic;
        struct device *device = &world->nics[nic].devices[host];
        bool by_guest = event->value == DEVICE_EVENT_STEP || event->value == DEVICE_EVENT_UNPLUG;

        if (event->generation != (event->value == DEVICE_EVENT_UNPLUG ? device->unplug_generation : device->generation))
                return;
        if (by_guest && !guests_cpus_run(world, world->nics[nic].guest, host)) {
                if (world->guests[world->nics[nic].guest].instances[host].state == INSTANCE_PAUSED)
                        device_event(world, host, nic, (enum device_event) event->value, SECOND);
                return;
        }
        switch ((enum device_event) event->value) {
        case DEVICE_EVENT_STEP:
                step(world, host, nic);
                break;
        case DEVICE_EVENT_UNPLUG:
                if (device->unplug_pending)
                        unplug(world, host, nic);
                break;
        case DEVICE_EVENT_EJECT:
                if (device->stage == DEVICE_RELEASED)
                        eject(world, host, nic);
                break;
        case DEVICE_EVENT_REPLUG:
                replug(world, host, nic);
                break;
        }
}

/* ---- the whole guest ---- */

static void boot(struct world *world, unsigned guest_number)
{
        struct guest *guest = &world->guests[guest_number];
        struct event *event = events_add(world, world->now + guest->boot_time, EVENT_GUEST_BOOTED);

        guest->booted = false;
        guest->standby = false;
        event->guest = (uint8_t) guest_number;
        event->generation = ++guest->boot_generation;
        world->touched = true;
        world->by_daemon = false;
}

void guests_start(struct world *world, unsigned guest_number, unsigned host)
{
        struct guest *guest = &world->guests[guest_number];

        guest->host = (int8_t) host;
        guest->instances[host] = (struct instance){ .state = INSTANCE_RUNNING, .since = world->now };
        TRACE(world, "host %u: guest %u starts", host, guest_number);
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest_number && world->nics[nic].has_owners_vf &&
                    !world->nics[nic].unplugged)
                        libvirt_plug_owners_vf(world, host, nic);
        boot(world, guest_number);
        libvirt_tell(world, host, guest_number, MESSAGE_RESUMED, TEXT_NONE, 0);
        libvirt_tell(world, host, guest_number, MESSAGE_LIFECYCLE, TEXT_STARTED_BOOTED, 0);
}

void guests_stop(struct world *world, unsigned guest_number, unsigned host, unsigned text)
{
        struct guest *guest = &world->guests[guest_number];

        if (guest->instances[host].state == INSTANCE_OFF)
                return;
        TRACE(world, "host %u: guest %u: %s", host, guest_number, message_text(text));
        guest->instances[host] = (struct instance){ .state = INSTANCE_OFF, .since = world->now };
        if (guest->host == (int8_t) host) {
                guest->host = NOBODY;
                guest->booted = guest->standby = false;
                guest->boot_generation++;
        }
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                const struct device *device = &world->nics[nic].devices[host];

                if (world->nics[nic].guest != guest_number || device->stage == DEVICE_NONE)
                        continue;
                guests_close_vf(world, host, nic);
                if (device->owners)
                        libvirt_give_back_soon(world, host, nic, device->card, device->vf);
                guests_device_set(world, host, nic, DEVICE_NONE);
        }
        world->touched = true;
        world->by_daemon = false;
        libvirt_tell(world, host, guest_number, MESSAGE_LIFECYCLE, text, 0);
}

void guests_reset(struct world *world, unsigned guest_number)
{
        struct guest *guest = &world->guests[guest_number];
        unsigned host;

        if (guest->host == NOBODY || !guests_cpus_run(world, guest_number, (unsigned) guest->host))
                return;
        host = (unsigned) guest->host;
        TRACE(world, "host %u: guest %u reboots", host, guest_number);
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                struct device *device = &world->nics[nic].devices[host];

                if (world->nics[nic].guest != guest_number || device->stage < DEVICE_VISIBLE)
                        continue;
                device->paired = false;
                if (device->unplug_pending && (device->unplug_for_migration || random_chance(&world->random, 50))) {
                        /* A reset completes an unplug that was asked for. */
                        released(world, host, nic);
                } else if (device->stage != DEVICE_RELEASED) {
                        device->unplug_pending = false;
                        guests_device_set(world, host, nic, DEVICE_VISIBLE);
                }
        }
        boot(world, guest_number);
        libvirt_tell(world, host, guest_number, MESSAGE_RESET, TEXT_NONE, 0);
}

void guests_accept_standby(struct world *world, unsigned guest_number, unsigned host)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                if (world->nics[nic].guest != guest_number)
                        continue;
                /* QEMU plugs nothing while it migrates: the device stays hidden. */
                if (world->nics[nic].devices[host].stage == DEVICE_HIDDEN && !is_leaving(world, nic, host))
                        guests_device_set(world, host, nic, DEVICE_VISIBLE);
                libvirt_tell(world, host, guest_number, MESSAGE_STANDBY, TEXT_NONE, nic);
        }
}

void guests_booted(struct world *world, const struct event *event)
{
        struct guest *guest = &world->guests[event->guest];
        unsigned host;

        if (event->generation != guest->boot_generation || guest->host == NOBODY)
                return;
        host = (unsigned) guest->host;
        if (!guests_cpus_run(world, event->guest, host)) {
                struct event *again = events_add(world, world->now + SECOND, EVENT_GUEST_BOOTED);

                again->guest = event->guest;
                again->generation = event->generation;
                return;
        }
        TRACE(world, "host %u: guest %u is up", host, event->guest);
        guest->booted = true;
        world->touched = true;
        world->by_daemon = false;
        if (guest->has_failover) {
                guest->standby = true;
                guests_accept_standby(world, event->guest, host);
        }
        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == event->guest)
                        guests_device_next(world, host, nic);
}

void guests_pause(struct world *world, unsigned guest_number, bool pause)
{
        struct guest *guest = &world->guests[guest_number];
        struct instance *instance;

        if (guest->host == NOBODY)
                return;
        instance = &guest->instances[guest->host];
        if (instance->state != (pause ? INSTANCE_RUNNING : INSTANCE_PAUSED))
                return;
        instance->state = pause ? INSTANCE_PAUSED : INSTANCE_RUNNING;
        TRACE(world, "host %d: guest %u is %s", guest->host, guest_number, pause ? "paused" : "resumed");
        world->touched = true;
        world->by_daemon = false;
        libvirt_tell(world, (unsigned) guest->host, guest_number, pause ? MESSAGE_STOPPED : MESSAGE_RESUMED, TEXT_NONE,
                     0);
}
