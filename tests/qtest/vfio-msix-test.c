/*
 * QTest testcase for MSI-X of vfio-pci
 *
 * It needs a device to pass through, an msix-testdev; libqos/vfio-host.h says
 * how to name it.  Without one, all cases are skipped.
 *
 * No case depends on speed: the timeout for what must come is generous, and
 * that something does not come is concluded only from what comes after it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "libqtest.h"
#include "libqos/msix-account.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/pci_regs.h"

/* Vectors unmasked where many are wanted; the device may have more */
#define MANY 64

/* Vectors that any host has for one device; x86 has some 200 for each CPU */
#define AT_ONCE 150

static const char *device;
static bool dynamic;

static const char *const trigger_calls[] = {
    "VFIO_DEVICE_SET_IRQS", "index=MSIX", "data=EVENTFD", NULL
};

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

/* For cases that need a host that can add single vectors */
static bool need_dynamic_host(void)
{
    if (!need_device()) {
        return false;
    }
    if (!dynamic) {
        g_test_skip("the host cannot add single MSI-X vectors");
    }
    return dynamic;
}

/* The vector delivers an interrupt */
static void assert_delivers(QMsixTestdev *d, unsigned n)
{
    if (!qmsix_testdev_delivers(d, n)) {
        g_test_message("vector %u", n);
        g_assert_not_reached();
    }
}

static uint32_t disables(QVfioMachine *m)
{
    return qmsix_testdev_read(&m->dev, MSIX_TESTDEV_MSIX_DISABLES);
}

static bool mentions(const char *path, const char *name)
{
    g_auto(GStrv) lines = qvfio_stderr_lines(path);
    unsigned i;

    for (i = 0; lines[i]; i++) {
        if (strstr(lines[i], name)) {
            return true;
        }
    }
    return false;
}

/*
 * The number of lines in QEMU's log about vectors of device @name that get no
 * interrupts; @map, unless NULL, gets a bit for each vector.
 */
static unsigned count_failures(const char *path, const char *name,
                               unsigned long *map)
{
    g_auto(GStrv) lines = qvfio_stderr_lines(path);
    unsigned i, n = 0;

    for (i = 0; lines[i]; i++) {
        int vector = qvfio_failed_vector(lines[i], name);

        if (vector >= 0) {
            if (map) {
                set_bit(vector, map);
            }
            n++;
        }
    }
    return n;
}

/*
 * Take the replays that QEMU may have signalled after a resize.
 */
static void take_replays(QMsixTestdev *d)
{
    qvfio_fence(d);
    qmsix_testdev_take_all(d, NULL);
}

/* Unmask vectors one by one, with all that are unmasked firing meanwhile */
static void add_while_firing(QVfioMachine *m, QMsixAccount *a, unsigned count)
{
    QMsixTestdev *d = &m->dev;
    /* Fire no faster than the test can take interrupts */
    unsigned n, period = MAX(500, count * 30);

    qmsix_account_start(a);
    for (n = 0; n < count; n++) {
        qmsix_testdev_unmask(d, n);
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD, period);
        qmsix_account_service(a);
    }
    qmsix_account_await_raised(a, 0, count);
    qmsix_account_settle(a);
    for (n = 0; n < count; n++) {
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
    }
}

/*
 * Up to @limit vectors are added at run time: the others lose nothing, and each
 * takes one call to the host.
 */
static void adding_costs_nothing(unsigned limit)
{
    g_autofree char *path = NULL, *redirect = NULL, *name = NULL;
    QVfioMachine m;
    QMsixAccount a;
    uint32_t before;
    unsigned n, count, calls;
    bool logged;

    name = qvfio_device_name(device);
    path = qvfio_temporary_file();
    redirect = g_strdup_printf("2>%s", path);
    logged = qvfio_log_start();
    qvfio_machine_start(&m, device, "", redirect);
    count = MIN(m.dev.vectors, limit);
    qmsix_account_init(&a, &m.dev);

    qmsix_testdev_enable(&m.dev, true);
    before = disables(&m);
    calls = logged ? qvfio_log_count(trigger_calls) : 0;

    add_while_firing(&m, &a, count);

    if (count_failures(path, name, NULL)) {
        g_test_skip("the host has no vectors for the whole device");
        goto out;
    }
    g_test_message("delivered %" PRIu64 ", lost %" PRIu64, a.delivered, a.lost);
    g_assert_cmpuint(a.lost, ==, 0);
    g_assert_cmpuint(a.delivered, >=, count);
    g_assert_cmpuint(disables(&m), ==, before);
    if (logged) {
        g_assert_cmpuint(qvfio_log_count(trigger_calls) - calls, ==, count);
    }
    for (n = 0; n < count; n++) {
        assert_delivers(&m.dev, n);
    }

out:
    qmsix_account_free(&a);
    qvfio_machine_stop(&m);
    if (logged) {
        qvfio_log_stop();
    }
    unlink(path);
}

/* Vectors that are added at run time: the others lose nothing */
static void test_add_vectors(void)
{
    if (need_dynamic_host()) {
        adding_costs_nothing(MANY);
    }
}

/* The same with all vectors of the device */
static void test_add_all_vectors(void)
{
    if (need_dynamic_host()) {
        adding_costs_nothing(MSIX_TESTDEV_MAX_VECTORS);
    }
}

/*
 * From the highest vector down.  A host without dynamic MSI-X allocates all of
 * them for the first one, and needs no resize for the rest.
 */
static void test_add_vectors_descending(void)
{
    QVfioMachine m;
    QMsixAccount a;
    uint32_t before;
    unsigned n, last, count = 0;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    last = MIN(m.dev.vectors, AT_ONCE) - 1;
    g_assert_cmpuint(last, >, MANY / 2);
    qmsix_account_init(&a, &m.dev);
    qmsix_testdev_enable(&m.dev, true);

    qmsix_testdev_unmask(&m.dev, last);
    before = disables(&m);
    qmsix_account_start(&a);
    for (n = last; n > last - MANY / 2; n--) {
        qmsix_testdev_unmask(&m.dev, n);
        qmsix_testdev_vector_write(&m.dev, n, MSIX_TESTDEV_VECTOR_PERIOD, 500);
        qmsix_account_service(&a);
        count++;
        if (dynamic) {
            /* and vector 0, with which MSI-X was enabled */
            g_assert_cmpint(qvfio_host_vectors(device), <=, count + 1);
        }
    }
    qmsix_account_await_raised(&a, last - count + 1, count);
    qmsix_account_settle(&a);

    g_assert_cmpuint(a.lost, ==, 0);
    g_assert_cmpuint(a.delivered, >=, count);
    g_assert_cmpuint(disables(&m), ==, before);
    for (n = last; n > last - MANY / 2; n--) {
        qmsix_testdev_vector_write(&m.dev, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
        assert_delivers(&m.dev, n);
    }

    qmsix_account_free(&a);
    qvfio_machine_stop(&m);
}

/* Vectors that are unmasked before MSI-X is enabled are set up in one call */
static void test_unmask_before_enable(void)
{
    g_autofree char *path = NULL, *redirect = NULL, *name = NULL;
    QVfioMachine m;
    unsigned n;
    bool logged;

    if (!need_device()) {
        return;
    }

    name = qvfio_device_name(device);
    path = qvfio_temporary_file();
    redirect = g_strdup_printf("2>%s", path);
    logged = qvfio_log_start();
    qvfio_machine_start(&m, device, "", redirect);

    for (n = 0; n < m.dev.vectors; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }
    g_assert_cmpint(qvfio_host_vectors(device), <=, 0);
    qmsix_testdev_enable(&m.dev, true);
    if (count_failures(path, name, NULL)) {
        g_test_skip("the host has no vectors for the whole device");
        goto out;
    }
    if (logged) {
        g_assert_cmpuint(qvfio_log_count(trigger_calls), ==, 1);
    }
    for (n = 0; n < m.dev.vectors; n++) {
        assert_delivers(&m.dev, n);
    }

out:
    qvfio_machine_stop(&m);
    if (logged) {
        qvfio_log_stop();
    }
    unlink(path);
}

/* On any host, all vectors work once they have been unmasked */
static void test_add_vectors_works(void)
{
    QVfioMachine m;
    QMsixAccount a;
    unsigned n, count;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    count = MIN(m.dev.vectors, MANY);
    qmsix_account_init(&a, &m.dev);
    qmsix_testdev_enable(&m.dev, true);

    add_while_firing(&m, &a, count);
    for (n = 0; n < count; n++) {
        assert_delivers(&m.dev, n);
    }

    qmsix_account_free(&a);
    qvfio_machine_stop(&m);
}

/* Vectors 0, 7 and the last cost the host three, in any order of unmasking */
static void test_sparse(void)
{
    QVfioMachine m;
    unsigned last;

    if (!need_dynamic_host()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    last = m.dev.vectors - 1;
    g_assert_cmpuint(last, >, 8);

    qmsix_testdev_enable(&m.dev, true);
    qmsix_testdev_unmask(&m.dev, last);
    assert_delivers(&m.dev, last);
    qmsix_testdev_unmask(&m.dev, 0);
    qmsix_testdev_unmask(&m.dev, 7);

    g_assert_cmpint(qvfio_host_vectors(device), ==, 3);
    assert_delivers(&m.dev, 0);
    assert_delivers(&m.dev, 7);
    assert_delivers(&m.dev, last);

    qvfio_machine_stop(&m);
}

/* The same for vectors that are unmasked when MSI-X is enabled */
static void test_sparse_enable(void)
{
    QVfioMachine m;
    unsigned last;

    if (!need_dynamic_host()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    last = m.dev.vectors - 1;
    g_assert_cmpuint(last, >, 8);

    qmsix_testdev_unmask(&m.dev, 0);
    qmsix_testdev_unmask(&m.dev, 7);
    qmsix_testdev_unmask(&m.dev, last);
    qmsix_testdev_enable(&m.dev, true);

    g_assert_cmpint(qvfio_host_vectors(device), ==, 3);
    assert_delivers(&m.dev, 0);
    assert_delivers(&m.dev, 7);
    assert_delivers(&m.dev, last);

    /* all vectors, the usual set */
    qmsix_testdev_enable(&m.dev, false);
    qmsix_testdev_mask(&m.dev, 7);
    qmsix_testdev_mask(&m.dev, last);
    qmsix_testdev_unmask(&m.dev, 1);
    qmsix_testdev_enable(&m.dev, true);

    g_assert_cmpint(qvfio_host_vectors(device), ==, 2);
    assert_delivers(&m.dev, 0);
    assert_delivers(&m.dev, 1);

    qvfio_machine_stop(&m);
}

/* MSI-X off and on again, with a sparse set of vectors and more each time */
static void test_enable_again(void)
{
    static const unsigned used[] = { 1, 5, 6, 17, 30 };
    QVfioMachine m;
    unsigned i, round, count;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    g_assert_cmpuint(m.dev.vectors, >, used[G_N_ELEMENTS(used) - 1]);

    for (round = 0; round < 4 * G_N_ELEMENTS(used); round++) {
        count = round % G_N_ELEMENTS(used);
        for (i = 0; i < G_N_ELEMENTS(used); i++) {
            if (i < count) {
                qmsix_testdev_unmask(&m.dev, used[i]);
            } else {
                qmsix_testdev_mask(&m.dev, used[i]);
            }
        }
        qmsix_testdev_enable(&m.dev, true);
        for (i = 0; i < count; i++) {
            assert_delivers(&m.dev, used[i]);
        }

        /* one more at run time */
        qmsix_testdev_unmask(&m.dev, used[count]);
        for (i = 0; i <= count; i++) {
            assert_delivers(&m.dev, used[i]);
        }

        qmsix_testdev_enable(&m.dev, false);
        g_assert_cmpint(qvfio_host_vectors(device), <=, 0);
        g_assert_cmphex(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_STATUS) &
                        MSIX_TESTDEV_STATUS_MSIX, ==, 0);
    }

    qvfio_machine_stop(&m);
}

/* MSI-X is enabled with no vector in use, and INTx works afterwards */
static void test_enable_none_then_intx(void)
{
    QVfioMachine m;
    int i;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qtest_irq_intercept_in(m.qts, "ioapic");

    for (i = 0; i < 3; i++) {
        qmsix_testdev_enable(&m.dev, true);
        g_assert_cmphex(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_STATUS) &
                        MSIX_TESTDEV_STATUS_MSIX, !=, 0);

        qmsix_testdev_enable(&m.dev, false);
        g_assert_cmphex(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_STATUS) &
                        MSIX_TESTDEV_STATUS_MSIX, ==, 0);
        g_assert_cmpint(qvfio_host_vectors(device), <=, 0);

        qvfio_assert_intx_works(&m.dev);
    }

    /* vector 0 works, too */
    qmsix_testdev_enable(&m.dev, true);
    qmsix_testdev_unmask(&m.dev, 0);
    assert_delivers(&m.dev, 0);

    qvfio_machine_stop(&m);
}

/* The same after vectors have been in use, and masked again */
static void test_masked_then_intx(void)
{
    QVfioMachine m;
    unsigned n, round;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qtest_irq_intercept_in(m.qts, "ioapic");
    qvfio_assert_intx_works(&m.dev);

    for (round = 0; round < 3; round++) {
        qmsix_testdev_enable(&m.dev, true);
        for (n = 0; n < 8; n++) {
            qmsix_testdev_unmask(&m.dev, n);
            assert_delivers(&m.dev, n);
        }
        for (n = 0; n < 8; n++) {
            qmsix_testdev_mask(&m.dev, n);
        }
        qmsix_testdev_enable(&m.dev, false);
        qvfio_assert_intx_works(&m.dev);
    }

    qvfio_machine_stop(&m);
}

/* Messages of MSI all go to vector 0's word, which is also their address */
#define MSI_DATA 0x40

static bool msi_has_come(QMsixTestdev *d, unsigned n)
{
    return qmsix_testdev_message(d, 0) == (MSI_DATA | n);
}

static void msi_works(QMsixTestdev *d, unsigned log2_count)
{
    uint8_t cap = qpci_find_capability(d->dev, PCI_CAP_ID_MSI, 0);
    uint16_t flags = qpci_config_readw(d->dev, cap + PCI_MSI_FLAGS);
    unsigned n;

    g_assert_cmphex(flags & PCI_MSI_FLAGS_64BIT, !=, 0);
    qpci_config_writel(d->dev, cap + PCI_MSI_ADDRESS_LO, d->messages);
    qpci_config_writel(d->dev, cap + PCI_MSI_ADDRESS_HI, d->messages >> 32);
    qpci_config_writew(d->dev, cap + PCI_MSI_DATA_64, MSI_DATA);
    flags &= ~PCI_MSI_FLAGS_QSIZE;
    flags |= log2_count << ctz32(PCI_MSI_FLAGS_QSIZE);
    qpci_config_writew(d->dev, cap + PCI_MSI_FLAGS,
                       flags | PCI_MSI_FLAGS_ENABLE);

    for (n = 0; n < 1u << log2_count; n++) {
        qmsix_testdev_fire(d, n);
        g_assert_true(qmsix_testdev_eventually(d, n, msi_has_come));
        g_assert_true(qmsix_testdev_take(d, 0));
        qmsix_testdev_ack(d, n);
    }

    qpci_config_writew(d->dev, cap + PCI_MSI_FLAGS, flags);
    g_assert_cmpint(qvfio_host_vectors(device), <=, 0);
}

/* MSI works before and after MSI-X, and MSI-X after MSI */
static void test_msi(void)
{
    QVfioMachine m;
    unsigned n, log2_count;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    if (!qpci_find_capability(m.pdev, PCI_CAP_ID_MSI, 0)) {
        g_test_skip("the host's device has no MSI");
        goto out;
    }

    for (log2_count = 0; log2_count < 4; log2_count++) {
        msi_works(&m.dev, log2_count);

        qmsix_testdev_enable(&m.dev, true);
        for (n = 0; n < 4 + log2_count; n++) {
            qmsix_testdev_unmask(&m.dev, n);
            assert_delivers(&m.dev, n);
        }
        qmsix_testdev_enable(&m.dev, false);
    }
    msi_works(&m.dev, 0);

out:
    qvfio_machine_stop(&m);
}

/*
 * A guest that lowers its number of MSI vectors while MSI is enabled breaks its
 * own interrupts only: QEMU must not assert.
 */
static void test_msi_shrunk(void)
{
    QVfioMachine m;
    uint16_t flags;
    unsigned i;
    uint8_t cap;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    cap = qpci_find_capability(m.pdev, PCI_CAP_ID_MSI, 0);
    if (!cap) {
        g_test_skip("the host's device has no MSI");
        goto out;
    }

    flags = qpci_config_readw(m.pdev, cap + PCI_MSI_FLAGS);
    flags &= ~PCI_MSI_FLAGS_QSIZE;
    qpci_config_writel(m.pdev, cap + PCI_MSI_ADDRESS_LO, m.dev.messages);
    qpci_config_writel(m.pdev, cap + PCI_MSI_ADDRESS_HI, m.dev.messages >> 32);
    qpci_config_writew(m.pdev, cap + PCI_MSI_DATA_64, MSI_DATA);

    qmsix_testdev_write(&m.dev, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);
    for (i = 0; i < 2000; i++) {
        /* after different delays, to hit the window on any machine */
        qmsix_testdev_vector_write(&m.dev, 7, MSIX_TESTDEV_VECTOR_PERIOD,
                                   1 + i % 250);
        qpci_config_writew(m.pdev, cap + PCI_MSI_FLAGS,
                           flags | 3 << ctz32(PCI_MSI_FLAGS_QSIZE) |
                           PCI_MSI_FLAGS_ENABLE);
        /* it may fire about now */
        qmsix_testdev_ack(&m.dev, 7);
        qpci_config_writew(m.pdev, cap + PCI_MSI_FLAGS,
                           flags | PCI_MSI_FLAGS_ENABLE);
        qpci_config_writew(m.pdev, cap + PCI_MSI_FLAGS, flags);
    }
    qmsix_testdev_vector_write(&m.dev, 7, MSIX_TESTDEV_VECTOR_PERIOD, 0);
    qmsix_testdev_ack(&m.dev, 7);
    qmsix_testdev_take_all(&m.dev, NULL);

    msi_works(&m.dev, 3);

out:
    qvfio_machine_stop(&m);
}

/* A masked vector that fires is pending, and delivers when unmasked */
static void test_mask_pending(void)
{
    QVfioMachine m;
    unsigned n;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);
    for (n = 0; n < 4; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }
    take_replays(&m.dev);

    for (n = 0; n < 4; n++) {
        qmsix_testdev_mask(&m.dev, n);
        qmsix_testdev_fire(&m.dev, n);
        g_assert_true(qmsix_testdev_eventually(&m.dev, n,
                                               qmsix_testdev_pending));
        g_assert_false(qmsix_testdev_take(&m.dev, n));
        assert_delivers(&m.dev, (n + 1) % 4); /* the others deliver */

        qmsix_testdev_unmask(&m.dev, n);
        g_assert_true(qmsix_testdev_eventually(&m.dev, n, qmsix_testdev_take));
        g_assert_false(qmsix_testdev_pending(&m.dev, n));
        qmsix_testdev_ack(&m.dev, n);

        assert_delivers(&m.dev, n);
        g_assert_false(qmsix_testdev_take(&m.dev, n));
    }

    qvfio_machine_stop(&m);
}

/*
 * A pending bit must be set as soon as the device has fired (at once on the
 * simulated host): a guest that has masked a vector may poll for it.
 */
static void assert_pends(QMsixTestdev *d, unsigned n)
{
    g_assert_false(qmsix_testdev_pending(d, n));
    qmsix_testdev_fire(d, n);
    if (getenv("VFIO_SIM")) {
        g_assert_true(qmsix_testdev_pending(d, n));
    } else {
        g_assert_true(qmsix_testdev_eventually(d, n, qmsix_testdev_pending));
    }
    g_assert_false(qmsix_testdev_take(d, n));
}

static void assert_comes_once(QMsixTestdev *d, unsigned n)
{
    qmsix_testdev_unmask(d, n);
    g_assert_true(qmsix_testdev_eventually(d, n, qmsix_testdev_take));
    g_assert_false(qmsix_testdev_pending(d, n));
    qmsix_testdev_ack(d, n);
    take_replays(d);
    g_assert_false(qmsix_testdev_take(d, n));
}

/* Pending bits of all vectors are set and cleared as they should be */
static void test_pba(void)
{
    QVfioMachine m;
    QMsixTestdev *d = &m.dev;
    unsigned n, round;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    g_assert_cmpuint(d->vectors, >, 40);
    for (n = 0; n < 4; n++) {
        qmsix_testdev_unmask(d, n);
    }
    qmsix_testdev_enable(d, true);
    /* enough host vectors for all that are used below: no replays */
    qmsix_testdev_unmask(d, 40);
    for (n = 0; n < 4; n++) {
        assert_delivers(d, n);
    }
    take_replays(d);

    /* of one that was never used, when no other is masked */
    assert_pends(d, 10);
    assert_comes_once(d, 10);

    for (round = 0; round < 3; round++) {
        /* of one that was used, and of others meanwhile */
        qmsix_testdev_mask(d, 1);
        assert_pends(d, 1);
        assert_pends(d, 11 + round);
        assert_delivers(d, 0);
        g_assert_false(qmsix_testdev_pending(d, 0));
        g_assert_true(qmsix_testdev_pending(d, 11 + round));
        assert_comes_once(d, 11 + round);
        g_assert_true(qmsix_testdev_pending(d, 1));
        assert_comes_once(d, 1);

        /* all under the function mask */
        qmsix_testdev_function_mask(d, true);
        assert_pends(d, 2);
        assert_pends(d, 20 + round);
        qmsix_testdev_function_mask(d, false);
        g_assert_true(qmsix_testdev_eventually(d, 2, qmsix_testdev_take));
        qmsix_testdev_ack(d, 2);
        g_assert_false(qmsix_testdev_pending(d, 2));
        g_assert_true(qmsix_testdev_pending(d, 20 + round));
        assert_comes_once(d, 20 + round);
        if (round == 1) {
            assert_pends(d, 30);
        }
    }

    /* only the device's own bits are left when MSI-X is enabled again */
    qmsix_testdev_mask(d, 3);
    assert_pends(d, 3);
    qmsix_testdev_enable(d, false);
    qmsix_testdev_enable(d, true);
    g_assert_false(qmsix_testdev_pending(d, 3));

    qvfio_machine_stop(&m);
}

/* The function mask does the same for all vectors */
static void test_function_mask(void)
{
    QVfioMachine m;
    unsigned n;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);
    for (n = 0; n < 8; n++) {
        qmsix_testdev_unmask(&m.dev, n);
        assert_delivers(&m.dev, n);
    }
    take_replays(&m.dev);
    qmsix_testdev_mask(&m.dev, 7);

    qmsix_testdev_function_mask(&m.dev, true);
    for (n = 0; n < 8; n++) {
        qmsix_testdev_fire(&m.dev, n);
        g_assert_true(qmsix_testdev_eventually(&m.dev, n,
                                               qmsix_testdev_pending));
    }
    g_assert_cmpuint(qmsix_testdev_take_all(&m.dev, NULL), ==, 0);

    qmsix_testdev_function_mask(&m.dev, false);
    for (n = 0; n < 7; n++) {
        g_assert_true(qmsix_testdev_eventually(&m.dev, n, qmsix_testdev_take));
        g_assert_false(qmsix_testdev_pending(&m.dev, n));
        qmsix_testdev_ack(&m.dev, n);
    }

    /* its own mask still holds vector 7 */
    g_assert_true(qmsix_testdev_pending(&m.dev, 7));
    g_assert_false(qmsix_testdev_take(&m.dev, 7));
    qmsix_testdev_unmask(&m.dev, 7);
    g_assert_true(qmsix_testdev_eventually(&m.dev, 7, qmsix_testdev_take));
    qmsix_testdev_ack(&m.dev, 7);

    for (n = 0; n < 8; n++) {
        assert_delivers(&m.dev, n);
    }

    qvfio_machine_stop(&m);
}

/* A message changed while its vector is masked: the new one is delivered */
static void test_message_changed(void)
{
    QVfioMachine m;
    QMsixTestdev *d = &m.dev;
    unsigned round;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(d, true);
    qmsix_testdev_unmask(d, 2);
    assert_delivers(d, 2);

    for (round = 0; round < 8; round++) {
        /* vector 2 writes to the words of vectors 2, 3 and 4 in turn */
        unsigned old = 2 + round % 3, new = 2 + (round + 1) % 3;
        uint32_t data = 0x1000 + round;
        gint64 end = qmsix_testdev_deadline();

        qmsix_testdev_mask(d, 2);
        qmsix_testdev_set_message(d, 2,
                                  d->messages + new * sizeof(uint32_t), data);
        if (round & 1) {
            /* one that fires while masked has the message of the unmask */
            qmsix_testdev_fire(d, 2);
            g_assert_true(qmsix_testdev_eventually(d, 2,
                                                   qmsix_testdev_pending));
            qmsix_testdev_unmask(d, 2);
        } else {
            qmsix_testdev_unmask(d, 2);
            qmsix_testdev_fire(d, 2);
        }
        while (!qmsix_testdev_message(d, new)) {
            /* One message in all words together */
            g_assert_cmphex(qmsix_testdev_message(d, old), ==, 0);
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
        }
        g_assert_cmphex(qmsix_testdev_message(d, new), ==, data);
        g_assert_cmphex(qmsix_testdev_message(d, old), ==, 0);
        g_assert_true(qmsix_testdev_take(d, new));
        qmsix_testdev_ack(d, 2);
    }

    qvfio_machine_stop(&m);
}

/* Masks and unmasks all the time lose nothing */
static void test_mask_while_firing(void)
{
    QVfioMachine m;
    QMsixAccount a;
    QMsixTestdev *d = &m.dev;
    unsigned n, i;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_account_init(&a, d);
    for (n = 0; n < 8; n++) {
        qmsix_testdev_unmask(d, n);
    }
    qmsix_testdev_enable(d, true);
    qmsix_account_start(&a);
    for (n = 0; n < 8; n++) {
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD, 50);
    }

    for (i = 0; i < 1000; i++) {
        qmsix_testdev_mask(d, i % 8);
        if (i % 16 == 0) {
            qmsix_testdev_function_mask(d, true);
        }
        qmsix_account_service(&a);
        if (i % 16 == 3) {
            qmsix_testdev_function_mask(d, false);
        }
        qmsix_testdev_unmask(d, i % 8);
        qmsix_account_service(&a);
    }
    qmsix_testdev_function_mask(d, false);
    qmsix_account_settle(&a);

    g_test_message("delivered %" PRIu64 ", extra %" PRIu64,
                   a.delivered, a.extra);
    g_assert_cmpuint(a.delivered, >, 8);
    g_assert_cmpuint(a.lost, ==, 0);

    qmsix_account_free(&a);
    qvfio_machine_stop(&m);
}

/* Resets while vectors fire, by the guest's driver and of the machine */
static void test_reset(void)
{
    static const unsigned used[] = { 0, 1, 5, 9 };
    QVfioMachine m;
    unsigned i;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    g_assert_cmpuint(m.dev.vectors, >, 10);
    qmsix_testdev_enable(&m.dev, true);
    for (i = 0; i < G_N_ELEMENTS(used); i++) {
        qmsix_testdev_unmask(&m.dev, used[i]);
        qmsix_testdev_vector_write(&m.dev, used[i],
                                   MSIX_TESTDEV_VECTOR_PERIOD, 100);
    }
    qmsix_testdev_write(&m.dev, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);

    /*
     * The driver's reset, which QEMU does not see, so its table is unchanged.
     * The device's counters are 0 again; drop what it had raised.
     */
    qmsix_testdev_flr(&m.dev);
    g_assert_cmpuint(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RAISED), ==, 0);
    qmsix_testdev_enable(&m.dev, false);
    qmsix_testdev_take_all(&m.dev, NULL);
    qmsix_testdev_enable(&m.dev, true);
    if (dynamic) {
        g_assert_cmpint(qvfio_host_vectors(device), ==, G_N_ELEMENTS(used));
    }
    for (i = 0; i < G_N_ELEMENTS(used); i++) {
        assert_delivers(&m.dev, used[i]);
    }

    for (i = 0; i < G_N_ELEMENTS(used); i++) {
        qmsix_testdev_vector_write(&m.dev, used[i],
                                   MSIX_TESTDEV_VECTOR_PERIOD, 100);
    }
    qmsix_testdev_write(&m.dev, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);

    qvfio_machine_reset(&m);
    g_assert_cmpint(qvfio_host_vectors(device), <=, 0);
    qvfio_machine_setup_device(&m);
    g_assert_false(qmsix_testdev_is_enabled(&m.dev));
    g_assert_cmpuint(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RAISED), ==, 0);
    qmsix_testdev_take_all(&m.dev, NULL);

    for (i = 0; i < G_N_ELEMENTS(used); i++) {
        qmsix_testdev_unmask(&m.dev, used[i]);
    }
    qmsix_testdev_enable(&m.dev, true);
    for (i = 0; i < G_N_ELEMENTS(used); i++) {
        assert_delivers(&m.dev, used[i]);
    }

    qvfio_machine_stop(&m);
}

/* The host restores MSI-X after a reset by the driver: vectors go on */
static void test_flr_goes_on(void)
{
    static const unsigned used[] = { 0, 3, 9 };
    QVfioMachine m;
    uint32_t resets;
    unsigned i, round;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);
    for (i = 0; i < G_N_ELEMENTS(used); i++) {
        qmsix_testdev_unmask(&m.dev, used[i]);
    }

    for (round = 0; round < 4; round++) {
        for (i = 0; i < G_N_ELEMENTS(used); i++) {
            qmsix_testdev_vector_write(&m.dev, used[i],
                                       MSIX_TESTDEV_VECTOR_PERIOD, 50);
        }
        qmsix_testdev_write(&m.dev, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);
        resets = qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RESETS);

        qmsix_testdev_flr(&m.dev);
        g_assert_cmpuint(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RESETS), ==,
                         resets + 1);
        g_assert_cmpuint(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RAISED), ==,
                         0);
        /* an interrupt from before the reset may come after it */
        for (i = 0; i < G_N_ELEMENTS(used); i++) {
            assert_delivers(&m.dev, used[i]);
        }
        for (i = 0; i < G_N_ELEMENTS(used); i++) {
            qmsix_testdev_mask(&m.dev, used[i]);
            qmsix_testdev_fire(&m.dev, used[i]);
            g_assert_true(qmsix_testdev_eventually(&m.dev, used[i],
                                                   qmsix_testdev_pending));
            qmsix_testdev_unmask(&m.dev, used[i]);
            assert_delivers(&m.dev, used[i]);
        }
        /* a vector added after the reset */
        qmsix_testdev_unmask(&m.dev, 10 + round);
        assert_delivers(&m.dev, 10 + round);
    }

    qvfio_machine_stop(&m);
}

/*
 * A reset that QEMU does not see has wiped the table, and the driver restores
 * it, as Linux does: the same messages, under the function mask.
 */
static void test_restored(void)
{
    QVfioMachine m;
    QMsixTestdev *d = &m.dev;
    unsigned n, calls = 0;
    bool logged;

    if (!need_device()) {
        return;
    }

    logged = qvfio_log_start();
    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(d, true);
    for (n = 0; n < 4; n++) {
        qmsix_testdev_unmask(d, n);
        assert_delivers(d, n);
    }
    take_replays(d);
    qmsix_testdev_mask(d, 3);

    qmsix_testdev_write(d, MSIX_TESTDEV_WIPE, 1);
    qmsix_testdev_fire(d, 1);
    take_replays(d);
    g_assert_false(qmsix_testdev_take(d, 1));

    if (logged) {
        calls = qvfio_log_count(trigger_calls);
    }
    qmsix_testdev_function_mask(d, true);
    for (n = 0; n < 4; n++) {
        qmsix_testdev_set_default_message(d, n);
    }
    qmsix_testdev_function_mask(d, false);
    g_assert_true(qmsix_testdev_eventually(d, 1, qmsix_testdev_take));
    qmsix_testdev_ack(d, 1);
    qmsix_testdev_unmask(d, 3);
    for (n = 0; n < 4; n++) {
        assert_delivers(d, n);
    }
    if (logged) {
        g_assert_cmpuint(qvfio_log_count(trigger_calls) - calls, ==, 4);

        /* no call for a changed message, nor for a mask */
        for (n = 0; n < 4; n++) {
            qmsix_testdev_mask(d, n);
            qmsix_testdev_set_message(d, n, d->messages +
                                      n * sizeof(uint32_t), 0x100 + n);
            qmsix_testdev_unmask(d, n);
            qmsix_testdev_mask(d, n);
            qmsix_testdev_unmask(d, n);
        }
        g_assert_cmpuint(qvfio_log_count(trigger_calls) - calls, ==, 4);
    }

    qvfio_machine_stop(&m);
    if (logged) {
        qvfio_log_stop();
    }
}

/* The device is unplugged and plugged while it fires */
static void test_hotplug(void)
{
    QVfioMachine m;
    QMsixAccount a;
    QVfioSim *sim;
    unsigned n, round, i, fds, expected_fds = 0;
    gint64 end;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start_pluggable(&m);
    for (round = 0; round < 4; round++) {
        qvfio_machine_plug(&m, device);
        g_assert_cmpuint(qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RAISED), ==,
                         0);
        sim = qvfio_sim_connect(device);
        if (sim) {
            fds = qvfio_sim_qemu_fds(sim);
            qvfio_sim_free(sim);
            /* the first time QEMU may allocate what it keeps */
            if (round == 1) {
                expected_fds = fds;
            } else if (round > 1) {
                g_assert_cmpuint(fds, ==, expected_fds);
            }
        }

        qmsix_account_init(&a, &m.dev);
        qmsix_testdev_enable(&m.dev, true);
        for (n = 0; n < 8; n++) {
            qmsix_testdev_unmask(&m.dev, n);
            assert_delivers(&m.dev, n);
            qmsix_testdev_vector_write(&m.dev, n, MSIX_TESTDEV_VECTOR_PERIOD,
                                       20);
        }
        qmsix_account_start(&a);
        end = qmsix_testdev_deadline();
        for (i = 0; i < 20; i++) {
            while (!qmsix_account_service(&a)) {
                g_assert_cmpint(g_get_monotonic_time(), <, end);
                g_usleep(100);
            }
        }

        qmsix_account_free(&a);
        qvfio_machine_unplug(&m);
        g_assert_cmpint(qvfio_host_vectors(device), <=, 0);
    }

    qvfio_machine_stop(&m);
}

/* Two devices: steps of one do not affect the other */
static void test_two_devices(void)
{
    const char *device_2 = qvfio_device(2);
    g_autofree char *options = NULL;
    QVfioMachine m;
    QMsixAccount a, a2;
    QPCIDevice *pdev_2;
    QMsixTestdev d2;
    unsigned n, count, count_2, round;
    gint64 end;

    if (!need_device()) {
        return;
    }
    if (!device_2) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE_2 is not set");
        return;
    }

    options = g_strdup_printf("-device vfio-pci,id=dev1,addr=5.0,%s", device_2);
    qvfio_machine_start(&m, device, "", options);
    pdev_2 = qpci_device_find(m.bus, QPCI_DEVFN(5, 0));
    g_assert_nonnull(pdev_2);
    qmsix_testdev_init(&d2, pdev_2, &m.alloc);
    qmsix_account_init(&a, &m.dev);
    qmsix_account_init(&a2, &d2);
    count = MIN(m.dev.vectors, 16);
    count_2 = MIN(d2.vectors, 16);

    for (n = 0; n < count; n++) {
        qmsix_testdev_unmask(&m.dev, n);
        qmsix_testdev_vector_write(&m.dev, n, MSIX_TESTDEV_VECTOR_PERIOD, 200);
    }
    qmsix_testdev_enable(&m.dev, true);
    qmsix_account_start(&a);

    for (round = 0; round < 3; round++) {
        for (n = 0; n < count_2; n++) {
            qmsix_testdev_set_default_message(&d2, n);
        }
        qmsix_testdev_enable(&d2, true);
        qmsix_account_service(&a);
        for (n = 0; n < count_2; n++) {
            qmsix_testdev_unmask(&d2, n);
            assert_delivers(&d2, n);
            qmsix_account_service(&a);
        }
        /* now service the second device */
        for (n = 0; n < count_2; n++) {
            qmsix_testdev_fire(&d2, n);
            qmsix_account_service(&a);
        }
        end = qmsix_testdev_deadline();
        while (qmsix_testdev_read(&d2, MSIX_TESTDEV_RAISED) !=
               qmsix_testdev_read(&d2, MSIX_TESTDEV_ACKED)) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            qmsix_account_service(&a);
            qmsix_account_service(&a2);
        }
        for (n = 0; n < count_2; n++) {
            qmsix_testdev_mask(&d2, n);
            qmsix_account_service(&a);
        }
        qmsix_testdev_enable(&d2, false);
        qmsix_account_service(&a);
        qmsix_testdev_flr(&d2);
        qmsix_account_service(&a);
    }

    qmsix_account_await_raised(&a, 0, count);
    qmsix_account_settle(&a);
    g_test_message("delivered %" PRIu64 ", lost %" PRIu64, a.delivered, a.lost);
    g_assert_cmpuint(a.lost, ==, 0);
    g_assert_cmpuint(a.delivered, >=, count);

    qmsix_account_free(&a2);
    qmsix_account_free(&a);
    qmsix_testdev_free(&d2);
    g_free(pdev_2);
    qvfio_machine_stop(&m);
}

/* x-msix-dynamic=off: as on a host that cannot */
static void test_dynamic_off(void)
{
    QVfioMachine m;
    uint32_t before;
    unsigned n;

    if (!need_dynamic_host()) {
        return;
    }

    qvfio_machine_start(&m, device, ",x-msix-dynamic=off", "");
    qmsix_testdev_enable(&m.dev, true);
    before = disables(&m);

    qmsix_testdev_unmask(&m.dev, 0);
    g_assert_cmpuint(disables(&m), ==, before);
    for (n = 1; n < 8; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }
    g_assert_cmpuint(disables(&m), >, before);
    for (n = 0; n < 8; n++) {
        assert_delivers(&m.dev, n);
    }

    qvfio_machine_stop(&m);
}

static QDict *device_arguments(const char *x_msix_dynamic)
{
    g_auto(GStrv) property = g_strsplit(device, "=", 2);
    QDict *args = qdict_new();

    qdict_put_str(args, "driver", "vfio-pci");
    qdict_put_str(args, "id", "dev0");
    qdict_put_str(args, property[0], property[1]);
    qdict_put_str(args, "x-msix-dynamic", x_msix_dynamic);
    return args;
}

/* x-msix-dynamic=on: works where the host can, else fails with the reason */
static void test_dynamic_on(void)
{
    QVfioMachine m;
    QTestState *qts;
    QDict *rsp, *error;

    if (!need_device()) {
        return;
    }

    if (dynamic) {
        qvfio_machine_start(&m, device, ",x-msix-dynamic=on", "");
        qmsix_testdev_enable(&m.dev, true);
        qmsix_testdev_unmask(&m.dev, 0);
        qmsix_testdev_unmask(&m.dev, 1);
        assert_delivers(&m.dev, 0);
        assert_delivers(&m.dev, 1);
        qvfio_machine_stop(&m);
        return;
    }

    /* with hot-plug; devices that fail leave nothing behind */
    qts = qtest_init("-accel tcg -S -machine pc -m 64 -nodefaults");
    rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': %p}",
                    device_arguments("on"));
    error = qdict_get_qdict(rsp, "error");
    g_assert_nonnull(error);
    g_test_message("%s", qdict_get_str(error, "desc"));
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "x-msix-dynamic=on"));
    qobject_unref(rsp);

    rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': %p}",
                    device_arguments("auto"));
    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);
    qtest_quit(qts);
}

/*
 * The host has fewer vectors than the device: all that it has work.  A set-up
 * that failed is reported once, however often the vector is unmasked.
 */
static void test_host_vectors_exhausted(void)
{
    g_autofree char *path = NULL, *redirect = NULL, *name = NULL;
    g_autofree unsigned long *failed = NULL;
    QVfioMachine m;
    QMsixTestdev *d = &m.dev;
    unsigned n, victim, failures, i;

    if (!need_device()) {
        return;
    }

    name = qvfio_device_name(device);
    path = qvfio_temporary_file();
    redirect = g_strdup_printf("2>%s", path);
    qvfio_machine_start(&m, device, "", redirect);
    failed = bitmap_new(d->vectors);

    for (n = 0; n < d->vectors; n++) {
        qmsix_testdev_unmask(d, n);
    }
    qmsix_testdev_enable(d, true);
    assert_delivers(&m.dev, 0);

    failures = count_failures(path, name, failed);
    g_test_message("%u of %u vectors failed", failures, d->vectors);
    if (!failures) {
        g_test_skip("the host has vectors for the whole device");
        goto out;
    }
    g_assert_cmpuint(bitmap_count_one(failed, d->vectors), ==, failures);
    for (n = 0; n < d->vectors; n++) {
        if (!test_bit(n, failed)) {
            assert_delivers(&m.dev, n);
        }
    }

    victim = find_first_bit(failed, d->vectors);
    for (i = 0; i < 5; i++) {
        qmsix_testdev_mask(d, victim);
        qmsix_testdev_unmask(d, victim);
    }
    g_assert_cmpuint(count_failures(path, name, NULL), ==, failures);
    assert_delivers(&m.dev, 0);

    /*
     * All are freed, and then the same vector works; without dynamic MSI-X it
     * needs all below it, so take the one below instead.
     */
    if (!dynamic && victim) {
        victim--;
    }
    for (n = 0; n < d->vectors; n++) {
        qmsix_testdev_mask(d, n);
    }
    qmsix_testdev_enable(d, false);
    g_assert_cmpint(qvfio_host_vectors(device), <=, 0);
    qmsix_testdev_unmask(d, victim);
    qmsix_testdev_enable(d, true);
    assert_delivers(&m.dev, victim);

out:
    qvfio_machine_stop(&m);
    unlink(path);
}

/* A failed vector works at the next unmask after the cause is gone */
static void test_failure_then_works(void)
{
    const char *hog_device = qvfio_device(2);
    g_autofree char *path = NULL, *options = NULL;
    g_autofree char *name = NULL;
    QVfioMachine m;
    QPCIDevice *hog_pdev;
    QMsixTestdev hog;
    unsigned n;

    if (!need_device()) {
        return;
    }
    if (!hog_device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE_2 is not set");
        return;
    }

    name = qvfio_device_name(device);
    path = qvfio_temporary_file();
    options = g_strdup_printf("-device vfio-pci,id=hog,addr=5.0,%s 2>%s",
                              hog_device, path);
    qvfio_machine_start(&m, device, "", options);
    hog_pdev = qpci_device_find(m.bus, QPCI_DEVFN(5, 0));
    g_assert_nonnull(hog_pdev);
    qmsix_testdev_init(&hog, hog_pdev, &m.alloc);

    qmsix_testdev_enable(&m.dev, true);
    for (n = 0; n < 4; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }

    /* without dynamic MSI-X, one by one would take long */
    for (n = 0; n < MIN(hog.vectors, AT_ONCE); n++) {
        qmsix_testdev_unmask(&hog, n);
    }
    qmsix_testdev_set_default_message(&hog, 0);
    qmsix_testdev_enable(&hog, true);
    while (n < hog.vectors && !mentions(path, "vfio")) {
        qmsix_testdev_unmask(&hog, n++); /* stop at the first message */
    }
    if (n == hog.vectors) {
        g_test_skip("the host has vectors for both devices");
        goto out;
    }

    assert_delivers(&hog, 0);

    qmsix_testdev_unmask(&m.dev, 4);
    assert_delivers(&hog, 0);
    for (n = 0; n < 4; n++) {
        assert_delivers(&m.dev, n);
    }
    g_assert_cmpuint(count_failures(path, name, NULL), ==, 1);

    qmsix_testdev_enable(&hog, false);
    qmsix_testdev_mask(&m.dev, 4);
    qmsix_testdev_unmask(&m.dev, 4);
    for (n = 0; n < 5; n++) {
        assert_delivers(&m.dev, n);
    }

out:
    qmsix_testdev_free(&hog);
    g_free(hog_pdev);
    qvfio_machine_stop(&m);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);
    dynamic = device && qvfio_msix_is_dynamic(device);

    qtest_add_func("vfio-msix/add-vectors", test_add_vectors);
    qtest_add_func("vfio-msix/add-all-vectors", test_add_all_vectors);
    qtest_add_func("vfio-msix/add-vectors-descending",
                   test_add_vectors_descending);
    qtest_add_func("vfio-msix/add-vectors-works", test_add_vectors_works);
    qtest_add_func("vfio-msix/unmask-before-enable",
                   test_unmask_before_enable);
    qtest_add_func("vfio-msix/sparse", test_sparse);
    qtest_add_func("vfio-msix/sparse-enable", test_sparse_enable);
    qtest_add_func("vfio-msix/enable-again", test_enable_again);
    qtest_add_func("vfio-msix/enable-none-then-intx",
                   test_enable_none_then_intx);
    qtest_add_func("vfio-msix/masked-then-intx", test_masked_then_intx);
    qtest_add_func("vfio-msix/msi", test_msi);
    qtest_add_func("vfio-msix/msi-shrunk", test_msi_shrunk);
    qtest_add_func("vfio-msix/mask-pending", test_mask_pending);
    qtest_add_func("vfio-msix/pba", test_pba);
    qtest_add_func("vfio-msix/function-mask", test_function_mask);
    qtest_add_func("vfio-msix/message-changed", test_message_changed);
    qtest_add_func("vfio-msix/mask-while-firing", test_mask_while_firing);
    qtest_add_func("vfio-msix/reset", test_reset);
    qtest_add_func("vfio-msix/flr-goes-on", test_flr_goes_on);
    qtest_add_func("vfio-msix/restored", test_restored);
    qtest_add_func("vfio-msix/hotplug", test_hotplug);
    qtest_add_func("vfio-msix/two-devices", test_two_devices);
    qtest_add_func("vfio-msix/dynamic-off", test_dynamic_off);
    qtest_add_func("vfio-msix/dynamic-on", test_dynamic_on);
    qtest_add_func("vfio-msix/host-vectors-exhausted",
                   test_host_vectors_exhausted);
    qtest_add_func("vfio-msix/failure-then-works", test_failure_then_works);

    return g_test_run();
}
