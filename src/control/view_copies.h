/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Deep copies of the provider's views, each to be cleared. On failure (-ENOMEM) *ret holds nothing. */

#include "src/control/control.h"

int view_copy_status(const struct control_status *view, struct control_status *ret);
int view_copy_switch(const struct control_switch *view, struct control_switch *ret);
int view_copy_pf(const struct control_pf *view, struct control_pf *ret);
int view_copy_nic(const struct control_nic *view, struct control_nic *ret);

void view_clear_status(struct control_status *copy);
void view_clear_switch(struct control_switch *copy);
void view_clear_pf(struct control_pf *copy);
void view_clear_nic(struct control_nic *copy);
