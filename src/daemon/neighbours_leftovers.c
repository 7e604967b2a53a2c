/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation: a note about a PF that no switch has is a leftover of an earlier daemon, of a bridge that is gone,
 * or of a PF that left its bridge. Notes are called after the netdev's index, so it is found whatever it is called now.
 * What is noted is removed from its list, and the note with it; what could not be removed stays noted and is tried again,
 * after a pause that grows.
 */

#include "src/daemon/log.h"
#include "src/daemon/neighbours.h"
#include "src/daemon/state_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MAX (300 * USEC_PER_SEC)

static void close_pf(struct pf **pf)
{
        if (*pf)
                (*pf)->driver->close(*pf);
}

static void free_list(struct uplink_list **list)
{
        uplink_list_free(*list);
}

/* 1: there is more to remove. */
static int empty(struct manager *manager, const char *name, struct vswitch_error *error)
{
        const struct uplink_plan_input nothing = { .capacity = UPLINK_PLAN_NO_LIMIT };
        struct uplink_list *list __attribute__((cleanup(free_list))) = NULL;
        struct pf *pf __attribute__((cleanup(close_pf))) = NULL;
        int r = manager->options.pf_driver->open(manager->netlink, name, &pf, error);

        if (r < 0)
                return r;
        r = uplink_list_open(manager->neighbourhood->directory, name, pf->ifindex, &list, error);
        if (r == 0 && list->ours.count > 0)
                log_notice(name, "it is beneath no switch any more: removing %zu addresses from its list",
                           list->ours.count);
        if (r == 0)
                r = uplink_list_apply(list, pf, &nothing, manager_now(manager), error);
        return r == 0 ? list->unfinished : r;
}

/* Each failure is told once, until the same leftover has another or none. All that fail in one clean-up go to `failures`,
 * which is compared with at the next. */
static void tell_failure(const struct neighbourhood *neighbourhood, FILE *failures, const char *name,
                         const char *sentence)
{
        char line[512];

        snprintf(line, sizeof(line), "\n%s: %s\n", name, sentence);
        fputs(line, failures);
        if (neighbourhood->leftovers_told && strstr(neighbourhood->leftovers_told, line))
                return;
        log_warning(name,
                    "cannot remove what was listed for a switch that it is not beneath any more: %s; tried again from "
                    "time to time",
                    sentence);
}

/* 0, 1 as above, or what could not be done, which was told. */
static int clean_up_after(struct manager *manager, const char *file, int ifindex, FILE *failures)
{
        struct vswitch_error error = { 0 };
        struct vswitch_link link = { 0 };
        int r = vswitch_link_get_by_index(manager->netlink, ifindex, &link, &error);

        if (r == 0)
                r = empty(manager, link.name, &error);
        /* With the netdev its list is gone. */
        if (r == -ENODEV)
                r = state_file_remove(manager->neighbourhood->directory, file, &error);
        if (r < 0)
                tell_failure(manager->neighbourhood, failures, link.name[0] ? link.name : file,
                             vswitch_error_text(&error, r));
        return r;
}

/* "IFINDEX.json"; 0 when it is something else. */
static int parse_name(const char *name, char *file, size_t size)
{
        char *end;
        long ifindex = strtol(name, &end, 10);

        if (ifindex <= 0 || ifindex > INT32_MAX || strcmp(end, ".json") != 0)
                return 0;
        snprintf(file, size, "%ld", ifindex);
        return (int) ifindex;
}

void neighbours_clean_up(struct manager *manager)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        DIR *directory = opendir(neighbourhood->directory);
        char *text = NULL;
        size_t size = 0;
        FILE *failures = open_memstream(&text, &size);
        bool failed = false, unfinished = false;
        uint64_t pause = NEIGHBOURS_RETRY;

        for (struct dirent *entry; failures && directory && (entry = readdir(directory));) {
                char file[16];
                int ifindex = parse_name(entry->d_name, file, sizeof(file));
                int r = ifindex > 0 && !neighbours_find_pf(manager, ifindex)
                                ? clean_up_after(manager, file, ifindex, failures)
                                : 0;

                failed |= r < 0;
                unfinished |= r > 0;
        }
        if (directory)
                closedir(directory);
        failed |= !failures;
        if (failures) {
                fclose(failures);
                free(neighbourhood->leftovers_told);
                neighbourhood->leftovers_told = text;
        }

        if (!failed) {
                neighbourhood->leftovers_failures = 0;
                neighbourhood->leftovers_at = unfinished ? 0 : FAILOVER_NEVER;
                return;
        }
        for (unsigned i = 0; i < neighbourhood->leftovers_failures && pause < PAUSE_MAX; i++)
                pause *= 2;
        neighbourhood->leftovers_failures++;
        neighbourhood->leftovers_at = unfinished ? 0 : manager_now(manager) + (pause < PAUSE_MAX ? pause : PAUSE_MAX);
}
