/* SPDX-License-Identifier: Apache-2.0 */

#include "src/audit/audit.h"

const struct audit_code_info audit_codes[AUDIT_CODE_COUNT] = {
        [AUDIT_LIBVIRT_SILENT] = { "libvirt-silent",
                                   "without knowing all guests nobody can tell whose a VF or an entry is, so nothing "
                                   "of that is judged or repaired" },
        [AUDIT_DAEMON_NO_ANSWER] = { "daemon-no-answer",
                                     "what it is about to change cannot be known, so nothing is repaired" },
        [AUDIT_DAEMON_NOT_RUNNING] = { "daemon-not-running",
                                       "guests stay on the path on which they are, and a migration with a VF fails" },
        [AUDIT_FILE_UNREADABLE] = { "file-unreadable",
                                    "what it says is not known any more; a VF with such a claim is left alone by "
                                    "everybody" },
        [AUDIT_QEMU_WITHOUT_DOMAIN] = { "qemu-without-domain",
                                        "nobody can take a VF from a guest that libvirt has lost" },
        [AUDIT_CLAIM_TWICE] = { "claim-twice", "two guests would be given the same VF" },
        [AUDIT_CLAIMS_OF_ONE_NIC] = { "claims-of-one-nic", "a NIC can use one VF, and the other is lost to everybody" },
        [AUDIT_CLAIM_WITHOUT_VF] = { "claim-without-vf",
                                     "the claim names a VF that is not there (any more), or is another one now" },
        [AUDIT_CLAIM_WITHOUT_GUEST] = { "claim-without-guest",
                                        "the VF is lost to other guests, and has settings of one that is gone" },
        [AUDIT_CLAIM_WITHOUT_DEVICE] = { "claim-without-device",
                                         "the VF is lost to other guests, and may take frames that nobody gets" },
        [AUDIT_CLAIM_OF_ANOTHER] = { "claim-of-another", "two guests believe that the VF is theirs" },
        [AUDIT_DEVICE_WITHOUT_CLAIM] = { "device-without-claim",
                                         "nobody knows what the VF was like before, or will take it back" },
        [AUDIT_VF_DISAGREES] = { "vf-disagrees",
                                 "the guest is not reached over its VF, or in another network than its own" },
        [AUDIT_VF_NOT_DRIVEN] = { "vf-not-driven",
                                  "the guest runs no driver for its VF, so the VF is of no use to it" },
        [AUDIT_VF_SETTINGS_OF_NOBODY] = { "vf-settings-of-nobody",
                                          "vswitch takes a VF with a MAC for somebody else's and gives it to no "
                                          "guest; and the card sends the frames for that MAC, or of that VLAN, to "
                                          "where nobody is" },
        [AUDIT_VFIO_OF_NOBODY] = { "vfio-of-nobody", "it looks as if a guest had it" },
        [AUDIT_OVERRIDE_LEFT] = { "override-left", "no driver but that one will ever take the VF" },
        [AUDIT_PROBE_LEFT] = { "probe-left", "a probe did not end, and its VFs are as it left them" },
        [AUDIT_PF_DOWN] = { "pf-down", "a PF that is down takes its VFs' link away: their guests are cut off" },
        [AUDIT_MAC_ON_TWO_VFS] = { "mac-on-two-vfs", "the card sends the MAC's frames to one of them, or to both" },
        [AUDIT_MAC_ON_VF_AND_UPLINK] = { "mac-on-vf-and-uplink",
                                         "some cards send the MAC's frames to both, and some to the one where the "
                                         "guest is not" },
        [AUDIT_MAC_ON_ANOTHERS_VF] = { "mac-on-anothers-vf",
                                       "the card sends the frames for one guest to another one's VF" },
        [AUDIT_MAC_OF_TWO_NICS] = { "mac-of-two-nics", "both get each other's frames, and neither gets a VF" },
        [AUDIT_PIN_OF_NOBODY] = { "pin-of-nobody", "the bridge sends the MAC's frames to that port for ever, wherever "
                                                   "its owner is now" },
        [AUDIT_PIN_DISAGREES] = { "pin-disagrees",
                                  "neighbours on the bridge send the guest's frames where it does not listen" },
        [AUDIT_COPY_RULE_OF_NOBODY] = { "copy-rule-of-nobody",
                                        "frames for the MAC go to a tap whose guest is gone, and nowhere else" },
        [AUDIT_COPY_RULE_LEFT] = { "copy-rule-left", "a guest gets frames twice, or over the wrong path" },
        [AUDIT_GUARD_OF_NOBODY] = { "guard-of-nobody", "it drops or slows down what somebody else sends there" },
        [AUDIT_GUARD_DISAGREES] = { "guard-disagrees", "whatever the guest sends over its tap is dropped" },
        [AUDIT_MULTICAST_ROUTER_LEFT] = { "multicast-router-left",
                                          "the tap gets all multicast, which a snooping bridge would spare it" },
        [AUDIT_FILTER_OF_NOBODY] = { "filter-of-nobody",
                                     "the card has few places for them, and its VFs cannot reach the MAC on the wire" },
        [AUDIT_NOTE_WITHOUT_PF] = { "note-without-pf", "it is about a network device that is not there any more" },
        [AUDIT_KEPT_NUMBER] = { "kept-number", "the PF will not have, or has not, as many VFs as was asked for" },
        [AUDIT_RECORD_OF_NOBODY] = { "record-of-nobody", "vswitchd will look after a NIC that is gone" },
};

const char *audit_level_to_string(enum audit_level level)
{
        return level == AUDIT_PROBLEM ? "problem" : "note";
}
