# SPDX-License-Identifier: GPL-2.0-or-later
"""The example domain of docs/libvirt.rst, made to run on the emulated host.

What is changed is what anybody has to change, the emulator, the device's
address and the disk, and what the guest of the lab needs: it is booted without
a boot loader, reports through files, and has an IOMMU for its own vfio-pci.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from . import paths
from .errors import Usage

EXAMPLE = paths.TREE / "docs" / "examples" / "libvirt-domain.xml"
OVERRIDE = paths.TREE / "docs" / "examples" / "libvirt-override.xml"
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
MEMORY = 256
BDF = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")

# By that prefix libvirt knows it, wherever it stands.
ElementTree.register_namespace("qemu", QEMU_NAMESPACE)


class Domain:
    """The example's XML."""

    def __init__(self) -> None:
        self.root = ElementTree.parse(EXAMPLE).getroot()

    def _find(self, path: str) -> ElementTree.Element:
        found = self.root.findall(path)
        if len(found) != 1:
            raise Usage(f"{EXAMPLE} has {len(found)} of {path}, not one")
        return found[0]

    @property
    def name(self) -> str:
        return self._find("name").text or ""

    @property
    def emulator(self) -> Path:
        return Path(self._find("devices/emulator").text or "")

    @property
    def disk(self) -> Path:
        return Path(self._find("devices/disk/source").get("file", ""))

    @property
    def alias(self) -> str:
        return self._find("devices/hostdev/alias").get("name", "")

    def use_emulator(self, path: Path) -> None:
        self._find("devices/emulator").text = str(path)

    def use_device(self, bdf: str) -> None:
        """The device on the host, DDDD:BB:SS.F."""
        match = BDF.fullmatch(bdf)
        if not match:
            raise Usage(f"{bdf} is no PCI address")
        address = self._find("devices/hostdev/source/address")
        for name, value in zip(("domain", "bus", "slot", "function"),
                               match.groups()):
            address.set(name, f"0x{value}")

    def use_override(self) -> None:
        """The example of experimental properties; it names the device."""
        override = ElementTree.parse(OVERRIDE).getroot()
        self.root.append(override)
        device = override.find(f"{{{QEMU_NAMESPACE}}}device")
        if device is None or device.get("alias") != self.alias:
            raise Usage(f"{OVERRIDE} is not about {self.alias}")

    def boot_guest(self, kernel: Path, initramfs: Path, line: str) -> None:
        """Directly; and small.  A guest that resets itself has panicked."""
        for name, text in (("kernel", str(kernel)), ("initrd", str(initramfs)),
                           ("cmdline", line)):
            ElementTree.SubElement(self._find("os"), name).text = text
        self._find("memory").text = str(MEMORY)
        ElementTree.SubElement(self.root, "on_reboot").text = "destroy"

    def report_to(self, *files: Path) -> None:
        """A serial port each, instead of the example's."""
        devices = self._find("devices")
        devices.remove(self._find("devices/serial"))
        for number, file in enumerate(files):
            serial = ElementTree.SubElement(devices, "serial", type="file")
            ElementTree.SubElement(serial, "source", path=str(file))
            ElementTree.SubElement(serial, "target", port=str(number))

    def add_iommu(self) -> None:
        """It excludes a full in-kernel irqchip."""
        ElementTree.SubElement(self._find("features"), "ioapic", driver="qemu")
        iommu = ElementTree.SubElement(self._find("devices"), "iommu",
                                       model="intel")
        ElementTree.SubElement(iommu, "driver", intremap="on",
                               caching_mode="on")

    def write(self, file: Path) -> None:
        ElementTree.ElementTree(self.root).write(file, encoding="utf-8")

    def write_device(self, file: Path) -> None:
        """The device alone, for attach-device and detach-device."""
        ElementTree.ElementTree(self._find("devices/hostdev")).write(
            file, encoding="utf-8")
