/*
 * Interrupt statistics of vfio-pci devices: "info pic" and "x-query-irq"
 *
 * Both are for people who look at a device that stands still.  The text is
 * explained in docs/system/devices/vfio-pci-interrupts.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/intc/intc.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "monitor/monitor.h"
#include "pci.h"

#define MSI_VECTORS_MAX 32 /* PCI 3.0, 6.8.1.3: 3 bits of a power of two */

/*
 * x-query-irq: the number of interrupts that QEMU has delivered itself, by
 * vector of MSI or MSI-X.  What KVM delivers QEMU does not see.
 *
 * Called with the BQL held, also for devices that are not realized.
 */
static bool vfio_pci_get_statistics(InterruptStatsProvider *obj,
                                    uint64_t **irq_counts,
                                    unsigned int *nb_irqs)
{
    VFIOPCIDevice *vdev = VFIO_PCI(obj);

    if (!vdev->stats.delivered) {
        return false;
    }

    *irq_counts = vdev->stats.delivered;
    *nb_irqs = vdev->stats.vectors;
    return true;
}

static const char *vfio_pci_interrupt_name(VFIOPCIDevice *vdev)
{
    switch (vdev->interrupt) {
    case VFIO_INT_INTx:
        return "intx";
    case VFIO_INT_MSI:
        return "msi";
    case VFIO_INT_MSIX:
        return "msix";
    default:
        return "none";
    }
}

/* MSI has the same states, but for those that only MSI-X passes through */
static VFIOMSIXState vfio_pci_vector_state(VFIOPCIDevice *vdev,
                                           unsigned int nr)
{
    VFIOMSIVector *vector = &vdev->msi_vectors[nr];

    if (vdev->interrupt == VFIO_INT_MSIX) {
        return vdev->msix->core.vectors[nr].state;
    }
    if (!vector->use) {
        return VFIO_MSIX_FAILED;
    }
    return vector->virq >= 0 ? VFIO_MSIX_IRQFD : VFIO_MSIX_DIRECT;
}

static void vfio_pci_print_vector(VFIOPCIDevice *vdev, unsigned int nr,
                                  Monitor *mon)
{
    bool msix = vdev->interrupt == VFIO_INT_MSIX;
    bool masked = msix ? msix_is_masked(&vdev->pdev, nr) :
                         msi_is_masked(&vdev->pdev, nr);
    MSIMessage msg = msix ? msix_get_message(&vdev->pdev, nr) :
                            msi_get_message(&vdev->pdev, nr);

    monitor_printf(mon, "  vector %u: address=0x%" PRIx64 " data=0x%x "
                   "masked=%d", nr, msg.address, msg.data, masked);
    if (msix) {
        monitor_printf(mon, " pending=%d",
                       vfio_msix_core_pending(&vdev->msix->core, nr));
    }
    monitor_printf(mon, " state=%s setup-failed=%d delivered-by-qemu=%" PRIu64
                   "\n",
                   vfio_msix_state_name(vfio_pci_vector_state(vdev, nr)),
                   vdev->msi_vectors[nr].setup_failed,
                   vdev->stats.delivered[nr]);
}

static void vfio_pci_print_msix(VFIOPCIDevice *vdev, Monitor *mon)
{
    VFIOMSIXCore *core = &vdev->msix->core;
    unsigned int nr, used = 0, triggers = 0;

    for (nr = 0; nr < core->entries; nr++) {
        used += core->vectors[nr].state != VFIO_MSIX_UNUSED;
        triggers += vfio_msix_core_has_trigger(core, nr);
    }

    monitor_printf(mon, "  msix: host-dynamic=%d vectors=%u used=%u "
                   "host-vectors=%u triggers=%u function-masked=%d "
                   "resizes=%" PRIu64 " replays=%" PRIu64 " setup-failures=%"
                   PRIu64 " irqfd-assigned=%" PRIu64 "\n",
                   !vdev->msix->noresize, vdev->msix->entries, used,
                   core->host_vectors, triggers,
                   vdev->interrupt == VFIO_INT_MSIX &&
                   vdev->pdev.msix_function_masked,
                   vdev->stats.resizes, vdev->stats.replays,
                   vdev->irq_setup_failures, vdev->stats.irqfd_assigned);
}

/*
 * info pic: the device, its MSI-X on the host, and a line for each vector that
 * the guest has used since it enabled MSI or MSI-X.
 *
 * Called with the BQL held, also for devices that are not realized.
 */
static void vfio_pci_print_info(InterruptStatsProvider *obj, Monitor *mon)
{
    VFIOPCIDevice *vdev = VFIO_PCI(obj);
    const char *id = vdev->pdev.qdev.id;
    unsigned int nr, vectors;

    if (!vdev->stats.delivered) {
        return;
    }

    monitor_printf(mon, "%s %s: id=%s interrupt=%s\n",
                   object_get_typename(OBJECT(obj)), vdev->vbasedev.name,
                   id ?: "", vfio_pci_interrupt_name(vdev));

    if (vdev->interrupt == VFIO_INT_INTx) {
        monitor_printf(mon, "  intx: pin=%c pending=%d listener=%s "
                       "delivered-by-qemu=%" PRIu64 "\n",
                       'A' + vdev->intx.pin, vdev->intx.pending,
                       vdev->intx.kvm_accel ? "kvm" : "qemu",
                       vdev->stats.intx_delivered);
    }

    if (vdev->msix) {
        vfio_pci_print_msix(vdev, mon);
    }

    if (!vdev->msi_vectors) {
        return;
    }

    /* The guest can lower its number of MSI vectors at any time */
    vectors = vdev->interrupt == VFIO_INT_MSIX ? vdev->msix->entries :
              MIN(vdev->nr_vectors, msi_nr_vectors_allocated(&vdev->pdev));
    for (nr = 0; nr < vectors; nr++) {
        if (vdev->msi_vectors[nr].use || vdev->msi_vectors[nr].setup_failed) {
            vfio_pci_print_vector(vdev, nr, mon);
        }
    }
}

/* To be called once a device is known to have been set up; BQL held */
void vfio_pci_stats_realize(VFIOPCIDevice *vdev)
{
    vdev->stats.vectors = MAX(vdev->msix ? vdev->msix->entries : 0,
                              MSI_VECTORS_MAX);
    vdev->stats.delivered = g_new0(uint64_t, vdev->stats.vectors);
}

/* Also for a device that was not realized; BQL held */
void vfio_pci_stats_finalize(VFIOPCIDevice *vdev)
{
    g_clear_pointer(&vdev->stats.delivered, g_free);
}

void vfio_pci_stats_class_init(ObjectClass *klass)
{
    InterruptStatsProviderClass *ic = INTERRUPT_STATS_PROVIDER_CLASS(klass);

    ic->get_statistics = vfio_pci_get_statistics;
    ic->print_info = vfio_pci_print_info;
}
