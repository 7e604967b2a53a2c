/* SPDX-License-Identifier: Apache-2.0 */

#include "test_cli_run.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void execute(const char *socket_path, const char *const *arguments)
{
        char *argv[16] = { (char *) "vswitch" };

        for (size_t i = 0; arguments[i]; i++)
                argv[i + 1] = (char *) arguments[i];
        setenv("VSWITCH_SOCKET", socket_path, 1);
        execv(VSWITCH_TEST_CLI, argv);
        _exit(127);
}

/* Both at once: a full pipe must not stop the program. */
static void read_both(int output, int errors, struct run *run)
{
        struct pollfd pipes[] = { { .fd = output, .events = POLLIN }, { .fd = errors, .events = POLLIN } };
        char *const buffers[] = { run->output, run->errors };
        const size_t sizes[] = { sizeof(run->output), sizeof(run->errors) };
        size_t lengths[2] = {};

        while (pipes[0].fd >= 0 || pipes[1].fd >= 0) {
                poll(pipes, 2, -1);
                for (size_t i = 0; i < 2; i++) {
                        ssize_t count;

                        if (pipes[i].fd < 0 || pipes[i].revents == 0)
                                continue;
                        count = read(pipes[i].fd, buffers[i] + lengths[i], sizes[i] - lengths[i] - 1);
                        if (count <= 0) {
                                close(pipes[i].fd);
                                pipes[i].fd = -1;
                        } else
                                lengths[i] += (size_t) count;
                }
        }
        for (size_t i = 0; i < 2; i++)
                buffers[i][lengths[i]] = '\0';
}

struct run run_cli(const char *socket_path, const char *const *arguments)
{
        struct run run = {};
        int output[2], errors[2], status;
        pid_t pid;

        ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(errors, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                dup2(output[1], STDOUT_FILENO);
                dup2(errors[1], STDERR_FILENO);
                execute(socket_path, arguments);
        }
        close(output[1]);
        close(errors[1]);
        read_both(output[0], errors[0], &run);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        return run;
}

struct background start_cli(const char *socket_path, const char *const *arguments)
{
        struct background background = {};
        int output[2];

        ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
        background.pid = fork();
        if (background.pid == 0) {
                dup2(output[1], STDOUT_FILENO);
                execute(socket_path, arguments);
        }
        close(output[1]);
        background.output = fdopen(output[0], "re");
        return background;
}

int stop_cli(struct background *background)
{
        int status;

        kill(background->pid, SIGTERM);
        ck_assert_int_eq(waitpid(background->pid, &status, 0), background->pid);
        fclose(background->output);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void compare_with_golden(const char *directory, const char *name, const char *text)
{
        char path[512], expected[65536];
        FILE *file;
        size_t length;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        if (getenv("VSWITCH_TEST_REGENERATE")) {
                file = fopen(path, "we");
                ck_assert_ptr_nonnull(file);
                fputs(text, file);
                fclose(file);
                return;
        }
        file = fopen(path, "re");
        ck_assert_msg(file != NULL, "no file %s", path);
        length = fread(expected, 1, sizeof(expected) - 1, file);
        expected[length] = '\0';
        fclose(file);
        /* Not in the message: Check's are bounded. */
        if (strcmp(text, expected) != 0)
                fprintf(stderr, "%s:\n--- is\n%s--- should be\n%s", name, text, expected);
        ck_assert_msg(strcmp(text, expected) == 0, "%s is not what it should be", name);
}
