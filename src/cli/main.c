/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/audit_verb.h"
#include "src/cli/cli.h"
#include "src/cli/migrate_verb.h"
#include "src/cli/probe_verb.h"

#define MOVE_OPTIONS CLI_BIT(CLI_NO_WAIT)

static const struct cli_verb verbs[] = {
        { .name = "status",
          .arguments = "",
          .doc = "Shows the daemon, its switches, and how many NICs are where.",
          .run = verb_status },
        { .name = "nic list",
          .arguments = "[DOMAIN[/ALIAS]]",
          .doc = "Lists the guests' NICs and the path each is on.",
          .max = 1,
          .run = verb_nic_list },
        { .name = "nic show",
          .arguments = "DOMAIN[/ALIAS]",
          .doc = "Shows all about a NIC: why it is not on a VF, and what to do.",
          .min = 1,
          .max = 1,
          .run = verb_nic_show },
        { .name = "nic why",
          .arguments = "DOMAIN[/ALIAS]",
          .doc = "Explains in sentences why a NIC is where it is, and what comes next.",
          .min = 1,
          .max = 1,
          .run = verb_nic_why },
        { .name = "nic set",
          .arguments = "DOMAIN[/ALIAS] KEY=VALUE...",
          .doc = "Changes what a NIC may do; KEY= takes it away.",
          .details = "Keys: weight (0..100; 0: no VF), vlan, vlan-qos, vlan-protocol, spoof-check (yes, no, auto),\n"
                     "trust (yes, no), min-rate and max-rate (Mbit/s), prefer-vf (yes, no).\n"
                     "It is written to the domain's XML: to the running guest, where it holds at once, and to its\n"
                     "definition, as far as the domain has them. The guest need not run.",
          .min = 2,
          .max = 32,
          .options = CLI_BIT(CLI_LIVE) | CLI_BIT(CLI_CONFIG) | CLI_BIT(CLI_REPLACE) | CLI_BIT(CLI_DRY_RUN),
          .privileged = true,
          .run = verb_nic_set },
        { .name = "nic release",
          .arguments = "DOMAIN[/ALIAS]",
          .doc = "Moves a NIC to the synthetic path and frees its VF.",
          .details = "Waits for the end of the move. Without --hold the NIC gets a VF again after its back-off;\n"
                     "with it, when somebody says `vswitch nic acquire`. A domain with one NIC needs no ALIAS.",
          .min = 1,
          .max = 1,
          .options = MOVE_OPTIONS | CLI_BIT(CLI_HOLD),
          .privileged = true,
          .run = verb_nic_release },
        { .name = "nic acquire",
          .arguments = "DOMAIN[/ALIAS]",
          .doc = "Moves a NIC to a VF, and ends its hold.",
          .details = "Waits for the end of the move. A domain with one NIC needs no ALIAS.",
          .min = 1,
          .max = 1,
          .options = MOVE_OPTIONS,
          .privileged = true,
          .run = verb_nic_acquire },
        { .name = "pf list",
          .arguments = "",
          .doc = "Lists the physical functions and what their VFs are used for.",
          .run = verb_pf_list },
        { .name = "pf show",
          .arguments = "PF",
          .doc = "Shows a physical function, its VFs and its filters.",
          .details = "What can be set is what the driver was asked so far; a \"?\" is what it does not report.",
          .min = 1,
          .max = 1,
          .run = verb_pf_show },
        { .name = "pf set-vfs",
          .arguments = "PF N",
          .doc = "Makes a physical function have N VFs.",
          .details = "Every VF goes and comes anew, so it is refused while one is in use. Waits for the end. Without\n"
                     "--keep it lasts until the next reboot.",
          .min = 2,
          .max = 2,
          .options = CLI_BIT(CLI_KEEP),
          .privileged = true,
          .run = verb_pf_set_vfs },
        PROBE_VERB(.program = "vswitch-probe"),
        { .name = "switch list",
          .arguments = "",
          .doc = "Lists the switches, and what keeps their guests from VFs.",
          .run = verb_switch_list },
        { .name = "switch show",
          .arguments = "[SWITCH]",
          .doc = "Shows a switch, its ports' MACs, and whether VFs reach them.",
          .max = 1,
          .run = verb_switch_show },
        { .name = "host check",
          .arguments = "[PF...]",
          .doc = "Finds all that stands between this host and SR-IOV.",
          .details = "Works without the daemon, and tells more to root. Without a PF it looks at every network device\n"
                     "with SR-IOV. Exits 1 when there is a problem, 0 otherwise.",
          .max = 64,
          .options = CLI_BIT(CLI_ROOT),
          .run = verb_host_check },
        AUDIT_VERB(.program = "vswitch-audit"),
        MIGRATE_VERB(.program = "vswitch-migrate"),
        { .name = "monitor",
          .arguments = "",
          .doc = "Prints what happens, as it happens, until it is interrupted.",
          .run = verb_monitor },
        {},
};

int main(int argc, char *argv[])
{
        return cli_main(argc, argv, verbs);
}
