# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts that deal with QEMU's tree and the patches share."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Files below these are new files of QEMU, at the paths they have there.
# Everything else in the repository is the project's own.
OVERLAY = ("hw", "include", "tests/qtest", "docs/specs", "docs/system")
# What editors, patch and Python leave around.
LITTER = re.compile(r"(^\.|~$|^#.*#$|\.(orig|rej|pyc|swp|tmp)$|^__pycache__$)")


# Where nothing says otherwise.
DEFAULT_BASE = "7.2"
# What scripts/qemu-tree leaves in a build folder about the trees there.
STATE = "qemu-tree.json"


class TreeError(Exception):
    """Something went wrong that one line can explain."""


@dataclass
class Base:
    """patches/*/BASE: what the patches apply to."""

    name: str
    folder: Path
    upstream: str
    package: str
    tarball: str
    sha256: str
    revision: str


@dataclass
class Patch:
    """One line of patches/*/series."""

    name: str
    path: Path
    part: int


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bases() -> list[str]:
    return sorted(p.parent.name for p in ROOT.glob("patches/*/BASE"))


def built_base(build: Path) -> str:
    """Which base the trees of a build folder have, "" if there are none."""
    try:
        base: str = json.loads((build / STATE).read_text("utf-8"))["base"]
        return base
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_base(name: str) -> Base:
    folder = ROOT / "patches" / name
    if not (folder / "BASE").is_file():
        raise TreeError(f"there are no patches for QEMU {name}; "
                        f"there are for: {' '.join(bases())}")
    values = {}
    for line in (folder / "BASE").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[key.strip()] = value.strip()
    try:
        return Base(name, folder, values["UPSTREAM"], values["PACKAGE"],
                    values["TARBALL"], values["SHA256"], values["REVISION"])
    except KeyError as error:
        raise TreeError(f"patches/{name}/BASE lacks {error.args[0]}") from None


def read_series(folder: Path) -> list[Patch]:
    """The patches in their order; the part is that of the last marker."""
    series = folder / "series"
    if not series.is_file():
        raise TreeError(f"{series} is missing")
    found: list[Patch] = []
    part = 0
    for line in series.read_text(encoding="utf-8").splitlines():
        marker = re.match(r"#\s*part\s+(\d+):", line)
        if marker:
            part = int(marker[1])
        name = line.partition("#")[0].strip()
        if not name:
            continue
        if len(name.split()) > 1 or name != os.path.basename(name):
            raise TreeError(f"{series}: strange line: {line}")
        if any(p.name == name for p in found):
            raise TreeError(f"{series} lists {name} twice")
        path = folder / name
        if not path.is_file():
            raise TreeError(f"{series} lists {name}, which does not exist")
        found.append(Patch(name, path, part))
    return found


def touched(patch: Path) -> list[tuple[str, bool]]:
    """The files that a patch changes, and whether QEMU must have each.

    Hunks are skipped by their line counts: a removed line may well look like
    a header.
    """
    found: dict[str, bool] = {}
    old = ""
    left_old = left_new = 0
    for line in patch.read_text(encoding="utf-8",
                                errors="surrogateescape").splitlines():
        if left_old > 0 or left_new > 0:
            if line[:1] == "-":
                left_old -= 1
            elif line[:1] == "+":
                left_new -= 1
            elif line[:1] != "\\":
                left_old -= 1
                left_new -= 1
            continue
        hunk = re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line)
        if hunk:
            left_old = int(hunk[1] or 1)
            left_new = int(hunk[2] or 1)
        elif line.startswith("--- "):
            old = line[4:].split("\t")[0].strip()
        elif line.startswith("+++ ") and old:
            new = line[4:].split("\t")[0].strip()
            name = old if new == "/dev/null" else new
            path = name.partition("/")[2]
            if not path or path.startswith("/") or ".." in path.split("/"):
                raise TreeError(f"{patch.name} names a strange file: {name}")
            found.setdefault(path, old != "/dev/null")
            old = ""
    return list(found.items())


def apply_patch(tree: Path, patch: Path, *, exact: bool = True) -> None:
    """Applies a patch; exact means no fuzz and no offset."""
    command = ["patch", "-p1", "--batch", "--forward", "--remove-empty-files",
               "--no-backup-if-mismatch", "--reject-file=-",
               f"--fuzz={0 if exact else 2}", "-d", str(tree), "-i",
               str(patch.absolute())]
    result = subprocess.run(command, env=dict(os.environ, LC_ALL="C"),
                            stdin=subprocess.DEVNULL, text=True,
                            errors="replace", capture_output=True, check=False)
    file = "?"
    offset = ""
    for line in (result.stdout + result.stderr).splitlines():
        started = re.match(r"patching file '?([^' ]+)'?", line)
        if started:
            file = started[1]
        failed = re.match(r"(Hunk #\d+) FAILED", line)
        if failed:
            raise TreeError(f"patch {patch.name} does not apply: "
                            f"{failed[1].lower()} does not match {file}")
        if re.match(r"(Reversed|can't find file|File .* is not|"
                    r"The next patch (would|delete))|patch: \*\*\*\*", line):
            names = [n for n, _ in touched(patch) if not (tree / n).exists()]
            why = (f"no file {names[0]}" if line.startswith("can't")
                   and names else line.strip(" .!*").replace("patch: **** ",
                                                              ""))
            raise TreeError(f"patch {patch.name} does not apply: {why}")
        moved = re.match(r"(Hunk #\d+) succeeded at .*\((offset [^)]*|fuzz.*)\)",
                         line)
        moved = moved or re.match(r"(Hunk #\d+) succeeded at \d+ with (fuzz.*)",
                                  line)
        if moved and not offset:
            offset = f"{file} {moved[1].lower()}: {moved[2]}"
    if result.returncode != 0:
        raise TreeError(f"patch {patch.name} does not apply "
                        f"(patch exits with {result.returncode})")
    if exact and offset:
        raise TreeError(f"patch {patch.name} applies only with an offset "
                        f"({offset}); scripts/patches refresh puts it right")


def overlay_files() -> dict[str, Path]:
    """The new files of QEMU: path in its tree to path here."""
    found: dict[str, Path] = {}
    for top in OVERLAY:
        for folder, folders, files in os.walk(ROOT / top):
            folders[:] = sorted(d for d in folders if not LITTER.search(d))
            for name in sorted(files):
                path = Path(folder, name)
                if LITTER.search(name):
                    continue
                if path.is_symlink() or not path.is_file():
                    raise TreeError(f"overlay file {path.relative_to(ROOT)} "
                                    "is not a plain file")
                found[str(path.relative_to(ROOT))] = path
    return found
