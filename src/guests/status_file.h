/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "guest_state.h"
#include "guests.h"

/* Where libvirt's qemu driver keeps one NAME.xml for each domain with a QEMU; tests set another. */
extern const char *status_file_directory;

/* What libvirt last wrote there about the domain. -ENOENT without a file; -ESTALE when it is of another domain. */
int status_file_read(const char *name, const char *uuid, struct guest **ret, enum guest_job *ret_job,
                     struct vswitch_error *error);
