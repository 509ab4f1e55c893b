/*
 * vfio-sim: references to eventfds
 *
 * The kernel holds an eventfd itself, not the descriptor that it was told: the
 * user may close that.  Here a reference is a duplicate, in the upper half of
 * the descriptors, where it is in nobody's way.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "kvm.h"
#include "sim.h"
#include "real.h"

/* More descriptors than anybody gives a process */
#define MAX_FDS (1 << 20)

static _Atomic uint32_t internal[MAX_FDS / 32];

static void mark(int fd, bool ours)
{
    uint32_t bit = 1u << fd % 32;

    if (fd >= MAX_FDS) {
        return;
    }
    if (ours) {
        atomic_fetch_or(&internal[fd / 32], bit);
    } else {
        atomic_fetch_and(&internal[fd / 32], ~bit);
    }
}

bool sim_fd_is_internal(int fd)
{
    return fd >= 0 && fd < MAX_FDS &&
           atomic_load(&internal[fd / 32]) & 1u << fd % 32;
}

static int lowest(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        limit.rlim_cur > MAX_FDS) {
        return MAX_FDS / 2;
    }
    return limit.rlim_cur / 2;
}

static int duplicate(int fd)
{
    int copy = sim_real()->fcntl(fd, F_DUPFD_CLOEXEC, lowest());

    if (copy >= 0) {
        mark(copy, true);
    }
    return copy;
}

void sim_fd_close(int fd)
{
    if (fd >= 0) {
        mark(fd, false);
        sim_real()->close(fd);
    }
}

int sim_fd_internalize(int fd)
{
    int copy = duplicate(fd);

    if (copy < 0) {
        sim_die("no file descriptor for the simulation itself: %s",
                strerror(errno));
    }
    sim_real()->close(fd);
    return copy;
}

int sim_eventfd_get(int fd)
{
    static const char expected[] = "anon_inode:[eventfd]";
    char path[40], target[sizeof(expected)];
    ssize_t length;
    int copy;

    if (sim_fd_is_internal(fd)) {
        return -EBADF;
    }
    copy = duplicate(fd);
    if (copy < 0) {
        if (errno == EBADF) {
            return -EBADF;
        }
        /* The kernel would need no descriptor here. */
        fprintf(stderr, "vfio-sim: out of file descriptors (ulimit -n)\n");
        return -ENOMEM;
    }

    snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
    length = readlink(path, target, sizeof(target));
    if (length != sizeof(expected) - 1 ||
        memcmp(target, expected, sizeof(expected) - 1)) {
        sim_fd_close(copy);
        return -EINVAL;
    }
    sim_kvm_eventfd_got(copy);
    return copy;
}

void sim_eventfd_put(int ref)
{
    sim_fd_close(ref);
}

int sim_eventfd_id(int fd)
{
    char path[40], line[80];
    int id = -1;
    FILE *in;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    in = fopen(path, "re");
    if (!in) {
        return -1;
    }
    while (fgets(line, sizeof(line), in) &&
           sscanf(line, "eventfd-id: %d", &id) != 1) {
        continue;
    }
    fclose(in);
    return id;
}

bool sim_eventfd_is_closed(int ref)
{
    int id = sim_eventfd_id(ref);
    bool closed = id >= 0;
    struct dirent *entry;
    DIR *dir;

    /* Our own reference keeps the number from being given to another one. */
    dir = closed ? sim_real()->opendir("/proc/self/fd") : NULL;
    if (!dir) {
        return false;
    }
    while (closed && (entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        closed = entry->d_name[0] == '.' || sim_fd_is_internal(fd) ||
                 sim_eventfd_id(fd) != id;
    }
    closedir(dir);
    return closed;
}

/* Never blocks: a counter that is full stays so. */
static void add_one(int ref)
{
    const uint64_t one = 1;
    struct pollfd pfd = { .fd = ref, .events = POLLOUT };

    if (poll(&pfd, 1, 0) == 1 && pfd.revents & POLLOUT) {
        ssize_t written = write(ref, &one, sizeof(one));

        (void)written;
    }
}

void sim_eventfd_signal(int ref)
{
    if (!sim_kvm_signal(ref, add_one)) {
        add_one(ref);
    }
}
