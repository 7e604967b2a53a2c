/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cleanup attributes of this layer: a variable frees what it owns when it goes out of scope. Private to vswitch/
 * and its tests; no contract header includes it. */

#include "netlink.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

static inline void vswitch_freep(void *pointer)
{
        free(*(void **) pointer);
}

static inline void vswitch_close_fdp(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static inline void vswitch_closedirp(DIR **directory)
{
        if (*directory)
                closedir(*directory);
}
