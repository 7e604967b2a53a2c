/* SPDX-License-Identifier: Apache-2.0 */

/* The model as the control channel shows it, and what the control channel may ask of it. */

#include "src/daemon/explain.h"
#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the NIC's frames go, for people: by the situation, or by what the tables say while the situation is open. */
const char *provider_path(const struct manager_nic *nic)
{
        switch (nic->decision.situation) {
        case FAILOVER_SITUATION_ABSENT:
        case FAILOVER_SITUATION_EXPECTED:
        case FAILOVER_SITUATION_HANDED_OVER:
        case FAILOVER_SITUATION_ISOLATED:
                return "none";
        case FAILOVER_SITUATION_ON_VF:
                return "vf";
        case FAILOVER_SITUATION_OFFERING:
        case FAILOVER_SITUATION_WITHDRAWING:
                return "both";
        case FAILOVER_SITUATION_ARRIVING:
                return nic->decision.tables.vf_filter ? "both" : "synthetic";
        case FAILOVER_SITUATION_UNKNOWN:
        case FAILOVER_SITUATION_UNMANAGED:
                return nic->facts.pin == FAILOVER_PIN_UPLINK ? "vf"
                       : nic->facts.pin == FAILOVER_PIN_TAP  ? "synthetic"
                                                             : "unknown";
        default:
                return "synthetic";
        }
}

static void status(void *model, struct control_status *ret)
{
        const struct manager *manager = model;

        *ret = (struct control_status){
                .version = VSWITCH_VERSION,
                .started_usec = manager->started_realtime,
                .libvirt_connected = manager->libvirt_connected,
                .libvirt_sentence = manager->libvirt_sentence,
                .resyncs = manager->resyncs,
                .moves_completed = manager->moves_completed,
                .moves_failed = manager->moves_failed,
        };
}

/* ---- switches ---- */

/* What neighbours_for_each() shows, kept for the time of the call. */
struct neighbour_list {
        struct control_neighbour *list;
        size_t count, room;
};

static void neighbour_list_clear(struct neighbour_list *neighbours)
{
        for (size_t i = 0; i < neighbours->count; i++) {
                free((char *) neighbours->list[i].mac);
                free((char *) neighbours->list[i].port);
        }
        free(neighbours->list);
}

/* The MAC's and the port's names are the iteration's; kind and state are constants. */
static int keep_neighbour(const struct control_neighbour *neighbour, void *userdata)
{
        struct neighbour_list *neighbours = userdata;
        struct control_neighbour *entry;

        if (neighbours->count == neighbours->room) {
                size_t room = neighbours->room ? 2 * neighbours->room : 64;
                struct control_neighbour *list = reallocarray(neighbours->list, room, sizeof(*list));

                if (!list)
                        return -ENOMEM;
                neighbours->list = list;
                neighbours->room = room;
        }
        entry = &neighbours->list[neighbours->count];
        *entry = *neighbour;
        entry->mac = strdup(neighbour->mac);
        entry->port = strdup(neighbour->port);
        neighbours->count++;
        return entry->mac && entry->port ? 0 : -ENOMEM;
}

static int each_switch(const struct manager_switch *nic_switch, int (*each)(const struct control_switch *, void *),
                       void *userdata)
{
        __attribute__((cleanup(neighbour_list_clear))) struct neighbour_list neighbours = { 0 };
        const char *pfs[MANAGER_PFS_MAX + 1] = { 0 };
        enum failover_reason obstacle = nic_switch->obstacle;
        int r = neighbours_for_each(nic_switch, keep_neighbour, &neighbours);

        if (r < 0)
                return r;
        for (size_t i = 0; i < nic_switch->pfs_count; i++)
                pfs[i] = nic_switch->pfs[i].pf->name;
        struct control_switch view = {
                .name = nic_switch->config->name,
                .driver = nic_switch->manager->options.softswitch_driver->name,
                .device = nic_switch->config->bridge,
                .uplink = nic_switch->uplink.name,
                .usable = nic_switch->sentence[0] == '\0',
                .reason = nic_switch->sentence,
                .iov = nic_switch->config->iov,
                .filters_vlans = nic_switch->filters_vlans,
                .pfs = pfs,
                .obstacle = failover_reason_code(obstacle),
                .obstacle_sentence = failover_reason_sentence(obstacle),
                .remedy = failover_reason_remedy(obstacle),
                .neighbours = neighbours.list,
                .neighbours_count = neighbours.count,
        };
        return each(&view, userdata);
}

static int switches(void *model, int (*each)(const struct control_switch *, void *), void *userdata)
{
        const struct manager *manager = model;
        int r = 0;

        for (size_t i = 0; i < manager->switches_count && r == 0; i++)
                r = each_switch(&manager->switches[i], each, userdata);
        return r;
}

/* ---- PFs ---- */

/* All that is shown of a PF, while it is shown. Attributes and counters are read of all VFs at once: the kernel answers
 * a question about one VF with all of them, which would make hundreds of VFs a matter of seconds. */
struct pf_reading {
        struct pf_vf *vfs;
        size_t vfs_count;
        struct pf_vf_attributes *attributes; /* by the VF's index */
        size_t attributes_count;
        struct pf_vf_statistics *statistics; /* by the VF's index */
        size_t statistics_count;
        struct control_vf *views;
        struct vf_text {
                char owner[192];
                char mac[VSWITCH_MAC_TEXT_SIZE];
        } * texts;
        const char **filters;
        const char *refusals[8];
};

static void pf_reading_clear(struct pf_reading *reading)
{
        free(reading->vfs);
        free(reading->attributes);
        free(reading->statistics);
        free(reading->views);
        free(reading->texts);
        free(reading->filters);
}

/* The uplink filters as texts, with the NULL at the end; one block of memory. */
static const char **list_uplink_filters(struct pf *pf)
{
        struct vswitch_mac *filters = NULL;
        size_t count = 0;
        const char **texts;
        char(*buffers)[VSWITCH_MAC_TEXT_SIZE];

        if (pf->driver->uplink_filter_list(pf, &filters, &count, NULL) < 0)
                count = 0;
        texts = calloc(1, (count + 1) * sizeof(*texts) + count * VSWITCH_MAC_TEXT_SIZE);
        if (texts) {
                buffers = (void *) (texts + count + 1);
                for (size_t i = 0; i < count; i++)
                        texts[i] = vswitch_mac_format(&filters[i], buffers[i]);
        }
        free(filters);
        return texts;
}

/* What cannot be read is not shown. */
static int read_pf(struct pf *pf, struct pf_reading *ret)
{
        size_t refusals = 0;

        if (pf->driver->list_vfs(pf, &ret->vfs, &ret->vfs_count, NULL) < 0)
                ret->vfs_count = 0;
        if (ret->vfs_count > 0) {
                if (pf->driver->list_attributes(pf, &ret->attributes, &ret->attributes_count, NULL) < 0)
                        ret->attributes_count = 0;
                if (!pf->driver->list_statistics ||
                    pf->driver->list_statistics(pf, &ret->statistics, &ret->statistics_count, NULL) < 0)
                        ret->statistics_count = 0;
        }
        for (size_t i = 0; i < sizeof(pf->refusals) / sizeof(pf->refusals[0]); i++)
                if (pf->refusals[i][0])
                        ret->refusals[refusals++] = pf->refusals[i];
        ret->views = calloc(ret->vfs_count + 1, sizeof(*ret->views));
        ret->texts = calloc(ret->vfs_count + 1, sizeof(*ret->texts));
        ret->filters = list_uplink_filters(pf);
        return ret->views && ret->texts && ret->filters ? 0 : -ENOMEM;
}

static void fill_vf(struct manager_switch *nic_switch, struct pf *pf, struct pf_reading *reading, size_t place)
{
        static const struct pf_vf_attributes unknown;
        const struct pf_vf *vf = &reading->vfs[place];
        struct vf_text *text = &reading->texts[place];
        const struct pf_vf_attributes *attributes =
                vf->index < reading->attributes_count ? &reading->attributes[vf->index] : &unknown;
        enum vf_state state = vfs_state(nic_switch, vf, attributes, text->owner, sizeof(text->owner));
        unsigned vectors = 0;

        if (pf->driver->vectors(pf, vf->address, &vectors) < 0)
                vectors = 0;
        if (!vswitch_mac_is_zero(&attributes->mac))
                vswitch_mac_format(&attributes->mac, text->mac);
        reading->views[place] = (struct control_vf){
                .index = vf->index,
                .address = vf->address,
                .state = vfs_state_to_string(state),
                .driver = vf->driver,
                .mac = text->mac,
                .owner = text->owner,
                .vectors = vectors,
                .attributes = attributes != &unknown ? attributes : NULL,
                .statistics = vf->index < reading->statistics_count ? &reading->statistics[vf->index] : NULL,
        };
}

/* The bridge's port: the PF itself, or what stands on it. */
static const char *port_name(const struct manager_switch *nic_switch, const struct manager_pf *uplink,
                             char buffer[static IF_NAMESIZE])
{
        if (uplink->port == uplink->link.ifindex)
                return uplink->link.name;
        if (uplink->port == nic_switch->uplink.ifindex)
                return nic_switch->uplink.name;
        return if_indextoname((unsigned) uplink->port, buffer) ?: "";
}

static int each_pf(struct manager_switch *nic_switch, const struct manager_pf *uplink,
                   int (*each)(const struct control_pf *, void *), void *userdata)
{
        __attribute__((cleanup(pf_reading_clear))) struct pf_reading reading = { 0 };
        struct pf *pf = uplink->pf;
        char port[IF_NAMESIZE];
        int r = read_pf(pf, &reading);

        if (r < 0)
                return r;
        for (size_t i = 0; i < reading.vfs_count; i++)
                fill_vf(nic_switch, pf, &reading, i);
        struct control_pf view = {
                .name = pf->name,
                .switch_name = nic_switch->config->name,
                .driver = pf->kernel_driver,
                .address = pf->address,
                .up = uplink->link.up,
                .carrier = uplink->link.carrier,
                .total_vfs = pf->total_vfs,
                .steering = failover_steering_to_string(uplink->steering),
                .steering_source = uplink->steering_source,
                .port = port_name(nic_switch, uplink, port),
                .active = pf == nic_switch->pf,
                .firmware = pf->firmware_version,
                .filter_capacity = uplink->filter_capacity,
                .can_set = pf->can_set,
                .cannot_set = pf->cannot_set,
                .refusals = reading.refusals,
                .uplink_filters = reading.filters,
                .vfs = reading.views,
                .vfs_count = reading.vfs_count,
        };
        return each(&view, userdata);
}

static int pfs(void *model, int (*each)(const struct control_pf *, void *), void *userdata)
{
        struct manager *manager = model;
        int r = 0;

        for (size_t i = 0; i < manager->switches_count; i++) {
                struct manager_switch *nic_switch = &manager->switches[i];

                for (size_t j = 0; j < nic_switch->pfs_count && r == 0; j++)
                        r = each_pf(nic_switch, &nic_switch->pfs[j], each, userdata);
        }
        return r;
}

/* ---- NICs ---- */

static uint64_t to_realtime(const struct manager *manager, uint64_t monotonic)
{
        if (monotonic == 0 || monotonic == FAILOVER_NEVER)
                return 0;
        return manager_realtime() + monotonic - manager_now(manager);
}

/* 0 for what is past. */
static uint64_t to_realtime_later(const struct manager *manager, uint64_t monotonic)
{
        return monotonic > manager_now(manager) ? to_realtime(manager, monotonic) : 0;
}

static int nics(void *model, int (*each)(const struct control_nic *, void *), void *userdata)
{
        struct manager *manager = model;
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                char mac[VSWITCH_MAC_TEXT_SIZE];
                enum failover_reason reason = nic->decision.reason, failure = nic->facts.failure;
                struct explanation explanation;

                explain_nic(nic, &explanation);

                struct control_nic view = {
                        .uuid = nic->domain->uuid,
                        .domain = nic->domain->name,
                        .alias = nic->alias,
                        .mac = vswitch_mac_format(&nic->mac, mac),
                        .switch_name = nic->nic_switch->config->name,
                        .tap = nic->tap,
                        .wanted = nic->decision.wants_vf ? "vf" : "synthetic",
                        .path = provider_path(nic),
                        .situation = failover_situation_to_string(nic->decision.situation),
                        .request = nic->request,
                        .vf_allocated = nic->claim != NULL,
                        .vf = nic->claim ? nic->claim->vf_address : "",
                        .pf = nic->claim ? nic->claim->pf : "",
                        .reason = failover_reason_code(reason),
                        .reason_sentence = failover_reason_sentence(reason),
                        .remedy = failover_reason_remedy(reason),
                        .since_usec = nic->path_since_realtime,
                        .deadline_usec = to_realtime(manager, nic->decision.deadline),
                        .held = nic->facts.held,
                        .vlan = nic->wire_vlan,
                        .policy = &nic->port_policy,
                        .rule = nic->decision.rule,
                        .detail = explanation.detail,
                        .now = explanation.now,
                        .then = explanation.then,
                        .held_by = nic->facts.held ? nic->hold_by : "",
                        .trouble = explanation.trouble,
                        .retry_usec = explanation.trouble[0] ? to_realtime(manager, nic->progress.retry_at) : 0,
                        .unplug_attempts = nic->facts.unplug_attempts,
                        .failure = failover_reason_code(failure),
                        .failure_sentence = failover_reason_sentence(failure),
                        .failure_detail = failure ? nic->failure_words : "",
                        .failure_usec = failure ? nic->failed_realtime : 0,
                        .back_off_usec = to_realtime_later(manager, nic->facts.back_off_until),
                };
                int r = each(&view, userdata);

                if (r != 0)
                        return r;
        }
        return 0;
}

/* ---- changes ---- */

static struct manager_nic *find(struct manager *manager, const char *uuid, const char *alias,
                                struct vswitch_error *error, int *ret)
{
        struct manager_nic *nic = nics_find(manager, uuid, alias);

        *ret = nic ? 0
                   : vswitch_error_set(error, -ENOENT,
                                       "there is no NIC %s of guest %s on this host; see 'vswitch nic "
                                       "list'",
                                       alias, uuid);
        return nic;
}

static int nic_acquire(void *model, const char *uuid, const char *alias, const struct control_caller *caller,
                       struct vswitch_error *error)
{
        int r;
        struct manager_nic *nic = find(model, uuid, alias, error, &r);

        if (!nic)
                return r;
        if (nic->obstacle != FAILOVER_REASON_NONE)
                return vswitch_error_set(error, -EINVAL, "%s; %s", failover_reason_sentence(nic->obstacle),
                                         failover_reason_remedy(nic->obstacle));
        log_notice(nic->label, "acquire asked by %s", caller->description);
        nic->request = nic->decision.situation == FAILOVER_SITUATION_ON_VF ? "" : "acquire";
        nic->held_until_acquire = false;
        nic->hold_connection = 0;
        nic->facts.failure = FAILOVER_REASON_NONE;
        nic->facts.back_off_until = 0;
        nic->facts.unplug_refused_until = 0;
        nic->progress.retry_at = 0;
        r = nic->recorded ? nics_record(nic, error) : 0;
        manager_nic_dirty(nic);
        return r;
}

static int nic_release(void *model, const char *uuid, const char *alias, enum control_hold hold,
                       const struct control_caller *caller, struct vswitch_error *error)
{
        int r;
        struct manager *manager = model;
        struct manager_nic *nic = find(manager, uuid, alias, error, &r);

        if (!nic)
                return r;
        log_notice(nic->label, "release asked by %s", caller->description);
        nic->request = nic->claim ? "release" : "";
        nic->facts.unplug_refused_until = 0;
        if (hold != CONTROL_HOLD_NONE)
                snprintf(nic->hold_by, sizeof(nic->hold_by), "%s", caller->description);
        if (hold == CONTROL_HOLD_CONNECTION)
                nic->hold_connection = caller->connection;
        if (hold == CONTROL_HOLD_UNTIL_ACQUIRE)
                nic->held_until_acquire = true;
        if (hold == CONTROL_HOLD_NONE) {
                nic->facts.failure = FAILOVER_REASON_RELEASED_BY_REQUEST;
                nic->failed_realtime = manager_realtime();
                snprintf(nic->failure_words, sizeof(nic->failure_words), "by %s", caller->description);
                nic->facts.back_off_until = manager_now(manager) + manager->options.config->back_off_usec;
        }
        r = hold == CONTROL_HOLD_UNTIL_ACQUIRE ? nics_record(nic, error) : 0;
        manager_nic_dirty(nic);
        return r;
}

static int pf_set_vfs(void *model, const char *pf, unsigned count, bool keep, const struct control_caller *caller,
                      control_done done, void *token, struct vswitch_error *error)
{
        log_notice(pf, "%u VFs%s asked by %s", count, keep ? ", kept over a reboot," : "", caller->description);
        return pool_set_vfs(model, pf, count, keep, caller, done, token, error);
}

static int pf_reserve(void *model, const char *pf, unsigned count, const struct control_caller *caller,
                      char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error)
{
        log_notice(pf, "%u VFs taken for a probe by %s", count, caller->description);
        return pool_reserve(model, pf, count, caller, ret_addresses, error);
}

static int pf_reload(void *model, const char *pf, const struct control_caller *caller, struct vswitch_error *error)
{
        log_notice(pf, "a new probe result is to be used, says %s", caller->description);
        return steering_reload(model, pf, error);
}

static void caller_gone(void *model, uint64_t connection)
{
        struct manager *manager = model;
        struct manager_nic *nic;

        pool_caller_gone(manager, connection);
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->hold_connection == connection) {
                        nic->hold_connection = 0;
                        log_info(nic->label, "its hold ended with the connection that asked for it");
                        manager_nic_dirty(nic);
                }
}

const struct control_provider provider_table = {
        .status = status,
        .switches = switches,
        .pfs = pfs,
        .nics = nics,
        .nic_acquire = nic_acquire,
        .nic_release = nic_release,
        .nic_set_policy = set_policy_call,
        .pf_set_vfs = pf_set_vfs,
        .pf_reserve = pf_reserve,
        .pf_reload = pf_reload,
        .caller_gone = caller_gone,
        .hook = hook_call,
};
