/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The private socket.
 *
 * Theory of operation: a socket file outlives a daemon that was killed, so finding one says nothing; only a
 * connection that somebody accepts does. Looking, removing the dead one and binding anew must not mix with a second
 * daemon doing the same, so the directory is locked (flock) meanwhile; nothing but the socket is left in it.
 * The file's mode is the right to read: root, and the group where there is one. It is made for root alone and opened
 * for the group afterwards, so there is no moment in which others get in.
 */

#include "src/control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-id128.h>

#define CONNECTIONS_MAX 64
#define BACKLOG         64

struct listener {
        struct control *control;
        sd_event_source *source;
        int fd;
        char *path;
        dev_t device; /* which file is ours: not to remove another daemon's at the end */
        ino_t inode;
};

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct listener *listener = userdata;
        struct control *control = listener->control;
        _cleanup_close_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        _cleanup_bus_ sd_bus *bus = NULL;
        struct control_caller caller = {};
        struct ucred credentials;
        socklen_t size = sizeof(credentials);
        sd_id128_t id;
        int r;

        /* Whatever goes wrong with one client is that client's affair: the source stays enabled. */
        if (client < 0 || control->endpoints_count >= CONNECTIONS_MAX)
                return 0;
        if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return 0;
        if (sd_id128_randomize(&id) < 0 || sd_bus_new(&bus) < 0)
                return 0;

        r = sd_bus_set_description(bus, "control-client");
        if (r >= 0)
                r = sd_bus_set_fd(bus, client, client);
        if (r < 0)
                return 0;
        TAKE_FD(client);
        if (sd_bus_set_server(bus, true, id) < 0 || sd_bus_negotiate_fds(bus, false) < 0 ||
            sd_bus_set_connected_signal(bus, true) < 0 || sd_bus_start(bus) < 0)
                return 0;

        caller.connection = ++control->last_connection;
        caller.uid = credentials.uid;
        caller.pid = credentials.pid;
        (void) endpoint_new(control, TAKE_PTR(bus), &caller, NULL);
        return 0;
}

static int address_of(const char *path, struct sockaddr_un *ret, struct vswitch_error *error)
{
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof(ret->sun_path))
                return vswitch_error_set(error, -ENAMETOOLONG, "the path of the control socket is too long: %s", path);
        strcpy(ret->sun_path, path);
        return 0;
}

/* Is somebody listening there? 0: no (then the file, if any, is dead), -EADDRINUSE: yes. */
static int probe(const struct sockaddr_un *address, struct vswitch_error *error)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct ucred credentials = {};
        socklen_t size = sizeof(credentials);

        if (fd < 0)
                return vswitch_error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
        if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) < 0) {
                if (errno == ECONNREFUSED || errno == ENOENT)
                        return 0;
                /* EAGAIN: its queue is full, so it lives. */
                if (errno != EAGAIN)
                        return vswitch_error_set(error, -errno, "cannot use %s as the control socket: %s",
                                                 address->sun_path, strerror(errno));
                return vswitch_error_set(error, -EADDRINUSE, "another vswitchd is running (it listens on %s)",
                                         address->sun_path);
        }
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                credentials.pid = 0;
        return vswitch_error_set(error, -EADDRINUSE,
                                 "another vswitchd (pid %d) is running; stop it first (systemctl stop vswitchd)",
                                 (int) credentials.pid);
}

/* Removes what a dead daemon left. Anything but a socket is somebody else's file. */
static int remove_dead(const char *path, struct vswitch_error *error)
{
        struct stat status;

        if (lstat(path, &status) < 0) {
                if (errno == ENOENT)
                        return 0;
                return vswitch_error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
        }
        if (!S_ISSOCK(status.st_mode))
                return vswitch_error_set(error, -EEXIST, "%s is in the way of the control socket and is not a socket",
                                         path);
        if (unlink(path) < 0)
                return vswitch_error_set(error, -errno, "cannot remove the dead socket %s: %s", path, strerror(errno));
        return 0;
}

/* The directory of `path`, made when missing, open and locked; unlocked by closing. */
static int lock_directory(const char *path, struct vswitch_error *error)
{
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int fd = -1;
        const char *directory;

        if (!copy)
                return -ENOMEM;
        directory = dirname(copy);
        /* Whatever the umask is: the group must get as far as the socket. */
        if (mkdir(directory, 0755) >= 0)
                (void) chmod(directory, 0755);
        else if (errno != EEXIST)
                return vswitch_error_set(error, -errno, "cannot make %s for the control socket: %s", directory,
                                         strerror(errno));
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return vswitch_error_set(error, -errno, "cannot open %s for the control socket: %s", directory,
                                         strerror(errno));
        if (flock(fd, LOCK_EX) < 0)
                return vswitch_error_set(error, -errno, "cannot lock %s: %s", directory, strerror(errno));
        return TAKE_FD(fd);
}

/* Lets the group in. A group that does not exist is no reason not to serve root. */
static int open_for_group(const char *path, const char *group_name, struct vswitch_error *error)
{
        struct group *group = group_name ? getgrnam(group_name) : NULL;

        if (!group)
                return 0;
        if (lchown(path, (uid_t) -1, group->gr_gid) < 0 || chmod(path, 0660) < 0)
                return vswitch_error_set(error, -errno, "cannot give the control socket %s to the group %s: %s", path,
                                         group_name, strerror(errno));
        return 0;
}

static int bind_and_listen(struct listener *listener, const char *group_name, struct vswitch_error *error)
{
        _cleanup_close_ int lock = lock_directory(listener->path, error);
        struct sockaddr_un address;
        struct stat status;
        int r;

        if (lock < 0)
                return lock;
        r = address_of(listener->path, &address, error);
        if (r >= 0)
                r = probe(&address, error);
        if (r >= 0)
                r = remove_dead(listener->path, error);
        if (r < 0)
                return r;

        listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener->fd < 0)
                return vswitch_error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
        /* The mode of the unbound socket becomes that of its file: never open to others, and no umask to change. */
        if (fchmod(listener->fd, 0600) < 0 ||
            bind(listener->fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return vswitch_error_set(error, -errno, "cannot make the control socket %s: %s", listener->path,
                                         strerror(errno));
        if (lstat(listener->path, &status) >= 0) {
                listener->device = status.st_dev;
                listener->inode = status.st_ino;
        }
        r = open_for_group(listener->path, group_name, error);
        if (r < 0)
                return r;
        if (listen(listener->fd, BACKLOG) < 0)
                return vswitch_error_set(error, -errno, "cannot listen on %s: %s", listener->path, strerror(errno));
        return 0;
}

static void listener_freep(struct listener **listener)
{
        listener_free(*listener);
}

int listener_new(struct control *control, const char *path, const char *group_name, struct listener **ret,
                 struct vswitch_error *error)
{
        _cleanup_(listener_freep) struct listener *listener = calloc(1, sizeof(*listener));
        int r;

        if (!listener)
                return -ENOMEM;
        listener->control = control;
        listener->fd = -1;
        listener->path = strdup(path);
        if (!listener->path)
                return -ENOMEM;

        r = bind_and_listen(listener, group_name, error);
        if (r >= 0)
                r = sd_event_add_io(control->loop, &listener->source, listener->fd, EPOLLIN, on_connection, listener);
        if (r >= 0)
                r = sd_event_source_set_priority(listener->source, CONTROL_EVENT_PRIORITY);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(listener);
        return 0;
}

void listener_free(struct listener *listener)
{
        struct stat status;

        if (!listener)
                return;
        sd_event_source_disable_unref(listener->source);
        /* Only our own file: a daemon that was started meanwhile has replaced it. */
        if (listener->inode != 0 && lstat(listener->path, &status) >= 0 && status.st_dev == listener->device &&
            status.st_ino == listener->inode)
                unlink(listener->path);
        if (listener->fd >= 0)
                close(listener->fd);
        free(listener->path);
        free(listener);
}
