/*
 * vfio-msix-guest: a driver that takes MSI-X vectors into use at run time
 *
 * Runs in a Linux guest and drives a device through the guest's own vfio-pci, so
 * the guest's kernel writes the MSI-X table.  In each round a vector is added
 * every few milliseconds, and sometimes one is masked and unmasked, while the
 * device raises all that are in use.
 *
 * The device is an msix-testdev.  It raises a vector some time after the last
 * interrupt was acknowledged, as a queue is used again, also while the guest's
 * processors wait for QEMU to add a vector.  A vector that lost an interrupt is
 * stuck, and counts once; an extra one finds nothing to do.  The device counts
 * what it dropped while MSI-X was off on the host, which is lost without replays.
 *
 * With -l it times instead: interrupts one by one, from the write that has the
 * device raise one to the handler, and writes to the MSI-X table.
 *
 * Prints a JSON object a line.  The exit status is 0 if it could measure,
 * whatever the figures are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "hw/misc/msix-testdev-regs.h"

#define MIN(a, b)       ((a) < (b) ? (a) : (b))
#define MAX_VECTORS     256

/* What takes longer counts as late, which fails nothing. */
#define LATE_NS         1000000000ull

/*
 * The time from an acknowledgement to the next interrupt, or 2, 3 or 4 times
 * that: short enough for some to be due whenever QEMU adds a vector, and long
 * enough for an emulated processor to do other work.
 */
#define PERIOD_US       2000

/* How often a line is to show that the guest is alive */
#define ALIVE_MS        1000

/* After so long a vector counts as late: it may be stuck */
#define HANDLE_MS       500

/* How long nothing is masked, at the end of a round */
#define REST_MS         1000

typedef struct Vector {
    int fd;
    /* The device raises it no earlier */
    _Atomic uint64_t due_ns;
} Vector;

typedef struct Sums {
    uint64_t raised;
    uint64_t handled;
    uint64_t lost;
    uint64_t masks;
    uint64_t dropped;
    uint64_t disables;
} Sums;

static int device;
static off_t bar0;
/* volatile: these are registers */
static volatile uint32_t *bar0_map;
static uint32_t irq_flags;
static int epoll_fd;

static Vector vectors[MAX_VECTORS];
static unsigned nr_vectors = 32;
static unsigned nr_rounds = 8;
static unsigned step_ms = 20;
static unsigned nr_masks = 64;
static unsigned timeout_ms = 15000;
static unsigned nr_latencies;

/* What the device had raised when the round began; it has 32-bit counters. */
static uint32_t raised_before;

/* The handler's own; handled is of the round */
static _Atomic uint32_t handled;
static _Atomic uint64_t extra;
static _Atomic uint64_t late;
static _Atomic uint64_t slowest_ns;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

/*
 * The device
 */

static uint32_t read_register(unsigned offset)
{
    uint32_t value;

    if (bar0_map) {
        return bar0_map[offset / 4];
    }
    if (pread(device, &value, sizeof(value), bar0 + offset) != sizeof(value)) {
        err(2, "read a register");
    }
    return value;
}

static void write_register(unsigned offset, uint32_t value)
{
    if (bar0_map) {
        bar0_map[offset / 4] = value;
    } else if (pwrite(device, &value, sizeof(value), bar0 + offset) !=
               sizeof(value)) {
        err(2, "write a register");
    }
}

/* MSI-X messages need bus mastering. */
static void enable_device(void)
{
    struct vfio_region_info config = {
        .argsz = sizeof(config),
        .index = VFIO_PCI_CONFIG_REGION_INDEX,
    };
    uint16_t command;

    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config)) {
        err(2, "VFIO_DEVICE_GET_REGION_INFO");
    }
    if (pread(device, &command, sizeof(command),
              config.offset + PCI_COMMAND) != sizeof(command)) {
        err(2, "read the command register");
    }
    command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (pwrite(device, &command, sizeof(command),
               config.offset + PCI_COMMAND) != sizeof(command)) {
        err(2, "write the command register");
    }
}

static void open_device(const char *group_file, const char *name)
{
    struct vfio_region_info region = {
        .argsz = sizeof(region),
        .index = VFIO_PCI_BAR0_REGION_INDEX,
    };
    struct vfio_irq_info irq = {
        .argsz = sizeof(irq),
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };
    int container, group;
    void *map;

    container = open("/dev/vfio/vfio", O_RDWR);
    if (container < 0) {
        err(2, "open /dev/vfio/vfio");
    }
    group = open(group_file, O_RDWR);
    if (group < 0) {
        err(2, "open %s", group_file);
    }
    if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) {
        err(2, "VFIO_GROUP_SET_CONTAINER");
    }
    if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
        err(2, "VFIO_SET_IOMMU");
    }
    device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
    if (device < 0) {
        err(2, "VFIO_GROUP_GET_DEVICE_FD %s", name);
    }
    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region)) {
        err(2, "VFIO_DEVICE_GET_REGION_INFO");
    }
    if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq)) {
        err(2, "VFIO_DEVICE_GET_IRQ_INFO");
    }
    if (irq.count < nr_vectors) {
        errx(2, "the device has only %u vectors", irq.count);
    }
    if (irq.flags & VFIO_IRQ_INFO_NORESIZE) {
        errx(2, "this guest's kernel cannot add MSI-X vectors at run time");
    }
    irq_flags = irq.flags;
    bar0 = region.offset;
    enable_device();
    if (region.flags & VFIO_REGION_INFO_FLAG_MMAP) {
        map = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   device, region.offset);
        bar0_map = map == MAP_FAILED ? NULL : map;
    }
    if (read_register(MSIX_TESTDEV_ID) != MSIX_TESTDEV_ID_VALUE) {
        errx(2, "%s is no msix-testdev", name);
    }
}

/* The trigger of one vector: -1 for none, by which the guest masks it */
static void set_trigger(unsigned n, int fd)
{
    union {
        struct vfio_irq_set set;
        uint8_t bytes[sizeof(struct vfio_irq_set) + sizeof(int)];
    } u = {
        .set = {
            .argsz = sizeof(u.bytes),
            .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
            .index = VFIO_PCI_MSIX_IRQ_INDEX,
            .start = n,
            .count = 1,
        },
    };

    memcpy(u.set.data, &fd, sizeof(fd));
    if (ioctl(device, VFIO_DEVICE_SET_IRQS, &u.set)) {
        err(2, "VFIO_DEVICE_SET_IRQS for vector %u", n);
    }
}

static void disable_msix(void)
{
    struct vfio_irq_set set = {
        .argsz = sizeof(set),
        .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };

    if (ioctl(device, VFIO_DEVICE_SET_IRQS, &set)) {
        err(2, "VFIO_DEVICE_SET_IRQS to disable MSI-X");
    }
}

/*
 * Raising and handling interrupts
 */

static bool is_outstanding(unsigned n)
{
    return read_register(MSIX_TESTDEV_OUTSTANDING + n / 32 * 4) >> n % 32 & 1;
}

static unsigned period_us(unsigned n)
{
    return (1 + n % 4) * PERIOD_US;
}

static void set_period(unsigned n, unsigned us)
{
    write_register(MSIX_TESTDEV_VECTOR(n) + MSIX_TESTDEV_VECTOR_PERIOD, us);
}

/* The device raises it so long after this, or after it is acknowledged. */
static void let_go(unsigned n)
{
    if (!is_outstanding(n)) {
        atomic_store(&vectors[n].due_ns, now_ns() + period_us(n) * 1000);
    }
    set_period(n, period_us(n));
}

/*
 * Nothing more is raised when this returns, as the device has completed the
 * write.
 */
static void hold(unsigned n)
{
    set_period(n, 0);
}

static void handle(unsigned n)
{
    Vector *v = &vectors[n];
    uint64_t events, now, due = atomic_load(&v->due_ns);

    if (read(v->fd, &events, sizeof(events)) != sizeof(events)) {
        return;
    }
    if (!is_outstanding(n)) {
        atomic_fetch_add(&extra, events);
        return;
    }
    now = now_ns();
    if (now > due + atomic_load(&slowest_ns)) {
        atomic_store(&slowest_ns, now - due);
    }
    if (now > due + LATE_NS) {
        atomic_fetch_add(&late, 1);
    }
    atomic_fetch_add(&extra, events - 1);
    atomic_store(&v->due_ns, now + period_us(n) * 1000);
    atomic_fetch_add(&handled, 1);
    write_register(MSIX_TESTDEV_ACK, n);
}

static void *handler(void *opaque)
{
    struct epoll_event events[32];
    int i, count;

    while (true) {
        count = epoll_wait(epoll_fd, events, 32, -1);
        for (i = 0; i < count; i++) {
            handle(events[i].data.u32);
        }
    }
    return NULL;
}

static pthread_t start_thread(void *(*function)(void *))
{
    pthread_t thread;
    int ret = pthread_create(&thread, NULL, function, NULL);

    if (ret) {
        errx(2, "pthread_create: %s", strerror(ret));
    }
    return thread;
}

static void use_processor(pthread_t thread, int cpu)
{
    cpu_set_t cpus;
    int ret;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    ret = pthread_setaffinity_np(thread, sizeof(cpus), &cpus);
    if (ret) {
        errx(2, "cannot use processor %d: %s", cpu, strerror(ret));
    }
}

/*
 * The rounds
 */

static uint32_t raised(void)
{
    return read_register(MSIX_TESTDEV_RAISED) - raised_before;
}

static void alive(unsigned round, const char *phase)
{
    static uint64_t last;
    uint64_t now = now_ns();

    if (now - last < ALIVE_MS * 1000000ull) {
        return;
    }
    last = now;
    printf("{\"alive\":%u,\"phase\":\"%s\",\"raised\":%u,\"handled\":%u}\n",
           round, phase, raised(), atomic_load(&handled));
}

static bool wait_until_handled(unsigned n, unsigned ms)
{
    uint64_t deadline = now_ns() + ms * 1000000ull;

    while (is_outstanding(n)) {
        if (now_ns() >= deadline) {
            return false;
        }
        sleep_ms(1);
    }
    return true;
}

static unsigned random_below(unsigned limit)
{
    /* The same sequence each time; only the timing differs. */
    static uint32_t state = 1;

    state = state * 1664525 + 1013904223;
    return (state >> 8) % limit;
}

/* Which processor is to get the interrupts that are requested from now on */
static void choose_processor(unsigned cpu)
{
    char text[16];
    int fd = open("/proc/irq/default_smp_affinity", O_WRONLY);
    int length = snprintf(text, sizeof(text), "%x\n", 1u << cpu);

    if (fd < 0 || write(fd, text, length) != length) {
        err(2, "write /proc/irq/default_smp_affinity");
    }
    close(fd);
}

/*
 * Masks a vector, mostly has it raised meanwhile, and unmasks it, maybe for
 * another processor: with interrupt remapping its message stays the same.  The
 * guest's kernel drops an interrupt that it has got and not yet handled when its
 * handler is removed, so wait for that first.  Skip a vector that is stuck, or
 * its loss could not be seen.
 */
static bool mask_and_unmask(unsigned n, unsigned masked_ms)
{
    if (is_outstanding(n) && now_ns() > atomic_load(&vectors[n].due_ns) +
        HANDLE_MS * 1000000ull) {
        return false;
    }
    hold(n);
    if (!wait_until_handled(n, HANDLE_MS)) {
        let_go(n);
        return false;
    }
    set_trigger(n, -1);
    /* Otherwise it may be raised at the unmask, or after it. */
    if (random_below(3)) {
        atomic_store(&vectors[n].due_ns, now_ns());
        write_register(MSIX_TESTDEV_FIRE, n);
    }
    let_go(n);
    sleep_ms(masked_ms);
    choose_processor(random_below(2));
    set_trigger(n, vectors[n].fd);
    return true;
}

static unsigned count_outstanding(void)
{
    unsigned n, count = 0;

    for (n = 0; n < nr_vectors; n++) {
        count += is_outstanding(n);
    }
    return count;
}

/* The number of vectors that are stuck */
static unsigned wait_for_quiet(unsigned round)
{
    unsigned left, before = nr_vectors, quiet = 0;

    while ((left = count_outstanding()) && quiet < timeout_ms) {
        quiet = left == before ? quiet + 10 : 0;
        before = left;
        sleep_ms(10);
        alive(round, "quiet");
    }
    return left;
}

static void play_round(unsigned round, Sums *sums)
{
    uint32_t dropped = read_register(MSIX_TESTDEV_DROPPED);
    uint32_t disables = read_register(MSIX_TESTDEV_MSIX_DISABLES);
    uint64_t masks = 0;
    unsigned n, m, lost;

    raised_before = read_register(MSIX_TESTDEV_RAISED);
    atomic_store(&handled, 0);
    write_register(MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);
    for (n = 0; n < nr_vectors; n++) {
        set_trigger(n, vectors[n].fd);
        let_go(n);
        alive(round, "add-vectors");
        sleep_ms(step_ms);
        if (n % 4 == 3) {
            masks += mask_and_unmask(random_below(n + 1), random_below(4));
        }
    }
    for (m = 0; m < nr_masks; m++) {
        masks += mask_and_unmask(random_below(nr_vectors), random_below(4));
        alive(round, "mask");
        sleep_ms(random_below(12));
    }
    /* nothing is masked for a while: KVM gets all vectors */
    for (m = 0; m < REST_MS; m += 10) {
        sleep_ms(10);
        alive(round, "rest");
    }
    for (n = 0; n < nr_vectors; n++) {
        hold(n);
    }
    lost = wait_for_quiet(round);
    dropped = read_register(MSIX_TESTDEV_DROPPED) - dropped;
    disables = read_register(MSIX_TESTDEV_MSIX_DISABLES) - disables;
    printf("{\"round\":%u,\"raised\":%u,\"handled\":%u,\"lost\":%u,\"masks\":%"
           PRIu64 ",\"dropped\":%u,\"disables\":%u}\n", round, raised(),
           atomic_load(&handled), lost, masks, dropped, disables);
    sums->raised += raised();
    sums->handled += atomic_load(&handled);
    sums->lost += lost;
    sums->masks += masks;
    sums->dropped += dropped;
    sums->disables += disables;

    disable_msix();
    /* What was lost is counted, and the next round starts anew. */
    for (n = 0; n < nr_vectors; n++) {
        write_register(MSIX_TESTDEV_ACK, n);
    }
}

static void make_vectors(void)
{
    struct epoll_event event = { .events = EPOLLIN };
    unsigned n;

    epoll_fd = epoll_create1(0);
    if (epoll_fd < 0) {
        err(2, "epoll_create1");
    }
    for (n = 0; n < nr_vectors; n++) {
        vectors[n].fd = eventfd(0, EFD_NONBLOCK);
        event.data.u32 = n;
        if (vectors[n].fd < 0 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, vectors[n].fd, &event)) {
            err(2, "an eventfd for vector %u", n);
        }
    }
}

/*
 * Times
 */

/* volatile: the table's words are registers */
typedef volatile uint32_t Register;

/* For how long a vector stays unmasked so that KVM gets it */
#define SETTLE_MS       100

/* How often a vector is masked in a row, or after a rest each */
#define MASKS_IN_A_ROW  32
#define MASKS_RESTED    5

static Register *map_table(void)
{
    struct vfio_region_info region = {
        .argsz = sizeof(region),
        .index = MSIX_TESTDEV_MSIX_BAR,
    };
    void *map;

    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region)) {
        err(2, "VFIO_DEVICE_GET_REGION_INFO");
    }
    map = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
               region.offset);
    if (map == MAP_FAILED) {
        err(2, "map the MSI-X table");
    }
    return (Register *)map + MSIX_TESTDEV_TABLE_OFFSET / 4;
}

/* The kernel's entries are put back as they were before it can notice. */
static uint64_t time_control(Register *table, unsigned n, uint32_t value)
{
    uint64_t start = now_ns();

    table[n * PCI_MSIX_ENTRY_SIZE / 4 + PCI_MSIX_ENTRY_VECTOR_CTRL / 4] = value;
    return now_ns() - start;
}

static uint64_t time_mask_and_unmask(Register *table)
{
    return time_control(table, 0, PCI_MSIX_ENTRY_CTRL_MASKBIT) +
           time_control(table, 0, 0);
}

static void begin_times(const char *what)
{
    printf("\"%s\":[", what);
}

static void print_time(uint64_t ns, bool last)
{
    printf("%.1f%s", ns / 1000.0, last ? "]," : ",");
}

static void time_accesses(void)
{
    Register *table = map_table();
    unsigned i, n, word;

    begin_times("nothing_us");
    for (i = 0; i < MASKS_IN_A_ROW; i++) {
        print_time(time_control(table, nr_vectors - 1,
                                PCI_MSIX_ENTRY_CTRL_MASKBIT),
                   i + 1 == MASKS_IN_A_ROW);
    }
    begin_times("mask_us");
    for (i = 0; i < MASKS_RESTED; i++) {
        /* A mask within a second of the irqfd's assignment defers the next one. */
        sleep_ms(1000 + SETTLE_MS);
        print_time(time_mask_and_unmask(table), i + 1 == MASKS_RESTED);
    }
    begin_times("mask_often_us");
    for (i = 0; i < MASKS_IN_A_ROW; i++) {
        print_time(time_mask_and_unmask(table), i + 1 == MASKS_IN_A_ROW);
    }
    /* They never fire, so any message will do. */
    for (n = 1; n < nr_vectors; n++) {
        for (word = 0; word < PCI_MSIX_ENTRY_VECTOR_CTRL / 4; word++) {
            table[n * PCI_MSIX_ENTRY_SIZE / 4 + word] = table[word];
        }
    }
    begin_times("new_us");
    for (n = 1; n < nr_vectors; n++) {
        print_time(time_control(table, n, 0), n + 1 == nr_vectors);
    }
    for (n = 1; n < nr_vectors; n++) {
        time_control(table, n, PCI_MSIX_ENTRY_CTRL_MASKBIT);
    }
}

static void time_delivery(void)
{
    struct pollfd poll_fd = { .fd = vectors[0].fd, .events = POLLIN };
    uint64_t start, events;
    unsigned i;

    begin_times("latency_us");
    for (i = 0; i < nr_latencies; i++) {
        sleep_ms(1);
        start = now_ns();
        write_register(MSIX_TESTDEV_FIRE, 0);
        if (poll(&poll_fd, 1, timeout_ms) != 1 ||
            read(poll_fd.fd, &events, sizeof(events)) != sizeof(events)) {
            errx(2, "interrupt %u of %u has not come", i, nr_latencies);
        }
        print_time(now_ns() - start, i + 1 == nr_latencies);
    }
}

static void print_times(void)
{
    /* all on one processor, for equal conditions */
    use_processor(pthread_self(), 0);
    choose_processor(0);
    set_trigger(0, vectors[0].fd);
    sleep_ms(SETTLE_MS);
    printf("{");
    time_delivery();
    time_accesses();
    printf("\"sum\":0}\n");
    disable_msix();
}

static unsigned number(const char *text, unsigned low, unsigned high)
{
    unsigned value;
    char rest;

    if (sscanf(text, "%u%c", &value, &rest) != 1 ||
        value < low || value > high) {
        errx(2, "%s is no number from %u to %u", text, low, high);
    }
    return value;
}

static void parse(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "v:r:s:m:p:l:")) != -1) {
        switch (option) {
        case 'v':
            nr_vectors = number(optarg, 2, MAX_VECTORS);
            break;
        case 'r':
            nr_rounds = number(optarg, 1, 1000000);
            break;
        case 's':
            step_ms = number(optarg, 0, 10000);
            break;
        case 'm':
            nr_masks = number(optarg, 0, 1000000);
            break;
        case 'p':
            timeout_ms = number(optarg, 1, 1000000);
            break;
        case 'l':
            nr_latencies = number(optarg, 1, 1000);
            break;
        default:
            optind = argc;
            break;
        }
    }
    if (argc - optind != 2) {
        errx(2, "usage: vfio-msix-guest [-v VECTORS] [-r ROUNDS] [-s STEP_MS] "
             "[-m MASKS] [-p TIMEOUT_MS] [-l LATENCIES] /dev/vfio/GROUP "
             "DEVICE");
    }
}

int main(int argc, char **argv)
{
    Sums sums = { 0 };
    uint64_t began;
    unsigned round;

    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(argc, argv);
    open_device(argv[optind], argv[optind + 1]);
    make_vectors();
    printf("{\"device\":\"%s\",\"irq-flags\":%u,\"mapped\":%s}\n",
           argv[optind + 1], irq_flags, bar0_map ? "true" : "false");

    if (nr_latencies) {
        print_times();
        return 0;
    }

    /*
     * Vectors are added on processor 0 and handled on 1: with one processor
     * nothing would be handled while QEMU adds a vector.
     */
    use_processor(start_thread(handler), 1);
    use_processor(pthread_self(), 0);
    began = now_ns();
    for (round = 1; round <= nr_rounds; round++) {
        play_round(round, &sums);
        if (sums.lost) {
            /* Stop: the loss is shown, and a round takes long. */
            break;
        }
    }
    printf("{\"sum\":%u,\"vectors\":%u,\"raised\":%" PRIu64 ",\"handled\":%"
           PRIu64 ",\"lost\":%" PRIu64 ",\"extra\":%" PRIu64 ",\"late\":%"
           PRIu64 ",\"masks\":%" PRIu64 ",\"slowest-ms\":%" PRIu64
           ",\"took-ms\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"disables\":%"
           PRIu64 "}\n", MIN(round, nr_rounds), nr_vectors, sums.raised,
           sums.handled, sums.lost, atomic_load(&extra), atomic_load(&late),
           sums.masks, atomic_load(&slowest_ns) / 1000000,
           (now_ns() - began) / 1000000, sums.dropped, sums.disables);
    return 0;
}
