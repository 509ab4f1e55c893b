/*
 * vfio-sim: the C library's functions that see a VFIO file first
 *
 * Loaded with LD_PRELOAD.  Whatever does not concern a file of the simulation
 * goes straight through, and without $VFIO_SIM everything does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* These would give functions that are defined here other names, or bodies. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include "kvm.h"
#include "real.h"
#include "sim.h"
#include "vfio-log-line.h"

#define EXPORT __attribute__((visibility("default")))

/* Descriptors from here on cannot be files of the simulation. */
#define MAX_FDS 65536

static bool active;             /* there is something to simulate */
static SimFile *files[MAX_FDS];
static pthread_mutex_t files_mutex = PTHREAD_MUTEX_INITIALIZER;

/*
 * The functions below
 */

static SimReal real;
static pthread_once_t real_once = PTHREAD_ONCE_INIT;

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function) {
        sim_die("the C library has no %s", name);
    }
    return function;
}

static void find_real(void)
{
    real.open = next("open64");
    real.openat = next("openat64");
    real.close = next("close");
    real.close_range = next("close_range");
    real.dup = next("dup");
    real.dup2 = next("dup2");
    real.dup3 = next("dup3");
    real.fcntl = next("fcntl64");
    real.ioctl = next("ioctl");
    real.pread = next("pread64");
    real.write = next("write");
    real.pwrite = next("pwrite64");
    real.mmap = next("mmap64");
    real.eventfd = next("eventfd");
    real.unsetenv = next("unsetenv");
    real.stat = next("stat64");
    real.lstat = next("lstat64");
    real.access = next("access");
    real.opendir = next("opendir");
    real.readlink = next("readlink");
    real.realpath = next("realpath");
}

const SimReal *sim_real(void)
{
    pthread_once(&real_once, find_real);
    return &real;
}

bool sim_is_active(void)
{
    return active;
}

/* A child has neither the threads nor the locks: it sees plain files. */
static void after_fork(void)
{
    active = false;
}

__attribute__((constructor))
static void start(void)
{
    vfio_log_open();
    active = sim_settings_read();
    if (active) {
        pthread_atfork(NULL, NULL, after_fork);
    }
}

/* Who ends without closing its devices has the kernel do it. */
__attribute__((destructor))
static void stop(void)
{
    unsigned i;

    for (i = 0; active && i < sim_settings.nr_devices; i++) {
        if (sim_settings.devices[i]->open_count) {
            sim_msi_irqs_clear(sim_settings.devices[i]);
        }
    }
}

/*
 * Descriptors
 */

SimFile *sim_fd_lookup(int fd)
{
    SimFile *f;

    /* The quick look is without the lock: most descriptors are not ours. */
    if (!active || fd < 0 || fd >= MAX_FDS ||
        !__atomic_load_n(&files[fd], __ATOMIC_RELAXED)) {
        return NULL;
    }
    pthread_mutex_lock(&files_mutex);
    f = files[fd];
    if (f) {
        sim_file_ref(f);
    }
    pthread_mutex_unlock(&files_mutex);
    return f;
}

static SimFile *take_out(int fd)
{
    SimFile *f;

    if (!active || fd < 0 || fd >= MAX_FDS ||
        !__atomic_load_n(&files[fd], __ATOMIC_RELAXED)) {
        return NULL;
    }
    pthread_mutex_lock(&files_mutex);
    f = files[fd];
    __atomic_store_n(&files[fd], NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&files_mutex);
    return f;
}

void sim_fd_install(int fd, SimFile *f)
{
    if (fd >= MAX_FDS) {
        sim_die("more than %d file descriptors", MAX_FDS);
    }
    pthread_mutex_lock(&files_mutex);
    __atomic_store_n(&files[fd], f, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&files_mutex);
}

/* @copy is a duplicate of @fd, or -1; whatever it was before is closed. */
static int duplicated(int fd, int copy)
{
    SimFile *f, *old;

    if (!active || copy < 0 || copy == fd) {
        return copy;
    }
    f = sim_fd_lookup(fd);
    old = take_out(copy);
    if (f) {
        sim_fd_install(copy, f);
    }
    if (old) {
        sim_file_unref(old);
    }
    return copy;
}

static const char *vfio_name(const char *path)
{
    static const char prefix[] = "/dev/vfio/";

    return active && path && !strncmp(path, prefix, sizeof(prefix) - 1) ?
           path + sizeof(prefix) - 1 : NULL;
}

/* True if the path is the simulation's; what open() returns is in @fd. */
static bool open_vfio(const char *path, int *fd)
{
    const char *name = vfio_name(path);
    SimFile *f;

    if (!name) {
        return false;
    }
    f = sim_file_open(name, fd);
    if (f) {
        sim_fd_install(*fd, f);
        return true;
    }
    *fd = -1;
    return errno != ENXIO;
}

static mode_t mode_argument(int flags, va_list ap)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ?
           va_arg(ap, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                               \
    EXPORT int name(const char *path, int flags, ...)                   \
    {                                                                   \
        va_list ap;                                                     \
        mode_t mode;                                                    \
        int fd;                                                         \
                                                                        \
        va_start(ap, flags);                                            \
        mode = mode_argument(flags, ap);                                \
        va_end(ap);                                                     \
        return open_vfio(path, &fd) ? fd :                              \
               sim_real()->open(path, flags, mode);                     \
    }

#define DEFINE_OPENAT(name)                                             \
    EXPORT int name(int dir, const char *path, int flags, ...)          \
    {                                                                   \
        va_list ap;                                                     \
        mode_t mode;                                                    \
        int fd;                                                         \
                                                                        \
        va_start(ap, flags);                                            \
        mode = mode_argument(flags, ap);                                \
        va_end(ap);                                                     \
        return open_vfio(path, &fd) ? fd :                              \
               sim_real()->openat(dir, path, flags, mode);              \
    }

/* The names with _2 are what fortified programs call without a mode. */
#define DEFINE_OPEN_2(name)                                             \
    EXPORT int name(const char *path, int flags);                       \
    EXPORT int name(const char *path, int flags)                        \
    {                                                                   \
        int fd;                                                         \
                                                                        \
        return open_vfio(path, &fd) ? fd :                              \
               sim_real()->open(path, flags);                           \
    }

#define DEFINE_OPENAT_2(name)                                           \
    EXPORT int name(int dir, const char *path, int flags);              \
    EXPORT int name(int dir, const char *path, int flags)               \
    {                                                                   \
        int fd;                                                         \
                                                                        \
        return open_vfio(path, &fd) ? fd :                              \
               sim_real()->openat(dir, path, flags);                    \
    }

DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPEN_2(__open_2)
DEFINE_OPEN_2(__open64_2)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)
DEFINE_OPENAT_2(__openat_2)
DEFINE_OPENAT_2(__openat64_2)

EXPORT int close(int fd)
{
    SimFile *f;

    if (active && sim_fd_is_internal(fd)) {
        errno = EBADF;
        return -1;
    }
    f = take_out(fd);
    if (f) {
        sim_file_unref(f);
    }
    return sim_real()->close(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    unsigned fd;

    for (fd = first; active && !(flags & CLOSE_RANGE_CLOEXEC) &&
         fd <= last && fd < MAX_FDS; fd++) {
        SimFile *f = take_out(fd);

        if (f) {
            sim_file_unref(f);
        }
    }
    return sim_real()->close_range(first, last, flags);
}

EXPORT int dup(int fd)
{
    return duplicated(fd, sim_real()->dup(fd));
}

EXPORT int dup2(int fd, int to)
{
    return duplicated(fd, sim_real()->dup2(fd, to));
}

EXPORT int dup3(int fd, int to, int flags)
{
    return duplicated(fd, sim_real()->dup3(fd, to, flags));
}

#define DEFINE_FCNTL(name)                                              \
    EXPORT int name(int fd, int cmd, ...)                               \
    {                                                                   \
        va_list ap;                                                     \
        void *arg;                                                      \
        int result;                                                     \
                                                                        \
        va_start(ap, cmd);                                              \
        arg = va_arg(ap, void *);                                       \
        va_end(ap);                                                     \
        result = sim_real()->fcntl(fd, cmd, arg);                       \
        return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ?               \
               duplicated(fd, result) : result;                         \
    }

DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)

/*
 * ioctl
 */

static int set_errno(int result)
{
    if (result >= 0) {
        return result;
    }
    errno = -result;
    return -1;
}

/* KVM wants to know the groups; it would not know ours. */
static bool is_kvm_attribute_of_ours(unsigned long request, const void *arg)
{
    const struct kvm_device_attr *attribute = arg;
    int32_t fd;
    SimFile *f;

    if (!active || request != KVM_SET_DEVICE_ATTR ||
        attribute->group != KVM_DEV_VFIO_GROUP) {
        return false;
    }
    memcpy(&fd, (const void *)(uintptr_t)attribute->addr, sizeof(fd));
    f = sim_fd_lookup(fd);
    if (!f) {
        return false;
    }
    sim_file_unref(f);
    return true;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    SimFile *f = sim_fd_lookup(fd);
    va_list ap;
    void *arg;
    int result, error;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);

    if (f) {
        result = set_errno(sim_file_ioctl(f, request, arg));
        error = errno;
        sim_file_unref(f);
        errno = error;
    } else if (is_kvm_attribute_of_ours(request, arg)) {
        return 0;
    } else if (sim_kvm_wants(request)) {
        result = set_errno(sim_kvm_ioctl(fd, request, arg));
    } else {
        result = sim_real()->ioctl(fd, request, arg);
    }

    if (vfio_log_wants(request)) {
        error = errno;
        vfio_log_call(fd, request, arg, result, error);
        errno = error;
    }
    return result;
}

/* Who writes to an eventfd signals whoever listens. */
EXPORT ssize_t write(int fd, const void *buffer, size_t count)
{
    return active && sim_kvm_write(fd) ? (ssize_t)count :
           sim_real()->write(fd, buffer, count);
}

/*
 * Regions
 */

/* True if the descriptor is the simulation's. */
static bool file_rw(int fd, void *buffer, size_t count, off_t offset,
                    bool write, ssize_t *result)
{
    SimFile *f = sim_fd_lookup(fd);
    SimDevice *d;

    if (!f) {
        return false;
    }
    d = sim_file_device(f);
    *result = d ? sim_device_rw(d, buffer, count, offset, write) : -EINVAL;
    sim_file_unref(f);
    if (*result < 0) {
        errno = -*result;
        *result = -1;
    }
    return true;
}

#define DEFINE_PREAD(name)                                              \
    EXPORT ssize_t name(int fd, void *buffer, size_t count,             \
                        off_t offset)                                   \
    {                                                                   \
        ssize_t result;                                                 \
                                                                        \
        return file_rw(fd, buffer, count, offset, false, &result) ?     \
               result : sim_real()->pread(fd, buffer, count, offset);   \
    }

#define DEFINE_PWRITE(name)                                             \
    EXPORT ssize_t name(int fd, const void *buffer, size_t count,       \
                        off_t offset)                                   \
    {                                                                   \
        ssize_t result;                                                 \
                                                                        \
        return file_rw(fd, (void *)buffer, count, offset, true,         \
                       &result) ?                                       \
               result : sim_real()->pwrite(fd, buffer, count, offset);  \
    }

/* Fortified programs pass the buffer's size as well. */
#define DEFINE_PREAD_CHK(name)                                          \
    EXPORT ssize_t name(int fd, void *buffer, size_t count,             \
                        off_t offset, size_t room);                     \
    EXPORT ssize_t name(int fd, void *buffer, size_t count,             \
                        off_t offset, size_t room)                      \
    {                                                                   \
        ssize_t result;                                                 \
                                                                        \
        if (count > room) {                                             \
            abort();                                                    \
        }                                                               \
        return file_rw(fd, buffer, count, offset, false, &result) ?     \
               result : sim_real()->pread(fd, buffer, count, offset);   \
    }

DEFINE_PREAD(pread)
DEFINE_PREAD(pread64)
DEFINE_PREAD_CHK(__pread_chk)
DEFINE_PREAD_CHK(__pread64_chk)
DEFINE_PWRITE(pwrite)
DEFINE_PWRITE(pwrite64)

/* No region says that it can be mapped, so nobody should try. */
#define DEFINE_MMAP(name)                                               \
    EXPORT void *name(void *address, size_t size, int prot, int flags,  \
                      int fd, off_t offset)                             \
    {                                                                   \
        SimFile *f = flags & MAP_ANONYMOUS ? NULL : sim_fd_lookup(fd);  \
                                                                        \
        if (f) {                                                        \
            sim_file_unref(f);                                          \
            errno = EINVAL;                                             \
            return MAP_FAILED;                                          \
        }                                                               \
        return sim_real()->mmap(address, size, prot, flags, fd,         \
                                offset);                                \
    }

DEFINE_MMAP(mmap)
DEFINE_MMAP(mmap64)

/*
 * The process's surroundings
 */

EXPORT int eventfd(unsigned value, int flags)
{
    int result;

    if (active && sim_fault_call(NULL, SIM_CALL_EVENTFD, 0, 0, &result)) {
        return set_errno(result);
    }
    return sim_real()->eventfd(value, flags);
}

/*
 * A test that stops logging takes its preloaded library off the environment.
 * Here that is the simulation, without which its next QEMU has no device.
 */
EXPORT int unsetenv(const char *name)
{
    if (active && !strcmp(name, "LD_PRELOAD")) {
        return 0;
    }
    return sim_real()->unsetenv(name);
}
