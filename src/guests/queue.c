/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A list under a mutex and an eventfd that is readable while the list is not empty. The loop takes the whole list at
 * once, so that the lock is held for a few instructions only, and a thread never waits for a callback.
 */

#include "queue.h"
#include "internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct message *message_new(enum message_kind kind)
{
        struct message *message = calloc(1, sizeof(*message));

        if (message)
                message->kind = kind;
        return message;
}

void message_free(struct message *message)
{
        if (!message)
                return;
        for (size_t i = 0; i < message->guests_count; i++)
                guest_free(message->guests[i]);
        free(message->guests);
        free(message->live);
        free(message->config);
        free(message);
}

void message_freep(struct message **message)
{
        message_free(*message);
}

int queue_init(struct queue *queue)
{
        queue->first = NULL;
        queue->last = &queue->first;
        queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (queue->event_fd < 0)
                return -errno;
        pthread_mutex_init(&queue->lock, NULL);
        return 0;
}

void queue_close(struct queue *queue)
{
        pthread_mutex_lock(&queue->lock);
        close(queue->event_fd);
        queue->event_fd = -1;
        pthread_mutex_unlock(&queue->lock);
}

void queue_destroy(struct queue *queue)
{
        struct message *message = queue_take(queue), *next;

        for (; message; message = next) {
                next = message->next;
                message_free(message);
        }
        if (queue->event_fd >= 0)
                close(queue->event_fd);
        pthread_mutex_destroy(&queue->lock);
}

void queue_post(struct queue *queue, struct message *message)
{
        uint64_t one = 1;
        ssize_t n;

        pthread_mutex_lock(&queue->lock);
        if (queue->event_fd < 0) {
                pthread_mutex_unlock(&queue->lock);
                message_free(message);
                return;
        }
        message->next = NULL;
        *queue->last = message;
        queue->last = &message->next;
        /* Cannot fail: the counter would have to reach 2^64-2. */
        n = write(queue->event_fd, &one, sizeof(one));
        pthread_mutex_unlock(&queue->lock);
        (void) n;
}

struct message *queue_take(struct queue *queue)
{
        struct message *list;
        uint64_t count;
        ssize_t n = 0;

        pthread_mutex_lock(&queue->lock);
        list = queue->first;
        queue->first = NULL;
        queue->last = &queue->first;
        if (queue->event_fd >= 0)
                n = read(queue->event_fd, &count, sizeof(count));
        pthread_mutex_unlock(&queue->lock);
        (void) n;
        return list;
}
