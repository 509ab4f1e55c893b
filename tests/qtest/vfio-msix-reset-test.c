/*
 * QTest testcase for MSI-X of vfio-pci: resets of the device by the guest, and
 * unplugging it
 *
 * It needs a device to pass through, an msix-testdev; libqos/vfio-host.h says
 * how to name it.  Without one, all cases are skipped.
 *
 * Not here: resets by way of D3hot and of the Advanced Features capability,
 * because neither msix-testdev nor the simulated host has the capabilities.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qmp/qdict.h"
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"

/* Vectors in use when the guest resets the device */
#define VECTORS 4

typedef struct Guest {
    QVfioMachine m;
    QMsixTestdev *d;
    QVfioSim *sim;              /* NULL on a real host */
} Guest;

static const char *device;

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

static bool is_simulated(void)
{
    return g_str_has_prefix(device, "sysfsdev=");
}

/* MSI-X on and VECTORS in use, all but the last unmasked */
static void start(Guest *g)
{
    unsigned n;

    qvfio_machine_start(&g->m, device, "", "");
    g->d = &g->m.dev;
    g->sim = qvfio_sim_connect(device);
    g_assert_cmpuint(g->d->vectors, >, VECTORS);

    qmsix_testdev_enable(g->d, true);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_unmask(g->d, n);
        g_assert_true(qmsix_testdev_delivers(g->d, n));
    }
    qmsix_testdev_mask(g->d, VECTORS - 1);
    /* what a resize has signalled */
    qvfio_fence(g->d);
    qmsix_testdev_take_all(g->d, NULL);
}

static void stop(Guest *g)
{
    if (g->sim) {
        qvfio_sim_free(g->sim);
    }
    qvfio_machine_stop(&g->m);
}

static void assert_delivers(QMsixTestdev *d, unsigned n)
{
    if (!qmsix_testdev_delivers(d, n)) {
        g_test_message("vector %u", n);
        g_assert_not_reached();
    }
}

/* Each of them comes once; what a replay may have signalled is taken before */
static void assert_all_deliver(QMsixTestdev *d)
{
    unsigned n;

    qvfio_fence(d);
    qmsix_testdev_take_all(d, NULL);
    for (n = 0; n < VECTORS; n++) {
        assert_delivers(d, n);
    }
    qvfio_fence(d);
    g_assert_cmpuint(qmsix_testdev_take_all(d, NULL), ==, 0);
    for (n = 0; n < VECTORS; n++) {
        g_assert_false(qmsix_testdev_pending(d, n));
    }
}

static void set_other_message(QMsixTestdev *d, unsigned n)
{
    qmsix_testdev_set_message(d, n, d->messages + n * sizeof(uint32_t),
                              0x100 + n);
}

static void assert_message(QMsixTestdev *d, unsigned n, uint32_t data)
{
    gint64 end = qmsix_testdev_deadline();

    while (!qmsix_testdev_message(d, n)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
    g_assert_cmphex(qmsix_testdev_message(d, n), ==, data);
    g_assert_true(qmsix_testdev_take(d, n));
    qmsix_testdev_ack(d, n);
}

/*
 * What the guest does with the table after a reset.  In all of them vector n
 * has message "0x100 + n" afterwards, or its old one, and all are unmasked.
 */

/* pci_restore_msix_state() */
static void rewrite_same(QMsixTestdev *d)
{
    unsigned n;

    qmsix_testdev_function_mask(d, true);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_set_default_message(d, n);
        qmsix_testdev_unmask(d, n);
    }
    qmsix_testdev_function_mask(d, false);
}

/* The same by a driver that has set up its vectors anew */
static void rewrite_other(QMsixTestdev *d)
{
    unsigned n;

    qmsix_testdev_function_mask(d, true);
    for (n = 0; n < VECTORS; n++) {
        set_other_message(d, n);
        qmsix_testdev_unmask(d, n);
    }
    qmsix_testdev_function_mask(d, false);
}

/* The same with the vectors' own mask bits */
static void rewrite_other_masked(QMsixTestdev *d)
{
    unsigned n;

    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(d, n);
    }
    for (n = 0; n < VECTORS; n++) {
        set_other_message(d, n);
    }
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_unmask(d, n);
    }
}

/* Vector by vector */
static void rewrite_same_each(QMsixTestdev *d)
{
    unsigned n;

    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(d, n);
        qmsix_testdev_set_default_message(d, n);
        qmsix_testdev_unmask(d, n);
    }
}

static void rewrite_other_each(QMsixTestdev *d)
{
    unsigned n;

    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(d, n);
        set_other_message(d, n);
        qmsix_testdev_unmask(d, n);
    }
}

/* No message is written at all */
static void unmask_only(QMsixTestdev *d)
{
    unsigned n;

    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(d, n);
        qmsix_testdev_unmask(d, n);
    }
}

typedef struct Restore {
    const char *name;
    void (*rewrite)(QMsixTestdev *d);
    bool other;                 /* the messages differ afterwards */
    bool after_flr;             /* a driver that QEMU sees resetting */
    bool after_wipe;            /* one that it does not */
} Restore;

static const Restore restores[] = {
    { "same", rewrite_same, false, true, true },
    { "other", rewrite_other, true, true, true },
    { "other-masked", rewrite_other_masked, true, true, true },
    { "same-each", rewrite_same_each, false, true, true },
    /* Without a reset that is how a guest moves interrupts among CPUs */
    { "other-each", rewrite_other_each, true, true, false },
    { "unmask", unmask_only, false, true, false },
};

/* Vectors are alive, and have the messages that the guest wrote */
static void assert_restored(QMsixTestdev *d, const Restore *r)
{
    unsigned n;

    qvfio_fence(d);
    qmsix_testdev_take_all(d, NULL);
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_fire(d, n);
        assert_message(d, n, r->other ? 0x100 + n : n + 1);
    }
    assert_all_deliver(d);

    /* masks do what they do, as before */
    for (n = 0; n < VECTORS; n++) {
        qmsix_testdev_mask(d, n);
        qmsix_testdev_fire(d, n);
        g_assert_true(qmsix_testdev_eventually(d, n, qmsix_testdev_pending));
        g_assert_false(qmsix_testdev_take(d, n));
        qmsix_testdev_unmask(d, n);
        assert_message(d, n, r->other ? 0x100 + n : n + 1);
    }
    assert_all_deliver(d);
    /* and a vector is taken that the host has not set up */
    qmsix_testdev_unmask(d, VECTORS);
    qvfio_fence(d);
    qmsix_testdev_take_all(d, NULL);
    assert_delivers(d, VECTORS);
    assert_all_deliver(d);
}

/*
 * A function level reset as a Linux guest does it, with memory decoding off.
 * Hosts that have their fixes restore the device's table, others leave it
 * empty: the vectors must be alive once the guest has unmasked them again.
 */
static void assert_survives_flr(const Restore *r, bool host_restores)
{
    Guest g;

    if (!need_device()) {
        return;
    }

    start(&g);
    if (!g.sim && host_restores) {
        g_test_skip("the host does as it does");
        stop(&g);
        return;
    }
    if (g.sim) {
        qvfio_sim_reset_decode_off(g.sim, host_restores);
    }
    qmsix_testdev_quiet_flr(g.d);
    /* It is not delivered where the table is empty, and comes later then */
    qmsix_testdev_fire(g.d, 1);
    qvfio_fence(g.d);
    if (g.sim) {
        g_assert_cmpint(qmsix_testdev_message(g.d, 1), ==,
                        host_restores ? 2 : 0);
    }
    r->rewrite(g.d);
    qmsix_testdev_unmask(g.d, VECTORS - 1);
    g_assert_true(qmsix_testdev_eventually(g.d, 1, qmsix_testdev_take));
    qmsix_testdev_ack(g.d, 1);
    assert_restored(g.d, r);
    stop(&g);
}

static void test_flr_lost(const void *restore)
{
    assert_survives_flr(restore, false);
}

static void test_flr_restored(const void *restore)
{
    assert_survives_flr(restore, true);
}

/* All that Linux's pci_reset_function() does, several times */
static void test_reset_function(void)
{
    Guest g;
    unsigned round;

    if (!need_device()) {
        return;
    }

    start(&g);
    for (round = 0; round < 4; round++) {
        if (g.sim) {
            qvfio_sim_reset_decode_off(g.sim, round == 2);
        }
        qmsix_testdev_mask(g.d, VECTORS - 1);
        qmsix_testdev_reset_function(g.d, VECTORS);
        qmsix_testdev_unmask(g.d, VECTORS - 1);
        assert_all_deliver(g.d);

        /* The driver gives vectors back, and takes them again */
        qmsix_testdev_mask(g.d, 1);
        qmsix_testdev_reset_function(g.d, VECTORS);
        set_other_message(g.d, 1);
        qmsix_testdev_unmask(g.d, 1);
        qmsix_testdev_fire(g.d, 1);
        assert_message(g.d, 1, 0x101);
        assert_all_deliver(g.d);
        qmsix_testdev_mask(g.d, 1);
        qmsix_testdev_set_default_message(g.d, 1);
        qmsix_testdev_unmask(g.d, 1);
    }
    stop(&g);
}

/*
 * A masked vector is given another message after the reset, and nothing is
 * restored by anybody.
 */
static void test_flr_one_vector(void)
{
    Guest g;

    if (!need_device()) {
        return;
    }

    start(&g);
    qmsix_testdev_quiet_flr(g.d);
    qmsix_testdev_fire(g.d, VECTORS - 1);
    g_assert_true(qmsix_testdev_eventually(g.d, VECTORS - 1,
                                           qmsix_testdev_pending));
    set_other_message(g.d, VECTORS - 1);
    qmsix_testdev_unmask(g.d, VECTORS - 1);
    assert_message(g.d, VECTORS - 1, 0x100 + VECTORS - 1);
    qvfio_fence(g.d);
    g_assert_cmpuint(qmsix_testdev_take_all(g.d, NULL), ==, 0);
    g_assert_false(qmsix_testdev_pending(g.d, VECTORS - 1));
    assert_delivers(g.d, VECTORS - 1);
    stop(&g);
}

/*
 * A reset that is a matter between the device and its driver has wiped the
 * table, as those of Intel's virtual functions do, and neither the host nor
 * QEMU knows of it.  The driver writes the message of each vector in use.
 */
static void test_wiped(const void *restore)
{
    const Restore *r = restore;
    unsigned round;
    Guest g;

    if (!need_device()) {
        return;
    }

    start(&g);
    for (round = 0; round < 2; round++) {
        qmsix_testdev_write(g.d, MSIX_TESTDEV_WIPE, 1);
        qmsix_testdev_fire(g.d, 1);
        qvfio_fence(g.d);
        g_assert_false(qmsix_testdev_take(g.d, 1));
        r->rewrite(g.d);
        g_assert_true(qmsix_testdev_eventually(g.d, 1, qmsix_testdev_take));
        qmsix_testdev_ack(g.d, 1);
        assert_all_deliver(g.d);
    }
    assert_restored(g.d, r);
    stop(&g);
}

/*
 * Firmware for a guest that has its CPU read device memory all the time: in the
 * page whose address is in memory at WHERE, if it is not 0.  It counts at
 * COUNT.
 *
 * The reads are those of VMRUN, which takes the page for a VMCB, finds none,
 * and returns.  They look for the memory region each time, without the BQL, and
 * then wait for that, as accesses under KVM do.  A plain load would go by the
 * TLB of TCG, which in QEMU 7.2 crashes by itself when the memory map changes
 * at that moment.
 */
#define WHERE 0x1000
#define COUNT 0x1004
#define FIRMWARE_SIZE 0x10000   /* at 0xffff0000 */

static const uint8_t reader[] = {
    /* 16-bit */
    0xfa,                                     /* 00 cli */
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x70, 0x00, /* 01 lgdtl %cs:0x70 */
    0x0f, 0x20, 0xc0,                         /* 08 mov %cr0, %eax */
    0x0c, 0x01,                               /* 0b or $1, %al */
    0x0f, 0x22, 0xc0,                         /* 0d mov %eax, %cr0 */
    0x66, 0xea, 0x18, 0x00, 0xff, 0xff,       /* 10 ljmpl $8, $0xffff0018 */
    0x08, 0x00,
    /* 32-bit */
    0x66, 0xb8, 0x10, 0x00,                   /* 18 mov $0x10, %ax */
    0x8e, 0xd8,                               /* 1c mov %eax, %ds */
    0xb9, 0x80, 0x00, 0x00, 0xc0,             /* 1e mov $MSR_EFER, %ecx */
    0x0f, 0x32,                               /* 23 rdmsr */
    0x0d, 0x00, 0x10, 0x00, 0x00,             /* 25 or $EFER.SVME, %eax */
    0x0f, 0x30,                               /* 2a wrmsr */
    0xb9, 0x17, 0x01, 0x01, 0xc0,             /* 2c mov $VM_HSAVE_PA, %ecx */
    0xb8, 0x00, 0x20, 0x00, 0x00,             /* 31 mov $0x2000, %eax */
    0x31, 0xd2,                               /* 36 xor %edx, %edx */
    0x0f, 0x30,                               /* 38 wrmsr */
    0xf3, 0x90,                               /* 3a again: pause */
    0xa1, 0x00, 0x10, 0x00, 0x00,             /* 3c mov WHERE, %eax */
    0x85, 0xc0,                               /* 41 test %eax, %eax */
    0x74, 0xf5,                               /* 43 jz again */
    0x0f, 0x01, 0xd8,                         /* 45 vmrun */
    0xff, 0x05, 0x04, 0x10, 0x00, 0x00,       /* 48 incl COUNT */
    0xeb, 0xea,                               /* 4e jmp again */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    /* 58 GDT: none, code, data, both from 0 to 4 GiB */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
    /* 70 its limit and address */
    0x17, 0x00, 0x58, 0x00, 0xff, 0xff,
};

/* At 0xfffffff0, where the CPU starts: jmp to 0xffff0000 */
static const uint8_t reset_vector[] = { 0xe9, 0x0d, 0x00 };

/* Returns: the path of a file, to be removed and freed */
static char *write_firmware(void)
{
    g_autofree char *image = g_malloc0(FIRMWARE_SIZE);
    char *path = qvfio_temporary_file();
    bool ok;

    memcpy(image, reader, sizeof(reader));
    memcpy(image + FIRMWARE_SIZE - 16, reset_vector, sizeof(reset_vector));
    ok = g_file_set_contents(path, image, FIRMWARE_SIZE, NULL);
    g_assert_true(ok);
    return path;
}

/* The guest runs, and reads what it is to */
static void await_reads(QVfioMachine *m)
{
    uint32_t start = qtest_readl(m->qts, COUNT);
    gint64 end = qmsix_testdev_deadline();

    while (qtest_readl(m->qts, COUNT) - start < 100) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
}

/*
 * The device is unplugged while a CPU of the guest reads its MSI-X table or its
 * PBA.  The CPU has QEMU's region at hand already and waits for the BQL while
 * the device goes, so the region's read function runs afterwards.  To be sure
 * of that another device goes first, which takes its time.
 *
 * The guest runs here, unlike in other tests.  What QEMU frees is overwritten
 * (by the C library), so that a use of it does not go unnoticed.
 */
static void unplug_while_reading(bool table)
{
    /* With many vectors, as VMRUN reads here and there in the page */
    const int n = 2;
    g_autofree char *firmware = NULL;
    g_autofree char *options = NULL;
    unsigned round;
    QVfioMachine m;

    if (!need_device()) {
        return;
    }
    if (!qvfio_device(n) || !is_simulated()) {
        g_test_skip("there are no two devices, or the host is not simulated");
        return;
    }

    firmware = write_firmware();
    options = g_strdup_printf("-cpu qemu64,svm=on -bios %s", firmware);
    g_setenv("MALLOC_PERTURB_", "165", true);
    qvfio_machine_start_pluggable(&m, options);
    g_unsetenv("MALLOC_PERTURB_");
    qobject_unref(qtest_qmp(m.qts, "{'execute': 'cont'}"));

    for (round = 0; round < 20; round++) {
        uint64_t offset;
        QVfioSim *first;

        qvfio_machine_plug_second(&m, qvfio_device(n), device);
        qmsix_testdev_enable(&m.dev, true);
        qmsix_testdev_unmask(&m.dev, 0);
        assert_delivers(&m.dev, 0);
        /* QEMU's PBA is seen while it has a bit */
        qmsix_testdev_mask(&m.dev, 0);
        qmsix_testdev_fire(&m.dev, 0);
        g_assert_true(qmsix_testdev_eventually(&m.dev, 0,
                                               qmsix_testdev_pending));

        offset = table ? m.dev.table_off : m.dev.pba_off;
        g_assert_cmphex((m.dev.msix.addr + offset) & 0xfff, ==, 0);
        qtest_writel(m.qts, WHERE, m.dev.msix.addr + offset);
        await_reads(&m);
        first = qvfio_sim_connect(device);
        qvfio_sim_command(first, "slow set-irqs us=20000 at=start");
        qvfio_sim_free(first);
        qvfio_machine_unplug(&m);
        /* There is nothing any more, and QEMU and the guest live */
        await_reads(&m);
        qtest_writel(m.qts, WHERE, 0);
    }

    qvfio_machine_stop(&m);
    unlink(firmware);
}

static void test_unplug_table(void)
{
    unplug_while_reading(true);
}

static void test_unplug_pba(void)
{
    unplug_while_reading(false);
}

static void add_restores(const char *what, size_t enabled,
                         void (*test)(const void *restore))
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(restores); i++) {
        g_autofree char *path = g_strdup_printf("vfio-msix-reset/%s/%s", what,
                                                restores[i].name);

        if (*(const bool *)((const char *)&restores[i] + enabled)) {
            qtest_add_data_func(path, &restores[i], test);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);

    add_restores("flr-lost", offsetof(Restore, after_flr), test_flr_lost);
    add_restores("flr-restored", offsetof(Restore, after_flr),
                 test_flr_restored);
    add_restores("wiped", offsetof(Restore, after_wipe), test_wiped);
    qtest_add_func("vfio-msix-reset/reset-function", test_reset_function);
    qtest_add_func("vfio-msix-reset/flr-one-vector", test_flr_one_vector);
    qtest_add_func("vfio-msix-reset/unplug-while-reading/pba", test_unplug_pba);
    qtest_add_func("vfio-msix-reset/unplug-while-reading/table",
                   test_unplug_table);

    return g_test_run();
}
