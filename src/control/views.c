/* SPDX-License-Identifier: Apache-2.0 */

#include "src/control/views.h"
#include "src/control/cleanup.h"
#include "src/control/view_copies.h"

#include <errno.h>
#include <string.h>

static void clear_pfs(struct views *views)
{
        for (size_t i = 0; views->pfs && i < views->pfs_count; i++)
                view_clear_pf(&views->pfs[i]);
        free(views->pfs);
        views->pfs = NULL;
        views->pfs_count = 0;
        views->pf = (struct control_pf){};
}

void views_clear(struct views *views)
{
        view_clear_status(&views->status);
        view_clear_switch(&views->switch_);
        clear_pfs(views);
        view_clear_nic(&views->nic);
}

int views_find_status(struct views *views, const struct control_provider *provider, void *model)
{
        struct control_status status = {};
        int r;

        view_clear_status(&views->status);
        provider->status(model, &status);
        r = view_copy_status(&status, &views->status);
        return r < 0 ? r : 1;
}

/* What an iteration looks for, and where the copy goes. */
struct search {
        struct views *views;
        const char *name; /* switch, PF; the NIC's UUID */
        const char *alias;
};

static int match_switch(const struct control_switch *view, void *userdata)
{
        const struct search *search = userdata;
        int r;

        if (strcmp(view->name, search->name) != 0)
                return 0;
        r = view_copy_switch(view, &search->views->switch_);
        return r < 0 ? r : 1;
}

int views_find_switch(struct views *views, const struct control_provider *provider, void *model, const char *name)
{
        view_clear_switch(&views->switch_);
        return provider->switches(model, match_switch, &(struct search){ .views = views, .name = name });
}

static int add_pf(const struct control_pf *view, void *userdata)
{
        struct views *views = userdata;
        struct control_pf *pfs = reallocarray(views->pfs, views->pfs_count + 1, sizeof(*pfs));
        int r;

        if (!pfs)
                return -ENOMEM;
        views->pfs = pfs;
        r = view_copy_pf(view, &pfs[views->pfs_count]);
        if (r < 0)
                return r;
        views->pfs_count++;
        return 0;
}

int views_read_pfs(struct views *views, const struct control_provider *provider, void *model, uint64_t round)
{
        int r;

        if (views->pfs && views->pfs_round == round)
                return 0;
        clear_pfs(views);
        views->pfs_round = round;
        r = provider->pfs(model, add_pf, views);
        if (r < 0)
                clear_pfs(views);
        return r;
}

int views_find_pf(struct views *views, const struct control_provider *provider, void *model, const char *name,
                  uint64_t round)
{
        int r = views_read_pfs(views, provider, model, round);

        if (r < 0)
                return r;
        for (size_t i = 0; i < views->pfs_count; i++)
                if (strcmp(views->pfs[i].name, name) == 0) {
                        views->pf = views->pfs[i];
                        return 1;
                }
        return 0;
}

static int match_nic(const struct control_nic *view, void *userdata)
{
        const struct search *search = userdata;
        int r;

        if (strcmp(view->uuid, search->name) != 0 || strcmp(view->alias, search->alias) != 0)
                return 0;
        r = view_copy_nic(view, &search->views->nic);
        return r < 0 ? r : 1;
}

int views_find_nic(struct views *views, const struct control_provider *provider, void *model, const char *uuid,
                   const char *alias)
{
        view_clear_nic(&views->nic);
        return provider->nics(model, match_nic, &(struct search){ .views = views, .name = uuid, .alias = alias });
}
