/*
 * Measure what happens to a device's interrupts while a guest adds vectors
 *
 * Starts QEMU ($QTEST_QEMU_BINARY) with an msix-testdev passed through, see
 * libqos/vfio-host.h for the environment, and unmasks its vectors one by one.
 * All that are unmasked already fire on their own meanwhile: each raises its
 * next interrupt PERIOD after the last one was acknowledged, and the next
 * vector is unmasked when so many of them have come.  A round ends when all
 * vectors are unmasked and everything that was raised has come, or is lost.
 * What is printed, as a JSON object, is in usage() below.
 *
 * The exit status is 0 if it could measure, whatever the figures are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include "libqtest.h"
#include "libqos/msix-account.h"
#include "libqos/vfio-host.h"
#include "libqos/vfio-machine.h"

static void usage(FILE *out)
{
    fputs(
"usage: vfio-msix-add-vectors [--vectors N] [--rounds R] [--period US]\n"
"                             [--per-unmask I] --json FILE\n"
"\n"
"  --vectors N   unmask N vectors one by one (default 64, at most as many as\n"
"                the device has)\n"
"  --rounds R    do so R times, MSI-X switched off and on between (default 1)\n"
"  --period US   vectors fire US microseconds after they were acknowledged\n"
"                (default 500), or 2, 4 or 8 times as much\n"
"  --per-unmask I\n"
"                unmask the next one when I interrupts more have come; when\n"
"                none comes any more, do without for the rest of the round\n"
"                (default: do without)\n"
"  --json FILE   write the figures there: dynamic (the host can add vectors),\n"
"                vectors, rounds, raised, delivered, late, lost, extra (of\n"
"                interrupts, see libqos/msix-account.h), raised_adding (of\n"
"                those raised, the ones between the first and the last unmask\n"
"                of a round), raised_off (of those raised, the ones that the\n"
"                device had to drop as MSI-X was off), teardowns (times that\n"
"                the device saw MSI-X switched off while vectors were being\n"
"                unmasked), teardowns_most (the same of the round that had\n"
"                most), set_irqs (VFIO_DEVICE_SET_IRQS calls for these\n"
"                unmasks; null without the library to log them),\n"
"                unmask_us (median and max time of one unmask as the guest\n"
"                sees it, in microseconds); and with KVM, which listens to\n"
"                vectors then, eventfds (of QEMU for each vector in use) and\n"
"                mask_set_irqs (VFIO_DEVICE_SET_IRQS calls for a mask and an\n"
"                unmask of one): both null without KVM, or without the\n"
"                library\n"
"\n"
"Environment: QTEST_QEMU_BINARY, VFIO_MSIX_TEST_DEVICE,\n"
"VFIO_MSIX_TEST_PRELOAD\n",
          out);
}

/*
 * Vectors that are acknowledged together must not be due together: depending on
 * the machine's speed all would fire before the next resize, or all after it.
 */
#define PERIODS 4

/* How often each vector is masked and unmasked to count calls */
#define MASK_ROUNDS 4

static const char *const all_set_irqs[] = { "VFIO_DEVICE_SET_IRQS", NULL };

typedef struct AddVectors {
    unsigned vectors;
    unsigned rounds;
    unsigned period;
    unsigned per_unmask;
    bool logged;

    uint32_t raised;
    uint32_t raised_adding;
    uint32_t raised_off;
    unsigned teardowns;
    unsigned teardowns_most;
    unsigned set_irqs;
    double *unmask_us;
    unsigned unmasks;

    /* with KVM; negative: not known */
    double eventfds;
    double mask_set_irqs;
} AddVectors;

/*
 * Service the account until @count more have been delivered.  A vector that
 * lost one is stuck; returns false if all are.
 */
static bool service_until(QMsixAccount *a, unsigned count)
{
    uint64_t end = a->delivered + count;
    gint64 arrival = g_get_monotonic_time();

    while (a->delivered < end) {
        if (qmsix_account_service(a)) {
            arrival = g_get_monotonic_time();
        } else if (g_get_monotonic_time() - arrival >=
                   QMSIX_ACCOUNT_LOST_S * G_USEC_PER_SEC) {
            return false;
        }
    }
    return true;
}

static void measure_round(AddVectors *g, QMsixTestdev *d, QMsixAccount *a)
{
    uint32_t disables, raised, teardowns, before = 0;
    bool going = true;
    unsigned n;

    qmsix_testdev_enable(d, true);
    disables = qmsix_testdev_read(d, MSIX_TESTDEV_MSIX_DISABLES);
    raised = qmsix_testdev_read(d, MSIX_TESTDEV_RAISED);
    if (g->logged) {
        before = qvfio_log_count(all_set_irqs);
    }
    qmsix_account_start(a);

    for (n = 0; n < g->vectors; n++) {
        gint64 start = g_get_monotonic_time();

        qmsix_testdev_unmask(d, n);
        g->unmask_us[g->unmasks++] = g_get_monotonic_time() - start;

        if (n + 1 == g->vectors) {
            g->raised_adding += qmsix_testdev_read(d, MSIX_TESTDEV_RAISED) -
                                 raised;
        }
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD,
                                   g->period << n % PERIODS);
        qmsix_account_service(a);
        if (going && n + 1 < g->vectors) {
            going = service_until(a, g->per_unmask);
        }
    }

    qmsix_account_settle(a);
    teardowns = qmsix_testdev_read(d, MSIX_TESTDEV_MSIX_DISABLES) - disables;
    g->teardowns += teardowns;
    g->teardowns_most = MAX(g->teardowns_most, teardowns);
    if (g->logged) {
        g->set_irqs += qvfio_log_count(all_set_irqs) - before;
    }

    for (n = 0; n < g->vectors; n++) {
        qmsix_testdev_vector_write(d, n, MSIX_TESTDEV_VECTOR_PERIOD, 0);
        qmsix_testdev_mask(d, n);
    }
    qmsix_testdev_enable(d, false);
}

/* Count the eventfds and calls that a vector in state irqfd takes */
static void measure_kvm(AddVectors *g, const char *device)
{
    unsigned n, round, before;
    QVfioMachine m;

    qvfio_machine_start_kvm(&m, device, "", "");
    qmsix_testdev_enable(&m.dev, true);

    /* the eventfds of INTx are closed with the first vector */
    qmsix_testdev_unmask(&m.dev, 0);
    qvfio_machine_await_kvm(&m, 1);
    before = qvfio_machine_eventfds(&m);
    for (n = 1; n < g->vectors; n++) {
        qmsix_testdev_unmask(&m.dev, n);
    }
    qvfio_machine_await_kvm(&m, g->vectors);
    g->eventfds = (double)(qvfio_machine_eventfds(&m) - before) /
                  (g->vectors - 1);

    before = qvfio_log_count(all_set_irqs);
    for (round = 0; round < MASK_ROUNDS; round++) {
        for (n = 0; n < g->vectors; n++) {
            qmsix_testdev_mask(&m.dev, n);
            qmsix_testdev_unmask(&m.dev, n);
        }
        /* and again with irqfds to be taken off */
        qvfio_machine_await_kvm(&m, g->vectors);
    }
    g->mask_set_irqs = (double)(qvfio_log_count(all_set_irqs) - before) /
                       (MASK_ROUNDS * g->vectors);

    qvfio_machine_stop(&m);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static char *figures(const AddVectors *g, const QMsixAccount *a, bool dynamic)
{
    g_autofree char *set_irqs = g->logged ?
        g_strdup_printf("%u", g->set_irqs) : g_strdup("null");
    g_autofree char *eventfds = g->eventfds < 0 ? g_strdup("null") :
        g_strdup_printf("%.2f", g->eventfds);
    g_autofree char *mask_set_irqs = g->mask_set_irqs < 0 ? g_strdup("null") :
        g_strdup_printf("%.2f", g->mask_set_irqs);
    double *us = g->unmask_us;
    unsigned n = g->unmasks;

    qsort(us, n, sizeof(us[0]), compare_doubles);

    return g_strdup_printf("{\"dynamic\": %s, \"vectors\": %u, \"rounds\": %u, "
                           "\"raised\": %" PRIu32 ", "
                           "\"raised_adding\": %" PRIu32 ", "
                           "\"raised_off\": %" PRIu32 ", "
                           "\"delivered\": %" PRIu64 ", "
                           "\"late\": %" PRIu64 ", \"lost\": %" PRIu64 ", "
                           "\"extra\": %" PRIu64 ", \"teardowns\": %u, "
                           "\"teardowns_most\": %u, "
                           "\"set_irqs\": %s, \"eventfds\": %s, "
                           "\"mask_set_irqs\": %s, "
                           "\"unmask_us\": {\"median\": %.0f, \"max\": %.0f}}"
                           "\n",
                           dynamic ? "true" : "false", g->vectors, g->rounds,
                           g->raised, g->raised_adding, g->raised_off,
                           a->delivered, a->late, a->lost, a->extra,
                           g->teardowns, g->teardowns_most, set_irqs,
                           eventfds, mask_set_irqs,
                           (us[(n - 1) / 2] + us[n / 2]) / 2, us[n - 1]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "vectors", required_argument, NULL, 'v' },
        { "rounds", required_argument, NULL, 'r' },
        { "period", required_argument, NULL, 'p' },
        { "per-unmask", required_argument, NULL, 'u' },
        { "json", required_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { }
    };
    AddVectors g = {
        .vectors = 64, .rounds = 1, .period = 500, .eventfds = -1,
        .mask_set_irqs = -1,
    };
    const char *json = NULL, *device = qvfio_device(1);
    g_autofree char *text = NULL;
    QVfioMachine m;
    QMsixAccount a;
    unsigned round;
    GError *err = NULL;
    bool dynamic;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'v':
            g.vectors = qvfio_number_or_die("vectors", optarg);
            break;
        case 'r':
            g.rounds = qvfio_number_or_die("rounds", optarg);
            break;
        case 'p':
            g.period = qvfio_number_or_die("period", optarg);
            break;
        case 'u':
            g.per_unmask = qvfio_number_or_die("per-unmask", optarg);
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

    if (optind != argc || !json || !device || !getenv("QTEST_QEMU_BINARY")) {
        usage(stderr);
        return 2;
    }

    dynamic = qvfio_msix_is_dynamic(device);
    g.logged = qvfio_log_start();
    qvfio_machine_start(&m, device, "", "");
    if (g.vectors > m.dev.vectors) {
        fprintf(stderr, "vfio-msix-add-vectors: the device has %u vectors\n",
                m.dev.vectors);
        return 2;
    }

    g.unmask_us = g_new(double, g.vectors * g.rounds);
    qmsix_account_init(&a, &m.dev);
    for (round = 0; round < g.rounds; round++) {
        measure_round(&g, &m.dev, &a);
    }
    g.raised = qmsix_testdev_read(&m.dev, MSIX_TESTDEV_RAISED);
    g.raised_off = qmsix_testdev_read(&m.dev, MSIX_TESTDEV_DROPPED);

    qvfio_machine_stop(&m);
    if (g.logged && qvfio_has_kvm() && g.vectors > 1) {
        measure_kvm(&g, device);
    }
    if (g.logged) {
        qvfio_log_stop();
    }

    text = figures(&g, &a, dynamic);
    if (!g_file_set_contents(json, text, -1, &err)) {
        fprintf(stderr, "vfio-msix-add-vectors: %s\n", err->message);
        return 1;
    }

    qmsix_account_free(&a);
    g_free(g.unmask_us);
    return 0;
}
