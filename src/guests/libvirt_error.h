/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "vswitch/error.h"

#include <libvirt/libvirt.h>

/* Keeps libvirt from writing its errors to standard error. Once for the process. */
void libvirt_error_silence(void);

/* Turns this thread's last libvirt error into a negative errno and a sentence with libvirt's words ("what: words").
 * With a connection that has died meanwhile it is always -ENOTCONN. `connection` may be NULL. */
int libvirt_error_take(virConnectPtr connection, struct vswitch_error *error, const char *what);

/* The code (VIR_ERR_...) of this thread's last error. */
int libvirt_error_code(void);
