/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A daemon for the tests of the control channel: the real server in a process of its own, on a socket in a directory
 * of its own, with a model that does what the test asks for. What the model was told is in shared memory.
 *
 * Guests: "g1" with one NIC on a VF (ua-net0), "g2" with two on the synthetic path (ua-net0, ua-net1), "g3" with one
 * that can never have a VF. Their policies can be written; the running guest and the definition get the same.
 */

#include "src/control/control.h"

#include <sys/types.h>

#define MODEL_G1 "11111111-1111-1111-1111-111111111111"
#define MODEL_G2 "22222222-2222-2222-2222-222222222222"
#define MODEL_G3 "33333333-3333-3333-3333-333333333333"

enum model_hook {
        MODEL_HOOK_PASS,    /* answers at once: nothing to change */
        MODEL_HOOK_REWRITE, /* answers 100 ms later with other XML */
        MODEL_HOOK_REFUSE,
        MODEL_HOOK_SILENT, /* never answers */
};

struct model_options {
        enum model_hook hook;
        unsigned move_msec;    /* how long a move takes; 0: within the call */
        bool moves_fail;       /* a move is tried and given up */
        bool libvirt_lost;     /* no connection to libvirt */
        bool many_nics;        /* g2 has 200 NICs more */
        unsigned chatty_msec;  /* sends an event that often */
        const char *group;     /* of the socket */
        unsigned set_vfs_msec; /* how long SetVfs takes */
        bool vfs_fail;         /* ... and it fails in the end */
        bool policy_silent;    /* SetPolicy is not answered */
        bool policy_bad;       /* ... or refused, because of what is there */
        bool in_trouble;       /* there is more to say of g2's NICs */
};

/* What the model was told, seen from the test. */
struct model_seen {
        volatile unsigned acquired, released, gone, hooks;
        volatile unsigned held_nics;
        volatile unsigned last_uid;
        char last_description[64];
        char last_hold[32];
        char last_hook[512];
        char last_set_vfs[64]; /* "enp1s0 4 keep" */
        char last_policy[256]; /* "g1/ua-net0 weight=80 vlan= live dry-run" */
        volatile unsigned reserved, reloaded;
};

struct model_server {
        char directory[64];
        char socket[96];
        pid_t pid;
        struct model_seen *seen;
};

/* Returns when the server takes connections. */
void model_start(struct model_server *server, const struct model_options *options);
void model_stop(struct model_server *server);
/* kill -9, and another one on the same socket. */
void model_crash(struct model_server *server);
void model_restart(struct model_server *server, const struct model_options *options);
/* Waits up to some seconds for a condition on `seen`. */
#define model_wait_until(condition)                                                                                    \
        ({                                                                                                             \
                bool _met = false;                                                                                     \
                for (unsigned _i = 0; _i < 500 && !(_met = (condition)); _i++)                                         \
                        usleep(10000);                                                                                 \
                _met;                                                                                                  \
        })
