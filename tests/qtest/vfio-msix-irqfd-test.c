/*
 * QTest testcase for MSI-X of vfio-pci: interrupts while a vector's irqfd is
 * assigned or deassigned
 *
 * The device fires before and after each ioctl that does so, and the interrupt
 * must be delivered once, by QEMU or by KVM.  This needs the simulated host
 * with its irqfds (tests/vfio-sim, --irqfds), which fires at such places and
 * writes what KVM delivers to the guest's memory.  The guest never runs, so any
 * KVM will do.  libqos/vfio-host.h says how the device is named.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"

/* Vectors that take part */
#define VECTORS 8

/* Where an irqfd is assigned, as vfio-sim names the place */
static const char *const assigning[] = {
    "at=start call=kvm-routes", "at=end call=kvm-routes",
    "at=start call=kvm-irqfd", "at=end call=kvm-irqfd",
};

typedef struct Watched {
    QVfioMachine m;
    QMsixTestdev *d;
    QVfioSim *sim;
    char *log;                  /* of QEMU, its standard error */
    int64_t messages;           /* delivered by either, and accounted for */
} Watched;

static bool start(Watched *w, const char *properties)
{
    const char *device = qvfio_device(1);
    g_autofree char *options = NULL;

    if (!device || !qvfio_sees_kvm()) {
        g_test_skip("what KVM delivers cannot be seen here");
        return false;
    }
    if (!qvfio_has_kvm()) {
        g_test_skip("no access to /dev/kvm");
        return false;
    }

    w->log = qvfio_temporary_file();
    options = g_strdup_printf("2>%s", w->log);
    qvfio_machine_start_kvm(&w->m, device, properties, options);
    w->d = &w->m.dev;
    w->sim = qvfio_sim_connect(device);
    g_assert_nonnull(w->sim);
    w->messages = 0;
    return true;
}

static void stop(Watched *w)
{
    g_assert_cmpint(qvfio_sim_counter(w->sim, "misses"), ==, 0);
    qvfio_sim_free(w->sim);
    qvfio_machine_stop(&w->m);
    unlink(w->log);
    g_free(w->log);
}

static void fire_at(Watched *w, unsigned n, const char *place)
{
    qvfio_sim_command(w->sim, "fire %u %s", n, place);
}

/* QEMU and KVM have delivered @count since the last call, and no more come */
static void assert_messages(Watched *w, unsigned count)
{
    qvfio_fence(w->d);
    w->messages += count;
    g_assert_cmpint(qvfio_sim_counter(w->sim, "injected") +
                    qvfio_machine_delivered(&w->m), ==, w->messages);
}

/* What was delivered up to now is of no concern */
static void forget_messages(Watched *w)
{
    qvfio_fence(w->d);
    qmsix_testdev_take_all(w->d, NULL);
    w->messages = qvfio_sim_counter(w->sim, "injected") +
                  qvfio_machine_delivered(&w->m);
}

static void assert_comes_once(Watched *w, unsigned n)
{
    g_assert_true(qmsix_testdev_eventually(w->d, n, qmsix_testdev_take));
    assert_messages(w, 1);
    g_assert_cmpuint(qmsix_testdev_take_all(w->d, NULL), ==, 0);
    g_assert_false(qmsix_testdev_pending(w->d, n));
    qmsix_testdev_ack(w->d, n);
}

static bool has_kvm(Watched *w, unsigned n)
{
    g_autofree char *state = qvfio_machine_vector_stat(&w->m, n, "state");

    return state && g_str_equal(state, "irqfd");
}

/* MSI-X on, with VECTORS in use in state irqfd */
static void enable(Watched *w)
{
    unsigned n;

    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_unmask(w->d, n);
    }
    qmsix_testdev_enable(w->d, true);
    qvfio_machine_await_kvm(&w->m, VECTORS);
}

/* MSI-X on, and no resize, with its replays, for any of VECTORS after this */
static void enable_with_spare_vectors(Watched *w)
{
    qmsix_testdev_enable(w->d, true);
    qmsix_testdev_unmask(w->d, VECTORS - 1);
    qmsix_testdev_mask(w->d, VECTORS - 1);
}

/* An irqfd is assigned: for the first time, and again */
static void test_assign(void)
{
    unsigned place, n, round;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    for (round = 0; round < 3; round++) {
        enable_with_spare_vectors(&w);
        for (place = 0; place < ARRAY_SIZE(assigning); place++) {
            n = place;
            /* set before the unmask, as the commit is made any time later */
            fire_at(&w, n, assigning[place]);
            qmsix_testdev_unmask(w.d, n);
            qvfio_machine_await_kvm(&w.m, n + 1);
            assert_comes_once(&w, n);
            g_assert_true(has_kvm(&w, n));
        }

        /* once more, with a message that makes new routes necessary */
        for (place = 0; place < ARRAY_SIZE(assigning); place++) {
            n = place;
            qmsix_testdev_mask(w.d, n);
            qmsix_testdev_set_message(w.d, n, w.d->messages +
                                      n * sizeof(uint32_t), 100 + n + round);
            fire_at(&w, n, assigning[place]);
            qmsix_testdev_unmask(w.d, n);
            qvfio_machine_await_kvm(&w.m, ARRAY_SIZE(assigning));
            g_assert_cmphex(qmsix_testdev_message(w.d, n), ==,
                            100 + n + round);
            assert_comes_once(&w, n);
        }
        qmsix_testdev_enable(w.d, false);
        for (n = 0; n < VECTORS; n++) {
            qmsix_testdev_mask(w.d, n);
        }
    }
    stop(&w);
}

/*
 * All vectors get other messages under the function mask, so that routes change
 * and irqfds come in turn.  The vectors fire at the first of each call, when
 * some are KVM's and others are not yet.
 */
static void test_assign_many(void)
{
    unsigned n, round;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    enable(&w);
    for (round = 0; round < 2 * ARRAY_SIZE(assigning); round++) {
        if (round % 2) {
            /* Let the first one have a commit of its own */
            g_usleep(100000);
            qvfio_fence(w.d);
        }
        qmsix_testdev_function_mask(w.d, true);
        for (n = 0; n < VECTORS; n++) {
            qmsix_testdev_set_message(w.d, n, w.d->messages +
                                      n * sizeof(uint32_t),
                                      0x100 * (round + 1) + n);
            fire_at(&w, n, assigning[(n + round) % ARRAY_SIZE(assigning)]);
        }
        qmsix_testdev_function_mask(w.d, false);
        qvfio_machine_await_kvm(&w.m, VECTORS);
        assert_messages(&w, VECTORS);
        for (n = 0; n < VECTORS; n++) {
            g_assert_cmphex(qmsix_testdev_message(w.d, n), ==,
                            0x100 * (round + 1) + n);
            g_assert_true(qmsix_testdev_take(w.d, n));
            qmsix_testdev_ack(w.d, n);
        }
    }
    stop(&w);
}

/* An irqfd is deassigned as the guest masks */
static void test_deassign(const void *opaque)
{
    bool function_mask = opaque;
    unsigned n;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    enable(&w);
    for (n = 0; n < VECTORS; n++) {
        /* with the function mask the first call is for vector 0 */
        bool pends = function_mask ? n == 0 : n % 2;

        fire_at(&w, n, pends ? "at=end call=kvm-irqfd" :
                               "at=start call=kvm-irqfd");
        if (function_mask) {
            qmsix_testdev_function_mask(w.d, true);
        } else {
            qmsix_testdev_mask(w.d, n);
        }
        g_assert_false(has_kvm(&w, n));

        /* What KVM delivers it has delivered; none after the mask */
        g_assert_cmpint(qmsix_testdev_take(w.d, n), ==, !pends);
        g_assert_cmpint(qmsix_testdev_pending(w.d, n), ==, pends);
        assert_messages(&w, !pends);
        g_assert_cmpuint(qmsix_testdev_take_all(w.d, NULL), ==, 0);

        if (function_mask) {
            qmsix_testdev_function_mask(w.d, false);
        } else {
            qmsix_testdev_unmask(w.d, n);
        }
        if (pends) {
            assert_comes_once(&w, n);
        }
        qmsix_testdev_ack(w.d, n);
        qvfio_machine_await_kvm(&w.m, VECTORS);
        assert_messages(&w, 0);
    }
    g_assert_cmpuint(qmsix_testdev_read(w.d, MSIX_TESTDEV_RAISED), ==,
                     w.messages);
    stop(&w);
}

/* MSI-X is disabled, with all irqfds; interrupts then may be dropped */
static void test_disable(void)
{
    unsigned n, round;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    qtest_irq_intercept_in(w.m.qts, "ioapic");
    for (round = 0; round < 6; round++) {
        enable(&w);
        g_assert_cmpint(qvfio_sim_counter(w.sim, "irqfds"), ==, VECTORS);
        for (n = 0; n < VECTORS; n++) {
            fire_at(&w, n, n % 2 ? "at=end call=kvm-irqfd" :
                                   "at=start call=kvm-irqfd");
        }
        if (round % 2) {
            qvfio_machine_reset(&w.m);
            qvfio_machine_setup_device(&w.m);
        } else {
            qmsix_testdev_enable(w.d, false);
        }
        g_assert_cmpint(qvfio_sim_counter(w.sim, "irqfds"), ==, 0);
        for (n = 0; n < VECTORS; n++) {
            qmsix_testdev_ack(w.d, n);
        }
        qvfio_sim_command(w.sim, "clear");
        forget_messages(&w);
    }
    enable(&w);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_fire(w.d, n);
        assert_comes_once(&w, n);
    }
    stop(&w);
}

/*
 * A resize: KVM delivers one replay for each vector in state irqfd.  A masked
 * one comes once at its unmask; it has a pending bit before that if it fired
 * before MSI-X was disabled.
 */
static void test_resize(void)
{
    static const char *const places[] = {
        "at=start", "at=window", "at=end",
    };
    const unsigned masked = VECTORS - 1;
    unsigned n, used, place;
    Watched w;

    if (!start(&w, qvfio_msix_is_dynamic(qvfio_device(1)) ?
               ",x-msix-dynamic=off" : "")) {
        return;
    }

    enable(&w);
    used = VECTORS;
    for (place = 0; place < ARRAY_SIZE(places); place++) {
        int64_t resizes = qvfio_machine_stat(&w.m, "resizes");

        /* as many as the host has: the next one is what needs a resize */
        while (used < qvfio_machine_stat(&w.m, "host-vectors")) {
            qmsix_testdev_unmask(w.d, used++);
        }
        qvfio_machine_await_kvm(&w.m, used);
        qmsix_testdev_mask(w.d, masked);
        fire_at(&w, 1, places[place]);
        fire_at(&w, masked, places[place]);
        g_assert_cmpuint(used, <, w.d->vectors);
        qmsix_testdev_unmask(w.d, used++);
        g_assert_cmpint(qvfio_machine_stat(&w.m, "resizes"), ==, resizes + 1);
        for (n = 0; n < masked; n++) {
            g_assert_true(qmsix_testdev_take(w.d, n));
            g_assert_false(qmsix_testdev_pending(w.d, n));
        }
        g_assert_false(qmsix_testdev_take(w.d, masked));
        forget_messages(&w);
        g_assert_cmpint(qmsix_testdev_pending(w.d, masked), ==, place == 0);
        qmsix_testdev_unmask(w.d, masked);
        assert_comes_once(&w, masked);
        qvfio_machine_await_kvm(&w.m, used);
        assert_messages(&w, 0);
        for (n = 0; n < used; n++) {
            g_assert_true(qmsix_testdev_delivers(w.d, n));
        }
    }
    stop(&w);
}

static unsigned count_warnings(Watched *w)
{
    g_auto(GStrv) lines = qvfio_stderr_lines(w->log);
    unsigned i, n = 0;

    for (i = 0; lines[i]; i++) {
        n += !!strstr(lines[i], "KVM cannot deliver");
    }
    return n;
}

/* KVM cannot assign irqfds: QEMU delivers, warns once, and tries again */
static void test_assign_fails(void)
{
    unsigned n, round;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    qvfio_sim_command(w.sim, "fault kvm-irqfd result=ENOMEM");
    enable_with_spare_vectors(&w);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_unmask(w.d, n);
    }
    for (round = 0; round < 3; round++) {
        for (n = 0; n < VECTORS; n++) {
            /* also what fires as KVM fails */
            fire_at(&w, n, assigning[round]);
            qmsix_testdev_mask(w.d, n);
            qmsix_testdev_unmask(w.d, n);
            assert_comes_once(&w, n);
            qmsix_testdev_fire(w.d, n);
            assert_comes_once(&w, n);
            g_assert_false(has_kvm(&w, n));
        }
    }
    g_assert_cmpuint(count_warnings(&w), ==, 1);
    g_assert_cmpint(qvfio_sim_counter(w.sim, "injected"), ==, 0);

    qvfio_sim_command(w.sim, "clear");
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(w.d, n);
        qmsix_testdev_unmask(w.d, n);
    }
    qvfio_machine_await_kvm(&w.m, VECTORS);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_fire(w.d, n);
        assert_comes_once(&w, n);
    }
    g_assert_cmpint(qvfio_sim_counter(w.sim, "injected"), ==, VECTORS);
    stop(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("vfio-msix-irqfd/assign", test_assign);
    qtest_add_func("vfio-msix-irqfd/assign-many", test_assign_many);
    qtest_add_data_func("vfio-msix-irqfd/deassign", NULL, test_deassign);
    qtest_add_data_func("vfio-msix-irqfd/function-mask", "", test_deassign);
    qtest_add_func("vfio-msix-irqfd/disable", test_disable);
    qtest_add_func("vfio-msix-irqfd/resize", test_resize);
    qtest_add_func("vfio-msix-irqfd/assign-fails", test_assign_fails);

    return g_test_run();
}
