/*
 * A machine with one msix-testdev passed through by vfio-pci
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qmp/qdict.h"
#include "vfio-host.h"
#include "vfio-machine.h"

/* Any free slot of the root bus */
/* Of "pc": docs/specs/acpi_pci_hotplug.rst */
#define ACPI_PCIHP_EJECT 0xae08

#define SLOT 4

static void set_default_messages(QVfioMachine *m)
{
    unsigned n;

    for (n = 0; n < m->dev.vectors; n++) {
        qmsix_testdev_set_default_message(&m->dev, n);
    }
}

static void find_function(QVfioMachine *m, int function)
{
    m->pdev = qpci_device_find(m->bus, QPCI_DEVFN(SLOT, function));
    g_assert_nonnull(m->pdev);

    qmsix_testdev_init(&m->dev, m->pdev, &m->alloc);
    set_default_messages(m);
}

static void find_device(QVfioMachine *m)
{
    find_function(m, 0);
}

static void forget_device(QVfioMachine *m)
{
    qmsix_testdev_free(&m->dev);
    g_clear_pointer(&m->pdev, g_free);
}

/* QEMU writes the file before it answers, and does not read it again. */
static int take_pid(const char *pidfile)
{
    g_autofree char *text = NULL;
    bool ok = g_file_get_contents(pidfile, &text, NULL, NULL);

    g_assert_true(ok);
    unlink(pidfile);
    return atoi(text);
}

static void start_qemu(QVfioMachine *m, const char *accel, const char *machine,
                       const char *options)
{
    g_autofree char *pidfile = qvfio_temporary_file();

    m->qts = qtest_initf("-accel %s -S -machine %s -m 64 -nodefaults "
                         "-pidfile %s %s", accel, machine, pidfile, options);
    m->pid = take_pid(pidfile);
    pc_alloc_init(&m->alloc, m->qts, ALLOC_NO_FLAGS);
    m->bus = qpci_new_pc(m->qts, &m->alloc);
    m->pdev = NULL;
}

/* @before: options that must come before the device */
static void start_with_device(QVfioMachine *m, const char *accel,
                              const char *before, const char *device,
                              const char *properties, const char *options)
{
    g_autofree char *all = NULL;

    all = g_strdup_printf("%s -device vfio-pci,id=dev0,addr=%d.0,%s%s %s",
                          before, SLOT, device, properties, options);
    start_qemu(m, accel, "q35", all);
    find_device(m);
}

void qvfio_machine_start(QVfioMachine *m, const char *device,
                         const char *properties, const char *options)
{
    start_with_device(m, "tcg", "", device, properties, options);
}

void qvfio_machine_start_kvm(QVfioMachine *m, const char *device,
                             const char *properties, const char *options)
{
    start_with_device(m, "kvm", "", device, properties, options);
}

void qvfio_machine_start_kvm_before(QVfioMachine *m, const char *before,
                                    const char *device,
                                    const char *properties,
                                    const char *options)
{
    start_with_device(m, "kvm", before, device, properties, options);
}

void qvfio_machine_start_kvm_iommu(QVfioMachine *m, const char *device,
                                   const char *properties, const char *options)
{
    start_with_device(m, "kvm", "-machine kernel-irqchip=split -device "
                      "intel-iommu,intremap=on,caching-mode=on", device,
                      properties, options);
}

void qvfio_machine_start_pluggable(QVfioMachine *m, const char *options)
{
    /* "pc" has ACPI PCI hotplug, which takes one register write to unplug. */
    start_qemu(m, "tcg", "pc", options);
}

static void add_function(QVfioMachine *m, const char *device, const char *id,
                         int function)
{
    g_autofree char *address = g_strdup_printf("%d.%d", SLOT, function);
    g_auto(GStrv) property = g_strsplit(device, "=", 2);
    QDict *args = qdict_new();

    qdict_put_str(args, "id", id);
    qdict_put_str(args, "addr", address);
    qdict_put_bool(args, "multifunction", true);
    qdict_put_str(args, property[0], property[1]);
    qtest_qmp_device_add_qdict(m->qts, "vfio-pci", args);
    qobject_unref(args);
}

void qvfio_machine_plug(QVfioMachine *m, const char *device)
{
    g_assert(!m->pdev);
    add_function(m, device, "dev0", 0);
    find_device(m);
}

void qvfio_machine_plug_second(QVfioMachine *m, const char *device,
                               const char *first)
{
    g_assert(!m->pdev);
    add_function(m, device, "dev0", 1);
    add_function(m, first, "dev1", 0);
    find_function(m, 1);
}

void qvfio_machine_unplug(QVfioMachine *m)
{
    bool alone = m->pdev->devfn == QPCI_DEVFN(SLOT, 0);

    qtest_qmp_device_del_send(m->qts, alone ? "dev0" : "dev1");
    qtest_outl(m->qts, ACPI_PCIHP_EJECT, 1 << SLOT);
    qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
    if (!alone) {
        qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
    }
    forget_device(m);
}

void qvfio_machine_reset(QVfioMachine *m)
{
    QDict *rsp = qtest_qmp(m->qts, "{'execute': 'system_reset'}");

    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);
    qtest_qmp_eventwait(m->qts, "RESET");
}

void qvfio_machine_setup_device(QVfioMachine *m)
{
    qmsix_testdev_setup_pci(&m->dev);
    set_default_messages(m);
}

unsigned qvfio_machine_fds(QVfioMachine *m)
{
    return qvfio_count_fds(m->pid, NULL);
}

unsigned qvfio_machine_eventfds(QVfioMachine *m)
{
    unsigned eventfds;

    qvfio_count_fds(m->pid, &eventfds);
    return eventfds;
}

/* The lines about the device in "info pic", NULL if there are none */
static char **stat_lines(QVfioMachine *m)
{
    g_autofree char *text = qtest_hmp(m->qts, "info pic");
    char *start = strstr(text, ": id=dev0 "), *end;

    if (!start) {
        return NULL;
    }

    /* up to the next one that is not indented */
    end = strchr(start, '\n');
    while (end && end[1] == ' ') {
        end = strchr(end + 1, '\n');
    }
    if (end) {
        *end = '\0';
    }
    return g_strsplit(start, "\n", -1);
}

/* The value of a word "name=value" of the line */
static char *find_word(const char *line, const char *name)
{
    g_autofree char *start = g_strdup_printf("%s=", name);
    g_auto(GStrv) words = g_strsplit_set(line, " \r", -1);
    char **word;

    for (word = words; *word; word++) {
        if (g_str_has_prefix(*word, start)) {
            return g_strdup(*word + strlen(start));
        }
    }
    return NULL;
}

bool qvfio_machine_has_stats(QVfioMachine *m)
{
    g_auto(GStrv) lines = stat_lines(m);

    return lines;
}

int64_t qvfio_machine_stat(QVfioMachine *m, const char *name)
{
    g_auto(GStrv) lines = stat_lines(m);
    char **line;

    for (line = lines; line && *line; line++) {
        g_autofree char *value = find_word(*line, name);

        if (value) {
            return g_ascii_strtoll(value, NULL, 0);
        }
    }
    g_test_message("info pic: nothing about dev0, or no %s", name);
    g_assert_not_reached();
}

char *qvfio_machine_vector_stat(QVfioMachine *m, unsigned n, const char *name)
{
    g_autofree char *start = g_strdup_printf("  vector %u: ", n);
    g_auto(GStrv) lines = stat_lines(m);
    char **line;

    for (line = lines; line && *line; line++) {
        if (g_str_has_prefix(*line, start)) {
            char *value = find_word(*line, name);

            g_assert_nonnull(value);
            return value;
        }
    }
    return NULL;
}

unsigned qvfio_machine_vectors_in(QVfioMachine *m, const char *state)
{
    g_auto(GStrv) lines = stat_lines(m);
    unsigned n = 0;
    char **line;

    for (line = lines; line && *line; line++) {
        g_autofree char *value = find_word(*line, "state");

        n += g_str_has_prefix(*line, "  vector ") && value &&
             g_str_equal(value, state);
    }
    return n;
}

int64_t qvfio_machine_delivered(QVfioMachine *m)
{
    g_autofree char *text = qtest_hmp(m->qts, "info irq");
    char *line = strstr(text, "for vfio-pci:");
    unsigned vector;
    int64_t count, sum = 0;

    while (line && (line = strchr(line, '\n')) &&
           sscanf(++line, " %u: %" PRId64, &vector, &count) == 2) {
        sum += count;
    }
    return sum;
}

void qvfio_machine_await_kvm(QVfioMachine *m, unsigned count)
{
    gint64 end = qmsix_testdev_deadline();

    while (qvfio_machine_has_stats(m) &&
           qvfio_machine_vectors_in(m, "irqfd") < count) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
}

void qvfio_machine_stop(QVfioMachine *m)
{
    if (m->pdev) {
        forget_device(m);
    }
    qpci_free_pc(m->bus);
    alloc_destroy(&m->alloc);
    qtest_quit(m->qts);
}

void qvfio_fence(QMsixTestdev *d)
{
    unsigned i;

    for (i = 0; i < 3; i++) {
        qmsix_testdev_read(d, MSIX_TESTDEV_STATUS);
    }
}

bool qvfio_intx_high(QMsixTestdev *d, unsigned n)
{
    int pin;

    for (pin = 16; pin < 24; pin++) {
        if (qtest_get_irq(d->qts, pin)) {
            return true;
        }
    }
    return false;
}

bool qvfio_intx_low(QMsixTestdev *d, unsigned n)
{
    return !qvfio_intx_high(d, n);
}

void qvfio_assert_intx_works(QMsixTestdev *d)
{
    g_assert_true(qmsix_testdev_eventually(d, 0, qvfio_intx_low));
    qmsix_testdev_write(d, MSIX_TESTDEV_INTX, 1);
    g_assert_true(qmsix_testdev_eventually(d, 0, qvfio_intx_high));
    qmsix_testdev_write(d, MSIX_TESTDEV_INTX, 0);
    g_assert_true(qmsix_testdev_eventually(d, 0, qvfio_intx_low));
}

char *qvfio_temporary_file(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("vfio-msix-test-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

unsigned qvfio_number_or_die(const char *option, const char *text)
{
    guint64 value;
    GError *err = NULL;

    if (!g_ascii_string_to_unsigned(text, 10, 1, 1000000, &value, &err)) {
        fprintf(stderr, "%s: --%s: %s\n", program_invocation_short_name, option,
                err->message);
        exit(2);
    }
    return value;
}

char **qvfio_stderr_lines(const char *path)
{
    g_autofree char *text = NULL;
    bool ok = g_file_get_contents(path, &text, NULL, NULL);
    char *start, *end;

    g_assert_true(ok);

    /* Skip AddressSanitizer's warning about coroutines. */
    start = text;
    if (g_str_has_prefix(text, "==") && strstr(text, "WARNING: ASan")) {
        end = strchr(text, '\n');
        start = end ? end + 1 : text;
    }
    return g_strsplit(start, "\n", -1);
}

char *qvfio_device_name(const char *device)
{
    return g_path_get_basename(strchr(device, '=') + 1);
}

int qvfio_failed_vector(const char *line, const char *name)
{
    g_autofree char *start = g_strdup_printf("%s: vector ", name);
    const char *number = strstr(line, start);

    return number && strstr(number, " gets no interrupts: ") ?
           atoi(number + strlen(start)) : -1;
}
