/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a NIC may do, on whichever path its frames take. The same policy is applied to the tap (bridge VLAN, tc) and to
 * the VF (attributes), so that a guest cannot tell the path by what it may do.
 */

#include <stdbool.h>
#include <stdint.h>

enum port_policy_choice {
        PORT_POLICY_AUTO, /* not said: what is usual on that path */
        PORT_POLICY_NO,
        PORT_POLICY_YES,
};

#define PORT_POLICY_WEIGHT_MAX 100

struct port_policy {
        unsigned weight;        /* 0: no VF; up to PORT_POLICY_WEIGHT_MAX */
        uint16_t vlan;          /* access VLAN, 1..4094; 0: not said, the tap's port tells */
        uint8_t qos;            /* 802.1p priority of the tag, 0..7; only with `vlan` */
        uint16_t vlan_protocol; /* 0x8100 or 0x88a8, host order */
        /* YES: frames with another source MAC are dropped on both paths. NO: on neither. AUTO: the VF drops them (what
         * keeps a guest from sending as another one through the card), the tap does not (as without vswitch). */
        enum port_policy_choice spoof_check;
        bool trust;        /* VF: may be promiscuous, all multicast, other MACs. A tap gives that to everybody */
        uint32_t min_rate; /* Mbit/s that the guest may count on when it sends; 0: none. Only a VF can promise it */
        uint32_t max_rate; /* Mbit/s that the guest may send at most; 0: unlimited */
        bool prefer_vf;    /* rather a VF that cannot enforce all of this than no VF */
};
