/*
 * The oracle: what must be delivered, what may be, and what must not
 *
 * Whatever the device raises must be delivered, once: a delivery stands for all
 * that was raised before it.  Where MSI-X was off on the host, which is a gap,
 * nobody can know what was raised, so that there is an extra delivery for it.
 * It has rules as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "world.h"

void oracle_init(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        model.v[nr] = (ModelVector) {
            .mask = 1, .written = NO_ROUTE, .committed = NO_ROUTE,
        };
    }
}

static bool qemu_pending(unsigned int nr)
{
    return core->pba[nr / 8] & 1 << nr % 8;
}

/* The eventfd is signalled, and that has not been delivered */
static bool on_its_way(const ModelVector *v)
{
    return v->count && !v->irqfd;
}

/* The guest has it as it was at the last unmask */
static bool is_same(unsigned int nr)
{
    return model.v[nr].last && model.v[nr].last == model.v[nr].message;
}

/*
 * The device raises vector @nr in a gap, or had and could not say it.
 *
 * What need not be delivered then: anything with x-msix-replay=off; what is
 * raised while the guest's write that switches MSI-X on or off is under way, as
 * the device has it off before or after that; and what is raised on a vector
 * that has not been unmasked with this message before, or gets another one in
 * place of this, as nobody can tell it from a vector that is taken into use
 * (docs/design.rst, "What it does not do yet").
 */
static void raise_in_gap(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    if (!config->replays || passing.starting || passing.ending) {
        return;
    }
    if (v->in_gap) {
        v->raised = 1;
    } else if (is_same(nr)) {
        v->gap = 1;
    }
}

/* Whether it makes a difference to what has been raised already */
bool oracle_fire_matters(unsigned int nr)
{
    const ModelVector *v = &model.v[nr];

    if (model.host_on) {
        return !v->raised || (v->trigger && !v->wiped ? v->irqfd || !v->count :
                            !v->pending);
    }
    return config->replays && !passing.starting && !passing.ending &&
           (v->in_gap ? !v->raised : !v->gap && is_same(nr));
}

void oracle_fire(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    if (model.host_on) {
        /* One delivery pays for both, and two are right as well */
        v->extra += v->raised || v->gap;
        v->raised = 1;
    } else {
        raise_in_gap(nr);
    }
}

void oracle_deliver(unsigned int nr, unsigned int message, const char *by)
{
    ModelVector *v = &model.v[nr];

    say("    %s delivers vector %u", by, nr);
    if (!passing.open[nr] && !passing.unmasking[nr]) {
        fail("vector %u is delivered while masked, by %s", nr, by);
    }
    if (message != v->message) {
        fail("vector %u is delivered with another message, by %s", nr, by);
    }
    if (v->raised || v->gap) {
        v->raised = 0;
        v->gap = 0;
    } else if (v->extra) {
        v->extra--;
    } else if (v->may_replay && is_same(nr)) {
        v->may_replay = 0;
    } else {
        fail("vector %u is delivered by %s, and was not raised", nr, by);
    }
}

/*
 * Gaps
 */

static void forget(ModelVector *v, bool pending)
{
    v->raised = pending; /* that is the device's to deliver some time */
    v->gap = 0;
    v->extra = 0;
    v->may_replay = 0;
    v->in_gap = 0;
    v->last = 0;
    v->reported = 0;
    v->refused = 0;
    v->reset = 0;
    v->wiped_silently = 0;
    v->rewritten = 0;
    v->no_kvm = 0;
}

/* The core has looked, and not seen the bit of vector @nr */
static bool may_be_unknown(unsigned int nr)
{
    return !config->replays ||
           (passing.pba_read && !(passing.pba_bits & 1 << nr));
}

/*
 * MSI-X goes off on the host, which is a @gap if the guest has it on.  Of the
 * device's pending bits none is left if it is @forgetful.
 */
void oracle_off(bool gap, bool forgetful)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        ModelVector *v = &model.v[nr];
        bool pending = v->pending && !forgetful;

        if (!gap) {
            forget(v, pending);
            continue;
        }
        if (config->replays && passing.open[nr]) {
            v->in_gap = 1;
            v->extra++;
        } else if (config->replays && v->last) {
            v->may_replay = 1;
        }
        /*
         * A device may forget a bit that was set after QEMU has read its PBA,
         * or if that could not be read: it is as if it had been raised in the
         * gap.  A core that does not read it has no such excuse.
         */
        if (v->raised && v->pending && !pending && !on_its_way(v) &&
            !qemu_pending(nr) && may_be_unknown(nr)) {
            v->raised = 0;
            raise_in_gap(nr);
        }
        /* Both QEMU and the device may have the bit from now on */
        v->extra += config->replays && pending;
    }
}

void oracle_on(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        model.v[nr].in_gap = 0;
    }
}

/*
 * What the guest does
 */

/* The guest has given it another message: it may come, and need not */
static void excuse_gap(ModelVector *v)
{
    if (v->gap) {
        v->gap = 0;
        v->extra++;
    }
}

void oracle_wiped(bool told)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        ModelVector *v = &model.v[nr];

        /* What has left the device comes; what has not is forgotten */
        v->extra += v->raised || v->gap;
        v->raised = 0;
        v->gap = 0;
        v->reset |= told;
        v->wiped_silently = !told;
        v->rewritten = 0;
    }
}

void oracle_message(unsigned int nr, unsigned int message)
{
    ModelVector *v = &model.v[nr];
    unsigned int i;

    if (!message) {
        v->last = 0;
        v->may_replay = 0;
        excuse_gap(v);
    }
    v->rewritten = 1;
    for (i = 0; i < config->vectors; i++) {
        if (model.v[i].eventfd && !model.v[i].rewritten) {
            return;
        }
    }
    /* A driver that writes them all must get them all */
    for (i = 0; i < config->vectors; i++) {
        model.v[i].reset |= model.v[i].wiped_silently;
        model.v[i].wiped_silently = 0;
    }
}

/* What cannot matter any more makes no state of its own */
static void forget_the_past(unsigned int nr)
{
    ModelVector *v = &model.v[nr];
    unsigned int left;

    if (v->trigger || guest_masks(nr)) {
        /* The next unmask is a new try */
        v->reported = 0;
        v->refused = 0;
    }
    if (!config->kvm || guest_masks(nr)) {
        v->no_kvm = 0;
    }
    if (!v->wiped) {
        v->reset = 0;
        v->wiped_silently = 0;
        v->rewritten = 0;
    }
    /* So many deliveries can come that have left the device or will leave it */
    left = on_its_way(v) + v->pending + qemu_pending(nr) +
           (core->vectors[nr].replay != VFIO_MSIX_REPLAY_NONE);
    left -= left && (v->raised || v->gap);
    v->extra = MIN(v->extra, left);
    v->may_replay &= core->vectors[nr].replay == VFIO_MSIX_REPLAY_IF_SAME;
}

void oracle_unmask_begin(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    passing.unmasking[nr] = true;
    passing.had[nr] = model.host_on &&
                      (!config->noresize || nr < model.allocated);
    passing.routed[nr] = v->written == v->message &&
                         v->committed == v->message && !model.uncommitted;
    v->no_kvm = 0;
    if (!is_same(nr)) {
        v->may_replay = 0;
        excuse_gap(v);
    }
}

void oracle_unmask_end(unsigned int nr)
{
    ModelVector *v = &model.v[nr];

    passing.unmasking[nr] = false;
    passing.open[nr] = true;
    v->extra += v->may_replay;
    v->may_replay = 0;
    v->raised |= v->gap;
    v->gap = 0;
    v->reset = 0;
    if (v->rewritten && is_same(nr)) {
        v->wiped_silently = 0;
    }
    v->rewritten = 0;
    v->last = v->message;
    if (!model.host_on && config->replays) {
        v->in_gap = 1;
        v->extra++;
    }

    forget_the_past(nr);
    if (passing.resizes > 1 || (passing.resizes && passing.had[nr])) {
        fail("MSI-X was disabled %u times for vector %u%s", passing.resizes, nr,
             passing.had[nr] ? ", which the host had" : "");
    }
    if (!passing.fault && !v->trigger) {
        fail("vector %u has no trigger, and nothing has failed", nr);
    }
    if (config->kvm && passing.routed[nr] && v->trigger && !v->no_kvm &&
        !v->irqfd) {
        fail("vector %u is not KVM's, and its route was right", nr);
    }
}

void oracle_mask_end(unsigned int nr)
{
    passing.open[nr] = false;
    if (model.v[nr].irqfd) {
        fail("KVM listens to vector %u, which is masked", nr);
    }
    if (passing.resizes) {
        fail("MSI-X was disabled for a mask of vector %u", nr);
    }
}

/*
 * KVM
 */

void oracle_commit(void)
{
    if (model.timer && !passing.flushing) {
        fail("routes are committed twice within the time of a batch");
    }
}

/* Vector @nr waited for a commit and has been signalled. */
void oracle_signal_end(unsigned int nr)
{
    if (!model.v[nr].no_kvm && !model.v[nr].irqfd) {
        fail("vector %u was signalled, and KVM does not get it", nr);
    }
}

/*
 * Checks
 */

/* Of what the guest reads */
void oracle_check_pba(uint8_t bits)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];
        bool bit = bits & 1 << nr;

        /*
         * As in stock QEMU, what is signalled is seen in the PBA when QEMU's
         * main loop has come to it, or QEMU is asked: docs/design.rst
         */
        if (v->raised && !bit && guest_masks(nr) &&
            (model.shown || !on_its_way(v))) {
            fail("vector %u was raised while masked, and its bit is 0", nr);
        }
        if (!v->raised && !v->gap && !v->extra && bit) {
            fail("vector %u was not raised, and its bit is 1", nr);
        }
    }
}

/* What the core goes by to find the next step; else it might find none. */
void oracle_check_first(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        if (core->vectors[nr].state >= VFIO_MSIX_SETUP && nr < core->first) {
            fail("vector %u is below the first one to be looked at", nr);
        }
    }
}

void oracle_check_between(void)
{
    unsigned int nr, state, replays = 0, in_state[VFIO_MSIX_STATES] = { 0 };

    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];

        state = core->vectors[nr].state;
        in_state[state]++;
        replays += core->vectors[nr].replay == VFIO_MSIX_REPLAY_PENDING;
        if (v->eventfd != (state != VFIO_MSIX_UNUSED) && !passing.ending) {
            fail("vector %u has %s eventfd", nr, v->eventfd ? "an" : "no");
        }
        if (v->irqfd != (state == VFIO_MSIX_IRQFD ||
                         state == VFIO_MSIX_DISCONNECT ||
                         state == VFIO_MSIX_SETUP_IRQFD ||
                         state == VFIO_MSIX_FAILED_IRQFD)) {
            fail("vector %u is %sKVM's", nr, v->irqfd ? "" : "not ");
        }
        if (vfio_msix_core_has_trigger(core, nr) && !v->trigger) {
            fail("vector %u has no trigger", nr);
        }
    }
    if (memcmp(in_state, core->in_state, sizeof(in_state))) {
        fail("the vectors in each state are counted wrongly");
    }
    if (replays != core->replays_pending) {
        fail("%u replays are pending, not %u", replays, core->replays_pending);
    }
}

static void check_vector(unsigned int nr)
{
    ModelVector *v = &model.v[nr];
    VFIOMSIXState state = core->vectors[nr].state;

    if (state >= VFIO_MSIX_SETUP) {
        fail("vector %u rests in %s", nr, vfio_msix_state_name(state));
    }
    if (v->trigger != vfio_msix_core_has_trigger(core, nr)) {
        fail("vector %u has a trigger that is not known of", nr);
    }
    if (!model.enabled) {
        return;
    }
    if (core->vectors[nr].masked != guest_masks(nr)) {
        fail("vector %u is not known to be %s", nr,
             guest_masks(nr) ? "masked" : "unmasked");
    }
    if (!guest_masks(nr) && !v->trigger) {
        if (!v->reported) {
            fail("vector %u has no trigger and is not reported", nr);
        }
        if (model.host_on && v->eventfd && !v->refused) {
            fail("vector %u has no trigger, which no host refuses", nr);
        }
    }
    forget_the_past(nr);
}

/* At the end of each event.  Also forgets what cannot matter any more. */
void oracle_check_rest(void)
{
    VFIOMSIXStep step;
    unsigned int nr;

    if (vfio_msix_core_next(core, &step)) {
        fail("%s is still to be done", step_name(&step));
    }
    if (core->phase != (!model.enabled ? VFIO_MSIX_OFF : model.host_on ?
                        VFIO_MSIX_ON : VFIO_MSIX_HOST_OFF)) {
        fail("MSI-X rests in phase %d", core->phase);
    }
    if (config->noresize && core->host_vectors != model.allocated) {
        fail("the host has %u vectors, not %u", model.allocated,
             core->host_vectors);
    }
    if (model.parked && core->phase != VFIO_MSIX_HOST_OFF) {
        fail("INTx is parked still");
    }
    if (model.shown != core->pba_shown) {
        fail("QEMU's PBA is %sshown", model.shown ? "" : "not ");
    }
    for (nr = 0; nr < config->vectors; nr++) {
        check_vector(nr);
    }
}

/* When all is quiet */
void oracle_check_settled(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];

        if (!model.enabled || guest_masks(nr) || !v->raised) {
            continue;
        }
        if (v->trigger) {
            /*
             * A reset by the guest is followed by its unmask.  One that nobody
             * has seen is not known of before a driver restores the table.
             */
            if (!v->wiped || !(v->reset || v->wiped_silently)) {
                fail("vector %u was raised and is lost", nr);
            }
        } else if (model.host_on && v->eventfd && !v->pending) {
            /* Of others it was reported that they get no interrupts */
            fail("vector %u was raised, and only QEMU knows it", nr);
        }
    }
    if (model.enabled) {
        oracle_check_pba(glue_read_pba());
    }
}

/* When the timer has come once, if it was due */
void oracle_check_kvm(void)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];

        if (config->kvm && model.enabled && !guest_masks(nr) && v->trigger &&
            !v->no_kvm && !v->irqfd) {
            fail("vector %u stays unmasked and KVM does not get it", nr);
        }
    }
}

/* MSI-X is disabled, by the guest or for good */
void oracle_check_gone(void)
{
    unsigned int nr;

    if (model.host_on || model.parked || model.shown) {
        fail("%s after the end", model.host_on ? "MSI-X is enabled" :
             model.parked ? "INTx is parked" : "QEMU's PBA is shown");
    }
    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *v = &model.v[nr];

        if (v->irqfd || v->trigger || v->eventfd ||
            v->committed != NO_ROUTE || v->written != NO_ROUTE) {
            fail("vector %u still has something after the end", nr);
        }
        if (core->vectors[nr].state != VFIO_MSIX_UNUSED) {
            fail("vector %u is %s after the end", nr,
                 vfio_msix_state_name(core->vectors[nr].state));
        }
        if (qemu_pending(nr)) {
            fail("vector %u has QEMU's pending bit after the end", nr);
        }
    }
    if (core->replays_pending) {
        fail("there are replays after the end");
    }
}
