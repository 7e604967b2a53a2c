/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Running the command line in the tests. */

#include <stdio.h>
#include <sys/types.h>

struct run {
        int exit_code; /* -1: killed */
        char output[32768];
        char errors[4096];
};

/* `arguments` ends with NULL. */
struct run run_cli(const char *socket_path, const char *const *arguments);

struct background {
        pid_t pid;
        FILE *output;
};

struct background start_cli(const char *socket_path, const char *const *arguments);
/* By SIGTERM; returns the exit code, or -1 when the signal ended it. */
int stop_cli(struct background *background);

/* Compares with a file, or writes it where VSWITCH_TEST_REGENERATE is set. */
void compare_with_golden(const char *directory, const char *name, const char *text);
