/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static void link_text(const json_t *pf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s",
                 !json_is_true(json_object_get(pf, "up"))        ? "down"
                 : !json_is_true(json_object_get(pf, "carrier")) ? "no carrier"
                                                                 : "up");
}

/* "1 claimed, 5 free of 7" */
static void vfs_text(const json_t *pf, char *buffer, size_t size)
{
        static const char *const states[] = { "claimed", "leased", "foreign", "free" };
        const json_t *vfs = json_object_get(pf, "vfs"), *vf;
        size_t used = 0, index;

        for (size_t i = 0; i < ELEMENTS(states); i++) {
                unsigned count = 0;

                json_array_foreach (vfs, index, vf)
                        count += strcmp(table_text(vf, "state"), states[i]) == 0;
                if (count > 0 && used < size)
                        used += (size_t) snprintf(buffer + used, size - used, "%s%u %s", used ? ", " : "", count,
                                                  states[i]);
        }
        if (used < size)
                snprintf(buffer + used, size - used, "%s of %lld", used ? "" : "0",
                         json_integer_value(json_object_get(pf, "total_vfs")));
}

static void filters_text(const json_t *pf, char *buffer, size_t size)
{
        const json_t *filter;
        size_t used = 0, index;

        json_array_foreach (json_object_get(pf, "uplink_filters"), index, filter) {
                if (used < size)
                        used += (size_t) snprintf(buffer + used, size - used, "%s%s", used ? " " : "",
                                                  json_string_value(filter));
        }
}

static void index_text(const json_t *vf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%lld", json_integer_value(json_object_get(vf, "index")));
}

static void vectors_text(const json_t *vf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%lld", json_integer_value(json_object_get(vf, "vectors")));
}

static const struct table_column list_columns[] = {
        { "PF", "name", NULL },      { "SWITCH", "switch", NULL },     { "DRIVER", "driver", NULL },
        { "LINK", NULL, link_text }, { "STEERING", "steering", NULL }, { "VFS", NULL, vfs_text },
};

static const struct table_column show_columns[] = {
        { "PF", "name", NULL },       { "address", "address", NULL },
        { "driver", "driver", NULL }, { "switch", "switch", NULL },
        { "link", NULL, link_text },  { "steering", "steering", NULL },
        { "VFs", NULL, vfs_text },    { "uplink filters", NULL, filters_text },
};

static const struct table_column vf_columns[] = {
        { "VF", NULL, index_text },   { "ADDRESS", "address", NULL }, { "STATE", "state", NULL },
        { "DRIVER", "driver", NULL }, { "MAC", "mac", NULL },         { "VECTORS", NULL, vectors_text },
        { "WHOSE", "owner", NULL },
};

static void render_list(const json_t *json)
{
        table_print(json_object_get(json, "pfs"), list_columns, ELEMENTS(list_columns));
}

static void render_show(const json_t *json)
{
        const json_t *pf = json_array_get(json_object_get(json, "pfs"), 0);

        table_print_object(pf, show_columns, ELEMENTS(show_columns));
        putchar('\n');
        table_print(json_object_get(pf, "vfs"), vf_columns, ELEMENTS(vf_columns));
}

static int show(struct cli *cli, const char *name, void (*render)(const json_t *json))
{
        _cleanup_json_ json_t *root = NULL, *matching = json_array(), *json = NULL;
        int code = cli_objects(cli, &root);
        const json_t *pf;
        size_t index;

        if (code != CLI_OK)
                return code;
        json_array_foreach (json_object_get(root, "pfs"), index, pf) {
                if (!name || strcmp(table_text(pf, "name"), name) == 0)
                        json_array_append(matching, (json_t *) pf);
        }
        if (name && json_array_size(matching) == 0)
                return cli_fail(cli, CLI_NOT_FOUND,
                                "there is no PF \"%s\" on a configured switch; `vswitch pf list` shows those there are",
                                name);
        json = json_pack("{s:i, s:O}", "version", CLIENT_JSON_VERSION, "pfs", matching);
        return cli_show(cli, json, render);
}

int verb_pf_list(struct cli *cli, int argc, char **argv)
{
        return show(cli, NULL, render_list);
}

int verb_pf_show(struct cli *cli, int argc, char **argv)
{
        return show(cli, argv[0], render_show);
}
