# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases again and again, for as long as it is wanted."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

from . import tap
from .boot import Boot, Ended
from .errors import EXIT_BROKEN, EXIT_FAILED, EXIT_OK, Broken
from .figures import BadFigures
from .outer import Outer
from .plan import BootPlan, Job
from .progress import Progress
from .run import RunFolder

FIGURES = "figures.json"
# Of a job's figures those that can be added up, in this order.
SUMS = ("raised", "handled", "lost", "dropped", "extra", "late", "masks",
        "irqfd-assigned")
# Give up after so many hosts in a row that break.
MOST_BROKEN = 3


def read_figures(folder: Path) -> dict[str, int]:
    """What a job has counted; none, if it is one that does not."""
    try:
        data = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadFigures(f"{FIGURES}: {error}") from error
    if not isinstance(data, dict):
        raise BadFigures(f"{FIGURES}: no JSON object")
    return {name: data[name] for name in SUMS
            if isinstance(data.get(name), int)}


def figures_text(figures: dict[str, int]) -> str:
    """As it stands in a line."""
    return ", ".join(f"{name} {figures[name]}" for name in SUMS
                     if name in figures)


@dataclasses.dataclass
class Soak:
    """What it takes, and what came of it so far."""

    where: Outer
    folder: RunFolder
    scale: float
    progress: Progress
    sums: dict[str, int] = dataclasses.field(default_factory=dict)
    passed: int = 0
    failed: int = 0
    broken: int = 0
    in_a_row: int = 0

    def line(self, number: int, who: str, kind: str, text: str) -> None:
        self.progress.clear()
        stamp = time.strftime("%H:%M:%S")
        print(f"{stamp} {number:4d} {who}: {kind}{': ' if text else ''}{text}",
              flush=True)

    def take(self, number: int, boot: BootPlan, job: Job,
             ended: Ended) -> None:
        """A job's outcome."""
        got = tap.outcome(ended.stdout(), ended.status, ended.stderr())
        try:
            figures = read_figures(ended.folder)
        except BadFigures as error:
            figures = {}
            # A job that has not passed keeps its outcome.
            if got.kind == tap.PASS:
                got = tap.Outcome(tap.BROKEN, str(error))
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0) + value
        text = [figures_text(figures)] if figures else []
        if got.kind == tap.PASS:
            self.passed += 1
            kind = "ok"
        else:
            text += [got.reason, f"logs: {ended.folder}"]
            kind = got.kind
            # The infrastructure failed, not the test.
            if got.kind in (tap.BROKEN, tap.NOT_RUN):
                self.broken += 1
            else:
                self.failed += 1
        assert job.case is not None
        self.line(number, f"{job.case.name} [{boot.name} {job.qemu.label}]",
                  kind, "; ".join(text))

    def boot(self, number: int, boot: BootPlan) -> None:
        """One host.  One that breaks is told, counted, and not retried."""
        place = self.folder.boot(f"{number:04d}-{boot.name}")
        before = self.failed + self.broken

        def listener(job: Job, ended: Ended | None) -> None:
            if ended is not None:
                self.take(number, boot, job, ended)

        try:
            Boot(boot, self.where, place, self.scale).run(
                self.progress.status, listener)
            self.in_a_row = 0
        except Broken as error:
            self.broken += 1
            self.in_a_row += 1
            self.line(number, f"[{boot.name}]", "broken", str(error))
        if self.failed + self.broken == before and not self.folder.keep:
            shutil.rmtree(place)

    def run(self, boots: list[BootPlan], minutes: float) -> int:
        """An exit status.  What has begun when the time is over ends first."""
        end = time.monotonic() + 60 * minutes
        number = 0
        try:
            while not number or time.monotonic() < end:
                if self.in_a_row == MOST_BROKEN:
                    self.progress.clear()
                    print(f"given up: {MOST_BROKEN} hosts in a row broke",
                          flush=True)
                    break
                self.boot(number + 1, boots[number % len(boots)])
                number += 1
        finally:
            self.progress.clear()
            print(f"{self.passed} passed, {self.failed} failed, {self.broken} "
                  "broken" + (f"; {figures_text(self.sums)}" if self.sums
                              else ""), flush=True)
        if self.failed:
            return EXIT_FAILED
        return EXIT_BROKEN if self.broken else EXIT_OK
