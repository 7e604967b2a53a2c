/* SPDX-License-Identifier: Apache-2.0 */

/* The client's end of SetPolicy. */

#include "src/control/client.h"
#include "src/control/protocol.h"

#include <errno.h>
#include <string.h>

void client_policy_clear(struct client_policy *policy)
{
        free(policy->live);
        free(policy->config);
        free(policy->note);
        *policy = (struct client_policy){};
}

static int write_flags(sd_bus_message *call, uint32_t flags)
{
        int r = sd_bus_message_open_container(call, 'a', "s");

        for (uint32_t flag = 1; flag && r >= 0; flag <<= 1)
                if (flags & flag)
                        r = sd_bus_message_append(call, "s",
                                                  protocol_policy_flag_to_string((enum control_policy_flag) flag));
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int write_changes(sd_bus_message *call, const struct control_policy_change *changes, size_t changes_count)
{
        int r = sd_bus_message_open_container(call, 'a', "{ss}");

        for (size_t i = 0; i < changes_count && r >= 0; i++)
                r = sd_bus_message_append(call, "{ss}", changes[i].key, changes[i].value);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* What a newer daemon says besides is left out. */
static int read_written(sd_bus_message *reply, struct client_policy *ret)
{
        const char *key, *value;
        int r = sd_bus_message_enter_container(reply, 'a', "{ss}");

        while (r >= 0 && (r = sd_bus_message_read(reply, "{ss}", &key, &value)) > 0) {
                char **text = strcmp(key, "live") == 0     ? &ret->live
                              : strcmp(key, "config") == 0 ? &ret->config
                              : strcmp(key, "note") == 0   ? &ret->note
                                                           : NULL;

                if (!text)
                        continue;
                free(*text);
                *text = strdup(value);
                if (!*text)
                        return -ENOMEM;
        }
        return r;
}

int client_set_policy(struct client *client, const char *domain, const char *alias,
                      const struct control_policy_change *changes, size_t changes_count, uint32_t flags,
                      uint64_t timeout_usec, struct client_policy *ret, struct vswitch_error *error)
{
        _cleanup_(client_policy_clear) struct client_policy written = {};
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        int r;

        r = client_new_call(client, CONTROL_PATH, PROTOCOL_MANAGER, "SetPolicy", &call, error);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "ss", domain, alias);
        if (r >= 0)
                r = write_changes(call, changes, changes_count);
        if (r >= 0)
                r = write_flags(call, flags);
        if (r < 0) /* sd-bus takes no text that is not UTF-8 */
                return vswitch_error_set(error, r, "vswitchd cannot be asked that: %s", strerror(-r));
        r = client_send_call(client, call, timeout_usec, &reply, error);
        if (r < 0)
                return r;
        r = read_written(reply, &written);
        if (r < 0)
                return vswitch_error_set(error, r, "vswitchd gave an answer that cannot be read");
        *ret = written;
        written = (struct client_policy){}; // NOLINT(clang-analyzer-deadcode.DeadStores): its cleanup looks
        return 0;
}
