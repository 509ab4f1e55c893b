# SPDX-License-Identifier: GPL-2.0-or-later
"""A checkout in miniature, for tests of the scripts.

It has a copy of the scripts and a QEMU of a few lines; the Debian mirror is a
handful of scripts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from qemu_tree import ROOT, git
from tap import Tap

LINES = [f"line {n}\n" for n in range(1, 61)]

# Stand-ins for apt: what the "mirror" has is in $MIRROR, one folder a group;
# the group is in the name of the source list.
APT_GET = """#!/bin/sh
set -eu
for arg; do
    case $arg in
    -oDir::Etc::SourceList=*) group=${arg##*/}; group=${group%.list} ;;
    --no-release-info) echo "bookworm mirror://x/"; exit 0 ;;
    esac
done
case " $* " in
*" indextargets "*) exit 0 ;;
esac
[ ! -e "$MIRROR/down" ] || { echo "E: Could not connect" >&2; exit 100; }
case " $* " in
*" download "*)
    for arg; do :; done
    cp "$MIRROR/$group/${arg%%=*}.deb" \\
        "${arg%%=*}_$(echo "${arg#*=}" | sed s/:/%3a/)_amd64.deb" ;;
*" source "*) cp "$MIRROR/$group"/qemu_* . ;;
esac
"""
APT_CACHE = """#!/bin/sh
set -eu
for arg; do
    case $arg in
    -oDir::Etc::SourceList=*) group=${arg##*/}; group=${group%.list} ;;
    esac
done
case " $* " in
*" pkgnames "*) sed -n 's/^Package: //p' "$MIRROR/$group/Packages" ;;
*" show "*) cat "$MIRROR/$group/Packages" ;;
*" showsrc "*) cat "$MIRROR/$group/Sources" ;;
esac
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def diff(path: str, old: list[str], new: list[str], folder: Path) -> str:
    for top, lines in (("a", old), ("b", new)):
        (folder / top / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / top / path).write_text("".join(lines), encoding="utf-8")
    return subprocess.run(["diff", "-u", f"a/{path}", f"b/{path}"], cwd=folder,
                          text=True, capture_output=True, check=False).stdout


def change(number: int, text: str, lines: list[str] | None = None) -> list[str]:
    """Line number replaced."""
    result = list(lines or LINES)
    result[number - 1] = f"{text}\n"
    return result


# Subject, number and text of a line, and its file if that is not pci.c.
Change = tuple[str, int, str] | tuple[str, int, str, str]


class Project:
    """A checkout in miniature."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.build = self.root / "build"
        self.src = self.build / "qemu-src"
        self.patches = self.root / "patches" / "7.2"
        self.patches.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("configure", "Makefile", "meson.build"):
            shutil.copy2(ROOT / name, self.root / name)
        self.qemu = folder / "qemu-7.2.0"
        self.put_qemu(self.qemu, "7.2.22")
        self.write_base("0" * 64)
        self.series()
        self.env = dict(os.environ, VFIO_MSIX_CACHE=str(folder / "cache"),
                        MIRROR=str(folder / "mirror"), LC_ALL="C.UTF-8")

    @staticmethod
    def put_qemu(folder: Path, version: str,
                 lines: list[str] | None = None) -> None:
        (folder / "hw" / "vfio").mkdir(parents=True)
        for name in ("pci", "common"):
            (folder / "hw" / "vfio" / f"{name}.c").write_text(
                "".join(lines or LINES), encoding="utf-8")
        (folder / "VERSION").write_text(version + "\n", encoding="utf-8")

    def write_base(self, checksum: str) -> None:
        (self.patches / "BASE").write_text(
            "UPSTREAM=7.2\nPACKAGE=qemu\nTARBALL=qemu_7.2+dfsg.orig.tar.xz\n"
            f"SHA256={checksum}\nREVISION=1:7.2+dfsg-7+deb12u18\n",
            encoding="utf-8")

    def series(self, *changes: Change, lines: list[str] | None = None) -> None:
        """Has git write patches of pci.c or others, one a line changed."""
        for old in self.patches.glob("*.patch"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            tree = Path(name) / "qemu"
            self.put_qemu(tree, "7.2.22", lines)
            git("init", "-q", tree=tree)
            git("add", ".", tree=tree)
            git("commit", "-q", "-m", "base", tree=tree)
            for subject, number, text, *path in changes:
                file = tree / (path[0] if path else "hw/vfio/pci.c")
                file.write_text("".join(change(number, text, file.read_text(
                    encoding="utf-8").splitlines(keepends=True))), "utf-8")
                git("commit", "-q", "-a", "-m", f"vfio: {subject}", "-m", "why",
                    tree=tree)
            git("format-patch", "-q", "--zero-commit", "-N", "--no-signature",
                "-o", self.patches, "--root" if not changes else
                f"HEAD~{len(changes)}", tree=tree)
            if not changes:
                (self.patches / "0001-base.patch").unlink()
        self.list("# part 1: fixes", *self.names())

    def names(self) -> list[str]:
        return sorted(p.name for p in self.patches.glob("*.patch"))

    def list(self, *lines: str) -> None:
        (self.patches / "series").write_text("\n".join(lines) + "\n", "utf-8")

    def listed(self) -> str:
        return (self.patches / "series").read_text(encoding="utf-8")

    def edit(self, number: int, old: str, new: str) -> None:
        """A patch, by hand."""
        path = self.patches / self.names()[number - 1]
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def pci(self) -> str:
        return (self.src / "hw/vfio/pci.c").read_text(encoding="utf-8")

    def work(self, number: int, text: str, *commit: str) -> None:
        """A person edits pci.c in the tree, and commits that if told how."""
        file = self.src / "hw/vfio/pci.c"
        file.write_text("".join(change(number, text, self.pci().splitlines(
            keepends=True))), encoding="utf-8")
        if commit:
            git("commit", "-q", "-a", *commit, tree=self.src)

    def refresh(self) -> subprocess.CompletedProcess[str]:
        return self.tree("refresh")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.root, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False)

    def tree(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("scripts/qemu-tree", *options)

    def tree_ok(self, *options: str) -> str:
        result = self.tree(*(options or (f"--qemu-source={self.qemu}",)))
        assert result.returncode == 0, result.stderr
        return result.stderr

    def tool(self, name: str, text: str) -> None:
        """A stand-in for a program, first in the path."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
        if not self.env["PATH"].startswith(str(folder)):
            self.env["PATH"] = f"{folder}:{self.env['PATH']}"

    def debian(self, revision: str = "7+deb12u18",
               lines: list[str] | None = None) -> Path:
        """Makes a Debian source package; returns the upstream tarball."""
        folder = self.folder / f"debian-{revision}"
        folder.mkdir()
        orig = folder / "qemu_7.2+dfsg.orig.tar.xz"
        plain = folder / "tree" / "qemu-7.2.0"
        self.put_qemu(plain, "7.2.0")
        shared = self.folder / orig.name
        if not shared.exists():
            with tarfile.open(shared, "w:xz") as tar:
                tar.add(plain, "qemu-7.2.0")
        shutil.copy(shared, orig)
        debian = folder / "tree" / "debian" / "patches"
        debian.mkdir(parents=True)
        (debian / "series").write_text("v.diff\n\n# end\n", encoding="utf-8")
        text = diff("VERSION", ["7.2.0\n"], ["7.2.22\n"], folder)
        if lines:
            text += diff("hw/vfio/pci.c", LINES, lines, folder)
        (debian / "v.diff").write_text(text, encoding="utf-8")
        version = f"7.2+dfsg-{revision}"
        series = folder / f"qemu_{version}.debian.tar.xz"
        with tarfile.open(series, "w:xz") as tar:
            tar.add(debian.parent, "debian")
        sums = {kind: "".join(f" {hashlib.new(kind, p.read_bytes()).hexdigest()} "
                              f"{p.stat().st_size} {p.name}\n"
                              for p in (orig, series)) for kind in ("sha256", "md5")}
        (folder / f"qemu_{version}.dsc").write_text(
            f"Format: 3.0 (quilt)\nSource: qemu\nVersion: 1:{version}\n"
            f"Checksums-Sha256:\n{sums['sha256']}Files:\n{sums['md5']}",
            encoding="utf-8")
        self.write_base(sha256(orig))
        return orig

    def mirror(self) -> Path:
        mirror = self.folder / "mirror"
        for group in ("stable", "backports"):
            (mirror / group).mkdir(parents=True)
            (mirror / group / "Packages").touch()
            (mirror / group / "Sources").touch()
        self.tool("apt-get", APT_GET)
        self.tool("apt-cache", APT_CACHE)
        return mirror

    def package(self, name: str, version: str, group: str = "stable") -> Path:
        path = self.folder / "mirror" / group / f"{name}.deb"
        path.write_text(f"{name} {version}", encoding="utf-8")
        with (path.parent / "Packages").open("a", encoding="utf-8") as file:
            file.write(f"Package: {name}\nVersion: {version}\n"
                       f"Architecture: amd64\nFilename: x/{name}.deb\n"
                       f"Size: 9\nSHA256: {sha256(path)}\n\n")
        return path

    def deb(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("scripts/debfetch", "deb", *options)


def refused(result: subprocess.CompletedProcess[str], *words: str,
            lines: int = 1) -> None:
    """An error of one line that has these words."""
    assert result.returncode != 0, f"succeeds: {result.stdout}{result.stderr}"
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    assert len(errors) == lines, f"not {lines} error line: {result.stderr}"
    assert "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in errors[0], f"no '{word}' in: {errors[0]}"


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """With their times, and where links lead to; without git's own."""
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
            for p in folder.rglob("*")
            if p.is_file() and p.relative_to(folder).parts[0] != ".git"}


def nothing_left(project: Project) -> None:
    left = [str(p.relative_to(project.root)) for p in
            project.root.glob("build*/*")]
    assert not left, f"left behind: {left}"


def all_but(package: str) -> str:
    return ("#!/bin/sh\nfor arg; do case $arg in -*) ;; "
            f"{package}) echo \"not-installed:$arg\" ;; "
            "*) echo \"installed:$arg\" ;; esac; done\n")


def run(tests: list[tuple[str, Callable[[Project], None]]]) -> int:
    """All, or for work on some of them those with a part of a name."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    tap = Tap()
    for name, test in tests:
        if wanted not in name:
            continue

        def body(test: Callable[[Project], None] = test) -> None:
            with tempfile.TemporaryDirectory(prefix="configure-") as folder:
                test(Project(Path(folder)))
        tap.add(name, body)
    return tap.run()
