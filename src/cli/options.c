/* SPDX-License-Identifier: Apache-2.0 */

#include "src/cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

const struct cli_option_info cli_options[CLI_OPTION_COUNT] = {
        [CLI_HELP] = { "help", 'h', NULL, "say what there is, or what a verb does" },
        [CLI_VERSION] = { "version", 'V', NULL, "print the version" },
        [CLI_JSON] = { "json", 'j', NULL, "print JSON" },
        [CLI_SOCKET] = { "socket", 's', "PATH", "the daemon's socket (" CONTROL_SOCKET ", or $VSWITCH_SOCKET)" },
        [CLI_TIMEOUT] = { "timeout", 't', "SECONDS", "how long to wait for the end of a move (180; 0: for ever)" },
        [CLI_NO_WAIT] = { "no-wait", 'n', NULL, "ask for the move and do not wait for its end" },
        [CLI_HOLD] = { "hold", '\0', NULL, "keep it on the synthetic path until it is acquired again" },
        [CLI_CONNECT] = { "connect", 'c', "URI", "the source's libvirt (qemu:///system, or $LIBVIRT_DEFAULT_URI)" },
        [CLI_PERSISTENT] = { "persistent", '\0', NULL, "define the domain on the destination" },
        [CLI_UNDEFINE_SOURCE] = { "undefine-source", '\0', NULL, "undefine the domain on the source" },
        [CLI_MIGRATE_URI] = { "migrate-uri", '\0', "URI", "where the two QEMUs meet, e.g. tcp://10.0.0.2" },
        [CLI_BANDWIDTH] = { "bandwidth", '\0', "MIB", "bound in MiB/s" },
        [CLI_AUTO_CONVERGE] = { "auto-converge", '\0', NULL, "slow the guest down when it writes too fast" },
        [CLI_POST_COPY] = { "postcopy", '\0', NULL, "allow the switch to post-copy (virsh migrate-postcopy)" },
        [CLI_UNSAFE] = { "unsafe", '\0', NULL, "migrate although libvirt thinks it unsafe" },
        [CLI_KEEP] = { "keep", '\0', NULL, "make as many again after a reboot" },
        [CLI_ROOT] = { "root", '\0', "DIRECTORY", "look at a copy of a host's files there; runs no programs" },
        [CLI_VFS] = { "vfs", '\0', "ADDRESSES", "use these two VFs (ADDRESS,ADDRESS), without asking vswitchd" },
        [CLI_WIRE] = { "wire", '\0', "NETDEV", "a netdev of this host on the same wire, to send from there too" },
        [CLI_LIVE] = { "live", '\0', NULL, "change the running guest" },
        [CLI_CONFIG] = { "config", '\0', NULL, "change the guest's definition, for its next start" },
        [CLI_REPLACE] = { "replace", '\0', NULL, "begin anew, and drop what cannot be read" },
        [CLI_DRY_RUN] = { "dry-run", '\0', NULL, "show what would be written, and write nothing" },
        [CLI_DIRECTORY] = { "directory", '\0', "PATH", "keep the result there (" VSWITCH_STATE_DIR "/probe)" },
        [CLI_FIX] = { "fix", '\0', NULL, "repair what is safe to repair" },
};

/* getopt_long's value of an option: its letter, or a number beyond the letters. */
static int value_of(size_t option)
{
        return cli_options[option].letter ?: 256 + (int) option;
}

static int option_of(int value)
{
        for (size_t i = 0; i < CLI_OPTION_COUNT; i++)
                if (value_of(i) == value)
                        return (int) i;
        return -1;
}

int cli_parse_options(struct cli *cli, int argc, char **argv)
{
        struct option table[CLI_OPTION_COUNT + 1] = {};
        char letters[2 * CLI_OPTION_COUNT + 2] = ":";
        int value;

        for (size_t i = 0; i < CLI_OPTION_COUNT; i++) {
                size_t length = strlen(letters);

                table[i] =
                        (struct option){ cli_options[i].name, cli_options[i].argument ? required_argument : no_argument,
                                         NULL, value_of(i) };
                if (cli_options[i].letter) {
                        letters[length] = cli_options[i].letter;
                        letters[length + 1] = cli_options[i].argument ? ':' : '\0';
                }
        }
        optind = 0; /* from the beginning, also the second time (tests) */
        while ((value = getopt_long(argc, argv, letters, table, NULL)) != -1) {
                if (value == ':' || value == '?') {
                        cli_fail(cli, CLI_USAGE,
                                 value == ':' ? "%s needs an argument; see vswitch --help"
                                              : "there is no option %s; see vswitch --help",
                                 argv[optind - 1]);
                        return -1;
                }
                cli->options[option_of(value)] = optarg ?: "";
        }
        /* With the NULL behind them. */
        memmove(argv, argv + optind, (size_t) (argc - optind + 1) * sizeof(*argv));
        return argc - optind;
}
