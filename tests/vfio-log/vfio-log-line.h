/*
 * vfio-log: the log of VFIO calls, one line a call, and of what QEMU tells KVM
 * about interrupts
 *
 *   12.345678 VFIO_DEVICE_SET_IRQS fd=20 index=MSIX action=TRIGGER \
 *     data=EVENTFD start=0 count=2 fds=31,-1 = 0
 *   12.345901 VFIO_DEVICE_RESET fd=20 = -1 EINVAL
 *   12.346011 KVM_SET_GSI_ROUTING fd=9 routes=34 = 0
 *   12.346020 KVM_IRQFD fd=9 action=ASSIGN eventfd=31 gsi=24 = 0
 *
 * (without the line break).  The time is CLOCK_MONOTONIC's at the call's
 * return, in seconds; the result is the call's own, which for SET_IRQS may be
 * positive.  A line goes out in one write(), so that threads and processes
 * that share the file do not mix theirs, and a reader sees whole lines.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_LOG_LINE_H
#define VFIO_LOG_LINE_H

#include <stdbool.h>

/**
 * vfio_log_open: append to the file that $VFIO_LOG names, if it does
 *
 * Ends the program if the file cannot be written: a test would take a missing log
 * for one without calls.
 */
void vfio_log_open(void);

/*
 * Returns: true if there is a log to write to and the ioctl @request belongs
 * there
 */
bool vfio_log_wants(unsigned long request);

/**
 * vfio_log_call: log one call
 * @fd: what it was called on
 * @request: an ioctl that vfio_log_wants()
 * @arg: its argument
 * @ret: what it returned
 * @error: errno, if @ret is negative; @arg is not looked at if it is EFAULT
 */
void vfio_log_call(int fd, unsigned long request, const void *arg, int ret,
                   int error);

#endif
