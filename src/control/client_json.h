/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The objects as JSON: what the CLI prints with --json and renders its tables from.
 *
 * A property keeps its name in the form of JSON's keys ("VfAllocated" is "vf_allocated"), so that the object tree is
 * described in one place only (docs/control-api.md). Added to it: "nic": "DOMAIN/ALIAS".
 */

#include "src/control/cleanup.h"
#include "src/control/client.h"

#include <jansson.h>

#define CLIENT_JSON_VERSION 1

static inline void client_json_decrefp(json_t **json)
{
        json_decref(*json);
}

#define _cleanup_json_ _cleanup_(client_json_decrefp)

/* { "version": 1, "daemon": {...}, "switches": [...], "pfs": [...], "nics": [...] }, each list ordered by name. */
int client_objects(struct client *client, uint64_t timeout_usec, json_t **ret, struct vswitch_error *error);
/* One NIC. -ENOENT when it is not there (any more). */
int client_nic(struct client *client, const char *uuid, const char *alias, uint64_t timeout_usec, json_t **ret,
               struct vswitch_error *error);
