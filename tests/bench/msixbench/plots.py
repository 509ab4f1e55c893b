# SPDX-License-Identifier: GPL-2.0-or-later
"""A report's plots, as SVG that takes its text colour from the page."""

from __future__ import annotations

import dataclasses
import io
import re
import statistics
from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("svg")

# pylint: disable=wrong-import-position
from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import (FuncFormatter, LogLocator,  # noqa: E402
                               NullFormatter)

from . import plan  # noqa: E402
from .report import View  # noqa: E402
from .targets import MODES  # noqa: E402
# pylint: enable=wrong-import-position

# Replaced by the page's text colour; nothing else has it.
INK = "#010203"
# Seen well on white and on black.
COLOURS = {plan.BASELINE: "#8a8f98", plan.STOCK: "#d6455d",
           plan.PATCHED: "#1f9e89", plan.NEWER: "#c98a1b"}
MARKERS = {plan.BASELINE: "s", plan.STOCK: "o", plan.PATCHED: "D",
           plan.NEWER: "^"}
NAMES = {"qemu": "QEMU", "kvm": "KVM", "guest": "guest"}
# Narrow, so that it is readable on a phone at its full width.
WIDTH = 4.6

matplotlib.rcParams.update({
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "grid.color": INK,
    "grid.alpha": 0.15, "axes.grid": True, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 9, "axes.titlelocation": "left",
    "legend.frameon": False, "figure.constrained_layout.use": True})


def plain(value: float, _position: int | None = None) -> str:
    """1,000 rather than a power of ten."""
    if value >= 1 or value <= 0:
        return f"{value:,.0f}"
    return f"{value:g}"


def svg(figure: Figure, name: str) -> str:
    """The figure, to be put into a page as it is."""
    out = io.StringIO()
    matplotlib.rcParams["svg.hashsalt"] = name
    figure.savefig(out, format="svg", transparent=True,
                   metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = out.getvalue()
    text = text[text.index("<svg"):].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Every figure has its own names, or those of another would be taken.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    # As wide as the page lets it be.
    return re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1",
                  re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1),
                  count=1)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A plot, and who is in it: the page explains the colours."""

    image: str
    who: list[str]


@dataclasses.dataclass(frozen=True)
class Row:
    """A case, and the figures of all who are in it."""

    label: str
    kernel: str
    cells: dict[str, dict[str, Any] | None]


def log_scale(least: float) -> tuple[str, dict[str, Any]]:
    """A scale that has the least value on it: what remains when the time of an
    access that does nothing is taken off may be nothing or less."""
    return ("log", {}) if least > 0 else ("symlog", {"linthresh": 1})


def dots(view: View, rows: list[Row], unit: str, name: str, log: bool = True,
         marks: list[float | None] | None = None) -> Drawn | None:
    """A row for each case, a dot with its spread for each who is in it, and a
    stroke at the row's mark."""
    seen = [who for who in plan.EVERYBODY
            if any(row.cells.get(who) for row in rows)]
    if not seen:
        return None
    figure, axes = pyplot.subplots(
        figsize=(WIDTH, 0.7 + 0.42 * len(rows)))
    least = float("inf")
    for y, row in enumerate(rows):
        for offset, who in enumerate(seen):
            cell = row.cells.get(who)
            if not cell:
                continue
            least = min(least, cell["low"])
            at = y + (offset - (len(seen) - 1) / 2) * 0.17
            axes.plot([cell["low"], cell["high"]], [at, at],
                      color=COLOURS[who], linewidth=2, alpha=0.5)
            axes.plot(cell["median"], at, MARKERS[who], color=COLOURS[who],
                      markersize=4.5)
    for y, mark in enumerate(marks or []):
        if mark is not None:
            axes.plot([mark, mark], [y - 0.4, y + 0.4], color=INK,
                      linewidth=1.2)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    if log:
        scale, more = log_scale(least)
        axes.set_xscale(scale, **more)
        low, high = axes.get_xlim()
        if low > 0:
            axes.xaxis.set_major_locator(LogLocator(
                subs=(1.0,) if high > 50 * low else (1.0, 2.0, 5.0),
                numticks=8))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif least >= 0:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel(unit + (", logarithmic" if log else ""))
    return Drawn(svg(figure, name), seen)


def cases(view: View, question: str, modes: tuple[str, ...],
          sizes: tuple[int, ...] | None = None) -> list[Row]:
    """Rows for dots(): each mode, kernel and number of vectors."""
    rows = []
    for mode in modes:
        for n in view.vectors(question, mode):
            if sizes is not None and n not in sizes:
                continue
            for kernel in view.kernels:
                cells = {who: view.figure(question, mode, kernel, who, n)
                         for who in plan.EVERYBODY}
                if any(cells.values()):
                    words = [NAMES[mode]] if len(modes) > 1 else []
                    words += [str(n)] if n else []
                    rows.append(Row(", ".join([*words, kernel]), kernel,
                                    cells))
    return rows


def new_vectors(view: View, mode: str) -> Drawn | None:
    """Time of the first, second, ... vector, per QEMU and kernel."""
    n = max(view.sizes)
    curves = {(kernel, who): view.curve(mode, kernel, who, n)
              for kernel in view.kernels for who in plan.EVERYBODY}
    seen = [who for who in plan.EVERYBODY
            if any(curves[kernel, who] for kernel in view.kernels)]
    if not any(who != plan.BASELINE for who in seen):
        return None
    scale, more = log_scale(min(min(curve) for curve in curves.values()
                                if curve))
    figure, all_axes = pyplot.subplots(
        len(view.kernels), 1, squeeze=False, sharex=True, sharey=True,
        figsize=(WIDTH, 0.7 + 2.1 * len(view.kernels)))
    for kernel, axes in zip(view.kernels, all_axes[:, 0]):
        for who in seen:
            curve = curves[kernel, who]
            if curve:
                axes.plot(range(1, len(curve) + 1), curve,
                          color=COLOURS[who], linewidth=1.2)
        axes.set_yscale(scale, **more)
        axes.yaxis.set_major_formatter(FuncFormatter(plain))
        axes.set_title(f"host with Linux {kernel}")
        axes.set_ylabel("µs")
    all_axes[-1, 0].set_xlabel("vector")
    return Drawn(svg(figure, f"new-vectors-{mode}"), seen)


def timelines(view: View) -> Drawn | None:
    """Who gets interrupts when, around unmasks."""
    found = view.report["timelines"]
    if not found:
        return None
    figure, all_axes = pyplot.subplots(
        len(found), 1, squeeze=False, sharex=True,
        figsize=(WIDTH, 0.5 + 1.5 * len(found)))
    for timeline, axes in zip(found, all_axes[:, 0]):
        xs: list[float] = []
        ys: list[float] = []
        for at, n in timeline["arrivals"]:
            xs += [at / 1000, at / 1000, float("nan")]
            ys += [n - 0.4, n + 0.4, float("nan")]
        axes.plot(xs, ys, color=COLOURS[timeline["who"]], linewidth=0.7)
        for start, end, _ in timeline["unmasks"]:
            axes.axvspan(start / 1000, end / 1000, color=INK, alpha=0.25,
                         linewidth=0.6)
        vectors = timeline["old"] + len(timeline["unmasks"])
        axes.set_ylim(vectors - 0.4, -0.6)
        axes.set_yticks([0, timeline["old"]])
        axes.grid(visible=False)
        axes.set_title(f"{view.name(timeline['who'])} on Linux "
                       f"{timeline['kernel']}", fontsize=8)
        axes.set_ylabel("vector")
    all_axes[-1, 0].set_xlabel("ms; grey: a vector is unmasked")
    return Drawn(svg(figure, "timelines"),
                 [who for who in plan.EVERYBODY
                  if any(timeline["who"] == who for timeline in found)])


def counts(view: View, rows: list[tuple[str, dict[str, float]]], label: str,
           name: str) -> Drawn | None:
    """Bars with their number beside them; 0 is a bar of no length."""
    seen = [who for who in plan.EVERYBODY
            if any(who in cells for _, cells in rows)]
    if not seen:
        return None
    figure, axes = pyplot.subplots(figsize=(WIDTH, 0.7 + 0.6 * len(rows)))
    most = max(value for _, cells in rows for value in cells.values())
    for y, (_, cells) in enumerate(rows):
        for offset, who in enumerate(seen):
            if who not in cells:
                continue
            at = y + (offset - (len(seen) - 1) / 2) * 0.19
            axes.barh(at, cells[who], height=0.16, color=COLOURS[who])
            axes.text(cells[who] + most * 0.01, at, plain(cells[who]),
                      va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [text for text, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, most * 1.15 or 1)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_xlabel(label)
    return Drawn(svg(figure, name), seen)


def lost(view: View) -> Drawn | None:
    """Interrupts lost while N vectors are added."""
    rows = []
    for n in view.sizes:
        for kernel in view.kernels:
            cells = {found["who"]: float(found["lost"])
                     for found in view.report["interrupts"]
                     if (found["kernel"], found["vectors"]) == (kernel, n)}
            if cells:
                rows.append((f"{n}, {kernel}", cells))
    return counts(view, rows, "interrupts lost", "lost") if rows else None


def calls(view: View, what: str, key: str, label: str,
          name: str) -> Drawn | None:
    """A count of calls, or what there is after them."""
    places = dict.fromkeys((c["vectors"], c["kernel"])
                           for c in view.report["calls"])
    rows = []
    for n, kernel in sorted(places):
        cells = {}
        for who in plan.EVERYBODY:
            found = view.calls(kernel, who, what, n)
            if found and found[0][key] >= 0:
                cells[who] = statistics.median(c[key] for c in found)
        if cells:
            rows.append((f"{n}, {kernel.replace('simulated', 'sim.')}",
                         cells))
    return counts(view, rows, label, name) if rows else None


def _modes(view: View, question: str) -> tuple[str, ...]:
    return tuple(mode for mode in MODES if view.vectors(question, mode))


def mask_rows(view: View,
              question: str) -> tuple[list[Row], list[float | None]]:
    """Rows, and what two accesses take in each that do nothing."""
    rows: list[Row] = []
    marks: list[float | None] = []
    for mode in _modes(view, question):
        sizes = view.vectors(question, mode)
        # The smallest and the largest: the number makes no difference.
        for n in dict.fromkeys((sizes[0], sizes[-1])):
            for row in cases(view, question, (mode,), (n,)):
                nothing = view.median("nothing", mode, row.kernel,
                                      plan.PATCHED, n)
                rows.append(dataclasses.replace(
                    row, label=f"{NAMES[mode]}, {row.label}"))
                marks.append(2 * nothing if nothing else None)
    return rows, marks


def masks(view: View, question: str) -> Drawn | None:
    """Times of a mask and an unmask, beside two accesses that do nothing."""
    rows, marks = mask_rows(view, question)
    return dots(view, rows, "µs", question, marks=marks)


Plot = Callable[[View], "Drawn | None"]


def all_plots() -> list[tuple[str, str, Plot]]:
    """Question, what there is to see, and how it is drawn."""
    return [
        ("What becomes of interrupts while vectors are added?",
         "Each stroke is an interrupt that arrived. Each vector raises its "
         "next one about 2 ms after the last was acknowledged, so one that "
         "was lost leaves its vector standing still.", timelines),
        ("How many are lost while N vectors are added?",
         "All vectors in use fire. A vector that has lost one stands still, "
         "so this counts no more than one for each vector and resize.", lost),
        ("How does the time of a new vector depend on their number?",
         "Delivery by QEMU. The time of the guest's write, less that of a "
         "write that does nothing; the baseline is one eventfd and one call "
         "to VFIO.", lambda view: new_vectors(view, "qemu")),
        ("And with KVM?", "The same. Other QEMUs hand a vector to KVM during "
         "the write, the patched one a little later and many together.",
         lambda view: new_vectors(view, "kvm")),
        ("What do all N new vectors take?", "In sum.",
         lambda view: dots(view, cases(view, "new-sum", ("qemu", "kvm")),
                           "µs", "new-sum")),
        ("What does a mask and an unmask take?",
         "Of a vector in use; rows are who delivers, N, host. The upright "
         "stroke is what two accesses take that do nothing.",
         lambda view: masks(view, "mask")),
        ("And if a driver masks around each interrupt?",
         "The same vector, many times in a row.",
         lambda view: masks(view, "mask-often")),
        ("What does the function mask take?", "On and off, N in use.",
         lambda view: dots(view, cases(view, "fmask", ("qemu", "kvm")), "µs",
                           "fmask")),
        ("What does it take to enable MSI-X?", "With N vectors unmasked.",
         lambda view: dots(view, cases(view, "enable", ("qemu", "kvm")), "µs",
                           "enable")),
        ("And to disable it?", "With N vectors in use.",
         lambda view: dots(view, cases(view, "disable", ("qemu", "kvm")),
                           "µs", "disable")),
        ("What does a reset take?", "Of the whole machine, with N vectors in "
         "use (without a number: none); the baseline is that of the device.",
         lambda view: dots(view, cases(view, "reset", ("qemu",)), "µs",
                           "reset", log=False)),
        ("How long is an interrupt on its way?", "From the device to the "
         "guest's memory, delivered by QEMU.",
         lambda view: dots(view, cases(view, "latency", ("qemu",)), "µs",
                           "latency", log=False)),
        ("And by KVM?", "From the device to a program in a Linux guest.",
         lambda view: dots(view, cases(view, "irqfd", ("guest",)), "µs",
                           "irqfd", log=False)),
        ("How many calls to VFIO do N new vectors take?",
         "SET_IRQS, on the emulated and the simulated host.",
         lambda view: calls(view, "add", "set_irqs", "calls", "calls")),
        ("And how often are routes committed?", "With KVM. The patched QEMU "
         "commits when its timer goes off, so its number differs from run to "
         "run.",
         lambda view: calls(view, "add", "commits", "commits", "commits")),
        ("How many host vectors do three take that are far apart?",
         "The first, the middle and the last of N, at run time.",
         lambda view: calls(view, "sparse", "host_vectors", "host vectors",
                            "sparse")),
        ("How much memory does a vector take?",
         "Of the heap in use with N enabled together, what is more than with "
         "one, for each.",
         lambda view: dots(view, cases(view, "memory", ("qemu", "kvm")),
                           "bytes", "memory", log=False)),
    ]
