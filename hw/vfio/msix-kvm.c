/*
 * MSI-X of vfio-pci: routes and irqfds of KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/pci/msix.h"
#include "pci.h"
#include "vfio-base.h"

/*
 * A commit sends all routes of the machine.  Vectors that are unmasked within
 * this time of the last one share the next: with one commit for each, N vectors
 * would take N * N.
 */
#define VFIO_MSIX_COMMIT_MS 5

static void vfio_msix_commit_timer(void *opaque)
{
    VFIOPCIDevice *vdev = opaque;

    vfio_msix_core_timer(&vdev->msix->core);
    vfio_msix_run(vdev);
}

void vfio_msix_kvm_setup(VFIOPCIDevice *vdev)
{
    vdev->msix->commit_timer = timer_new_ms(QEMU_CLOCK_REALTIME,
                                            vfio_msix_commit_timer, vdev);
}

void vfio_msix_kvm_teardown(VFIOPCIDevice *vdev)
{
    timer_del(vdev->msix->commit_timer);
}

void vfio_msix_kvm_finalize(VFIOPCIDevice *vdev)
{
    timer_free(vdev->msix->commit_timer);
}

bool vfio_msix_kvm_wanted(VFIOPCIDevice *vdev)
{
    return !vdev->no_kvm_msix && kvm_irqfds_enabled();
}

/* The vector stays QEMU's until the guest unmasks it again, which works too */
static void vfio_msix_kvm_failed(VFIOPCIDevice *vdev, unsigned int nr, int ret)
{
    /* Some irqchips have no routes at all, which is nothing to warn of */
    if (ret != -ENOSYS && !vdev->msix->kvm_failed) {
        vdev->msix->kvm_failed = true;
        warn_report(VFIO_MSG_PREFIX "KVM cannot deliver vector %u, QEMU does, "
                    "with higher latency", vdev->vbasedev.name, nr);
    }
}

int vfio_msix_kvm_update_route(VFIOPCIDevice *vdev, unsigned int nr)
{
    VFIOMSIVector *vector = &vdev->msi_vectors[nr];
    KVMRouteChange *changes = &vdev->msix->route_changes;
    int ret;

    if (kvm_gsi_direct_mapping()) {
        /* The message itself names the interrupt: GICv2m of Arm, for one */
        vfio_msix_kvm_release(vector);
    }

    changes->s = kvm_state;
    if (vector->virq < 0) {
        ret = kvm_irqchip_add_msi_route(changes, nr, &vdev->pdev);
        if (ret >= 0) {
            vector->virq = ret;
        }
    } else {
        /*
         * What the route has is known to itself only: the message may be
         * remapped by the guest's IOMMU, whose changes KVM's code enters into
         * the routes of all devices.
         */
        ret = vfio_base_update_route(vector->virq,
                                     msix_get_message(&vdev->pdev, nr),
                                     &vdev->pdev);
        if (ret >= 0) {
            changes->changes += ret;
        } else {
            vfio_msix_kvm_release(vector);
        }
    }

    if (ret < 0) {
        vfio_msix_kvm_failed(vdev, nr, ret);
        return ret;
    }

    return changes->changes > 0;
}

int vfio_msix_kvm_commit(VFIOPCIDevice *vdev)
{
    kvm_irqchip_commit_route_changes(&vdev->msix->route_changes);
    timer_mod(vdev->msix->commit_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + VFIO_MSIX_COMMIT_MS);
    return 0;
}

int vfio_msix_kvm_assign(VFIOPCIDevice *vdev, unsigned int nr)
{
    VFIOMSIVector *vector = &vdev->msi_vectors[nr];
    int fd = event_notifier_get_fd(&vector->interrupt);
    int ret;

    qemu_set_fd_handler(fd, NULL, NULL, NULL);
    ret = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &vector->interrupt,
                                             NULL, vector->virq);
    if (ret < 0) {
        qemu_set_fd_handler(fd, vfio_msi_interrupt, NULL, vector);
        vfio_msix_kvm_release(vector);
        vfio_msix_kvm_failed(vdev, nr, ret);
        return ret;
    }

    vdev->stats.irqfd_assigned++;
    return 0;
}

int vfio_msix_kvm_deassign(VFIOPCIDevice *vdev, unsigned int nr)
{
    VFIOMSIVector *vector = &vdev->msi_vectors[nr];

    /* KVM has injected what was signalled when this returns */
    kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &vector->interrupt,
                                          vector->virq);
    qemu_set_fd_handler(event_notifier_get_fd(&vector->interrupt),
                        vfio_msi_interrupt, NULL, vector);
    return 0;
}

void vfio_msix_kvm_release(VFIOMSIVector *vector)
{
    if (vector->virq >= 0) {
        kvm_irqchip_release_virq(kvm_state, vector->virq);
        vector->virq = -1;
    }
}
