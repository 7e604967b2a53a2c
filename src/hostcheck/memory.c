/* SPDX-License-Identifier: Apache-2.0 */

/* VFIO pins all memory of a guest that has a VF: it is neither swapped nor merged nor given back by a balloon. */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long long meminfo(const char *text, const char *key)
{
        const char *line = strstr(text, key);

        return line ? atoll(line + strlen(key)) : 0;
}

void check_memory(const struct host *host)
{
        char text[8192];
        long long huge, size;

        if (host_read_number(host, "/sys/kernel/mm/ksm/run") == 1)
                host_report(host, HOSTCHECK_NOTE,
                            "all memory of a guest with a VF is pinned: it is not merged, however much KSM saves with "
                            "others",
                            "count such guests with all of their memory",
                            "the kernel merges equal memory of guests (KSM)");
        if (host_read(host, text, sizeof(text), "/proc/meminfo") < 0)
                return;
        huge = meminfo(text, "HugePages_Total:");
        size = meminfo(text, "Hugepagesize:");
        if (huge > 0)
                host_ok(host, "%lld MiB, of these %lld MiB in huge pages, which pin a guest's memory fastest",
                        meminfo(text, "MemTotal:") / 1024, huge * size / 1024);
        else
                host_ok(host, "%lld MiB; a guest with a VF has all of its memory pinned",
                        meminfo(text, "MemTotal:") / 1024);
}
