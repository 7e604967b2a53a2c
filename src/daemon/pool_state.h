/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The number of VFs that a PF is to have after every boot: one small JSON file for each, by PCI address, in
 * <state directory>/pf. Written whole (new file, fsync, rename): it must survive what reboots a host without asking. */

#include "vswitch/error.h"

#include <stdbool.h>

/* The number for this PF. -ENOENT: none is kept. -EBADMSG with the place when the file cannot be used. */
int pool_state_read(const char *state_directory, const char *pf_address, unsigned *ret, struct vswitch_error *error);

/* (slow) Keeps it; 0 forgets it. */
int pool_state_write(const char *state_directory, const char *pf_address, unsigned count, struct vswitch_error *error);

/* That the daemon has switched sriov_drivers_autoprobe off for this PF, and somebody wants it on again: a file in
 * <runtime directory>/autoprobe, which like that setting is gone when the host boots. Noting twice and forgetting what was
 * not noted are success. */
int pool_state_note_autoprobe(const char *runtime_directory, const char *pf_address, struct vswitch_error *error);
bool pool_state_has_autoprobe(const char *runtime_directory, const char *pf_address);
int pool_state_forget_autoprobe(const char *runtime_directory, const char *pf_address, struct vswitch_error *error);
