/* SPDX-License-Identifier: Apache-2.0 */

/* What the software switch needs of the kernel. */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <string.h>

/* 1 yes, 0 no, -1 nobody can tell. A bridge that is there shows it, else the kernel's configuration does. */
static int filters_vlans(const struct host *host)
{
        _cleanup_list_ char **names = host_list(host, "/sys/class/net");
        char path[PATH_MAX];

        for (size_t i = 0; names && names[i]; i++)
                if (host_exists(host, "/sys/class/net/%s/bridge", names[i]))
                        return host_exists(host, "/sys/class/net/%s/bridge/vlan_filtering", names[i]);
        static const char *const places[] = { "/boot/config-%s", "/lib/modules/%s/config",
                                              "/lib/modules/%s/build/.config" };

        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                const char *release = strstr(places[i], "%s");

                snprintf(path, sizeof(path), "%.*s%s%s", (int) (release - places[i]), places[i], host->release,
                         release + 2);
                if (host_exists(host, "%s", path))
                        return host_has_line(host, path, "CONFIG_BRIDGE_VLAN_FILTERING=y");
        }
        return -1;
}

void check_bridge(const struct host *host)
{
        int vlans;

        if (host_has_module(host, "bridge") == 0) {
                host_report(host, HOSTCHECK_PROBLEM, "vswitch drives the kernel's bridge",
                            "install the package with all of the kernel's modules, or build it with CONFIG_BRIDGE",
                            "kernel %s has no bridge", host->release);
                return;
        }
        vlans = filters_vlans(host);
        if (vlans == 0)
                host_report(host, HOSTCHECK_WARNING, "guests of one bridge then cannot be in different VLANs",
                            "use a kernel with CONFIG_BRIDGE_VLAN_FILTERING",
                            "the kernel's bridge cannot filter VLANs");
        else if (vlans < 0)
                host_report(host, HOSTCHECK_NOTE, "without it guests of one bridge cannot be in different VLANs",
                            "vswitch switch show tells it of a bridge that is there",
                            "there is no bridge yet that would show whether the kernel's can filter VLANs");
        else
                host_ok(host, "the kernel's bridge can filter VLANs");
}

/* Those of the modules that are not there, as a list in `buffer`. How many of the others nobody can tell of. */
static unsigned find_missing(const struct host *host, const char *const *modules, char *buffer, size_t size)
{
        unsigned unknown = 0;

        buffer[0] = '\0';
        for (; *modules; modules++) {
                int available = host_has_module(host, *modules);
                size_t used = strlen(buffer);

                unknown += available < 0;
                if (available == 0)
                        snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", *modules);
        }
        return unknown;
}

void check_traffic_control(const struct host *host)
{
        static const char remedy[] = "install the package with all of the kernel's modules (on Fedora and RHEL: "
                                     "kernel-modules-extra)";
        static const char *const moving[] = { "sch_ingress", "cls_flower", "act_mirred", NULL };
        static const char *const policies[] = { "act_vlan", "cls_basic", "em_nbyte", "act_gact", "act_police", NULL };
        char missing[128];
        unsigned unknown = find_missing(host, moving, missing, sizeof(missing));
        bool complete = missing[0] == '\0';

        if (missing[0])
                host_report(host, HOSTCHECK_PROBLEM,
                            "while a NIC moves, its frames are offered on both paths by rules that need it; without it "
                            "none "
                            "moves",
                            remedy, "kernel %s has no %s", host->release, missing);
        unknown += find_missing(host, policies, missing, sizeof(missing));
        if (missing[0])
                host_report(host, HOSTCHECK_WARNING,
                            "on the synthetic path a guest's VLAN, source MAC and rate cannot be kept to its policy "
                            "without it",
                            remedy, "kernel %s has no %s", host->release, missing);
        complete = complete && missing[0] == '\0';
        if (unknown > 0)
                host_report(host, HOSTCHECK_NOTE, "rules that need them keep the frames coming while a NIC moves",
                            "vswitchd says so when it makes the first rule and they are not there",
                            "the lists of the modules of kernel %s cannot be read", host->release);
        else if (complete)
                host_ok(host, "the filters and actions that vswitch uses are there");
}
