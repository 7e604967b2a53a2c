/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* VF attributes by rtnetlink; see vf_attributes.c. */

#include "error.h"
#include "netlink.h"
#include "pf.h"

/* See struct pf_driver. */
int vf_attributes_read(struct vswitch_netlink *netlink, struct pf *pf, unsigned index, struct pf_vf_attributes *ret,
                       struct vswitch_error *error);
int vf_attributes_list(struct vswitch_netlink *netlink, struct pf *pf, struct pf_vf_attributes **ret, size_t *ret_count,
                       struct vswitch_error *error);
int vf_attributes_set(struct vswitch_netlink *netlink, struct pf *pf, unsigned index,
                      const struct pf_vf_attributes *wanted, struct vswitch_error *error);
int vf_attributes_ask(struct vswitch_netlink *netlink, struct pf *pf, unsigned index, struct vswitch_error *error);
int vf_attributes_read_statistics(struct vswitch_netlink *netlink, struct pf *pf, unsigned index,
                                  struct pf_vf_statistics *ret, struct vswitch_error *error);
int vf_attributes_list_statistics(struct vswitch_netlink *netlink, struct pf *pf, struct pf_vf_statistics **ret,
                                  size_t *ret_count, struct vswitch_error *error);

/* What a read and what the answer to a write (0 or -errno, `words` the kernel's) say about what the driver can set:
 * they keep can_set, cannot_set and refusals of `pf` up to date. */
void vf_attributes_learn_from_read(struct pf *pf, const struct pf_vf_attributes *present);
void vf_attributes_learn_from_write(struct pf *pf, enum pf_vf_attribute attribute, int result, const char *words);
