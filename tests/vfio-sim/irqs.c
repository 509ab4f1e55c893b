/*
 * vfio-sim: VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS, interrupts
 *
 * Follows drivers/vfio/pci/vfio_pci_intrs.c and, for the validation,
 * vfio_set_irqs_validate_and_prepare() in drivers/vfio/vfio_main.c.  Where a
 * rule is less than obvious it is stated here; docs/vfio-sim.rst says how it
 * is known that they are the kernel's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <stdlib.h>
#include "sim.h"

#define NONE VFIO_PCI_NUM_IRQS  /* no index is active */

static bool is_dynamic(SimDevice *d, bool msix)
{
    return msix && d->personality != SIM_6_1;
}

/*
 * An entry of the mediated device's store, or a vector of the host.  The
 * mediated device's vector 0 is raised by its driver: it needs neither.
 */
static bool needs_host_vector(SimDevice *d, unsigned n)
{
    return d->personality != SIM_MDEV || n > 0;
}

/*
 * Interrupts
 */

static void signal_trigger(SimDevice *d, int trigger)
{
    sim_eventfd_signal(trigger);
    d->counters.signalled++;
}

/*
 * Only vector 0 carries the message of MSI.  Freeing its interrupt takes the
 * message away (kernel/irq/msi.c, msi_domain_deactivate()) until it is
 * requested again; what the device sends meanwhile for others gets lost.
 */
static bool sim_msi_message(SimDevice *d)
{
    return d->irq_index != VFIO_PCI_MSI_IRQ_INDEX || d->msi_message_valid;
}

void sim_irqs_message(SimDevice *d, unsigned n)
{
    if (n < d->nr_vectors && d->vectors[n].trigger >= 0 &&
        sim_msi_message(d)) {
        signal_trigger(d, d->vectors[n].trigger);
    } else {
        d->counters.spurious++;
    }
}

static void send_intx(SimDevice *d)
{
    if (d->irq_index == VFIO_PCI_INTX_IRQ_INDEX && !d->virq_disabled &&
        d->intx_trigger >= 0) {
        signal_trigger(d, d->intx_trigger);
    }
}

/*
 * The handler masks first: the line stays up until the device is served.
 * Without a handler a host shuts down a line that stays up, for all that share
 * it.
 */
void sim_irqs_intx(SimDevice *d)
{
    bool handled = d->irq_index == VFIO_PCI_INTX_IRQ_INDEX;
    bool wire = sim_function_intx_wire(d);

    if (handled && wire && !d->intx_masked) {
        d->intx_masked = true;
        sim_function_set_disintx(d, true);
        send_intx(d);
    }

    d->counters.intx_unhandled += wire && !handled && !d->intx_unhandled;
    d->intx_unhandled = wire && !handled;
}

/* Also called for the user's DisINTx, whatever index is active */
void sim_irqs_intx_mask(SimDevice *d)
{
    if (d->irq_index != VFIO_PCI_INTX_IRQ_INDEX) {
        sim_function_set_disintx(d, true);
    } else if (!d->intx_masked) {
        d->intx_masked = true;
        sim_function_set_disintx(d, true);
    }
}

/* A line that is still up is not unmasked but signalled once more. */
void sim_irqs_intx_unmask(SimDevice *d)
{
    if (d->irq_index != VFIO_PCI_INTX_IRQ_INDEX) {
        sim_function_set_disintx(d, false);
    } else if (d->intx_masked && !d->virq_disabled) {
        if (d->intx_level) {
            send_intx(d);
        } else {
            d->intx_masked = false;
            sim_function_set_disintx(d, false);
        }
    }
}

void sim_irqs_unmask_event(SimDevice *d)
{
    if (d->irq_index == VFIO_PCI_INTX_IRQ_INDEX) {
        sim_irqs_intx_unmask(d);
    }
}

/*
 * VFIO_DEVICE_GET_IRQ_INFO
 */

int sim_irqs_count(SimDevice *d, unsigned index)
{
    bool mdev = d->personality == SIM_MDEV;

    switch (index) {
    case VFIO_PCI_ERR_IRQ_INDEX:
        return !mdev;
    case VFIO_PCI_MSI_IRQ_INDEX:
        return mdev ? 0 : MSIX_TESTDEV_MSI_VECTORS;
    case VFIO_PCI_MSIX_IRQ_INDEX:
        return d->nr_vectors;
    case VFIO_PCI_INTX_IRQ_INDEX:
    case VFIO_PCI_REQ_IRQ_INDEX:
        return 1;
    default:
        return 0;
    }
}

int sim_irq_info(SimDevice *d, void *user)
{
    struct vfio_irq_info info;
    int result;

    if (sim_copy_from_user(&info, user, sizeof(info))) {
        return -EFAULT;
    }
    if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS ||
        (info.index == VFIO_PCI_ERR_IRQ_INDEX &&
         d->personality == SIM_MDEV)) {
        return -EINVAL;
    }

    sim_reach(d, SIM_CALL_IRQ_INFO, SIM_PLACE_START);
    if (sim_fault_call(d, SIM_CALL_IRQ_INFO, info.index, 0, &result)) {
        return result;
    }

    info.flags = VFIO_IRQ_INFO_EVENTFD;
    info.count = sim_irqs_count(d, info.index);
    if (info.index == VFIO_PCI_INTX_IRQ_INDEX) {
        info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
    } else if (!is_dynamic(d, info.index == VFIO_PCI_MSIX_IRQ_INDEX)) {
        info.flags |= VFIO_IRQ_INFO_NORESIZE;
    }
    return sim_copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

/*
 * INTx.  Its handler stays while the index is active, so the trigger may come
 * and go, and a descriptor that is none changes nothing.
 */

static void drop_listener(SimDevice *d)
{
    int fd;

    pthread_mutex_lock(&d->lock);
    fd = d->intx_unmask.fd;
    d->intx_unmask.fd = -1;
    pthread_mutex_unlock(&d->lock);
    sim_eventfd_put(fd);
}

static void set_intx_trigger(SimDevice *d, int trigger)
{
    int old;

    pthread_mutex_lock(&d->lock);
    old = d->intx_trigger;
    d->intx_trigger = trigger;
    pthread_mutex_unlock(&d->lock);
    sim_eventfd_put(old);
}

static void intx_enable(SimDevice *d, int trigger)
{
    pthread_mutex_lock(&d->lock);
    d->irq_index = VFIO_PCI_INTX_IRQ_INDEX;
    d->intx_trigger = trigger;
    d->intx_masked = d->virq_disabled;
    /* a line that is up already fires here */
    sim_function_set_disintx(d, d->intx_masked);
    pthread_mutex_unlock(&d->lock);
}

static void intx_disable(SimDevice *d)
{
    drop_listener(d);
    pthread_mutex_lock(&d->lock);
    d->irq_index = NONE;
    sim_irqs_intx(d);
    pthread_mutex_unlock(&d->lock);
    set_intx_trigger(d, -1);
}

/*
 * The kernel drops a listener as its eventfd's last descriptor is closed
 * (virqfd_wakeup() in drivers/vfio/virqfd.c).  As nobody can signal it any more
 * it is enough to find out when a new one comes.
 */
static int intx_listen(SimDevice *d, int fd)
{
    int ref;

    if (fd < 0) {
        drop_listener(d);
        sim_wake(d);
        return 0;
    }
    ref = sim_eventfd_get(fd);
    if (ref < 0) {
        return ref;
    }
    if (d->intx_unmask.fd >= 0 && sim_eventfd_is_closed(d->intx_unmask.fd)) {
        drop_listener(d);
    }
    pthread_mutex_lock(&d->lock);
    if (d->intx_unmask.fd >= 0) {
        pthread_mutex_unlock(&d->lock);
        sim_eventfd_put(ref);
        return -EBUSY;
    }
    d->intx_unmask.fd = ref;
    pthread_mutex_unlock(&d->lock);
    sim_wake(d); /* it may have been signalled already */
    return 0;
}

static int set_intx_mask(SimDevice *d, const struct vfio_irq_set *set,
                         const void *data)
{
    bool mask = set->flags & VFIO_IRQ_SET_ACTION_MASK;

    if (d->irq_index != VFIO_PCI_INTX_IRQ_INDEX || set->start != 0 ||
        set->count != 1) {
        return -EINVAL;
    }
    if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        return mask ? -ENOTTY : intx_listen(d, *(const int32_t *)data);
    }
    if (set->flags & VFIO_IRQ_SET_DATA_BOOL && !*(const uint8_t *)data) {
        return 0;
    }

    pthread_mutex_lock(&d->lock);
    if (mask) {
        sim_irqs_intx_mask(d);
    } else {
        sim_irqs_intx_unmask(d);
    }
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int set_intx(SimDevice *d, const struct vfio_irq_set *set,
                    const void *data)
{
    bool active = d->irq_index == VFIO_PCI_INTX_IRQ_INDEX;
    int ref = -1;

    if (active && !set->count && set->flags & VFIO_IRQ_SET_DATA_NONE) {
        intx_disable(d);
        return 0;
    }
    if (!(active || d->irq_index == NONE) || set->start != 0 ||
        set->count != 1) {
        return -EINVAL;
    }

    if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        int32_t fd = *(const int32_t *)data;
        int result;

        if (fd >= 0) {
            if (sim_fault_vector(d, set->index, 0, &result)) {
                return result;
            }
            ref = sim_eventfd_get(fd);
            if (ref < 0) {
                return ref;
            }
        }
        if (active) {
            set_intx_trigger(d, ref);
        } else {
            intx_enable(d, ref);
        }
        return 0;
    }

    if (!active) {
        return -EINVAL;
    }
    if (set->flags & VFIO_IRQ_SET_DATA_NONE || *(const uint8_t *)data) {
        pthread_mutex_lock(&d->lock);
        send_intx(d);
        pthread_mutex_unlock(&d->lock);
    }
    return 0;
}

/*
 * MSI and MSI-X
 */

/* Under the lock.  The kernel's idea of the mask wins over the user's. */
static void mask_vector(SimDevice *d, unsigned n, bool msix, bool mask)
{
    if (msix) {
        sim_function_mask_vector(d, n, mask);
    } else {
        d->msi_mask = mask ? d->msi_mask | 1u << n : d->msi_mask & ~(1u << n);
        sim_function_set_msi_mask(d, d->msi_mask);
    }
}

static void take_trigger_off(SimDevice *d, unsigned n, bool msix)
{
    SimVector *v = &d->vectors[n];
    int old;

    pthread_mutex_lock(&d->lock);
    old = v->trigger;
    if (old >= 0) {
        mask_vector(d, n, msix, true);
        v->trigger = -1;
        if (!msix && n == 0) {
            d->msi_message_valid = false;
        }
    }
    if (d->personality == SIM_MDEV && v->allocated) {
        /* unlike a host vector, an entry of the store goes back at once */
        v->allocated = false;
        sim_msi_irqs_remove(d, n);
        if (needs_host_vector(d, n)) {
            sim_host_vectors_give_back(d, 1);
        }
    }
    pthread_mutex_unlock(&d->lock);
    sim_eventfd_put(old);
}

static int allocate_vector(SimDevice *d, unsigned n, bool msix)
{
    SimVector *v = &d->vectors[n];

    if (v->allocated) {
        return 0;
    }
    if (!is_dynamic(d, msix)) {
        return -EINVAL;
    }
    if (needs_host_vector(d, n) && !sim_host_vectors_take(d, 1, false)) {
        return -ENOSPC;
    }
    sim_msi_irqs_add(d, n, 1);
    pthread_mutex_lock(&d->lock);
    v->allocated = true;
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int set_trigger(SimDevice *d, unsigned n, int fd, bool msix)
{
    unsigned index = msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
    bool had_one = d->vectors[n].trigger >= 0;
    int ref, result;

    take_trigger_off(d, n, msix);
    if (fd < 0) {
        return 0;
    }
    if (had_one) {
        sim_reach(d, SIM_CALL_SET_IRQS, SIM_PLACE_WINDOW);
    }

    if (sim_fault_vector(d, index, n, &result)) {
        return result;
    }
    result = allocate_vector(d, n, msix);
    if (result < 0) {
        return result;
    }
    ref = sim_eventfd_get(fd);
    if (ref < 0) {
        return ref; /* a vector allocated just now stays so */
    }

    pthread_mutex_lock(&d->lock);
    d->vectors[n].trigger = ref;
    if (!msix && n == 0) {
        d->msi_message_valid = true;
    }
    mask_vector(d, n, msix, false);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int set_block(SimDevice *d, const struct vfio_irq_set *set,
                     const int32_t *fds, bool msix)
{
    unsigned i;
    int result = 0;

    /* Later kernels find out vector by vector. */
    if (d->personality == SIM_6_1 && (set->start >= d->nr_contexts ||
        set->start + set->count > d->nr_contexts)) {
        return -EINVAL;
    }

    for (i = 0; i < set->count && !result; i++) {
        result = set_trigger(d, set->start + i, fds[i], msix);
    }
    if (result) {
        /* the one that failed and those before it */
        while (i--) {
            take_trigger_off(d, set->start + i, msix);
        }
    }
    return result;
}

static void msi_disable(SimDevice *d, bool msix)
{
    unsigned n, count = msix ? d->nr_vectors : MSIX_TESTDEV_MSI_VECTORS;

    for (n = 0; n < count && n < d->nr_vectors; n++) {
        if (d->vectors[n].trigger >= 0 || d->personality == SIM_MDEV) {
            take_trigger_off(d, n, msix);
        }
    }

    pthread_mutex_lock(&d->lock);
    if (msix) {
        sim_function_set_msix(d, false);
    } else {
        sim_function_set_msi(d, sim_phys_word(d, SIM_CAP_MSI + PCI_MSI_FLAGS) &
                                ~PCI_MSI_FLAGS_ENABLE);
        sim_function_set_msi_mask(d, 0); /* as the kernel has found it */
    }
    for (n = 0; n < d->nr_vectors; n++) {
        d->vectors[n].allocated = false;
    }
    d->irq_index = NONE;
    d->nr_contexts = 0;
    sim_function_set_disintx(d, false);
    pthread_mutex_unlock(&d->lock);

    sim_host_vectors_clear(d);
    sim_msi_irqs_clear(d);
    sim_reach(d, SIM_CALL_SET_IRQS, SIM_PLACE_WINDOW);
}

static int log2_up(unsigned n)
{
    int bits = 0;

    while (1u << bits < n) {
        bits++;
    }
    return bits;
}

/*
 * Returns 0; a positive number if that many vectors could be had; or a
 * negative errno.  In all but the first case nothing is enabled.
 */
static int msi_enable(SimDevice *d, unsigned count, bool msix)
{
    unsigned n, got = 0;

    if (d->personality != SIM_MDEV) {
        if (!count) {
            return -ERANGE; /* pci_alloc_irq_vectors(): less than one */
        }
        got = sim_host_vectors_take(d, count, true);
        if (got < count) {
            sim_host_vectors_clear(d);
            if (!got) {
                return -ENOSPC;
            }
            /* MSI is had as a block or as one, see drivers/pci/msi */
            return msix ? (int)got : 1;
        }
        sim_msi_irqs_add(d, 0, count);
    }

    sim_reach(d, SIM_CALL_SET_IRQS, SIM_PLACE_WINDOW);

    pthread_mutex_lock(&d->lock);
    for (n = 0; n < d->nr_vectors; n++) {
        d->vectors[n].masked = true;
        d->vectors[n].allocated = n < got;
    }
    sim_function_set_disintx(d, true);
    if (msix) {
        sim_function_set_msix(d, true);
    } else {
        d->msi_message_valid = true;
        d->msi_mask = (1u << MSIX_TESTDEV_MSI_VECTORS) - 1;
        sim_function_set_msi_mask(d, d->msi_mask);
        d->msi_qmax = log2_up(count);
        sim_function_set_msi(d, PCI_MSI_FLAGS_ENABLE | d->msi_qmax << 4);
    }
    d->irq_index = msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
    d->nr_contexts = got;
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int set_msi(SimDevice *d, const struct vfio_irq_set *set,
                   const void *data)
{
    bool msix = set->index == VFIO_PCI_MSIX_IRQ_INDEX;
    bool active = d->irq_index == set->index;
    const uint8_t *bools = data;
    unsigned i;
    int result;

    if (active && !set->count && set->flags & VFIO_IRQ_SET_DATA_NONE) {
        msi_disable(d, msix);
        return 0;
    }
    if (!active && d->irq_index != NONE) {
        return -EINVAL;
    }

    if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
        if (active) {
            return set_block(d, set, data, msix);
        }
        result = msi_enable(d, set->start + set->count, msix);
        if (result) {
            return result;
        }
        result = set_block(d, set, data, msix);
        if (result) {
            msi_disable(d, msix);
        }
        return result;
    }

    if (!active || (d->personality == SIM_6_1 &&
                    set->start + set->count > d->nr_contexts)) {
        return -EINVAL;
    }
    pthread_mutex_lock(&d->lock);
    for (i = 0; i < set->count; i++) {
        SimVector *v = &d->vectors[set->start + i];

        if (v->trigger >= 0 &&
            (set->flags & VFIO_IRQ_SET_DATA_NONE || bools[i])) {
            signal_trigger(d, v->trigger);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return 0;
}

/*
 * ERR and REQ: nothing but a trigger each, active or not
 */

static void replace_trigger(SimDevice *d, int *trigger, int ref)
{
    int old;

    pthread_mutex_lock(&d->lock);
    old = *trigger;
    *trigger = ref;
    pthread_mutex_unlock(&d->lock);
    sim_eventfd_put(old);
}

static int set_single(SimDevice *d, const struct vfio_irq_set *set,
                      const void *data, int *trigger)
{
    int ref, result;
    int32_t fd;

    if (set->start != 0 || set->count > 1) {
        return -EINVAL;
    }

    if (set->flags & VFIO_IRQ_SET_DATA_NONE) {
        if (*trigger < 0) {
            return -EINVAL;
        }
        if (set->count) {
            pthread_mutex_lock(&d->lock);
            signal_trigger(d, *trigger);
            pthread_mutex_unlock(&d->lock);
        } else {
            replace_trigger(d, trigger, -1);
        }
        return 0;
    }
    if (!set->count) {
        return -EINVAL;
    }

    if (set->flags & VFIO_IRQ_SET_DATA_BOOL) {
        if (*(const uint8_t *)data && *trigger >= 0) {
            pthread_mutex_lock(&d->lock);
            signal_trigger(d, *trigger);
            pthread_mutex_unlock(&d->lock);
        }
        return 0;
    }

    fd = *(const int32_t *)data;
    if (fd == -1) {
        replace_trigger(d, trigger, -1);
        return 0;
    }
    if (fd < 0) {
        /* other negative numbers: nothing, and later kernels say so */
        return d->personality == SIM_6_1 ? 0 : -EINVAL;
    }
    if (sim_fault_vector(d, set->index, 0, &result)) {
        return result;
    }
    ref = sim_eventfd_get(fd);
    if (ref < 0) {
        return ref;
    }
    replace_trigger(d, trigger, ref);
    return 0;
}

/*
 * VFIO_DEVICE_SET_IRQS
 */

static int validate(SimDevice *d, const struct vfio_irq_set *set, size_t *size)
{
    unsigned count = sim_irqs_count(d, set->index);

    if (set->argsz < sizeof(*set) || set->index >= VFIO_PCI_NUM_IRQS ||
        set->count >= UINT32_MAX - set->start ||
        set->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK |
                       VFIO_IRQ_SET_ACTION_TYPE_MASK)) {
        return -EINVAL;
    }
    if (set->start >= count || set->start + set->count > count) {
        return -EINVAL;
    }
    switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_NONE:
        *size = 0;
        break;
    case VFIO_IRQ_SET_DATA_BOOL:
        *size = set->count;
        break;
    case VFIO_IRQ_SET_DATA_EVENTFD:
        *size = set->count * sizeof(int32_t);
        break;
    default:
        return -EINVAL;
    }
    return set->argsz - sizeof(*set) < *size ? -EINVAL : 0;
}

static int dispatch(SimDevice *d, const struct vfio_irq_set *set,
                    const void *data)
{
    unsigned action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
    bool trigger = action == VFIO_IRQ_SET_ACTION_TRIGGER;

    switch (set->index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
        if (trigger) {
            return set_intx(d, set, data);
        }
        if (action == VFIO_IRQ_SET_ACTION_MASK ||
            action == VFIO_IRQ_SET_ACTION_UNMASK) {
            return set_intx_mask(d, set, data);
        }
        return -ENOTTY;
    case VFIO_PCI_MSI_IRQ_INDEX:
    case VFIO_PCI_MSIX_IRQ_INDEX:
        return trigger ? set_msi(d, set, data) : -ENOTTY;
    case VFIO_PCI_ERR_IRQ_INDEX:
        return trigger ? set_single(d, set, data, &d->err_trigger) : -ENOTTY;
    case VFIO_PCI_REQ_IRQ_INDEX:
        return trigger ? set_single(d, set, data, &d->req_trigger) : -ENOTTY;
    default:
        return -ENOTTY;
    }
}

int sim_set_irqs(SimDevice *d, const void *user)
{
    struct vfio_irq_set set;
    int32_t data[MSIX_TESTDEV_MAX_VECTORS];
    size_t size;
    int result;

    if (sim_copy_from_user(&set, user, sizeof(set))) {
        return -EFAULT;
    }
    result = validate(d, &set, &size);
    if (result) {
        return result;
    }
    if (sim_copy_from_user(data, (const char *)user + sizeof(set), size)) {
        return -EFAULT;
    }

    pthread_mutex_lock(&d->igate);
    pthread_mutex_lock(&d->lock);
    d->counters.set_irqs++;
    sim_serve_unmask(d);
    pthread_mutex_unlock(&d->lock);
    sim_reach(d, SIM_CALL_SET_IRQS, SIM_PLACE_START);
    if (!sim_fault_call(d, SIM_CALL_SET_IRQS, set.index,
                        set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK, &result)) {
        result = dispatch(d, &set, data);
    }
    sim_reach(d, SIM_CALL_SET_IRQS, SIM_PLACE_END);
    pthread_mutex_unlock(&d->igate);
    return result;
}

/*
 * For the rest of the simulation
 */

void sim_irqs_open(SimDevice *d)
{
    unsigned n;

    d->irq_index = NONE;
    d->nr_contexts = 0;
    d->intx_trigger = d->err_trigger = d->req_trigger = -1;
    d->intx_unmask.fd = -1;
    d->intx_masked = false;
    for (n = 0; n < d->nr_vectors; n++) {
        d->vectors[n].allocated = false;
        d->vectors[n].trigger = -1;
    }
}

void sim_irqs_close(SimDevice *d)
{
    pthread_mutex_lock(&d->igate);
    if (d->irq_index == VFIO_PCI_INTX_IRQ_INDEX) {
        intx_disable(d);
    } else if (d->irq_index != NONE) {
        msi_disable(d, d->irq_index == VFIO_PCI_MSIX_IRQ_INDEX);
    }
    replace_trigger(d, &d->err_trigger, -1);
    replace_trigger(d, &d->req_trigger, -1);
    pthread_mutex_unlock(&d->igate);
}

/*
 * As pci_restore_msi_state() in drivers/pci/msi.  MSI-X is enabled by config
 * space, but what is written to the table gets lost without memory decoding: it
 * stays empty and masked.  Later point releases of Linux, like 6.1.192, have
 * decoding on meanwhile.  SET_IRQS has it on in all of them.
 */
void sim_irqs_restore(SimDevice *d)
{
    bool decoding = d->restore_decodes ||
                    sim_phys_word(d, PCI_COMMAND) & PCI_COMMAND_MEMORY;
    unsigned n;

    if (d->irq_index == VFIO_PCI_MSIX_IRQ_INDEX) {
        sim_function_set_msix(d, true);
        for (n = 0; decoding && n < d->nr_vectors; n++) {
            sim_function_mask_vector(d, n, d->vectors[n].trigger < 0);
        }
    } else if (d->irq_index == VFIO_PCI_MSI_IRQ_INDEX) {
        sim_function_set_msi_mask(d, d->msi_mask);
        sim_function_set_msi(d, PCI_MSI_FLAGS_ENABLE | d->msi_qmax << 4);
    }
}

unsigned sim_irqs_triggers(SimDevice *d)
{
    unsigned n, count = 0;

    for (n = 0; n < d->nr_vectors; n++) {
        count += d->vectors[n].trigger >= 0;
    }
    return count;
}

bool sim_irqs_signal(SimDevice *d, unsigned index)
{
    int trigger = index == VFIO_PCI_ERR_IRQ_INDEX ? d->err_trigger :
                                                    d->req_trigger;

    if (trigger < 0) {
        return false;
    }
    signal_trigger(d, trigger);
    return true;
}
