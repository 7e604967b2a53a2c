/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The command line as its users run it: the real program, against the real server with a model behind it. What each
 * verb prints is compared with the files in test_cli_golden/; VSWITCH_TEST_REGENERATE=1 writes them anew.
 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"
#include "src/control/client.h"
#include "test_cli_run.h"
#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000)

static struct model_server server;

/* Every verb for people and for programs. */
static const struct {
        const char *file;
        const char *arguments[8]; /* ends with NULL */
        int exit_code;
        struct model_options options;
} golden[] = {
        { "help", { "--help" }, 0, {} },
        { "help-release", { "nic", "release", "--help" }, 0, {} },
        { "help-migrate", { "migrate", "--help" }, 0, {} },
        { "status", { "status" }, 0, {} },
        { "status.json", { "status", "--json" }, 0, {} },
        { "status-no-libvirt", { "status" }, 0, { .libvirt_lost = true } },
        { "nic-list", { "nic", "list" }, 0, {} },
        { "nic-list.json", { "--json", "nic", "list" }, 0, {} },
        { "nic-list-no-libvirt", { "nic", "list" }, 0, { .libvirt_lost = true } },
        { "nic-list-g2", { "nic", "list", "g2" }, 0, {} },
        { "nic-show", { "nic", "show", "g1" }, 0, {} },
        { "nic-show-uuid", { "nic", "show", MODEL_G3 "/net0" }, 0, {} },
        { "nic-show.json", { "nic", "-j", "show", "g3" }, 0, {} },
        { "nic-why", { "nic", "why", "g1" }, 0, {} },
        { "nic-why-no-vf", { "nic", "why", "g2/ua-net1" }, 0, { .in_trouble = true } },
        { "nic-why.json", { "nic", "why", "g2/ua-net1", "-j" }, 0, { .in_trouble = true } },
        { "nic-why-never", { "nic", "why", "g3" }, 0, { .libvirt_lost = true } },
        { "nic-why-which", { "nic", "why", "g2" }, 2, {} },
        { "help-set", { "nic", "set", "--help" }, 0, {} },
        { "nic-set", { "nic", "set", "g1/ua-net0", "weight=80", "vlan=" }, 0, {} },
        { "nic-set-live", { "nic", "set", "g2", "weight=0", "--live" }, 0, {} },
        { "nic-set.json", { "nic", "set", "g1", "weight=80", "-j" }, 0, {} },
        { "nic-set-dry", { "nic", "set", "g1", "weight=80", "--dry-run" }, 0, {} },
        { "nic-set-dry-live", { "nic", "set", "g2", "weight=80", "--dry-run", "--live" }, 0, {} },
        { "nic-set-value", { "nic", "set", "g1", "weight=101" }, 1, {} },
        { "nic-set-no-value", { "nic", "set", "g1", "weight" }, 2, {} },
        { "nic-set-nothing", { "nic", "set", "g1" }, 2, {} },
        { "nic-set-unreadable", { "nic", "set", "g1", "weight=1" }, 1, { .policy_bad = true } },
        { "nic-set-unknown", { "nic", "set", "g9", "weight=1" }, 4, {} },
        { "nic-set-slow", { "nic", "set", "g1", "weight=1", "-t", "0.2" }, 6, { .policy_silent = true } },
        { "pf-list", { "pf", "list" }, 0, {} },
        { "pf-list.json", { "pf", "list", "-j" }, 0, {} },
        { "pf-show", { "pf", "show", "enp1s0" }, 0, {} },
        { "pf-show.json", { "pf", "show", "enp1s0", "-j" }, 0, {} },
        { "help-set-vfs", { "pf", "set-vfs", "--help" }, 0, {} },
        { "set-vfs", { "pf", "set-vfs", "enp1s0", "4" }, 0, {} },
        { "set-vfs-keep.json", { "pf", "set-vfs", "enp1s0", "4", "--keep", "-j" }, 0, { .set_vfs_msec = 50 } },
        { "set-vfs-in-use", { "pf", "set-vfs", "enp1s0", "0" }, 1, {} },
        { "set-vfs-failed", { "pf", "set-vfs", "enp1s0", "4" }, 1, { .set_vfs_msec = 50, .vfs_fail = true } },
        { "set-vfs-slow", { "pf", "set-vfs", "enp1s0", "4", "-t", "0.2" }, 6, { .set_vfs_msec = 60000 } },
        { "set-vfs-unknown", { "pf", "set-vfs", "eth9", "4" }, 4, {} },
        { "set-vfs-number", { "pf", "set-vfs", "enp1s0", "four" }, 2, {} },
        { "set-vfs-many", { "pf", "set-vfs", "enp1s0", "4000000000" }, 2, {} },
        { "switch-list", { "switch", "list" }, 0, {} },
        { "switch-list.json", { "switch", "list", "-j" }, 0, {} },
        { "switch-show", { "switch", "show" }, 0, {} },
        { "switch-show-one", { "switch", "show", "lab net" }, 0, {} },
        { "switch-show.json", { "switch", "show", "br0", "-j" }, 0, {} },
        { "unknown-switch", { "switch", "show", "br8" }, 4, {} },
        { "release", { "nic", "release", "g1" }, 0, { .move_msec = 50 } },
        { "release.json", { "nic", "release", "g1", "-j" }, 0, { .move_msec = 50 } },
        { "release-hold", { "nic", "release", "g1/ua-net0", "--hold" }, 0, { .move_msec = 50 } },
        { "release-no-wait", { "nic", "release", "g1", "-n" }, 0, { .move_msec = 10000 } },
        { "release-refused", { "nic", "release", "g1" }, 1, { .move_msec = 50, .moves_fail = true } },
        { "release-refused.json", { "nic", "release", "g1", "-j" }, 1, { .move_msec = 50, .moves_fail = true } },
        { "release-slow", { "nic", "release", "g1", "-t", "0.2" }, 6, { .move_msec = 10000 } },
        { "release-already", { "nic", "release", "g2/ua-net1" }, 0, {} },
        { "acquire", { "nic", "acquire", "g2/ua-net1" }, 0, { .move_msec = 50 } },
        { "acquire.json", { "nic", "acquire", "g2/ua-net1", "-j" }, 0, { .move_msec = 50 } },
        { "acquire-failed", { "nic", "acquire", "g2/ua-net1" }, 1, { .move_msec = 50, .moves_fail = true } },
        { "acquire-impossible", { "nic", "acquire", "g3" }, 1, {} },
        { "acquire-which", { "nic", "acquire", "g2" }, 2, {} },
        { "unknown-domain", { "nic", "show", "g9" }, 4, {} },
        { "unknown-domain.json", { "nic", "release", "g9", "-j" }, 4, {} },
        { "unknown-domain-no-libvirt", { "nic", "acquire", "g9" }, 4, { .libvirt_lost = true } },
        { "unknown-nic", { "nic", "show", "g2/ua-net9" }, 4, {} },
        { "unknown-pf", { "pf", "show", "eth9" }, 4, {} },
        { "unknown-verb", { "nicc", "list" }, 2, {} },
        { "unknown-subverb", { "nic", "remove", "g1" }, 2, {} },
        { "unknown-option", { "status", "--colour" }, 2, {} },
        { "wrong-option", { "status", "--hold" }, 2, {} },
        { "missing-argument", { "nic", "show" }, 2, {} },
        { "missing-value", { "status", "--socket" }, 2, {} },
        { "wrong-timeout", { "status", "--timeout", "soon" }, 2, {} },
        { "nothing", {}, 2, {} },
};

START_TEST(what_is_printed)
{
        char text[2 * sizeof(((struct run *) 0)->output)];
        struct run run;

        setenv("TZ", "UTC", 1);
        model_start(&server, &golden[_i].options);
        run = run_cli(server.socket, golden[_i].arguments);
        snprintf(text, sizeof(text), "%s%s%s", run.output, run.errors[0] ? "--- stderr\n" : "", run.errors);
        ck_assert_msg(run.exit_code == golden[_i].exit_code, "%s: exit %d, %s", golden[_i].file, run.exit_code, text);
        compare_with_golden(VSWITCH_TEST_GOLDEN, golden[_i].file, text);
        if (strstr(golden[_i].file, ".json")) {
                json_t *json = json_loads(run.output, JSON_REJECT_DUPLICATES, NULL);

                ck_assert_ptr_nonnull(json);
                ck_assert_int_eq(json_integer_value(json_object_get(json, "version")), 1);
                json_decref(json);
        }
        model_stop(&server);
}
END_TEST

START_TEST(nothing_is_asked_twice)
{
        const char *const release[] = { "nic", "release", "g1", "--hold", NULL };

        model_start(&server, &(struct model_options){ .move_msec = 700 });
        ck_assert_int_eq(run_cli(server.socket, release).exit_code, 0);
        ck_assert_uint_eq(server.seen->released, 1);
        ck_assert_uint_eq(server.seen->acquired, 0);
        /* A hold of this kind outlives the program. */
        ck_assert(model_wait_until(server.seen->gone > 0));
        ck_assert_uint_eq(server.seen->held_nics, 1);
        model_stop(&server);
}
END_TEST

START_TEST(usage_mistakes_change_nothing)
{
        const char *const mistakes[][6] = { { "nic", "release", "g1", "g2", NULL },
                                            { "nic", "release", NULL },
                                            { "nic", "acquire", "g2", NULL },
                                            { "nic", "release", "g1", "--persistent", NULL } };

        model_start(&server, &(struct model_options){});
        for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
                ck_assert_int_eq(run_cli(server.socket, mistakes[i]).exit_code, 2);
        ck_assert_uint_eq(server.seen->released + server.seen->acquired, 0);
        model_stop(&server);
}
END_TEST

START_TEST(nobody_there)
{
        const char *const status[] = { "status", NULL };
        struct run run = run_cli("/tmp/vswitch-test-nothing/control", status);

        ck_assert_int_eq(run.exit_code, 3);
        ck_assert_str_eq(run.output, "");
        ck_assert_str_eq(run.errors, "vswitch: no vswitchd answers on /tmp/vswitch-test-nothing/control: start it "
                                     "(systemctl start vswitchd)\n");
}
END_TEST

START_TEST(permission_denied)
{
        const char *const release[] = { "nic", "release", "g1", NULL };
        const char *const list[] = { "nic", "list", NULL };
        pid_t child;
        int result;

        if (geteuid() != 0)
                return; /* there is nobody to become */
        model_start(&server, &(struct model_options){});
        chmod(server.directory, 0755);
        chmod(server.socket, 0666);
        child = fork();
        if (child == 0) {
                struct run run;

                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(9);
                run = run_cli(server.socket, release);
                if (run.exit_code != 5 || !strstr(run.errors, "for root only"))
                        _exit(1);
                _exit(run_cli(server.socket, list).exit_code == 0 ? 0 : 2);
        }
        ck_assert_int_eq(waitpid(child, &result, 0), child);
        ck_assert_int_eq(result, 0);
        chmod(server.socket, 0600);
        child = fork();
        if (child == 0) {
                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(9);
                _exit(run_cli(server.socket, list).exit_code == 5 ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(child, &result, 0), child);
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(server.seen->released, 0);
        model_stop(&server);
}
END_TEST

START_TEST(a_daemon_that_hangs_is_unreachable)
{
        const char *const status[] = { "status", "--timeout", "1", NULL };
        uint64_t begin = client_now();
        struct run run;

        model_start(&server, &(struct model_options){});
        kill(server.pid, SIGSTOP);
        run = run_cli(server.socket, status);
        ck_assert_int_eq(run.exit_code, 3);
        ck_assert_uint_lt(client_now() - begin, 10 * SECOND);
        model_stop(&server);
}
END_TEST

START_TEST(the_daemon_goes_while_it_is_waited_for)
{
        const char *const release[] = { "nic", "release", "g1", NULL };
        struct run run;
        pid_t child;

        model_start(&server, &(struct model_options){ .move_msec = 20000 });
        child = fork();
        if (child == 0) {
                sleep(1);
                kill(server.pid, SIGTERM);
                _exit(0);
        }
        run = run_cli(server.socket, release);
        ck_assert_int_eq(run.exit_code, 3);
        waitpid(child, NULL, 0);
        model_stop(&server);
}
END_TEST

START_TEST(monitor_follows)
{
        const char *const acquire[] = { "nic", "acquire", "g2/ua-net0", NULL };
        const char *const monitor[] = { "monitor", _i ? "--json" : NULL, NULL };
        struct background background;
        char line[512] = "";

        setenv("TZ", "UTC", 1);
        model_start(&server, &(struct model_options){});
        background = start_cli(server.socket, monitor);
        usleep(500000); /* it says nothing when it is ready */
        ck_assert_int_eq(run_cli(server.socket, acquire).exit_code, 0);
        ck_assert_ptr_nonnull(fgets(line, sizeof(line), background.output));
        if (_i) {
                json_t *json = json_loads(line, 0, NULL);

                ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "move");
                ck_assert_str_eq(json_string_value(json_object_get(json, "subject")), "g2/ua-net0");
                json_decref(json);
        } else {
                ck_assert_ptr_nonnull(strstr(line, "  move       g2/ua-net0"));
                ck_assert_ptr_nonnull(strstr(line, "now on its VF"));
        }
        stop_cli(&background);
        model_stop(&server);
}
END_TEST

/* Every verb and option that the program has is in its documentation. */
START_TEST(everything_is_documented)
{
        const char *const help[] = { "--help", NULL };
        char document[65536], wanted[64];
        FILE *file = fopen(VSWITCH_TEST_DOCUMENT, "re");
        struct run run;
        size_t length;
        char *line;

        ck_assert_ptr_nonnull(file);
        length = fread(document, 1, sizeof(document) - 1, file);
        document[length] = '\0';
        fclose(file);
        for (size_t i = 0; i < CLI_OPTION_COUNT; i++) {
                snprintf(wanted, sizeof(wanted), "--%s", cli_options[i].name);
                ck_assert_msg(strstr(document, wanted) != NULL, "%s is not documented", wanted);
        }
        run = run_cli("", help);
        line = strstr(run.output, "Verbs:\n");
        ck_assert_ptr_nonnull(line);
        for (line = strchr(line, '\n') + 1; strncmp(line, "  ", 2) == 0; line = strchr(line, '\n') + 1) {
                char *end = line + 2;

                while (*end == ' ' || (*end >= 'a' && *end <= 'z'))
                        end++;
                while (end[-1] == ' ')
                        end--;
                snprintf(wanted, sizeof(wanted), "`%.*s", (int) (end - line - 2), line + 2);
                ck_assert_msg(strstr(document, wanted) != NULL, "%s is not documented", wanted + 1);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("cli");
        TCase *tests = tcase_create("cli");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_loop_test(tests, what_is_printed, 0, sizeof(golden) / sizeof(golden[0]));
        tcase_add_test(tests, nothing_is_asked_twice);
        tcase_add_test(tests, usage_mistakes_change_nothing);
        tcase_add_test(tests, nobody_there);
        tcase_add_test(tests, permission_denied);
        tcase_add_test(tests, a_daemon_that_hangs_is_unreachable);
        tcase_add_test(tests, the_daemon_goes_while_it_is_waited_for);
        tcase_add_loop_test(tests, monitor_follows, 0, 2);
        tcase_add_test(tests, everything_is_documented);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
