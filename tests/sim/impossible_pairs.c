/* SPDX-License-Identifier: Apache-2.0 */

/* Pairs of values of two facts that cannot occur together, and why. */

#include "tests/sim/coverage.h"

const struct impossible_pair impossible_pairs[] = {
        { "pin", "unknown", NULL, NULL, "the bridge is there and can always be read in this world" },
        { "outgoing", "no", "unplug-asked-by-qemu", "yes", "QEMU asks only for a migration" },
};

const size_t impossible_pairs_count = sizeof(impossible_pairs) / sizeof(impossible_pairs[0]);
