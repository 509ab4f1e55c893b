/*
 * vfio-sim: calls that fail or take long, and what happens meanwhile, on
 * request
 *
 * The commands are described in sim_fault_help below; they come from sim.conf,
 * from $VFIO_SIM_FAULT and from the control socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sim.h"

const char sim_fault_help[] =
    "fault CALL result=ERRNO|COUNT [nth=N] [times=N] [index=I] [data=D] "
    "[vector=V]; "
    "slow CALL us=N [at=start|window|end]; "
    "pool N|unlimited; pba kept|volatile; reset-decode-off lost|restored; "
    "clear";

#define MAX_RULES 64
#define ANY (-1)
#define FOREVER (-1)

typedef struct Rule {
    SimDevice *device;          /* NULL: any */
    SimCall call;
    int index;
    int data;                   /* VFIO_IRQ_SET_DATA_* */
    int vector;                 /* ANY: the call fails before it does a thing */
    long skip;                  /* so many calls more before it fails */
    long times;                 /* that it still fails, or FOREVER */
    int result;
} Rule;

static Rule rules[MAX_RULES];
static _Atomic unsigned nr_rules;
static _Atomic long delays_us[SIM_MAX_DEVICES][SIM_NR_CALLS][SIM_NR_PLACES];
static pthread_mutex_t rules_mutex = PTHREAD_MUTEX_INITIALIZER;

static const char *const call_names[] = {
    [SIM_CALL_SET_IRQS] = "set-irqs",
    [SIM_CALL_IRQ_INFO] = "irq-info",
    [SIM_CALL_RESET] = "reset",
    [SIM_CALL_KVM_IRQFD] = "kvm-irqfd",
    [SIM_CALL_KVM_ROUTES] = "kvm-routes",
    [SIM_CALL_EVENTFD] = "eventfd",
};

static const char *const place_names[] = {
    [SIM_PLACE_START] = "start",
    [SIM_PLACE_WINDOW] = "window",
    [SIM_PLACE_END] = "end",
};

static const char *const index_names[] = {
    [VFIO_PCI_INTX_IRQ_INDEX] = "INTX",
    [VFIO_PCI_MSI_IRQ_INDEX] = "MSI",
    [VFIO_PCI_MSIX_IRQ_INDEX] = "MSIX",
    [VFIO_PCI_ERR_IRQ_INDEX] = "ERR",
    [VFIO_PCI_REQ_IRQ_INDEX] = "REQ",
};

static const char *const data_names[] = {
    [VFIO_IRQ_SET_DATA_NONE] = "NONE",
    [VFIO_IRQ_SET_DATA_BOOL] = "BOOL",
    [VFIO_IRQ_SET_DATA_EVENTFD] = "EVENTFD",
};

/* The first rule that applies and wants this call to fail; counts for all. */
static bool apply(SimDevice *d, SimCall call, int index, int data, int vector,
                  int *result)
{
    bool fails = false;
    unsigned i;

    if (!nr_rules) {
        return false;
    }
    pthread_mutex_lock(&rules_mutex);
    for (i = 0; i < nr_rules; i++) {
        Rule *r = &rules[i];

        if (r->call != call || r->vector != vector ||
            (r->device && d && r->device != d) ||
            (r->index != ANY && r->index != index) ||
            (r->data != ANY && r->data != data)) {
            continue;
        }
        if (r->skip > 0) {
            r->skip--;
        } else if (!fails && r->times) {
            r->times -= r->times > 0;
            *result = r->result;
            fails = true;
        }
    }
    pthread_mutex_unlock(&rules_mutex);
    if (fails && d) {
        d->counters.faults++;
    }
    return fails;
}

bool sim_fault_call(SimDevice *d, SimCall call, unsigned index, unsigned data,
                    int *result)
{
    return apply(d, call, index, data, ANY, result);
}

bool sim_fault_vector(SimDevice *d, unsigned index, unsigned vector,
                      int *result)
{
    return apply(d, SIM_CALL_SET_IRQS, index, VFIO_IRQ_SET_DATA_EVENTFD,
                 vector, result);
}

/* The calls that take long are those that something can fire in */
static unsigned fire_bit(SimCall call, SimPlace place)
{
    _Static_assert(SIM_CALL_EVENTFD * SIM_NR_PLACES <= 16, "bits of fire_at");
    return 1u << (call * SIM_NR_PLACES + place);
}

static void fire_due(SimDevice *d, SimCall call, SimPlace place)
{
    unsigned n, bit = fire_bit(call, place);

    pthread_mutex_lock(&d->lock);
    for (n = 0; d->nr_fire_at && n < d->nr_vectors; n++) {
        if (d->fire_at[n] & bit) {
            d->fire_at[n] &= ~bit;
            d->nr_fire_at -= !d->fire_at[n];
            sim_function_fire(d, n);
        }
    }
    pthread_mutex_unlock(&d->lock);
}

void sim_reach(SimDevice *d, SimCall call, SimPlace place)
{
    long us = delays_us[d->slot][call][place];
    int64_t end;
    struct timespec until;

    fire_due(d, call, place);
    if (!us) {
        return;
    }
    end = sim_now_ns() + us * 1000;
    until.tv_sec = end / 1000000000;
    until.tv_nsec = end % 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until,
                           NULL) == EINTR) {
        continue;
    }
}

static int find(const char *text, const char *const *names, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        if (names[i] && !strcmp(text, names[i])) {
            return i;
        }
    }
    return -1;
}

/* Only SET_IRQS, and nothing of KVM's, has a window in its middle */
static bool has_place(int call, int place)
{
    return place != SIM_PLACE_WINDOW || call < SIM_CALL_KVM_IRQFD;
}

bool sim_fire_at(SimDevice *d, unsigned n, char *words)
{
    int call = SIM_CALL_SET_IRQS, place = -1;
    char *save = NULL;
    const char *word;

    for (word = strtok_r(words, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        if (!strncmp(word, "at=", 3)) {
            place = find(word + 3, place_names, SIM_NR_PLACES);
        } else if (!strncmp(word, "call=", 5)) {
            call = find(word + 5, call_names, SIM_CALL_EVENTFD);
        } else {
            return false;
        }
    }
    if (call < 0 || place < 0 || !has_place(call, place)) {
        return false;
    }
    pthread_mutex_lock(&d->lock);
    d->nr_fire_at += !d->fire_at[n];
    d->fire_at[n] |= fire_bit(call, place);
    pthread_mutex_unlock(&d->lock);
    return true;
}

void sim_fire_at_clear(SimDevice *d)
{
    pthread_mutex_lock(&d->lock);
    memset(d->fire_at, 0, sizeof(d->fire_at));
    d->nr_fire_at = 0;
    pthread_mutex_unlock(&d->lock);
}

static bool parse_number(const char *text, long min, long max, long *value)
{
    char *end;

    errno = 0;
    *value = strtol(text, &end, 10);
    return *text && !*end && !errno && *value >= min && *value <= max;
}

/* An errno by its name, or a positive number */
static bool parse_result(const char *text, int *result)
{
    long value;
    int e;

    if (parse_number(text, 1, 1000000, &value)) {
        *result = value;
        return true;
    }
    for (e = 1; e < 134; e++) {
        const char *name = strerrorname_np(e);

        if (name && !strcmp(name, text)) {
            *result = -e;
            return true;
        }
    }
    return false;
}

/* One word of a command, KEY=VALUE; false if it is none of the kind */
static bool parse_word(const char *word, Rule *r, bool *has_nth,
                       bool *has_times)
{
    const char *value = strchr(word, '=');
    size_t length;
    long number;

    if (!value++) {
        return false;
    }
    length = value - word;

    if (!strncmp(word, "result=", length)) {
        return parse_result(value, &r->result);
    }
    if (!strncmp(word, "nth=", length)) {
        *has_nth = parse_number(value, 1, LONG_MAX, &number);
        r->skip = number - 1;
        return *has_nth;
    }
    if (!strncmp(word, "times=", length)) {
        *has_times = parse_number(value, 1, LONG_MAX, &r->times);
        return *has_times;
    }
    if (!strncmp(word, "vector=", length)) {
        if (!parse_number(value, 0, MSIX_TESTDEV_MAX_VECTORS - 1, &number)) {
            return false;
        }
        r->vector = number;
        return true;
    }
    if (!strncmp(word, "index=", length)) {
        r->index = find(value, index_names, SIM_N_ELEMENTS(index_names));
        return r->index >= 0;
    }
    if (!strncmp(word, "data=", length)) {
        r->data = find(value, data_names, SIM_N_ELEMENTS(data_names));
        return r->data >= 0;
    }
    return false;
}

static bool add_fault(SimDevice *d, char **save, char *error, size_t size)
{
    Rule r = {
        .device = d, .index = ANY, .data = ANY, .vector = ANY,
        .times = FOREVER,
    };
    const char *word = strtok_r(NULL, " ", save);
    int call = word ? find(word, call_names, SIM_NR_CALLS) : -1;
    bool has_nth = false, has_times = false, done = false;

    if (call < 0) {
        snprintf(error, size, "fault: no such call: %s", word ? word : "none");
        return false;
    }
    if (call == SIM_CALL_KVM_ROUTES) {
        snprintf(error, size, "fault: kvm-routes does not fail");
        return false;
    }
    r.call = call;
    while ((word = strtok_r(NULL, " ", save))) {
        if (!parse_word(word, &r, &has_nth, &has_times)) {
            snprintf(error, size, "fault: bad word: %s", word);
            return false;
        }
    }
    if (!r.result) {
        snprintf(error, size, "fault: result= is missing");
        return false;
    }
    if (r.result > 0 && call != SIM_CALL_SET_IRQS) {
        snprintf(error, size, "fault: only set-irqs returns a number");
        return false;
    }
    if (r.vector != ANY && call != SIM_CALL_SET_IRQS) {
        snprintf(error, size, "fault: only set-irqs has vectors");
        return false;
    }
    if (call == SIM_CALL_EVENTFD || call == SIM_CALL_KVM_IRQFD) {
        r.device = NULL; /* nobody knows for which device it is */
    }
    if (call != SIM_CALL_EVENTFD && has_nth && !has_times) {
        r.times = 1;
    }

    pthread_mutex_lock(&rules_mutex);
    if (nr_rules < MAX_RULES) {
        rules[nr_rules] = r;
        nr_rules++;
        done = true;
    }
    pthread_mutex_unlock(&rules_mutex);
    if (!done) {
        snprintf(error, size, "fault: too many");
    }
    return done;
}

static bool set_delay(SimDevice *d, char **save, char *error, size_t size)
{
    const char *word = strtok_r(NULL, " ", save);
    int call = word ? find(word, call_names, SIM_CALL_EVENTFD) : -1;
    int place = SIM_PLACE_START;
    long us = -1;
    unsigned i;

    if (call < 0) {
        snprintf(error, size, "slow: no such call: %s", word ? word : "none");
        return false;
    }
    while ((word = strtok_r(NULL, " ", save))) {
        if (!strncmp(word, "at=", 3)) {
            place = find(word + 3, place_names, SIM_NR_PLACES);
        } else if (strncmp(word, "us=", 3) ||
                   !parse_number(word + 3, 0, 60 * 1000000, &us)) {
            place = -1;
        }
        if (place < 0 || !has_place(call, place)) {
            snprintf(error, size, "slow: bad word: %s", word);
            return false;
        }
    }
    if (us < 0) {
        snprintf(error, size, "slow: us= is missing");
        return false;
    }
    for (i = 0; i < SIM_MAX_DEVICES; i++) {
        if (!d || d->slot == (int)i) {
            delays_us[i][call][place] = us;
        }
    }
    return true;
}

static void clear(SimDevice *d)
{
    unsigned i, kept = 0;
    int call, place;

    pthread_mutex_lock(&rules_mutex);
    for (i = 0; i < nr_rules; i++) {
        /* those that are for all devices are for this one as well */
        if (d && rules[i].device && rules[i].device != d) {
            rules[kept++] = rules[i];
        }
    }
    nr_rules = kept;
    pthread_mutex_unlock(&rules_mutex);

    for (i = 0; i < SIM_MAX_DEVICES; i++) {
        for (call = 0; call < SIM_NR_CALLS; call++) {
            for (place = 0; place < SIM_NR_PLACES; place++) {
                if (!d || d->slot == (int)i) {
                    delays_us[i][call][place] = 0;
                }
            }
        }
    }
    for (i = 0; i < sim_settings.nr_devices; i++) {
        if (!d || d == sim_settings.devices[i]) {
            sim_fire_at_clear(sim_settings.devices[i]);
        }
    }
}

static bool set_pool(char **save, char *error, size_t size)
{
    const char *word = strtok_r(NULL, " ", save);
    long pool;

    if (word && !strcmp(word, "unlimited")) {
        pool = -1;
    } else if (!word || !parse_number(word, 0, 1000000, &pool)) {
        snprintf(error, size, "pool: a number, or unlimited");
        return false;
    }
    sim_host_vectors_set_pool(pool);
    return true;
}

/* What can be one way or the other; the first is usual */
typedef struct Switch {
    const char *name;
    const char *values[2];
    size_t offset;              /* of the bool in SimDevice: the second one */
} Switch;

static const Switch switches[] = {
    { "pba", { "kept", "volatile" }, offsetof(SimDevice, pba_volatile) },
    { "reset-decode-off", { "lost", "restored" },
      offsetof(SimDevice, restore_decodes) },
};

static const Switch *find_switch(const char *name)
{
    unsigned i;

    for (i = 0; name && i < SIM_N_ELEMENTS(switches); i++) {
        if (!strcmp(name, switches[i].name)) {
            return &switches[i];
        }
    }
    return NULL;
}

static bool set_switch(SimDevice *d, const Switch *s, char **save, char *error,
                       size_t size)
{
    const char *word = strtok_r(NULL, " ", save);
    int value = word ? find(word, s->values, SIM_N_ELEMENTS(s->values)) : -1;
    unsigned i;

    if (value < 0) {
        snprintf(error, size, "%s: %s, or %s", s->name, s->values[0],
                 s->values[1]);
        return false;
    }
    for (i = 0; i < sim_settings.nr_devices; i++) {
        SimDevice *each = sim_settings.devices[i];

        if (!d || d == each) {
            pthread_mutex_lock(&each->lock);
            *(bool *)((char *)each + s->offset) = value;
            pthread_mutex_unlock(&each->lock);
        }
    }
    return true;
}

bool sim_fault_command(SimDevice *d, char *line, char *error, size_t size)
{
    char *save = NULL;
    const char *word = strtok_r(line, " ", &save);

    if (word && !strcmp(word, "fault")) {
        return add_fault(d, &save, error, size);
    }
    if (word && !strcmp(word, "slow")) {
        return set_delay(d, &save, error, size);
    }
    if (word && !strcmp(word, "pool")) {
        return set_pool(&save, error, size);
    }
    if (find_switch(word)) {
        return set_switch(d, find_switch(word), &save, error, size);
    }
    if (word && !strcmp(word, "clear")) {
        clear(d);
        return true;
    }
    snprintf(error, size, "no such command: %s", word ? word : "none");
    return false;
}
