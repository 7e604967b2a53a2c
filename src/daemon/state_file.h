/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's memory under /run: small JSON files, each written whole (new file, rename). */

#include "vswitch/error.h"

#include <jansson.h>
#include <sys/types.h>

/* A directory that is there already is success. */
int state_file_make_directory(const char *path, mode_t mode, struct vswitch_error *error);
/* Makes DIRECTORY/NAME, for root only; *ret is its path, malloc'ed. */
int state_file_make_subdirectory(const char *directory, const char *name, char **ret, struct vswitch_error *error);

/* Writes DIRECTORY/NAME.json. After a crash it is there as it was before, or as it is now. */
int state_file_write(const char *directory, const char *name, json_t *content, struct vswitch_error *error);
/* Removing what is not there is success. */
int state_file_remove(const char *directory, const char *name, struct vswitch_error *error);
