/*
 * libqos helpers for msix-testdev
 *
 * They drive the device like a guest's driver, whether QEMU emulates it or
 * passes one through (vfio-pci), on any machine that libqos has a PCI bus
 * for.  Nothing is enabled, unmasked or acknowledged behind the test's back:
 * MSI-X tests are about the order of just these steps.
 *
 * A test notices an interrupt by its message: qmsix_testdev_init() sets aside
 * one 32-bit word of guest memory per vector, and
 * qmsix_testdev_set_default_message() has the vector's message write there.
 *
 * All functions are for the test's own thread, as all of libqtest, and abort
 * the test on a failed assertion.  Vector numbers are asserted to be below
 * QMsixTestdev.vectors, except where a function says otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LIBQOS_MSIX_TESTDEV_H
#define LIBQOS_MSIX_TESTDEV_H

#include "pci.h"
#include "libqos-malloc.h"
#include "hw/misc/msix-testdev-regs.h"

/* The timeout for what must come; only a test that fails waits that long */
#define QMSIX_TESTDEV_TIMEOUT_S 30

/**
 * QMsixTestdev:
 * @qts: the QEMU under test
 * @dev: the device on its bus; owned by the test, outlives this struct
 * @alloc: where @messages came from
 * @regs: BAR 0
 * @msix: the BAR that has the MSI-X table and the PBA
 * @msix_cap: config space offset of the MSI-X capability
 * @table_off: offset of the MSI-X table in @msix
 * @pba_off: offset of the pending bit array in @msix
 * @vectors: number of MSI-X vectors
 * @messages: guest address of the words that the vectors' messages write,
 *            vector n's at @messages + 4 * n
 */
typedef struct QMsixTestdev {
    QTestState *qts;
    QPCIDevice *dev;
    QGuestAllocator *alloc;
    QPCIBar regs;
    QPCIBar msix;
    uint8_t msix_cap;
    uint64_t table_off;
    uint64_t pba_off;
    unsigned vectors;
    uint64_t messages;
} QMsixTestdev;

/**
 * qmsix_testdev_init:
 * @d: to be filled in
 * @dev: an msix-testdev
 * @alloc: guest memory, for the words that messages write
 *
 * Maps the BARs, enables memory decoding and bus mastering, checks the
 * device's ID, VERSION and number of vectors, and clears the message words.
 * The MSI-X capability and table stay as they are.
 */
void qmsix_testdev_init(QMsixTestdev *d, QPCIDevice *dev,
                        QGuestAllocator *alloc);

/**
 * qmsix_testdev_free:
 * @d: as filled in by qmsix_testdev_init()
 *
 * Gives back the guest memory.  The device is not touched (it may be gone):
 * a test that goes on afterwards must have stopped it.
 */
void qmsix_testdev_free(QMsixTestdev *d);

/**
 * qmsix_testdev_setup_pci:
 * @d: the device
 *
 * Writes BAR addresses and the command register again, which a reset of the
 * function or of the system takes away.
 */
void qmsix_testdev_setup_pci(QMsixTestdev *d);

/**
 * qmsix_testdev_flr:
 * @d: the device
 *
 * Function level reset through the PCI Express capability, then
 * qmsix_testdev_setup_pci().
 */
void qmsix_testdev_flr(QMsixTestdev *d);

/**
 * qmsix_testdev_quiet_flr:
 * @d: the device
 *
 * Function level reset as Linux's pci_reset_function() does it: while Command
 * has nothing but DisINTx, so with memory decoding off.  Waits for the device
 * to answer, and restores BAR addresses and Command.  MSI-X is left as the
 * reset has left it.
 */
void qmsix_testdev_quiet_flr(QMsixTestdev *d);

/**
 * qmsix_testdev_reset_function:
 * @d: the device
 * @count: number of vectors, from 0 on, that the driver has allocated
 *
 * All of pci_reset_function(): qmsix_testdev_quiet_flr(), and if MSI-X was
 * enabled before then it is again, and the table entries of these vectors are
 * written as they were, under the function mask.  Aborts the test if the
 * function mask was set, which Linux does not leave set.
 */
void qmsix_testdev_reset_function(QMsixTestdev *d, unsigned count);

/**
 * qmsix_testdev_read:
 * @d: the device
 * @reg: offset in BAR 0, MSIX_TESTDEV_*
 *
 * Returns: the register's value
 */
uint32_t qmsix_testdev_read(QMsixTestdev *d, uint32_t reg);

/**
 * qmsix_testdev_write:
 * @d: the device
 * @reg: offset in BAR 0, MSIX_TESTDEV_*
 * @val: the value
 */
void qmsix_testdev_write(QMsixTestdev *d, uint32_t reg, uint32_t val);

/**
 * qmsix_testdev_vector_read:
 * @d: the device
 * @n: the vector
 * @reg: MSIX_TESTDEV_VECTOR_*
 *
 * Returns: the vector's register
 */
uint32_t qmsix_testdev_vector_read(QMsixTestdev *d, unsigned n, uint32_t reg);

/**
 * qmsix_testdev_vector_write:
 * @d: the device
 * @n: the vector
 * @reg: MSIX_TESTDEV_VECTOR_*
 * @val: the value
 */
void qmsix_testdev_vector_write(QMsixTestdev *d, unsigned n, uint32_t reg,
                                uint32_t val);

/**
 * qmsix_testdev_fire:
 * @d: the device
 * @n: the vector; any number, also an invalid one
 *
 * Has the device raise one interrupt.
 */
void qmsix_testdev_fire(QMsixTestdev *d, uint32_t n);

/**
 * qmsix_testdev_ack:
 * @d: the device
 * @n: the vector; any number, also an invalid one
 *
 * Acknowledges all that the vector has raised.
 */
void qmsix_testdev_ack(QMsixTestdev *d, uint32_t n);

/**
 * qmsix_testdev_enable:
 * @d: the device
 * @enable: the value for the MSI-X enable bit
 *
 * Writes the bit; the function mask stays.
 */
void qmsix_testdev_enable(QMsixTestdev *d, bool enable);

/**
 * qmsix_testdev_is_enabled:
 * @d: the device
 *
 * Returns: the MSI-X enable bit
 */
bool qmsix_testdev_is_enabled(QMsixTestdev *d);

/**
 * qmsix_testdev_function_mask:
 * @d: the device
 * @mask: the value for MSI-X's function mask bit
 *
 * Writes the bit; the enable bit stays.
 */
void qmsix_testdev_function_mask(QMsixTestdev *d, bool mask);

/**
 * qmsix_testdev_set_message:
 * @d: the device
 * @n: the vector
 * @addr: the message's address
 * @data: the message's data
 *
 * Writes the table entry in three 32-bit writes; its mask bit stays.  A
 * driver does that only while the vector is masked.
 */
void qmsix_testdev_set_message(QMsixTestdev *d, unsigned n, uint64_t addr,
                               uint32_t data);

/**
 * qmsix_testdev_set_default_message:
 * @d: the device
 * @n: the vector
 *
 * Like qmsix_testdev_set_message(), with the vector's own word as address
 * and @n + 1 as data.
 */
void qmsix_testdev_set_default_message(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_mask:
 * @d: the device
 * @n: the vector
 *
 * Sets the mask bit in the vector's table entry.
 */
void qmsix_testdev_mask(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_unmask:
 * @d: the device
 * @n: the vector
 *
 * Clears the mask bit in the vector's table entry.
 */
void qmsix_testdev_unmask(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_is_masked:
 * @d: the device
 * @n: the vector
 *
 * Returns: the vector's own mask bit, whatever the function mask is
 */
bool qmsix_testdev_is_masked(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_pending:
 * @d: the device
 * @n: the vector
 *
 * Returns: the vector's bit in the PBA.  Nothing is written.
 */
bool qmsix_testdev_pending(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_intx:
 * @d: the device
 *
 * Returns: the interrupt status bit of config space: the device asserts
 * INTx, whether or not the command register lets it out
 */
bool qmsix_testdev_intx(QMsixTestdev *d);

/**
 * qmsix_testdev_message:
 * @d: the device
 * @n: the vector
 *
 * Returns: the data that the vector's last message has left in its word, or
 * 0 if none came since it was last taken
 */
uint32_t qmsix_testdev_message(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_take:
 * @d: the device
 * @n: the vector
 *
 * Takes the vector's interrupt, as a handler does: look at the device's
 * registers after it, not before, because two messages that come before the
 * take are one interrupt.
 *
 * Returns: true if a message has come since it was last taken
 */
bool qmsix_testdev_take(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_deadline:
 *
 * Returns: the g_get_monotonic_time() at which to stop waiting
 */
gint64 qmsix_testdev_deadline(void);

/**
 * qmsix_testdev_eventually:
 * @d: the device
 * @n: the vector
 * @condition: like qmsix_testdev_pending() or qmsix_testdev_take()
 *
 * Waits for QMSIX_TESTDEV_TIMEOUT_S at most.
 *
 * Returns: true as soon as @condition does, false at the timeout
 */
bool qmsix_testdev_eventually(QMsixTestdev *d, unsigned n,
                              bool (*condition)(QMsixTestdev *d, unsigned n));

/**
 * qmsix_testdev_delivers:
 * @d: the device
 * @n: the vector
 *
 * Fires, takes and acknowledges one interrupt.  Waits for it for
 * QMSIX_TESTDEV_TIMEOUT_S at most.
 *
 * Returns: true if it has come
 */
bool qmsix_testdev_delivers(QMsixTestdev *d, unsigned n);

/**
 * qmsix_testdev_take_all:
 * @d: the device
 * @bitmap: at least BITS_TO_LONGS(@d->vectors) long; overwritten with a bit
 *          for each vector that a message has come for; NULL if it is only
 *          the number that matters
 *
 * qmsix_testdev_take() for all vectors, with one read of guest memory.  Only
 * words seen set are cleared: clearing all would wipe out messages that come
 * between read and write, and the test would lose what QEMU has not lost.
 *
 * Returns: the number of bits set
 */
unsigned qmsix_testdev_take_all(QMsixTestdev *d, unsigned long *bitmap);

#endif
