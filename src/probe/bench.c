/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A VF gets its MAC and its other settings while it has no driver, and its driver afterwards, as a guest would find it.
 * Its netdev appears in the host's namespace for a moment, down, and is moved away before anybody has a reason to use
 * it. It is known by its ifindex, because whoever names devices on this host may be doing it just then.
 *
 * All waiting is done in probe_bench_pause(), which is where an interrupt, the end of the time and the loss of the VFs
 * are noticed; and putting back does not wait there, so it is done in any case.
 */

#include "src/probe/bench.h"

#include "src/probe/device.h"
#include "src/probe/restore.h"
#include "src/probe/vf_driver.h"
#include "vswitch/link.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define USEC_PER_MSEC 1000ull
#define USEC_PER_SEC  1000000ull

/* A driver that talks to its PF before it has a netdev, and a link that comes up. */
#define START_TIMEOUT (15 * USEC_PER_SEC)
#define LOOK_INTERVAL (20 * USEC_PER_MSEC)

/* Until it was measured how long frames take. */
#define QUIET_AT_FIRST (1 * USEC_PER_SEC)

#define VLAN_LAST  4093
#define VLAN_FIRST 3900

uint64_t probe_bench_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

bool probe_bench_is_over(int result)
{
        return result == -EINTR || result == -ETIMEDOUT || result == -ECONNRESET;
}

int probe_bench_pause(struct probe_bench *bench, uint64_t usec, struct vswitch_error *error)
{
        uint64_t end = probe_bench_now() + usec;

        for (;;) {
                uint64_t now = probe_bench_now();
                uint64_t left = end > now ? end - now : 0;
                int r;

                if (*bench->interrupted)
                        return vswitch_error_set(error, -EINTR, "it was interrupted");
                if (now >= bench->deadline)
                        return vswitch_error_set(error, -ETIMEDOUT, "the time is over (--timeout)");
                r = bench->source->keep(bench->source, error);
                if (r < 0)
                        return r;
                if (left == 0)
                        return 0;
                (void) poll(NULL, 0, (int) ((left < LOOK_INTERVAL ? left : LOOK_INTERVAL) / USEC_PER_MSEC) + 1);
        }
}

/* ---- VFs ---- */

static void set_attributes_of(const struct probe_bench *bench, const struct probe_noted_vf *before,
                              const struct probe_vf_setup *setup, struct pf_vf_attributes *ret)
{
        *ret = before->attributes;
        ret->mac = probe_mac(bench->run, setup->mac);
        ret->vlan = setup->vlan;
        ret->qos = 0;
        ret->vlan_protocol = ETH_P_8021Q;
        if (setup->set_spoof_check)
                ret->spoof_check = setup->spoof_check;
}

int probe_bench_set_vf(struct probe_bench *bench, enum probe_place which, const struct probe_vf_setup *setup,
                       struct vswitch_error *error)
{
        const struct probe_noted_vf *before = &bench->notes.vfs[which];
        struct pf_vf_attributes wanted;

        set_attributes_of(bench, before, setup, &wanted);
        return bench->pf->driver->set_attributes(bench->pf, before->index, &wanted, error);
}

int probe_bench_stop_vf(struct probe_bench *bench, enum probe_place which, struct vswitch_error *error)
{
        probe_port_close(&bench->ports[which]);
        bench->vfs[which].ifindex = 0;
        return bench->pf->driver->bind(bench->pf, bench->notes.vfs[which].address, "", error);
}

/* Its netdev in the host's namespace. */
static int wait_for_netdev(struct probe_bench *bench, const struct probe_noted_vf *noted, int *ret,
                           struct vswitch_error *error)
{
        uint64_t end = probe_bench_now() + START_TIMEOUT;

        while (probe_bench_now() < end) {
                struct vswitch_link link;
                struct pf_vf vf;
                int r = bench->pf->driver->read_vf(bench->pf, noted->index, &vf, error);

                if (r < 0)
                        return r;
                if (vf.netdev[0] != '\0' && vswitch_link_get_by_name(bench->netlink, vf.netdev, &link, NULL) == 0) {
                        *ret = link.ifindex;
                        return 0;
                }
                r = probe_bench_pause(bench, LOOK_INTERVAL, error);
                if (r < 0)
                        return r;
        }
        return vswitch_error_set(error, -ENODEV, "driver %s makes no netdev for VF %s: the kernel log says why",
                                 bench->vf_driver, noted->address);
}

/* The only hardware in the namespace. */
static int find_netdev(struct probe_bench_vf *vf, int *ret, struct vswitch_error *error)
{
        struct vswitch_link *links = NULL;
        size_t count = 0;
        int r = vswitch_link_list(vf->netlink, &links, &count, error);

        if (r == 0)
                r = -ENODEV;
        for (size_t i = 0; i < count; i++)
                if (links[i].kind[0] == '\0' && strcmp(links[i].name, "lo") != 0) {
                        *ret = links[i].ifindex;
                        r = 0;
                }
        free(links);
        return r;
}

static int wait_until_operational(struct probe_bench *bench, struct probe_bench_vf *vf,
                                  const struct probe_noted_vf *noted, struct vswitch_error *error)
{
        uint64_t end = probe_bench_now() + START_TIMEOUT;

        while (!probe_device_is_operational(vf->netlink, vf->ifindex)) {
                int r = probe_bench_pause(bench, LOOK_INTERVAL, error);

                if (r < 0)
                        return r;
                if (probe_bench_now() >= end)
                        return vswitch_error_set(error, -ENOLINK,
                                                 "VF %s has no link although its PF has; look at its link state (`ip "
                                                 "link show %s`)",
                                                 noted->address, bench->pf->name);
        }
        return 0;
}

static int open_port(struct probe_bench *bench, enum probe_place which, struct vswitch_error *error)
{
        struct probe_bench_vf *vf = &bench->vfs[which];
        struct probe_namespace host;
        int r = probe_namespace_enter(&vf->namespace, &host, error);

        if (r < 0)
                return r;
        r = probe_port_open(&bench->ports[which], vf->ifindex, error);
        probe_namespace_leave(&host);
        return r;
}

int probe_bench_start_vf(struct probe_bench *bench, enum probe_place which, const struct probe_vf_setup *setup,
                         struct vswitch_error *error)
{
        const struct probe_noted_vf *noted = &bench->notes.vfs[which];
        struct probe_bench_vf *vf = &bench->vfs[which];
        int ifindex = 0;
        int r = probe_bench_stop_vf(bench, which, error);

        if (r == 0)
                r = probe_bench_set_vf(bench, which, setup, error);
        if (r == 0)
                r = bench->pf->driver->bind(bench->pf, noted->address, bench->vf_driver, error);
        if (r == 0)
                r = wait_for_netdev(bench, noted, &ifindex, error);
        if (r == 0)
                r = probe_device_move(bench->netlink, ifindex, &vf->namespace, error);
        if (r == 0)
                r = find_netdev(vf, &vf->ifindex, error);
        if (r == 0)
                r = vswitch_link_set_up(vf->netlink, vf->ifindex, true, error);
        if (r == 0)
                r = wait_until_operational(bench, vf, noted, error);
        return r < 0 ? r : open_port(bench, which, error);
}

/* ---- open and close ---- */

static int check_pf(struct probe_bench *bench, struct vswitch_error *error)
{
        struct vswitch_link link;
        int r = vswitch_link_get_by_index(bench->netlink, bench->pf->ifindex, &link, error);

        if (r < 0)
                return r;
        if (!link.up)
                return vswitch_error_set(error, -ENETDOWN, "%s is down: `ip link set %s up`", link.name, link.name);
        if (!link.carrier)
                return vswitch_error_set(error, -ENOLINK,
                                         "%s has no carrier, and its VFs have none then: plug in a cable", link.name);
        bench->pf_is_promiscuous = probe_device_is_promiscuous(link.name);
        return 0;
}

static int clean_up_after_earlier(struct probe_bench *bench, struct vswitch_error *error)
{
        struct probe_notes *notes = &bench->notes;
        int r = probe_restore_tables(bench->netlink, bench->pf, error);

        for (size_t i = 0; r == 0 && i < notes->vfs_count; i++)
                if (probe_left_vf(bench->pf, &notes->vfs[i]))
                        r = probe_restore_vf(bench->netlink, bench->pf, &notes->vfs[i], error);
        if (r < 0) {
                probe_notes_close(notes, false);
                return vswitch_error_prefix(error, r, "cannot clean up after a probe that was killed");
        }
        notes->vfs_count = 0;
        return probe_notes_write(notes, error);
}

static int note_vf(struct probe_bench *bench, const char *address, struct vswitch_error *error)
{
        struct probe_noted_vf *noted = &bench->notes.vfs[bench->notes.vfs_count];
        struct pf_vf *vfs = NULL;
        struct vswitch_link link = { 0 };
        size_t count = 0;
        int r = bench->pf->driver->list_vfs(bench->pf, &vfs, &count, error);

        *noted = (struct probe_noted_vf){ 0 };
        for (size_t i = 0; r == 0 && i < count; i++)
                if (strcmp(vfs[i].address, address) == 0) {
                        noted->index = vfs[i].index;
                        memcpy(noted->address, vfs[i].address, sizeof(noted->address));
                        memcpy(noted->driver, vfs[i].driver, sizeof(noted->driver));
                        memcpy(noted->netdev, vfs[i].netdev, sizeof(noted->netdev));
                }
        free(vfs);
        if (r == 0 && noted->address[0] == '\0')
                r = vswitch_error_set(error, -ENODEV, "VF %s is gone", address);
        if (r == 0)
                r = bench->pf->driver->read_attributes(bench->pf, noted->index, &noted->attributes, error);
        if (r == 0 && noted->netdev[0] != '\0') {
                r = vswitch_link_get_by_name(bench->netlink, noted->netdev, &link, error);
                noted->netdev_mac = link.mac;
        }
        if (r < 0)
                return r;
        /* Of the rest nothing is changed. */
        noted->attributes.valid = PF_VF_MAC | (noted->attributes.valid & (PF_VF_VLAN | PF_VF_SPOOF_CHECK));
        bench->notes.vfs_count++;
        return 0;
}

static int take_vfs(struct probe_bench *bench, struct vswitch_error *error)
{
        char addresses[PROBE_VFS_MAX][PF_ADDRESS_SIZE];
        int r = bench->source->take(bench->source, bench->pf, PROBE_VFS_MAX, addresses, error);

        if (r == 0)
                r = probe_vf_driver(bench->pf, addresses[0], bench->vf_driver, error);
        for (size_t i = 0; r == 0 && i < PROBE_VFS_MAX; i++)
                r = note_vf(bench, addresses[i], error);
        if (r < 0) {
                bench->notes.vfs_count = 0; /* not touched */
                return r;
        }
        return probe_notes_write(&bench->notes, error);
}

static int make_namespace(struct probe_bench_vf *vf, struct vswitch_error *error)
{
        struct probe_namespace host;
        int r = probe_namespace_new(&vf->namespace, error);

        if (r == 0)
                r = probe_namespace_enter(&vf->namespace, &host, error);
        if (r < 0)
                return r;
        r = vswitch_netlink_open(&vf->netlink, error);
        probe_namespace_leave(&host);
        return r;
}

/* A VLAN that no device of this host uses: while a VLAN device of ours stands on the PF, frames with its tag are ours. */
static uint16_t choose_vlan(struct probe_bench *bench)
{
        struct vswitch_link *links = NULL;
        size_t count = 0;
        uint16_t vlan = VLAN_LAST;
        bool is_free = false;

        if (vswitch_link_list(bench->netlink, &links, &count, NULL) < 0)
                return VLAN_LAST;
        while (!is_free && vlan > VLAN_FIRST) {
                is_free = true;
                for (size_t i = 0; i < count && is_free; i++)
                        is_free = strcmp(links[i].kind, "vlan") != 0 || links[i].vlan != vlan;
                vlan -= !is_free;
        }
        free(links);
        return vlan;
}

static int open_wire(struct probe_bench *bench, const char *name, struct vswitch_error *error)
{
        struct vswitch_link link;
        int r = vswitch_link_get_by_name(bench->netlink, name, &link, error);

        if (r == -ENODEV)
                return vswitch_error_set(error, r, "there is no network device %s (--wire)", name);
        if (r == 0 && !(link.up && link.carrier))
                return vswitch_error_set(error, -ENETDOWN, "%s (--wire) is down or has no carrier", name);
        return r < 0 ? r : probe_port_open(&bench->ports[PROBE_AT_WIRE], link.ifindex, error);
}

int probe_bench_open(struct probe_bench *bench, const struct probe_bench_options *options, struct vswitch_error *error)
{
        int r;

        bench->notes.fd = -1;
        for (int i = 0; i < PROBE_PLACE_COUNT; i++)
                bench->ports[i].fd = -1;
        for (int i = 0; i < PROBE_VFS_MAX; i++)
                bench->vfs[i].namespace.fd = -1;
        bench->quiet_usec = QUIET_AT_FIRST;
        if (getrandom(&bench->run, sizeof(bench->run), 0) != sizeof(bench->run))
                return vswitch_error_set(error, -EIO, "the kernel has no random numbers");

        r = probe_notes_open(options->runtime_directory, bench->pf->name, &bench->notes, error);
        if (r == 0)
                r = clean_up_after_earlier(bench, error);
        if (r == 0)
                r = check_pf(bench, error);
        if (r == 0)
                r = take_vfs(bench, error);
        for (int i = 0; r == 0 && i < PROBE_VFS_MAX; i++)
                r = make_namespace(&bench->vfs[i], error);
        if (r == 0)
                r = probe_port_open(&bench->ports[PROBE_AT_PF], bench->pf->ifindex, error);
        if (r == 0 && options->wire)
                r = open_wire(bench, options->wire, error);
        if (r == 0)
                bench->vlan = choose_vlan(bench);
        return r;
}

int probe_bench_close(struct probe_bench *bench, struct vswitch_error *error)
{
        int result = 0;

        for (int i = 0; i < PROBE_PLACE_COUNT; i++)
                probe_port_close(&bench->ports[i]);
        if (bench->notes.fd < 0)
                return 0;
        for (size_t i = 0; i < bench->notes.vfs_count; i++) {
                int r = probe_restore_vf(bench->netlink, bench->pf, &bench->notes.vfs[i], result < 0 ? NULL : error);

                result = result < 0 ? result : r;
        }
        for (int i = 0; i < PROBE_VFS_MAX; i++) {
                vswitch_netlink_close(bench->vfs[i].netlink);
                probe_namespace_free(&bench->vfs[i].namespace);
        }
        if (bench->pf->ifindex > 0) {
                int r = probe_restore_tables(bench->netlink, bench->pf, result < 0 ? NULL : error);

                result = result < 0 ? result : r;
        }
        probe_notes_close(&bench->notes, result == 0);
        return result;
}
