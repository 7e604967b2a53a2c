/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Classic BPF programs for packet sockets, so that the kernel throws away what is not the probe's before it costs
 * a copy and a wake-up. Built from pieces: any number of interface conditions, then filter_probe_port().
 */

#include "frames.h"

#include <linux/filter.h>
#include <sys/socket.h>

#define FILTER_SIZE 48

/* Enough for Ethernet, the longest IPv4 header, UDP and the probe frame. */
#define FILTER_CAPTURED_BYTES 128

struct filter {
        struct sock_filter code[FILTER_SIZE];
        unsigned short length;
};

static inline void filter_add(struct filter *filter, uint16_t code, uint8_t if_true, uint8_t if_false, uint32_t value)
{
        filter->code[filter->length++] = (struct sock_filter){ code, if_true, if_false, value };
}

/* Drops what does not belong to one of the interfaces; `count` is at least one and at most 16. */
static inline void filter_only_interfaces(struct filter *filter, const unsigned *indexes, unsigned count)
{
        filter_add(filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t) (SKF_AD_OFF + SKF_AD_IFINDEX));
        for (unsigned i = 0; i < count; i++)
                filter_add(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t) (count - i), 0, indexes[i]);
        filter_add(filter, BPF_RET | BPF_K, 0, 0, 0);
}

static inline void filter_except_interface(struct filter *filter, unsigned index)
{
        filter_add(filter, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t) (SKF_AD_OFF + SKF_AD_IFINDEX));
        filter_add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, index);
        filter_add(filter, BPF_RET | BPF_K, 0, 0, 0);
}

/* Accepts UDP to PROBE_PORT, and from it, over IPv4 and IPv6 without extension headers; drops everything else.
 * VLAN tags need no care: the kernel takes them off before a packet socket sees the frame. */
static inline void filter_probe_port(struct filter *filter)
{
        const struct sock_filter code[] = {
                /*  0 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
                /*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 7, 0),
                /*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 14),
                /*  3 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 6),
                /*  4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 12),
                /*  5 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETH_HLEN + 40),
                /*  6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_PORT, 9, 0),
                /*  7 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETH_HLEN + 42),
                /*  8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_PORT, 7, 8),
                /*  9 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 9),
                /* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
                /* 11 */ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETH_HLEN),
                /* 12 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETH_HLEN),
                /* 13 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_PORT, 2, 0),
                /* 14 */ BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETH_HLEN + 2),
                /* 15 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_PORT, 0, 1),
                /* 16 */ BPF_STMT(BPF_RET | BPF_K, FILTER_CAPTURED_BYTES),
                /* 17 */ BPF_STMT(BPF_RET | BPF_K, 0),
        };

        for (size_t i = 0; i < sizeof code / sizeof *code; i++)
                filter->code[filter->length++] = code[i];
}

static inline int filter_attach(struct filter *filter, int socket_fd)
{
        const struct sock_fprog program = { filter->length, filter->code };

        return setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}
