/* SPDX-License-Identifier: Apache-2.0 */

#include "src/audit/report.h"

#include "src/cli/cli.h"

#include <stdio.h>
#include <string.h>

#define TEXT_COLUMN 14
#define LAST_COLUMN 110

static const char *outcome_to_string(enum audit_outcome outcome)
{
        static const char *const names[] = {
                [AUDIT_DONE] = "done",
                [AUDIT_WOULD] = "would-do",
                [AUDIT_FAILED] = "failed",
                [AUDIT_SKIPPED] = "skipped",
        };

        return names[outcome];
}

json_t *audit_report_repair(const struct audit_finding *finding, enum audit_outcome outcome, const char *sentence)
{
        return json_pack("{s:s, s:s, s:s, s:s}", "code", audit_codes[finding->code].name, "subject", finding->subject,
                         "outcome", outcome_to_string(outcome), "sentence", sentence);
}

static json_t *finding_json(const struct audit_finding *finding)
{
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "level", audit_level_to_string(finding->level),
                         "code", audit_codes[finding->code].name, "subject", finding->subject, "seen", finding->seen,
                         "why", audit_codes[finding->code].why, "remedy", finding->remedy, "fixable",
                         (int) (finding->repair.kind != AUDIT_REPAIR_NONE), "not_fixed", finding->not_fixed);
}

json_t *audit_report_new(const struct audit_findings *findings, json_t *repairs)
{
        size_t problems = audit_count(findings, AUDIT_PROBLEM), fixable = 0;
        json_t *list = json_array();

        for (size_t i = 0; i < findings->count; i++) {
                fixable += findings->list[i].repair.kind != AUDIT_REPAIR_NONE;
                json_array_append_new(list, finding_json(&findings->list[i]));
        }
        return json_pack("{s:i, s:b, s:{s:I, s:I, s:I}, s:o, s:o}", "version", CLIENT_JSON_VERSION, "clean",
                         (int) (problems == 0), "summary", "problem", (json_int_t) problems, "note",
                         (json_int_t) audit_count(findings, AUDIT_NOTE), "fixable", (json_int_t) fixable, "findings",
                         list, "repairs", repairs);
}

/* "label text", the text between the columns; the cursor is at the beginning of a line. */
static void print_wrapped(const char *label, const char *text)
{
        size_t column = TEXT_COLUMN;

        if (!*text)
                return;
        printf("%*s ", TEXT_COLUMN - 1, label);
        while (*text) {
                size_t word = strcspn(text, " ");

                if (column > TEXT_COLUMN && column + word > LAST_COLUMN) {
                        printf("\n%*s", TEXT_COLUMN, "");
                        column = TEXT_COLUMN;
                } else if (column > TEXT_COLUMN) {
                        putchar(' ');
                }
                printf("%.*s", (int) word, text);
                column += word + 1;
                text += word;
                text += *text == ' ';
        }
        putchar('\n');
}

static void print_finding(const json_t *finding)
{
        char text[256];

        printf("%-8s %-24s %s\n", table_text(finding, "level"), table_text(finding, "code"),
               table_text(finding, "subject"));
        print_wrapped("", table_text(finding, "seen"));
        print_wrapped("why:", table_text(finding, "why"));
        print_wrapped("do:", table_text(finding, "remedy"));
        snprintf(text, sizeof(text), "leaves it: %s", table_text(finding, "not_fixed"));
        print_wrapped("--fix:", table_is_true(finding, "fixable") ? "repairs it" : text);
        putchar('\n');
}

void audit_report_render(const json_t *report)
{
        const json_t *item, *summary = json_object_get(report, "summary"),
                            *repairs = json_object_get(report, "repairs");
        json_int_t problems = table_number(summary, "problem"), notes = table_number(summary, "note");
        size_t index;

        json_array_foreach (repairs, index, item) {
                printf("%-8s %-24s %s: %s\n", table_text(item, "outcome"), table_text(item, "code"),
                       table_text(item, "subject"), table_text(item, "sentence"));
        }
        if (json_array_size(repairs) > 0)
                putchar('\n');
        json_array_foreach (json_object_get(report, "findings"), index, item) {
                print_finding(item);
        }
        printf("%s: %lld problem%s, %lld note%s", table_is_true(report, "clean") ? "All is in order" : "Not in order",
               problems, problems == 1 ? "" : "s", notes, notes == 1 ? "" : "s");
        if (table_number(summary, "fixable") > 0)
                printf("; `vswitch audit --fix` repairs %lld", table_number(summary, "fixable"));
        putchar('\n');
}
