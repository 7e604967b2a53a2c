/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What must survive the daemon: who owns which VF and what the VF was like before (claims), and which NICs have
 * entries of ours in shared tables (NIC records). One small JSON file each under /run, written whole (new file,
 * rename) before the first change it announces, so that after kill -9 everything needed is there, and after a reboot
 * of the host there is nothing to clean.
 *
 * A file that cannot be read or is of a newer version is left alone and reported; its VF counts as foreign.
 */

#include "failover/failover.h"
#include "src/guests/guests.h"
#include "vswitch/pf.h"

struct claim {
        char uuid[GUEST_UUID_SIZE];
        char alias[GUEST_ALIAS_SIZE]; /* of the NIC */
        char domain[64];              /* for people */
        struct vswitch_mac mac;
        char pf[IF_NAMESIZE];
        unsigned vf_index;
        char vf_address[PF_ADDRESS_SIZE];
        bool leased;          /* the guest has not arrived yet */
        uint64_t lease_until; /* CLOCK_MONOTONIC, microseconds */
        bool touched;         /* the VF may differ from `before` */
        bool adopted;         /* libvirt has programmed it, and restores and rebinds it (see nics.c) */
        struct pf_vf_attributes before;
        char driver_before[PF_DRIVER_NAME_SIZE];
};

struct nic_record {
        char uuid[GUEST_UUID_SIZE];
        char alias[GUEST_ALIAS_SIZE];
        char domain[64];
        struct vswitch_mac mac;
        char switch_name[64];
        char tap[IF_NAMESIZE];
        bool held;
        uint16_t bridge_vlan, port_vlan; /* of its pin and its copy rule, as in struct manager_nic */
        char vf_alias[GUEST_ALIAS_SIZE]; /* as in struct manager_nic; "": not said */
        bool made_router;                /* ... */
};

struct claim_store; /* one directory */

/* Makes DIR/claims and DIR/nics when missing. */
int claim_store_open(const char *directory, struct claim_store **ret, struct vswitch_error *error);
void claim_store_close(struct claim_store *store);

/* Each writes or removes one file. Removing what is not there is success. */
int claim_store_write(struct claim_store *store, const struct claim *claim, struct vswitch_error *error);
bool claim_store_has(struct claim_store *store, const char *vf_address);
int claim_store_remove(struct claim_store *store, const char *vf_address, struct vswitch_error *error);
int claim_store_write_nic(struct claim_store *store, const struct nic_record *record, struct vswitch_error *error);
int claim_store_remove_nic(struct claim_store *store, const char *uuid, const char *alias, struct vswitch_error *error);

/* Calls `each` for every readable file and `unreadable` for the others, with the sentence to log. */
struct claim_store_visitor {
        void (*claim)(const struct claim *claim, void *userdata);
        void (*nic)(const struct nic_record *record, void *userdata);
        void (*unreadable)(const char *file, const char *sentence, void *userdata);
};
int claim_store_load(struct claim_store *store, const struct claim_store_visitor *visitor, void *userdata,
                     struct vswitch_error *error);

/* The same for somebody else than the daemon, which may run and be writing: changes nothing, makes no directory, and
 * finds nothing where there is none. `directory` is that of claim_store_open(). */
int claim_store_look(const char *directory, const struct claim_store_visitor *visitor, void *userdata,
                     struct vswitch_error *error);
