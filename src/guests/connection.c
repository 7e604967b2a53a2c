/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The event thread: it opens the connection, keeps it, and runs libvirt's event loop.
 *
 * libvirt's default event loop belongs to the process; whoever is in virEventRunDefaultImpl gets the callbacks. Only
 * this thread ever is. A timer of that loop, normally off, is how others wake it; setting a timer is allowed from any
 * thread.
 *
 * A libvirtd that has stopped answering without closing its socket is found by libvirt's keep-alive messages, which
 * close the connection from this side; all calls that wait for an answer then fail.
 */

#include "libvirt_error.h"
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define BACK_OFF_FIRST        (UINT64_C(500) * 1000)
#define BACK_OFF_LAST         (UINT64_C(5) * 1000 * 1000)
#define STABLE_AFTER          (UINT64_C(10) * 1000 * 1000)
#define KEEP_ALIVE_INTERVAL   5 /* seconds */
#define KEEP_ALIVE_UNANSWERED 3

void guests_wake(struct guests *guests)
{
        int timer = atomic_load(&guests->wake_timer);

        if (timer >= 0)
                virEventUpdateTimeout(timer, 0);
}

virConnectPtr guests_connection(struct guests *guests)
{
        LOCKED(&guests->lock);

        if (!guests->connection || guests->lost || virConnectRef(guests->connection) < 0)
                return NULL;
        return guests->connection;
}

/* Tells the daemon; a failure only when it is another one than the last. */
static void post_connection(struct guests *guests, bool connected, const char *sentence)
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

/* On whichever thread finds the connection dead. */
static void on_close(virConnectPtr connection, int reason, void *userdata)
{
        static const char *const reasons[] = {
                [VIR_CONNECT_CLOSE_REASON_ERROR] = "the connection to libvirt broke",
                [VIR_CONNECT_CLOSE_REASON_EOF] = "libvirt closed the connection",
                [VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = "libvirt has stopped answering",
                [VIR_CONNECT_CLOSE_REASON_CLIENT] = "the connection to libvirt was closed",
        };
        struct guests *guests = userdata;

        {
                LOCKED(&guests->lock);

                if (guests->connection != connection)
                        return;
                guests->lost = true;
                snprintf(guests->lost_sentence, sizeof(guests->lost_sentence), "%s",
                         reason >= 0 && (size_t) reason < ARRAY_SIZE(reasons) ? reasons[reason] : reasons[0]);
        }
        guests_wake(guests);
}

/* Without a configured URI: libvirt's own choice first, then each kind of daemon by name, since libvirt chooses by
 * the sockets that it sees, and a socket may be left of a daemon that is gone. */
static virConnectPtr open_any(const char *uri, struct vswitch_error *error)
{
        static const char *const usual[] = {
                "qemu:///system",
                "qemu:///system?mode=direct",
                "qemu:///system?mode=legacy",
        };
        virConnectPtr connection;
        char what[256];

        for (size_t i = 0; i < (uri ? 1 : ARRAY_SIZE(usual)); i++) {
                connection = virConnectOpen(uri ? uri : usual[i]);
                if (connection)
                        return connection;
                if (i == 0) {
                        snprintf(what, sizeof(what), "no connection to libvirt (%s)", uri ? uri : usual[i]);
                        libvirt_error_take(NULL, error, what);
                }
        }
        return NULL;
}

static int connect_once(struct guests *guests, struct vswitch_error *error)
{
        _cleanup_(connection_unrefp) virConnectPtr connection = open_any(guests->uri, error);
        struct vswitch_error remark = { 0 };
        int r;

        if (!connection)
                return -ENOTCONN;
        /* The test driver and others have neither; the connection is good without. */
        (void) virConnectSetKeepAlive(connection, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_UNANSWERED);
        r = guests_register_events(guests, connection, &remark);
        if (r < 0) {
                *error = remark;
                return r;
        }
        {
                LOCKED(&guests->lock);

                guests->connection = connection;
                guests->generation++;
                guests->lost = false;
                guests->has_qemu_events = guests->qemu_callback_id >= 0;
                post_connection(guests, true, remark.text);
                guests_want_list(guests, 0);
        }
        /* Last, since it may call back at once. */
        (void) virConnectRegisterCloseCallback(connection, on_close, guests, NULL);
        TAKE_POINTER(connection);
        guests->connected_since = lane_now();
        return 0;
}

static void drop_connection(struct guests *guests)
{
        _cleanup_(connection_unrefp) virConnectPtr connection = NULL;

        {
                LOCKED(&guests->lock);

                connection = guests->connection;
                if (!connection)
                        return;
                guests->connection = NULL;
                guests->generation++;
                guests->listing = false;
                guests_forget_domains(guests);
                if (guests->lost)
                        post_connection(guests, false, guests->lost_sentence);
                guests->lost = false;
        }
        guests_deregister_events(guests, connection);
        (void) virConnectUnregisterCloseCallback(connection, on_close);
}

static void try_connect(struct guests *guests)
{
        struct vswitch_error error = { 0 };

        if (connect_once(guests, &error) < 0) {
                post_connection(guests, false, error.text);
                guests->back_off = guests->back_off ? guests->back_off * 2 : BACK_OFF_FIRST;
                if (guests->back_off > BACK_OFF_LAST)
                        guests->back_off = BACK_OFF_LAST;
                guests->next_attempt = lane_now() + guests->back_off;
        }
}

static void lose_connection(struct guests *guests)
{
        drop_connection(guests);
        /* A daemon that dies as soon as it is asked is not asked without a pause. */
        if (lane_now() - guests->connected_since >= STABLE_AFTER)
                guests->back_off = 0;
        guests->next_attempt = lane_now() + (guests->back_off ? guests->back_off : BACK_OFF_FIRST);
}

static void on_wake(int timer, void *userdata)
{
}

static bool is_connected(struct guests *guests, bool *ret_lost)
{
        LOCKED(&guests->lock);

        *ret_lost = guests->lost;
        return guests->connection;
}

void *guests_event_thread(void *userdata)
{
        struct guests *guests = userdata;
        int timer = virEventAddTimeout(-1, on_wake, guests, NULL);

        atomic_store(&guests->wake_timer, timer);
        for (;;) {
                uint64_t now = lane_now();
                bool connected, lost;

                /* First the timer, then the look at the flags: who sets a flag later also sets the timer later. */
                connected = is_connected(guests, &lost);
                if (connected)
                        virEventUpdateTimeout(timer, -1);
                else
                        virEventUpdateTimeout(timer, guests->next_attempt > now
                                                             ? (int) ((guests->next_attempt - now) / 1000 + 1)
                                                             : 0);
                if (atomic_load(&guests->stopping))
                        break;
                connected = is_connected(guests, &lost);
                if (lost) {
                        lose_connection(guests);
                        continue;
                }
                if (!connected && guests->next_attempt <= now) {
                        try_connect(guests);
                        continue;
                }
                if (virEventRunDefaultImpl() < 0)
                        nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 * 1000 }, NULL);
        }
        drop_connection(guests);
        atomic_store(&guests->wake_timer, -1);
        virEventRemoveTimeout(timer);
        guests_unref(guests);
        return NULL;
}
