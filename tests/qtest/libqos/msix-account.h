/*
 * An account of the interrupts of an msix-testdev
 *
 * Acts as a driver with a queue for each vector: takes interrupts, acknowledges
 * them, so that the device raises the next ones, and counts them.
 *
 *   delivered  the vector's interrupt came and there was something to do
 *   late       of these, those that came only after everything had been quiet
 *              for QMSIX_ACCOUNT_LATE_S since the device was started
 *   extra      an interrupt came and there was nothing to do
 *   lost       never came, although all is quiet and the account has waited
 *              for QMSIX_ACCOUNT_LOST_S
 *
 * The counts are taken from the device's sequence numbers.  A vector that lost
 * an interrupt is stuck, as a queue would be, and counts once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LIBQOS_MSIX_ACCOUNT_H
#define LIBQOS_MSIX_ACCOUNT_H

#include "msix-testdev.h"

#define QMSIX_ACCOUNT_LATE_S 1
#define QMSIX_ACCOUNT_LOST_S 5

typedef struct QMsixAccount {
    QMsixTestdev *d;
    uint64_t delivered;
    uint64_t late;
    uint64_t extra;
    uint64_t lost;
    /* the vectors that lost an interrupt, since qmsix_account_init() */
    unsigned long *lost_map;

    unsigned long *taken;
    gint64 last_arrival; /* g_get_monotonic_time() */
} QMsixAccount;

/**
 * qmsix_account_init:
 * @a: to be filled in
 * @d: the device, which must have raised nothing since its reset: what it has
 *      raised in all is what qmsix_account_settle() accounts for
 */
void qmsix_account_init(QMsixAccount *a, QMsixTestdev *d);

void qmsix_account_free(QMsixAccount *a);

/**
 * qmsix_account_start:
 * @a: the account
 *
 * Has the device raise interrupts periodically, and restarts the time for
 * "late".
 */
void qmsix_account_start(QMsixAccount *a);

/**
 * qmsix_account_service:
 * @a: the account
 *
 * Takes and acknowledges what has come by now.
 *
 * Returns: the number of interrupts that came, extra ones included
 */
unsigned qmsix_account_service(QMsixAccount *a);

/**
 * qmsix_account_await_raised:
 * @a: the account
 * @first: a vector
 * @count: a number of vectors from there on, which fire on their own
 *
 * Services the device until each of them has raised an interrupt since the
 * device's reset; without this it depends on the machine's speed how many have
 * when the device is stopped.  Aborts the test at a timeout.
 */
void qmsix_account_await_raised(QMsixAccount *a, unsigned first,
                                unsigned count);

/**
 * qmsix_account_settle:
 * @a: the account
 *
 * Stops the device from raising more and services it until nothing is
 * outstanding, or nothing has come for QMSIX_ACCOUNT_LOST_S: then what is
 * outstanding is lost.  It is acknowledged, so that its vectors go on when the
 * device is started again.
 *
 * Returns: the number of interrupts found lost this time
 */
unsigned qmsix_account_settle(QMsixAccount *a);

#endif
