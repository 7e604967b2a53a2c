/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* See coverage.c. A struct coverage holds no pointers: it may live in memory shared by several processes. */

#include "tests/sim/world.h"

#include <stddef.h>

/* Values are names separated by blanks, or "*". Without `other` the value itself never occurs. */
struct impossible_pair {
        const char *fact, *values;
        const char *other, *other_values;
        const char *why;
};

extern const struct impossible_pair impossible_pairs[];
extern const size_t impossible_pairs_count;

size_t coverage_size(void);
void coverage_add(struct coverage *coverage, const struct coverage *other);
