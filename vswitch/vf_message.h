/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* VFs as RTM_NEWLINK messages list them; see vf_message.c. */

#include "netlink.h"
#include "pf.h"

/* Finds VF `index`. -ENODATA when it is not in there, -EBADMSG when it is another message. */
int vf_message_parse(const struct nlmsghdr *header, unsigned index, struct pf_vf_attributes *ret);
int vf_message_parse_statistics(const struct nlmsghdr *header, unsigned index, struct pf_vf_statistics *ret);

/* All of them, entry i is VF i; *ret malloc'ed. Numbers from `limit` on are not believed. */
int vf_message_parse_all(const struct nlmsghdr *header, size_t limit, struct pf_vf_attributes **ret, size_t *ret_count);
int vf_message_parse_all_statistics(const struct nlmsghdr *header, size_t limit, struct pf_vf_statistics **ret,
                                    size_t *ret_count);
