/* SPDX-License-Identifier: Apache-2.0 */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <sys/stat.h>

/* The file is as long as the kernel can reach: 256 bytes of PCI, 4096 of PCI Express. */
static bool has_extended_space(const struct host *host, const char *address)
{
        char path[PATH_MAX];
        struct stat status;

        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/config", host->options->root, address);
        return stat(path, &status) == 0 && status.st_size >= HOST_CONFIG_SIZE;
}

void check_pci_express(const struct host *host)
{
        static const char why[] =
                "SR-IOV is described beyond the first 256 bytes of a card's configuration space, which "
                "only PCI Express has and the firmware must show the way to (ACPI table MCFG)";
        _cleanup_list_ char **devices = host_list(host, "/sys/bus/pci/devices");
        size_t extended = 0, count = host_list_count(devices);

        for (size_t i = 0; i < count; i++)
                extended += has_extended_space(host, devices[i]);
        if (count == 0)
                host_report(host, HOSTCHECK_PROBLEM, "SR-IOV is a feature of PCI Express",
                            host->is_virtual ? "use a machine type with PCI Express (q35, virt)"
                                             : "this machine cannot have an SR-IOV card",
                            "this host has no PCI devices");
        else if (extended > 0)
                host_ok(host, "%zu of %zu PCI devices can be reached by PCI Express", extended, count);
        else if (host_has_parameter(host, "pci", "nommconf"))
                host_report(host, HOSTCHECK_PROBLEM, why, "remove pci=nommconf from the kernel command line",
                            "pci=nommconf keeps the kernel from PCI Express");
        else
                host_report(host, HOSTCHECK_PROBLEM, why,
                            host->is_virtual ? "use a machine type with PCI Express (q35, virt)"
                            : host_exists(host, "/sys/firmware/acpi/tables/MCFG")
                                    ? "update the firmware: the kernel does not accept its MCFG table (dmesg | grep "
                                      "MMCONFIG)"
                                    : "update the firmware: it has no MCFG table",
                            "no PCI device can be reached by PCI Express");
}
