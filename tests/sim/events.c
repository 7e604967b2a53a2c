/* SPDX-License-Identifier: Apache-2.0 */

/* Time: what happens next. A binary heap of slots, ordered by time and then by age, so that a run is repeatable. */

#include "tests/sim/world.h"

static bool is_before(const struct world *world, uint16_t a, uint16_t b)
{
        const struct event *first = &world->events[a], *second = &world->events[b];

        return first->when != second->when ? first->when < second->when : first->order < second->order;
}

static void swap(uint16_t *a, uint16_t *b)
{
        uint16_t old = *a;

        *a = *b;
        *b = old;
}

/* The place of a new event is fixed only when its time is set, so the time comes with the call. */
struct event *events_add(struct world *world, uint64_t when, enum event_kind kind)
{
        static struct event dropped;
        unsigned position = world->heap_count;
        struct event *event;
        uint16_t slot;

        if (world->free_count == 0) {
                world_violation(world, "too-many-events", "the queue of events is full");
                return &dropped;
        }
        slot = world->free_slots[--world->free_count];
        event = &world->events[slot];
        *event = (struct event){ .when = when, .order = world->next_order++, .kind = (uint8_t) kind };
        world->heap[world->heap_count++] = slot;
        while (position > 0 && is_before(world, world->heap[position], world->heap[(position - 1) / 2])) {
                swap(&world->heap[position], &world->heap[(position - 1) / 2]);
                position = (position - 1) / 2;
        }
        return event;
}

bool events_next(struct world *world, struct event *ret)
{
        unsigned position = 0;

        if (world->heap_count == 0)
                return false;
        *ret = world->events[world->heap[0]];
        world->free_slots[world->free_count++] = world->heap[0];
        world->heap[0] = world->heap[--world->heap_count];
        for (;;) {
                unsigned child = 2 * position + 1;

                if (child >= world->heap_count)
                        break;
                if (child + 1 < world->heap_count && is_before(world, world->heap[child + 1], world->heap[child]))
                        child++;
                if (!is_before(world, world->heap[child], world->heap[position]))
                        break;
                swap(&world->heap[child], &world->heap[position]);
                position = child;
        }
        return true;
}
