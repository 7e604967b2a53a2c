/* SPDX-License-Identifier: Apache-2.0 */

/* What happens, as it happens. A daemon that restarts meanwhile is waited for: the monitor is what one looks at then. */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RETRY_USEC   500000
#define CONNECT_USEC UINT64_C(5000000)

static void print_event(uint64_t usec, const char *kind, const char *subject, const char *sentence, void *userdata)
{
        const struct cli *cli = userdata;
        char time[64];

        if (cli->options[CLI_JSON]) {
                _cleanup_json_ json_t *json =
                        json_pack("{s:i, s:I, s:s, s:s, s:s}", "version", CLIENT_JSON_VERSION, "realtime_usec",
                                  (json_int_t) usec, "kind", kind, "subject", subject, "sentence", sentence);

                json_dumpf(json, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
                putchar('\n');
        } else {
                table_time(usec, time, sizeof(time));
                printf("%s.%03u  %-9s  %-24s  %s\n", time, (unsigned) (usec / 1000 % 1000), kind, subject, sentence);
        }
        fflush(stdout);
}

static const struct client_signals signals = { .event = print_event };

/* Until the connection is lost, or nobody reads what is printed. */
static int follow(struct cli *cli)
{
        struct vswitch_error error = {};
        int r;

        r = client_subscribe(cli->client, &signals, cli, &error);
        while (r >= 0 && !ferror(stdout))
                r = client_wait(cli->client, UINT64_MAX, &error);
        return r;
}

int verb_monitor(struct cli *cli, int argc, char **argv)
{
        int code = cli_connect(cli);

        if (code != CLI_OK)
                return code;
        while (follow(cli) < 0) {
                struct vswitch_error error = {};

                client_free(TAKE_PTR(cli->client));
                fputs("vswitch: the connection to vswitchd is lost; waiting for it to come back\n", stderr);
                while (client_connect(cli->socket_path, CONNECT_USEC, &cli->client, &error) < 0)
                        usleep(RETRY_USEC);
                fputs("vswitch: connected again\n", stderr);
        }
        return CLI_FAILED;
}
