/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * What a card does with a MAC that is VF filter and uplink filter, and for how many uplink filters it delivers: as it was
 * probed, for this card, driver and firmware; else as the table of cards has it; else unknown, and the safest sequence
 * is used.
 *
 * A new result is used from the next decision on, whatever the NICs are doing. The core takes the class as a fact like
 * any other and remembers none, so this is harmless in every situation:
 *  - synthetic, offering and on-vf have the same tables in every class;
 *  - while a NIC withdraws, the uplink filter comes (now: both) or goes (not both any more); the VF that the guest still
 *    drives keeps its filter, since a VF with vectors is never changed, and a wrong class was wrong before as well;
 *  - when it has withdrawn, the VF filter comes or goes on a VF that nobody drives;
 *  - a guest that was reset while it has a VF loses it, or keeps it, as if the class had been known from the beginning;
 *  - a copy rule whose mirror is now too much or missing reads as incomplete and is written anew, or removed as a whole.
 * tests/unit/test_failover.c goes through all classes for each of these situations.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "src/probe/result.h"
#include "vswitch/pf_card.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static enum failover_steering steering_of(enum pf_card_steering steering)
{
        switch (steering) {
        case PF_CARD_STEERING_BOTH:
                return FAILOVER_STEERING_BOTH;
        case PF_CARD_STEERING_PF_WINS:
                return FAILOVER_STEERING_PF_WINS;
        case PF_CARD_STEERING_VF_WINS:
                return FAILOVER_STEERING_VF_WINS;
        case PF_CARD_STEERING_FOLLOWS_GUEST:
                return FAILOVER_STEERING_FOLLOWS_GUEST;
        case PF_CARD_STEERING_UNKNOWN:
                break;
        }
        return FAILOVER_STEERING_UNKNOWN;
}

static unsigned count_vfs(struct pf *pf)
{
        struct pf_vf *vfs = NULL;
        size_t count = 0;

        if (pf->driver->list_vfs(pf, &vfs, &count, NULL) < 0)
                count = 0;
        free(vfs);
        return (unsigned) count;
}

static void set_by_card(struct manager_pf *uplink, unsigned vf_count)
{
        const struct pf_card *card = pf_card_find(uplink->pf);

        uplink->steering = steering_of(card->steering);
        uplink->reflects = card->reflects;
        uplink->filter_capacity = pf_card_filter_capacity(uplink->pf, vf_count);
        snprintf(uplink->steering_source, sizeof(uplink->steering_source), "default for %s (%s)", card->name,
                 card->steering_source);
}

/* On many cards each VF takes the place of a filter, so with another number of VFs another number of filters delivers.
 * Of a card that is not in the table this is assumed: it may be too little, never too much. */
static unsigned capacity_now(const struct probe_result *result, unsigned by_card, unsigned vf_count)
{
        unsigned more = vf_count > result->vf_count ? vf_count - result->vf_count : 0;

        if (vf_count == result->vf_count && result->filter_capacity > 0)
                return result->filter_capacity;
        if (by_card > 0)
                return by_card;
        return result->filter_capacity > more ? result->filter_capacity - more : 0;
}

static void set_by_probe(struct manager_pf *uplink, const struct probe_result *result, unsigned vf_count)
{
        time_t seconds = (time_t) (result->usec / USEC_PER_SEC);
        const char *then = result->driver_version;
        struct tm parts = { 0 };
        char date[16] = "";

        if (localtime_r(&seconds, &parts))
                strftime(date, sizeof(date), "%Y-%m-%d", &parts);
        uplink->steering = result->steering;
        uplink->reflects = result->reflects;
        uplink->filter_capacity = capacity_now(result, uplink->filter_capacity, vf_count);
        if (strcmp(then, uplink->pf->driver_version) == 0)
                snprintf(uplink->steering_source, sizeof(uplink->steering_source), "probed %s", date);
        else
                snprintf(uplink->steering_source, sizeof(uplink->steering_source), "probed %s (driver version %s then)",
                         date, then[0] ? then : "unknown");
}

void steering_set(struct manager *manager, struct manager_pf *uplink)
{
        unsigned vf_count = count_vfs(uplink->pf);
        struct vswitch_error error = { 0 };
        struct probe_result result;
        char directory[PATH_MAX];
        int r;

        set_by_card(uplink, vf_count);
        if (!manager->options.state_directory)
                return;
        snprintf(directory, sizeof(directory), "%s/probe", manager->options.state_directory);
        r = probe_result_load(directory, uplink->pf, &result, &error);
        if (r == 0)
                set_by_probe(uplink, &result, vf_count);
        else if (r != -ENOENT)
                log_warning(uplink->pf->name, "the result of its probe cannot be used: %s",
                            vswitch_error_text(&error, r));
}

int steering_reload(struct manager *manager, const char *pf, struct vswitch_error *error)
{
        bool found = false;

        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];
                struct manager_pf *uplink = switches_find_pf(nic_switch, pf);

                if (!uplink)
                        continue;
                found = true;
                steering_set(manager, uplink);
                if (uplink->pf == nic_switch->pf) {
                        nic_switch->steering = uplink->steering;
                        nic_switch->reflects = uplink->reflects;
                }
                log_notice(pf, "steering %s, %s", failover_steering_to_string(uplink->steering),
                           uplink->steering_source);
                neighbours_refresh(nic_switch);
        }
        if (!found)
                return vswitch_error_set(error, -ENOENT, "%s is not beneath a configured switch", pf);
        manager_all_dirty(manager, true);
        return 0;
}
