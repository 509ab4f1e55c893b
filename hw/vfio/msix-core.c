/*
 * MSI-X of vfio-pci: what the guest, the device and time do to the vectors
 *
 * No I/O and no QEMU device: see vfio-msix.h for the contract, msix-steps.c for
 * what follows, and tests/core for the program that explores all of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "msix-core.h"

/*
 * Life
 */

void vfio_msix_core_init(VFIOMSIXCore *core, unsigned int entries, uint8_t *pba,
                         const VFIOMSIXNotify *notify)
{
    memset(core, 0, sizeof(*core));
    core->notify = notify;
    core->entries = entries;
    core->pba = pba;
    core->vectors = g_new0(VFIOMSIXVector, entries);
    core->saved = g_new0(uint8_t, (entries + 7) / 8);
    core->in_state[VFIO_MSIX_UNUSED] = entries;
    core->first = entries;
}

void vfio_msix_core_exit(VFIOMSIXCore *core)
{
    g_free(core->vectors);
    g_free(core->saved);
    memset(core, 0, sizeof(*core));
}

void vfio_msix_core_start(VFIOMSIXCore *core, bool noresize, bool kvm,
                          bool replays)
{
    unsigned int nr;

    if (!core->entries) {
        return;
    }

    for (nr = 0; nr < core->entries; nr++) {
        core->vectors[nr] = (VFIOMSIXVector) { .masked = true };
    }
    core->noresize = noresize;
    core->kvm = kvm;
    core->replays = replays;
    core->phase = VFIO_MSIX_STARTING;
    core->need = 1;
    core->fallback = 0;
    /* A migration may have brought some bits */
    core->pba_changed = true;
}

void vfio_msix_core_started(VFIOMSIXCore *core)
{
    if (core->phase == VFIO_MSIX_STARTING) {
        vfio_msix_enable_on_host(core);
    }
}

/*
 * The host cannot signal vector @nr before MSI-X has been disabled there and
 * enabled again with more.
 */
static void resize(VFIOMSIXCore *core, unsigned int nr)
{
    /* With MSI-X off there is nothing to lose, nor to be restored */
    core->phase = core->host_vectors ? VFIO_MSIX_SAVING : VFIO_MSIX_DISABLING;
    core->need = core->noresize ? nr + 1 : 1;
    core->fallback = core->host_vectors;
}

void vfio_msix_core_stop(VFIOMSIXCore *core)
{
    unsigned int nr;

    if (core->phase == VFIO_MSIX_OFF) {
        return;
    }

    for (nr = 0; nr < core->entries; nr++) {
        if (core->vectors[nr].state == VFIO_MSIX_IRQFD) {
            vfio_msix_set_state(core, nr, VFIO_MSIX_DISCONNECT);
        } else if (core->vectors[nr].state == VFIO_MSIX_SETUP_IRQFD) {
            vfio_msix_set_state(core, nr, VFIO_MSIX_FAILED_IRQFD);
        }
        vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_NONE);
    }
    core->phase = VFIO_MSIX_STOPPING;
}

/*
 * Events
 */

void vfio_msix_core_unmask(VFIOMSIXCore *core, unsigned int nr,
                           uint64_t address, uint32_t data, int ret)
{
    VFIOMSIXVector *vector;
    bool same;

    if (core->phase == VFIO_MSIX_OFF) {
        return;
    }

    vector = &core->vectors[nr];
    same = vector->address == address && vector->data == data;
    vector->masked = false;
    /*
     * A message that is written as it was is a driver's that restores the
     * table after a reset of its own: those of Intel's virtual functions, for
     * one, which the host does not see.
     */
    vector->stale |= vector->written && same &&
                     vfio_msix_state_has_trigger(vector->state);
    vector->written = false;
    vector->address = address;
    vector->data = data;
    if (vector->replay == VFIO_MSIX_REPLAY_IF_SAME) {
        /* A bit that came after it is delivered, and stands for both */
        vfio_msix_set_replay(core, nr,
                             same && !vfio_msix_test_pending(core->pba, nr) ?
                             VFIO_MSIX_REPLAY_PENDING :
                             VFIO_MSIX_REPLAY_NONE);
    }
    core->pba_changed |= core->pba_shown;

    switch (vector->state) {
    case VFIO_MSIX_UNUSED:
        if (ret) {
            core->notify->failed(core, nr, VFIO_MSIX_NO_EVENTFD, ret);
            if (vfio_msix_test_pending(core->pba, nr)) {
                /* Kept for a later unmask: QEMU's MSI-X code would drop it */
                vfio_msix_clear_pending(core, nr);
                vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_PENDING);
            }
            if (core->phase == VFIO_MSIX_HOST_OFF && core->replays) {
                vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_PENDING);
            }
            return;
        }
        /* fall through */
    case VFIO_MSIX_FAILED:
        if (vfio_msix_test_pending(core->pba, nr)) {
            /*
             * The device may have the bit as well, and signal the eventfd when
             * the trigger is set.  Signalled twice it is read once.
             */
            vfio_msix_clear_pending(core, nr);
            vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_PENDING);
        }
        if (core->phase == VFIO_MSIX_HOST_OFF ||
            (core->phase == VFIO_MSIX_ON && core->noresize &&
             nr >= core->host_vectors)) {
            resize(core, nr);
            /* One that is taken anew is not signalled out of the blue */
            if (same) {
                vfio_msix_may_be_lost(core, nr);
            }
        }
        vfio_msix_set_state(core, nr, VFIO_MSIX_SETUP);
        break;
    case VFIO_MSIX_DIRECT:
        if (vector->stale) {
            vfio_msix_set_state(core, nr, VFIO_MSIX_SETUP);
        } else if (core->kvm) {
            vfio_msix_set_state(core, nr, VFIO_MSIX_ROUTE);
        }
        break;
    default:
        /* It was not masked */
        break;
    }
}

void vfio_msix_core_mask(VFIOMSIXCore *core, unsigned int nr)
{
    if (core->phase == VFIO_MSIX_OFF) {
        return;
    }

    core->vectors[nr].masked = true;
    core->pba_changed |= vfio_msix_test_pending(core->pba, nr);
    if (core->vectors[nr].replay == VFIO_MSIX_REPLAY_PENDING &&
        !vfio_msix_state_has_trigger(core->vectors[nr].state)) {
        /* It cannot be signalled yet: let it be seen */
        vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_NONE);
        vfio_msix_set_pending(core, nr);
    }
    if (core->vectors[nr].state == VFIO_MSIX_IRQFD) {
        vfio_msix_set_state(core, nr, VFIO_MSIX_DISCONNECT);
    } else if (core->vectors[nr].state == VFIO_MSIX_WAITING) {
        vfio_msix_set_state(core, nr, VFIO_MSIX_DIRECT);
    }
}

void vfio_msix_core_message(VFIOMSIXCore *core, unsigned int nr,
                            uint64_t address, uint32_t data)
{
    VFIOMSIXVector *vector;
    unsigned int i;

    if (core->phase == VFIO_MSIX_OFF) {
        return;
    }

    vector = &core->vectors[nr];
    if (!address && !data) {
        /* The guest frees the vector: its next message is another, always */
        vector->address = 0;
        vector->data = 0;
        if (vector->replay == VFIO_MSIX_REPLAY_IF_SAME) {
            vfio_msix_set_replay(core, nr, VFIO_MSIX_REPLAY_NONE);
        }
    }
    if (vector->state == VFIO_MSIX_UNUSED || vector->written) {
        return;
    }

    vector->written = true;
    /* From the next one on, because most write them in their order */
    for (i = 1; i < core->entries; i++) {
        VFIOMSIXVector *other = &core->vectors[(nr + i) % core->entries];

        if (other->state != VFIO_MSIX_UNUSED && !other->written) {
            return;
        }
    }
    /* All of them: this is a driver that restores the table */
    vfio_msix_core_reset(core);
}

void vfio_msix_core_reset(VFIOMSIXCore *core)
{
    unsigned int nr;

    for (nr = 0; nr < core->entries; nr++) {
        if (vfio_msix_state_has_trigger(core->vectors[nr].state)) {
            core->vectors[nr].stale = true;
        }
    }
}

void vfio_msix_core_timer(VFIOMSIXCore *core)
{
    core->committed = false;
}

bool vfio_msix_core_signalled(VFIOMSIXCore *core, unsigned int nr)
{
    if (!core->entries || core->vectors[nr].state != VFIO_MSIX_WAITING) {
        return false;
    }

    core->flush = true;
    return true;
}

bool vfio_msix_core_interrupt(VFIOMSIXCore *core, unsigned int nr)
{
    if (core->phase == VFIO_MSIX_OFF) {
        return false;
    }
    if (core->vectors[nr].masked) {
        vfio_msix_set_pending(core, nr);
        return false;
    }
    return true;
}
