/*
 * What the files of the MSI-X core share; vfio-msix.h is for everybody else
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VFIO_MSIX_CORE_H
#define HW_VFIO_MSIX_CORE_H

#include "vfio-msix.h"

/* One step is to be done for a vector in this state */
bool vfio_msix_is_passing(VFIOMSIXState state);
/* The host signals the eventfd of a vector in this state */
bool vfio_msix_state_has_trigger(VFIOMSIXState state);
/* The host is to be asked for it */
bool vfio_msix_needs_trigger(VFIOMSIXState state);

/* The only function that changes a vector's state; tells core->notify */
void vfio_msix_set_state(VFIOMSIXCore *core, unsigned int nr,
                         VFIOMSIXState to);
void vfio_msix_set_replay(VFIOMSIXCore *core, unsigned int nr,
                          VFIOMSIXReplay replay);
/*
 * What the host has answered to a vector that needs a trigger.  If it is set,
 * the host has also written the vector's entry in the device's table.
 */
void vfio_msix_trigger_is_set(VFIOMSIXCore *core, unsigned int nr);
void vfio_msix_trigger_failed(VFIOMSIXCore *core, unsigned int nr,
                              VFIOMSIXReason reason, int ret);
/*
 * MSI-X is off on the host while the guest has it enabled, and the device may
 * raise vector @nr, which it drops then.
 */
void vfio_msix_may_be_lost(VFIOMSIXCore *core, unsigned int nr);

/* Bits of a PBA, of QEMU's to be changed */
bool vfio_msix_test_pending(const uint8_t *pba, unsigned int nr);
void vfio_msix_set_pending(VFIOMSIXCore *core, unsigned int nr);
void vfio_msix_clear_pending(VFIOMSIXCore *core, unsigned int nr);

/* All vectors are unmasked that are to be: ask the host for MSI-X */
void vfio_msix_enable_on_host(VFIOMSIXCore *core);

#endif /* HW_VFIO_MSIX_CORE_H */
