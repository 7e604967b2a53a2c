/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What needs no memory is found by looking: entries of tables by the prefix of our MACs, the VLAN device by its name.
 * Only the VFs have to be noted beforehand, since their old settings are nowhere else.
 *
 * A VF loses its driver first: most cards show the VF's driver a new MAC only when it starts again, and some refuse or
 * reset while it runs. With its driver goes its netdev, in whatever network namespace it is.
 */

#include "src/probe/restore.h"

#include "src/probe/device.h"
#include "src/probe/frame.h"
#include "vswitch/fdb.h"
#include "vswitch/link.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NETDEV_WAIT_MILLISECONDS 10000
#define NETDEV_LOOK_MILLISECONDS 20

/* The entries that learning makes of a few hundred frames; what is beyond ages out. */
#define LEARNED_MAX 1024

void probe_vlan_device_name(const struct pf *pf, char ret[static IF_NAMESIZE])
{
        snprintf(ret, IF_NAMESIZE, "vsprobe%d", pf->ifindex % 10000000);
}

/* ---- tables ---- */

static int first(int result, int next)
{
        return result < 0 ? result : next;
}

static int remove_uplink_filters(struct pf *pf, struct vswitch_error *error)
{
        struct vswitch_mac *macs = NULL;
        size_t count = 0;
        int r = pf->driver->uplink_filter_list(pf, &macs, &count, error);

        for (size_t i = 0; i < count; i++)
                if (probe_mac_is_ours(&macs[i]))
                        r = first(r, pf->driver->uplink_filter_remove(pf, &macs[i], r < 0 ? NULL : error));
        free(macs);
        return r;
}

static int remove_vlan_device(struct vswitch_netlink *netlink, const struct pf *pf, struct vswitch_error *error)
{
        char name[IF_NAMESIZE];
        struct vswitch_link link;

        probe_vlan_device_name(pf, name);
        if (vswitch_link_get_by_name(netlink, name, &link, NULL) < 0)
                return 0;
        return probe_device_delete(netlink, link.ifindex, error);
}

struct learned {
        struct fdb_entry entries[LEARNED_MAX];
        size_t count;
};

static int take_learned(const struct nlmsghdr *header, void *userdata)
{
        struct learned *learned = userdata;
        struct fdb_entry entry;

        if (fdb_parse(header, &entry) == 0 && entry.master != 0 && probe_mac_is_ours(&entry.mac) &&
            learned->count < LEARNED_MAX)
                learned->entries[learned->count++] = entry;
        return 0;
}

static void forget_learned(void *userdata)
{
        ((struct learned *) userdata)->count = 0;
}

/* An entry may be gone by itself meanwhile. */
static int remove_learned(struct vswitch_netlink *netlink, struct vswitch_error *error)
{
        struct ndmsg neighbour = { .ndm_family = AF_BRIDGE };
        struct learned *learned = calloc(1, sizeof(*learned));
        int r;

        if (!learned)
                return -ENOMEM;
        r = vswitch_netlink_dump(netlink, vswitch_netlink_message(RTM_GETNEIGH, 0, &neighbour, sizeof(neighbour)),
                                 NLM_F_DUMP, take_learned, forget_learned, learned, error);
        for (size_t i = 0; r == 0 && i < learned->count; i++) {
                struct fdb_entry entry = learned->entries[i];

                entry.flags = NTF_MASTER;
                (void) fdb_delete(netlink, &entry, NULL);
        }
        free(learned);
        return r;
}

int probe_restore_tables(struct vswitch_netlink *netlink, struct pf *pf, struct vswitch_error *error)
{
        int r = remove_uplink_filters(pf, error);

        r = first(r, remove_vlan_device(netlink, pf, r < 0 ? NULL : error));
        return first(r, remove_learned(netlink, r < 0 ? NULL : error));
}

/* ---- VFs ---- */

static void pause_briefly(void)
{
        struct timespec pause = { .tv_nsec = NETDEV_LOOK_MILLISECONDS * 1000L * 1000L };

        (void) nanosleep(&pause, NULL);
}

/* The netdev of a VF that got its host driver back; some drivers make it a moment later. */
static int find_netdev(struct vswitch_netlink *netlink, struct pf *pf, unsigned index, struct vswitch_link *ret)
{
        for (int waited = 0; waited < NETDEV_WAIT_MILLISECONDS; waited += NETDEV_LOOK_MILLISECONDS) {
                struct pf_vf vf;

                if (pf->driver->read_vf(pf, index, &vf, NULL) == 0 && vf.netdev[0] != '\0' &&
                    vswitch_link_get_by_name(netlink, vf.netdev, ret, NULL) == 0)
                        return 0;
                pause_briefly();
        }
        return -ENODEV;
}

static int restore_netdev(struct vswitch_netlink *netlink, struct pf *pf, const struct probe_noted_vf *vf,
                          struct vswitch_error *error)
{
        struct vswitch_link link;
        int r = find_netdev(netlink, pf, vf->index, &link);

        if (r < 0)
                return vswitch_error_set(error, r, "VF %s has driver %s again, but no netdev", vf->address, vf->driver);
        if (!vswitch_mac_equal(&link.mac, &vf->netdev_mac))
                r = probe_device_set_mac(netlink, link.ifindex, &vf->netdev_mac, error);
        /* Whoever names devices here may do it at this very moment. */
        if (strcmp(link.name, vf->netdev) != 0)
                (void) probe_device_rename(netlink, link.ifindex, vf->netdev, NULL);
        return r;
}

int probe_restore_vf(struct vswitch_netlink *netlink, struct pf *pf, const struct probe_noted_vf *vf,
                     struct vswitch_error *error)
{
        struct pf_vf_attributes wanted = vf->attributes;
        bool has_netdev = vf->netdev[0] != '\0';
        int r = pf->driver->bind(pf, vf->address, "", error);

        if (r < 0)
                return r;
        /* The MAC that its own driver has chosen is set by way of the netdev: set by the PF it would be the
         * administrator's, and the VF could not change it any more. */
        if (has_netdev && vswitch_mac_equal(&wanted.mac, &vf->netdev_mac))
                wanted.mac = (struct vswitch_mac){ 0 };
        r = pf->driver->set_attributes(pf, vf->index, &wanted, error);
        r = first(r, pf->driver->bind(pf, vf->address, vf->driver, r < 0 ? NULL : error));
        if (has_netdev)
                r = first(r, restore_netdev(netlink, pf, vf, r < 0 ? NULL : error));
        return r < 0 ? vswitch_error_prefix(error, r, "VF %s is not as it was", vf->address) : 0;
}

bool probe_left_vf(struct pf *pf, const struct probe_noted_vf *vf)
{
        struct pf_vf_attributes present;
        struct pf_vf now;
        bool is_open = true;

        if (pf->driver->read_vf(pf, vf->index, &now, NULL) < 0 || strcmp(now.address, vf->address) != 0 ||
            pf->driver->read_attributes(pf, vf->index, &present, NULL) < 0 ||
            pf_vf_is_open(vf->address, &is_open, NULL) < 0 || is_open)
                return false;
        if (probe_mac_is_ours(&present.mac))
                return true;
        /* It was killed before it had set the MAC, or after it had put it back. */
        return now.driver[0] == '\0' && vf->driver[0] != '\0' && vswitch_mac_equal(&present.mac, &vf->attributes.mac);
}
