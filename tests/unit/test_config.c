/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file: what is read, and what is said about every mistake. */

#include "src/config/config.h"
#include "src/control/cleanup.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char path[] = "/tmp/vswitch-test-config-XXXXXX";
static struct config *config;
static struct vswitch_error error;

static int load(const char *text)
{
        int fd, r;

        strcpy(path + strlen(path) - 6, "XXXXXX");
        fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t) strlen(text));
        close(fd);
        config = NULL;
        error = (struct vswitch_error){};
        r = config_load(path, &config, &error);
        unlink(path);
        return r;
}

START_TEST(everything_can_be_set)
{
        const struct port_policy *policy;

        ck_assert_msg(load("libvirt-uri = \"qemu:///session\"\n"
                           "group = operators // who may look\n"
                           "# a comment\n"
                           "switch \"br0\" {\n"
                           "    uplinks = { \"enp1s0\", \"enp2s0\" }\n"
                           "    create = yes\n"
                           "    iov = no\n"
                           "    reserve-vfs = 2\n"
                           "    policy { weight = 80  vlan = 20  vlan-qos = 3  vlan-protocol = \"802.1ad\"\n"
                           "             spoof-check = no  trust = yes  min-rate = 100  max-rate = 1000\n"
                           "             prefer-vf = yes }\n"
                           "}\n"
                           "switch two { bridge = \"br7\" }\n"
                           "timeouts { guest-driver = 1  unplug = 2  lease = 3  back-off = 4 }\n") == 0,
                      "%s", error.text);
        ck_assert_str_eq(config->libvirt_uri, "qemu:///session");
        ck_assert_str_eq(config->group, "operators");
        ck_assert_uint_eq(config->switches_count, 2);
        ck_assert_str_eq(config->switches[0].name, "br0");
        ck_assert_str_eq(config->switches[0].bridge, "br0");
        ck_assert_uint_eq(config->switches[0].uplinks_count, 2);
        ck_assert_str_eq(config->switches[0].uplinks[1], "enp2s0");
        ck_assert(config->switches[0].create);
        ck_assert(!config->switches[0].iov);
        ck_assert_uint_eq(config->switches[0].reserve_vfs, 2);
        policy = &config->switches[0].policy;
        ck_assert_uint_eq(policy->weight, 80);
        ck_assert_uint_eq(policy->vlan, 20);
        ck_assert_uint_eq(policy->qos, 3);
        ck_assert_uint_eq(policy->vlan_protocol, 0x88a8);
        ck_assert_int_eq(policy->spoof_check, PORT_POLICY_NO);
        ck_assert(policy->trust && policy->prefer_vf);
        ck_assert_uint_eq(policy->min_rate, 100);
        ck_assert_uint_eq(policy->max_rate, 1000);
        /* Without the section its defaults hold. */
        policy = &config->switches[1].policy;
        ck_assert_uint_eq(policy->weight, 50);
        ck_assert_uint_eq(policy->vlan, 0);
        ck_assert_uint_eq(policy->vlan_protocol, 0x8100);
        ck_assert_int_eq(policy->spoof_check, PORT_POLICY_AUTO);
        ck_assert(!policy->trust && !policy->prefer_vf);
        ck_assert_uint_eq(policy->max_rate, 0);
        ck_assert_str_eq(config->switches[1].bridge, "br7");
        ck_assert(!config->switches[1].create);
        ck_assert(config->switches[1].iov);
        ck_assert_uint_eq(config->switches[1].uplinks_count, 0);
        ck_assert_uint_eq(config->guest_driver_timeout_usec, 1000000);
        ck_assert_uint_eq(config->unplug_timeout_usec, 2000000);
        ck_assert_uint_eq(config->lease_timeout_usec, 3000000);
        ck_assert_uint_eq(config->back_off_usec, 4000000);
        config_free(config);
}
END_TEST

START_TEST(nothing_needs_to_be_set)
{
        ck_assert_int_eq(load(""), 0);
        ck_assert_ptr_null(config->libvirt_uri);
        ck_assert_ptr_null(config->group);
        ck_assert_uint_eq(config->switches_count, 0);
        ck_assert_uint_eq(config->guest_driver_timeout_usec, 60000000);
        ck_assert_uint_eq(config->lease_timeout_usec, 300000000);
        config_free(config);
}
END_TEST

START_TEST(the_example_is_valid)
{
        ck_assert_int_eq(config_load(VSWITCH_TEST_EXAMPLE, &config, &error), 0);
        ck_assert_uint_eq(config->switches_count, 0);
        config_free(config);
}
END_TEST

static const struct {
        const char *text;
        const char *complaint; /* after "FILE:" */
} mistakes[] = {
        { "gruop = \"x\"\n", "1: no such option 'gruop'; known here: libvirt-uri, group, switch, scarcity, timeouts" },
        { "# one\n/* two\n three */ // three\n\nswitch \"br0\" {\n    uplink = \"x\"\n}\n",
          "6: no such option 'uplink'; known here: bridge, uplinks, create, iov, reserve-vfs, policy" },
        { "timeouts {\n  # a comment\n  unplugg = 1\n}\n",
          "3: no such option 'unplugg'; known here: guest-driver, unplug, lease, back-off" },
        { "timeouts {\n\n  unplug = 0\n}\n", "3: unplug = 0 is out of range: write a number from 1 to 86400" },
        { "timeouts {\n\n  lease = soon\n}\n", "3: invalid integer value for option 'lease'" },
        { "timeouts { lease = 99999999999999999999 }\n", "1: integer value for option 'lease' is out of range" },
        { "switch \"br0\" {\n  create = perhaps\n}\n",
          "2: invalid boolean value for option 'create': write yes or no" },
        { "switch \"br0\" {\n  reserve-vfs = -1\n}\n",
          "2: reserve-vfs = -1 is out of range: write a number from 0 to 65535" },
        { "switch \"br0\" {\n  bridge = \"a-name-that-is-too-long\"\n}\n",
          "2: bridge: \"a-name-that-is-too-long\" cannot be the name of a network interface" },
        { "switch \"br0\" {\n  uplinks = { \"eth0\",\n    \"a b\" }\n}\n",
          "3: uplinks: \"a b\" cannot be the name of a network interface" },
        { "switch \"br0\" {\n  policy {\n    wait = 3\n  }\n}\n",
          "3: no such option 'wait'; known here: weight, vlan, vlan-qos, vlan-protocol, spoof-check, trust, min-rate, "
          "max-rate, prefer-vf" },
        { "switch \"br0\" {\n  policy {\n    weight = 101\n  }\n}\n",
          "3: weight = 101 is out of range: write a number from 0 to 100" },
        { "switch \"br0\" {\n  policy {\n    vlan = 4095 }\n}\n",
          "3: vlan = 4095 is out of range: write a number from 0 to 4094" },
        { "switch \"br0\" {\n  policy { vlan = 1 vlan-qos = 8 }\n}\n",
          "2: vlan-qos = 8 is out of range: write a number from 0 to 7" },
        { "switch \"br0\" {\n  policy { vlan-protocol = vxlan }\n}\n",
          "2: vlan-protocol = \"vxlan\": write 802.1Q or 802.1ad" },
        { "switch \"br0\" {\n  policy { spoof-check = on }\n}\n", "2: spoof-check = on: write yes, no or auto" },
        { "switch \"br0\" {\n  policy { max-rate = -1 }\n}\n",
          "2: max-rate = -1 is out of range: write a number from 0 to 1000000" },
        { "switch \"br0\" {\n  policy { vlan-qos = 3 }\n}\n", "2: vlan-qos = 3 needs a vlan" },
        { "switch \"br0\" {\n  policy { min-rate = 2 max-rate = 1 }\n}\n",
          "2: min-rate = 2 is more than max-rate = 1" },
        { "switch {\n}\n", "1: missing title for section 'switch'" },
        { "switch \"br0\" {}\nswitch \"br0\" {}\n", "2: found duplicate title 'br0'" },
        { "switch \"a-switch-with-a-long-name\" {\n}\n",
          "2: switch \"a-switch-with-a-long-name\": the title cannot be the name of a bridge: add bridge = \"...\"" },
        { "switch \"br0\" {\n  create = yes\n}\n", "3: switch \"br0\": create = yes needs uplinks = { \"...\" }" },
        { "switch \"a\" { bridge = \"br0\" }\n\nswitch \"br0\" {}\n",
          "3: switch \"br0\": the bridge br0 already belongs to switch \"a\"" },
        { "switch \"a\" { uplinks = \"eth0\" }\nswitch \"b\" { uplinks = { \"eth1\", \"eth0\" } }\n",
          "2: switch \"b\": the uplink eth0 already belongs to switch \"a\"" },
        { "switch \"br0\" {\n  iov = no\n", "1: the brace that opens here is never closed: add a }" },
        { "}\n", "1: unexpected closing brace" },
        { "\ngroup = \"x\n\n", "2: the text that begins here has no closing quote (\")" },
        { "group \"x\"\n", "1: missing equal sign after option 'group'" },
        { "group = \"\"\n", "1: group is empty: give it a value or leave it out" },
        { "libvirt-uri = \"\"\n", "1: libvirt-uri is empty: give it a value or leave it out" },
};

START_TEST(mistakes_are_told_with_their_place)
{
        char expected[512];

        ck_assert_int_eq(load(mistakes[_i].text), -EINVAL);
        ck_assert_ptr_null(config);
        snprintf(expected, sizeof(expected), "%s:%s", path, mistakes[_i].complaint);
        ck_assert_str_eq(error.text, expected);
}
END_TEST

START_TEST(files_that_are_none)
{
        ck_assert_int_eq(config_load("/nonexistent/vswitch.conf", &config, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "/nonexistent/vswitch.conf"));
        ck_assert_int_eq(config_load("/tmp", &config, &error), -EINVAL);
        ck_assert_int_eq(config_load("/dev/null", &config, &error), -EINVAL);
        ck_assert_int_eq(config_load("/nonexistent/vswitch.conf", &config, NULL), -ENOENT);
        ck_assert_int_eq(load("group = \"a\"\n\n\"\n"), -EINVAL);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("config");
        TCase *tests = tcase_create("config");
        SRunner *runner;
        int failed;

        tcase_add_test(tests, everything_can_be_set);
        tcase_add_test(tests, nothing_needs_to_be_set);
        tcase_add_test(tests, the_example_is_valid);
        tcase_add_loop_test(tests, mistakes_are_told_with_their_place, 0, sizeof(mistakes) / sizeof(mistakes[0]));
        tcase_add_test(tests, files_that_are_none);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
