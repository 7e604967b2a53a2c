/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * VFIO pins all of a guest's memory when the first device is attached: what the guest had never touched, or what had
 * been swapped out, becomes resident at once and stays. On a host that has promised more memory than it has, that
 * endangers everybody. So before a guest gets its first VF, what is missing of its memory is held against what the
 * kernel says could be had (MemAvailable), with a reserve. A guest whose memory is all resident (huge pages, locked,
 * or just busy) costs nothing more.
 *
 * QEMU's process is found by libvirt's pid file; where that cannot be read nothing is known, and nothing stands in the
 * way.
 */

#include "src/daemon/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *memory_pid_directory = "/run/libvirt/qemu";

/* "Name:   123 kB" of a file in /proc. 0 when there is none. */
static uint64_t read_kibibytes(const char *path, const char *name)
{
        FILE *file = fopen(path, "re");
        size_t length = strlen(name);
        uint64_t value = 0;
        char line[256];

        if (!file)
                return 0;
        while (fgets(line, sizeof(line), file))
                if (strncmp(line, name, length) == 0 && line[length] == ':') {
                        if (sscanf(line + length + 1, "%" SCNu64, &value) != 1)
                                value = 0;
                        break;
                }
        fclose(file);
        return value;
}

static uint64_t read_resident(const char *domain)
{
        char path[192];
        int pid = 0;
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s.pid", memory_pid_directory, domain);
        file = fopen(path, "re");
        if (!file)
                return UINT64_MAX;
        if (fscanf(file, "%d", &pid) != 1)
                pid = 0;
        fclose(file);
        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        return pid > 0 ? read_kibibytes(path, "VmRSS") + read_kibibytes(path, "HugetlbPages") : UINT64_MAX;
}

static bool has_vf_already(const struct manager_nic *nic)
{
        return nic->domain->guest && nic->domain->guest->vfs_count > 0;
}

static uint64_t missing_of(const struct manager_domain *domain)
{
        uint64_t resident = domain->guest ? read_resident(domain->name) : UINT64_MAX;

        return domain->guest && resident < domain->guest->memory_kib ? domain->guest->memory_kib - resident : 0;
}

static bool has_claim(const struct manager *manager, const struct manager_domain *domain)
{
        const struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->domain == domain && nic->claim && !nic->claim->leased)
                        return true;
        return false;
}

/* What other guests are about to have pinned: they have been given VFs, and QEMU has not pinned it all yet. */
static uint64_t promised_to_others(const struct manager_nic *nic)
{
        const struct manager_domain *domain;
        uint64_t promised = 0;

        TAILQ_FOREACH (domain, &nic->manager->domains, entry)
                if (domain != nic->domain && has_claim(nic->manager, domain))
                        promised += missing_of(domain);
        return promised;
}

bool memory_suffices(const struct manager_nic *nic)
{
        const struct guest *guest = nic->domain->guest;
        uint64_t missing, available, total, reserve;

        /* One VF has it pinned already. */
        if (!guest || guest->memory_kib == 0 || has_vf_already(nic))
                return true;
        missing = missing_of(nic->domain);
        available = read_kibibytes("/proc/meminfo", "MemAvailable");
        total = read_kibibytes("/proc/meminfo", "MemTotal");
        reserve = total / 100 * nic->manager->options.config->scarcity.memory_reserve;
        missing += missing > 0 ? promised_to_others(nic) : 0;
        return missing == 0 || total == 0 || available >= missing + reserve;
}
