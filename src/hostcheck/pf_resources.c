/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What VFs need of the host before they can be made: memory addresses and bus numbers. The kernel says it only when VFs
 * are made (-ENOMEM, with "not enough MMIO resources for SR-IOV" or "can't enable %d VFs (bus %02x out of range)",
 * drivers/pci/iov.c), so the same is computed here from what sysfs shows.
 */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines of the file `resource`: six BARs and the ROM of the PF, then six areas for the BARs of all its VFs. */
#define VF_RESOURCES   7
#define RESOURCES      13
#define RESOURCE_UNSET 0x20000000ull /* include/linux/ioport.h: IORESOURCE_UNSET */

#define FIRST_OFFSET    0x14 /* in the SR-IOV capability */
#define STRIDE          0x16
#define SUBORDINATE_BUS 0x1a /* in a bridge's configuration space */

void check_vf_memory(const struct host *host, const struct host_pf *pf)
{
        static const char why[] =
                "the VFs' registers have no place in the address space: the kernel makes no VF (-ENOMEM)";
        unsigned lines = 0, placed = 0, unplaced = 0;
        char text[4096], *line = text;
        const char *remedy;

        if (pf->total_vfs == 0)
                return;
        host_read(host, text, sizeof(text), "%s/resource", pf->device);
        for (; *line; lines++) {
                unsigned long long start = 0, end = 0, flags = 0;

                if (sscanf(line, "%llx %llx %llx", &start, &end, &flags) == 3 && lines >= VF_RESOURCES &&
                    lines < RESOURCES && flags != 0) {
                        if (start == 0 || (flags & RESOURCE_UNSET))
                                unplaced++;
                        else
                                placed++;
                }
                line += strcspn(line, "\n");
                line += *line == '\n';
        }
        if (lines < RESOURCES)
                return; /* nothing to tell from */
        remedy = host_has_parameter(host, "pci", "realloc") || host_has_parameter(host, "pci", "realloc=on")
                         ? "turn on \"Above 4G decoding\" and SR-IOV in the firmware's setup (pci=realloc is there "
                           "already)"
                         : "turn on \"Above 4G decoding\" and SR-IOV in the firmware's setup, or put pci=realloc on "
                           "the kernel "
                           "command line";
        if (unplaced > 0)
                host_report(host, HOSTCHECK_PROBLEM, why, remedy,
                            "%u of the %u memory areas of its VFs have no address", unplaced, placed + unplaced);
        else if (placed == 0)
                host_report(host, HOSTCHECK_PROBLEM, why, remedy, "the memory areas of its VFs have no address");
        else
                host_ok(host, "the memory areas of its VFs have addresses");
}

/* The highest bus number behind the bridge above the PF; -1: there is no bridge, or it cannot be read. */
static int find_last_bus(const struct host *host, const struct host_pf *pf, char bridge[static 16])
{
        uint8_t config[HOST_CONFIG_SIZE];
        char device[PATH_MAX], *slash;
        const char *parent;
        long long number;

        snprintf(device, sizeof(device), "%s", pf->device);
        slash = strrchr(device, '/');
        if (!slash)
                return -1;
        *slash = '\0';
        parent = strrchr(device, '/');
        if (!parent || !host_is_pci_address(parent + 1))
                return -1;
        snprintf(bridge, 16, "%s", parent + 1);
        number = host_read_number(host, "%s/subordinate_bus_number", device);
        if (number >= 0)
                return (int) number;
        return host_read_config(host, device, config) > SUBORDINATE_BUS ? config[SUBORDINATE_BUS] : -1;
}

/* Where the first VF is, and the next ones, as distances from the PF. */
static bool find_places(const struct host *host, const struct host_pf *pf, unsigned *ret_offset, unsigned *ret_stride)
{
        long long offset = host_read_number(host, "%s/sriov_offset", pf->device);
        long long stride = host_read_number(host, "%s/sriov_stride", pf->device);

        if ((offset <= 0 || stride < 0) && pf->sriov > 0 && pf->sriov + STRIDE + 2 <= pf->config_size) {
                offset = host_config_word(pf->config, pf->sriov + FIRST_OFFSET);
                stride = host_config_word(pf->config, pf->sriov + STRIDE);
        }
        if (offset <= 0 || stride < 0)
                return false;
        *ret_offset = (unsigned) offset;
        *ret_stride = (unsigned) stride;
        return true;
}

void check_bus_numbers(const struct host *host, const struct host_pf *pf)
{
        static const char remedy[] =
                "use another slot, or let the kernel number the buses anew: pci=assign-busses on its "
                "command line";
        unsigned domain, bus, device, function, place, offset, stride, reached = 0;
        char bridge[16];
        int last_bus = find_last_bus(host, pf, bridge);

        if (pf->total_vfs <= 0 || last_bus < 0 || !find_places(host, pf, &offset, &stride) ||
            sscanf(pf->address, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
                return;
        place = bus << 8 | device << 3 | function;
        while (reached < (unsigned) pf->total_vfs && (place + offset + stride * reached) >> 8 <= (unsigned) last_bus)
                reached++;
        if (reached == (unsigned) pf->total_vfs)
                host_ok(host, "the bus numbers behind %s suffice for all VFs", bridge);
        else
                host_report(host, reached == 0 ? HOSTCHECK_PROBLEM : HOSTCHECK_WARNING,
                            "a VF whose bus number the bridge above does not pass on cannot be made (-ENOMEM)", remedy,
                            "the bus numbers behind %s suffice for %u of %d VFs", bridge, reached, pf->total_vfs);
}
