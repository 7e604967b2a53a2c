/* SPDX-License-Identifier: Apache-2.0 */
#include "mac_list.h"

#include <errno.h>
#include <stdlib.h>

bool mac_list_has(const struct mac_list *list, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < list->count; i++)
                if (vswitch_mac_equal(&list->macs[i], mac))
                        return true;
        return false;
}

int mac_list_add(struct mac_list *list, const struct vswitch_mac *mac)
{
        if (mac_list_has(list, mac))
                return 0;

        if (list->count == list->allocated) {
                size_t allocated = list->allocated ? list->allocated * 2 : 16;
                struct vswitch_mac *macs = reallocarray(list->macs, allocated, sizeof(*macs));

                if (!macs)
                        return -ENOMEM;
                list->macs = macs;
                list->allocated = allocated;
        }
        list->macs[list->count++] = *mac;
        return 0;
}

bool mac_list_remove(struct mac_list *list, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < list->count; i++)
                if (vswitch_mac_equal(&list->macs[i], mac)) {
                        list->macs[i] = list->macs[--list->count];
                        return true;
                }
        return false;
}

void mac_list_freep(struct mac_list *list)
{
        free(list->macs);
        *list = (struct mac_list){ 0 };
}

void mac_list_take(struct mac_list *list, struct vswitch_mac **ret, size_t *ret_count)
{
        *ret = list->macs;
        *ret_count = list->count;
        *list = (struct mac_list){ 0 };
}
