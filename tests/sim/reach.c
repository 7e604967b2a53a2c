/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who hears what: for each NIC and each kind of sender, where a frame for its MAC goes now (embedded switch, bridge, copy
 * rule) and whether the guest takes it there. Between two events nothing changes, so a stream of frames is counted by
 * the time that passes.
 *
 * What is lost has an author. The guest's own doing, what a steering class leaves no way for, and paths that are not
 * there are counted; the host must not take away the last path by a write of its own, nor leave a guest deaf for longer
 * than a daemon needs that was told nothing (it looks once a second).
 */

#include "tests/sim/world.h"

#define FRAME_INTERVAL (50 * MILLISECOND)
#define GRACE          (2500 * MILLISECOND)
/* Every restart of the daemon begins the guest's time anew. */
#define PERMITTED_MAX (1000 * SECOND)

/* ---- the way of a frame ---- */

struct copies {
        unsigned tap, vf;
};

static bool filter_is_live(const struct world *world, unsigned host, const struct card *card, int vf)
{
        const struct host *where = &world->hosts[host];

        return card->steering != FAILOVER_STEERING_FOLLOWS_GUEST ||
               cards_vectors(world, host, (unsigned) (card - where->cards), (unsigned) vf) >= 2;
}

/* Which VF the embedded switch gives it to (NOBODY: none), and whether the PF gets it. */
static int embedded_switch(const struct world *world, unsigned host, int8_t mac, bool *ret_pf)
{
        const struct host *where = &world->hosts[host];
        const struct card *card = &where->cards[where->active];
        int vf = cards_find_vf_with_mac(world, host, where->active, mac);

        if (vf != NOBODY && !filter_is_live(world, host, card, vf))
                vf = NOBODY;
        *ret_pf = card->uplink_filter[mac];
        if (vf == NOBODY || !*ret_pf)
                return vf;
        if (card->steering == FAILOVER_STEERING_PF_WINS)
                return NOBODY;
        if (card->steering != FAILOVER_STEERING_BOTH)
                *ret_pf = false;
        return vf;
}

static bool flooding_finds_tap(const struct host *host, int8_t mac)
{
        return host->pin[mac] == FAILOVER_PIN_TAP || (host->pin[mac] == FAILOVER_PIN_NONE && !host->learned_wrong[mac]);
}

/* At the bridge, from its uplink. */
static unsigned from_uplink(const struct host *host, int8_t mac)
{
        return host->copy_rule[mac] || flooding_finds_tap(host, mac);
}

static struct copies send(const struct world *world, unsigned host, unsigned nic, enum sender sender)
{
        const struct host *where = &world->hosts[host];
        const struct card *card = &where->cards[where->active];
        const struct device *device = &world->nics[nic].devices[host];
        int8_t mac = world->nics[nic].mac;
        struct copies copies = { 0 };
        bool to_pf;
        int vf;

        if (sender == SENDER_BRIDGE) {
                if (host < HOSTS_MAX && flooding_finds_tap(where, mac)) {
                        copies.tap++;
                        return copies;
                }
                if (where->pin[mac] != FAILOVER_PIN_UPLINK || !card->bound || !card->carrier)
                        return copies;
                if (where->copy_rule[mac] && !card->reflects)
                        copies.tap++;
        }
        if (!card->bound || (sender == SENDER_WIRE && !card->carrier))
                return copies;
        vf = embedded_switch(world, host, mac, &to_pf);
        if (to_pf && (sender != SENDER_BRIDGE || card->reflects))
                copies.tap += from_uplink(where, mac);
        if (vf != NOBODY && device->stage != DEVICE_NONE && device->card == where->active && device->vf == vf)
                copies.vf++;
        return copies;
}

/* ---- what the guest takes ---- */

static bool takes_vf(const struct device *device)
{
        return (device->stage == DEVICE_OPEN || device->stage == DEVICE_PRIMARY) && device->paired;
}

static bool takes_tap(const struct device *device)
{
        return !device->paired || (device->stage != DEVICE_PRIMARY && device->stage != DEVICE_CLOSED);
}

bool checks_troubled(const struct world *world, unsigned host_number)
{
        const struct host *host = &world->hosts[host_number];

        return !host->daemon_up || !host->listed || world->now < host->troubled_until;
}

static bool is_unreachable(const struct world *world, unsigned host_number, unsigned nic, enum sender sender)
{
        const struct host *host = &world->hosts[host_number];
        const struct card *card = &host->cards[host->active];
        const struct device *device = &world->nics[nic].devices[host_number];
        bool tap = takes_tap(device) && !world->nics[nic].unplugged;

        if (sender != SENDER_BRIDGE && !card->bound)
                return true;
        if (sender == SENDER_WIRE && !card->carrier)
                return true;
        if (tap)
                return false;
        /* It listens to its VF only. */
        if (cards_vf_of(host, device)->mac == MAC_ZERO &&
            world->guests[world->nics[nic].guest].refusal != REFUSES_NEVER)
                return true; /* somebody took its MAC away, and the guest does not let go */
        return !takes_vf(device) || device->card != host->active || !cards_vf_of(host, device)->exists ||
               cards_vf_of(host, device)->dying || !card->bound || (sender == SENDER_BRIDGE && !card->carrier);
}

static bool swallows_for_libvirt(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct card *card = &host->cards[host->active];
        int vf = cards_find_vf_with_mac(world, host_number, host->active, world->nics[nic].mac);

        return vf != NOBODY && card->vfs[vf].libvirts && card->steering == FAILOVER_STEERING_VF_WINS &&
               !takes_vf(&world->nics[nic].devices[host_number]);
}

/* The VF must have its MAC before the guest's driver looks, and then swallows what comes for it. */
static bool is_permitted(const struct world *world, unsigned host_number, unsigned nic, enum sender sender)
{
        const struct host *host = &world->hosts[host_number];
        const struct card *card = &host->cards[host->active];
        const struct device *device = &world->nics[nic].devices[host_number];
        enum failover_situation situation = host->agents[nic].decision.situation;

        /* A VF that is being removed is not changed any more: it keeps its MAC until the guest lets go. */
        if (device->stage != DEVICE_NONE && cards_vf_of(host, device)->dying && sender != SENDER_BRIDGE &&
            card->steering != FAILOVER_STEERING_BOTH)
                return true;
        /* Until libvirt takes its MAC away again, a VF that the guest does not drive swallows what comes for it. */
        if (swallows_for_libvirt(world, host_number, nic) && sender != SENDER_BRIDGE)
                return true;
        /* It opened a VF that net_failover did not take; what it sends will tell. */
        if (device->stage == DEVICE_OPEN && !device->paired &&
            (situation == FAILOVER_SITUATION_ON_VF || situation == FAILOVER_SITUATION_WITHDRAWING ||
             (situation == FAILOVER_SITUATION_ISOLATED && sender != SENDER_BRIDGE)))
                return true;
        /* It took the VF after all, long after it was seen to send by its standby (a pause does that). */
        if (takes_vf(device) && host->agents[nic].facts.sends_on_tap && situation == FAILOVER_SITUATION_WITHDRAWING &&
            card->steering != FAILOVER_STEERING_BOTH)
                return true;
        /* Its driver has read the MAC and not opened the VF: the MAC is not changed under it. */
        if (device->stage == DEVICE_PROBED && sender != SENDER_BRIDGE && card->steering != FAILOVER_STEERING_BOTH)
                return true;
        if (card->steering == FAILOVER_STEERING_BOTH || card->steering == FAILOVER_STEERING_PF_WINS ||
            sender == SENDER_BRIDGE)
                return false;
        return (situation == FAILOVER_SITUATION_PREPARING || situation == FAILOVER_SITUATION_OFFERING ||
                situation == FAILOVER_SITUATION_ON_VF || situation == FAILOVER_SITUATION_ARRIVING) &&
               !takes_vf(device);
}

/* libvirt is not heard, but the vectors say enough for this. */
static bool sees_that_vf_is_gone(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        const struct card *card = &host->cards[host->active];

        return host->daemon_up && world->now >= host->troubled_until && agent->claimed && !agent->claim.leased &&
               agent->claim.card == host->active && card->vfs[agent->claim.vf].exists &&
               (card->steering == FAILOVER_STEERING_BOTH || card->steering == FAILOVER_STEERING_PF_WINS) &&
               takes_tap(&world->nics[nic].devices[host_number]) && !takes_vf(&world->nics[nic].devices[host_number]) &&
               cards_vectors(world, host_number, agent->claim.card, agent->claim.vf) == 0 &&
               host->pin[world->nics[nic].mac] == FAILOVER_PIN_UPLINK;
}

static enum fate find_fate(const struct world *world, unsigned nic, enum sender sender)
{
        const struct guest *guest = &world->guests[world->nics[nic].guest];
        const struct device *device;
        struct copies copies;
        unsigned taken = 0, host;

        if (guest->host == NOBODY || !guest->booted)
                return FATE_GUESTS_OWN;
        host = (unsigned) guest->host;
        if (!guests_cpus_run(world, world->nics[nic].guest, host) || world->nics[nic].unplugged)
                return FATE_GUESTS_OWN;
        device = &world->nics[nic].devices[host];
        copies = send(world, host, nic, sender);
        if (takes_vf(device))
                taken += copies.vf;
        if (takes_tap(device))
                taken += copies.tap;
        if (taken > 0)
                return taken == 1 ? FATE_DELIVERED : FATE_TWICE;
        if (!takes_vf(device) && !takes_tap(device))
                return FATE_GUESTS_OWN;
        if (is_unreachable(world, host, nic, sender))
                return FATE_UNREACHABLE;
        if (is_permitted(world, host, nic, sender))
                return FATE_PERMITTED;
        if (checks_troubled(world, host) && !sees_that_vf_is_gone(world, host, nic))
                return FATE_TROUBLE;
        return FATE_REACTION;
}

/* ---- over time ---- */

static const char *sender_to_string(enum sender sender)
{
        return sender == SENDER_WIRE ? "the wire" : sender == SENDER_BRIDGE ? "the same bridge" : "another VF";
}

static const char *fate_to_string(enum fate fate)
{
        static const char *const names[FATES] = {
                [FATE_DELIVERED] = "delivered",      [FATE_TWICE] = "delivered twice",
                [FATE_GUESTS_OWN] = "guest's own",   [FATE_PERMITTED] = "permitted by the steering class",
                [FATE_UNREACHABLE] = "no such path", [FATE_REACTION] = "daemon has to react",
                [FATE_TROUBLE] = "in trouble",       [FATE_HOST] = "lost by the host",
        };

        return names[fate];
}

static void look_again(struct world *world, unsigned nic, uint64_t when)
{
        struct event *event = events_add(world, when, EVENT_GRACE);

        event->nic = (uint8_t) nic;
}

/* It has just done what the daemon asked of it, whatever has been decided since. */
static bool was_asked_to_let_go(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct device *device = &world->nics[nic].devices[host_number];

        return device->stage == DEVICE_RELEASED && device->asked_at > 0 &&
               device->asked_life == world->hosts[host_number].life &&
               world->now < device->asked_at + sim_policy.unplug_timeout - 2 * SECOND;
}

/* On a card that delivers to both, and is known to, a move has no moment without a path. */
static bool must_be_gapless(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct card *card = &host->cards[host->active];
        enum failover_situation situation = host->agents[nic].decision.situation;

        return host->listed && card->bound && card->carrier &&
               host->agents[nic].facts.uplink_filter != FAILOVER_UNKNOWN &&
               host->agents[nic].decision.tables.pin == FAILOVER_PIN_UPLINK &&
               card->steering == FAILOVER_STEERING_BOTH && card->told == FAILOVER_STEERING_BOTH &&
               (situation == FAILOVER_SITUATION_OFFERING || situation == FAILOVER_SITUATION_WITHDRAWING ||
                was_asked_to_let_go(world, host_number, nic));
}

static void judge(struct world *world, unsigned nic, enum sender sender, enum fate old, enum fate fate)
{
        struct reach *reach = &world->reach[nic];
        unsigned host;

        if (fate != old) {
                TRACE(world, "NIC %u: from %s: %s", nic, sender_to_string(sender), fate_to_string(fate));
                reach->deaf_since[sender] = world->now;
                if (fate == FATE_REACTION)
                        look_again(world, nic, world->now + GRACE);
                else if (fate == FATE_PERMITTED)
                        look_again(world, nic, world->now + PERMITTED_MAX);
        }
        if (world->nics[nic].unchecked || (fate != FATE_REACTION && fate != FATE_PERMITTED && fate != FATE_TROUBLE))
                return;
        host = (unsigned) world->guests[world->nics[nic].guest].host;
        if (fate == FATE_TROUBLE) {
                if (fate != old && world->hosts[host].troubled_until > world->now)
                        look_again(world, nic, world->hosts[host].troubled_until);
                return;
        }
        if (fate == FATE_PERMITTED) {
                if (world->now - reach->deaf_since[sender] >= PERMITTED_MAX && !checks_troubled(world, host) &&
                    world->guests[world->nics[nic].guest].refusal < REFUSES_ALWAYS)
                        world_violation(world, "deaf-too-long", "NIC %u on host %u: nothing from %s for %llu s", nic,
                                        host, sender_to_string(sender),
                                        (unsigned long long) ((world->now - reach->deaf_since[sender]) / SECOND));
                return;
        }
        if (fate != old && (old == FATE_DELIVERED || old == FATE_TWICE) && world->by_daemon)
                world_violation(world, "path-taken-away",
                                "NIC %u on host %u: a write of the daemon took away the last path from %s", nic, host,
                                sender_to_string(sender));
        else if (fate != old && must_be_gapless(world, host, nic))
                world_violation(world, "gap-in-a-move", "NIC %u on host %u: in a move, nothing from %s arrives", nic,
                                host, sender_to_string(sender));
        else if (world->now - reach->deaf_since[sender] >= GRACE)
                world_violation(world, "deaf", "NIC %u on host %u: nothing from %s arrives for %llu ms", nic, host,
                                sender_to_string(sender),
                                (unsigned long long) ((world->now - reach->deaf_since[sender]) / MILLISECOND));
}

static void count_frames(struct world *world, unsigned nic)
{
        struct reach *reach = &world->reach[nic];
        uint64_t frames = world->now / FRAME_INTERVAL - reach->fate_since / FRAME_INTERVAL;

        for (enum sender sender = SENDER_WIRE; sender < SENDERS && frames > 0 && !world->nics[nic].unchecked; sender++)
                world->statistics->frames[reach->fate[sender]] += frames;
        reach->fate_since = world->now;
}

void reach_update(struct world *world)
{
        for (unsigned nic = 0; nic < world->nics_count && !world->failed; nic++) {
                if (world->options->frames)
                        count_frames(world, nic);
                for (enum sender sender = SENDER_WIRE; sender < SENDERS; sender++) {
                        enum fate old = world->reach[nic].fate[sender];
                        enum fate fate = find_fate(world, nic, sender);

                        world->reach[nic].fate[sender] = fate;
                        judge(world, nic, sender, old, fate);
                }
        }
        checks_places(world);
        checks_isolation(world);
        world->touched = false;
}

void reach_finish(struct world *world)
{
        for (unsigned nic = 0; nic < world->nics_count && world->options->frames; nic++)
                count_frames(world, nic);
}

bool reach_is_deaf(const struct world *world, unsigned nic)
{
        const struct reach *reach = &world->reach[nic];

        for (enum sender sender = SENDER_WIRE; sender < SENDERS; sender++)
                if ((reach->fate[sender] == FATE_REACTION || reach->fate[sender] == FATE_TROUBLE) &&
                    world->now - reach->deaf_since[sender] >= GRACE)
                        return true;
        return false;
}
