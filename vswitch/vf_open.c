/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Is a VF in use through VFIO?
 *
 * Whoever has the device open has made VFIO enable it, and sysfs shows that count: one small read, no matter how
 * many processes there are and whose they are. What it does not show is somebody who has opened the group and
 * not yet the device. So a device that is not enabled is looked for among the open files of all processes, which
 * takes a readlink per open file; files that may not be looked at (another user's, without CAP_SYS_PTRACE) are
 * passed over, because the first question has been answered.
 */

#include "cleanup.h"
#include "pf.h"
#include "pf_sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

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

static bool process_has_open(int proc_fd, const char *pid, const struct vfio_nodes *nodes)
{
        char path[32];
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;
        int fd;

        snprintf(path, sizeof(path), "%.16s/fd", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return false;
        directory = fdopendir(fd);
        if (!directory) {
                close(fd);
                return false;
        }

        while ((entry = readdir(directory))) {
                char target[64];
                ssize_t length;

                if (!is_digit(entry->d_name[0]))
                        continue;
                length = readlinkat(fd, entry->d_name, target, sizeof(target) - 1);
                if (length <= 0)
                        continue;
                target[length] = '\0';
                if ((nodes->group[0] != '\0' && strcmp(target, nodes->group) == 0) ||
                    (nodes->device[0] != '\0' && strcmp(target, nodes->device) == 0))
                        return true;
        }
        return false;
}

int pf_vf_is_open(const char *vf_address, bool *ret, struct vswitch_error *error)
{
        char driver[PF_DRIVER_NAME_SIZE] = "";
        struct vfio_nodes nodes;
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *proc = NULL;
        unsigned enabled = 0;
        bool is_open = false;
        int r;

        r = pf_sysfs_driver(vf_address, driver, sizeof(driver));
        if (r < 0)
                return vswitch_error_set(error, r, "there is no PCI device %s", vf_address);
        if (!pf_sysfs_driver_is_vfio(driver)) {
                *ret = false;
                return 0;
        }
        if (pf_sysfs_enable_count(vf_address, &enabled) == 0 && enabled > 0) {
                *ret = true;
                return 0;
        }

        find_nodes(vf_address, &nodes);
        if (nodes.group[0] != '\0' || nodes.device[0] != '\0') {
                proc = opendir("/proc");
                if (!proc) {
                        r = -errno;
                        return vswitch_error_set(error, r, "cannot look for users of %s in /proc: %s", vf_address,
                                                 vswitch_error_text(NULL, r));
                }
                while (!is_open && (entry = readdir(proc)))
                        if (is_digit(entry->d_name[0]))
                                is_open = process_has_open(dirfd(proc), entry->d_name, &nodes);
        }
        *ret = is_open;
        return 0;
}
