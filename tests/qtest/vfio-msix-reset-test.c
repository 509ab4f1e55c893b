/*
 * QTest testcase for MSI-X of vfio-pci: resets of the device by the guest, and unplugging it
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
