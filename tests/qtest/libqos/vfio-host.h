/*
 * What a vfio-pci test needs to know of the host below QEMU
 *
 * The environment names the device to pass through:
 *
 *   VFIO_MSIX_TEST_DEVICE    the device's "host=" or "sysfsdev=" property, for
 *                            example "host=0000:01:00.0".  It must be an
 *                            msix-testdev, bound to vfio-pci, in use by nobody
 *   VFIO_MSIX_TEST_DEVICE_2  another one, for tests that need two
 *   VFIO_MSIX_TEST_PRELOAD   the library that logs QEMU's VFIO calls
 *                            (tests/vfio-log), for tests that count them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LIBQOS_VFIO_HOST_H
#define LIBQOS_VFIO_HOST_H

/**
 * qvfio_device:
 * @n: 1 or 2
 *
 * Returns: the property that names the @n-th device, or NULL if there is none
 */
const char *qvfio_device(int n);

/**
 * qvfio_msix_is_dynamic:
 * @device: as returned by qvfio_device()
 *
 * Asks VFIO (VFIO_DEVICE_GET_IRQ_INFO), not QEMU.  The device is opened and
 * closed for that: no QEMU may have it open.
 *
 * Returns: true if the host clears VFIO_IRQ_INFO_NORESIZE for MSI-X.  The
 * test is aborted, with the reason, if it cannot be found out.
 */
bool qvfio_msix_is_dynamic(const char *device);

/**
 * qvfio_host_vectors:
 * @device: as returned by qvfio_device()
 *
 * Returns: the number of MSI or MSI-X vectors that the host has allocated for
 * the device at this moment, from the folder msi_irqs in sysfs; -1 if the
 * device has none, as a mediated device
 */
int qvfio_host_vectors(const char *device);

/**
 * qvfio_count_fds:
 * @pid: a process
 * @eventfds: set to the number of different eventfds, by the kernel's own
 *            numbers for them; may be NULL
 *
 * Returns: the number of descriptors that the process has open
 */
unsigned qvfio_count_fds(int pid, unsigned *eventfds);

/**
 * qvfio_has_kvm:
 *
 * Returns: true if QEMU can use KVM here
 */
bool qvfio_has_kvm(void);

/**
 * qvfio_sees_kvm:
 *
 * Returns: true if what KVM's irqfds deliver goes to the guest's memory, as
 * with "vfio-sim --irqfds"; else it goes to the vCPUs, which do not run
 */
bool qvfio_sees_kvm(void);

/**
 * qvfio_log_start:
 *
 * From now on, QEMUs that are started log their VFIO calls to a new file.
 *
 * Returns: false if VFIO_MSIX_TEST_PRELOAD is not set
 */
bool qvfio_log_start(void);

/**
 * qvfio_log_stop:
 *
 * Undoes qvfio_log_start() and removes the file.
 */
void qvfio_log_stop(void);

/**
 * qvfio_log_count:
 * @words: NULL-terminated list of words, like "index=MSIX" or "data=EVENTFD"
 *
 * Returns: the number of calls logged so far whose line has all these words
 */
unsigned qvfio_log_count(const char *const *words);

#endif
