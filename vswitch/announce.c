/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Announcements.
 *
 * The frame is the one that QEMU sends after a migration: a broadcast RARP request whose sender and target are the
 * guest. No host answers RARP any more, and every switch learns the source address from it. It is sent by a
 * packet socket on the uplink, below the bridge, which must not learn it: the guest may be on either side of it.
 */

#include "announce.h"

#include "cleanup.h"
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>

/* A lost announcement means frames to the old place until the guest speaks. QEMU also sends several. */
#define ANNOUNCE_COUNT 3

#define ARPOP_REVERSE_REQUEST 3
#define VLAN_TAG_SIZE         4

struct rarp {
        struct arphdr header;
        uint8_t sender_mac[ETH_ALEN];
        uint8_t sender_ip[4];
        uint8_t target_mac[ETH_ALEN];
        uint8_t target_ip[4];
} __attribute__((packed));

static size_t build(uint8_t frame[static ETH_ZLEN + VLAN_TAG_SIZE], const struct vswitch_mac *mac, uint16_t vlan,
                    uint16_t vlan_protocol)
{
        struct rarp rarp = {
                .header = {
                        .ar_hrd = htons(ARPHRD_ETHER),
                        .ar_pro = htons(ETHERTYPE_IP),
                        .ar_hln = ETH_ALEN,
                        .ar_pln = 4,
                        .ar_op = htons(ARPOP_REVERSE_REQUEST),
                },
        };
        uint16_t type = htons(ETHERTYPE_REVARP);
        size_t size = ETH_ZLEN;
        uint8_t *p = frame;

        memset(frame, 0, ETH_ZLEN + VLAN_TAG_SIZE);
        memset(p, 0xff, ETH_ALEN);
        p += ETH_ALEN;
        memcpy(p, mac->bytes, ETH_ALEN);
        p += ETH_ALEN;
        if (vlan != 0) {
                uint16_t tag[2] = { htons(vlan_protocol), htons(vlan) };

                memcpy(p, tag, sizeof(tag));
                p += sizeof(tag);
                size += VLAN_TAG_SIZE;
        }
        memcpy(p, &type, sizeof(type));
        p += sizeof(type);

        memcpy(rarp.sender_mac, mac->bytes, ETH_ALEN);
        memcpy(rarp.target_mac, mac->bytes, ETH_ALEN);
        memcpy(p, &rarp, sizeof(rarp));
        return size;
}

int announce_send(int ifindex, const struct vswitch_mac *mac, uint16_t vlan, uint16_t vlan_protocol,
                  struct vswitch_error *error)
{
        struct sockaddr_ll device = {
                .sll_family = AF_PACKET,
                .sll_ifindex = ifindex,
                .sll_halen = ETH_ALEN,
                .sll_addr = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
        };
        uint8_t frame[ETH_ZLEN + VLAN_TAG_SIZE];
        size_t size = build(frame, mac, vlan, vlan_protocol);
        /* Protocol 0: the socket receives nothing. */
        _cleanup_(vswitch_close_fdp) int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        char text[VSWITCH_MAC_TEXT_SIZE];
        char link[VSWITCH_LINK_TEXT_SIZE];

        if (fd < 0) {
                int r = -errno;

                return vswitch_error_set(error, r, "cannot open a packet socket: %s", vswitch_error_text(NULL, r));
        }

        for (int i = 0; i < ANNOUNCE_COUNT; i++)
                if (sendto(fd, frame, size, 0, (struct sockaddr *) &device, sizeof(device)) < 0) {
                        int r = -errno;

                        return vswitch_error_set(error, r, "cannot announce %s on %s: %s",
                                                 vswitch_mac_format(mac, text), vswitch_link_describe(ifindex, link),
                                                 vswitch_error_text(NULL, r));
                }
        return 0;
}
