/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * That somebody has a VF's device open, two small reads of sysfs tell at once. That somebody has only its group open (a
 * QEMU that pins its guest's memory and will open the device next) nothing tells but the open files of all processes; to
 * walk over them can take more than a second on a big host. So a worker thread does it, for all VFs at once, and only when
 * somebody asks: VFs that wait on vfio-pci for a guest are rare where vswitch binds them itself.
 *
 * What the last walk found is good for a second where a VF is to be given away; who asks later is told "unknown", and
 * decides when the next walk has ended. Between the answer and the first write to the VF somebody may still open it:
 * therefore the worker that prepares it looks once more (pf_driver.bind), before anything of the VF is changed.
 */

#include "src/daemon/vf_users.h"

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdlib.h>

#define FRESH USEC_PER_SEC

struct vf_users {
        struct pf_vfio_nodes nodes;
        bool known;         /* `nodes` are what a walk has found */
        bool failed;        /* ... the last one has not */
        uint64_t looked_at; /* when the last walk ended; 0: there was none */
        bool looking;       /* a walk is under way */
        bool awaited;       /* ... and somebody waits for it */
};

/* One walk; the worker's until it is done. */
struct walk {
        struct manager *manager;
        struct pf_vfio_nodes nodes;
};

static int work_walk(void *userdata, struct vswitch_error *error)
{
        struct walk *walk = userdata;

        return pf_vfio_list_open(&walk->nodes, error);
}

static void walk_done(int result, const char *sentence, void *userdata)
{
        struct walk *walk = userdata;
        struct manager *manager = walk->manager;
        struct vf_users *users = manager->vf_users;
        bool awaited = users->awaited;

        if (result < 0 && !users->failed && result != -ECANCELED)
                log_warning(NULL, "%s; VFs on a VFIO driver count as used until that is known", sentence);
        users->looking = false;
        users->awaited = false;
        users->failed = result < 0;
        users->looked_at = manager_now(manager);
        if (result == 0) {
                free(users->nodes.names);
                users->nodes = walk->nodes;
                users->known = true;
        }
        free(walk);
        if (!awaited)
                return;
        manager_all_dirty(manager, false);
        manager_schedule(manager);
}

static void look(struct manager *manager)
{
        struct vf_users *users = manager->vf_users;
        struct walk *walk;

        if (users->looking || !manager->guests)
                return;
        walk = calloc(1, sizeof(*walk));
        if (!walk)
                return;
        walk->manager = manager;
        users->looking = true;
        if (guests_run(manager->guests, work_walk, walk_done, walk) < 0) {
                users->looking = false;
                free(walk);
        }
}

static enum failover_known last_answer(const struct vf_users *users, const char *vf_address)
{
        enum pf_vf_use use;

        if (users->failed)
                return FAILOVER_YES;
        if (!users->known)
                return FAILOVER_UNKNOWN;
        return pf_vf_use(vf_address, &users->nodes, &use, NULL) < 0 || use == PF_VF_OPEN ? FAILOVER_YES : FAILOVER_NO;
}

enum failover_known vf_users_has(struct manager *manager, const char *vf_address, bool fresh)
{
        struct vf_users *users = manager->vf_users;
        enum pf_vf_use use;
        bool is_fresh;

        if (pf_vf_use(vf_address, NULL, &use, NULL) < 0 || use == PF_VF_OPEN)
                return FAILOVER_YES;
        if (use == PF_VF_NOT_OPEN)
                return FAILOVER_NO;
        is_fresh = users->looked_at != 0 && manager_now(manager) < users->looked_at + FRESH;
        if (is_fresh)
                return last_answer(users, vf_address);
        look(manager);
        if (!fresh)
                return last_answer(users, vf_address);
        users->awaited |= users->looking;
        return users->looking ? FAILOVER_UNKNOWN : FAILOVER_YES;
}

void vf_users_begin(struct manager *manager)
{
        for (size_t i = 0; i < manager->switches_count; i++)
                for (size_t j = 0; j < manager->switches[i].pfs_count; j++) {
                        struct pf *pf = manager->switches[i].pfs[j].pf;
                        struct pf_vf *vfs = NULL;
                        size_t count = 0;

                        if (pf->driver->list_vfs(pf, &vfs, &count, NULL) < 0)
                                count = 0;
                        for (size_t k = 0; k < count; k++)
                                (void) vf_users_has(manager, vfs[k].address, false);
                        free(vfs);
                }
}

bool vf_users_awaited(const struct manager *manager)
{
        return manager->vf_users->awaited;
}

int vf_users_new(struct manager *manager)
{
        manager->vf_users = calloc(1, sizeof(*manager->vf_users));
        return manager->vf_users ? 0 : -ENOMEM;
}

void vf_users_free(struct manager *manager)
{
        if (!manager->vf_users)
                return;
        free(manager->vf_users->nodes.names);
        free(manager->vf_users);
        manager->vf_users = NULL;
}
