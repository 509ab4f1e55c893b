/*
 * libqos helpers for msix-testdev
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "msix-testdev.h"
#include "standard-headers/linux/pci_regs.h"

void qmsix_testdev_init(QMsixTestdev *d, QPCIDevice *dev,
                        QGuestAllocator *alloc)
{
    uint32_t table, pba;
    unsigned bir;

    memset(d, 0, sizeof(*d));
    d->qts = dev->bus->qts;
    d->dev = dev;
    d->alloc = alloc;

    g_assert_cmphex(qpci_config_readw(dev, PCI_VENDOR_ID), ==,
                    MSIX_TESTDEV_VENDOR_ID);
    g_assert_cmphex(qpci_config_readw(dev, PCI_DEVICE_ID), ==,
                    MSIX_TESTDEV_DEVICE_ID);

    d->msix_cap = qpci_find_capability(dev, PCI_CAP_ID_MSIX, 0);
    g_assert_cmphex(d->msix_cap, !=, 0);

    table = qpci_config_readl(dev, d->msix_cap + PCI_MSIX_TABLE);
    pba = qpci_config_readl(dev, d->msix_cap + PCI_MSIX_PBA);
    bir = table & PCI_MSIX_TABLE_BIR;
    g_assert_cmpuint(bir, ==, pba & PCI_MSIX_PBA_BIR);
    g_assert_cmpuint(bir, ==, MSIX_TESTDEV_MSIX_BAR);
    d->table_off = table & PCI_MSIX_TABLE_OFFSET;
    d->pba_off = pba & PCI_MSIX_PBA_OFFSET;

    d->regs = qpci_iomap(dev, MSIX_TESTDEV_REGS_BAR, NULL);
    d->msix = qpci_iomap(dev, bir, NULL);
    qmsix_testdev_setup_pci(d);

    g_assert_cmphex(qmsix_testdev_read(d, MSIX_TESTDEV_ID), ==,
                    MSIX_TESTDEV_ID_VALUE);
    g_assert_cmpuint(qmsix_testdev_read(d, MSIX_TESTDEV_VERSION), ==,
                     MSIX_TESTDEV_VERSION_VALUE);
    d->vectors = qmsix_testdev_read(d, MSIX_TESTDEV_VECTORS);
    g_assert_cmpuint(d->vectors, >=, 1);
    g_assert_cmpuint(d->vectors, <=, MSIX_TESTDEV_MAX_VECTORS);
    g_assert_cmpuint(d->vectors, ==, qpci_msix_table_size(dev));

    d->messages = guest_alloc(alloc, d->vectors * sizeof(uint32_t));
    qtest_memset(d->qts, d->messages, 0, d->vectors * sizeof(uint32_t));
}

void qmsix_testdev_free(QMsixTestdev *d)
{
    guest_free(d->alloc, d->messages);
    memset(d, 0, sizeof(*d));
}

void qmsix_testdev_setup_pci(QMsixTestdev *d)
{
    qpci_config_writel(d->dev,
                       PCI_BASE_ADDRESS_0 + 4 * MSIX_TESTDEV_REGS_BAR,
                       d->regs.addr);
    qpci_config_writel(d->dev,
                       PCI_BASE_ADDRESS_0 + 4 * MSIX_TESTDEV_MSIX_BAR,
                       d->msix.addr);
    /* not qpci_device_enable(): it wants an I/O enable bit, too */
    qpci_config_writew(d->dev, PCI_COMMAND,
                       qpci_config_readw(d->dev, PCI_COMMAND) |
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void qmsix_testdev_write_flr(QMsixTestdev *d)
{
    uint8_t cap = qpci_find_capability(d->dev, PCI_CAP_ID_EXP, 0);
    uint16_t devctl;

    g_assert_cmphex(cap, !=, 0);
    g_assert_cmphex(qpci_config_readl(d->dev, cap + PCI_EXP_DEVCAP) &
                    PCI_EXP_DEVCAP_FLR, !=, 0);
    devctl = qpci_config_readw(d->dev, cap + PCI_EXP_DEVCTL);
    qpci_config_writew(d->dev, cap + PCI_EXP_DEVCTL,
                       devctl | PCI_EXP_DEVCTL_BCR_FLR);
}

void qmsix_testdev_flr(QMsixTestdev *d)
{
    qmsix_testdev_write_flr(d);
    qmsix_testdev_setup_pci(d);
}

void qmsix_testdev_quiet_flr(QMsixTestdev *d)
{
    uint16_t command = qpci_config_readw(d->dev, PCI_COMMAND);
    gint64 end = qmsix_testdev_deadline();

    qpci_config_writew(d->dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
    qmsix_testdev_write_flr(d);
    while (qpci_config_readw(d->dev, PCI_VENDOR_ID) !=
           MSIX_TESTDEV_VENDOR_ID) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    qmsix_testdev_setup_pci(d);
    qpci_config_writew(d->dev, PCI_COMMAND, command);
}

uint32_t qmsix_testdev_read(QMsixTestdev *d, uint32_t reg)
{
    return qpci_io_readl(d->dev, d->regs, reg);
}

void qmsix_testdev_write(QMsixTestdev *d, uint32_t reg, uint32_t val)
{
    qpci_io_writel(d->dev, d->regs, reg, val);
}

uint32_t qmsix_testdev_vector_read(QMsixTestdev *d, unsigned n, uint32_t reg)
{
    g_assert_cmpuint(n, <, d->vectors);
    return qmsix_testdev_read(d, MSIX_TESTDEV_VECTOR(n) + reg);
}

void qmsix_testdev_vector_write(QMsixTestdev *d, unsigned n, uint32_t reg,
                                uint32_t val)
{
    g_assert_cmpuint(n, <, d->vectors);
    qmsix_testdev_write(d, MSIX_TESTDEV_VECTOR(n) + reg, val);
}

void qmsix_testdev_fire(QMsixTestdev *d, uint32_t n)
{
    qmsix_testdev_write(d, MSIX_TESTDEV_FIRE, n);
}

void qmsix_testdev_ack(QMsixTestdev *d, uint32_t n)
{
    qmsix_testdev_write(d, MSIX_TESTDEV_ACK, n);
}

static void qmsix_testdev_set_flag(QMsixTestdev *d, uint16_t flag, bool set)
{
    uint16_t flags = qpci_config_readw(d->dev, d->msix_cap + PCI_MSIX_FLAGS);

    flags = set ? flags | flag : flags & ~flag;
    qpci_config_writew(d->dev, d->msix_cap + PCI_MSIX_FLAGS, flags);
}

void qmsix_testdev_enable(QMsixTestdev *d, bool enable)
{
    qmsix_testdev_set_flag(d, PCI_MSIX_FLAGS_ENABLE, enable);
}

bool qmsix_testdev_is_enabled(QMsixTestdev *d)
{
    return qpci_config_readw(d->dev, d->msix_cap + PCI_MSIX_FLAGS) &
           PCI_MSIX_FLAGS_ENABLE;
}

void qmsix_testdev_function_mask(QMsixTestdev *d, bool mask)
{
    qmsix_testdev_set_flag(d, PCI_MSIX_FLAGS_MASKALL, mask);
}

static uint64_t qmsix_testdev_entry(QMsixTestdev *d, unsigned n)
{
    g_assert_cmpuint(n, <, d->vectors);
    return d->table_off + n * PCI_MSIX_ENTRY_SIZE;
}

typedef struct QMsixEntry {
    uint32_t words[PCI_MSIX_ENTRY_SIZE / 4];
} QMsixEntry;

#define VECTOR_CTRL (PCI_MSIX_ENTRY_VECTOR_CTRL / 4)

static void qmsix_testdev_read_entry(QMsixTestdev *d, unsigned n,
                                     QMsixEntry *entry)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(entry->words); i++) {
        entry->words[i] = qpci_io_readl(d->dev, d->msix,
                                        qmsix_testdev_entry(d, n) + i * 4);
    }
}

/* The mask bit goes on before the message and, if it was off, off after it. */
static void qmsix_testdev_restore_entry(QMsixTestdev *d, unsigned n,
                                        const QMsixEntry *entry)
{
    uint64_t at = qmsix_testdev_entry(d, n);
    unsigned i;

    qmsix_testdev_mask(d, n);
    for (i = 0; i < VECTOR_CTRL; i++) {
        qpci_io_writel(d->dev, d->msix, at + i * 4, entry->words[i]);
    }
    qpci_io_writel(d->dev, d->msix, at + PCI_MSIX_ENTRY_VECTOR_CTRL,
                   entry->words[VECTOR_CTRL]);
}

void qmsix_testdev_reset_function(QMsixTestdev *d, unsigned count)
{
    uint16_t flags = qpci_config_readw(d->dev, d->msix_cap + PCI_MSIX_FLAGS);
    g_autofree QMsixEntry *entries = g_new(QMsixEntry, count);
    unsigned n;

    g_assert_cmphex(flags & PCI_MSIX_FLAGS_MASKALL, ==, 0);
    for (n = 0; n < count; n++) {
        qmsix_testdev_read_entry(d, n, &entries[n]);
    }
    qmsix_testdev_quiet_flr(d);
    if (!(flags & PCI_MSIX_FLAGS_ENABLE)) {
        return;
    }
    qpci_config_writew(d->dev, d->msix_cap + PCI_MSIX_FLAGS,
                       flags | PCI_MSIX_FLAGS_MASKALL);
    for (n = 0; n < count; n++) {
        qmsix_testdev_restore_entry(d, n, &entries[n]);
    }
    qpci_config_writew(d->dev, d->msix_cap + PCI_MSIX_FLAGS, flags);
}

void qmsix_testdev_set_message(QMsixTestdev *d, unsigned n, uint64_t addr,
                               uint32_t data)
{
    uint64_t entry = qmsix_testdev_entry(d, n);

    qpci_io_writel(d->dev, d->msix, entry + PCI_MSIX_ENTRY_LOWER_ADDR, addr);
    qpci_io_writel(d->dev, d->msix, entry + PCI_MSIX_ENTRY_UPPER_ADDR,
                   addr >> 32);
    qpci_io_writel(d->dev, d->msix, entry + PCI_MSIX_ENTRY_DATA, data);
}

void qmsix_testdev_set_default_message(QMsixTestdev *d, unsigned n)
{
    qmsix_testdev_set_message(d, n, d->messages + n * sizeof(uint32_t), n + 1);
}

void qmsix_testdev_mask(QMsixTestdev *d, unsigned n)
{
    qpci_io_writel(d->dev, d->msix,
                   qmsix_testdev_entry(d, n) + PCI_MSIX_ENTRY_VECTOR_CTRL,
                   PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void qmsix_testdev_unmask(QMsixTestdev *d, unsigned n)
{
    qpci_io_writel(d->dev, d->msix,
                   qmsix_testdev_entry(d, n) + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
}

bool qmsix_testdev_is_masked(QMsixTestdev *d, unsigned n)
{
    return qpci_io_readl(d->dev, d->msix, qmsix_testdev_entry(d, n) +
                         PCI_MSIX_ENTRY_VECTOR_CTRL) &
           PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

bool qmsix_testdev_pending(QMsixTestdev *d, unsigned n)
{
    g_assert_cmpuint(n, <, d->vectors);
    return qpci_io_readl(d->dev, d->msix, d->pba_off + n / 32 * 4) &
           (1u << n % 32);
}

bool qmsix_testdev_intx(QMsixTestdev *d)
{
    return qpci_config_readw(d->dev, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

uint32_t qmsix_testdev_message(QMsixTestdev *d, unsigned n)
{
    uint32_t word;

    g_assert_cmpuint(n, <, d->vectors);
    qtest_memread(d->qts, d->messages + n * sizeof(word), &word, sizeof(word));
    return le32_to_cpu(word);
}

static void qmsix_testdev_clear_messages(QMsixTestdev *d, unsigned n,
                                         unsigned count)
{
    qtest_memset(d->qts, d->messages + n * sizeof(uint32_t), 0,
                 count * sizeof(uint32_t));
}

bool qmsix_testdev_take(QMsixTestdev *d, unsigned n)
{
    if (!qmsix_testdev_message(d, n)) {
        return false;
    }
    qmsix_testdev_clear_messages(d, n, 1);
    return true;
}

gint64 qmsix_testdev_deadline(void)
{
    return g_get_monotonic_time() + QMSIX_TESTDEV_TIMEOUT_S * G_USEC_PER_SEC;
}

bool qmsix_testdev_eventually(QMsixTestdev *d, unsigned n,
                              bool (*condition)(QMsixTestdev *d, unsigned n))
{
    gint64 end = qmsix_testdev_deadline();

    while (!condition(d, n)) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        g_usleep(100);
    }
    return true;
}

bool qmsix_testdev_delivers(QMsixTestdev *d, unsigned n)
{
    qmsix_testdev_fire(d, n);
    if (!qmsix_testdev_eventually(d, n, qmsix_testdev_take)) {
        return false;
    }
    qmsix_testdev_ack(d, n);
    return true;
}

unsigned qmsix_testdev_take_all(QMsixTestdev *d, unsigned long *bitmap)
{
    g_autofree uint32_t *words = g_new(uint32_t, d->vectors);
    unsigned n, run = 0, taken = 0;

    if (bitmap) {
        bitmap_zero(bitmap, d->vectors);
    }
    qtest_memread(d->qts, d->messages, words, d->vectors * sizeof(*words));
    for (n = 0; n < d->vectors; n++) {
        if (words[n]) {
            run++;
            if (bitmap) {
                set_bit(n, bitmap);
            }
        }
        if (run && (!words[n] || n + 1 == d->vectors)) {
            /* neighbours in one write */
            qmsix_testdev_clear_messages(d, n + !!words[n] - run, run);
            taken += run;
            run = 0;
        }
    }
    return taken;
}
