/*
 * msix-testdev: PCI ids and registers
 *
 * The one description of the device's programming interface, for the QEMU
 * model, the simulated vfio-pci host, the qtests and programs in a guest.
 * Plain C without any include, so that all of them can use it.  The prose is
 * in docs/specs/msix-testdev.rst.
 *
 * All registers are 32 bits wide and little-endian; they are accessed with
 * aligned 32-bit reads and writes.  Any other access, an offset without a
 * register and a vector number out of range read as zero and ignore writes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_MSIX_TESTDEV_REGS_H
#define HW_MISC_MSIX_TESTDEV_REGS_H

#define MSIX_TESTDEV_VENDOR_ID          0x1234
#define MSIX_TESTDEV_DEVICE_ID          0x4d58 /* "MX" */

#define MSIX_TESTDEV_MAX_VECTORS        2048   /* PCI's own limit for MSI-X */
#define MSIX_TESTDEV_MSI_VECTORS        8

/*
 * BAR 0: the registers below.  BAR 1: MSI-X table and PBA, nothing else; at
 * the same offsets for any number of vectors, no page shared by the two.
 * Both are 32-bit memory BARs.
 */
#define MSIX_TESTDEV_REGS_BAR           0
#define MSIX_TESTDEV_REGS_SIZE          0x20000
#define MSIX_TESTDEV_MSIX_BAR           1
#define MSIX_TESTDEV_MSIX_SIZE          0x10000
#define MSIX_TESTDEV_TABLE_OFFSET       0
#define MSIX_TESTDEV_PBA_OFFSET         0x8000

/* RO: constant, tells a driver that this is the device it knows */
#define MSIX_TESTDEV_ID                 0x000
#define   MSIX_TESTDEV_ID_VALUE         0x5458534d /* "MSXT" */
/* RO: version of this interface */
#define MSIX_TESTDEV_VERSION            0x004
#define   MSIX_TESTDEV_VERSION_VALUE    1
/* RO: number of MSI-X vectors, 1 to 2048 */
#define MSIX_TESTDEV_VECTORS            0x008

/* RW: zero after reset */
#define MSIX_TESTDEV_CTRL               0x00c
/* vectors with a period raise interrupts on their own while this is set */
#define   MSIX_TESTDEV_CTRL_RUN         (1u << 0)
/* an interrupt raised while MSI and MSI-X are off asserts INTx */
#define   MSIX_TESTDEV_CTRL_INTX        (1u << 1)

/* RO: the interrupt mode that config space selects at this moment */
#define MSIX_TESTDEV_STATUS             0x010
#define   MSIX_TESTDEV_STATUS_MSIX      (1u << 0) /* MSI-X is enabled */
#define   MSIX_TESTDEV_STATUS_FMASK     (1u << 1) /* its function mask is set */
#define   MSIX_TESTDEV_STATUS_MSI       (1u << 2) /* MSI is enabled */
#define   MSIX_TESTDEV_STATUS_INTX      (1u << 3) /* INTx is asserted */

/* WO: raise one interrupt on the vector whose number is written */
#define MSIX_TESTDEV_FIRE               0x014
/* WO: acknowledge all that the vector whose number is written has raised */
#define MSIX_TESTDEV_ACK                0x018
/*
 * RW: 1 asserts INTx, 0 deasserts it, whatever asserted it; reads as what it
 * is.  1 is ignored while MSI or MSI-X is enabled, and enabling one of them
 * deasserts INTx for good: PCI has the three modes exclude each other.
 */
#define MSIX_TESTDEV_INTX               0x01c

/*
 * RO counters of the whole device, 32 bits, wrapping.  The first three are
 * instruments rather than device state: no reset clears them.  (The reset at
 * power-on counts as well: compare values, do not expect one.)
 *
 * Each interrupt raised is one of SENT, PENDED, DROPPED and INTX_RAISED, by
 * what became of it at that moment.  A pending bit that is sent at the unmask
 * does not count as SENT, too, and interrupts raised while the bit was set
 * already merge into one message.  SENT does not mean received: with bus
 * mastering off a message gets lost on its way.
 */
#define MSIX_TESTDEV_MSIX_ENABLES       0x020 /* MSI-X enable bit 0 -> 1 */
#define MSIX_TESTDEV_MSIX_DISABLES      0x024 /* MSI-X enable bit 1 -> 0 */
#define MSIX_TESTDEV_RESETS             0x028 /* FLR and bus resets */
#define MSIX_TESTDEV_RAISED             0x02c /* sum of the vectors' RAISED */
#define MSIX_TESTDEV_ACKED              0x030 /* sum of the vectors' ACKED */
#define MSIX_TESTDEV_SENT               0x034 /* left at once as a message */
#define MSIX_TESTDEV_PENDED             0x038 /* masked: set a pending bit */
#define MSIX_TESTDEV_DROPPED            0x03c /* MSI-X and MSI off: lost */
#define MSIX_TESTDEV_INTX_RAISED        0x040 /* went out as INTx instead */

/*
 * WO: any value wipes the MSI-X table: all vectors masked, with messages of
 * zero.  Real devices do so in resets that are a matter between them and their
 * drivers, of which config space knows nothing.  Pending bits stay.
 */
#define MSIX_TESTDEV_WIPE               0x044

/*
 * Bit maps, one bit a vector, 32 vectors a register: the vector has an
 * interrupt that was raised and not acknowledged (RAISED != ACKED).  Writing
 * ones acknowledges all that these vectors have raised, as ACK does for one.
 */
#define MSIX_TESTDEV_OUTSTANDING        0x400
#define MSIX_TESTDEV_OUTSTANDING_END    0x500

/*
 * Per vector, at MSIX_TESTDEV_VECTOR(n); zero after reset.
 *
 * RAISED counts the interrupts raised.  ACKED is the number of the last one
 * that the guest acknowledged; a write of a number between ACKED and RAISED
 * (in wrapping arithmetic) acknowledges up to that one, any other is ignored.
 *
 * With PERIOD set and CTRL.RUN on, the device raises the next interrupt
 * PERIOD microseconds after the last one was acknowledged - and none before:
 * a lost interrupt shows as a vector that stands still.  The time starts anew
 * when PERIOD is written or RUN is switched on.  It is a minimum: a period
 * below MSIX_TESTDEV_MIN_PERIOD counts as that, and an interrupt may be late
 * when many are due at once.
 *
 * While the device sends a message it ignores register writes, so that a
 * message which is addressed to these registers does nothing.
 */
#define MSIX_TESTDEV_VECTOR_BASE        0x10000
#define MSIX_TESTDEV_VECTOR_SIZE        0x20
#define MSIX_TESTDEV_VECTOR(n) \
    (MSIX_TESTDEV_VECTOR_BASE + (n) * MSIX_TESTDEV_VECTOR_SIZE)
#define   MSIX_TESTDEV_MIN_PERIOD       10   /* microseconds */
#define   MSIX_TESTDEV_VECTOR_RAISED    0x00 /* RO */
#define   MSIX_TESTDEV_VECTOR_ACKED     0x04 /* RW */
#define   MSIX_TESTDEV_VECTOR_PERIOD    0x08 /* RW, microseconds, 0: never */
#define   MSIX_TESTDEV_VECTOR_SENT      0x0c /* RO, see the device's counters */
#define   MSIX_TESTDEV_VECTOR_PENDED    0x10 /* RO */
#define   MSIX_TESTDEV_VECTOR_DROPPED   0x14 /* RO */

#endif
