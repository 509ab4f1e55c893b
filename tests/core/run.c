/*
 * One event, or one check, from a state
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include "run.h"
#include "search.h"
#include "state.h"

VFIOMSIXCore *core;
Model model;
Passing passing;
Choices choices;

static VFIOMSIXCore the_core, the_copy;
static jmp_buf end;
static char failure[200];
static bool pruning;
static unsigned int unplug_place = RUN_NO_UNPLUG;
static unsigned int unplug_only = RUN_NO_UNPLUG;
static Seen between;   /* states between two steps */
static Seen unplugged; /* states to unplug the device in */

void run_init(void)
{
    core = &the_core;
    state_init(core);
    pruning = false;
    unplug_only = RUN_NO_UNPLUG;
}

void run_exit(void)
{
    state_exit(core);
    seen_free(&between);
    seen_free(&unplugged);
}

void run_prune(bool prune)
{
    pruning = prune;
}

const char *run_failure(void)
{
    return failure;
}

unsigned int run_unplug_place(void)
{
    return unplug_place;
}

void run_unplug_at(unsigned int place)
{
    unplug_only = place;
}

/* After fail() the copy may be left over */
static void back_to_the_core(void)
{
    if (core == &the_copy) {
        vfio_msix_core_exit(core);
        core = &the_core;
    }
}

void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(failure, sizeof(failure), format, args);
    va_end(args);
    longjmp(end, RUN_FAILED);
}

unsigned int choose(unsigned int n)
{
    return passing.quiet || n < 2 ? 0 : choices_take(&choices, n);
}

unsigned int choose_fault(unsigned int n)
{
    unsigned int choice = choose(n);

    passing.fault |= choice;
    return choice;
}

static void load(const uint8_t *state)
{
    unsigned int nr;

    state_load(state);
    memset(&passing, 0, sizeof(passing));
    for (nr = 0; nr < config->vectors; nr++) {
        passing.open[nr] = model.enabled && !guest_masks(nr);
    }
}

/*
 * Unplug.  The device is torn down in a copy of the core, from which the oracle
 * sees what is left over.
 */

static void unplug(void)
{
    uint8_t state[STATE_MAX];

    state_save(state);
    vfio_msix_core_init(&the_copy, core->entries, core->pba, core->notify);
    the_copy.noresize = core->noresize;
    the_copy.kvm = core->kvm;
    the_copy.replays = core->replays;
    core = &the_copy;
    state_load(state);
    glue_unplug();
    back_to_the_core();
    state_load(state);
}

void explore_between(void)
{
    uint8_t state[STATE_MAX + sizeof(Passing)];
    Passing kept = passing;
    uint64_t hash;
    size_t size;

    state_forget_scratch();
    if (passing.steps == unplug_only) {
        say("    the device is unplugged");
        unplug();
    }
    if (!pruning || choices.position < choices.length) {
        return; /* on the way to where something else is to be chosen */
    }

    size = state_save(state);
    memcpy(state + size, &passing, offsetof(Passing, quiet));
    size += offsetof(Passing, quiet);
    hash = hash_of(state, size);
    seen_prefetch(&between, hash);
    oracle_check_between();
    if (!seen_add(&between, hash)) {
        longjmp(end, RUN_SEEN);
    }
    if (seen_add(&unplugged, state_hash_to_unplug())) {
        unplug_place = passing.steps;
        unplug();
        unplug_place = RUN_NO_UNPLUG;
        passing = kept;
    }
}

/*
 * Checks
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

static void check_unplug(void)
{
    if (seen_add(&unplugged, state_hash_to_unplug()) || !pruning) {
        unplug();
    }
}

Outcome run_check(const uint8_t *state, unsigned int check)
{
    static const struct {
        const char *name;
        void (*check)(void);
    } checks[CHECKS] = {
        { "until all is quiet", check_settled },
        { "the timer, if it is due", check_kvm },
        { "the device is unplugged", check_unplug },
    };
    int result;

    load(state);
    passing.quiet = true;
    say("%s", checks[check].name);
    result = setjmp(end);
    if (!result) {
        checks[check].check();
    }
    back_to_the_core();
    return result;
}

Outcome run_event(const uint8_t *state, Event event)
{
    int result;

    load(state);
    choices.position = 0;
    unplug_place = RUN_NO_UNPLUG;
    if (verbose) {
        say("%s", event_name(event));
    }
    result = setjmp(end);
    if (!result) {
        event_do(event);
        oracle_check_rest();
        state_normalize();
    }
    back_to_the_core();
    return result;
}
