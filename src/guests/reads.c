/* SPDX-License-Identifier: Apache-2.0 */

/*
 * When domains are read, and what becomes of it (the order of things: private.h).
 *
 * Besides after events, a domain is read again now and then while a migration's job is known to go on: libvirt sends no
 * event when a job has ended that failed or was cancelled, and `outgoing` would stay for ever.
 *
 * What a domain is defined as (for its next start) is read when everything is listed, when libvirt tells that it was
 * defined or undefined, and when it has ended; never by the clock. Domains that are off are asked for theirs only then.
 */

#include "domain_read.h"
#include "guest.h"
#include "libvirt_error.h"
#include "private.h"

#include <errno.h>
#include <stdio.h>

#define DROPPED_MAX     4
#define POLL_ENDING     (UINT64_C(500) * 1000)
#define POLL_MIGRATION  (UINT64_C(5) * 1000 * 1000)
#define POLL_INCOMPLETE (UINT64_C(2) * 1000 * 1000)
#define LIST_AGAIN      (UINT64_C(1) * 1000 * 1000)

struct read_job {
        struct job job;
        uint64_t generation;
        char uuid[GUEST_UUID_SIZE]; /* "" for the list */
        bool is_poll;               /* only wants a read */
};

static struct domain *find_domain(struct guests *guests, const char *uuid)
{
        for (struct domain *domain = guests->domains; domain; domain = domain->next)
                if (strcmp(domain->uuid, uuid) == 0)
                        return domain;
        return NULL;
}

struct domain *guests_domain(struct guests *guests, const char *uuid)
{
        struct domain *domain = find_domain(guests, uuid);

        if (domain)
                return domain;
        domain = calloc(1, sizeof(*domain));
        if (!domain)
                return NULL;
        copy_name(domain->uuid, sizeof(domain->uuid), uuid);
        domain->next = guests->domains;
        guests->domains = domain;
        return domain;
}

static void forget_domain(struct guests *guests, struct domain *domain)
{
        for (struct domain **link = &guests->domains; *link; link = &(*link)->next)
                if (*link == domain) {
                        *link = domain->next;
                        break;
                }
        guest_free(domain->last);
        free(domain);
}

void guests_forget_domains(struct guests *guests)
{
        while (guests->domains)
                forget_domain(guests, guests->domains);
}

static void run_read(struct job *job, void *userdata);
static void run_list(struct job *job, void *userdata);

static bool submit(struct guests *guests, const char *uuid, bool is_poll, uint64_t not_before)
{
        struct read_job *read = calloc(1, sizeof(*read));

        if (!read)
                return false;
        read->generation = guests->generation;
        read->is_poll = is_poll;
        read->job.not_before = not_before;
        read->job.run = uuid ? run_read : run_list;
        if (uuid) {
                copy_name(read->uuid, sizeof(read->uuid), uuid);
                /* A planned read must not hold up one that is wanted now. */
                if (!is_poll)
                        copy_name(read->job.key, sizeof(read->job.key), uuid);
        }
        lane_submit(&guests->lanes[GUESTS_LANE_READ], &read->job);
        return true;
}

void guests_want_read(struct guests *guests, struct domain *domain)
{
        domain->dirty = true;
        if (!guests->listing && !domain->reading)
                domain->reading = submit(guests, domain->uuid, false, 0);
}

void guests_want_definition(struct guests *guests, struct domain *domain)
{
        domain->redefined = true;
        guests_want_read(guests, domain);
}

void guests_want_list(struct guests *guests, uint64_t not_before)
{
        guests->listing = submit(guests, NULL, false, not_before);
}

void guests_plan_read(struct guests *guests, struct domain *domain, uint64_t delay)
{
        uint64_t at = lane_now() + delay;

        if (domain->planned > 0 && domain->planned <= at)
                return;
        if (submit(guests, domain->uuid, true, at))
                domain->planned = at;
}

/* Makes the guest of a reading, with what the events have told until now, and plans when to look again. */
static struct guest *conclude(struct guests *guests, struct domain *domain, struct domain_reading *reading,
                              bool knew_job)
{
        struct guest *guest = reading->guest;
        /* The job's end is near, and no event will tell of it. */
        bool ends =
                domain->history.ending || (reading->job == GUEST_JOB_INCOMING && reading->state == VIR_DOMAIN_RUNNING);

        reading->guest = NULL;
        guest->state = guest_state_derive(reading->state, reading->reason, reading->has_process, reading->job,
                                          &domain->history);
        guest->outgoing = guest->state != GUEST_OFF && reading->job == GUEST_JOB_OUTGOING;
        domain->is_active = guest->state != GUEST_OFF;
        if (!domain->is_active) {
                /* A transient domain has taken its name with it. */
                if (guest->name[0] == '\0' && domain->last && domain->last->name) {
                        free(guest->name);
                        guest->name = TAKE_POINTER(domain->last->name);
                }
                return guest;
        }
        if (guest->incomplete && domain->last) {
                struct guest *known;

                if (guest_copy(domain->last, &known) >= 0) {
                        known->id = guest->id;
                        known->state = guest->state;
                        known->outgoing = guest->outgoing;
                        known->incomplete = true;
                        guest_free(guest);
                        guest = known;
                }
        } else if (!guest->incomplete) {
                guest_free(domain->last);
                if (guest_copy(guest, &domain->last) < 0)
                        domain->last = NULL;
        }

        if (reading->job == GUEST_JOB_OUTGOING && !knew_job && !ends)
                domain->history.outgoing = true;
        if (reading->job != GUEST_JOB_OUTGOING)
                domain->history.outgoing = false;
        if (!guest->incomplete && (reading->job == GUEST_JOB_OUTGOING || reading->job == GUEST_JOB_INCOMING))
                guests_plan_read(guests, domain, ends ? POLL_ENDING : POLL_MIGRATION);
        else if (guest->incomplete || reading->is_second_hand)
                guests_plan_read(guests, domain, POLL_INCOMPLETE);
        return guest;
}

static void post_changed(struct guests *guests, struct guest *guest)
{
        struct message *message = message_new(MESSAGE_CHANGED);

        if (message)
                message->guests = malloc(sizeof(*message->guests));
        if (!message || !message->guests) {
                message_free(message);
                guest_free(guest);
                return;
        }
        message->guests[0] = guest;
        message->guests_count = 1;
        queue_post(&guests->queue, message);
}

/* A definition that was read; takes it over. */
static void post_defined(struct guests *guests, struct guest *definition)
{
        struct message *message = message_new(MESSAGE_DEFINED);

        if (message)
                message->guests = malloc(sizeof(*message->guests));
        if (!message || !message->guests) {
                message_free(message);
                guest_free(definition);
                return;
        }
        message->guests[0] = definition;
        message->guests_count = 1;
        queue_post(&guests->queue, message);
}

static void run_poll(struct guests *guests, const struct read_job *read)
{
        LOCKED(&guests->lock);
        struct domain *domain = guests->generation == read->generation ? find_domain(guests, read->uuid) : NULL;

        if (!domain || domain->planned != read->job.not_before)
                return;
        domain->planned = 0;
        domain->history.outgoing = false; /* ask for the job this time */
        guests_want_read(guests, domain);
}

/* Not of a domain that libvirt is busy with: it would wait. False: to be tried again. */
static bool read_definition(const struct borrowed *borrowed, const char *uuid, const struct domain_reading *reading,
                            struct guest **ret)
{
        int r;

        if (reading->has_process && (reading->is_second_hand || reading->guest->incomplete))
                return false;
        r = domain_read_definition(borrowed->connection, uuid, ret, NULL);
        if (r < 0)
                guests_note_failure(borrowed);
        return r >= 0 || r == -EINVAL; /* what cannot be understood now, cannot be later */
}

static void run_read(struct job *job, void *userdata)
{
        struct read_job *read = (struct read_job *) job;
        struct guests *guests = userdata;
        _cleanup_(guests_give_backp) struct borrowed borrowed = { 0 };
        _cleanup_(domain_reading_clear) struct domain_reading reading = { 0 };
        _cleanup_(guest_freep) struct guest *definition = NULL;
        struct vswitch_error error = { 0 };
        struct domain *domain;
        bool knows_job, redefined;
        int r;

        if (read->is_poll) {
                run_poll(guests, read);
                return;
        }
        borrowed = guests_borrow(guests);
        {
                LOCKED(&guests->lock);

                domain = guests->generation == read->generation ? find_domain(guests, read->uuid) : NULL;
                if (!borrowed.connection || borrowed.generation != read->generation || !domain)
                        return;
                domain->dirty = false;
                redefined = domain->redefined;
                domain->redefined = false;
                knows_job = domain->history.outgoing;
        }
        r = domain_read(borrowed.connection, read->uuid, knows_job ? GUEST_JOB_OUTGOING : GUEST_JOB_UNKNOWN, &reading,
                        &error);
        if (r >= 0 && (redefined || !reading.has_process))
                redefined = !read_definition(&borrowed, read->uuid, &reading, &definition);
        if (r < 0)
                guests_note_failure(&borrowed);

        LOCKED(&guests->lock);

        domain = guests->generation == read->generation ? find_domain(guests, read->uuid) : NULL;
        if (!domain)
                return;
        domain->reading = false;
        domain->redefined |= redefined;
        if (definition)
                post_defined(guests, TAKE_POINTER(definition));
        if (redefined)
                guests_plan_read(guests, domain, POLL_INCOMPLETE);
        if (r < 0)
                guests_plan_read(guests, domain, POLL_INCOMPLETE);
        else if (domain->dirty && domain->dropped < DROPPED_MAX)
                domain->dropped++;
        else {
                struct guest *guest = conclude(guests, domain, &reading, knows_job);

                domain->dropped = 0;
                post_changed(guests, guest);
                if (!domain->is_active && !domain->dirty && !domain->redefined) {
                        forget_domain(guests, domain);
                        return;
                }
        }
        if (domain->dirty)
                guests_want_read(guests, domain);
}

/* Adds to the definitions; only those that name something. */
static int add_definition(struct message *definitions, struct guest *definition)
{
        struct guest **all;

        if (definition->vfs_count == 0) {
                guest_free(definition);
                return 0;
        }
        all = reallocarray(definitions->guests, definitions->guests_count + 1, sizeof(struct guest *));
        if (!all) {
                guest_free(definition);
                return -ENOMEM;
        }
        definitions->guests = all;
        definitions->guests[definitions->guests_count++] = definition;
        return 0;
}

/* Reads what the domains that are off are defined as. One that is gone meanwhile, or cannot be read, is passed over. */
static int list_definitions(virConnectPtr connection, struct message *definitions, struct vswitch_error *error)
{
        virDomainPtr *domains = NULL;
        int count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_INACTIVE), r = 0;

        if (count < 0)
                return libvirt_error_take(connection, error, "libvirt does not list its domains");
        for (int i = 0; i < count; i++) {
                char uuid[VIR_UUID_STRING_BUFLEN] = "";
                struct guest *definition = NULL;

                (void) virDomainGetUUIDString(domains[i], uuid);
                virDomainFree(domains[i]);
                if (r < 0)
                        continue;
                r = domain_read_definition(connection, uuid, &definition, error);
                if (r >= 0)
                        r = add_definition(definitions, definition);
                else if (r != -ENOTCONN)
                        r = 0;
        }
        free(domains);
        return r;
}

/* Reads all active domains into `message`, and what all domains are defined as into `definitions`. */
static int list(struct guests *guests, const struct borrowed *borrowed, uint64_t generation, struct message *message,
                struct message *definitions, struct vswitch_error *error)
{
        virConnectPtr connection = borrowed->connection;
        virDomainPtr *domains = NULL;
        int count, r = list_definitions(connection, definitions, error);

        if (r < 0)
                return r;
        count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
        if (count < 0)
                return libvirt_error_take(connection, error, "libvirt does not list its domains");
        message->guests = calloc((size_t) count + 1, sizeof(*message->guests));
        if (!message->guests)
                r = -ENOMEM;
        for (int i = 0; i < count; i++) {
                _cleanup_(domain_reading_clear) struct domain_reading reading = { 0 };
                char uuid[VIR_UUID_STRING_BUFLEN] = "";
                struct guest *definition = NULL;
                struct domain *domain;
                bool redefined;

                (void) virDomainGetUUIDString(domains[i], uuid);
                virDomainFree(domains[i]);
                if (r < 0)
                        continue;
                {
                        LOCKED(&guests->lock);

                        domain = guests->generation == generation ? guests_domain(guests, uuid) : NULL;
                        if (!domain) {
                                r = -ENOTCONN;
                                continue;
                        }
                        domain->dirty = false;
                }
                r = domain_read(connection, uuid, GUEST_JOB_UNKNOWN, &reading, error);
                if (r < 0)
                        continue;
                redefined = !read_definition(borrowed, uuid, &reading, &definition);
                if (definition)
                        r = add_definition(definitions, definition);
                if (r < 0)
                        continue;

                LOCKED(&guests->lock);

                domain = guests->generation == generation ? find_domain(guests, uuid) : NULL;
                if (!domain) {
                        r = -ENOTCONN;
                        continue;
                }
                domain->redefined |= redefined;
                if (!reading.has_process)
                        continue; /* it has ended since; who is not in the list is off */
                message->guests[message->guests_count] = conclude(guests, domain, &reading, false);
                message->guests_count++;
        }
        free(domains);
        return r;
}

static void run_list(struct job *job, void *userdata)
{
        struct read_job *read = (struct read_job *) job;
        struct guests *guests = userdata;
        _cleanup_(guests_give_backp) struct borrowed borrowed = guests_borrow(guests);
        _cleanup_(message_freep) struct message *message = message_new(MESSAGE_LISTED);
        _cleanup_(message_freep) struct message *definitions = message_new(MESSAGE_DEFINED);
        struct vswitch_error error = { 0 };
        int r = -ENOTCONN;

        if (!borrowed.connection || borrowed.generation != read->generation)
                return;
        r = message && definitions ? list(guests, &borrowed, read->generation, message, definitions, &error) : -ENOMEM;
        if (r < 0)
                guests_note_failure(&borrowed);

        LOCKED(&guests->lock);

        if (guests->generation != read->generation)
                return;
        guests->listing = false;
        if (r < 0) {
                guests_want_list(guests, lane_now() + LIST_AGAIN);
                return;
        }
        definitions->all = true;
        queue_post(&guests->queue, TAKE_POINTER(definitions));
        queue_post(&guests->queue, TAKE_POINTER(message));
        for (struct domain *domain = guests->domains, *next; domain; domain = next) {
                next = domain->next;
                if (domain->redefined)
                        guests_plan_read(guests, domain, POLL_INCOMPLETE);
                if (domain->dirty)
                        guests_want_read(guests, domain);
                else if (!domain->is_active)
                        forget_domain(guests, domain);
        }
}
