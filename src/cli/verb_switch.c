/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static unsigned count_neighbours(const json_t *view, const char *state)
{
        const json_t *neighbour;
        unsigned count = 0;
        size_t index;

        json_array_foreach (json_object_get(view, "neighbours"), index, neighbour) {
                count += strcmp(table_text(neighbour, "state"), state) == 0;
        }
        return count;
}

void switch_state_text(const json_t *view, char *buffer, size_t size)
{
        unsigned left_out = count_neighbours(view, "left-out");

        if (!table_is_true(view, "usable"))
                snprintf(buffer, size, "%s", table_text(view, "reason"));
        else if (*table_text(view, "obstacle"))
                snprintf(buffer, size, "no VFs: %s (%s)", table_text(view, "obstacle_sentence"),
                         table_text(view, "obstacle"));
        else if (left_out > 0)
                snprintf(buffer, size, "usable, but VFs do not reach %u MAC%s: no room in the uplink filters", left_out,
                         left_out == 1 ? "" : "s");
        else
                snprintf(buffer, size, "usable");
}

static void pfs_text(const json_t *view, char *buffer, size_t size)
{
        const json_t *pf;
        size_t used = 0, index;

        json_array_foreach (json_object_get(view, "pfs"), index, pf) {
                if (used < size)
                        used += (size_t) snprintf(buffer + used, size - used, "%s%s", used ? " " : "",
                                                  json_string_value(pf));
        }
}

static void iov_text(const json_t *view, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s", table_is_true(view, "iov") ? "yes" : "no");
}

static void vlans_text(const json_t *view, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s", table_is_true(view, "filters_vlans") ? "filtered" : "not filtered");
}

/* "4 (3 listed, 1 left-out)" */
static void neighbours_text(const json_t *view, char *buffer, size_t size)
{
        static const char *const states[] = { "left-out", "crowded", "listed", "foreign" };
        size_t count = json_array_size(json_object_get(view, "neighbours"));
        size_t used = (size_t) snprintf(buffer, size, "%zu", count);
        const char *separator = " (";

        for (size_t i = 0; i < ELEMENTS(states) && used < size; i++) {
                unsigned number = count_neighbours(view, states[i]);

                if (number > 0) {
                        used += (size_t) snprintf(buffer + used, size - used, "%s%u %s", separator, number, states[i]);
                        separator = ", ";
                }
        }
        if (*separator == ',' && used < size)
                snprintf(buffer + used, size - used, ")");
}

static void reached_text(const json_t *neighbour, char *buffer, size_t size)
{
        static const struct {
                const char *state, *text;
        } texts[] = {
                { "listed", "yes" },
                { "foreign", "yes, somebody else has listed it" },
                { "left-out", "no, there is no room in the uplink filters" },
                { "crowded", "no, too many are behind its port" },
                { "none", "not by an uplink filter" },
        };

        for (size_t i = 0; i < ELEMENTS(texts); i++)
                if (strcmp(table_text(neighbour, "state"), texts[i].state) == 0)
                        snprintf(buffer, size, "%s", texts[i].text);
}

static void vlan_text(const json_t *neighbour, char *buffer, size_t size)
{
        if (table_number(neighbour, "vlan") > 0)
                snprintf(buffer, size, "%lld", table_number(neighbour, "vlan"));
}

static const struct table_column list_columns[] = {
        { "SWITCH", "name", NULL },
        { "DRIVER", "driver", NULL },
        { "DEVICE", "device", NULL },
        { "UPLINK", "uplink", NULL },
        { "PFS", NULL, pfs_text },
        { "IOV", NULL, iov_text },
        { "VLANS", NULL, vlans_text },
        { "NEIGHBOURS", NULL, neighbours_text },
        { "STATE", NULL, switch_state_text },
};

static const struct table_column show_columns[] = {
        { "switch", "name", NULL },       { "driver", "driver", NULL },
        { "device", "device", NULL },     { "uplink", "uplink", NULL },
        { "PFs", NULL, pfs_text },        { "VFs for guests", NULL, iov_text },
        { "VLANs", NULL, vlans_text },    { "state", NULL, switch_state_text },
        { "what to do", "remedy", NULL }, { "neighbours", NULL, neighbours_text },
};

static const struct table_column neighbour_columns[] = {
        { "MAC", "mac", NULL },
        { "PORT", "port", NULL },
        { "VLAN", NULL, vlan_text },
        { "KIND", "kind", NULL },
        { "VFS REACH IT", NULL, reached_text },
};

static void render_list(const json_t *json)
{
        table_print(json_object_get(json, "switches"), list_columns, ELEMENTS(list_columns));
}

static void render_show(const json_t *json)
{
        const json_t *view;
        size_t index;

        json_array_foreach (json_object_get(json, "switches"), index, view) {
                const json_t *neighbours = json_object_get(view, "neighbours");

                if (index > 0)
                        putchar('\n');
                table_print_object(view, show_columns, ELEMENTS(show_columns));
                if (json_array_size(neighbours) == 0)
                        continue;
                putchar('\n');
                table_print(neighbours, neighbour_columns, ELEMENTS(neighbour_columns));
        }
}

/* What was left out first: that is what one looks for. Then by port. */
static int compare_neighbours(const void *a, const void *b)
{
        const json_t *const *one = a, *const *other = b;
        int one_out = strcmp(table_text(*one, "state"), "left-out") == 0;
        int other_out = strcmp(table_text(*other, "state"), "left-out") == 0;
        int order = strcmp(table_text(*one, "port"), table_text(*other, "port"));

        if (one_out != other_out)
                return other_out - one_out;
        if (order == 0)
                order = strcmp(table_text(*one, "mac"), table_text(*other, "mac"));
        return order != 0 ? order : (int) (table_number(*one, "vlan") - table_number(*other, "vlan"));
}

/* In place; as it is when there is no memory. */
static void order_neighbours(json_t *view)
{
        json_t *list = json_object_get(view, "neighbours"), *neighbour;
        size_t count = json_array_size(list), index;
        _cleanup_free_ json_t **order = calloc(count + 1, sizeof(json_t *));
        _cleanup_json_ json_t *ordered = json_array();

        if (!order || !ordered)
                return;
        json_array_foreach (list, index, neighbour) {
                order[index] = neighbour;
        }
        qsort(order, count, sizeof(json_t *), compare_neighbours);
        for (size_t i = 0; i < count; i++)
                json_array_append(ordered, order[i]);
        json_object_set(view, "neighbours", ordered);
}

static int show(struct cli *cli, const char *name, void (*render)(const json_t *json))
{
        _cleanup_json_ json_t *root = NULL, *matching = json_array(), *json = NULL;
        int code = cli_objects(cli, &root);
        json_t *view;
        size_t index;

        if (code != CLI_OK)
                return code;
        json_array_foreach (json_object_get(root, "switches"), index, view) {
                if (name && strcmp(table_text(view, "name"), name) != 0)
                        continue;
                order_neighbours(view);
                json_array_append(matching, view);
        }
        if (name && json_array_size(matching) == 0)
                return cli_fail(cli, CLI_NOT_FOUND,
                                "there is no switch \"%s\" in the configuration; `vswitch switch list` shows those "
                                "there are",
                                name);
        json = json_pack("{s:i, s:O}", "version", CLIENT_JSON_VERSION, "switches", matching);
        return cli_show(cli, json, render);
}

int verb_switch_list(struct cli *cli, int argc, char **argv)
{
        return show(cli, NULL, render_list);
}

int verb_switch_show(struct cli *cli, int argc, char **argv)
{
        return show(cli, argc > 0 ? argv[0] : NULL, render_show);
}
