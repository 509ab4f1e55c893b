/*
 * One event, or one check, from a state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_RUN_H
#define TESTS_CORE_RUN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include "choices.h"
#include "world.h"

/* Of a state with nothing on its way, the next after the last event */
#define CHECKS 3
#define RUN_NO_UNPLUG UINT_MAX

typedef enum Outcome {
    RUN_DONE,
    RUN_FAILED, /* run_failure() says how */
    RUN_SEEN,   /* it is as another one from some place between two steps on */
} Outcome;

extern Choices choices;

/* Set up @config's core in its first state; run_exit() undoes it. */
void run_init(void);
void run_exit(void);
/* Whether to stop where an event is as an earlier one; off at first */
void run_prune(bool prune);
/* What comes of it is the state of core and model. */
Outcome run_event(const uint8_t *state, Event event);
/* Check 0 to CHECKS - 1 */
Outcome run_check(const uint8_t *state, unsigned int check);
const char *run_failure(void);
/* Where in an event it was unplugged, if that failed; else RUN_NO_UNPLUG */
unsigned int run_unplug_place(void);
/* Unplug at that place, and nowhere else, from now on. */
void run_unplug_at(unsigned int place);

#endif /* TESTS_CORE_RUN_H */
