/* SPDX-License-Identifier: Apache-2.0 */

/* What goes out: JSON or text on standard output, complaints on standard error. */

#include "src/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define JSON_STYLE (JSON_INDENT(2) | JSON_PRESERVE_ORDER)

const char *cli_exit_to_string(enum cli_exit code)
{
        static const char *const names[] = {
                [CLI_OK] = "ok",
                [CLI_FAILED] = "failed",
                [CLI_USAGE] = "usage",
                [CLI_UNREACHABLE] = "daemon-unreachable",
                [CLI_NOT_FOUND] = "not-found",
                [CLI_DENIED] = "denied",
                [CLI_TIMED_OUT] = "timed-out",
        };

        return names[code];
}

enum cli_exit cli_exit_of(int error_number)
{
        switch (error_number) {
        case -ECONNREFUSED:
        case -ECONNRESET:
                return CLI_UNREACHABLE;
        case -ENOENT:
                return CLI_NOT_FOUND;
        case -EACCES:
        case -EPERM:
                return CLI_DENIED;
        case -ETIMEDOUT:
                return CLI_TIMED_OUT;
        default:
                return error_number < 0 ? CLI_FAILED : CLI_OK;
        }
}

int cli_fail(struct cli *cli, enum cli_exit code, const char *format, ...)
{
        char sentence[1024];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof(sentence), format, arguments);
        va_end(arguments);

        fprintf(stderr, "vswitch: %s\n", sentence);
        if (cli->options[CLI_JSON]) {
                _cleanup_json_ json_t *json =
                        json_pack("{s:i, s:{s:s, s:i, s:s}}", "version", CLIENT_JSON_VERSION, "error", "code",
                                  cli_exit_to_string(code), "exit_code", (int) code, "sentence", sentence);

                json_dumpf(json, stdout, JSON_STYLE);
                putchar('\n');
        }
        return code;
}

int cli_fail_error(struct cli *cli, int error_number, const struct vswitch_error *error)
{
        return cli_fail(cli, cli_exit_of(error_number), "%s", vswitch_error_text(error, error_number));
}

int cli_show(struct cli *cli, const json_t *json, void (*render)(const json_t *json))
{
        if (!cli->options[CLI_JSON]) {
                render(json);
                return CLI_OK;
        }
        json_dumpf(json, stdout, JSON_STYLE);
        putchar('\n');
        return CLI_OK;
}
