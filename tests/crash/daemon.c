/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/crash/daemon.h"
#include "src/daemon/log.h"
#include "tests/netns/netns_test.h"
#include "tests/unit/fake_guests.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char *uplinks[1];
static struct config_switch config_switch = {
        .name = (char[]){ CRASH_BRIDGE },
        .bridge = (char[]){ CRASH_BRIDGE },
        .uplinks = uplinks,
        .uplinks_count = 1,
        .iov = true,
        .policy = { .weight = 50, .vlan_protocol = 0x8100 },
};
struct config daemon_config = {
        .switches = &config_switch,
        .switches_count = 1,
        .guest_driver_timeout_usec = 60 * USEC_PER_SEC,
        .unplug_timeout_usec = 60 * USEC_PER_SEC,
        .lease_timeout_usec = 60 * USEC_PER_SEC,
        .back_off_usec = 60 * USEC_PER_SEC,
};

static char root[] = "/tmp/vswitch-test-XXXXXX";
static char directory[64], socket_path[64], log_path[64];
const char *daemon_directory = directory;

static pid_t process;

/* ---- in the daemon's process ---- */

static sd_event *loop;
static struct manager *manager;

/* `vf`: the address of the one that the guest has, "" for none. */
static const char *xml_with(const char *vf)
{
        static char xml[4096];
        char *device = NULL;

        if (vf[0] && guest_vf_device_xml(CRASH_VF_ALIAS, vf, CRASH_ALIAS, &device) < 0)
                abort();
        snprintf(xml, sizeof(xml),
                 "<domain type='kvm' id='1'><name>g1</name><uuid>" CRASH_UUID "</uuid>"
                 "<os><type machine='pc-q35-7.2'>hvm</type></os><devices>"
                 "<controller type='pci' index='1' model='pcie-root-port'/>"
                 "<interface type='bridge'><mac address='" CRASH_MAC "'/><source bridge='" CRASH_BRIDGE "'/>"
                 "<target dev='" CRASH_TAP "'/><model type='virtio'/><teaming type='persistent'/>"
                 "<alias name='" CRASH_ALIAS "'/></interface>%s</devices></domain>",
                 device ? device : "");
        free(device);
        return xml;
}

static const char *domain_xml(void)
{
        return xml_with(host->attached ? host->vf : "");
}

static void on_attach(void)
{
        const struct guest_vf *vf = fake_guests_find_vf(CRASH_UUID, CRASH_VF_ALIAS);

        if (!vf || host->attached)
                return;
        snprintf(host->vf, sizeof(host->vf), "%s", vf->address);
        __atomic_store_n(&host->attached, true, __ATOMIC_RELEASE);
}

static void on_detach(const char *alias)
{
        if (host->attached && strcmp(alias, CRASH_VF_ALIAS) == 0)
                __atomic_store_n(&host->unplug_asked, true, __ATOMIC_RELEASE);
}

static void on_hook_answer(void *token, const char *xml, const char *refuse)
{
        struct guest *guest = NULL;

        host->leased_vf[0] = '\0';
        if (xml && guest_parse_xml(xml, &guest, NULL) == 0 && guest->vfs_count == 1)
                snprintf(host->leased_vf, sizeof(host->leased_vf), "%s", guest->vfs[0].address);
        guest_free(guest);
        __atomic_store_n(&host->answered, true, __ATOMIC_RELEASE);
}

/* The guest as the other host has it: with a VF at an address of that host. */
static void announce(void)
{
        provider_table.hook(manager, "g1", "migrate", "begin", "-", xml_with("0000:07:10.0"), on_hook_answer, NULL);
}

static void hear(const struct host_happening *happening)
{
        const struct control_caller caller = { .connection = 7, .description = "the test" };
        struct vswitch_error error = { 0 };
        const char *alias = happening->alias[0] ? happening->alias : NULL;
        const char *detail = happening->detail[0] ? happening->detail : NULL;

        switch (happening->kind) {
        case HOST_STARTED:
                fake_guests_start(domain_xml(), host->state);
                break;
        case HOST_STATE:
                fake_guests_set_state(CRASH_UUID, host->state, host->outgoing);
                break;
        case HOST_ENDED:
                fake_guests_end(CRASH_UUID, detail);
                break;
        case HOST_UNPLUGGED:
                fake_guests_unplug(CRASH_UUID, CRASH_VF_ALIAS);
                break;
        case HOST_EVENT:
                fake_guests_emit(CRASH_UUID, happening->event, alias, detail);
                break;
        case HOST_RELEASE:
                (void) provider_table.nic_release(manager, CRASH_UUID, CRASH_ALIAS,
                                                  detail ? CONTROL_HOLD_UNTIL_ACQUIRE : CONTROL_HOLD_NONE, &caller,
                                                  &error);
                break;
        case HOST_ACQUIRE:
                (void) provider_table.nic_acquire(manager, CRASH_UUID, CRASH_ALIAS, &caller, &error);
                break;
        case HOST_HOOK:
                announce();
                break;
        }
}

static void tell(void)
{
        const struct manager_nic *nic = nics_find(manager, CRASH_UUID, CRASH_ALIAS);
        static struct host_daemon before;
        static unsigned writes;
        struct host_daemon now;

        memset(&now, 0, sizeof(now)); /* it is compared as a whole */
        now.ready = true;
        now.heard = host->daemon.heard;
        if (nic) {
                now.has_nic = true;
                now.has_claim = nic->claim != NULL;
                now.calls = nic->facts.call != FAILOVER_CALL_NONE;
                now.held = nic->facts.held;
                now.recorded = nic->recorded;
                now.situation = nic->decision.situation;
                now.reason = nic->decision.reason;
                now.failure = nic->facts.failure;
                snprintf(now.rule, sizeof(now.rule), "%s", nic->decision.rule ? nic->decision.rule : "");
                snprintf(now.failure_words, sizeof(now.failure_words), "%s", nic->failure_words);
        }
        now.idle = before.idle;
        now.idle = memcmp(&now, &before, sizeof(now)) == 0 && writes == host->writes.count ? before.idle + 1 : 0;
        before = now;
        writes = host->writes.count;
        host->daemon = now;
}

static _Noreturn void daemon_main(void)
{
        const struct manager_options options = {
                .config = &daemon_config,
                .softswitch_driver = host_card->softswitch_driver,
                .pf_driver = host_card->pf_driver,
                .runtime_directory = directory,
                .state_directory = directory,
                .control_socket = socket_path,
        };
        struct vswitch_error error = { 0 };
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        host_leave_to_parent();
        (void) dup2(log, STDERR_FILENO);
        log_open(getenv("VSWITCH_TEST_DEBUG") != NULL);
        fprintf(stderr, "---- a daemon starts\n");
        fake_guests_reset();
        fake_guests_set_unplug(FAKE_UNPLUG_NEVER);
        host->daemon.heard = host->happened;
        if (host->present) {
                fake_guests_start(domain_xml(), host->state);
                if (host->outgoing)
                        fake_guests_set_state(CRASH_UUID, host->state, true);
        }
        if (sd_event_new(&loop) < 0)
                _exit(1);
        if (manager_new(loop, &options, &manager, &error) < 0) {
                fprintf(stderr, "%s\n", error.text);
                _exit(1);
        }
        for (;;) {
                while (host->daemon.heard != __atomic_load_n(&host->happened, __ATOMIC_ACQUIRE)) {
                        host->daemon.idle = 0;
                        hear(&host->happenings[host->daemon.heard % HOST_HAPPENINGS_MAX]);
                        host->daemon.heard++;
                        fake_guests_settle(loop);
                }
                if (sd_event_run(loop, 4 * USEC_PER_MSEC) < 0)
                        _exit(1);
                fake_guests_settle(loop);
                tell();
        }
}

/* ---- in the test's ---- */

void daemon_begin(void)
{
        uplinks[0] = (char *) host_card->pf_name;
        ck_assert_ptr_nonnull(mkdtemp(root));
        snprintf(directory, sizeof(directory), "%s/run", root);
        snprintf(socket_path, sizeof(socket_path), "%s/control", root);
        snprintf(log_path, sizeof(log_path), "%s/log", root);
        netns_run("mkdir %s; mount -t tmpfs -o size=64k none %s", directory, directory);
}

void daemon_end(void)
{
        daemon_kill();
        netns_run("umount %s; rm -r %s", directory, root);
}

void daemon_start(unsigned limit)
{
        ck_assert_int_eq(process, 0);
        host->daemon = (struct host_daemon){ 0 };
        process = fork();
        ck_assert_int_ge(process, 0);
        if (process == 0) {
                host->writes = (struct writes){ .limit = limit, .on_attach = on_attach, .on_detach = on_detach };
                writes_watch(&host->writes, directory);
                daemon_main();
        }
        /* Until it knows what there is: what happens later it hears of. */
        for (int i = 0; !__atomic_load_n(&host->daemon.ready, __ATOMIC_ACQUIRE); i++) {
                if (daemon_has_ended())
                        return;
                ck_assert_msg(i < 20000, "the daemon does not start:\n%s", daemon_log());
                usleep(1000);
        }
}

void daemon_kill(void)
{
        if (process <= 0)
                return;
        kill(process, SIGKILL);
        (void) waitpid(process, NULL, 0);
        process = 0;
}

bool daemon_is_there(void)
{
        return process > 0;
}

bool daemon_has_ended(void)
{
        int status = 0;

        if (process <= 0 || waitpid(process, &status, WNOHANG) == 0)
                return false;
        process = 0;
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == WRITES_KILLED,
                      "the daemon ended by itself (status %x, last write: %s):\n%s", status, host->writes.last,
                      daemon_log());
        return true;
}

const char *daemon_log(void)
{
        return netns_output("tail -n 30 %s | cut -c 1-180", log_path);
}

void daemon_fill_disk(bool full)
{
        if (full)
                netns_run("! cat /dev/zero >%s/ballast 2>/dev/null", directory);
        else
                netns_run("rm %s/ballast", directory);
}

void daemon_lose_files(void)
{
        netns_run("rm %s/claims/*.json %s/nics/*.json", directory, directory);
}
