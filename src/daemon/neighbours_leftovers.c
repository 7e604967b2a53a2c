/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/log.h"
#include "src/daemon/neighbours.h"
#include "src/daemon/state_file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

static void clean_up_after(struct manager *manager, const char *name)
{
        const struct uplink_plan_input nothing = { .capacity = UPLINK_PLAN_NO_LIMIT };
        const char *directory = manager->neighbourhood->directory;
        struct uplink_list *list = NULL;
        struct vswitch_error error = { 0 };
        struct pf *pf = NULL;
        int r = manager->options.pf_driver->open(manager->netlink, name, &pf, &error);

        if (r == -ENODEV) {
                r = state_file_remove(directory, name, &error);
        } else if (r == 0) {
                r = uplink_list_open(directory, name, pf->ifindex, &list, &error);
                if (r == 0 && list->ours.count > 0)
                        log_notice(name, "it is beneath no switch any more: removing %zu addresses from its list",
                                   list->ours.count);
                if (r == 0)
                        r = uplink_list_apply(list, pf, &nothing, manager_now(manager), &error);
                uplink_list_free(list);
                pf->driver->close(pf);
        }
        if (r < 0)
                log_warning(name, "cannot remove what was listed for a switch that it is not beneath any more: %s",
                            vswitch_error_text(&error, r));
}

static bool is_beneath_any(const struct manager *manager, const char *name)
{
        const struct neighbour_pf *pf;

        SLIST_FOREACH (pf, &manager->neighbourhood->pfs, entry)
                if (strcmp(pf->name, name) == 0)
                        return true;
        return false;
}

void neighbours_clean_up(struct manager *manager)
{
        DIR *directory = opendir(manager->neighbourhood->directory);

        manager->neighbourhood->leftovers_at = FAILOVER_NEVER;
        for (struct dirent *entry; directory && (entry = readdir(directory));) {
                char name[IF_NAMESIZE] = "";
                size_t length = strlen(entry->d_name);

                if (length <= 5 || length - 5 >= sizeof(name) || strcmp(entry->d_name + length - 5, ".json") != 0)
                        continue;
                memcpy(name, entry->d_name, length - 5);
                if (!is_beneath_any(manager, name))
                        clean_up_after(manager, name);
        }
        if (directory)
                closedir(directory);
}
