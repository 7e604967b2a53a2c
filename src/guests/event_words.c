/* SPDX-License-Identifier: Apache-2.0 */

/*
 * QEMU names devices by the id that libvirt gave them: for a device it is the alias ("ua-net0", "hostdev0"), for the
 * backend of a NIC it is the alias behind "host" ("hostua-net0"). FAILOVER_NEGOTIATED carries the id of the virtio
 * device; the backend's name is understood as well, as QEMU calls the field after it (netclient_name).
 */

#include "event_words.h"
#include "internal.h"

#include <jansson.h>
#include <libvirt/libvirt.h>
#include <stdio.h>

const char event_qemu_names[] = "^(FAILOVER_NEGOTIATED|UNPLUG_PRIMARY|MIGRATION|STOP|RESUME|RESET|DEVICE_DELETED)$";

void event_lifecycle_words(int event, int detail, char *buffer, size_t size)
{
        static const struct {
                const char *event;
                const char *details[10];
        } words[] = {
                [VIR_DOMAIN_EVENT_DEFINED] = { "defined", { "added", "updated", "renamed", "from-snapshot" } },
                [VIR_DOMAIN_EVENT_UNDEFINED] = { "undefined", { "removed", "renamed" } },
                [VIR_DOMAIN_EVENT_STARTED] = { "started",
                                               { "booted", "migrated", "restored", "from-snapshot", "wakeup" } },
                [VIR_DOMAIN_EVENT_SUSPENDED] = { "suspended",
                                                 { "paused", "migrated", "io-error", "watchdog", "restored",
                                                   "from-snapshot", "api-error", "postcopy", "postcopy-failed" } },
                [VIR_DOMAIN_EVENT_RESUMED] = { "resumed",
                                               { "unpaused", "migrated", "from-snapshot", "postcopy",
                                                 "postcopy-failed" } },
                [VIR_DOMAIN_EVENT_STOPPED] = { "stopped",
                                               { "shutdown", "destroyed", "crashed", "migrated", "saved", "failed",
                                                 "from-snapshot" } },
                [VIR_DOMAIN_EVENT_SHUTDOWN] = { "shutdown", { "finished", "guest", "host" } },
                [VIR_DOMAIN_EVENT_PMSUSPENDED] = { "pmsuspended", { "memory", "disk" } },
                [VIR_DOMAIN_EVENT_CRASHED] = { "crashed", { "panicked", "crashloaded" } },
        };

        if (event < 0 || (size_t) event >= ARRAY_SIZE(words))
                snprintf(buffer, size, "%d/%d", event, detail);
        else if (detail < 0 || (size_t) detail >= ARRAY_SIZE(words[event].details) || !words[event].details[detail])
                snprintf(buffer, size, "%s/%d", words[event].event, detail);
        else
                snprintf(buffer, size, "%s/%s", words[event].event, words[event].details[detail]);
}

void event_alias(const char *name, bool is_nic, char buffer[static GUEST_ALIAS_SIZE])
{
        static const char tree[] = "/machine/peripheral/";
        char alias[GUEST_ALIAS_SIZE + 1];

        if (strncmp(name, tree, strlen(tree)) == 0)
                name += strlen(tree);
        /* No NIC's alias begins with "host": libvirt makes "net0", the owner's begin with "ua-". But "hostdev0" is the
         * alias of a VF. */
        if (is_nic && strncmp(name, "host", strlen("host")) == 0)
                name += strlen("host");
        /* "ua-net0/virtio-backend" is a part of ua-net0. */
        snprintf(alias, sizeof(alias), "%.*s", (int) strcspn(name, "/"), name);
        copy_name(buffer, GUEST_ALIAS_SIZE, alias);
}

static void json_unrefp(json_t **json)
{
        json_decref(*json);
}

static const char *string_of(const json_t *data, const char *name)
{
        const char *value = json_string_value(json_object_get(data, name));

        return value ? value : "";
}

void event_from_qemu(const char *name, const char *details, struct event_meaning *ret)
{
        _cleanup_(json_unrefp) json_t *data = details ? json_loads(details, 0, NULL) : NULL;
        struct guest_event *event = &ret->event;

        *ret = (struct event_meaning){ .is_event = true };
        if (strcmp(name, "FAILOVER_NEGOTIATED") == 0) {
                event->kind = GUEST_EVENT_STANDBY_NEGOTIATED;
                event_alias(string_of(data, "device-id"), true, event->alias);
        } else if (strcmp(name, "UNPLUG_PRIMARY") == 0) {
                event->kind = GUEST_EVENT_UNPLUG_ASKED;
                event_alias(string_of(data, "device-id"), false, event->alias);
        } else if (strcmp(name, "MIGRATION") == 0) {
                static const char *const news[] = { "setup", "active", "completed", "failed", "cancelled" };

                event->kind = GUEST_EVENT_MIGRATION;
                copy_name(event->detail, sizeof(event->detail), string_of(data, "status"));
                /* Not in the phases between, where libvirt and QEMU are busy with the switch-over. */
                for (size_t i = 0; i < ARRAY_SIZE(news); i++)
                        ret->is_news |= strcmp(event->detail, news[i]) == 0;
        } else if (strcmp(name, "STOP") == 0) {
                event->kind = GUEST_EVENT_STOPPED;
                ret->is_news = true;
        } else if (strcmp(name, "RESUME") == 0) {
                event->kind = GUEST_EVENT_RESUMED;
                ret->is_news = true;
        } else if (strcmp(name, "RESET") == 0) {
                event->kind = GUEST_EVENT_RESET;
                ret->is_news = true;
        } else {
                /* DEVICE_DELETED: libvirt says so itself a moment later, when it has cleaned up. */
                ret->is_event = false;
                ret->is_news = strcmp(name, "DEVICE_DELETED") == 0;
        }
}
