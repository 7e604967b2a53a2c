/* SPDX-License-Identifier: Apache-2.0 */

/* What vswitchd keeps on disk: claims, NIC records, notes of uplink filters, numbers of VFs. */

#include "src/audit/collect.h"

#include "src/control/cleanup.h"
#include "src/daemon/pool_state.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- claims and records ---- */

struct reading {
        struct audit_picture *picture;
        bool no_memory;
};

/* Since the claim's file was written. */
static uint64_t age_of(const struct audit_picture *picture, const char *vf_address)
{
        char path[sizeof(picture->runtime_directory) + PF_ADDRESS_SIZE + 16];
        struct stat status;
        time_t now = time(NULL);

        snprintf(path, sizeof(path), "%s/claims/%s.json", picture->runtime_directory, vf_address);
        return stat(path, &status) == 0 && status.st_mtime < now ? (uint64_t) (now - status.st_mtime) * 1000000 : 0;
}

static void take_claim(const struct claim *claim, void *userdata)
{
        struct reading *reading = userdata;
        struct audit_claim *added = audit_add(reading->picture, claims);

        reading->no_memory |= !added;
        if (added)
                *added = (struct audit_claim){ *claim, age_of(reading->picture, claim->vf_address) };
}

static void take_record(const struct nic_record *record, void *userdata)
{
        struct reading *reading = userdata;
        struct nic_record *added = audit_add(reading->picture, records);

        reading->no_memory |= !added;
        if (added)
                *added = *record;
}

static void take_unreadable(const char *file, const char *sentence, void *userdata)
{
        audit_add_unreadable(((struct reading *) userdata)->picture, file, sentence);
}

/* ---- directories ---- */

typedef int (*take_file)(struct audit_picture *picture, const char *path, const char *name);

/* Calls `take` for each NAME.json; a directory that is not there is empty. */
static int for_each_file(struct audit_picture *picture, const char *directory, take_file take,
                         struct vswitch_error *error)
{
        DIR *entries = opendir(directory);
        struct dirent *entry;
        int r = 0;

        if (!entries)
                return errno == ENOENT
                               ? 0
                               : vswitch_error_set(error, -errno, "cannot read %s: %s", directory, strerror(errno));
        while (r == 0 && (entry = readdir(entries))) {
                size_t length = strlen(entry->d_name);
                char path[256], name[64];

                if (length < 6 || length >= sizeof(name) || strcmp(entry->d_name + length - 5, ".json") != 0)
                        continue;
                snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
                snprintf(name, sizeof(name), "%.*s", (int) length - 5, entry->d_name);
                r = take(picture, path, name);
        }
        closedir(entries);
        return r;
}

/* As uplink_list.c writes it, called after the netdev's index; what it says of the netdev is compared later. */
static int take_note(struct audit_picture *picture, const char *path, const char *name)
{
        struct audit_note *note = audit_add(picture, notes);
        struct vswitch_error mistake = { 0 };
        struct uplink_list *list = NULL;
        json_auto_t *json = json_load_file(path, 0, NULL);
        const char *pf = json_string_value(json_object_get(json, "pf"));
        char directory[256];
        int r;

        if (!note)
                return -ENOMEM;
        snprintf(note->path, sizeof(note->path), "%s", path);
        snprintf(note->pf, sizeof(note->pf), "%.*s", IF_NAMESIZE - 1, pf ? pf : name);
        note->ifindex = (int) strtol(name, NULL, 10);
        snprintf(directory, sizeof(directory), "%.*s", (int) (strrchr(path, '/') - path), path);
        r = uplink_list_open(directory, note->pf, note->ifindex, &list, &mistake);
        if (r < 0 && r != -ENOMEM) {
                audit_add_unreadable(picture, path, vswitch_error_text(&mistake, r));
                picture->notes_count--;
                r = 0;
        } else if (r == 0) {
                note->entries = TAKE_PTR(list->noted);
                note->entries_count = list->noted_count;
        }
        uplink_list_free(list);
        return r;
}

static int take_kept(struct audit_picture *picture, const char *path, const char *name)
{
        struct vswitch_error mistake = { 0 };
        struct audit_kept *kept;
        char directory[256];
        unsigned count = 0;
        int r;

        /* DIRECTORY/pf/ADDRESS.json */
        snprintf(directory, sizeof(directory), "%.*s", (int) (strrchr(path, '/') - path) - 3, path);
        r = pool_state_read(directory, name, &count, &mistake);
        if (r < 0) {
                audit_add_unreadable(picture, path, vswitch_error_text(&mistake, r));
                return 0;
        }
        kept = audit_add(picture, kept);
        if (!kept)
                return -ENOMEM;
        snprintf(kept->path, sizeof(kept->path), "%s", path);
        snprintf(kept->address, sizeof(kept->address), "%.*s", PF_ADDRESS_SIZE - 1, name);
        kept->count = count;
        return 0;
}

int audit_collect_files(const struct audit_sources *sources, struct audit_picture *picture, struct vswitch_error *error)
{
        static const struct claim_store_visitor visitor = { take_claim, take_record, take_unreadable };
        struct reading reading = { .picture = picture };
        char directory[256];
        int r = claim_store_look(sources->runtime_directory, &visitor, &reading, error);

        if (r == 0 && reading.no_memory)
                r = -ENOMEM;
        snprintf(directory, sizeof(directory), "%s/neighbours", sources->runtime_directory);
        if (r == 0)
                r = for_each_file(picture, directory, take_note, error);
        snprintf(directory, sizeof(directory), "%s/pf", sources->state_directory);
        return r < 0 ? r : for_each_file(picture, directory, take_kept, error);
}
