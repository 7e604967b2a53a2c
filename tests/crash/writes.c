/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/crash/writes.h"
#include "src/guests/guests.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The names are the linker's. */
ssize_t __real_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size);
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __real_guests_attach(struct guests *guests, const char *uuid, const char *xml, guests_done done, void *userdata);
int __wrap_guests_attach(struct guests *guests, const char *uuid, const char *xml, guests_done done, void *userdata);
int __real_guests_detach(struct guests *guests, const char *uuid, const char *alias, guests_done done, void *userdata);
int __wrap_guests_detach(struct guests *guests, const char *uuid, const char *alias, guests_done done, void *userdata);

static struct writes *watched; /* NULL: nobody counts this process' writes */
static char watched_directory[PATH_MAX];

void writes_watch(struct writes *writes, const char *directory)
{
        watched = writes;
        writes->count = 0;
        writes->last[0] = '\0';
        snprintf(watched_directory, sizeof(watched_directory), "%s/", directory);
}

void writes_count(const char *what)
{
        if (!watched)
                return;
        snprintf(watched->last, sizeof(watched->last), "%s", what);
        if (++watched->count == watched->limit)
                _exit(WRITES_KILLED);
}

static bool is_in(const char *path, const char *directory)
{
        return strncmp(path, directory, strlen(directory)) == 0;
}

static void count_path(const char *what, const char *path)
{
        char text[sizeof(watched->last)];

        if (!watched || !is_in(path, watched_directory))
                return;
        snprintf(text, sizeof(text), "%s %s", what, path + strlen(watched_directory));
        writes_count(text);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size)
{
        ssize_t sent = __real_sendto(fd, data, size, flags, to, to_size);
        const struct nlmsghdr *header = data;
        char text[64];

        if (!watched || !to)
                return sent;
        if (to->sa_family == AF_PACKET)
                writes_count("a frame");
        /* RTM_NEW..., RTM_DEL..., RTM_GET..., RTM_SET...: rtnetlink_rcv_msg() takes the last two bits for that, too. */
        if (to->sa_family == AF_NETLINK && size >= sizeof(*header) && header->nlmsg_type >= RTM_BASE &&
            (header->nlmsg_type - RTM_BASE) % 4 != RTM_GETLINK - RTM_NEWLINK) {
                snprintf(text, sizeof(text), "rtnetlink message %u", header->nlmsg_type);
                writes_count(text);
        }
        return sent;
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
        ssize_t written = __real_write(fd, data, size);
        char link[32], path[PATH_MAX];
        ssize_t length;

        if (!watched)
                return written;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        length = readlink(link, path, sizeof(path) - 1);
        if (length <= 0)
                return written;
        path[length] = '\0';
        if (is_in(path, "/sys/")) {
                char text[sizeof(watched->last)];

                snprintf(text, sizeof(text), "write %s", path);
                writes_count(text);
        }
        count_path("write", path);
        return written;
}

int __wrap_open(const char *path, int flags, ...)
{
        mode_t mode = 0;
        va_list arguments;
        int fd;

        va_start(arguments, flags);
        if (flags & O_CREAT)
                mode = va_arg(arguments, mode_t);
        va_end(arguments);
        fd = __real_open(path, flags, mode);
        if (fd >= 0 && (flags & O_CREAT))
                count_path("create", path);
        return fd;
}

int __wrap_rename(const char *from, const char *to)
{
        int r = __real_rename(from, to);

        if (r == 0)
                count_path("rename", from);
        return r;
}

int __wrap_unlink(const char *path)
{
        int r = __real_unlink(path);

        if (r == 0)
                count_path("unlink", path);
        return r;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
        int r = __real_mkdir(path, mode);

        if (r == 0)
                count_path("mkdir", path);
        return r;
}

int __wrap_guests_attach(struct guests *guests, const char *uuid, const char *xml, guests_done done, void *userdata)
{
        int r = __real_guests_attach(guests, uuid, xml, done, userdata);

        if (watched) {
                watched->on_attach();
                writes_count("libvirt: attach");
        }
        return r;
}

int __wrap_guests_detach(struct guests *guests, const char *uuid, const char *alias, guests_done done, void *userdata)
{
        int r = __real_guests_detach(guests, uuid, alias, done, userdata);

        if (watched) {
                watched->on_detach(alias);
                writes_count("libvirt: detach");
        }
        return r;
}
