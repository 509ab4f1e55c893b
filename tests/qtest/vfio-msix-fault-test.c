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
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "libqtest.h"
#include "libqos/msix-account.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"
#include "qapi/qmp/qdict.h"

/* For what must come: only a test that is about to fail waits that long */
#define PATIENCE_S 30

/* Vectors that the guest uses */
#define USED 8
#define ALL_USED (BIT_ULL(USED) - 1)

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

static void check(Faulty *f)
{
    unsigned n;

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
    gint64 end = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;

    qmsix_testdev_mask(f->d, n);
    if (fire) {
        qmsix_testdev_fire(f->d, n);
        while (!qmsix_testdev_pending(f->d, n)) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(100);
        }
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
    QTestState *qts = f->m.qts;
    QDict *rsp = qtest_qmp(qts, "{'execute': 'system_reset'}");

    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);
    qtest_qmp_eventwait(qts, "RESET");

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
static void heal(Faulty *f)
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
    f->path = qvfio_stderr_file();
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
        g_assert_cmpint(faults(&f), >, before);
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
 * A host without dynamic MSI-X that cannot enable it with one vector more,
 * neither with triggers nor without, still can with those it had.
 */
static void test_cannot_grow(void)
{
    Faulty f;
    unsigned v, n;

    if (!need_simulation()) {
        return;
    }
    if (dynamic) {
        g_test_skip("the host can add single MSI-X vectors");
        return;
    }

    start(&f);
    for (v = 1; v < USED; v++) {
        enable(&f);
        for (n = 0; n < v; n++) {
            unmask(&f, n);
        }
        f.cause = strerror(ENOSPC);
        start_fault(&f, "fault set-irqs index=MSIX data=EVENTFD nth=1 times=2 "
                        "result=ENOMEM");
        step(&f, STEP_UNMASK + v);
        g_assert_cmphex(f.refused, ==, BIT_ULL(v));
        finish(&f);
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
    qmsix_testdev_write(f.d, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);

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
    uint32_t before;
    unsigned n;

    if (!need_simulation()) {
        return;
    }

    name = qvfio_device_name(device);
    path = qvfio_stderr_file();
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
    for (n = 0; n < USED; n++) {
        before = qmsix_testdev_read(&m.dev, MSIX_TESTDEV_MSIX_DISABLES);
        qmsix_testdev_unmask(&m.dev, n);
        /* the first one came with enabling */
        g_assert_cmpuint(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_MSIX_DISABLES),
                         ==, before + !!n);
    }
    for (n = 0; n < USED; n++) {
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
    qtest_add_func("vfio-msix-fault/cannot-grow", test_cannot_grow);
    qtest_add_func("vfio-msix-fault/refused-while-firing",
                   test_refused_while_firing);
    qtest_add_data_func("vfio-msix-fault/irq-info/msix",
                        "fault irq-info index=MSIX result=EIO", test_irq_info);
    qtest_add_data_func("vfio-msix-fault/irq-info/all",
                        "fault irq-info result=EIO", test_irq_info);

    return g_test_run();
}
