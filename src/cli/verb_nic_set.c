/* SPDX-License-Identifier: Apache-2.0 */

/* nic set: what a NIC may do, written to the domain's XML by the daemon. The guest need not run. */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* libvirt may need a while: it waits itself up to 30 s for another change of the domain. */
#define WRITE_USEC UINT64_C(60000000)

static void print_written(const json_t *json, const char *key, const char *where)
{
        const json_t *text = json_object_get(json, key);
        const char *xml = json_string_value(text);

        if (json_is_string(text))
                printf("\n%s:\n%s\n", where, *xml ? xml : "(nothing)");
}

static void render(const json_t *json)
{
        const char *live = table_text(json, "live"), *note = table_text(json, "note");

        printf("%s: %s\n", table_text(json, "nic"), table_text(json, "sentence"));
        if (*note)
                printf("But %s\n", note);
        if (strcmp(table_text(json, "result"), "dry-run") != 0)
                return;
        if (json_object_get(json, "live") && json_object_get(json, "config") &&
            strcmp(live, table_text(json, "config")) == 0) {
                print_written(json, "live", "in the running guest and in its definition");
                return;
        }
        print_written(json, "live", "in the running guest");
        print_written(json, "config", "in its definition");
}

static int show(struct cli *cli, const char *name, const struct client_policy *written)
{
        bool is_dry = cli->options[CLI_DRY_RUN] != NULL;
        const char *where = written->live && written->config ? "the running guest and its definition"
                            : written->live                  ? "the running guest (and gone with it)"
                                                             : "its definition, for the next start";
        _cleanup_json_ json_t *json = NULL;

        json = json_pack("{s:i, s:s, s:o, s:s}", "version", CLIENT_JSON_VERSION, "result", is_dry ? "dry-run" : "done",
                         "sentence",
                         is_dry ? json_string("nothing was written; the policy would be")
                                : json_sprintf("written to %s", where),
                         "nic", name);
        if (written->live)
                json_object_set_new(json, "live", json_string(written->live));
        if (written->config)
                json_object_set_new(json, "config", json_string(written->config));
        if (written->note)
                json_object_set_new(json, "note", json_string(written->note));
        return cli_show(cli, json, render);
}

/* Splits "KEY=VALUE" in place. */
static int read_changes(struct cli *cli, int argc, char **argv, struct control_policy_change *ret)
{
        for (int i = 0; i < argc; i++) {
                char *value = strchr(argv[i], '=');

                if (!value || value == argv[i])
                        return cli_fail(cli, CLI_USAGE, "%s is not KEY=VALUE; see vswitch nic set --help", argv[i]);
                *value = '\0';
                ret[i] = (struct control_policy_change){ argv[i], value + 1 };
        }
        return CLI_OK;
}

static uint32_t read_flags(const struct cli *cli)
{
        return (cli->options[CLI_LIVE] ? (uint32_t) CONTROL_POLICY_LIVE : 0) |
               (cli->options[CLI_CONFIG] ? (uint32_t) CONTROL_POLICY_CONFIG : 0) |
               (cli->options[CLI_REPLACE] ? (uint32_t) CONTROL_POLICY_REPLACE : 0) |
               (cli->options[CLI_DRY_RUN] ? (uint32_t) CONTROL_POLICY_DRY_RUN : 0);
}

int verb_nic_set(struct cli *cli, int argc, char **argv)
{
        _cleanup_(client_policy_clear) struct client_policy written = {};
        _cleanup_free_ struct control_policy_change *changes = calloc((size_t) argc, sizeof(*changes));
        const char *slash = strrchr(argv[0], '/');
        struct vswitch_error error = {};
        _cleanup_free_ char *domain = slash ? strndup(argv[0], (size_t) (slash - argv[0])) : strdup(argv[0]);
        int code, r;

        if (!changes || !domain)
                return cli_fail(cli, CLI_FAILED, "out of memory");
        code = read_changes(cli, argc - 1, argv + 1, changes);
        if (code == CLI_OK)
                code = cli_connect(cli);
        if (code != CLI_OK)
                return code;
        r = client_set_policy(cli->client, domain, slash ? slash + 1 : "", changes, (size_t) argc - 1, read_flags(cli),
                              cli->options[CLI_TIMEOUT] ? cli->timeout_usec : WRITE_USEC, &written, &error);
        if (r == -ETIMEDOUT)
                return cli_fail(cli, CLI_TIMED_OUT, "%s: libvirt has not answered in time and may do it yet", argv[0]);
        if (r < 0)
                return cli_fail(cli, cli_exit_of(r), "%s: %s", argv[0], vswitch_error_text(&error, r));
        return show(cli, argv[0], &written);
}
