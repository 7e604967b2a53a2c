/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define FILTERS_IN_LINE 5

/*
 * Of a PF
 */

static void link_text(const json_t *pf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s",
                 !table_is_true(pf, "up")        ? "down"
                 : !table_is_true(pf, "carrier") ? "no carrier"
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
                snprintf(buffer + used, size - used, "%s of %lld", used ? "" : "0", table_number(pf, "total_vfs"));
}

/* "2 of 14" */
static void filters_text(const json_t *pf, char *buffer, size_t size)
{
        size_t count = json_array_size(json_object_get(pf, "uplink_filters"));
        json_int_t capacity = table_number(pf, "filter_capacity");

        if (capacity > 0)
                snprintf(buffer, size, "%zu of %lld%s", count, capacity,
                         (json_int_t) count > capacity ? ": too many" : "");
        else
                snprintf(buffer, size, "%zu; how many the card takes is not known", count);
}

static void steering_text(const json_t *pf, char *buffer, size_t size)
{
        const char *source = table_text(pf, "steering_source");

        snprintf(buffer, size, "%s%s%s%s", table_text(pf, "steering"), *source ? " (" : "", source, *source ? ")" : "");
}

static void active_text(const json_t *pf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s", table_is_true(pf, "active") ? "yes" : "no: frames enter by another port");
}

static void join(const json_t *list, char *buffer, size_t size)
{
        const json_t *text;
        size_t used = 0, index;

        json_array_foreach (list, index, text) {
                if (used < size)
                        used += (size_t) snprintf(buffer + used, size - used, "%s%s", used ? ", " : "",
                                                  json_string_value(text));
        }
}

static void can_set_text(const json_t *pf, char *buffer, size_t size)
{
        join(json_object_get(pf, "can_set"), buffer, size);
}

static void cannot_set_text(const json_t *pf, char *buffer, size_t size)
{
        join(json_object_get(pf, "cannot_set"), buffer, size);
}

/*
 * Of a VF
 */

static void index_text(const json_t *vf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%lld", table_number(vf, "index"));
}

static void vectors_text(const json_t *vf, char *buffer, size_t size)
{
        snprintf(buffer, size, "%lld", table_number(vf, "vectors"));
}

/* The attribute, or NULL after having shown that the driver does not report it. */
static const json_t *attribute(const json_t *vf, const char *key, char *buffer, size_t size)
{
        const json_t *value = json_object_get(json_object_get(vf, "attributes"), key);

        if (!value)
                snprintf(buffer, size, "?");
        return value;
}

static void on_off_text(const json_t *vf, const char *key, char *buffer, size_t size)
{
        const json_t *value = attribute(vf, key, buffer, size);

        if (value)
                snprintf(buffer, size, "%s", json_is_true(value) ? "on" : "off");
}

static void spoof_check_text(const json_t *vf, char *buffer, size_t size)
{
        on_off_text(vf, "spoof_check", buffer, size);
}

static void trust_text(const json_t *vf, char *buffer, size_t size)
{
        on_off_text(vf, "trust", buffer, size);
}

static void query_rss_text(const json_t *vf, char *buffer, size_t size)
{
        on_off_text(vf, "query_rss", buffer, size);
}

static void link_state_text(const json_t *vf, char *buffer, size_t size)
{
        const json_t *value = attribute(vf, "link_state", buffer, size);

        if (value)
                snprintf(buffer, size, "%s", json_string_value(value));
}

/* "30", "30 prio 2", "30 802.1ad" */
static void vlan_text(const json_t *vf, char *buffer, size_t size)
{
        const json_t *attributes = json_object_get(vf, "attributes"), *vlan = attribute(vf, "vlan", buffer, size);
        json_int_t qos = table_number(attributes, "qos");
        char priority[32] = "";

        if (!vlan || json_integer_value(vlan) == 0)
                return;
        if (qos > 0)
                snprintf(priority, sizeof(priority), " prio %lld", qos);
        snprintf(buffer, size, "%lld%s%s", json_integer_value(vlan), priority,
                 strcmp(table_text(attributes, "vlan_protocol"), "802.1ad") == 0 ? " 802.1ad" : "");
}

/* "100..1000", "..1000", "100.." in Mbit/s */
static void rate_text(const json_t *vf, char *buffer, size_t size)
{
        const json_t *max = attribute(vf, "max_rate", buffer, size);
        json_int_t min_rate = table_number(json_object_get(vf, "attributes"), "min_rate");
        char low[32] = "", high[32] = "";

        if (!max || (min_rate == 0 && json_integer_value(max) == 0))
                return;
        if (min_rate > 0)
                snprintf(low, sizeof(low), "%lld", min_rate);
        if (json_integer_value(max) > 0)
                snprintf(high, sizeof(high), "%lld", json_integer_value(max));
        snprintf(buffer, size, "%s..%s", low, high);
}

static void counter_text(const json_t *vf, const char *key, char *buffer, size_t size)
{
        snprintf(buffer, size, "%lld", table_number(json_object_get(vf, "statistics"), key));
}

#define COUNTER(key)                                                                                                   \
        static void key##_text(const json_t *vf, char *buffer, size_t size)                                            \
        {                                                                                                              \
                counter_text(vf, #key, buffer, size);                                                                  \
        }

COUNTER(received_packets)
COUNTER(received_bytes)
COUNTER(received_dropped)
COUNTER(sent_packets)
COUNTER(sent_bytes)
COUNTER(sent_dropped)
COUNTER(multicast)
COUNTER(broadcast)

static const struct table_column list_columns[] = {
        { "PF", "name", NULL },      { "SWITCH", "switch", NULL },     { "DRIVER", "driver", NULL },
        { "LINK", NULL, link_text }, { "STEERING", "steering", NULL }, { "FILTERS", NULL, filters_text },
        { "VFS", NULL, vfs_text },
};

static const struct table_column show_columns[] = {
        { "PF", "name", NULL },
        { "address", "address", NULL },
        { "driver", "driver", NULL },
        { "firmware", "firmware", NULL },
        { "switch", "switch", NULL },
        { "bridge's port", "port", NULL },
        { "link", NULL, link_text },
        { "steering", NULL, steering_text },
        { "VFs", NULL, vfs_text },
        { "VFs for guests", NULL, active_text },
        { "can be set", NULL, can_set_text },
        { "cannot be set", NULL, cannot_set_text },
        { "uplink filters", NULL, filters_text },
};

static const struct table_column vf_columns[] = {
        { "VF", NULL, index_text },
        { "ADDRESS", "address", NULL },
        { "STATE", "state", NULL },
        { "DRIVER", "driver", NULL },
        { "MAC", "mac", NULL },
        { "VLAN", NULL, vlan_text },
        { "SPOOF CHECK", NULL, spoof_check_text },
        { "TRUST", NULL, trust_text },
        { "LINK", NULL, link_state_text },
        { "MBIT/S", NULL, rate_text },
        { "RSS QUERY", NULL, query_rss_text },
        { "VECTORS", NULL, vectors_text },
        { "WHOSE", "owner", NULL },
};

static const struct table_column statistics_columns[] = {
        { "VF", NULL, index_text },
        { "RECEIVED", NULL, received_packets_text },
        { "BYTES", NULL, received_bytes_text },
        { "DROPPED", NULL, received_dropped_text },
        { "SENT", NULL, sent_packets_text },
        { "BYTES", NULL, sent_bytes_text },
        { "DROPPED", NULL, sent_dropped_text },
        { "MULTICAST", NULL, multicast_text },
        { "BROADCAST", NULL, broadcast_text },
};

static void render_list(const json_t *json)
{
        table_print(json_object_get(json, "pfs"), list_columns, ELEMENTS(list_columns));
}

static void print_refusals(const json_t *pf)
{
        const json_t *refusal;
        size_t index;

        json_array_foreach (json_object_get(pf, "refusals"), index, refusal) {
                printf("%s  %s\n", index == 0 ? "\nThe driver's words for what cannot be set:\n" : "",
                       json_string_value(refusal));
        }
}

static void print_filters(const json_t *pf)
{
        const json_t *filter;
        size_t index;

        json_array_foreach (json_object_get(pf, "uplink_filters"), index, filter) {
                if (index == 0)
                        printf("\nUplink filters:");
                printf("%s%s", index % FILTERS_IN_LINE == 0 ? "\n  " : " ", json_string_value(filter));
        }
        if (json_array_size(json_object_get(pf, "uplink_filters")) > 0)
                putchar('\n');
}

/* Of those VFs that have any. */
static void print_statistics(const json_t *vfs)
{
        _cleanup_json_ json_t *counted = json_array();
        const json_t *vf;
        size_t index;

        json_array_foreach (vfs, index, vf) {
                if (json_object_get(vf, "statistics"))
                        json_array_append(counted, (json_t *) vf);
        }
        if (json_array_size(counted) == 0)
                return;
        putchar('\n');
        table_print(counted, statistics_columns, ELEMENTS(statistics_columns));
}

static void render_show(const json_t *json)
{
        const json_t *pf = json_array_get(json_object_get(json, "pfs"), 0);
        const json_t *vfs = json_object_get(pf, "vfs");

        table_print_object(pf, show_columns, ELEMENTS(show_columns));
        print_refusals(pf);
        print_filters(pf);
        if (json_array_size(vfs) == 0)
                return;
        putchar('\n');
        table_print(vfs, vf_columns, ELEMENTS(vf_columns));
        print_statistics(vfs);
}

static int no_such_pf(struct cli *cli, const char *name)
{
        return cli_fail(cli, CLI_NOT_FOUND,
                        "there is no PF \"%s\" on a configured switch; `vswitch pf list` shows those there are", name);
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
                return no_such_pf(cli, name);
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
