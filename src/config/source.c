/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libconfuse 3.3 counts a line too many for every comment, takes a section that is never closed for a complete one,
 * and ends the whole program when it is given a directory. Its messages are only worth their line numbers, so the
 * file is read here, comments become blanks, and open sections and strings are found before it sees the text.
 */

#include "src/config/source.h"
#include "src/control/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE_MAX_BYTES ((off_t) 1 << 20)
#define DEPTH_MAX      8

int source_read(const char *path, char **ret, struct vswitch_error *error)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        _cleanup_free_ char *text = NULL;
        struct stat status;
        ssize_t length;

        if (fd < 0 || fstat(fd, &status) < 0)
                return vswitch_error_set(error, -errno, "cannot read the configuration file %s: %s", path,
                                         strerror(errno));
        if (!S_ISREG(status.st_mode))
                return vswitch_error_set(error, -EINVAL, "%s: this is not a file", path);
        if (status.st_size > SIZE_MAX_BYTES)
                return vswitch_error_set(error, -EFBIG, "%s: too large for a configuration file", path);
        text = malloc((size_t) status.st_size + 1);
        if (!text)
                return vswitch_error_set(error, -ENOMEM, "out of memory");
        length = read(fd, text, (size_t) status.st_size);
        if (length < 0)
                return vswitch_error_set(error, -errno, "cannot read the configuration file %s: %s", path,
                                         strerror(errno));
        text[length] = '\0';
        if (strlen(text) != (size_t) length)
                return vswitch_error_set(error, -EINVAL, "%s: this is not a text file", path);
        *ret = TAKE_PTR(text);
        return 0;
}

static char *blank_to(char *from, const char *end)
{
        for (; from < end; from++)
                if (*from != '\n')
                        *from = ' ';
        return from;
}

/* The end of the comment that begins at `at`, or NULL when none begins there. An open one ends with the text. */
static const char *comment_end(const char *at)
{
        const char *end;

        if (at[0] == '#' || (at[0] == '/' && at[1] == '/'))
                return at + strcspn(at, "\n");
        if (at[0] != '/' || at[1] != '*')
                return NULL;
        end = strstr(at + 2, "*/");
        return end ? end + 2 : at + strlen(at);
}

/* The closing quote of the string that begins at `at`, or NULL. */
static char *string_end(char *at)
{
        char quote = *at;

        for (at++; *at && *at != quote; at++)
                if (*at == '\\' && at[1])
                        at++;
        return *at ? at : NULL;
}

int source_prepare(char *text, const char *path, struct vswitch_error *error)
{
        unsigned line = 1, depth = 0, opened[DEPTH_MAX] = {};

        for (char *at = text; *at; at++) {
                const char *end = comment_end(at);

                if (end) {
                        for (const char *c = at; c < end; c++)
                                line += *c == '\n';
                        at = blank_to(at, end) - 1;
                } else if (*at == '"' || *at == '\'') {
                        char *closing = string_end(at);

                        if (!closing)
                                return vswitch_error_set(error, -EINVAL,
                                                         "%s:%u: the text that begins here has no closing quote (%c)",
                                                         path, line, *at);
                        for (; at < closing; at++)
                                line += *at == '\n';
                } else if (*at == '{') {
                        if (depth == DEPTH_MAX)
                                return vswitch_error_set(error, -EINVAL, "%s:%u: too many open braces", path, line);
                        opened[depth++] = line;
                } else if (*at == '}' && depth > 0)
                        depth--;
                else
                        line += *at == '\n';
        }
        if (depth > 0)
                return vswitch_error_set(error, -EINVAL, "%s:%u: the brace that opens here is never closed: add a }",
                                         path, opened[depth - 1]);
        return 0;
}
