/* SPDX-License-Identifier: Apache-2.0 */

/* What the running vswitchd says about its NICs. */

#include "src/audit/collect.h"

#include "src/control/client_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_USEC UINT64_C(5000000)

static void copy_text(const json_t *nic, const char *key, char *buffer, size_t size)
{
        snprintf(buffer, size, "%s", json_string_value(json_object_get(nic, key)) ?: "");
}

/* Nothing is about to change of a NIC that is there to stay. "unknown" is not: the daemon waits for libvirt. */
static bool is_steady(const struct audit_daemon_nic *nic)
{
        static const char *const steady[] = { "synthetic", "on-vf", "unmanaged", "absent" };

        for (size_t i = 0; i < sizeof(steady) / sizeof(steady[0]); i++)
                if (strcmp(nic->situation, steady[i]) == 0)
                        return true;
        return false;
}

static int take_nic(struct audit_picture *picture, const json_t *object)
{
        struct audit_daemon_nic *nic = audit_add(picture, daemon_nics);
        char text[VSWITCH_MAC_TEXT_SIZE], request[16];

        if (!nic)
                return -ENOMEM;
        copy_text(object, "uuid", nic->uuid, sizeof(nic->uuid));
        copy_text(object, "alias", nic->alias, sizeof(nic->alias));
        copy_text(object, "situation", nic->situation, sizeof(nic->situation));
        copy_text(object, "vf", nic->vf, sizeof(nic->vf));
        copy_text(object, "mac", text, sizeof(text));
        copy_text(object, "request", request, sizeof(request));
        (void) vswitch_mac_parse(text, &nic->mac);
        nic->vlan = (uint16_t) json_integer_value(json_object_get(object, "vlan"));
        nic->is_moving = request[0] || !is_steady(nic);
        return 0;
}

int audit_ask_daemon(const char *control_socket, struct audit_picture *picture)
{
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_json_ json_t *objects = NULL;
        struct vswitch_error error = { 0 };
        const json_t *nic;
        size_t index;
        int r = client_connect(control_socket, ANSWER_USEC, &client, &error);

        picture->daemon = AUDIT_DAEMON_DOWN;
        if (r == -ECONNREFUSED || r == -ENOMEM)
                return r == -ENOMEM ? r : 0;
        if (r == 0)
                r = client_objects(client, ANSWER_USEC, &objects, &error);
        picture->daemon = r < 0 ? AUDIT_DAEMON_SILENT : AUDIT_DAEMON_UP;
        if (r < 0) {
                snprintf(picture->daemon_sentence, sizeof(picture->daemon_sentence), "%s",
                         vswitch_error_text(&error, r));
                return 0;
        }
        json_array_foreach (json_object_get(objects, "nics"), index, nic) {
                r = take_nic(picture, nic);
                if (r < 0)
                        return r;
        }
        return 0;
}
