/*
 * Measure what QEMU takes for a guest's MSI-X operations
 *
 * Starts QEMU ($QTEST_QEMU_BINARY) with an msix-testdev passed through, see
 * libqos/vfio-host.h for the environment, and does what a guest's driver does
 * with N vectors of it, for several N.
 *
 * Times are QEMU's own.  Its qtest log has the time of each command and of its
 * reply: the difference is the access, with all that QEMU does before the guest
 * goes on, and without the socket.  A write to a word of guest memory, the
 * mark, precedes what is to be timed, to find it in the log.  An access that
 * does nothing is timed in the same way.
 *
 * Delivery is timed without qtest: guest memory is a file that is mapped here,
 * and so are the device's registers.
 *
 * With --count the calls to the host are counted and nothing is timed, because
 * logging them takes time.  The exit status is 0 if it could measure, whatever
 * the figures are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include <sched.h>
#include <sys/mman.h>
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "standard-headers/linux/pci_regs.h"

static void usage(FILE *out)
{
    fputs(
"usage: vfio-msix-bench [--kvm] [--count] [--sizes N,...] [--repeat R]\n"
"                       [--latency COUNT] [--timeline] [--memory] --json FILE\n"
"\n"
"  --kvm            with KVM, whose vCPU is not run (default: TCG's)\n"
"  --count          count calls to the host instead of timing\n"
"  --sizes N,...    numbers of vectors in use (default: 8)\n"
"  --repeat R       do all of it R times (default: 1)\n"
"  --latency COUNT  time so many interrupts, from the device to the guest's\n"
"                   memory, and nothing else\n"
"  --timeline       note when interrupts arrive while vectors are unmasked,\n"
"                   and nothing else\n"
"  --memory         look at QEMU's heap with one vector in use and with the\n"
"                   most of the numbers, and nothing else\n"
"  --json FILE      write the figures there, see docs/performance.rst\n"
"\n"
"Environment: QTEST_QEMU_BINARY, VFIO_MSIX_TEST_DEVICE,\n"
"VFIO_MSIX_TEST_PRELOAD (the library that --count or --memory needs)\n",
          out);
}

#define RAM_SIZE (64 * MiB)
#define NS_PER_S 1000000000ll
/* Of vectors that are masked and unmasked each, for any number in use */
#define MOST_MASKED 64
#define OFTEN 32
#define TOGGLES 4

/* The value of the mark after what is timed */
#define MARK_END 0xffffffff

/* One time to be found in QEMU's log */
typedef struct Sample {
    const char *what;
    unsigned vectors;
    double us;                  /* negative: not found */
    double from, to;            /* in QEMU's seconds */
} Sample;

/* Calls to the host of one operation */
typedef struct Calls {
    const char *what;
    unsigned vectors;
    unsigned set_irqs;
    unsigned commits;
    unsigned irqfds;
    int eventfds;               /* afterwards, more than with none in use */
    int host_vectors;           /* afterwards */
} Calls;

typedef struct Bench {
    bool kvm;
    bool count;
    unsigned repeat;
    GArray *sizes;              /* unsigned */
    const char *device;

    QVfioMachine m;
    QMsixTestdev *d;
    char *log;                  /* qtest's */
    uint64_t mark;
    bool warm;                  /* what is done counts */

    GArray *samples;            /* Sample, its index is the mark's value */
    GArray *calls;              /* Calls */
    unsigned eventfds;          /* with MSI-X on, and no vector in use */
    Calls before;
} Bench;

static const char *const set_irqs[] = { "VFIO_DEVICE_SET_IRQS", NULL };
static const char *const commits[] = { "KVM_SET_GSI_ROUTING", NULL };
static const char *const irqfds[] = { "KVM_IRQFD", NULL };

static void G_GNUC_PRINTF(1, 2) G_NORETURN die(const char *fmt, ...)
{
    va_list ap;

    fputs("vfio-msix-bench: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static void end(Bench *b)
{
    if (!b->count) {
        qtest_writel(b->m.qts, b->mark, MARK_END);
    }
}

/*
 * Time what comes next: the last command before the next mark.  Config space is
 * written with two commands, of which the first is the address.
 */
static void begin(Bench *b, const char *what, unsigned vectors)
{
    Sample s = { .what = what, .vectors = vectors, .us = -1 };

    if (!b->warm) {
        end(b);
    } else if (!b->count) {
        qtest_writel(b->m.qts, b->mark, b->samples->len);
        g_array_append_val(b->samples, s);
    }
}

static void begin_count(Bench *b, const char *what, unsigned vectors)
{
    if (b->count) {
        b->before = (Calls) {
            .what = what,
            .vectors = vectors,
            .set_irqs = qvfio_log_count(set_irqs),
            .commits = qvfio_log_count(commits),
            .irqfds = qvfio_log_count(irqfds),
        };
    }
}

static void end_count(Bench *b)
{
    Calls c = b->before;

    if (b->count && b->warm) {
        c.set_irqs = qvfio_log_count(set_irqs) - c.set_irqs;
        c.commits = qvfio_log_count(commits) - c.commits;
        c.irqfds = qvfio_log_count(irqfds) - c.irqfds;
        c.eventfds = qvfio_machine_eventfds(&b->m) - b->eventfds;
        c.host_vectors = qvfio_host_vectors(b->device);
        g_array_append_val(b->calls, c);
    }
}

static void await_kvm(Bench *b, unsigned count)
{
    if (b->kvm) {
        qvfio_machine_await_kvm(&b->m, count);
    }
}

/* Set the mask bit of a masked vector, which does nothing. */
static void do_nothing(Bench *b, unsigned n)
{
    unsigned i;

    if (b->count) {
        return;
    }
    for (i = 0; i < MIN(n, MOST_MASKED); i++) {
        begin(b, "nothing", n);
        qmsix_testdev_mask(b->d, n - 1);
    }
    end(b);
}

static void add_vectors(Bench *b, unsigned n)
{
    unsigned i;

    qmsix_testdev_enable(b->d, true);
    do_nothing(b, n);
    begin_count(b, "add", n);
    for (i = 0; i < n; i++) {
        begin(b, "add", n);
        qmsix_testdev_unmask(b->d, i);
    }
    end(b);
    await_kvm(b, n);
    end_count(b);
}

static void mask_and_unmask(Bench *b, unsigned n)
{
    unsigned i;

    begin_count(b, "mask", n);
    for (i = 0; i < MIN(n, MOST_MASKED); i++) {
        begin(b, "mask", n);
        qmsix_testdev_mask(b->d, i);
        begin(b, "unmask", n);
        qmsix_testdev_unmask(b->d, i);
    }
    end(b);
    await_kvm(b, n);
    end_count(b);

    /* as a guest does that masks its vector around each interrupt */
    begin_count(b, "mask-often", n);
    for (i = 0; i < OFTEN; i++) {
        begin(b, "mask-often", n);
        qmsix_testdev_mask(b->d, 0);
        begin(b, "unmask-often", n);
        qmsix_testdev_unmask(b->d, 0);
    }
    end(b);
    await_kvm(b, n);
    end_count(b);
}

static void toggle_function_mask(Bench *b, unsigned n)
{
    unsigned i;

    for (i = 0; i < TOGGLES; i++) {
        await_kvm(b, n);
        begin_count(b, "fmask", n);
        begin(b, "fmask-on", n);
        qmsix_testdev_function_mask(b->d, true);
        end(b);
        begin(b, "fmask-off", n);
        qmsix_testdev_function_mask(b->d, false);
        end(b);
        await_kvm(b, n);
        end_count(b);
    }
}

static void disable_and_enable(Bench *b, unsigned n)
{
    unsigned i;

    for (i = 0; i < TOGGLES; i++) {
        await_kvm(b, n);
        begin_count(b, "disable", n);
        begin(b, "disable", n);
        qmsix_testdev_enable(b->d, false);
        end(b);
        end_count(b);
        begin_count(b, "enable", n);
        begin(b, "enable", n);
        qmsix_testdev_enable(b->d, true);
        end(b);
        await_kvm(b, n);
        end_count(b);
    }
}

/* A reset of the machine, which is not in QEMU's log: timed here */
static void reset(Bench *b, unsigned n)
{
    Sample s = { .what = "reset", .vectors = n };
    gint64 start;

    begin_count(b, "reset", n);
    start = g_get_monotonic_time();
    qvfio_machine_reset(&b->m);
    s.us = g_get_monotonic_time() - start;
    end_count(b);
    if (!b->count && b->warm) {
        g_array_append_val(b->samples, s);
    }
    qvfio_machine_setup_device(&b->m);
}

static void all_masked(Bench *b)
{
    unsigned n;

    for (n = 0; n < b->d->vectors; n++) {
        qmsix_testdev_mask(b->d, n);
    }
}

/* Three vectors far apart, at run time, and then all at once */
static void sparse(Bench *b, unsigned n)
{
    unsigned i, vectors[] = { 0, n / 2, n - 1 };

    qmsix_testdev_enable(b->d, true);
    begin_count(b, "sparse", n);
    for (i = 0; i < ARRAY_SIZE(vectors); i++) {
        qmsix_testdev_unmask(b->d, vectors[i]);
    }
    await_kvm(b, ARRAY_SIZE(vectors));
    end_count(b);
    qmsix_testdev_enable(b->d, false);
    begin_count(b, "sparse-enable", n);
    qmsix_testdev_enable(b->d, true);
    await_kvm(b, ARRAY_SIZE(vectors));
    end_count(b);
    qmsix_testdev_enable(b->d, false);
    for (i = 0; i < ARRAY_SIZE(vectors); i++) {
        qmsix_testdev_mask(b->d, vectors[i]);
    }
}

static void measure_size(Bench *b, unsigned n)
{
    add_vectors(b, n);
    mask_and_unmask(b, n);
    toggle_function_mask(b, n);
    disable_and_enable(b, n);
    reset(b, n);
    all_masked(b);
    if (b->count) {
        sparse(b, n);
    }
}

static void start(Bench *b, const char *options)
{
    g_autofree char *all = NULL;

    b->log = qvfio_temporary_file();
    if (b->count && !qvfio_log_start()) {
        die("VFIO_MSIX_TEST_PRELOAD is not set");
    }
    all = g_strdup_printf("-qtest-log %s %s", b->log, options);
    if (b->kvm) {
        qvfio_machine_start_kvm(&b->m, b->device, "", all);
    } else {
        qvfio_machine_start(&b->m, b->device, "", all);
    }
    b->d = &b->m.dev;
    b->mark = guest_alloc(&b->m.alloc, 4096);
}

static void stop(Bench *b)
{
    guest_free(&b->m.alloc, b->mark);
    qvfio_machine_stop(&b->m);
    if (b->count) {
        qvfio_log_stop();
    }
}

/*
 * Pairs of lines, the first with the command's words:
 *   [R +12.345678] writel 0x1000 0x1
 *   [S +12.345789] OK
 */
static void read_log(Bench *b)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autofree char *mark = g_strdup_printf("writel 0x%" PRIx64 " 0x", b->mark);
    Sample *s = NULL;
    double came = 0, replied;
    bool marks = false;
    char **line;

    if (!g_file_get_contents(b->log, &text, NULL, NULL)) {
        die("QEMU has written no log of qtest");
    }
    lines = g_strsplit(text, "\n", -1);
    for (line = lines; *line; line++) {
        const char *words = strchr(*line, ']');

        if (!words) {
            continue;
        }
        words = words[1] == ' ' ? words + 2 : words + 1;
        if (g_str_has_prefix(*line, "[R +")) {
            came = g_ascii_strtod(*line + strlen("[R +"), NULL);
            marks = g_str_has_prefix(words, mark);
            if (marks) {
                guint64 n = g_ascii_strtoull(words + strlen(mark), NULL, 16);

                s = n < b->samples->len ?
                    &g_array_index(b->samples, Sample, n) : NULL;
            }
        } else if (g_str_has_prefix(*line, "[S +") && s && !marks) {
            replied = g_ascii_strtod(*line + strlen("[S +"), NULL);
            s->us = (replied - came) * 1e6;
            s->from = came;
            s->to = replied;
        }
    }
}

static void print_times(Bench *b, GString *out)
{
    unsigned i, j;
    bool first = true;

    g_string_append(out, "\"times\": [");
    for (i = 0; i < b->samples->len; i = j) {
        Sample *s = &g_array_index(b->samples, Sample, i);

        g_string_append_printf(out, "%s\n{\"what\": \"%s\", \"vectors\": %u, "
                               "\"us\": [", first ? "" : ",", s->what,
                               s->vectors);
        first = false;
        for (j = i; j < b->samples->len; j++) {
            Sample *t = &g_array_index(b->samples, Sample, j);

            if (t->what != s->what || t->vectors != s->vectors) {
                break;
            }
            if (t->us < 0) {
                die("QEMU's log has no time of %s with %u vectors", t->what,
                    t->vectors);
            }
            g_string_append_printf(out, "%s%.0f", j > i ? ", " : "", t->us);
        }
        /* with what QEMU did between the accesses, and with the way there */
        g_string_append_printf(out, "], \"wall_us\": %.0f}",
                               (g_array_index(b->samples, Sample, j - 1).to -
                                s->from) * 1e6);
    }
    g_string_append(out, "]");
}

static void print_calls(Bench *b, GString *out)
{
    unsigned i;

    g_string_append(out, "\"calls\": [");
    for (i = 0; i < b->calls->len; i++) {
        Calls *c = &g_array_index(b->calls, Calls, i);

        g_string_append_printf(out, "%s\n{\"what\": \"%s\", \"vectors\": %u, "
                               "\"set_irqs\": %u, \"commits\": %u, "
                               "\"irqfds\": %u, \"eventfds\": %d, "
                               "\"host_vectors\": %d}", i ? "," : "", c->what,
                               c->vectors, c->set_irqs, c->commits, c->irqfds,
                               c->eventfds, c->host_vectors);
    }
    g_string_append(out, "]");
}

static void measure(Bench *b, GString *out)
{
    unsigned round, i;

    b->samples = g_array_new(false, true, sizeof(Sample));
    b->calls = g_array_new(false, true, sizeof(Calls));
    start(b, "");
    for (i = 0; i < b->sizes->len; i++) {
        if (g_array_index(b->sizes, unsigned, i) > b->d->vectors) {
            die("the device has %u vectors", b->d->vectors);
        }
    }
    /* Descriptors of MSI-X itself belong to no vector. */
    qmsix_testdev_enable(b->d, true);
    b->eventfds = qvfio_machine_eventfds(&b->m);
    qmsix_testdev_enable(b->d, false);
    /* Code is read from its file when first run, and the heap is extended. */
    measure_size(b, g_array_index(b->sizes, unsigned, 0));
    b->warm = true;
    for (round = 0; round < b->repeat; round++) {
        reset(b, 0);
        for (i = 0; i < b->sizes->len; i++) {
            measure_size(b, g_array_index(b->sizes, unsigned, i));
        }
    }
    stop(b);
    if (!b->count) {
        read_log(b);
        print_times(b, out);
    } else {
        print_calls(b, out);
    }
}

/*
 * QEMU's heap, as tests/bench/heap-log.c logs it
 */

/* Lines of 10 ms that must be equal: QEMU frees some memory later, by RCU */
#define SAME_LOOKS 50

static uint64_t settled_heap(const char *path)
{
    gint64 limit = qmsix_testdev_deadline();
    size_t seen = 0;

    for (;;) {
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        size_t length, i, n;

        if (!g_file_get_contents(path, &text, &length, NULL)) {
            die("cannot read %s", path);
        }
        /* what was there before, and the line that is cut off at the start */
        seen = seen ?: length;
        lines = g_strsplit(text + seen, "\n", -1);
        n = g_strv_length(lines);
        n = n ? n - 1 : 0;      /* up to the last newline */
        for (i = n; i > 1 && g_str_equal(lines[i - 1], lines[n - 1]); i--) {
            if (n - i + 1 == SAME_LOOKS) {
                return g_ascii_strtoull(lines[n - 1], NULL, 10);
            }
        }
        if (g_get_monotonic_time() > limit) {
            die("QEMU's heap does not settle");
        }
        g_usleep(100000);
    }
}

/*
 * Vectors are enabled together, as adding one works differently on each QEMU
 * and host.  MSI-X is enabled with the one vector before, so that the
 * difference is the other vectors.
 */
static void measure_memory(Bench *b, GString *out)
{
    const char *library = getenv("VFIO_MSIX_TEST_PRELOAD");
    const char *old_preload = getenv("LD_PRELOAD");
    g_autofree char *preload = g_strjoin(":", library ?: "", old_preload, NULL);
    g_autofree char *heap = qvfio_temporary_file();
    uint64_t one = 0, all;
    unsigned i, n = 0;

    if (!library || !*library) {
        die("VFIO_MSIX_TEST_PRELOAD is not set");
    }
    for (i = 0; i < b->sizes->len; i++) {
        n = MAX(n, g_array_index(b->sizes, unsigned, i));
    }
    g_setenv("LD_PRELOAD", preload, true);
    g_setenv("HEAP_LOG", heap, true);
    /* Memory in the allocator's caches would count as in use. */
    g_setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", true);
    g_setenv("G_SLICE", "always-malloc", true);
    start(b, "");
    if (n < 2 || n > b->d->vectors) {
        die("the device has %u vectors, and more than one is needed",
            b->d->vectors);
    }
    qmsix_testdev_unmask(b->d, 0);
    for (i = 0; i < 2; i++) {
        qmsix_testdev_enable(b->d, true);
        one = settled_heap(heap);
        qmsix_testdev_enable(b->d, false);
    }
    for (i = 1; i < n; i++) {
        qmsix_testdev_unmask(b->d, i);
    }
    qmsix_testdev_enable(b->d, true);
    all = settled_heap(heap);
    /* Last, because "info pic" allocates memory */
    if (b->kvm && qvfio_machine_has_stats(&b->m) &&
        qvfio_machine_vectors_in(&b->m, "irqfd") < n) {
        die("KVM does not listen to all of %u vectors", n);
    }
    stop(b);
    unlink(heap);
    g_string_append_printf(out, "\"memory\": {\"vectors\": %u, "
                           "\"one\": %" PRIu64 ", \"all\": %" PRIu64 "}", n,
                           one, all);
}

/*
 * Without qtest: guest memory and the device's registers, mapped
 */

typedef struct Mapped {
    Bench *b;
    char *ram_file;
    uint8_t *ram;
    /* volatile: these are registers */
    volatile uint32_t *regs;
} Mapped;

static void *map_file(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *map;

    if (fd < 0) {
        die("%s: %s", path, strerror(errno));
    }
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        die("%s: %s", path, strerror(errno));
    }
    close(fd);
    return map;
}

static void start_mapped(Mapped *p, Bench *b)
{
    g_autofree char *options = NULL, *bar = NULL;

    if (!g_str_has_prefix(b->device, "host=")) {
        die("only a host's device has registers that can be mapped");
    }
    p->b = b;
    p->ram_file = qvfio_temporary_file();
    if (truncate(p->ram_file, RAM_SIZE)) {
        die("%s: %s", p->ram_file, strerror(errno));
    }
    options = g_strdup_printf("-object memory-backend-file,id=ram0,share=on,"
                              "size=64M,mem-path=%s "
                              "-machine memory-backend=ram0", p->ram_file);
    start(b, options);
    p->ram = map_file(p->ram_file, RAM_SIZE);
    bar = g_strdup_printf("/sys/bus/pci/devices/%s/resource%u",
                          b->device + strlen("host="), MSIX_TESTDEV_REGS_BAR);
    p->regs = map_file(bar, MSIX_TESTDEV_REGS_SIZE);
    if (p->regs[MSIX_TESTDEV_ID / 4] != MSIX_TESTDEV_ID_VALUE) {
        die("%s is not that of an msix-testdev", bar);
    }
}

static void stop_mapped(Mapped *p)
{
    stop(p->b);
    munmap(p->ram, RAM_SIZE);
    munmap((void *)p->regs, MSIX_TESTDEV_REGS_SIZE);
    unlink(p->ram_file);
    g_free(p->ram_file);
}

static uint32_t *message_word(Mapped *p, unsigned n)
{
    return (uint32_t *)(p->ram + p->b->d->messages) + n;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* This thread spins: it must not take the CPU from QEMU. */
static void yield_always(void)
{
    struct sched_param param = { 0 };

    if (sched_setscheduler(0, SCHED_IDLE, &param)) {
        die("sched_setscheduler: %s", strerror(errno));
    }
}

static void measure_latency(Bench *b, unsigned count, GString *out)
{
    Mapped p;
    uint32_t *word;
    int64_t start_ns, took;
    unsigned i;

    start_mapped(&p, b);
    qmsix_testdev_enable(b->d, true);
    qmsix_testdev_unmask(b->d, 0);
    word = message_word(&p, 0);
    yield_always();
    g_string_append(out, "\"latency_us\": [");
    for (i = 0; i < count; i++) {
        /* for QEMU to be asleep, at no particular point of any period */
        g_usleep(500 + i * 37 % 500);
        qatomic_set(word, 0);
        start_ns = now_ns();
        p.regs[MSIX_TESTDEV_FIRE / 4] = 0;
        do {
            took = now_ns() - start_ns;
            if (took > QMSIX_TESTDEV_TIMEOUT_S * NS_PER_S) {
                die("interrupt %u of %u has not arrived", i, count);
            }
        } while (!qatomic_read(word));
        took = now_ns() - start_ns;
        g_string_append_printf(out, "%s%.1f", i ? ", " : "", took / 1000.0);
    }
    g_string_append(out, "]");
    stop_mapped(&p);
}

#define LINE_OLD 8
#define LINE_NEW 8
#define LINE_PERIOD_US 2000
#define LINE_STEP_US 40000

/* A driver: takes interrupts, notes when, and has the device go on. */
typedef struct Driver {
    Mapped *p;
    GString *arrivals;
    bool stop;
} Driver;

static void *driver_thread(void *opaque)
{
    Driver *r = opaque;
    unsigned n;

    while (!qatomic_read(&r->stop)) {
        for (n = 0; n < LINE_OLD + LINE_NEW; n++) {
            if (qatomic_xchg(message_word(r->p, n), 0)) {
                g_string_append_printf(r->arrivals, "%s[%" PRId64 ", %u]",
                                       r->arrivals->len ? ", " : "",
                                       now_ns() / 1000, n);
                r->p->regs[MSIX_TESTDEV_ACK / 4] = n;
            }
        }
        g_usleep(50);
    }
    return NULL;
}

static void measure_timeline(Bench *b, GString *out)
{
    g_autoptr(GString) unmasks = g_string_new("");
    g_autoptr(GString) arrivals = g_string_new("");
    Mapped p;
    Driver r = { .p = &p, .arrivals = arrivals };
    QemuThread thread;
    int64_t began, start_us;
    unsigned n;

    start_mapped(&p, b);
    if (b->d->vectors < LINE_OLD + LINE_NEW) {
        die("the device has only %u vectors", b->d->vectors);
    }
    qmsix_testdev_enable(b->d, true);
    for (n = 0; n < LINE_OLD; n++) {
        qmsix_testdev_unmask(b->d, n);
    }
    for (n = 0; n < LINE_OLD + LINE_NEW; n++) {
        /* not all at the same time */
        qmsix_testdev_vector_write(b->d, n, MSIX_TESTDEV_VECTOR_PERIOD,
                                   LINE_PERIOD_US + 100 * n);
        *message_word(&p, n) = 0;
    }
    began = now_ns() / 1000;
    qemu_thread_create(&thread, "driver", driver_thread, &r,
                       QEMU_THREAD_JOINABLE);
    qmsix_testdev_write(b->d, MSIX_TESTDEV_CTRL, MSIX_TESTDEV_CTRL_RUN);
    for (n = LINE_OLD; n < LINE_OLD + LINE_NEW; n++) {
        g_usleep(LINE_STEP_US);
        start_us = now_ns() / 1000;
        qmsix_testdev_unmask(b->d, n);
        g_string_append_printf(unmasks, "%s[%" PRId64 ", %" PRId64 ", %u]",
                               n > LINE_OLD ? ", " : "", start_us,
                               now_ns() / 1000, n);
    }
    g_usleep(LINE_STEP_US);
    qatomic_set(&r.stop, true);
    qemu_thread_join(&thread);
    g_string_append_printf(out, "\"timeline\": {\"began\": %" PRId64 ", "
                           "\"ended\": %" PRId64 ", \"old\": %u, "
                           "\"unmasks\": [%s],\n\"arrivals\": [%s]}", began,
                           now_ns() / 1000, LINE_OLD, unmasks->str,
                           arrivals->str);
    stop_mapped(&p);
}

static GArray *numbers_or_die(const char *option, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    GArray *numbers = g_array_new(false, true, sizeof(unsigned));
    char **word;

    for (word = words; *word; word++) {
        unsigned n = qvfio_number_or_die(option, *word);

        g_array_append_val(numbers, n);
    }
    return numbers;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "kvm", no_argument, NULL, 'k' },
        { "count", no_argument, NULL, 'c' },
        { "sizes", required_argument, NULL, 's' },
        { "repeat", required_argument, NULL, 'r' },
        { "latency", required_argument, NULL, 'l' },
        { "timeline", no_argument, NULL, 't' },
        { "memory", no_argument, NULL, 'm' },
        { "json", required_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { }
    };
    Bench b = { .repeat = 1, .device = qvfio_device(1) };
    g_autoptr(GString) out = g_string_new("{");
    const char *json = NULL;
    unsigned latency = 0;
    bool timeline = false, memory = false;
    GError *err = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'k':
            b.kvm = true;
            break;
        case 'c':
            b.count = true;
            break;
        case 's':
            b.sizes = numbers_or_die("sizes", optarg);
            break;
        case 'r':
            b.repeat = qvfio_number_or_die("repeat", optarg);
            break;
        case 'l':
            latency = qvfio_number_or_die("latency", optarg);
            break;
        case 't':
            timeline = true;
            break;
        case 'm':
            memory = true;
            break;
        case 'j':
            json = optarg;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc || !json || !b.device || !getenv("QTEST_QEMU_BINARY")) {
        usage(stderr);
        return 2;
    }
    if (!b.sizes) {
        b.sizes = numbers_or_die("sizes", "8");
    }

    g_string_append_printf(out, "\"dynamic\": %s, ",
                           qvfio_msix_is_dynamic(b.device) ? "true" : "false");
    if (latency) {
        measure_latency(&b, latency, out);
    } else if (timeline) {
        measure_timeline(&b, out);
    } else if (memory) {
        measure_memory(&b, out);
    } else {
        measure(&b, out);
    }
    g_string_append(out, "}\n");

    unlink(b.log);
    if (!g_file_set_contents(json, out->str, -1, &err)) {
        die("%s", err->message);
    }
    return 0;
}
