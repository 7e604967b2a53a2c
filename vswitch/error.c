/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdio.h>
#include <string.h>

int vswitch_error_set(struct vswitch_error *error, int error_number, const char *format, ...)
{
        va_list arguments;

        if (!error)
                return error_number;

        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
        return error_number;
}

int vswitch_error_prefix(struct vswitch_error *error, int error_number, const char *format, ...)
{
        struct vswitch_error old;
        va_list arguments;
        size_t length;

        if (!error)
                return error_number;

        /* A copy: the old sentence is both what is read and where is written. */
        snprintf(old.text, sizeof(old.text), "%s", vswitch_error_text(error, error_number));

        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);

        length = strlen(error->text);
        snprintf(error->text + length, sizeof(error->text) - length, ": %s", old.text);
        return error_number;
}

const char *vswitch_error_text(const struct vswitch_error *error, int error_number)
{
        static _Thread_local char buffer[128];

        if (error && error->text[0] != '\0')
                return error->text;
        return strerror_r(error_number < 0 ? -error_number : error_number, buffer, sizeof(buffer));
}
