/*
 * vfio-abi: calls and other events, and what is printed of them
 *
 * Nothing is waited for and nothing depends on speed.  An interrupt that the
 * device raises is pending in the processor before the register access that
 * follows is over, and is served before that processor runs this program
 * again: so the program goes to each of them before it looks at the eventfds.
 * vfio-pci's own threads are flushed by calls that wait for them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "abi.h"

static const char *const counter_names[NR_COUNTERS] = {
    "enables", "disables", "resets", "sent", "pended", "dropped", "intx",
};

uint64_t calls;

static int eventfds[NR_EVENTFDS];
static bool intx_active;
static int unmask_fd;           /* INTx is unmasked by it */
static int null_fd;             /* a file that is no eventfd */
static cpu_set_t cpus;
static uint64_t line_number;

/*
 * Output
 */

void begin(const char *format, ...)
{
    va_list ap;

    printf("%" PRIu64 " ", ++line_number);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
}

/* All processors have served what was pending when this is called. */
static void serve_interrupts(void)
{
    cpu_set_t one;
    int cpu;

    reg_read(MSIX_TESTDEV_STATUS); /* posted writes are done */
    if (CPU_COUNT(&cpus) < 2) {
        return; /* there is only this one */
    }
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &cpus)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (sched_setaffinity(0, sizeof(one), &one) < 0) {
                die("cannot run on CPU %d: %s", cpu, strerror(errno));
            }
        }
    }
    sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void print_fired(void)
{
    const char *before = " fired=";
    uint64_t count;
    unsigned i;

    for (i = 0; i < NR_EVENTFDS; i++) {
        if (read(eventfds[i], &count, sizeof(count)) == sizeof(count)) {
            printf("%se%u:%" PRIu64, before, i, count);
            before = ",";
        }
    }
}

static void print_pending(void)
{
    uint32_t words[MSIX_TESTDEV_MAX_VECTORS / 32];
    unsigned i, count = read_pending(VFIO_PCI_MSIX_IRQ_INDEX, words);

    for (i = 0; i < count; i++) {
        if (words[i]) {
            printf(" pba%u=%x", i, words[i]);
        }
    }
}

/* The number of vectors that the host has allocated, by sysfs */
static unsigned host_vectors(void)
{
    char path[512];
    struct dirent *entry;
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/msi_irqs", dev.folder);
    dir = opendir(path);
    if (!dir) {
        return 0;
    }
    while ((entry = readdir(dir))) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

/* What there is to see after whatever was done; ends the line */
void finish(void)
{
    uint32_t now[NR_COUNTERS];
    unsigned i;

    begin_access();
    serve_interrupts();
    print_fired();
    printf(" status=%x", reg_read(MSIX_TESTDEV_STATUS));
    read_counters(now);
    for (i = 0; i < NR_COUNTERS; i++) {
        /* a reset sets all but the first three to zero */
        if (now[i] != dev.counters[i]) {
            printf(" %s%+d", counter_names[i],
                   (int)(now[i] - dev.counters[i]));
        }
    }
    memcpy(dev.counters, now, sizeof(now));
    print_pending();
    end_access();
    if (dev.cap_msi) {
        printf(" msi=%x/%x/%x", config_read(dev.cap_msi + PCI_MSI_FLAGS, 2),
               config_read(dev.cap_msi + PCI_MSI_MASK_64, 4),
               config_read(dev.cap_msi + PCI_MSI_PENDING_64, 4));
    }
    printf(" host=%u\n", host_vectors());
}

void print_result(int result, int error)
{
    printf(" = %d", result);
    if (result < 0) {
        const char *name = strerrorname_np(error);

        printf(" %s", name ? name : "?");
    }
}

/*
 * Descriptors: eN is the N-th eventfd
 */

/* Nobody has so many, or asks for one by its number. */
#define CLOSED_NUMBER 19999

static int real_fd(int fd)
{
    switch (fd) {
    case FD_CLOSED:
        return CLOSED_NUMBER;
    case FD_NULL:
        return null_fd;
    case FD_UNMASK:
        return unmask_fd;
    default:
        return fd >= 0 && fd < NR_EVENTFDS ? eventfds[fd] : fd;
    }
}

static void print_fd(int fd)
{
    switch (fd) {
    case FD_CLOSED:
        fputs("closed", stdout);
        break;
    case FD_NULL:
        fputs("null", stdout);
        break;
    case FD_UNMASK:
        fputs("unmask", stdout);
        break;
    default:
        printf(fd >= 0 && fd < NR_EVENTFDS ? "e%d" : "%d", fd);
    }
}

static int new_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        die("eventfd: %s", strerror(errno));
    }
    return fd;
}

/*
 * Calls
 */

/* A page of memory that ends where nothing is */
static struct vfio_irq_set *argument;
static char *argument_end;

static void make_argument(void)
{
    size_t size = (sizeof(struct vfio_irq_set) + MAX_COUNT * 4 + 4095) &
                  ~4095UL;
    char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED ||
        mprotect(memory + size, 4096, PROT_NONE) < 0) {
        die("out of memory");
    }
    argument = (struct vfio_irq_set *)memory;
    argument_end = memory + size;
}

void prepare_calls(void)
{
    unsigned i;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0) {
        die("sched_getaffinity: %s", strerror(errno));
    }
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        die("/dev/null: %s", strerror(errno));
    }
    unmask_fd = new_eventfd();
    for (i = 0; i < NR_EVENTFDS; i++) {
        eventfds[i] = new_eventfd();
    }
    make_argument();
}

static void print_list(const Call *c, uint32_t count)
{
    const uint32_t most = 40;   /* all of them would be told alike */
    uint32_t i;

    if (c->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        fputs(" fds=", stdout);
        for (i = 0; i < count && i < most; i++) {
            fputs(i ? "," : "", stdout);
            print_fd(c->fds[i]);
        }
    } else if (c->flags & VFIO_IRQ_SET_DATA_BOOL) {
        fputs(" bools=", stdout);
        for (i = 0; i < count && i < most; i++) {
            printf("%x", c->bools[i]);
        }
    }
    if (count > most) {
        fputs("...", stdout);
    }
}

/*
 * A block that fails takes back the triggers that it has set already.  One of
 * a vector that is pending has fired by then, and it depends on speed whether
 * its handler was there still: no such vector gets one in a block that fails.
 */
static void avoid_race(Call *c)
{
    uint32_t words[MSIX_TESTDEV_MAX_VECTORS / 32];
    unsigned count, n;
    uint32_t i;
    bool fails = false;

    if ((c->index != VFIO_PCI_MSI_IRQ_INDEX &&
         c->index != VFIO_PCI_MSIX_IRQ_INDEX) ||
        c->flags != TRIGGER_EVENTFD || c->count < 2 ||
        c->count > MAX_COUNT || c->bad_data) {
        return;
    }
    for (i = 0; i < c->count; i++) {
        fails |= c->fds[i] == FD_CLOSED || c->fds[i] == FD_NULL ||
                 c->fds[i] >= NR_EVENTFDS;
    }
    /* MSI cannot be added to, which later kernels find out on the way. */
    if (!fails && c->index == VFIO_PCI_MSIX_IRQ_INDEX) {
        return;
    }
    count = read_pending(c->index, words) * 32;
    for (i = 0; i < c->count; i++) {
        n = c->start + i;
        if (n < count && words[n / 32] & 1u << n % 32 && c->fds[i] >= 0) {
            c->fds[i] = FD_NONE;
        }
    }
}

static bool is_intx_trigger(const Call *c)
{
    return c->index == VFIO_PCI_INTX_IRQ_INDEX && c->flags == TRIGGER_EVENTFD;
}

void call(Call *c)
{
    static const char *const names[] = {
        "INTX", "MSI", "MSIX", "ERR", "REQ",
    };
    struct vfio_irq_set *set = argument;
    uint32_t count = c->count < MAX_COUNT ? c->count : MAX_COUNT, i;
    int32_t *fds;
    uint8_t *bools;
    size_t size = 0;
    int result, error;

    avoid_race(c);
    if (c->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        size = (size_t)count * 4;
    } else if (c->flags & VFIO_IRQ_SET_DATA_BOOL) {
        size = count;
    }
    if (c->bad_data) {
        /* aligned, and the header still inside */
        set = (struct vfio_irq_set *)(argument_end - sizeof(*set));
    }
    set->argsz = sizeof(*set) + size + c->argsz;
    set->flags = c->flags;
    set->index = c->index;
    set->start = c->start;
    set->count = c->count;
    if (!c->bad_data) {
        fds = (int32_t *)set->data;
        bools = set->data;
        for (i = 0; i < count; i++) {
            if (c->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
                fds[i] = real_fd(c->fds[i]);
            } else if (c->flags & VFIO_IRQ_SET_DATA_BOOL) {
                bools[i] = c->bools[i];
            }
        }
    }

    /*
     * QEMU's I/O APIC forgets a line that goes up while its pin is masked as
     * an edge-triggered one, which is how Linux leaves a pin without a
     * handler.  So the line is down when a handler comes.
     */
    if (!intx_active && is_intx_trigger(c)) {
        reg_write(MSIX_TESTDEV_INTX, 0);
    }

    if (c->index < N_ELEMENTS(names)) {
        begin("set %s", names[c->index]);
    } else {
        begin("set %u", c->index);
    }
    printf(" flags=%02x start=%u count=%u", c->flags, c->start, c->count);
    if (c->argsz) {
        printf(" argsz%+d", c->argsz);
    }
    if (c->bad_data) {
        fputs(" data=bad", stdout);
    } else {
        print_list(c, count);
    }

    result = ioctl(dev.fd, VFIO_DEVICE_SET_IRQS, set);
    error = errno;
    calls++;
    print_result(result, error);
    finish();

    if (!result && is_intx_trigger(c)) {
        intx_active = true;
    } else if (!result && c->index == VFIO_PCI_INTX_IRQ_INDEX &&
               c->flags == TRIGGER_NONE && !c->count) {
        intx_active = false;
    }
}

/* Descriptors from start on; the list ends with the count. */
void set_fds(uint32_t index, uint32_t start, uint32_t count, ...)
{
    static Call c;
    va_list ap;
    uint32_t i;

    c = (Call) { .index = index, .flags = TRIGGER_EVENTFD, .start = start,
                 .count = count };
    va_start(ap, count);
    for (i = 0; i < count; i++) {
        c.fds[i] = va_arg(ap, int);
    }
    va_end(ap);
    call(&c);
}

void set_plain(uint32_t index, uint32_t flags, uint32_t start,
                      uint32_t count)
{
    static Call c;
    uint32_t i;

    c = (Call) { .index = index, .flags = flags, .start = start,
                 .count = count };
    for (i = 0; i < MAX_COUNT; i++) {
        c.fds[i] = i % NR_EVENTFDS;
        c.bools[i] = i % 3 == 0;
    }
    call(&c);
}

void disable(uint32_t index)
{
    set_plain(index, TRIGGER_NONE, 0, 0);
}

void fire(uint32_t vector)
{
    begin("fire %u", vector);
    reg_write(MSIX_TESTDEV_FIRE, vector);
    finish();
}

void set_intx_line(uint32_t level)
{
    begin("intx %u", level);
    reg_write(MSIX_TESTDEV_INTX, level);
    finish();
}

void set_ctrl(uint32_t value)
{
    begin("ctrl %x", value);
    reg_write(MSIX_TESTDEV_CTRL, value);
    finish();
}

void set_disintx(bool disable_it)
{
    begin("disintx %d", disable_it);
    set_command(disable_it ? PCI_COMMAND_INTX_DISABLE : 0,
                disable_it ? 0 : PCI_COMMAND_INTX_DISABLE);
    finish();
}

void set_master(bool enable)
{
    begin("master %d", enable);
    set_command(enable ? PCI_COMMAND_MASTER : 0,
                enable ? 0 : PCI_COMMAND_MASTER);
    finish();
}

void set_memory(bool enable)
{
    begin("memory %d", enable);
    set_command(enable ? PCI_COMMAND_MEMORY : 0,
                enable ? 0 : PCI_COMMAND_MEMORY);
    dev.memory = enable;
    finish();
}

void write_msi(unsigned offset, uint32_t value, unsigned size)
{
    begin("msi+%02x := %x", offset, value);
    if (dev.cap_msi) {
        config_write(dev.cap_msi + offset, value, size);
    }
    finish();
}

/* Of the other bits a host has its own idea. */
static void print_command(void)
{
    printf(" command=%x", config_read(PCI_COMMAND, 2) &
           (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
            PCI_COMMAND_INTX_DISABLE));
}

void reset(void)
{
    int result;

    begin("reset");
    result = ioctl(dev.fd, VFIO_DEVICE_RESET);
    print_result(result, errno);
    print_command();
    finish();
}

static void write_flr(void)
{
    unsigned reg = dev.cap_exp + PCI_EXP_DEVCTL;

    config_write(reg, config_read(reg, 2) | PCI_EXP_DEVCTL_BCR_FLR, 2);
    printf(" devctl=%x", config_read(reg, 2));
    print_command();
}

void function_level_reset(void)
{
    begin("flr");
    write_flr();
    finish();
}

void guest_function_reset(void)
{
    uint16_t command = config_read(PCI_COMMAND, 2);

    begin("guest flr");
    config_write(PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    write_flr();
    config_write(PCI_COMMAND, command, 2);
    finish();
}

bool reset_restores_vectors(void)
{
    uint32_t words[MSIX_TESTDEV_MAX_VECTORS / 32];
    bool fired, pending;
    uint64_t count;

    set_fds(VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, 0);
    set_memory(false);
    reset();
    set_memory(true);
    reg_write(MSIX_TESTDEV_FIRE, 0);
    serve_interrupts();
    fired = read(eventfds[0], &count, sizeof(count)) == sizeof(count);
    read_pending(VFIO_PCI_MSIX_IRQ_INDEX, words);
    pending = words[0] & 1;
    if (fired == pending) {
        die("vector 0 is %s after a reset with memory decoding off",
            fired ? "both delivered and pending" : "lost for good");
    }
    disable(VFIO_PCI_MSIX_IRQ_INDEX);
    return fired;
}

void reopen(void)
{
    begin("reopen");
    close(dev.fd);
    intx_active = false;
    open_device();
    finish();
}

/* Whoever has it as a trigger keeps it, and nobody will see it fire. */
void renew_eventfd(unsigned i)
{
    begin("renew e%u", i);
    close(eventfds[i]);
    eventfds[i] = new_eventfd();
    finish();
}

void irq_info(uint32_t index, uint32_t argsz)
{
    struct vfio_irq_info info = { .argsz = argsz, .index = index };
    int result = ioctl(dev.fd, VFIO_DEVICE_GET_IRQ_INFO, &info), error = errno;

    begin("info %u argsz=%u", index, argsz);
    print_result(result, error);
    if (!result) {
        printf(" flags=%x count=%u", info.flags, info.count);
    }
    putchar('\n');
}

/*
 * The unmask eventfd is served by a thread of vfio-pci; taking it away waits
 * for that.
 */
void unmask_by_eventfd(bool signal_it)
{
    const uint64_t one = 1;
    uint64_t count;
    static Call c;

    c = (Call) { .index = VFIO_PCI_INTX_IRQ_INDEX,
                 .flags = VFIO_IRQ_SET_ACTION_UNMASK |
                          VFIO_IRQ_SET_DATA_EVENTFD,
                 .count = 1, .fds = { FD_UNMASK } };
    call(&c);
    call(&c); /* there is one already */
    if (signal_it && write(unmask_fd, &one, sizeof(one)) < 0) {
        die("an eventfd cannot be written: %s", strerror(errno));
    }
    c.fds[0] = FD_NONE;
    call(&c);
    begin("unmask eventfd: ");
    if (read(unmask_fd, &count, sizeof(count)) == sizeof(count)) {
        printf("%" PRIu64 " left\n", count);
    } else {
        puts("empty");
    }
}

void close_unmask_eventfd(bool signal_it, bool copied)
{
    const uint64_t one = 1;
    static Call c;
    int copy = copied ? dup(unmask_fd) : -1;

    c = (Call) { .index = VFIO_PCI_INTX_IRQ_INDEX,
                 .flags = VFIO_IRQ_SET_ACTION_UNMASK |
                          VFIO_IRQ_SET_DATA_EVENTFD,
                 .count = 1, .fds = { FD_UNMASK } };
    call(&c);
    if (signal_it && write(unmask_fd, &one, sizeof(one)) < 0) {
        die("an eventfd cannot be written: %s", strerror(errno));
    }
    begin("close unmask");
    close(unmask_fd);
    unmask_fd = new_eventfd();
    finish();
    call(&c);
    if (copied) {
        begin("close its copy");
        close(copy);
        finish();
        call(&c);
    }
    c.fds[0] = FD_NONE;
    call(&c);
}
