/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The system bus, where there is one.
 *
 * Theory of operation: nobody waits for it. Opening only starts a connection; Hello and the request for the name are
 * asynchronous. A bus that is not there, refuses the name or goes away is tried again with growing pauses, and the
 * private socket works all the time.
 */

#include "src/control/server.h"

#include <errno.h>
#include <time.h>

#define RETRY_FIRST_USEC UINT64_C(2000000)
#define RETRY_MAX_USEC   UINT64_C(300000000)
#define RETRY_ACCURACY   UINT64_C(1000000)

struct system_bus {
        struct control *control;
        struct endpoint *endpoint; /* NULL while there is no connection */
        sd_event_source *timer;
        uint64_t pause_usec;
};

static void retry_later(struct system_bus *system_bus)
{
        uint64_t now = 0;

        sd_event_now(system_bus->control->loop, CLOCK_MONOTONIC, &now);
        sd_event_source_set_time(system_bus->timer, now + system_bus->pause_usec);
        sd_event_source_set_enabled(system_bus->timer, SD_EVENT_ONESHOT);
        system_bus->pause_usec *= 2;
        if (system_bus->pause_usec > RETRY_MAX_USEC)
                system_bus->pause_usec = RETRY_MAX_USEC;
}

static int on_name(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct system_bus *system_bus = userdata;

        if (sd_bus_message_is_method_error(message, NULL) && system_bus->endpoint)
                endpoint_doom(system_bus->endpoint);
        else
                system_bus->pause_usec = RETRY_FIRST_USEC;
        return 0;
}

static int try(struct system_bus *system_bus)
{
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system_with_description(&bus, "control-system");
        if (r < 0)
                return r;
        r = endpoint_new(system_bus->control, bus, NULL, &system_bus->endpoint);
        if (r < 0)
                return r;
        r = sd_bus_request_name_async(bus, NULL, CONTROL_SERVICE, 0, on_name, system_bus);
        if (r < 0)
                endpoint_doom(system_bus->endpoint); /* comes back as system_bus_lost() */
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct system_bus *system_bus = userdata;

        if (!system_bus->endpoint && try(system_bus) < 0)
                retry_later(system_bus);
        return 0;
}

void system_bus_lost(struct system_bus *system_bus)
{
        if (!system_bus)
                return; /* the server ends */
        system_bus->endpoint = NULL;
        retry_later(system_bus);
}

int system_bus_new(struct control *control, struct system_bus **ret)
{
        struct system_bus *system_bus = calloc(1, sizeof(*system_bus));
        int r;

        if (!system_bus)
                return -ENOMEM;
        system_bus->control = control;
        system_bus->pause_usec = RETRY_FIRST_USEC;
        r = sd_event_add_time(control->loop, &system_bus->timer, CLOCK_MONOTONIC, 0, RETRY_ACCURACY, on_timer,
                              system_bus);
        if (r < 0) {
                free(system_bus);
                return r;
        }
        *ret = system_bus;
        return 0;
}

void system_bus_free(struct system_bus *system_bus)
{
        if (!system_bus)
                return;
        sd_event_source_disable_unref(system_bus->timer);
        free(system_bus);
}
