/* SPDX-License-Identifier: Apache-2.0 */
#include "src/probe/notes.h"

#include "src/control/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define NOTES_VERSION 1
#define NOTES_MAX     8192

/* ---- JSON ---- */

static json_t *vf_to_json(const struct probe_noted_vf *vf)
{
        const struct pf_vf_attributes *a = &vf->attributes;
        char mac[VSWITCH_MAC_TEXT_SIZE], netdev_mac[VSWITCH_MAC_TEXT_SIZE];

        return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:b}", "index", (int) vf->index, "address",
                         vf->address, "driver", vf->driver, "netdev", vf->netdev, "netdev-mac",
                         vswitch_mac_format(&vf->netdev_mac, netdev_mac), "valid", (int) a->valid, "mac",
                         vswitch_mac_format(&a->mac, mac), "vlan", a->vlan, "qos", a->qos, "vlan-protocol",
                         a->vlan_protocol, "spoof-check", a->spoof_check);
}

static int copy_text(char *buffer, size_t size, const char *text)
{
        return (size_t) snprintf(buffer, size, "%s", text) < size ? 0 : -EBADMSG;
}

static int vf_from_json(json_t *json, struct probe_noted_vf *ret)
{
        const char *address, *driver, *netdev, *netdev_mac, *mac;
        int index, valid, vlan, qos, protocol, spoof_check;

        if (json_unpack(json, "{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:b}", "index", &index, "address",
                        &address, "driver", &driver, "netdev", &netdev, "netdev-mac", &netdev_mac, "valid", &valid,
                        "mac", &mac, "vlan", &vlan, "qos", &qos, "vlan-protocol", &protocol, "spoof-check",
                        &spoof_check) < 0)
                return -EBADMSG;
        *ret = (struct probe_noted_vf){
                .index = (unsigned) index,
                .attributes = {
                        .valid = (uint32_t) valid,
                        .vlan = (uint16_t) vlan,
                        .qos = (uint8_t) qos,
                        .vlan_protocol = (uint16_t) protocol,
                        .spoof_check = spoof_check,
                },
        };
        if (copy_text(ret->address, sizeof(ret->address), address) < 0 ||
            copy_text(ret->driver, sizeof(ret->driver), driver) < 0 ||
            copy_text(ret->netdev, sizeof(ret->netdev), netdev) < 0 ||
            vswitch_mac_parse(netdev_mac, &ret->netdev_mac) < 0 || vswitch_mac_parse(mac, &ret->attributes.mac) < 0)
                return -EBADMSG;
        return 0;
}

static int notes_from_json(json_t *json, struct probe_notes *notes)
{
        json_t *vfs = json_object_get(json, "vfs");
        size_t count = json_array_size(vfs);

        if (json_integer_value(json_object_get(json, "version")) != NOTES_VERSION || count > PROBE_VFS_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < count; i++)
                if (vf_from_json(json_array_get(vfs, i), &notes->vfs[i]) < 0)
                        return -EBADMSG;
        notes->vfs_count = count;
        return 0;
}

/* ---- the file ---- */

/* A file that was removed between our open and our lock is not the one that others find. */
static int open_and_lock(struct probe_notes *notes, struct vswitch_error *error)
{
        for (;;) {
                _cleanup_close_ int fd = open(notes->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                struct stat status;

                if (fd < 0)
                        return vswitch_error_set(error, -errno, "cannot write %s: %s", notes->path, strerror(errno));
                if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                        return vswitch_error_set(error, -EBUSY,
                                                 "another probe of this PF is running; wait until it has ended");
                if (fstat(fd, &status) == 0 && status.st_nlink > 0) {
                        notes->fd = TAKE_FD(fd);
                        return 0;
                }
        }
}

static int read_notes(struct probe_notes *notes, struct vswitch_error *error)
{
        char text[NOTES_MAX];
        ssize_t size = pread(notes->fd, text, sizeof(text), 0);
        json_auto_t *json = NULL;

        notes->vfs_count = 0;
        if (size < 0)
                return vswitch_error_set(error, -errno, "cannot read %s: %s", notes->path, strerror(errno));
        if (size == 0)
                return 0;
        json = json_loadb(text, (size_t) size, JSON_REJECT_DUPLICATES, NULL);
        if (!json || notes_from_json(json, notes) < 0)
                return vswitch_error_set(
                        error, -EBADMSG,
                        "cannot understand %s, which a probe that was killed has left; look at the VFs "
                        "of this PF (`ip link show`), then remove the file",
                        notes->path);
        return 0;
}

int probe_notes_open(const char *directory, const char *pf, struct probe_notes *notes, struct vswitch_error *error)
{
        int r;

        *notes = (struct probe_notes) PROBE_NOTES_CLOSED;
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return vswitch_error_set(error, -errno, "cannot make the directory %s: %s", directory, strerror(errno));
        if ((size_t) snprintf(notes->path, sizeof(notes->path), "%s/probe-%s.json", directory, pf) >=
            sizeof(notes->path))
                return vswitch_error_set(error, -ENAMETOOLONG, "the path of the directory %s is too long", directory);
        r = open_and_lock(notes, error);
        if (r == 0)
                r = read_notes(notes, error);
        if (r < 0)
                probe_notes_close(notes, false);
        return r;
}

int probe_notes_write(struct probe_notes *notes, struct vswitch_error *error)
{
        json_auto_t *json = json_pack("{s:i, s:[]}", "version", NOTES_VERSION, "vfs");
        _cleanup_free_ char *text = NULL;
        size_t size;

        for (size_t i = 0; i < notes->vfs_count; i++)
                json_array_append_new(json_object_get(json, "vfs"), vf_to_json(&notes->vfs[i]));
        text = json_dumps(json, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        if (!text)
                return -ENOMEM;
        size = strlen(text);
        errno = ENOSPC; /* a short write sets none */
        if (ftruncate(notes->fd, 0) < 0 || pwrite(notes->fd, text, size, 0) != (ssize_t) size)
                return vswitch_error_set(error, -errno, "cannot write %s: %s", notes->path, strerror(errno));
        return 0;
}

void probe_notes_close(struct probe_notes *notes, bool done)
{
        if (notes->fd < 0)
                return;
        if (done)
                (void) unlink(notes->path);
        close(notes->fd);
        notes->fd = -1;
}
