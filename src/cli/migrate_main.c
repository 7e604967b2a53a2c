/* SPDX-License-Identifier: Apache-2.0 */

/* vswitch-migrate: the verb `migrate`, run by `vswitch`. */

#include "src/cli/cli.h"
#include "src/cli/migrate_verb.h"

int main(int argc, char *argv[])
{
        static const struct cli_verb verbs[] = { MIGRATE_VERB(.run = verb_migrate), {} };

        return cli_main(argc, argv, verbs);
}
