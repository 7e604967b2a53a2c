/* SPDX-License-Identifier: Apache-2.0 */

/* From the command line to the verb. */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_USEC UINT64_C(180000000)
/* A daemon that runs answers at once; the bound is for one that hangs. Who is in a hurry waits less. */
#define ANSWER_USEC     UINT64_C(10000000)
#define ANSWER_MIN_USEC UINT64_C(1000000)

int cli_connect(struct cli *cli)
{
        struct vswitch_error error = {};
        int r;

        if (cli->client)
                return CLI_OK;
        r = client_connect(cli->socket_path, cli->answer_usec, &cli->client, &error);
        if (r == -ETIMEDOUT)
                return cli_fail(cli, CLI_UNREACHABLE, "%s", error.text);
        return r < 0 ? cli_fail_error(cli, r, &error) : CLI_OK;
}

int cli_objects(struct cli *cli, json_t **ret)
{
        struct vswitch_error error = {};
        int code, r;

        code = cli_connect(cli);
        if (code != CLI_OK)
                return code;
        r = client_objects(cli->client, cli->answer_usec, ret, &error);
        if (r == -ETIMEDOUT)
                return cli_fail(cli, CLI_UNREACHABLE, "%s", error.text);
        return r < 0 ? cli_fail_error(cli, r, &error) : CLI_OK;
}

/* How many of the arguments are the words of this verb; 0: it is not this one. */
static int words_of(const struct cli_verb *verb, int argc, char **argv)
{
        const char *name = verb->name;
        int words = 0;

        for (; *name; words++) {
                size_t length = strcspn(name, " ");

                if (words >= argc || strlen(argv[words]) != length || strncmp(argv[words], name, length) != 0)
                        return 0;
                name += length;
                name += *name == ' ';
        }
        return words;
}

static int complain_about_verb(struct cli *cli, int argc, char **argv)
{
        char choices[256] = "";
        size_t length = strlen(argv[0]);

        /* "nic foo": say what can follow "nic". */
        for (const struct cli_verb *verb = cli->verbs; verb->name; verb++)
                if (strncmp(verb->name, argv[0], length) == 0 && verb->name[length] == ' ') {
                        size_t used = strlen(choices);

                        snprintf(choices + used, sizeof(choices) - used, "%s%s", used ? ", " : "", verb->name);
                }
        if (choices[0])
                return cli_fail(cli, CLI_USAGE, "`%s%s%s` is no verb; there are: %s", argv[0], argc > 1 ? " " : "",
                                argc > 1 ? argv[1] : "", choices);
        return cli_fail(cli, CLI_USAGE, "`%s` is no verb; see vswitch --help", argv[0]);
}

static int check_options(struct cli *cli, const struct cli_verb *verb)
{
        for (size_t i = 0; i < CLI_OPTION_COUNT; i++)
                if (cli->options[i] && !((CLI_COMMON_OPTIONS | verb->options) & CLI_BIT(i)))
                        return cli_fail(cli, CLI_USAGE, "`%s` has no option --%s; see vswitch %s --help", verb->name,
                                        cli_options[i].name, verb->name);
        return CLI_OK;
}

static int read_common_options(struct cli *cli)
{
        const char *timeout = cli->options[CLI_TIMEOUT];
        char *end;
        double seconds;

        cli->socket_path = cli->options[CLI_SOCKET] ?: getenv("VSWITCH_SOCKET") ?: CONTROL_SOCKET;
        cli->timeout_usec = TIMEOUT_USEC;
        cli->answer_usec = ANSWER_USEC;
        if (!timeout)
                return CLI_OK;
        seconds = strtod(timeout, &end);
        if (end == timeout || *end || !(seconds >= 0 && seconds <= 1e9))
                return cli_fail(cli, CLI_USAGE, "--timeout %s is no number of seconds", timeout);
        cli->timeout_usec = seconds > 0 ? (uint64_t) (seconds * 1e6) : UINT64_MAX;
        if (cli->timeout_usec < cli->answer_usec)
                cli->answer_usec = cli->timeout_usec > ANSWER_MIN_USEC ? cli->timeout_usec : ANSWER_MIN_USEC;
        return CLI_OK;
}

/* The verb is done by another program: beside this one (a build tree), or where it is installed. */
static int run_program(struct cli *cli, const char *program, char **argv)
{
        char own[PATH_MAX] = "", path[PATH_MAX + NAME_MAX];

        if (readlink("/proc/self/exe", own, sizeof(own) - 1) > 0) {
                snprintf(path, sizeof(path), "%s/%s", dirname(own), program);
                execv(path, argv);
        }
        snprintf(path, sizeof(path), "%s/%s", VSWITCH_LIBEXEC_DIR, program);
        execv(path, argv);
        return cli_fail(cli, CLI_FAILED, "cannot run %s: %s; is vswitch installed completely?", path, strerror(errno));
}

static int run(struct cli *cli, int argc, char **argv, char **all)
{
        int words = 0, code;

        for (cli->verb = cli->verbs; cli->verb->name && words == 0; cli->verb += words == 0)
                words = words_of(cli->verb, argc, argv);
        if (words == 0)
                return complain_about_verb(cli, argc, argv);
        if (cli->options[CLI_HELP]) {
                cli_print_verb_help(cli->verb);
                return CLI_OK;
        }
        argc -= words;
        argv += words;
        if (argc < cli->verb->min || argc > cli->verb->max)
                return cli_fail(cli, CLI_USAGE, "usage: vswitch %s %s", cli->verb->name, cli->verb->arguments);
        code = check_options(cli, cli->verb);
        if (code == CLI_OK)
                code = read_common_options(cli);
        if (code != CLI_OK)
                return code;
        if (cli->verb->program)
                return run_program(cli, cli->verb->program, all);
        return cli->verb->run(cli, argc, argv);
}

int cli_main(int argc, char **argv, const struct cli_verb *verbs)
{
        struct cli cli = { .verbs = verbs };
        _cleanup_free_ char **words = calloc((size_t) argc + 1, sizeof(*words)), **all = NULL;
        int code, count;

        all = calloc((size_t) argc + 1, sizeof(*all));
        if (!words || !all)
                return CLI_FAILED;
        memcpy(words, argv, (size_t) argc * sizeof(*words));
        memcpy(all, argv, (size_t) argc * sizeof(*all));
        count = cli_parse_options(&cli, argc, words);
        if (count < 0)
                return CLI_USAGE;
        if (cli.options[CLI_VERSION]) {
                puts("vswitch " VSWITCH_VERSION);
                return CLI_OK;
        }
        if (count == 0) {
                if (!cli.options[CLI_HELP])
                        return cli_fail(&cli, CLI_USAGE, "say what to do; see vswitch --help");
                cli_print_help(&cli);
                return CLI_OK;
        }
        code = run(&cli, count, words, all);
        client_free(cli.client);
        if (fflush(stdout) != 0 && code == CLI_OK)
                return CLI_FAILED; /* what was to be shown did not arrive */
        return code;
}
