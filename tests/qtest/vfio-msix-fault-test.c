/*
 * QTest testcase for MSI-X of vfio-pci when the host fails
 *
 * Whichever call fails, and whenever: QEMU survives, the other vectors deliver,
 * each vector that fails has one line in the log and works at an unmask after
 * the cause is gone, and no descriptor is leaked.
 *
 * This needs the simulated host of tests/vfio-sim, which fails on command, and
 * is skipped without.
 *
 *   VFIO_MSIX_TEST_UNMASKS  how often the guest of "failure-flood" unmasks a
 *                           vector whose set-up fails (default: 1000)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "libqtest.h"
#include "libqos/msix-account.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/pci_regs.h"

/* Vectors that the guest uses */
#define USED 8
#define ALL_USED (BIT_ULL(USED) - 1)

/*
 * Vectors that the guest uses before it adds vector HAD.  Without dynamic MSI-X
 * QEMU resizes to twice as many for it, or else to HAD + 1.
 */
#define HAD 4
#define ALL_HAD (BIT_ULL(HAD) - 1)

/*
 * What the guest does, and the host may fail at.  All vectors are checked after
 * each step.
 */
enum {
    STEP_ENABLE_NONE,
    STEP_UNMASK,                        /* and one for each vector */
    STEP_MASKS = STEP_UNMASK + USED,    /* each is masked and unmasked */
    STEP_DISABLE,
    STEP_ENABLE_ALL,                    /* with all unmasked */
    STEP_RESET,                         /* of the system */
    N_STEPS
};

/* The most lines in a step: a guest must not flood the host's log */
#define MAX_OTHER_LINES 3

typedef struct Faulty {
    QVfioMachine m;
    QMsixTestdev *d;
    QVfioSim *sim;
    char *path;
    char *name;
    unsigned fds;               /* of QEMU, before the first fault */

    /* lines that QEMU has written */
    unsigned lines_seen;
    unsigned failures[USED];    /* since MSI-X was last enabled */
    unsigned other_lines;       /* of this step */
    unsigned unclear_lines;     /* without the device or the cause */
    unsigned total_failures;    /* since the fault was set */
    const char *cause;          /* the reason that each failure must give */

    /* vectors, bit maps */
    uint64_t unmasked;
    uint64_t failed;            /* nothing is expected of them for now */

    bool enabled;
    /* the host has run out of vectors, and no call fails otherwise */
    bool exhausted;
} Faulty;

static const char *device;
static bool dynamic;

static bool need_simulation(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
        return false;
    }
    if (!getenv("VFIO_SIM")) {
        g_test_skip("not on the simulated host of tests/vfio-sim");
        return false;
    }
    return true;
}

static int64_t faults(Faulty *f)
{
    return qvfio_sim_counter(f->sim, "faults");
}

/* Read QEMU's log, which is written before a guest's access ends. */
static void read_lines(Faulty *f)
{
    g_auto(GStrv) lines = qvfio_stderr_lines(f->path);

    for (; lines[f->lines_seen] && *lines[f->lines_seen]; f->lines_seen++) {
        const char *line = lines[f->lines_seen];
        int n = qvfio_failed_vector(line, f->name);

        g_test_message("%s", line);
        f->unclear_lines += !strstr(line, f->name);
        if (n < 0) {
            f->other_lines++;
            continue;
        }

        g_assert_cmpint(n, <, USED);
        f->unclear_lines += !strstr(line, f->cause ?: "");
        f->failures[n]++;
        f->total_failures++;
        f->failed |= BIT_ULL(n);
        g_assert_cmpuint(f->failures[n], ==, 1);
    }
}

static void enable(Faulty *f)
{
    memset(f->failures, 0, sizeof(f->failures));
    f->failed = 0;
    qmsix_testdev_enable(f->d, true);
    f->enabled = true;
    read_lines(f);
}

static void disable(Faulty *f)
{
    qmsix_testdev_enable(f->d, false);
    f->enabled = false;
    read_lines(f);
}

static void unmask(Faulty *f, unsigned n)
{
    int64_t before = faults(f);
    uint64_t failed = f->failed;
    unsigned i;

    qmsix_testdev_unmask(f->d, n);
    f->unmasked |= BIT_ULL(n);
    read_lines(f);

    if (f->exhausted) {
        return;
    }
    if (faults(f) == before) {
        /* The unmask did not fail, so the vector has to work */
        g_assert_cmphex(f->failed, ==, failed);
        f->failed &= ~BIT_ULL(n);
        return;
    }
    /*
     * A vector that failed before may fail again, without a line; without
     * dynamic MSI-X other vectors may, too.
     */
    for (i = 0; i < USED; i++) {
        if (f->failures[i] && (i == n || !dynamic)) {
            f->failed |= BIT_ULL(i);
        }
    }
}

/*
 * Take replays, which QEMU signals after MSI-X was disabled on the host, and
 * interrupts that were accounted for.
 */
static void drain(Faulty *f)
{
    qvfio_fence(f->d);
    qmsix_testdev_take_all(f->d, NULL);
}

static void check(Faulty *f)
{
    unsigned n;

    drain(f);
    for (n = 0; n < USED && f->enabled; n++) {
        if (f->unmasked & ~f->failed & BIT_ULL(n) &&
            !qmsix_testdev_delivers(f->d, n)) {
            g_test_message("vector %u", n);
            g_assert_not_reached();
        }
    }
}

static void mask_and_unmask(Faulty *f, unsigned n)
{
    bool fire = !(f->failed & BIT_ULL(n));

    qmsix_testdev_mask(f->d, n);
    if (fire) {
        qmsix_testdev_fire(f->d, n);
        g_assert_true(qmsix_testdev_eventually(f->d, n,
                                               qmsix_testdev_pending));
    }
    unmask(f, n);
    if (fire) {
        /* It had come before anything failed */
        g_assert_true(qmsix_testdev_take(f->d, n));
        qmsix_testdev_ack(f->d, n);
    }
}

static void system_reset(Faulty *f)
{
    qvfio_machine_reset(&f->m);
    f->enabled = false;
    f->unmasked = 0;
    read_lines(f);
    qvfio_machine_setup_device(&f->m);
    qmsix_testdev_take_all(f->d, NULL);
}

static void step(Faulty *f, unsigned number)
{
    int64_t before = faults(f);
    unsigned n;

    f->other_lines = 0;
    switch (number) {
    case STEP_ENABLE_NONE:
    case STEP_ENABLE_ALL:
        enable(f);
        break;
    case STEP_UNMASK ... STEP_MASKS - 1:
        unmask(f, number - STEP_UNMASK);
        break;
    case STEP_MASKS:
        for (n = 0; n < USED; n++) {
            mask_and_unmask(f, n);
        }
        break;
    case STEP_DISABLE:
        disable(f);
        break;
    case STEP_RESET:
        system_reset(f);
        break;
    default:
        g_assert_not_reached();
    }

    check(f);
    g_assert_cmpuint(f->other_lines, <=, MAX_OTHER_LINES);
    if (!f->exhausted) {
        /* a reset goes for INTx twice, before and after the device's own */
        g_assert_cmpint(f->other_lines, <=,
                        (faults(f) - before) * (1 + (number == STEP_RESET)));
    }
}

/* The host fails no more: each vector works once the guest unmasks it */
static void recover(Faulty *f)
{
    unsigned n;

    qvfio_sim_command(f->sim, "clear");
    qvfio_sim_command(f->sim, "pool unlimited");
    f->exhausted = false;
    f->cause = NULL;
    if (f->enabled) {
        for (n = 0; n < USED; n++) {
            if (f->failed & f->unmasked & BIT_ULL(n)) {
                qmsix_testdev_mask(f->d, n);
                unmask(f, n);
            }
        }
        g_assert_cmphex(f->failed & f->unmasked, ==, 0);
    }
}

static void heal(Faulty *f)
{
    recover(f);
    check(f);
    /* Last, as interrupts matter more than the log */
    g_assert_cmpuint(f->unclear_lines, ==, 0);
}

static void start_fault(Faulty *f, const char *command)
{
    f->total_failures = 0;
    qvfio_sim_command(f->sim, "%s", command);
}

/* Undo all steps, and check that no descriptor is left. */
static void finish(Faulty *f)
{
    unsigned n;

    heal(f);
    if (!f->enabled) {
        enable(f);
    }
    for (n = 0; n < USED; n++) {
        qmsix_testdev_mask(f->d, n);
        unmask(f, n);
    }
    g_assert_cmphex(f->failed, ==, 0);
    check(f);
    for (n = 0; n < USED; n++) {
        qmsix_testdev_mask(f->d, n);
    }
    f->unmasked = 0;
    disable(f);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "triggers"), ==, 0);

    if (f->fds) {
        g_assert_cmpuint(qvfio_sim_qemu_fds(f->sim), ==, f->fds);
    }
}

/* All steps, with @fault (or NULL) from step @from to step @to. */
static void scenario(Faulty *f, const char *fault, unsigned from, unsigned to)
{
    unsigned i;

    for (i = 0; i < N_STEPS; i++) {
        if (fault && i == from) {
            start_fault(f, fault);
        }
        step(f, i);
        if (fault && i == to) {
            heal(f);
        }
    }
    finish(f);
}

static void start(Faulty *f)
{
    g_autofree char *redirect = NULL;

    memset(f, 0, sizeof(*f));
    f->name = qvfio_device_name(device);
    f->path = qvfio_temporary_file();
    redirect = g_strdup_printf("2>%s", f->path);
    qvfio_machine_start(&f->m, device, "", redirect);
    f->d = &f->m.dev;
    g_assert_cmpuint(f->d->vectors, >=, USED);
    f->sim = qvfio_sim_connect(device);
    g_assert_nonnull(f->sim);

    /* Without a fault; the first time allocates what QEMU keeps */
    scenario(f, NULL, 0, 0);
    g_assert_cmpuint(f->lines_seen, ==, 0);
    f->fds = qvfio_sim_qemu_fds(f->sim);
}

static void stop(Faulty *f)
{
    qvfio_sim_free(f->sim);
    qvfio_machine_stop(&f->m);
    unlink(f->path);
    g_free(f->path);
    g_free(f->name);
}

/* The guest enables MSI-X and uses HAD vectors */
static void use_some(Faulty *f)
{
    unsigned n;

    enable(f);
    for (n = 0; n < HAD; n++) {
        unmask(f, n);
    }
    g_assert_cmphex(f->failed, ==, 0);
    check(f);
    drain(f);
    if (!dynamic) {
        g_assert_cmpint(qvfio_sim_counter(f->sim, "allocated"), ==, HAD);
    }
}

/* Each fires when the host has disabled something */
static void fire_in_window(Faulty *f, uint64_t vectors)
{
    unsigned n;

    for (n = 0; n < USED; n++) {
        if (vectors & BIT_ULL(n)) {
            qvfio_sim_command(f->sim, "fire %u at=window", n);
        }
    }
}

static uint64_t outstanding(Faulty *f)
{
    return qmsix_testdev_read(f->d, MSIX_TESTDEV_OUTSTANDING) & ALL_USED;
}

/* The guest gets an interrupt of each of these that has fired */
static void assert_told(Faulty *f, uint64_t vectors)
{
    uint64_t fired = outstanding(f) & vectors;
    unsigned n;

    for (n = 0; n < USED; n++) {
        if (fired & BIT_ULL(n)) {
            if (!qmsix_testdev_eventually(f->d, n, qmsix_testdev_take)) {
                g_test_message("vector %u", n);
                g_assert_not_reached();
            }
            qmsix_testdev_ack(f->d, n);
        }
    }
}

/*
 * The guest adds vector HAD while those that it has fire, just when the host
 * has MSI-X disabled for the resize.
 */
static void resize_while_firing(Faulty *f)
{
    int64_t dropped = qvfio_sim_counter(f->sim, "dropped");

    fire_in_window(f, ALL_HAD);
    unmask(f, HAD);
    /* the device has fired in the resize */
    g_assert_cmpint(qvfio_sim_counter(f->sim, "dropped"), ==, dropped + HAD);
}

static bool need_resize(void)
{
    if (!need_simulation()) {
        return false;
    }
    if (dynamic) {
        g_test_skip("the host can add single MSI-X vectors");
        return false;
    }
    return true;
}

/* Each single call fails once, and costs one vector at most */
static void test_nth_call(const void *opaque)
{
    const char *result = opaque;
    bool is_errno = g_ascii_isalpha(*result);
    Faulty f;
    unsigned nth;
    int64_t before;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (nth = 1;; nth++) {
        g_autofree char *fault = g_strdup_printf("fault set-irqs nth=%u "
                                                 "result=%s", nth, result);

        g_test_message("%s", fault);
        before = faults(&f);
        scenario(&f, fault, 0, N_STEPS - 1);
        if (faults(&f) == before) {
            break;
        }
        if (is_errno || dynamic) {
            g_assert_cmpuint(f.total_failures, <=, 1);
        }
    }
    /* all calls were covered */
    g_assert_cmpuint(nth, >, N_STEPS);
    stop(&f);
}

/* All calls fail from one step to another */
static void test_all_calls(const void *opaque)
{
    const char *result = opaque;
    g_autofree char *fault = g_strdup_printf("fault set-irqs result=%s",
                                             result);
    Faulty f;
    unsigned i;
    int64_t before;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (i = 0; i < N_STEPS; i++) {
        g_test_message("%s in step %u", fault, i);
        before = faults(&f);
        scenario(&f, fault, i, i);
        if (i == STEP_MASKS) {
            /* the host is not asked */
            g_assert_cmpint(faults(&f), ==, before);
        } else {
            g_assert_cmpint(faults(&f), >, before);
        }
        if (dynamic && i >= STEP_UNMASK && i < STEP_MASKS) {
            g_assert_cmpuint(f.total_failures, ==, 1);
        }
    }
    scenario(&f, fault, 0, STEP_MASKS);
    g_assert_cmpuint(f.total_failures, ==, USED);
    scenario(&f, fault, STEP_MASKS, STEP_ENABLE_ALL);
    scenario(&f, fault, STEP_UNMASK + 3, STEP_RESET);
    stop(&f);
}

/* The host fails each call that is about one vector */
static void test_one_vector(const void *opaque)
{
    const char *result = opaque;
    const char *cause = strerror(!strcmp(result, "ENOMEM") ? ENOMEM : ENOSPC);
    Faulty f;
    unsigned v, i;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (v = 0; v < USED; v++) {
        g_autofree char *fault = g_strdup_printf("fault set-irqs vector=%u "
                                                 "result=%s", v, result);

        g_test_message("%s", fault);
        f.cause = cause;
        start_fault(&f, fault);
        for (i = STEP_ENABLE_NONE; i <= STEP_MASKS; i++) {
            step(&f, i);
            g_assert_cmphex(f.failed, ==,
                            i >= STEP_UNMASK + v ? BIT_ULL(v) : 0);
        }
        /* tried each time, reported once */
        for (i = 0; i < 20; i++) {
            int64_t before = faults(&f);

            mask_and_unmask(&f, v);
            g_assert_cmpint(faults(&f), >, before);
        }
        g_assert_cmpuint(f.total_failures, ==, 1);
        check(&f);
        heal(&f);

        step(&f, STEP_DISABLE);
        f.cause = cause;
        start_fault(&f, fault);
        step(&f, STEP_ENABLE_ALL);
        g_assert_cmphex(f.failed, ==, BIT_ULL(v));
        g_assert_cmpuint(f.total_failures, ==, 1);
        step(&f, STEP_MASKS);
        g_assert_cmphex(f.failed, ==, BIT_ULL(v));
        g_assert_cmpuint(f.total_failures, ==, 1);
        heal(&f);
        finish(&f);
    }
    stop(&f);
}

/* QEMU has no descriptors left, sooner or later */
static void test_eventfds(void)
{
    Faulty f;
    unsigned nth;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (nth = 1; nth <= USED + 1; nth++) {
        g_autofree char *fault = g_strdup_printf("fault eventfd nth=%u "
                                                 "result=EMFILE", nth);
        uint64_t failed = ALL_USED & ~(BIT_ULL(nth - 1) - 1);
        unsigned i;

        g_test_message("%s", fault);
        f.exhausted = true;
        f.cause = strerror(EMFILE);
        start_fault(&f, fault);
        for (i = STEP_ENABLE_NONE; i <= STEP_MASKS; i++) {
            step(&f, i);
        }
        g_assert_cmphex(f.failed, ==, failed);
        heal(&f);

        f.exhausted = true;
        f.cause = strerror(EMFILE);
        start_fault(&f, "fault eventfd result=EMFILE");
        step(&f, STEP_DISABLE);
        g_assert_cmpuint(f.other_lines, ==, 1); /* it cannot have INTx */
        heal(&f);

        f.exhausted = true;
        f.cause = strerror(EMFILE);
        start_fault(&f, fault);
        step(&f, STEP_ENABLE_ALL);
        g_assert_cmphex(f.failed, ==, failed);
        step(&f, STEP_MASKS);
        g_assert_cmphex(f.failed, ==, failed);
        step(&f, STEP_RESET);
        finish(&f);
    }
    stop(&f);
}

static void check_pool(Faulty *f, unsigned size)
{
    uint64_t had = BIT_ULL(size) - 1;

    if (!f->enabled) {
        return;
    }
    /* a mediated device emulates vector 0 */
    g_assert_cmphex(f->failed & had, ==, 0);
    g_assert_cmphex(f->failed | had | BIT_ULL(size), ==,
                    ALL_USED | BIT_ULL(size));
    g_assert_cmpint(qvfio_sim_counter(f->sim, "used"), ==, size);
}

/* The host has fewer vectors than the guest uses */
static void test_pool(void)
{
    Faulty f;
    unsigned size, i;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (size = 0; size < USED; size++) {
        g_autofree char *pool = g_strdup_printf("pool %u", size);

        g_test_message("%s", pool);
        f.exhausted = true;
        start_fault(&f, pool);
        for (i = STEP_ENABLE_NONE; i <= STEP_MASKS; i++) {
            step(&f, i);
        }
        check_pool(&f, size);
        g_assert_cmpuint(f.total_failures, ==, ctpop64(f.failed));
        heal(&f);

        step(&f, STEP_DISABLE);
        f.exhausted = true;
        start_fault(&f, pool);
        step(&f, STEP_ENABLE_ALL);
        check_pool(&f, size);
        step(&f, STEP_MASKS);
        check_pool(&f, size);
        g_assert_cmpuint(f.total_failures, ==, ctpop64(f.failed));
        heal(&f);
        step(&f, STEP_RESET);
        finish(&f);
    }
    stop(&f);
}

/*
 * Without dynamic MSI-X, and with fewer than twice as many vectors, the host is
 * resized to what it has: one more is enough.
 */
static void test_resize_fallback(void)
{
    static const struct {
        const char *pool;
        unsigned times;         /* calls that fail, and name no number */
        unsigned total;         /* allocated in the end */
    } hosts[] = {
        /* HAD is 4 */
        { "unlimited", 0, 8 },
        /* the call returns how many there are */
        { "7", 0, 7 },
        { "6", 0, 6 },
        { "5", 0, 5 },
        /* the triggers fail, then the number, then the next number */
        { "unlimited", 1, 8 },
        { "unlimited", 2, 6 },
        { "unlimited", 3, 5 },
        /* the one as well as the other */
        { "7", 1, 7 },
        { "6", 1, 6 },
        { "5", 1, 5 },
        { "5", 2, 5 },
    };
    Faulty f;
    unsigned i;

    if (!need_resize()) {
        return;
    }

    start(&f);
    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_test_message("pool %s, %u calls fail", hosts[i].pool, hosts[i].times);
        use_some(&f);

        f.exhausted = true;
        qvfio_sim_command(f.sim, "pool %s", hosts[i].pool);
        if (hosts[i].times) {
            qvfio_sim_command(f.sim, "fault set-irqs index=MSIX data=EVENTFD "
                              "result=ENOSPC times=%u", hosts[i].times);
        }
        resize_while_firing(&f);
        assert_told(&f, ALL_HAD);
        g_assert_cmphex(f.failed, ==, 0);
        check(&f); /* the new one as well */
        g_assert_cmpint(qvfio_sim_counter(f.sim, "allocated"), ==,
                        hosts[i].total);
        finish(&f);
    }
    g_assert_cmpuint(f.lines_seen, ==, 0);
    stop(&f);
}

/* The resize fails, and the guest keeps what it had */
static void resize_fails(Faulty *f, const char *fault)
{
    unsigned round;

    g_test_message("%s", fault);
    use_some(f);
    f->exhausted = true;
    f->cause = strerror(ENOSPC);
    start_fault(f, fault);
    resize_while_firing(f);
    assert_told(f, ALL_HAD);
    g_assert_cmphex(f->failed, ==, BIT_ULL(HAD));
    check(f);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "allocated"), ==, HAD);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "triggers"), ==, HAD);

    /* nor is anything lost when it fails again */
    for (round = 0; round < 3; round++) {
        drain(f);
        qvfio_sim_command(f->sim, "clear");
        qvfio_sim_command(f->sim, "%s", fault);
        qmsix_testdev_mask(f->d, HAD);
        resize_while_firing(f);
        assert_told(f, ALL_HAD);
        check(f);
    }
    g_assert_cmpuint(f->total_failures, ==, 1);

    /* nor when it fails no more */
    drain(f);
    qvfio_sim_command(f->sim, "clear");
    qvfio_sim_command(f->sim, "pool unlimited");
    f->exhausted = false;
    qmsix_testdev_mask(f->d, HAD);
    resize_while_firing(f);
    assert_told(f, ALL_HAD);
    g_assert_cmphex(f->failed, ==, 0);
    finish(f);
}

static void test_resize_fails(void)
{
    Faulty f;

    if (!need_resize()) {
        return;
    }

    start(&f);
    resize_fails(&f, "pool " stringify(HAD));
    /* HAD * 2, the same without triggers, fewer, and HAD + 1 fail */
    resize_fails(&f, "fault set-irqs index=MSIX data=EVENTFD result=ENOSPC "
                 "times=4");
    /* and so do the triggers with the previous number */
    resize_fails(&f, "fault set-irqs index=MSIX data=EVENTFD result=ENOSPC "
                 "times=5");
    stop(&f);
}

/*
 * Whatever fails in a resize, no interrupt is lost: it comes at once for
 * vectors that work, and for the others when they do.  Returns those that
 * failed.
 */
static uint64_t resize_and_recover(Faulty *f, const char *fault)
{
    uint64_t failed;
    unsigned n;

    g_test_message("%s", fault);
    use_some(f);
    start_fault(f, fault);
    fire_in_window(f, ALL_HAD);
    unmask(f, HAD);
    failed = f->failed;
    assert_told(f, ALL_HAD & ~failed);
    /* QEMU may have signalled the others as well */
    qvfio_fence(f->d);
    for (n = 0; n < HAD; n++) {
        if (qmsix_testdev_take(f->d, n)) {
            qmsix_testdev_ack(f->d, n);
        }
    }
    check(f);
    drain(f);
    recover(f);
    assert_told(f, ALL_HAD);
    finish(f);
    return failed;
}

/* Any call fails, and some of those after it */
static void test_resize_nth_call(const void *opaque)
{
    const char *result = opaque;
    Faulty f;
    unsigned nth, times;
    int64_t before;

    if (!need_resize()) {
        return;
    }

    start(&f);
    for (nth = 1, before = -1; faults(&f) > before; nth++) {
        before = faults(&f);
        /* as many as leave MSI-X disabled in the end, and more */
        for (times = 1; times <= 16; times++) {
            g_autofree char *fault =
                g_strdup_printf("fault set-irqs nth=%u times=%u result=%s",
                                nth, times, result);

            resize_and_recover(&f, fault);
        }
    }
    g_assert_cmpuint(nth, >, 3);
    stop(&f);
}

/* While MSI-X is disabled other devices take this one's vectors */
static void test_resize_robbed(void)
{
    Faulty f;
    unsigned left;

    if (!need_resize()) {
        return;
    }

    start(&f);
    for (left = 0; left < HAD; left++) {
        g_autofree char *pool = g_strdup_printf("pool %u", left);

        f.exhausted = true;
        f.cause = strerror(ENOSPC);
        g_assert_cmphex(resize_and_recover(&f, pool), ==,
                        (ALL_HAD | BIT_ULL(HAD)) & ~(BIT_ULL(left) - 1));
    }
    stop(&f);
}

/*
 * Masked vectors that fire in a resize come once at their unmask.  Nobody can
 * know that they have, so that no pending bit says so.
 */
static void test_resize_masked(void)
{
    const uint64_t masked = BIT_ULL(1) | BIT_ULL(3);
    Faulty f;
    unsigned n, round;

    if (!need_resize()) {
        return;
    }

    start(&f);
    for (round = 0; round < 2; round++) {
        use_some(&f);
        for (n = 0; n < HAD; n++) {
            if (masked & BIT_ULL(n)) {
                qmsix_testdev_mask(f.d, n);
                f.unmasked &= ~BIT_ULL(n);
            }
        }
        if (round) {
            /* MSI-X cannot be enabled again for a long time */
            start_fault(&f, "fault set-irqs index=MSIX data=EVENTFD "
                        "result=ENOSPC");
        }
        resize_while_firing(&f);
        recover(&f);
        assert_told(&f, ALL_HAD & ~masked);
        qvfio_fence(f.d);
        for (n = 0; n < HAD; n++) {
            if (masked & BIT_ULL(n)) {
                g_assert_false(qmsix_testdev_pending(f.d, n));
                g_assert_false(qmsix_testdev_take(f.d, n));
            }
        }
        drain(&f);
        for (n = 0; n < HAD; n++) {
            if (masked & BIT_ULL(n)) {
                unmask(&f, n);
            }
        }
        g_assert_cmphex(outstanding(&f), ==, masked);
        assert_told(&f, masked);
        qvfio_fence(f.d);
        g_assert_cmpuint(qmsix_testdev_take_all(f.d, NULL), ==, 0);
        finish(&f);
    }
    stop(&f);
}

/*
 * One vector fails when all are enabled again: the others work, and it works
 * when the host fails no more.
 */
static void test_block_retry(void)
{
    Faulty f;
    unsigned v;

    if (!need_resize()) {
        return;
    }

    start(&f);
    for (v = 0; v <= HAD; v++) {
        g_autofree char *fault = g_strdup_printf("fault set-irqs vector=%u "
                                                 "result=ENOMEM", v);

        g_test_message("%s", fault);
        use_some(&f);
        f.cause = strerror(ENOMEM);
        start_fault(&f, fault);
        resize_while_firing(&f);
        /* the replay needs no trigger */
        assert_told(&f, ALL_HAD);
        g_assert_cmphex(f.failed, ==, BIT_ULL(v));
        check(&f);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "triggers"), ==, HAD);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "allocated"), ==, 2 * HAD);
        heal(&f);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "triggers"), ==, HAD + 1);
        finish(&f);
    }
    stop(&f);
}

/* The device asserts INTx, and the host's line must not stay blocked */
static void assert_parked(Faulty *f)
{
    g_assert_cmphex(qmsix_testdev_read(f->d, MSIX_TESTDEV_STATUS), ==,
                    MSIX_TESTDEV_STATUS_INTX);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "intx_wire"), ==, 0);
}

/*
 * The host cannot enable MSI-X, at first or in a resize, and the device uses
 * INTx, which the guest does not handle: it must not block the host's line.
 * When MSI-X can be enabled the guest gets its replays, and when it disables
 * MSI-X, INTx works.
 */
static void test_enable_fails_intx(void)
{
    const char *fault = "fault set-irqs index=MSIX data=EVENTFD result=ENOSPC";
    Faulty f;
    int64_t unhandled;
    unsigned n, round;
    bool resize;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    qtest_irq_intercept_in(f.m.qts, "ioapic");
    for (round = 0; round < 6; round++) {
        resize = round % 2;
        if (resize && dynamic) {
            continue;
        }

        if (resize) {
            use_some(&f);
        } else {
            for (n = 0; n < HAD; n++) {
                qmsix_testdev_unmask(f.d, n);
            }
            f.unmasked = ALL_HAD;
        }
        f.cause = strerror(ENOSPC);
        qmsix_testdev_write(f.d, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_INTX);
        unhandled = qvfio_sim_counter(f.sim, "intx_unhandled");
        start_fault(&f, fault);
        if (resize) {
            /* the line can be asserted in a resize */
            unhandled++;
            fire_in_window(&f, BIT_ULL(0));
            unmask(&f, HAD);
            assert_parked(&f);
        } else {
            enable(&f);
        }
        for (n = 0; n < HAD; n++) {
            qmsix_testdev_fire(f.d, n);
            assert_parked(&f);
        }
        g_assert_cmpint(qvfio_sim_counter(f.sim, "intx_unhandled"), ==,
                        unhandled);
        g_assert_true(qvfio_intx_low(f.d, 0));
        g_assert_cmphex(f.failed, ==, f.unmasked);

        if (round / 2 == 1) {
            /* the guest disables MSI-X, and handles INTx */
            disable(&f);
            g_assert_true(qmsix_testdev_eventually(f.d, 0, qvfio_intx_high));
            heal(&f);
        } else {
            if (round / 2 == 2) {
                /* the guest tries MSI-X again */
                qmsix_testdev_mask(f.d, 0);
                unmask(&f, 0);
                assert_parked(&f);
            }
            recover(&f);
            assert_told(&f, ALL_HAD);
            g_assert_cmphex(outstanding(&f), ==, 0);
            g_assert_cmphex(qmsix_testdev_read(f.d, MSIX_TESTDEV_STATUS), ==,
                            MSIX_TESTDEV_STATUS_MSIX);
            heal(&f);
            disable(&f);
        }
        qmsix_testdev_write(f.d, MSIX_TESTDEV_CTRL, 0);
        qmsix_testdev_write(f.d, MSIX_TESTDEV_INTX, 0);
        qvfio_assert_intx_works(f.d);
        finish(&f);
        qvfio_assert_intx_works(f.d);
    }
    stop(&f);
}

/* However often a guest unmasks a failed vector, the log has one line */
static void failure_flood(Faulty *f, unsigned unmasks, const char *fault,
                          uint64_t failed)
{
    unsigned i, lines = f->lines_seen;

    g_test_message("%s", fault);
    use_some(f);
    f->exhausted = true;
    start_fault(f, fault);
    for (i = 0; i < unmasks; i++) {
        qmsix_testdev_unmask(f->d, HAD);
        qmsix_testdev_mask(f->d, HAD);
    }
    unmask(f, HAD);
    g_assert_cmpuint(f->lines_seen - lines, ==, ctpop64(failed));
    g_assert_cmphex(f->failed, ==, failed);
    check(f);
    finish(f);
}

static void test_failure_flood(void)
{
    const char *number = getenv("VFIO_MSIX_TEST_UNMASKS");
    unsigned unmasks = number ? g_ascii_strtoull(number, NULL, 10) : 1000;
    g_autofree char *one = NULL, *pool = NULL;
    Faulty f;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    one = g_strdup_printf("fault set-irqs index=MSIX vector=%u result=ENOSPC",
                          HAD);
    failure_flood(&f, unmasks, one, BIT_ULL(HAD));

    /* as many as they need, and none for the next one */
    use_some(&f);
    pool = g_strdup_printf("pool %d",
                           (int)qvfio_sim_counter(f.sim, "used"));
    finish(&f);
    failure_flood(&f, unmasks, pool, BIT_ULL(HAD));

    failure_flood(&f, unmasks, "fault eventfd result=EMFILE", BIT_ULL(HAD));

    /* without dynamic MSI-X this fails for all of them */
    failure_flood(&f, unmasks, "fault set-irqs index=MSIX result=EIO",
                  BIT_ULL(HAD) | (dynamic ? 0 : ALL_HAD));
    stop(&f);
}

/*
 * Set-ups fail again and again as the guest enables MSI-X anew.  In a minute
 * the log has a line for each vector, 64 more, and one that says that there are
 * more; the test can take longer than a minute.
 */
static void test_enable_flood(void)
{
    g_auto(GStrv) lines = NULL;
    gint64 end, began = g_get_monotonic_time();
    unsigned n, i, round, said = 0;
    Faulty f;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (n = 1; n < HAD; n++) {
        qvfio_sim_command(f.sim, "fault set-irqs index=MSIX vector=%u "
                          "result=ENOSPC", n);
    }
    for (n = 0; n < HAD; n++) {
        qmsix_testdev_unmask(f.d, n);
    }
    for (round = 0; round < 1000; round++) {
        qmsix_testdev_enable(f.d, true);
        qmsix_testdev_enable(f.d, false);
    }
    end = (g_get_monotonic_time() - began) / (60 * G_USEC_PER_SEC) + 1;

    lines = qvfio_stderr_lines(f.path);
    for (i = 0; lines[i] && *lines[i]; i++) {
        if (strstr(lines[i], "too many errors, not")) {
            said++;
        } else {
            g_assert_cmpint(qvfio_failed_vector(lines[i], f.name), >, 0);
        }
    }
    g_test_message("%u lines, %u of them that there are more", i, said);
    g_assert_cmpuint(i, >=, f.d->vectors + 64);
    g_assert_cmpuint(i, <=, (end + 1) * (f.d->vectors + 64 + 1));
    g_assert_cmpuint(said, >=, 1);
    f.lines_seen = i;

    qvfio_sim_command(f.sim, "clear");
    for (n = 0; n < HAD; n++) {
        qmsix_testdev_mask(f.d, n);
    }
    finish(&f);
    stop(&f);
}

/* What a guest can have the host refuse as often as it likes */
typedef struct Flood {
    const char *name;
    const char *fault;
    bool msi;                   /* by enabling MSI, else MSI-X */
} Flood;

static const Flood floods[] = {
    /* when MSI-X goes off */
    { "intx", "fault set-irqs index=INTX data=EVENTFD result=EIO", false },
    { "msix", "fault set-irqs index=MSIX data=EVENTFD result=EIO", false },
    { "msi", "fault set-irqs index=MSI data=EVENTFD result=EIO", true },
    /* not an error: MSI is enabled with one vector */
    { "msi-fewer", "pool 1", true },
};

static void toggle_msi(Faulty *f, uint8_t cap)
{
    uint16_t flags = qpci_config_readw(f->m.pdev, cap + PCI_MSI_FLAGS);

    flags &= ~PCI_MSI_FLAGS_QSIZE;
    flags |= 2 << ctz32(PCI_MSI_FLAGS_QSIZE); /* four vectors */
    qpci_config_writew(f->m.pdev, cap + PCI_MSI_FLAGS,
                       flags | PCI_MSI_FLAGS_ENABLE);
    qpci_config_writew(f->m.pdev, cap + PCI_MSI_FLAGS, flags);
}

/*
 * In a minute the log has as many lines as there are MSI-X vectors, 64 more,
 * and one that says that there are more, whatever they are about.
 */
static void test_log_flood(const void *opaque)
{
    const Flood *flood = opaque;
    const unsigned times = 500;
    g_auto(GStrv) lines = NULL;
    unsigned i, limit, said = 0;
    int64_t before;
    gint64 began;
    uint8_t cap;
    Faulty f;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    cap = qpci_find_capability(f.m.pdev, PCI_CAP_ID_MSI, 0);
    if (flood->msi && !cap) {
        g_test_skip("the host's device has no MSI");
        stop(&f);
        return;
    }

    /* the first line begins the first minute */
    began = g_get_monotonic_time();
    before = qvfio_sim_counter(f.sim, "set_irqs");
    qvfio_sim_command(f.sim, "%s", flood->fault);
    for (i = 0; i < times; i++) {
        if (flood->msi) {
            toggle_msi(&f, cap);
        } else {
            qmsix_testdev_enable(f.d, true);
            qmsix_testdev_enable(f.d, false);
        }
    }
    limit = (g_get_monotonic_time() - began) / (60 * G_USEC_PER_SEC) + 1;
    limit *= f.d->vectors + 64 + 1;

    lines = qvfio_stderr_lines(f.path);
    for (i = 0; lines[i] && *lines[i]; i++) {
        said += !!strstr(lines[i], "too many errors, not");
    }
    g_test_message("%u lines, at most %u, %u of them that there are more", i,
                   limit, said);
    g_test_message("the last: %s", i ? lines[i - 1] : "");
    /* the host was asked each time */
    g_assert_cmpint(qvfio_sim_counter(f.sim, "set_irqs") - before, >=, times);
    g_assert_cmpuint(i, <=, limit);
    g_assert_cmpuint(i, >=, f.d->vectors + 64);
    /* what is left out is not left out silently */
    g_assert_true(i >= times || said);
    f.lines_seen = i;

    qvfio_sim_command(f.sim, "clear");
    qvfio_sim_command(f.sim, "pool unlimited");
    finish(&f);
    stop(&f);
}

/*
 * A vector that was never used fires, and its pending bit is in the device.  A
 * resize for another one must not lose it, even if the device does.
 */
static void test_pending_volatile(void)
{
    static const char *const devices[] = { "kept", "volatile" };
    /* HAD is the number of host vectors, so the first of these is spare */
    static const unsigned vectors[] = { HAD - 1, HAD + 1 };
    Faulty f;
    unsigned i, n, v;
    bool pending;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    for (i = 0; i < G_N_ELEMENTS(devices) * G_N_ELEMENTS(vectors); i++) {
        v = vectors[i % 2];
        g_test_message("%s, vector %u", devices[i / 2], v);
        qvfio_sim_command(f.sim, "pba %s", devices[i / 2]);

        enable(&f);
        unmask(&f, 0);
        unmask(&f, 1);
        check(&f);
        qmsix_testdev_fire(f.d, v);
        g_assert_true(qmsix_testdev_pending(f.d, v));
        unmask(&f, 2);
        check(&f);
        g_assert_false(qmsix_testdev_take(f.d, v));
        pending = qmsix_testdev_pending(f.d, v);

        unmask(&f, v);
        g_assert_true(qmsix_testdev_eventually(f.d, v, qmsix_testdev_take));
        g_assert_true(pending);
        qmsix_testdev_ack(f.d, v);
        /* It may come twice, but not for ever. */
        drain(&f);
        for (n = 0; n < USED; n++) {
            g_assert_false(qmsix_testdev_take(f.d, n));
        }
        finish(&f);
    }
    stop(&f);
}

/*
 * The host cannot reset the device, which goes on unchanged, while the guest
 * starts anew.
 */
static void test_reset_fails(const void *opaque)
{
    const char *result = opaque;
    Faulty f;
    unsigned n, round;
    int64_t before;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    qtest_irq_intercept_in(f.m.qts, "ioapic");
    for (round = 0; round < 4; round++) {
        use_some(&f);
        for (n = 0; n < HAD; n++) {
            qmsix_testdev_vector_write(f.d, n, MSIX_TESTDEV_VECTOR_PERIOD, 50);
        }
        /* it keeps MSI-X and its pending bits, or INTx */
        qmsix_testdev_fire(f.d, HAD);
        qmsix_testdev_write(f.d, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN |
                            (round % 2 ? MSIX_TESTDEV_CTRL_INTX : 0));

        qvfio_sim_command(f.sim, "fault reset result=%s", result);
        before = faults(&f);
        f.other_lines = 0;
        system_reset(&f);
        g_assert_cmpint(faults(&f), >, before);
        g_assert_cmpuint(f.other_lines, ==, 1); /* it says so */
        g_assert_cmpint(qvfio_sim_counter(f.sim, "allocated"), ==, 0);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "triggers"), ==, 0);
        /* or it was reset */
        g_assert_cmphex(qmsix_testdev_read(f.d, MSIX_TESTDEV_CTRL), !=, 0);
        if (round % 2) {
            /* there is no other reset */
            for (n = 0; n < HAD; n++) {
                qmsix_testdev_ack(f.d, n);
            }
            g_assert_true(qmsix_testdev_eventually(f.d, 0, qvfio_intx_high));
        }
        if (round / 2) {
            heal(&f);
            system_reset(&f);
            g_assert_cmphex(qmsix_testdev_read(f.d, MSIX_TESTDEV_CTRL), ==, 0);
        }

        qmsix_testdev_write(f.d, MSIX_TESTDEV_CTRL, 0);
        for (n = 0; n < HAD; n++) {
            qmsix_testdev_vector_write(f.d, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
        }
        qmsix_testdev_write(f.d, MSIX_TESTDEV_OUTSTANDING, ALL_USED);
        qmsix_testdev_write(f.d, MSIX_TESTDEV_INTX, 0);
        qvfio_assert_intx_works(f.d);
        use_some(&f);
        unmask(&f, HAD);
        finish(&f);
        qvfio_assert_intx_works(f.d);
    }
    stop(&f);
}

/* Set-ups of new vectors fail: those that fire lose nothing */
static void test_failure_while_firing(void)
{
    QMsixAccount a;
    Faulty f;
    unsigned n, round;

    if (!need_simulation()) {
        return;
    }
    if (!dynamic) {
        g_test_skip("the host cannot add single MSI-X vectors");
        return;
    }

    start(&f);
    qmsix_testdev_flr(f.d); /* the account needs counters that start at 0 */
    qmsix_account_init(&a, f.d);
    enable(&f);
    for (n = 0; n < USED / 2; n++) {
        unmask(&f, n);
        qmsix_testdev_vector_write(f.d, n, MSIX_TESTDEV_VECTOR_PERIOD, 50);
    }
    qmsix_account_start(&a);

    for (n = USED / 2; n < USED; n++) {
        g_autofree char *fault = g_strdup_printf("fault set-irqs vector=%u "
                                                 "result=ENOSPC", n);

        start_fault(&f, fault);
        for (round = 0; round < 50; round++) {
            unmask(&f, n);
            qmsix_account_service(&a);
            qmsix_testdev_mask(f.d, n);
            qmsix_account_service(&a);
        }
        g_assert_cmpuint(f.total_failures, ==, 1);
    }
    qmsix_account_settle(&a);
    g_test_message("delivered %" PRIu64, a.delivered);
    g_assert_cmpuint(a.delivered, >, USED);
    g_assert_cmpuint(a.lost, ==, 0);

    qmsix_testdev_write(f.d, MSIX_TESTDEV_CTRL, 0);
    for (n = 0; n < USED; n++) {
        qmsix_testdev_vector_write(f.d, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
    }
    qmsix_account_free(&a);
    finish(&f);
    stop(&f);
}

/*
 * VFIO_DEVICE_GET_IRQ_INFO fails: QEMU reports so and adds no single vectors,
 * and x-msix-dynamic=on is an error.
 */
static void test_irq_info(const void *opaque)
{
    const char *fault = opaque;
    g_autofree char *path = NULL, *redirect = NULL, *name = NULL;
    g_auto(GStrv) property = NULL;
    QTestState *qts;
    QVfioMachine m;
    QDict *rsp, *args;
    char **lines;
    uint32_t before, disables;
    unsigned n;

    if (!need_simulation()) {
        return;
    }

    name = qvfio_device_name(device);
    path = qvfio_temporary_file();
    redirect = g_strdup_printf("2>%s", path);
    g_setenv("VFIO_SIM_FAULT", fault, true);
    qvfio_machine_start(&m, device, "", redirect);

    lines = qvfio_stderr_lines(path);
    g_assert_cmpuint(g_strv_length(lines), ==, 2);
    g_test_message("%s", lines[0]);
    g_assert_nonnull(strstr(lines[0], name));
    g_assert_nonnull(strstr(lines[0], strerror(EIO)));
    g_strfreev(lines);

    qmsix_testdev_enable(&m.dev, true);
    before = qmsix_testdev_read(&m.dev, MSIX_TESTDEV_MSIX_DISABLES);
    for (n = 0; n < m.dev.vectors; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }
    disables = qmsix_testdev_read(&m.dev, MSIX_TESTDEV_MSIX_DISABLES) - before;
    g_test_message("%u vectors, disabled %u times", m.dev.vectors, disables);
    /* MSI-X was enabled with one vector; each resize doubles the number */
    g_assert_cmpuint(disables, >, 0);
    g_assert_cmpuint(disables, <=, 32 - clz32(m.dev.vectors));
    for (n = 0; n < m.dev.vectors; n++) {
        g_assert_true(qmsix_testdev_delivers(&m.dev, n));
    }
    qvfio_machine_stop(&m);
    unlink(path);

    qts = qtest_init("-accel tcg -S -machine pc -m 64 -nodefaults");
    property = g_strsplit(device, "=", 2);
    args = qdict_new();
    qdict_put_str(args, "driver", "vfio-pci");
    qdict_put_str(args, property[0], property[1]);
    qdict_put_str(args, "x-msix-dynamic", "on");
    rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': %p}", args);
    g_assert_true(qdict_haskey(rsp, "error"));
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), "x-msix-dynamic=on"));
    qobject_unref(rsp);
    qtest_quit(qts);
    g_unsetenv("VFIO_SIM_FAULT");
}

int main(int argc, char **argv)
{
    static const char *const errnos[] = {
        "ENOSPC", "ENOMEM", "EINVAL", "EBADF", "EIO",
    };
    static const char *const counts[] = { "1", "4", "100" };
    unsigned i;

    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);
    dynamic = device && qvfio_msix_is_dynamic(device);

    for (i = 0; i < G_N_ELEMENTS(errnos); i++) {
        g_autofree char *nth = g_strdup_printf("vfio-msix-fault/nth-call/%s",
                                               errnos[i]);
        g_autofree char *all = g_strdup_printf("vfio-msix-fault/all-calls/%s",
                                               errnos[i]);

        qtest_add_data_func(nth, errnos[i], test_nth_call);
        qtest_add_data_func(all, errnos[i], test_all_calls);
    }
    for (i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autofree char *nth = g_strdup_printf("vfio-msix-fault/nth-call/%s",
                                               counts[i]);
        g_autofree char *all = g_strdup_printf("vfio-msix-fault/all-calls/%s",
                                               counts[i]);

        qtest_add_data_func(nth, counts[i], test_nth_call);
        qtest_add_data_func(all, counts[i], test_all_calls);
    }
    qtest_add_data_func("vfio-msix-fault/one-vector/ENOSPC", "ENOSPC",
                        test_one_vector);
    qtest_add_data_func("vfio-msix-fault/one-vector/ENOMEM", "ENOMEM",
                        test_one_vector);
    qtest_add_func("vfio-msix-fault/eventfds", test_eventfds);
    qtest_add_func("vfio-msix-fault/pool", test_pool);
    qtest_add_func("vfio-msix-fault/resize-fallback", test_resize_fallback);
    qtest_add_func("vfio-msix-fault/resize-fails", test_resize_fails);
    qtest_add_data_func("vfio-msix-fault/resize-nth-call/ENOSPC", "ENOSPC",
                        test_resize_nth_call);
    qtest_add_data_func("vfio-msix-fault/resize-nth-call/1", "1",
                        test_resize_nth_call);
    qtest_add_func("vfio-msix-fault/resize-robbed", test_resize_robbed);
    qtest_add_func("vfio-msix-fault/resize-masked", test_resize_masked);
    qtest_add_func("vfio-msix-fault/block-retry", test_block_retry);
    qtest_add_func("vfio-msix-fault/enable-fails-intx", test_enable_fails_intx);
    qtest_add_func("vfio-msix-fault/failure-flood", test_failure_flood);
    qtest_add_func("vfio-msix-fault/enable-flood", test_enable_flood);
    for (i = 0; i < G_N_ELEMENTS(floods); i++) {
        g_autofree char *path = NULL;

        path = g_strdup_printf("vfio-msix-fault/log-flood/%s", floods[i].name);
        qtest_add_data_func(path, &floods[i], test_log_flood);
    }
    qtest_add_func("vfio-msix-fault/pending-volatile", test_pending_volatile);
    qtest_add_data_func("vfio-msix-fault/reset-fails", "EIO",
                        test_reset_fails);
    qtest_add_func("vfio-msix-fault/failure-while-firing",
                   test_failure_while_firing);
    qtest_add_data_func("vfio-msix-fault/irq-info/msix",
                        "fault irq-info index=MSIX result=EIO", test_irq_info);
    qtest_add_data_func("vfio-msix-fault/irq-info/all",
                        "fault irq-info result=EIO", test_irq_info);

    return g_test_run();
}
