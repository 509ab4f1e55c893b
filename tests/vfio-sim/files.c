/*
 * vfio-sim: containers, groups and device files
 *
 * As drivers/vfio/container.c, group.c and vfio_main.c have it.  One lock for
 * all of them; it is held while a device is opened and closed, and not while
 * it does what it is asked for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "iommu.h"
#include "real.h"
#include "sim.h"

typedef enum FileType {
    CONTAINER,
    GROUP,
    DEVICE,
} FileType;

struct SimFile {
    FileType type;
    unsigned refs;

    /* CONTAINER */
    unsigned nr_groups;
    unsigned long iommu_type;   /* 0: none set yet */
    SimIommu iommu;

    /* GROUP, DEVICE */
    SimDevice *device;
    SimFile *container;         /* of a group: a reference, or NULL */
    SimFile *group;             /* of a device: a reference */
};

static pthread_mutex_t files_mutex = PTHREAD_MUTEX_INITIALIZER;

static SimFile *new_file(FileType type)
{
    SimFile *f = calloc(1, sizeof(*f));

    if (f) {
        f->type = type;
        f->refs = 1;
    }
    return f;
}

SimFile *sim_file_ref(SimFile *f)
{
    pthread_mutex_lock(&files_mutex);
    f->refs++;
    pthread_mutex_unlock(&files_mutex);
    return f;
}

static void detach(SimFile *group)
{
    SimFile *container = group->container;

    if (!container) {
        return;
    }
    pthread_mutex_lock(&files_mutex);
    group->container = NULL;
    if (!--container->nr_groups) {
        /* without a group there is no IOMMU */
        container->iommu_type = 0;
        sim_iommu_clear(&container->iommu);
    }
    pthread_mutex_unlock(&files_mutex);
    sim_file_unref(container);
}

static void close_device(SimDevice *d)
{
    pthread_mutex_lock(&files_mutex);
    if (!--d->open_count) {
        sim_device_close(d);
    }
    pthread_mutex_unlock(&files_mutex);
}

void sim_file_unref(SimFile *f)
{
    unsigned refs;

    pthread_mutex_lock(&files_mutex);
    refs = --f->refs;
    pthread_mutex_unlock(&files_mutex);
    if (refs) {
        return;
    }
    switch (f->type) {
    case CONTAINER:
        sim_iommu_clear(&f->iommu);
        break;
    case GROUP:
        detach(f);
        break;
    case DEVICE:
        close_device(f->device);
        sim_file_unref(f->group);
        break;
    }
    free(f);
}

SimDevice *sim_file_device(SimFile *f)
{
    return f->type == DEVICE ? f->device : NULL;
}

static SimDevice *find_group(const char *name)
{
    unsigned i;
    char number[16];

    for (i = 0; i < sim_settings.nr_devices; i++) {
        snprintf(number, sizeof(number), "%d", sim_settings.devices[i]->group);
        if (!strcmp(name, number)) {
            return sim_settings.devices[i];
        }
    }
    return NULL;
}

/*
 * A group can be open once, in all the system.  The lock of a file does that,
 * and goes with the process, however that ends.
 */
static int open_group_file(SimDevice *d)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/groups/%d", sim_settings.folder,
             d->group);
    fd = sim_real()->open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        sim_real()->close(fd);
        errno = EBUSY;
        return -1;
    }
    return fd;
}

SimFile *sim_file_open(const char *name, int *fd)
{
    bool container = !strcmp(name, "vfio");
    SimDevice *d = container ? NULL : find_group(name);
    SimFile *f;

    if (!container && !d) {
        errno = ENXIO;
        return NULL;
    }
    f = new_file(container ? CONTAINER : GROUP);
    if (!f) {
        errno = ENOMEM;
        return NULL;
    }
    f->device = d;
    *fd = container ? sim_real()->open("/dev/null", O_RDWR | O_CLOEXEC) :
                      open_group_file(d);
    if (*fd < 0) {
        free(f);
        return NULL;
    }
    return f;
}

static int check_extension(unsigned long extension)
{
    switch (extension) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case VFIO_DMA_CC_IOMMU:
    case VFIO_UNMAP_ALL:
        return 1;
    default:
        return 0;
    }
}

static int set_iommu(SimFile *f, unsigned long type)
{
    if (!f->nr_groups || f->iommu_type ||
        (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)) {
        return -EINVAL;
    }
    f->iommu_type = type;
    return 0;
}

static int container_ioctl(SimFile *f, unsigned long request, void *arg)
{
    int result;

    switch (request) {
    case VFIO_GET_API_VERSION:
        return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION:
        return check_extension((unsigned long)arg);
    }

    pthread_mutex_lock(&files_mutex);
    if (request == VFIO_SET_IOMMU) {
        result = set_iommu(f, (unsigned long)arg);
    } else if (!f->iommu_type) {
        result = -EINVAL;
    } else {
        switch (request) {
        case VFIO_IOMMU_GET_INFO:
            result = sim_iommu_info(arg);
            break;
        case VFIO_IOMMU_MAP_DMA:
            result = sim_iommu_map(&f->iommu, arg);
            break;
        case VFIO_IOMMU_UNMAP_DMA:
            result = sim_iommu_unmap(&f->iommu, arg);
            break;
        default:
            result = -ENOTTY;
        }
    }
    pthread_mutex_unlock(&files_mutex);
    return result;
}

static int group_status(SimFile *f, void *user)
{
    struct vfio_group_status status;

    if (sim_copy_from_user(&status, user, sizeof(status))) {
        return -EFAULT;
    }
    if (status.argsz < sizeof(status)) {
        return -EINVAL;
    }
    status.flags = VFIO_GROUP_FLAGS_VIABLE;
    if (f->container) {
        status.flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
    }
    return sim_copy_to_user(user, &status, sizeof(status)) ? -EFAULT : 0;
}

static int set_container(SimFile *f, const void *user)
{
    SimFile *container;
    int32_t fd;
    int result = 0;

    if (sim_copy_from_user(&fd, user, sizeof(fd))) {
        return -EFAULT;
    }
    if (fd < 0) {
        return -EINVAL;
    }
    container = sim_fd_lookup(fd);
    if (!container) {
        return sim_real()->fcntl(fd, F_GETFD) < 0 ? -EBADF : -EINVAL;
    }
    pthread_mutex_lock(&files_mutex);
    if (container->type != CONTAINER || f->container) {
        result = -EINVAL;
    } else {
        f->container = container;
        container->nr_groups++;
    }
    pthread_mutex_unlock(&files_mutex);
    if (result) {
        sim_file_unref(container);
    }
    return result;
}

static int unset_container(SimFile *f)
{
    if (!f->container) {
        return -EINVAL;
    }
    if (f->device->open_count) {
        return -EBUSY;
    }
    detach(f);
    return 0;
}

static int get_device(SimFile *f, const char *user)
{
    SimDevice *d = f->device;
    char name[64];
    SimFile *file;
    size_t i;
    int fd;

    for (i = 0; i < sizeof(name); i++) {
        if (sim_copy_from_user(name + i, user + i, 1)) {
            return -EFAULT;
        }
        if (!name[i]) {
            break;
        }
    }
    if (i == sizeof(name) || strcmp(name, d->name)) {
        return -ENODEV;
    }
    if (!f->container || !f->container->iommu_type) {
        return -EINVAL;
    }

    file = new_file(DEVICE);
    if (!file) {
        return -ENOMEM;
    }
    fd = sim_real()->open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        free(file);
        return -errno;
    }

    pthread_mutex_lock(&files_mutex);
    if (!d->open_count && !sim_device_open(d)) {
        pthread_mutex_unlock(&files_mutex);
        sim_real()->close(fd);
        free(file);
        return -EIO;
    }
    d->open_count++;
    f->refs++;
    pthread_mutex_unlock(&files_mutex);

    file->device = d;
    file->group = f;
    sim_fd_install(fd, file);
    return fd;
}

static int group_ioctl(SimFile *f, unsigned long request, void *arg)
{
    switch (request) {
    case VFIO_GROUP_GET_STATUS:
        return group_status(f, arg);
    case VFIO_GROUP_SET_CONTAINER:
        return set_container(f, arg);
    case VFIO_GROUP_UNSET_CONTAINER:
        return unset_container(f);
    case VFIO_GROUP_GET_DEVICE_FD:
        return get_device(f, arg);
    default:
        return -ENOTTY;
    }
}

int sim_file_ioctl(SimFile *f, unsigned long request, void *arg)
{
    switch (f->type) {
    case CONTAINER:
        return container_ioctl(f, request, arg);
    case GROUP:
        return group_ioctl(f, request, arg);
    case DEVICE:
    default:
        return sim_device_ioctl(f->device, request, arg);
    }
}
