/*
 * QTest testcase for MSI-X of vfio-pci where vectors cannot be added one by one
 *
 * On such a host - Linux before 6.5 - QEMU must disable MSI-X and enable it
 * again to add vectors.  It does so rarely, and makes up for what the device
 * signals meanwhile by signalling each vector in use itself, a replay.
 *
 * Any host will do: one that can add vectors is treated as one that cannot, by
 * x-msix-dynamic=off.  It needs a device to pass through, an msix-testdev;
 * libqos/vfio-host.h says how to name it.  Without one, all cases are skipped.
 *
 * No case passes or fails by how fast something is: what must come is waited
 * for generously, and that something does not come is concluded only from
 * what comes after it.
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

/* How often MSI-X is enabled to see a host lose what nobody replays */
#define ROUNDS 20

/* For how long the simulated host has MSI-X disabled at a time, longer */
#define WINDOW_US 3000

typedef struct Growing {
    QVfioMachine m;
    QMsixTestdev *d;
    QMsixAccount a;
    QVfioSim *sim;              /* or NULL */
} Growing;

static const char *device;
static bool dynamic;

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

/* Widens what may go wrong while MSI-X is disabled */
static void set_window(Growing *g)
{
    qvfio_sim_command(g->sim, "slow set-irqs us=%d at=window", WINDOW_US);
}

/* @properties: more of the device's, as qvfio_machine_start() takes them */
static void start(Growing *g, const char *properties, const char *options)
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

static void stop(Growing *g)
{
    if (g->sim) {
        qvfio_sim_free(g->sim);
    }
    qmsix_account_free(&g->a);
    qvfio_machine_stop(&g->m);
}

static uint32_t disables(Growing *g)
{
    return qmsix_testdev_read(g->d, MSIX_TESTDEV_MSIX_DISABLES);
}

/*
 * Vector 0 fires when MSI-X is disabled next, for certain.  If its last
 * interrupt has not come yet, or never will, one more would count for nothing.
 */
static void fire_in_window(Growing *g)
{
    QMsixTestdev *d = g->d;

    if (g->sim &&
        qmsix_testdev_vector_read(d, 0, MSIX_TESTDEV_VECTOR_RAISED) ==
        qmsix_testdev_vector_read(d, 0, MSIX_TESTDEV_VECTOR_ACKED)) {
        qvfio_sim_command(g->sim, "fire 0 at=window");
    }
}

/*
 * Unmask @count vectors one by one while the first of them fire.  On a real
 * host all do so by themselves, and hit the window that there is by chance.
 */
static void grow_while_firing(Growing *g, unsigned count, unsigned firing)
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

/* At most so many times may MSI-X be disabled to add vectors one by one */
static unsigned max_reenables(unsigned vectors)
{
    return 32 - clz32(vectors - 1) + 1;
}

static void assert_grows(unsigned limit, unsigned firing)
{
    Growing g;
    uint32_t before, dropped;
    unsigned n, count, reenables;

    start(&g, "", "");
    count = MIN(g.d->vectors, limit);
    qmsix_testdev_enable(g.d, true);
    before = disables(&g);

    grow_while_firing(&g, count, MIN(count, firing));

    reenables = disables(&g) - before;
    dropped = qmsix_testdev_read(g.d, MSIX_TESTDEV_DROPPED);
    g_test_message("%u vectors, %u re-enables, dropped by the device %u: "
                   "delivered %" PRIu64 ", extra %" PRIu64 ", lost %" PRIu64,
                   count, reenables, dropped, g.a.delivered, g.a.extra,
                   g.a.lost);
    g_assert_cmpuint(g.a.lost, ==, 0);
    g_assert_cmpuint(reenables, >, 0);
    g_assert_cmpuint(reenables, <=, max_reenables(count));
    g_assert_cmpuint(g.a.extra, <=, (uint64_t)count * reenables);
    if (g.sim) {
        /* or nothing has been shown */
        g_assert_cmpuint(dropped, >, 0);
    }
    g_assert_cmpint(qvfio_machine_stat(&g.m, "re-enables"), ==, reenables);
    g_assert_cmpint(qvfio_machine_stat(&g.m, "replays"), <=,
                    (int64_t)count * reenables);

    for (n = 0; n < count; n++) {
        qvfio_fence(g.d);
        qmsix_testdev_take(g.d, n);
        g_assert_true(qmsix_testdev_delivers(g.d, n));
    }

    stop(&g);
}

/* Growth one by one loses nothing, and is rarely a matter of all vectors */
static void test_grow(void)
{
    if (need_device()) {
        assert_grows(MANY, MANY);
    }
}

/* Nor is growth to as many as the device has */
static void test_grow_all(void)
{
    if (need_device()) {
        assert_grows(MSIX_TESTDEV_MAX_VECTORS, FIRING);
    }
}

/* Without the replays interrupts are lost, or the cases above prove nothing */
static void test_off(void)
{
    Growing g;
    unsigned n, count, round;

    if (!need_device()) {
        return;
    }

    start(&g, ",x-msix-replay=off", "");
    count = MIN(g.d->vectors, MANY);
    for (round = 0; round < ROUNDS && !g.a.lost; round++) {
        qmsix_testdev_enable(g.d, true);
        grow_while_firing(&g, count, MIN(count, FIRING));
        for (n = 0; n < count; n++) {
            qmsix_testdev_mask(g.d, n);
        }
        qmsix_testdev_enable(g.d, false);
    }

    g_test_message("%u rounds: delivered %" PRIu64 ", extra %" PRIu64
                   ", lost %" PRIu64, round, g.a.delivered, g.a.extra,
                   g.a.lost);
    g_assert_cmpuint(g.a.lost, >, 0);
    g_assert_cmpint(qvfio_machine_stat(&g.m, "re-enables"), >, 0);
    g_assert_cmpint(qvfio_machine_stat(&g.m, "replays"), ==, 0);

    stop(&g);
}

static void assert_replays(Growing *g, int64_t reenables, int64_t replays)
{
    g_assert_cmpint(qvfio_machine_stat(&g->m, "re-enables"), ==, reenables);
    g_assert_cmpint(qvfio_machine_stat(&g->m, "replays"), ==, replays);
}

/*
 * Who is signalled: each vector that was in use, once for each re-enable, as a
 * delivery or as a pending bit.  Nobody else, and nobody without a re-enable.
 */
static void test_who(void)
{
    Growing g;
    QMsixTestdev *d;

    if (!need_device()) {
        return;
    }

    start(&g, "", "");
    d = g.d;
    g_assert_cmpuint(d->vectors, >=, 8);
    g_assert_true(qvfio_machine_has_stats(&g.m));
    qmsix_testdev_enable(d, true);
    assert_replays(&g, 0, 0);

    /* enabling MSI-X has taken one vector of the host's */
    qmsix_testdev_unmask(d, 0);
    assert_replays(&g, 0, 0);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* room for two */
    qmsix_testdev_unmask(d, 1);
    assert_replays(&g, 1, 1);
    g_assert_true(qmsix_testdev_eventually(d, 0, qmsix_testdev_take));
    g_assert_true(qmsix_testdev_delivers(d, 1));

    /* room for four, with vector 0 masked */
    qmsix_testdev_mask(d, 0);
    qmsix_testdev_unmask(d, 2);
    assert_replays(&g, 2, 3);
    g_assert_true(qmsix_testdev_eventually(d, 1, qmsix_testdev_take));
    g_assert_true(qmsix_testdev_eventually(d, 0, qmsix_testdev_pending));
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);
    g_assert_false(qmsix_testdev_pending(d, 1));
    g_assert_false(qmsix_testdev_pending(d, 2));
    g_assert_false(qmsix_testdev_pending(d, 3));

    /* which gets it when it is unmasked, once */
    qmsix_testdev_unmask(d, 0);
    g_assert_true(qmsix_testdev_eventually(d, 0, qmsix_testdev_take));
    g_assert_false(qmsix_testdev_pending(d, 0));
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* there is room for this one */
    qmsix_testdev_unmask(d, 3);
    assert_replays(&g, 2, 3);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* masks and unmasks are no occasion, nor is MSI-X off and on */
    qmsix_testdev_mask(d, 3);
    qmsix_testdev_unmask(d, 3);
    qmsix_testdev_function_mask(d, true);
    qmsix_testdev_function_mask(d, false);
    qmsix_testdev_enable(d, false);
    qmsix_testdev_enable(d, true);
    assert_replays(&g, 2, 3);
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);

    /* all under the function mask, which leaves pending bits */
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
 * While MSI-X is disabled the device may assert INTx.  The guest, which has
 * MSI-X enabled, sees nothing of it, a device on the same line is not
 * disturbed, and INTx of both works as ever afterwards.
 */
static void test_intx_meanwhile(void)
{
    const char *device_2 = qvfio_device(2);
    g_autofree char *options = NULL;
    QPCIDevice *pdev_2;
    QMsixTestdev d2;
    Growing g;
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
        /* the other's level holds through it, and falls when it falls */
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

    qtest_add_func("vfio-msix-replay/grow", test_grow);
    qtest_add_func("vfio-msix-replay/grow-all", test_grow_all);
    qtest_add_func("vfio-msix-replay/off", test_off);
    qtest_add_func("vfio-msix-replay/who", test_who);
    qtest_add_func("vfio-msix-replay/intx-meanwhile", test_intx_meanwhile);

    return g_test_run();
}
