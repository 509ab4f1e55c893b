/*
 * vfio-sim: the devices at their place in sysfs
 *
 * QEMU's host= property looks for a device in /sys/bus/pci/devices.  These are
 * the functions that it does so with, and those of a program that looks around
 * there: for a device of the simulation they see its folder.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* See preload.c. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "real.h"
#include "sim.h"

#define EXPORT __attribute__((visibility("default")))

/* Returns the path to look at, which may be in the buffer. */
static const char *place(const char *path, char *buffer)
{
    static const char prefix[] = "/sys/bus/pci/devices/";
    const char *name;
    unsigned i;

    if (!sim_is_active() || !path ||
        strncmp(path, prefix, sizeof(prefix) - 1)) {
        return path;
    }
    name = path + sizeof(prefix) - 1;
    for (i = 0; i < sim_settings.nr_devices; i++) {
        const SimDevice *d = sim_settings.devices[i];
        size_t length = strlen(d->name);

        if (!strncmp(name, d->name, length) &&
            (!name[length] || name[length] == '/') &&
            snprintf(buffer, PATH_MAX, "%s%s", d->folder,
                     name + length) < PATH_MAX) {
            return buffer;
        }
    }
    return path;
}

#define DEFINE_STAT(name, below, type)                                  \
    EXPORT int name(const char *path, struct type *st)                  \
    {                                                                   \
        char buffer[PATH_MAX];                                          \
                                                                        \
        return sim_real()->below(place(path, buffer), (void *)st);      \
    }

/* On 64-bit machines the two structures are one. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "struct stat");

DEFINE_STAT(stat, stat, stat)
DEFINE_STAT(stat64, stat, stat64)
DEFINE_STAT(lstat, lstat, stat)
DEFINE_STAT(lstat64, lstat, stat64)

EXPORT int access(const char *path, int mode)
{
    char buffer[PATH_MAX];

    return sim_real()->access(place(path, buffer), mode);
}

EXPORT DIR *opendir(const char *path)
{
    char buffer[PATH_MAX];

    return sim_real()->opendir(place(path, buffer));
}

EXPORT ssize_t readlink(const char *path, char *target, size_t size)
{
    char buffer[PATH_MAX];

    return sim_real()->readlink(place(path, buffer), target, size);
}

EXPORT char *realpath(const char *path, char *resolved)
{
    char buffer[PATH_MAX];

    return sim_real()->realpath(place(path, buffer), resolved);
}

/* Fortified programs pass the buffer's size as well. */
EXPORT ssize_t __readlink_chk(const char *path, char *target, size_t size,
                              size_t room);
EXPORT ssize_t __readlink_chk(const char *path, char *target, size_t size,
                              size_t room)
{
    if (size > room) {
        abort();
    }
    return readlink(path, target, size);
}

EXPORT char *__realpath_chk(const char *path, char *resolved, size_t room);
EXPORT char *__realpath_chk(const char *path, char *resolved, size_t room)
{
    if (resolved && room < PATH_MAX) {
        abort();
    }
    return realpath(path, resolved);
}
