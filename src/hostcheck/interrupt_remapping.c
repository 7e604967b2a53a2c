/* SPDX-License-Identifier: Apache-2.0 */

/*
 * On x86 a message-signalled interrupt is a write to memory, so a device that a guest drives could send any interrupt to
 * any processor of the host unless they are remapped. VFIO refuses devices then (vfio_iommu_type1: "No interrupt
 * remapping"). Whether the kernel turned it on is seen in the names of its interrupt chips: "IR-PCI-MSI" (arch/x86:
 * irq_remapping_ir_irq_domain). Boot messages are not looked at: they are overwritten after a while.
 */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Byte 37 of the DMAR table is its flags, bit 0 INTR_REMAP (VT-d specification, 8.1). Only root may read the table. */
#define DMAR_FLAGS      37
#define DMAR_INTR_REMAP 0x01

static const char why[] = "a guest's VF could raise any interrupt of the host, so VFIO refuses to give VFs to guests";

static bool has_remapped_interrupts(const struct host *host)
{
        char path[PATH_MAX], *line = NULL;
        size_t room = 0;
        bool found = false;
        FILE *file;

        snprintf(path, sizeof(path), "%s/proc/interrupts", host->options->root);
        file = fopen(path, "re");
        if (!file)
                return false;
        while (!found && getline(&line, &room, file) >= 0)
                found = strstr(line, " IR-PCI-MSI") || strstr(line, " IR-IO-APIC");
        free(line);
        fclose(file);
        return found;
}

/* 1 the firmware says that the chipset can, 0 that it cannot, -1 it is not to be read. */
static int firmware_says(const struct host *host)
{
        unsigned char table[DMAR_FLAGS + 1];
        char path[PATH_MAX];
        size_t size;
        FILE *file;

        snprintf(path, sizeof(path), "%s/sys/firmware/acpi/tables/DMAR", host->options->root);
        file = fopen(path, "re");
        if (!file)
                return -1;
        size = fread(table, 1, sizeof(table), file);
        fclose(file);
        return size == sizeof(table) ? (table[DMAR_FLAGS] & DMAR_INTR_REMAP) != 0 : -1;
}

/* The parameter that turns it off, or NULL. */
static const char *turned_off_by(const struct host *host)
{
        if (host_has_word(host, "nointremap"))
                return "nointremap";
        if (host_has_parameter(host, "intremap", "off"))
                return "intremap=off";
        if (host_has_word(host, "noapic"))
                return "noapic";
        return NULL;
}

void check_interrupt_remapping(const struct host *host)
{
        const char *parameter = turned_off_by(host);
        char remedy[HOST_TEXT_SIZE], allowed[8];
        int firmware;

        if (!host->is_x86) {
                host_ok(host, "the interrupt controller of this architecture does it");
                return;
        }
        if (has_remapped_interrupts(host) ||
            host_has_line(host, "/sys/kernel/debug/iommu/intel/ir_translation_struct", " IR table address") ||
            host_has_line(host, "/sys/kernel/debug/iommu/intel/ir_translation_struct", "IR table address")) {
                host_ok(host, "it is on (interrupt chips IR-...)");
                return;
        }
        host_read(host, allowed, sizeof(allowed), "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
        if (allowed[0] == 'Y') {
                host_report(host, HOSTCHECK_WARNING,
                            "a guest's VF can raise any interrupt of the host: only for guests that are trusted",
                            "turn interrupt remapping on, and remove allow_unsafe_interrupts",
                            "it is not on, and VFIO was told to do without "
                            "(vfio_iommu_type1.allow_unsafe_interrupts)");
                return;
        }
        firmware = firmware_says(host);
        if (parameter)
                snprintf(remedy, sizeof(remedy), "remove %s from the kernel command line and boot again", parameter);
        else if (firmware == 0)
                snprintf(
                        remedy, sizeof(remedy),
                        "the chipset, or its firmware, says that it cannot: update the firmware. Only where all guests "
                        "are trusted: vfio_iommu_type1.allow_unsafe_interrupts=1");
        else if (host->is_virtual)
                snprintf(remedy, sizeof(remedy),
                         "let the hypervisor give this virtual machine an IOMMU with it (libvirt: <iommu model='intel'>"
                         "<driver intremap='on'/></iommu>, and <ioapic driver='qemu'/>)");
        else
                snprintf(remedy, sizeof(remedy),
                         "it comes with the IOMMU: turn that on first; if it is on, turn on x2APIC or interrupt "
                         "remapping "
                         "in the firmware's setup, or update the firmware (dmesg | grep -i remap tells why the kernel "
                         "does without)");
        host_report(host, HOSTCHECK_PROBLEM, why, remedy, "%s%s",
                    parameter ? "it is turned off by " : "the kernel has no remapped interrupts", parameter ?: "");
}
