/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Repairs.
 *
 * Between the look and the repair the world may have changed: libvirt may have started a guest with the VF, a process
 * may have opened it, vswitchd may have been started. So each repair reads again what it relies on, directly before it
 * writes, and does nothing when it differs. What is written is the same that the daemon writes, by the same drivers.
 */

#include "src/audit/repair.h"

#include "src/control/cleanup.h"
#include "src/control/client.h"
#include "src/daemon/uplink_list.h"
#include "vswitch/copy_rule.h"
#include "vswitch/fdb.h"
#include "vswitch/guard.h"
#include "vswitch/link.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DAEMON_USEC UINT64_C(1000000)

struct workshop {
        const struct audit_sources *sources;
        struct vswitch_netlink *netlink;
};

static void close_pf(struct pf **pf)
{
        if (*pf)
                (*pf)->driver->close(*pf);
}

static void close_store(struct claim_store **store)
{
        claim_store_close(*store);
}

/* ---- VFs ---- */

/* Is it still as it was seen, and nobody's? */
static int check_vf(struct pf *pf, const struct pf_vf *seen, struct vswitch_error *error)
{
        struct pf_vf vf = { 0 };
        bool is_open = false;
        int r = pf->driver->read_vf(pf, seen->index, &vf, error);

        if (r == 0)
                r = pf_vf_is_open(seen->address, &is_open, error);
        if (r < 0)
                return r;
        if (is_open || strcmp(vf.address, seen->address) != 0 || strcmp(vf.driver, seen->driver) != 0 ||
            strcmp(vf.netdev, seen->netdev) != 0)
                return vswitch_error_set(error, -EBUSY, "somebody has taken VF %s meanwhile", seen->address);
        return 0;
}

/* As the daemon does it at the end of a move: settings, reset, driver, and then the claim goes. */
static int restore_by_claim(const struct workshop *workshop, struct pf *pf, const struct audit_repair *repair,
                            struct vswitch_error *error)
{
        __attribute__((cleanup(close_store))) struct claim_store *store = NULL;
        const struct claim *claim = &repair->claim;
        int r = pf->driver->set_attributes(pf, claim->vf_index, &claim->before, error);

        if (r == 0) {
                r = pf->driver->reset(pf, claim->vf_address, error);
                if (r == -EOPNOTSUPP)
                        r = 0;
        }
        if (r == 0)
                r = pf->driver->bind(pf, claim->vf_address, claim->driver_before, error);
        if (r == 0)
                r = claim_store_open(workshop->sources->runtime_directory, &store, error);
        return r < 0 ? r : claim_store_remove(store, claim->vf_address, error);
}

static int repair_vf(const struct workshop *workshop, const struct audit_repair *repair, struct vswitch_error *error)
{
        __attribute__((cleanup(close_pf))) struct pf *pf = NULL;
        int r = pf_kernel_driver.open(workshop->netlink, repair->pf, &pf, error);

        if (r == 0)
                r = check_vf(pf, &repair->vf, error);
        if (r < 0)
                return r;
        switch (repair->kind) {
        case AUDIT_REPAIR_VF_SETTINGS:
                return pf->driver->set_attributes(pf, repair->vf.index, &repair->attributes, error);
        case AUDIT_REPAIR_VF_BY_CLAIM:
                return restore_by_claim(workshop, pf, repair, error);
        case AUDIT_REPAIR_DRIVER:
                return pf->driver->bind(pf, repair->vf.address, repair->driver, error);
        default:
                /* To the driver that it has, or none: that only puts the override right. */
                return pf->driver->bind(pf, repair->vf.address, repair->vf.driver, error);
        }
}

/* ---- tables ---- */

static int remove_pin(const struct workshop *workshop, const struct audit_repair *repair, struct vswitch_error *error)
{
        struct fdb_entry entry = { 0 };
        int r = fdb_get(workshop->netlink, repair->bridge, &repair->mac, repair->vlan, &entry, error);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (entry.ifindex != repair->port || !(entry.state & NUD_NOARP) || !(entry.flags & NTF_STICKY))
                return vswitch_error_set(error, -EBUSY, "the entry has changed meanwhile");
        entry.flags = NTF_MASTER;
        r = fdb_delete(workshop->netlink, &entry, error);
        return r == -ENOENT ? 0 : r;
}

static int set_router(const struct workshop *workshop, int port, struct vswitch_error *error)
{
        struct softswitch *softswitch = NULL;
        struct vswitch_link link, bridge;
        int r = vswitch_link_get_by_index(workshop->netlink, port, &link, error);

        if (r == 0)
                r = vswitch_link_get_by_index(workshop->netlink, link.master, &bridge, error);
        if (r == 0)
                r = softswitch_bridge_driver.open(workshop->netlink, bridge.name, &softswitch, error);
        if (r < 0 || !softswitch)
                return r;
        r = softswitch->driver->set_multicast_router(softswitch, port, false, error);
        softswitch->driver->close(softswitch);
        return r;
}

static int remove_filter(const struct workshop *workshop, const struct audit_repair *repair,
                         struct vswitch_error *error)
{
        __attribute__((cleanup(mac_list_freep))) struct mac_list macs = { 0 };
        __attribute__((cleanup(close_pf))) struct pf *pf = NULL;
        struct uplink_list *list = NULL;
        char directory[256];
        int r = pf_kernel_driver.open(workshop->netlink, repair->pf, &pf, error);

        if (r < 0)
                return r;
        if (repair->kind == AUDIT_REPAIR_FILTER)
                return pf->driver->uplink_filter_remove(pf, &repair->mac, error);
        snprintf(directory, sizeof(directory), "%s/neighbours", workshop->sources->runtime_directory);
        r = uplink_list_open(directory, pf->name, pf->ifindex, &list, error);
        if (r == 0)
                r = mac_list_add(&macs, &repair->mac);
        if (r == 0)
                r = uplink_list_remove(list, pf, &macs, error);
        uplink_list_free(list);
        return r;
}

static int remove_file(const char *path, struct vswitch_error *error)
{
        if (unlink(path) < 0 && errno != ENOENT)
                return vswitch_error_set(error, -errno, "cannot remove %s: %s", path, strerror(errno));
        return 0;
}

static int carry_out(const struct workshop *workshop, const struct audit_repair *repair, struct vswitch_error *error)
{
        static const struct softswitch_guard no_guard;

        switch (repair->kind) {
        case AUDIT_REPAIR_VF_SETTINGS:
        case AUDIT_REPAIR_VF_BY_CLAIM:
        case AUDIT_REPAIR_DRIVER:
        case AUDIT_REPAIR_OVERRIDE:
                return repair_vf(workshop, repair, error);
        case AUDIT_REPAIR_PIN:
                return remove_pin(workshop, repair, error);
        case AUDIT_REPAIR_COPY_RULE:
                return copy_rule_remove(workshop->netlink, &repair->mac, repair->port, error);
        case AUDIT_REPAIR_GUARD:
                return guard_set(workshop->netlink, repair->port, &no_guard, error);
        case AUDIT_REPAIR_MULTICAST_ROUTER:
                return set_router(workshop, repair->port, error);
        case AUDIT_REPAIR_FILTER:
        case AUDIT_REPAIR_NOTED_FILTER:
                return remove_filter(workshop, repair, error);
        case AUDIT_REPAIR_FILE:
                return remove_file(repair->path, error);
        case AUDIT_REPAIR_NONE:
                break;
        }
        return 0;
}

/* ---- all of them ---- */

/* What is done, for people. */
static void describe(const struct audit_repair *repair, char *text, size_t size)
{
        char mac[VSWITCH_MAC_TEXT_SIZE], port[VSWITCH_LINK_TEXT_SIZE], names[96];

        vswitch_mac_format(&repair->mac, mac);
        switch (repair->kind) {
        case AUDIT_REPAIR_VF_SETTINGS:
                snprintf(text, size, "set %s vf %u back: %s", repair->pf, repair->vf.index,
                         pf_attribute_names(repair->attributes.valid, names, sizeof(names)));
                break;
        case AUDIT_REPAIR_VF_BY_CLAIM:
                snprintf(text, size, "restore VF %s as it was before its claim, and remove the claim",
                         repair->claim.vf_address);
                break;
        case AUDIT_REPAIR_DRIVER:
                snprintf(text, size, "unbind VF %s from %s%s%s", repair->vf.address, repair->vf.driver,
                         repair->driver[0] ? " and bind it to " : "", repair->driver);
                break;
        case AUDIT_REPAIR_OVERRIDE:
                snprintf(text, size, "clear the driver_override of VF %s", repair->vf.address);
                break;
        case AUDIT_REPAIR_PIN:
                snprintf(text, size, "remove the pin of %s to %s", mac, vswitch_link_describe(repair->port, port));
                break;
        case AUDIT_REPAIR_COPY_RULE:
                snprintf(text, size, "remove the copy rule for %s from %s", mac,
                         vswitch_link_describe(repair->port, port));
                break;
        case AUDIT_REPAIR_GUARD:
                snprintf(text, size, "remove the guard from %s", vswitch_link_describe(repair->port, port));
                break;
        case AUDIT_REPAIR_MULTICAST_ROUTER:
                snprintf(text, size, "let %s learn where multicast routers are",
                         vswitch_link_describe(repair->port, port));
                break;
        case AUDIT_REPAIR_FILTER:
        case AUDIT_REPAIR_NOTED_FILTER:
                snprintf(text, size, "remove %s from the uplink filters of %s", mac, repair->pf);
                break;
        case AUDIT_REPAIR_FILE:
                snprintf(text, size, "remove %s", repair->path);
                break;
        case AUDIT_REPAIR_NONE:
                text[0] = '\0';
                break;
        }
}

static int check_no_daemon(const char *control_socket, struct vswitch_error *error)
{
        _cleanup_(client_freep) struct client *client = NULL;

        if (client_connect(control_socket, DAEMON_USEC, &client, NULL) == -ECONNREFUSED)
                return 0;
        return vswitch_error_set(error, -EBUSY, "vswitchd has started meanwhile: it looks after the rest");
}

int audit_repair_all(const struct audit_sources *sources, const struct audit_findings *findings, bool dry_run,
                     audit_repaired each, void *userdata, struct vswitch_error *error)
{
        _cleanup_(vswitch_netlink_closep) struct vswitch_netlink *netlink = NULL;
        struct workshop workshop = { .sources = sources };
        bool failed = false;
        int r = vswitch_netlink_open(&netlink, error);

        workshop.netlink = netlink;
        for (size_t i = 0; r == 0 && i < findings->count; i++) {
                const struct audit_finding *finding = &findings->list[i];
                struct vswitch_error mistake = { 0 };
                char what[256], sentence[800];
                int result;

                if (finding->repair.kind == AUDIT_REPAIR_NONE)
                        continue;
                describe(&finding->repair, what, sizeof(what));
                if (dry_run) {
                        each(finding, AUDIT_WOULD, what, userdata);
                        continue;
                }
                if (finding->repair.kind == AUDIT_REPAIR_FILE && failed) {
                        each(finding, AUDIT_SKIPPED, what, userdata);
                        continue;
                }
                r = check_no_daemon(sources->control_socket, error);
                if (r < 0)
                        return r;
                result = carry_out(&workshop, &finding->repair, &mistake);
                failed |= result < 0;
                snprintf(sentence, sizeof(sentence), "%s%s%s", what, result < 0 ? ": " : "",
                         result < 0 ? vswitch_error_text(&mistake, result) : "");
                each(finding, result < 0 ? AUDIT_FAILED : AUDIT_DONE, sentence, userdata);
        }
        return r;
}
