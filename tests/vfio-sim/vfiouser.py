# SPDX-License-Identifier: GPL-2.0-or-later
"""A user of VFIO, in Python, for the tests of the simulation."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
from pathlib import Path

# include/uapi/linux/vfio.h: _IO(';', 100 + N)
BASE = ord(";") << 8 | 100
SET_IOMMU = BASE + 2
GROUP_GET_STATUS = BASE + 3
GROUP_SET_CONTAINER = BASE + 4
GROUP_UNSET_CONTAINER = BASE + 5
GROUP_GET_DEVICE_FD = BASE + 6
GET_IRQ_INFO = BASE + 9
SET_IRQS = BASE + 10
RESET = BASE + 11
MAP_DMA = BASE + 13
UNMAP_DMA = BASE + 14

INTX, MSI, MSIX, ERR, REQ = range(5)
NONE, BOOL, EVENTFD = 1, 2, 4
MASK, UNMASK, TRIGGER = 8, 16, 32
NORESIZE = 8

CONFIG = 7 << 40
TABLE_BAR = 1 << 40
PBA = TABLE_BAR + 0x8000

# include/hw/misc/msix-testdev-regs.h
CTRL, STATUS, FIRE, ACK, INTX_LINE = 0x0c, 0x10, 0x14, 0x18, 0x1c
ENABLES, DISABLES, RESETS, RAISED, SENT, PENDED, DROPPED, WIPE = (
    0x20, 0x24, 0x28, 0x2c, 0x34, 0x38, 0x3c, 0x44)

libc = ctypes.CDLL(None, use_errno=True)


def vector_register(n: int, register: int) -> int:
    """Offset in BAR 0."""
    return 0x10000 + n * 0x20 + register


PERIOD = 8


def eventfd() -> int:
    """By the C library's function, which the simulation may let fail."""
    fd = libc.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return fd


def count(fd: int) -> int:
    """How often it was signalled since it was last asked."""
    try:
        return struct.unpack("=Q", os.read(fd, 8))[0]
    except BlockingIOError:
        return 0


def wait(fd: int) -> int:
    """The same, and wait for it; 0 only if something is wrong."""
    select.select([fd], [], [], 30)
    return count(fd)


class Device:
    """The N-th device of the environment, open."""

    def __init__(self, number: int = 1) -> None:
        name = "VFIO_MSIX_TEST_DEVICE" + (f"_{number}" if number > 1 else "")
        self.folder = Path(os.environ[name].removeprefix("sysfsdev="))
        group = os.path.basename(os.readlink(self.folder / "iommu_group"))
        self.container = os.open("/dev/vfio/vfio", os.O_RDWR)
        self.group = os.open(f"/dev/vfio/{group}", os.O_RDWR)
        fcntl.ioctl(self.group, GROUP_SET_CONTAINER,
                    struct.pack("=i", self.container))
        fcntl.ioctl(self.container, SET_IOMMU, 3)
        self.fd = self.get_fd()
        os.pwrite(self.fd, struct.pack("=H", 6), CONFIG + 4)

    def get_fd(self) -> int:
        """One more descriptor of the device."""
        return fcntl.ioctl(self.group, GROUP_GET_DEVICE_FD,
                           bytearray(self.folder.name.encode() + b"\0"))

    def close(self) -> None:
        """The device first, as QEMU does."""
        for fd in (self.fd, self.group, self.container):
            os.close(fd)

    def read(self, register: int) -> int:
        """A register of BAR 0."""
        return struct.unpack("=I", os.pread(self.fd, 4, register))[0]

    def write(self, register: int, value: int) -> None:
        """A register of BAR 0."""
        os.pwrite(self.fd, struct.pack("=I", value), register)

    def pending(self) -> int:
        """The first 32 pending bits."""
        return struct.unpack("=I", os.pread(self.fd, 4, PBA))[0]

    def set_irqs(self, index: int, flags: int, start: int, number: int,
                 data: bytes = b"") -> int:
        """What the ioctl returns, or the negative errno."""
        # A buffer that can be changed has the ioctl return its own result.
        argument = bytearray(struct.pack("=5I", 20 + len(data), flags, index,
                                         start, number) + data)
        try:
            return fcntl.ioctl(self.fd, SET_IRQS, argument)
        except OSError as error:
            return -(error.errno or 0)

    def trigger(self, start: int, *fds: int, index: int = MSIX) -> int:
        """Set triggers from vector start on."""
        return self.set_irqs(index, TRIGGER | EVENTFD, start, len(fds),
                             struct.pack(f"={len(fds)}i", *fds))

    def disable(self, index: int = MSIX) -> int:
        """The whole index."""
        return self.set_irqs(index, TRIGGER | NONE, 0, 0)

    def irq_info(self, index: int) -> tuple[int, int]:
        """Flags and count."""
        info = fcntl.ioctl(self.fd, GET_IRQ_INFO,
                           struct.pack("=4I", 16, 0, index, 0))
        _, flags, _, number = struct.unpack("=4I", info)
        return flags, number

    def host_vectors(self) -> int:
        """By the folder that sysfs would have."""
        try:
            return len(os.listdir(self.folder / "msi_irqs"))
        except FileNotFoundError:
            return 0

    def command(self, *lines: str) -> list[str]:
        """Replies of the control socket."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(30)
            control.connect(str(self.folder / "control"))
            with control.makefile("rw") as stream:
                replies = []
                for line in lines:
                    stream.write(line + "\n")
                    stream.flush()
                    replies.append(stream.readline().rstrip("\n"))
                return replies

    def counters(self) -> dict[str, int]:
        """Of the control socket."""
        words = self.command("counters")[0].split()
        assert words[0] == "ok", words
        return {key: int(value) for key, value in
                (word.split("=") for word in words[1:])}
