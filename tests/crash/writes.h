/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's writes, counted from outside: what changes the kernel, libvirt, or a file of the daemon's own.
 *
 * writes.c defines what the linker's --wrap puts in the place of the system calls and of guests_attach() and
 * guests_detach(), in the program of the test only: the product knows nothing of it. Counted are rtnetlink requests that
 * are not questions, frames sent, writes to sysfs, everything that changes the directory of the daemon's files (making,
 * filling, renaming and removing a file each by itself), and both calls to libvirt.
 *
 * Counting is for a process that has said so (writes_watch); the others of the program just write.
 */

#include <stdbool.h>

struct writes {
        unsigned count;
        unsigned limit; /* the process ends right after this one, as by kill -9; 0: never */
        char last[128]; /* what it was, for people */
        void (*on_attach)(void);
        void (*on_detach)(const char *alias);
};

#define WRITES_KILLED 99 /* its exit status then */

/* This process' writes, into memory that it shares with whoever asks; and the directory of its files. */
void writes_watch(struct writes *writes, const char *directory);
/* One more; for drivers that write to a model. Does not return when it was the last one. */
void writes_count(const char *what);
