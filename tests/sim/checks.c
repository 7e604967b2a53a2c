/* SPDX-License-Identifier: Apache-2.0 */

/* What must always hold (docs/architecture.md), looked at where it could break. What a guest hears is in reach.c. */

#include "tests/sim/world.h"

/* A place is given up when the host has heard of it; that takes a moment. */
#define TWO_HOSTS_MAX (3 * SECOND)
#define MOVE_MAX      (700 * SECOND)
/* A pause, and all the time in which a guest may let go. */
#define ALARM_MAX (200 * SECOND)
/* ... and between two times that it is asked. */
#define ASK_MAX (150 * SECOND)

static struct vf *claimed_vf(struct world *world, unsigned host, unsigned nic)
{
        const struct disk_claim *claim = &world->hosts[host].agents[nic].claim;

        return &world->hosts[host].cards[claim->card].vfs[claim->vf];
}

static bool is_step_with_vf(enum failover_action action)
{
        return action == FAILOVER_ADD_VF_FILTER || action == FAILOVER_REMOVE_VF_FILTER ||
               action == FAILOVER_PREPARE_VF || action == FAILOVER_ATTACH_VF || action == FAILOVER_RESTORE_VF ||
               action == FAILOVER_DROP_CLAIM;
}

static void check_ownership(struct world *world, unsigned host_number, unsigned nic, enum failover_action action)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        const struct disk_claim *disk;

        if (!agent->claimed) {
                world_violation(world, "no-claim", "host %u: NIC %u: %s without a claim", host_number, nic,
                                failover_action_to_string(action));
                return;
        }
        disk = &host->disk_claims[agent->claim.card * VFS_MAX + agent->claim.vf];
        if ((!disk->present || disk->nic != (int8_t) nic) && world->now >= host->disk_full_until)
                world_violation(world, "claim-not-on-disk", "host %u: NIC %u: %s of a VF whose claim is not on disk",
                                host_number, nic, failover_action_to_string(action));
        for (unsigned other = 0; other < world->nics_count; other++)
                if (other != nic && host->agents[other].claimed &&
                    host->agents[other].claim.card == agent->claim.card &&
                    host->agents[other].claim.vf == agent->claim.vf)
                        world_violation(world, "vf-shared", "host %u: NICs %u and %u have claimed one VF", host_number,
                                        nic, other);
        if (action != FAILOVER_DROP_CLAIM && claimed_vf(world, host_number, nic)->taken)
                world_violation(world, "foreign-vf", "host %u: NIC %u: %s of somebody else's VF", host_number, nic,
                                failover_action_to_string(action));
}

static void check_drop(struct world *world, unsigned host, unsigned nic)
{
        const struct disk_claim *claim = &world->hosts[host].agents[nic].claim;
        const struct vf *vf = claimed_vf(world, host, nic);

        if (!vf->exists || vf->dying || vf->incarnation != claim->incarnation || vf->taken)
                return;
        /* MAC and driver of one that libvirt has programmed are libvirt's to give back, however long it takes. */
        if (vf->settings != claim->settings_before ||
            (claim->adopted ? vf->mac == world->nics[nic].mac
                            : vf->mac != claim->mac_before || vf->driver != claim->driver_before))
                world_violation(world, "vf-not-restored",
                                "host %u: NIC %u: gives its VF back with MAC %d, settings %u, driver %u", host, nic,
                                vf->mac, vf->settings, vf->driver);
}

static bool is_attached(const struct world *world, unsigned host, unsigned nic)
{
        const struct device *device = &world->nics[nic].devices[host];
        const struct disk_claim *claim = &world->hosts[host].agents[nic].claim;

        return device->stage != DEVICE_NONE && device->card == claim->card && device->vf == claim->vf;
}

/* libvirt gives a VF that it has programmed its MAC back, before or after it tells of the guest. */
void checks_mac_write(struct world *world, unsigned host, unsigned nic)
{
        const struct vf *vf = claimed_vf(world, host, nic);

        if (world->hosts[host].agents[nic].claim.adopted && vf->exists && vf->given_back)
                world_violation(world, "owners-mac-written",
                                "host %u: NIC %u: writes the MAC of a VF that libvirt has given back", host, nic);
}

void checks_before_write(struct world *world, unsigned host_number, unsigned nic, enum failover_action action)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        const struct vf *vf;

        if (!is_step_with_vf(action))
                return;
        check_ownership(world, host_number, nic, action);
        if (world->failed)
                return;
        vf = claimed_vf(world, host_number, nic);
        switch (action) {
        case FAILOVER_ADD_VF_FILTER:
        case FAILOVER_REMOVE_VF_FILTER:
                checks_mac_write(world, host_number, nic);
                if (action == FAILOVER_ADD_VF_FILTER &&
                    (!agent->claim.touched || agent->facts.call == FAILOVER_CALL_RESTORE))
                        world_violation(world, "mac-would-stay",
                                        "host %u: NIC %u: sets the MAC of a VF that nobody would restore", host_number,
                                        nic);
                if (is_attached(world, host_number, nic) &&
                    cards_vectors(world, host_number, agent->claim.card, agent->claim.vf) > 0)
                        world_violation(world, "mac-changed-under-driver",
                                        "host %u: NIC %u: changes the MAC of a VF that the guest drives", host_number,
                                        nic);
                break;
        case FAILOVER_ATTACH_VF:
                if (vf->exists && vf->incarnation == agent->claim.incarnation && world->now >= host->troubled_until &&
                    (vf->mac != world->nics[nic].mac || vf->driver != VF_DRIVER_VFIO || vf->settings != nic + 1))
                        world_violation(world, "attached-unprepared",
                                        "host %u: NIC %u: attaches a VF with MAC %d, settings %u, driver %u",
                                        host_number, nic, vf->mac, vf->settings, vf->driver);
                if (agent->facts.outgoing)
                        world_violation(world, "attached-in-migration",
                                        "host %u: NIC %u: attaches a VF while its guest leaves", host_number, nic);
                break;
        case FAILOVER_RESTORE_VF:
                if (is_attached(world, host_number, nic) && world->now >= host->troubled_until)
                        world_violation(world, "restored-in-use", "host %u: NIC %u: restores a VF that its guest has",
                                        host_number, nic);
                break;
        case FAILOVER_DROP_CLAIM:
                check_drop(world, host_number, nic);
                break;
        default:
                break;
        }
}

void checks_after_write(struct world *world, unsigned host, unsigned nic, enum failover_action action)
{
        if (action == FAILOVER_CLAIM_VF && world->hosts[host].agents[nic].claimed)
                check_ownership(world, host, nic, action);
}

void checks_probe(struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct device *device = &world->nics[nic].devices[host_number];
        enum failover_situation situation = host->agents[nic].decision.situation;

        if (world->nics[nic].unchecked || checks_troubled(world, host_number) || device->mac == world->nics[nic].mac ||
            cards_vf_of(host, device)->dying || device->owners)
                return;
        if (situation == FAILOVER_SITUATION_OFFERING || situation == FAILOVER_SITUATION_ON_VF)
                world_violation(world, "probed-without-mac",
                                "host %u: NIC %u: the guest's driver found another MAC on its VF", host_number, nic);
}

static bool tables_agree(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        const struct failover_tables *tables = &agent->decision.tables;
        const struct card *card = &host->cards[host->active];
        int8_t mac = world->nics[nic].mac;
        bool vf_filter = agent->claimed && host->cards[agent->claim.card].vfs[agent->claim.vf].mac == mac;

        return (!card->bound || card->uplink_filter[mac] == tables->uplink_filter) &&
               host->copy_rule[mac] == tables->copy_rule && host->pin[mac] == tables->pin &&
               (vf_filter == tables->vf_filter ||
                (agent->claimed && (agent->claim.card != host->active || agent->claim.adopted)));
}

/* What is not known keeps the path and starts nothing, but for a guest whose VF was seen to be let go. */
static void check_unknown(struct world *world, unsigned host, unsigned nic)
{
        const struct agent *agent = &world->hosts[host].agents[nic];
        const struct failover_facts *facts = &agent->facts;
        bool lost_vf = facts->claim == FAILOVER_CLAIM_CLAIMED && facts->vectors == FAILOVER_NO;

        if (facts->guest != FAILOVER_GUEST_UNKNOWN)
                return;
        for (size_t i = 0; i < agent->decision.actions_count; i++)
                if (!lost_vf || agent->decision.actions[i] >= FAILOVER_CLAIM_VF)
                        world_violation(world, "acts-unknowing", "host %u: NIC %u: %s, and libvirt is not heard", host,
                                        nic, failover_action_to_string(agent->decision.actions[i]));
}

/* The loudest alarm is never false. */
static void check_alarm(struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];

        if (agent->decision.situation != FAILOVER_SITUATION_ISOLATED || checks_troubled(world, host_number))
                return;
        if (cards_has_link(&host->cards[agent->claim.card]))
                world_violation(world, "false-alarm", "host %u: NIC %u is called isolated, and its VF's card is well",
                                host_number, nic);
        else if (world->nics[nic].devices[host_number].asked < sim_policy.unplug_attempts &&
                 world->now > host->troubled_until + ALARM_MAX)
                world_violation(world, "false-alarm",
                                "host %u: NIC %u is called isolated, and its guest was asked %u times", host_number,
                                nic, world->nics[nic].devices[host_number].asked);
}

/* The guest's driver has looked at its VF, and cannot use it. */
static bool found_no_mac(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct device *device = &world->nics[nic].devices[host_number];

        return device->stage == DEVICE_PROBED && device->mac != world->nics[nic].mac &&
               cards_vf_of(host, device)->mac != world->nics[nic].mac &&
               host->agents[nic].facts.vf_filter != FAILOVER_UNKNOWN;
}

/* Outside a move a MAC is in one place and the pin agrees, as soon as there is nothing to do. */
void checks_after_decision(struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        const struct failover_decision *decision = &agent->decision;
        bool at_rest = decision->situation == FAILOVER_SITUATION_ON_VF ||
                       decision->situation == FAILOVER_SITUATION_SYNTHETIC ||
                       decision->situation == FAILOVER_SITUATION_HANDED_OVER ||
                       decision->situation == FAILOVER_SITUATION_ABSENT;

        check_unknown(world, host_number, nic);
        check_alarm(world, host_number, nic);
        if (decision->actions_count > FAILOVER_ACTIONS_MAX)
                world_violation(world, "too-many-actions", "host %u: NIC %u: %zu actions", host_number, nic,
                                decision->actions_count);
        if (decision->give_up != FAILOVER_REASON_NONE && decision->give_up == agent->facts.failure &&
            world->now < agent->facts.back_off_until && decision->give_up != FAILOVER_REASON_UNPLUG_REFUSED)
                world_violation(world, "gives-up-again", "host %u: NIC %u: gives up for %s within its back-off",
                                host_number, nic, failover_reason_code(decision->give_up));
        if (decision->give_up == FAILOVER_REASON_UNPLUG_REFUSED &&
            agent->facts.unplug_attempts < sim_policy.unplug_attempts)
                world_violation(world, "given-up-too-early", "host %u: NIC %u: the guest was asked only %u times",
                                host_number, nic, agent->facts.unplug_attempts);
        if (decision->give_up == FAILOVER_REASON_GUEST_DRIVER_MISSING && found_no_mac(world, host_number, nic))
                world_violation(world, "blames-the-guest",
                                "host %u: NIC %u: the guest's driver is there, and the MAC is "
                                "missing",
                                host_number, nic);
        if (at_rest && decision->tables.vf_filter && decision->tables.uplink_filter)
                world_violation(world, "two-places", "host %u: NIC %u: %s wants the MAC in two places", host_number,
                                nic, failover_situation_to_string(decision->situation));
        if (at_rest && decision->actions_count == 0 && !world->nics[nic].unchecked && !world->nics[nic].unplugged &&
            !checks_troubled(world, host_number) && decision->situation != FAILOVER_SITUATION_ABSENT &&
            agent->facts.uplink_present && agent->facts.uplink_filter != FAILOVER_UNKNOWN && !agent->facts.vf_gone &&
            !tables_agree(world, host_number, nic))
                world_violation(world, "tables-disagree", "host %u: NIC %u: %s, but its tables say otherwise",
                                host_number, nic, failover_situation_to_string(decision->situation));
        for (size_t i = 0; i < decision->actions_count; i++)
                if (agent->facts.outgoing && decision->actions[i] == FAILOVER_DETACH_VF &&
                    agent->facts.guest != FAILOVER_GUEST_ABSENT)
                        world_violation(world, "asked-in-migration", "host %u: NIC %u: asks for the VF while QEMU does",
                                        host_number, nic);
}

static bool has_place(const struct world *world, unsigned host_number, int8_t mac)
{
        const struct host *host = &world->hosts[host_number];

        for (unsigned card = 0; card < host->cards_count; card++) {
                int vf = card == host->active ? cards_find_vf_with_mac(world, host_number, card, mac) : NOBODY;

                /* A VF that is being removed is not ours to change, nor one that libvirt has programmed. */
                if (host->cards[card].uplink_filter[mac] ||
                    (vf != NOBODY && !host->cards[card].vfs[vf].dying && !host->cards[card].vfs[vf].libvirts))
                        return true;
        }
        return false;
}

/* Not on two hosts for longer than it takes to hear of it. */
void checks_places(struct world *world)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                unsigned places = 0;
                bool excused = world->nics[nic].unchecked;

                for (unsigned host = 0; host < world->hosts_count; host++)
                        if (has_place(world, host, world->nics[nic].mac)) {
                                places++;
                                excused |= world->hosts[host].disk_full_until > 0 || checks_troubled(world, host) ||
                                           !world->hosts[host].cards[world->hosts[host].active].bound;
                        }
                if (places < 2 || excused) {
                        world->two_places_since[nic] = 0;
                        continue;
                }
                if (world->two_places_since[nic] == 0) {
                        struct event *event = events_add(world, world->now + TWO_HOSTS_MAX, EVENT_GRACE);

                        event->nic = (uint8_t) nic;
                        world->two_places_since[nic] = world->now;
                } else if (world->now - world->two_places_since[nic] >= TWO_HOSTS_MAX) {
                        world_violation(world, "two-hosts", "NIC %u: its MAC is on two hosts for %llu s", nic,
                                        (unsigned long long) (TWO_HOSTS_MAX / SECOND));
                }
        }
}

static bool is_isolated(const struct world *world, unsigned nic)
{
        const struct guest *guest = &world->guests[world->nics[nic].guest];
        const struct device *device;
        unsigned host;

        if (guest->host == NOBODY || !guest->booted || world->nics[nic].unchecked || world->nics[nic].unplugged)
                return false;
        host = (unsigned) guest->host;
        device = &world->nics[nic].devices[host];
        return device->stage == DEVICE_PRIMARY && guests_cpus_run(world, world->nics[nic].guest, host) &&
               !guest->instances[host].outgoing && !cards_has_link(&world->hosts[host].cards[device->card]) &&
               !checks_troubled(world, host) && !world->hosts[host].agents[nic].facts.sends_on_tap;
}

/* A guest that nothing can help is told of, and is asked to let go as long as it is so. */
void checks_isolation(struct world *world)
{
        for (unsigned nic = 0; nic < world->nics_count; nic++) {
                struct reach *reach = &world->reach[nic];
                const struct device *device;
                unsigned host;

                if (!is_isolated(world, nic)) {
                        reach->isolated_since = 0;
                        continue;
                }
                host = (unsigned) world->guests[world->nics[nic].guest].host;
                device = &world->nics[nic].devices[host];
                if (reach->isolated_since == 0 || reach->isolated_since < world->hosts[host].heard_since) {
                        reach->isolated_since = world->now;
                        events_add(world, world->now + ALARM_MAX, EVENT_GRACE)->nic = (uint8_t) nic;
                } else if (world->now - reach->isolated_since < ALARM_MAX) {
                        continue;
                } else if (world->hosts[host].agents[nic].decision.situation != FAILOVER_SITUATION_ISOLATED) {
                        world_violation(world, "no-alarm",
                                        "host %u: NIC %u: nothing reaches the guest, and nobody is "
                                        "told (rule %s)",
                                        host, nic, world->hosts[host].agents[nic].decision.rule);
                } else if (world->now - device->asked_at > ASK_MAX) {
                        world_violation(world, "not-asked-again",
                                        "host %u: NIC %u: its guest was asked for its VF %llu "
                                        "s ago",
                                        host, nic, (unsigned long long) ((world->now - device->asked_at) / SECOND));
                }
        }
}

/* The guest is about to run here: its frames come here already, and the wire knows. */
void checks_arrival(struct world *world, unsigned host_number, unsigned nic, bool announced)
{
        const struct host *host = &world->hosts[host_number];
        int8_t mac = world->nics[nic].mac;

        if (world->nics[nic].unchecked || world->nics[nic].unplugged || checks_troubled(world, host_number) ||
            host->troubled_until > world->migrations[world->nics[nic].guest].began ||
            host->heard_since > world->migrations[world->nics[nic].guest].loaded || !host->cards[host->active].bound ||
            host->crash_in > 0 || host->disk_full_until > 0)
                return;
        /* Of one that never accepted STANDBY nothing tells before it runs. */
        if (host->pin[mac] == FAILOVER_PIN_NONE && (announced || world->guests[world->nics[nic].guest].standby))
                world_violation(world, "arrives-unprepared", "host %u: NIC %u arrives and is in no table", host_number,
                                nic);
        else if (announced && world->announced[nic] < world->migrations[world->nics[nic].guest].loaded)
                world_violation(world, "not-announced", "host %u: NIC %u came and the wire was not told", host_number,
                                nic);
}

/* ---- in the end ---- */

static bool is_well(const struct world *world, unsigned nic)
{
        const struct guest *guest = &world->guests[world->nics[nic].guest];

        return guest->has_failover && guest->has_driver && guest->pairs && guest->refusal == REFUSES_NEVER;
}

static bool runs_on(const struct world *world, unsigned nic, unsigned host)
{
        const struct guest *guest = &world->guests[world->nics[nic].guest];

        return guest->host == (int8_t) host && guest->booted && guests_cpus_run(world, world->nics[nic].guest, host) &&
               !world->nics[nic].unplugged;
}

static bool is_on_vf(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct device *device = &world->nics[nic].devices[host_number];
        int8_t mac = world->nics[nic].mac;

        return device->stage == DEVICE_PRIMARY && cards_vf_of(host, device)->mac == mac &&
               host->agents[nic].decision.situation == FAILOVER_SITUATION_ON_VF;
}

static unsigned usable_vfs(const struct world *world, unsigned host_number)
{
        const struct host *host = &world->hosts[host_number];
        const struct card *card = &host->cards[host->active];
        unsigned count = 0;

        for (unsigned i = 0; i < VFS_MAX; i++)
                count += card->vfs[i].exists && !card->vfs[i].taken && !card->vfs[i].dying;
        return count;
}

static bool claim_is_stranded(const struct host *host, const struct agent *agent)
{
        return agent->claimed && !host->cards[agent->claim.card].bound;
}

static void check_absent(struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];

        if (claim_is_stranded(host, agent) || world->nics[nic].unchecked)
                return;
        for (unsigned slot = 0; slot < CARDS_MAX * VFS_MAX; slot++)
                if (host->disk_claims[slot].present && host->disk_claims[slot].nic == (int8_t) nic) {
                        world_violation(world, "claim-left", "host %u: the claim of NIC %u is left behind (rule %s)",
                                        host_number, nic, agent->decision.rule ? agent->decision.rule : "none");
                        return;
                }
        /* A full disk takes no record, and a guest is not left deaf for it: a crash forgets its entries then. */
        if (!host->cards[host->active].bound || host->disk_full_until > 0)
                return;
        if (host->pin[world->nics[nic].mac] != FAILOVER_PIN_NONE || host->copy_rule[world->nics[nic].mac] ||
            has_place(world, host_number, world->nics[nic].mac))
                world_violation(world, "entries-left", "host %u: entries of NIC %u are left behind (rule %s)",
                                host_number, nic, agent->decision.rule ? agent->decision.rule : "none");
}

static void check_present(struct world *world, unsigned host_number, unsigned nic, unsigned competitors)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];
        const struct card *card = &host->cards[host->active];
        bool may = card->bound && card->carrier && !agent->held && !agent->held_by_migration &&
                   !world->nics[nic].unchecked && usable_vfs(world, host_number) >= competitors &&
                   is_well(world, nic) && !claim_is_stranded(host, agent) &&
                   /* An arrival told after what the guest accepted: it is asked again at its next reset. */
                   (host->reorder_until == 0 || agent->decision.reason != FAILOVER_REASON_GUEST_NOT_READY);

        if (reach_is_deaf(world, nic) && !world->nics[nic].unchecked)
                world_violation(world, "deaf-in-the-end", "host %u: NIC %u does not hear all in the end (rule %s)",
                                host_number, nic, agent->decision.rule ? agent->decision.rule : "none");
        else if (may && !is_on_vf(world, host_number, nic))
                world_violation(world, "not-on-vf", "host %u: NIC %u is not on a VF in the end (rule %s, %s)",
                                host_number, nic, agent->decision.rule ? agent->decision.rule : "none",
                                failover_reason_code(agent->decision.reason));
        else if ((agent->held || agent->held_by_migration) && agent->claimed && is_well(world, nic) &&
                 !claim_is_stranded(host, agent))
                world_violation(world, "not-released", "host %u: NIC %u is held and still has a VF (rule %s)",
                                host_number, nic, agent->decision.rule);
        else if (agent->decision.situation >= FAILOVER_SITUATION_PREPARING &&
                 agent->decision.situation != FAILOVER_SITUATION_ON_VF && !claim_is_stranded(host, agent) &&
                 world->guests[world->nics[nic].guest].refusal < REFUSES_ALWAYS &&
                 world->now - agent->situation_since > MOVE_MAX)
                world_violation(world, "stuck-in-a-move", "host %u: NIC %u stays %s (rule %s)", host_number, nic,
                                failover_situation_to_string(agent->decision.situation), agent->decision.rule);
}

static void check_vfs(struct world *world, unsigned host_number)
{
        const struct host *host = &world->hosts[host_number];

        for (unsigned slot = 0; slot < host->cards_count * VFS_MAX; slot++) {
                const struct vf *vf = &host->cards[slot / VFS_MAX].vfs[slot % VFS_MAX];

                if (slot / VFS_MAX != host->active)
                        continue; /* the daemon uses the active one only */
                if (vf->exists && !vf->taken && !vf->libvirts && !host->disk_claims[slot].present &&
                    (vf->mac != vf->mac_before || vf->settings != vf->settings_before ||
                     vf->driver != vf->driver_before || vf->holder != NOBODY))
                        world_violation(world, "vf-leaked",
                                        "host %u: VF %u is nobody's and has MAC %d, settings %u, driver %u, holder %d",
                                        host_number, slot, vf->mac, vf->settings, vf->driver, vf->holder);
        }
}

void checks_at_the_end(struct world *world)
{
        for (unsigned host = 0; host < world->hosts_count && !world->failed; host++) {
                unsigned competitors = 0;

                for (unsigned nic = 0; nic < world->nics_count; nic++)
                        competitors += runs_on(world, nic, host) || world->hosts[host].agents[nic].claimed;
                for (unsigned nic = 0; nic < world->nics_count && !world->failed; nic++) {
                        const struct guest *guest = &world->guests[world->nics[nic].guest];

                        if (guest->instances[host].state == INSTANCE_OFF)
                                check_absent(world, host, nic);
                        else if (runs_on(world, nic, host))
                                check_present(world, host, nic, competitors);
                }
                check_vfs(world, host);
        }
}

static bool stays_as_it_is(const struct world *world, unsigned host_number, unsigned nic)
{
        const struct host *host = &world->hosts[host_number];
        const struct agent *agent = &host->agents[nic];

        if (!agent->known)
                return !world->guests[world->nics[nic].guest].instances[host_number].state;
        if (agent->claimed && host->disk_claims[agent->claim.card * VFS_MAX + agent->claim.vf].leased)
                return false; /* the disk was full when it came */
        if (world->nics[nic].unchecked || agent->facts.call != FAILOVER_CALL_NONE ||
            !runs_on(world, nic, host_number) || agent->progress.retry_at)
                return false;
        if (is_on_vf(world, host_number, nic))
                return is_well(world, nic);
        return agent->decision.situation == FAILOVER_SITUATION_SYNTHETIC && !agent->claimed &&
               ((agent->held && agent->decision.reason == FAILOVER_REASON_HELD) ||
                agent->decision.reason == FAILOVER_REASON_NO_VFS ||
                agent->decision.reason == FAILOVER_REASON_UPLINK_DOWN);
}

unsigned checks_quiet_hosts(const struct world *world)
{
        unsigned hosts = 0;

        for (unsigned host = 0; host < world->hosts_count; host++) {
                bool quiet = world->hosts[host].daemon_up && world->hosts[host].listed &&
                             world->hosts[host].cards[world->hosts[host].active].bound;

                for (unsigned nic = 0; nic < world->nics_count; nic++)
                        quiet = quiet && stays_as_it_is(world, host, nic);
                hosts |= (unsigned) quiet << host;
        }
        return hosts;
}
