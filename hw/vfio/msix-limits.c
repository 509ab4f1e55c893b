/*
 * MSI-X of vfio-pci: what the host allows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "pci.h"
#include "vfio-base.h"
#include "trace.h"

/*
 * Linux can add vectors since 6.5 where the interrupt controller's driver can,
 * and clears VFIO_IRQ_INFO_NORESIZE then (include/uapi/linux/vfio.h).  Who does
 * not know must assume that the host cannot.
 */
bool vfio_msix_query_noresize(VFIOPCIDevice *vdev, Error **errp)
{
    struct vfio_irq_info irq_info = {
        .argsz = sizeof(irq_info),
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };
    int ret;

    if (!vdev->msix) {
        if (vdev->msix_dynamic == ON_OFF_AUTO_ON) {
            error_setg(errp, "x-msix-dynamic=on: the device has no MSI-X");
            return false;
        }
        return true;
    }

    ret = vfio_base_irq_info(&vdev->vbasedev, &irq_info);
    vdev->msix->noresize = ret || (irq_info.flags & VFIO_IRQ_INFO_NORESIZE);

    if (vdev->msix_dynamic == ON_OFF_AUTO_ON && vdev->msix->noresize) {
        if (ret) {
            error_setg_errno(errp, -ret, "x-msix-dynamic=on: cannot query the "
                             "MSI-X interrupts of the host");
        } else {
            error_setg(errp, "x-msix-dynamic=on: the host cannot add MSI-X "
                       "vectors at run time, and sets VFIO_IRQ_INFO_NORESIZE");
        }
        return false;
    }

    if (vdev->msix_dynamic == ON_OFF_AUTO_OFF) {
        vdev->msix->noresize = true;
    } else if (ret) {
        warn_report(VFIO_MSG_PREFIX "cannot query the MSI-X interrupts of the "
                    "host: %s; each new vector will disturb the others",
                    vdev->vbasedev.name, strerror(-ret));
    }

    trace_vfio_msix_query_noresize(vdev->vbasedev.name, vdev->msix->noresize);

    return true;
}

/* How many eventfds a device may open on top of those that it has */
static unsigned int vfio_msix_eventfds_to_come(VFIOPCIDevice *vdev)
{
    unsigned int nr, vectors;

    if (!vdev->msix) {
        return 0;
    }

    vectors = vdev->msix->entries;
    if (vdev->interrupt == VFIO_INT_MSIX) {
        for (nr = 0; nr < vdev->nr_vectors; nr++) {
            vectors -= vdev->msi_vectors[nr].use;
        }
    }

    return vectors;
}

/*
 * Have the kernel's table of open files take @count.  It doubles when it is
 * full, and in a process that has threads waits for all processors to know
 * (RCU), which may take tens of ms: not while a guest unmasks a vector.
 */
static void vfio_msix_reserve_files(unsigned int count)
{
    EventNotifier notifier;
    int fd;

    if (count < 1 || event_notifier_init(&notifier, 0)) {
        return;
    }

    fd = fcntl(event_notifier_get_fd(&notifier), F_DUPFD_CLOEXEC, count - 1);
    if (fd >= 0) {
        close(fd);
    }
    event_notifier_cleanup(&notifier);
}

void vfio_msix_check_open_files(VFIOPCIDevice *vdev)
{
    unsigned int open = 0, to_come = 0;
    struct rlimit limit;
    VFIOGroup *group;
    VFIODevice *vbasedev;
    GDir *dir;

    if (!vdev->msix || getrlimit(RLIMIT_NOFILE, &limit) ||
        limit.rlim_cur == RLIM_INFINITY) {
        return;
    }

    dir = g_dir_open("/proc/self/fd", 0, NULL);
    if (dir) {
        while (g_dir_read_name(dir)) {
            open++;
        }
        g_dir_close(dir);
    }

    QLIST_FOREACH(group, &vfio_group_list, next) {
        QLIST_FOREACH(vbasedev, &group->device_list, next) {
            if (vbasedev->type == VFIO_DEVICE_TYPE_PCI) {
                to_come += vfio_msix_eventfds_to_come(
                    container_of(vbasedev, VFIOPCIDevice, vbasedev));
            }
        }
    }

    vfio_msix_reserve_files(MIN(open + to_come, limit.rlim_cur));
    if (open + to_come > limit.rlim_cur) {
        warn_report(VFIO_MSG_PREFIX "the limit of open files, RLIMIT_NOFILE, "
                    "is %" PRIu64 ", and its %u MSI-X vectors may need %u: "
                    "raise it, or some may get no interrupts",
                    vdev->vbasedev.name, (uint64_t)limit.rlim_cur,
                    vdev->msix->entries, open + to_come);
    }
}
