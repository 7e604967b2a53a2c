/* SPDX-License-Identifier: Apache-2.0 */
#include "mac.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int vswitch_mac_parse(const char *text, struct vswitch_mac *ret)
{
        struct vswitch_mac mac;

        for (size_t i = 0; i < sizeof(mac.bytes); i++) {
                int high = hex_digit(text[0]);
                int low = high < 0 ? -1 : hex_digit(text[1]);

                if (low < 0)
                        return -EINVAL;
                mac.bytes[i] = (uint8_t) (high << 4 | low);
                text += 2;

                /* A colon between two bytes, the end of the text after the last one. */
                if (*text++ != (i + 1 < sizeof(mac.bytes) ? ':' : '\0'))
                        return -EINVAL;
        }

        *ret = mac;
        return 0;
}

const char *vswitch_mac_format(const struct vswitch_mac *mac, char buffer[static VSWITCH_MAC_TEXT_SIZE])
{
        const uint8_t *b = mac->bytes;

        snprintf(buffer, VSWITCH_MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
        return buffer;
}

bool vswitch_mac_equal(const struct vswitch_mac *a, const struct vswitch_mac *b)
{
        return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool vswitch_mac_is_zero(const struct vswitch_mac *mac)
{
        static const struct vswitch_mac zero;

        return vswitch_mac_equal(mac, &zero);
}

bool vswitch_mac_is_multicast(const struct vswitch_mac *mac)
{
        return mac->bytes[0] & 1;
}
