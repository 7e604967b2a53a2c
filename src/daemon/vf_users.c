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
 * decides when the next walk has ended. Who competes for VFs is told what the last walk found, as what is unknown must
 * not take turns with what is known: a guest would be asked for its VF, and then not. A new walk now and then, while
 * somebody waits, keeps that answer true. Between the answer and the first write to the VF somebody may still open it:
 * therefore the worker that prepares it looks once more (pf_driver.bind), before anything of the VF is changed.
 */

#include "src/daemon/vf_users.h"

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdlib.h>

#define LOOK_AGAIN      (10 * USEC_PER_SEC)
#define REMEMBERED      (60 * USEC_PER_SEC) /* who waits asks twice within it (LOOK_FOR_VF_INTERVAL) */
#define EXPECTED_TO_END (30 * USEC_PER_SEC)

uint64_t vf_users_fresh_usec = USEC_PER_SEC;

struct vf_users {
        struct pf_vfio_nodes nodes;
        bool known;         /* `nodes` are what a walk has found */
        bool failed;        /* ... the last one has not */
        uint64_t looked_at; /* when the last walk ended; 0: there was none */
        bool looking;       /* a walk is under way */
        bool awaited;       /* ... and who would give a VF away waits for it */
        bool told;          /* ... and the NICs are told when it ends */
        uint64_t began_at;  /* ... since then */
        bool overdue;       /* ... and it was said that it takes long */
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
        bool told = users->told;

        if (result < 0 && !users->failed && result != -ECANCELED)
                log_warning(NULL, "%s; VFs on a VFIO driver count as used until that is known", sentence);
        users->looking = false;
        users->awaited = false;
        users->told = false;
        users->failed = result < 0;
        users->looked_at = manager_now(manager);
        if (result == 0) {
                free(users->nodes.names);
                users->nodes = walk->nodes;
                users->known = true;
        }
        free(walk);
        if (!told)
                return;
        manager_all_dirty(manager, false);
        manager_schedule(manager);
}

/* No second one is begun: it would hang where the first one does, and take the thread that the other work on VFs has. */
static void tell_if_overdue(struct manager *manager)
{
        struct vf_users *users = manager->vf_users;

        if (users->overdue || manager_now(manager) < users->began_at + EXPECTED_TO_END)
                return;
        users->overdue = true;
        log_warning(
                NULL,
                "who has VFs open through VFIO has not been found out for %llu s, so those on a VFIO driver are not "
                "given away. Look for processes that hang (ps -eo pid,stat,wchan,comm, state D)",
                (unsigned long long) (EXPECTED_TO_END / USEC_PER_SEC));
}

static void look(struct manager *manager)
{
        struct vf_users *users = manager->vf_users;
        struct walk *walk;

        if (users->looking) {
                tell_if_overdue(manager);
                return;
        }
        if (!manager->guests)
                return;
        walk = calloc(1, sizeof(*walk));
        if (!walk)
                return;
        walk->manager = manager;
        users->looking = true;
        users->overdue = false;
        users->began_at = manager_now(manager);
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

/* Begins a look unless the last one is not older than `age`. Is there an answer of that age? */
static bool look_unless(struct manager *manager, uint64_t age, bool tell)
{
        struct vf_users *users = manager->vf_users;

        if (users->looked_at != 0 && manager_now(manager) < users->looked_at + age)
                return true;
        look(manager);
        users->told |= tell && users->looking;
        return false;
}

enum failover_known vf_users_has(struct manager *manager, const char *vf_address, enum vf_users_purpose purpose)
{
        struct vf_users *users = manager->vf_users;
        bool is_known = false;
        enum pf_vf_use use;

        if (pf_vf_use(vf_address, NULL, &use, NULL) < 0 || use == PF_VF_OPEN)
                return FAILOVER_YES;
        if (use == PF_VF_NOT_OPEN)
                return FAILOVER_NO;
        switch (purpose) {
        case VF_USERS_SHOW:
                look_unless(manager, vf_users_fresh_usec, false);
                is_known = true;
                break;
        case VF_USERS_COUNT:
                look_unless(manager, LOOK_AGAIN, true);
                is_known = users->looked_at != 0 && manager_now(manager) < users->looked_at + REMEMBERED;
                break;
        case VF_USERS_GIVE:
                is_known = look_unless(manager, vf_users_fresh_usec, true);
                users->awaited |= !is_known && users->looking;
                break;
        }
        if (is_known)
                return last_answer(users, vf_address);
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
                                (void) vf_users_has(manager, vfs[k].address, VF_USERS_SHOW);
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
