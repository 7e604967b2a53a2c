/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A PF driven by the kernel's own driver: attributes and uplink filters by rtnetlink, identities, binding and
 * vectors by sysfs.
 *
 * An uplink filter is an entry of the PF's own unicast list (NTF_SELF), which its driver puts into the receive
 * filters of the card. The kernel takes any number; what a driver does when the card is full differs (an error,
 * promiscuous mode, silence), so a success means that it was listed, and counting is the caller's.
 */

#include "cleanup.h"
#include "fdb.h"
#include "link.h"
#include "pf.h"
#include "pf_ethtool.h"
#include "pf_sysfs.h"
#include "vf_attributes.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

struct pf_kernel {
        struct pf pf;
        struct vswitch_netlink *netlink;
};

static struct vswitch_netlink *netlink_of(struct pf *pf)
{
        return ((struct pf_kernel *) pf)->netlink;
}

static int pf_kernel_open(struct vswitch_netlink *netlink, const char *name, struct pf **ret,
                          struct vswitch_error *error)
{
        _cleanup_(vswitch_freep) struct pf_kernel *kernel = NULL;
        struct vswitch_link link;
        int r;

        r = vswitch_link_get_by_name(netlink, name, &link, error);
        if (r < 0)
                return r;

        kernel = calloc(1, sizeof(*kernel));
        if (!kernel)
                return -ENOMEM;
        kernel->netlink = netlink;
        kernel->pf.driver = &pf_kernel_driver;
        kernel->pf.ifindex = link.ifindex;
        memcpy(kernel->pf.name, link.name, sizeof(kernel->pf.name));
        r = pf_sysfs_identify(link.name, &kernel->pf, error);
        if (r < 0)
                return r;
        pf_ethtool_identify(&kernel->pf);

        *ret = &kernel->pf;
        kernel = NULL;
        return 0;
}

static void pf_kernel_close(struct pf *pf)
{
        free(pf);
}

static int pf_kernel_list_vfs(struct pf *pf, struct pf_vf **ret, size_t *ret_count, struct vswitch_error *error)
{
        return pf_sysfs_list_vfs(pf->address, ret, ret_count, error);
}

static int pf_kernel_read_vf(struct pf *pf, unsigned index, struct pf_vf *ret, struct vswitch_error *error)
{
        return pf_sysfs_read_vf(pf->address, index, ret, error);
}

static int pf_kernel_read_attributes(struct pf *pf, unsigned index, struct pf_vf_attributes *ret,
                                     struct vswitch_error *error)
{
        return vf_attributes_read(netlink_of(pf), pf, index, ret, error);
}

static int pf_kernel_set_attributes(struct pf *pf, unsigned index, const struct pf_vf_attributes *wanted,
                                    struct vswitch_error *error)
{
        return vf_attributes_set(netlink_of(pf), pf, index, wanted, error);
}

static int pf_kernel_list_attributes(struct pf *pf, struct pf_vf_attributes **ret, size_t *ret_count,
                                     struct vswitch_error *error)
{
        return vf_attributes_list(netlink_of(pf), pf, ret, ret_count, error);
}

static int pf_kernel_ask_attributes(struct pf *pf, unsigned index, struct vswitch_error *error)
{
        return vf_attributes_ask(netlink_of(pf), pf, index, error);
}

static int pf_kernel_list_statistics(struct pf *pf, struct pf_vf_statistics **ret, size_t *ret_count,
                                     struct vswitch_error *error)
{
        return vf_attributes_list_statistics(netlink_of(pf), pf, ret, ret_count, error);
}

static int pf_kernel_read_statistics(struct pf *pf, unsigned index, struct pf_vf_statistics *ret,
                                     struct vswitch_error *error)
{
        return vf_attributes_read_statistics(netlink_of(pf), pf, index, ret, error);
}

static int pf_kernel_set_vf_count(struct pf *pf, unsigned count, struct vswitch_error *error)
{
        return pf_sysfs_set_vf_count(pf->address, pf->name, count, error);
}

static int pf_kernel_read_autoprobe(struct pf *pf, bool *ret, struct vswitch_error *error)
{
        return pf_sysfs_read_autoprobe(pf->address, ret, error);
}

static int pf_kernel_set_autoprobe(struct pf *pf, bool wanted, struct vswitch_error *error)
{
        return pf_sysfs_set_autoprobe(pf->address, wanted, error);
}

static struct fdb_entry own_entry(const struct pf *pf, const struct vswitch_mac *mac)
{
        return (struct fdb_entry){ .mac = *mac, .ifindex = pf->ifindex, .state = NUD_PERMANENT, .flags = NTF_SELF };
}

static int pf_kernel_uplink_filter_add(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        struct fdb_entry entry = own_entry(pf, mac);
        struct vswitch_error refusal = { 0 };
        char text[VSWITCH_MAC_TEXT_SIZE];
        int r = fdb_replace(netlink_of(pf), &entry, &refusal);

        if (r == 0 || r == -EEXIST)
                return 0;
        vswitch_mac_format(mac, text);
        if (r == -ENOMEM || r == -ENOSPC)
                return vswitch_error_set(error, r, "%s has no room for another unicast address (%s): %s", pf->name,
                                         text, vswitch_error_text(&refusal, r));
        return vswitch_error_set(error, r, "cannot add %s to the unicast list of %s: %s", text, pf->name,
                                 vswitch_error_text(&refusal, r));
}

static int pf_kernel_uplink_filter_remove(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        struct fdb_entry entry = own_entry(pf, mac);
        struct vswitch_error refusal = { 0 };
        char text[VSWITCH_MAC_TEXT_SIZE];
        int r = fdb_delete(netlink_of(pf), &entry, &refusal);

        if (r == 0 || r == -ENOENT)
                return 0;
        return vswitch_error_set(error, r, "cannot remove %s from the unicast list of %s: %s",
                                 vswitch_mac_format(mac, text), pf->name, vswitch_error_text(&refusal, r));
}

static int pf_kernel_uplink_filter_list(struct pf *pf, struct vswitch_mac **ret, size_t *ret_count,
                                        struct vswitch_error *error)
{
        int r = fdb_list_own(netlink_of(pf), pf->ifindex, ret, ret_count, error);

        return r < 0 ? vswitch_error_prefix(error, r, "cannot read the unicast list of %s", pf->name) : 0;
}

static int pf_kernel_vectors(struct pf *pf, const char *vf_address, unsigned *ret)
{
        return pf_sysfs_vectors(vf_address, ret);
}

static int pf_kernel_bind(struct pf *pf, const char *vf_address, const char *driver, struct vswitch_error *error)
{
        return pf_sysfs_bind(vf_address, driver, error);
}

static int pf_kernel_reset(struct pf *pf, const char *vf_address, struct vswitch_error *error)
{
        return pf_sysfs_reset(vf_address, error);
}

const struct pf_driver pf_kernel_driver = {
        .name = "kernel",
        .open = pf_kernel_open,
        .close = pf_kernel_close,
        .list_vfs = pf_kernel_list_vfs,
        .read_vf = pf_kernel_read_vf,
        .read_attributes = pf_kernel_read_attributes,
        .set_attributes = pf_kernel_set_attributes,
        .list_attributes = pf_kernel_list_attributes,
        .ask_attributes = pf_kernel_ask_attributes,
        .list_statistics = pf_kernel_list_statistics,
        .read_statistics = pf_kernel_read_statistics,
        .set_vf_count = pf_kernel_set_vf_count,
        .read_autoprobe = pf_kernel_read_autoprobe,
        .set_autoprobe = pf_kernel_set_autoprobe,
        .uplink_filter_add = pf_kernel_uplink_filter_add,
        .uplink_filter_remove = pf_kernel_uplink_filter_remove,
        .uplink_filter_list = pf_kernel_uplink_filter_list,
        .vectors = pf_kernel_vectors,
        .bind = pf_kernel_bind,
        .reset = pf_kernel_reset,
};
