/*
 * MSI-X of vfio-pci: what is to be done next, and what an answer means
 *
 * Like msix-core.c without I/O.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "msix-core.h"

/* The vector after the highest whose trigger is to be set, or 0 */
static unsigned int end_of_setup(VFIOMSIXCore *core)
{
    unsigned int nr = core->entries;

    while (nr && !vfio_msix_needs_trigger(core->vectors[nr - 1].state)) {
        nr--;
    }

    return nr;
}

static void set_triggers(VFIOMSIXCore *core, unsigned int start,
                         unsigned int end)
{
    unsigned int nr;

    for (nr = start; nr < end; nr++) {
        if (vfio_msix_needs_trigger(core->vectors[nr].state)) {
            vfio_msix_trigger_is_set(core, nr);
        }
    }
}

/* How many vectors to have MSI-X enabled with */
static unsigned int wanted_count(VFIOMSIXCore *core)
{
    unsigned int count = end_of_setup(core);

    if (core->noresize) {
        /*
         * A resize is what hurts, so do it rarely.  Vectors without a trigger
         * cost the host little.
         */
        count = MAX(count, MIN(2 * core->fallback, core->entries));
    } else {
        /*
         * The call that enables MSI-X allocates the holes between the vectors
         * in use as well.  Not so the next, which finds it enabled.
         */
        unsigned int end = count;

        for (count = 0; count < end; count++) {
            if (!vfio_msix_needs_trigger(core->vectors[count].state)) {
                break;
            }
        }
    }

    return MAX(count, core->need);
}

void vfio_msix_enable_on_host(VFIOMSIXCore *core)
{
    core->phase = VFIO_MSIX_ENABLING;
    core->count = wanted_count(core);
    core->cause = -ENOSPC;
}

/* QEMU's PBA must be seen while it has the bit of a masked vector */
static bool holds_pending(VFIOMSIXCore *core)
{
    unsigned int i, nr;

    for (i = 0; i < (core->entries + 7) / 8; i++) {
        for (nr = i * 8; core->pba[i] && nr < MIN(i * 8 + 8, core->entries);
             nr++) {
            if (vfio_msix_test_pending(core->pba, nr) &&
                core->vectors[nr].masked) {
                return true;
            }
        }
    }

    return false;
}

static bool step_of_phase(VFIOMSIXCore *core, VFIOMSIXStep *step)
{
    unsigned int concerned = core->in_state[VFIO_MSIX_SETUP] +
                             core->in_state[VFIO_MSIX_SETUP_IRQFD];

    switch (core->phase) {
    case VFIO_MSIX_SAVING:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_READ_PBA,
                                 .bits = core->saved };
        return true;
    case VFIO_MSIX_DISABLING:
    case VFIO_MSIX_STOPPING:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_DISABLE,
                                 .count = core->host_vectors };
        return true;
    case VFIO_MSIX_ENABLING:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_ENABLE,
                                 .count = core->count };
        return true;
    case VFIO_MSIX_CLEARING:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_CLEAR };
        return true;
    case VFIO_MSIX_ENABLING_BARE:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_ENABLE_BARE,
                                 .count = core->count };
        return true;
    case VFIO_MSIX_ADDING:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_ADD_BLOCK, .nr = core->count,
                                 .count = end_of_setup(core) - core->count };
        return true;
    case VFIO_MSIX_PARKING:
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_PARK, .ret = core->cause,
                                 .count = concerned };
        return true;
    default:
        return false;
    }
}

/* The lowest vector in @state, which there is */
static unsigned int first_in(VFIOMSIXCore *core, VFIOMSIXState state)
{
    unsigned int nr = vfio_msix_is_passing(state) ? core->first : 0;

    while (core->vectors[nr].state != state) {
        nr++;
    }

    return nr;
}

static bool step_of_vectors(VFIOMSIXCore *core, VFIOMSIXStep *step)
{
    static const struct {
        VFIOMSIXState state;
        VFIOMSIXOp op;
    } steps[] = {
        { VFIO_MSIX_SETUP, VFIO_MSIX_SET_TRIGGER },
        { VFIO_MSIX_SETUP_IRQFD, VFIO_MSIX_SET_TRIGGER },
        { VFIO_MSIX_ROUTE, VFIO_MSIX_UPDATE_ROUTE },
        { VFIO_MSIX_CONNECT, VFIO_MSIX_ASSIGN },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(steps); i++) {
        if (core->in_state[steps[i].state]) {
            *step = (VFIOMSIXStep) { .op = steps[i].op,
                                     .nr = first_in(core, steps[i].state) };
            return true;
        }
    }

    return false;
}

static bool step_of_replay(VFIOMSIXCore *core, VFIOMSIXStep *step)
{
    unsigned int nr;

    for (nr = 0; core->replays_pending && nr < core->entries; nr++) {
        VFIOMSIXState state = core->vectors[nr].state;

        /* What fails from now on is kept by the device, what was before not */
        if (core->vectors[nr].replay == VFIO_MSIX_REPLAY_PENDING &&
            (vfio_msix_state_has_trigger(state) ||
             (state == VFIO_MSIX_FAILED && core->phase == VFIO_MSIX_ON))) {
            *step = (VFIOMSIXStep) { .op = VFIO_MSIX_REPLAY, .nr = nr };
            return true;
        }
    }

    return false;
}

bool vfio_msix_core_next(VFIOMSIXCore *core, VFIOMSIXStep *step)
{
    bool show;

    if (core->phase == VFIO_MSIX_STARTING) {
        return false;
    }

    /* First of all what must not be delivered any more */
    if (core->in_state[VFIO_MSIX_DISCONNECT]) {
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_DEASSIGN,
                                 .nr = first_in(core, VFIO_MSIX_DISCONNECT) };
        return true;
    }
    if (core->in_state[VFIO_MSIX_FAILED_IRQFD]) {
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_DEASSIGN,
                                 .nr = first_in(core, VFIO_MSIX_FAILED_IRQFD) };
        return true;
    }
    if (step_of_phase(core, step)) {
        return true;
    }
    /* An eventfd is signalled before KVM comes, which takes it all at once */
    if (!core->in_state[VFIO_MSIX_SETUP] &&
        !core->in_state[VFIO_MSIX_SETUP_IRQFD] &&
        step_of_replay(core, step)) {
        return true;
    }
    if (step_of_vectors(core, step)) {
        return true;
    }
    if (core->in_state[VFIO_MSIX_WAITING] &&
        (core->flush || !core->committed)) {
        *step = (VFIOMSIXStep) { .op = VFIO_MSIX_COMMIT };
        return true;
    }

    if (core->pba_changed) {
        show = holds_pending(core);
        if (show != core->pba_shown) {
            *step = (VFIOMSIXStep) { .op = VFIO_MSIX_SHOW_PBA, .count = show };
            return true;
        }
        core->pba_changed = false;
    }

    return false;
}

/* MSI-X has been disabled on the host, and is to be enabled again */
static void disabled_for_resize(VFIOMSIXCore *core)
{
    bool was_on = core->host_vectors;
    unsigned int nr;

    core->host_vectors = 0;
    for (nr = 0; nr < core->entries; nr++) {
        VFIOMSIXVector *vector = &core->vectors[nr];

        /*
         * PCI does not say that a pending bit in the device outlasts this.  It
         * has those of vectors without a trigger, and of those that it has
         * lost the host's entry of.
         */
        if (was_on && core->replays &&
            vfio_msix_test_pending(core->saved, nr)) {
            if (vector->masked) {
                vfio_msix_set_pending(core, nr);
            } else {
                vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_PENDING);
            }
        }

        if (vector->state == VFIO_MSIX_IRQFD) {
            vfio_msix_may_be_lost(core, nr);
            vfio_msix_set_state(core, nr, VFIO_MSIX_SETUP_IRQFD);
        } else if (vector->state == VFIO_MSIX_FAILED ||
                   vfio_msix_state_has_trigger(vector->state)) {
            vfio_msix_may_be_lost(core, nr);
            vfio_msix_set_state(core, nr, VFIO_MSIX_SETUP);
        } else if (vector->state == VFIO_MSIX_UNUSED &&
                   (vector->address || vector->data)) {
            vfio_msix_may_be_lost(core, nr); /* it could get no eventfd */
        }
    }
    vfio_msix_enable_on_host(core);
}

/* MSI-X is enabled on the host with @core->count vectors */
static void enabled(VFIOMSIXCore *core, bool with_triggers)
{
    unsigned int nr;

    core->host_vectors = core->count;
    core->phase = VFIO_MSIX_ON;
    if (with_triggers) {
        set_triggers(core, 0, core->count);
        if (!core->noresize && end_of_setup(core)) {
            core->phase = VFIO_MSIX_ADDING;
        }
    }
    for (nr = core->count; core->noresize && nr < core->entries; nr++) {
        if (vfio_msix_needs_trigger(core->vectors[nr].state)) {
            vfio_msix_trigger_failed(core, nr, VFIO_MSIX_NO_VECTOR,
                                     core->cause);
        }
    }
}

static void answer_enable(VFIOMSIXCore *core, int ret)
{
    if (!ret) {
        enabled(core, true);
    } else if (ret > 0 && ret < core->count) {
        core->count = ret;
    } else {
        /*
         * One bad trigger is enough to get here, or an interrupt type that is
         * in the way because it could not be disabled.  Enable MSI-X with
         * neither, so that each vector is set up by itself.
         */
        core->phase = VFIO_MSIX_CLEARING;
    }
}

static void answer_enable_bare(VFIOMSIXCore *core, int ret)
{
    if (!ret) {
        enabled(core, false);
    } else if (ret > 0 && ret < core->count) {
        core->count = ret;
    } else if (core->count > core->need) {
        core->count = core->need + (core->count - core->need) / 2;
    } else if (core->need > 1) {
        /* The host cannot provide @need vectors; restore the previous number */
        core->cause = ret < 0 ? ret : -ENOSPC;
        core->count = core->fallback ? core->fallback : core->need - 1;
        core->need = 1;
        core->phase = VFIO_MSIX_ENABLING;
    } else {
        core->cause = ret < 0 ? ret : -ENOSPC;
        core->phase = VFIO_MSIX_PARKING;
    }
}

static void answer_park(VFIOMSIXCore *core)
{
    unsigned int nr;

    core->phase = VFIO_MSIX_HOST_OFF;
    for (nr = 0; nr < core->entries; nr++) {
        if (vfio_msix_needs_trigger(core->vectors[nr].state)) {
            vfio_msix_trigger_failed(core, nr, VFIO_MSIX_NO_MSIX,
                                     core->cause);
            vfio_msix_may_be_lost(core, nr);
        } else if (!core->vectors[nr].masked) {
            vfio_msix_may_be_lost(core, nr); /* it could get no eventfd */
        }
    }
}

static void stopped(VFIOMSIXCore *core)
{
    unsigned int nr;

    for (nr = 0; nr < core->entries; nr++) {
        vfio_msix_set_state(core, nr, VFIO_MSIX_UNUSED);
        core->vectors[nr] = (VFIOMSIXVector) { .masked = true };
        vfio_msix_clear_pending(core, nr);
    }
    core->host_vectors = 0;
    core->flush = false;
    core->phase = VFIO_MSIX_OFF;
}

static void answer_disable(VFIOMSIXCore *core)
{
    if (core->phase == VFIO_MSIX_STOPPING) {
        stopped(core);
    } else {
        disabled_for_resize(core);
    }
}

static void answer_commit(VFIOMSIXCore *core)
{
    unsigned int nr;

    core->committed = true;
    core->flush = false;
    for (nr = 0; nr < core->entries; nr++) {
        if (core->vectors[nr].state == VFIO_MSIX_WAITING) {
            vfio_msix_set_state(core, nr, VFIO_MSIX_CONNECT);
        }
    }
}

void vfio_msix_core_answer(VFIOMSIXCore *core, const VFIOMSIXStep *step,
                           int ret)
{
    unsigned int nr = step->nr;

    switch (step->op) {
    case VFIO_MSIX_SET_TRIGGER:
        if (ret) {
            vfio_msix_trigger_failed(core, nr, VFIO_MSIX_NO_TRIGGER, ret);
        } else {
            vfio_msix_trigger_is_set(core, nr);
        }
        break;
    case VFIO_MSIX_ENABLE:
        answer_enable(core, ret);
        break;
    case VFIO_MSIX_ENABLE_BARE:
        answer_enable_bare(core, ret);
        break;
    case VFIO_MSIX_ADD_BLOCK:
        /* Should this fail, each is tried by itself */
        core->phase = VFIO_MSIX_ON;
        if (!ret) {
            set_triggers(core, nr, nr + step->count);
        }
        break;
    case VFIO_MSIX_CLEAR:
        core->phase = VFIO_MSIX_ENABLING_BARE;
        break;
    case VFIO_MSIX_DISABLE:
        answer_disable(core);
        break;
    case VFIO_MSIX_PARK:
        answer_park(core);
        break;
    case VFIO_MSIX_READ_PBA:
        core->phase = VFIO_MSIX_DISABLING;
        break;
    case VFIO_MSIX_REPLAY:
        vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_NONE);
        break;
    case VFIO_MSIX_UPDATE_ROUTE:
        vfio_msix_set_state(core, nr, ret < 0 ? VFIO_MSIX_DIRECT :
                            ret ? VFIO_MSIX_WAITING : VFIO_MSIX_CONNECT);
        break;
    case VFIO_MSIX_COMMIT:
        answer_commit(core);
        break;
    case VFIO_MSIX_ASSIGN:
        vfio_msix_set_state(core, nr, ret ? VFIO_MSIX_DIRECT : VFIO_MSIX_IRQFD);
        break;
    case VFIO_MSIX_DEASSIGN:
        vfio_msix_set_state(core, nr, core->vectors[nr].state ==
                            VFIO_MSIX_DISCONNECT ?
                            VFIO_MSIX_DIRECT : VFIO_MSIX_FAILED);
        break;
    case VFIO_MSIX_SHOW_PBA:
        core->pba_shown = step->count;
        core->pba_changed = false;
        break;
    }

    while (core->first < core->entries &&
           !vfio_msix_is_passing(core->vectors[core->first].state)) {
        core->first++;
    }
}

bool vfio_msix_core_wants_trigger(VFIOMSIXCore *core, unsigned int nr)
{
    return core->phase == VFIO_MSIX_ON &&
           vfio_msix_needs_trigger(core->vectors[nr].state);
}

bool vfio_msix_core_has_trigger(VFIOMSIXCore *core, unsigned int nr)
{
    return core->phase != VFIO_MSIX_OFF &&
           vfio_msix_state_has_trigger(core->vectors[nr].state);
}

bool vfio_msix_core_pending(VFIOMSIXCore *core, unsigned int nr)
{
    return core->entries && vfio_msix_test_pending(core->pba, nr);
}
