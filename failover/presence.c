/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * Where a guest is, told by two sources. Events tell the instant (QEMU's own come within milliseconds), snapshots
 * tell the truth when an event was missed. An event moves the state at once; a snapshot moves it too, except where it
 * knows less than the events did: it cannot tell a loaded incoming guest from a waiting one, and it may have been
 * read just before a guest was handed over.
 *
 *   source:       RUNNING -- STOP while a migration goes out --> HANDED_OVER -- RESUME (it failed) --> RUNNING
 *   destination:  [EXPECTED] -> INCOMING -- FAILOVER_NEGOTIATED or MIGRATION completed --> LOADED -- RESUME --> RUNNING
 *   restored:     [EXPECTED] -- "started/restored", told when the state is loaded --> LOADED -- RESUME --> RUNNING
 *
 * Post-copy differs in what is early: the guest stops here, and runs there, long before the migration is completed. QEMU
 * then says "postcopy-active" instead of "completed", on the destination too; STOP and RESUME tell the instants as always.
 * A saved guest is written by a migration as well, one that leaves it where it is: QEMU's words are the same, libvirt's
 * job is not, and a snapshot that shows the guest and no job that takes it away ends what the words began.
 */

#include "failover/presence.h"

#include <string.h>

static void set_status(struct failover_presence *presence, const char *status)
{
        strncpy(presence->migration_status, status, sizeof(presence->migration_status) - 1);
        presence->migration_status[sizeof(presence->migration_status) - 1] = '\0';
}

static void end_migration(struct failover_presence *presence)
{
        presence->outgoing = false;
        presence->unplug_asked_by_qemu = false;
        set_status(presence, "");
}

unsigned failover_presence_set(struct failover_presence *presence, enum failover_guest state)
{
        enum failover_guest old = presence->state;
        unsigned follows = FAILOVER_PRESENCE_LOOK | FAILOVER_PRESENCE_MOVED;

        if (old == state)
                return 0;
        presence->state = state;
        if (state == FAILOVER_GUEST_RUNNING || state == FAILOVER_GUEST_ABSENT)
                presence->stopped = false;
        /* The wire learns where the MAC is now, as early as it can: as soon as the guest stands still there. */
        if ((old == FAILOVER_GUEST_INCOMING && state == FAILOVER_GUEST_RUNNING) || state == FAILOVER_GUEST_LOADED ||
            (old == FAILOVER_GUEST_HANDED_OVER && state == FAILOVER_GUEST_RUNNING))
                follows |= FAILOVER_PRESENCE_ANNOUNCE;
        if ((old == FAILOVER_GUEST_ABSENT || old == FAILOVER_GUEST_EXPECTED) && state != FAILOVER_GUEST_ABSENT &&
            state != FAILOVER_GUEST_EXPECTED)
                follows |= FAILOVER_PRESENCE_ARRIVED;
        if (state == FAILOVER_GUEST_ABSENT) {
                end_migration(presence);
                presence->started_under_our_eyes = false;
        }
        return follows;
}

/* QEMU stops the CPUs in the last phase of a migration, before it says "device"; with pause-before-switchover, which
 * libvirt uses, the status is still "active" then; with post-copy, the later word may come first. */
static bool stop_belongs_to_migration(const struct failover_presence *presence)
{
        static const char *const phases[] = { "active",    "pre-switchover",  "device",
                                              "completed", "postcopy-device", "postcopy-active" };

        for (size_t i = 0; presence->outgoing && i < sizeof(phases) / sizeof(phases[0]); i++)
                if (strcmp(presence->migration_status, phases[i]) == 0)
                        return true;
        return false;
}

unsigned failover_presence_on_migration(struct failover_presence *presence, const char *status)
{
        set_status(presence, status);
        if (presence->state == FAILOVER_GUEST_INCOMING) {
                /* Also tells for guests that never accepted STANDBY. With post-copy the devices' state comes first. */
                bool loaded = strcmp(status, "completed") == 0 || strcmp(status, "postcopy-active") == 0;

                return loaded ? failover_presence_set(presence, FAILOVER_GUEST_LOADED) : 0;
        }
        if (presence->state == FAILOVER_GUEST_LOADED || presence->state == FAILOVER_GUEST_EXPECTED ||
            presence->state == FAILOVER_GUEST_ABSENT)
                return 0;
        if (strcmp(status, "setup") == 0) {
                presence->outgoing = true;
                presence->unplug_asked_by_qemu = false;
        } else if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0) {
                end_migration(presence);
        }
        return FAILOVER_PRESENCE_LOOK;
}

unsigned failover_presence_on_lifecycle(struct failover_presence *presence, const char *detail)
{
        static const struct {
                const char *detail;
                enum failover_guest state;
        } states[] = {
                { "started/migrated", FAILOVER_GUEST_INCOMING },
                { "started/restored", FAILOVER_GUEST_LOADED },
                { "suspended/migrated", FAILOVER_GUEST_HANDED_OVER },
                { "suspended/postcopy", FAILOVER_GUEST_HANDED_OVER }, /* also "postcopy-failed": part of it is there */
                { "resumed/", FAILOVER_GUEST_RUNNING },
                { "stopped/", FAILOVER_GUEST_ABSENT },
        };

        /* The end of the guest's earlier stay here may be told after the hook has announced its return. */
        if (presence->state == FAILOVER_GUEST_EXPECTED && strncmp(detail, "started/", 8) != 0)
                return 0;
        if (strncmp(detail, "started/", 8) == 0) {
                end_migration(presence);
                /* Of one that was restored, or put back to a snapshot, libvirt tells when it has negotiated long ago. */
                presence->started_under_our_eyes =
                        strcmp(detail, "started/booted") == 0 || strcmp(detail, "started/migrated") == 0;
        }
        /* libvirt's last word of a migration that came here, should QEMU's have been lost. */
        if (strcmp(detail, "resumed/migrated") == 0 && failover_presence_is_fetching(presence)) {
                set_status(presence, "");
                return FAILOVER_PRESENCE_LOOK;
        }
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
                if (strncmp(detail, states[i].detail, strlen(states[i].detail)) == 0)
                        return failover_presence_set(presence, states[i].state);
        return 0;
}

unsigned failover_presence_on_stop(struct failover_presence *presence)
{
        presence->stopped = true;
        return stop_belongs_to_migration(presence) ? failover_presence_set(presence, FAILOVER_GUEST_HANDED_OVER) : 0;
}

unsigned failover_presence_on_resume(struct failover_presence *presence)
{
        presence->stopped = false;
        if (presence->state == FAILOVER_GUEST_HANDED_OVER)
                end_migration(presence);
        return presence->state != FAILOVER_GUEST_EXPECTED ? failover_presence_set(presence, FAILOVER_GUEST_RUNNING) : 0;
}

unsigned failover_presence_on_unplug_asked(struct failover_presence *presence)
{
        presence->outgoing = true;
        presence->unplug_asked_by_qemu = true;
        return FAILOVER_PRESENCE_LOOK;
}

bool failover_presence_is_stuck(const struct failover_presence *presence)
{
        return presence->stopped && presence->outgoing && strcmp(presence->migration_status, "wait-unplug") == 0;
}

bool failover_presence_is_fetching(const struct failover_presence *presence)
{
        return (presence->state == FAILOVER_GUEST_RUNNING || presence->state == FAILOVER_GUEST_PAUSED) &&
               !presence->outgoing && strncmp(presence->migration_status, "postcopy", strlen("postcopy")) == 0;
}

unsigned failover_presence_on_standby(struct failover_presence *presence)
{
        return presence->state == FAILOVER_GUEST_INCOMING ? failover_presence_set(presence, FAILOVER_GUEST_LOADED) : 0;
}

static enum failover_guest merge_state(const struct failover_presence *presence, enum failover_shown shown,
                                       bool outgoing)
{
        bool handed_over = presence->state == FAILOVER_GUEST_HANDED_OVER && outgoing;

        switch (shown) {
        case FAILOVER_SHOWN_OFF:
                /* An announced guest has no QEMU yet; its lease ends it. */
                return presence->state == FAILOVER_GUEST_EXPECTED ? FAILOVER_GUEST_EXPECTED : FAILOVER_GUEST_ABSENT;
        case FAILOVER_SHOWN_RUNNING:
                return handed_over ? FAILOVER_GUEST_HANDED_OVER : FAILOVER_GUEST_RUNNING;
        case FAILOVER_SHOWN_PAUSED:
                /* Stopped at the end of a migration, and the snapshot does not know why. */
                return handed_over ? FAILOVER_GUEST_HANDED_OVER : FAILOVER_GUEST_PAUSED;
        case FAILOVER_SHOWN_INCOMING:
                return presence->state == FAILOVER_GUEST_LOADED ? FAILOVER_GUEST_LOADED : FAILOVER_GUEST_INCOMING;
        case FAILOVER_SHOWN_HANDED_OVER:
                return FAILOVER_GUEST_HANDED_OVER;
        }
        return FAILOVER_GUEST_UNKNOWN;
}

unsigned failover_presence_on_snapshot(struct failover_presence *presence, enum failover_shown shown, bool outgoing)
{
        enum failover_guest state = merge_state(presence, shown, outgoing);

        if (shown == FAILOVER_SHOWN_OFF)
                return state == FAILOVER_GUEST_EXPECTED ? 0 : failover_presence_set(presence, state);
        /* A migration that was under way before we looked; the events tell what follows. */
        if (outgoing && !presence->outgoing) {
                presence->outgoing = true;
                presence->unplug_asked_by_qemu = true;
                if (!presence->migration_status[0])
                        set_status(presence, "active");
        } else if (!outgoing && presence->outgoing && state == FAILOVER_GUEST_RUNNING) {
                end_migration(presence);
        }
        return failover_presence_set(presence, state) | FAILOVER_PRESENCE_LOOK;
}

unsigned failover_presence_on_not_listed(struct failover_presence *presence, bool leased)
{
        return failover_presence_set(presence, leased ? FAILOVER_GUEST_EXPECTED : FAILOVER_GUEST_ABSENT);
}

unsigned failover_presence_on_disconnect(struct failover_presence *presence)
{
        if (presence->state == FAILOVER_GUEST_EXPECTED)
                return 0;
        presence->state = FAILOVER_GUEST_UNKNOWN;
        presence->started_under_our_eyes = false;
        if (!presence->outgoing)
                set_status(presence, "");
        return FAILOVER_PRESENCE_LOOK;
}

unsigned failover_presence_on_expected(struct failover_presence *presence)
{
        presence->state = FAILOVER_GUEST_EXPECTED;
        end_migration(presence);
        return FAILOVER_PRESENCE_LOOK;
}
