/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * What stands in the way is the core's to say (failover/reason.h); it says it for every host alike. Here the names of
 * this host are added: which port, which other NIC, what libvirt answered. What happens next follows from the rule that
 * applied, and what its deadline is for from the same facts by which the rule set it.
 */

#include "src/daemon/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the deadline of a rule is for. */
enum deadline {
        DEADLINE_NONE,
        DEADLINE_LEASE,
        DEADLINE_UNPLUG,
        DEADLINE_DRIVER,
        DEADLINE_ON_VF,
        DEADLINE_RESTORE,
        DEADLINE_SYNTHETIC,
};

static const struct {
        const char *rule;
        const char *now;
        enum deadline deadline;
} steps[] = {
        { "unknown-guest-lost-its-vf",
          "the guest has let go of its VF, so both paths carry its frames until libvirt tells of it again",
          DEADLINE_NONE },
        { "unknown-guest", "everything stays as it is until libvirt tells of the guest", DEADLINE_NONE },
        { "isolated",
          "nothing can be brought to the guest; its frames are offered on both paths, and it is asked again and again "
          "to let go of its VF",
          DEADLINE_UNPLUG },
        { "vf-gone", "its VF does not exist any more, so the guest has to let go of it", DEADLINE_UNPLUG },
        { "lease-waits", "a VF is kept for the guest, which is on its way to this host", DEADLINE_LEASE },
        { "absent", "what is left of the NIC on this host is put back", DEADLINE_RESTORE },
        { "incoming", "its QEMU waits for the guest, and no frames are for here until it comes", DEADLINE_NONE },
        { "loaded", "the guest is about to run here, and its frames come here already", DEADLINE_NONE },
        { "handed-over", "the guest has stopped here for a migration, and no frames are for here any more",
          DEADLINE_NONE },
        { "somebody-elses-vf", "nothing is done", DEADLINE_NONE },
        { "attachment-unknown", "everything stays as it is until libvirt tells whether the guest has the VF",
          DEADLINE_NONE },
        { "vf-without-mac", "the guest has to let go of the VF, and gets it again with the NIC's MAC",
          DEADLINE_UNPLUG },
        { "leaving-asked", "QEMU has asked the guest to let go of its VF; both paths carry its frames", DEADLINE_NONE },
        { "leaving-gone", "the guest has let go of its VF, and the tap carries its frames until it has left",
          DEADLINE_NONE },
        { "on-vf", "the VF carries its frames", DEADLINE_ON_VF },
        { "withdrawing", "the guest has to let go of its VF; both paths carry its frames", DEADLINE_UNPLUG },
        { "offering", "the guest's driver for the VF is waited for; both paths carry its frames", DEADLINE_DRIVER },
        { "withdrawn", "the guest has let go of its VF, and QEMU has yet to remove it", DEADLINE_UNPLUG },
        { "attaching", "libvirt is attaching the VF", DEADLINE_NONE },
        { "returning", "the VF gets its settings from before back", DEADLINE_RESTORE },
        { "preparing", "a VF is bound and programmed", DEADLINE_NONE },
        { "ready-to-attach", "the VF is about to be attached", DEADLINE_NONE },
        { "claiming", "a VF is claimed", DEADLINE_NONE },
        { "synthetic", "the tap carries its frames", DEADLINE_SYNTHETIC },
};

#define STEPS_COUNT (sizeof(steps) / sizeof(steps[0]))

static size_t find_step(const char *rule)
{
        size_t i = 0;

        while (i < STEPS_COUNT && (!rule || strcmp(steps[i].rule, rule) != 0))
                i++;
        return i;
}

const char *explain_rule(const char *rule)
{
        size_t i = find_step(rule);

        return i < STEPS_COUNT ? steps[i].now : "";
}

/* ---- what the deadline is for ---- */

static const char *then_unplug(const struct manager_nic *nic, uint64_t now)
{
        if (now < nic->facts.unplug_refused_until || nic->facts.unplug_attempts < nic->policy.unplug_attempts)
                return "the guest is asked again";
        return "asking it is given up for a while, and the NIC stays as it is";
}

static const char *then_on_vf(const struct manager_nic *nic, uint64_t now)
{
        if (!nic->decision.wants_vf && now < nic->facts.unplug_refused_until)
                return "the guest is asked again to let go of it";
        return "it is certain that the guest sends by it, too";
}

static const char *then(const struct manager_nic *nic, enum deadline deadline)
{
        uint64_t now = manager_now(nic->manager);

        if (nic->decision.deadline == FAILOVER_NEVER)
                return "";
        switch (deadline) {
        case DEADLINE_NONE:
                return "";
        case DEADLINE_LEASE:
                return "the VF is free again if the guest has not come";
        case DEADLINE_UNPLUG:
                return then_unplug(nic, now);
        case DEADLINE_DRIVER:
                return "the move is given up if the driver is not there";
        case DEADLINE_ON_VF:
                return then_on_vf(nic, now);
        case DEADLINE_RESTORE:
                return "it is tried again";
        case DEADLINE_SYNTHETIC:
                return now < nic->facts.back_off_until ? "a VF is tried again" : "it is looked again for a free VF";
        }
        return "";
}

/* ---- what the reason means here ---- */

static void append(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void append(char *buffer, size_t size, const char *format, ...)
{
        size_t used = strlen(buffer);
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(buffer + used, size - used, format, arguments);
        va_end(arguments);
}

/* "uplink bond0 of br0, on enp1s0 (active) and enp2s0 (no carrier)" */
static void describe_uplink(const struct manager_switch *nic_switch, char *buffer, size_t size)
{
        const char *port = nic_switch->uplink.name;

        append(buffer, size, "uplink %s of %s", port[0] ? port : "(none)", nic_switch->config->bridge);
        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                const struct manager_pf *pf = &nic_switch->pfs[i];
                const char *state = !pf->link.up               ? " (down)"
                                    : !pf->link.carrier        ? " (no carrier)"
                                    : pf->pf == nic_switch->pf ? " (active)"
                                                               : "";

                append(buffer, size, "%s%s%s",
                       i == 0                           ? ", on "
                       : i + 1 == nic_switch->pfs_count ? " and "
                                                        : ", ",
                       pf->link.name, state);
        }
}

static void describe_others_with_mac(const struct manager_nic *nic, char *buffer, size_t size)
{
        const struct manager_nic *other;

        TAILQ_FOREACH (other, &nic->manager->nics, entry)
                if (other != nic && other->nic_switch == nic->nic_switch && vswitch_mac_equal(&other->mac, &nic->mac))
                        append(buffer, size, "%s%s", buffer[0] ? ", " : "", other->label);
}

static void describe_mtu(const struct manager_nic *nic, char *buffer, size_t size)
{
        const struct manager_switch *nic_switch = nic->nic_switch;

        if (nic->mtu > 0)
                append(buffer, size, "the NIC's is %u, ", nic->mtu);
        append(buffer, size, "that of %s %u", nic_switch->uplink.name, nic_switch->uplink.mtu);
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (strcmp(nic_switch->pfs[i].link.name, nic_switch->uplink.name) != 0)
                        append(buffer, size, ", that of %s %u", nic_switch->pfs[i].link.name,
                               nic_switch->pfs[i].link.mtu);
}

static void describe_pf(const struct manager_nic *nic, char *buffer, size_t size)
{
        const struct manager_switch *nic_switch = nic->nic_switch;
        bool is_taken = nic->decision.reason == FAILOVER_REASON_NO_FREE_VF;

        if (nic_switch->pf)
                append(buffer, size, "PF %s of %s%s%s", nic_switch->pf->name, nic_switch->config->bridge,
                       is_taken && nic_switch->named_vfs[0] ? "; " : "", is_taken ? nic_switch->named_vfs : "");
}

/* "VF 0000:01:10.0 of enp1s0 (no carrier)" */
static void describe_vf(const struct manager_nic *nic, char *buffer, size_t size)
{
        struct vswitch_link link;

        if (!nic->claim)
                return;
        append(buffer, size, "VF %s of %s (", nic->claim->vf_address, nic->claim->pf);
        if (!facts_find_link_of_pf(nic, &link))
                append(buffer, size, "which is not there)");
        else
                append(buffer, size, "%s%s)",
                       switches_find_pf(nic->nic_switch, nic->claim->pf) ? "" : "not beneath the switch, ",
                       link.up ? "no carrier" : "down");
}

static void describe_switch(const struct manager_nic *nic, char *buffer, size_t size)
{
        if (nic->nic_switch->sentence[0])
                append(buffer, size, "%s", nic->nic_switch->sentence);
        else if (nic->tap[0])
                append(buffer, size, "tap %s of %s", nic->tap, nic->nic_switch->config->bridge);
}

static void describe(const struct manager_nic *nic, char *buffer, size_t size)
{
        enum failover_reason reason = nic->decision.reason;

        switch (reason) {
        case FAILOVER_REASON_DUPLICATE_MAC:
                describe_others_with_mac(nic, buffer, size);
                break;
        case FAILOVER_REASON_MTU_MISMATCH:
                describe_mtu(nic, buffer, size);
                break;
        case FAILOVER_REASON_SEVERAL_MACS:
                append(buffer, size, "%u behind tap %s", nic->macs_behind, nic->tap);
                break;
        case FAILOVER_REASON_BAD_POLICY:
        case FAILOVER_REASON_POLICY_NOT_ON_VF:
                append(buffer, size, "%s", policies_detail(nic, reason));
                break;
        case FAILOVER_REASON_TAP_FILTERS:
                append(buffer, size, "tap %s", nic->tap);
                break;
        case FAILOVER_REASON_VLAN_NOT_FILTERED:
        case FAILOVER_REASON_VLAN_NOT_ON_UPLINK:
                if (nic->port_policy.vlan > 0)
                        append(buffer, size, "VLAN %u, ", nic->port_policy.vlan);
                describe_uplink(nic->nic_switch, buffer, size);
                break;
        case FAILOVER_REASON_SWITCH_NOT_IOV:
                append(buffer, size, "switch \"%s\"", nic->nic_switch->config->name);
                break;
        case FAILOVER_REASON_SWITCH_UNUSABLE:
                describe_switch(nic, buffer, size);
                break;
        case FAILOVER_REASON_NO_UPLINK:
                append(buffer, size, "%s", nic->nic_switch->sentence);
                break;
        case FAILOVER_REASON_UPLINK_NOT_ACTIVE:
                if (nic->claim)
                        append(buffer, size, "its VF is of %s; ", nic->claim->pf);
                describe_uplink(nic->nic_switch, buffer, size);
                break;
        case FAILOVER_REASON_UPLINK_DOWN:
        case FAILOVER_REASON_UPLINK_IN_LAG:
        case FAILOVER_REASON_SEVERAL_UPLINKS:
        case FAILOVER_REASON_STP_NOT_FORWARDING:
        case FAILOVER_REASON_UPLINK_TAGS:
                describe_uplink(nic->nic_switch, buffer, size);
                break;
        case FAILOVER_REASON_NO_SRIOV:
        case FAILOVER_REASON_NO_VFS:
        case FAILOVER_REASON_NO_FREE_VF:
        case FAILOVER_REASON_VF_USERS_UNKNOWN:
                describe_pf(nic, buffer, size);
                break;
        case FAILOVER_REASON_GUEST_UNKNOWN:
                append(buffer, size, "%s", nic->manager->libvirt_sentence);
                break;
        case FAILOVER_REASON_ISOLATED:
                describe_vf(nic, buffer, size);
                break;
        case FAILOVER_REASON_HELD:
                append(buffer, size, "%s", nic->hold_by);
                break;
        default:
                if (reason != FAILOVER_REASON_NONE && reason == nic->facts.failure)
                        append(buffer, size, "%s", nic->failure_words);
        }
}

void explain_nic(const struct manager_nic *nic, struct explanation *ret)
{
        size_t step = find_step(nic->decision.rule);

        *ret = (struct explanation){ .now = "", .then = "" };
        describe(nic, ret->detail, sizeof(ret->detail));
        if (step < STEPS_COUNT) {
                ret->now = steps[step].now;
                ret->then = then(nic, steps[step].deadline);
        }
        if (nic->progress.retry_at > manager_now(nic->manager) && nic->trouble[0])
                snprintf(ret->trouble, sizeof(ret->trouble), "%s", nic->trouble);
}
