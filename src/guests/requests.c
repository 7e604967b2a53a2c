/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon's requests, carried out on a lane's thread. Each is answered exactly once. */

#include "requests.h"
#include "libvirt_error.h"

#include <errno.h>

static void free_job(struct job *job)
{
        free(((struct request_job *) job)->text);
        free(job);
}

static int attach(virConnectPtr connection, virDomainPtr domain, const char *xml, struct vswitch_error *error)
{
        if (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
                return libvirt_error_take(connection, error, "libvirt did not attach the device");
        return 0;
}

/* libvirt has no code of its own for an alias that it does not find, so look for it. */
static bool has_device(virDomainPtr domain, const char *alias)
{
        _cleanup_(freep) char *xml = virDomainGetXMLDesc(domain, 0);
        _cleanup_(guest_freep) struct guest *guest = NULL;

        if (!xml || guest_parse_xml(xml, &guest, NULL) < 0)
                return true;
        for (size_t i = 0; i < guest->vfs_count; i++)
                if (strcmp(guest->vfs[i].alias, alias) == 0)
                        return true;
        for (size_t i = 0; i < guest->nics_count; i++)
                if (strcmp(guest->nics[i].alias, alias) == 0)
                        return true;
        return false;
}

static int detach(virConnectPtr connection, virDomainPtr domain, const char *alias, struct vswitch_error *error)
{
        int r;

        if (virDomainDetachDeviceAlias(domain, alias, VIR_DOMAIN_AFFECT_LIVE) >= 0)
                return 0;
        r = libvirt_error_take(connection, error, "libvirt did not ask the guest to unplug the device");
        if ((r == -EIO || r == -EINVAL) && !has_device(domain, alias))
                return -ENOENT;
        return r;
}

static int with_domain(struct guests *guests, const struct request_job *request, struct vswitch_error *error)
{
        _cleanup_(guests_give_backp) struct borrowed borrowed = guests_borrow(guests);
        virConnectPtr connection = borrowed.connection;
        _cleanup_(domain_unrefp) virDomainPtr domain = NULL;
        int r;

        if (!connection)
                return vswitch_error_set(error, -ENOTCONN, "there is no connection to libvirt");
        domain = virDomainLookupByUUIDString(connection, request->uuid);
        if (!domain)
                r = libvirt_error_take(connection, error, "libvirt does not find the domain");
        else if (virDomainGetID(domain) == (unsigned) -1)
                r = vswitch_error_set(error, -ENOENT, "the domain '%s' is not running", virDomainGetName(domain));
        else if (request->kind == REQUEST_ATTACH)
                r = attach(connection, domain, request->text, error);
        else
                r = detach(connection, domain, request->text, error);
        if (r < 0)
                guests_note_failure(&borrowed);
        return r;
}

static void run_request(struct job *job, void *userdata)
{
        struct request_job *request = (struct request_job *) job;
        struct guests *guests = userdata;
        struct vswitch_error error = { 0 };
        int r;

        if (request->kind == REQUEST_RUN)
                r = request->work(request->userdata, &error);
        else
                r = with_domain(guests, request, &error);
        guests_answer(guests, request->request, r, r < 0 ? vswitch_error_text(&error, r) : "");
}

struct request_job *request_job_new(enum request_kind kind, struct guests_request *request, const char *uuid,
                                    const char *text)
{
        struct request_job *job = calloc(1, sizeof(*job));

        if (!job)
                return NULL;
        job->kind = kind;
        job->request = request;
        job->job.run = run_request;
        job->job.free = free_job;
        copy_name(job->uuid, sizeof(job->uuid), uuid);
        /* Requests for one domain are carried out in the order in which they were made. */
        copy_name(job->job.key, sizeof(job->job.key), uuid);
        if (text && !(job->text = strdup(text))) {
                free(job);
                return NULL;
        }
        return job;
}
