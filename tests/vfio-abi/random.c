/*
 * vfio-abi: the random part
 *
 * One index at a time, mostly, and not for ever.  The numbers are the same
 * everywhere, and do not depend on what the calls return.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "abi.h"

static uint64_t random_state;

static uint32_t random32(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL >> 32;
}

static uint32_t random_below(uint32_t n)
{
    return (uint64_t)random32() * n >> 32;
}

static bool one_in(uint32_t n)
{
    return !random_below(n);
}

void random_seed(uint64_t seed)
{
    /* Zero is the one state that it cannot leave. */
    random_state = seed * 0x9e3779b97f4a7c15ULL + 0x1234567;
    if (!random_state) {
        random_state = 1;
    }
}

static int random_fd(void)
{
    switch (random_below(20)) {
    case 0:
        return FD_CLOSED;
    case 1:
        return one_in(4) ? 0x7fffffff : FD_NULL;
    case 2:
        return -2 - (int)random_below(5);
    case 3:
    case 4:
    case 5:
        return FD_NONE;
    default:
        return random_below(NR_EVENTFDS);
    }
}

static uint32_t random_number(uint32_t max)
{
    switch (random_below(40)) {
    case 0:
        return random32();
    case 1:
        return max - 1 + random_below(3);
    case 2:
        return random_below(max);
    case 3:
        return 0xffffffff - random_below(2);
    default:
        return random_below(max < FEW_VECTORS ? max : FEW_VECTORS);
    }
}

static void random_call(uint32_t preferred)
{
    static const uint32_t usual_flags[] = {
        TRIGGER_EVENTFD, TRIGGER_EVENTFD, TRIGGER_EVENTFD, TRIGGER_EVENTFD,
        TRIGGER_NONE, TRIGGER_BOOL,
    };
    static Call c;
    bool good = one_in(2);      /* that is what keeps things going */
    uint32_t i, max;

    c = (Call) { .index = preferred };
    if (one_in(10)) {
        c.index = random_below(VFIO_PCI_NUM_IRQS + 1);
    }
    max = c.index == VFIO_PCI_MSIX_IRQ_INDEX ? dev.vectors :
          c.index == VFIO_PCI_MSI_IRQ_INDEX ? MSIX_TESTDEV_MSI_VECTORS : 1;

    c.flags = usual_flags[random_below(N_ELEMENTS(usual_flags))];
    if (c.index == VFIO_PCI_INTX_IRQ_INDEX && one_in(2)) {
        c.flags = (c.flags & VFIO_IRQ_SET_DATA_TYPE_MASK &
                   ~VFIO_IRQ_SET_DATA_EVENTFD) |
                  (one_in(2) ? VFIO_IRQ_SET_ACTION_MASK :
                               VFIO_IRQ_SET_ACTION_UNMASK);
    }
    if (one_in(20)) {
        c.flags = random_below(0x80);
        /* this one would need to be flushed, see unmask_by_eventfd() */
        if (c.index == VFIO_PCI_INTX_IRQ_INDEX &&
            (c.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) ==
            VFIO_IRQ_SET_ACTION_UNMASK) {
            c.flags &= ~VFIO_IRQ_SET_DATA_EVENTFD;
        }
    }

    c.start = max == 1 && !one_in(10) ? 0 :
              one_in(3) ? 0 : random_number(max);
    c.count = max == 1 && !one_in(10) ? 1 :
              one_in(3) ? 1 : random_number(max);
    /* an enable allocates all up to the last: not often that many */
    if (c.start < max && c.count <= max && c.start + c.count > FEW_VECTORS &&
        !one_in(8)) {
        c.start %= FEW_VECTORS / 2;
        c.count %= FEW_VECTORS / 2 + 1;
    }
    for (i = 0; i < MAX_COUNT; i++) {
        c.fds[i] = good ? (int)random_below(NR_EVENTFDS + 3) : random_fd();
        if (good && c.fds[i] >= NR_EVENTFDS) {
            c.fds[i] = FD_NONE;
        }
        c.bools[i] = one_in(2);
        if (i > c.count) {
            break;
        }
    }
    if (one_in(40)) {
        c.argsz = (int)random_below(41) - 24;
    } else if (one_in(80)) {
        c.bad_data = true;
    }
    call(&c);
}

/* Other than SET_IRQS */
static void random_event(uint32_t preferred)
{
    switch (random_below(17)) {
    case 0:
    case 1:
        set_intx_line(random_below(2));
        break;
    case 2:
        set_disintx(one_in(4));
        break;
    case 3:
        set_master(!one_in(4));
        break;
    case 4:
        set_ctrl(random_below(2) ? MSIX_TESTDEV_CTRL_INTX : 0);
        break;
    case 5:
        renew_eventfd(random_below(NR_EVENTFDS));
        break;
    case 6:
        if (one_in(3)) {
            close_unmask_eventfd(false, one_in(2));
        } else {
            unmask_by_eventfd(one_in(2));
        }
        break;
    case 7:
        irq_info(random_below(VFIO_PCI_NUM_IRQS + 1),
                 sizeof(struct vfio_irq_info) - one_in(4));
        break;
    case 8:
        /* these take a tenth of a second each on a real host */
        if (one_in(2)) {
            if (one_in(2)) {
                set_memory(false);
            }
            switch (random_below(4)) {
            case 0:
                reset();
                break;
            case 1:
                function_level_reset();
                break;
            case 2:
                reopen();
                break;
            case 3:
                guest_function_reset();
                break;
            }
        }
        break;
    case 9:
        set_memory(!one_in(3));
        break;
    default:
        fire(preferred == VFIO_PCI_MSI_IRQ_INDEX ?
             random_below(MSIX_TESTDEV_MSI_VECTORS) :
             random_number(dev.vectors));
    }
}

static uint32_t random_index(void)
{
    static const uint32_t indexes[] = {
        VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
        VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
        VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX,
        VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_ERR_IRQ_INDEX,
        VFIO_PCI_REQ_IRQ_INDEX,
    };

    return indexes[random_below(N_ELEMENTS(indexes))];
}

void random_calls(uint64_t wanted)
{
    uint64_t end = calls + wanted;

    while (calls < end) {
        uint32_t index = random_index();
        uint32_t left = 1 + random_below(40);

        while (left-- && calls < end) {
            if (one_in(4)) {
                random_event(index);
            } else {
                random_call(index);
            }
        }
        /* sometimes the next one finds it active */
        if (!one_in(6)) {
            disable(VFIO_PCI_INTX_IRQ_INDEX);
            disable(VFIO_PCI_MSI_IRQ_INDEX);
            disable(VFIO_PCI_MSIX_IRQ_INDEX);
        }
        if (one_in(4)) {
            set_master(true);
            set_memory(true);
            set_disintx(false);
        }
    }
}
