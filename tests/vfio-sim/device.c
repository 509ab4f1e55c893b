/*
 * vfio-sim: a device while it is open
 *
 * The device's thread is its clock: it raises what is due, whatever the user
 * is doing, and serves the control socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "sim.h"
#include "real.h"

#define REGION_MASK ((1ULL << SIM_REGION_SHIFT) - 1)

void sim_wake(SimDevice *d)
{
    const uint64_t one = 1;
    ssize_t written = write(d->wake_fd, &one, sizeof(one));

    (void)written; /* full: it is awake */
}

static void drain(int fd)
{
    uint64_t count;
    ssize_t done = read(fd, &count, sizeof(count));

    (void)done;
}

/*
 * In the kernel the one who signals the eventfd does this himself.  Here it is
 * the thread, or who comes first with something that could tell.
 */
void sim_serve_unmask(SimDevice *d)
{
    struct pollfd pfd = { .fd = d->intx_unmask.fd, .events = POLLIN };

    if (pfd.fd >= 0 && poll(&pfd, 1, 0) == 1) {
        drain(pfd.fd);
        sim_irqs_unmask_event(d);
    }
}

static void *device_thread(void *opaque)
{
    SimDevice *d = opaque;

    /* Periods are in microseconds; the default slack is 50 of them. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);

    for (;;) {
        struct pollfd fds[3 + SIM_MAX_CLIENTS] = { 0 };
        struct timespec timeout, *wait = NULL;
        unsigned nr_fds = 2;
        int64_t now, left;

        pthread_mutex_lock(&d->lock);
        if (d->quit) {
            pthread_mutex_unlock(&d->lock);
            return NULL;
        }
        now = sim_now_ns();
        if (d->deadline_ns <= now) {
            d->deadline_ns = msix_testdev_core_run(&d->core, now);
        }
        if (d->deadline_ns != MSIX_TESTDEV_NO_DEADLINE) {
            left = d->deadline_ns - sim_now_ns();
            left = left > 0 ? left : 0;
            timeout.tv_sec = left / 1000000000;
            timeout.tv_nsec = left % 1000000000;
            wait = &timeout;
        }
        fds[0] = (struct pollfd) { .fd = d->wake_fd, .events = POLLIN };
        fds[1] = (struct pollfd) { .fd = d->intx_unmask.fd, .events = POLLIN };
        pthread_mutex_unlock(&d->lock);
        nr_fds += sim_control_poll(d, fds + nr_fds);

        if (ppoll(fds, nr_fds, wait, NULL) <= 0) {
            continue;
        }
        if (fds[0].revents) {
            drain(d->wake_fd);
        }
        if (fds[1].revents & POLLIN) {
            pthread_mutex_lock(&d->lock);
            sim_serve_unmask(d);
            pthread_mutex_unlock(&d->lock);
        }
        sim_control_serve(d, fds + 2);
    }
}

bool sim_device_open(SimDevice *d)
{
    sigset_t all, old;
    int result;

    sim_msi_irqs_open(d);
    sim_host_vectors_clear(d);
    memset(&d->counters, 0, sizeof(d->counters));
    sim_fire_at_clear(d);
    d->quit = false;
    sim_irqs_open(d);
    sim_function_power_on(d);
    sim_function_reset(d);
    sim_config_open(d);

    d->wake_fd = sim_real()->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->wake_fd < 0) {
        return false;
    }
    d->wake_fd = sim_fd_internalize(d->wake_fd);
    sim_control_open(d);

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    result = pthread_create(&d->thread, NULL, device_thread, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (result) {
        sim_control_close(d);
        sim_fd_close(d->wake_fd);
        errno = result;
        return false;
    }
    return true;
}

void sim_device_close(SimDevice *d)
{
    sim_irqs_close(d);
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_mutex_unlock(&d->lock);
    sim_wake(d);
    pthread_join(d->thread, NULL);
    sim_control_close(d);
    sim_fd_close(d->wake_fd);
    d->wake_fd = -1;
}

/* Under the lock.  As pci_reset_function(): state is saved and put back. */
void sim_device_reset(SimDevice *d)
{
    uint16_t command = sim_phys_word(d, PCI_COMMAND);

    sim_function_reset(d);
    sim_function_set_command(d, command);
    sim_irqs_restore(d);
}

static int device_info(SimDevice *d, void *user)
{
    const size_t min = offsetof(struct vfio_device_info, num_irqs) +
                       sizeof(uint32_t);
    struct vfio_device_info info = { 0 };
    size_t size;

    (void)d;
    if (sim_copy_from_user(&info, user, min)) {
        return -EFAULT;
    }
    if (info.argsz < min) {
        return -EINVAL;
    }
    size = info.argsz < sizeof(info) ? info.argsz : sizeof(info);
    info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
    info.num_regions = VFIO_PCI_NUM_REGIONS;
    info.num_irqs = VFIO_PCI_NUM_IRQS;
    return sim_copy_to_user(user, &info, size) ? -EFAULT : 0;
}

static uint64_t region_size(unsigned index)
{
    switch (index) {
    case VFIO_PCI_BAR0_REGION_INDEX + MSIX_TESTDEV_REGS_BAR:
        return MSIX_TESTDEV_REGS_SIZE;
    case VFIO_PCI_BAR0_REGION_INDEX + MSIX_TESTDEV_MSIX_BAR:
        return MSIX_TESTDEV_MSIX_SIZE;
    case VFIO_PCI_CONFIG_REGION_INDEX:
        return SIM_CONFIG_SIZE;
    default:
        return 0;
    }
}

static int region_info(void *user)
{
    const size_t min = offsetof(struct vfio_region_info, offset) +
                       sizeof(uint64_t);
    struct vfio_region_info info;

    if (sim_copy_from_user(&info, user, min)) {
        return -EFAULT;
    }
    /* there is no VGA region, so its index is none */
    if (info.argsz < min || info.index >= VFIO_PCI_VGA_REGION_INDEX) {
        return -EINVAL;
    }
    info.offset = (uint64_t)info.index << SIM_REGION_SHIFT;
    info.size = region_size(info.index);
    info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ |
                             VFIO_REGION_INFO_FLAG_WRITE : 0;
    info.cap_offset = 0;
    return sim_copy_to_user(user, &info, min) ? -EFAULT : 0;
}

static int reset(SimDevice *d)
{
    int result;

    sim_reach(d, SIM_CALL_RESET, SIM_PLACE_START);
    if (sim_fault_call(d, SIM_CALL_RESET, 0, 0, &result)) {
        return result;
    }
    pthread_mutex_lock(&d->lock);
    sim_serve_unmask(d);
    sim_device_reset(d);
    pthread_mutex_unlock(&d->lock);
    sim_reach(d, SIM_CALL_RESET, SIM_PLACE_END);
    return 0;
}

int sim_device_ioctl(SimDevice *d, unsigned long request, void *arg)
{
    switch (request) {
    case VFIO_DEVICE_GET_INFO:
        return device_info(d, arg);
    case VFIO_DEVICE_GET_REGION_INFO:
        return region_info(arg);
    case VFIO_DEVICE_GET_IRQ_INFO:
        return sim_irq_info(d, arg);
    case VFIO_DEVICE_SET_IRQS:
        return sim_set_irqs(d, arg);
    case VFIO_DEVICE_RESET:
        return reset(d);
    case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
        return -ENODEV; /* no bus or slot that could be reset */
    default:
        return -ENOTTY;
    }
}

/* The kernel cuts an access into aligned ones of 4, 2 and 1 bytes. */
static unsigned chunk(uint64_t position, size_t left)
{
    return left >= 4 && position % 4 == 0 ? 4 :
           left >= 2 && position % 2 == 0 ? 2 : 1;
}

static ssize_t config_rw(SimDevice *d, uint8_t *buffer, size_t count,
                         uint64_t position, bool write)
{
    size_t done, size;

    if (position >= SIM_CONFIG_SIZE || count > SIM_CONFIG_SIZE - position) {
        return -EFAULT;
    }
    pthread_mutex_lock(&d->lock);
    sim_serve_unmask(d);
    for (done = 0; done < count; done += size) {
        size = chunk(position + done, count - done);
        if (write) {
            sim_config_write(d, position + done, buffer + done, size);
        } else {
            sim_config_read(d, position + done, buffer + done, size);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return count;
}

/* vfio-pci has the MSI-X table to itself. */
static bool is_hidden(SimDevice *d, unsigned bar, uint64_t position)
{
    return bar == MSIX_TESTDEV_MSIX_BAR &&
           position < MSIX_TESTDEV_TABLE_OFFSET +
                      d->nr_vectors * PCI_MSIX_ENTRY_SIZE;
}

static bool reaches_pba(SimDevice *d, unsigned bar, uint64_t position,
                        size_t count)
{
    return bar == MSIX_TESTDEV_MSIX_BAR &&
           position + count > MSIX_TESTDEV_PBA_OFFSET &&
           position < MSIX_TESTDEV_PBA_OFFSET + (d->nr_vectors + 63) / 64 * 8;
}

static ssize_t bar_rw(SimDevice *d, unsigned bar, uint8_t *buffer,
                      size_t count, uint64_t position, bool write)
{
    uint64_t end = region_size(bar);
    size_t done, size;
    unsigned i;

    if (position >= end) {
        return -EINVAL;
    }
    if (count > end - position) {
        count = end - position;
    }

    pthread_mutex_lock(&d->lock);
    sim_serve_unmask(d);
    d->counters.pba_reads += !write && reaches_pba(d, bar, position, count);
    if (!(sim_phys_word(d, PCI_COMMAND) & PCI_COMMAND_MEMORY)) {
        pthread_mutex_unlock(&d->lock);
        return -EIO;
    }
    for (done = 0; done < count; done += size) {
        uint32_t value = 0xffffffff;

        size = chunk(position + done, count - done);
        if (write) {
            for (i = 0, value = 0; i < size; i++) {
                value |= (uint32_t)buffer[done + i] << i * 8;
            }
            if (!is_hidden(d, bar, position + done)) {
                sim_function_write_bar(d, bar, position + done, value, size);
            }
            continue;
        }
        if (!is_hidden(d, bar, position + done)) {
            value = sim_function_read_bar(d, bar, position + done, size);
        }
        for (i = 0; i < size; i++) {
            buffer[done + i] = value >> i * 8;
        }
    }
    pthread_mutex_unlock(&d->lock);
    return count;
}

ssize_t sim_device_rw(SimDevice *d, void *buffer, size_t count, off_t offset,
                      bool write)
{
    uint64_t index = (uint64_t)offset >> SIM_REGION_SHIFT;
    uint64_t position = (uint64_t)offset & REGION_MASK;

    if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
        return config_rw(d, buffer, count, position, write);
    }
    if (index <= VFIO_PCI_BAR5_REGION_INDEX && region_size(index)) {
        return bar_rw(d, index, buffer, count, position, write);
    }
    return -EINVAL;
}
