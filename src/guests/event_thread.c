/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The event thread: it runs libvirt's event loop, and sees to it that there is a connection.
 *
 * libvirt's default event loop belongs to the process; whoever is in virEventRunDefaultImpl gets the callbacks. Only
 * this thread ever is. A timer of that loop, normally off, is how others wake it; setting a timer is allowed from any
 * thread.
 */

#include "private.h"

#include <time.h>

#define BACK_OFF_FIRST (UINT64_C(500) * 1000)
#define STABLE_AFTER   (UINT64_C(10) * 1000 * 1000)

void guests_wake(struct guests *guests)
{
        int timer = atomic_load(&guests->wake_timer);

        if (timer >= 0)
                virEventUpdateTimeout(timer, 0);
}

static void lose_connections(struct guests *guests)
{
        guests->discarded = TAKE_POINTER(guests->connections);
        guests->lost = false;
        guests->generation++;
        guests->listing = false;
        guests_forget_domains(guests);
        guests_post_connection(guests, false, guests->lost_sentence);
        /* A daemon that dies as soon as it is asked is not asked without a pause. */
        if (lane_now() - guests->connected_since >= STABLE_AFTER)
                guests->back_off = 0;
        guests->next_attempt = lane_now() + (guests->back_off ? guests->back_off : BACK_OFF_FIRST);
}

/* Does what is to be done now. In how many milliseconds to look again, or -1: when woken. */
static int manage(struct guests *guests)
{
        LOCKED(&guests->lock);
        uint64_t now = lane_now();

        if (guests->connections && guests->lost)
                lose_connections(guests);
        if (guests->connections || guests->connecting)
                return -1;
        if (guests->next_attempt > now)
                return (int) ((guests->next_attempt - now) / 1000 + 1);
        return guests_begin_attempt(guests) ? -1 : 1000;
}

static void on_wake(int timer, void *userdata)
{
}

void *guests_event_thread(void *userdata)
{
        struct guests *guests = userdata;
        int timer = virEventAddTimeout(-1, on_wake, guests, NULL);

        atomic_store(&guests->wake_timer, timer);
        while (!atomic_load(&guests->event_loop_stops)) {
                int timeout;

                /* Who changes something wakes this thread after it: so the timer is switched off before the look. What
                 * is waited for with a timeout, only this thread itself can change. */
                virEventUpdateTimeout(timer, -1);
                timeout = manage(guests);
                if (timeout >= 0)
                        virEventUpdateTimeout(timer, timeout);
                if (atomic_load(&guests->event_loop_stops))
                        break;
                if (virEventRunDefaultImpl() < 0)
                        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
        }
        atomic_store(&guests->wake_timer, -1);
        virEventRemoveTimeout(timer);
        guests_unref(guests);
        return NULL;
}
