/* SPDX-License-Identifier: Apache-2.0 */

/* PCI functions: their folders in sysfs, and their configuration space. */

#include "src/hostcheck/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTENDED_BEGIN 0x100
#define EXTENDED_MAX   ((HOST_CONFIG_SIZE - EXTENDED_BEGIN) / 8) /* a capability has 8 bytes at least */

bool host_is_pci_address(const char *text)
{
        unsigned domain, bus, device, function;
        int length = 0;

        return sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &length) == 4 &&
               text[length] == '\0';
}

uint16_t host_config_word(const uint8_t *config, unsigned offset)
{
        return (uint16_t) (config[offset] | config[offset + 1] << 8);
}

/* PCI Express Base Specification, 7.6.3: id in the low 16 bits of the header, the next one's place in the upper 12. */
unsigned host_find_extended_capability(const uint8_t *config, size_t size, uint16_t id)
{
        unsigned offset = EXTENDED_BEGIN;

        for (unsigned i = 0; i < EXTENDED_MAX && offset >= EXTENDED_BEGIN && offset + 4 <= size; i++) {
                if (host_config_word(config, offset) == id)
                        return offset;
                offset = (host_config_word(config, offset + 2) >> 4) & ~3u;
        }
        return 0;
}

size_t host_read_config(const struct host *host, const char *device, uint8_t config[HOST_CONFIG_SIZE])
{
        char path[PATH_MAX];
        size_t size;
        FILE *file;

        snprintf(path, sizeof(path), "%s%s/config", host->options->root, device);
        file = fopen(path, "re");
        if (!file)
                return 0;
        size = fread(config, 1, HOST_CONFIG_SIZE, file);
        fclose(file);
        return size;
}

static int find_device(const struct host *host, struct host_pf *pf)
{
        char path[PATH_MAX], root[PATH_MAX] = "", resolved[PATH_MAX];
        const char *slash;

        snprintf(path, sizeof(path), "%s/sys/class/net/%s/device", host->options->root, pf->name);
        if (!realpath(path, resolved))
                return -errno;
        if (host->options->root[0] && !realpath(host->options->root, root))
                return -errno;
        /* An absolute link leads out of a copy. */
        if (strncmp(resolved, root, strlen(root)) != 0)
                return -EXDEV;
        snprintf(pf->device, sizeof(pf->device), "%s", resolved + (strcmp(root, "/") == 0 ? 0 : strlen(root)));
        slash = strrchr(pf->device, '/');
        if (slash && host_is_pci_address(slash + 1))
                snprintf(pf->address, sizeof(pf->address), "%s", slash + 1);
        return 0;
}

int host_read_pf(const struct host *host, const char *name, struct host_pf *ret)
{
        *ret = (struct host_pf){ .total_vfs = -1, .num_vfs = -1 };
        if (strlen(name) >= sizeof(ret->name) || strchr(name, '/') || name[0] == '\0' || name[0] == '.' ||
            !host_exists(host, "/sys/class/net/%s", name))
                return -ENODEV;
        strcpy(ret->name, name);
        if (find_device(host, ret) < 0 || ret->address[0] == '\0')
                return 0;
        ret->config_size = host_read_config(host, ret->device, ret->config);
        ret->sriov = host_find_extended_capability(ret->config, ret->config_size, PCI_EXTENDED_SRIOV);
        ret->total_vfs = (int) host_read_number(host, "%s/sriov_totalvfs", ret->device);
        ret->num_vfs = (int) host_read_number(host, "%s/sriov_numvfs", ret->device);
        ret->is_vf = host_exists(host, "%s/physfn", ret->device);
        return 0;
}
