/* SPDX-License-Identifier: Apache-2.0 */
#include "src/probe/report.h"

#include "src/cli/cli.h"

#include <stdio.h>
#include <string.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const char *steering_sentence(enum failover_steering steering)
{
        switch (steering) {
        case FAILOVER_STEERING_BOTH:
                return "a MAC that is VF filter and uplink filter is delivered to both";
        case FAILOVER_STEERING_PF_WINS:
                return "a MAC that is VF filter and uplink filter is delivered to the PF only";
        case FAILOVER_STEERING_VF_WINS:
                return "a MAC that is VF filter and uplink filter is delivered to the VF only, driven or not";
        case FAILOVER_STEERING_FOLLOWS_GUEST:
                return "a MAC that is VF filter and uplink filter is delivered to the VF while its driver runs, else "
                       "to "
                       "the PF";
        default:
                return "what the card does with a MAC that is VF filter and uplink filter is unclear: the answers are "
                       "missing or contradict each other; the safe sequence is used";
        }
}

static json_t *experiments_of(const struct probe_bench *bench)
{
        json_t *experiments = json_array();

        for (int i = 0; i < PROBE_FINDING_COUNT; i++) {
                const struct probe_finding_text *text = probe_finding_text((enum probe_finding) i);
                const struct probe_answer *answer = &bench->answers[i];

                json_array_append_new(experiments,
                                      json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "name", text->name, "question",
                                                text->question, "verdict", probe_verdict_to_string(answer->verdict),
                                                "sent", (int) answer->count.sent, "received",
                                                (int) answer->count.received, "note", answer->note));
        }
        return experiments;
}

json_t *probe_report_new(const struct probe_bench *bench, const struct probe_conclusion *conclusion,
                         const struct probe_result *result)
{
        const char *overflow =
                bench->capacity_measured ? probe_overflow_to_string(bench->capacity.overflow) : "not-tried";

        return json_pack("{s:s, s:o, s:s, s:s, s:s, s:b, s:s, s:I, s:b, s:s, s:I, s:s, s:s, s:s, s:b, s:I, s:o}", "pf",
                         bench->pf->name, "card", probe_result_card(bench->pf), "verdict",
                         conclusion->steering != FAILOVER_STEERING_UNKNOWN ? "measured" : "unclear", "sentence",
                         steering_sentence(conclusion->steering), "steering",
                         failover_steering_to_string(conclusion->steering), "reflects", conclusion->reflects,
                         "filter_live", probe_filter_live_to_string(conclusion->filter_live), "filter_capacity",
                         (json_int_t) result->filter_capacity, "capacity_is_bound", result->capacity_is_bound,
                         "overflow", overflow, "vf_count", (json_int_t) result->vf_count, "isolates_vlans",
                         probe_verdict_to_string(conclusion->isolates_vlans), "spoof_check_drops",
                         probe_verdict_to_string(conclusion->spoof_check_drops), "promiscuous_helps",
                         probe_verdict_to_string(conclusion->promiscuous_helps), "pf_was_promiscuous",
                         bench->pf_is_promiscuous, "realtime_usec", (json_int_t) result->usec, "experiments",
                         experiments_of(bench));
}

/* ---- for people ---- */

static void card_text(const json_t *report, char *buffer, size_t size)
{
        const json_t *card = json_object_get(report, "card");
        const char *firmware = table_text(card, "firmware");

        snprintf(buffer, size, "%s:%s (%s:%s), driver %s%s%s", table_text(card, "vendor"), table_text(card, "device"),
                 table_text(card, "subsystem_vendor"), table_text(card, "subsystem_device"), table_text(card, "driver"),
                 firmware[0] ? ", firmware " : "", firmware);
}

static void steering_text(const json_t *report, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s: %s", table_text(report, "steering"), table_text(report, "sentence"));
}

static void reflects_text(const json_t *report, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s", json_is_true(json_object_get(report, "reflects")) ? "yes" : "no");
}

static void capacity_text(const json_t *report, char *buffer, size_t size)
{
        const char *overflow = table_text(report, "overflow");
        long long capacity = json_integer_value(json_object_get(report, "filter_capacity"));

        if (strcmp(overflow, "not-tried") == 0)
                snprintf(buffer, size, "not found out");
        else if (json_is_true(json_object_get(report, "capacity_is_bound")))
                snprintf(buffer, size, "at least %lld deliver", capacity);
        else
                snprintf(buffer, size, "%lld deliver with %lld VFs; what is beyond is %s", capacity,
                         (long long) json_integer_value(json_object_get(report, "vf_count")),
                         strcmp(overflow, "promiscuous") == 0 ? "delivered with everything else" : overflow);
}

static void frames_text(const json_t *experiment, char *buffer, size_t size)
{
        long long sent = json_integer_value(json_object_get(experiment, "sent"));

        if (sent > 0)
                snprintf(buffer, size, "%lld/%lld",
                         (long long) json_integer_value(json_object_get(experiment, "received")), sent);
}

static const struct table_column summary_columns[] = {
        { "PF", "pf", NULL },
        { "card", NULL, card_text },
        { "steering", NULL, steering_text },
        { "PF hears itself", NULL, reflects_text },
        { "VF filter is live", "filter_live", NULL },
        { "uplink filters", NULL, capacity_text },
        { "promiscuous PF hears VFs", "promiscuous_helps", NULL },
        { "VLANs keep VFs apart", "isolates_vlans", NULL },
        { "spoof check drops", "spoof_check_drops", NULL },
        { "error", "error_sentence", NULL },
        { "result", "file", NULL },
        { "vswitchd", "used_sentence", NULL },
};

static const struct table_column experiment_columns[] = {
        { "EXPERIMENT", "name", NULL },   { "ANSWER", "verdict", NULL }, { "FRAMES", NULL, frames_text },
        { "QUESTION", "question", NULL }, { "NOTE", "note", NULL },
};

void probe_report_render(const json_t *report)
{
        table_print_object(report, summary_columns, ELEMENTS(summary_columns));
        putchar('\n');
        table_print(json_object_get(report, "experiments"), experiment_columns, ELEMENTS(experiment_columns));
}
