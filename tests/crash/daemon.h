/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon under test: the whole manager, in a process that ends without a word. */

#include "tests/crash/host.h"

extern struct config daemon_config;
extern const char *daemon_directory; /* its files: a file system of its own, which a test may fill */

/* Makes the directory. */
void daemon_begin(void);
void daemon_end(void);

/* Starts a daemon; there is none. It ends after `limit` writes (0: never). */
void daemon_start(unsigned limit);
/* kill -9. */
void daemon_kill(void);
bool daemon_is_there(void);
/* Has it ended by itself, as its limit demands? Any other end fails the test. */
bool daemon_has_ended(void);

/* The end of its log, for the test's words. */
const char *daemon_log(void);

/* Leaves no room on the file system of its files, or makes room again. */
void daemon_fill_disk(bool full);
/* Somebody has emptied the directory. */
void daemon_lose_files(void);
