/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file's name is made of the card's numbers, the driver and the firmware, with what a file name should not hold
 * replaced; so that an operator finds it. Two firmwares may come to the same name: what is inside decides.
 *
 * It is read by vswitchd and written by the probe, which is another process: a new file replaces the old one by a
 * rename, after its content is on disk.
 */

#include "src/probe/result.h"

#include "src/control/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RESULT_VERSION 1

void probe_result_path(const char *directory, const struct pf *pf, char ret[static PATH_MAX])
{
        char name[NAME_MAX - sizeof(".json")];

        snprintf(name, sizeof(name), "%04x-%04x-%04x-%04x-%s%s%s", pf->vendor, pf->device, pf->subsystem_vendor,
                 pf->subsystem_device, pf->kernel_driver, pf->firmware_version[0] ? "-" : "", pf->firmware_version);
        for (char *c = name; *c; c++)
                if (!isalnum((unsigned char) *c) && !strchr("-._", *c))
                        *c = '_';
        snprintf(ret, PATH_MAX, "%s/%s.json", directory, name);
}

json_t *probe_result_card(const struct pf *pf)
{
        char numbers[4][8];

        snprintf(numbers[0], sizeof(numbers[0]), "%04x", pf->vendor);
        snprintf(numbers[1], sizeof(numbers[1]), "%04x", pf->device);
        snprintf(numbers[2], sizeof(numbers[2]), "%04x", pf->subsystem_vendor);
        snprintf(numbers[3], sizeof(numbers[3]), "%04x", pf->subsystem_device);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "vendor", numbers[0], "device", numbers[1],
                         "subsystem_vendor", numbers[2], "subsystem_device", numbers[3], "driver", pf->kernel_driver,
                         "firmware", pf->firmware_version);
}

/* ---- reading ---- */

static int steering_from_string(const char *text, enum failover_steering *ret)
{
        for (int i = 0; i < FAILOVER_STEERING_COUNT; i++)
                if (strcmp(failover_steering_to_string((enum failover_steering) i), text) == 0) {
                        *ret = (enum failover_steering) i;
                        return 0;
                }
        return -EBADMSG;
}

static int result_from_json(const char *path, json_t *json, struct probe_result *ret, struct vswitch_error *error)
{
        const char *steering, *driver_version;
        int version = 0, reflects, is_bound;
        json_int_t usec, capacity, vf_count;
        struct probe_result result = { 0 };
        json_error_t place;

        if (json_unpack_ex(json, &place, 0, "{s:i}", "version", &version) < 0 || version != RESULT_VERSION)
                return vswitch_error_set(error, -EBADMSG,
                                         "%s was written by another version of vswitch; run `vswitch pf probe` again",
                                         path);
        if (json_unpack_ex(json, &place, 0, "{s:I, s:s, s:b, s:I, s:b, s:I, s:s}", "realtime_usec", &usec, "steering",
                           &steering, "reflects", &reflects, "filter_capacity", &capacity, "capacity_is_bound",
                           &is_bound, "vf_count", &vf_count, "driver_version", &driver_version) < 0)
                return vswitch_error_set(error, -EBADMSG, "%s: %s; run `vswitch pf probe` again", path, place.text);
        if (steering_from_string(steering, &result.steering) < 0 || usec < 0 || capacity < 0 || capacity > UINT32_MAX ||
            vf_count < 0 || vf_count > UINT16_MAX)
                return vswitch_error_set(error, -EBADMSG,
                                         "%s has a value that there is not; run `vswitch pf probe` again", path);
        result.usec = (uint64_t) usec;
        result.reflects = reflects;
        result.filter_capacity = (unsigned) capacity;
        result.capacity_is_bound = is_bound;
        result.vf_count = (unsigned) vf_count;
        snprintf(result.driver_version, sizeof(result.driver_version), "%s", driver_version);
        *ret = result;
        return 0;
}

int probe_result_load(const char *directory, const struct pf *pf, struct probe_result *ret, struct vswitch_error *error)
{
        json_auto_t *json = NULL;
        json_auto_t *card = probe_result_card(pf);
        char path[PATH_MAX];
        json_error_t place;

        probe_result_path(directory, pf, path);
        if (access(path, F_OK) < 0)
                return -ENOENT;
        json = json_load_file(path, JSON_REJECT_DUPLICATES, &place);
        if (!json)
                return vswitch_error_set(error, -EBADMSG, "%s:%d: %s; run `vswitch pf probe` again", path, place.line,
                                         place.text);
        if (!json_equal(json_object_get(json, "card"), card))
                return -ENOENT;
        return result_from_json(path, json, ret, error);
}

/* ---- writing ---- */

static int make_directory(const char *directory, struct vswitch_error *error)
{
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s", directory);
        for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
                if (slash)
                        *slash = '\0';
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return vswitch_error_set(error, -errno, "cannot make the directory %s: %s", path,
                                                 strerror(errno));
                if (!slash)
                        return 0;
                *slash = '/';
        }
}

static int write_file(const char *path, const char *text)
{
        _cleanup_close_ int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        size_t size = strlen(text);

        if (file < 0)
                return -errno;
        errno = ENOSPC; /* a short write sets none */
        if (write(file, text, size) != (ssize_t) size || fsync(file) < 0)
                return -errno;
        return 0;
}

int probe_result_store(const char *directory, const struct pf *pf, const struct probe_result *result, json_t *report,
                       struct vswitch_error *error)
{
        json_auto_t *json =
                json_pack("{s:i, s:o, s:s, s:I, s:s, s:b, s:I, s:b, s:I, s:O*}", "version", RESULT_VERSION, "card",
                          probe_result_card(pf), "driver_version", pf->driver_version, "realtime_usec",
                          (json_int_t) result->usec, "steering", failover_steering_to_string(result->steering),
                          "reflects", result->reflects, "filter_capacity", (json_int_t) result->filter_capacity,
                          "capacity_is_bound", result->capacity_is_bound, "vf_count", (json_int_t) result->vf_count,
                          "report", report);
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
        char path[PATH_MAX], new_path[PATH_MAX + sizeof(".new")];
        int r;

        if (!text)
                return vswitch_error_set(error, -EINVAL, "the card's driver or firmware has a name that is not UTF-8");
        r = make_directory(directory, error);
        if (r < 0)
                return r;
        probe_result_path(directory, pf, path);
        snprintf(new_path, sizeof(new_path), "%s.new", path);
        r = write_file(new_path, text);
        if (r == 0 && rename(new_path, path) < 0)
                r = -errno;
        if (r < 0) {
                unlink(new_path);
                return vswitch_error_set(error, r, "cannot write %s: %s", path, strerror(-r));
        }
        return 0;
}
