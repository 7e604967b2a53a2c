/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the decisions have seen: each rule, each value of each fact, each pair of values of two facts. A pair that was
 * never seen must be excused in impossible_pairs.c, and one that is excused there must never be seen.
 */

#include "tests/sim/coverage.h"

#include <stdlib.h>
#include <string.h>

#define FACTS_COUNT 37
#define VALUES_MAX  9
#define RULES_MAX   64
#define SLOTS       (FACTS_COUNT * VALUES_MAX)

struct coverage {
        uint64_t rules[RULES_MAX];
        uint64_t values[SLOTS];
        bool pairs[SLOTS][SLOTS];
};

struct fact {
        const char *name;
        const char *values[VALUES_MAX];
};

#define YES_NO                                                                                                         \
        {                                                                                                              \
                "no", "yes"                                                                                            \
        }
#define KNOWN                                                                                                          \
        {                                                                                                              \
                "unknown", "no", "yes"                                                                                 \
        }

/* In the order of collect() below. */
static const struct fact facts_table[FACTS_COUNT] = {
        { "guest", { "unknown", "absent", "expected", "incoming", "loaded", "running", "paused", "handed-over" } },
        { "outgoing", YES_NO },
        { "unplug-asked-by-qemu", YES_NO },
        { "obstacle", { "none", "somebody's-vf", "other" } },
        { "vf-available", YES_NO },
        { "tap-present", YES_NO },
        { "uplink-present", YES_NO },
        { "uplink-up", YES_NO },
        { "standby", KNOWN },
        { "steering", { "unknown", "both", "pf-wins", "vf-wins", "follows-guest" } },
        { "tables-of-another", YES_NO },
        { "claim", { "none", "leased", "claimed" } },
        { "vf-gone", YES_NO },
        { "pf-dead", YES_NO },
        { "lease", { "none", "runs", "over" } },
        { "touched", YES_NO },
        { "programmed-by-owner", YES_NO },
        { "prepared", KNOWN },
        { "settable-in-use", YES_NO },
        { "attached", KNOWN },
        { "vectors", KNOWN },
        { "probed", YES_NO },
        { "sends-on-tap", YES_NO },
        { "call", { "none", "prepare", "attach", "detach", "restore" } },
        { "unplug-asked", { "never", "waits", "timed-out" } },
        { "unplug-attempts", { "none", "some", "all" } },
        { "unplug-refused", { "no", "waits" } },
        { "refused-before", YES_NO },
        { "vf-filter", KNOWN },
        { "uplink-filter", KNOWN },
        { "copy-rule", KNOWN },
        { "multicast-router", KNOWN },
        { "pin", { "unknown", "none", "tap", "uplink" } },
        { "held", YES_NO },
        { "failure", { "none", "some" } },
        { "back-off", { "no", "waits" } },
        { "announce-wanted", YES_NO },
};

static void collect(const struct failover_facts *facts, uint64_t now, const struct failover_policy *policy,
                    uint16_t ret[static FACTS_COUNT])
{
        const unsigned values[FACTS_COUNT] = {
                facts->guest,
                facts->outgoing,
                facts->unplug_asked_by_qemu,
                facts->obstacle == FAILOVER_REASON_NONE          ? 0
                : facts->obstacle == FAILOVER_REASON_VF_NOT_OURS ? 1
                                                                 : 2,
                facts->vf_available,
                facts->tap_present,
                facts->uplink_present,
                facts->uplink_up,
                facts->standby,
                facts->steering,
                facts->tables_of_another,
                facts->claim,
                facts->vf_gone,
                facts->pf_dead,
                facts->claim != FAILOVER_CLAIM_LEASED ? 0
                : now < facts->lease_until            ? 1
                                                      : 2,
                facts->touched,
                facts->programmed_by_owner,
                facts->prepared,
                facts->settable_in_use,
                facts->attached,
                facts->vectors,
                facts->probed,
                facts->sends_on_tap,
                facts->call,
                facts->unplug_asked == 0                             ? 0
                : now < facts->unplug_asked + policy->unplug_timeout ? 1
                                                                     : 2,
                facts->unplug_attempts == 0                        ? 0
                : facts->unplug_attempts < policy->unplug_attempts ? 1
                                                                   : 2,
                now < facts->unplug_refused_until,
                facts->unplug_refused,
                facts->vf_filter,
                facts->uplink_filter,
                facts->copy_rule,
                facts->multicast_router,
                facts->pin,
                facts->held,
                facts->failure != FAILOVER_REASON_NONE,
                now < facts->back_off_until,
                facts->announce_wanted,
        };

        for (unsigned i = 0; i < FACTS_COUNT; i++)
                ret[i] = (uint16_t) (i * VALUES_MAX + values[i]);
}

struct coverage *coverage_new(void)
{
        return calloc(1, sizeof(struct coverage));
}

void coverage_free(struct coverage *coverage)
{
        free(coverage);
}

void coverage_add(struct coverage *coverage, const struct coverage *other)
{
        for (unsigned i = 0; i < RULES_MAX; i++)
                coverage->rules[i] += other->rules[i];
        for (unsigned i = 0; i < SLOTS; i++) {
                coverage->values[i] += other->values[i];
                for (unsigned j = 0; j < SLOTS; j++)
                        coverage->pairs[i][j] |= other->pairs[i][j];
        }
}

size_t coverage_size(void)
{
        return sizeof(struct coverage);
}

void coverage_decision(struct coverage *coverage, const struct failover_facts *facts, uint64_t now,
                       const struct failover_policy *policy, const struct failover_decision *decision)
{
        uint16_t slots[FACTS_COUNT];
        const char *name;

        for (size_t rule = 0; (name = failover_rule_name(rule)); rule++)
                if (name == decision->rule)
                        coverage->rules[rule]++;
        collect(facts, now, policy, slots);
        for (unsigned i = 0; i < FACTS_COUNT; i++) {
                coverage->values[slots[i]]++;
                for (unsigned j = i + 1; j < FACTS_COUNT; j++)
                        coverage->pairs[slots[i]][slots[j]] = true;
        }
}

/* ---- the report ---- */

static bool names(const char *list, const char *value)
{
        size_t length = strlen(value);

        if (strcmp(list, "*") == 0)
                return true;
        for (const char *place = list; (place = strstr(place, value)); place += length)
                if ((place == list || place[-1] == ' ') && (place[length] == ' ' || place[length] == '\0'))
                        return true;
        return false;
}

static bool excuses(const struct impossible_pair *excuse, unsigned a, unsigned b)
{
        const struct fact *first = &facts_table[a / VALUES_MAX], *second = &facts_table[b / VALUES_MAX];

        if (!excuse->other) /* the value never occurs, whatever the other one is */
                return strcmp(excuse->fact, first->name) == 0 && names(excuse->values, first->values[a % VALUES_MAX]);

        return strcmp(excuse->fact, first->name) == 0 && strcmp(excuse->other, second->name) == 0 &&
               names(excuse->values, first->values[a % VALUES_MAX]) &&
               names(excuse->other_values, second->values[b % VALUES_MAX]);
}

static const char *find_excuse(unsigned a, unsigned b)
{
        for (size_t i = 0; i < impossible_pairs_count; i++)
                if (excuses(&impossible_pairs[i], a, b) || excuses(&impossible_pairs[i], b, a))
                        return impossible_pairs[i].why;
        return NULL;
}

static bool never_occurs(unsigned slot)
{
        for (size_t i = 0; i < impossible_pairs_count; i++)
                if (!impossible_pairs[i].other && excuses(&impossible_pairs[i], slot, slot))
                        return true;
        return false;
}

static bool exists(unsigned slot)
{
        return facts_table[slot / VALUES_MAX].values[slot % VALUES_MAX] != NULL;
}

static void print_pair(FILE *out, const char *what, unsigned a, unsigned b)
{
        fprintf(out, "  %s: %s=%s %s=%s\n", what, facts_table[a / VALUES_MAX].name,
                facts_table[a / VALUES_MAX].values[a % VALUES_MAX], facts_table[b / VALUES_MAX].name,
                facts_table[b / VALUES_MAX].values[b % VALUES_MAX]);
}

static unsigned report_singles(const struct coverage *coverage, FILE *out)
{
        unsigned missing = 0;
        const char *name;

        fprintf(out, "rules:\n");
        for (size_t rule = 0; (name = failover_rule_name(rule)); rule++) {
                fprintf(out, "  %-28s %llu\n", name, (unsigned long long) coverage->rules[rule]);
                missing += coverage->rules[rule] == 0;
        }
        fprintf(out, "facts:\n");
        for (unsigned fact = 0; fact < FACTS_COUNT; fact++) {
                fprintf(out, "  %-22s", facts_table[fact].name);
                for (unsigned value = 0; value < VALUES_MAX && facts_table[fact].values[value]; value++) {
                        fprintf(out, " %s:%llu", facts_table[fact].values[value],
                                (unsigned long long) coverage->values[fact * VALUES_MAX + value]);
                        missing += coverage->values[fact * VALUES_MAX + value] == 0 &&
                                   !never_occurs(fact * VALUES_MAX + value);
                }
                fputc('\n', out);
        }
        return missing;
}

bool coverage_report(const struct coverage *coverage, FILE *out)
{
        unsigned missing = report_singles(coverage, out), seen = 0, excused = 0, wrong = 0, unseen = 0;

        for (unsigned a = 0; a < SLOTS; a++)
                for (unsigned b = (a / VALUES_MAX + 1) * VALUES_MAX; b < SLOTS; b++) {
                        const char *why;

                        if (!exists(a) || !exists(b))
                                continue;
                        why = find_excuse(a, b);
                        seen += coverage->pairs[a][b];
                        if (coverage->pairs[a][b] && why) {
                                print_pair(out, "seen although excused", a, b);
                                wrong++;
                        } else if (!coverage->pairs[a][b] && why) {
                                excused++;
                        } else if (!coverage->pairs[a][b]) {
                                print_pair(out, "never seen", a, b);
                                unseen++;
                        }
                }
        fprintf(out, "pairs: %u seen, %u cannot occur, %u seen although excused, %u never seen and not excused\n", seen,
                excused, wrong, unseen);
        if (missing)
                fprintf(out, "%u rules or values of facts never occurred\n", missing);
        return missing == 0 && wrong == 0 && unseen == 0;
}
