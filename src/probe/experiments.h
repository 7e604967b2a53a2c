/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "src/probe/bench.h"

/* Runs all experiments on an open bench and fills bench->answers and bench->capacity. An error when it could not be done
 * to the end; what was found out until then is there. */
int probe_run_experiments(struct probe_bench *bench, struct vswitch_error *error);
