/*
 * What the search has seen: states by their hash, with the way to each
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_SEARCH_H
#define TESTS_CORE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Seen {
    uint64_t *table;  /* hashes, 0 for an empty place */
    size_t size;      /* a power of two */
    size_t count;
} Seen;

uint64_t hash_of(const uint8_t *state, size_t size);
/* It will be looked for soon. */
void seen_prefetch(const Seen *seen, uint64_t hash);
/* Whether the state of this hash is new; it is remembered then. */
bool seen_add(Seen *seen, uint64_t hash);
void seen_free(Seen *seen);

#endif /* TESTS_CORE_SEARCH_H */
