/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What of a NIC is on disk, kept as it should be.
 *
 * Theory of operation: a claim and a record are written before what they announce, and a move does not begin without
 * both: records_change_claim(). Two things happen all the same when there is no room for a file: a guest that runs here is given its tap (and
 * the card its MAC), and what was true of a claim changes. What could not be written then is only in memory, so it is
 * tried again until there is room, whatever else goes on. A daemon that dies before that finds the entries of a guest
 * that still runs in the tables, and writes the record for them.
 */

#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <stdlib.h>

#define RETRY_INTERVAL (2 * USEC_PER_SEC)

int records_write_claim(struct manager_nic *nic, struct vswitch_error *error)
{
        int r = claim_store_write(nic->manager->claims, nic->claim, error);

        nic->claim_unwritten = r < 0;
        return r;
}

int records_change_claim(struct manager_nic *nic, const struct claim *wanted, struct vswitch_error *error)
{
        struct claim *claim = nic->claim ? nic->claim : malloc(sizeof(*claim));
        int r = claim ? claim_store_write(nic->manager->claims, wanted, error) : -ENOMEM;

        if (r < 0) {
                if (!nic->claim)
                        free(claim);
                return r;
        }
        *claim = *wanted;
        nic->claim = claim;
        nic->claim_unwritten = false;
        return 0;
}

/* Something of it is, or may be, in shared tables; or it has to be remembered. */
static bool needs_record(const struct manager_nic *nic)
{
        const struct failover_facts *facts = &nic->facts;

        if (nic->recorded || facts->tables_of_another)
                return false;
        return nic->held_until_acquire || facts->uplink_filter == FAILOVER_YES || facts->copy_rule == FAILOVER_YES ||
               facts->pin == FAILOVER_PIN_TAP || facts->pin == FAILOVER_PIN_UPLINK;
}

void records_keep(struct manager_nic *nic)
{
        bool claim = nic->claim && nic->claim_unwritten;
        uint64_t now = manager_now(nic->manager);
        struct vswitch_error error = { 0 };
        int r = 0;

        if (!claim && !needs_record(nic)) {
                nic->records_retry_at = 0;
                return;
        }
        if (now < nic->records_retry_at)
                return;
        if (claim)
                r = records_write_claim(nic, &error);
        if (r == 0 && needs_record(nic))
                r = nics_record(nic, &error);
        if (r < 0 && nic->records_retry_at == 0)
                log_warning(nic->label, "%s; tried again every few seconds", vswitch_error_text(&error, r));
        if (r == 0 && nic->records_retry_at > 0)
                log_notice(nic->label, "what could not be written of it is on disk now");
        nic->records_retry_at = r < 0 ? now + RETRY_INTERVAL : 0;
}
