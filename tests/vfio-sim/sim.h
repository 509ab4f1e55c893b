/*
 * vfio-sim: what its parts share
 *
 * Two layers, as in a real host.  function.c is the hardware: a PCI function
 * with msix-testdev's logic, its physical config space, MSI-X masks, pending
 * bits and INTx line.  The others are the kernel's side: vfio-pci, the host's
 * supply of interrupt vectors, the VFIO files.
 *
 * Locks, in the order they are taken:
 *   igate     (one a device) SET_IRQS and whatever else changes triggers; held
 *             during slow calls.  The kernel has one of the same name.
 *   lock      (one a device) the hardware and the triggers; held for
 *             microseconds only, so that the device fires during slow calls
 *   faults.c and host-vectors.c have one each, and call nobody with it held.
 * Before these come that of preload.c and then that of files.c, for what they
 * have of descriptors and files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_SIM_H
#define VFIO_SIM_H

#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "hw/misc/msix-testdev-core.h"

#define SIM_N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

#define SIM_MAX_DEVICES 16
#define SIM_MAX_CLIENTS 4       /* of one control socket, at a time */
#define SIM_CONFIG_SIZE 4096

/* Where the capabilities are: any place will do */
#define SIM_CAP_EXP  0x40
#define SIM_CAP_MSI  0x7c
#define SIM_CAP_MSIX 0x94

/* vfio_pci_private.h: VFIO_PCI_OFFSET_SHIFT */
#define SIM_REGION_SHIFT 40

typedef enum SimPersonality {
    SIM_6_1,                    /* vfio-pci before 6.5: NORESIZE for MSI-X */
    SIM_6_12,                   /* vfio-pci that allocates single vectors */
    SIM_MDEV,                   /* mediated device with a message store */
} SimPersonality;

typedef struct SimVector {
    /*
     * hardware: MSI-X table and pending bit array.  An entry that was wiped, by
     * a reset or by the device itself, is masked: whoever unmasks it writes its
     * message first, so that no entry is unmasked and without a message.
     */
    bool masked;
    bool pending;
    /* host */
    bool allocated;
    int trigger;                /* our reference to the eventfd, or -1 */
} SimVector;

/* An eventfd that acts when it is signalled (the kernel's virqfd) */
typedef struct SimListener {
    int fd;                     /* our reference, or -1 */
} SimListener;

typedef struct SimCounters {
    uint64_t set_irqs;          /* calls, whatever became of them */
    uint64_t signalled;         /* eventfds written for interrupts */
    uint64_t spurious;          /* messages that found no trigger */
    uint64_t faults;            /* calls that were made to fail */
    uint64_t intx_unhandled;    /* see sim_irqs_intx() */
    uint64_t pba_reads;         /* calls, also such as read more */
} SimCounters;

typedef struct SimDevice {
    /* constant once read from the settings */
    char *name;
    char *folder;
    int group;
    int slot;                   /* in the account of host vectors */
    SimPersonality personality;
    unsigned nr_vectors;

    bool pba_volatile;          /* pending bits do not outlive MSI-X being on */
    bool restore_decodes;       /* the host restores with decoding on, always */

    pthread_mutex_t igate;
    pthread_mutex_t lock;

    unsigned open_count;        /* under the lock of files.c */
    pthread_t thread;
    int wake_fd;                /* makes the thread look again */
    bool quit;
    int64_t deadline_ns;        /* of the core */

    /* hardware */
    MSIXTestdevCore core;
    MSIXTestdevVector core_vectors[MSIX_TESTDEV_MAX_VECTORS];
    uint8_t phys[SIM_CONFIG_SIZE];
    bool intx_level;
    bool intx_unhandled;        /* on the wire, with nobody to handle it */

    /* host: config space as its user sees it, where that differs */
    uint8_t virt[SIM_CONFIG_SIZE];
    bool virq_disabled;         /* the user's DisINTx */
    unsigned msi_qmax;

    /* host: interrupts */
    unsigned irq_index;         /* active one; VFIO_PCI_NUM_IRQS: none */
    unsigned nr_contexts;       /* 6.1: vectors 0 to here - 1 are allocated */
    bool msi_message_valid;     /* see sim_msi_message() */
    uint32_t msi_mask;          /* what the kernel thinks the register has */
    SimVector vectors[MSIX_TESTDEV_MAX_VECTORS];
    int intx_trigger;
    bool intx_masked;
    SimListener intx_unmask;
    int err_trigger;
    int req_trigger;

    SimCounters counters;

    /* faults.c: bits by call and place, and how many have any */
    uint16_t fire_at[MSIX_TESTDEV_MAX_VECTORS];
    unsigned nr_fire_at;

    /* control.c */
    int listen_fd;
    int clients[SIM_MAX_CLIENTS];
    struct {
        char text[512];
        size_t length;
    } lines[SIM_MAX_CLIENTS];
} SimDevice;

/* settings.c */

typedef struct SimSettings {
    char *folder;
    SimDevice *devices[SIM_MAX_DEVICES];
    unsigned nr_devices;
    bool irqfds;                /* kvm.c has those of MSI routes */
} SimSettings;

extern SimSettings sim_settings;

/**
 * sim_settings_read: read sim.conf in the folder that $VFIO_SIM names
 *
 * Returns: false if there is none: then nothing is simulated.  A file that
 * cannot be read or understood ends the program.
 */
bool sim_settings_read(void);

/* End the program with a message: the simulation is not what was asked for. */
void sim_die(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* eventfds.c: references to eventfds, which outlive the user's close() */

/* Returns: a descriptor to keep, or -EBADF, -EINVAL as the kernel does */
int sim_eventfd_get(int fd);
/* -1 is ignored */
void sim_eventfd_put(int ref);
void sim_eventfd_signal(int ref);
/* The kernel's number for it, the same for all descriptors; -1: none */
int sim_eventfd_id(int fd);
/*
 * The user has closed its last descriptor.  What the kernel holds, here other
 * references, is none; a descriptor in another process is one, but not seen.
 */
bool sim_eventfd_is_closed(int ref);
/* True if the descriptor is ours, and not there as far as the user knows */
bool sim_fd_is_internal(int fd);
/* Make a descriptor of ours internal; returns the new one. */
int sim_fd_internalize(int fd);
void sim_fd_close(int fd);

/* host-vectors.c: the host's supply, shared by all devices and processes */

/* Returns: true if this is the first process of the simulation */
bool sim_host_vectors_init(void);
/* The device was opened or closed: it has none. */
void sim_host_vectors_clear(SimDevice *d);
/*
 * Take @count vectors, or fewer if @partial and there are fewer.  Returns how
 * many were taken, which is all or nothing without @partial.
 */
unsigned sim_host_vectors_take(SimDevice *d, unsigned count, bool partial);
void sim_host_vectors_give_back(SimDevice *d, unsigned count);
void sim_host_vectors_set_pool(long size);
/* @size is -1 without a limit */
void sim_host_vectors_account(long *size, unsigned *used);

/* msi-irqs.c: the folder msi_irqs of the device */

void sim_msi_irqs_add(SimDevice *d, unsigned first, unsigned count);
void sim_msi_irqs_remove(SimDevice *d, unsigned n);
void sim_msi_irqs_clear(SimDevice *d);
/* The device was opened: nothing is allocated. */
void sim_msi_irqs_open(SimDevice *d);

/* faults.c: calls that fail or take long, on request */

typedef enum SimCall {
    SIM_CALL_SET_IRQS,
    SIM_CALL_IRQ_INFO,
    SIM_CALL_RESET,
    SIM_CALL_KVM_IRQFD,
    SIM_CALL_KVM_ROUTES,        /* takes long, but does not fail */
    SIM_CALL_EVENTFD,           /* fails, but takes no time */
    SIM_NR_CALLS
} SimCall;

typedef enum SimPlace {
    SIM_PLACE_START,
    SIM_PLACE_WINDOW,           /* something has just been torn down */
    SIM_PLACE_END,
    SIM_NR_PLACES
} SimPlace;

/*
 * The call is made; @index and @data as in struct vfio_irq_set.  Returns true
 * if it is to fail, with what it returns (a negative errno, or a positive
 * number) in @result.
 */
bool sim_fault_call(SimDevice *d, SimCall call, unsigned index, unsigned data,
                    int *result);
/* A trigger is about to be set for this vector. */
bool sim_fault_vector(SimDevice *d, unsigned index, unsigned vector,
                      int *result);
/*
 * The call has come to this place: fire what was asked for, and sleep as long
 * as was.  No lock but igate may be held.
 */
void sim_reach(SimDevice *d, SimCall call, SimPlace place);
/*
 * Have vector n fire when a call next comes to a place: "at=PLACE" and perhaps
 * "call=CALL".  Returns false if there is no such call or place.
 */
bool sim_fire_at(SimDevice *d, unsigned n, char *words);
/* Nothing is to fire at any place any more. */
void sim_fire_at_clear(SimDevice *d);
/*
 * Obey a command that sets or clears faults, or changes the host.  @d is the
 * device that it is for, NULL for all.  Returns false with the reason in
 * @error.
 */
bool sim_fault_command(SimDevice *d, char *line, char *error, size_t size);
extern const char sim_fault_help[];

/* function.c: the hardware.  All under the device's lock. */

void sim_function_power_on(SimDevice *d);
void sim_function_reset(SimDevice *d);
uint16_t sim_phys_word(SimDevice *d, unsigned offset);
/* The device asserts INTx, and config space lets it out. */
bool sim_function_intx_wire(SimDevice *d);
void sim_function_set_command(SimDevice *d, uint16_t command);
void sim_function_set_disintx(SimDevice *d, bool disable);
void sim_function_set_msix(SimDevice *d, bool enable);
void sim_function_mask_vector(SimDevice *d, unsigned n, bool mask);
void sim_function_set_msi(SimDevice *d, uint16_t flags);
void sim_function_set_msi_mask(SimDevice *d, uint32_t mask);
uint32_t sim_function_read_bar(SimDevice *d, unsigned bar, uint32_t offset,
                               unsigned size);
void sim_function_write_bar(SimDevice *d, unsigned bar, uint32_t offset,
                            uint32_t value, unsigned size);
void sim_function_fire(SimDevice *d, unsigned n);
int64_t sim_now_ns(void);
void sim_wake(SimDevice *d);

/* config-space.c: config space as vfio-pci shows it.  Under the lock. */

void sim_config_open(SimDevice *d);
void sim_config_read(SimDevice *d, unsigned offset, uint8_t *data,
                     unsigned size);
/*
 * The access is one of those that the kernel cuts a longer one into: 1, 2 or
 * 4 bytes, aligned.
 */
void sim_config_write(SimDevice *d, unsigned offset, const uint8_t *data,
                      unsigned size);

/* irqs.c: VFIO_DEVICE_SET_IRQS and what interrupts do */

void sim_irqs_open(SimDevice *d);
void sim_irqs_close(SimDevice *d);
int sim_irqs_count(SimDevice *d, unsigned index);
/* Return what the ioctl returns, a negative errno included. */
int sim_irq_info(SimDevice *d, void *user);
int sim_set_irqs(SimDevice *d, const void *user);
/* All under the lock.  A message for vector n has left the function. */
void sim_irqs_message(SimDevice *d, unsigned n);
/* The INTx line, or what masks it, has changed. */
void sim_irqs_intx(SimDevice *d);
void sim_irqs_intx_mask(SimDevice *d);
void sim_irqs_intx_unmask(SimDevice *d);
/* After a reset of the function: put its interrupt set-up back. */
void sim_irqs_restore(SimDevice *d);
/* The unmask eventfd was signalled. */
void sim_irqs_unmask_event(SimDevice *d);
unsigned sim_irqs_triggers(SimDevice *d);
bool sim_irqs_signal(SimDevice *d, unsigned index);

/* device.c */

bool sim_device_open(SimDevice *d);
void sim_device_close(SimDevice *d);
int sim_device_ioctl(SimDevice *d, unsigned long request, void *arg);
ssize_t sim_device_rw(SimDevice *d, void *buffer, size_t count, off_t offset,
                      bool write);
/* Under the lock.  As the kernel does: what was set up before is restored. */
void sim_device_reset(SimDevice *d);
/* Under the lock.  If the unmask eventfd was signalled, do what it is for. */
void sim_serve_unmask(SimDevice *d);

/* control.c; called by the device's thread, but for _open and _close */

void sim_control_open(SimDevice *d);
void sim_control_close(SimDevice *d);
struct pollfd;
unsigned sim_control_poll(SimDevice *d, struct pollfd *fds);
void sim_control_serve(SimDevice *d, const struct pollfd *fds);

/* user-memory.c: the user's pointers may be wrong */

int sim_copy_from_user(void *to, const void *user, size_t size);
int sim_copy_to_user(void *user, const void *from, size_t size);

/* files.c: containers, groups, device files */

typedef struct SimFile SimFile;

/*
 * Open /dev/vfio/@name.  Returns NULL with errno; ENXIO: no such file here.
 * @fd is the descriptor that holds the place of the file.
 */
SimFile *sim_file_open(const char *name, int *fd);
SimFile *sim_file_ref(SimFile *f);
void sim_file_unref(SimFile *f);
int sim_file_ioctl(SimFile *f, unsigned long request, void *arg);
SimDevice *sim_file_device(SimFile *f);

/* preload.c: descriptors */

/* Returns: true if there is something to simulate in this process */
bool sim_is_active(void);

/* Returns a reference, or NULL if the descriptor is not of the simulation. */
SimFile *sim_fd_lookup(int fd);
/* Takes over the reference. */
void sim_fd_install(int fd, SimFile *f);

#endif
