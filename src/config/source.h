/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of a configuration file, made ready for libconfuse. */

#include "vswitch/error.h"

/* Reads the whole file. *ret malloc'ed. */
int source_read(const char *path, char **ret, struct vswitch_error *error);

/* Blanks the comments in place and finds what is left open at the end. -EINVAL with "FILE:LINE: ...". */
int source_prepare(char *text, const char *path, struct vswitch_error *error);
