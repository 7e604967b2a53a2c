/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The PFs that are open, and how long they are.
 *
 * A PF is needed while it is beneath a switch, while a worker thread uses it (a hold), and while a claim names it: a PF
 * that left the bridge, or whose driver was unbound, is still the one to ask about its VF, and to give the VF's
 * settings back to. When nobody needs it any more it is closed.
 *
 * A daemon that ends does not wait for ever for a worker that the kernel keeps (guests_free). What such a worker holds is
 * left open, and its memory left alone, until the process is gone.
 */

#include "src/daemon/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct opened_pf {
        SLIST_ENTRY(opened_pf) entry;
        struct manager_switch *nic_switch;
        struct pf *pf;
        unsigned holds;
        bool beneath;                      /* it is among nic_switch->pfs */
        struct pf_vf_attributes *settings; /* of its VFs, as uplinks.c has last seen them */
        size_t settings_count;
};

static struct opened_pf *find(struct manager *manager, const struct pf *pf)
{
        struct opened_pf *opened;

        SLIST_FOREACH (opened, &manager->opened_pfs, entry)
                if (opened->pf == pf)
                        return opened;
        return NULL;
}

static void forget(struct manager *manager, struct opened_pf *opened)
{
        SLIST_REMOVE(&manager->opened_pfs, opened, opened_pf, entry);
        opened->pf->driver->close(opened->pf);
        free(opened->settings);
        free(opened);
}

int opened_pfs_open(struct manager_switch *nic_switch, const char *name, struct pf **ret, struct vswitch_error *error)
{
        struct manager *manager = nic_switch->manager;
        struct opened_pf *opened = calloc(1, sizeof(*opened));
        int r;

        if (!opened)
                return -ENOMEM;
        r = manager->options.pf_driver->open(manager->netlink, name, &opened->pf, error);
        if (r < 0) {
                free(opened);
                return r;
        }
        opened->nic_switch = nic_switch;
        opened->beneath = true;
        SLIST_INSERT_HEAD(&manager->opened_pfs, opened, entry);
        *ret = opened->pf;
        return 0;
}

void opened_pfs_left(struct manager *manager, const struct pf *pf)
{
        find(manager, pf)->beneath = false;
}

struct pf *opened_pfs_of_claim(const struct manager_nic *nic)
{
        struct manager_pf *uplink = switches_find_pf(nic->nic_switch, nic->claim->pf);
        struct opened_pf *opened;

        if (uplink)
                return uplink->pf;
        /* The latest of that name comes first. */
        SLIST_FOREACH (opened, &nic->manager->opened_pfs, entry)
                if (opened->nic_switch == nic->nic_switch && strcmp(opened->pf->name, nic->claim->pf) == 0)
                        return opened->pf;
        return NULL;
}

static bool is_needed(struct manager *manager, const struct opened_pf *opened)
{
        const struct manager_nic *nic;

        if (opened->beneath || opened->holds > 0)
                return true;
        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->claim && nic->nic_switch == opened->nic_switch && opened_pfs_of_claim(nic) == opened->pf)
                        return true;
        return false;
}

void opened_pfs_close_unneeded(struct manager *manager)
{
        struct opened_pf *opened = SLIST_FIRST(&manager->opened_pfs), *next;

        for (; opened; opened = next) {
                next = SLIST_NEXT(opened, entry);
                if (!is_needed(manager, opened))
                        forget(manager, opened);
        }
}

void opened_pfs_free(struct manager *manager)
{
        struct opened_pf *opened;

        while ((opened = SLIST_FIRST(&manager->opened_pfs))) {
                SLIST_REMOVE_HEAD(&manager->opened_pfs, entry);
                if (opened->holds == 0)
                        opened->pf->driver->close(opened->pf);
                free(opened->settings);
                free(opened);
        }
}

struct pf_vf_attributes *opened_pfs_exchange_settings(struct manager *manager, const struct pf *pf,
                                                      struct pf_vf_attributes *settings, size_t count,
                                                      size_t *ret_count)
{
        struct opened_pf *opened = find(manager, pf);
        struct pf_vf_attributes *before = opened->settings;

        *ret_count = opened->settings_count;
        opened->settings = settings;
        opened->settings_count = count;
        return before;
}

void opened_pfs_hold(struct manager *manager, const struct pf *pf)
{
        find(manager, pf)->holds++;
}

void opened_pfs_release(struct manager *manager, const struct pf *pf)
{
        find(manager, pf)->holds--;
        opened_pfs_close_unneeded(manager);
}
