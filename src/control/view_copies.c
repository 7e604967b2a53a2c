/* SPDX-License-Identifier: Apache-2.0 */

#include "src/control/view_copies.h"
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
        offsetof(struct control_switch, reason), offsetof(struct control_switch, obstacle),
        offsetof(struct control_switch, remedy), offsetof(struct control_switch, obstacle_sentence),
};
static const size_t neighbour_strings[] = {
        offsetof(struct control_neighbour, mac),
        offsetof(struct control_neighbour, port),
        offsetof(struct control_neighbour, kind),
        offsetof(struct control_neighbour, state),
};
static const size_t vf_strings[] = {
        offsetof(struct control_vf, address), offsetof(struct control_vf, state), offsetof(struct control_vf, driver),
        offsetof(struct control_vf, mac),     offsetof(struct control_vf, owner),
};
static const size_t pf_strings[] = {
        offsetof(struct control_pf, name),     offsetof(struct control_pf, switch_name),
        offsetof(struct control_pf, driver),   offsetof(struct control_pf, address),
        offsetof(struct control_pf, steering), offsetof(struct control_pf, steering_source),
        offsetof(struct control_pf, port),     offsetof(struct control_pf, firmware),
};
static const size_t nic_strings[] = {
        offsetof(struct control_nic, uuid),
        offsetof(struct control_nic, domain),
        offsetof(struct control_nic, alias),
        offsetof(struct control_nic, mac),
        offsetof(struct control_nic, switch_name),
        offsetof(struct control_nic, tap),
        offsetof(struct control_nic, wanted),
        offsetof(struct control_nic, path),
        offsetof(struct control_nic, situation),
        offsetof(struct control_nic, request),
        offsetof(struct control_nic, vf),
        offsetof(struct control_nic, pf),
        offsetof(struct control_nic, reason),
        offsetof(struct control_nic, reason_sentence),
        offsetof(struct control_nic, remedy),
        offsetof(struct control_nic, rule),
        offsetof(struct control_nic, detail),
        offsetof(struct control_nic, now),
        offsetof(struct control_nic, then),
        offsetof(struct control_nic, held_by),
        offsetof(struct control_nic, trouble),
        offsetof(struct control_nic, failure),
        offsetof(struct control_nic, failure_sentence),
        offsetof(struct control_nic, failure_detail),
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

static void free_list(const char *const *list)
{
        for (size_t i = 0; list && list[i]; i++)
                free((char *) list[i]);
        free((char **) list);
}

/* A list that is NULL becomes an empty one. */
static int copy_list(const char *const *list, const char *const **ret)
{
        size_t count = 0;
        char **copies;

        while (list && list[count])
                count++;
        copies = calloc(count + 1, sizeof(*copies));
        if (!copies)
                return -ENOMEM;
        *ret = (const char *const *) copies;
        for (size_t i = 0; i < count; i++) {
                copies[i] = strdup(list[i]);
                if (!copies[i])
                        return -ENOMEM;
        }
        return 0;
}

/* What is optional in a view stays NULL. */
static int copy_optional(const void *from, size_t size, void *ret_pointer)
{
        void *copy;

        if (!from)
                return 0;
        copy = malloc(size);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, from, size);
        *(void **) ret_pointer = copy;
        return 0;
}

int view_copy_status(const struct control_status *view, struct control_status *ret)
{
        struct control_status copy = *view;
        int r = copy_strings(&copy, status_strings, ELEMENTS(status_strings));

        if (r >= 0)
                *ret = copy;
        return r;
}

void view_clear_status(struct control_status *copy)
{
        free_strings(copy, status_strings, ELEMENTS(status_strings));
        *copy = (struct control_status){};
}

static int copy_neighbours(const struct control_switch *from, struct control_switch *to)
{
        struct control_neighbour *neighbours = calloc(from->neighbours_count + 1, sizeof(*neighbours));
        int r;

        if (!neighbours)
                return -ENOMEM;
        to->neighbours = neighbours;
        for (size_t i = 0; i < from->neighbours_count; i++) {
                neighbours[i] = from->neighbours[i];
                r = copy_strings(&neighbours[i], neighbour_strings, ELEMENTS(neighbour_strings));
                if (r < 0)
                        return r;
                to->neighbours_count++;
        }
        return 0;
}

int view_copy_switch(const struct control_switch *view, struct control_switch *ret)
{
        _cleanup_(view_clear_switch) struct control_switch copy = {};
        struct control_switch flat = *view;
        int r;

        flat.pfs = NULL;
        flat.neighbours = NULL;
        flat.neighbours_count = 0;
        r = copy_strings(&flat, switch_strings, ELEMENTS(switch_strings));
        if (r < 0)
                return r;
        copy = flat;
        r = copy_list(view->pfs, &copy.pfs);
        if (r >= 0)
                r = copy_neighbours(view, &copy);
        if (r < 0)
                return r;
        *ret = copy;
        copy = (struct control_switch){}; // NOLINT(clang-analyzer-deadcode.DeadStores): its cleanup looks
        return 0;
}

void view_clear_switch(struct control_switch *copy)
{
        for (size_t i = 0; i < copy->neighbours_count; i++)
                free_strings((struct control_neighbour *) &copy->neighbours[i], neighbour_strings,
                             ELEMENTS(neighbour_strings));
        free((struct control_neighbour *) copy->neighbours);
        free_list(copy->pfs);
        free_strings(copy, switch_strings, ELEMENTS(switch_strings));
        *copy = (struct control_switch){};
}

static void clear_vf(struct control_vf *vf)
{
        free_strings(vf, vf_strings, ELEMENTS(vf_strings));
        free((struct pf_vf_attributes *) vf->attributes);
        free((struct pf_vf_statistics *) vf->statistics);
}

static int copy_vf(const struct control_vf *from, struct control_vf *to)
{
        struct control_vf copy = *from;
        int r;

        copy.attributes = NULL;
        copy.statistics = NULL;
        r = copy_strings(&copy, vf_strings, ELEMENTS(vf_strings));
        if (r < 0)
                return r;
        r = copy_optional(from->attributes, sizeof(*from->attributes), &copy.attributes);
        if (r >= 0)
                r = copy_optional(from->statistics, sizeof(*from->statistics), &copy.statistics);
        if (r < 0) {
                clear_vf(&copy);
                return r;
        }
        *to = copy;
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
                r = copy_vf(&from->vfs[i], &vfs[i]);
                if (r < 0)
                        return r;
                to->vfs_count++;
        }
        return 0;
}

int view_copy_pf(const struct control_pf *view, struct control_pf *ret)
{
        _cleanup_(view_clear_pf) struct control_pf copy = {};
        struct control_pf flat = *view;
        int r;

        flat.refusals = NULL;
        flat.uplink_filters = NULL;
        flat.vfs = NULL;
        flat.vfs_count = 0;
        r = copy_strings(&flat, pf_strings, ELEMENTS(pf_strings));
        if (r < 0)
                return r;
        copy = flat;
        r = copy_list(view->refusals, &copy.refusals);
        if (r >= 0)
                r = copy_list(view->uplink_filters, &copy.uplink_filters);
        if (r >= 0)
                r = copy_vfs(view, &copy);
        if (r < 0)
                return r;
        *ret = copy;
        copy = (struct control_pf){}; // NOLINT(clang-analyzer-deadcode.DeadStores): its cleanup looks
        return 0;
}

void view_clear_pf(struct control_pf *copy)
{
        for (size_t i = 0; i < copy->vfs_count; i++)
                clear_vf((struct control_vf *) &copy->vfs[i]);
        free((struct control_vf *) copy->vfs);
        free_list(copy->refusals);
        free_list(copy->uplink_filters);
        free_strings(copy, pf_strings, ELEMENTS(pf_strings));
        *copy = (struct control_pf){};
}

int view_copy_nic(const struct control_nic *view, struct control_nic *ret)
{
        struct control_nic copy = *view;
        int r;

        copy.policy = NULL;
        r = copy_strings(&copy, nic_strings, ELEMENTS(nic_strings));
        if (r < 0)
                return r;
        r = copy_optional(view->policy, sizeof(*view->policy), &copy.policy);
        if (r < 0)
                free_strings(&copy, nic_strings, ELEMENTS(nic_strings));
        else
                *ret = copy;
        return r;
}

void view_clear_nic(struct control_nic *copy)
{
        free_strings(copy, nic_strings, ELEMENTS(nic_strings));
        free((struct port_policy *) copy->policy);
        *copy = (struct control_nic){};
}
