/* SPDX-License-Identifier: Apache-2.0 */

/* QEMUs by the UUID on their command line, and vswitchd, in /proc. */

#include "src/audit/collect.h"

#include "src/control/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libvirt's QEMU gets "-uuid" early on its command line; what comes after this much is of no interest. */
#define COMMAND_LINE_MAX 65536

/* The argument after "-uuid" of a command line of `length` bytes, each argument with its NUL; or NULL. */
static const char *find_uuid(const char *line, size_t length)
{
        const char *end = line + length;

        for (const char *argument = line; argument < end; argument += strlen(argument) + 1)
                if (strcmp(argument, "-uuid") == 0 && argument + sizeof("-uuid") < end)
                        return argument + sizeof("-uuid");
        return NULL;
}

static ssize_t read_file(const char *pid, const char *name, char *buffer, size_t size)
{
        char path[64];
        _cleanup_close_ int fd = -1;
        size_t length = 0;
        ssize_t more;

        snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        while (length < size - 1 && (more = read(fd, buffer + length, size - 1 - length)) > 0)
                length += (size_t) more;
        buffer[length] = '\0';
        return (ssize_t) length;
}

static int look_at(struct audit_picture *picture, const char *pid, char *line, bool *has_daemon)
{
        struct audit_process *process;
        const char *uuid;
        ssize_t length;
        char name[32];

        if (read_file(pid, "comm", name, sizeof(name)) <= 0)
                return 0; /* it has ended */
        name[strcspn(name, "\n")] = '\0';
        if (strcmp(name, "vswitchd") == 0)
                *has_daemon = true;
        /* "qemu-system-x86" (the kernel keeps 15 characters), "qemu-kvm", "kvm"; QEMU renames itself when told to. */
        length = read_file(pid, "cmdline", line, COMMAND_LINE_MAX);
        uuid = length > 0 ? find_uuid(line, (size_t) length) : NULL;
        if (!uuid || strlen(uuid) != GUEST_UUID_SIZE - 1)
                return 0;
        process = audit_add(picture, processes);
        if (!process)
                return -ENOMEM;
        process->pid = (int) strtol(pid, NULL, 10);
        snprintf(process->uuid, sizeof(process->uuid), "%s", uuid);
        return 0;
}

int audit_collect_processes(struct audit_picture *picture, bool *ret_has_daemon)
{
        _cleanup_free_ char *line = malloc(COMMAND_LINE_MAX);
        DIR *processes = opendir("/proc");
        struct dirent *entry;
        int r = line ? 0 : -ENOMEM;

        if (!processes)
                return -errno;
        while (r == 0 && (entry = readdir(processes)))
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                        r = look_at(picture, entry->d_name, line, ret_has_daemon);
        closedir(processes);
        return r;
}
