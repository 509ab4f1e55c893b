/*
 * A state of core, guest, device and host in a few bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_STATE_H
#define TESTS_CORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "world.h"

#define STATE_MAX 64

/* Of a copy of the core, where everything has just been set up */
void state_init(VFIOMSIXCore *c);
void state_exit(VFIOMSIXCore *c);
/* Both return the number of bytes, which is the same for all states. */
size_t state_save(uint8_t *state);
size_t state_load(const uint8_t *state);
/* Make states the same whose difference has no meaning, after an event. */
void state_normalize(void);
/* The part of it that can be done between two steps */
void state_forget_scratch(void);
/* The hash of what matters to an unplug: what there is, not how it came. */
uint64_t state_hash_to_unplug(void);

#endif /* TESTS_CORE_STATE_H */
