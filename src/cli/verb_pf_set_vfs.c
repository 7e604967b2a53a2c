/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VFS_MAX 65535 /* SR-IOV's NumVFs has 16 bits */

static void render(const json_t *json)
{
        puts(table_text(json, "sentence"));
}

static int read_count(const char *text, unsigned *ret)
{
        unsigned long count;
        char *end;

        if (!isdigit((unsigned char) text[0]))
                return -EINVAL;
        errno = 0;
        count = strtoul(text, &end, 10);
        if (errno != 0 || *end || count > VFS_MAX)
                return -EINVAL;
        *ret = (unsigned) count;
        return 0;
}

static int show_done(struct cli *cli, const char *pf, unsigned count, bool keep)
{
        _cleanup_json_ json_t *json = NULL;

        json = json_pack("{s:i, s:s, s:o, s:s, s:i, s:b}", "version", CLIENT_JSON_VERSION, "result", "done", "sentence",
                         json_sprintf("%s has %u VF%s now%s", pf, count, count == 1 ? "" : "s",
                                      keep ? ", and after every reboot" : "; --keep makes it last over a reboot"),
                         "pf", pf, "vfs", (int) count, "keep", (int) keep);
        return cli_show(cli, json, render);
}

int verb_pf_set_vfs(struct cli *cli, int argc, char **argv)
{
        bool keep = cli->options[CLI_KEEP] != NULL;
        struct vswitch_error error = {};
        const char *pf = argv[0];
        unsigned count;
        int code, r;

        if (read_count(argv[1], &count) < 0)
                return cli_fail(cli, CLI_USAGE, "%s is no number of VFs", argv[1]);
        code = cli_connect(cli);
        if (code != CLI_OK)
                return code;
        r = client_pf_set_vfs(cli->client, pf, count, keep, cli->timeout_usec, &error);
        switch (r) {
        case 0:
                return show_done(cli, pf, count, keep);
        case -ENOENT:
                return cli_fail(cli, CLI_NOT_FOUND,
                                "there is no PF \"%s\" on a configured switch; `vswitch pf list` shows those there are",
                                pf);
        case -ETIMEDOUT:
                return cli_fail(cli, CLI_TIMED_OUT,
                                "%s: it has not ended in time and goes on; `vswitch pf show %s` tells", pf, pf);
        default:
                return cli_fail(cli, cli_exit_of(r), "%s: %s", pf, vswitch_error_text(&error, r));
        }
}
