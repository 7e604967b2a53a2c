/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A sentence that goes with a negative errno.
 *
 * Functions return 0 or -errno. Where the number alone does not tell an operator what to do, they also fill a
 * struct vswitch_error, once, at the place that knows the cause (the kernel's extack text, the file that could
 * not be written). Callers pass it on untouched; it is printed once, at the edge.
 */

#include <stdarg.h>

struct vswitch_error {
        char text[512]; /* a sentence without a final full stop, or "" */
};

/* Writes the sentence (printf style) and returns `error_number` (negative errno), so that a caller can say
 * `return vswitch_error_set(error, -EINVAL, "...")`. `error` may be NULL. */
int vswitch_error_set(struct vswitch_error *error, int error_number, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence that is there (or before strerror of `error_number` when there is none)
 * and returns `error_number`. */
int vswitch_error_prefix(struct vswitch_error *error, int error_number, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The sentence, or the errno's text when there is none. Never NULL; valid until the next call in this thread. */
const char *vswitch_error_text(const struct vswitch_error *error, int error_number);
