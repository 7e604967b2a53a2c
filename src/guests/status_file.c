/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libvirt's own status file of a running domain, as the source of last resort.
 *
 * In some releases of libvirt virDomainGetXMLDesc waits for the domain's running job, up to 30 s (11.3 as released; not
 * 9.0, and not Debian's 11.3, which has the correction); and an incoming migration or a start is a job that lets no
 * query in. So just while a guest arrives, when its taps are to be known before it runs, libvirt could not be asked. The
 * live definition is in the status file from the moment QEMU is started; libvirt replaces the file as a whole (rename),
 * so it is never half written. The same file serves for a domain whose QEMU hangs.
 *
 * The form is private to libvirt but has kept its shape (<domstatus> around <domain>, <job async=>) since 0.9. When it
 * cannot be read or understood, libvirt is asked after all, and the answer takes as long as it takes.
 */

#include "status_file.h"
#include "guest_xml.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_SIZE_FIRST ((size_t) 64 << 10)
#define FILE_SIZE_MAX   ((size_t) 16 << 20)

const char *status_file_directory = "/run/libvirt/qemu";

static void file_closep(FILE **file)
{
        if (*file)
                fclose(*file);
}

static int read_whole_file(const char *path, char **ret)
{
        _cleanup_(file_closep) FILE *file = fopen(path, "re");
        _cleanup_(freep) char *text = NULL;
        size_t size = 0, room = 0;

        if (!file)
                return -errno;
        for (;;) {
                size_t n;

                if (room - size < 2) {
                        char *larger;

                        room = room ? room * 2 : FILE_SIZE_FIRST;
                        if (room > FILE_SIZE_MAX)
                                return -EFBIG;
                        larger = realloc(text, room);
                        if (!larger)
                                return -ENOMEM;
                        text = larger;
                }
                n = fread(text + size, 1, room - size - 1, file);
                size += n;
                if (n == 0)
                        break;
        }
        if (ferror(file))
                return -EIO;
        text[size] = '\0';
        *ret = TAKE_POINTER(text);
        return 0;
}

static enum guest_job read_job(const char *xml)
{
        _cleanup_(guest_xml_document_freep) xmlDoc *document = NULL;
        _cleanup_(guest_xml_stringp) xmlChar *async = NULL;
        xmlNode *root, *job;

        if (guest_xml_document(xml, &document, NULL) < 0)
                return GUEST_JOB_UNKNOWN;
        root = xmlDocGetRootElement(document);
        if (!guest_xml_is(root, "domstatus"))
                return GUEST_JOB_UNKNOWN;
        job = guest_xml_child(root, "job");
        async = guest_xml_attribute(job, "async");
        if (!async || strcmp((const char *) async, "none") == 0)
                return GUEST_JOB_NONE;
        if (strcmp((const char *) async, "migration in") == 0)
                return GUEST_JOB_INCOMING;
        if (strcmp((const char *) async, "migration out") == 0)
                return GUEST_JOB_OUTGOING;
        return GUEST_JOB_OTHER;
}

int status_file_read(const char *name, const char *uuid, struct guest **ret, enum guest_job *ret_job,
                     struct vswitch_error *error)
{
        _cleanup_(guest_freep) struct guest *guest = NULL;
        _cleanup_(freep) char *path = NULL;
        _cleanup_(freep) char *xml = NULL;
        int r;

        /* libvirt allows no slash in a name. */
        if (strchr(name, '/'))
                return -EINVAL;
        if (asprintf(&path, "%s/%s.xml", status_file_directory, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = read_whole_file(path, &xml);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot read %s: %s", path, strerror(-r));
        r = guest_parse_xml(xml, &guest, error);
        if (r < 0)
                return vswitch_error_prefix(error, r, "%s", path);
        if (strcmp(guest->uuid, uuid) != 0)
                return vswitch_error_set(error, -ESTALE, "%s is about another domain", path);
        *ret_job = read_job(xml);
        *ret = TAKE_POINTER(guest);
        return 0;
}
