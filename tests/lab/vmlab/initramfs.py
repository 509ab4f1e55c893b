# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs that mounts the machine's own root inside."""

from __future__ import annotations

import gzip
import io
import stat
from pathlib import Path

from . import paths
from .errors import Broken
from .kernels import Kernel
from .modules import ModuleTree

BUSYBOX = Path("/bin/busybox")
# What it takes to mount the root; everything else is loaded from there.
MODULES = ["virtio_pci", "9p", "9pnet_virtio", "overlay"]
# What it takes to use vfio-pci in a guest.
GUEST_MODULES = ["vfio_pci", "vfio_iommu_type1"]


class Archive:
    """A cpio archive in the "newc" form that the kernel unpacks."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        self.inode = 0

    def add(self, name: str, mode: int, data: bytes = b"") -> None:
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(encoded), 0]
        self.out.write(b"070701"
                       + b"".join(b"%08x" % value for value in fields))
        for part in (encoded, data):
            self.out.write(part)
            self.out.write(b"\0" * (-self.out.tell() % 4))

    def folder(self, name: str) -> None:
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, mode: int = 0o755) -> None:
        self.add(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def finish(self) -> bytes:
        self.inode = -1
        self.add("TRAILER!!!", 0)
        return self.out.getvalue()


def _busybox() -> bytes:
    try:
        data = BUSYBOX.read_bytes()
    except OSError as error:
        raise Broken("busybox is not installed "
                     "(Debian package busybox-static)") from error
    # Nothing else is in the initramfs, in particular no dynamic linker: an
    # executable that asks for one (PT_INTERP) would not run there.
    if b"/ld-linux" in data:
        raise Broken(f"{BUSYBOX} is linked dynamically "
                     "(install Debian package busybox-static)")
    return data


def _base(kernel: Kernel, modules: list[str], init: Path) -> Archive:
    tree = ModuleTree(kernel.modules / kernel.release)
    archive = Archive()
    for folder in ("bin", "dev", "modules", "mnt", "proc", "sys"):
        archive.folder(folder)
    archive.file("bin/busybox", _busybox())
    archive.link("bin/sh", "busybox")
    archive.file("init", init.read_bytes())
    for number, path in enumerate(tree.closure(modules)):
        archive.file(f"modules/{number:02d}.ko", tree.uncompressed(path), 0o644)
    return archive


def _write(archive: Archive, image: Path) -> None:
    image.write_bytes(gzip.compress(archive.finish(), compresslevel=1))


def build(kernel: Kernel, image: Path) -> None:
    """Writes the initramfs for a kernel: small enough to be made anew for each
    boot, so that none can be stale."""
    _write(_base(kernel, MODULES, paths.LAB / "inside" / "init"), image)


def build_guest(kernel: Kernel, program: Path, image: Path) -> None:
    """That of a Linux guest inside, which holds all that there is."""
    archive = _base(kernel, GUEST_MODULES, paths.LAB / "guest" / "init")
    archive.file(f"bin/{program.name}", program.read_bytes())
    _write(archive, image)
