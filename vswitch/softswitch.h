/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The software switch: driver interface.
 *
 * One instance stands for one switch of the host (a Linux bridge; Open vSwitch later). The daemon asks it for
 * three things: which way a MAC goes (the pin), both ways at once while a NIC moves (the copy rule), and to
 * tell the wire where a MAC is now (announce). Drivers keep no state that is not in the kernel: what is there
 * is read back, so a restarted daemon sees the truth. All calls block for the time of a few rtnetlink requests.
 *
 * VLAN 0 means: the switch does not filter VLANs, or, where it does, its default one (vlan_default_pvid of a bridge).
 * A port whose PVID is another one needs its own number.
 */

#include "error.h"
#include "mac.h"
#include "netlink.h"

#include <stdbool.h>
#include <stdint.h>

struct softswitch_driver;

struct softswitch {
        const struct softswitch_driver *driver; /* drivers embed this struct as their first member */
};

/* Where the static sticky entry of a MAC points. */
struct softswitch_pin {
        int ifindex;    /* port, 0 when there is no entry that we could have made */
        bool sticky;    /* without NTF_STICKY learning moves even a static entry (Linux bridge) */
        bool permanent; /* local entry of a port's own address: not ours, never removed */
        uint16_t vlan;
};

/* The VLANs of one port. Without VLAN filtering: filters false, all others 0. */
struct softswitch_port_vlans {
        bool filters;          /* the switch filters VLANs */
        uint16_t pvid;         /* what untagged frames of the port are put into; 0: they are dropped */
        unsigned count;        /* VLANs of the port, tagged and untagged */
        uint64_t member[64];   /* bit n of the 4096: the port is in VLAN n */
        uint64_t untagged[64]; /* ... and its frames leave there without a tag */
};

static inline bool softswitch_vlan_test(const uint64_t set[static 64], uint16_t vlan)
{
        return vlan < 4096 && set[vlan / 64] >> vlan % 64 & 1;
}

/* What a port lets its guest do; everything off: nothing of ours is there. */
struct softswitch_guard {
        bool check_source;      /* drop frames that do not come from `mac` */
        struct vswitch_mac mac; /* only with check_source */
        uint32_t max_rate;      /* Mbit/s that come in at the port, Ethernet header and FCS counted; 0: unlimited */
};

struct softswitch_driver {
        const char *name; /* "bridge" */

        /* Attaches to the existing switch `name`. -ENODEV with a sentence that says how to make one. */
        int (*open)(struct vswitch_netlink *netlink, const char *name, struct softswitch **ret,
                    struct vswitch_error *error);
        void (*close)(struct softswitch *software_switch);

        int (*ifindex)(const struct softswitch *software_switch);

        /* Reads the pin of a MAC. No entry, or only a learned one: ifindex 0, still success. */
        int (*read_pin)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                        struct softswitch_pin *ret, struct vswitch_error *error);
        /* Makes or moves the entry: static sticky, replacing a learned one. One request moves it. What is left of a pin of
         * the MAC from before the switch began, or ceased, to filter VLANs goes. */
        int (*pin)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int port_ifindex,
                   struct vswitch_error *error);
        /* Removes it from this port, whether the switch filtered VLANs when it was made or not; an entry that is not there
         * is success. */
        int (*unpin)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int port_ifindex,
                     struct vswitch_error *error);

        /* Makes an uplink ready for copy rules. Once, when it is taken into use: on Linux the kernel drops frames for a
         * moment when the place for filters is made, so it is not made and unmade around each move. */
        int (*prepare_uplink)(struct softswitch *software_switch, int uplink_ifindex, struct vswitch_error *error);

        /* The copy rule. `vlan`: the tag that the MAC's frames have on the uplink port (0: none); the tap gets them
         * without it, and frames of other VLANs are left alone.
         * Frames for `mac` that come in on `uplink_ifindex` are redirected to `tap_ifindex`; frames
         * for it that leave there are mirrored to the tap as well; without `mirror` they are not, for a card that
         * reflects its PF's own transmissions to it, where the tap would get them twice. Adding twice is success. */
        int (*copy_add)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                        int uplink_ifindex, int tap_ifindex, bool mirror, struct vswitch_error *error);
        int (*copy_remove)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                           int uplink_ifindex, struct vswitch_error *error);
        /* *ret_tap_ifindex: the tap of a complete rule, 0 when there is none, -1 when it is another one
         * (a part is missing, or there is a mirror that should not be). */
        int (*copy_read)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                         int uplink_ifindex, bool mirror, int *ret_tap_ifindex, struct vswitch_error *error);
        /* Every MAC that has any part of a copy rule of ours on `uplink_ifindex`; *ret malloc'ed. */
        int (*copy_list)(struct softswitch *software_switch, int uplink_ifindex, struct vswitch_mac **ret,
                         size_t *ret_count, struct vswitch_error *error);

        /* While a NIC is on a VF its tap stays a permanent multicast router port, so that a snooping bridge goes
         * on feeding it and IPv6 works at once after the move back. */
        int (*set_multicast_router)(struct softswitch *software_switch, int port_ifindex, bool permanent,
                                    struct vswitch_error *error);

        /* The VLANs of a port, and making one VLAN its only one, untagged (an access port). Setting is -EOPNOTSUPP when
         * the switch does not filter VLANs. A pin outlives the port's membership of its VLAN, and keeps the
         * MAC from being reached there: who made it takes it out, before or after. */
        int (*read_port_vlans)(struct softswitch *software_switch, int port_ifindex, struct softswitch_port_vlans *ret,
                               struct vswitch_error *error);
        int (*set_access_vlan)(struct softswitch *software_switch, int port_ifindex, uint16_t vlan,
                               struct vswitch_error *error);

        /* The guard of a guest's port: what is there, and making it so (only what differs is written; all off removes
         * what is ours). *ret_foreign: somebody else's filters are there, too, which a VF would not apply: every one at
         * the port's tc hooks but those of libvirt's <bandwidth>, and below its queue those with an action. Filters of
         * others, libvirt's <bandwidth> among them, are left alone and go on working.
         * Whoever replaces the port's ingress qdisc, as libvirt does for "virsh domiftune", takes ours away. Set it
         * again, but only after a second or two: libvirt deletes the qdisc and makes the new one some ten
         * milliseconds later, and fails if there is one by then. */
        int (*guard_read)(struct softswitch *software_switch, int port_ifindex, struct softswitch_guard *ret,
                          bool *ret_foreign, struct vswitch_error *error);
        int (*guard_set)(struct softswitch *software_switch, int port_ifindex, const struct softswitch_guard *wanted,
                         struct vswitch_error *error);

        /* Sends three RARP announcements of `mac` out of `uplink_ifindex`, as QEMU does after a migration. `vlan` is the
         * switch's VLAN for the MAC, as for a pin. */
        int (*announce)(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                        int uplink_ifindex, struct vswitch_error *error);
};

extern const struct softswitch_driver softswitch_bridge_driver;

/* tc priorities of the filters that this project makes. They are below 0x8000, from where up the kernel takes those for
 * filters without one: ours come before them. The guard's are on taps, the copy rule's on uplinks. */
#define SOFTSWITCH_COPY_PRIORITY         0x5653
#define SOFTSWITCH_GUARD_SOURCE_PRIORITY 0x5653
#define SOFTSWITCH_GUARD_RATE_PRIORITY   0x5654
