/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * struct guests, as its own files see it.
 *
 * Theory of operation
 *
 *      event loop's thread       event thread                 lanes (one or two threads each)
 *      guests.c                  event_thread.c, events.c     connect.c      reads.c   requests.c   guests_run
 *             |                        |                           |            |          |            |
 *             |<========= queue: connection, event, listed, changed, done ======'=========='============'
 *             |                        |                                        |
 *             |                        '---- struct domain: dirty --------------'
 *
 * The event thread runs libvirt's event loop and does nothing that can block: as long as it runs, libvirt's keep-alive
 * messages are exchanged, and calls in other threads end when their connection dies. The lanes make the calls that can
 * block: opening and closing connections, lists and reads of domains, the daemon's requests, and work that has nothing
 * to do with libvirt. What libvirt tells by no event its status files tell (status_watch.c).
 *
 * Connections. One receives the events, and each thread that makes calls has one to itself. libvirt's client may be
 * used by many threads at once, but when its keep-alive finds the daemon dead while two of them wait for an answer, the
 * second waits on, and the client of 9.0 then crashes when the daemon comes back (it leaves a source with a pointer to
 * the first one's stack in its main loop). The connections live and die together.
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

/* As many as there are threads that make calls: those of the lanes READ and REQUEST. */
#define GUESTS_CALLERS 4

enum guests_lane {
        GUESTS_LANE_READ,
        GUESTS_LANE_REQUEST,
        GUESTS_LANE_RUN,
        GUESTS_LANE_CONNECT,
        GUESTS_LANES,
};

/* What is known of one domain between two reads. */
struct domain {
        struct domain *next;
        char uuid[GUEST_UUID_SIZE];
        struct guest_history history;
        bool is_active;     /* it had a QEMU when it was read last */
        bool dirty;         /* something happened since the last read began */
        bool redefined;     /* ... and its definition may be another one */
        bool reading;       /* a read is queued or runs */
        uint64_t planned;   /* when it will be read in any case; 0 = no such plan */
        unsigned dropped;   /* reads in a row whose result was not fresh enough */
        struct guest *last; /* as last reported with its devices; NULL when never */
};

/* All that is open to libvirt. */
struct connections {
        virConnectPtr events; /* the one that tells the events; no other calls are made on it */
        virConnectPtr callers[GUESTS_CALLERS];
        bool busy[GUESTS_CALLERS];
        int callback_ids[GUESTS_EVENTS_MAX];
        size_t callbacks_count;
        int qemu_callback_id; /* -1: libvirt does not pass on QEMU's events */
};

/* A question of the daemon that waits for its answer. Belongs to the event loop's thread. */
struct guests_request {
        struct guests_request *next;
        guests_done done;
        guests_policy_done policy_done; /* instead of `done` */
        void *userdata;
};

struct guests {
        atomic_int references;
        atomic_bool stopping;         /* guests_free was called */
        atomic_bool event_loop_stops; /* ... and the lanes have ended, or are left to themselves */

        /* The event loop's thread only. */
        sd_event_source *source;
        struct status_watch *status_watch;
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

        /* libvirt's timer by which the event thread is woken; -1 before it exists. */
        atomic_int wake_timer;

        pthread_mutex_t lock;            /* protects what follows; taken before the queue's and the lanes' locks */
        struct connections *connections; /* NULL: not connected */
        struct connections *discarded;   /* to be closed by the connect lane */
        uint64_t generation;             /* counts connections made and lost */
        bool connecting;                 /* an attempt is under way */
        bool lost;                       /* `connections` have been found dead */
        char lost_sentence[128];
        uint64_t next_attempt;
        uint64_t back_off;
        uint64_t connected_since;
        char last_sentence[sizeof(((struct vswitch_error *) 0)->text)]; /* why not, as last told */
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

static inline void domain_unrefp(virDomainPtr *domain)
{
        if (*domain)
                virDomainFree(*domain);
}

/* guests.c */
void guests_unref(struct guests *guests);

/* event_thread.c: the event thread's function. */
void *guests_event_thread(void *userdata);
/* Makes the event thread look around. From any thread. */
void guests_wake(struct guests *guests);

/* connect.c. */

/* A connection for the calls of one thread, until the end of the scope. */
struct borrowed {
        struct guests *guests;
        virConnectPtr connection; /* NULL: not connected */
        uint64_t generation;
};
struct borrowed guests_borrow(struct guests *guests);
void guests_give_backp(struct borrowed *borrowed);
/* Without the lock: a call has failed. Is it because the connection is dead? libvirt's close callback may come later. */
void guests_note_failure(const struct borrowed *borrowed);

/* Tells the daemon; a failure only when it is another one than the last. With the lock. */
void guests_post_connection(struct guests *guests, bool connected, const char *sentence);
/* Has the connect lane make an attempt (and close what is discarded). With the lock. false: out of memory. */
bool guests_begin_attempt(struct guests *guests);
/* The lane's last work: closes everything. */
void guests_leave(struct guests *guests);

/* events.c. A refusal of QEMU's own events is success with a sentence in `error`. Callbacks are made on the event thread,
 * and count once `connections` are those of `guests`. */
int guests_register_events(struct guests *guests, struct connections *connections, struct vswitch_error *error);
void guests_deregister_events(struct connections *connections);

/* reads.c; `guests->lock` is held for all of these. */
struct domain *guests_domain(struct guests *guests, const char *uuid); /* finds or makes; NULL: out of memory */
void guests_forget_domains(struct guests *guests);
/* Something happened: it is read again, as soon as no read is under way. */
void guests_want_read(struct guests *guests, struct domain *domain);
/* ... with its definition. */
void guests_want_definition(struct guests *guests, struct domain *domain);
/* It is read again after so many microseconds; the soonest of the reads that are planned counts. */
void guests_plan_read(struct guests *guests, struct domain *domain, uint64_t delay);
/* Lists everything, not before that time (CLOCK_MONOTONIC microseconds). */
void guests_want_list(struct guests *guests, uint64_t not_before);

/* guests.c: the answer to a request; from any thread. */
void guests_answer(struct guests *guests, struct guests_request *request, int result, const char *sentence);
/* Takes over the texts. */
void guests_answer_policy(struct guests *guests, struct guests_request *request, int result, const char *sentence,
                          char *live, char *config);
