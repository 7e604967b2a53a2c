/* SPDX-License-Identifier: Apache-2.0 */

#include "src/hostcheck/host.h"

#include <stdio.h>

void check_vfio(const struct host *host)
{
        static const char why[] = "a VF is given to a guest by the driver vfio-pci";
        char unsafe[8];
        int available = host_has_module(host, "vfio_pci");

        if (host_exists(host, "/sys/bus/pci/drivers/vfio-pci"))
                host_ok(host, "vfio-pci is loaded");
        else if (available > 0)
                host_report(host, HOSTCHECK_NOTE, why, "vswitchd.service loads it; by hand: modprobe vfio-pci",
                            "vfio-pci is not loaded yet");
        else if (available == 0)
                host_report(host, HOSTCHECK_PROBLEM, why,
                            "install the package with all of the kernel's modules, or build it with CONFIG_VFIO_PCI",
                            "kernel %s has no vfio-pci", host->release);
        else
                host_report(
                        host, HOSTCHECK_PROBLEM, why,
                        "modprobe vfio-pci; the kernel must be built with CONFIG_VFIO_PCI, or its modules be installed",
                        "vfio-pci is not there, and the lists of the modules of kernel %s cannot be read",
                        host->release);
        if (available != 0 && host_exists(host, "/sys/bus/pci/drivers/vfio-pci") &&
            !host_exists(host, "/dev/vfio/vfio"))
                host_report(host, HOSTCHECK_PROBLEM, "QEMU opens VFs through it",
                            "look at udev, or at the container that "
                            "this runs in: /dev/vfio must be there",
                            "there is no /dev/vfio/vfio");
        host_read(host, unsafe, sizeof(unsafe), "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
        if (unsafe[0] == 'Y')
                host_report(host, HOSTCHECK_WARNING,
                            "it gives devices to programs without an IOMMU, so with all of the "
                            "host's memory",
                            "remove vfio.enable_unsafe_noiommu_mode where SR-IOV guests run",
                            "VFIO's mode without an IOMMU is allowed");
}
