# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are."""

from __future__ import annotations

import os
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
TREE = LAB.parent.parent
DEBIAN_QEMU = Path("/usr/bin/qemu-system-x86_64")
CASES = LAB / "cases.toml"


def in_build(name: str, folder: Path) -> Path:
    """A file named relative to the tree; "build/" stands for the build folder,
    wherever that is."""
    if name.startswith("build/"):
        return folder / name.removeprefix("build/")
    return TREE / name


def build_folder(option: str | None) -> Path:
    """The configured build folder."""
    name = option or os.environ.get("VFIO_MSIX_BUILD")
    return Path(name).absolute() if name else TREE / "build"


def patched_qemu(build: Path) -> Path:
    """Our QEMU."""
    return build / "qemu" / "qemu-system-x86_64"


def cache() -> Path:
    """The project's one cache folder, the same as scripts/debfetch has."""
    override = os.environ.get("VFIO_MSIX_CACHE")
    if override:
        return Path(override).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rules: a relative path counts as unset.
    folder = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return folder / "qemu-vfio-msix"
