/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The control channel: sd-bus objects (service org.vswitch1) on a private unix socket that needs no bus daemon,
 * and on the system bus where there is one. The daemon's model is behind `struct control_provider`, so the
 * server knows nothing of how the model works, and the tests can serve a model of their own.
 *
 * Objects:  /org/vswitch1                       org.vswitch1.Manager
 *           /org/vswitch1/switch/<name>         org.vswitch1.Switch
 *           /org/vswitch1/pf/<name>             org.vswitch1.PF
 *           /org/vswitch1/nic/<uuid>/<alias>    org.vswitch1.NIC      (path elements escaped by sd_bus_path_encode)
 * Reading is for root and the group `vswitch` (the socket's mode); changing and the hook's calls are for root
 * (SO_PEERCRED; on the system bus the bus policy and the sender's credentials).
 */

#include "vswitch/error.h"
#include "vswitch/pf.h"
#include "vswitch/port_policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define CONTROL_SOCKET  VSWITCH_RUNTIME_DIR "/control"
#define CONTROL_SERVICE "org.vswitch1"
#define CONTROL_PATH    "/org/vswitch1"

/* Views: what the objects' properties show. Strings are owned by the provider and valid during the call. */
struct control_switch {
        const char *name;
        const char *driver; /* "bridge" */
        const char *device; /* the bridge */
        const char *uplink; /* the PF's netdev, or "" */
        bool usable;
        const char *reason; /* a sentence when not usable, else "" */
        bool iov;           /* gives VFs to guests */
        bool filters_vlans;
        const char *const *pfs; /* NULL-terminated: every physical port beneath it */
        /* Why no NIC of this switch may have a VF: code, sentence, remedy; or "" */
        const char *obstacle, *obstacle_sentence, *remedy;
        const struct control_neighbour *neighbours;
        size_t neighbours_count;
};

/* A MAC on a port of the switch, and whether VFs reach it. */
struct control_neighbour {
        const char *mac;
        const char *port;
        unsigned vlan;
        const char *kind; /* "guest", "local" (the bridge or the host), "static", "learned", "quiet" (aged out) */
        /* "listed" (in the uplink filters), "left-out" (no room), "crowded" (too many are behind its port), "foreign"
         * (listed by others), "none" */
        const char *state;
};

struct control_vf {
        unsigned index;
        const char *address;
        const char *state; /* "free", "leased", "claimed", "foreign" */
        const char *driver;
        const char *mac;   /* VF filter, "" when zero */
        const char *owner; /* "g1/ua-net0", or why it is foreign, or "" */
        unsigned vectors;
        const struct pf_vf_attributes *attributes; /* `valid` says which the driver reports */
        const struct pf_vf_statistics *statistics; /* NULL where the driver has none */
};

struct control_pf {
        const char *name;
        const char *switch_name;
        const char *driver;
        const char *address;
        bool up;
        bool carrier;
        unsigned total_vfs;
        const char *steering;              /* "both", ... , "unknown" */
        const char *steering_source;       /* "probed 2026-11-20", "default for igb: ..." */
        const char *port;                  /* the bridge's port that it is or that stands on it ("bond0") */
        bool active;                       /* its VFs are the ones that guests get */
        const char *firmware;              /* "" when the driver does not say */
        unsigned filter_capacity;          /* uplink filters that really deliver; 0: not known */
        uint32_t can_set, cannot_set;      /* enum pf_vf_attribute bits, asked of the driver so far */
        const char *const *refusals;       /* NULL-terminated: "link state: Operation not supported" */
        const char *const *uplink_filters; /* NULL-terminated list of MACs */
        const struct control_vf *vfs;
        size_t vfs_count;
};

struct control_nic {
        const char *uuid;
        const char *domain;
        const char *alias;
        const char *mac;
        const char *switch_name;
        const char *tap;
        const char *wanted;    /* "synthetic" or "vf" */
        const char *path;      /* where its frames go: "synthetic", "vf", "both" (a move), "none" */
        const char *situation; /* failover/: "synthetic", "offering", "on-vf", "withdrawing", ... */
        const char *request;   /* "acquire" or "release": asked for by nic_acquire/nic_release and neither reached nor
                                * given up yet; set before those return. Else "" */
        bool vf_allocated;
        const char *vf;     /* PCI address, or "" */
        const char *pf;     /* or "" */
        const char *reason; /* code: why it is not on a VF, "" when it is */
        const char *reason_sentence;
        const char *remedy;
        uint64_t since_usec;    /* CLOCK_REALTIME of the last change of `path` */
        uint64_t deadline_usec; /* CLOCK_REALTIME when the daemon gives up waiting for something; 0 = none */
        bool held;
        unsigned vlan; /* its tag on the wire; 0: none */
        const struct port_policy *policy;

        /* For `vswitch nic why`. Sentences without a full stop; "" when there is nothing to say, times 0. */
        const char *rule;    /* of failover/, by which it was decided */
        const char *detail;  /* what the reason means here: which port, which other NIC, what libvirt said */
        const char *now;     /* what the daemon does */
        const char *then;    /* what happens at `deadline_usec` */
        const char *held_by; /* who asked for the hold */
        const char *trouble; /* what it cannot do now, with the cause; it is tried again at `retry_usec` */
        uint64_t retry_usec;
        unsigned unplug_attempts; /* how often the guest was asked to let go of its VF, in this release */
        const char *failure;      /* code, sentence and cause of the last move that was given up */
        const char *failure_sentence;
        const char *failure_detail;
        uint64_t failure_usec;
        uint64_t back_off_usec; /* until when no new one is begun */
};

struct control_status {
        const char *version;
        uint64_t started_usec; /* CLOCK_REALTIME */
        bool libvirt_connected;
        const char *libvirt_sentence; /* why not, or "" */
        uint64_t resyncs;             /* times that lost notifications made everything be read again */
        uint64_t moves_completed;
        uint64_t moves_failed;
};

/* Who asks: for the log, and for what is bound to the life of a connection. */
struct control_caller {
        uint64_t connection; /* unique for the daemon's life */
        unsigned uid;
        int pid;
        const char *description; /* "vswitch[1234] uid 0" */
};

enum control_hold {
        CONTROL_HOLD_NONE,       /* the NIC may get a VF again after its back-off */
        CONTROL_HOLD_CONNECTION, /* ... not before the caller's connection ends */
        CONTROL_HOLD_UNTIL_ACQUIRE,
};

/* The answer to a hook call. `xml` (may be NULL) goes to libvirt on the hook's standard output; `refuse` (may be
 * NULL) makes the hook fail with this sentence. */
typedef void (*control_hook_reply)(void *reply_token, const char *xml, const char *refuse);

/* The end of a change that took its time: 0 or -errno with a sentence (may be NULL). Called also when the model ends
 * first: it frees the token. */
typedef void (*control_done)(int result, const char *sentence, void *token);

/* One thing that a NIC may do, as vswitch nic set writes it. */
struct control_policy_change {
        const char *key;
        const char *value; /* "" takes it away */
};

enum control_policy_flag {
        CONTROL_POLICY_LIVE = 1u << 0,   /* the running guest, ... */
        CONTROL_POLICY_CONFIG = 1u << 1, /* its definition; neither: both, as far as the domain has them */
        CONTROL_POLICY_REPLACE = 1u << 2,
        CONTROL_POLICY_DRY_RUN = 1u << 3,
};

/* As control_done. `live` and `config`: what is (or would be) written to either, XML, "" for nothing; NULL: not
 * concerned. The sentence after success is a note, or "". */
typedef void (*control_policy_done)(int result, const char *sentence, const char *live, const char *config,
                                    void *token);

struct control_provider {
        void (*status)(void *model, struct control_status *ret);
        /* Iteration: calls `each` until it returns non-zero, and returns that; 0 at the end. */
        int (*switches)(void *model, int (*each)(const struct control_switch *, void *), void *userdata);
        int (*pfs)(void *model, int (*each)(const struct control_pf *, void *), void *userdata);
        int (*nics)(void *model, int (*each)(const struct control_nic *, void *), void *userdata);

        /* Changes. They start the work and return; progress shows in the NIC's properties. 0, -ENOENT (no such NIC),
         * or -EBUSY/-EINVAL/... with a sentence that says what to do. */
        int (*nic_acquire)(void *model, const char *uuid, const char *alias, const struct control_caller *caller,
                           struct vswitch_error *error);
        int (*nic_release)(void *model, const char *uuid, const char *alias, enum control_hold hold,
                           const struct control_caller *caller, struct vswitch_error *error);
        /* Changes what a NIC may do, in its domain's XML. `domain` is a name or a UUID, of a guest that need not run or be
         * known here; `alias` "": of its only NIC. `done` is called exactly once, later, unless this fails. */
        int (*nic_set_policy)(void *model, const char *domain, const char *alias,
                              const struct control_policy_change *changes, size_t changes_count, uint32_t flags,
                              const struct control_caller *caller, control_policy_done done, void *token,
                              struct vswitch_error *error);
        /* Changes the number of a PF's VFs (slow; `done` is called exactly once, later, unless this fails). -EBUSY
         * names who uses a VF. With `keep` the number is remembered and made again after a reboot. */
        int (*pf_set_vfs)(void *model, const char *pf, unsigned count, bool keep, const struct control_caller *caller,
                          control_done done, void *token, struct vswitch_error *error);
        /* Takes `count` free VFs out of the pool until the caller's connection ends, for a probe. Their PCI addresses
         * go to ret_addresses, which has room for `count`. -EBUSY when there are not enough. */
        int (*pf_reserve)(void *model, const char *pf, unsigned count, const struct control_caller *caller,
                          char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error);
        /* A probe's result was written: use it. */
        int (*pf_reload)(void *model, const char *pf, const struct control_caller *caller, struct vswitch_error *error);

        /* The connection is gone: its holds and reservations end. Not called by control_free(). */
        void (*caller_gone)(void *model, uint64_t connection);

        /* libvirt's qemu hook: domain name, operation ("prepare", "started", "stopped", "release", "migrate",
         * "reconnect", ...), sub-operation, extra argument, the domain's XML. Must answer through `reply` exactly
         * once, at once or later; `reply_token` stays valid until then. */
        void (*hook)(void *model, const char *domain, const char *operation, const char *sub_operation,
                     const char *extra, const char *xml, control_hook_reply reply, void *reply_token);
};

struct control;

/* Listens on `socket_path` (removing a dead socket there; -EADDRINUSE when a daemon answers on it) and tries the
 * system bus (its absence is not an error; it is tried again now and then). `group_name` may be NULL; a group that
 * does not exist leaves the socket to root. */
int control_new(sd_event *loop, const char *socket_path, const char *group_name,
                const struct control_provider *provider, void *model, struct control **ret,
                struct vswitch_error *error);
void control_free(struct control *control);
void control_freep(struct control **control);

/* Sends PropertiesChanged of that object (all its changing properties) to every connection. */
void control_nic_changed(struct control *control, const char *uuid, const char *alias);
/* InterfacesAdded / InterfacesRemoved. */
void control_nic_added(struct control *control, const char *uuid, const char *alias);
void control_nic_removed(struct control *control, const char *uuid, const char *alias);
/* Signal org.vswitch1.Manager.Event(t realtime_usec, s kind, s subject, s sentence): what `vswitch monitor` shows.
 * kind: "move", "migration", "guest", "pf", "libvirt", "warning". */
void control_event(struct control *control, const char *kind, const char *subject, const char *sentence);
