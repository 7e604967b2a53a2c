/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Putting back what a probe has changed: at its end, and what one that was killed has left. */

#include "src/probe/notes.h"
#include "vswitch/netlink.h"
#include "vswitch/pf.h"

/* The name of the VLAN device that a probe makes on a PF for a moment. */
void probe_vlan_device_name(const struct pf *pf, char ret[static IF_NAMESIZE]);

/* The host's tables: uplink filters of ours, the VLAN device, and what bridges have learned of our frames. Does all of
 * it whatever fails; the first error. */
int probe_restore_tables(struct vswitch_netlink *netlink, struct pf *pf, struct vswitch_error *error);

/* (slow) A VF: its settings and its driver as noted; with a host driver its netdev's MAC and name, too. */
int probe_restore_vf(struct vswitch_netlink *netlink, struct pf *pf, const struct probe_noted_vf *vf,
                     struct vswitch_error *error);

/* Is this VF still as a killed probe has left it? Somebody may have taken it into use since. */
bool probe_left_vf(struct pf *pf, const struct probe_noted_vf *vf);
