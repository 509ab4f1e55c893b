/*
 * vfio-abi: what its parts share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_ABI_H
#define VFIO_ABI_H

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include "hw/misc/msix-testdev-regs.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

#define NR_EVENTFDS 16
#define NR_COUNTERS 7
#define MAX_COUNT (MSIX_TESTDEV_MAX_VECTORS + 2)

/* Calls stay below this vector, mostly: large blocks take long. */
#define FEW_VECTORS 12

/* End the program: what was asked for cannot be done. */
void die(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* device.c: access without a trace in the output; all or die() */

typedef struct Device {
    char *folder;
    char *name;
    int container;
    int group;
    int fd;
    unsigned vectors;
    unsigned cap_msi;
    unsigned cap_exp;
    bool memory;                    /* the user has memory decoding on */
    uint32_t counters[NR_COUNTERS]; /* as they were printed last */
} Device;

extern Device dev;

/* @device: "host=..." or "sysfsdev=..." */
void open_host(const char *device);
void open_device(void);
/*
 * The device's registers need memory decoding.  Where the user has it off, each
 * access has it on for its own length, and what is between these two as well.
 */
void begin_access(void);
void end_access(void);
uint32_t reg_read(uint32_t reg);
void reg_write(uint32_t reg, uint32_t value);
uint32_t config_read(unsigned offset, unsigned size);
void config_write(unsigned offset, uint32_t value, unsigned size);
void set_command(uint16_t set, uint16_t clear);
void read_counters(uint32_t *to);
/* Fills in 32 pending bits a word; returns the number of words. */
unsigned read_pending(uint32_t index, uint32_t *words);

/* calls.c: each of these prints a line */

/* Descriptors: 0 and up is the N-th eventfd, other numbers are themselves. */
#define FD_NONE   (-1)
#define FD_CLOSED (-1000)
#define FD_NULL   (-1001)
#define FD_UNMASK (-1002)

#define TRIGGER_EVENTFD (VFIO_IRQ_SET_ACTION_TRIGGER | \
                         VFIO_IRQ_SET_DATA_EVENTFD)
#define TRIGGER_NONE    (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE)
#define TRIGGER_BOOL    (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_BOOL)

typedef struct Call {
    uint32_t index;
    uint32_t flags;
    uint32_t start;
    uint32_t count;
    int argsz;                  /* more than is needed */
    bool bad_data;              /* the data cannot be read */
    int fds[MAX_COUNT];
    uint8_t bools[MAX_COUNT];
} Call;

extern uint64_t calls;          /* of SET_IRQS */

void prepare_calls(void);
/* @c may be changed, to be one whose result does not depend on speed. */
void call(Call *c);
/* Triggers for @count vectors from @start on */
void set_fds(uint32_t index, uint32_t start, uint32_t count, ...);
/* With data that is always the same */
void set_plain(uint32_t index, uint32_t flags, uint32_t start, uint32_t count);
void disable(uint32_t index);
void fire(uint32_t vector);
void set_intx_line(uint32_t level);
void set_ctrl(uint32_t value);
void set_disintx(bool disable_it);
void set_master(bool enable);
void set_memory(bool enable);
/* A register of the MSI capability, which vfio-pci lets the user write */
void write_msi(unsigned offset, uint32_t value, unsigned size);
void reset(void);
void function_level_reset(void);
/* As Linux resets a function: with all but DisINTx off in Command */
void guest_function_reset(void);
/*
 * Whether MSI-X vectors still fire after a reset with memory decoding off.
 * Their host's kernel restores the table; the writes get lost unless it has
 * switched decoding on.
 */
bool reset_restores_vectors(void);
void reopen(void);
/* Whoever has it as a trigger keeps it, and nobody will see it fire. */
void renew_eventfd(unsigned i);
void irq_info(uint32_t index, uint32_t argsz);
/* Make the unmask eventfd INTx's, signal it or not, and take it away. */
void unmask_by_eventfd(bool signal_it);
/*
 * Make the unmask eventfd INTx's, signal it or not, close it and set a new one,
 * and once more after a copy of the descriptor, if there is one, is closed.
 * Signal it only while the line is down, as it is not waited for otherwise.
 */
void close_unmask_eventfd(bool signal_it, bool copied);

/* For lines of another kind: what it is, what it returned, and the rest */
void begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_result(int result, int error);
void finish(void);

/* parts.c; ends with one that has no name */

typedef struct Part {
    const char *name;
    const char *shows;
    void (*run)(void);
} Part;

extern const Part parts[];

/* random.c */

void random_seed(uint64_t seed);
/* So many calls of SET_IRQS, and other events in between */
void random_calls(uint64_t wanted);

#endif
