# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests ask of the patched tree: git's answers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VFIO_MSIX_BUILD", ROOT / "build")).absolute()
SRC = BUILD / "qemu-src"


def git(*arguments: str | Path, tree: Path = SRC, **more: str) -> str:
    """Without anybody's settings; raises when git fails."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"LC_ALL": "C.UTF-8", "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            "GIT_CONFIG_KEY_1": "core.abbrev", "GIT_CONFIG_VALUE_1": "12",
            "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "test", f"GIT_{who}_EMAIL": "test@localhost"}
    result = subprocess.run(
        ["git", *map(str, arguments)], cwd=tree, env=env | more, text=True,
        errors="surrogateescape", stdin=subprocess.DEVNULL, capture_output=True,
        check=False)
    lines = (result.stdout + result.stderr).strip().splitlines()
    assert result.returncode == 0, "\n".join(
        [f"git {' '.join(map(str, arguments))} failed", *lines[-8:]])
    return result.stdout.rstrip("\n")


def about() -> tuple[str, str]:
    """Its base, a folder in patches, and Debian's revision or nothing."""
    text = git("log", "-1", "--format=%B", "base", "--")
    found = dict(re.findall(r"^(\w+): (\S+)$", text, re.M))
    return found["Base"], found.get("Revision", "")


def overlay() -> dict[str, Path]:
    """The new files of QEMU: path in its tree to path here."""
    result = subprocess.run(
        [ROOT / "scripts" / "qemu-tree", f"--build-dir={BUILD}", "overlay"],
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return {name: Path(ours) for name, _, ours in
            (line.partition("\t") for line in result.stdout.splitlines())}


def bases() -> list[str]:
    return sorted(p.parent.name for p in ROOT.glob("patches/*/BASE"))


def values(base: str) -> dict[str, str]:
    """What patches/*/BASE says."""
    text = (ROOT / "patches" / base / "BASE").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.M))


def series(base: str) -> list[Path]:
    folder = ROOT / "patches" / base
    return [folder / line for line in (folder / "series").read_text(
        encoding="utf-8").splitlines() if line and not line.startswith("#")]


def parts(base: str) -> list[str]:
    text = (ROOT / "patches" / base / "series").read_text(encoding="utf-8")
    return re.findall(r"^# part \d: (\w+)$", text, re.M)
