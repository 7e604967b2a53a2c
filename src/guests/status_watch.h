/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "guests.h"

/* Has domains read again whose status file libvirt has written. On the event loop's thread. */
struct status_watch;

int status_watch_new(struct guests *guests, sd_event *loop, struct status_watch **ret);
void status_watch_free(struct status_watch *watch);
void status_watch_freep(struct status_watch **watch);
/* The directory may be there now. */
void status_watch_look(struct status_watch *watch);
