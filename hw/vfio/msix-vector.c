/*
 * MSI-X of vfio-pci: the state of one vector
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "msix-core.h"

bool vfio_msix_is_passing(VFIOMSIXState state)
{
    return state >= VFIO_MSIX_SETUP;
}

void vfio_msix_set_state(VFIOMSIXCore *core, unsigned int nr, VFIOMSIXState to)
{
    VFIOMSIXVector *vector = &core->vectors[nr];
    VFIOMSIXState from = vector->state;

    if (from == to) {
        return;
    }

    vector->state = to;
    core->in_state[from]--;
    core->in_state[to]++;
    if (vfio_msix_is_passing(to)) {
        core->first = MIN(core->first, nr);
    }
    core->notify->state(core, nr, from, to);
}

void vfio_msix_set_replay(VFIOMSIXCore *core, unsigned int nr,
                          VFIOMSIXReplay replay)
{
    VFIOMSIXVector *vector = &core->vectors[nr];

    core->replays_pending -= vector->replay == VFIO_MSIX_REPLAY_PENDING;
    vector->replay = replay;
    core->replays_pending += vector->replay == VFIO_MSIX_REPLAY_PENDING;
}

bool vfio_msix_test_pending(const uint8_t *pba, unsigned int nr)
{
    return pba[nr / 8] & 1 << nr % 8;
}

void vfio_msix_set_pending(VFIOMSIXCore *core, unsigned int nr)
{
    core->pba[nr / 8] |= 1 << nr % 8;
    core->pba_changed = true;
}

void vfio_msix_clear_pending(VFIOMSIXCore *core, unsigned int nr)
{
    core->pba[nr / 8] &= ~(1 << nr % 8);
    core->pba_changed = true;
}

bool vfio_msix_state_has_trigger(VFIOMSIXState state)
{
    switch (state) {
    case VFIO_MSIX_DIRECT:
    case VFIO_MSIX_WAITING:
    case VFIO_MSIX_IRQFD:
    case VFIO_MSIX_ROUTE:
    case VFIO_MSIX_CONNECT:
    case VFIO_MSIX_DISCONNECT:
        return true;
    default:
        return false;
    }
}

bool vfio_msix_needs_trigger(VFIOMSIXState state)
{
    return state == VFIO_MSIX_SETUP || state == VFIO_MSIX_SETUP_IRQFD;
}

void vfio_msix_trigger_is_set(VFIOMSIXCore *core, unsigned int nr)
{
    VFIOMSIXVector *vector = &core->vectors[nr];

    vector->stale = false;
    if (vector->state == VFIO_MSIX_SETUP_IRQFD) {
        vfio_msix_set_state(core, nr, VFIO_MSIX_IRQFD);
    } else if (core->kvm && !vector->masked) {
        vfio_msix_set_state(core, nr, VFIO_MSIX_ROUTE);
    } else {
        vfio_msix_set_state(core, nr, VFIO_MSIX_DIRECT);
    }
}

void vfio_msix_trigger_failed(VFIOMSIXCore *core, unsigned int nr,
                              VFIOMSIXReason reason, int ret)
{
    VFIOMSIXState state = core->vectors[nr].state;

    core->vectors[nr].stale = false;
    vfio_msix_set_state(core, nr, state == VFIO_MSIX_SETUP_IRQFD ?
                        VFIO_MSIX_FAILED_IRQFD : VFIO_MSIX_FAILED);
    core->notify->failed(core, nr, reason, ret);
}

void vfio_msix_may_be_lost(VFIOMSIXCore *core, unsigned int nr)
{
    VFIOMSIXVector *vector = &core->vectors[nr];

    if (core->replays && vector->replay == VFIO_MSIX_REPLAY_NONE &&
        !vfio_msix_test_pending(core->pba, nr)) {
        vfio_msix_set_replay(core, nr, vector->masked ?
                             VFIO_MSIX_REPLAY_IF_SAME :
                             VFIO_MSIX_REPLAY_PENDING);
    }
}

const char *vfio_msix_state_name(VFIOMSIXState state)
{
    static const char *const names[] = {
        [VFIO_MSIX_UNUSED] = "unused",
        [VFIO_MSIX_FAILED] = "failed",
        [VFIO_MSIX_DIRECT] = "direct",
        [VFIO_MSIX_WAITING] = "waiting",
        [VFIO_MSIX_IRQFD] = "irqfd",
        [VFIO_MSIX_SETUP] = "setup",
        [VFIO_MSIX_SETUP_IRQFD] = "setup-irqfd",
        [VFIO_MSIX_ROUTE] = "route",
        [VFIO_MSIX_CONNECT] = "connect",
        [VFIO_MSIX_DISCONNECT] = "disconnect",
        [VFIO_MSIX_FAILED_IRQFD] = "failed-irqfd",
    };

    return names[state];
}
