/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside the control server: what its files know of each other. */

#include "src/control/control.h"
#include "src/control/protocol.h"
#include "src/control/views.h"

/* Guest signals go before the operators' questions when both are waiting. */
#define CONTROL_EVENT_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 5)

struct endpoint;
struct late_call;
struct listener;
struct system_bus;

struct control {
        sd_event *loop;
        const struct control_provider *provider;
        void *model;
        bool ending;              /* control_free(): the model is not told any more */
        uint64_t last_connection; /* the newest control_caller.connection */

        struct listener *listener;
        struct system_bus *system_bus;
        struct endpoint *endpoints;
        size_t endpoints_count;
        sd_event_source *afterwards;  /* what endpoints need done outside of their own callbacks */
        struct late_call *late_calls; /* not answered yet */

        /* Copies of the views that sd-bus is showing right now: its getters run after the provider's iteration. */
        struct views views;
};

/* endpoint.c: one sd_bus with the object tree on it, of a client on the private socket or of the system bus. */
struct endpoint {
        struct control *control;
        sd_bus *bus;
        bool is_system_bus;
        bool doomed;                  /* closed; freed afterwards */
        bool fresh;                   /* has just been authenticated */
        struct control_caller caller; /* private socket: who is at the other end */
        char description[64];
        struct peer *peers; /* system bus: the senders that have asked for a change */
        struct endpoint *next;
};

/* Takes over `bus` (also on failure), which has not been started. `caller` is NULL for the system bus. */
int endpoint_new(struct control *control, sd_bus *bus, const struct control_caller *caller, struct endpoint **ret);
void endpoint_free(struct endpoint *endpoint);
/* Ends the connection now and frees the endpoint soon: safe inside its callbacks and while walking the list. */
void endpoint_doom(struct endpoint *endpoint);
/* May a signal be sent to it? Dooms an endpoint whose reader lags too far behind. */
bool endpoint_takes_signals(struct endpoint *endpoint);

/* listener.c: the private socket. */
int listener_new(struct control *control, const char *path, const char *group_name, struct listener **ret,
                 struct vswitch_error *error);
void listener_free(struct listener *listener);

/* system_bus.c: there when it is there. */
int system_bus_new(struct control *control, struct system_bus **ret);
void system_bus_free(struct system_bus *system_bus);
/* Called by endpoint.c when the endpoint of the system bus is gone. */
void system_bus_lost(struct system_bus *system_bus);

/* Tells the model that the holds of this caller end. */
void control_caller_gone(struct control *control, const struct control_caller *caller);

/* peer.c: who calls a changing method, and may he. */
struct peer;
/* Does the work and answers `call`. A negative return is answered by the caller. */
typedef int (*peer_action)(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
/* Runs `action` at once, or later when the bus daemon has said who the sender is. Answers Denied by itself. */
int peer_authorise(struct endpoint *endpoint, sd_bus_message *call, peer_action action);
void peer_free_all(struct endpoint *endpoint);
void peer_describe(struct control_caller *caller, char *buffer, size_t size);

/* objects.c: the object tree. */
int objects_add(struct endpoint *endpoint);

/* dictionaries.c: the properties that are dictionaries, or lists of them. Getters as sd-bus calls them; `userdata` is
 * the view, for the policy the pointer to it. */
int dictionaries_vfs(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error);
int dictionaries_neighbours(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);
int dictionaries_policy(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);
/* enum pf_vf_attribute bits as a list of names; `userdata` is the uint32_t. */
int dictionaries_attribute_names(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);

/* bus_driver.c: what D-Bus tools expect of a bus, for the private socket. */
int bus_driver_add(struct endpoint *endpoint);

/* methods.c: what the changing methods do once the caller is known. */
int methods_acquire(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
int methods_release(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
int methods_set_policy(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
int methods_set_vfs(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
int methods_reserve(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
int methods_reload(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
int methods_hook(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller);
/* A call that the model answers later: the token that it is given. */
struct late_call {
        struct control *control; /* NULL: the server has ended, and nobody waits any more */
        sd_bus_message *call;
        struct late_call *next;
};
struct late_call *late_call_new(struct control *control, sd_bus_message *call); /* NULL: out of memory */
void late_call_free(struct late_call *late_call);
/* Answers a call: nothing, or the error. */
int methods_answer(sd_bus_message *call, int result, const struct vswitch_error *error);
/* The daemon ends: answers that come later go nowhere. */
void methods_forget_late_calls(struct control *control);
