/* SPDX-License-Identifier: Apache-2.0 */

/* Asking a program for its version, with a bound: a program on a dead network file system must not hold the check up. */

#include "src/hostcheck/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOUND_MSEC 2000

static long long now_msec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void execute(const char *path, int output)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null >= 0) {
                dup2(null, STDIN_FILENO);
                dup2(null, STDERR_FILENO);
        }
        dup2(output, STDOUT_FILENO);
        execl(path, path, "--version", NULL);
        _exit(127);
}

/* Until the end of its output, or the bound. */
static int read_until(int fd, long long deadline, char *buffer, size_t size)
{
        size_t length = 0;
        int result = 0;

        for (;;) {
                struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
                long long left = deadline - now_msec();
                char rest[512];
                ssize_t count;

                if (left <= 0 || poll(&poll_fd, 1, (int) left) == 0) {
                        result = -ETIMEDOUT;
                        break;
                }
                if (length + 1 < size)
                        count = read(fd, buffer + length, size - length - 1);
                else
                        count = read(fd, rest, sizeof(rest));
                if (count <= 0)
                        break;
                if (length + 1 < size)
                        length += (size_t) count;
        }
        buffer[length] = '\0';
        return result;
}

int host_run_version(const struct host *host, const char *program, char *buffer, size_t size)
{
        char path[PATH_MAX];
        int output[2], status, r;
        pid_t pid;

        buffer[0] = '\0';
        snprintf(path, sizeof(path), "%s%s", host->options->root, program);
        if (access(path, X_OK) < 0)
                return -errno;
        if (pipe2(output, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                execute(path, output[1]);
        close(output[1]);
        r = pid < 0 ? -errno : read_until(output[0], now_msec() + BOUND_MSEC, buffer, size);
        close(output[0]);
        if (pid < 0)
                return r;
        if (r < 0)
                kill(pid, SIGKILL);
        if (waitpid(pid, &status, 0) < 0)
                return -errno;
        if (r == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
                r = -EIO;
        return r;
}
