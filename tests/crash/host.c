/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/crash/host.h"
#include "tests/netns/netns_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define VECTORS_OF_A_DRIVEN_VF 3

struct host *host;
const struct crash_card *host_card;

/* QEMU's end of the VF. */
static bool is_open, drives;
static bool migration_wants_vf;

void host_begin(const struct crash_card *card)
{
        host_card = card;
        host = mmap(NULL, sizeof(*host), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(host, MAP_FAILED);
}

static void happen(struct host_happening happening)
{
        host->happenings[host->happened % HOST_HAPPENINGS_MAX] = happening;
        __atomic_store_n(&host->happened, host->happened + 1, __ATOMIC_RELEASE);
}

void host_start(enum guest_state state, const char *vf)
{
        host->present = true;
        host->outgoing = false;
        host->state = state;
        host->unplug_asked = false;
        host->attached = vf != NULL;
        snprintf(host->vf, sizeof(host->vf), "%s", vf ? vf : "");
        migration_wants_vf = false;
        happen((struct host_happening){ .kind = HOST_STARTED });
}

void host_set_state(enum guest_state state, bool outgoing)
{
        host->state = state;
        host->outgoing = outgoing;
        happen((struct host_happening){ .kind = HOST_STATE });
}

static void close_vf(void)
{
        if (drives)
                host_card->set_vectors(0);
        if (is_open)
                host_card->close_vf();
        is_open = drives = false;
}

void host_end(const char *detail)
{
        struct host_happening happening = { .kind = HOST_ENDED };

        snprintf(happening.detail, sizeof(happening.detail), "%s", detail);
        host->present = host->attached = host->outgoing = host->unplug_asked = false;
        close_vf();
        happen(happening);
}

void host_emit(enum guest_event_kind kind, const char *alias, const char *detail)
{
        struct host_happening happening = { .kind = HOST_EVENT, .event = kind };

        snprintf(happening.alias, sizeof(happening.alias), "%s", alias ? alias : "");
        snprintf(happening.detail, sizeof(happening.detail), "%s", detail ? detail : "");
        happen(happening);
}

void host_ask(enum host_happening_kind request, const char *detail)
{
        struct host_happening happening = { .kind = request };

        snprintf(happening.detail, sizeof(happening.detail), "%s", detail);
        happen(happening);
}

void host_migration_wants_vf(bool wants)
{
        migration_wants_vf = wants;
}

void host_play(void)
{
        bool may_drive = host->state == GUEST_RUNNING && !host->unplug_asked && !migration_wants_vf;

        if (host->attached && !is_open) {
                host_card->open_vf(host->vf);
                is_open = true;
        } else if (is_open && drives != may_drive) {
                host_card->set_vectors(may_drive ? VECTORS_OF_A_DRIVEN_VF : 0);
                drives = may_drive;
        } else if (is_open && host->unplug_asked) {
                close_vf();
                host->attached = host->unplug_asked = false;
                happen((struct host_happening){ .kind = HOST_UNPLUGGED });
        }
}

void host_leave_to_parent(void)
{
        if (is_open)
                host_card->close_vf();
}

bool host_guest_drives(void)
{
        return drives;
}
