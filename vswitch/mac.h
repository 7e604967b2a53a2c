/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An Ethernet address: the identity of a guest's NIC in every table this project writes. */

#include <stdbool.h>
#include <stdint.h>

#define VSWITCH_MAC_TEXT_SIZE 18 /* "52:54:00:12:34:56" and its NUL */

struct vswitch_mac {
        uint8_t bytes[6];
};

/* Reads "52:54:00:12:34:56" (either case, all six bytes). 0, or -EINVAL with *ret untouched. */
int vswitch_mac_parse(const char *text, struct vswitch_mac *ret);

/* Writes the lower-case form and returns `buffer`. */
const char *vswitch_mac_format(const struct vswitch_mac *mac, char buffer[static VSWITCH_MAC_TEXT_SIZE]);

bool vswitch_mac_equal(const struct vswitch_mac *a, const struct vswitch_mac *b);
bool vswitch_mac_is_zero(const struct vswitch_mac *mac);
bool vswitch_mac_is_multicast(const struct vswitch_mac *mac);
