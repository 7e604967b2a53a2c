/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A modelled NIC: a PF with its VFs and embedded switch, and the software switch that it is the uplink of, as
 * tables in memory behind the two driver interfaces. What the daemon does to them can be looked at, refused and
 * counted; and the model answers the question that all of it is about: which way does a frame take?
 *
 * Drivers open by name, so the models are kept in one list of the process; modelled_nic_reset() empties it. The
 * netlink socket that the interfaces pass is not used and may be NULL. Calls lock, so bind and reset may come from
 * worker threads; a test looks at the tables when nothing runs.
 */

#include "vswitch/pf.h"
#include "vswitch/softswitch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODELLED_VFS_MAX     8
#define MODELLED_FILTERS_MAX 512
#define MODELLED_PINS_MAX    64
#define MODELLED_RULES_MAX   32
#define MODELLED_MODELS_MAX  4
#define MODELLED_PORTS_MAX   16

/* What the embedded switch does with a MAC that is both VF filter and uplink filter. */
enum modelled_steering {
        MODELLED_BOTH,
        MODELLED_PF_WINS,
        MODELLED_VF_WINS,
        MODELLED_FOLLOWS_GUEST, /* a VF filter counts only while the guest's driver runs; then it wins */
};

struct modelled_vf {
        struct pf_vf identity;
        struct pf_vf_attributes attributes;
        char driver_override[PF_DRIVER_NAME_SIZE];
        unsigned vectors; /* set by the test: the guest's driver came up, or went */
        unsigned resets;
        unsigned disturbances; /* times that VLAN, spoof check or trust were written while the guest's driver was up */
        struct pf_vf_statistics statistics;
};

struct modelled_pf {
        struct pf pf; /* first: this is what open() hands out */
        enum modelled_steering steering;
        bool reflects; /* its own transmissions for an uplink filter come back to it */
        struct modelled_vf vfs[MODELLED_VFS_MAX];
        size_t vf_count;
        struct vswitch_mac filters[MODELLED_FILTERS_MAX];
        size_t filter_count;
        size_t filter_capacity; /* adding more is refused with -ENOMEM */
        bool autoprobe;         /* new VFs get the host's driver */
        bool counts;            /* the driver has VF statistics */

        /* Faults. */
        uint32_t refused_attributes; /* enum pf_vf_attribute bits that set_attributes answers with -EOPNOTSUPP */
        uint32_t invalid_attributes; /* ... with -EINVAL, as a driver that does not like the value */
        int bind_error;              /* 0, or what every bind returns */
        int unlist_error;            /* 0, or what every uplink_filter_remove returns */
        int count_error;             /* 0, or what a change of the number of VFs returns */

        unsigned writes; /* changes to tables and attributes: a restart with nothing to do adds none */
        unsigned binds;
        unsigned asked;  /* how often the driver was asked what it can set */
        unsigned looks;  /* how often attributes were read, of one VF or all: the kernel answers both with all */
        unsigned opened; /* instances that are not closed */
};

struct modelled_pin {
        struct vswitch_mac mac;
        uint16_t vlan;
        int port;
};

struct modelled_rule {
        struct vswitch_mac mac;
        uint16_t vlan; /* the tag on the uplink */
        int uplink;
        int ingress_tap; /* 0: this half is missing */
        int egress_tap;
};

/* A port begins as an access port of VLAN 1, which counts once the switch filters VLANs. */
struct modelled_port {
        int ifindex;
        uint16_t pvid;
        uint64_t member[64], untagged[64];
        struct softswitch_guard guard;
        bool foreign; /* somebody else's filters are there */
};

struct modelled_switch {
        struct softswitch software_switch; /* first */
        char name[IF_NAMESIZE];
        int ifindex;
        int next_ifindex; /* not 0: the bridge was made again, which who has opened it does not see */
        struct modelled_pin pins[MODELLED_PINS_MAX];
        size_t pin_count;
        struct modelled_rule rules[MODELLED_RULES_MAX];
        size_t rule_count;
        int multicast_routers[MODELLED_PINS_MAX];
        size_t multicast_router_count;

        bool filters_vlans;
        struct modelled_port ports[MODELLED_PORTS_MAX];
        size_t port_count;

        int copy_error; /* 0, or what every copy_add returns */
        int vlan_error; /* ... every set_access_vlan */
        unsigned vlan_tries;
        int guard_error; /* ... every guard_set */

        unsigned port_reads; /* of VLANs and guards */
        unsigned pin_reads;

        unsigned announcements;
        struct vswitch_mac last_announced;
        unsigned writes;
};

extern const struct pf_driver modelled_pf_driver;
extern const struct softswitch_driver modelled_switch_driver;

void modelled_nic_reset(void);
/* What is made from now on is the same for this process and its children. One of them at a time may change it. */
void modelled_nic_share(void);

/* A PF "name" with `vf_count` VFs that are bound to "igbvf" and have a zero MAC. Its VFs are 0000:01:10.0,
 * 0000:01:10.2, ... on the first PF, 0000:02:10.0, ... on the second. */
struct modelled_pf *modelled_pf_add(const char *name, int ifindex, size_t vf_count);
struct modelled_switch *modelled_switch_add(const char *name, int ifindex);

/* The port of the switch, made when it is not there yet. */
struct modelled_port *modelled_port_find(struct modelled_switch *software_switch, int ifindex);
void modelled_port_add_vlan(struct modelled_port *port, uint16_t vlan, bool tagged);
void modelled_port_remove_vlan(struct modelled_port *port, uint16_t vlan);

/* The VF with this PCI address, on any PF; NULL when there is none. */
struct modelled_vf *modelled_vf_find(const char *vf_address);

bool modelled_pf_has_filter(const struct modelled_pf *pf, const struct vswitch_mac *mac);

/* Where the frames of each kind of sender for a guest's MAC come out. */
enum modelled_sender {
        MODELLED_FROM_WIRE,
        MODELLED_FROM_SWITCH, /* a neighbour on the software switch, or the host */
        MODELLED_FROM_VF,     /* another VF of the PF */
        MODELLED_SENDER_MAX,
};

enum modelled_path {
        MODELLED_TAP = 1u << 0,
        MODELLED_VF = 1u << 1,
};

/* The paths on which a frame for `mac` is offered (enum modelled_path bits). `tap` is the guest's port. The sender is in
 * the network that the tap is in now: in the VLAN of untagged frames of the tap. */
unsigned modelled_paths(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                        const struct vswitch_mac *mac, enum modelled_sender sender);

/* The same for a sender in VLAN `vlan` of the switch. Where it does not filter: with that tag, 0 for none. */
unsigned modelled_paths_in_vlan(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                                const struct vswitch_mac *mac, enum modelled_sender sender, uint16_t vlan);

/* Does the guest get it? Its net_failover takes what comes over the VF while the VF's vectors exist, and what comes
 * over the tap while they do not. `vf` may be NULL. */
bool modelled_guest_receives(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                             const struct modelled_vf *vf, const struct vswitch_mac *mac, enum modelled_sender sender);
