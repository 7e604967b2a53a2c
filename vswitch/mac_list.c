/* SPDX-License-Identifier: Apache-2.0 */
#include "mac_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the MAC is, or would be. What is appended in order, as most dumps are, needs no search. */
static size_t place_of(const struct mac_list *list, const struct vswitch_mac *mac)
{
        size_t low = 0, high = list->count;

        if (high == 0 || memcmp(&list->macs[high - 1], mac, sizeof(*mac)) < 0)
                return high;
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (memcmp(&list->macs[middle], mac, sizeof(*mac)) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool is_at(const struct mac_list *list, size_t place, const struct vswitch_mac *mac)
{
        return place < list->count && vswitch_mac_equal(&list->macs[place], mac);
}

static int reserve(struct mac_list *list, size_t count)
{
        size_t allocated = list->allocated ? list->allocated : 16;
        struct vswitch_mac *macs;

        if (count <= list->allocated)
                return 0;
        while (allocated < count)
                allocated *= 2;
        macs = reallocarray(list->macs, allocated, sizeof(*macs));
        if (!macs)
                return -ENOMEM;
        list->macs = macs;
        list->allocated = allocated;
        return 0;
}

bool mac_list_has(const struct mac_list *list, const struct vswitch_mac *mac)
{
        return is_at(list, place_of(list, mac), mac);
}

int mac_list_add(struct mac_list *list, const struct vswitch_mac *mac)
{
        size_t place = place_of(list, mac);
        int r;

        if (is_at(list, place, mac))
                return 0;
        r = reserve(list, list->count + 1);
        if (r < 0)
                return r;
        memmove(&list->macs[place + 1], &list->macs[place], (list->count - place) * sizeof(*mac));
        list->macs[place] = *mac;
        list->count++;
        return 0;
}

bool mac_list_remove(struct mac_list *list, const struct vswitch_mac *mac)
{
        size_t place = place_of(list, mac);

        if (!is_at(list, place, mac))
                return false;
        list->count--;
        memmove(&list->macs[place], &list->macs[place + 1], (list->count - place) * sizeof(*mac));
        return true;
}

int mac_list_copy(struct mac_list *to, const struct mac_list *from)
{
        int r = reserve(to, from->count);

        if (r < 0)
                return r;
        if (from->count > 0)
                memcpy(to->macs, from->macs, from->count * sizeof(*from->macs));
        to->count = from->count;
        return 0;
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
