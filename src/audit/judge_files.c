/* SPDX-License-Identifier: Apache-2.0 */

/* The files that vswitchd keeps, claims apart. */

#include "src/audit/judge.h"

#include <stdio.h>
#include <string.h>

static void judge_unreadable(struct audit_court *court, const struct audit_file *file)
{
        struct audit_finding *finding = judge_find(court, AUDIT_FILE_UNREADABLE, file->path, "%s", file->sentence);

        judge_remedy(finding, "look at it, and when no guest has the VF or NIC that it is named after: rm %s",
                     file->path);
}

static void judge_note(struct audit_court *court, const struct audit_note *note)
{
        struct audit_finding *finding;
        struct audit_repair *repair;

        if (note->fits)
                return;
        finding = judge_find(court, AUDIT_NOTE_WITHOUT_PF, note->path,
                             "it notes uplink filters of %s, which is not there or is another device now", note->pf);
        finding->level = AUDIT_NOTE;
        judge_remedy(finding, "rm %s", note->path);
        repair = judge_offer(court, finding, AUDIT_REPAIR_FILE, "vswitchd runs; it does not use the note");
        snprintf(repair->path, sizeof(repair->path), "%s", note->path);
}

static void judge_kept(struct audit_court *court, const struct audit_kept *kept)
{
        const struct audit_pf *pf = judge_find_pf(court->picture, kept->address);
        struct audit_finding *finding;

        if (pf && pf->vfs_count == kept->count)
                return;
        if (pf)
                finding = judge_find(court, AUDIT_KEPT_NUMBER, kept->path,
                                     "%s is to have %u VFs after every boot, and has %zu", pf->name, kept->count,
                                     pf->vfs_count);
        else
                finding = judge_find(court, AUDIT_KEPT_NUMBER, kept->path,
                                     "PF %s is to have %u VFs after every boot, and is not there", kept->address,
                                     kept->count);
        finding->level = AUDIT_NOTE;
        if (pf)
                judge_remedy(finding, "vswitch pf set-vfs %s %u --keep, or with the number that it is to have",
                             pf->name, kept->count);
        else
                judge_remedy(finding, "when the card does not come back: rm %s", kept->path);
}

/* A record outlives its guest when vswitchd was not there to see it go. */
static void judge_record(struct audit_court *court, const struct nic_record *record)
{
        char subject[AUDIT_SUBJECT_SIZE];
        struct audit_finding *finding;
        struct audit_repair *repair;

        if (!judge_is_gone(court->picture, record->uuid) ||
            judge_nic_is_moving(court->picture, record->uuid, record->alias))
                return;
        for (size_t i = 0; i < court->picture->claims_count; i++)
                if (strcmp(court->picture->claims[i].claim.uuid, record->uuid) == 0 &&
                    court->picture->claims[i].claim.leased)
                        return; /* it is expected */
        snprintf(subject, sizeof(subject), "%s/%s", record->domain, record->alias);
        finding = judge_find(court, AUDIT_RECORD_OF_NOBODY, subject,
                             "vswitchd has a record of the NIC, and guest %s does not run here", record->domain);
        finding->level = AUDIT_NOTE;
        judge_remedy(finding, "systemctl restart vswitchd, or without it: vswitch audit --fix");
        repair = judge_offer(court, finding, AUDIT_REPAIR_FILE, NULL);
        snprintf(repair->path, sizeof(repair->path), "%s/nics/%s.%s.json", court->picture->runtime_directory,
                 record->uuid, record->alias);
}

void judge_files(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;

        for (size_t i = 0; i < picture->unreadable_count; i++)
                judge_unreadable(court, &picture->unreadable[i]);
        for (size_t i = 0; i < picture->notes_count; i++)
                judge_note(court, &picture->notes[i]);
        for (size_t i = 0; i < picture->kept_count; i++)
                judge_kept(court, &picture->kept[i]);
        for (size_t i = 0; i < picture->records_count; i++)
                judge_record(court, &picture->records[i]);
}
