/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a network driver says of itself, as "ethtool -i" shows it. */

#include "pf.h"

/* Fills driver_version and firmware_version; "" for what the driver does not say. Without privileges. */
void pf_ethtool_identify(struct pf *pf);
