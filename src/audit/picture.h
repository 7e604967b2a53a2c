/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Everything that the audit looks at, collected at one time (collect.h) and then judged without looking again
 * (audit.h). Plain data: tests make their own.
 */

#include "src/daemon/claims.h"
#include "src/daemon/uplink_list.h"
#include "src/guests/guests.h"
#include "vswitch/mac.h"
#include "vswitch/pf.h"
#include "vswitch/softswitch.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_vf {
        struct pf_vf vf;
        struct pf_vf_attributes attributes; /* valid 0: the driver shows none */
        char override[PF_DRIVER_NAME_SIZE]; /* driver_override, "" for none */
        bool is_open;                       /* through VFIO; also when that could not be found out */
        bool netdev_in_use;                 /* its netdev on this host is up, a port, or carries another device */
        struct vswitch_mac netdev_mac;      /* zero without a netdev */
        bool driver_is_kept;                /* driverctl(8) is told to give it its driver at every boot */
        bool is_probed;                     /* `vswitch pf probe` has noted it */
        bool vectors_known;
        unsigned vectors;
};

struct audit_pf {
        char name[IF_NAMESIZE];
        char address[PF_ADDRESS_SIZE];
        int ifindex;
        int bridge;         /* ifindex of the bridge that it is beneath, 0: none */
        bool is_configured; /* that bridge is a switch of the configuration */
        bool up;
        uint32_t cannot_set; /* enum pf_vf_attribute bits */
        struct audit_vf *vfs;
        size_t vfs_count;
        struct vswitch_mac *filters; /* uplink filters */
        size_t filters_count;
};

/* A port of a bridge. */
struct audit_port {
        char name[IF_NAMESIZE];
        int ifindex;
        int bridge; /* ifindex */
        char bridge_name[IF_NAMESIZE];
        bool is_uplink;
        bool multicast_router; /* permanently one */
        struct softswitch_guard guard;
        struct vswitch_mac *copies; /* MACs with a copy rule of ours */
        size_t copies_count;
};

/* A static sticky entry of a bridge: as vswitch makes them, and hardly anybody else. */
struct audit_pin {
        struct vswitch_mac mac;
        uint16_t vlan;
        int bridge, port; /* ifindexes */
};

struct audit_claim {
        struct claim claim;
        uint64_t age_usec; /* since it was last written */
};

/* What vswitchd notes of the uplink filters that are no guest's. */
struct audit_note {
        char path[256];
        char pf[IF_NAMESIZE];
        int ifindex; /* of the netdev that it is about */
        bool fits;   /* the PF is there, and still that netdev */
        struct uplink_list_noted *entries;
        size_t entries_count;
};

/* A file that cannot be used. */
struct audit_file {
        char path[256];
        char sentence[192];
};

/* The number of VFs that a PF is to have after every boot. */
struct audit_kept {
        char path[256];
        char address[PF_ADDRESS_SIZE];
        unsigned count;
};

/* A QEMU with a UUID. */
struct audit_process {
        int pid;
        char uuid[GUEST_UUID_SIZE];
};

/* A NIC as the running vswitchd sees it. */
struct audit_daemon_nic {
        char uuid[GUEST_UUID_SIZE];
        char alias[GUEST_ALIAS_SIZE];
        char situation[24];
        bool is_moving; /* between two steady situations, or about to be */
        struct vswitch_mac mac;
        char vf[PF_ADDRESS_SIZE]; /* or "" */
        uint16_t vlan;            /* of its frames on the wire */
};

enum audit_daemon_state {
        AUDIT_DAEMON_DOWN,
        AUDIT_DAEMON_SILENT, /* it runs, and could not be asked */
        AUDIT_DAEMON_UP,
};

#define AUDIT_LIST(type, name)                                                                                         \
        type *name;                                                                                                    \
        size_t name##_count

struct audit_picture {
        uint64_t now; /* CLOCK_MONOTONIC, microseconds */
        char runtime_directory[128];

        AUDIT_LIST(struct audit_pf, pfs);
        AUDIT_LIST(struct audit_port, ports);
        AUDIT_LIST(struct audit_pin, pins);
        AUDIT_LIST(int, ifindexes); /* of all links */

        AUDIT_LIST(struct audit_claim, claims);
        AUDIT_LIST(struct nic_record, records);
        AUDIT_LIST(struct audit_note, notes);
        AUDIT_LIST(struct audit_kept, kept);
        AUDIT_LIST(struct audit_file, unreadable);

        /* All guests that have a QEMU, with their devices; false: libvirt did not tell (all of it), and nothing that
         * depends on it can be said. */
        bool guests_known;
        char guests_sentence[320];
        AUDIT_LIST(struct guest *, guests);
        AUDIT_LIST(struct audit_process, processes);

        enum audit_daemon_state daemon;
        char daemon_sentence[320]; /* why it is AUDIT_DAEMON_SILENT */
        AUDIT_LIST(struct audit_daemon_nic, daemon_nics);
};

/* Frees what the picture owns, all of its lists. */
void audit_picture_clear(struct audit_picture *picture);

/* Makes room for one more at the end of a list, zeroed. NULL without memory. */
#define audit_add(picture, list)                                                                                       \
        ((__typeof__((picture)->list)) audit_grow((void **) &(picture)->list, &(picture)->list##_count,                \
                                                  sizeof(*(picture)->list)))
void *audit_grow(void **list, size_t *count, size_t size);
