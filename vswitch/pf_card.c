/* SPDX-License-Identifier: Apache-2.0 */

#include "pf_card.h"

#include <string.h>

#define NO_RSS_QUERY PF_VF_QUERY_RSS

/* docs/cards.md has the source of each fact. */
static const struct pf_card cards[] = {
        {
                .name = "igb in QEMU",
                .driver = "igb",
                .emulated = true,
                .steering = PF_CARD_STEERING_BOTH,
                .reflects = true,
                .steering_source = "probed",
                .cannot_set = PF_VF_LINK_STATE | NO_RSS_QUERY,
                .zero_mac = PF_CARD_ZERO_MAC_CLEARS,
        },
        {
                .name = "igb",
                .driver = "igb",
                .steering_source = "nobody has probed one",
                .cannot_set = PF_VF_LINK_STATE | NO_RSS_QUERY,
                .zero_mac = PF_CARD_ZERO_MAC_CLEARS,
        },
        {
                .name = "ixgbe",
                .driver = "ixgbe",
                .steering_source = "nobody has probed one",
                .resets_vf = PF_VF_TRUST | PF_VF_LINK_STATE,
                .statistics = true,
                .zero_mac = PF_CARD_ZERO_MAC_CLEARS,
        },
        {
                .name = "i40e",
                .driver = "i40e",
                .steering_source = "nobody has probed one",
                .cannot_set = NO_RSS_QUERY,
                .resets_vf = PF_VF_MAC | PF_VF_VLAN | PF_VF_TRUST,
                .statistics = true,
                .zero_mac = PF_CARD_ZERO_MAC_CLEARS,
        },
        {
                .name = "ice",
                .driver = "ice",
                .steering_source = "nobody has probed one",
                .cannot_set = NO_RSS_QUERY,
                .resets_vf = PF_VF_MAC | PF_VF_VLAN | PF_VF_TRUST,
                .min_rate = true,
                .statistics = true,
                .zero_mac = PF_CARD_ZERO_MAC_CLEARS,
        },
        {
                .name = "mlx5_core",
                .driver = "mlx5_core",
                .steering_source = "nobody has probed one",
                .cannot_set = NO_RSS_QUERY,
                .min_rate = true,
                .statistics = true,
                .zero_mac = PF_CARD_ZERO_MAC_AT_NEXT_RESET,
        },
        {
                .name = "bnxt_en",
                .driver = "bnxt_en",
                .steering_source = "nobody has probed one",
                .cannot_set = NO_RSS_QUERY,
                .min_rate = true,
                .zero_mac = PF_CARD_ZERO_MAC_AT_NEXT_RESET,
        },
        {
                .name = "netdevsim",
                .driver = "netdevsim",
                .steering_source = "it has no embedded switch",
                .vlan_8021ad = true,
                .min_rate = true,
                .zero_mac = PF_CARD_ZERO_MAC_CLEARS,
        },
        /* The last row: what any driver does that is known here. */
        {
                .name = "any other",
                .driver = "",
                .steering_source = "nobody has probed one",
                .resets_vf = PF_VF_MAC | PF_VF_VLAN | PF_VF_TRUST | PF_VF_LINK_STATE,
                .zero_mac = PF_CARD_ZERO_MAC_UNKNOWN,
        },
};
#define CARD_COUNT (sizeof(cards) / sizeof(cards[0]))

const struct pf_card *pf_card_find(const struct pf *pf)
{
        for (size_t i = 0; i < CARD_COUNT - 1; i++)
                if (strcmp(cards[i].driver, pf->kernel_driver) == 0 && (!cards[i].emulated || pf->is_emulated))
                        return &cards[i];
        return &cards[CARD_COUNT - 1];
}

const struct pf_card *pf_card_at(size_t index)
{
        return index < CARD_COUNT ? &cards[index] : NULL;
}

/* ---- capacity ---- */

/* Receive address registers of the cards that igb drives (igb_init_mac_params_82575, e1000_82575.h), by PCI device. */
static unsigned igb_registers(uint16_t device)
{
        static const struct {
                uint16_t first, last;
                unsigned registers;
        } ranges[] = {
                { 0x0438, 0x0440, 24 }, /* DH89xxCC, an 82580 */
                { 0x10a7, 0x10a9, 16 }, /* 82575 */
                { 0x10c9, 0x10c9, 24 }, /* 82576 ... */
                { 0x10d6, 0x10d6, 16 }, /* 82575 */
                { 0x10e6, 0x10e8, 24 }, { 0x150a, 0x150d, 24 },
                { 0x1518, 0x1518, 24 }, { 0x1526, 0x1526, 24 }, /* ... 82576 */
                { 0x150e, 0x1516, 24 }, { 0x1527, 0x1527, 24 }, /* 82580 */
                { 0x1521, 0x1524, 32 },                         /* I350 */
                { 0x1533, 0x1539, 16 }, { 0x157b, 0x157c, 16 }, /* I210, I211 */
                { 0x1f40, 0x1f45, 32 },                         /* I354 */
        };

        for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
                if (device >= ranges[i].first && device <= ranges[i].last)
                        return ranges[i].registers;
        return 0;
}

/* One register is the PF's own MAC, one is kept for each VF. */
static unsigned left_by(unsigned registers, unsigned vf_count)
{
        return registers > vf_count + 1 ? registers - vf_count - 1 : 0;
}

unsigned pf_card_filter_capacity(const struct pf *pf, unsigned vf_count)
{
        const char *driver = pf->kernel_driver;

        if (strcmp(driver, "igb") == 0)
                return left_by(igb_registers(pf->device), vf_count);
        if (strcmp(driver, "ixgbe") == 0)
                return left_by(128, vf_count); /* the 82599 and what came after it; only these have SR-IOV */
        if (strcmp(driver, "mlx5_core") == 0)
                return 127; /* 1 << log_max_current_uc_list on the cards known so far, and its own MAC is one of them */
        if (strcmp(driver, "bnxt_en") == 0)
                return 3; /* BNXT_MAX_UC_ADDRS is 4, and its own MAC is one of them */
        return 0;
}
