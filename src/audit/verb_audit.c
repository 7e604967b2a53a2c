/* SPDX-License-Identifier: Apache-2.0 */

/* `vswitch audit`: look, look again, repair where that is asked for, and look once more. */

#include "src/audit/verb_audit.h"

#include "src/audit/report.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

/* Between two looks: longer than a step of a move, and than libvirt takes to give a VF its MAC. */
static const struct timespec pause_between_looks = { .tv_sec = 1 };

static int look_once(const struct audit_sources *sources, struct audit_findings *ret, struct vswitch_error *error)
{
        __attribute__((cleanup(audit_picture_clear))) struct audit_picture picture = { 0 };
        int r = audit_collect(sources, &picture, error);

        return r < 0 ? r : audit_judge(&picture, ret);
}

/* Only what is still there after the pause is told of. */
static int look(const struct audit_sources *sources, struct audit_findings *ret, struct vswitch_error *error)
{
        __attribute__((cleanup(audit_findings_clear))) struct audit_findings before = { 0 };
        int r = look_once(sources, &before, error);

        if (r < 0 || before.count == 0)
                return r;
        (void) clock_nanosleep(CLOCK_MONOTONIC, 0, &pause_between_looks, NULL);
        r = look_once(sources, ret, error);
        if (r == 0)
                audit_keep_known(ret, &before);
        return r;
}

static void on_repaired(const struct audit_finding *finding, enum audit_outcome outcome, const char *sentence,
                        void *userdata)
{
        json_t *repairs = userdata;

        json_array_append_new(repairs, audit_report_repair(finding, outcome, sentence));
        if (outcome == AUDIT_WOULD)
                return;
        syslog(outcome == AUDIT_DONE ? LOG_NOTICE : LOG_WARNING, "%s (%s): %s%s; asked by %s", finding->subject,
               audit_codes[finding->code].name,
               outcome == AUDIT_DONE ? "" : (outcome == AUDIT_FAILED ? "failed: " : "not done after another failure: "),
               sentence, getenv("SUDO_USER") ?: "root");
}

static int repair(struct cli *cli, const struct audit_sources *sources, struct audit_findings *findings,
                  json_t *repairs, struct vswitch_error *error)
{
        bool dry_run = cli->options[CLI_DRY_RUN];
        int r;

        openlog("vswitch-audit", LOG_PID, LOG_DAEMON);
        r = audit_repair_all(sources, findings, dry_run, on_repaired, repairs, error);
        if (r < 0 || dry_run || json_array_size(repairs) == 0)
                return r;
        audit_findings_clear(findings);
        return look(sources, findings, error);
}

int verb_audit(struct cli *cli, int argc, char **argv)
{
        const struct audit_sources sources = {
                .config_path = VSWITCH_CONFIG_FILE,
                .runtime_directory = VSWITCH_RUNTIME_DIR,
                .state_directory = VSWITCH_STATE_DIR,
                .control_socket = cli->socket_path,
                .list_guests = audit_guests_list,
        };
        __attribute__((cleanup(audit_findings_clear))) struct audit_findings findings = { 0 };
        _cleanup_json_ json_t *repairs = json_array(), *report = NULL;
        struct vswitch_error error = { 0 };
        int r;

        if (geteuid() != 0)
                return cli_fail(cli, CLI_DENIED,
                                "only root can see who has which VF, and read vswitchd's files: sudo vswitch audit");
        r = look(&sources, &findings, &error);
        if (r == 0 && (cli->options[CLI_FIX] || cli->options[CLI_DRY_RUN]))
                r = repair(cli, &sources, &findings, repairs, &error);
        if (r < 0)
                return cli_fail_error(cli, r, &error);
        report = audit_report_new(&findings, TAKE_PTR(repairs));
        if (!report)
                return cli_fail(cli, CLI_FAILED, "something has a name that is not UTF-8");
        cli_show(cli, report, audit_report_render);
        return audit_count(&findings, AUDIT_PROBLEM) > 0 ? CLI_FAILED : CLI_OK;
}
