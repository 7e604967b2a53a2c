/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting for the end of a move.
 *
 * Theory of operation: the daemon starts a move and answers; the NIC's properties then tell how it goes. Each time
 * they change (and every now and then, should a signal be missed) the NIC is read again:
 * it is where it should be: done. Its `request` was there and is not any more: the daemon has given the move up, and
 * the NIC's reason says why. A NIC with a reason that has not begun to move after a moment will not begin now.
 */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_AGAIN_USEC UINT64_C(500000)
#define ANSWER_USEC     UINT64_C(10000000)
#define SETTLE_USEC     UINT64_C(3000000)

static bool is(const json_t *nic, const char *key, const char *value)
{
        return strcmp(table_text(nic, key), value) == 0;
}

static bool has_arrived(const struct move *move, const json_t *nic)
{
        bool allocated = json_is_true(json_object_get(nic, "vf_allocated"));

        return move->to_vf ? is(nic, "path", "vf") && allocated
                           : !is(nic, "path", "vf") && !is(nic, "path", "both") && !allocated;
}

static bool is_moving(const json_t *nic)
{
        static const char *const situations[] = { "preparing", "offering", "withdrawing", "withdrawn", "returning" };

        for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++)
                if (is(nic, "situation", situations[i]))
                        return true;
        return false;
}

/* What was seen of the move so far. */
struct progress {
        uint64_t begin;
        bool was_requested;
        bool was_moving;
};

static bool is_given_up(struct progress *progress, const json_t *nic)
{
        if (*table_text(nic, "request")) {
                progress->was_requested = true;
                return false;
        }
        if (progress->was_requested)
                return true;
        if (is_moving(nic)) {
                progress->was_moving = true;
                return false;
        }
        return progress->was_moving || client_now() - progress->begin > SETTLE_USEC;
}

static const struct client_signals no_signals;

enum move_result move_wait(struct client *client, const struct move *move, uint64_t deadline, json_t **ret_nic,
                           struct vswitch_error *error)
{
        struct progress progress = { .begin = client_now() };
        _cleanup_json_ json_t *nic = NULL;
        enum move_result result;
        int r;

        /* Any signal ends a wait; which one does not matter, since the NIC is read again. */
        r = client_subscribe(client, &no_signals, NULL, error);
        for (;;) {
                json_t *newer = NULL;
                uint64_t now;

                if (r >= 0)
                        r = client_nic(client, move->uuid, move->alias, ANSWER_USEC, &newer, error);
                if (r < 0) {
                        result = r == -ENOENT ? MOVE_NIC_GONE : MOVE_LOST;
                        break;
                }
                json_decref(nic);
                nic = newer;
                now = client_now();
                if (has_arrived(move, nic)) {
                        result = MOVE_DONE;
                        break;
                }
                if (is_given_up(&progress, nic)) {
                        result = MOVE_FAILED;
                        break;
                }
                if (now >= deadline) {
                        result = MOVE_TIMED_OUT;
                        break;
                }
                r = client_wait(client, deadline - now < READ_AGAIN_USEC ? deadline - now : READ_AGAIN_USEC, error);
        }
        if (ret_nic)
                *ret_nic = TAKE_PTR(nic);
        return result;
}

void move_explain(enum move_result result, const struct move *move, const json_t *nic, char *buffer, size_t size)
{
        const char *sentence = table_text(nic, "reason_sentence"), *remedy = table_text(nic, "remedy");

        switch (result) {
        case MOVE_DONE:
                snprintf(buffer, size, "done");
                break;
        case MOVE_FAILED:
                if (move->to_vf)
                        snprintf(buffer, size, "it stays on the synthetic path: %s%s%s",
                                 *sentence ? sentence : "the daemon gave no reason", *remedy ? "; " : "", remedy);
                else
                        snprintf(buffer, size, "it stays on its VF: %s; %s",
                                 *sentence ? sentence : "the guest did not let go of it",
                                 *remedy ? remedy : "`vswitch monitor` tells more, try again later");
                break;
        case MOVE_TIMED_OUT:
                snprintf(buffer, size,
                         "the move has not ended in time (%s) and goes on; `vswitch nic show %s` tells how it ends",
                         table_text(nic, "situation"), table_text(nic, "nic"));
                break;
        case MOVE_NIC_GONE:
                snprintf(buffer, size, "the guest has stopped or left this host meanwhile");
                break;
        case MOVE_LOST:
                snprintf(buffer, size, "the connection to vswitchd was lost; `vswitch nic show` tells how it ends");
                break;
        }
}
