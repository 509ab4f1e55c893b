/*
 * A state of core, guest, device and host in a few bytes
 *
 * Millions of them are kept and compared.  What does not change is left out:
 * pointers, and what vfio_msix_core_start() is told of the host.  Whether the
 * core counts its vectors rightly is seen by oracle_check_between().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "search.h"
#include "state.h"

static uint8_t qemu_pba[8];

typedef struct PackedVector {
    uint8_t state;
    uint8_t replay:2;
    uint8_t masked:1;
    uint8_t stale:1;
    uint8_t written:1;
    uint8_t message:2;
    uint8_t unused:1;
} PackedVector;

typedef struct PackedCore {
    uint8_t phase;
    uint8_t host_vectors;
    uint8_t count;
    uint8_t need;
    uint8_t fallback;
    int8_t cause;
    uint8_t replays_pending;
    uint8_t first;
    uint8_t pba;
    uint8_t saved;
    uint8_t committed:1;
    uint8_t flush:1;
    uint8_t pba_shown:1;
    uint8_t pba_changed:1;
    uint8_t unused:4;
} PackedCore;

void state_init(VFIOMSIXCore *c)
{
    g_assert(VECTORS_MAX <= 8);
    vfio_msix_core_init(c, config->vectors, qemu_pba, &glue_notify);
    memset(qemu_pba, 0, sizeof(qemu_pba));
    memset(&model, 0, sizeof(model));
    oracle_init();
}

void state_exit(VFIOMSIXCore *c)
{
    vfio_msix_core_exit(c);
}

static void save_core(PackedVector *v, PackedCore *c)
{
    unsigned int nr;

    for (nr = 0; nr < config->vectors; nr++) {
        const VFIOMSIXVector *vector = &core->vectors[nr];

        v[nr] = (PackedVector) {
            .state = vector->state,
            .replay = vector->replay,
            .masked = vector->masked,
            .stale = vector->stale,
            .written = vector->written,
            .message = vector->address,
        };
    }
    *c = (PackedCore) {
        .phase = core->phase,
        .host_vectors = core->host_vectors,
        .count = core->count,
        .need = core->need,
        .fallback = core->fallback,
        .cause = core->cause,
        .replays_pending = core->replays_pending,
        .first = core->first,
        .pba = core->pba[0],
        .saved = core->saved[0],
        .committed = core->committed,
        .flush = core->flush,
        .pba_shown = core->pba_shown,
        .pba_changed = core->pba_changed,
    };
}

static void load_core(const PackedVector *v, const PackedCore *c)
{
    unsigned int nr;

    memset(core->in_state, 0, sizeof(core->in_state));
    for (nr = 0; nr < config->vectors; nr++) {
        core->vectors[nr] = (VFIOMSIXVector) {
            .state = v[nr].state,
            .replay = v[nr].replay,
            .masked = v[nr].masked,
            .stale = v[nr].stale,
            .written = v[nr].written,
            .address = v[nr].message,
            .data = v[nr].message,
        };
        core->in_state[v[nr].state]++;
    }
    core->phase = c->phase;
    core->host_vectors = c->host_vectors;
    core->count = c->count;
    core->need = c->need;
    core->fallback = c->fallback;
    core->cause = c->cause;
    core->replays_pending = c->replays_pending;
    core->first = c->first;
    core->pba[0] = c->pba;
    core->saved[0] = c->saved;
    core->committed = c->committed;
    core->flush = c->flush;
    core->pba_shown = c->pba_shown;
    core->pba_changed = c->pba_changed;
}

size_t state_save(uint8_t *state)
{
    const size_t vectors = config->vectors * sizeof(PackedVector);
    const size_t models = config->vectors * sizeof(*model.v);
    const size_t rest = sizeof(model) - offsetof(Model, enabled);
    PackedVector v[VECTORS_MAX];
    PackedCore c;
    uint8_t *at = state;

    save_core(v, &c);
    memcpy(at, v, vectors);
    memcpy(at += vectors, &c, sizeof(c));
    memcpy(at += sizeof(c), model.v, models);
    memcpy(at += models, &model.enabled, rest);

    return at + rest - state;
}

size_t state_load(const uint8_t *state)
{
    const size_t vectors = config->vectors * sizeof(PackedVector);
    const size_t models = config->vectors * sizeof(*model.v);
    const size_t rest = sizeof(model) - offsetof(Model, enabled);
    PackedVector v[VECTORS_MAX];
    PackedCore c;
    const uint8_t *at = state;

    memcpy(v, at, vectors);
    memcpy(&c, at += vectors, sizeof(c));
    memcpy(model.v, at += sizeof(c), models);
    memcpy(&model.enabled, at += models, rest);
    load_core(v, &c);

    return at + rest - state;
}

static unsigned int other_name(unsigned int message)
{
    return message == 1 || message == 2 ? 3 - message : message;
}

/* Which of the two messages is which has no meaning: the first one is 1 */
static void rename_messages(unsigned int nr)
{
    ModelVector *v = &model.v[nr];
    VFIOMSIXVector *vector = &core->vectors[nr];
    const unsigned int names[] = {
        v->message, v->last, v->written, v->committed, vector->address
    };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i] == 1) {
            return;
        }
        if (names[i] == 2) {
            break;
        }
    }
    v->message = other_name(v->message);
    v->last = other_name(v->last);
    v->written = other_name(v->written);
    v->committed = other_name(v->committed);
    vector->address = other_name(vector->address);
    vector->data = vector->address;
}

/*
 * What the core has left over, and sets anew before it looks at it.  That it
 * does is seen with --thorough, which goes without this.
 */
void state_forget_scratch(void)
{
    if (config->thorough) {
        return;
    }

    switch (core->phase) {
    case VFIO_MSIX_OFF:
    case VFIO_MSIX_ON:
    case VFIO_MSIX_HOST_OFF:
    case VFIO_MSIX_STOPPING:
        core->count = 0;
        core->need = 0;
        core->fallback = 0;
        core->cause = 0;
        break;
    default:
        break;
    }
    if (core->phase != VFIO_MSIX_SAVING && core->phase != VFIO_MSIX_DISABLING) {
        core->saved[0] = 0;
    }
}

void state_normalize(void)
{
    unsigned int nr;

    state_forget_scratch();
    for (nr = 0; nr < config->vectors; nr++) {
        VFIOMSIXVector *vector = &core->vectors[nr];

        rename_messages(nr);
        if (config->thorough) {
            continue;
        }
        if (core->phase == VFIO_MSIX_OFF) {
            *vector = (VFIOMSIXVector) { .masked = true };
        } else if (!vfio_msix_core_has_trigger(core, nr)) {
            vector->stale = false;
        }
    }
}

uint64_t state_hash_to_unplug(void)
{
    PackedVector v[VECTORS_MAX] = { 0 };
    PackedCore c;
    struct {
        PackedVector v[VECTORS_MAX];
        uint8_t had[VECTORS_MAX];
        uint8_t phase, host_vectors, pba, flags;
        uint8_t host_on, parked, shown;
    } all = { 0 };
    unsigned int nr;

    save_core(v, &c);
    for (nr = 0; nr < config->vectors; nr++) {
        const ModelVector *m = &model.v[nr];

        all.v[nr] = (PackedVector) { .state = v[nr].state,
                                     .replay = v[nr].replay };
        all.had[nr] = m->eventfd | m->trigger << 1 | m->irqfd << 2 |
                      (m->written != NO_ROUTE) << 3 | m->pending << 4 |
                      m->count << 5;
    }
    all.phase = c.phase;
    all.host_vectors = c.host_vectors;
    all.pba = c.pba;
    all.flags = c.pba_changed | c.committed << 1 | c.flush << 2;
    all.host_on = model.host_on;
    all.parked = model.parked;
    all.shown = model.shown;

    return hash_of((uint8_t *)&all, sizeof(all));
}
