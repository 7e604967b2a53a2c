/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/neighbours.h"

#include <stdlib.h>

/* Lists are sorted once, since each of thousands of entries is looked for in all of them. */
struct view {
        const struct manager_switch *nic_switch;
        const struct neighbour_pf *pf;
        struct mac_list listed, left_out, crowd;
        neighbours_each each;
        void *userdata;
};

static const char *state_of(const struct view *view, const struct vswitch_mac *mac, bool nic)
{
        const struct uplink_list *list = view->pf ? view->pf->list : NULL;

        if (list && mac_list_has(&view->listed, mac))
                return nic || mac_list_has(&list->ours, mac) ? "listed" : "foreign";
        if (mac_list_has(&view->left_out, mac))
                return "left-out";
        return mac_list_has(&view->crowd, mac) ? "crowded" : "none";
}

/* Without memory the view lacks some. */
static void read_lists(struct view *view, struct pf *device)
{
        struct vswitch_mac *listed = NULL;
        size_t count = 0;

        view->pf = neighbours_find_pf(view->nic_switch->manager, device->ifindex);
        (void) device->driver->uplink_filter_list(device, &listed, &count, NULL);
        for (size_t i = 0; i < count; i++)
                (void) mac_list_add(&view->listed, &listed[i]);
        free(listed);
        for (size_t i = 0; view->pf && i < view->pf->list->left_out_count; i++)
                (void) mac_list_add(&view->left_out, &view->pf->list->left_out[i].mac);
        for (size_t i = 0; view->pf && i < view->pf->list->crowd_count; i++)
                (void) mac_list_add(&view->crowd, &view->pf->list->crowd[i].mac);
}

static int show(const struct view *view, const struct vswitch_mac *mac, const char *port, unsigned vlan,
                const char *kind)
{
        char text[VSWITCH_MAC_TEXT_SIZE];
        bool nic = neighbours_is_nic(view->nic_switch->manager, mac);
        const struct control_neighbour neighbour = {
                .mac = vswitch_mac_format(mac, text),
                .port = port,
                .vlan = vlan,
                .kind = nic ? "guest" : kind,
                .state = state_of(view, mac, nic),
        };

        return view->each(&neighbour, view->userdata);
}

static int show_entry(const struct fdb_table_entry *entry, const struct fdb_table_port *port, void *userdata)
{
        static const char *const kinds[] = {
                [FDB_LOCAL] = "local",
                [FDB_STATIC] = "static",
                [FDB_LEARNED] = "learned",
                [FDB_QUIET] = "quiet",
        };
        const struct view *view = userdata;
        const struct fdb_table *table = view->nic_switch->neighbours->table;

        if (port->is_uplink || (entry->kind == FDB_LOCAL && !fdb_table_is_host(table, entry)))
                return 0;
        return show(view, &entry->mac,
                    entry->ifindex == fdb_table_bridge(table) ? view->nic_switch->config->bridge : port->name,
                    entry->vlan, kinds[entry->kind]);
}

int neighbours_for_each(const struct manager_switch *nic_switch, neighbours_each each, void *userdata)
{
        struct pf *device = nic_switch->pf ? nic_switch->pf : nic_switch->pfs_count > 0 ? nic_switch->pfs[0].pf : NULL;
        struct view view = { .nic_switch = nic_switch, .each = each, .userdata = userdata };
        const struct vswitch_mac *host;
        size_t count = 0;
        int r;

        if (!nic_switch->neighbours)
                return 0;
        if (device)
                read_lists(&view, device);
        r = fdb_table_for_each(nic_switch->neighbours->table, show_entry, &view);
        host = fdb_table_host_macs(nic_switch->neighbours->table, &count);
        for (size_t i = 0; r == 0 && i < count; i++)
                r = show(&view, &host[i], nic_switch->config->bridge, 0, "local");
        mac_list_freep(&view.listed);
        mac_list_freep(&view.left_out);
        mac_list_freep(&view.crowd);
        return r;
}
