/*
 * Client for the control sockets of tests/vfio-sim, the simulated vfio-pci
 * host
 *
 * A QEMU that runs on the simulation has one for each device, while it has the
 * device open.  docs/vfio-sim.rst describes the commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef LIBQOS_VFIO_SIM_H
#define LIBQOS_VFIO_SIM_H

typedef struct QVfioSim {
    int fd;
    FILE *in;
    char *path;
} QVfioSim;

/**
 * qvfio_sim_connect:
 * @device: as returned by qvfio_device(); QEMU must have it open
 *
 * Returns: the connection, or NULL if the device is not simulated
 */
QVfioSim *qvfio_sim_connect(const char *device);

void qvfio_sim_free(QVfioSim *s);

/**
 * qvfio_sim_command:
 * @s: the connection
 * @fmt: a command, for example "fault set-irqs nth=1 result=EIO"
 *
 * The command has been obeyed when this returns.  Aborts the test if the
 * simulation does not know it.
 */
void qvfio_sim_command(QVfioSim *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/**
 * qvfio_sim_reset_decode_off:
 * @s: the connection
 * @restored: whether the host restores the MSI-X table of a function that is
 *            reset while memory decoding is off.  It does not, unless this is
 *            called or the launcher was told so.
 */
void qvfio_sim_reset_decode_off(QVfioSim *s, bool restored);

/**
 * qvfio_sim_counter:
 * @s: the connection
 * @name: one of the words of the command "counters", for example "faults"
 *
 * Returns: the counter's value
 */
int64_t qvfio_sim_counter(QVfioSim *s, const char *name);

/**
 * qvfio_sim_qemu_fds:
 * @s: the connection
 *
 * Returns: the number of descriptors that the QEMU at the other end has open.
 * Those of the simulation are among them, at least one for each trigger: only
 * numbers from moments with the same triggers can be compared.
 */
unsigned qvfio_sim_qemu_fds(QVfioSim *s);

#endif
