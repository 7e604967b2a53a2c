/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The verb `pf probe`, for two tables: `vswitch` hands it to the program vswitch-probe, which makes network namespaces
 * and sends frames. */
#define PROBE_VERB(how)                                                                                                \
        {                                                                                                              \
                .name = "pf probe", .arguments = "PF", .doc = "Measures what a card does, with VFs that nobody uses.", \
                .details = "Finds out by experiment what the card's embedded switch does with the frames for a MAC, "  \
                           "how\n"                                                                                     \
                           "many filters really deliver, and what it enforces. Needs two free VFs and disturbs no\n"   \
                           "traffic. The result is kept for this card, driver and firmware, and used by vswitchd.",    \
                .min = 1, .max = 1, .options = CLI_BIT(CLI_VFS) | CLI_BIT(CLI_WIRE) | CLI_BIT(CLI_DIRECTORY),          \
                .privileged = true, how                                                                                \
        }
