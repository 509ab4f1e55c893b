/*
 * vfio-log: the log of VFIO calls, one line a call, and of what QEMU tells KVM
 * about interrupts
 *
 * The calls are those of include/uapi/linux/vfio.h and kvm.h in the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "vfio-log-line.h"

#define CALL(name) [_IOC_NR(name) - VFIO_BASE] = #name

/* The meaning of higher numbers depends on the file: container or device */
static const char *const call_names[] = {
    CALL(VFIO_GET_API_VERSION),
    CALL(VFIO_CHECK_EXTENSION),
    CALL(VFIO_SET_IOMMU),
    CALL(VFIO_GROUP_GET_STATUS),
    CALL(VFIO_GROUP_SET_CONTAINER),
    CALL(VFIO_GROUP_UNSET_CONTAINER),
    CALL(VFIO_GROUP_GET_DEVICE_FD),
    CALL(VFIO_DEVICE_GET_INFO),
    CALL(VFIO_DEVICE_GET_REGION_INFO),
    CALL(VFIO_DEVICE_GET_IRQ_INFO),
    CALL(VFIO_DEVICE_SET_IRQS),
    CALL(VFIO_DEVICE_RESET),
};

static const char *const index_names[] = {
    [VFIO_PCI_INTX_IRQ_INDEX] = "INTX",
    [VFIO_PCI_MSI_IRQ_INDEX] = "MSI",
    [VFIO_PCI_MSIX_IRQ_INDEX] = "MSIX",
    [VFIO_PCI_ERR_IRQ_INDEX] = "ERR",
    [VFIO_PCI_REQ_IRQ_INDEX] = "REQ",
};

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static int log_fd = -1;

void vfio_log_open(void)
{
    const char *path = getenv("VFIO_LOG");

    if (path) {
        log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (log_fd < 0) {
            fprintf(stderr, "vfio-log: %s: %s\n", path, strerror(errno));
            exit(2);
        }
    }
}

static bool is_vfio(unsigned long request)
{
    return _IOC_TYPE(request) == VFIO_TYPE && _IOC_NR(request) >= VFIO_BASE;
}

bool vfio_log_wants(unsigned long request)
{
    return log_fd >= 0 && (is_vfio(request) || request == KVM_IRQFD ||
                           request == KVM_SET_GSI_ROUTING);
}

static void print_set_irqs(FILE *out, const struct vfio_irq_set *set)
{
    const int32_t *fds = (const int32_t *)set->data;
    unsigned int i, space;

    if (set->argsz < sizeof(*set)) {
        fprintf(out, " argsz=%u", set->argsz);
        return;
    }

    if (set->index < N_ELEMENTS(index_names)) {
        fprintf(out, " index=%s", index_names[set->index]);
    } else {
        fprintf(out, " index=%u", set->index);
    }

    switch (set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
    case VFIO_IRQ_SET_ACTION_MASK:
        fputs(" action=MASK", out);
        break;
    case VFIO_IRQ_SET_ACTION_UNMASK:
        fputs(" action=UNMASK", out);
        break;
    case VFIO_IRQ_SET_ACTION_TRIGGER:
        fputs(" action=TRIGGER", out);
        break;
    default:
        fprintf(out, " flags=0x%x", set->flags);
    }

    switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_NONE:
        fputs(" data=NONE", out);
        break;
    case VFIO_IRQ_SET_DATA_BOOL:
        fputs(" data=BOOL", out);
        break;
    case VFIO_IRQ_SET_DATA_EVENTFD:
        fputs(" data=EVENTFD", out);
        break;
    default:
        fprintf(out, " flags=0x%x", set->flags);
    }

    fprintf(out, " start=%u count=%u", set->start, set->count);

    if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        space = (set->argsz - sizeof(*set)) / sizeof(*fds);
        for (i = 0; i < set->count && i < space; i++) {
            fprintf(out, "%s%d", i ? "," : " fds=", fds[i]);
        }
    }
}

static void print_name(FILE *out, unsigned long request)
{
    unsigned int nr = _IOC_NR(request) - VFIO_BASE;

    if (request == KVM_IRQFD) {
        fputs("KVM_IRQFD", out);
    } else if (request == KVM_SET_GSI_ROUTING) {
        fputs("KVM_SET_GSI_ROUTING", out);
    } else if (nr < N_ELEMENTS(call_names) && call_names[nr]) {
        fputs(call_names[nr], out);
    } else {
        fprintf(out, "VFIO_%u", nr);
    }
}

static void print_irqfd(FILE *out, const struct kvm_irqfd *irqfd)
{
    fprintf(out, " action=%s eventfd=%u gsi=%u",
            irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN ? "DEASSIGN" : "ASSIGN",
            irqfd->fd, irqfd->gsi);
}

void vfio_log_call(int fd, unsigned long request, const void *arg, int ret,
                   int error)
{
    bool readable = !(ret < 0 && error == EFAULT);
    struct timespec now;
    char *line = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&line, &length);

    if (!out) {
        return;
    }

    clock_gettime(CLOCK_MONOTONIC, &now);
    fprintf(out, "%lld.%06ld ", (long long)now.tv_sec, now.tv_nsec / 1000);

    print_name(out, request);
    fprintf(out, " fd=%d", fd);

    if (request == VFIO_DEVICE_SET_IRQS && readable) {
        print_set_irqs(out, arg);
    } else if (request == KVM_IRQFD && readable) {
        print_irqfd(out, arg);
    } else if (request == KVM_SET_GSI_ROUTING && readable) {
        fprintf(out, " routes=%u", ((const struct kvm_irq_routing *)arg)->nr);
    }

    fprintf(out, " = %d", ret);
    if (ret < 0) {
        const char *name = strerrorname_np(error);

        fprintf(out, " %s", name ? name : "?");
    }
    fputc('\n', out);

    if (fclose(out) == 0 && write(log_fd, line, length) != (ssize_t)length) {
        dprintf(STDERR_FILENO, "vfio-log: %s\n", strerror(errno));
        _exit(2);
    }
    free(line);
}
