/*
 * QTest testcase for MSI-X of vfio-pci: when KVM takes a vector, and what the guest's IOMMU makes of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    return g_test_run();
}
