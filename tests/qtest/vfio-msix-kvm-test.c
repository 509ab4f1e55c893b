/*
 * QTest testcase for MSI-X of vfio-pci with KVM
 *
 * The guest never runs, so any KVM will do that takes routes and irqfds.  What
 * KVM delivers goes to the vCPUs, not to memory, and cannot be seen here.
 * libqos/vfio-host.h says how the devices are named.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include "libqtest.h"
#include "libqos/malloc-pc.h"
#include "libqos/msix-testdev.h"
#include "libqos/pci-pc.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "qapi/qmp/qdict.h"

/*
 * More vectors than KVM has routes (KVM_CAP_IRQ_ROUTING, 4096 on x86, some of
 * them for the PIC and the I/O APIC).
 */
#define ROUTES 4096

/* for each vector up to two of QEMU and one of a simulated host */
#define DESCRIPTORS (ROUTES * 3 + 1000)

static bool need_kvm(void)
{
    if (!qvfio_has_kvm()) {
        g_test_skip("no access to /dev/kvm");
        return false;
    }
    return true;
}

static bool enough_descriptors(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < DESCRIPTORS) {
        return false;
    }
    limit.rlim_cur = MAX(limit.rlim_cur, DESCRIPTORS);
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void init_device(QMsixTestdev *d, QPCIBus *bus, QGuestAllocator *alloc,
                        int slot)
{
    QPCIDevice *pdev = qpci_device_find(bus, QPCI_DEVFN(slot, 0));
    unsigned n;

    g_assert_nonnull(pdev);
    qmsix_testdev_init(d, pdev, alloc);
    for (n = 0; n < d->vectors; n++) {
        qmsix_testdev_set_default_message(d, n);
        qmsix_testdev_unmask(d, n);
    }
}

/* QEMU delivers vectors that get no route, and does not abort */
static void test_routes_exhausted(void)
{
    const char *first = qvfio_device(1), *second = qvfio_device(2);
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *pdev;
    QMsixTestdev a, b;
    unsigned last;

    if (!first || !second) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE and _2 are not set");
        return;
    }
    if (!need_kvm()) {
        return;
    }
    if (!enough_descriptors()) {
        g_test_skip("the limit of descriptors is too low");
        return;
    }

    qts = qtest_initf("-accel kvm -S -machine q35 -m 64 -nodefaults "
                      "-device vfio-pci,addr=4.0,%s "
                      "-device vfio-pci,addr=5.0,%s", first, second);
    pc_alloc_init(&alloc, qts, ALLOC_NO_FLAGS);
    bus = qpci_new_pc(qts, &alloc);
    init_device(&a, bus, &alloc, 4);
    init_device(&b, bus, &alloc, 5);
    if (a.vectors + b.vectors < ROUTES) {
        g_test_skip("the devices have too few vectors");
        goto out;
    }

    qmsix_testdev_enable(&a, true);
    qmsix_testdev_enable(&b, true);

    /* The last one has no route, and is delivered. */
    last = b.vectors - 1;
    g_assert_true(qmsix_testdev_delivers(&b, last));

    /* the same for one that is unmasked by itself */
    qmsix_testdev_mask(&b, last);
    qmsix_testdev_unmask(&b, last);
    g_assert_true(qmsix_testdev_delivers(&b, last));

out:
    pdev = a.dev;
    qmsix_testdev_free(&a);
    g_free(pdev);
    pdev = b.dev;
    qmsix_testdev_free(&b);
    g_free(pdev);
    qpci_free_pc(bus);
    alloc_destroy(&alloc);
    qtest_quit(qts);
}

static const char *const trigger_calls[] = {
    "VFIO_DEVICE_SET_IRQS", "index=MSIX", "data=EVENTFD", NULL
};
static const char *const disable_calls[] = {
    "VFIO_DEVICE_SET_IRQS", "index=MSIX", "data=NONE", "count=0", NULL
};
static const char *const set_irqs_calls[] = { "VFIO_DEVICE_SET_IRQS", NULL };
static const char *const commits[] = { "KVM_SET_GSI_ROUTING", NULL };
static const char *const assigns[] = { "KVM_IRQFD", "action=ASSIGN", NULL };

/* A machine whose QEMU logs its calls; needs VFIO_MSIX_TEST_PRELOAD */
typedef struct Logged {
    QVfioMachine m;
    QMsixTestdev *d;
    char *log;                  /* of QEMU, its standard error */
} Logged;

static const char *need_device_and_kvm(void)
{
    const char *device = qvfio_device(1);

    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
        return NULL;
    }
    return need_kvm() ? device : NULL;
}

static bool start(Logged *l, const char *properties)
{
    const char *device = need_device_and_kvm();
    g_autofree char *options = NULL;

    if (!device) {
        return false;
    }
    if (!qvfio_log_start()) {
        g_test_skip("VFIO_MSIX_TEST_PRELOAD is not set");
        return false;
    }

    l->log = qvfio_temporary_file();
    options = g_strdup_printf("2>%s", l->log);
    qvfio_machine_start_kvm(&l->m, device, properties, options);
    l->d = &l->m.dev;
    return true;
}

static void stop(Logged *l)
{
    qvfio_machine_stop(&l->m);
    qvfio_log_stop();
    unlink(l->log);
    g_free(l->log);
}

/* The number of lines with @words that QEMU has written */
static unsigned count_lines(Logged *l, const char *words)
{
    g_auto(GStrv) lines = qvfio_stderr_lines(l->log);
    unsigned i, n = 0;

    for (i = 0; lines[i]; i++) {
        n += !!strstr(lines[i], words);
    }
    return n;
}

static bool is_irqfd(QVfioMachine *m, unsigned n)
{
    g_autofree char *state = qvfio_machine_vector_stat(m, n, "state");

    return state && g_str_equal(state, "irqfd");
}

/* QEMU delivers it, whether or not KVM is to get it with the next commit. */
static bool is_direct(QVfioMachine *m, unsigned n)
{
    g_autofree char *state = qvfio_machine_vector_stat(m, n, "state");

    return state && (g_str_equal(state, "direct") ||
                     g_str_equal(state, "waiting"));
}

static void assert_delivered(QVfioMachine *m, unsigned n, const char *count)
{
    g_autofree char *is = qvfio_machine_vector_stat(m, n, "delivered-by-qemu");

    g_assert_cmpstr(is, ==, count);
}

/*
 * KVM delivers the replays of a resize: at once those of vectors in state
 * irqfd, and at its unmask that of one that was masked, if its message is the
 * same.
 */
static void test_replay(void)
{
    const char *device = need_device_and_kvm();
    QVfioMachine m;

    if (!device) {
        return;
    }

    qvfio_machine_start_kvm(&m, device, qvfio_msix_is_dynamic(device) ?
                            ",x-msix-dynamic=off" : "", "");
    qmsix_testdev_enable(&m.dev, true);
    qmsix_testdev_unmask(&m.dev, 0);
    qvfio_machine_await_kvm(&m, 1);
    qmsix_testdev_unmask(&m.dev, 1);
    g_assert_cmpint(qvfio_machine_stat(&m, "replays"), ==, 1);
    qmsix_testdev_mask(&m.dev, 1);
    g_assert_true(is_irqfd(&m, 0));
    g_assert_true(is_direct(&m, 1));

    qmsix_testdev_unmask(&m.dev, 2);
    g_assert_cmpint(qvfio_machine_stat(&m, "replays"), ==, 2);
    /* QEMU's main loop runs, and delivers none for vector 0. */
    qvfio_fence(&m.dev);
    g_assert_false(qmsix_testdev_take(&m.dev, 0));
    g_assert_false(qmsix_testdev_pending(&m.dev, 0));
    assert_delivered(&m, 0, "0");
    g_assert_true(is_irqfd(&m, 0));
    g_assert_false(qmsix_testdev_pending(&m.dev, 1));
    g_assert_true(is_direct(&m, 1));

    qmsix_testdev_unmask(&m.dev, 1);
    g_assert_cmpint(qvfio_machine_stat(&m, "replays"), ==, 3);
    qvfio_machine_await_kvm(&m, 3);
    assert_delivered(&m, 1, "0");
    g_assert_false(qmsix_testdev_take(&m.dev, 1));
    qvfio_machine_stop(&m);
}

/*
 * One VFIO_DEVICE_SET_IRQS for each vector, one to enable MSI-X and one to
 * disable it, however often the guest masks and unmasks; one eventfd a vector.
 */
static void test_calls(void)
{
    const unsigned count = 16, rounds = 20;
    unsigned n, round, calls, before, after;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    before = qvfio_machine_eventfds(&l.m);
    calls = qvfio_log_count(trigger_calls);
    qmsix_testdev_enable(l.d, true);
    for (n = 0; n < count; n++) {
        qmsix_testdev_unmask(l.d, n);
    }
    for (round = 0; round < rounds; round++) {
        if (round < 3) {
            /* in other rounds some wait for KVM as they are masked */
            qvfio_machine_await_kvm(&l.m, count);
        }
        for (n = 0; n < count; n++) {
            qmsix_testdev_mask(l.d, n);
            qmsix_testdev_unmask(l.d, n);
        }
        qmsix_testdev_function_mask(l.d, true);
        qmsix_testdev_function_mask(l.d, false);
    }
    qvfio_machine_await_kvm(&l.m, count);
    after = qvfio_machine_eventfds(&l.m);
    g_test_message("%u vectors, %u times: %u calls, %u eventfds more", count,
                   rounds, qvfio_log_count(trigger_calls) - calls,
                   after - before);
    /* INTx has closed its eventfd, and that of its unmask if KVM had it */
    g_assert_cmpuint(after, <=, before + count - 1);
    g_assert_cmpuint(after, >=, before + count - 2);
    g_assert_cmpuint(qvfio_log_count(trigger_calls) - calls, ==, 1 + count);

    calls = qvfio_log_count(disable_calls);
    qmsix_testdev_enable(l.d, false);
    g_assert_cmpuint(qvfio_log_count(disable_calls) - calls, ==, 1);
    stop(&l);
}

/* The function mask over many vectors takes no VFIO call and no commit */
static void test_function_mask(void)
{
    unsigned n, count, calls, routes;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    count = MIN(l.d->vectors, 512);
    for (n = 0; n < count; n++) {
        qmsix_testdev_unmask(l.d, n);
    }
    qmsix_testdev_enable(l.d, true);
    qvfio_machine_await_kvm(&l.m, count);

    calls = qvfio_log_count(set_irqs_calls);
    routes = qvfio_log_count(commits);
    qmsix_testdev_function_mask(l.d, true);
    g_assert_cmpuint(qvfio_machine_vectors_in(&l.m, "irqfd"), ==, 0);
    qmsix_testdev_fire(l.d, count - 1);
    g_assert_true(qmsix_testdev_eventually(l.d, count - 1,
                                           qmsix_testdev_pending));
    qmsix_testdev_function_mask(l.d, false);
    qvfio_machine_await_kvm(&l.m, count);
    g_assert_cmpuint(qvfio_log_count(set_irqs_calls), ==, calls);
    g_assert_cmpuint(qvfio_log_count(commits), ==, routes);
    stop(&l);
}

/*
 * Routes of vectors that are unmasked one by one are committed together, at
 * most once in 5 ms.
 */
static void test_batches(void)
{
    unsigned n, count, routes;
    gint64 start_us, ms;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    count = MIN(l.d->vectors, 512);
    qmsix_testdev_enable(l.d, true);
    routes = qvfio_log_count(commits);
    start_us = g_get_monotonic_time();
    for (n = 0; n < count; n++) {
        qmsix_testdev_unmask(l.d, n);
    }
    qvfio_machine_await_kvm(&l.m, count);
    ms = (g_get_monotonic_time() - start_us) / 1000;
    routes = qvfio_log_count(commits) - routes;
    g_test_message("%u vectors: %u commits of routes in %" PRId64 " ms", count,
                   routes, (int64_t)ms);
    g_assert_cmpuint(routes, >, 0);
    g_assert_cmpint(routes, <=, ms / 5 + 2);
    stop(&l);
}

/*
 * A vector that is masked around each interrupt: it is KVM's at each unmask
 * again, with the same route, and VFIO is not called.
 */
static void test_masked_around(void)
{
    const unsigned rounds = 500;
    unsigned i, calls, routes, assigned;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    qmsix_testdev_enable(l.d, true);
    qmsix_testdev_unmask(l.d, 0);
    qvfio_machine_await_kvm(&l.m, 1);
    calls = qvfio_log_count(set_irqs_calls);
    routes = qvfio_log_count(commits);
    assigned = qvfio_log_count(assigns);
    for (i = 0; i < rounds; i++) {
        qmsix_testdev_mask(l.d, 0);
        qmsix_testdev_fire(l.d, 0);
        g_assert_true(qmsix_testdev_eventually(l.d, 0,
                                               qmsix_testdev_pending));
        qmsix_testdev_unmask(l.d, 0);
        g_assert_true(qmsix_testdev_take(l.d, 0));
    }
    g_assert_cmpuint(qvfio_log_count(set_irqs_calls), ==, calls);
    g_assert_cmpuint(qvfio_log_count(commits), ==, routes);
    g_assert_cmpuint(qvfio_log_count(assigns), ==, assigned + rounds);
    assert_delivered(&l.m, 0, "500");
    g_assert_true(is_irqfd(&l.m, 0));
    stop(&l);
}

/* A new message while the vector is masked reaches the route */
static void test_message_changed(void)
{
    unsigned routes;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    qmsix_testdev_enable(l.d, true);
    qmsix_testdev_unmask(l.d, 0);
    qvfio_machine_await_kvm(&l.m, 1);
    routes = qvfio_log_count(commits);

    /* no commit for an unchanged message */
    qmsix_testdev_mask(l.d, 0);
    qmsix_testdev_unmask(l.d, 0);
    qvfio_machine_await_kvm(&l.m, 1);
    g_assert_cmpuint(qvfio_log_count(commits), ==, routes);

    qmsix_testdev_mask(l.d, 0);
    qmsix_testdev_set_message(l.d, 0, 0xfee00000, 0x55);
    qmsix_testdev_unmask(l.d, 0);
    qvfio_machine_await_kvm(&l.m, 1);
    g_assert_cmpuint(qvfio_log_count(commits), ==, routes + 1);
    stop(&l);
}

/*
 * With an IOMMU that could remap them, KVM does not take every address: QEMU
 * must not abort.
 */
static void test_bad_message(void)
{
    const char *device = need_device_and_kvm();
    QVfioMachine m;
    unsigned n;

    if (!device) {
        return;
    }

    qvfio_machine_start_kvm_iommu(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);
    for (n = 0; n < 8; n++) {
        qmsix_testdev_set_message(&m.dev, n, (n + 1ull) << 32 | 0xfee00000,
                                  0x30 + n);
        qmsix_testdev_unmask(&m.dev, n);
    }
    qmsix_testdev_unmask(&m.dev, 8);
    qvfio_machine_await_kvm(&m, 1);

    /* one in state irqfd gets such a message: QEMU delivers it */
    qmsix_testdev_mask(&m.dev, 8);
    qmsix_testdev_set_message(&m.dev, 8, 1ull << 32, 1);
    qmsix_testdev_unmask(&m.dev, 8);
    qmsix_testdev_unmask(&m.dev, 9);
    qvfio_machine_await_kvm(&m, 1);
    for (n = 0; n < 9; n++) {
        g_assert_true(is_direct(&m, n));
    }
    g_assert_true(is_irqfd(&m, 9));

    /* and KVM again with a good one */
    qmsix_testdev_mask(&m.dev, 8);
    qmsix_testdev_set_default_message(&m.dev, 8);
    qmsix_testdev_unmask(&m.dev, 8);
    qvfio_machine_await_kvm(&m, 2);
    g_assert_true(is_irqfd(&m, 8));
    qvfio_machine_stop(&m);
}

/* No descriptor and no route is left when MSI-X is disabled, or by a reset */
static void test_cycles(void)
{
    unsigned n, i, fds = 0;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    for (i = 0; i < 1000; i++) {
        for (n = 0; n < 8; n++) {
            qmsix_testdev_unmask(l.d, n);
        }
        qmsix_testdev_enable(l.d, true);
        if (i % 4 == 0) {
            qvfio_machine_await_kvm(&l.m, 8);
        }
        if (i % 100 == 50) {
            qvfio_machine_reset(&l.m);
            qvfio_machine_setup_device(&l.m);
        }
        qmsix_testdev_enable(l.d, false);
        if (i == 0) {
            fds = qvfio_machine_fds(&l.m);
        }
    }
    g_assert_cmpuint(qvfio_machine_fds(&l.m), ==, fds);

    /* Leaked routes would have exhausted KVM's. */
    for (n = 0; n < 8; n++) {
        qmsix_testdev_unmask(l.d, n);
    }
    qmsix_testdev_enable(l.d, true);
    qvfio_machine_await_kvm(&l.m, 8);
    stop(&l);
}

/* With x-no-kvm-msix QEMU delivers all */
static void test_no_kvm(void)
{
    unsigned i, assigned;
    Logged l;

    if (!start(&l, ",x-no-kvm-msix=on")) {
        return;
    }

    assigned = qvfio_log_count(assigns);
    qmsix_testdev_enable(l.d, true);
    qmsix_testdev_unmask(l.d, 0);
    for (i = 0; i < 3; i++) {
        g_assert_true(qmsix_testdev_delivers(l.d, 0));
        g_usleep(20000);
    }
    g_assert_true(is_direct(&l.m, 0));
    g_assert_cmpuint(qvfio_log_count(assigns), ==, assigned);
    stop(&l);
}

/*
 * Call kvm_irqchip_change_notify(), which no x86 machine does by itself, by gdb
 * at the top of QEMU's main loop.  Returns false if gdb cannot be used.
 */
static bool notify_irqchip_change(Logged *l)
{
    g_autofree char *pid = g_strdup_printf("%d", l->m.pid);
    char *argv[] = {
        (char *)"gdb", (char *)"-nx", (char *)"-batch", (char *)"-p", pid,
        (char *)"-ex", (char *)"break main_loop_wait",
        (char *)"-ex", (char *)"continue",
        (char *)"-ex", (char *)"call (void)kvm_irqchip_change_notify()",
        (char *)"-ex", (char *)"echo notified\\n", NULL
    };
    g_autofree char *path = qvfio_temporary_file();
    g_autofree char *text = NULL;
    int status, out = open(path, O_WRONLY);
    pid_t gdb;
    bool ok;

    g_assert_cmpint(out, >=, 0);
    gdb = fork();
    if (!gdb) {
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        unsetenv("LD_PRELOAD");
        execvp(argv[0], argv);
        _exit(127);
    }
    close(out);
    /* Commands make the main loop iterate. */
    while (waitpid(gdb, &status, WNOHANG) == 0) {
        qobject_unref(qtest_qmp(l->m.qts, "{'execute': 'query-status'}"));
        g_usleep(20000);
    }
    ok = g_file_get_contents(path, &text, NULL, NULL);
    g_assert_true(ok);
    unlink(path);
    ok = status == 0 && strstr(text, "\nnotified");
    if (!ok) {
        g_test_message("%s", text);
    }
    return ok;
}

/* The asserted lines of KVM's I/O APIC, from "info pic" */
static char *ioapic_lines(Logged *l)
{
    g_autofree char *text = qtest_hmp(l->m.qts, "info pic");
    char *start = strstr(text, "  IRR"), *end;

    g_assert_nonnull(start);
    end = strpbrk(start, "\r\n");
    return g_strndup(start, end ? end - start : strlen(start));
}

static void await_ioapic(Logged *l, bool up)
{
    gint64 end = qmsix_testdev_deadline();

    while (true) {
        g_autofree char *lines = ioapic_lines(l);

        if (!strstr(lines, "none") == up) {
            return;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
}

/*
 * INTx works after the notifier of a changed interrupt controller, which has
 * nothing to do for a device with MSI-X enabled.
 */
static void test_irqchip_change(void)
{
    unsigned fds, before;
    Logged l;

    if (!start(&l, "")) {
        return;
    }

    await_ioapic(&l, false);
    if (!notify_irqchip_change(&l)) {
        g_test_skip("gdb cannot be used on QEMU");
        stop(&l);
        return;
    }
    qmsix_testdev_write(l.d, MSIX_TESTDEV_INTX, 1);
    await_ioapic(&l, true);
    g_assert_true(notify_irqchip_change(&l));
    await_ioapic(&l, true);
    qmsix_testdev_write(l.d, MSIX_TESTDEV_INTX, 0);
    g_assert_true(notify_irqchip_change(&l));
    await_ioapic(&l, false);

    qmsix_testdev_enable(l.d, true);
    qmsix_testdev_unmask(l.d, 0);
    qvfio_machine_await_kvm(&l.m, 1);
    fds = qvfio_machine_fds(&l.m);
    before = qvfio_log_count(set_irqs_calls);
    g_assert_true(notify_irqchip_change(&l));
    g_assert_cmpuint(qvfio_log_count(set_irqs_calls), ==, before);
    g_assert_cmpuint(qvfio_machine_fds(&l.m), ==, fds);
    g_assert_cmpuint(count_lines(&l, "irqfd"), ==, 0);
    g_assert_true(is_irqfd(&l.m, 0));

    qmsix_testdev_enable(l.d, false);
    qmsix_testdev_write(l.d, MSIX_TESTDEV_INTX, 1);
    await_ioapic(&l, true);
    stop(&l);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("vfio-msix-kvm/routes-exhausted", test_routes_exhausted);
    qtest_add_func("vfio-msix-kvm/calls", test_calls);
    qtest_add_func("vfio-msix-kvm/function-mask", test_function_mask);
    qtest_add_func("vfio-msix-kvm/batches", test_batches);
    qtest_add_func("vfio-msix-kvm/masked-around", test_masked_around);
    qtest_add_func("vfio-msix-kvm/message-changed", test_message_changed);
    qtest_add_func("vfio-msix-kvm/bad-message", test_bad_message);
    qtest_add_func("vfio-msix-kvm/irqchip-change", test_irqchip_change);
    qtest_add_func("vfio-msix-kvm/cycles", test_cycles);
    qtest_add_func("vfio-msix-kvm/no-kvm", test_no_kvm);
    qtest_add_func("vfio-msix-kvm/replay", test_replay);
    return g_test_run();
}
