/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* VF attributes by rtnetlink; see vf_attributes.c. */

#include "error.h"
#include "netlink.h"
#include "pf.h"

/* Finds VF `index` in a RTM_NEWLINK message. -ENODATA when it is not in there. */
int vf_attributes_parse(const struct nlmsghdr *header, unsigned index, struct pf_vf_attributes *ret);

int vf_attributes_read(struct vswitch_netlink *netlink, const struct pf *pf, unsigned index,
                       struct pf_vf_attributes *ret, struct vswitch_error *error);
int vf_attributes_set(struct vswitch_netlink *netlink, const struct pf *pf, unsigned index,
                      const struct pf_vf_attributes *wanted, struct vswitch_error *error);
