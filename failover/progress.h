/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The bookkeeping between two decisions: what was tried, what failed, when it is tried again. As pure as the core
 * itself (no clock, no I/O), so that whoever carries decisions out, the daemon or a simulation, does it by the same
 * code. All times are microseconds of the caller's monotonic clock, as in failover.h.
 */

#include "failover/failover.h"

/* What a NIC's failed actions have led to. Zero-initialised: nothing has failed. */
struct failover_progress {
        enum failover_action failed_action; /* not tried again before retry_at */
        uint64_t retry_at;                  /* 0: nothing has failed */
        unsigned retries;
};

/* Carries one action out: 0, or -errno. */
typedef int (*failover_execute)(void *userdata, enum failover_action action);
/* Told of each failure, after the bookkeeping. */
typedef void (*failover_failed)(void *userdata, enum failover_action action, int result);

/* Carries the actions of one decision out in their order. After a failure only those go on that bring the guest its
 * frames or take it out of the tables. True when everything was done (also when there was nothing to do); the caller
 * then decides again while there were actions. */
bool failover_progress_run(struct failover_progress *progress, const struct failover_decision *decision, uint64_t now,
                           failover_execute execute, failover_failed failed, void *userdata);

/* Does a table action that failed end the move? */
bool failover_progress_ends_move(const struct failover_decision *decision, enum failover_action action);

/* An action that had begun could not be done, as `times` before in a row: it is tried again after a pause, which grows with
 * them. */
void failover_progress_refused(struct failover_progress *progress, enum failover_action action, unsigned times,
                               uint64_t now);

/* Looks again later although nothing failed: the rules did not settle. */
void failover_progress_pause(struct failover_progress *progress, uint64_t now);

/* Remembers that a move was given up. */
void failover_give_up(struct failover_facts *facts, enum failover_reason reason, uint64_t now, uint64_t back_off);

/* The guest is being asked to let go of its VF. */
void failover_unplug_asked(struct failover_facts *facts, uint64_t now);

/* What only memory holds follows from where the NIC is after a decision. */
void failover_settle(struct failover_facts *facts, const struct failover_decision *decision, uint64_t now);

/* What an operator asked for ("acquire", else a release) is reached, or was given up. */
bool failover_acquire_is_over(const struct failover_decision *decision);
bool failover_release_is_over(const struct failover_facts *facts, const struct failover_decision *decision,
                              uint64_t now);

/* What a number of interrupt vectors of a VF under vfio-pci says, after what was believed before. A guest's driver that
 * enables MSI-X makes QEMU ask the kernel for one interrupt at probe time already, so one vector proves nothing yet;
 * the others follow when the netdev is opened, after its receive ring was started. They all vanish when the driver lets
 * the device go, not when it masks them. */
enum failover_known failover_vectors_from_count(unsigned count, enum failover_known before);

/* The vectors were read. True when the fact changed; what was seen of the tap then counts no more. */
bool failover_vectors_seen(struct failover_facts *facts, enum failover_known vectors, bool probed, uint64_t now);
