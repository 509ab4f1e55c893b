/*
 * Model of a host: VFIO's and KVM's side of each step, and the device
 *
 * What is modelled here was read in the kernel's source or measured; see
 * docs/kernel-abi.rst.  A call that the host would refuse for good is the
 * core's mistake and ends the exploration; one that can fail for a reason of
 * the host's own is taken with each of its answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "world.h"

#define REFUSED (-ENOSPC)

static void inject(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    if (v->committed == NO_ROUTE) {
        fail("KVM takes the signal of vector %u, which has no route", nr);
    }
    oracle_deliver(nr, v->committed, "KVM");
}

static void signal_eventfd(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    if (!v->eventfd) {
        fail("vector %u is signalled and has no eventfd", nr);
    }
    if (v->irqfd) {
        /* KVM reads all of the count, also what it injected when it came */
        v->count = 0;
        inject(nr);
    } else {
        v->count = 1;
    }
}

/*
 * The device
 */

void device_fire(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    oracle_fire(nr);
    if (!model.host_on) {
        return; /* dropped */
    }
    if (v->trigger && !v->wiped) {
        signal_eventfd(nr);
    } else {
        v->pending = 1;
    }
}

/* A reset empties the table and the PBA; MSI-X stays enabled, as was seen */
void device_wipe(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        model.v[nr].wiped = model.v[nr].trigger;
        model.v[nr].pending = 0;
    }
}

uint8_t device_pba(void)
{
    uint8_t bits = 0;
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        bits |= model.v[nr].pending << nr;
    }

    return bits;
}

/*
 * VFIO_DEVICE_SET_IRQS
 */

static void set_trigger(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    v->trigger = 1;
    v->wiped = 0;
    v->refused = 0;
    if (v->pending) {
        v->pending = 0;
        signal_eventfd(nr);
    }
}

static void remove_trigger(unsigned int nr)
{
    model.v[nr].trigger = 0;
    model.v[nr].wiped = 0;
}

static bool wants_trigger(unsigned int nr)
{
    return core->vectors[nr].state == VFIO_MSIX_SETUP ||
           core->vectors[nr].state == VFIO_MSIX_SETUP_IRQFD;
}

/* Answers of a call for @count vectors: 0, an errno, a number that is less */
static int choose_answer(unsigned int count)
{
    unsigned int choice = choose_fault(count + 1);

    return choice < 2 ? (int)choice * REFUSED : (int)choice - 1;
}

static int answer_set_trigger(unsigned int nr)
{
    if (!model.host_on) {
        fail("trigger of vector %u while MSI-X is disabled", nr);
    }
    if (config->noresize && nr >= model.allocated) {
        fail("trigger of vector %u, and the host has %u and can add none",
             nr, model.allocated);
    }
    if (!model.v[nr].eventfd) {
        fail("trigger of vector %u, which has no eventfd", nr);
    }
    if (choose_fault(2)) {
        remove_trigger(nr);
        model.v[nr].refused = 1;
        return REFUSED;
    }
    set_trigger(nr);
    return 0;
}

static int answer_enable(unsigned int count, bool triggers)
{
    unsigned int nr;
    int ret;

    if (model.host_on || model.parked) {
        fail("MSI-X is to be enabled while %s is",
             model.host_on ? "it" : "INTx");
    }
    if (!count || count > config->vectors) {
        fail("MSI-X is to be enabled with %u vectors", count);
    }

    passing.tried_one |= count == 1;
    ret = choose_answer(count);
    if (ret) {
        for (nr = 0; nr < config->vectors; nr++) {
            /* An errno for some triggers does not say which of them it was */
            if (ret > 0 ? nr >= (unsigned int)ret : !triggers) {
                model.v[nr].refused = 1;
            }
        }
        return ret;
    }

    model.host_on = 1;
    model.allocated = config->noresize ? count : 0;
    oracle_on();
    for (nr = 0; triggers && nr < count; nr++) {
        if (wants_trigger(nr)) {
            set_trigger(nr);
        }
    }
    return 0;
}

static int answer_add_block(unsigned int start, unsigned int count)
{
    unsigned int nr;
    int ret;

    if (!model.host_on) {
        fail("vectors are to be added while MSI-X is disabled");
    }
    if (config->noresize) {
        fail("vectors are to be added by a host that can add none");
    }
    if (!count || start + count > config->vectors) {
        fail("vectors %u to %u are to be added", start, start + count - 1);
    }

    ret = choose_answer(count);
    for (nr = start; nr < start + count; nr++) {
        remove_trigger(nr);
        if (!ret && wants_trigger(nr)) {
            set_trigger(nr);
        }
    }
    return ret;
}

static void disable(void)
{
    bool was_on = model.host_on, forgetful = false;
    unsigned int nr;

    if (was_on && !passing.ending) {
        if (!config->noresize) {
            fail("MSI-X is disabled on a host that can add vectors");
        }
        passing.resizes++;
    }
    if (was_on && device_pba()) {
        /* PCI does not say that the bits outlast this */
        forgetful = choose(2);
        say("    the device %s its pending bits", forgetful ? "forgets" :
            "keeps");
    }
    model.host_on = 0;
    model.allocated = 0;
    if (was_on || passing.ending) {
        oracle_off(!passing.ending && !passing.starting, forgetful);
        passing.pba_read = false;
        passing.pba_bits = 0;
    }
    for (nr = 0; nr < config->vectors; nr++) {
        remove_trigger(nr);
        if (forgetful) {
            model.v[nr].pending = 0;
        }
    }
}

static void answer_read_pba(uint8_t *bits)
{
    memset(bits, 0, (config->vectors + 7) / 8);
    if (choose_fault(2)) {
        say("    the PBA cannot be read");
    } else {
        bits[0] = device_pba();
    }
    passing.pba_read = true;
    passing.pba_bits = bits[0];
}

/*
 * KVM
 */

static int answer_update_route(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    if (choose_fault(2)) {
        v->no_kvm = 1;
        kvm_release(nr);
        return REFUSED;
    }
    /* QEMU counts the changes of all routes of a device, not of each */
    model.uncommitted |= v->written != v->message;
    v->written = v->message;
    return model.uncommitted;
}

static void commit(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        ModelVector *v = &model.v[nr];

        v->committed = v->written;
    }
}

/* The guest's IOMMU has changed: KVM's code enters all messages anew */
void kvm_invalidate(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        if (model.v[nr].written != NO_ROUTE) {
            model.v[nr].written = model.v[nr].message;
        }
    }
    commit();
}

void kvm_release(unsigned int nr)
{
    if (model.v[nr].irqfd) {
        fail("the route of vector %u is released under KVM's irqfd", nr);
    }
    model.v[nr].written = NO_ROUTE;
    model.v[nr].committed = NO_ROUTE;
}

static int answer_assign(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    if (v->irqfd || !v->eventfd) {
        fail("KVM is to listen to vector %u, %s", nr,
             v->irqfd ? "and does" : "which has no eventfd");
    }
    if (v->committed != v->message) {
        fail("KVM is to listen to vector %u, %s", nr,
             v->committed == NO_ROUTE ? "which has no route" :
             "whose route has another message");
    }
    if (choose_fault(2)) {
        v->no_kvm = 1;
        kvm_release(nr);
        return REFUSED;
    }
    v->irqfd = 1;
    if (v->count) {
        inject(nr); /* without being read */
    }
    return 0;
}

static void answer_deassign(unsigned int nr)
{
    if (!model.v[nr].irqfd) {
        fail("KVM is to let go of vector %u, and does not listen", nr);
    }
    model.v[nr].irqfd = 0;
    model.v[nr].count = 0;
}

/*
 * Another vector's step and this one's interrupt are the same in either order,
 * and so are two steps in a gap.  It is enough to fire after steps after which
 * that makes a difference; what comes after the last is an event of its own.
 */
static void touch(const VFIOMSIXStep *step, bool was_on)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];
        bool *touched = &passing.touched[nr];

        switch (step->op) {
        case VFIO_MSIX_ENABLE:
        case VFIO_MSIX_ENABLE_BARE:
        case VFIO_MSIX_ADD_BLOCK:
            *touched = model.host_on && wants_trigger(nr);
            break;
        case VFIO_MSIX_DISABLE:
        case VFIO_MSIX_CLEAR:
            *touched = was_on || passing.steps == 1;
            break;
        case VFIO_MSIX_READ_PBA:
            *touched = !v->pending && (!v->trigger || v->wiped);
            break;
        case VFIO_MSIX_COMMIT:
            *touched = core->vectors[nr].state == VFIO_MSIX_WAITING;
            break;
        case VFIO_MSIX_PARK:
        case VFIO_MSIX_SHOW_PBA:
            *touched = false;
            break;
        default:
            *touched = nr == step->nr;
            break;
        }
    }
}

static int answer(VFIOMSIXStep *step)
{
    switch (step->op) {
    case VFIO_MSIX_SET_TRIGGER:
        return answer_set_trigger(step->nr);
    case VFIO_MSIX_ENABLE:
        return answer_enable(step->count, true);
    case VFIO_MSIX_ENABLE_BARE:
        return answer_enable(step->count, false);
    case VFIO_MSIX_ADD_BLOCK:
        return answer_add_block(step->nr, step->count);
    case VFIO_MSIX_CLEAR:
        model.parked = 0;
        disable();
        return 0;
    case VFIO_MSIX_DISABLE:
        if (!step->count) {
            model.parked = 0;
        }
        disable();
        return 0;
    case VFIO_MSIX_PARK:
        if (model.host_on) {
            fail("INTx is to be parked while MSI-X is enabled");
        }
        if (!passing.tried_one) {
            fail("MSI-X is given up, and was not tried with one vector");
        }
        model.parked = 1;
        return 0;
    case VFIO_MSIX_READ_PBA:
        answer_read_pba(step->bits);
        return 0;
    case VFIO_MSIX_REPLAY:
        signal_eventfd(step->nr);
        return 0;
    case VFIO_MSIX_UPDATE_ROUTE:
        return answer_update_route(step->nr);
    case VFIO_MSIX_COMMIT:
        oracle_commit();
        commit();
        model.uncommitted = 0;
        model.timer = 1;
        return 0;
    case VFIO_MSIX_ASSIGN:
        return answer_assign(step->nr);
    case VFIO_MSIX_DEASSIGN:
        answer_deassign(step->nr);
        return 0;
    case VFIO_MSIX_SHOW_PBA:
        model.shown = step->count;
        return 0;
    }

    fail("step %d is unknown", step->op);
}

int host_answer(VFIOMSIXStep *step)
{
    bool was_on = model.host_on;
    int ret = answer(step);

    touch(step, was_on);
    return ret;
}
