/*
 * A set of states, of which the hash is kept
 *
 * Two states are the same for the search if 64 bits of hash are.  With a
 * hundred million of them, as between steps, the chance that any two different
 * ones are is 1 in 3,700.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdlib.h>
#include <sys/mman.h>
#include "search.h"

#define HUGE_PAGE (2 << 20)

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_of(const uint8_t *state, size_t size)
{
    uint64_t h = 0x9e3779b97f4a7c15 ^ size, word[2];
    size_t i;

    for (i = 0; i < size; i += sizeof(word)) {
        memset(word, 0, sizeof(word));
        memcpy(word, state + i, MIN(sizeof(word), size - i));
        h = mix(h ^ word[0] ^ 0xa0761d6478bd642f,
                h + word[1] + 0xe7037ed1a0b428db) + i;
    }
    h = mix(h ^ 0x8ebc6af09c88c6e3, 0x589965cc75374cc3);

    return h ? h : 1;
}

static size_t place(const Seen *seen, uint64_t h)
{
    size_t i = h & (seen->size - 1);

    while (seen->table[i] && seen->table[i] != h) {
        i = (i + 1) & (seen->size - 1);
    }

    return i;
}

/* In huge pages, because each look-up is somewhere else */
static uint64_t *new_table(size_t size)
{
    size_t bytes = size * sizeof(uint64_t), align = MIN(bytes, HUGE_PAGE);
    uint64_t *table = aligned_alloc(align, bytes);

    g_assert(table);
    madvise(table, bytes, MADV_HUGEPAGE);
    memset(table, 0, bytes);

    return table;
}

static void enlarge(Seen *seen)
{
    uint64_t *old = seen->table;
    size_t i, size = seen->size;

    seen->size = size ? size * 2 : 1 << 16;
    seen->table = new_table(seen->size);
    for (i = 0; i < size; i++) {
        if (old[i]) {
            seen->table[place(seen, old[i])] = old[i];
        }
    }
    free(old);
}

void seen_prefetch(const Seen *seen, uint64_t hash)
{
    if (seen->size) {
        __builtin_prefetch(&seen->table[hash & (seen->size - 1)]);
    }
}

bool seen_add(Seen *seen, uint64_t hash)
{
    size_t i;

    if (seen->count >= seen->size / 4 * 3) {
        enlarge(seen);
    }
    i = place(seen, hash);
    if (seen->table[i]) {
        return false;
    }
    seen->table[i] = hash;
    seen->count++;
    return true;
}

void seen_free(Seen *seen)
{
    free(seen->table);
    *seen = (Seen) { 0 };
}
