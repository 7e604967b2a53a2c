/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What server and client of the control channel agree on beyond the objects themselves. */

#include "src/control/cleanup.h"
#include "src/control/control.h"

#include <systemd/sd-bus.h>

#define PROTOCOL_MANAGER "org.vswitch1.Manager"
#define PROTOCOL_SWITCH  "org.vswitch1.Switch"
#define PROTOCOL_PF      "org.vswitch1.PF"
#define PROTOCOL_NIC     "org.vswitch1.NIC"

/* For sd_bus_path_encode_many(). */
#define PROTOCOL_SWITCH_PATH CONTROL_PATH "/switch/%"
#define PROTOCOL_PF_PATH     CONTROL_PATH "/pf/%"
#define PROTOCOL_NIC_PATH    CONTROL_PATH "/nic/%/%"

/* "org.vswitch1.Error.NotFound" for -ENOENT and so on; "org.vswitch1.Error.Failed" for what has no name. */
const char *protocol_error_name(int error_number);
/* The negative errno of a D-Bus error name, of ours and of those that sd-bus and the bus daemon make; -EIO for
 * unknown ones. */
int protocol_error_number(const char *name);

/* "live", "config", "replace", "dry-run": one flag of enum control_policy_flag. */
const char *protocol_policy_flag_to_string(enum control_policy_flag flag);
/* 0, or -EINVAL. */
int protocol_policy_flag_from_string(const char *text, enum control_policy_flag *ret);

/* "none", "connection", "until-acquire". */
const char *protocol_hold_to_string(enum control_hold hold);
/* 0, or -EINVAL. */
int protocol_hold_from_string(const char *text, enum control_hold *ret);

static inline void protocol_message_unrefp(sd_bus_message **message)
{
        sd_bus_message_unref(*message);
}

static inline void protocol_bus_close_unrefp(sd_bus **bus)
{
        sd_bus_close_unref(*bus);
}

#define _cleanup_message_   _cleanup_(protocol_message_unrefp)
#define _cleanup_bus_       _cleanup_(protocol_bus_close_unrefp)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)
