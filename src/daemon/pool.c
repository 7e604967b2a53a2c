/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VFs as a stock.
 *
 * Theory of operation
 *
 * The number. A PF's number of VFs can only be changed by way of 0, so it is refused while any VF is in use, by
 * whomever. Between that look and the end of the change, which a worker thread makes, no VF of this PF is given out
 * (pool_is_changing). The worker has an instance of the PF of its own: the switch's may be dropped meanwhile, when the
 * PF's netdev goes. A number that is to be kept is written to disk by the worker after it worked, and made again when
 * the PF is taken into use and has no VF at all: then nobody else has made any. VFs that somebody made (a udev rule,
 * the driver's module parameter) stay as they are, and so does the setting that lets host drivers take them.
 *
 * That setting (sriov_drivers_autoprobe) is switched off before VFs are made. Who found it on, and switched it off, notes
 * that before, so that it is on again when there are 0 VFs, whichever vswitchd does that. Who found it off leaves it.
 *
 * Reservations for a probe live as long as the connection of who asked, so a probe that is killed leaves none.
 *
 * VFs that come and go show in the kernel's device events only: without a host driver they have no netdev. A burst of
 * events (64 VFs are some 400) makes one look, a tenth of a second after its first.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "src/daemon/pool_state.h"

#include "vswitch/pf_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_DELAY (USEC_PER_SEC / 10)

/* Room for the users of VFs in a refusal. */
#define USERS_SIZE 320

/* A change of the number of a PF's VFs. While the worker runs it owns `pf` and reads the rest. */
struct change {
        TAILQ_ENTRY(change) entry;
        struct manager *manager;
        struct pf *pf; /* an instance of its own */
        unsigned count;
        bool started;
        bool keep;
        char *state_directory;   /* with `keep` */
        char *runtime_directory; /* where it is noted that autoprobe was on */
        control_done done;       /* NULL: nobody waits */
        void *token;
};

struct reservation {
        TAILQ_ENTRY(reservation) entry;
        uint64_t connection;
        char address[PF_ADDRESS_SIZE];
};

struct pool {
        struct manager *manager;
        TAILQ_HEAD(changes, change) changes;
        TAILQ_HEAD(reservations, reservation) reservations;
        int events; /* fd, or -1 */
        sd_event_source *events_source;
        sd_event_source *look_source;  /* one-shot, after a burst */
        sd_event_source *start_source; /* deferred: changes that were asked for before there were workers */
        bool look_scheduled;
        bool devices_changed; /* since the last look, VFs came or went, not only their drivers */
};

/* ---- PFs ---- */

static struct manager_pf *find_pf(struct manager *manager, const char *name, struct manager_switch **ret_switch,
                                  struct vswitch_error *error)
{
        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_pf *uplink = switches_find_pf(&manager->switches[i], name);

                if (uplink) {
                        *ret_switch = &manager->switches[i];
                        return uplink;
                }
        }
        vswitch_error_set(error, -ENOENT, "there is no PF %s beneath a switch of this host; see 'vswitch pf show'",
                          name);
        return NULL;
}

static bool is_same_pf(const struct pf *a, const struct pf *b)
{
        return a->address[0] ? strcmp(a->address, b->address) == 0 : strcmp(a->name, b->name) == 0;
}

bool pool_is_changing(const struct manager *manager, const struct pf *pf)
{
        const struct change *change;

        if (!manager->pool)
                return false;
        TAILQ_FOREACH (change, &manager->pool->changes, entry)
                if (is_same_pf(change->pf, pf))
                        return true;
        return false;
}

/* ---- the number of VFs ---- */

static void free_change(struct change *change)
{
        if (change->pf)
                change->pf->driver->close(change->pf);
        free(change->state_directory);
        free(change->runtime_directory);
        free(change);
}

/* Before VFs are made. */
static int note_autoprobe(const struct change *change, struct vswitch_error *error)
{
        bool is_on = false;

        if (change->pf->driver->read_autoprobe(change->pf, &is_on, NULL) < 0 || !is_on)
                return 0;
        return pool_state_note_autoprobe(change->runtime_directory, change->pf->address, error);
}

/* After a change: it is as it was, or is made so when there are no VFs any more. */
static int settle_autoprobe(const struct change *change, bool none_left, struct vswitch_error *error)
{
        bool is_on = false;
        int r;

        if (!pool_state_has_autoprobe(change->runtime_directory, change->pf->address))
                return 0;
        r = change->pf->driver->read_autoprobe(change->pf, &is_on, error);
        if (r == 0 && !is_on && none_left)
                r = change->pf->driver->set_autoprobe(change->pf, true, error);
        if (r < 0 || (!is_on && !none_left))
                return r;
        return pool_state_forget_autoprobe(change->runtime_directory, change->pf->address, error);
}

static int work_change(void *userdata, struct vswitch_error *error)
{
        struct change *change = userdata;
        int r = change->count > 0 ? note_autoprobe(change, error) : 0, settled;

        if (r < 0)
                return r;
        r = change->pf->driver->set_vf_count(change->pf, change->count, error);
        settled = settle_autoprobe(change, r == 0 && change->count == 0, r < 0 ? NULL : error);
        if (r == 0 && settled < 0)
                return vswitch_error_prefix(error, settled, "%s has %u VFs now, but new ones get no host driver",
                                            change->pf->name, change->count);
        if (r < 0 || !change->keep)
                return r;
        r = pool_state_write(change->state_directory, change->pf->address, change->count, error);
        return r < 0 ? vswitch_error_prefix(error, r, "%s has %u VFs now, but not after a reboot", change->pf->name,
                                            change->count)
                     : 0;
}

static void change_done(int result, const char *sentence, void *userdata)
{
        struct change *change = userdata;
        struct manager *manager = change->manager;
        char text[128];

        TAILQ_REMOVE(&manager->pool->changes, change, entry);
        if (result < 0) {
                log_warning(change->pf->name, "%s", sentence);
        } else {
                snprintf(text, sizeof(text), "it has %u VFs now%s", change->count,
                         !change->keep       ? ""
                         : change->count > 0 ? ", and after every boot"
                                             : ", and no number is kept any more");
                log_notice(change->pf->name, "%s", text);
                if (manager->control)
                        control_event(manager->control, "pf", change->pf->name, text);
        }
        (void) steering_reload(manager, change->pf->name, NULL); /* each VF may take the place of an uplink filter */
        if (change->done)
                change->done(result, result < 0 ? sentence : "", change->token);
        free_change(change);
        manager_all_dirty(manager, true);
}

/* On failure the change is the caller's still. */
static int start_change(struct change *change, struct vswitch_error *error)
{
        int r = guests_run(change->manager->guests, work_change, change_done, change);

        if (r < 0)
                return vswitch_error_set(error, r, "cannot change the number of VFs of %s: %s", change->pf->name,
                                         strerror(-r));
        change->started = true;
        return 0;
}

static int on_start(sd_event_source *source, void *userdata)
{
        struct pool *pool = userdata;
        struct change *change, *next;

        for (change = TAILQ_FIRST(&pool->changes); change; change = next) {
                struct vswitch_error error = { 0 };

                next = TAILQ_NEXT(change, entry);
                if (change->started || start_change(change, &error) == 0)
                        continue;
                log_warning(change->pf->name, "%s", error.text);
                TAILQ_REMOVE(&pool->changes, change, entry);
                free_change(change);
        }
        return 0;
}

static int new_change(struct manager *manager, const struct pf *pf, unsigned count, struct change **ret,
                      struct vswitch_error *error)
{
        struct change *change = calloc(1, sizeof(*change));
        int r;

        if (!change)
                return -ENOMEM;
        change->manager = manager;
        change->count = count;
        change->runtime_directory = strdup(manager->options.runtime_directory);
        r = change->runtime_directory ? manager->options.pf_driver->open(manager->netlink, pf->name, &change->pf, error)
                                      : -ENOMEM;
        if (r < 0) {
                free_change(change);
                return r;
        }
        *ret = change;
        return 0;
}

static int count_vfs(struct pf *pf, size_t *ret, struct vswitch_error *error)
{
        struct pf_vf *vfs = NULL;
        int r = pf->driver->list_vfs(pf, &vfs, ret, error);

        free(vfs);
        return r;
}

/* Adds "VF 1 (0000:01:10.2): g1/ua-net0" to `text`, while there is room. */
static void add_user(char *text, size_t size, const struct pf_vf *vf, const char *owner, unsigned *left_out)
{
        size_t length = strlen(text);
        int n = snprintf(text + length, size - length, "%sVF %u (%s): %s", length ? "; " : "", vf->index, vf->address,
                         owner);

        if (n < 0 || (size_t) n >= size - length) {
                text[length] = '\0';
                (*left_out)++;
        }
}

typedef bool (*vf_visitor)(const struct pf_vf *vf, enum vf_state state, const char *owner, void *userdata);

/* Calls `visit` for the PF's VFs from the last to the first, until it returns false. */
static int for_each_vf(struct manager_switch *nic_switch, struct pf *pf, vf_visitor visit, void *userdata,
                       struct vswitch_error *error)
{
        struct pf_vf_attributes *attributes = NULL;
        struct pf_vf *vfs = NULL;
        size_t count = 0, attributes_count = 0;
        int r = pf->driver->list_vfs(pf, &vfs, &count, error);

        if (r == 0)
                r = pf->driver->list_attributes(pf, &attributes, &attributes_count, error);
        for (size_t i = count; r == 0 && i > 0; i--) {
                static const struct pf_vf_attributes unknown;
                const struct pf_vf *vf = &vfs[i - 1];
                const struct pf_vf_attributes *present =
                        vf->index < attributes_count ? &attributes[vf->index] : &unknown;
                char owner[192];

                if (!visit(vf, vfs_state(nic_switch, vf, present, owner, sizeof(owner)), owner, userdata))
                        break;
        }
        free(attributes);
        free(vfs);
        return r;
}

struct users {
        char text[USERS_SIZE];
        unsigned count, left_out;
        unsigned wanted; /* VFs: the first ones are there again, under their addresses */
};

static bool collect_user(const struct pf_vf *vf, enum vf_state state, const char *owner, void *userdata)
{
        struct users *users = userdata;

        if (state != VF_FREE) {
                users->count++;
                add_user(users->text, sizeof(users->text), vf, owner, &users->left_out);
        }
        return true;
}

/* Who has a VF open, the worker looks itself; and a guest that is off loses none that comes back. */
static bool collect_loser(const struct pf_vf *vf, enum vf_state state, const char *owner, void *userdata)
{
        const struct users *users = userdata;

        if (state == VF_UNSEEN || (state == VF_NAMED && vf->index < users->wanted))
                return true;
        return collect_user(vf, state, owner, userdata);
}

static int refuse_while_in_use(struct manager_switch *nic_switch, struct pf *pf, unsigned count,
                               struct vswitch_error *error)
{
        struct users users = { .wanted = count };
        char more[32] = "";
        int r = for_each_vf(nic_switch, pf, collect_loser, &users, error);

        if (r < 0 || users.count == 0)
                return r;
        if (users.left_out > 0)
                snprintf(more, sizeof(more), "; and %u more", users.left_out);
        return vswitch_error_set(error, -EBUSY,
                                 "cannot make it %u VFs: the kernel would take away all that %s has first, and %u of "
                                 "them %s in use: %s%s",
                                 count, pf->name, users.count, users.count == 1 ? "is" : "are", users.text, more);
}

static int check_change(struct manager *manager, struct manager_switch *nic_switch, struct pf *pf, unsigned count,
                        bool keep, struct vswitch_error *error)
{
        size_t present = 0;
        int r;

        if (pf->total_vfs == 0)
                return vswitch_error_set(error, -EOPNOTSUPP, "%s has no SR-IOV", pf->name);
        if (count > pf->total_vfs)
                return vswitch_error_set(error, -ERANGE, "%s can have %u VFs at most, not %u", pf->name, pf->total_vfs,
                                         count);
        if (keep && !manager->options.state_directory)
                return vswitch_error_set(error, -EOPNOTSUPP, "this vswitchd has no directory to keep the number in");
        if (pool_is_changing(manager, pf))
                return vswitch_error_set(error, -EBUSY, "the number of VFs of %s is being changed already", pf->name);
        r = count_vfs(pf, &present, error);
        return r < 0 || present == count ? r : refuse_while_in_use(nic_switch, pf, count, error);
}

int pool_set_vfs(struct manager *manager, const char *pf, unsigned count, bool keep,
                 const struct control_caller *caller, control_done done, void *token, struct vswitch_error *error)
{
        struct manager_switch *nic_switch = NULL;
        struct manager_pf *uplink = find_pf(manager, pf, &nic_switch, error);
        struct change *change = NULL;
        int r;

        if (!uplink)
                return -ENOENT;
        r = check_change(manager, nic_switch, uplink->pf, count, keep, error);
        if (r == 0)
                r = new_change(manager, uplink->pf, count, &change, error);
        if (!change)
                return r;
        change->keep = keep;
        change->done = done;
        change->token = token;
        if (keep) {
                change->state_directory = strdup(manager->options.state_directory);
                r = change->state_directory ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = start_change(change, error);
        if (r < 0) {
                free_change(change);
                return r;
        }
        TAILQ_INSERT_TAIL(&manager->pool->changes, change, entry);
        log_notice(pf, "%u VFs%s asked by %s", count, keep ? " for good" : "", caller->description);
        return 0;
}

void pool_on_pf(struct manager_switch *nic_switch, struct manager_pf *uplink)
{
        struct manager *manager = nic_switch->manager;
        struct pf *pf = uplink->pf;
        struct vswitch_error error = { 0 };
        struct change *change = NULL;
        unsigned kept = 0;
        size_t present = 0;
        int r;

        if (!manager->options.state_directory || pf->address[0] == '\0' || pf->total_vfs == 0 ||
            pool_is_changing(manager, pf))
                return;
        r = pool_state_read(manager->options.state_directory, pf->address, &kept, &error);
        if (r == -ENOENT)
                return;
        if (r == 0)
                r = count_vfs(pf, &present, &error);
        if (r == 0 && present > 0) {
                if (present != kept)
                        log_notice(pf->name, "it has %zu VFs already, so it does not get the %u that are kept for it",
                                   present, kept);
                return;
        }
        if (r == 0)
                r = new_change(manager, pf, kept, &change, &error);
        if (!change) {
                log_warning(pf->name, "it does not get the VFs that are kept for it: %s",
                            vswitch_error_text(&error, r));
                return;
        }
        log_notice(pf->name, "it gets the %u VFs that are kept for it", kept);
        TAILQ_INSERT_TAIL(&manager->pool->changes, change, entry);
        sd_event_source_set_enabled(manager->pool->start_source, SD_EVENT_ONESHOT);
}

/* ---- reservations ---- */

bool pool_is_reserved(const struct manager *manager, const char *vf_address)
{
        const struct reservation *reservation;

        if (!manager->pool)
                return false;
        TAILQ_FOREACH (reservation, &manager->pool->reservations, entry)
                if (strcmp(reservation->address, vf_address) == 0)
                        return true;
        return false;
}

struct selection {
        char (*addresses)[PF_ADDRESS_SIZE];
        unsigned wanted, count;
        struct users users;
};

/* From the last VF on: guests get the first ones. */
static bool select_free(const struct pf_vf *vf, enum vf_state state, const char *owner, void *userdata)
{
        struct selection *selection = userdata;

        if (state == VF_FREE)
                memcpy(selection->addresses[selection->count++], vf->address, PF_ADDRESS_SIZE);
        else
                (void) collect_user(vf, state, owner, &selection->users);
        return selection->count < selection->wanted;
}

static int reserve_one(struct pool *pool, const char *address, uint64_t connection)
{
        struct reservation *reservation = calloc(1, sizeof(*reservation));

        if (!reservation)
                return -ENOMEM;
        reservation->connection = connection;
        memcpy(reservation->address, address, sizeof(reservation->address));
        TAILQ_INSERT_TAIL(&pool->reservations, reservation, entry);
        return 0;
}

static void drop_reservation(struct pool *pool, struct reservation *reservation)
{
        TAILQ_REMOVE(&pool->reservations, reservation, entry);
        free(reservation);
}

int pool_reserve(struct manager *manager, const char *pf, unsigned count, const struct control_caller *caller,
                 char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error)
{
        struct manager_switch *nic_switch = NULL;
        struct manager_pf *uplink = find_pf(manager, pf, &nic_switch, error);
        struct selection selection = { .addresses = ret_addresses, .wanted = count };
        int r = 0;

        if (!uplink)
                return -ENOENT;
        if (pool_is_changing(manager, uplink->pf))
                return vswitch_error_set(error, -EBUSY, "the number of VFs of %s is being changed", pf);
        if (count > 0)
                r = for_each_vf(nic_switch, uplink->pf, select_free, &selection, error);
        if (r < 0)
                return r;
        if (selection.count < count)
                return vswitch_error_set(error, -EBUSY, "%u free VF%s of %s needed, and there %s %u%s%s", count,
                                         count == 1 ? "" : "s", pf, selection.count == 1 ? "is" : "are",
                                         selection.count, selection.users.count ? "; in use: " : "",
                                         selection.users.text);
        for (unsigned i = 0; r == 0 && i < count; i++)
                r = reserve_one(manager->pool, ret_addresses[i], caller->connection);
        if (r < 0) {
                pool_caller_gone(manager, caller->connection);
                return r;
        }
        log_notice(pf, "%u VF%s set aside for %s", count, count == 1 ? "" : "s", caller->description);
        return 0;
}

void pool_caller_gone(struct manager *manager, uint64_t connection)
{
        struct reservation *reservation, *next;
        bool dropped = false;

        for (reservation = TAILQ_FIRST(&manager->pool->reservations); reservation; reservation = next) {
                next = TAILQ_NEXT(reservation, entry);
                if (reservation->connection != connection)
                        continue;
                drop_reservation(manager->pool, reservation);
                dropped = true;
        }
        if (dropped)
                manager_all_dirty(manager, false);
}

/* ---- VFs that come and go ---- */

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct pool *pool = userdata;

        manager_all_dirty(pool->manager, pool->devices_changed);
        pool->look_scheduled = false;
        pool->devices_changed = false;
        return 0;
}

static void look_soon(struct pool *pool, bool devices_changed)
{
        pool->devices_changed |= devices_changed;
        if (pool->look_scheduled)
                return;
        pool->look_scheduled = true;
        sd_event_source_set_time(pool->look_source, manager_now(pool->manager) + LOOK_DELAY);
        sd_event_source_set_enabled(pool->look_source, SD_EVENT_ONESHOT);
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct pool *pool = userdata;
        struct pf_event event;
        int r;

        while ((r = pf_events_read(fd, &event)) != -EAGAIN) {
                if (r == -ENOBUFS) {
                        look_soon(pool, true);
                } else if (r < 0) {
                        log_warning(NULL, "cannot read the kernel's device events any more: %s", strerror(-r));
                        sd_event_source_set_enabled(source, SD_EVENT_OFF);
                        break;
                } else if (r > 0) {
                        log_debug(event.address, "device event %d", event.kind);
                        look_soon(pool, event.kind == PF_EVENT_ADDED || event.kind == PF_EVENT_REMOVED);
                }
        }
        return 0;
}

/* ---- life ---- */

static int add_sources(struct pool *pool)
{
        int r = sd_event_add_defer(pool->manager->loop, &pool->start_source, on_start, pool);

        if (r >= 0)
                r = sd_event_source_set_enabled(pool->start_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(pool->manager->loop, &pool->look_source, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                                      on_look, pool);
        if (r >= 0)
                r = sd_event_source_set_enabled(pool->look_source, SD_EVENT_OFF);
        if (r >= 0 && pool->events >= 0)
                r = sd_event_add_io(pool->manager->loop, &pool->events_source, pool->events, EPOLLIN, on_events, pool);
        return r;
}

int pool_new(struct manager *manager, struct vswitch_error *error)
{
        struct pool *pool = calloc(1, sizeof(*pool));
        struct vswitch_error refusal = { 0 };
        int r;

        if (!pool)
                return -ENOMEM;
        manager->pool = pool;
        pool->manager = manager;
        pool->events = -1;
        TAILQ_INIT(&pool->changes);
        TAILQ_INIT(&pool->reservations);
        /* Without it NICs that wait for a VF look for one now and then. */
        if (pf_events_open(&pool->events, &refusal) < 0)
                log_warning(NULL, "%s; new VFs are noticed late", refusal.text);
        r = add_sources(pool);
        return r < 0 ? vswitch_error_set(error, r, "cannot set up the event loop: %s", strerror(-r)) : 0;
}

void pool_free(struct manager *manager)
{
        struct pool *pool = manager->pool;
        struct change *change;

        if (!pool)
                return;
        manager->pool = NULL;
        while ((change = TAILQ_FIRST(&pool->changes))) {
                TAILQ_REMOVE(&pool->changes, change, entry);
                if (change->done)
                        change->done(-ECANCELED, "vswitchd stops; the kernel may still be at it", change->token);
                /* A worker that has not come back goes on with it; see guests_free(). */
                if (!change->started)
                        free_change(change);
        }
        while (!TAILQ_EMPTY(&pool->reservations))
                drop_reservation(pool, TAILQ_FIRST(&pool->reservations));
        sd_event_source_unref(pool->events_source);
        sd_event_source_unref(pool->look_source);
        sd_event_source_unref(pool->start_source);
        if (pool->events >= 0)
                close(pool->events);
        free(pool);
}
