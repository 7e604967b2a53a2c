/* SPDX-License-Identifier: Apache-2.0 */

/* The model as the control channel shows it, and what the control channel may ask of it. */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
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

static int switches(void *model, int (*each)(const struct control_switch *, void *), void *userdata)
{
        const struct manager *manager = model;

        for (size_t i = 0; i < manager->switches_count; i++) {
                const struct manager_switch *nic_switch = &manager->switches[i];
                struct control_switch view = {
                        .name = nic_switch->config->name,
                        .driver = manager->options.softswitch_driver->name,
                        .device = nic_switch->config->bridge,
                        .uplink = nic_switch->uplink.name,
                        .usable = nic_switch->sentence[0] == '\0',
                        .reason = nic_switch->sentence,
                };
                int r = each(&view, userdata);

                if (r != 0)
                        return r;
        }
        return 0;
}

/* ---- PFs ---- */

struct vf_text {
        char owner[192];
        char mac[VSWITCH_MAC_TEXT_SIZE];
};

static void fill_vf(struct manager_switch *nic_switch, const struct pf_vf *vf, struct vf_text *text,
                    struct control_vf *ret)
{
        struct pf *pf = nic_switch->pf;
        struct pf_vf_attributes attributes = { 0 };
        enum vf_state state;
        unsigned vectors = 0;

        pf->driver->read_attributes(pf, vf->index, &attributes, NULL);
        state = vfs_state(nic_switch, vf, &attributes, text->owner, sizeof(text->owner));
        if (pf->driver->vectors(pf, vf->address, &vectors) < 0)
                vectors = 0;
        if (!vswitch_mac_is_zero(&attributes.mac))
                vswitch_mac_format(&attributes.mac, text->mac);
        *ret = (struct control_vf){
                .index = vf->index,
                .address = vf->address,
                .state = vfs_state_to_string(state),
                .driver = vf->driver,
                .mac = text->mac,
                .owner = text->owner,
                .vectors = vectors,
        };
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

static int each_pf(struct manager_switch *nic_switch, int (*each)(const struct control_pf *, void *), void *userdata)
{
        struct pf *pf = nic_switch->pf;
        struct pf_vf *vfs = NULL;
        size_t count = 0;
        int r = -ENOMEM;

        if (pf->driver->list_vfs(pf, &vfs, &count, NULL) < 0)
                count = 0;
        struct control_vf *views = calloc(count + 1, sizeof(*views));
        struct vf_text *texts = calloc(count + 1, sizeof(*texts));
        const char **filters = list_uplink_filters(pf);

        if (views && texts && filters) {
                for (size_t i = 0; i < count; i++)
                        fill_vf(nic_switch, &vfs[i], &texts[i], &views[i]);
                struct control_pf view = {
                        .name = pf->name,
                        .switch_name = nic_switch->config->name,
                        .driver = pf->kernel_driver,
                        .address = pf->address,
                        .up = nic_switch->uplink.up,
                        .carrier = nic_switch->uplink.carrier,
                        .total_vfs = pf->total_vfs,
                        .steering = failover_steering_to_string(nic_switch->steering),
                        .uplink_filters = filters,
                        .vfs = views,
                        .vfs_count = count,
                };
                r = each(&view, userdata);
        }
        free(filters);
        free(texts);
        free(views);
        free(vfs);
        return r;
}

static int pfs(void *model, int (*each)(const struct control_pf *, void *), void *userdata)
{
        struct manager *manager = model;

        for (size_t i = 0; i < manager->switches_count; i++) {
                int r = manager->switches[i].pf ? each_pf(&manager->switches[i], each, userdata) : 0;

                if (r != 0)
                        return r;
        }
        return 0;
}

/* ---- NICs ---- */

static uint64_t to_realtime(const struct manager *manager, uint64_t monotonic)
{
        if (monotonic == 0 || monotonic == FAILOVER_NEVER)
                return 0;
        return manager_realtime() + monotonic - manager_now(manager);
}

static int nics(void *model, int (*each)(const struct control_nic *, void *), void *userdata)
{
        struct manager *manager = model;
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry) {
                char mac[VSWITCH_MAC_TEXT_SIZE];
                enum failover_reason reason = nic->decision.reason;
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
        nic->retry_at = 0;
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
        if (hold == CONTROL_HOLD_CONNECTION)
                nic->hold_connection = caller->connection;
        if (hold == CONTROL_HOLD_UNTIL_ACQUIRE)
                nic->held_until_acquire = true;
        if (hold == CONTROL_HOLD_NONE) {
                nic->facts.failure = FAILOVER_REASON_RELEASED_BY_REQUEST;
                nic->facts.back_off_until = manager_now(manager) + manager->options.config->back_off_usec;
        }
        r = hold == CONTROL_HOLD_UNTIL_ACQUIRE ? nics_record(nic, error) : 0;
        manager_nic_dirty(nic);
        return r;
}

static void caller_gone(void *model, uint64_t connection)
{
        struct manager *manager = model;
        struct manager_nic *nic;

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
        .caller_gone = caller_gone,
        .hook = hook_call,
};
