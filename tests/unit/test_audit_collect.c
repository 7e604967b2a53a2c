/* SPDX-License-Identifier: Apache-2.0 */

/* The parts of the audit's picture that need no card: libvirt (its built-in test driver), vswitchd (a model), its files,
 * processes. */

#include "src/audit/audit.h"
#include "src/audit/collect.h"
#include "src/control/client.h"
#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UUID "99999999-9999-9999-9999-999999999999"

static char directory[64];
static struct audit_picture picture;
static struct audit_sources sources;

static void set_up(void)
{
        snprintf(directory, sizeof(directory), "/tmp/vswitch-audit-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        picture = (struct audit_picture){ 0 };
        snprintf(picture.runtime_directory, sizeof(picture.runtime_directory), "%s", directory);
        sources = (struct audit_sources){ .runtime_directory = directory, .state_directory = directory };
}

static void tear_down(void)
{
        char command[128];

        audit_picture_clear(&picture);
        snprintf(command, sizeof(command), "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

static void write_text(const char *name, const char *text)
{
        char path[192];
        char *slash;
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        slash = strrchr(path, '/');
        *slash = '\0';
        ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        fclose(file);
}

/* ---- libvirt ---- */

START_TEST(guests_are_listed)
{
        struct guest **guests = NULL;
        struct vswitch_error error = { 0 };
        size_t count = 0;

        ck_assert_msg(audit_guests_list("test:///default", &guests, &count, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(count, 1);
        ck_assert_str_eq(guests[0]->name, "test");
        ck_assert_int_eq(guests[0]->state, GUEST_RUNNING);
        guest_free(guests[0]);
        free(guests);
}
END_TEST

START_TEST(libvirt_is_not_there)
{
        struct guest **guests = NULL;
        struct vswitch_error error = { 0 };
        size_t count = 0;
        char uri[160];

        snprintf(uri, sizeof(uri), "qemu+unix:///system?socket=%s/nobody", directory);
        ck_assert_int_lt(audit_guests_list(uri, &guests, &count, &error), 0);
        ck_assert_msg(strstr(error.text, "no connection to libvirt") != NULL, "%s", error.text);
        ck_assert_ptr_null(guests);
}
END_TEST

/* As a libvirtd that was stopped: the kernel takes the connection, and nobody answers. */
START_TEST(libvirt_does_not_answer)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct guest **guests = NULL;
        struct vswitch_error error = { 0 };
        size_t count = 0;
        char uri[160];

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/libvirt", directory);
        ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(listen(listener, 5), 0);
        snprintf(uri, sizeof(uri), "qemu+unix:///system?socket=%s/libvirt", directory);
        ck_assert_int_eq(audit_guests_list_within(uri, 1, &guests, &count, &error), -ETIMEDOUT);
        ck_assert_str_eq(error.text, "libvirt did not answer within 1 seconds");
        close(listener);
}
END_TEST

/* ---- vswitchd ---- */

static const struct audit_daemon_nic *find_nic(const char *uuid, const char *alias)
{
        for (size_t i = 0; i < picture.daemon_nics_count; i++)
                if (strcmp(picture.daemon_nics[i].uuid, uuid) == 0 && strcmp(picture.daemon_nics[i].alias, alias) == 0)
                        return &picture.daemon_nics[i];
        ck_abort_msg("%s/%s is not there", uuid, alias);
}

START_TEST(the_daemon_is_asked)
{
        struct vswitch_error error = { 0 };
        struct model_server server;
        struct client *client = NULL;
        const struct audit_daemon_nic *nic;

        model_start(&server, &(struct model_options){ .move_msec = 60000 });
        ck_assert_int_eq(client_connect(server.socket, 5000000, &client, &error), 0);
        ck_assert_int_eq(client_nic_acquire(client, MODEL_G2, "ua-net1", 5000000, &error), 0);
        ck_assert_int_eq(audit_ask_daemon(server.socket, &picture), 0);
        ck_assert_int_eq(picture.daemon, AUDIT_DAEMON_UP);
        nic = find_nic(MODEL_G1, "ua-net0");
        ck_assert_str_eq(nic->situation, "on-vf");
        ck_assert_str_ne(nic->vf, "");
        ck_assert(!vswitch_mac_is_zero(&nic->mac));
        ck_assert(!nic->is_moving);
        ck_assert(!find_nic(MODEL_G2, "ua-net0")->is_moving);
        ck_assert(find_nic(MODEL_G2, "ua-net1")->is_moving);
        client_free(client);
        model_stop(&server);
}
END_TEST

START_TEST(a_daemon_that_is_not_there_is_down)
{
        char path[96];

        snprintf(path, sizeof(path), "%s/control", directory);
        ck_assert_int_eq(audit_ask_daemon(path, &picture), 0);
        ck_assert_int_eq(picture.daemon, AUDIT_DAEMON_DOWN);
}
END_TEST

START_TEST(a_daemon_that_hangs_is_silent)
{
        struct model_server server;

        model_start(&server, &(struct model_options){ 0 });
        kill(server.pid, SIGSTOP);
        ck_assert_int_eq(audit_ask_daemon(server.socket, &picture), 0);
        ck_assert_int_eq(picture.daemon, AUDIT_DAEMON_SILENT);
        ck_assert_str_ne(picture.daemon_sentence, "");
        kill(server.pid, SIGCONT);
        model_stop(&server);
}
END_TEST

/* ---- files ---- */

static const struct audit_file *find_unreadable(const char *name)
{
        for (size_t i = 0; i < picture.unreadable_count; i++)
                if (strstr(picture.unreadable[i].path, name))
                        return &picture.unreadable[i];
        return NULL;
}

START_TEST(files_are_read_and_left_alone)
{
        struct vswitch_error error = { 0 };
        char path[192];

        write_text("claims/0000:01:10.0.json", "{");
        write_text("claims/0000:01:10.1.new", "{"); /* the daemon is writing it */
        write_text("nics/" UUID ".ua-net0.json",
                   "{\"version\": 1, \"uuid\": \"" UUID "\", \"alias\": \"ua-net0\", \"domain\": \"g9\", \"mac\": "
                   "\"52:54:00:00:00:09\", \"switch\": \"br0\", \"tap\": \"tap9\", \"held\": false}");
        write_text("neighbours/7.json",
                   "{\"version\": 1, \"pf\": \"eth0\", \"ifindex\": 7, \"macs\": {\"52:54:00:00:00:01\": 5, "
                   "\"52:54:00:00:00:02\": 6}}");
        write_text("neighbours/8.json", "[]");
        write_text("pf/0000:01:00.0.json", "{ \"version\": 1, \"vfs\": 4 }");
        write_text("pf/0000:02:00.0.json", "{ \"version\": 9, \"vfs\": 4 }");
        ck_assert_msg(audit_collect_files(&sources, &picture, &error) == 0, "%s", error.text);

        ck_assert_uint_eq(picture.claims_count, 0);
        ck_assert_uint_eq(picture.records_count, 1);
        ck_assert_str_eq(picture.records[0].domain, "g9");
        ck_assert_uint_eq(picture.notes_count, 1);
        ck_assert_str_eq(picture.notes[0].pf, "eth0");
        ck_assert_int_eq(picture.notes[0].ifindex, 7);
        ck_assert_uint_eq(picture.notes[0].entries_count, 2);
        ck_assert_int_eq(picture.notes[0].entries[0].port + picture.notes[0].entries[1].port, 11);
        ck_assert_uint_eq(picture.kept_count, 1);
        ck_assert_str_eq(picture.kept[0].address, "0000:01:00.0");
        ck_assert_uint_eq(picture.kept[0].count, 4);
        ck_assert_uint_eq(picture.unreadable_count, 3);
        ck_assert_ptr_nonnull(find_unreadable("claims/0000:01:10.0.json"));
        ck_assert_ptr_nonnull(find_unreadable("neighbours/8.json"));
        ck_assert_ptr_nonnull(strstr(find_unreadable("pf/0000:02:00.0.json")->sentence, "another version"));
        snprintf(path, sizeof(path), "%s/claims/0000:01:10.1.new", directory);
        ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(no_files_are_no_trouble)
{
        struct vswitch_error error = { 0 };
        char path[192];

        ck_assert_msg(audit_collect_files(&sources, &picture, &error) == 0, "%s", error.text);
        ck_assert_uint_eq(picture.unreadable_count + picture.records_count, 0);
        snprintf(path, sizeof(path), "%s/claims", directory);
        ck_assert_int_ne(access(path, F_OK), 0); /* and none is made */
}
END_TEST

/* ---- processes ---- */

START_TEST(qemus_are_found_by_their_uuid)
{
        const struct timespec moment = { .tv_nsec = 10000000 };
        bool has_daemon = false, found = false;
        int gate[2];
        pid_t child;

        ck_assert_int_eq(pipe2(gate, O_CLOEXEC), 0);
        child = fork();
        if (child == 0) {
                dup2(gate[0], STDIN_FILENO);
                execl("/bin/sh", "qemu-system-x86_64", "-c", "read line", "-name", "g9", "-uuid", UUID, "-m", "1G",
                      NULL);
                _exit(1);
        }
        for (unsigned i = 0; i < 500 && !found; i++) {
                audit_picture_clear(&picture);
                ck_assert_int_eq(audit_collect_processes(&picture, &has_daemon), 0);
                for (size_t j = 0; j < picture.processes_count; j++)
                        found |= picture.processes[j].pid == child && strcmp(picture.processes[j].uuid, UUID) == 0;
                nanosleep(&moment, NULL);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(gate[0]);
        close(gate[1]);
        ck_assert(found);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("audit-collect");
        TCase *tests = tcase_create("audit-collect");
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(tests, set_up, tear_down);
        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, guests_are_listed);
        tcase_add_test(tests, libvirt_is_not_there);
        tcase_add_test(tests, libvirt_does_not_answer);
        tcase_add_test(tests, the_daemon_is_asked);
        tcase_add_test(tests, a_daemon_that_is_not_there_is_down);
        tcase_add_test(tests, a_daemon_that_hangs_is_silent);
        tcase_add_test(tests, files_are_read_and_left_alone);
        tcase_add_test(tests, no_files_are_no_trouble);
        tcase_add_test(tests, qemus_are_found_by_their_uuid);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
