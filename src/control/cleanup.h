/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cleanup attributes: a variable frees what it owns when it goes out of scope. */

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Hands a pointer over: the variable forgets it. */
#define TAKE_PTR(pointer)                                                                                              \
        ({                                                                                                             \
                __typeof__(pointer) *_take_from = &(pointer);                                                          \
                __typeof__(pointer) _taken = *_take_from;                                                              \
                *_take_from = NULL;                                                                                    \
                _taken;                                                                                                \
        })

#define TAKE_FD(fd)                                                                                                    \
        ({                                                                                                             \
                int *_take_from = &(fd);                                                                               \
                int _taken = *_take_from;                                                                              \
                *_take_from = -1;                                                                                      \
                _taken;                                                                                                \
        })

static inline void cleanup_freep(void *pointer)
{
        free(*(void **) pointer);
}

static inline void cleanup_closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

#define _cleanup_free_  _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)
