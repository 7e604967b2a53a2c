/* SPDX-License-Identifier: Apache-2.0 */

/* The control channel end to end: the real server in another process, the real client here. */

#include "src/control/client_json.h"
#include "src/control/cleanup.h"
#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000)

static struct model_server server;

static void start(const struct model_options *options)
{
        model_start(&server, options);
}

static struct client *connected(void)
{
        struct vswitch_error error = {};
        struct client *client = NULL;

        ck_assert_msg(client_connect(server.socket, 5 * SECOND, &client, &error) == 0, "%s", error.text);
        return client;
}

static const char *text(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}

START_TEST(objects_are_shown)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *root = NULL;
        const json_t *nic, *pf, *vf;

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_objects(client, 5 * SECOND, &root, NULL), 0);
        ck_assert_int_eq(json_integer_value(json_object_get(root, "version")), 1);
        ck_assert_str_eq(text(json_object_get(root, "daemon"), "version"), "0.1.0");
        ck_assert_uint_eq(json_array_size(json_object_get(root, "switches")), 3);
        ck_assert_str_eq(text(json_array_get(json_object_get(root, "switches"), 1), "name"), "lab net");
        ck_assert_uint_eq(json_array_size(json_object_get(root, "nics")), 4);
        nic = json_array_get(json_object_get(root, "nics"), 0);
        ck_assert_str_eq(text(nic, "nic"), "g1/ua-net0");
        ck_assert_str_eq(text(nic, "path"), "vf");
        ck_assert(json_is_true(json_object_get(nic, "vf_allocated")));
        pf = json_array_get(json_object_get(root, "pfs"), 0);
        ck_assert_str_eq(text(pf, "steering"), "both");
        ck_assert_uint_eq(json_array_size(json_object_get(pf, "uplink_filters")), 2);
        vf = json_array_get(json_object_get(pf, "vfs"), 2);
        ck_assert_str_eq(text(vf, "owner"), "in use by process 4711");
        ck_assert_int_eq(json_integer_value(json_object_get(vf, "vectors")), 3);
        model_stop(&server);
}
END_TEST

static json_int_t number(const json_t *object, const char *key)
{
        ck_assert_msg(json_is_integer(json_object_get(object, key)), "no number %s", key);
        return json_integer_value(json_object_get(object, key));
}

/* What a driver does not report is not there, rather than 0. */
START_TEST(what_is_unknown_is_not_shown)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *root = NULL;
        const json_t *pf, *vfs, *attributes, *statistics, *nics, *policy;

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_objects(client, 5 * SECOND, &root, NULL), 0);
        pf = json_array_get(json_object_get(root, "pfs"), 0);
        ck_assert_str_eq(text(pf, "steering_source"), "probed 2026-01-01");
        ck_assert_int_eq(number(pf, "filter_capacity"), 14);
        ck_assert_uint_eq(json_array_size(json_object_get(pf, "can_set")), 3);
        ck_assert_str_eq(json_string_value(json_array_get(json_object_get(pf, "can_set"), 1)), "VLAN");
        ck_assert_uint_eq(json_array_size(json_object_get(pf, "cannot_set")), 1);
        ck_assert_str_eq(json_string_value(json_array_get(json_object_get(pf, "refusals"), 0)),
                         "link state: Operation not supported");
        vfs = json_object_get(pf, "vfs");
        attributes = json_object_get(json_array_get(vfs, 0), "attributes");
        statistics = json_object_get(json_array_get(vfs, 0), "statistics");
        ck_assert_int_eq(number(attributes, "vlan"), 30);
        ck_assert_str_eq(text(attributes, "vlan_protocol"), "802.1Q");
        ck_assert_str_eq(text(attributes, "link_state"), "auto");
        ck_assert(json_is_false(json_object_get(attributes, "trust")));
        ck_assert_ptr_null(json_object_get(attributes, "query_rss"));
        ck_assert_int_eq(number(statistics, "received_dropped"), 3);
        ck_assert_int_eq(number(statistics, "sent_dropped"), 0);
        attributes = json_object_get(json_array_get(vfs, 1), "attributes");
        ck_assert_str_eq(text(attributes, "vlan_protocol"), "802.1ad");
        ck_assert_ptr_null(json_object_get(attributes, "trust"));
        ck_assert_ptr_null(json_object_get(json_array_get(vfs, 1), "statistics"));
        ck_assert_ptr_null(json_object_get(json_array_get(vfs, 2), "attributes"));

        nics = json_object_get(root, "nics");
        policy = json_object_get(json_array_get(nics, 0), "policy");
        ck_assert_int_eq(number(policy, "weight"), 50);
        ck_assert_str_eq(text(policy, "spoof_check"), "yes");
        ck_assert(json_is_false(json_object_get(policy, "prefer_vf")));
        ck_assert_uint_eq(json_object_size(json_object_get(json_array_get(nics, 1), "policy")), 0);
        model_stop(&server);
}
END_TEST

START_TEST(switches_show_their_neighbours)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *root = NULL;
        const json_t *switches, *neighbour;

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_objects(client, 5 * SECOND, &root, NULL), 0);
        switches = json_object_get(root, "switches");
        ck_assert(json_is_true(json_object_get(json_array_get(switches, 0), "filters_vlans")));
        ck_assert_str_eq(json_string_value(json_array_get(json_object_get(json_array_get(switches, 0), "pfs"), 0)),
                         "enp1s0");
        ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(switches, 0), "neighbours")), 4);
        neighbour = json_array_get(json_object_get(json_array_get(switches, 0), "neighbours"), 2);
        ck_assert_str_eq(text(neighbour, "mac"), "02:42:ac:11:00:02");
        ck_assert_int_eq(number(neighbour, "vlan"), 30);
        ck_assert_str_eq(text(neighbour, "state"), "left-out");
        ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(switches, 1), "pfs")), 0);
        ck_assert_str_eq(text(json_array_get(switches, 2), "obstacle"), "uplink-in-lag");
        ck_assert_str_eq(text(json_array_get(switches, 2), "remedy"), "use mode active-backup");
        model_stop(&server);
}
END_TEST

START_TEST(the_number_of_vfs_is_set)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct vswitch_error error = {};

        /* Answered at its end, also when that fails; others are served meanwhile. */
        start(&(struct model_options){ .set_vfs_msec = 100, .vfs_fail = _i });
        client = connected();
        ck_assert_int_eq(client_pf_set_vfs(client, "enp1s0", 4, true, 5 * SECOND, &error), _i ? -EIO : 0);
        ck_assert_str_eq(error.text, _i ? "igb made 2 VFs of 4; see dmesg" : "");
        ck_assert_str_eq(server.seen->last_set_vfs, "enp1s0 4 keep");
        ck_assert_uint_eq(server.seen->last_uid, getuid());
        ck_assert_int_eq(client_pf_set_vfs(client, "enp1s0", 0, false, SECOND, &error), -EBUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "g1/ua-net0"));
        ck_assert_int_eq(client_pf_set_vfs(client, "eth9", 1, false, SECOND, &error), -ENOENT);
        model_stop(&server);
}
END_TEST

START_TEST(the_daemon_ends_while_vfs_are_made)
{
        struct vswitch_error error = {};
        struct client *client;

        start(&(struct model_options){ .set_vfs_msec = 60000 });
        client = connected();
        ck_assert_int_eq(client_pf_set_vfs(client, "enp1s0", 4, false, SECOND / 5, &error), -ETIMEDOUT);
        client_free(client);
        /* The model's answer comes after the server's end: see serve(). */
        model_stop(&server);
}
END_TEST

static const struct control_policy_change two_changes[] = { { "weight", "80" }, { "vlan", "" } };

START_TEST(a_policy_is_set)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct client_policy written = {};
        struct vswitch_error error = {};

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_set_policy(client, "g1", "ua-net0", two_changes, 2,
                                           CONTROL_POLICY_CONFIG | CONTROL_POLICY_REPLACE | CONTROL_POLICY_DRY_RUN,
                                           SECOND, &written, &error),
                         0);
        ck_assert_str_eq(server.seen->last_policy, "g1/ua-net0 weight=80 vlan= config replace dry-run");
        ck_assert_str_eq(written.live, "<vswitch:policy xmlns:vswitch=\"urn:vswitch:policy:1\"/>");
        ck_assert_str_eq(written.live, written.config);
        ck_assert_ptr_null(written.note);
        client_policy_clear(&written);
        /* A domain with one NIC, or none that is known; and one of the two definitions. */
        ck_assert_int_eq(client_set_policy(client, "g2", "", two_changes, 1, CONTROL_POLICY_LIVE, SECOND, &written,
                                           &error),
                         0);
        ck_assert_str_eq(server.seen->last_policy, "g2/ weight=80 live");
        ck_assert_ptr_null(written.config);
        ck_assert_str_eq(written.note, "this vswitch cannot use it");
        client_policy_clear(&written);
        ck_assert_int_eq(client_set_policy(client, "g9", "", two_changes, 1, 0, SECOND, &written, &error), -ENOENT);
        ck_assert_int_eq(client_set_policy(client, "g1", "", (struct control_policy_change[]){ { "weight", "101" } }, 1,
                                           0, SECOND, &written, &error),
                         -EINVAL);
        ck_assert_str_eq(error.text, "weight='101': write a number from 0 (no VF) to 100");
        ck_assert_int_lt(client_set_policy(client, "g1", "", (struct control_policy_change[]){ { "\xff", "" } }, 1, 0,
                                           SECOND, &written, &error),
                         0);
        ck_assert_ptr_null(written.live);
        model_stop(&server);
}
END_TEST

START_TEST(a_policy_that_cannot_be_read_has_an_error_of_its_own)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct client_policy written = {};
        struct vswitch_error error = {};

        start(&(struct model_options){ .policy_bad = true });
        client = connected();
        ck_assert_int_eq(client_set_policy(client, "g1", "", two_changes, 1, 0, SECOND, &written, &error), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(error.text, "nothing was written"));
        model_stop(&server);
}
END_TEST

START_TEST(wrong_words_in_a_policy_call_are_refused)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct vswitch_error error = {};
        unsigned many = 40;

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_call(client, CONTROL_PATH, "org.vswitch1.Manager", "SetPolicy", SECOND, NULL, &error,
                                     "ssa{ss}as", "g1", "", 1, "weight", "3", 2, "live", "loudly"),
                         -EINVAL);
        ck_assert_str_eq(error.text, "\"loudly\" is no flag: use live, config, replace or dry-run");
        {
                struct control_policy_change changes[40];
                struct client_policy written = {};

                for (unsigned i = 0; i < many; i++)
                        changes[i] = (struct control_policy_change){ "weight", "1" };
                ck_assert_int_lt(client_set_policy(client, "g1", "", changes, many, 0, SECOND, &written, &error), 0);
        }
        ck_assert_str_eq(server.seen->last_policy, "");
        model_stop(&server);
}
END_TEST

START_TEST(the_daemon_ends_while_a_policy_is_written)
{
        struct client_policy written = {};
        struct vswitch_error error = {};
        struct client *client;

        start(&(struct model_options){ .policy_silent = true });
        client = connected();
        ck_assert_int_eq(client_set_policy(client, "g1", "", two_changes, 1, 0, SECOND / 5, &written, &error),
                         -ETIMEDOUT);
        client_free(client);
        model_stop(&server);
}
END_TEST

START_TEST(reserved_vfs_are_given_back_with_the_connection)
{
        char addresses[2][PF_ADDRESS_SIZE];
        struct vswitch_error error = {};
        struct client *client;

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_pf_reserve(client, "enp1s0", 2, SECOND, addresses, NULL), 0);
        ck_assert_str_eq(addresses[0], "0000:01:10.2");
        ck_assert_str_eq(addresses[1], "0000:01:10.4");
        ck_assert_uint_eq(server.seen->reserved, 2);
        ck_assert_int_eq(client_pf_reserve(client, "enp1s0", 3, SECOND, NULL, &error), -EBUSY);
        ck_assert_str_eq(error.text, "enp1s0 has only 2 free VFs");
        ck_assert_int_eq(client_pf_reserve(client, "enp1s0", 0, SECOND, NULL, &error), -EINVAL);
        ck_assert_int_eq(client_pf_reserve(client, "enp1s0", 1000000, SECOND, NULL, &error), -EINVAL);
        ck_assert_int_eq(client_pf_reload(client, "enp1s0", SECOND, NULL), 0);
        ck_assert_uint_eq(server.seen->reloaded, 1);
        client_free(client);
        ck_assert(model_wait_until(server.seen->reserved == 0));
        model_stop(&server);
}
END_TEST

START_TEST(many_objects_are_shown)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *root = NULL;

        start(&(struct model_options){ .many_nics = true });
        client = connected();
        ck_assert_int_eq(client_objects(client, 20 * SECOND, &root, NULL), 0);
        ck_assert_uint_eq(json_array_size(json_object_get(root, "nics")), 204);
        model_stop(&server);
}
END_TEST

START_TEST(one_nic_is_shown)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *nic = NULL, *none = NULL;
        struct vswitch_error error = {};

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_nic(client, MODEL_G2, "ua-net1", 5 * SECOND, &nic, NULL), 0);
        ck_assert_str_eq(text(nic, "reason"), "no-free-vf");
        ck_assert_int_eq(client_nic(client, MODEL_G2, "ua-net9", 5 * SECOND, &none, &error), -ENOENT);
        model_stop(&server);
}
END_TEST

START_TEST(changes_reach_the_model)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct vswitch_error error = {};

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_nic_release(client, MODEL_G1, "ua-net0", CONTROL_HOLD_UNTIL_ACQUIRE, SECOND, NULL), 0);
        ck_assert_str_eq(server.seen->last_hold, "until-acquire");
        ck_assert_uint_eq(server.seen->last_uid, getuid());
        ck_assert_ptr_nonnull(strstr(server.seen->last_description, "uid"));
        ck_assert_int_eq(client_nic_acquire(client, MODEL_G1, "ua-net0", SECOND, NULL), 0);
        ck_assert_uint_eq(server.seen->acquired, 1);
        ck_assert_int_eq(client_nic_acquire(client, MODEL_G1, "ua-other", SECOND, &error), -ENOENT);
        ck_assert_str_eq(error.text, "vswitchd has no such object (any more)");
        ck_assert_int_eq(client_nic_acquire(client, MODEL_G3, "net0", SECOND, &error), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "teaming"));
        model_stop(&server);
}
END_TEST

START_TEST(unknown_hold_is_refused)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct vswitch_error error = {};

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_call(client, "/org/vswitch1/nic/_31/_31", "org.vswitch1.NIC", "Release", SECOND, NULL,
                                     &error, "s", "none"),
                         -ENOENT);
        ck_assert_int_eq(client_call(client,
                                     "/org/vswitch1/nic/_311111111_2d1111_2d1111_2d1111_2d111111111111/ua_2dnet0",
                                     "org.vswitch1.NIC", "Release", SECOND, NULL, &error, "s", "for ever"),
                         -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "until-acquire"));
        ck_assert_uint_eq(server.seen->released, 0);
        model_stop(&server);
}
END_TEST

START_TEST(a_hold_ends_with_its_connection)
{
        struct client *client;

        start(&(struct model_options){});
        client = connected();
        ck_assert_int_eq(client_nic_release(client, MODEL_G1, "ua-net0", CONTROL_HOLD_CONNECTION, SECOND, NULL), 0);
        ck_assert_uint_eq(server.seen->held_nics, 1);
        client_free(client);
        ck_assert(model_wait_until(server.seen->held_nics == 0));
        ck_assert_uint_eq(server.seen->gone, 1);
        model_stop(&server);
}
END_TEST

static void count_event(uint64_t usec, const char *kind, const char *subject, const char *sentence, void *userdata)
{
        ck_assert_str_eq(kind, "move");
        ck_assert_str_eq(subject, "g1/ua-net0");
        ck_assert_str_eq(sentence, "now on the synthetic path");
        ++*(unsigned *) userdata;
}

static void count_change(const char *uuid, const char *alias, void *userdata)
{
        ck_assert_str_eq(uuid, MODEL_G1);
        ck_assert_str_eq(alias, "ua-net0");
        ((unsigned *) userdata)[1]++;
}

START_TEST(signals_reach_everybody)
{
        static const struct client_signals signals = { count_event, count_change };
        _cleanup_(client_freep) struct client *one = NULL, *other = NULL;
        unsigned seen[2][2] = {};

        start(&(struct model_options){ .move_msec = 50 });
        one = connected();
        other = connected();
        ck_assert_int_eq(client_subscribe(one, &signals, seen[0], NULL), 0);
        ck_assert_int_eq(client_subscribe(other, &signals, seen[1], NULL), 0);
        ck_assert_int_eq(client_nic_release(one, MODEL_G1, "ua-net0", CONTROL_HOLD_NONE, SECOND, NULL), 0);
        for (unsigned i = 0; i < 20 && (seen[0][1] < 2 || seen[1][1] < 2); i++) {
                ck_assert_int_ge(client_wait(one, SECOND / 10, NULL), 0);
                ck_assert_int_ge(client_wait(other, SECOND / 10, NULL), 0);
        }
        ck_assert_uint_eq(seen[0][0], 1);
        ck_assert_uint_eq(seen[1][0], 1);
        ck_assert_uint_eq(seen[0][1], 2);
        ck_assert_uint_eq(seen[1][1], 2);
        model_stop(&server);
}
END_TEST

START_TEST(a_second_daemon_is_refused)
{
        struct vswitch_error error = {};
        struct control *control = NULL;
        sd_event *loop = NULL;
        char expected[64];

        start(&(struct model_options){});
        ck_assert_int_eq(sd_event_new(&loop), 0);
        ck_assert_int_eq(control_new(loop, server.socket, NULL, &(struct control_provider){}, NULL, &control, &error),
                         -EADDRINUSE);
        snprintf(expected, sizeof(expected), "another vswitchd (pid %d) is running", (int) server.pid);
        ck_assert_msg(strstr(error.text, expected) != NULL, "%s", error.text);
        sd_event_unref(loop);
        model_stop(&server);
}
END_TEST

START_TEST(a_dead_socket_is_replaced)
{
        struct model_server dead;
        struct control *control = NULL;
        sd_event *loop = NULL;
        char path[128];
        int fd;

        model_start(&dead, &(struct model_options){});
        kill(dead.pid, SIGKILL);
        waitpid(dead.pid, NULL, 0);
        ck_assert_int_eq(access(dead.socket, F_OK), 0);
        ck_assert_int_eq(sd_event_new(&loop), 0);
        ck_assert_int_eq(control_new(loop, dead.socket, NULL, &(struct control_provider){}, NULL, &control, NULL), 0);
        control_free(control);
        ck_assert_int_ne(access(dead.socket, F_OK), 0);

        /* But never a file that is no socket. */
        snprintf(path, sizeof(path), "%s/file", dead.directory);
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        close(fd);
        ck_assert_int_lt(control_new(loop, path, NULL, &(struct control_provider){}, NULL, &control, NULL), 0);
        ck_assert_int_eq(access(path, F_OK), 0);
        unlink(path);
        rmdir(dead.directory);
        sd_event_unref(loop);
}
END_TEST

START_TEST(the_socket_is_for_root_and_the_group)
{
        struct group *group = getgrgid(getgid());
        struct stat status;

        start(&(struct model_options){});
        ck_assert_int_eq(stat(server.socket, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0600);
        model_stop(&server);

        start(&(struct model_options){ .group = "no-such-group-anywhere" });
        ck_assert_int_eq(stat(server.socket, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0600);
        model_stop(&server);

        start(&(struct model_options){ .group = group->gr_name });
        ck_assert_int_eq(stat(server.socket, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0660);
        ck_assert_uint_eq(status.st_gid, getgid());
        model_stop(&server);
}
END_TEST

START_TEST(others_may_read_but_not_change)
{
        pid_t child;
        int result;

        if (geteuid() != 0)
                return; /* there is nobody to become */
        start(&(struct model_options){});
        chmod(server.directory, 0755);
        chmod(server.socket, 0666);
        child = fork();
        if (child == 0) {
                struct vswitch_error error = {};
                struct client *client = NULL;
                json_t *root = NULL;

                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(9);
                if (client_connect(server.socket, SECOND, &client, &error) < 0)
                        _exit(1);
                if (client_objects(client, SECOND, &root, &error) < 0)
                        _exit(2);
                if (client_nic_release(client, MODEL_G1, "ua-net0", CONTROL_HOLD_NONE, SECOND, &error) != -EACCES)
                        _exit(3);
                if (!strstr(error.text, "root"))
                        _exit(4);
                if (client_hook(client, "g1", "prepare", "begin", "-", "", SECOND, &(struct client_hook_answer){},
                                &error) != -EACCES)
                        _exit(5);
                if (client_pf_set_vfs(client, "enp1s0", 4, false, SECOND, &error) != -EACCES)
                        _exit(6);
                if (client_pf_reserve(client, "enp1s0", 1, SECOND, NULL, &error) != -EACCES)
                        _exit(7);
                if (client_pf_reload(client, "enp1s0", SECOND, &error) != -EACCES)
                        _exit(8);
                if (client_set_policy(client, "g1", "", two_changes, 1, 0, SECOND, &(struct client_policy){}, &error) !=
                    -EACCES)
                        _exit(9);
                json_decref(root);
                client_free(client);
                _exit(0);
        }
        ck_assert_int_eq(waitpid(child, &result, 0), child);
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(server.seen->released, 0);
        ck_assert_uint_eq(server.seen->hooks, 0);
        ck_assert_uint_eq(server.seen->reserved + server.seen->reloaded, 0);
        ck_assert_str_eq(server.seen->last_set_vfs, "");
        ck_assert_str_eq(server.seen->last_policy, "");

        /* And who cannot open the socket is told why. */
        chmod(server.socket, 0600);
        child = fork();
        if (child == 0) {
                struct vswitch_error error = {};
                struct client *client = NULL;

                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(9);
                _exit(client_connect(server.socket, SECOND, &client, &error) == -EACCES ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(child, &result, 0), child);
        ck_assert_int_eq(result, 0);
        model_stop(&server);
}
END_TEST

START_TEST(nobody_there)
{
        struct vswitch_error error = {};
        struct client *client = NULL;

        ck_assert_int_eq(client_connect("/tmp/vswitch-test-nothing/control", SECOND, &client, &error), -ECONNREFUSED);
        ck_assert_ptr_nonnull(strstr(error.text, "systemctl start vswitchd"));
}
END_TEST

START_TEST(a_stopped_daemon_costs_no_more_than_the_bound)
{
        struct vswitch_error error = {};
        struct client *client = NULL, *earlier;
        uint64_t begin;
        json_t *root = NULL;

        start(&(struct model_options){});
        earlier = connected();
        kill(server.pid, SIGSTOP);
        begin = client_now();
        ck_assert_int_eq(client_connect(server.socket, SECOND / 5, &client, &error), -ETIMEDOUT);
        ck_assert_int_eq(client_objects(earlier, SECOND / 5, &root, &error), -ETIMEDOUT);
        ck_assert_uint_lt(client_now() - begin, 2 * SECOND);
        kill(server.pid, SIGCONT);
        client_free(earlier);
        model_stop(&server);
}
END_TEST

START_TEST(a_daemon_that_dies_is_noticed)
{
        _cleanup_(client_freep) struct client *client = NULL;
        struct vswitch_error error = {};
        json_t *root = NULL;

        start(&(struct model_options){});
        client = connected();
        model_stop(&server);
        ck_assert_int_eq(client_objects(client, SECOND, &root, &error), -ECONNRESET);
        ck_assert_int_eq(client_wait(client, 0, &error), -ECONNRESET);
}
END_TEST

static int raw_connection(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.socket);
        ck_assert_int_eq(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(send(fd, "", 1, 0), 1);
        return fd;
}

static void raw_send(int fd, const char *bytes, size_t size)
{
        ck_assert_int_eq(send(fd, bytes, size, 0), (ssize_t) size);
}

/* "AUTH EXTERNAL 30\r\n" */
static void raw_authenticate(int fd)
{
        char line[64] = "AUTH EXTERNAL ", uid[16];

        snprintf(uid, sizeof(uid), "%u", getuid());
        for (size_t i = 0; uid[i]; i++)
                snprintf(line + strlen(line), 3, "%02hhx", (unsigned char) uid[i]);
        strcat(line, "\r\n");
        raw_send(fd, line, strlen(line));
}

/* libdbus and GLib do that; sd-bus's own client does not. */
START_TEST(the_first_call_may_come_with_the_authentication)
{
        static const char ping[] = "BEGIN\r\n"
                                   "l\1\0\1\0\0\0\0\1\0\0\0M\0\0\0\1\1o\0\15\0\0\0/org/vswitch1\0\0\0"
                                   "\2\1s\0\31\0\0\0org.freedesktop.DBus.Peer\0\0\0\0\0\0\0"
                                   "\3\1s\0\4\0\0\0Ping\0\0\0";
        char answer[256];
        int fd;

        start(&(struct model_options){});
        fd = raw_connection();
        raw_authenticate(fd);
        ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
        ck_assert_int_eq(strncmp(answer, "OK ", 3), 0);
        raw_send(fd, ping, sizeof(ping));
        ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 0);
        ck_assert_int_eq(answer[0], 'l');
        ck_assert_int_eq(answer[1], 2); /* a method's return */
        close(fd);
        model_stop(&server);
}
END_TEST

START_TEST(a_stuck_client_loses_its_connection_and_nothing_else)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *root = NULL;
        uint64_t begin;
        int fd;

        start(&(struct model_options){ .chatty_msec = 1 });
        fd = raw_connection();
        raw_authenticate(fd);
        raw_send(fd, "BEGIN\r\n", 7);

        /* Dropped after some seconds of events; others are served all the time. */
        client = connected();
        for (begin = client_now(); server.seen->gone == 0 && client_now() - begin < 30 * SECOND;) {
                json_decref(root);
                root = NULL;
                ck_assert_int_eq(client_objects(client, 2 * SECOND, &root, NULL), 0);
                while (client_wait(client, 1000, NULL) > 0)
                        ;
        }
        ck_assert_uint_eq(server.seen->gone, 1);
        close(fd);
        model_stop(&server);
}
END_TEST

START_TEST(a_client_that_never_authenticates_is_served_nothing)
{
        _cleanup_(client_freep) struct client *client = NULL;
        int fds[80];

        /* More connections than are taken: the rest is closed at once, and there is room again when they go. */
        start(&(struct model_options){});
        for (size_t i = 0; i < 80; i++) {
                fds[i] = raw_connection();
                (void) send(fds[i], "AUTH NONSENSE\r\n", 15, MSG_NOSIGNAL);
        }
        for (size_t i = 0; i < 80; i++)
                close(fds[i]);
        ck_assert(model_wait_until(server.seen->gone >= 60));
        client = connected();
        model_stop(&server);
}
END_TEST

START_TEST(hook_answers)
{
        _cleanup_(client_hook_answer_clear) struct client_hook_answer answer = {};
        struct client *client;

        start(&(struct model_options){ .hook = MODEL_HOOK_PASS });
        client = connected();
        ck_assert_int_eq(client_hook(client, "g1", "prepare", "begin", "-", "<domain/>", SECOND, &answer, NULL), 0);
        ck_assert(!answer.refuse);
        ck_assert_ptr_null(answer.xml);
        ck_assert_str_eq(server.seen->last_hook, "g1 prepare begin - <domain/>");
        client_free(client);
        client_hook_answer_clear(&answer);
        model_stop(&server);

        start(&(struct model_options){ .hook = MODEL_HOOK_REFUSE });
        client = connected();
        ck_assert_int_eq(client_hook(client, "g1", "migrate", "begin", "-", "", SECOND, &answer, NULL), 0);
        ck_assert(answer.refuse);
        ck_assert_ptr_nonnull(strstr(answer.sentence, "vswitch migrate"));
        client_free(client);
        client_hook_answer_clear(&answer);
        model_stop(&server);
}
END_TEST

START_TEST(hook_answers_later)
{
        _cleanup_(client_hook_answer_clear) struct client_hook_answer answer = {};
        struct client *client;

        start(&(struct model_options){ .hook = MODEL_HOOK_REWRITE });
        client = connected();
        ck_assert_int_eq(client_hook(client, "g1", "migrate", "begin", "-", "<domain/>", SECOND, &answer, NULL), 0);
        ck_assert(!answer.refuse);
        ck_assert_str_eq(answer.xml, "<domain>rewritten</domain>\n");
        client_free(client);
        model_stop(&server);
}
END_TEST

START_TEST(hook_never_answers)
{
        struct client_hook_answer answer = {};
        struct vswitch_error error = {};
        struct client *client;
        uint64_t begin;

        start(&(struct model_options){ .hook = MODEL_HOOK_SILENT });
        client = connected();
        begin = client_now();
        ck_assert_int_eq(client_hook(client, "g1", "migrate", "begin", "-", "", SECOND / 5, &answer, &error),
                         -ETIMEDOUT);
        ck_assert_uint_lt(client_now() - begin, SECOND);
        client_free(client);
        /* The model's answer after the connection's, and the server's, end: see serve(). */
        model_stop(&server);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("control");
        TCase *tests = tcase_create("control");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, objects_are_shown);
        tcase_add_test(tests, what_is_unknown_is_not_shown);
        tcase_add_test(tests, switches_show_their_neighbours);
        tcase_add_loop_test(tests, the_number_of_vfs_is_set, 0, 2);
        tcase_add_test(tests, the_daemon_ends_while_vfs_are_made);
        tcase_add_test(tests, a_policy_is_set);
        tcase_add_test(tests, a_policy_that_cannot_be_read_has_an_error_of_its_own);
        tcase_add_test(tests, wrong_words_in_a_policy_call_are_refused);
        tcase_add_test(tests, the_daemon_ends_while_a_policy_is_written);
        tcase_add_test(tests, reserved_vfs_are_given_back_with_the_connection);
        tcase_add_test(tests, many_objects_are_shown);
        tcase_add_test(tests, one_nic_is_shown);
        tcase_add_test(tests, changes_reach_the_model);
        tcase_add_test(tests, unknown_hold_is_refused);
        tcase_add_test(tests, a_hold_ends_with_its_connection);
        tcase_add_test(tests, signals_reach_everybody);
        tcase_add_test(tests, a_second_daemon_is_refused);
        tcase_add_test(tests, a_dead_socket_is_replaced);
        tcase_add_test(tests, the_socket_is_for_root_and_the_group);
        tcase_add_test(tests, others_may_read_but_not_change);
        tcase_add_test(tests, nobody_there);
        tcase_add_test(tests, a_stopped_daemon_costs_no_more_than_the_bound);
        tcase_add_test(tests, a_daemon_that_dies_is_noticed);
        tcase_add_test(tests, the_first_call_may_come_with_the_authentication);
        tcase_add_test(tests, a_stuck_client_loses_its_connection_and_nothing_else);
        tcase_add_test(tests, a_client_that_never_authenticates_is_served_nothing);
        tcase_add_test(tests, hook_answers);
        tcase_add_test(tests, hook_answers_later);
        tcase_add_test(tests, hook_never_answers);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
