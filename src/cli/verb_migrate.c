/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vswitch migrate DOMAIN URI
 *
 * Theory of operation: a guest with a VF cannot migrate to a host that has none for it, and nothing can be changed
 * about that once libvirt has begun. So its NICs are taken off their VFs first, and held: the hold is bound to this
 * program's connection to the daemon, so whatever happens to the program (it is killed, loses its terminal), the
 * source's daemon gives the guest its VFs back. On the other host its daemon acquires by itself, or says why not.
 *
 *   connect to both libvirts, find the domain        nothing has changed up to here
 *   hold and release its NICs, wait for each          a failure ends the hold
 *   migrate; meanwhile show progress, look for Ctrl-C, keep the hold (a daemon that restarts is told again)
 *   done: the guest is gone from here; failed: the hold ends with the connection
 *
 * Without a daemon a guest that has no VF migrates all the same: nobody here would give it one meanwhile.
 */

#include "src/cli/cli.h"
#include "src/cli/migration.h"
#include "src/control/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define RECONNECT_USEC UINT64_C(200000)
#define TICK_MSEC      500
#define REPORT_USEC    UINT64_C(5000000) /* between two lines of progress, when it is no terminal */

struct migrate {
        struct cli *cli;
        struct migration *migration;
        json_t *nics; /* those that are held */
        uint64_t begin;
        uint64_t reported;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
        interrupted = 1;
}

/* Only while libvirt migrates: before that the program may simply die, which ends the hold. */
static void catch_signals(void)
{
        const struct sigaction action = { .sa_handler = on_signal };

        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
}

static int hold_nics(struct migrate *migrate, struct vswitch_error *error)
{
        const json_t *nic;
        size_t index;
        int r;

        json_array_foreach (migrate->nics, index, nic) {
                r = client_nic_release(migrate->cli->client, table_text(nic, "uuid"), table_text(nic, "alias"),
                                       CONTROL_HOLD_CONNECTION, migrate->cli->answer_usec, error);
                if (r < 0 && r != -ENOENT)
                        return vswitch_error_prefix(error, r, "%s", table_text(nic, "nic"));
        }
        return 0;
}

static int wait_for_nics(struct migrate *migrate)
{
        struct cli *cli = migrate->cli;
        uint64_t deadline = cli->timeout_usec == UINT64_MAX ? UINT64_MAX : client_now() + cli->timeout_usec;
        const json_t *nic;
        size_t index;

        json_array_foreach (migrate->nics, index, nic) {
                struct move move = { .uuid = table_text(nic, "uuid"), .alias = table_text(nic, "alias") };
                _cleanup_json_ json_t *last = NULL;
                struct vswitch_error error = {};
                enum move_result result;
                char sentence[512];

                result = move_wait(cli->client, &move, deadline, &last, &error);
                if (result == MOVE_DONE)
                        continue;
                if (result == MOVE_TIMED_OUT)
                        snprintf(sentence, sizeof(sentence), "its guest has not let go of the VF in time");
                else
                        move_explain(result, &move, last, sentence, sizeof(sentence));
                return cli_fail(cli,
                                result == MOVE_TIMED_OUT ? CLI_TIMED_OUT
                                : result == MOVE_LOST    ? CLI_UNREACHABLE
                                                         : CLI_FAILED,
                                "%s: %s (nothing was migrated)", table_text(nic, "nic"), sentence);
        }
        return CLI_OK;
}

/* Nobody holds its NICs: only a guest without a VF can go. */
static int go_without_daemon(struct migrate *migrate, enum cli_exit code, const char *why)
{
        const char *domain = migration_domain(migrate->migration);
        struct vswitch_error error = {};
        bool has_vf = true;
        int r;

        r = migration_has_vf(migrate->migration, &has_vf, &error);
        if (r < 0)
                return cli_fail_error(migrate->cli, r, &error);
        if (has_vf)
                return cli_fail(migrate->cli, code, "%s has a VF and nobody to take it away before the migration: %s",
                                domain, why);
        fprintf(stderr, "vswitch: %s; %s has no VF and is migrated all the same\n", why, domain);
        return CLI_OK;
}

static int find_nics(struct migrate *migrate)
{
        const char *uuid = migration_uuid(migrate->migration);
        _cleanup_json_ json_t *root = NULL;
        struct vswitch_error error = {};
        const json_t *nic, *daemon;
        size_t index;
        int r;

        r = client_connect(migrate->cli->socket_path, migrate->cli->answer_usec, &migrate->cli->client, &error);
        if (r >= 0)
                r = client_objects(migrate->cli->client, migrate->cli->answer_usec, &root, &error);
        if (r < 0) {
                client_free(TAKE_PTR(migrate->cli->client));
                return go_without_daemon(migrate, r == -ETIMEDOUT ? CLI_UNREACHABLE : cli_exit_of(r), error.text);
        }
        json_array_foreach (json_object_get(root, "nics"), index, nic) {
                /* A VF that libvirt manages is libvirt's to unplug, by the guest's teaming. */
                if (strcmp(table_text(nic, "uuid"), uuid) == 0 &&
                    strcmp(table_text(nic, "situation"), "unmanaged") != 0)
                        json_array_append(migrate->nics, (json_t *) nic);
        }
        daemon = json_object_get(root, "daemon");
        if (json_array_size(migrate->nics) == 0 && !json_is_true(json_object_get(daemon, "libvirt_connected")))
                return go_without_daemon(migrate, CLI_FAILED, "vswitchd has no connection to libvirt");
        return CLI_OK;
}

static int leave_vfs(struct migrate *migrate)
{
        struct vswitch_error error = {};
        int code, r;

        code = find_nics(migrate);
        if (code != CLI_OK || json_array_size(migrate->nics) == 0)
                return code;
        fprintf(stderr, "vswitch: moving %s to the synthetic path\n", migration_domain(migrate->migration));
        r = hold_nics(migrate, &error);
        return r < 0 ? cli_fail_error(migrate->cli, r, &error) : wait_for_nics(migrate);
}

/* Takes in what the daemon reports (else it would think this client stuck, and the hold would end). A daemon that
 * was restarted has forgotten the hold. */
static void keep_hold(struct migrate *migrate)
{
        struct cli *cli = migrate->cli;

        if (json_array_size(migrate->nics) == 0)
                return;
        if (cli->client && client_wait(cli->client, 0, NULL) < 0)
                client_free(TAKE_PTR(cli->client));
        if (!cli->client && client_connect(cli->socket_path, RECONNECT_USEC, &cli->client, NULL) >= 0)
                (void) hold_nics(migrate, NULL);
}

static void report(struct migrate *migrate)
{
        bool terminal = isatty(STDERR_FILENO);
        struct migration_progress progress;
        uint64_t now = client_now();

        if (!terminal && now - migrate->reported < REPORT_USEC)
                return;
        migrate->reported = now;
        migration_progress(migrate->migration, &progress);
        if (progress.total_bytes == 0)
                return;
        fprintf(stderr, "%svswitch: migrating: %u %% of %u MiB, %.1f s%s", terminal ? "\r" : "",
                (unsigned) (progress.done_bytes * 100 / progress.total_bytes), (unsigned) (progress.total_bytes >> 20),
                (double) (now - migrate->begin) / 1e6, terminal ? "  " : "\n");
}

static int run_migration(struct migrate *migrate, struct vswitch_error *error)
{
        bool said = false;
        int r;

        catch_signals();
        r = migration_start(migrate->migration, error);
        if (r < 0)
                return r;
        for (;;) {
                struct pollfd fds[] = {
                        { .fd = migration_fd(migrate->migration), .events = POLLIN },
                        { .fd = migrate->cli->client ? client_fd(migrate->cli->client) : -1, .events = POLLIN },
                };

                (void) poll(fds, 2, TICK_MSEC);
                if (fds[0].revents)
                        break;
                keep_hold(migrate);
                if (interrupted) {
                        if (!said)
                                fputs("vswitch: interrupted: aborting the migration\n", stderr);
                        said = true;
                        migration_abort(migrate->migration);
                } else
                        report(migrate);
        }
        if (isatty(STDERR_FILENO))
                fputc('\n', stderr);
        return migration_result(migrate->migration, error);
}

static void render(const json_t *json)
{
        printf("%s: %s\n", table_text(json, "domain"), table_text(json, "sentence"));
}

static int migrate_domain(struct migrate *migrate, const char *destination)
{
        struct vswitch_error error = {};
        _cleanup_json_ json_t *json = NULL;
        char sentence[512];
        double seconds;
        int code, r;

        code = leave_vfs(migrate);
        if (code != CLI_OK)
                return code;
        migrate->begin = migrate->reported = client_now();
        r = run_migration(migrate, &error);
        if (r < 0)
                return cli_fail(migrate->cli, CLI_FAILED, "%s%s%s",
                                interrupted ? "the migration was interrupted: " : "", vswitch_error_text(&error, r),
                                json_array_size(migrate->nics) > 0
                                        ? "; the guest stays here, and gets its VFs again where it can"
                                        : "; the guest stays here");
        seconds = (double) (client_now() - migrate->begin) / 1e6;
        snprintf(sentence, sizeof(sentence), "it runs on %s now; the migration took %.1f s", destination, seconds);
        json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:f, s:s}", "version", CLIENT_JSON_VERSION, "result", "done",
                         "domain", migration_domain(migrate->migration), "uuid", migration_uuid(migrate->migration),
                         "destination", destination, "seconds", seconds, "sentence", sentence);
        return cli_show(migrate->cli, json, render);
}

static int read_bandwidth(struct cli *cli, unsigned long long *ret)
{
        const char *text = cli->options[CLI_BANDWIDTH];
        char *end;

        *ret = 0;
        if (!text)
                return CLI_OK;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        if (end == text || *end || errno || *text == '-')
                return cli_fail(cli, CLI_USAGE, "--bandwidth %s is no number of MiB/s", text);
        return CLI_OK;
}

int verb_migrate(struct cli *cli, int argc, char **argv)
{
        struct migration_options options = {
                .source_uri = cli->options[CLI_CONNECT],
                .domain = argv[0],
                .destination_uri = argv[1],
                .migrate_uri = cli->options[CLI_MIGRATE_URI],
                .persistent = cli->options[CLI_PERSISTENT],
                .undefine_source = cli->options[CLI_UNDEFINE_SOURCE],
                .auto_converge = cli->options[CLI_AUTO_CONVERGE],
                .post_copy = cli->options[CLI_POST_COPY],
                .unsafe = cli->options[CLI_UNSAFE],
        };
        _cleanup_(migration_freep) struct migration *migration = NULL;
        _cleanup_json_ json_t *nics = json_array();
        struct migrate migrate = { .cli = cli, .nics = nics };
        struct vswitch_error error = {};
        int code, r;

        code = read_bandwidth(cli, &options.bandwidth_mib);
        if (code != CLI_OK)
                return code;
        r = migration_open(&options, &migration, &error);
        if (r < 0)
                return cli_fail_error(cli, r, &error);
        migrate.migration = migration;
        return migrate_domain(&migrate, argv[1]);
}
