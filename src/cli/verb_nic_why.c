/* SPDX-License-Identifier: Apache-2.0 */

/* nic why: the NIC's properties as the sentences that they make. */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Adds a sentence to the list. */
static void say(json_t *list, const char *topic, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void say(json_t *list, const char *topic, const char *format, ...)
{
        char sentence[1024];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof(sentence), format, arguments);
        va_end(arguments);
        json_array_append_new(list, json_pack("{s:s, s:s}", "topic", topic, "sentence", sentence));
}

/* A part of a sentence. */
struct part {
        char text[600];
};

/* A time of the NIC's, as " WORD TIME"; "" when there is none. */
static struct part when(const json_t *nic, const char *key, const char *word)
{
        struct part result = {};
        char time[32];

        table_time((uint64_t) table_number(nic, key), time, sizeof(time));
        if (time[0])
                snprintf(result.text, sizeof(result.text), " %s %s", word, time);
        return result;
}

/* ": DETAIL", or "". */
static struct part detail(const json_t *nic, const char *key)
{
        struct part result = {};

        if (*table_text(nic, key))
                snprintf(result.text, sizeof(result.text), ": %s", table_text(nic, key));
        return result;
}

static void say_path(const json_t *nic, json_t *list)
{
        const char *path = table_text(nic, "path"), *name = table_text(nic, "nic");
        const struct part since = when(nic, "since_usec", "since");

        if (strcmp(path, "vf") == 0)
                say(list, "path", "%s is on the VF %s of %s%s.", name, table_text(nic, "vf"), table_text(nic, "pf"),
                    since.text);
        else if (strcmp(path, "both") == 0)
                say(list, "path", "%s is on both paths (the tap %s and the VF %s of %s), because it moves%s.", name,
                    table_text(nic, "tap"), table_text(nic, "vf"), table_text(nic, "pf"), since.text);
        else if (strcmp(path, "none") == 0)
                say(list, "path", "%s is on no path of this host%s.", name, since.text);
        else if (strcmp(path, "synthetic") == 0)
                say(list, "path", "%s is on the synthetic path (the tap %s on switch %s)%s.", name,
                    table_text(nic, "tap"), table_text(nic, "switch"), since.text);
        else
                say(list, "path", "The path of %s is not known%s.", name, since.text);
}

static void say_wanted(const json_t *nic, json_t *list)
{
        const char *wanted = table_text(nic, "wanted"), *request = table_text(nic, "request");
        bool wants_vf = strcmp(wanted, "vf") == 0;

        if (*request)
                say(list, "wanted", "A move to %s was asked for and goes on.",
                    strcmp(request, "acquire") == 0 ? "a VF" : "the synthetic path");
        else if (wants_vf && strcmp(table_text(nic, "path"), "vf") == 0)
                say(list, "wanted", "That is where it should be.");
        else if (wants_vf)
                say(list, "wanted", "It should be on a VF.");
        else
                say(list, "wanted", "It should be on the synthetic path.");
        if (*table_text(nic, "reason"))
                say(list, "reason", "The reason: %s (%s)%s.", table_text(nic, "reason_sentence"),
                    table_text(nic, "reason"), detail(nic, "detail").text);
        if (*table_text(nic, "remedy"))
                say(list, "remedy", "What to do: %s.", table_text(nic, "remedy"));
}

static void say_next(const json_t *nic, json_t *list)
{
        const struct part deadline = when(nic, "deadline_usec", "At");
        json_int_t attempts = table_number(nic, "unplug_attempts");

        if (*table_text(nic, "now"))
                say(list, "now", "Now: %s.", table_text(nic, "now"));
        if (attempts > 0)
                say(list, "unplug", "The guest was asked %lld time%s to let go of its VF.", attempts,
                    attempts == 1 ? "" : "s");
        if (deadline.text[0] && *table_text(nic, "then"))
                say(list, "next", "%s %s.", deadline.text + 1, table_text(nic, "then"));
        if (*table_text(nic, "trouble"))
                say(list, "trouble", "The daemon %s; it is tried again%s.", table_text(nic, "trouble"),
                    when(nic, "retry_usec", "at").text);
}

static void say_history(const json_t *nic, json_t *list)
{
        const struct part back_off = when(nic, "back_off_usec", "before");

        if (table_is_true(nic, "held"))
                say(list, "hold", "It is held on the synthetic path%s%s; vswitch nic acquire %s ends that.",
                    *table_text(nic, "held_by") ? " by " : "", table_text(nic, "held_by"), table_text(nic, "nic"));
        if (*table_text(nic, "failure"))
                say(list, "failure", "The last move ended early%s: %s (%s)%s.", when(nic, "failure_usec", "at").text,
                    table_text(nic, "failure_sentence"), table_text(nic, "failure"),
                    detail(nic, "failure_detail").text);
        if (back_off.text[0])
                say(list, "back-off", "No new one is begun%s.", back_off.text);
}

static void say_policy(const json_t *nic, json_t *list)
{
        char policy[256] = "";

        nic_policy_text(nic, policy, sizeof(policy));
        if (policy[0])
                say(list, "policy", "Its policy: %s.", policy);
}

static void render(const json_t *json)
{
        const json_t *line;
        size_t index;

        json_array_foreach (json_object_get(json, "explanation"), index, line) {
                puts(table_text(line, "sentence"));
        }
}

int verb_nic_why(struct cli *cli, int argc, char **argv)
{
        _cleanup_json_ json_t *root = NULL, *json = NULL;
        json_t *list = json_array();
        const json_t *nic;
        int code;

        code = cli_objects(cli, &root);
        if (code == CLI_OK)
                code = cli_find_nic(cli, root, argv[0], &nic);
        if (code != CLI_OK) {
                json_decref(list);
                return code;
        }
        cli_warn_without_libvirt(root);
        say_path(nic, list);
        say_wanted(nic, list);
        say_next(nic, list);
        say_history(nic, list);
        say_policy(nic, list);
        json = json_pack("{s:i, s:O, s:o}", "version", CLIENT_JSON_VERSION, "nic", nic, "explanation", list);
        return cli_show(cli, json, render);
}
