/*
 * vfio-sim: the PCI function
 *
 * What hw/misc/msix-testdev.c is in QEMU, with the parts of QEMU's PCI code
 * that matter for interrupts (hw/pci/msix.c, msi.c, pci.c).  Like there, a
 * pending bit survives MSI-X being switched off, unless it was asked for that
 * it does not, and falls by a reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <string.h>
#include <time.h>
#include "sim.h"

int64_t sim_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void put_word(uint8_t *p, uint16_t value)
{
    p[0] = value;
    p[1] = value >> 8;
}

static void put_long(uint8_t *p, uint32_t value)
{
    put_word(p, value);
    put_word(p + 2, value >> 16);
}

uint16_t sim_phys_word(SimDevice *d, unsigned offset)
{
    return d->phys[offset] | d->phys[offset + 1] << 8;
}

static uint32_t phys_long(SimDevice *d, unsigned offset)
{
    return sim_phys_word(d, offset) |
           (uint32_t)sim_phys_word(d, offset + 2) << 16;
}

static bool msix_on(SimDevice *d)
{
    return sim_phys_word(d, SIM_CAP_MSIX + PCI_MSIX_FLAGS) &
           PCI_MSIX_FLAGS_ENABLE;
}

static uint16_t msi_flags(SimDevice *d)
{
    return d->personality == SIM_MDEV ? 0 :
           sim_phys_word(d, SIM_CAP_MSI + PCI_MSI_FLAGS);
}

static unsigned nr_messages(SimDevice *d)
{
    unsigned n = 1u << ((msi_flags(d) & PCI_MSI_FLAGS_QSIZE) >> 4);

    return n < MSIX_TESTDEV_MSI_VECTORS ? n : MSIX_TESTDEV_MSI_VECTORS;
}

bool sim_function_intx_wire(SimDevice *d)
{
    return d->intx_level &&
           !(sim_phys_word(d, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

static void set_intx_level(SimDevice *d, bool level)
{
    uint16_t status = sim_phys_word(d, PCI_STATUS) & ~PCI_STATUS_INTERRUPT;

    d->intx_level = level;
    put_word(d->phys + PCI_STATUS,
             status | (level ? PCI_STATUS_INTERRUPT : 0));
    sim_irqs_intx(d);
}

/* A message is a write to memory: without bus mastering it gets lost. */
static void send_message(SimDevice *d, unsigned n)
{
    if (sim_phys_word(d, PCI_COMMAND) & PCI_COMMAND_MASTER) {
        sim_irqs_message(d, n);
    }
}

static MSIXTestdevOutcome op_raise(void *opaque, uint32_t n, bool intx)
{
    SimDevice *d = opaque;

    if (msix_on(d)) {
        if (d->vectors[n].masked) {
            d->vectors[n].pending = true;
            return MSIX_TESTDEV_OUTCOME_PENDED;
        }
        send_message(d, n);
        return MSIX_TESTDEV_OUTCOME_SENT;
    }

    if (msi_flags(d) & PCI_MSI_FLAGS_ENABLE) {
        unsigned message = n % nr_messages(d);

        if (phys_long(d, SIM_CAP_MSI + PCI_MSI_MASK_64) & 1u << message) {
            put_long(d->phys + SIM_CAP_MSI + PCI_MSI_PENDING_64,
                     phys_long(d, SIM_CAP_MSI + PCI_MSI_PENDING_64) |
                     1u << message);
            return MSIX_TESTDEV_OUTCOME_PENDED;
        }
        send_message(d, message);
        return MSIX_TESTDEV_OUTCOME_SENT;
    }

    if (intx) {
        set_intx_level(d, true);
        return MSIX_TESTDEV_OUTCOME_INTX;
    }
    return MSIX_TESTDEV_OUTCOME_DROPPED;
}

static void op_set_intx(void *opaque, bool level)
{
    set_intx_level(opaque, level);
}

/* The kernel's idea of the table stays as it is, and is written with a trigger */
static void op_wipe(void *opaque)
{
    SimDevice *d = opaque;
    unsigned n;

    for (n = 0; n < d->nr_vectors; n++) {
        d->vectors[n].masked = true;
    }
}

static uint32_t op_status(void *opaque)
{
    SimDevice *d = opaque;
    uint16_t msix = sim_phys_word(d, SIM_CAP_MSIX + PCI_MSIX_FLAGS);

    return (msix & PCI_MSIX_FLAGS_ENABLE ? MSIX_TESTDEV_STATUS_MSIX : 0) |
           (msix & PCI_MSIX_FLAGS_MASKALL ? MSIX_TESTDEV_STATUS_FMASK : 0) |
           (msi_flags(d) & PCI_MSI_FLAGS_ENABLE ? MSIX_TESTDEV_STATUS_MSI : 0) |
           (d->intx_level ? MSIX_TESTDEV_STATUS_INTX : 0);
}

static const MSIXTestdevOps ops = {
    .raise = op_raise,
    .set_intx = op_set_intx,
    .wipe = op_wipe,
    .status = op_status,
};

/* Config space, MSI-X table and PBA as they are after a reset */
static void reset_registers(SimDevice *d)
{
    uint8_t *c = d->phys;
    unsigned n;

    memset(c, 0, sizeof(d->phys));
    put_word(c + PCI_VENDOR_ID, MSIX_TESTDEV_VENDOR_ID);
    put_word(c + PCI_DEVICE_ID, MSIX_TESTDEV_DEVICE_ID);
    put_word(c + PCI_STATUS, PCI_STATUS_CAP_LIST);
    c[PCI_REVISION_ID] = MSIX_TESTDEV_VERSION_VALUE;
    put_word(c + PCI_CLASS_DEVICE, 0x00ff); /* QEMU's PCI_CLASS_OTHERS */
    put_word(c + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4); /* QEMU's defaults */
    put_word(c + PCI_SUBSYSTEM_ID, 0x1100);
    c[PCI_CAPABILITY_LIST] = SIM_CAP_MSIX;
    c[PCI_INTERRUPT_PIN] = 1;

    c[SIM_CAP_MSIX] = PCI_CAP_ID_MSIX;
    c[SIM_CAP_MSIX + 1] = SIM_CAP_EXP;
    put_word(c + SIM_CAP_MSIX + PCI_MSIX_FLAGS, d->nr_vectors - 1);
    put_long(c + SIM_CAP_MSIX + PCI_MSIX_TABLE,
             MSIX_TESTDEV_TABLE_OFFSET | MSIX_TESTDEV_MSIX_BAR);
    put_long(c + SIM_CAP_MSIX + PCI_MSIX_PBA,
             MSIX_TESTDEV_PBA_OFFSET | MSIX_TESTDEV_MSIX_BAR);

    if (d->personality != SIM_MDEV) {
        c[SIM_CAP_MSIX + 1] = SIM_CAP_MSI;
        c[SIM_CAP_MSI] = PCI_CAP_ID_MSI;
        c[SIM_CAP_MSI + 1] = SIM_CAP_EXP;
        put_word(c + SIM_CAP_MSI + PCI_MSI_FLAGS,
                 PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1);
    }

    c[SIM_CAP_EXP] = PCI_CAP_ID_EXP;
    put_word(c + SIM_CAP_EXP + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
    put_long(c + SIM_CAP_EXP + PCI_EXP_DEVCAP,
             PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR);
    put_long(c + SIM_CAP_EXP + PCI_EXP_LNKCAP,
             PCI_EXP_LNKCAP_SLS_2_5GB | 1 << 4);
    put_word(c + SIM_CAP_EXP + PCI_EXP_LNKSTA,
             PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);

    for (n = 0; n < d->nr_vectors; n++) {
        d->vectors[n].masked = true;
        d->vectors[n].pending = false;
    }
}

void sim_function_power_on(SimDevice *d)
{
    reset_registers(d);
    d->intx_level = false;
    msix_testdev_core_init(&d->core, d->core_vectors, d->nr_vectors, &ops, d);
    d->deadline_ns = MSIX_TESTDEV_NO_DEADLINE;
}

void sim_function_reset(SimDevice *d)
{
    msix_testdev_core_reset(&d->core);
    d->deadline_ns = MSIX_TESTDEV_NO_DEADLINE;
    reset_registers(d);
}

void sim_function_set_command(SimDevice *d, uint16_t command)
{
    put_word(d->phys + PCI_COMMAND, command);
    sim_irqs_intx(d);
}

void sim_function_set_disintx(SimDevice *d, bool disable)
{
    uint16_t command = sim_phys_word(d, PCI_COMMAND) &
                       ~PCI_COMMAND_INTX_DISABLE;

    sim_function_set_command(d, command |
                             (disable ? PCI_COMMAND_INTX_DISABLE : 0));
}

void sim_function_set_msix(SimDevice *d, bool enable)
{
    uint16_t flags = sim_phys_word(d, SIM_CAP_MSIX + PCI_MSIX_FLAGS);
    unsigned n;

    flags &= ~PCI_MSIX_FLAGS_ENABLE;
    put_word(d->phys + SIM_CAP_MSIX + PCI_MSIX_FLAGS,
             flags | (enable ? PCI_MSIX_FLAGS_ENABLE : 0));
    msix_testdev_core_msix_enabled_changed(&d->core, enable);
    if (enable) {
        set_intx_level(d, false); /* the modes exclude each other */
    }
    for (n = 0; !enable && d->pba_volatile && n < d->nr_vectors; n++) {
        d->vectors[n].pending = false;
    }
}

void sim_function_mask_vector(SimDevice *d, unsigned n, bool mask)
{
    SimVector *v = &d->vectors[n];

    v->masked = mask;
    if (!mask && v->pending && msix_on(d)) {
        v->pending = false;
        send_message(d, n);
    }
}

static void send_pending_msi(SimDevice *d)
{
    uint32_t mask = phys_long(d, SIM_CAP_MSI + PCI_MSI_MASK_64);
    uint32_t pending = phys_long(d, SIM_CAP_MSI + PCI_MSI_PENDING_64);
    unsigned n;

    if (!(msi_flags(d) & PCI_MSI_FLAGS_ENABLE)) {
        return;
    }
    /* of messages that there are none of now */
    pending &= (1u << nr_messages(d)) - 1;
    put_long(d->phys + SIM_CAP_MSI + PCI_MSI_PENDING_64, pending);
    for (n = 0; n < nr_messages(d); n++) {
        if (pending & ~mask & 1u << n) {
            pending &= ~(1u << n);
            put_long(d->phys + SIM_CAP_MSI + PCI_MSI_PENDING_64, pending);
            send_message(d, n);
        }
    }
}

void sim_function_set_msi(SimDevice *d, uint16_t flags)
{
    const uint16_t writable = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;

    put_word(d->phys + SIM_CAP_MSI + PCI_MSI_FLAGS,
             (msi_flags(d) & ~writable) | (flags & writable));
    if (flags & PCI_MSI_FLAGS_ENABLE) {
        set_intx_level(d, false);
    }
    send_pending_msi(d);
}

void sim_function_set_msi_mask(SimDevice *d, uint32_t mask)
{
    put_long(d->phys + SIM_CAP_MSI + PCI_MSI_MASK_64,
             mask & ((1u << MSIX_TESTDEV_MSI_VECTORS) - 1));
    send_pending_msi(d);
}

static uint32_t read_msix_bar(SimDevice *d, uint32_t offset)
{
    uint32_t bits = 0;
    unsigned n;

    /* The table is not looked at: vfio-pci lets nobody see it. */
    if (offset < MSIX_TESTDEV_PBA_OFFSET) {
        return 0;
    }
    for (n = (offset - MSIX_TESTDEV_PBA_OFFSET) * 8; n < d->nr_vectors; n++) {
        if (n / 8 >= offset - MSIX_TESTDEV_PBA_OFFSET + 4) {
            break;
        }
        bits |= (uint32_t)d->vectors[n].pending << n % 32;
    }
    return bits;
}

uint32_t sim_function_read_bar(SimDevice *d, unsigned bar, uint32_t offset,
                               unsigned size)
{
    if (bar == MSIX_TESTDEV_REGS_BAR) {
        return msix_testdev_core_read(&d->core, offset, size);
    }
    return read_msix_bar(d, offset & ~3u) >> (offset & 3) * 8;
}

void sim_function_write_bar(SimDevice *d, unsigned bar, uint32_t offset,
                            uint32_t value, unsigned size)
{
    int64_t before = d->deadline_ns;

    if (bar != MSIX_TESTDEV_REGS_BAR) {
        return; /* the PBA is read-only */
    }
    d->deadline_ns = msix_testdev_core_write(&d->core, offset, value, size,
                                             sim_now_ns());
    if (d->deadline_ns < before) {
        sim_wake(d);
    }
}

void sim_function_fire(SimDevice *d, unsigned n)
{
    sim_function_write_bar(d, MSIX_TESTDEV_REGS_BAR, MSIX_TESTDEV_FIRE, n, 4);
}
