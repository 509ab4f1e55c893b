# SPDX-License-Identifier: GPL-2.0-or-later
"""From what the programs print to figures that answer a question.

A time in QEMU is that of the whole access.  The baseline has no access: for a
comparison with it, the median of an access that does nothing, measured by the
same process, is subtracted.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from . import plan, raw, stats
from .raw import BadFigures

QEMU = "qemu"                   # QEMU delivers, TCG's vCPU
KVM = "kvm"                     # the same with KVM, whose vCPU is not run
GUEST = "guest"                 # as a Linux guest under KVM sees it


@dataclasses.dataclass(frozen=True)
class Question:
    """What a row of figures is about."""

    name: str
    title: str
    unit: str
    modes: tuple[str, ...] = (QEMU,)


BOTH = (QEMU, KVM)
ALL = (QEMU, KVM, GUEST)
QUESTIONS = (
    Question("new", "a new vector at run time", "µs", ALL),
    Question("new-slowest", "the slowest new one of N", "µs", BOTH),
    Question("new-sum", "all N new ones in sum", "µs", BOTH),
    Question("new-wall", "all N, with the way to QEMU and what it does in "
             "between", "µs", BOTH),
    Question("nothing", "an access that does nothing", "µs", ALL),
    Question("mask", "mask and unmask a vector in use", "µs", ALL),
    Question("mask-often", "the same vector, again and again", "µs", ALL),
    Question("fmask", "function mask on and off, N in use", "µs", BOTH),
    Question("enable", "enable MSI-X with N unmasked", "µs", BOTH),
    Question("disable", "disable it with N in use", "µs", BOTH),
    Question("reset", "reset the machine with N in use", "µs", BOTH),
    Question("latency", "delivery by QEMU, device to guest memory", "µs"),
    Question("irqfd", "delivery by KVM, device to a Linux guest", "µs",
             (GUEST,)),
    Question("memory", "memory in use for each of N vectors", "bytes", BOTH),
)
BY_NAME = {question.name: question for question in QUESTIONS}


@dataclasses.dataclass(frozen=True)
class Key:
    """Which figure."""

    question: str
    mode: str
    kernel: str
    who: str
    vectors: int                # 0: it is about none in particular


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that could not be measured."""

    kernel: str
    who: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kernel}, {self.who}, {self.kind}: {self.reason}"


@dataclasses.dataclass
class Figures:
    """All that was measured, and what could not be."""

    samples: dict[Key, list[float]] = dataclasses.field(default_factory=dict)
    # by mode, kernel, who and N: the times of the first, second, ... vector
    curves: dict[tuple[str, str, str, int], list[list[float]]] = \
        dataclasses.field(default_factory=dict)
    calls: list[tuple[str, str, raw.Calls]] = \
        dataclasses.field(default_factory=list)
    interrupts: list[tuple[str, str, dict[str, Any]]] = \
        dataclasses.field(default_factory=list)
    timelines: dict[tuple[str, str], raw.Timeline] = \
        dataclasses.field(default_factory=dict)
    problems: list[Problem] = dataclasses.field(default_factory=list)

    def add(self, key: Key, *values: float) -> None:
        self.samples.setdefault(key, []).extend(values)

    def summary(self, key: Key) -> stats.Summary | None:
        """None if it was not measured."""
        values = self.samples.get(key)
        return stats.summary(values) if values else None


def _pairs(found: dict[tuple[str, int], raw.Times], one: str, other: str,
           vectors: int) -> list[float]:
    a, b = found[one, vectors].us, found[other, vectors].us
    if len(a) != len(b):
        raise BadFigures(f"{len(a)} times of {one}, {len(b)} of {other}")
    return [x + y for x, y in zip(a, b)]


def _rounds(times: raw.Times, vectors: int) -> list[list[float]]:
    return [times.us[i:i + vectors] for i in range(0, len(times.us), vectors)]


WANTED_BASELINE = ("add", "enable", "disable", "reset")
WANTED = (*WANTED_BASELINE, "nothing", "mask", "unmask", "mask-often",
          "unmask-often", "fmask-on", "fmask-off")


def take_times(into: Figures, kernel: str, who: str, mode: str,
               sizes: tuple[int, ...], data: dict[str, Any]) -> None:
    """All that one process has timed; none of it if some is missing."""
    baseline = who == plan.BASELINE
    found = raw.times(data, {what: set(sizes) for what in
                             (WANTED_BASELINE if baseline else WANTED)})
    new = Figures()

    def add(question: str, vectors: int, *values: float) -> None:
        new.add(Key(question, mode, kernel, who, vectors), *values)

    for n in sizes:
        base = 0.0
        if not baseline:
            nothing = found["nothing", n]
            base = statistics.median(nothing.us)
            add("nothing", n, *nothing.us)
            add("mask", n, *_pairs(found, "mask", "unmask", n))
            add("mask-often", n, *_pairs(found, "mask-often", "unmask-often",
                                         n))
            add("fmask", n, *_pairs(found, "fmask-on", "fmask-off", n))
            # The baseline gets its requests by a pipe: not comparable.
            add("new-wall", n, *found["add", n].wall_us)
        rounds = [[us - base for us in times]
                   for times in _rounds(found["add", n], n)]
        for times in rounds:
            add("new", n, *times)
            add("new-sum", n, sum(times))
            add("new-slowest", n, max(times))
        new.curves[mode, kernel, who, n] = rounds
        for what in ("enable", "disable"):
            add(what, n, *(us - base for us in found[what, n].us))
        add("reset", n, *found["reset", n].us)
    if ("reset", 0) in found:
        add("reset", 0, *found["reset", 0].us)

    for key, values in new.samples.items():
        into.add(key, *values)
    for curve, rounds in new.curves.items():
        into.curves.setdefault(curve, []).extend(rounds)


def take_guest(into: Figures, kernel: str, who: str, latencies: int,
               data: dict[str, Any]) -> None:
    """What a Linux guest has timed."""
    found = {"irqfd": raw.latencies(data, latencies)}
    for what in ("nothing", "mask", "mask-often", "new"):
        found[what] = raw.some_times(data, f"{what.replace('-', '_')}_us")
    base = statistics.median(found["nothing"])
    found["new"] = [us - base for us in found["new"]]
    for what, values in found.items():
        into.add(Key(what, GUEST, kernel, who,
                     0 if what == "irqfd" else plan.GUEST_VECTORS), *values)


INTERRUPT_COUNTS = ("vectors", "rounds", "raised", "raised_adding",
                    "raised_off", "delivered", "late", "lost", "extra",
                    "teardowns")


def take_interrupts(into: Figures, kernel: str, who: str, vectors: int,
                    data: dict[str, Any]) -> None:
    """Interrupts while vectors were unmasked."""
    counts = {key: raw.count(data.get(key), f"'{key}'")
              for key in INTERRUPT_COUNTS}
    if counts["vectors"] != vectors:
        raise BadFigures(f"{counts['vectors']} vectors instead of {vectors}")
    if not counts["raised"]:
        raise BadFigures("no interrupt was raised")
    if counts["delivered"] + counts["lost"] != counts["raised"]:
        raise BadFigures("the interrupts delivered and lost are not those "
                         "raised")
    into.interrupts.append((kernel, who, counts))


def take(into: Figures, kernel: str, task: plan.Task, extent: plan.Extent,
         can_add: bool, data: dict[str, Any]) -> None:
    """What a job has measured, or BadFigures."""
    who = task.who
    if task.kind != plan.IRQFD:
        raw.dynamic(data, can_add)
    if task.kind == plan.TIMES:
        take_times(into, kernel, who, QEMU, extent.sizes, data)
    elif task.kind == plan.KVM:
        take_times(into, kernel, who, KVM, extent.sizes, data)
    elif task.kind in (plan.MEMORY, plan.MEMORY_KVM):
        mode = QEMU if task.kind == plan.MEMORY else KVM
        into.add(Key("memory", mode, kernel, who, max(extent.sizes)),
                 raw.memory(data, max(extent.sizes)))
    elif task.kind == plan.LATENCY:
        into.add(Key("latency", QEMU, kernel, who, 0),
                 *raw.latencies(data, extent.latencies))
    elif task.kind == plan.IRQFD:
        take_guest(into, kernel, who, extent.latencies, data)
    elif task.kind == plan.CALLS:
        into.calls += [(kernel, who, calls) for calls in raw.calls(data)]
    elif task.kind == plan.ADD_VECTORS:
        take_interrupts(into, kernel, who, task.vectors, data)
    elif task.kind == plan.TIMELINE:
        into.timelines[kernel, who] = raw.timeline(data)
