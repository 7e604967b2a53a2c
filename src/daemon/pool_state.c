/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/pool_state.h"

#include "src/daemon/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_VERSION 1
#define VFS_MAX       65535 /* what sriov_totalvfs can say */

static void free_string(char **text)
{
        free(*text);
}

static void close_file(int *file)
{
        if (*file >= 0)
                close(*file);
}

static void file_path(char path[static PATH_MAX], const char *state_directory, const char *pf_address,
                      const char *suffix)
{
        snprintf(path, PATH_MAX, "%s/pf/%s%s", state_directory, pf_address, suffix);
}

int pool_state_read(const char *state_directory, const char *pf_address, unsigned *ret, struct vswitch_error *error)
{
        json_error_t json_error;
        json_t *json;
        char path[PATH_MAX];
        int version = 0, vfs = -1, r;

        file_path(path, state_directory, pf_address, ".json");
        if (access(path, F_OK) < 0)
                return -ENOENT;
        json = json_load_file(path, JSON_REJECT_DUPLICATES, &json_error);
        if (!json)
                return vswitch_error_set(error, -EBADMSG, "%s: line %d: %s", path, json_error.line, json_error.text);
        r = json_unpack(json, "{s:i, s:i}", "version", &version, "vfs", &vfs);
        json_decref(json);
        if (r < 0 || vfs < 1 || vfs > VFS_MAX)
                return vswitch_error_set(error, -EBADMSG, "%s: a field is missing or of the wrong kind", path);
        if (version != STATE_VERSION)
                return vswitch_error_set(error, -EBADMSG, "%s: it was written by another version of vswitchd", path);
        *ret = (unsigned) vfs;
        return 0;
}

static int make_directories(const char *state_directory, char path[static PATH_MAX], struct vswitch_error *error)
{
        int r = state_file_make_directory(state_directory, 0755, error);

        snprintf(path, PATH_MAX, "%s/pf", state_directory);
        return r < 0 ? r : state_file_make_directory(path, 0755, error);
}

static int sync_directory(const char *path)
{
        __attribute__((cleanup(close_file))) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return directory < 0 || fsync(directory) < 0 ? -errno : 0;
}

static int write_new(const char *path, const char *text)
{
        __attribute__((cleanup(close_file))) int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        size_t size = strlen(text);

        if (file < 0)
                return -errno;
        errno = ENOSPC; /* a short write sets none */
        return write(file, text, size) != (ssize_t) size || fsync(file) < 0 ? -errno : 0;
}

int pool_state_write(const char *state_directory, const char *pf_address, unsigned count, struct vswitch_error *error)
{
        char directory[PATH_MAX], path[PATH_MAX], new_path[PATH_MAX];
        __attribute__((cleanup(free_string))) char *text = NULL;
        int r;

        file_path(path, state_directory, pf_address, ".json");
        if (count == 0) {
                if (unlink(path) < 0 && errno != ENOENT)
                        return vswitch_error_set(error, -errno, "cannot remove %s: %s", path, strerror(errno));
                return 0;
        }
        r = make_directories(state_directory, directory, error);
        if (r < 0)
                return r;
        if (asprintf(&text, "{ \"version\": %d, \"vfs\": %u }\n", STATE_VERSION, count) < 0)
                return -ENOMEM;
        file_path(new_path, state_directory, pf_address, ".new");
        r = write_new(new_path, text);
        if (r == 0 && rename(new_path, path) < 0)
                r = -errno;
        if (r == 0)
                r = sync_directory(directory);
        if (r < 0) {
                unlink(new_path);
                return vswitch_error_set(error, r, "cannot write %s: %s", path, strerror(-r));
        }
        return 0;
}

int pool_state_note_autoprobe(const char *runtime_directory, const char *pf_address, struct vswitch_error *error)
{
        __attribute__((cleanup(free_string))) char *directory = NULL;
        json_t *content;
        int r = state_file_make_subdirectory(runtime_directory, "autoprobe", &directory, error);

        if (r < 0)
                return r;
        content = json_pack("{s:i, s:b}", "version", STATE_VERSION, "before", 1);
        if (!content)
                return -ENOMEM;
        r = state_file_write(directory, pf_address, content, error);
        json_decref(content);
        return r;
}

bool pool_state_has_autoprobe(const char *runtime_directory, const char *pf_address)
{
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/autoprobe/%s.json", runtime_directory, pf_address);
        return access(path, F_OK) == 0;
}

int pool_state_forget_autoprobe(const char *runtime_directory, const char *pf_address, struct vswitch_error *error)
{
        char directory[PATH_MAX];

        snprintf(directory, sizeof(directory), "%s/autoprobe", runtime_directory);
        return state_file_remove(directory, pf_address, error);
}
