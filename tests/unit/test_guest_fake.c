/* SPDX-License-Identifier: Apache-2.0 */

/* The modelled libvirt keeps the contract of guests.h, so that tests which use it are worth something. */

#include "fake_guests.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UUID "11111111-2222-3333-4444-555555555555"
#define XML                                                                                                            \
        "<domain type='kvm' id='1'><name>g1</name><uuid>" UUID "</uuid>"                                               \
        "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"                                                      \
        "<controller type='pci' index='1' model='pcie-root-port'/>"                                                    \
        "<interface type='bridge'><mac address='52:54:00:12:34:56'/><source bridge='br0'/><target dev='vnet0'/>"       \
        "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/></interface></devices></domain>"

static sd_event *loop;
static struct guests *guests;
static char trace[4096]; /* what was delivered, in short */

static void note(const char *format, ...)
{
        size_t length = strlen(trace);
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(trace + length, sizeof(trace) - length, format, arguments);
        va_end(arguments);
}

static void on_connection(bool connected, const char *sentence, void *userdata)
{
        note("%s ", connected ? "up" : sentence);
}

static void on_listed(struct guest **list, size_t count, void *userdata)
{
        note("listed:%zu ", count);
}

static void on_defined(struct guest *const *definitions, size_t count, bool all, void *userdata)
{
        if (all)
                note("all-defined:%zu ", count);
        else
                note("defined:%s/%zu ", definitions[0]->name ? definitions[0]->name : "", definitions[0]->vfs_count);
}

static void on_changed(struct guest **guest, void *userdata)
{
        note("changed:%d/%zu/%u ", (*guest)->state, (*guest)->vfs_count, (*guest)->free_root_ports);
}

static void on_event(const struct guest_event *event, void *userdata)
{
        note("event:%d%s%s ", event->kind, event->alias, event->detail);
}

static void on_done(int result, const char *sentence, void *userdata)
{
        note("done:%d ", result);
}

static const struct guests_callbacks callbacks = {
        .connection = on_connection,
        .listed = on_listed,
        .defined = on_defined,
        .changed = on_changed,
        .event = on_event,
};

static void expect(const char *text)
{
        fake_guests_settle(loop);
        ck_assert_str_eq(trace, text);
        trace[0] = '\0';
}

static void begin(void)
{
        trace[0] = '\0';
        ck_assert_int_ge(sd_event_new(&loop), 0);
        fake_guests_reset();
        ck_assert_int_eq(guests_new(loop, NULL, &callbacks, NULL, &guests, NULL), 0);
        expect("up all-defined:0 listed:0 ");
}

static void end(void)
{
        guests_free(guests);
        fake_guests_reset();
        loop = sd_event_unref(loop);
}

static char *device(const char *alias, const char *address)
{
        char *xml = NULL;

        ck_assert_int_eq(guest_vf_device_xml(alias, address, "ua-net0", &xml), 0);
        return xml;
}

START_TEST(starts_and_ends)
{
        fake_guests_start(XML, GUEST_RUNNING);
        ck_assert_str_eq(trace, "");
        expect("event:8started/booted changed:1/0/1 ");
        ck_assert_int_eq(fake_guests_find(UUID)->id, 1);
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
        fake_guests_set_state(UUID, GUEST_PAUSED, false);
        expect("event:0ua-net0 changed:2/0/1 ");
        ck_assert_int_eq(guests_refresh(guests, UUID), 0);
        expect("changed:2/0/1 ");
        fake_guests_end(UUID, "stopped/destroyed");
        expect("event:8stopped/destroyed changed:0/0/0 ");
        ck_assert_ptr_null(fake_guests_find(UUID));
}
END_TEST

START_TEST(attaches_and_detaches)
{
        char *xml = device("ua-vf0", "0000:01:10.2"), *other = device("ua-vf1", "0000:01:10.2");

        ck_assert_int_eq(guests_attach(guests, UUID, xml, on_done, NULL), 0);
        expect("done:-2 ");
        fake_guests_start(XML, GUEST_RUNNING);
        fake_guests_settle(loop);
        trace[0] = '\0';
        ck_assert_int_eq(guests_attach(guests, UUID, xml, on_done, NULL), 0);
        expect("done:0 changed:1/1/0 ");
        ck_assert_str_eq(fake_guests_find_vf(UUID, "ua-vf0")->address, "0000:01:10.2");
        ck_assert_int_eq(guests_attach(guests, UUID, other, on_done, NULL), 0);
        expect("done:-5 ");
        ck_assert_int_eq(guests_detach(guests, UUID, "ua-vf9", on_done, NULL), 0);
        expect("done:-2 ");
        fake_guests_set_unplug(FAKE_UNPLUG_NEVER);
        ck_assert_int_eq(guests_detach(guests, UUID, "ua-vf0", on_done, NULL), 0);
        expect("done:0 ");
        ck_assert(fake_guests_unplug(UUID, "ua-vf0"));
        expect("event:6ua-vf0 changed:1/0/1 ");
        ck_assert_uint_eq(fake_guests_count(FAKE_ATTACH), 3);
        free(xml);
        free(other);
}
END_TEST

static int work(void *userdata, struct vswitch_error *error)
{
        note("work ");
        return userdata ? vswitch_error_set(error, -EBUSY, "busy") : 0;
}

START_TEST(holds_and_fails)
{
        fake_guests_hold(FAKE_RUN, true);
        ck_assert_int_eq(guests_run(guests, work, on_done, NULL), 0);
        ck_assert_int_eq(guests_run(guests, work, on_done, &loop), 0);
        expect("");
        ck_assert_ptr_nonnull(fake_guests_pending(FAKE_RUN));
        fake_guests_answer(FAKE_RUN, 0, NULL);
        expect("work done:0 ");
        fake_guests_hold(FAKE_RUN, false);
        expect("work done:-16 ");
        fake_guests_fail(FAKE_RUN, -EIO, "broken");
        ck_assert_int_eq(guests_run(guests, work, on_done, NULL), 0);
        expect("done:-5 ");
        fake_guests_hold(FAKE_DETACH, true);
        ck_assert_int_eq(guests_detach(guests, UUID, "ua-vf0", on_done, NULL), 0);
        ck_assert_str_eq(fake_guests_pending(FAKE_DETACH)->text, "ua-vf0");
        fake_guests_down("gone");
        expect("done:-107 gone ");
        ck_assert_int_eq(guests_detach(guests, UUID, "ua-vf0", on_done, NULL), 0);
        expect("done:-107 ");
        fake_guests_start(XML, GUEST_INCOMING); /* nobody hears it */
        expect("");
        fake_guests_up();
        expect("up all-defined:0 listed:1 ");
}
END_TEST

/* The daemon ends and comes back; libvirt has stayed. */
START_TEST(outlives_the_daemon)
{
        fake_guests_start(XML, GUEST_RUNNING);
        fake_guests_hold(FAKE_ATTACH, true);
        ck_assert_int_eq(guests_attach(guests, UUID, "<hostdev/>", on_done, NULL), 0);
        trace[0] = '\0';
        guests_free(guests);
        ck_assert_str_eq(trace, "done:-125 ");
        trace[0] = '\0';
        ck_assert_int_eq(guests_new(loop, NULL, &callbacks, NULL, &guests, NULL), 0);
        expect("up all-defined:0 listed:1 ");
}
END_TEST

START_TEST(defines_and_undefines)
{
        fake_guests_define(XML);
        expect("event:8defined/updated defined:g1/0 changed:0/0/0 ");
        fake_guests_start(XML, GUEST_RUNNING);
        expect("event:8started/booted changed:1/0/1 ");
        fake_guests_down("gone");
        fake_guests_up();
        expect("gone up all-defined:1 listed:1 ");
        fake_guests_undefine(UUID);
        expect("event:8undefined/removed defined:/0 ");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("modelled libvirt");
        TCase *tests = tcase_create("model");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_checked_fixture(tests, begin, end);
        tcase_add_test(tests, starts_and_ends);
        tcase_add_test(tests, attaches_and_detaches);
        tcase_add_test(tests, holds_and_fails);
        tcase_add_test(tests, outlives_the_daemon);
        tcase_add_test(tests, defines_and_undefines);
        suite_add_tcase(suite, tests);

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
