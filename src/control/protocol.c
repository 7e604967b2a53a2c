/* SPDX-License-Identifier: Apache-2.0 */

#include "src/control/protocol.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Ours first: the way from a number to a name takes the first entry. The rest is what the transport says. */
static const struct {
        int number;
        const char *name;
} errors[] = {
        { -ENOENT, "org.vswitch1.Error.NotFound" },
        { -EACCES, "org.vswitch1.Error.Denied" },
        { -EPERM, "org.vswitch1.Error.Denied" },
        { -EBUSY, "org.vswitch1.Error.Busy" },
        { -EINVAL, "org.vswitch1.Error.Invalid" },
        { -EBADMSG, "org.vswitch1.Error.Unreadable" },
        { -ETIMEDOUT, "org.vswitch1.Error.TimedOut" },
        { -ENOTCONN, "org.vswitch1.Error.NoLibvirt" },
        { -EOPNOTSUPP, "org.vswitch1.Error.NotSupported" },
        { -ENOSPC, "org.vswitch1.Error.NoFreeVF" },
        { -EIO, "org.vswitch1.Error.Failed" },

        { -ENOENT, SD_BUS_ERROR_UNKNOWN_OBJECT },
        { -EACCES, SD_BUS_ERROR_ACCESS_DENIED },
        { -ETIMEDOUT, SD_BUS_ERROR_TIMEOUT },
        { -ETIMEDOUT, SD_BUS_ERROR_NO_REPLY },
        { -ENOTSUP, SD_BUS_ERROR_UNKNOWN_METHOD },
        { -ENOTSUP, SD_BUS_ERROR_UNKNOWN_INTERFACE },
        { -ECONNRESET, SD_BUS_ERROR_DISCONNECTED },
        { -EINVAL, SD_BUS_ERROR_INVALID_ARGS },
};

static const char *const holds[] = {
        [CONTROL_HOLD_NONE] = "none",
        [CONTROL_HOLD_CONNECTION] = "connection",
        [CONTROL_HOLD_UNTIL_ACQUIRE] = "until-acquire",
};

static const struct {
        enum control_policy_flag flag;
        const char *name;
} policy_flags[] = {
        { CONTROL_POLICY_LIVE, "live" },
        { CONTROL_POLICY_CONFIG, "config" },
        { CONTROL_POLICY_REPLACE, "replace" },
        { CONTROL_POLICY_DRY_RUN, "dry-run" },
};

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

const char *protocol_error_name(int error_number)
{
        for (size_t i = 0; i < ELEMENTS(errors); i++)
                if (errors[i].number == error_number)
                        return errors[i].name;
        return "org.vswitch1.Error.Failed";
}

int protocol_error_number(const char *name)
{
        for (size_t i = 0; name && i < ELEMENTS(errors); i++)
                if (strcmp(errors[i].name, name) == 0)
                        return errors[i].number;
        return -EIO;
}

const char *protocol_policy_flag_to_string(enum control_policy_flag flag)
{
        for (size_t i = 0; i < ELEMENTS(policy_flags); i++)
                if (policy_flags[i].flag == flag)
                        return policy_flags[i].name;
        return "";
}

int protocol_policy_flag_from_string(const char *text, enum control_policy_flag *ret)
{
        for (size_t i = 0; i < ELEMENTS(policy_flags); i++)
                if (strcmp(policy_flags[i].name, text) == 0) {
                        *ret = policy_flags[i].flag;
                        return 0;
                }
        return -EINVAL;
}

const char *protocol_hold_to_string(enum control_hold hold)
{
        return (size_t) hold < ELEMENTS(holds) ? holds[hold] : "none";
}

int protocol_hold_from_string(const char *text, enum control_hold *ret)
{
        for (size_t i = 0; i < ELEMENTS(holds); i++)
                if (strcmp(holds[i], text) == 0) {
                        *ret = (enum control_hold) i;
                        return 0;
                }
        return -EINVAL;
}
