/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/crash/shown.h"
#include "tests/crash/daemon.h"
#include "tests/netns/netns_test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pf *pf;
static struct softswitch *software_switch;
static struct vswitch_mac mac;
static int tap, uplink;

void shown_begin(void)
{
        struct vswitch_error error = { 0 };

        mac = netns_mac(CRASH_MAC);
        tap = netns_ifindex(CRASH_TAP);
        uplink = netns_ifindex(host_card->pf_name);
        ck_assert_msg(host_card->pf_driver->open(netns_netlink, host_card->pf_name, &pf, &error) == 0, "%s",
                      error.text);
        ck_assert_msg(host_card->softswitch_driver->open(netns_netlink, CRASH_BRIDGE, &software_switch, &error) == 0,
                      "%s", error.text);
}

void shown_end(void)
{
        software_switch->driver->close(software_switch);
        pf->driver->close(pf);
}

static void show_file(FILE *out, const char *path)
{
        FILE *file = fopen(path, "re");
        char line[256];

        while (file && fgets(line, sizeof(line), file))
                fputs(line, out);
        if (file)
                fclose(file);
}

static int is_visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static void show_files(FILE *out, const char *name)
{
        struct dirent **entries = NULL;
        char path[512];
        int count;

        snprintf(path, sizeof(path), "%s/%s", daemon_directory, name);
        count = scandir(path, &entries, is_visible, alphasort);
        for (int i = 0; i < count; i++) {
                snprintf(path, sizeof(path), "%s/%s/%s", daemon_directory, name, entries[i]->d_name);
                fprintf(out, "%s/%s\n", name, entries[i]->d_name);
                show_file(out, path);
                fprintf(out, "\n");
                free(entries[i]);
        }
        free(entries);
}

static void show_pf(FILE *out)
{
        struct pf_vf_attributes *attributes = NULL;
        struct vswitch_mac *filters = NULL;
        char text[VSWITCH_MAC_TEXT_SIZE], path[128];
        struct pf_vf *vfs = NULL;
        size_t count = 0, attributes_count = 0;

        ck_assert_int_eq(pf->driver->uplink_filter_list(pf, &filters, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                fprintf(out, "uplink filter %s\n", vswitch_mac_format(&filters[i], text));
        free(filters);
        ck_assert_int_eq(pf->driver->list_vfs(pf, &vfs, &count, NULL), 0);
        ck_assert_int_eq(pf->driver->list_attributes(pf, &attributes, &attributes_count, NULL), 0);
        ck_assert_uint_eq(count, attributes_count);
        for (size_t i = 0; i < count; i++) {
                const struct pf_vf_attributes *of = &attributes[i];

                fprintf(out,
                        "VF %s driver \"%s\" MAC %s VLAN %u/%u spoof check %d trust %d link %u rate %u-%u override ",
                        vfs[i].address, vfs[i].driver, vswitch_mac_format(&of->mac, text), of->vlan, of->qos,
                        of->spoof_check, of->trust, of->link_state, of->min_rate, of->max_rate);
                snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", vfs[i].address);
                show_file(out, path);
                fprintf(out, "\n");
        }
        free(attributes);
        free(vfs);
}

static struct softswitch_pin read_pin(void)
{
        struct softswitch_pin pin = { 0 };

        ck_assert_int_eq(software_switch->driver->read_pin(software_switch, &mac, 0, &pin, NULL), 0);
        return pin;
}

static void show_switch(FILE *out)
{
        struct softswitch_pin pin = read_pin();
        struct vswitch_mac *copied = NULL;
        char text[VSWITCH_MAC_TEXT_SIZE];
        size_t count = 0;

        if (pin.sticky)
                fprintf(out, "pin -> %s\n", pin.ifindex == tap ? "tap" : pin.ifindex == uplink ? "uplink" : "?");
        ck_assert_int_eq(software_switch->driver->copy_list(software_switch, uplink, &copied, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                fprintf(out, "copy rule %s\n", vswitch_mac_format(&copied[i], text));
        free(copied);
        fprintf(out, "multicast router ");
        show_file(out, "/sys/class/net/" CRASH_TAP "/brport/multicast_router");
        fprintf(out, "\n");
}

static char *show(bool with_files)
{
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        ck_assert_ptr_nonnull(out);
        show_pf(out);
        show_switch(out);
        for (const char *const *name = (const char *const[]){ "claims", "nics", "neighbours", NULL };
             with_files && *name; name++)
                show_files(out, *name);
        fclose(out);
        return text;
}

char *shown_all(void)
{
        return show(true);
}

char *shown_kernel(void)
{
        return show(false);
}

static bool has_uplink_filter(void)
{
        struct vswitch_mac *filters = NULL;
        size_t count = 0;
        bool found = false;

        ck_assert_int_eq(pf->driver->uplink_filter_list(pf, &filters, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                found |= vswitch_mac_equal(&filters[i], &mac);
        free(filters);
        return found;
}

static bool has_vf_filter(void)
{
        struct pf_vf_attributes *attributes = NULL;
        size_t count = 0;
        bool found = false;

        ck_assert_int_eq(pf->driver->list_attributes(pf, &attributes, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                found |= vswitch_mac_equal(&attributes[i].mac, &mac);
        free(attributes);
        return found;
}

static bool has_copy_rule(void)
{
        struct vswitch_mac *copied = NULL;
        size_t count = 0;
        bool found = false;

        ck_assert_int_eq(software_switch->driver->copy_list(software_switch, uplink, &copied, &count, NULL), 0);
        for (size_t i = 0; i < count; i++)
                found |= vswitch_mac_equal(&copied[i], &mac);
        free(copied);
        return found;
}

const char *shown_deafness(void)
{
        struct softswitch_pin pin = read_pin();
        bool to_uplink = pin.sticky && pin.ifindex == uplink;

        if (host_guest_drives()) {
                if (!has_vf_filter())
                        return "the guest listens to its VF, which does not have its MAC";
                return pin.sticky && !to_uplink ? "the guest listens to its VF, and the bridge sends to the tap" : "";
        }
        if (to_uplink && !has_copy_rule())
                return "the guest listens to its tap, and the bridge sends to the uplink without a copy";
        if (has_vf_filter() && !has_uplink_filter())
                return "the guest listens to its tap, and the card has its MAC for a VF only";
        return "";
}
