# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is measured, and in which order: rounds that alternate between them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from vmlab import paths
from vmlab.cases import Machine
from vmlab.kernels import Kernel
from vmlab.plan import GUEST_PROGRAM, BootPlan, Guest, Job, Qemu

BASELINE = "baseline"
STOCK = "stock"
PATCHED = "patched"
NEWER = "newer"
# The order in all tables.
EVERYBODY = (BASELINE, STOCK, PATCHED, NEWER)
QEMUS = EVERYBODY[1:]

# Kinds of jobs.
TIMES = "times"                 # QEMU delivers
KVM = "kvm"                     # the same, with KVM
MEMORY = "memory"
MEMORY_KVM = "memory-kvm"
CALLS = "calls"
ADD_VECTORS = "add-vectors"
LATENCY = "latency"
TIMELINE = "timeline"
IRQFD = "irqfd"                 # latency, in a Linux guest
FIRING = (LATENCY, TIMELINE)
# Measured once for the baseline, which has no KVM.
WITH_KVM = (KVM, MEMORY_KVM)

BASELINE_PROGRAM = "build/tests/bench/vfio-msix-baseline"
BENCH_PROGRAM = "build/qemu/tests/qtest/vfio-msix-bench"
ADD_VECTORS_PROGRAM = "build/qemu/tests/qtest/vfio-msix-add-vectors"
GUEST_RUNNER = "tests/bench/guest-latency"
LOG_LIBRARY = "build/libvfio-log.so"
HEAP_LIBRARY = "build/tests/bench/libheap-log.so"
FILE = "figures.json"
GUEST_KERNEL = "6.12"
SIMULATED_LIMIT = 900           # seconds, for what hangs

TIMELINE_VECTORS = 16
GUEST_VECTORS = 32


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much is measured."""

    sizes: tuple[int, ...] = (8, 64, 256)
    rounds: int = 3
    repeat: int = 1             # within a round, of everything
    latencies: int = 100        # interrupts in a round
    guests: int = 2             # rounds of Linux guests
    kernels: tuple[str, ...] = ("6.1", "6.12")
    simulated: tuple[int, ...] = (512, 2048)


QUICK = Extent(sizes=(8, 64), rounds=2, repeat=1, latencies=50, guests=1,
               kernels=("6.12",), simulated=(512,))


@dataclasses.dataclass(frozen=True)
class Task:
    """What a job of a boot is about."""

    who: str
    kind: str
    round: int
    vectors: int = 0            # 0: all sizes


@dataclasses.dataclass(frozen=True)
class Boot:
    """A boot, and what each of its jobs is about."""

    plan: BootPlan
    tasks: dict[str, Task]


def processors(vectors: int) -> int:
    """An x86 host has about 200 vectors for each; two are needed so that
    something goes on while QEMU is busy."""
    return max(2, -(-(vectors + 60) // 180))


def machine(extent: Extent, name: str) -> Machine:
    """The host for all but Linux guests.  KVM is there, but runs no guest."""
    most = max(*extent.sizes, TIMELINE_VECTORS)
    return Machine(f"bench-{name}", processors(most), 3072, {"main": most},
                   ("vfio-pci", "kvm_amd"))


GUEST_MACHINE = Machine("bench-guest", 1, 2048, {"main": GUEST_VECTORS},
                        ("vfio-pci", "kvm_amd"))


class Planner:
    """Makes boots of what is to be measured."""

    def __init__(self, extent: Extent, build: Path, qemus: dict[str, Path],
                 counted: bool = True) -> None:
        self.extent = extent
        self.counted = counted
        self.build = build
        self.qemus = qemus
        self.jobs: list[Job] = []
        self.tasks: dict[str, Task] = {}

    def _program(self, name: str) -> str:
        return str(paths.in_build(name, self.build))

    def _pinned(self, task: Task, place: Machine) -> list[str]:
        """With counted time one processor runs at a time: run everything on the
        same.  The others serve for their interrupt vectors, except where the
        device fires."""
        if not self.counted or task.kind == IRQFD:
            return []
        mask = 1 if task.kind in FIRING else (1 << place.smp) - 1
        return ["sh", "-c", "set -e; for cpu in "
                "/sys/devices/system/cpu/cpu[1-9]*/online; do echo 1 >$cpu; "
                f"done; echo {mask:x} >/proc/irq/default_smp_affinity; "
                'exec taskset -c 0 "$@"', "sh"]

    def _add(self, task: Task, place: Machine, argv: list[str], timeout: int,
             preload: str = "", guest: Guest | None = None) -> None:
        name = f"{len(self.jobs) + 1:03d}-{task.kind}-{task.who}"
        # The baseline runs no QEMU, and ignores which one it is given.
        qemu = Qemu(task.who, self.qemus[PATCHED if task.who == BASELINE
                                         else task.who])
        self.jobs.append(Job(
            name, (*self._pinned(task, place), *argv), qemu, (place.address("main"),), timeout,
            paths.in_build(preload, self.build) if preload else None,
            guest=guest))
        self.tasks[name] = task

    def _measure(self, task: Task, place: Machine) -> None:
        extent = self.extent
        baseline = task.who == BASELINE
        argv = [self._program(BASELINE_PROGRAM if baseline else BENCH_PROGRAM),
                "--json", "{out}/" + FILE]
        sizes = ["--sizes", ",".join(map(str, extent.sizes))]
        if task.kind in (TIMES, KVM):
            argv += [*sizes, "--repeat", str(extent.repeat)]
        if task.kind == LATENCY:
            argv += ["--latency", str(extent.latencies)]
        if task.kind == CALLS:
            argv += [*sizes, "--count"]
        if task.kind == TIMELINE:
            argv += ["--timeline"]
        if task.kind in (MEMORY, MEMORY_KVM):
            argv += [*sizes, "--memory"]
        if not baseline and task.kind in (*WITH_KVM, CALLS):
            argv += ["--kvm"]
        self._add(task, place, argv, 900, {
            CALLS: LOG_LIBRARY, MEMORY: HEAP_LIBRARY,
            MEMORY_KVM: HEAP_LIBRARY}.get(task.kind, ""))

    def _boot(self, kernel: Kernel, place: Machine) -> Boot:
        boot = Boot(BootPlan(kernel, place, tuple(self.jobs)), self.tasks)
        self.jobs, self.tasks = [], {}
        return boot

    def main(self, kernel: Kernel) -> list[Boot]:
        """Everything but Linux guests.  A boot for each round: one that breaks
        costs no other."""
        boots = []
        for number in range(1, self.extent.rounds + 1):
            place = machine(self.extent, str(number))
            for kind in (TIMES, KVM, LATENCY, MEMORY, MEMORY_KVM):
                for who in EVERYBODY:
                    if kind not in WITH_KVM or who != BASELINE:
                        self._measure(Task(who, kind, number), place)
            boots.append(self._boot(kernel, place))
        place = machine(self.extent, "counts")
        for who in EVERYBODY:
            self._measure(Task(who, CALLS, 1), place)
        for who in QEMUS:
            self._measure(Task(who, TIMELINE, 1), place)
        for vectors in self.extent.sizes:
            for who in QEMUS:
                self._add(Task(who, ADD_VECTORS, 1, vectors), place,
                          [self._program(ADD_VECTORS_PROGRAM),
                           "--vectors", str(vectors),
                           "--per-unmask", "10", "--json", "{out}/" + FILE],
                          900, LOG_LIBRARY)
        return [*boots, self._boot(kernel, place)]

    def guests(self, kernel: Kernel, guest: Kernel) -> Boot | None:
        """Linux guests, that have KVM deliver."""
        inside = Guest(guest, Path(self._program(GUEST_PROGRAM)))
        for number in range(1, self.extent.guests + 1):
            for who in QEMUS:
                self._add(Task(who, IRQFD, number), GUEST_MACHINE,
                          [self._program(GUEST_RUNNER),
                           str(self.extent.latencies)], 600, guest=inside)
        return self._boot(kernel, GUEST_MACHINE) if self.jobs else None

    def simulated(self, personality: str, who: str, out: Path,
                  kvm: bool) -> list[str]:
        """A command that counts calls on the simulated host."""
        sizes = self.extent.simulated
        return [str(paths.TREE / "tests" / "vfio-sim" / "vfio-sim"),
                "--personality", personality, "--vectors", str(max(sizes)),
                "--", self._program(BENCH_PROGRAM), "--count",
                *(["--kvm"] if kvm else []),
                "--sizes", ",".join(map(str, sizes)), "--json", str(out)]
