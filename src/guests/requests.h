/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the daemon asks for, as jobs of the lanes. */

#include "guest_policy_edit.h"
#include "private.h"

enum request_kind {
        REQUEST_ATTACH, /* text = the device's XML */
        REQUEST_DETACH, /* text = the alias */
        REQUEST_RUN,
};

struct request_job {
        struct job job;
        enum request_kind kind;
        struct guests_request *request; /* for guests_answer only */
        char uuid[GUEST_UUID_SIZE];
        char *text;
        guests_work work;
        void *userdata;
};

/* NULL: out of memory. `uuid` and `text` may be NULL. */
struct request_job *request_job_new(enum request_kind kind, struct guests_request *request, const char *uuid,
                                    const char *text);

/* policy_request.c: the job of guests_set_policy(). Keeps copies. NULL: out of memory. */
struct job *policy_job_new(struct guests_request *request, const char *domain, const struct guest_policy_wish *wish);
