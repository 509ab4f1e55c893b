# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of the growth program, and what they show."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

PATCHED = "patched"
LEAST_VECTORS = 64
COUNTS = ("vectors", "rounds", "raised", "delivered", "late", "lost", "extra",
          "teardowns", "set_irqs")


class BadFigures(Exception):
    """Figures that are missing or make no sense; none is ever filled in."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What one QEMU did on one host kernel."""

    kernel: str
    qemu: str
    version: str
    dynamic: bool
    vectors: int
    rounds: int
    raised: int
    delivered: int
    late: int
    lost: int
    extra: int
    teardowns: int
    set_irqs: int
    median_us: float
    max_us: float

    def report(self) -> dict[str, Any]:
        """As report.json has it."""
        return {
            "kernel": self.kernel, "dynamic": self.dynamic, "qemu": self.qemu,
            "version": self.version, "vectors": self.vectors,
            "raised": self.raised, "delivered": self.delivered,
            "late": self.late, "lost": self.lost, "extra": self.extra,
            "teardowns": self.teardowns, "set_irqs": self.set_irqs,
            "unmask_us": {"median": self.median_us, "max": self.max_us},
        }


def _count(data: dict[str, Any], key: str) -> int:
    value = data[key]
    # bool is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadFigures(f"'{key}' is no count: {value!r}")
    return value


def _time(data: dict[str, Any], key: str) -> float:
    value = data.get(key)
    if (not isinstance(value, (int, float)) or isinstance(value, bool)
            or not math.isfinite(value) or value < 0):
        raise BadFigures(f"'unmask_us' has no time as '{key}': {value!r}")
    return float(value)


def read(text: str, kernel: str, qemu: str, version: str, vectors: int,
         rounds: int) -> Run:
    """The growth program's JSON object, if it is complete and makes sense."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadFigures(f"no JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadFigures("no JSON object")
    missing = {*COUNTS, "dynamic", "unmask_us"} - data.keys()
    if missing:
        raise BadFigures(f"missing: {', '.join(sorted(missing))}")
    counts = {key: _count(data, key) for key in COUNTS}
    if not isinstance(data["dynamic"], bool):
        raise BadFigures(f"'dynamic' is neither true nor false: "
                         f"{data['dynamic']!r}")
    times = data["unmask_us"]
    if not isinstance(times, dict):
        raise BadFigures("'unmask_us' is no object")
    run = Run(kernel, qemu, version, data["dynamic"],
              median_us=_time(times, "median"), max_us=_time(times, "max"),
              **counts)
    if run.vectors != vectors or run.rounds != rounds:
        raise BadFigures(f"{run.vectors} vectors in {run.rounds} rounds "
                         f"instead of {vectors} in {rounds}")
    if run.max_us < run.median_us:
        raise BadFigures("the slowest unmask is faster than the median")
    if run.lost > run.raised or run.delivered + run.lost > run.raised + run.extra:
        raise BadFigures("more interrupts delivered and lost than raised")
    return run


def failures(runs: list[Run], kernels: dict[str, bool]) -> list[str]:
    """One sentence for each part of the claim that the figures do not show.

    kernels says which host kernels there must be, and whether they can add
    vectors one by one."""
    found = []
    for kernel, dynamic in kernels.items():
        here = [run for run in runs if run.kernel == kernel]
        ours = [run for run in here if run.qemu == PATCHED]
        stock = [run for run in here if run.qemu != PATCHED]
        for who, those in (("stock", stock), ("patched", ours)):
            if len(those) != 1:
                found.append(f"On {kernel} there are no figures of {who} QEMU.")
        for run in here:
            who = f"On {kernel}, {run.qemu}"
            if run.dynamic != dynamic:
                found.append(f"{who}: the host was found to be "
                             f"{'' if run.dynamic else 'not '}dynamic.")
            if run.vectors < LEAST_VECTORS:
                found.append(f"{who}: only {run.vectors} vectors.")
            if not run.raised:
                found.append(f"{who}: no interrupt was raised.")
        for run in stock:
            if not run.lost:
                found.append(f"On {kernel} stock QEMU lost nothing, so this "
                             "run shows no difference.")
        for run in ours:
            if dynamic and run.lost:
                found.append(f"On {kernel} patched QEMU lost {run.lost} of "
                             f"{run.raised} interrupts.")
            if dynamic and run.teardowns:
                found.append(f"On {kernel} patched QEMU switched MSI-X off "
                             f"{run.teardowns} times while vectors were "
                             "unmasked.")
    return found


def notes(runs: list[Run]) -> list[str]:
    """What a reader of the table must know."""
    found = []
    for run in runs:
        if run.qemu == PATCHED and not run.dynamic:
            what = (f"loses interrupts there as well ({run.lost} here)"
                    if run.lost else
                    "may lose interrupts there as well (none here, by chance)")
            found.append(
                f"Note: Linux {run.kernel} cannot add MSI-X vectors one by "
                "one, so every QEMU has to switch MSI-X off and on to get "
                f"more; the patched one {what}.")
    return found


HEADINGS = (
    ("host", "kernel"), ("QEMU", ""), ("vectors", "unmasked"), ("raised", ""),
    ("delivered", ""), ("late", ""), ("lost", ""), ("extra", ""),
    ("MSI-X", "off/on"), ("SET_IRQS", "calls"), ("unmask µs", "median"),
    ("unmask µs", "slowest"))


def table(runs: list[Run]) -> str:
    """A row a run; words to the left, figures to the right."""
    rows = [(run.kernel, run.qemu, f"{run.vectors} x {run.rounds}",
             str(run.raised), str(run.delivered), str(run.late), str(run.lost),
             str(run.extra), str(run.teardowns), str(run.set_irqs),
             f"{run.median_us:.0f}", f"{run.max_us:.0f}") for run in runs]
    head = [tuple(heading[i] for heading in HEADINGS) for i in (0, 1)]
    widths = [max(len(row[i]) for row in [*head, *rows])
              for i in range(len(HEADINGS))]

    def line(row: tuple[str, ...]) -> str:
        return "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(head[0]), line(head[1]), rule,
                      *(line(row) for row in rows)])
