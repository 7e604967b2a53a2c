/* SPDX-License-Identifier: Apache-2.0 */

#include "test_host_check_tree.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char tree_root[64];

static void make_path(char path[static PATH_MAX], const char *below)
{
        snprintf(path, PATH_MAX, "%s%s", tree_root, below);
        for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
                *slash = '\0';
                ck_assert_msg(mkdir(path, 0755) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
        }
}

void tree_write_bytes(const char *path, const void *bytes, size_t size)
{
        char whole[PATH_MAX];
        FILE *file;

        make_path(whole, path);
        (void) unlink(whole);
        file = fopen(whole, "we");
        ck_assert_msg(file != NULL, "%s: %s", whole, strerror(errno));
        ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
        fclose(file);
}

void tree_write(const char *path, const char *text)
{
        tree_write_bytes(path, text, strlen(text));
}

void tree_write_program(const char *path, const char *script)
{
        char whole[PATH_MAX];

        tree_write(path, script);
        make_path(whole, path);
        ck_assert_int_eq(chmod(whole, 0755), 0);
}

void tree_link(const char *path, const char *target)
{
        char whole[PATH_MAX], whole_target[PATH_MAX];

        make_path(whole, path);
        snprintf(whole_target, sizeof(whole_target), "%s%s", tree_root, target);
        (void) unlink(whole);
        ck_assert_int_eq(symlink(whole_target, whole), 0);
}

static int delete_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
        return remove(path);
}

void tree_delete(const char *path)
{
        char whole[PATH_MAX];

        snprintf(whole, sizeof(whole), "%s%s", tree_root, path);
        ck_assert_int_eq(nftw(whole, delete_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void tree_write_config(const char *path, size_t size, const uint16_t *capabilities, unsigned sriov_total)
{
        uint8_t config[4096] = { 0x86, 0x80 };
        unsigned offset = 0x100;

        config[0x1a] = 1; /* of a bridge: the last bus behind it */
        for (; capabilities[0]; capabilities++, offset += 0x60) {
                unsigned next = capabilities[1] ? offset + 0x60 : 0;

                config[offset] = (uint8_t) capabilities[0];
                config[offset + 2] = (uint8_t) (1 | next << 4);
                config[offset + 3] = (uint8_t) (next >> 4);
                if (capabilities[0] == 0x10) {
                        config[offset + 0x0e] = (uint8_t) sriov_total;
                        config[offset + 0x14] = 0x80;
                        config[offset + 0x16] = 2;
                }
        }
        tree_write_bytes(path, config, size);
}

static void make_device(const char *folder, const char *address, const char *group, const char *class)
{
        char path[PATH_MAX], target[PATH_MAX];

        snprintf(path, sizeof(path), "%s/class", folder);
        tree_write(path, class);
        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
        tree_link(path, folder);
        snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%s/devices/%s", group, address);
        tree_link(path, folder);
        snprintf(path, sizeof(path), "%s/iommu_group", folder);
        snprintf(target, sizeof(target), "/sys/kernel/iommu_groups/%s", group);
        tree_link(path, target);
}

static void make_card(void)
{
        static const uint16_t port[] = { 0x0d, 0 }, card[] = { 0x0e, 0x10, 0 }, function[] = { 0x0e, 0 };

        make_device(TREE_BRIDGE, "0000:00:01.0", "1", "0x060400\n");
        tree_write_config(TREE_BRIDGE "/config", 4096, port, 0);
        tree_write(TREE_BRIDGE "/subordinate_bus_number", "2\n");

        make_device(TREE_PF, "0000:01:00.0", "12", "0x020000\n");
        tree_write_config(TREE_PF "/config", 4096, card, 7);
        tree_write(TREE_PF "/sriov_totalvfs", "7\n");
        tree_write(TREE_PF "/sriov_numvfs", "2\n");
        tree_write(TREE_PF "/sriov_offset", "128\n");
        tree_write(TREE_PF "/sriov_stride", "2\n");
        tree_write(TREE_PF "/resource", TREE_RESOURCES "0x00000000fe050000 0x00000000fe06bfff 0x0000000000140204\n"
                                                       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                                                       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                                                       "0x00000000fe070000 0x00000000fe08bfff 0x0000000000140204\n"
                                                       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                                                       "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
        tree_write("/sys/bus/pci/drivers/igb/uevent", "");
        tree_link(TREE_PF "/driver", "/sys/bus/pci/drivers/igb");
        tree_link("/sys/class/net/enp1s0/device", TREE_PF);

        make_device(TREE_VF0, "0000:01:10.0", "13", "0x020000\n");
        make_device(TREE_BRIDGE "/0000:01:10.2", "0000:01:10.2", "14", "0x020000\n");
        tree_write_config(TREE_VF0 "/config", 4096, function, 0);
        tree_link(TREE_PF "/virtfn0", TREE_VF0);
        tree_link(TREE_PF "/virtfn1", TREE_BRIDGE "/0000:01:10.2");
        tree_link(TREE_VF0 "/physfn", TREE_PF);
        tree_link("/sys/class/net/enp1s0v0/device", TREE_VF0);
}

void tree_make(void)
{
        static const char *const empty[] = {
                "/dev/kvm",
                "/dev/vfio/vfio",
                "/sys/class/iommu/dmar0",
                "/sys/bus/pci/drivers/vfio-pci/bind",
                "/sys/module/vfio_pci/refcnt",
                "/sys/module/cls_flower/refcnt",
                "/sys/firmware/acpi/tables/MCFG",
                "/sys/class/net/br0/bridge/vlan_filtering",
                "/run/libvirt/libvirt-sock",
        };
        uint8_t dmar[48] = { 'D', 'M', 'A', 'R' };

        strcpy(tree_root, "/tmp/vswitch-host-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(tree_root));
        tree_write("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme vmx smx ept vpid\n"
                                    "vmx flags\t: vnmi ept_mode_based_exec\n");
        tree_write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 intel_iommu=on,sm_on iommu=pt\n");
        tree_write("/proc/sys/kernel/osrelease", "6.1.0-test\n");
        tree_write("/proc/interrupts", "            CPU0\n  24:   1  IR-PCI-MSI 16384-edge      enp1s0\n");
        tree_write("/proc/meminfo", "MemTotal:       65536000 kB\nMemFree:         1000 kB\nHugePages_Total:    1024\n"
                                    "Hugepagesize:       2048 kB\n");
        tree_write("/sys/kernel/mm/ksm/run", "0\n");
        tree_write("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
        tree_write("/sys/module/kvm_intel/parameters/ept", "Y\n");
        tree_write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
        tree_write("/lib/modules/6.1.0-test/modules.builtin", "kernel/net/bridge/bridge.ko\n");
        tree_write("/lib/modules/6.1.0-test/modules.dep",
                   "kernel/net/sched/sch_ingress.ko.xz:\nkernel/net/sched/act_mirred.ko.xz: kernel/x.ko.xz\n"
                   "kernel/net/sched/act_vlan.ko.xz:\nkernel/net/sched/cls_basic.ko.xz:\n"
                   "kernel/net/sched/em_nbyte.ko.xz:\nkernel/net/sched/act_gact.ko.xz:\n"
                   "kernel/net/sched/act_police.ko.xz:\n"
                   "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
        for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
                tree_write(empty[i], "");
        dmar[37] = 1;
        tree_write_bytes("/sys/firmware/acpi/tables/DMAR", dmar, sizeof(dmar));
        tree_write_program("/usr/sbin/libvirtd", "#!/bin/sh\necho 'libvirtd (libvirt) 9.0.0'\n");
        tree_write_program("/usr/bin/qemu-kvm",
                           "#!/bin/sh\necho 'QEMU emulator version 7.2.9 (Debian 1:7.2+dfsg-7)'\n");
        make_card();
}

void tree_remove(void)
{
        tree_delete("");
}
