/*
 * msix-testdev: the device's logic
 *
 * Registers, counters and timing of msix-testdev, without any of QEMU, so
 * that QEMU's model and a simulated vfio-pci host show the same device.  What
 * an interrupt becomes depends on config space and on the MSI-X table, which
 * the host of this code has: it is asked through MSIXTestdevOps.
 *
 * There is no locking and no clock in here.  Calls on one core must not run
 * at the same time (QEMU: under the BQL; others: under a lock of their own,
 * held during the ops as well, with now_ns read under it, so that it does not
 * go backwards).  Nothing is allocated.  Nothing that a guest writes makes a
 * call fail or block.
 *
 * The ops may be called from within all functions but _init.  From an op,
 * _read, _reset and _msix_enabled_changed may be called, because a message
 * can hit the registers or the config space of the device that sends it;
 * _write and _run then do nothing, so there is no recursion.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_MSIX_TESTDEV_CORE_H
#define HW_MISC_MSIX_TESTDEV_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hw/misc/msix-testdev-regs.h"

/* Returned for a next deadline: there is none until something is written. */
#define MSIX_TESTDEV_NO_DEADLINE INT64_MAX

/*
 * The most interrupts that one _run raises.  Each can cost microseconds in
 * the host, which must get round to other things in between.
 */
#define MSIX_TESTDEV_BATCH 64

/* What became of an interrupt at the moment it was raised. */
typedef enum MSIXTestdevOutcome {
    MSIX_TESTDEV_OUTCOME_SENT,    /* left as an MSI-X or MSI message */
    MSIX_TESTDEV_OUTCOME_PENDED,  /* masked: a pending bit was set */
    MSIX_TESTDEV_OUTCOME_DROPPED, /* MSI-X and MSI are off */
    MSIX_TESTDEV_OUTCOME_INTX,    /* the same, and INTx was asserted */
} MSIXTestdevOutcome;

/**
 * MSIXTestdevOps: what the core needs from its host
 *
 * All are called with the @opaque given to msix_testdev_core_init().
 */
typedef struct MSIXTestdevOps {
    /*
     * Raise an interrupt on @vector, below the number of vectors, in the
     * mode that config space selects.  @intx is CTRL.INTX: with MSI-X and
     * MSI off, assert INTx when it is set (and return _INTX), else lose the
     * interrupt (_DROPPED); do not set a pending bit for it.
     */
    MSIXTestdevOutcome (*raise)(void *opaque, uint32_t vector, bool intx);
    /*
     * Assert or deassert INTx.  Called with @level true only while status()
     * has neither _MSIX nor _MSI.
     */
    void (*set_intx)(void *opaque, bool level);
    /* Mask all vectors and zero their messages, in the table itself. */
    void (*wipe)(void *opaque);
    /* Return the STATUS register, MSIX_TESTDEV_STATUS_* bits. */
    uint32_t (*status)(void *opaque);
} MSIXTestdevOps;

/* A vector's registers and what else is known of it. */
typedef struct MSIXTestdevVector {
    uint32_t raised;
    uint32_t acked;
    uint32_t period_us;
    uint32_t sent;
    uint32_t pended;
    uint32_t dropped;
    uint32_t active_pos;        /* in the core's active[], if period_us */
    int64_t since_ns;           /* last acknowledged, or PERIOD written */
} MSIXTestdevVector;

/* Private to msix-testdev-core.c, here for its size only. */
typedef struct MSIXTestdevCore {
    const MSIXTestdevOps *ops;
    void *opaque;
    MSIXTestdevVector *vectors;
    uint32_t nr_vectors;

    uint32_t ctrl;
    bool msix_enabled;
    bool busy;                  /* in an op: _write and _run do nothing */
    int64_t run_since_ns;       /* when CTRL.RUN was last switched on */
    int64_t deadline_ns;        /* no later than the first that is due */

    /* survive a reset */
    uint32_t msix_enables;
    uint32_t msix_disables;
    uint32_t resets;

    uint32_t raised;
    uint32_t acked;
    uint32_t sent;
    uint32_t pended;
    uint32_t dropped;
    uint32_t intx_raised;

    /* The vectors with a period, in no order: a run looks at these only. */
    uint32_t nr_active;
    uint32_t cursor;            /* where in active[] the next run begins */
    uint16_t active[MSIX_TESTDEV_MAX_VECTORS];
} MSIXTestdevCore;

/**
 * msix_testdev_core_init: make a device, in the state after a reset
 * @core: to be filled in; all counters are 0, that of resets as well
 * @vectors: array of @nr_vectors, owned by the caller, which outlives @core
 * @nr_vectors: number of MSI-X vectors
 * @ops: kept by reference; none is called
 * @opaque: for @ops
 *
 * Returns: false if @nr_vectors is not 1 to MSIX_TESTDEV_MAX_VECTORS; @core
 * must not be used then.
 */
bool msix_testdev_core_init(MSIXTestdevCore *core, MSIXTestdevVector *vectors,
                            uint32_t nr_vectors, const MSIXTestdevOps *ops,
                            void *opaque);

/**
 * msix_testdev_core_reset: function level or bus reset
 * @core: the device
 *
 * Deasserts INTx and clears all but the counters MSIX_ENABLES, MSIX_DISABLES
 * and RESETS; the latter is incremented, and MSIX_DISABLES as well if MSI-X
 * was enabled, as a reset of config space disables it.  There is no deadline
 * afterwards.
 */
void msix_testdev_core_reset(MSIXTestdevCore *core);

/**
 * msix_testdev_core_msix_enabled_changed: tell the MSI-X enable bit
 * @core: the device
 * @enabled: the bit's value; no change if it is the one told last
 *
 * Counts MSIX_ENABLES and MSIX_DISABLES.
 */
void msix_testdev_core_msix_enabled_changed(MSIXTestdevCore *core,
                                            bool enabled);

/**
 * msix_testdev_core_read: read of BAR 0
 * @core: the device
 * @addr: offset in the BAR, any
 * @size: in bytes, any
 *
 * Returns: the register; 0 where there is none, and if @size is not 4 or
 * @addr not aligned.  No read has a side effect.
 */
uint32_t msix_testdev_core_read(MSIXTestdevCore *core, uint64_t addr,
                                unsigned size);

/**
 * msix_testdev_core_write: write to BAR 0
 * @core: the device
 * @addr: offset in the BAR, any
 * @val: the value; ignored where msix_testdev_core_read() returns 0
 * @size: in bytes, any
 * @now_ns: the time now
 *
 * Returns: the deadline: when to call msix_testdev_core_run() next, in the
 * clock of @now_ns; MSIX_TESTDEV_NO_DEADLINE if need not be.  It replaces any
 * one returned before.
 */
int64_t msix_testdev_core_write(MSIXTestdevCore *core, uint64_t addr,
                                uint64_t val, unsigned size, int64_t now_ns);

/**
 * msix_testdev_core_run: raise the interrupts that are due
 * @core: the device
 * @now_ns: the time now; a call before the deadline does no harm
 *
 * Raises no more than MSIX_TESTDEV_BATCH interrupts and looks at each vector
 * with a period at most once.  A vector whose last interrupt is outstanding
 * raises none, so the guest cannot cause more work here than one interrupt
 * for each acknowledgement it writes.
 *
 * Returns: as msix_testdev_core_write().  The deadline lies at least
 * MSIX_TESTDEV_MIN_PERIOD after @now_ns, also if some are due already: a
 * caller can loop until then and is sure to get out.
 */
int64_t msix_testdev_core_run(MSIXTestdevCore *core, int64_t now_ns);

#endif
