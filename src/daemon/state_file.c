/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void free_string(char **text)
{
        free(*text);
}

static void close_file(int *file)
{
        if (*file >= 0)
                close(*file);
}

int state_file_make_directory(const char *path, mode_t mode, struct vswitch_error *error)
{
        if (mkdir(path, mode) < 0 && errno != EEXIST)
                return vswitch_error_set(error, -errno, "cannot make the directory %s: %s", path, strerror(errno));
        return 0;
}

int state_file_make_subdirectory(const char *directory, const char *name, char **ret, struct vswitch_error *error)
{
        char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        r = state_file_make_directory(path, 0700, error);
        if (r < 0)
                free(path);
        else
                *ret = path;
        return r;
}

/* /run is memory: what rename leaves there survives everything but a reboot of the host, so no fsync is needed. */
int state_file_write(const char *directory, const char *name, json_t *content, struct vswitch_error *error)
{
        __attribute__((cleanup(free_string))) char *path = NULL;
        __attribute__((cleanup(free_string))) char *new_path = NULL;
        __attribute__((cleanup(free_string))) char *text = NULL;
        __attribute__((cleanup(close_file))) int file = -1;
        size_t size;

        text = json_dumps(content, JSON_INDENT(1) | JSON_SORT_KEYS);
        if (!text || asprintf(&path, "%s/%s.json", directory, name) < 0 ||
            asprintf(&new_path, "%s/%s.new", directory, name) < 0)
                return -ENOMEM;
        size = strlen(text);
        file = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file < 0)
                return vswitch_error_set(error, -errno, "cannot write %s: %s", new_path, strerror(errno));
        errno = ENOSPC; /* a short write sets none */
        if (write(file, text, size) != (ssize_t) size || rename(new_path, path) < 0) {
                int r = -errno;

                unlink(new_path);
                return vswitch_error_set(error, r, "cannot write %s: %s", path, strerror(-r));
        }
        return 0;
}

int state_file_remove(const char *directory, const char *name, struct vswitch_error *error)
{
        __attribute__((cleanup(free_string))) char *path = NULL;

        if (asprintf(&path, "%s/%s.json", directory, name) < 0)
                return -ENOMEM;
        if (unlink(path) < 0 && errno != ENOENT)
                return vswitch_error_set(error, -errno, "cannot remove %s: %s", path, strerror(errno));
        return 0;
}
