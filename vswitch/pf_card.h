/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is known of cards beforehand, by the driver of their PF: from the kernel's sources, or measured. It is what
 * there is to go by until a card was probed or its driver asked, so in doubt it says the worse. docs/cards.md is the
 * same for people, with the source of each cell; a test keeps the two together.
 */

#include "pf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the embedded switch does with a MAC that is VF filter and uplink filter at once. */
enum pf_card_steering {
        PF_CARD_STEERING_UNKNOWN,
        PF_CARD_STEERING_BOTH,
        PF_CARD_STEERING_PF_WINS,
        PF_CARD_STEERING_VF_WINS,
        PF_CARD_STEERING_FOLLOWS_GUEST,
};

/* How the driver takes the MAC 00:00:00:00:00:00 for a VF. */
enum pf_card_zero_mac {
        PF_CARD_ZERO_MAC_UNKNOWN,
        PF_CARD_ZERO_MAC_CLEARS,        /* the VF filter is gone at once */
        PF_CARD_ZERO_MAC_AT_NEXT_RESET, /* stored; the VF's driver chooses one when it starts the next time */
};

struct pf_card {
        const char *name;   /* the row in docs/cards.md: "igb", "igb in QEMU", ..., "any other" */
        const char *driver; /* struct pf.kernel_driver; "" for any */
        bool emulated;      /* struct pf.is_emulated */

        enum pf_card_steering steering;
        bool reflects;               /* hands the PF's own transmissions for an uplink filter back to it */
        const char *steering_source; /* "probed", "not verified", ... */

        uint32_t cannot_set; /* enum pf_vf_attribute bits that the driver refuses on every card of its */
        uint32_t resets_vf;  /* a change of these resets the VF: its user loses frames, or has to start again */
        bool vlan_8021ad;    /* takes 802.1ad for the VLAN's protocol */
        bool min_rate;       /* takes a min rate */
        bool statistics;     /* counts the frames of VFs */
        enum pf_card_zero_mac zero_mac;
};

/* The row for this PF; never NULL. */
const struct pf_card *pf_card_find(const struct pf *pf);
/* The rows in their order; NULL past the end. */
const struct pf_card *pf_card_at(size_t index);

/* How many uplink filters the card really delivers for while it has `vf_count` VFs, the PF's own MAC not counted. 0: not
 * known (the firmware decides, or nobody has looked). What the card does with more differs, see docs/cards.md. */
unsigned pf_card_filter_capacity(const struct pf *pf, unsigned vf_count);
