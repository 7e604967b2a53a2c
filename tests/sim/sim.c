/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The command: runs schedules until one breaks something, shortens that one, tells its story.
 *
 * Several processes share the work by taking every J-th seed each, and a page of memory for what they count.
 */

#include "tests/sim/coverage.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64

struct command {
        uint64_t runs, seed;
        unsigned jobs;
        bool frames, trace, shrink, coverage, quiet, rules, survey;
};

/* What one process has found. */
struct findings {
        struct statistics statistics;
        bool failed;
        uint64_t seed;
        uint64_t runs;
        char violation[32];
        char sentence[256];
};

static struct world the_world;

static bool run_fails(const struct schedule *schedule, const struct options *options, struct statistics *statistics)
{
        world_run(&the_world, schedule, options, statistics);
        return the_world.failed;
}

/* ---- shortening ---- */

static bool still_fails(const struct schedule *schedule, const char *violation)
{
        static const struct options silent;
        struct statistics ignored = { 0 };

        return run_fails(schedule, &silent, &ignored) && strcmp(the_world.violation, violation) == 0;
}

/* Leaves out as many disturbances as it can: halves first, then smaller pieces, then single ones. */
static void shorten(struct schedule *schedule, const char *violation)
{
        for (unsigned piece = (schedule->count + 1) / 2; piece > 0; piece = piece == 1 ? 0 : (piece + 1) / 2)
                for (unsigned from = 0; from < schedule->count;) {
                        struct schedule shorter = *schedule;
                        unsigned end = from + piece < schedule->count ? from + piece : schedule->count;

                        memmove(&shorter.disturbances[from], &shorter.disturbances[end],
                                (schedule->count - end) * sizeof(shorter.disturbances[0]));
                        shorter.count = schedule->count - (end - from);
                        if (still_fails(&shorter, violation))
                                *schedule = shorter;
                        else
                                from += piece;
                }
}

/* ---- one process ---- */

static void run_share(const struct command *command, unsigned share, struct findings *findings,
                      struct coverage *coverage)
{
        const struct options options = { .frames = command->frames, .coverage = coverage };
        struct schedule schedule;

        for (uint64_t i = share; i < command->runs; i += command->jobs) {
                schedule_make(&schedule, command->seed + i);
                findings->runs = i + 1;
                if (!run_fails(&schedule, &options, &findings->statistics))
                        continue;
                if (command->survey) {
                        /* One line each, for sort and uniq. */
                        printf("%s %llu %s\n", the_world.violation, (unsigned long long) schedule.seed,
                               the_world.sentence);
                        continue;
                }
                findings->failed = true;
                findings->seed = command->seed + i;
                memcpy(findings->violation, the_world.violation, sizeof(findings->violation));
                memcpy(findings->sentence, the_world.sentence, sizeof(findings->sentence));
                return;
        }
}

static void *share_memory(size_t size)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED) {
                perror("mmap");
                exit(EXIT_FAILURE);
        }
        return memory;
}

static bool run_all(const struct command *command, struct findings *findings, struct coverage **coverages)
{
        bool well = true;

        for (unsigned job = 0; job < command->jobs; job++) {
                pid_t process = command->jobs > 1 ? fork() : 0;

                if (process < 0) {
                        perror("fork");
                        return false;
                }
                if (process > 0)
                        continue;
                run_share(command, job, &findings[job], command->coverage ? coverages[job] : NULL);
                if (command->jobs > 1) {
                        fflush(stdout);
                        _exit(EXIT_SUCCESS);
                }
        }
        for (unsigned job = 0; job < command->jobs && command->jobs > 1; job++) {
                int status;

                well &= wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
        }
        return well;
}

/* ---- the report ---- */

static void tell_violation(const struct command *command, const struct findings *findings)
{
        const struct options options = { .trace = true, .frames = command->frames, .out = stdout };
        struct statistics ignored = { 0 };
        struct schedule schedule;

        printf("violation %s, seed %llu, after %llu schedules: %s\n", findings->violation,
               (unsigned long long) findings->seed, (unsigned long long) findings->runs, findings->sentence);
        schedule_make(&schedule, findings->seed);
        if (command->shrink)
                shorten(&schedule, findings->violation);
        if (command->shrink || command->trace)
                schedule_print(&schedule, stdout);
        if (command->trace)
                run_fails(&schedule, &options, &ignored);
        printf("replay: sim --runs 1 --seed %llu --trace --shrink%s\n", (unsigned long long) findings->seed,
               command->frames ? " --frames" : "");
}

static void add_statistics(struct statistics *sum, const struct statistics *other)
{
        sum->schedules += other->schedules;
        sum->events += other->events;
        sum->decisions += other->decisions;
        sum->actions += other->actions;
        sum->moves += other->moves;
        sum->arrivals += other->arrivals;
        for (unsigned i = 0; i < FATES; i++)
                sum->frames[i] += other->frames[i];
        for (unsigned i = 0; i < DISTURB_COUNT; i++)
                sum->disturbances[i] += other->disturbances[i];
}

static void tell_statistics(const struct command *command, const struct statistics *sum, double seconds)
{
        static const char *const fates[FATES] = {
                [FATE_DELIVERED] = "delivered once",
                [FATE_TWICE] = "delivered twice",
                [FATE_GUESTS_OWN] = "not taken: guest down, paused or between closing and unregistering its VF",
                [FATE_PERMITTED] = "lost where the steering class leaves no way",
                [FATE_UNREACHABLE] = "no such path: no carrier, no uplink, VF gone",
                [FATE_REACTION] = "lost until the daemon reacted to what nobody had announced",
                [FATE_TROUBLE] = "lost while the daemon was down or something was broken",
                [FATE_HOST] = "lost by the host's fault",
        };

        printf("%llu schedules, %llu events, %llu decisions, %llu actions, %llu moves to a VF, %llu arrivals\n",
               (unsigned long long) sum->schedules, (unsigned long long) sum->events,
               (unsigned long long) sum->decisions, (unsigned long long) sum->actions, (unsigned long long) sum->moves,
               (unsigned long long) sum->arrivals);
        printf("%.1f s, %.0f schedules/s\n", seconds, seconds > 0 ? (double) sum->schedules / seconds : 0);
        if (command->frames)
                for (unsigned i = 0; i < FATES; i++)
                        printf("  %14llu frames %s\n", (unsigned long long) sum->frames[i], fates[i]);
        if (command->coverage)
                for (unsigned i = 0; i < DISTURB_COUNT; i++)
                        printf("  %10llu x %s\n", (unsigned long long) sum->disturbances[i],
                               disturbance_to_string((enum disturbance_kind) i));
}

static double now_seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int run(const struct command *command)
{
        struct findings *findings = share_memory(command->jobs * sizeof(*findings));
        struct coverage *coverages[JOBS_MAX] = { 0 };
        struct statistics sum = { 0 };
        const struct findings *first = NULL;
        double began = now_seconds();
        bool well;

        for (unsigned job = 0; job < command->jobs && command->coverage; job++)
                coverages[job] = share_memory(coverage_size());
        well = run_all(command, findings, coverages);
        if (!well)
                fprintf(stderr, "sim: a process of the simulation died\n");
        for (unsigned job = 0; job < command->jobs; job++) {
                add_statistics(&sum, &findings[job].statistics);
                if (findings[job].failed && (!first || findings[job].seed < first->seed))
                        first = &findings[job];
                if (job > 0 && command->coverage)
                        coverage_add(coverages[0], coverages[job]);
        }
        if (!command->quiet)
                tell_statistics(command, &sum, now_seconds() - began);
        if (command->coverage)
                well &= coverage_report(coverages[0], stdout);
        if (first)
                tell_violation(command, first);
        return well && !first ? EXIT_SUCCESS : EXIT_FAILURE;
}

static uint64_t to_number(const char *text)
{
        char *end = NULL;
        uint64_t number;

        errno = 0;
        number = strtoull(text, &end, 0);
        if (errno != 0 || end == text || *end != '\0') {
                fprintf(stderr, "sim: \"%s\" is not a number\n", text);
                exit(2);
        }
        return number;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "runs", required_argument, NULL, 'n' },
                { "seed", required_argument, NULL, 's' },
                { "jobs", required_argument, NULL, 'j' },
                { "frames", no_argument, NULL, 'f' },
                { "trace", no_argument, NULL, 't' },
                { "shrink", no_argument, NULL, 'k' },
                { "coverage", no_argument, NULL, 'c' },
                { "quiet", no_argument, NULL, 'q' },
                { "rules", no_argument, NULL, 'r' },
                { "survey", no_argument, NULL, 'y' },
                { 0 },
        };
        struct command command = { .runs = 10000, .seed = 1, .jobs = 1 };
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
                switch (option) {
                case 'n':
                        command.runs = to_number(optarg);
                        break;
                case 's':
                        command.seed = to_number(optarg);
                        break;
                case 'j':
                        command.jobs = (unsigned) to_number(optarg);
                        break;
                case 'f':
                        command.frames = true;
                        break;
                case 't':
                        command.trace = true;
                        break;
                case 'k':
                        command.shrink = true;
                        break;
                case 'c':
                        command.coverage = true;
                        break;
                case 'q':
                        command.quiet = true;
                        break;
                case 'y':
                        command.survey = true;
                        break;
                case 'r':
                        command.rules = true;
                        break;
                default:
                        fprintf(stderr, "usage: sim [--runs N] [--seed S] [--jobs J] [--frames] [--coverage] [--trace] "
                                        "[--shrink] [--quiet] [--survey] | --rules\n");
                        return 2;
                }
        if (command.jobs == 0 || command.jobs > JOBS_MAX)
                command.jobs = 1;
        if (command.rules)
                return rules_print(stdout);
        return run(&command);
}
