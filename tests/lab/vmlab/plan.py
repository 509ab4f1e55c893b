# SPDX-License-Identifier: GPL-2.0-or-later
"""From cases, kernels and QEMUs to boots with jobs."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import re
import shlex
from pathlib import Path

from . import paths
from .cases import Case, Machine, Suite
from .errors import Broken, NothingToRun, Usage
from .kernels import Kernel

PATCHED = "patched"
DEBIAN = "debian"
GUEST_PROGRAM = "build/tests/lab/guest/vfio-msix-guest"
# Variables that go along to the programs: how a test runs again as it did.
PASSED = ("VFIO_MSIX_TEST_SEED", "VFIO_MSIX_TEST_OPS")


@dataclasses.dataclass(frozen=True)
class Qemu:
    """A QEMU under test: ours, Debian's, or any other."""

    label: str
    path: Path

    @property
    def stock(self) -> bool:
        return self.label == DEBIAN


@dataclasses.dataclass(frozen=True)
class Guest:
    """The Linux guest that a job boots inside."""

    kernel: Kernel
    program: Path


@dataclasses.dataclass(frozen=True)
class Job:
    """One program run inside."""

    name: str
    argv: tuple[str, ...]
    qemu: Qemu
    devices: tuple[str, ...]    # as Machine.address() names them
    timeout: int
    preload: Path | None = None
    case: Case | None = None
    expected: str = ""
    guest: Guest | None = None

    def command(self, inside: str, scale: float = 1.0) -> str:
        """A shell script; {out} in an argument is the job's own folder."""
        out = f"{inside}/jobs/{self.name}"
        preload = (f"export VFIO_MSIX_TEST_PRELOAD="
                   f"{shlex.quote(str(self.preload))}\n"
                   if self.preload else "")
        guest = (f"export LAB_GUEST={shlex.quote(f'{inside}/plan/guest')}\n"
                 f"export LAB_TIME_SCALE={scale}\n" if self.guest else "")
        passed = "".join(f"export {name}={shlex.quote(os.environ[name])}\n"
                         for name in PASSED if os.environ.get(name))
        words = [word.replace("{out}", out) for word in self.argv]
        return (f"export QTEST_QEMU_BINARY={shlex.quote(str(self.qemu.path))}\n"
                f"export LAB_JOB_DIR={shlex.quote(out)}\n"
                f"{passed}{preload}{guest}"
                f"exec {shlex.join(words)}\n")


@dataclasses.dataclass(frozen=True)
class BootPlan:
    """One boot and what runs in it."""

    kernel: Kernel
    machine: Machine
    jobs: tuple[Job, ...]

    @property
    def name(self) -> str:
        return f"{self.kernel.name}-{self.machine.name}"

    @property
    def guest(self) -> Guest | None:
        """That of its jobs; a machine has one for all."""
        return next((job.guest for job in self.jobs if job.guest), None)


def qemus(wanted: list[str] | None, build: Path) -> list[Qemu]:
    """The QEMUs that the user names; ours and Debian's by default."""
    known = {PATCHED: paths.patched_qemu(build), DEBIAN: paths.DEBIAN_QEMU}
    found: list[Qemu] = []
    for name in wanted or [PATCHED, DEBIAN]:
        if name in known:
            qemu = Qemu(name, known[name])
        elif "/" in name:
            path = Path(name).absolute()
            qemu = Qemu(re.sub(r"[^A-Za-z0-9.]+", "-", str(path)).strip("-"),
                        path)
        else:
            raise Usage(f"no QEMU named {name}: choose from "
                        f"{', '.join(known)}, or give a path with a / in it")
        if qemu not in found:
            found.append(qemu)
    return found


def require(qemu: Qemu) -> None:
    """One clear line for a QEMU that is not there."""
    if qemu.path.is_file():
        return
    hint = {PATCHED: ": it is not built yet, run make",
            DEBIAN: ": install Debian's package qemu-system-x86"}
    raise Broken(f"{qemu.path} is missing{hint.get(qemu.label, '')}")


def select(suite: Suite, patterns: list[str]) -> list[Case]:
    """The cases that match any pattern; all without one."""
    for pattern in patterns:
        if not fnmatch.filter([case.name for case in suite.cases], pattern):
            raise Usage(f"no case matches {pattern} (try: lab list)")
    return [case for case in suite.cases if not patterns or any(
        fnmatch.fnmatchcase(case.name, pattern) for pattern in patterns)]


def expectation(case: Case, kernel: Kernel, qemu: Qemu) -> str | None:
    """pass, fail, or None: not to be run."""
    if qemu.stock:
        return case.stock.get(kernel.behaves_as)
    return "pass" if kernel.behaves_as in case.kernels else None


def boots(cases: list[Case], preload: str, kernels: list[Kernel],
          under_test: list[Qemu], build: Path,
          guests: dict[str, Kernel] | None = None) -> list[BootPlan]:
    """As few boots as possible: one for each kernel and distinct machine."""
    plans = []
    library = paths.in_build(preload, build) if preload else None
    program = paths.in_build(GUEST_PROGRAM, build)
    for kernel in kernels:
        jobs: dict[str, list[Job]] = {}
        for case in cases:
            for qemu in under_test:
                expected = expectation(case, kernel, qemu)
                if expected is None:
                    continue
                mine = jobs.setdefault(case.machine.name, [])
                devices = tuple(case.machine.address(device)
                                for device in case.devices)
                mine.append(Job(
                    f"{len(mine) + 1:03d}-{case.name}-{qemu.label}",
                    (str(paths.in_build(case.program, build)), *case.args),
                    qemu, devices, case.timeout, library, case, expected,
                    Guest((guests or {})[case.guest], program)
                    if case.guest else None))
        machines = {case.machine.name: case.machine for case in cases}
        plans += [BootPlan(kernel, machines[name], tuple(mine))
                  for name, mine in jobs.items()]
    if not plans:
        raise NothingToRun("none of the chosen cases is declared for the "
                           "chosen kernels and QEMUs (see: lab list)")
    return plans


def check_programs(plans: list[BootPlan]) -> None:
    """What the host side can see is missing is not left to a boot to find."""
    for boot in plans:
        for job in boot.jobs:
            require(job.qemu)
            for file in (Path(job.argv[0]), job.preload,
                         job.guest.program if job.guest else None):
                if file and not file.is_file():
                    raise Broken(f"{file} is missing: it is not built yet, "
                                 "run make")
