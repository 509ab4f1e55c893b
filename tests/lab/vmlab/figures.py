# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures of vfio-msix-add-vectors, and what they show."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

PATCHED = "patched"
LEAST_VECTORS = 64
LEAST_RAISED = 100_000          # while vectors are added, by default
COUNTS = ("vectors", "rounds", "raised", "raised_adding", "raised_off",
          "delivered", "late", "lost", "extra", "teardowns", "teardowns_most",
          "set_irqs")
MEANS = ("eventfds", "mask_set_irqs")


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
    raised_adding: int          # of these, between the unmasks of a round
    raised_off: int             # and while MSI-X was off
    delivered: int
    late: int
    lost: int
    extra: int
    teardowns: int
    teardowns_most: int         # in one round
    set_irqs: int
    eventfds: float             # of QEMU for a vector, with KVM
    mask_set_irqs: float        # for a mask and an unmask, with KVM
    median_us: float
    max_us: float

    def report(self) -> dict[str, Any]:
        """As report.json has it."""
        return {
            "kernel": self.kernel, "dynamic": self.dynamic, "qemu": self.qemu,
            "version": self.version, "vectors": self.vectors,
            "rounds": self.rounds, "raised": self.raised,
            "raised_adding": self.raised_adding,
            "raised_off": self.raised_off, "delivered": self.delivered,
            "late": self.late, "lost": self.lost, "extra": self.extra,
            "teardowns": self.teardowns,
            "teardowns_most": self.teardowns_most, "set_irqs": self.set_irqs,
            "eventfds": self.eventfds, "mask_set_irqs": self.mask_set_irqs,
            "unmask_us": {"median": self.median_us, "max": self.max_us},
        }


def _count(data: dict[str, Any], key: str) -> int:
    value = data[key]
    # bool is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadFigures(f"'{key}' is no count: {value!r}")
    return value


def _number(data: dict[str, Any], key: str) -> float:
    value = data.get(key)
    if (not isinstance(value, (int, float)) or isinstance(value, bool)
            or not math.isfinite(value) or value < 0):
        raise BadFigures(f"'{key}' is no number: {value!r}")
    return float(value)


def read(text: str, kernel: str, qemu: str, version: str, vectors: int,
         rounds: int) -> Run:
    """The program's JSON object, if it is complete and makes sense."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadFigures(f"no JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadFigures("no JSON object")
    missing = {*COUNTS, *MEANS, "dynamic", "unmask_us"} - data.keys()
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
              median_us=_number(times, "median"),
              max_us=_number(times, "max"), **counts,
              **{key: _number(data, key) for key in MEANS})
    if run.vectors != vectors or run.rounds != rounds:
        raise BadFigures(f"{run.vectors} vectors in {run.rounds} rounds "
                         f"instead of {vectors} in {rounds}")
    if run.max_us < run.median_us:
        raise BadFigures("the slowest unmask is faster than the median")
    if run.delivered + run.lost != run.raised:
        raise BadFigures("the interrupts delivered and lost are not those "
                         "raised")
    if run.raised_adding > run.raised or run.raised_off > run.raised:
        raise BadFigures("more interrupts raised at times than in all")
    if not (run.teardowns_most <= run.teardowns
            <= run.teardowns_most * run.rounds):
        raise BadFigures(f"MSI-X off {run.teardowns} times in all, but at "
                         f"most {run.teardowns_most} times a round")
    return run


def teardowns_allowed(vectors: int) -> int:
    """The limit of resizes in a round on a host that cannot add vectors: each
    doubles their number."""
    return (vectors - 1).bit_length() + 1


def _ours(run: Run, dynamic: bool, full: bool) -> list[str]:
    """What the patched QEMU must do."""
    who = f"On {run.kernel} patched QEMU"
    found = []
    if run.lost:
        found.append(f"{who} lost {run.lost} of {run.raised} interrupts.")
    if dynamic and run.teardowns:
        found.append(f"{who} switched MSI-X off {run.teardowns} times while "
                     "vectors were unmasked.")
    allowed = teardowns_allowed(run.vectors)
    if not dynamic and run.teardowns_most > allowed:
        found.append(f"{who} switched MSI-X off {run.teardowns_most} times "
                     f"while {run.vectors} vectors were unmasked, more than "
                     f"{allowed}.")
    if run.extra > run.vectors * run.teardowns:
        found.append(f"{who} delivered {run.extra} extra interrupts, more than "
                     "one for each vector each time that MSI-X was off.")
    if run.eventfds != 1:
        found.append(f"{who} had {run.eventfds} eventfds for each vector.")
    if run.mask_set_irqs:
        found.append(f"{who} called VFIO_DEVICE_SET_IRQS {run.mask_set_irqs} "
                     "times for a mask and an unmask of a vector.")
    if full and run.raised_adding < LEAST_RAISED:
        found.append(f"{who} met {run.raised_adding} interrupts while vectors "
                     f"were unmasked, which are less than {LEAST_RAISED}.")
    if full and not dynamic and not run.raised_off:
        found.append(f"{who} met no interrupt while MSI-X was off, so this "
                     "run does not show that it loses none.")
    return found


def failures(runs: list[Run], kernels: dict[str, bool],
             full: bool) -> list[str]:
    """One sentence for each part of the claim that the figures do not show.

    kernels says which host kernels there must be, and whether they can add
    vectors one by one; full, whether all rounds were run.  In fewer there are
    not as many interrupts."""
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
            if run.eventfds <= 1 or not run.mask_set_irqs:
                found.append(f"On {kernel} stock QEMU needed no more eventfds, "
                             "or no calls for a mask and an unmask: this run "
                             "shows no difference.")
        for run in ours:
            found += _ours(run, dynamic, full)
    return found


def notes(runs: list[Run], full: bool) -> list[str]:
    """What a reader of the table must know."""
    found = []
    for run in runs:
        if run.qemu == PATCHED and not run.dynamic:
            found.append(
                f"Note: Linux {run.kernel} cannot add MSI-X vectors one by "
                "one, so every QEMU has to switch MSI-X off and on to get "
                "more, a resize. The patched one resizes to twice as many each "
                "time, and signals the vectors in use once afterwards: one "
                "that had lost nothing gets an extra interrupt.")
    if runs:
        found.append("Note: SET_IRQS a mask are the calls for a mask and an "
                     "unmask of a vector in use, with KVM; so are the "
                     "eventfds.")
    if not full:
        found.append(f"Note: with fewer rounds than by default, {LEAST_RAISED} "
                     "interrupts while vectors were unmasked were not asked "
                     "for.")
    return found


def shown(runs: list[Run]) -> str:
    """The claim, in figures; for runs without failures."""
    ours = " and ".join(f"none of {run.raised_adding} on Linux {run.kernel}"
                        for run in runs if run.qemu == PATCHED)
    return ("Shown: stock QEMU loses interrupts that are raised while vectors "
            f"are unmasked at run time; the patched QEMU lost {ours}.")


HEADINGS = (
    ("host", "kernel"), ("QEMU", ""), ("vectors", "unmasked"),
    ("raised", "in all"), ("raised", "adding"), ("raised", "MSI-X off"),
    ("late", ""), ("lost", ""), ("extra", ""),
    ("resizes", ""), ("SET_IRQS", "calls"), ("unmask µs", "median"),
    ("unmask µs", "slowest"), ("eventfds", "a vector"),
    ("SET_IRQS", "a mask"))


def table(runs: list[Run]) -> str:
    """A row a run; words to the left, figures to the right."""
    rows = [(run.kernel, run.qemu, f"{run.vectors} x {run.rounds}",
             str(run.raised), str(run.raised_adding), str(run.raised_off),
             str(run.late), str(run.lost), str(run.extra),
             str(run.teardowns), str(run.set_irqs),
             f"{run.median_us:.0f}", f"{run.max_us:.0f}",
             f"{run.eventfds:g}", f"{run.mask_set_irqs:g}") for run in runs]
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
