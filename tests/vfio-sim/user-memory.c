/*
 * vfio-sim: the user's pointers
 *
 * A wrong pointer is EFAULT and no crash, as for a real ioctl.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "sim.h"

static int copy(void *local, const void *user, size_t size, bool out)
{
    struct iovec to = { local, size }, from = { (void *)user, size };
    ssize_t done;

    if (!size) {
        return 0;
    }
    done = out ? process_vm_writev(getpid(), &to, 1, &from, 1, 0) :
                 process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    if (done == (ssize_t)size) {
        return 0;
    }
    if (done < 0 && errno != EFAULT) {
        /* A sandbox does not let us look first. */
        memcpy(out ? (void *)user : local, out ? local : user, size);
        return 0;
    }
    return -1;
}

int sim_copy_from_user(void *to, const void *user, size_t size)
{
    return copy(to, user, size, false);
}

int sim_copy_to_user(void *user, const void *from, size_t size)
{
    return copy((void *)from, user, size, true);
}
