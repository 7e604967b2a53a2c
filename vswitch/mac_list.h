/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A set of MACs: a growing array in ascending order. Lists of thousands are filled while a dump is read and asked for each
 * of thousands of candidates, so nothing here looks at every entry; adding and removing shift what comes behind. */

#include "mac.h"

#include <stdbool.h>
#include <stddef.h>

struct mac_list {
        struct vswitch_mac *macs;
        size_t count;
        size_t allocated;
};

/* Puts it in, unless it is there. 0 or -ENOMEM. */
int mac_list_add(struct mac_list *list, const struct vswitch_mac *mac);

bool mac_list_has(const struct mac_list *list, const struct vswitch_mac *mac);

/* Takes it out; false when it is not there. */
bool mac_list_remove(struct mac_list *list, const struct vswitch_mac *mac);

/* Makes `to` the same as `from`. 0, or -ENOMEM with `to` as it was. */
int mac_list_copy(struct mac_list *to, const struct mac_list *from);

void mac_list_freep(struct mac_list *list);

/* Hands the array to the caller and leaves the list empty. */
void mac_list_take(struct mac_list *list, struct vswitch_mac **ret, size_t *ret_count);
