/*
 * QTest testcase for what vfio-pci reports about interrupts
 *
 * That is "info pic", x-query-irq, and warnings at start.  It needs a device to
 * pass through, an msix-testdev; libqos/vfio-host.h says how to name it.
 * Without one, all cases are skipped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qemu/host-utils.h"
#include "libqtest.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"
#include "libqos/vfio-sim.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/pci_regs.h"

static const char *device;
static bool dynamic;

static bool need_device(void)
{
    if (!device) {
        g_test_skip("VFIO_MSIX_TEST_DEVICE is not set");
    }
    return device;
}

/* A word of the line about a vector */
static void assert_vector(QVfioMachine *m, unsigned n, const char *name,
                          const char *value)
{
    g_autofree char *is = qvfio_machine_vector_stat(m, n, name);

    if (!is || strcmp(is, value)) {
        g_test_message("vector %u: %s", n, name);
    }
    g_assert_cmpstr(is, ==, value);
}

static void assert_message(QVfioMachine *m, unsigned n)
{
    QMsixTestdev *d = &m->dev;
    uint64_t entry = d->msix.addr + d->table_off + n * PCI_MSIX_ENTRY_SIZE;
    g_autofree char *address = NULL, *data = NULL;

    address = g_strdup_printf("0x%" PRIx64, qtest_readq(m->qts, entry));
    data = g_strdup_printf("0x%x", qtest_readl(m->qts, entry +
                                               PCI_MSIX_ENTRY_DATA));
    assert_vector(m, n, "address", address);
    assert_vector(m, n, "data", data);
}

/* The device, and MSI-X on the host, at each step of a guest's driver */
static void test_device(void)
{
    g_autofree char *text = NULL, *name = NULL;
    QVfioMachine m;

    if (!need_device()) {
        return;
    }

    name = qvfio_device_name(device);
    qvfio_machine_start(&m, device, "", "");
    g_assert_true(qvfio_machine_has_stats(&m));
    g_assert_cmpint(qvfio_machine_stat(&m, "host-dynamic"), ==, dynamic);
    g_assert_cmpint(qvfio_machine_stat(&m, "vectors"), ==, m.dev.vectors);
    g_assert_cmpint(qvfio_machine_stat(&m, "used"), ==, 0);
    g_assert_cmpint(qvfio_machine_stat(&m, "host-vectors"), ==, 0);
    g_assert_cmpint(qvfio_machine_stat(&m, "triggers"), ==, 0);

    /* MSI-X is enabled on the host with one vector, without a trigger */
    qmsix_testdev_enable(&m.dev, true);
    text = qtest_hmp(m.qts, "info pic");
    g_assert_nonnull(strstr(text, name));
    g_assert_nonnull(strstr(text, "interrupt=msix"));
    g_assert_cmpint(qvfio_machine_stat(&m, "used"), ==, 0);
    g_assert_cmpint(qvfio_machine_stat(&m, "host-vectors"), ==, 1);
    g_assert_cmpint(qvfio_machine_stat(&m, "triggers"), ==, 0);
    g_assert_null(qvfio_machine_vector_stat(&m, 0, "masked"));

    /* vector 6 is added, or the host is resized to all vectors up to it */
    qmsix_testdev_unmask(&m.dev, 6);
    g_assert_cmpint(qvfio_machine_stat(&m, "used"), ==, 1);
    g_assert_cmpint(qvfio_machine_stat(&m, "host-vectors"), ==,
                    dynamic ? 1 : 7);
    g_assert_cmpint(qvfio_machine_stat(&m, "triggers"), ==, 1);
    g_assert_cmpint(qvfio_machine_stat(&m, "resizes"), ==, !dynamic);

    qmsix_testdev_enable(&m.dev, false);
    g_assert_cmpint(qvfio_machine_stat(&m, "used"), ==, 0);
    g_assert_cmpint(qvfio_machine_stat(&m, "host-vectors"), ==, 0);
    g_assert_cmpint(qvfio_machine_stat(&m, "triggers"), ==, 0);
    g_assert_cmpint(qvfio_machine_stat(&m, "setup-failures"), ==, 0);
    qvfio_machine_stop(&m);
}

/* The line about a vector */
static void test_vector(void)
{
    QVfioMachine m;
    unsigned i;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);
    qmsix_testdev_unmask(&m.dev, 2);
    assert_message(&m, 2);
    assert_vector(&m, 2, "masked", "0");
    assert_vector(&m, 2, "pending", "0");
    assert_vector(&m, 2, "state", "direct");
    assert_vector(&m, 2, "setup-failed", "0");
    assert_vector(&m, 2, "delivered-by-qemu", "0");

    for (i = 0; i < 3; i++) {
        g_assert_true(qmsix_testdev_delivers(&m.dev, 2));
    }
    assert_vector(&m, 2, "delivered-by-qemu", "3");

    /* one while it is masked counts when it is delivered */
    qmsix_testdev_mask(&m.dev, 2);
    qmsix_testdev_fire(&m.dev, 2);
    g_assert_true(qmsix_testdev_eventually(&m.dev, 2, qmsix_testdev_pending));
    assert_vector(&m, 2, "masked", "1");
    assert_vector(&m, 2, "pending", "1");
    assert_vector(&m, 2, "state", "direct");
    assert_vector(&m, 2, "delivered-by-qemu", "3");
    qmsix_testdev_unmask(&m.dev, 2);
    assert_vector(&m, 2, "pending", "0");
    assert_vector(&m, 2, "delivered-by-qemu", "4");

    /* the function mask, too */
    g_assert_cmpint(qvfio_machine_stat(&m, "function-masked"), ==, 0);
    qmsix_testdev_function_mask(&m.dev, true);
    g_assert_cmpint(qvfio_machine_stat(&m, "function-masked"), ==, 1);
    assert_vector(&m, 2, "masked", "1");
    qvfio_machine_stop(&m);
}

/* The numbers of "info pic" are those of the simulated host */
static void assert_host_has(QVfioMachine *m, QVfioSim *sim, int64_t triggers)
{
    g_assert_cmpint(qvfio_sim_counter(sim, "triggers"), ==, triggers);
    g_assert_cmpint(qvfio_machine_stat(m, "triggers"), ==, triggers);
    g_assert_cmpint(qvfio_machine_vectors_in(m, "direct"), ==, triggers);
}

/*
 * The guest enables MSI-X with more vectors than the host has.  The call for
 * all of them returns how many there are, or fails.
 */
static void test_few_vectors(void)
{
    const unsigned want = 20, had = 9;
    unsigned n, round, spare;
    QVfioSim *sim;
    QVfioMachine m;

    if (!need_device()) {
        return;
    }
    if (!getenv("VFIO_SIM")) {
        g_test_skip("not on the simulated host of tests/vfio-sim");
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    g_assert_true(qvfio_machine_has_stats(&m));
    sim = qvfio_sim_connect(device);
    /* a mediated device has one that is not the host's */
    qmsix_testdev_unmask(&m.dev, 0);
    qmsix_testdev_enable(&m.dev, true);
    spare = 1 - qvfio_sim_counter(sim, "used");
    qmsix_testdev_enable(&m.dev, false);
    for (n = 0; n < want; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }

    for (round = 0; round < 2; round++) {
        int64_t failures = qvfio_machine_stat(&m, "setup-failures");

        qvfio_sim_command(sim, "pool %u", had - spare);
        if (round) {
            /* without a number, so that each is tried by itself */
            qvfio_sim_command(sim, "fault set-irqs index=MSIX data=EVENTFD "
                              "result=EIO nth=1");
        }
        qmsix_testdev_enable(&m.dev, true);
        assert_host_has(&m, sim, had);
        g_assert_cmpint(qvfio_machine_stat(&m, "used"), ==, want);
        g_assert_cmpint(qvfio_machine_stat(&m, "setup-failures") - failures,
                        ==, want - had);
        g_assert_cmpuint(qvfio_machine_vectors_in(&m, "failed"), ==,
                         want - had);
        for (n = 0; n < want; n++) {
            assert_vector(&m, n, "state", n < had ? "direct" : "failed");
            assert_vector(&m, n, "setup-failed", n < had ? "0" : "1");
        }

        /* the host has more, and is asked for one: others may come with it */
        qvfio_sim_command(sim, "pool unlimited");
        qmsix_testdev_mask(&m.dev, want - 1);
        qmsix_testdev_unmask(&m.dev, want - 1);
        assert_host_has(&m, sim, dynamic ? had + 1 : want);
        assert_vector(&m, want - 1, "state", "direct");
        qmsix_testdev_enable(&m.dev, false);
        assert_host_has(&m, sim, 0);
    }

    /* fewer by the return value alone; who can add vectors gets them all */
    qvfio_sim_command(sim, "fault set-irqs index=MSIX data=EVENTFD result=%u "
                      "nth=1", had);
    qmsix_testdev_enable(&m.dev, true);
    assert_host_has(&m, sim, dynamic ? want : had);

    qvfio_sim_free(sim);
    qvfio_machine_stop(&m);
}

/* x-query-irq has the same counts */
static void test_query_irq(void)
{
    QVfioMachine m;
    const char *text, *start;
    unsigned i;
    QDict *rsp;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);
    qmsix_testdev_unmask(&m.dev, 5);
    for (i = 0; i < 7; i++) {
        g_assert_true(qmsix_testdev_delivers(&m.dev, 5));
    }

    rsp = qtest_qmp(m.qts, "{'execute': 'x-query-irq'}");
    text = qdict_get_str(qdict_get_qdict(rsp, "return"),
                         "human-readable-text");
    start = strstr(text, "IRQ statistics for vfio-pci:\n");
    g_assert_nonnull(start);
    g_assert_true(g_str_has_prefix(strchr(start, '\n'), "\n 5: 7\n"));
    qobject_unref(rsp);
    qvfio_machine_stop(&m);
}

/* The same for INTx and MSI */
static void test_other_modes(void)
{
    g_autofree char *text = NULL;
    QVfioMachine m;
    uint16_t flags;
    uint8_t cap;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    text = qtest_hmp(m.qts, "info pic");
    g_assert_nonnull(strstr(text, "interrupt=intx"));
    g_assert_nonnull(strstr(text, "intx: pin=A pending=0 listener=qemu"));

    cap = qpci_find_capability(m.pdev, PCI_CAP_ID_MSI, 0);
    if (cap) {
        flags = qpci_config_readw(m.pdev, cap + PCI_MSI_FLAGS);
        flags |= PCI_MSI_FLAGS_ENABLE | 2 << ctz32(PCI_MSI_FLAGS_QSIZE);
        qpci_config_writew(m.pdev, cap + PCI_MSI_FLAGS, flags);
        g_free(text);
        text = qtest_hmp(m.qts, "info pic");
        g_assert_nonnull(strstr(text, "interrupt=msi\r\n"));
        assert_vector(&m, 3, "state", "direct");
        g_assert_null(qvfio_machine_vector_stat(&m, 4, "state"));

        /* not shown: vectors that the guest no longer has */
        flags &= ~PCI_MSI_FLAGS_QSIZE;
        qpci_config_writew(m.pdev, cap + PCI_MSI_FLAGS, flags);
        assert_vector(&m, 0, "state", "direct");
        g_assert_null(qvfio_machine_vector_stat(&m, 1, "state"));
    }
    qvfio_machine_stop(&m);
}

/* Whether QEMU warns at start with this limit of open files */
static bool warns_of(rlim_t files)
{
    g_autofree char *path = qvfio_temporary_file();
    g_autofree char *redirect = g_strdup_printf("2>%s", path);
    g_autofree char *text = NULL;
    struct rlimit old, new;
    QVfioMachine m;
    bool ok;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    new = old;
    new.rlim_cur = files;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &new), ==, 0);
    qvfio_machine_start(&m, device, "", redirect);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    qvfio_machine_stop(&m);

    ok = g_file_get_contents(path, &text, NULL, NULL);
    g_assert_true(ok);
    unlink(path);
    if (*text) {
        g_test_message("%s", text);
    }
    return strstr(text, "RLIMIT_NOFILE");
}

/* A limit of open files too low for the device's vectors is warned about */
static void test_open_files(void)
{
    struct rlimit limit;
    QVfioMachine m;
    unsigned vectors;
    rlim_t enough;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    vectors = m.dev.vectors;
    qvfio_machine_stop(&m);

    /* QEMU has fewer than 500 others open. */
    enough = 2 * vectors + 500;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    if (limit.rlim_max < enough) {
        g_test_skip("the limit of open files is too low");
        return;
    }
    g_assert_false(warns_of(enough));
    g_assert_true(warns_of(MAX(vectors, 64)));
}

/* The size of the kernel's table of the process's open files */
static unsigned file_table_size(QVfioMachine *m)
{
    g_autofree char *path = NULL, *text = NULL;
    const char *line;
    bool ok;

    path = g_strdup_printf("/proc/%d/status", m->pid);
    ok = g_file_get_contents(path, &text, NULL, NULL);
    g_assert_true(ok);
    line = strstr(text, "FDSize:");
    g_assert_nonnull(line);
    return atoi(line + strlen("FDSize:"));
}

/*
 * To enlarge the table takes tens of ms, which must not be spent in a guest's
 * unmask.  (On a simulated host the simulation makes it large.)
 */
static void test_file_table(void)
{
    unsigned n, before;
    QVfioMachine m;

    if (!need_device()) {
        return;
    }

    qvfio_machine_start(&m, device, "", "");
    before = file_table_size(&m);
    g_test_message("table of %u files, %u vectors", before, m.dev.vectors);
    qmsix_testdev_enable(&m.dev, true);
    for (n = 0; n < m.dev.vectors; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }
    g_assert_cmpuint(file_table_size(&m), ==, before);
    qvfio_machine_stop(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    device = qvfio_device(1);
    dynamic = device && qvfio_msix_is_dynamic(device);

    qtest_add_func("vfio-msix-info/device", test_device);
    qtest_add_func("vfio-msix-info/vector", test_vector);
    qtest_add_func("vfio-msix-info/few-vectors", test_few_vectors);
    qtest_add_func("vfio-msix-info/query-irq", test_query_irq);
    qtest_add_func("vfio-msix-info/other-modes", test_other_modes);
    qtest_add_func("vfio-msix-info/open-files", test_open_files);
    qtest_add_func("vfio-msix-info/file-table", test_file_table);

    return g_test_run();
}
