/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/claims.h"
#include "src/daemon/state_file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLAIMS_VERSION 1

struct claim_store {
        char *claims_directory;
        char *nics_directory;
};

static void free_string(char **text)
{
        free(*text);
}

int claim_store_open(const char *directory, struct claim_store **ret, struct vswitch_error *error)
{
        struct claim_store *store = calloc(1, sizeof(*store));
        int r;

        if (!store)
                return -ENOMEM;
        r = state_file_make_directory(directory, 0755, error);
        if (r == 0)
                r = state_file_make_subdirectory(directory, "claims", &store->claims_directory, error);
        if (r == 0)
                r = state_file_make_subdirectory(directory, "nics", &store->nics_directory, error);
        if (r < 0) {
                claim_store_close(store);
                return r;
        }
        *ret = store;
        return 0;
}

void claim_store_close(struct claim_store *store)
{
        if (!store)
                return;
        free(store->claims_directory);
        free(store->nics_directory);
        free(store);
}

/* ---- files ---- */

/* A file name of a UUID and an alias. An alias is libvirt's [A-Za-z0-9_-.:] and so never holds a slash; anything else
 * would be a forged path. */
static int nic_file_name(const char *uuid, const char *alias, char *buffer, size_t size)
{
        if (strchr(alias, '/') || strchr(uuid, '/') || !*uuid || !*alias)
                return -EINVAL;
        return snprintf(buffer, size, "%s.%s", uuid, alias) < (int) size ? 0 : -ENAMETOOLONG;
}

/* ---- claims ---- */

int claim_store_write(struct claim_store *store, const struct claim *claim, struct vswitch_error *error)
{
        char mac[VSWITCH_MAC_TEXT_SIZE], mac_before[VSWITCH_MAC_TEXT_SIZE];
        const struct pf_vf_attributes *before = &claim->before;
        json_auto_t *json =
                json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:b, s:I, s:b, s:b,"
                          " s:{s:s, s:i, s:s, s:i, s:i, s:i, s:b, s:b, s:i, s:i, s:i, s:b}}",
                          "version", CLAIMS_VERSION, "uuid", claim->uuid, "alias", claim->alias, "domain",
                          claim->domain, "mac", vswitch_mac_format(&claim->mac, mac), "pf", claim->pf, "vf-index",
                          (int) claim->vf_index, "vf-address", claim->vf_address, "leased", claim->leased,
                          "lease-until", (json_int_t) claim->lease_until, "touched", claim->touched, "adopted",
                          claim->adopted, "before", "driver", claim->driver_before, "valid", (int) before->valid, "mac",
                          vswitch_mac_format(&before->mac, mac_before), "vlan", before->vlan, "qos", before->qos,
                          "vlan-protocol", before->vlan_protocol, "spoof-check", before->spoof_check, "trust",
                          before->trust, "link-state", (int) before->link_state, "min-rate", (int) before->min_rate,
                          "max-rate", (int) before->max_rate, "query-rss", before->query_rss);

        if (!json)
                return vswitch_error_set(error, -EINVAL, "the claim of %s has a name that is not UTF-8", claim->alias);
        return state_file_write(store->claims_directory, claim->vf_address, json, error);
}

bool claim_store_has(struct claim_store *store, const char *vf_address)
{
        __attribute__((cleanup(free_string))) char *path = NULL;

        return asprintf(&path, "%s/%s.json", store->claims_directory, vf_address) >= 0 && access(path, F_OK) == 0;
}

int claim_store_remove(struct claim_store *store, const char *vf_address, struct vswitch_error *error)
{
        return state_file_remove(store->claims_directory, vf_address, error);
}

static int copy_text(char *buffer, size_t size, const char *text)
{
        if (strlen(text) >= size)
                return -EINVAL;
        memcpy(buffer, text, strlen(text) + 1);
        return 0;
}

static int claim_from_json(json_t *json, struct claim *ret)
{
        const char *uuid, *alias, *domain, *mac, *pf, *address, *driver, *mac_before;
        int version, index, leased, touched, adopted = 0, valid, vlan, qos, protocol, spoof, trust, link, min_rate,
                                             max_rate, rss;
        json_int_t lease_until;
        struct claim claim = { 0 };

        if (json_unpack(json,
                        "{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:b, s:I, s:b, s?b,"
                        " s:{s:s, s:i, s:s, s:i, s:i, s:i, s:b, s:b, s:i, s:i, s:i, s:b}}",
                        "version", &version, "uuid", &uuid, "alias", &alias, "domain", &domain, "mac", &mac, "pf", &pf,
                        "vf-index", &index, "vf-address", &address, "leased", &leased, "lease-until", &lease_until,
                        "touched", &touched, "adopted", &adopted, "before", "driver", &driver, "valid", &valid, "mac",
                        &mac_before, "vlan", &vlan, "qos", &qos, "vlan-protocol", &protocol, "spoof-check", &spoof,
                        "trust", &trust, "link-state", &link, "min-rate", &min_rate, "max-rate", &max_rate, "query-rss",
                        &rss) < 0)
                return -EINVAL;
        if (version != CLAIMS_VERSION)
                return -EPROTONOSUPPORT;
        if (copy_text(claim.uuid, sizeof(claim.uuid), uuid) < 0 ||
            copy_text(claim.alias, sizeof(claim.alias), alias) < 0 ||
            copy_text(claim.domain, sizeof(claim.domain), domain) < 0 || vswitch_mac_parse(mac, &claim.mac) < 0 ||
            copy_text(claim.pf, sizeof(claim.pf), pf) < 0 ||
            copy_text(claim.vf_address, sizeof(claim.vf_address), address) < 0 ||
            copy_text(claim.driver_before, sizeof(claim.driver_before), driver) < 0 ||
            vswitch_mac_parse(mac_before, &claim.before.mac) < 0)
                return -EINVAL;
        claim.vf_index = (unsigned) index;
        claim.leased = leased;
        claim.lease_until = (uint64_t) lease_until;
        claim.touched = touched;
        claim.adopted = adopted;
        claim.before.valid = (uint32_t) valid;
        claim.before.vlan = (uint16_t) vlan;
        claim.before.qos = (uint8_t) qos;
        claim.before.vlan_protocol = (uint16_t) protocol;
        claim.before.spoof_check = spoof;
        claim.before.trust = trust;
        claim.before.link_state = (uint32_t) link;
        claim.before.min_rate = (uint32_t) min_rate;
        claim.before.max_rate = (uint32_t) max_rate;
        claim.before.query_rss = rss;
        *ret = claim;
        return 0;
}

/* ---- NIC records ---- */

int claim_store_write_nic(struct claim_store *store, const struct nic_record *record, struct vswitch_error *error)
{
        char name[NAME_MAX], mac[VSWITCH_MAC_TEXT_SIZE];
        json_auto_t *json =
                json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:s, s:b}", "version", CLAIMS_VERSION,
                          "uuid", record->uuid, "alias", record->alias, "domain", record->domain, "mac",
                          vswitch_mac_format(&record->mac, mac), "switch", record->switch_name, "tap", record->tap,
                          "held", record->held, "bridge_vlan", record->bridge_vlan, "port_vlan", record->port_vlan,
                          "vf-alias", record->vf_alias, "made-router", record->made_router);

        if (!json || nic_file_name(record->uuid, record->alias, name, sizeof(name)) < 0)
                return vswitch_error_set(error, -EINVAL, "the NIC %s/%s has a name that cannot be recorded",
                                         record->uuid, record->alias);
        return state_file_write(store->nics_directory, name, json, error);
}

int claim_store_remove_nic(struct claim_store *store, const char *uuid, const char *alias, struct vswitch_error *error)
{
        char name[NAME_MAX];

        if (nic_file_name(uuid, alias, name, sizeof(name)) < 0)
                return 0; /* was never written */
        return state_file_remove(store->nics_directory, name, error);
}

static int nic_from_json(json_t *json, struct nic_record *ret)
{
        const char *uuid, *alias, *domain, *mac, *switch_name, *tap, *vf_alias = "";
        int version, held, bridge_vlan = 0, port_vlan = 0, made_router = 1;
        struct nic_record record = { 0 };

        if (json_unpack(json, "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s?i, s?i, s?s, s?b}", "version", &version,
                        "uuid", &uuid, "alias", &alias, "domain", &domain, "mac", &mac, "switch", &switch_name, "tap",
                        &tap, "held", &held, "bridge_vlan", &bridge_vlan, "port_vlan", &port_vlan, "vf-alias",
                        &vf_alias, "made-router", &made_router) < 0)
                return -EINVAL;
        if (version != CLAIMS_VERSION)
                return -EPROTONOSUPPORT;
        if (copy_text(record.uuid, sizeof(record.uuid), uuid) < 0 ||
            copy_text(record.alias, sizeof(record.alias), alias) < 0 ||
            copy_text(record.domain, sizeof(record.domain), domain) < 0 || vswitch_mac_parse(mac, &record.mac) < 0 ||
            copy_text(record.switch_name, sizeof(record.switch_name), switch_name) < 0 ||
            copy_text(record.tap, sizeof(record.tap), tap) < 0 ||
            copy_text(record.vf_alias, sizeof(record.vf_alias), vf_alias) < 0 || bridge_vlan < 0 ||
            bridge_vlan > 4095 || port_vlan < 0 || port_vlan > 4095)
                return -EINVAL;
        record.held = held;
        record.made_router = made_router;
        record.bridge_vlan = (uint16_t) bridge_vlan;
        record.port_vlan = (uint16_t) port_vlan;
        *ret = record;
        return 0;
}

/* ---- loading ---- */

static bool has_suffix(const char *text, const char *suffix)
{
        size_t length = strlen(text), suffix_length = strlen(suffix);

        return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

static void load_file(const char *path, bool is_claim, const struct claim_store_visitor *visitor, void *userdata)
{
        json_error_t json_error;
        json_auto_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &json_error);
        char sentence[256];
        struct claim claim;
        struct nic_record record;
        int r;

        if (!json) {
                snprintf(sentence, sizeof(sentence), "line %d: %s", json_error.line, json_error.text);
                visitor->unreadable(path, sentence, userdata);
                return;
        }
        r = is_claim ? claim_from_json(json, &claim) : nic_from_json(json, &record);
        if (r < 0)
                visitor->unreadable(path,
                                    r == -EPROTONOSUPPORT ? "it was written by another version of vswitchd"
                                                          : "a field is missing or of the wrong kind",
                                    userdata);
        else if (is_claim)
                visitor->claim(&claim, userdata);
        else
                visitor->nic(&record, userdata);
}

static int load_directory(const char *directory, bool is_claim, bool tidy, const struct claim_store_visitor *visitor,
                          void *userdata, struct vswitch_error *error)
{
        DIR *entries = opendir(directory);

        if (!entries)
                return vswitch_error_set(error, -errno, "cannot read %s: %s", directory, strerror(errno));
        for (struct dirent *entry; (entry = readdir(entries));) {
                __attribute__((cleanup(free_string))) char *path = NULL;

                if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0)
                        break;
                if (tidy && has_suffix(entry->d_name, ".new"))
                        unlink(path); /* a write that a crash interrupted: never took effect */
                else if (has_suffix(entry->d_name, ".json"))
                        load_file(path, is_claim, visitor, userdata);
        }
        closedir(entries);
        return 0;
}

int claim_store_load(struct claim_store *store, const struct claim_store_visitor *visitor, void *userdata,
                     struct vswitch_error *error)
{
        int r = load_directory(store->nics_directory, false, true, visitor, userdata, error);

        return r < 0 ? r : load_directory(store->claims_directory, true, true, visitor, userdata, error);
}

/* A directory that is not there is empty. */
static int look_into(const char *directory, const char *name, bool is_claim, const struct claim_store_visitor *visitor,
                     void *userdata, struct vswitch_error *error)
{
        __attribute__((cleanup(free_string))) char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        r = load_directory(path, is_claim, false, visitor, userdata, error);
        return r == -ENOENT ? 0 : r;
}

int claim_store_look(const char *directory, const struct claim_store_visitor *visitor, void *userdata,
                     struct vswitch_error *error)
{
        int r = look_into(directory, "nics", false, visitor, userdata, error);

        return r < 0 ? r : look_into(directory, "claims", true, visitor, userdata, error);
}
