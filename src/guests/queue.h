/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The way from the threads to the event loop: messages are delivered in the order in which they were posted.
 */

#include "guests.h"

#include <pthread.h>

struct guests_request;

enum message_kind {
        MESSAGE_CONNECTION,
        MESSAGE_LISTED,
        MESSAGE_DEFINED,
        MESSAGE_CHANGED,
        MESSAGE_EVENT,
        MESSAGE_DONE,
};

struct message {
        struct message *next;
        enum message_kind kind;
        bool connected;                 /* CONNECTION */
        struct vswitch_error sentence;  /* CONNECTION, DONE */
        struct guest **guests;          /* LISTED, DEFINED; CHANGED: the only one */
        size_t guests_count;            /* LISTED, DEFINED, CHANGED */
        bool all;                       /* DEFINED */
        struct guest_event event;       /* EVENT */
        struct guests_request *request; /* DONE: a name, the poster never looks into it */
        int result;                     /* DONE */
        char *live, *config;            /* DONE of guests_set_policy; NULL: not concerned */
};

struct message *message_new(enum message_kind kind);
void message_free(struct message *message);
void message_freep(struct message **message);

struct queue {
        pthread_mutex_t lock;
        struct message *first, **last;
        int event_fd; /* -1 once closed */
};

int queue_init(struct queue *queue);
/* Nothing is taken any more; what is in it stays for queue_take. */
void queue_close(struct queue *queue);
void queue_destroy(struct queue *queue);

/* Takes over the message. From any thread. */
void queue_post(struct queue *queue, struct message *message);
/* All messages so far, oldest first, linked by `next`; also takes back the wake-up of the event loop. */
struct message *queue_take(struct queue *queue);
