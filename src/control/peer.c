/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who calls a method that changes something, and may he.
 *
 * Theory of operation: at the private socket the kernel has said it (SO_PEERCRED). On the system bus only the bus
 * daemon knows, and asking it must not stop the event loop: the call is kept, the question sent, and the work done
 * when the answer comes. The sender's name is watched from then on, so that what he holds ends with him, as with a
 * connection of the private socket. The bus policy allows these calls to root only; this check does not depend on it.
 */

#include "src/control/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PEERS_MAX   64
#define PENDING_MAX 16

struct pending {
        sd_bus_message *call;
        peer_action action;
        struct pending *next;
};

/* A sender on the system bus. */
struct peer {
        struct endpoint *endpoint;
        struct peer *next;
        char *name; /* ":1.42" */
        struct control_caller caller;
        char description[64];
        bool known; /* the bus daemon has said who it is */
        sd_bus_slot *watch;
        sd_bus_slot *question;
        struct pending *pending;
        size_t pending_count;
};

void peer_describe(struct control_caller *caller, char *buffer, size_t size)
{
        char path[32], name[17] = "?";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/comm", caller->pid);
        file = fopen(path, "re");
        if (file) {
                if (fgets(name, sizeof(name), file))
                        name[strcspn(name, "\n")] = '\0';
                fclose(file);
        }
        snprintf(buffer, size, "%s[%d] uid %u", name, caller->pid, caller->uid);
        caller->description = buffer;
}

static void run(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller,
                peer_action action)
{
        int r;

        /* Root, and the user the daemon itself runs as (tests). */
        if (caller->uid != 0 && caller->uid != geteuid()) {
                sd_bus_reply_method_errorf(call, protocol_error_name(-EACCES),
                                           "%s is for root only; members of the group can read",
                                           sd_bus_message_get_member(call));
                return;
        }
        r = action(endpoint, call, caller);
        if (r < 0)
                sd_bus_reply_method_errorf(call, protocol_error_name(r), "%s", strerror(-r));
}

static void peer_free(struct peer *peer)
{
        struct control *control = peer->endpoint->control;

        for (struct peer **link = &peer->endpoint->peers; *link; link = &(*link)->next)
                if (*link == peer) {
                        *link = peer->next;
                        break;
                }
        control_caller_gone(control, &peer->caller);
        while (peer->pending) {
                struct pending *pending = peer->pending;

                peer->pending = pending->next;
                sd_bus_message_unref(pending->call);
                free(pending);
        }
        sd_bus_slot_unref(peer->watch);
        sd_bus_slot_unref(peer->question);
        free(peer->name);
        free(peer);
}

void peer_free_all(struct endpoint *endpoint)
{
        while (endpoint->peers)
                peer_free(endpoint->peers);
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        const char *name, *old_owner, *new_owner;

        /* Unique names never come back: any change is the end. */
        if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) >= 0 && *new_owner == '\0')
                peer_free(userdata);
        return 0;
}

static int read_credentials(sd_bus_message *message, struct control_caller *caller)
{
        bool has_uid = false;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                const char *key;
                uint32_t number;

                r = sd_bus_message_read(message, "s", &key);
                if (r < 0)
                        return r;
                if (strcmp(key, "UnixUserID") == 0 || strcmp(key, "ProcessID") == 0) {
                        r = sd_bus_message_read(message, "v", "u", &number);
                        if (r < 0)
                                return r;
                        if (*key == 'U') {
                                caller->uid = number;
                                has_uid = true;
                        } else
                                caller->pid = (int) number;
                } else {
                        r = sd_bus_message_skip(message, "v");
                        if (r < 0)
                                return r;
                }
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : has_uid ? 0 : -ENODATA;
}

static int on_credentials(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct peer *peer = userdata;
        struct endpoint *endpoint = peer->endpoint;

        if (sd_bus_message_is_method_error(message, NULL) || read_credentials(message, &peer->caller) < 0) {
                for (struct pending *pending = peer->pending; pending; pending = pending->next)
                        sd_bus_reply_method_errorf(pending->call, protocol_error_name(-EACCES),
                                                   "the bus does not say who is asking");
                peer_free(peer);
                return 0;
        }
        peer_describe(&peer->caller, peer->description, sizeof(peer->description));
        peer->known = true;
        while (peer->pending) {
                struct pending *pending = peer->pending;
                _cleanup_message_ sd_bus_message *call = pending->call;
                peer_action action = pending->action;

                peer->pending = pending->next;
                peer->pending_count--;
                free(pending);
                run(endpoint, call, &peer->caller, action);
        }
        return 0;
}

static int peer_new(struct endpoint *endpoint, const char *name, struct peer **ret)
{
        struct peer *peer = calloc(1, sizeof(*peer));
        char match[256];
        int r = -ENOMEM;

        if (!peer)
                return r;
        peer->endpoint = endpoint;
        peer->caller.connection = ++endpoint->control->last_connection;
        peer->next = endpoint->peers;
        endpoint->peers = peer;
        peer->name = strdup(name);
        if (peer->name) {
                /* The watch first: a sender that goes before the answer is then seen in any case. */
                snprintf(match, sizeof(match),
                         "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                         "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                         name);
                r = sd_bus_add_match_async(endpoint->bus, &peer->watch, match, on_owner_changed, NULL, peer);
        }
        if (r >= 0)
                r = sd_bus_call_method_async(endpoint->bus, &peer->question, "org.freedesktop.DBus",
                                             "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                             "GetConnectionCredentials", on_credentials, peer, "s", name);
        if (r < 0) {
                peer_free(peer);
                return r;
        }
        *ret = peer;
        return 0;
}

static int peer_find(struct endpoint *endpoint, const char *name, struct peer **ret)
{
        size_t count = 0;

        for (struct peer *peer = endpoint->peers; peer; peer = peer->next, count++)
                if (strcmp(peer->name, name) == 0) {
                        *ret = peer;
                        return 0;
                }
        return count < PEERS_MAX ? peer_new(endpoint, name, ret) : -EBUSY;
}

int peer_authorise(struct endpoint *endpoint, sd_bus_message *call, peer_action action)
{
        const char *sender = sd_bus_message_get_sender(call);
        struct pending *pending, **end;
        struct peer *peer;
        int r;

        if (!endpoint->is_system_bus) {
                run(endpoint, call, &endpoint->caller, action);
                return 1;
        }
        if (!sender)
                return -EACCES;
        r = peer_find(endpoint, sender, &peer);
        if (r < 0)
                return r;
        if (peer->known) {
                run(endpoint, call, &peer->caller, action);
                return 1;
        }
        if (peer->pending_count >= PENDING_MAX)
                return -EBUSY;
        pending = calloc(1, sizeof(*pending));
        if (!pending)
                return -ENOMEM;
        pending->call = sd_bus_message_ref(call);
        pending->action = action;
        for (end = &peer->pending; *end; end = &(*end)->next)
                ;
        *end = pending;
        peer->pending_count++;
        return 1;
}
