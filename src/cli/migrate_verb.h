/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The verb `migrate`, for two tables: `vswitch` knows it and hands it to the program vswitch-migrate, which does it.
 * libvirt's client library and the 60 others that it loads cost more than every other verb; so they are in a program
 * of their own.
 */
#define MIGRATE_VERB(how)                                                                                              \
        {                                                                                                              \
                .name = "migrate", .arguments = "DOMAIN URI",                                                          \
                .doc = "Migrates a running guest, whatever VFs the two hosts have.",                                   \
                .details =                                                                                             \
                        "Releases the guest's VFs here, migrates it with the caller's own rights (like `virsh "        \
                        "migrate\n"                                                                                    \
                        "--live DOMAIN URI`), and leaves it to the other host's vswitchd to give it VFs there. When\n" \
                        "the migration fails or is interrupted (Ctrl-C), the guest gets its VFs here again.\n"         \
                        "--timeout is for leaving the VFs, not for the migration.",                                    \
                .min = 2, .max = 2,                                                                                    \
                .options = CLI_BIT(CLI_CONNECT) | CLI_BIT(CLI_PERSISTENT) | CLI_BIT(CLI_UNDEFINE_SOURCE) |             \
                           CLI_BIT(CLI_MIGRATE_URI) | CLI_BIT(CLI_BANDWIDTH) | CLI_BIT(CLI_AUTO_CONVERGE) |            \
                           CLI_BIT(CLI_POST_COPY) | CLI_BIT(CLI_UNSAFE),                                               \
                .privileged = true, how                                                                                \
        }
