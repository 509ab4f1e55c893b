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
#include "world.h"

#define STATE_MAX 640

/* The way to a state: an event, with all that was chosen in it, after another */
typedef struct Node {
    uint32_t parent;
    Event event;
    uint8_t faults; /* events with failures on the way */
    uint64_t hash;
} Node;

typedef struct Seen {
    uint64_t *table;  /* hashes, 0 for an empty place */
    size_t size;      /* a power of two */
    size_t count;
    Node *nodes;      /* in the order in which they were found */
    size_t capacity;
} Seen;

uint64_t hash_of(const uint8_t *state, size_t size);
/* Whether the state of this hash is new; it is remembered then */
bool seen_add(Seen *seen, uint64_t hash);
/* Also how it was come by */
bool seen_add_node(Seen *seen, Node node);
void seen_free(Seen *seen);

#endif /* TESTS_CORE_SEARCH_H */
