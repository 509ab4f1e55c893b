/*
 * Visit every state that the core, its guest, its device and its host can be in
 *
 * Breadth first: all sequences of one event, of two, and so on, each event with
 * all that can be chosen in it - the host's answers, what the device fires
 * between two steps, where it is unplugged.  A sequence that leads to a state
 * that was seen is not continued.  So the first one that fails is a shortest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdio.h>
#include <time.h>
#include "explore.h"
#include "run.h"
#include "search.h"
#include "state.h"

const Config *config;

typedef struct Search {
    Seen seen;
    GArray *nodes;    /* of Node, in the order in which they were found */
    GByteArray *next; /* states after one event more */
    size_t state_size;
    unsigned long long transitions;
} Search;

/* Whether the state is new, which is that of the core and the model */
static bool add_state(Search *search, size_t parent, Event event,
                      uint8_t *state)
{
    Node node = { .parent = parent, .event = event };

    search->state_size = state_save(state);
    node.hash = hash_of(state, search->state_size);
    if (!seen_add(&search->seen, node.hash)) {
        return false;
    }

    g_array_append_val(search->nodes, node);
    g_byte_array_append(search->next, state, search->state_size);
    return true;
}

static bool check_state(Search *search, const uint8_t *state)
{
    Event none = { .type = EV_TYPES };
    unsigned int i;

    for (i = 0; i < CHECKS; i++) {
        if (run_check(state, i) == RUN_FAILED) {
            tell_way((Node *)search->nodes->data, search->nodes->len - 1, none,
                     NULL, RUN_NO_UNPLUG);
            return false;
        }
    }
    return true;
}

/* All that can become of @state, of node @from, by @event */
static bool visit_event(Search *search, size_t from, const uint8_t *state,
                        Event event)
{
    uint8_t after[STATE_MAX];

    choices.length = 0;
    do {
        Outcome outcome = run_event(state, event);

        search->transitions++;
        if (outcome == RUN_FAILED) {
            tell_way((Node *)search->nodes->data, from, event, &choices,
                     run_unplug_place());
            return false;
        }
        if (outcome == RUN_DONE && add_state(search, from, event, after) &&
            !check_state(search, after)) {
            return false;
        }
    } while (choices_next(&choices));

    return true;
}

static bool visit(Search *search, size_t from, const uint8_t *state)
{
    Event event;
    unsigned int type, nr;

    for (type = 0; type < EV_TYPES; type++) {
        unsigned int of = type < EV_OF_VECTOR ? 1 : config->vectors;

        for (nr = 0; nr < of; nr++) {
            event = (Event) { .type = type, .nr = nr };
            state_load(state);
            if (event_possible(event) &&
                !visit_event(search, from, state, event)) {
                return false;
            }
        }
    }
    return true;
}

/* Returns the number of events after which it ended */
static unsigned int search_all(Search *search, bool *fine)
{
    GByteArray *now = g_byte_array_new(), *swap;
    Event none = { .type = EV_TYPES };
    uint8_t state[STATE_MAX];
    unsigned int depth = 0;
    size_t i, base = 0;

    *fine = true;
    add_state(search, 0, none, state);
    while (*fine && search->next->len && depth < config->depth) {
        size_t size = search->state_size;

        swap = now;
        now = search->next;
        search->next = swap;
        g_byte_array_set_size(search->next, 0);
        depth++;
        for (i = 0; *fine && i * size < now->len; i++) {
            *fine = visit(search, base + i, now->data + i * size);
        }
        base += i;
    }
    g_byte_array_free(now, true);

    return depth;
}

bool explore(const Config *c, unsigned int test)
{
    Search search = { .nodes = g_array_new(false, false, sizeof(Node)),
                      .next = g_byte_array_new() };
    struct timespec begin, stop;
    unsigned int depth;
    bool fine;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    config = c;
    run_init();
    run_prune(true);
    depth = search_all(&search, &fine);
    run_exit();
    clock_gettime(CLOCK_MONOTONIC, &stop);

    printf("%sok %u - %s, %u vectors: %zu states, %llu transitions, %s %u "
           "events, %.1f s\n", fine ? "" : "not ", test, config->name,
           config->vectors, search.seen.count, search.transitions,
           !fine ? "failed after" : search.next->len ? "all of up to" :
           "closed after", depth,
           stop.tv_sec - begin.tv_sec + (stop.tv_nsec - begin.tv_nsec) / 1e9);
    fflush(stdout);
    seen_free(&search.seen);
    g_array_free(search.nodes, true);
    g_byte_array_free(search.next, true);
    return fine;
}
