/* SPDX-License-Identifier: Apache-2.0 */

/*
 * guests_set_policy() on a lane's thread: both definitions are read, the plan is made, and only then is anything written.
 *
 * Whoever edits the metadata reads, changes and writes; libvirt has no way to make that one step. Our own requests are
 * carried out one after the other, whichever domains they are for.
 */

#include "guest_xml_policy.h"
#include "libvirt_error.h"
#include "requests.h"

#include <errno.h>

struct policy_job {
        struct job job;
        struct guests_request *request; /* for the answer only */
        char *domain;
        struct guest_policy_wish wish; /* with copies of all texts */
};

static void free_job(struct job *job)
{
        struct policy_job *policy = (struct policy_job *) job;

        for (size_t i = 0; i < policy->wish.changes_count; i++) {
                free((char *) policy->wish.changes[i].key);
                free((char *) policy->wish.changes[i].value);
        }
        free((struct guest_policy_change *) policy->wish.changes);
        free((char *) policy->wish.alias);
        free(policy->domain);
        free(policy);
}

/* A name may look like a UUID, so the UUID is tried first and the name in any case. */
static virDomainPtr look_up(virConnectPtr connection, const char *name)
{
        virDomainPtr domain =
                strlen(name) == GUEST_UUID_SIZE - 1 ? virDomainLookupByUUIDString(connection, name) : NULL;

        return domain ? domain : virDomainLookupByName(connection, name);
}

static int read_definition(virConnectPtr connection, virDomainPtr domain, unsigned flags, char **ret,
                           struct vswitch_error *error)
{
        *ret = virDomainGetXMLDesc(domain, flags);
        return *ret ? 0 : libvirt_error_take(connection, error, "libvirt does not show the domain");
}

static int make_plan(virConnectPtr connection, virDomainPtr domain, const struct guest_policy_wish *wish,
                     struct guest_policy_plan *ret, struct vswitch_error *error)
{
        _cleanup_(freep) char *live = NULL, *config = NULL;
        int is_active = virDomainIsActive(domain);
        int is_persistent = virDomainIsPersistent(domain);
        int r = 0;

        if (is_active < 0 || is_persistent < 0)
                return libvirt_error_take(connection, error, "libvirt does not tell whether the domain runs");
        if (is_active)
                r = read_definition(connection, domain, 0, &live, error);
        if (r >= 0 && is_persistent)
                r = read_definition(connection, domain, VIR_DOMAIN_XML_INACTIVE, &config, error);
        return r < 0 ? r : guest_policy_make_plan(live, config, wish, ret, error);
}

static int set(virConnectPtr connection, virDomainPtr domain, const char *element, const char *namespace,
               unsigned flags, struct vswitch_error *error)
{
        if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, element, element ? GUEST_POLICY_PREFIX : NULL,
                                 namespace, flags) < 0)
                return libvirt_error_take(connection, error, "libvirt did not take the policy");
        return 0;
}

static int write_one(virConnectPtr connection, virDomainPtr domain, const struct guest_policy_write *write,
                     unsigned flags, struct vswitch_error *error)
{
        int r = 0;

        if (!write->changed)
                return 0;
        for (size_t i = 0; i < write->others_count && r >= 0; i++)
                r = set(connection, domain, NULL, write->others[i], flags, error);
        return r < 0 ? r : set(connection, domain, write->element, GUEST_POLICY_NAMESPACE, flags, error);
}

/* What becomes the same in both is one call, so that libvirt does both or neither. */
static int write_plan(virConnectPtr connection, virDomainPtr domain, const struct guest_policy_plan *plan,
                      struct vswitch_error *error)
{
        const struct guest_policy_write *live = &plan->live, *config = &plan->config;
        int r;

        if (live->changed && config->changed && live->others_count + config->others_count == 0 &&
            strcmp(live->text, config->text) == 0)
                return set(connection, domain, live->element, GUEST_POLICY_NAMESPACE,
                           VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG, error);
        r = write_one(connection, domain, live, VIR_DOMAIN_AFFECT_LIVE, error);
        if (r < 0)
                return r;
        r = write_one(connection, domain, config, VIR_DOMAIN_AFFECT_CONFIG, error);
        if (r < 0 && live->changed)
                vswitch_error_prefix(error, r, "the running guest has it, its definition has not");
        return r;
}

static int with_domain(struct guests *guests, const struct policy_job *job, struct guest_policy_plan *ret,
                       struct vswitch_error *error)
{
        _cleanup_(guests_give_backp) struct borrowed borrowed = guests_borrow(guests);
        _cleanup_(domain_unrefp) virDomainPtr domain = NULL;
        int r;

        if (!borrowed.connection)
                return vswitch_error_set(error, -ENOTCONN, "there is no connection to libvirt");
        domain = look_up(borrowed.connection, job->domain);
        if (!domain)
                r = libvirt_error_take(borrowed.connection, error, "libvirt does not find the domain");
        else
                r = make_plan(borrowed.connection, domain, &job->wish, ret, error);
        if (r >= 0 && !(job->wish.flags & GUEST_SET_DRY_RUN))
                r = write_plan(borrowed.connection, domain, ret, error);
        if (r < 0)
                guests_note_failure(&borrowed);
        return r;
}

static void run_policy(struct job *job, void *userdata)
{
        struct policy_job *policy = (struct policy_job *) job;
        _cleanup_(guest_policy_plan_clear) struct guest_policy_plan plan = { 0 };
        struct vswitch_error error = { 0 };
        int r = with_domain(userdata, policy, &plan, &error);

        if (r < 0)
                guests_answer(userdata, policy->request, r, vswitch_error_text(&error, r));
        else
                guests_answer_policy(userdata, policy->request, 0, plan.note, TAKE_POINTER(plan.live.text),
                                     TAKE_POINTER(plan.config.text));
}

static bool copy_wish(const struct guest_policy_wish *wish, struct guest_policy_wish *ret)
{
        struct guest_policy_change *changes = calloc(wish->changes_count + 1, sizeof(*changes));

        ret->flags = wish->flags;
        ret->alias = strdup(wish->alias);
        ret->changes = changes;
        if (!changes || !ret->alias)
                return false;
        for (size_t i = 0; i < wish->changes_count; i++) {
                changes[i].key = strdup(wish->changes[i].key);
                changes[i].value = strdup(wish->changes[i].value);
                ret->changes_count++;
                if (!changes[i].key || !changes[i].value)
                        return false;
        }
        return true;
}

struct job *policy_job_new(struct guests_request *request, const char *domain, const struct guest_policy_wish *wish)
{
        struct policy_job *job = calloc(1, sizeof(*job));

        if (!job)
                return NULL;
        job->job.run = run_policy;
        job->job.free = free_job;
        job->request = request;
        job->domain = strdup(domain);
        copy_name(job->job.key, sizeof(job->job.key), "policy");
        if (!job->domain || !copy_wish(wish, &job->wish)) {
                free_job(&job->job);
                return NULL;
        }
        return &job->job;
}
