/* SPDX-License-Identifier: Apache-2.0 */

#include "src/audit/picture.h"

#include <stdlib.h>
#include <string.h>

void *audit_grow(void **list, size_t *count, size_t size)
{
        void *more = reallocarray(*list, *count + 1, size);
        char *added;

        if (!more)
                return NULL;
        *list = more;
        added = (char *) more + (*count)++ * size;
        memset(added, 0, size);
        return added;
}

void audit_picture_clear(struct audit_picture *picture)
{
        for (size_t i = 0; i < picture->pfs_count; i++) {
                free(picture->pfs[i].vfs);
                free(picture->pfs[i].filters);
        }
        for (size_t i = 0; i < picture->ports_count; i++)
                free(picture->ports[i].copies);
        for (size_t i = 0; i < picture->notes_count; i++)
                free(picture->notes[i].entries);
        for (size_t i = 0; i < picture->guests_count; i++)
                guest_free(picture->guests[i]);
        free(picture->pfs);
        free(picture->ports);
        free(picture->pins);
        free(picture->ifindexes);
        free(picture->claims);
        free(picture->records);
        free(picture->notes);
        free(picture->kept);
        free(picture->unreadable);
        free(picture->guests);
        free(picture->processes);
        free(picture->daemon_nics);
        *picture = (struct audit_picture){ 0 };
}
