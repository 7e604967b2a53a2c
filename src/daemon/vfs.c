/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which VF is whose. A VF is free only when everything says so: no claim of ours, not set aside, no guest that libvirt
 * knows, no process that holds it through VFIO, no driver of somebody else's (DPDK's, a guest's), no netdev in use, no
 * definition of a guest that is off. In doubt it is foreign, and a foreign VF is never touched.
 *
 * The questions come in the order of what they cost: a card is asked only when there is a VF that may be free by
 * everything that this daemon and sysfs know. It is asked about all of them at once, as the kernel answers a question
 * about one VF with all.
 */

#include "src/daemon/definitions.h"
#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "src/daemon/vf_users.h"

#include "vswitch/pf_sysfs.h"

#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *vfs_state_to_string(enum vf_state state)
{
        switch (state) {
        case VF_FREE:
                return "free";
        case VF_LEASED:
                return "leased";
        case VF_CLAIMED:
                return "claimed";
        case VF_FOREIGN:
        case VF_NAMED:
        case VF_UNSEEN:
                return "foreign";
        }
        return "invalid";
}

struct manager_nic *vfs_claimant(struct manager *manager, const char *vf_address)
{
        struct manager_nic *nic;

        TAILQ_FOREACH (nic, &manager->nics, entry)
                if (nic->claim && strcmp(nic->claim->vf_address, vf_address) == 0)
                        return nic;
        return NULL;
}

static const struct manager_domain *find_domain_with_device(struct manager *manager, const char *vf_address)
{
        const struct manager_domain *domain;

        TAILQ_FOREACH (domain, &manager->domains, entry) {
                /* An announced guest's XML still names the VF of its old host; one that ended has none. */
                if (!domain->guest || domain->presence.state == FAILOVER_GUEST_EXPECTED ||
                    domain->presence.state == FAILOVER_GUEST_ABSENT)
                        continue;
                for (size_t i = 0; i < domain->guest->vfs_count; i++)
                        if (strcmp(domain->guest->vfs[i].address, vf_address) == 0)
                                return domain;
        }
        return NULL;
}

/* A VF with a host driver has a netdev and, on most cards, a MAC that this driver made up. A MAC that is not the
 * netdev's was set through the PF afterwards: somebody is preparing this VF for somebody. */
static bool netdev_in_use(struct manager *manager, const struct pf_vf *vf, const struct pf_vf_attributes *attributes,
                          char *owner, size_t owner_size)
{
        struct vswitch_link link;

        if (vswitch_link_get_by_name(manager->netlink, vf->netdev, &link, NULL) < 0) {
                snprintf(owner, owner_size, "its netdev %s cannot be read", vf->netdev);
                return true;
        }
        if (link.up || link.master) {
                snprintf(owner, owner_size, "its netdev %s is %s on this host", vf->netdev,
                         link.master ? "a port of a bridge or bond" : "up");
                return true;
        }
        if (pf_sysfs_has_upper(vf->netdev)) {
                snprintf(owner, owner_size, "its netdev %s carries another device (macvtap, VLAN)", vf->netdev);
                return true;
        }
        if ((attributes->valid & PF_VF_MAC) && !vswitch_mac_is_zero(&attributes->mac) &&
            !vswitch_mac_equal(&attributes->mac, &link.mac)) {
                snprintf(owner, owner_size, "somebody set a MAC for it that its netdev %s does not have", vf->netdev);
                return true;
        }
        return false;
}

/* Whether a process has a VF open through VFIO that no guest of libvirt's has. */
static enum vf_state vfio_state(struct manager *manager, const struct pf_vf *vf, enum vf_users_purpose purpose,
                                char *owner, size_t owner_size)
{
        enum failover_known is_open = vf_users_has(manager, vf->address, purpose);

        if (is_open != FAILOVER_NO) {
                snprintf(owner, owner_size, "%s",
                         is_open == FAILOVER_YES
                                 ? "a process that vswitch does not know uses it through VFIO"
                                 : "vswitch is finding out whether a process uses it through VFIO; ask again");
                return is_open == FAILOVER_YES ? VF_FOREIGN : VF_UNSEEN;
        }
        /* vfio-pci may be left from anybody; a card's own variant somebody chose for a guest. */
        if (strcmp(vf->driver, "vfio-pci") != 0) {
                snprintf(owner, owner_size, "driver %s has it: somebody prepared it for a guest", vf->driver);
                return VF_FOREIGN;
        }
        return VF_FREE;
}

/* Does its driver say that it is in somebody's hands? */
static enum vf_state driver_state(struct manager *manager, const struct pf_vf *vf, enum vf_users_purpose purpose,
                                  char *owner, size_t owner_size)
{
        static const char *const programs[] = { "uio_pci_generic", "igb_uio" };

        for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
                if (strcmp(vf->driver, programs[i]) == 0) {
                        snprintf(owner, owner_size, "driver %s has it, for a program that drives it itself (DPDK)",
                                 vf->driver);
                        return VF_FOREIGN;
                }
        if (pf_sysfs_driver_is_vfio(vf->driver))
                return vfio_state(manager, vf, purpose, owner, owner_size);
        if (vf->driver[0] && vf->netdev[0] == '\0') {
                snprintf(owner, owner_size, "driver %s has it, without a netdev in this network namespace", vf->driver);
                return VF_FOREIGN;
        }
        return VF_FREE;
}

/* What this daemon knows of a VF itself. FREE: it may be. */
static enum vf_state known_state(struct manager *manager, const struct pf_vf *vf, char *owner, size_t owner_size)
{
        const struct manager_nic *nic = vfs_claimant(manager, vf->address);
        const struct manager_domain *domain;

        owner[0] = '\0';
        if (nic) {
                snprintf(owner, owner_size, "%s", nic->label);
                return nic->claim->leased ? VF_LEASED : VF_CLAIMED;
        }
        if (pool_is_reserved(manager, vf->address)) {
                snprintf(owner, owner_size, "set aside for a probe");
                return VF_FOREIGN;
        }
        domain = find_domain_with_device(manager, vf->address);
        if (domain) {
                snprintf(owner, owner_size, "guest %s has it, not by vswitch", domain->name);
                return VF_FOREIGN;
        }
        if (claim_store_has(manager->claims, vf->address)) {
                snprintf(owner, owner_size, "it has a claim that this vswitchd cannot use; see its log");
                return VF_FOREIGN;
        }
        return VF_FREE;
}

/* ... by what the card and the host's netdev say. */
static enum vf_state seen_state(struct manager_switch *nic_switch, const struct pf_vf *vf,
                                const struct pf_vf_attributes *attributes, char *owner, size_t owner_size)
{
        const struct manager_pf *uplink;

        if (vf->netdev[0])
                return netdev_in_use(nic_switch->manager, vf, attributes, owner, owner_size) ? VF_FOREIGN : VF_FREE;
        /* Without a host driver nobody made a MAC up: who set it is about to use it, libvirt for a guest, say. */
        if ((attributes->valid & PF_VF_MAC) && !vswitch_mac_is_zero(&attributes->mac)) {
                uplink = uplinks_find_by_vf(nic_switch, vf->index, vf->address);
                snprintf(owner, owner_size,
                         "somebody gave it a MAC; if nobody uses it: ip link set %s vf %u mac 00:00:00:00:00:00",
                         uplink ? uplink->pf->name : "PF", vf->index);
                return VF_FOREIGN;
        }
        return VF_FREE;
}

/* ... and by what its owner, who does not use it now, has said of it. */
static enum vf_state named_state(struct manager *manager, const struct pf_vf *vf, const char *asking, char *owner,
                                 size_t owner_size)
{
        const char *domain = definitions_find_owner(manager, vf->address, asking);

        if (!domain)
                return VF_FREE;
        snprintf(owner, owner_size, "named by domain %s, which is off", domain);
        return VF_NAMED;
}

enum vf_state vfs_state(struct manager_switch *nic_switch, const struct pf_vf *vf,
                        const struct pf_vf_attributes *attributes, char *owner, size_t owner_size)
{
        enum vf_state state = known_state(nic_switch->manager, vf, owner, owner_size);

        if (state == VF_FREE)
                state = driver_state(nic_switch->manager, vf, VF_USERS_SHOW, owner, owner_size);
        if (state == VF_FREE)
                state = seen_state(nic_switch, vf, attributes, owner, owner_size);
        return state == VF_FREE ? named_state(nic_switch->manager, vf, NULL, owner, owner_size) : state;
}

/* Once for each PF, when somebody is to get a VF of it for the first time: what can this driver set? Asking writes to
 * the VF what it has, so it is done with one that is free. */
static void ask_driver(struct pf *pf, unsigned vf_index)
{
        struct vswitch_error error = { 0 };
        char can[96], cannot[96];
        int r;

        if (pf->asked)
                return;
        r = pf->driver->ask_attributes(pf, vf_index, &error);
        if (r < 0)
                log_warning(pf->name, "cannot find out what driver %s can set: %s", pf->kernel_driver,
                            vswitch_error_text(&error, r));
        else
                log_info(pf->name, "driver %s can set %s%s%s", pf->kernel_driver,
                         pf_attribute_names(pf->can_set, can, sizeof(can)), pf->cannot_set ? "; it cannot set " : "",
                         pf_attribute_names(pf->cannot_set, cannot, sizeof(cannot)));
}

/* One look at all VFs of a PF, to give them away or to count them. */
struct look {
        enum vf_users_purpose purpose;
        const char *asking; /* the guest that one would be for; NULL for nobody in particular */
        struct pf_vf *vfs;
        size_t count;
        struct pf_vf_attributes *attributes; /* by the VF's index; read when a VF may be free */
        size_t attributes_count;
        bool asked;
};

static void look_clear(struct look *look)
{
        free(look->vfs);
        free(look->attributes);
}

static const struct pf_vf_attributes *look_up_attributes(struct pf *pf, struct look *look, unsigned index)
{
        if (!look->asked && pf->driver->list_attributes(pf, &look->attributes, &look->attributes_count, NULL) < 0)
                look->attributes_count = 0;
        look->asked = true;
        return index < look->attributes_count && look->attributes[index].valid ? &look->attributes[index] : NULL;
}

/* What of VF `place` would be in the way if it were given away now. *ret_attributes: what it is set to, when FREE. */
static enum vf_state look_at(struct manager_switch *nic_switch, struct pf *pf, struct look *look, size_t place,
                             const struct pf_vf_attributes **ret_attributes, char *owner, size_t owner_size)
{
        const struct pf_vf *vf = &look->vfs[place];
        enum vf_state state = known_state(nic_switch->manager, vf, owner, owner_size);

        /* What is kept for its owner need not be looked for in the hands of others. */
        if (state == VF_FREE)
                state = named_state(nic_switch->manager, vf, look->asking, owner, owner_size);
        if (state == VF_FREE)
                state = driver_state(nic_switch->manager, vf, look->purpose, owner, owner_size);
        if (state != VF_FREE)
                return state;
        *ret_attributes = look_up_attributes(pf, look, vf->index);
        if (!*ret_attributes)
                return VF_FOREIGN;
        return seen_state(nic_switch, vf, *ret_attributes, owner, owner_size);
}

/* For who waits: the first VF that is kept for a guest which is off, and how many more. */
static void tell_named(struct manager_switch *nic_switch, const struct pf_vf *first, const char *owner, unsigned count)
{
        char more[32] = "";

        nic_switch->named_vfs[0] = '\0';
        if (count == 0)
                return;
        if (count > 1)
                snprintf(more, sizeof(more), ", and %u more like it", count - 1);
        snprintf(nic_switch->named_vfs, sizeof(nic_switch->named_vfs), "VF %s is %.*s%s", first->address, 96, owner,
                 more);
}

static enum failover_reason find_free(struct manager_switch *nic_switch, const char *uuid,
                                      enum vf_users_purpose purpose, struct pf_vf *ret,
                                      struct pf_vf_attributes *ret_before)
{
        struct look look __attribute__((cleanup(look_clear))) = { .purpose = purpose, .asking = uuid };
        struct pf *pf = nic_switch->pf;
        char owner[192], first_owner[192] = "";
        size_t free_count = 0, first_named = 0;
        unsigned named = 0, unseen = 0;

        if (!nic_switch->config->iov)
                return FAILOVER_REASON_SWITCH_NOT_IOV;
        if (!nic_switch->softswitch)
                return FAILOVER_REASON_SWITCH_UNUSABLE;
        if (!pf)
                return FAILOVER_REASON_NO_UPLINK;
        if (pf->total_vfs == 0)
                return FAILOVER_REASON_NO_SRIOV;
        if (pool_is_changing(nic_switch->manager, pf))
                return FAILOVER_REASON_NO_FREE_VF;
        if (pf->driver->list_vfs(pf, &look.vfs, &look.count, NULL) < 0 || look.count == 0)
                return FAILOVER_REASON_NO_VFS;
        for (size_t i = 0; i < look.count && free_count <= nic_switch->config->reserve_vfs; i++) {
                const struct pf_vf_attributes *attributes = NULL;
                enum vf_state state = look_at(nic_switch, pf, &look, i, &attributes, owner, sizeof(owner));

                unseen += state == VF_UNSEEN;
                if (state == VF_NAMED && named++ == 0) {
                        first_named = i;
                        memcpy(first_owner, owner, sizeof(first_owner));
                }
                if (state != VF_FREE || free_count++ > 0)
                        continue;
                *ret = look.vfs[i];
                *ret_before = *attributes;
                if (purpose == VF_USERS_GIVE)
                        ask_driver(pf, look.vfs[i].index);
        }
        tell_named(nic_switch, &look.vfs[first_named], first_owner, named);
        if (free_count > nic_switch->config->reserve_vfs)
                return FAILOVER_REASON_NONE;
        return free_count + unseen > nic_switch->config->reserve_vfs ? FAILOVER_REASON_VF_USERS_UNKNOWN
                                                                     : FAILOVER_REASON_NO_FREE_VF;
}

enum failover_reason vfs_find_free(struct manager_switch *nic_switch, const char *uuid, struct pf_vf *ret,
                                   struct pf_vf_attributes *ret_before)
{
        return find_free(nic_switch, uuid, VF_USERS_GIVE, ret, ret_before);
}

enum failover_reason vfs_why_none(struct manager_switch *nic_switch, const char *uuid)
{
        struct pf_vf_attributes before;
        struct pf_vf vf;

        return find_free(nic_switch, uuid, VF_USERS_COUNT, &vf, &before);
}

unsigned vfs_count_free(struct manager_switch *nic_switch)
{
        struct look look __attribute__((cleanup(look_clear))) = { .purpose = VF_USERS_COUNT };
        unsigned free_count = 0, reserve = nic_switch->config->reserve_vfs;
        struct pf *pf = nic_switch->pf;

        if (!nic_switch->config->iov || !nic_switch->softswitch || !pf || pf->total_vfs == 0 ||
            pool_is_changing(nic_switch->manager, pf) || pf->driver->list_vfs(pf, &look.vfs, &look.count, NULL) < 0)
                return 0;
        for (size_t i = 0; i < look.count; i++) {
                const struct pf_vf_attributes *attributes = NULL;
                char owner[192];
                enum vf_state state = look_at(nic_switch, pf, &look, i, &attributes, owner, sizeof(owner));

                free_count += state == VF_FREE || state == VF_UNSEEN;
        }
        return free_count > reserve ? free_count - reserve : 0;
}

struct pf_vf_attributes vfs_neutral_attributes(const struct pf_vf_attributes *before)
{
        return (struct pf_vf_attributes){
                .valid = before->valid & ~(uint32_t) PF_VF_MAC,
                .vlan = 0,
                .qos = 0,
                .vlan_protocol = before->vlan_protocol,
                .spoof_check = true,
                .trust = false,
                .link_state = IFLA_VF_LINK_STATE_AUTO,
                .min_rate = 0,
                .max_rate = 0,
                .query_rss = before->query_rss,
        };
}

bool vfs_attributes_agree(const struct pf_vf_attributes *present, const struct pf_vf_attributes *wanted)
{
        uint32_t valid = wanted->valid;

        return (!(valid & PF_VF_VLAN) || (present->vlan == wanted->vlan &&
                                          (wanted->vlan == 0 || (present->qos == wanted->qos &&
                                                                 present->vlan_protocol == wanted->vlan_protocol)))) &&
               (!(valid & PF_VF_SPOOF_CHECK) || present->spoof_check == wanted->spoof_check) &&
               (!(valid & PF_VF_TRUST) || present->trust == wanted->trust) &&
               (!(valid & PF_VF_LINK_STATE) || present->link_state == wanted->link_state) &&
               (!(valid & PF_VF_RATE) ||
                (present->min_rate == wanted->min_rate && present->max_rate == wanted->max_rate)) &&
               (!(valid & PF_VF_QUERY_RSS) || present->query_rss == wanted->query_rss);
}
