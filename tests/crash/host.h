/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What survives the daemon: libvirt, QEMU and the guest, and the log of what happened there.
 *
 * They live in the process of the test; the daemon is a child of it, which really dies. Between them is one piece of
 * shared memory. The child has a modelled libvirt of its own (fake_guests.c), made new at each start from what is here,
 * so whatever happens while there is no daemon is lost on it, as events are.
 */

#include "src/daemon/manager.h"
#include "tests/crash/writes.h"

#define CRASH_UUID     "11111111-2222-3333-4444-555555555555"
#define CRASH_MAC      "52:54:00:12:34:56"
#define CRASH_ALIAS    "ua-net0"
#define CRASH_VF_ALIAS "ua-vf-net0"
#define CRASH_TAP      "tap0"
#define CRASH_BRIDGE   "br0"

#define HOST_HAPPENINGS_MAX 64

/* Where the VFs come from, and QEMU's end of one. */
struct crash_card {
        const char *pf_name;
        const struct pf_driver *pf_driver;
        const struct softswitch_driver *softswitch_driver;
        uint64_t lease_usec; /* a lease is kept so long: longer than it takes to prepare a VF */
        void (*open_vf)(const char *address);
        void (*set_vectors)(unsigned count);
        void (*close_vf)(void);
};

enum host_happening_kind {
        HOST_STARTED,
        HOST_STATE,
        HOST_ENDED,
        HOST_UNPLUGGED,
        HOST_EVENT,
        HOST_RELEASE, /* asked for by an operator: `detail` "hold" or "" */
        HOST_ACQUIRE,
        HOST_HOOK, /* the guest is announced, with a VF */
};

struct host_happening {
        enum host_happening_kind kind;
        enum guest_event_kind event;
        char alias[GUEST_ALIAS_SIZE];
        char detail[48];
};

struct host {
        /* The guest, as libvirt and QEMU know it. */
        bool present, outgoing;
        enum guest_state state;
        bool attached;
        char vf[PF_ADDRESS_SIZE];
        bool unplug_asked;

        struct host_happening happenings[HOST_HAPPENINGS_MAX];
        unsigned happened;

        /* The hook's last answer. */
        bool answered;
        char leased_vf[PF_ADDRESS_SIZE];

        struct writes writes;

        /* What the daemon is at, told by itself after each turn of its loop. */
        struct host_daemon {
                bool ready;     /* it has taken over all that is above */
                unsigned heard; /* of `happened` */
                unsigned idle;  /* turns since anything changed */
                bool has_nic, has_claim, calls, held, recorded;
                enum failover_situation situation;
                enum failover_reason reason, failure;
                char rule[48];
                char failure_words[256];
        } daemon;
};

extern struct host *host;
extern const struct crash_card *host_card;

void host_begin(const struct crash_card *card);

/* Each changes the guest and has the daemon hear of it, if there is one. */
void host_start(enum guest_state state, const char *vf);
void host_set_state(enum guest_state state, bool outgoing);
void host_end(const char *detail);
void host_emit(enum guest_event_kind kind, const char *alias, const char *detail);
void host_ask(enum host_happening_kind request, const char *detail);

/* QEMU asks the guest to let go of its VF for a migration; a migration that is cancelled lets it open it again. */
void host_migration_wants_vf(bool wants);

/* QEMU and the guest do what is next for them: open the VF that was attached, drive it, let go of one they are asked
 * for. Called all the time. */
void host_play(void);
bool host_guest_drives(void); /* net_failover listens to the VF */
/* In a child: what QEMU has open is not its. */
void host_leave_to_parent(void);
