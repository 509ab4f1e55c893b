/*
 * QTest testcase for MSI-X of vfio-pci: a guest that does anything
 *
 * The random guest keeps to the rules of PCI, and an oracle knows what must
 * arrive.  The hostile guest does not, and QEMU must survive it.  Both need a
 * device to pass through, an msix-testdev; libqos/vfio-host.h says how to name
 * it.  The environment sets what they do:
 *
 *   VFIO_MSIX_TEST_SEED  the seed; it is printed, also when it is a random one
 *   VFIO_MSIX_TEST_OPS   number of operations of the random guest; the hostile
 *                        one and the one with KVM make a fifth of it
 *
 * The same seed gives the same operations on the same device, but not the same
 * times at which vectors fire periodically.
 *
 * Nothing depends on speed.  The timeout for what must come is generous.  That
 * nothing more comes is concluded from what the device has raised, and on the
 * simulated host also from what QEMU's main loop has done, see qvfio_fence().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/pci_regs.h"

/* Operations: on the simulated host, and where each costs a VM exit or two */
#define OPS_SIMULATED 100000
#define OPS_OTHER 5000

/* Vectors that take part; the device may have more */
#define MAX_VECTORS 64

/* Words of memory that a vector's message may write to, in turns */
#define SLOTS 4

/* How many vectors fire on their own at a time, at most */
#define MAX_PERIODIC 6

/* Lines that QEMU may write to its log in any case */
#define FREE_LINES 16

/* Where pci-testdev counts 32-bit writes with the low byte COUNTER_DATA */
#define COUNTER_SLOT 5
#define COUNTER_COUNT 12
#define COUNTER_TARGET 2048
#define COUNTER_DATA 0xfa

#define HISTORY 20

/* What the oracle knows of a vector */
typedef struct Vector {
    /* as the guest has set it */
    bool masked;
    bool periodic;
    unsigned slot;
    uint32_t data;

    /*
     * It has been unmasked since MSI-X was enabled, or is being unmasked for
     * the first time.
     */
    bool used;
    bool first;

    /*
     * MSI-X was disabled on the host while the vector was masked: it comes
     * once at the unmask, unless its message was changed since the last one.
     */
    bool replay;
    bool changed;

    /* the vector's counters in the device, as read last or as they must be */
    uint32_t raised;
    uint32_t dropped;
    uint32_t acked;

    /* Guest.windows when @dropped was read */
    unsigned windows;

    /*
     * How many messages can come, at most, if nothing more is raised, and
     * whether one must once the vector is unmasked.  Interrupts may merge.
     */
    unsigned may;
    bool must;
} Vector;

typedef struct Guest {
    QVfioMachine m;
    QMsixTestdev *d;
    QVfioSim *sim;              /* with KVM, whose messages it shows; or NULL */
    GRand *rand;
    unsigned op;
    unsigned vectors;
    unsigned periodic;
    Vector v[MAX_VECTORS];

    bool on;
    bool fmask;

    /*
     * Times at which the device may have dropped interrupts: MSI-X disabled by
     * the guest, or in a resize.
     */
    unsigned windows;
    uint32_t disables;          /* the device's, accounted for */
    unsigned resizes;           /* of these, resizes */

    uint64_t words;             /* SLOTS words for each vector */

    /* One vector at a time may have its messages counted */
    QPCIDevice *counter;
    QPCIBar counter_bar;
    int counted;                /* the vector, or -1 */
    uint32_t count;
} Guest;

static const char *device;
static bool dynamic;
static bool simulated;
static uint32_t seed;
static unsigned long ops;

static char history[HISTORY][80];
static unsigned notes;
static char *qemu_log;          /* where its standard error goes, or NULL */

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

/* Remember the operation, to print the last ones at a failure */
static void G_GNUC_PRINTF(2, 3) note(unsigned op, const char *format, ...)
{
    char *line = history[notes++ % HISTORY];
    int length = snprintf(line, sizeof(history[0]), "%u: ", op);
    va_list args;

    va_start(args, format);
    vsnprintf(line + length, sizeof(history[0]) - length, format, args);
    va_end(args);
}

/* Called whatever ends the test, also if QEMU dies */
static void print_history(void *opaque)
{
    unsigned i;

    fprintf(stderr, "VFIO_MSIX_TEST_SEED=%u VFIO_MSIX_TEST_OPS=%lu, "
            "last operations:\n", seed, ops);
    for (i = notes < HISTORY ? 0 : notes - HISTORY; i < notes; i++) {
        fprintf(stderr, "  %s\n", history[i % HISTORY]);
    }
    if (qemu_log) {
        g_autofree char *text = NULL;

        if (g_file_get_contents(qemu_log, &text, NULL, NULL)) {
            fprintf(stderr, "QEMU said:\n%s", text);
        }
        unlink(qemu_log);
    }
}

static void start_history(const char *what)
{
    notes = 0;
    g_test_message("%s: VFIO_MSIX_TEST_SEED=%u VFIO_MSIX_TEST_OPS=%lu", what,
                   seed, ops);
    qtest_add_abrt_handler(print_history, what);
}

static void end_history(const char *what)
{
    qtest_remove_abrt_handler((void *)what);
}

static G_NORETURN void G_GNUC_PRINTF(2, 3) broken(int line, const char *format,
                                                 ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_assertion_message(G_LOG_DOMAIN, __FILE__, line, G_STRFUNC, text);
    abort();
}

#define check(condition, ...)                   \
    do {                                        \
        if (!(condition)) {                     \
            broken(__LINE__, __VA_ARGS__);                \
        }                                       \
    } while (0)

static unsigned below(GRand *rand, unsigned n)
{
    return g_rand_int(rand) % n;
}

/* True once in @n times */
static bool rarely(GRand *rand, unsigned n)
{
    return !below(rand, n);
}

/*
 * The random guest: what it knows
 */

static bool is_masked(const Guest *g, const Vector *v)
{
    return !g->on || g->fmask || v->masked;
}

static uint64_t entry(Guest *g, unsigned n)
{
    return g->d->msix.addr + g->d->table_off + n * PCI_MSIX_ENTRY_SIZE;
}

static uint64_t word(Guest *g, unsigned n, unsigned slot)
{
    return g->words + (n * SLOTS + slot) * sizeof(uint32_t);
}

/* What the vector has raised on its own since it was last looked at */
static void refresh(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    uint32_t raised, dropped, lost;

    /* A raise between the two reads is counted the next time */
    dropped = qmsix_testdev_vector_read(g->d, n, MSIX_TESTDEV_VECTOR_DROPPED);
    raised = qmsix_testdev_vector_read(g->d, n, MSIX_TESTDEV_VECTOR_RAISED);
    if (raised != v->raised && dropped == v->dropped) {
        /* the counted one is known now */
        dropped = qmsix_testdev_vector_read(g->d, n,
                                            MSIX_TESTDEV_VECTOR_DROPPED);
    }

    lost = dropped - v->dropped;
    check(!lost || !g->on || v->windows != g->windows,
          "vector %u: %u interrupts dropped with MSI-X on", n, lost);
    check(raised - v->raised <= 1 && lost <= raised - v->raised,
          "vector %u: RAISED %u was %u, DROPPED %u was %u", n, raised,
          v->raised, dropped, v->dropped);

    if (raised - v->raised > lost) {
        v->may++;
        v->must = true;
    }
    v->raised = raised;
    v->dropped = dropped;
    v->windows = g->windows;
    if (lost) {
        /* A driver's queue would be stuck */
        v->acked = raised;
        qmsix_testdev_vector_write(g->d, n, MSIX_TESTDEV_VECTOR_ACKED, raised);
    }
}

static void account(Guest *g, unsigned n, unsigned times)
{
    Vector *v = &g->v[n];

    if (!times) {
        return;
    }
    check(!is_masked(g, v), "vector %u: a message while it is masked", n);
    if (v->periodic) {
        refresh(g, n);
    }
    check(times <= v->may,
          "vector %u: extra: %u messages, %u can have been due", n, times,
          v->may);
    v->may -= times;
    v->must = false;
    if (v->periodic && v->acked != v->raised) {
        v->acked = v->raised;
        qmsix_testdev_vector_write(g->d, n, MSIX_TESTDEV_VECTOR_ACKED,
                                   v->acked);
    }
}

static uint32_t read_counter(Guest *g)
{
    return qpci_io_readl(g->counter, g->counter_bar, COUNTER_COUNT);
}

/* @words as read from the vector's slots: all must be from this message */
static bool judge_words(Guest *g, unsigned n, const uint32_t *words)
{
    const Vector *v = &g->v[n];
    bool found = false;
    unsigned slot;

    for (slot = 0; slot < SLOTS; slot++) {
        uint32_t data = le32_to_cpu(words[slot]);

        if (!data) {
            continue;
        }
        check(g->counted != n && slot == v->slot,
              "vector %u: a message to an old address, data 0x%x", n, data);
        check(data == v->data,
              "vector %u: a message with data 0x%x, 0x%x is in the table", n,
              data, v->data);
        found = true;
    }
    return found;
}

static void take_counted(Guest *g)
{
    uint32_t count = read_counter(g), times = count - g->count;

    g->count = count;
    if (g->counted >= 0) {
        account(g, g->counted, times);
    } else {
        check(!times, "a message to an old address: the counter");
    }
}

/* Take what the vector has delivered by now */
static void take(Guest *g, unsigned n)
{
    uint32_t words[SLOTS];

    if (g->counted == n) {
        take_counted(g);
        return;
    }
    qtest_memread(g->m.qts, word(g, n, 0), words, sizeof(words));
    if (judge_words(g, n, words)) {
        qtest_memset(g->m.qts, word(g, n, 0), 0, sizeof(words));
        account(g, n, 1);
    }
}

static void take_all(Guest *g)
{
    uint32_t words[MAX_VECTORS][SLOTS];
    unsigned n;

    take_counted(g);
    qtest_memread(g->m.qts, g->words, words, g->vectors * sizeof(words[0]));
    for (n = 0; n < g->vectors; n++) {
        if (judge_words(g, n, words[n])) {
            qtest_memset(g->m.qts, word(g, n, 0), 0, sizeof(words[0]));
            account(g, n, 1);
        }
    }
}

static void await(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    gint64 end = qmsix_testdev_deadline();

    while (v->must && !is_masked(g, v)) {
        take(g, n);
        check(!v->must || g_get_monotonic_time() < end,
              "vector %u: lost: RAISED %u, nothing came", n, v->raised);
    }
}

static bool is_pending(Guest *g, unsigned n)
{
    return qmsix_testdev_pending(g->d, n);
}

/*
 * A pending bit.  Only of vectors in use: the bits of others are the physical
 * device's, which QEMU shows until it has one of its own.
 */
static void await_pending(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    gint64 end = qmsix_testdev_deadline();

    if (!g->on || !is_masked(g, v) || !v->used || !v->must) {
        return;
    }
    while (!is_pending(g, n)) {
        check(g_get_monotonic_time() < end,
              "vector %u: lost: RAISED %u, masked, and no pending bit", n,
              v->raised);
    }
}

/*
 * There may have been a resize, as @first vectors were unmasked for the first
 * time, but not on a host that can add vectors.
 *
 * Each vector in use gets a replay for each resize if it is unmasked, and one
 * for all of them at its unmask if it is not.  So may one that is not in use,
 * for a pending bit that it had.
 *
 * Vectors that are unmasked together come in their order, and those in use
 * before the new ones, which are beyond what the host has.
 */
static void account_resizes(Guest *g, unsigned first)
{
    uint32_t disables = qmsix_testdev_read(g->d, MSIX_TESTDEV_MSIX_DISABLES);
    int32_t resizes = disables - g->disables;
    unsigned n;

    check(resizes >= 0, "the guest's MSI-X off has not reached the host");
    check(!resizes || !dynamic,
          "MSI-X disabled %d times while the guest has it on", resizes);
    check(resizes <= (int32_t)first,
          "MSI-X disabled %d times for %u vectors", resizes, first);
    if (resizes) {
        note(g->op, "MSI-X disabled and enabled on the host %d times", resizes);
        g->disables = disables;
        g->resizes += resizes;
        g->windows++;
        for (n = 0; n < g->vectors; n++) {
            Vector *v = &g->v[n];

            if (v->used && is_masked(g, v)) {
                v->replay = true;
                continue;
            }
            /* of several at once, one may be in use before the next is added */
            if (v->used || v->may || v->periodic || (v->first && first > 1)) {
                v->may += resizes;
            }
            v->must = v->must || v->used;
        }
    }
    for (n = 0; n < g->vectors; n++) {
        g->v[n].used = g->v[n].used || g->v[n].first;
        g->v[n].first = false;
    }
}

/*
 * The random guest: what it does
 */

static void fire(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];

    note(g->op, "fire %u%s", n, is_masked(g, v) ? " (masked)" : "");
    qmsix_testdev_fire(g->d, n);
    v->raised++;
    if (g->on) {
        v->may++;
        v->must = true;
    } else {
        v->dropped++;
    }
}

static void mask(Guest *g, unsigned n)
{
    note(g->op, "mask %u", n);
    qmsix_testdev_mask(g->d, n);
    take(g, n); /* what came before; from now on nothing may */
    g->v[n].masked = true;
}

/*
 * The vector has been unmasked.  What it has signalled before, as a pending bit
 * or not seen by QEMU yet, merges with the replay; on a real host it may still
 * be on its way.
 */
static void account_unmask(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];

    if (v->replay && !v->changed) {
        v->may = simulated ? MAX(v->may, 1) : v->may + 1;
        v->must = true;
    }
    v->replay = v->changed = false;
}

static void unmasked(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];

    v->masked = false;
    if (is_masked(g, v)) {
        return;
    }
    account_unmask(g, n);
    if (!v->used) {
        v->first = true;
        account_resizes(g, 1);
    }
}

static void unmask(Guest *g, unsigned n)
{
    note(g->op, "unmask %u", n);
    qmsix_testdev_unmask(g->d, n);
    unmasked(g, n);
}

static void write_control(Guest *g, bool on, bool fmask)
{
    qpci_config_writew(g->d->dev, g->d->msix_cap + PCI_MSIX_FLAGS,
                       (on ? PCI_MSIX_FLAGS_ENABLE : 0) |
                       (fmask ? PCI_MSIX_FLAGS_MASKALL : 0));
}

/* What has not come before MSI-X was disabled need not come */
static void forgive(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    bool raced = v->periodic || !simulated;

    if (v->periodic) {
        refresh(g, n);
    }
    /*
     * PCI does not say that a pending bit is cleared.  The physical device has
     * one if nobody listened, or if it fired just as the host masked the
     * vector.
     */
    v->may = v->used && !raced ? 0 : MIN(v->may, 1);
    v->must = false;
    v->used = false;
    v->replay = false;
}

static void control(Guest *g, bool on, bool fmask)
{
    bool was_on = g->on;
    unsigned n, first = 0;

    note(g->op, "MSI-X %s%s", on ? "on" : "off",
         fmask ? ", function mask" : "");
    for (n = 0; n < g->vectors && !was_on && on; n++) {
        if (g->v[n].periodic) {
            refresh(g, n);
        }
    }

    write_control(g, on, fmask);

    g->windows += was_on != on;
    if (was_on && !g->fmask) {
        take_all(g); /* what came before */
    }
    g->fmask = fmask;
    g->on = on;
    if (was_on && !on) {
        g->disables++;
        for (n = 0; n < g->vectors; n++) {
            forgive(g, n);
        }
    }

    for (n = 0; n < g->vectors; n++) {
        Vector *v = &g->v[n];

        if (!is_masked(g, v)) {
            account_unmask(g, n);
            if (!v->used) {
                v->first = true;
                first++;
            }
        }
        if (!was_on && on && v->periodic && v->acked != v->raised) {
            /* from before; if it has left a pending bit, @may says so */
            v->acked = v->raised;
            qmsix_testdev_vector_write(g->d, n, MSIX_TESTDEV_VECTOR_ACKED,
                                       v->acked);
        }
    }
    if (on) {
        account_resizes(g, first);
    }
}

static void write_message(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];

    qmsix_testdev_set_message(g->d, n, g->counted == n ?
                              g->counter_bar.addr + COUNTER_TARGET :
                              word(g, n, v->slot), v->data);
}

static void new_data(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];

    do {
        v->data = g_rand_int(g->rand) & ~0xffu;
        v->data |= g->counted == n ? COUNTER_DATA : below(g->rand, 256);
    } while (!v->data);
    v->changed = true;
}

static void change_message(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    uint64_t data = entry(g, n) + PCI_MSIX_ENTRY_DATA;

    if (!is_masked(g, v)) {
        return;
    }
    take(g, n);

    switch (below(g->rand, 4)) {
    case 0:
        new_data(g, n);
        note(g->op, "data of %u: 0x%x", n, v->data);
        qtest_writel(g->m.qts, data, v->data);
        break;
    case 1:
        /* with the mask bit in one go */
        new_data(g, n);
        note(g->op, "data of %u and unmask: 0x%x", n, v->data);
        qtest_writeq(g->m.qts, data, v->data);
        unmasked(g, n);
        break;
    default:
        if (g->counted == n) {
            g->counted = -1;
        } else if (g->counted < 0 && rarely(g->rand, 4) && !g->sim) {
            /* what KVM delivers is seen in memory only */
            g->counted = n;
        }
        v->slot = below(g->rand, SLOTS);
        new_data(g, n);
        note(g->op, "message of %u: %s %u, 0x%x", n,
             g->counted == n ? "counter" : "slot", v->slot, v->data);
        write_message(g, n);
    }
}

static void start_firing(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    unsigned period;

    if (v->may || g->periodic == MAX_PERIODIC) {
        return;
    }
    period = 20 + below(g->rand, 1000);
    note(g->op, "%u fires every %u us", n, period);
    v->acked = v->raised;
    v->windows = g->windows;
    v->periodic = true;
    g->periodic++;
    qmsix_testdev_vector_write(g->d, n, MSIX_TESTDEV_VECTOR_ACKED, v->acked);
    qmsix_testdev_vector_write(g->d, n, MSIX_TESTDEV_VECTOR_PERIOD, period);
}

static void stop_firing(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];

    note(g->op, "%u stops firing", n);
    qmsix_testdev_vector_write(g->d, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
    refresh(g, n);
    v->periodic = false;
    g->periodic--;
}

/* Slow down calls at some place, so that more happens meanwhile */
static void slow_down(Guest *g)
{
    static const char *const places[] = {
        "set-irqs at=start", "set-irqs at=window", "set-irqs at=end",
        "kvm-irqfd at=start", "kvm-irqfd at=end", "kvm-routes at=start",
        "kvm-routes at=end",
    };
    const char *place = places[below(g->rand, ARRAY_SIZE(places))];
    unsigned us = rarely(g->rand, 2) ? 0 : below(g->rand, 1000);

    note(g->op, "%s takes %u us", place, us);
    qvfio_sim_command(g->sim, "slow %s us=%u", place, us);
}

/* The device was reset; MSI-X is off, and no vector is in use */
static void forget(Guest *g)
{
    unsigned n;

    for (n = 0; n < g->vectors; n++) {
        Vector *v = &g->v[n];

        v->periodic = v->used = v->must = v->replay = false;
        v->raised = v->dropped = v->acked = v->may = 0;
    }
    g->periodic = 0;
    g->windows++;
    g->disables = qmsix_testdev_read(g->d, MSIX_TESTDEV_MSIX_DISABLES);
    qtest_memset(g->m.qts, g->words, 0,
                 g->vectors * SLOTS * sizeof(uint32_t));
    g->count = read_counter(g);
    qmsix_testdev_write(g->d, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);
}

/*
 * QEMU does not see a driver's reset, so the driver has to disable MSI-X; until
 * then, what has reached QEMU may come.
 */
static void flr(Guest *g)
{
    note(g->op, "FLR");
    qmsix_testdev_flr(g->d);
    write_control(g, false, false);
    g->on = g->fmask = false;
    forget(g);
}

static void setup_counter(Guest *g)
{
    qpci_config_writel(g->counter, PCI_BASE_ADDRESS_0, g->counter_bar.addr);
    qpci_config_writew(g->counter, PCI_COMMAND, PCI_COMMAND_MEMORY);
    qpci_io_writeb(g->counter, g->counter_bar, 0, 0);
}

/* After a reset of the machine, or at its start: all is masked */
static void setup(Guest *g)
{
    unsigned n;

    setup_counter(g);
    g->on = g->fmask = false;
    g->counted = -1;
    for (n = 0; n < g->vectors; n++) {
        g->v[n].masked = true;
        g->v[n].slot = below(g->rand, SLOTS);
        new_data(g, n);
        write_message(g, n);
    }
    forget(g);
}

static void system_reset(Guest *g)
{
    note(g->op, "system reset");
    qvfio_machine_reset(&g->m);
    qmsix_testdev_setup_pci(g->d);
    g_assert_false(qmsix_testdev_is_enabled(g->d));
    setup(g);
}

static uint32_t sum_dropped(Guest *g, uint32_t *raised)
{
    uint32_t dropped = 0;
    unsigned n;

    *raised = 0;
    for (n = 0; n < g->vectors; n++) {
        *raised += g->v[n].raised;
        dropped += g->v[n].dropped;
    }
    return dropped;
}

/* A vector that is not periodic raises what it is told to */
static void check_counters(Guest *g)
{
    uint32_t raised, dropped;

    if (g->periodic) {
        return;
    }
    dropped = sum_dropped(g, &raised);
    check(qmsix_testdev_read(g->d, MSIX_TESTDEV_RAISED) == raised,
          "RAISED is not %u", raised);
    check(qmsix_testdev_read(g->d, MSIX_TESTDEV_DROPPED) == dropped,
          "DROPPED is not %u: some were dropped with MSI-X on", dropped);
}

/* Everything that must have come has, and no more */
static void quiet(Guest *g)
{
    uint32_t pba[MAX_VECTORS / 32];
    unsigned n;

    note(g->op, "quiet");
    for (n = 0; n < g->vectors; n++) {
        if (g->v[n].periodic) {
            refresh(g, n);
        }
        await(g, n);
        await_pending(g, n);
    }
    if (g->on) {
        account_resizes(g, 0);
    }
    check_counters(g);

    if (simulated) {
        qvfio_fence(g->d);
    }
    take_all(g);
    if (!g->on) {
        return;
    }

    for (n = 0; n < g->vectors; n += 32) {
        pba[n / 32] = qpci_io_readl(g->d->dev, g->d->msix,
                                    g->d->pba_off + n / 8);
    }
    for (n = 0; n < g->vectors; n++) {
        Vector *v = &g->v[n];
        bool pending = pba[n / 32] & 1u << n % 32;

        if (v->periodic && pending) {
            refresh(g, n);
        }
        /* A real device's own bits are not tracked across resets */
        check(!pending || v->may || (!simulated && !v->used),
              "vector %u: its pending bit is set, with nothing raised: used %d, "
              "masked %d, periodic %d, RAISED %u, PENDED %u, DROPPED %u, "
              "%u resizes", n, v->used, v->masked, v->periodic, v->raised,
              qmsix_testdev_vector_read(g->d, n, MSIX_TESTDEV_VECTOR_PENDED),
              v->dropped, g->resizes);
        if (!simulated || v->periodic || !v->used) {
            continue;
        }
        check(!pending || is_masked(g, v),
              "vector %u: its pending bit is set, but it is unmasked", n);
        check(pending || !v->must, "vector %u: lost: its pending bit fell", n);
        /* whatever has not come by now has merged */
        v->must = pending;
        v->may = pending;
    }
}

static void fire_some(Guest *g, unsigned n)
{
    Vector *v = &g->v[n];
    unsigned times = rarely(g->rand, 8) ? 2 + below(g->rand, 5) : 1;

    if (v->periodic) {
        return;
    }
    if (!rarely(g->rand, 4)) {
        await(g, n); /* the next message is for the next interrupt */
    }
    while (times--) {
        fire(g, n);
    }
}

/*
 * The driver goes away and another one comes, whose vectors are unmasked one by
 * one: that is what resizes are made of.
 */
static void mask_all(Guest *g)
{
    unsigned n;

    for (n = 0; n < g->vectors; n++) {
        mask(g, n);
    }
}

static void operate(Guest *g)
{
    GRand *rand = g->rand;
    unsigned n = below(rand, g->vectors), what = below(rand, 2000);

    /* prefer the counted one now and then, and some to be busy */
    if (rarely(rand, 8) && g->counted >= 0) {
        n = g->counted;
    } else if (rarely(rand, 2)) {
        n %= 8;
    }

    if (what == 0) {
        system_reset(g);
    } else if (what < 4) {
        flr(g);
    } else if (what < 12) {
        if (g->on) {
            control(g, false, rarely(rand, 2) ? g->fmask : !g->fmask);
            if (rarely(rand, 2)) {
                mask_all(g);
            }
        }
    } else if (what < 60) {
        control(g, g->on, !g->fmask);
    } else if (what < 120) {
        quiet(g);
    } else if (what < 150) {
        if (g->v[n].periodic) {
            stop_firing(g, n);
        } else {
            start_firing(g, n);
        }
    } else if (what < 200) {
        take_all(g);
    } else if (what < 202 && g->sim) {
        slow_down(g);
    } else if (what < 350) {
        take(g, n);
    } else if (what < 400) {
        await_pending(g, n);
    } else if (what < 600) {
        change_message(g, n);
    } else if (what < 900) {
        mask(g, n);
    } else if (what < 1250) {
        unmask(g, n);
    } else {
        fire_some(g, n);
    }

    /* not off for long: nothing happens then */
    if (!g->on && rarely(rand, 10)) {
        control(g, true, rarely(rand, 4));
    }
}

static void random_guest(const char *what, bool kvm, unsigned long count)
{
    Guest *g = g_new0(Guest, 1);
    char options[40];
    unsigned n;

    start_history(what);
    snprintf(options, sizeof(options), "-device pci-testdev,addr=%d.0",
             COUNTER_SLOT);
    if (kvm) {
        qvfio_machine_start_kvm(&g->m, device, "", options);
        g->sim = qvfio_sim_connect(device);
        g_assert_nonnull(g->sim);
    } else {
        qvfio_machine_start(&g->m, device, "", options);
    }
    g->d = &g->m.dev;
    g->rand = g_rand_new_with_seed(seed);
    g->vectors = MIN(g->d->vectors, MAX_VECTORS);
    g->words = guest_alloc(&g->m.alloc,
                           g->vectors * SLOTS * sizeof(uint32_t));
    g->counter = qpci_device_find(g->m.bus, QPCI_DEVFN(COUNTER_SLOT, 0));
    g_assert_nonnull(g->counter);
    g->counter_bar = qpci_iomap(g->counter, 0, NULL);
    setup(g);

    for (g->op = 0; g->op < count; g->op++) {
        operate(g);
    }

    /* The end: unmask all */
    control(g, true, false);
    for (n = 0; n < g->vectors; n++) {
        if (g->v[n].periodic) {
            stop_firing(g, n);
        }
        unmask(g, n);
    }
    quiet(g);
    for (n = 0; n < g->vectors; n++) {
        fire(g, n);
        await(g, n);
    }
    quiet(g);

    /* QEMU's statistics, which limit the replays */
    if (qvfio_machine_has_stats(&g->m)) {
        g_assert_cmpint(qvfio_machine_stat(&g->m, "resizes"), ==,
                        g->resizes);
        g_assert_cmpint(qvfio_machine_stat(&g->m, "replays"), <=,
                        (int64_t)g->resizes * g->vectors);
    }

    if (kvm) {
        int64_t assigned = qvfio_machine_stat(&g->m, "irqfd-assigned");
        int64_t injected = qvfio_sim_counter(g->sim, "injected");

        g_test_message("%" PRId64 " times to KVM, which delivered %" PRId64,
                       assigned, injected);
        g_assert_cmpint(assigned, >, 0);
        g_assert_cmpint(injected, >, 0);
        g_assert_cmpint(qvfio_sim_counter(g->sim, "misses"), ==, 0);
        qvfio_sim_free(g->sim);
    }

    guest_free(&g->m.alloc, g->words);
    g_rand_free(g->rand);
    g_free(g->counter);
    qvfio_machine_stop(&g->m);
    g_free(g);
    end_history(what);
}

static void test_random(void)
{
    if (need_device()) {
        random_guest("random", false, ops);
    }
}

/*
 * The hostile guest
 */

typedef struct Hostile {
    QVfioMachine m;
    bool kvm;
    QMsixTestdev *d;
    GRand *rand;
    unsigned op;
    uint8_t msi_cap;
    bool on;
    unsigned enables;
    unsigned lines;             /* in QEMU's log when MSI-X was enabled */
} Hostile;

static char *read_log(void)
{
    char *text = NULL;
    bool ok = g_file_get_contents(qemu_log, &text, NULL, NULL);

    g_assert_true(ok);
    return text;
}

static unsigned count_lines(void)
{
    g_autofree char *text = read_log();
    unsigned n = 0;
    char *c;

    for (c = text; *c; c++) {
        n += *c == '\n';
    }
    return n;
}

/*
 * The host may have fewer vectors than the device.  "info pic" shows that, the
 * log is limited.
 */
static bool setup_failed(Hostile *h, unsigned n)
{
    g_autofree char *failed = NULL;

    if (qvfio_machine_has_stats(&h->m)) {
        failed = qvfio_machine_vector_stat(&h->m, n, "setup-failed");
    }
    return failed && g_str_equal(failed, "1");
}

/* A guest can have each failed vector logged once per enable */
static void check_log(Hostile *h)
{
    unsigned lines = count_lines();

    check(lines - h->lines <= h->d->vectors + FREE_LINES,
          "%u lines in the log since MSI-X was enabled", lines - h->lines);
    h->lines = lines;
}

/* An address for a message, that of the device itself with preference */
static uint64_t hostile_address(Hostile *h)
{
    switch (below(h->rand, 8)) {
    case 0:
        return h->d->regs.addr + (below(h->rand, 0x600) & ~3u);
    case 1:
        return h->d->msix.addr + h->d->table_off +
               (below(h->rand, h->d->vectors * PCI_MSIX_ENTRY_SIZE) & ~3u);
    case 2:
        return h->d->msix.addr + below(h->rand, MSIX_TESTDEV_MSIX_SIZE);
    case 3:
        return 0xfee00000 + below(h->rand, 0x100000);
    case 4:
        return 0xfec00000 + below(h->rand, 0x1000);
    case 5:
        return (uint64_t)g_rand_int(h->rand) << 32 | g_rand_int(h->rand);
    default:
        /* memory; the first MiB has what the machine itself reads */
        return 0x100000 + below(h->rand, 0x3e00000);
    }
}

static void hostile_write(Hostile *h, uint64_t addr, uint64_t val)
{
    QTestState *qts = h->m.qts;

    switch (below(h->rand, 6)) {
    case 0:
        note(h->op, "writeb 0x%" PRIx64 " 0x%x", addr, (uint8_t)val);
        qtest_writeb(qts, addr, val);
        break;
    case 1:
        note(h->op, "writew 0x%" PRIx64 " 0x%x", addr, (uint16_t)val);
        qtest_writew(qts, addr, val);
        break;
    case 2:
        note(h->op, "writeq 0x%" PRIx64 " 0x%" PRIx64, addr, val);
        qtest_writeq(qts, addr, val);
        break;
    default:
        note(h->op, "writel 0x%" PRIx64 " 0x%x", addr, (uint32_t)val);
        qtest_writel(qts, addr, val);
    }
}

static uint64_t hostile_value(Hostile *h)
{
    return (uint64_t)g_rand_int(h->rand) << 32 | g_rand_int(h->rand);
}

static void hostile_table(Hostile *h)
{
    /* only a few vectors, to hit the same ones often */
    unsigned n = rarely(h->rand, 4) ? below(h->rand, h->d->vectors) :
                                      below(h->rand, MIN(h->d->vectors, 8));
    uint64_t addr = h->d->msix.addr + h->d->table_off +
                    n * PCI_MSIX_ENTRY_SIZE;
    uint64_t message = hostile_address(h);
    unsigned ctrl = below(h->rand, 2), i;

    if (rarely(h->rand, 200)) {
        note(h->op, "mask and unmask %u many times", n);
        for (i = 0; i < 2 * (h->d->vectors + FREE_LINES); i++) {
            qtest_writel(h->m.qts, addr + PCI_MSIX_ENTRY_VECTOR_CTRL, ~i & 1);
        }
        return;
    }

    switch (below(h->rand, 6)) {
    case 0:
        note(h->op, "message of %u: 0x%" PRIx64, n, message);
        qtest_writeq(h->m.qts, addr, message);
        qtest_writel(h->m.qts, addr + PCI_MSIX_ENTRY_DATA,
                     below(h->rand, h->d->vectors));
        break;
    case 1:
    case 2:
    case 3:
        note(h->op, "%s %u", ctrl ? "mask" : "unmask", n);
        qtest_writel(h->m.qts, addr + PCI_MSIX_ENTRY_VECTOR_CTRL, ctrl);
        break;
    default:
        hostile_write(h, addr + below(h->rand, PCI_MSIX_ENTRY_SIZE),
                      hostile_value(h));
    }
}

static void hostile_config(Hostile *h, unsigned offset, uint32_t val)
{
    uint16_t flags;

    switch (below(h->rand, 3)) {
    case 0:
        note(h->op, "config byte 0x%x 0x%x", offset, (uint8_t)val);
        qpci_config_writeb(h->d->dev, offset, val);
        break;
    case 1:
        note(h->op, "config word 0x%x 0x%x", offset & ~1u, (uint16_t)val);
        qpci_config_writew(h->d->dev, offset & ~1u, val);
        break;
    default:
        note(h->op, "config long 0x%x 0x%x", offset & ~3u, val);
        qpci_config_writel(h->d->dev, offset & ~3u, val);
    }

    flags = qpci_config_readw(h->d->dev, h->d->msix_cap + PCI_MSIX_FLAGS);
    if (!h->on && flags & PCI_MSIX_FLAGS_ENABLE) {
        check_log(h);
        h->enables++;
    }
    h->on = flags & PCI_MSIX_FLAGS_ENABLE;
}

static void hostile_control(Hostile *h)
{
    uint32_t val = hostile_value(h);

    switch (below(h->rand, 8)) {
    case 0:
        hostile_config(h, h->d->msix_cap + below(h->rand, 12), val);
        break;
    case 1:
        if (h->msi_cap) {
            hostile_config(h, h->msi_cap + below(h->rand, 24), val);
        }
        break;
    case 2:
        /* the enable bit of MSI, whatever that of MSI-X is */
        if (h->msi_cap) {
            hostile_config(h, h->msi_cap + PCI_MSI_FLAGS, val);
        }
        break;
    case 3:
        /* toggle memory decoding, bus mastering and INTx */
        hostile_config(h, PCI_COMMAND, val & 0xffff);
        break;
    case 4:
        note(h->op, "setup");
        qmsix_testdev_setup_pci(h->d);
        break;
    default:
        hostile_config(h, h->d->msix_cap + PCI_MSIX_FLAGS + 1, val >> 16);
    }
}

static void hostile_register(Hostile *h)
{
    static const uint32_t regs[] = {
        MSIX_TESTDEV_CTRL, MSIX_TESTDEV_ACK, MSIX_TESTDEV_INTX
    };
    QMsixTestdev *d = h->d;
    unsigned n = below(h->rand, MIN(d->vectors, 8));

    switch (below(h->rand, 6)) {
    case 0:
        hostile_write(h, d->regs.addr + regs[below(h->rand, 3)],
                      below(h->rand, d->vectors));
        break;
    case 1:
        hostile_write(h, d->regs.addr + below(h->rand, MSIX_TESTDEV_REGS_SIZE),
                      hostile_value(h));
        break;
    case 2:
        note(h->op, "period of %u", n);
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD,
                                   below(h->rand, 1000));
        break;
    default:
        note(h->op, "fire %u", n);
        qmsix_testdev_fire(d, n);
    }
}

static void assert_answers(Hostile *h)
{
    QDict *rsp = qtest_qmp(h->m.qts, "{'execute': 'query-status'}");

    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);

    /* the monitor */
    g_free(qtest_hmp(h->m.qts, "info pic"));
    rsp = qtest_qmp(h->m.qts, "{'execute': 'x-query-irq'}");
    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);
}

/* What a driver does with a device in any state */
static void hostile_end(Hostile *h)
{
    QMsixTestdev *d = h->d;
    unsigned n;

    note(h->op, "clean up");
    qmsix_testdev_setup_pci(d);
    qpci_config_writew(d->dev, d->msix_cap + PCI_MSIX_FLAGS, 0);
    if (h->msi_cap) {
        qpci_config_writew(d->dev, h->msi_cap + PCI_MSI_FLAGS, 0);
    }
    h->on = false;
    qmsix_testdev_flr(d);
    for (n = 0; n < d->vectors; n++) {
        qmsix_testdev_mask(d, n);
        qmsix_testdev_set_default_message(d, n);
    }
    qmsix_testdev_take_all(d, NULL);
}

/* A clean set-up, and a sample of vectors that deliver */
static void assert_works(Hostile *h)
{
    QMsixTestdev *d = h->d;
    unsigned n, step = MAX(d->vectors / 16, 1);

    check_log(h);

    qmsix_testdev_enable(d, true);
    h->enables++;
    for (n = 0; n < d->vectors; n += step) {
        gint64 end = qmsix_testdev_deadline();

        note(h->op, "unmask and fire %u", n);
        qmsix_testdev_unmask(d, n);
        if (n && setup_failed(h, n)) {
            qmsix_testdev_mask(d, n);
            continue;
        }
        if (h->kvm) {
            /*
             * KVM reads an address in memory as the number of an APIC.  What is
             * pending QEMU delivers.
             */
            qmsix_testdev_mask(d, n);
        }
        qmsix_testdev_fire(d, n);
        while (h->kvm && !qmsix_testdev_pending(d, n)) {
            check(g_get_monotonic_time() < end, "vector %u: not pending", n);
        }
        if (h->kvm) {
            qmsix_testdev_unmask(d, n);
        }
        while (!qmsix_testdev_take(d, n)) {
            check(g_get_monotonic_time() < end, "vector %u: lost", n);
        }
        check(!qmsix_testdev_pending(d, n), "vector %u: pending", n);
        qmsix_testdev_mask(d, n);
    }
    qmsix_testdev_enable(d, false);
}

static void hostile_guest(const char *what, bool kvm)
{
    Hostile h = { .kvm = kvm };
    g_autofree char *options = NULL;
    unsigned fds;

    start_history(what);
    qemu_log = qvfio_temporary_file();
    options = g_strdup_printf("2>%s", qemu_log);
    if (kvm) {
        qvfio_machine_start_kvm_iommu(&h.m, device, "", options);
    } else {
        qvfio_machine_start(&h.m, device, "", options);
    }
    h.d = &h.m.dev;
    h.rand = g_rand_new_with_seed(seed);
    h.msi_cap = qpci_find_capability(h.d->dev, PCI_CAP_ID_MSI, 0);

    assert_works(&h); /* also for the descriptors that QEMU opens only once */
    fds = qvfio_machine_fds(&h.m);

    for (h.op = 0; h.op < ops / 5; h.op++) {
        unsigned what = below(h.rand, 100);

        if (what < 40) {
            hostile_table(&h);
        } else if (what < 45) {
            hostile_write(&h, h.d->msix.addr +
                          below(h.rand, MSIX_TESTDEV_MSIX_SIZE - 8),
                          hostile_value(&h));
        } else if (what < 50) {
            hostile_write(&h, h.d->msix.addr + h.d->pba_off +
                          below(h.rand, h.d->vectors / 8 + 8),
                          hostile_value(&h));
        } else if (what < 60) {
            hostile_control(&h);
        } else if (what < 65) {
            qmsix_testdev_pending(h.d, below(h.rand, h.d->vectors));
        } else {
            hostile_register(&h);
        }
        if (h.op % 100 == 99) {
            assert_answers(&h);
        }
    }

    hostile_end(&h);
    assert_answers(&h);
    g_assert_cmpuint(qvfio_machine_fds(&h.m), ==, fds);
    assert_works(&h);
    g_assert_cmpuint(qvfio_machine_fds(&h.m), ==, fds);

    check_log(&h);
    g_test_message("%u lines in the log, MSI-X enabled %u times", h.lines,
                   h.enables);

    g_rand_free(h.rand);
    qvfio_machine_stop(&h.m);
    unlink(qemu_log);
    g_clear_pointer(&qemu_log, g_free);
    end_history(what);
}

static void test_hostile(void)
{
    if (need_device()) {
        hostile_guest("hostile", false);
    }
}

static bool need_kvm(void)
{
    if (!need_device()) {
        return false;
    }
    if (!qvfio_sees_kvm()) {
        g_test_skip("what KVM delivers is not to be seen here");
        return false;
    }
    if (!qvfio_has_kvm()) {
        g_test_skip("no access to /dev/kvm");
        return false;
    }
    return true;
}

/* KVM gets vectors that stay unmasked, with delays of the calls */
static void test_random_kvm(void)
{
    if (need_kvm()) {
        random_guest("random-kvm", true, ops / 5);
    }
}

/* With an IOMMU known to KVM, messages can be wrong in more ways */
static void test_hostile_kvm(void)
{
    if (need_kvm()) {
        hostile_guest("hostile-kvm", true);
    }
}

static unsigned long from_environment(const char *name, unsigned long other)
{
    const char *text = getenv(name);
    unsigned long value;

    if (!text || !*text) {
        return other;
    }
    if (qemu_strtoul(text, NULL, 0, &value)) {
        g_error("%s: not a number: %s", name, text);
    }
    return value;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);
    dynamic = device && qvfio_msix_is_dynamic(device);
    simulated = device && !g_str_has_prefix(device, "host=");
    seed = from_environment("VFIO_MSIX_TEST_SEED", g_random_int());
    ops = from_environment("VFIO_MSIX_TEST_OPS",
                           simulated ? OPS_SIMULATED : OPS_OTHER);

    qtest_add_func("vfio-msix-random/random", test_random);
    qtest_add_func("vfio-msix-random/random-kvm", test_random_kvm);
    qtest_add_func("vfio-msix-random/hostile", test_hostile);
    qtest_add_func("vfio-msix-random/hostile-kvm", test_hostile_kvm);

    return g_test_run();
}
