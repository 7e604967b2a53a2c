/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Copies of the provider's views. The provider's strings live only during its iteration; sd-bus asks for an
 * object first and for its properties afterwards, so the object found last is kept here until the next one.
 */

#include "src/control/control.h"

struct endpoint;

struct views {
        struct endpoint *endpoint; /* on whose bus the object was found: for its methods */

        /* Reading a PF asks the kernel about each of its VFs, and sd-bus looks an object up several times for one
         * answer; so they are read once in a round of the event loop. */
        struct control_pf *pfs;
        size_t pfs_count;
        uint64_t pfs_round;

        struct control_status status;
        struct control_switch switch_;
        struct control_pf pf; /* one of `pfs` */
        struct control_nic nic;
};

/* Look the object up and copy it into `views`. 1 found, 0 not, -errno. */
int views_find_status(struct views *views, const struct control_provider *provider, void *model);
int views_find_switch(struct views *views, const struct control_provider *provider, void *model, const char *name);
int views_find_pf(struct views *views, const struct control_provider *provider, void *model, const char *name,
                  uint64_t round);
/* All of them; valid until the next round. */
int views_read_pfs(struct views *views, const struct control_provider *provider, void *model, uint64_t round);
int views_find_nic(struct views *views, const struct control_provider *provider, void *model, const char *uuid,
                   const char *alias);

void views_clear(struct views *views);
