/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The audit: every inconsistency of a host, with its remedy, and what may be repaired without asking anybody.
 *
 * A pure function of a picture (picture.h): it reads nothing and changes nothing. What is in the middle of a move (by
 * the running vswitchd's word, or because its guest is migrating) is no inconsistency. Whatever needs to know all guests
 * is left unsaid while libvirt does not tell them.
 *
 * A repair is offered only where nobody can be harmed by it: in doubt there is none, and the remedy is for a person.
 */

#include "src/audit/picture.h"
#include "vswitch/error.h"

/* docs/audit.md has a row for each; a test keeps the two together. */
enum audit_code {
        /* what the audit itself needs */
        AUDIT_LIBVIRT_SILENT,
        AUDIT_DAEMON_NO_ANSWER,
        AUDIT_DAEMON_NOT_RUNNING,
        AUDIT_FILE_UNREADABLE,
        /* guests and claims */
        AUDIT_QEMU_WITHOUT_DOMAIN,
        AUDIT_CLAIM_TWICE,
        AUDIT_CLAIMS_OF_ONE_NIC,
        AUDIT_CLAIM_WITHOUT_VF,
        AUDIT_CLAIM_WITHOUT_GUEST,
        AUDIT_CLAIM_WITHOUT_DEVICE,
        AUDIT_CLAIM_OF_ANOTHER,
        AUDIT_DEVICE_WITHOUT_CLAIM,
        AUDIT_VF_DISAGREES,
        AUDIT_VF_NOT_DRIVEN,
        /* VFs */
        AUDIT_VF_SETTINGS_OF_NOBODY,
        AUDIT_VFIO_OF_NOBODY,
        AUDIT_OVERRIDE_LEFT,
        AUDIT_PROBE_LEFT,
        AUDIT_PF_DOWN,
        /* one MAC in two places */
        AUDIT_MAC_ON_TWO_VFS,
        AUDIT_MAC_ON_VF_AND_UPLINK,
        AUDIT_MAC_ON_ANOTHERS_VF,
        AUDIT_MAC_OF_TWO_NICS,
        /* shared tables */
        AUDIT_PIN_OF_NOBODY,
        AUDIT_PIN_DISAGREES,
        AUDIT_COPY_RULE_OF_NOBODY,
        AUDIT_COPY_RULE_LEFT,
        AUDIT_GUARD_OF_NOBODY,
        AUDIT_GUARD_DISAGREES,
        AUDIT_MULTICAST_ROUTER_LEFT,
        AUDIT_FILTER_OF_NOBODY,
        /* files */
        AUDIT_NOTE_WITHOUT_PF,
        AUDIT_KEPT_NUMBER,
        AUDIT_RECORD_OF_NOBODY,
        AUDIT_CODE_COUNT,
};

enum audit_level {
        AUDIT_NOTE,    /* good to know; nothing to repair */
        AUDIT_PROBLEM, /* something does not work, or will not */
};

struct audit_code_info {
        const char *name; /* "claim-without-guest": for programs, too */
        const char *why;  /* why it matters */
};
extern const struct audit_code_info audit_codes[AUDIT_CODE_COUNT];
const char *audit_level_to_string(enum audit_level level);

enum audit_repair_kind {
        AUDIT_REPAIR_NONE,
        AUDIT_REPAIR_VF_SETTINGS,      /* `attributes` */
        AUDIT_REPAIR_VF_BY_CLAIM,      /* `claim`: as it was before, and the claim is gone */
        AUDIT_REPAIR_DRIVER,           /* `driver`, and no override */
        AUDIT_REPAIR_OVERRIDE,         /* none */
        AUDIT_REPAIR_PIN,              /* `mac`, `vlan`, `bridge`, `port`: removed */
        AUDIT_REPAIR_COPY_RULE,        /* `mac`, `port`: removed */
        AUDIT_REPAIR_GUARD,            /* `port`: removed */
        AUDIT_REPAIR_MULTICAST_ROUTER, /* `port`: as the kernel makes it */
        AUDIT_REPAIR_FILTER,           /* `mac`, `pf`: removed */
        AUDIT_REPAIR_NOTED_FILTER,     /* the same, and from the note */
        AUDIT_REPAIR_FILE,             /* `path`: removed. After all others: it says what is ours */
};

struct audit_repair {
        enum audit_repair_kind kind;
        char pf[IF_NAMESIZE];
        struct pf_vf vf; /* as it was seen; it must still be like that */
        struct pf_vf_attributes attributes;
        char driver[PF_DRIVER_NAME_SIZE];
        struct claim claim;
        struct vswitch_mac mac;
        uint16_t vlan;
        int bridge, port;
        char path[256];
};

#define AUDIT_SUBJECT_SIZE (GUEST_ALIAS_SIZE + 80)

struct audit_finding {
        enum audit_code code;
        enum audit_level level;
        char subject[AUDIT_SUBJECT_SIZE]; /* "enp1s0 vf 3", "g1/ua-net0", "host" */
        char seen[512];
        char remedy[512];    /* what a person can do: a command, as a rule */
        char not_fixed[192]; /* why --fix leaves it; "" where there is a repair */
        struct audit_repair repair;
};

struct audit_findings {
        struct audit_finding *list; /* in the order of the codes, which is the order to repair them in */
        size_t count;
};

/* Fills *ret; audit_findings_clear() it. 0 or -ENOMEM. */
int audit_judge(const struct audit_picture *picture, struct audit_findings *ret);
void audit_findings_clear(struct audit_findings *findings);

/* Removes from `findings` what was not found before: what comes and goes is work in progress. */
void audit_keep_known(struct audit_findings *findings, const struct audit_findings *before);

size_t audit_count(const struct audit_findings *findings, enum audit_level level);
