/*
 * QTest testcase for msix-testdev
 *
 * Two devices in each machine: the one under test, and one that counts the
 * messages of the first.  A message whose address is the other's FIRE
 * register raises an interrupt there, and its RAISED counters tell exactly
 * how many messages came with which data - a word in memory would tell only
 * that one came.
 *
 * Timing, wrapping counters and fairness are tested on the device's logic,
 * which is linked into this program, where they cannot be reached or seen
 * through registers in reasonable time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "libqos/msix-testdev.h"
#include "libqos/pci-pc.h"
#include "qapi/qmp/qdict.h"
#include "qemu/bitmap.h"
#include "hw/misc/msix-testdev-core.h"
#include "hw/pci/pci_ids.h"
#include "standard-headers/linux/pci_regs.h"

#define US 1000ll               /* nanoseconds */
#define SLOT_A 4
#define SLOT_B 5
#define SLOT_HOTPLUG 6
/* Every message word but none of a vector's own data (n + 1). */
#define OTHER_DATA 0xabcd1234

typedef struct TestVM {
    QOSState *qs;
    QTestState *qts;
    QPCIDevice *dev_a;
    QPCIDevice *dev_b;
    QMsixTestdev a;             /* under test */
    QMsixTestdev b;             /* counts messages */
} TestVM;

static void vm_start_machine(TestVM *vm, const char *machine,
                             unsigned vectors)
{
    vm->qs = qtest_pc_boot("-machine %s -nodefaults "
                           "-device msix-testdev,id=a,addr=%x,vectors=%u "
                           "-device msix-testdev,id=b,addr=%x,vectors=%u",
                           machine, SLOT_A, vectors, SLOT_B, vectors);
    vm->qts = vm->qs->qts;
    vm->dev_a = qpci_device_find(vm->qs->pcibus, QPCI_DEVFN(SLOT_A, 0));
    g_assert_nonnull(vm->dev_a);
    qmsix_testdev_init(&vm->a, vm->dev_a, &vm->qs->alloc);
    vm->dev_b = qpci_device_find(vm->qs->pcibus, QPCI_DEVFN(SLOT_B, 0));
    g_assert_nonnull(vm->dev_b);
    qmsix_testdev_init(&vm->b, vm->dev_b, &vm->qs->alloc);
    g_assert_cmpuint(vm->a.vectors, ==, vectors);
}

static void vm_start(TestVM *vm, unsigned vectors)
{
    vm_start_machine(vm, "pc", vectors);
}

static void vm_stop(TestVM *vm)
{
    qmsix_testdev_free(&vm->b);
    qmsix_testdev_free(&vm->a);
    g_free(vm->dev_b);
    g_free(vm->dev_a);
    qtest_shutdown(vm->qs);
}

static void system_reset(TestVM *vm)
{
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'system_reset' }");
    qtest_qmp_eventwait(vm->qts, "RESET");
    qmsix_testdev_setup_pci(&vm->a);
    qmsix_testdev_setup_pci(&vm->b);
}

/* Have vector n of a, unmasked, counted by vector n of b. */
static void count_messages(TestVM *vm, unsigned n)
{
    qmsix_testdev_set_message(&vm->a, n, vm->b.regs.addr + MSIX_TESTDEV_FIRE,
                              n);
    qmsix_testdev_unmask(&vm->a, n);
}

/* The number of messages of vector n, since count_messages(). */
static uint32_t messages(TestVM *vm, unsigned n)
{
    return qmsix_testdev_vector_read(&vm->b, n, MSIX_TESTDEV_VECTOR_RAISED);
}

static uint32_t all_messages(TestVM *vm)
{
    return qmsix_testdev_read(&vm->b, MSIX_TESTDEV_RAISED);
}

static uint32_t raised(QMsixTestdev *d, unsigned n)
{
    return qmsix_testdev_vector_read(d, n, MSIX_TESTDEV_VECTOR_RAISED);
}

static uint32_t acked(QMsixTestdev *d, unsigned n)
{
    return qmsix_testdev_vector_read(d, n, MSIX_TESTDEV_VECTOR_ACKED);
}

static bool outstanding(QMsixTestdev *d, unsigned n)
{
    uint32_t map = qmsix_testdev_read(d, MSIX_TESTDEV_OUTSTANDING +
                                      n / 32 * 4);
    bool set = map & (1u << n % 32);

    g_assert_cmpint(set, ==, raised(d, n) != acked(d, n));
    return set;
}

/* The counters that say what became of the interrupts, and their sum. */
static void assert_counters_line(QMsixTestdev *d, uint32_t sent,
                                 uint32_t pended, uint32_t dropped,
                                 uint32_t intx, int line)
{
    uint32_t got_sent = qmsix_testdev_read(d, MSIX_TESTDEV_SENT);
    uint32_t got_pended = qmsix_testdev_read(d, MSIX_TESTDEV_PENDED);
    uint32_t got_dropped = qmsix_testdev_read(d, MSIX_TESTDEV_DROPPED);
    uint32_t got_intx = qmsix_testdev_read(d, MSIX_TESTDEV_INTX_RAISED);

    if (got_sent != sent || got_pended != pended || got_dropped != dropped ||
        got_intx != intx) {
        g_error("line %d: sent %u pended %u dropped %u INTx %u, "
                "should be %u %u %u %u", line, got_sent, got_pended,
                got_dropped, got_intx, sent, pended, dropped, intx);
    }
    g_assert_cmpuint(qmsix_testdev_read(d, MSIX_TESTDEV_RAISED), ==,
                     sent + pended + dropped + intx);
}

#define assert_counters(d, sent, pended, dropped, intx) \
    assert_counters_line(d, sent, pended, dropped, intx, __LINE__)

static void assert_vector_line(QMsixTestdev *d, unsigned n, uint32_t sent,
                               uint32_t pended, uint32_t dropped, int line)
{
    uint32_t got_sent =
        qmsix_testdev_vector_read(d, n, MSIX_TESTDEV_VECTOR_SENT);
    uint32_t got_pended =
        qmsix_testdev_vector_read(d, n, MSIX_TESTDEV_VECTOR_PENDED);
    uint32_t got_dropped =
        qmsix_testdev_vector_read(d, n, MSIX_TESTDEV_VECTOR_DROPPED);

    if (got_sent != sent || got_pended != pended || got_dropped != dropped) {
        g_error("line %d: vector %u: sent %u pended %u dropped %u, "
                "should be %u %u %u", line, n, got_sent, got_pended,
                got_dropped, sent, pended, dropped);
    }
}

#define assert_vector(d, n, sent, pended, dropped) \
    assert_vector_line(d, n, sent, pended, dropped, __LINE__)

static const uint32_t instruments[] = {
    MSIX_TESTDEV_MSIX_ENABLES, MSIX_TESTDEV_MSIX_DISABLES,
    MSIX_TESTDEV_RESETS,
};

/* All registers but the constants and the instruments are 0. */
static void assert_reset_state(QMsixTestdev *d)
{
    uint32_t reg;

    for (reg = MSIX_TESTDEV_CTRL; reg < MSIX_TESTDEV_OUTSTANDING_END;
         reg += 4) {
        if (reg >= MSIX_TESTDEV_MSIX_ENABLES && reg <= MSIX_TESTDEV_RESETS) {
            continue;
        }
        g_assert_cmphex(qmsix_testdev_read(d, reg), ==, 0);
    }
    for (reg = 0; reg < d->vectors * MSIX_TESTDEV_VECTOR_SIZE; reg += 4) {
        g_assert_cmphex(qmsix_testdev_read(d, MSIX_TESTDEV_VECTOR(0) + reg),
                        ==, 0);
    }
}

static void test_config_space(void)
{
    TestVM vm;
    QPCIDevice *dev;
    uint64_t size;
    uint8_t cap;

    vm_start(&vm, 64);
    dev = vm.dev_a;
    g_assert_cmphex(qpci_config_readw(dev, PCI_VENDOR_ID), ==, 0x1234);
    g_assert_cmphex(qpci_config_readw(dev, PCI_DEVICE_ID), ==, 0x4d58);
    g_assert_cmphex(qpci_config_readw(dev, PCI_CLASS_DEVICE), ==,
                    PCI_CLASS_OTHERS);
    g_assert_cmphex(qpci_config_readb(dev, PCI_INTERRUPT_PIN), ==, 1);

    qpci_iomap(dev, 0, &size);
    g_assert_cmphex(size, ==, 0x20000);
    qpci_iomap(dev, 1, &size);
    g_assert_cmphex(size, ==, 0x10000);
    /* no 64-bit BAR, no prefetchable one, and no third */
    g_assert_cmphex(qpci_config_readl(dev, PCI_BASE_ADDRESS_0) & 0xf, ==, 0);
    g_assert_cmphex(qpci_config_readl(dev, PCI_BASE_ADDRESS_1) & 0xf, ==, 0);
    qpci_config_writel(dev, PCI_BASE_ADDRESS_2, 0xffffffff);
    g_assert_cmphex(qpci_config_readl(dev, PCI_BASE_ADDRESS_2), ==, 0);

    cap = qpci_find_capability(dev, PCI_CAP_ID_MSIX, 0);
    g_assert_cmphex(cap, !=, 0);
    g_assert_cmphex(qpci_config_readw(dev, cap + PCI_MSIX_FLAGS), ==, 64 - 1);
    g_assert_cmphex(qpci_config_readl(dev, cap + PCI_MSIX_TABLE), ==, 1);
    g_assert_cmphex(qpci_config_readl(dev, cap + PCI_MSIX_PBA), ==,
                    0x8000 | 1);

    cap = qpci_find_capability(dev, PCI_CAP_ID_MSI, 0);
    g_assert_cmphex(cap, !=, 0);
    /* eight messages, 64-bit address, maskable */
    g_assert_cmphex(qpci_config_readw(dev, cap + PCI_MSI_FLAGS), ==,
                    (3 << 1) | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);

    cap = qpci_find_capability(dev, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex(cap, !=, 0);
    g_assert_cmphex(qpci_config_readl(dev, cap + PCI_EXP_DEVCAP) &
                    PCI_EXP_DEVCAP_FLR, ==, PCI_EXP_DEVCAP_FLR);
    vm_stop(&vm);
}

static void test_reset_values(void)
{
    TestVM vm;

    vm_start(&vm, 64);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, 0x00), ==, 0x5458534d);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, 0x04), ==, 1);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, 0x08), ==, 64);
    assert_reset_state(&vm.a);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_MSIX_ENABLES), ==,
                     0);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_MSIX_DISABLES),
                     ==, 0);
    vm_stop(&vm);
}

/*
 * Write every 32-bit offset: only registers that are documented as writable
 * change, and only their bits.
 */
static void test_register_map(void)
{
    TestVM vm;
    uint32_t reg, resets;

    vm_start(&vm, 3);
    resets = qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RESETS);
    for (reg = 0; reg < MSIX_TESTDEV_REGS_SIZE; reg += 4) {
        /* a vector's registers each with a value of its own */
        qmsix_testdev_write(&vm.a, reg, reg < MSIX_TESTDEV_VECTOR_BASE ?
                            0xffffffff : 0xf0000000 | reg);
    }
    for (reg = 0; reg < MSIX_TESTDEV_REGS_SIZE; reg += 4) {
        uint32_t expected = 0;

        switch (reg) {
        case MSIX_TESTDEV_ID:
            expected = MSIX_TESTDEV_ID_VALUE;
            break;
        case MSIX_TESTDEV_VERSION:
            expected = MSIX_TESTDEV_VERSION_VALUE;
            break;
        case MSIX_TESTDEV_VECTORS:
            expected = 3;
            break;
        case MSIX_TESTDEV_CTRL:
            expected = MSIX_TESTDEV_CTRL_RUN | MSIX_TESTDEV_CTRL_INTX;
            break;
        case MSIX_TESTDEV_RESETS:
            expected = resets;
            break;
        case MSIX_TESTDEV_VECTOR(0) + MSIX_TESTDEV_VECTOR_PERIOD:
        case MSIX_TESTDEV_VECTOR(1) + MSIX_TESTDEV_VECTOR_PERIOD:
        case MSIX_TESTDEV_VECTOR(2) + MSIX_TESTDEV_VECTOR_PERIOD:
            expected = 0xf0000000 | reg;
            break;
        }
        if (qmsix_testdev_read(&vm.a, reg) != expected) {
            g_error("register 0x%x: 0x%x, should be 0x%x", reg,
                    qmsix_testdev_read(&vm.a, reg), expected);
        }
    }
    vm_stop(&vm);
}

static void write_size(TestVM *vm, uint64_t addr, unsigned size, uint64_t val)
{
    switch (size) {
    case 1:
        qtest_writeb(vm->qts, addr, val);
        break;
    case 2:
        qtest_writew(vm->qts, addr, val);
        break;
    case 4:
        qtest_writel(vm->qts, addr, val);
        break;
    case 8:
        qtest_writeq(vm->qts, addr, val);
        break;
    default:
        g_assert_not_reached();
    }
}

static uint64_t read_size(TestVM *vm, uint64_t addr, unsigned size)
{
    switch (size) {
    case 1:
        return qtest_readb(vm->qts, addr);
    case 2:
        return qtest_readw(vm->qts, addr);
    case 4:
        return qtest_readl(vm->qts, addr);
    case 8:
        return qtest_readq(vm->qts, addr);
    default:
        g_assert_not_reached();
    }
}

/* Accesses to BAR 0 other than aligned 32-bit ones are without effect. */
static void test_access_sizes(void)
{
    TestVM vm;
    unsigned size, offset;
    uint64_t id, fire, period;

    vm_start(&vm, 64);
    id = vm.a.regs.addr + MSIX_TESTDEV_ID;
    fire = vm.a.regs.addr + MSIX_TESTDEV_FIRE;
    period = vm.a.regs.addr + MSIX_TESTDEV_VECTOR(2) +
             MSIX_TESTDEV_VECTOR_PERIOD;
    for (size = 1; size <= 8; size *= 2) {
        for (offset = 0; offset < 4; offset++) {
            if (size == 4 && offset == 0) {
                continue;
            }
            g_assert_cmphex(read_size(&vm, id + offset, size), ==, 0);
            write_size(&vm, fire + offset, size, 0);
            /* would reach FIRE if split or merged */
            write_size(&vm, fire - offset, size, 0);
            write_size(&vm, period + offset, size, ~0ull);
            /* VERSION and the last bytes of the BAR; no access beyond it */
            write_size(&vm, vm.a.regs.addr + MSIX_TESTDEV_REGS_SIZE - 8 +
                       MIN(offset, 8 - size), size, ~0ull);
        }
    }
    assert_reset_state(&vm.a);
    assert_counters(&vm.a, 0, 0, 0, 0);

    /* an aligned 32-bit access has an effect */
    g_assert_cmphex(read_size(&vm, id, 4), ==, MSIX_TESTDEV_ID_VALUE);
    write_size(&vm, fire, 4, 0);
    assert_counters(&vm.a, 0, 0, 1, 0);
    vm_stop(&vm);
}

/* Table and PBA with all sizes: the PBA is read-only, the rest harmless. */
static void test_table_access(void)
{
    TestVM vm;
    uint64_t table, pba, addr;
    unsigned size, i;

    vm_start(&vm, 64);
    table = vm.a.msix.addr + vm.a.table_off;
    pba = vm.a.msix.addr + vm.a.pba_off;

    for (i = 0; i < 64; i++) {
        g_assert_true(qmsix_testdev_is_masked(&vm.a, i));
        g_assert_cmphex(qtest_readl(vm.qts, table + i * 16), ==, 0);
        g_assert_cmphex(qtest_readl(vm.qts, table + i * 16 + 8), ==, 0);
    }
    write_size(&vm, table + 16, 4, 0x11223344);
    write_size(&vm, table + 24, 8, 0x0000000155667788ull);
    g_assert_cmphex(qtest_readl(vm.qts, table + 16), ==, 0x11223344);
    g_assert_cmphex(qtest_readq(vm.qts, table + 24), ==,
                    0x0000000155667788ull);
    for (size = 1; size <= 2; size++) {
        write_size(&vm, table + 16, size, 0xff);
        g_assert_cmphex(qtest_readl(vm.qts, table + 16), ==, 0x11223344);
    }

    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_fire(&vm.a, 5);
    for (size = 1; size <= 8; size *= 2) {
        write_size(&vm, pba, size, 0);
        g_assert_true(qmsix_testdev_pending(&vm.a, 5));
        write_size(&vm, pba, size, ~0ull);
        g_assert_cmphex(qtest_readq(vm.qts, pba), ==, 1u << 5);
    }

    /* behind the table, behind the PBA, the end of the BAR */
    for (addr = 64 * 16; addr < 64 * 16 + 64; addr += 4) {
        qtest_writel(vm.qts, vm.a.msix.addr + addr, 0xffffffff);
        qtest_readl(vm.qts, vm.a.msix.addr + addr);
    }
    qtest_writel(vm.qts, pba + 8, 0xffffffff);
    g_assert_cmphex(qtest_readq(vm.qts, pba), ==, 1u << 5);
    qtest_writel(vm.qts, vm.a.msix.addr + MSIX_TESTDEV_MSIX_SIZE - 4, ~0u);
    vm_stop(&vm);
}

/* Invalid vector numbers raise and acknowledge nothing. */
static void test_vector_range(void)
{
    static const uint32_t numbers[] = {
        5, 6, 31, 32, 37, 255, 256, 2047, 2048, 0x10000, 0x10004,
        0x80000000, 0xfffffffc, 0xffffffff,
    };
    TestVM vm;
    unsigned i;

    vm_start(&vm, 5);
    qmsix_testdev_fire(&vm.a, 4);
    for (i = 0; i < ARRAY_SIZE(numbers); i++) {
        qmsix_testdev_fire(&vm.a, numbers[i]);
        qmsix_testdev_ack(&vm.a, numbers[i]);
    }
    assert_counters(&vm.a, 0, 0, 1, 0);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_OUTSTANDING), ==,
                    1u << 4);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_ACKED), ==, 0);
    /* the registers after the last vector's */
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_VECTOR(5) +
                        MSIX_TESTDEV_VECTOR_PERIOD, 100);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_VECTOR(5) +
                                        MSIX_TESTDEV_VECTOR_PERIOD), ==, 0);
    vm_stop(&vm);
}

/* Each of N vectors arrives, once, with its own data, and no other does. */
static void test_all_vectors(const void *opaque)
{
    unsigned vectors = GPOINTER_TO_UINT(opaque);
    unsigned long *bitmap = bitmap_new(vectors);
    TestVM vm;
    unsigned n;

    vm_start(&vm, vectors);
    qmsix_testdev_enable(&vm.a, true);

    for (n = 0; n < vectors; n++) {
        count_messages(&vm, n);
    }
    for (n = 0; n < vectors; n++) {
        qmsix_testdev_fire(&vm.a, n);
        g_assert_cmpuint(messages(&vm, n), ==, 1);
        g_assert_cmpuint(all_messages(&vm), ==, n + 1);
        assert_vector(&vm.a, n, 1, 0, 0);
        g_assert_true(outstanding(&vm.a, n));
    }
    assert_counters(&vm.a, vectors, 0, 0, 0);

    for (n = 0; n < vectors; n++) {
        qmsix_testdev_mask(&vm.a, n);
        qmsix_testdev_set_default_message(&vm.a, n);
        qmsix_testdev_unmask(&vm.a, n);
    }
    g_assert_cmpuint(qmsix_testdev_take_all(&vm.a, bitmap), ==, 0);
    for (n = 0; n < vectors; n++) {
        qmsix_testdev_fire(&vm.a, n);
        g_assert_cmpuint(qmsix_testdev_message(&vm.a, n), ==, n + 1);
        if (n % 64 == 0 || n == vectors - 1) {
            g_assert_cmpuint(qmsix_testdev_take_all(&vm.a, bitmap), ==,
                             n % 64 ? n % 64 : n ? 64 : 1);
            g_assert_true(test_bit(n, bitmap));
        }
        qmsix_testdev_ack(&vm.a, n);
        g_assert_false(outstanding(&vm.a, n));
    }
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_ACKED), ==,
                     2 * vectors);
    assert_counters(&vm.a, 2 * vectors, 0, 0, 0);
    vm_stop(&vm);
    g_free(bitmap);
}

static void assert_device_add_fails(QTestState *qts, uint64_t vectors,
                                    const char *message)
{
    QDict *resp, *error;

    resp = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': {"
                     " 'driver': 'msix-testdev', 'id': 'x', 'addr': '7',"
                     " 'vectors': %" PRIu64 " } }", vectors);
    error = qdict_get_qdict(resp, "error");
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), message));
    qobject_unref(resp);
}

static void test_realize_errors(void)
{
    TestVM vm;
    QMsixTestdev d;
    QPCIDevice *dev;

    vm_start(&vm, 1);
    assert_device_add_fails(vm.qts, 0, "1 to 2048 vectors");
    assert_device_add_fails(vm.qts, 2049, "1 to 2048 vectors");
    assert_device_add_fails(vm.qts, UINT32_MAX, "1 to 2048 vectors");
    assert_device_add_fails(vm.qts, UINT32_MAX + 1ull, "vectors");
    g_assert_null(qpci_device_find(vm.qs->pcibus, QPCI_DEVFN(7, 0)));

    /* id and slot are free again */
    qtest_qmp_device_add(vm.qts, "msix-testdev", "x",
                         "{ 'addr': '7', 'vectors': 2048 }");
    dev = qpci_device_find(vm.qs->pcibus, QPCI_DEVFN(7, 0));
    g_assert_nonnull(dev);
    qmsix_testdev_init(&d, dev, &vm.qs->alloc);
    g_assert_cmpuint(d.vectors, ==, 2048);
    qmsix_testdev_free(&d);
    g_free(dev);
    vm_stop(&vm);
}

static void test_default_vectors(void)
{
    QOSState *qs = qtest_pc_boot("-nodefaults -device msix-testdev,addr=4");
    QPCIDevice *dev = qpci_device_find(qs->pcibus, QPCI_DEVFN(4, 0));
    QMsixTestdev d;

    g_assert_nonnull(dev);
    qmsix_testdev_init(&d, dev, &qs->alloc);
    g_assert_cmpuint(d.vectors, ==, 64);
    qmsix_testdev_free(&d);
    g_free(dev);
    qtest_shutdown(qs);
}

static void test_unmigratable(void)
{
    TestVM vm;
    QDict *resp, *error;

    vm_start(&vm, 1);
    resp = qtest_qmp(vm.qts, "{ 'execute': 'migrate', 'arguments': {"
                     " 'uri': 'exec:cat > /dev/null' } }");
    error = qdict_get_qdict(resp, "error");
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "msix-testdev"));
    qobject_unref(resp);
    vm_stop(&vm);
}

/* Raised while masked: a pending bit, and one message at the unmask. */
static void test_mask(void)
{
    static const unsigned vectors[] = { 0, 1, 31, 32, 63, 64, 1000, 2047 };
    TestVM vm;
    unsigned i, j;

    vm_start(&vm, 2048);
    qmsix_testdev_enable(&vm.a, true);
    for (i = 0; i < ARRAY_SIZE(vectors); i++) {
        unsigned n = vectors[i];

        count_messages(&vm, n);
        qmsix_testdev_mask(&vm.a, n);
        g_assert_false(qmsix_testdev_pending(&vm.a, n));
        qmsix_testdev_fire(&vm.a, n);
        qmsix_testdev_fire(&vm.a, n);
        qmsix_testdev_fire(&vm.a, n);
        for (j = 0; j < ARRAY_SIZE(vectors); j++) {
            g_assert_cmpint(qmsix_testdev_pending(&vm.a, vectors[j]), ==,
                            i == j);
        }
        g_assert_cmpuint(messages(&vm, n), ==, 0);
        assert_vector(&vm.a, n, 0, 3, 0);
        g_assert_cmpuint(raised(&vm.a, n), ==, 3);

        qmsix_testdev_unmask(&vm.a, n);
        g_assert_false(qmsix_testdev_pending(&vm.a, n));
        g_assert_cmpuint(messages(&vm, n), ==, 1);
        /* it was counted when it was raised */
        assert_vector(&vm.a, n, 0, 3, 0);

        /* nothing is left to deliver */
        qmsix_testdev_mask(&vm.a, n);
        qmsix_testdev_unmask(&vm.a, n);
        g_assert_cmpuint(messages(&vm, n), ==, 1);
    }
    g_assert_cmpuint(all_messages(&vm), ==, ARRAY_SIZE(vectors));
    assert_counters(&vm.a, 0, 3 * ARRAY_SIZE(vectors), 0, 0);
    vm_stop(&vm);
}

/* The table is lost, and what is in it now counts; pending bits are kept. */
static void test_wipe(void)
{
    TestVM vm;
    uint64_t entry;
    unsigned n;

    vm_start(&vm, 64);
    qmsix_testdev_enable(&vm.a, true);
    count_messages(&vm, 5);
    qmsix_testdev_fire(&vm.a, 5);
    g_assert_cmpuint(messages(&vm, 5), ==, 1);

    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_WIPE, 1);
    for (n = 0; n < 64; n++) {
        entry = vm.a.msix.addr + vm.a.table_off + n * PCI_MSIX_ENTRY_SIZE;
        g_assert_cmphex(qtest_readq(vm.qts, entry), ==, 0);
        g_assert_cmphex(qtest_readl(vm.qts, entry + PCI_MSIX_ENTRY_DATA), ==,
                        0);
        g_assert_cmphex(qtest_readl(vm.qts, entry +
                                    PCI_MSIX_ENTRY_VECTOR_CTRL), ==, 1);
    }
    g_assert_true(qmsix_testdev_is_enabled(&vm.a));
    qmsix_testdev_fire(&vm.a, 5);
    g_assert_cmpuint(messages(&vm, 5), ==, 1);
    g_assert_true(qmsix_testdev_pending(&vm.a, 5));

    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_WIPE, 0);
    g_assert_true(qmsix_testdev_pending(&vm.a, 5));
    qmsix_testdev_set_default_message(&vm.a, 5);
    qmsix_testdev_unmask(&vm.a, 5);
    g_assert_true(qmsix_testdev_take(&vm.a, 5));
    vm_stop(&vm);
}

/* The message is the one that is in the table at the unmask. */
static void test_message_change(void)
{
    TestVM vm;

    vm_start(&vm, 8);
    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_set_default_message(&vm.a, 2);
    qmsix_testdev_fire(&vm.a, 2);
    qmsix_testdev_set_message(&vm.a, 2, vm.a.messages + 4 * 7, OTHER_DATA);
    qmsix_testdev_unmask(&vm.a, 2);
    g_assert_false(qmsix_testdev_take(&vm.a, 2));
    g_assert_cmphex(qmsix_testdev_message(&vm.a, 7), ==, OTHER_DATA);
    g_assert_true(qmsix_testdev_take(&vm.a, 7));
    g_assert_false(qmsix_testdev_take(&vm.a, 7));
    vm_stop(&vm);
}

static void test_function_mask(void)
{
    const unsigned vectors = 100, masked = 77;
    TestVM vm;
    unsigned n;

    vm_start(&vm, vectors);
    for (n = 0; n < vectors; n++) {
        count_messages(&vm, n);
    }
    qmsix_testdev_mask(&vm.a, masked);
    qmsix_testdev_function_mask(&vm.a, true);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_STATUS), ==,
                    MSIX_TESTDEV_STATUS_FMASK);
    qmsix_testdev_enable(&vm.a, true);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_STATUS), ==,
                    MSIX_TESTDEV_STATUS_FMASK | MSIX_TESTDEV_STATUS_MSIX);

    for (n = 0; n < vectors; n++) {
        if (n != 3) {
            qmsix_testdev_fire(&vm.a, n);
        }
    }
    assert_counters(&vm.a, 0, vectors - 1, 0, 0);
    for (n = 0; n < vectors; n++) {
        g_assert_cmpint(qmsix_testdev_pending(&vm.a, n), ==, n != 3);
    }
    g_assert_cmpuint(all_messages(&vm), ==, 0);

    qmsix_testdev_function_mask(&vm.a, false);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_STATUS), ==,
                    MSIX_TESTDEV_STATUS_MSIX);
    for (n = 0; n < vectors; n++) {
        g_assert_cmpuint(messages(&vm, n), ==, n != 3 && n != masked);
        g_assert_cmpint(qmsix_testdev_pending(&vm.a, n), ==, n == masked);
    }
    qmsix_testdev_unmask(&vm.a, masked);
    g_assert_cmpuint(messages(&vm, masked), ==, 1);
    g_assert_cmpuint(all_messages(&vm), ==, vectors - 1);
    vm_stop(&vm);
}

/* MSI-X off: lost and counted, masked or not; nothing comes later. */
static void test_msix_off(void)
{
    TestVM vm;

    vm_start(&vm, 8);
    count_messages(&vm, 0);
    count_messages(&vm, 1);
    qmsix_testdev_mask(&vm.a, 1);
    qmsix_testdev_fire(&vm.a, 0);
    qmsix_testdev_fire(&vm.a, 1);
    assert_vector(&vm.a, 0, 0, 0, 1);
    assert_vector(&vm.a, 1, 0, 0, 1);
    assert_counters(&vm.a, 0, 0, 2, 0);
    g_assert_false(qmsix_testdev_pending(&vm.a, 0));
    g_assert_false(qmsix_testdev_pending(&vm.a, 1));

    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_unmask(&vm.a, 1);
    g_assert_cmpuint(all_messages(&vm), ==, 0);
    g_assert_true(outstanding(&vm.a, 0));

    qmsix_testdev_fire(&vm.a, 0);
    g_assert_cmpuint(messages(&vm, 0), ==, 1);
    qmsix_testdev_enable(&vm.a, false);
    qmsix_testdev_fire(&vm.a, 0);
    g_assert_cmpuint(messages(&vm, 0), ==, 1);
    assert_vector(&vm.a, 0, 1, 0, 2);
    assert_counters(&vm.a, 1, 0, 3, 0);
    vm_stop(&vm);
}

/* Bus mastering off: the message leaves and gets lost. */
static void test_bus_master_off(void)
{
    TestVM vm;
    uint16_t cmd;

    vm_start(&vm, 8);
    qmsix_testdev_enable(&vm.a, true);
    count_messages(&vm, 0);
    cmd = qpci_config_readw(vm.dev_a, PCI_COMMAND);
    qpci_config_writew(vm.dev_a, PCI_COMMAND, cmd & ~PCI_COMMAND_MASTER);
    qmsix_testdev_fire(&vm.a, 0);
    qpci_config_writew(vm.dev_a, PCI_COMMAND, cmd);
    g_assert_cmpuint(messages(&vm, 0), ==, 0);
    assert_counters(&vm.a, 1, 0, 0, 0);
    qmsix_testdev_fire(&vm.a, 0);
    g_assert_cmpuint(messages(&vm, 0), ==, 1);
    vm_stop(&vm);
}

static void assert_instruments_line(QMsixTestdev *d, uint32_t enables,
                                    uint32_t disables, uint32_t resets,
                                    int line)
{
    uint32_t expected[] = { enables, disables, resets };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(instruments); i++) {
        if (qmsix_testdev_read(d, instruments[i]) != expected[i]) {
            g_error("line %d: register 0x%x: %u, should be %u", line,
                    instruments[i], qmsix_testdev_read(d, instruments[i]),
                    expected[i]);
        }
    }
}

#define assert_instruments(d, enables, disables, resets) \
    assert_instruments_line(d, enables, disables, resets, __LINE__)

static void test_enable_counters(void)
{
    TestVM vm;
    uint32_t resets;
    uint8_t flags_high;

    vm_start(&vm, 8);
    flags_high = vm.a.msix_cap + PCI_MSIX_FLAGS + 1;
    resets = qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RESETS);
    assert_instruments(&vm.a, 0, 0, resets);
    qmsix_testdev_enable(&vm.a, false);
    assert_instruments(&vm.a, 0, 0, resets);
    qmsix_testdev_enable(&vm.a, true);
    assert_instruments(&vm.a, 1, 0, resets);
    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_function_mask(&vm.a, true);
    qmsix_testdev_function_mask(&vm.a, false);
    assert_instruments(&vm.a, 1, 0, resets);
    qmsix_testdev_enable(&vm.a, false);
    assert_instruments(&vm.a, 1, 1, resets);
    /* other widths reach the bit as well */
    qpci_config_writeb(vm.dev_a, flags_high, PCI_MSIX_FLAGS_ENABLE >> 8);
    assert_instruments(&vm.a, 2, 1, resets);
    qpci_config_writel(vm.dev_a, vm.a.msix_cap, 0);
    assert_instruments(&vm.a, 2, 2, resets);

    /* a reset disables it, which counts if it was enabled */
    qmsix_testdev_flr(&vm.a);
    assert_instruments(&vm.a, 2, 2, resets + 1);
    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_flr(&vm.a);
    g_assert_false(qmsix_testdev_is_enabled(&vm.a));
    assert_instruments(&vm.a, 3, 3, resets + 2);
    qmsix_testdev_enable(&vm.a, true);
    system_reset(&vm);
    g_assert_false(qmsix_testdev_is_enabled(&vm.a));
    assert_instruments(&vm.a, 4, 4, resets + 3);
    vm_stop(&vm);
}

/* The helper does what Linux does: all is as it was, and nothing is raised. */
static void test_reset_function(void)
{
    TestVM vm;
    uint32_t resets;
    uint16_t command;
    unsigned n;

    vm_start(&vm, 8);
    command = qpci_config_readw(vm.dev_a, PCI_COMMAND);
    resets = qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RESETS);

    qmsix_testdev_reset_function(&vm.a, 4);
    g_assert_false(qmsix_testdev_is_enabled(&vm.a));
    assert_instruments(&vm.a, 0, 0, resets + 1);

    qmsix_testdev_enable(&vm.a, true);
    for (n = 0; n < 8; n++) {
        qmsix_testdev_set_default_message(&vm.a, n);
        qmsix_testdev_unmask(&vm.a, n);
    }
    qmsix_testdev_mask(&vm.a, 2);
    qmsix_testdev_fire(&vm.a, 2);
    qmsix_testdev_reset_function(&vm.a, 4);
    assert_instruments(&vm.a, 2, 1, resets + 2);
    g_assert_cmphex(qpci_config_readw(vm.dev_a, PCI_COMMAND), ==, command);
    g_assert_cmphex(qpci_config_readw(vm.dev_a, vm.a.msix_cap +
                                      PCI_MSIX_FLAGS), ==,
                    PCI_MSIX_FLAGS_ENABLE | 7);
    g_assert_cmpuint(qmsix_testdev_take_all(&vm.a, NULL), ==, 0);
    for (n = 0; n < 8; n++) {
        /* the masked one, and those that the driver does not have */
        bool masked = n == 2 || n >= 4;

        g_assert_cmpint(qmsix_testdev_is_masked(&vm.a, n), ==, masked);
        qmsix_testdev_fire(&vm.a, n);
        g_assert_cmpint(qmsix_testdev_take(&vm.a, n), ==, !masked);
        g_assert_cmpint(qmsix_testdev_pending(&vm.a, n), ==, masked);
    }
    qmsix_testdev_unmask(&vm.a, 2);
    g_assert_true(qmsix_testdev_take(&vm.a, 2));
    vm_stop(&vm);
}

static void set_period(QMsixTestdev *d, unsigned n, uint32_t us)
{
    qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD, us);
    g_assert_cmpuint(qmsix_testdev_vector_read(d, n,
                                               MSIX_TESTDEV_VECTOR_PERIOD),
                     ==, us);
}

static void set_run(QMsixTestdev *d, bool run)
{
    qmsix_testdev_write(d, MSIX_TESTDEV_CTRL,
                        run ? MSIX_TESTDEV_CTRL_RUN : 0);
}

/* None before the period is over, then one, and no other until the ack. */
static void test_period(void)
{
    TestVM vm;
    unsigned i;

    vm_start(&vm, 8);
    qmsix_testdev_enable(&vm.a, true);
    count_messages(&vm, 3);
    set_period(&vm.a, 3, 1000);
    qtest_clock_step(vm.qts, 5000 * US);
    g_assert_cmpuint(raised(&vm.a, 3), ==, 0);  /* not while RUN is off */

    set_run(&vm.a, true);
    for (i = 1; i <= 3; i++) {
        qtest_clock_step(vm.qts, 999 * US);
        g_assert_cmpuint(raised(&vm.a, 3), ==, i - 1);
        qtest_clock_step(vm.qts, 1 * US);
        g_assert_cmpuint(raised(&vm.a, 3), ==, i);
        g_assert_cmpuint(messages(&vm, 3), ==, i);
        g_assert_true(outstanding(&vm.a, 3));

        qtest_clock_step(vm.qts, 50000 * US);
        g_assert_cmpuint(raised(&vm.a, 3), ==, i);
        qmsix_testdev_ack(&vm.a, 3);
        g_assert_false(outstanding(&vm.a, 3));
    }
    assert_vector(&vm.a, 3, 3, 0, 0);
    assert_counters(&vm.a, 3, 0, 0, 0);
    vm_stop(&vm);
}

/* What restarts the period, and what does not. */
static void test_period_restart(void)
{
    TestVM vm;

    vm_start(&vm, 8);
    set_run(&vm.a, true);
    set_period(&vm.a, 0, 1000);
    qtest_clock_step(vm.qts, 600 * US);
    set_period(&vm.a, 0, 1000);                 /* does */
    qtest_clock_step(vm.qts, 999 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 0);
    qtest_clock_step(vm.qts, 1 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 1);

    qmsix_testdev_ack(&vm.a, 0);                /* does */
    qtest_clock_step(vm.qts, 600 * US);
    qmsix_testdev_ack(&vm.a, 0);                /* not: nothing to ack */
    qmsix_testdev_vector_write(&vm.a, 0, MSIX_TESTDEV_VECTOR_ACKED, 1);
    qtest_clock_step(vm.qts, 399 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 1);
    qtest_clock_step(vm.qts, 1 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 2);

    /* one of two acknowledged is not enough */
    qmsix_testdev_fire(&vm.a, 0);
    qmsix_testdev_vector_write(&vm.a, 0, MSIX_TESTDEV_VECTOR_ACKED, 2);
    qtest_clock_step(vm.qts, 5000 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 3);
    qmsix_testdev_vector_write(&vm.a, 0, MSIX_TESTDEV_VECTOR_ACKED, 3);
    qtest_clock_step(vm.qts, 999 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 3);
    qtest_clock_step(vm.qts, 1 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 4);
    qmsix_testdev_ack(&vm.a, 0);

    /* RUN off stops; RUN on begins with a whole period */
    qtest_clock_step(vm.qts, 900 * US);
    set_run(&vm.a, false);
    qtest_clock_step(vm.qts, 5000 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 4);
    set_run(&vm.a, true);
    qtest_clock_step(vm.qts, 600 * US);
    set_run(&vm.a, true);                       /* not: it was on */
    qtest_clock_step(vm.qts, 399 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 4);
    qtest_clock_step(vm.qts, 1 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 5);
    qmsix_testdev_ack(&vm.a, 0);

    set_period(&vm.a, 0, 0);
    qtest_clock_step(vm.qts, 100000 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 5);

    /* an interrupt raised by hand holds off the next as well */
    set_period(&vm.a, 0, 1000);
    qmsix_testdev_fire(&vm.a, 0);
    qtest_clock_step(vm.qts, 5000 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 6);
    vm_stop(&vm);
}

/* A shorter period of another vector does not wait for a longer one. */
static void test_period_mixed(void)
{
    TestVM vm;

    vm_start(&vm, 8);
    set_run(&vm.a, true);
    set_period(&vm.a, 3, 100);
    set_period(&vm.a, 0, 10000);
    set_period(&vm.a, 1, 200);
    set_period(&vm.a, 2, 5000);
    set_period(&vm.a, 3, 0);                    /* leaves the others */
    qtest_clock_step(vm.qts, 200 * US);
    g_assert_cmpuint(raised(&vm.a, 1), ==, 1);
    g_assert_cmpuint(raised(&vm.a, 3), ==, 0);
    qtest_clock_step(vm.qts, 4800 * US);
    g_assert_cmpuint(raised(&vm.a, 1), ==, 1);
    g_assert_cmpuint(raised(&vm.a, 2), ==, 1);
    qtest_clock_step(vm.qts, 5000 * US);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 1);
    g_assert_cmpuint(raised(&vm.a, 2), ==, 1);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RAISED), ==, 3);
    vm_stop(&vm);
}

static void test_period_minimum(void)
{
    TestVM vm;

    vm_start(&vm, 8);
    set_period(&vm.a, 0, 1);
    set_run(&vm.a, true);
    qtest_clock_step(vm.qts, MSIX_TESTDEV_MIN_PERIOD * US - 1);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 0);
    qtest_clock_step(vm.qts, 1);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 1);
    qmsix_testdev_ack(&vm.a, 0);
    /* the longest: more than an hour, and no overflow on the way */
    set_period(&vm.a, 0, 0xffffffff);
    qtest_clock_step(vm.qts, 0xffffffffll * US - 1);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 1);
    qtest_clock_step(vm.qts, 1);
    g_assert_cmpuint(raised(&vm.a, 0), ==, 2);
    vm_stop(&vm);
}

/* All 2048 due at the same time: some now, the rest soon, each once. */
static void test_period_batch(void)
{
    const unsigned vectors = 2048;
    TestVM vm;
    unsigned n;

    vm_start(&vm, vectors);
    qmsix_testdev_enable(&vm.a, true);
    for (n = 0; n < vectors; n++) {
        count_messages(&vm, n);
        set_period(&vm.a, n, 1000);
    }
    set_run(&vm.a, true);
    qtest_clock_step(vm.qts, 1000 * US);
    g_assert_cmpuint(all_messages(&vm), ==, MSIX_TESTDEV_BATCH);
    qtest_clock_step(vm.qts, (vectors / MSIX_TESTDEV_BATCH - 1) *
                     MSIX_TESTDEV_MIN_PERIOD * US);
    g_assert_cmpuint(all_messages(&vm), ==, vectors);
    for (n = 0; n < vectors; n++) {
        g_assert_cmpuint(messages(&vm, n), ==, 1);
    }
    for (n = 0; n < vectors / 32; n++) {
        g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_OUTSTANDING +
                                           n * 4), ==, 0xffffffff);
    }
    qtest_clock_step(vm.qts, 100000 * US);
    g_assert_cmpuint(all_messages(&vm), ==, vectors);
    vm_stop(&vm);
}

static void test_acked(void)
{
    TestVM vm;
    unsigned i;

    vm_start(&vm, 40);
    for (i = 0; i < 5; i++) {
        qmsix_testdev_fire(&vm.a, 33);
    }
    qmsix_testdev_fire(&vm.a, 34);
    qmsix_testdev_vector_write(&vm.a, 33, MSIX_TESTDEV_VECTOR_ACKED, 3);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 3);
    qmsix_testdev_vector_write(&vm.a, 33, MSIX_TESTDEV_VECTOR_ACKED, 2);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 3);
    qmsix_testdev_vector_write(&vm.a, 33, MSIX_TESTDEV_VECTOR_ACKED, 6);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 3);
    qmsix_testdev_vector_write(&vm.a, 33, MSIX_TESTDEV_VECTOR_ACKED,
                               0xffffffff);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 3);
    g_assert_true(outstanding(&vm.a, 33));
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_ACKED), ==, 3);
    qmsix_testdev_vector_write(&vm.a, 33, MSIX_TESTDEV_VECTOR_ACKED, 5);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 5);
    g_assert_false(outstanding(&vm.a, 33));
    g_assert_true(outstanding(&vm.a, 34));
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_OUTSTANDING), ==,
                    0);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_OUTSTANDING + 4),
                    ==, 1u << 2);
    qmsix_testdev_ack(&vm.a, 34);
    g_assert_cmpuint(acked(&vm.a, 34), ==, 1);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 5);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_ACKED), ==, 6);

    /* many at once: those with a one, all that they have raised */
    for (i = 0; i < 3; i++) {
        qmsix_testdev_fire(&vm.a, 1);
        qmsix_testdev_fire(&vm.a, 32);
        qmsix_testdev_fire(&vm.a, 39);
    }
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_OUTSTANDING + 4, 0xffffff03);
    g_assert_cmpuint(acked(&vm.a, 32), ==, 3);
    g_assert_cmpuint(acked(&vm.a, 39), ==, 0);
    g_assert_cmpuint(acked(&vm.a, 1), ==, 0);
    g_assert_cmpuint(acked(&vm.a, 33), ==, 5);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_OUTSTANDING + 4, 1u << 7);
    g_assert_cmpuint(acked(&vm.a, 39), ==, 3);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_OUTSTANDING_END - 4, 0xffffffff);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_OUTSTANDING), ==,
                    1u << 1);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_OUTSTANDING, 0xffffffff);
    g_assert_cmpuint(acked(&vm.a, 1), ==, 3);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_ACKED), ==, 15);
    vm_stop(&vm);
}

static uint8_t msi_setup(TestVM *vm, unsigned log2_messages)
{
    uint8_t cap = qpci_find_capability(vm->dev_a, PCI_CAP_ID_MSI, 0);

    g_assert_cmphex(cap, !=, 0);
    qpci_config_writel(vm->dev_a, cap + PCI_MSI_ADDRESS_LO,
                       vm->b.regs.addr + MSIX_TESTDEV_FIRE);
    qpci_config_writel(vm->dev_a, cap + PCI_MSI_ADDRESS_HI, 0);
    qpci_config_writew(vm->dev_a, cap + PCI_MSI_DATA_64, 0x10);
    qpci_config_writew(vm->dev_a, cap + PCI_MSI_FLAGS,
                       PCI_MSI_FLAGS_ENABLE | log2_messages << 4);
    return cap;
}

/* MSI: the vector modulo the number of messages that the guest allows. */
static void test_msi(void)
{
    TestVM vm;
    unsigned log2, n;
    uint32_t total = 0;
    uint8_t cap;

    vm_start(&vm, 64);
    for (log2 = 0; log2 <= 3; log2++) {
        msi_setup(&vm, log2);
        g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_STATUS), ==,
                        MSIX_TESTDEV_STATUS_MSI);
        for (n = 0; n < 64; n++) {
            uint32_t before = messages(&vm, 0x10 + n % (1 << log2));

            qmsix_testdev_fire(&vm.a, n);
            g_assert_cmpuint(messages(&vm, 0x10 + n % (1 << log2)), ==,
                             before + 1);
            g_assert_cmpuint(all_messages(&vm), ==, ++total);
        }
        assert_counters(&vm.a, total, 0, 0, 0);
    }
    /* more than the device has: as many as it has */
    cap = msi_setup(&vm, 7);
    qmsix_testdev_fire(&vm.a, 63);
    g_assert_cmpuint(all_messages(&vm), ==, ++total);

    /* masked: pending, one message at the unmask */
    msi_setup(&vm, 3);
    n = messages(&vm, 0x12);
    qpci_config_writel(vm.dev_a, cap + PCI_MSI_MASK_64, 1u << 2);
    qmsix_testdev_fire(&vm.a, 2);
    qmsix_testdev_fire(&vm.a, 10);
    g_assert_cmphex(qpci_config_readl(vm.dev_a, cap + PCI_MSI_PENDING_64), ==,
                    1u << 2);
    g_assert_cmpuint(all_messages(&vm), ==, total);
    assert_counters(&vm.a, total, 2, 0, 0);
    qpci_config_writel(vm.dev_a, cap + PCI_MSI_MASK_64, 0);
    g_assert_cmphex(qpci_config_readl(vm.dev_a, cap + PCI_MSI_PENDING_64), ==,
                    0);
    g_assert_cmpuint(messages(&vm, 0x12), ==, n + 1);
    g_assert_cmpuint(all_messages(&vm), ==, total + 1);

    qpci_config_writew(vm.dev_a, cap + PCI_MSI_FLAGS, 0);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_STATUS), ==, 0);
    qmsix_testdev_fire(&vm.a, 2);
    assert_counters(&vm.a, total, 2, 1, 0);
    /* MSI is not MSI-X */
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_MSIX_ENABLES), ==,
                     0);
    vm_stop(&vm);
}

static unsigned ioapic_pins(TestVM *vm)
{
    unsigned pin, high = 0;

    for (pin = 16; pin < 24; pin++) {
        high += qtest_get_irq(vm->qts, pin);
    }
    return high;
}

#define assert_intx(vm, level) do {                                          \
        g_assert_cmpint(qmsix_testdev_intx(&(vm)->a), ==, level);            \
        g_assert_cmpuint(qmsix_testdev_read(&(vm)->a, MSIX_TESTDEV_INTX),    \
                         ==, level);                                         \
        g_assert_cmphex(qmsix_testdev_read(&(vm)->a, MSIX_TESTDEV_STATUS) &  \
                        MSIX_TESTDEV_STATUS_INTX, ==,                        \
                        level ? MSIX_TESTDEV_STATUS_INTX : 0);               \
    } while (0)

static void test_intx(void)
{
    TestVM vm;
    uint16_t cmd;
    uint8_t cap;

    /* q35: its I/O APIC sees PCI interrupts without any set-up */
    vm_start_machine(&vm, "q35", 64);
    qtest_irq_intercept_in(vm.qts, "ioapic");
    assert_intx(&vm, 0);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 2);
    assert_intx(&vm, 0);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 0);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 1);
    assert_intx(&vm, 1);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 1);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 2);
    assert_intx(&vm, 1);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 0);
    assert_intx(&vm, 0);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 0);
    assert_counters(&vm.a, 0, 0, 0, 0);

    /* the fallback of an interrupt, until INTX is written 0 */
    qmsix_testdev_fire(&vm.a, 7);
    assert_intx(&vm, 0);
    assert_counters(&vm.a, 0, 0, 1, 0);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_INTX);
    qmsix_testdev_fire(&vm.a, 7);
    assert_intx(&vm, 1);
    assert_counters(&vm.a, 0, 0, 1, 1);
    assert_vector(&vm.a, 7, 0, 0, 1);
    qmsix_testdev_ack(&vm.a, 7);
    assert_intx(&vm, 1);

    /* the command register keeps it in */
    cmd = qpci_config_readw(vm.dev_a, PCI_COMMAND);
    qpci_config_writew(vm.dev_a, PCI_COMMAND, cmd | PCI_COMMAND_INTX_DISABLE);
    assert_intx(&vm, 1);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 0);
    qpci_config_writew(vm.dev_a, PCI_COMMAND, cmd);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 1);

    /* MSI-X and MSI end INTx, and it stays deasserted after them */
    qmsix_testdev_enable(&vm.a, true);
    assert_intx(&vm, 0);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 0);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 1);
    assert_intx(&vm, 0);
    qmsix_testdev_fire(&vm.a, 7);
    assert_intx(&vm, 0);
    assert_counters(&vm.a, 0, 1, 1, 1);
    qmsix_testdev_enable(&vm.a, false);
    assert_intx(&vm, 0);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 1);
    assert_intx(&vm, 1);
    cap = msi_setup(&vm, 0);
    assert_intx(&vm, 0);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_INTX, 1);
    assert_intx(&vm, 0);
    qpci_config_writew(vm.dev_a, cap + PCI_MSI_FLAGS, 0);
    assert_intx(&vm, 0);

    /* periodic ones as well, and reset deasserts */
    set_period(&vm.a, 0, 100);
    qmsix_testdev_write(&vm.a, MSIX_TESTDEV_CTRL,
                        MSIX_TESTDEV_CTRL_INTX | MSIX_TESTDEV_CTRL_RUN);
    qtest_clock_step(vm.qts, 100 * US);
    assert_intx(&vm, 1);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 1);
    qmsix_testdev_flr(&vm.a);
    assert_intx(&vm, 0);
    g_assert_cmpuint(ioapic_pins(&vm), ==, 0);
    vm_stop(&vm);
}

/* Resets clear everything but the instruments, and stop the clock. */
static void test_reset(const void *opaque)
{
    bool flr = GPOINTER_TO_UINT(opaque);
    TestVM vm;
    uint32_t resets, b_resets;
    unsigned n;

    vm_start(&vm, 64);
    resets = qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RESETS);
    b_resets = qmsix_testdev_read(&vm.b, MSIX_TESTDEV_RESETS);
    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_enable(&vm.b, true);
    for (n = 0; n < 64; n++) {
        set_period(&vm.a, n, 100);
        set_period(&vm.b, n, 100);
    }
    set_run(&vm.a, true);
    count_messages(&vm, 0);
    qtest_clock_step(vm.qts, 100 * US);
    qmsix_testdev_ack(&vm.a, 1);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RAISED), ==, 64);
    g_assert_true(qmsix_testdev_pending(&vm.a, 63));

    if (flr) {
        qmsix_testdev_flr(&vm.a);
    } else {
        system_reset(&vm);
    }
    assert_reset_state(&vm.a);
    assert_instruments(&vm.a, 1, 1, resets + 1);
    assert_instruments(&vm.b, 1, !flr, b_resets + !flr);
    g_assert_cmpint(qmsix_testdev_is_enabled(&vm.b), ==, flr);
    for (n = 0; n < 64; n++) {
        g_assert_false(qmsix_testdev_pending(&vm.a, n));
        g_assert_true(qmsix_testdev_is_masked(&vm.a, n));
    }
    /* neither a timer nor a forgotten period is left */
    qtest_clock_step(vm.qts, 10000 * US);
    set_run(&vm.a, true);
    qtest_clock_step(vm.qts, 10000 * US);
    assert_counters(&vm.a, 0, 0, 0, 0);

    /* and it works as before */
    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_set_default_message(&vm.a, 9);
    qmsix_testdev_unmask(&vm.a, 9);
    set_period(&vm.a, 9, 100);
    qtest_clock_step(vm.qts, 100 * US);
    g_assert_true(qmsix_testdev_take(&vm.a, 9));
    assert_counters(&vm.a, 1, 0, 0, 0);
    assert_instruments(&vm.a, 2, 1, resets + 1);
    vm_stop(&vm);
}

static void test_two_devices(void)
{
    TestVM vm;

    vm_start(&vm, 64);
    qmsix_testdev_enable(&vm.a, true);
    qmsix_testdev_set_default_message(&vm.a, 1);
    qmsix_testdev_unmask(&vm.a, 1);
    qmsix_testdev_set_default_message(&vm.b, 1);
    qmsix_testdev_unmask(&vm.b, 1);
    set_period(&vm.a, 1, 100);
    set_period(&vm.b, 1, 300);
    set_run(&vm.a, true);
    set_run(&vm.b, true);
    qtest_clock_step(vm.qts, 100 * US);
    assert_counters(&vm.a, 1, 0, 0, 0);
    assert_counters(&vm.b, 0, 0, 0, 0);
    qtest_clock_step(vm.qts, 200 * US);
    assert_counters(&vm.a, 1, 0, 0, 0);
    assert_counters(&vm.b, 0, 0, 1, 0);
    g_assert_true(qmsix_testdev_take(&vm.a, 1));
    g_assert_false(qmsix_testdev_take(&vm.b, 1));
    qmsix_testdev_ack(&vm.b, 1);
    g_assert_true(outstanding(&vm.a, 1));
    set_run(&vm.b, false);
    qmsix_testdev_ack(&vm.a, 1);
    qtest_clock_step(vm.qts, 300 * US);
    assert_counters(&vm.a, 2, 0, 0, 0);
    assert_counters(&vm.b, 0, 0, 1, 0);
    vm_stop(&vm);
}

static void test_hot_unplug(void)
{
    TestVM vm;
    QMsixTestdev d;
    QPCIDevice *dev;
    unsigned round, n;

    vm_start(&vm, 64);
    for (round = 0; round < 3; round++) {
        qtest_qmp_device_add(vm.qts, "msix-testdev", "hotplugged",
                             "{ 'addr': '6', 'vectors': 200 }");
        dev = qpci_device_find(vm.qs->pcibus, QPCI_DEVFN(SLOT_HOTPLUG, 0));
        g_assert_nonnull(dev);
        qmsix_testdev_init(&d, dev, &vm.qs->alloc);
        /* the new device */
        assert_counters(&d, 0, 0, 0, 0);
        g_assert_cmpuint(qmsix_testdev_read(&d, MSIX_TESTDEV_MSIX_ENABLES),
                         ==, 0);
        qmsix_testdev_enable(&d, true);
        for (n = 0; n < 200; n++) {
            qmsix_testdev_set_default_message(&d, n);
            qmsix_testdev_unmask(&d, n);
            set_period(&d, n, 100);
        }
        set_run(&d, true);
        qtest_clock_step(vm.qts, 100 * US);
        g_assert_cmpuint(qmsix_testdev_take_all(&d, NULL), ==,
                         MSIX_TESTDEV_BATCH);
        /* more are due now */
        qpci_unplug_acpi_device_test(vm.qts, "hotplugged", SLOT_HOTPLUG);
        qtest_clock_step(vm.qts, 1000 * US);
        g_assert_cmpuint(qmsix_testdev_take_all(&d, NULL), ==, 0);
        qmsix_testdev_free(&d);
        g_free(dev);
    }
    vm_stop(&vm);
}

/* Messages that are addressed to the device that sends them. */
static void test_message_to_self(void)
{
    TestVM vm;
    uint64_t regs, table;

    vm_start(&vm, 8);
    regs = vm.a.regs.addr;
    table = vm.a.msix.addr + vm.a.table_off;
    qmsix_testdev_enable(&vm.a, true);

    /* fires itself once */
    qmsix_testdev_set_message(&vm.a, 0, regs + MSIX_TESTDEV_FIRE, 0);
    qmsix_testdev_unmask(&vm.a, 0);
    qmsix_testdev_fire(&vm.a, 0);
    assert_counters(&vm.a, 1, 0, 0, 0);

    /* from the timer, where the memory API does not guard against it */
    set_period(&vm.a, 0, 100);
    qmsix_testdev_ack(&vm.a, 0);
    set_run(&vm.a, true);
    qtest_clock_step(vm.qts, 100 * US);
    assert_counters(&vm.a, 2, 0, 0, 0);
    qmsix_testdev_set_message(&vm.a, 0, regs + MSIX_TESTDEV_ACK, 0);
    qmsix_testdev_ack(&vm.a, 0);
    qtest_clock_step(vm.qts, 100 * US);
    assert_counters(&vm.a, 3, 0, 0, 0);
    g_assert_true(outstanding(&vm.a, 0));
    qmsix_testdev_set_message(&vm.a, 0, regs + MSIX_TESTDEV_CTRL, 0);
    qmsix_testdev_ack(&vm.a, 0);
    qtest_clock_step(vm.qts, 100 * US);
    g_assert_cmphex(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_CTRL), ==,
                    MSIX_TESTDEV_CTRL_RUN);

    /* unmasks another that is pending, which unmasks the next, ... */
    qmsix_testdev_fire(&vm.a, 1);
    qmsix_testdev_fire(&vm.a, 2);
    qmsix_testdev_set_message(&vm.a, 0, table + 1 * 16 + 12, 0);
    qmsix_testdev_set_message(&vm.a, 1, table + 2 * 16 + 12, 0);
    qmsix_testdev_set_message(&vm.a, 2, table + 0 * 16 + 12, 0);
    qmsix_testdev_ack(&vm.a, 0);
    qtest_clock_step(vm.qts, 100 * US);
    assert_counters(&vm.a, 5, 2, 0, 0);

    /* two that fire each other */
    qmsix_testdev_enable(&vm.b, true);
    qmsix_testdev_set_message(&vm.a, 4, vm.b.regs.addr + MSIX_TESTDEV_FIRE, 4);
    qmsix_testdev_set_message(&vm.b, 4, vm.a.regs.addr + MSIX_TESTDEV_FIRE, 4);
    qmsix_testdev_unmask(&vm.a, 4);
    qmsix_testdev_unmask(&vm.b, 4);
    qmsix_testdev_fire(&vm.a, 4);
    g_assert_cmpuint(raised(&vm.a, 4), ==, 1);
    g_assert_cmpuint(raised(&vm.b, 4), ==, 1);
    vm_stop(&vm);
}

/* Behind a root port: config space and register accesses as on the bus. */
#define ECAM 0xb0000000ull

typedef struct RootPortVM {
    QOSState *qs;
    QPCIDevice *port;
    QPCIDevice *dev;
    QMsixTestdev d;
} RootPortVM;

static void root_port_start(RootPortVM *vm)
{
    QPCIDevice *mch;

    vm->qs = qtest_pc_boot("-machine q35 -nodefaults "
        "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off "
        "-device pcie-root-port,id=rp,addr=4,chassis=1 "
        "-device msix-testdev,id=d,bus=rp,vectors=16");
    /* messages can reach config space through memory, as on a real one */
    mch = qpci_device_find(vm->qs->pcibus, QPCI_DEVFN(0, 0));
    qpci_config_writel(mch, 0x64, 0);
    qpci_config_writel(mch, 0x60, ECAM | 1);
    g_free(mch);

    vm->port = qpci_device_find(vm->qs->pcibus, QPCI_DEVFN(4, 0));
    g_assert_nonnull(vm->port);
    qpci_secondary_buses_init(vm->qs->pcibus);
    g_assert_cmpuint(qpci_config_readb(vm->port, PCI_SECONDARY_BUS), ==, 1);
    qpci_config_writew(vm->port, PCI_MEMORY_BASE, 0xe000);
    qpci_config_writew(vm->port, PCI_MEMORY_LIMIT, 0xeff0);
    qpci_config_writew(vm->port, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    vm->dev = qpci_device_find(vm->qs->pcibus, QPCI_DEVFN(1 * 32, 0));
    g_assert_nonnull(vm->dev);
    qmsix_testdev_init(&vm->d, vm->dev, &vm->qs->alloc);
    qmsix_testdev_enable(&vm->d, true);
    qmsix_testdev_set_default_message(&vm->d, 0);
    qmsix_testdev_unmask(&vm->d, 0);
}

static void root_port_stop(RootPortVM *vm)
{
    qmsix_testdev_free(&vm->d);
    g_free(vm->dev);
    g_free(vm->port);
    qtest_shutdown(vm->qs);
}

static uint64_t ecam(unsigned bus, unsigned slot, unsigned offset)
{
    return ECAM + (bus << 20 | slot << 15 | offset);
}

/* Endpoint behind a port, integrated endpoint on the root bus. */
static void test_express_type(void)
{
    RootPortVM vm;
    TestVM root;
    uint8_t cap;

    root_port_start(&vm);
    cap = qpci_find_capability(vm.dev, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex((qpci_config_readw(vm.dev, cap + PCI_EXP_FLAGS) &
                     PCI_EXP_FLAGS_TYPE) >> 4, ==, PCI_EXP_TYPE_ENDPOINT);
    qmsix_testdev_fire(&vm.d, 0);
    g_assert_true(qmsix_testdev_take(&vm.d, 0));
    root_port_stop(&vm);

    vm_start_machine(&root, "q35", 64);
    cap = qpci_find_capability(root.dev_a, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex((qpci_config_readw(root.dev_a, cap + PCI_EXP_FLAGS) &
                     PCI_EXP_FLAGS_TYPE) >> 4, ==, PCI_EXP_TYPE_RC_END);
    qmsix_testdev_enable(&root.a, true);
    qmsix_testdev_set_default_message(&root.a, 63);
    qmsix_testdev_unmask(&root.a, 63);
    qmsix_testdev_fire(&root.a, 63);
    g_assert_true(qmsix_testdev_take(&root.a, 63));
    vm_stop(&root);
}

/* Reset of the secondary bus, by the port's bridge control */
static void test_bus_reset(void)
{
    RootPortVM vm;
    uint32_t resets;

    root_port_start(&vm);
    resets = qmsix_testdev_read(&vm.d, MSIX_TESTDEV_RESETS);
    qmsix_testdev_fire(&vm.d, 0);
    qpci_config_writew(vm.port, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET);
    qpci_config_writew(vm.port, PCI_BRIDGE_CONTROL, 0);
    qmsix_testdev_setup_pci(&vm.d);
    assert_reset_state(&vm.d);
    assert_instruments(&vm.d, 1, 1, resets + 1);
    root_port_stop(&vm);
}

/* A message that resets the function that sends it, in the midst of a run */
static void test_message_resets_self(void)
{
    RootPortVM vm;
    uint32_t resets;
    unsigned n;
    uint8_t cap;

    root_port_start(&vm);
    resets = qmsix_testdev_read(&vm.d, MSIX_TESTDEV_RESETS);
    cap = qpci_find_capability(vm.dev, PCI_CAP_ID_EXP, 0);
    qmsix_testdev_set_message(&vm.d, 0, ecam(1, 0, cap + PCI_EXP_DEVCTL),
                              PCI_EXP_DEVCTL_BCR_FLR);
    for (n = 0; n < 16; n++) {
        set_period(&vm.d, n, 100);
    }
    set_run(&vm.d, true);
    qtest_clock_step(vm.qs->qts, 100 * US);
    qmsix_testdev_setup_pci(&vm.d);
    assert_instruments(&vm.d, 1, 1, resets + 1);
    assert_reset_state(&vm.d);
    qtest_clock_step(vm.qs->qts, 1000 * US);
    assert_counters(&vm.d, 0, 0, 0, 0);
    root_port_stop(&vm);
}

/* A message that unplugs the device that sends it: power off the slot */
static void test_message_unplugs_self(const void *opaque)
{
    bool by_timer = GPOINTER_TO_UINT(opaque);
    RootPortVM vm;
    unsigned n;
    uint8_t cap;

    root_port_start(&vm);
    cap = qpci_find_capability(vm.port, PCI_CAP_ID_EXP, 0);
    qmsix_testdev_set_message(&vm.d, 0, ecam(0, 4, cap + PCI_EXP_SLTCTL),
                              PCI_EXP_SLTCTL_PCC |
                              PCI_EXP_SLTCTL_PWR_IND_OFF);
    if (by_timer) {
        /* some are due after it in the same run, and the last one later */
        for (n = 0; n < 16; n++) {
            set_period(&vm.d, n, n < 15 ? 100 : 1000);
        }
        qmsix_testdev_write(&vm.d, MSIX_TESTDEV_CTRL,
                            MSIX_TESTDEV_CTRL_RUN | MSIX_TESTDEV_CTRL_INTX);
        qtest_clock_step(vm.qs->qts, 100 * US);
    } else {
        qmsix_testdev_fire(&vm.d, 0);
    }
    qtest_qmp_eventwait(vm.qs->qts, "DEVICE_DELETED");
    qtest_clock_step(vm.qs->qts, 1000 * US);
    g_assert_null(qpci_device_find(vm.qs->pcibus, QPCI_DEVFN(1 * 32, 0)));
    root_port_stop(&vm);
}

/* Random accesses; --seed, printed by GLib, repeats a run. */
static void test_fuzz(void)
{
    const unsigned rounds = 20000;
    TestVM vm;
    unsigned i, n;
    uint32_t sum_raised = 0, sum_acked = 0;

    vm_start(&vm, 300);
    for (i = 0; i < rounds; i++) {
        unsigned size = 1 << g_test_rand_int_range(0, 4);
        uint64_t val = g_test_rand_bit() ? g_test_rand_int_range(0, 400) :
                       (uint32_t)g_test_rand_int() |
                       (uint64_t)g_test_rand_int() << 32;
        uint32_t addr;

        switch (g_test_rand_int_range(0, 10)) {
        case 0:
        case 1:
            addr = g_test_rand_int_range(0, MSIX_TESTDEV_REGS_SIZE - 8);
            write_size(&vm, vm.a.regs.addr + addr, size, val);
            read_size(&vm, vm.a.regs.addr + addr, size);
            break;
        case 2:
            addr = 4 * g_test_rand_int_range(0, 17);
            qmsix_testdev_write(&vm.a, addr, val);
            break;
        case 3:
            addr = 4 * g_test_rand_int_range(0, 310 * 8);
            qmsix_testdev_write(&vm.a, MSIX_TESTDEV_VECTOR_BASE + addr, val);
            break;
        case 4:
            qmsix_testdev_fire(&vm.a, g_test_rand_int_range(0, 310));
            break;
        case 5:
            qmsix_testdev_ack(&vm.a, g_test_rand_int_range(0, 310));
            break;
        case 6:
            addr = g_test_rand_int_range(0, MSIX_TESTDEV_MSIX_SIZE - 8);
            if (g_test_rand_bit()) {
                addr = 4 * g_test_rand_int_range(0, 300 * 4);
                size = 4;
            }
            write_size(&vm, vm.a.msix.addr + addr, size, val);
            read_size(&vm, vm.a.msix.addr + addr, size);
            break;
        case 7:
            addr = g_test_rand_int_range(0x40, 0xfd);
            qpci_config_writel(vm.dev_a, addr & ~3, val);
            break;
        case 8:
            /* config space may have any value: restore it */
            qmsix_testdev_setup_pci(&vm.a);
            qmsix_testdev_enable(&vm.a, g_test_rand_bit());
            break;
        case 9:
            set_run(&vm.a, true);
            qtest_clock_step(vm.qts, g_test_rand_int_range(1, 100000));
            break;
        }
    }

    qmsix_testdev_setup_pci(&vm.a);
    set_run(&vm.a, false);
    assert_counters(&vm.a, qmsix_testdev_read(&vm.a, MSIX_TESTDEV_SENT),
                    qmsix_testdev_read(&vm.a, MSIX_TESTDEV_PENDED),
                    qmsix_testdev_read(&vm.a, MSIX_TESTDEV_DROPPED),
                    qmsix_testdev_read(&vm.a, MSIX_TESTDEV_INTX_RAISED));
    for (n = 0; n < 300; n++) {
        sum_raised += raised(&vm.a, n);
        sum_acked += acked(&vm.a, n);
        outstanding(&vm.a, n);
    }
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_RAISED), ==,
                     sum_raised);
    g_assert_cmpuint(qmsix_testdev_read(&vm.a, MSIX_TESTDEV_ACKED), ==,
                     sum_acked);

    qmsix_testdev_flr(&vm.a);
    assert_reset_state(&vm.a);
    qmsix_testdev_enable(&vm.a, true);
    for (n = 0; n < 300; n++) {
        qmsix_testdev_set_default_message(&vm.a, n);
        qmsix_testdev_unmask(&vm.a, n);
        qmsix_testdev_fire(&vm.a, n);
        g_assert_cmpuint(qmsix_testdev_message(&vm.a, n), ==, n + 1);
    }
    assert_counters(&vm.a, 300, 0, 0, 0);
    vm_stop(&vm);
}

/* The device's logic, without QEMU */

typedef struct CoreTest {
    MSIXTestdevCore core;
    MSIXTestdevVector vectors[MSIX_TESTDEV_MAX_VECTORS];
    MSIXTestdevOutcome outcome;
    bool reset_in_raise;
    bool write_in_raise;
    bool intx;
    unsigned calls;
} CoreTest;

static MSIXTestdevOutcome core_raise(void *opaque, uint32_t vector, bool intx)
{
    CoreTest *t = opaque;

    t->calls++;
    if (t->reset_in_raise) {
        msix_testdev_core_reset(&t->core);
    }
    if (t->write_in_raise) {
        msix_testdev_core_write(&t->core, MSIX_TESTDEV_FIRE, vector, 4, 0);
        msix_testdev_core_write(&t->core, MSIX_TESTDEV_ACK, vector, 4, 0);
        msix_testdev_core_write(&t->core, MSIX_TESTDEV_CTRL, 0, 4, 0);
        msix_testdev_core_run(&t->core, 100 * US);
    }
    return t->outcome;
}

static void core_set_intx(void *opaque, bool level)
{
    CoreTest *t = opaque;

    t->intx = level;
}

static uint32_t core_status(void *opaque)
{
    CoreTest *t = opaque;

    return t->intx ? MSIX_TESTDEV_STATUS_INTX : 0;
}

static void core_wipe(void *opaque)
{
    CoreTest *t = opaque;

    t->calls++;
}

static const MSIXTestdevOps core_ops = {
    .raise = core_raise,
    .set_intx = core_set_intx,
    .wipe = core_wipe,
    .status = core_status,
};

static CoreTest *core_new(uint32_t nr_vectors)
{
    CoreTest *t = g_new0(CoreTest, 1);

    g_assert_true(msix_testdev_core_init(&t->core, t->vectors, nr_vectors,
                                         &core_ops, t));
    return t;
}

static int64_t core_write(CoreTest *t, uint64_t addr, uint32_t val,
                          int64_t now)
{
    return msix_testdev_core_write(&t->core, addr, val, 4, now);
}

static uint32_t core_read(CoreTest *t, uint64_t addr)
{
    return msix_testdev_core_read(&t->core, addr, 4);
}

static void test_core_init(void)
{
    CoreTest *t = g_new0(CoreTest, 1);

    g_assert_false(msix_testdev_core_init(&t->core, t->vectors, 0, &core_ops,
                                          t));
    g_assert_false(msix_testdev_core_init(&t->core, t->vectors, 2049,
                                          &core_ops, t));
    g_assert_true(msix_testdev_core_init(&t->core, t->vectors, 2048,
                                         &core_ops, t));
    /* addresses far beyond the BAR, for the callers that have no BAR */
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_VECTOR(2048)), ==, 0);
    g_assert_cmphex(core_read(t, UINT64_MAX & ~3ull), ==, 0);
    g_assert_cmphex(core_read(t, 1ull << 32), ==, 0);
    core_write(t, 1ull << 32 | MSIX_TESTDEV_FIRE, 0, 0);
    core_write(t, 1ull << 32 |
               (MSIX_TESTDEV_VECTOR(0) + MSIX_TESTDEV_VECTOR_PERIOD), 7, 0);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_VECTOR(0) +
                              MSIX_TESTDEV_VECTOR_PERIOD), ==, 0);
    core_write(t, UINT64_MAX & ~3ull, 0, 0);
    g_assert_cmpuint(t->calls, ==, 0);
    g_free(t);
}

/* RAISED and ACKED wrap around, and "between" wraps with them. */
static void test_core_wrap(void)
{
    CoreTest *t = core_new(2);
    uint64_t reg = MSIX_TESTDEV_VECTOR(1) + MSIX_TESTDEV_VECTOR_ACKED;

    t->vectors[1].raised = t->vectors[1].acked = 0xfffffffe;
    t->core.raised = t->core.acked = 0xfffffffe;
    core_write(t, MSIX_TESTDEV_FIRE, 1, 0);
    core_write(t, MSIX_TESTDEV_FIRE, 1, 0);
    core_write(t, MSIX_TESTDEV_FIRE, 1, 0);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_VECTOR(1)), ==, 1);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_RAISED), ==, 1);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_OUTSTANDING), ==, 2);

    core_write(t, reg, 0xfffffffd, 0);  /* behind */
    g_assert_cmphex(core_read(t, reg), ==, 0xfffffffe);
    core_write(t, reg, 2, 0);           /* ahead */
    g_assert_cmphex(core_read(t, reg), ==, 0xfffffffe);
    core_write(t, reg, 0xffffffff, 0);
    g_assert_cmphex(core_read(t, reg), ==, 0xffffffff);
    core_write(t, reg, 0, 0);
    g_assert_cmphex(core_read(t, reg), ==, 0);
    core_write(t, reg, 0xffffffff, 0);
    g_assert_cmphex(core_read(t, reg), ==, 0);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_ACKED), ==, 0);
    core_write(t, reg, 1, 0);
    g_assert_cmphex(core_read(t, reg), ==, 1);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_ACKED), ==, 1);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_OUTSTANDING), ==, 0);
    g_free(t);
}

/*
 * More vectors due all the time than one run raises: none starves, and the
 * deadline is always some way ahead.
 */
static void test_core_fairness(void)
{
    const unsigned vectors = 1000, runs = 1600;
    CoreTest *t = core_new(vectors);
    uint32_t least = UINT32_MAX, most = 0;
    int64_t now = 1000, deadline;
    unsigned i, n;

    for (n = 0; n < vectors; n++) {
        core_write(t, MSIX_TESTDEV_VECTOR(n) + MSIX_TESTDEV_VECTOR_PERIOD, 1,
                   now);
    }
    deadline = core_write(t, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN, now);
    g_assert_cmpint(deadline, ==, now + MSIX_TESTDEV_MIN_PERIOD * US);
    for (i = 0; i < runs; i++) {
        unsigned before = t->calls;

        now = deadline;
        deadline = msix_testdev_core_run(&t->core, now);
        g_assert_cmpint(deadline, >=, now + MSIX_TESTDEV_MIN_PERIOD * US);
        g_assert_cmpint(deadline, !=, MSIX_TESTDEV_NO_DEADLINE);
        g_assert_cmpuint(t->calls - before, ==, MSIX_TESTDEV_BATCH);
        for (n = 0; n < vectors; n++) {
            deadline = core_write(t, MSIX_TESTDEV_ACK, n, now);
        }
    }
    for (n = 0; n < vectors; n++) {
        least = MIN(least, t->vectors[n].raised);
        most = MAX(most, t->vectors[n].raised);
    }
    g_assert_cmpuint(most, ==, runs * MSIX_TESTDEV_BATCH / vectors + 1);
    g_assert_cmpuint(least, ==, most - 1);
    g_free(t);
}

/* Deadlines: none when nothing will be due, and then the run is idle. */
static void test_core_deadline(void)
{
    CoreTest *t = core_new(4);
    uint64_t period = MSIX_TESTDEV_VECTOR(0) + MSIX_TESTDEV_VECTOR_PERIOD;

    g_assert_cmpint(core_write(t, period, 50, 0), ==,
                    MSIX_TESTDEV_NO_DEADLINE);
    g_assert_cmpint(core_write(t, MSIX_TESTDEV_CTRL, 1, 7), ==, 7 + 50 * US);
    g_assert_cmpint(msix_testdev_core_run(&t->core, 8), ==, 7 + 50 * US);
    g_assert_cmpuint(t->calls, ==, 0);
    g_assert_cmpint(msix_testdev_core_run(&t->core, 7 + 50 * US), ==,
                    MSIX_TESTDEV_NO_DEADLINE);
    g_assert_cmpuint(t->calls, ==, 1);
    g_assert_cmpint(core_write(t, MSIX_TESTDEV_ACK, 0, 100 * US), ==,
                    150 * US);
    g_assert_cmpint(core_write(t, MSIX_TESTDEV_CTRL, 0, 110 * US), ==,
                    MSIX_TESTDEV_NO_DEADLINE);
    g_assert_cmpint(msix_testdev_core_run(&t->core, 500 * US), ==,
                    MSIX_TESTDEV_NO_DEADLINE);
    g_assert_cmpuint(t->calls, ==, 1);
    g_free(t);
}

/* What a host's raise() does to the device that calls it. */
static void test_core_reentry(void)
{
    CoreTest *t = core_new(4);

    core_write(t, MSIX_TESTDEV_VECTOR(2) + MSIX_TESTDEV_VECTOR_PERIOD, 500,
               0);
    core_write(t, MSIX_TESTDEV_VECTOR(0) + MSIX_TESTDEV_VECTOR_PERIOD, 10, 0);
    core_write(t, MSIX_TESTDEV_VECTOR(1) + MSIX_TESTDEV_VECTOR_PERIOD, 10, 0);
    core_write(t, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN, 0);
    t->write_in_raise = true;
    msix_testdev_core_run(&t->core, 10 * US);
    g_assert_cmpuint(t->calls, ==, 2);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_OUTSTANDING), ==, 3);
    g_assert_cmphex(core_read(t, MSIX_TESTDEV_CTRL), ==, 1);
    t->write_in_raise = false;

    core_write(t, MSIX_TESTDEV_ACK, 0, 10 * US);
    core_write(t, MSIX_TESTDEV_ACK, 1, 10 * US);
    t->reset_in_raise = true;
    /* the deadline of vector 2 goes with the reset */
    g_assert_cmpint(msix_testdev_core_run(&t->core, 20 * US), ==,
                    MSIX_TESTDEV_NO_DEADLINE);
    g_assert_cmpuint(t->calls, ==, 3);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_RESETS), ==, 1);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_RAISED), ==, 0);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_SENT), ==, 0);
    core_write(t, MSIX_TESTDEV_FIRE, 3, 20 * US);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_RESETS), ==, 2);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_SENT), ==, 0);
    t->reset_in_raise = false;
    core_write(t, MSIX_TESTDEV_FIRE, 3, 20 * US);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_SENT), ==, 1);
    g_free(t);
}

/* A host that does not deassert INTx by itself has reset do it. */
static void test_core_reset(void)
{
    CoreTest *t = core_new(4);

    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_RESETS), ==, 0);
    msix_testdev_core_msix_enabled_changed(&t->core, true);
    msix_testdev_core_msix_enabled_changed(&t->core, true);
    core_write(t, MSIX_TESTDEV_INTX, 1, 0);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_INTX), ==, 1);
    core_write(t, MSIX_TESTDEV_VECTOR(3) + MSIX_TESTDEV_VECTOR_PERIOD, 10, 0);
    core_write(t, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN, 0);

    msix_testdev_core_reset(&t->core);
    g_assert_false(t->intx);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_RESETS), ==, 1);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_MSIX_ENABLES), ==, 1);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_MSIX_DISABLES), ==, 1);
    g_assert_cmpint(msix_testdev_core_run(&t->core, 1000 * US), ==,
                    MSIX_TESTDEV_NO_DEADLINE);
    g_assert_cmpuint(t->calls, ==, 0);
    msix_testdev_core_msix_enabled_changed(&t->core, true);
    g_assert_cmpuint(core_read(t, MSIX_TESTDEV_MSIX_ENABLES), ==, 2);
    g_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/msix-testdev/core/init", test_core_init);
    qtest_add_func("/msix-testdev/core/wrap", test_core_wrap);
    qtest_add_func("/msix-testdev/core/fairness", test_core_fairness);
    qtest_add_func("/msix-testdev/core/deadline", test_core_deadline);
    qtest_add_func("/msix-testdev/core/reentry", test_core_reentry);
    qtest_add_func("/msix-testdev/core/reset", test_core_reset);

    qtest_add_func("/msix-testdev/config-space", test_config_space);
    qtest_add_func("/msix-testdev/default-vectors", test_default_vectors);
    qtest_add_func("/msix-testdev/realize-errors", test_realize_errors);
    qtest_add_func("/msix-testdev/unmigratable", test_unmigratable);
    qtest_add_func("/msix-testdev/express-type", test_express_type);
    qtest_add_func("/msix-testdev/reset-values", test_reset_values);
    qtest_add_func("/msix-testdev/register-map", test_register_map);
    qtest_add_func("/msix-testdev/access-sizes", test_access_sizes);
    qtest_add_func("/msix-testdev/table-access", test_table_access);
    qtest_add_func("/msix-testdev/vector-range", test_vector_range);
    qtest_add_data_func("/msix-testdev/all-vectors/1", GUINT_TO_POINTER(1),
                        test_all_vectors);
    qtest_add_data_func("/msix-testdev/all-vectors/64", GUINT_TO_POINTER(64),
                        test_all_vectors);
    qtest_add_data_func("/msix-testdev/all-vectors/2048",
                        GUINT_TO_POINTER(2048), test_all_vectors);
    qtest_add_func("/msix-testdev/mask", test_mask);
    qtest_add_func("/msix-testdev/wipe", test_wipe);
    qtest_add_func("/msix-testdev/message-change", test_message_change);
    qtest_add_func("/msix-testdev/function-mask", test_function_mask);
    qtest_add_func("/msix-testdev/msix-off", test_msix_off);
    qtest_add_func("/msix-testdev/bus-master-off", test_bus_master_off);
    qtest_add_func("/msix-testdev/enable-counters", test_enable_counters);
    qtest_add_func("/msix-testdev/reset-function", test_reset_function);
    qtest_add_func("/msix-testdev/period/basic", test_period);
    qtest_add_func("/msix-testdev/period/restart", test_period_restart);
    qtest_add_func("/msix-testdev/period/mixed", test_period_mixed);
    qtest_add_func("/msix-testdev/period/minimum", test_period_minimum);
    qtest_add_func("/msix-testdev/period/batch", test_period_batch);
    qtest_add_func("/msix-testdev/acked", test_acked);
    qtest_add_func("/msix-testdev/msi", test_msi);
    qtest_add_func("/msix-testdev/intx", test_intx);
    qtest_add_data_func("/msix-testdev/reset/flr", GUINT_TO_POINTER(1),
                        test_reset);
    qtest_add_data_func("/msix-testdev/reset/system", GUINT_TO_POINTER(0),
                        test_reset);
    qtest_add_func("/msix-testdev/reset/bus", test_bus_reset);
    qtest_add_func("/msix-testdev/two-devices", test_two_devices);
    qtest_add_func("/msix-testdev/hot-unplug", test_hot_unplug);
    qtest_add_func("/msix-testdev/message-to-self", test_message_to_self);
    qtest_add_func("/msix-testdev/message-resets-self",
                   test_message_resets_self);
    qtest_add_data_func("/msix-testdev/message-unplugs-self/fire",
                        GUINT_TO_POINTER(0), test_message_unplugs_self);
    qtest_add_data_func("/msix-testdev/message-unplugs-self/period",
                        GUINT_TO_POINTER(1), test_message_unplugs_self);
    qtest_add_func("/msix-testdev/fuzz", test_fuzz);

    return g_test_run();
}
