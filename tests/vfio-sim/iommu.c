/*
 * vfio-sim: the DMA mappings of a container
 *
 * The device does no DMA; mappings are checked as in
 * drivers/vfio/vfio_iommu_type1.c and kept, so that wrong calls fail.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include "iommu.h"
#include "sim.h"

#define PAGE 4096ULL

/* As on x86: all that the IOMMU has, but for the window of the messages */
static const struct vfio_iova_range ranges[] = {
    { 0, 0xfedfffff },
    { 0xfef00000, 0xffffffffffff },
};

/* dma_entry_limit in the kernel */
#define MAX_MAPPINGS 65535

typedef struct Info {
    struct vfio_iommu_type1_info base;
    struct vfio_iommu_type1_info_cap_iova_range iova;
    struct vfio_iova_range ranges[SIM_N_ELEMENTS(ranges)];
    struct vfio_iommu_type1_info_dma_avail avail;
} __attribute__((packed, aligned(8))) Info;

int sim_iommu_info(void *user)
{
    const size_t min = offsetof(struct vfio_iommu_type1_info, iova_pgsizes) +
                       sizeof(uint64_t);
    uint32_t argsz;
    Info info;
    size_t size;

    if (sim_copy_from_user(&argsz, user, sizeof(argsz))) {
        return -EFAULT;
    }
    if (argsz < min) {
        return -EINVAL;
    }

    memset(&info, 0, sizeof(info));
    info.base.argsz = sizeof(info);
    info.base.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
    info.base.iova_pgsizes = ~(PAGE - 1);
    info.iova.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
    info.iova.header.version = 1;
    info.iova.header.next = offsetof(Info, avail);
    info.iova.nr_iovas = SIM_N_ELEMENTS(ranges);
    memcpy(info.ranges, ranges, sizeof(ranges));
    info.avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
    info.avail.header.version = 1;
    info.avail.avail = MAX_MAPPINGS;

    /* A user with little room is told how much he needs. */
    if (argsz >= sizeof(info)) {
        info.base.cap_offset = offsetof(Info, iova);
        size = sizeof(info);
    } else {
        size = argsz < sizeof(info.base) ? argsz : sizeof(info.base);
    }
    return sim_copy_to_user(user, &info, size) ? -EFAULT : 0;
}

static bool is_valid_range(uint64_t iova, uint64_t size)
{
    unsigned i;

    for (i = 0; i < SIM_N_ELEMENTS(ranges); i++) {
        if (iova >= ranges[i].start && iova + size - 1 <= ranges[i].end) {
            return true;
        }
    }
    return false;
}

static bool overlaps(const SimMapping *m, uint64_t iova, uint64_t size)
{
    return iova < m->iova + m->size && m->iova < iova + size;
}

int sim_iommu_map(SimIommu *iommu, const void *user)
{
    struct vfio_iommu_type1_dma_map map;
    size_t i;

    if (sim_copy_from_user(&map, user, sizeof(map))) {
        return -EFAULT;
    }
    if (map.argsz < sizeof(map) ||
        map.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) ||
        !map.flags || !map.size || (map.size | map.iova | map.vaddr) % PAGE ||
        map.iova + map.size - 1 < map.iova ||
        map.vaddr + map.size - 1 < map.vaddr) {
        return -EINVAL;
    }
    for (i = 0; i < iommu->count; i++) {
        if (overlaps(&iommu->mappings[i], map.iova, map.size)) {
            return -EEXIST;
        }
    }
    if (iommu->count == MAX_MAPPINGS) {
        return -ENOSPC;
    }
    if (!is_valid_range(map.iova, map.size)) {
        return -EINVAL;
    }

    if (iommu->count == iommu->room) {
        size_t room = iommu->room ? iommu->room * 2 : 64;
        SimMapping *more = reallocarray(iommu->mappings, room, sizeof(*more));

        if (!more) {
            return -ENOMEM;
        }
        iommu->mappings = more;
        iommu->room = room;
    }
    iommu->mappings[iommu->count++] = (SimMapping) { map.iova, map.size };
    return 0;
}

/* Version 2 of type 1: what is unmapped must not cut a mapping in two. */
int sim_iommu_unmap(SimIommu *iommu, void *user)
{
    const size_t min = offsetof(struct vfio_iommu_type1_dma_unmap, size) +
                       sizeof(uint64_t);
    struct vfio_iommu_type1_dma_unmap unmap;
    uint64_t end, sum = 0;
    size_t i;
    bool all;

    if (sim_copy_from_user(&unmap, user, min)) {
        return -EFAULT;
    }
    all = unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL;
    if (unmap.argsz < min || unmap.flags & ~VFIO_DMA_UNMAP_FLAG_ALL) {
        return -EINVAL;
    }
    if (all) {
        if (unmap.iova || unmap.size) {
            return -EINVAL;
        }
        end = UINT64_MAX;
    } else {
        if (!unmap.size || (unmap.size | unmap.iova) % PAGE ||
            unmap.iova + unmap.size - 1 < unmap.iova) {
            return -EINVAL;
        }
        end = unmap.iova + unmap.size - 1;
    }

    for (i = 0; i < iommu->count; i++) {
        const SimMapping *m = &iommu->mappings[i];
        uint64_t last = m->iova + m->size - 1;

        if ((m->iova < unmap.iova && last >= unmap.iova) ||
            (m->iova <= end && last > end)) {
            return -EINVAL;
        }
    }
    for (i = 0; i < iommu->count;) {
        const SimMapping *m = &iommu->mappings[i];

        if (m->iova >= unmap.iova && m->iova + m->size - 1 <= end) {
            sum += m->size;
            iommu->mappings[i] = iommu->mappings[--iommu->count];
        } else {
            i++;
        }
    }

    unmap.size = sum;
    return sim_copy_to_user(user, &unmap, min) ? -EFAULT : 0;
}

void sim_iommu_clear(SimIommu *iommu)
{
    free(iommu->mappings);
    memset(iommu, 0, sizeof(*iommu));
}
