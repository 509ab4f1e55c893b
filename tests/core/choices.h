/*
 * The choices in one event: answers of the host, what is fired between steps
 *
 * An event is done again and again, each time with the next of all sequences
 * of choices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_CHOICES_H
#define TESTS_CORE_CHOICES_H

#include <stdbool.h>
#include <stdint.h>

#define CHOICES_MAX 64

typedef struct Choices {
    uint8_t taken[CHOICES_MAX];
    uint8_t of[CHOICES_MAX];
    unsigned int length;
    unsigned int position; /* so many of them have been asked for */
} Choices;

/* One of 0 to @n - 1.  Beyond what is given, 0 is added. */
unsigned int choices_take(Choices *choices, unsigned int n);
/* To the next sequence, if there is another one */
bool choices_next(Choices *choices);

#endif /* TESTS_CORE_CHOICES_H */
