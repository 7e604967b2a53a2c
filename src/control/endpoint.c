/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One sd_bus with the object tree on it.
 *
 * Theory of operation: every client of the private socket gets an sd_bus of its own in server mode, and the system
 * bus is one more; the same objects are registered on each. Nothing here waits for a peer: sd-bus writes what the
 * socket takes and queues the rest. The queue is what a stuck client could grow without end, so it is bounded in
 * both directions: a client that has too many unread signals, or asks on while its answers are not read, loses its
 * connection. Its holds end then, as if it had died.
 *
 * An endpoint is never freed inside its own callbacks: it is *doomed* (closed, silent) and freed by a deferred
 * event source of the server, which does what must be done outside of them.
 */

#include "src/control/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A monitor that is stopped for a moment misses nothing; one that is stuck holds some hundred KiB at the most. */
#define SIGNALS_QUEUED_MAX 1024
#define ANSWERS_QUEUED_MAX 64

static int on_afterwards(sd_event_source *source, void *userdata)
{
        struct control *control = userdata;
        struct endpoint *next;

        for (struct endpoint *endpoint = control->endpoints; endpoint; endpoint = next) {
                next = endpoint->next;
                while (endpoint->fresh && !endpoint->doomed && sd_bus_process(endpoint->bus, NULL) > 0)
                        ;
                endpoint->fresh = false;
                if (endpoint->doomed)
                        endpoint_free(endpoint);
        }
        return 0;
}

static void do_afterwards(struct control *control)
{
        /* Out of memory: done another time, it does no harm meanwhile. */
        if (!control->afterwards && sd_event_add_defer(control->loop, &control->afterwards, on_afterwards, control) < 0)
                return;
        sd_event_source_set_enabled(control->afterwards, SD_EVENT_ONESHOT);
}

void endpoint_doom(struct endpoint *endpoint)
{
        if (endpoint->doomed)
                return;
        endpoint->doomed = true;
        sd_bus_close(endpoint->bus);
        do_afterwards(endpoint->control);
}

static size_t queued(struct endpoint *endpoint)
{
        uint64_t count = 0;

        sd_bus_get_n_queued_write(endpoint->bus, &count);
        return count;
}

bool endpoint_takes_signals(struct endpoint *endpoint)
{
        if (endpoint->doomed || sd_bus_is_ready(endpoint->bus) <= 0)
                return false;
        if (queued(endpoint) > SIGNALS_QUEUED_MAX) {
                endpoint_doom(endpoint);
                return false;
        }
        return true;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;

        /* The bus daemon speaks for many, and bounds them itself. */
        if (endpoint->is_system_bus || queued(endpoint) <= ANSWERS_QUEUED_MAX)
                return 0;
        endpoint_doom(endpoint);
        return 1;
}

/* A client may send its first call together with the end of the authentication. sd-bus has read it then, but waits
 * for the socket to become readable before it looks at it (seen with 252): so it is made to look once. */
static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;

        endpoint->fresh = true;
        do_afterwards(endpoint->control);
        return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        endpoint_doom(userdata);
        return 0;
}

int endpoint_new(struct control *control, sd_bus *bus, const struct control_caller *caller, struct endpoint **ret)
{
        _cleanup_bus_ sd_bus *owned = bus;
        _cleanup_free_ struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
        int r;

        if (!endpoint)
                return -ENOMEM;
        endpoint->control = control;
        endpoint->bus = bus;
        endpoint->is_system_bus = !caller;
        if (caller) {
                endpoint->caller = *caller;
                peer_describe(&endpoint->caller, endpoint->description, sizeof(endpoint->description));
        }

        r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, endpoint);
        if (r >= 0 && caller)
                r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Connected", on_connected, NULL, endpoint);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, endpoint);
        if (r >= 0)
                r = objects_add(endpoint);
        if (r >= 0 && caller)
                r = bus_driver_add(endpoint);
        if (r >= 0)
                r = sd_bus_attach_event(bus, control->loop, CONTROL_EVENT_PRIORITY);
        if (r < 0)
                return r;

        endpoint->next = control->endpoints;
        control->endpoints = endpoint;
        control->endpoints_count++;
        TAKE_PTR(owned);
        if (ret)
                *ret = endpoint;
        TAKE_PTR(endpoint);
        return 0;
}

void endpoint_free(struct endpoint *endpoint)
{
        struct control *control = endpoint->control;

        for (struct endpoint **link = &control->endpoints; *link; link = &(*link)->next)
                if (*link == endpoint) {
                        *link = endpoint->next;
                        control->endpoints_count--;
                        break;
                }
        peer_free_all(endpoint);
        sd_bus_close_unref(endpoint->bus);
        if (endpoint->is_system_bus)
                system_bus_lost(control->system_bus);
        else
                control_caller_gone(control, &endpoint->caller);
        free(endpoint);
}
