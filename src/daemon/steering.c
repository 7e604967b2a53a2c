/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/manager.h"

#include <errno.h>
#include <string.h>

/* How a card treats a MAC that is VF filter and uplink filter, as far as it was measured. QEMU's igb gives the frame to
 * both, and gives the PF its own transmissions too; of a real igb nobody has seen that, so it is unknown like all
 * others, and the safest sequence is used. */
void steering_set(struct manager *manager, struct manager_pf *uplink)
{
        const struct pf *pf = uplink->pf;
        bool measured = pf->is_emulated && strcmp(pf->kernel_driver, "igb") == 0;

        uplink->steering = measured ? FAILOVER_STEERING_BOTH : FAILOVER_STEERING_UNKNOWN;
        uplink->reflects = measured;
}

int steering_reload(struct manager *manager, const char *pf, struct vswitch_error *error)
{
        return -ENOSYS;
}
