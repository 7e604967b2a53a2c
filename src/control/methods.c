/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The methods that change something, and the hook's call.
 *
 * A hook call is answered when the model says so, which can be after its connection has ended and even after the
 * server has. The token that the model holds is therefore an object of its own: it keeps the call's message (and so
 * the bus) alive, and forgets them when the server ends.
 */

#include "src/control/server.h"

#include <errno.h>

struct hook_call {
        struct control *control; /* NULL: the server has ended */
        sd_bus_message *call;
        struct hook_call *next;
};

static int answer(sd_bus_message *call, int result, const struct vswitch_error *error)
{
        if (result < 0)
                return sd_bus_reply_method_errorf(call, protocol_error_name(result), "%s",
                                                  vswitch_error_text(error, result));
        return sd_bus_reply_method_return(call, NULL);
}

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
        return answer(call, r, &error);
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
        return answer(call, r, &error);
}

static void hook_call_free(struct hook_call *hook_call)
{
        if (hook_call->control)
                for (struct hook_call **link = &hook_call->control->hook_calls; *link; link = &(*link)->next)
                        if (*link == hook_call) {
                                *link = hook_call->next;
                                break;
                        }
        sd_bus_message_unref(hook_call->call);
        free(hook_call);
}

static void hook_reply(void *reply_token, const char *xml, const char *refuse)
{
        struct hook_call *hook_call = reply_token;

        /* A hook that has given up waiting is not there any more; its guest is the model's business. */
        if (hook_call->control)
                (void) sd_bus_reply_method_return(hook_call->call, "bss", refuse != NULL, refuse ?: "", xml ?: "");
        hook_call_free(hook_call);
}

int methods_hook(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        const char *domain, *operation, *sub_operation, *extra, *xml;
        struct hook_call *hook_call;
        int r;

        r = sd_bus_message_read(call, "sssss", &domain, &operation, &sub_operation, &extra, &xml);
        if (r < 0)
                return r;
        hook_call = calloc(1, sizeof(*hook_call));
        if (!hook_call)
                return -ENOMEM;
        hook_call->control = control;
        hook_call->call = sd_bus_message_ref(call);
        hook_call->next = control->hook_calls;
        control->hook_calls = hook_call;
        /* The strings are in the message, which the token keeps. */
        control->provider->hook(control->model, domain, operation, sub_operation, extra, xml, hook_reply, hook_call);
        return 0;
}

void methods_forget_hook_calls(struct control *control)
{
        while (control->hook_calls) {
                struct hook_call *hook_call = control->hook_calls;

                control->hook_calls = hook_call->next;
                hook_call->control = NULL;
                hook_call->call = sd_bus_message_unref(hook_call->call);
        }
}
