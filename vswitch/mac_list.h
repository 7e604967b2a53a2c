/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A growing array of MACs, filled while a dump is read. */

#include "mac.h"

#include <stdbool.h>
#include <stddef.h>

struct mac_list {
        struct vswitch_mac *macs;
        size_t count;
        size_t allocated;
};

/* Appends, unless it is there. 0 or -ENOMEM. */
int mac_list_add(struct mac_list *list, const struct vswitch_mac *mac);

bool mac_list_has(const struct mac_list *list, const struct vswitch_mac *mac);

/* Takes it out, without keeping the order; false when it is not there. */
bool mac_list_remove(struct mac_list *list, const struct vswitch_mac *mac);

void mac_list_freep(struct mac_list *list);

/* Hands the array to the caller and leaves the list empty. */
void mac_list_take(struct mac_list *list, struct vswitch_mac **ret, size_t *ret_count);
