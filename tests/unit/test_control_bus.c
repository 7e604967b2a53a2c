/* SPDX-License-Identifier: Apache-2.0 */

/* The control channel on a system bus: a bus daemon of our own, with the policy that is installed. */

#include "src/control/cleanup.h"
#include "src/control/protocol.h"
#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NIC_PATH CONTROL_PATH "/nic/_311111111_2d1111_2d1111_2d1111_2d111111111111/ua_2dnet0"
#define NOBODY   65534

/* A group that is there everywhere, in place of "vswitch". */
#define GROUP_NAME "daemon"

static char directory[64], policy_path[96], config_path[96], address[128];
static pid_t bus_daemon;
static struct model_server server;

static void copy_policy(void)
{
        char line[1024];
        FILE *from = fopen(VSWITCH_TEST_POLICY, "re"), *to = fopen(policy_path, "we");

        ck_assert(from && to);
        while (fgets(line, sizeof(line), from)) {
                if (strstr(line, "group=\"vswitch\""))
                        strcpy(line, "<policy group=\"" GROUP_NAME "\">\n");
                fputs(line, to);
        }
        fclose(from);
        fclose(to);
}

/* As in system.conf, with the policy or with none (everybody may call everything). */
static void write_config(bool with_policy)
{
        FILE *file = fopen(config_path, "we");

        ck_assert_ptr_nonnull(file);
        fprintf(file,
                "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n"
                " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                "<busconfig>\n  <type>system</type>\n  <listen>%s</listen>\n  <auth>EXTERNAL</auth>\n"
                "  <policy context=\"default\">\n    <allow user=\"*\"/>\n    <%s own=\"*\"/>\n"
                "    <%s send_type=\"method_call\"/>\n    <allow send_type=\"signal\"/>\n"
                "    <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
                "    <allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
                "    <allow receive_type=\"method_call\"/>\n    <allow receive_type=\"method_return\"/>\n"
                "    <allow receive_type=\"error\"/>\n    <allow receive_type=\"signal\"/>\n"
                "    <allow send_destination=\"org.freedesktop.DBus\"/>\n  </policy>\n",
                address, with_policy ? "deny" : "allow", with_policy ? "deny" : "allow");
        if (with_policy)
                fprintf(file, "  <include>%s</include>\n", policy_path);
        fputs("</busconfig>\n", file);
        fclose(file);
}

static void start_bus(bool with_policy)
{
        char option[128], path[96];

        write_config(with_policy);
        snprintf(option, sizeof(option), "--config-file=%s", config_path);
        bus_daemon = fork();
        if (bus_daemon == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (!freopen("/dev/null", "w", stderr)) /* it complains about limits */
                        _exit(127);
                execlp("dbus-daemon", "dbus-daemon", option, "--nofork", "--nopidfile", "--nosyslog", (char *) NULL);
                _exit(127);
        }
        snprintf(path, sizeof(path), "%s/bus", directory);
        ck_assert(model_wait_until(access(path, F_OK) == 0));
}

static void stop_bus(void)
{
        char path[96];

        kill(bus_daemon, SIGTERM);
        waitpid(bus_daemon, NULL, 0);
        snprintf(path, sizeof(path), "%s/bus", directory);
        unlink(path);
}

static void setup(void)
{
        strcpy(directory, "/tmp/vswitch-test-bus-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        chmod(directory, 0755);
        snprintf(policy_path, sizeof(policy_path), "%s/org.vswitch1.conf", directory);
        snprintf(config_path, sizeof(config_path), "%s/bus.conf", directory);
        snprintf(address, sizeof(address), "unix:path=%s/bus", directory);
        copy_policy();
        setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
        setenv("VSWITCH_TEST_BUS", "1", 1);
}

static void teardown(void)
{
        unlink(policy_path);
        unlink(config_path);
        rmdir(directory);
}

static bool name_is_there(sd_bus *bus)
{
        return sd_bus_get_name_creds(bus, CONTROL_SERVICE, 0, NULL) >= 0;
}

static sd_bus *connected(void)
{
        sd_bus *bus = NULL;

        /* Its socket is there a moment before it listens. */
        ck_assert(model_wait_until(sd_bus_open_system(&bus) >= 0));
        return bus;
}

/* 0, or what the daemon or the bus said as an errno of ours. */
static int call(sd_bus *bus, const char *path, const char *interface, const char *member, const char *argument)
{
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = argument
                        ? sd_bus_call_method(bus, CONTROL_SERVICE, path, interface, member, &error, NULL, "s", argument)
                        : sd_bus_call_method(bus, CONTROL_SERVICE, path, interface, member, &error, NULL, NULL);

        return r < 0 ? protocol_error_number(error.name) : 0;
}

static int read_path(sd_bus *bus)
{
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_get_property_string(bus, CONTROL_SERVICE, NIC_PATH, PROTOCOL_NIC, "Path", &error, &path);

        return r < 0 ? protocol_error_number(error.name) : 0;
}

START_TEST(root_may_do_everything)
{
        sd_bus *bus, *other;

        start_bus(true);
        model_start(&server, &(struct model_options){});
        bus = connected();
        other = connected();
        ck_assert(model_wait_until(name_is_there(bus)));
        ck_assert_int_eq(read_path(bus), 0);
        ck_assert_int_eq(call(bus, CONTROL_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL), 0);

        /* A hold ends with the sender, and only with this one. */
        ck_assert_int_eq(call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "connection"), 0);
        ck_assert_uint_eq(server.seen->last_uid, 0);
        ck_assert_ptr_nonnull(strstr(server.seen->last_description, "uid 0"));
        ck_assert_int_eq(call(other, NIC_PATH, PROTOCOL_NIC, "Acquire", NULL), 0);
        ck_assert_int_eq(call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "connection"), 0);
        sd_bus_flush_close_unref(other);
        ck_assert(model_wait_until(server.seen->gone == 1));
        ck_assert_uint_eq(server.seen->held_nics, 1);
        sd_bus_flush_close_unref(bus);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        model_stop(&server);
        stop_bus();
}
END_TEST

/* In a process of its own that is somebody else. */
static int as(uid_t uid, gid_t gid, int (*what)(sd_bus *bus))
{
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
                sd_bus *bus = NULL;

                if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0 || sd_bus_open_system(&bus) < 0)
                        _exit(99);
                _exit(what(bus));
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int member_of_group(sd_bus *bus)
{
        if (read_path(bus) != 0)
                return 1;
        if (call(bus, CONTROL_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL) != 0)
                return 2;
        return call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "none") == -EACCES ? 0 : 3;
}

static int anybody(sd_bus *bus)
{
        if (read_path(bus) != -EACCES)
                return 1;
        return call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "none") == -EACCES ? 0 : 2;
}

START_TEST(the_policy_lets_the_group_read_and_others_nothing)
{
        sd_bus *bus;

        start_bus(true);
        model_start(&server, &(struct model_options){});
        bus = connected();
        ck_assert(model_wait_until(name_is_there(bus)));
        ck_assert_int_eq(as(NOBODY, getgrnam(GROUP_NAME)->gr_gid, member_of_group), 0);
        ck_assert_int_eq(as(NOBODY, NOBODY, anybody), 0);
        ck_assert_uint_eq(server.seen->released, 0);
        sd_bus_flush_close_unref(bus);
        model_stop(&server);
        stop_bus();
}
END_TEST

static int anybody_without_policy(sd_bus *bus)
{
        if (read_path(bus) != 0)
                return 1;
        if (call(bus, NIC_PATH, PROTOCOL_NIC, "Acquire", NULL) != -EACCES)
                return 2;
        return call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "none") == -EACCES ? 0 : 3;
}

START_TEST(the_daemon_does_not_rely_on_the_policy)
{
        sd_bus *bus;

        start_bus(false);
        model_start(&server, &(struct model_options){});
        bus = connected();
        ck_assert(model_wait_until(name_is_there(bus)));
        ck_assert_int_eq(as(NOBODY, NOBODY, anybody_without_policy), 0);
        ck_assert_uint_eq(server.seen->released + server.seen->acquired, 0);
        sd_bus_flush_close_unref(bus);
        model_stop(&server);
        stop_bus();
}
END_TEST

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        ++*(unsigned *) userdata;
        return 0;
}

START_TEST(signals_go_to_the_bus)
{
        unsigned changes = 0, events = 0;
        sd_bus *bus;

        start_bus(true);
        model_start(&server, &(struct model_options){ .move_msec = 50 });
        bus = connected();
        ck_assert(model_wait_until(name_is_there(bus)));
        ck_assert_int_ge(sd_bus_match_signal(bus, NULL, CONTROL_SERVICE, NIC_PATH, "org.freedesktop.DBus.Properties",
                                             "PropertiesChanged", on_changed, &changes),
                         0);
        ck_assert_int_ge(sd_bus_match_signal(bus, NULL, CONTROL_SERVICE, CONTROL_PATH, PROTOCOL_MANAGER, "Event",
                                             on_changed, &events),
                         0);
        ck_assert_int_eq(call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "none"), 0);
        for (unsigned i = 0; i < 50 && (changes < 2 || events < 1); i++) {
                while (sd_bus_process(bus, NULL) > 0)
                        ;
                sd_bus_wait(bus, 100000);
        }
        ck_assert_uint_eq(changes, 2);
        ck_assert_uint_eq(events, 1);
        sd_bus_flush_close_unref(bus);
        model_stop(&server);
        stop_bus();
}
END_TEST

START_TEST(a_bus_that_comes_later_and_comes_back)
{
        sd_bus *bus;

        model_start(&server, &(struct model_options){});
        usleep(200000); /* it has tried, in vain */
        start_bus(true);
        bus = connected();
        for (unsigned i = 0; i < 3 && !model_wait_until(name_is_there(bus)); i++)
                ;
        ck_assert(name_is_there(bus));
        ck_assert_int_eq(call(bus, NIC_PATH, PROTOCOL_NIC, "Release", "connection"), 0);
        ck_assert_uint_eq(server.seen->held_nics, 1);
        sd_bus_close_unref(bus);

        stop_bus();
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        start_bus(true);
        bus = connected();
        for (unsigned i = 0; i < 3 && !model_wait_until(name_is_there(bus)); i++)
                ;
        ck_assert_int_eq(read_path(bus), 0);
        sd_bus_flush_close_unref(bus);
        model_stop(&server);
        stop_bus();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("control-bus");
        TCase *tests = tcase_create("control-bus");
        SRunner *runner;
        int failed;

        if (geteuid() != 0 || system("dbus-daemon --version >/dev/null 2>&1") != 0) {
                puts("skipped: this needs root and dbus-daemon");
                return 77;
        }
        tcase_set_timeout(tests, 60);
        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, root_may_do_everything);
        tcase_add_test(tests, the_policy_lets_the_group_read_and_others_nothing);
        tcase_add_test(tests, the_daemon_does_not_rely_on_the_policy);
        tcase_add_test(tests, signals_go_to_the_bus);
        tcase_add_test(tests, a_bus_that_comes_later_and_comes_back);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
