/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The connection half against libvirt's built-in test driver: no daemon, no QEMU. "test:///default" is one set of
 * domains for the whole process, so a second connection plays the operator.
 */

#include "src/guests/guests.h"
#include "src/guests/status_file.h"

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEST_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f" /* of the driver's own domain "test" */

static sd_event *loop;
static struct guests *guests;

/* What the callbacks saw. */
static bool connected;
static bool has_listed; /* since then */
static unsigned connections, losses, lists, changes, events;
static char sentence[512];
static struct {
        char uuid[GUEST_UUID_SIZE];
        enum guest_state state;
        int id;
        char name[64];
        unsigned weight;   /* of the first NIC's policy */
        bool weight_given; /* ... which says one */
} known[64];
static size_t known_count;
static struct guest_event seen[4096];
static int freshest_id; /* the highest id that an event has promised */
static atomic_int started_ids[4096];
static unsigned started_seen;

/* Stands before libvirt's own: makes reads slow, so that things happen while they are under way. */
static atomic_int xml_delay_ms;

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned flags)
{
        char *(*real)(virDomainPtr, unsigned) = (char *(*) (virDomainPtr, unsigned) ) dlsym(RTLD_NEXT, __func__);
        char *xml = real(domain, flags);
        int delay = atomic_load(&xml_delay_ms);

        nanosleep(&(struct timespec){ .tv_sec = delay / 1000, .tv_nsec = delay % 1000 * 1000000 }, NULL);
        return xml;
}

static void remember(const struct guest *guest)
{
        size_t i = 0;

        while (i < known_count && strcmp(known[i].uuid, guest->uuid) != 0)
                i++;
        if (i == known_count)
                ck_assert_uint_lt(known_count++, sizeof(known) / sizeof(known[0]));
        strcpy(known[i].uuid, guest->uuid);
        known[i].state = guest->state;
        known[i].id = guest->id;
        snprintf(known[i].name, sizeof(known[i].name), "%s", guest->name);
        known[i].weight_given = guest->nics_count > 0 && guest->nics[0].policy_given & GUEST_POLICY_WEIGHT;
        known[i].weight = known[i].weight_given ? guest->nics[0].policy.weight : 0;
}

/* The weight that the guest was last seen with; -1: none. */
static int weight_of(const char *uuid)
{
        for (size_t i = 0; i < known_count; i++)
                if (strcmp(known[i].uuid, uuid) == 0 && known[i].weight_given)
                        return (int) known[i].weight;
        return -1;
}

static enum guest_state state_of(const char *uuid)
{
        for (size_t i = 0; i < known_count; i++)
                if (strcmp(known[i].uuid, uuid) == 0)
                        return known[i].state;
        return GUEST_OFF;
}

static void on_connection(bool is_connected, const char *text, void *userdata)
{
        ck_assert_ptr_eq(userdata, &loop);
        connected = is_connected;
        has_listed = false;
        connections += is_connected;
        losses += !is_connected;
        snprintf(sentence, sizeof(sentence), "%s", text);
}

static void on_listed(struct guest **list, size_t count, void *userdata)
{
        ck_assert(connected);
        lists++;
        has_listed = true;
        known_count = 0;
        for (size_t i = 0; i < count; i++) {
                ck_assert_int_ne(list[i]->state, GUEST_OFF);
                remember(list[i]);
        }
        if (count > 0) {
                guest_free(list[0]); /* moved out */
                list[0] = NULL;
        }
}

static void on_changed(struct guest **guest, void *userdata)
{
        ck_assert(connected);
        ck_assert_uint_gt(lists, 0);
        changes++;
        /* Never older than what an event has told already. */
        if ((*guest)->state != GUEST_OFF && strcmp((*guest)->uuid, TEST_UUID) == 0)
                ck_assert_int_ge((*guest)->id, freshest_id);
        remember(*guest);
        guest_free(*guest);
        *guest = NULL;
}

static void on_event(const struct guest_event *event, void *userdata)
{
        if (events < sizeof(seen) / sizeof(seen[0]))
                seen[events] = *event;
        events++;
        if (strcmp(event->detail, "started/booted") == 0 && strcmp(event->uuid, TEST_UUID) == 0) {
                int id = atomic_load(&started_ids[started_seen++]);

                if (id > freshest_id)
                        freshest_id = id;
        }
}

/* Of each definition that names a device of the host: whose, and the first of those. */
static struct {
        char uuid[GUEST_UUID_SIZE];
        char name[64];
        char address[PF_ADDRESS_SIZE];
} defined[8];
static size_t defined_count;
static unsigned definitions_told;

static void on_defined(struct guest *const *definitions, size_t count, bool all, void *userdata)
{
        ck_assert(connected);
        ck_assert(all != has_listed); /* the first thing that is told of any domain */
        definitions_told++;
        defined_count = all ? 0 : defined_count;
        for (size_t i = 0; i < count; i++) {
                size_t place = 0;

                while (place < defined_count && strcmp(defined[place].uuid, definitions[i]->uuid) != 0)
                        place++;
                ck_assert_uint_lt(place, sizeof(defined) / sizeof(defined[0]));
                defined_count += place == defined_count;
                strcpy(defined[place].uuid, definitions[i]->uuid);
                snprintf(defined[place].name, sizeof(defined[place].name), "%s", definitions[i]->name);
                snprintf(defined[place].address, sizeof(defined[place].address), "%s",
                         definitions[i]->vfs_count > 0 ? definitions[i]->vfs[0].address : "");
        }
}

/* What the domain's definition names; NULL: nothing was told of it. */
static const char *named_by(const char *uuid)
{
        for (size_t i = 0; i < defined_count; i++)
                if (strcmp(defined[i].uuid, uuid) == 0)
                        return defined[i].address;
        return NULL;
}

static const struct guests_callbacks callbacks = {
        .connection = on_connection,
        .listed = on_listed,
        .defined = on_defined,
        .changed = on_changed,
        .event = on_event,
};

static uint64_t now_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void run_for(uint64_t usec)
{
        for (uint64_t until = now_usec() + usec; now_usec() < until;)
                ck_assert_int_ge(sd_event_run(loop, until - now_usec() > usec ? 0 : until - now_usec()), 0);
}

#define RUN_UNTIL(condition)                                                                                           \
        do {                                                                                                           \
                uint64_t until_ = now_usec() + UINT64_C(20) * 1000 * 1000;                                             \
                while (!(condition)) {                                                                                 \
                        ck_assert_msg(now_usec() < until_, "waited in vain for: %s", #condition);                      \
                        ck_assert_int_ge(sd_event_run(loop, 100 * 1000), 0);                                           \
                }                                                                                                      \
        } while (0)

static void make_loop(void)
{
        ck_assert_int_ge(sd_event_new(&loop), 0);
}

static void free_loop(void)
{
        loop = sd_event_unref(loop);
}

static void start(const char *uri)
{
        struct vswitch_error error = { 0 };
        int r = guests_new(loop, uri, &callbacks, &loop, &guests, &error);

        ck_assert_msg(r == 0, "%d %s", r, error.text);
}

static void stop(void)
{
        guests_free(guests);
        guests = NULL;
}

static bool has_seen(enum guest_event_kind kind, const char *detail)
{
        for (unsigned i = 0; i < events; i++)
                if (seen[i].kind == kind && strcmp(seen[i].detail, detail) == 0 && seen[i].usec > 0)
                        return true;
        return false;
}

START_TEST(lists_and_hears)
{
        virConnectPtr other_side;
        virDomainPtr domain;
        unsigned changes_before;

        start("test:///default");
        RUN_UNTIL(lists == 1);
        ck_assert_uint_eq(connections, 1);
        /* the test driver has no QEMU: that is said, and no more */
        ck_assert_ptr_nonnull(strstr(sentence, "QEMU's events"));
        ck_assert_uint_eq(known_count, 1);
        ck_assert_str_eq(known[0].name, "test");
        ck_assert_int_eq(state_of(TEST_UUID), GUEST_RUNNING);

        other_side = virConnectOpen("test:///default");
        domain = virDomainLookupByName(other_side, "test");
        ck_assert_int_eq(virDomainSuspend(domain), 0);
        RUN_UNTIL(state_of(TEST_UUID) == GUEST_PAUSED);
        ck_assert(has_seen(GUEST_EVENT_LIFECYCLE, "suspended/paused"));
        ck_assert_int_eq(virDomainResume(domain), 0);
        RUN_UNTIL(state_of(TEST_UUID) == GUEST_RUNNING);
        ck_assert(has_seen(GUEST_EVENT_LIFECYCLE, "resumed/unpaused"));
        ck_assert_int_eq(virDomainDestroy(domain), 0);
        RUN_UNTIL(state_of(TEST_UUID) == GUEST_OFF);
        ck_assert(has_seen(GUEST_EVENT_LIFECYCLE, "stopped/destroyed"));
        ck_assert_int_eq(virDomainCreate(domain), 0);
        RUN_UNTIL(state_of(TEST_UUID) == GUEST_RUNNING);

        changes_before = changes;
        ck_assert_int_eq(guests_refresh(guests, TEST_UUID), 0);
        RUN_UNTIL(changes > changes_before);
        ck_assert_int_eq(guests_refresh(guests, "00000000-1111-2222-3333-444444444444"), 0);
        RUN_UNTIL(changes > changes_before + 1);
        ck_assert_int_eq(guests_refresh(guests, "not a uuid"), -EINVAL);

        virDomainFree(domain);
        virConnectClose(other_side);
        stop();
}
END_TEST

static void write_status_file(const char *directory, const char *name)
{
        char new[128], path[128];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s.xml", directory, name);
        snprintf(new, sizeof(new), "%s.new", path);
        file = fopen(new, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_gt(fputs("<domstatus/>", file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(rename(new, path), 0);
}

START_TEST(reads_again_what_libvirt_has_written)
{
        char directory[] = "/tmp/vswitch-test-XXXXXX", command[128];
        unsigned changes_before;

        ck_assert_ptr_nonnull(mkdtemp(directory));
        status_file_directory = directory;
        start("test:///default");
        RUN_UNTIL(lists == 1);
        changes_before = changes;
        /* Of another domain, and what is not such a file: nobody's business. */
        write_status_file(directory, "tes");
        write_status_file(directory, "test2");
        /* Several in a row are one change. */
        for (int i = 0; i < 20; i++)
                write_status_file(directory, "test");
        RUN_UNTIL(changes > changes_before);
        ck_assert_uint_eq(changes, changes_before + 1);
        write_status_file(directory, "test");
        RUN_UNTIL(changes > changes_before + 1);
        ck_assert_uint_eq(changes, changes_before + 2);
        stop();
        snprintf(command, sizeof(command), "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(transient_domain_comes_and_goes)
{
        static const char xml[] =
                "<domain type='test'><name>g2</name><uuid>22222222-2222-2222-2222-222222222222</uuid>"
                "<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><interface type='bridge'>"
                "<mac address='52:54:00:12:34:56'/><source bridge='br0'/></interface></devices></domain>";
        virConnectPtr other_side;
        virDomainPtr domain;

        start("test:///default");
        RUN_UNTIL(lists == 1);
        other_side = virConnectOpen("test:///default");
        domain = virDomainCreateXML(other_side, xml, 0);
        ck_assert_ptr_nonnull(domain);
        RUN_UNTIL(state_of("22222222-2222-2222-2222-222222222222") == GUEST_RUNNING);
        ck_assert_int_eq(virDomainDestroy(domain), 0);
        RUN_UNTIL(state_of("22222222-2222-2222-2222-222222222222") == GUEST_OFF);
        virDomainFree(domain);
        virConnectClose(other_side);
        stop();
}
END_TEST

#define OFF_UUID "33333333-3333-3333-3333-333333333333"
#define OFF_XML(devices)                                                                                               \
        "<domain type='test'><name>g3</name><uuid>" OFF_UUID "</uuid><memory unit='MiB'>64</memory>"                   \
        "<os><type>hvm</type></os><devices>" devices "</devices></domain>"
#define OFF_VF(function)                                                                                               \
        "<hostdev mode='subsystem' type='pci' managed='yes'><source>"                                                  \
        "<address domain='0x0000' bus='0x01' slot='0x10' function='" function "'/></source></hostdev>"

static bool names(const char *uuid, const char *address)
{
        const char *named = named_by(uuid);

        return named && strcmp(named, address) == 0;
}

START_TEST(definitions_of_domains_that_are_off)
{
        virConnectPtr other_side = virConnectOpen("test:///default");
        virDomainPtr domain = virDomainDefineXML(other_side, OFF_XML(OFF_VF("0x0")));
        unsigned told;

        ck_assert_ptr_nonnull(domain);
        virDomainFree(domain);
        start("test:///default");
        RUN_UNTIL(lists == 1);
        /* Told before the guests, although it does not run; and only of those that name something. */
        ck_assert_uint_eq(definitions_told, 1);
        ck_assert_uint_eq(defined_count, 1);
        ck_assert(names(OFF_UUID, "0000:01:10.0"));
        ck_assert_str_eq(defined[0].name, "g3");

        /* It is edited, starts, is edited while it runs, and ends. */
        domain = virDomainDefineXML(other_side, OFF_XML(OFF_VF("0x2")));
        ck_assert_ptr_nonnull(domain);
        RUN_UNTIL(names(OFF_UUID, "0000:01:10.2"));
        ck_assert_int_eq(virDomainCreate(domain), 0);
        RUN_UNTIL(state_of(OFF_UUID) == GUEST_RUNNING);
        virDomainFree(domain);
        domain = virDomainDefineXML(other_side, OFF_XML(OFF_VF("0x4")));
        ck_assert_ptr_nonnull(domain);
        RUN_UNTIL(names(OFF_UUID, "0000:01:10.4"));
        ck_assert_int_eq(virDomainDestroy(domain), 0);
        RUN_UNTIL(state_of(OFF_UUID) == GUEST_OFF);
        ck_assert(names(OFF_UUID, "0000:01:10.4"));

        /* Nothing is read by the clock. */
        told = definitions_told;
        run_for(300 * 1000);
        ck_assert_uint_eq(definitions_told, told);

        ck_assert_int_eq(virDomainUndefine(domain), 0);
        RUN_UNTIL(names(OFF_UUID, ""));
        virDomainFree(domain);
        virConnectClose(other_side);
        stop();
}
END_TEST

/* A domain that runs when everything is listed: what it is defined as is not what it has. */
START_TEST(definition_of_a_domain_that_runs)
{
        virConnectPtr other_side = virConnectOpen("test:///default");
        virDomainPtr domain = virDomainDefineXML(other_side, OFF_XML(""));

        ck_assert_ptr_nonnull(domain);
        ck_assert_int_eq(virDomainCreate(domain), 0);
        virDomainFree(domain);
        domain = virDomainDefineXML(other_side, OFF_XML(OFF_VF("0x0")));
        ck_assert_ptr_nonnull(domain);
        start("test:///default");
        RUN_UNTIL(lists == 1);
        ck_assert_int_eq(state_of(OFF_UUID), GUEST_RUNNING);
        ck_assert(names(OFF_UUID, "0000:01:10.0"));

        /* Its definition goes, it runs on; then it is transient, and its end is all there is to tell. */
        ck_assert_int_eq(virDomainUndefine(domain), 0);
        RUN_UNTIL(names(OFF_UUID, ""));
        ck_assert_int_eq(state_of(OFF_UUID), GUEST_RUNNING);
        ck_assert_int_eq(virDomainDestroy(domain), 0);
        RUN_UNTIL(state_of(OFF_UUID) == GUEST_OFF);
        ck_assert(names(OFF_UUID, ""));
        virDomainFree(domain);
        virConnectClose(other_side);
        stop();
}
END_TEST

/* Requests. */
struct answer {
        unsigned times;
        int result;
        char sentence[512];
        pthread_t thread;
};

static void on_done(int result, const char *text, void *userdata)
{
        struct answer *answer = userdata;

        answer->times++;
        answer->result = result;
        answer->thread = pthread_self();
        snprintf(answer->sentence, sizeof(answer->sentence), "%s", text);
}

START_TEST(requests_are_answered_with_libvirts_words)
{
        struct answer attach = { 0 }, attach_nowhere = { 0 }, detach = { 0 }, detach_nowhere = { 0 };

        start("test:///default");
        RUN_UNTIL(lists == 1);
        ck_assert_int_eq(guests_attach(guests, TEST_UUID, "<hostdev/>", on_done, &attach), 0);
        ck_assert_int_eq(guests_attach(guests, "00000000-1111-2222-3333-444444444444", "<hostdev/>", on_done,
                                       &attach_nowhere),
                         0);
        ck_assert_int_eq(guests_detach(guests, TEST_UUID, "ua-vf0", on_done, &detach), 0);
        ck_assert_int_eq(guests_detach(guests, "00000000-1111-2222-3333-444444444444", "ua-vf0", on_done,
                                       &detach_nowhere),
                         0);
        ck_assert_uint_eq(attach.times, 0); /* never from inside the call */
        RUN_UNTIL(attach.times && attach_nowhere.times && detach.times && detach_nowhere.times);
        ck_assert_int_lt(attach.result, 0);
        ck_assert_int_lt(detach.result, 0);
        ck_assert_uint_gt(strlen(attach.sentence), 20);
        ck_assert_int_eq(attach_nowhere.result, -ENOENT);
        ck_assert_int_eq(detach_nowhere.result, -ENOENT);
        ck_assert_ptr_nonnull(strstr(detach_nowhere.sentence, "omain not found"));
        run_for(100 * 1000);
        ck_assert_uint_eq(attach.times + attach_nowhere.times + detach.times + detach_nowhere.times, 4);
        stop();
}
END_TEST

/* A NIC's policy in the domain's metadata. */

#define POLICY_UUID "44444444-4444-4444-4444-444444444444"
#define POLICY_XML                                                                                                     \
        "<domain type='test'><name>p1</name><uuid>" POLICY_UUID                                                        \
        "</uuid><metadata><app:a xmlns:app='urn:app'>b</app:a>"                                                        \
        "</metadata><memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><interface type='bridge'>"         \
        "<mac address='52:54:00:12:34:56'/><source bridge='br0'/><alias "                                              \
        "name='ua-net0'/></interface></devices></domain>"

struct policy_answer {
        unsigned times;
        int result;
        char sentence[512];
        char live[1024], config[1024]; /* "-": NULL */
};

static void on_policy(int result, const char *text, const char *live, const char *config, void *userdata)
{
        struct policy_answer *answer = userdata;

        answer->times++;
        answer->result = result;
        snprintf(answer->sentence, sizeof(answer->sentence), "%s", text);
        snprintf(answer->live, sizeof(answer->live), "%s", live ? live : "-");
        snprintf(answer->config, sizeof(answer->config), "%s", config ? config : "-");
}

static struct policy_answer set_policy(const char *domain, const char *alias, const char *key, const char *value,
                                       uint32_t flags)
{
        const struct guest_policy_change change = { key, value };
        struct policy_answer answer = { 0 };

        ck_assert_int_eq(guests_set_policy(guests, domain, alias, &change, 1, flags, on_policy, &answer), 0);
        ck_assert_uint_eq(answer.times, 0); /* never from inside the call */
        RUN_UNTIL(answer.times == 1);
        return answer;
}

static bool metadata_says(virDomainPtr domain, unsigned flags, const char *what)
{
        char *xml = virDomainGetXMLDesc(domain, flags);
        bool says = strstr(xml, what) != NULL;

        /* Somebody else's is always there. */
        ck_assert_ptr_nonnull(strstr(xml, "<app:a xmlns:app=\"urn:app\">b</app:a>"));
        free(xml);
        return says;
}

START_TEST(a_policy_is_written_to_the_metadata)
{
        virConnectPtr other_side;
        struct policy_answer answer;
        virDomainPtr domain;

        start("test:///default");
        RUN_UNTIL(lists == 1);
        other_side = virConnectOpen("test:///default");
        domain = virDomainDefineXML(other_side, POLICY_XML);
        ck_assert_ptr_nonnull(domain);

        /* Not running, by its name. */
        answer = set_policy("p1", "", "weight", "70", 0);
        ck_assert_msg(answer.result == 0, "%s", answer.sentence);
        ck_assert_str_eq(answer.live, "-");
        ck_assert_str_eq(answer.config, "<vswitch:policy xmlns:vswitch=\"urn:vswitch:policy:1\">\n"
                                        "  <vswitch:nic alias=\"ua-net0\" weight=\"70\"/>\n</vswitch:policy>");
        ck_assert(metadata_says(domain, VIR_DOMAIN_XML_INACTIVE, "alias=\"ua-net0\" weight=\"70\""));
        ck_assert_int_eq(set_policy("p1", "ua-net0", "weight", "70", GUEST_SET_LIVE).result, -EINVAL);
        ck_assert_int_eq(virDomainCreate(domain), 0);
        RUN_UNTIL(weight_of(POLICY_UUID) == 70);

        /* Both; and it is heard of at once, and goes along with a migration. */
        answer = set_policy(POLICY_UUID, "ua-net0", "weight", "0", 0);
        ck_assert_msg(answer.result == 0, "%s", answer.sentence);
        ck_assert_str_eq(answer.live, answer.config);
        RUN_UNTIL(weight_of(POLICY_UUID) == 0);
        ck_assert(metadata_says(domain, 0, "weight=\"0\""));
        ck_assert(metadata_says(domain, VIR_DOMAIN_XML_INACTIVE, "weight=\"0\""));
        ck_assert(metadata_says(domain, VIR_DOMAIN_XML_MIGRATABLE, "weight=\"0\""));

        /* One of them; none of them. */
        answer = set_policy(POLICY_UUID, "ua-net0", "weight", "20", GUEST_SET_LIVE);
        ck_assert_str_eq(answer.config, "-");
        RUN_UNTIL(weight_of(POLICY_UUID) == 20);
        ck_assert(metadata_says(domain, VIR_DOMAIN_XML_INACTIVE, "weight=\"0\""));
        answer = set_policy(POLICY_UUID, "ua-net0", "weight", "30", GUEST_SET_DRY_RUN);
        ck_assert_ptr_nonnull(strstr(answer.live, "weight=\"30\""));
        ck_assert_ptr_nonnull(strstr(answer.config, "weight=\"30\""));
        ck_assert(metadata_says(domain, 0, "weight=\"20\""));

        /* An operator with virsh. */
        ck_assert_int_eq(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT,
                                              "<policy><nic alias='ua-net0' weight='90'/></policy>", "v",
                                              "urn:vswitch:policy:1", VIR_DOMAIN_AFFECT_LIVE),
                         0);
        RUN_UNTIL(weight_of(POLICY_UUID) == 90);

        /* Gone again. */
        answer = set_policy(POLICY_UUID, "ua-net0", "weight", "", 0);
        ck_assert_msg(answer.result == 0, "%s", answer.sentence);
        ck_assert_str_eq(answer.live, "");
        RUN_UNTIL(weight_of(POLICY_UUID) == -1);
        ck_assert(!metadata_says(domain, 0, "policy"));
        ck_assert(!metadata_says(domain, VIR_DOMAIN_XML_INACTIVE, "policy"));
        virDomainFree(domain);
        virConnectClose(other_side);
        stop();
}
END_TEST

START_TEST(what_is_in_the_way_of_a_policy)
{
        virConnectPtr other_side;
        struct policy_answer answer;
        virDomainPtr domain;

        start("test:///default");
        RUN_UNTIL(lists == 1);
        other_side = virConnectOpen("test:///default");
        domain = virDomainCreateXML(other_side, POLICY_XML, 0);
        ck_assert_ptr_nonnull(domain);
        answer = set_policy("nobody", "", "weight", "70", 0);
        ck_assert_int_eq(answer.result, -ENOENT);
        ck_assert_ptr_nonnull(strstr(answer.sentence, "omain not found"));
        answer = set_policy("p1", "", "weight", "700", 0);
        ck_assert_int_eq(answer.result, -EINVAL);
        ck_assert_str_eq(answer.sentence, "weight='700': write a number from 0 (no VF) to 100");
        ck_assert_str_eq(answer.live, "-");
        answer = set_policy("p1", "", "weight", "70", GUEST_SET_CONFIG);
        ck_assert_int_eq(answer.result, -EINVAL);
        ck_assert_ptr_nonnull(strstr(answer.sentence, "transient"));

        /* Written by a newer version. */
        ck_assert_int_eq(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, "<policy/>", "v",
                                              "urn:vswitch:policy:2", VIR_DOMAIN_AFFECT_LIVE),
                         0);
        answer = set_policy("p1", "", "weight", "70", 0);
        ck_assert_int_eq(answer.result, -EBADMSG);
        ck_assert(metadata_says(domain, 0, "urn:vswitch:policy:2"));
        answer = set_policy("p1", "", "weight", "70", GUEST_SET_REPLACE);
        ck_assert_msg(answer.result == 0, "%s", answer.sentence);
        ck_assert(!metadata_says(domain, 0, "urn:vswitch:policy:2"));
        ck_assert(metadata_says(domain, 0, "weight=\"70\""));
        virDomainFree(domain);
        virConnectClose(other_side);
        stop();
}
END_TEST

START_TEST(a_policy_without_libvirt)
{
        struct policy_answer answer;

        start("qemu+unix:///system?socket=/nonexistent/socket");
        answer = set_policy("g1", "", "weight", "70", 0);
        ck_assert_int_eq(answer.result, -ENOTCONN);
        stop();
}
END_TEST

static _Atomic(pthread_t) work_thread;
static atomic_int work_begun, work_may_end;

static int good_work(void *userdata, struct vswitch_error *error)
{
        atomic_store(&work_thread, pthread_self());
        return 0;
}

static int bad_work(void *userdata, struct vswitch_error *error)
{
        return vswitch_error_set(error, -EBUSY, "the device is in use");
}

static int patient_work(void *userdata, struct vswitch_error *error)
{
        atomic_fetch_add(&work_begun, 1);
        while (!atomic_load(&work_may_end))
                nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
        return 0;
}

START_TEST(work_runs_without_libvirt)
{
        struct answer good = { 0 }, bad = { 0 }, refused = { 0 };

        start("qemu+unix:///system?socket=/nonexistent/socket");
        ck_assert_int_eq(guests_run(guests, good_work, on_done, &good), 0);
        ck_assert_int_eq(guests_run(guests, bad_work, on_done, &bad), 0);
        ck_assert_int_eq(guests_attach(guests, TEST_UUID, "<hostdev/>", on_done, &refused), 0);
        RUN_UNTIL(good.times && bad.times && refused.times);
        ck_assert_int_eq(good.result, 0);
        ck_assert_str_eq(good.sentence, "");
        ck_assert(!pthread_equal(atomic_load(&work_thread), pthread_self()));
        ck_assert(pthread_equal(good.thread, pthread_self()));
        ck_assert_int_eq(bad.result, -EBUSY);
        ck_assert_str_eq(bad.sentence, "the device is in use");
        ck_assert_int_eq(refused.result, -ENOTCONN);
        ck_assert_int_eq(guests_refresh(guests, TEST_UUID), -ENOTCONN);
        RUN_UNTIL(losses == 1);
        /* said once, not at every attempt */
        run_for(1800 * 1000);
        ck_assert_uint_eq(losses, 1);
        ck_assert_uint_eq(connections, 0);
        ck_assert_ptr_nonnull(strstr(sentence, "/nonexistent/socket"));
        stop();
}
END_TEST

START_TEST(libvirt_comes_later)
{
        char path[] = "/tmp/vswitch-test-XXXXXX.xml", uri[64];
        FILE *file;
        int fd = mkstemps(path, 4);

        ck_assert_int_ge(fd, 0);
        close(fd);
        unlink(path);
        snprintf(uri, sizeof(uri), "test://%s", path);
        start(uri);
        RUN_UNTIL(losses == 1);
        ck_assert_uint_eq(lists, 0);
        file = fopen(path, "w");
        fputs("<node><domain type='test'><name>later</name><uuid>33333333-3333-3333-3333-333333333333</uuid>"
              "<memory>65536</memory><os><type>hvm</type></os></domain></node>",
              file);
        fclose(file);
        RUN_UNTIL(lists == 1);
        unlink(path);
        ck_assert_uint_eq(connections, 1);
        ck_assert_int_eq(state_of("33333333-3333-3333-3333-333333333333"), GUEST_RUNNING);
        stop();
}
END_TEST

START_TEST(end_answers_what_is_open)
{
        struct answer done = { 0 }, running[2] = { { 0 } }, waiting = { 0 }, attach = { 0 };

        work_begun = work_may_end = 0;
        start("qemu+unix:///system?socket=/nonexistent/socket");
        ck_assert_int_eq(guests_run(guests, good_work, on_done, &done), 0);
        RUN_UNTIL(done.times == 1);
        for (int i = 0; i < 2; i++)
                ck_assert_int_eq(guests_run(guests, patient_work, on_done, &running[i]), 0);
        while (atomic_load(&work_begun) < 2)
                run_for(1000);
        ck_assert_int_eq(guests_run(guests, good_work, on_done, &waiting), 0);
        ck_assert_int_eq(guests_attach(guests, TEST_UUID, "<hostdev/>", on_done, &attach), 0);
        atomic_store(&work_may_end, 1);
        stop();
        /* What ended in time has its own result, what did not begin is cancelled. */
        for (int i = 0; i < 2; i++) {
                ck_assert_uint_eq(running[i].times, 1);
                ck_assert_int_eq(running[i].result, 0);
        }
        ck_assert_uint_eq(waiting.times, 1);
        ck_assert(waiting.result == 0 || waiting.result == -ECANCELED);
        ck_assert_uint_eq(attach.times, 1);
        ck_assert(attach.result == -ENOTCONN || attach.result == -ECANCELED);
}
END_TEST

/* A worker that hangs delays the end up to a bound; its work is not "done" while it still uses its data. */
START_TEST(end_does_not_wait_for_ever)
{
        struct answer hung = { 0 }, waiting[3] = { { 0 } };
        uint64_t began;

        work_begun = work_may_end = 0;
        start("test:///default");
        RUN_UNTIL(lists == 1);
        ck_assert_int_eq(guests_run(guests, patient_work, on_done, &hung), 0);
        ck_assert_int_eq(guests_run(guests, patient_work, on_done, &hung), 0);
        while (atomic_load(&work_begun) < 2)
                run_for(1000);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(guests_run(guests, good_work, on_done, &waiting[i]), 0);
        began = now_usec();
        stop();
        ck_assert_uint_lt(now_usec() - began, UINT64_C(6) * 1000 * 1000);
        ck_assert_uint_eq(hung.times, 0);
        for (int i = 0; i < 3; i++) {
                ck_assert_uint_eq(waiting[i].times, 1);
                ck_assert_int_eq(waiting[i].result, -ECANCELED);
        }
        /* and the stragglers end without harm */
        atomic_store(&work_may_end, 1);
        nanosleep(&(struct timespec){ .tv_nsec = 200 * 1000 * 1000 }, NULL);
        start("test:///default");
        RUN_UNTIL(lists == 2);
        stop();
}
END_TEST

/* A call to libvirt that does not come back: the end does not wait for it, and the request is answered all the same. */
START_TEST(end_leaves_a_hung_call_behind)
{
        struct answer detach[3] = { { 0 } };
        uint64_t began;

        start("test:///default");
        RUN_UNTIL(lists == 1);
        xml_delay_ms = 5000;
        /* The test driver refuses, and the search for the alias then hangs. */
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(guests_detach(guests, TEST_UUID, "ua-vf0", on_done, &detach[i]), 0);
        ck_assert_int_eq(guests_refresh(guests, TEST_UUID), 0);
        run_for(100 * 1000);
        began = now_usec();
        stop();
        ck_assert_uint_lt(now_usec() - began, UINT64_C(4500) * 1000);
        for (int i = 0; i < 3; i++) {
                ck_assert_uint_eq(detach[i].times, 1);
                ck_assert_int_lt(detach[i].result, 0);
        }
        nanosleep(&(struct timespec){ .tv_sec = 3 }, NULL);
}
END_TEST

/* A domain that libvirt is slow with holds up its own reads, and no request for another domain. */
START_TEST(slow_reads_hold_up_no_request)
{
        struct answer answer = { 0 };
        uint64_t began;

        start("test:///default");
        RUN_UNTIL(lists == 1);
        xml_delay_ms = 2000;
        for (int i = 0; i < 4; i++)
                ck_assert_int_eq(guests_refresh(guests, TEST_UUID), 0);
        run_for(50 * 1000);
        began = now_usec();
        ck_assert_int_eq(guests_attach(guests, "00000000-1111-2222-3333-444444444444", "<hostdev/>", on_done, &answer),
                         0);
        RUN_UNTIL(answer.times == 1);
        ck_assert_uint_lt(now_usec() - began, 1000 * 1000);
        ck_assert_uint_eq(changes, 0);
        xml_delay_ms = 0;
        /* Four wishes, and two reads: the one under way, and one more for all that was wished since. */
        RUN_UNTIL(changes == 1);
        run_for(300 * 1000);
        ck_assert_uint_eq(changes, 1);
        stop();
}
END_TEST

static void end_everything(int result, const char *text, void *userdata)
{
        on_done(result, text, userdata);
        stop();
}

START_TEST(end_from_inside_a_callback)
{
        struct answer first = { 0 }, second = { 0 };

        start("test:///default");
        ck_assert_int_eq(guests_run(guests, good_work, end_everything, &first), 0);
        ck_assert_int_eq(guests_run(guests, good_work, on_done, &second), 0);
        RUN_UNTIL(first.times == 1);
        ck_assert_ptr_null(guests);
        ck_assert_uint_eq(second.times, 1);
        run_for(10 * 1000);
        ck_assert_uint_eq(first.times + second.times, 2);
}
END_TEST

START_TEST(only_one_at_a_time)
{
        struct guests *other = NULL;
        struct vswitch_error error = { 0 };

        start("test:///default");
        ck_assert_int_eq(guests_new(loop, NULL, &callbacks, NULL, &other, &error), -EBUSY);
        ck_assert_ptr_null(other);
        stop();
        for (int i = 0; i < 20; i++) {
                start("test:///default");
                stop();
        }
}
END_TEST

/* An operator who never rests. In bursts, since a domain that changes for ever is reported late on purpose. */
static atomic_int operator_ends, started_count;

static void *restless_operator(void *userdata)
{
        virConnectPtr connection = virConnectOpen("test:///default");
        virDomainPtr domain = virDomainLookupByName(connection, "test");

        while (!atomic_load(&operator_ends)) {
                for (int i = 0; i < 2; i++) {
                        int next = atomic_load(&started_count);

                        ck_assert_int_eq(virDomainDestroy(domain), 0);
                        /* The id that the next start gets, before the event of it can arrive. */
                        ck_assert_int_eq(virDomainCreate(domain), 0);
                        atomic_store(&started_ids[next], (int) virDomainGetID(domain));
                        atomic_store(&started_count, next + 1);
                }
                nanosleep(&(struct timespec){ .tv_nsec = 60 * 1000 * 1000 }, NULL);
        }
        virDomainFree(domain);
        virConnectClose(connection);
        return NULL;
}

START_TEST(no_older_truth_after_a_newer_one)
{
        pthread_t thread;
        int last;

        operator_ends = 0;
        xml_delay_ms = 5;
        start("test:///default");
        RUN_UNTIL(lists == 1);
        ck_assert_int_eq(pthread_create(&thread, NULL, restless_operator, NULL), 0);
        run_for(UINT64_C(3) * 1000 * 1000);
        atomic_store(&operator_ends, 1);
        pthread_join(thread, NULL);
        ck_assert_int_gt(atomic_load(&started_count), 10);
        last = atomic_load(&started_ids[atomic_load(&started_count) - 1]);
        RUN_UNTIL(known[0].id == last && known[0].state == GUEST_RUNNING);
        run_for(200 * 1000);
        ck_assert_int_eq(known[0].id, last);
        stop();
}
END_TEST

/* Listed in the middle of changes: it must come out right when they have ended. */
START_TEST(listed_while_things_change)
{
        pthread_t thread;
        int last;

        operator_ends = 0;
        xml_delay_ms = 20;
        start("test:///default"); /* what libraries prepare once is prepared before there are threads */
        stop();
        ck_assert_int_eq(pthread_create(&thread, NULL, restless_operator, NULL), 0);
        for (int i = 0; i < 15; i++) {
                start("test:///default");
                connected = false;
                lists = 0;
                freshest_id = -1000000; /* events are not counted from the start here */
                started_seen = 0;
                RUN_UNTIL(lists == 1);
                run_for(50 * 1000);
                if (i < 14)
                        stop();
        }
        atomic_store(&operator_ends, 1);
        pthread_join(thread, NULL);
        last = atomic_load(&started_ids[atomic_load(&started_count) - 1]);
        RUN_UNTIL(known_count == 1 && known[0].id == last && known[0].state == GUEST_RUNNING);
        run_for(200 * 1000);
        ck_assert_int_eq(known[0].id, last);
        stop();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("guest connection");
        TCase *tests = tcase_create("test driver");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(tests, 90);
        tcase_add_checked_fixture(tests, make_loop, free_loop);
        tcase_add_test(tests, lists_and_hears);
        tcase_add_test(tests, reads_again_what_libvirt_has_written);
        tcase_add_test(tests, transient_domain_comes_and_goes);
        tcase_add_test(tests, definitions_of_domains_that_are_off);
        tcase_add_test(tests, definition_of_a_domain_that_runs);
        tcase_add_test(tests, requests_are_answered_with_libvirts_words);
        tcase_add_test(tests, a_policy_is_written_to_the_metadata);
        tcase_add_test(tests, what_is_in_the_way_of_a_policy);
        tcase_add_test(tests, a_policy_without_libvirt);
        tcase_add_test(tests, work_runs_without_libvirt);
        tcase_add_test(tests, libvirt_comes_later);
        tcase_add_test(tests, end_answers_what_is_open);
        tcase_add_test(tests, end_does_not_wait_for_ever);
        tcase_add_test(tests, end_leaves_a_hung_call_behind);
        tcase_add_test(tests, slow_reads_hold_up_no_request);
        tcase_add_test(tests, end_from_inside_a_callback);
        tcase_add_test(tests, only_one_at_a_time);
        tcase_add_test(tests, no_older_truth_after_a_newer_one);
        tcase_add_test(tests, listed_while_things_change);
        suite_add_tcase(suite, tests);

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
