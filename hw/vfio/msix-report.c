/*
 * Interrupts of vfio-pci: what the log is told of them, and how much
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "pci.h"
#include "trace.h"

/* Lines beside one for each MSI-X vector, in this time */
#define VFIO_IRQ_REPORTS 64
#define VFIO_IRQ_REPORTS_MS 60000

const char *vfio_irq_remedy(int ret)
{
    switch (ret) {
    case -ENOSPC:
        return "have other devices on the host use fewer interrupts";
    case -EMFILE:
        return "raise QEMU's limit of open files, RLIMIT_NOFILE";
    case -ENFILE:
        return "raise the host's limit of open files, fs.file-max";
    case -ENOMEM:
        return "free memory on the host";
    default:
        return "the kernel log of the host may tell why";
    }
}

bool vfio_irq_may_report(VFIOPCIDevice *vdev)
{
    unsigned int limit = VFIO_IRQ_REPORTS;
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (vdev->msix) {
        limit += vdev->msix->entries;
    }
    if (now >= vdev->irq_reports_since + VFIO_IRQ_REPORTS_MS) {
        vdev->irq_reports_since = now;
        vdev->irq_reports = 0;
    }
    if (vdev->irq_reports < limit) {
        vdev->irq_reports++;
        return true;
    }
    if (vdev->irq_reports == limit) {
        vdev->irq_reports++;
        error_report(VFIO_MSG_PREFIX "too many errors, not reporting more for "
                     "a minute", vdev->vbasedev.name);
    }

    return false;
}

void vfio_irq_report_err(VFIOPCIDevice *vdev, Error *err)
{
    if (vfio_irq_may_report(vdev)) {
        error_reportf_err(err, VFIO_MSG_PREFIX, vdev->vbasedev.name);
    } else {
        error_free(err);
    }
}

void vfio_irq_report_vector(VFIOPCIDevice *vdev, unsigned int nr,
                            const char *what, int ret)
{
    VFIOMSIVector *vector = &vdev->msi_vectors[nr];

    trace_vfio_msi_vector_failed(vdev->vbasedev.name, nr, what, ret);

    vdev->irq_setup_failures++;
    if (!vector->setup_failed) {
        vector->setup_failed = true;
        if (vfio_irq_may_report(vdev)) {
            error_report(VFIO_MSG_PREFIX "vector %u gets no interrupts: %s: "
                         "%s; %s", vdev->vbasedev.name, nr, what,
                         strerror(-ret), vfio_irq_remedy(ret));
        }
    }
}
