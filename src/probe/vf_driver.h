/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The network driver that the host has for a PF's VFs. */

#include "vswitch/error.h"
#include "vswitch/pf.h"

/* -ENOENT with a sentence when there is none that is known here or to the kernel's modules. That it is loaded is for
 * pf_driver.bind to say. */
int probe_vf_driver(const struct pf *pf, const char *vf_address, char ret[static PF_DRIVER_NAME_SIZE],
                    struct vswitch_error *error);
