/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a seed to a schedule: the world as it begins, and what will disturb it. The world comes from one stream of
 * numbers and the disturbances from another, so that leaving disturbances out (to shorten a schedule that fails) does
 * not change the world.
 */

#include "tests/sim/world.h"

#include <stdio.h>

#define WORLD_STREAM       0x776f726c64ull
#define DISTURBANCE_STREAM 0x6469737475ull
#define OWNERS_STREAM      0x6f776e657273ull

const char *disturbance_to_string(enum disturbance_kind kind)
{
        static const char *const names[DISTURB_COUNT] = {
                [DISTURB_GUEST_START] = "guest starts or shuts down",
                [DISTURB_GUEST_REBOOT] = "guest reboots",
                [DISTURB_GUEST_CRASH] = "guest crashes",
                [DISTURB_GUEST_PAUSE] = "guest is paused",
                [DISTURB_GUEST_UNLOADS_DRIVER] = "guest unloads its VF driver",
                [DISTURB_GUEST_SPOOFS] = "guest forges another's MAC",
                [DISTURB_HOLD] = "operator holds the NIC on the synthetic path",
                [DISTURB_MIGRATE] = "virsh migrate",
                [DISTURB_MIGRATE_HELD] = "vswitch migrate",
                [DISTURB_MIGRATE_POSTCOPY] = "virsh migrate --postcopy",
                [DISTURB_MIGRATE_FAILS] = "virsh migrate, fails",
                [DISTURB_MIGRATE_CANCELS] = "virsh migrate, cancelled",
                [DISTURB_DAEMON_CRASH] = "daemon crashes at an action",
                [DISTURB_DAEMON_RESTART] = "daemon is killed",
                [DISTURB_LIBVIRT_RESTART] = "libvirt restarts",
                [DISTURB_LIBVIRT_REFUSES] = "libvirt refuses",
                [DISTURB_LIBVIRT_SLOW] = "libvirt is slow",
                [DISTURB_LIBVIRT_LIES] = "libvirt's answers are lost",
                [DISTURB_REORDER] = "notifications are reordered",
                [DISTURB_KERNEL_REFUSES] = "kernel refuses a write",
                [DISTURB_BIND_FAILS] = "driver binding fails",
                [DISTURB_OVERRUN] = "kernel notifications overrun",
                [DISTURB_NUMVFS_ZERO] = "sriov_numvfs = 0",
                [DISTURB_CARRIER_LOST] = "carrier lost",
                [DISTURB_PF_UNBOUND] = "PF driver unbound",
                [DISTURB_UPLINK_CHANGES] = "another uplink becomes active",
                [DISTURB_VF_MAC_CLEARED] = "somebody clears a VF's MAC",
                [DISTURB_VF_SETTINGS] = "a VF is not programmed as it should be",
                [DISTURB_VF_TAKEN] = "somebody takes a free VF",
                [DISTURB_DISK_FULL] = "disk full",
                [DISTURB_NIC_UNPLUGGED] = "virtio NIC unplugged",
        };

        return names[kind];
}

void schedule_print(const struct schedule *schedule, FILE *out)
{
        for (unsigned i = 0; i < schedule->count; i++) {
                const struct disturbance *disturbance = &schedule->disturbances[i];

                fprintf(out, "  %10.3f s  %s (host %u, guest %u, %u)\n", (double) disturbance->when / SECOND,
                        disturbance_to_string(disturbance->kind), disturbance->host, disturbance->guest,
                        disturbance->amount);
        }
}

void schedule_make(struct schedule *schedule, uint64_t seed)
{
        struct random random = { .state = seed ^ DISTURBANCE_STREAM };
        /* Close together they meet in the middle of moves, far apart each is seen through to its end. */
        uint32_t spread = random_chance(&random, 50) ? 5000 : 60000;
        uint64_t when = random_between(&random, 0, 40) * SECOND;

        schedule->seed = seed;
        schedule->count = random_chance(&random, 50) ? 1 + random_below(&random, 4)
                                                     : 1 + random_below(&random, DISTURBANCES_MAX / 2);
        for (unsigned i = 0; i < schedule->count; i++) {
                when += random_below(&random, spread) * MILLISECOND + random_below(&random, 1000);
                schedule->disturbances[i] = (struct disturbance){
                        .kind = (enum disturbance_kind) random_below(&random, DISTURB_COUNT),
                        .when = when,
                        .host = (uint8_t) random_below(&random, HOSTS_MAX),
                        .guest = (uint8_t) random_below(&random, GUESTS_MAX),
                        .amount = (uint32_t) random_next(&random),
                };
        }
}

/* ---- the world ---- */

static void make_card(struct world *world, unsigned host, unsigned number)
{
        static const unsigned vfs_counts[] = { 0, 1, 2, 2, 3, 4, 4, 4 };
        struct random *random = &world->random;
        struct card *card = &world->hosts[host].cards[number];

        card->steering = (enum failover_steering)(FAILOVER_STEERING_BOTH + random_below(random, 4));
        if (random_chance(random, 40))
                card->steering = FAILOVER_STEERING_BOTH;
        card->told = random_chance(random, 75) ? card->steering : FAILOVER_STEERING_UNKNOWN;
        card->reflects = card->told == FAILOVER_STEERING_BOTH && random_chance(random, 50);
        card->bound = true;
        card->carrier = true;
        card->vfs_count = vfs_counts[random_below(random, sizeof(vfs_counts) / sizeof(vfs_counts[0]))];
        cards_make_vfs(world, host, number);
        for (unsigned vf = 0; vf < card->vfs_count; vf++)
                if (random_chance(random, 10)) {
                        card->vfs[vf].taken = true;
                        card->vfs[vf].mac = card->vfs[vf].mac_before = MAC_OTHER;
                        card->vfs[vf].settings = card->vfs[vf].settings_before = SETTINGS_OF_SOMEBODY;
                }
}

static void make_guest(struct world *world, unsigned number)
{
        struct random *random = &world->random;
        struct guest *guest = &world->guests[number];

        guest->host = NOBODY;
        guest->has_failover = !random_chance(random, 10);
        guest->has_driver = !random_chance(random, 10);
        guest->pairs = !random_chance(random, 7);
        guest->opens_alone = random_chance(random, 50);
        guest->talks = !guest->pairs || !random_chance(random, 25);
        guest->refusal = random_chance(random, 80) ? REFUSES_NEVER : (enum refusal) random_below(random, 5);
        guest->boot_time = random_between(random, 2000, 30000) * MILLISECOND;
        guest->probe_time = random_between(random, 20, 3000) * MILLISECOND;
        guest->open_time = random_between(random, 5, 500) * MILLISECOND;
        guest->pair_time = random_between(random, 1, 1500) * MILLISECOND;
        guest->unplug_time = random_between(random, 100, random_chance(random, 80) ? 6000 : 25000) * MILLISECOND;
        /* Some between two looks of the daemon. */
        guest->close_time = random_between(random, 1, random_chance(random, 80) ? 500 : 10) * MILLISECOND;
}

/* From a stream of its own: the other worlds stay as they are. */
static void make_owners_vf(struct world *world)
{
        struct random random = { .state = world->schedule.seed ^ OWNERS_STREAM };
        struct nic *nic = &world->nics[random_below(&random, world->nics_count)];

        nic->has_owners_vf = random_chance(&random, 15) && !nic->has_other_vf;
        nic->owner_sets_mac = random_chance(&random, 25);
}

void schedule_make_world(struct world *world)
{
        struct random *random = &world->random;

        random->state = world->schedule.seed ^ WORLD_STREAM;
        world->hosts_count = 1 + random_below(random, HOSTS_MAX);
        for (unsigned i = 0; i < world->hosts_count; i++) {
                struct host *host = &world->hosts[i];

                host->libvirt_up = true;
                host->cards_count = random_chance(random, 25) ? 2 : 1;
                for (unsigned card = 0; card < host->cards_count; card++)
                        make_card(world, i, card);
                for (unsigned nic = 0; nic < NICS_MAX; nic++)
                        host->pin[nic] = FAILOVER_PIN_NONE;
        }
        world->guests_count = 1 + random_below(random, GUESTS_MAX);
        for (unsigned i = 0; i < world->guests_count; i++)
                make_guest(world, i);
        world->nics_count = world->guests_count;
        for (unsigned i = 0; i < world->guests_count; i++)
                world->nics[i] = (struct nic){ .guest = (uint8_t) i, .mac = (int8_t) i };
        if (random_chance(random, 20)) {
                /* A guest with two NICs */
                world->nics[world->nics_count] = (struct nic){
                        .guest = (uint8_t) random_below(random, world->guests_count),
                        .mac = (int8_t) world->nics_count,
                };
                world->nics_count++;
        }
        if (world->nics_count > 1 && random_chance(random, 4)) {
                /* Two NICs with one MAC */
                world->nics[1].mac = world->nics[0].mac;
                world->nics[0].unchecked = world->nics[1].unchecked = true;
        }
        if (random_chance(random, 3)) {
                struct nic *nic = &world->nics[random_below(random, world->nics_count)];

                nic->has_other_vf = nic->unchecked = true;
        }
        make_owners_vf(world);
        for (unsigned i = 0; i < world->hosts_count; i++) {
                struct event *event =
                        events_add(world, random_between(random, 0, 3000) * MILLISECOND, EVENT_DAEMON_STARTS);

                event->host = (uint8_t) i;
        }
        for (unsigned i = 0; i < world->guests_count; i++)
                if (!random_chance(random, 10)) {
                        struct event *event = events_add(world, random_between(random, 0, 3000) * MILLISECOND,
                                                         EVENT_END_OF_DISTURBANCE);

                        event->value = DISTURB_GUEST_START;
                        event->guest = (uint8_t) i;
                        event->host = (uint8_t) random_below(random, world->hosts_count);
                }
}
