/*
 * A machine with one msix-testdev passed through by vfio-pci
 *
 * QEMU is run with TCG, or KVM where a test is about it, and the vCPU is never
 * started: Debian's QEMU has no qtest accelerator.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LIBQOS_VFIO_MACHINE_H
#define LIBQOS_VFIO_MACHINE_H

#include "malloc-pc.h"
#include "msix-testdev.h"
#include "pci-pc.h"

typedef struct QVfioMachine {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *pdev;
    QMsixTestdev dev;
    int pid; /* of QEMU itself, which a wrapper may have started */
} QVfioMachine;

/**
 * qvfio_machine_start:
 * @m: to be filled in
 * @device: the host's device, as returned by qvfio_device()
 * @properties: more of the device's properties, each preceded by a comma, or ""
 * @options: more options for QEMU, or ""
 *
 * Starts QEMU and sets the device up, with the default message in each entry
 * of the MSI-X table and all vectors masked; MSI-X itself stays off.
 */
void qvfio_machine_start(QVfioMachine *m, const char *device,
                         const char *properties, const char *options);

/**
 * qvfio_machine_start_kvm:
 * @m: to be filled in
 * @device: the host's device, as returned by qvfio_device()
 * @properties: more of the device's properties, each preceded by a comma, or ""
 * @options: more options for QEMU, or ""
 *
 * Like qvfio_machine_start(), with KVM, which must be available.
 */
void qvfio_machine_start_kvm(QVfioMachine *m, const char *device,
                             const char *properties, const char *options);

/**
 * qvfio_machine_start_kvm_before: the same
 * @before: options for what must be there before the device, like an IOMMU
 */
void qvfio_machine_start_kvm_before(QVfioMachine *m, const char *before,
                                    const char *device,
                                    const char *properties,
                                    const char *options);

/**
 * qvfio_machine_start_kvm_iommu: the same, with an IOMMU that remaps interrupts
 * if the guest has it do so
 */
void qvfio_machine_start_kvm_iommu(QVfioMachine *m, const char *device,
                                   const char *properties,
                                   const char *options);

/**
 * qvfio_machine_start_pluggable:
 * @m: to be filled in
 * @options: more options for QEMU, or ""
 *
 * Starts QEMU without the device, with a machine type that can plug and unplug
 * it without a guest.
 */
void qvfio_machine_start_pluggable(QVfioMachine *m, const char *options);

/**
 * qvfio_machine_plug:
 * @m: the machine, without a device
 * @device: the host's device, as returned by qvfio_device()
 *
 * Adds the device, and sets it up like qvfio_machine_start().
 */
void qvfio_machine_plug(QVfioMachine *m, const char *device);

/**
 * qvfio_machine_plug_second:
 * @m: the machine, without a device
 * @device: the host's device, as returned by qvfio_device()
 * @first: another
 *
 * Adds @device as function 1 and @first as function 0 of the same slot, which
 * are unplugged at once, @first first.  The machine's device is @device.
 */
void qvfio_machine_plug_second(QVfioMachine *m, const char *device,
                               const char *first);

/**
 * qvfio_machine_unplug:
 * @m: the machine, with a device that was plugged
 *
 * Returns when the device, or both, are gone from QEMU.
 */
void qvfio_machine_unplug(QVfioMachine *m);

/**
 * qvfio_machine_reset:
 * @m: the machine
 *
 * Resets the system, and returns when that is done.  The device needs
 * qvfio_machine_setup_device() then.
 */
void qvfio_machine_reset(QVfioMachine *m);

/**
 * qvfio_machine_setup_device:
 * @m: the machine
 *
 * Sets the device up again, after a reset, as qvfio_machine_start() did.
 */
void qvfio_machine_setup_device(QVfioMachine *m);

/**
 * qvfio_machine_fds:
 * @m: the machine
 *
 * Returns: the number of descriptors that QEMU has open
 */
unsigned qvfio_machine_fds(QVfioMachine *m);

/**
 * qvfio_machine_eventfds:
 * @m: the machine
 *
 * Returns: the number of different eventfds among them.  A simulated host
 * duplicates descriptors, so they are told apart by the kernel's eventfd-id.
 */
unsigned qvfio_machine_eventfds(QVfioMachine *m);

/**
 * qvfio_machine_has_stats:
 * @m: the machine
 *
 * Returns: whether QEMU shows the device in its interrupt statistics
 */
bool qvfio_machine_has_stats(QVfioMachine *m);

/**
 * qvfio_machine_stat:
 * @m: the machine, whose QEMU must have statistics of the device
 * @name: a word of the lines about the device in "info pic", like "replays"
 *
 * Returns: its value.  The test is aborted if there is no such number.
 */
int64_t qvfio_machine_stat(QVfioMachine *m, const char *name);

/**
 * qvfio_machine_vector_stat:
 * @m: the machine, whose QEMU must have statistics of the device
 * @n: a vector
 * @name: a word of the vector's line in "info pic", like "state"
 *
 * Returns: its value, to be freed, or NULL if there is no line for the vector.
 * The test is aborted if the line has no such word.
 */
char *qvfio_machine_vector_stat(QVfioMachine *m, unsigned n, const char *name);

/**
 * qvfio_machine_vectors_in:
 * @m: the machine, whose QEMU must have statistics of the device
 * @state: "direct", "waiting", "irqfd" or "failed"
 *
 * Returns: the number of vectors that have this state in "info pic"
 */
unsigned qvfio_machine_vectors_in(QVfioMachine *m, const char *state);

/**
 * qvfio_machine_delivered:
 * @m: the machine
 *
 * Returns: the number of interrupts that QEMU has delivered itself, for all
 * vfio-pci devices; 0 for a stock QEMU, which does not tell
 */
int64_t qvfio_machine_delivered(QVfioMachine *m);

/**
 * qvfio_machine_await_kvm:
 * @m: the machine
 * @count: a number of vectors, all that the guest has in use and unmasked
 *
 * Waits until KVM listens to them.  A QEMU without statistics of the device is
 * stock, which gives a vector to KVM at its unmask.  The test is aborted at a
 * timeout.
 */
void qvfio_machine_await_kvm(QVfioMachine *m, unsigned count);

/**
 * qvfio_machine_stop:
 * @m: the machine; QEMU is ended and must have been alive
 */
void qvfio_machine_stop(QVfioMachine *m);

/**
 * qvfio_fence:
 * @d: the device
 *
 * Has QEMU's main loop run often enough to handle every eventfd that was
 * signalled before: each command is read by an iteration of its own, which
 * handles all eventfds signalled when it began.  What QEMU or the simulated
 * host signals is signalled when the guest's access ends; a real host may
 * deliver it later, from another CPU.
 */
void qvfio_fence(QMsixTestdev *d);

/**
 * qvfio_intx_high:
 * @d: the device, after qtest_irq_intercept_in(d->qts, "ioapic")
 * @n: ignored, for qmsix_testdev_eventually()
 *
 * Returns: true if INTx of a device on the root bus, whichever, is asserted at
 * the machine's I/O APIC
 */
bool qvfio_intx_high(QMsixTestdev *d, unsigned n);

/* The opposite of qvfio_intx_high() */
bool qvfio_intx_low(QMsixTestdev *d, unsigned n);

/**
 * qvfio_assert_intx_works:
 * @d: the device, as qvfio_intx_high() takes it
 *
 * Asserts that INTx is low, and follows the device up and down.
 */
void qvfio_assert_intx_works(QMsixTestdev *d);

/**
 * qvfio_temporary_file:
 *
 * For QEMU's messages, for example: libqtest starts QEMU by a shell, so the
 * option "2>FILE" redirects them.
 *
 * Returns: the path of a new, empty file, to be removed and freed
 */
char *qvfio_temporary_file(void);

/**
 * qvfio_number_or_die:
 * @option: the name of a program's option, without its hyphens
 * @text: its argument
 *
 * Returns: the number, from one to a million.  Anything else ends the program
 * with a message and exit status 2.
 */
unsigned qvfio_number_or_die(const char *option, const char *text);

/**
 * qvfio_stderr_lines:
 * @path: as returned by qvfio_temporary_file(), where QEMU's messages go
 *
 * Returns: the lines that QEMU has written so far, the last one empty
 */
char **qvfio_stderr_lines(const char *path);

/**
 * qvfio_device_name:
 * @device: as returned by qvfio_device()
 *
 * Returns: the name that QEMU's messages have for the device
 */
char *qvfio_device_name(const char *device);

/**
 * qvfio_failed_vector:
 * @line: a line of QEMU's messages
 * @name: as returned by qvfio_device_name()
 *
 * Returns: the number of the vector that the line says gets no interrupts, or
 * -1 if it says something else
 */
int qvfio_failed_vector(const char *line, const char *name);

#endif
