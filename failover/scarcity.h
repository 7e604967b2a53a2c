/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * More NICs than VFs: who gets one, who waits, who gives his up.
 *
 * scarcity_decide() is a pure function of the NICs that compete, the free VFs of each PF, the policy and the time. It is
 * asked again whenever one of them changes, and remembers nothing: the same input has the same answer, so a NIC that
 * was told to yield is told so again until it has, or until nobody is more deserving any more (then it keeps its VF:
 * a change of mind costs nothing that has not happened yet).
 *
 * The order is total: weight, then who has waited longer, then a number that never changes. All times are microseconds
 * of one monotonic clock.
 */

#include "failover/failover.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scarcity_standing {
        SCARCITY_OUT,   /* does not compete: nothing to give, nothing to take */
        SCARCITY_WAITS, /* could have a VF and has none */
        SCARCITY_HAS,   /* has one, or is about to get or to give back one */
};

enum scarcity_verdict {
        SCARCITY_STAY,   /* as it is: keeps what it has */
        SCARCITY_GRANT,  /* a waiting one may claim a VF now */
        SCARCITY_WAIT,   /* a waiting one: no VF is free for it */
        SCARCITY_TURN,   /* a waiting one: a VF is there, but too many moves are under way, or were in this minute */
        SCARCITY_FROZEN, /* a waiting one: the host's moves are frozen after too many failures */
        SCARCITY_YIELD,  /* gives its VF up for a more deserving one */
};

struct scarcity_nic {
        unsigned weight;
        unsigned pool; /* which PF's VFs it competes for: index into `free_vfs` */
        enum scarcity_standing standing;
        bool moving;    /* a move of it is under way */
        bool asked;     /* an operator asked for this move: neither the bounds nor a freeze stand in its way */
        bool keeps;     /* it has a VF and did not let go of it when it was asked: it is not asked for somebody else */
        bool leaving;   /* it has a VF and gives it back for another reason than this function's */
        uint64_t since; /* when it began to wait, or when it got its VF */
        uint64_t order; /* a number of its own that never changes */

        enum scarcity_verdict verdict; /* the answer */
};

struct scarcity_policy {
        bool preempt;        /* a higher weight may take a lower one's VF */
        unsigned margin;     /* ... when it is higher by at least this; 1 or more */
        uint64_t stay;       /* ... and the other one has had its VF this long */
        unsigned at_once;    /* moves under way at the same time on this host; 0: no bound */
        unsigned per_minute; /* moves begun within a minute; 0: no bound */
};

struct scarcity_host {
        unsigned moves_in_minute; /* begun within the last minute */
        uint64_t minute_ends;     /* when the oldest of them is a minute old; 0 without any */
        uint64_t frozen_until;    /* 0: not frozen */
};

/* Fills the verdict of each of the `count` NICs; their order in the array is changed. `free_vfs[pool]`: VFs that may
 * be given away now (without those kept in reserve). Returns when to ask again at the latest, FAILOVER_NEVER when only
 * a change of the input can change the answer. */
uint64_t scarcity_decide(struct scarcity_nic *nics, size_t count, const unsigned *free_vfs, size_t pools_count,
                         const struct scarcity_policy *policy, const struct scarcity_host *host, uint64_t now);

const char *scarcity_verdict_to_string(enum scarcity_verdict verdict);
