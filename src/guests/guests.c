/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The half of struct guests that lives on the event loop's thread: life and death, requests, and the delivery of what
 * the threads found. The theory of operation is in private.h.
 */

#include "guest_xml.h"
#include "libvirt_error.h"
#include "private.h"
#include "requests.h"
#include "status_watch.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

/* How long guests_free waits for threads that are in a call. */
#define FREE_BOUND (UINT64_C(3) * 1000 * 1000)

/* libvirt's default event loop serves one thread. */
static atomic_bool exists;

struct lane_start {
        struct guests *guests;
        unsigned lane, index;
};

static struct guests *guests_ref(struct guests *guests)
{
        atomic_fetch_add(&guests->references, 1);
        return guests;
}

void guests_unref(struct guests *guests)
{
        if (atomic_fetch_sub(&guests->references, 1) > 1)
                return;
        for (unsigned i = 0; i < GUESTS_LANES; i++)
                lane_destroy(&guests->lanes[i]);
        guests_forget_domains(guests);
        queue_destroy(&guests->queue);
        pthread_mutex_destroy(&guests->lock);
        free(guests->uri);
        free(guests);
}

static void *lane_thread(void *userdata)
{
        struct lane_start start = *(struct lane_start *) userdata;

        free(userdata);
        lane_work(&start.guests->lanes[start.lane], start.index);
        if (start.lane == GUESTS_LANE_CONNECT)
                guests_leave(start.guests);
        guests_unref(start.guests);
        return NULL;
}

/* A thread without signals (they are for the event loop), which owns a reference. */
static int start_thread(struct guests *guests, pthread_t *ret, const char *name, void *(*function)(void *),
                        void *userdata)
{
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        guests_ref(guests);
        r = pthread_create(ret, NULL, function, userdata);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0) {
                guests_unref(guests);
                return -r;
        }
        pthread_setname_np(*ret, name);
        return 0;
}

static int start_lanes(struct guests *guests)
{
        static const struct {
                const char *name;
                unsigned threads;
        } lanes[] = {
                [GUESTS_LANE_READ] = { "guests-read", 2 },
                [GUESTS_LANE_REQUEST] = { "guests-request", 2 },
                [GUESTS_LANE_RUN] = { "guests-run", 2 },
                [GUESTS_LANE_CONNECT] = { "guests-connect", 1 },
        };

        for (unsigned i = 0; i < GUESTS_LANES; i++)
                for (unsigned j = 0; j < lanes[i].threads; j++) {
                        struct lane_start *start = malloc(sizeof(*start));
                        int r;

                        if (!start)
                                return -ENOMEM;
                        *start = (struct lane_start){ guests, i, j };
                        r = start_thread(guests, &guests->lane_threads[i][j], lanes[i].name, lane_thread, start);
                        if (r < 0) {
                                free(start);
                                return r;
                        }
                }
        return 0;
}

static void finish_request(struct guests *guests, struct guests_request *request, int result, const char *sentence,
                           const char *live, const char *config)
{
        for (struct guests_request **link = &guests->requests; *link; link = &(*link)->next)
                if (*link == request) {
                        *link = request->next;
                        break;
                }
        if (request->done)
                request->done(result, sentence, request->userdata);
        if (request->policy_done)
                request->policy_done(result, sentence, live, config, request->userdata);
        free(request);
}

static void deliver(struct guests *guests, struct message *message)
{
        const struct guests_callbacks *callbacks = &guests->callbacks;

        switch (message->kind) {
        case MESSAGE_CONNECTION:
                status_watch_look(guests->status_watch);
                if (callbacks->connection)
                        callbacks->connection(message->connected, message->sentence.text, guests->userdata);
                break;
        case MESSAGE_LISTED:
                if (callbacks->listed)
                        callbacks->listed(message->guests, message->guests_count, guests->userdata);
                break;
        case MESSAGE_DEFINED:
                if (callbacks->defined)
                        callbacks->defined(message->guests, message->guests_count, message->all, guests->userdata);
                break;
        case MESSAGE_CHANGED:
                if (callbacks->changed)
                        callbacks->changed(&message->guests[0], guests->userdata);
                break;
        case MESSAGE_EVENT:
                if (callbacks->event)
                        callbacks->event(&message->event, guests->userdata);
                break;
        case MESSAGE_DONE:
                finish_request(guests, message->request, message->result, message->sentence.text, message->live,
                               message->config);
                break;
        }
}

static int on_queue(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct guests *guests = guests_ref(userdata); /* a callback may call guests_free */
        struct message *message = queue_take(&guests->queue);

        while (message) {
                struct message *next = message->next;

                if (!guests->freed)
                        deliver(guests, message);
                message_free(message);
                message = next;
        }
        guests_unref(guests);
        return 0;
}

int guests_new(sd_event *loop, const char *uri, const struct guests_callbacks *callbacks, void *userdata,
               struct guests **ret, struct vswitch_error *error)
{
        _cleanup_(guests_freep) struct guests *guests = NULL;
        bool no = false;
        int r;

        if (!atomic_compare_exchange_strong(&exists, &no, true))
                return vswitch_error_set(error, -EBUSY, "this process has a connection to libvirt already");
        libvirt_error_silence();
        guest_xml_prepare();
        guests = calloc(1, sizeof(*guests));
        if (!guests || queue_init(&guests->queue) < 0) {
                free(TAKE_POINTER(guests));
                atomic_store(&exists, false);
                return vswitch_error_set(error, -ENOMEM, "no memory or file descriptors left");
        }
        guests->references = 1;
        guests->callbacks = *callbacks;
        guests->userdata = userdata;
        guests->wake_timer = -1;
        pthread_mutex_init(&guests->lock, NULL);
        for (unsigned i = 0; i < GUESTS_LANES; i++) {
                r = lane_init(&guests->lanes[i], guests);
                if (r < 0)
                        return r;
        }
        if (uri && !(guests->uri = strdup(uri)))
                return -ENOMEM;
        if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
                return libvirt_error_take(NULL, error, "cannot prepare libvirt's client library");
        r = sd_event_add_io(loop, &guests->source, guests->queue.event_fd, EPOLLIN, on_queue, guests);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot watch for libvirt's news: %s", strerror(-r));
        r = status_watch_new(guests, loop, &guests->status_watch);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot watch libvirt's status files: %s", strerror(-r));
        r = start_lanes(guests);
        if (r >= 0)
                r = start_thread(guests, &guests->event_thread, "guests-events", guests_event_thread, guests);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot start a thread: %s", strerror(-r));
        *ret = TAKE_POINTER(guests);
        return 0;
}

/* Waits until the deadline; a thread that does not end by then is left to itself (false). */
static bool join_until(pthread_t thread, uint64_t deadline)
{
        struct timespec until = {
                .tv_sec = (time_t) (deadline / 1000000),
                .tv_nsec = (long) (deadline % 1000000) * 1000,
        };

        if (!thread || pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
                return true;
        pthread_detach(thread);
        return false;
}

/* Work that still runs uses its userdata, so its `done`, which may free that, must not be called. */
static void abandon_running_work(struct guests *guests)
{
        struct lane *lane = &guests->lanes[GUESTS_LANE_RUN];
        LOCKED(&lane->lock);

        for (unsigned i = 0; i < LANE_THREADS; i++)
                if (lane->running[i])
                        for (struct guests_request *request = guests->requests; request; request = request->next)
                                if (request == ((struct request_job *) lane->running[i])->request)
                                        request->done = NULL;
}

void guests_free(struct guests *guests)
{
        uint64_t deadline = lane_now() + FREE_BOUND;
        struct message *message, *next;
        bool is_event_loop_free;

        if (!guests)
                return;
        guests->freed = true;
        atomic_store(&guests->stopping, true);
        for (unsigned i = 0; i < GUESTS_LANES; i++)
                lane_stop(&guests->lanes[i]);
        for (unsigned i = 0; i < GUESTS_LANES; i++)
                for (unsigned j = 0; j < LANE_THREADS; j++)
                        join_until(guests->lane_threads[i][j], deadline);
        /* Last, since calls to libvirt end better while its event loop runs. */
        atomic_store(&guests->event_loop_stops, true);
        guests_wake(guests);
        is_event_loop_free = join_until(guests->event_thread, lane_now() + FREE_BOUND);

        sd_event_source_disable_unref(guests->source);
        status_watch_free(TAKE_POINTER(guests->status_watch));
        queue_close(&guests->queue);
        for (message = queue_take(&guests->queue); message; message = next) {
                next = message->next;
                if (message->kind == MESSAGE_DONE)
                        deliver(guests, message);
                message_free(message);
        }
        abandon_running_work(guests);
        while (guests->requests)
                finish_request(guests, guests->requests, -ECANCELED, "the daemon ends", NULL, NULL);
        if (is_event_loop_free)
                atomic_store(&exists, false);
        guests_unref(guests);
}

void guests_freep(struct guests **guests)
{
        guests_free(*guests);
}

void guests_answer_policy(struct guests *guests, struct guests_request *request, int result, const char *sentence,
                          char *live, char *config)
{
        struct message *message;

        /* The one answer that must not be lost. */
        while (!(message = message_new(MESSAGE_DONE)))
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        message->request = request;
        message->result = result;
        message->live = live;
        message->config = config;
        snprintf(message->sentence.text, sizeof(message->sentence.text), "%s", sentence);
        queue_post(&guests->queue, message);
}

void guests_answer(struct guests *guests, struct guests_request *request, int result, const char *sentence)
{
        guests_answer_policy(guests, request, result, sentence, NULL, NULL);
}

static void enlist(struct guests *guests, struct guests_request *request, void *userdata)
{
        request->userdata = userdata;
        request->next = guests->requests;
        guests->requests = request;
}

static int submit(struct guests *guests, enum guests_lane lane, enum request_kind kind, const char *uuid,
                  const char *text, guests_work work, guests_done done, void *userdata)
{
        struct guests_request *request;
        struct request_job *job;

        if (guests->freed)
                return -ECANCELED;
        request = calloc(1, sizeof(*request));
        job = request ? request_job_new(kind, request, uuid, text) : NULL;
        if (!job) {
                free(request);
                return -ENOMEM;
        }
        request->done = done;
        enlist(guests, request, userdata);
        job->work = work;
        job->userdata = userdata;
        lane_submit(&guests->lanes[lane], &job->job);
        return 0;
}

int guests_attach(struct guests *guests, const char *uuid, const char *device_xml, guests_done done, void *userdata)
{
        return submit(guests, GUESTS_LANE_REQUEST, REQUEST_ATTACH, uuid, device_xml, NULL, done, userdata);
}

int guests_detach(struct guests *guests, const char *uuid, const char *alias, guests_done done, void *userdata)
{
        return submit(guests, GUESTS_LANE_REQUEST, REQUEST_DETACH, uuid, alias, NULL, done, userdata);
}

int guests_run(struct guests *guests, guests_work work, guests_done done, void *userdata)
{
        return submit(guests, GUESTS_LANE_RUN, REQUEST_RUN, NULL, NULL, work, done, userdata);
}

int guests_set_policy(struct guests *guests, const char *domain, const char *alias,
                      const struct guest_policy_change *changes, size_t changes_count, uint32_t flags,
                      guests_policy_done done, void *userdata)
{
        const struct guest_policy_wish wish = {
                .alias = alias,
                .changes = changes,
                .changes_count = changes_count,
                .flags = flags,
        };
        struct guests_request *request;
        struct job *job;

        if (guests->freed)
                return -ECANCELED;
        request = calloc(1, sizeof(*request));
        job = request ? policy_job_new(request, domain, &wish) : NULL;
        if (!job) {
                free(request);
                return -ENOMEM;
        }
        request->policy_done = done;
        enlist(guests, request, userdata);
        lane_submit(&guests->lanes[GUESTS_LANE_REQUEST], job);
        return 0;
}

int guests_refresh(struct guests *guests, const char *uuid)
{
        LOCKED(&guests->lock);
        struct domain *domain;

        if (!guests->connections || guests->lost)
                return -ENOTCONN; /* everything is listed when it is back */
        if (strlen(uuid) != GUEST_UUID_SIZE - 1)
                return -EINVAL;
        domain = guests_domain(guests, uuid);
        if (!domain)
                return -ENOMEM;
        guests_want_read(guests, domain);
        return 0;
}
