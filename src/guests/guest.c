/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"
#include "internal.h"

#include <errno.h>

void guest_free(struct guest *guest)
{
        if (!guest)
                return;
        free(guest->name);
        free(guest->nics);
        free(guest->vfs);
        free(guest);
}

void guest_freep(struct guest **guest)
{
        guest_free(*guest);
}

int guest_copy(const struct guest *guest, struct guest **ret)
{
        _cleanup_(guest_freep) struct guest *copy = calloc(1, sizeof(*copy));

        if (!copy)
                return -ENOMEM;
        *copy = *guest;
        copy->name = NULL;
        copy->nics = NULL;
        copy->vfs = NULL;
        if (guest->name && !(copy->name = strdup(guest->name)))
                return -ENOMEM;
        if (guest->nics_count > 0) {
                copy->nics = malloc(guest->nics_count * sizeof(*copy->nics));
                if (!copy->nics)
                        return -ENOMEM;
                memcpy(copy->nics, guest->nics, guest->nics_count * sizeof(*copy->nics));
        }
        if (guest->vfs_count > 0) {
                copy->vfs = malloc(guest->vfs_count * sizeof(*copy->vfs));
                if (!copy->vfs)
                        return -ENOMEM;
                memcpy(copy->vfs, guest->vfs, guest->vfs_count * sizeof(*copy->vfs));
        }
        *ret = TAKE_POINTER(copy);
        return 0;
}
