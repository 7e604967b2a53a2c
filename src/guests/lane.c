/* SPDX-License-Identifier: Apache-2.0 */
#include "lane.h"
#include "internal.h"

#include <errno.h>
#include <time.h>

uint64_t lane_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void job_free(struct job *job)
{
        if (job->free)
                job->free(job);
        else
                free(job);
}

int lane_init(struct lane *lane, void *userdata)
{
        pthread_condattr_t attributes;
        int r;

        *lane = (struct lane){ .userdata = userdata };
        r = pthread_condattr_init(&attributes);
        if (r != 0)
                return -r;
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        r = pthread_cond_init(&lane->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        if (r != 0)
                return -r;
        pthread_mutex_init(&lane->lock, NULL);
        return 0;
}

void lane_destroy(struct lane *lane)
{
        struct job *job = lane->first, *next;

        for (; job; job = next) {
                next = job->next;
                job_free(job);
        }
        pthread_cond_destroy(&lane->changed);
        pthread_mutex_destroy(&lane->lock);
}

static bool key_in_use(const struct lane *lane, const char *key)
{
        if (key[0] == '\0')
                return false;
        for (unsigned i = 0; i < LANE_THREADS; i++)
                if (lane->running[i] && strcmp(lane->running[i]->key, key) == 0)
                        return true;
        return false;
}

/* Is a job with this key before `job` in the list? */
static bool key_is_waiting(const struct lane *lane, const struct job *job)
{
        if (job->key[0] == '\0')
                return false;
        for (const struct job *other = lane->first; other != job; other = other->next)
                if (strcmp(other->key, job->key) == 0)
                        return true;
        return false;
}

/* Takes the first job that may run now out of the list; else says when one may (UINT64_MAX: not by time alone). */
static struct job *take_job(struct lane *lane, uint64_t *ret_next)
{
        uint64_t now = lane_now();

        *ret_next = UINT64_MAX;
        for (struct job **link = &lane->first; *link; link = &(*link)->next) {
                struct job *job = *link;

                if (key_in_use(lane, job->key) || key_is_waiting(lane, job))
                        continue;
                if (job->not_before > now) {
                        if (job->not_before < *ret_next)
                                *ret_next = job->not_before;
                        continue;
                }
                *link = job->next;
                job->next = NULL;
                return job;
        }
        return NULL;
}

void lane_work(struct lane *lane, unsigned index)
{
        pthread_mutex_lock(&lane->lock);
        while (!lane->stopping) {
                uint64_t next;
                struct job *job = take_job(lane, &next);

                if (job) {
                        lane->running[index] = job;
                        pthread_mutex_unlock(&lane->lock);
                        job->run(job, lane->userdata);
                        pthread_mutex_lock(&lane->lock);
                        lane->running[index] = NULL;
                        if (job->key[0] != '\0') /* another one with its key may be waiting */
                                pthread_cond_broadcast(&lane->changed);
                        job_free(job);
                } else if (next == UINT64_MAX)
                        pthread_cond_wait(&lane->changed, &lane->lock);
                else {
                        struct timespec until = {
                                .tv_sec = (time_t) (next / 1000000),
                                .tv_nsec = (long) (next % 1000000) * 1000,
                        };

                        pthread_cond_timedwait(&lane->changed, &lane->lock, &until);
                }
        }
        pthread_mutex_unlock(&lane->lock);
}

void lane_submit(struct lane *lane, struct job *job)
{
        struct job **link = &lane->first;

        pthread_mutex_lock(&lane->lock);
        if (lane->stopping) {
                pthread_mutex_unlock(&lane->lock);
                job_free(job);
                return;
        }
        while (*link)
                link = &(*link)->next;
        job->next = NULL;
        *link = job;
        pthread_cond_broadcast(&lane->changed);
        pthread_mutex_unlock(&lane->lock);
}

void lane_stop(struct lane *lane)
{
        pthread_mutex_lock(&lane->lock);
        lane->stopping = true;
        pthread_cond_broadcast(&lane->changed);
        pthread_mutex_unlock(&lane->lock);
}
