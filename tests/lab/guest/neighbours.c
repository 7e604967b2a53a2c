/* SPDX-License-Identifier: Apache-2.0 */

/*
 * neighbours IFNAME < list: permanent neighbour entries, one "ADDRESS MAC" a line.
 *
 * The guests' busybox cannot set IPv6 neighbours, and a whole iproute2 with its
 * libraries would take longer to load in a doubly emulated guest than all the rest.
 */
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
        struct nlmsghdr head;
        struct ndmsg neigh;
        char attrs[64];
};

static void add_attr(struct request *req, unsigned short type, const void *data, size_t len)
{
        struct rtattr *attr = (struct rtattr *) ((char *) req + NLMSG_ALIGN(req->head.nlmsg_len));

        attr->rta_type = type;
        attr->rta_len = (unsigned short) RTA_LENGTH(len);
        memcpy(RTA_DATA(attr), data, len);
        req->head.nlmsg_len = (unsigned) (NLMSG_ALIGN(req->head.nlmsg_len) + RTA_ALIGN(attr->rta_len));
}

static int parse_mac(const char *text, unsigned char mac[6])
{
        return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) == 6;
}

/* Sends one entry and waits for the kernel's answer: 0 or a positive errno, -1 for no answer. */
static int set_neighbour(int sock, unsigned ifindex, const char *address, const unsigned char mac[6])
{
        unsigned char addr[16];
        int family = strchr(address, ':') ? AF_INET6 : AF_INET;
        struct request req = {
                .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg)),
                          .nlmsg_type = RTM_NEWNEIGH,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE },
                .neigh = { .ndm_family = (unsigned char) family,
                           .ndm_ifindex = (int) ifindex,
                           .ndm_state = NUD_PERMANENT },
        };
        struct {
                struct nlmsghdr head;
                struct nlmsgerr err;
                char echo[256];
        } answer;

        if (inet_pton(family, address, addr) != 1)
                return -1;
        add_attr(&req, NDA_DST, addr, family == AF_INET6 ? 16 : 4);
        add_attr(&req, NDA_LLADDR, mac, 6);
        if (send(sock, &req, req.head.nlmsg_len, 0) < 0 || recv(sock, &answer, sizeof(answer), 0) < 0)
                return -1;
        return answer.head.nlmsg_type == NLMSG_ERROR ? -answer.err.error : -1;
}

int main(int argc, char **argv)
{
        char address[64], text[32];
        unsigned char mac[6];
        int failed = 0;
        int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        unsigned ifindex = argc == 2 ? if_nametoindex(argv[1]) : 0;

        if (sock < 0 || ifindex == 0) {
                fprintf(stderr, "usage: neighbours IFNAME < list\n");
                return 2;
        }
        while (scanf("%63s %31s", address, text) == 2) {
                int err = parse_mac(text, mac) ? set_neighbour(sock, ifindex, address, mac) : -1;

                if (err) {
                        fprintf(stderr, "neighbours: %s %s: %s\n", address, text, err > 0 ? strerror(err) : "bad");
                        failed = 1;
                }
        }
        close(sock);
        return failed;
}
