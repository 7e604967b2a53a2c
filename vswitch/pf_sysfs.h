/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The sysfs half of the kernel's PF: PCI identities, drivers, vectors. All paths begin at pf_kernel_sysfs_root.
 * Thread-safe: nothing is kept between calls. */

#include "error.h"
#include "pf.h"

#include <stdbool.h>
#include <stddef.h>

/* Fills address, kernel_driver, the PCI ids, is_emulated and total_vfs of the device behind netdev `name`. A device that
 * is not on a PCI bus gets an empty address and no VFs. */
int pf_sysfs_identify(const char *name, struct pf *pf, struct vswitch_error *error);

int pf_sysfs_list_vfs(const char *pf_address, struct pf_vf **ret, size_t *ret_count, struct vswitch_error *error);
int pf_sysfs_read_vf(const char *pf_address, unsigned index, struct pf_vf *ret, struct vswitch_error *error);

/* Name of the driver that has the device, "" without one. -ENODEV when there is no such device. */
int pf_sysfs_driver(const char *address, char *ret, size_t size);
/* Number of its IOMMU group, "" without one. */
int pf_sysfs_iommu_group(const char *address, char *ret, size_t size);
/* pci_enable_device() calls that have not been undone: with a VFIO driver, > 0 while a user has the device open. */
int pf_sysfs_enable_count(const char *address, unsigned *ret);

/* Is this the generic VFIO driver or a variant of it ("mlx5_vfio_pci")? */
bool pf_sysfs_driver_is_vfio(const char *driver);

/* Does another network device stand on this one: macvtap, VLAN, bond, bridge? */
bool pf_sysfs_has_upper(const char *netdev);

int pf_sysfs_vectors(const char *address, unsigned *ret);
int pf_sysfs_bind(const char *address, const char *driver, struct vswitch_error *error);
int pf_sysfs_reset(const char *address, struct vswitch_error *error);
/* See struct pf_driver. */
int pf_sysfs_read_autoprobe(const char *address, bool *ret, struct vswitch_error *error);
int pf_sysfs_set_autoprobe(const char *address, bool wanted, struct vswitch_error *error);
/* See set_vf_count in pf.h. `name` is the PF's for sentences. */
int pf_sysfs_set_vf_count(const char *address, const char *name, unsigned count, struct vswitch_error *error);
