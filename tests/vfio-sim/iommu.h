/*
 * vfio-sim: the DMA mappings of a container
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_SIM_IOMMU_H
#define VFIO_SIM_IOMMU_H

#include <stddef.h>
#include <stdint.h>

typedef struct SimMapping {
    uint64_t iova;
    uint64_t size;
} SimMapping;

typedef struct SimIommu {
    SimMapping *mappings;       /* in no order */
    size_t count;
    size_t room;
} SimIommu;

/* Return what the ioctl returns, a negative errno included. */
int sim_iommu_info(void *user);
int sim_iommu_map(SimIommu *iommu, const void *user);
int sim_iommu_unmap(SimIommu *iommu, void *user);
void sim_iommu_clear(SimIommu *iommu);

#endif
