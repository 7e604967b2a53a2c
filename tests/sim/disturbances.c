/* SPDX-License-Identifier: Apache-2.0 */

/* What goes wrong, and when it is over. */

#include "tests/sim/world.h"

/* The kernel waits for guests that hold a VF; whoever wants new ones loses patience. */
#define VFS_TRIES 60
/* Instead of a guest: not the end of it, but its return. */
#define LOST_AGAIN 255

static uint64_t longest(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* Something is broken on purpose until then, and what failed by it may be tried again only after the longest pause. */
static void trouble(struct host *host, uint64_t until, uint64_t longest_retry)
{
        host->troubled_until = longest(host->troubled_until, until + longest_retry);
}

static struct event *over_at(struct world *world, uint64_t when, enum disturbance_kind kind, unsigned host,
                             unsigned guest, unsigned detail)
{
        struct event *event = events_add(world, when, EVENT_END_OF_DISTURBANCE);

        event->value = (int32_t) kind;
        event->host = (uint8_t) host;
        event->guest = (uint8_t) guest;
        event->nic = (uint8_t) detail;
        world->last_disturbance = longest(world->last_disturbance, when);
        event->generation = VFS_TRIES;
        return event;
}

static void start_or_stop(struct world *world, unsigned guest_number, unsigned host)
{
        const struct guest *guest = &world->guests[guest_number];

        for (unsigned i = 0; i < HOSTS_MAX && guest->host == NOBODY; i++)
                if (guest->instances[i].state != INSTANCE_OFF)
                        return; /* it is on its way */
        if (world->migrations[guest_number].phase >= MIGRATION_HOOK)
                return;
        if (guest->host == NOBODY)
                guests_start(world, guest_number, host);
        else
                guests_stop(world, guest_number, (unsigned) guest->host, TEXT_STOPPED_SHUTDOWN);
}

static void crash(struct world *world, unsigned guest_number)
{
        struct migration *migration = &world->migrations[guest_number];
        int host = world->guests[guest_number].host;

        if (host == NOBODY)
                return;
        guests_stop(world, guest_number, (unsigned) host, TEXT_STOPPED_CRASHED);
        if (migration->phase != MIGRATION_NONE && migration->destination != host)
                migrations_abort(world, guest_number, false);
}

static void unload_driver(struct world *world, unsigned guest_number)
{
        const struct guest *guest = &world->guests[guest_number];

        for (unsigned nic = 0; nic < world->nics_count && guest->host != NOBODY; nic++) {
                unsigned host = (unsigned) guest->host;

                if (world->nics[nic].guest != guest_number || !guests_cpus_run(world, guest_number, host) ||
                    (world->nics[nic].devices[host].stage != DEVICE_PRIMARY &&
                     world->nics[nic].devices[host].stage != DEVICE_OPEN))
                        continue;
                guests_device_set(world, host, nic, DEVICE_CLOSED);
                guests_device_next(world, host, nic);
        }
}

static void unbind_pf(struct world *world, unsigned host_number)
{
        struct host *host = &world->hosts[host_number];
        struct card *card = &host->cards[host->active];

        cards_remove_vfs(world, host_number, host->active);
        card->bound = false;
        card->vfs_count = 0;
        for (unsigned mac = 0; mac < NICS_MAX; mac++) {
                card->uplink_filter[mac] = false;
                /* They are on the port, and go with it. */
                host->copy_rule[mac] = false;
                if (host->pin[mac] == FAILOVER_PIN_UPLINK)
                        host->pin[mac] = FAILOVER_PIN_NONE;
        }
}

static void restart_libvirt(struct world *world, unsigned host, uint64_t down_for)
{
        for (unsigned guest = 0; guest < world->guests_count; guest++) {
                const struct migration *migration = &world->migrations[guest];

                if (migration->phase != MIGRATION_NONE && migration->phase < MIGRATION_STOPPED &&
                    (migration->source == host || migration->destination == host))
                        migrations_abort(world, guest, false);
        }
        libvirt_restart(world, host, down_for);
}

/* Somebody releases a guest's NICs and takes that back while libvirt is away. */
static void restart_amid_a_change_of_mind(struct world *world, unsigned guest, uint32_t amount)
{
        unsigned host = (unsigned) world->guests[guest].host;

        for (unsigned nic = 0; nic < world->nics_count; nic++)
                if (world->nics[nic].guest == guest)
                        daemon_hold(world, host, nic, true, false);
        over_at(world, world->now + (500 + amount % 4000) * MILLISECOND, DISTURB_LIBVIRT_RESTART, host, guest,
                amount % 16);
        over_at(world, world->now + 5 * SECOND, DISTURB_HOLD, host, guest, 0);
}

void disturbances_begin(struct world *world, const struct disturbance *disturbance)
{
        unsigned host_number = disturbance->host % world->hosts_count;
        unsigned guest = disturbance->guest % world->guests_count;
        struct host *host = &world->hosts[host_number];
        uint32_t amount = disturbance->amount;
        uint64_t now = world->now, over = now + (100 + amount % 20000) * MILLISECOND;
        /* Some are repaired by people: longer than a guest is asked to let go of its VF. */
        uint64_t repaired = amount >> 24 < 64 ? now + (100 + amount % 400000) * MILLISECOND : over;
        struct card *card = &host->cards[host->active];

        TRACE(world, "-- %s (host %u, guest %u)", disturbance_to_string(disturbance->kind), host_number, guest);
        world->statistics->disturbances[disturbance->kind]++;
        world->touched = true;
        world->by_daemon = false;
        world->last_disturbance = longest(world->last_disturbance, now);
        switch (disturbance->kind) {
        case DISTURB_GUEST_START:
                start_or_stop(world, guest, host_number);
                break;
        case DISTURB_GUEST_REBOOT:
                guests_reset(world, guest);
                break;
        case DISTURB_GUEST_CRASH:
                crash(world, guest);
                break;
        case DISTURB_GUEST_PAUSE:
                /* A pause that nobody hears of in time is not one. */
                if (world->migrations[guest].phase == MIGRATION_NONE &&
                    (world->guests[guest].host == NOBODY ||
                     now >= world->hosts[world->guests[guest].host].slow_until)) {
                        guests_pause(world, guest, true);
                        over_at(world, over, disturbance->kind, host_number, guest, 0);
                }
                break;
        case DISTURB_GUEST_UNLOADS_DRIVER:
                unload_driver(world, guest);
                break;
        case DISTURB_GUEST_SPOOFS:
                for (unsigned nic = 0; nic < world->nics_count; nic++)
                        host->learned_wrong[world->nics[nic].mac] = true;
                break;
        case DISTURB_HOLD:
                for (unsigned nic = 0; nic < world->nics_count; nic++)
                        if (world->nics[nic].guest == guest)
                                daemon_hold(world, host_number, nic, true, false);
                if (amount % 4 > 0)
                        over_at(world, now + (amount >> 8) % (amount % 2 ? 100000 : 5000) * MILLISECOND,
                                disturbance->kind, host_number, guest, 0);
                break;
        case DISTURB_MIGRATE:
        case DISTURB_MIGRATE_HELD:
        case DISTURB_MIGRATE_POSTCOPY:
        case DISTURB_MIGRATE_FAILS:
        case DISTURB_MIGRATE_CANCELS:
                migrations_begin(world, guest, disturbance);
                break;
        case DISTURB_DAEMON_CRASH:
                host->crash_in = 1 + amount % 25;
                host->crash_after = (amount >> 8) % 2;
                break;
        case DISTURB_DAEMON_RESTART:
                daemon_crash(world, host_number);
                break;
        case DISTURB_LIBVIRT_RESTART:
                if (amount >> 24 < 64 && world->guests[guest].host != NOBODY)
                        restart_amid_a_change_of_mind(world, guest, amount);
                else
                        restart_libvirt(world, host_number, over - now);
                break;
        case DISTURB_LIBVIRT_REFUSES:
                host->refuses_until = over;
                trouble(host, over, 35 * SECOND);
                break;
        case DISTURB_LIBVIRT_SLOW:
                host->slow_until = over;
                trouble(host, over, 75 * SECOND);
                break;
        case DISTURB_LIBVIRT_LIES:
                host->lies_until = over;
                trouble(host, over, 5 * SECOND);
                break;
        case DISTURB_REORDER:
                host->reorder_until = over;
                trouble(host, over, 5 * SECOND);
                break;
        case DISTURB_KERNEL_REFUSES:
                host->kernel_refuses_until = over;
                host->refused_action = (enum failover_action)((amount >> 8) % FAILOVER_ACTION_COUNT);
                trouble(host, over, 35 * SECOND);
                break;
        case DISTURB_BIND_FAILS:
                host->bind_fails_until = over;
                break;
        case DISTURB_OVERRUN:
                over_at(world, now + amount % 500 * MILLISECOND, disturbance->kind, host_number, guest, 0);
                break;
        case DISTURB_NUMVFS_ZERO:
                cards_remove_vfs(world, host_number, host->active);
                over_at(world, over, disturbance->kind, host_number, card->vfs_count, host->active);
                card->vfs_count = 0;
                cards_notify(world, host_number);
                break;
        case DISTURB_CARRIER_LOST:
                card->carrier = false;
                over_at(world, repaired, disturbance->kind, host_number, guest, host->active);
                if (repaired != over && amount % 2) {
                        over_at(world, repaired + 100 * SECOND, disturbance->kind, host_number, LOST_AGAIN,
                                host->active);
                        over_at(world, repaired + 200 * SECOND, disturbance->kind, host_number, guest, host->active);
                }
                cards_notify(world, host_number);
                break;
        case DISTURB_PF_UNBOUND:
                over_at(world, repaired, disturbance->kind, host_number, card->vfs_count, host->active);
                unbind_pf(world, host_number);
                cards_notify(world, host_number);
                break;
        case DISTURB_UPLINK_CHANGES:
                host->active = (host->active + 1) % host->cards_count;
                cards_notify(world, host_number);
                trouble(host, now, 20 * MILLISECOND);
                break;
        case DISTURB_VF_MAC_CLEARED: {
                struct vf *vf = &card->vfs[amount % VFS_MAX];

                if (!vf->exists || vf->taken || vf->mac == MAC_ZERO || vf->mac == MAC_OTHER)
                        break;
                vf->mac = MAC_ZERO;
                cards_notify(world, host_number);
                trouble(host, now, 150 * SECOND); /* the guest has to let go of it first */
                break;
        }
        case DISTURB_VF_SETTINGS: {
                struct vf *vf = &card->vfs[amount % VFS_MAX];

                if (vf->exists && !vf->taken && vf->settings < SETTINGS_OF_NOBODY) {
                        vf->settings = SETTINGS_OF_SOMEBODY;
                        cards_notify(world, host_number);
                }
                break;
        }
        case DISTURB_VF_TAKEN: {
                unsigned index = amount % VFS_MAX;
                struct vf *vf = &card->vfs[index];

                if (!vf->exists || vf->taken || vf->holder != NOBODY || vf->driver == VF_DRIVER_VFIO ||
                    host->disk_claims[host->active * VFS_MAX + index].present)
                        break;
                vf->taken = true;
                over_at(world, over, disturbance->kind, host_number, index, host->active);
                break;
        }
        case DISTURB_DISK_FULL:
                host->disk_full_until = over;
                break;
        case DISTURB_NIC_UNPLUGGED: {
                unsigned nic = amount % world->nics_count;

                if (world->nics[nic].unplugged || world->migrations[world->nics[nic].guest].phase != MIGRATION_NONE ||
                    world->guests[world->nics[nic].guest].host == NOBODY)
                        break;
                world->nics[nic].unplugged = true;
                over_at(world, over, disturbance->kind, host_number, guest, nic);
                libvirt_refresh(world, (unsigned) world->guests[world->nics[nic].guest].host, world->nics[nic].guest);
                cards_notify(world, (unsigned) world->guests[world->nics[nic].guest].host);
                break;
        }
        case DISTURB_COUNT:
                break;
        }
}

static void make_vfs_again(struct world *world, unsigned host, unsigned number, unsigned count, unsigned tries)
{
        struct card *card = &world->hosts[host].cards[number];

        /* The kernel makes none while it waits for the old ones. */
        if (cards_has_dying_vf(card) || !card->bound) {
                if (tries > 0)
                        over_at(world, world->now + 5 * SECOND, DISTURB_NUMVFS_ZERO, host, count, number)->generation =
                                tries - 1;
                return;
        }
        if (card->vfs_count == 0) {
                card->vfs_count = count;
                cards_make_vfs(world, host, number);
        }
        cards_notify(world, host);
}

void disturbances_end(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];

        world->touched = true;
        world->by_daemon = false;
        switch ((enum disturbance_kind) event->value) {
        case DISTURB_GUEST_START:
                start_or_stop(world, event->guest, event->host);
                break;
        case DISTURB_GUEST_PAUSE:
                guests_pause(world, event->guest, false);
                break;
        case DISTURB_LIBVIRT_RESTART:
                restart_libvirt(world, event->host, (1 + event->nic) * SECOND);
                break;
        case DISTURB_HOLD:
                for (unsigned nic = 0; nic < world->nics_count; nic++)
                        if (world->nics[nic].guest == event->guest)
                                daemon_hold(world, event->host, nic, false, false);
                break;
        case DISTURB_OVERRUN:
                daemon_notified(world, event->host);
                break;
        case DISTURB_NUMVFS_ZERO:
                make_vfs_again(world, event->host, event->nic, event->guest, event->generation);
                break;
        case DISTURB_CARRIER_LOST:
                host->cards[event->nic].carrier = event->guest != LOST_AGAIN;
                cards_notify(world, event->host);
                break;
        case DISTURB_PF_UNBOUND:
                /* The old driver is not gone before the last VF is. */
                if (cards_has_dying_vf(&host->cards[event->nic])) {
                        if (event->generation > 0)
                                over_at(world, world->now + 5 * SECOND, DISTURB_PF_UNBOUND, event->host, event->guest,
                                        event->nic)
                                        ->generation = event->generation - 1;
                        break;
                }
                TRACE(world, "host %u: PF is bound again", event->host);
                host->cards[event->nic].bound = true;
                cards_notify(world, event->host);
                over_at(world, world->now + SECOND, DISTURB_NUMVFS_ZERO, event->host, event->guest, event->nic);
                break;
        case DISTURB_VF_TAKEN:
                host->cards[event->nic].vfs[event->guest].taken = false;
                cards_notify(world, event->host);
                break;
        case DISTURB_NIC_UNPLUGGED: {
                struct nic *nic = &world->nics[event->nic];

                nic->unplugged = false;
                world->announced[event->nic] = world->now; /* it speaks for itself */
                for (unsigned i = 0; i < world->hosts_count; i++)
                        trouble(&world->hosts[i], world->now, SECOND); /* until the snapshot */
                if (world->guests[nic->guest].host != NOBODY && world->guests[nic->guest].standby)
                        libvirt_tell(world, (unsigned) world->guests[nic->guest].host, nic->guest, MESSAGE_STANDBY,
                                     TEXT_NONE, event->nic);
                for (unsigned i = 0; i < world->hosts_count; i++) {
                        libvirt_refresh(world, i, nic->guest);
                        cards_notify(world, i);
                }
                break;
        }
        default:
                break;
        }
}
