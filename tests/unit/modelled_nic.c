/* SPDX-License-Identifier: Apache-2.0 */
#include "modelled_nic.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct models {
        struct modelled_pf pfs[MODELLED_MODELS_MAX];
        size_t pf_count;
        struct modelled_switch switches[MODELLED_MODELS_MAX];
        size_t switch_count;
};

static struct models own;
static struct models *models = &own;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void unlockp(pthread_mutex_t **locked)
{
        pthread_mutex_unlock(*locked);
}

static pthread_mutex_t *lock(void)
{
        pthread_mutex_lock(&mutex);
        return &mutex;
}

/* Until the end of the function. */
#define LOCKED() pthread_mutex_t *locked __attribute__((cleanup(unlockp), unused)) = lock()

/*
 * Making
 */

void modelled_nic_reset(void)
{
        LOCKED();

        memset(models, 0, sizeof(*models));
}

void modelled_nic_share(void)
{
        models = mmap(NULL, sizeof(*models), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (models == MAP_FAILED)
                abort();
}

/* As they are when they have just appeared. */
static void make_vfs(struct modelled_pf *model, size_t count)
{
        size_t number = (size_t) (model - models->pfs) + 1;

        memset(model->vfs, 0, sizeof(model->vfs));
        model->vf_count = count;
        for (size_t i = 0; i < count; i++) {
                struct pf_vf *vf = &model->vfs[i].identity;

                vf->index = (unsigned) i;
                snprintf(vf->address, sizeof(vf->address), "0000:%02zx:%02zx.%zu", number, 0x10 + 2 * i / 8, 2 * i % 8);
                snprintf(vf->iommu_group, sizeof(vf->iommu_group), "%zu", number * 100 + i);
                if (model->autoprobe) {
                        snprintf(vf->driver, sizeof(vf->driver), "igbvf");
                        snprintf(vf->netdev, sizeof(vf->netdev), "%.10sv%zu", model->pf.name, i);
                }
                model->vfs[i].attributes = (struct pf_vf_attributes){
                        .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST | PF_VF_LINK_STATE |
                                 PF_VF_RATE,
                        .vlan_protocol = 0x8100,
                        .spoof_check = true,
                };
        }
}

struct modelled_pf *modelled_pf_add(const char *name, int ifindex, size_t vf_count)
{
        LOCKED();
        struct modelled_pf *model = &models->pfs[models->pf_count++];

        model->pf.driver = &modelled_pf_driver;
        model->pf.ifindex = ifindex;
        model->pf.total_vfs = (unsigned) vf_count;
        snprintf(model->pf.name, sizeof(model->pf.name), "%s", name);
        snprintf(model->pf.address, sizeof(model->pf.address), "0000:%02zx:00.0", models->pf_count);
        snprintf(model->pf.kernel_driver, sizeof(model->pf.kernel_driver), "igb");
        model->pf.vendor = 0x8086;
        model->pf.device = 0x10c9;
        model->filter_capacity = MODELLED_FILTERS_MAX;
        model->autoprobe = true;
        make_vfs(model, vf_count);
        return model;
}

struct modelled_switch *modelled_switch_add(const char *name, int ifindex)
{
        LOCKED();
        struct modelled_switch *model = &models->switches[models->switch_count++];

        model->software_switch.driver = &modelled_switch_driver;
        model->ifindex = ifindex;
        snprintf(model->name, sizeof(model->name), "%s", name);
        return model;
}

static bool vlan_is_in(const uint64_t set[64], uint16_t vlan)
{
        return set[vlan / 64] >> (vlan % 64) & 1;
}

void modelled_port_add_vlan(struct modelled_port *port, uint16_t vlan, bool tagged)
{
        port->member[vlan / 64] |= UINT64_C(1) << (vlan % 64);
        if (tagged)
                port->untagged[vlan / 64] &= ~(UINT64_C(1) << (vlan % 64));
        else
                port->untagged[vlan / 64] |= UINT64_C(1) << (vlan % 64);
}

void modelled_port_remove_vlan(struct modelled_port *port, uint16_t vlan)
{
        port->member[vlan / 64] &= ~(UINT64_C(1) << (vlan % 64));
        port->untagged[vlan / 64] &= ~(UINT64_C(1) << (vlan % 64));
        if (port->pvid == vlan)
                port->pvid = 0;
}

struct modelled_port *modelled_port_find(struct modelled_switch *software_switch, int ifindex)
{
        struct modelled_port *port;

        for (size_t i = 0; i < software_switch->port_count; i++)
                if (software_switch->ports[i].ifindex == ifindex)
                        return &software_switch->ports[i];
        if (software_switch->port_count == MODELLED_PORTS_MAX)
                abort();
        port = &software_switch->ports[software_switch->port_count++];
        *port = (struct modelled_port){ .ifindex = ifindex, .pvid = 1 };
        modelled_port_add_vlan(port, 1, false);
        return port;
}

struct modelled_vf *modelled_vf_find(const char *vf_address)
{
        for (size_t i = 0; i < models->pf_count; i++)
                for (size_t j = 0; j < models->pfs[i].vf_count; j++)
                        if (strcmp(models->pfs[i].vfs[j].identity.address, vf_address) == 0)
                                return &models->pfs[i].vfs[j];
        return NULL;
}

bool modelled_pf_has_filter(const struct modelled_pf *pf, const struct vswitch_mac *mac)
{
        for (size_t i = 0; i < pf->filter_count; i++)
                if (vswitch_mac_equal(&pf->filters[i], mac))
                        return true;
        return false;
}

/*
 * PF driver
 */

static struct modelled_pf *model_of_pf(struct pf *pf)
{
        return (struct modelled_pf *) pf;
}

static int model_pf_open(struct vswitch_netlink *netlink, const char *name, struct pf **ret,
                         struct vswitch_error *error)
{
        LOCKED();

        for (size_t i = 0; i < models->pf_count; i++)
                if (strcmp(models->pfs[i].pf.name, name) == 0) {
                        models->pfs[i].opened++;
                        *ret = &models->pfs[i].pf;
                        return 0;
                }
        return vswitch_error_set(error, -ENODEV, "there is no network device %s", name);
}

static void model_pf_close(struct pf *pf)
{
        LOCKED();

        model_of_pf(pf)->opened--;
}

static int copy_array(const void *from, size_t count, size_t size, void *ret, size_t *ret_count)
{
        void *array = NULL;

        if (count > 0) {
                array = calloc(count, size);
                if (!array)
                        return -ENOMEM;
                memcpy(array, from, count * size);
        }
        *(void **) ret = array;
        *ret_count = count;
        return 0;
}

static int model_list_vfs(struct pf *pf, struct pf_vf **ret, size_t *ret_count, struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_pf *model = model_of_pf(pf);
        struct pf_vf vfs[MODELLED_VFS_MAX];

        for (size_t i = 0; i < model->vf_count; i++)
                vfs[i] = model->vfs[i].identity;
        return copy_array(vfs, model->vf_count, sizeof(vfs[0]), ret, ret_count);
}

static int model_read_vf(struct pf *pf, unsigned index, struct pf_vf *ret, struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_pf *model = model_of_pf(pf);

        if (index >= model->vf_count)
                return vswitch_error_set(error, -ENODEV, "PF %s has no VF %u", pf->address, index);
        *ret = model->vfs[index].identity;
        return 0;
}

static int model_read_attributes(struct pf *pf, unsigned index, struct pf_vf_attributes *ret,
                                 struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);

        model->looks++;
        if (index >= model->vf_count)
                return vswitch_error_set(error, -ENODATA, "%s does not report a VF %u", pf->name, index);
        *ret = model->vfs[index].attributes;
        return 0;
}

/* Copies one attribute. true when that changed something. */
static bool copy_attribute(struct pf_vf_attributes *to, const struct pf_vf_attributes *from, uint32_t attribute)
{
        struct pf_vf_attributes was = *to;

        switch (attribute) {
        case PF_VF_MAC:
                to->mac = from->mac;
                return !vswitch_mac_equal(&was.mac, &to->mac);
        case PF_VF_VLAN:
                to->vlan = from->vlan;
                to->qos = from->qos;
                to->vlan_protocol = from->vlan_protocol;
                return was.vlan != to->vlan || was.qos != to->qos || was.vlan_protocol != to->vlan_protocol;
        case PF_VF_SPOOF_CHECK:
                to->spoof_check = from->spoof_check;
                return was.spoof_check != to->spoof_check;
        case PF_VF_TRUST:
                to->trust = from->trust;
                return was.trust != to->trust;
        case PF_VF_LINK_STATE:
                to->link_state = from->link_state;
                return was.link_state != to->link_state;
        case PF_VF_RATE:
                to->min_rate = from->min_rate;
                to->max_rate = from->max_rate;
                return was.min_rate != to->min_rate || was.max_rate != to->max_rate;
        default:
                return false;
        }
}

static int model_list_attributes(struct pf *pf, struct pf_vf_attributes **ret, size_t *ret_count,
                                 struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);
        struct pf_vf_attributes attributes[MODELLED_VFS_MAX];

        model->looks++;
        for (size_t i = 0; i < model->vf_count; i++)
                attributes[i] = model->vfs[i].attributes;
        return copy_array(attributes, model->vf_count, sizeof(attributes[0]), ret, ret_count);
}

static int model_ask_attributes(struct pf *pf, unsigned index, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);

        if (index >= model->vf_count)
                return vswitch_error_set(error, -ENODATA, "%s does not report a VF %u", pf->name, index);
        model->asked++;
        pf->asked = true;
        pf->cannot_set = model->refused_attributes & model->vfs[index].attributes.valid;
        pf->can_set = model->vfs[index].attributes.valid & ~model->refused_attributes & ~(uint32_t) PF_VF_MAC;
        return 0;
}

static int model_read_autoprobe(struct pf *pf, bool *ret, struct vswitch_error *error)
{
        LOCKED();

        *ret = model_of_pf(pf)->autoprobe;
        return 0;
}

static int model_set_autoprobe(struct pf *pf, bool wanted, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);

        model->writes += model->autoprobe != wanted;
        model->autoprobe = wanted;
        return 0;
}

static int model_list_statistics(struct pf *pf, struct pf_vf_statistics **ret, size_t *ret_count,
                                 struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_pf *model = model_of_pf(pf);
        struct pf_vf_statistics statistics[MODELLED_VFS_MAX];

        if (!model->counts)
                return vswitch_error_set(error, -EOPNOTSUPP, "driver %s of %s does not count the frames of VFs",
                                         pf->kernel_driver, pf->name);
        for (size_t i = 0; i < model->vf_count; i++)
                statistics[i] = model->vfs[i].statistics;
        return copy_array(statistics, model->vf_count, sizeof(statistics[0]), ret, ret_count);
}

static int model_read_statistics(struct pf *pf, unsigned index, struct pf_vf_statistics *ret,
                                 struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_pf *model = model_of_pf(pf);

        if (!model->counts)
                return vswitch_error_set(error, -EOPNOTSUPP, "driver %s of %s does not count the frames of VFs",
                                         pf->kernel_driver, pf->name);
        if (index >= model->vf_count)
                return vswitch_error_set(error, -ENODATA, "%s does not report a VF %u", pf->name, index);
        *ret = model->vfs[index].statistics;
        return 0;
}

static int model_set_vf_count(struct pf *pf, unsigned count, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);

        if (pf->total_vfs == 0)
                return vswitch_error_set(error, -EOPNOTSUPP, "%s has no SR-IOV", pf->name);
        if (count > pf->total_vfs)
                return vswitch_error_set(error, -ERANGE, "%s can have %u VFs at most, not %u", pf->name, pf->total_vfs,
                                         count);
        if (count == model->vf_count)
                return 0;
        if (model->count_error < 0)
                return vswitch_error_set(error, model->count_error, "cannot make %u VFs of %s", count, pf->name);
        if (count > 0)
                model->autoprobe = false;
        make_vfs(model, count);
        model->writes++;
        return 0;
}

static int model_set_attributes(struct pf *pf, unsigned index, const struct pf_vf_attributes *wanted,
                                struct vswitch_error *error)
{
        LOCKED();
        static const enum pf_vf_attribute order[] = { PF_VF_TRUST,       PF_VF_VLAN, PF_VF_LINK_STATE,
                                                      PF_VF_SPOOF_CHECK, PF_VF_RATE, PF_VF_MAC };
        struct modelled_pf *model = model_of_pf(pf);

        if (index >= model->vf_count)
                return vswitch_error_set(error, -ENODATA, "%s does not report a VF %u", pf->name, index);

        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
                struct pf_vf_attributes changed = model->vfs[index].attributes;
                char name[32];

                if (!(wanted->valid & order[i]) || !copy_attribute(&changed, wanted, order[i]))
                        continue;
                if (model->refused_attributes & order[i]) {
                        pf->cannot_set |= order[i];
                        return vswitch_error_set(error, -EOPNOTSUPP,
                                                 "cannot set the %s of VF %u of %s: not in this model",
                                                 pf_attribute_names(order[i], name, sizeof(name)), index, pf->name);
                }
                if (model->invalid_attributes & order[i])
                        return vswitch_error_set(error, -EINVAL, "cannot set the %s of VF %u of %s: Invalid argument",
                                                 pf_attribute_names(order[i], name, sizeof(name)), index, pf->name);
                pf->can_set |= order[i];
                if (model->vfs[index].vectors > 0 && order[i] & (PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST))
                        model->vfs[index].disturbances++;
                model->vfs[index].attributes = changed;
                model->writes++;
        }
        return 0;
}

static int model_filter_add(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);

        if (modelled_pf_has_filter(model, mac))
                return 0;
        if (model->filter_count >= model->filter_capacity)
                return vswitch_error_set(error, -ENOMEM, "%s has no room for another unicast address", pf->name);
        model->filters[model->filter_count++] = *mac;
        model->writes++;
        return 0;
}

static int model_filter_remove(struct pf *pf, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);

        if (model->unlist_error < 0)
                return vswitch_error_set(error, model->unlist_error, "this card keeps what it has");
        for (size_t i = 0; i < model->filter_count; i++)
                if (vswitch_mac_equal(&model->filters[i], mac)) {
                        model->filters[i] = model->filters[--model->filter_count];
                        model->writes++;
                        break;
                }
        return 0;
}

static int model_filter_list(struct pf *pf, struct vswitch_mac **ret, size_t *ret_count, struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_pf *model = model_of_pf(pf);

        return copy_array(model->filters, model->filter_count, sizeof(model->filters[0]), ret, ret_count);
}

static int model_vectors(struct pf *pf, const char *vf_address, unsigned *ret)
{
        LOCKED();
        const struct modelled_vf *vf = modelled_vf_find(vf_address);

        if (!vf)
                return -ENODEV;
        if (strcmp(vf->identity.driver, "vfio-pci") != 0)
                return -ENODATA;
        *ret = vf->vectors;
        return 0;
}

static int model_bind(struct pf *pf, const char *vf_address, const char *driver, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_pf *model = model_of_pf(pf);
        struct modelled_vf *vf = modelled_vf_find(vf_address);
        bool is_vfio = strcmp(driver, "vfio-pci") == 0;

        if (!vf)
                return vswitch_error_set(error, -ENODEV, "there is no PCI device %s", vf_address);
        if (model->bind_error < 0)
                return vswitch_error_set(error, model->bind_error, "driver %s did not take %s", driver, vf_address);
        if (vf->vectors > 0)
                return vswitch_error_set(error, -EBUSY, "%s is in use: a process has it open through VFIO", vf_address);

        model->binds++;
        snprintf(vf->identity.driver, sizeof(vf->identity.driver), "%s", driver);
        snprintf(vf->driver_override, sizeof(vf->driver_override), "%s", is_vfio ? driver : "");
        if (driver[0] != '\0' && !is_vfio)
                snprintf(vf->identity.netdev, sizeof(vf->identity.netdev), "%.10sv%u", pf->name, vf->identity.index);
        else
                vf->identity.netdev[0] = '\0';
        return 0;
}

static int model_reset(struct pf *pf, const char *vf_address, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_vf *vf = modelled_vf_find(vf_address);

        if (!vf)
                return vswitch_error_set(error, -ENODEV, "there is no PCI device %s", vf_address);
        vf->resets++;
        return 0;
}

const struct pf_driver modelled_pf_driver = {
        .name = "model",
        .open = model_pf_open,
        .close = model_pf_close,
        .list_vfs = model_list_vfs,
        .read_vf = model_read_vf,
        .read_attributes = model_read_attributes,
        .set_attributes = model_set_attributes,
        .list_attributes = model_list_attributes,
        .ask_attributes = model_ask_attributes,
        .list_statistics = model_list_statistics,
        .read_statistics = model_read_statistics,
        .set_vf_count = model_set_vf_count,
        .read_autoprobe = model_read_autoprobe,
        .set_autoprobe = model_set_autoprobe,
        .uplink_filter_add = model_filter_add,
        .uplink_filter_remove = model_filter_remove,
        .uplink_filter_list = model_filter_list,
        .vectors = model_vectors,
        .bind = model_bind,
        .reset = model_reset,
};

/*
 * Software switch driver
 */

static struct modelled_switch *model_of_switch(struct softswitch *software_switch)
{
        return (struct modelled_switch *) software_switch;
}

static int model_switch_open(struct vswitch_netlink *netlink, const char *name, struct softswitch **ret,
                             struct vswitch_error *error)
{
        LOCKED();

        for (size_t i = 0; i < models->switch_count; i++)
                if (strcmp(models->switches[i].name, name) == 0) {
                        if (models->switches[i].next_ifindex)
                                models->switches[i].ifindex = models->switches[i].next_ifindex;
                        *ret = &models->switches[i].software_switch;
                        return 0;
                }
        return vswitch_error_set(error, -ENODEV, "there is no bridge %s", name);
}

static void model_switch_close(struct softswitch *software_switch)
{
}

static int model_switch_ifindex(const struct softswitch *software_switch)
{
        return ((const struct modelled_switch *) software_switch)->ifindex;
}

/* The VLAN that the switch files an entry under. */
static uint16_t entry_vlan(const struct modelled_switch *model, uint16_t vlan)
{
        if (!model->filters_vlans)
                return 0;
        return vlan ? vlan : 1;
}

static const struct modelled_pin *find_pin(const struct modelled_switch *model, const struct vswitch_mac *mac,
                                           uint16_t vlan)
{
        for (size_t i = 0; i < model->pin_count; i++)
                if (model->pins[i].vlan == vlan && vswitch_mac_equal(&model->pins[i].mac, mac))
                        return &model->pins[i];
        return NULL;
}

static int model_read_pin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                          struct softswitch_pin *ret, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        const struct modelled_pin *pin = find_pin(model, mac, entry_vlan(model, vlan));

        model->pin_reads++;
        *ret = (struct softswitch_pin){ .ifindex = pin ? pin->port : 0, .sticky = pin, .vlan = vlan };
        return 0;
}

static void unpin_under(struct modelled_switch *model, const struct vswitch_mac *mac, uint16_t vlan, int port_ifindex)
{
        struct modelled_pin *pin = (struct modelled_pin *) find_pin(model, mac, vlan);

        if (pin && pin->port == port_ifindex) {
                *pin = model->pins[--model->pin_count];
                model->writes++;
        }
}

static int model_pin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan, int port_ifindex,
                     struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        struct modelled_pin *pin = (struct modelled_pin *) find_pin(model, mac, entry_vlan(model, vlan));

        if (model->filters_vlans &&
            !vlan_is_in(modelled_port_find(model, port_ifindex)->member, entry_vlan(model, vlan)))
                return vswitch_error_set(error, -EINVAL, "port %d is not in VLAN %u", port_ifindex, vlan);
        if (!pin) {
                if (model->pin_count == MODELLED_PINS_MAX)
                        return -ENOSPC;
                pin = &model->pins[model->pin_count++];
                *pin = (struct modelled_pin){ .mac = *mac, .vlan = entry_vlan(model, vlan) };
        }
        if (pin->port != port_ifindex)
                model->writes++;
        pin->port = port_ifindex;
        /* What was filed in the other way. */
        pin = (struct modelled_pin *) find_pin(model, mac, model->filters_vlans ? 0 : vlan ? vlan : 1);
        if (pin)
                unpin_under(model, mac, pin->vlan, pin->port);
        return 0;
}

static int model_unpin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                       int port_ifindex, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);

        unpin_under(model, mac, 0, port_ifindex);
        unpin_under(model, mac, vlan ? vlan : 1, port_ifindex);
        return 0;
}

static struct modelled_rule *find_rule(struct modelled_switch *model, const struct vswitch_mac *mac, uint16_t vlan,
                                       int uplink)
{
        for (size_t i = 0; i < model->rule_count; i++)
                if (model->rules[i].uplink == uplink && model->rules[i].vlan == vlan &&
                    vswitch_mac_equal(&model->rules[i].mac, mac))
                        return &model->rules[i];
        return NULL;
}

static int model_prepare_uplink(struct softswitch *software_switch, int uplink_ifindex, struct vswitch_error *error)
{
        return 0;
}

static int model_copy_add(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                          int uplink_ifindex, int tap_ifindex, bool mirror, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        struct modelled_rule *rule = find_rule(model, mac, vlan, uplink_ifindex);

        if (model->copy_error < 0)
                return vswitch_error_set(error, model->copy_error, "this kernel cannot copy frames");
        if (rule && rule->ingress_tap == tap_ifindex && rule->egress_tap == (mirror ? tap_ifindex : 0))
                return 0;
        if (!rule) {
                if (model->rule_count == MODELLED_RULES_MAX)
                        return -ENOSPC;
                rule = &model->rules[model->rule_count++];
        }
        *rule = (struct modelled_rule){
                .mac = *mac,
                .vlan = vlan,
                .uplink = uplink_ifindex,
                .ingress_tap = tap_ifindex,
                .egress_tap = mirror ? tap_ifindex : 0,
        };
        model->writes++;
        return 0;
}

static int model_copy_remove(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                             int uplink_ifindex, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        struct modelled_rule *rule = find_rule(model, mac, vlan, uplink_ifindex);

        if (rule) {
                *rule = model->rules[--model->rule_count];
                model->writes++;
        }
        return 0;
}

static int model_copy_read(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                           int uplink_ifindex, bool mirror, int *ret_tap_ifindex, struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_rule *rule = find_rule(model_of_switch(software_switch), mac, vlan, uplink_ifindex);

        if (!rule)
                *ret_tap_ifindex = 0;
        else
                *ret_tap_ifindex = rule->ingress_tap > 0 && rule->egress_tap == (mirror ? rule->ingress_tap : 0)
                                           ? rule->ingress_tap
                                           : -1;
        return 0;
}

static int model_copy_list(struct softswitch *software_switch, int uplink_ifindex, struct vswitch_mac **ret,
                           size_t *ret_count, struct vswitch_error *error)
{
        LOCKED();
        const struct modelled_switch *model = model_of_switch(software_switch);
        struct vswitch_mac macs[MODELLED_RULES_MAX];
        size_t count = 0;

        for (size_t i = 0; i < model->rule_count; i++)
                if (model->rules[i].uplink == uplink_ifindex)
                        macs[count++] = model->rules[i].mac;
        return copy_array(macs, count, sizeof(macs[0]), ret, ret_count);
}

static int model_set_multicast_router(struct softswitch *software_switch, int port_ifindex, bool permanent,
                                      struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        size_t i = 0;

        while (i < model->multicast_router_count && model->multicast_routers[i] != port_ifindex)
                i++;
        if (permanent && i == model->multicast_router_count) {
                if (i == MODELLED_PINS_MAX)
                        return -ENOSPC;
                model->multicast_routers[model->multicast_router_count++] = port_ifindex;
                model->writes++;
        } else if (!permanent && i < model->multicast_router_count) {
                model->multicast_routers[i] = model->multicast_routers[--model->multicast_router_count];
                model->writes++;
        }
        return 0;
}

static int model_read_port_vlans(struct softswitch *software_switch, int port_ifindex,
                                 struct softswitch_port_vlans *ret, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        const struct modelled_port *port = modelled_port_find(model, port_ifindex);

        model->port_reads++;
        *ret = (struct softswitch_port_vlans){ .filters = model->filters_vlans };
        if (!model->filters_vlans)
                return 0;
        ret->pvid = port->pvid;
        memcpy(ret->member, port->member, sizeof(ret->member));
        memcpy(ret->untagged, port->untagged, sizeof(ret->untagged));
        for (size_t i = 0; i < 64; i++)
                ret->count += (unsigned) __builtin_popcountll(port->member[i]);
        return 0;
}

static int model_set_access_vlan(struct softswitch *software_switch, int port_ifindex, uint16_t vlan,
                                 struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        struct modelled_port *port = modelled_port_find(model, port_ifindex);

        model->vlan_tries++;
        if (!model->filters_vlans)
                return vswitch_error_set(error, -EOPNOTSUPP, "%s does not filter VLANs", model->name);
        if (model->vlan_error < 0)
                return vswitch_error_set(error, model->vlan_error, "this port takes no VLAN");
        memset(port->member, 0, sizeof(port->member));
        memset(port->untagged, 0, sizeof(port->untagged));
        modelled_port_add_vlan(port, vlan, false);
        port->pvid = vlan;
        model->writes++;
        return 0;
}

static int model_guard_read(struct softswitch *software_switch, int port_ifindex, struct softswitch_guard *ret,
                            bool *ret_foreign, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);
        const struct modelled_port *port = modelled_port_find(model, port_ifindex);

        model->port_reads++;
        *ret = port->guard;
        *ret_foreign = port->foreign;
        return 0;
}

static int model_guard_set(struct softswitch *software_switch, int port_ifindex, const struct softswitch_guard *wanted,
                           struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);

        if (model->guard_error < 0)
                return vswitch_error_set(error, model->guard_error, "this kernel cannot drop frames");
        modelled_port_find(model, port_ifindex)->guard = *wanted;
        model->writes++;
        return 0;
}

static int model_announce(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                          int uplink_ifindex, struct vswitch_error *error)
{
        LOCKED();
        struct modelled_switch *model = model_of_switch(software_switch);

        model->announcements++;
        model->last_announced = *mac;
        return 0;
}

const struct softswitch_driver modelled_switch_driver = {
        .name = "model",
        .open = model_switch_open,
        .close = model_switch_close,
        .ifindex = model_switch_ifindex,
        .read_pin = model_read_pin,
        .pin = model_pin,
        .unpin = model_unpin,
        .prepare_uplink = model_prepare_uplink,
        .copy_add = model_copy_add,
        .copy_remove = model_copy_remove,
        .copy_read = model_copy_read,
        .copy_list = model_copy_list,
        .set_multicast_router = model_set_multicast_router,
        .read_port_vlans = model_read_port_vlans,
        .set_access_vlan = model_set_access_vlan,
        .guard_read = model_guard_read,
        .guard_set = model_guard_set,
        .announce = model_announce,
};

/*
 * Frames
 */

/* A frame on its way: in which VLAN of the switch, and with which tag on the uplink. */
struct frame {
        const struct vswitch_mac *mac;
        uint16_t vlan; /* 0: the switch does not filter */
        uint16_t tag;  /* 0: none */
        bool passes_uplink;
        bool passes_tap;
};

static struct frame frame_in_vlan(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                                  const struct vswitch_mac *mac, uint16_t vlan)
{
        struct modelled_switch *model = (struct modelled_switch *) software_switch;
        const struct modelled_port *uplink, *port;

        if (!model->filters_vlans)
                return (struct frame){ .mac = mac, .tag = vlan, .passes_uplink = true, .passes_tap = true };
        uplink = modelled_port_find(model, pf->pf.ifindex);
        port = modelled_port_find(model, tap);
        return (struct frame){
                .mac = mac,
                .vlan = vlan,
                .tag = vlan_is_in(uplink->untagged, vlan) ? 0 : vlan,
                .passes_uplink = vlan_is_in(uplink->member, vlan),
                .passes_tap = vlan_is_in(port->member, vlan),
        };
}

/* Does the embedded switch give a frame for `mac` to some VF, and to the PF? A VF gets frames of its VLAN, or those
 * without a tag. */
static void embedded_switch(const struct modelled_pf *pf, const struct frame *frame, bool *ret_vf, bool *ret_pf)
{
        bool vf = false;
        bool to_pf = modelled_pf_has_filter(pf, frame->mac);

        for (size_t i = 0; i < pf->vf_count; i++)
                if (vswitch_mac_equal(&pf->vfs[i].attributes.mac, frame->mac) &&
                    pf->vfs[i].attributes.vlan == frame->tag &&
                    (pf->steering != MODELLED_FOLLOWS_GUEST || pf->vfs[i].vectors > 0))
                        vf = true;

        if (vf && to_pf) {
                if (pf->steering == MODELLED_PF_WINS)
                        vf = false;
                else if (pf->steering != MODELLED_BOTH)
                        to_pf = false;
        }
        *ret_vf = vf;
        *ret_pf = to_pf;
}

/* A frame that the embedded switch gave to the PF comes in at the uplink. */
static unsigned comes_in_at_uplink(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                                   const struct frame *frame)
{
        struct modelled_rule *rule =
                find_rule((struct modelled_switch *) software_switch, frame->mac, frame->tag, pf->pf.ifindex);
        const struct modelled_pin *pin = find_pin(software_switch, frame->mac, frame->vlan);

        if (rule && rule->ingress_tap > 0)
                return rule->ingress_tap == tap ? MODELLED_TAP : 0;
        if (!frame->passes_uplink || !frame->passes_tap)
                return 0;
        /* Without a pin it is flooded; pinned to where it came in it is dropped. */
        return !pin || pin->port == tap ? MODELLED_TAP : 0;
}

unsigned modelled_paths_in_vlan(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                                const struct vswitch_mac *mac, enum modelled_sender sender, uint16_t vlan)
{
        const struct frame frame = frame_in_vlan(pf, software_switch, tap, mac, vlan);
        const struct modelled_pin *pin = find_pin(software_switch, mac, frame.vlan);
        const struct modelled_rule *rule =
                find_rule((struct modelled_switch *) software_switch, mac, frame.tag, pf->pf.ifindex);
        unsigned paths = 0;
        bool to_vf;
        bool to_pf;

        embedded_switch(pf, &frame, &to_vf, &to_pf);

        switch (sender) {
        case MODELLED_FROM_WIRE:
                /* As a bridge port the PF is promiscuous: what nobody wants is its. */
                if (!to_vf && !to_pf)
                        to_pf = true;
                break;
        case MODELLED_FROM_VF:
                /* What nobody wants goes out on the wire. */
                break;
        case MODELLED_FROM_SWITCH:
                if ((!pin || pin->port == tap) && frame.passes_tap)
                        paths |= MODELLED_TAP;
                if ((pin && pin->port != pf->pf.ifindex) || !frame.passes_uplink)
                        return paths;
                /* It leaves at the uplink. */
                if (rule && rule->egress_tap == tap)
                        paths |= MODELLED_TAP;
                to_pf = to_pf && pf->reflects;
                break;
        default:
                return 0;
        }

        if (to_vf)
                paths |= MODELLED_VF;
        if (to_pf)
                paths |= comes_in_at_uplink(pf, software_switch, tap, &frame);
        return paths;
}

unsigned modelled_paths(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                        const struct vswitch_mac *mac, enum modelled_sender sender)
{
        uint16_t vlan = 0;

        if (software_switch->filters_vlans)
                vlan = modelled_port_find((struct modelled_switch *) software_switch, tap)->pvid;
        return modelled_paths_in_vlan(pf, software_switch, tap, mac, sender, vlan);
}

bool modelled_guest_receives(const struct modelled_pf *pf, const struct modelled_switch *software_switch, int tap,
                             const struct modelled_vf *vf, const struct vswitch_mac *mac, enum modelled_sender sender)
{
        unsigned paths = modelled_paths(pf, software_switch, tap, mac, sender);

        return paths & (vf && vf->vectors > 0 ? MODELLED_VF : MODELLED_TAP);
}
