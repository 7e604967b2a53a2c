/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * struct guests, as its own files see it.
 *
 * Theory of operation
 *
 *      event loop's thread          event thread                    lanes (two threads each)
 *      guests.c                     connection.c, events.c          reads.c   requests.c   guests_run
 *             |                           |                            |          |           |
 *             |<======== queue: connection, event, listed, changed, done ========'===========-'
 *             |                           |                            |
 *             |                           '-- struct domain: dirty ----'
 *
 * The event thread opens the connection, registers for events, and runs libvirt's event loop. The lanes make the calls
 * that can block: lists and reads of domains, the daemon's requests, and work that has nothing to do with libvirt.
 *
 * Order. The daemon must never see an older truth after a newer one. An event is posted to the queue, and its domain
 * marked dirty, in one critical section. A read clears the mark when it begins; when the mark is back when it ends,
 * what was read may be older than the event that the daemon has already been told of: it is dropped, and the domain
 * read again (a few times; a domain that never gives peace is then reported as it was, with another read behind).
 * One read of a domain is outstanding at most, and one more is pending in the mark. While everything is listed,
 * marks are only collected. What belongs to an earlier connection (its `generation`) is dropped.
 *
 * End. A thread can hang in a call for as long as libvirtd likes. guests_free waits up to a bound, then leaves such a
 * thread behind: it holds a reference to struct guests, and its last words find the queue closed.
 */

#include "guest_state.h"
#include "guests.h"
#include "internal.h"
#include "lane.h"
#include "queue.h"

#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdatomic.h>

#define GUESTS_EVENTS_MAX 8

enum guests_lane {
        GUESTS_LANE_READ,
        GUESTS_LANE_REQUEST,
        GUESTS_LANE_RUN,
        GUESTS_LANES,
};

/* What is known of one domain between two reads. */
struct domain {
        struct domain *next;
        char uuid[GUEST_UUID_SIZE];
        struct guest_history history;
        bool is_active;     /* it had a QEMU when it was read last */
        bool dirty;         /* something happened since the last read began */
        bool reading;       /* a read is queued or runs */
        uint64_t planned;   /* when it will be read in any case; 0 = no such plan */
        unsigned dropped;   /* reads in a row whose result was not fresh enough */
        struct guest *last; /* as last reported with its devices; NULL when never */
};

/* A question of the daemon that waits for its answer. Belongs to the event loop's thread. */
struct guests_request {
        struct guests_request *next;
        guests_done done;
        void *userdata;
};

struct guests {
        atomic_int references;
        atomic_bool stopping;

        /* The event loop's thread only. */
        sd_event_source *source;
        struct guests_callbacks callbacks;
        void *userdata;
        struct guests_request *requests;
        bool freed;

        /* Constant after guests_new. */
        char *uri; /* NULL: qemu:///system in whatever way answers */
        pthread_t event_thread;
        pthread_t lane_threads[GUESTS_LANES][LANE_THREADS];

        struct queue queue;
        struct lane lanes[GUESTS_LANES];

        /* The event thread only. */
        int callback_ids[GUESTS_EVENTS_MAX];
        size_t callbacks_count;
        int qemu_callback_id; /* -1: none */
        uint64_t next_attempt;
        uint64_t back_off;
        uint64_t connected_since;
        char last_sentence[sizeof(((struct vswitch_error *) 0)->text)];

        /* libvirt's timer by which the event thread is woken; -1 before it exists. */
        atomic_int wake_timer;

        pthread_mutex_t lock; /* protects what follows; taken before the queue's and the lanes' locks */
        virConnectPtr connection;
        uint64_t generation; /* counts connections */
        bool has_qemu_events;
        bool lost; /* libvirt's close callback was called */
        char lost_sentence[128];
        bool listing;
        struct domain *domains;
};

static inline void unlockp(pthread_mutex_t **lock)
{
        pthread_mutex_unlock(*lock);
}

/* Holds the mutex until the end of the scope. */
#define LOCKED(mutex)                                                                                                  \
        _cleanup_(unlockp) __attribute__((unused)) pthread_mutex_t *locked_ = (pthread_mutex_lock(mutex), (mutex))

static inline void connection_unrefp(virConnectPtr *connection)
{
        if (*connection)
                virConnectClose(*connection);
}

static inline void domain_unrefp(virDomainPtr *domain)
{
        if (*domain)
                virDomainFree(*domain);
}

/* guests.c */
void guests_unref(struct guests *guests);

/* connection.c: the event thread's function. */
void *guests_event_thread(void *userdata);
/* Makes the event thread look around. From any thread. */
void guests_wake(struct guests *guests);
/* A new reference to the current connection, or NULL. From any thread. */
virConnectPtr guests_connection(struct guests *guests);

/* events.c: on the event thread. A refusal of QEMU's own events is success with a sentence in `error`. */
int guests_register_events(struct guests *guests, virConnectPtr connection, struct vswitch_error *error);
void guests_deregister_events(struct guests *guests, virConnectPtr connection);

/* reads.c; `guests->lock` is held for all of these. */
struct domain *guests_domain(struct guests *guests, const char *uuid); /* finds or makes; NULL: out of memory */
void guests_forget_domains(struct guests *guests);
/* Something happened: it is read again, as soon as no read is under way. */
void guests_want_read(struct guests *guests, struct domain *domain);
/* Lists everything, not before that time (CLOCK_MONOTONIC microseconds). */
void guests_want_list(struct guests *guests, uint64_t not_before);

/* reads.c; without the lock: a call has failed. Is it because the connection is dead? libvirt's close callback may come
 * later, or not at all when the connection broke before the callback was registered. */
void guests_note_failure(struct guests *guests, virConnectPtr connection);

/* guests.c: the answer to a request; from any thread. */
void guests_answer(struct guests *guests, struct guests_request *request, int result, const char *sentence);
