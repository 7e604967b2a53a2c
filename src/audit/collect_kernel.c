/* SPDX-License-Identifier: Apache-2.0 */

/* PFs with their VFs, and bridges with what is on their ports. */

#include "src/audit/collect.h"

#include "src/control/cleanup.h"
#include "vswitch/copy_rule.h"
#include "vswitch/fdb.h"
#include "vswitch/guard.h"
#include "vswitch/link.h"
#include "vswitch/pf_sysfs.h"
#include "vswitch/topology.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kernel {
        struct vswitch_netlink *netlink;
        const struct config *config; /* or NULL */
        struct vswitch_link *links;
        size_t links_count;
        struct audit_picture *picture;
};

/* The first line of a file in sysfs; "" when it cannot be read. */
static void read_line(const char *path, char *buffer, size_t size)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, buffer, size - 1);

        buffer[length > 0 ? length : 0] = '\0';
        buffer[strcspn(buffer, "\n")] = '\0';
}

static const struct vswitch_link *find_link(const struct kernel *kernel, const char *name)
{
        for (size_t i = 0; i < kernel->links_count; i++)
                if (strcmp(kernel->links[i].name, name) == 0)
                        return &kernel->links[i];
        return NULL;
}

/* ---- VFs ---- */

static bool netdev_is_in_use(const struct kernel *kernel, const char *name, struct vswitch_mac *ret_mac)
{
        const struct vswitch_link *link = find_link(kernel, name);

        if (!link)
                return true; /* it has come or gone this moment */
        *ret_mac = link->mac;
        return link->up || link->master != 0 || pf_sysfs_has_upper(name);
}

static bool is_in_notes_of_probe(const struct kernel *kernel, const struct pf *pf)
{
        char path[sizeof(kernel->picture->runtime_directory) + IF_NAMESIZE + 16];

        snprintf(path, sizeof(path), "%s/probe-%s.json", kernel->picture->runtime_directory, pf->name);
        return access(path, F_OK) == 0;
}

static void collect_vf(const struct kernel *kernel, struct pf *pf, const struct pf_vf *vf,
                       const struct pf_vf_attributes *attributes, struct audit_vf *ret)
{
        char path[128];

        *ret = (struct audit_vf){ .vf = *vf };
        if (attributes)
                ret->attributes = *attributes;
        snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver_override", pf_kernel_sysfs_root, vf->address);
        read_line(path, ret->override, sizeof(ret->override));
        if (strcmp(ret->override, "(null)") == 0)
                ret->override[0] = '\0';
        snprintf(path, sizeof(path), "/etc/driverctl.d/pci-%s", vf->address);
        ret->driver_is_kept = access(path, F_OK) == 0;
        if (pf_vf_is_open(vf->address, &ret->is_open, NULL) < 0)
                ret->is_open = true;
        ret->vectors_known = pf->driver->vectors(pf, vf->address, &ret->vectors) == 0;
        if (vf->netdev[0])
                ret->netdev_in_use = netdev_is_in_use(kernel, vf->netdev, &ret->netdev_mac);
        ret->is_probed = is_in_notes_of_probe(kernel, pf);
}

static int collect_vfs(const struct kernel *kernel, struct pf *pf, struct audit_pf *ret, struct vswitch_error *error)
{
        _cleanup_free_ struct pf_vf_attributes *attributes = NULL;
        _cleanup_free_ struct pf_vf *vfs = NULL;
        size_t count = 0, attributes_count = 0;
        int r = pf->driver->list_vfs(pf, &vfs, &count, error);

        if (r < 0 || count == 0)
                return r;
        r = pf->driver->list_attributes(pf, &attributes, &attributes_count, error);
        if (r < 0)
                return r;
        ret->vfs = calloc(count, sizeof(*ret->vfs));
        if (!ret->vfs)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++)
                collect_vf(kernel, pf, &vfs[i], vfs[i].index < attributes_count ? &attributes[vfs[i].index] : NULL,
                           &ret->vfs[i]);
        ret->vfs_count = count;
        return 0;
}

/* ---- PFs ---- */

static const struct config_switch *find_switch(const struct kernel *kernel, const char *bridge)
{
        for (size_t i = 0; kernel->config && i < kernel->config->switches_count; i++)
                if (strcmp(kernel->config->switches[i].bridge, bridge) == 0)
                        return &kernel->config->switches[i];
        return NULL;
}

static void find_topology(const struct kernel *kernel, const struct vswitch_link *bridge, struct topology *ret)
{
        const struct config_switch *config_switch = find_switch(kernel, bridge->name);

        topology_find(bridge->ifindex, config_switch ? config_switch->uplinks : NULL,
                      config_switch ? config_switch->uplinks_count : 0, kernel->links, kernel->links_count, ret);
}

/* The bridge above a PF. */
static const struct vswitch_link *find_bridge(const struct kernel *kernel, int pf_ifindex)
{
        for (size_t i = 0; i < kernel->links_count; i++) {
                struct topology topology;

                if (strcmp(kernel->links[i].kind, "bridge") != 0)
                        continue;
                find_topology(kernel, &kernel->links[i], &topology);
                for (size_t j = 0; j < topology.pfs_count; j++)
                        if (topology.pfs[j].link->ifindex == pf_ifindex)
                                return &kernel->links[i];
        }
        return NULL;
}

static int collect_opened_pf(const struct kernel *kernel, const struct vswitch_link *link, struct pf *pf,
                             struct vswitch_error *error)
{
        const struct vswitch_link *bridge = find_bridge(kernel, link->ifindex);
        struct audit_pf *ret;
        int r;

        if (pf->total_vfs == 0 && !bridge)
                return 0;
        ret = audit_add(kernel->picture, pfs);
        if (!ret)
                return -ENOMEM;
        snprintf(ret->name, sizeof(ret->name), "%s", pf->name);
        snprintf(ret->address, sizeof(ret->address), "%s", pf->address);
        ret->ifindex = link->ifindex;
        ret->up = link->up;
        ret->bridge = bridge ? bridge->ifindex : 0;
        ret->is_configured = bridge && find_switch(kernel, bridge->name);
        r = collect_vfs(kernel, pf, ret, error);
        if (r == 0)
                r = pf->driver->uplink_filter_list(pf, &ret->filters, &ret->filters_count, error);
        ret->cannot_set = pf->cannot_set;
        return r;
}

/* Every card, whether the configuration names it or not. A device of kind "" is hardware. */
static int collect_pf(const struct kernel *kernel, const struct vswitch_link *link, struct vswitch_error *error)
{
        struct pf *pf = NULL;
        int r;

        if (link->kind[0] != '\0')
                return 0;
        r = pf_kernel_driver.open(kernel->netlink, link->name, &pf, error);
        if (r == 0) {
                r = collect_opened_pf(kernel, link, pf, error);
                pf->driver->close(pf);
        }
        return r == -ENODEV ? 0 : r; /* it has gone meanwhile */
}

/* ---- bridges ---- */

static int collect_port(const struct kernel *kernel, const struct vswitch_link *bridge, const struct vswitch_link *link,
                        const struct topology *topology, struct vswitch_error *error)
{
        struct audit_port *port = audit_add(kernel->picture, ports);
        char path[128], text[8];
        bool foreign;
        int r;

        if (!port)
                return -ENOMEM;
        snprintf(port->name, sizeof(port->name), "%s", link->name);
        snprintf(port->bridge_name, sizeof(port->bridge_name), "%s", bridge->name);
        port->ifindex = link->ifindex;
        port->bridge = bridge->ifindex;
        for (size_t i = 0; i < topology->pfs_count; i++)
                port->is_uplink |= topology->pfs[i].port->ifindex == link->ifindex;
        snprintf(path, sizeof(path), "%s/class/net/%s/brport/multicast_router", pf_kernel_sysfs_root, link->name);
        read_line(path, text, sizeof(text));
        port->multicast_router = strcmp(text, "2") == 0;
        r = guard_read(kernel->netlink, link->ifindex, &port->guard, &foreign, error);
        if (r == 0)
                r = copy_rule_list(kernel->netlink, link->ifindex, &port->copies, &port->copies_count, error);
        return r == -ENODEV ? 0 : r;
}

struct pins {
        struct audit_picture *picture;
        size_t before;
        int bridge;
};

static int take_entry(const struct nlmsghdr *header, void *userdata)
{
        struct pins *pins = userdata;
        struct audit_pin *pin;
        struct fdb_entry entry;

        if (fdb_parse(header, &entry) < 0 || entry.master != pins->bridge || !(entry.state & NUD_NOARP) ||
            !(entry.flags & NTF_STICKY))
                return 0;
        pin = audit_add(pins->picture, pins);
        if (!pin)
                return -ENOMEM;
        *pin = (struct audit_pin){
                .mac = entry.mac, .vlan = entry.vlan, .bridge = pins->bridge, .port = entry.ifindex
        };
        return 0;
}

static void forget_entries(void *userdata)
{
        struct pins *pins = userdata;

        pins->picture->pins_count = pins->before;
}

/* Without VLAN filtering a bridge shows an entry for each VLAN of the port besides the one that counts; they go with
 * it. */
static void drop_shadows(struct audit_picture *picture, size_t from)
{
        size_t kept = from;

        for (size_t i = from; i < picture->pins_count; i++) {
                bool shadow = false;

                for (size_t j = from; picture->pins[i].vlan != 0 && j < picture->pins_count; j++)
                        shadow |= picture->pins[j].vlan == 0 && picture->pins[j].port == picture->pins[i].port &&
                                  vswitch_mac_equal(&picture->pins[j].mac, &picture->pins[i].mac);
                if (!shadow)
                        picture->pins[kept++] = picture->pins[i];
        }
        picture->pins_count = kept;
}

static int collect_bridge(const struct kernel *kernel, const struct vswitch_link *bridge, struct vswitch_error *error)
{
        struct pins pins = { kernel->picture, kernel->picture->pins_count, bridge->ifindex };
        struct topology topology;
        int r = 0;

        find_topology(kernel, bridge, &topology);
        for (size_t i = 0; r == 0 && i < kernel->links_count; i++)
                if (kernel->links[i].master == bridge->ifindex)
                        r = collect_port(kernel, bridge, &kernel->links[i], &topology, error);
        if (r == 0)
                r = fdb_dump(kernel->netlink, bridge->ifindex, take_entry, forget_entries, &pins, error);
        if (r == 0)
                drop_shadows(kernel->picture, pins.before);
        return r == -ENODEV ? 0 : r;
}

int audit_collect_kernel(struct vswitch_netlink *netlink, const struct config *config, struct audit_picture *picture,
                         struct vswitch_error *error)
{
        _cleanup_free_ struct vswitch_link *links = NULL;
        struct kernel kernel = { .netlink = netlink, .config = config, .picture = picture };
        int r = vswitch_link_list(netlink, &links, &kernel.links_count, error);

        kernel.links = links;
        for (size_t i = 0; r == 0 && i < kernel.links_count; i++) {
                int *ifindex = audit_add(picture, ifindexes);

                if (!ifindex)
                        return -ENOMEM;
                *ifindex = links[i].ifindex;
                r = collect_pf(&kernel, &links[i], error);
                if (r == 0 && strcmp(links[i].kind, "bridge") == 0)
                        r = collect_bridge(&kernel, &links[i], error);
        }
        /* Does each note still fit its PF? */
        for (size_t i = 0; r == 0 && i < picture->notes_count; i++) {
                const struct vswitch_link *link = find_link(&kernel, picture->notes[i].pf);
                struct audit_note *note = &picture->notes[i];

                note->fits = link && link->ifindex == note->ifindex;
        }
        return r;
}
