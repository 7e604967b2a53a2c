/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One domain read "in one go" from several calls: state, job, XML, and the state again; when it changed meanwhile, all
 * over.
 *
 * virDomainGetState and virDomainGetControlInfo answer at once. The job's statistics and the XML wait for whatever
 * libvirt does with the domain, so they are not asked for when it is clear that they would wait: while QEMU is being
 * launched, during an incoming migration, and when a command to QEMU has not come back for a while.
 *
 * On the destination of a migration libvirt refuses the statistics ("available only on the source host"), at once and
 * only then: that refusal is how an incoming migration is recognised.
 */

#include "domain_read.h"
#include "internal.h"
#include "libvirt_error.h"
#include "status_file.h"

#include <errno.h>
#include <libvirt/virterror.h>

#define TRIES             3
#define OCCUPIED_TOO_LONG 1000 /* ms */

static void domain_unrefp(virDomainPtr *domain)
{
        if (*domain)
                virDomainFree(*domain);
}

void domain_reading_clear(struct domain_reading *reading)
{
        guest_free(reading->guest);
        *reading = (struct domain_reading){ 0 };
}

static int guest_without_devices(const char *uuid, const char *name, struct guest **ret)
{
        _cleanup_(guest_freep) struct guest *guest = calloc(1, sizeof(*guest));

        if (!guest || !(guest->name = strdup(name)))
                return -ENOMEM;
        copy_name(guest->uuid, sizeof(guest->uuid), uuid);
        *ret = TAKE_POINTER(guest);
        return 0;
}

static enum guest_job job_from_operation(int operation)
{
        switch (operation) {
        case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN:
                return GUEST_JOB_INCOMING;
        case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
                return GUEST_JOB_OUTGOING;
        default:
                return GUEST_JOB_OTHER;
        }
}

static enum guest_job read_job(virDomainPtr domain)
{
        virTypedParameterPtr parameters = NULL;
        int type = VIR_DOMAIN_JOB_NONE, count = 0, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;

        if (virDomainGetJobStats(domain, &type, &parameters, &count, 0) < 0)
                return libvirt_error_code() == VIR_ERR_OPERATION_UNSUPPORTED ? GUEST_JOB_INCOMING : GUEST_JOB_UNKNOWN;
        if (type != VIR_DOMAIN_JOB_NONE)
                (void) virTypedParamsGetInt(parameters, count, VIR_DOMAIN_JOB_OPERATION, &operation);
        virTypedParamsFree(parameters, count);
        return type == VIR_DOMAIN_JOB_NONE ? GUEST_JOB_NONE : job_from_operation(operation);
}

/* Not every "error" is one: libvirt also calls it so when it works for the domain without talking to QEMU. */
static bool is_hung(virDomainPtr domain)
{
        virDomainControlInfo info;

        if (virDomainGetControlInfo(domain, &info, 0) < 0)
                return false;
        if (info.state == VIR_DOMAIN_CONTROL_ERROR)
                return info.details == VIR_DOMAIN_CONTROL_ERROR_REASON_MONITOR;
        return info.state == VIR_DOMAIN_CONTROL_OCCUPIED && info.stateTime > OCCUPIED_TOO_LONG;
}

static int read_xml(virConnectPtr connection, virDomainPtr domain, struct guest **ret, struct vswitch_error *error)
{
        _cleanup_(freep) char *xml = virDomainGetXMLDesc(domain, 0);

        if (!xml)
                return libvirt_error_take(connection, error, "libvirt does not show a domain's XML");
        return guest_parse_xml(xml, ret, error);
}

/* Job and devices of a domain that has a QEMU. -ENOENT, -ENOTCONN; all other trouble ends in an incomplete guest. */
static int read_inside(virConnectPtr connection, virDomainPtr domain, const char *uuid, enum guest_job known_job,
                       struct domain_reading *reading, struct vswitch_error *error)
{
        const char *name = virDomainGetName(domain);
        bool starting = reading->state == VIR_DOMAIN_PAUSED && reading->reason == VIR_DOMAIN_PAUSED_STARTING_UP;
        bool hung = is_hung(domain);
        enum guest_job second_hand_job;
        int r;

        reading->job = known_job;
        if (reading->job == GUEST_JOB_UNKNOWN && !starting && !hung)
                reading->job = read_job(domain);
        if (starting || hung || reading->job == GUEST_JOB_INCOMING) {
                r = status_file_read(name, uuid, &reading->guest, &second_hand_job, error);
                if (r >= 0) {
                        reading->is_second_hand = true;
                        if (reading->job == GUEST_JOB_UNKNOWN)
                                reading->job = second_hand_job;
                        return 0;
                }
        }
        r = read_xml(connection, domain, &reading->guest, error);
        if (r >= 0 || r == -ENOENT || r == -ENOTCONN)
                return r;
        if (status_file_read(name, uuid, &reading->guest, &second_hand_job, error) >= 0) {
                reading->is_second_hand = true;
                return 0;
        }
        r = guest_without_devices(uuid, name, &reading->guest);
        if (r < 0)
                return r;
        reading->guest->incomplete = true;
        return 0;
}

/* The guest of a reading that found no QEMU. */
static int read_off(const char *uuid, const char *name, struct domain_reading *reading)
{
        domain_reading_clear(reading);
        reading->state = VIR_DOMAIN_SHUTOFF;
        return guest_without_devices(uuid, name, &reading->guest);
}

int domain_read(virConnectPtr connection, const char *uuid, enum guest_job known_job, struct domain_reading *ret,
                struct vswitch_error *error)
{
        _cleanup_(domain_reading_clear) struct domain_reading reading = { 0 };
        int r;

        for (unsigned attempt = 1;; attempt++) {
                /* Anew each time: the id, by which a restart is recognised, is a part of the handle. */
                _cleanup_(domain_unrefp) virDomainPtr domain = virDomainLookupByUUIDString(connection, uuid);
                int state, reason;

                domain_reading_clear(&reading);
                if (!domain) {
                        r = libvirt_error_take(connection, error, "libvirt does not find a domain");
                        if (r == -ENOENT)
                                r = read_off(uuid, "", &reading);
                        break;
                }
                if (virDomainGetState(domain, &reading.state, &reading.reason, 0) < 0) {
                        r = libvirt_error_take(connection, error, "libvirt does not tell a domain's state");
                        if (r == -ENOENT)
                                r = read_off(uuid, virDomainGetName(domain), &reading);
                        break;
                }
                reading.has_process = virDomainGetID(domain) != (unsigned) -1;
                if (!reading.has_process || reading.state == VIR_DOMAIN_SHUTOFF) {
                        r = read_off(uuid, virDomainGetName(domain), &reading);
                        break;
                }
                r = read_inside(connection, domain, uuid, known_job, &reading, error);
                if (r == -ENOENT) {
                        r = read_off(uuid, virDomainGetName(domain), &reading);
                        break;
                }
                if (r < 0)
                        break;
                reading.guest->id = (int) virDomainGetID(domain);
                if (attempt == TRIES)
                        break;
                if (virDomainGetState(domain, &state, &reason, 0) == 0 && state == reading.state &&
                    reason == reading.reason)
                        break;
        }
        if (r < 0)
                return r;
        *ret = reading;
        reading.guest = NULL;
        return 0;
}

/* Of a domain that libvirt does not know, or knows no definition of. */
static int no_definition(const char *uuid, virDomainPtr domain, struct guest **ret)
{
        return guest_without_devices(uuid, domain ? virDomainGetName(domain) : "", ret);
}

int domain_read_definition(virConnectPtr connection, const char *uuid, struct guest **ret, struct vswitch_error *error)
{
        _cleanup_(domain_unrefp) virDomainPtr domain = virDomainLookupByUUIDString(connection, uuid);
        _cleanup_(freep) char *xml = NULL;
        int persistent, r;

        if (!domain) {
                r = libvirt_error_take(connection, error, "libvirt does not find a domain");
                return r == -ENOENT ? no_definition(uuid, NULL, ret) : r;
        }
        persistent = virDomainIsPersistent(domain);
        if (persistent == 0)
                return no_definition(uuid, domain, ret);
        xml = persistent > 0 ? virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE) : NULL;
        if (xml)
                return guest_parse_xml(xml, ret, error);
        r = libvirt_error_take(connection, error, "libvirt does not show a domain's definition");
        return r == -ENOENT ? no_definition(uuid, domain, ret) : r;
}
