# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated host: boots a real kernel and runs cases on its vfio-pci."""
