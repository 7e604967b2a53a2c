/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the probe does with netdevs, each one rtnetlink request. `netlink` belongs to the namespace of the netdev. */

#include "src/probe/namespace.h"
#include "vswitch/link.h"

#include <stdbool.h>

int probe_device_move(struct vswitch_netlink *netlink, int ifindex, const struct probe_namespace *namespace,
                      struct vswitch_error *error);
int probe_device_set_mac(struct vswitch_netlink *netlink, int ifindex, const struct vswitch_mac *mac,
                         struct vswitch_error *error);
int probe_device_rename(struct vswitch_netlink *netlink, int ifindex, const char *name, struct vswitch_error *error);

/* A VLAN device, left down: it is there so that the card lets frames with its tag in. *ret is its ifindex. */
int probe_device_add_vlan(struct vswitch_netlink *netlink, int ifindex, const char *name, uint16_t vlan, int *ret,
                          struct vswitch_error *error);
int probe_device_delete(struct vswitch_netlink *netlink, int ifindex, struct vswitch_error *error);

/* Does it send what it is given? The kernel lets a queue go some time after the carrier has come. */
bool probe_device_is_operational(struct vswitch_netlink *netlink, int ifindex);

/* Does it take everything, be it that a bridge has asked for it or an administrator? */
bool probe_device_is_promiscuous(const char *name);
