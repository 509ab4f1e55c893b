/*
 * QTest testcase for MSI-X of vfio-pci when the host fails
 *
 * Whatever the host refuses, at whatever moment: QEMU lives, vectors that are
 * not concerned deliver, there is one line in the log for those that are, they
 * work as soon as the cause is gone and the guest unmasks them again, and no
 * descriptor is leaked.
 *
 * A real host fails when it likes.  This one needs the simulated host of
 * tests/vfio-sim, which fails when it is told to, and is skipped without.
 *
 *   VFIO_MSIX_TEST_UNMASKS  how often the guest of "refused-flood" unmasks a
 *                           vector that it cannot have (default: 1000)
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

/* Vectors that the guest uses */
#define USED 8
#define ALL_USED (BIT_ULL(USED) - 1)

/*
 * Vectors that the guest uses before it wants one more, which is vector HAD.
 * A host without dynamic MSI-X then has no room left: it is asked for twice as
 * many, but HAD + 1 would do.
 */
#define HAD 4
#define ALL_HAD (BIT_ULL(HAD) - 1)

/*
 * What the guest does, and the host may fail at.  Each step is followed by a
 * look at all vectors.
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

/* More lines in one step would be the guest's way to flood the host's log */
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
    unsigned refusals[USED];    /* since MSI-X was last enabled */
    unsigned other_lines;       /* of this step */
    unsigned unclear_lines;     /* without the device or the cause */
    unsigned total_refusals;    /* since the fault was set */
    const char *cause;          /* what a refusal must give as its reason */

    /* vectors, bit maps */
    uint64_t unmasked;
    uint64_t refused;           /* nothing is expected of them for now */

    bool enabled;
    /* what is wrong is no call that fails, but that the host has run out */
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

/* Look at what QEMU has to say, which is said before a guest's access ends. */
static void read_lines(Faulty *f)
{
    g_auto(GStrv) lines = qvfio_stderr_lines(f->path);

    for (; lines[f->lines_seen] && *lines[f->lines_seen]; f->lines_seen++) {
        const char *line = lines[f->lines_seen];
        int n = qvfio_refused_vector(line, f->name);

        g_test_message("%s", line);
        f->unclear_lines += !strstr(line, f->name);
        if (n < 0) {
            f->other_lines++;
            continue;
        }

        g_assert_cmpint(n, <, USED);
        f->unclear_lines += !strstr(line, f->cause ?: "");
        f->refusals[n]++;
        f->total_refusals++;
        f->refused |= BIT_ULL(n);
        g_assert_cmpuint(f->refusals[n], ==, 1);
    }
}

static void enable(Faulty *f)
{
    memset(f->refusals, 0, sizeof(f->refusals));
    f->refused = 0;
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
    uint64_t refused = f->refused;
    unsigned i;

    qmsix_testdev_unmask(f->d, n);
    f->unmasked |= BIT_ULL(n);
    read_lines(f);

    if (f->exhausted) {
        return;
    }
    if (faults(f) == before) {
        /* Nothing went wrong this time, so the vector has to work */
        g_assert_cmphex(f->refused, ==, refused);
        f->refused &= ~BIT_ULL(n);
        return;
    }
    /*
     * One that was refused before and is again does so silently; without
     * dynamic MSI-X that goes for others as well.
     */
    for (i = 0; i < USED; i++) {
        if (f->refusals[i] && (i == n || !dynamic)) {
            f->refused |= BIT_ULL(i);
        }
    }
}

/*
 * Take what nobody has fired, or has been told of already: when MSI-X was off
 * on the host QEMU signals vectors itself, to be sure.
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
        if (f->unmasked & ~f->refused & BIT_ULL(n) &&
            !qmsix_testdev_delivers(f->d, n)) {
            g_test_message("vector %u", n);
            g_assert_not_reached();
        }
    }
}

static void mask_and_unmask(Faulty *f, unsigned n)
{
    bool fire = !(f->refused & BIT_ULL(n));

    qmsix_testdev_mask(f->d, n);
    if (fire) {
        qmsix_testdev_fire(f->d, n);
        g_assert_true(qmsix_testdev_eventually(f->d, n,
                                               qmsix_testdev_pending));
    }
    unmask(f, n);
    if (fire) {
        /* It had come before anything was refused */
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

/* The host is well again, and so is each vector that the guest unmasks */
static void recover(Faulty *f)
{
    unsigned n;

    qvfio_sim_command(f->sim, "clear");
    qvfio_sim_command(f->sim, "pool unlimited");
    f->exhausted = false;
    f->cause = NULL;
    if (f->enabled) {
        for (n = 0; n < USED; n++) {
            if (f->refused & f->unmasked & BIT_ULL(n)) {
                qmsix_testdev_mask(f->d, n);
                unmask(f, n);
            }
        }
        g_assert_cmphex(f->refused & f->unmasked, ==, 0);
    }
}

static void heal(Faulty *f)
{
    recover(f);
    check(f);
    /* Last, as interrupts are worth more than words */
    g_assert_cmpuint(f->unclear_lines, ==, 0);
}

static void start_fault(Faulty *f, const char *command)
{
    f->total_refusals = 0;
    qvfio_sim_command(f->sim, "%s", command);
}

/* Leave everything as it was at the beginning, and no descriptor more. */
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
    g_assert_cmphex(f->refused, ==, 0);
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

/* All steps; @fault, if any, is there from step @from to step @to. */
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

    /* All is well without a fault; and the first time takes what it keeps */
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
    g_assert_cmphex(f->refused, ==, 0);
    check(f);
    drain(f);
    if (!dynamic) {
        g_assert_cmpint(qvfio_sim_counter(f->sim, "allocated"), ==, HAD);
    }
}

/* Have each fire when the host has torn something down */
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
 * The guest wants vector HAD while those that it has fire, just when the host
 * has MSI-X disabled to make room.
 */
static void grow_while_firing(Faulty *f)
{
    int64_t dropped = qvfio_sim_counter(f->sim, "dropped");

    fire_in_window(f, ALL_HAD);
    unmask(f, HAD);
    /* or nothing would be proven by what comes after */
    g_assert_cmpint(qvfio_sim_counter(f->sim, "dropped"), ==, dropped + HAD);
}

static bool need_growth(void)
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
            g_assert_cmpuint(f.total_refusals, <=, 1);
        }
    }
    /* or it was not each */
    g_assert_cmpuint(nth, >, N_STEPS);
    stop(&f);
}

/* All calls fail, from one step on and up to another */
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
            g_assert_cmpuint(f.total_refusals, ==, 1);
        }
    }
    scenario(&f, fault, 0, STEP_MASKS);
    g_assert_cmpuint(f.total_refusals, ==, USED);
    scenario(&f, fault, STEP_MASKS, STEP_ENABLE_ALL);
    scenario(&f, fault, STEP_UNMASK + 3, STEP_RESET);
    stop(&f);
}

/* The host has something against one vector, whenever that comes up */
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
            g_assert_cmphex(f.refused, ==,
                            i >= STEP_UNMASK + v ? BIT_ULL(v) : 0);
        }
        /* tried each time, said once */
        for (i = 0; i < 20; i++) {
            int64_t before = faults(&f);

            mask_and_unmask(&f, v);
            g_assert_cmpint(faults(&f), >, before);
        }
        g_assert_cmpuint(f.total_refusals, ==, 1);
        check(&f);
        heal(&f);

        step(&f, STEP_DISABLE);
        f.cause = cause;
        start_fault(&f, fault);
        step(&f, STEP_ENABLE_ALL);
        g_assert_cmphex(f.refused, ==, BIT_ULL(v));
        g_assert_cmpuint(f.total_refusals, ==, 1);
        step(&f, STEP_MASKS);
        g_assert_cmphex(f.refused, ==, BIT_ULL(v));
        g_assert_cmpuint(f.total_refusals, ==, 1);
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
        uint64_t refused = ALL_USED & ~(BIT_ULL(nth - 1) - 1);
        unsigned i;

        g_test_message("%s", fault);
        f.exhausted = true;
        f.cause = strerror(EMFILE);
        start_fault(&f, fault);
        for (i = STEP_ENABLE_NONE; i <= STEP_MASKS; i++) {
            step(&f, i);
        }
        g_assert_cmphex(f.refused, ==, refused);
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
        g_assert_cmphex(f.refused, ==, refused);
        step(&f, STEP_MASKS);
        g_assert_cmphex(f.refused, ==, refused);
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
    /* vector 0 of a mediated device takes none, which leaves one more */
    g_assert_cmphex(f->refused & had, ==, 0);
    g_assert_cmphex(f->refused | had | BIT_ULL(size), ==,
                    ALL_USED | BIT_ULL(size));
    g_assert_cmpint(qvfio_sim_counter(f->sim, "used"), ==, size);
}

/* The host has fewer vectors than the guest wants */
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
        g_assert_cmpuint(f.total_refusals, ==, ctpop64(f.refused));
        heal(&f);

        step(&f, STEP_DISABLE);
        f.exhausted = true;
        start_fault(&f, pool);
        step(&f, STEP_ENABLE_ALL);
        check_pool(&f, size);
        step(&f, STEP_MASKS);
        check_pool(&f, size);
        g_assert_cmpuint(f.total_refusals, ==, ctpop64(f.refused));
        heal(&f);
        step(&f, STEP_RESET);
        finish(&f);
    }
    stop(&f);
}

/*
 * A host without dynamic MSI-X that has not room for twice as many vectors
 * gives what it can, and as long as that is one more nothing is amiss.
 */
static void test_grow_fallback(void)
{
    static const struct {
        const char *pool;
        unsigned times;         /* that a call fails without a number */
        unsigned room;          /* that there is in the end */
    } hosts[] = {
        /* HAD is 4 */
        { "unlimited", 0, 8 },
        /* it says how many it has */
        { "7", 0, 7 },
        { "6", 0, 6 },
        { "5", 0, 5 },
        /* it does not like the triggers, then not the number, nor the next */
        { "unlimited", 1, 8 },
        { "unlimited", 2, 6 },
        { "unlimited", 3, 5 },
        /* the one as well as the other */
        { "7", 1, 6 },
        { "6", 1, 6 },
        { "5", 1, 5 },
        { "5", 2, 5 },
    };
    Faulty f;
    unsigned i;

    if (!need_growth()) {
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
        grow_while_firing(&f);
        assert_told(&f, ALL_HAD);
        g_assert_cmphex(f.refused, ==, 0);
        check(&f); /* the new one as well */
        g_assert_cmpint(qvfio_sim_counter(f.sim, "allocated"), ==,
                        hosts[i].room);
        finish(&f);
    }
    g_assert_cmpuint(f.lines_seen, ==, 0);
    stop(&f);
}

/* One more cannot be had, and the guest has what it had before */
static void grow_refused(Faulty *f, const char *fault)
{
    unsigned round;

    g_test_message("%s", fault);
    use_some(f);
    f->exhausted = true;
    f->cause = strerror(ENOSPC);
    start_fault(f, fault);
    grow_while_firing(f);
    assert_told(f, ALL_HAD);
    g_assert_cmphex(f->refused, ==, BIT_ULL(HAD));
    check(f);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "allocated"), ==, HAD);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "triggers"), ==, HAD);

    /* nor is anything lost on one that is refused again */
    for (round = 0; round < 3; round++) {
        drain(f);
        qvfio_sim_command(f->sim, "clear");
        qvfio_sim_command(f->sim, "%s", fault);
        qmsix_testdev_mask(f->d, HAD);
        grow_while_firing(f);
        assert_told(f, ALL_HAD);
        check(f);
    }
    g_assert_cmpuint(f->total_refusals, ==, 1);

    /* or when the host has changed its mind */
    drain(f);
    qvfio_sim_command(f->sim, "clear");
    qvfio_sim_command(f->sim, "pool unlimited");
    f->exhausted = false;
    qmsix_testdev_mask(f->d, HAD);
    grow_while_firing(f);
    assert_told(f, ALL_HAD);
    g_assert_cmphex(f->refused, ==, 0);
    finish(f);
}

static void test_grow_refused(void)
{
    Faulty f;

    if (!need_growth()) {
        return;
    }

    start(&f);
    grow_refused(&f, "pool " stringify(HAD));
    /* twice as many, the same without triggers, fewer, and just one more */
    grow_refused(&f, "fault set-irqs index=MSIX data=EVENTFD result=ENOSPC "
                 "times=4");
    /* and with what it had before it is still against the triggers */
    grow_refused(&f, "fault set-irqs index=MSIX data=EVENTFD result=ENOSPC "
                 "times=5");
    stop(&f);
}

/*
 * Whatever the host refuses when it has MSI-X disabled to make room: what the
 * vectors have fired is not lost.  It comes at once for those that work, and
 * for the others when they do.  Returns the vectors that were refused.
 */
static uint64_t grow_and_recover(Faulty *f, const char *fault)
{
    uint64_t refused;
    unsigned n;

    g_test_message("%s", fault);
    use_some(f);
    start_fault(f, fault);
    fire_in_window(f, ALL_HAD);
    unmask(f, HAD);
    refused = f->refused;
    assert_told(f, ALL_HAD & ~refused);
    /* QEMU may have told of the others as well */
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
    return refused;
}

/* Any call fails, and some of those after it */
static void test_grow_nth_call(const void *opaque)
{
    const char *result = opaque;
    Faulty f;
    unsigned nth, times;
    int64_t before;

    if (!need_growth()) {
        return;
    }

    start(&f);
    for (nth = 1, before = -1; faults(&f) > before; nth++) {
        before = faults(&f);
        /* as many as it takes for MSI-X to be off in the end, and more */
        for (times = 1; times <= 16; times++) {
            g_autofree char *fault =
                g_strdup_printf("fault set-irqs nth=%u times=%u result=%s",
                                nth, times, result);

            grow_and_recover(&f, fault);
        }
    }
    g_assert_cmpuint(nth, >, 3);
    stop(&f);
}

/* While MSI-X is disabled other devices take what this one had */
static void test_grow_robbed(void)
{
    Faulty f;
    unsigned left;

    if (!need_growth()) {
        return;
    }

    start(&f);
    for (left = 0; left < HAD; left++) {
        g_autofree char *pool = g_strdup_printf("pool %u", left);

        f.exhausted = true;
        f.cause = strerror(ENOSPC);
        g_assert_cmphex(grow_and_recover(&f, pool), ==,
                        (ALL_HAD | BIT_ULL(HAD)) & ~(BIT_ULL(left) - 1));
    }
    stop(&f);
}

/* What masked vectors have fired pends until the guest unmasks them */
static void test_grow_masked(void)
{
    const uint64_t masked = BIT_ULL(1) | BIT_ULL(3);
    Faulty f;
    unsigned n, round;

    if (!need_growth()) {
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
            /* MSI-X cannot be enabled again until much later */
            start_fault(&f, "fault set-irqs index=MSIX data=EVENTFD "
                        "result=ENOSPC");
        }
        grow_while_firing(&f);
        recover(&f);
        assert_told(&f, ALL_HAD & ~masked);
        for (n = 0; n < HAD; n++) {
            if (masked & BIT_ULL(n)) {
                g_assert_true(qmsix_testdev_eventually(f.d, n,
                                                       qmsix_testdev_pending));
                g_assert_false(qmsix_testdev_take(f.d, n));
                unmask(&f, n);
            }
        }
        assert_told(&f, masked);
        finish(&f);
    }
    stop(&f);
}

/*
 * The host has something against one vector when all are enabled again: the
 * others work, and it works when the host likes it again.
 */
static void test_block_retry(void)
{
    Faulty f;
    unsigned v;

    if (!need_growth()) {
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
        grow_while_firing(&f);
        /* QEMU needs no trigger to make up for what the vector has lost */
        assert_told(&f, ALL_HAD);
        g_assert_cmphex(f.refused, ==, BIT_ULL(v));
        check(&f);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "triggers"), ==, HAD);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "allocated"), ==, 2 * HAD);
        heal(&f);
        g_assert_cmpint(qvfio_sim_counter(f.sim, "triggers"), ==, HAD + 1);
        finish(&f);
    }
    stop(&f);
}

/* The device holds its line, and the host's line is free all the same */
static void assert_parked(Faulty *f)
{
    g_assert_cmphex(qmsix_testdev_read(f->d, MSIX_TESTDEV_STATUS), ==,
                    MSIX_TESTDEV_STATUS_INTX);
    g_assert_cmpint(qvfio_sim_counter(f->sim, "intx_wire"), ==, 0);
}

/*
 * The host cannot enable MSI-X, for the first time or again.  The device takes
 * to INTx, which nobody handles in the guest: it must not block the host's
 * line.  When MSI-X can be enabled the guest is told of what it has missed,
 * and when the guest does without MSI-X it has its INTx.
 */
static void test_enable_fails_intx(void)
{
    const char *fault = "fault set-irqs index=MSIX data=EVENTFD result=ENOSPC";
    Faulty f;
    int64_t unhandled;
    unsigned n, round;
    bool grow;

    if (!need_simulation()) {
        return;
    }

    start(&f);
    qtest_irq_intercept_in(f.m.qts, "ioapic");
    for (round = 0; round < 6; round++) {
        grow = round % 2;
        if (grow && dynamic) {
            continue;
        }

        if (grow) {
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
        if (grow) {
            /* while MSI-X is disabled for a moment the line can go up */
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
        g_assert_cmphex(f.refused, ==, f.unmasked);

        if (round / 2 == 1) {
            /* the guest gives up on MSI-X, and finds out what it is about */
            disable(&f);
            g_assert_true(qmsix_testdev_eventually(f.d, 0, qvfio_intx_high));
            heal(&f);
        } else {
            if (round / 2 == 2) {
                /* it does not give up so soon */
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

/* A guest that insists gets one line in the host's log, and no more */
static void refused_flood(Faulty *f, unsigned unmasks, const char *fault,
                          uint64_t refused)
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
    g_assert_cmpuint(f->lines_seen - lines, ==, ctpop64(refused));
    g_assert_cmphex(f->refused, ==, refused);
    check(f);
    finish(f);
}

static void test_refused_flood(void)
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
    refused_flood(&f, unmasks, one, BIT_ULL(HAD));

    /* as many as they take, without one that is for later */
    use_some(&f);
    pool = g_strdup_printf("pool %d",
                           (int)qvfio_sim_counter(f.sim, "used"));
    finish(&f);
    refused_flood(&f, unmasks, pool, BIT_ULL(HAD));

    refused_flood(&f, unmasks, "fault eventfd result=EMFILE", BIT_ULL(HAD));

    /* which without dynamic MSI-X takes it from all of them */
    refused_flood(&f, unmasks, "fault set-irqs index=MSIX result=EIO",
                  BIT_ULL(HAD) | (dynamic ? 0 : ALL_HAD));
    stop(&f);
}

/*
 * The guest has vectors refused again and again by enabling MSI-X anew.  The
 * log has a line for each vector in a minute, 64 more, and one that says so;
 * and a test can take longer than a minute.
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
        if (strstr(lines[i], "too many refused interrupts")) {
            said++;
        } else {
            g_assert_cmpint(qvfio_refused_vector(lines[i], f.name), >, 0);
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

/*
 * A vector that was never used fires, and has its pending bit in the device.
 * That MSI-X is enabled again for another one must not make it disappear, also
 * where the device forgets it.
 */
static void test_pending_volatile(void)
{
    static const char *const devices[] = { "kept", "volatile" };
    /* with HAD vectors for the host there is room for the first of these */
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
        /* twice is once too often, but no harm; it comes to an end */
        drain(&f);
        for (n = 0; n < USED; n++) {
            g_assert_false(qmsix_testdev_take(f.d, n));
        }
        finish(&f);
    }
    stop(&f);
}

/*
 * The host cannot reset the device, which goes on as if nothing had happened,
 * while the guest starts anew.
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
        /* it has MSI-X, pending bits and all; or INTx as well */
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
            /* those that go on have no other way */
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

/* New vectors that the host refuses cost those that fire nothing */
static void test_refused_while_firing(void)
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
    qmsix_testdev_flr(f.d); /* the account goes by counters from zero on */
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
        g_assert_cmpuint(f.total_refusals, ==, 1);
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
 * The host does not say what it can do: QEMU says that it does not know, does
 * without, and refuses to promise.
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
    /* room for one came with enabling, and doubles each time */
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
    qtest_add_func("vfio-msix-fault/grow-fallback", test_grow_fallback);
    qtest_add_func("vfio-msix-fault/grow-refused", test_grow_refused);
    qtest_add_data_func("vfio-msix-fault/grow-nth-call/ENOSPC", "ENOSPC",
                        test_grow_nth_call);
    qtest_add_data_func("vfio-msix-fault/grow-nth-call/1", "1",
                        test_grow_nth_call);
    qtest_add_func("vfio-msix-fault/grow-robbed", test_grow_robbed);
    qtest_add_func("vfio-msix-fault/grow-masked", test_grow_masked);
    qtest_add_func("vfio-msix-fault/block-retry", test_block_retry);
    qtest_add_func("vfio-msix-fault/enable-fails-intx", test_enable_fails_intx);
    qtest_add_func("vfio-msix-fault/refused-flood", test_refused_flood);
    qtest_add_func("vfio-msix-fault/enable-flood", test_enable_flood);
    qtest_add_func("vfio-msix-fault/pending-volatile", test_pending_volatile);
    qtest_add_data_func("vfio-msix-fault/reset-fails", "EIO",
                        test_reset_fails);
    qtest_add_func("vfio-msix-fault/refused-while-firing",
                   test_refused_while_firing);
    qtest_add_data_func("vfio-msix-fault/irq-info/msix",
                        "fault irq-info index=MSIX result=EIO", test_irq_info);
    qtest_add_data_func("vfio-msix-fault/irq-info/all",
                        "fault irq-info result=EIO", test_irq_info);

    return g_test_run();
}
