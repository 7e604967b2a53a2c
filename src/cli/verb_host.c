/* SPDX-License-Identifier: Apache-2.0 */

/* What stands between this host and SR-IOV. The daemon is not asked: it may not even be installed yet. */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"
#include "src/hostcheck/hostcheck.h"

#include <stdio.h>
#include <string.h>

#define TEXT_COLUMN 32
#define LAST_COLUMN 110

struct findings {
        json_t *list;
        unsigned counts[HOSTCHECK_PROBLEM + 1];
};

static void add(const struct hostcheck_finding *finding, void *userdata)
{
        struct findings *findings = userdata;

        findings->counts[finding->level]++;
        json_array_append_new(findings->list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "level",
                                                        hostcheck_level_to_string(finding->level), "check",
                                                        finding->check, "subject", finding->subject, "seen",
                                                        finding->seen, "why", finding->why, "remedy", finding->remedy));
}

/* Prints a text between the columns TEXT_COLUMN and LAST_COLUMN; the cursor is at the first of them. */
static void print_wrapped(const char *text, const char *follow)
{
        size_t column = TEXT_COLUMN;

        while (*text) {
                size_t word = strcspn(text, " ");

                if (column > TEXT_COLUMN && column + word > LAST_COLUMN) {
                        printf("\n%*s%s", TEXT_COLUMN, "", follow);
                        column = TEXT_COLUMN + strlen(follow);
                }
                printf("%.*s", (int) word, text);
                column += word + 1;
                text += word;
                if (*text) {
                        text++;
                        if (column + strcspn(text, " ") <= LAST_COLUMN)
                                putchar(' ');
                }
        }
        putchar('\n');
}

static void print_line(const char *level, const char *check, const char *label, const char *text)
{
        char whole[1024];

        if (!*text)
                return;
        snprintf(whole, sizeof(whole), "%s%s", label, text);
        printf("  %-8s %-20s ", level, check);
        print_wrapped(whole, *label ? "     " : "");
}

/* "enp1s0" before the first finding of each subject. */
static void print_finding(const json_t *finding, const char **subject)
{
        if (strcmp(*subject, table_text(finding, "subject")) != 0)
                printf("%s%s\n", **subject ? "\n" : "", table_text(finding, "subject"));
        *subject = table_text(finding, "subject");
        print_line(table_text(finding, "level"), table_text(finding, "check"), "", table_text(finding, "seen"));
        print_line("", "", "why: ", table_text(finding, "why"));
        print_line("", "", "do:  ", table_text(finding, "remedy"));
}

static void render(const json_t *json)
{
        const json_t *finding, *summary = json_object_get(json, "summary");
        const char *subject = "";
        size_t index;

        json_array_foreach (json_object_get(json, "findings"), index, finding) {
                print_finding(finding, &subject);
        }
        printf("\n%s: %lld problem%s, %lld warning%s\n",
               table_is_true(json, "ready") ? "Nothing stands in the way of VFs" : "No guest can get a VF yet",
               table_number(summary, "problem"), table_number(summary, "problem") == 1 ? "" : "s",
               table_number(summary, "warning"), table_number(summary, "warning") == 1 ? "" : "s");
}

int verb_host_check(struct cli *cli, int argc, char **argv)
{
        const struct hostcheck_options options = {
                .root = cli->options[CLI_ROOT] ?: "",
                .run_programs = !cli->options[CLI_ROOT],
                .pfs = argc > 0 ? (const char *const *) argv : NULL,
        };
        struct findings findings = { .list = json_array() };
        _cleanup_json_ json_t *json = NULL;
        struct vswitch_error error = {};
        bool ready;
        int r;

        r = hostcheck_run(&options, add, &findings, &error);
        ready = findings.counts[HOSTCHECK_PROBLEM] == 0;
        json = json_pack("{s:i, s:b, s:{s:i, s:i, s:i, s:i}, s:o}", "version", CLIENT_JSON_VERSION, "ready",
                         (int) ready, "summary", "ok", (int) findings.counts[HOSTCHECK_OK], "note",
                         (int) findings.counts[HOSTCHECK_NOTE], "warning", (int) findings.counts[HOSTCHECK_WARNING],
                         "problem", (int) findings.counts[HOSTCHECK_PROBLEM], "findings", findings.list);
        if (r < 0)
                return cli_fail(cli, CLI_NOT_FOUND, "%s", vswitch_error_text(&error, r));
        cli_show(cli, json, render);
        return ready ? CLI_OK : CLI_FAILED;
}
