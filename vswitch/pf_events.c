/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A uevent is "add@/devices/pci0000:00/.../0000:01:10.0" and then "KEY=value" lines, each with a NUL at its end
 * (lib/kobject_uevent.c). Anybody may send to the group with enough rights; only what port 0 sends is the kernel's.
 */

#include "pf_events.h"

#include "cleanup.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define KERNEL_GROUP   1
#define BUFFER_SIZE    8192
#define RECEIVE_BUFFER (1024 * 1024) /* 256 VFs come as some 1500 events */

int pf_events_open(int *ret_fd, struct vswitch_error *error)
{
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
        int size = RECEIVE_BUFFER;
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
        int r;

        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                r = -errno;
                if (fd >= 0)
                        close(fd);
                return vswitch_error_set(error, r, "cannot listen to the kernel's device events: %s",
                                         vswitch_error_text(NULL, r));
        }
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        *ret_fd = fd;
        return 0;
}

static bool parse_action(const char *value, enum pf_event_kind *ret)
{
        static const struct {
                const char *action;
                enum pf_event_kind kind;
        } actions[] = {
                { "add", PF_EVENT_ADDED },
                { "remove", PF_EVENT_REMOVED },
                { "bind", PF_EVENT_BOUND },
                { "unbind", PF_EVENT_UNBOUND },
        };

        for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
                if (strcmp(value, actions[i].action) == 0) {
                        *ret = actions[i].kind;
                        return true;
                }
        return false;
}

/* The value when `line` is "KEY=value" of this key, else NULL. */
static const char *value_of(const char *line, const char *key)
{
        size_t length = strlen(key);

        return strncmp(line, key, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

int pf_events_parse(const char *message, size_t size, struct pf_event *ret)
{
        struct pf_event event = { 0 };
        bool is_pci = false, has_kind = false;

        for (const char *line = message; line < message + size;) {
                size_t length = strnlen(line, (size_t) (message + size - line));
                const char *value;

                if (line + length == message + size)
                        return 0; /* cut off */
                if ((value = value_of(line, "ACTION")))
                        has_kind = parse_action(value, &event.kind);
                else if ((value = value_of(line, "SUBSYSTEM")))
                        is_pci = strcmp(value, "pci") == 0;
                else if ((value = value_of(line, "PCI_SLOT_NAME")))
                        snprintf(event.address, sizeof(event.address), "%s", value);
                line += length + 1;
        }
        if (!is_pci || !has_kind || event.address[0] == '\0')
                return 0;
        *ret = event;
        return 1;
}

int pf_events_read(int fd, struct pf_event *ret)
{
        char buffer[BUFFER_SIZE];
        struct sockaddr_nl sender = { 0 };
        socklen_t sender_size = sizeof(sender);
        ssize_t size;

        do
                size = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *) &sender, &sender_size);
        while (size < 0 && errno == EINTR);
        if (size < 0)
                return -errno;
        return sender.nl_pid == 0 ? pf_events_parse(buffer, (size_t) size, ret) : 0;
}
