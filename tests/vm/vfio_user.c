/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/vm/vfio_user.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define VECTORS_MAX 3

void vfio_user_open_group(struct vfio_user *user, const char *group)
{
        char path[64];

        snprintf(path, sizeof(path), "/dev/vfio/%s", group);
        user->group = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_msg(user->group >= 0, "%s: %s", path, strerror(errno));
}

void vfio_user_open_device(struct vfio_user *user, const char *vf_address)
{
        user->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(user->container, 0);
        ck_assert_int_eq(ioctl(user->group, VFIO_GROUP_SET_CONTAINER, &user->container), 0);
        ck_assert_int_eq(ioctl(user->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0);
        user->device = ioctl(user->group, VFIO_GROUP_GET_DEVICE_FD, vf_address);
        ck_assert_int_ge(user->device, 0);
}

void vfio_user_set_vectors(const struct vfio_user *user, unsigned count)
{
        char buffer[sizeof(struct vfio_irq_set) + VECTORS_MAX * sizeof(int)] = { 0 };
        struct vfio_irq_set *set = (struct vfio_irq_set *) buffer;
        int fds[VECTORS_MAX];

        ck_assert_uint_le(count, VECTORS_MAX);
        set->argsz = (uint32_t) (sizeof(*set) + count * sizeof(int));
        set->flags = VFIO_IRQ_SET_ACTION_TRIGGER | (count > 0 ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
        set->index = VFIO_PCI_MSIX_IRQ_INDEX;
        set->count = count;
        for (unsigned i = 0; i < count; i++)
                fds[i] = eventfd(0, EFD_CLOEXEC);
        if (count > 0)
                memcpy(set->data, fds, count * sizeof(int));
        ck_assert_int_eq(ioctl(user->device, VFIO_DEVICE_SET_IRQS, set), 0);
        /* The kernel has its own hold on them. */
        for (unsigned i = 0; i < count; i++)
                close(fds[i]);
}

void vfio_user_close(struct vfio_user *user)
{
        close(user->device);
        close(user->group);
        close(user->container);
        *user = VFIO_USER_NONE;
}
