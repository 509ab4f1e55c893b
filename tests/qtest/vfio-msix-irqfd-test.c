/*
 * QTest testcase for MSI-X of vfio-pci: while its listener changes
 *
 * A vector's eventfd is listened to by QEMU or by KVM.  The device fires at
 * each place of each call with which that changes, and the interrupt must come,
 * once, by whichever of the two.  This needs the simulated host with its irqfds
 * (tests/vfio-sim, --irqfds), which has things fire at such places and writes
 * what KVM delivers to the guest's memory.  The guest never runs, so that any
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

/* Where the listener changes, as vfio-sim names it */
static const char *const promotion[] = {
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
        g_test_skip("what KVM delivers is not to be seen here");
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

/* What QEMU has delivered itself */
static int64_t delivered_by_qemu(Watched *w)
{
    g_autofree char *text = qtest_hmp(w->m.qts, "info irq");
    char *line = strstr(text, "for vfio-pci:");
    unsigned vector;
    int64_t count, sum = 0;

    while (line && (line = strchr(line, '\n')) &&
           sscanf(++line, " %u: %" PRId64, &vector, &count) == 2) {
        sum += count;
    }
    return sum;
}

/* Since the last call QEMU and KVM have delivered so many, and no more come */
static void assert_messages(Watched *w, unsigned count)
{
    qvfio_fence(w->d);
    w->messages += count;
    g_assert_cmpint(qvfio_sim_counter(w->sim, "injected") +
                    delivered_by_qemu(w), ==, w->messages);
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
    g_autofree char *is = qvfio_machine_vector_stat(&w->m, n, "listener");

    return is && g_str_equal(is, "kvm");
}

/* MSI-X on, with vectors in use that KVM listens to */
static void enable(Watched *w)
{
    unsigned n;

    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_unmask(w->d, n);
    }
    qmsix_testdev_enable(w->d, true);
    qvfio_machine_await_kvm(&w->m, VECTORS);
}

/* MSI-X on, and no growth, with its replays, for any of them after this */
static void enable_with_room(Watched *w)
{
    qmsix_testdev_enable(w->d, true);
    qmsix_testdev_unmask(w->d, VECTORS - 1);
    qmsix_testdev_mask(w->d, VECTORS - 1);
}

/* KVM comes to listen to a vector: its first time, and later ones */
static void test_promote(void)
{
    unsigned place, n, round;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    for (round = 0; round < 3; round++) {
        enable_with_room(&w);
        for (place = 0; place < ARRAY_SIZE(promotion); place++) {
            n = place;
            /* before, as KVM comes when it likes */
            fire_at(&w, n, promotion[place]);
            qmsix_testdev_unmask(w.d, n);
            qvfio_machine_await_kvm(&w.m, n + 1);
            assert_comes_once(&w, n);
            g_assert_true(has_kvm(&w, n));
        }

        /* once more, with a message that makes new routes necessary */
        for (place = 0; place < ARRAY_SIZE(promotion); place++) {
            n = place;
            qmsix_testdev_mask(w.d, n);
            qmsix_testdev_set_message(w.d, n, w.d->messages +
                                      n * sizeof(uint32_t), 100 + n + round);
            fire_at(&w, n, promotion[place]);
            qmsix_testdev_unmask(w.d, n);
            qvfio_machine_await_kvm(&w.m, ARRAY_SIZE(promotion));
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

/* QEMU comes to listen again as the guest masks */
static void test_demote(const void *opaque)
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

        /* KVM's last has come by now; after the mask there must be none */
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

/* MSI-X goes off, and all of it with it; what comes then may be dropped */
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
        qmsix_testdev_take_all(w.d, NULL);
        for (n = 0; n < VECTORS; n++) {
            qmsix_testdev_ack(w.d, n);
        }
        qvfio_sim_command(w.sim, "clear");
        w.messages = qvfio_sim_counter(w.sim, "injected") +
                     delivered_by_qemu(&w);
    }
    enable(&w);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_fire(w.d, n);
        assert_comes_once(&w, n);
    }
    stop(&w);
}

/*
 * MSI-X has to be disabled to add a vector.  Whom KVM listens to is signalled
 * through KVM, once, and who is masked gets a pending bit.
 */
static void test_grow(void)
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
        int64_t grown = qvfio_machine_stat(&w.m, "re-enables");

        qmsix_testdev_mask(w.d, masked);
        fire_at(&w, 1, places[place]);
        fire_at(&w, masked, places[place]);
        /* up to one that makes a growth necessary */
        while (qvfio_machine_stat(&w.m, "re-enables") == grown) {
            g_assert_cmpuint(used, <, w.d->vectors);
            qmsix_testdev_unmask(w.d, used++);
            if (qvfio_machine_stat(&w.m, "re-enables") == grown) {
                /* so that the places are those of the growth */
                qvfio_sim_command(w.sim, "clear");
                qmsix_testdev_take_all(w.d, NULL);
                fire_at(&w, 1, places[place]);
                fire_at(&w, masked, places[place]);
            }
        }
        for (n = 0; n < masked; n++) {
            g_assert_true(qmsix_testdev_take(w.d, n));
            g_assert_false(qmsix_testdev_pending(w.d, n));
        }
        g_assert_false(qmsix_testdev_take(w.d, masked));
        g_assert_true(qmsix_testdev_pending(w.d, masked));
        qmsix_testdev_unmask(w.d, masked);
        g_assert_true(qmsix_testdev_eventually(w.d, masked,
                                               qmsix_testdev_take));
        g_assert_false(qmsix_testdev_pending(w.d, masked));
        qvfio_fence(w.d);
        qmsix_testdev_take_all(w.d, NULL);
        qvfio_machine_await_kvm(&w.m, used);
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
        n += !!strstr(lines[i], "KVM cannot take");
    }
    return n;
}

/* KVM does not take them: QEMU delivers, says so once, and tries again */
static void test_refused(void)
{
    unsigned n, round;
    Watched w;

    if (!start(&w, "")) {
        return;
    }

    qvfio_sim_command(w.sim, "fault kvm-irqfd result=ENOMEM");
    enable_with_room(&w);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_unmask(w.d, n);
    }
    for (round = 0; round < 3; round++) {
        for (n = 0; n < VECTORS; n++) {
            /* also what fires as KVM refuses */
            fire_at(&w, n, promotion[round]);
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

    qtest_add_func("vfio-msix-irqfd/promote", test_promote);
    qtest_add_data_func("vfio-msix-irqfd/demote", NULL, test_demote);
    qtest_add_data_func("vfio-msix-irqfd/function-mask", "", test_demote);
    qtest_add_func("vfio-msix-irqfd/disable", test_disable);
    qtest_add_func("vfio-msix-irqfd/grow", test_grow);
    qtest_add_func("vfio-msix-irqfd/refused", test_refused);

    return g_test_run();
}
