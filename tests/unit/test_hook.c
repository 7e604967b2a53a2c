/* SPDX-License-Identifier: Apache-2.0 */

/* libvirt's hook as libvirt runs it: the real program, against the real server with a model behind it. */

#include "hooks/teamed_vf.h"
#include "src/control/cleanup.h"
#include "src/control/client.h"
#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000)
#define DOMAIN(devices)                                                                                                \
        "<domain type='kvm' id='3'>\n  <name>g1</name>\n  <metadata>\n    <x:devices xmlns:x='urn:x'/>\n  "            \
        "</metadata>\n"                                                                                                \
        "  <devices>\n    <disk type='file' device='disk'/>\n" devices "  </devices>\n</domain>\n"
#define VF                                                                                                             \
        "    <hostdev mode='subsystem' type='pci' managed='no'>\n      <driver name='vfio'/>\n      <source>\n"        \
        "        <address domain='0x0000' bus='0x01' slot='0x10' function='0x0'/>\n      </source>\n"                  \
        "      <teaming type='transient' persistent='ua-net0'/>\n    </hostdev>\n"
#define NIC "    <interface type='bridge'>\n      <teaming type='persistent'/>\n    </interface>\n"

START_TEST(teamed_vfs_are_found)
{
        ck_assert(teamed_vf_present(DOMAIN(NIC VF)));
        ck_assert(teamed_vf_present(DOMAIN(VF NIC)));
        ck_assert(teamed_vf_present(
                "<domain><devices><hostdev a = \"x>y\" ><teaming persistent='n'\ntype=\"transient\" />"));
        ck_assert(!teamed_vf_present(DOMAIN(NIC)));
        ck_assert(!teamed_vf_present(""));
        ck_assert(!teamed_vf_present("no markup"));
        ck_assert(!teamed_vf_present("<domain><devices><hostdev><teaming type='transient'"));
        /* libvirt's own to bind */
        ck_assert(!teamed_vf_present(DOMAIN("<hostdev managed='yes'><teaming type='transient'/></hostdev>")));
        ck_assert(!teamed_vf_present(DOMAIN("<interface type='hostdev'><teaming type='transient'/></interface>")));
        /* elsewhere */
        ck_assert(!teamed_vf_present("<domain><metadata><devices><hostdev><teaming type='transient'/>"));
        ck_assert(!teamed_vf_present(
                "<domain><devices><!-- <hostdev><teaming type='transient'/></hostdev> --></devices>"));
        ck_assert(!teamed_vf_present("<domain><devices><hostdev/><teaming type='transient'/></devices></domain>"));
        ck_assert(!teamed_vf_present("<domain><devices/><hostdev><teaming type='transient'/></hostdev></domain>"));
        ck_assert(!teamed_vf_present("<domain><devices><hostdev><teamings type='transient'/></hostdev></devices>"));
        ck_assert(!teamed_vf_present("<domain><devices><hostdev><source><teaming type='transient'/></source>"));
        ck_assert(!teamed_vf_present("</domain></a><domain><devices><x></hostdev><teaming type='transient'/>"));
}
END_TEST

struct run {
        int exit_code; /* -1: killed */
        char output[4096];
        char errors[4096];
        uint64_t usec;
};

static void read_all(int fd, char *buffer, size_t size)
{
        size_t length = 0;
        ssize_t count;

        while (length + 1 < size && (count = read(fd, buffer + length, size - length - 1)) > 0)
                length += (size_t) count;
        buffer[length] = '\0';
        close(fd);
}

/* `xml` NULL: standard input stays open and silent. */
static struct run run_hook(const char *socket_path, const char *operation, const char *xml)
{
        struct run run = {};
        int input[2], output[2], errors[2], status;
        uint64_t begin = client_now();
        pid_t pid;

        ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(errors, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                dup2(input[0], STDIN_FILENO);
                dup2(output[1], STDOUT_FILENO);
                dup2(errors[1], STDERR_FILENO);
                setenv("VSWITCH_SOCKET", socket_path, 1);
                execl(VSWITCH_TEST_HOOK, VSWITCH_TEST_HOOK, "g1", operation, "begin", "-", (char *) NULL);
                _exit(127);
        }
        close(input[0]);
        close(output[1]);
        close(errors[1]);
        if (xml) {
                ck_assert_int_eq(write(input[1], xml, strlen(xml)), (ssize_t) strlen(xml));
                close(input[1]);
        }
        read_all(output[0], run.output, sizeof(run.output));
        read_all(errors[0], run.errors, sizeof(run.errors));
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        run.usec = client_now() - begin;
        if (!xml)
                close(input[1]);
        return run;
}

static const char *const operations[] = { "prepare", "start",     "started", "stopped",
                                          "release", "reconnect", "attach",  "restore" };

START_TEST(without_a_daemon_only_a_vf_is_refused)
{
        struct run run;

        for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
                run = run_hook("/tmp/vswitch-test-nothing", operations[i], DOMAIN(NIC VF));
                ck_assert_int_eq(run.exit_code, 0);
                ck_assert_str_eq(run.output, "");
        }
        run = run_hook("/tmp/vswitch-test-nothing", "migrate", DOMAIN(NIC));
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_str_eq(run.output, "");
        run = run_hook("/tmp/vswitch-test-nothing", "migrate", DOMAIN(NIC VF));
        ck_assert_int_eq(run.exit_code, 1);
        ck_assert_str_eq(run.output, "");
        ck_assert_ptr_nonnull(strstr(run.errors, "`vswitch migrate`"));
        ck_assert_ptr_nonnull(strstr(run.errors, "vswitch nic release g1 --hold"));
}
END_TEST

START_TEST(the_daemon_is_told)
{
        struct model_server server;
        struct run run;

        model_start(&server, &(struct model_options){ .hook = MODEL_HOOK_PASS });
        for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
                run = run_hook(server.socket, operations[i], "<domain/>");
                ck_assert_int_eq(run.exit_code, 0);
                ck_assert_str_eq(run.output, "");
                ck_assert_ptr_nonnull(strstr(server.seen->last_hook, operations[i]));
        }
        ck_assert_str_eq(server.seen->last_hook, "g1 restore begin - <domain/>");
        run = run_hook(server.socket, "migrate", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_str_eq(run.output, "");
        model_stop(&server);
}
END_TEST

START_TEST(an_incoming_guest_gets_another_address)
{
        struct model_server server;
        struct run run;

        model_start(&server, &(struct model_options){ .hook = MODEL_HOOK_REWRITE });
        run = run_hook(server.socket, "migrate", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_str_eq(run.output, "<domain>rewritten</domain>\n");
        run = run_hook(server.socket, "prepare", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_str_eq(run.output, "");
        model_stop(&server);
}
END_TEST

START_TEST(an_incoming_guest_is_refused)
{
        struct model_server server;
        struct run run;

        model_start(&server, &(struct model_options){ .hook = MODEL_HOOK_REFUSE });
        run = run_hook(server.socket, "migrate", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 1);
        ck_assert_str_eq(run.output, "");
        ck_assert_str_eq(run.errors, "no free VF on this host: use `vswitch migrate`\n");
        /* Nothing else can be refused, whatever the daemon says. */
        for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
                run = run_hook(server.socket, operations[i], DOMAIN(VF));
                ck_assert_int_eq(run.exit_code, 0);
        }
        model_stop(&server);
}
END_TEST

START_TEST(a_silent_daemon_costs_no_more_than_the_bound)
{
        struct model_server server;
        struct run run;

        model_start(&server, &(struct model_options){ .hook = MODEL_HOOK_SILENT });
        run = run_hook(server.socket, "prepare", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_uint_lt(run.usec, SECOND);
        run = run_hook(server.socket, "migrate", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 1);
        ck_assert_ptr_nonnull(strstr(run.errors, "vswitch migrate"));
        ck_assert_uint_lt(run.usec, 6 * SECOND);
        model_stop(&server);
}
END_TEST

START_TEST(a_stopped_daemon_costs_no_more_than_the_bound)
{
        struct model_server server;
        struct run run;

        model_start(&server, &(struct model_options){});
        kill(server.pid, SIGSTOP);
        run = run_hook(server.socket, "reconnect", DOMAIN(VF));
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_uint_lt(run.usec, SECOND);
        model_stop(&server);
}
END_TEST

START_TEST(standard_input_that_never_ends)
{
        struct model_server server;
        struct run run;

        model_start(&server, &(struct model_options){});
        run = run_hook(server.socket, "stopped", NULL);
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_uint_lt(run.usec, SECOND);
        ck_assert_str_eq(server.seen->last_hook, "g1 stopped begin - "); /* it is told what there is to tell */
        run = run_hook(server.socket, "migrate", NULL);
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_uint_lt(run.usec, 6 * SECOND);
        model_stop(&server);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("hook");
        TCase *tests = tcase_create("hook");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, teamed_vfs_are_found);
        tcase_add_test(tests, without_a_daemon_only_a_vf_is_refused);
        tcase_add_test(tests, the_daemon_is_told);
        tcase_add_test(tests, an_incoming_guest_gets_another_address);
        tcase_add_test(tests, an_incoming_guest_is_refused);
        tcase_add_test(tests, a_silent_daemon_costs_no_more_than_the_bound);
        tcase_add_test(tests, a_stopped_daemon_costs_no_more_than_the_bound);
        tcase_add_test(tests, standard_input_that_never_ends);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
