/* SPDX-License-Identifier: Apache-2.0 */

#include "src/control/views.h"
#include "src/control/cleanup.h"

#include <errno.h>
#include <string.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Where the strings are in each view: copying and freeing then is one loop for all of them. */
static const size_t status_strings[] = {
        offsetof(struct control_status, version),
        offsetof(struct control_status, libvirt_sentence),
};
static const size_t switch_strings[] = {
        offsetof(struct control_switch, name),   offsetof(struct control_switch, driver),
        offsetof(struct control_switch, device), offsetof(struct control_switch, uplink),
        offsetof(struct control_switch, reason),
};
static const size_t vf_strings[] = {
        offsetof(struct control_vf, address), offsetof(struct control_vf, state), offsetof(struct control_vf, driver),
        offsetof(struct control_vf, mac),     offsetof(struct control_vf, owner),
};
static const size_t pf_strings[] = {
        offsetof(struct control_pf, name),     offsetof(struct control_pf, switch_name),
        offsetof(struct control_pf, driver),   offsetof(struct control_pf, address),
        offsetof(struct control_pf, steering),
};
static const size_t nic_strings[] = {
        offsetof(struct control_nic, uuid),        offsetof(struct control_nic, domain),
        offsetof(struct control_nic, alias),       offsetof(struct control_nic, mac),
        offsetof(struct control_nic, switch_name), offsetof(struct control_nic, tap),
        offsetof(struct control_nic, wanted),      offsetof(struct control_nic, path),
        offsetof(struct control_nic, situation),   offsetof(struct control_nic, request),
        offsetof(struct control_nic, vf),          offsetof(struct control_nic, pf),
        offsetof(struct control_nic, reason),      offsetof(struct control_nic, reason_sentence),
        offsetof(struct control_nic, remedy),
};

static char **string_at(void *view, size_t offset)
{
        return (char **) ((char *) view + offset);
}

static void free_strings(void *view, const size_t *offsets, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                free(*string_at(view, offsets[i]));
                *string_at(view, offsets[i]) = NULL;
        }
}

/* `view` is a flat copy of the provider's: replaces every string in it by an own one. On failure none is kept. */
static int copy_strings(void *view, const size_t *offsets, size_t count)
{
        bool complete = true;

        for (size_t i = 0; i < count; i++) {
                char **string = string_at(view, offsets[i]);

                *string = strdup(*string ?: "");
                complete = complete && *string;
        }
        if (!complete) {
                free_strings(view, offsets, count);
                return -ENOMEM;
        }
        return 0;
}

static void clear_status(struct control_status *status)
{
        free_strings(status, status_strings, ELEMENTS(status_strings));
        *status = (struct control_status){};
}

static void clear_switch(struct control_switch *view)
{
        free_strings(view, switch_strings, ELEMENTS(switch_strings));
        *view = (struct control_switch){};
}

static void clear_pf(struct control_pf *pf)
{
        for (size_t i = 0; i < pf->vfs_count; i++)
                free_strings((struct control_vf *) &pf->vfs[i], vf_strings, ELEMENTS(vf_strings));
        free((struct control_vf *) pf->vfs);
        for (size_t i = 0; pf->uplink_filters && pf->uplink_filters[i]; i++)
                free((char *) pf->uplink_filters[i]);
        free((char **) pf->uplink_filters);
        free_strings(pf, pf_strings, ELEMENTS(pf_strings));
        *pf = (struct control_pf){};
}

static void clear_pfs(struct views *views)
{
        for (size_t i = 0; views->pfs && i < views->pfs_count; i++)
                clear_pf(&views->pfs[i]);
        free(views->pfs);
        views->pfs = NULL;
        views->pfs_count = 0;
        views->pf = (struct control_pf){};
}

static void clear_nic(struct control_nic *nic)
{
        free_strings(nic, nic_strings, ELEMENTS(nic_strings));
        *nic = (struct control_nic){};
}

void views_clear(struct views *views)
{
        clear_status(&views->status);
        clear_switch(&views->switch_);
        clear_pfs(views);
        clear_nic(&views->nic);
}

int views_find_status(struct views *views, const struct control_provider *provider, void *model)
{
        struct control_status status = {};
        int r;

        clear_status(&views->status);
        provider->status(model, &status);
        r = copy_strings(&status, status_strings, ELEMENTS(status_strings));
        if (r < 0)
                return r;
        views->status = status;
        return 1;
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
        struct control_switch copy = *view;
        int r;

        if (strcmp(view->name, search->name) != 0)
                return 0;
        r = copy_strings(&copy, switch_strings, ELEMENTS(switch_strings));
        if (r < 0)
                return r;
        search->views->switch_ = copy;
        return 1;
}

int views_find_switch(struct views *views, const struct control_provider *provider, void *model, const char *name)
{
        clear_switch(&views->switch_);
        return provider->switches(model, match_switch, &(struct search){ .views = views, .name = name });
}

static int copy_uplink_filters(const char *const *filters, const char *const **ret)
{
        size_t count = 0;
        char **copies;

        while (filters && filters[count])
                count++;
        copies = calloc(count + 1, sizeof(*copies));
        if (!copies)
                return -ENOMEM;
        *ret = (const char *const *) copies;
        for (size_t i = 0; i < count; i++) {
                copies[i] = strdup(filters[i]);
                if (!copies[i])
                        return -ENOMEM;
        }
        return 0;
}

static int copy_vfs(const struct control_pf *from, struct control_pf *to)
{
        struct control_vf *vfs = calloc(from->vfs_count + 1, sizeof(*vfs));
        int r;

        if (!vfs)
                return -ENOMEM;
        to->vfs = vfs;
        for (size_t i = 0; i < from->vfs_count; i++) {
                vfs[i] = from->vfs[i];
                r = copy_strings(&vfs[i], vf_strings, ELEMENTS(vf_strings));
                if (r < 0)
                        return r;
                to->vfs_count++;
        }
        return 0;
}

static int add_pf(const struct control_pf *view, void *userdata)
{
        struct views *views = userdata;
        _cleanup_(clear_pf) struct control_pf copy = *view;
        struct control_pf *pfs;
        int r;

        copy.uplink_filters = NULL;
        copy.vfs = NULL;
        copy.vfs_count = 0;
        r = copy_strings(&copy, pf_strings, ELEMENTS(pf_strings));
        if (r < 0)
                return r; /* it left no strings */
        r = copy_uplink_filters(view->uplink_filters, &copy.uplink_filters);
        if (r >= 0)
                r = copy_vfs(view, &copy);
        if (r < 0)
                return r;
        pfs = reallocarray(views->pfs, views->pfs_count + 1, sizeof(*pfs));
        if (!pfs)
                return -ENOMEM;
        views->pfs = pfs;
        pfs[views->pfs_count++] = copy;
        copy = (struct control_pf){};
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
        struct control_nic copy = *view;
        int r;

        if (strcmp(view->uuid, search->name) != 0 || strcmp(view->alias, search->alias) != 0)
                return 0;
        r = copy_strings(&copy, nic_strings, ELEMENTS(nic_strings));
        if (r < 0)
                return r;
        search->views->nic = copy;
        return 1;
}

int views_find_nic(struct views *views, const struct control_provider *provider, void *model, const char *uuid,
                   const char *alias)
{
        clear_nic(&views->nic);
        return provider->nics(model, match_nic, &(struct search){ .views = views, .name = uuid, .alias = alias });
}
