/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/crash/matrix.h"
#include "tests/crash/shown.h"
#include "tests/netns/netns_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Emulated hardware takes its time. */
#define DEADLINE (30 * USEC_PER_SEC)

/* Turns of the daemon's loop without a change, after which there will be none until something happens. */
#define QUIET_TURNS 4

/* More than any operation has. */
#define POINTS_MAX 200

enum end_state {
        GONE,
        SYNTHETIC,
        ON_VF,
        END_STATES_COUNT,
};

/* What a daemon that was never killed leaves there. */
static char *wanted[END_STATES_COUNT];

struct operation {
        const char *name;
        enum end_state end;
        /* What libvirt, QEMU, the guest and the operator do. Goes on whether there is a daemon or not. */
        void (*run)(void);
        bool (*is_done)(void); /* asked of the daemon */
        bool always_reachable; /* the guest runs here all the time, and only the daemon asks it for anything */
};

static const struct operation *operation;
static enum matrix_restart restart_mode;
static unsigned point, ends;

static uint64_t now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t) time.tv_sec * USEC_PER_SEC + (uint64_t) time.tv_nsec / 1000;
}

/* ---- the daemon comes and goes ---- */

static const char *where(void)
{
        static char text[512];

        snprintf(text, sizeof(text), "%s, ended after write %u (last: %s), now %s (rule %s, reason %s)",
                 operation ? operation->name : "at rest", point, host->writes.last,
                 failover_situation_to_string(host->daemon.situation), host->daemon.rule,
                 failover_reason_code(host->daemon.reason));
        return text;
}

static void daemon_is_gone(void)
{
        if (operation && operation->always_reachable)
                ck_assert_msg(shown_deafness()[0] == '\0', "%s: %s", where(), shown_deafness());
        ends++;
        if (restart_mode == MATRIX_WHEN_IT_IS_OVER)
                return;
        daemon_start(0);
}

/* QEMU and the guest do what they would; a daemon that ended is started, when that is how it is. */
static void play(void)
{
        host_play();
        if (daemon_has_ended())
                daemon_is_gone();
        usleep(2000);
}

static bool is_quiet(void)
{
        return host->daemon.ready && host->daemon.heard == host->happened && host->daemon.idle >= QUIET_TURNS &&
               !host->daemon.calls;
}

/* Until the daemon has done all that it does about what has happened so far; without one, for long enough that QEMU
 * and the guest have done what they do. `is_done` may be NULL. False: there is no daemon. */
static bool wait_for_daemon(bool (*is_done)(void))
{
        uint64_t deadline = now() + DEADLINE;

        do {
                play();
                ck_assert_msg(now() < deadline, "not done: %s\n%s", where(), daemon_log());
        } while (daemon_is_there() && (!is_quiet() || (is_done && !is_done())));
        for (int i = 0; !daemon_is_there() && i < 4; i++)
                host_play();
        return daemon_is_there();
}

static void expect_shown(enum end_state state)
{
        char *shown = shown_all();

        if (!wanted[state]) {
                wanted[state] = shown;
                return;
        }
        ck_assert_msg(strcmp(shown, wanted[state]) == 0, "%s\nis there:\n%s\nshould be:\n%s\n%s", where(), shown,
                      wanted[state], daemon_log());
        free(shown);
}

/* A daemon with nothing to do writes nothing. */
static void restart_quietly(void)
{
        daemon_kill();
        daemon_start(0);
        wait_for_daemon(operation->is_done);
        ck_assert_msg(host->writes.count == 0, "%s: a second restart wrote %u times, last: %s\n%s", where(),
                      host->writes.count, host->writes.last, daemon_log());
        expect_shown(operation->end);
}

/* True when the daemon ended in it. */
static bool run_once(const struct operation *what, unsigned ends_after)
{
        unsigned before = ends;

        operation = what;
        point = ends_after;
        host->writes.limit = ends_after > 0 ? host->writes.count + ends_after : 0;
        if (ends_after == 0) {
                daemon_kill();
                daemon_is_gone();
        }
        operation->run();
        host->writes.limit = 0;
        if (!daemon_is_there())
                daemon_start(0);
        wait_for_daemon(operation->is_done);
        expect_shown(operation->end);
        restart_quietly();
        operation = NULL;
        return ends != before;
}

static void run_undisturbed(const struct operation *what)
{
        operation = what;
        host->writes.limit = 0;
        what->run();
        wait_for_daemon(what->is_done);
        expect_shown(what->end);
        operation = NULL;
}

/* Operations that lead from one to the next and at last to where the first began: each with the daemon ended after
 * each of its writes. */
static void run_cycle(const struct operation *const *operations, size_t count)
{
        bool through[8] = { false };
        unsigned points[8] = { 0 };
        size_t open = count;

        for (size_t i = 0; i < count; i++)
                run_undisturbed(operations[i]);
        for (unsigned ends_after = 0; open > 0; ends_after++) {
                ck_assert_msg(ends_after < POINTS_MAX, "%s", where());
                for (size_t i = 0; i < count; i++) {
                        if (through[i]) {
                                run_undisturbed(operations[i]);
                                continue;
                        }
                        if (run_once(operations[i], ends_after)) {
                                points[i]++;
                        } else {
                                through[i] = true;
                                open--;
                        }
                }
        }
        for (size_t i = 0; i < count; i++)
                fprintf(stderr, "%-45s | restart %-15s | %3u crash points | all converged\n", operations[i]->name,
                        restart_mode == MATRIX_AT_ONCE ? "at once" : "when it is over", points[i]);
}

#define RUN_CYCLE(...)                                                                                                 \
        run_cycle((const struct operation *const[]){ __VA_ARGS__ },                                                    \
                  sizeof((const struct operation *const[]){ __VA_ARGS__ }) / sizeof(struct operation *))

/* ---- what is asked of the daemon ---- */

static bool is_on_vf(void)
{
        return host->daemon.situation == FAILOVER_SITUATION_ON_VF && host->daemon.has_nic;
}

static bool is_held(void)
{
        return host->daemon.situation == FAILOVER_SITUATION_SYNTHETIC && !host->daemon.has_claim && host->daemon.held;
}

static bool is_gone(void)
{
        return !host->daemon.has_nic;
}

static bool is_held_or_withdrawing(void)
{
        return host->daemon.held;
}

static bool is_not_held(void)
{
        return !host->daemon.held;
}

/* ---- the operations ---- */

static void run_start(void)
{
        host_start(GUEST_RUNNING, NULL);
        host_emit(GUEST_EVENT_STANDBY_NEGOTIATED, CRASH_ALIAS, NULL);
        wait_for_daemon(is_on_vf);
}

static const struct operation start = { "guest starts, acquire", ON_VF, run_start, is_on_vf, true };

static void run_end(void)
{
        host_end("stopped/destroyed");
        wait_for_daemon(is_gone);
}

static const struct operation end = { "guest on its VF ends", GONE, run_end, is_gone, false };

/* An operator asks again when his daemon ended before it answered. */
static void ask_until(enum host_happening_kind request, const char *detail, bool (*is_accepted)(void))
{
        do
                host_ask(request, detail);
        while (wait_for_daemon(NULL) && !is_accepted());
}

static void run_release(void)
{
        ask_until(HOST_RELEASE, "hold", is_held_or_withdrawing);
        wait_for_daemon(is_held);
}

static void run_acquire(void)
{
        ask_until(HOST_ACQUIRE, "", is_not_held);
        wait_for_daemon(is_on_vf);
}

static bool release_is_done(void)
{
        if (!host->daemon.held && is_quiet())
                host_ask(HOST_RELEASE, "hold");
        return is_held();
}

static bool acquire_is_done(void)
{
        if (host->daemon.held && is_quiet())
                host_ask(HOST_ACQUIRE, "");
        return is_on_vf();
}

static const struct operation release = { "release, held", SYNTHETIC, run_release, release_is_done, true };
static const struct operation acquire = { "acquire, by command", ON_VF, run_acquire, acquire_is_done, true };

/* QEMU asks the guest for its VF, the guest obeys, the memory is copied. */
static void run_migration_until_it_stops(void)
{
        host_set_state(GUEST_RUNNING, true);
        host_emit(GUEST_EVENT_MIGRATION, NULL, "setup");
        host_emit(GUEST_EVENT_UNPLUG_ASKED, CRASH_VF_ALIAS, NULL);
        wait_for_daemon(NULL);
        host_migration_wants_vf(true);
        wait_for_daemon(NULL);
        host_emit(GUEST_EVENT_MIGRATION, NULL, "active");
        wait_for_daemon(NULL);
}

static void run_cancelled(void)
{
        run_migration_until_it_stops();
        host_migration_wants_vf(false);
        host_set_state(GUEST_RUNNING, false);
        host_emit(GUEST_EVENT_MIGRATION, NULL, "cancelled");
        wait_for_daemon(is_on_vf);
}

static const struct operation cancelled = { "migration away, cancelled", ON_VF, run_cancelled, is_on_vf, false };

static void run_leave(void)
{
        run_migration_until_it_stops();
        host_emit(GUEST_EVENT_STOPPED, NULL, NULL);
        host_set_state(GUEST_HANDED_OVER, true);
        wait_for_daemon(NULL);
        host_end("stopped/migrated");
        wait_for_daemon(is_gone);
}

static const struct operation leave = { "migration away", GONE, run_leave, is_gone, false };

static bool is_answered(void)
{
        return host->answered;
}

/* The hook is answered by a daemon that lives; without an answer the migration fails, and is tried again. */
static void announce(void)
{
        host->answered = false;
        do {
                if (!daemon_is_there())
                        daemon_start(0);
                host_ask(HOST_HOOK, "");
                wait_for_daemon(NULL);
        } while (!is_answered());
        ck_assert_msg(host->leased_vf[0] != '\0', "refused: %s\n%s", where(), daemon_log());
}

static void run_arrive(void)
{
        announce();
        host_start(GUEST_INCOMING, host->leased_vf);
        wait_for_daemon(NULL);
        host_emit(GUEST_EVENT_STANDBY_NEGOTIATED, CRASH_ALIAS, NULL);
        wait_for_daemon(NULL);
        host_set_state(GUEST_RUNNING, false);
        host_emit(GUEST_EVENT_RESUMED, NULL, NULL);
        wait_for_daemon(is_on_vf);
}

static const struct operation arrive = { "migration here", ON_VF, run_arrive, is_on_vf, false };

static void run_failed_arrival(void)
{
        announce();
        host_start(GUEST_INCOMING, host->leased_vf);
        wait_for_daemon(NULL);
        host_end("stopped/failed");
        wait_for_daemon(is_gone);
}

static const struct operation failed_arrival = { "migration here, failed", GONE, run_failed_arrival, is_gone, false };

static void run_lease(void)
{
        announce();
        wait_for_daemon(is_gone);
}

static const struct operation lease = { "migration here, guest never comes", GONE, run_lease, is_gone, false };

/* ---- the matrix ---- */

void matrix_begin(const struct crash_card *card)
{
        host_begin(card);
        daemon_begin();
        /* What a daemon makes once and leaves. */
        daemon_start(0);
        wait_for_daemon(NULL);
        shown_begin();
        expect_shown(GONE);
}

void matrix_end(void)
{
        expect_shown(GONE);
        daemon_end();
        shown_end();
        for (size_t i = 0; i < END_STATES_COUNT; i++)
                free(wanted[i]);
}

void matrix_acquire_and_end(enum matrix_restart restart)
{
        restart_mode = restart;
        RUN_CYCLE(&start, &end);
}

void matrix_release_and_cancelled_migration(enum matrix_restart restart)
{
        restart_mode = restart;
        run_undisturbed(&start);
        run_undisturbed(&release);
        RUN_CYCLE(&acquire, &cancelled, &release);
        run_undisturbed(&end);
}

void matrix_migrations(enum matrix_restart restart)
{
        restart_mode = restart;
        RUN_CYCLE(&arrive, &leave);
}

void matrix_lease_that_ends(enum matrix_restart restart)
{
        restart_mode = restart;
        daemon_config.lease_timeout_usec = host_card->lease_usec;
        daemon_kill();
        daemon_start(0);
        RUN_CYCLE(&failed_arrival, &lease);
}

/* ---- no room for the daemon's files ---- */

static bool acquire_has_failed(void)
{
        return host->daemon.situation == FAILOVER_SITUATION_SYNTHETIC && !host->daemon.has_claim &&
               host->daemon.reason == FAILOVER_REASON_CLAIM_FAILED;
}

static void expect_kernel(const char *shown_before)
{
        char *shown = shown_kernel();

        ck_assert_msg(strcmp(shown, shown_before) == 0, "%s\nis there:\n%s\nwas:\n%s\n%s", where(), shown, shown_before,
                      daemon_log());
        free(shown);
}

static void restart(void)
{
        daemon_kill();
        daemon_start(0);
}

/* A move that failed for want of room is tried again soon. */
static void begin_with_short_back_off(void)
{
        restart_mode = MATRIX_AT_ONCE;
        daemon_config.back_off_usec = 300 * USEC_PER_MSEC;
        restart();
}

void matrix_full_disk_stops_an_acquire(void)
{
        char *before;

        begin_with_short_back_off();
        run_undisturbed(&start);
        run_undisturbed(&release);
        before = shown_kernel();
        daemon_fill_disk(true);
        host_ask(HOST_ACQUIRE, "");
        wait_for_daemon(acquire_has_failed);
        ck_assert_msg(strstr(host->daemon.failure_words, strerror(ENOSPC)) != NULL, "\"%s\"",
                      host->daemon.failure_words);
        expect_kernel(before);
        free(before);
        daemon_fill_disk(false);
        wait_for_daemon(is_on_vf);
        expect_shown(ON_VF);

        /* A guest that is on its VF stays there, and a daemon that starts has nothing to do. */
        before = shown_kernel();
        daemon_fill_disk(true);
        restart();
        wait_for_daemon(is_on_vf);
        ck_assert_msg(host->writes.count == 0, "%s", host->writes.last);
        expect_kernel(before);
        free(before);
        daemon_fill_disk(false);
        run_undisturbed(&end);
}

static bool released(void)
{
        if (is_on_vf() && is_quiet())
                host_ask(HOST_RELEASE, "");
        return host->daemon.situation == FAILOVER_SITUATION_SYNTHETIC && !host->daemon.has_claim;
}

static void run_release_for_now(void)
{
        host_ask(HOST_RELEASE, "");
        wait_for_daemon(released);
}

static const struct operation release_without_room = { "release, disk full", SYNTHETIC, run_release_for_now, released,
                                                       true };

/* A release that needs a file written would leave the guest without a way off its VF. */
void matrix_full_disk_release(enum matrix_restart restart_when)
{
        unsigned before, points = 0, ends_after = 0;
        char *synthetic;

        run_undisturbed(&start);
        run_undisturbed(&release);
        synthetic = shown_kernel();
        run_undisturbed(&acquire);
        restart_mode = restart_when;
        do {
                ck_assert_uint_lt(ends_after, POINTS_MAX);
                before = ends;
                operation = &release_without_room;
                point = ++ends_after;
                daemon_fill_disk(true);
                host->writes.limit = host->writes.count + ends_after;
                operation->run();
                host->writes.limit = 0;
                if (!daemon_is_there())
                        daemon_start(0);
                wait_for_daemon(released);
                expect_kernel(synthetic);
                daemon_fill_disk(false);
                points += ends != before;
                operation = NULL;
                run_undisturbed(&acquire);
        } while (ends != before);
        fprintf(stderr, "%-45s | restart %-15s | %3u crash points | all converged\n", release_without_room.name,
                restart_mode == MATRIX_AT_ONCE ? "at once" : "when it is over", points);
        free(synthetic);
        run_undisturbed(&end);
}

static bool is_recorded(void)
{
        return host->daemon.recorded && is_held();
}

/* A guest that starts now is reachable, and what is known only to the memory of the daemon is written when it can be. */
void matrix_full_disk_new_guest(void)
{
        char *before;

        begin_with_short_back_off();
        daemon_fill_disk(true);
        host_start(GUEST_RUNNING, NULL);
        host_emit(GUEST_EVENT_STANDBY_NEGOTIATED, CRASH_ALIAS, NULL);
        wait_for_daemon(acquire_has_failed);
        ck_assert_str_eq(shown_deafness(), "");
        before = shown_kernel();
        ck_assert_msg(strstr(before, "pin -> tap") != NULL, "%s", before);
        ck_assert(!host->daemon.recorded);
        host_ask(HOST_RELEASE, "hold");
        wait_for_daemon(is_held);
        daemon_fill_disk(false);
        wait_for_daemon(is_recorded);
        restart();
        wait_for_daemon(is_recorded);
        expect_kernel(before);

        /* Also by another daemon than the one that made the entries. */
        host_end("stopped/destroyed");
        wait_for_daemon(is_gone);
        expect_shown(GONE);
        daemon_fill_disk(true);
        host_start(GUEST_RUNNING, NULL);
        host_emit(GUEST_EVENT_STANDBY_NEGOTIATED, CRASH_ALIAS, NULL);
        wait_for_daemon(acquire_has_failed);
        restart();
        wait_for_daemon(acquire_has_failed);
        expect_kernel(before);
        daemon_fill_disk(false);
        wait_for_daemon(is_on_vf);
        expect_shown(ON_VF);
        run_undisturbed(&end);
        free(before);
}

static bool claim_is_on_disk(void)
{
        char *shown = shown_all();
        bool found = strstr(shown, "claims/") && strstr(shown, "nics/");

        free(shown);
        return found && is_on_vf();
}

void matrix_full_disk_lost_files(void)
{
        char *before;

        restart_mode = MATRIX_AT_ONCE;
        run_undisturbed(&start);
        before = shown_kernel();
        daemon_kill();
        daemon_lose_files();
        daemon_fill_disk(true);
        daemon_start(0);
        wait_for_daemon(is_on_vf);
        ck_assert(!claim_is_on_disk());
        expect_kernel(before);
        daemon_fill_disk(false);
        wait_for_daemon(claim_is_on_disk);
        restart();
        wait_for_daemon(is_on_vf);
        expect_kernel(before);
        free(before);
        run_undisturbed(&end);
}
