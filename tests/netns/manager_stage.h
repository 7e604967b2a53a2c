/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The stage for tests of the whole daemon in one process: a modelled NIC, a modelled libvirt and the kernel's real
 * links, in a network namespace of the test's own. Guest "g1" has one NIC on bridge br0, whose uplink is up0.
 *
 * The modelled guest drives its VF when the test says so (drive_guest), so the question "does every kind of sender
 * reach the guest now" can be asked at any point.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/fake_guests.h"
#include "tests/unit/modelled_nic.h"

#define UUID "11111111-2222-3333-4444-555555555555"
#define MAC  "52:54:00:12:34:56"

#define DOMAIN_XML(devices)                                                                                            \
        "<domain type='kvm' id='1'><name>g1</name><uuid>" UUID "</uuid>"                                               \
        "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"                                                      \
        "<controller type='pci' index='1' model='pcie-root-port'/>"                                                    \
        "<interface type='bridge'><mac address='" MAC "'/><source bridge='br0'/><target dev='tap0'/>"                  \
        "<model type='virtio'/><teaming type='persistent'/><alias name='ua-net0'/></interface>" devices                \
        "</devices></domain>"

/* The VF as the other host's guest has it: at an address that this host may use for something else. */
#define VF_OF_ANOTHER_HOST                                                                                             \
        "<hostdev mode='subsystem' type='pci' managed='no'><source>"                                                   \
        "<address domain='0x0000' bus='0x07' slot='0x10' function='0x0'/></source>"                                    \
        "<teaming type='transient' persistent='ua-net0'/><alias name='ua-vf-net0'/>"                                   \
        "<address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></hostdev>"

extern struct config_switch config_switch;
extern struct config config;
extern char directory[];
extern char socket_path[64];
extern sd_event *loop;
extern struct manager *manager;
extern struct modelled_pf *pf;
extern struct modelled_switch *software_switch;
extern struct vswitch_mac mac;
extern int tap;
extern bool emulated; /* the card is one whose ways were measured */

void start_daemon(void);
void stop_daemon(void);
void stage_begin(void);
void stage_end(void);
struct manager_nic *nic(void);
enum failover_situation situation(void);
void drive_guest(bool up);
void run_until(bool (*condition)(void), const char *what);
void settle(void);
bool is_on_vf(void);
bool is_offering(void);
bool is_withdrawing(void);
bool is_withdrawn(void);
bool is_synthetic(void);
bool is_gone(void);
void expect_reachable(void);
void expect_nothing_left(void);
void start_guest(void);
void start_guest_on_vf(void);
void ask(bool acquire);
void let_go(void);

#define RUN_UNTIL(condition) run_until(condition, #condition)
