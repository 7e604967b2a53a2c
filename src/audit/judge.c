/* SPDX-License-Identifier: Apache-2.0 */

#include "src/audit/judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- findings ---- */

struct audit_finding *judge_find(struct audit_court *court, enum audit_code code, const char *subject,
                                 const char *format, ...)
{
        static struct audit_finding nowhere;
        struct audit_findings *findings = court->findings;
        struct audit_finding *finding = audit_grow((void **) &findings->list, &findings->count, sizeof(*finding));
        va_list arguments;

        if (!finding) {
                court->no_memory = true;
                finding = &nowhere;
        }
        finding->code = code;
        finding->level = AUDIT_PROBLEM;
        snprintf(finding->subject, sizeof(finding->subject), "%s", subject);
        judge_no_repair(finding, "it takes a person to decide");
        va_start(arguments, format);
        vsnprintf(finding->seen, sizeof(finding->seen), format, arguments);
        va_end(arguments);
        return finding;
}

void judge_remedy(struct audit_finding *finding, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(finding->remedy, sizeof(finding->remedy), format, arguments);
        va_end(arguments);
}

void judge_no_repair(struct audit_finding *finding, const char *why)
{
        finding->repair = (struct audit_repair){ .kind = AUDIT_REPAIR_NONE };
        snprintf(finding->not_fixed, sizeof(finding->not_fixed), "%s", why);
}

struct audit_repair *judge_offer(struct audit_court *court, struct audit_finding *finding, enum audit_repair_kind kind,
                                 const char *daemon_says)
{
        finding->repair = (struct audit_repair){ .kind = kind };
        finding->not_fixed[0] = '\0';
        if (court->picture->daemon == AUDIT_DAEMON_SILENT)
                judge_no_repair(finding, "vswitchd runs and does not answer");
        else if (court->picture->daemon == AUDIT_DAEMON_UP)
                judge_no_repair(finding,
                                daemon_says ?: "vswitchd runs and looks after it; when it stays, its log says why");
        return &finding->repair;
}

const char *judge_vf_name(const struct audit_pf *pf, const struct audit_vf *vf, char buffer[static 40])
{
        snprintf(buffer, 40, "%s vf %u", pf->name, vf->vf.index);
        return buffer;
}

/* ---- looking up ---- */

const struct audit_vf *judge_find_vf(const struct audit_picture *picture, const char *address,
                                     const struct audit_pf **ret_pf)
{
        for (size_t i = 0; i < picture->pfs_count; i++)
                for (size_t j = 0; j < picture->pfs[i].vfs_count; j++)
                        if (strcmp(picture->pfs[i].vfs[j].vf.address, address) == 0) {
                                if (ret_pf)
                                        *ret_pf = &picture->pfs[i];
                                return &picture->pfs[i].vfs[j];
                        }
        return NULL;
}

const struct audit_claim *judge_find_claim(const struct audit_picture *picture, const char *vf_address)
{
        for (size_t i = 0; i < picture->claims_count; i++)
                if (strcmp(picture->claims[i].claim.vf_address, vf_address) == 0)
                        return &picture->claims[i];
        return NULL;
}

const struct audit_pf *judge_find_pf(const struct audit_picture *picture, const char *address)
{
        for (size_t i = 0; i < picture->pfs_count; i++)
                if (strcmp(picture->pfs[i].address, address) == 0)
                        return &picture->pfs[i];
        return NULL;
}

const struct guest *judge_find_guest(const struct audit_picture *picture, const char *uuid)
{
        for (size_t i = 0; i < picture->guests_count; i++)
                if (strcmp(picture->guests[i]->uuid, uuid) == 0 && picture->guests[i]->state != GUEST_OFF)
                        return picture->guests[i];
        return NULL;
}

const struct guest_nic *judge_find_nic(const struct guest *guest, const char *alias)
{
        for (size_t i = 0; guest && i < guest->nics_count; i++)
                if (strcmp(guest->nics[i].alias, alias) == 0)
                        return &guest->nics[i];
        return NULL;
}

const struct guest_vf *judge_find_device(const struct guest *guest, const char *vf_address)
{
        for (size_t i = 0; guest && i < guest->vfs_count; i++)
                if (strcmp(guest->vfs[i].address, vf_address) == 0)
                        return &guest->vfs[i];
        return NULL;
}

const struct guest *judge_find_user(const struct audit_picture *picture, const char *vf_address)
{
        for (size_t i = 0; i < picture->guests_count; i++)
                if (picture->guests[i]->state != GUEST_OFF && judge_find_device(picture->guests[i], vf_address))
                        return picture->guests[i];
        return NULL;
}

const struct guest_nic *judge_find_mac(const struct audit_picture *picture, const char *bridge,
                                       const struct vswitch_mac *mac, const struct guest **ret_guest)
{
        for (size_t i = 0; i < picture->guests_count; i++) {
                const struct guest *guest = picture->guests[i];

                for (size_t j = 0; guest->state != GUEST_OFF && j < guest->nics_count; j++)
                        if (vswitch_mac_equal(&guest->nics[j].mac, mac) &&
                            (!bridge || strcmp(guest->nics[j].bridge, bridge) == 0)) {
                                if (ret_guest)
                                        *ret_guest = guest;
                                return &guest->nics[j];
                        }
        }
        return NULL;
}

const struct nic_record *judge_find_record(const struct audit_picture *picture, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < picture->records_count; i++)
                if (vswitch_mac_equal(&picture->records[i].mac, mac))
                        return &picture->records[i];
        return NULL;
}

const struct audit_process *judge_find_process(const struct audit_picture *picture, const char *uuid)
{
        for (size_t i = 0; i < picture->processes_count; i++)
                if (strcmp(picture->processes[i].uuid, uuid) == 0)
                        return &picture->processes[i];
        return NULL;
}

bool judge_is_gone(const struct audit_picture *picture, const char *uuid)
{
        return picture->guests_known && !judge_find_guest(picture, uuid) && !judge_find_process(picture, uuid);
}

bool judge_has_mac(const struct vswitch_mac *macs, size_t count, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < count; i++)
                if (vswitch_mac_equal(&macs[i], mac))
                        return true;
        return false;
}

/* ---- what moves ---- */

/* libvirt and QEMU, or another host, change it by themselves now. */
static bool guest_is_moving(const struct guest *guest)
{
        return guest && (guest->outgoing || guest->state == GUEST_INCOMING || guest->state == GUEST_HANDED_OVER);
}

bool judge_nic_is_moving(const struct audit_picture *picture, const char *uuid, const char *alias)
{
        for (size_t i = 0; i < picture->daemon_nics_count; i++) {
                const struct audit_daemon_nic *nic = &picture->daemon_nics[i];

                if (nic->is_moving && strcmp(nic->uuid, uuid) == 0 && strcmp(nic->alias, alias) == 0)
                        return true;
        }
        return guest_is_moving(judge_find_guest(picture, uuid));
}

bool judge_mac_is_moving(const struct audit_picture *picture, const struct vswitch_mac *mac)
{
        const struct guest *guest = NULL;

        for (size_t i = 0; i < picture->daemon_nics_count; i++)
                if (picture->daemon_nics[i].is_moving && vswitch_mac_equal(&picture->daemon_nics[i].mac, mac))
                        return true;
        return judge_find_mac(picture, NULL, mac, &guest) && guest_is_moving(guest);
}

bool judge_vf_is_moving(const struct audit_picture *picture, const char *vf_address)
{
        const struct audit_claim *claim = judge_find_claim(picture, vf_address);

        for (size_t i = 0; i < picture->daemon_nics_count; i++)
                if (picture->daemon_nics[i].is_moving && strcmp(picture->daemon_nics[i].vf, vf_address) == 0)
                        return true;
        return guest_is_moving(judge_find_user(picture, vf_address)) ||
               (claim && judge_nic_is_moving(picture, claim->claim.uuid, claim->claim.alias));
}

/* ---- the whole ---- */

static int compare(const void *a, const void *b)
{
        const struct audit_finding *left = a, *right = b;

        if (left->code != right->code)
                return left->code < right->code ? -1 : 1;
        return strcmp(left->subject, right->subject);
}

int audit_judge(const struct audit_picture *picture, struct audit_findings *ret)
{
        struct audit_court court = { .picture = picture, .findings = ret };

        *ret = (struct audit_findings){ 0 };
        judge_host(&court);
        judge_claims(&court);
        judge_vfs(&court);
        judge_macs(&court);
        judge_tables(&court);
        judge_files(&court);
        if (court.no_memory) {
                audit_findings_clear(ret);
                return -ENOMEM;
        }
        if (ret->count > 0)
                qsort(ret->list, ret->count, sizeof(*ret->list), compare);
        return 0;
}

void audit_findings_clear(struct audit_findings *findings)
{
        free(findings->list);
        *findings = (struct audit_findings){ 0 };
}

static bool was_found(const struct audit_findings *findings, const struct audit_finding *finding)
{
        for (size_t i = 0; i < findings->count; i++)
                if (compare(&findings->list[i], finding) == 0)
                        return true;
        return false;
}

void audit_keep_known(struct audit_findings *findings, const struct audit_findings *before)
{
        size_t kept = 0;

        for (size_t i = 0; i < findings->count; i++)
                if (was_found(before, &findings->list[i]))
                        findings->list[kept++] = findings->list[i];
        findings->count = kept;
}

size_t audit_count(const struct audit_findings *findings, enum audit_level level)
{
        size_t count = 0;

        for (size_t i = 0; i < findings->count; i++)
                count += findings->list[i].level == level;
        return count;
}
