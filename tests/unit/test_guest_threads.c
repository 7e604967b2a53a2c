/* SPDX-License-Identifier: Apache-2.0 */

/* The queue to the event loop and the lanes of workers, without libvirt. Also run with ThreadSanitizer. */

#include "src/guests/lane.h"
#include "src/guests/queue.h"

#include <check.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void sleep_ms(long ms)
{
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static bool is_readable(int fd, int timeout)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

        return poll(&poll_fd, 1, timeout) == 1;
}

#define POSTERS 4
#define POSTED  2000

static struct queue queue;

static void *post_many(void *userdata)
{
        for (int i = 0; i < POSTED; i++) {
                struct message *message = message_new(MESSAGE_EVENT);

                message->event.kind = (enum guest_event_kind)(intptr_t) userdata;
                message->event.usec = (uint64_t) i;
                queue_post(&queue, message);
        }
        return NULL;
}

/* Every message once, each poster's in its order, and never asleep with something in the queue. */
START_TEST(queue_keeps_the_order)
{
        pthread_t threads[POSTERS];
        uint64_t next[POSTERS] = { 0 };
        unsigned taken = 0;

        ck_assert_int_eq(queue_init(&queue), 0);
        ck_assert(!is_readable(queue.event_fd, 0));
        for (intptr_t i = 0; i < POSTERS; i++)
                pthread_create(&threads[i], NULL, post_many, (void *) i);
        while (taken < POSTERS * POSTED) {
                ck_assert(is_readable(queue.event_fd, 10000));
                for (struct message *message = queue_take(&queue), *after; message; message = after) {
                        after = message->next;
                        ck_assert_uint_eq(message->event.usec, next[message->event.kind]++);
                        message_free(message);
                        taken++;
                }
        }
        for (int i = 0; i < POSTERS; i++)
                pthread_join(threads[i], NULL);
        ck_assert(!is_readable(queue.event_fd, 0));
        ck_assert_ptr_null(queue_take(&queue));
        queue_destroy(&queue);
}
END_TEST

START_TEST(closed_queue_takes_nothing)
{
        struct message *message;

        ck_assert_int_eq(queue_init(&queue), 0);
        queue_post(&queue, message_new(MESSAGE_EVENT));
        queue_close(&queue);
        queue_post(&queue, message_new(MESSAGE_EVENT));
        message = queue_take(&queue);
        ck_assert_ptr_nonnull(message);
        ck_assert_ptr_null(message->next);
        message_free(message);
        queue_destroy(&queue);
}
END_TEST

START_TEST(unread_messages_are_freed)
{
        struct message *message;

        ck_assert_int_eq(queue_init(&queue), 0);
        message = message_new(MESSAGE_LISTED);
        message->guests = calloc(2, sizeof(*message->guests));
        message->guests[0] = calloc(1, sizeof(struct guest));
        message->guests[1] = NULL; /* moved out */
        message->guests_count = 2;
        queue_post(&queue, message);
        queue_destroy(&queue);
}
END_TEST

/* Jobs that write down what happens to them. */
struct test_job {
        struct job job;
        int number;
        long takes_ms;
};

static struct lane lane;
static pthread_t workers[LANE_THREADS];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int begun[10000];
static size_t begun_count, ended_count;
static atomic_int freed, at_once, at_once_max;
static atomic_int same_key_at_once[4];

static void *work(void *userdata)
{
        lane_work(&lane, (unsigned) (uintptr_t) userdata);
        return NULL;
}

static void start_lane(void)
{
        begun_count = ended_count = 0;
        freed = at_once = at_once_max = 0;
        ck_assert_int_eq(lane_init(&lane, &lane), 0);
        for (uintptr_t i = 0; i < LANE_THREADS; i++)
                pthread_create(&workers[i], NULL, work, (void *) i);
}

static void end_lane(void)
{
        lane_stop(&lane);
        for (unsigned i = 0; i < LANE_THREADS; i++)
                pthread_join(workers[i], NULL);
        lane_destroy(&lane);
}

static void run(struct job *job, void *userdata)
{
        struct test_job *test = (struct test_job *) job;
        int now = atomic_fetch_add(&at_once, 1) + 1, most = atomic_load(&at_once_max);

        ck_assert_ptr_eq(userdata, &lane);
        ck_assert_uint_ge(lane_now(), job->not_before);
        while (now > most && !atomic_compare_exchange_weak(&at_once_max, &most, now))
                ;
        if (job->key[0] != '\0')
                ck_assert_int_eq(atomic_fetch_add(&same_key_at_once[job->key[0] - 'a'], 1), 0);
        pthread_mutex_lock(&log_lock);
        begun[begun_count++] = test->number;
        pthread_mutex_unlock(&log_lock);
        if (test->takes_ms > 0)
                sleep_ms(test->takes_ms);
        if (job->key[0] != '\0')
                atomic_fetch_sub(&same_key_at_once[job->key[0] - 'a'], 1);
        atomic_fetch_sub(&at_once, 1);
        pthread_mutex_lock(&log_lock);
        ended_count++;
        pthread_mutex_unlock(&log_lock);
}

static void free_job(struct job *job)
{
        atomic_fetch_add(&freed, 1);
        free(job);
}

static void submit(int number, const char *key, long takes_ms, long delay_ms)
{
        struct test_job *test = calloc(1, sizeof(*test));

        test->job.run = run;
        test->job.free = free_job;
        test->number = number;
        test->takes_ms = takes_ms;
        if (delay_ms > 0)
                test->job.not_before = lane_now() + (uint64_t) delay_ms * 1000;
        strcpy(test->job.key, key);
        lane_submit(&lane, &test->job);
}

static size_t ended(void)
{
        size_t count;

        pthread_mutex_lock(&log_lock);
        count = ended_count;
        pthread_mutex_unlock(&log_lock);
        return count;
}

static void wait_ended(size_t count)
{
        uint64_t until = lane_now() + 20 * 1000 * 1000;

        while (ended() < count) {
                ck_assert_uint_lt(lane_now(), until);
                sleep_ms(1);
        }
}

START_TEST(every_job_runs_once)
{
        bool seen[3000] = { false };

        start_lane();
        for (int i = 0; i < 3000; i++)
                submit(i, "", 0, 0);
        wait_ended(3000);
        end_lane();
        for (int i = 0; i < 3000; i++) {
                ck_assert(!seen[begun[i]]);
                seen[begun[i]] = true;
        }
        ck_assert_int_eq(freed, 3000);
}
END_TEST

START_TEST(jobs_run_side_by_side)
{
        start_lane();
        for (int i = 0; i < 4; i++)
                submit(i, "", 100, 0);
        wait_ended(4);
        end_lane();
        ck_assert_int_eq(at_once_max, LANE_THREADS);
}
END_TEST

/* Jobs of one key: one at a time (checked in run) and in order; another key goes past them. */
START_TEST(keys_keep_the_order)
{
        int last[4] = { -1, -1, -1, -1 };

        start_lane();
        for (int i = 0; i < 400; i++)
                submit(i, (const char *[]){ "a", "b", "c", "d" }[i % 4], i % 7 == 0, 0);
        wait_ended(400);
        end_lane();
        for (size_t i = 0; i < 400; i++) {
                ck_assert_int_gt(begun[i], last[begun[i] % 4]);
                last[begun[i] % 4] = begun[i];
        }
}
END_TEST

START_TEST(busy_key_lets_others_pass)
{
        start_lane();
        submit(0, "a", 300, 0);
        while (atomic_load(&at_once) < 1)
                sleep_ms(1);
        submit(1, "a", 0, 0);
        submit(2, "b", 0, 0);
        wait_ended(3);
        end_lane();
        ck_assert_int_eq(begun[1], 2);
        ck_assert_int_eq(begun[2], 1);
}
END_TEST

START_TEST(later_jobs_wait)
{
        uint64_t start = lane_now();

        start_lane();
        submit(0, "", 0, 600);
        submit(1, "", 0, 300);
        submit(2, "", 0, 0);
        wait_ended(3);
        ck_assert_uint_ge(lane_now() - start, 600 * 1000);
        end_lane();
        ck_assert_int_eq(begun[0], 2);
}
END_TEST

START_TEST(stop_leaves_the_rest)
{
        start_lane();
        submit(0, "", 100, 0);
        submit(1, "", 100, 0);
        submit(2, "", 0, 0);
        submit(3, "", 0, 60000);
        while (atomic_load(&at_once) < LANE_THREADS)
                sleep_ms(1);
        end_lane();
        ck_assert_uint_eq(begun_count, 2);
        ck_assert_int_eq(freed, 4);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("guest threads");
        TCase *queues = tcase_create("queue"), *lanes = tcase_create("lane");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_set_timeout(queues, 60);
        tcase_add_test(queues, queue_keeps_the_order);
        tcase_add_test(queues, closed_queue_takes_nothing);
        tcase_add_test(queues, unread_messages_are_freed);
        suite_add_tcase(suite, queues);

        tcase_set_timeout(lanes, 60);
        tcase_add_test(lanes, every_job_runs_once);
        tcase_add_test(lanes, jobs_run_side_by_side);
        tcase_add_test(lanes, keys_keep_the_order);
        tcase_add_test(lanes, busy_key_lets_others_pass);
        tcase_add_test(lanes, later_jobs_wait);
        tcase_add_test(lanes, stop_leaves_the_rest);
        suite_add_tcase(suite, lanes);

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
