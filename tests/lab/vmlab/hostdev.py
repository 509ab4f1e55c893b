# SPDX-License-Identifier: GPL-2.0-or-later
"""A PCI device of the machine that this runs on: whose it is, in which state."""

from __future__ import annotations

import contextlib
from pathlib import Path

from . import outer

DEVICES = Path("/sys/bus/pci/devices")
DRIVERS = Path("/sys/bus/pci/drivers")
CAPABILITY_LIST = 0x34
CAPABILITIES = 0x40
MSIX = 0x11
MSIX_ENABLE = 0x8000


def msix_enabled(config: bytes) -> bool:
    """By the control word of the MSI-X capability."""
    at = config[CAPABILITY_LIST] & ~3
    for _ in range(48):
        if at < CAPABILITIES:
            break
        if config[at] == MSIX:
            control = int.from_bytes(config[at + 2:at + 4], "little")
            return bool(control & MSIX_ENABLE)
        at = config[at + 1] & ~3
    raise ValueError("the device has no MSI-X capability")


class HostDevice:
    """By its address, DDDD:BB:SS.F."""

    def __init__(self, bdf: str) -> None:
        self.bdf = bdf
        self.folder = DEVICES / bdf

    @property
    def driver(self) -> str:
        """The one that has it, "" if none has."""
        link = self.folder / "driver"
        return link.resolve().name if link.exists() else ""

    @property
    def override(self) -> str:
        """The only driver that may have it, "" for any that knows it."""
        text = (self.folder / "driver_override").read_text(encoding="ascii")
        return text.strip().replace("(null)", "")

    @property
    def msix_enabled(self) -> bool:
        return msix_enabled((self.folder / "config").read_bytes())

    def _bind(self, override: str) -> None:
        if self.driver:
            (self.folder / "driver" / "unbind").write_text(self.bdf)
        (self.folder / "driver_override").write_text(override + "\n")
        Path("/sys/bus/pci/drivers_probe").write_text(self.bdf)

    def give_to_vfio(self) -> None:
        """As the agent has it."""
        self._bind("vfio-pci")

    def give_to_host(self, driver: str) -> None:
        """To a driver that has it as any driver has the devices it knows."""
        vendor, _, model = outer.DEVICE_ID.partition(":")
        # Known already.
        with contextlib.suppress(FileExistsError):
            (DRIVERS / driver / "new_id").write_text(f"{vendor} {model}")
        self._bind("")
