/*
 * MSI-X of vfio-pci: the device's table and PBA, and what is seen of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/range.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "pci.h"
#include "vfio-base.h"
#include "trace.h"

/* x-msix-relocation: the table and the PBA of the guest are elsewhere */
static bool vfio_msix_is_relocated(VFIOPCIDevice *vdev)
{
    return vdev->msix_relo != OFF_AUTOPCIBAR_OFF;
}

/* Bytes, of both PBAs */
static unsigned int vfio_msix_pba_size(VFIOMSIXInfo *msix)
{
    return DIV_ROUND_UP(msix->entries, 64) * 8;
}

/* Part of the device's PBA, little endian as it is there; 0 if it cannot be */
static uint64_t vfio_msix_device_pba(VFIOPCIDevice *vdev, hwaddr addr,
                                     unsigned int size)
{
    VFIOMSIXInfo *msix = vdev->msix;
    uint64_t bits = 0;

    if (pread(vdev->vbasedev.fd, &bits, size, msix->host_pba_offset + addr +
              vdev->bars[msix->host_pba_bar].region.fd_offset) != size) {
        return 0; /* memory space is disabled, for example */
    }

    return le64_to_cpu(bits);
}

void vfio_msix_read_pba(VFIOPCIDevice *vdev, uint8_t *bits)
{
    unsigned int nr;

    for (nr = 0; nr < vdev->msix->entries; nr += 32) {
        uint32_t word = cpu_to_le32(vfio_msix_device_pba(vdev, nr / 8, 4));

        memcpy(bits + nr / 8, &word,
               MIN(4, DIV_ROUND_UP(vdev->msix->entries - nr, 8)));
    }
}

/*
 * QEMU's bits or-ed with the device's, which are those of vectors that the host
 * has no trigger for.  A vector that the guest masks may have been signalled
 * without QEMU's main loop having come to it: that is pending, too.
 *
 * A vCPU may get here after the device has been unplugged.
 */
static uint64_t vfio_msix_pba_read(void *opaque, hwaddr addr, unsigned size)
{
    VFIOPCIDevice *vdev = opaque;
    VFIOMSIXCore *core = &vdev->msix->core;
    unsigned int nr, end = MIN((addr + size) * 8, core->entries);
    uint64_t bits;

    for (nr = addr * 8; nr < end; nr++) {
        VFIOMSIXState state = core->vectors[nr].state;

        /* One that has failed may have a replay in its eventfd */
        if ((state == VFIO_MSIX_DIRECT || state == VFIO_MSIX_FAILED) &&
            core->vectors[nr].masked) {
            vfio_msi_interrupt(&vdev->msi_vectors[nr]);
        }
    }

    bits = vfio_msix_device_pba(vdev, addr, size);
    for (nr = addr * 8; nr < end; nr++) {
        bits |= (uint64_t)vfio_msix_core_pending(core, nr) << (nr - addr * 8);
    }

    return bits;
}

static void vfio_msix_pba_write(void *opaque, hwaddr addr, uint64_t data,
                                unsigned size)
{
    /* Read only: PCI 3.0, 6.8.2.10 */
}

static const MemoryRegionOps vfio_msix_pba_ops = {
    .read = vfio_msix_pba_read,
    .write = vfio_msix_pba_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 4,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 4,
        .max_access_size = 8,
    },
};

void vfio_msix_table_setup(VFIOPCIDevice *vdev)
{
    VFIOMSIXInfo *msix = vdev->msix;

    /* A PBA that was relocated has nothing of the device's below it */
    memory_region_init_io(&msix->pba_region, OBJECT(vdev), &vfio_msix_pba_ops,
                          vdev, "vfio-msix-pba", vfio_msix_pba_size(msix));
    memory_region_set_enabled(&msix->pba_region, vfio_msix_is_relocated(vdev));
    memory_region_add_subregion_overlap(vdev->bars[msix->pba_bar].mr,
                                        msix->pba_offset, &msix->pba_region, 1);
}

void vfio_msix_table_teardown(VFIOPCIDevice *vdev)
{
    memory_region_del_subregion(vdev->bars[vdev->msix->pba_bar].mr,
                                &vdev->msix->pba_region);
}

void vfio_msix_show_pba(VFIOPCIDevice *vdev, bool show)
{
    if (vfio_msix_is_relocated(vdev)) {
        return;
    }

    memory_region_set_enabled(&vdev->msix->pba_region, show);
    if (show) {
        trace_vfio_msix_pba_enable(vdev->vbasedev.name);
    } else {
        trace_vfio_msix_pba_disable(vdev->vbasedev.name);
    }
}

/* What a write of @len bytes at @addr has put into the byte at @reg, else 0 */
static uint8_t vfio_msix_byte_written(uint32_t addr, uint32_t val, int len,
                                      uint32_t reg)
{
    return range_covers_byte(addr, len, reg) ? val >> (reg - addr) * 8 : 0;
}

void vfio_msix_config_written(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                              int len)
{
    PCIDevice *pdev = &vdev->pdev;
    uint8_t af = pci_find_capability(pdev, PCI_CAP_ID_AF);
    bool reset = false;

    if (!vdev->msix) {
        return;
    }

    if (pdev->exp.exp_cap) {
        reset |= vfio_msix_byte_written(addr, val, len, pdev->exp.exp_cap +
                                        PCI_EXP_DEVCTL + 1) &
                 PCI_EXP_DEVCTL_BCR_FLR >> 8;
    }
    if (af) {
        reset |= vfio_msix_byte_written(addr, val, len, af + PCI_AF_CTRL) &
                 PCI_AF_CTRL_FLR;
    }
    if (vdev->pm_cap &&
        range_covers_byte(addr, len, vdev->pm_cap + PCI_PM_CTRL)) {
        bool d3 = (vfio_msix_byte_written(addr, val, len,
                                          vdev->pm_cap + PCI_PM_CTRL) &
                   PCI_PM_CTRL_STATE_MASK) == 3;

        /* A device may keep its table then, or say that it does not */
        reset |= vdev->msix->d3 && !d3;
        vdev->msix->d3 = d3;
    }

    if (reset) {
        vfio_msix_core_reset(&vdev->msix->core);
        trace_vfio_msix_reset(vdev->vbasedev.name);
    }
}
