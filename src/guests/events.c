/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libvirt's events, and those of QEMU's monitor that libvirt does not speak of (libvirt-qemu: failover, the phases of a
 * migration, the instant at which the virtual CPUs stop). All callbacks run on the event thread.
 *
 * QEMU's events are forwarded by libvirtd before it acts on them; so they are early, and the state that libvirt tells
 * may still be the old one. Where they change it, libvirt's own event follows and causes another read.
 */

#include "event_words.h"
#include "libvirt_error.h"
#include "private.h"

#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdio.h>

/* Hands over `event` (may be NULL), and has the domain read again when that is news. With `lifecycle`: event and
 * detail of it. What comes before the connection was told to the daemon is in the list that follows. */
static void happened(struct guests *guests, virConnectPtr connection, virDomainPtr dom, struct guest_event *event,
                     const int *lifecycle, bool is_news)
{
        char uuid[VIR_UUID_STRING_BUFLEN];
        struct message *message = NULL;
        struct domain *domain;

        if (virDomainGetUUIDString(dom, uuid) < 0)
                return;
        if (event) {
                message = message_new(MESSAGE_EVENT);
                if (message) {
                        event->usec = lane_now();
                        copy_name(event->uuid, sizeof(event->uuid), uuid);
                        message->event = *event;
                }
        }

        LOCKED(&guests->lock);

        if (!guests->connections || guests->connections->events != connection) {
                message_free(message);
                return;
        }
        if (message)
                queue_post(&guests->queue, message);
        domain = guests_domain(guests, uuid);
        if (!domain)
                return;
        if (lifecycle)
                guest_history_lifecycle(&domain->history, lifecycle[0], lifecycle[1]);
        if (event && event->kind == GUEST_EVENT_MIGRATION)
                guest_history_migration(&domain->history, event->detail);
        if (lifecycle && (lifecycle[0] == VIR_DOMAIN_EVENT_DEFINED || lifecycle[0] == VIR_DOMAIN_EVENT_UNDEFINED))
                guests_want_definition(guests, domain);
        else if (is_news)
                guests_want_read(guests, domain);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr dom, int type, int detail, void *userdata)
{
        struct guest_event event = { .kind = GUEST_EVENT_LIFECYCLE };

        event_lifecycle_words(type, detail, event.detail, sizeof(event.detail));
        happened(userdata, connection, dom, &event, (const int[]){ type, detail }, true);
        return 0;
}

static void on_reboot(virConnectPtr connection, virDomainPtr dom, void *userdata)
{
        struct guest_event event = { .kind = GUEST_EVENT_RESET };
        struct guests *guests = userdata;
        bool is_double;

        {
                LOCKED(&guests->lock);

                /* libvirt makes this of QEMU's RESET; once is enough. */
                is_double = guests->connections && guests->connections->qemu_callback_id >= 0;
        }
        happened(guests, connection, dom, is_double ? NULL : &event, NULL, true);
}

static void on_device_added(virConnectPtr connection, virDomainPtr dom, const char *alias, void *userdata)
{
        happened(userdata, connection, dom, NULL, NULL, true);
}

static void on_device_removed(virConnectPtr connection, virDomainPtr dom, const char *alias, void *userdata)
{
        struct guest_event event = { .kind = GUEST_EVENT_DEVICE_REMOVED };

        event_alias(alias, false, event.alias);
        happened(userdata, connection, dom, &event, NULL, true);
}

static void on_device_removal_failed(virConnectPtr connection, virDomainPtr dom, const char *alias, void *userdata)
{
        struct guest_event event = { .kind = GUEST_EVENT_DEVICE_REMOVAL_FAILED };

        event_alias(alias, false, event.alias);
        happened(userdata, connection, dom, &event, NULL, true);
}

static void on_job_completed(virConnectPtr connection, virDomainPtr dom, virTypedParameterPtr parameters, int count,
                             void *userdata)
{
        happened(userdata, connection, dom, NULL, NULL, true);
}

static void on_metadata(virConnectPtr connection, virDomainPtr dom, int type, const char *namespace_uri, void *userdata)
{
        happened(userdata, connection, dom, NULL, NULL, true);
}

static void on_qemu_event(virConnectPtr connection, virDomainPtr dom, const char *name, long long seconds,
                          unsigned int microseconds, const char *details, void *userdata)
{
        struct event_meaning meaning;

        event_from_qemu(name, details, &meaning);
        happened(userdata, connection, dom, meaning.is_event ? &meaning.event : NULL, NULL, meaning.is_news);
}

int guests_register_events(struct guests *guests, struct connections *connections, struct vswitch_error *error)
{
        const struct {
                int id;
                virConnectDomainEventGenericCallback callback;
        } events[] = {
                { VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
                { VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
                { VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device_added) },
                { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed) },
                { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removal_failed) },
                { VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed) },
                { VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata) },
        };
        virConnectPtr connection = connections->events;

        _Static_assert(ARRAY_SIZE(events) <= ARRAY_SIZE(connections->callback_ids), "room for all callback ids");
        for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
                int id = virConnectDomainEventRegisterAny(connection, NULL, events[i].id, events[i].callback, guests,
                                                          NULL);

                if (id < 0)
                        return libvirt_error_take(connection, error, "libvirt refuses its events");
                connections->callback_ids[connections->callbacks_count++] = id;
        }
        connections->qemu_callback_id =
                virConnectDomainQemuMonitorEventRegister(connection, NULL, event_qemu_names, on_qemu_event, guests,
                                                         NULL, VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX);
        if (connections->qemu_callback_id < 0 &&
            libvirt_error_take(connection, error, "libvirt does not pass on QEMU's events") == -ENOTCONN)
                return -ENOTCONN;
        return 0;
}

void guests_deregister_events(struct connections *connections)
{
        if (connections->qemu_callback_id >= 0)
                (void) virConnectDomainQemuMonitorEventDeregister(connections->events, connections->qemu_callback_id);
        connections->qemu_callback_id = -1;
        while (connections->callbacks_count > 0)
                (void) virConnectDomainEventDeregisterAny(connections->events,
                                                          connections->callback_ids[--connections->callbacks_count]);
}
