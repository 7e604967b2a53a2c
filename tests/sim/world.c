/* SPDX-License-Identifier: Apache-2.0 */

/* One schedule from its beginning to its end: events in their order, a look at what has changed after each, and what must
 * have come of it when nothing has disturbed it for long. */

#include "tests/sim/world.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

/* Longer than any chain of timeouts, back-offs and second attempts. */
#define TIME_TO_CONVERGE (1500 * SECOND)
#define TIME_TO_RESTART  (60 * SECOND)
/* No schedule needs nearly as many. */
#define EVENTS_OF_A_RUN_MAX 200000

void world_trace(struct world *world, const char *format, ...)
{
        va_list arguments;

        fprintf(world->options->out, "%11.6f  ", (double) world->now / SECOND);
        va_start(arguments, format);
        vfprintf(world->options->out, format, arguments);
        va_end(arguments);
        fputc('\n', world->options->out);
}

void world_violation(struct world *world, const char *name, const char *format, ...)
{
        va_list arguments;

        if (world->failed)
                return;
        world->failed = true;
        snprintf(world->violation, sizeof(world->violation), "%s", name);
        va_start(arguments, format);
        vsnprintf(world->sentence, sizeof(world->sentence), format, arguments);
        va_end(arguments);
        TRACE(world, "VIOLATION %s: %s", name, world->sentence);
}

static void make(struct world *world, const struct schedule *schedule, const struct options *options,
                 struct statistics *statistics)
{
        memset(world, 0, offsetof(struct world, events));
        world->schedule = *schedule;
        world->options = options;
        world->statistics = statistics;
        for (unsigned i = 0; i < EVENTS_MAX; i++)
                world->free_slots[i] = (uint16_t) i;
        world->free_count = EVENTS_MAX;
        for (unsigned nic = 0; nic < NICS_MAX; nic++)
                for (enum sender sender = SENDER_WIRE; sender < SENDERS; sender++)
                        world->reach[nic].fate[sender] = FATE_GUESTS_OWN;
        schedule_make_world(world);
        for (unsigned i = 0; i < schedule->count; i++) {
                struct event *event = events_add(world, schedule->disturbances[i].when, EVENT_DISTURBANCE);

                event->value = (int32_t) i;
        }
}

static bool uses_vf(const struct world *world, const struct event *event)
{
        const struct device *device = &world->nics[event->nic].devices[event->host];

        return device->stage != DEVICE_NONE && device->card * VFS_MAX + device->vf == event->value;
}

static void dispatch(struct world *world, const struct event *event)
{
        struct host *host = &world->hosts[event->host];

        switch ((enum event_kind) event->kind) {
        case EVENT_DISTURBANCE:
                disturbances_begin(world, &world->schedule.disturbances[event->value]);
                break;
        case EVENT_END_OF_DISTURBANCE:
                disturbances_end(world, event);
                break;
        case EVENT_GUEST_BOOTED:
                guests_booted(world, event);
                break;
        case EVENT_DEVICE_STEP:
                guests_device_step(world, event);
                break;
        case EVENT_VF_CLOSED: {
                const struct vf *vf = &host->cards[event->value / VFS_MAX].vfs[event->value % VFS_MAX];

                if (vf->incarnation == event->generation && vf->holder == (int8_t) event->nic && !uses_vf(world, event))
                        cards_vf_closed(world, event->host, (unsigned) event->value / VFS_MAX,
                                        (unsigned) event->value % VFS_MAX);
                break;
        }
        case EVENT_LIBVIRT_GIVES_BACK:
                libvirt_gives_back(world, event);
                break;
        case EVENT_MIGRATION:
                migrations_step(world, event);
                break;
        case EVENT_DELIVERY:
                if (host->daemon_up && event->generation == host->connection)
                        daemon_message(world, event->host, &event->message);
                world->touched = true;
                break;
        case EVENT_NOTIFICATION:
                daemon_notified(world, event->host);
                break;
        case EVENT_CALL_DONE:
                daemon_call_done(world, event);
                break;
        case EVENT_CALL_ANSWERED:
                daemon_call_answered(world, event);
                break;
        case EVENT_READ:
                libvirt_read(world, event->host, event);
                break;
        case EVENT_DAEMON_STARTS:
                daemon_start(world, event->host);
                break;
        case EVENT_LIBVIRT_UP:
                libvirt_up(world, event->host);
                break;
        case EVENT_CONNECTED:
                libvirt_connected(world, event);
                break;
        case EVENT_LOOK:
                daemon_look(world, event);
                break;
        case EVENT_DEADLINE:
                daemon_deadline(world, event);
                break;
        case EVENT_RECONCILE:
                if (host->daemon_up && event->generation == host->life)
                        daemon_reconcile(world, event->host);
                break;
        case EVENT_GRACE:
                world->touched = true;
                world->by_daemon = false;
                break;
        }
}

static void run_until(struct world *world, uint64_t end)
{
        struct event event;

        while (!world->failed && world->heap_count > 0 && world->events[world->heap[0]].when <= end) {
                events_next(world, &event);
                world->now = event.when;
                world->statistics->events++;
                if (++world->events_count > EVENTS_OF_A_RUN_MAX)
                        world_violation(world, "livelock", "goes on and on (event %u)", event.kind);
                dispatch(world, &event);
                if (!world->touched)
                        continue;
                reach_update(world);
                for (unsigned host = 0; host < world->hosts_count; host++)
                        if (world->hosts[host].daemon_up)
                                daemon_arm_look(world, host);
        }
        world->now = end;
}

/* Everything that is known is known by looking: a daemon that starts again finds nothing to do. */
static void restart_daemons(struct world *world)
{
        unsigned hosts = checks_quiet_hosts(world);

        for (unsigned host = 0; host < world->hosts_count; host++)
                if (hosts & (1u << host)) {
                        daemon_crash(world, host);
                        world->hosts[host].writes = 0;
                }
        run_until(world, world->now + TIME_TO_RESTART);
        for (unsigned host = 0; host < world->hosts_count; host++)
                if ((hosts & (1u << host)) && world->hosts[host].writes > 0)
                        world_violation(world, "restart-writes", "host %u: a restart with nothing to do wrote %u times",
                                        host, world->hosts[host].writes);
}

void world_run(struct world *world, const struct schedule *schedule, const struct options *options,
               struct statistics *statistics)
{
        uint64_t end;

        make(world, schedule, options, statistics);
        /* Disturbances have ends of their own, which come to be known on the way. */
        for (end = 0; !world->failed; end = world->last_disturbance + TIME_TO_CONVERGE) {
                if (schedule->count && end < schedule->disturbances[schedule->count - 1].when + TIME_TO_CONVERGE)
                        end = schedule->disturbances[schedule->count - 1].when + TIME_TO_CONVERGE;
                if (end <= world->now)
                        break;
                run_until(world, end);
        }
        if (!world->failed) {
                reach_update(world);
                checks_at_the_end(world);
        }
        if (!world->failed)
                restart_daemons(world);
        reach_finish(world);
        statistics->schedules++;
}
