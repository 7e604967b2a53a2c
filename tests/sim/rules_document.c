/* SPDX-License-Identifier: Apache-2.0 */

/*
 * docs/rules.md, made from the rules themselves: what each of them wants in the tables and which steps it takes is found
 * by asking the core about every combination of the facts that matter to it.
 */

#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#define RULES_MAX 64

enum column {
        COLUMN_VF_FILTER,
        COLUMN_UPLINK_FILTER,
        COLUMN_COPY_RULE,
        COLUMN_PIN,
        COLUMNS,
};

/* What was seen of one rule: which values a column had with each steering class, a bit each, and which steps. */
struct seen {
        unsigned values[COLUMNS][FAILOVER_STEERING_COUNT];
        bool steps[FAILOVER_ACTION_COUNT];
        bool gives_up;
};

static struct seen seen[RULES_MAX];

static void look(const struct failover_facts *facts, uint64_t now)
{
        struct failover_decision decision;
        struct seen *rule = NULL;

        failover_decide(facts, &sim_policy, now, &decision);
        for (size_t i = 0; failover_rule_name(i); i++)
                if (strcmp(failover_rule_name(i), decision.rule) == 0)
                        rule = &seen[i];
        if (!rule)
                return;
        rule->values[COLUMN_VF_FILTER][facts->steering] |= 1u << decision.tables.vf_filter;
        rule->values[COLUMN_UPLINK_FILTER][facts->steering] |= 1u << decision.tables.uplink_filter;
        rule->values[COLUMN_COPY_RULE][facts->steering] |= 1u << decision.tables.copy_rule;
        rule->values[COLUMN_PIN][facts->steering] |= 1u << decision.tables.pin;
        for (size_t i = 0; i < decision.actions_count; i++)
                rule->steps[decision.actions[i]] = true;
        rule->gives_up |= decision.give_up != FAILOVER_REASON_NONE;
}

/* With an uplink that is up and a tap: what is missing there is missing in the tables too. */
static void look_at_all(void)
{
        const uint64_t now = 10000 * SECOND;

        for (unsigned bits = 0; bits < 1u << 11; bits++)
                for (unsigned known = 0; known < 3 * 3 * 3; known++)
                        for (unsigned steering = 0; steering < FAILOVER_STEERING_COUNT; steering++)
                                for (unsigned guest = 0; guest < FAILOVER_GUEST_COUNT; guest++) {
                                        bool asked = bits & 256;
                                        struct failover_facts facts = {
                                                .guest = (enum failover_guest) guest,
                                                .steering = (enum failover_steering) steering,
                                                .claim = (enum failover_claim)(known % 3),
                                                .attached = (enum failover_known)(known / 3 % 3),
                                                .vectors = (enum failover_known)(known / 9),
                                                .outgoing = bits & 1,
                                                .unplug_asked_by_qemu = bits & 2,
                                                .held = bits & 4,
                                                .touched = bits & 8,
                                                .prepared = bits & 16 ? FAILOVER_YES : FAILOVER_NO,
                                                .vf_gone = bits & 32,
                                                .pf_dead = bits & 1024,
                                                .unplug_refused = bits & 1024,
                                                .obstacle =
                                                        bits & 64 ? FAILOVER_REASON_VF_NOT_OURS : FAILOVER_REASON_NONE,
                                                .vf_filter = bits & 128 ? FAILOVER_YES : FAILOVER_NO,
                                                .unplug_asked = asked ? now - sim_policy.unplug_timeout : 0,
                                                .unplug_attempts = asked ? sim_policy.unplug_attempts : 0,
                                                .call = bits & 512 ? FAILOVER_CALL_ATTACH : FAILOVER_CALL_NONE,
                                                .standby = FAILOVER_YES,
                                                .vf_available = true,
                                                .tap_present = true,
                                                .uplink_present = true,
                                                .uplink_up = true,
                                                .pin = FAILOVER_PIN_UPLINK,
                                                .lease_until = now + SECOND,
                                                .guest_since = now,
                                        };

                                        look(&facts, now);
                                        facts.guest_since = 0;
                                        look(&facts, now);
                                }
}

static const char *value_to_string(enum column column, unsigned values)
{
        static const char *const pins[] = { "unknown", "-", "tap", "uplink" };

        if (column != COLUMN_PIN)
                return values == 1 ? "-" : values == 2 ? "yes" : "as needed";
        for (unsigned pin = 0; pin < 4; pin++)
                if (values == 1u << pin)
                        return pins[pin];
        return "as needed";
}

static void print_column(FILE *out, const struct seen *rule, enum column column)
{
        bool same = true;

        for (unsigned i = 1; i < FAILOVER_STEERING_COUNT; i++)
                same &= rule->values[column][i] == rule->values[column][0];
        if (same) {
                fprintf(out, " %s |", value_to_string(column, rule->values[column][0]));
                return;
        }
        for (unsigned i = 0; i < FAILOVER_STEERING_COUNT; i++)
                if (rule->values[column][i] == 2)
                        fprintf(out, " `%s`", failover_steering_to_string((enum failover_steering) i));
        fprintf(out, " |");
}

static void print_steps(FILE *out, const struct seen *rule)
{
        const char *separator = " ";

        for (unsigned action = FAILOVER_CLAIM_VF; action < FAILOVER_ACTION_COUNT; action++)
                if (rule->steps[action]) {
                        fprintf(out, "%s%s", separator, failover_action_to_string((enum failover_action) action));
                        separator = ", ";
                }
        if (rule->gives_up)
                fprintf(out, "%sgive up", separator);
        fprintf(out, " |\n");
}

int rules_print(FILE *out)
{
        look_at_all();
        fputs("# The rules of the core\n\n"
              "Made from `failover/rules.c` by `sim --rules`; a test compares. The first rule that applies says what "
              "the\n"
              "situation is, where frames for the NIC's MAC go, and which step may be taken. Tables are those of a "
              "host whose\n"
              "uplink is up; a steering class in a column means: with this class only. *as needed*: it depends on "
              "more, see\n"
              "the rule. *unchanged*: the rule touches no table.\n\n"
              "| # | rule | applies when | situation | VF filter | uplink filter | copy rule | pin | step |\n"
              "|---|---|---|---|---|---|---|---|---|\n",
              out);
        for (size_t i = 0; failover_rule_name(i); i++) {
                fprintf(out, "| %zu | `%s` | %s | %s |", i + 1, failover_rule_name(i), failover_rule_applies(i),
                        failover_situation_to_string(failover_rule_situation(i)));
                if (failover_rule_keeps_tables(i))
                        fputs(" unchanged | unchanged | unchanged | unchanged |", out);
                else
                        for (enum column column = COLUMN_VF_FILTER; column < COLUMNS; column++)
                                print_column(out, &seen[i], column);
                print_steps(out, &seen[i]);
        }
        return EXIT_SUCCESS;
}
