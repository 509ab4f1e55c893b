/*
 * A machine with one msix-testdev passed through by vfio-pci
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vfio-machine.h"

/* Any free slot of the root bus */
#define SLOT 4

static void set_default_messages(QVfioMachine *m)
{
    unsigned n;

    for (n = 0; n < m->dev.vectors; n++) {
        qmsix_testdev_set_default_message(&m->dev, n);
    }
}

void qvfio_machine_start(QVfioMachine *m, const char *device,
                         const char *properties, const char *options)
{
    m->qts = qtest_initf(QVFIO_MACHINE_OPTIONS
                         "-device vfio-pci,id=dev0,addr=%d.0,%s%s %s",
                         SLOT, device, properties, options);
    pc_alloc_init(&m->alloc, m->qts, ALLOC_NO_FLAGS);
    m->bus = qpci_new_pc(m->qts, &m->alloc);
    m->pdev = qpci_device_find(m->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(m->pdev);

    qmsix_testdev_init(&m->dev, m->pdev, &m->alloc);
    set_default_messages(m);
}

void qvfio_machine_setup_device(QVfioMachine *m)
{
    qmsix_testdev_setup_pci(&m->dev);
    set_default_messages(m);
}

void qvfio_machine_stop(QVfioMachine *m)
{
    qmsix_testdev_free(&m->dev);
    g_free(m->pdev);
    qpci_free_pc(m->bus);
    alloc_destroy(&m->alloc);
    qtest_quit(m->qts);
}
