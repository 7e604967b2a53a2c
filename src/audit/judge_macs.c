/* SPDX-License-Identifier: Apache-2.0 */

/* One MAC in two places: VFs, uplink filters, guests. */

#include "src/audit/judge.h"

#include <stdio.h>
#include <string.h>

static bool has_mac(const struct audit_vf *vf)
{
        return (vf->attributes.valid & PF_VF_MAC) && !vswitch_mac_is_zero(&vf->attributes.mac);
}

/* Can frames of one come to the other? */
static bool share_a_network(const struct audit_pf *a, const struct audit_pf *b)
{
        return a == b || (a->bridge != 0 && a->bridge == b->bridge);
}

static void judge_two_vfs(struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf,
                          const struct audit_pf *other_pf, const struct audit_vf *other)
{
        char subject[40], other_name[40], mac[VSWITCH_MAC_TEXT_SIZE];
        struct audit_finding *finding;

        if (!has_mac(other) || !vswitch_mac_equal(&vf->attributes.mac, &other->attributes.mac) ||
            vf->attributes.vlan != other->attributes.vlan)
                return;
        finding = judge_find(court, AUDIT_MAC_ON_TWO_VFS, judge_vf_name(pf, vf, subject),
                             "it has the MAC %s, and so has %s", vswitch_mac_format(&vf->attributes.mac, mac),
                             judge_vf_name(other_pf, other, other_name));
        judge_no_repair(finding, "one of them is right");
        judge_remedy(finding, "on the one that is wrong: ip link set PF vf N mac 00:00:00:00:00:00 (%s or %s)", subject,
                     other_name);
}

static void judge_two_vfs_of_all(struct audit_court *court, size_t pf_index, size_t vf_index)
{
        const struct audit_picture *picture = court->picture;
        const struct audit_pf *pf = &picture->pfs[pf_index];

        for (size_t i = pf_index; i < picture->pfs_count; i++)
                for (size_t j = i == pf_index ? vf_index + 1 : 0; j < picture->pfs[i].vfs_count; j++)
                        if (share_a_network(pf, &picture->pfs[i]))
                                judge_two_vfs(court, pf, &pf->vfs[vf_index], &picture->pfs[i], &picture->pfs[i].vfs[j]);
}

static void judge_uplink(struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf)
{
        char subject[40], mac[VSWITCH_MAC_TEXT_SIZE];
        struct audit_finding *finding;

        if (!judge_has_mac(pf->filters, pf->filters_count, &vf->attributes.mac))
                return;
        vswitch_mac_format(&vf->attributes.mac, mac);
        finding = judge_find(court, AUDIT_MAC_ON_VF_AND_UPLINK, judge_vf_name(pf, vf, subject),
                             "it has the MAC %s, which is among the uplink filters of %s too", mac, pf->name);
        judge_no_repair(finding, court->picture->daemon == AUDIT_DAEMON_UP
                                         ? "vswitchd runs and looks after it; when it stays, its log says why"
                                         : "which of the two is right depends on what the guest does");
        judge_remedy(finding,
                     "systemctl restart vswitchd; for a VF that vswitch does not look after: bridge fdb del %s "
                     "dev %s self",
                     mac, pf->name);
}

/* A NIC on the bridge above the PF has this MAC, and the VF is not its guest's. */
static void judge_anothers(struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf)
{
        const struct audit_claim *claim = judge_find_claim(court->picture, vf->vf.address);
        const struct guest *user = judge_find_user(court->picture, vf->vf.address);
        const struct guest *guest = NULL;
        const struct guest_nic *nic = NULL;
        char subject[40], mac[VSWITCH_MAC_TEXT_SIZE];
        struct audit_finding *finding;

        for (size_t i = 0; i < court->picture->ports_count && pf->bridge != 0 && !nic; i++)
                if (court->picture->ports[i].bridge == pf->bridge)
                        nic = judge_find_mac(court->picture, court->picture->ports[i].bridge_name, &vf->attributes.mac,
                                             &guest);
        if (!nic || !guest || (user && strcmp(user->uuid, guest->uuid) == 0) ||
            (!user && claim && strcmp(claim->claim.uuid, guest->uuid) == 0) || (!user && !claim && !vf->is_open))
                return;
        finding = judge_find(court, AUDIT_MAC_ON_ANOTHERS_VF, judge_vf_name(pf, vf, subject),
                             "it has the MAC %s of %s/%s, and %s has the VF",
                             vswitch_mac_format(&vf->attributes.mac, mac), guest->name, nic->alias,
                             user    ? user->name
                             : claim ? claim->claim.domain
                                     : "somebody else");
        judge_no_repair(finding, "one of the two has the wrong MAC");
        judge_remedy(finding, "give one of the two another MAC (virsh edit %s, <mac address=>), and start it again",
                     guest->name);
}

static void judge_nic_pair(struct audit_court *court, const struct guest *guest, const struct guest_nic *nic,
                           const struct guest *other_guest, const struct guest_nic *other)
{
        char subject[AUDIT_SUBJECT_SIZE], mac[VSWITCH_MAC_TEXT_SIZE];
        struct audit_finding *finding;

        if (!nic->bridge[0] || strcmp(nic->bridge, other->bridge) != 0 || !vswitch_mac_equal(&nic->mac, &other->mac) ||
            vswitch_mac_is_zero(&nic->mac) || nic->policy.vlan != other->policy.vlan || nic->vlan != other->vlan)
                return;
        snprintf(subject, sizeof(subject), "%s/%s", guest->name, nic->alias);
        finding = judge_find(court, AUDIT_MAC_OF_TWO_NICS, subject, "%s/%s on bridge %s has the MAC %s, too",
                             other_guest->name, other->alias, nic->bridge, vswitch_mac_format(&nic->mac, mac));
        judge_remedy(finding, "give one of the two another MAC (virsh edit %s, <mac address=>), and start it again",
                     other_guest->name);
}

/* Each pair once. */
static void judge_nics(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;

        for (size_t i = 0; i < picture->guests_count; i++)
                for (size_t j = 0; picture->guests[i]->state != GUEST_OFF && j < picture->guests[i]->nics_count; j++)
                        for (size_t k = i; k < picture->guests_count; k++)
                                for (size_t l = k == i ? j + 1 : 0;
                                     picture->guests[k]->state != GUEST_OFF && l < picture->guests[k]->nics_count; l++)
                                        judge_nic_pair(court, picture->guests[i], &picture->guests[i]->nics[j],
                                                       picture->guests[k], &picture->guests[k]->nics[l]);
}

void judge_macs(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;

        for (size_t i = 0; i < picture->pfs_count; i++)
                for (size_t j = 0; j < picture->pfs[i].vfs_count; j++) {
                        const struct audit_vf *vf = &picture->pfs[i].vfs[j];

                        if (!has_mac(vf) || judge_mac_is_moving(picture, &vf->attributes.mac) || vf->is_probed)
                                continue;
                        judge_two_vfs_of_all(court, i, j);
                        judge_uplink(court, &picture->pfs[i], vf);
                        if (picture->guests_known)
                                judge_anothers(court, &picture->pfs[i], vf);
                }
        if (picture->guests_known)
                judge_nics(court);
}
