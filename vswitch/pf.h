/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The physical function: driver interface.
 *
 * One instance stands for one uplink with its embedded switch and its VFs. The daemon programs VFs (attributes
 * by rtnetlink), binds them to vfio-pci (sysfs), reads the one signal that tells from outside whether the
 * guest's driver is up (interrupt vectors), and keeps the uplink filters. Everything is read back from the
 * kernel; instances only cache identities (names, addresses).
 *
 * Calls marked (slow) can block for seconds (driver unbind, reset): never call them on the event loop. They use
 * only sysfs and are thread-safe. All others are a few rtnetlink requests or one small read.
 */

#include "error.h"
#include "mac.h"
#include "netlink.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PF_ADDRESS_SIZE     16 /* "0000:01:10.2" and its NUL, rounded up */
#define PF_DRIVER_NAME_SIZE 32

/* Which of the VF attributes a struct pf_vf_attributes holds, or a driver can set. */
enum pf_vf_attribute {
        PF_VF_MAC = 1u << 0,
        PF_VF_VLAN = 1u << 1, /* with QoS and protocol */
        PF_VF_SPOOF_CHECK = 1u << 2,
        PF_VF_TRUST = 1u << 3,
        PF_VF_LINK_STATE = 1u << 4,
        PF_VF_RATE = 1u << 5, /* min and max */
        PF_VF_QUERY_RSS = 1u << 6,
};

struct pf_vf_attributes {
        uint32_t valid; /* enum pf_vf_attribute bits */
        /* Zero: none. A VF that a network driver of the host has shows the address which that driver chose for it;
         * writing that one back would make it the administrator's, which the VF may not change any more (igb). */
        struct vswitch_mac mac;
        uint16_t vlan;
        uint8_t qos;
        uint16_t vlan_protocol; /* host order: 0x8100 or 0x88a8 */
        bool spoof_check;
        bool trust;
        uint32_t link_state; /* IFLA_VF_LINK_STATE_* */
        uint32_t min_rate;   /* Mbit/s, 0 = none */
        uint32_t max_rate;
        bool query_rss;
};

/* What sysfs tells about one VF. */
struct pf_vf {
        unsigned index;
        char address[PF_ADDRESS_SIZE];    /* PCI address of the VF */
        char driver[PF_DRIVER_NAME_SIZE]; /* "" when unbound */
        char netdev[IF_NAMESIZE];         /* its host netdev in our network namespace, or "" */
        char iommu_group[16];             /* "" without an IOMMU */
};

/* Frames of a VF, where the driver counts them. */
struct pf_vf_statistics {
        uint64_t received_packets, received_bytes, received_dropped;
        uint64_t sent_packets, sent_bytes, sent_dropped;
        uint64_t multicast, broadcast;
};

struct pf_driver;

struct pf {
        const struct pf_driver *driver; /* drivers embed this struct as their first member */
        char name[IF_NAMESIZE];
        int ifindex;
        char address[PF_ADDRESS_SIZE];
        char kernel_driver[PF_DRIVER_NAME_SIZE]; /* "igb" */
        bool is_emulated;                        /* QEMU's model of the card: not to be taken for the real one */
        unsigned total_vfs;                      /* sriov_totalvfs; 0 when the device has no SR-IOV */

        /* Which card, driver and firmware: what a probe's result is good for. */
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        char driver_version[32];   /* as ethtool -i shows it: the kernel's release for drivers of the kernel */
        char firmware_version[64]; /* "" when the driver does not say */

        /* Asked of the driver so far: bits of enum pf_vf_attribute. What it was never asked is in neither. Kept up to
         * date by read_attributes (a driver that does not know a setting says so), set_attributes and ask_attributes.
         * Only "not supported" makes an attribute one that cannot be set; a value that was refused (-EINVAL: 802.1ad,
         * a rate beyond the link's speed, any rate while there is no link) says nothing about others. */
        uint32_t can_set, cannot_set;
        char refusals[7][96]; /* by bit number: the driver's own words for what it cannot */
        bool asked;           /* ask_attributes was called */
};

struct pf_driver {
        const char *name; /* "kernel" */

        /* Opens the PF behind netdev `name`. A device without SR-IOV opens with total_vfs == 0. -ENODEV when there
         * is no such netdev. */
        int (*open)(struct vswitch_netlink *netlink, const char *name, struct pf **ret, struct vswitch_error *error);
        void (*close)(struct pf *pf);

        /* The VFs that exist now; *ret malloc'ed, ordered by index. */
        int (*list_vfs)(struct pf *pf, struct pf_vf **ret, size_t *ret_count, struct vswitch_error *error);
        int (*read_vf)(struct pf *pf, unsigned index, struct pf_vf *ret, struct vswitch_error *error);

        /* Attributes. set writes those of `wanted->valid` that differ from what is read, one request each, MAC last,
         * and reads them back (-EIO when the driver took a value and reports another). It stops at the first
         * refusal, whose attribute and reason are in `error`; -EAGAIN and -EBUSY have then been retried for a tenth
         * of a second. */
        int (*read_attributes)(struct pf *pf, unsigned index, struct pf_vf_attributes *ret,
                               struct vswitch_error *error);
        int (*set_attributes)(struct pf *pf, unsigned index, const struct pf_vf_attributes *wanted,
                              struct vswitch_error *error);

        /* All VFs in one request, entry i is VF i; `valid` is 0 where the driver reports none. *ret malloc'ed. To look at
         * many VFs: the kernel answers a question about one VF with all of them. */
        int (*list_attributes)(struct pf *pf, struct pf_vf_attributes **ret, size_t *ret_count,
                               struct vswitch_error *error);

        /* Asks the driver which attributes it can set, by writing to VF `index` what it has; fills can_set and
         * cannot_set. The values stay, but on some cards even that resets the VF: only for a VF that nobody uses. The
         * MAC is not asked: writing back one that the VF's own driver chose would make it the administrator's. */
        int (*ask_attributes)(struct pf *pf, unsigned index, struct vswitch_error *error);

        /* Counters of one VF, or of all as in list_attributes. -EOPNOTSUPP where the driver has none. The kernel reports
         * zeros for a driver that counts nothing (rtnl_fill_vfinfo), so a driver that is not known to count
         * (pf_card.h) has counters from the first frame on that one of its VFs has had. */
        int (*list_statistics)(struct pf *pf, struct pf_vf_statistics **ret, size_t *ret_count,
                               struct vswitch_error *error);
        int (*read_statistics)(struct pf *pf, unsigned index, struct pf_vf_statistics *ret,
                               struct vswitch_error *error);

        /* (slow) Makes the PF have this many VFs: writes sriov_numvfs, by way of 0 when there are some already (the
         * kernel knows no other), so every VF vanishes; the caller has seen to it that none is in use. VFs made here
         * get no host driver (sriov_drivers_autoprobe = 0), so no DHCP client or bridge finds their netdevs; that
         * setting then stays, and is not touched with 0 VFs: only the caller can know what it was before. The number
         * that is there already is success and changes nothing. On failure the old number and setting are tried
         * again. -ERANGE beyond total_vfs, with the number that the card can have. */
        int (*set_vf_count)(struct pf *pf, unsigned count, struct vswitch_error *error);

        /* Does the kernel offer new VFs to host drivers (sriov_drivers_autoprobe)? It is the PCI device's setting: it
         * outlives VFs and the PF's driver, until the host boots. -EOPNOTSUPP before Linux 4.12, which always does. */
        int (*read_autoprobe)(struct pf *pf, bool *ret, struct vswitch_error *error);
        int (*set_autoprobe)(struct pf *pf, bool wanted, struct vswitch_error *error);

        /* Uplink filters: MACs in the PF's own unicast list. Adding what is there and removing what is not there
         * are success. */
        int (*uplink_filter_add)(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error);
        int (*uplink_filter_remove)(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error);
        int (*uplink_filter_list)(struct pf *pf, struct vswitch_mac **ret, size_t *ret_count,
                                  struct vswitch_error *error);

        /* The number of interrupt vectors that the VF's user has enabled through vfio-pci: > 0 once the guest's
         * driver has opened its netdev. -ENODATA when another driver than vfio-pci has the VF (the files then mean
         * something else). One readdir. */
        int (*vectors)(struct pf *pf, const char *vf_address, unsigned *ret);

        /* (slow) Binds the VF to `driver` ("vfio-pci", "igbvf") or to none (""): driver_override, unbind, probe. The
         * override is left empty afterwards unless `driver` is "vfio-pci". -EBUSY while a process has the VF open
         * through VFIO (the kernel would wait for it for ever), also when the VF has that driver already: it is not
         * the caller's then; -ENODEV with the way out when the driver is not loaded, -EOPNOTSUPP without an IOMMU. All
         * three before anything was changed. */
        int (*bind)(struct pf *pf, const char *vf_address, const char *driver, struct vswitch_error *error);
        /* (slow) Function level reset. -EOPNOTSUPP where the device has none. */
        int (*reset)(struct pf *pf, const char *vf_address, struct vswitch_error *error);
};

extern const struct pf_driver pf_kernel_driver;

/* Root of sysfs; tests of the sysfs half point it to a tree of their own. Default "/sys". */
extern const char *pf_kernel_sysfs_root;

/* Does any process hold this VF through VFIO (its device, or its group)? Used to recognise VFs in foreign hands
 * (another VM, DPDK). A VF that is not bound to a VFIO driver is not open. A few small reads when it is in use;
 * (slow) when it is not: a walk over the open files of all processes. */
int pf_vf_is_open(const char *vf_address, bool *ret, struct vswitch_error *error);

/* The same in two parts, for who asks about many VFs, or may not block. */

/* The VFIO devices and groups that processes have open now. */
struct pf_vfio_nodes {
        char (*names)[64]; /* "/dev/vfio/12", "/dev/vfio/devices/vfio3"; malloc'ed */
        size_t count;
};

/* (slow) One walk over the open files of all processes. Files that may not be looked at are passed over. */
int pf_vfio_list_open(struct pf_vfio_nodes *ret, struct vswitch_error *error);

enum pf_vf_use {
        PF_VF_NOT_OPEN,
        PF_VF_OPEN,
        PF_VF_USE_UNKNOWN, /* nobody has its device open, but its group may be: only a list tells */
};

/* A few small reads. `nodes` NULL: there is no list, so the answer may be USE_UNKNOWN. -ENODEV: no such VF. */
int pf_vf_use(const char *vf_address, const struct pf_vfio_nodes *nodes, enum pf_vf_use *ret,
              struct vswitch_error *error);

/* Names of the bits in `attributes` for sentences and logs: "VLAN, trust, MAC". Returns `buffer`. */
const char *pf_attribute_names(uint32_t attributes, char *buffer, size_t size);
