/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The object tree: which paths there are and what their properties show. docs/control-api.md is its description.
 *
 * Nothing is registered per object: sd-bus asks for a path (find), then for the properties of what was found. The
 * provider's model is the only list there is, so the tree cannot disagree with it.
 */

#include "src/control/server.h"

#include <errno.h>
#include <string.h>

#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES  SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

/* The getters find their field by the offset in the vtable. */

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "s", *(const char **) userdata);
}

static int get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "b", (int) *(bool *) userdata);
}

static int get_unsigned(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "u", *(unsigned *) userdata);
}

static int get_uint64(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "t", *(uint64_t *) userdata);
}

static int get_strings(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append_strv(reply, *(char ***) userdata);
}

/* A method gets the views, too: they know on which bus its object was found last, which is this call's. */

static int call_acquire(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_acquire);
}

static int call_release(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_release);
}

static int call_set_vfs(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_set_vfs);
}

static int call_reserve(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_reserve);
}

static int call_reload(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_reload);
}

static int call_set_policy(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_set_policy);
}

static int call_hook(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return peer_authorise(((struct views *) userdata)->endpoint, call, methods_hook);
}

#define PROPERTY(name, signature, get, field, flags)                                                                   \
        SD_BUS_PROPERTY(name, signature, get, offsetof(struct views, field), flags)
#define STRING(name, field, flags) PROPERTY(name, "s", get_string, field, flags)
#define BOOL(name, field, flags)   PROPERTY(name, "b", get_bool, field, flags)
#define UINT32(name, field, flags) PROPERTY(name, "u", get_unsigned, field, flags)
#define UINT64(name, field, flags) PROPERTY(name, "t", get_uint64, field, flags)

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        STRING("Version", status.version, CONSTANT),
        UINT64("StartedUsec", status.started_usec, CONSTANT),
        BOOL("LibvirtConnected", status.libvirt_connected, 0),
        STRING("LibvirtSentence", status.libvirt_sentence, 0),
        UINT64("Resyncs", status.resyncs, 0),
        UINT64("MovesCompleted", status.moves_completed, 0),
        UINT64("MovesFailed", status.moves_failed, 0),
        SD_BUS_METHOD_WITH_NAMES("Hook", "sssss",
                                 SD_BUS_PARAM(domain) SD_BUS_PARAM(operation) SD_BUS_PARAM(sub_operation)
                                         SD_BUS_PARAM(extra) SD_BUS_PARAM(xml),
                                 "bss", SD_BUS_PARAM(refuse) SD_BUS_PARAM(sentence) SD_BUS_PARAM(xml), call_hook,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetPolicy", "ssa{ss}as",
                                 SD_BUS_PARAM(domain) SD_BUS_PARAM(alias) SD_BUS_PARAM(changes) SD_BUS_PARAM(flags),
                                 "a{ss}", SD_BUS_PARAM(written), call_set_policy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("Event", "tsss",
                                 SD_BUS_PARAM(realtime_usec) SD_BUS_PARAM(kind) SD_BUS_PARAM(subject)
                                         SD_BUS_PARAM(sentence),
                                 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable switch_vtable[] = {
        SD_BUS_VTABLE_START(0),
        STRING("Name", switch_.name, CONSTANT),
        STRING("Driver", switch_.driver, CONSTANT),
        STRING("Device", switch_.device, CONSTANT),
        STRING("Uplink", switch_.uplink, 0),
        BOOL("Usable", switch_.usable, 0),
        STRING("Reason", switch_.reason, 0),
        BOOL("Iov", switch_.iov, 0),
        BOOL("FiltersVlans", switch_.filters_vlans, 0),
        PROPERTY("Pfs", "as", get_strings, switch_.pfs, 0),
        STRING("Obstacle", switch_.obstacle, 0),
        STRING("ObstacleSentence", switch_.obstacle_sentence, 0),
        STRING("Remedy", switch_.remedy, 0),
        PROPERTY("Neighbours", "aa{sv}", dictionaries_neighbours, switch_, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable pf_vtable[] = {
        SD_BUS_VTABLE_START(0),
        STRING("Name", pf.name, CONSTANT),
        STRING("Switch", pf.switch_name, 0),
        STRING("Driver", pf.driver, 0),
        STRING("Address", pf.address, 0),
        BOOL("Up", pf.up, 0),
        BOOL("Carrier", pf.carrier, 0),
        UINT32("TotalVfs", pf.total_vfs, 0),
        STRING("Steering", pf.steering, 0),
        STRING("SteeringSource", pf.steering_source, 0),
        STRING("Port", pf.port, 0),
        BOOL("Active", pf.active, 0),
        STRING("Firmware", pf.firmware, 0),
        UINT32("FilterCapacity", pf.filter_capacity, 0),
        PROPERTY("CanSet", "as", dictionaries_attribute_names, pf.can_set, 0),
        PROPERTY("CannotSet", "as", dictionaries_attribute_names, pf.cannot_set, 0),
        PROPERTY("Refusals", "as", get_strings, pf.refusals, 0),
        PROPERTY("UplinkFilters", "as", get_strings, pf.uplink_filters, 0),
        PROPERTY("Vfs", "aa{sv}", dictionaries_vfs, pf, 0),
        SD_BUS_METHOD_WITH_NAMES("SetVfs", "ub", SD_BUS_PARAM(count) SD_BUS_PARAM(keep), "", "", call_set_vfs,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reserve", "u", SD_BUS_PARAM(count), "as", SD_BUS_PARAM(addresses), call_reserve,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reload", "", "", "", "", call_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable nic_vtable[] = {
        SD_BUS_VTABLE_START(0),
        STRING("Uuid", nic.uuid, CONSTANT),
        STRING("Alias", nic.alias, CONSTANT),
        STRING("Domain", nic.domain, CHANGES),
        STRING("Mac", nic.mac, CHANGES),
        STRING("Switch", nic.switch_name, CHANGES),
        STRING("Tap", nic.tap, CHANGES),
        STRING("Wanted", nic.wanted, CHANGES),
        STRING("Path", nic.path, CHANGES),
        STRING("Situation", nic.situation, CHANGES),
        STRING("Request", nic.request, CHANGES),
        BOOL("VfAllocated", nic.vf_allocated, CHANGES),
        STRING("Vf", nic.vf, CHANGES),
        STRING("Pf", nic.pf, CHANGES),
        STRING("Reason", nic.reason, CHANGES),
        STRING("ReasonSentence", nic.reason_sentence, CHANGES),
        STRING("Remedy", nic.remedy, CHANGES),
        UINT64("SinceUsec", nic.since_usec, CHANGES),
        UINT64("DeadlineUsec", nic.deadline_usec, CHANGES),
        BOOL("Held", nic.held, CHANGES),
        UINT32("Vlan", nic.vlan, CHANGES),
        PROPERTY("Policy", "a{sv}", dictionaries_policy, nic.policy, CHANGES),
        STRING("Rule", nic.rule, CHANGES),
        STRING("Detail", nic.detail, CHANGES),
        STRING("Now", nic.now, CHANGES),
        STRING("Then", nic.then, CHANGES),
        STRING("HeldBy", nic.held_by, CHANGES),
        STRING("Trouble", nic.trouble, CHANGES),
        UINT64("RetryUsec", nic.retry_usec, CHANGES),
        UINT32("UnplugAttempts", nic.unplug_attempts, CHANGES),
        STRING("Failure", nic.failure, CHANGES),
        STRING("FailureSentence", nic.failure_sentence, CHANGES),
        STRING("FailureDetail", nic.failure_detail, CHANGES),
        UINT64("FailureUsec", nic.failure_usec, CHANGES),
        UINT64("BackOffUsec", nic.back_off_usec, CHANGES),
        SD_BUS_METHOD_WITH_NAMES("Acquire", "", "", "", "", call_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Release", "s", SD_BUS_PARAM(hold), "", "", call_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* find: 1 and the views when `path` is an object of that kind, else 0. */

static int found(struct endpoint *endpoint, int result, void **ret_found)
{
        struct views *views = &endpoint->control->views;

        views->endpoint = endpoint;
        *ret_found = views;
        return result;
}

static uint64_t round_of(const struct control *control)
{
        uint64_t round = 0;

        sd_event_get_iteration(control->loop, &round);
        return round;
}

static int find_manager(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                        sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;
        struct control *control = endpoint->control;

        if (strcmp(path, CONTROL_PATH) != 0)
                return 0;
        return found(endpoint, views_find_status(&control->views, control->provider, control->model), ret_found);
}

static int find_switch(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                       sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;
        struct control *control = endpoint->control;
        _cleanup_free_ char *name = NULL;
        int r;

        r = sd_bus_path_decode_many(path, PROTOCOL_SWITCH_PATH, &name);
        if (r <= 0)
                return r;
        return found(endpoint, views_find_switch(&control->views, control->provider, control->model, name), ret_found);
}

static int find_pf(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                   sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;
        struct control *control = endpoint->control;
        _cleanup_free_ char *name = NULL;
        int r;

        r = sd_bus_path_decode_many(path, PROTOCOL_PF_PATH, &name);
        if (r <= 0)
                return r;
        return found(endpoint,
                     views_find_pf(&control->views, control->provider, control->model, name, round_of(control)),
                     ret_found);
}

static int find_nic(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;
        struct control *control = endpoint->control;
        _cleanup_free_ char *uuid = NULL, *alias = NULL;
        int r;

        r = sd_bus_path_decode_many(path, PROTOCOL_NIC_PATH, &uuid, &alias);
        if (r <= 0)
                return r;
        return found(endpoint, views_find_nic(&control->views, control->provider, control->model, uuid, alias),
                     ret_found);
}

/* The paths below one of the three nodes, as a growing NULL-terminated list. */
struct paths {
        char **list;
        size_t count;
};

static void paths_free(struct paths *paths)
{
        for (size_t i = 0; i < paths->count; i++)
                free(paths->list[i]);
        free(paths->list);
}

/* Takes over `path`, which is NULL when making it failed. */
static int paths_add(struct paths *paths, char *path)
{
        char **list = path ? reallocarray(paths->list, paths->count + 2, sizeof(*list)) : NULL;

        if (!list) {
                free(path);
                return -ENOMEM;
        }
        paths->list = list;
        list[paths->count++] = path;
        list[paths->count] = NULL;
        return 0;
}

static int add_switch_path(const struct control_switch *view, void *userdata)
{
        char *path = NULL;

        sd_bus_path_encode_many(&path, PROTOCOL_SWITCH_PATH, view->name);
        return paths_add(userdata, path);
}

static int add_pf_paths(struct control *control, struct paths *paths)
{
        int r = views_read_pfs(&control->views, control->provider, control->model, round_of(control));

        for (size_t i = 0; r >= 0 && i < control->views.pfs_count; i++) {
                char *path = NULL;

                sd_bus_path_encode_many(&path, PROTOCOL_PF_PATH, control->views.pfs[i].name);
                r = paths_add(paths, path);
        }
        return r;
}

static int add_nic_path(const struct control_nic *view, void *userdata)
{
        char *path = NULL;

        sd_bus_path_encode_many(&path, PROTOCOL_NIC_PATH, view->uuid, view->alias);
        return paths_add(userdata, path);
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error)
{
        struct endpoint *endpoint = userdata;
        const struct control_provider *provider = endpoint->control->provider;
        void *model = endpoint->control->model;
        _cleanup_(paths_free) struct paths paths = {};
        int r;

        r = provider->switches(model, add_switch_path, &paths);
        if (r >= 0)
                r = add_pf_paths(endpoint->control, &paths);
        if (r >= 0)
                r = provider->nics(model, add_nic_path, &paths);
        if (r < 0)
                return r;
        *ret_nodes = TAKE_PTR(paths.list);
        paths.count = 0;
        return 0;
}

int objects_add(struct endpoint *endpoint)
{
        sd_bus *bus = endpoint->bus;
        int r;

        r = sd_bus_add_fallback_vtable(bus, NULL, CONTROL_PATH, PROTOCOL_MANAGER, manager_vtable, find_manager,
                                       endpoint);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, CONTROL_PATH "/switch", PROTOCOL_SWITCH, switch_vtable,
                                               find_switch, endpoint);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, CONTROL_PATH "/pf", PROTOCOL_PF, pf_vtable, find_pf,
                                               endpoint);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, CONTROL_PATH "/nic", PROTOCOL_NIC, nic_vtable, find_nic,
                                               endpoint);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(bus, NULL, CONTROL_PATH, enumerate, endpoint);
        if (r >= 0)
                r = sd_bus_add_object_manager(bus, NULL, CONTROL_PATH);
        return r;
}
