/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What libvirt's and QEMU's events say, in the words of guests.h. Pure functions. */

#include "guests.h"

/* "suspended/migrated" and so on; numbers that are newer than this file stay numbers. */
void event_lifecycle_words(int event, int detail, char *buffer, size_t size);

/* The alias in the domain's XML of a device that QEMU names. `is_nic`: the name can be that of the NIC's backend. */
void event_alias(const char *name, bool is_nic, char buffer[static GUEST_ALIAS_SIZE]);

/* What is to be made of an event of QEMU's monitor. */
struct event_meaning {
        bool is_event; /* `event` (kind, alias, detail) goes to the daemon */
        bool is_news;  /* the domain is to be read again */
        struct guest_event event;
};

/* `name` is "STOP", `details` its JSON data or NULL. */
void event_from_qemu(const char *name, const char *details, struct event_meaning *ret);

/* The events that event_from_qemu knows, as a regular expression for libvirt. */
extern const char event_qemu_names[];
