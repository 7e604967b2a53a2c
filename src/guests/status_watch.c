/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libvirt tells by no event that an operator has changed a running domain: virsh domif-setlink, update-device, domiftune
 * and others. But it writes its status file of the domain after every such change (a new file, renamed), so a watch on
 * the directory is a sign for all of them, and costs nothing while nothing happens. Several changes make one read, a
 * moment later. What a migration writes there is left out: libvirt is busy then, and the domain is read anyway.
 *
 * The directory is of libvirt's system daemon; where it is not there (no libvirt yet, another driver) the watch is tried
 * again with each connection.
 */

#include "private.h"
#include "status_file.h"
#include "status_watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#define READ_DELAY (UINT64_C(250) * 1000)

struct status_watch {
        struct guests *guests;
        sd_event_source *source;
        int inotify;
        int watch; /* -1: the directory was not there */
};

static bool is_file_of(const char *file, const char *name)
{
        size_t length = strlen(name);

        return strncmp(file, name, length) == 0 && strcmp(file + length, ".xml") == 0;
}

/* `file` NULL: some were not told of. */
static void was_written(struct guests *guests, const char *file)
{
        LOCKED(&guests->lock);

        for (struct domain *domain = guests->domains; domain; domain = domain->next) {
                const struct guest_history *history = &domain->history;

                if (!domain->is_active || !domain->last || history->outgoing || history->arriving || history->departed)
                        continue;
                if (!file || is_file_of(file, domain->last->name))
                        guests_plan_read(guests, domain, READ_DELAY);
        }
}

static void on_event(struct status_watch *watch, const struct inotify_event *event)
{
        if (event->mask & IN_Q_OVERFLOW)
                was_written(watch->guests, NULL);
        else if (event->mask & IN_IGNORED)
                watch->watch = -1; /* the directory is gone */
        else if (event->len > 0)
                was_written(watch->guests, event->name);
}

static int on_inotify(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        _Alignas(struct inotify_event) char buffer[4096];
        ssize_t size;

        while ((size = read(fd, buffer, sizeof(buffer))) > 0)
                for (const char *place = buffer; place < buffer + size;) {
                        const struct inotify_event *event = (const struct inotify_event *) place;

                        on_event(userdata, event);
                        place += sizeof(*event) + event->len;
                }
        return 0;
}

void status_watch_look(struct status_watch *watch)
{
        if (watch->watch < 0)
                watch->watch = inotify_add_watch(watch->inotify, status_file_directory, IN_MOVED_TO | IN_ONLYDIR);
}

int status_watch_new(struct guests *guests, sd_event *loop, struct status_watch **ret)
{
        _cleanup_(status_watch_freep) struct status_watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        watch->guests = guests;
        watch->watch = -1;
        watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch->inotify < 0)
                return -errno;
        r = sd_event_add_io(loop, &watch->source, watch->inotify, EPOLLIN, on_inotify, watch);
        if (r < 0)
                return r;
        status_watch_look(watch);
        *ret = TAKE_POINTER(watch);
        return 0;
}

void status_watch_free(struct status_watch *watch)
{
        if (!watch)
                return;
        sd_event_source_disable_unref(watch->source);
        if (watch->inotify >= 0)
                close(watch->inotify);
        free(watch);
}

void status_watch_freep(struct status_watch **watch)
{
        status_watch_free(*watch);
}
