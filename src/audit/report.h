/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was found and done, as the JSON that is printed, and for people. */

#include "src/audit/repair.h"

#include <jansson.h>

/* An object with "version", "clean", "summary", "findings" and "repairs" (taken over). NULL without memory. */
json_t *audit_report_new(const struct audit_findings *findings, json_t *repairs);
/* One element of "repairs". */
json_t *audit_report_repair(const struct audit_finding *finding, enum audit_outcome outcome, const char *sentence);

void audit_report_render(const json_t *report);
