/* SPDX-License-Identifier: Apache-2.0 */

/*
 * VFs of nobody: no claim, no guest, no process, no driver of somebody else's, no netdev in use. What such a VF still has
 * was somebody's.
 *
 * What a card gives a VF that nobody has programmed differs in two settings, spoof check and link state; so those are
 * compared with the other VFs of nobody on the same PF: where all are alike it is the card's way. The same with vfio-pci:
 * many hosts bind all VFs to it when they start.
 */

#include "src/audit/judge.h"

#include "vswitch/pf_sysfs.h"

#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

static bool is_of_nobody(const struct audit_court *court, const struct audit_vf *vf)
{
        const struct audit_picture *picture = court->picture;
        bool is_vfio_pci = strcmp(vf->vf.driver, "vfio-pci") == 0;

        for (size_t i = 0; i < picture->unreadable_count; i++)
                if (strstr(picture->unreadable[i].path, vf->vf.address))
                        return false;
        return picture->guests_known && !vf->is_open && !vf->is_probed && !judge_find_claim(picture, vf->vf.address) &&
               !judge_find_user(picture, vf->vf.address) && !judge_vf_is_moving(picture, vf->vf.address) &&
               !vf->netdev_in_use && (vf->vf.driver[0] == '\0' || is_vfio_pci || vf->vf.netdev[0] != '\0');
}

/* Does another VF of nobody have spoof check on, so that it is usual here? */
static bool others_check(const struct audit_court *court, const struct audit_pf *pf)
{
        for (size_t i = 0; i < pf->vfs_count; i++)
                if ((pf->vfs[i].attributes.valid & PF_VF_SPOOF_CHECK) && pf->vfs[i].attributes.spoof_check &&
                    is_of_nobody(court, &pf->vfs[i]))
                        return true;
        return false;
}

static bool others_follow_link(const struct audit_court *court, const struct audit_pf *pf)
{
        for (size_t i = 0; i < pf->vfs_count; i++)
                if ((pf->vfs[i].attributes.valid & PF_VF_LINK_STATE) &&
                    pf->vfs[i].attributes.link_state == IFLA_VF_LINK_STATE_AUTO && is_of_nobody(court, &pf->vfs[i]))
                        return true;
        return false;
}

/* A list of words, and the same as arguments of "ip link set PF vf N". */
struct left {
        struct pf_vf_attributes neutral;
        char seen[256];
        char command[256];
};

static void add_left(struct left *left, enum pf_vf_attribute attribute, const char *command, const char *seen)
{
        size_t length = strlen(left->seen);

        left->neutral.valid |= attribute;
        snprintf(left->seen + length, sizeof(left->seen) - length, "%s%s", length ? ", " : "", seen);
        length = strlen(left->command);
        snprintf(left->command + length, sizeof(left->command) - length, " %s", command);
}

/* A MAC that the VF's own driver on this host has chosen is nobody's doing. */
static bool has_foreign_mac(const struct audit_vf *vf)
{
        return (vf->attributes.valid & PF_VF_MAC) && !vswitch_mac_is_zero(&vf->attributes.mac) &&
               !vswitch_mac_equal(&vf->attributes.mac, &vf->netdev_mac);
}

static void find_left(const struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf,
                      struct left *left)
{
        const struct pf_vf_attributes *has = &vf->attributes;
        char text[64], mac[VSWITCH_MAC_TEXT_SIZE];

        left->neutral.vlan_protocol = has->vlan_protocol;
        left->neutral.spoof_check = true;
        left->neutral.link_state = IFLA_VF_LINK_STATE_AUTO;
        if ((has->valid & PF_VF_VLAN) && (has->vlan != 0 || has->qos != 0)) {
                snprintf(text, sizeof(text), "VLAN %u", has->vlan);
                add_left(left, PF_VF_VLAN, "vlan 0", text);
        }
        if ((has->valid & PF_VF_TRUST) && has->trust)
                add_left(left, PF_VF_TRUST, "trust off", "trust on");
        if ((has->valid & PF_VF_SPOOF_CHECK) && !has->spoof_check && others_check(court, pf))
                add_left(left, PF_VF_SPOOF_CHECK, "spoofchk on", "spoof check off");
        if ((has->valid & PF_VF_RATE) && (has->min_rate != 0 || has->max_rate != 0)) {
                snprintf(text, sizeof(text), "rates %u to %u Mbit/s", has->min_rate, has->max_rate);
                add_left(left, PF_VF_RATE, has->min_rate ? "max_tx_rate 0 min_tx_rate 0" : "max_tx_rate 0", text);
        }
        if ((has->valid & PF_VF_LINK_STATE) && has->link_state != IFLA_VF_LINK_STATE_AUTO &&
            others_follow_link(court, pf))
                add_left(left, PF_VF_LINK_STATE, "state auto",
                         has->link_state == IFLA_VF_LINK_STATE_ENABLE ? "link state enable" : "link state disable");
        if (has_foreign_mac(vf)) {
                snprintf(text, sizeof(text), "MAC %s", vswitch_mac_format(&has->mac, mac));
                add_left(left, PF_VF_MAC, "mac 00:00:00:00:00:00", text);
        }
}

/* Why the VF is not for us to change. */
static const char *not_ours(const struct audit_pf *pf, const struct audit_vf *vf)
{
        if (!pf->is_configured)
                return "no switch of the configuration uses this PF, so its VFs are somebody else's";
        if (vf->vf.netdev[0])
                return "a network driver of this host has it: somebody may be preparing it";
        return NULL;
}

static void judge_settings(struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf)
{
        struct left left = { 0 };
        struct audit_finding *finding;
        struct audit_repair *repair;
        char subject[40];

        find_left(court, pf, vf, &left);
        if (left.neutral.valid == 0)
                return;
        finding = judge_find(court, AUDIT_VF_SETTINGS_OF_NOBODY, judge_vf_name(pf, vf, subject),
                             "VF %s, which nobody has, has %s", vf->vf.address, left.seen);
        judge_remedy(finding, "ip link set %s vf %u%s", pf->name, vf->vf.index, left.command);
        repair = judge_offer(court, finding, AUDIT_REPAIR_VF_SETTINGS,
                             "vswitchd runs and leaves it: it cannot know that nobody wants the VF");
        snprintf(repair->pf, sizeof(repair->pf), "%s", pf->name);
        repair->vf = vf->vf;
        repair->attributes = left.neutral;
        if (not_ours(pf, vf))
                judge_no_repair(finding, not_ours(pf, vf));
        else if (left.neutral.valid & pf->cannot_set)
                judge_no_repair(finding, "the card's driver cannot set it");
}

/* The driver that all other VFs of nobody have; false when they differ, or there is none. */
static bool others_driver(const struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf,
                          const char **ret)
{
        const char *driver = NULL;

        for (size_t i = 0; i < pf->vfs_count; i++) {
                const struct audit_vf *other = &pf->vfs[i];

                if (other == vf || !is_of_nobody(court, other))
                        continue;
                if (driver && strcmp(driver, other->vf.driver) != 0)
                        return false;
                driver = other->vf.driver;
        }
        *ret = driver;
        return driver != NULL;
}

static void judge_vfio(struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf)
{
        struct audit_finding *finding;
        struct audit_repair *repair;
        const char *driver = "";
        char subject[40];
        bool known;

        if (strcmp(vf->vf.driver, "vfio-pci") != 0 || vf->driver_is_kept)
                return;
        known = others_driver(court, pf, vf, &driver);
        if (known && strcmp(driver, "vfio-pci") == 0)
                return;
        finding = judge_find(court, AUDIT_VFIO_OF_NOBODY, judge_vf_name(pf, vf, subject),
                             "VF %s is bound to vfio-pci, and no QEMU has it and no claim names it", vf->vf.address);
        finding->level = known ? AUDIT_PROBLEM : AUDIT_NOTE;
        judge_remedy(finding,
                     "driverctl unset-override %s, or: echo %s >/sys/bus/pci/drivers/vfio-pci/unbind; echo "
                     ">/sys/bus/pci/devices/%s/driver_override",
                     vf->vf.address, vf->vf.address, vf->vf.address);
        repair = judge_offer(court, finding, AUDIT_REPAIR_DRIVER,
                             "vswitchd runs; to it this is a free VF like any other");
        snprintf(repair->pf, sizeof(repair->pf), "%s", pf->name);
        repair->vf = vf->vf;
        snprintf(repair->driver, sizeof(repair->driver), "%s", driver);
        if (!known)
                judge_no_repair(finding, "no other unused VF of this PF tells which driver it had before");
        else if (not_ours(pf, vf))
                judge_no_repair(finding, not_ours(pf, vf));
}

/* "none" is no driver: administrators write it to keep all of them away. */
static void judge_override(struct audit_court *court, const struct audit_pf *pf, const struct audit_vf *vf)
{
        struct audit_finding *finding;
        struct audit_repair *repair;
        char subject[40];

        if (!vf->override[0] || strcmp(vf->override, vf->vf.driver) == 0 || strcmp(vf->override, "none") == 0 ||
            vf->driver_is_kept)
                return;
        finding = judge_find(court, AUDIT_OVERRIDE_LEFT, judge_vf_name(pf, vf, subject),
                             "VF %s may only have driver %s (driver_override), and has %s", vf->vf.address,
                             vf->override, vf->vf.driver[0] ? vf->vf.driver : "none");
        judge_remedy(finding, "echo >/sys/bus/pci/devices/%s/driver_override", vf->vf.address);
        repair = judge_offer(court, finding, AUDIT_REPAIR_OVERRIDE,
                             "vswitchd runs; it writes the override anew whenever it needs the VF");
        snprintf(repair->pf, sizeof(repair->pf), "%s", pf->name);
        repair->vf = vf->vf;
        if (!pf->is_configured)
                judge_no_repair(finding, not_ours(pf, vf));
}

void judge_vfs(struct audit_court *court)
{
        for (size_t i = 0; i < court->picture->pfs_count; i++)
                for (size_t j = 0; j < court->picture->pfs[i].vfs_count; j++) {
                        const struct audit_pf *pf = &court->picture->pfs[i];
                        const struct audit_vf *vf = &pf->vfs[j];

                        if (!is_of_nobody(court, vf))
                                continue;
                        judge_settings(court, pf, vf);
                        judge_vfio(court, pf, vf);
                        judge_override(court, pf, vf);
                }
}
