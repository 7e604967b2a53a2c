/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/sim/world.h"

#include <stdlib.h>

int rules_print(FILE *out)
{
        const char *name;

        for (size_t i = 0; (name = failover_rule_name(i)); i++)
                fprintf(out, "%zu. %s\n", i + 1, name);
        return EXIT_SUCCESS;
}
