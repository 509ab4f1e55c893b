/*
 * MSI-X of vfio-pci: do what the core says, VFIO's part of it here
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "pci.h"
#include "vfio-base.h"
#include "trace.h"

static VFIOPCIDevice *vfio_msix_device(VFIOMSIXCore *core)
{
    return container_of(core, VFIOMSIXInfo, core)->vdev;
}

static void vfio_msix_state(VFIOMSIXCore *core, unsigned int nr,
                            VFIOMSIXState from, VFIOMSIXState to)
{
    trace_vfio_msix_state(vfio_msix_device(core)->vbasedev.name, nr,
                          vfio_msix_state_name(from), vfio_msix_state_name(to));
}

static const char *vfio_msix_reason(VFIOMSIXReason reason)
{
    switch (reason) {
    case VFIO_MSIX_NO_EVENTFD:
        return "cannot create an eventfd";
    case VFIO_MSIX_NO_TRIGGER:
        return "the host cannot set its trigger";
    case VFIO_MSIX_NO_VECTOR:
        return "the host has no more vectors";
    case VFIO_MSIX_NO_MSIX:
        return "cannot enable MSI-X on the host";
    }

    g_assert_not_reached();
}

static void vfio_msix_failed(VFIOMSIXCore *core, unsigned int nr,
                             VFIOMSIXReason reason, int ret)
{
    vfio_irq_report_vector(vfio_msix_device(core), nr,
                           vfio_msix_reason(reason), ret);
}

static const VFIOMSIXNotify vfio_msix_notify = {
    .state = vfio_msix_state,
    .failed = vfio_msix_failed,
};

/* Enable MSI-X with vectors 0 to @count - 1, none of which has a trigger */
static int vfio_msix_enable_bare(VFIOPCIDevice *vdev, unsigned int count)
{
    g_autofree struct vfio_irq_set *irq_set = NULL;
    size_t argsz = sizeof(*irq_set) + sizeof(int32_t);

    irq_set = g_malloc0(argsz);
    irq_set->argsz = argsz;
    irq_set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    irq_set->index = VFIO_PCI_MSIX_IRQ_INDEX;
    irq_set->start = count - 1;
    irq_set->count = 1;
    *(int32_t *)&irq_set->data = -1;

    return vfio_base_set_irqs(&vdev->vbasedev, irq_set);
}

static int vfio_msix_set_trigger(VFIOPCIDevice *vdev, unsigned int nr)
{
    int fd = event_notifier_get_fd(&vdev->msi_vectors[nr].interrupt);
    int ret = vfio_set_irq_signaling(&vdev->vbasedev, VFIO_PCI_MSIX_IRQ_INDEX,
                                     nr, VFIO_IRQ_SET_ACTION_TRIGGER, fd, NULL);

    trace_vfio_msix_set_trigger(vdev->vbasedev.name, nr, ret);
    return ret;
}

/*
 * This must reach the host whenever MSI-X may be enabled there, as it refuses
 * INTx until then; otherwise it does no harm.
 */
static void vfio_msix_host_disable(VFIOPCIDevice *vdev, unsigned int count)
{
    if (vdev->msix->core.phase == VFIO_MSIX_DISABLING && count) {
        vdev->stats.resizes++;
    }
    if (!count) {
        /* vfio_msix_park_intx() */
        vfio_base_disable(&vdev->vbasedev, VFIO_PCI_INTX_IRQ_INDEX);
    }
    vfio_base_disable(&vdev->vbasedev, VFIO_PCI_MSIX_IRQ_INDEX);
    trace_vfio_msix_host_disable(vdev->vbasedev.name);
}

/*
 * The guest has MSI-X enabled and the host has not, so that the device can
 * assert INTx.  With nobody to handle it, it would keep the host's interrupt
 * line busy until the host shuts that down, also for the other devices on it.
 * Let vfio-pci handle it, and leave it masked.
 */
static void vfio_msix_park_intx(VFIOPCIDevice *vdev)
{
    if (!vfio_pci_read_config(&vdev->pdev, PCI_INTERRUPT_PIN, 1)) {
        return;
    }

    if (!vfio_set_irq_signaling(&vdev->vbasedev, VFIO_PCI_INTX_IRQ_INDEX, 0,
                                VFIO_IRQ_SET_ACTION_TRIGGER, -1, NULL)) {
        vfio_base_mask(&vdev->vbasedev, VFIO_PCI_INTX_IRQ_INDEX);
    }
}

static int vfio_msix_do(VFIOPCIDevice *vdev, const VFIOMSIXStep *step)
{
    int ret = 0;

    switch (step->op) {
    case VFIO_MSIX_SET_TRIGGER:
        return vfio_msix_set_trigger(vdev, step->nr);
    case VFIO_MSIX_ENABLE:
        ret = vfio_enable_vectors(vdev, true, 0, step->count);
        trace_vfio_msix_host_enable(vdev->vbasedev.name, step->count, ret);
        return ret;
    case VFIO_MSIX_ENABLE_BARE:
        ret = vfio_msix_enable_bare(vdev, step->count);
        trace_vfio_msix_host_enable(vdev->vbasedev.name, step->count, ret);
        return ret;
    case VFIO_MSIX_ADD_BLOCK:
        return vfio_enable_vectors(vdev, true, step->nr, step->count);
    case VFIO_MSIX_CLEAR:
        vfio_base_disable(&vdev->vbasedev, VFIO_PCI_INTX_IRQ_INDEX);
        vfio_base_disable(&vdev->vbasedev, VFIO_PCI_MSI_IRQ_INDEX);
        vfio_base_disable(&vdev->vbasedev, VFIO_PCI_MSIX_IRQ_INDEX);
        return 0;
    case VFIO_MSIX_DISABLE:
        vfio_msix_host_disable(vdev, step->count);
        return 0;
    case VFIO_MSIX_PARK:
        if (!step->count && vfio_irq_may_report(vdev)) {
            error_report(VFIO_MSG_PREFIX "cannot enable MSI-X on the host: %s; "
                         "%s", vdev->vbasedev.name, strerror(-step->ret),
                         vfio_irq_remedy(step->ret));
        }
        vfio_msix_park_intx(vdev);
        return 0;
    case VFIO_MSIX_READ_PBA:
        vfio_msix_read_pba(vdev, step->bits);
        return 0;
    case VFIO_MSIX_REPLAY:
        event_notifier_set(&vdev->msi_vectors[step->nr].interrupt);
        vdev->stats.replays++;
        trace_vfio_msix_replay(vdev->vbasedev.name, step->nr);
        return 0;
    case VFIO_MSIX_UPDATE_ROUTE:
        return vfio_msix_kvm_update_route(vdev, step->nr);
    case VFIO_MSIX_COMMIT:
        return vfio_msix_kvm_commit(vdev);
    case VFIO_MSIX_ASSIGN:
        return vfio_msix_kvm_assign(vdev, step->nr);
    case VFIO_MSIX_DEASSIGN:
        return vfio_msix_kvm_deassign(vdev, step->nr);
    case VFIO_MSIX_SHOW_PBA:
        vfio_msix_show_pba(vdev, step->count);
        return 0;
    }

    g_assert_not_reached();
}

void vfio_msix_run(VFIOPCIDevice *vdev)
{
    VFIOMSIXCore *core = &vdev->msix->core;
    VFIOMSIXStep step;

    if (vdev->msix->running) {
        /*
         * A route is brought up with the help of the guest's IOMMU, whose
         * tables the guest may have put anywhere: into our PBA, for one.  The
         * loop below does what follows from that, too.
         */
        return;
    }

    vdev->msix->running = true;
    while (vfio_msix_core_next(core, &step)) {
        vfio_msix_core_answer(core, &step, vfio_msix_do(vdev, &step));
    }
    vdev->msix->running = false;
}

void vfio_msix_host_setup(VFIOPCIDevice *vdev)
{
    VFIOMSIXInfo *msix = vdev->msix;

    msix->vdev = vdev;
    vfio_msix_core_init(&msix->core, msix->entries, vdev->pdev.msix_pba,
                        &vfio_msix_notify);
    vfio_msix_table_setup(vdev);
    vfio_msix_kvm_setup(vdev);
}

void vfio_msix_host_teardown(VFIOPCIDevice *vdev)
{
    if (!vdev->msix->vdev) {
        return; /* realize failed before the setup */
    }

    vfio_msix_table_teardown(vdev);
    vfio_msix_kvm_teardown(vdev);
    vfio_msix_core_exit(&vdev->msix->core);
}

void vfio_msix_host_finalize(VFIOPCIDevice *vdev)
{
    vfio_msix_kvm_finalize(vdev);
}
