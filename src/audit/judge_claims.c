/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claims, guests and VFs: does each claim have its guest and its VF, does each VF of a guest have its claim, and is the VF
 * what the claim says?
 */

#include "src/audit/judge.h"

#include <stdio.h>
#include <string.h>

/* A guest that has had a VF for so long and does not drive it never will without help; longer than any boot. */
#define DRIVE_USEC (300 * 1000000ull)

static const char *claim_name(const struct claim *claim, char buffer[static AUDIT_SUBJECT_SIZE])
{
        snprintf(buffer, AUDIT_SUBJECT_SIZE, "%s/%s", claim->domain, claim->alias);
        return buffer;
}

/* Puts the VF back by the claim, where nobody has it. */
static void offer_restoring(struct audit_court *court, struct audit_finding *finding, const struct claim *claim,
                            const struct audit_pf *pf, const struct audit_vf *vf)
{
        struct audit_repair *repair = judge_offer(court, finding, AUDIT_REPAIR_VF_BY_CLAIM, NULL);

        snprintf(repair->pf, sizeof(repair->pf), "%s", pf->name);
        repair->vf = vf->vf;
        repair->claim = *claim;
        if (vf->is_open)
                judge_no_repair(finding, "a process has the VF open");
        else if (vf->vf.index != claim->vf_index)
                judge_no_repair(finding, "the claim is about another VF");
}

/* The tag that the frames of this NIC must have on the wire, where that is known for certain. */
static bool wanted_vlan(const struct audit_picture *picture, const struct claim *claim, const struct guest_nic *nic,
                        uint16_t *ret)
{
        for (size_t i = 0; i < picture->daemon_nics_count; i++)
                if (strcmp(picture->daemon_nics[i].uuid, claim->uuid) == 0 &&
                    strcmp(picture->daemon_nics[i].alias, claim->alias) == 0) {
                        *ret = picture->daemon_nics[i].vlan;
                        return true;
                }
        if (!nic || !(nic->policy_given & GUEST_POLICY_VLAN) || nic->policy.vlan == 0)
                return false;
        *ret = nic->policy.vlan;
        return true;
}

static void judge_programming(struct audit_court *court, const struct claim *claim, const struct guest *guest,
                              const struct audit_pf *pf, const struct audit_vf *vf)
{
        const struct guest_nic *nic = judge_find_nic(guest, claim->alias);
        const struct pf_vf_attributes *has = &vf->attributes;
        const struct vswitch_mac *mac = nic ? &nic->mac : &claim->mac;
        char subject[AUDIT_SUBJECT_SIZE];
        char vf_name[40], is[VSWITCH_MAC_TEXT_SIZE], wanted[VSWITCH_MAC_TEXT_SIZE], text[256] = "";
        struct audit_finding *finding;
        uint16_t vlan = 0;
        size_t used = 0;

        if ((has->valid & PF_VF_MAC) && !vswitch_mac_equal(&has->mac, mac))
                used = (size_t) snprintf(text, sizeof(text), "MAC %s instead of %s", vswitch_mac_format(&has->mac, is),
                                         vswitch_mac_format(mac, wanted));
        if ((has->valid & PF_VF_VLAN) && wanted_vlan(court->picture, claim, nic, &vlan) && has->vlan != vlan)
                snprintf(text + used, sizeof(text) - used, "%sVLAN %u instead of %u", used ? ", " : "", has->vlan,
                         vlan);
        if (!text[0])
                return;
        finding = judge_find(court, AUDIT_VF_DISAGREES, claim_name(claim, subject), "its VF %s (%s) has %s",
                             judge_vf_name(pf, vf, vf_name), claim->vf_address, text);
        judge_no_repair(finding, "a VF that a guest drives is not changed under it");
        judge_remedy(finding, "vswitch nic release %s && vswitch nic acquire %s", subject, subject);
}

static void judge_driving(struct audit_court *court, const struct audit_claim *claim, const struct guest *guest,
                          const struct audit_vf *vf)
{
        char subject[AUDIT_SUBJECT_SIZE];
        struct audit_finding *finding;

        if (guest->state != GUEST_RUNNING || !vf->vectors_known || vf->vectors > 0 || claim->age_usec < DRIVE_USEC)
                return;
        finding = judge_find(court, AUDIT_VF_NOT_DRIVEN, claim_name(&claim->claim, subject),
                             "the guest has had VF %s for %llu minutes and has no interrupt of it",
                             claim->claim.vf_address, (unsigned long long) (claim->age_usec / 60000000));
        finding->level = AUDIT_NOTE;
        judge_no_repair(finding, "only the guest can do it");
        judge_remedy(finding, "load the VF's driver (and net_failover) in the guest, or: vswitch nic release %s --hold",
                     subject);
}

/* Its guest is not here, and nobody waits for it. */
static void judge_claim_without_guest(struct audit_court *court, const struct audit_claim *claim,
                                      const struct audit_pf *pf, const struct audit_vf *vf)
{
        const struct guest *user = judge_find_user(court->picture, claim->claim.vf_address);
        char subject[AUDIT_SUBJECT_SIZE], vf_name[40];
        struct audit_finding *finding;

        if (!judge_is_gone(court->picture, claim->claim.uuid) ||
            (claim->claim.leased && claim->claim.lease_until > court->picture->now))
                return;
        if (user) {
                finding = judge_find(court, AUDIT_CLAIM_OF_ANOTHER, claim_name(&claim->claim, subject),
                                     "guest %s has VF %s, which is claimed for %s", user->name, claim->claim.vf_address,
                                     subject);
                judge_remedy(finding,
                             "virsh detach-device-alias %s ALIAS --live, with the ALIAS of %s in `virsh dumpxml %s`",
                             user->name, claim->claim.vf_address, user->name);
                return;
        }
        finding = judge_find(court, AUDIT_CLAIM_WITHOUT_GUEST, claim_name(&claim->claim, subject),
                             "VF %s (%s) is %s for guest %s, which does not run here", judge_vf_name(pf, vf, vf_name),
                             claim->claim.vf_address, claim->claim.leased ? "leased" : "claimed", claim->claim.domain);
        judge_remedy(finding, "systemctl restart vswitchd, or without it: vswitch audit --fix");
        offer_restoring(court, finding, &claim->claim, pf, vf);
}

static void judge_claim_without_device(struct audit_court *court, const struct audit_claim *claim,
                                       const struct audit_pf *pf, const struct audit_vf *vf)
{
        const struct guest *user = judge_find_user(court->picture, claim->claim.vf_address);
        char subject[AUDIT_SUBJECT_SIZE], vf_name[40];
        struct audit_finding *finding;

        claim_name(&claim->claim, subject);
        if (user) {
                finding = judge_find(court, AUDIT_CLAIM_OF_ANOTHER, subject,
                                     "guest %s has VF %s, which is claimed for %s", user->name, claim->claim.vf_address,
                                     subject);
                judge_remedy(finding,
                             "virsh detach-device-alias %s ALIAS --live, with the ALIAS of %s in `virsh dumpxml %s`",
                             user->name, claim->claim.vf_address, user->name);
                return;
        }
        finding = judge_find(court, AUDIT_CLAIM_WITHOUT_DEVICE, subject,
                             "VF %s (%s) is claimed for it, and the guest does not have it",
                             judge_vf_name(pf, vf, vf_name), claim->claim.vf_address);
        judge_remedy(finding, "systemctl restart vswitchd, or without it: vswitch audit --fix");
        offer_restoring(court, finding, &claim->claim, pf, vf);
}

static void judge_claim_without_vf(struct audit_court *court, const struct audit_claim *claim, const char *what)
{
        char subject[AUDIT_SUBJECT_SIZE];
        struct audit_finding *finding =
                judge_find(court, AUDIT_CLAIM_WITHOUT_VF, claim_name(&claim->claim, subject),
                           "VF %s (%s vf %u) is claimed for it, and %s", claim->claim.vf_address, claim->claim.pf,
                           claim->claim.vf_index, what);
        struct audit_repair *repair;

        repair = judge_offer(court, finding, AUDIT_REPAIR_FILE, NULL);
        snprintf(repair->path, sizeof(repair->path), "%s/claims/%s.json", court->picture->runtime_directory,
                 claim->claim.vf_address);
        judge_remedy(finding, "when the VF does not come back: rm %s", repair->path);
        if (!court->picture->guests_known || judge_find_user(court->picture, claim->claim.vf_address))
                judge_no_repair(finding, "a guest may have it");
        else if (judge_find_process(court->picture, claim->claim.uuid))
                judge_no_repair(finding, "the guest's QEMU runs");
}

/* Two claims of one VF, or of one NIC; each pair is told of once. */
static void judge_pairs(struct audit_court *court, size_t index)
{
        const struct claim *claim = &court->picture->claims[index].claim;
        char subject[AUDIT_SUBJECT_SIZE];
        struct audit_finding *finding;

        for (size_t i = 0; i < index; i++) {
                const struct claim *other = &court->picture->claims[i].claim;

                if (strcmp(other->vf_address, claim->vf_address) == 0) {
                        finding = judge_find(court, AUDIT_CLAIM_TWICE, claim->vf_address,
                                             "the VF is claimed for %s/%s and for %s/%s", other->domain, other->alias,
                                             claim->domain, claim->alias);
                        judge_remedy(finding,
                                     "find out which guest has it (virsh dumpxml %s, virsh dumpxml %s) and remove the "
                                     "other's file in %s/claims, with vswitchd stopped",
                                     other->domain, claim->domain, court->picture->runtime_directory);
                } else if (strcmp(other->uuid, claim->uuid) == 0 && strcmp(other->alias, claim->alias) == 0) {
                        finding = judge_find(court, AUDIT_CLAIMS_OF_ONE_NIC, claim_name(claim, subject),
                                             "VFs %s and %s are both claimed for it", other->vf_address,
                                             claim->vf_address);
                        judge_remedy(finding, "systemctl restart vswitchd");
                }
        }
}

static void judge_claim(struct audit_court *court, size_t index)
{
        const struct audit_claim *claim = &court->picture->claims[index];
        const struct guest *guest = judge_find_guest(court->picture, claim->claim.uuid);
        const struct audit_pf *pf = NULL;
        const struct audit_vf *vf = judge_find_vf(court->picture, claim->claim.vf_address, &pf);

        judge_pairs(court, index);
        if (judge_nic_is_moving(court->picture, claim->claim.uuid, claim->claim.alias))
                return;
        if (!vf)
                judge_claim_without_vf(court, claim, "there is no such VF");
        else if (vf->vf.index != claim->claim.vf_index)
                judge_claim_without_vf(court, claim, "at that address is another VF now");
        else if (!court->picture->guests_known)
                return;
        else if (!guest)
                judge_claim_without_guest(court, claim, pf, vf);
        else if (!judge_find_device(guest, claim->claim.vf_address))
                judge_claim_without_device(court, claim, pf, vf);
        else {
                judge_programming(court, &claim->claim, guest, pf, vf);
                judge_driving(court, claim, guest, vf);
        }
}

static bool has_unreadable_claim(const struct audit_picture *picture, const char *vf_address)
{
        for (size_t i = 0; i < picture->unreadable_count; i++)
                if (strstr(picture->unreadable[i].path, vf_address))
                        return true;
        return false;
}

/* A VF as vswitch attaches them, by its alias. */
static bool is_ours(const struct guest_vf *device)
{
        return device->persistent[0] && strncmp(device->alias, "ua-vf-", strlen("ua-vf-")) == 0;
}

static void judge_device(struct audit_court *court, const struct guest *guest, const struct guest_vf *device)
{
        const struct audit_picture *picture = court->picture;
        char subject[AUDIT_SUBJECT_SIZE];
        struct audit_finding *finding;

        if (!is_ours(device) || !judge_find_vf(picture, device->address, NULL) ||
            judge_find_claim(picture, device->address) || has_unreadable_claim(picture, device->address) ||
            judge_nic_is_moving(picture, guest->uuid, device->persistent))
                return;
        snprintf(subject, sizeof(subject), "%s/%s", guest->name, device->persistent);
        finding = judge_find(court, AUDIT_DEVICE_WITHOUT_CLAIM, subject,
                             "the guest has VF %s under vswitch's alias %s, and there is no claim", device->address,
                             device->alias);
        judge_no_repair(finding, "a running guest's device is not taken away");
        judge_remedy(finding, "virsh detach-device-alias %s %s --live", guest->name, device->alias);
}

void judge_claims(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;

        for (size_t i = 0; i < picture->claims_count; i++)
                judge_claim(court, i);
        for (size_t i = 0; picture->guests_known && i < picture->guests_count; i++)
                for (size_t j = 0; picture->guests[i]->state != GUEST_OFF && j < picture->guests[i]->vfs_count; j++)
                        judge_device(court, picture->guests[i], &picture->guests[i]->vfs[j]);
}
