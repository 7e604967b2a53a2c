/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The verb `audit`, for two tables: `vswitch` hands it to the program vswitch-audit, which asks libvirt. */
#define AUDIT_VERB(how)                                                                                                \
        {                                                                                                              \
                .name = "audit", .arguments = "", .doc = "Lists every inconsistency of this host, with its remedy.",   \
                .details =                                                                                             \
                        "Looks at all VFs, their guests, vswitchd's files and its entries in shared tables, with or\n" \
                        "without vswitchd. What is in the middle of a move is not told of. --fix repairs what\n"       \
                        "harms nobody, while vswitchd does not run, and looks again. Exits 1 when a problem is\n"      \
                        "left, 0 otherwise.",                                                                          \
                .options = CLI_BIT(CLI_FIX) | CLI_BIT(CLI_DRY_RUN), .privileged = true, how                            \
        }
