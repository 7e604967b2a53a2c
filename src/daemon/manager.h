/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The manager: the daemon's model of this host and the loop that keeps it in step.
 *
 *   kernel notifications, libvirt and QEMU events, hook and operator requests, timers
 *        -> record facts, mark NICs dirty                      (links.c, domains.c, hook.c, requests in provider.c)
 *        -> one deferred reconcile: collect the facts of each dirty NIC, ask failover/, carry out its actions
 *                                                              (facts.c, actions.c, manager.c)
 *
 * Nothing but the reconcile step changes anything on the host. Everything runs on the event loop's thread; calls that
 * may block for long (libvirt, driver binding) go to worker threads and come back as facts.
 */

#include "failover/failover.h"
#include "failover/scarcity.h"
#include "failover/presence.h"
#include "failover/progress.h"
#include "src/config/config.h"
#include "src/control/control.h"
#include "src/daemon/claims.h"
#include "src/guests/guests.h"
#include "vswitch/link.h"
#include "vswitch/netlink.h"
#include "vswitch/pf.h"
#include "vswitch/port_policy.h"
#include "vswitch/softswitch.h"
#include "vswitch/topology.h"

#include <sys/queue.h>
#include <systemd/sd-event.h>

#define USEC_PER_SEC  1000000ull
#define USEC_PER_MSEC 1000ull

/* What the manager is plugged into; the tests plug in a modelled NIC and modelled guests. */
struct manager_options {
        const struct config *config;
        const struct softswitch_driver *softswitch_driver;
        const struct pf_driver *pf_driver;
        const char *runtime_directory;
        const char *state_directory; /* what outlives a reboot: /var/lib/vswitch */
        const char *control_socket;
};

#define MANAGER_PFS_MAX TOPOLOGY_PFS_MAX

/* A physical port beneath a switch. Lives until its switch is refreshed; a worker thread holds the struct pf. */
struct manager_pf {
        struct pf *pf;
        struct vswitch_link link; /* as last seen */
        int port;                 /* the port of the bridge that it is, or that stands on it (a bond, a VLAN device) */
        uint16_t wire_vlan;       /* the tag that a VLAN device between them puts on; 0: none */
        enum failover_steering steering;
        bool reflects;            /* hands the PF's own transmissions for an uplink filter back to it */
        char steering_source[96]; /* for people: "probed 2026-11-20", "default for igb", ... */
        unsigned filter_capacity; /* uplink filters that really deliver; 0: not known */
};

struct manager_switch {
        struct manager *manager;
        const struct config_switch *config;
        struct softswitch *softswitch; /* NULL while the bridge is not there */
        /* Every physical port beneath the switch. All of them carry uplink filters. */
        struct manager_pf pfs[MANAGER_PFS_MAX];
        size_t pfs_count;
        /* The one whose VFs the guests get: all frames enter by it. NULL while there is none; which one may change
         * (the active port of a bond). Points into pfs[].pf. */
        struct pf *pf;
        int entered_by;             /* the PF (ifindex) by which all frames entered last; 0: none so far */
        struct vswitch_link uplink; /* the bridge's port towards the wire, as last seen; ifindex 0 when not there */
        enum failover_steering steering; /* of pf */
        bool reflects;                   /* of pf */
        enum failover_reason obstacle;   /* why no NIC of this switch may have a VF (uplink-in-lag, ...), or NONE */
        bool filters_vlans;              /* the bridge does */
        char sentence[320];              /* why the switch is not usable, or "" */
        char named_vfs[160];             /* vfs.c: the VFs that guests which are off keep from who waits, or "" */
        struct neighbours *neighbours;   /* of the switch; NULL while the bridge is not there */
        struct topology_devices devices; /* what stands between the bridge and the wire */
        char missing[IF_NAMESIZE];       /* a configured uplink that was warned about, while the others do */
        bool stale;                      /* a notification said that its links may have changed */
        /* switches.c */
        unsigned bridge_generation; /* another number: softswitch is, or was, another bridge */
        bool bridge_removed;        /* a notification said that the bridge which softswitch stands for is gone */
        bool looked;       /* this bridge and what is beneath it could be read, so there is a last known state */
        bool unread;       /* ... but not the last time; that was told */
        bool incomplete;   /* a PF beneath it could not be opened (uplinks.c) */
        uint64_t retry_at; /* looked at again then; 0: nothing has failed */
        uint64_t retry_pause;
};

/* A domain that has, or is about to have, or had a moment ago, a QEMU on this host. */
struct manager_domain {
        TAILQ_ENTRY(manager_domain) entry;
        char uuid[GUEST_UUID_SIZE];
        char name[64];
        struct guest *guest; /* the last snapshot, or NULL */
        struct failover_presence presence;
};

struct manager_nic {
        TAILQ_ENTRY(manager_nic) entry;
        struct manager *manager;
        struct manager_domain *domain;
        struct manager_switch *nic_switch;
        char alias[GUEST_ALIAS_SIZE];
        char label[64 + GUEST_ALIAS_SIZE + 1]; /* "g1/ua-net0": the name for people */
        struct vswitch_mac mac;
        char tap[IF_NAMESIZE];
        int tap_ifindex;  /* 0 while it is not there */
        bool made_router; /* that its tap is a permanent multicast router port is our doing */
        bool in_guest;    /* the last snapshot has it */
        bool alarmed;     /* it was told that the guest is isolated, and not yet that it no longer is */
        /* What its VF is called in the guest. QEMU takes no other one for as long as it lives, so a VF that its owner
         * gave to the guest lends its name to those that follow. */
        char vf_alias[GUEST_ALIAS_SIZE];
        enum failover_reason obstacle; /* from the last snapshot */

        struct failover_facts facts;       /* observed, plus what only this process knows (requests, back-off) */
        struct failover_decision decision; /* the last one */
        struct failover_policy policy;

        struct claim *claim;       /* NULL: none */
        bool recorded;             /* its NIC record is on disk */
        bool claim_unwritten;      /* its claim has changed, and that is not on disk */
        uint64_t records_retry_at; /* one of the two is tried again then; 0: neither has failed */
        const char *request;       /* "acquire" or "release": asked for, neither reached nor given up; or "" */
        bool held_until_acquire;   /* by an operator */
        uint64_t hold_connection;  /* a hold that ends with this control connection; 0: none */
        char hold_by[64];          /* who asked for it, for people; "" when that was an earlier daemon's caller */
        uint32_t mtu;              /* of the NIC in the guest; 0: not said */
        struct port_policy port_policy;
        enum failover_reason policy_obstacle; /* what of its policy keeps it from a VF, see policies.c */
        uint16_t bridge_vlan;                 /* the VLAN of its pin in the bridge's FDB; 0: not filtering */
        uint16_t port_vlan;                   /* the tag that its frames have on the bridge's uplink port; 0: none */
        uint16_t wire_vlan;                   /* ... and on the PF: what the VF's VLAN must be */
        struct policy_state *policy_state;    /* policies.c; NULL: none yet */
        bool tap_stale;                       /* look at the tap's VLANs and guard again */
        uint64_t tap_retry_at;                /* ... at this time at the latest; 0: nothing has failed */
        bool tables_stale;                    /* read them again before deciding */
        bool uplink_filter_partly, copy_rule_partly; /* see facts_settle_partly() */
        bool dirty;
        struct failover_progress progress; /* what has failed, and when it is tried again */
        unsigned vectors_count;
        unsigned macs_behind;  /* neighbours_count_behind() */
        uint64_t tap_baseline; /* the tap's counter when the confirmation began */
        bool tap_baseline_valid;
        uint64_t path_since_realtime; /* CLOCK_REALTIME */
        uint64_t failed_realtime;     /* ... when facts.failure came about; 0: it did not */
        char failure_words[256];      /* ... and what libvirt or the kernel said, or "" */
        char trouble[320];            /* the action that failed last, and the cause */
        const char *last_path;

        /* arbiter.c */
        uint64_t number; /* its own, never given twice */
        enum scarcity_standing standing;
        uint64_t standing_since;
        enum scarcity_verdict verdict;
        uint64_t memory_short_until; /* the host's memory is looked at again then; 0: it sufficed */
        unsigned failures;           /* moves that failed since the last that was completed */
        unsigned restores_refused;   /* times in a row that its VF was still in use when it was to be restored */
};

/* Who of many NICs gets one of few VFs, see arbiter.c. */
struct arbiter {
        struct scarcity_policy policy;
        uint64_t moves[CONFIG_MOVES_MAX]; /* when the last ones began */
        unsigned moves_next;
        uint64_t failures[CONFIG_FAILURES_MAX]; /* when the last ones failed by the host's fault */
        unsigned failures_next;
        uint64_t frozen_until;
        uint64_t deadline; /* to be asked again */
        uint64_t numbers;  /* given to NICs so far */
};

TAILQ_HEAD(manager_domains, manager_domain);
TAILQ_HEAD(manager_nics, manager_nic);
TAILQ_HEAD(hook_waits, hook_wait);
SLIST_HEAD(opened_pfs, opened_pf);

/* overrun.c: notifications were lost, and when everything was last read again for that. */
struct manager_overrun {
        bool lost;              /* since then */
        uint64_t reading_since; /* 0: nothing is being read */
        uint64_t read_at, pause;
};

struct manager {
        sd_event *loop;
        struct pool *pool; /* pool.c */
        struct manager_options options;
        struct failover_policy policy; /* from the configuration */
        struct vswitch_netlink *netlink;
        struct vswitch_netlink_monitor *monitor;
        struct claim_store *claims;
        struct arbiter arbiter;
        struct guests *guests;
        struct control *control;

        struct manager_switch *switches;
        size_t switches_count;
        struct neighbourhood *neighbourhood; /* neighbours.c: all switches together */
        struct opened_pfs opened_pfs;        /* opened_pfs.c */
        struct vf_users *vf_users;           /* vf_users.c */
        struct definitions *definitions;     /* definitions.c */
        struct manager_domains domains;
        struct manager_nics nics;
        struct hook_waits hook_waits;

        sd_event_source *monitor_source;
        sd_event_source *reconcile_source; /* deferred, one-shot */
        sd_event_source *deadline_source;
        sd_event_source *vectors_source;

        sd_event_source *carrier_source; /* carrier.c: a burst of looks at the PFs */
        uint64_t carrier_until;          /* ... ends then; 0: there is none */
        uint64_t carrier_fast_until;     /* ... and until then looks often */

        bool libvirt_connected;
        bool libvirt_listed; /* everything was listed since the connection was made */
        char libvirt_sentence[256];
        uint64_t started_realtime;
        uint64_t resyncs, moves_completed, moves_failed;
        struct manager_overrun overrun;
};

/* manager.c */
int manager_new(sd_event *loop, const struct manager_options *options, struct manager **ret,
                struct vswitch_error *error);
void manager_free(struct manager *manager);
uint64_t manager_now(const struct manager *manager); /* CLOCK_MONOTONIC, microseconds */
uint64_t manager_realtime(void);
void manager_schedule(struct manager *manager); /* reconcile soon */
void manager_nic_dirty(struct manager_nic *nic);
void manager_all_dirty(struct manager *manager, bool tables_too);

/* switches.c: bridges, and the links that come and go */
int switches_new(struct manager *manager, struct vswitch_error *error);
void switches_free(struct manager *manager);
void switches_refresh(struct manager *manager);   /* reads everything again */
void switches_reconcile(struct manager *manager); /* looks again at the switches that are stale, or where that failed */
uint64_t switches_deadline(const struct manager *manager); /* when to reconcile at the latest; FAILOVER_NEVER */
struct manager_switch *switches_find_by_bridge(struct manager *manager, const char *bridge);
struct manager_switch *switches_find_by_name(struct manager *manager, const char *name);
struct manager_pf *switches_find_pf(struct manager_switch *nic_switch, const char *name); /* NULL: not beneath it */
int switches_on_notification(const struct nlmsghdr *header, void *manager);

/* uplinks.c: the PFs beneath a switch, and by which one the frames enter */
/* Finds out again what is beneath the bridge. Fails with a sentence when there is no uplink to use. */
int uplinks_refresh(struct manager_switch *nic_switch, struct vswitch_error *error);
void uplinks_drop(struct manager_switch *nic_switch); /* the bridge is gone */
/* May this link's change have changed what is beneath the switch? */
bool uplinks_concern(const struct manager_switch *nic_switch, const struct vswitch_link *link);
/* Takes over a PF's link as it was just read: tells of what happened to it and has its switch's NICs decided again. */
void uplinks_seen(struct manager_switch *nic_switch, struct manager_pf *uplink, const struct vswitch_link *link);
/* After a message about a PF, also one that showed no change of it: has somebody set something of its VFs? Their NICs read
 * their tables again then, and those that wait for a VF look for one. */
void uplinks_look_at_vfs(struct manager_switch *nic_switch);
struct manager_pf *uplinks_active(struct manager_switch *nic_switch); /* whose pf is nic_switch->pf, or NULL */
/* The PF beneath the switch that has this VF, whatever its netdev is called now; NULL when none has. */
struct manager_pf *uplinks_find_by_vf(struct manager_switch *nic_switch, unsigned vf_index, const char *vf_address);
/* Gives claims of NICs of this switch the name that their PF has now. */
void uplinks_name_claims(struct manager_switch *nic_switch);

/* opened_pfs.c: every PF that is open, beneath a switch or no longer */
int opened_pfs_open(struct manager_switch *nic_switch, const char *name, struct pf **ret, struct vswitch_error *error);
void opened_pfs_left(struct manager *manager, const struct pf *pf); /* it is not beneath its switch any more */
void opened_pfs_close_unneeded(struct manager *manager);
/* Those that are held stay open: a worker that was left behind uses them. */
void opened_pfs_free(struct manager *manager);
/* Remembers what the PF's VFs are set to (takes it over) and returns what was remembered before, the caller's now; NULL:
 * nothing. */
struct pf_vf_attributes *opened_pfs_exchange_settings(struct manager *manager, const struct pf *pf,
                                                      struct pf_vf_attributes *settings, size_t count,
                                                      size_t *ret_count);
/* The PF of the NIC's VF, also when it has left the switch or is gone; NULL when it was never seen. */
struct pf *opened_pfs_of_claim(const struct manager_nic *nic);
/* While a worker thread uses a PF it is not closed, even when it vanishes. Each hold needs its release, on the event
 * loop's thread. */
void opened_pfs_hold(struct manager *manager, const struct pf *pf);
void opened_pfs_release(struct manager *manager, const struct pf *pf);

/* carrier.c: looks at the PFs in bursts, because the kernel may tell of a lost carrier late */
int carrier_new(struct manager *manager, struct vswitch_error *error);
void carrier_on_notification(struct manager *manager); /* of a link, whichever */
void carrier_on_change(struct manager *manager);       /* of a PF's carrier */

/* overrun.c: notifications that the kernel dropped */
void overrun_seen(struct manager *manager);               /* by the monitor */
void overrun_reconcile(struct manager *manager);          /* has everything read again, when it is time to */
void overrun_reconciled(struct manager *manager);         /* ... and the NICs have done so, too */
uint64_t overrun_deadline(const struct manager *manager); /* when to reconcile at the latest; FAILOVER_NEVER */

/* steering.c: what the card does with a MAC in two places, probed, else by driver */
void steering_set(struct manager *manager, struct manager_pf *uplink);

/* vfs.c: which VF is whose */
enum vf_state {
        VF_FREE,
        VF_LEASED,
        VF_CLAIMED,
        VF_FOREIGN,
        VF_NAMED,  /* nobody uses it, but the definition of a guest that is off names it. Shown as "foreign" */
        VF_UNSEEN, /* who has it open is being found out, see vf_users.h. Shown as "foreign" */
};
enum vf_state vfs_state(struct manager_switch *nic_switch, const struct pf_vf *vf,
                        const struct pf_vf_attributes *attributes, char *owner, size_t owner_size);
const char *vfs_state_to_string(enum vf_state state);
/* Finds a free VF for a NIC of this switch, of guest `uuid`: what that guest's own definition names is free for it. NONE
 * with *ret and *ret_before filled, or why there is none: VF_USERS_UNKNOWN when it is being found out whether one is free,
 * and everybody dirty then. */
enum failover_reason vfs_find_free(struct manager_switch *nic_switch, const char *uuid, struct pf_vf *ret,
                                   struct pf_vf_attributes *ret_before);
/* The same for a NIC that is to get none now, to tell its operator: by what was found out last. */
enum failover_reason vfs_why_none(struct manager_switch *nic_switch, const char *uuid);
/* How many free VFs may be given away now, those kept in reserve left out. By what was found out last, so that the number
 * changes only with what is true; those of which nothing is known count: nobody's VF is taken away before it is known that
 * there is no other. */
unsigned vfs_count_free(struct manager_switch *nic_switch);
/* A VF as nobody has programmed it, all but the MAC; only attributes that `before` has. */
struct pf_vf_attributes vfs_neutral_attributes(const struct pf_vf_attributes *before);
/* All but the MAC, and only what `wanted` has. */
bool vfs_attributes_agree(const struct pf_vf_attributes *present, const struct pf_vf_attributes *wanted);
struct manager_nic *vfs_claimant(struct manager *manager, const char *vf_address);

/* nics.c: the NICs and what happens to their domains */
struct manager_domain *nics_find_domain(struct manager *manager, const char *uuid);
struct manager_domain *nics_add_domain(struct manager *manager, const char *uuid, const char *name);
struct manager_nic *nics_find(struct manager *manager, const char *uuid, const char *alias);
struct manager_nic *nics_add(struct manager *manager, struct manager_domain *domain, const char *alias,
                             const struct vswitch_mac *mac, struct manager_switch *nic_switch);
/* Takes the snapshot over and makes NICs of it. */
void nics_apply_guest(struct manager *manager, struct manager_domain *domain, struct guest *guest);
void nics_forget_if_done(struct manager_nic *nic); /* frees it when nothing of it is left here */
/* Frees a domain that is not here and has no NIC left; one that never had any is nobody else's to forget. */
void nics_forget_domain_if_empty(struct manager *manager, struct manager_domain *domain);
void nics_free_all(struct manager *manager);
int nics_record(struct manager_nic *nic, struct vswitch_error *error);
/* The alias that the VF of NIC `alias` has in the guest. */
void nics_vf_alias(const char *nic_alias, char ret[static GUEST_ALIAS_SIZE]);

/* records.c: what of a NIC is on disk, kept as it should be */
/* What is about to be: makes `wanted` the NIC's claim once it is on disk. On failure nothing has changed. Every change
 * that announces something (a claim, a lease, that the VF will be touched) goes this way. */
int records_change_claim(struct manager_nic *nic, const struct claim *wanted, struct vswitch_error *error);
/* What is so already: writes its claim as it is now; what fails is tried again by records_keep(). */
int records_write_claim(struct manager_nic *nic, struct vswitch_error *error);
/* Part of the reconcile step: writes what is missing of its claim and record, when there is anything to remember. */
void records_keep(struct manager_nic *nic);

/* policies.c: what a NIC may do, the same on both paths */
/* Takes over what the guest's XML says (and the configuration's defaults). */
void policies_apply_guest(struct manager_nic *nic, const struct guest_nic *guest_nic);
/* Finds out the NIC's VLANs and applies the policy to its tap, where it differs; sets policy_obstacle. Reads the kernel
 * only when tap_stale. */
void policies_collect(struct manager_nic *nic);
/* What its VF should look like, all but the MAC; only attributes that `before` has and its card can set. */
struct pf_vf_attributes policies_vf_attributes(const struct manager_nic *nic, const struct pf_vf_attributes *before);
/* Its VLANs have changed and do not hold yet: they cannot while the guest drives its VF. */
bool policies_pending(const struct manager_nic *nic);
/* Can what the VF lacks be set while the guest drives it? Not what makes some drivers reset the VF. */
bool policies_settable_in_use(const struct pf_vf_attributes *present, const struct pf_vf_attributes *wanted);
/* The driver refused some of `wanted` for the NIC's VF with `result`. True: that is remembered, and what the VF should
 * look like, or the obstacle, is another one now. False: it may be taken the next time. */
bool policies_refused(struct manager_nic *nic, struct pf *pf, const struct pf_vf_attributes *wanted, int result);
/* What exactly is wrong, for BAD_POLICY and POLICY_NOT_ON_VF; "" for others. */
const char *policies_detail(const struct manager_nic *nic, enum failover_reason reason);
/* Is every step of both paths made for frames as large as the NIC's? */
bool policies_mtu_fits(const struct manager_nic *nic);
/* For every notification of the monitor. */
void policies_on_notification(struct manager *manager, const struct nlmsghdr *header);
/* The NIC is not this switch's any more: nothing of ours stays on a tap that does. */
void policies_release(struct manager_nic *nic);
void policies_free(struct manager_nic *nic);

/* neighbours.c: the MACs on the switch's own ports, kept in the uplink filters of its PFs */
/* Makes nic_switch->neighbours when the bridge is there, drops it when not (what was listed for it is removed a minute
 * later); reads everything again. Whenever the bridge or the PFs beneath it are others, and when notifications were
 * lost. */
void neighbours_refresh(struct manager_switch *nic_switch);
void neighbours_free(struct manager_switch *nic_switch); /* what is listed stays: the next start knows it */
/* For every notification of the monitor. */
void neighbours_on_notification(struct manager *manager, const struct nlmsghdr *header);
/* Part of the reconcile step: brings the uplink filters in line when something is dirty or due. */
void neighbours_reconcile(struct manager *manager);
uint64_t neighbours_deadline(const struct manager *manager); /* when to reconcile at the latest; FAILOVER_NEVER */
/* Before a guest's NIC is given a filter on this PF: gives up the least important entry of others when the list is full.
 * `is_full`: the driver has just refused the NIC's for lack of room, whatever was thought. Returns whether there is room
 * now that was not there before. */
bool neighbours_make_room(struct manager_switch *nic_switch, struct pf *pf, bool is_full);
/* MACs other than the NIC's own that are behind its tap: learned there, and not silent for more than an hour. While the
 * NIC has a claim this is what it was before: on a VF nothing is seen at the tap, and a move must not be turned back by
 * what it stirs up. (A daemon that starts while the NIC has a claim begins with none.) */
unsigned neighbours_count_behind(struct manager_nic *nic);

/* arbiter.c: who gets a VF when there are too few */
void arbiter_new(struct manager *manager);
/* Judges all NICs; those whose verdict has changed are dirty then. True when there are any. */
bool arbiter_decide(struct manager *manager);
void arbiter_move_began(struct manager *manager);
/* `reason`: what failed. Some are the host's fault, and too many of them freeze it. */
void arbiter_move_failed(struct manager *manager, enum failover_reason reason);
/* Why a NIC without a VF does not get one by its verdict; NONE when it may. */
enum failover_reason arbiter_reason(struct manager_nic *nic);

/* memory.c: is there enough to pin all of the guest's? A few small reads of /proc. */
bool memory_suffices(const struct manager_nic *nic);
/* Where libvirt notes the processes of its guests, "NAME.pid"; tests have their own. */
extern const char *memory_pid_directory;

/* domains.c: callbacks of the guests adapter */
extern const struct guests_callbacks domains_callbacks;

/* facts.c */
void facts_collect(struct manager_nic *nic);
/* The link of the PF of the NIC's claim: one that is not beneath the switch any more may still be there, with its cable.
 * False when it is not. */
bool facts_find_link_of_pf(const struct manager_nic *nic, struct vswitch_link *ret);
/* Could have a VF, has none, and nothing but other NICs is in the way. */
bool facts_needs_vf(const struct manager_nic *nic);
/* After a decision: what is partly there becomes the opposite of what was decided to be wanted. True when that changed a
 * fact, so that it has to be decided again. */
bool facts_settle_partly(struct manager_nic *nic);
/* Should the NIC's uplink filter be on this PF? It is on every PF beneath the switch, but for the one whose VF the NIC
 * still has when no frames enter by it any more (a bond's active member has changed): the VF gets what still comes
 * there, and the bond would drop it. */
bool facts_filter_belongs(const struct manager_nic *nic, const struct pf *pf);
/* One cheap read; true when the fact changed. */
bool facts_poll_vectors(struct manager_nic *nic);
void facts_poll_tap(struct manager_nic *nic);

/* actions.c */
int actions_execute(struct manager_nic *nic, enum failover_action action, struct vswitch_error *error);
void actions_give_up(struct manager_nic *nic, enum failover_reason reason);
int actions_claim_vf(struct manager_nic *nic, bool leased, struct vswitch_error *error);

/* pool.c: VFs as a stock: their number, and those set aside for a probe. What provider_table's functions do. */
int pool_set_vfs(struct manager *manager, const char *pf, unsigned count, bool keep,
                 const struct control_caller *caller, control_done done, void *token, struct vswitch_error *error);
int pool_reserve(struct manager *manager, const char *pf, unsigned count, const struct control_caller *caller,
                 char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error);
void pool_caller_gone(struct manager *manager, uint64_t connection);
bool pool_is_reserved(const struct manager *manager, const char *vf_address);
bool pool_is_changing(const struct manager *manager, const struct pf *pf); /* its VFs may vanish any moment */
/* A PF was taken into use: when it has no VF, makes as many as were asked to be kept (and keeps host drivers from them). */
void pool_on_pf(struct manager_switch *nic_switch, struct manager_pf *uplink);
int pool_new(struct manager *manager, struct vswitch_error *error); /* before switches_new */
/* After guests_free and before control_free: who still waits for a change is told that it will not be heard of. */
void pool_free(struct manager *manager);

/* steering.c */
int steering_reload(struct manager *manager, const char *pf, struct vswitch_error *error);

/* neighbours.c, for the view */
typedef int (*neighbours_each)(const struct control_neighbour *neighbour, void *userdata);
int neighbours_for_each(const struct manager_switch *nic_switch, neighbours_each each, void *userdata);

/* hook.c */
void hook_call(void *manager, const char *domain, const char *operation, const char *sub_operation, const char *extra,
               const char *xml, control_hook_reply reply, void *reply_token);
void hook_continue(struct manager *manager);           /* answers what can be answered now */
uint64_t hook_deadline(const struct manager *manager); /* when to continue at the latest; FAILOVER_NEVER */
void hook_free_all(struct manager *manager);

/* set_policy.c: as nic_set_policy of struct control_provider */
int set_policy_call(void *manager, const char *domain, const char *alias, const struct control_policy_change *changes,
                    size_t changes_count, uint32_t flags, const struct control_caller *caller, control_policy_done done,
                    void *token, struct vswitch_error *error);

/* provider.c */
extern const struct control_provider provider_table;
const char *provider_path(const struct manager_nic *nic);
