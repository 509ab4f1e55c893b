/*
 * vfio-sim: KVM's irqfds, with messages that a test can see
 *
 * What KVM injects goes to a vCPU, where a test whose guest does not run sees
 * nothing of it.  If it is asked for, the irqfds of MSI routes are therefore
 * served here, and a message is what it is for a device on a bus: a write to
 * the guest's memory.  Everything else is the real KVM's, also the table of
 * routes with its limit.
 *
 * The rules are those of virt/kvm/eventfd.c and fs/eventfd.c:
 *
 * - A signal of an eventfd that has an irqfd is consumed and injected, by the
 *   signaller and before it goes on; a poll() of the eventfd sees nothing.
 * - What the eventfd has counted when the irqfd is assigned is injected once,
 *   and stays counted until the next signal, or the end of the irqfd, drains
 *   it.
 * - Deassigning drains.  An injection has ended before, or comes never.
 * - The route is looked up at each injection.  Without one nothing is injected,
 *   and the signal is consumed all the same.
 *
 * The signallers are the device (sim_eventfd_signal()) and the process itself
 * (write()).  One lock makes all of this as atomic as it is in the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "kvm.h"
#include "real.h"
#include "sim.h"

/* More than KVM has (KVM_MAX_IRQ_ROUTES, KVM_USER_MEM_SLOTS) */
#define MAX_GSIS 8192
#define MAX_SLOTS 32768

/* The numbers of eventfds, which the kernel hands out from below */
#define MAX_IDS 65536

typedef struct Route {
    bool is_msi;
    uint64_t address;
    uint32_t data;
} Route;

typedef struct Irqfd {
    int ref;                    /* of the eventfd */
    unsigned gsi;
} Irqfd;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Route routes[MAX_GSIS];
static struct kvm_userspace_memory_region slots[MAX_SLOTS];
static unsigned nr_slots;       /* the highest ever used, and one */
static Irqfd *irqfds[MAX_IDS];  /* by the eventfd's number */
static SimKvmCounters counters;

/*
 * Descriptors whose eventfd is known to have an irqfd, for a look without the
 * lock: it is the caller's own business not to write and assign at once.
 */
static _Atomic bool assigned[MAX_IDS];

void sim_kvm_counters(SimKvmCounters *c)
{
    pthread_mutex_lock(&mutex);
    *c = counters;
    pthread_mutex_unlock(&mutex);
}

/* An index of irqfds[], or -1 */
static int eventfd_id(int fd)
{
    int id = sim_eventfd_id(fd);

    return id < MAX_IDS ? id : -1;
}

/* The eventfds of references, to spare a look at /proc for each signal */
static _Atomic int ids[1 << 20];

void sim_kvm_eventfd_got(int ref)
{
    if (sim_settings.irqfds && ref >= 0 && ref < (int)SIM_N_ELEMENTS(ids)) {
        ids[ref] = eventfd_id(ref);
    }
}

static bool is_signalled(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };

    return poll(&pfd, 1, 0) == 1 && pfd.revents & POLLIN;
}

static void drain(int fd)
{
    uint64_t count;

    if (is_signalled(fd)) {
        ssize_t got = read(fd, &count, sizeof(count));

        (void)got;
    }
}

/* Where the guest has this word of its memory, NULL if it has none there */
static uint32_t *guest_word(uint64_t address)
{
    unsigned i;

    for (i = 0; i < nr_slots; i++) {
        const struct kvm_userspace_memory_region *s = &slots[i];

        if (address >= s->guest_phys_addr && address % 4 == 0 &&
            address - s->guest_phys_addr + 4 <= s->memory_size) {
            return (uint32_t *)(uintptr_t)(s->userspace_addr +
                                           address - s->guest_phys_addr);
        }
    }
    return NULL;
}

/* Under the lock */
static void inject(const Irqfd *i)
{
    const Route *route = &routes[i->gsi];
    uint32_t *word = route->is_msi ? guest_word(route->address) : NULL;

    if (word) {
        __atomic_store_n(word, route->data, __ATOMIC_SEQ_CST);
        counters.injected++;
    } else {
        counters.misses++;
    }
}

/* Under the lock.  True if the eventfd has an irqfd, which has been served. */
static bool signalled(int id)
{
    Irqfd *i = id >= 0 ? irqfds[id] : NULL;

    if (!i) {
        return false;
    }
    drain(i->ref);
    inject(i);
    return true;
}

bool sim_kvm_signal(int ref, void (*otherwise)(int ref))
{
    int id;

    if (!sim_settings.irqfds) {
        return false;
    }
    id = ref >= 0 && ref < (int)SIM_N_ELEMENTS(ids) ? ids[ref] : -1;
    /* An irqfd must not come between the look and the signal */
    pthread_mutex_lock(&mutex);
    if (!signalled(id)) {
        otherwise(ref);
    }
    pthread_mutex_unlock(&mutex);
    return true;
}

bool sim_kvm_write(int fd)
{
    bool done;

    if (fd < 0 || fd >= MAX_IDS || !assigned[fd]) {
        return false;
    }
    pthread_mutex_lock(&mutex);
    done = signalled(eventfd_id(fd));
    pthread_mutex_unlock(&mutex);
    return done;
}

static void set_routes(const struct kvm_irq_routing *table)
{
    unsigned i;

    pthread_mutex_lock(&mutex);
    memset(routes, 0, sizeof(routes));
    for (i = 0; i < table->nr; i++) {
        const struct kvm_irq_routing_entry *e = &table->entries[i];

        if (e->type == KVM_IRQ_ROUTING_MSI && e->gsi < MAX_GSIS) {
            routes[e->gsi].is_msi = true;
            routes[e->gsi].address = e->u.msi.address_lo |
                                     (uint64_t)e->u.msi.address_hi << 32;
            routes[e->gsi].data = e->u.msi.data;
        }
    }
    pthread_mutex_unlock(&mutex);
}

static void set_slot(const struct kvm_userspace_memory_region *region)
{
    /* The upper half is the address space, of which only the first counts */
    unsigned slot = region->slot;

    if (slot >= MAX_SLOTS) {
        return;
    }
    slots[slot] = *region;
    nr_slots = slot < nr_slots ? nr_slots : slot + 1;
}

/* Returns what the ioctl does; 1 if it is for the real KVM */
static int assign(const struct kvm_irqfd *arg)
{
    int id, ref, result = 1;

    if (arg->flags || arg->gsi >= MAX_GSIS) {
        return 1;
    }
    if (sim_fault_call(NULL, SIM_CALL_KVM_IRQFD, 0, 0, &result)) {
        return result;
    }
    ref = sim_eventfd_get(arg->fd);
    if (ref < 0) {
        return ref;
    }
    id = eventfd_id(ref);
    if (id < 0) {
        sim_die("eventfd %u has no number below %d", arg->fd, MAX_IDS);
    }

    pthread_mutex_lock(&mutex);
    if (!routes[arg->gsi].is_msi) {
        result = 1;
    } else if (irqfds[id]) {
        result = -EBUSY;
    } else {
        Irqfd *i = malloc(sizeof(*i));

        if (!i) {
            sim_die("no memory");
        }
        *i = (Irqfd) { ref, arg->gsi };
        irqfds[id] = i;
        counters.irqfds++;
        if (arg->fd < MAX_IDS) {
            assigned[arg->fd] = true;
        }
        if (is_signalled(ref)) {
            inject(i);
        }
        result = 0;
    }
    pthread_mutex_unlock(&mutex);
    if (result) {
        sim_eventfd_put(ref);
    }
    return result;
}

static int deassign(const struct kvm_irqfd *arg)
{
    int id = eventfd_id(arg->fd), result = 1;

    if (arg->flags != KVM_IRQFD_FLAG_DEASSIGN || id < 0) {
        return 1;
    }
    pthread_mutex_lock(&mutex);
    if (irqfds[id]) {
        drain(irqfds[id]->ref);
        sim_eventfd_put(irqfds[id]->ref);
        free(irqfds[id]);
        irqfds[id] = NULL;
        counters.irqfds--;
        if (arg->fd < MAX_IDS) {
            assigned[arg->fd] = false;
        }
        result = 0;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static void reach(SimCall call, SimPlace place)
{
    unsigned i;

    for (i = 0; i < sim_settings.nr_devices; i++) {
        if (sim_settings.devices[i]->open_count) {
            sim_reach(sim_settings.devices[i], call, place);
        }
    }
}

bool sim_kvm_wants(unsigned long request)
{
    return sim_is_active() && (request == KVM_IRQFD ||
                               request == KVM_SET_GSI_ROUTING ||
                               request == KVM_SET_USER_MEMORY_REGION);
}

static int real_ioctl(int fd, unsigned long request, void *arg)
{
    int result = sim_real()->ioctl(fd, request, arg);

    return result < 0 ? -errno : result;
}

static int irqfd_call(int fd, struct kvm_irqfd *arg)
{
    bool comes = !(arg->flags & KVM_IRQFD_FLAG_DEASSIGN);
    int result = 1;

    reach(SIM_CALL_KVM_IRQFD, SIM_PLACE_START);
    if (sim_settings.irqfds) {
        result = comes ? assign(arg) : deassign(arg);
    }
    if (result > 0) {
        result = real_ioctl(fd, KVM_IRQFD, arg);
    }
    reach(SIM_CALL_KVM_IRQFD, SIM_PLACE_END);
    return result;
}

int sim_kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int result;

    switch (request) {
    case KVM_IRQFD:
        return irqfd_call(fd, arg);
    case KVM_SET_GSI_ROUTING:
        reach(SIM_CALL_KVM_ROUTES, SIM_PLACE_START);
        result = real_ioctl(fd, request, arg);
        if (!result) {
            set_routes(arg);
        }
        reach(SIM_CALL_KVM_ROUTES, SIM_PLACE_END);
        return result;
    default:
        /* Nobody may write to memory that goes away */
        pthread_mutex_lock(&mutex);
        result = real_ioctl(fd, request, arg);
        if (!result) {
            set_slot(arg);
        }
        pthread_mutex_unlock(&mutex);
        return result;
    }
}
