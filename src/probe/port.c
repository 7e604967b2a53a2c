/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A packet socket hears a frame before the bridge, a bond or a VLAN device on top of the netdev takes it, and whatever
 * its destination is. A filter in the kernel keeps the host's own traffic out: without it the few frames of a probe
 * would be lost in a busy PF's.
 */

#include "src/probe/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BUFFER (1 << 20)

#define SOURCE_OFFSET ETH_ALEN

static int attach_filter(int fd)
{
        struct sock_filter instructions[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SOURCE_OFFSET),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_MAC_PREFIX, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, PROBE_FRAME_MAX),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        struct sock_fprog program = { .len = sizeof(instructions) / sizeof(instructions[0]), .filter = instructions };

        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

static int set_up(int fd, int ifindex)
{
        struct sockaddr_ll address = {
                .sll_family = AF_PACKET,
                .sll_protocol = htons(ETH_P_ALL),
                .sll_ifindex = ifindex,
        };
        const int one = 1, buffer = RECEIVE_BUFFER;
        int r = attach_filter(fd);

        if (r < 0)
                return r;
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
        /* The kernel takes the tag out of a frame before anybody sees it, and hands it over beside it. */
        if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) < 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return 0;
}

int probe_port_open(struct probe_port *port, int ifindex, struct vswitch_error *error)
{
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r = fd < 0 ? -errno : set_up(fd, ifindex);

        if (r < 0) {
                if (fd >= 0)
                        close(fd);
                return vswitch_error_set(error, r, "cannot open a packet socket: %s", vswitch_error_text(NULL, r));
        }
        *port = (struct probe_port){ .fd = fd, .ifindex = ifindex };
        return 0;
}

void probe_port_close(struct probe_port *port)
{
        if (port->fd >= 0)
                close(port->fd);
        port->fd = -1;
}

int probe_port_send(struct probe_port *port, const struct probe_frame *frame)
{
        uint8_t buffer[PROBE_FRAME_MAX];
        size_t size = probe_frame_build(frame, buffer);

        return send(port->fd, buffer, size, 0) < 0 ? -errno : 0;
}

static uint16_t tag_of(struct msghdr *message)
{
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                struct tpacket_auxdata auxiliary;

                if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
                        continue;
                memcpy(&auxiliary, CMSG_DATA(c), sizeof(auxiliary));
                if (auxiliary.tp_status & TP_STATUS_VLAN_VALID)
                        return auxiliary.tp_vlan_tci & 0xfff;
        }
        return 0;
}

int probe_port_receive(struct probe_port *port, struct probe_frame *ret)
{
        for (;;) {
                uint8_t data[PROBE_FRAME_MAX];
                uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
                struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
                struct msghdr message = {
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof(control),
                };
                ssize_t size = recvmsg(port->fd, &message, 0);

                /* Whatever is wrong with the netdev (down, gone), nothing has come. */
                if (size < 0)
                        return 0;
                if (probe_frame_parse(data, (size_t) size, ret) < 0)
                        continue;
                ret->vlan = tag_of(&message);
                return 1;
        }
}

int probe_port_set_mode(struct probe_port *port, enum probe_port_mode mode, const struct vswitch_mac *group, bool on)
{
        static const unsigned short types[] = {
                [PROBE_PORT_PROMISCUOUS] = PACKET_MR_PROMISC,
                [PROBE_PORT_ALL_MULTICAST] = PACKET_MR_ALLMULTI,
                [PROBE_PORT_GROUP] = PACKET_MR_MULTICAST,
        };
        struct packet_mreq request = { .mr_ifindex = port->ifindex, .mr_type = types[mode] };

        if (group) {
                request.mr_alen = ETH_ALEN;
                memcpy(request.mr_address, group->bytes, ETH_ALEN);
        }
        return setsockopt(port->fd, SOL_PACKET, on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &request,
                          sizeof(request)) < 0
                       ? -errno
                       : 0;
}
