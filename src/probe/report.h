/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a probe found out, as JSON for programs and as text for people. */

#include "src/probe/bench.h"
#include "src/probe/result.h"

#include <jansson.h>

/* Every experiment with its verdict, and what follows from them. */
json_t *probe_report_new(const struct probe_bench *bench, const struct probe_conclusion *conclusion,
                         const struct probe_result *result);
void probe_report_render(const json_t *report);
