/* SPDX-License-Identifier: Apache-2.0 */

/* Which NICs the user means by "DOMAIN" or "DOMAIN/ALIAS". */

#include "src/cli/cli.h"
#include "src/control/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int not_found(struct cli *cli, const json_t *root, const char *what, const char *name)
{
        const json_t *daemon = json_object_get(root, "daemon");

        if (!json_is_true(json_object_get(daemon, "libvirt_connected")))
                return cli_fail(cli, CLI_NOT_FOUND, "there is no %s \"%s\" here; vswitchd hears nothing of libvirt: %s",
                                what, name, table_text(daemon, "libvirt_sentence"));
        return cli_fail(cli, CLI_NOT_FOUND, "there is no %s \"%s\" here; `vswitch nic list` shows what there is", what,
                        name);
}

static bool is_of_domain(const json_t *nic, const char *domain, size_t length)
{
        const char *name = table_text(nic, "domain"), *uuid = table_text(nic, "uuid");

        return (strlen(name) == length && strncmp(name, domain, length) == 0) ||
               (strlen(uuid) == length && strncasecmp(uuid, domain, length) == 0);
}

int cli_find_nics(struct cli *cli, const json_t *root, const char *name, json_t **ret)
{
        const char *slash = name ? strrchr(name, '/') : NULL;
        size_t length = slash ? (size_t) (slash - name) : name ? strlen(name) : 0, index;
        _cleanup_json_ json_t *matching = json_array();
        bool domain_known = false;
        const json_t *nic;

        json_array_foreach (json_object_get(root, "nics"), index, nic) {
                if (name && !is_of_domain(nic, name, length))
                        continue;
                domain_known = true;
                if (!slash || strcmp(slash + 1, table_text(nic, "alias")) == 0)
                        json_array_append(matching, (json_t *) nic);
        }
        if (name && !domain_known) {
                char domain[256];

                snprintf(domain, sizeof(domain), "%.*s", (int) length, name);
                return not_found(cli, root, "NIC of a domain", domain);
        }
        if (name && json_array_size(matching) == 0)
                return not_found(cli, root, "NIC", name);
        *ret = TAKE_PTR(matching);
        return CLI_OK;
}

int cli_find_nic(struct cli *cli, const json_t *root, const char *name, const json_t **ret)
{
        _cleanup_json_ json_t *matching = NULL;
        char choices[512] = "";
        size_t index;
        const json_t *nic;
        int code = cli_find_nics(cli, root, name, &matching);

        if (code != CLI_OK)
                return code;
        if (json_array_size(matching) == 1) {
                *ret = json_array_get(matching, 0); /* `root` has it, too */
                return CLI_OK;
        }
        json_array_foreach (matching, index, nic) {
                size_t used = strlen(choices);

                snprintf(choices + used, sizeof(choices) - used, "%s%s", used ? ", " : "", table_text(nic, "nic"));
        }
        return cli_fail(cli, CLI_USAGE, "the domain has %zu NICs; say which: %s", json_array_size(matching), choices);
}
