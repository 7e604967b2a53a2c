/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <net/if.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_BYTES   (64u * 1024)
#define BLOCKS        64u
#define BLOCK_TIME_MS 100u

static int ring_map(struct ring *ring)
{
        const int version = TPACKET_V3;
        const struct tpacket_req3 request = {
                .tp_block_size = BLOCK_BYTES,
                .tp_block_nr = BLOCKS,
                .tp_frame_size = 256,
                .tp_frame_nr = BLOCKS * (BLOCK_BYTES / 256),
                .tp_retire_blk_tov = BLOCK_TIME_MS,
        };

        if (setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
            setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
                return -errno;
        ring->memory = mmap(NULL, (size_t) BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
        return ring->memory == MAP_FAILED ? -errno : 0;
}

int ring_open(struct ring *ring, struct filter *filter)
{
        struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
        int r;

        /* Protocol 0: nothing arrives before the filter is in place and bind() opens the tap. */
        *ring = (struct ring){ .fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), .blocks = BLOCKS };
        if (ring->fd < 0)
                return -errno;
        r = filter_attach(filter, ring->fd) < 0 ? -errno : ring_map(ring);
        if (r == 0 && bind(ring->fd, (struct sockaddr *) &all, sizeof all) < 0)
                r = -errno;
        if (r < 0)
                close(ring->fd);
        return r;
}

static void ring_drain_block(const struct tpacket_block_desc *block, ring_handler handler, void *userdata)
{
        const uint8_t *at = (const uint8_t *) block + block->hdr.bh1.offset_to_first_pkt;

        for (unsigned i = 0; i < block->hdr.bh1.num_pkts; i++) {
                const struct tpacket3_hdr *header = (const struct tpacket3_hdr *) at;
                const struct sockaddr_ll *link =
                        (const struct sockaddr_ll *) (at + TPACKET_ALIGN(sizeof(struct tpacket3_hdr)));

                handler((uint64_t) header->tp_sec * 1000000000u + header->tp_nsec, (unsigned) link->sll_ifindex,
                        link->sll_pkttype == PACKET_OUTGOING, at + header->tp_mac, header->tp_snaplen, userdata);
                at += header->tp_next_offset;
        }
}

void ring_drain(struct ring *ring, ring_handler handler, void *userdata)
{
        for (;;) {
                struct tpacket_block_desc *block =
                        (struct tpacket_block_desc *) (ring->memory + (size_t) ring->next_block * BLOCK_BYTES);

                if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
                        return;
                ring_drain_block(block, handler, userdata);
                __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
                ring->next_block = (ring->next_block + 1) % ring->blocks;
        }
}

unsigned ring_dropped(struct ring *ring)
{
        struct tpacket_stats_v3 stats = { 0 };
        socklen_t size = sizeof stats;

        if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
                return 0;
        return stats.tp_drops;
}
