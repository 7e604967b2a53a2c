/* SPDX-License-Identifier: Apache-2.0 */

/* What the audit itself needs to know, and what does not belong to one VF: programs, PFs. */

#include "src/audit/judge.h"

#include <stdio.h>
#include <string.h>

static void judge_programs(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;
        struct audit_finding *finding;

        if (!picture->guests_known) {
                finding = judge_find(court, AUDIT_LIBVIRT_SILENT, "host", "%s", picture->guests_sentence);
                judge_remedy(finding,
                             "systemctl status virtqemud libvirtd (whichever this host uses), and when it answers: "
                             "vswitch audit");
        }
        if (picture->daemon == AUDIT_DAEMON_SILENT) {
                finding = judge_find(court, AUDIT_DAEMON_NO_ANSWER, "host", "%s", picture->daemon_sentence);
                judge_remedy(finding, "systemctl restart vswitchd");
        }
        if (picture->daemon == AUDIT_DAEMON_DOWN && picture->claims_count + picture->records_count > 0) {
                finding = judge_find(court, AUDIT_DAEMON_NOT_RUNNING, "host",
                                     "vswitchd does not run, and has left %zu claims of VFs and %zu records of NICs",
                                     picture->claims_count, picture->records_count);
                finding->level = AUDIT_NOTE;
                judge_remedy(finding, "systemctl start vswitchd: it puts in order most of what is told below");
        }
}

/* A QEMU counts only when we have to do with its guest: everybody may run others. */
static void judge_lost_qemu(struct audit_court *court, const char *uuid, const char *domain)
{
        const struct audit_process *process = judge_find_process(court->picture, uuid);
        struct audit_finding *finding;

        if (!court->picture->guests_known || !process || judge_find_guest(court->picture, uuid))
                return;
        finding = judge_find(court, AUDIT_QEMU_WITHOUT_DOMAIN, domain,
                             "QEMU of guest %s runs (process %d), and libvirt does not know it as running", domain,
                             process->pid);
        judge_remedy(finding,
                     "systemctl restart virtqemud (or libvirtd), which looks for it; if it is not to run: kill %d",
                     process->pid);
}

static void judge_qemus(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;

        for (size_t i = 0; i < picture->claims_count; i++)
                judge_lost_qemu(court, picture->claims[i].claim.uuid, picture->claims[i].claim.domain);
        for (size_t i = 0; i < picture->records_count; i++) {
                bool has_claim = false;

                for (size_t j = 0; j < picture->claims_count; j++)
                        has_claim |= strcmp(picture->claims[j].claim.uuid, picture->records[i].uuid) == 0;
                for (size_t j = 0; j < i; j++)
                        has_claim |= strcmp(picture->records[j].uuid, picture->records[i].uuid) == 0;
                if (!has_claim)
                        judge_lost_qemu(court, picture->records[i].uuid, picture->records[i].domain);
        }
}

static void judge_pf(struct audit_court *court, const struct audit_pf *pf)
{
        struct audit_finding *finding;
        unsigned used = 0;
        bool probed = false;

        for (size_t i = 0; i < pf->vfs_count; i++) {
                used += pf->vfs[i].is_open || judge_find_user(court->picture, pf->vfs[i].vf.address);
                probed |= pf->vfs[i].is_probed;
        }
        if (!pf->up && used > 0) {
                finding = judge_find(court, AUDIT_PF_DOWN, pf->name, "%s is set down, and guests have %u of its VFs",
                                     pf->name, used);
                judge_remedy(finding, "ip link set %s up", pf->name);
        }
        if (probed) {
                finding = judge_find(court, AUDIT_PROBE_LEFT, pf->name,
                                     "`vswitch pf probe` runs on %s or was killed: its notes are there", pf->name);
                finding->level = AUDIT_NOTE;
                judge_remedy(finding, "when it does not run: vswitch pf probe %s (it puts back what the last one left)",
                             pf->name);
        }
}

void judge_host(struct audit_court *court)
{
        judge_programs(court);
        judge_qemus(court);
        for (size_t i = 0; i < court->picture->pfs_count; i++)
                judge_pf(court, &court->picture->pfs[i]);
}
