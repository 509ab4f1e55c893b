/*
 * What vfio-pci's MSI-X needs of QEMU and what differs between its versions;
 * this is 7.2's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_VFIO_BASE_H
#define HW_VFIO_VFIO_BASE_H

#include <sys/ioctl.h>
#include "hw/pci/msi.h"
#include "hw/vfio/vfio-common.h"
#include "sysemu/kvm.h"

/*
 * VFIO_DEVICE_SET_IRQS.  Returns 0, a negative errno, or a positive number: of
 * the interrupts that the host could have set up, none of which it has.
 */
static inline int vfio_base_set_irqs(VFIODevice *vbasedev,
                                     struct vfio_irq_set *irq_set)
{
    int ret = ioctl(vbasedev->fd, VFIO_DEVICE_SET_IRQS, irq_set);

    return ret < 0 ? -errno : ret;
}

/* VFIO_DEVICE_GET_IRQ_INFO.  Returns 0 or a negative errno. */
static inline int vfio_base_irq_info(VFIODevice *vbasedev,
                                     struct vfio_irq_info *info)
{
    return ioctl(vbasedev->fd, VFIO_DEVICE_GET_IRQ_INFO, info) ? -errno : 0;
}

/* Nothing signals interrupts of @index any more; no harm if nothing did. */
static inline void vfio_base_disable(VFIODevice *vbasedev, int index)
{
    vfio_disable_irqindex(vbasedev, index);
}

/* The one interrupt of @index is kept from the device until it is unmasked. */
static inline void vfio_base_mask(VFIODevice *vbasedev, int index)
{
    vfio_mask_single_irqindex(vbasedev, index);
}

/*
 * Give route @virq the message @msg.  Returns 1 if that changed it, which takes
 * effect with the next commit; 0 if not; a negative errno if it cannot be.
 */
static inline int vfio_base_update_route(int virq, MSIMessage msg,
                                         PCIDevice *pdev)
{
    return kvm_irqchip_update_msi_route(kvm_state, virq, msg, pdev);
}

#endif /* HW_VFIO_VFIO_BASE_H */
