/* SPDX-License-Identifier: Apache-2.0 */

/* vswitch-audit: the verb `audit`, run by `vswitch`. It loads libvirt, which the other verbs do not need. */

#include "src/audit/verb_audit.h"
#include "src/cli/audit_verb.h"

int main(int argc, char *argv[])
{
        static const struct cli_verb verbs[] = { AUDIT_VERB(.run = verb_audit), {} };

        return cli_main(argc, argv, verbs);
}
