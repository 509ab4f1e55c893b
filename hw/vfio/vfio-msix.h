/*
 * MSI-X of vfio-pci: what is true of each vector, and what is done about it
 *
 * The core (msix-core.c, msix-steps.c, msix-vector.c) decides and keeps the
 * state.  It does no I/O and knows no QEMU device, so that tests/core explores
 * it with every answer of a host.  pci.c tells it what the guest does, and
 * vfio_msix_run() does what it says.  The other files each do one kind of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_VFIO_MSIX_H
#define HW_VFIO_VFIO_MSIX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The state of a vector: who listens to its eventfd, and whether the host
 * signals that (the trigger of VFIO_DEVICE_SET_IRQS).
 */
typedef enum VFIOMSIXState {
    /* Resting states: what is found between two events */
    VFIO_MSIX_UNUSED,         /* no eventfd, no trigger */
    VFIO_MSIX_FAILED,         /* no trigger; tried again at each unmask */
    VFIO_MSIX_DIRECT,         /* trigger set, QEMU listens */
    VFIO_MSIX_WAITING,        /* the same; KVM's at the next commit of routes */
    VFIO_MSIX_IRQFD,          /* trigger set, KVM listens */
    /* Passing states: one step is to be done, none outlasts vfio_msix_run() */
    VFIO_MSIX_SETUP,          /* trigger to be set, QEMU listens */
    VFIO_MSIX_SETUP_IRQFD,    /* trigger to be set, KVM listens */
    VFIO_MSIX_ROUTE,          /* trigger set; the route is to be brought up */
    VFIO_MSIX_CONNECT,        /* trigger set, route committed; KVM to listen */
    VFIO_MSIX_DISCONNECT,     /* trigger set; KVM must stop listening */
    VFIO_MSIX_FAILED_IRQFD,   /* no trigger; KVM must stop listening */
    VFIO_MSIX_STATES,
} VFIOMSIXState;

/* MSI-X on the host; again some that rest and some that are passed through */
typedef enum VFIOMSIXPhase {
    VFIO_MSIX_OFF,            /* disabled by the guest and on the host */
    VFIO_MSIX_STARTING,       /* the guest is enabling it; events collect */
    VFIO_MSIX_ON,             /* enabled on the host */
    VFIO_MSIX_HOST_OFF,       /* guest has it enabled, the host could not */
    VFIO_MSIX_SAVING,         /* before a resize: the PBA is to be read */
    VFIO_MSIX_DISABLING,      /* before a resize: to be disabled */
    VFIO_MSIX_ENABLING,       /* with the triggers of all vectors in use */
    VFIO_MSIX_CLEARING,       /* that failed: whatever is in the way must go */
    VFIO_MSIX_ENABLING_BARE,  /* without triggers */
    VFIO_MSIX_ADDING,         /* host that can: triggers beyond a hole */
    VFIO_MSIX_PARKING,        /* could not be enabled: INTx must not run wild */
    VFIO_MSIX_STOPPING,       /* the guest has disabled it */
} VFIOMSIXPhase;

/* May the device have raised what the host has not passed on? */
typedef enum VFIOMSIXReplay {
    VFIO_MSIX_REPLAY_NONE,
    /*
     * MSI-X was off on the host while the guest had the vector masked: unless
     * the guest gives the vector another message, which drivers do that take
     * it into use anew, it is signalled at the unmask.
     */
    VFIO_MSIX_REPLAY_IF_SAME,
    VFIO_MSIX_REPLAY_PENDING, /* to be signalled when MSI-X is on */
} VFIOMSIXReplay;

/* Why a vector has no trigger */
typedef enum VFIOMSIXReason {
    VFIO_MSIX_NO_EVENTFD,
    VFIO_MSIX_NO_TRIGGER,     /* the host cannot set it */
    VFIO_MSIX_NO_VECTOR,      /* the host has no more vectors */
    VFIO_MSIX_NO_MSIX,        /* MSI-X cannot be enabled on the host */
} VFIOMSIXReason;

typedef struct VFIOMSIXVector {
    VFIOMSIXState state;      /* changed by vfio_msix_set_state() only */
    VFIOMSIXReplay replay;
    bool masked;              /* by the guest, by itself or with all */
    bool stale;               /* the device may have lost the host's entry */
    bool written;             /* the guest wrote its message since the unmask */
    uint64_t address;         /* message at the last unmask */
    uint32_t data;
} VFIOMSIXVector;

/* What is to be done next, and what is answered */
typedef enum VFIOMSIXOp {
    /* Set the trigger of vector @nr, MSI-X being on.  0 or -errno */
    VFIO_MSIX_SET_TRIGGER,
    /*
     * Enable MSI-X with vectors 0 to @count - 1, and the triggers of those in
     * VFIO_MSIX_SETUP and VFIO_MSIX_SETUP_IRQFD.  0, -errno, or the number of
     * vectors that could be had, with none set up
     */
    VFIO_MSIX_ENABLE,
    /* The same without triggers */
    VFIO_MSIX_ENABLE_BARE,
    /*
     * Set the triggers, as above, of @count vectors from @nr on, MSI-X being
     * on.  0, -errno or a positive number
     */
    VFIO_MSIX_ADD_BLOCK,
    /* Disable INTx, MSI and MSI-X on the host.  0 */
    VFIO_MSIX_CLEAR,
    /* Disable MSI-X; if @count is 0 it is off, and INTx may be parked.  0 */
    VFIO_MSIX_DISABLE,
    /*
     * Have the host's driver keep INTx masked, as MSI-X cannot be enabled for
     * @count vectors because of @ret.  0
     */
    VFIO_MSIX_PARK,
    /* Read the device's PBA into @bits; 0s if it cannot be read.  0 */
    VFIO_MSIX_READ_PBA,
    /* Signal the eventfd of vector @nr.  0 */
    VFIO_MSIX_REPLAY,
    /*
     * Give the route of vector @nr its message.  0 if KVM has it so already, 1
     * if routes of this device are to be committed first, or -errno
     */
    VFIO_MSIX_UPDATE_ROUTE,
    /* Commit the routes; vfio_msix_core_timer() follows a few ms later.  0 */
    VFIO_MSIX_COMMIT,
    /* KVM listens to vector @nr instead of QEMU.  0, or -errno: QEMU does */
    VFIO_MSIX_ASSIGN,
    /* QEMU listens to vector @nr instead of KVM.  0 */
    VFIO_MSIX_DEASSIGN,
    /* Show the guest QEMU's PBA if @count is 1, else the device's.  0 */
    VFIO_MSIX_SHOW_PBA,
} VFIOMSIXOp;

typedef struct VFIOMSIXStep {
    VFIOMSIXOp op;
    unsigned int nr;
    unsigned int count;
    int ret;
    uint8_t *bits;
} VFIOMSIXStep;

typedef struct VFIOMSIXCore VFIOMSIXCore;

/*
 * Told of each change of state, to trace it, and of each set-up that failed for
 * @reason with @ret, a negative errno.
 */
typedef struct VFIOMSIXNotify {
    void (*state)(VFIOMSIXCore *core, unsigned int nr, VFIOMSIXState from,
                  VFIOMSIXState to);
    void (*failed)(VFIOMSIXCore *core, unsigned int nr, VFIOMSIXReason reason,
                   int ret);
} VFIOMSIXNotify;

struct VFIOMSIXCore {
    const VFIOMSIXNotify *notify;
    VFIOMSIXVector *vectors;
    unsigned int entries;     /* of the device's table; 0 once torn down */
    uint8_t *pba;             /* QEMU's, (entries + 7) / 8 bytes or more */
    uint8_t *saved;           /* of the same size: the device's, at a resize */
    bool noresize;            /* VFIO_IRQ_INFO_NORESIZE */
    bool kvm;                 /* KVM may listen */
    bool replays;             /* x-msix-replay */

    VFIOMSIXPhase phase;
    unsigned int host_vectors; /* MSI-X was enabled with on the host; 0: off */
    unsigned int count;       /* to be enabled now */
    unsigned int need;        /* not less, unless the host names a number */
    unsigned int fallback;    /* number to be restored, or 0 */
    int cause;                /* negative errno of the last attempt */

    bool committed;           /* routes, less than a few ms ago */
    bool flush;               /* a vector that waits for a commit has fired */
    bool pba_shown;           /* QEMU's PBA covers the device's */
    bool pba_changed;         /* look whether it still must (or must not) */
    unsigned int replays_pending; /* vectors in VFIO_MSIX_REPLAY_PENDING */
    unsigned int in_state[VFIO_MSIX_STATES]; /* vectors in each state */
    unsigned int first;       /* none below is in a passing state */
};

/*
 * Life of a core.  All of it is called with the BQL held.  @pba is QEMU's
 * pending bit array, which the core changes and others may read; it must live
 * as long as the core.  vfio_msix_core_exit() frees what belongs to the core,
 * after which it may still be asked and told anything, in vain.
 */
void vfio_msix_core_init(VFIOMSIXCore *core, unsigned int entries, uint8_t *pba,
                         const VFIOMSIXNotify *notify);
void vfio_msix_core_exit(VFIOMSIXCore *core);

/*
 * Events.  Each may leave steps to be done: vfio_msix_core_next() has them, one
 * after the other, until it returns false.  @nr is less than entries.
 *
 * start: the guest enables MSI-X.  All vectors are masked then; an unmask of
 * those that are not follows, and vfio_msix_core_started() after the last.
 */
void vfio_msix_core_start(VFIOMSIXCore *core, bool noresize, bool kvm,
                          bool replays);
void vfio_msix_core_started(VFIOMSIXCore *core);
/* The guest disables MSI-X, or is reset.  Afterwards all vectors are unused. */
void vfio_msix_core_stop(VFIOMSIXCore *core);
/*
 * The guest unmasks vector @nr, whose message is @address and @data.  @ret is 0
 * if it has an eventfd that QEMU listens to; a negative errno if an unused
 * vector could not be given one, which leaves it unused.  A bit of vector @nr
 * that is left in QEMU's PBA after this is to be cleared and delivered by the
 * caller, as QEMU's MSI-X code does.  There is none without an eventfd.
 */
void vfio_msix_core_unmask(VFIOMSIXCore *core, unsigned int nr,
                           uint64_t address, uint32_t data, int ret);
/* The guest masks vector @nr.  KVM delivers none once the steps are done. */
void vfio_msix_core_mask(VFIOMSIXCore *core, unsigned int nr);
/* The guest writes the message of vector @nr, also if to the same. */
void vfio_msix_core_message(VFIOMSIXCore *core, unsigned int nr,
                            uint64_t address, uint32_t data);
/* The guest has reset the device, whose table may be empty now. */
void vfio_msix_core_reset(VFIOMSIXCore *core);
/* The time to collect vectors for one commit of routes is over. */
void vfio_msix_core_timer(VFIOMSIXCore *core);
/*
 * The eventfd of vector @nr is signalled and QEMU listens, to be called before
 * it is read.  Returns true if KVM is to have the vector, and what was
 * signalled with it: do the steps, and if that left the vector
 * in VFIO_MSIX_IRQFD, do not read the eventfd.
 */
bool vfio_msix_core_signalled(VFIOMSIXCore *core, unsigned int nr);
/*
 * The eventfd of vector @nr was read by QEMU.  Returns true if the caller is to
 * send the vector's message; false if it is masked, and its bit is in QEMU's
 * PBA now.
 */
bool vfio_msix_core_interrupt(VFIOMSIXCore *core, unsigned int nr);

/*
 * What is to be done next, if anything; it is the same until the answer goes to
 * vfio_msix_core_answer(), which changes the core.
 */
bool vfio_msix_core_next(VFIOMSIXCore *core, VFIOMSIXStep *step);
void vfio_msix_core_answer(VFIOMSIXCore *core, const VFIOMSIXStep *step,
                           int ret);

/*
 * Whether the next step for vector @nr is VFIO_MSIX_SET_TRIGGER: MSI-X is on,
 * and the host has the vector or can add it.
 */
bool vfio_msix_core_wants_trigger(VFIOMSIXCore *core, unsigned int nr);
/* Whether QEMU's PBA has the bit of vector @nr */
bool vfio_msix_core_pending(VFIOMSIXCore *core, unsigned int nr);
/* Whether the host signals the eventfd of vector @nr */
bool vfio_msix_core_has_trigger(VFIOMSIXCore *core, unsigned int nr);
const char *vfio_msix_state_name(VFIOMSIXState state);

/*
 * The rest is QEMU's.  All of it is called with the BQL held.
 */

typedef struct VFIOPCIDevice VFIOPCIDevice;
typedef struct VFIOMSIVector VFIOMSIVector;
struct Error;

/*
 * msix-host.c: do what the core asks for, until there is nothing more.  Fails
 * in nothing: a vector that cannot be set up is reported and in a state of its
 * own.  Does nothing for a device that has been torn down, nor within itself:
 * the outer call does it.
 */
void vfio_msix_run(VFIOPCIDevice *vdev);
/*
 * setup comes after msix_init(), teardown before msix_uninit().  A vCPU may be
 * in one of our memory regions all the same and get the BQL after teardown: so
 * what it uses lives until finalize, when the device itself goes.
 */
void vfio_msix_host_setup(VFIOPCIDevice *vdev);
void vfio_msix_host_teardown(VFIOPCIDevice *vdev);
void vfio_msix_host_finalize(VFIOPCIDevice *vdev);

/*
 * msix-table.c: the device's own MSI-X table and PBA, and what the guest sees
 * of the latter.
 */
void vfio_msix_table_setup(VFIOPCIDevice *vdev);
void vfio_msix_table_teardown(VFIOPCIDevice *vdev);
void vfio_msix_show_pba(VFIOPCIDevice *vdev, bool show);
/* The device's pending bits; 0s while it cannot be read. */
void vfio_msix_read_pba(VFIOPCIDevice *vdev, uint8_t *bits);
/*
 * The guest has written @val, of @len bytes, to @addr of config space: if that
 * resets the device, tell the core.
 */
void vfio_msix_config_written(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                              int len);

/*
 * msix-kvm.c: routes and irqfds of MSI-X vectors.  The eventfd is always
 * vector->interrupt; nothing is lost when its listener changes, because KVM
 * injects what it finds signalled and leaves what is signalled after it.
 */
void vfio_msix_kvm_setup(VFIOPCIDevice *vdev);
void vfio_msix_kvm_teardown(VFIOPCIDevice *vdev);
void vfio_msix_kvm_finalize(VFIOPCIDevice *vdev);
/* KVM may have vectors of this device. */
bool vfio_msix_kvm_wanted(VFIOPCIDevice *vdev);
/* These are the answers to the steps of the same names. */
int vfio_msix_kvm_update_route(VFIOPCIDevice *vdev, unsigned int nr);
int vfio_msix_kvm_commit(VFIOPCIDevice *vdev);
int vfio_msix_kvm_assign(VFIOPCIDevice *vdev, unsigned int nr);
int vfio_msix_kvm_deassign(VFIOPCIDevice *vdev, unsigned int nr);
/* Give back the route, if there is one, of a vector that QEMU listens to. */
void vfio_msix_kvm_release(VFIOMSIVector *vector);

/*
 * msix-report.c: what the log is told.  A guest decides how often most of it
 * happens, so that all of it is limited: in a minute as many lines as there are
 * MSI-X vectors and 64.
 */
bool vfio_irq_may_report(VFIOPCIDevice *vdev);
/* As error_report() with the device's name in front; frees @err. */
void vfio_irq_report_err(VFIOPCIDevice *vdev, struct Error *err);
/*
 * Vector @nr of MSI or MSI-X gets no interrupts because of @what, which failed
 * with @ret, a negative errno: one line until it is enabled again.
 */
void vfio_irq_report_vector(VFIOPCIDevice *vdev, unsigned int nr,
                            const char *what, int ret);
/* What may help against @ret, a negative errno of setting up an interrupt */
const char *vfio_irq_remedy(int ret);

/*
 * msix-limits.c: what the host allows.
 *
 * query_noresize: whether it can add MSI-X vectors one by one.  Returns false
 * and sets @errp if the user insists on what cannot be had.
 */
bool vfio_msix_query_noresize(VFIOPCIDevice *vdev, struct Error **errp);
/* Have room for the eventfds of all vectors; warn where they may not fit. */
void vfio_msix_check_open_files(VFIOPCIDevice *vdev);

#endif /* HW_VFIO_VFIO_MSIX_H */
