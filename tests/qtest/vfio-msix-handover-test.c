/*
 * QTest testcase for MSI-X of vfio-pci: when KVM takes a vector, and what the
 * guest's IOMMU makes of it
 *
 * QEMU delivers by its main loop, which may be held for seconds, and through
 * the DMA side of the guest's IOMMU; KVM does neither.  So KVM must have a
 * vector whenever it can, and its route must be the vector's message.
 *
 * This needs the simulated host with its irqfds (tests/vfio-sim, --irqfds),
 * which counts them, fires while QEMU is held, and writes what KVM delivers to
 * the guest's memory.  The guest never runs, so any KVM will do.
 * libqos/vfio-host.h says how the devices are named.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/pci_regs.h"

/* Vectors that take part */
#define VECTORS 8

/* Slots of the devices */
#define SLOT 4
#define OTHER_SLOT 5

/* More than VFIO_MSIX_COMMIT_MS, in which routes are collected */
#define COMMIT_US 100000

/* VT-d: hw/i386/intel_iommu_internal.h */
#define VTD_BASE 0xfed90000
#define VTD_GCMD 0x18
#define VTD_GCMD_QIE (1u << 26)
#define VTD_IQH 0x80
#define VTD_IQT 0x88
#define VTD_IQA 0x90
#define VTD_QUEUE_SIZE 4096
#define VTD_DESCRIPTOR_SIZE 16
#define VTD_DESCRIPTOR_IEC 0x4  /* of all entries */

static const char intel_iommu[] = "-machine kernel-irqchip=split -device "
                                  "intel-iommu,intremap=on,caching-mode=on";
static const char *const commits[] = { "KVM_SET_GSI_ROUTING", NULL };

typedef struct Handover {
    QVfioMachine m;
    QMsixTestdev *d;
    QVfioSim *sim;
    int64_t messages;           /* delivered, and accounted for */
    uint64_t queue;             /* of the IOMMU's invalidations */
    unsigned tail;
} Handover;

/* @before: options that must come before the device */
static bool start(Handover *h, const char *before, const char *options)
{
    const char *device = qvfio_device(1);

    if (!device || !qvfio_sees_kvm()) {
        g_test_skip("what KVM delivers cannot be seen here");
        return false;
    }
    if (!qvfio_has_kvm()) {
        g_test_skip("no access to /dev/kvm");
        return false;
    }
    if (!qvfio_log_start()) {
        g_test_skip("VFIO_MSIX_TEST_PRELOAD is not set");
        return false;
    }

    memset(h, 0, sizeof(*h));
    qvfio_machine_start_kvm_before(&h->m, before, device, "", options);
    h->d = &h->m.dev;
    h->sim = qvfio_sim_connect(device);
    g_assert_nonnull(h->sim);
    return true;
}

static void stop(Handover *h)
{
    /* KVM has had a route for all */
    g_assert_cmpint(qvfio_sim_counter(h->sim, "misses"), ==, 0);
    qvfio_sim_free(h->sim);
    qvfio_machine_stop(&h->m);
    qvfio_log_stop();
}

/* The number of vectors that KVM listens to */
static int64_t irqfds(Handover *h)
{
    return qvfio_sim_counter(h->sim, "irqfds");
}

/* Wait for KVM to have @count vectors */
static void await_irqfds(Handover *h, int64_t count)
{
    gint64 end = qmsix_testdev_deadline();

    while (irqfds(h) != count) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
        qvfio_fence(h->d);
    }
}

/* No routes were committed in the last few ms, for all that QEMU knows */
static void let_time_pass(Handover *h)
{
    g_usleep(COMMIT_US);
    qvfio_fence(h->d);
}

/* MSI-X on, with @count vectors that KVM listens to */
static void enable(Handover *h, unsigned count)
{
    unsigned n;

    for (n = 0; n < count; n++) {
        qmsix_testdev_unmask(h->d, n);
    }
    qmsix_testdev_enable(h->d, true);
    await_irqfds(h, count);
    let_time_pass(h);
}

/* Another message that can be seen, like that of another processor */
static uint32_t change_message(Handover *h, unsigned n)
{
    static uint32_t last = 0x1000;

    qmsix_testdev_set_message(h->d, n, h->d->messages + n * sizeof(uint32_t),
                              ++last);
    return last;
}

static bool has_message(QMsixTestdev *d, unsigned n)
{
    return qmsix_testdev_message(d, n);
}

static void assert_comes_as(Handover *h, unsigned n, uint32_t data)
{
    g_assert_true(qmsix_testdev_eventually(h->d, n, has_message));
    g_assert_cmphex(qmsix_testdev_message(h->d, n), ==, data);
    g_assert_true(qmsix_testdev_take(h->d, n));
    qmsix_testdev_ack(h->d, n);
}

/*
 * KVM has delivered @count since the last call, QEMU none, and no more come.
 * Stock QEMU does not tell what it has delivered.
 */
static void assert_by_kvm(Handover *h, unsigned count)
{
    qvfio_fence(h->d);
    h->messages += count;
    g_assert_cmpint(qvfio_sim_counter(h->sim, "injected"), ==, h->messages);
    g_assert_cmpint(qvfio_machine_delivered(&h->m), ==, 0);
    g_assert_cmpuint(qmsix_testdev_take_all(h->d, NULL), ==, 0);
}

/*
 * However often a vector is masked and unmasked KVM has it again at once, with
 * the route that it had.
 */
static void test_unmask(void)
{
    unsigned n, round, routes;
    Handover h;

    if (!start(&h, "", "")) {
        return;
    }

    enable(&h, VECTORS);
    routes = qvfio_log_count(commits);
    for (round = 0; round < 50; round++) {
        for (n = 0; n < VECTORS; n++) {
            qmsix_testdev_mask(h.d, n);
            qmsix_testdev_unmask(h.d, n);
            g_assert_cmpint(irqfds(&h), ==, VECTORS);
        }
        qmsix_testdev_function_mask(h.d, true);
        qmsix_testdev_function_mask(h.d, false);
        g_assert_cmpint(irqfds(&h), ==, VECTORS);
    }
    g_assert_cmpuint(qvfio_log_count(commits), ==, routes);
    for (n = 0; n < VECTORS; n++) {
        g_assert_true(qmsix_testdev_delivers(h.d, n));
    }
    assert_by_kvm(&h, VECTORS);
    stop(&h);
}

/* The same with another message, when no routes were committed just now */
static void test_message(void)
{
    unsigned round, routes;
    uint32_t data;
    Handover h;

    if (!start(&h, "", "")) {
        return;
    }

    enable(&h, VECTORS);
    for (round = 0; round < 10; round++) {
        unsigned n = round % VECTORS;

        let_time_pass(&h);
        routes = qvfio_log_count(commits);
        qmsix_testdev_mask(h.d, n);
        data = change_message(&h, n);
        qmsix_testdev_unmask(h.d, n);
        g_assert_cmpint(irqfds(&h), ==, VECTORS);
        g_assert_cmpuint(qvfio_log_count(commits), ==, routes + 1);
        qmsix_testdev_fire(h.d, n);
        assert_comes_as(&h, n, data);
        assert_by_kvm(&h, 1);
    }
    stop(&h);
}

/*
 * Hold QEMU's main loop, by a second device that its host keeps waiting, for
 * @us or longer, and return when it is held.  Nothing may be asked of QEMU
 * before let_go(), which waits for the end.
 */
static void hold(Handover *h, QVfioSim *other, unsigned us)
{
    uint32_t flags = h->d->msix_cap + PCI_MSIX_FLAGS; /* of either device */
    int64_t calls = qvfio_sim_counter(other, "set_irqs");
    gint64 end = qmsix_testdev_deadline();
    g_autofree char *write = NULL;

    qvfio_sim_command(other, "slow set-irqs us=%u", us);
    /* Enable MSI-X.  qtest's own command would wait, but not the monitor's. */
    write = g_strdup_printf("o /h 0x%x 0x%x", 0xcfc + flags % 4,
                            PCI_MSIX_FLAGS_ENABLE);
    qtest_outl(h->m.qts, 0xcf8, 0x80000000 | OTHER_SLOT << 11 | (flags & ~3));
    qtest_qmp_send(h->m.qts, "{'execute': 'human-monitor-command',"
                   " 'arguments': {'command-line': %s}}", write);
    while (qvfio_sim_counter(other, "set_irqs") == calls) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void let_go(Handover *h, QVfioSim *other)
{
    uint32_t flags = h->d->msix_cap + PCI_MSIX_FLAGS;

    qvfio_sim_command(other, "clear");
    qobject_unref(qtest_qmp_receive(h->m.qts));
    qtest_outl(h->m.qts, 0xcf8, 0x80000000 | OTHER_SLOT << 11 | (flags & ~3));
    qtest_outw(h->m.qts, 0xcfc + flags % 4, 0);
}

/* What the guest does with vector 0 just before.  Returns: its data */
typedef uint32_t Prepare(Handover *h);

static uint32_t masks_and_unmasks(Handover *h)
{
    uint32_t data = change_message(h, 0);
    unsigned i;

    qmsix_testdev_unmask(h->d, 0);
    await_irqfds(h, VECTORS);
    for (i = 0; i < 10; i++) {
        qmsix_testdev_mask(h->d, 0);
        qmsix_testdev_unmask(h->d, 0);
    }
    return data;
}

static uint32_t changes_message(Handover *h)
{
    uint32_t data = change_message(h, 0);

    qmsix_testdev_unmask(h->d, 0);
    return data;
}

/*
 * QEMU is held when the vector has just been unmasked.  It fires, and is
 * delivered meanwhile.  Should the hold have ended before that could be seen,
 * all is done again, with a longer one.
 */
static void held(Prepare *prepare)
{
    g_autofree char *options = NULL;
    int64_t before, after;
    gint64 start_us, took_us;
    unsigned us = 500000;
    QVfioSim *other;
    uint32_t data;
    Handover h;

    if (!qvfio_device(2)) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE_2 is not set");
        return;
    }
    options = g_strdup_printf("-device vfio-pci,addr=%d.0,%s", OTHER_SLOT,
                              qvfio_device(2));
    if (!start(&h, "", options)) {
        return;
    }

    other = qvfio_sim_connect(qvfio_device(2));
    g_assert_nonnull(other);
    enable(&h, VECTORS);
    do {
        us *= 2;
        qmsix_testdev_mask(h.d, 0);
        let_time_pass(&h);
        data = prepare(&h);
        before = qvfio_sim_counter(h.sim, "injected");
        start_us = g_get_monotonic_time();
        hold(&h, other, us);
        qvfio_sim_command(h.sim, "fire 0");
        after = qvfio_sim_counter(h.sim, "injected");
        took_us = g_get_monotonic_time() - start_us;
        let_go(&h, other);
        assert_comes_as(&h, 0, data);
        assert_by_kvm(&h, 1);
    } while (took_us >= us);
    g_assert_cmpint(after, ==, before + 1);
    qvfio_sim_free(other);
    stop(&h);
}

static void test_held_unmask(void)
{
    held(masks_and_unmasks);
}

static void test_held_message(void)
{
    held(changes_message);
}

/*
 * Vectors are taken into use in a burst, so that their routes wait for a common
 * commit, and each fires at once.  Then they are given other messages, all the
 * same way.
 */
static void burst(Handover *h)
{
    const unsigned count = 32;
    unsigned n, round;
    uint32_t data[32];
    int64_t injected;

    g_assert_cmpuint(h->d->vectors, >=, count);
    /* No resize, with its replays, for any of them */
    qmsix_testdev_enable(h->d, true);
    qmsix_testdev_unmask(h->d, count - 1);
    qmsix_testdev_mask(h->d, count - 1);

    for (round = 0; round < 4; round++) {
        let_time_pass(h);
        for (n = 0; n < count; n++) {
            qmsix_testdev_mask(h->d, n);
            data[n] = change_message(h, n);
            /* also before KVM can have it, once the host has set it up */
            if (!round && n % 2 && n != count - 1) {
                qvfio_sim_command(h->sim, "fire %u at=end call=set-irqs", n);
            }
            qmsix_testdev_unmask(h->d, n);
            qmsix_testdev_fire(h->d, n);
        }
        for (n = 0; n < count; n++) {
            assert_comes_as(h, n, data[n]);
        }
        await_irqfds(h, count);
        injected = qvfio_sim_counter(h->sim, "injected") - h->messages;
        if (!round) {
            /* Two of them may have become one, where one has fired twice */
            g_assert_cmpint(injected, >=, count);
            g_assert_cmpint(injected, <=, count + count / 2 - 1);
            h->messages += injected;
            qmsix_testdev_take_all(h->d, NULL);
            assert_by_kvm(h, 0);
        } else {
            assert_by_kvm(h, count);
        }
    }
}

static void test_burst(void)
{
    Handover h;

    if (!start(&h, "", "")) {
        return;
    }

    burst(&h);
    stop(&h);
}

/*
 * Behind an IOMMU that lets nothing pass before the guest has set it up.  KVM's
 * routes do not go through it; what QEMU delivers does, and is lost.
 */
static void test_iommu(void)
{
    Handover h;

    if (!start(&h, "-device virtio-iommu-pci,addr=3.0,boot-bypass=off", "")) {
        return;
    }

    burst(&h);
    stop(&h);
}

/*
 * One commit has all routes that changed under the function mask, but the first
 * one's.  Others are made by the clock.
 */
static void test_function_mask(void)
{
    unsigned n, routes;
    uint32_t data[VECTORS];
    gint64 start_us, ms;
    Handover h;

    if (!start(&h, "", "")) {
        return;
    }

    enable(&h, VECTORS);
    routes = qvfio_log_count(commits);
    start_us = g_get_monotonic_time();
    qmsix_testdev_function_mask(h.d, true);
    for (n = 0; n < VECTORS; n++) {
        data[n] = change_message(&h, n);
    }
    qmsix_testdev_function_mask(h.d, false);
    g_assert_cmpint(irqfds(&h), >=, 1);
    await_irqfds(&h, VECTORS);
    ms = (g_get_monotonic_time() - start_us) / 1000;
    routes = qvfio_log_count(commits) - routes;
    g_test_message("%u commits of routes in %" PRId64 " ms", routes,
                   (int64_t)ms);
    g_assert_cmpuint(routes, >=, 1);
    g_assert_cmpint(routes, <=, ms / 5 + 2);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_fire(h.d, n);
        assert_comes_as(&h, n, data[n]);
    }
    assert_by_kvm(&h, VECTORS);
    stop(&h);
}

/* Have Intel's IOMMU invalidate its cache of interrupt entries, all of it */
static void invalidate_interrupts(Handover *h)
{
    QTestState *qts = h->m.qts;

    if (!h->queue) {
        h->queue = guest_alloc(&h->m.alloc, VTD_QUEUE_SIZE);
        qtest_memset(qts, h->queue, 0, VTD_QUEUE_SIZE);
        qtest_writeq(qts, VTD_BASE + VTD_IQT, 0);
        qtest_writeq(qts, VTD_BASE + VTD_IQA, h->queue);
        qtest_writel(qts, VTD_BASE + VTD_GCMD, VTD_GCMD_QIE);
    }
    qtest_writeq(qts, h->queue + h->tail, VTD_DESCRIPTOR_IEC);
    h->tail += VTD_DESCRIPTOR_SIZE;
    g_assert_cmpuint(h->tail, <, VTD_QUEUE_SIZE);
    qtest_writeq(qts, VTD_BASE + VTD_IQT, h->tail);
    /* It has been there */
    g_assert_cmphex(qtest_readq(qts, VTD_BASE + VTD_IQH), ==, h->tail);
}

#define MSI_DATA 0x5500

static unsigned msi_vectors(unsigned log2)
{
    return 1u << log2;
}

/* MSI on, with 1 << @log2 vectors, whose messages all go to the first word */
static void enable_msi(Handover *h, unsigned log2)
{
    QPCIDevice *pdev = h->m.pdev;
    uint8_t cap = qpci_find_capability(pdev, PCI_CAP_ID_MSI, 0);
    uint16_t flags;

    g_assert_cmphex(cap, !=, 0);
    flags = qpci_config_readw(pdev, cap + PCI_MSI_FLAGS);
    g_assert_cmphex(flags & PCI_MSI_FLAGS_64BIT, !=, 0);
    qpci_config_writel(pdev, cap + PCI_MSI_ADDRESS_LO, h->d->messages);
    qpci_config_writel(pdev, cap + PCI_MSI_ADDRESS_HI, h->d->messages >> 32);
    qpci_config_writew(pdev, cap + PCI_MSI_DATA_64, MSI_DATA);
    flags &= ~PCI_MSI_FLAGS_QSIZE;
    flags |= PCI_MSI_FLAGS_ENABLE | log2 << ctz32(PCI_MSI_FLAGS_QSIZE);
    qpci_config_writew(pdev, cap + PCI_MSI_FLAGS, flags);
}

static void assert_msi_comes(Handover *h, unsigned n)
{
    qmsix_testdev_fire(h->d, n);
    assert_comes_as(h, 0, MSI_DATA + n);
    qmsix_testdev_ack(h->d, n);
}

/* Routes of MSI vectors that the guest has no longer are not looked up */
static void test_msi_shrunk(void)
{
    unsigned log2, n;
    Handover h;

    if (!start(&h, intel_iommu, "")) {
        return;
    }

    enable_msi(&h, 3);
    await_irqfds(&h, msi_vectors(3));
    for (log2 = 3; log2-- > 0; ) {
        enable_msi(&h, log2);
        invalidate_interrupts(&h);
        for (n = 0; n < msi_vectors(log2); n++) {
            assert_msi_comes(&h, n);
        }
    }
    stop(&h);
}

/* MSI and MSI-X at once, and a masked vector that is none of MSI's */
static void test_msi_and_msix(void)
{
    const unsigned n = 40;
    Handover h;

    if (!start(&h, intel_iommu, "")) {
        return;
    }

    g_assert_cmpuint(h.d->vectors, >, n);
    enable_msi(&h, 0);
    qmsix_testdev_enable(h.d, true);
    /*
     * To the first word: with a split irqchip KVM takes bits 5 to 11 of the
     * address for a part of the destination.
     */
    qmsix_testdev_set_message(h.d, n, h.d->messages, n + 1);
    qmsix_testdev_unmask(h.d, n);
    await_irqfds(&h, 1);
    qmsix_testdev_mask(h.d, n);
    invalidate_interrupts(&h);
    qmsix_testdev_unmask(h.d, n);
    qmsix_testdev_fire(h.d, n);
    assert_comes_as(&h, 0, n + 1);
    stop(&h);
}

/* The same the other way round: what comes are MSI's messages */
static void test_msix_and_msi(void)
{
    unsigned n, round;
    Handover h;

    if (!start(&h, intel_iommu, "")) {
        return;
    }

    qmsix_testdev_enable(h.d, true);
    enable_msi(&h, 3);
    for (round = 0; round < 3; round++) {
        for (n = 0; n < msi_vectors(3); n++) {
            assert_msi_comes(&h, n);
        }
        invalidate_interrupts(&h);
    }
    stop(&h);
}

/*
 * An invalidation updates the routes, of a device that bypasses the IOMMU as
 * well: the vector's message must not be compared with what QEMU has set last.
 */
static void test_bypass(void)
{
    g_autofree char *before = NULL;
    uint32_t a;
    unsigned n;
    Handover h;

    before = g_strdup_printf("-machine default-bus-bypass-iommu=on %s",
                             intel_iommu);
    if (!start(&h, before, "")) {
        return;
    }

    enable(&h, VECTORS);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(h.d, n);
        a = change_message(&h, n);
        qmsix_testdev_unmask(h.d, n);
        await_irqfds(&h, VECTORS);

        qmsix_testdev_mask(h.d, n);
        change_message(&h, n);
        qmsix_testdev_unmask(h.d, n);
        invalidate_interrupts(&h);
        qmsix_testdev_mask(h.d, n);
        qmsix_testdev_set_message(h.d, n, h.d->messages + n * sizeof(uint32_t),
                                  a);
        qmsix_testdev_unmask(h.d, n);
        await_irqfds(&h, VECTORS);
        qmsix_testdev_fire(h.d, n);
        assert_comes_as(&h, n, a);
    }
    stop(&h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("vfio-msix-handover/unmask", test_unmask);
    qtest_add_func("vfio-msix-handover/message", test_message);
    qtest_add_func("vfio-msix-handover/function-mask", test_function_mask);
    qtest_add_func("vfio-msix-handover/held/unmask", test_held_unmask);
    qtest_add_func("vfio-msix-handover/held/message", test_held_message);
    qtest_add_func("vfio-msix-handover/burst", test_burst);
    qtest_add_func("vfio-msix-handover/iommu", test_iommu);
    qtest_add_func("vfio-msix-handover/msi-shrunk", test_msi_shrunk);
    qtest_add_func("vfio-msix-handover/msi-and-msix", test_msi_and_msix);
    qtest_add_func("vfio-msix-handover/msix-and-msi", test_msix_and_msi);
    qtest_add_func("vfio-msix-handover/bypass", test_bypass);

    return g_test_run();
}
