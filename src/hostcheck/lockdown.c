/* SPDX-License-Identifier: Apache-2.0 */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <string.h>

/* "none [integrity] confidentiality": the one in brackets is on. */
void check_lockdown(const struct host *host)
{
        char text[128];

        if (host_read(host, text, sizeof(text), "/sys/kernel/security/lockdown") < 0 || strstr(text, "[none]")) {
                host_ok(host, "the kernel is not locked down");
                return;
        }
        host_report(host, HOSTCHECK_NOTE,
                    "VFIO and all that vswitch does are allowed; what is not: drivers that are not signed, tools that "
                    "write to a "
                    "card's registers (setpci, some vendors' tools), allow_unsafe_interrupts and the like set at run "
                    "time by "
                    "such tools",
                    "turn SR-IOV on in the card before this kernel is booted, or in the firmware's setup",
                    "the kernel is locked down: %s", text);
}
