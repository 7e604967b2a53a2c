/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Entries in shared tables. Copy rules and guards carry vswitch's cookie, and are its own whatever happens; a pin (static and
 * sticky) or an uplink filter is certainly its own when a NIC record or a note of it names the MAC. Of others it is
 * only told.
 */

#include "src/audit/judge.h"

#include <stdio.h>
#include <string.h>

static const struct audit_port *find_port(const struct audit_picture *picture, int ifindex)
{
        for (size_t i = 0; i < picture->ports_count; i++)
                if (picture->ports[i].ifindex == ifindex)
                        return &picture->ports[i];
        return NULL;
}

/* The VF by which a NIC gets its frames: attached to its guest, and with its MAC. */
static const struct audit_vf *find_vf_of_nic(const struct audit_picture *picture, const struct guest *guest,
                                             const struct guest_nic *nic, const struct audit_pf **ret_pf)
{
        for (size_t i = 0; i < guest->vfs_count; i++) {
                const struct audit_vf *vf = judge_find_vf(picture, guest->vfs[i].address, ret_pf);

                if (vf && (strcmp(guest->vfs[i].persistent, nic->alias) == 0 ||
                           vswitch_mac_equal(&vf->attributes.mac, &nic->mac)))
                        return vf;
        }
        return NULL;
}

/* Its guest is certainly not here, and we had entries for it. */
static bool was_ours(const struct audit_picture *picture, const struct vswitch_mac *mac)
{
        const struct nic_record *record = judge_find_record(picture, mac);

        return record && judge_is_gone(picture, record->uuid);
}

/* A guest that libvirt has lost may own it. */
static bool may_be_lost_ones(const struct audit_picture *picture, const struct vswitch_mac *mac)
{
        const struct nic_record *record = judge_find_record(picture, mac);

        return record && !judge_is_gone(picture, record->uuid);
}

/* ---- pins ---- */

static void offer_unpinning(struct audit_court *court, struct audit_finding *finding, const struct audit_pin *pin)
{
        struct audit_repair *repair = judge_offer(court, finding, AUDIT_REPAIR_PIN, NULL);

        repair->mac = pin->mac;
        repair->vlan = pin->vlan;
        repair->bridge = pin->bridge;
        repair->port = pin->port;
}

static void pin_remedy(struct audit_finding *finding, const struct audit_pin *pin, const struct audit_port *port)
{
        char mac[VSWITCH_MAC_TEXT_SIZE], vlan[16] = "";

        if (pin->vlan)
                snprintf(vlan, sizeof(vlan), " vlan %u", pin->vlan);
        judge_remedy(finding, "bridge fdb del %s dev %s%s master", vswitch_mac_format(&pin->mac, mac), port->name,
                     vlan);
}

/* The subject of what is about one MAC at one device. */
static const char *mac_at(const char *device, const struct vswitch_mac *mac, uint16_t vlan, char buffer[static 64])
{
        char text[VSWITCH_MAC_TEXT_SIZE], tag[16] = "";

        if (vlan)
                snprintf(tag, sizeof(tag), " vlan %u", vlan);
        snprintf(buffer, 64, "%s %s%s", device, vswitch_mac_format(mac, text), tag);
        return buffer;
}

static void judge_pin_of_guest(struct audit_court *court, const struct audit_pin *pin, const struct audit_port *port,
                               const struct guest *guest, const struct guest_nic *nic)
{
        const struct audit_pf *pf = NULL;
        const struct audit_vf *vf = find_vf_of_nic(court->picture, guest, nic, &pf);
        bool listed = vf && judge_has_mac(pf->filters, pf->filters_count, &nic->mac);
        bool is_tap = strcmp(port->name, nic->tap) == 0;
        struct audit_finding *finding;
        char subject[64];

        mac_at(port->bridge_name, &pin->mac, pin->vlan, subject);
        if (is_tap && vf && vswitch_mac_equal(&vf->attributes.mac, &nic->mac) && vf->vectors > 0 && !listed) {
                finding = judge_find(court, AUDIT_PIN_DISAGREES, subject,
                                     "pinned to tap %s of %s/%s, which uses its VF %s", port->name, guest->name,
                                     nic->alias, vf->vf.address);
                judge_remedy(finding, "systemctl restart vswitchd");
        } else if (port->is_uplink && !vf) {
                finding = judge_find(court, AUDIT_PIN_DISAGREES, subject,
                                     "pinned to the uplink port %s, and %s/%s has no VF: it listens at %s", port->name,
                                     guest->name, nic->alias, nic->tap);
                pin_remedy(finding, pin, port);
                offer_unpinning(court, finding, pin);
        } else if (!is_tap && !port->is_uplink) {
                finding = judge_find(court, AUDIT_PIN_DISAGREES, subject,
                                     "pinned to %s, which is neither the tap of %s/%s (%s) nor an uplink", port->name,
                                     guest->name, nic->alias, nic->tap);
                pin_remedy(finding, pin, port);
        }
}

static void judge_pin(struct audit_court *court, const struct audit_pin *pin)
{
        const struct audit_picture *picture = court->picture;
        const struct audit_port *port = find_port(picture, pin->port);
        const struct guest *guest = NULL;
        const struct guest_nic *nic;
        struct audit_finding *finding;
        char subject[64];

        if (!port || judge_mac_is_moving(picture, &pin->mac))
                return;
        nic = judge_find_mac(picture, port->bridge_name, &pin->mac, &guest);
        if (nic) {
                judge_pin_of_guest(court, pin, port, guest, nic);
                return;
        }
        if (may_be_lost_ones(picture, &pin->mac))
                return;
        finding = judge_find(court, AUDIT_PIN_OF_NOBODY, mac_at(port->bridge_name, &pin->mac, pin->vlan, subject),
                             "pinned to %s (static, sticky), and no guest here has that MAC", port->name);
        pin_remedy(finding, pin, port);
        if (was_ours(picture, &pin->mac)) {
                offer_unpinning(court, finding, pin);
        } else {
                finding->level = AUDIT_NOTE;
                judge_no_repair(finding, "nothing says that vswitch made it");
        }
}

/* ---- copy rules and guards ---- */

static void judge_copy(struct audit_court *court, const struct audit_port *port, const struct vswitch_mac *mac)
{
        const struct audit_picture *picture = court->picture;
        struct audit_finding *finding;
        struct audit_repair *repair;
        const char *subject;
        char buffer[64];

        if (judge_mac_is_moving(picture, mac))
                return;
        subject = mac_at(port->name, mac, 0, buffer);
        if (judge_find_mac(picture, NULL, mac, NULL)) {
                finding = judge_find(court, AUDIT_COPY_RULE_LEFT, subject,
                                     "a copy rule of vswitch's is there, and its guest is not moving");
                judge_no_repair(finding, "it may be what the guest gets its frames by");
                judge_remedy(finding, "systemctl restart vswitchd");
                return;
        }
        if (may_be_lost_ones(picture, mac))
                return;
        finding = judge_find(court, AUDIT_COPY_RULE_OF_NOBODY, subject,
                             "a copy rule of vswitch's is there, and no guest here has that MAC");
        judge_remedy(finding,
                     "tc filter del dev %s ingress pref %d; tc filter del dev %s egress pref %d (all copy rules there)",
                     port->name, SOFTSWITCH_COPY_PRIORITY, port->name, SOFTSWITCH_COPY_PRIORITY);
        repair = judge_offer(court, finding, AUDIT_REPAIR_COPY_RULE, NULL);
        repair->mac = *mac;
        repair->port = port->ifindex;
}

static const struct guest_nic *find_tap(const struct audit_picture *picture, const char *tap,
                                        const struct guest **ret_guest)
{
        for (size_t i = 0; i < picture->guests_count; i++)
                for (size_t j = 0; picture->guests[i]->state != GUEST_OFF && j < picture->guests[i]->nics_count; j++)
                        if (strcmp(picture->guests[i]->nics[j].tap, tap) == 0) {
                                *ret_guest = picture->guests[i];
                                return &picture->guests[i]->nics[j];
                        }
        return NULL;
}

/* A record of this tap whose guest may be here although libvirt does not say so. */
static bool tap_may_be_lost_ones(const struct audit_picture *picture, const char *tap)
{
        for (size_t i = 0; i < picture->records_count; i++)
                if (strcmp(picture->records[i].tap, tap) == 0 && !judge_is_gone(picture, picture->records[i].uuid))
                        return true;
        return false;
}

static void judge_guard(struct audit_court *court, const struct audit_port *port)
{
        const struct guest *guest = NULL;
        const struct guest_nic *nic = find_tap(court->picture, port->name, &guest);
        char is[VSWITCH_MAC_TEXT_SIZE], should[VSWITCH_MAC_TEXT_SIZE], command[200];
        struct audit_finding *finding;

        if (!port->guard.check_source && port->guard.max_rate == 0)
                return;
        snprintf(command, sizeof(command), "tc filter del dev %s ingress pref %d; tc filter del dev %s ingress pref %d",
                 port->name, SOFTSWITCH_GUARD_SOURCE_PRIORITY, port->name, SOFTSWITCH_GUARD_RATE_PRIORITY);
        if (!nic && !tap_may_be_lost_ones(court->picture, port->name)) {
                finding = judge_find(court, AUDIT_GUARD_OF_NOBODY, port->name,
                                     "a guard of vswitch's is there, and it is no running guest's tap");
                judge_remedy(finding, "%s", command);
                judge_offer(court, finding, AUDIT_REPAIR_GUARD, NULL)->port = port->ifindex;
        } else if (nic && port->guard.check_source && !vswitch_mac_equal(&port->guard.mac, &nic->mac) &&
                   !judge_nic_is_moving(court->picture, guest->uuid, nic->alias)) {
                finding = judge_find(court, AUDIT_GUARD_DISAGREES, port->name,
                                     "its guard lets %s pass, and %s/%s has the MAC %s",
                                     vswitch_mac_format(&port->guard.mac, is), guest->name, nic->alias,
                                     vswitch_mac_format(&nic->mac, should));
                judge_no_repair(finding, "without it nothing checks what the guest sends");
                judge_remedy(finding, "systemctl restart vswitchd, or: %s", command);
        }
}

static void judge_router(struct audit_court *court, const struct audit_port *port)
{
        const struct audit_picture *picture = court->picture;
        const struct guest *guest = NULL;
        const struct guest_nic *nic = find_tap(picture, port->name, &guest);
        struct audit_finding *finding;
        bool ours = false;

        if (!port->multicast_router || !nic || find_vf_of_nic(picture, guest, nic, NULL) ||
            judge_nic_is_moving(picture, guest->uuid, nic->alias))
                return;
        for (size_t i = 0; i < picture->records_count; i++)
                ours |= strcmp(picture->records[i].uuid, guest->uuid) == 0 &&
                        strcmp(picture->records[i].alias, nic->alias) == 0 && picture->records[i].made_router;
        if (!ours)
                return;
        finding = judge_find(court, AUDIT_MULTICAST_ROUTER_LEFT, port->name,
                             "it is a permanent multicast router port, and %s/%s is not on a VF", guest->name,
                             nic->alias);
        finding->level = AUDIT_NOTE;
        judge_remedy(finding, "bridge link set dev %s mcast_router 1", port->name);
        judge_offer(court, finding, AUDIT_REPAIR_MULTICAST_ROUTER, NULL)->port = port->ifindex;
}

/* ---- uplink filters ---- */

static bool exists(const struct audit_picture *picture, int ifindex)
{
        for (size_t i = 0; i < picture->ifindexes_count; i++)
                if (picture->ifindexes[i] == ifindex)
                        return true;
        return false;
}

/* The note says that it was behind a port that is gone. */
static bool was_behind_a_port(const struct audit_picture *picture, const struct audit_pf *pf,
                              const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < picture->notes_count; i++) {
                const struct audit_note *note = &picture->notes[i];

                if (!note->fits || strcmp(note->pf, pf->name) != 0)
                        continue;
                for (size_t j = 0; j < note->entries_count; j++)
                        if (vswitch_mac_equal(&note->entries[j].mac, mac) && note->entries[j].port != 0 &&
                            !exists(picture, note->entries[j].port))
                                return true;
        }
        return false;
}

static void judge_filter(struct audit_court *court, const struct audit_pf *pf, const struct vswitch_mac *mac)
{
        const struct audit_picture *picture = court->picture;
        bool noted = was_behind_a_port(picture, pf, mac);
        char subject[64], text[VSWITCH_MAC_TEXT_SIZE];
        struct audit_finding *finding;
        struct audit_repair *repair;

        if ((!noted && !was_ours(picture, mac)) || may_be_lost_ones(picture, mac) ||
            judge_find_mac(picture, NULL, mac, NULL) || judge_mac_is_moving(picture, mac))
                return;
        finding = judge_find(court, AUDIT_FILTER_OF_NOBODY, mac_at(pf->name, mac, 0, subject),
                             noted ? "vswitch put it into the uplink filters for a device that is gone"
                                   : "vswitch put it into the uplink filters for a guest that is gone");
        judge_remedy(finding, "bridge fdb del %s dev %s self", vswitch_mac_format(mac, text), pf->name);
        repair = judge_offer(court, finding, noted ? AUDIT_REPAIR_NOTED_FILTER : AUDIT_REPAIR_FILTER, NULL);
        repair->mac = *mac;
        snprintf(repair->pf, sizeof(repair->pf), "%s", pf->name);
}

void judge_tables(struct audit_court *court)
{
        const struct audit_picture *picture = court->picture;

        if (!picture->guests_known)
                return;
        for (size_t i = 0; i < picture->pins_count; i++)
                judge_pin(court, &picture->pins[i]);
        for (size_t i = 0; i < picture->ports_count; i++) {
                for (size_t j = 0; j < picture->ports[i].copies_count; j++)
                        judge_copy(court, &picture->ports[i], &picture->ports[i].copies[j]);
                judge_guard(court, &picture->ports[i]);
                judge_router(court, &picture->ports[i]);
        }
        for (size_t i = 0; i < picture->pfs_count; i++)
                for (size_t j = 0; j < picture->pfs[i].filters_count; j++)
                        judge_filter(court, &picture->pfs[i], &picture->pfs[i].filters[j]);
}
