# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: Debian's, got once and kept in the cache, or anyone's own."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import paths
from .errors import Broken, Usage
from .modules import ModuleTree

# name: (suite, what the whole name of the newest package matches)
DEBIAN = {
    "6.1": ("stable", r"linux-image-6\.1\.0-[0-9]+-amd64"),
    "6.12": ("backports",
             r"linux-image-6\.12\.[0-9.]+\+deb12(\.[0-9]+)?-amd64"),
}
# From this release on vfio-pci takes single MSI-X vectors into use.
DYNAMIC_SINCE = (6, 5)

# The folders of a Debian module tree that an emulated host can have a use for;
# what modules in them need comes along.  The other nine tenths are drivers.
KEEP = (
    "arch/", "crypto/", "lib/", "net/", "virt/",
    "drivers/block/loop", "drivers/block/virtio", "drivers/char/",
    "drivers/cpufreq/", "drivers/crypto/", "drivers/firmware/",
    "drivers/iommu/", "drivers/misc/", "drivers/net/dummy", "drivers/net/mac",
    "drivers/net/tap", "drivers/net/tun", "drivers/net/veth",
    "drivers/net/virtio", "drivers/nvme/host/", "drivers/pci/",
    "drivers/uio/", "drivers/vfio/", "drivers/vhost/", "drivers/virtio/",
    "fs/9p/", "fs/autofs/", "fs/ext4/", "fs/fuse/", "fs/netfs/",
    "fs/overlayfs/", "fs/squashfs/",
)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted."""

    name: str       # as in reports: "6.12", or what the user calls it
    release: str    # as uname -r has it
    image: Path
    modules: Path   # the folder that holds RELEASE/modules.dep

    @property
    def behaves_as(self) -> str:
        """The kernel in cases.toml whose expectations hold for this one."""
        if self.name in DEBIAN:
            return self.name
        match = re.match(r"(\d+)\.(\d+)", self.release)
        numbers = (int(match[1]), int(match[2])) if match else (0, 0)
        return "6.12" if numbers >= DYNAMIC_SINCE else "6.1"


def release_of(image: Path) -> str:
    """The release that an x86 kernel image says it is."""
    try:
        with image.open("rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise Usage(f"{image}: {error.strerror}") from error
    if head[0x202:0x206] != b"HdrS":
        raise Usage(f"{image} is no x86 kernel image (bzImage)")
    # Documented in the kernel's boot protocol: the offset is counted from the
    # end of the first sector.
    start = int.from_bytes(head[0x20e:0x210], "little") + 0x200
    text = head[start:start + 256].partition(b"\0")[0].decode("ascii", "replace")
    if not text:
        raise Usage(f"{image} does not say which release it is")
    return text.split()[0]


def own(image: Path, modules: Path, name: str | None) -> Kernel:
    """Somebody's own kernel, with its modules wherever they were put."""
    image = image.absolute()
    modules = modules.absolute()
    release = release_of(image)
    for folder in (modules / "lib" / "modules" / release, modules / release,
                   modules):
        if folder.name == release and (folder / "modules.dep").is_file():
            return Kernel(name or ".".join(release.split(".")[:2]), release,
                          image, folder.parent)
    raise Usage(f"{modules} holds no modules of {release} with a modules.dep "
                f"(looked for lib/modules/{release}; has depmod been run?)")


def _folder() -> Path:
    return paths.cache() / "kernels"


def cached(name: str) -> Kernel | None:
    """The kernel of that name if it is in the cache, complete as it was put."""
    folder = _folder() / name
    try:
        version = os.readlink(folder)
    except OSError:
        return None
    folder = _folder() / version
    release = version.partition("_")[0]
    kernel = Kernel(name, release, folder / "vmlinuz",
                    folder / "lib" / "modules")
    if (kernel.image.is_file()
            and (kernel.modules / release / "modules.dep").is_file()):
        return kernel
    return None


def _run(what: str, *command: str | Path) -> str:
    try:
        done = subprocess.run([str(c) for c in command], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
    except FileNotFoundError as error:
        raise Broken(f"{what}: {command[0]} is not installed") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise Broken(f"{what}: {Path(command[0]).name}: {lines[-1]}")
    return done.stdout


def _tool(name: str) -> str:
    """Tools that live in sbin, which an ordinary user's PATH leaves out."""
    path = os.environ.get("PATH", os.defpath)
    found = shutil.which(name, path=f"{path}:/usr/sbin:/sbin")
    if not found:
        raise Broken(f"{name} is not installed (Debian package kmod)")
    return found


def _prune(tree: ModuleTree) -> None:
    kept = [name for name, path in tree.path_of.items()
            if path.removeprefix("kernel/").startswith(KEEP)]
    wanted = set(tree.closure(kept))
    for path in tree.path_of.values():
        if path not in wanted:
            (tree.folder / path).unlink()


def unpack(name: str, package: Path) -> Kernel:
    """Takes what the lab needs out of a linux-image package."""
    fields = _run(f"kernel {name}", "dpkg-deb", "--show",
                  "--showformat=${Package} ${Version}", package).split()
    if len(fields) != 2 or not re.fullmatch(DEBIAN[name][1], fields[0]):
        raise Usage(f"{package} is no {name} kernel for amd64")
    release = fields[0].removeprefix("linux-image-")
    version = f"{release}_{fields[1].replace(':', '%3a')}"
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / version / "vmlinuz").is_file():
        # Made beside its place and renamed, so that a run that is interrupted
        # leaves nothing that looks complete; another run may do the same now.
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as made:
            root = Path(made) / "root"
            _run(f"kernel {name}", "dpkg-deb", "--extract", package, root)
            modules = root / "lib" / "modules" / release
            depmod = _tool("depmod")
            _run(f"kernel {name}", depmod, "-b", root, release)
            _prune(ModuleTree(modules))
            _run(f"kernel {name}", depmod, "-b", root, release)
            done = Path(made) / "done"
            (done / "lib").mkdir(parents=True)
            (root / "lib" / "modules").rename(done / "lib" / "modules")
            (root / "boot" / f"vmlinuz-{release}").rename(done / "vmlinuz")
            try:
                done.rename(folder / version)
            except OSError:
                if not (folder / version / "vmlinuz").is_file():
                    raise
    link = folder / f".{name}.{os.getpid()}"
    link.symlink_to(version)
    link.rename(folder / name)
    found = cached(name)
    if not found:
        raise Broken(f"kernel {name}: {folder / version} is incomplete; "
                     "remove it and fetch again")
    return found


def fetch(name: str, note: Callable[[str], None]) -> Kernel:
    """The newest that Debian has now."""
    debfetch = paths.TREE / "scripts" / "debfetch"
    suite, pattern = DEBIAN[name]
    note(f"kernel {name}: asking Debian's package mirror")
    # Its notes about a download are for the user; its result is on stdout.
    done = subprocess.run([debfetch, "deb", "--suite", suite, pattern],
                          text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, check=False)
    fields = done.stdout.split()
    if done.returncode != 0 or not fields:
        raise Broken(f"kernel {name}: cannot get Debian's package")
    note(f"kernel {name}: unpacking {Path(fields[0]).name}")
    return unpack(name, Path(fields[0]))


def get(name: str, note: Callable[[str], None]) -> Kernel:
    """From the cache; only a kernel that is not there is fetched."""
    if name not in DEBIAN:
        raise Usage(f"no kernel named {name}: choose from "
                    f"{', '.join(DEBIAN)}, or give an image file with "
                    "--modules")
    return cached(name) or fetch(name, note)
