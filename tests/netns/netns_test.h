/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Harness of the tests that need a real kernel and no hardware.
 *
 * Check forks each test. The fixture puts the test into a network namespace of its own (and, without root, into a
 * user namespace), which vanishes with it: nothing is shared and nothing needs cleaning. Devices are made with
 * ip(8), so what the code under test writes is also judged by a second implementation. A kernel that allows no
 * namespaces makes the whole program exit with 77, which ctest shows as skipped.
 */

#include "vswitch/mac.h"
#include "vswitch/netlink.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The exit status that ctest takes for "skipped". */
#define NETNS_TEST_SKIPPED 77

/* Open in every test. */
extern struct vswitch_netlink *netns_netlink;

/* Adds `test` to a case of its own with the fixture: namespaces, loopback up, netns_netlink open. */
void netns_test_add(Suite *suite, const char *name, const TTest *test);

/* The same for a test that is run with _i = from ... to - 1. */
void netns_test_add_loop(Suite *suite, const char *name, const TTest *test, int from, int to);

/* Does this shell command succeed in a namespace of its own? If not, says on stderr that the kernel lacks `what`,
 * and that the tests about it are skipped. */
bool netns_test_kernel_has(const char *what, const char *command);

/* Runs the suite; the return value is for main(). */
int netns_test_run(Suite *suite);

/* Runs a shell command (printf style), which must succeed. */
void netns_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Its output; the result lives until the next call. */
const char *netns_output(const char *format, ...) __attribute__((format(printf, 1, 2)));

int netns_ifindex(const char *name);
struct vswitch_mac netns_mac(const char *text);

/* A veth pair, both ends up; with `bridge` != NULL the first end is a port of it (which must be up)
 * and forwards. */
void netns_add_veth(const char *end, const char *peer, const char *bridge);

/* Frames. They have a local experimental EtherType and a number, so that nothing else is taken for them. */
#define NETNS_TEST_ETHERTYPE 0x88b5

/* Starts to capture what comes in on a device. */
int netns_capture(const char *device);

/* `tag`: VLAN and, from bit 13 up, 802.1p priority of a 802.1Q tag; 0: none. */
void netns_send(const char *device, const char *destination, const char *source, uint16_t tag, uint32_t number);
/* The same with another protocol of the tag. */
void netns_send_tagged(const char *device, const char *destination, const char *source, uint16_t tag,
                       uint16_t tag_protocol, uint32_t number);

/* How many frames with `number` have come to `capture`, after waiting long enough for the last one. The others are
 * kept for later questions. *ret_vlan (may be NULL) is the tag of the last one, 0 without. */
unsigned netns_count(int capture, uint32_t number, uint16_t *ret_vlan);

/* Any frame: its size, or -1 when none came. */
struct netns_frame {
        uint8_t data[256];
        uint16_t vlan;
        uint8_t qos;            /* the tag's 802.1p priority */
        uint16_t vlan_protocol; /* 0 without a tag */
};
long netns_receive(int capture, struct netns_frame *ret);
/* The first of the numbered ones with `number`; others before it are lost. False when none comes. */
bool netns_receive_number(int capture, uint32_t number, struct netns_frame *ret);
