/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Collecting the picture of this host. Reads only. */

#include "src/audit/picture.h"
#include "src/config/config.h"
#include "vswitch/error.h"
#include "vswitch/netlink.h"

struct audit_sources {
        const char *config_path;
        const char *runtime_directory;
        const char *state_directory;
        const char *control_socket;
        /* All guests with a QEMU: audit_guests_list(), or a test's own. */
        int (*list_guests)(const char *uri, struct guest ***ret, size_t *ret_count, struct vswitch_error *error);
};

/* Fills *ret; audit_picture_clear() it, also after an error. What cannot be read is a part of the picture; an error is only
 * what leaves nothing to judge. */
int audit_collect(const struct audit_sources *sources, struct audit_picture *ret, struct vswitch_error *error);

/* Asks libvirt, for ten seconds at the most: -ETIMEDOUT after that. `uri` NULL: qemu:///system. */
int audit_guests_list(const char *uri, struct guest ***ret, size_t *ret_count, struct vswitch_error *error);
int audit_guests_list_within(const char *uri, unsigned seconds, struct guest ***ret, size_t *ret_count,
                             struct vswitch_error *error);

/* Does a vswitchd run, and who is moving, by its word? Fills only what is about it. */
int audit_ask_daemon(const char *control_socket, struct audit_picture *picture);

/* The parts. */
int audit_collect_kernel(struct vswitch_netlink *netlink, const struct config *config, struct audit_picture *picture,
                         struct vswitch_error *error);
int audit_collect_files(const struct audit_sources *sources, struct audit_picture *picture,
                        struct vswitch_error *error);
int audit_collect_processes(struct audit_picture *picture, bool *ret_has_daemon);
void audit_add_unreadable(struct audit_picture *picture, const char *path, const char *sentence);
