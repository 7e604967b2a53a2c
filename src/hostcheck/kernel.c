/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel's command line and its modules. */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next word of the command line, which ends where the kernel's own parameters end ("--"). */
static const char *next_word(const char **position, size_t *ret_length)
{
        const char *word = *position + strspn(*position, " \t\n");

        *ret_length = strcspn(word, " \t\n");
        *position = word + *ret_length;
        return *ret_length == 0 || (*ret_length == 2 && strncmp(word, "--", 2) == 0) ? NULL : word;
}

bool host_has_word(const struct host *host, const char *wanted)
{
        const char *position = host->command_line, *word;
        size_t length;

        while ((word = next_word(&position, &length)))
                if (length == strlen(wanted) && strncmp(word, wanted, length) == 0)
                        return true;
        return false;
}

static bool has_item(const char *list, size_t length, const char *item)
{
        while (length > 0) {
                size_t part = 0;

                while (part < length && list[part] != ',')
                        part++;
                if (part == strlen(item) && strncmp(list, item, part) == 0)
                        return true;
                if (part == length)
                        return false;
                list += part + 1;
                length -= part + 1;
        }
        return false;
}

bool host_has_parameter(const struct host *host, const char *name, const char *item)
{
        const char *position = host->command_line, *word;
        size_t length, name_length = strlen(name);

        while ((word = next_word(&position, &length)))
                if (length > name_length && strncmp(word, name, name_length) == 0 && word[name_length] == '=' &&
                    has_item(word + name_length + 1, length - name_length - 1, item))
                        return true;
        return false;
}

bool host_is_module_loaded(const struct host *host, const char *name)
{
        return host_exists(host, "/sys/module/%s", name);
}

/* "kernel/drivers/vfio/pci/vfio-pci.ko.xz: ..." is the module vfio_pci: its files have either sign. */
static bool names_module(const char *line, const char *name)
{
        size_t end = strcspn(line, ":\n");
        const char *file = line;

        for (size_t i = 0; i < end; i++)
                if (line[i] == '/')
                        file = line + i + 1;
        for (; *name; name++, file++)
                if (*file != *name && !(*file == '-' && *name == '_'))
                        return false;
        return strncmp(file, ".ko", 3) == 0;
}

/* 1 named, 0 not, -1 there is no such list. */
static int is_listed(const struct host *host, const char *list, const char *name)
{
        char path[PATH_MAX], *line = NULL;
        size_t room = 0;
        int found = 0;
        FILE *file;

        snprintf(path, sizeof(path), "%s/lib/modules/%s/%s", host->options->root, host->release, list);
        file = fopen(path, "re");
        if (!file)
                return -1;
        while (!found && getline(&line, &room, file) >= 0)
                found = names_module(line, name);
        free(line);
        fclose(file);
        return found;
}

int host_has_module(const struct host *host, const char *name)
{
        int built_in, loadable;

        if (host_is_module_loaded(host, name))
                return 1;
        built_in = is_listed(host, "modules.builtin", name);
        loadable = is_listed(host, "modules.dep", name);
        if (built_in > 0 || loadable > 0)
                return 1;
        return built_in < 0 || loadable < 0 ? -1 : 0;
}
