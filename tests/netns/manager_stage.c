/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/netns/manager_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *uplinks[] = { (char[]){ "up0" } };
struct config_switch config_switch = {
        .name = (char[]){ "br0" },
        .bridge = (char[]){ "br0" },
        .uplinks = uplinks,
        .uplinks_count = 1,
        .iov = true,
        .policy = { .weight = 50, .vlan_protocol = 0x8100 },
};
struct config config = {
        .switches = &config_switch,
        .switches_count = 1,
        .guest_driver_timeout_usec = 60 * USEC_PER_SEC,
        .unplug_timeout_usec = 60 * USEC_PER_SEC,
        .lease_timeout_usec = 60 * USEC_PER_SEC,
        .back_off_usec = 60 * USEC_PER_SEC,
};

char directory[] = "/tmp/vswitch-test-XXXXXX";
char socket_path[64];
sd_event *loop;
struct manager *manager;
struct modelled_pf *pf;
struct modelled_switch *software_switch;
struct vswitch_mac mac;
int tap;
bool emulated = true; /* the card is one whose ways were measured */

/* ---- the stage ---- */

void start_daemon(void)
{
        const struct manager_options options = {
                .config = &config,
                .softswitch_driver = &modelled_switch_driver,
                .pf_driver = &modelled_pf_driver,
                .runtime_directory = directory,
                .state_directory = directory,
                .control_socket = socket_path,
        };
        struct vswitch_error error = { 0 };
        int r = manager_new(loop, &options, &manager, &error);

        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
}

void stop_daemon(void)
{
        manager_free(manager);
        manager = NULL;
}

void stage_begin(void)
{
        log_open(getenv("VSWITCH_TEST_DEBUG") != NULL);
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(socket_path, sizeof(socket_path), "%s/control", directory);
        /* The guest's end of the tap speaks only when the test makes it: IPv6 would, from an address of its own. */
        netns_run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        netns_run("ip link add br0 type bridge");
        netns_run("ip link set br0 up");
        netns_add_veth("up0", "wire", "br0");
        netns_add_veth("tap0", "guest", "br0");
        tap = netns_ifindex("tap0");
        mac = netns_mac(MAC);
        modelled_nic_reset();
        pf = modelled_pf_add("up0", netns_ifindex("up0"), 2);
        snprintf(pf->pf.kernel_driver, sizeof(pf->pf.kernel_driver), "igb");
        pf->pf.is_emulated = emulated;
        pf->reflects = emulated;
        software_switch = modelled_switch_add("br0", netns_ifindex("br0"));
        /* Unbound VFs: a netdev that the kernel does not have would make them foreign. */
        for (size_t i = 0; i < pf->vf_count; i++) {
                pf->vfs[i].identity.driver[0] = '\0';
                pf->vfs[i].identity.netdev[0] = '\0';
        }
        fake_guests_reset();
        fake_guests_set_unplug(FAKE_UNPLUG_NEVER);
        ck_assert_int_ge(sd_event_new(&loop), 0);
        start_daemon();
}

void stage_end(void)
{
        stop_daemon();
        sd_event_unref(loop);
        netns_run("rm -r %s", directory);
}

struct manager_nic *nic(void)
{
        return manager ? nics_find(manager, UUID, "ua-net0") : NULL;
}

enum failover_situation situation(void)
{
        return nic() ? nic()->decision.situation : FAILOVER_SITUATION_ABSENT;
}

/* The guest has opened, or let go of, the VF that it has. */
void drive_guest(bool up)
{
        const struct guest_vf *vf = fake_guests_find_vf(UUID, "ua-vf-net0");

        if (vf && modelled_vf_find(vf->address))
                modelled_vf_find(vf->address)->vectors = up ? 3 : 0;
}

void run_until(bool (*condition)(void), const char *what)
{
        uint64_t deadline = manager_now(manager) + 10 * USEC_PER_SEC;

        while (!condition()) {
                ck_assert_int_ge(sd_event_run(loop, 20 * USEC_PER_MSEC), 0);
                ck_assert_msg(manager_now(manager) < deadline, "never: %s (rule %s)", what,
                              nic() ? nic()->decision.rule : "no NIC");
        }
}

void settle(void)
{
        fake_guests_settle(loop);
}

bool is_on_vf(void)
{
        return situation() == FAILOVER_SITUATION_ON_VF;
}

bool is_offering(void)
{
        return situation() == FAILOVER_SITUATION_OFFERING && nic()->facts.attached == FAILOVER_YES;
}

bool is_withdrawing(void)
{
        return situation() == FAILOVER_SITUATION_WITHDRAWING;
}

bool is_withdrawn(void)
{
        return situation() == FAILOVER_SITUATION_WITHDRAWN;
}

bool is_synthetic(void)
{
        return situation() == FAILOVER_SITUATION_SYNTHETIC && !nic()->claim;
}

bool is_gone(void)
{
        return nic() == NULL;
}

/* Every kind of sender reaches the guest on the path that it listens to. */
void expect_reachable(void)
{
        const struct guest_vf *vf = fake_guests_find_vf(UUID, "ua-vf-net0");
        const struct modelled_vf *modelled = vf ? modelled_vf_find(vf->address) : NULL;

        for (int sender = 0; sender < MODELLED_SENDER_MAX; sender++)
                ck_assert_msg(modelled_guest_receives(pf, software_switch, tap, modelled, &mac,
                                                      (enum modelled_sender) sender),
                              "sender %d does not reach the guest (rule %s)", sender, nic()->decision.rule);
}

/* No table has the MAC, every VF is as it was, nothing is on disk. */
void expect_nothing_left(void)
{
        ck_assert(!modelled_pf_has_filter(pf, &mac));
        ck_assert_uint_eq(software_switch->pin_count, 0);
        ck_assert_uint_eq(software_switch->rule_count, 0);
        for (size_t i = 0; i < pf->vf_count; i++) {
                ck_assert(vswitch_mac_is_zero(&pf->vfs[i].attributes.mac));
                ck_assert_str_eq(pf->vfs[i].identity.driver, "");
        }
        ck_assert_str_eq(netns_output("ls %s/claims %s/nics | grep json || true", directory, directory), "");
}

void start_guest(void)
{
        fake_guests_start(DOMAIN_XML(""), GUEST_RUNNING);
        settle();
        fake_guests_emit(UUID, GUEST_EVENT_STANDBY_NEGOTIATED, "ua-net0", NULL);
}

void start_guest_on_vf(void)
{
        start_guest();
        RUN_UNTIL(is_offering);
        expect_reachable();
        drive_guest(true);
        expect_reachable();
        RUN_UNTIL(is_on_vf);
        settle();
        expect_reachable();
}

void ask(bool acquire)
{
        const struct control_caller caller = { .connection = 7, .description = "the test" };
        struct vswitch_error error = { 0 };
        int r = acquire ? provider_table.nic_acquire(manager, UUID, "ua-net0", &caller, &error)
                        : provider_table.nic_release(manager, UUID, "ua-net0", CONTROL_HOLD_UNTIL_ACQUIRE, &caller,
                                                     &error);

        ck_assert_msg(r == 0, "%s", vswitch_error_text(&error, r));
}

void let_go(void)
{
        drive_guest(false);
        expect_reachable();
        RUN_UNTIL(is_withdrawn);
        expect_reachable();
        ck_assert(fake_guests_unplug(UUID, "ua-vf-net0"));
}
