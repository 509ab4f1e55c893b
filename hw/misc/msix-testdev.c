/*
 * msix-testdev: a PCI device whose only trade is MSI-X
 *
 * For tests of interrupt delivery, above all of PCI passthrough, where a real
 * device can be neither told to raise an interrupt on a given vector nor
 * asked how many it raised.  See docs/specs/msix-testdev.rst.
 *
 * The registers are in msix-testdev-core.c; here is what they act on: config
 * space, MSI-X table and clock.  All of it runs under the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/misc/msix-testdev-core.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qom/object.h"
#include "trace.h"

#define TYPE_MSIX_TESTDEV "msix-testdev"
OBJECT_DECLARE_SIMPLE_TYPE(MSIXTestdevState, MSIX_TESTDEV)

struct MSIXTestdevState {
    PCIDevice parent_obj;

    MemoryRegion regs;
    MemoryRegion msix;
    QEMUTimer timer;
    bool exited;                /* unplugged: leave bus and timer alone */

    MSIXTestdevCore core;
    MSIXTestdevVector *vectors;

    /* property */
    uint32_t nr_vectors;
};

static MSIXTestdevOutcome msix_testdev_raise(void *opaque, uint32_t vector,
                                             bool intx)
{
    MSIXTestdevState *s = opaque;
    PCIDevice *dev = PCI_DEVICE(s);
    MSIXTestdevOutcome outcome;

    if (s->exited) {
        outcome = MSIX_TESTDEV_OUTCOME_DROPPED;
    } else if (msix_enabled(dev)) {
        outcome = msix_is_masked(dev, vector) ? MSIX_TESTDEV_OUTCOME_PENDED :
                                                MSIX_TESTDEV_OUTCOME_SENT;
        trace_msix_testdev_raise(dev->name, vector, "MSI-X", outcome);
        msix_notify(dev, vector);
    } else if (msi_enabled(dev)) {
        unsigned nr_messages = MIN(msi_nr_vectors_allocated(dev),
                                   MSIX_TESTDEV_MSI_VECTORS);
        unsigned message = vector % nr_messages;

        outcome = msi_is_masked(dev, message) ? MSIX_TESTDEV_OUTCOME_PENDED :
                                                MSIX_TESTDEV_OUTCOME_SENT;
        trace_msix_testdev_raise(dev->name, vector, "MSI", outcome);
        msi_notify(dev, message);
    } else if (intx) {
        outcome = MSIX_TESTDEV_OUTCOME_INTX;
        trace_msix_testdev_raise(dev->name, vector, "INTx", outcome);
        pci_irq_assert(dev);
    } else {
        /*
         * msix_notify() would set the pending bit and deliver at the next
         * enable.  A device does not remember for a capability that is off.
         */
        outcome = MSIX_TESTDEV_OUTCOME_DROPPED;
        trace_msix_testdev_raise(dev->name, vector, "none", outcome);
    }
    return outcome;
}

static void msix_testdev_set_intx(void *opaque, bool level)
{
    MSIXTestdevState *s = opaque;
    PCIDevice *dev = PCI_DEVICE(s);

    if (s->exited) {
        return;
    }
    trace_msix_testdev_set_intx(dev->name, level);
    pci_set_irq(dev, level);
}

static void msix_testdev_wipe(void *opaque)
{
    PCIDevice *dev = PCI_DEVICE(opaque);
    unsigned n;

    for (n = 0; msix_present(dev) && n < dev->msix_entries_nr; n++) {
        msix_set_mask(dev, n, true);
        memset(dev->msix_table + n * PCI_MSIX_ENTRY_SIZE, 0,
               PCI_MSIX_ENTRY_VECTOR_CTRL);
    }
}

static uint32_t msix_testdev_status(void *opaque)
{
    PCIDevice *dev = PCI_DEVICE(opaque);
    uint32_t status = 0;

    if (msix_enabled(dev)) {
        status |= MSIX_TESTDEV_STATUS_MSIX;
    }
    if (msix_present(dev) &&
        (pci_get_word(dev->config + dev->msix_cap + PCI_MSIX_FLAGS) &
         PCI_MSIX_FLAGS_MASKALL)) {
        status |= MSIX_TESTDEV_STATUS_FMASK;
    }
    if (msi_enabled(dev)) {
        status |= MSIX_TESTDEV_STATUS_MSI;
    }
    /* not a copy of ours: MSI and MSI-X code deasserts INTx by itself */
    if (pci_get_word(dev->config + PCI_STATUS) & PCI_STATUS_INTERRUPT) {
        status |= MSIX_TESTDEV_STATUS_INTX;
    }
    return status;
}

static const MSIXTestdevOps msix_testdev_ops = {
    .raise = msix_testdev_raise,
    .set_intx = msix_testdev_set_intx,
    .wipe = msix_testdev_wipe,
    .status = msix_testdev_status,
};

static void msix_testdev_arm(MSIXTestdevState *s, int64_t deadline)
{
    if (s->exited) {
        return;
    }
    if (deadline == MSIX_TESTDEV_NO_DEADLINE) {
        timer_del(&s->timer);
    } else if (deadline != timer_expire_time_ns(&s->timer)) {
        timer_mod_ns(&s->timer, deadline);
    }
}

static void msix_testdev_timer(void *opaque)
{
    MSIXTestdevState *s = opaque;

    /*
     * A message is a write to any address that the guest likes, also to the
     * one that unplugs this device.
     */
    object_ref(OBJECT(s));
    msix_testdev_arm(s, msix_testdev_core_run(&s->core,
                                 qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)));
    object_unref(OBJECT(s));
}

static uint64_t msix_testdev_regs_read(void *opaque, hwaddr addr,
                                       unsigned size)
{
    MSIXTestdevState *s = opaque;
    uint32_t val = msix_testdev_core_read(&s->core, addr, size);

    trace_msix_testdev_read(PCI_DEVICE(s)->name, addr, size, val);
    return val;
}

static void msix_testdev_regs_write(void *opaque, hwaddr addr, uint64_t val,
                                    unsigned size)
{
    MSIXTestdevState *s = opaque;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    trace_msix_testdev_write(PCI_DEVICE(s)->name, addr, size, val);
    object_ref(OBJECT(s));      /* see msix_testdev_timer() */
    msix_testdev_arm(s, msix_testdev_core_write(&s->core, addr, val, size,
                                                now));
    object_unref(OBJECT(s));
}

/*
 * Accesses of all sizes and alignments get here as they are, for the core to
 * ignore those that are not 32 bits: the memory API would make up 32-bit ones
 * from them.
 */
static const MemoryRegionOps msix_testdev_regs_ops = {
    .read = msix_testdev_regs_read,
    .write = msix_testdev_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

static void msix_testdev_msix_enabled(MSIXTestdevState *s)
{
    PCIDevice *dev = PCI_DEVICE(s);

    if (s->core.msix_enabled != !!msix_enabled(dev)) {
        trace_msix_testdev_msix_enabled(dev->name, !!msix_enabled(dev));
        msix_testdev_core_msix_enabled_changed(&s->core, msix_enabled(dev));
    }
}

static void msix_testdev_config_write(PCIDevice *dev, uint32_t addr,
                                      uint32_t val, int len)
{
    pci_default_write_config(dev, addr, val, len);
    msix_testdev_msix_enabled(MSIX_TESTDEV(dev));
    pcie_cap_flr_write_config(dev, addr, val, len);
}

/* FLR, and reset of the bus or the system */
static void msix_testdev_reset(DeviceState *qdev)
{
    MSIXTestdevState *s = MSIX_TESTDEV(qdev);
    PCIDevice *dev = PCI_DEVICE(s);

    trace_msix_testdev_reset(dev->name);
    timer_del(&s->timer);
    msix_testdev_core_reset(&s->core);
    /*
     * PCI core does these right after.  The core has counted MSI-X as
     * disabled, so have it disabled from here on.
     */
    msi_reset(dev);
    msix_reset(dev);
}

static void msix_testdev_realize(PCIDevice *dev, Error **errp)
{
    MSIXTestdevState *s = MSIX_TESTDEV(dev);
    int ret;
    uint32_t n;

    if (s->nr_vectors < 1 || s->nr_vectors > MSIX_TESTDEV_MAX_VECTORS) {
        error_setg(errp, "vectors=%" PRIu32 " is out of range: "
                   TYPE_MSIX_TESTDEV " has 1 to %u vectors",
                   s->nr_vectors, MSIX_TESTDEV_MAX_VECTORS);
        return;
    }

    dev->config[PCI_INTERRUPT_PIN] = 1;

    ret = pcie_endpoint_cap_init(dev, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot add a PCI Express capability");
        return;
    }
    pcie_cap_flr_init(dev);

    if (msi_init(dev, 0, MSIX_TESTDEV_MSI_VECTORS, true, true, errp) < 0) {
        goto err_msi;
    }

    memory_region_init(&s->msix, OBJECT(s), "msix-testdev-msix",
                       MSIX_TESTDEV_MSIX_SIZE);
    if (msix_init(dev, s->nr_vectors,
                  &s->msix, MSIX_TESTDEV_MSIX_BAR, MSIX_TESTDEV_TABLE_OFFSET,
                  &s->msix, MSIX_TESTDEV_MSIX_BAR, MSIX_TESTDEV_PBA_OFFSET,
                  0, errp) < 0) {
        goto err_msix;
    }
    for (n = 0; n < s->nr_vectors; n++) {
        msix_vector_use(dev, n);
    }

    s->exited = false;
    s->vectors = g_renew(MSIXTestdevVector, s->vectors, s->nr_vectors);
    msix_testdev_core_init(&s->core, s->vectors, s->nr_vectors,
                           &msix_testdev_ops, s);
    timer_init_ns(&s->timer, QEMU_CLOCK_VIRTUAL, msix_testdev_timer, s);

    memory_region_init_io(&s->regs, OBJECT(s), &msix_testdev_regs_ops, s,
                          "msix-testdev-regs", MSIX_TESTDEV_REGS_SIZE);
    pci_register_bar(dev, MSIX_TESTDEV_REGS_BAR,
                     PCI_BASE_ADDRESS_SPACE_MEMORY, &s->regs);
    pci_register_bar(dev, MSIX_TESTDEV_MSIX_BAR,
                     PCI_BASE_ADDRESS_SPACE_MEMORY, &s->msix);
    return;

err_msix:
    msi_uninit(dev);
err_msi:
    pcie_cap_exit(dev);
}

static void msix_testdev_exit(PCIDevice *dev)
{
    MSIXTestdevState *s = MSIX_TESTDEV(dev);

    s->exited = true;
    timer_del(&s->timer);
    timer_deinit(&s->timer);
    msix_uninit(dev, &s->msix, &s->msix);
    msi_uninit(dev);
    pcie_cap_exit(dev);
}

static void msix_testdev_finalize(Object *obj)
{
    MSIXTestdevState *s = MSIX_TESTDEV(obj);

    /* Not earlier: the core may still be on the stack in exit. */
    g_free(s->vectors);
}

static Property msix_testdev_properties[] = {
    DEFINE_PROP_UINT32("vectors", MSIXTestdevState, nr_vectors, 64),
    DEFINE_PROP_END_OF_LIST(),
};

/*
 * Deadlines are in this machine's time, and the instrument counters tell what
 * was done to this very device: migrating either would make a test that reads
 * them wrong without telling it.
 */
static const VMStateDescription msix_testdev_vmstate = {
    .name = TYPE_MSIX_TESTDEV,
    .unmigratable = 1,
};

static void msix_testdev_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = msix_testdev_realize;
    pc->exit = msix_testdev_exit;
    pc->config_write = msix_testdev_config_write;
    pc->vendor_id = MSIX_TESTDEV_VENDOR_ID;
    pc->device_id = MSIX_TESTDEV_DEVICE_ID;
    pc->revision = MSIX_TESTDEV_VERSION_VALUE;
    pc->class_id = PCI_CLASS_OTHERS;

    dc->desc = "MSI-X test device";
    dc->reset = msix_testdev_reset;
    dc->vmsd = &msix_testdev_vmstate;
    device_class_set_props(dc, msix_testdev_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo msix_testdev_info = {
    .name = TYPE_MSIX_TESTDEV,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(MSIXTestdevState),
    .instance_finalize = msix_testdev_finalize,
    .class_init = msix_testdev_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { },
    },
};

static void msix_testdev_register_types(void)
{
    type_register_static(&msix_testdev_info);
}

type_init(msix_testdev_register_types)
