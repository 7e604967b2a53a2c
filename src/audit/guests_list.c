/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All guests of this host, by libvirt's word and within a bound. libvirt's calls have none: virConnectOpen waits for ever
 * for a libvirtd that is stopped. So they are made on a thread, which is left behind when the time is over; the
 * process is about to end then anyway.
 */

#include "src/audit/collect.h"

#include "src/control/cleanup.h"
#include "src/guests/domain_read.h"
#include "src/guests/guest_xml.h"
#include "src/guests/libvirt_error.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BOUND_SECONDS 10

struct question {
        pthread_mutex_t lock;
        pthread_cond_t answered;
        bool is_answered, is_abandoned;
        char *uri;

        int result;
        struct vswitch_error error;
        struct guest **guests;
        size_t guests_count;
};

static void question_free(struct question *question)
{
        for (size_t i = 0; i < question->guests_count; i++)
                guest_free(question->guests[i]);
        free(question->guests);
        free(question->uri);
        pthread_cond_destroy(&question->answered);
        pthread_mutex_destroy(&question->lock);
        free(question);
}

static int read_guest(virConnectPtr connection, const char *uuid, struct question *question)
{
        static const struct guest_history unseen;
        struct domain_reading reading = { 0 };
        struct guest **added;
        int r = domain_read(connection, uuid, GUEST_JOB_UNKNOWN, &reading, &question->error);

        if (r < 0)
                return r;
        reading.guest->state =
                guest_state_derive(reading.state, reading.reason, reading.has_process, reading.job, &unseen);
        reading.guest->outgoing = reading.guest->state != GUEST_OFF && reading.job == GUEST_JOB_OUTGOING;
        if (reading.guest->state != GUEST_OFF) {
                added = audit_grow((void **) &question->guests, &question->guests_count, sizeof(*question->guests));
                if (added)
                        *added = TAKE_PTR(reading.guest);
                else
                        r = -ENOMEM;
        }
        domain_reading_clear(&reading);
        return r;
}

/* Without a configured URI as the daemon does (src/guests/connect.c): a socket may be left of a libvirt daemon of the other
 * kind. The first refusal is the one that tells most. */
static virConnectPtr connect_to_libvirt(struct question *question)
{
        static const char *const usual[] = { "qemu:///system", "qemu:///system?mode=direct",
                                             "qemu:///system?mode=legacy" };
        size_t count = question->uri ? 1 : sizeof(usual) / sizeof(usual[0]);
        virConnectPtr connection = NULL;

        for (size_t i = 0; i < count && !connection; i++) {
                connection = virConnectOpenReadOnly(question->uri ?: usual[i]);
                if (!connection && i == 0)
                        libvirt_error_take(NULL, &question->error, "no connection to libvirt");
        }
        return connection;
}

static int read_all(struct question *question)
{
        virConnectPtr connection = connect_to_libvirt(question);
        virDomainPtr *domains = NULL;
        int count, r = 0;

        if (!connection)
                return -ENOTCONN;
        count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
        if (count < 0)
                r = libvirt_error_take(connection, &question->error, "libvirt does not list its domains");
        for (int i = 0; i < count; i++) {
                char uuid[VIR_UUID_STRING_BUFLEN];

                if (r == 0 && virDomainGetUUIDString(domains[i], uuid) < 0)
                        r = libvirt_error_take(connection, &question->error, "libvirt does not tell a domain's UUID");
                if (r == 0)
                        r = read_guest(connection, uuid, question);
                virDomainFree(domains[i]);
        }
        free((void *) domains);
        virConnectClose(connection);
        return r;
}

static void *run(void *userdata)
{
        struct question *question = userdata;
        bool is_abandoned;

        question->result = read_all(question);
        pthread_mutex_lock(&question->lock);
        question->is_answered = true;
        is_abandoned = question->is_abandoned;
        pthread_cond_signal(&question->answered);
        pthread_mutex_unlock(&question->lock);
        if (is_abandoned)
                question_free(question);
        return NULL;
}

/* Waits for the answer; false when there is none in time, and then the question is the thread's. */
static bool wait_for(struct question *question, unsigned seconds)
{
        struct timespec deadline;
        bool is_answered;
        int r = 0;

        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += seconds;
        pthread_mutex_lock(&question->lock);
        while (!question->is_answered && r == 0)
                r = pthread_cond_timedwait(&question->answered, &question->lock, &deadline);
        is_answered = question->is_answered;
        question->is_abandoned = !is_answered;
        pthread_mutex_unlock(&question->lock);
        return is_answered;
}

int audit_guests_list_within(const char *uri, unsigned seconds, struct guest ***ret, size_t *ret_count,
                             struct vswitch_error *error)
{
        struct question *question = calloc(1, sizeof(*question));
        pthread_t thread;
        int r;

        if (!question)
                return -ENOMEM;
        pthread_mutex_init(&question->lock, NULL);
        pthread_cond_init(&question->answered, NULL);
        question->uri = uri ? strdup(uri) : NULL;
        libvirt_error_silence();
        guest_xml_prepare();
        r = pthread_create(&thread, NULL, run, question);
        if (r != 0) {
                question_free(question);
                return vswitch_error_set(error, -r, "cannot start a thread: %s", strerror(r));
        }
        pthread_detach(thread);
        if (!wait_for(question, seconds))
                return vswitch_error_set(error, -ETIMEDOUT, "libvirt did not answer within %u seconds", seconds);
        r = question->result;
        if (r < 0) {
                *error = question->error;
        } else {
                *ret = TAKE_PTR(question->guests);
                *ret_count = question->guests_count;
                question->guests_count = 0;
        }
        question_free(question);
        return r;
}

int audit_guests_list(const char *uri, struct guest ***ret, size_t *ret_count, struct vswitch_error *error)
{
        return audit_guests_list_within(uri, BOUND_SECONDS, ret, ret_count, error);
}
