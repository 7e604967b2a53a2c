/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers that look like chance and follow from a seed alone (splitmix64). */

#include <stdbool.h>
#include <stdint.h>

struct random {
        uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
        uint64_t value = random->state += 0x9e3779b97f4a7c15ull;

        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
        value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
        return value ^ (value >> 31);
}

/* From 0 to below - 1. */
static inline uint32_t random_below(struct random *random, uint32_t below)
{
        return (uint32_t) (((random_next(random) >> 32) * below) >> 32);
}

static inline uint64_t random_between(struct random *random, uint64_t from, uint64_t to)
{
        return from + random_below(random, (uint32_t) (to - from + 1));
}

static inline bool random_chance(struct random *random, unsigned percent)
{
        return random_below(random, 100) < percent;
}
