/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading one domain: blocking calls to libvirt and nothing else. */

#include "guest_state.h"
#include "guests.h"

#include <libvirt/libvirt.h>

/* What was read. It becomes a guest state by guest_state_derive, with what the events tell until then. */
struct domain_reading {
        int state; /* virDomainState; has_process false: gone, or not running */
        int reason;
        bool has_process;
        enum guest_job job;
        /* Name, uuid, id and the devices; `incomplete` when libvirt did not show them. Never NULL. */
        struct guest *guest;
        bool is_second_hand; /* from libvirt's status file, since libvirt is busy with the domain */
};

void domain_reading_clear(struct domain_reading *reading);

/* Reads what the domain is defined as for its next start. Without a definition (transient, or gone) *ret has no devices;
 * that is success. */
int domain_read_definition(virConnectPtr connection, const char *uuid, struct guest **ret, struct vswitch_error *error);

/* Reads the domain. That it is gone is success. `known_job` spares the question for the job when it is not
 * GUEST_JOB_UNKNOWN: that question goes through to QEMU, which is not to be bothered during a switch-over. */
int domain_read(virConnectPtr connection, const char *uuid, enum guest_job known_job, struct domain_reading *ret,
                struct vswitch_error *error);
