/*
 * vfio-log: write down the VFIO calls of a program, with their results, and
 * what it tells KVM about interrupts
 *
 * Loaded with LD_PRELOAD into any QEMU; VFIO_LOG names the file that the
 * lines are appended to, see vfio-log-line.h.  Without VFIO_LOG it does
 * nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vfio-log-line.h"

__attribute__((constructor))
static void start(void)
{
    vfio_log_open();
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;
    int ret, error;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);

    ret = syscall(SYS_ioctl, fd, request, arg);
    if (vfio_log_wants(request)) {
        error = errno;
        vfio_log_call(fd, request, arg, ret, error);
        errno = error;
    }

    return ret;
}
