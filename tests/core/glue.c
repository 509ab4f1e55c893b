/*
 * The guest, and QEMU as pci.c and its MSI-X code connect it with the core
 *
 * Events end in steps, which are done one by one.  Between two of them the
 * device can fire and be unplugged.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "world.h"

#define STEPS_MAX 64 /* of one event, a handful for each vector */
#define NO_EVENTFD (-EMFILE)

/* Of a vector as the guest sees it */
bool guest_masks(unsigned int nr)
{
    return model.fmask || model.v[nr].mask;
}

/*
 * Notifiers
 */

static void notify_state(VFIOMSIXCore *c, unsigned int nr, VFIOMSIXState from,
                         VFIOMSIXState to)
{
    say("    vector %u: %s -> %s", nr, vfio_msix_state_name(from),
        vfio_msix_state_name(to));
    if (from == to || c->vectors[nr].state != to) {
        fail("vector %u is said to be %s", nr, vfio_msix_state_name(to));
    }
}

static void notify_failed(VFIOMSIXCore *c, unsigned int nr,
                          VFIOMSIXReason reason, int ret)
{
    (void)c;
    say("    vector %u: reported, reason %d", nr, reason);
    if (ret >= 0) {
        fail("vector %u is reported with %d, which is no errno", nr, ret);
    }
    if (!passing.fault) {
        fail("vector %u is reported, and nothing has failed", nr);
    }
    model.v[nr].reported = 1;
}

const VFIOMSIXNotify glue_notify = {
    .state = notify_state,
    .failed = notify_failed,
};

/*
 * Steps
 */

static void between(void)
{
    unsigned int fire[VECTORS_MAX], fires = 0, choice, nr;

    if (passing.quiet) {
        oracle_check_between();
        return;
    }

    /* Once an event, so that there is an end, and where it matters: touch() */
    for (nr = 0; nr < config->vectors; nr++) {
        passing.touched[nr] = oracle_fire_matters(nr) && (config->thorough ?
                              passing.fired < 2 :
                              passing.touched[nr] && !passing.fired);
    }
    explore_between();
    for (nr = 0; nr < config->vectors; nr++) {
        if (passing.touched[nr]) {
            fire[fires++] = nr;
        }
    }
    choice = choose(1 + fires);
    if (choice) {
        passing.fired++;
        nr = fire[choice - 1];
        say("    the device fires vector %u", nr);
        device_fire(nr);
    }
}

static void run(void)
{
    VFIOMSIXStep step = { 0 };

    memset(passing.touched, 0, sizeof(passing.touched));
    passing.tried_one = false;
    oracle_check_first();
    while (vfio_msix_core_next(core, &step)) {
        int ret;

        between();
        if (++passing.steps > STEPS_MAX) {
            fail("the steps have no end");
        }
        if (verbose) {
            say("  %s", step_name(&step));
        }
        ret = host_answer(&step);
        if (ret || step.op == VFIO_MSIX_UPDATE_ROUTE) {
            say("    answer: %d", ret);
        }
        vfio_msix_core_answer(core, &step, ret);
        oracle_check_first();
    }
    oracle_check_between();
}

/* Also the caller's part of the steps that have ended */
static void close_vectors(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        if (model.v[nr].eventfd) {
            kvm_release(nr);
            model.v[nr].eventfd = 0;
            model.v[nr].count = 0;
        }
    }
}

/*
 * QEMU's MSI-X code
 */

static bool qemu_pending(unsigned int nr)
{
    return core->pba[nr / 8] & 1 << nr % 8;
}

static void send(unsigned int nr)
{
    if (guest_masks(nr) || !model.enabled) {
        fail("QEMU is to send the message of vector %u, which is masked", nr);
    }
    oracle_deliver(nr, model.v[nr].message, "QEMU");
}

static void use(unsigned int nr)
{
    ModelVector *v = &model.v[nr];
    int ret = 0;

    oracle_unmask_begin(nr);
    if (!v->eventfd) {
        if (choose_fault(2)) {
            say("  there is no eventfd for vector %u", nr);
            ret = NO_EVENTFD;
        } else {
            v->eventfd = 1;
        }
    }
    vfio_msix_core_unmask(core, nr, v->message, v->message, ret);
}

/* Whatever the vectors before it have come to by, it goes on from there */
static void begin(unsigned int nr)
{
    Passing next = { .event = passing.event, .current = nr,
                     .quiet = passing.quiet, .steps = passing.steps };

    memcpy(next.open, passing.open, sizeof(next.open));
    passing = next;
}

static void unmask(unsigned int nr)
{
    begin(nr);
    use(nr);
    run();
    if (qemu_pending(nr)) {
        core->pba[nr / 8] &= ~(1 << nr % 8);
        if (!model.v[nr].eventfd) {
            /* msix_notify() does so with vectors that are not in use */
            fail("QEMU drops the bit of vector %u, which has no eventfd", nr);
        }
        send(nr);
    }
    oracle_unmask_end(nr);
}

static void mask(unsigned int nr)
{
    begin(nr);
    vfio_msix_core_mask(core, nr);
    run();
    oracle_mask_end(nr);
}

/* Whether the function mask is all that masks a vector from @nr on */
static bool is_last(unsigned int nr)
{
    while (nr < config->vectors && model.v[nr].mask) {
        nr++;
    }
    return nr == config->vectors;
}

static void set_fmask(bool fmask)
{
    unsigned int nr;

    model.fmask = fmask;
    for (nr = 0; model.enabled && nr < config->vectors; nr++) {
        if (model.v[nr].mask) {
            continue;
        }
        if (is_last(nr + 1)) {
            /* From here on it is as if only this one had been masked */
            passing.event = (Event) { fmask ? EV_MASK : EV_UNMASK, nr };
        }
        if (fmask) {
            mask(nr);
        } else {
            unmask(nr);
        }
    }
}

static void enable(void)
{
    unsigned int nr;

    passing.starting = true;
    model.enabled = 1;
    vfio_msix_core_start(core, config->noresize, config->kvm, config->replays);
    for (nr = 0; nr < config->vectors; nr++) {
        if (!guest_masks(nr)) {
            use(nr);
        }
    }
    vfio_msix_core_started(core);
    run();
    for (nr = 0; nr < config->vectors; nr++) {
        if (!guest_masks(nr)) {
            oracle_unmask_end(nr);
        }
    }
}

static void stop(void)
{
    passing.ending = true;
    vfio_msix_core_stop(core);
    run();
    close_vectors();
    oracle_check_gone();
}

static void disable(void)
{
    model.enabled = 0;
    stop();
}

/* QEMU's handler of a vector's eventfd */
static void take_signal(unsigned int nr)
{
    bool waits = core->vectors[nr].state == VFIO_MSIX_WAITING;

    passing.current = nr;
    passing.flushing = waits;
    if (vfio_msix_core_signalled(core, nr)) {
        run();
    }
    passing.flushing = false;
    if (waits) {
        oracle_signal_end(nr);
        if (core->vectors[nr].state == VFIO_MSIX_IRQFD) {
            return;
        }
    }
    model.v[nr].count = 0;
    if (vfio_msix_core_interrupt(core, nr)) {
        send(nr);
    } else {
        run();
    }
}

static bool qemu_listens(unsigned int nr)
{
    return model.v[nr].eventfd && !model.v[nr].irqfd;
}

/* What the guest reads.  Signals on their way to QEMU are not late there. */
uint8_t glue_read_pba(void)
{
    unsigned int nr;

    for (nr = 0; model.shown && nr < config->vectors; nr++) {
        VFIOMSIXState state = core->vectors[nr].state;

        if ((state == VFIO_MSIX_DIRECT || state == VFIO_MSIX_FAILED) &&
            core->vectors[nr].masked && model.v[nr].count) {
            take_signal(nr);
        }
    }
    return device_pba() | (model.shown ? core->pba[0] : 0);
}

static void write_message(unsigned int nr, unsigned int message)
{
    oracle_message(nr, message);
    model.v[nr].message = message;
    vfio_msix_core_message(core, nr, message, message);
}

static void timer(void)
{
    model.timer = 0;
    vfio_msix_core_timer(core);
    run();
}

static void reset(void)
{
    device_wipe();
    oracle_wiped(true);
    vfio_msix_core_reset(core);
}

/* All that is on its way comes, and the timer if it is due */
void glue_settle(void)
{
    bool more = true;
    unsigned int nr, rounds = 0;

    while (more) {
        more = false;
        if (++rounds > 8) {
            fail("there are ever more signals");
        }
        for (nr = 0; nr < config->vectors; nr++) {
            if (qemu_listens(nr) && model.v[nr].count) {
                take_signal(nr);
                more = true;
            }
        }
        if (model.timer && rounds == 1) {
            timer();
            more = true;
        }
    }
}

/* The device is unplugged, or QEMU ends, between any two steps */
void glue_unplug(void)
{
    VFIOMSIXStep step;
    unsigned int nr;

    passing.quiet = true;
    stop();
    vfio_msix_core_exit(core);

    /* A vCPU may be in the device's code still */
    vfio_msix_core_start(core, config->noresize, config->kvm, config->replays);
    vfio_msix_core_started(core);
    vfio_msix_core_reset(core);
    vfio_msix_core_timer(core);
    vfio_msix_core_stop(core);
    for (nr = 0; nr < config->vectors; nr++) {
        vfio_msix_core_unmask(core, nr, 1, 1, 0);
        vfio_msix_core_mask(core, nr);
        vfio_msix_core_message(core, nr, 2, 2);
        if (vfio_msix_core_signalled(core, nr) ||
            vfio_msix_core_interrupt(core, nr) ||
            vfio_msix_core_wants_trigger(core, nr) ||
            vfio_msix_core_has_trigger(core, nr)) {
            fail("vector %u has interrupts after the end", nr);
        }
    }
    if (vfio_msix_core_next(core, &step)) {
        fail("there is something to be done after the end");
    }
}

/*
 * Events
 */

/* Drivers are sane: no message is changed or emptied that is in use */
bool event_possible(Event event)
{
    const ModelVector *v = &model.v[event.nr];

    switch (event.type) {
    case EV_ENABLE:
        return !model.enabled;
    case EV_DISABLE:
    case EV_RESET:
    case EV_WIPE:
    case EV_PBA:
        return model.enabled;
    case EV_FMASK:
        return !model.fmask;
    case EV_FUNMASK:
        return model.fmask;
    case EV_TIMER:
        return model.timer;
    case EV_INVALIDATE:
        return model.enabled && config->kvm;
    case EV_UNMASK:
        return v->mask && v->message;
    case EV_MASK:
        return !v->mask;
    case EV_SAME:
        return guest_masks(event.nr) && v->message;
    case EV_OTHER:
        return guest_masks(event.nr);
    case EV_ZERO:
        return v->mask && v->message;
    case EV_FIRE:
        return model.enabled;
    case EV_SIGNAL:
        return v->count && qemu_listens(event.nr);
    default:
        return false;
    }
}

void event_do(Event event)
{
    unsigned int nr = event.nr;
    ModelVector *v = &model.v[nr];

    passing.event = event;
    switch (event.type) {
    case EV_ENABLE:
        enable();
        break;
    case EV_DISABLE:
        disable();
        break;
    case EV_FMASK:
    case EV_FUNMASK:
        set_fmask(event.type == EV_FMASK);
        break;
    case EV_PBA:
        oracle_check_pba(glue_read_pba());
        break;
    case EV_TIMER:
        timer();
        break;
    case EV_RESET:
        reset();
        break;
    case EV_WIPE:
        device_wipe();
        oracle_wiped(false);
        break;
    case EV_INVALIDATE:
        kvm_invalidate();
        break;
    case EV_UNMASK:
        v->mask = 0;
        if (model.enabled && !model.fmask) {
            unmask(nr);
        }
        break;
    case EV_MASK:
        v->mask = 1;
        if (model.enabled && !model.fmask) {
            mask(nr);
        }
        break;
    case EV_SAME:
        write_message(nr, v->message);
        break;
    case EV_OTHER:
        write_message(nr, v->message == 1 ? 2 : 1);
        break;
    case EV_ZERO:
        write_message(nr, 0);
        break;
    case EV_FIRE:
        device_fire(nr);
        break;
    case EV_SIGNAL:
        take_signal(nr);
        break;
    }
}
