/*
 * QTest testcase for MSI-X of vfio-pci: masked vectors and their pending bits
 *
 * It needs a device to pass through, an msix-testdev; libqos/vfio-host.h says
 * how to name it.  Without one, all cases are skipped.
 *
 * What is not promised, and not tested: a bit that is exact beside QEMU's main
 * loop.  QEMU's PBA is seen while QEMU holds a bit, as in stock QEMU; else the
 * guest reads the device's, which has the bits of vectors without a trigger.
 * So these may be late until the main loop has run:
 *
 * - the first bit of a vector in use that fires while it is masked;
 * - the same under the function mask;
 * - the bit of a vector that has fired just before it is masked;
 * - a bit that is seen no more once the last one has been delivered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"

/* Masks and unmasks that must change nothing */
#define MASKS 100

/* Calls of the simulated host that set triggers, all to fail */
#define REFUSE "fault set-irqs result=EIO index=MSIX data=EVENTFD"

typedef struct Guest {
    QVfioMachine m;
    QMsixTestdev *d;
    QVfioSim *sim;              /* NULL on a real host */
} Guest;

static const char *device;
static bool dynamic;

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

/* For cases that have the host do what a real one does not on request */
static bool need_sim(void)
{
    if (!need_device()) {
        return false;
    }
    if (!getenv("VFIO_SIM")) {
        g_test_skip("not on the simulated host of tests/vfio-sim");
        return false;
    }
    return true;
}

static void start(Guest *g, const char *properties)
{
    qvfio_machine_start(&g->m, device, properties, "");
    g->d = &g->m.dev;
    g->sim = qvfio_sim_connect(device);
    g_assert_cmpuint(g->d->vectors, >=, 64);
}

/* Vectors cannot be added: the host cannot, or is not asked to */
static void start_resizing(Guest *g)
{
    start(g, dynamic ? ",x-msix-dynamic=off" : "");
}

static void stop(Guest *g)
{
    if (g->sim) {
        qvfio_sim_free(g->sim);
    }
    qvfio_machine_stop(&g->m);
}

/* What a resize may have signalled */
static void take_replays(Guest *g)
{
    qvfio_fence(g->d);
    qmsix_testdev_take_all(g->d, NULL);
}

static void assert_quiet(Guest *g)
{
    qvfio_fence(g->d);
    g_assert_cmpuint(qmsix_testdev_take_all(g->d, NULL), ==, 0);
}

static void assert_pends(Guest *g, unsigned n)
{
    g_assert_true(qmsix_testdev_eventually(g->d, n, qmsix_testdev_pending));
    g_assert_false(qmsix_testdev_take(g->d, n));
}

/*
 * What QEMU has delivered of a vector in use, or -1 if it does not say.  Two
 * messages can come before the first is seen.
 */
static int64_t delivered(Guest *g, unsigned n)
{
    g_autofree char *count = NULL;

    if (!qvfio_machine_has_stats(&g->m)) {
        return -1;
    }
    count = qvfio_machine_vector_stat(&g->m, n, "delivered-by-qemu");
    return count ? g_ascii_strtoll(count, NULL, 10) : 0;
}

/* The vector is unmasked and gets one interrupt; and so for the next one */
static void assert_comes_once(Guest *g, unsigned n)
{
    int64_t before = delivered(g, n);

    qmsix_testdev_unmask(g->d, n);
    g_assert_true(qmsix_testdev_eventually(g->d, n, qmsix_testdev_take));
    qmsix_testdev_ack(g->d, n);
    assert_quiet(g);
    if (before >= 0) {
        g_assert_cmpint(delivered(g, n), ==, before + 1);
    }
    g_assert_false(qmsix_testdev_pending(g->d, n));
    g_assert_true(qmsix_testdev_delivers(g->d, n));
    assert_quiet(g);
}

static void set_data(Guest *g, unsigned n, uint32_t data)
{
    qmsix_testdev_set_message(g->d, n, g->d->messages + n * sizeof(uint32_t),
                              data);
}

static uint32_t disables(Guest *g)
{
    return qmsix_testdev_read(g->d, MSIX_TESTDEV_MSIX_DISABLES);
}

static char *memory_map(Guest *g)
{
    return qtest_hmp(g->m.qts, "info mtree");
}

/* The guest's memory map has QEMU's PBA, in whatever QEMU */
static bool shows_pba(const char *map)
{
    return strstr(map, "msix-pba");
}

static void assert_map_is(Guest *g, const char *before)
{
    g_autofree char *map = memory_map(g);
    g_auto(GStrv) now = g_strsplit(map, "\r\n", -1);
    g_auto(GStrv) was = g_strsplit(before, "\r\n", -1);
    unsigned i;

    /* line by line, as all of it is too much to read */
    for (i = 0; now[i] && was[i]; i++) {
        g_assert_cmpstr(now[i], ==, was[i]);
    }
    g_assert_true(!now[i] && !was[i]);
}

static void mask_often(Guest *g)
{
    unsigned i;

    for (i = 0; i < MASKS; i++) {
        qmsix_testdev_mask(g->d, i % 4);
        qmsix_testdev_unmask(g->d, i % 4);
    }
    for (i = 0; i < MASKS; i++) {
        qmsix_testdev_function_mask(g->d, true);
        qmsix_testdev_function_mask(g->d, false);
    }
}

/*
 * KVM stops all CPUs of a guest whose memory map changes.  Masks change no
 * memory region, of any kind: while nothing is pending "info mtree" is the same
 * before and after them.  So it is while a bit is, but for QEMU's PBA, which is
 * there from the first bit of a masked vector until the last is delivered.
 */
static void test_memory_map(void)
{
    g_autofree char *before = NULL;
    unsigned round;
    Guest g;

    if (!need_device()) {
        return;
    }

    start(&g, "");
    qmsix_testdev_enable(g.d, true);
    /* from the last one down, for a host that resizes */
    qmsix_testdev_unmask(g.d, 3);
    qmsix_testdev_unmask(g.d, 2);
    qmsix_testdev_unmask(g.d, 1);
    qmsix_testdev_unmask(g.d, 0);
    take_replays(&g);
    before = memory_map(&g);
    g_assert_false(shows_pba(before));

    for (round = 0; round < 3; round++) {
        unsigned n = round;
        g_autofree char *pending = NULL;

        qmsix_testdev_mask(g.d, n);
        assert_map_is(&g, before);
        g_assert_false(qmsix_testdev_pending(g.d, n));
        assert_map_is(&g, before);
        qmsix_testdev_unmask(g.d, n);
        mask_often(&g);
        assert_map_is(&g, before);
        assert_quiet(&g);

        /* a bit, and masks while it is there */
        qmsix_testdev_mask(g.d, n);
        qmsix_testdev_fire(g.d, n);
        assert_pends(&g, n);
        pending = memory_map(&g);
        g_assert_true(shows_pba(pending));
        qmsix_testdev_mask(g.d, 3);
        qmsix_testdev_unmask(g.d, 3);
        qmsix_testdev_function_mask(g.d, true);
        assert_map_is(&g, pending);

        /* another one, which outlasts the first */
        qmsix_testdev_fire(g.d, 3);
        assert_pends(&g, 3);
        qmsix_testdev_mask(g.d, 3);
        qmsix_testdev_function_mask(g.d, false);
        assert_comes_once(&g, n);
        assert_map_is(&g, pending);
        g_assert_true(qmsix_testdev_pending(g.d, 3));
        assert_comes_once(&g, 3);
        assert_map_is(&g, before);

        /* MSI-X off with a bit */
        qmsix_testdev_mask(g.d, n);
        qmsix_testdev_fire(g.d, n);
        assert_pends(&g, n);
        qmsix_testdev_enable(g.d, false);
        assert_map_is(&g, before);
        qmsix_testdev_ack(g.d, n);
        qmsix_testdev_enable(g.d, true);
        qmsix_testdev_unmask(g.d, n);
        take_replays(&g);
        assert_map_is(&g, before);
    }
    stop(&g);
}

/* The device's PBA is read where that is needed: not at an enable or a mask */
static void test_pba_reads(void)
{
    int64_t reads;
    unsigned round, n;
    Guest g;

    if (!need_sim()) {
        return;
    }

    start(&g, "");
    reads = qvfio_sim_counter(g.sim, "pba_reads");
    for (round = 0; round < 3; round++) {
        /* with no vector, two and four of them that are unmasked before */
        for (n = 0; n < 2 * round; n++) {
            qmsix_testdev_unmask(g.d, n);
        }
        qmsix_testdev_enable(g.d, true);
        g_assert_cmpint(qvfio_sim_counter(g.sim, "pba_reads"), ==, reads);
        qmsix_testdev_unmask(g.d, 0);
        g_assert_true(qmsix_testdev_delivers(g.d, 0));
        qmsix_testdev_mask(g.d, 0);
        qmsix_testdev_unmask(g.d, 0);
        qmsix_testdev_function_mask(g.d, true);
        qmsix_testdev_function_mask(g.d, false);
        g_assert_cmpint(qvfio_sim_counter(g.sim, "pba_reads"), ==, reads);
        qmsix_testdev_enable(g.d, false);
        g_assert_cmpint(qvfio_sim_counter(g.sim, "pba_reads"), ==, reads);
    }

    /* The counter counts */
    g_assert_false(qmsix_testdev_pending(g.d, 0));
    g_assert_cmpint(qvfio_sim_counter(g.sim, "pba_reads"), ==, reads + 1);
    stop(&g);
}

/* How a vector that the guest uses comes to have no trigger */
typedef struct NoTrigger {
    const char *name;
    const char *before_enable;  /* commands for the simulated host */
    const char *before_unmask;
    bool works_first;           /* the vector had a trigger before */
} NoTrigger;

static const NoTrigger no_triggers[] = {
    { "enable-refused", REFUSE, NULL, false },
    { "refused", NULL, "fault set-irqs result=ENOSPC vector=1", false },
    { "no-vectors", NULL, "pool %d", false },
    /* MSI-X could not be enabled again, a resize that failed altogether */
    { "enabled-no-more", NULL, REFUSE, true },
};

/* As many host vectors as it has are all that there are, if @text says so */
static void command(Guest *g, const char *text)
{
    g_autofree char *pool = NULL;

    if (g_strcmp0(text, "pool %d") == 0) {
        pool = g_strdup_printf("pool %" PRId64,
                               qvfio_sim_counter(g->sim, "used"));
        text = pool;
    }
    if (text) {
        qvfio_sim_command(g->sim, "%s", text);
    }
}

static void gets_trigger(const NoTrigger *how, bool unmasked_twice,
                         bool resizing)
{
    const unsigned n = 1, other = 2;
    unsigned i, triggers;
    bool on;
    Guest g;

    if (resizing) {
        start_resizing(&g);
    } else {
        start(&g, "");
    }
    command(&g, how->before_enable);
    qmsix_testdev_enable(g.d, true);
    if (how->works_first) {
        qmsix_testdev_unmask(g.d, n);
        g_assert_true(qmsix_testdev_delivers(g.d, n));
        command(&g, how->before_unmask);
        qmsix_testdev_unmask(g.d, other);
        qmsix_testdev_mask(g.d, other);
    } else {
        command(&g, how->before_unmask);
        qmsix_testdev_unmask(g.d, n);
    }
    if (unmasked_twice) {
        qmsix_testdev_mask(g.d, n);
        qmsix_testdev_unmask(g.d, n);
    }
    qmsix_testdev_mask(g.d, n);
    g_assert_cmpint(qvfio_sim_counter(g.sim, "triggers"), ==, 0);
    on = qmsix_testdev_read(g.d, MSIX_TESTDEV_STATUS) ==
         MSIX_TESTDEV_STATUS_MSIX;
    /* A host that can add a vector gets only that, if it has MSI-X enabled */
    triggers = dynamic && !resizing && on ? 1 : 2;
    qvfio_sim_command(g.sim, "clear");
    qvfio_sim_command(g.sim, "pool unlimited");

    /* MSI-X was off while it was unmasked: it may have fired */
    g_assert_cmpint(qmsix_testdev_pending(g.d, n), ==, !on);
    qmsix_testdev_unmask(g.d, other);
    take_replays(&g);
    g_assert_cmpint(qvfio_sim_counter(g.sim, "triggers"), ==, triggers);
    for (i = 0; i < 10; i++) {
        g_assert_cmpint(qmsix_testdev_pending(g.d, n), ==, !on);
    }
    g_assert_true(qmsix_testdev_delivers(g.d, other));
    qmsix_testdev_fire(g.d, n);
    assert_pends(&g, n);
    assert_quiet(&g);
    g_assert_true(qmsix_testdev_pending(g.d, n));

    assert_comes_once(&g, n);
    qmsix_testdev_mask(g.d, n);
    qmsix_testdev_fire(g.d, n);
    assert_pends(&g, n);
    assert_comes_once(&g, n);
    stop(&g);
}

/*
 * A vector without a trigger is masked, and gets one by the unmask of another:
 * what fires then pends, and comes once.
 */
static void test_gets_trigger(const void *opaque)
{
    const NoTrigger *how = opaque;
    unsigned variant;

    if (!need_sim()) {
        return;
    }

    for (variant = 0; variant < 4; variant++) {
        bool resizing = variant & 2;

        /* A host that can add vectors leaves those alone that work */
        if (dynamic && how->works_first && !resizing) {
            continue;
        }
        if (dynamic || !resizing) {
            g_test_message("variant %u", variant);
            gets_trigger(how, variant & 1, resizing);
        }
    }
}

/*
 * A vector is masked during a resize, and the device does not fire: the driver
 * that takes it anew gets nothing that was not raised.  It gives the vector
 * another message, or has emptied the entry before.
 */
static void taken_anew(bool resizing, bool emptied)
{
    unsigned round;
    uint32_t before;
    Guest g;

    if (resizing) {
        start_resizing(&g);
    } else {
        start(&g, "");
    }
    qmsix_testdev_enable(g.d, true);
    qmsix_testdev_set_default_message(g.d, 0);
    qmsix_testdev_unmask(g.d, 0);
    assert_quiet(&g);

    for (round = 0; round < 4; round++) {
        qmsix_testdev_mask(g.d, 0);
        if (emptied && round & 1) {
            qmsix_testdev_set_message(g.d, 0, 0, 0);
        }
        g_assert_false(qmsix_testdev_pending(g.d, 0));

        before = disables(&g);
        /* to 2, 4, 8 and 16 vectors */
        qmsix_testdev_set_default_message(g.d, 1 << round);
        qmsix_testdev_unmask(g.d, 1 << round);
        g_assert_cmpuint(disables(&g) - before, ==, resizing || !dynamic);
        g_assert_false(qmsix_testdev_pending(g.d, 0));
        take_replays(&g);
        g_assert_false(qmsix_testdev_pending(g.d, 0));

        if (!emptied) {
            set_data(&g, 0, 0x200 + round);
        } else {
            qmsix_testdev_set_message(g.d, 0, 0, 0);
            qmsix_testdev_set_default_message(g.d, 0);
        }
        qmsix_testdev_unmask(g.d, 0);
        assert_quiet(&g);
        g_assert_false(qmsix_testdev_pending(g.d, 0));
        g_assert_true(qmsix_testdev_delivers(g.d, 0));
    }
    stop(&g);
}

static void test_taken_anew(const void *emptied)
{
    if (!need_device()) {
        return;
    }

    taken_anew(false, emptied);
    if (dynamic) {
        taken_anew(true, emptied);
    }
}

/*
 * The other side: it is unmasked with the message that it had, so it may be a
 * driver that has masked it for a moment.  What the device has raised in the
 * resize, and before it, comes once.  With another message only what was raised
 * before comes.
 */
static void fired_in_resize(unsigned fires, bool changed)
{
    static const char *const places[] = { "start", "window", "end" };
    const unsigned add = 1;
    unsigned i, dropped = 0;
    uint32_t before;
    Guest g;

    g_test_message("fires 0x%x, message %s", fires,
                   changed ? "changed" : "the same");
    start_resizing(&g);
    qmsix_testdev_enable(g.d, true);
    qmsix_testdev_unmask(g.d, 0);
    g_assert_true(qmsix_testdev_delivers(g.d, 0));
    qmsix_testdev_mask(g.d, 0);
    for (i = 0; i < ARRAY_SIZE(places); i++) {
        if (fires & 1 << i) {
            qvfio_sim_command(g.sim, "fire 0 at=%s", places[i]);
            dropped += i > 0;
        }
    }
    before = disables(&g);
    qmsix_testdev_unmask(g.d, add);
    g_assert_cmpuint(disables(&g) - before, ==, 1);
    g_assert_cmpuint(qmsix_testdev_vector_read(g.d, 0,
                         MSIX_TESTDEV_VECTOR_DROPPED), ==, dropped);
    assert_quiet(&g);
    g_assert_true(qmsix_testdev_delivers(g.d, add));
    g_assert_cmpint(qmsix_testdev_pending(g.d, 0), ==, fires & 1);

    if (changed) {
        set_data(&g, 0, 0x300);
    }
    if (!changed || fires & 1) {
        assert_comes_once(&g, 0);
        qmsix_testdev_mask(g.d, 0);
    }
    qmsix_testdev_unmask(g.d, 0);
    assert_quiet(&g);
    qmsix_testdev_ack(g.d, 0);
    g_assert_true(qmsix_testdev_delivers(g.d, 0));
    stop(&g);
}

static void test_fired_in_resize(void)
{
    unsigned fires; /* a bit for each place at which it fires */

    if (!need_sim()) {
        return;
    }

    for (fires = 1; fires < 8; fires++) {
        fired_in_resize(fires, false);
        fired_in_resize(fires, true);
    }
}

/*
 * The same under the function mask, as Linux changes messages.  When it ends
 * vectors are unmasked in their order, so that those in use are when the new
 * one needs a resize.
 */
static void test_fired_in_resize_function_mask(void)
{
    const uint32_t data = 0x400;
    unsigned n;
    Guest g;

    if (!need_sim()) {
        return;
    }

    start_resizing(&g);
    qmsix_testdev_unmask(g.d, 0);
    qmsix_testdev_unmask(g.d, 1);
    qmsix_testdev_enable(g.d, true);
    qmsix_testdev_function_mask(g.d, true);
    set_data(&g, 1, data);
    qvfio_sim_command(g.sim, "fire 1 at=window");
    qmsix_testdev_unmask(g.d, 2);
    assert_quiet(&g);
    qmsix_testdev_function_mask(g.d, false);
    g_assert_cmpuint(qmsix_testdev_vector_read(g.d, 1,
                         MSIX_TESTDEV_VECTOR_DROPPED), ==, 1);
    qvfio_fence(g.d);
    g_assert_cmphex(qmsix_testdev_message(g.d, 1), ==, data);
    g_assert_true(qmsix_testdev_take(g.d, 1));
    qmsix_testdev_ack(g.d, 1);
    take_replays(&g);
    for (n = 0; n < 3; n++) {
        g_assert_true(qmsix_testdev_delivers(g.d, n));
        g_assert_false(qmsix_testdev_pending(g.d, n));
    }
    assert_quiet(&g);
    stop(&g);
}

/* A vector that pends in the device is unmasked, which may take a resize */
static void assert_pended_comes(Guest *g, unsigned n)
{
    bool counts = qvfio_machine_has_stats(&g->m);

    qmsix_testdev_unmask(g->d, n);
    g_assert_true(qmsix_testdev_eventually(g->d, n, qmsix_testdev_take));
    qvfio_fence(g->d);
    g_assert_false(qmsix_testdev_take(g->d, n));
    g_assert_cmpint(delivered(g, n), ==, counts ? 1 : -1);
    qmsix_testdev_ack(g->d, n);
    take_replays(g);
    g_assert_false(qmsix_testdev_pending(g->d, n));
    g_assert_true(qmsix_testdev_delivers(g->d, n));
    assert_quiet(g);
}

/*
 * Vectors that were never used are pending in the device, and have no trigger.
 * The bits outlast resizes, also if the device forgets them, and each is
 * delivered at the unmask.
 */
static void never_used(bool resizing, const char *pba)
{
    const unsigned n = 20, last = 40;
    unsigned round;
    Guest g;

    if (resizing) {
        start_resizing(&g);
    } else {
        start(&g, "");
    }
    qvfio_sim_command(g.sim, "pba %s", pba);
    qmsix_testdev_enable(g.d, true);
    qmsix_testdev_unmask(g.d, 0);
    qmsix_testdev_fire(g.d, n);
    qmsix_testdev_fire(g.d, last);
    g_assert_true(qmsix_testdev_pending(g.d, n));
    g_assert_true(qmsix_testdev_pending(g.d, last));

    for (round = 0; round < 4; round++) {
        /* to 2, 4, 8 and 16 vectors */
        qmsix_testdev_unmask(g.d, 1 << round);
        g_assert_true(qmsix_testdev_pending(g.d, n));
        take_replays(&g);
        g_assert_true(qmsix_testdev_pending(g.d, n));
        /* also while another is masked, fires, and is delivered */
        qmsix_testdev_mask(g.d, 0);
        qmsix_testdev_fire(g.d, 0);
        assert_pends(&g, 0);
        g_assert_true(qmsix_testdev_pending(g.d, n));
        assert_comes_once(&g, 0);
        g_assert_true(qmsix_testdev_pending(g.d, n));
        g_assert_true(qmsix_testdev_pending(g.d, last));
    }
    assert_quiet(&g);

    assert_pended_comes(&g, n);
    g_assert_true(qmsix_testdev_pending(g.d, last));
    assert_pended_comes(&g, last);
    stop(&g);
}

static void test_never_used(const void *pba)
{
    if (!need_sim()) {
        return;
    }

    never_used(false, pba);
    if (dynamic) {
        never_used(true, pba);
    }
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);
    dynamic = device && qvfio_msix_is_dynamic(device);

    qtest_add_func("vfio-msix-pending/memory-map", test_memory_map);
    qtest_add_func("vfio-msix-pending/pba-reads", test_pba_reads);
    for (i = 0; i < ARRAY_SIZE(no_triggers); i++) {
        g_autofree char *path = NULL;

        path = g_strdup_printf("vfio-msix-pending/gets-trigger/%s",
                               no_triggers[i].name);
        qtest_add_data_func(path, &no_triggers[i], test_gets_trigger);
    }
    qtest_add_data_func("vfio-msix-pending/taken-anew/message", NULL,
                        test_taken_anew);
    qtest_add_data_func("vfio-msix-pending/taken-anew/emptied", "",
                        test_taken_anew);
    qtest_add_func("vfio-msix-pending/fired-in-resize", test_fired_in_resize);
    qtest_add_func("vfio-msix-pending/fired-in-resize-function-mask",
                   test_fired_in_resize_function_mask);
    qtest_add_data_func("vfio-msix-pending/never-used/kept", "kept",
                        test_never_used);
    qtest_add_data_func("vfio-msix-pending/never-used/volatile", "volatile",
                        test_never_used);

    return g_test_run();
}
