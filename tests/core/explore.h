/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_EXPLORE_H
#define TESTS_CORE_EXPLORE_H

#include <stdbool.h>
#include "world.h"

/*
 * Visit all states of a host of kind @c and print the figures, or the shortest
 * sequence that fails.  Returns whether there is none.
 */
bool explore(const Config *c);

#endif /* TESTS_CORE_EXPLORE_H */
