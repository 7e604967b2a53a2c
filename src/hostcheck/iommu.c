/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Is there an IOMMU, and is it on? The kernel's own answer is whether devices are in IOMMU groups. When there are none,
 * the firmware's tables and the command line tell whose turn it is: the firmware's setup, the command line, or the
 * firmware's vendor.
 */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <string.h>

static const char why[] =
        "without an IOMMU a VF could read and write all of the host's memory, so the kernel gives none to a "
        "guest";

/* Real groups; vfio's unsafe mode without an IOMMU makes groups of its own. */
static size_t count_groups(const struct host *host, size_t *ret_unsafe)
{
        _cleanup_list_ char **groups = host_list(host, "/sys/kernel/iommu_groups");
        size_t count = 0;

        *ret_unsafe = 0;
        for (size_t i = 0; groups && groups[i]; i++) {
                char name[64];

                host_read(host, name, sizeof(name), "/sys/kernel/iommu_groups/%s/name", groups[i]);
                if (strcmp(name, "vfio-noiommu") == 0)
                        ++*ret_unsafe;
                else
                        count++;
        }
        return count;
}

/* The parameter that turns it off, or NULL. */
static const char *turned_off_by(const struct host *host)
{
        static const struct {
                const char *name, *item, *text;
        } parameters[] = {
                { "iommu", "off", "iommu=off" },
                { "intel_iommu", "off", "intel_iommu=off" },
                { "amd_iommu", "off", "amd_iommu=off" },
                { "arm-smmu.disable_bypass", "0", "arm-smmu.disable_bypass=0" },
        };

        for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
                if (host_has_parameter(host, parameters[i].name, parameters[i].item))
                        return parameters[i].text;
        return NULL;
}

static void report_off(const struct host *host, bool intel, bool amd)
{
        const char *parameter = turned_off_by(host);
        char remedy[HOST_TEXT_SIZE];

        if (parameter) {
                snprintf(remedy, sizeof(remedy), "remove %s from the kernel command line and boot again", parameter);
                host_report(host, HOSTCHECK_PROBLEM, why, remedy, "%s turns the IOMMU off", parameter);
        } else if (intel && !host_has_parameter(host, "intel_iommu", "on"))
                host_report(host, HOSTCHECK_PROBLEM, why,
                            "put intel_iommu=on on the kernel command line and boot again",
                            "the firmware shows an IOMMU (ACPI table DMAR), and the kernel does not use it");
        else if (intel || amd)
                host_report(
                        host, HOSTCHECK_PROBLEM, why,
                        "dmesg | grep -e DMAR -e AMD-Vi tells what is wrong; an update of the firmware usually helps",
                        "the firmware shows an IOMMU (ACPI table %s), and the kernel did not accept what it says",
                        intel ? "DMAR" : "IVRS");
        else if (host->is_virtual)
                host_report(host, HOSTCHECK_PROBLEM, why,
                            "give this virtual machine one (libvirt: <iommu model='intel'><driver "
                            "intremap='on'/></iommu> on "
                            "q35)",
                            "this virtual machine has no IOMMU");
        else
                host_report(host, HOSTCHECK_PROBLEM, why,
                            "turn on VT-d (Intel), AMD-Vi or IOMMU (AMD), or the SMMU (Arm) in the firmware's setup; "
                            "if there "
                            "is no such item, the machine has none",
                            "the firmware shows no IOMMU");
}

void check_iommu(const struct host *host)
{
        _cleanup_list_ char **units = host_list(host, "/sys/class/iommu");
        bool intel = host_exists(host, "/sys/firmware/acpi/tables/DMAR");
        bool amd = host_exists(host, "/sys/firmware/acpi/tables/IVRS");
        size_t unsafe, groups = count_groups(host, &unsafe), count = host_list_count(units);

        if (groups == 0)
                report_off(host, intel, amd);
        else
                host_ok(host, "it is on: %zu group%s%s%s%s", groups, groups == 1 ? "" : "s", count > 0 ? ", by " : "",
                        count > 0 ? units[0] : "", count > 1 ? " and others" : "");
        if (unsafe > 0)
                host_report(host, HOSTCHECK_WARNING,
                            "a guest with such a device owns the host; vswitch gives no VF to a guest this way",
                            "unload vfio with enable_unsafe_noiommu_mode, and turn the IOMMU on",
                            "%zu device%s used through VFIO without an IOMMU", unsafe, unsafe == 1 ? " is" : "s are");
}
