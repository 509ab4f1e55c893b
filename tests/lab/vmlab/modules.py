# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel's module tree holds, and in which order modules load."""

from __future__ import annotations

import lzma
import shutil
import subprocess
from pathlib import Path

from .errors import Broken


def plain_name(path: str) -> str:
    """virtio_pci for kernel/drivers/virtio/virtio-pci.ko.xz."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


class ModuleTree:
    """One lib/modules/RELEASE folder, as depmod has described it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path_of: dict[str, str] = {}
        self.needs: dict[str, list[str]] = {}
        try:
            dep = (folder / "modules.dep").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise Broken(f"{folder} has no modules.dep: run depmod on it "
                         "first") from error
        for line in dep.splitlines():
            path, _, needs = line.partition(":")
            self.path_of[plain_name(path)] = path
            self.needs[path] = needs.split()
        builtin = folder / "modules.builtin"
        self.builtin = set()
        if builtin.is_file():
            self.builtin = {plain_name(line) for line in
                            builtin.read_text(encoding="utf-8").splitlines()}

    def closure(self, names: list[str]) -> list[str]:
        """The files that these modules need, themselves included, in load
        order.  What is built in needs none."""
        order: list[str] = []
        for name in names:
            path = self.path_of.get(name.replace("-", "_"))
            if path is None:
                if name.replace("-", "_") in self.builtin:
                    continue
                raise Broken(f"the kernel of {self.folder} has no {name}, "
                             "neither as a module nor built in")
            # modules.dep lists what is needed in reverse load order.
            for needed in [*reversed(self.needs[path]), path]:
                if needed not in order:
                    order.append(needed)
        return order

    def uncompressed(self, path: str) -> bytes:
        """A module's content as insmod of any make takes it."""
        data = (self.folder / path).read_bytes()
        if path.endswith(".ko"):
            return data
        if path.endswith(".xz"):
            return lzma.decompress(data)
        tool = {"zst": "zstd", "gz": "gzip"}.get(path.rpartition(".")[2])
        if not tool or not shutil.which(tool):
            raise Broken(f"cannot decompress {path}"
                         + (f": {tool} is not installed" if tool else ""))
        done = subprocess.run([tool, "-dc"], input=data, capture_output=True,
                              check=False)
        if done.returncode != 0:
            raise Broken(f"{tool} cannot decompress {path}")
        return done.stdout
