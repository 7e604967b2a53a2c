/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A lane: a thread or two that work off jobs of one kind. Kinds do not share threads, so reads that wait for a hung
 * domain never hold up an attach, and a slow sysfs write holds up neither.
 */

#include "guests.h"

#include <pthread.h>

#define LANE_THREADS 2 /* at most */

struct guests_request;

struct job {
        struct job *next;
        /* Two jobs with the same key never run at the same time, and run in the order of their submission. "" = none. */
        char key[GUEST_UUID_SIZE];
        uint64_t not_before; /* CLOCK_MONOTONIC microseconds; 0 = at once */
        void (*run)(struct job *job, void *userdata);
        void (*free)(struct job *job); /* NULL: free() */
};

struct lane {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct job *first;
        struct job *running[LANE_THREADS];
        bool stopping;
        void *userdata;
};

uint64_t lane_now(void);

int lane_init(struct lane *lane, void *userdata);
void lane_destroy(struct lane *lane);
/* What each of the lane's threads runs; returns after lane_stop. `index` < LANE_THREADS. */
void lane_work(struct lane *lane, unsigned index);
/* Takes over the job. After lane_stop it is freed without running. */
void lane_submit(struct lane *lane, struct job *job);
/* No job is begun any more. Those that run go on. */
void lane_stop(struct lane *lane);
