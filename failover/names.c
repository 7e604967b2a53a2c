/* SPDX-License-Identifier: Apache-2.0 */

/* The words for the core's values, as they appear in logs, on the control channel and in documents. */

#include "failover/failover.h"

#define NAME(table, value)                                                                                             \
        ((size_t) (value) < sizeof(table) / sizeof((table)[0]) && (table)[value] ? (table)[value] : "invalid")

const char *failover_known_to_string(enum failover_known value)
{
        static const char *const names[] = {
                [FAILOVER_UNKNOWN] = "unknown",
                [FAILOVER_NO] = "no",
                [FAILOVER_YES] = "yes",
        };

        return NAME(names, value);
}

const char *failover_guest_to_string(enum failover_guest guest)
{
        static const char *const names[] = {
                [FAILOVER_GUEST_UNKNOWN] = "unknown",   [FAILOVER_GUEST_ABSENT] = "absent",
                [FAILOVER_GUEST_EXPECTED] = "expected", [FAILOVER_GUEST_INCOMING] = "incoming",
                [FAILOVER_GUEST_LOADED] = "loaded",     [FAILOVER_GUEST_RUNNING] = "running",
                [FAILOVER_GUEST_PAUSED] = "paused",     [FAILOVER_GUEST_HANDED_OVER] = "handed-over",
        };

        return NAME(names, guest);
}

const char *failover_steering_to_string(enum failover_steering steering)
{
        static const char *const names[] = {
                [FAILOVER_STEERING_UNKNOWN] = "unknown",
                [FAILOVER_STEERING_BOTH] = "both",
                [FAILOVER_STEERING_PF_WINS] = "pf-wins",
                [FAILOVER_STEERING_VF_WINS] = "vf-wins",
                [FAILOVER_STEERING_FOLLOWS_GUEST] = "follows-guest",
        };

        return NAME(names, steering);
}

const char *failover_pin_to_string(enum failover_pin pin)
{
        static const char *const names[] = {
                [FAILOVER_PIN_UNKNOWN] = "unknown",
                [FAILOVER_PIN_NONE] = "none",
                [FAILOVER_PIN_TAP] = "tap",
                [FAILOVER_PIN_UPLINK] = "uplink",
        };

        return NAME(names, pin);
}

const char *failover_situation_to_string(enum failover_situation situation)
{
        static const char *const names[] = {
                [FAILOVER_SITUATION_UNKNOWN] = "unknown",         [FAILOVER_SITUATION_ABSENT] = "absent",
                [FAILOVER_SITUATION_EXPECTED] = "expected",       [FAILOVER_SITUATION_ARRIVING] = "arriving",
                [FAILOVER_SITUATION_HANDED_OVER] = "handed-over", [FAILOVER_SITUATION_UNMANAGED] = "unmanaged",
                [FAILOVER_SITUATION_SYNTHETIC] = "synthetic",     [FAILOVER_SITUATION_PREPARING] = "preparing",
                [FAILOVER_SITUATION_OFFERING] = "offering",       [FAILOVER_SITUATION_ON_VF] = "on-vf",
                [FAILOVER_SITUATION_WITHDRAWING] = "withdrawing", [FAILOVER_SITUATION_WITHDRAWN] = "withdrawn",
                [FAILOVER_SITUATION_RETURNING] = "returning",     [FAILOVER_SITUATION_ISOLATED] = "isolated",
        };

        return NAME(names, situation);
}

const char *failover_action_to_string(enum failover_action action)
{
        static const char *const names[] = {
                [FAILOVER_ADD_VF_FILTER] = "add VF filter",
                [FAILOVER_ADD_UPLINK_FILTER] = "add uplink filter",
                [FAILOVER_ADD_COPY_RULE] = "add copy rule",
                [FAILOVER_ADD_MULTICAST_ROUTER] = "make tap a multicast router port",
                [FAILOVER_PIN_TO_TAP] = "pin to tap",
                [FAILOVER_PIN_TO_UPLINK] = "pin to uplink",
                [FAILOVER_UNPIN] = "remove pin",
                [FAILOVER_REMOVE_COPY_RULE] = "remove copy rule",
                [FAILOVER_REMOVE_UPLINK_FILTER] = "remove uplink filter",
                [FAILOVER_REMOVE_VF_FILTER] = "remove VF filter",
                [FAILOVER_REMOVE_MULTICAST_ROUTER] = "make tap an ordinary multicast port",
                [FAILOVER_ANNOUNCE] = "announce MAC",
                [FAILOVER_CLAIM_VF] = "claim VF",
                [FAILOVER_PREPARE_VF] = "prepare VF",
                [FAILOVER_ATTACH_VF] = "attach VF",
                [FAILOVER_DETACH_VF] = "ask guest to unplug VF",
                [FAILOVER_RESTORE_VF] = "restore VF",
                [FAILOVER_DROP_CLAIM] = "drop claim",
        };

        return NAME(names, action);
}
