/*
 * The baseline: what the same work takes without QEMU
 *
 * Opens a device through VFIO and does what QEMU has to do for N of its vectors
 * by the fewest calls: for a new vector an eventfd and one
 * VFIO_DEVICE_SET_IRQS; for N enabled together N eventfds and one call; for a
 * mask and an unmask none.  On a host that cannot add vectors it resizes once,
 * with the first vector, to all N, as it knows N beforehand.  INTx has an
 * eventfd while MSI-X is off, and none while it is on.
 *
 * QEMU sleeps until a guest's access wakes it.  So does this program: another
 * process wakes it for each operation that is timed.
 *
 * Prints the same figures as tests/qtest/vfio-msix-bench.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "hw/misc/msix-testdev-regs.h"

#define MAX_VECTORS MSIX_TESTDEV_MAX_VECTORS
#define MAX_SIZES 16
#define TOGGLES 4               /* as vfio-msix-bench does */
#define TIMEOUT_NS (60 * 1000000000ll)
#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static char folder[512];
static int device;
static unsigned vectors;
static bool dynamic;
static int fds[MAX_VECTORS];
static int intx_fd;
static FILE *out;
static bool some;               /* an object was written to the list */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/*
 * The device
 */

static uint64_t region(unsigned index)
{
    struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info)) {
        err(1, "VFIO_DEVICE_GET_REGION_INFO");
    }
    return info.offset;
}

static void enable_device(void)
{
    uint64_t command_at = region(VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND;
    uint16_t command;

    if (pread(device, &command, sizeof(command), command_at) !=
        sizeof(command)) {
        err(1, "read the command register");
    }
    command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (pwrite(device, &command, sizeof(command), command_at) !=
        sizeof(command)) {
        err(1, "write the command register");
    }
}

static void open_device(const char *property)
{
    struct vfio_irq_info info = {
        .argsz = sizeof(info),
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };
    char path[600], target[512], *name;
    int container, group;
    ssize_t length;

    if (strncmp(property, "host=", 5)) {
        errx(2, "VFIO_MSIX_TEST_DEVICE: not host=: %s", property);
    }
    snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/%s", property + 5);
    snprintf(path, sizeof(path), "%s/iommu_group", folder);
    length = readlink(path, target, sizeof(target) - 1);
    if (length < 0) {
        err(1, "%s", path);
    }
    target[length] = 0;
    name = strrchr(target, '/');
    snprintf(path, sizeof(path), "/dev/vfio/%s", name ? name + 1 : target);

    container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (container < 0) {
        err(1, "/dev/vfio/vfio");
    }
    group = open(path, O_RDWR | O_CLOEXEC);
    if (group < 0) {
        err(1, "%s", path);
    }
    if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
        ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
        err(1, "%s: cannot set the IOMMU", path);
    }
    device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, property + 5);
    if (device < 0) {
        err(1, "%s: VFIO_GROUP_GET_DEVICE_FD", property + 5);
    }
    enable_device();
    if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info)) {
        err(1, "VFIO_DEVICE_GET_IRQ_INFO");
    }
    vectors = info.count;
    dynamic = !(info.flags & VFIO_IRQ_INFO_NORESIZE);
}

static void set_index_triggers(unsigned index, unsigned start, unsigned count,
                               const int *triggers)
{
    static union {
        struct vfio_irq_set set;
        uint8_t bytes[sizeof(struct vfio_irq_set) + MAX_VECTORS * sizeof(int)];
    } u;
    int ret;

    u.set = (struct vfio_irq_set) {
        .argsz = sizeof(u.set) + count * sizeof(int),
        .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
        .index = index,
        .start = start,
        .count = count,
    };
    memcpy(u.set.data, triggers, count * sizeof(int));
    ret = ioctl(device, VFIO_DEVICE_SET_IRQS, &u.set);
    if (ret > 0) {
        errx(1, "the host has only %d vectors", ret);
    }
    if (ret) {
        err(1, "VFIO_DEVICE_SET_IRQS");
    }
}

/* Triggers for @count vectors from @start on, -1 for none */
static void set_triggers(unsigned start, unsigned count, const int *triggers)
{
    set_index_triggers(VFIO_PCI_MSIX_IRQ_INDEX, start, count, triggers);
}

static void disable_index(unsigned index)
{
    struct vfio_irq_set set = {
        .argsz = sizeof(set),
        .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
        .index = index,
    };

    if (ioctl(device, VFIO_DEVICE_SET_IRQS, &set)) {
        err(1, "VFIO_DEVICE_SET_IRQS to disable an index");
    }
}

static void enable_intx(void)
{
    set_index_triggers(VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &intx_fd);
}

/* MSI-X on, with these triggers for all vectors up to the last of them */
static void enable(unsigned count, const int *triggers)
{
    disable_index(VFIO_PCI_INTX_IRQ_INDEX);
    set_triggers(0, count, triggers);
}

/* MSI-X off */
static void disable(void)
{
    disable_index(VFIO_PCI_MSIX_IRQ_INDEX);
    enable_intx();
}

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd < 0) {
        err(1, "eventfd");
    }
    return fd;
}

static void close_all(unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        close(fds[i]);
        fds[i] = -1;
    }
}

/* With no vector in use */
static void enable_empty(void)
{
    enable(1, (const int []) { -1 });
}

/* Adds vector @i of @n; without dynamic MSI-X the first one resizes to @n. */
static void add_vector(unsigned i, unsigned n)
{
    fds[i] = new_eventfd();
    if (i > 0 || dynamic) {
        set_triggers(i, 1, &fds[i]);
    } else {
        memset(fds + 1, -1, (n - 1) * sizeof(fds[0]));
        disable_index(VFIO_PCI_MSIX_IRQ_INDEX);
        set_triggers(0, n, fds);
    }
}

/*
 * The process that wakes this one
 */

static int asker_in, asker_out;

static void asker(int in, int to)
{
    char byte;

    while (read(in, &byte, 1) == 1 && write(to, &byte, 1) == 1) {
        ;
    }
    _exit(0);
}

static void start_asker(void)
{
    int there[2], back[2];

    if (pipe(there) || pipe(back)) {
        err(1, "pipe");
    }
    switch (fork()) {
    case -1:
        err(1, "fork");
    case 0:
        /* ends when the other one does, as nobody else can write */
        close(there[1]);
        close(back[0]);
        asker(there[0], back[1]);
        break;
    default:
        close(there[0]);
        close(back[1]);
        asker_in = back[0];
        asker_out = there[1];
    }
}

/* Sleeps until the asker answers.  Returns the time of that. */
static int64_t begin(void)
{
    char byte = 0;

    if (write(asker_out, &byte, 1) != 1 || read(asker_in, &byte, 1) != 1) {
        err(1, "the process that asks for work");
    }
    return now_ns();
}

/*
 * Figures
 */

static void begin_times(const char *what, unsigned n)
{
    fprintf(out, "%s\n{\"what\": \"%s\", \"vectors\": %u, \"us\": [",
            some ? "," : "", what, n);
    some = true;
}

static void time_figure(int64_t ns, bool first)
{
    fprintf(out, "%s%.1f", first ? "" : ", ", ns / 1000.0);
}

static void end_times(int64_t wall_ns)
{
    fprintf(out, "], \"wall_us\": %.1f}", wall_ns / 1000.0);
}

static void one_time(const char *what, unsigned n, int64_t ns)
{
    begin_times(what, n);
    time_figure(ns, true);
    end_times(ns);
}

static unsigned host_vectors(void)
{
    char path[600];
    struct dirent *entry;
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/msi_irqs", folder);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        n += entry->d_name[0] != '.';
    }
    if (dir) {
        closedir(dir);
    }
    return n;
}

static int64_t add_vectors(unsigned n, int64_t *times)
{
    int64_t first = 0, start, end = 0;
    unsigned i;

    for (i = 0; i < n; i++) {
        start = begin();
        add_vector(i, n);
        end = now_ns();
        times[i] = end - start;
        first = i ? first : start;
    }
    return end - first;
}

static void measure_size(unsigned n)
{
    static int64_t times[MAX_VECTORS];
    int64_t start, wall;
    unsigned i;

    enable_empty();
    wall = add_vectors(n, times);
    begin_times("add", n);
    for (i = 0; i < n; i++) {
        time_figure(times[i], i == 0);
    }
    end_times(wall);

    for (i = 0; i < TOGGLES; i++) {
        start = begin();
        disable();
        close_all(n);
        one_time("disable", n, now_ns() - start);

        start = begin();
        for (unsigned j = 0; j < n; j++) {
            fds[j] = new_eventfd();
        }
        enable(n, fds);
        one_time("enable", n, now_ns() - start);
    }

    start = begin();
    disable();
    close_all(n);
    if (ioctl(device, VFIO_DEVICE_RESET)) {
        err(1, "VFIO_DEVICE_RESET");
    }
    one_time("reset", n, now_ns() - start);
    enable_device();
}

static void measure(const unsigned *sizes, unsigned nr_sizes, unsigned repeat)
{
    unsigned round, i;
    FILE *real = out;
    int64_t start;

    /* Code is read from its file when it is first run. */
    out = fopen("/dev/null", "w");
    if (!out) {
        err(1, "/dev/null");
    }
    measure_size(sizes[0]);
    fclose(out);
    out = real;
    some = false;

    fputs("\"times\": [", out);
    for (round = 0; round < repeat; round++) {
        start = begin();
        if (ioctl(device, VFIO_DEVICE_RESET)) {
            err(1, "VFIO_DEVICE_RESET");
        }
        one_time("reset", 0, now_ns() - start);
        enable_device();
        for (i = 0; i < nr_sizes; i++) {
            measure_size(sizes[i]);
        }
    }
    fputs("]", out);
}

/* The heap in use with @n vectors, if only their triggers are kept */
static size_t heap_in_use(unsigned n)
{
    int *triggers = calloc(n, sizeof(*triggers));
    struct mallinfo2 heap;
    unsigned i;

    if (!triggers) {
        err(1, "%u triggers", n);
    }
    for (i = 0; i < n; i++) {
        triggers[i] = new_eventfd();
    }
    enable(n, triggers);
    heap = mallinfo2();
    disable();
    for (i = 0; i < n; i++) {
        close(triggers[i]);
    }
    free(triggers);
    return heap.uordblks + heap.hblkhd;
}

static void measure_memory(const unsigned *sizes, unsigned nr_sizes)
{
    unsigned i, n = 0;
    size_t one;

    for (i = 0; i < nr_sizes; i++) {
        n = sizes[i] > n ? sizes[i] : n;
    }
    one = heap_in_use(1);
    fprintf(out, "\"memory\": {\"vectors\": %u, \"one\": %zu, \"all\": %zu}",
            n, one, heap_in_use(n));
}

static void print_calls(const char *what, unsigned n, unsigned set_irqs,
                        unsigned eventfds)
{
    fprintf(out, "%s\n{\"what\": \"%s\", \"vectors\": %u, \"set_irqs\": %u, "
            "\"commits\": 0, \"irqfds\": 0, \"eventfds\": %u, "
            "\"host_vectors\": %u}", some ? "," : "", what, n, set_irqs,
            eventfds, host_vectors());
    some = true;
}

/*
 * The numbers of calls are those made here; the number of vectors that the
 * host allocates for them is read from sysfs.
 */
static void count(const unsigned *sizes, unsigned nr_sizes)
{
    static int64_t times[MAX_VECTORS];
    int block[MAX_VECTORS];
    unsigned i, j;

    fputs("\"calls\": [", out);
    for (i = 0; i < nr_sizes; i++) {
        unsigned n = sizes[i], set[] = { 0, n / 2, n - 1 };

        enable_empty();
        add_vectors(n, times);
        print_calls("add", n, n + !dynamic, n);
        disable();
        print_calls("disable", n, 2, 0);
        enable(n, fds);
        print_calls("enable", n, 2, n);
        disable();
        close_all(n);

        enable_empty();
        for (j = 0; j < n; j++) {
            block[j] = -1;
        }
        if (!dynamic) {
            disable_index(VFIO_PCI_MSIX_IRQ_INDEX);
            set_triggers(0, n, block);
        }
        for (j = 0; j < N_ELEMENTS(set); j++) {
            block[set[j]] = new_eventfd();
            set_triggers(set[j], 1, &block[set[j]]);
        }
        print_calls("sparse", n, N_ELEMENTS(set) + (dynamic ? 0 : 2),
                    N_ELEMENTS(set));
        disable();
        /* Where the host can add vectors, have it allocate no others. */
        enable(dynamic ? 1 : n, block);
        for (j = 1; dynamic && j < N_ELEMENTS(set); j++) {
            set_triggers(set[j], 1, &block[set[j]]);
        }
        print_calls("sparse-enable", n, dynamic ? 1 + N_ELEMENTS(set) : 2,
                    N_ELEMENTS(set));
        disable();
        for (j = 0; j < N_ELEMENTS(set); j++) {
            close(block[set[j]]);
        }
    }
    fputs("]", out);
}

/*
 * Delivery: a thread that waits for the eventfd, as QEMU's main loop does, and
 * writes to memory that another one looks at
 */

static _Atomic uint32_t word;

static void *deliver(void *opaque)
{
    struct pollfd poll_fd = { .fd = fds[0], .events = POLLIN };
    uint64_t events;

    (void)opaque;
    while (poll(&poll_fd, 1, -1) == 1) {
        if (read(fds[0], &events, sizeof(events)) == sizeof(events)) {
            atomic_store(&word, 1);
        }
    }
    return NULL;
}

static void measure_latency(unsigned wanted)
{
    struct sched_param param = { 0 };
    /* volatile: these are registers */
    volatile uint32_t *regs;
    pthread_t thread;
    int64_t start, took;
    unsigned i;

    regs = mmap(NULL, MSIX_TESTDEV_REGS_SIZE, PROT_READ | PROT_WRITE,
                MAP_SHARED, device, region(MSIX_TESTDEV_REGS_BAR));
    if (regs == MAP_FAILED) {
        err(1, "map the registers");
    }
    fds[0] = new_eventfd();
    enable(1, fds);
    errno = pthread_create(&thread, NULL, deliver, NULL);
    if (errno) {
        err(1, "pthread_create");
    }
    /* This thread spins: it must not take the CPU from the other one. */
    if (sched_setscheduler(0, SCHED_IDLE, &param)) {
        err(1, "sched_setscheduler");
    }
    fputs("\"latency_us\": [", out);
    for (i = 0; i < wanted; i++) {
        usleep(500 + i * 37 % 500);
        atomic_store(&word, 0);
        start = now_ns();
        regs[MSIX_TESTDEV_FIRE / 4] = 0;
        do {
            took = now_ns() - start;
            if (took > TIMEOUT_NS) {
                errx(1, "interrupt %u of %u has not arrived", i, wanted);
            }
        } while (!atomic_load(&word));
        took = now_ns() - start;
        time_figure(took, i == 0);
    }
    fputs("]", out);
    disable();
}

static unsigned number(const char *text)
{
    unsigned value;
    char rest;

    if (sscanf(text, "%u%c", &value, &rest) != 1 || value < 1 ||
        value > 1000000) {
        errx(2, "%s is no number from 1 to 1000000", text);
    }
    return value;
}

static void usage(FILE *to, int status)
{
    fputs("usage: vfio-msix-baseline [--count] [--sizes N,...] [--repeat R]\n"
          "                       [--latency COUNT] [--memory] --json FILE\n"
          "\n"
          "The device is $VFIO_MSIX_TEST_DEVICE (host=...).  The options are\n"
          "those of vfio-msix-bench.\n", to);
    exit(status);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "count", no_argument, NULL, 'c' },
        { "sizes", required_argument, NULL, 's' },
        { "repeat", required_argument, NULL, 'r' },
        { "latency", required_argument, NULL, 'l' },
        { "memory", no_argument, NULL, 'm' },
        { "json", required_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    const char *property = getenv("VFIO_MSIX_TEST_DEVICE"), *json = NULL;
    unsigned sizes[MAX_SIZES] = { 8 }, nr_sizes = 1, repeat = 1, latency = 0;
    bool counting = false, memory = false;
    unsigned i;
    char *part;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            counting = true;
            break;
        case 's':
            nr_sizes = 0;
            for (part = strtok(optarg, ","); part; part = strtok(NULL, ",")) {
                if (nr_sizes == MAX_SIZES) {
                    errx(2, "no more than %d sizes", MAX_SIZES);
                }
                sizes[nr_sizes++] = number(part);
            }
            break;
        case 'r':
            repeat = number(optarg);
            break;
        case 'l':
            latency = number(optarg);
            break;
        case 'm':
            memory = true;
            break;
        case 'j':
            json = optarg;
            break;
        case 'h':
            usage(stdout, 0);
            break;
        default:
            usage(stderr, 2);
        }
    }
    if (optind != argc || !json || !property || !nr_sizes) {
        usage(stderr, 2);
    }

    start_asker();
    open_device(property);
    intx_fd = new_eventfd();
    enable_intx();
    for (i = 0; i < nr_sizes; i++) {
        if (sizes[i] > vectors) {
            errx(1, "the device has %u vectors", vectors);
        }
    }
    out = fopen(json, "w");
    if (!out) {
        err(1, "%s", json);
    }
    fprintf(out, "{\"dynamic\": %s, ", dynamic ? "true" : "false");
    if (latency) {
        measure_latency(latency);
    } else if (memory) {
        measure_memory(sizes, nr_sizes);
    } else if (counting) {
        count(sizes, nr_sizes);
    } else {
        measure(sizes, nr_sizes, repeat);
    }
    fputs("}\n", out);
    if (fclose(out)) {
        err(1, "%s", json);
    }
    return 0;
}
