/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"

#include <stdio.h>

static void print_options(unsigned options)
{
        for (size_t i = 0; i < CLI_OPTION_COUNT; i++) {
                const struct cli_option_info *info = &cli_options[i];
                char text[64], letter[8] = "    ";

                if (!(options & CLI_BIT(i)))
                        continue;
                if (info->letter)
                        snprintf(letter, sizeof(letter), "-%c, ", info->letter);
                snprintf(text, sizeof(text), "%s--%s%s%s", letter, info->name, info->argument ? " " : "",
                         info->argument ?: "");
                printf("  %-28s %s\n", text, info->doc);
        }
}

void cli_print_help(const struct cli *cli)
{
        puts("vswitch [OPTIONS] VERB [ARGUMENTS]\n"
             "\n"
             "Shows and moves the NICs of this host's guests between the software switch and SR-IOV VFs.\n"
             "\n"
             "Verbs:");
        for (const struct cli_verb *verb = cli->verbs; verb->name; verb++) {
                char text[64];

                snprintf(text, sizeof(text), "%s %s", verb->name, verb->arguments);
                printf("  %-36s %s%s\n", text, verb->doc, verb->privileged ? " (root)" : "");
        }
        puts("\nOptions for every verb:");
        print_options(CLI_COMMON_OPTIONS);
        puts("\n`vswitch VERB --help` tells more about one verb.\n"
             "\n"
             "Exit codes: 0 done, 1 failed, 2 usage, 3 no daemon reachable, 4 not found, 5 permission denied,\n"
             "6 timed out.");
}

void cli_print_verb_help(const struct cli_verb *verb)
{
        printf("vswitch %s %s\n\n%s%s\n", verb->name, verb->arguments, verb->doc,
               verb->privileged ? " (for root only)" : "");
        if (verb->details)
                printf("\n%s\n", verb->details);
        puts("\nOptions:");
        print_options(CLI_COMMON_OPTIONS | verb->options);
}
