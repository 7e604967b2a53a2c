/* SPDX-License-Identifier: Apache-2.0 */

/* `vswitch pf probe`: from the command line to the bench and from the verdicts to the file, the screen and vswitchd. */

#include "src/probe/verb_probe.h"

#include "src/probe/bench.h"
#include "src/probe/experiments.h"
#include "src/probe/report.h"
#include "src/probe/result.h"
#include "src/probe/vf_source.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
        interrupted = 1;
}

/* From here on a signal ends the experiments and not the process: what was changed is put back first. */
static void catch_signals(void)
{
        const struct sigaction action = { .sa_handler = on_signal };

        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
}

static uint64_t realtime(void)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* ---- cards that cannot be measured ---- */

/* A verdict of its own, which programs can tell from a probe that failed. */
static int cannot_be_probed(struct cli *cli, const struct pf *pf, const char *verdict, const char *sentence)
{
        _cleanup_json_ json_t *json = NULL;

        fprintf(stderr, "vswitch: %s\n", sentence);
        if (!cli->options[CLI_JSON])
                return CLI_FAILED;
        json = json_pack("{s:i, s:s, s:o, s:s, s:s, s:{s:s, s:i, s:s}, s:[]}", "version", CLIENT_JSON_VERSION, "pf",
                         pf->name, "card", probe_result_card(pf), "verdict", verdict, "sentence", sentence, "error",
                         "code", cli_exit_to_string(CLI_FAILED), "exit_code", (int) CLI_FAILED, "sentence", sentence,
                         "experiments");
        (void) cli_show(cli, json, NULL);
        return CLI_FAILED;
}

static int check_card(struct cli *cli, struct pf *pf, size_t vf_count)
{
        char sentence[512];

        if (pf->total_vfs == 0) {
                snprintf(sentence, sizeof(sentence),
                         "%s (driver %s) has no SR-IOV, so there is no embedded switch to measure, and its guests stay "
                         "on "
                         "the synthetic path; if the card should have it, switch it on in the card's firmware and in "
                         "the "
                         "BIOS (`vswitch host check` tells more)",
                         pf->name, pf->kernel_driver[0] ? pf->kernel_driver : "unknown");
                return cannot_be_probed(cli, pf, "no-sriov", sentence);
        }
        if (vf_count < PROBE_VFS_MAX) {
                snprintf(sentence, sizeof(sentence),
                         "%s has %zu of its %u VFs, and %d free ones are needed; make some: `vswitch pf set-vfs %s %d`",
                         pf->name, vf_count, pf->total_vfs, PROBE_VFS_MAX, pf->name, PROBE_VFS_MAX);
                return cannot_be_probed(cli, pf, "no-vfs", sentence);
        }
        return CLI_OK;
}

/* ---- after the experiments ---- */

static void conclude(const struct probe_bench *bench, unsigned vf_count, struct probe_conclusion *ret_conclusion,
                     struct probe_result *ret)
{
        const struct probe_capacity *capacity = &bench->capacity;

        probe_conclude(bench->answers, ret_conclusion);
        *ret = (struct probe_result){
                .usec = realtime(),
                .steering = ret_conclusion->steering,
                .reflects = ret_conclusion->reflects,
                .vf_count = vf_count,
        };
        if (!bench->capacity_measured)
                return;
        ret->filter_capacity = bench->filters_before + capacity->count;
        ret->capacity_is_bound = capacity->overflow == PROBE_OVERFLOW_NOT_REACHED;
}

/* Writes the file and tells vswitchd of it. */
static int keep_result(struct cli *cli, struct probe_bench *bench, const struct probe_result *result, json_t *report,
                       struct vswitch_error *error)
{
        const char *directory = cli->options[CLI_DIRECTORY] ?: PROBE_DIRECTORY;
        struct vswitch_error refusal = { 0 };
        char path[PATH_MAX], sentence[600];
        int r = probe_result_store(directory, bench->pf, result, report, error);

        if (r < 0)
                return r;
        probe_result_path(directory, bench->pf, path);
        json_object_set_new(report, "file", json_string(path));
        r = bench->source->reload(bench->source, bench->pf, &refusal);
        if (r == -ECONNREFUSED)
                snprintf(sentence, sizeof(sentence), "does not run here; it will use the result when it does");
        else if (r < 0)
                snprintf(sentence, sizeof(sentence), "does not use the result yet: %s",
                         vswitch_error_text(&refusal, r));
        else
                snprintf(sentence, sizeof(sentence), "uses the result");
        json_object_set_new(report, "used", json_boolean(r == 0));
        json_object_set_new(report, "used_sentence", json_string(sentence));
        return 0;
}

static int show(struct cli *cli, json_t *report, int result, const struct vswitch_error *error)
{
        enum cli_exit code = cli_exit_of(result);

        json_object_set_new(report, "version", json_integer(CLIENT_JSON_VERSION));
        if (result < 0) {
                const char *sentence = vswitch_error_text(error, result);

                fprintf(stderr, "vswitch: %s\n", sentence);
                json_object_set_new(report, "error_sentence", json_string(sentence));
                json_object_set_new(report, "error",
                                    json_pack("{s:s, s:i, s:s}", "code", cli_exit_to_string(code), "exit_code",
                                              (int) code, "sentence", sentence));
        } else if (strcmp(table_text(report, "verdict"), "measured") != 0) {
                code = CLI_FAILED;
        }
        (void) cli_show(cli, report, probe_report_render);
        return (int) code;
}

static int measure(struct cli *cli, struct probe_bench *bench, unsigned vf_count)
{
        const struct probe_bench_options options = {
                .runtime_directory = VSWITCH_RUNTIME_DIR,
                .wire = cli->options[CLI_WIRE],
        };
        struct vswitch_error error = { 0 }, close_error = { 0 };
        _cleanup_json_ json_t *report = NULL;
        struct probe_conclusion conclusion;
        struct probe_result result;
        int r = probe_bench_open(bench, &options, &error);
        bool opened = r == 0;
        int closed;

        if (opened)
                r = probe_run_experiments(bench, &error);
        closed = probe_bench_close(bench, &close_error);
        if (!opened)
                return cli_fail_error(cli, r, &error);

        conclude(bench, vf_count, &conclusion, &result);
        report = probe_report_new(bench, &conclusion, &result);
        if (!report)
                return cli_fail(cli, CLI_FAILED, "the card's driver or firmware has a name that is not UTF-8");
        if (r == 0)
                r = keep_result(cli, bench, &result, report, &error);
        /* That something is not as it was is the worst news. */
        return closed < 0 ? show(cli, report, closed, &close_error) : show(cli, report, r, &error);
}

static int open_source(struct cli *cli, struct vswitch_netlink *netlink, struct vf_source **ret)
{
        struct vswitch_error error = { 0 };
        int r;

        if (cli->options[CLI_VFS])
                r = vf_source_named_new(netlink, cli->options[CLI_VFS], cli->socket_path, cli->answer_usec, ret,
                                        &error);
        else
                r = vf_source_daemon_new(cli->socket_path, cli->answer_usec, ret, &error);
        if (r == -ECONNREFUSED)
                return cli_fail(cli, CLI_UNREACHABLE, "%s; or name two free VFs: --vfs ADDRESS,ADDRESS", error.text);
        return r < 0 ? cli_fail_error(cli, r, &error) : CLI_OK;
}

static int probe_pf(struct cli *cli, struct vswitch_netlink *netlink, struct pf *pf)
{
        _cleanup_(vf_source_freep) struct vf_source *source = NULL;
        _cleanup_free_ struct pf_vf *vfs = NULL;
        _cleanup_free_ struct probe_bench *bench = NULL;
        struct vswitch_error error = { 0 };
        size_t vf_count = 0;
        int code, r = pf->driver->list_vfs(pf, &vfs, &vf_count, &error);

        if (r < 0)
                return cli_fail_error(cli, r, &error);
        code = check_card(cli, pf, vf_count);
        if (code == CLI_OK)
                code = open_source(cli, netlink, &source);
        if (code != CLI_OK)
                return code;
        bench = calloc(1, sizeof(*bench));
        if (!bench)
                return cli_fail(cli, CLI_FAILED, "out of memory");
        bench->pf = pf;
        bench->netlink = netlink;
        bench->source = source;
        bench->interrupted = &interrupted;
        bench->deadline = cli->timeout_usec == UINT64_MAX ? UINT64_MAX : probe_bench_now() + cli->timeout_usec;
        catch_signals();
        return measure(cli, bench, (unsigned) vf_count);
}

int verb_pf_probe(struct cli *cli, int argc, char **argv)
{
        _cleanup_(vswitch_netlink_closep) struct vswitch_netlink *netlink = NULL;
        struct vswitch_error error = { 0 };
        struct pf *pf = NULL;
        int code, r;

        if (geteuid() != 0)
                return cli_fail(cli, CLI_DENIED, "only root can bind VFs and make network namespaces");
        r = vswitch_netlink_open(&netlink, &error);
        if (r < 0)
                return cli_fail_error(cli, r, &error);
        r = pf_kernel_driver.open(netlink, argv[0], &pf, &error);
        if (r == -ENODEV)
                return cli_fail(cli, CLI_NOT_FOUND, "there is no network device %s here", argv[0]);
        if (r < 0)
                return cli_fail_error(cli, r, &error);
        code = probe_pf(cli, netlink, pf);
        pf->driver->close(pf);
        return code;
}
