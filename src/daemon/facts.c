/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * The facts of one NIC, read from where they really are. What the kernel holds (tables, VF attributes, vectors) is
 * read again when a notification said that it may have changed, never because time went by: an idle daemon reads the
 * vectors of VFs in use once a second and nothing else.
 *
 * Vectors: a guest's driver that enables MSI-X makes QEMU ask the kernel for one interrupt at probe time already, so
 * one vector proves nothing yet; the others follow when the netdev is opened, after its receive ring was started. From
 * two on the VF receives. They all vanish when the driver lets the device go, not when it masks them; so one vector
 * keeps what was believed before.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames that a guest may send through its standby although it uses the VF (its network scripts, IPv6 on the slave)
 * within the second half of the confirmation window. */
#define TAP_FRAMES_TOLERATED 5

static enum failover_known known(bool value)
{
        return value ? FAILOVER_YES : FAILOVER_NO;
}

/* ---- tables ---- */

bool facts_filter_belongs(const struct manager_nic *nic, const struct pf *pf)
{
        return !nic->claim || pf == nic->nic_switch->pf || pf != opened_pfs_of_claim(nic);
}

static enum failover_pin read_pin(struct manager_nic *nic)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        struct vswitch_error error = { 0 };
        struct softswitch_pin pin;
        int r = softswitch->driver->read_pin(softswitch, &nic->mac, nic->bridge_vlan, &pin, &error);

        if (r < 0) {
                log_warning(nic->label, "cannot read its pin: %s", vswitch_error_text(&error, r));
                return FAILOVER_PIN_UNKNOWN;
        }
        if (pin.ifindex == 0 || !pin.sticky)
                return FAILOVER_PIN_NONE;
        if (pin.ifindex == nic->tap_ifindex)
                return FAILOVER_PIN_TAP;
        if (pin.ifindex == nic->nic_switch->uplink.ifindex)
                return FAILOVER_PIN_UPLINK;
        return FAILOVER_PIN_NONE;
}

/* What is partly there counts as the opposite of what is wanted, so that it is completed or removed. What is wanted is
 * known after the decision; until then it is what was wanted before. */
static enum failover_known partly(bool *ret_partly, bool wanted)
{
        *ret_partly = true;
        return known(!wanted);
}

bool facts_settle_partly(struct manager_nic *nic)
{
        struct failover_facts *facts = &nic->facts;
        const struct failover_tables *wanted = &nic->decision.tables;
        bool changed = false;

        /* It was undone, and a crash kept that from the record. */
        if (nic->made_router && facts->multicast_router == FAILOVER_NO &&
            nic->decision.situation == FAILOVER_SITUATION_SYNTHETIC) {
                nic->made_router = false;
                nic->recorded = false;
        }
        if (nic->uplink_filter_partly && facts->uplink_filter == known(wanted->uplink_filter)) {
                facts->uplink_filter = known(!wanted->uplink_filter);
                changed = true;
        }
        if (nic->copy_rule_partly && facts->copy_rule == known(wanted->copy_rule)) {
                facts->copy_rule = known(!wanted->copy_rule);
                changed = true;
        }
        return changed;
}

static enum failover_known read_copy_rule(struct manager_nic *nic)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        struct vswitch_error error = { 0 };
        int tap_ifindex = 0;
        int r = softswitch->driver->copy_read(softswitch, &nic->mac, nic->port_vlan, nic->nic_switch->uplink.ifindex,
                                              !nic->nic_switch->reflects, &tap_ifindex, &error);

        if (r < 0) {
                log_warning(nic->label, "cannot read its copy rule: %s", vswitch_error_text(&error, r));
                return FAILOVER_UNKNOWN;
        }
        if (tap_ifindex == 0)
                return FAILOVER_NO;
        if (tap_ifindex == nic->tap_ifindex)
                return FAILOVER_YES;
        return partly(&nic->copy_rule_partly, nic->decision.tables.copy_rule);
}

static enum failover_known has_filter(struct manager_nic *nic, struct pf *pf)
{
        struct vswitch_error error = { 0 };
        struct vswitch_mac *filters = NULL;
        size_t count = 0;
        bool found = false;
        int r = pf->driver->uplink_filter_list(pf, &filters, &count, &error);

        if (r < 0) {
                log_warning(nic->label, "cannot read the uplink filters of %s: %s", pf->name,
                            vswitch_error_text(&error, r));
                return FAILOVER_UNKNOWN;
        }
        for (size_t i = 0; i < count && !found; i++)
                found = vswitch_mac_equal(&filters[i], &nic->mac);
        free(filters);
        return known(found);
}

/* On every PF that the filter belongs to, and on no other; see facts_filter_belongs(). */
static enum failover_known read_uplink_filter(struct manager_nic *nic)
{
        struct manager_switch *nic_switch = nic->nic_switch;
        size_t with = 0, without = 0, misplaced = 0;

        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                enum failover_known has = has_filter(nic, nic_switch->pfs[i].pf);
                bool belongs = facts_filter_belongs(nic, nic_switch->pfs[i].pf);

                if (has == FAILOVER_UNKNOWN)
                        return FAILOVER_UNKNOWN;
                with += belongs && has == FAILOVER_YES;
                without += belongs && has == FAILOVER_NO;
                misplaced += !belongs && has == FAILOVER_YES;
        }
        if (misplaced == 0 && (with == 0 || without == 0))
                return known(with > 0);
        return partly(&nic->uplink_filter_partly, nic->decision.tables.uplink_filter);
}

/* What its owner has made of the port, never a router (0) or always one (2), is neither ours to make nor to undo. */
static enum failover_known router_mode(const struct manager_nic *nic, char mode)
{
        if (mode == '2')
                return nic->made_router ? FAILOVER_YES : FAILOVER_UNKNOWN;
        return mode == '1' ? FAILOVER_NO : FAILOVER_UNKNOWN;
}

static enum failover_known read_multicast_router(const struct manager_nic *nic)
{
        char path[128], text[8] = "";
        int file;

        snprintf(path, sizeof(path), "/sys/class/net/%s/brport/multicast_router", nic->tap);
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
                return FAILOVER_UNKNOWN; /* no tap, or a kernel without snooping: nothing to keep */
        ssize_t size = read(file, text, sizeof(text) - 1);
        close(file);
        return size > 0 ? router_mode(nic, text[0]) : FAILOVER_UNKNOWN;
}

static void read_vf_programming(struct manager_nic *nic)
{
        struct failover_facts *facts = &nic->facts;
        struct pf *pf = nic->claim ? opened_pfs_of_claim(nic) : NULL;
        struct pf_vf_attributes present = { 0 }, wanted;
        struct pf_vf vf;
        int r;

        facts->vf_gone = false;
        if (!nic->claim) {
                facts->vf_filter = FAILOVER_NO;
                facts->prepared = FAILOVER_NO;
                return;
        }
        facts->vf_filter = FAILOVER_UNKNOWN;
        facts->prepared = FAILOVER_UNKNOWN;
        if (!pf)
                return;
        r = pf->driver->read_vf(pf, nic->claim->vf_index, &vf, NULL);
        facts->vf_gone = r == -ENODEV || (r == 0 && strcmp(vf.address, nic->claim->vf_address) != 0);
        if (r < 0 || facts->vf_gone || pf->driver->read_attributes(pf, nic->claim->vf_index, &present, NULL) < 0)
                return;
        wanted = policies_vf_attributes(nic, &nic->claim->before);
        facts->vf_filter = known(vswitch_mac_equal(&present.mac, &nic->mac));
        /* What QEMU has is bound, or never will be. */
        facts->prepared =
                known(nic->claim->touched && (strcmp(vf.driver, "vfio-pci") == 0 || facts->attached == FAILOVER_YES) &&
                      vfs_attributes_agree(&present, &wanted) && !policies_pending(nic));
        facts->settable_in_use = policies_settable_in_use(&present, &wanted) && !policies_pending(nic);
}

static void read_tables(struct manager_nic *nic)
{
        struct manager_switch *nic_switch = nic->nic_switch;
        struct failover_facts *facts = &nic->facts;

        nic->tables_stale = false;
        nic->uplink_filter_partly = nic->copy_rule_partly = false;
        facts->pin = nic_switch->softswitch ? read_pin(nic) : FAILOVER_PIN_UNKNOWN;
        facts->copy_rule =
                nic_switch->softswitch && nic_switch->uplink.ifindex ? read_copy_rule(nic) : FAILOVER_UNKNOWN;
        facts->uplink_filter = nic_switch->pfs_count > 0 ? read_uplink_filter(nic) : FAILOVER_UNKNOWN;
        facts->multicast_router = read_multicast_router(nic);
        read_vf_programming(nic);
}

/* ---- vectors and the tap's counter ---- */

bool facts_poll_vectors(struct manager_nic *nic)
{
        struct failover_facts *facts = &nic->facts;
        struct pf *pf = nic->claim ? opened_pfs_of_claim(nic) : NULL;
        enum failover_known vectors = FAILOVER_UNKNOWN;
        unsigned count = 0;
        int r;

        if (!nic->claim || facts->attached == FAILOVER_NO) {
                vectors = FAILOVER_NO;
        } else if (pf) {
                r = pf->driver->vectors(pf, nic->claim->vf_address, &count);
                if (r == 0)
                        vectors = failover_vectors_from_count(count, facts->vectors);
        }
        nic->vectors_count = count;
        if (!failover_vectors_seen(facts, vectors, count == 1, manager_now(nic->manager)))
                return false;
        log_debug(nic->label, "vectors %s (%u)", failover_known_to_string(vectors), count);
        nic->tap_baseline_valid = false;
        return true;
}

/* The guest's own frames should have left the tap by the middle of the window; from then on they are counted. */
void facts_poll_tap(struct manager_nic *nic)
{
        uint64_t half = nic->facts.on_vf_since + nic->policy.confirm_window / 2;
        struct vswitch_link tap;

        if (manager_now(nic->manager) < half || nic->tap_ifindex == 0 ||
            vswitch_link_get_by_index(nic->manager->netlink, nic->tap_ifindex, &tap, NULL) < 0)
                return;
        if (!nic->tap_baseline_valid) {
                nic->tap_baseline = tap.received_packets;
                nic->tap_baseline_valid = true;
        } else if (tap.received_packets > nic->tap_baseline + TAP_FRAMES_TOLERATED) {
                nic->facts.sends_on_tap = true;
        }
}

/* ---- all of them ---- */

static void collect_tap(struct manager_nic *nic)
{
        struct manager_switch *nic_switch = nic->nic_switch;
        struct vswitch_link tap;
        int old = nic->tap_ifindex;

        nic->tap_ifindex = 0;
        nic->facts.tap_present = false;
        if (nic->tap[0] && nic_switch->softswitch &&
            vswitch_link_get_by_name(nic->manager->netlink, nic->tap, &tap, NULL) == 0) {
                nic->tap_ifindex = tap.ifindex;
                nic->facts.tap_present = tap.master == nic_switch->softswitch->driver->ifindex(nic_switch->softswitch);
        }
        if (nic->tap_ifindex != old)
                nic->tables_stale = true;
}

static bool lives_here(const struct manager_nic *nic)
{
        return nic->in_guest && nic->domain->presence.state != FAILOVER_GUEST_ABSENT &&
               nic->domain->presence.state != FAILOVER_GUEST_EXPECTED;
}

/* Of several NICs with one MAC on a switch one owns the tables: the first that lives here, else the first. Without an
 * owner each would undo what the other did, for ever. */
static const struct manager_nic *find_owner_of_mac(const struct manager_nic *nic, bool *ret_shared)
{
        const struct manager_nic *other, *first = NULL, *living = NULL;
        unsigned count = 0;

        TAILQ_FOREACH (other, &nic->manager->nics, entry) {
                if (other->nic_switch != nic->nic_switch || !vswitch_mac_equal(&other->mac, &nic->mac))
                        continue;
                if (!first)
                        first = other;
                if (lives_here(other)) {
                        count++;
                        if (!living)
                                living = other;
                }
        }
        *ret_shared = count > 1;
        return living ? living : first;
}

/* Whether a MAC is shared is news for all who have it. */
static void tell_others_with_mac(const struct manager_nic *nic)
{
        struct manager_nic *other;

        TAILQ_FOREACH (other, &nic->manager->nics, entry)
                if (other != nic && other->nic_switch == nic->nic_switch && vswitch_mac_equal(&other->mac, &nic->mac)) {
                        other->tables_stale = true;
                        manager_nic_dirty(other);
                }
}

static enum failover_reason collect_obstacle(struct manager_nic *nic, bool mac_is_shared)
{
        struct manager_switch *nic_switch = nic->nic_switch;
        const struct manager_pf *active = uplinks_active(nic_switch);

        if (!nic->in_guest && nic->facts.attached == FAILOVER_YES)
                return FAILOVER_REASON_NIC_GONE;
        if (mac_is_shared)
                return FAILOVER_REASON_DUPLICATE_MAC;
        /* It goes back to libvirt before there is another one. */
        if (nic->claim && nic->claim->adopted && nic->facts.attached == FAILOVER_NO)
                return FAILOVER_REASON_MOVING;
        if (nic->obstacle != FAILOVER_REASON_NONE)
                return nic->obstacle;
        if (!nic_switch->config->iov)
                return FAILOVER_REASON_SWITCH_NOT_IOV;
        if (!nic_switch->softswitch)
                return FAILOVER_REASON_SWITCH_UNUSABLE;
        if (nic_switch->obstacle != FAILOVER_REASON_NONE)
                return nic_switch->obstacle;
        if (!active)
                return FAILOVER_REASON_NO_UPLINK;
        if (active->pf->total_vfs == 0)
                return FAILOVER_REASON_NO_SRIOV;
        if (nic->claim && strcmp(nic->claim->pf, active->pf->name) != 0)
                return FAILOVER_REASON_UPLINK_NOT_ACTIVE;
        if (!policies_mtu_fits(nic))
                return FAILOVER_REASON_MTU_MISMATCH;
        if (nic->policy_obstacle != FAILOVER_REASON_NONE)
                return nic->policy_obstacle;
        if (neighbours_count_behind(nic) > 0 &&
            !(nic->port_policy.trust && nic->port_policy.spoof_check == PORT_POLICY_NO))
                return FAILOVER_REASON_SEVERAL_MACS;
        if (nic->verdict == SCARCITY_YIELD)
                return FAILOVER_REASON_PREEMPTED;
        if (!nic->claim && failover_presence_is_fetching(&nic->domain->presence))
                return FAILOVER_REASON_GUEST_ARRIVING;
        if (!nic->claim && manager_now(nic->manager) < nic->memory_short_until)
                return FAILOVER_REASON_MEMORY_OVERCOMMITTED;
        return FAILOVER_REASON_NONE;
}

static enum failover_guest collect_guest(const struct manager_nic *nic)
{
        const struct manager_domain *domain = nic->domain;

        if (nic->in_guest || domain->presence.state == FAILOVER_GUEST_UNKNOWN ||
            domain->presence.state == FAILOVER_GUEST_EXPECTED || domain->presence.state == FAILOVER_GUEST_ABSENT)
                return domain->presence.state;
        if (!domain->guest)
                return FAILOVER_GUEST_UNKNOWN; /* what NICs it has nobody has said yet */
        /* The guest is here, this NIC is not; its VF may be, as long as nobody says that it is not. */
        return nic->claim && nic->facts.attached != FAILOVER_NO ? domain->presence.state : FAILOVER_GUEST_ABSENT;
}

static void collect_domain(struct manager_nic *nic)
{
        const struct manager_domain *domain = nic->domain;
        struct failover_facts *facts = &nic->facts;
        enum failover_guest guest = collect_guest(nic);

        if (guest != facts->guest || domain->presence.outgoing != facts->outgoing)
                facts->guest_since = manager_now(nic->manager);
        /* libvirt may have given back what it had set. */
        nic->tables_stale |= guest != facts->guest && nic->claim && nic->claim->adopted;
        facts->guest = guest;
        facts->outgoing = domain->presence.outgoing;
}

bool facts_find_link_of_pf(const struct manager_nic *nic, struct vswitch_link *ret)
{
        const struct manager_pf *uplink = switches_find_pf(nic->nic_switch, nic->claim->pf);

        if (!uplink)
                return vswitch_link_get_by_name(nic->manager->netlink, nic->claim->pf, ret, NULL) == 0;
        *ret = uplink->link;
        return true;
}

static bool is_dead(const struct manager_nic *nic)
{
        struct vswitch_link link;

        return !facts_find_link_of_pf(nic, &link) || !link.up || !link.carrier;
}

/* The bridge's port, and the PF by which the frames enter: a bond notices that its active member has lost the carrier
 * later than we do. */
static void collect_uplink(struct manager_nic *nic)
{
        struct manager_switch *nic_switch = nic->nic_switch;
        const struct manager_pf *active = uplinks_active(nic_switch);
        struct failover_facts *facts = &nic->facts;

        facts->uplink_present = nic_switch->pfs_count > 0 && nic_switch->uplink.ifindex != 0;
        facts->uplink_up = facts->uplink_present && nic_switch->uplink.up && nic_switch->uplink.carrier &&
                           (!active || (active->link.up && active->link.carrier));
        facts->pf_dead = nic->claim && is_dead(nic);
        facts->steering = nic_switch->steering;
        /* The uplink filter is on other cards than the VF then, and nothing of it can cut the VF off. */
        if (nic->claim && !facts_filter_belongs(nic, opened_pfs_of_claim(nic)))
                facts->steering = FAILOVER_STEERING_BOTH;
}

bool facts_needs_vf(const struct manager_nic *nic)
{
        const struct failover_facts *facts = &nic->facts;
        uint64_t now = manager_now(nic->manager);

        return nic->policy.want_vf && facts->uplink_up && facts->tap_present && facts->claim == FAILOVER_CLAIM_NONE &&
               facts->guest == FAILOVER_GUEST_RUNNING && !facts->outgoing && facts->obstacle == FAILOVER_REASON_NONE &&
               !facts->held && facts->standby != FAILOVER_NO && now >= facts->back_off_until;
}

void facts_collect(struct manager_nic *nic)
{
        struct manager *manager = nic->manager;
        struct manager_domain *domain = nic->domain;
        struct failover_facts *facts = &nic->facts;
        bool mac_is_shared, was_shared;

        collect_domain(nic);
        facts->unplug_asked_by_qemu = domain->presence.unplug_asked_by_qemu;
        if (facts->guest == FAILOVER_GUEST_ABSENT || facts->guest == FAILOVER_GUEST_EXPECTED) {
                facts->attached = FAILOVER_NO;
                facts->standby = FAILOVER_UNKNOWN;
                facts->announce_wanted = false;
                nics_vf_alias(nic->alias, nic->vf_alias); /* the next QEMU has heard of none */
        }

        collect_tap(nic);
        facts->tables_of_another = find_owner_of_mac(nic, &mac_is_shared) != nic;
        facts_poll_vectors(nic);
        policies_collect(nic);
        was_shared = facts->obstacle == FAILOVER_REASON_DUPLICATE_MAC;
        facts->obstacle = collect_obstacle(nic, mac_is_shared);
        if (was_shared != (facts->obstacle == FAILOVER_REASON_DUPLICATE_MAC))
                tell_others_with_mac(nic);
        facts->held = nic->held_until_acquire || nic->hold_connection != 0;
        collect_uplink(nic);

        facts->claim = !nic->claim          ? FAILOVER_CLAIM_NONE
                       : nic->claim->leased ? FAILOVER_CLAIM_LEASED
                                            : FAILOVER_CLAIM_CLAIMED;
        facts->lease_until = nic->claim ? nic->claim->lease_until : 0;
        /* While libvirt is not heard, the guest may have come without our knowing. */
        if (facts->lease_until && !manager->libvirt_listed && facts->lease_until < manager_now(manager) + USEC_PER_SEC)
                facts->lease_until = manager_now(manager) + USEC_PER_SEC;
        facts->touched = nic->claim && nic->claim->touched;
        facts->programmed_by_owner = nic->claim && nic->claim->adopted;
        facts->no_vf = FAILOVER_REASON_NO_FREE_VF;
        if (facts_needs_vf(nic))
                facts->no_vf = arbiter_reason(nic);
        facts->vf_available = facts->no_vf == FAILOVER_REASON_NONE;
        facts_poll_vectors(nic);
        if (nic->tables_stale)
                read_tables(nic);
}
