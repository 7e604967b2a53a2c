/* SPDX-License-Identifier: Apache-2.0 */

/* Cards: VFs that are made and go away, and the vectors of those that a guest drives. */

#include "tests/sim/world.h"

#include <string.h>

struct card *cards_uplink(struct host *host)
{
        struct card *card = &host->cards[host->active];

        return card->bound ? card : NULL;
}

const struct vf *cards_vf_of(const struct host *host, const struct device *device)
{
        return device->stage == DEVICE_NONE ? NULL : &host->cards[device->card].vfs[device->vf];
}

bool cards_has_link(const struct card *card)
{
        return card->bound && card->carrier;
}

unsigned cards_vectors(const struct world *world, unsigned host, unsigned card, unsigned vf)
{
        int8_t holder = world->hosts[host].cards[card].vfs[vf].holder;
        const struct device *device;

        if (holder < 0)
                return 0;
        device = &world->nics[holder].devices[host];
        switch (device->stage) {
        case DEVICE_PROBED:
                return 1;
        case DEVICE_OPEN:
        case DEVICE_PRIMARY:
                return 3;
        default:
                return 0;
        }
}

void cards_notify(struct world *world, unsigned host)
{
        struct event *event =
                events_add(world, world->now + random_between(&world->random, 100, 5000), EVENT_NOTIFICATION);

        event->host = (uint8_t) host;
}

void cards_make_vfs(struct world *world, unsigned host, unsigned number)
{
        struct card *card = &world->hosts[host].cards[number];

        for (unsigned i = 0; i < card->vfs_count; i++) {
                struct vf *vf = &card->vfs[i];
                unsigned incarnation = vf->incarnation + 1;

                if (vf->exists)
                        continue;
                *vf = (struct vf){ .exists = true, .holder = NOBODY, .incarnation = incarnation };
                vf->driver_before = (host + number + i) % 3 ? VF_DRIVER_HOST : VF_DRIVER_NONE;
                /* A host driver makes a MAC up; on some cards the PF then reports it. */
                vf->mac_before = vf->driver_before == VF_DRIVER_HOST && (host + number) % 2 ? MAC_OTHER : MAC_ZERO;
                vf->settings_before = (uint8_t) (SETTINGS_OF_NOBODY + i);
                vf->driver = vf->driver_before;
                vf->mac = vf->mac_before;
                vf->settings = vf->settings_before;
        }
}

static void remove_vf(struct vf *vf)
{
        unsigned incarnation = vf->incarnation;

        *vf = (struct vf){ .holder = NOBODY, .mac = MAC_ZERO, .incarnation = incarnation };
}

bool cards_has_dying_vf(const struct card *card)
{
        for (unsigned i = 0; i < VFS_MAX; i++)
                if (card->vfs[i].exists && card->vfs[i].dying)
                        return true;
        return false;
}

/* A VF that QEMU has open: vfio asks it to let go, QEMU asks the guest, and the kernel waits. */
void cards_remove_vfs(struct world *world, unsigned host, unsigned number)
{
        struct card *card = &world->hosts[host].cards[number];

        for (unsigned i = 0; i < VFS_MAX; i++) {
                struct vf *vf = &card->vfs[i];

                if (!vf->exists)
                        continue;
                if (vf->holder == NOBODY) {
                        libvirt_vf_is_removed(world, host, number, i);
                        remove_vf(vf);
                        continue;
                }
                vf->dying = true;
                guests_ask_to_unplug(world, host, (unsigned) vf->holder, false);
        }
}

void cards_vf_closed(struct world *world, unsigned host, unsigned number, unsigned index)
{
        struct vf *vf = &world->hosts[host].cards[number].vfs[index];

        vf->holder = NOBODY;
        if (vf->dying) {
                remove_vf(vf);
                cards_notify(world, host);
        }
}

int8_t cards_find_vf_with_mac(const struct world *world, unsigned host, unsigned card, int8_t mac)
{
        for (unsigned i = 0; i < VFS_MAX; i++) {
                const struct vf *vf = &world->hosts[host].cards[card].vfs[i];

                if (vf->exists && vf->mac == mac)
                        return (int8_t) i;
        }
        return NOBODY;
}
