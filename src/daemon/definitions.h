/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The VFs that guests are defined with: for as long as such a guest is off, its VFs are not given to others. */

#include "src/guests/guests.h"

struct manager;

int definitions_new(struct manager *manager);
void definitions_free(struct manager *manager);

/* As guests_callbacks.defined tells it; the definitions stay the caller's. Warns once of a VF that another guest's NIC
 * has already, and leaves it there. */
void definitions_apply(struct manager *manager, struct guest *const *definitions, size_t count, bool all);

/* The name of a guest that is off and whose definition names this VF, until the next call of definitions_apply; NULL
 * when there is none. `asking`: the UUID of the guest that the VF would be for, whose own definition does not keep it from
 * it; NULL for nobody in particular. */
const char *definitions_find_owner(struct manager *manager, const char *vf_address, const char *asking);

/* No NIC has this VF any more: if one gets it again, that is warned of again. */
void definitions_vf_freed(struct manager *manager, const char *vf_address);
