/*
 * vfio-abi: the device under test, by VFIO
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "abi.h"

#define REGION(index) ((off_t)(index) << 40)

static const uint32_t state_counters[NR_COUNTERS] = {
    MSIX_TESTDEV_MSIX_ENABLES, MSIX_TESTDEV_MSIX_DISABLES, MSIX_TESTDEV_RESETS,
    MSIX_TESTDEV_SENT, MSIX_TESTDEV_PENDED, MSIX_TESTDEV_DROPPED,
    MSIX_TESTDEV_INTX_RAISED,
};

Device dev;

void die(const char *format, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("vfio-abi: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}

static unsigned access_depth;
static uint16_t command_before;

void begin_access(void)
{
    if (!access_depth++ && !dev.memory) {
        command_before = config_read(PCI_COMMAND, 2);
        config_write(PCI_COMMAND, command_before | PCI_COMMAND_MEMORY, 2);
    }
}

void end_access(void)
{
    if (!--access_depth && !dev.memory) {
        config_write(PCI_COMMAND, command_before, 2);
    }
}

uint32_t reg_read(uint32_t reg)
{
    uint32_t value;

    begin_access();
    if (pread(dev.fd, &value, 4, REGION(MSIX_TESTDEV_REGS_BAR) + reg) != 4) {
        die("register 0x%x cannot be read: %s", reg, strerror(errno));
    }
    end_access();
    return value;
}

void reg_write(uint32_t reg, uint32_t value)
{
    begin_access();
    if (pwrite(dev.fd, &value, 4, REGION(MSIX_TESTDEV_REGS_BAR) + reg) != 4) {
        die("register 0x%x cannot be written: %s", reg, strerror(errno));
    }
    end_access();
}

uint32_t config_read(unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (pread(dev.fd, &value, size, REGION(VFIO_PCI_CONFIG_REGION_INDEX) +
              offset) != (ssize_t)size) {
        die("config space cannot be read at 0x%x: %s", offset,
            strerror(errno));
    }
    return value;
}

void config_write(unsigned offset, uint32_t value, unsigned size)
{
    if (pwrite(dev.fd, &value, size, REGION(VFIO_PCI_CONFIG_REGION_INDEX) +
               offset) != (ssize_t)size) {
        die("config space cannot be written at 0x%x: %s", offset,
            strerror(errno));
    }
}

static unsigned find_capability(uint8_t id)
{
    unsigned at = config_read(PCI_CAPABILITY_LIST, 1), hops;

    for (hops = 0; at && hops < 48; hops++) {
        if (config_read(at, 1) == id) {
            return at;
        }
        at = config_read(at + 1, 1);
    }
    return 0;
}

void read_counters(uint32_t *to)
{
    unsigned i;

    for (i = 0; i < NR_COUNTERS; i++) {
        to[i] = reg_read(state_counters[i]);
    }
}

/* Fills in 32 pending bits a word; returns the number of words. */
unsigned read_pending(uint32_t index, uint32_t *words)
{
    unsigned size = (dev.vectors + 31) / 32 * 4;

    if (index == VFIO_PCI_MSI_IRQ_INDEX) {
        words[0] = dev.cap_msi ?
                   config_read(dev.cap_msi + PCI_MSI_PENDING_64, 4) : 0;
        return 1;
    }
    begin_access();
    if (pread(dev.fd, words, size, REGION(MSIX_TESTDEV_MSIX_BAR) +
              MSIX_TESTDEV_PBA_OFFSET) != (ssize_t)size) {
        die("the pending bits cannot be read: %s", strerror(errno));
    }
    end_access();
    return size / 4;
}

void set_command(uint16_t set, uint16_t clear)
{
    config_write(PCI_COMMAND, (config_read(PCI_COMMAND, 2) & ~clear) | set, 2);
}

void open_device(void)
{
    dev.fd = ioctl(dev.group, VFIO_GROUP_GET_DEVICE_FD, dev.name);
    if (dev.fd < 0) {
        die("%s: VFIO_GROUP_GET_DEVICE_FD: %s", dev.name, strerror(errno));
    }
    set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
                PCI_COMMAND_INTX_DISABLE);
    dev.memory = true;
    if (config_read(PCI_VENDOR_ID, 2) != MSIX_TESTDEV_VENDOR_ID ||
        config_read(PCI_DEVICE_ID, 2) != MSIX_TESTDEV_DEVICE_ID ||
        reg_read(MSIX_TESTDEV_ID) != MSIX_TESTDEV_ID_VALUE) {
        die("%s is no msix-testdev", dev.name);
    }
    dev.vectors = reg_read(MSIX_TESTDEV_VECTORS);
    dev.cap_msi = find_capability(PCI_CAP_ID_MSI);
    dev.cap_exp = find_capability(PCI_CAP_ID_EXP);
    if (!dev.cap_exp) {
        die("%s has no PCI Express capability", dev.name);
    }
    read_counters(dev.counters);
}

void open_host(const char *device)
{
    char path[512], target[256], *slash;
    ssize_t length;

    if (!strncmp(device, "sysfsdev=", 9)) {
        dev.folder = strdup(device + 9);
    } else if (!strncmp(device, "host=", 5)) {
        if (asprintf(&dev.folder, "/sys/bus/pci/devices/%s", device + 5) < 0) {
            die("out of memory");
        }
    } else {
        die("--device: neither host= nor sysfsdev=: %s", device);
    }
    slash = strrchr(dev.folder, '/');
    dev.name = slash ? slash + 1 : dev.folder;

    snprintf(path, sizeof(path), "%s/iommu_group", dev.folder);
    length = readlink(path, target, sizeof(target) - 1);
    if (length < 0) {
        die("%s: %s", path, strerror(errno));
    }
    target[length] = 0;
    slash = strrchr(target, '/');
    snprintf(path, sizeof(path), "/dev/vfio/%s", slash ? slash + 1 : target);

    dev.container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (dev.container < 0) {
        die("/dev/vfio/vfio: %s", strerror(errno));
    }
    dev.group = open(path, O_RDWR | O_CLOEXEC);
    if (dev.group < 0) {
        die("%s: %s", path, strerror(errno));
    }
    if (ioctl(dev.group, VFIO_GROUP_SET_CONTAINER, &dev.container) < 0 ||
        ioctl(dev.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0) {
        die("%s: cannot set the IOMMU: %s", path, strerror(errno));
    }
    open_device();
}
