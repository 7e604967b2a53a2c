/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Carrying out repairs. Each looks once more whether what it is about is still as it was seen. */

#include "src/audit/audit.h"
#include "src/audit/collect.h"

enum audit_outcome {
        AUDIT_DONE,
        AUDIT_WOULD, /* a dry run */
        AUDIT_FAILED,
        AUDIT_SKIPPED, /* after a failure: what says whose the rest is must stay */
};

typedef void (*audit_repaired)(const struct audit_finding *finding, enum audit_outcome outcome, const char *sentence,
                               void *userdata);

/* Tries every repair that is offered, in order, and calls `each` for it. Ends early, with an error, when a vswitchd has
 * started meanwhile. */
int audit_repair_all(const struct audit_sources *sources, const struct audit_findings *findings, bool dry_run,
                     audit_repaired each, void *userdata, struct vswitch_error *error);
