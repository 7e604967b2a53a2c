/* SPDX-License-Identifier: Apache-2.0 */

/* Ports behind which more MACs are than are listed of one port. Each is told of once, and again only when it has been as
 * it should be for CALM: a guest that makes addresses up must not fill the log, too. */

#include "src/daemon/log.h"
#include "src/daemon/neighbours.h"

#include <stdio.h>
#include <stdlib.h>

#define CALM (3600 * USEC_PER_SEC)

static struct crowded_port *find(const struct neighbourhood *neighbourhood, int ifindex)
{
        for (size_t i = 0; i < neighbourhood->crowded_count; i++)
                if (neighbourhood->crowded[i].ifindex == ifindex)
                        return &neighbourhood->crowded[i];
        return NULL;
}

static struct crowded_port *add(struct neighbourhood *neighbourhood, int ifindex)
{
        struct crowded_port *ports =
                reallocarray(neighbourhood->crowded, neighbourhood->crowded_count + 1, sizeof(*ports));

        if (!ports)
                return NULL;
        neighbourhood->crowded = ports;
        ports[neighbourhood->crowded_count] = (struct crowded_port){ .ifindex = ifindex };
        return &ports[neighbourhood->crowded_count++];
}

static void forget_calm(struct neighbourhood *neighbourhood, uint64_t now)
{
        for (size_t i = 0; i < neighbourhood->crowded_count; i++)
                if (now >= neighbourhood->crowded[i].until)
                        neighbourhood->crowded[i--] = neighbourhood->crowded[--neighbourhood->crowded_count];
}

static void tell(struct manager *manager, int ifindex)
{
        char port[VSWITCH_LINK_TEXT_SIZE], text[384];

        vswitch_link_describe(ifindex, port);
        snprintf(text, sizeof(text),
                 "more than %d addresses send behind it, so VFs reach those %d of them that sent last (vswitch switch "
                 "show tells which). A guest or container that makes addresses up is to be stopped: a guest by the "
                 "policy spoof-check=yes",
                 NEIGHBOURS_PER_PORT, NEIGHBOURS_PER_PORT);
        log_warning(port, "%s", text);
        if (manager->control)
                control_event(manager->control, "warning", port, text);
}

void neighbours_tell_crowds(struct manager *manager, uint64_t now)
{
        struct neighbourhood *neighbourhood = manager->neighbourhood;
        const struct neighbour_pf *pf;

        SLIST_FOREACH (pf, &neighbourhood->pfs, entry)
                for (size_t i = 0; i < pf->list->crowd_count; i++) {
                        int ifindex = pf->list->crowd[i].port;
                        struct crowded_port *port = find(neighbourhood, ifindex);

                        if (!port) {
                                port = add(neighbourhood, ifindex);
                                tell(manager, ifindex);
                        }
                        if (port)
                                port->until = now + CALM;
                }
        forget_calm(neighbourhood, now);
}
