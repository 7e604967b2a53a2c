/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the judges share. Each judges one part of the picture and adds what it finds. */

#include "src/audit/audit.h"

struct audit_court {
        const struct audit_picture *picture;
        struct audit_findings *findings;
        bool no_memory;
};

void judge_host(struct audit_court *court);
void judge_claims(struct audit_court *court);
void judge_vfs(struct audit_court *court);
void judge_macs(struct audit_court *court);
void judge_tables(struct audit_court *court);
void judge_files(struct audit_court *court);

/* ---- findings ---- */

/* Adds one; never NULL. `format` is what was seen. The caller adds remedy, level (a problem unless it says otherwise) and
 * repair, all before the next call. */
struct audit_finding *judge_find(struct audit_court *court, enum audit_code code, const char *subject,
                                 const char *format, ...) __attribute__((format(printf, 4, 5)));
void judge_remedy(struct audit_finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Offers the repair, unless a running vswitchd has it in its hands; then says that (with `daemon_says`, or that it looks
 * after it). */
struct audit_repair *judge_offer(struct audit_court *court, struct audit_finding *finding, enum audit_repair_kind kind,
                                 const char *daemon_says);
/* ... and why not, after all. */
void judge_no_repair(struct audit_finding *finding, const char *why);

/* "enp1s0 vf 3" */
const char *judge_vf_name(const struct audit_pf *pf, const struct audit_vf *vf, char buffer[static 40]);

/* ---- looking up ---- */

const struct audit_vf *judge_find_vf(const struct audit_picture *picture, const char *address,
                                     const struct audit_pf **ret_pf);
const struct audit_claim *judge_find_claim(const struct audit_picture *picture, const char *vf_address);
const struct audit_pf *judge_find_pf(const struct audit_picture *picture, const char *address);

/* A guest with a QEMU, by libvirt's word. */
const struct guest *judge_find_guest(const struct audit_picture *picture, const char *uuid);
const struct guest_nic *judge_find_nic(const struct guest *guest, const char *alias);
const struct guest_vf *judge_find_device(const struct guest *guest, const char *vf_address);
/* The guest that has this VF as a device. */
const struct guest *judge_find_user(const struct audit_picture *picture, const char *vf_address);
/* The NIC with this MAC on a bridge (by name; NULL: on any), and its guest. */
const struct guest_nic *judge_find_mac(const struct audit_picture *picture, const char *bridge,
                                       const struct vswitch_mac *mac, const struct guest **ret_guest);
const struct nic_record *judge_find_record(const struct audit_picture *picture, const struct vswitch_mac *mac);

/* A QEMU of that UUID, whether libvirt knows it or not. */
const struct audit_process *judge_find_process(const struct audit_picture *picture, const char *uuid);
/* Known not to be here: libvirt was heard and does not have it, and no QEMU of it is there. */
bool judge_is_gone(const struct audit_picture *picture, const char *uuid);

/* In the middle of a move or a migration: what is seen of it says nothing. */
bool judge_nic_is_moving(const struct audit_picture *picture, const char *uuid, const char *alias);
bool judge_mac_is_moving(const struct audit_picture *picture, const struct vswitch_mac *mac);
bool judge_vf_is_moving(const struct audit_picture *picture, const char *vf_address);

bool judge_has_mac(const struct vswitch_mac *macs, size_t count, const struct vswitch_mac *mac);
