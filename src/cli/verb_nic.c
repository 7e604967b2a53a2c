/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static void path_text(const json_t *nic, char *buffer, size_t size)
{
        const char *path = table_text(nic, "path");

        snprintf(buffer, size, "%s%s", strcmp(path, "both") == 0 ? "both (moving)" : path,
                 json_is_true(json_object_get(nic, "held")) ? ", held" : "");
}

static void since_text(const json_t *nic, char *buffer, size_t size)
{
        table_time((uint64_t) json_integer_value(json_object_get(nic, "since_usec")), buffer, size);
}

static void deadline_text(const json_t *nic, char *buffer, size_t size)
{
        table_time((uint64_t) json_integer_value(json_object_get(nic, "deadline_usec")), buffer, size);
}

static void vf_text(const json_t *nic, char *buffer, size_t size)
{
        const char *vf = table_text(nic, "vf");

        if (*vf)
                snprintf(buffer, size, "%s of %s%s", vf, table_text(nic, "pf"),
                         strcmp(table_text(nic, "path"), "vf") == 0 ? "" : " (no frames on it)");
}

static void reason_text(const json_t *nic, char *buffer, size_t size)
{
        if (*table_text(nic, "reason"))
                snprintf(buffer, size, "%s (%s)", table_text(nic, "reason_sentence"), table_text(nic, "reason"));
}

static void vlan_text(const json_t *nic, char *buffer, size_t size)
{
        if (table_number(nic, "vlan") > 0)
                snprintf(buffer, size, "%lld", table_number(nic, "vlan"));
}

void nic_policy_text(const json_t *nic, char *buffer, size_t size)
{
        const json_t *policy = json_object_get(nic, "policy");
        FILE *text = json_object_size(policy) > 0 ? fmemopen(buffer, size, "w") : NULL;

        if (!text)
                return;
        fprintf(text, "weight %lld", table_number(policy, "weight"));
        if (table_number(policy, "vlan") > 0) {
                fprintf(text, ", VLAN %lld", table_number(policy, "vlan"));
                if (table_number(policy, "qos") > 0)
                        fprintf(text, " (priority %lld)", table_number(policy, "qos"));
                if (strcmp(table_text(policy, "vlan_protocol"), "802.1Q") != 0)
                        fprintf(text, " of %s", table_text(policy, "vlan_protocol"));
        }
        if (strcmp(table_text(policy, "spoof_check"), "auto") != 0)
                fprintf(text, ", spoof check %s", table_text(policy, "spoof_check"));
        if (table_is_true(policy, "trust"))
                fputs(", trusted", text);
        if (table_number(policy, "min_rate") > 0)
                fprintf(text, ", at least %lld Mbit/s", table_number(policy, "min_rate"));
        if (table_number(policy, "max_rate") > 0)
                fprintf(text, ", at most %lld Mbit/s", table_number(policy, "max_rate"));
        if (table_is_true(policy, "prefer_vf"))
                fputs(", rather a VF than all of this", text);
        fclose(text);
}

static const struct table_column list_columns[] = {
        { "NIC", "nic", NULL },          { "MAC", "mac", NULL }, { "SWITCH", "switch", NULL },
        { "PATH", NULL, path_text },     { "VF", "vf", NULL },   { "SINCE", NULL, since_text },
        { "WHY NO VF", "reason", NULL },
};

static const struct table_column show_columns[] = {
        { "NIC", "nic", NULL },
        { "domain's UUID", "uuid", NULL },
        { "MAC", "mac", NULL },
        { "switch", "switch", NULL },
        { "tap", "tap", NULL },
        { "VLAN on the wire", NULL, vlan_text },
        { "policy", NULL, nic_policy_text },
        { "path", NULL, path_text },
        { "path wanted", "wanted", NULL },
        { "situation", "situation", NULL },
        { "VF", NULL, vf_text },
        { "since", NULL, since_text },
        { "waits until", NULL, deadline_text },
        { "why no VF", NULL, reason_text },
        { "what to do", "remedy", NULL },
};

static void render_list(const json_t *json)
{
        table_print(json_object_get(json, "nics"), list_columns, ELEMENTS(list_columns));
}

static void render_show(const json_t *json)
{
        const json_t *nic;
        size_t index;

        json_array_foreach (json_object_get(json, "nics"), index, nic) {
                if (index > 0)
                        putchar('\n');
                table_print_object(nic, show_columns, ELEMENTS(show_columns));
        }
}

void cli_warn_without_libvirt(const json_t *root)
{
        const json_t *daemon = json_object_get(root, "daemon");

        if (!json_is_true(json_object_get(daemon, "libvirt_connected")))
                fprintf(stderr,
                        "vswitch: vswitchd has no connection to libvirt, so this may be old or incomplete: %s\n",
                        table_text(daemon, "libvirt_sentence"));
}

static int show(struct cli *cli, const char *name, void (*render)(const json_t *json))
{
        _cleanup_json_ json_t *root = NULL, *nics = NULL, *json = NULL;
        int code = cli_objects(cli, &root);

        if (code == CLI_OK)
                code = cli_find_nics(cli, root, name, &nics);
        if (code != CLI_OK)
                return code;
        cli_warn_without_libvirt(root);
        json = json_pack("{s:i, s:O}", "version", CLIENT_JSON_VERSION, "nics", nics);
        return cli_show(cli, json, render);
}

int verb_nic_list(struct cli *cli, int argc, char **argv)
{
        return show(cli, argc > 0 ? argv[0] : NULL, render_list);
}

int verb_nic_show(struct cli *cli, int argc, char **argv)
{
        return show(cli, argv[0], render_show);
}
