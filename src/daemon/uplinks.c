/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * What is beneath a bridge is read from one list of all links (vswitch/topology.h) whenever a link of it may have
 * changed, and compared with what was there before: PFs that are new are opened, those that went are let go. A PF is
 * the same as long as its ifindex and its name are; one that was renamed is opened again under its new name, and one
 * whose driver was unbound and bound again is a new one.
 *
 * That somebody has set something of a VF (ip link set PF vf N ...) the kernel tells by a message about the PF that has
 * nothing of the VF in it. So after each, also one that shows no change, all VFs of the PF are read, with one question,
 * and the NICs of those that are not as they were look at their tables again.
 *
 * Claims name their PF as people do, so a renamed PF means renamed claims; the VF's PCI address tells whose they are.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding them ---- */

struct manager_pf *uplinks_active(struct manager_switch *nic_switch)
{
        for (size_t i = 0; nic_switch->pf && i < nic_switch->pfs_count; i++)
                if (nic_switch->pfs[i].pf == nic_switch->pf)
                        return &nic_switch->pfs[i];
        return NULL;
}

struct manager_pf *uplinks_find_by_vf(struct manager_switch *nic_switch, unsigned vf_index, const char *vf_address)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                struct pf *pf = nic_switch->pfs[i].pf;
                struct pf_vf vf;

                if (pf->driver->read_vf(pf, vf_index, &vf, NULL) == 0 && strcmp(vf.address, vf_address) == 0)
                        return &nic_switch->pfs[i];
        }
        return NULL;
}

void uplinks_name_claims(struct manager_switch *nic_switch)
{
        struct manager *manager = nic_switch->manager;
        struct vswitch_error error = { 0 };
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                struct manager_pf *uplink;

                if (nic->nic_switch != nic_switch || !nic->claim)
                        continue;
                uplink = uplinks_find_by_vf(nic_switch, nic->claim->vf_index, nic->claim->vf_address);
                if (!uplink || strcmp(uplink->pf->name, nic->claim->pf) == 0)
                        continue;
                log_notice(nic->label, "its VF %s is on %s, which was called %s", nic->claim->vf_address,
                           uplink->pf->name, nic->claim->pf);
                snprintf(nic->claim->pf, sizeof(nic->claim->pf), "%s", uplink->pf->name);
                if (records_write_claim(nic, &error) < 0)
                        log_warning(nic->label, "%s", error.text);
        }
}

bool uplinks_concern(const struct manager_switch *nic_switch, const struct vswitch_link *link)
{
        int bridge = nic_switch->softswitch ? nic_switch->softswitch->driver->ifindex(nic_switch->softswitch) : 0;

        if (topology_has_device(&nic_switch->devices, link->ifindex) ||
            topology_may_gain(&nic_switch->devices, bridge, link))
                return true;
        for (size_t i = 0; i < nic_switch->config->uplinks_count; i++)
                if (strcmp(nic_switch->config->uplinks[i], link->name) == 0)
                        return true;
        return false;
}

/* ---- telling what happens to them ---- */

static void tell(const struct manager_switch *nic_switch, bool bad, const char *name, const char *sentence)
{
        if (bad)
                log_warning(name, "%s", sentence);
        else
                log_notice(name, "%s", sentence);
        if (nic_switch->manager->control)
                control_event(nic_switch->manager->control, "pf", name, sentence);
}

/* What a PF that does not carry frames any more means for the NICs. Returns `buffer`. */
static const char *consequence(const struct manager_switch *nic_switch, const char *pf, char *buffer, size_t size)
{
        const struct manager_nic *nic;
        unsigned count = 0;

        TAILQ_FOREACH (nic, &nic_switch->manager->nics, entry)
                count += nic->nic_switch == nic_switch && nic->claim && strcmp(nic->claim->pf, pf) == 0;
        if (count == 0)
                snprintf(buffer, size, "no NIC has a VF of it");
        else
                snprintf(buffer, size, "%s back to the software switch",
                         count == 1 ? "the NIC with a VF of it goes" : "the NICs with VFs of it go");
        return buffer;
}

static void tell_loss(const struct manager_switch *nic_switch, const char *pf, const char *what)
{
        char text[192], then[96];

        snprintf(text, sizeof(text), "%s; %s", what, consequence(nic_switch, pf, then, sizeof(then)));
        tell(nic_switch, true, pf, text);
}

static void nics_dirty(const struct manager_switch *nic_switch)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &nic_switch->manager->nics, entry)
                if (nic->nic_switch == nic_switch) {
                        nic->tables_stale = true; /* some drivers begin anew with the link, and tell nobody */
                        manager_nic_dirty(nic);
                }
}

void uplinks_seen(struct manager_switch *nic_switch, struct manager_pf *uplink, const struct vswitch_link *link)
{
        struct vswitch_link before = uplink->link;
        const char *returns = nic_switch->pf == uplink->pf ? "its VFs can be used again" : "it is not the one in use";
        char text[128];

        uplink->link = *link;
        if (link->ifindex == nic_switch->uplink.ifindex)
                nic_switch->uplink = *link;
        if (before.up == link->up && before.carrier == link->carrier)
                return;
        if (before.up && !link->up) {
                tell_loss(nic_switch, link->name, "was set down");
        } else if (link->up && !link->carrier) {
                tell_loss(nic_switch, link->name, before.up ? "lost its carrier" : "was set up and has no carrier yet");
        } else if (link->up) {
                snprintf(text, sizeof(text), "%s; %s",
                         before.up ? "has a carrier again" : "was set up and has a carrier", returns);
                tell(nic_switch, false, link->name, text);
        }
        carrier_on_change(nic_switch->manager);
        nics_dirty(nic_switch);
}

/* ---- what is set behind our back ---- */

static bool is_set_alike(const struct pf_vf_attributes *a, const struct pf_vf_attributes *b)
{
        return a->valid == b->valid && vswitch_mac_equal(&a->mac, &b->mac) && a->vlan == b->vlan && a->qos == b->qos &&
               a->vlan_protocol == b->vlan_protocol && a->spoof_check == b->spoof_check && a->trust == b->trust &&
               a->link_state == b->link_state && a->min_rate == b->min_rate && a->max_rate == b->max_rate &&
               a->query_rss == b->query_rss;
}

/* What a PF's VFs are set to; NULL and 0: not known. */
struct vf_settings {
        struct pf_vf_attributes *attributes; /* by the VF's index */
        size_t count;
};

static bool is_changed(const struct vf_settings *before, const struct vf_settings *now, unsigned index)
{
        return index >= before->count || index >= now->count ||
               !is_set_alike(&before->attributes[index], &now->attributes[index]);
}

static bool any_changed(const struct vf_settings *before, const struct vf_settings *now)
{
        for (unsigned i = 0; i < before->count || i < now->count; i++)
                if (is_changed(before, now, i))
                        return true;
        return false;
}

/* Has its NIC a VF of this PF, or may it be waiting for one? */
static bool is_concerned(const struct manager_switch *nic_switch, const struct manager_nic *nic, const struct pf *pf)
{
        if (nic->nic_switch != nic_switch)
                return false;
        return nic->claim ? opened_pfs_of_claim(nic) == pf : pf == nic_switch->pf && facts_needs_vf(nic);
}

static void look_at_vfs(struct manager_switch *nic_switch, struct pf *pf)
{
        struct manager *manager = nic_switch->manager;
        struct vf_settings before = { 0 }, now = { 0 };
        struct manager_nic *nic;
        bool any = false;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                any |= is_concerned(nic_switch, nic, pf);
        /* What nobody looks at is not remembered either: it would be old when somebody does. */
        if (any && pf->driver->list_attributes(pf, &now.attributes, &now.count, NULL) < 0)
                now = (struct vf_settings){ 0 };
        before.attributes = opened_pfs_exchange_settings(manager, pf, now.attributes, now.count, &before.count);
        any = any_changed(&before, &now);
        TAILQ_FOREACH (nic, &manager->nics, entry) {
                if (!is_concerned(nic_switch, nic, pf))
                        continue;
                if (nic->claim && is_changed(&before, &now, nic->claim->vf_index)) {
                        nic->tables_stale = true;
                        manager_nic_dirty(nic);
                } else if (!nic->claim && any) {
                        manager_nic_dirty(nic); /* a VF may be free now */
                }
        }
        free(before.attributes);
}

void uplinks_look_at_vfs(struct manager_switch *nic_switch)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (nic_switch->pfs[i].pf->total_vfs > 0)
                        look_at_vfs(nic_switch, nic_switch->pfs[i].pf);
}

/* ---- taking over what was found ---- */

static enum failover_reason reason_of(enum topology_verdict verdict)
{
        switch (verdict) {
        case TOPOLOGY_ONE_PF:
                return FAILOVER_REASON_NONE;
        case TOPOLOGY_NO_UPLINK:
                return FAILOVER_REASON_NO_UPLINK;
        case TOPOLOGY_NO_ACTIVE_MEMBER:
        case TOPOLOGY_ALL_DOWN:
                return FAILOVER_REASON_UPLINK_DOWN;
        case TOPOLOGY_IN_LAG:
                return FAILOVER_REASON_UPLINK_IN_LAG;
        case TOPOLOGY_SEVERAL_UPLINKS:
                return FAILOVER_REASON_SEVERAL_UPLINKS;
        case TOPOLOGY_NOT_FORWARDING:
                return FAILOVER_REASON_STP_NOT_FORWARDING;
        case TOPOLOGY_TAGS:
                return FAILOVER_REASON_UPLINK_TAGS;
        }
        return FAILOVER_REASON_NO_UPLINK;
}

/* Our entries on a PF that is not beneath the switch any more but still there. */
static void clean_pf(struct manager_switch *nic_switch, struct pf *pf)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &nic_switch->manager->nics, entry)
                if (nic->nic_switch == nic_switch && nic->recorded)
                        pf->driver->uplink_filter_remove(pf, &nic->mac, NULL);
}

/* Copy rules are on the port by which frames leave; another one is that now. Pins follow by themselves. */
static void clean_port(struct manager_switch *nic_switch, const struct vswitch_link *port)
{
        struct softswitch *softswitch = nic_switch->softswitch;
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &nic_switch->manager->nics, entry)
                if (nic->nic_switch == nic_switch && nic->recorded)
                        softswitch->driver->copy_remove(softswitch, &nic->mac, nic->port_vlan, port->ifindex, NULL);
}

static bool is_among(const struct vswitch_link *links, size_t count, int ifindex)
{
        for (size_t i = 0; i < count; i++)
                if (links[i].ifindex == ifindex)
                        return true;
        return false;
}

static struct manager_pf *find_by_index(struct manager_pf *pfs, size_t count, int ifindex)
{
        for (size_t i = 0; i < count; i++)
                if (pfs[i].link.ifindex == ifindex)
                        return &pfs[i];
        return NULL;
}

static void take_into_use(struct manager_switch *nic_switch, struct manager_pf *uplink)
{
        const struct pf *pf = uplink->pf;
        char text[128];

        steering_set(nic_switch->manager, uplink);
        pool_on_pf(nic_switch, uplink);
        snprintf(text, sizeof(text), "is beneath %s: %s%s%u VFs possible, %s", nic_switch->config->bridge,
                 pf->kernel_driver, pf->kernel_driver[0] ? ", " : "", pf->total_vfs,
                 !uplink->link.up       ? "down"
                 : uplink->link.carrier ? "with carrier"
                                        : "without carrier");
        tell(nic_switch, false, pf->name, text);
}

/* A PF that was beneath the switch is not among those of now. */
static void let_go(struct manager_switch *nic_switch, const struct manager_pf *uplink, bool exists)
{
        struct pf *pf = uplink->pf;

        opened_pfs_left(nic_switch->manager, pf);
        if (find_by_index(nic_switch->pfs, nic_switch->pfs_count, uplink->link.ifindex))
                return; /* it was renamed */
        if (exists)
                clean_pf(nic_switch, pf);
        tell_loss(nic_switch, pf->name,
                  exists ? "is not beneath the switch any more"
                         : "is gone: its driver was unbound, or the card removed");
}

/* Replaces nic_switch->pfs by what was found. Returns the first failure to open a PF. */
static int take_pfs(struct manager_switch *nic_switch, const struct topology *topology,
                    const struct vswitch_link *links, size_t links_count, struct vswitch_error *error)
{
        struct manager_pf before[MANAGER_PFS_MAX];
        size_t before_count = nic_switch->pfs_count;
        bool is_new[MANAGER_PFS_MAX] = { false };
        bool any_new = false;
        int result = 0;

        memcpy(before, nic_switch->pfs, sizeof(before));
        nic_switch->pfs_count = 0;
        for (size_t i = 0; i < topology->pfs_count; i++) {
                const struct topology_pf *found = &topology->pfs[i];
                const struct manager_pf *old = find_by_index(before, before_count, found->link->ifindex);
                struct manager_pf uplink = { .link = *found->link };
                bool is_same = old && strcmp(old->pf->name, found->link->name) == 0 &&
                               strcmp(old->link.name, found->link->name) == 0;
                int r = 0;

                if (is_same)
                        uplink = *old;
                else
                        r = opened_pfs_open(nic_switch, found->link->name, &uplink.pf, error);
                if (r < 0) {
                        result = result < 0 ? result : r;
                        continue;
                }
                uplink.port = found->port->ifindex;
                uplink.wire_vlan = found->wire_vlan;
                any_new |= is_new[nic_switch->pfs_count] = !is_same;
                nic_switch->pfs[nic_switch->pfs_count++] = uplink;
        }
        for (size_t i = 0; i < before_count; i++) {
                const struct manager_pf *now =
                        find_by_index(nic_switch->pfs, nic_switch->pfs_count, before[i].link.ifindex);

                if (!now || now->pf != before[i].pf)
                        let_go(nic_switch, &before[i], is_among(links, links_count, before[i].link.ifindex));
        }
        if (any_new)
                uplinks_name_claims(nic_switch);
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                if (is_new[i])
                        take_into_use(nic_switch, &nic_switch->pfs[i]);
        return result;
}

/* Not a reason to do without the switch: guests stay synthetic then, and each says why when it is to be moved. */
static void prepare_port(struct manager_switch *nic_switch)
{
        struct softswitch *softswitch = nic_switch->softswitch;
        struct vswitch_error error = { 0 };
        int r;

        if (!nic_switch->config->iov || !nic_switch->pf || nic_switch->pf->total_vfs == 0)
                return;
        r = softswitch->driver->prepare_uplink(softswitch, nic_switch->uplink.ifindex, &error);
        if (r < 0)
                log_warning(nic_switch->config->name, "no NIC can be moved to a VF: %s", vswitch_error_text(&error, r));
}

static int announce_neighbour(const struct control_neighbour *neighbour, void *userdata)
{
        struct manager_switch *nic_switch = userdata;
        struct vswitch_error error = { 0 };
        struct vswitch_mac mac;
        int r;

        /* Guests' NICs are announced by their own decisions; what only the bridge knows, nobody else speaks for. */
        if (strcmp(neighbour->kind, "guest") == 0 || vswitch_mac_parse(neighbour->mac, &mac) < 0)
                return 0;
        r = nic_switch->softswitch->driver->announce(nic_switch->softswitch, &mac, (uint16_t) neighbour->vlan,
                                                     nic_switch->uplink.ifindex, &error);
        if (r < 0)
                log_debug(nic_switch->config->name, "cannot announce %s: %s", neighbour->mac,
                          vswitch_error_text(&error, r));
        return 0;
}

/* Another port of a bond is in use. The bond announces its own addresses there, and nobody else's: until they speak
 * the wire's switches would send to the old port what is for guests and whoever else is behind the bridge. */
static void announce_all(struct manager_switch *nic_switch)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &nic_switch->manager->nics, entry)
                if (nic->nic_switch == nic_switch)
                        nic->facts.announce_wanted = true;
        neighbours_for_each(nic_switch, announce_neighbour, nic_switch);
}

/* The port towards the wire, and the PF by which all frames enter. */
static void choose(struct manager_switch *nic_switch, const struct topology *topology, const struct vswitch_link *links,
                   size_t links_count)
{
        struct vswitch_link port_before = nic_switch->uplink;
        const struct pf *pf_before = nic_switch->pf;
        struct manager_pf *active = NULL;

        nic_switch->uplink = topology->uplink ? *topology->uplink : (struct vswitch_link){ 0 };
        if (topology->active)
                active = find_by_index(nic_switch->pfs, nic_switch->pfs_count, topology->active->link->ifindex);
        nic_switch->pf = active ? active->pf : NULL;
        nic_switch->steering = active ? active->steering : FAILOVER_STEERING_UNKNOWN;
        nic_switch->reflects = active && active->reflects;
        if (port_before.ifindex != nic_switch->uplink.ifindex && is_among(links, links_count, port_before.ifindex))
                clean_port(nic_switch, &port_before);
        if (port_before.ifindex != nic_switch->uplink.ifindex || pf_before != nic_switch->pf)
                prepare_port(nic_switch);
        if (!active || nic_switch->entered_by == active->link.ifindex)
                return;
        if (nic_switch->entered_by != 0 && nic_switch->pfs_count > 1) {
                tell(nic_switch, false, active->pf->name, "all frames enter by it now; guests get its VFs");
                announce_all(nic_switch);
        }
        nic_switch->entered_by = active->link.ifindex;
}

static void set_obstacle(struct manager_switch *nic_switch, enum failover_reason obstacle)
{
        char text[384];

        if (obstacle == nic_switch->obstacle)
                return;
        nic_switch->obstacle = obstacle;
        if (obstacle == FAILOVER_REASON_NONE) {
                log_info(nic_switch->config->name, "all frames for its guests enter by one PF: they may have VFs");
                return;
        }
        if (obstacle == FAILOVER_REASON_NO_UPLINK)
                return; /* the switch's sentence tells what is missing */
        snprintf(text, sizeof(text), "no guest may have a VF: %s. What helps: %s", failover_reason_sentence(obstacle),
                 failover_reason_remedy(obstacle));
        tell(nic_switch, true, nic_switch->config->name, text);
}

static int missing_uplink(const struct manager_switch *nic_switch, const struct topology *topology,
                          struct vswitch_error *error)
{
        const struct config_switch *config = nic_switch->config;

        if (!topology->missing)
                return vswitch_error_set(error, -ENODEV,
                                         "%s has no hardware port; name the uplink in the configuration: uplinks = "
                                         "{ \"...\" }",
                                         config->bridge);
        if (!topology->missing_link)
                return vswitch_error_set(error, -ENODEV,
                                         "the uplink %s does not exist; check 'uplinks' of switch \"%s\" in the "
                                         "configuration",
                                         topology->missing, config->name);
        return vswitch_error_set(error, -ENOTCONN,
                                 "the uplink %s is not a port of %s; 'ip link set %s master %s', or create = yes in "
                                 "the configuration",
                                 topology->missing, config->bridge, topology->missing, config->bridge);
}

/* One of several uplinks is missing: worth a word, once. */
static void tell_missing(struct manager_switch *nic_switch, const struct topology *topology)
{
        const char *missing = topology->missing ? topology->missing : "";
        struct vswitch_error error = { 0 };

        if (strcmp(missing, nic_switch->missing) == 0)
                return;
        snprintf(nic_switch->missing, sizeof(nic_switch->missing), "%s", missing);
        if (!missing[0])
                return;
        missing_uplink(nic_switch, topology, &error);
        log_warning(nic_switch->config->name, "%s", error.text);
}

static int take_over(struct manager_switch *nic_switch, const struct topology *topology,
                     const struct vswitch_link *links, size_t links_count, struct vswitch_error *error)
{
        int r = take_pfs(nic_switch, topology, links, links_count, error);

        nic_switch->devices = topology->devices;
        choose(nic_switch, topology, links, links_count);
        for (size_t i = 0; i < nic_switch->pfs_count; i++) {
                struct manager_pf *uplink = &nic_switch->pfs[i];

                for (size_t j = 0; j < links_count; j++)
                        if (links[j].ifindex == uplink->link.ifindex)
                                uplinks_seen(nic_switch, uplink, &links[j]);
        }
        opened_pfs_close_unneeded(nic_switch->manager);
        if (topology->uplinks_count == 0) {
                set_obstacle(nic_switch, FAILOVER_REASON_NO_UPLINK);
                return missing_uplink(nic_switch, topology, error);
        }
        set_obstacle(nic_switch, reason_of(topology->verdict));
        if (nic_switch->pfs_count == 0)
                return r < 0 ? r
                             : vswitch_error_set(error, -ENODEV,
                                                 "there is no network device beneath %s, the uplink of %s",
                                                 nic_switch->uplink.name, nic_switch->config->bridge);
        if (r < 0 && !nic_switch->incomplete)
                log_warning(nic_switch->config->name, "%s", vswitch_error_text(error, r));
        nic_switch->incomplete = r < 0 && r != -ENODEV;
        if (topology->overflow)
                log_warning(nic_switch->config->name, "only %d PFs beneath %s are looked after", MANAGER_PFS_MAX,
                            nic_switch->config->bridge);
        tell_missing(nic_switch, topology);
        return 0;
}

int uplinks_refresh(struct manager_switch *nic_switch, struct vswitch_error *error)
{
        const struct config_switch *config = nic_switch->config;
        int bridge = nic_switch->softswitch->driver->ifindex(nic_switch->softswitch);
        struct vswitch_link *links = NULL;
        struct topology topology;
        size_t count = 0;
        int r = vswitch_link_list(nic_switch->manager->netlink, &links, &count, error);

        if (r < 0)
                return r;
        topology_find(bridge, config->uplinks, config->uplinks_count, links, count, &topology);
        r = take_over(nic_switch, &topology, links, count, error);
        free(links);
        return r;
}

void uplinks_drop(struct manager_switch *nic_switch)
{
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                opened_pfs_left(nic_switch->manager, nic_switch->pfs[i].pf);
        nic_switch->pfs_count = 0;
        nic_switch->incomplete = false;
        nic_switch->pf = NULL;
        nic_switch->uplink = (struct vswitch_link){ 0 };
        nic_switch->devices = (struct topology_devices){ 0 };
        nic_switch->obstacle = FAILOVER_REASON_NONE;
        opened_pfs_close_unneeded(nic_switch->manager);
}
