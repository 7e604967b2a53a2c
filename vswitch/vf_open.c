/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Is a VF in use through VFIO?
 *
 * Whoever has the device open has made VFIO enable it, and sysfs shows that count: one small read, no matter how
 * many processes there are and whose they are. What it does not show is somebody who has opened the group and
 * not yet the device: QEMU does so for as long as it pins a guest's memory. The kernel shows that nowhere (and to try and
 * open the group, which one process at a time may, could refuse it to a guest that is just starting). So a device that
 * is not enabled is looked for among the open files of all processes, which takes a readlink, some four microseconds,
 * per open file: with 2,000 processes of 200 files each, more than a second. Files that may not be looked at (another
 * user's, without CAP_SYS_PTRACE) are passed over, because the first question has been answered.
 */

#include "cleanup.h"
#include "pf.h"
#include "pf_sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VFIO_DIRECTORY "/dev/vfio/"

/* The two character devices of a VF: that of its group, and that of the device itself (Linux 6.6). */
struct vfio_nodes {
        char group[64];
        char device[64];
};

static void find_nodes(const char *vf_address, struct vfio_nodes *ret)
{
        char path[PATH_MAX];
        char group[16];
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;

        *ret = (struct vfio_nodes){ 0 };
        if (pf_sysfs_iommu_group(vf_address, group, sizeof(group)) == 0 && group[0] != '\0')
                snprintf(ret->group, sizeof(ret->group), "/dev/vfio/%s", group);

        snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/vfio-dev", pf_kernel_sysfs_root, vf_address);
        directory = opendir(path);
        if (!directory)
                return;
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.')
                        snprintf(ret->device, sizeof(ret->device), "/dev/vfio/devices/%.40s", entry->d_name);
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static int add_node(struct pf_vfio_nodes *nodes, const char *name)
{
        char(*names)[64];

        for (size_t i = 0; i < nodes->count; i++)
                if (strcmp(nodes->names[i], name) == 0)
                        return 0;
        names = reallocarray(nodes->names, nodes->count + 1, sizeof(*names));
        if (!names)
                return -ENOMEM;
        nodes->names = names;
        snprintf(names[nodes->count++], sizeof(*names), "%s", name);
        return 0;
}

static int add_nodes_of_process(int proc_fd, const char *pid, struct pf_vfio_nodes *nodes)
{
        char path[32];
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;
        int fd, r = 0;

        snprintf(path, sizeof(path), "%.16s/fd", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        directory = fdopendir(fd);
        if (!directory) {
                close(fd);
                return -ENOMEM;
        }

        while (r == 0 && (entry = readdir(directory))) {
                char target[sizeof(*nodes->names)];
                ssize_t length;

                if (!is_digit(entry->d_name[0]))
                        continue;
                length = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);
                if (length <= 0)
                        continue;
                target[length] = '\0';
                if (strncmp(target, VFIO_DIRECTORY, strlen(VFIO_DIRECTORY)) == 0)
                        r = add_node(nodes, target);
        }
        return r;
}

int pf_vfio_list_open(struct pf_vfio_nodes *ret, struct vswitch_error *error)
{
        _cleanup_(vswitch_closedirp) DIR *proc = opendir("/proc");
        struct pf_vfio_nodes nodes = { 0 };
        const struct dirent *entry;
        int r = proc ? 0 : -errno;

        while (r == 0 && proc && (entry = readdir(proc)))
                if (is_digit(entry->d_name[0]))
                        r = add_nodes_of_process(dirfd(proc), entry->d_name, &nodes);
        if (r < 0) {
                free(nodes.names);
                return vswitch_error_set(error, r, "cannot look in /proc for who uses VFIO: %s",
                                         vswitch_error_text(NULL, r));
        }
        *ret = nodes;
        return 0;
}

static bool is_among(const struct pf_vfio_nodes *nodes, const char *name)
{
        for (size_t i = 0; name[0] != '\0' && i < nodes->count; i++)
                if (strcmp(nodes->names[i], name) == 0)
                        return true;
        return false;
}

int pf_vf_use(const char *vf_address, const struct pf_vfio_nodes *nodes, enum pf_vf_use *ret,
              struct vswitch_error *error)
{
        char driver[PF_DRIVER_NAME_SIZE] = "";
        struct vfio_nodes own;
        unsigned enabled = 0;
        int r;

        *ret = PF_VF_NOT_OPEN;
        r = pf_sysfs_driver(vf_address, driver, sizeof(driver));
        if (r < 0)
                return vswitch_error_set(error, r, "there is no PCI device %s", vf_address);
        if (!pf_sysfs_driver_is_vfio(driver))
                return 0;
        if (pf_sysfs_enable_count(vf_address, &enabled) == 0 && enabled > 0) {
                *ret = PF_VF_OPEN;
                return 0;
        }
        find_nodes(vf_address, &own);
        if (own.group[0] == '\0' && own.device[0] == '\0')
                return 0;
        if (!nodes)
                *ret = PF_VF_USE_UNKNOWN;
        else if (is_among(nodes, own.group) || is_among(nodes, own.device))
                *ret = PF_VF_OPEN;
        return 0;
}

int pf_vf_is_open(const char *vf_address, bool *ret, struct vswitch_error *error)
{
        struct pf_vfio_nodes nodes = { 0 };
        enum pf_vf_use use;
        int r = pf_vf_use(vf_address, NULL, &use, error);

        if (r == 0 && use == PF_VF_USE_UNKNOWN) {
                r = pf_vfio_list_open(&nodes, error);
                if (r == 0)
                        r = pf_vf_use(vf_address, &nodes, &use, error);
                free(nodes.names);
        }
        if (r < 0)
                return r;
        *ret = use == PF_VF_OPEN;
        return 0;
}
