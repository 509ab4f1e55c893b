/*
 * QTest testcase for MSI-X of vfio-pci where vectors cannot be added one by one
 *
 * On such a host (VFIO_IRQ_INFO_NORESIZE) QEMU must disable MSI-X and enable it
 * again to add vectors, a resize.  It does so rarely, and signals each vector
 * in use itself afterwards, a replay, in case the device fired meanwhile.
 *
 * On a host that can add vectors x-msix-dynamic=off is set.  The tests need a
 * device to pass through, an msix-testdev; libqos/vfio-host.h says how to name
 * it.  Without one, all cases are skipped.
 *
 * No case depends on speed: the timeout for what must come is generous, and
 * that something does not come is concluded only from what comes after it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "libqtest.h"
#include "libqos/msix-account.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"

/* Vectors that are unmasked one by one; the device may have more */
#define MANY 64

/* Those that fire meanwhile; the more, the longer a round takes */
#define FIRING 16

/* How often MSI-X is enabled until interrupts are lost without replays */
#define ROUNDS 200

/* For how much longer the simulated host has MSI-X disabled in a resize */
#define WINDOW_US 3000

typedef struct Resizing {
    QVfioMachine m;
    QMsixTestdev *d;
    QMsixAccount a;
    QVfioSim *sim;              /* or NULL */
} Resizing;

static const char *device;
static bool dynamic;

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

/* Has the simulated host keep MSI-X disabled for longer */
static void set_window(Resizing *g)
{
    qvfio_sim_command(g->sim, "slow set-irqs us=%d at=window", WINDOW_US);
}

/* @properties: more of the device's, as qvfio_machine_start() takes them */
static void start(Resizing *g, const char *properties, const char *options)
{
    g_autofree char *all = g_strconcat(dynamic ? ",x-msix-dynamic=off" : "",
                                       properties, NULL);

    memset(g, 0, sizeof(*g));
    qvfio_machine_start(&g->m, device, all, options);
    g->d = &g->m.dev;
    qmsix_account_init(&g->a, g->d);
    g->sim = qvfio_sim_connect(device);
    if (g->sim) {
        set_window(g);
    }
}

static void stop(Resizing *g)
{
    if (g->sim) {
        qvfio_sim_free(g->sim);
    }
    qmsix_account_free(&g->a);
    qvfio_machine_stop(&g->m);
}

static uint32_t disables(Resizing *g)
{
    return qmsix_testdev_read(g->d, MSIX_TESTDEV_MSIX_DISABLES);
}

/*
 * Vector 0 fires when MSI-X is disabled next.  If its last interrupt has not
 * come yet, another one could not be told from it.
 */
static void fire_in_window(Resizing *g)
{
    QMsixTestdev *d = g->d;

    if (g->sim &&
        qmsix_testdev_vector_read(d, 0, MSIX_TESTDEV_VECTOR_RAISED) ==
        qmsix_testdev_vector_read(d, 0, MSIX_TESTDEV_VECTOR_ACKED)) {
        qvfio_sim_command(g->sim, "fire 0 at=window");
    }
}

/*
 * Unmask @count vectors one by one while the first @firing of them fire.  On a
 * real host they do so periodically, and fire within a resize by chance.
 */
static void add_while_firing(Resizing *g, unsigned count, unsigned firing)
{
    QMsixTestdev *d = g->d;
    unsigned n, period = MAX(200, firing * 20);

    qmsix_account_start(&g->a);
    for (n = 0; n < count; n++) {
        if (n) {
            fire_in_window(g);
        }
        qmsix_testdev_unmask(d, n);
        if (n < firing && (n || !g->sim)) {
            qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD,
                                       period);
        }
        qmsix_account_service(&g->a);
    }
    if (g->sim) {
        qvfio_sim_command(g->sim, "clear");
        set_window(g);
    }
    qmsix_account_settle(&g->a);
    for (n = 0; n < firing; n++) {
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
    }
}

/* The limit of resizes to add vectors one by one */
static unsigned max_resizes(unsigned vectors)
{
    return 32 - clz32(vectors - 1) + 1;
}

static void assert_resizes(unsigned limit, unsigned firing)
{
    Resizing g;
    uint32_t before, dropped;
    unsigned n, count, resizes;

    start(&g, "", "");
    count = MIN(g.d->vectors, limit);
    qmsix_testdev_enable(g.d, true);
    before = disables(&g);

    add_while_firing(&g, count, MIN(count, firing));

    resizes = disables(&g) - before;
    dropped = qmsix_testdev_read(g.d, MSIX_TESTDEV_DROPPED);
    g_test_message("%u vectors, %u resizes, dropped by the device %u: "
                   "delivered %" PRIu64 ", extra %" PRIu64 ", lost %" PRIu64,
                   count, resizes, dropped, g.a.delivered, g.a.extra,
                   g.a.lost);
    g_assert_cmpuint(g.a.lost, ==, 0);
    g_assert_cmpuint(resizes, >, 0);
    g_assert_cmpuint(resizes, <=, max_resizes(count));
    g_assert_cmpuint(g.a.extra, <=, (uint64_t)count * resizes);
    if (g.sim) {
        /* The device did fire in a resize. */
        g_assert_cmpuint(dropped, >, 0);
    }
    g_assert_cmpint(qvfio_machine_stat(&g.m, "resizes"), ==, resizes);
    g_assert_cmpint(qvfio_machine_stat(&g.m, "replays"), <=,
                    (int64_t)count * resizes);

    for (n = 0; n < count; n++) {
        qvfio_fence(g.d);
        qmsix_testdev_take(g.d, n);
        g_assert_true(qmsix_testdev_delivers(g.d, n));
    }

    stop(&g);
}

/* Adding vectors one by one loses nothing, and resizes rarely */
static void test_resize(void)
{
    if (need_device()) {
        assert_resizes(MANY, MANY);
    }
}

/* The same with all vectors of the device */
static void test_resize_all(void)
{
    if (need_device()) {
        assert_resizes(MSIX_TESTDEV_MAX_VECTORS, FIRING);
    }
}

/* Without replays interrupts are lost: the cases above depend on them */
static void test_off(void)
{
    Resizing g;
    unsigned n, count, round;

    if (!need_device()) {
        return;
    }

    start(&g, ",x-msix-replay=off", "");
    count = MIN(g.d->vectors, MANY);
    for (round = 0; round < ROUNDS && !g.a.lost; round++) {
        qmsix_testdev_enable(g.d, true);
        add_while_firing(&g, count, MIN(count, FIRING));
        for (n = 0; n < count; n++) {
            qmsix_testdev_mask(g.d, n);
        }
        qmsix_testdev_enable(g.d, false);
    }

    g_test_message("%u rounds: delivered %" PRIu64 ", extra %" PRIu64
                   ", lost %" PRIu64, round, g.a.delivered, g.a.extra,
                   g.a.lost);
    g_assert_cmpuint(g.a.lost, >, 0);
    g_assert_cmpint(qvfio_machine_stat(&g.m, "resizes"), >, 0);
    g_assert_cmpint(qvfio_machine_stat(&g.m, "replays"), ==, 0);

    stop(&g);
}

static void assert_replays(Resizing *g, int64_t resizes, int64_t replays)
{
    g_assert_cmpint(qvfio_machine_stat(&g->m, "resizes"), ==, resizes);
    g_assert_cmpint(qvfio_machine_stat(&g->m, "replays"), ==, replays);
}

/*
 * A resize signals each vector that was in use once, and no other vector: those
 * that are masked at their unmask, without a pending bit until then.  Without a
 * resize there is no replay.
 */
static void test_who(void)
{
    QMsixTestdev *d;
    unsigned n;
    Resizing g;

    if (!need_device()) {
        return;
    }

    start(&g, "", "");
    d = g.d;
    g_assert_cmpuint(d->vectors, >=, 8);
    g_assert_true(qvfio_machine_has_stats(&g.m));
    qmsix_testdev_enable(d, true);
    assert_replays(&g, 0, 0);

    /* MSI-X was enabled with one vector. */
    qmsix_testdev_unmask(d, 0);
    assert_replays(&g, 0, 0);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* resize to two */
    qmsix_testdev_unmask(d, 1);
    assert_replays(&g, 1, 1);
    g_assert_true(qmsix_testdev_eventually(d, 0, qmsix_testdev_take));
    g_assert_true(qmsix_testdev_delivers(d, 1));

    /* resize to four, with vector 0 masked */
    qmsix_testdev_mask(d, 0);
    qmsix_testdev_unmask(d, 2);
    assert_replays(&g, 2, 2);
    g_assert_true(qmsix_testdev_eventually(d, 1, qmsix_testdev_take));
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);
    for (n = 0; n < 4; n++) {
        g_assert_false(qmsix_testdev_pending(d, n));
    }

    /* vector 0 gets one interrupt when it is unmasked, and not another one */
    qmsix_testdev_unmask(d, 0);
    assert_replays(&g, 2, 3);
    g_assert_true(qmsix_testdev_eventually(d, 0, qmsix_testdev_take));
    g_assert_false(qmsix_testdev_pending(d, 0));
    qmsix_testdev_mask(d, 0);
    qmsix_testdev_unmask(d, 0);
    assert_replays(&g, 2, 3);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* the host has this one */
    qmsix_testdev_unmask(d, 3);
    assert_replays(&g, 2, 3);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* no replay for masks and unmasks, nor for MSI-X off and on */
    qmsix_testdev_mask(d, 3);
    qmsix_testdev_unmask(d, 3);
    qmsix_testdev_function_mask(d, true);
    qmsix_testdev_function_mask(d, false);
    qmsix_testdev_enable(d, false);
    qmsix_testdev_enable(d, true);
    assert_replays(&g, 2, 3);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* resize to eight: none for those, with the function mask or without */
    qmsix_testdev_unmask(d, 4);
    assert_replays(&g, 3, 3 + 4);
    qvfio_fence(d);
    qmsix_testdev_take_all(d, NULL);
    qmsix_testdev_mask(d, 5);
    qmsix_testdev_function_mask(d, true);
    qmsix_testdev_unmask(d, 7);
    assert_replays(&g, 3, 7);
    qmsix_testdev_function_mask(d, false);
    assert_replays(&g, 3, 7);
    g_assert_true(qmsix_testdev_delivers(d, 7));

    stop(&g);
}

/*
 * The device may assert INTx while MSI-X is disabled in a resize.  The guest
 * has MSI-X enabled and must not see it; a device on the same line is not
 * affected, and INTx of both works afterwards.
 */
static void test_intx_meanwhile(void)
{
    const char *device_2 = qvfio_device(2);
    g_autofree char *options = NULL;
    QPCIDevice *pdev_2;
    QMsixTestdev d2;
    Resizing g;
    unsigned n;

    if (!need_device()) {
        return;
    }
    if (!device_2) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE_2 is not set");
        return;
    }

    /* slots 4 and 8 have the same line */
    options = g_strdup_printf("-device vfio-pci,id=dev1,addr=8.0,%s", device_2);
    start(&g, "", options);
    pdev_2 = qpci_device_find(g.m.bus, QPCI_DEVFN(8, 0));
    g_assert_nonnull(pdev_2);
    qmsix_testdev_init(&d2, pdev_2, &g.m.alloc);
    qtest_irq_intercept_in(g.m.qts, "ioapic");
    qvfio_assert_intx_works(g.d);
    qvfio_assert_intx_works(&d2);

    qmsix_testdev_enable(g.d, true);
    qmsix_testdev_write(g.d, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_INTX);
    qmsix_account_start(&g.a);
    for (n = 0; n < MIN(g.d->vectors, 32); n++) {
        /* the level of the other device is unchanged by the resize */
        qmsix_testdev_write(&d2, MSIX_TESTDEV_INTX, 1);
        g_assert_true(qmsix_testdev_eventually(&d2, 0, qvfio_intx_high));
        if (n) {
            fire_in_window(&g);
        }
        qmsix_testdev_unmask(g.d, n);
        if (n || !g.sim) {
            qmsix_testdev_vector_write(g.d, n, MSIX_TESTDEV_VECTOR_PERIOD,
                                       300);
        }
        g_assert_true(qvfio_intx_high(&d2, 0));
        qmsix_testdev_write(&d2, MSIX_TESTDEV_INTX, 0);
        g_assert_true(qmsix_testdev_eventually(&d2, 0, qvfio_intx_low));
        qmsix_account_service(&g.a);
    }
    qmsix_account_settle(&g.a);
    g_test_message("INTx asserted %u times, lost %" PRIu64,
                   qmsix_testdev_read(g.d, MSIX_TESTDEV_INTX_RAISED),
                   g.a.lost);
    if (g.sim) {
        g_assert_cmpuint(qmsix_testdev_read(g.d, MSIX_TESTDEV_INTX_RAISED), >,
                         0);
    }
    g_assert_cmpuint(g.a.lost, ==, 0);
    qvfio_assert_intx_works(&d2);

    qmsix_testdev_write(g.d, MSIX_TESTDEV_CTRL, 0);
    qmsix_testdev_enable(g.d, false);
    qvfio_assert_intx_works(g.d);
    qvfio_assert_intx_works(&d2);

    qmsix_testdev_free(&d2);
    g_free(pdev_2);
    stop(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);
    dynamic = device && qvfio_msix_is_dynamic(device);

    qtest_add_func("vfio-msix-replay/resize", test_resize);
    qtest_add_func("vfio-msix-replay/resize-all", test_resize_all);
    qtest_add_func("vfio-msix-replay/off", test_off);
    qtest_add_func("vfio-msix-replay/who", test_who);
    qtest_add_func("vfio-msix-replay/intx-meanwhile", test_intx_meanwhile);

    return g_test_run();
}
