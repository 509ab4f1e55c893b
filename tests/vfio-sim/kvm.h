/*
 * vfio-sim: KVM's irqfds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_SIM_KVM_H
#define VFIO_SIM_KVM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct SimKvmCounters {
    unsigned irqfds;            /* that there are */
    uint64_t injected;          /* messages written to the guest's memory */
    uint64_t misses;            /* that had no route, or no memory */
} SimKvmCounters;

void sim_kvm_counters(SimKvmCounters *c);

/* True if the ioctl is one for sim_kvm_ioctl(), of whatever file. */
bool sim_kvm_wants(unsigned long request);
/* Returns what the ioctl returns, a negative errno included. */
int sim_kvm_ioctl(int fd, unsigned long request, void *arg);

/* There is a new reference to an eventfd. */
void sim_kvm_eventfd_got(int ref);
/*
 * Signal an eventfd, which is KVM's or else @otherwise()'s.  Returns false if
 * irqfds are not simulated: nothing has been done then.
 */
bool sim_kvm_signal(int ref, void (*otherwise)(int ref));
/* The process writes to an eventfd.  Returns true if that has been KVM's. */
bool sim_kvm_write(int fd);

#endif
