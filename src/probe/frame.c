/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A frame says which run, which flight and the how manieth of it it is. In a neighbour solicitation this is in a Nonce
 * option (RFC 3971), which receivers that do not know it skip; the rest is what a host would send, the checksum too, so
 * that a card which looks deeper than the MAC sees the real thing.
 */

#include "src/probe/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <net/ethernet.h>
#include <string.h>

#define MAGIC          0x76737062u /* "vspb" */
#define ADDRESSES_SIZE ((size_t) 2 * ETH_ALEN)
#define OPTION_NONCE   14
#define UNIT           8 /* of an option's length */

struct identity {
        uint32_t run, flight, sequence;
} __attribute__((packed));

struct plain {
        struct ether_header ethernet;
        uint32_t magic;
        struct identity identity;
        uint8_t padding[30]; /* to the smallest frame there is */
} __attribute__((packed));

struct solicitation {
        struct ether_header ethernet;
        struct ip6_hdr ip;
        struct nd_neighbor_solicit body;
        uint8_t option_type, option_length;
        struct identity identity;
        uint8_t padding[2];
} __attribute__((packed));

static struct vswitch_mac mac_of(uint32_t first, uint16_t last)
{
        return (struct vswitch_mac){ .bytes = { (uint8_t) (first >> 24), (uint8_t) (first >> 16),
                                                (uint8_t) (first >> 8), (uint8_t) first, (uint8_t) (last >> 8),
                                                (uint8_t) last } };
}

struct vswitch_mac probe_mac(uint32_t run, unsigned number)
{
        return mac_of(PROBE_MAC_PREFIX, (uint16_t) (run + number));
}

struct vswitch_mac probe_multicast_mac(uint32_t run, unsigned number)
{
        return mac_of(PROBE_MAC_PREFIX | 0x01000000u, (uint16_t) (run + number));
}

struct vswitch_mac probe_neighbour_mac(uint32_t run, unsigned number)
{
        struct vswitch_mac unicast = probe_mac(run, number);

        /* 33:33 and the last four bytes of ff02::1:ffXX:XXXX, whose last three are the address's. */
        return mac_of(0x3333ff00u | unicast.bytes[3], (uint16_t) (unicast.bytes[4] << 8 | unicast.bytes[5]));
}

bool probe_mac_is_ours(const struct vswitch_mac *mac)
{
        uint32_t prefix;

        memcpy(&prefix, mac->bytes, sizeof(prefix));
        return ntohl(prefix) == PROBE_MAC_PREFIX;
}

static struct ether_header ethernet_of(const struct probe_frame *frame, uint16_t type)
{
        struct ether_header header = { .ether_type = htons(type) };

        memcpy(header.ether_dhost, frame->destination.bytes, ETH_ALEN);
        memcpy(header.ether_shost, frame->source.bytes, ETH_ALEN);
        return header;
}

static struct identity identity_of(const struct probe_frame *frame)
{
        return (struct identity){ htonl(frame->run), htonl(frame->flight), htonl(frame->sequence) };
}

/* fe80:: and the MAC at its end. */
static struct in6_addr link_local(uint8_t first, const struct vswitch_mac *mac)
{
        struct in6_addr address = { .s6_addr = { 0xfe, 0x80, [8] = first } };

        memcpy(address.s6_addr + 10, mac->bytes, sizeof(mac->bytes));
        return address;
}

static uint32_t add_words(uint32_t sum, const void *data, size_t size)
{
        const uint8_t *bytes = data;

        for (size_t i = 0; i + 1 < size; i += 2)
                sum += (uint32_t) (bytes[i] << 8 | bytes[i + 1]);
        return sum;
}

static uint16_t checksum_of(const struct solicitation *s)
{
        size_t size = sizeof(*s) - offsetof(struct solicitation, body);
        uint32_t sum = add_words((uint32_t) size + IPPROTO_ICMPV6, &s->ip.ip6_src,
                                 sizeof(s->ip.ip6_src) + sizeof(s->ip.ip6_dst));

        sum = add_words(sum, (const uint8_t *) s + offsetof(struct solicitation, body), size);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return htons((uint16_t) ~sum);
}

static size_t build_solicitation(const struct probe_frame *frame, uint8_t *buffer)
{
        struct vswitch_mac target = frame->destination;
        struct solicitation s = {
                .ethernet = ethernet_of(frame, ETHERTYPE_IPV6),
                .option_type = OPTION_NONCE,
                .option_length = (sizeof(s) - offsetof(struct solicitation, option_type)) / UNIT,
                .identity = identity_of(frame),
        };

        s.ip.ip6_flow = htonl(6u << 28);
        s.ip.ip6_plen = htons(sizeof(s) - offsetof(struct solicitation, body));
        s.ip.ip6_nxt = IPPROTO_ICMPV6;
        s.ip.ip6_hlim = 255;
        s.ip.ip6_src = link_local(1, &frame->source);
        s.ip.ip6_dst = (struct in6_addr){ .s6_addr = { 0xff, 0x02, [11] = 1, 0xff } };
        memcpy(s.ip.ip6_dst.s6_addr + 13, target.bytes + 3, 3);
        s.body.nd_ns_type = ND_NEIGHBOR_SOLICIT;
        s.body.nd_ns_target = link_local(2, &target);
        s.body.nd_ns_cksum = checksum_of(&s);
        memcpy(buffer, &s, sizeof(s));
        return sizeof(s);
}

static size_t build_plain(const struct probe_frame *frame, uint8_t *buffer)
{
        struct plain p = {
                .ethernet = ethernet_of(frame, PROBE_ETHERTYPE),
                .magic = htonl(MAGIC),
                .identity = identity_of(frame),
        };

        memcpy(buffer, &p, sizeof(p));
        return sizeof(p);
}

size_t probe_frame_build(const struct probe_frame *frame, uint8_t buffer[static PROBE_FRAME_MAX])
{
        size_t size = frame->is_neighbour_solicitation ? build_solicitation(frame, buffer) : build_plain(frame, buffer);
        uint16_t tag[2] = { htons(ETHERTYPE_VLAN), htons(frame->vlan) };

        if (frame->vlan == 0)
                return size;
        memmove(buffer + ADDRESSES_SIZE + sizeof(tag), buffer + ADDRESSES_SIZE, size - ADDRESSES_SIZE);
        memcpy(buffer + ADDRESSES_SIZE, tag, sizeof(tag));
        return size + sizeof(tag);
}

static bool parse_plain(const uint8_t *data, size_t size, struct identity *ret)
{
        struct plain p;

        if (size < sizeof(p))
                return false;
        memcpy(&p, data, sizeof(p));
        *ret = p.identity;
        return p.ethernet.ether_type == htons(PROBE_ETHERTYPE) && p.magic == htonl(MAGIC);
}

static bool parse_solicitation(const uint8_t *data, size_t size, struct identity *ret)
{
        struct solicitation s;

        if (size < sizeof(s))
                return false;
        memcpy(&s, data, sizeof(s));
        *ret = s.identity;
        return s.ethernet.ether_type == htons(ETHERTYPE_IPV6) && s.body.nd_ns_type == ND_NEIGHBOR_SOLICIT &&
               s.option_type == OPTION_NONCE;
}

int probe_frame_parse(const uint8_t *data, size_t size, struct probe_frame *ret)
{
        struct identity identity;
        bool is_solicitation = parse_solicitation(data, size, &identity);

        if (!is_solicitation && !parse_plain(data, size, &identity))
                return -EBADMSG;
        *ret = (struct probe_frame){
                .is_neighbour_solicitation = is_solicitation,
                .run = ntohl(identity.run),
                .flight = ntohl(identity.flight),
                .sequence = ntohl(identity.sequence),
        };
        memcpy(ret->destination.bytes, data, ETH_ALEN);
        memcpy(ret->source.bytes, data + ETH_ALEN, ETH_ALEN);
        return 0;
}
