/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Linux bridge as the software switch.
 *
 * The VLAN of an entry: a bridge that does not filter VLANs files every MAC under 0, whatever tag its frames
 * carry; one that does files it under the VLAN of the frame, so "untagged" there means the VLAN that untagged
 * ports get (vlan_default_pvid). Both can be changed while the bridge runs and an entry under the wrong VLAN is
 * simply never looked at; so they are read each time and not remembered. (Without filtering the kernel adds an
 * entry for each VLAN that the port has, default one included, next to the one that counts, and removes them with
 * it. When a pin moves to a port with fewer VLANs, those of the old port stay behind.)
 *
 * A bridge that begins or ceases to filter keeps its entries, so those that were made before are left under what does
 * not count any more. Pinning and unpinning take them away: whatever of ours is under no VLAN while the bridge filters,
 * and under the NIC's VLAN while it does not.
 *
 * What is ours among the entries: static (NUD_NOARP) and sticky. Learned entries are replaced by a pin, static
 * ones of others that are not sticky are replaced too (they say where the MAC is, and so do we, and better), but
 * only our kind is ever removed. Local entries (NUD_PERMANENT) are addresses of the bridge's own ports: a guest
 * with such a MAC is a mistake that must not be made worse.
 */

#include "announce.h"
#include "bridge_vlan.h"
#include "cleanup.h"
#include "copy_rule.h"
#include "fdb.h"
#include "guard.h"
#include "link.h"
#include "softswitch.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

/* IFLA_BRPORT_MULTICAST_ROUTER, as in the kernel's if_bridge.h: learn from queries (the default), or always. */
#define MULTICAST_ROUTER_LEARN     1
#define MULTICAST_ROUTER_PERMANENT 2

struct bridge {
        struct softswitch software_switch;
        struct vswitch_netlink *netlink;
        char name[IF_NAMESIZE];
        int ifindex;
};

static struct bridge *bridge_of(struct softswitch *software_switch)
{
        return (struct bridge *) software_switch;
}

static int bridge_open(struct vswitch_netlink *netlink, const char *name, struct softswitch **ret,
                       struct vswitch_error *error)
{
        struct vswitch_link link;
        struct bridge *bridge;
        int r;

        r = vswitch_link_get_by_name(netlink, name, &link, error);
        if (r == -ENODEV)
                return vswitch_error_set(error, r,
                                         "there is no bridge %s: make one with \"ip link add %s type bridge\" or in "
                                         "the host's network configuration",
                                         name, name);
        if (r < 0)
                return r;
        if (strcmp(link.kind, "bridge") != 0)
                return vswitch_error_set(error, -ENODEV, "%s is not a Linux bridge but %s", name,
                                         link.kind[0] != '\0' ? link.kind : "a hardware device");

        bridge = calloc(1, sizeof(*bridge));
        if (!bridge)
                return -ENOMEM;
        bridge->software_switch.driver = &softswitch_bridge_driver;
        bridge->netlink = netlink;
        bridge->ifindex = link.ifindex;
        memcpy(bridge->name, link.name, sizeof(bridge->name));
        *ret = &bridge->software_switch;
        return 0;
}

static void bridge_close(struct softswitch *software_switch)
{
        free(software_switch);
}

static int bridge_ifindex(const struct softswitch *software_switch)
{
        return ((const struct bridge *) software_switch)->ifindex;
}

static int read_settings(struct bridge *bridge, struct bridge_vlan_settings *ret, struct vswitch_error *error)
{
        int r = bridge_vlan_read_settings(bridge->netlink, bridge->ifindex, ret, error);

        return r < 0 ? vswitch_error_prefix(error, r, "cannot read the settings of bridge %s", bridge->name) : 0;
}

/* The VLAN under which the bridge files frames of `vlan`. */
static int fdb_vlan(struct bridge *bridge, uint16_t vlan, uint16_t *ret, struct vswitch_error *error)
{
        struct bridge_vlan_settings settings;
        int r = read_settings(bridge, &settings, error);

        if (r < 0)
                return r;
        if (!settings.filtering)
                *ret = 0;
        else if (vlan != 0)
                *ret = vlan;
        else if (settings.default_pvid != 0)
                *ret = settings.default_pvid;
        else
                return vswitch_error_set(error, -EINVAL,
                                         "bridge %s filters VLANs and has no default one (vlan_default_pvid 0): the "
                                         "NIC needs a VLAN",
                                         bridge->name);
        return 0;
}

static int get_entry(struct bridge *bridge, const struct vswitch_mac *mac, uint16_t fdb_vlan_id, struct fdb_entry *ret,
                     struct vswitch_error *error)
{
        char text[VSWITCH_MAC_TEXT_SIZE];
        struct vswitch_error refusal = { 0 };
        int r = fdb_get(bridge->netlink, bridge->ifindex, mac, fdb_vlan_id, ret, &refusal);

        if (r == -ENOENT) {
                *ret = (struct fdb_entry){ 0 };
                return 0;
        }
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read the entry for %s on bridge %s: %s",
                                         vswitch_mac_format(mac, text), bridge->name, vswitch_error_text(&refusal, r));
        return 0;
}

static int bridge_read_pin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                           struct softswitch_pin *ret, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct softswitch_pin pin = { .vlan = vlan };
        struct fdb_entry entry;
        uint16_t filed_under = 0;
        int r;

        r = fdb_vlan(bridge, vlan, &filed_under, error);
        if (r < 0)
                return r;
        r = get_entry(bridge, mac, filed_under, &entry, error);
        if (r < 0)
                return r;

        if (entry.state & (NUD_NOARP | NUD_PERMANENT)) {
                pin.ifindex = entry.ifindex;
                pin.sticky = entry.flags & NTF_STICKY;
                pin.permanent = entry.state & NUD_PERMANENT;
        }
        *ret = pin;
        return 0;
}

static bool is_pin(const struct fdb_entry *entry)
{
        return (entry->state & NUD_NOARP) && (entry->flags & NTF_STICKY);
}

/* One under no VLAN goes with those that the port has under its VLANs: the kernel knows no other way. */
static int remove_entry(struct bridge *bridge, const struct fdb_entry *pin, struct vswitch_error *error)
{
        char text[VSWITCH_MAC_TEXT_SIZE];
        struct softswitch_port_vlans vlans = { 0 };
        struct vswitch_error refusal = { 0 };
        struct fdb_entry entry = *pin;
        int r;

        entry.flags = NTF_MASTER;
        r = fdb_delete(bridge->netlink, &entry, &refusal);
        if (r == -EINVAL && entry.vlan != 0 &&
            bridge_vlan_read_port(bridge->netlink, entry.ifindex, &vlans, NULL) == 0 &&
            !softswitch_vlan_test(vlans.member, entry.vlan))
                r = bridge_vlan_flush_left(bridge->netlink, entry.ifindex, entry.vlan, &refusal);
        if (r < 0 && r != -ENOENT)
                return vswitch_error_set(error, r, "cannot remove the pin of %s from bridge %s: %s",
                                         vswitch_mac_format(&entry.mac, text), bridge->name,
                                         vswitch_error_text(&refusal, r));
        return 0;
}

static int write_pin(struct bridge *bridge, const struct fdb_entry *entry, struct vswitch_error *error)
{
        char text[VSWITCH_MAC_TEXT_SIZE];
        char port[VSWITCH_LINK_TEXT_SIZE];
        struct vswitch_error refusal = { 0 };
        int r = fdb_replace(bridge->netlink, entry, &refusal);

        if (r == -EINVAL && entry->vlan != 0)
                return vswitch_error_set(error, r, "cannot pin %s on bridge %s: %s is not a member of VLAN %u",
                                         vswitch_mac_format(&entry->mac, text), bridge->name,
                                         vswitch_link_describe(entry->ifindex, port), entry->vlan);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot pin %s to %s on bridge %s: %s",
                                         vswitch_mac_format(&entry->mac, text),
                                         vswitch_link_describe(entry->ifindex, port), bridge->name,
                                         vswitch_error_text(&refusal, r));
        return 0;
}

/* What a bridge that did not filter VLANs has left to one that does. Before the pin is written, since the one under the
 * VLAN that counts now goes with it where both are at one port. */
static int remove_unfiltered(struct bridge *bridge, const struct vswitch_mac *mac, struct vswitch_error *error)
{
        struct fdb_entry left;
        int r = get_entry(bridge, mac, 0, &left, error);

        return r == 0 && is_pin(&left) ? remove_entry(bridge, &left, error) : r;
}

/* After a pin under no VLAN was written: what the kernel made in the VLANs of the port where it was until then, and what
 * is at another port in the VLAN that counted when the bridge filtered. */
static int remove_filtered(struct bridge *bridge, const struct fdb_entry *before, uint16_t vlan,
                           const struct fdb_entry *pin, struct vswitch_error *error)
{
        struct fdb_entry left = { 0 };
        int r = 0;

        if (is_pin(before) && before->ifindex != pin->ifindex)
                r = remove_entry(bridge, before, error);
        if (r == 0 && vlan != 0)
                r = get_entry(bridge, &pin->mac, vlan, &left, error);
        return r == 0 && is_pin(&left) && left.ifindex != pin->ifindex ? remove_entry(bridge, &left, error) : r;
}

static int bridge_pin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                      int port_ifindex, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        char text[VSWITCH_MAC_TEXT_SIZE];
        char port[VSWITCH_LINK_TEXT_SIZE];
        struct vswitch_error left_error = { 0 };
        struct fdb_entry before = { 0 };
        struct fdb_entry entry = {
                .mac = *mac,
                .ifindex = port_ifindex,
                .state = NUD_NOARP,
                .flags = NTF_MASTER | NTF_STICKY,
        };
        int r, left = 0;

        r = fdb_vlan(bridge, vlan, &entry.vlan, error);
        if (r == 0)
                r = get_entry(bridge, mac, entry.vlan, &before, error);
        if (r < 0)
                return r;
        if (before.state & NUD_PERMANENT)
                return vswitch_error_set(error, -EEXIST, "%s is the address of %s, which belongs to bridge %s itself",
                                         vswitch_mac_format(mac, text), vswitch_link_describe(before.ifindex, port),
                                         bridge->name);
        if (entry.vlan != 0)
                left = remove_unfiltered(bridge, mac, &left_error);
        r = write_pin(bridge, &entry, error);
        if (r == 0 && entry.vlan == 0)
                left = remove_filtered(bridge, &before, vlan, &entry, &left_error);
        if (r == 0 && left < 0)
                return vswitch_error_set(error, left, "%s", vswitch_error_text(&left_error, left));
        return r;
}

static int unpin_under(struct bridge *bridge, const struct vswitch_mac *mac, uint16_t vlan, int port_ifindex,
                       struct vswitch_error *error)
{
        struct fdb_entry entry;
        int r = get_entry(bridge, mac, vlan, &entry, error);

        return r == 0 && is_pin(&entry) && entry.ifindex == port_ifindex ? remove_entry(bridge, &entry, error) : r;
}

static int bridge_unpin(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                        int port_ifindex, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct bridge_vlan_settings settings;
        int r = read_settings(bridge, &settings, error);

        if (r == 0)
                r = unpin_under(bridge, mac, 0, port_ifindex, error);
        if (r == 0 && vlan == 0)
                vlan = settings.default_pvid;
        return r == 0 && vlan != 0 ? unpin_under(bridge, mac, vlan, port_ifindex, error) : r;
}

static int read_port(struct bridge *bridge, int port_ifindex, struct softswitch_port_vlans *ret,
                     struct vswitch_error *error)
{
        char port[VSWITCH_LINK_TEXT_SIZE];
        int r = bridge_vlan_read_port(bridge->netlink, port_ifindex, ret, error);

        return r < 0 ? vswitch_error_prefix(error, r, "cannot read the VLANs of %s",
                                            vswitch_link_describe(port_ifindex, port))
                     : 0;
}

static int refuse_non_member(const struct bridge *bridge, int uplink_ifindex, uint16_t vlan,
                             struct vswitch_error *error)
{
        char port[VSWITCH_LINK_TEXT_SIZE];

        return vswitch_error_set(error, -EINVAL, "uplink %s of bridge %s is not a member of VLAN %u",
                                 vswitch_link_describe(uplink_ifindex, port), bridge->name, vlan);
}

/* Which frames of the uplink are the MAC's. */
static int copy_rule_vlans(struct bridge *bridge, uint16_t vlan, struct copy_rule *rule, bool *ret_filters,
                           struct vswitch_error *error)
{
        struct bridge_vlan_settings settings;
        int r = read_settings(bridge, &settings, error);

        if (r < 0)
                return r;
        if (vlan != 0)
                rule->vlan_mode = COPY_RULE_TAGGED;
        else
                rule->vlan_mode = settings.filtering ? COPY_RULE_UNTAGGED : COPY_RULE_ANY;
        rule->vlan = vlan;
        rule->vlan_protocol = settings.protocol;
        if (ret_filters)
                *ret_filters = settings.filtering;
        return 0;
}

/* The rule goes past the bridge: it must not carry frames between VLANs that the bridge keeps apart. */
static int check_copy_rule_vlans(struct bridge *bridge, const struct copy_rule *rule, struct vswitch_error *error)
{
        struct softswitch_port_vlans tap = { 0 };
        struct softswitch_port_vlans uplink = { 0 };
        char tap_name[VSWITCH_LINK_TEXT_SIZE];
        char uplink_name[VSWITCH_LINK_TEXT_SIZE];
        bool is_untagged;
        int r;

        r = read_port(bridge, rule->tap_ifindex, &tap, error);
        if (r == 0)
                r = read_port(bridge, rule->uplink_ifindex, &uplink, error);
        if (r < 0)
                return r;
        vswitch_link_describe(rule->tap_ifindex, tap_name);
        if (tap.pvid == 0 || !softswitch_vlan_test(tap.untagged, tap.pvid))
                return vswitch_error_set(error, -EOPNOTSUPP, "%s has no access VLAN on bridge %s, which filters VLANs",
                                         tap_name, bridge->name);
        if (!softswitch_vlan_test(uplink.member, tap.pvid))
                return refuse_non_member(bridge, rule->uplink_ifindex, tap.pvid, error);

        is_untagged = softswitch_vlan_test(uplink.untagged, tap.pvid);
        if (rule->vlan != (is_untagged ? 0 : tap.pvid))
                return vswitch_error_set(error, -EINVAL,
                                         "frames of %s are in VLAN %u and leave uplink %s %s, not as was said %s",
                                         tap_name, tap.pvid, vswitch_link_describe(rule->uplink_ifindex, uplink_name),
                                         is_untagged ? "untagged" : "tagged",
                                         rule->vlan == 0 ? "untagged" : "with another tag");
        return 0;
}

static int bridge_prepare_uplink(struct softswitch *software_switch, int uplink_ifindex, struct vswitch_error *error)
{
        return copy_rule_prepare(bridge_of(software_switch)->netlink, uplink_ifindex, error);
}

static int bridge_copy_add(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                           int uplink_ifindex, int tap_ifindex, bool mirror, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct copy_rule rule = {
                .mac = *mac, .uplink_ifindex = uplink_ifindex, .tap_ifindex = tap_ifindex, .mirror = mirror
        };
        bool filters = false;
        int r = copy_rule_vlans(bridge, vlan, &rule, &filters, error);

        if (r == 0 && filters)
                r = check_copy_rule_vlans(bridge, &rule, error);
        return r < 0 ? r : copy_rule_add(bridge->netlink, &rule, error);
}

static int bridge_copy_remove(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                              int uplink_ifindex, struct vswitch_error *error)
{
        return copy_rule_remove(bridge_of(software_switch)->netlink, mac, uplink_ifindex, error);
}

static int bridge_copy_read(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                            int uplink_ifindex, bool mirror, int *ret_tap_ifindex, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct copy_rule rule = { .mac = *mac, .uplink_ifindex = uplink_ifindex, .mirror = mirror };
        int r = copy_rule_vlans(bridge, vlan, &rule, NULL, error);

        return r < 0 ? r : copy_rule_read(bridge->netlink, &rule, ret_tap_ifindex, error);
}

static int bridge_copy_list(struct softswitch *software_switch, int uplink_ifindex, struct vswitch_mac **ret,
                            size_t *ret_count, struct vswitch_error *error)
{
        return copy_rule_list(bridge_of(software_switch)->netlink, uplink_ifindex, ret, ret_count, error);
}

static int bridge_set_multicast_router(struct softswitch *software_switch, int port_ifindex, bool permanent,
                                       struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct ifinfomsg info = { .ifi_family = AF_BRIDGE, .ifi_index = port_ifindex };
        struct nl_msg *message = vswitch_netlink_message(RTM_SETLINK, 0, &info, sizeof(info));
        char text[VSWITCH_LINK_TEXT_SIZE];
        struct nlattr *port;
        int r;

        if (!message)
                return -ENOMEM;
        /* Without the flag the kernel takes the attribute for a spanning tree state. */
        port = nla_nest_start(message, IFLA_PROTINFO | NLA_F_NESTED);
        nla_put_u8(message, IFLA_BRPORT_MULTICAST_ROUTER,
                   permanent ? MULTICAST_ROUTER_PERMANENT : MULTICAST_ROUTER_LEARN);
        nla_nest_end(message, port);

        r = vswitch_netlink_transact(bridge->netlink, message, error);
        return r < 0 ? vswitch_error_prefix(error, r, "cannot set the multicast router mode of %s on bridge %s",
                                            vswitch_link_describe(port_ifindex, text), bridge->name)
                     : 0;
}

static int bridge_read_port_vlans(struct softswitch *software_switch, int port_ifindex,
                                  struct softswitch_port_vlans *ret, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct bridge_vlan_settings settings;
        int r = read_settings(bridge, &settings, error);

        if (r < 0)
                return r;
        *ret = (struct softswitch_port_vlans){ 0 };
        return settings.filtering ? read_port(bridge, port_ifindex, ret, error) : 0;
}

static int bridge_set_access_vlan(struct softswitch *software_switch, int port_ifindex, uint16_t vlan,
                                  struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct bridge_vlan_settings settings;
        char port[VSWITCH_LINK_TEXT_SIZE];
        int r = read_settings(bridge, &settings, error);

        if (r < 0)
                return r;
        vswitch_link_describe(port_ifindex, port);
        if (!settings.filtering)
                return vswitch_error_set(
                        error, -EOPNOTSUPP,
                        "cannot put %s into VLAN %u: bridge %s does not filter VLANs (\"ip link set %s "
                        "type bridge vlan_filtering 1\")",
                        port, vlan, bridge->name, bridge->name);
        if (vlan < 1 || vlan > 4094)
                return vswitch_error_set(error, -EINVAL, "%u is not a VLAN: they are 1 to 4094", vlan);
        r = bridge_vlan_set_access(bridge->netlink, port_ifindex, vlan, error);
        return r < 0 ? vswitch_error_prefix(error, r, "cannot make %s an access port of VLAN %u on bridge %s", port,
                                            vlan, bridge->name)
                     : 0;
}

static int bridge_guard_read(struct softswitch *software_switch, int port_ifindex, struct softswitch_guard *ret,
                             bool *ret_foreign, struct vswitch_error *error)
{
        return guard_read(bridge_of(software_switch)->netlink, port_ifindex, ret, ret_foreign, error);
}

static int bridge_guard_set(struct softswitch *software_switch, int port_ifindex, const struct softswitch_guard *wanted,
                            struct vswitch_error *error)
{
        return guard_set(bridge_of(software_switch)->netlink, port_ifindex, wanted, error);
}

static int bridge_announce(struct softswitch *software_switch, const struct vswitch_mac *mac, uint16_t vlan,
                           int uplink_ifindex, struct vswitch_error *error)
{
        struct bridge *bridge = bridge_of(software_switch);
        struct bridge_vlan_settings settings;
        struct softswitch_port_vlans uplink = { 0 };
        int r = read_settings(bridge, &settings, error);

        if (r < 0)
                return r;
        if (settings.filtering) {
                /* The tag that the bridge would send the guest's own frames with. */
                r = fdb_vlan(bridge, vlan, &vlan, error);
                if (r == 0)
                        r = read_port(bridge, uplink_ifindex, &uplink, error);
                if (r < 0)
                        return r;
                if (!softswitch_vlan_test(uplink.member, vlan))
                        return refuse_non_member(bridge, uplink_ifindex, vlan, error);
                if (softswitch_vlan_test(uplink.untagged, vlan))
                        vlan = 0;
        }
        return announce_send(uplink_ifindex, mac, vlan, settings.protocol, error);
}

const struct softswitch_driver softswitch_bridge_driver = {
        .name = "bridge",
        .open = bridge_open,
        .close = bridge_close,
        .ifindex = bridge_ifindex,
        .read_pin = bridge_read_pin,
        .pin = bridge_pin,
        .unpin = bridge_unpin,
        .prepare_uplink = bridge_prepare_uplink,
        .copy_add = bridge_copy_add,
        .copy_remove = bridge_copy_remove,
        .copy_read = bridge_copy_read,
        .copy_list = bridge_copy_list,
        .set_multicast_router = bridge_set_multicast_router,
        .read_port_vlans = bridge_read_port_vlans,
        .set_access_vlan = bridge_set_access_vlan,
        .guard_read = bridge_guard_read,
        .guard_set = bridge_guard_set,
        .announce = bridge_announce,
};
