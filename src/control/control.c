/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control server: what the daemon calls.
 *
 * Theory of operation: an *endpoint* (endpoint.c) is one sd_bus with the object tree on it. The listener makes one
 * for every client of the private socket, system_bus.c one for the system bus; what the daemon reports goes to all
 * of them. The tree has no state of its own (objects.c asks the provider), so there is nothing to keep in step.
 */

#include "src/control/server.h"

#include <errno.h>
#include <string.h>
#include <time.h>

int control_new(sd_event *loop, const char *socket_path, const char *group_name,
                const struct control_provider *provider, void *model, struct control **ret, struct vswitch_error *error)
{
        _cleanup_(control_freep) struct control *control = calloc(1, sizeof(*control));
        int r;

        if (!control)
                return vswitch_error_set(error, -ENOMEM, "out of memory");
        control->loop = sd_event_ref(loop);
        control->provider = provider;
        control->model = model;

        r = listener_new(control, socket_path, group_name, &control->listener, error);
        if (r < 0)
                return r;
        r = system_bus_new(control, &control->system_bus);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot set up the control channel: %s", strerror(-r));
        *ret = TAKE_PTR(control);
        return 0;
}

void control_free(struct control *control)
{
        struct system_bus *system_bus;

        if (!control)
                return;
        control->ending = true;
        methods_forget_late_calls(control);
        system_bus = TAKE_PTR(control->system_bus);
        while (control->endpoints)
                endpoint_free(control->endpoints);
        system_bus_free(system_bus);
        listener_free(control->listener);
        sd_event_source_disable_unref(control->afterwards);
        views_clear(&control->views);
        sd_event_unref(control->loop);
        free(control);
}

void control_freep(struct control **control)
{
        control_free(*control);
}

void control_caller_gone(struct control *control, const struct control_caller *caller)
{
        if (!control->ending)
                control->provider->caller_gone(control->model, caller->connection);
}

/* sd-bus reads the properties while it makes the signal, from the object as it is now. */
enum nic_signal {
        NIC_CHANGED,
        NIC_ADDED,
        NIC_REMOVED,
};

static void send_nic_signal(struct control *control, const char *uuid, const char *alias, enum nic_signal signal)
{
        _cleanup_free_ char *path = NULL;

        if (sd_bus_path_encode_many(&path, PROTOCOL_NIC_PATH, uuid, alias) < 0)
                return;
        for (struct endpoint *endpoint = control->endpoints; endpoint; endpoint = endpoint->next) {
                if (!endpoint_takes_signals(endpoint))
                        continue;
                switch (signal) {
                case NIC_CHANGED:
                        (void) sd_bus_emit_properties_changed_strv(endpoint->bus, path, PROTOCOL_NIC, NULL);
                        break;
                case NIC_ADDED:
                        (void) sd_bus_emit_interfaces_added(endpoint->bus, path, PROTOCOL_NIC, NULL);
                        break;
                case NIC_REMOVED:
                        (void) sd_bus_emit_interfaces_removed(endpoint->bus, path, PROTOCOL_NIC, NULL);
                        break;
                }
        }
}

void control_nic_changed(struct control *control, const char *uuid, const char *alias)
{
        send_nic_signal(control, uuid, alias, NIC_CHANGED);
}

void control_nic_added(struct control *control, const char *uuid, const char *alias)
{
        send_nic_signal(control, uuid, alias, NIC_ADDED);
}

void control_nic_removed(struct control *control, const char *uuid, const char *alias)
{
        send_nic_signal(control, uuid, alias, NIC_REMOVED);
}

void control_event(struct control *control, const char *kind, const char *subject, const char *sentence)
{
        struct timespec now;
        uint64_t usec;

        clock_gettime(CLOCK_REALTIME, &now);
        usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        for (struct endpoint *endpoint = control->endpoints; endpoint; endpoint = endpoint->next)
                if (endpoint_takes_signals(endpoint))
                        (void) sd_bus_emit_signal(endpoint->bus, CONTROL_PATH, PROTOCOL_MANAGER, "Event", "tsss", usec,
                                                  kind, subject, sentence);
}
