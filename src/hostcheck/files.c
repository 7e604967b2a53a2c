/* SPDX-License-Identifier: Apache-2.0 */

/* The host's files below a root. */

#include "src/hostcheck/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 3, 0))) static void make_path(const struct host *host, char path[static PATH_MAX],
                                                            const char *format, va_list arguments)
{
        size_t length = (size_t) snprintf(path, PATH_MAX, "%s", host->options->root);

        if (length < PATH_MAX)
                vsnprintf(path + length, PATH_MAX - length, format, arguments);
}

#define PATH(path)                                                                                                     \
        char path[PATH_MAX];                                                                                           \
        va_list arguments;                                                                                             \
                                                                                                                       \
        va_start(arguments, format);                                                                                   \
        make_path(host, path, format, arguments);                                                                      \
        va_end(arguments)

static int read_text(const char *path, char *buffer, size_t size)
{
        FILE *file = fopen(path, "re");
        size_t length;
        bool failed;

        buffer[0] = '\0';
        if (!file)
                return -errno;
        length = fread(buffer, 1, size - 1, file);
        failed = ferror(file);
        fclose(file);
        if (failed)
                length = 0;
        if (length > 0 && buffer[length - 1] == '\n')
                length--;
        buffer[length] = '\0';
        return failed ? -EIO : 0;
}

int host_read(const struct host *host, char *buffer, size_t size, const char *format, ...)
{
        PATH(path);
        return read_text(path, buffer, size);
}

long long host_read_number(const struct host *host, const char *format, ...)
{
        char text[64], *end;
        long long number;

        PATH(path);
        if (read_text(path, text, sizeof(text)) < 0)
                return -1;
        number = strtoll(text, &end, 0);
        return end != text && *end == '\0' ? number : -1;
}

bool host_exists(const struct host *host, const char *format, ...)
{
        PATH(path);
        return access(path, F_OK) == 0;
}

int host_link_name(const struct host *host, char *buffer, size_t size, const char *format, ...)
{
        char target[PATH_MAX];
        const char *slash;
        ssize_t length;

        PATH(path);
        buffer[0] = '\0';
        length = readlink(path, target, sizeof(target) - 1);
        if (length < 0)
                return -errno;
        target[length] = '\0';
        slash = strrchr(target, '/');
        snprintf(buffer, size, "%s", slash ? slash + 1 : target);
        return 0;
}

static int is_no_dot(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

char **host_list(const struct host *host, const char *format, ...)
{
        struct dirent **entries = NULL;
        char **list;
        int count;

        PATH(path);
        count = scandir(path, &entries, is_no_dot, alphasort);
        if (count < 0)
                return NULL;
        list = calloc((size_t) count + 1, sizeof(*list));
        for (int i = 0, used = 0; i < count; i++) {
                if (list && (list[used] = strdup(entries[i]->d_name)))
                        used++;
                free(entries[i]);
        }
        free(entries);
        return list;
}

void host_list_freep(char ***list)
{
        for (size_t i = 0; *list && (*list)[i]; i++)
                free((*list)[i]);
        free(*list);
}

size_t host_list_count(char *const *list)
{
        size_t count = 0;

        while (list && list[count])
                count++;
        return count;
}

bool host_has_line(const struct host *host, const char *path, const char *beginning)
{
        char whole[PATH_MAX], *line = NULL;
        size_t room = 0;
        bool found = false;
        FILE *file;

        snprintf(whole, sizeof(whole), "%s%s", host->options->root, path);
        file = fopen(whole, "re");
        if (!file)
                return false;
        while (!found && getline(&line, &room, file) >= 0)
                found = strncmp(line, beginning, strlen(beginning)) == 0;
        free(line);
        fclose(file);
        return found;
}
