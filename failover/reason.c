/* SPDX-License-Identifier: Apache-2.0 */

#include "failover/reason.h"

static const struct {
        const char *code;
        const char *sentence;
        const char *remedy;
} reasons[FAILOVER_REASON_COUNT] = {
        [FAILOVER_REASON_NONE] = { "", "", "" },

        [FAILOVER_REASON_NO_TEAMING] = { "no-teaming", "the NIC does not ask for a VF",
                                         "add <teaming type='persistent'/> to this <interface> and restart the guest" },
        [FAILOVER_REASON_NO_USER_ALIAS] = { "no-user-alias", "the NIC has no alias of its own, so a VF cannot name it",
                                            "add <alias name='ua-net0'/> to this <interface> and restart the guest" },
        [FAILOVER_REASON_NOT_VIRTIO] = { "not-virtio", "only a virtio NIC can be teamed with a VF",
                                         "set <model type='virtio'/> for this <interface> and restart the guest" },
        [FAILOVER_REASON_NOT_Q35] = { "not-q35", "the guest's machine has no PCI Express, and a VF needs it",
                                      "define the guest with machine='q35'" },
        [FAILOVER_REASON_NO_FREE_ROOT_PORT] = { "no-free-root-port",
                                                "the guest has no free PCI Express port to plug a VF into",
                                                "add <controller type='pci' model='pcie-root-port'/> to the guest and "
                                                "restart it" },
        [FAILOVER_REASON_MANAGED_ELSEWHERE] = { "managed-elsewhere",
                                                "another manager (oVirt, Nova, KubeVirt) owns this guest's devices",
                                                "let that manager give it a VF" },
        [FAILOVER_REASON_VF_NOT_OURS] = { "vf-not-ours", "the guest has a VF that was not attached by vswitch",
                                          "remove that VF from the guest's XML if vswitch is to manage the NIC" },
        [FAILOVER_REASON_NIC_GONE] = { "nic-gone", "the NIC was unplugged from the guest, its VF was not",
                                       "wait: the VF is taken away too" },
        [FAILOVER_REASON_DUPLICATE_MAC] = { "duplicate-mac", "another NIC on this switch has the same MAC",
                                            "give one of them another MAC" },
        [FAILOVER_REASON_MTU_MISMATCH] = { "mtu-mismatch",
                                           "the NIC's MTU is larger than that of its bridge, uplink or card",
                                           "raise theirs, or lower the NIC's" },

        [FAILOVER_REASON_LINK_DOWN] = { "link-down", "the NIC's link is set down in the guest's XML",
                                        "virsh domif-setlink DOMAIN INTERFACE up" },
        [FAILOVER_REASON_SEVERAL_MACS] = { "several-macs",
                                           "the guest sends from other MACs too, which a VF would not carry",
                                           "give the NIC a policy with trust = yes and spoof-check = no, if the guest "
                                           "may have them" },
        [FAILOVER_REASON_BAD_POLICY] = { "bad-policy", "the NIC's policy in the guest's XML cannot be read",
                                         "see vswitch nic why DOMAIN/NIC for the place of the mistake" },
        [FAILOVER_REASON_WEIGHT_ZERO] = { "weight-zero", "the NIC's policy gives it no VF (weight 0)",
                                          "give it another weight, up to 100: vswitch nic set DOMAIN/NIC weight=50" },
        [FAILOVER_REASON_POLICY_NOT_ON_VF] = { "policy-not-on-vf",
                                               "the card cannot hold a VF to what the NIC's policy says",
                                               "see the daemon's log for what it refuses; drop that from the policy, "
                                               "or set prefer-vf" },
        [FAILOVER_REASON_NETWORK_FILTER] = { "network-filter",
                                             "libvirt filters the NIC's frames (<filterref>), and no "
                                             "VF can do that",
                                             "remove the <filterref>, or set prefer-vf in the NIC's policy" },
        [FAILOVER_REASON_TAP_FILTERS] = { "tap-filters",
                                          "somebody put tc filters on the NIC's tap (mirroring, say), and a VF's "
                                          "frames "
                                          "would pass them by",
                                          "remove them ('tc filter show dev TAP ingress'), or set prefer-vf in the "
                                          "NIC's policy" },
        [FAILOVER_REASON_PORT_ISOLATED] = { "port-isolated",
                                            "the NIC's port is isolated from other ports, and no VF can be",
                                            "remove <port isolated='yes'/>, or set prefer-vf in the NIC's policy" },
        [FAILOVER_REASON_VLAN_TRUNK] = { "vlan-trunk", "the NIC's port carries several VLANs, a VF carries one",
                                         "keep it on the software switch, or give it one NIC for each VLAN" },
        [FAILOVER_REASON_VLAN_NOT_FILTERED] = { "vlan-not-filtered",
                                                "the NIC's policy names a VLAN and its bridge does not filter VLANs",
                                                "ip link set BRIDGE type bridge vlan_filtering 1" },
        [FAILOVER_REASON_VLAN_NOT_ON_UPLINK] = { "vlan-not-on-uplink",
                                                 "the bridge does not carry the NIC's VLAN on its uplink",
                                                 "bridge vlan add dev UPLINK vid VLAN, if it is to reach the wire" },

        [FAILOVER_REASON_SWITCH_NOT_IOV] = { "switch-not-iov", "the switch does not give out VFs",
                                             "set iov = yes for it in vswitch.conf" },
        [FAILOVER_REASON_SWITCH_UNUSABLE] = { "switch-unusable", "the switch or the NIC's tap is not there",
                                              "see 'vswitch status' for what the switch is missing" },
        [FAILOVER_REASON_NO_UPLINK] = { "no-uplink", "the switch's uplink is not there",
                                        "check that the uplink named in vswitch.conf exists and is a port of the "
                                        "bridge" },
        [FAILOVER_REASON_UPLINK_DOWN] = { "uplink-down", "the uplink is down or has no carrier",
                                          "check the cable, and 'ip link set UPLINK up'" },
        [FAILOVER_REASON_UPLINK_IN_LAG] = { "uplink-in-lag",
                                            "the uplink is one of several ports that carry traffic together (LACP or "
                                            "a balancing bond), so a VF would miss what enters by the others",
                                            "use an active-backup bond or a single uplink where guests are to get "
                                            "VFs" },
        [FAILOVER_REASON_UPLINK_NOT_ACTIVE] = { "uplink-not-active",
                                                "the bond's active port is not the one whose VF this is",
                                                "wait: the NIC is moved to the active port" },
        [FAILOVER_REASON_SEVERAL_UPLINKS] = { "several-uplinks",
                                              "frames for the NIC can enter by more than one port of the bridge, and "
                                              "a VF sees only its own",
                                              "leave one uplink in the bridge, or bond them as active-backup" },
        [FAILOVER_REASON_STP_NOT_FORWARDING] = { "stp-not-forwarding",
                                                 "the spanning tree does not let the uplink forward",
                                                 "wait for it to settle; 'bridge link show dev UPLINK' says its "
                                                 "state" },
        [FAILOVER_REASON_UPLINK_TAGS] = { "uplink-tags",
                                          "the VLAN devices of the uplink put on tags that a VF cannot: two, or one of "
                                          "802.1ad",
                                          "put one 802.1Q VLAN device between the bridge and the card, or none" },
        [FAILOVER_REASON_NO_SRIOV] = { "no-sriov", "the uplink's card has no SR-IOV",
                                       "use a card with SR-IOV, or set iov = no for this switch" },
        [FAILOVER_REASON_NO_VFS] = { "no-vfs", "the uplink has no VFs", "make some: vswitch pf set-vfs PF N" },
        [FAILOVER_REASON_NO_FREE_VF] = { "no-free-vf", "every VF of the uplink is in use",
                                         "release another NIC's VF, or make more VFs (vswitch pf set-vfs PF N)" },

        [FAILOVER_REASON_VF_USERS_UNKNOWN] = { "vf-users-unknown", "it is being found out who uses the free VFs",
                                               "wait a moment; if it lasts, see the daemon's log" },
        [FAILOVER_REASON_VF_REMOVED] = { "vf-removed",
                                         "the guest's VF is being removed from the host: somebody changed the number "
                                         "of VFs, or took the card's driver away",
                                         "make VFs again: vswitch pf set-vfs PF N" },
        [FAILOVER_REASON_PREEMPTED] = { "preempted", "a NIC of higher weight takes its VF",
                                        "make more VFs, or raise this NIC's weight: vswitch nic set DOMAIN/NIC "
                                        "weight=N" },
        [FAILOVER_REASON_TURN] = { "turn", "other NICs are moved first: moves are bounded",
                                   "wait; the bounds are in section scarcity of vswitch.conf" },
        [FAILOVER_REASON_FROZEN] = { "frozen", "too many moves of this host have failed, so none is begun for a while",
                                     "see the daemon's log for why they failed; vswitch nic acquire tries one all the "
                                     "same" },
        [FAILOVER_REASON_MEMORY_OVERCOMMITTED] = { "memory-overcommitted",
                                                   "a VF pins all of the guest's memory, and the host has not that "
                                                   "much left",
                                                   "free memory on the host, or lower memory-reserve in vswitch.conf" },

        [FAILOVER_REASON_GUEST_UNKNOWN] = { "guest-unknown", "libvirt has not told about this guest yet",
                                            "check that libvirtd or virtqemud runs" },
        [FAILOVER_REASON_GUEST_OFF] = { "guest-off", "the guest does not run", "" },
        [FAILOVER_REASON_GUEST_PAUSED] = { "guest-paused", "the guest is paused", "resume it: virsh resume" },
        [FAILOVER_REASON_GUEST_ARRIVING] = { "guest-arriving", "the guest is being migrated to this host", "" },
        [FAILOVER_REASON_GUEST_LEAVING] = { "guest-leaving", "the guest is being migrated to another host", "" },
        [FAILOVER_REASON_GUEST_NOT_READY] = { "guest-not-ready",
                                              "the guest has not accepted a standby NIC since its last reset",
                                              "wait until it has booted; its kernel needs virtio_net with "
                                              "net_failover" },
        [FAILOVER_REASON_MOVING] = { "moving", "the NIC is being moved to a VF", "" },
        [FAILOVER_REASON_HELD] = { "held", "an operator or a migration keeps the NIC on the synthetic path",
                                   "vswitch nic acquire" },
        [FAILOVER_REASON_ISOLATED] = { "isolated",
                                       "nothing reaches the guest: it does not let go of its VF, and the VF's card is "
                                       "gone, down or without carrier",
                                       "bring the card's link back (cable, switch port, 'ip link set PF up', its "
                                       "driver), or reset the guest: 'virsh reset DOMAIN', and if that does not "
                                       "help, 'virsh destroy DOMAIN' and 'virsh start DOMAIN'" },

        [FAILOVER_REASON_RELEASED_BY_REQUEST] = { "released", "the NIC was released by request a moment ago",
                                                  "wait for the back-off, or vswitch nic acquire" },
        [FAILOVER_REASON_CLAIM_FAILED] = { "claim-failed", "the claim could not be written",
                                           "check free space and permissions under /run/vswitch" },
        [FAILOVER_REASON_PREPARE_FAILED] = { "prepare-failed", "the VF could not be bound or programmed",
                                             "see the daemon's log for what the kernel said" },
        [FAILOVER_REASON_TABLES_FAILED] = { "tables-failed", "the kernel refused a change of the switch's tables",
                                            "see the daemon's log for what the kernel said" },
        [FAILOVER_REASON_ATTACH_FAILED] = { "attach-failed", "libvirt refused to attach the VF",
                                            "see the daemon's log for what libvirt said" },
        [FAILOVER_REASON_ANOTHER_PRIMARY] = { "another-primary",
                                              "the guest's QEMU had a VF under another name for this NIC and takes no "
                                              "other one",
                                              "shut the guest down and start it again (a reboot from inside is not "
                                              "enough)" },
        [FAILOVER_REASON_GUEST_DRIVER_MISSING] = { "guest-driver-missing", "the guest's VF driver did not come up",
                                                   "install the VF's driver in the guest" },
        [FAILOVER_REASON_GUEST_DOES_NOT_USE_VF] = { "guest-does-not-use-vf",
                                                    "the guest has the VF up but still sends through its virtio NIC",
                                                    "check net_failover in the guest and that nothing there renames or "
                                                    "enslaves the VF" },
        [FAILOVER_REASON_VF_WITHOUT_MAC] = { "vf-without-mac",
                                             "the guest has the VF up, but the VF does not have the NIC's MAC",
                                             "the VF is given to the guest again; if it comes back, look for a program "
                                             "that changes the MACs of VFs" },
        [FAILOVER_REASON_UNPLUG_REFUSED] = { "unplug-refused", "the guest does not let go of the VF",
                                             "check PCI hot-plug in the guest (pciehp); rebooting it helps" },
        [FAILOVER_REASON_RESTORE_FAILED] = { "restore-failed", "the VF could not be given its old settings back",
                                             "see the daemon's log; it is tried again" },
};

static unsigned reason_index(enum failover_reason reason)
{
        return (unsigned) reason < FAILOVER_REASON_COUNT ? reason : FAILOVER_REASON_NONE;
}

const char *failover_reason_code(enum failover_reason reason)
{
        return reasons[reason_index(reason)].code;
}

const char *failover_reason_sentence(enum failover_reason reason)
{
        return reasons[reason_index(reason)].sentence;
}

const char *failover_reason_remedy(enum failover_reason reason)
{
        return reasons[reason_index(reason)].remedy;
}
