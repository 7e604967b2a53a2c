/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The copy rule.
 *
 * Theory of operation: a bridge's forwarding entry has one port. While a NIC moves, its MAC is pinned to the
 * uplink, so that neighbours on the same bridge reach the VF through the embedded switch; tc filters on the uplink
 * then bring every such frame to the tap too:
 *
 *   ingress: a frame for the MAC comes in (the embedded switch gives the uplink a copy) -> redirect to the tap.
 *            The bridge would drop it, because it would have to leave where it came in.
 *   egress:  a neighbour's frame for the MAC leaves -> mirror to the tap, and let it go on.
 *
 * Both go past the bridge, so what the bridge does about VLANs is done here: where it filters VLANs, only the
 * frames of the tap's own VLAN match, and the tag that they carry on the uplink is taken off for the tap.
 *
 * On egress that means off, mirror, on again, as tc can change a frame but not only its copy. The tag's 802.1p priority
 * is not kept over that: so there is a filter for each of the eight, which puts on again what it matched. Only the
 * tag's drop-eligible bit is lost, for the duration of the move.
 *
 * A bridge takes a frame whose tag has a priority but no VLAN (VLAN 0) for an untagged one, and its access ports get it
 * without the tag; so does the second ingress filter of an untagged rule.
 *
 * What is ours is told by a cookie (tc.h) and the priority SOFTSWITCH_COPY_PRIORITY. Anything else, at whatever
 * priority, is neither changed nor counted.
 *
 * The clsact qdisc stays where it was made: adding or removing it makes the kernel take the device's queues down for
 * a moment, and frames of everybody are lost (measured: about two of a thousand a second for each time, on the emulated
 * igb). So it is made once, when the uplink is taken into use, and moves only add and remove filters. An empty clsact
 * costs next to nothing; "tc qdisc del dev UPLINK clsact" removes it for good.
 */

#include "copy_rule.h"

#include "cleanup.h"
#include "copy_filter.h"
#include "link.h"
#include "mac_list.h"
#include "tc.h"

#include <errno.h>
#include <string.h>

#define QOS_COUNT 8

/* Ingress, and egress for each 802.1p priority. */
#define FILTERS_MAX (1 + QOS_COUNT)

int copy_rule_prepare(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_error *error)
{
        char uplink[VSWITCH_LINK_TEXT_SIZE];
        char kind[16];
        int r;

        /* Looks before it writes: a request that changes nothing is a write all the same to who watches. */
        r = tc_read_ingress_qdisc(netlink, uplink_ifindex, kind, error);
        if (r < 0 || strcmp(kind, "clsact") == 0)
                return r;
        vswitch_link_describe(uplink_ifindex, uplink);
        if (kind[0] != '\0')
                return vswitch_error_set(error, -EBUSY,
                                         "%s has an %s qdisc, where copy rules need clsact: replace it (\"tc qdisc del "
                                         "dev %s ingress; tc qdisc add dev %s clsact\"), and add its filters again",
                                         uplink, kind, uplink, uplink);

        r = tc_add_ingress_qdisc(netlink, uplink_ifindex, "clsact", error);
        return r < 0 ? vswitch_error_prefix(error, r, "cannot add a clsact qdisc to %s", uplink) : 0;
}

/* The filters that make up a rule. */
static size_t plan(const struct copy_rule *rule, struct copy_filter filters[static FILTERS_MAX])
{
        struct copy_filter filter = {
                .direction = COPY_INGRESS,
                .mac = rule->mac,
                .vlan_mode = rule->vlan_mode,
                .vlan = rule->vlan,
                .vlan_protocol = rule->vlan_protocol,
                .qos = COPY_FILTER_ANY_QOS,
                .tap_ifindex = rule->tap_ifindex,
        };
        size_t count = 0;

        filters[count++] = filter;
        if (rule->vlan_mode == COPY_RULE_UNTAGGED) {
                filters[count] = filter;
                filters[count].vlan_mode = COPY_RULE_TAGGED;
                filters[count++].vlan = 0;
        }

        filter.direction = COPY_EGRESS;
        if (rule->mirror && rule->vlan_mode != COPY_RULE_TAGGED)
                filters[count++] = filter;
        else if (rule->mirror)
                for (filter.qos = 0; filter.qos < QOS_COUNT; filter.qos++)
                        filters[count++] = filter;
        return count;
}

static const struct copy_filter *find(const struct copy_filter *filters, size_t count, const struct copy_filter *key)
{
        for (size_t i = 0; i < count; i++)
                if (copy_filter_has_key(&filters[i], key))
                        return &filters[i];
        return NULL;
}

/* The tap to which the filters of a MAC make up the planned rule, 0 when there are none, else -1. */
static int judge(const struct copy_filter_list *list, const struct copy_filter *planned, size_t planned_count)
{
        size_t count = 0;
        int tap_ifindex = 0;

        for (size_t i = 0; i < list->count; i++) {
                const struct copy_filter *filter = &list->filters[i];

                if (!vswitch_mac_equal(&filter->mac, &planned[0].mac))
                        continue;
                if (!find(planned, planned_count, filter) || filter->tap_ifindex <= 0 ||
                    (count > 0 && filter->tap_ifindex != tap_ifindex))
                        return -1;
                tap_ifindex = filter->tap_ifindex;
                count++;
        }
        return count == 0 || count == planned_count ? tap_ifindex : -1;
}

static int write_filters(struct vswitch_netlink *netlink, const struct copy_rule *rule, struct copy_filter_list *list,
                         const struct copy_filter *planned, size_t planned_count, struct vswitch_error *error)
{
        int r;

        for (size_t i = 0; i < planned_count; i++) {
                const struct copy_filter *there = find(list->filters, list->count, &planned[i]);
                struct copy_filter wanted = planned[i];

                if (there && there->tap_ifindex == wanted.tap_ifindex)
                        continue;
                if (there)
                        wanted.handle = there->handle;
                r = copy_filter_write(netlink, rule->uplink_ifindex, &wanted, error);
                if (r < 0)
                        return r;
        }

        /* The VLAN of the port was changed since, or the mirror is not wanted any more. */
        for (size_t i = 0; i < list->count; i++) {
                const struct copy_filter *filter = &list->filters[i];

                if (!vswitch_mac_equal(&filter->mac, &rule->mac) || find(planned, planned_count, filter))
                        continue;
                r = copy_filter_delete(netlink, rule->uplink_ifindex, filter, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int copy_rule_add(struct vswitch_netlink *netlink, const struct copy_rule *rule, struct vswitch_error *error)
{
        _cleanup_(copy_filter_list_freep) struct copy_filter_list list = { 0 };
        struct copy_filter planned[FILTERS_MAX];
        size_t planned_count = plan(rule, planned);
        char mac[VSWITCH_MAC_TEXT_SIZE];
        int r;

        r = copy_filter_list_read(netlink, rule->uplink_ifindex, &list, error);
        if (r < 0)
                return r;
        if (judge(&list, planned, planned_count) == rule->tap_ifindex)
                return 0;
        if (list.count == 0) {
                r = copy_rule_prepare(netlink, rule->uplink_ifindex, error);
                if (r < 0)
                        return r;
        }

        r = write_filters(netlink, rule, &list, planned, planned_count, error);
        if (r == 0)
                r = copy_filter_list_read(netlink, rule->uplink_ifindex, &list, error);
        /* A kernel that does not know a part of a key ignores it, and the filter takes more frames than it should. */
        if (r == 0 && judge(&list, planned, planned_count) != rule->tap_ifindex)
                r = vswitch_error_set(
                        error, -EOPNOTSUPP,
                        "this kernel does not copy the frames for %s as it should (on a bridge that filters "
                        "VLANs, Linux 5.19 or newer is needed)",
                        vswitch_mac_format(&rule->mac, mac));
        /* Half a rule is worse than none. */
        if (r < 0)
                (void) copy_rule_remove(netlink, &rule->mac, rule->uplink_ifindex, NULL);
        return r;
}

int copy_rule_remove(struct vswitch_netlink *netlink, const struct vswitch_mac *mac, int uplink_ifindex,
                     struct vswitch_error *error)
{
        _cleanup_(copy_filter_list_freep) struct copy_filter_list list = { 0 };
        int r = copy_filter_list_read(netlink, uplink_ifindex, &list, error);

        for (size_t i = 0; r == 0 && i < list.count; i++)
                if (vswitch_mac_equal(&list.filters[i].mac, mac))
                        r = copy_filter_delete(netlink, uplink_ifindex, &list.filters[i], error);
        return r;
}

int copy_rule_read(struct vswitch_netlink *netlink, const struct copy_rule *rule, int *ret_tap_ifindex,
                   struct vswitch_error *error)
{
        _cleanup_(copy_filter_list_freep) struct copy_filter_list list = { 0 };
        struct copy_filter planned[FILTERS_MAX];
        size_t planned_count = plan(rule, planned);
        int r = copy_filter_list_read(netlink, rule->uplink_ifindex, &list, error);

        if (r < 0)
                return r;
        *ret_tap_ifindex = judge(&list, planned, planned_count);
        return 0;
}

int copy_rule_list(struct vswitch_netlink *netlink, int uplink_ifindex, struct vswitch_mac **ret, size_t *ret_count,
                   struct vswitch_error *error)
{
        _cleanup_(copy_filter_list_freep) struct copy_filter_list list = { 0 };
        _cleanup_(mac_list_freep) struct mac_list macs = { 0 };
        int r;

        r = copy_filter_list_read(netlink, uplink_ifindex, &list, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < list.count; i++) {
                r = mac_list_add(&macs, &list.filters[i].mac);
                if (r < 0)
                        return r;
        }
        mac_list_take(&macs, ret, ret_count);
        return 0;
}
