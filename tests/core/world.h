/*
 * The world that msix-core.c is explored in
 *
 * One guest, one device, one host, and an oracle that keeps account of what
 * the device has raised.  All of it that outlasts an event is in struct Model,
 * in bytes, so that a state can be copied, compared and hashed as it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include "vfio-msix.h"

#define VECTORS_MAX 3
#define NO_ROUTE 3 /* no message: those are 0, for all zeroes, 1 and 2 */

/* A kind of host, with its device, and how far it is explored */
typedef struct Config {
    const char *name;
    unsigned int vectors;
    unsigned int depth;
    unsigned int closes; /* with so many vectors all states are soon seen */
    bool noresize;
    bool kvm;
    bool replays;
    bool thorough; /* see state.c, and between() in glue.c */
} Config;

#define EXTRA_MAX 15

/* All of one vector, without a bit that is not used: see state.c */
typedef struct ModelVector {
    /* guest */
    uint64_t mask:1;      /* its own mask bit */
    uint64_t message:2;
    /* device and host */
    uint64_t pending:1;   /* bit in the device's PBA */
    uint64_t trigger:1;   /* the host signals the eventfd */
    uint64_t wiped:1;     /* ...or would, had the device its entry still */
    uint64_t refused:1;   /* the host did not give it a trigger when asked */
    /* QEMU */
    uint64_t eventfd:1;
    uint64_t count:1;     /* 0, or 1 for any other number */
    /* KVM */
    uint64_t irqfd:1;
    uint64_t written:2;   /* message of the route, as QEMU has it */
    uint64_t committed:2; /* the same, as KVM has it */
    /* oracle */
    uint64_t raised:1;    /* and not delivered since */
    uint64_t gap:1;       /* the same, but see raise_in_gap() */
    uint64_t extra:4;     /* deliveries that are right with nothing raised */
    uint64_t may_replay:1; /* the same, if its message stays what it was */
    uint64_t in_gap:1;    /* unmasked at some time in the gap that is now */
    uint64_t last:2;      /* message at the last unmask, unless freed since */
    uint64_t reported:1;  /* as having no trigger */
    uint64_t reset:1;     /* wiped, the guest will unmask it again */
    uint64_t wiped_silently:1; /* wiped, and nothing shows it yet */
    uint64_t rewritten:1; /* since it was wiped and not unmasked since */
    uint64_t no_kvm:1;    /* KVM has refused it since the unmask */
    uint64_t unused:32;
} ModelVector;

typedef struct Model {
    ModelVector v[VECTORS_MAX];
    uint8_t enabled;   /* MSI-X, by the guest */
    uint8_t fmask;     /* function mask */
    uint8_t host_on;   /* MSI-X is enabled on the host, and so in the device */
    uint8_t allocated; /* vectors of a host that can add none */
    uint8_t parked;    /* INTx is with the host's driver */
    uint8_t shown;     /* the guest sees QEMU's PBA */
    uint8_t timer;     /* routes were committed: the timer is due some time */
    uint8_t uncommitted; /* routes were changed since */
} Model;

/* What can happen.  Each is one step of a sequence that is explored. */
typedef enum EventType {
    EV_ENABLE, EV_DISABLE, EV_FMASK, EV_FUNMASK,
    EV_PBA, EV_TIMER, EV_RESET, EV_WIPE, EV_INVALIDATE,
    /* of one vector */
    EV_UNMASK, EV_MASK, EV_SAME, EV_OTHER, EV_ZERO, EV_FIRE, EV_SIGNAL,
    EV_TYPES,
} EventType;
#define EV_OF_VECTOR EV_UNMASK

typedef struct Event {
    uint8_t type;
    uint8_t nr;
} Event;

/* Of the event that is under way; forgotten with its end */
typedef struct Passing {
    Event event;
    uint8_t current;   /* vector that the glue has come to */
    bool ending;       /* the guest disables MSI-X, or it is unplugged */
    bool starting;     /* the guest enables MSI-X */
    bool open[VECTORS_MAX];      /* deliveries are right, and were before */
    bool unmasking[VECTORS_MAX]; /* deliveries are right from now on */
    bool touched[VECTORS_MAX];   /* by the step before: it can fire */
    bool had[VECTORS_MAX];       /* at its unmask: the host need not resize */
    bool routed[VECTORS_MAX];    /* at its unmask: no commit is needed */
    bool flushing;     /* a vector was signalled that waits for a commit */
    bool fault;        /* there was an answer that is no success */
    uint8_t fired;     /* so often by the device, between steps */
    bool tried_one;    /* to enable MSI-X with one vector */
    bool pba_read;     /* the device's, by the core, before a resize */
    uint8_t pba_bits;  /* what it was */
    uint8_t resizes;   /* since the guest's last mask or unmask */
    /* All above says, with the state, how the event goes on */
    bool quiet;        /* of a check: all goes well, nothing interferes */
    unsigned int steps;
} Passing;

extern const Config *config;
extern VFIOMSIXCore *core;
extern Model model;
extern Passing passing;
extern bool verbose; /* tell what happens */

/* run.c: end the event, and the exploration, with a failure */
void fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
/* run.c: one of 0 to @n - 1; each is taken in its turn */
unsigned int choose(unsigned int n);
/* The same, where all but 0 is a failure of the host */
unsigned int choose_fault(unsigned int n);
/*
 * run.c: between two steps.  See that the device can be unplugged here, and go
 * on only if there has been no event yet that came to the same.
 */
void explore_between(void);

/* trace.c */
void tell_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define say(...) do { if (verbose) { tell_line(__VA_ARGS__); } } while (0)
/* For people, with the state as it is before the event */
const char *event_name(Event event);
/* For the command line, and back; EV_TYPES if there is no such event */
const char *event_word(Event event);
Event event_of_word(const char *word);
const char *step_name(const VFIOMSIXStep *step);

/* host.c: device, host and KVM */
void device_fire(unsigned int nr);
void device_wipe(void);
uint8_t device_pba(void);
int host_answer(VFIOMSIXStep *step);
void kvm_invalidate(void);
void kvm_release(unsigned int nr);

/* glue.c: guest and QEMU, as pci.c connects them with the core */
extern const VFIOMSIXNotify glue_notify;
bool guest_masks(unsigned int nr);
bool event_possible(Event event);
void event_do(Event event);
void glue_settle(void);
uint8_t glue_read_pba(void);
void glue_unplug(void);

/* oracle.c */
void oracle_init(void);
bool oracle_fire_matters(unsigned int nr);
void oracle_fire(unsigned int nr);
void oracle_deliver(unsigned int nr, unsigned int message, const char *by);
void oracle_off(bool gap, bool forgetful);
void oracle_on(void);
void oracle_wiped(bool told);
void oracle_message(unsigned int nr, unsigned int message);
void oracle_unmask_begin(unsigned int nr);
void oracle_unmask_end(unsigned int nr);
void oracle_mask_end(unsigned int nr);
void oracle_commit(void);
void oracle_signal_end(unsigned int nr);
void oracle_check_pba(uint8_t bits);
void oracle_check_first(void);
void oracle_check_between(void);
void oracle_check_rest(void);
void oracle_check_settled(void);
void oracle_check_kvm(void);
void oracle_check_gone(void);

#endif /* TESTS_CORE_WORLD_H */
