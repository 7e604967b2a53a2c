/* SPDX-License-Identifier: Apache-2.0 */

/*
 * PCI devices in sysfs.
 *
 * How a VF changes its driver: driver_override restricts which driver may take the device, then the present
 * driver lets go (unbind), then the bus is asked to find a driver (drivers_probe). Each write returns when the
 * kernel has done it, which for an unbind can take seconds and, while a VFIO user has the device open, for ever;
 * so that is looked at first. A write to drivers_probe succeeds whether or not a driver took the device, so the
 * driver link is what tells.
 *
 * The override also gets the device past sriov_drivers_autoprobe=0 on the PF, which many hosts set so that VFs
 * stay without netdevs; therefore it is written for host drivers too and cleared after the probe. For VFIO it
 * stays: without it a rescan of the bus could give a free VF back to its network driver.
 *
 * How the number of VFs changes: the kernel takes a number only while there is none (-EBUSY otherwise), so it goes by way
 * of 0. sriov_drivers_autoprobe = 0 comes before the new VFs: they are offered to host drivers the moment they appear,
 * and once more when such a driver is loaded. Without a driver they have no netdev, so nothing on the host (DHCP client,
 * network manager) takes them for its own.
 */

#include "pf_sysfs.h"

#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* PCI's name for the maker of QEMU's devices; on a real card the subsystem is its maker's. */
#define SUBSYSTEM_VENDOR_QEMU 0x1af4

const char *pf_kernel_sysfs_root = "/sys";

/*
 * Files
 */

static void device_path(char path[static PATH_MAX], const char *address, const char *file)
{
        snprintf(path, PATH_MAX, "%s/bus/pci/devices/%s/%s", pf_kernel_sysfs_root, address, file);
}

/* Last component of what a link points to. -ENOENT when there is no link. */
static int read_link_name(const char *path, char *ret, size_t size)
{
        char target[PATH_MAX];
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        const char *slash;

        if (length < 0)
                return -errno;
        target[length] = '\0';
        slash = strrchr(target, '/');
        if ((size_t) snprintf(ret, size, "%s", slash ? slash + 1 : target) >= size)
                return -ENAMETOOLONG;
        return 0;
}

static int read_number(const char *path, unsigned *ret)
{
        char text[32];
        _cleanup_(vswitch_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
        unsigned long value;
        ssize_t length;
        char *end;

        if (fd < 0)
                return -errno;
        length = read(fd, text, sizeof(text) - 1);
        if (length < 0)
                return -errno;
        text[length] = '\0';
        value = strtoul(text, &end, 0); /* decimal, or with 0x */
        if (end == text || value > UINT_MAX)
                return -EBADMSG;
        *ret = (unsigned) value;
        return 0;
}

static int write_text(const char *path, const char *text, struct vswitch_error *error)
{
        _cleanup_(vswitch_close_fdp) int fd = open(path, O_WRONLY | O_CLOEXEC);
        int r = 0;

        if (fd < 0 || write(fd, text, strlen(text)) < 0)
                r = -errno;
        if (r < 0)
                return vswitch_error_set(error, r, "cannot write \"%.*s\" to %s: %s", (int) strcspn(text, "\n"), text,
                                         path, vswitch_error_text(NULL, r));
        return 0;
}

static bool exists(const char *path)
{
        return access(path, F_OK) == 0;
}

static int check_device(const char *address)
{
        char path[PATH_MAX];

        if (address[0] == '\0')
                return -ENODEV;
        device_path(path, address, "");
        return exists(path) ? 0 : -ENODEV;
}

/*
 * Reading
 */

static uint16_t read_id(const char *address, const char *file)
{
        char path[PATH_MAX];
        unsigned value = 0;

        device_path(path, address, file);
        return read_number(path, &value) == 0 && value <= UINT16_MAX ? (uint16_t) value : 0;
}

int pf_sysfs_identify(const char *name, struct pf *pf, struct vswitch_error *error)
{
        char path[PATH_MAX];
        char text[PF_ADDRESS_SIZE];
        int r;

        pf->address[0] = '\0';
        pf->kernel_driver[0] = '\0';
        pf->total_vfs = 0;
        pf->is_emulated = false;

        snprintf(path, sizeof(path), "%s/class/net/%s/device/subsystem", pf_kernel_sysfs_root, name);
        if (read_link_name(path, text, sizeof(text)) < 0 || strcmp(text, "pci") != 0)
                return 0;

        snprintf(path, sizeof(path), "%s/class/net/%s/device", pf_kernel_sysfs_root, name);
        r = read_link_name(path, pf->address, sizeof(pf->address));
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read the PCI address of %s from %s: %s", name, path,
                                         vswitch_error_text(NULL, r));

        (void) pf_sysfs_driver(pf->address, pf->kernel_driver, sizeof(pf->kernel_driver));
        pf->vendor = read_id(pf->address, "vendor");
        pf->device = read_id(pf->address, "device");
        pf->subsystem_vendor = read_id(pf->address, "subsystem_vendor");
        pf->subsystem_device = read_id(pf->address, "subsystem_device");
        pf->is_emulated = pf->subsystem_vendor == SUBSYSTEM_VENDOR_QEMU;
        device_path(path, pf->address, "sriov_totalvfs");
        r = read_number(path, &pf->total_vfs);
        if (r < 0 && r != -ENOENT)
                return vswitch_error_set(error, r, "cannot read %s: %s", path, vswitch_error_text(NULL, r));
        return 0;
}

int pf_sysfs_driver(const char *address, char *ret, size_t size)
{
        char path[PATH_MAX];
        int r = check_device(address);

        if (r < 0)
                return r;
        device_path(path, address, "driver");
        r = read_link_name(path, ret, size);
        if (r == -ENOENT) {
                ret[0] = '\0';
                return 0;
        }
        return r;
}

int pf_sysfs_iommu_group(const char *address, char *ret, size_t size)
{
        char path[PATH_MAX];
        int r = check_device(address);

        if (r < 0)
                return r;
        device_path(path, address, "iommu_group");
        r = read_link_name(path, ret, size);
        if (r == -ENOENT) {
                ret[0] = '\0';
                return 0;
        }
        return r;
}

int pf_sysfs_enable_count(const char *address, unsigned *ret)
{
        char path[PATH_MAX];

        device_path(path, address, "enable");
        return read_number(path, ret);
}

bool pf_sysfs_driver_is_vfio(const char *driver)
{
        static const char *const suffixes[] = { "vfio-pci", "vfio_pci" };
        size_t length = strlen(driver);

        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
                size_t suffix = strlen(suffixes[i]);

                if (length >= suffix && strcmp(driver + length - suffix, suffixes[i]) == 0)
                        return true;
        }
        return false;
}

/* The netdev of a device: the first entry of its net/ directory, which shows our network namespace only. */
static void read_netdev(const char *address, char *ret, size_t size)
{
        char path[PATH_MAX];
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;

        ret[0] = '\0';
        device_path(path, address, "net");
        directory = opendir(path);
        if (!directory)
                return;
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.') {
                        snprintf(ret, size, "%.*s", (int) size - 1, entry->d_name);
                        return;
                }
}

/* The kernel links a device to each one that stands on it (netdev_upper_dev_link). */
bool pf_sysfs_has_upper(const char *netdev)
{
        char path[PATH_MAX];
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;

        snprintf(path, sizeof(path), "%s/class/net/%s", pf_kernel_sysfs_root, netdev);
        directory = opendir(path);
        if (!directory)
                return false;
        while ((entry = readdir(directory)))
                if (strncmp(entry->d_name, "upper_", strlen("upper_")) == 0)
                        return true;
        return false;
}

int pf_sysfs_read_vf(const char *pf_address, unsigned index, struct pf_vf *ret, struct vswitch_error *error)
{
        struct pf_vf vf = { .index = index };
        char path[PATH_MAX];
        char file[32];
        int r = -ENOENT;

        snprintf(file, sizeof(file), "virtfn%u", index);
        device_path(path, pf_address, file);
        if (pf_address[0] != '\0')
                r = read_link_name(path, vf.address, sizeof(vf.address));
        if (r == -ENOENT)
                return vswitch_error_set(error, -ENODEV, "PF %s has no VF %u", pf_address, index);
        if (r == 0)
                r = pf_sysfs_driver(vf.address, vf.driver, sizeof(vf.driver));
        if (r == 0)
                r = pf_sysfs_iommu_group(vf.address, vf.iommu_group, sizeof(vf.iommu_group));
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read VF %u of PF %s: %s", index, pf_address,
                                         vswitch_error_text(NULL, r));

        read_netdev(vf.address, vf.netdev, sizeof(vf.netdev));
        *ret = vf;
        return 0;
}

static int compare_vfs(const void *a, const void *b)
{
        const struct pf_vf *left = a;
        const struct pf_vf *right = b;

        return (left->index > right->index) - (left->index < right->index);
}

int pf_sysfs_list_vfs(const char *pf_address, struct pf_vf **ret, size_t *ret_count, struct vswitch_error *error)
{
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;
        _cleanup_(vswitch_freep) struct pf_vf *vfs = NULL;
        const struct dirent *entry;
        size_t allocated = 0;
        size_t count = 0;
        char path[PATH_MAX];

        if (pf_address[0] == '\0') {
                *ret = NULL;
                *ret_count = 0;
                return 0;
        }

        device_path(path, pf_address, "");
        directory = opendir(path);
        if (!directory) {
                int r = -errno;

                return vswitch_error_set(error, r == -ENOENT ? -ENODEV : r, "cannot read %s: %s", path,
                                         vswitch_error_text(NULL, r));
        }

        while ((entry = readdir(directory))) {
                unsigned index;
                char rest;
                int r;

                if (sscanf(entry->d_name, "virtfn%u%c", &index, &rest) != 1)
                        continue;
                if (count == allocated) {
                        struct pf_vf *more;

                        allocated = allocated ? allocated * 2 : 16;
                        more = reallocarray(vfs, allocated, sizeof(*vfs));
                        if (!more)
                                return -ENOMEM;
                        vfs = more;
                }
                r = pf_sysfs_read_vf(pf_address, index, &vfs[count], error);
                if (r == -ENODEV)
                        continue; /* removed while we read */
                if (r < 0)
                        return r;
                count++;
        }

        if (count > 0)
                qsort(vfs, count, sizeof(*vfs), compare_vfs);
        *ret = vfs;
        *ret_count = count;
        vfs = NULL;
        return 0;
}

int pf_sysfs_vectors(const char *address, unsigned *ret)
{
        char path[PATH_MAX];
        char driver[PF_DRIVER_NAME_SIZE] = "";
        const struct dirent *entry;
        _cleanup_(vswitch_closedirp) DIR *directory = NULL;
        unsigned count = 0;
        int r;

        r = pf_sysfs_driver(address, driver, sizeof(driver));
        if (r < 0)
                return r;
        /* Under its network driver the same files count the host's own vectors. Under none they are what the last one
         * has left: a VF that is being removed loses its driver's link first, and then the kernel waits for the guest. */
        if (driver[0] != '\0' && !pf_sysfs_driver_is_vfio(driver))
                return -ENODATA;

        device_path(path, address, "msi_irqs");
        directory = opendir(path);
        if (!directory) {
                if (errno != ENOENT)
                        return -errno;
                *ret = 0;
                return 0;
        }
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.')
                        count++;
        *ret = count;
        return 0;
}

/*
 * Writing
 */

/* The override as the kernel shows it, "(null)" when there is none. */
static bool has_override(const char *path, const char *driver)
{
        char text[PF_DRIVER_NAME_SIZE + 1];
        _cleanup_(vswitch_close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (length < 0)
                return false;
        text[length] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return strcmp(text, driver[0] != '\0' ? driver : "(null)") == 0;
}

static int set_override(const char *address, const char *driver, struct vswitch_error *error)
{
        char path[PATH_MAX];
        char line[PF_DRIVER_NAME_SIZE + 1];

        device_path(path, address, "driver_override");
        if (has_override(path, driver))
                return 0;
        /* An empty line clears it; an empty write would not reach the kernel. */
        snprintf(line, sizeof(line), "%s\n", driver);
        return write_text(path, line, error);
}

/* What could keep the driver from taking the device, said before anything is changed. */
static int check_bindable(const char *address, const char *driver, struct vswitch_error *error)
{
        char group[16] = "";
        char path[PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", pf_kernel_sysfs_root, driver);
        if (!exists(path))
                return vswitch_error_set(error, -ENODEV,
                                         "driver %s is not loaded: load it with \"modprobe %s\" and for every boot in "
                                         "/etc/modules-load.d",
                                         driver, driver);
        if (!pf_sysfs_driver_is_vfio(driver))
                return 0;

        r = pf_sysfs_iommu_group(address, group, sizeof(group));
        if (r == 0 && group[0] == '\0')
                return vswitch_error_set(error, -EOPNOTSUPP,
                                         "%s has no IOMMU group, so %s cannot take it: enable the IOMMU in the "
                                         "firmware and on the kernel command line",
                                         address, driver);
        return r;
}

static int check_closed(const char *address, const char *driver, struct vswitch_error *error)
{
        bool is_open = false;
        int r = pf_sysfs_driver_is_vfio(driver) ? pf_vf_is_open(address, &is_open, error) : 0;

        if (r == 0 && is_open)
                return vswitch_error_set(error, -EBUSY, "%s is in use: a process has it open through VFIO", address);
        return r;
}

static int unbind(const char *address, const char *driver, struct vswitch_error *error)
{
        char path[PATH_MAX];
        int r = check_closed(address, driver, error);

        device_path(path, address, "driver/unbind");
        return r < 0 ? r : write_text(path, address, error);
}

static int probe(const char *address, const char *driver, struct vswitch_error *error)
{
        char path[PATH_MAX];
        char bound[PF_DRIVER_NAME_SIZE] = "";
        struct vswitch_error refusal = { 0 };
        int probe_result;
        int r;

        snprintf(path, sizeof(path), "%s/bus/pci/drivers_probe", pf_kernel_sysfs_root);
        probe_result = write_text(path, address, &refusal);

        r = pf_sysfs_driver(address, bound, sizeof(bound));
        if (r < 0)
                return vswitch_error_set(error, r, "%s vanished while it was bound to %s", address, driver);
        if (strcmp(bound, driver) == 0)
                return 0;
        if (probe_result < 0)
                return vswitch_error_set(error, probe_result, "driver %s did not take %s: %s", driver, address,
                                         refusal.text);
        return vswitch_error_set(error, -EIO, "driver %s did not take %s (the kernel log says why); %s%s", driver,
                                 address, bound[0] != '\0' ? "its driver is now " : "it has no driver now", bound);
}

int pf_sysfs_bind(const char *address, const char *driver, struct vswitch_error *error)
{
        char bound[PF_DRIVER_NAME_SIZE] = "";
        bool keeps_override = pf_sysfs_driver_is_vfio(driver);
        int r;

        r = pf_sysfs_driver(address, bound, sizeof(bound));
        if (r < 0)
                return vswitch_error_set(error, r, "there is no PCI device %s", address);

        if (strcmp(bound, driver) == 0) {
                r = check_closed(address, driver, error);
                return r < 0 ? r : set_override(address, keeps_override ? driver : "", error);
        }

        if (driver[0] != '\0') {
                r = check_bindable(address, driver, error);
                if (r < 0)
                        return r;
                r = set_override(address, driver, error);
                if (r < 0)
                        return r;
        }

        if (bound[0] != '\0')
                r = unbind(address, bound, error);
        if (r == 0 && driver[0] != '\0')
                r = probe(address, driver, error);

        if (r < 0 || !keeps_override) {
                /* After a failure a later rescan may give the device to whom it belongs. A refusal to let go leaves
                 * the override that the present driver had. */
                const char *override = r == -EBUSY && pf_sysfs_driver_is_vfio(bound) ? bound : "";
                int clear_result = set_override(address, override, r < 0 ? NULL : error);

                return r < 0 ? r : clear_result;
        }
        return 0;
}

int pf_sysfs_reset(const char *address, struct vswitch_error *error)
{
        char path[PATH_MAX];
        int r = check_device(address);

        if (r < 0)
                return vswitch_error_set(error, r, "there is no PCI device %s", address);
        device_path(path, address, "reset");
        if (!exists(path))
                return vswitch_error_set(error, -EOPNOTSUPP, "%s has no reset", address);
        return write_text(path, "1", error);
}

/*
 * The number of VFs
 */

static int write_number(const char *address, const char *file, unsigned value, struct vswitch_error *error)
{
        char path[PATH_MAX];
        char text[16];

        device_path(path, address, file);
        snprintf(text, sizeof(text), "%u", value);
        return write_text(path, text, error);
}

int pf_sysfs_read_autoprobe(const char *address, bool *ret, struct vswitch_error *error)
{
        char path[PATH_MAX];
        unsigned value = 0;
        int r;

        device_path(path, address, "sriov_drivers_autoprobe");
        r = read_number(path, &value);
        if (r == -ENOENT)
                return vswitch_error_set(error, -EOPNOTSUPP, "this kernel offers every new VF to host drivers");
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read %s: %s", path, vswitch_error_text(NULL, r));
        *ret = value != 0;
        return 0;
}

int pf_sysfs_set_autoprobe(const char *address, bool wanted, struct vswitch_error *error)
{
        bool present = false;
        int r = pf_sysfs_read_autoprobe(address, &present, error);

        if (r < 0 || present == wanted)
                return r;
        return write_number(address, "sriov_drivers_autoprobe", wanted, error);
}

/* The kernel waits for ever for a VFIO user to let go of a VF that it removes. */
static int check_nobody_has_a_vf(const char *address, struct vswitch_error *error)
{
        _cleanup_(vswitch_freep) struct pf_vf *vfs = NULL;
        size_t count = 0;
        int r = pf_sysfs_list_vfs(address, &vfs, &count, error);

        for (size_t i = 0; r == 0 && i < count; i++) {
                bool is_open = false;

                r = pf_vf_is_open(vfs[i].address, &is_open, error);
                if (r == 0 && is_open)
                        return vswitch_error_set(error, -EBUSY,
                                                 "VF %u (%s) is in use: a process has it open through VFIO",
                                                 vfs[i].index, vfs[i].address);
        }
        return r;
}

static int refused_count(const char *name, unsigned count, int r, const struct vswitch_error *refusal,
                         struct vswitch_error *error)
{
        const char *hint = "";

        if (r == -EBUSY)
                hint = " (somebody changed the number at the same time)";
        else if (r == -ENOMEM || r == -EIO || r == -ENOSPC)
                hint = " (the firmware may have left no address space or bus numbers for VFs: the kernel's log says "
                       "more, and pci=realloc or pci=assign-busses on its command line may help)";
        return vswitch_error_set(error, r, "cannot make %u VFs of %s: %s%s", count, name,
                                 vswitch_error_text(refusal, r), hint);
}

int pf_sysfs_set_vf_count(const char *address, const char *name, unsigned count, struct vswitch_error *error)
{
        struct vswitch_error refusal = { 0 };
        char path[PATH_MAX];
        unsigned total = 0, old = 0;
        bool autoprobe = false, has_autoprobe;
        int r = check_device(address);

        device_path(path, address, "sriov_totalvfs");
        if (r < 0 || read_number(path, &total) < 0 || total == 0)
                return vswitch_error_set(error, -EOPNOTSUPP, "%s has no SR-IOV", name);
        if (count > total)
                return vswitch_error_set(error, -ERANGE, "%s can have %u VFs at most, not %u", name, total, count);
        device_path(path, address, "sriov_numvfs");
        r = read_number(path, &old);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read %s: %s", path, vswitch_error_text(NULL, r));
        if (old == count)
                return 0;
        /* Kernels before 4.12 have no such setting: there host drivers take the VFs, and are unbound when one is
         * claimed. */
        has_autoprobe = pf_sysfs_read_autoprobe(address, &autoprobe, NULL) == 0;

        if (old > 0) {
                r = check_nobody_has_a_vf(address, error);
                if (r < 0)
                        return r;
                r = write_number(address, "sriov_numvfs", 0, &refusal);
                if (r < 0)
                        return vswitch_error_set(error, r, "cannot remove the %u VFs of %s: %s", old, name,
                                                 vswitch_error_text(&refusal, r));
        }
        if (count == 0)
                return 0;
        if (has_autoprobe)
                r = pf_sysfs_set_autoprobe(address, false, &refusal);
        if (r == 0)
                r = write_number(address, "sriov_numvfs", count, &refusal);
        if (r == 0)
                return 0;

        if (has_autoprobe)
                (void) pf_sysfs_set_autoprobe(address, autoprobe, NULL);
        if (old > 0)
                (void) write_number(address, "sriov_numvfs", old, NULL);
        return refused_count(name, count, r, &refusal, error);
}
