/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libvirt and the adapter that speaks to it (src/guests). What it tells arrives in the order in which it happened, a
 * snapshot among the events at its place; while notifications are reordered, it does not. What is told while there is
 * no connection is lost, and everything is listed when there is one again.
 */

#include "tests/sim/world.h"

const char *message_text(unsigned text)
{
        static const char *const texts[] = {
                [TEXT_NONE] = "",
                [TEXT_STARTED_BOOTED] = "started/booted",
                [TEXT_STARTED_MIGRATED] = "started/migrated",
                [TEXT_SUSPENDED_MIGRATED] = "suspended/migrated",
                [TEXT_RESUMED_MIGRATED] = "resumed/migrated",
                [TEXT_STOPPED_SHUTDOWN] = "stopped/shutdown",
                [TEXT_STOPPED_CRASHED] = "stopped/crashed",
                [TEXT_STOPPED_MIGRATED] = "stopped/migrated",
                [TEXT_STOPPED_FAILED] = "stopped/failed",
                [TEXT_SETUP] = "setup",
                [TEXT_WAIT_UNPLUG] = "wait-unplug",
                [TEXT_ACTIVE] = "active",
                [TEXT_DEVICE] = "device",
                [TEXT_POSTCOPY] = "postcopy-active",
                [TEXT_COMPLETED] = "completed",
                [TEXT_FAILED] = "failed",
                [TEXT_CANCELLED] = "cancelled",
        };

        return texts[text];
}

/* In their order: never before what was told before. */
static uint64_t delivery_time(struct world *world, struct host *host)
{
        uint64_t when = world->now + random_between(&world->random, 500, 20000);

        if (world->now < host->reorder_until)
                return world->now + random_between(&world->random, 500, 2000000);
        if (when < host->last_delivery)
                when = host->last_delivery;
        host->last_delivery = when;
        return when;
}

static void read_at(struct world *world, unsigned host_number, unsigned guest, uint64_t when)
{
        struct host *host = &world->hosts[host_number];
        uint64_t latency = world->now < host->slow_until ? random_between(&world->random, 1000, 20000)
                                                         : random_between(&world->random, 5, 80);
        struct event *event;

        if (!host->libvirt_up || !host->daemon_up || !host->connected)
                return;
        event = events_add(world, when + latency * MILLISECOND, EVENT_READ);
        event->host = (uint8_t) host_number;
        event->guest = (uint8_t) guest;
        event->generation = host->connection;
}

void libvirt_tell(struct world *world, unsigned host_number, unsigned guest, enum message_kind kind, unsigned text,
                  unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct event *event;

        if (!host->libvirt_up || !host->daemon_up || !host->connected)
                return;
        event = events_add(world, delivery_time(world, host), EVENT_DELIVERY);
        event->host = (uint8_t) host_number;
        event->generation = host->connection;
        event->message = (struct message){
                .kind = kind, .guest = (uint8_t) guest, .nic = (uint8_t) nic, .text = (uint8_t) text
        };
        /* The adapter reads a domain again after its events. */
        read_at(world, host_number, guest, event->when);
}

void libvirt_refresh(struct world *world, unsigned host_number, unsigned guest)
{
        read_at(world, host_number, guest, world->now);
}

static struct message snapshot(const struct world *world, unsigned host, unsigned guest_number)
{
        static const enum failover_shown shown[] = {
                [INSTANCE_OFF] = FAILOVER_SHOWN_OFF,         [INSTANCE_INCOMING] = FAILOVER_SHOWN_INCOMING,
                [INSTANCE_LOADED] = FAILOVER_SHOWN_INCOMING, [INSTANCE_RUNNING] = FAILOVER_SHOWN_RUNNING,
                [INSTANCE_PAUSED] = FAILOVER_SHOWN_PAUSED,   [INSTANCE_MIGRATED] = FAILOVER_SHOWN_HANDED_OVER,
        };
        const struct guest *guest = &world->guests[guest_number];
        const struct instance *instance = &guest->instances[host];
        struct message message = {
                .kind = MESSAGE_SNAPSHOT,
                .guest = (uint8_t) guest_number,
                .shown = (uint8_t) shown[instance->state],
                .outgoing = instance->outgoing,
        };

        for (unsigned i = 0; i < world->nics_count && instance->state != INSTANCE_OFF; i++) {
                const struct device *device = &world->nics[i].devices[host];

                if (world->nics[i].guest != guest_number)
                        continue;
                if (!world->nics[i].unplugged)
                        message.nics |= (uint8_t) (1u << i);
                if (device->stage != DEVICE_NONE) {
                        message.attached |= (uint8_t) (1u << i);
                        message.vf[i] = (uint8_t) (device->card * VFS_MAX + device->vf);
                }
        }
        return message;
}

/* A guest is never shown as it was before an event that has been told. */
static void deliver(struct world *world, unsigned host_number, const struct message *message)
{
        struct host *host = &world->hosts[host_number];
        struct event *event;

        if (world->now < host->reorder_until) {
                daemon_message(world, host_number, message);
                return;
        }
        event = events_add(world, delivery_time(world, host), EVENT_DELIVERY);

        event->host = (uint8_t) host_number;
        event->generation = host->connection;
        event->message = *message;
}

void libvirt_read(struct world *world, unsigned host_number, const struct event *event)
{
        struct host *host = &world->hosts[host_number];
        struct message message;

        if (!host->libvirt_up || !host->connected || event->generation != host->connection)
                return;
        message = snapshot(world, host_number, event->guest);
        deliver(world, host_number, &message);
}

void libvirt_restart(struct world *world, unsigned host_number, uint64_t down_for)
{
        struct host *host = &world->hosts[host_number];
        struct event *event;

        if (!host->libvirt_up)
                return;
        host->libvirt_up = false;
        event = events_add(world, world->now + down_for, EVENT_LIBVIRT_UP);
        event->host = (uint8_t) host_number;
        if (host->daemon_up && host->connected) {
                host->connected = false;
                host->connection++; /* nothing that was on its way arrives */
                daemon_disconnected(world, host_number);
        }
}

void libvirt_connect_soon(struct world *world, unsigned host_number)
{
        struct event *event =
                events_add(world, world->now + random_between(&world->random, 10, 3000) * MILLISECOND, EVENT_CONNECTED);

        event->host = (uint8_t) host_number;
        event->generation = world->hosts[host_number].connection;
}

void libvirt_up(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];

        host->libvirt_up = true;
        if (host->daemon_up)
                libvirt_connect_soon(world, host_number);
}

/* Connected: from now on events arrive, and everything is listed. */
void libvirt_connected(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];
        struct message message = { .kind = MESSAGE_LISTED };

        if (!host->libvirt_up || !host->daemon_up || host->connected || event->generation != host->connection)
                return;
        host->connected = true;
        daemon_connected(world, event->host);
        for (unsigned i = 0; i < world->guests_count; i++)
                if (world->guests[i].instances[event->host].state != INSTANCE_OFF)
                        message.nics |= (uint8_t) (1u << i);
        deliver(world, event->host, &message);
        for (unsigned i = 0; i < world->guests_count; i++)
                if (message.nics & (1u << i)) {
                        struct message read = snapshot(world, event->host, i);

                        deliver(world, event->host, &read);
                }
}
