/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A live migration by libvirt's client library.
 *
 * Theory of operation: three threads. The caller's looks after progress, signals and the daemon. One makes the one
 * call that migrates and blocks until it is over; an eventfd tells its end. One runs libvirt's event loop, which
 * the keep-alive messages need: without them a destination that disappears would never be noticed.
 * libvirt's connections may be used by several threads at once.
 */

#include "src/cli/migration.h"
#include "src/control/cleanup.h"
#include "src/guests/guests.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#define KEEP_ALIVE_SECONDS 5
#define KEEP_ALIVE_COUNT   5

struct migration {
        virConnectPtr source;
        virConnectPtr destination;
        virDomainPtr domain;
        char uuid[VIR_UUID_STRING_BUFLEN];

        unsigned flags;
        virTypedParameterPtr parameters;
        int parameters_count, parameters_size;

        pthread_t thread;
        bool started;
        bool joined;
        int ended_fd;
        int result; /* of the thread */
        struct vswitch_error error;
};

/* libvirt's words of this thread's last error, after ours; by the kind of error a number for the exit code. */
static int libvirt_failed(struct vswitch_error *error, const char *what)
{
        virErrorPtr last = virGetLastError();
        int number = -EIO;

        if (last)
                switch (last->code) {
                case VIR_ERR_NO_DOMAIN:
                        number = -ENOENT;
                        break;
                case VIR_ERR_AUTH_FAILED:
                case VIR_ERR_AUTH_CANCELLED:
                case VIR_ERR_AUTH_UNAVAILABLE:
                case VIR_ERR_ACCESS_DENIED:
                        number = -EACCES;
                        break;
                default:
                        break;
                }
        return vswitch_error_set(error, number, "%s: %s", what, last && last->message ? last->message : "no reason");
}

static void be_quiet(void *userdata, virErrorPtr error)
{
}

static void *run_events(void *userdata)
{
        for (;;)
                virEventRunDefaultImpl();
        return NULL;
}

/* For the whole process, and until its end. */
static void start_events(void)
{
        static bool started;
        pthread_t thread;

        if (started || virEventRegisterDefaultImpl() < 0 || pthread_create(&thread, NULL, run_events, NULL) != 0)
                return;
        pthread_detach(thread);
        started = true;
}

static int connect_to(const char *uri, const char *what, virConnectPtr *ret, struct vswitch_error *error)
{
        char text[300];

        *ret = virConnectOpenAuth(uri, virConnectAuthPtrDefault, 0);
        if (!*ret) {
                snprintf(text, sizeof(text), "cannot connect to the %s's libvirt (%s)", what, uri);
                return libvirt_failed(error, text);
        }
        (void) virConnectSetKeepAlive(*ret, KEEP_ALIVE_SECONDS, KEEP_ALIVE_COUNT);
        return 0;
}

static int find_domain(struct migration *migration, const char *name, struct vswitch_error *error)
{
        int active;

        migration->domain = virDomainLookupByName(migration->source, name);
        if (!migration->domain)
                migration->domain = virDomainLookupByUUIDString(migration->source, name);
        if (!migration->domain)
                return vswitch_error_set(error, -ENOENT, "there is no domain \"%s\" here; `virsh list` shows what runs",
                                         name);
        if (virDomainGetUUIDString(migration->domain, migration->uuid) < 0)
                return libvirt_failed(error, "cannot read the domain's UUID");
        active = virDomainIsActive(migration->domain);
        if (active < 0)
                return libvirt_failed(error, "cannot read the domain's state");
        if (active == 0)
                return vswitch_error_set(
                        error, -EINVAL,
                        "the domain \"%s\" does not run; `virsh migrate --offline` moves its definition", name);
        return 0;
}

static int set_parameters(struct migration *migration, const struct migration_options *options)
{
        int r = 0;

        migration->flags = VIR_MIGRATE_LIVE;
        if (options->persistent)
                migration->flags |= VIR_MIGRATE_PERSIST_DEST;
        if (options->undefine_source)
                migration->flags |= VIR_MIGRATE_UNDEFINE_SOURCE;
        if (options->auto_converge)
                migration->flags |= VIR_MIGRATE_AUTO_CONVERGE;
        if (options->post_copy)
                migration->flags |= VIR_MIGRATE_POSTCOPY;
        if (options->unsafe)
                migration->flags |= VIR_MIGRATE_UNSAFE;
        if (options->migrate_uri)
                r = virTypedParamsAddString(&migration->parameters, &migration->parameters_count,
                                            &migration->parameters_size, VIR_MIGRATE_PARAM_URI, options->migrate_uri);
        if (r >= 0 && options->bandwidth_mib > 0)
                r = virTypedParamsAddULLong(&migration->parameters, &migration->parameters_count,
                                            &migration->parameters_size, VIR_MIGRATE_PARAM_BANDWIDTH,
                                            options->bandwidth_mib);
        return r;
}

int migration_open(const struct migration_options *options, struct migration **ret, struct vswitch_error *error)
{
        _cleanup_(migration_freep) struct migration *migration = calloc(1, sizeof(*migration));
        const char *source_uri = options->source_uri ?: getenv("LIBVIRT_DEFAULT_URI") ?: "qemu:///system";
        int r;

        if (!migration)
                return vswitch_error_set(error, -ENOMEM, "out of memory");
        virSetErrorFunc(NULL, be_quiet);
        start_events();
        migration->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (migration->ended_fd < 0)
                return vswitch_error_set(error, -errno, "cannot make an eventfd: %s", strerror(errno));
        r = connect_to(source_uri, "source", &migration->source, error);
        if (r >= 0)
                r = find_domain(migration, options->domain, error);
        if (r >= 0)
                r = connect_to(options->destination_uri, "destination", &migration->destination, error);
        if (r < 0)
                return r;
        if (set_parameters(migration, options) < 0)
                return libvirt_failed(error, "cannot set the migration's parameters");
        *ret = TAKE_PTR(migration);
        return 0;
}

void migration_free(struct migration *migration)
{
        if (!migration)
                return;
        if (migration->started && !migration->joined)
                pthread_join(migration->thread, NULL);
        virTypedParamsFree(migration->parameters, migration->parameters_count);
        if (migration->domain)
                virDomainFree(migration->domain);
        if (migration->destination)
                virConnectClose(migration->destination);
        if (migration->source)
                virConnectClose(migration->source);
        if (migration->ended_fd >= 0)
                close(migration->ended_fd);
        free(migration);
}

void migration_freep(struct migration **migration)
{
        migration_free(*migration);
}

const char *migration_domain(const struct migration *migration)
{
        return virDomainGetName(migration->domain);
}

const char *migration_uuid(const struct migration *migration)
{
        return migration->uuid;
}

int migration_has_vf(struct migration *migration, bool *ret, struct vswitch_error *error)
{
        _cleanup_free_ char *xml = virDomainGetXMLDesc(migration->domain, 0);
        _cleanup_(guest_freep) struct guest *guest = NULL;
        int r;

        if (!xml)
                return libvirt_failed(error, "cannot read the domain's XML");
        r = guest_parse_xml(xml, &guest, error);
        if (r < 0)
                return r;
        *ret = false;
        for (size_t i = 0; i < guest->vfs_count; i++)
                *ret = *ret || guest->vfs[i].persistent[0];
        return 0;
}

static void *run(void *userdata)
{
        struct migration *migration = userdata;
        virDomainPtr arrived = virDomainMigrate3(migration->domain, migration->destination, migration->parameters,
                                                 (unsigned) migration->parameters_count, migration->flags);

        if (arrived)
                virDomainFree(arrived);
        else
                migration->result = libvirt_failed(&migration->error, "libvirt could not migrate it");
        eventfd_write(migration->ended_fd, 1);
        return NULL;
}

int migration_start(struct migration *migration, struct vswitch_error *error)
{
        int r = pthread_create(&migration->thread, NULL, run, migration);

        if (r != 0)
                return vswitch_error_set(error, -r, "cannot make a thread: %s", strerror(r));
        migration->started = true;
        return 0;
}

int migration_fd(const struct migration *migration)
{
        return migration->ended_fd;
}

void migration_progress(struct migration *migration, struct migration_progress *ret)
{
        virDomainJobInfo info;

        *ret = (struct migration_progress){};
        if (virDomainGetJobInfo(migration->domain, &info) < 0 || info.type == VIR_DOMAIN_JOB_NONE)
                return;
        ret->done_bytes = info.dataProcessed;
        ret->total_bytes = info.dataProcessed + info.dataRemaining;
}

void migration_abort(struct migration *migration)
{
        (void) virDomainAbortJob(migration->domain);
}

int migration_result(struct migration *migration, struct vswitch_error *error)
{
        if (!migration->joined)
                pthread_join(migration->thread, NULL);
        migration->joined = true;
        if (migration->result < 0 && error)
                *error = migration->error;
        /* Whatever the number was: to the user this is one thing that failed. */
        return migration->result < 0 ? -EIO : 0;
}
