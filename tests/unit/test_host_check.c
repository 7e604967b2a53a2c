/* SPDX-License-Identifier: Apache-2.0 */

/* The host check on made-up hosts: each finding by a host that has exactly this wrong. */

#include "src/hostcheck/hostcheck.h"
#include "test_cli_run.h"
#include "test_host_check_tree.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FINDINGS_MAX 64

struct findings {
        struct {
                enum hostcheck_level level;
                char check[32], subject[32], seen[512], why[512], remedy[512];
        } list[FINDINGS_MAX];
        size_t count;
};

static void keep(const struct hostcheck_finding *finding, void *userdata)
{
        struct findings *findings = userdata;

        ck_assert_uint_lt(findings->count, FINDINGS_MAX);
        findings->list[findings->count].level = finding->level;
#define KEEP(field)                                                                                                    \
        snprintf(findings->list[findings->count].field, sizeof(findings->list[0].field), "%s", finding->field)
        KEEP(check);
        KEEP(subject);
        KEEP(seen);
        KEEP(why);
        KEEP(remedy);
        findings->count++;
}

static struct findings check_host(const char *const *pfs)
{
        struct findings findings = {};
        const struct hostcheck_options options = { .root = tree_root, .run_programs = true, .pfs = pfs };
        struct vswitch_error error = {};

        ck_assert_msg(hostcheck_run(&options, keep, &findings, &error) == 0, "%s", error.text);
        return findings;
}

/* What is not ok says why it matters. */
static void check_sentences(const struct findings *findings)
{
        for (size_t i = 0; i < findings->count; i++) {
                ck_assert_str_ne(findings->list[i].seen, "");
                ck_assert_msg((findings->list[i].level == HOSTCHECK_OK) == (findings->list[i].why[0] == '\0'), "%s: %s",
                              findings->list[i].check, findings->list[i].seen);
                if (findings->list[i].level >= HOSTCHECK_WARNING)
                        ck_assert_msg(findings->list[i].remedy[0] != '\0', "%s: %s", findings->list[i].check,
                                      findings->list[i].seen);
        }
}

START_TEST(nothing_is_wrong)
{
        static const char *const host_checks[] = { "processor", "nested-paging",   "pci-express", "iommu",
                                                   "vfio",      "command-line",    "lockdown",    "interrupt-remapping",
                                                   "memory",    "traffic-control", "bridge",      "libvirt",
                                                   "qemu" };
        static const char *const pf_checks[] = {
                "sr-iov", "driver", "vf-count", "vf-memory", "bus-numbers", "isolation"
        };
        struct findings findings;

        tree_make();
        findings = check_host(NULL);
        for (size_t i = 0; i < findings.count; i++)
                ck_assert_msg(findings.list[i].level == HOSTCHECK_OK, "%s: %s", findings.list[i].check,
                              findings.list[i].seen);
        /* Each check says one thing, and the VF's network device is not taken for a card. */
        ck_assert_uint_eq(findings.count,
                          sizeof(host_checks) / sizeof(host_checks[0]) + sizeof(pf_checks) / sizeof(pf_checks[0]));
        for (size_t i = 0; i < sizeof(host_checks) / sizeof(host_checks[0]); i++) {
                size_t found = 0;

                for (size_t j = 0; j < findings.count; j++)
                        found += strcmp(findings.list[j].check, host_checks[i]) == 0 &&
                                 strcmp(findings.list[j].subject, "host") == 0;
                ck_assert_msg(found == 1, "%s", host_checks[i]);
        }
        for (size_t i = 0; i < sizeof(pf_checks) / sizeof(pf_checks[0]); i++) {
                size_t found = 0;

                for (size_t j = 0; j < findings.count; j++)
                        found += strcmp(findings.list[j].check, pf_checks[i]) == 0 &&
                                 strcmp(findings.list[j].subject, "enp1s0") == 0;
                ck_assert_msg(found == 1, "%s", pf_checks[i]);
        }
        check_sentences(&findings);
        tree_remove();
}
END_TEST

/*
 * Hosts with one thing wrong
 */

static void set_command_line(const char *text)
{
        tree_write("/proc/cmdline", text);
}

/* As a virtual machine would show it. */
static void set_processor(const char *flags)
{
        char text[256];

        snprintf(text, sizeof(text), "vendor_id\t: GenuineIntel\nflags\t\t: fpu %s\n", flags);
        tree_write("/proc/cpuinfo", text);
}

static void no_groups(void)
{
        tree_delete("/sys/kernel/iommu_groups");
        tree_delete("/sys/class/iommu");
}

static void no_virtualization(void)
{
        set_processor("vme");
        tree_delete("/dev/kvm");
}

static void no_nested_virtualization(void)
{
        set_processor("vme hypervisor");
        tree_delete("/dev/kvm");
}

static void no_kvm(void)
{
        tree_delete("/dev/kvm");
}

static void no_kvm_on_arm(void)
{
        tree_delete("/dev/kvm");
        tree_write("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n");
}

static void no_nested_paging(void)
{
        /* "ept_ad" is not it. */
        set_processor("vmx ept_ad");
}

static void nested_paging_off(void)
{
        tree_write("/sys/module/kvm_intel/parameters/ept", "N\n");
}

static void nested_paging_off_amd(void)
{
        set_processor("svm npt");
        tree_write("/sys/module/kvm_amd/parameters/npt", "0\n");
}

static void no_pci(void)
{
        tree_delete("/sys/bus/pci/devices");
}

static void no_pci_express(void)
{
        static const uint16_t none[] = { 0 };

        tree_write_config(TREE_PF "/config", 256, none, 0);
        tree_write_config(TREE_BRIDGE "/config", 256, none, 0);
        tree_write_config(TREE_VF0 "/config", 256, none, 0);
}

static void no_mcfg(void)
{
        no_pci_express();
        tree_delete("/sys/firmware/acpi/tables/MCFG");
}

static void nommconf(void)
{
        no_pci_express();
        set_command_line("quiet pci=nocrs,nommconf");
}

static void iommu_turned_off(void)
{
        no_groups();
        set_command_line("intel_iommu=off");
}

static void iommu_all_off(void)
{
        no_groups();
        set_command_line("quiet iommu=soft,off");
}

static void iommu_not_turned_on(void)
{
        no_groups();
        set_command_line("quiet -- intel_iommu=on");
}

static void iommu_not_accepted(void)
{
        no_groups();
        set_command_line("intel_iommu=on");
}

static void iommu_not_accepted_amd(void)
{
        no_groups();
        tree_delete("/sys/firmware/acpi/tables/DMAR");
        tree_write("/sys/firmware/acpi/tables/IVRS", "IVRS");
}

static void no_iommu(void)
{
        no_groups();
        tree_delete("/sys/firmware/acpi/tables/DMAR");
}

static void no_virtual_iommu(void)
{
        no_iommu();
        set_processor("vmx ept hypervisor");
}

static void unsafe_groups_only(void)
{
        no_iommu();
        tree_write("/sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
}

static void no_remapping(void)
{
        tree_write("/proc/interrupts", "            CPU0\n  24:   1  PCI-MSI 16384-edge      IR-camera\n");
        tree_delete("/sys/firmware/acpi/tables/DMAR");
}

static void remapping_turned_off(void)
{
        no_remapping();
        set_command_line("intel_iommu=on intremap=off");
}

static void remapping_turned_off_by_word(void)
{
        no_remapping();
        set_command_line("nointremap");
}

static void remapping_not_in_chipset(void)
{
        uint8_t dmar[48] = { 'D', 'M', 'A', 'R' };

        no_remapping();
        tree_write_bytes("/sys/firmware/acpi/tables/DMAR", dmar, sizeof(dmar));
}

static void no_virtual_remapping(void)
{
        no_remapping();
        set_processor("vmx ept hypervisor");
}

static void unsafe_interrupts(void)
{
        no_remapping();
        tree_write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
}

static void remapping_seen_by_debugfs(void)
{
        no_remapping();
        tree_write("/sys/kernel/debug/iommu/intel/ir_translation_struct",
                   "Remapped Interrupt supported on IOMMU: dmar0\n IR table address:10b800000\n");
}

static void remapping_of_arm(void)
{
        no_remapping();
        tree_write("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n");
}

static void no_msi(void)
{
        set_command_line("pci=nomsi");
}

static void no_ari(void)
{
        set_command_line("pci=noats,noari");
}

static void no_ats(void)
{
        set_command_line("pci=noats");
}

static void acs_override(void)
{
        set_command_line("pcie_acs_override=downstream,multifunction");
}

static void vfio_blacklisted(void)
{
        set_command_line("module_blacklist=nouveau,vfio-pci");
}

static void vfio_not_loaded(void)
{
        tree_delete("/sys/bus/pci/drivers/vfio-pci");
        tree_delete("/sys/module/vfio_pci");
}

static void no_vfio(void)
{
        vfio_not_loaded();
        tree_write("/lib/modules/6.1.0-test/modules.dep", "kernel/drivers/vfio/pci/vfio-pci-core.ko.xz:\n"
                                                          "kernel/net/sched/sch_ingress.ko:\n"
                                                          "kernel/net/sched/act_mirred.ko:\n");
}

static void vfio_unknown(void)
{
        vfio_not_loaded();
        tree_delete("/lib/modules");
}

static void no_dev_vfio(void)
{
        tree_delete("/dev/vfio");
}

static void vfio_without_iommu(void)
{
        tree_write("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
}

static void locked_down(void)
{
        tree_write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
}

static void merged_memory(void)
{
        tree_write("/sys/kernel/mm/ksm/run", "1\n");
}

static void no_bridge_module(void)
{
        tree_write("/lib/modules/6.1.0-test/modules.builtin", "kernel/net/bridge/br_netfilter.ko\n");
}

static void bridge_without_vlans(void)
{
        tree_delete("/sys/class/net/br0/bridge/vlan_filtering");
}

static void no_bridge_but_configuration(void)
{
        tree_delete("/sys/class/net/br0");
        tree_write("/boot/config-6.1.0-test", "CONFIG_BRIDGE=m\n# CONFIG_BRIDGE_VLAN_FILTERING is not set\n");
}

static void no_bridge_yet(void)
{
        tree_delete("/sys/class/net/br0");
}

static void no_flower(void)
{
        tree_delete("/sys/module/cls_flower");
}

static void no_policing(void)
{
        tree_write("/lib/modules/6.1.0-test/modules.dep", "kernel/net/sched/sch_ingress.ko:\n"
                                                          "kernel/net/sched/act_mirred.ko:\n"
                                                          "kernel/net/sched/act_vlan.ko:\n"
                                                          "kernel/net/sched/cls_basic.ko:\n"
                                                          "kernel/net/sched/em_nbyte.ko:\n");
}

static void no_module_lists(void)
{
        tree_delete("/lib/modules");
}

static void no_libvirt(void)
{
        tree_delete("/usr/sbin/libvirtd");
}

static void libvirt_stopped(void)
{
        tree_delete("/run/libvirt");
}

static void libvirt_old(void)
{
        tree_write_program("/usr/sbin/libvirtd", "#!/bin/sh\necho 'libvirtd (libvirt) 7.0.0'\n");
}

static void libvirt_untested(void)
{
        tree_write_program("/usr/sbin/virtqemud", "#!/bin/sh\necho 'virtqemud (libvirt) 8.10.0'\n");
}

static void no_qemu(void)
{
        tree_delete("/usr/bin/qemu-kvm");
}

static void qemu_old(void)
{
        tree_write_program("/usr/bin/qemu-kvm", "#!/bin/sh\necho 'QEMU emulator version 4.1.1'\n");
}

static void qemu_untested(void)
{
        tree_write_program("/usr/bin/qemu-kvm", "#!/bin/sh\necho 'QEMU emulator version 6.2.0'\n");
}

static void qemu_broken(void)
{
        tree_write_program("/usr/bin/qemu-kvm", "#!/bin/sh\nexit 1\n");
}

static void qemu_mumbles(void)
{
        tree_write_program("/usr/bin/qemu-kvm", "#!/bin/sh\necho 'a version'\n");
}

static void qemu_hangs(void)
{
        tree_write_program("/usr/bin/qemu-kvm", "#!/bin/sh\nexec sleep 60\n");
}

static void no_card(void)
{
        tree_delete("/sys/class/net/enp1s0");
}

static void not_used_by_the_kernel(void)
{
        tree_delete(TREE_PF "/sriov_totalvfs");
        tree_delete(TREE_PF "/sriov_numvfs");
}

static void no_driver(void)
{
        tree_delete(TREE_PF "/driver");
}

static void bound_to_vfio(void)
{
        tree_link(TREE_PF "/driver", "/sys/bus/pci/drivers/vfio-pci");
}

static void unknown_driver(void)
{
        tree_write("/sys/bus/pci/drivers/newnic/uevent", "");
        tree_link(TREE_PF "/driver", "/sys/bus/pci/drivers/newnic");
}

static void vfs_not_allowed(void)
{
        tree_write(TREE_PF "/sriov_totalvfs", "0\n");
        tree_write(TREE_PF "/sriov_numvfs", "0\n");
}

static void fewer_vfs(void)
{
        static const uint16_t card[] = { 0x0e, 0x10, 0 };

        tree_write_config(TREE_PF "/config", 4096, card, 8);
}

static void no_vfs_yet(void)
{
        tree_write(TREE_PF "/sriov_numvfs", "0\n");
}

static void set_vf_resources(const char *first, const char *second)
{
        char text[2048];
        const char *none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";

        snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", TREE_RESOURCES, first, none, none, second, none, none);
        tree_write(TREE_PF "/resource", text);
}

static void vf_memory_unset(void)
{
        set_vf_resources("0x00000000fe050000 0x00000000fe06bfff 0x0000000000140204\n",
                         "0x0000000000000000 0x000000000001bfff 0x0000000020140204\n");
}

static void vf_memory_none(void)
{
        set_vf_resources("0x0000000000000000 0x0000000000000000 0x0000000000000000\n",
                         "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
}

static void vf_memory_none_with_realloc(void)
{
        vf_memory_none();
        set_command_line("pci=realloc");
}

static void some_buses(void)
{
        /* VF 0 is at 01:10.0 + 7 * 32: the places go on over the end of bus 1. */
        tree_write(TREE_BRIDGE "/subordinate_bus_number", "1\n");
        tree_write(TREE_PF "/sriov_stride", "32\n");
}

static void no_buses(void)
{
        tree_write(TREE_BRIDGE "/subordinate_bus_number", "1\n");
        tree_write(TREE_PF "/sriov_offset", "256\n");
}

/* Where sysfs says nothing, the registers do. */
static void no_buses_by_registers(void)
{
        static const uint16_t card[] = { 0x10, 0 };

        tree_write_config(TREE_PF "/config", 4096, card, 200);
        tree_write(TREE_PF "/sriov_totalvfs", "200\n");
        tree_delete(TREE_PF "/sriov_offset");
        tree_delete(TREE_PF "/sriov_stride");
        tree_delete(TREE_BRIDGE "/subordinate_bus_number");
}

static void join_group(const char *group, const char *address)
{
        char path[256];

        tree_write("/sys/devices/other/class", "0x030000\n");
        snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%s/devices/%s", group, address);
        tree_link(path, "/sys/devices/other");
        snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
        tree_link(path, "/sys/devices/other");
}

static void shared_vf(void)
{
        static const uint16_t none[] = { 0x01, 0 };

        join_group("13", "0000:01:10.2");
        tree_write_config(TREE_BRIDGE "/config", 4096, none, 0);
}

static void shared_by_all(void)
{
        join_group("13", "0000:02:00.0");
        join_group("14", "0000:02:00.0");
}

static void shared_with_bridge(void)
{
        tree_link("/sys/kernel/iommu_groups/13/devices/0000:00:01.0", TREE_BRIDGE);
}

static void shared_pf(void)
{
        no_vfs_yet();
        join_group("12", "0000:02:00.0");
}

/* The other port of the same card says nothing of VFs. */
static void shared_by_ports(void)
{
        no_vfs_yet();
        join_group("12", "0000:01:00.1");
}

static const struct {
        void (*change)(void);
        const char *check;
        const char *subject;
        enum hostcheck_level level;
        const char *seen;
        const char *remedy;
} hosts[] = {
#define PROBLEM HOSTCHECK_PROBLEM
#define WARNING HOSTCHECK_WARNING
#define NOTE    HOSTCHECK_NOTE
#define OK      HOSTCHECK_OK
        { no_virtualization, "processor", "host", PROBLEM, "neither vmx nor svm", "firmware's setup" },
        { no_nested_virtualization, "processor", "host", PROBLEM, "neither vmx nor svm", "nested virtualization" },
        { no_kvm, "processor", "host", PROBLEM, "no /dev/kvm", "modprobe kvm_intel" },
        { no_kvm_on_arm, "processor", "host", PROBLEM, "no /dev/kvm", "EL2" },
        { no_nested_paging, "nested-paging", "host", WARNING, "neither ept nor npt", "Nehalem" },
        { nested_paging_off, "nested-paging", "host", WARNING, "(ept) is turned off in kvm_intel", "kvm_intel.ept=0" },
        { nested_paging_off_amd, "nested-paging", "host", WARNING, "(npt) is turned off in kvm_amd", "kvm_amd.npt=0" },
        { no_pci, "pci-express", "host", PROBLEM, "no PCI devices", "cannot have" },
        { no_pci_express, "pci-express", "host", PROBLEM, "no PCI device can be reached", "does not accept its MCFG" },
        { no_mcfg, "pci-express", "host", PROBLEM, "no PCI device can be reached", "it has no MCFG" },
        { nommconf, "pci-express", "host", PROBLEM, "pci=nommconf", "remove pci=nommconf" },
        { iommu_turned_off, "iommu", "host", PROBLEM, "intel_iommu=off", "remove intel_iommu=off" },
        { iommu_all_off, "iommu", "host", PROBLEM, "iommu=off turns", "remove iommu=off" },
        { iommu_not_turned_on, "iommu", "host", PROBLEM, "kernel does not use it", "put intel_iommu=on on" },
        { iommu_not_accepted, "iommu", "host", PROBLEM, "ACPI table DMAR", "update of the firmware" },
        { iommu_not_accepted_amd, "iommu", "host", PROBLEM, "ACPI table IVRS", "AMD-Vi" },
        { no_iommu, "iommu", "host", PROBLEM, "firmware shows no IOMMU", "turn on VT-d" },
        { no_virtual_iommu, "iommu", "host", PROBLEM, "virtual machine has no IOMMU", "<iommu model='intel'>" },
        { unsafe_groups_only, "iommu", "host", PROBLEM, "firmware shows no IOMMU", "turn on VT-d" },
        { unsafe_groups_only, "iommu", "host", WARNING, "1 device is used through VFIO without", "noiommu" },
        { no_remapping, "interrupt-remapping", "host", PROBLEM, "no remapped interrupts", "turn that on first" },
        { remapping_turned_off, "interrupt-remapping", "host", PROBLEM, "intremap=off", "remove intremap=off" },
        { remapping_turned_off_by_word, "interrupt-remapping", "host", PROBLEM, "nointremap", "remove nointremap" },
        { remapping_not_in_chipset, "interrupt-remapping", "host", PROBLEM, "no remapped", "says that it cannot" },
        { no_virtual_remapping, "interrupt-remapping", "host", PROBLEM, "no remapped", "intremap='on'" },
        { unsafe_interrupts, "interrupt-remapping", "host", WARNING, "told to do without",
          "turn interrupt remapping on" },
        { remapping_seen_by_debugfs, "interrupt-remapping", "host", OK, "it is on", "" },
        { remapping_of_arm, "interrupt-remapping", "host", OK, "interrupt controller", "" },
        { no_msi, "command-line", "host", PROBLEM, "pci=nomsi", "remove" },
        { no_ari, "command-line", "host", WARNING, "pci=noari", "remove" },
        { no_ats, "command-line", "host", NOTE, "pci=noats", "" },
        { acs_override, "command-line", "host", WARNING, "pcie_acs_override=downstream", "ACS" },
        { vfio_blacklisted, "command-line", "host", PROBLEM, "module_blacklist=vfio-pci", "remove" },
        { vfio_not_loaded, "vfio", "host", NOTE, "not loaded", "modprobe vfio-pci" },
        { no_vfio, "vfio", "host", PROBLEM, "kernel 6.1.0-test has no vfio-pci", "CONFIG_VFIO_PCI" },
        { vfio_unknown, "vfio", "host", PROBLEM, "cannot be read", "modprobe vfio-pci" },
        { no_dev_vfio, "vfio", "host", PROBLEM, "no /dev/vfio/vfio", "udev" },
        { vfio_without_iommu, "vfio", "host", WARNING, "without an IOMMU is allowed", "noiommu" },
        { locked_down, "lockdown", "host", NOTE, "[integrity]", "before this kernel" },
        { merged_memory, "memory", "host", NOTE, "KSM", "all of their memory" },
        { no_bridge_module, "bridge", "host", PROBLEM, "no bridge", "CONFIG_BRIDGE" },
        { bridge_without_vlans, "bridge", "host", WARNING, "cannot filter VLANs", "CONFIG_BRIDGE_VLAN_FILTERING" },
        { no_bridge_but_configuration, "bridge", "host", WARNING, "cannot filter VLANs", "VLAN_FILTERING" },
        { no_bridge_yet, "bridge", "host", NOTE, "no bridge yet", "switch show" },
        { no_flower, "traffic-control", "host", PROBLEM, "has no cls_flower", "kernel-modules-extra" },
        { no_policing, "traffic-control", "host", WARNING, "has no act_gact, act_police", "kernel-modules-extra" },
        { no_module_lists, "traffic-control", "host", NOTE, "cannot be read", "vswitchd says so" },
        { no_libvirt, "libvirt", "host", PROBLEM, "not installed", "install" },
        { libvirt_stopped, "libvirt", "host", WARNING, "does not run", "systemctl" },
        { libvirt_old, "libvirt", "host", PROBLEM, "libvirt 7.0.0", "9.0 or later" },
        { libvirt_untested, "libvirt", "host", WARNING, "libvirt 8.10.0", "9.0 or later" },
        { no_qemu, "qemu", "host", WARNING, "not installed", "install" },
        { qemu_old, "qemu", "host", PROBLEM, "QEMU 4.1.1", "7.2 or later" },
        { qemu_untested, "qemu", "host", WARNING, "QEMU 6.2.0", "7.2 or later" },
        { qemu_broken, "qemu", "host", WARNING, "fails", "by hand" },
        { qemu_mumbles, "qemu", "host", WARNING, "no version", "by hand" },
        { qemu_hangs, "qemu", "host", WARNING, "does not answer", "by hand" },
        { no_card, "sr-iov", "host", PROBLEM, "no network device", "firmware's setup" },
        { not_used_by_the_kernel, "sr-iov", "enp1s0", PROBLEM, "kernel does not use it", "CONFIG_PCI_IOV" },
        { no_driver, "driver", "enp1s0", PROBLEM, "no driver", "load" },
        { bound_to_vfio, "driver", "enp1s0", PROBLEM, "vfio-pci", "own driver" },
        { unknown_driver, "driver", "enp1s0", NOTE, "newnic", "vswitch pf probe" },
        { vfs_not_allowed, "vf-count", "enp1s0", PROBLEM, "allow no VFs, though", "vendor's tool" },
        { fewer_vfs, "vf-count", "enp1s0", NOTE, "7 of the hardware's 8 VFs", "" },
        { no_vfs_yet, "vf-count", "enp1s0", NOTE, "no VFs are made, 7 can be", "vswitch pf set-vfs enp1s0 N" },
        { vf_memory_unset, "vf-memory", "enp1s0", PROBLEM, "1 of the 2 memory areas", "pci=realloc" },
        { vf_memory_none, "vf-memory", "enp1s0", PROBLEM, "have no address", "or put pci=realloc" },
        { vf_memory_none_with_realloc, "vf-memory", "enp1s0", PROBLEM, "no address", "is there already" },
        { some_buses, "bus-numbers", "enp1s0", WARNING, "behind 0000:00:01.0 suffice for 4 of 7", "assign-busses" },
        { no_buses, "bus-numbers", "enp1s0", PROBLEM, "suffice for 0 of 7 VFs", "another slot" },
        { no_buses_by_registers, "bus-numbers", "enp1s0", WARNING, "suffice for 64 of 200", "another slot" },
        { shared_vf, "isolation", "enp1s0", PROBLEM, "VF 0 shares its IOMMU group with 0000:01:10.2", "ACS" },
        { shared_by_all, "isolation", "enp1s0", PROBLEM, "so do 1 other VFs", "another slot" },
        { shared_with_bridge, "isolation", "enp1s0", OK, "alone", "" },
        { shared_pf, "isolation", "enp1s0", WARNING, "the PF shares its IOMMU group with 0000:02:00.0",
          "another slot" },
        { shared_by_ports, "isolation", "enp1s0", OK, "nothing else", "" },
};

START_TEST(one_thing_is_wrong)
{
        struct findings findings;
        bool found = false;

        tree_make();
        hosts[_i].change();
        findings = check_host(NULL);
        check_sentences(&findings);
        for (size_t i = 0; i < findings.count; i++)
                found = found || (findings.list[i].level == hosts[_i].level &&
                                  strcmp(findings.list[i].check, hosts[_i].check) == 0 &&
                                  strcmp(findings.list[i].subject, hosts[_i].subject) == 0 &&
                                  strstr(findings.list[i].seen, hosts[_i].seen) &&
                                  strstr(findings.list[i].remedy, hosts[_i].remedy));
        for (size_t i = 0; !found && i < findings.count; i++)
                fprintf(stderr, "%s %s %s: %s (%s)\n", hostcheck_level_to_string(findings.list[i].level),
                        findings.list[i].subject, findings.list[i].check, findings.list[i].seen,
                        findings.list[i].remedy);
        ck_assert_msg(found, "not found: %s %s: %s", hostcheck_level_to_string(hosts[_i].level), hosts[_i].check,
                      hosts[_i].seen);
        tree_remove();
}
END_TEST

START_TEST(a_bridge_without_acs_is_named)
{
        struct findings findings;
        bool found = false;

        tree_make();
        shared_vf();
        findings = check_host(NULL);
        for (size_t i = 0; i < findings.count; i++)
                found = found || strstr(findings.list[i].why, "without ACS are: 0000:00:01.0");
        ck_assert(found);
        tree_remove();
}
END_TEST

START_TEST(devices_are_named)
{
        static const struct {
                const char *name, *seen;
        } devices[] = { { "enp1s0", "0000:01:00.0 has it" },
                        { "enp1s0v0", "is a VF itself" },
                        { "br0", "is no PCI device" } };
        const char *pfs[] = { devices[_i].name, NULL };
        struct findings findings;
        bool found = false;

        tree_make();
        findings = check_host(pfs);
        for (size_t i = 0; i < findings.count; i++) {
                if (strcmp(findings.list[i].check, "sr-iov") != 0)
                        continue;
                ck_assert_str_eq(findings.list[i].subject, devices[_i].name);
                found = found || strstr(findings.list[i].seen, devices[_i].seen);
        }
        ck_assert(found);
        check_sentences(&findings);
        tree_remove();
}
END_TEST

START_TEST(an_unknown_device_is_refused)
{
        static const char *const names[] = { "eth9", "../net/enp1s0", "", "." };
        const char *pfs[] = { "enp1s0", names[_i], NULL };
        struct vswitch_error error = {};
        struct findings findings = {};

        tree_make();
        ck_assert_int_eq(hostcheck_run(&(struct hostcheck_options){ .root = tree_root, .pfs = pfs }, keep, &findings,
                                       &error),
                         -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "there is no network device"));
        ck_assert_uint_eq(findings.count, 0);
        tree_remove();
}
END_TEST

START_TEST(an_empty_folder_is_a_host_too)
{
        struct findings findings;
        unsigned problems = 0;

        strcpy(tree_root, "/tmp/vswitch-host-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(tree_root));
        findings = check_host(NULL);
        check_sentences(&findings);
        for (size_t i = 0; i < findings.count; i++)
                problems += findings.list[i].level == HOSTCHECK_PROBLEM;
        ck_assert_uint_ge(problems, 4);
        tree_remove();
}
END_TEST

/* A program that hangs costs its bound, not its time. */
START_TEST(programs_are_waited_for_with_a_bound)
{
        struct timespec begin, end;

        tree_make();
        qemu_hangs();
        clock_gettime(CLOCK_MONOTONIC, &begin);
        check_host(NULL);
        clock_gettime(CLOCK_MONOTONIC, &end);
        ck_assert_int_lt(end.tv_sec - begin.tv_sec, 20);
        tree_remove();
}
END_TEST

/*
 * The command
 */

/* As a careless administrator's host would be: everything is told at once. */
static void many_things(void)
{
        iommu_turned_off();
        remapping_turned_off();
        set_command_line("quiet intel_iommu=off intremap=off pci=noari");
        vf_memory_none();
        no_vfs_yet();
        no_buses();
        libvirt_stopped();
        no_flower();
}

static const struct {
        const char *file;
        void (*change)(void);
        const char *arguments[4];
        int exit_code;
} commands[] = {
        { "host-check", NULL, { NULL }, 0 },
        { "host-check.json", NULL, { "--json", "enp1s0" }, 0 },
        { "host-check-problems", many_things, { NULL }, 1 },
        { "host-check-problems.json", many_things, { "-j" }, 1 },
        { "host-check-unknown", NULL, { "eth9" }, 4 },
        { "host-check-help", NULL, { "--help" }, 0 },
};

START_TEST(what_the_command_prints)
{
        const char *arguments[12] = { "host", "check", "--root", tree_root };
        char text[sizeof(((struct run *) 0)->output) + sizeof(((struct run *) 0)->errors)];
        struct run run;

        tree_make();
        if (commands[_i].change)
                commands[_i].change();
        for (size_t i = 0; i < 4 && commands[_i].arguments[i]; i++)
                arguments[i + 4] = commands[_i].arguments[i];
        /* No daemon is needed. */
        run = run_cli("/nonexistent/control", arguments);
        snprintf(text, sizeof(text), "%s%s%s", run.output, run.errors[0] ? "--- stderr\n" : "", run.errors);
        ck_assert_msg(run.exit_code == commands[_i].exit_code, "exit %d, %s", run.exit_code, text);
        compare_with_golden(VSWITCH_TEST_GOLDEN, commands[_i].file, text);
        tree_remove();
}
END_TEST

/* On whatever host the tests run: it comes to an end and says one of the two things. */
START_TEST(this_host_can_be_checked)
{
        const char *const arguments[] = { "host", "check", NULL };
        struct run run = run_cli("/nonexistent/control", arguments);

        ck_assert(run.exit_code == 0 || run.exit_code == 1);
        ck_assert_ptr_nonnull(
                strstr(run.output, run.exit_code ? "No guest can get a VF yet" : "Nothing stands in the way"));
        ck_assert_str_eq(run.errors, "");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("host-check");
        TCase *tests = tcase_create("host-check");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, nothing_is_wrong);
        tcase_add_loop_test(tests, one_thing_is_wrong, 0, sizeof(hosts) / sizeof(hosts[0]));
        tcase_add_test(tests, a_bridge_without_acs_is_named);
        tcase_add_loop_test(tests, devices_are_named, 0, 3);
        tcase_add_loop_test(tests, an_unknown_device_is_refused, 0, 4);
        tcase_add_test(tests, an_empty_folder_is_a_host_too);
        tcase_add_test(tests, programs_are_waited_for_with_a_bound);
        tcase_add_loop_test(tests, what_the_command_prints, 0, sizeof(commands) / sizeof(commands[0]));
        tcase_add_test(tests, this_host_can_be_checked);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
