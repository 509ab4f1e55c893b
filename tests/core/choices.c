/*
 * The choices in one event, each taken in its turn
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "choices.h"
#include "world.h"

unsigned int choices_take(Choices *choices, unsigned int n)
{
    unsigned int i = choices->position;

    if (i == choices->length) {
        if (i == CHOICES_MAX) {
            fail("there are more than %d choices in an event", CHOICES_MAX);
        }
        choices->taken[i] = 0;
        choices->length++;
    }
    choices->of[i] = n;
    choices->position++;
    return MIN(choices->taken[i], n - 1);
}

bool choices_next(Choices *choices)
{
    choices->length = choices->position;
    while (choices->length) {
        unsigned int i = choices->length - 1;

        if (++choices->taken[i] < choices->of[i]) {
            return true;
        }
        choices->length--;
    }
    return false;
}
