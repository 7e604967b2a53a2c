/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which physical ports (PFs) a bridge stands on, and by which one its frames enter.
 *
 * A port of a bridge that leads to the wire (an uplink) is a PF itself, or stands on one or more: a bond or team, a
 * VLAN device, a VLAN device on a bond. A guest may have a VF of a PF only where every frame for it enters by that PF.
 * This is a pure function of the list of links; it reads nothing and keeps nothing.
 */

#include "link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOPOLOGY_PFS_MAX     16
#define TOPOLOGY_DEVICES_MAX 64

/* Do all frames enter by one PF? */
enum topology_verdict {
        TOPOLOGY_ONE_PF,           /* yes, by topology.active */
        TOPOLOGY_NO_UPLINK,        /* there is no uplink, or nothing beneath it */
        TOPOLOGY_NO_ACTIVE_MEMBER, /* of an active-backup bond: all its members are down */
        TOPOLOGY_ALL_DOWN,         /* several uplinks, and none has a carrier */
        TOPOLOGY_IN_LAG,           /* by several at a time: LACP, a balancing bond, a team */
        TOPOLOGY_SEVERAL_UPLINKS,  /* two uplinks forward */
        TOPOLOGY_NOT_FORWARDING,   /* the spanning tree (or somebody's hand) lets no uplink forward */
        TOPOLOGY_TAGS, /* by one, with tags that a VF cannot put on: more than one, or one that is not 802.1Q */
};

struct topology_pf {
        const struct vswitch_link *link;
        const struct vswitch_link *port; /* of the bridge: the PF itself, or what stands on it */
        uint16_t wire_vlan;              /* the tag of the VLAN device between them; 0: none */
};

/* Every device that a verdict was read from: uplinks, bonds, VLAN devices, PFs. */
struct topology_devices {
        int ifindex[TOPOLOGY_DEVICES_MAX];
        size_t count;
};

/* All pointers lead into the list of links that was searched, or to one of the names. */
struct topology {
        enum topology_verdict verdict;
        /* The port by which frames leave the bridge towards the wire: the (first) one that forwards, else the first.
         * NULL without an uplink. */
        const struct vswitch_link *uplink;
        size_t uplinks_count;
        struct topology_pf pfs[TOPOLOGY_PFS_MAX]; /* beneath all uplinks, in the order of the uplinks */
        size_t pfs_count;
        const struct topology_pf *active; /* NULL unless the verdict is ONE_PF; into pfs */
        bool overflow;                    /* there are more PFs than TOPOLOGY_PFS_MAX */

        struct topology_devices devices;

        /* The first configured uplink that is not one, or NULL; and its link, NULL when it does not exist. */
        const char *missing;
        const struct vswitch_link *missing_link;
};

/* Uplinks are the ports in `names`; without names (names_count 0) every port that stands on hardware (a device of kind
 * ""). What is named counts as hardware whatever its kind. Fills *ret completely. */
void topology_find(int bridge_ifindex, char *const *names, size_t names_count, const struct vswitch_link *links,
                   size_t links_count, struct topology *ret);

/* Was the verdict read from this device, so that a change of it may change the verdict? */
bool topology_has_device(const struct topology_devices *devices, int ifindex);

/* Could this link, which the verdict was not read from, belong to it now: is it a port of one of the devices, or a port
 * of the bridge that may stand on hardware? */
bool topology_may_gain(const struct topology_devices *devices, int bridge_ifindex, const struct vswitch_link *link);
