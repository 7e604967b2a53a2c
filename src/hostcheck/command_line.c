/* SPDX-License-Identifier: Apache-2.0 */

/* What on the kernel's command line hinders SR-IOV and is not another check's business. */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <string.h>

static const struct {
        const char *name, *item; /* item NULL: `name` is a word of its own */
        enum hostcheck_level level;
        const char *why, *remedy;
} hindrances[] = {
        { "pci", "nomsi", HOSTCHECK_PROBLEM, "VFs have message-signalled interrupts only", "remove it" },
        { "pci", "off", HOSTCHECK_PROBLEM, "the kernel then sees no card at all", "remove it" },
        { "pci", "noari", HOSTCHECK_WARNING,
          "without ARI a PF's VFs are spread over more bus numbers, which may not suffice",
          "remove it, unless a bridge needs it" },
        { "pci", "noats", HOSTCHECK_NOTE, "VFs work, but every access of theirs is translated by the IOMMU itself",
          "" },
        { "pcie_acs_override", "downstream", HOSTCHECK_WARNING,
          "IOMMU groups then claim an isolation that the hardware does not have: guests may reach each other's devices",
          "remove it, and use a slot whose port has ACS" },
        { "pcie_acs_override", "multifunction", HOSTCHECK_WARNING,
          "IOMMU groups then claim an isolation that the hardware does not have: guests may reach each other's devices",
          "remove it, and use a slot whose port has ACS" },
        { "module_blacklist", "vfio_pci", HOSTCHECK_PROBLEM, "VFs are given to guests by vfio-pci", "remove it" },
        { "module_blacklist", "vfio-pci", HOSTCHECK_PROBLEM, "VFs are given to guests by vfio-pci", "remove it" },
        { "modprobe.blacklist", "vfio-pci", HOSTCHECK_WARNING,
          "VFs are given to guests by vfio-pci, which is then not "
          "loaded by itself",
          "remove it, or load it by name: modprobe vfio-pci" },
};

void check_command_line(const struct host *host)
{
        bool found = false;

        for (size_t i = 0; i < sizeof(hindrances) / sizeof(hindrances[0]); i++) {
                if (!host_has_parameter(host, hindrances[i].name, hindrances[i].item))
                        continue;
                found = true;
                host_report(host, hindrances[i].level, hindrances[i].why, hindrances[i].remedy,
                            "%s=%s is on the kernel command line", hindrances[i].name, hindrances[i].item);
        }
        if (!found)
                host_ok(host, "nothing else on the kernel command line hinders SR-IOV");
}
