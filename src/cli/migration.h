/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A live migration as libvirt does it, for `vswitch migrate`: with the caller's credentials, from this process.
 * The calls block for as long as libvirt likes, so the migration itself runs on a thread of its own, and its end can
 * be waited for together with other things.
 */

#include "vswitch/error.h"

#include <stdbool.h>
#include <stdint.h>

struct migration;

struct migration_options {
        const char *source_uri; /* NULL: $LIBVIRT_DEFAULT_URI, or qemu:///system */
        const char *destination_uri;
        const char *domain; /* name or UUID */
        const char *migrate_uri;
        unsigned long long bandwidth_mib; /* 0: libvirt's default */
        bool persistent;
        bool undefine_source;
        bool auto_converge;
        bool post_copy;
        bool unsafe;
};

struct migration_progress {
        uint64_t done_bytes;
        uint64_t total_bytes; /* 0: not known */
};

/* Connects to both hosts and finds the domain. -ENOENT: no such domain; -EINVAL: it does not run; others with
 * libvirt's words. */
int migration_open(const struct migration_options *options, struct migration **ret, struct vswitch_error *error);
void migration_free(struct migration *migration);
void migration_freep(struct migration **migration);

const char *migration_domain(const struct migration *migration);
const char *migration_uuid(const struct migration *migration);
/* Does the guest have a VF that is to be taken away before it can migrate anywhere? */
int migration_has_vf(struct migration *migration, bool *ret, struct vswitch_error *error);

int migration_start(struct migration *migration, struct vswitch_error *error);
/* Readable when it has ended. */
int migration_fd(const struct migration *migration);
void migration_progress(struct migration *migration, struct migration_progress *ret);
/* Asks libvirt to abort; can be too early (nothing has begun yet) and is then to be said again. */
void migration_abort(struct migration *migration);
/* After its end: 0, or -EIO with libvirt's words. */
int migration_result(struct migration *migration, struct vswitch_error *error);
