/*
 * msix-testdev: the device's logic
 *
 * Built into QEMU and into programs that have none of QEMU: includes ISO C's
 * headers only, so not qemu/osdep.h either.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <string.h>
#include "hw/misc/msix-testdev-core.h"

#define NS_PER_US 1000
#define MIN_PERIOD_NS ((int64_t)MSIX_TESTDEV_MIN_PERIOD * NS_PER_US)

static bool outstanding(const MSIXTestdevVector *vec)
{
    return vec->raised != vec->acked;
}

/* When the vector, which has a period and nothing outstanding, is due. */
static int64_t due_ns(const MSIXTestdevCore *core,
                      const MSIXTestdevVector *vec)
{
    int64_t since = vec->since_ns > core->run_since_ns ? vec->since_ns :
                                                         core->run_since_ns;
    int64_t period = (int64_t)vec->period_us * NS_PER_US;

    return since + (period > MIN_PERIOD_NS ? period : MIN_PERIOD_NS);
}

/*
 * Have the deadline cover the vector.  It is not put off when a vector drops
 * out: the next run finds out, which costs less than looking at all of them
 * here.
 */
static void schedule(MSIXTestdevCore *core, const MSIXTestdevVector *vec)
{
    int64_t due;

    if (!(core->ctrl & MSIX_TESTDEV_CTRL_RUN) || !vec->period_us ||
        outstanding(vec)) {
        return;
    }
    due = due_ns(core, vec);
    if (due < core->deadline_ns) {
        core->deadline_ns = due;
    }
}

static void raise_vector(MSIXTestdevCore *core, uint32_t n)
{
    MSIXTestdevVector *vec = &core->vectors[n];
    uint32_t resets = core->resets;
    MSIXTestdevOutcome outcome;

    vec->raised++;
    core->raised++;

    core->busy = true;
    outcome = core->ops->raise(core->opaque, n,
                               core->ctrl & MSIX_TESTDEV_CTRL_INTX);
    core->busy = false;

    if (core->resets != resets) {
        /* the message reset its sender: this interrupt never was */
        return;
    }

    switch (outcome) {
    case MSIX_TESTDEV_OUTCOME_SENT:
        vec->sent++;
        core->sent++;
        break;
    case MSIX_TESTDEV_OUTCOME_PENDED:
        vec->pended++;
        core->pended++;
        break;
    case MSIX_TESTDEV_OUTCOME_DROPPED:
        vec->dropped++;
        core->dropped++;
        break;
    case MSIX_TESTDEV_OUTCOME_INTX:
        core->intx_raised++;
        break;
    }
}

static void ack_vector(MSIXTestdevCore *core, uint32_t n, uint32_t upto,
                       int64_t now_ns)
{
    MSIXTestdevVector *vec = &core->vectors[n];
    uint32_t count = upto - vec->acked;

    /* An acknowledgement of nothing must not restart the period. */
    if (!count || count > vec->raised - vec->acked) {
        return;
    }
    vec->acked = upto;
    core->acked += count;
    if (!outstanding(vec)) {
        vec->since_ns = now_ns;
        schedule(core, vec);
    }
}

/* Acknowledge all of each vector that has its bit set, @first being bit 0. */
static void ack_map(MSIXTestdevCore *core, uint32_t first, uint32_t map,
                    int64_t now_ns)
{
    uint32_t n;

    for (n = first; map && n < core->nr_vectors; n++, map >>= 1) {
        if (map & 1) {
            ack_vector(core, n, core->vectors[n].raised, now_ns);
        }
    }
}

static void set_period(MSIXTestdevCore *core, uint32_t n, uint32_t period_us,
                       int64_t now_ns)
{
    MSIXTestdevVector *vec = &core->vectors[n];

    if (period_us && !vec->period_us) {
        vec->active_pos = core->nr_active;
        core->active[core->nr_active++] = n;
    } else if (!period_us && vec->period_us) {
        uint16_t last = core->active[--core->nr_active];

        core->active[vec->active_pos] = last;
        core->vectors[last].active_pos = vec->active_pos;
    }
    vec->period_us = period_us;
    vec->since_ns = now_ns;
    schedule(core, vec);
}

static void set_ctrl(MSIXTestdevCore *core, uint32_t val, int64_t now_ns)
{
    uint32_t changed = core->ctrl ^ val;
    uint32_t i;

    core->ctrl = val & (MSIX_TESTDEV_CTRL_RUN | MSIX_TESTDEV_CTRL_INTX);
    if (!(changed & MSIX_TESTDEV_CTRL_RUN)) {
        return;
    }
    core->deadline_ns = MSIX_TESTDEV_NO_DEADLINE;
    if (core->ctrl & MSIX_TESTDEV_CTRL_RUN) {
        core->run_since_ns = now_ns;
        for (i = 0; i < core->nr_active; i++) {
            schedule(core, &core->vectors[core->active[i]]);
        }
    }
}

static void set_intx(MSIXTestdevCore *core, uint32_t val)
{
    if (val == 0) {
        core->ops->set_intx(core->opaque, false);
    } else if (val == 1 &&
               !(core->ops->status(core->opaque) &
                 (MSIX_TESTDEV_STATUS_MSIX | MSIX_TESTDEV_STATUS_MSI))) {
        core->ops->set_intx(core->opaque, true);
    }
}

/*
 * Returns the vector whose registers @addr is in and stores the register's
 * offset in @reg; NULL if it is outside of all vectors.
 */
static MSIXTestdevVector *vector_at(const MSIXTestdevCore *core,
                                    uint64_t addr, uint32_t *reg)
{
    uint64_t n;

    if (addr < MSIX_TESTDEV_VECTOR_BASE) {
        return NULL;
    }
    n = (addr - MSIX_TESTDEV_VECTOR_BASE) / MSIX_TESTDEV_VECTOR_SIZE;
    *reg = (addr - MSIX_TESTDEV_VECTOR_BASE) % MSIX_TESTDEV_VECTOR_SIZE;
    return n < core->nr_vectors ? &core->vectors[n] : NULL;
}

static uint32_t outstanding_map(const MSIXTestdevCore *core, uint32_t first)
{
    uint32_t i, map = 0;

    for (i = 0; i < 32 && first + i < core->nr_vectors; i++) {
        if (outstanding(&core->vectors[first + i])) {
            map |= 1u << i;
        }
    }
    return map;
}

uint32_t msix_testdev_core_read(MSIXTestdevCore *core, uint64_t addr,
                                unsigned size)
{
    const MSIXTestdevVector *vec;
    uint32_t reg;

    if (size != 4 || addr % 4) {
        return 0;
    }

    vec = vector_at(core, addr, &reg);
    if (vec) {
        switch (reg) {
        case MSIX_TESTDEV_VECTOR_RAISED:
            return vec->raised;
        case MSIX_TESTDEV_VECTOR_ACKED:
            return vec->acked;
        case MSIX_TESTDEV_VECTOR_PERIOD:
            return vec->period_us;
        case MSIX_TESTDEV_VECTOR_SENT:
            return vec->sent;
        case MSIX_TESTDEV_VECTOR_PENDED:
            return vec->pended;
        case MSIX_TESTDEV_VECTOR_DROPPED:
            return vec->dropped;
        default:
            return 0;
        }
    }

    if (addr >= MSIX_TESTDEV_OUTSTANDING &&
        addr < MSIX_TESTDEV_OUTSTANDING_END) {
        return outstanding_map(core, (addr - MSIX_TESTDEV_OUTSTANDING) * 8);
    }

    switch (addr) {
    case MSIX_TESTDEV_ID:
        return MSIX_TESTDEV_ID_VALUE;
    case MSIX_TESTDEV_VERSION:
        return MSIX_TESTDEV_VERSION_VALUE;
    case MSIX_TESTDEV_VECTORS:
        return core->nr_vectors;
    case MSIX_TESTDEV_CTRL:
        return core->ctrl;
    case MSIX_TESTDEV_STATUS:
        return core->ops->status(core->opaque);
    case MSIX_TESTDEV_INTX:
        return !!(core->ops->status(core->opaque) & MSIX_TESTDEV_STATUS_INTX);
    case MSIX_TESTDEV_MSIX_ENABLES:
        return core->msix_enables;
    case MSIX_TESTDEV_MSIX_DISABLES:
        return core->msix_disables;
    case MSIX_TESTDEV_RESETS:
        return core->resets;
    case MSIX_TESTDEV_RAISED:
        return core->raised;
    case MSIX_TESTDEV_ACKED:
        return core->acked;
    case MSIX_TESTDEV_SENT:
        return core->sent;
    case MSIX_TESTDEV_PENDED:
        return core->pended;
    case MSIX_TESTDEV_DROPPED:
        return core->dropped;
    case MSIX_TESTDEV_INTX_RAISED:
        return core->intx_raised;
    default:
        return 0;
    }
}

int64_t msix_testdev_core_write(MSIXTestdevCore *core, uint64_t addr,
                                uint64_t val, unsigned size, int64_t now_ns)
{
    MSIXTestdevVector *vec;
    uint32_t reg;

    if (core->busy || size != 4 || addr % 4) {
        return core->deadline_ns;
    }
    val = (uint32_t)val;

    if (addr >= MSIX_TESTDEV_OUTSTANDING &&
        addr < MSIX_TESTDEV_OUTSTANDING_END) {
        ack_map(core, (addr - MSIX_TESTDEV_OUTSTANDING) * 8, val, now_ns);
        return core->deadline_ns;
    }

    vec = vector_at(core, addr, &reg);
    if (vec) {
        uint32_t n = vec - core->vectors;

        switch (reg) {
        case MSIX_TESTDEV_VECTOR_ACKED:
            ack_vector(core, n, val, now_ns);
            break;
        case MSIX_TESTDEV_VECTOR_PERIOD:
            set_period(core, n, val, now_ns);
            break;
        }
        return core->deadline_ns;
    }

    switch (addr) {
    case MSIX_TESTDEV_CTRL:
        set_ctrl(core, val, now_ns);
        break;
    case MSIX_TESTDEV_FIRE:
        if (val < core->nr_vectors) {
            raise_vector(core, val);
        }
        break;
    case MSIX_TESTDEV_ACK:
        if (val < core->nr_vectors) {
            ack_vector(core, val, core->vectors[val].raised, now_ns);
        }
        break;
    case MSIX_TESTDEV_INTX:
        set_intx(core, val);
        break;
    case MSIX_TESTDEV_WIPE:
        core->ops->wipe(core->opaque);
        break;
    }
    return core->deadline_ns;
}

int64_t msix_testdev_core_run(MSIXTestdevCore *core, int64_t now_ns)
{
    uint32_t i, raised = 0;
    int64_t next = MSIX_TESTDEV_NO_DEADLINE;
    uint32_t resets = core->resets;

    if (core->busy) {
        return core->deadline_ns;
    }
    if (!(core->ctrl & MSIX_TESTDEV_CTRL_RUN)) {
        core->deadline_ns = MSIX_TESTDEV_NO_DEADLINE;
        return core->deadline_ns;
    }

    for (i = 0; i < core->nr_active; i++) {
        uint32_t n;
        MSIXTestdevVector *vec;
        int64_t due;

        if (core->cursor >= core->nr_active) {
            core->cursor = 0;
        }
        n = core->active[core->cursor];
        vec = &core->vectors[n];
        due = outstanding(vec) ? MSIX_TESTDEV_NO_DEADLINE : due_ns(core, vec);

        if (due <= now_ns) {
            if (raised == MSIX_TESTDEV_BATCH) {
                /* Go on here soon, whoever else is due then. */
                next = now_ns;
                break;
            }
            raise_vector(core, n);
            if (core->resets != resets) {
                /* no vector is active any more, nor is what next says */
                return core->deadline_ns;
            }
            raised++;
        } else if (due < next) {
            next = due;
        }
        core->cursor++;
    }

    if (next < now_ns + MIN_PERIOD_NS) {
        next = now_ns + MIN_PERIOD_NS;
    }
    core->deadline_ns = next;
    return next;
}

void msix_testdev_core_msix_enabled_changed(MSIXTestdevCore *core,
                                            bool enabled)
{
    if (enabled == core->msix_enabled) {
        return;
    }
    core->msix_enabled = enabled;
    if (enabled) {
        core->msix_enables++;
    } else {
        core->msix_disables++;
    }
}

/* All that a reset clears; calls no op. */
static void clear_state(MSIXTestdevCore *core)
{
    memset(core->vectors, 0, core->nr_vectors * sizeof(*core->vectors));
    core->ctrl = 0;
    core->run_since_ns = 0;
    core->deadline_ns = MSIX_TESTDEV_NO_DEADLINE;
    core->raised = 0;
    core->acked = 0;
    core->sent = 0;
    core->pended = 0;
    core->dropped = 0;
    core->intx_raised = 0;
    core->nr_active = 0;
    core->cursor = 0;
}

void msix_testdev_core_reset(MSIXTestdevCore *core)
{
    msix_testdev_core_msix_enabled_changed(core, false);
    core->ops->set_intx(core->opaque, false);
    core->resets++;
    clear_state(core);
}

bool msix_testdev_core_init(MSIXTestdevCore *core, MSIXTestdevVector *vectors,
                            uint32_t nr_vectors, const MSIXTestdevOps *ops,
                            void *opaque)
{
    if (nr_vectors < 1 || nr_vectors > MSIX_TESTDEV_MAX_VECTORS) {
        return false;
    }
    memset(core, 0, sizeof(*core));
    core->ops = ops;
    core->opaque = opaque;
    core->vectors = vectors;
    core->nr_vectors = nr_vectors;
    clear_state(core);
    return true;
}
