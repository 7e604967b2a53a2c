/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation: sets of MACs are sorted arrays, so that thousands of candidates cost no more than sorting them.
 * The candidates are sorted by MAC to drop duplicates and what must not be listed, then by port to find out how many of
 * its port come before each and which are too many, then by importance; the first ones, as many as there are places, are
 * wanted.
 */

#include "uplink_plan.h"

#include "cleanup.h"

#include <errno.h>
#include <string.h>

struct ranked {
        struct uplink_plan_candidate candidate;
        bool is_ours;    /* listed, by us */
        size_t rank;     /* how many of its class and port come before it */
        bool is_crowd;   /* beyond what its port may have */
        uint64_t active; /* with the lead */
};

struct mac_set {
        struct vswitch_mac *macs; /* sorted */
        size_t count;
};

const char *uplink_plan_class_to_string(enum uplink_plan_class class)
{
        switch (class) {
        case UPLINK_PLAN_HOST:
                return "local";
        case UPLINK_PLAN_STATIC:
                return "static";
        case UPLINK_PLAN_LEARNED:
                return "learned";
        case UPLINK_PLAN_QUIET:
                return "quiet";
        case UPLINK_PLAN_CLASS_MAX:
                break;
        }
        return "invalid";
}

/* ---- sets ---- */

static int compare_macs(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct vswitch_mac));
}

static void set_release(struct mac_set *set)
{
        free(set->macs);
}

static int set_reserve(size_t count, struct mac_set *ret)
{
        ret->macs = calloc(count + 1, sizeof(*ret->macs));
        return ret->macs ? 0 : -ENOMEM;
}

static void set_sort(struct mac_set *set)
{
        qsort(set->macs, set->count, sizeof(*set->macs), compare_macs);
}

static int set_make(const struct vswitch_mac *macs, size_t count, struct mac_set *ret)
{
        int r = set_reserve(count, ret);

        if (r != 0)
                return r;
        if (count > 0)
                memcpy(ret->macs, macs, count * sizeof(*macs));
        ret->count = count;
        set_sort(ret);
        return 0;
}

static bool set_has(const struct mac_set *set, const struct vswitch_mac *mac)
{
        return bsearch(mac, set->macs, set->count, sizeof(*mac), compare_macs);
}

/* ---- order ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
        return (a > b) - (a < b);
}

static int by_mac_then_class(const void *a, const void *b)
{
        const struct ranked *left = a, *right = b;
        int r = compare_macs(&left->candidate.mac, &right->candidate.mac);

        if (r == 0)
                r = compare_numbers(left->candidate.class, right->candidate.class);
        if (r == 0)
                r = compare_numbers(right->candidate.active, left->candidate.active);
        return r != 0 ? r : compare_numbers((unsigned) left->candidate.port, (unsigned) right->candidate.port);
}

/* Of two in one class: who sent last (a listed one with its lead), else who is listed, else anything that stays. */
static int by_merit(const struct ranked *left, const struct ranked *right)
{
        int r = compare_numbers(right->active, left->active);

        if (r == 0)
                r = right->is_ours - left->is_ours;
        return r != 0 ? r : compare_macs(&left->candidate.mac, &right->candidate.mac);
}

static int by_port_class_merit(const void *a, const void *b)
{
        const struct ranked *left = a, *right = b;
        int r = compare_numbers((unsigned) left->candidate.port, (unsigned) right->candidate.port);

        if (r == 0)
                r = compare_numbers(left->candidate.class, right->candidate.class);
        return r != 0 ? r : by_merit(left, right);
}

static int by_importance(const void *a, const void *b)
{
        const struct ranked *left = a, *right = b;
        int r = left->is_crowd - right->is_crowd;

        if (r == 0)
                r = compare_numbers(left->candidate.class, right->candidate.class);
        if (r == 0)
                r = compare_numbers(left->rank, right->rank);
        return r != 0 ? r : by_merit(left, right);
}

static bool is_timed(enum uplink_plan_class class)
{
        return class == UPLINK_PLAN_LEARNED || class == UPLINK_PLAN_QUIET;
}

/* ---- the plan ---- */

struct sets {
        struct mac_set listed, ours, vfs, nics;
};

static void sets_release(struct sets *sets)
{
        set_release(&sets->listed);
        set_release(&sets->ours);
        set_release(&sets->vfs);
        set_release(&sets->nics);
}

static int sets_make(const struct uplink_plan_input *input, struct sets *ret)
{
        int r = set_make(input->listed, input->listed_count, &ret->listed);

        if (r == 0)
                r = set_make(input->ours, input->ours_count, &ret->ours);
        if (r == 0)
                r = set_make(input->vfs, input->vfs_count, &ret->vfs);
        if (r == 0)
                r = set_reserve(input->nics_count, &ret->nics);
        if (r != 0)
                return r;
        for (size_t i = 0; i < input->nics_count; i++)
                ret->nics.macs[ret->nics.count++] = input->nics[i].mac;
        set_sort(&ret->nics);
        return 0;
}

/* How many of its class and port come before each, and which are more than a port may have. They are in the order of
 * by_port_class_merit(). Returns how many are not too many. */
static size_t rank_in_ports(struct ranked *ranked, size_t count, unsigned per_port)
{
        size_t of_port = 0, rank = 0, not_too_many = count;

        for (size_t i = 0; i < count; i++) {
                const struct uplink_plan_candidate *candidate = &ranked[i].candidate;
                const struct uplink_plan_candidate *last = i > 0 ? &ranked[i - 1].candidate : NULL;

                if (!last || last->port != candidate->port)
                        of_port = 0;
                if (!last || last->port != candidate->port || last->class != candidate->class)
                        rank = 0;
                if (!is_timed(candidate->class))
                        continue;
                ranked[i].rank = rank++;
                ranked[i].is_crowd = per_port > 0 && of_port++ >= per_port;
                not_too_many -= ranked[i].is_crowd;
        }
        return not_too_many;
}

/* The candidates that may be ours, each MAC once, most important first; those that are too many of their port come
 * last. Returns their number; *ret_count: without those. */
static size_t rank_candidates(const struct uplink_plan_input *input, const struct sets *sets, struct ranked *ranked,
                              size_t *ret_count)
{
        size_t count = 0;

        for (size_t i = 0; i < input->candidates_count; i++) {
                const struct uplink_plan_candidate *candidate = &input->candidates[i];
                bool is_listed = set_has(&sets->listed, &candidate->mac);
                bool is_ours = is_listed && set_has(&sets->ours, &candidate->mac);

                if (set_has(&sets->vfs, &candidate->mac) || set_has(&sets->nics, &candidate->mac) ||
                    (is_listed && !is_ours))
                        continue;
                ranked[count++] = (struct ranked){
                        .candidate = *candidate,
                        .is_ours = is_ours,
                        .active = is_timed(candidate->class) ? candidate->active + (is_ours ? UPLINK_PLAN_LEAD : 0) : 0,
                };
        }

        qsort(ranked, count, sizeof(*ranked), by_mac_then_class);
        size_t unique = 0;
        for (size_t i = 0; i < count; i++)
                if (unique == 0 || !vswitch_mac_equal(&ranked[unique - 1].candidate.mac, &ranked[i].candidate.mac))
                        ranked[unique++] = ranked[i];

        qsort(ranked, unique, sizeof(*ranked), by_port_class_merit);
        *ret_count = rank_in_ports(ranked, unique, input->per_port);
        qsort(ranked, unique, sizeof(*ranked), by_importance);
        return unique;
}

/* Places that are taken by what the plan does not decide about. */
static size_t count_taken(const struct uplink_plan_input *input, const struct sets *sets, struct uplink_plan *plan)
{
        size_t nics = 0;

        for (size_t i = 0; i < sets->listed.count; i++)
                plan->foreign +=
                        !set_has(&sets->ours, &sets->listed.macs[i]) && !set_has(&sets->nics, &sets->listed.macs[i]);
        for (size_t i = 0; i < input->nics_count; i++)
                nics += input->nics[i].needs_filter || set_has(&sets->listed, &input->nics[i].mac);
        plan->wanted = nics;
        return plan->foreign + nics;
}

static int reserve(const struct uplink_plan_input *input, struct uplink_plan *plan)
{
        plan->adds = calloc(input->candidates_count + 1, sizeof(*plan->adds));
        plan->removes = calloc(input->listed_count + 1, sizeof(*plan->removes));
        plan->left_out = calloc(input->candidates_count + 1, sizeof(*plan->left_out));
        plan->crowd = calloc(input->candidates_count + 1, sizeof(*plan->crowd));
        return plan->adds && plan->removes && plan->left_out && plan->crowd ? 0 : -ENOMEM;
}

static int make(const struct uplink_plan_input *input, struct uplink_plan *plan)
{
        _cleanup_(sets_release) struct sets sets = { 0 };
        _cleanup_(vswitch_freep) struct ranked *ranked = calloc(input->candidates_count + 1, sizeof(*ranked));
        _cleanup_(set_release) struct mac_set chosen = { 0 };
        size_t all, count, taken, places;
        int r = ranked ? sets_make(input, &sets) : -ENOMEM;

        if (r == 0)
                r = reserve(input, plan);
        if (r == 0)
                r = set_reserve(input->candidates_count, &chosen);
        if (r != 0)
                return r;

        all = rank_candidates(input, &sets, ranked, &count);
        taken = count_taken(input, &sets, plan);
        plan->wanted += count;
        places = input->capacity > taken ? input->capacity - taken : 0;
        if (places > count)
                places = count;

        for (size_t i = 0; i < places; i++) {
                chosen.macs[chosen.count++] = ranked[i].candidate.mac;
                if (!ranked[i].is_ours)
                        plan->adds[plan->adds_count++] = ranked[i].candidate.mac;
        }
        set_sort(&chosen);
        for (size_t i = places; i < count; i++)
                plan->left_out[plan->left_out_count++] = ranked[i].candidate;
        for (size_t i = count; i < all; i++)
                plan->crowd[plan->crowd_count++] = ranked[i].candidate;
        for (size_t i = 0; i < sets.listed.count; i++) {
                const struct vswitch_mac *mac = &sets.listed.macs[i];

                if (set_has(&sets.ours, mac) && !set_has(&sets.nics, mac) && !set_has(&chosen, mac))
                        plan->removes[plan->removes_count++] = *mac;
        }
        return 0;
}

int uplink_plan_make(const struct uplink_plan_input *input, struct uplink_plan *ret)
{
        int r;

        *ret = (struct uplink_plan){ 0 };
        r = make(input, ret);
        if (r != 0)
                uplink_plan_release(ret);
        return r;
}

void uplink_plan_release(struct uplink_plan *plan)
{
        free(plan->adds);
        free(plan->removes);
        free(plan->left_out);
        free(plan->crowd);
        *plan = (struct uplink_plan){ 0 };
}
