/* SPDX-License-Identifier: Apache-2.0 */

/* org.vswitch1.Manager.SetPolicy. Of the manager and not of a NIC: a guest that does not run has no NIC here. */

#include "src/control/server.h"

#include <errno.h>
#include <string.h>

#define CHANGES_MAX 32 /* there are nine keys */

static int append(sd_bus_message *reply, const char *key, const char *value)
{
        return value && (value[0] || strcmp(key, "note") != 0) ? sd_bus_message_append(reply, "{ss}", key, value) : 0;
}

static int answer_written(sd_bus_message *call, const char *note, const char *live, const char *config)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{ss}");
        if (r >= 0)
                r = append(reply, "live", live);
        if (r >= 0)
                r = append(reply, "config", config);
        if (r >= 0)
                r = append(reply, "note", note);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void done(int result, const char *sentence, const char *live, const char *config, void *token)
{
        struct late_call *late_call = token;
        struct vswitch_error error = {};

        if (late_call->control && result < 0) {
                if (sentence && sentence[0])
                        vswitch_error_set(&error, result, "%s", sentence);
                (void) methods_answer(late_call->call, result, &error);
        } else if (late_call->control) {
                (void) answer_written(late_call->call, sentence, live, config);
        }
        late_call_free(late_call);
}

/* The strings are the message's. */
static int read_changes(sd_bus_message *call, struct control_policy_change *ret, size_t *ret_count)
{
        int r = sd_bus_message_enter_container(call, 'a', "{ss}");

        while (r >= 0 && *ret_count < CHANGES_MAX) {
                struct control_policy_change *change = &ret[*ret_count];

                r = sd_bus_message_read(call, "{ss}", &change->key, &change->value);
                if (r <= 0)
                        return r < 0 ? r : sd_bus_message_exit_container(call);
                (*ret_count)++;
        }
        return r < 0 ? r : -E2BIG;
}

static int read_flags(sd_bus_message *call, uint32_t *ret, struct vswitch_error *error)
{
        enum control_policy_flag flag;
        const char *text;
        int r = sd_bus_message_enter_container(call, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read(call, "s", &text)) > 0) {
                r = protocol_policy_flag_from_string(text, &flag);
                if (r < 0)
                        return vswitch_error_set(error, r, "\"%s\" is no flag: use live, config, replace or dry-run",
                                                 text);
                *ret |= flag;
        }
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

int methods_set_policy(struct endpoint *endpoint, sd_bus_message *call, const struct control_caller *caller)
{
        struct control *control = endpoint->control;
        struct control_policy_change changes[CHANGES_MAX];
        struct vswitch_error error = {};
        const char *domain, *alias;
        struct late_call *late_call;
        uint32_t flags = 0;
        size_t count = 0;
        int r;

        r = sd_bus_message_read(call, "ss", &domain, &alias);
        if (r >= 0)
                r = read_changes(call, changes, &count);
        if (r >= 0)
                r = read_flags(call, &flags, &error);
        if (r < 0)
                return error.text[0] ? methods_answer(call, r, &error) : r;
        late_call = late_call_new(control, call);
        if (!late_call)
                return -ENOMEM;
        r = control->provider->nic_set_policy(control->model, domain, alias, changes, count, flags, caller, done,
                                              late_call, &error);
        if (r >= 0)
                return 0;
        late_call_free(late_call);
        return methods_answer(call, r, &error);
}
