/* SPDX-License-Identifier: Apache-2.0 */

/* The facts of one NIC, collected as src/daemon/facts.c does. */

#include "tests/sim/world.h"

static enum failover_known known(bool value)
{
        return value ? FAILOVER_YES : FAILOVER_NO;
}

/* ---- VFs ---- */

static bool is_claimed(const struct host *host, unsigned nics_count, unsigned card, unsigned vf)
{
        for (unsigned i = 0; i < nics_count; i++)
                if (host->agents[i].claimed && host->agents[i].claim.card == card && host->agents[i].claim.vf == vf)
                        return true;
        return host->disk_claims[card * VFS_MAX + vf].present;
}

/* As src/daemon/vfs.c tells a free VF from a foreign one. */
enum failover_reason daemon_find_free(const struct world *world, unsigned host_number, unsigned *ret_vf)
{
        const struct host *host = &world->hosts[host_number];
        const struct card *card = &host->cards[host->active];
        bool any = false;

        if (!card->bound)
                return FAILOVER_REASON_NO_UPLINK;
        for (unsigned i = 0; i < VFS_MAX; i++) {
                const struct vf *vf = &card->vfs[i];

                if (!vf->exists)
                        continue;
                any = true;
                if (is_claimed(host, world->nics_count, host->active, i) || vf->taken || vf->libvirts ||
                    vf->holder != NOBODY || (vf->driver != VF_DRIVER_HOST && vf->mac != MAC_ZERO))
                        continue;
                *ret_vf = i;
                return FAILOVER_REASON_NONE;
        }
        return any ? FAILOVER_REASON_NO_FREE_VF : FAILOVER_REASON_NO_VFS;
}

static void read_vf(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        struct failover_facts *facts = &agent->facts;
        const struct card *card = &host->cards[agent->claim.card];
        const struct vf *vf = &card->vfs[agent->claim.vf];

        facts->vf_gone = false;
        if (!agent->claimed) {
                facts->vf_filter = FAILOVER_NO;
                facts->prepared = FAILOVER_NO;
                return;
        }
        facts->vf_filter = FAILOVER_UNKNOWN;
        facts->prepared = FAILOVER_UNKNOWN;
        /* Its name goes first, and then the kernel waits until nobody holds it. */
        facts->vf_gone = !vf->exists || vf->dying;
        if (facts->vf_gone || !card->bound)
                return;
        facts->vf_filter = known(vf->mac == world->nics[nic].mac);
        facts->settable_in_use = (agent->claim.card + agent->claim.vf) % 2;
        facts->prepared =
                known(agent->claim.touched && (vf->driver == VF_DRIVER_VFIO || facts->attached == FAILOVER_YES) &&
                      vf->settings == nic + 1);
}

/* As facts_filter_belongs(): not on a card of which the NIC still has a VF and by which nothing comes any more. */
bool daemon_filter_belongs(const struct host *host, const struct agent *agent, unsigned card)
{
        return host->cards[card].bound && (!agent->claimed || card == host->active || card != agent->claim.card);
}

/* Every other card beneath the switch carries it. One of which a part is missing counts as the opposite of what is wanted. */
static enum failover_known read_uplink_filter(const struct host *host, struct agent *agent, int8_t mac)
{
        unsigned with = 0, without = 0, misplaced = 0;

        for (unsigned i = 0; i < host->cards_count; i++) {
                bool belongs = daemon_filter_belongs(host, agent, i), present = host->cards[i].uplink_filter[mac];

                with += belongs && present;
                without += host->cards[i].bound && belongs && !present;
                misplaced += host->cards[i].bound && !belongs && present;
        }
        agent->uplink_filter_partly = misplaced > 0 || (with > 0 && without > 0);
        if (!agent->uplink_filter_partly)
                return known(with > 0);
        return known(!agent->decision.tables.uplink_filter);
}

static void read_tables(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        struct failover_facts *facts = &agent->facts;
        const struct card *card = cards_uplink(host);
        int8_t mac = world->nics[nic].mac;

        agent->tables_stale = false;
        facts->pin = host->pin[mac];
        facts->copy_rule = card ? known(host->copy_rule[mac]) : FAILOVER_UNKNOWN;
        facts->uplink_filter = card ? read_uplink_filter(host, agent, mac) : FAILOVER_UNKNOWN;
        facts->multicast_router = facts->tap_present ? known(host->multicast_router[nic]) : FAILOVER_UNKNOWN;
        read_vf(world, host_number, nic);
}

bool daemon_poll_vectors(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        enum failover_known vectors = FAILOVER_NO;
        unsigned count = 0;

        if (agent->claimed && agent->facts.attached != FAILOVER_NO) {
                const struct vf *vf = &host->cards[agent->claim.card].vfs[agent->claim.vf];

                count = cards_vectors(world, host_number, agent->claim.card, agent->claim.vf);
                vectors = vf->exists ? failover_vectors_from_count(count, agent->facts.vectors) : FAILOVER_UNKNOWN;
        }
        if (!failover_vectors_seen(&agent->facts, vectors, count == 1, world->now))
                return false;
        TRACE(world, "host %u: NIC %u: vectors %s", host_number, nic, failover_known_to_string(vectors));
        agent->tap_baseline = false;
        return true;
}

void daemon_poll_tap(struct world *world, unsigned host_number, unsigned nic)
{
        struct agent *agent = &world->hosts[host_number].agents[nic];
        const struct guest *guest = &world->guests[world->nics[nic].guest];
        const struct device *device = &world->nics[nic].devices[host_number];
        bool by_vf = device->stage == DEVICE_PRIMARY;

        if (world->now < agent->facts.on_vf_since + sim_policy.confirm_window / 2)
                return;
        if (!agent->tap_baseline)
                agent->tap_baseline = true;
        else if (guest->talks && guest->booted && guests_cpus_run(world, world->nics[nic].guest, host_number) && !by_vf)
                agent->facts.sends_on_tap = true;
}

/* ---- all of them ---- */

static enum failover_guest collect_guest(const struct host *host, const struct agent *agent, unsigned guest)
{
        const struct domain *domain = &host->domains[guest];
        enum failover_guest state = domain->presence.state;

        if (agent->in_guest || state == FAILOVER_GUEST_UNKNOWN || state == FAILOVER_GUEST_EXPECTED ||
            state == FAILOVER_GUEST_ABSENT)
                return state;
        if (!domain->devices_known)
                return FAILOVER_GUEST_UNKNOWN;
        return agent->claimed && agent->facts.attached != FAILOVER_NO ? state : FAILOVER_GUEST_ABSENT;
}

static bool lives_here(const struct host *host, const struct agent *agent, unsigned guest)
{
        enum failover_guest state = host->domains[guest].presence.state;

        return agent->in_guest && state != FAILOVER_GUEST_ABSENT && state != FAILOVER_GUEST_EXPECTED;
}

static unsigned find_owner_of_mac(const struct world *world, const struct host *host, unsigned nic, bool *ret_shared)
{
        unsigned first = NICS_MAX, living = NICS_MAX, count = 0;

        for (unsigned i = 0; i < world->nics_count; i++) {
                if (!host->agents[i].known || world->nics[i].mac != world->nics[nic].mac)
                        continue;
                if (first == NICS_MAX)
                        first = i;
                if (lives_here(host, &host->agents[i], world->nics[i].guest)) {
                        count++;
                        if (living == NICS_MAX)
                                living = i;
                }
        }
        *ret_shared = count > 1;
        return living != NICS_MAX ? living : first;
}

static enum failover_reason collect_obstacle(const struct host *host, const struct agent *agent, bool mac_is_shared)
{
        if (!agent->in_guest && agent->facts.attached == FAILOVER_YES)
                return FAILOVER_REASON_NIC_GONE;
        if (mac_is_shared)
                return FAILOVER_REASON_DUPLICATE_MAC;
        /* It goes back to libvirt before there is another one. */
        if (agent->claimed && agent->claim.adopted && agent->facts.attached == FAILOVER_NO)
                return FAILOVER_REASON_MOVING;
        if (agent->obstacle != FAILOVER_REASON_NONE)
                return agent->obstacle;
        if (!host->cards[host->active].bound)
                return FAILOVER_REASON_NO_UPLINK;
        if (agent->claimed && agent->claim.card != host->active)
                return FAILOVER_REASON_UPLINK_NOT_ACTIVE;
        return FAILOVER_REASON_NONE;
}

void daemon_collect(struct world *world, unsigned host_number, unsigned nic)
{
        struct host *host = &world->hosts[host_number];
        struct agent *agent = &host->agents[nic];
        struct failover_facts *facts = &agent->facts;
        const struct domain *domain = &host->domains[world->nics[nic].guest];
        const struct instance *instance = &world->guests[world->nics[nic].guest].instances[host_number];
        const struct card *card = &host->cards[host->active];
        enum failover_guest guest = collect_guest(host, agent, world->nics[nic].guest);
        bool shared, tap = instance->state != INSTANCE_OFF && !world->nics[nic].unplugged;

        if (guest != facts->guest || domain->presence.outgoing != facts->outgoing)
                facts->guest_since = world->now;
        agent->tables_stale |= guest != facts->guest && agent->claimed && agent->claim.adopted;
        facts->guest = guest;
        facts->outgoing = domain->presence.outgoing;
        facts->unplug_asked_by_qemu = domain->presence.unplug_asked_by_qemu;
        if (guest == FAILOVER_GUEST_ABSENT || guest == FAILOVER_GUEST_EXPECTED) {
                facts->attached = FAILOVER_NO;
                facts->standby = FAILOVER_UNKNOWN;
                facts->announce_wanted = false;
        }
        if (tap != facts->tap_present)
                agent->tables_stale = true;
        facts->tap_present = tap;
        facts->tables_of_another = find_owner_of_mac(world, host, nic, &shared) != nic;
        facts->obstacle = collect_obstacle(host, agent, shared);
        facts->held = agent->held || agent->held_by_migration;
        facts->uplink_present = card->bound;
        facts->uplink_up = card->bound && card->carrier;
        facts->pf_dead = agent->claimed && !cards_has_link(&host->cards[agent->claim.card]);
        facts->steering = agent->claimed && agent->claim.card != host->active ? FAILOVER_STEERING_BOTH : card->told;
        facts->claim = !agent->claimed       ? FAILOVER_CLAIM_NONE
                       : agent->claim.leased ? FAILOVER_CLAIM_LEASED
                                             : FAILOVER_CLAIM_CLAIMED;
        facts->lease_until = agent->claimed ? agent->claim.lease_until : 0;
        if (facts->lease_until && !host->listed && facts->lease_until < world->now + SECOND)
                facts->lease_until = world->now + SECOND;
        facts->touched = agent->claimed && agent->claim.touched;
        facts->programmed_by_owner = agent->claimed && agent->claim.adopted;
        if (facts->claim == FAILOVER_CLAIM_NONE && guest == FAILOVER_GUEST_RUNNING && !facts->outgoing &&
            facts->obstacle == FAILOVER_REASON_NONE && !facts->held && facts->standby != FAILOVER_NO &&
            world->now >= facts->back_off_until) {
                unsigned vf;

                facts->no_vf = daemon_find_free(world, host_number, &vf);
                facts->vf_available = facts->no_vf == FAILOVER_REASON_NONE;
        }
        daemon_poll_vectors(world, host_number, nic);
        if (agent->tables_stale)
                read_tables(world, host_number, nic);
}
