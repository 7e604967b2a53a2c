/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Guests as libvirt and QEMU tell them: who is there, with which NICs and VFs, and what happens to them.
 *
 * libvirt calls block for as long as libvirtd likes, so none is made on the event loop. One thread receives the
 * events, a few workers make the blocking calls; everything they find is handed over by a queue and delivered
 * through the callbacks below on the event loop's thread, in the order in which it was seen: a guest is never shown
 * as it was before an event that has been delivered (unless it changes faster than it can be read). A lost
 * connection is re-made with back-off (modular virtqemud or monolithic libvirtd, whichever answers), and everything
 * is listed again.
 */

#include "vswitch/error.h"
#include "vswitch/mac.h"
#include "vswitch/pf.h"
#include "vswitch/port_policy.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define GUEST_UUID_SIZE  37
#define GUEST_ALIAS_SIZE 64

/* A NIC of a guest with a backend on the host (<interface>). */
struct guest_nic {
        char alias[GUEST_ALIAS_SIZE]; /* "ua-net0"; libvirt's own "net0" when the owner gave none */
        struct vswitch_mac mac;
        char bridge[IF_NAMESIZE]; /* <source bridge=>, also of a running type='network' on a bridge; or "" */
        char tap[IF_NAMESIZE];    /* <target dev=>, "" while not running */
        bool is_virtio;
        bool is_openvswitch;     /* <virtualport type='openvswitch'> */
        bool teaming_persistent; /* <teaming type='persistent'/>: the owner's opt-in */
        uint32_t mtu;            /* <mtu size=>, 0 when not given */
        bool link_down;          /* <link state='down'/> */
        bool filtered;           /* <filterref>: libvirt filters its frames on the tap */
        bool isolated;           /* <port isolated='yes'/> */
        bool vlan_trunk;         /* <vlan trunk='yes'> or several tags */
        uint16_t vlan;           /* its one <vlan><tag id=>, 0 when not given */
        bool limits_inbound;     /* <bandwidth><inbound>: what it may receive, which no VF can limit */
        uint32_t outbound_rate;  /* <bandwidth><outbound>: what it may send, in Mbit/s (rounded up); 0: no limit */
        /* Its element of our own in the domain's <metadata>: which fields it gives, and their values. */
        uint32_t policy_given; /* enum guest_policy_field bits */
        struct port_policy policy;
        char policy_error[160]; /* why that element cannot be used, with its place; or "" */
};

enum guest_policy_field {
        GUEST_POLICY_WEIGHT = 1u << 0,
        GUEST_POLICY_VLAN = 1u << 1, /* with qos and protocol */
        GUEST_POLICY_SPOOF_CHECK = 1u << 2,
        GUEST_POLICY_TRUST = 1u << 3,
        GUEST_POLICY_MIN_RATE = 1u << 4,
        GUEST_POLICY_MAX_RATE = 1u << 5,
        GUEST_POLICY_PREFER_VF = 1u << 6,
};

/* A PCI device of the host given to the guest: plain <hostdev> or <interface type='hostdev'>. */
struct guest_vf {
        char alias[GUEST_ALIAS_SIZE];
        char address[PF_ADDRESS_SIZE];
        char persistent[GUEST_ALIAS_SIZE]; /* <teaming type='transient' persistent=>, or "" */
        bool managed;                      /* libvirt rebinds it */
        bool is_interface;                 /* <interface type='hostdev'>: libvirt programs and restores it */
};

enum guest_state {
        GUEST_OFF, /* defined, or gone: no QEMU */
        GUEST_RUNNING,
        GUEST_PAUSED,      /* by somebody, not by a migration */
        GUEST_INCOMING,    /* QEMU waits for, or loads, the state of a guest that runs elsewhere */
        GUEST_HANDED_OVER, /* stopped here at the end of an outgoing migration */
};

/* One domain as it was read in one go. */
struct guest {
        char uuid[GUEST_UUID_SIZE];
        char *name;
        int id; /* changes with every start */
        enum guest_state state;
        bool outgoing;   /* a migration away from here is under way (job operation MIGRATION_OUT) */
        bool incomplete; /* libvirt does not show the devices now (a hung QEMU, say): nics and vfs are as last known,
                          * or empty. It is read again soon. */
        bool is_q35;
        uint64_t memory_kib;      /* all that it may have; 0: not said */
        unsigned free_root_ports; /* pcie-root-ports with nothing on them */
        char managed_by[32];      /* "ovirt", "nova", "kubevirt" from <metadata>, or "" */
        struct guest_nic *nics;
        size_t nics_count;
        struct guest_vf *vfs;
        size_t vfs_count;
};

void guest_free(struct guest *guest);
void guest_freep(struct guest **guest);

/* Reads a domain's XML (live, migratable or inactive; also what the hook gets on its standard input). State, id
 * and outgoing stay zero: they are not in the XML. -EINVAL with the place of the mistake. */
int guest_parse_xml(const char *xml, struct guest **ret, struct vswitch_error *error);

/* The domain's XML with the PCI source address of the device `alias` replaced; *ret malloc'ed. `alias` may also be the
 * address that the device has now (a VF to which its owner gave no alias has none in the XML that the hook sees). For
 * the hook of an incoming migration: libvirt accepts a changed address there, but not a changed number of devices.
 * -ENOENT when no such device. */
int guest_rewrite_vf_address(const char *xml, const char *alias, const char *address, char **ret,
                             struct vswitch_error *error);

/* The XML by which a VF is attached: plain <hostdev managed='no'> with <teaming type='transient'> and `alias` (NULL: the
 * first that libvirt has free, "hostdev0"; libvirt takes no such name from others). malloc'ed. libvirt then neither programs nor restores nor rebinds it. */
int guest_vf_device_xml(const char *alias, const char *address, const char *persistent_alias, char **ret);

/* One change of what a NIC may do: an attribute of its <nic> in our <policy>. */
struct guest_policy_change {
        const char *key;   /* "weight" */
        const char *value; /* "" takes the attribute away, also one that this version does not know */
};

enum guest_set_flag {
        /* The running guest's XML (gone with it, and migrated with it), its definition for the next start. Neither:
         * both, as far as the domain has them and the NIC is in them. */
        GUEST_SET_LIVE = 1u << 0,
        GUEST_SET_CONFIG = 1u << 1,
        GUEST_SET_REPLACE = 1u << 2, /* the NIC's element begins anew, and what of <policy> cannot be read goes */
        GUEST_SET_DRY_RUN = 1u << 3, /* only says what would be written */
};

enum guest_event_kind {
        GUEST_EVENT_STANDBY_NEGOTIATED, /* QMP FAILOVER_NEGOTIATED; alias = the NIC's alias */
        GUEST_EVENT_UNPLUG_ASKED,       /* QMP UNPLUG_PRIMARY: QEMU has asked the guest; alias = the VF's alias */
        GUEST_EVENT_MIGRATION,          /* QMP MIGRATION; detail = "setup", "wait-unplug", "active", "device", ... */
        GUEST_EVENT_STOPPED,            /* QMP STOP: the virtual CPUs stand still */
        GUEST_EVENT_RESUMED,            /* QMP RESUME */
        GUEST_EVENT_RESET,              /* QMP RESET or reboot */
        GUEST_EVENT_DEVICE_REMOVED,     /* alias */
        GUEST_EVENT_DEVICE_REMOVAL_FAILED,
        GUEST_EVENT_LIFECYCLE, /* detail = "started/migrated", "suspended/migrated", "resumed/migrated", ... */
};

struct guest_event {
        enum guest_event_kind kind;
        uint64_t usec; /* CLOCK_MONOTONIC when libvirt's event reached this process */
        char uuid[GUEST_UUID_SIZE];
        char alias[GUEST_ALIAS_SIZE]; /* without libvirt's "host"/"net" id decorations, as in the XML; or "" */
        char detail[48];
};

struct guests;

/* All callbacks run on the event loop's thread. */
struct guests_callbacks {
        /* The connection to libvirt is up (everything will be listed next; `sentence` says when libvirt passes on no
         * events of QEMU, else ""), or lost, or still not there (`sentence` says why; said again when that changes). */
        void (*connection)(bool connected, const char *sentence, void *userdata);
        /* Every domain with a QEMU process; whoever is not in the list is off. The guests are owned by the caller of
         * this callback; copy or move them out (set the pointer to NULL). */
        void (*listed)(struct guest **guests, size_t count, void *userdata);
        /* What domains are defined as for their next start, told before `listed` (`all`: who is not among them has no
         * definition), and of one domain when it was defined, changed or undefined. Only name, uuid, nics and vfs are set;
         * no vfs also for a domain that has no definition any more. A domain that runs, and that libvirt is too busy with
         * to show its definition, comes a moment after `listed`. The definitions are the caller's. */
        void (*defined)(struct guest *const *definitions, size_t count, bool all, void *userdata);
        /* One domain was read again (after its events, or on request). `guest` may be moved out as above. */
        void (*changed)(struct guest **guest, void *userdata);
        /* The instant signals. They come before the `changed` that they cause. */
        void (*event)(const struct guest_event *event, void *userdata);
};

/* `uri` NULL: qemu:///system. Starts the threads; a libvirtd that is not there is not an error. libvirt's event loop
 * belongs to the process: -EBUSY when there is a struct guests already. */
int guests_new(sd_event *loop, const char *uri, const struct guests_callbacks *callbacks, void *userdata,
               struct guests **ret, struct vswitch_error *error);
/* Stops the threads (waits for calls that are under way up to a bound). Every open request is answered before it
 * returns, with its own result when it has one, else with -ECANCELED. Only work of guests_run that still runs then is
 * not: it goes on using its userdata, which must not be freed. May be called from inside a callback. */
void guests_free(struct guests *guests);
void guests_freep(struct guests **guests);

/* Answer to a request below, always later and exactly once (a request that returns an error has none): 0 or -errno
 * with libvirt's words. -ENOTCONN: not connected, or no more (then it may have been carried out all the same). -ENOENT:
 * no such domain or device, or not running. -ETIMEDOUT: libvirt gave no answer within its own bound. Requests for one
 * domain are carried out in their order. */
typedef void (*guests_done)(int result, const char *sentence, void *userdata);

/* Attaches by XML, live only. Answered when libvirt has (not when the guest uses it). */
int guests_attach(struct guests *guests, const char *uuid, const char *device_xml, guests_done done, void *userdata);
/* virDomainDetachDeviceAlias: answered when the guest was *asked*; GUEST_EVENT_DEVICE_REMOVED follows. */
int guests_detach(struct guests *guests, const char *uuid, const char *alias, guests_done done, void *userdata);
/* The answer to guests_set_policy(), as guests_done. After success `live` and `config` are what our <policy> is now (with
 * GUEST_SET_DRY_RUN: would be) in the running guest and in its definition: XML, or "" for none. NULL: not concerned. The
 * sentence then says why a vswitch of this version cannot use it all the same, or is "". */
typedef void (*guests_policy_done)(int result, const char *sentence, const char *live, const char *config,
                                   void *userdata);

/* Changes a NIC's policy in the domain's <metadata>, and nothing else there. `domain` is a name or a UUID, and need not
 * run; `alias` "" is the NIC of a domain that has one. All of it is checked before anything is written: -EINVAL with
 * what is allowed; -EBADMSG when what is there cannot be read and this does not mend it; -ENOENT no such domain or NIC.
 * What is there of other NICs, or of a newer version, stays. METADATA_CHANGE has the domain read again. */
int guests_set_policy(struct guests *guests, const char *domain, const char *alias,
                      const struct guest_policy_change *changes, size_t changes_count, uint32_t flags,
                      guests_policy_done done, void *userdata);
/* Reads the domain again: `changed` follows (with GUEST_OFF when it is gone). -ENOTCONN: `listed` will follow. */
int guests_refresh(struct guests *guests, const char *uuid);

/* Runs `work` on a worker thread and then `done` on the event loop. For slow sysfs writes too (driver unbind).
 * `error` is filled by `work`. */
typedef int (*guests_work)(void *userdata, struct vswitch_error *error);
int guests_run(struct guests *guests, guests_work work, guests_done done, void *userdata);
