/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why a NIC is not on a VF: one closed list of codes, each with a sentence and a remedy for the operator. */

#include <stddef.h>

enum failover_reason {
        FAILOVER_REASON_NONE, /* it is on a VF, or nothing stands in the way */

        /* The NIC or its guest */
        FAILOVER_REASON_NO_TEAMING,
        FAILOVER_REASON_NO_USER_ALIAS,
        FAILOVER_REASON_NOT_VIRTIO,
        FAILOVER_REASON_NOT_Q35,
        FAILOVER_REASON_NO_FREE_ROOT_PORT,
        FAILOVER_REASON_MANAGED_ELSEWHERE,
        FAILOVER_REASON_VF_NOT_OURS,
        FAILOVER_REASON_NIC_GONE,
        FAILOVER_REASON_DUPLICATE_MAC,
        FAILOVER_REASON_MTU_MISMATCH,
        FAILOVER_REASON_LINK_DOWN,
        FAILOVER_REASON_SEVERAL_MACS,
        FAILOVER_REASON_BAD_POLICY,
        FAILOVER_REASON_WEIGHT_ZERO,
        FAILOVER_REASON_POLICY_NOT_ON_VF,
        FAILOVER_REASON_NETWORK_FILTER,
        FAILOVER_REASON_TAP_FILTERS,
        FAILOVER_REASON_PORT_ISOLATED,
        FAILOVER_REASON_VLAN_TRUNK,
        FAILOVER_REASON_VLAN_NOT_FILTERED,
        FAILOVER_REASON_VLAN_NOT_ON_UPLINK,

        /* The switch and its card */
        FAILOVER_REASON_SWITCH_NOT_IOV,
        FAILOVER_REASON_SWITCH_UNUSABLE,
        FAILOVER_REASON_NO_UPLINK,
        FAILOVER_REASON_UPLINK_DOWN,
        FAILOVER_REASON_UPLINK_IN_LAG,
        FAILOVER_REASON_UPLINK_NOT_ACTIVE,
        FAILOVER_REASON_SEVERAL_UPLINKS,
        FAILOVER_REASON_STP_NOT_FORWARDING,
        FAILOVER_REASON_UPLINK_TAGS,
        FAILOVER_REASON_NO_SRIOV,
        FAILOVER_REASON_NO_VFS,
        FAILOVER_REASON_NO_FREE_VF,
        FAILOVER_REASON_VF_USERS_UNKNOWN,
        FAILOVER_REASON_VF_REMOVED,
        FAILOVER_REASON_PREEMPTED,
        FAILOVER_REASON_TURN,
        FAILOVER_REASON_FROZEN,
        FAILOVER_REASON_MEMORY_OVERCOMMITTED,

        /* What is happening now */
        FAILOVER_REASON_GUEST_UNKNOWN,
        FAILOVER_REASON_GUEST_OFF,
        FAILOVER_REASON_GUEST_PAUSED,
        FAILOVER_REASON_GUEST_ARRIVING,
        FAILOVER_REASON_GUEST_LEAVING,
        FAILOVER_REASON_GUEST_NOT_READY,
        FAILOVER_REASON_MOVING,
        FAILOVER_REASON_HELD,
        FAILOVER_REASON_ISOLATED, /* the worst: nothing reaches the guest */

        /* What went wrong the last time; tried again after the back-off */
        FAILOVER_REASON_RELEASED_BY_REQUEST,
        FAILOVER_REASON_CLAIM_FAILED,
        FAILOVER_REASON_PREPARE_FAILED,
        FAILOVER_REASON_TABLES_FAILED,
        FAILOVER_REASON_ATTACH_FAILED,
        FAILOVER_REASON_ANOTHER_PRIMARY,
        FAILOVER_REASON_GUEST_DRIVER_MISSING,
        FAILOVER_REASON_GUEST_DOES_NOT_USE_VF,
        FAILOVER_REASON_VF_WITHOUT_MAC,
        FAILOVER_REASON_UNPLUG_REFUSED,
        FAILOVER_REASON_RESTORE_FAILED,

        FAILOVER_REASON_COUNT,
};

/* "no-teaming": stable, for programs. "" for NONE. */
const char *failover_reason_code(enum failover_reason reason);
/* One sentence for people, without a full stop. */
const char *failover_reason_sentence(enum failover_reason reason);
/* What the operator can do; "" when there is nothing to do but wait. */
const char *failover_reason_remedy(enum failover_reason reason);
