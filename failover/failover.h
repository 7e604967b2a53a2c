/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The core: what to do next with one NIC.
 *
 * failover_decide() is a pure function of (facts, policy, time): no I/O, no clock, no memory of its own, no
 * allocation. It is level-triggered: the same ordered table of rules is asked again whenever a fact has changed or a
 * deadline has come, and finds the next step towards the wanted path from what is observed now. A step that was lost
 * (crash, missed event) is therefore found again by looking, and recovery is ordinary operation.
 *
 * A decision has two halves. The *tables* are where frames for the NIC's MAC go; the difference between what is
 * there and what should be there comes out as actions in an order that never leaves the guest deaf: what delivers is
 * added first, then the pin turns, then the rest goes. The *step* is at most one thing done with the VF itself
 * (claim, prepare, attach, detach, restore, drop), taken after the tables of the same decision were written.
 *
 * All times are microseconds of one monotonic clock, chosen by the caller; 0 means "never".
 */

#include "failover/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAILOVER_NEVER UINT64_MAX

/* Unknown is a value: it keeps the path and starts nothing. */
enum failover_known {
        FAILOVER_UNKNOWN,
        FAILOVER_NO,
        FAILOVER_YES,
};

/* Where the guest is, seen from this host. */
enum failover_guest {
        FAILOVER_GUEST_UNKNOWN,  /* libvirt was not heard yet, or is not there */
        FAILOVER_GUEST_ABSENT,   /* no QEMU for it here */
        FAILOVER_GUEST_EXPECTED, /* an incoming migration was announced; no QEMU yet */
        FAILOVER_GUEST_INCOMING, /* QEMU waits for its state: the guest runs on another host */
        FAILOVER_GUEST_LOADED,   /* its device state is loaded: stopped there, about to run here */
        FAILOVER_GUEST_RUNNING,
        FAILOVER_GUEST_PAUSED,      /* by somebody, not by a migration */
        FAILOVER_GUEST_HANDED_OVER, /* stopped here at the end of a migration to another host */
        FAILOVER_GUEST_COUNT,
};

/* What the embedded switch does with a MAC that is VF filter and uplink filter at once. */
enum failover_steering {
        FAILOVER_STEERING_UNKNOWN,
        FAILOVER_STEERING_BOTH,          /* delivers to both */
        FAILOVER_STEERING_PF_WINS,       /* to the PF only */
        FAILOVER_STEERING_VF_WINS,       /* to the VF only, whether somebody drives it or not */
        FAILOVER_STEERING_FOLLOWS_GUEST, /* VF filter live only while the guest's driver runs */
        FAILOVER_STEERING_COUNT,
};

enum failover_claim {
        FAILOVER_CLAIM_NONE,
        FAILOVER_CLAIM_LEASED, /* for a guest that has not arrived yet */
        FAILOVER_CLAIM_CLAIMED,
};

/* The call on a worker thread that has not been answered yet. */
enum failover_call {
        FAILOVER_CALL_NONE,
        FAILOVER_CALL_PREPARE,
        FAILOVER_CALL_ATTACH,
        FAILOVER_CALL_DETACH, /* asking; the guest's answer is another fact */
        FAILOVER_CALL_RESTORE,
};

enum failover_pin {
        FAILOVER_PIN_UNKNOWN,
        FAILOVER_PIN_NONE,
        FAILOVER_PIN_TAP,
        FAILOVER_PIN_UPLINK,
};

struct failover_facts {
        enum failover_guest guest;
        bool outgoing;             /* a migration away from here is under way: QEMU plugs and unplugs by itself */
        bool unplug_asked_by_qemu; /* UNPLUG_PRIMARY was seen in this migration */

        enum failover_reason obstacle; /* why this NIC may not have a VF at all, found outside; NONE: it may */
        bool vf_available;             /* a free VF is there for it (only asked while it has no claim) */
        enum failover_reason no_vf;    /* why not, when vf_available is false */
        bool tap_present;              /* the tap is a port of the switch: it can be pinned */
        bool uplink_present;
        bool uplink_up;              /* set up and with carrier */
        enum failover_known standby; /* the guest accepted STANDBY since its last reset; NO: it would have been seen */
        enum failover_steering steering;

        uint64_t guest_since;   /* since when `guest` and `outgoing` have their present values */
        bool tables_of_another; /* another NIC with the same MAC owns the tables: they are not touched for this one */

        enum failover_claim claim;
        bool vf_gone;                 /* the claimed VF does not exist any more */
        bool pf_dead;                 /* the claimed VF's card is gone, set down or without carrier */
        uint64_t lease_until;         /* LEASED: when it ends if the guest does not come */
        bool touched;                 /* something of the VF was changed since it was claimed */
        bool programmed_by_owner;     /* its MAC is set and given back by who put it into the guest: libvirt */
        enum failover_known prepared; /* the VF is bound to vfio-pci and has every attribute but the MAC */
        bool settable_in_use;         /* what it lacks of them can be set while the guest drives it */
        enum failover_known attached; /* the guest's QEMU has it as a device */
        uint64_t attached_since;
        enum failover_known vectors; /* the guest's VF driver is up */
        uint64_t vectors_since;      /* since when `vectors` has its present value */
        uint64_t on_vf_since;        /* since when the tables send its frames to the VF alone; see failover_settle() */
        bool probed;                 /* one vector: the guest's driver has looked at the VF and read its MAC */
        bool sends_on_tap;           /* after the vectors appeared the guest's own frames still come out of the tap */

        enum failover_call call;
        uint64_t unplug_asked;         /* when the guest was last asked to let go of the VF; 0: not in this release */
        unsigned unplug_attempts;      /* how often, in this release */
        uint64_t unplug_refused_until; /* the release was given up; not asked again before this time */
        bool unplug_refused;           /* ... at least once, and since then it neither let go nor may it keep the VF */

        /* The tables as they were read. */
        enum failover_known vf_filter;
        enum failover_known uplink_filter;
        enum failover_known copy_rule;
        enum failover_known multicast_router; /* the tap is a permanent multicast router port */
        enum failover_pin pin;

        bool held;                    /* an operator (or a migration) wants it on the synthetic path */
        enum failover_reason failure; /* why the last move was given up */
        uint64_t back_off_until;      /* no new move before this time */
        bool announce_wanted;         /* the MAC came to this host and the wire does not know yet */
};

struct failover_policy {
        bool want_vf;                  /* weight > 0 */
        uint64_t guest_driver_timeout; /* attached (and STANDBY accepted) -> vectors */
        uint64_t guest_boot_timeout;   /* the same while STANDBY is not accepted: the guest may be booting */
        uint64_t unplug_timeout;       /* asked -> gone; then asked again */
        unsigned unplug_attempts;      /* how often before the release is given up */
        uint64_t confirm_window;       /* how long after the vectors appeared the tap is watched */
};

/* Where frames for the NIC's MAC should go. */
struct failover_tables {
        bool vf_filter;
        bool uplink_filter;
        bool copy_rule;
        bool multicast_router;
        enum failover_pin pin; /* NONE, TAP or UPLINK */
};

enum failover_situation {
        FAILOVER_SITUATION_UNKNOWN, /* nothing is done: the facts that matter are not known */
        FAILOVER_SITUATION_ABSENT,
        FAILOVER_SITUATION_EXPECTED,
        FAILOVER_SITUATION_ARRIVING,
        FAILOVER_SITUATION_HANDED_OVER,
        FAILOVER_SITUATION_UNMANAGED, /* somebody else's VF is in the guest: hands off */
        FAILOVER_SITUATION_SYNTHETIC,
        FAILOVER_SITUATION_PREPARING, /* a VF is claimed and being made ready */
        FAILOVER_SITUATION_OFFERING,  /* both paths deliver; the guest's VF driver is not up yet */
        FAILOVER_SITUATION_ON_VF,
        FAILOVER_SITUATION_ISOLATED,    /* it does not let go of a VF that leads nowhere, and hears nothing else */
        FAILOVER_SITUATION_WITHDRAWING, /* both paths deliver; the guest was asked to let go */
        FAILOVER_SITUATION_WITHDRAWN,   /* the guest let go; the device is not removed yet */
        FAILOVER_SITUATION_RETURNING,   /* the VF gets its old settings back */
        FAILOVER_SITUATION_COUNT,
};

enum failover_action {
        /* Tables, in the order in which they may appear */
        FAILOVER_ADD_VF_FILTER,
        FAILOVER_ADD_COPY_RULE, /* before the uplink filter, see emit_tables() */
        FAILOVER_ADD_UPLINK_FILTER,
        FAILOVER_ADD_MULTICAST_ROUTER,
        FAILOVER_PIN_TO_TAP,
        FAILOVER_PIN_TO_UPLINK,
        FAILOVER_UNPIN,
        FAILOVER_REMOVE_UPLINK_FILTER,
        FAILOVER_REMOVE_COPY_RULE,
        FAILOVER_REMOVE_VF_FILTER,
        FAILOVER_REMOVE_MULTICAST_ROUTER,
        FAILOVER_ANNOUNCE,
        /* Steps: at most one, always last */
        FAILOVER_CLAIM_VF,
        FAILOVER_PREPARE_VF, /* bind to vfio-pci and program all but the MAC; only program it when it is attached */
        FAILOVER_ATTACH_VF,
        FAILOVER_DETACH_VF,  /* ask the guest to let go */
        FAILOVER_RESTORE_VF, /* reset, settings from before the claim */
        FAILOVER_DROP_CLAIM,
        FAILOVER_ACTION_COUNT,
};

#define FAILOVER_ACTIONS_MAX 12

struct failover_decision {
        const char *rule; /* the name of the rule that applied */
        enum failover_situation situation;
        bool wants_vf;               /* the wanted path is the VF */
        enum failover_reason reason; /* why it is not on a VF; NONE when it is */
        struct failover_tables tables;
        enum failover_action actions[FAILOVER_ACTIONS_MAX];
        size_t actions_count;
        enum failover_reason give_up; /* the move has failed: remember as `failure`, start the back-off, decide again */
        bool watch_vectors;           /* a move waits for the vectors to change: look often */
        bool watch_tap;               /* the confirmation is running: look at the tap's counter */
        uint64_t deadline;            /* decide again at this time at the latest; FAILOVER_NEVER */
};

/* Fills *ret completely. */
void failover_decide(const struct failover_facts *facts, const struct failover_policy *policy, uint64_t now,
                     struct failover_decision *ret);

/* Names for logs, the API and documents; never NULL. */
const char *failover_known_to_string(enum failover_known value);
const char *failover_guest_to_string(enum failover_guest guest);
const char *failover_steering_to_string(enum failover_steering steering);
const char *failover_situation_to_string(enum failover_situation situation);
const char *failover_action_to_string(enum failover_action action);
const char *failover_pin_to_string(enum failover_pin pin);

/* The rules in their order, for documents and coverage. NULL past the end. */
const char *failover_rule_name(size_t index);
const char *failover_rule_applies(size_t index); /* when, in words */
enum failover_situation failover_rule_situation(size_t index);
bool failover_rule_keeps_tables(size_t index); /* it touches none */
