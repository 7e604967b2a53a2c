/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A small world for the core to live in: hosts with cards, guests, libvirt, migrations, a daemon per host, and time.
 *
 * Everything is one struct without pointers into itself, so that a world is made by clearing it. Time is virtual
 * (microseconds) and passes only from event to event. All chance comes from the seed: the same schedule always runs
 * the same way, on every machine.
 *
 * What is modelled, and after what, is said in docs/simulation.md.
 */

#include "failover/failover.h"
#include "failover/presence.h"
#include "failover/progress.h"
#include "tests/sim/random.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SECOND      1000000ull
#define MILLISECOND 1000ull

#define HOSTS_MAX        3
#define GUESTS_MAX       4
#define NICS_MAX         5 /* of all guests; the first GUESTS_MAX belong to one guest each */
#define VFS_MAX          4 /* of one card */
#define CARDS_MAX        2 /* of one host */
#define EVENTS_MAX       512
#define DISTURBANCES_MAX 16

/* ---- what a schedule is made of ---- */

enum disturbance_kind {
        DISTURB_GUEST_START, /* or, when it runs, a shutdown */
        DISTURB_GUEST_REBOOT,
        DISTURB_GUEST_CRASH,
        DISTURB_GUEST_PAUSE, /* and resumed after a while */
        DISTURB_GUEST_UNLOADS_DRIVER,
        DISTURB_GUEST_SPOOFS, /* sends with another guest's MAC */
        DISTURB_HOLD,         /* an operator's, and its end after a while */
        DISTURB_MIGRATE,      /* plain virsh migrate */
        DISTURB_MIGRATE_HELD, /* vswitch migrate */
        DISTURB_MIGRATE_POSTCOPY,
        DISTURB_MIGRATE_FAILS,   /* in a phase */
        DISTURB_MIGRATE_CANCELS, /* after a time */
        DISTURB_DAEMON_CRASH,    /* after so many actions, before or after the effect; and restarted */
        DISTURB_DAEMON_RESTART,
        DISTURB_LIBVIRT_RESTART, /* events are lost meanwhile */
        DISTURB_LIBVIRT_REFUSES, /* attach and detach fail for a while */
        DISTURB_LIBVIRT_SLOW,    /* answers very late for a while */
        DISTURB_LIBVIRT_LIES,    /* the answer is lost, whether the deed was done or not */
        DISTURB_REORDER,         /* libvirt's notifications come in another order for a while */
        DISTURB_KERNEL_REFUSES,  /* a kind of write fails for a while */
        DISTURB_BIND_FAILS,      /* driver binding and resets fail for a while */
        DISTURB_OVERRUN,         /* notifications of the kernel are lost; all is read again a little later */
        DISTURB_NUMVFS_ZERO,     /* by somebody else; made again after a while */
        DISTURB_CARRIER_LOST,
        DISTURB_PF_UNBOUND,
        DISTURB_UPLINK_CHANGES, /* the other port of the bond is the active one now */
        DISTURB_VF_MAC_CLEARED, /* by somebody else, behind our back */
        DISTURB_VF_SETTINGS,    /* changed by somebody else, or what the guest may do has changed */
        DISTURB_VF_TAKEN,       /* a free VF is given to somebody else, and given back after a while */
        DISTURB_DISK_FULL,      /* claims cannot be written */
        DISTURB_NIC_UNPLUGGED,  /* the virtio NIC is taken out of the guest, and comes back */
        DISTURB_COUNT,
};

struct disturbance {
        enum disturbance_kind kind;
        uint64_t when;
        uint8_t host, guest; /* whom it strikes */
        uint32_t amount;     /* how long or how many, by kind */
};

struct schedule {
        uint64_t seed;
        unsigned count;
        struct disturbance disturbances[DISTURBANCES_MAX];
};

/* ---- cards and hosts ---- */

enum vf_driver {
        VF_DRIVER_NONE,
        VF_DRIVER_HOST, /* igbvf, ... */
        VF_DRIVER_VFIO,
};

#define MAC_ZERO             (-1) /* else the number of a NIC */
#define MAC_OTHER            (-2) /* of somebody outside of this world */
#define NOBODY               (-1)
#define SETTINGS_OF_NOBODY   100 /* and more: of a VF as it was made */
#define SETTINGS_OF_SOMEBODY 200

struct vf {
        bool exists;
        bool taken;       /* by somebody else than vswitch: must never be touched */
        bool dying;       /* goes away as soon as nobody holds it */
        int8_t mac;       /* the VF filter */
        uint8_t settings; /* everything but the MAC: who programmed it; the rest as it was before */
        uint8_t driver;   /* enum vf_driver */
        int8_t holder;    /* the NIC whose QEMU has it open */
        bool libvirts;    /* libvirt has set its MAC and driver for a guest, and has not given both back yet */
        bool given_back;  /* ... the MAC it has: nobody else writes it now */
        /* What it was like when it was made. */
        int8_t mac_before;
        uint8_t settings_before, driver_before;
        unsigned incarnation; /* another VF at the same address */
};

struct card {
        enum failover_steering steering; /* what it does */
        enum failover_steering told;     /* what the core believes */
        bool reflects;
        bool bound; /* its driver is there: it has a netdev */
        bool carrier;
        unsigned vfs_count; /* with numvfs written */
        struct vf vfs[VFS_MAX];
        bool uplink_filter[NICS_MAX]; /* by MAC */
};

/* A claim as it is on disk. */
struct disk_claim {
        bool present;
        int8_t nic;
        uint8_t card, vf;
        bool leased, touched;
        bool adopted; /* libvirt programmed the VF, and gives it back */
        uint64_t lease_until;
        int8_t mac_before;
        uint8_t settings_before, driver_before;
        unsigned incarnation; /* of the VF that it was made for; the daemon cannot see it, the checks do */
};

struct call {
        enum failover_call kind;
        uint8_t card, vf;
        unsigned generation; /* tells an answer to a call of a daemon that is dead */
};

/* What the daemon of one host has of one NIC in memory. */
struct agent {
        bool known;
        bool in_guest;
        bool recorded;
        bool dirty;
        bool tables_stale;
        bool held; /* by an operator */
        bool held_by_migration;
        bool claimed;
        struct disk_claim claim; /* as in memory */
        enum failover_reason obstacle;
        struct failover_facts facts;
        struct failover_decision decision;
        struct failover_progress progress;
        struct call call;
        bool tap_baseline;
        bool uplink_filter_partly;
        uint64_t situation_since;
};

struct domain {
        bool known;
        bool devices_known;
        struct failover_presence presence;
};

struct host {
        unsigned cards_count;
        unsigned active; /* the card that is the uplink */
        struct card cards[CARDS_MAX];

        /* The software switch, by MAC */
        enum failover_pin pin[NICS_MAX];
        uint8_t pin_owner_card[NICS_MAX];
        bool copy_rule[NICS_MAX];
        bool multicast_router[NICS_MAX]; /* by NIC: of its tap */
        bool learned_wrong[NICS_MAX];    /* somebody forged frames with this MAC */

        /* libvirt */
        bool libvirt_up;
        uint64_t last_delivery;
        uint64_t refuses_until, slow_until, lies_until, reorder_until;
        uint64_t kernel_refuses_until, bind_fails_until, disk_full_until;
        enum failover_action refused_action;

        /* the daemon */
        bool daemon_up;
        bool reconcile_scheduled;
        unsigned life;       /* counts its starts */
        unsigned connection; /* counts the connections to libvirt */
        unsigned crash_in;   /* actions until it dies; 0: not going to */
        bool crash_after;    /* ... after the effect of the last one, not before */
        bool connected, listed;
        uint64_t heard_since; /* libvirt, without a break */
        uint64_t deadline_armed, look_armed;
        struct agent agents[NICS_MAX];
        struct domain domains[GUESTS_MAX];
        struct disk_claim disk_claims[CARDS_MAX * VFS_MAX];
        struct {
                bool present, held;
        } disk_records[NICS_MAX];

        uint64_t troubled_until; /* something is broken on purpose: what the guest loses is nobody's fault */
        unsigned writes;         /* to the kernel, to the disk and to libvirt */
};

/* ---- guests ---- */

/* How far a VF has come in the guest, after net_failover and QEMU's failover. */
enum device_stage {
        DEVICE_NONE,
        DEVICE_HIDDEN,   /* QEMU has it, and shows it when STANDBY is accepted */
        DEVICE_VISIBLE,  /* on the guest's PCI bus, no driver yet */
        DEVICE_PROBED,   /* the driver has read the MAC; one vector */
        DEVICE_OPEN,     /* receives; all vectors */
        DEVICE_PRIMARY,  /* registered with net_failover: what comes by the standby is dropped */
        DEVICE_CLOSED,   /* no vectors; still registered: the guest's own deaf moment */
        DEVICE_RELEASED, /* let go by the guest; QEMU has it still */
        DEVICE_STAGES,
};

struct device {
        enum device_stage stage;
        uint8_t card, vf;
        bool owners;               /* from the guest's XML, programmed by libvirt */
        bool deleted;              /* by QEMU, and libvirt gives the VF back; it has not told of it yet */
        bool partially_unplugged;  /* by QEMU, for a migration */
        bool unplug_pending;       /* the guest was asked */
        bool unplug_for_migration; /* ... by QEMU */
        bool paired;               /* net_failover took it */
        int8_t mac;                /* as the driver read it */
        unsigned generation;       /* of its next step */
        unsigned unplug_generation;
        unsigned refused;    /* how often since it was plugged */
        unsigned asked;      /* ... in this release, by whomever, heard or not */
        uint64_t asked_at;   /* by the daemon, the last time */
        unsigned asked_life; /* ... by which */
};

enum instance_state {
        INSTANCE_OFF,
        INSTANCE_INCOMING,
        INSTANCE_LOADED,
        INSTANCE_RUNNING,
        INSTANCE_PAUSED,
        INSTANCE_MIGRATED, /* stopped at the end of a migration */
};

struct instance {
        enum instance_state state;
        bool outgoing; /* libvirt runs an outgoing job */
        uint64_t since;
};

enum refusal {
        REFUSES_NEVER,
        REFUSES_FIRST,  /* does not let go when asked the first time */
        REFUSES_LONG,   /* ... until it was asked more often than once is given up */
        REFUSES_ALWAYS, /* ... ever */
        REFUSES_SAYING_SO,
};

struct guest {
        int8_t host; /* where its CPUs are (to run), or NOBODY */
        bool booted;
        bool standby; /* STANDBY accepted since the last reset */
        unsigned boot_generation;
        struct instance instances[HOSTS_MAX];

        /* What it is like, for the whole schedule */
        bool has_failover; /* accepts STANDBY */
        bool has_driver;   /* for VFs */
        bool pairs;        /* net_failover takes the VF */
        bool opens_alone;  /* brings a VF up that was not paired */
        bool talks;        /* sends by itself */
        enum refusal refusal;
        uint64_t boot_time, probe_time, open_time, pair_time, unplug_time, close_time;
};

struct nic {
        uint8_t guest;
        int8_t mac;        /* the number of the NIC whose MAC it is: its own, or (by mistake) another's */
        bool unplugged;    /* the virtio NIC is out of the guest for now */
        bool unchecked;    /* two NICs have its MAC, or it is not vswitch's business: only the others must not suffer */
        bool has_other_vf; /* its owner gave it a VF of his own */
        bool has_owners_vf;  /* ... of a card beneath the switch, which libvirt programs when the guest starts */
        bool owner_sets_mac; /* ... but for the MAC, which stays on it */
        struct device devices[HOSTS_MAX];
};

enum migration_phase {
        MIGRATION_NONE,
        MIGRATION_RELEASING, /* vswitch migrate waits for the release */
        MIGRATION_HOOK,
        MIGRATION_HOOK_WAITS,
        MIGRATION_SETUP,
        MIGRATION_UNPLUG,
        MIGRATION_WAIT_UNPLUG,
        MIGRATION_ACTIVE,
        MIGRATION_STOPPED,
        MIGRATION_LOADED,
        MIGRATION_RESUMED,
        MIGRATION_PHASES,
};

struct migration {
        enum migration_phase phase;
        uint8_t source, destination;
        bool held, postcopy;
        unsigned fails_in; /* a phase, or 0 */
        uint64_t began, cancel_at, hook_deadline, loaded;
        bool incoming; /* the destination has a QEMU */
        unsigned generation;
};

/* ---- time ---- */

enum event_kind {
        EVENT_DISTURBANCE,
        EVENT_END_OF_DISTURBANCE,
        EVENT_GUEST_BOOTED,
        EVENT_DEVICE_STEP,
        EVENT_VF_CLOSED, /* QEMU has closed it */
        EVENT_LIBVIRT_GIVES_BACK,
        EVENT_MIGRATION,
        EVENT_DELIVERY,     /* libvirt's word reaches the daemon */
        EVENT_NOTIFICATION, /* the kernel's */
        EVENT_CALL_DONE,    /* the effect of a daemon's call, and its answer */
        EVENT_CALL_ANSWERED,
        EVENT_READ, /* libvirt reads a domain for the daemon */
        EVENT_DAEMON_STARTS,
        EVENT_LIBVIRT_UP,
        EVENT_CONNECTED,
        EVENT_LOOK, /* the daemon looks at vectors and taps */
        EVENT_DEADLINE,
        EVENT_RECONCILE,
        EVENT_GRACE, /* somebody has been deaf for long */
};

/* What libvirt tells. */
enum message_kind {
        MESSAGE_STANDBY,
        MESSAGE_UNPLUG_ASKED,
        MESSAGE_MIGRATION,
        MESSAGE_STOPPED,
        MESSAGE_RESUMED,
        MESSAGE_RESET,
        MESSAGE_DEVICE_REMOVED,
        MESSAGE_DEVICE_REMOVAL_FAILED,
        MESSAGE_LIFECYCLE,
        MESSAGE_SNAPSHOT,
        MESSAGE_LISTED,
};

struct message {
        enum message_kind kind;
        uint8_t guest, nic;
        uint8_t text;  /* see message_text() */
        uint8_t shown; /* a snapshot: enum failover_shown */
        bool outgoing;
        uint8_t nics;     /* a snapshot: which NICs the guest has, a bit each */
        uint8_t attached; /* ... and which of them have a VF */
        uint8_t owners;   /* ... that libvirt has programmed */
        uint8_t vf[NICS_MAX];
};

struct event {
        uint64_t when;
        uint32_t order; /* events of one instant happen in the order in which they were made */
        uint8_t kind;
        uint8_t host, guest, nic;
        uint32_t generation;
        int32_t value;
        struct message message;
};

/* ---- counting ---- */

enum sender {
        SENDER_WIRE,
        SENDER_BRIDGE,
        SENDER_VF,
        SENDERS,
};

enum fate {
        FATE_DELIVERED,
        FATE_TWICE,
        FATE_GUESTS_OWN,  /* lost in the guest's own time between closing and unregistering its VF, or it is not up */
        FATE_PERMITTED,   /* lost where this steering class leaves no way */
        FATE_UNREACHABLE, /* there is no such path now: no carrier, no uplink */
        FATE_REACTION,    /* lost until the daemon reacted to something that nobody announced */
        FATE_TROUBLE,     /* lost while the daemon was down, or what it needs was broken */
        FATE_HOST,        /* lost by the host's fault: a violation */
        FATES,
};

struct reach {
        enum fate fate[SENDERS];
        uint64_t deaf_since[SENDERS];
        uint64_t fate_since;
        bool reported;
        uint64_t isolated_since; /* it listens to a VF of a dead card, and its daemon has had nothing else to do */
};

struct statistics {
        uint64_t schedules, events, decisions, actions;
        uint64_t frames[FATES];
        uint64_t disturbances[DISTURB_COUNT];
        uint64_t moves, arrivals;
};

struct coverage;

struct options {
        bool frames;
        bool trace;
        struct coverage *coverage;
        FILE *out;
};

struct world {
        uint64_t now;
        struct random random;
        const struct options *options;
        struct statistics *statistics;
        struct schedule schedule;

        unsigned hosts_count, guests_count, nics_count;
        struct host hosts[HOSTS_MAX];
        struct guest guests[GUESTS_MAX];
        struct nic nics[NICS_MAX];
        struct migration migrations[GUESTS_MAX];
        struct reach reach[NICS_MAX];
        uint64_t two_places_since[NICS_MAX];
        uint64_t announced[NICS_MAX];
        bool touched;   /* the reach must be looked at again */
        bool by_daemon; /* ... because of the daemon's own write */
        uint64_t last_disturbance;

        unsigned heap_count;
        unsigned events_count; /* so far */
        uint32_t next_order;
        uint16_t heap[EVENTS_MAX];
        uint16_t free_slots[EVENTS_MAX];
        unsigned free_count;

        bool failed;
        char violation[32]; /* its name */
        char sentence[256];

        struct event events[EVENTS_MAX]; /* the last: it needs no clearing */
};

/* world.c */
void world_run(struct world *world, const struct schedule *schedule, const struct options *options,
               struct statistics *statistics);
void world_trace(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The first one counts; the run ends with it. */
void world_violation(struct world *world, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
#define TRACE(world, ...)                                                                                              \
        do {                                                                                                           \
                if ((world)->options->trace)                                                                           \
                        world_trace((world), __VA_ARGS__);                                                             \
        } while (0)

/* schedule.c */
void schedule_make(struct schedule *schedule, uint64_t seed);
void schedule_make_world(struct world *world);
const char *disturbance_to_string(enum disturbance_kind kind);
void schedule_print(const struct schedule *schedule, FILE *out);

/* events.c */
struct event *events_add(struct world *world, uint64_t when, enum event_kind kind);
bool events_next(struct world *world, struct event *ret);

/* disturbances.c */
void disturbances_begin(struct world *world, const struct disturbance *disturbance);
void disturbances_end(struct world *world, const struct event *event);

/* cards.c: what the kernel does */
struct card *cards_uplink(struct host *host); /* NULL while it has none */
const struct vf *cards_vf_of(const struct host *host, const struct device *device);
bool cards_has_link(const struct card *card);
bool cards_has_dying_vf(const struct card *card);
unsigned cards_vectors(const struct world *world, unsigned host, unsigned card, unsigned vf);
void cards_make_vfs(struct world *world, unsigned host, unsigned card);
void cards_remove_vfs(struct world *world, unsigned host, unsigned card);
void cards_vf_closed(struct world *world, unsigned host, unsigned card, unsigned vf);
void cards_notify(struct world *world, unsigned host); /* the kernel's notification, to the daemon of the host */
int8_t cards_find_vf_with_mac(const struct world *world, unsigned host, unsigned card, int8_t mac);

/* guests.c: QEMU and the guest's kernel */
void guests_start(struct world *world, unsigned guest, unsigned host);
void guests_stop(struct world *world, unsigned guest, unsigned host, unsigned text);
void guests_reset(struct world *world, unsigned guest);
void guests_pause(struct world *world, unsigned guest, bool pause);
void guests_booted(struct world *world, const struct event *event);
void guests_device_step(struct world *world, const struct event *event);
void guests_device_set(struct world *world, unsigned host, unsigned nic, enum device_stage stage);
void guests_plug(struct world *world, unsigned host, unsigned nic, unsigned card, unsigned vf);
void guests_ask_to_unplug(struct world *world, unsigned host, unsigned nic, bool for_migration);
void guests_close_vf(struct world *world, unsigned host, unsigned nic);
void guests_device_next(struct world *world, unsigned host, unsigned nic);
void guests_accept_standby(struct world *world, unsigned guest, unsigned host);
bool guests_cpus_run(const struct world *world, unsigned guest, unsigned host);

/* libvirt.c */
enum message_text {
        TEXT_NONE,
        TEXT_STARTED_BOOTED,
        TEXT_STARTED_MIGRATED,
        TEXT_SUSPENDED_MIGRATED,
        TEXT_RESUMED_MIGRATED,
        TEXT_STOPPED_SHUTDOWN,
        TEXT_STOPPED_CRASHED,
        TEXT_STOPPED_MIGRATED,
        TEXT_STOPPED_FAILED,
        TEXT_SETUP,
        TEXT_WAIT_UNPLUG,
        TEXT_ACTIVE,
        TEXT_DEVICE,
        TEXT_POSTCOPY,
        TEXT_COMPLETED,
        TEXT_FAILED,
        TEXT_CANCELLED,
};
const char *message_text(unsigned text);
void libvirt_tell(struct world *world, unsigned host, unsigned guest, enum message_kind kind, unsigned text,
                  unsigned nic);
void libvirt_read(struct world *world, unsigned host, const struct event *event);
void libvirt_refresh(struct world *world, unsigned host, unsigned guest);
void libvirt_restart(struct world *world, unsigned host, uint64_t down_for);
void libvirt_up(struct world *world, unsigned host);
void libvirt_connect_soon(struct world *world, unsigned host);
void libvirt_connected(struct world *world, const struct event *event);
/* A VF for a guest with one in its XML, with MAC and driver; false when there is none. */
bool libvirt_plug_owners_vf(struct world *world, unsigned host, unsigned nic);
void libvirt_give_mac_back(struct world *world, unsigned host, unsigned nic, unsigned card, unsigned vf);
void libvirt_give_back_soon(struct world *world, unsigned host, unsigned nic, unsigned card, unsigned vf);
void libvirt_vf_is_removed(struct world *world, unsigned host, unsigned card, unsigned vf);
void libvirt_gives_back(struct world *world, const struct event *event);

/* migrations.c */
void migrations_begin(struct world *world, unsigned guest, const struct disturbance *disturbance);
void migrations_step(struct world *world, const struct event *event);
void migrations_abort(struct world *world, unsigned guest, bool cancelled);

/* daemon.c: what src/daemon does around the core */
void daemon_start(struct world *world, unsigned host);
void daemon_crash(struct world *world, unsigned host);
void daemon_message(struct world *world, unsigned host, const struct message *message);
void daemon_notified(struct world *world, unsigned host);
void daemon_disconnected(struct world *world, unsigned host);
void daemon_connected(struct world *world, unsigned host);
void daemon_schedule(struct world *world, unsigned host);
void daemon_reconcile(struct world *world, unsigned host);
void daemon_deadline(struct world *world, const struct event *event);
void daemon_look(struct world *world, const struct event *event);
void daemon_dirty(struct world *world, unsigned host, bool tables_too);
void daemon_arm_look(struct world *world, unsigned host); /* a guest's VF has changed */
/* The hook's question: may the guest come here with its VFs? 0: yes, prepared; -EAGAIN: wait; else no. */
int daemon_hook(struct world *world, unsigned host, unsigned guest, bool first);
bool daemon_leases_for(const struct world *world, unsigned nic, unsigned source);
void daemon_hook_release(struct world *world, unsigned host, unsigned guest);
void daemon_hold(struct world *world, unsigned host, unsigned nic, bool hold, bool by_migration);

/* daemon_facts.c */
void daemon_collect(struct world *world, unsigned host, unsigned nic);
bool daemon_poll_vectors(struct world *world, unsigned host, unsigned nic);
void daemon_poll_tap(struct world *world, unsigned host, unsigned nic);
bool daemon_filter_belongs(const struct host *host, const struct agent *agent, unsigned card);
enum failover_reason daemon_find_free(const struct world *world, unsigned host, unsigned *ret_vf);

/* daemon_actions.c */
int daemon_execute(struct world *world, unsigned host, unsigned nic, enum failover_action action);
int daemon_claim(struct world *world, unsigned host, unsigned nic, bool leased);
void daemon_give_up(struct world *world, unsigned host, unsigned nic, enum failover_reason reason);
void daemon_call_done(struct world *world, const struct event *event);
void daemon_call_answered(struct world *world, const struct event *event);
void daemon_write_claim(struct world *world, unsigned host, unsigned nic);

/* reach.c: who hears what */
void reach_update(struct world *world);
void reach_finish(struct world *world);
bool reach_is_deaf(const struct world *world, unsigned nic);

/* checks.c */
void checks_after_decision(struct world *world, unsigned host, unsigned nic);
void checks_before_write(struct world *world, unsigned host, unsigned nic, enum failover_action action);
void checks_after_write(struct world *world, unsigned host, unsigned nic, enum failover_action action);
void checks_at_the_end(struct world *world);
void checks_places(struct world *world);
void checks_isolation(struct world *world);
void checks_arrival(struct world *world, unsigned host, unsigned nic, bool announced);
void checks_probe(struct world *world, unsigned host, unsigned nic);
void checks_mac_write(struct world *world, unsigned host, unsigned nic);
bool checks_troubled(const struct world *world, unsigned host);
/* The hosts whose daemon should have nothing to do when it is restarted now, a bit each. */
unsigned checks_quiet_hosts(const struct world *world);

/* rules_document.c: docs/rules.md */
int rules_print(FILE *out);

/* coverage.c */
struct coverage *coverage_new(void);
void coverage_free(struct coverage *coverage);
void coverage_decision(struct coverage *coverage, const struct failover_facts *facts, uint64_t now,
                       const struct failover_policy *policy, const struct failover_decision *decision);
/* False when something is neither seen nor excused, or seen although excused. */
bool coverage_report(const struct coverage *coverage, FILE *out);
extern const struct failover_policy sim_policy;
#define SIM_BACK_OFF (60 * SECOND)
#define SIM_LEASE    (60 * SECOND)
