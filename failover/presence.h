/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a guest is, told by events and snapshots; see presence.c for how the two are put together. One of these per
 * domain and host. Pure: what it is told comes from the caller, what follows from it goes back as flags.
 */

#include "failover/failover.h"

struct failover_presence {
        enum failover_guest state;
        bool outgoing; /* a migration away from here is under way */
        bool unplug_asked_by_qemu;
        bool stopped;                /* its virtual CPUs stand still */
        bool started_under_our_eyes; /* so a STANDBY negotiation cannot have been missed */
        char migration_status[48];   /* QEMU's last word: "setup", "active", "device", ... or "" */
};

/* What follows from having been told something: any of these. */
enum failover_presence_change {
        FAILOVER_PRESENCE_LOOK = 1u << 0,     /* decide again for the guest's NICs */
        FAILOVER_PRESENCE_MOVED = 1u << 1,    /* `state` changed */
        FAILOVER_PRESENCE_ARRIVED = 1u << 3,  /* it has a QEMU here now: what it has of VFs only a snapshot tells */
        FAILOVER_PRESENCE_ANNOUNCE = 1u << 2, /* its MACs came (back) to this host: the wire should know */
};

/* As a snapshot of the guest's domain shows it. */
enum failover_shown {
        FAILOVER_SHOWN_OFF,
        FAILOVER_SHOWN_RUNNING,
        FAILOVER_SHOWN_PAUSED,
        FAILOVER_SHOWN_INCOMING,
        FAILOVER_SHOWN_HANDED_OVER,
};

/* Each returns what follows, enum failover_presence_change bits. */
unsigned failover_presence_set(struct failover_presence *presence, enum failover_guest state);
/* QMP MIGRATION: "setup", "active", "completed", "failed", ... */
unsigned failover_presence_on_migration(struct failover_presence *presence, const char *status);
/* libvirt's "started/migrated", "stopped/shutdown", ... */
unsigned failover_presence_on_lifecycle(struct failover_presence *presence, const char *detail);
unsigned failover_presence_on_stop(struct failover_presence *presence);         /* QMP STOP */
unsigned failover_presence_on_resume(struct failover_presence *presence);       /* QMP RESUME */
unsigned failover_presence_on_unplug_asked(struct failover_presence *presence); /* QMP UNPLUG_PRIMARY */
unsigned failover_presence_on_standby(struct failover_presence *presence);      /* QMP FAILOVER_NEGOTIATED */
unsigned failover_presence_on_snapshot(struct failover_presence *presence, enum failover_shown shown, bool outgoing);
/* It is not in the list of all domains. `leased`: a VF is kept for it that has not run out. */
unsigned failover_presence_on_not_listed(struct failover_presence *presence, bool leased);
/* The connection to libvirt was lost, and with it events. */
unsigned failover_presence_on_disconnect(struct failover_presence *presence);
/* The hook announced that it comes: by a migration, or from where it was saved. */
unsigned failover_presence_on_expected(struct failover_presence *presence);

/* QEMU waits for the guest to let go of its VF, and the guest stands still: it never will, and QEMU waits for ever. So it
 * is when libvirt stops a guest before QEMU begins: virsh save, managedsave, a dump or a snapshot with memory, a migration
 * that is not live. */
bool failover_presence_is_stuck(const struct failover_presence *presence);

/* It runs here, and part of its memory is on another host yet (post-copy): libvirt attaches nothing before the migration
 * is completed, and a VF would have QEMU wait for all of the memory. */
bool failover_presence_is_fetching(const struct failover_presence *presence);
