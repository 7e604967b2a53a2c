/* SPDX-License-Identifier: Apache-2.0 */

#include "src/control/client_json.h"
#include "src/control/protocol.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static int unreadable(struct vswitch_error *error, int r)
{
        return vswitch_error_set(error, r, "vswitchd gave an answer that cannot be read: is it of another version?");
}

/* "VfAllocated" -> "vf_allocated" */
static char *key_of(const char *property)
{
        char *key = malloc(2 * strlen(property) + 1), *to = key;

        for (const char *from = property; key && *from; from++) {
                if (isupper((unsigned char) *from) && from != property)
                        *to++ = '_';
                *to++ = (char) tolower((unsigned char) *from);
        }
        if (key)
                *to = '\0';
        return key;
}

static int read_value(sd_bus_message *message, json_t **ret);

/* a{sv}, with the keys' names changed. */
static int read_properties(sd_bus_message *message, json_t **ret)
{
        _cleanup_json_ json_t *object = json_object();
        int r;

        r = object ? sd_bus_message_enter_container(message, 'a', "{sv}") : -ENOMEM;
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                _cleanup_json_ json_t *value = NULL;
                _cleanup_free_ char *key = NULL;
                const char *property;

                r = sd_bus_message_read(message, "s", &property);
                if (r >= 0) {
                        key = key_of(property);
                        r = key ? read_value(message, &value) : -ENOMEM;
                }
                if (r >= 0)
                        r = json_object_set_new(object, key, TAKE_PTR(value)) < 0 ? -ENOMEM : 0;
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

static int read_list(sd_bus_message *message, const char *contents, json_t **ret)
{
        _cleanup_json_ json_t *list = json_array();
        int r;

        r = list ? sd_bus_message_enter_container(message, 'a', contents) : -ENOMEM;
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(message, false)) == 0) {
                _cleanup_json_ json_t *value = NULL;

                r = read_value(message, &value);
                if (r >= 0)
                        r = json_array_append_new(list, TAKE_PTR(value)) < 0 ? -ENOMEM : 0;
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}

static json_t *basic_value(char type, sd_bus_message *message)
{
        union {
                const char *string;
                int boolean;
                uint32_t unsigned32;
                uint64_t unsigned64;
        } value;

        if (sd_bus_message_read_basic(message, type, &value) < 0)
                return NULL;
        switch (type) {
        case 's':
                return json_string(value.string);
        case 'b':
                return json_boolean(value.boolean);
        case 'u':
                return json_integer(value.unsigned32);
        default:
                return json_integer((json_int_t) value.unsigned64);
        }
}

/* Any type that the object tree uses; others (of a newer daemon) are null. */
static int read_value(sd_bus_message *message, json_t **ret)
{
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(message, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        switch (type) {
        case 'v':
                r = sd_bus_message_enter_container(message, 'v', contents);
                if (r >= 0)
                        r = read_value(message, ret);
                return r < 0 ? r : sd_bus_message_exit_container(message);
        case 'a':
                if (strcmp(contents, "{sv}") == 0)
                        return read_properties(message, ret);
                return read_list(message, contents, ret);
        case 's':
        case 'b':
        case 'u':
        case 't':
                *ret = basic_value(type, message);
                return *ret ? 0 : -EBADMSG;
        default: {
                char signature[256];

                if ((size_t) snprintf(signature, sizeof(signature), "%c%s", type, contents ?: "") >= sizeof(signature))
                        return -EBADMSG;
                *ret = json_null();
                return sd_bus_message_skip(message, signature);
        }
        }
}

static const char *text_of(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key)) ?: "";
}

/* First, for people who read JSON. */
static int add_nic_name(json_t **nic)
{
        _cleanup_json_ json_t *properties = *nic;

        *nic = json_pack("{s:o}", "nic",
                         json_sprintf("%s/%s", text_of(properties, "domain"), text_of(properties, "alias")));
        return *nic && json_object_update(*nic, properties) >= 0 ? 0 : -ENOMEM;
}

/* Keeps the list ordered: the same state is always shown in the same way. */
static int insert(json_t *list, json_t *object)
{
        const char *key = json_object_get(object, "nic") ? "nic" : "name";
        size_t place = json_array_size(list);

        while (place > 0 && strcmp(text_of(json_array_get(list, place - 1), key), text_of(object, key)) > 0)
                place--;
        return json_array_insert(list, place, object) < 0 ? -ENOMEM : 0;
}

/* oa{sa{sv}}: the list in `root` to which the object belongs gets it. */
static int read_object(sd_bus_message *message, json_t *root)
{
        static const struct {
                const char *interface;
                const char *list;
        } kinds[] = { { PROTOCOL_SWITCH, "switches" }, { PROTOCOL_PF, "pfs" }, { PROTOCOL_NIC, "nics" } };
        const char *path, *interface;
        int r;

        r = sd_bus_message_read(message, "o", &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sa{sv}")) > 0) {
                _cleanup_json_ json_t *object = NULL;

                r = sd_bus_message_read(message, "s", &interface);
                if (r >= 0)
                        r = read_properties(message, &object);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                        if (strcmp(interface, kinds[i].interface) == 0) {
                                if (strcmp(interface, PROTOCOL_NIC) == 0 && add_nic_name(&object) < 0)
                                        return -ENOMEM;
                                if (insert(json_object_get(root, kinds[i].list), object) < 0)
                                        return -ENOMEM;
                        }
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_daemon(struct client *client, uint64_t deadline, json_t *root, struct vswitch_error *error)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        json_t *object = NULL;
        uint64_t now = client_now();
        int r;

        r = client_call(client, CONTROL_PATH, "org.freedesktop.DBus.Properties", "GetAll",
                        deadline > now ? deadline - now : 0, &reply, error, "s", PROTOCOL_MANAGER);
        if (r < 0)
                return r;
        r = read_properties(reply, &object);
        if (r >= 0)
                r = json_object_set_new(root, "daemon", object) < 0 ? -ENOMEM : 0;
        return r < 0 ? unreadable(error, r) : 0;
}

static int read_objects(struct client *client, uint64_t deadline, json_t *root, struct vswitch_error *error)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        uint64_t now = client_now();
        int r;

        r = client_call(client, CONTROL_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                        deadline > now ? deadline - now : 0, &reply, error, NULL);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0) {
                r = read_object(reply, root);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? unreadable(error, r) : 0;
}

int client_objects(struct client *client, uint64_t timeout_usec, json_t **ret, struct vswitch_error *error)
{
        uint64_t deadline = client_now() + timeout_usec;
        _cleanup_json_ json_t *root = json_pack("{s:i, s:{}, s:[], s:[], s:[]}", "version", CLIENT_JSON_VERSION,
                                                "daemon", "switches", "pfs", "nics");
        int r;

        if (!root)
                return vswitch_error_set(error, -ENOMEM, "out of memory");
        r = read_daemon(client, deadline, root, error);
        if (r >= 0)
                r = read_objects(client, deadline, root, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(root);
        return 0;
}

int client_nic(struct client *client, const char *uuid, const char *alias, uint64_t timeout_usec, json_t **ret,
               struct vswitch_error *error)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_json_ json_t *nic = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode_many(&path, PROTOCOL_NIC_PATH, uuid, alias);
        if (r < 0)
                return r;
        r = client_call(client, path, "org.freedesktop.DBus.Properties", "GetAll", timeout_usec, &reply, error, "s",
                        PROTOCOL_NIC);
        if (r < 0)
                return r;
        r = read_properties(reply, &nic);
        if (r >= 0)
                r = add_nic_name(&nic);
        if (r < 0)
                return unreadable(error, r);
        *ret = TAKE_PTR(nic);
        return 0;
}
