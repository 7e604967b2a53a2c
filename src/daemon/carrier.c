/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * The kernel tells of a lost carrier at once only when no other link has had an event within the last second; otherwise
 * it keeps the news for the rest of that second (net/core/link_watch.c: a carrier that goes down on a plain netdev is
 * not urgent). So of two PFs that lose their carrier 150 ms apart, the second is told of 0.85 s late. The state itself
 * is right at once for who asks (IFLA_CARRIER; IFF_RUNNING and operstate are late too), and since Linux 6.8 asking for a
 * link makes the kernel tell what it keeps back about it.
 *
 * Hence the burst: after any link notification the carrier of every PF beneath a switch that gives out VFs is looked at
 * for BURST, which is longer than the kernel can keep anything back. Without notifications nothing is looked at.
 *
 * What a burst may cost is bounded by two gears. It begins in the fast one, and a PF whose state has changed puts it
 * there again; after BURST in the fast gear it goes on in the slow one. Every further notification prolongs the
 * burst, but only in the slow gear: hundreds of taps that come and go for minutes (each of them makes the kernel keep
 * PFs' news back) cost 20 looks a second, one request of some 20 microseconds for each PF, and a lost carrier is then
 * seen within 50 ms. A look changes nothing, and makes the kernel tell of a change once at most, so a burst does not feed
 * itself.
 *
 * An event in another network namespace can make the kernel late as well, and nothing tells us of it.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <string.h>

#define LOOK_FAST (10 * USEC_PER_MSEC)
#define LOOK_SLOW (50 * USEC_PER_MSEC)
#define BURST     (1200 * USEC_PER_MSEC)

static void look_at(struct manager_switch *nic_switch, struct manager_pf *uplink)
{
        struct manager *manager = nic_switch->manager;
        struct vswitch_link link;
        int r = vswitch_link_get_by_index(manager->netlink, uplink->link.ifindex, &link, NULL);

        if (r == -ENODEV) {
                nic_switch->stale = true;
                manager_schedule(manager);
        }
        if (r < 0 || (link.up == uplink->link.up && link.carrier == uplink->link.carrier))
                return;
        uplinks_seen(nic_switch, uplink, &link);
}

static bool is_watched(const struct manager_switch *nic_switch)
{
        return nic_switch->config->iov && nic_switch->pfs_count > 0;
}

static void arm(struct manager *manager)
{
        uint64_t now = manager_now(manager);

        sd_event_source_set_time(manager->carrier_source,
                                 now + (now < manager->carrier_fast_until ? LOOK_FAST : LOOK_SLOW));
        sd_event_source_set_enabled(manager->carrier_source, SD_EVENT_ONESHOT);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *manager = userdata;

        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];

                for (size_t j = 0; is_watched(nic_switch) && j < nic_switch->pfs_count; j++)
                        look_at(nic_switch, &nic_switch->pfs[j]);
        }
        if (manager_now(manager) < manager->carrier_until)
                arm(manager);
        else
                manager->carrier_until = 0;
        return 0;
}

static void look_for_a_while(struct manager *manager, bool fast)
{
        bool any = false, is_running = manager->carrier_until != 0;

        for (size_t i = 0; i < manager->switches_count && !any; i++)
                any = is_watched(&manager->switches[i]);
        if (!any)
                return;
        manager->carrier_until = manager_now(manager) + BURST;
        if (!fast && is_running)
                return;
        manager->carrier_fast_until = manager->carrier_until;
        arm(manager);
}

void carrier_on_notification(struct manager *manager)
{
        look_for_a_while(manager, false);
}

void carrier_on_change(struct manager *manager)
{
        look_for_a_while(manager, true);
}

int carrier_new(struct manager *manager, struct vswitch_error *error)
{
        int r = sd_event_add_time(manager->loop, &manager->carrier_source, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_look,
                                  manager);

        if (r >= 0)
                r = sd_event_source_set_enabled(manager->carrier_source, SD_EVENT_OFF);
        return r < 0 ? vswitch_error_set(error, r, "cannot set up the event loop: %s", strerror(-r)) : 0;
}
