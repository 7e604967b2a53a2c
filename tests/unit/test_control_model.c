/* SPDX-License-Identifier: Apache-2.0 */

#include "test_control_model.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

/* Fixed, so that what the CLI prints can be compared with a file. */
#define STARTED_USEC UINT64_C(1767225600000000) /* 2026-01-01 00:00:00 UTC */

struct model_nic {
        char uuid[40];
        char alias[32];
        const char *domain;
        char mac[20];
        char tap[16];
        bool on_vf;
        bool eligible;
        const char *request; /* "acquire", "release", "" */
        const char *failure; /* reason of the last move that was given up, or NULL */
        enum control_hold hold;
        uint64_t hold_connection;
        sd_event_source *move;
};

struct model {
        struct model_options options;
        struct model_seen *seen;
        sd_event *loop;
        struct control *control;
        struct model_nic nics[256];
        size_t nics_count;
        sd_event_source *chatter;
        sd_event_source *hook_timer;
        control_hook_reply reply;
        void *reply_tokens[8]; /* of calls that were not answered */
        size_t replies_count;
        control_done done; /* of the SetVfs that is under way, or NULL */
        void *done_token;
        sd_event_source *done_timer;
        control_policy_done policy_done; /* of the SetPolicy that is under way, or NULL */
        void *policy_token;
        sd_event_source *policy_timer;
        uint64_t reserve_connection;
};

static struct model model; /* of the server's process */

static void status(void *m, struct control_status *ret)
{
        *ret = (struct control_status){
                .version = "0.1.0",
                .started_usec = STARTED_USEC,
                .libvirt_connected = !model.options.libvirt_lost,
                .libvirt_sentence = model.options.libvirt_lost ? "libvirtd does not answer" : "",
                .resyncs = 1,
                .moves_completed = 7,
                .moves_failed = 2,
        };
}

static int switches(void *m, int (*each)(const struct control_switch *, void *), void *userdata)
{
        static const char *const pfs[] = { "enp1s0", NULL };
        static const struct control_neighbour neighbours[] = {
                { "52:54:00:00:00:02", "vnet1", 0, "guest", "listed" },
                { "52:54:00:00:00:03", "vnet2", 0, "guest", "foreign" },
                { "02:42:ac:11:00:02", "veth0", 30, "learned", "left-out" },
                { "52:54:00:aa:00:01", "br0", 0, "local", "listed" },
        };
        int r = each(&(struct control_switch){ .name = "br0",
                                               .driver = "bridge",
                                               .device = "br0",
                                               .uplink = "enp1s0",
                                               .usable = true,
                                               .reason = "",
                                               .iov = true,
                                               .filters_vlans = true,
                                               .pfs = pfs,
                                               .neighbours = neighbours,
                                               .neighbours_count = 4 },
                     userdata);

        return r
                       ?: each(&(struct control_switch){ .name = "lab net",
                                                         .driver = "bridge",
                                                         .device = "br7",
                                                         .uplink = "",
                                                         .usable = false,
                                                         .reason = "the bridge br7 does not exist" },
                               userdata)
                       ?: each(&(struct control_switch){ .name = "storage",
                                                         .driver = "bridge",
                                                         .device = "br9",
                                                         .uplink = "bond0",
                                                         .usable = true,
                                                         .iov = true,
                                                         .obstacle = "uplink-in-lag",
                                                         .obstacle_sentence = "the uplink is a balancing bond",
                                                         .remedy = "use mode active-backup" },
                               userdata);
}

static int pfs(void *m, int (*each)(const struct control_pf *, void *), void *userdata)
{
        static const struct pf_vf_attributes in_use = {
                .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK | PF_VF_TRUST | PF_VF_LINK_STATE | PF_VF_RATE,
                .vlan = 30,
                .qos = 2,
                .vlan_protocol = 0x8100,
                .spoof_check = true,
                .max_rate = 1000,
        };
        static const struct pf_vf_attributes unused = { .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK,
                                                        .vlan_protocol = 0x88a8 };
        static const struct pf_vf_statistics statistics = {
                .received_packets = 1200,
                .received_bytes = 1800000,
                .received_dropped = 3,
                .sent_packets = 800,
                .sent_bytes = 64000,
                .multicast = 12,
                .broadcast = 4,
        };
        static const struct control_vf vfs[] = {
                { 0, "0000:01:10.0", "claimed", "vfio-pci", "52:54:00:00:00:01", "g1/ua-net0", 3, &in_use,
                  &statistics },
                { 1, "0000:01:10.2", "free", "igbvf", "", "", 0, &unused, NULL },
                { 2, "0000:01:10.4", "foreign", "vfio-pci", "", "in use by process 4711", 3, NULL, NULL },
        };
        static const char *const filters[] = { "52:54:00:00:00:02", "52:54:00:00:00:03", NULL };
        static const char *const refusals[] = { "link state: Operation not supported", NULL };

        return each(&(struct control_pf){ .name = "enp1s0",
                                          .switch_name = "br0",
                                          .driver = "igb",
                                          .address = "0000:01:00.0",
                                          .up = true,
                                          .carrier = true,
                                          .total_vfs = 7,
                                          .steering = "both",
                                          .steering_source = "probed 2026-01-01",
                                          .port = "enp1s0",
                                          .active = true,
                                          .firmware = "3.16, 0x800004ff",
                                          .filter_capacity = 14,
                                          .can_set = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK,
                                          .cannot_set = PF_VF_LINK_STATE,
                                          .refusals = refusals,
                                          .uplink_filters = filters,
                                          .vfs = vfs,
                                          .vfs_count = 3 },
                    userdata);
}

static int show_nic(const struct model_nic *nic, int (*each)(const struct control_nic *, void *), void *userdata)
{
        static const struct port_policy policy = { .weight = 50,
                                                   .vlan = 30,
                                                   .qos = 2,
                                                   .vlan_protocol = 0x8100,
                                                   .spoof_check = PORT_POLICY_YES,
                                                   .max_rate = 1000 };
        bool moving = nic->move != NULL;
        struct control_nic view = {
                .uuid = nic->uuid,
                .domain = nic->domain,
                .alias = nic->alias,
                .mac = nic->mac,
                .switch_name = "br0",
                .tap = nic->tap,
                .wanted = nic->hold != CONTROL_HOLD_NONE || !nic->eligible ? "synthetic" : "vf",
                .path = moving       ? "both"
                        : nic->on_vf ? "vf"
                                     : "synthetic",
                .situation = !moving      ? nic->on_vf ? "on-vf" : "synthetic"
                             : nic->on_vf ? "withdrawing"
                                          : "offering",
                .request = nic->request,
                .vf_allocated = moving || nic->on_vf,
                .vf = moving || nic->on_vf ? "0000:01:10.0" : "",
                .pf = moving || nic->on_vf ? "enp1s0" : "",
                .since_usec = STARTED_USEC + 60000000,
                .deadline_usec = moving ? STARTED_USEC + 120000000 : 0,
                .held = nic->hold != CONTROL_HOLD_NONE,
                .vlan = nic == model.nics ? 30 : 0,
                .policy = nic == model.nics ? &policy : NULL,
        };

        view.rule = view.situation;
        view.now = nic->on_vf ? "the VF carries its frames" : "the tap carries its frames";
        if (moving) {
                view.reason = "moving";
                view.reason_sentence = "it is being moved";
                view.now = "the guest has to let go of its VF";
                view.then = "the guest is asked again";
                view.unplug_attempts = 1;
        } else if (nic->failure) {
                view.reason = nic->failure;
                view.reason_sentence = nic->on_vf ? "the guest did not let go of its VF within 60 s"
                                                  : "the guest has no driver for the VF";
                view.remedy = "look into the guest's kernel log";
        } else if (!nic->eligible) {
                view.reason = "no-teaming";
                view.reason_sentence = "the NIC has no <teaming type='persistent'/>";
                view.remedy = "add it to the domain's XML and restart the guest";
        } else if (view.held) {
                view.reason = "held";
                view.reason_sentence = "an operator holds it on the synthetic path";
                view.remedy = "vswitch nic acquire";
                view.held_by = "vswitch[1234] uid 0";
        } else if (!nic->on_vf) {
                view.reason = "no-free-vf";
                view.reason_sentence = "every VF of enp1s0 is in use";
                view.remedy = "release another NIC";
                view.detail = "PF enp1s0 of br0";
                view.deadline_usec = STARTED_USEC + 90000000;
                view.then = "it is looked again for a free VF";
        }
        if (model.options.in_trouble && nic->domain[1] == '2') {
                view.trouble = "cannot remove pin: Operation not permitted";
                view.retry_usec = STARTED_USEC + 61000000;
                view.failure = "attach-failed";
                view.failure_sentence = "libvirt refused to attach the VF";
                view.failure_detail = "no PCI slot is free";
                view.failure_usec = STARTED_USEC + 50000000;
                view.back_off_usec = STARTED_USEC + 110000000;
        }
        return each(&view, userdata);
}

static int nics(void *m, int (*each)(const struct control_nic *, void *), void *userdata)
{
        int r = 0;

        for (size_t i = 0; i < model.nics_count && r == 0; i++)
                r = show_nic(&model.nics[i], each, userdata);
        return r;
}

static struct model_nic *find(const char *uuid, const char *alias)
{
        for (size_t i = 0; i < model.nics_count; i++)
                if (strcmp(model.nics[i].uuid, uuid) == 0 && strcmp(model.nics[i].alias, alias) == 0)
                        return &model.nics[i];
        return NULL;
}

static int on_moved(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct model_nic *nic = userdata;
        char subject[64];

        nic->move = sd_event_source_unref(nic->move);
        if (model.options.moves_fail)
                nic->failure = nic->on_vf ? "unplug-refused" : "guest-driver-missing";
        else
                nic->on_vf = strcmp(nic->request, "acquire") == 0;
        nic->request = "";
        snprintf(subject, sizeof(subject), "%s/%s", nic->domain, nic->alias);
        control_event(model.control, "move", subject, nic->on_vf ? "now on its VF" : "now on the synthetic path");
        control_nic_changed(model.control, nic->uuid, nic->alias);
        return 0;
}

static int move(struct model_nic *nic, bool to_vf)
{
        uint64_t now;

        nic->failure = NULL;
        if (nic->on_vf == to_vf)
                return 0;
        nic->request = to_vf ? "acquire" : "release";
        if (model.options.move_msec == 0)
                return on_moved(NULL, 0, nic);
        sd_event_now(model.loop, CLOCK_MONOTONIC, &now);
        sd_event_add_time(model.loop, &nic->move, CLOCK_MONOTONIC, now + model.options.move_msec * 1000, 1000, on_moved,
                          nic);
        control_nic_changed(model.control, nic->uuid, nic->alias);
        return 0;
}

static void note_caller(const struct control_caller *caller)
{
        model.seen->last_uid = caller->uid;
        snprintf(model.seen->last_description, sizeof(model.seen->last_description), "%s", caller->description);
}

static void count_held(void)
{
        unsigned held = 0;

        for (size_t i = 0; i < model.nics_count; i++)
                held += model.nics[i].hold != CONTROL_HOLD_NONE;
        model.seen->held_nics = held;
}

static int nic_acquire(void *m, const char *uuid, const char *alias, const struct control_caller *caller,
                       struct vswitch_error *error)
{
        struct model_nic *nic = find(uuid, alias);

        note_caller(caller);
        if (!nic)
                return vswitch_error_set(error, -ENOENT, "there is no such NIC here");
        if (!nic->eligible)
                return vswitch_error_set(error, -EINVAL, "the NIC has no <teaming type='persistent'/>: add it");
        nic->hold = CONTROL_HOLD_NONE;
        count_held();
        model.seen->acquired++;
        return move(nic, true);
}

static int nic_release(void *m, const char *uuid, const char *alias, enum control_hold hold,
                       const struct control_caller *caller, struct vswitch_error *error)
{
        static const char *const names[] = { "none", "connection", "until-acquire" };
        struct model_nic *nic = find(uuid, alias);

        note_caller(caller);
        if (!nic)
                return vswitch_error_set(error, -ENOENT, "there is no such NIC here");
        nic->hold = hold;
        nic->hold_connection = caller->connection;
        snprintf(model.seen->last_hold, sizeof(model.seen->last_hold), "%s", names[hold]);
        count_held();
        model.seen->released++;
        return move(nic, false);
}

#define MODEL_POLICY "<vswitch:policy xmlns:vswitch=\"urn:vswitch:policy:1\"/>"

static int on_policy_set(sd_event_source *source, uint64_t usec, void *userdata)
{
        control_policy_done done = model.policy_done;
        bool config = strstr(model.seen->last_policy, " live") == NULL;

        model.policy_done = NULL;
        if (model.options.policy_bad)
                done(-EBADMSG, "nothing was written, because the policy that is there cannot be read", NULL, NULL,
                     model.policy_token);
        else if (strstr(model.seen->last_policy, "weight=101"))
                done(-EINVAL, "weight='101': write a number from 0 (no VF) to 100", NULL, NULL, model.policy_token);
        else
                done(0, strstr(model.seen->last_policy, "g2") ? "this vswitch cannot use it" : "", MODEL_POLICY,
                     config ? MODEL_POLICY : NULL, model.policy_token);
        return 0;
}

static int nic_set_policy(void *m, const char *domain, const char *alias, const struct control_policy_change *changes,
                          size_t changes_count, uint32_t flags, const struct control_caller *caller,
                          control_policy_done done, void *token, struct vswitch_error *error)
{
        char *seen = model.seen->last_policy;
        size_t size = sizeof(model.seen->last_policy);

        note_caller(caller);
        if (strcmp(domain, "g9") == 0)
                return vswitch_error_set(error, -ENOENT, "libvirt does not find the domain");
        snprintf(seen, size, "%s/%s", domain, alias);
        for (size_t i = 0; i < changes_count; i++)
                snprintf(seen + strlen(seen), size - strlen(seen), " %s=%s", changes[i].key, changes[i].value);
        snprintf(seen + strlen(seen), size - strlen(seen), "%s%s%s%s", flags & CONTROL_POLICY_LIVE ? " live" : "",
                 flags & CONTROL_POLICY_CONFIG ? " config" : "", flags & CONTROL_POLICY_REPLACE ? " replace" : "",
                 flags & CONTROL_POLICY_DRY_RUN ? " dry-run" : "");
        model.policy_done = done;
        model.policy_token = token;
        model.policy_timer = sd_event_source_disable_unref(model.policy_timer);
        if (model.options.policy_silent)
                return 0;
        return sd_event_add_time(model.loop, &model.policy_timer, CLOCK_MONOTONIC, 0, 1, on_policy_set, NULL);
}

static int on_vfs_set(sd_event_source *source, uint64_t usec, void *userdata)
{
        control_done done = model.done;

        model.done = NULL;
        if (model.options.vfs_fail)
                done(-EIO, "igb made 2 VFs of 4; see dmesg", model.done_token);
        else
                done(0, NULL, model.done_token);
        return 0;
}

static int pf_set_vfs(void *m, const char *pf, unsigned count, bool keep, const struct control_caller *caller,
                      control_done done, void *token, struct vswitch_error *error)
{
        uint64_t now;

        note_caller(caller);
        if (count == 0)
                return vswitch_error_set(error, -EBUSY, "VF 0 of %s is in use by g1/ua-net0: release it first", pf);
        snprintf(model.seen->last_set_vfs, sizeof(model.seen->last_set_vfs), "%s %u%s", pf, count, keep ? " keep" : "");
        model.done = done;
        model.done_token = token;
        sd_event_now(model.loop, CLOCK_MONOTONIC, &now);
        model.done_timer = sd_event_source_disable_unref(model.done_timer);
        return sd_event_add_time(model.loop, &model.done_timer, CLOCK_MONOTONIC,
                                 now + model.options.set_vfs_msec * 1000, 1000, on_vfs_set, NULL);
}

static int pf_reserve(void *m, const char *pf, unsigned count, const struct control_caller *caller,
                      char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error)
{
        note_caller(caller);
        if (count > 2)
                return vswitch_error_set(error, -EBUSY, "%s has only 2 free VFs", pf);
        for (unsigned i = 0; i < count; i++)
                snprintf(ret_addresses[i], PF_ADDRESS_SIZE, "0000:01:10.%u", 2 * i + 2);
        model.seen->reserved = count;
        model.reserve_connection = caller->connection;
        return 0;
}

static int pf_reload(void *m, const char *pf, const struct control_caller *caller, struct vswitch_error *error)
{
        note_caller(caller);
        model.seen->reloaded++;
        return 0;
}

static void caller_gone(void *m, uint64_t connection)
{
        for (size_t i = 0; i < model.nics_count; i++)
                if (model.nics[i].hold == CONTROL_HOLD_CONNECTION && model.nics[i].hold_connection == connection)
                        model.nics[i].hold = CONTROL_HOLD_NONE;
        if (model.reserve_connection == connection)
                model.seen->reserved = 0;
        count_held();
        model.seen->gone++;
}

static int on_hook_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        model.reply(model.reply_tokens[--model.replies_count], "<domain>rewritten</domain>\n", NULL);
        return 0;
}

static void hook(void *m, const char *domain, const char *operation, const char *sub_operation, const char *extra,
                 const char *xml, control_hook_reply reply, void *reply_token)
{
        uint64_t now;

        snprintf(model.seen->last_hook, sizeof(model.seen->last_hook), "%s %s %s %s %s", domain, operation,
                 sub_operation, extra, xml);
        model.seen->hooks++;
        switch (model.options.hook) {
        case MODEL_HOOK_PASS:
                reply(reply_token, NULL, NULL);
                break;
        case MODEL_HOOK_REFUSE:
                reply(reply_token, NULL, "no free VF on this host: use `vswitch migrate`");
                break;
        case MODEL_HOOK_REWRITE:
                model.reply = reply;
                model.reply_tokens[model.replies_count++] = reply_token;
                sd_event_now(model.loop, CLOCK_MONOTONIC, &now);
                model.hook_timer = sd_event_source_disable_unref(model.hook_timer);
                sd_event_add_time(model.loop, &model.hook_timer, CLOCK_MONOTONIC, now + 100000, 1000, on_hook_timer,
                                  NULL);
                break;
        case MODEL_HOOK_SILENT:
                model.reply = reply;
                model.reply_tokens[model.replies_count++] = reply_token;
                break;
        }
}

static int on_chatter(sd_event_source *source, uint64_t usec, void *userdata)
{
        char text[16384];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        control_event(model.control, "guest", "g1", text);
        sd_event_now(model.loop, CLOCK_MONOTONIC, &usec);
        sd_event_source_set_time(source, usec + model.options.chatty_msec * 1000);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

static const struct control_provider provider = {
        .status = status,
        .switches = switches,
        .pfs = pfs,
        .nics = nics,
        .nic_acquire = nic_acquire,
        .nic_release = nic_release,
        .nic_set_policy = nic_set_policy,
        .pf_set_vfs = pf_set_vfs,
        .pf_reserve = pf_reserve,
        .pf_reload = pf_reload,
        .caller_gone = caller_gone,
        .hook = hook,
};

static void add_nic(const char *uuid, const char *domain, const char *alias, bool on_vf, bool eligible)
{
        struct model_nic *nic = &model.nics[model.nics_count++];

        snprintf(nic->uuid, sizeof(nic->uuid), "%s", uuid);
        snprintf(nic->alias, sizeof(nic->alias), "%s", alias);
        snprintf(nic->mac, sizeof(nic->mac), "52:54:00:00:00:%02zx", model.nics_count);
        snprintf(nic->tap, sizeof(nic->tap), "vnet%zu", model.nics_count - 1);
        nic->domain = domain;
        nic->on_vf = on_vf;
        nic->eligible = eligible;
        nic->request = "";
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        return sd_event_exit(model.loop, 0);
}

static int serve(const struct model_server *server, const struct model_options *options, int ready)
{
        struct vswitch_error error = {};
        sigset_t signals;
        int r;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        model.options = *options;
        model.seen = server->seen;
        add_nic(MODEL_G1, "g1", "ua-net0", true, true);
        add_nic(MODEL_G2, "g2", "ua-net0", false, true);
        add_nic(MODEL_G2, "g2", "ua-net1", false, true);
        add_nic(MODEL_G3, "g3", "net0", false, false);
        for (unsigned i = 0; options->many_nics && i < 200; i++) {
                char alias[16];

                snprintf(alias, sizeof(alias), "ua-net%u", i + 2);
                add_nic(MODEL_G2, "g2", alias, false, true);
        }
        sd_event_new(&model.loop);
        sd_event_add_signal(model.loop, NULL, SIGTERM, on_signal, NULL);
        r = control_new(model.loop, server->socket, options->group, &provider, &model, &model.control, &error);
        if (r < 0) {
                fprintf(stderr, "server: %s\n", vswitch_error_text(&error, r));
                return EXIT_FAILURE;
        }
        if (options->chatty_msec > 0)
                sd_event_add_time(model.loop, &model.chatter, CLOCK_MONOTONIC, 0, 1, on_chatter, NULL);
        if (write(ready, "", 1) != 1)
                return EXIT_FAILURE;
        r = sd_event_loop(model.loop);
        for (size_t i = 0; i < model.nics_count; i++)
                sd_event_source_disable_unref(model.nics[i].move);
        sd_event_source_disable_unref(model.hook_timer);
        sd_event_source_disable_unref(model.chatter);
        sd_event_source_disable_unref(model.done_timer);
        sd_event_source_disable_unref(model.policy_timer);
        control_free(model.control);
        /* A model may answer after the server's end. */
        while (model.replies_count > 0)
                model.reply(model.reply_tokens[--model.replies_count], NULL, NULL);
        if (model.policy_done)
                model.policy_done(-ECANCELED, "vswitchd ends", NULL, NULL, model.policy_token);
        if (model.done)
                model.done(-ECANCELED, "vswitchd ends", model.done_token);
        sd_event_unref(model.loop);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

void model_restart(struct model_server *server, const struct model_options *options)
{
        int ready[2];
        char byte;

        ck_assert_int_eq(pipe(ready), 0);
        server->pid = fork();
        ck_assert_int_ge(server->pid, 0);
        if (server->pid == 0)
                exit(serve(server, options, ready[1]));
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
}

void model_start(struct model_server *server, const struct model_options *options)
{
        /* Never the machine's own bus. */
        if (!getenv("VSWITCH_TEST_BUS"))
                setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
        *server = (struct model_server){ .directory = "/tmp/vswitch-test-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(server->directory));
        snprintf(server->socket, sizeof(server->socket), "%s/control", server->directory);
        server->seen = mmap(NULL, sizeof(*server->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(server->seen, MAP_FAILED);
        model_restart(server, options);
}

void model_crash(struct model_server *server)
{
        kill(server->pid, SIGKILL);
        ck_assert_int_eq(waitpid(server->pid, NULL, 0), server->pid);
}

void model_stop(struct model_server *server)
{
        int result = -1;

        kill(server->pid, SIGCONT);
        kill(server->pid, SIGTERM);
        ck_assert_int_eq(waitpid(server->pid, &result, 0), server->pid);
        /* A sanitizer's complaint in the server is a failure of the test. */
        ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == EXIT_SUCCESS);
        ck_assert_int_ne(access(server->socket, F_OK), 0);
        ck_assert_int_eq(rmdir(server->directory), 0);
        munmap(server->seen, sizeof(*server->seen));
}
