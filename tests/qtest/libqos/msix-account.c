/*
 * An account of the interrupts of an msix-testdev
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/host-utils.h"
#include "msix-account.h"

/* When nothing is outstanding, what still comes is extra */
#define EXTRA_WAIT_US (100 * 1000)

void qmsix_account_init(QMsixAccount *a, QMsixTestdev *d)
{
    memset(a, 0, sizeof(*a));
    a->d = d;
    a->lost_map = bitmap_new(d->vectors);
    a->taken = bitmap_new(d->vectors);
    a->last_arrival = g_get_monotonic_time();
    g_assert_cmpuint(qmsix_testdev_read(d, MSIX_TESTDEV_RAISED), ==, 0);
}

void qmsix_account_free(QMsixAccount *a)
{
    g_free(a->lost_map);
    g_free(a->taken);
}

static void set_run(QMsixTestdev *d, bool run)
{
    uint32_t ctrl = qmsix_testdev_read(d, MSIX_TESTDEV_CTRL);

    qmsix_testdev_write(d, MSIX_TESTDEV_CTRL,
                        run ? ctrl | MSIX_TESTDEV_CTRL_RUN :
                              ctrl & ~MSIX_TESTDEV_CTRL_RUN);
}

void qmsix_account_start(QMsixAccount *a)
{
    a->last_arrival = g_get_monotonic_time();
    set_run(a->d, true);
}

static uint32_t outstanding_word(QMsixAccount *a, unsigned n)
{
    return qmsix_testdev_read(a->d, MSIX_TESTDEV_OUTSTANDING + n / 32 * 4);
}

unsigned qmsix_account_service(QMsixAccount *a)
{
    unsigned vectors = a->d->vectors;
    unsigned n, word, count;
    gint64 now;

    count = qmsix_testdev_take_all(a->d, a->taken);
    if (!count) {
        return 0;
    }

    now = g_get_monotonic_time();

    for (word = 0; word < vectors; word += 32) {
        uint32_t taken = 0, delivered;

        for (n = word; n < MIN(word + 32, vectors); n++) {
            taken |= (uint32_t)test_bit(n, a->taken) << (n - word);
        }
        if (!taken) {
            continue;
        }

        delivered = taken & outstanding_word(a, word);
        a->delivered += ctpop32(delivered);
        a->extra += ctpop32(taken & ~delivered);
        if (now - a->last_arrival >= QMSIX_ACCOUNT_LATE_S * G_USEC_PER_SEC) {
            a->late += ctpop32(delivered);
        }
        qmsix_testdev_write(a->d, MSIX_TESTDEV_OUTSTANDING + word / 32 * 4,
                            delivered);
    }

    a->last_arrival = now;
    return count;
}

void qmsix_account_await_raised(QMsixAccount *a, unsigned first,
                                unsigned count)
{
    gint64 end = qmsix_testdev_deadline();
    unsigned n;

    for (n = first; n < first + count; n++) {
        while (!qmsix_testdev_vector_read(a->d, n,
                                          MSIX_TESTDEV_VECTOR_RAISED)) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            qmsix_account_service(a);
        }
    }
}

static bool nothing_outstanding(QMsixAccount *a)
{
    unsigned n;

    for (n = 0; n < a->d->vectors; n += 32) {
        if (outstanding_word(a, n)) {
            return false;
        }
    }
    return true;
}

unsigned qmsix_account_settle(QMsixAccount *a)
{
    QMsixTestdev *d = a->d;
    unsigned n, lost = 0;
    gint64 end;

    set_run(d, false);

    /*
     * Count from here, not from the last interrupt: none was taken since the
     * last call.
     */
    a->last_arrival = g_get_monotonic_time();
    while (!nothing_outstanding(a) && g_get_monotonic_time() - a->last_arrival <
           QMSIX_ACCOUNT_LOST_S * G_USEC_PER_SEC) {
        if (!qmsix_account_service(a)) {
            g_usleep(1000);
        }
    }

    end = g_get_monotonic_time() + EXTRA_WAIT_US;
    do {
        qmsix_account_service(a);
    } while (g_get_monotonic_time() < end);

    for (n = 0; n < d->vectors; n++) {
        if (outstanding_word(a, n) & (1u << n % 32)) {
            lost++;
            set_bit(n, a->lost_map);
            qmsix_testdev_ack(d, n);
        }
    }
    a->lost += lost;

    /* Every interrupt must be accounted for */
    g_assert_cmpuint(qmsix_testdev_read(d, MSIX_TESTDEV_RAISED), ==,
                     (uint32_t)(a->delivered + a->lost));
    return lost;
}
