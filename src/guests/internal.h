/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small helpers that every file of this folder uses. */

#include <stdlib.h>
#include <string.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Hands a pointer over: the variable is NULL afterwards. */
#define TAKE_POINTER(pointer)                                                                                          \
        ({                                                                                                             \
                __auto_type taken_ = (pointer);                                                                        \
                (pointer) = NULL;                                                                                      \
                taken_;                                                                                                \
        })

static inline void freep(void *pointer)
{
        free(*(void **) pointer);
}

/* strlcpy that leaves "" when the text does not fit: half a name is the name of something else. */
static inline void copy_name(char *buffer, size_t size, const char *text)
{
        size_t length = text ? strlen(text) : 0;

        if (length >= size)
                length = 0;
        if (length > 0)
                memcpy(buffer, text, length);
        buffer[length] = '\0';
}
