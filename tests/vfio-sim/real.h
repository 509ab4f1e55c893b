/*
 * vfio-sim: the C library's own functions, below the interposed ones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_SIM_REAL_H
#define VFIO_SIM_REAL_H

#include <dirent.h>
#include <sys/types.h>

typedef struct SimReal {
    int (*open)(const char *path, int flags, ...);
    int (*openat)(int dir, const char *path, int flags, ...);
    int (*close)(int fd);
    int (*close_range)(unsigned first, unsigned last, int flags);
    int (*dup)(int fd);
    int (*dup2)(int fd, int to);
    int (*dup3)(int fd, int to, int flags);
    int (*fcntl)(int fd, int cmd, ...);
    int (*ioctl)(int fd, unsigned long request, ...);
    ssize_t (*pread)(int fd, void *buffer, size_t size, off_t offset);
    ssize_t (*write)(int fd, const void *buffer, size_t size);
    ssize_t (*pwrite)(int fd, const void *buffer, size_t size, off_t offset);
    void *(*mmap)(void *address, size_t size, int prot, int flags, int fd,
                  off_t offset);
    int (*eventfd)(unsigned value, int flags);
    int (*unsetenv)(const char *name);
    int (*stat)(const char *path, void *st);
    int (*lstat)(const char *path, void *st);
    int (*access)(const char *path, int mode);
    DIR *(*opendir)(const char *path);
    ssize_t (*readlink)(const char *path, char *target, size_t size);
    char *(*realpath)(const char *path, char *resolved);
} SimReal;

const SimReal *sim_real(void);

#endif
