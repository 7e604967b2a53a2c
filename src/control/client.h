/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The client's end of the control channel, for the hook and the CLI: blocking calls on the private socket, each with
 * a bound. No call waits longer than it was told to, whatever the daemon does (a stopped one, too).
 *
 * All errors are negative errnos with a sentence that says what to do:
 * -ECONNREFUSED  no daemon answers there
 * -EACCES        the socket, or the method, is not for this user
 * -ETIMEDOUT     no answer within the bound
 * -ECONNRESET    the daemon went away meanwhile
 * and what the daemon says (-ENOENT, -EBUSY, -EINVAL, ...).
 */

#include "src/control/control.h"
#include "vswitch/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

struct client;

int client_connect(const char *socket_path, uint64_t timeout_usec, struct client **ret, struct vswitch_error *error);
void client_free(struct client *client);
void client_freep(struct client **client);

/* CLOCK_MONOTONIC, for deadlines over several calls. */
uint64_t client_now(void);

int client_nic_acquire(struct client *client, const char *uuid, const char *alias, uint64_t timeout_usec,
                       struct vswitch_error *error);
int client_nic_release(struct client *client, const char *uuid, const char *alias, enum control_hold hold,
                       uint64_t timeout_usec, struct vswitch_error *error);

/* What SetPolicy wrote, or with CONTROL_POLICY_DRY_RUN would write. */
struct client_policy {
        char *live,
                *config; /* our <policy> in the running guest and in its definition, "" for none; NULL: not concerned */
        char *note;      /* why a vswitch of this version cannot use it all the same; NULL: it can */
};

void client_policy_clear(struct client_policy *policy);
/* `flags`: enum control_policy_flag. Waits for libvirt's answer. */
int client_set_policy(struct client *client, const char *domain, const char *alias,
                      const struct control_policy_change *changes, size_t changes_count, uint32_t flags,
                      uint64_t timeout_usec, struct client_policy *ret, struct vswitch_error *error);

/* Waits for the end of the change. */
int client_pf_set_vfs(struct client *client, const char *pf, unsigned count, bool keep, uint64_t timeout_usec,
                      struct vswitch_error *error);
/* The VFs are taken until the connection ends. `ret_addresses` has room for `count`. */
int client_pf_reserve(struct client *client, const char *pf, unsigned count, uint64_t timeout_usec,
                      char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error);
int client_pf_reload(struct client *client, const char *pf, uint64_t timeout_usec, struct vswitch_error *error);

struct client_hook_answer {
        bool refuse;
        char *sentence;
        char *xml; /* NULL: unchanged */
};

void client_hook_answer_clear(struct client_hook_answer *answer);
int client_hook(struct client *client, const char *domain, const char *operation, const char *sub_operation,
                const char *extra, const char *xml, uint64_t timeout_usec, struct client_hook_answer *ret,
                struct vswitch_error *error);

/* Signals, delivered inside client_wait() and the calls above. Any of them may be NULL. */
struct client_signals {
        void (*event)(uint64_t realtime_usec, const char *kind, const char *subject, const char *sentence,
                      void *userdata);
        void (*nic_changed)(const char *uuid, const char *alias, void *userdata);
};
/* `signals` is not copied. */
int client_subscribe(struct client *client, const struct client_signals *signals, void *userdata,
                     struct vswitch_error *error);

/* Delivers what is there, else waits for something up to `timeout_usec`. 1: something came, 0: nothing, or
 * -ECONNRESET. A signal handler ends the wait with 0. */
int client_wait(struct client *client, uint64_t timeout_usec, struct vswitch_error *error);
/* For a caller's own poll(): wake up when it is readable and call client_wait() with no timeout. */
int client_fd(struct client *client);

/* A method call to be filled, and to be sent with client_send_call(). */
int client_new_call(struct client *client, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret, struct vswitch_error *error);
/* `message` is not taken over. `ret` may be NULL. */
int client_send_call(struct client *client, sd_bus_message *message, uint64_t timeout_usec, sd_bus_message **ret,
                     struct vswitch_error *error);
/* Any method; *ret is the answer to be read and unreferenced. For client_json.c. */
int client_call(struct client *client, const char *path, const char *interface, const char *member,
                uint64_t timeout_usec, sd_bus_message **ret, struct vswitch_error *error, const char *types, ...);
