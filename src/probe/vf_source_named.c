/* SPDX-License-Identifier: Apache-2.0 */

/* VFs that the operator names. They are his to give, but not if somebody visibly uses them. */

#include "src/probe/vf_source.h"

#include "src/control/cleanup.h"
#include "src/control/client.h"
#include "vswitch/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct named_source {
        struct vf_source source;
        struct vswitch_netlink *netlink;
        char *addresses;
        char *socket_path;
        uint64_t answer_usec;
};

static int find_vf(struct pf *pf, const char *address, struct pf_vf *ret, struct vswitch_error *error)
{
        _cleanup_free_ struct pf_vf *vfs = NULL;
        size_t count = 0;
        int r = pf->driver->list_vfs(pf, &vfs, &count, error);

        for (size_t i = 0; r == 0 && i < count; i++)
                if (strcmp(vfs[i].address, address) == 0) {
                        *ret = vfs[i];
                        return 0;
                }
        return r < 0 ? r : vswitch_error_set(error, -ENODEV, "%s is no VF of %s", address, pf->name);
}

static int check_unused(const struct named_source *named, const struct pf_vf *vf, struct vswitch_error *error)
{
        struct vswitch_link link = { 0 };
        bool is_open = false;
        int r = pf_vf_is_open(vf->address, &is_open, error);

        if (r < 0)
                return r;
        if (is_open)
                return vswitch_error_set(error, -EBUSY, "VF %s is in use: a process has it open through VFIO",
                                         vf->address);
        if (vf->netdev[0] != '\0' && vswitch_link_get_by_name(named->netlink, vf->netdev, &link, NULL) == 0 &&
            (link.up || link.master != 0))
                return vswitch_error_set(error, -EBUSY,
                                         "VF %s is in use: its netdev %s is %s; name another VF, or set it down and "
                                         "take it out",
                                         vf->address, vf->netdev, link.master != 0 ? "a port of something" : "up");
        if (vf->driver[0] != '\0' && vf->netdev[0] == '\0' && !strstr(vf->driver, "vfio"))
                return vswitch_error_set(
                        error, -EBUSY, "VF %s is in use: it has driver %s and no netdev here; it may be a container's",
                        vf->address, vf->driver);
        return 0;
}

static int named_take(struct vf_source *source, struct pf *pf, unsigned count, char (*ret_addresses)[PF_ADDRESS_SIZE],
                      struct vswitch_error *error)
{
        struct named_source *named = (struct named_source *) source;
        _cleanup_free_ char *addresses = strdup(named->addresses);
        unsigned found = 0;
        char *rest = NULL;

        if (!addresses)
                return -ENOMEM;
        for (char *address = strtok_r(addresses, ",", &rest); address; address = strtok_r(NULL, ",", &rest)) {
                struct pf_vf vf = { 0 };
                int r = find_vf(pf, address, &vf, error);

                if (r == 0)
                        r = check_unused(named, &vf, error);
                if (r < 0)
                        return r;
                for (unsigned i = 0; i < found; i++)
                        if (strcmp(ret_addresses[i], vf.address) == 0)
                                return vswitch_error_set(error, -EINVAL, "VF %s is named twice", vf.address);
                if (found == count)
                        break;
                snprintf(ret_addresses[found++], PF_ADDRESS_SIZE, "%s", vf.address);
        }
        if (found < count)
                return vswitch_error_set(error, -EINVAL, "%u VFs are needed, and %u named: --vfs ADDRESS,ADDRESS",
                                         count, found);
        return 0;
}

static int named_keep(struct vf_source *source, struct vswitch_error *error)
{
        return 0;
}

static int named_reload(struct vf_source *source, const struct pf *pf, struct vswitch_error *error)
{
        struct named_source *named = (struct named_source *) source;
        _cleanup_(client_freep) struct client *client = NULL;
        int r = client_connect(named->socket_path, named->answer_usec, &client, error);

        return r < 0 ? r : client_pf_reload(client, pf->name, named->answer_usec, error);
}

static void named_free(struct vf_source *source)
{
        struct named_source *named = (struct named_source *) source;

        free(named->addresses);
        free(named->socket_path);
        free(named);
}

int vf_source_named_new(struct vswitch_netlink *netlink, const char *addresses, const char *socket_path,
                        uint64_t answer_usec, struct vf_source **ret, struct vswitch_error *error)
{
        struct named_source *named = calloc(1, sizeof(*named));

        if (!named)
                return -ENOMEM;
        named->source = (struct vf_source){ named_take, named_keep, named_reload, named_free };
        named->netlink = netlink;
        named->answer_usec = answer_usec;
        named->addresses = strdup(addresses);
        named->socket_path = strdup(socket_path);
        *ret = &named->source;
        if (named->addresses && named->socket_path)
                return 0;
        named_free(&named->source);
        *ret = NULL;
        return -ENOMEM;
}
