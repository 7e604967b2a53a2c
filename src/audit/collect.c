/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The order matters: what is on disk and in the kernel is read before the guests are asked for. A guest that has just
 * started is then in the list, and one that has just ended leaves what a second look does not find again.
 */

#include "src/audit/collect.h"

#include "src/control/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t monotonic_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

void audit_add_unreadable(struct audit_picture *picture, const char *path, const char *sentence)
{
        struct audit_file *file = audit_add(picture, unreadable);

        if (!file)
                return;
        snprintf(file->path, sizeof(file->path), "%s", path);
        snprintf(file->sentence, sizeof(file->sentence), "%s", sentence);
}

static int collect_guests(const struct audit_sources *sources, const struct config *config,
                          struct audit_picture *picture)
{
        struct vswitch_error error = { 0 };
        int r = sources->list_guests(config ? config->libvirt_uri : NULL, &picture->guests, &picture->guests_count,
                                     &error);

        picture->guests_known = r == 0;
        snprintf(picture->guests_sentence, sizeof(picture->guests_sentence), "%s",
                 r < 0 ? vswitch_error_text(&error, r) : "");
        for (size_t i = 0; i < picture->guests_count; i++)
                if (picture->guests[i]->incomplete) {
                        picture->guests_known = false;
                        snprintf(picture->guests_sentence, sizeof(picture->guests_sentence),
                                 "libvirt does not show the devices of guest %s now", picture->guests[i]->name);
                }
        return r == -ENOMEM ? r : 0;
}

int audit_collect(const struct audit_sources *sources, struct audit_picture *ret, struct vswitch_error *error)
{
        _cleanup_(vswitch_netlink_closep) struct vswitch_netlink *netlink = NULL;
        _cleanup_(config_freep) struct config *config = NULL;
        struct vswitch_error mistake = { 0 };
        bool has_daemon = false;
        int r;

        *ret = (struct audit_picture){ .now = monotonic_now() };
        snprintf(ret->runtime_directory, sizeof(ret->runtime_directory), "%s", sources->runtime_directory);
        r = config_load(sources->config_path, &config, &mistake);
        if (r < 0 && r != -ENOENT)
                audit_add_unreadable(ret, sources->config_path, vswitch_error_text(&mistake, r));
        r = vswitch_netlink_open(&netlink, error);
        if (r == 0)
                r = audit_collect_files(sources, ret, error);
        if (r == 0)
                r = audit_collect_kernel(netlink, config, ret, error);
        if (r == 0)
                r = collect_guests(sources, config, ret);
        if (r == 0)
                r = audit_collect_processes(ret, &has_daemon);
        if (r == 0)
                r = audit_ask_daemon(sources->control_socket, ret);
        if (r == 0 && has_daemon && ret->daemon == AUDIT_DAEMON_DOWN) {
                ret->daemon = AUDIT_DAEMON_SILENT;
                snprintf(ret->daemon_sentence, sizeof(ret->daemon_sentence),
                         "a vswitchd runs, and nobody answers at %s", sources->control_socket);
        }
        return r;
}
