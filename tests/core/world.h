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
    unsigned int faults; /* so many events with failures, at most */
    bool noresize;
    bool kvm;
    bool replays;
    bool keep_scratch; /* see forget_scratch() */
} Config;

/* What the device has raised in a gap, when MSI-X was off on the host */
enum {
    GAP_NONE,
    GAP_IF_SAME, /* owed if the guest unmasks it with the message that it had */
    GAP_OWED,
};

/* All of one vector */
typedef struct ModelVector {
    /* guest */
    uint8_t mask;      /* its own mask bit */
    uint8_t message;
    /* device and host */
    uint8_t pending;   /* bit in the device's PBA */
    uint8_t trigger;   /* the host signals the eventfd */
    uint8_t wiped;     /* ...or would, had the device its entry still */
    uint8_t refused;   /* the host did not give it a trigger when asked */
    /* QEMU */
    uint8_t eventfd;
    uint8_t count;     /* 0, or 1 for any other number */
    /* KVM */
    uint8_t irqfd;
    uint8_t written;   /* message of the route, as QEMU has it */
    uint8_t committed; /* the same, as KVM has it */
    /* oracle */
    uint8_t owed;      /* raised, not delivered since */
    uint8_t gap;       /* the same, by a device that could not say it */
    uint8_t extra;     /* deliveries that are right without anything owed */
    uint8_t may_replay; /* the same, if its message stays what it was */
    uint8_t in_gap;    /* unmasked at some time in the gap that is now */
    uint8_t last;      /* message at the last unmask, unless emptied since */
    uint8_t reported;  /* as having no trigger */
    uint8_t reset;     /* wiped, the guest will unmask it again */
    uint8_t wiped_silently; /* wiped, and nothing is known yet to do about it */
    uint8_t rewritten; /* since it was wiped and not unmasked since */
    uint8_t no_kvm;    /* KVM has refused it since the unmask */
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
    bool ending;       /* the guest disables MSI-X, or the device is unplugged */
    bool starting;     /* the guest enables MSI-X */
    bool open[VECTORS_MAX];      /* deliveries are right, and were before */
    bool unmasking[VECTORS_MAX]; /* deliveries are right from now on */
    bool touched[VECTORS_MAX];   /* by the step before: it can fire */
    bool had[VECTORS_MAX];       /* at its unmask: the host need not resize */
    bool routed[VECTORS_MAX];    /* at its unmask: KVM has its message */
    bool fault;        /* there was an answer that is no success */
    bool faulty;       /* the same, in all of the event */
    bool spent;        /* there have been as many such events as there may be */
    bool fired;
    bool pba_read;     /* the device's, by the core */
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
extern bool verbose; /* tell the sequence */

/* explore.c: ends the event, and the exploration, with a failure */
void fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));
/* explore.c: one of 0 to @n - 1; each is taken in its turn */
unsigned int choose(unsigned int n);/* explore.c: a copy of the core, to be torn down in its place */
VFIOMSIXCore *core_to_unplug(void);
/*
 * explore.c: between two steps.  See that the device can be unplugged here, and
 * go on only if there has been no event yet that came to the same.
 */
void explore_between(void);

/* trace.c */
void tell_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define say(...) do { if (verbose) { tell_line(__VA_ARGS__); } } while (0)
const char *event_name(Event event);
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
void oracle_check_pba(uint8_t bits);
void oracle_check_between(void);
void oracle_check_rest(void);
void oracle_check_settled(void);
void oracle_check_kvm(void);
void oracle_check_gone(void);

#endif /* TESTS_CORE_WORLD_H */
