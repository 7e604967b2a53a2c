/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * One application: read the list, plan, note what will be ours, remove, add, note what is. Lists of thousands are
 * ordinary, so whatever is asked for each MAC is found in a sorted array; no step compares every MAC with every other.
 *
 * A write can take a driver milliseconds and keeps the event loop for that long, so one application makes WRITES_MAX at
 * most, and says that it is unfinished; the next one plans again, with what has changed meanwhile. Writes that are
 * refused do not use up the bound, since those behind them would never have their turn; but after REFUSALS_MAX the
 * driver is taken at its word. The note names no more than what can be written, so that it is right afterwards and need
 * not be written twice; room for those behind refused ones is in it only when some were refused the last time.
 */

#include "src/daemon/uplink_list.h"
#include "src/daemon/log.h"
#include "src/daemon/state_file.h"
#include "vswitch/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_VERSION 1

#define WRITES_MAX   64
#define REFUSALS_MAX 64

#define NEWS_PAUSE (10 * 1000000ull)

/* A plan is made again when the card turns out to hold less than was thought. */
#define ATTEMPTS_MAX 3

/* So many of those that are left out are named. */
#define NAMED_MAX 4

static void free_macs(struct vswitch_mac **macs)
{
        free(*macs);
}

/* ---- the note ---- */

static int compare_noted(const void *a, const void *b)
{
        const struct uplink_list_noted *left = a, *right = b;

        return memcmp(&left->mac, &right->mac, sizeof(left->mac));
}

const struct uplink_list_noted *uplink_list_find_noted(const struct uplink_list *list, const struct vswitch_mac *mac)
{
        const struct uplink_list_noted key = { .mac = *mac };

        return list->noted_count > 0
                       ? bsearch(&key, list->noted, list->noted_count, sizeof(*list->noted), compare_noted)
                       : NULL;
}

static void free_noted(struct uplink_list_noted **noted)
{
        free(*noted);
}

/* The MACs of a list, which is sorted as notes are, with their ports: where each is now (`wanted` tells, where it is not
 * NULL), else where it was when it was noted. *ret malloc'ed. */
static int make_note(const struct uplink_list *list, const struct mac_list *macs,
                     const struct uplink_plan_input *wanted, struct uplink_list_noted **ret)
{
        struct uplink_list_noted *entries = calloc(macs->count + 1, sizeof(*entries));

        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < macs->count; i++) {
                const struct uplink_list_noted *noted = uplink_list_find_noted(list, &macs->macs[i]);

                entries[i] = (struct uplink_list_noted){ macs->macs[i], noted ? noted->port : 0 };
        }
        /* From behind, so that the first of several counts. */
        for (size_t i = wanted ? wanted->candidates_count : 0; i > 0 && macs->count > 0; i--) {
                const struct uplink_list_noted key = { .mac = wanted->candidates[i - 1].mac };
                struct uplink_list_noted *entry = bsearch(&key, entries, macs->count, sizeof(*entries), compare_noted);

                if (entry)
                        entry->port = wanted->candidates[i - 1].port;
        }
        *ret = entries;
        return 0;
}

static bool is_as_noted(const struct uplink_list *list, const struct uplink_list_noted *entries, size_t count)
{
        if (count != list->noted_count || (count > 0) != list->has_note)
                return false;
        for (size_t i = 0; i < count; i++)
                if (list->noted[i].port != entries[i].port || !vswitch_mac_equal(&list->noted[i].mac, &entries[i].mac))
                        return false;
        return true;
}

static const char *file_name(int ifindex, char buffer[static 16])
{
        snprintf(buffer, 16, "%d", ifindex);
        return buffer;
}

static int write_file(const struct uplink_list *list, const struct uplink_list_noted *entries, size_t count,
                      struct vswitch_error *error)
{
        json_auto_t *macs = json_object();
        json_auto_t *json = NULL;
        char file[16];

        file_name(list->ifindex, file);
        if (count == 0)
                return state_file_remove(list->directory, file, error);
        for (size_t i = 0; macs && i < count; i++) {
                char text[VSWITCH_MAC_TEXT_SIZE];

                if (json_object_set_new(macs, vswitch_mac_format(&entries[i].mac, text),
                                        json_integer(entries[i].port)) < 0)
                        return -ENOMEM;
        }
        json = json_pack("{s:i, s:s, s:i, s:O}", "version", NOTE_VERSION, "pf", list->name, "ifindex", list->ifindex,
                         "macs", macs);
        return json ? state_file_write(list->directory, file, json, error) : -ENOMEM;
}

/* Makes the note name these; `wanted` tells where they are. */
static int write_note(struct uplink_list *list, const struct mac_list *macs, const struct uplink_plan_input *wanted,
                      struct vswitch_error *error)
{
        struct uplink_list_noted *entries __attribute__((cleanup(free_noted))) = NULL;
        int r = make_note(list, macs, wanted, &entries);

        if (r < 0 || is_as_noted(list, entries, macs->count))
                return r;
        r = write_file(list, entries, macs->count, error);
        if (r < 0)
                return r;
        free(list->noted);
        list->noted = entries;
        entries = NULL;
        list->noted_count = macs->count;
        list->has_note = macs->count > 0;
        snprintf(list->noted_name, sizeof(list->noted_name), "%s", list->name);
        return 0;
}

static int take_noted(struct uplink_list *list, json_t *macs)
{
        const char *text;
        json_t *port;

        list->noted = calloc(json_object_size(macs) + 1, sizeof(*list->noted));
        if (!list->noted)
                return -ENOMEM;
        json_object_foreach (macs, text, port) {
                struct uplink_list_noted *noted = &list->noted[list->noted_count];

                if (vswitch_mac_parse(text, &noted->mac) < 0)
                        continue;
                noted->port = (int) json_integer_value(port);
                list->noted_count++;
                if (mac_list_add(&list->ours, &noted->mac) < 0)
                        return -ENOMEM;
        }
        if (list->noted_count > 0)
                qsort(list->noted, list->noted_count, sizeof(*list->noted), compare_noted);
        return 0;
}

static int read_note(struct uplink_list *list, struct vswitch_error *error)
{
        char path[sizeof(list->directory) + IF_NAMESIZE + 8];
        json_auto_t *json = NULL;
        json_error_t json_error;
        int version, ifindex;
        const char *name;
        json_t *macs;
        char file[16];

        snprintf(path, sizeof(path), "%s/%s.json", list->directory, file_name(list->ifindex, file));
        json = json_load_file(path, JSON_REJECT_DUPLICATES, &json_error);
        if (!json && json_error_code(&json_error) == json_error_cannot_open_file)
                return 0;
        list->has_note = true;
        if (!json || json_unpack(json, "{s:i, s:s, s:i, s:o}", "version", &version, "pf", &name, "ifindex", &ifindex,
                                 "macs", &macs) < 0)
                return vswitch_error_set(error, -EINVAL, "%s cannot be read; entries that it names count as foreign",
                                         path);
        if (version != NOTE_VERSION)
                return vswitch_error_set(error, -EPROTONOSUPPORT,
                                         "%s was written by another version of vswitchd; entries that it names count "
                                         "as foreign",
                                         path);
        if (ifindex != list->ifindex)
                return 0;
        snprintf(list->noted_name, sizeof(list->noted_name), "%s", name);
        return take_noted(list, macs);
}

int uplink_list_open(const char *directory, const char *name, int ifindex, struct uplink_list **ret,
                     struct vswitch_error *error)
{
        struct uplink_list *list = calloc(1, sizeof(*list));
        int r;

        *ret = list;
        if (!list)
                return -ENOMEM;
        snprintf(list->directory, sizeof(list->directory), "%s", directory);
        snprintf(list->name, sizeof(list->name), "%s", name);
        list->ifindex = ifindex;
        list->capacity = UPLINK_PLAN_NO_LIMIT;
        r = read_note(list, error);
        if (r < 0)
                list->ours.count = 0;
        return r;
}

int uplink_list_rename(struct uplink_list *list, const char *name, struct vswitch_error *error)
{
        int r = 0;

        snprintf(list->name, sizeof(list->name), "%s", name);
        if (list->noted_count > 0 && strcmp(list->noted_name, name) != 0)
                r = write_file(list, list->noted, list->noted_count, error);
        if (r == 0)
                snprintf(list->noted_name, sizeof(list->noted_name), "%s", name);
        return r;
}

void uplink_list_free(struct uplink_list *list)
{
        if (!list)
                return;
        mac_list_freep(&list->ours);
        free(list->noted);
        mac_list_freep(&list->told);
        free(list->left_out);
        free(list->crowd);
        free(list);
}

void uplink_list_disown(struct uplink_list *list, const struct vswitch_mac *mac)
{
        (void) mac_list_remove(&list->ours, mac);
}

/* ---- changes ---- */

static bool is_full_error(int r)
{
        return r == -ENOMEM || r == -ENOSPC;
}

/* Remembers the first error. */
static void fail(int *result, int r, struct vswitch_error *error, const struct vswitch_error *now)
{
        if (*result == 0 && error)
                *error = *now;
        if (*result == 0)
                *result = r;
}

/* How many writes may still be made. */
struct allowance {
        size_t writes, refusals;
};

/* Returns whether there is a next write; else the list is unfinished. */
static bool may_write(struct uplink_list *list, const struct allowance *allowance)
{
        list->unfinished |= allowance->writes == 0;
        return allowance->writes > 0 && allowance->refusals > 0;
}

static void count_write(struct allowance *allowance, int result)
{
        if (result < 0)
                allowance->refusals--;
        else
                allowance->writes--;
}

static int remove_some(struct uplink_list *list, struct pf *pf, const struct vswitch_mac *macs, size_t count,
                       struct allowance *allowance, struct vswitch_error *error)
{
        int result = 0;

        for (size_t i = 0; i < count && may_write(list, allowance); i++) {
                struct vswitch_error refusal = { 0 };
                char text[VSWITCH_MAC_TEXT_SIZE];
                int r = pf->driver->uplink_filter_remove(pf, &macs[i], &refusal);

                log_debug(list->name, "unlist %s", vswitch_mac_format(&macs[i], text));
                count_write(allowance, r);
                if (r < 0)
                        fail(&result, r, error, &refusal);
                else
                        (void) mac_list_remove(&list->ours, &macs[i]);
        }
        return result;
}

static int remove_all(struct uplink_list *list, struct pf *pf, const struct vswitch_mac *macs, size_t count,
                      struct vswitch_error *error)
{
        struct allowance any = { count, count };

        return count > 0 ? remove_some(list, pf, macs, count, &any, error) : 0;
}

/* -ENOSPC: the card was full after some of them. */
static int add_some(struct uplink_list *list, struct pf *pf, const struct vswitch_mac *macs, size_t count,
                    struct allowance *allowance, struct vswitch_error *error)
{
        int result = 0;

        for (size_t i = 0; i < count && may_write(list, allowance); i++) {
                struct vswitch_error refusal = { 0 };
                char text[VSWITCH_MAC_TEXT_SIZE];
                int r = pf->driver->uplink_filter_add(pf, &macs[i], &refusal);

                log_debug(list->name, "list %s", vswitch_mac_format(&macs[i], text));
                if (is_full_error(r))
                        return -ENOSPC;
                count_write(allowance, r);
                if (r == 0)
                        r = mac_list_add(&list->ours, &macs[i]);
                if (r < 0)
                        fail(&result, r, error, &refusal);
        }
        return result;
}

/* What is added takes the places of what was removed: only when all of that can be. */
static size_t count_adds(const struct uplink_list *list, const struct uplink_plan *plan)
{
        size_t most = plan->removes_count < WRITES_MAX ? WRITES_MAX - plan->removes_count : 0;

        if (most > 0 && list->refused_some)
                most += REFUSALS_MAX;
        return plan->adds_count < most ? plan->adds_count : most;
}

static int plan_note(const struct uplink_list *list, const struct uplink_plan *plan, struct mac_list *ret)
{
        size_t adds = count_adds(list, plan);
        int r = mac_list_copy(ret, &list->ours);

        for (size_t i = 0; r == 0 && i < adds; i++)
                r = mac_list_add(ret, &plan->adds[i]);
        return r;
}

/* Note, then write. */
static int carry_out(struct uplink_list *list, struct pf *pf, const struct uplink_plan_input *wanted,
                     const struct uplink_plan *plan, struct vswitch_error *error)
{
        struct mac_list planned __attribute__((cleanup(mac_list_freep))) = { 0 };
        struct allowance allowance = { WRITES_MAX, REFUSALS_MAX };
        size_t adds = count_adds(list, plan);
        struct vswitch_error second = { 0 };
        int result, r;

        r = plan_note(list, plan, &planned);
        if (r == 0 && adds > 0)
                r = write_note(list, &planned, wanted, error);
        result = remove_some(list, pf, plan->removes, plan->removes_count, &allowance, r < 0 ? NULL : error);
        if (r < 0)
                return r;
        allowance.refusals = REFUSALS_MAX;
        r = add_some(list, pf, plan->adds, adds, &allowance, result < 0 ? NULL : error);
        list->unfinished |= adds < plan->adds_count && allowance.writes == 0;
        list->refused_some = allowance.refusals < REFUSALS_MAX;
        if (r == -ENOSPC || result == 0)
                result = r;
        r = write_note(list, &list->ours, wanted, &second);
        if (r < 0)
                fail(&result, r, error, &second);
        return result;
}

static void keep_left_out(struct uplink_list *list, struct uplink_plan *plan)
{
        free(list->left_out);
        free(list->crowd);
        list->left_out = plan->left_out;
        list->left_out_count = plan->left_out_count;
        list->crowd = plan->crowd;
        list->crowd_count = plan->crowd_count;
        list->wanted = plan->wanted;
        list->foreign = plan->foreign;
        plan->left_out = NULL;
        plan->crowd = NULL;
}

/* The plan for the list as it is now; `ours` then names only what is really there. *ret_listed: how many are. */
static int plan_now(struct uplink_list *list, struct pf *pf, const struct uplink_plan_input *wanted,
                    struct uplink_plan *ret, size_t *ret_listed, struct vswitch_error *error)
{
        struct vswitch_mac *listed __attribute__((cleanup(free_macs))) = NULL;
        struct mac_list there __attribute__((cleanup(mac_list_freep))) = { 0 };
        struct uplink_plan_input input = *wanted;
        int r = pf->driver->uplink_filter_list(pf, &listed, ret_listed, error);

        for (size_t i = 0; r == 0 && i < *ret_listed; i++)
                if (mac_list_has(&list->ours, &listed[i]))
                        r = mac_list_add(&there, &listed[i]);
        if (r == 0)
                r = mac_list_copy(&list->ours, &there);
        if (r < 0)
                return r;
        if (list->refused_at && list->refused_count < input.capacity)
                input.capacity = list->refused_count;
        input.listed = listed;
        input.listed_count = *ret_listed;
        input.ours = list->ours.macs;
        input.ours_count = list->ours.count;
        list->capacity = input.capacity;
        return uplink_plan_make(&input, ret);
}

static int learn_capacity(struct uplink_list *list, struct pf *pf, uint64_t now, struct vswitch_error *error)
{
        struct vswitch_mac *listed __attribute__((cleanup(free_macs))) = NULL;
        size_t count = 0;
        int r = pf->driver->uplink_filter_list(pf, &listed, &count, error);

        if (r < 0)
                return r;
        list->refused_count = (unsigned) count;
        list->refused_at = now > 0 ? now : 1;
        log_info(list->name, "the card takes no more than %zu addresses now", count);
        return 0;
}

int uplink_list_apply(struct uplink_list *list, struct pf *pf, const struct uplink_plan_input *wanted, uint64_t now,
                      struct vswitch_error *error)
{
        int r = 0;

        list->unfinished = false;
        if (list->refused_at && list->left_out_count > 0 && now >= list->refused_at + UPLINK_LIST_REFUSAL_HOLDS)
                list->refused_at = 0;
        for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
                struct uplink_plan plan __attribute__((cleanup(uplink_plan_release))) = { 0 };
                size_t listed = 0;

                r = plan_now(list, pf, wanted, &plan, &listed, error);
                if (r < 0)
                        return r;
                keep_left_out(list, &plan);
                list->unfinished = false;
                r = carry_out(list, pf, wanted, &plan, error);
                if (r != -ENOSPC)
                        return r;
                r = learn_capacity(list, pf, now, error);
                if (r < 0)
                        return r;
        }
        return vswitch_error_set(error, -EAGAIN, "the room in the unicast list of %s changes all the time", pf->name);
}

bool uplink_list_make_room(struct uplink_list *list, struct pf *pf, const struct uplink_plan_input *wanted,
                           bool is_full, uint64_t now)
{
        struct uplink_plan plan __attribute__((cleanup(uplink_plan_release))) = { 0 };
        struct vswitch_error error = { 0 };
        size_t before, listed = 0;
        int r = is_full ? learn_capacity(list, pf, now, &error) : 0;

        if (r == 0)
                r = plan_now(list, pf, wanted, &plan, &listed, &error);
        if (r == 0 && listed < list->capacity)
                return false;
        before = list->ours.count;
        if (r == 0)
                r = remove_all(list, pf, plan.removes, plan.removes_count, &error);
        if (r == 0)
                r = write_note(list, &list->ours, wanted, &error);
        if (r < 0)
                log_warning(list->name, "%s", vswitch_error_text(&error, r));
        return list->ours.count < before;
}

int uplink_list_remove(struct uplink_list *list, struct pf *pf, const struct mac_list *macs,
                       struct vswitch_error *error)
{
        struct mac_list leaving __attribute__((cleanup(mac_list_freep))) = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < macs->count; i++)
                if (mac_list_has(&list->ours, &macs->macs[i]))
                        r = mac_list_add(&leaving, &macs->macs[i]);
        if (r == 0)
                r = remove_all(list, pf, leaving.macs, leaving.count, error);
        return r < 0 ? r : write_note(list, &list->ours, NULL, error);
}

/* ---- news ---- */

static bool is_as_told(const struct uplink_list *list)
{
        if (list->told.count != list->left_out_count)
                return false;
        for (size_t i = 0; i < list->left_out_count; i++)
                if (!mac_list_has(&list->told, &list->left_out[i].mac))
                        return false;
        return true;
}

static void name_left_out(const struct uplink_list *list, char *text, size_t size)
{
        size_t length = 0;

        text[0] = '\0';
        for (size_t i = 0; i < list->left_out_count && i < NAMED_MAX && length < size; i++) {
                const struct uplink_plan_candidate *candidate = &list->left_out[i];
                char mac[VSWITCH_MAC_TEXT_SIZE], port[VSWITCH_LINK_TEXT_SIZE];

                length += (size_t) snprintf(text + length, size - length, "%s%s (%s, %s)", i > 0 ? ", " : "",
                                            vswitch_mac_format(&candidate->mac, mac),
                                            uplink_plan_class_to_string(candidate->class),
                                            vswitch_link_describe(candidate->port, port));
        }
        if (list->left_out_count > NAMED_MAX && length < size)
                snprintf(text + length, size - length, " and %zu more", list->left_out_count - NAMED_MAX);
}

uint64_t uplink_list_news_at(const struct uplink_list *list)
{
        return is_as_told(list) ? UINT64_MAX : list->told_at + NEWS_PAUSE;
}

bool uplink_list_news(struct uplink_list *list, const char *bridge, uint64_t now, bool *ret_is_bad, char *text,
                      size_t size)
{
        char names[400];

        if (is_as_told(list) || (list->told.count > 0 && list->left_out_count > 0 && now < list->told_at + NEWS_PAUSE))
                return false;
        list->told_at = now;
        list->told.count = 0;
        for (size_t i = 0; i < list->left_out_count; i++)
                (void) mac_list_add(&list->told, &list->left_out[i].mac);
        *ret_is_bad = list->left_out_count > 0;
        if (!*ret_is_bad) {
                snprintf(text, size, "all %zu addresses behind %s fit into its unicast list again", list->wanted,
                         bridge);
                return true;
        }
        name_left_out(list, names, sizeof(names));
        snprintf(text, size,
                 "its unicast list has room for %u addresses (%zu are others'), so %zu of the %zu behind %s are left "
                 "out and cannot be reached from its VFs: %s. What helps: fewer guests and containers on this bridge, "
                 "a VF for those guests that can have one, and removing what others listed (bridge fdb show dev %s)",
                 list->capacity, list->foreign, list->left_out_count, list->wanted, bridge, names, list->name);
        return true;
}
