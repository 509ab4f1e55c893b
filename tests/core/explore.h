/*
 * Visit all states of a host, and tell the way to one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_EXPLORE_H
#define TESTS_CORE_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "choices.h"
#include "world.h"

/* How a state was come by: an event after the state of another node */
typedef struct Node {
    uint64_t hash;
    uint32_t parent;
    Event event;
} Node;

/*
 * Visit all states of a host of kind @c, and print the shortest sequence that
 * fails, if there is one, and the figures, as a line of TAP for the test of
 * number @test.  Returns whether nothing fails.
 */
bool explore(const Config *c, unsigned int test);

/* tell.c */

/*
 * Print the way to node @i, and if @event is not EV_TYPES that with @last as
 * the choices in it, and @unplug_place as run.h has it.  Something fails in the
 * end.
 */
void tell_way(const Node *nodes, size_t i, Event event, const Choices *last,
              unsigned int unplug_place);
/* Do a sequence that was printed.  Returns false if it fails. */
bool tell_replay(const Config *c, const char *sequence);

#endif /* TESTS_CORE_EXPLORE_H */
