/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is there of the daemon's work, read by the test itself: tables, VFs, files. */

#include "tests/crash/host.h"

void shown_begin(void);
void shown_end(void);

/* All of it as text, malloc'ed: of two equal states the texts are equal. */
char *shown_all(void);
/* The same without the files. */
char *shown_kernel(void);
/* "" when every kind of sender reaches the guest where its net_failover listens now, else which does not and why. An
 * address without a pin is flooded. */
const char *shown_deafness(void);
