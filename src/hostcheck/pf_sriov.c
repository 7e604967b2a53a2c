/* SPDX-License-Identifier: Apache-2.0 */

/* A PF's SR-IOV capability, its driver, and how many VFs there can be. */

#include "src/hostcheck/host.h"
#include "vswitch/pf_card.h"

#include <stdio.h>
#include <string.h>

/* In the capability: PCI Express Base Specification, 9.3.3. */
#define TOTAL_VFS 0x0e

void check_sriov(const struct host *host, const struct host_pf *pf)
{
        static const char why[] = "without SR-IOV it has no VFs";

        if (pf->is_vf)
                host_report(host, HOSTCHECK_PROBLEM, "VFs are made by their PF", "name the PF",
                            "%s is a VF itself (%s)", pf->name, pf->address);
        else if (pf->address[0] == '\0')
                host_report(host, HOSTCHECK_PROBLEM, why, "name a card's own network device",
                            "%s is no PCI device (a bridge, a bond, a VLAN, ...)", pf->name);
        else if (pf->total_vfs >= 0)
                host_ok(host, "%s has it", pf->address);
        else if (pf->sriov > 0)
                host_report(host, HOSTCHECK_PROBLEM, why,
                            "use a kernel with CONFIG_PCI_IOV; if it has that, dmesg says why it did not accept the "
                            "capability",
                            "%s has it, and the kernel does not use it", pf->address);
        else
                host_report(host, HOSTCHECK_PROBLEM, why,
                            pf->config_size > 256 ? "turn SR-IOV on in the firmware's setup, or in the card by its "
                                                    "vendor's tool; if neither "
                                                    "knows it, use another card"
                                                  : "as root this would tell whether the card or the kernel is without "
                                                    "it; turn SR-IOV on in "
                                                    "the firmware's setup, or in the card by its vendor's tool",
                            "%s shows no SR-IOV", pf->address);
}

static bool is_known(const char *driver)
{
        const struct pf_card *card;

        for (size_t i = 0; (card = pf_card_at(i)); i++)
                if (strcmp(card->driver, driver) == 0)
                        return true;
        return false;
}

void check_pf_driver(const struct host *host, const struct host_pf *pf)
{
        char driver[64];

        if (host_link_name(host, driver, sizeof(driver), "%s/driver", pf->device) < 0)
                host_report(host, HOSTCHECK_PROBLEM, "the PF's driver makes the VFs", "load the card's driver",
                            "%s has no driver", pf->address);
        else if (strcmp(driver, "vfio-pci") == 0)
                host_report(host, HOSTCHECK_PROBLEM,
                            "the PF's driver makes the VFs, and the bridge needs its network device",
                            "give the PF back to its own driver", "%s is bound to vfio-pci", pf->address);
        else if (is_known(driver))
                host_ok(host, "%s", driver);
        else
                host_report(host, HOSTCHECK_NOTE,
                            "vswitch does not know beforehand what its card does, and takes the safest way",
                            "vswitch pf probe finds it out", "%s is not known to vswitch", driver);
}

void check_vf_count(const struct host *host, const struct host_pf *pf)
{
        unsigned hardware = pf->sriov > 0 && pf->sriov + TOTAL_VFS + 2 <= pf->config_size
                                    ? host_config_word(pf->config, pf->sriov + TOTAL_VFS)
                                    : 0;
        char remedy[HOST_TEXT_SIZE];

        if (pf->total_vfs == 0) {
                host_report(host, HOSTCHECK_PROBLEM, "no VFs can be made",
                            "turn SR-IOV on in the card's firmware by its vendor's tool (mlxconfig, bnxtnvm, ...), or "
                            "look at "
                            "the driver's module parameters",
                            "firmware or driver allow no VFs%s",
                            hardware > 0 ? ", though the hardware could have some" : "");
                return;
        }
        if (hardware > (unsigned) pf->total_vfs)
                host_report(host, HOSTCHECK_NOTE, "fewer guests than the hardware allows can have a VF", "",
                            "firmware or driver allow %d of the hardware's %u VFs", pf->total_vfs, hardware);
        if (pf->num_vfs > 0) {
                host_ok(host, "%d of %d VFs are made", pf->num_vfs, pf->total_vfs);
                return;
        }
        snprintf(remedy, sizeof(remedy), "vswitch pf set-vfs %s N --keep", pf->name);
        host_report(host, HOSTCHECK_NOTE, "guests get VFs that are there", remedy, "no VFs are made, %d can be",
                    pf->total_vfs);
}
