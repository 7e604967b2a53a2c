/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>

static const struct table_column columns[] = {
        { "SWITCH", "name", NULL },   { "DRIVER", "driver", NULL },         { "DEVICE", "device", NULL },
        { "UPLINK", "uplink", NULL }, { "STATE", NULL, switch_state_text },
};

static bool is_isolated(const json_t *nic)
{
        return strcmp(table_text(nic, "situation"), "isolated") == 0;
}

static void render(const json_t *json)
{
        const json_t *daemon = json_object_get(json, "daemon"), *summary = json_object_get(json, "summary"), *nic;
        char started[64];
        size_t index;

        table_time((uint64_t) table_number(daemon, "started_usec"), started, sizeof(started));
        printf("vswitchd %s, running since %s\n", table_text(daemon, "version"), started);
        if (json_is_true(json_object_get(daemon, "libvirt_connected")))
                puts("libvirt: connected");
        else
                printf("libvirt: not connected: %s\n", table_text(daemon, "libvirt_sentence"));
        printf("NICs: %lld, of these %lld on a VF, %lld moving, %lld held\n", table_number(summary, "nics"),
               table_number(summary, "on_vf"), table_number(summary, "moving"), table_number(summary, "held"));
        json_array_foreach (json_object_get(json, "nics"), index, nic)
                if (is_isolated(nic))
                        printf("ISOLATED: %s; 'vswitch nic why %s' tells what helps\n", table_text(nic, "nic"),
                               table_text(nic, "nic"));
        printf("moves since the start: %lld completed, %lld failed; resyncs: %lld\n\n",
               table_number(daemon, "moves_completed"), table_number(daemon, "moves_failed"),
               table_number(daemon, "resyncs"));
        table_print(json_object_get(json, "switches"), columns, sizeof(columns) / sizeof(columns[0]));
}

static json_t *summarize(const json_t *nics)
{
        int on_vf = 0, moving = 0, held = 0, isolated = 0;
        const json_t *nic;
        size_t index;

        json_array_foreach (nics, index, nic) {
                on_vf += strcmp(table_text(nic, "path"), "vf") == 0;
                moving += strcmp(table_text(nic, "path"), "both") == 0;
                held += json_is_true(json_object_get(nic, "held"));
                isolated += is_isolated(nic);
        }
        return json_pack("{s:i, s:i, s:i, s:i, s:i}", "nics", (int) json_array_size(nics), "on_vf", on_vf, "moving",
                         moving, "held", held, "isolated", isolated);
}

int verb_status(struct cli *cli, int argc, char **argv)
{
        _cleanup_json_ json_t *root = NULL;
        int code = cli_objects(cli, &root);

        if (code != CLI_OK)
                return code;
        json_object_set_new(root, "summary", summarize(json_object_get(root, "nics")));
        return cli_show(cli, root, render);
}
