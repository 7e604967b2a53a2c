/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Can each VF be given away alone? What is in one IOMMU group can reach each other without the IOMMU between, so VFIO
 * gives only whole groups away. The groups are the kernel's verdict on ACS (Access Control Services) of every bridge on
 * the way, with all quirks. Before there are VFs the PF's own group tells: a VF shares the way up with its PF.
 */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <string.h>

#define CLASS_BRIDGE 0x0604 /* PCI bridge; those go with a group without harm */

static bool is_bridge(const struct host *host, const char *address)
{
        return host_read_number(host, "/sys/bus/pci/devices/%s/class", address) >> 8 == CLASS_BRIDGE;
}

/* The devices that share the group of `device` (a folder) without being bridges or functions of `own_slot`
 * ("0000:01:00.", or ""). How many; the first ones are named in `names`. */
static unsigned count_companions(const struct host *host, const char *device, const char *own, const char *own_slot,
                                 char *names, size_t size)
{
        _cleanup_list_ char **members = host_list(host, "%s/iommu_group/devices", device);
        unsigned count = 0;

        names[0] = '\0';
        for (size_t i = 0; members && members[i]; i++) {
                size_t used = strlen(names);

                if (strcmp(members[i], own) == 0 || is_bridge(host, members[i]) ||
                    (own_slot[0] && strncmp(members[i], own_slot, strlen(own_slot)) == 0))
                        continue;
                count++;
                if (count <= 3)
                        snprintf(names + used, size - used, "%s%s", used ? ", " : "", members[i]);
                else if (count == 4)
                        snprintf(names + used, size - used, ", ...");
        }
        return count;
}

/* The bridges above that have no ACS, as far as it may be read. */
static void find_bridges_without_acs(const struct host *host, const struct host_pf *pf, char *names, size_t size)
{
        char device[PATH_MAX], *slash;
        uint8_t config[HOST_CONFIG_SIZE];

        names[0] = '\0';
        snprintf(device, sizeof(device), "%s", pf->device);
        while ((slash = strrchr(device, '/'))) {
                const char *bridge;
                size_t read, used = strlen(names);

                *slash = '\0';
                bridge = strrchr(device, '/');
                if (!bridge || !host_is_pci_address(bridge + 1))
                        return;
                read = host_read_config(host, device, config);
                if (read > 256 && host_find_extended_capability(config, read, PCI_EXTENDED_ACS) == 0)
                        snprintf(names + used, size - used, "%s%s", used ? ", " : "", bridge + 1);
        }
}

static void report_shared(const struct host *host, const struct host_pf *pf, enum hostcheck_level level,
                          const char *seen)
{
        char bridges[128], why[HOST_TEXT_SIZE];

        find_bridges_without_acs(host, pf, bridges, sizeof(bridges));
        snprintf(why, sizeof(why),
                 "only whole IOMMU groups are given to guests, so these can only go to one guest together%s%s",
                 bridges[0] ? "; without ACS are: " : "", bridges);
        host_report(
                host, level, why,
                "put the card into another slot (one at the processor rather than at the chipset); turn ACS on in the "
                "firmware's setup, or update the firmware",
                "%s", seen);
}

void check_isolation(const struct host *host, const struct host_pf *pf)
{
        char names[128], seen[HOST_TEXT_SIZE], slot[16];
        unsigned shared = 0, looked_at = 0;

        if (!host_exists(host, "%s/iommu_group", pf->device))
                return; /* without an IOMMU, which is another finding */
        for (int i = 0; i < pf->num_vfs; i++) {
                char vf[PATH_MAX], address[32], companions[128];

                snprintf(vf, sizeof(vf), "%.*s/virtfn%d", PATH_MAX - 32, pf->device, i);
                if (host_link_name(host, address, sizeof(address), "%s", vf) < 0)
                        continue;
                looked_at++;
                if (count_companions(host, vf, address, "", companions, sizeof(companions)) == 0)
                        continue;
                if (shared++ == 0)
                        snprintf(seen, sizeof(seen), "VF %d shares its IOMMU group with %s", i, companions);
        }
        if (shared > 0) {
                size_t used = strlen(seen);

                if (shared > 1)
                        snprintf(seen + used, sizeof(seen) - used, "; so do %u other VFs with theirs", shared - 1);
                report_shared(host, pf, HOSTCHECK_PROBLEM, seen);
                return;
        }
        if (looked_at > 0) {
                host_ok(host, "each of its %u VFs is alone in its IOMMU group", looked_at);
                return;
        }
        snprintf(slot, sizeof(slot), "%.*s", (int) (strrchr(pf->address, '.') - pf->address + 1), pf->address);
        if (count_companions(host, pf->device, pf->address, slot, names, sizeof(names)) == 0) {
                host_ok(host, "nothing else is in the PF's IOMMU group, so VFs will be alone in theirs");
                return;
        }
        snprintf(seen, sizeof(seen), "the PF shares its IOMMU group with %s, so its VFs probably will, too", names);
        report_shared(host, pf, HOSTCHECK_WARNING, seen);
}
