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
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <stdlib.h>
#include "explore.h"
#include "search.h"

#define CHOICES_MAX 64

typedef struct Choices {
    uint8_t taken[CHOICES_MAX];
    uint8_t of[CHOICES_MAX];
    unsigned int length;
    unsigned int position;
} Choices;

/* How an event or a check ends */
enum { DONE, FAILED, SEEN };

const Config *config;
VFIOMSIXCore *core;
Model model;
Passing passing;

static VFIOMSIXCore the_core;
static Choices choices;
static jmp_buf end;
static char failure[200];
static uint8_t qemu_pba[8];
static size_t state_size;
static Seen between; /* states between two steps */
static Seen unplugged;
static bool telling; /* the way to a failure */
static unsigned int unplug_step = -1; /* of the event, the last that was tried */
static unsigned long long transitions;unsigned long ev_count[EV_TYPES], ev_new[EV_TYPES];

void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(failure, sizeof(failure), format, args);
    va_end(args);
    longjmp(end, FAILED);
}

/*
 * Choices
 */

unsigned int choose(unsigned int n)
{
    unsigned int i = choices.position;

    if (passing.quiet || n < 2) {
        return 0;
    }
    if (i == choices.length) {
        if (i == CHOICES_MAX) {
            fail("more than %d choices in an event", CHOICES_MAX);
        }
        choices.taken[i] = 0;
        choices.of[i] = n;
        choices.length++;
    }
    choices.position++;
    return choices.taken[i];
}

unsigned int choose_fault(unsigned int n)
{
    unsigned int choice = passing.spent ? 0 : choose(n);

    passing.fault |= choice;
    passing.faulty |= choice;
    return choice;
}

/* To the next sequence of choices, if there is another one */
static bool next_choices(void)
{
    choices.length = choices.position;
    while (choices.length) {
        unsigned int i = choices.length - 1;

        if (++choices.taken[i] < choices.of[i]) {
            return true;
        }
        choices.length--;
    }
    return false;
}

/*
 * States
 */

/* Which of the two messages is which has no meaning: name them by their order */
static void rename_messages(unsigned int nr)
{
    ModelVector *v = &model.v[nr];
    VFIOMSIXVector *vector = &core->vectors[nr];
    uint8_t *names[] = { &v->message, &v->last, &v->written, &v->committed };
    unsigned int i, first = vector->address;

    for (i = ARRAY_SIZE(names); i--; ) {
        if (*names[i] == 1 || *names[i] == 2) {
            first = *names[i];
        }
    }
    if (first != 2) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (*names[i] == 1 || *names[i] == 2) {
            *names[i] = 3 - *names[i];
        }
    }
    if (vector->address) {
        vector->address = 3 - vector->address;
        vector->data = vector->address;
    }
}

/*
 * What the core has left over, and sets anew before it looks at it.  That it
 * does is seen by going some way without this.
 */
static void forget_scratch(void)
{
    unsigned int nr;

    core->count = 0;
    core->need = 0;
    core->fallback = 0;
    core->cause = 0;
    core->saved[0] = 0;
    for (nr = 0; nr < config->vectors; nr++) {
        VFIOMSIXVector *vector = &core->vectors[nr];

        if (core->phase == VFIO_MSIX_OFF) {
            *vector = (VFIOMSIXVector) { .masked = true };
        } else if (!vfio_msix_core_has_trigger(core, nr)) {
            vector->stale = false;
        }
    }
}

static size_t piece(uint8_t *state, size_t at, void *data, size_t size,
                    bool save)
{
    if (save) {
        memcpy(state + at, data, size);
    } else {
        memcpy(data, state + at, size);
    }
    return at + size;
}

/* All that there is, pointers of the core included, as they do not change */
static size_t state_copy(uint8_t *state, bool save)
{
    size_t bytes = (config->vectors + 7) / 8, at = 0;

    at = piece(state, at, core, sizeof(*core), save);
    at = piece(state, at, core->vectors,
               config->vectors * sizeof(*core->vectors), save);
    at = piece(state, at, core->saved, bytes, save);
    at = piece(state, at, qemu_pba, bytes, save);
    at = piece(state, at, model.v, config->vectors * sizeof(*model.v), save);
    at = piece(state, at, &model.enabled,
               sizeof(model) - offsetof(Model, enabled), save);
    g_assert(at <= STATE_MAX);

    return at;
}

static void load(const uint8_t *state)
{
    state_copy((uint8_t *)state, false);
    memset(&passing, 0, sizeof(passing));
}

/*
 * Checks of a state that leave it as it was
 */

static void check_settled(void)
{
    glue_settle();
    oracle_check_settled();
}

static void check_kvm(void)
{
    Event event = { .type = EV_TIMER };

    if (event_possible(event)) {
        event_do(event);
    }
    oracle_check_kvm();
}

static const struct {
    const char *name;
    void (*check)(void);
} checks[] = {
    { "when all is quiet", check_settled },
    { "when the timer has come", check_kvm },
    { "unplugged", glue_unplug },
};

VFIOMSIXCore *core_to_unplug(void)
{
    static VFIOMSIXCore copy;
    VFIOMSIXVector *vectors;
    uint8_t *saved;

    vfio_msix_core_init(&copy, config->vectors, qemu_pba, core->notify);
    vectors = copy.vectors;
    saved = copy.saved;
    memcpy(vectors, core->vectors, config->vectors * sizeof(*vectors));
    memcpy(saved, core->saved, (config->vectors + 7) / 8);
    copy = *core;
    copy.vectors = vectors;
    copy.saved = saved;

    return &copy;
}

/* Of all that matters to an end: what there is, and not how it came to be */
static uint64_t hash_to_unplug(void)
{
    struct {
        VFIOMSIXState state[VECTORS_MAX];
        uint8_t replay[VECTORS_MAX];
        uint8_t had[VECTORS_MAX];
        uint8_t phase, host_vectors, shown, parked, host_on, pba, pba_changed;
        uint8_t committed;
    } all = { 0 };
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];

        all.state[nr] = core->vectors[nr].state;
        all.replay[nr] = core->vectors[nr].replay;
        all.had[nr] = v->eventfd | v->trigger << 1 | v->irqfd << 2 |
                      (v->written != NO_ROUTE) << 3 | v->pending << 4 |
                      v->count << 5;
    }
    all.phase = core->phase;
    all.host_vectors = core->host_vectors;
    all.shown = model.shown;
    all.parked = model.parked;
    all.host_on = model.host_on;
    all.pba = core->pba[0];
    all.pba_changed = core->pba_changed;
    all.committed = core->committed;

    return hash_of((uint8_t *)&all, sizeof(all));
}

static void try_unplug(const uint8_t *state)
{
    Passing kept = passing;

    say("    unplugged");
    unplug_step = passing.steps;
    glue_unplug();
    core = &the_core;
    state_copy((uint8_t *)state, false);
    passing = kept;
    unplug_step = -1;
}

void explore_between(void)
{
    uint8_t state[STATE_MAX];
    size_t size;

    if (verbose && passing.steps != unplug_step) {
        return;
    }
    if (choices.position < choices.length || (telling && !verbose)) {
        return; /* on the way to where something else is to be chosen */
    }

    size = state_copy(state, true);
    memcpy(state + size, &passing, offsetof(Passing, quiet));
    size += offsetof(Passing, quiet);
    g_assert(size <= STATE_MAX);
    if (!verbose && !seen_add(&between, hash_of(state, size))) {
        longjmp(end, SEEN);
    }
    oracle_check_between();
    if (verbose || seen_add(&unplugged, hash_to_unplug())) {
        try_unplug(state);
    }
}

static int do_check(unsigned int i, const uint8_t *state)
{
    unsigned int nr;
    int result;

    load(state);
    passing.quiet = true;
    for (nr = 0; nr < config->vectors; nr++) {
        passing.open[nr] = model.enabled && !guest_masks(nr);
    }
    say("then, %s:", checks[i].name);
    result = setjmp(end);
    if (!result) {
        checks[i].check();
    }
    core = &the_core;
    return result;
}

static bool do_checks(const uint8_t *state)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(checks); i++) {
        if (checks[i].check == glue_unplug) {
            load(state);
            if (!seen_add(&unplugged, hash_to_unplug())) {
                continue;
            }
        }
        if (do_check(i, state) == FAILED) {
            return false;
        }
    }
    return true;
}

/*
 * Events
 */

static int do_event(const uint8_t *state, Event event, bool spent)
{
    VFIOMSIXVector *vectors = core->vectors;
    unsigned int nr;
    int result;

    load(state);
    choices.position = 0;
    passing.spent = spent;
    if (verbose) {
        say("%s", event_name(event));
    }
    result = setjmp(end);
    if (!result) {
        event_do(event);
        oracle_check_rest();
        g_assert(core->vectors == vectors);
        for (nr = 0; nr < config->vectors; nr++) {
            rename_messages(nr);
        }
        if (!config->keep_scratch) {
            forget_scratch();
        }
    }
    core = &the_core;
    return result;
}

static void first_state(uint8_t *state)
{
    oracle_init();
    state_size = state_copy(state, true);
}

/* The way to node @i, told, and then @event with the choices made for it */
static void tell(const Seen *seen, size_t i, Event event, Choices last)
{
    size_t way[64], length = 0;
    uint8_t state[STATE_MAX], after[STATE_MAX];
    unsigned int path;

    telling = true;
    for (; i; i = seen->nodes[i].parent) {
        way[length++] = i;
    }
    memset(&model, 0, sizeof(model));
    vfio_msix_core_exit(core);
    vfio_msix_core_init(core, config->vectors, qemu_pba, &glue_notify);
    memset(qemu_pba, 0, sizeof(qemu_pba));
    first_state(state);

    while (length--) {
        const Node *node = &seen->nodes[way[length]];

        choices.length = 0;
        for (;;) {
            do_event(state, node->event, false);
            state_copy(after, true);
            if (hash_of(after, state_size) == node->hash) {
                break;
            }
            if (!next_choices()) {
                g_assert_not_reached();
            }
        }
        verbose = true;
        do_event(state, node->event, false);
        verbose = false;
        memcpy(state, after, state_size);
    }
    if (event.type != EV_TYPES) {
        verbose = true;
        choices = last;
        do_event(state, event, false);
    }
    for (path = 0; !verbose && path < ARRAY_SIZE(checks); path++) {
        if (do_check(path, state) == FAILED) {
            verbose = true;
            do_check(path, state);
        }
    }
    verbose = false;
    printf("# %s\n", failure);
}

/* All that can become of @state, which is that of node @from, in one event */
static bool visit(Seen *seen, size_t from, const uint8_t *state,
                  GByteArray *next)
{
    bool spent = seen->nodes[from].faults >= config->faults;
    uint8_t after[STATE_MAX];
    Event event;

    for (event.type = 0; event.type < EV_TYPES; event.type++) {
        unsigned int nr, of = event.type < EV_OF_VECTOR ? 1 : config->vectors;

        for (nr = 0; nr < of; nr++) {

            event.nr = nr;
            load(state);
            if (!event_possible(event)) {
                continue;
            }
            choices.length = 0;
            do {
                int result = do_event(state, event, spent);

                transitions++; ev_count[event.type]++;
                if (result == FAILED) {
                    tell(seen, from, event, choices);
                    return false;
                }
                if (result == SEEN) {
                    continue;
                }
                state_copy(after, true);
                if (seen_add_node(seen, (Node) {
                        from, event, seen->nodes[from].faults + passing.faulty,
                        hash_of(after, state_size) })) {
                    g_byte_array_append(next, after, state_size);ev_new[event.type]++;
                    if (!do_checks(after)) {
                        tell(seen, seen->count - 1,
                             (Event) { .type = EV_TYPES }, choices);
                        return false;
                    }
                }
            } while (next_choices());
        }
    }
    return true;
}

bool explore(const Config *c)
{
    GByteArray *now = g_byte_array_new(), *next = g_byte_array_new(), *swap;
    uint8_t state[STATE_MAX];
    struct timespec begin, stop;
    unsigned int depth = 0;
    Seen seen = { 0 };
    bool fine = true;
    size_t i, base = 0;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    config = c;
    core = &the_core;
    vfio_msix_core_init(core, config->vectors, qemu_pba, &glue_notify);
    first_state(state);
    seen_add_node(&seen, (Node) { .hash = hash_of(state, state_size) });
    g_byte_array_append(next, state, state_size);

    while (fine && next->len && depth < config->depth) {
        swap = now;
        now = next;
        next = swap;
        g_byte_array_set_size(next, 0);
        depth++;
        for (i = 0; fine && i * state_size < now->len; i++) {
            fine = visit(&seen, base + i, now->data + i * state_size, next);
        }
        base += i;
        if (getenv("STAT")) { fprintf(stderr, "%s depth %u: %zu new, %zu states, %llu transitions, between %zu\n", config->name, depth, (size_t)next->len / state_size, seen.count, transitions, between.count); }
    }

    clock_gettime(CLOCK_MONOTONIC, &stop);
    printf("# %s: %zu states, %llu transitions, %s %u events, %.1f s\n",
           config->name, seen.count, transitions,
           !fine ? "failed after" : next->len ? "all of up to" :
           "closed after", depth, stop.tv_sec - begin.tv_sec +
           (stop.tv_nsec - begin.tv_nsec) / 1e9);
    if (getenv("STAT")) for (i=0;i<EV_TYPES;i++) printf("%s %lu %lu\n", event_name((Event){i,0}), ev_count[i], ev_new[i]);
    vfio_msix_core_exit(core);
    seen_free(&seen);
    seen_free(&between);
    seen_free(&unplugged);
    g_byte_array_free(now, true);
    g_byte_array_free(next, true);
    return fine;
}
