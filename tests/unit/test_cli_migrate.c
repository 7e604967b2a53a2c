/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vswitch migrate: the verb with a migration in place of libvirt's, which notes what the daemon had been told when it
 * began and ends as the test wants; and the real program, as far as libvirt's built-in test driver goes.
 */

#include "src/cli/cli.h"
#include "src/cli/migrate_verb.h"
#include "src/cli/migration.h"
#include "src/control/cleanup.h"
#include "test_cli_run.h"
#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static struct model_server server;

/* What the migration does, and what it saw; shared with the process that runs the verb. */
static struct plan {
        unsigned msec;    /* how long it takes */
        bool fails;       /* at its end */
        bool has_vf;      /* seen in the domain's XML */
        const char *uuid; /* of the domain */
        unsigned opened, started, aborted;
        unsigned held_at_start, held_at_end;
        bool persistent;
} * plan;

struct migration {
        int timer;
        bool aborted;
};

int migration_open(const struct migration_options *options, struct migration **ret, struct vswitch_error *error)
{
        plan->opened++;
        plan->persistent = options->persistent;
        if (strcmp(options->domain, "g9") == 0)
                return vswitch_error_set(error, -ENOENT, "there is no domain \"g9\" here");
        *ret = calloc(1, sizeof(**ret));
        (*ret)->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        return 0;
}

void migration_free(struct migration *migration)
{
        if (!migration)
                return;
        close(migration->timer);
        free(migration);
}

void migration_freep(struct migration **migration)
{
        migration_free(*migration);
}

const char *migration_domain(const struct migration *migration)
{
        return "g1";
}

const char *migration_uuid(const struct migration *migration)
{
        return plan->uuid;
}

int migration_has_vf(struct migration *migration, bool *ret, struct vswitch_error *error)
{
        *ret = plan->has_vf;
        return 0;
}

int migration_start(struct migration *migration, struct vswitch_error *error)
{
        const struct itimerspec timer = { .it_value = { plan->msec / 1000, (plan->msec % 1000) * 1000000 + 1 } };

        plan->started++;
        if (server.seen)
                plan->held_at_start = server.seen->held_nics;
        return timerfd_settime(migration->timer, 0, &timer, NULL);
}

int migration_fd(const struct migration *migration)
{
        return migration->timer;
}

void migration_progress(struct migration *migration, struct migration_progress *ret)
{
        *ret = (struct migration_progress){ .done_bytes = 50 << 20, .total_bytes = 100 << 20 };
}

void migration_abort(struct migration *migration)
{
        const struct itimerspec now = { .it_value = { 0, 1 } };

        plan->aborted++;
        migration->aborted = true;
        timerfd_settime(migration->timer, 0, &now, NULL);
}

int migration_result(struct migration *migration, struct vswitch_error *error)
{
        if (server.seen)
                plan->held_at_end = server.seen->held_nics;
        if (migration->aborted)
                return vswitch_error_set(error, -EIO, "canceled by client");
        return plan->fails ? vswitch_error_set(error, -EIO, "the other host said no") : 0;
}

static void setup(const struct plan *wanted)
{
        plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(plan, MAP_FAILED);
        *plan = *wanted;
        if (!plan->uuid)
                plan->uuid = MODEL_G1;
}

struct verb_run {
        pid_t pid;
        FILE *output; /* and errors */
        char text[4096];
};

static struct verb_run start_verb(const char *const *arguments)
{
        static const struct cli_verb verbs[] = { MIGRATE_VERB(.run = verb_migrate), {} };
        struct verb_run run = {};
        int output[2];

        ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
        run.pid = fork();
        if (run.pid == 0) {
                char *argv[16] = { (char *) "vswitch" };
                int argc = 1;

                dup2(output[1], STDOUT_FILENO);
                dup2(output[1], STDERR_FILENO);
                while (arguments[argc - 1]) {
                        argv[argc] = (char *) arguments[argc - 1];
                        argc++;
                }
                setenv("VSWITCH_SOCKET", server.socket, 1);
                exit(cli_main(argc, argv, verbs));
        }
        close(output[1]);
        run.output = fdopen(output[0], "re");
        return run;
}

static int end_verb(struct verb_run *run)
{
        size_t length = fread(run->text, 1, sizeof(run->text) - 1, run->output);
        int status;

        run->text[length] = '\0';
        fclose(run->output);
        ck_assert_int_eq(waitpid(run->pid, &status, 0), run->pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *const migrate[] = { "migrate", "g1", "qemu+ssh://other/system", NULL };

START_TEST(the_guest_leaves_its_vf_first)
{
        const char *const persistent[] = { "migrate", "--persistent", "g1", "qemu+ssh://other/system", "-j", NULL };
        struct verb_run run;
        json_t *json;

        setup(&(struct plan){ .msec = 300 });
        model_start(&server, &(struct model_options){ .move_msec = 300 });
        run = start_verb(migrate);
        ck_assert_msg(end_verb(&run) == 0, "%s", run.text);
        ck_assert_ptr_nonnull(strstr(run.text, "g1: it runs on qemu+ssh://other/system now"));
        ck_assert_str_eq(server.seen->last_hold, "connection");
        ck_assert_uint_eq(plan->started, 1);
        ck_assert_uint_eq(plan->held_at_start, 1);
        ck_assert_uint_eq(plan->held_at_end, 1);
        ck_assert(!plan->persistent);
        ck_assert(model_wait_until(server.seen->held_nics == 0));

        run = start_verb(persistent);
        ck_assert_int_eq(end_verb(&run), 0);
        ck_assert(plan->persistent);
        json = json_loads(strchr(run.text, '{'), 0, NULL);
        ck_assert_str_eq(table_text(json, "result"), "done");
        json_decref(json);
        model_stop(&server);
}
END_TEST

START_TEST(a_failure_ends_the_hold)
{
        struct verb_run run;

        setup(&(struct plan){ .msec = 100, .fails = true });
        model_start(&server, &(struct model_options){ .move_msec = 50 });
        run = start_verb(migrate);
        ck_assert_int_eq(end_verb(&run), 1);
        ck_assert_ptr_nonnull(strstr(run.text, "the other host said no"));
        ck_assert_ptr_nonnull(strstr(run.text, "gets its VFs again"));
        ck_assert_uint_eq(plan->held_at_end, 1);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);
}
END_TEST

START_TEST(an_interrupt_aborts_and_ends_the_hold)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        struct verb_run run;

        setup(&(struct plan){ .msec = 60000 });
        model_start(&server, &(struct model_options){});
        run = start_verb(migrate);
        ck_assert(model_wait_until(plan->started == 1));
        kill(run.pid, signals[_i]);
        ck_assert_int_eq(end_verb(&run), 1);
        ck_assert_uint_ge(plan->aborted, 1);
        ck_assert_ptr_nonnull(strstr(run.text, "interrupted"));
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);
}
END_TEST

START_TEST(a_kill_ends_the_hold)
{
        struct verb_run run;

        setup(&(struct plan){ .msec = 60000 });
        model_start(&server, &(struct model_options){});
        run = start_verb(migrate);
        ck_assert(model_wait_until(plan->started == 1));
        ck_assert_uint_eq(server.seen->held_nics, 1);
        kill(run.pid, SIGKILL);
        ck_assert_int_eq(end_verb(&run), -1);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);
}
END_TEST

START_TEST(a_guest_that_keeps_its_vf_is_not_migrated)
{
        const char *const impatient[] = { "migrate", "g1", "qemu+ssh://other/system", "-t", "0.3", NULL };
        struct verb_run run;

        setup(&(struct plan){});
        model_start(&server, &(struct model_options){ .move_msec = 50, .moves_fail = true });
        run = start_verb(migrate);
        ck_assert_int_eq(end_verb(&run), 1);
        ck_assert_ptr_nonnull(strstr(run.text, "did not let go"));
        ck_assert_ptr_nonnull(strstr(run.text, "nothing was migrated"));
        ck_assert_uint_eq(plan->started, 0);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);

        model_start(&server, &(struct model_options){ .move_msec = 10000 });
        run = start_verb(impatient);
        ck_assert_int_eq(end_verb(&run), 6);
        ck_assert_uint_eq(plan->started, 0);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);
}
END_TEST

START_TEST(every_nic_is_held)
{
        struct verb_run run;

        setup(&(struct plan){ .uuid = MODEL_G2 });
        model_start(&server, &(struct model_options){ .move_msec = 50 });
        run = start_verb(migrate);
        ck_assert_msg(end_verb(&run) == 0, "%s", run.text);
        ck_assert_uint_eq(plan->held_at_start, 2);
        model_stop(&server);
}
END_TEST

START_TEST(a_guest_without_nics_just_migrates)
{
        struct verb_run run;

        setup(&(struct plan){ .uuid = "99999999-9999-9999-9999-999999999999" });
        model_start(&server, &(struct model_options){});
        run = start_verb(migrate);
        ck_assert_int_eq(end_verb(&run), 0);
        ck_assert_uint_eq(server.seen->released, 0);
        model_stop(&server);
}
END_TEST

START_TEST(without_a_daemon_only_a_guest_without_a_vf)
{
        struct verb_run run;

        snprintf(server.socket, sizeof(server.socket), "/tmp/vswitch-test-nothing/control");
        setup(&(struct plan){});
        run = start_verb(migrate);
        ck_assert_int_eq(end_verb(&run), 0);
        ck_assert_ptr_nonnull(strstr(run.text, "g1 has no VF and is migrated all the same"));
        ck_assert_uint_eq(plan->started, 1);

        plan->has_vf = true;
        run = start_verb(migrate);
        ck_assert_int_eq(end_verb(&run), 3);
        ck_assert_ptr_nonnull(strstr(run.text, "systemctl start vswitchd"));
        ck_assert_uint_eq(plan->started, 1);
}
END_TEST

START_TEST(an_unknown_domain_changes_nothing)
{
        const char *const unknown[] = { "migrate", "g9", "qemu+ssh://other/system", NULL };
        struct verb_run run;

        setup(&(struct plan){});
        model_start(&server, &(struct model_options){});
        run = start_verb(unknown);
        ck_assert_int_eq(end_verb(&run), 4);
        ck_assert_uint_eq(plan->started, 0);
        ck_assert_uint_eq(server.seen->released, 0);
        model_stop(&server);
}
END_TEST

/* The events of a chatty daemon are taken in all the time; else it would drop this client, and the hold. */
START_TEST(the_hold_survives_a_chatty_daemon)
{
        struct verb_run run;

        setup(&(struct plan){ .msec = 6000 });
        model_start(&server, &(struct model_options){ .chatty_msec = 1 });
        run = start_verb(migrate);
        ck_assert_msg(end_verb(&run) == 0, "%s", run.text);
        ck_assert_uint_eq(plan->held_at_end, 1);
        model_stop(&server);
}
END_TEST

START_TEST(a_daemon_that_restarts_is_told_again)
{
        struct verb_run run;

        setup(&(struct plan){ .msec = 60000 });
        model_start(&server, &(struct model_options){});
        run = start_verb(migrate);
        ck_assert(model_wait_until(plan->started == 1));
        server.seen->held_nics = 0;
        model_crash(&server);
        model_restart(&server, &(struct model_options){});
        ck_assert(model_wait_until(server.seen->held_nics == 1));
        ck_assert_str_eq(server.seen->last_hold, "connection");
        kill(run.pid, SIGTERM);
        ck_assert_int_eq(end_verb(&run), 1);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);
}
END_TEST

/* Everything that the real program does before libvirt is to migrate; the test driver cannot. */
START_TEST(the_real_program)
{
        const char *const unknown[] = { "migrate", "-c", "test:///default", "g9", "test:///default", NULL };
        const char *const nowhere[] = { "migrate", "-c", "test:///default", "test", "nonsense:///", NULL };
        const char *const unable[] = { "migrate", "-c", "test:///default", "test", "test:///default", "--json", NULL };
        const char *const usage[] = { "migrate", "test", NULL };
        struct run run;

        model_start(&server, &(struct model_options){});
        run = run_cli(server.socket, unknown);
        ck_assert_msg(run.exit_code == 4, "%d %s", run.exit_code, run.errors);
        ck_assert_ptr_nonnull(strstr(run.errors, "there is no domain \"g9\" here"));
        run = run_cli(server.socket, nowhere);
        ck_assert_int_eq(run.exit_code, 1);
        ck_assert_ptr_nonnull(strstr(run.errors, "cannot connect to the destination's libvirt (nonsense:///)"));
        run = run_cli(server.socket, unable);
        ck_assert_int_eq(run.exit_code, 1);
        ck_assert_ptr_nonnull(strstr(run.errors, "libvirt could not migrate it: "));
        ck_assert_ptr_nonnull(strstr(run.output, "\"exit_code\": 1"));
        ck_assert_int_eq(run_cli(server.socket, usage).exit_code, 2);
        model_stop(&server);

        run = run_cli("/tmp/vswitch-test-nothing/control", unable);
        ck_assert_int_eq(run.exit_code, 1);
        ck_assert_ptr_nonnull(strstr(run.errors, "test has no VF and is migrated all the same"));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("cli-migrate");
        TCase *tests = tcase_create("cli-migrate");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, the_guest_leaves_its_vf_first);
        tcase_add_test(tests, a_failure_ends_the_hold);
        tcase_add_loop_test(tests, an_interrupt_aborts_and_ends_the_hold, 0, 3);
        tcase_add_test(tests, a_kill_ends_the_hold);
        tcase_add_test(tests, a_guest_that_keeps_its_vf_is_not_migrated);
        tcase_add_test(tests, every_nic_is_held);
        tcase_add_test(tests, a_guest_without_nics_just_migrates);
        tcase_add_test(tests, without_a_daemon_only_a_guest_without_a_vf);
        tcase_add_test(tests, an_unknown_domain_changes_nothing);
        tcase_add_test(tests, the_hold_survives_a_chatty_daemon);
        tcase_add_test(tests, a_daemon_that_restarts_is_told_again);
        tcase_add_test(tests, the_real_program);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
