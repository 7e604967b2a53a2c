/* SPDX-License-Identifier: Apache-2.0 */
#include "libvirt_error.h"
#include "internal.h"

#include <ctype.h>
#include <errno.h>
#include <libvirt/virterror.h>

static void be_quiet(void *userdata, virErrorPtr error)
{
}

void libvirt_error_silence(void)
{
        virSetErrorFunc(NULL, be_quiet);
}

int libvirt_error_code(void)
{
        virErrorPtr last = virGetLastError();

        return last ? last->code : VIR_ERR_OK;
}

static int to_errno(int code)
{
        switch (code) {
        case VIR_ERR_NO_DOMAIN:
        case VIR_ERR_DEVICE_MISSING:
                return -ENOENT;
        case VIR_ERR_OPERATION_TIMEOUT:
                return -ETIMEDOUT;
        case VIR_ERR_RPC:
        case VIR_ERR_NO_CONNECT:
        case VIR_ERR_INVALID_CONN:
                return -ENOTCONN;
        case VIR_ERR_NO_SUPPORT:
        case VIR_ERR_OPERATION_UNSUPPORTED:
        case VIR_ERR_CONFIG_UNSUPPORTED:
        case VIR_ERR_ARGUMENT_UNSUPPORTED:
                return -EOPNOTSUPP;
        case VIR_ERR_ACCESS_DENIED:
        case VIR_ERR_OPERATION_DENIED:
        case VIR_ERR_AUTH_FAILED:
        case VIR_ERR_AUTH_CANCELLED:
        case VIR_ERR_AUTH_UNAVAILABLE:
                return -EACCES;
        case VIR_ERR_XML_ERROR:
        case VIR_ERR_XML_DETAIL:
        case VIR_ERR_XML_INVALID_SCHEMA:
        case VIR_ERR_INVALID_ARG:
        case VIR_ERR_OPERATION_INVALID:
                return -EINVAL;
        case VIR_ERR_NO_MEMORY:
                return -ENOMEM;
        default:
                return -EIO;
        }
}

int libvirt_error_take(virConnectPtr connection, struct vswitch_error *error, const char *what)
{
        virErrorPtr last = virGetLastError();
        int code = last ? last->code : VIR_ERR_OK;
        _cleanup_(freep) char *words = strdup(last && last->message ? last->message : "unknown error");
        size_t length = words ? strlen(words) : 0;

        /* libvirt's text may end with a full stop or a newline (QEMU's own words); a sentence here does not. */
        while (length > 0 && (isspace((unsigned char) words[length - 1]) || words[length - 1] == '.'))
                words[--length] = '\0';
        vswitch_error_set(error, 0, "%s: %s", what, words ? words : "out of memory");
        if (connection && virConnectIsAlive(connection) == 0)
                return -ENOTCONN;
        return to_errno(code);
}
