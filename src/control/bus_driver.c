/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As much of a bus daemon as the usual tools ask for before they say what they want. With it
 *
 *     busctl --address=unix:path=/run/vswitch/control introspect org.vswitch1 /org/vswitch1
 *
 * (and gdbus, and every D-Bus library) works on the private socket, where there is no bus: the server is the only one
 * to talk to, everybody gets all its signals, so there is nothing to register.
 */

#include "src/control/server.h"

#include <inttypes.h>
#include <stdio.h>

static int hello(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        const struct endpoint *endpoint = userdata;
        char name[32];

        snprintf(name, sizeof(name), ":1.%" PRIu64, endpoint->caller.connection);
        return sd_bus_reply_method_return(call, "s", name);
}

static int nothing_to_do(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_reply_method_return(call, NULL);
}

static int list_names(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_reply_method_return(call, "as", 1, CONTROL_SERVICE);
}

static int list_no_names(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_reply_method_return(call, "as", 0);
}

/* Whoever is asked for: it is this server. */
static int name_owner(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_reply_method_return(call, "s", CONTROL_SERVICE);
}

#define METHOD(name, takes, gives, handler) SD_BUS_METHOD(name, takes, gives, handler, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Hello", "", "s", hello),
        METHOD("AddMatch", "s", "", nothing_to_do),
        METHOD("RemoveMatch", "s", "", nothing_to_do),
        METHOD("ListNames", "", "as", list_names),
        METHOD("ListActivatableNames", "", "as", list_no_names),
        METHOD("GetNameOwner", "s", "s", name_owner),
        SD_BUS_VTABLE_END,
};

int bus_driver_add(struct endpoint *endpoint)
{
        return sd_bus_add_object_vtable(endpoint->bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus", vtable,
                                        endpoint);
}
