/*
 * QTest testcase for MSI-X of vfio-pci with KVM
 *
 * The guest never runs, so that any KVM will do that takes routes and irqfds.
 * A message that KVM delivers goes to the vCPUs and to no memory, so that none
 * is seen here.  libqos/vfio-host.h says how the devices are named.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "libqtest.h"
#include "libqos/malloc-pc.h"
#include "libqos/msix-testdev.h"
#include "libqos/pci-pc.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"

#define PATIENCE_S 30

/*
 * More vectors than KVM has room for routes (KVM_CAP_IRQ_ROUTING, 4096 on x86,
 * some of them for the PIC and the I/O APIC).
 */
#define ROUTES 4096

/* QEMU's descriptors: two eventfds a vector, a third of a simulated host */
#define DESCRIPTORS (ROUTES * 3 + 1000)

static bool need_kvm(void)
{
    if (access("/dev/kvm", R_OK | W_OK)) {
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

/* Vectors without a route are delivered by QEMU, and it is not aborted */
static void test_routes_exhausted(void)
{
    const char *first = qvfio_device(1), *second = qvfio_device(2);
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QMsixTestdev a, b;
    gint64 end;
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

    /* The last that asked for a route has none, and its messages come */
    last = b.vectors - 1;
    end = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    qmsix_testdev_fire(&b, last);
    while (!qmsix_testdev_take(&b, last)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    qmsix_testdev_ack(&b, last);

    /* one by one they are as good as all at once */
    qmsix_testdev_mask(&b, last);
    qmsix_testdev_unmask(&b, last);
    end = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    qmsix_testdev_fire(&b, last);
    while (!qmsix_testdev_take(&b, last)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }

out:
    qmsix_testdev_free(&a);
    qmsix_testdev_free(&b);
    g_free(a.dev);
    g_free(b.dev);
    qpci_free_pc(bus);
    alloc_destroy(&alloc);
    qtest_quit(qts);
}

static void assert_vector(QVfioMachine *m, unsigned n, const char *listener,
                          const char *delivered)
{
    g_autofree char *l = qvfio_machine_vector_stat(m, n, "listener");
    g_autofree char *d = qvfio_machine_vector_stat(m, n, "delivered-by-qemu");

    g_assert_cmpstr(l, ==, listener);
    g_assert_cmpstr(d, ==, delivered);
}

/*
 * After MSI-X had to be disabled to add a vector, who is signalled through KVM
 * is whom KVM listens to, and the others have their pending bit from QEMU.
 */
static void test_replay(void)
{
    const char *device = qvfio_device(1);
    QVfioMachine m;
    gint64 end;

    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
        return;
    }
    if (!need_kvm()) {
        return;
    }

    qvfio_machine_start_kvm(&m, device, qvfio_msix_is_dynamic(device) ?
                            ",x-msix-dynamic=off" : "");
    qmsix_testdev_enable(&m.dev, true);
    qmsix_testdev_unmask(&m.dev, 0);
    qmsix_testdev_unmask(&m.dev, 1);
    qmsix_testdev_mask(&m.dev, 1);
    g_assert_cmpint(qvfio_machine_stat(&m, "replays"), ==, 1);
    assert_vector(&m, 0, "kvm", "0");
    assert_vector(&m, 1, "qemu", "0");

    qmsix_testdev_unmask(&m.dev, 2);
    g_assert_cmpint(qvfio_machine_stat(&m, "replays"), ==, 3);
    end = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
    while (!qmsix_testdev_pending(&m.dev, 1)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    /* QEMU's main loop has been by, and it was none of its business */
    g_assert_false(qmsix_testdev_take(&m.dev, 0));
    g_assert_false(qmsix_testdev_pending(&m.dev, 0));
    assert_vector(&m, 0, "kvm", "0");
    assert_vector(&m, 2, "kvm", "0");

    qmsix_testdev_unmask(&m.dev, 1);
    assert_vector(&m, 1, "kvm", "1");
    qvfio_machine_stop(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("vfio-msix-kvm/routes-exhausted", test_routes_exhausted);
    qtest_add_func("vfio-msix-kvm/replay", test_replay);
    return g_test_run();
}
