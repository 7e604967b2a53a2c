/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a guest is, by what QEMU and libvirt say in the order in which they say it (QEMU 8 to 11, libvirt 9 to 11). Each
 * story is told twice where libvirt's snapshots may come at any moment: once without them and once after every word.
 */

#include "failover/presence.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Who says it, and then: where the guest is. A snapshot after it shows `shown`, and whether the job goes out. */
struct word {
        char who; /* 'q' MIGRATION, 'l' lifecycle, 's' STOP, 'r' RESUME, 'u' UNPLUG_PRIMARY, 'n' FAILOVER_NEGOTIATED */
        const char *text;
        enum failover_guest then;
        enum failover_shown shown;
        bool job;
        bool announces;
};

#define RUNNING  .then = FAILOVER_GUEST_RUNNING, .shown = FAILOVER_SHOWN_RUNNING
#define HANDED   .then = FAILOVER_GUEST_HANDED_OVER, .shown = FAILOVER_SHOWN_HANDED_OVER
#define INCOMING .then = FAILOVER_GUEST_INCOMING, .shown = FAILOVER_SHOWN_INCOMING
#define LOADED   .then = FAILOVER_GUEST_LOADED, .shown = FAILOVER_SHOWN_INCOMING
#define ABSENT   .then = FAILOVER_GUEST_ABSENT, .shown = FAILOVER_SHOWN_OFF
#define PAUSED   .then = FAILOVER_GUEST_PAUSED, .shown = FAILOVER_SHOWN_PAUSED

#define EXPECTED .then = FAILOVER_GUEST_EXPECTED, .shown = FAILOVER_SHOWN_OFF

#define WORDS_MAX 12

static const struct story {
        const char *name;
        enum failover_guest begins;
        struct word words[WORDS_MAX];
} stories[] = {
        { "pre-copy, source",
          FAILOVER_GUEST_RUNNING,
          { { 'q', "setup", RUNNING, .job = true },
            { 'u', "", RUNNING, .job = true },
            { 'q', "wait-unplug", RUNNING, .job = true },
            { 'q', "active", RUNNING, .job = true },
            { 's', "", HANDED, .job = true },
            { 'q', "pre-switchover", HANDED, .job = true },
            { 'q', "device", HANDED, .job = true },
            { 'l', "suspended/migrated", HANDED, .job = true },
            { 'q', "completed", HANDED, .job = true },
            { 'l', "stopped/migrated", ABSENT } } },
        { "pre-copy, destination, STANDBY accepted",
          FAILOVER_GUEST_EXPECTED,
          { { 'l', "started/migrated", INCOMING },
            { 'q', "active", INCOMING },
            { 'n', "", LOADED, .announces = true },
            { 'q', "completed", LOADED },
            { 'r', "", RUNNING },
            { 'l', "resumed/migrated", RUNNING } } },
        { "post-copy, source: the guest stops long before the end",
          FAILOVER_GUEST_RUNNING,
          { { 'q', "setup", RUNNING, .job = true },
            { 'q', "active", RUNNING, .job = true },
            { 'q', "postcopy-active", RUNNING, .job = true },
            { 's', "", HANDED, .job = true },
            { 'l', "suspended/postcopy", HANDED, .job = true },
            { 'q', "completed", HANDED, .job = true },
            { 'l', "suspended/migrated", HANDED, .job = true },
            { 'l', "stopped/migrated", ABSENT } } },
        { "post-copy, source, newer QEMU: stopped before the word",
          FAILOVER_GUEST_RUNNING,
          { { 'q', "setup", RUNNING, .job = true },
            { 'q', "active", RUNNING, .job = true },
            { 's', "", HANDED, .job = true },
            { 'q', "postcopy-device", HANDED, .job = true },
            { 'q', "postcopy-active", HANDED, .job = true },
            { 'l', "suspended/postcopy", HANDED, .job = true },
            { 'q', "completed", HANDED, .job = true },
            { 'l', "stopped/migrated", ABSENT } } },
        { "post-copy, destination: it runs long before the end",
          FAILOVER_GUEST_EXPECTED,
          { { 'l', "started/migrated", INCOMING },
            { 'q', "active", INCOMING },
            { 'q', "postcopy-active", LOADED, .announces = true },
            { 'n', "", LOADED },
            { 'r', "", RUNNING },
            { 'l', "resumed/postcopy", RUNNING },
            { 'q', "completed", RUNNING },
            { 'l', "resumed/migrated", RUNNING } } },
        { "post-copy that breaks: the source has not the whole guest any more",
          FAILOVER_GUEST_RUNNING,
          { { 'q', "setup", RUNNING, .job = true },
            { 'q', "active", RUNNING, .job = true },
            { 'q', "postcopy-active", RUNNING, .job = true },
            { 's', "", HANDED, .job = true },
            { 'l', "suspended/postcopy", HANDED, .job = true },
            { 'q', "postcopy-paused", HANDED, .job = true },
            { 'l', "suspended/postcopy-failed", HANDED, .job = true },
            { 'q', "postcopy-recover", HANDED, .job = true },
            { 'q', "postcopy-active", HANDED, .job = true },
            { 'q', "completed", HANDED, .job = true },
            { 'l', "stopped/migrated", ABSENT } } },
        { "it fails after the guest has stopped: it goes on here, and the wire hears",
          FAILOVER_GUEST_RUNNING,
          { { 'q', "setup", RUNNING, .job = true },
            { 'q', "active", RUNNING, .job = true },
            { 's', "", HANDED, .job = true },
            { 'q', "failed", HANDED, .job = true },
            { 'r', "", RUNNING, .announces = true },
            { 'l', "resumed/migrated", RUNNING } } },
        { "saved to a file: it is stopped first, and goes nowhere",
          FAILOVER_GUEST_RUNNING,
          { { 's', "", PAUSED },
            { 'q', "setup", PAUSED },
            { 'q', "active", PAUSED },
            { 'q', "completed", PAUSED },
            { 'l', "stopped/saved", ABSENT } } },
        { "restored: told when it has been loaded and has negotiated",
          FAILOVER_GUEST_EXPECTED,
          { { 'q', "setup", EXPECTED },
            { 'n', "", EXPECTED },
            { 'q', "completed", EXPECTED },
            { 'l', "started/restored", LOADED, .announces = true },
            { 'r', "", RUNNING } } },
};

#define STORIES (int) (sizeof(stories) / sizeof(stories[0]))

static unsigned tell(struct failover_presence *presence, const struct word *word)
{
        switch (word->who) {
        case 'q':
                return failover_presence_on_migration(presence, word->text);
        case 'l':
                return failover_presence_on_lifecycle(presence, word->text);
        case 's':
                return failover_presence_on_stop(presence);
        case 'r':
                return failover_presence_on_resume(presence);
        case 'u':
                return failover_presence_on_unplug_asked(presence);
        default:
                return failover_presence_on_standby(presence);
        }
}

static void play(const struct story *story, bool with_snapshots)
{
        struct failover_presence presence = { .state = story->begins };

        for (const struct word *word = story->words; word->who; word++) {
                unsigned follows = tell(&presence, word);

                /* A snapshot may know what QEMU's words do not: that a guest which was stopped is not leaving. */
                if (with_snapshots)
                        follows |= failover_presence_on_snapshot(&presence, word->shown, word->job);
                if (!with_snapshots && word->then == FAILOVER_GUEST_PAUSED)
                        continue;
                ck_assert_msg(presence.state == word->then, "%s%s: after %c %s the guest is %s, not %s", story->name,
                              with_snapshots ? " (with snapshots)" : "", word->who, word->text,
                              failover_guest_to_string(presence.state), failover_guest_to_string(word->then));
                ck_assert_msg(!!(follows & FAILOVER_PRESENCE_ANNOUNCE) == word->announces, "%s: %c %s %s", story->name,
                              word->who, word->text, word->announces ? "is not announced" : "is announced");
        }
}

START_TEST(the_guest_is_where_it_is)
{
        play(&stories[_i], false);
        play(&stories[_i], true);
}
END_TEST

static bool plays_until_stuck(const struct word *words, size_t count)
{
        struct failover_presence presence = { .state = FAILOVER_GUEST_RUNNING };

        for (size_t i = 0; i < count; i++)
                (void) tell(&presence, &words[i]);
        return failover_presence_is_stuck(&presence);
}

START_TEST(a_guest_that_stands_still_never_lets_go)
{
        static const struct word save[] = {
                { 's', "", PAUSED }, { 'q', "setup", PAUSED }, { 'u', "", PAUSED }, { 'q', "wait-unplug", PAUSED }
        };
        static const struct word migration[] = { { 'q', "setup", RUNNING },
                                                 { 'u', "", RUNNING },
                                                 { 'q', "wait-unplug", RUNNING } };
        static const struct word paused_meanwhile[] = {
                { 'q', "setup", RUNNING }, { 'u', "", RUNNING }, { 'q', "wait-unplug", RUNNING }, { 's', "", PAUSED }
        };
        static const struct word resumed[] = { { 's', "", PAUSED },
                                               { 'q', "setup", PAUSED },
                                               { 'u', "", PAUSED },
                                               { 'q', "wait-unplug", PAUSED },
                                               { 'r', "", RUNNING } };
        static const struct word aborted[] = { { 's', "", PAUSED },
                                               { 'q', "setup", PAUSED },
                                               { 'u', "", PAUSED },
                                               { 'q', "wait-unplug", PAUSED },
                                               { 'q', "cancelled", PAUSED } };

        ck_assert(plays_until_stuck(save, 4));
        ck_assert(!plays_until_stuck(migration, 3));
        ck_assert(plays_until_stuck(paused_meanwhile, 4));
        ck_assert(!plays_until_stuck(resumed, 5));
        ck_assert(!plays_until_stuck(aborted, 5));
}
END_TEST

START_TEST(who_was_restored_has_negotiated_before)
{
        static const struct {
                const char *detail;
                bool under_our_eyes;
        } starts[] = {
                { "started/booted", true },
                { "started/migrated", true },
                { "started/restored", false },
                { "started/from-snapshot", false },
        };

        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
                struct failover_presence presence = { .state = FAILOVER_GUEST_ABSENT, .outgoing = true };

                (void) failover_presence_on_lifecycle(&presence, starts[i].detail);
                ck_assert(presence.started_under_our_eyes == starts[i].under_our_eyes);
                ck_assert(!presence.outgoing);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("presence");
        TCase *tcase = tcase_create("presence");
        SRunner *runner;
        int failed;

        tcase_add_loop_test(tcase, the_guest_is_where_it_is, 0, STORIES);
        tcase_add_test(tcase, a_guest_that_stands_still_never_lets_go);
        tcase_add_test(tcase, who_was_restored_has_negotiated_before);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
