# SPDX-License-Identifier: GPL-2.0-or-later
"""report.json: all figures, with ratios, and what could not be measured.

Everything that is shown - tables, page, reST - is made from it alone.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

from . import plan, stats
from .figures import BY_NAME, QUESTIONS, Figures, Key
from .targets import judge

FORMAT = 3


class BadReport(Exception):
    """No report, or one of another kind."""


def _figure(figures: Figures, key: Key) -> dict[str, Any]:
    found = figures.summary(key)
    assert found
    result: dict[str, Any] = {
        **dataclasses.asdict(key), "unit": BY_NAME[key.question].unit,
        **dataclasses.asdict(found)}
    for name, who in (("to_baseline", plan.BASELINE),
                      ("to_stock", plan.STOCK)):
        # The baseline has no vCPU, so it is the same for all modes.
        mode = "qemu" if who == plan.BASELINE else key.mode
        base = figures.summary(dataclasses.replace(key, who=who, mode=mode))
        result[name] = (stats.ratio(found.median, base.median)
                        if base and who != key.who else None)
    return result


def _curve(place: tuple[str, str, str, int],
           rounds: list[list[float]]) -> dict[str, Any]:
    mode, kernel, who, vectors = place
    return {"mode": mode, "kernel": kernel, "who": who, "vectors": vectors,
            "us": [round(statistics.median(times), 1)
                   for times in zip(*rounds)]}


def make(figures: Figures, facts: dict[str, Any]) -> dict[str, Any]:
    """The report; facts are what is known beside the figures."""
    order = {question.name: i for i, question in enumerate(QUESTIONS)}
    keys = sorted(figures.samples, key=lambda key: (
        order[key.question], key.mode, float(key.kernel), key.vectors,
        plan.EVERYBODY.index(key.who)))
    report: dict[str, Any] = {
        "format": FORMAT, **facts,
        "figures": [_figure(figures, key) for key in keys],
        "curves": [_curve(place, rounds)
                   for place, rounds in figures.curves.items()],
        "calls": [{"kernel": kernel, "who": who, **dataclasses.asdict(calls)}
                  for kernel, who, calls in figures.calls],
        "interrupts": [{"kernel": kernel, "who": who, **counts}
                   for kernel, who, counts in figures.interrupts],
        "timelines": [{"kernel": kernel, "who": who,
                       **dataclasses.asdict(timeline)}
                      for (kernel, who), timeline
                      in figures.timelines.items()],
        "problems": [dataclasses.asdict(problem)
                     for problem in figures.problems],
    }
    report["targets"] = [dataclasses.asdict(target)
                         for target in judge(View(report))]
    return report


def write(report: dict[str, Any], path: Path) -> None:
    """All of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False)
                         + "\n", encoding="utf-8")
    temporary.rename(path)


def read(path: Path) -> dict[str, Any]:
    """A report that was written before."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadReport(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadReport(f"{path}: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise BadReport(f"{path} is no report of this bench")
    return report


class View:
    """Looks things up in a report."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report
        self.index = {(f["question"], f["mode"], f["kernel"], f["who"],
                       f["vectors"]): f for f in report["figures"]}

    @property
    def kernels(self) -> list[str]:
        return list(self.report["kernels"])

    @property
    def sizes(self) -> list[int]:
        return list(self.report["sizes"])

    def name(self, who: str) -> str:
        """What to call somebody: QEMUs by their version."""
        if who == plan.BASELINE:
            return "baseline"
        version = self.report["qemus"].get(who, "?")
        return "patched" if who == plan.PATCHED else f"QEMU {version}"

    def figure(self, question: str, mode: str, kernel: str, who: str,
               vectors: int) -> dict[str, Any] | None:
        """None if it is not there."""
        if who == plan.BASELINE:
            mode = "qemu"
        return self.index.get((question, mode, kernel, who, vectors))

    def median(self, *place: Any) -> float | None:
        found = self.figure(*place)
        return found["median"] if found else None

    def vectors(self, question: str, mode: str) -> list[int]:
        """The numbers of vectors that there are figures for."""
        return sorted({n for q, m, _, _, n in self.index
                       if (q, m) == (question, mode)})

    def curve(self, mode: str, kernel: str, who: str,
              vectors: int) -> list[float] | None:
        """Times of the first, second, ... new vector."""
        if who == plan.BASELINE:
            mode = "qemu"
        for curve in self.report["curves"]:
            if (curve["mode"], curve["kernel"], curve["who"],
                    curve["vectors"]) == (mode, kernel, who, vectors):
                return list(curve["us"])
        return None

    def calls(self, kernel: str, who: str, what: str,
              vectors: int) -> list[dict[str, Any]]:
        """All that were counted, of each time that it was done."""
        return [calls for calls in self.report["calls"]
                if (calls["kernel"], calls["who"], calls["what"],
                    calls["vectors"]) == (kernel, who, what, vectors)]
