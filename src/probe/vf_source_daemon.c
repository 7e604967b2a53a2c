/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon's VFs. The reservation is bound to the connection, which is therefore kept and read from: a client that
 * does not take in what the daemon tells is taken for dead. */

#include "src/probe/vf_source.h"

#include "src/control/cleanup.h"
#include "src/control/client.h"

#include <errno.h>

struct daemon_source {
        struct vf_source source;
        struct client *client;
        uint64_t answer_usec;
};

static int daemon_take(struct vf_source *source, struct pf *pf, unsigned count, char (*ret_addresses)[PF_ADDRESS_SIZE],
                       struct vswitch_error *error)
{
        struct daemon_source *daemon = (struct daemon_source *) source;

        return client_pf_reserve(daemon->client, pf->name, count, daemon->answer_usec, ret_addresses, error);
}

static int daemon_keep(struct vf_source *source, struct vswitch_error *error)
{
        int r = client_wait(((struct daemon_source *) source)->client, 0, error);

        return r < 0 ? vswitch_error_prefix(error, r, "the VFs are not reserved any more") : 0;
}

static int daemon_reload(struct vf_source *source, const struct pf *pf, struct vswitch_error *error)
{
        struct daemon_source *daemon = (struct daemon_source *) source;

        return client_pf_reload(daemon->client, pf->name, daemon->answer_usec, error);
}

static void daemon_free(struct vf_source *source)
{
        client_free(((struct daemon_source *) source)->client);
        free(source);
}

int vf_source_daemon_new(const char *socket_path, uint64_t answer_usec, struct vf_source **ret,
                         struct vswitch_error *error)
{
        _cleanup_free_ struct daemon_source *daemon = calloc(1, sizeof(*daemon));
        int r;

        if (!daemon)
                return -ENOMEM;
        r = client_connect(socket_path, answer_usec, &daemon->client, error);
        if (r < 0)
                return r;
        daemon->answer_usec = answer_usec;
        daemon->source = (struct vf_source){ daemon_take, daemon_keep, daemon_reload, daemon_free };
        *ret = &TAKE_PTR(daemon)->source;
        return 0;
}
