/* SPDX-License-Identifier: Apache-2.0 */

/* vswitch-probe: the verb `pf probe`, run by `vswitch`. */

#include "src/cli/probe_verb.h"
#include "src/probe/verb_probe.h"

int main(int argc, char *argv[])
{
        static const struct cli_verb verbs[] = { PROBE_VERB(.run = verb_pf_probe), {} };

        return cli_main(argc, argv, verbs);
}
