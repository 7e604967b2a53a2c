/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The connections: opened and closed on a lane of their own, lent to the threads that make calls.
 *
 * A libvirtd that has stopped answering without closing its sockets is found by libvirt's keep-alive messages, which
 * close the connection from this side; a call that waits for an answer then fails. virConnectOpen has no such bound:
 * it waits for as long as libvirtd is like that, and with it the lane.
 */

#include "libvirt_error.h"
#include "private.h"

#include <errno.h>
#include <stdio.h>

#define BACK_OFF_FIRST        (UINT64_C(500) * 1000)
#define BACK_OFF_LAST         (UINT64_C(5) * 1000 * 1000)
#define KEEP_ALIVE_INTERVAL   5 /* seconds */
#define KEEP_ALIVE_UNANSWERED 3

void guests_post_connection(struct guests *guests, bool connected, const char *sentence)
{
        struct message *message;

        if (!connected && strcmp(guests->last_sentence, sentence) == 0)
                return;
        snprintf(guests->last_sentence, sizeof(guests->last_sentence), "%s", connected ? "" : sentence);
        message = message_new(MESSAGE_CONNECTION);
        if (!message)
                return;
        message->connected = connected;
        snprintf(message->sentence.text, sizeof(message->sentence.text), "%s", sentence);
        queue_post(&guests->queue, message);
}

/* Lending */

struct borrowed guests_borrow(struct guests *guests)
{
        struct borrowed borrowed = { .guests = guests };
        LOCKED(&guests->lock);

        borrowed.generation = guests->generation;
        if (!guests->connections || guests->lost)
                return borrowed;
        for (size_t i = 0; i < GUESTS_CALLERS; i++)
                if (!guests->connections->busy[i] && virConnectRef(guests->connections->callers[i]) >= 0) {
                        guests->connections->busy[i] = true;
                        borrowed.connection = guests->connections->callers[i];
                        break;
                }
        return borrowed;
}

void guests_give_backp(struct borrowed *borrowed)
{
        struct guests *guests = borrowed->guests;

        if (!borrowed->connection)
                return;
        {
                LOCKED(&guests->lock);

                for (size_t i = 0; guests->connections && i < GUESTS_CALLERS; i++)
                        if (guests->connections->callers[i] == borrowed->connection)
                                guests->connections->busy[i] = false;
        }
        virConnectClose(borrowed->connection);
}

static bool is_one_of(const struct connections *connections, virConnectPtr connection)
{
        if (!connections)
                return false;
        for (size_t i = 0; i < GUESTS_CALLERS; i++)
                if (connections->callers[i] == connection)
                        return true;
        return connections->events == connection;
}

static void note_lost(struct guests *guests, virConnectPtr connection, const char *sentence)
{
        {
                LOCKED(&guests->lock);

                if (!is_one_of(guests->connections, connection) || guests->lost)
                        return;
                guests->lost = true;
                snprintf(guests->lost_sentence, sizeof(guests->lost_sentence), "%s", sentence);
        }
        guests_wake(guests);
}

void guests_note_failure(const struct borrowed *borrowed)
{
        if (virConnectIsAlive(borrowed->connection) == 0)
                note_lost(borrowed->guests, borrowed->connection, "the connection to libvirt broke");
}

/* On whichever thread finds the connection dead. */
static void on_close(virConnectPtr connection, int reason, void *userdata)
{
        static const char *const reasons[] = {
                [VIR_CONNECT_CLOSE_REASON_ERROR] = "the connection to libvirt broke",
                [VIR_CONNECT_CLOSE_REASON_EOF] = "libvirt closed the connection",
                [VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = "libvirt has stopped answering",
                [VIR_CONNECT_CLOSE_REASON_CLIENT] = "the connection to libvirt was closed",
        };

        note_lost(userdata, connection,
                  reason >= 0 && (size_t) reason < ARRAY_SIZE(reasons) ? reasons[reason] : reasons[0]);
}

/* Opening and closing */

static int open_one(struct guests *guests, const char *uri, virConnectPtr *ret, struct vswitch_error *error)
{
        virConnectPtr connection = virConnectOpen(uri);
        char what[256];

        if (!connection) {
                snprintf(what, sizeof(what), "no connection to libvirt (%s)", uri);
                libvirt_error_take(NULL, error, what);
                return -ENOTCONN;
        }
        /* The test driver and others have neither; the connection is good without. */
        (void) virConnectSetKeepAlive(connection, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_UNANSWERED);
        (void) virConnectRegisterCloseCallback(connection, on_close, guests, NULL);
        *ret = connection;
        return 0;
}

/* Opens the first connection, and says by which URI. Without a configured one: libvirt's own choice first, then each
 * kind of daemon by name, since libvirt chooses by the sockets that it sees, and a socket may be left of a daemon that
 * is gone. */
static int open_first(struct guests *guests, virConnectPtr *ret, const char **ret_uri, struct vswitch_error *error)
{
        static const char *const usual[] = {
                "qemu:///system",
                "qemu:///system?mode=direct",
                "qemu:///system?mode=legacy",
        };
        size_t count = guests->uri ? 1 : ARRAY_SIZE(usual);

        for (size_t i = 0; i < count; i++) {
                *ret_uri = guests->uri ? guests->uri : usual[i];
                /* The first refusal is the one that tells most. */
                if (open_one(guests, *ret_uri, ret, i == 0 ? error : NULL) >= 0)
                        return 0;
        }
        return -ENOTCONN;
}

static void close_one(virConnectPtr connection)
{
        if (!connection)
                return;
        (void) virConnectUnregisterCloseCallback(connection, on_close);
        virConnectClose(connection);
}

static void connections_free(struct connections *connections)
{
        if (!connections)
                return;
        guests_deregister_events(connections);
        for (size_t i = 0; i < GUESTS_CALLERS; i++)
                close_one(connections->callers[i]);
        close_one(connections->events);
        free(connections);
}

static void connections_freep(struct connections **connections)
{
        connections_free(*connections);
}

static bool all_alive(const struct connections *connections)
{
        for (size_t i = 0; i < GUESTS_CALLERS; i++)
                if (virConnectIsAlive(connections->callers[i]) == 0)
                        return false;
        return virConnectIsAlive(connections->events) != 0;
}

static int connect_all(struct guests *guests, struct vswitch_error *error)
{
        _cleanup_(connections_freep) struct connections *connections = calloc(1, sizeof(*connections));
        struct vswitch_error remark = { 0 };
        const char *uri;
        int r;

        if (!connections)
                return vswitch_error_set(error, -ENOMEM, "no memory left");
        connections->qemu_callback_id = -1;
        r = open_first(guests, &connections->events, &uri, error);
        for (size_t i = 0; r >= 0 && i < GUESTS_CALLERS; i++)
                r = open_one(guests, uri, &connections->callers[i], error);
        if (r < 0)
                return r;
        r = guests_register_events(guests, connections, &remark);
        if (r < 0) {
                *error = remark;
                return r;
        }

        LOCKED(&guests->lock);

        guests->connecting = false;
        if (atomic_load(&guests->stopping))
                return 0;
        guests->generation++;
        guests->connected_since = lane_now();
        /* One may have died before anybody would have listened to that. */
        guests->lost = !all_alive(connections);
        snprintf(guests->lost_sentence, sizeof(guests->lost_sentence), "the connection to libvirt broke");
        guests->connections = TAKE_POINTER(connections);
        guests_post_connection(guests, true, remark.text);
        guests_want_list(guests, 0);
        return 0;
}

static void run_attempt(struct job *job, void *userdata)
{
        struct guests *guests = userdata;
        struct connections *discarded;
        struct vswitch_error error = { 0 };

        {
                LOCKED(&guests->lock);

                discarded = TAKE_POINTER(guests->discarded);
        }
        connections_free(discarded);
        if (connect_all(guests, &error) < 0) {
                LOCKED(&guests->lock);

                guests->connecting = false;
                guests_post_connection(guests, false, error.text);
                guests->back_off = guests->back_off ? guests->back_off * 2 : BACK_OFF_FIRST;
                if (guests->back_off > BACK_OFF_LAST)
                        guests->back_off = BACK_OFF_LAST;
                guests->next_attempt = lane_now() + guests->back_off;
        }
        guests_wake(guests);
}

bool guests_begin_attempt(struct guests *guests)
{
        struct job *job = calloc(1, sizeof(*job));

        if (!job)
                return false;
        job->run = run_attempt;
        guests->connecting = true;
        lane_submit(&guests->lanes[GUESTS_LANE_CONNECT], job);
        return true;
}

void guests_leave(struct guests *guests)
{
        struct connections *connections, *discarded;

        {
                LOCKED(&guests->lock);

                connections = TAKE_POINTER(guests->connections);
                discarded = TAKE_POINTER(guests->discarded);
                guests->generation++;
                guests_forget_domains(guests);
        }
        connections_free(discarded);
        connections_free(connections);
}
