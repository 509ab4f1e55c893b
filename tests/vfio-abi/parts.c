/*
 * vfio-abi: the systematic parts
 *
 * Each leaves everything disabled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include "abi.h"

static void part_info(void)
{
    uint32_t index;

    for (index = 0; index < 8; index++) {
        irq_info(index, sizeof(struct vfio_irq_info));
        irq_info(index, sizeof(struct vfio_irq_info) - 1);
    }
    irq_info(0xffffffff, sizeof(struct vfio_irq_info));
}

/* All flags on all indexes, in the states that there are */
static void all_flags(void)
{
    uint32_t index, flags;

    for (index = 0; index < VFIO_PCI_NUM_IRQS + 2; index++) {
        for (flags = 0; flags < 0x80; flags++) {
            /* two of each kind are as good as three */
            if ((flags & 7) == 7 || (flags >> 3 & 7) == 7) {
                continue;
            }
            set_plain(index, flags, 0, 1);
        }
    }
    disable(VFIO_PCI_ERR_IRQ_INDEX);
    disable(VFIO_PCI_REQ_IRQ_INDEX);
    disable(VFIO_PCI_INTX_IRQ_INDEX);
    disable(VFIO_PCI_MSI_IRQ_INDEX);
    disable(VFIO_PCI_MSIX_IRQ_INDEX);
}

static void part_flags(void)
{
    uint32_t index;

    all_flags();
    for (index = VFIO_PCI_INTX_IRQ_INDEX; index <= VFIO_PCI_MSIX_IRQ_INDEX;
         index++) {
        set_fds(index, 0, 1, 0);
        all_flags();
    }
}

/* Starts and counts around all limits, inactive and active */
static void part_ranges(void)
{
    static const uint32_t indexes[] = {
        VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX,
        VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_ERR_IRQ_INDEX,
        VFIO_PCI_REQ_IRQ_INDEX,
    };
    static const uint32_t all_flags[] = {
        TRIGGER_EVENTFD, TRIGGER_NONE, TRIGGER_BOOL,
    };
    unsigned i, f, s, n, active;

    for (i = 0; i < N_ELEMENTS(indexes); i++) {
        uint32_t max = indexes[i] == VFIO_PCI_MSIX_IRQ_INDEX ? dev.vectors :
                       indexes[i] == VFIO_PCI_MSI_IRQ_INDEX ?
                       MSIX_TESTDEV_MSI_VECTORS : 1;
        const uint32_t starts[] = {
            0, 1, 3, max - 1, max, max + 1, 0x7fffffff, 0xffffffff,
        };
        const uint32_t counts[] = {
            0, 1, 2, max - 1, max, max + 1, 0x80000000, 0xfffffffe, 0xffffffff,
        };

        for (active = 0; active < 2; active++) {
            for (f = 0; f < N_ELEMENTS(all_flags); f++) {
                for (s = 0; s < N_ELEMENTS(starts); s++) {
                    for (n = 0; n < N_ELEMENTS(counts); n++) {
                        if (active) {
                            set_fds(indexes[i], 0, 1, 2);
                        }
                        set_plain(indexes[i], all_flags[f], starts[s],
                                  counts[n]);
                        disable(indexes[i]);
                    }
                }
            }
        }
    }
}

/* argsz and pointers */
static void part_memory(void)
{
    static Call c;
    uint32_t index;
    int argsz, result;

    for (index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
        for (argsz = -24; argsz <= 8; argsz += 4) {
            c = (Call) { .index = index, .flags = TRIGGER_EVENTFD, .count = 1,
                         .argsz = argsz };
            call(&c);
            c.flags = TRIGGER_BOOL;
            c.argsz = argsz / 4;
            call(&c);
        }
        disable(index);
        c = (Call) { .index = index, .flags = TRIGGER_EVENTFD, .count = 1,
                     .bad_data = true };
        call(&c);
        c.flags = TRIGGER_BOOL;
        call(&c);
        c.flags = TRIGGER_NONE;
        call(&c);
        disable(index);
    }
    begin("set NULL");
    result = ioctl(dev.fd, VFIO_DEVICE_SET_IRQS, NULL);
    print_result(result, errno);
    finish();
}

/* One by one, upwards and downwards, sparse, and all at once */
static void part_add_vectors(void)
{
    const uint32_t x = VFIO_PCI_MSIX_IRQ_INDEX;
    uint32_t n;

    set_fds(x, 0, 1, FD_NONE);
    fire(0);
    for (n = 0; n < FEW_VECTORS; n++) {
        set_fds(x, n, 1, n);
        fire(n);
        fire(n + 1);
    }
    for (n = 0; n < FEW_VECTORS; n++) {
        set_fds(x, n, 1, FD_NONE);
        fire(n);
    }
    set_fds(x, 0, 4, 1, FD_NONE, 2, 3);
    disable(x);

    set_fds(x, 0, 1, FD_NONE);
    for (n = FEW_VECTORS; n-- > 0;) {
        set_fds(x, n, 1, n);
        fire(n);
    }
    disable(x);
    fire(3);

    set_fds(x, 0, 6, 0, FD_NONE, FD_NONE, 1, FD_NONE, 2);
    set_fds(x, 4, 1, 4);
    set_fds(x, 6, 1, 6);
    set_fds(x, dev.vectors - 1, 1, 7);
    fire(dev.vectors - 1);
    set_plain(x, TRIGGER_NONE, 0, 7);
    set_plain(x, TRIGGER_BOOL, 0, 6);
    set_plain(x, TRIGGER_NONE, 0, dev.vectors);
    disable(x);
    disable(x);

    set_plain(x, TRIGGER_EVENTFD, 0, dev.vectors);
    fire(dev.vectors - 1);
    set_plain(x, TRIGGER_NONE, 0, dev.vectors);
    set_plain(x, TRIGGER_EVENTFD, 0, dev.vectors);
    disable(x);

    set_fds(x, 5, 2, 5, 6);     /* those before are allocated as well */
    fire(5);
    fire(4);
    set_fds(x, 4, 1, 4);
    disable(x);
}

/* What a failure leaves behind */
static void part_failure(uint32_t x)
{
    static const int wrong[] = { FD_CLOSED, FD_NULL, 0x7fffffff };
    unsigned i;

    for (i = 0; i < N_ELEMENTS(wrong); i++) {
        /* to enable: nothing is left */
        set_fds(x, 0, 1, wrong[i]);
        set_fds(x, 0, 3, 0, 1, wrong[i]);
        set_fds(x, 0, 3, wrong[i], 0, 1);
        /* enabled: the first ones are gone, the last ones stand */
        set_fds(x, 0, 6, 0, 1, 2, 3, 4, 5);
        set_fds(x, 1, 4, 6, 7, wrong[i], 8);
        set_plain(x, TRIGGER_NONE, 0, 6);
        fire(1);
        fire(4);
        /* beyond what is allocated */
        set_fds(x, 7, 1, wrong[i]);
        set_fds(x, 7, 1, FD_NONE);
        set_fds(x, 5, 3, 1, 2, 3);
        set_plain(x, TRIGGER_NONE, 0, 8);
        set_fds(x, 1, 1, 1);    /* fires for what is pending */
        disable(x);
    }
}

static void part_msix_failure(void)
{
    part_failure(VFIO_PCI_MSIX_IRQ_INDEX);
}

/* Flags: what can be enabled, and how many messages; and the mask bits */
static void msi_registers(uint32_t x)
{
    uint32_t n;

    for (n = 0; n < 4; n++) {
        write_msi(PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | n << 4, 2);
    }
    set_plain(x, TRIGGER_EVENTFD, 0, 4);
    for (n = 0; n < 8; n++) {
        write_msi(PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | n << 4, 2);
        fire(3);
        fire(6);
    }
    write_msi(PCI_MSI_FLAGS, 2 << 4, 2);
    fire(1);
    write_msi(PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 2 << 4, 2);
    write_msi(PCI_MSI_MASK_64, 0xfffffffe, 4);
    fire(0);
    fire(2);
    write_msi(PCI_MSI_MASK_64, 0xf0, 4);
    write_msi(PCI_MSI_MASK_64, 0xff, 1);
    fire(3);
    set_fds(x, 2, 1, 9);        /* the kernel writes its own idea of it */
    fire(3);
    disable(x);
    write_msi(PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 3 << 4, 2);
    set_plain(x, TRIGGER_EVENTFD, 0, 1);
    disable(x);
}

static void part_msi(void)
{
    const uint32_t x = VFIO_PCI_MSI_IRQ_INDEX;
    uint32_t n;

    part_failure(x);
    for (n = 1; n <= MSIX_TESTDEV_MSI_VECTORS; n++) {
        uint32_t i;

        set_plain(x, TRIGGER_EVENTFD, 0, n);
        for (i = 0; i < MSIX_TESTDEV_MSI_VECTORS; i++) {
            fire(i);
        }
        disable(x);
    }
    /* vector 0 has the message of all of them */
    set_fds(x, 0, 3, FD_NONE, 1, 2);
    fire(1);
    set_fds(x, 0, 1, 0);
    fire(1);
    set_fds(x, 0, 1, FD_NONE);
    fire(1);
    fire(0);
    set_fds(x, 0, 1, 3);
    fire(2);
    reset();
    fire(2);
    disable(x);
    msi_registers(x);
}

/* No index is left for another one by itself. */
static void part_exclusive(void)
{
    uint32_t a, b;

    for (a = VFIO_PCI_INTX_IRQ_INDEX; a <= VFIO_PCI_MSIX_IRQ_INDEX; a++) {
        set_fds(a, 0, 1, 0);
        for (b = VFIO_PCI_INTX_IRQ_INDEX; b <= VFIO_PCI_REQ_IRQ_INDEX; b++) {
            if (b != a) {
                disable(b);
                set_fds(b, 0, 1, 1);
                set_plain(b, TRIGGER_NONE, 0, 1);
                disable(b);
            }
        }
        set_plain(a, TRIGGER_NONE, 0, 1);
        fire(0);
        disable(a);
    }
}

/* Its handler masks it, and unmasking fires again while it is asserted. */
static void part_intx(void)
{
    const uint32_t x = VFIO_PCI_INTX_IRQ_INDEX;
    const uint32_t mask = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE;
    const uint32_t unmask = VFIO_IRQ_SET_ACTION_UNMASK |
                            VFIO_IRQ_SET_DATA_NONE;
    unsigned round;

    for (round = 0; round < 2; round++) {
        set_fds(x, 0, 1, 0);
        set_intx_line(1);
        set_intx_line(1);
        set_plain(x, unmask, 0, 1);
        set_plain(x, unmask, 0, 1);
        set_intx_line(0);
        set_intx_line(1);
        set_intx_line(0);
        set_plain(x, unmask, 0, 1);
        set_intx_line(1);
        set_plain(x, TRIGGER_NONE, 0, 1);
        set_plain(x, TRIGGER_BOOL, 0, 1);
        disable(x);
        set_fds(x, 0, 1, 1);
        set_intx_line(1);
        set_fds(x, 0, 1, 2);
        set_plain(x, unmask, 0, 1);
        set_fds(x, 0, 1, FD_CLOSED);
        set_plain(x, TRIGGER_NONE, 0, 1);
        set_fds(x, 0, 1, FD_NULL);
        set_plain(x, TRIGGER_NONE, 0, 1);
        set_fds(x, 0, 1, FD_NONE);
        set_plain(x, unmask, 0, 1);
        set_plain(x, TRIGGER_NONE, 0, 1);
        set_fds(x, 0, 1, 3);
        set_plain(x, unmask, 0, 1);
        set_intx_line(0);
        set_plain(x, unmask, 0, 1);
        set_plain(x, mask, 0, 1);
        set_intx_line(1);
        set_plain(x, unmask, 0, 1);
        unmask_by_eventfd(true);
        unmask_by_eventfd(false);
        set_intx_line(0);
        unmask_by_eventfd(true);
        set_intx_line(1);
        close_unmask_eventfd(false, false);
        close_unmask_eventfd(false, true);
        set_intx_line(0);
        close_unmask_eventfd(true, round);
        set_intx_line(1);
        set_disintx(true);
        set_plain(x, unmask, 0, 1);
        set_plain(x, TRIGGER_NONE, 0, 1);
        set_disintx(false);
        reset();
        set_intx_line(1);
        set_plain(x, unmask, 0, 1);
        set_intx_line(1);
        disable(x);
        set_disintx(true);
        set_fds(x, 0, 1, 4);
        set_intx_line(1);
        set_disintx(false);
        set_plain(x, unmask, 0, 1);
        disable(x);
        set_fds(x, 0, 1, FD_NONE);
        disable(x);
        set_fds(x, 0, 1, FD_CLOSED);
        disable(x);
        set_intx_line(0);
    }
    /* MSI-X takes the line down */
    set_ctrl(MSIX_TESTDEV_CTRL_INTX);
    fire(1);
    set_fds(VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, 0);
    fire(0);
    disable(VFIO_PCI_MSIX_IRQ_INDEX);
    set_fds(x, 0, 1, 5);
    fire(1);
    disable(x);
    set_ctrl(0);
    set_intx_line(0);
}

static void part_reset(void)
{
    const uint32_t x = VFIO_PCI_MSIX_IRQ_INDEX;

    set_fds(x, 0, 4, 0, FD_NONE, 2, 3);
    fire(1);
    fire(2);
    reset();
    fire(0);
    fire(1);
    fire(3);
    function_level_reset();
    fire(0);
    fire(1);
    set_fds(x, 1, 1, 1);
    set_fds(VFIO_PCI_REQ_IRQ_INDEX, 0, 1, 4);
    set_fds(VFIO_PCI_ERR_IRQ_INDEX, 0, 1, 5);
    reset();
    set_plain(VFIO_PCI_REQ_IRQ_INDEX, TRIGGER_NONE, 0, 1);
    set_plain(VFIO_PCI_ERR_IRQ_INDEX, TRIGGER_NONE, 0, 1);
    set_master(false);
    fire(0);
    set_master(true);
    fire(0);
    reopen();
    set_plain(x, TRIGGER_NONE, 0, 1);
    set_plain(VFIO_PCI_REQ_IRQ_INDEX, TRIGGER_NONE, 0, 1);
    set_plain(VFIO_PCI_ERR_IRQ_INDEX, TRIGGER_NONE, 0, 1);
    fire(0);
    set_fds(x, 0, 1, 0);
    renew_eventfd(0);
    fire(0);
    disable(x);
}

/*
 * With memory decoding off.  The host restores the table of a function that it
 * has reset, and whether that gets there depends on the kernel.
 */
static void decode_off(void (*reset_it)(void))
{
    const uint32_t x = VFIO_PCI_MSIX_IRQ_INDEX;
    uint32_t n;

    set_fds(x, 0, 4, 0, FD_NONE, 2, 3);
    fire(1);
    set_memory(false);
    for (n = 0; n < 4; n++) {
        fire(n);                /* for messages it makes no difference */
    }
    reset_it();
    for (n = 0; n < 6; n++) {
        fire(n);
    }
    set_plain(x, TRIGGER_NONE, 0, 4);
    set_fds(x, 0, 1, 4);        /* this one is written anew, and only this */
    set_memory(true);
    for (n = 0; n < 4; n++) {
        fire(n);
    }
    set_fds(x, 2, 1, FD_NONE);
    fire(2);
    set_fds(x, 2, 1, 5);
    set_fds(x, 1, 1, 6);
    set_fds(x, 5, 1, 7);
    for (n = 0; n < 6; n++) {
        fire(n);
    }
    reset_it();                 /* this time all of them are */
    for (n = 0; n < 6; n++) {
        fire(n);
    }

    /* enabled, changed and disabled while it is off */
    disable(x);
    set_memory(false);
    set_fds(x, 0, 3, 0, 1, FD_NONE);
    fire(0);
    fire(2);
    set_fds(x, 2, 1, 2);
    reset_it();
    fire(2);
    set_fds(x, 0, 3, 3, FD_NONE, 4);
    fire(0);
    fire(1);
    reset_it();
    reset_it();
    fire(0);
    disable(x);
    fire(0);
    set_fds(x, 0, 1, 0);
    fire(0);
    set_memory(true);
    disable(x);
}

static void part_decode_off(void)
{
    decode_off(reset);
    decode_off(function_level_reset);
    decode_off(guest_function_reset);

    /* has nothing in memory */
    set_fds(VFIO_PCI_MSI_IRQ_INDEX, 0, 2, 0, 1);
    set_memory(false);
    reset();
    fire(0);
    fire(1);
    disable(VFIO_PCI_MSI_IRQ_INDEX);
    set_memory(true);
    set_fds(VFIO_PCI_INTX_IRQ_INDEX, 0, 1, 0);
    set_intx_line(1);
    guest_function_reset();
    set_plain(VFIO_PCI_INTX_IRQ_INDEX,
              VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE, 0, 1);
    set_intx_line(1);
    disable(VFIO_PCI_INTX_IRQ_INDEX);
    set_intx_line(0);
}

const Part parts[] = {
    { "info", "VFIO_DEVICE_GET_IRQ_INFO", part_info },
    { "flags", "all flags on all indexes, in all states", part_flags },
    { "ranges", "starts and counts around all limits", part_ranges },
    { "memory", "argsz and pointers", part_memory },
    { "add-vectors", "vectors added one by one, sparse, all at once",
      part_add_vectors },
    { "failure", "what a failure leaves behind", part_msix_failure },
    { "msi", "the same for MSI, and its one message", part_msi },
    { "exclusive", "one index at a time", part_exclusive },
    { "intx", "level semantics, masks, unmasking by eventfd", part_intx },
    { "reset", "resets, bus mastering, closing and opening", part_reset },
    { "decode-off", "resets with memory decoding off", part_decode_off },
    { 0 }
};
