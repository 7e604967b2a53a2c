/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_guests.h"
#include "src/guests/guest_policy_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DOMAINS_MAX 64
#define KINDS       (FAKE_RUN + 1)

static uint64_t monotonic(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

uint64_t (*fake_guests_clock)(void) = monotonic;

/* Something that waits for its turn on the loop. */
struct delivery {
        struct delivery *next;
        enum { CONNECTION, LISTED, DEFINED, CHANGED, EVENT, ANSWER } kind;
        bool connected;
        bool all;
        char *sentence;
        struct guest **guests;
        size_t guests_count;
        struct guest_event event;
        guests_done done;
        guests_policy_done policy_done;
        char *live, *config;
        void *userdata;
        int result;
};

struct request {
        struct request *next;
        struct fake_request seen;
        char *text;
        guests_work work;
        guests_done done;
        guests_policy_done policy_done;
        struct guest_policy_wish wish; /* the texts of the changes are copies */
        void *userdata;
};

struct guests {
        sd_event_source *source;
        struct guests_callbacks callbacks;
        void *userdata;
        struct delivery *first;
        unsigned references;
};

/* The model. */
static struct guests *current;
static struct guest *domains[DOMAINS_MAX];
/* What each domain is written as. */
static struct {
        char uuid[GUEST_UUID_SIZE];
        char *name;
        char *live, *config; /* NULL: does not run; is transient */
} texts[DOMAINS_MAX];
/* QEMU remembers for its whole life what the VF of a NIC is called. */
static struct {
        char uuid[GUEST_UUID_SIZE], persistent[GUEST_ALIAS_SIZE], alias[GUEST_ALIAS_SIZE];
} primaries[DOMAINS_MAX];
static int last_id;
static bool is_up = true;
static char down_sentence[256];
static enum fake_unplug unplug_how;
static struct request *requests;
static struct request *abandoned, *forgotten; /* what is forgotten is never freed, nor what it points to */
static bool abandons_run;
static struct {
        bool hold;
        int result;
        char sentence[256];
        unsigned count;
} kinds[KINDS];
static unsigned refreshed;

/* A test that misuses the model, or has no memory left, ends at once; whether or not NDEBUG is set. */
static void require(bool condition)
{
        if (!condition)
                abort();
}

static void *must(void *pointer)
{
        require(pointer);
        return pointer;
}

static struct guest *copy(const struct guest *guest)
{
        struct guest *result = must(calloc(1, sizeof(*result)));

        *result = *guest;
        result->name = must(strdup(guest->name));
        result->nics = must(calloc(guest->nics_count + 1, sizeof(*result->nics)));
        if (guest->nics_count > 0)
                memcpy(result->nics, guest->nics, guest->nics_count * sizeof(*result->nics));
        result->vfs = must(calloc(guest->vfs_count + 1, sizeof(*result->vfs)));
        if (guest->vfs_count > 0)
                memcpy(result->vfs, guest->vfs, guest->vfs_count * sizeof(*result->vfs));
        return result;
}

/* Delivery */

static void delivery_free(struct delivery *delivery)
{
        for (size_t i = 0; i < delivery->guests_count; i++)
                guest_free(delivery->guests[i]);
        free(delivery->guests);
        free(delivery->sentence);
        free(delivery->live);
        free(delivery->config);
        free(delivery);
}

static void deliver_later(struct delivery *delivery)
{
        struct delivery **link = &current->first;

        while (*link)
                link = &(*link)->next;
        *link = delivery;
        require(sd_event_source_set_enabled(current->source, SD_EVENT_ONESHOT) >= 0);
}

static struct delivery *delivery_new(int kind)
{
        struct delivery *delivery = must(calloc(1, sizeof(*delivery)));

        delivery->kind = kind;
        return delivery;
}

static void post_connection(void)
{
        struct delivery *delivery = delivery_new(CONNECTION);

        delivery->connected = is_up;
        delivery->sentence = must(strdup(is_up ? "" : down_sentence));
        deliver_later(delivery);
}

/* What the domain in this place of texts[] is defined as, or all of them. */
static void post_defined(size_t place, bool all)
{
        struct delivery *delivery;

        if (!current || !is_up)
                return;
        delivery = delivery_new(DEFINED);
        delivery->all = all;
        delivery->guests = must(calloc(DOMAINS_MAX, sizeof(*delivery->guests)));
        for (size_t i = 0; i < DOMAINS_MAX; i++) {
                struct guest **guest = &delivery->guests[delivery->guests_count];

                if (!texts[i].uuid[0] || (all ? !texts[i].config : i != place))
                        continue;
                if (texts[i].config)
                        require(guest_parse_xml(texts[i].config, guest, NULL) == 0);
                else
                        *guest = must(calloc(1, sizeof(**guest)));
                snprintf((*guest)->uuid, sizeof((*guest)->uuid), "%s", texts[i].uuid);
                delivery->guests_count++;
        }
        deliver_later(delivery);
}

static void post_list(void)
{
        struct delivery *delivery = delivery_new(LISTED);

        post_defined(0, true);
        delivery->guests = must(calloc(DOMAINS_MAX, sizeof(*delivery->guests)));
        for (size_t i = 0; i < DOMAINS_MAX; i++)
                if (domains[i])
                        delivery->guests[delivery->guests_count++] = copy(domains[i]);
        deliver_later(delivery);
}

static void post_changed(const struct guest *guest)
{
        struct delivery *delivery;

        if (!current || !is_up)
                return;
        delivery = delivery_new(CHANGED);
        delivery->guests = must(calloc(1, sizeof(*delivery->guests)));
        delivery->guests[0] = copy(guest);
        delivery->guests_count = 1;
        deliver_later(delivery);
}

static void post_answer(guests_done done, void *userdata, int result, const char *sentence)
{
        struct delivery *delivery = delivery_new(ANSWER);

        delivery->done = done;
        delivery->userdata = userdata;
        delivery->result = result;
        delivery->sentence = must(strdup(sentence ? sentence : ""));
        deliver_later(delivery);
}

static void deliver(const struct guests *guests, struct delivery *delivery)
{
        const struct guests_callbacks *callbacks = &guests->callbacks;

        switch (delivery->kind) {
        case CONNECTION:
                if (callbacks->connection)
                        callbacks->connection(delivery->connected, delivery->sentence, guests->userdata);
                break;
        case LISTED:
                if (callbacks->listed)
                        callbacks->listed(delivery->guests, delivery->guests_count, guests->userdata);
                break;
        case DEFINED:
                if (callbacks->defined)
                        callbacks->defined(delivery->guests, delivery->guests_count, delivery->all, guests->userdata);
                break;
        case CHANGED:
                if (callbacks->changed)
                        callbacks->changed(&delivery->guests[0], guests->userdata);
                break;
        case EVENT:
                if (callbacks->event)
                        callbacks->event(&delivery->event, guests->userdata);
                break;
        case ANSWER:
                if (delivery->done)
                        delivery->done(delivery->result, delivery->sentence, delivery->userdata);
                if (delivery->policy_done)
                        delivery->policy_done(delivery->result, delivery->sentence, delivery->live, delivery->config,
                                              delivery->userdata);
                break;
        }
}

static void guests_unref(struct guests *guests)
{
        if (--guests->references == 0)
                free(guests);
}

/* One at a time, so that a test sees the loop between any two. */
static int on_defer(sd_event_source *source, void *userdata)
{
        struct guests *guests = userdata;
        struct delivery *delivery = guests->first;

        if (delivery) {
                guests->first = delivery->next;
                guests->references++; /* a callback may free it */
                deliver(guests, delivery);
                delivery_free(delivery);
                if (guests == current && guests->first)
                        require(sd_event_source_set_enabled(guests->source, SD_EVENT_ONESHOT) >= 0);
                guests_unref(guests);
        }
        return 0;
}

void fake_guests_settle(sd_event *loop)
{
        do
                while (sd_event_run(loop, 0) > 0)
                        ;
        while (current && current->first);
}

/* Domains */

static struct guest **slot(const char *uuid)
{
        for (size_t i = 0; i < DOMAINS_MAX; i++)
                if (domains[i] && strcmp(domains[i]->uuid, uuid) == 0)
                        return &domains[i];
        return NULL;
}

const struct guest *fake_guests_find(const char *uuid)
{
        struct guest **guest = slot(uuid);

        return guest ? *guest : NULL;
}

const struct guest_vf *fake_guests_find_vf(const char *uuid, const char *alias)
{
        const struct guest *guest = fake_guests_find(uuid);

        for (size_t i = 0; guest && i < guest->vfs_count; i++)
                if (strcmp(guest->vfs[i].alias, alias) == 0)
                        return &guest->vfs[i];
        return NULL;
}

void fake_guests_emit(const char *uuid, enum guest_event_kind kind, const char *alias, const char *detail)
{
        struct delivery *delivery;

        if (!current || !is_up)
                return; /* nobody hears it, now or later */
        delivery = delivery_new(EVENT);
        delivery->event.kind = kind;
        delivery->event.usec = fake_guests_clock();
        snprintf(delivery->event.uuid, sizeof(delivery->event.uuid), "%s", uuid);
        snprintf(delivery->event.alias, sizeof(delivery->event.alias), "%s", alias ? alias : "");
        snprintf(delivery->event.detail, sizeof(delivery->event.detail), "%s", detail ? detail : "");
        deliver_later(delivery);
}

/* The place of a domain's texts: that which it has, or a new one. */
static size_t texts_of(const struct guest *guest)
{
        size_t place = 0;

        while (texts[place].uuid[0] && strcmp(texts[place].uuid, guest->uuid) != 0)
                require(++place < DOMAINS_MAX);
        snprintf(texts[place].uuid, sizeof(texts[place].uuid), "%s", guest->uuid);
        free(texts[place].name);
        texts[place].name = must(strdup(guest->name));
        return place;
}

static void forget_primaries(const char *uuid)
{
        for (size_t i = 0; i < DOMAINS_MAX; i++)
                if (strcmp(primaries[i].uuid, uuid) == 0)
                        primaries[i].uuid[0] = '\0';
}

/* False: QEMU knows it by another name. */
static bool take_primary(const char *uuid, const struct guest_vf *vf)
{
        size_t place = 0;

        if (!vf->persistent[0])
                return true;
        for (size_t i = 0; i < DOMAINS_MAX; i++)
                if (strcmp(primaries[i].uuid, uuid) == 0 && strcmp(primaries[i].persistent, vf->persistent) == 0)
                        return strcmp(primaries[i].alias, vf->alias) == 0;
        while (primaries[place].uuid[0])
                require(++place < DOMAINS_MAX);
        snprintf(primaries[place].uuid, sizeof(primaries[place].uuid), "%s", uuid);
        snprintf(primaries[place].persistent, sizeof(primaries[place].persistent), "%s", vf->persistent);
        snprintf(primaries[place].alias, sizeof(primaries[place].alias), "%s", vf->alias);
        return true;
}

static void post_off(const char *uuid, const char *name)
{
        struct guest off = { .name = (char *) name, .state = GUEST_OFF };

        snprintf(off.uuid, sizeof(off.uuid), "%s", uuid);
        post_changed(&off);
}

static void set_text(char **text, const char *xml)
{
        char *copied = must(strdup(xml));

        free(*text);
        *text = copied;
}

void fake_guests_define(const char *xml)
{
        struct guest *parsed = NULL;
        size_t place;

        require(guest_parse_xml(xml, &parsed, NULL) == 0);
        place = texts_of(parsed);
        set_text(&texts[place].config, xml);
        fake_guests_emit(parsed->uuid, GUEST_EVENT_LIFECYCLE, NULL, "defined/updated");
        post_defined(place, false);
        if (slot(parsed->uuid))
                post_changed(*slot(parsed->uuid));
        else
                post_off(parsed->uuid, parsed->name);
        guest_free(parsed);
}

void fake_guests_undefine(const char *uuid)
{
        size_t place = 0;

        while (strcmp(texts[place].uuid, uuid) != 0)
                require(++place < DOMAINS_MAX);
        free(texts[place].config);
        texts[place].config = NULL;
        fake_guests_emit(uuid, GUEST_EVENT_LIFECYCLE, NULL, "undefined/removed");
        post_defined(place, false);
        if (!slot(uuid))
                post_off(uuid, texts[place].name);
}

const char *fake_guests_xml(const char *uuid, bool config)
{
        for (size_t i = 0; i < DOMAINS_MAX; i++)
                if (strcmp(texts[i].uuid, uuid) == 0)
                        return config ? texts[i].config : texts[i].live;
        return NULL;
}

static void start(const char *xml, enum guest_state state, const char *detail)
{
        struct vswitch_error error = { 0 };
        struct guest *parsed = NULL, *guest, **place;

        if (guest_parse_xml(xml, &parsed, &error) < 0) {
                fprintf(stderr, "fake_guests_start: %s\n", error.text);
                abort();
        }
        guest = copy(parsed);
        guest_free(parsed);
        guest->id = ++last_id;
        guest->state = state;
        forget_primaries(guest->uuid);
        for (size_t i = 0; i < guest->vfs_count; i++)
                (void) take_primary(guest->uuid, &guest->vfs[i]);
        place = slot(guest->uuid);
        if (place)
                guest_free(*place);
        else
                for (place = domains; *place; place++)
                        require(place < &domains[DOMAINS_MAX - 1]);
        *place = guest;
        set_text(&texts[texts_of(guest)].live, xml);
        fake_guests_emit(guest->uuid, GUEST_EVENT_LIFECYCLE, NULL, detail);
        post_changed(guest);
}

void fake_guests_start(const char *xml, enum guest_state state)
{
        start(xml, state, state == GUEST_INCOMING ? "started/migrated" : "started/booted");
}

void fake_guests_restore(const char *xml, enum guest_state state)
{
        struct guest *parsed = NULL;

        require(guest_parse_xml(xml, &parsed, NULL) == 0);
        for (size_t i = 0; i < parsed->nics_count; i++)
                if (parsed->nics[i].teaming_persistent)
                        fake_guests_emit(parsed->uuid, GUEST_EVENT_STANDBY_NEGOTIATED, parsed->nics[i].alias, NULL);
        guest_free(parsed);
        start(xml, state, "started/restored");
}

void fake_guests_set_state(const char *uuid, enum guest_state state, bool outgoing)
{
        struct guest **guest = must(slot(uuid));

        (*guest)->state = state;
        (*guest)->outgoing = outgoing;
        post_changed(*guest);
}

void fake_guests_edit(const char *xml)
{
        struct vswitch_error error = { 0 };
        struct guest *parsed = NULL, *guest, **place;

        if (guest_parse_xml(xml, &parsed, &error) < 0) {
                fprintf(stderr, "fake_guests_edit: %s\n", error.text);
                abort();
        }
        place = must(slot(parsed->uuid));
        guest = copy(*place);
        free(guest->nics);
        guest->nics = parsed->nics;
        guest->nics_count = parsed->nics_count;
        parsed->nics = NULL;
        parsed->nics_count = 0;
        guest_free(parsed);
        guest_free(*place);
        *place = guest;
        set_text(&texts[texts_of(guest)].live, xml);
        post_changed(guest);
}

void fake_guests_end(const char *uuid, const char *detail)
{
        struct guest **place = must(slot(uuid)), *guest = *place;
        char **live = &texts[texts_of(guest)].live;

        *place = NULL;
        free(*live);
        *live = NULL;
        fake_guests_emit(guest->uuid, GUEST_EVENT_LIFECYCLE, NULL, detail);
        post_off(guest->uuid, guest->name);
        guest_free(guest);
}

bool fake_guests_unplug(const char *uuid, const char *alias)
{
        struct guest **place = slot(uuid), *guest = place ? *place : NULL;
        struct guest_vf *vf = (struct guest_vf *) fake_guests_find_vf(uuid, alias);
        char name[GUEST_ALIAS_SIZE];

        if (!vf)
                return false;
        snprintf(name, sizeof(name), "%s", alias);
        memmove(vf, vf + 1, (size_t) (&guest->vfs[guest->vfs_count] - (vf + 1)) * sizeof(*vf));
        guest->vfs_count--;
        guest->free_root_ports++;
        fake_guests_emit(uuid, GUEST_EVENT_DEVICE_REMOVED, name, NULL);
        post_changed(guest);
        return true;
}

void fake_guests_set_unplug(enum fake_unplug how)
{
        unplug_how = how;
}

/* Requests */

static int attach(const char *uuid, const char *xml, char **ret_sentence)
{
        struct guest **place = slot(uuid), *guest, *parsed = NULL;
        struct vswitch_error error = { 0 };
        const char *sentence = NULL;
        char *domain = NULL;
        int r = 0;

        if (!place) {
                *ret_sentence = must(strdup("Domain not found"));
                return -ENOENT;
        }
        guest = *place;
        require(asprintf(&domain, "<domain><name>x</name><devices>%s</devices></domain>", xml) >= 0);
        if (guest_parse_xml(domain, &parsed, &error) < 0 || parsed->vfs_count != 1) {
                r = -EINVAL;
                sentence = "XML error: no PCI device in it";
        } else if (!parsed->vfs[0].alias[0] && fake_guests_find_vf(uuid, "hostdev0")) {
                r = -EINVAL;
                sentence = "the model gives out one alias only";
        } else if (fake_guests_find_vf(uuid, parsed->vfs[0].alias)) {
                r = -EIO;
                sentence = "QEMU: Duplicate device ID";
        } else if (guest->free_root_ports == 0) {
                r = -EIO;
                sentence = "internal error: No more available PCI slots";
        }
        for (size_t i = 0; r == 0 && i < DOMAINS_MAX; i++)
                for (size_t j = 0; domains[i] && j < domains[i]->vfs_count; j++)
                        if (strcmp(domains[i]->vfs[j].address, parsed->vfs[0].address) == 0) {
                                r = -EINVAL;
                                sentence = "Requested operation is not valid: PCI device is in use";
                        }
        if (r == 0 && !parsed->vfs[0].alias[0])
                snprintf(parsed->vfs[0].alias, sizeof(parsed->vfs[0].alias), "hostdev0");
        if (r == 0 && !take_primary(uuid, &parsed->vfs[0])) {
                r = -EIO;
                sentence = "internal error: unable to execute QEMU command 'device_add': Cannot attach more than one "
                           "primary device to 'ua-net0'";
        }
        if (r == 0) {
                guest->vfs = must(realloc(guest->vfs, (guest->vfs_count + 2) * sizeof(*guest->vfs)));
                guest->vfs[guest->vfs_count++] = parsed->vfs[0];
                guest->free_root_ports--;
        } else
                *ret_sentence = must(strdup(sentence));
        guest_free(parsed);
        free(domain);
        return r;
}

/* The XML with `policy` instead of the one of ours that it has. */
static char *with_policy(const char *xml, const char *policy)
{
        const char *old = strstr(xml, "<vswitch:policy"), *end = old ? strstr(old, "</vswitch:policy>") : NULL;
        const char *place = strstr(xml, "<metadata>");
        char *result = NULL;

        if (old) {
                end = end ? end + strlen("</vswitch:policy>") : must(strstr(old, "/>")) + strlen("/>");
                require(asprintf(&result, "%.*s%s%s", (int) (old - xml), xml, policy, end) >= 0);
        } else if (place) {
                place += strlen("<metadata>");
                require(asprintf(&result, "%.*s%s%s", (int) (place - xml), xml, policy, place) >= 0);
        } else {
                place = must(strstr(xml, "</uuid>")) + strlen("</uuid>");
                require(asprintf(&result, "%.*s<metadata>%s</metadata>%s", (int) (place - xml), xml, policy, place) >=
                        0);
        }
        return result;
}

/* What METADATA_CHANGE makes of a running guest: it is read again. */
static void change_policy(size_t place, const struct guest_policy_plan *plan)
{
        if (plan->config.changed) {
                char *xml = with_policy(texts[place].config, plan->config.text);

                free(texts[place].config);
                texts[place].config = xml;
        }
        if (plan->live.changed) {
                char *xml = with_policy(texts[place].live, plan->live.text);

                fake_guests_edit(xml);
                free(xml);
        }
}

static void carry_out_policy(struct request *request, int result, const char *sentence)
{
        struct delivery *delivery = delivery_new(ANSWER);
        struct guest_policy_plan plan = { 0 };
        struct vswitch_error error = { 0 };
        size_t place = 0;

        while (place < DOMAINS_MAX && strcmp(texts[place].uuid, request->seen.uuid) != 0 &&
               (!texts[place].name || strcmp(texts[place].name, request->seen.uuid) != 0))
                place++;
        if (result == 0 && place == DOMAINS_MAX)
                result = vswitch_error_set(&error, -ENOENT, "Domain not found");
        if (result == 0)
                result = guest_policy_make_plan(texts[place].live, texts[place].config, &request->wish, &plan, &error);
        if (result == 0 && !(request->wish.flags & GUEST_SET_DRY_RUN))
                change_policy(place, &plan);
        delivery->policy_done = request->policy_done;
        delivery->userdata = request->userdata;
        delivery->result = result;
        delivery->sentence = must(strdup(error.text[0] ? error.text : result < 0 ? sentence : plan.note));
        delivery->live = plan.live.text;
        delivery->config = plan.config.text;
        plan.live.text = plan.config.text = NULL;
        guest_policy_plan_clear(&plan);
        deliver_later(delivery);
}

/* Carries it out, or lets it fail with that result; the answer is posted, and what follows from it. */
static void carry_out(struct request *request, int result, const char *sentence)
{
        struct vswitch_error error = { 0 };
        char *own_sentence = NULL;
        const char *uuid = request->seen.uuid;

        if (request->seen.kind == FAKE_POLICY) {
                carry_out_policy(request, result, sentence ? sentence : "");
                return;
        }
        if (result == 0)
                switch (request->seen.kind) {
                case FAKE_POLICY:
                        break;
                case FAKE_ATTACH:
                        result = attach(uuid, request->text, &own_sentence);
                        break;
                case FAKE_DETACH:
                        if (!fake_guests_find_vf(uuid, request->text)) {
                                result = -ENOENT;
                                own_sentence = must(strdup("no device found with this alias"));
                        }
                        break;
                case FAKE_RUN:
                        result = request->work(request->userdata, &error);
                        if (result < 0)
                                own_sentence = must(strdup(error.text));
                        break;
                }
        post_answer(request->done, request->userdata, result, own_sentence ? own_sentence : sentence);
        if (result == 0 && request->seen.kind == FAKE_ATTACH)
                post_changed(fake_guests_find(uuid));
        if (result == 0 && request->seen.kind == FAKE_DETACH) {
                if (unplug_how == FAKE_UNPLUG_AT_ONCE)
                        fake_guests_unplug(uuid, request->text);
                else if (unplug_how == FAKE_UNPLUG_REFUSE)
                        fake_guests_emit(uuid, GUEST_EVENT_DEVICE_REMOVAL_FAILED, request->text, NULL);
        }
        free(own_sentence);
}

static void request_free(struct request *request)
{
        for (size_t i = 0; i < request->wish.changes_count; i++) {
                free((char *) request->wish.changes[i].key);
                free((char *) request->wish.changes[i].value);
        }
        free((struct guest_policy_change *) request->wish.changes);
        free(request->text);
        free(request);
}

static struct request *take(enum fake_request_kind kind)
{
        for (struct request **link = &requests; *link; link = &(*link)->next)
                if ((*link)->seen.kind == kind) {
                        struct request *request = *link;

                        *link = request->next;
                        return request;
                }
        return NULL;
}

const struct fake_request *fake_guests_pending(enum fake_request_kind kind)
{
        for (struct request *request = requests; request; request = request->next)
                if (request->seen.kind == kind)
                        return &request->seen;
        return NULL;
}

void fake_guests_answer(enum fake_request_kind kind, int result, const char *sentence)
{
        struct request *request = must(take(kind));

        carry_out(request, result, sentence);
        request_free(request);
}

void fake_guests_hold(enum fake_request_kind kind, bool hold)
{
        kinds[kind].hold = hold;
        while (!hold && fake_guests_pending(kind))
                fake_guests_answer(kind, kinds[kind].result, kinds[kind].sentence);
}

void fake_guests_fail(enum fake_request_kind kind, int result, const char *sentence)
{
        kinds[kind].result = result;
        snprintf(kinds[kind].sentence, sizeof(kinds[kind].sentence), "%s", sentence ? sentence : "");
}

void fake_guests_abandon_run(void)
{
        abandons_run = true;
}

void fake_guests_end_abandoned(void)
{
        while (abandoned) {
                struct request *request = abandoned;

                abandoned = request->next;
                (void) request->work(request->userdata, NULL);
                request->next = forgotten;
                forgotten = request;
        }
}

unsigned fake_guests_count(enum fake_request_kind kind)
{
        return kinds[kind].count;
}

unsigned fake_guests_refreshed(void)
{
        return refreshed;
}

static struct request *request_new(enum fake_request_kind kind, const char *domain, const char *text, void *userdata)
{
        struct request *request = must(calloc(1, sizeof(*request)));

        kinds[kind].count++;
        request->seen.kind = kind;
        snprintf(request->seen.uuid, sizeof(request->seen.uuid), "%s", domain ? domain : "");
        request->text = text ? must(strdup(text)) : NULL;
        request->seen.text = request->text;
        request->userdata = userdata;
        return request;
}

static void refuse(struct request *request, const char *sentence)
{
        if (request->seen.kind == FAKE_POLICY)
                carry_out_policy(request, -ENOTCONN, sentence);
        else
                post_answer(request->done, request->userdata, -ENOTCONN, sentence);
        request_free(request);
}

static int submit(struct guests *guests, struct request *request)
{
        enum fake_request_kind kind = request->seen.kind;
        struct request **link = &requests;

        if (guests != current) {
                request_free(request);
                return -ECANCELED;
        }
        if (kind != FAKE_RUN && !is_up) {
                refuse(request, "there is no connection to libvirt");
        } else if (kinds[kind].hold) {
                while (*link)
                        link = &(*link)->next;
                *link = request;
        } else {
                carry_out(request, kinds[kind].result, kinds[kind].sentence);
                request_free(request);
        }
        return 0;
}

/* The connection */

void fake_guests_down(const char *sentence)
{
        static const enum fake_request_kind of_libvirt[] = { FAKE_ATTACH, FAKE_DETACH, FAKE_POLICY };

        if (!is_up)
                return;
        is_up = false;
        snprintf(down_sentence, sizeof(down_sentence), "%s", sentence);
        if (!current)
                return;
        for (size_t i = 0; i < sizeof(of_libvirt) / sizeof(of_libvirt[0]); i++)
                for (struct request *request; (request = take(of_libvirt[i]));)
                        refuse(request, sentence);
        post_connection();
}

void fake_guests_up(void)
{
        if (is_up)
                return;
        is_up = true;
        if (!current)
                return;
        post_connection();
        post_list();
}

void fake_guests_reset(void)
{
        require(!current);
        for (size_t i = 0; i < DOMAINS_MAX; i++) {
                guest_free(domains[i]);
                domains[i] = NULL;
                free(texts[i].name);
                free(texts[i].live);
                free(texts[i].config);
        }
        memset(texts, 0, sizeof(texts));
        memset(primaries, 0, sizeof(primaries));
        last_id = 0;
        is_up = true;
        unplug_how = FAKE_UNPLUG_AT_ONCE;
        memset(kinds, 0, sizeof(kinds));
        abandons_run = false;
        refreshed = 0;
        fake_guests_clock = monotonic;
}

/* guests.h */

int guests_new(sd_event *loop, const char *uri, const struct guests_callbacks *callbacks, void *userdata,
               struct guests **ret, struct vswitch_error *error)
{
        struct guests *guests;
        int r;

        if (current)
                return vswitch_error_set(error, -EBUSY, "this process has a connection to libvirt already");
        guests = must(calloc(1, sizeof(*guests)));
        guests->references = 1;
        guests->callbacks = *callbacks;
        guests->userdata = userdata;
        r = sd_event_add_defer(loop, &guests->source, on_defer, guests);
        if (r < 0) {
                free(guests);
                return r;
        }
        current = guests;
        post_connection();
        if (is_up)
                post_list();
        *ret = guests;
        return 0;
}

void guests_free(struct guests *guests)
{
        struct delivery *delivery, *next;

        if (!guests)
                return;
        require(guests == current);
        current = NULL;
        guests->source = sd_event_source_disable_unref(guests->source);
        delivery = guests->first;
        guests->first = NULL;
        for (; delivery; delivery = next) {
                next = delivery->next;
                if (delivery->kind == ANSWER)
                        deliver(guests, delivery);
                delivery_free(delivery);
        }
        while (requests) {
                struct request *request = requests;

                requests = request->next;
                if (abandons_run && request->seen.kind == FAKE_RUN) {
                        request->next = abandoned;
                        abandoned = request;
                        continue;
                }
                if (request->done)
                        request->done(-ECANCELED, "the daemon ends", request->userdata);
                if (request->policy_done)
                        request->policy_done(-ECANCELED, "the daemon ends", NULL, NULL, request->userdata);
                request_free(request);
        }
        guests_unref(guests);
}

void guests_freep(struct guests **guests)
{
        guests_free(*guests);
}

int guests_attach(struct guests *guests, const char *uuid, const char *device_xml, guests_done done, void *userdata)
{
        struct request *request = request_new(FAKE_ATTACH, uuid, device_xml, userdata);

        request->done = done;
        return submit(guests, request);
}

int guests_detach(struct guests *guests, const char *uuid, const char *alias, guests_done done, void *userdata)
{
        struct request *request = request_new(FAKE_DETACH, uuid, alias, userdata);

        request->done = done;
        return submit(guests, request);
}

int guests_refresh(struct guests *guests, const char *uuid)
{
        struct guest **guest = slot(uuid);

        refreshed++;
        if (!is_up)
                return -ENOTCONN;
        if (guest)
                post_changed(*guest);
        else
                post_off(uuid, "");
        return 0;
}

int guests_run(struct guests *guests, guests_work work, guests_done done, void *userdata)
{
        struct request *request = request_new(FAKE_RUN, NULL, NULL, userdata);

        request->work = work;
        request->done = done;
        return submit(guests, request);
}

int guests_set_policy(struct guests *guests, const char *domain, const char *alias,
                      const struct guest_policy_change *changes, size_t changes_count, uint32_t flags,
                      guests_policy_done done, void *userdata)
{
        struct guest_policy_change *copies = must(calloc(changes_count + 1, sizeof(*copies)));
        struct request *request = request_new(FAKE_POLICY, domain, alias, userdata);

        for (size_t i = 0; i < changes_count; i++)
                copies[i] =
                        (struct guest_policy_change){ must(strdup(changes[i].key)), must(strdup(changes[i].value)) };
        request->wish = (struct guest_policy_wish){ request->text, copies, changes_count, flags };
        request->policy_done = done;
        return submit(guests, request);
}
