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
                        message.owners |= (uint8_t) (device->owners << i);
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

/* ---- VFs that a guest's owner put into its XML ---- */

static bool is_nobodys(const struct host *host, unsigned card, unsigned index)
{
        const struct vf *vf = &host->cards[card].vfs[index];

        return vf->exists && !vf->taken && !vf->dying && !vf->libvirts && vf->holder == NOBODY &&
               vf->driver == vf->driver_before && vf->mac == vf->mac_before &&
               !host->disk_claims[card * VFS_MAX + index].present;
}

/* None while another VF of the NIC is being given back here. */
static bool find_nobodys(const struct host *host, unsigned nic, unsigned *ret)
{
        for (unsigned slot = 0; slot < CARDS_MAX * VFS_MAX; slot++)
                if (host->disk_claims[slot].present && host->disk_claims[slot].nic == (int8_t) nic)
                        return false;
        for (unsigned i = 0; i < VFS_MAX && host->cards[host->active].bound; i++)
                if (is_nobodys(host, host->active, i)) {
                        *ret = i;
                        return true;
                }
        return false;
}

bool libvirt_plug_owners_vf(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct vf *vf;
        unsigned index;

        if (!find_nobodys(host, nic, &index))
                return false;
        vf = &host->cards[host->active].vfs[index];
        vf->mac = world->nics[nic].mac;
        vf->driver = VF_DRIVER_VFIO;
        vf->libvirts = true;
        vf->given_back = false;
        TRACE(world, "host %u: libvirt programs VF %u for NIC %u", host_number, index, nic);
        guests_plug(world, host_number, nic, host->active, index);
        world->nics[nic].devices[host_number].owners = true;
        cards_notify(world, host_number);
        return true;
}

/* While QEMU hides it, and before a daemon has taken it over: then the guest has a VF that nobody knows. */
void libvirt_vf_is_removed(struct world *world, unsigned host, unsigned card, unsigned index)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                const struct device *device = &world->nics[nic].devices[host];

                if (device->stage == DEVICE_HIDDEN && device->owners && device->card == card && device->vf == index &&
                    !world->hosts[host].disk_claims[card * VFS_MAX + index].present)
                        world->nics[nic].unchecked = true;
        }
}

static void give_back_at(struct world *world, uint64_t when, unsigned host, unsigned nic, unsigned slot)
{
        struct event *event = events_add(world, when, EVENT_LIBVIRT_GIVES_BACK);

        event->host = (uint8_t) host;
        event->nic = (uint8_t) nic;
        event->value = (int32_t) slot;
        event->generation = world->hosts[host].cards[slot / VFS_MAX].vfs[slot % VFS_MAX].incarnation;
}

/* A MAC that it has not set itself is no business of libvirt's. */
static bool leaves_mac(const struct world *world, unsigned host, unsigned nic, unsigned slot)
{
        const struct disk_claim *claim = &world->hosts[host].disk_claims[slot];

        /* Where no daemon has taken the VF over, its owner sees to it. */
        return world->nics[nic].owner_sets_mac && claim->present && claim->adopted && claim->mac_before == MAC_ZERO;
}

/* The MAC first. */
void libvirt_give_mac_back(struct world *world, unsigned host, unsigned nic, unsigned card, unsigned index)
{
        struct vf *vf = &world->hosts[host].cards[card].vfs[index];

        if (!vf->libvirts || vf->given_back || leaves_mac(world, host, nic, card * VFS_MAX + index))
                return;
        TRACE(world, "host %u: libvirt gives VF %u its MAC back", host, index);
        vf->mac = vf->mac_before;
        vf->given_back = true;
        world->touched = true;
        world->by_daemon = false;
        cards_notify(world, host);
}

/* Both, before the daemon hears that the guest does not have it any more, or after that. */
void libvirt_give_back_soon(struct world *world, unsigned host, unsigned nic, unsigned card, unsigned index)
{
        if (!world->hosts[host].cards[card].vfs[index].libvirts)
                return;
        if (world->hosts[host].libvirt_up && random_chance(&world->random, 50))
                libvirt_give_mac_back(world, host, nic, card, index);
        give_back_at(world, world->now + random_between(&world->random, 1, 1500) * MILLISECOND, host, nic,
                     card * VFS_MAX + index);
}

void libvirt_gives_back(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];
        unsigned slot = (unsigned) event->value;
        struct vf *vf = &host->cards[slot / VFS_MAX].vfs[slot % VFS_MAX];

        if (!vf->libvirts || vf->incarnation != event->generation)
                return;
        if (host->libvirt_up)
                libvirt_give_mac_back(world, event->host, event->nic, slot / VFS_MAX, slot % VFS_MAX);
        /* The kernel waits until QEMU has closed it. */
        if (!host->libvirt_up || vf->holder != NOBODY) {
                give_back_at(world, world->now + 200 * MILLISECOND, event->host, event->nic, slot);
                return;
        }
        TRACE(world, "host %u: libvirt gives VF %u its driver back", event->host, slot % VFS_MAX);
        vf->driver = vf->driver_before;
        vf->libvirts = false;
        cards_notify(world, event->host);
}
