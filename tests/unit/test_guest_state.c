/* SPDX-License-Identifier: Apache-2.0 */

/* What a domain is doing, by libvirt's words, the events before, and libvirt's status file. */

#include "src/guests/event_words.h"
#include "src/guests/guest_state.h"
#include "src/guests/status_file.h"

#include <check.h>
#include <errno.h>
#include <libvirt/libvirt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STARTED   VIR_DOMAIN_EVENT_STARTED
#define SUSPENDED VIR_DOMAIN_EVENT_SUSPENDED
#define RESUMED   VIR_DOMAIN_EVENT_RESUMED

static enum guest_state paused(int reason, enum guest_job job, const struct guest_history *history)
{
        return guest_state_derive(VIR_DOMAIN_PAUSED, reason, true, job, history);
}

START_TEST(plain_states)
{
        static const struct guest_history none;
        static const struct {
                int state;
                enum guest_state expected;
        } cases[] = {
                { VIR_DOMAIN_NOSTATE, GUEST_PAUSED },         { VIR_DOMAIN_RUNNING, GUEST_RUNNING },
                { VIR_DOMAIN_BLOCKED, GUEST_RUNNING },        { VIR_DOMAIN_PAUSED, GUEST_PAUSED },
                { VIR_DOMAIN_SHUTDOWN, GUEST_PAUSED },        { VIR_DOMAIN_SHUTOFF, GUEST_OFF },
                { VIR_DOMAIN_CRASHED, GUEST_PAUSED },         { VIR_DOMAIN_PMSUSPENDED, GUEST_PAUSED },
                { VIR_DOMAIN_PMSUSPENDED + 1, GUEST_PAUSED },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (int job = GUEST_JOB_UNKNOWN; job <= GUEST_JOB_OTHER; job++) {
                        ck_assert_int_eq(guest_state_derive(cases[i].state, 0, true, (enum guest_job) job, &none),
                                         cases[i].expected);
                        ck_assert_int_eq(guest_state_derive(cases[i].state, 0, false, (enum guest_job) job, &none),
                                         GUEST_OFF);
                }
}
END_TEST

/* PAUSED/MIGRATION is said on both sides: the job decides. */
START_TEST(job_decides)
{
        static const struct guest_history none;

        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_INCOMING, &none), GUEST_INCOMING);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_STARTING_UP, GUEST_JOB_INCOMING, &none), GUEST_INCOMING);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_OUTGOING, &none), GUEST_HANDED_OVER);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_POSTCOPY, GUEST_JOB_OUTGOING, &none), GUEST_HANDED_OVER);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, GUEST_JOB_OUTGOING, &none), GUEST_HANDED_OVER);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, GUEST_JOB_NONE, &none), GUEST_HANDED_OVER);
        /* paused by somebody while it is copied */
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_OUTGOING, &none), GUEST_PAUSED);
        /* arrived, and left paused on request, before the job has ended */
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_INCOMING, &none), GUEST_PAUSED);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_IOERROR, GUEST_JOB_INCOMING, &none), GUEST_PAUSED);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_SAVE, GUEST_JOB_OTHER, &none), GUEST_PAUSED);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_STARTING_UP, GUEST_JOB_NONE, &none), GUEST_PAUSED);
}
END_TEST

START_TEST(events_stand_in_for_the_job)
{
        struct guest_history history = { 0 };

        /* destination */
        guest_history_lifecycle(&history, STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED);
        guest_history_migration(&history, "active");
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_UNKNOWN, &history), GUEST_INCOMING);
        guest_history_migration(&history, "completed");
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_UNKNOWN, &history), GUEST_INCOMING);
        guest_history_lifecycle(&history, RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED);
        ck_assert(!history.arriving && !history.sent);

        /* and on to the next host */
        guest_history_migration(&history, "setup");
        guest_history_lifecycle(&history, SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_UNKNOWN, &history), GUEST_HANDED_OVER);
        /* libvirt knows better */
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_NONE, &history), GUEST_PAUSED);
        guest_history_lifecycle(&history, RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_MIGRATION, GUEST_JOB_UNKNOWN, &history), GUEST_PAUSED);

        /* a destination left paused */
        guest_history_lifecycle(&history, STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED);
        guest_history_lifecycle(&history, SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_UNKNOWN, &history), GUEST_PAUSED);
        ck_assert(!history.arriving);
}
END_TEST

/* Somebody had paused it before the migration: no state and no lifecycle event tells that it has left. */
START_TEST(paused_guest_leaves)
{
        struct guest_history history = { 0 };

        guest_history_migration(&history, "setup");
        guest_history_migration(&history, "active");
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_OUTGOING, &history), GUEST_PAUSED);
        guest_history_migration(&history, "completed");
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_OUTGOING, &history), GUEST_HANDED_OVER);
        /* the other side failed after all: the job has ended, and it is here */
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_NONE, &history), GUEST_PAUSED);
        /* saving to a file is a migration to QEMU */
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_SAVE, GUEST_JOB_OTHER, &history), GUEST_PAUSED);
        guest_history_migration(&history, "setup");
        ck_assert_int_eq(paused(VIR_DOMAIN_PAUSED_USER, GUEST_JOB_OUTGOING, &history), GUEST_PAUSED);
}
END_TEST

/* libvirt is not asked for the job of a source in the switch-over; a failed migration's job is asked for at once. */
START_TEST(known_job_is_kept)
{
        struct guest_history history = { .outgoing = true };

        guest_history_migration(&history, "pre-switchover");
        guest_history_migration(&history, "device");
        ck_assert(history.outgoing && !history.ending);
        guest_history_migration(&history, "completed");
        ck_assert(history.outgoing && history.ending);
        guest_history_migration(&history, "failed");
        ck_assert(!history.outgoing && history.ending);
        history.outgoing = true;
        guest_history_migration(&history, "cancelled");
        ck_assert(!history.outgoing);
        guest_history_migration(&history, "setup");
        ck_assert(!history.ending);
}
END_TEST

START_TEST(lifecycle_words)
{
        static const struct {
                int event, detail;
                const char *expected;
        } cases[] = {
                { STARTED, VIR_DOMAIN_EVENT_STARTED_MIGRATED, "started/migrated" },
                { SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED, "suspended/migrated" },
                { SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY, "suspended/postcopy" },
                { SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED, "suspended/postcopy-failed" },
                { RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED, "resumed/migrated" },
                { RESUMED, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY, "resumed/postcopy" },
                { VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED, "stopped/migrated" },
                { VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT, "stopped/from-snapshot" },
                { VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_HOST, "shutdown/host" },
                { VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_FROM_SNAPSHOT, "defined/from-snapshot" },
                { VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED, "crashed/crashloaded" },
                { VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_PMSUSPENDED_DISK, "pmsuspended/disk" },
                { STARTED, 9, "started/9" },
                { STARTED, 99, "started/99" },
                { STARTED, -1, "started/-1" },
                { 99, 1, "99/1" },
                { -1, 1, "-1/1" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char buffer[sizeof(((struct guest_event *) 0)->detail)];

                event_lifecycle_words(cases[i].event, cases[i].detail, buffer, sizeof(buffer));
                ck_assert_str_eq(buffer, cases[i].expected);
        }
}
END_TEST

START_TEST(aliases)
{
        static const struct {
                const char *name;
                bool is_nic;
                const char *expected;
        } cases[] = {
                { "ua-net0", true, "ua-net0" },
                { "hostua-net0", true, "ua-net0" },
                { "hostnet0", true, "net0" },
                { "net0", true, "net0" },
                { "/machine/peripheral/ua-net0/virtio-backend", true, "ua-net0" },
                { "ua-vf0", false, "ua-vf0" },
                { "hostdev0", false, "hostdev0" },
                { "/machine/peripheral/hostdev0", false, "hostdev0" },
                { "", true, "" },
                { "host", true, "" },
        };
        char buffer[GUEST_ALIAS_SIZE], longest[100];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                event_alias(cases[i].name, cases[i].is_nic, buffer);
                ck_assert_str_eq(buffer, cases[i].expected);
        }
        memset(longest, 'x', sizeof(longest));
        longest[GUEST_ALIAS_SIZE - 1] = '\0';
        event_alias(longest, false, buffer);
        ck_assert_str_eq(buffer, longest);
        longest[GUEST_ALIAS_SIZE - 1] = 'x';
        longest[sizeof(longest) - 1] = '\0';
        event_alias(longest, false, buffer);
        ck_assert_str_eq(buffer, "");
}
END_TEST

START_TEST(qemu_events)
{
        static const struct {
                const char *name, *details;
                bool is_event, is_news;
                enum guest_event_kind kind;
                const char *alias, *detail;
        } cases[] = {
                { "FAILOVER_NEGOTIATED", "{\"device-id\":\"ua-net0\"}", true, false, GUEST_EVENT_STANDBY_NEGOTIATED,
                  "ua-net0", "" },
                { "UNPLUG_PRIMARY", "{\"device-id\":\"hostdev0\"}", true, false, GUEST_EVENT_UNPLUG_ASKED, "hostdev0",
                  "" },
                { "MIGRATION", "{\"status\":\"setup\"}", true, true, GUEST_EVENT_MIGRATION, "", "setup" },
                { "MIGRATION", "{\"status\":\"wait-unplug\"}", true, false, GUEST_EVENT_MIGRATION, "", "wait-unplug" },
                { "MIGRATION", "{\"status\":\"device\"}", true, false, GUEST_EVENT_MIGRATION, "", "device" },
                { "MIGRATION", "{\"status\":\"completed\"}", true, true, GUEST_EVENT_MIGRATION, "", "completed" },
                { "MIGRATION", "{\"status\":\"cancelled\"}", true, true, GUEST_EVENT_MIGRATION, "", "cancelled" },
                { "STOP", NULL, true, true, GUEST_EVENT_STOPPED, "", "" },
                { "RESUME", "", true, true, GUEST_EVENT_RESUMED, "", "" },
                { "RESET", "{\"guest\":true,\"reason\":\"guest-reset\"}", true, true, GUEST_EVENT_RESET, "", "" },
                /* nonsense is survived */
                { "FAILOVER_NEGOTIATED", NULL, true, false, GUEST_EVENT_STANDBY_NEGOTIATED, "", "" },
                { "FAILOVER_NEGOTIATED", "{\"device-id\":7}", true, false, GUEST_EVENT_STANDBY_NEGOTIATED, "", "" },
                { "UNPLUG_PRIMARY", "[]", true, false, GUEST_EVENT_UNPLUG_ASKED, "", "" },
                { "MIGRATION", "{\"status\"", true, false, GUEST_EVENT_MIGRATION, "", "" },
        };
        struct event_meaning meaning;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                event_from_qemu(cases[i].name, cases[i].details, &meaning);
                ck_assert_msg(meaning.is_event == cases[i].is_event && meaning.is_news == cases[i].is_news, "%s %s",
                              cases[i].name, cases[i].details);
                ck_assert_int_eq(meaning.event.kind, cases[i].kind);
                ck_assert_str_eq(meaning.event.alias, cases[i].alias);
                ck_assert_str_eq(meaning.event.detail, cases[i].detail);
        }
        event_from_qemu("DEVICE_DELETED", "{\"device\":\"ua-vf0\",\"path\":\"/machine/peripheral/ua-vf0\"}", &meaning);
        ck_assert(!meaning.is_event && meaning.is_news);
        event_from_qemu("RTC_CHANGE", "{\"offset\":78}", &meaning);
        ck_assert(!meaning.is_event && !meaning.is_news);
}
END_TEST

static char directory[] = "/tmp/vswitch-test-XXXXXX";

static void make_directory(void)
{
        ck_assert_ptr_nonnull(mkdtemp(directory));
        status_file_directory = directory;
}

static void remove_directory(void)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

static void write_status(const char *name, const char *text)
{
        char path[128];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s.xml", directory, name);
        file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        fclose(file);
}

#define UUID "994cee0d-2a70-4937-9693-0431e39d20f7"
#define DOMAIN                                                                                                         \
        "<domain type='kvm' id='1'><name>g</name><uuid>" UUID "</uuid><devices><interface type='bridge'>"              \
        "<source bridge='br0'/><target dev='vnet0'/><alias name='net0'/></interface></devices></domain>"

START_TEST(status_file)
{
        static const struct {
                const char *job;
                enum guest_job expected;
        } cases[] = {
                { "<job type='none' async='migration in' phase='prepare' flags='0x900'/>", GUEST_JOB_INCOMING },
                { "<job type='none' async='migration out' phase='perform3'/>", GUEST_JOB_OUTGOING },
                { "<job type='none' async='start'/>", GUEST_JOB_OTHER },
                { "<job type='modify' async='none'/>", GUEST_JOB_NONE },
                { "", GUEST_JOB_NONE },
        };
        struct vswitch_error error = { 0 };
        struct guest *guest = NULL;
        enum guest_job job;
        char text[1024];

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                snprintf(text, sizeof(text),
                         "<domstatus state='paused' reason='migration' pid='2'>%s" DOMAIN "</domstatus>", cases[i].job);
                write_status("g", text);
                ck_assert_int_eq(status_file_read("g", UUID, &guest, &job, &error), 0);
                ck_assert_int_eq(job, cases[i].expected);
                ck_assert_str_eq(guest->nics[0].tap, "vnet0");
                guest_free(guest);
        }
        ck_assert_int_eq(status_file_read("g", "11111111-2222-3333-4444-555555555555", &guest, &job, &error), -ESTALE);
        ck_assert_int_eq(status_file_read("h", UUID, &guest, &job, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "/h.xml"));
        ck_assert_int_eq(status_file_read("../g", UUID, &guest, &job, &error), -EINVAL);
        write_status("g", "<domstatus>");
        ck_assert_int_eq(status_file_read("g", UUID, &guest, &job, &error), -EINVAL);
        write_status("g", "");
        ck_assert_int_eq(status_file_read("g", UUID, &guest, &job, &error), -EINVAL);
}
END_TEST

START_TEST(status_file_that_is_large)
{
        struct guest *guest = NULL;
        enum guest_job job;
        char path[128];
        FILE *file;

        snprintf(path, sizeof(path), "%s/g.xml", directory);
        file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        fputs("<domstatus>", file);
        for (unsigned i = 0; i < 50000; i++)
                fprintf(file, "<flag name='capability-%u'/>\n", i);
        fputs(DOMAIN "</domstatus>", file);
        fclose(file);
        ck_assert_int_eq(status_file_read("g", UUID, &guest, &job, NULL), 0);
        guest_free(guest);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("guest states");
        TCase *states = tcase_create("states"), *words = tcase_create("words"), *files = tcase_create("status file");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(states, plain_states);
        tcase_add_test(states, job_decides);
        tcase_add_test(states, events_stand_in_for_the_job);
        tcase_add_test(states, paused_guest_leaves);
        tcase_add_test(states, known_job_is_kept);
        suite_add_tcase(suite, states);

        tcase_add_test(words, lifecycle_words);
        tcase_add_test(words, aliases);
        tcase_add_test(words, qemu_events);
        suite_add_tcase(suite, words);

        tcase_add_checked_fixture(files, make_directory, remove_directory);
        tcase_add_test(files, status_file);
        tcase_add_test(files, status_file_that_is_large);
        suite_add_tcase(suite, files);

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
