/*
 * A machine with one msix-testdev passed through by vfio-pci
 *
 * It runs on any QEMU, also on one that has no qtest accelerator as Debian's:
 * the vCPU is TCG's and never started.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LIBQOS_VFIO_MACHINE_H
#define LIBQOS_VFIO_MACHINE_H

#include "malloc-pc.h"
#include "msix-testdev.h"
#include "pci-pc.h"

/* QEMU options for a machine without the device, for tests that add it */
#define QVFIO_MACHINE_OPTIONS "-accel tcg -S -machine q35 -m 64 -nodefaults "

typedef struct QVfioMachine {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *pdev;
    QMsixTestdev dev;
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
 * qvfio_machine_setup_device:
 * @m: the machine
 *
 * Sets the device up again, after a reset, as qvfio_machine_start() did.
 */
void qvfio_machine_setup_device(QVfioMachine *m);

/**
 * qvfio_machine_stop:
 * @m: the machine; QEMU is ended and must have been alive
 */
void qvfio_machine_stop(QVfioMachine *m);

#endif
