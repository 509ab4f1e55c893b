/*
 * Loaded into any program, writes down how much of its heap is in use
 *
 * The size of a process is no measure: its heap keeps what was freed and takes
 * new memory by the page.  mallinfo2() counts what is in use to the byte.
 *
 * A line, the number of bytes, is appended to $HEAP_LOG every 10 ms.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PERIOD_US 10000

static void *log_heap(void *opaque)
{
    int fd = (intptr_t)opaque, length;
    struct mallinfo2 heap;
    char line[32];

    do {
        usleep(PERIOD_US);
        heap = mallinfo2();
        /* large allocations have their own mappings */
        length = snprintf(line, sizeof(line), "%zu\n",
                          heap.uordblks + heap.hblkhd);
    } while (write(fd, line, length) == length);
    return NULL;
}

static void __attribute__((constructor)) start(void)
{
    const char *path = getenv("HEAP_LOG");
    sigset_t all, old;
    pthread_t thread;
    int fd;

    if (!path || !*path) {
        return;
    }
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    /* Signals are the program's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&thread, NULL, log_heap, (void *)(intptr_t)fd)) {
        close(fd);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
