/*
 * Tell a sequence of events, step by step, and do one again
 *
 * As text each event is its name, after which may come a slash and the choices
 * in it, and an exclamation mark and the place of the step before which the
 * device is unplugged: "enable unmask0/01 fire0 unmask1/002!3".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdio.h>
#include <stdlib.h>
#include "explore.h"
#include "run.h"
#include "search.h"
#include "state.h"

#define WAY_MAX 64

static void add_text(GString *text, Event event, unsigned int place)
{
    unsigned int i, length = choices.position;

    while (length && !choices.taken[length - 1]) {
        length--;
    }
    g_string_append_printf(text, "%s%s", text->len ? " " : "",
                           event_word(event));
    for (i = 0; i < length; i++) {
        g_string_append_printf(text, "%s%x", i ? "" : "/", choices.taken[i]);
    }
    if (place != RUN_NO_UNPLUG) {
        g_string_append_printf(text, "!%u", place);
    }
}

/* Find the choices with which @event makes of @state that of @hash. */
static void find_choices(const uint8_t *state, Event event, uint64_t hash)
{
    uint8_t after[STATE_MAX];

    choices.length = 0;
    do {
        if (run_event(state, event) == RUN_DONE &&
            hash_of(after, state_save(after)) == hash) {
            return;
        }
    } while (choices_next(&choices));
    g_assert_not_reached();
}

static bool tell_event(uint8_t *state, Event event, GString *text,
                       unsigned int place)
{
    Outcome outcome;

    verbose = true;
    run_unplug_at(place);
    outcome = run_event(state, event);
    run_unplug_at(RUN_NO_UNPLUG);
    verbose = false;
    add_text(text, event, place);
    state_save(state);

    return outcome == RUN_DONE;
}

static bool tell_checks(const uint8_t *state)
{
    unsigned int i;

    for (i = 0; i < CHECKS; i++) {
        if (run_check(state, i) != RUN_DONE) {
            verbose = true;
            run_check(state, i);
            verbose = false;
            return false;
        }
    }
    return true;
}

static void tell_failure(const GString *text)
{
    printf("# FAILED: %s\n", run_failure());
    printf("# again: --host %s --vectors %u --replay '%s'\n", config->name,
           config->vectors, text->str);
}

void tell_way(const Node *nodes, size_t i, Event event, const Choices *last,
              unsigned int unplug_place)
{
    Choices final = { .length = 0 };
    GString *text = g_string_new(NULL);
    size_t way[WAY_MAX], length = 0;
    uint8_t state[STATE_MAX];

    if (last) {
        final = *last;
    }
    for (; i; i = nodes[i].parent) {
        g_assert(length < WAY_MAX);
        way[length++] = i;
    }
    run_exit();
    run_init();
    state_save(state);

    while (length--) {
        const Node *node = &nodes[way[length]];

        find_choices(state, node->event, node->hash);
        tell_event(state, node->event, text, RUN_NO_UNPLUG);
    }
    if (event.type != EV_TYPES) {
        choices = final;
        tell_event(state, event, text, unplug_place);
    } else {
        tell_checks(state);
    }
    tell_failure(text);
    g_string_free(text, true);
}

/* Of one event of the text, @word, which becomes its choices and place too */
static Event parse(const char *word, unsigned int *place)
{
    Event event = event_of_word(word);
    const char *at = strchr(word, '/');

    *place = RUN_NO_UNPLUG;
    choices.length = 0;
    while (at && g_ascii_isxdigit(*++at) && choices.length < CHOICES_MAX) {
        choices.taken[choices.length++] = g_ascii_xdigit_value(*at);
    }
    at = strchr(word, '!');
    if (at) {
        *place = atoi(at + 1);
    }
    return event;
}

bool tell_replay(const Config *c, const char *sequence)
{
    char **words = g_strsplit_set(sequence, " ", -1);
    GString *text = g_string_new(NULL);
    uint8_t state[STATE_MAX];
    bool fine = true;
    unsigned int i;

    config = c;
    run_init();
    state_save(state);
    for (i = 0; fine && words[i]; i++) {
        unsigned int place;
        Event event = parse(words[i], &place);

        state_load(state);
        if (event.type == EV_TYPES || event.nr >= config->vectors ||
            !event_possible(event)) {
            fprintf(stderr, "%s is no event here\n", words[i]);
            exit(EXIT_FAILURE);
        }
        fine = tell_event(state, event, text, place) && tell_checks(state);
    }
    if (fine) {
        printf("# nothing fails\n");
    } else {
        tell_failure(text);
    }
    run_exit();
    g_string_free(text, true);
    g_strfreev(words);
    return fine;
}
