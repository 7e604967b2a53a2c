/* SPDX-License-Identifier: Apache-2.0 */

/* The host check on a real kernel with an IOMMU and igb PFs: what it says is compared with what then happens. */

#include "src/hostcheck/hostcheck.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wanted {
        const char *check, *subject;
        enum hostcheck_level level;
        char seen[256];
        unsigned found;
};

static void look(const struct hostcheck_finding *finding, void *userdata)
{
        struct wanted *wanted = userdata;

        if (strcmp(finding->check, wanted->check) != 0 || strcmp(finding->subject, wanted->subject) != 0)
                return;
        /* The worst of what one check says. */
        if (wanted->found++ == 0 || finding->level > wanted->level) {
                wanted->level = finding->level;
                snprintf(wanted->seen, sizeof(wanted->seen), "%s", finding->seen);
        }
}

static struct wanted check_one(const char *check, const char *subject, const char *pf)
{
        const char *pfs[] = { pf, NULL };
        struct wanted wanted = { .check = check, .subject = subject };
        struct vswitch_error error = {};

        ck_assert_msg(hostcheck_run(&(struct hostcheck_options){ .root = "", .pfs = pf ? pfs : NULL }, look, &wanted,
                                    &error) == 0,
                      "%s", error.text);
        return wanted;
}

static const char *device(const char *variable)
{
        const char *name = getenv(variable);

        ck_assert_msg(name != NULL, "%s is not set", variable);
        return name;
}

START_TEST(the_host_is_seen_as_it_is)
{
        static const char *const checks[] = { "pci-express", "iommu",  "interrupt-remapping",
                                              "vfio",        "bridge", "traffic-control" };
        struct wanted found = check_one(checks[_i], "host", NULL);

        ck_assert_uint_ge(found.found, 1);
        ck_assert_msg(found.level <= HOSTCHECK_NOTE, "%s: %s", checks[_i], found.seen);
}
END_TEST

/* The bench made four VFs of this one. */
START_TEST(a_pf_with_vfs)
{
        static const char *const checks[] = { "sr-iov", "driver", "vf-count", "vf-memory", "isolation" };
        struct wanted found = check_one(checks[_i], device("VM_PF"), NULL);

        ck_assert_uint_ge(found.found, 1);
        ck_assert_msg(found.level <= HOSTCHECK_NOTE, "%s: %s", checks[_i], found.seen);
        if (strcmp(checks[_i], "isolation") == 0)
                ck_assert_str_eq(found.seen, "each of its 4 VFs is alone in its IOMMU group");
}
END_TEST

static bool set_vfs(const char *pf, const char *count)
{
        char path[128];
        FILE *file;
        bool done;

        snprintf(path, sizeof(path), "/sys/class/net/%s/device/sriov_numvfs", pf);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        done = fputs(count, file) >= 0;
        return fclose(file) == 0 && done;
}

/* What the check promises of memory and bus numbers, the kernel keeps. */
START_TEST(the_verdict_is_what_happens)
{
        const char *pf = device("VM_WIRE");
        struct wanted count = check_one("vf-count", pf, pf);
        struct wanted memory = check_one("vf-memory", pf, pf);
        struct wanted buses = check_one("bus-numbers", pf, pf);
        bool promised = memory.level < HOSTCHECK_WARNING && buses.level < HOSTCHECK_WARNING, made;

        ck_assert_uint_ge(count.found, 1);
        ck_assert_int_eq(count.level, HOSTCHECK_NOTE); /* there are none yet, and the driver leaves one out */
        ck_assert_uint_eq(memory.found, 1);
        ck_assert_uint_eq(buses.found, 1);
        made = set_vfs(pf, "7");
        if (made)
                ck_assert(set_vfs(pf, "0"));
        ck_assert_msg(made == promised, "%s the VFs, but: %s; %s", made ? "the kernel made" : "the kernel did not make",
                      memory.seen, buses.seen);
}
END_TEST

START_TEST(a_card_without_sriov)
{
        const char *plain = device("VM_PLAIN");
        struct wanted found = check_one("sr-iov", plain, plain);

        ck_assert_int_eq(found.level, HOSTCHECK_PROBLEM);
        ck_assert_msg(strstr(found.seen, "shows no SR-IOV") != NULL, "%s", found.seen);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("host-check");
        TCase *tests = tcase_create("host-check");
        SRunner *runner;
        int failed;

        tcase_set_timeout(tests, 60);
        tcase_add_loop_test(tests, the_host_is_seen_as_it_is, 0, 6);
        tcase_add_loop_test(tests, a_pf_with_vfs, 0, 5);
        tcase_add_test(tests, the_verdict_is_what_happens);
        tcase_add_test(tests, a_card_without_sriov);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
