/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The methods that change something, and the hook's call.
 *
 * Some calls (the hook's, SetVfs) are answered when the model says so, which can be after their connection has ended
 * and even after the server has. The token that the model holds is therefore an object of its own: it keeps the call's
 * message (and so the bus) alive, and forgets them when the server ends.
 */

#include "src/control/server.h"

#include <errno.h>

#define RESERVE_MAX 64 /* a probe needs a handful */

struct late_call *late_call_new(struct control *control, sd_bus_message *call)
{
        struct late_call *late_call = calloc(1, sizeof(*late_call));

        if (!late_call)
                return NULL;
        late_call->control = control;
        late_call->call = sd_bus_message_ref(call);
        late_call->next = control->late_calls;
        control->late_calls = late_call;
        return late_call;
}

void late_call_free(struct late_call *late_call)
{
        if (late_call->control)
                for (struct late_call **link = &late_call->control->late_calls; *link; link = &(*link)->next)
                        if (*link == late_call) {
                                *link = late_call->next;
                                break;
                        }
        sd_bus_message_unref(late_call->call);
        free(late_call);
}

void methods_forget_late_calls(struct control *control)
{
        while (control->late_calls) {
                struct late_call *late_call = control->late_calls;

                control->late_calls = late_call->next;
                late_call->control = NULL;
                late_call->call = sd_bus_message_unref(late_call->call);
        }
}

int methods_answer(sd_bus_message *call, int result, const struct vswitch_error *error)
{
        if (result < 0)
                return sd_bus_reply_method_errorf(call, protocol_error_name(result), "%s",
                                                  vswitch_error_text(error, result));
        return sd_bus_reply_method_return(call, NULL);
}

/*
 * NICs
 */

static int nic_of(sd_bus_message *call, char **ret_uuid, char **ret_alias)
{
        int r = sd_bus_path_decode_many(sd_bus_message_get_path(call), PROTOCOL_NIC_PATH, ret_uuid, ret_alias);

        return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int methods_acquire(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        _cleanup_free_ char *uuid = NULL, *alias = NULL;
        struct vswitch_error error = {};
        int r;

        r = nic_of(call, &uuid, &alias);
        if (r < 0)
                return r;
        r = control->provider->nic_acquire(control->model, uuid, alias, caller, &error);
        return methods_answer(call, r, &error);
}

int methods_release(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        _cleanup_free_ char *uuid = NULL, *alias = NULL;
        struct vswitch_error error = {};
        enum control_hold hold;
        const char *text;
        int r;

        r = nic_of(call, &uuid, &alias);
        if (r >= 0)
                r = sd_bus_message_read(call, "s", &text);
        if (r < 0)
                return r;
        r = protocol_hold_from_string(text, &hold);
        if (r < 0)
                vswitch_error_set(&error, r, "\"%s\" is no hold: use none, connection or until-acquire", text);
        else
                r = control->provider->nic_release(control->model, uuid, alias, hold, caller, &error);
        return methods_answer(call, r, &error);
}

/*
 * PFs
 */

static int pf_of(sd_bus_message *call, char **ret)
{
        int r = sd_bus_path_decode_many(sd_bus_message_get_path(call), PROTOCOL_PF_PATH, ret);

        return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

static void set_vfs_done(int result, const char *sentence, void *token)
{
        struct late_call *late_call = token;
        struct vswitch_error error = {};

        if (result < 0 && sentence)
                vswitch_error_set(&error, result, "%s", sentence);
        if (late_call->control)
                (void) methods_answer(late_call->call, result, &error);
        late_call_free(late_call);
}

int methods_set_vfs(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        _cleanup_free_ char *pf = NULL;
        struct vswitch_error error = {};
        struct late_call *late_call;
        uint32_t count;
        int keep, r;

        r = pf_of(call, &pf);
        if (r >= 0)
                r = sd_bus_message_read(call, "ub", &count, &keep);
        if (r < 0)
                return r;
        late_call = late_call_new(control, call);
        if (!late_call)
                return -ENOMEM;
        r = control->provider->pf_set_vfs(control->model, pf, count, keep, caller, set_vfs_done, late_call, &error);
        if (r >= 0)
                return 0;
        late_call_free(late_call);
        return methods_answer(call, r, &error);
}

int methods_reserve(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        char(*addresses)[PF_ADDRESS_SIZE] __attribute__((cleanup(cleanup_freep))) = NULL;
        _cleanup_free_ char **list = NULL;
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_free_ char *pf = NULL;
        struct vswitch_error error = {};
        uint32_t count;
        int r;

        r = pf_of(call, &pf);
        if (r >= 0)
                r = sd_bus_message_read(call, "u", &count);
        if (r < 0)
                return r;
        if (count == 0 || count > RESERVE_MAX)
                return methods_answer(call,
                                      vswitch_error_set(&error, -EINVAL, "between 1 and %d VFs can be reserved",
                                                        RESERVE_MAX),
                                      &error);
        addresses = calloc(count, sizeof(*addresses));
        list = calloc((size_t) count + 1, sizeof(*list));
        if (!addresses || !list)
                return -ENOMEM;
        r = control->provider->pf_reserve(control->model, pf, count, caller, addresses, &error);
        if (r < 0)
                return methods_answer(call, r, &error);
        for (uint32_t i = 0; i < count; i++)
                list[i] = addresses[i];
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, list);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int methods_reload(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        _cleanup_free_ char *pf = NULL;
        struct vswitch_error error = {};
        int r;

        r = pf_of(call, &pf);
        if (r < 0)
                return r;
        r = control->provider->pf_reload(control->model, pf, caller, &error);
        return methods_answer(call, r, &error);
}

/*
 * The hook
 */

static void hook_reply(void *reply_token, const char *xml, const char *refuse)
{
        struct late_call *late_call = reply_token;

        /* A hook that has given up waiting is not there any more; its guest is the model's business. */
        if (late_call->control)
                (void) sd_bus_reply_method_return(late_call->call, "bss", refuse != NULL, refuse ?: "", xml ?: "");
        late_call_free(late_call);
}

int methods_hook(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        const char *domain, *operation, *sub_operation, *extra, *xml;
        struct late_call *late_call;
        int r;

        r = sd_bus_message_read(call, "sssss", &domain, &operation, &sub_operation, &extra, &xml);
        if (r < 0)
                return r;
        late_call = late_call_new(control, call);
        if (!late_call)
                return -ENOMEM;
        /* The strings are in the message, which the token keeps. */
        control->provider->hook(control->model, domain, operation, sub_operation, extra, xml, hook_reply, late_call);
        return 0;
}
