/*
 * vfio-sim: config space as vfio-pci shows it
 *
 * The rules are those of drivers/vfio/pci/vfio_pci_config.c: for each bit,
 * whether the user reads the hardware's or a virtual one, and whether he can
 * write it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <string.h>
#include "sim.h"

/* One bit each of config space */
typedef struct Rules {
    uint8_t virt[SIM_CONFIG_SIZE];
    uint8_t write[SIM_CONFIG_SIZE];
} Rules;

static Rules rules;
static pthread_once_t rules_once = PTHREAD_ONCE_INIT;

static void rule(unsigned offset, unsigned size, uint32_t virt, uint32_t write)
{
    unsigned i;

    for (i = 0; i < size; i++) {
        rules.virt[offset + i] = virt >> i * 8;
        rules.write[offset + i] = write >> i * 8;
    }
}

static void set_rules(void)
{
    const uint32_t all = 0xffffffff;
    unsigned i;

    rule(PCI_VENDOR_ID, 2, all, 0);
    rule(PCI_DEVICE_ID, 2, all, 0);
    /* INTx disable is vfio-pci's own, to mask with */
    rule(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, all);
    rule(PCI_STATUS, 2, PCI_STATUS_CAP_LIST, all);
    rule(PCI_CACHE_LINE_SIZE, 1, 0, all);
    rule(PCI_LATENCY_TIMER, 1, 0, all);
    rule(PCI_BIST, 1, 0, all);
    for (i = PCI_BASE_ADDRESS_0; i <= PCI_BASE_ADDRESS_5; i += 4) {
        rule(i, 4, all, all);
    }
    rule(PCI_ROM_ADDRESS, 4, all, all);
    rule(PCI_CAPABILITY_LIST, 1, all, 0);
    rule(PCI_INTERRUPT_LINE, 1, all, all);

    rule(SIM_CAP_EXP + PCI_CAP_LIST_NEXT, 1, all, 0);
    rule(SIM_CAP_EXP + PCI_EXP_DEVCTL, 2,
         PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD |
         PCI_EXP_DEVCTL_READRQ, ~PCI_EXP_DEVCTL_PHANTOM);
    rule(SIM_CAP_EXP + PCI_EXP_DEVCTL2, 2, 0, ~PCI_EXP_DEVCTL2_ARI);

    rule(SIM_CAP_MSI + PCI_CAP_LIST_NEXT, 1, all, 0);
    /* all of the low byte, so a user who writes nonsense reads it */
    rule(SIM_CAP_MSI + PCI_MSI_FLAGS, 1, all, all);
    rule(SIM_CAP_MSI + PCI_MSI_ADDRESS_LO, 4, all, all);
    rule(SIM_CAP_MSI + PCI_MSI_ADDRESS_HI, 4, all, all);
    rule(SIM_CAP_MSI + PCI_MSI_DATA_64, 2, all, all);
    rule(SIM_CAP_MSI + PCI_MSI_MASK_64, 4, 0, all);

    rule(SIM_CAP_MSIX + PCI_CAP_LIST_NEXT, 1, all, 0);
}

void sim_config_open(SimDevice *d)
{
    pthread_once(&rules_once, set_rules);
    memcpy(d->virt, d->phys, sizeof(d->virt));
    d->virq_disabled = false;
    d->msi_qmax = 0;

    /* pci_enable_device() has been at it */
    sim_function_set_command(d, PCI_COMMAND_MEMORY);
}

static uint32_t virt_long(SimDevice *d, unsigned offset)
{
    return d->virt[offset] | d->virt[offset + 1] << 8 |
           d->virt[offset + 2] << 16 | (uint32_t)d->virt[offset + 3] << 24;
}

/* What a BAR is read as tells its size; an absent one is zero. */
static void fix_bars(SimDevice *d)
{
    static const uint32_t sizes[6] = {
        [MSIX_TESTDEV_REGS_BAR] = MSIX_TESTDEV_REGS_SIZE,
        [MSIX_TESTDEV_MSIX_BAR] = MSIX_TESTDEV_MSIX_SIZE,
    };
    unsigned i, j;

    for (i = 0; i < 7; i++) {
        unsigned offset = i < 6 ? PCI_BASE_ADDRESS_0 + i * 4 : PCI_ROM_ADDRESS;
        uint32_t size = i < 6 ? sizes[i] : 0;
        uint32_t value = size ? virt_long(d, offset) & ~(size - 1) : 0;

        for (j = 0; j < 4; j++) {
            d->virt[offset + j] = value >> j * 8;
        }
    }
}

void sim_config_read(SimDevice *d, unsigned offset, uint8_t *data,
                     unsigned size)
{
    unsigned i;

    fix_bars(d);
    for (i = 0; i < size; i++) {
        uint8_t virt = rules.virt[offset + i];

        data[i] = (d->virt[offset + i] & virt) | (d->phys[offset + i] & ~virt);
    }
}

static bool touches(unsigned offset, unsigned size, unsigned reg,
                    unsigned length)
{
    return offset < reg + length && reg < offset + size;
}

static void write_command(SimDevice *d, uint16_t physical)
{
    const uint16_t writable = PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                              PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
                              PCI_COMMAND_SERR;
    uint16_t command = sim_phys_word(d, PCI_COMMAND);
    bool disabled = virt_long(d, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;

    sim_function_set_command(d, (command & ~writable) | (physical & writable));

    if (disabled && !d->virq_disabled) {
        d->virq_disabled = true;
        sim_irqs_intx_mask(d);
    } else if (!disabled && d->virq_disabled) {
        d->virq_disabled = false;
        sim_irqs_intx_unmask(d);
    }
}

/*
 * MSI is enabled with SET_IRQS; once it is, the user may switch it off and on
 * here, and choose fewer messages than were asked for at any time since the
 * device was opened.
 */
static void write_msi_flags(SimDevice *d)
{
    uint16_t flags = virt_long(d, SIM_CAP_MSI + PCI_MSI_FLAGS);

    if (d->irq_index != VFIO_PCI_MSI_IRQ_INDEX) {
        flags &= ~PCI_MSI_FLAGS_ENABLE;
    }
    if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > d->msi_qmax) {
        flags &= ~PCI_MSI_FLAGS_QSIZE;
        flags |= d->msi_qmax << 4;
    }
    d->virt[SIM_CAP_MSI + PCI_MSI_FLAGS] = flags;
    sim_function_set_msi(d, flags);
}

void sim_config_write(SimDevice *d, unsigned offset, const uint8_t *data,
                      unsigned size)
{
    uint8_t physical[4];
    unsigned i;

    for (i = 0; i < size; i++) {
        uint8_t write = rules.write[offset + i];
        uint8_t virt = rules.virt[offset + i];

        d->virt[offset + i] = (d->virt[offset + i] & ~(write & virt)) |
                              (data[i] & write & virt);
        physical[i] = (d->phys[offset + i] & ~(write & ~virt)) |
                      (data[i] & write & ~virt);
    }

    if (touches(offset, size, PCI_COMMAND, 2)) {
        uint16_t command = sim_phys_word(d, PCI_COMMAND);

        for (i = 0; i < size; i++) {
            if (offset + i == PCI_COMMAND) {
                command = (command & 0xff00) | physical[i];
            } else if (offset + i == PCI_COMMAND + 1) {
                command = (command & 0xff) | physical[i] << 8;
            }
        }
        write_command(d, command);
    }

    if (touches(offset, size, SIM_CAP_EXP + PCI_EXP_DEVCTL, 2)) {
        unsigned reg = SIM_CAP_EXP + PCI_EXP_DEVCTL;

        if (virt_long(d, reg) & PCI_EXP_DEVCTL_BCR_FLR) {
            d->virt[reg + 1] &= ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
            sim_device_reset(d);
        }
    }

    if (d->personality == SIM_MDEV) {
        return; /* it has no MSI */
    }
    if (touches(offset, size, SIM_CAP_MSI + PCI_MSI_FLAGS, 2)) {
        write_msi_flags(d);
    }
    if (touches(offset, size, SIM_CAP_MSI + PCI_MSI_MASK_64, 4)) {
        uint32_t mask = 0;

        for (i = 0; i < 4; i++) {
            unsigned at = SIM_CAP_MSI + PCI_MSI_MASK_64 + i;
            uint8_t byte = at >= offset && at < offset + size ?
                           physical[at - offset] : d->phys[at];

            mask |= (uint32_t)byte << i * 8;
        }
        sim_function_set_msi_mask(d, mask);
    }
}
