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

void check_traffic_control(const struct host *host)
{
        static const char *const modules[] = { "sch_ingress", "cls_flower", "act_mirred" };
        char missing[128] = "", remedy[HOST_TEXT_SIZE];
        int unknown = 0;

        for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
                int available = host_has_module(host, modules[i]);

                unknown += available < 0;
                if (available == 0) {
                        size_t used = strlen(missing);

                        snprintf(missing + used, sizeof(missing) - used, "%s%s", used ? ", " : "", modules[i]);
                }
        }
        if (missing[0]) {
                snprintf(remedy, sizeof(remedy),
                         "install the package with all of the kernel's modules (on Fedora and RHEL: "
                         "kernel-modules-extra), or "
                         "build it with CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_FLOWER, CONFIG_NET_ACT_MIRRED");
                host_report(host, HOSTCHECK_PROBLEM,
                            "while a NIC moves, its frames are offered on both paths by rules that need it; without it "
                            "none "
                            "moves",
                            remedy, "kernel %s has no %s", host->release, missing);
        } else if (unknown > 0)
                host_report(host, HOSTCHECK_NOTE, "rules that need them keep the frames coming while a NIC moves",
                            "vswitchd says so when it makes the first rule and they are not there",
                            "the lists of the modules of kernel %s cannot be read", host->release);
        else
                host_ok(host, "flower filters and mirred actions are there");
}
