/* SPDX-License-Identifier: Apache-2.0 */

/* The properties that are dictionaries: what is not known is not in them, so that 0 and "off" are real answers. */

#include "src/control/server.h"

#include <linux/if_ether.h>
#include <linux/if_link.h>

static const char *protocol_text(uint16_t vlan_protocol)
{
        return vlan_protocol == ETH_P_8021AD ? "802.1ad" : "802.1Q";
}

static const char *link_state_text(uint32_t link_state)
{
        switch (link_state) {
        case IFLA_VF_LINK_STATE_ENABLE:
                return "enable";
        case IFLA_VF_LINK_STATE_DISABLE:
                return "disable";
        default:
                return "auto";
        }
}

static const char *choice_text(enum port_policy_choice choice)
{
        switch (choice) {
        case PORT_POLICY_NO:
                return "no";
        case PORT_POLICY_YES:
                return "yes";
        default:
                return "auto";
        }
}

/* Entries of an a{sv} that is open. Each does nothing when *r is negative already. */

static void put(sd_bus_message *reply, int *r, const char *key, const char *type, const void *value)
{
        if (*r >= 0)
                *r = sd_bus_message_open_container(reply, 'e', "sv");
        if (*r >= 0)
                *r = sd_bus_message_append_basic(reply, 's', key);
        if (*r >= 0)
                *r = sd_bus_message_open_container(reply, 'v', type);
        if (*r >= 0)
                *r = sd_bus_message_append_basic(reply, type[0], value);
        if (*r >= 0)
                *r = sd_bus_message_close_container(reply);
        if (*r >= 0)
                *r = sd_bus_message_close_container(reply);
}

static void put_string(sd_bus_message *reply, int *r, const char *key, const char *value)
{
        put(reply, r, key, "s", value);
}

static void put_unsigned(sd_bus_message *reply, int *r, const char *key, uint32_t value)
{
        put(reply, r, key, "u", &value);
}

static void put_uint64(sd_bus_message *reply, int *r, const char *key, uint64_t value)
{
        put(reply, r, key, "t", &value);
}

static void put_bool(sd_bus_message *reply, int *r, const char *key, bool value)
{
        int number = value;

        put(reply, r, key, "b", &number);
}

/* A dictionary as an entry of another one: what is put until close_inner() belongs to it. */
static void open_inner(sd_bus_message *reply, int *r, const char *key)
{
        if (*r >= 0)
                *r = sd_bus_message_open_container(reply, 'e', "sv");
        if (*r >= 0)
                *r = sd_bus_message_append_basic(reply, 's', key);
        if (*r >= 0)
                *r = sd_bus_message_open_container(reply, 'v', "a{sv}");
        if (*r >= 0)
                *r = sd_bus_message_open_container(reply, 'a', "{sv}");
}

static void close_inner(sd_bus_message *reply, int *r)
{
        for (unsigned i = 0; i < 3 && *r >= 0; i++)
                *r = sd_bus_message_close_container(reply);
}

static void put_attributes(sd_bus_message *reply, int *r, const struct pf_vf_attributes *attributes)
{
        uint32_t valid = attributes->valid;

        open_inner(reply, r, "Attributes");
        if (valid & PF_VF_VLAN) {
                put_unsigned(reply, r, "Vlan", attributes->vlan);
                put_unsigned(reply, r, "Qos", attributes->qos);
                put_string(reply, r, "VlanProtocol", protocol_text(attributes->vlan_protocol));
        }
        if (valid & PF_VF_SPOOF_CHECK)
                put_bool(reply, r, "SpoofCheck", attributes->spoof_check);
        if (valid & PF_VF_TRUST)
                put_bool(reply, r, "Trust", attributes->trust);
        if (valid & PF_VF_LINK_STATE)
                put_string(reply, r, "LinkState", link_state_text(attributes->link_state));
        if (valid & PF_VF_RATE) {
                put_unsigned(reply, r, "MinRate", attributes->min_rate);
                put_unsigned(reply, r, "MaxRate", attributes->max_rate);
        }
        if (valid & PF_VF_QUERY_RSS)
                put_bool(reply, r, "QueryRss", attributes->query_rss);
        close_inner(reply, r);
}

static void put_statistics(sd_bus_message *reply, int *r, const struct pf_vf_statistics *statistics)
{
        open_inner(reply, r, "Statistics");
        put_uint64(reply, r, "ReceivedPackets", statistics->received_packets);
        put_uint64(reply, r, "ReceivedBytes", statistics->received_bytes);
        put_uint64(reply, r, "ReceivedDropped", statistics->received_dropped);
        put_uint64(reply, r, "SentPackets", statistics->sent_packets);
        put_uint64(reply, r, "SentBytes", statistics->sent_bytes);
        put_uint64(reply, r, "SentDropped", statistics->sent_dropped);
        put_uint64(reply, r, "Multicast", statistics->multicast);
        put_uint64(reply, r, "Broadcast", statistics->broadcast);
        close_inner(reply, r);
}

int dictionaries_vfs(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error)
{
        const struct control_pf *pf = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < pf->vfs_count; i++) {
                const struct control_vf *vf = &pf->vfs[i];

                r = sd_bus_message_open_container(reply, 'a', "{sv}");
                put_unsigned(reply, &r, "Index", vf->index);
                put_string(reply, &r, "Address", vf->address);
                put_string(reply, &r, "State", vf->state);
                put_string(reply, &r, "Driver", vf->driver);
                put_string(reply, &r, "Mac", vf->mac);
                put_string(reply, &r, "Owner", vf->owner);
                put_unsigned(reply, &r, "Vectors", vf->vectors);
                if (vf->attributes)
                        put_attributes(reply, &r, vf->attributes);
                if (vf->statistics)
                        put_statistics(reply, &r, vf->statistics);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int dictionaries_neighbours(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const struct control_switch *view = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < view->neighbours_count; i++) {
                const struct control_neighbour *neighbour = &view->neighbours[i];

                r = sd_bus_message_open_container(reply, 'a', "{sv}");
                put_string(reply, &r, "Mac", neighbour->mac);
                put_string(reply, &r, "Port", neighbour->port);
                put_unsigned(reply, &r, "Vlan", neighbour->vlan);
                put_string(reply, &r, "Kind", neighbour->kind);
                put_string(reply, &r, "State", neighbour->state);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int dictionaries_policy(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const struct port_policy *policy = *(const struct port_policy **) userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (policy) {
                put_unsigned(reply, &r, "Weight", policy->weight);
                put_unsigned(reply, &r, "Vlan", policy->vlan);
                put_unsigned(reply, &r, "Qos", policy->qos);
                put_string(reply, &r, "VlanProtocol", protocol_text(policy->vlan_protocol));
                put_string(reply, &r, "SpoofCheck", choice_text(policy->spoof_check));
                put_bool(reply, &r, "Trust", policy->trust);
                put_unsigned(reply, &r, "MinRate", policy->min_rate);
                put_unsigned(reply, &r, "MaxRate", policy->max_rate);
                put_bool(reply, &r, "PreferVf", policy->prefer_vf);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int dictionaries_attribute_names(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        uint32_t attributes = *(const uint32_t *) userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (unsigned bit = 0; r >= 0 && bit < 32; bit++) {
                char name[64];

                pf_attribute_names(attributes & (UINT32_C(1) << bit), name, sizeof(name));
                if (name[0])
                        r = sd_bus_message_append_basic(reply, 's', name);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
