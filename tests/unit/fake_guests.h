/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A modelled libvirt behind src/guests/guests.h, for tests of what uses it: no daemon, no QEMU, no threads.
 *
 * fake_guests.c defines guests_new() and the other guests_* functions; name it among the SOURCES of the test and link
 * vswitch_guests after it, for the XML half (the linker then takes only that from the library).
 *
 * There is one model for the process; it lives on when the program under test frees its struct guests and makes
 * another one, as libvirt does when the daemon restarts. Nothing is delivered from inside these functions: everything
 * comes through the event loop, in order, as with the real one.
 */

#include "src/guests/guests.h"

enum fake_request_kind {
        FAKE_ATTACH,
        FAKE_DETACH,
        FAKE_POLICY, /* guests_set_policy */
        FAKE_RUN,
};

/* What a guest does that is asked to unplug a device. */
enum fake_unplug {
        FAKE_UNPLUG_AT_ONCE,
        FAKE_UNPLUG_NEVER,  /* until fake_guests_unplug */
        FAKE_UNPLUG_REFUSE, /* DEVICE_REMOVAL_FAILED */
};

/* An empty libvirt that is up, answers at once, and whose guests unplug at once. Before each test. */
void fake_guests_reset(void);

/* libvirtd goes away, or is not there yet; and is there (again): connection, then listed. Requests that are open when
 * it goes are answered with -ENOTCONN. */
void fake_guests_down(const char *sentence);
void fake_guests_up(void);

/* A domain that starts, from its XML as libvirt shows it: lifecycle event ("started/migrated" with GUEST_INCOMING,
 * "started/booted" otherwise), then changed. The same UUID again is another start. */
void fake_guests_start(const char *xml, enum guest_state state);
/* The same, from where it was saved: QEMU has loaded it, and negotiated, before libvirt tells ("started/restored"). */
void fake_guests_restore(const char *xml, enum guest_state state);
/* Something has happened to it: `changed` follows. No event by itself, see fake_guests_emit. */
void fake_guests_set_state(const char *uuid, enum guest_state state, bool outgoing);
/* Gives a domain that runs, or one that does not, a definition for its next start: what GUEST_SET_CONFIG changes. Without
 * it a domain is transient. Lifecycle event, `defined`, `changed`. */
void fake_guests_define(const char *xml);
void fake_guests_undefine(const char *uuid);
/* The domain's XML, running or (`config`) as defined, with the metadata that was written since; NULL when there is none. */
const char *fake_guests_xml(const char *uuid, bool config);
/* Its definition was edited while it runs: NICs and what is said of them are those of the XML, VFs and state stay.
 * `changed` follows. */
void fake_guests_edit(const char *xml);
/* It is gone: lifecycle event `detail` ("stopped/destroyed", "stopped/migrated"), then changed with GUEST_OFF. */
void fake_guests_end(const char *uuid, const char *detail);
/* An event and nothing else. `alias` and `detail` may be NULL. */
void fake_guests_emit(const char *uuid, enum guest_event_kind kind, const char *alias, const char *detail);
/* The model's own view of a domain, NULL when it has no QEMU. Valid until the next call. */
const struct guest *fake_guests_find(const char *uuid);
const struct guest_vf *fake_guests_find_vf(const char *uuid, const char *alias);

/* The guest lets go of the device: DEVICE_REMOVED, then changed. false when it has no such device. */
bool fake_guests_unplug(const char *uuid, const char *alias);
void fake_guests_set_unplug(enum fake_unplug how);

/* Requests of this kind wait until fake_guests_answer (or are answered by themselves again). */
void fake_guests_hold(enum fake_request_kind kind, bool hold);
/* Requests of this kind fail like this from now on; 0: they work. The sentence is copied. */
void fake_guests_fail(enum fake_request_kind kind, int result, const char *sentence);

/* The end of the daemon leaves held work (FAKE_RUN) behind, as the real one does with work that does not end: its answer
 * never comes. The second runs it then. */
void fake_guests_abandon_run(void);
void fake_guests_end_abandoned(void);

struct fake_request {
        enum fake_request_kind kind;
        char uuid[GUEST_UUID_SIZE];
        const char *text; /* the device's XML, or its alias; the NIC's alias for FAKE_POLICY; NULL for FAKE_RUN */
};

/* The oldest held request of this kind, or NULL. */
const struct fake_request *fake_guests_pending(enum fake_request_kind kind);
/* Answers it. With 0 it takes effect: the device is there, the guest is asked, the work is done (its own result is the
 * answer). A device that libvirt would not take is refused with libvirt's words all the same. */
void fake_guests_answer(enum fake_request_kind kind, int result, const char *sentence);

/* How many of this kind were asked for since the reset. */
unsigned fake_guests_count(enum fake_request_kind kind);
/* How many times guests_refresh was called since the reset. */
unsigned fake_guests_refreshed(void);

/* Runs the loop until there is nothing left to deliver (and no other source has anything to do). */
void fake_guests_settle(sd_event *loop);

/* The time in events; CLOCK_MONOTONIC until a test sets its own. */
extern uint64_t (*fake_guests_clock)(void);
