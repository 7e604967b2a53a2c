/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * What a NIC may do is merged from three places: its element in the guest's <metadata>, libvirt's own elements, the
 * configuration; and kept true in two: at the tap (its VLAN on the bridge, the guard) and on the VF (attributes).
 *
 * VLANs. Which network a guest is in is decided by its tap's port on the bridge, whoever configured it; a policy with a
 * VLAN configures it. From there follow the VLAN of the pin (the port's PVID), the tag on the uplink port, and the tag on
 * the PF, which the VF must have. What was found is *adopted* when nobody is disturbed: the tap is put into its VLAN, and
 * entries under the old VLANs are taken away, since nothing would ever look there again. While the guest drives its VF nothing is adopted: the
 * facts say then that the VF is not programmed as it should be, the core takes it back, and the new VLANs hold from
 * the moment at which the guest has let go of it.
 *
 * Refusals. What a card cannot do is known only when its driver is asked. What it refused for this NIC is remembered and
 * not tried again, until the policy changes or the card's link comes back (some drivers refuse every rate without one).
 * With prefer-vf it is left out of what the VF should look like.
 *
 * A tap that the kernel does not put into its VLAN stays where it is, and so do its entries.
 *
 * Reading. The kernel is asked when a notification said that something about the tap or the uplink port has changed, and
 * again after a while when it failed.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_INTERVAL     (5 * USEC_PER_SEC)
#define RETRY_INTERVAL_MAX (300 * USEC_PER_SEC)

/* libvirt replaces a tap's qdisc with all that hangs on it, and fails when it finds another one in between. */
#define GUARD_LOST_INTERVAL (2 * USEC_PER_SEC)

struct vlans {
        uint16_t bridge, port, wire; /* as in struct manager_nic */
};

/* The kernel did not put the tap into its VLAN. Tried again when the port or the policy is another one, else after a
 * pause that grows: each try writes, and tells everybody who listens for changes of the port. */
struct vlan_refusal {
        unsigned count; /* in a row; 0: none */
        uint16_t vlan;
        int port;
        struct softswitch_port_vlans tap; /* as it was left */
        uint64_t retry_at;
        char told[256]; /* each cause once */
};

struct policy_state {
        /* From the guest's XML. */
        bool known; /* the guest was heard */
        bool broken, link_down, filtered, isolated, vlan_trunk, limits_inbound;
        uint32_t guard_rate; /* libvirt's own limit is not in it: libvirt sets it on the tap by itself */
        char mistake[sizeof(((struct guest_nic *) NULL)->policy_error)];

        /* As last read. */
        bool looked;
        int tap_ifindex, uplink_ifindex;
        uint16_t beneath; /* the tag that a VLAN device beneath the uplink port puts on */
        uint32_t tap_mtu, bridge_mtu;
        bool foreign_filters;
        bool vlan_failed; /* the tap could not be put into its VLAN */
        struct vlan_refusal refusal;
        bool filters;      /* the bridge filters VLANs */
        uint16_t tap_pvid; /* what the tap's untagged frames are put into */
        uint16_t protocol; /* of the bridge's VLANs */
        enum failover_reason vlan_obstacle;
        const char *not_on_vf; /* why the VLANs cannot be a VF's, or NULL */
        struct vlans found;
        bool tap_waits; /* the tap is to be put into found.bridge when that is adopted */
        bool was_pending;
        bool adopted;          /* something was, since the daemon knows the NIC */
        uint64_t uplink_vlans; /* a fingerprint of what the last notification about the uplink port said */
        int guarded;           /* ifindex of the tap that has our guard; 0: none */
        uint64_t guard_at;     /* not set again before this time */
        bool failing;          /* said so already */

        uint32_t refused; /* attributes, by the driver of the PF `refused_by` */
        char refused_by[IF_NAMESIZE];
        bool had_link;
        const char *told; /* what keeps it from a VF, as last logged */
};

static struct policy_state *state_of(struct manager_nic *nic)
{
        if (!nic->policy_state)
                nic->policy_state = calloc(1, sizeof(*nic->policy_state));
        return nic->policy_state;
}

/* ---- what the policy is ---- */

static bool same_policy(const struct port_policy *a, const struct port_policy *b)
{
        return a->weight == b->weight && a->vlan == b->vlan && a->qos == b->qos &&
               a->vlan_protocol == b->vlan_protocol && a->spoof_check == b->spoof_check && a->trust == b->trust &&
               a->min_rate == b->min_rate && a->max_rate == b->max_rate && a->prefer_vf == b->prefer_vf;
}

/* The tap has both limits when both are given, so the guest has the lower one. */
static uint32_t lower_rate(uint32_t a, uint32_t b)
{
        if (a == 0 || b == 0)
                return a + b;
        return a < b ? a : b;
}

/* Metadata wins over libvirt's elements, and these over the configuration. */
static struct port_policy merge(const struct port_policy *defaults, const struct guest_nic *guest_nic,
                                uint32_t *ret_guard_rate)
{
        const struct port_policy *own = &guest_nic->policy;
        uint32_t given = guest_nic->policy_given;
        struct port_policy policy = *defaults;

        if (given & GUEST_POLICY_VLAN) {
                policy.vlan = own->vlan;
                policy.qos = own->qos;
                policy.vlan_protocol = own->vlan_protocol;
        } else if (guest_nic->vlan > 0) {
                policy.vlan = guest_nic->vlan;
        }
        if (given & GUEST_POLICY_WEIGHT)
                policy.weight = own->weight;
        if (given & GUEST_POLICY_SPOOF_CHECK)
                policy.spoof_check = own->spoof_check;
        if (given & GUEST_POLICY_TRUST)
                policy.trust = own->trust;
        if (given & GUEST_POLICY_PREFER_VF)
                policy.prefer_vf = own->prefer_vf;
        if (given & GUEST_POLICY_MIN_RATE)
                policy.min_rate = own->min_rate;
        if (given & GUEST_POLICY_MAX_RATE)
                policy.max_rate = own->max_rate;
        else if (guest_nic->outbound_rate > 0)
                policy.max_rate = 0;
        *ret_guard_rate = policy.max_rate;
        policy.max_rate = lower_rate(policy.max_rate, guest_nic->outbound_rate);
        return policy;
}

static void set_mistake(struct manager_nic *nic, struct policy_state *state, const char *mistake)
{
        if (strcmp(state->mistake, mistake) == 0)
                return;
        snprintf(state->mistake, sizeof(state->mistake), "%s", mistake);
        if (mistake[0])
                log_warning(nic->label,
                            "its policy in the guest's XML cannot be used, so that of switch \"%s\" holds: %s",
                            nic->nic_switch->config->name, mistake);
        else
                log_info(nic->label, "its policy in the guest's XML can be used");
}

void policies_apply_guest(struct manager_nic *nic, const struct guest_nic *guest_nic)
{
        const struct port_policy *defaults = &nic->nic_switch->config->policy;
        struct policy_state *state = state_of(nic);
        char mistake[sizeof(state->mistake)];
        uint32_t guard_rate = 0;
        bool changed;

        if (!state)
                return;
        struct port_policy policy = merge(defaults, guest_nic, &guard_rate);

        snprintf(mistake, sizeof(mistake), "%s", guest_nic->policy_error);
        if (!mistake[0] && policy.max_rate > 0 && policy.min_rate > policy.max_rate) {
                snprintf(mistake, sizeof(mistake), "min-rate %u is more than its limit of %u Mbit/s", policy.min_rate,
                         policy.max_rate);
                policy.min_rate = 0;
        }
        set_mistake(nic, state, mistake);
        changed = !same_policy(&policy, &nic->port_policy);
        if (!state->known || changed || guard_rate != state->guard_rate || state->broken != (mistake[0] != '\0')) {
                state->refused = 0;
                nic->tap_stale = true;
                nic->tables_stale = true;
        }
        state->known = true;
        state->broken = mistake[0] != '\0';
        state->link_down = guest_nic->link_down;
        state->filtered = guest_nic->filtered;
        state->isolated = guest_nic->isolated;
        state->vlan_trunk = guest_nic->vlan_trunk;
        state->limits_inbound = guest_nic->limits_inbound;
        state->guard_rate = guard_rate;
        nic->port_policy = policy;
        nic->policy.want_vf = policy.weight > 0;
        if (changed && nic->manager->control)
                control_nic_changed(nic->manager->control, nic->domain->uuid, nic->alias);
}

/* ---- what the card can do ---- */

/* The PF of its VF, or the one whose VFs it could get. */
static struct manager_pf *pf_of(const struct manager_nic *nic)
{
        struct manager_switch *nic_switch = nic->nic_switch;

        if (nic->claim)
                return switches_find_pf(nic_switch, nic->claim->pf);
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (nic_switch->pfs[i].pf == nic_switch->pf)
                        return &nic_switch->pfs[i];
        return NULL;
}

/* The attributes that cannot be set for this NIC on this PF. */
static uint32_t cannot_set(const struct manager_nic *nic, const struct pf *pf)
{
        const struct policy_state *state = nic->policy_state;

        if (!pf)
                return 0;
        return pf->cannot_set | (state && strcmp(state->refused_by, pf->name) == 0 ? state->refused : 0);
}

/* The attributes that the policy asks for by name: a card that cannot set them breaks it. */
static uint32_t demanded(const struct manager_nic *nic, const struct vlans *vlans)
{
        const struct port_policy *policy = &nic->port_policy;

        return (vlans->wire > 0 ? (uint32_t) PF_VF_VLAN : 0) |
               (policy->spoof_check != PORT_POLICY_AUTO ? (uint32_t) PF_VF_SPOOF_CHECK : 0) |
               (policy->trust ? (uint32_t) PF_VF_TRUST : 0) |
               (policy->min_rate > 0 || policy->max_rate > 0 ? (uint32_t) PF_VF_RATE : 0);
}

static struct pf_vf_attributes attributes_of(const struct manager_nic *nic, const struct pf_vf_attributes *before)
{
        const struct port_policy *policy = &nic->port_policy;
        struct pf_vf_attributes wanted = vfs_neutral_attributes(before);

        if (nic->wire_vlan > 0) {
                wanted.vlan = nic->wire_vlan;
                wanted.qos = policy->vlan > 0 ? policy->qos : 0;
                wanted.vlan_protocol =
                        nic->policy_state && nic->policy_state->protocol ? nic->policy_state->protocol : ETH_P_8021Q;
        }
        wanted.spoof_check = policy->spoof_check != PORT_POLICY_NO;
        wanted.trust = policy->trust;
        wanted.min_rate = policy->min_rate;
        wanted.max_rate = policy->max_rate;
        return wanted;
}

struct pf_vf_attributes policies_vf_attributes(const struct manager_nic *nic, const struct pf_vf_attributes *before)
{
        const struct manager_pf *uplink = pf_of(nic);
        struct pf_vf_attributes wanted = attributes_of(nic, before);

        wanted.valid &= ~cannot_set(nic, uplink ? uplink->pf : NULL);
        return wanted;
}

bool policies_settable_in_use(const struct pf_vf_attributes *present, const struct pf_vf_attributes *wanted)
{
        struct pf_vf_attributes others = *wanted;

        others.valid &= ~(uint32_t) (PF_VF_RATE | PF_VF_LINK_STATE);
        return vfs_attributes_agree(present, &others);
}

/* One at a time, since which of several was refused only the sentence tells. */
bool policies_refused(struct manager_nic *nic, struct pf *pf, const struct pf_vf_attributes *wanted, int result)
{
        struct policy_state *state = state_of(nic);
        uint32_t refused = 0;

        if (!state || result == -EAGAIN || result == -EBUSY || result == -ENODEV || result == -ENODATA ||
            result == -ENOMEM || result == -ENOBUFS || result == -ETIMEDOUT)
                return false;
        for (uint32_t bit = 1; bit <= PF_VF_QUERY_RSS; bit <<= 1) {
                struct pf_vf_attributes one = *wanted;
                struct vswitch_error error = { 0 };
                int r;

                one.valid &= bit;
                r = one.valid ? pf->driver->set_attributes(pf, nic->claim->vf_index, &one, &error) : 0;
                if (r == 0)
                        continue;
                refused |= bit;
                log_warning(nic->label, "the card does not do what the NIC's policy asks: %s",
                            vswitch_error_text(&error, r));
        }
        if (strcmp(state->refused_by, pf->name) != 0)
                state->refused = 0;
        snprintf(state->refused_by, sizeof(state->refused_by), "%s", pf->name);
        state->refused |= refused;
        nic->tables_stale = true;
        return refused != 0;
}

/* ---- VLANs ---- */

static bool is_access_port(const struct softswitch_port_vlans *vlans, uint16_t vlan)
{
        return vlans->pvid == vlan && vlans->count == 1 && softswitch_vlan_test(vlans->member, vlan) &&
               softswitch_vlan_test(vlans->untagged, vlan);
}

static uint16_t read_protocol(const char *bridge)
{
        char path[128], text[16] = "";
        unsigned long protocol = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/sys/class/net/%s/bridge/vlan_protocol", bridge);
        file = fopen(path, "re");
        if (file) {
                if (fgets(text, sizeof(text), file))
                        protocol = strtoul(text, NULL, 0);
                fclose(file);
        }
        return protocol > 0 && protocol <= UINT16_MAX ? (uint16_t) protocol : ETH_P_8021Q;
}

/* From the tap's port to the tag on the PF. `tap` is how the port is, or will be. */
static void find_vlans(struct manager_nic *nic, struct policy_state *state, const struct softswitch_port_vlans *tap,
                       const struct softswitch_port_vlans *uplink)
{
        const struct port_policy *policy = &nic->port_policy;
        uint16_t vlan = tap->pvid;

        state->vlan_obstacle = FAILOVER_REASON_NONE;
        state->not_on_vf = NULL;
        state->found = (struct vlans){ .wire = state->beneath };
        state->protocol = read_protocol(nic->nic_switch->config->bridge);
        if (!tap->filters) {
                if (policy->vlan > 0)
                        state->vlan_obstacle = FAILOVER_REASON_VLAN_NOT_FILTERED;
                return;
        }
        state->found.bridge = vlan;
        if (!nic->nic_switch->uplink.ifindex) {
                state->found = (struct vlans){ .bridge = vlan, .port = nic->port_vlan, .wire = nic->wire_vlan };
                return;
        }
        if (tap->count > 1 || (tap->count == 1 && !is_access_port(tap, vlan))) {
                state->vlan_obstacle = FAILOVER_REASON_VLAN_TRUNK;
                return;
        }
        if (vlan == 0 || !softswitch_vlan_test(uplink->member, vlan)) {
                state->vlan_obstacle = FAILOVER_REASON_VLAN_NOT_ON_UPLINK;
                return;
        }
        if (!softswitch_vlan_test(uplink->untagged, vlan)) {
                state->found.port = vlan;
                if (state->beneath > 0)
                        state->not_on_vf = "its frames have two VLAN tags on the card, and a VF has one";
                else if (policy->vlan > 0 && policy->vlan_protocol != state->protocol)
                        state->not_on_vf = "its vlan-protocol is not that of the bridge";
                state->found.wire = vlan;
        } else if (uplink->pvid != vlan) {
                /* It goes out without a tag, and what comes in without one goes to another VLAN. */
                state->vlan_obstacle = FAILOVER_REASON_VLAN_NOT_ON_UPLINK;
        }
}

/* The port as set_access_vlan() makes it. */
static void make_access(struct softswitch_port_vlans *vlans, uint16_t vlan)
{
        *vlans = (struct softswitch_port_vlans){ .filters = true, .pvid = vlan, .count = 1 };
        vlans->member[vlan / 64] = vlans->untagged[vlan / 64] = UINT64_C(1) << (vlan % 64);
}

static bool same_port_vlans(const struct softswitch_port_vlans *a, const struct softswitch_port_vlans *b)
{
        return a->filters == b->filters && a->pvid == b->pvid && a->count == b->count &&
               memcmp(a->member, b->member, sizeof(a->member)) == 0 &&
               memcmp(a->untagged, b->untagged, sizeof(a->untagged)) == 0;
}

/* Is there nothing to be expected yet of trying again to put this tap into this VLAN? */
static bool is_refused(const struct manager_nic *nic, const struct vlan_refusal *refusal, uint16_t vlan, int port,
                       const struct softswitch_port_vlans *tap)
{
        return refusal->count > 0 && refusal->vlan == vlan && refusal->port == port &&
               same_port_vlans(&refusal->tap, tap) && manager_now(nic->manager) < refusal->retry_at;
}

/* The tap of an announced guest is not made yet. What has its name here now is somebody else's. */
static int own_tap(const struct manager_nic *nic)
{
        return nic->domain->presence.state == FAILOVER_GUEST_EXPECTED ? 0 : nic->tap_ifindex;
}

static void look_again_at(struct manager_nic *nic, uint64_t when)
{
        if (nic->tap_retry_at == 0 || when < nic->tap_retry_at)
                nic->tap_retry_at = when;
}

static int look_at_vlans(struct manager_nic *nic, struct policy_state *state, struct vswitch_error *error)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        struct softswitch_port_vlans tap = { 0 }, uplink = { 0 };
        uint16_t wanted = nic->port_policy.vlan;
        int r = 0, port = own_tap(nic);

        if (nic->nic_switch->uplink.ifindex)
                r = softswitch->driver->read_port_vlans(softswitch, nic->nic_switch->uplink.ifindex, &uplink, error);
        if (r == 0 && port)
                r = softswitch->driver->read_port_vlans(softswitch, port, &tap, error);
        else if (r == 0 && uplink.filters)
                make_access(&tap, uplink.pvid > 0 ? uplink.pvid : 1); /* as the bridge is likely to make it */
        if (r < 0)
                return r;
        state->tap_waits = false;
        state->vlan_failed = false;
        state->filters = tap.filters;
        state->tap_pvid = tap.pvid;
        if (tap.filters && wanted > 0 && !state->vlan_trunk && !is_access_port(&tap, wanted)) {
                state->vlan_failed = is_refused(nic, &state->refusal, wanted, port, &tap);
                state->tap_waits = port != 0 && !state->vlan_failed;
                if (state->vlan_failed)
                        look_again_at(nic, state->refusal.retry_at);
                make_access(&tap, wanted);
        } else if (port) {
                state->refusal = (struct vlan_refusal){ 0 };
        }
        find_vlans(nic, state, &tap, &uplink);
        return 0;
}

/* Nobody would be disturbed by a VLAN that changes now. A guest that does not let go of its VF does not keep it off.
 * Without a record of other VLANs, none were left. */
static bool may_adopt(const struct manager_nic *nic, const struct policy_state *state)
{
        const struct failover_facts *facts = &nic->facts;

        if (!nic->claim || manager_now(nic->manager) < facts->unplug_refused_until)
                return true;
        if (!state->adopted && !nic->recorded)
                return true;
        return facts->vectors == FAILOVER_NO && facts->call != FAILOVER_CALL_ATTACH;
}

/* Entries of ours under the VLANs that held until now; what is on the uplink belongs to the owner of the MAC. */
static void remove_old_entries(struct manager_nic *nic)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        int uplink = nic->facts.tables_of_another ? 0 : nic->nic_switch->uplink.ifindex;
        struct vswitch_error error = { 0 };
        int r = 0;

        if (own_tap(nic))
                r = softswitch->driver->unpin(softswitch, &nic->mac, nic->bridge_vlan, own_tap(nic), &error);
        if (r == 0 && uplink)
                r = softswitch->driver->unpin(softswitch, &nic->mac, nic->bridge_vlan, uplink, &error);
        if (r == 0 && uplink)
                r = softswitch->driver->copy_remove(softswitch, &nic->mac, nic->port_vlan, uplink, &error);
        if (r < 0)
                log_warning(nic->label, "cannot remove its entries under VLAN %u: %s", nic->bridge_vlan,
                            vswitch_error_text(&error, r));
}

/* Those under which there are entries. What the VF should be told follows at once: programming it is the core's. */
static bool same_vlans(const struct manager_nic *nic, const struct vlans *vlans)
{
        return nic->bridge_vlan == vlans->bridge && nic->port_vlan == vlans->port;
}

static void fail(struct manager_nic *nic, struct policy_state *state, const char *what,
                 const struct vswitch_error *error, int result)
{
        nic->tap_retry_at = manager_now(nic->manager) + RETRY_INTERVAL;
        if (!state->failing)
                log_warning(nic->label, "%s: %s", what, vswitch_error_text(error, result));
        state->failing = true;
}

/* What was found is not adopted yet. */
static bool is_pending(const struct manager_nic *nic, const struct policy_state *state)
{
        return state->looked && !state->vlan_failed && (!same_vlans(nic, &state->found) || state->tap_waits);
}

/* It stays in the VLAN in which it is, with its entries. */
static void keep_vlan(struct manager_nic *nic, struct policy_state *state, bool has_entries,
                      const struct vswitch_error *error, int result)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        struct vlan_refusal *refusal = &state->refusal;
        const char *text = vswitch_error_text(error, result);
        uint64_t pause = RETRY_INTERVAL;

        if (refusal->vlan != state->found.bridge || refusal->port != nic->tap_ifindex)
                *refusal = (struct vlan_refusal){ .vlan = state->found.bridge, .port = nic->tap_ifindex };
        for (unsigned i = 0; i < refusal->count && pause < RETRY_INTERVAL_MAX; i++)
                pause *= 2;
        refusal->count++;
        refusal->retry_at = manager_now(nic->manager) + pause;
        look_again_at(nic, refusal->retry_at);
        if (softswitch->driver->read_port_vlans(softswitch, nic->tap_ifindex, &refusal->tap, NULL) == 0)
                state->tap_pvid = refusal->tap.pvid;
        if (strncmp(refusal->told, text, sizeof(refusal->told) - 1) != 0)
                log_warning(nic->label, "cannot put its tap into its VLAN: %s; tried again from time to time", text);
        snprintf(refusal->told, sizeof(refusal->told), "%s", text);
        if (has_entries && nic->bridge_vlan != state->tap_pvid)
                remove_old_entries(nic);
        if (nic->bridge_vlan != state->tap_pvid)
                nic->tables_stale = true;
        nic->bridge_vlan = state->tap_pvid;
}

static void adopt(struct manager_nic *nic, struct policy_state *state)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        const struct vlans found = state->found;
        const struct failover_facts *facts = &nic->facts;
        bool has_entries = nic->recorded || facts->pin == FAILOVER_PIN_TAP || facts->pin == FAILOVER_PIN_UPLINK ||
                           facts->copy_rule == FAILOVER_YES;
        struct vswitch_error error = { 0 };

        if (state->tap_waits) {
                int r = softswitch->driver->set_access_vlan(softswitch, nic->tap_ifindex, found.bridge, &error);

                state->tap_waits = false;
                state->vlan_failed = r < 0;
                if (r < 0) {
                        keep_vlan(nic, state, has_entries, &error, r);
                        return;
                }
                state->refusal = (struct vlan_refusal){ 0 };
                log_info(nic->label, "its tap %s is in VLAN %u now", nic->tap, found.bridge);
        }
        if (has_entries && (nic->bridge_vlan != found.bridge || nic->port_vlan != found.port))
                remove_old_entries(nic);
        nic->bridge_vlan = found.bridge;
        nic->port_vlan = found.port;
        state->adopted = true;
        nic->recorded = false; /* the record names the VLANs */
        nic->tables_stale = true;
}

/* ---- the guard ---- */

static struct softswitch_guard wanted_guard(const struct manager_nic *nic, const struct policy_state *state,
                                            const struct softswitch_guard *present)
{
        struct softswitch_guard guard = {
                .check_source = nic->port_policy.spoof_check == PORT_POLICY_YES,
                .max_rate = state->guard_rate,
        };

        /* A slip of the pen opens nothing that was closed. */
        if (state->broken) {
                guard.check_source |= present->check_source;
                guard.max_rate = lower_rate(guard.max_rate, present->max_rate);
        }
        if (guard.check_source)
                guard.mac = nic->mac;
        return guard;
}

static bool same_guard(const struct softswitch_guard *a, const struct softswitch_guard *b)
{
        return a->check_source == b->check_source && a->max_rate == b->max_rate &&
               (!a->check_source || vswitch_mac_equal(&a->mac, &b->mac));
}

static bool is_guarded(const struct softswitch_guard *guard)
{
        return guard->check_source || guard->max_rate > 0;
}

static int look_at_guard(struct manager_nic *nic, struct policy_state *state, struct vswitch_error *error)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        uint64_t now = manager_now(nic->manager);
        struct softswitch_guard present = { 0 }, wanted;
        int r = softswitch->driver->guard_read(softswitch, nic->tap_ifindex, &present, &state->foreign_filters, error);

        if (r < 0)
                return r;
        wanted = wanted_guard(nic, state, &present);
        if (same_guard(&present, &wanted)) {
                state->guarded = is_guarded(&present) ? nic->tap_ifindex : 0;
                state->guard_at = 0;
                return 0;
        }
        /* Ours is gone: somebody replaces the qdisc that it hung on, and is not to find another one. */
        if (state->guarded == nic->tap_ifindex && !is_guarded(&present)) {
                if (state->guard_at == 0)
                        state->guard_at = now + GUARD_LOST_INTERVAL;
                if (now < state->guard_at) {
                        look_again_at(nic, state->guard_at);
                        return 0;
                }
        }
        r = softswitch->driver->guard_set(softswitch, nic->tap_ifindex, &wanted, error);
        if (r < 0)
                return r;
        state->guard_at = 0;
        state->guarded = is_guarded(&wanted) ? nic->tap_ifindex : 0;
        return 0;
}

/* ---- looking ---- */

static uint32_t read_mtu(struct manager_nic *nic, int ifindex)
{
        struct vswitch_link link;

        return ifindex && vswitch_link_get_by_index(nic->manager->netlink, ifindex, &link, NULL) == 0 ? link.mtu : 0;
}

static uint16_t find_beneath(const struct manager_nic *nic)
{
        const struct manager_pf *pf = pf_of(nic);

        return pf ? pf->wire_vlan : 0;
}

static void look(struct manager_nic *nic, struct policy_state *state)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        struct vswitch_error error = { 0 };
        int r;

        nic->tap_stale = false;
        nic->tap_retry_at = 0;
        state->tap_ifindex = own_tap(nic);
        state->uplink_ifindex = nic->nic_switch->uplink.ifindex;
        state->beneath = find_beneath(nic);
        state->tap_mtu = read_mtu(nic, own_tap(nic));
        state->bridge_mtu = read_mtu(nic, softswitch->driver->ifindex(softswitch));
        r = look_at_vlans(nic, state, &error);
        if (r < 0) {
                fail(nic, state, "cannot find out its VLAN", &error, r);
                return;
        }
        state->looked = true;
        if (own_tap(nic)) {
                r = look_at_guard(nic, state, &error);
                if (r < 0) {
                        fail(nic, state, "cannot guard its tap", &error, r);
                        return;
                }
        }
        state->failing = false;
}

/* The guest was heard, and its tap is a port of the switch or will be. */
static bool can_look(const struct manager_nic *nic, const struct policy_state *state)
{
        if (!state->known || !nic->in_guest || !nic->nic_switch->softswitch)
                return false;
        return nic->facts.tap_present || nic->domain->presence.state == FAILOVER_GUEST_EXPECTED;
}

/* ---- what keeps it from a VF ---- */

/* Why this card cannot hold a VF to the policy; NULL when it can. `*ret_hard`: not even when a VF is preferred. */
static const char *find_unenforceable(const struct manager_nic *nic, const struct policy_state *state, bool *ret_hard)
{
        static const struct {
                enum pf_vf_attribute attribute;
                const char *sentence;
        } sentences[] = {
                { PF_VF_VLAN, "the card does not put the VF into its VLAN" },
                { PF_VF_SPOOF_CHECK, "the card does not set the VF's spoof check" },
                { PF_VF_TRUST, "the card does not set the VF's trust" },
                { PF_VF_RATE, "the card does not limit the VF's rate" },
        };
        const struct manager_pf *pf = pf_of(nic);
        uint32_t missing = demanded(nic, &state->found) & cannot_set(nic, pf ? pf->pf : NULL);

        *ret_hard = true;
        if (state->not_on_vf)
                return state->not_on_vf;
        for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
                *ret_hard = sentences[i].attribute == PF_VF_VLAN;
                if (missing & sentences[i].attribute)
                        return sentences[i].sentence;
        }
        return state->limits_inbound ? "no card limits what a VF receives (<bandwidth><inbound>)" : NULL;
}

static enum failover_reason find_obstacle(struct manager_nic *nic, struct policy_state *state)
{
        bool hard = false;
        const char *unenforceable;

        if (state->broken)
                return FAILOVER_REASON_BAD_POLICY;
        if (state->link_down)
                return FAILOVER_REASON_LINK_DOWN;
        if (state->vlan_failed)
                return FAILOVER_REASON_TABLES_FAILED;
        if (state->vlan_obstacle == FAILOVER_REASON_VLAN_NOT_FILTERED)
                return state->vlan_obstacle;
        if (state->vlan_trunk)
                return FAILOVER_REASON_VLAN_TRUNK;
        if (state->vlan_obstacle != FAILOVER_REASON_NONE)
                return state->vlan_obstacle;
        unenforceable = find_unenforceable(nic, state, &hard);
        if (unenforceable && unenforceable != state->told)
                log_notice(nic->label, "%s", unenforceable);
        state->told = unenforceable;
        if (nic->port_policy.prefer_vf)
                return unenforceable && hard ? FAILOVER_REASON_POLICY_NOT_ON_VF : FAILOVER_REASON_NONE;
        if (state->filtered)
                return FAILOVER_REASON_NETWORK_FILTER;
        if (state->isolated)
                return FAILOVER_REASON_PORT_ISOLATED;
        if (state->foreign_filters)
                return FAILOVER_REASON_TAP_FILTERS;
        return unenforceable ? FAILOVER_REASON_POLICY_NOT_ON_VF : FAILOVER_REASON_NONE;
}

/* What a VF's own settings do not even have cannot be set either. A driver that refused for want of a link may not the
 * next time. */
static void update_refusals(struct manager_nic *nic, struct policy_state *state)
{
        const struct manager_pf *uplink = pf_of(nic);
        bool has_link = uplink && uplink->link.carrier;

        if (has_link && !state->had_link)
                state->refused = 0;
        state->had_link = has_link;
        if (!nic->claim || !uplink)
                return;
        if (strcmp(state->refused_by, uplink->pf->name) != 0)
                state->refused = 0;
        snprintf(state->refused_by, sizeof(state->refused_by), "%s", uplink->pf->name);
        state->refused |= demanded(nic, &state->found) & ~nic->claim->before.valid;
}

void policies_collect(struct manager_nic *nic)
{
        struct policy_state *state = state_of(nic);

        bool pending;

        nic->policy_obstacle = FAILOVER_REASON_NONE;
        if (!state)
                return;
        if (state->tap_ifindex != own_tap(nic) || !state->looked ||
            state->uplink_ifindex != nic->nic_switch->uplink.ifindex || state->beneath != find_beneath(nic) ||
            (nic->tap_retry_at && manager_now(nic->manager) >= nic->tap_retry_at))
                nic->tap_stale = true;
        /* What cannot be looked at now is looked at when it can be, and not waited for by the clock. */
        if (nic->tap_stale && !can_look(nic, state))
                nic->tap_retry_at = 0;
        else if (nic->tap_stale)
                look(nic, state);
        if (is_pending(nic, state) && can_look(nic, state) && may_adopt(nic, state))
                adopt(nic, state);
        pending = is_pending(nic, state);
        if (state->looked && !pending && nic->wire_vlan != state->found.wire) {
                nic->wire_vlan = state->found.wire;
                nic->tables_stale = true;
        }
        nic->tables_stale |= pending != state->was_pending;
        state->was_pending = pending;
        /* A port that drops untagged frames is in no VLAN in which the NIC could be pinned. */
        if (state->looked && state->filters && state->tap_pvid == 0)
                nic->facts.tap_present = false;
        if (!state->known)
                return;
        update_refusals(nic, state);
        nic->policy_obstacle = find_obstacle(nic, state);
}

bool policies_pending(const struct manager_nic *nic)
{
        return nic->policy_state && is_pending(nic, nic->policy_state);
}

const char *policies_detail(const struct manager_nic *nic, enum failover_reason reason)
{
        const struct policy_state *state = nic->policy_state;

        if (state && reason == FAILOVER_REASON_BAD_POLICY)
                return state->mistake;
        return state && reason == FAILOVER_REASON_POLICY_NOT_ON_VF && state->told ? state->told : "";
}

bool policies_mtu_fits(const struct manager_nic *nic)
{
        const struct policy_state *state = nic->policy_state;
        const struct manager_pf *uplink = pf_of(nic);
        uint32_t mtu = nic->mtu ? nic->mtu : state ? state->tap_mtu : 0;

        return mtu <= nic->nic_switch->uplink.mtu && (!uplink || mtu <= uplink->link.mtu) &&
               (!state || !state->bridge_mtu || mtu <= state->bridge_mtu);
}

/* ---- notifications, and the end ---- */

/* What a message says about a port's VLANs: FNV-1a. Bridges repeat it with every change of the port, and a PF changes
 * with every setting of one of its VFs. */
static uint64_t fingerprint_vlans(const struct nlmsghdr *header)
{
        struct nlattr *vlans = nlmsg_find_attr((struct nlmsghdr *) header, sizeof(struct ifinfomsg), IFLA_AF_SPEC);
        const uint8_t *bytes = vlans ? nla_data(vlans) : NULL;
        uint64_t hash = 0xcbf29ce484222325;

        for (int i = 0; vlans && i < nla_len(vlans); i++)
                hash = (hash ^ bytes[i]) * 0x100000001b3;
        return hash;
}

static bool concerns_nic(const struct manager_nic *nic, const struct ifinfomsg *link, const struct nlmsghdr *header)
{
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        uint64_t vlans;

        if (link->ifi_index == nic->tap_ifindex)
                return true;
        if (softswitch && link->ifi_index == softswitch->driver->ifindex(softswitch))
                return link->ifi_family != AF_BRIDGE; /* vlan_filtering, MTU */
        if (link->ifi_index != nic->nic_switch->uplink.ifindex || link->ifi_family != AF_BRIDGE || !nic->policy_state)
                return false;
        vlans = fingerprint_vlans(header);
        if (nic->policy_state->uplink_vlans == vlans)
                return false;
        nic->policy_state->uplink_vlans = vlans;
        return true;
}

void policies_on_notification(struct manager *manager, const struct nlmsghdr *header)
{
        bool is_link = header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK;
        const struct ifinfomsg *link = nlmsg_data(header);
        const struct tcmsg *filter = nlmsg_data(header);
        struct manager_nic *nic;

        if (!is_link && header->nlmsg_type != RTM_NEWTFILTER && header->nlmsg_type != RTM_DELTFILTER &&
            header->nlmsg_type != RTM_NEWQDISC && header->nlmsg_type != RTM_DELQDISC)
                return;
        if (nlmsg_datalen(header) < (int) (is_link ? sizeof(*link) : sizeof(*filter)))
                return;
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (is_link ? concerns_nic(nic, link, header) : filter->tcm_ifindex == nic->tap_ifindex) {
                        nic->tap_stale = true;
                        manager_nic_dirty(nic);
                }
}

void policies_release(struct manager_nic *nic)
{
        struct policy_state *state = nic->policy_state;
        struct softswitch *softswitch = nic->nic_switch->softswitch;
        static const struct softswitch_guard off;
        struct vswitch_error error = { 0 };
        int r;

        /* The bridge may have begun or ceased to filter VLANs when nobody saw it; what is filed as it did before that is
         * not seen as a pin. */
        if (softswitch && nic->recorded)
                remove_old_entries(nic);
        /* With the guest its tap goes, too. */
        if (!state || !state->guarded || !softswitch || nic->domain->presence.state == FAILOVER_GUEST_ABSENT)
                return;
        r = softswitch->driver->guard_set(softswitch, state->guarded, &off, &error);
        if (r < 0 && r != -ENODEV)
                log_warning(nic->label, "cannot take its guard from the tap: %s", vswitch_error_text(&error, r));
}

void policies_free(struct manager_nic *nic)
{
        free(nic->policy_state);
        nic->policy_state = NULL;
}
