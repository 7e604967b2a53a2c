/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Operations on struct guest that only this folder needs. */

#include "src/guests/guests.h"

/* A deep copy. -ENOMEM. */
int guest_copy(const struct guest *guest, struct guest **ret);
