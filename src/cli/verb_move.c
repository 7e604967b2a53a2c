/* SPDX-License-Identifier: Apache-2.0 */

/* nic release, nic acquire. */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>

static void render(const json_t *json)
{
        printf("%s: %s\n", table_text(json_object_get(json, "nic"), "nic"), table_text(json, "sentence"));
}

static int show(struct cli *cli, const char *result, const json_t *nic, const char *sentence)
{
        _cleanup_json_ json_t *json = json_pack("{s:i, s:s, s:s, s:O}", "version", CLIENT_JSON_VERSION, "result",
                                                result, "sentence", sentence, "nic", nic);

        return cli_show(cli, json, render);
}

static int show_done(struct cli *cli, const struct move *move, const json_t *nic)
{
        char sentence[512];

        if (move->to_vf)
                snprintf(sentence, sizeof(sentence), "it is on the VF %s of %s", table_text(nic, "vf"),
                         table_text(nic, "pf"));
        else if (cli->options[CLI_HOLD])
                snprintf(sentence, sizeof(sentence),
                         "it is on the synthetic path and stays there until `vswitch nic acquire %s`",
                         table_text(nic, "nic"));
        else
                snprintf(sentence, sizeof(sentence), "it is on the synthetic path");
        return show(cli, "done", nic, sentence);
}

static enum cli_exit exit_of(enum move_result result)
{
        switch (result) {
        case MOVE_DONE:
                return CLI_OK;
        case MOVE_TIMED_OUT:
                return CLI_TIMED_OUT;
        case MOVE_LOST:
                return CLI_UNREACHABLE;
        default:
                return CLI_FAILED;
        }
}

static uint64_t deadline_of(const struct cli *cli)
{
        return cli->timeout_usec == UINT64_MAX ? UINT64_MAX : client_now() + cli->timeout_usec;
}

static int wait_for_end(struct cli *cli, const struct move *move, const char *name)
{
        _cleanup_json_ json_t *nic = NULL;
        struct vswitch_error error = {};
        char sentence[512];
        enum move_result result;

        result = move_wait(cli->client, move, deadline_of(cli), &nic, &error);
        if (result == MOVE_DONE)
                return show_done(cli, move, nic);
        move_explain(result, move, nic, sentence, sizeof(sentence));
        return cli_fail(cli, exit_of(result), "%s: %s", name, sentence);
}

static int do_move(struct cli *cli, const char *wanted, bool to_vf)
{
        _cleanup_json_ json_t *root = NULL;
        struct vswitch_error error = {};
        struct move move = { .to_vf = to_vf };
        const json_t *nic;
        int code, r;

        code = cli_objects(cli, &root);
        if (code == CLI_OK)
                code = cli_find_nic(cli, root, wanted, &nic);
        if (code != CLI_OK)
                return code;
        move.uuid = table_text(nic, "uuid");
        move.alias = table_text(nic, "alias");
        if (to_vf)
                r = client_nic_acquire(cli->client, move.uuid, move.alias, cli->answer_usec, &error);
        else
                r = client_nic_release(cli->client, move.uuid, move.alias,
                                       cli->options[CLI_HOLD] ? CONTROL_HOLD_UNTIL_ACQUIRE : CONTROL_HOLD_NONE,
                                       cli->answer_usec, &error);
        if (r < 0)
                return cli_fail(cli, cli_exit_of(r), "%s: %s", table_text(nic, "nic"), vswitch_error_text(&error, r));
        if (cli->options[CLI_NO_WAIT])
                return show(cli, "asked", nic, "the daemon was asked; `vswitch nic show` tells how it goes");
        return wait_for_end(cli, &move, table_text(nic, "nic"));
}

int verb_nic_release(struct cli *cli, int argc, char **argv)
{
        return do_move(cli, argv[0], false);
}

int verb_nic_acquire(struct cli *cli, int argc, char **argv)
{
        return do_move(cli, argv[0], true);
}
