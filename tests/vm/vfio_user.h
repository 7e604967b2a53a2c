/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A user of a VF through VFIO, as QEMU is one. Everything here fails the test when it does not work. */

struct vfio_user {
        int container;
        int group;
        int device;
};

#define VFIO_USER_NONE ((struct vfio_user){ -1, -1, -1 })

/* `group`: the number of the VF's IOMMU group. That alone is enough to be in somebody's hands. */
void vfio_user_open_group(struct vfio_user *user, const char *group);
void vfio_user_open_device(struct vfio_user *user, const char *vf_address);
/* As many as the guest's driver would enable, three at most; 0: it lets the device go. */
void vfio_user_set_vectors(const struct vfio_user *user, unsigned count);
void vfio_user_close(struct vfio_user *user);
