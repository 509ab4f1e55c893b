# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of a report, as rows of words: for terminal, page and reST."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import plan
from .figures import QUESTIONS
from .report import View
from .targets import MODES

NONE = "-"
FAILED = "failed"

# Which job of a boot a figure comes from: of a question, else of the mode.
KINDS = {"qemu": plan.TIMES, "kvm": plan.KVM, "guest": plan.IRQFD,
         "latency-qemu": plan.LATENCY, "memory-qemu": plan.MEMORY,
         "memory-kvm": plan.MEMORY_KVM}
BASELINE_KINDS = {plan.KVM: plan.TIMES, plan.MEMORY_KVM: plan.MEMORY}


@dataclasses.dataclass(frozen=True)
class Table:
    """A head and rows; the first columns are words."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    name: str = ""


def amount(value: float) -> str:
    """With as many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(figure: dict[str, Any]) -> str:
    """The median, and between what half of the values are."""
    text = amount(figure["median"])
    if figure["count"] > 1:
        text += f" ({amount(figure['low'])}–{amount(figure['high'])})"
    return text


def times(value: float | None) -> str:
    """A ratio."""
    return NONE if value is None else f"{value:.2f} ×"


def _failed(view: View, kernel: str, who: str, kind: str) -> bool:
    return any(p["kernel"] == kernel and p["who"] == who
               and p["kind"].split()[0] == kind
               for p in view.report["problems"])


def _missing(view: View, kernel: str, who: str, kind: str) -> str:
    """What to say where no figure is: there is none, or it failed."""
    return FAILED if _failed(view, kernel, who, kind) else NONE


def question_tables(view: View) -> list[Table]:
    """One for each question and mode that has figures or failed."""
    found = []
    for question in QUESTIONS:
        for mode in question.modes:
            name = f"{question.name}-{mode}"
            kind = KINDS.get(name, KINDS[mode])
            rows = []
            sizes = view.vectors(question.name, mode) or (
                [0] if any(p["kind"].split()[0] == kind
                           for p in view.report["problems"]) else [])
            for kernel in view.kernels:
                for n in sizes:
                    cells = [view.figure(question.name, mode, kernel, who, n)
                             for who in plan.EVERYBODY]
                    ours = cells[plan.EVERYBODY.index(plan.PATCHED)]
                    rows.append((
                        kernel, str(n) if n else NONE,
                        *(spread(cell) if cell else
                          _missing(view, kernel, who,
                                   BASELINE_KINDS.get(kind, kind)
                                   if who == plan.BASELINE else kind)
                          for who, cell in zip(plan.EVERYBODY, cells)),
                        times(ours["to_baseline"] if ours else None),
                        times(ours["to_stock"] if ours else None)))
            if rows:
                how = f" ({MODES[mode]})" if len(question.modes) > 1 else ""
                found.append(Table(
                    f"{question.title}{how}, {question.unit}",
                    ("host", "N", *map(view.name, plan.EVERYBODY),
                     "to baseline", "to stock"), tuple(rows), 1, name))
    return found


CALLS = (("add", "N unmasked at run time"),
         ("mask", "up to 64 masked and unmasked"),
         ("mask-often", "one masked and unmasked 32 times"),
         ("fmask", "function mask on and off"),
         ("enable", "MSI-X enabled"), ("disable", "disabled"),
         ("sparse", "3 far apart at run time"),
         ("sparse-enable", "the same, enabled"))


CALL_KEYS = ("set_irqs", "commits", "irqfds")
STATE_KEYS = ("eventfds", "host_vectors")
# After these, eventfds and host vectors are shown too.
STATED = ("add", "enable", "sparse", "sparse-enable")


def between(counts: list[int]) -> str:
    """The count of all, or the least and the most."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"


def calls_table(view: View) -> Table | None:
    """Calls to the host; what is the same for all is not repeated."""
    places: list[tuple[str, int]] = []
    for calls in view.report["calls"]:
        if (calls["kernel"], calls["vectors"]) not in places:
            places.append((calls["kernel"], calls["vectors"]))
    for problem in view.report["problems"]:
        if problem["kind"] == plan.CALLS and not any(
                kernel == problem["kernel"] for kernel, _ in places):
            places.append((problem["kernel"], 0))
    rows = []
    for what, words in CALLS:
        keys = CALL_KEYS + (STATE_KEYS if what in STATED else ())
        for kernel, n in places:
            cells = []
            for who in plan.EVERYBODY:
                calls = view.calls(kernel, who, what, n)
                if calls:
                    cells.append("/".join(between([c[key] for c in calls])
                                          for key in keys))
                else:
                    cells.append(_missing(view, kernel, who, plan.CALLS))
            if any(cell != NONE for cell in cells):
                rows.append((words, kernel, str(n) if n else NONE, *cells))
    if not rows:
        return None
    return Table("calls: SET_IRQS/commits of routes/KVM_IRQFD, then "
                 "/eventfds/host vectors that there are",
                 ("what", "host", "N", *map(view.name, plan.EVERYBODY)),
                 tuple(rows), 2, "calls")


def interrupts_table(view: View) -> Table | None:
    """Interrupts while N vectors are added."""
    rows = []
    for kernel in view.kernels:
        for n in view.sizes:
            for who in plan.QEMUS:
                found = [g for g in view.report["interrupts"]
                         if (g["kernel"], g["who"], g["vectors"])
                         == (kernel, who, n)]
                if found:
                    rows.append((kernel, view.name(who), str(n), *(
                        f"{found[0][key]:,}" for key in (
                            "raised", "raised_off", "lost", "late", "extra",
                            "teardowns"))))
                elif _failed(view, kernel, who, plan.ADD_VECTORS):
                    rows.append((kernel, view.name(who), str(n),
                                 *[FAILED] * 6))
    if not rows:
        return None
    return Table("interrupts while N vectors are unmasked one by one",
                 ("host", "QEMU", "N", "raised", "MSI-X off", "lost", "late",
                  "extra", "resizes"), tuple(rows), 2, "interrupts")


def targets_table(view: View) -> Table:
    """What is to be reached."""
    return Table("targets",
                 ("target", "what", "where", "is", "at most"),
                 tuple((t["verdict"], t["what"], t["where"],
                        times(t["value"]), times(t["limit"]))
                       for t in view.report["targets"]), 3, "targets")


def all_tables(view: View) -> list[Table]:
    """Every table that has rows."""
    found = [*question_tables(view), interrupts_table(view), calls_table(view),
             targets_table(view)]
    return [table for table in found if table and table.rows]


# What docs/performance.rst has beside the targets; none may be missing.
DOCUMENTED = ("new-sum-qemu", "new-sum-kvm", "new-slowest-qemu", "new-guest",
              "nothing-qemu", "mask-qemu", "mask-kvm", "mask-guest",
              "mask-often-guest", "fmask-qemu", "fmask-kvm", "enable-qemu",
              "enable-kvm", "disable-qemu", "disable-kvm", "reset-qemu",
              "reset-kvm", "latency-qemu", "irqfd-guest", "memory-qemu",
              "memory-kvm", "interrupts", "calls")


def unfit(view: View) -> str | None:
    """Why the docs cannot show the report: they speak of a whole run."""
    run, whole = view.report, plan.Extent()
    for reason, wrong in (
            ("the run was ended before its end", not run["complete"]),
            ("something was not measured", bool(run["problems"])),
            ("it is of a quick run", run["quick"]),
            ("the clock was not counted", run["clock"] != "counted"),
            (f"less than {whole.rounds} rounds", run["rounds"] < whole.rounds),
            ("not all sizes", not set(whole.sizes) <= set(view.sizes)),
            ("not all kernels", not set(whole.kernels) <= set(view.kernels))):
        if wrong:
            return reason
    return None


def _run(view: View) -> str:
    """When and of what the figures are."""
    run = view.report
    kernels = " and ".join(view.report["kernels"].values())
    return (f"Of {run['began']}: {run['rounds']} rounds on each kernel\n"
            f"({kernels}), in {run['minutes']:.0f} minutes.\n")


def into_rst(view: View, old: str) -> str:
    """The text with what is between marks replaced by the report's."""
    reason = unfit(view)
    shown = {table.name: table for table in all_tables(view)}
    missing = [name for name in DOCUMENTED if name not in shown]
    if reason or missing:
        raise ValueError("the report is not fit for it: " + (
            reason or f"there is no table {', '.join(missing)}"))
    parts = {"targets": [rst(shown["targets"]) + "\n"], "run": [_run(view)],
             "figures": []}
    for name in DOCUMENTED:
        title = shown[name].title
        parts["figures"].append(f"{title[0].upper()}{title[1:]}:\n\n"
                                f"{rst(shown[name])}\n")
    for name, texts in parts.items():
        begin, end = f".. {name}\n", f".. end of {name}\n"
        if old.count(begin) != 1 or old.count(end) != 1:
            raise ValueError(f"there are no marks for {name}")
        old = "\n".join((old[:old.index(begin)] + begin, *texts,
                         old[old.index(end):]))
    return old


def text(table: Table) -> str:
    """For a terminal: words to the left, figures to the right."""
    widths = [max(len(row[i]) for row in (table.head, *table.rows))
              for i in range(len(table.head))]

    def line(row: tuple[str, ...]) -> str:
        return "  ".join(
            cell.ljust(width) if i < table.words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([table.title, line(table.head), rule,
                      *map(line, table.rows)])


def rst(table: Table) -> str:
    """A simple table of reST, for docs/performance.rst."""
    # An empty first cell would continue the row before.
    rows = [tuple(cell or ".." for cell in row)
            for row in (table.head, *table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width
                       in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])
